/*
 * Reads an INI file into settings.  libinih does the lexing; its limits (200
 * octets a line, 49 a section name) are met by our own line reader, see
 * read.c.  The whole file is read and every problem reported, not the first,
 * in the order of the lines: a hundred errors and a hundred warnings, then (line
 * 0: "and 50 more errors") how many more there are; settings_read_all is for
 * who wants each of them.  conf/check.h says what is checked beyond single lines.
 */
#ifndef TLSWARD_CONF_READ_H
#define TLSWARD_CONF_READ_H

#include <stdbool.h>
#include <stddef.h>
#include "file_id.h"
#include "settings.h"

enum severity { SEV_ERROR, SEV_WARNING };

/* Called for each problem; text has no newline and says what would be right. line 0: the whole file. */
typedef void read_report(void *arg, enum severity, const char *path,
    unsigned line, const char *text);

/* Ready-made: writes "PATH:LINE: text" (or "PATH:LINE: warning: text") to the FILE * that arg is. */
void read_report_file(void *arg, enum severity, const char *path,
    unsigned line, const char *text);

/*
 * NULL where there was an error (each was reported, file trouble included:
 * "PATH: cannot be read: Permission denied; ...").  Warnings are looked for
 * only with `warn`.  The file is read once, from one open descriptor, so that
 * settings_id() is the identity of what was read.
 */
struct settings *settings_read(const char *path, bool warn, read_report *, void *arg);
/* The same with warnings, and without a bound to what is told. */
struct settings *settings_read_all(const char *path, read_report *, void *arg);
/* As settings_read, from memory; path names it in reports, id may be NULL. */
struct settings *settings_parse(const char *text, size_t len, const char *path,
    const struct file_id *id, bool warn, read_report *, void *arg);

/* The generation that settings of this text have. */
uint64_t settings_digest(const char *text, size_t len);
/* Reports what settings_read with `warn` would warn of. */
void settings_warn(const struct settings *, read_report *, void *arg);

#endif
