/*
 * The file under conf/edit.h: locked and read as a whole, replaced as a whole.
 * Internal to conf/edit*.c.
 *
 * The lock is flock(2) on the file itself, and counts only while the path
 * leads to that file.  The new file is locked before it takes the old one's
 * place, so that a waiting writer gets in when all is done, temporary file
 * included.  Editors know no lock: against them the two files are exchanged
 * (renameat2(2)) and what came out is looked at; if it is not what was read, it
 * goes back.  Where the file system cannot exchange, the look is just before
 * rename(2).
 */
#ifndef TLSWARD_CONF_EDIT_FILE_H
#define TLSWARD_CONF_EDIT_FILE_H

#include <sys/stat.h>
#include <stdint.h>
#include "edit.h"
#include "edit_text.h"

#define EDIT_WAIT_MS 500		/* for locks and editors, in all */

struct edit_file {
	char *path;			/* symbolic links resolved */
	const char *base;		/* in path: behind its last '/' */
	int dir, fd;			/* -1: not open */
	struct stat st;			/* when it was read */
	bool settled;			/* a change since would show in its times */
	char *text;			/* with a NUL behind it */
	size_t len;
};

/* When EDIT_WAIT_MS from now have passed; CLOCK_MONOTONIC, ms. */
int64_t edit_deadline(void);
bool edit_expired(int64_t deadline);

/*
 * EDIT_OK: locked and read.  Else the status to report, a sentence in why.
 * edit_file_close is due whatever came.
 */
enum edit_status edit_file_open(struct edit_file *, const char *path,
    int64_t deadline, char why[EDIT_WHY]);
/*
 * EDIT_OK: the path leads to a file of that text, owner and mode as before,
 * *after is its identity, or no file's if somebody wrote to it at once; why is ""
 * or a warning that a crash may yet bring the old file back.  EDIT_BUSY: the file
 * is no longer what was read; start again from edit_file_open.  The path's file is
 * untouched unless EDIT_OK.
 */
enum edit_status edit_file_replace(struct edit_file *, const char *text,
    size_t len, struct file_id *after, char why[EDIT_WHY]);
void edit_file_close(struct edit_file *);

/*
 * A new, locked file beside the file; its name is for the caller to unlink and
 * free.  -1 and errno: none.  Removes those that dead writers left.
 */
int edit_temp(const struct edit_file *, char **name);

#endif
