/*
 * The compiled form of an INI: its settings' image in a file, so that a process
 * that has just begun need not parse 100,000 domains for one verdict.
 *
 * It is a cache and never the only way to a verdict.  It stands beside the INI
 * as .NAME.compiled, or, made by who may not write there, in a folder of its
 * maker's.  It counts while the INI is the one
 * it was made from (device, inode, size and times), program version and layout
 * are ours, and it is a regular file with no other name that belongs to the
 * INI's owner or to us and that nobody else can write.  Whatever else is found
 * is as good as nothing: the INI is parsed.
 *
 * It is made only of an INI that has been left alone for compiled_settle_ms():
 * a later change then shows in its times.  It is written beside its place and
 * renamed, by one process at a time; whoever finds another at it lets it.  It is
 * never changed or cut short in its place.
 */
#ifndef TLSWARD_CONF_COMPILED_H
#define TLSWARD_CONF_COMPILED_H

#include <stdbool.h>
#include <stdint.h>
#include "read.h"

#define COMPILED_LEAST (64u << 10)	/* octets of an INI: below, parsing is as fast */
#define COMPILED_SETTLE_MS 100		/* more than the clock of a file system's times may lag */

struct compiled {
	const char *folder;	/* a folder of our own; NULL: none.  Lives as long as this */
	/*
	 * Mapped: costs a page for each thing looked up, but a process that lives
	 * long dies by SIGBUS should the file's owner truncate it.  Else a copy.
	 */
	bool map;
	bool save;		/* leave one behind where there is none */
	bool small;		/* also of an INI below COMPILED_LEAST: the parser is not at hand */
};

/*
 * How long a file must have been left alone for whatever is written later to
 * show in its times: COMPILED_SETTLE_MS, and a second more where those may be
 * whole seconds, as some file systems keep them.  A time without a fraction by
 * chance only makes its reader wait.
 */
int64_t compiled_settle_ms(const struct file_id *);

/* What the INI at path says, by its compiled form; NULL: there is none that counts. */
struct settings *compiled_open(const char *path, const struct compiled *);

/*
 * Leaves a compiled form of these settings behind; true: there is one.  False
 * also where the INI is too small or was changed too shortly before.
 */
bool compiled_save(const struct settings *, const struct compiled *);
/*
 * The same once the INI has settled, by the clock: sleeps little more than
 * COMPILED_SETTLE_MS, and is false where it would have to for longer.
 */
bool compiled_save_settled(const struct settings *, const struct compiled *);

/*
 * As settings_read without warnings, by the compiled form where there is one
 * that counts.  *saved, if not NULL: there is one now.
 */
struct settings *compiled_read(const char *path, const struct compiled *, bool *saved,
    read_report *, void *arg);

#endif
