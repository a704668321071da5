/*
 * The settings in force: the last good ones of a file that may change.
 *
 * hold_refresh costs one stat(2) where nothing changed.  A file that cannot be
 * read or has errors leaves the last good settings in force and the trouble in
 * `error`; the same bad file is not parsed or reported twice.  hold->now is NULL only
 * while there never were good settings.
 *
 * A second attempt without a change of the file comes in two cases: the file
 * as a whole could not be read (we may have been out of memory or descriptors:
 * once a second, reported once), and it was written in place so shortly before
 * it was read that a further write might leave the same times and size (within
 * the same second, where the file system keeps no parts of one).
 *
 * A large file may be read by its compiled form, see conf/compiled.h; `form`,
 * `leave`, `share` and `quiet` are the owner's to set after hold_init.
 *
 * hold_refresh_soon never keeps its caller waiting for a large file: that is
 * read by a thread, which ends with a descriptor that becomes readable.
 *
 * Whoever keeps a pointer to settings over a refresh (a session that began
 * under them) takes a reference with hold_ref and gives it back before hold_free.
 * Of one thread: its helpers have nothing of the hold.
 */
#ifndef TLSWARD_CONF_HOLD_H
#define TLSWARD_CONF_HOLD_H

#include <stdbool.h>
#include <stdint.h>
#include "compiled.h"
#include "settings.h"

struct held;		/* counted reference to settings */
struct hold_job;	/* a thread that reads settings, or makes their compiled form */

struct hold {
	const char *path;		/* the caller's, outlives the hold */
	struct held *now;		/* NULL: never any good ones */
	struct file_id seen;		/* of the last attempt, good or bad */
	bool tried, bad;		/* the last attempt failed */
	unsigned loads, failures;	/* since start */
	unsigned error_line;		/* of the first error, 0: the whole file */
	char error[512];		/* "FILE:LINE: …" of the first error; "" when not bad */
	int64_t again;			/* CLOCK_MONOTONIC ms: read once more then; 0: no need */
	struct compiled form;		/* at first: read it, keep a copy, make none */
	void (*leave)(struct hold *);	/* hold_leave: make one, of what is in force; NULL: no */
	size_t kept;			/* octets of all settings that are referenced */
	bool share;			/* with processes to be forked; see settings_share() in image.h */
	bool quiet;			/* nobody wants to know that all is well */
	int64_t leave_at;		/* CLOCK_MONOTONIC ms; 0: no need */
	struct settings *offered;
	struct hold_job *reader, *writer;	/* NULL: none */
};

/* Logs go to this function, one line without newline each; severity is a syslog(3) level. */
typedef void hold_log(int level, const char *line);

void hold_init(struct hold *, const char *path);
/* True if `now` changed.  log may be NULL. */
bool hold_refresh(struct hold *, hold_log *log);
/*
 * The same, but a large file is read by a thread and takes effect at a later
 * call: when hold_fd is readable, or at any other.
 */
bool hold_refresh_soon(struct hold *, hold_log *log);
int hold_fd(const struct hold *);		/* to poll for reading; -1: nothing is awaited */
/* For hold->leave: a thread sees to the compiled form once the file has settled. */
void hold_leave(struct hold *);
/*
 * These settings are what the path's file says: the next refresh takes them,
 * should it find that very file, and need not read it.  They are the hold's
 * then.
 */
void hold_offer(struct hold *, struct settings *);
void hold_free(struct hold *);

const struct settings *held_settings(const struct held *);	/* NULL for NULL */
struct held *hold_ref(struct hold *);		/* of `now`; NULL if there is none */
void held_unref(struct held *);			/* NULL is fine */

/*
 * Octets of settings that references keep alive and that are no longer in force:
 * whoever holds many for long has to let the oldest go.
 */
size_t hold_superseded(const struct hold *);
bool held_older(const struct held *, const struct held *than);

#endif
