/*
 * Has the file changed?  By inotify(7) on its folder, so that an editor's
 * rename is seen, and on the folder of what it is a symbolic link to.
 *
 * Only what ends a change counts (a file closed after writing, a name moved
 * into place): a file that an editor is still writing is not looked at half
 * done.  Where inotify tells nothing (a network file system, a folder made
 * anew) watch_tick looks at the file itself; call it every WATCH_TICK_MS.
 */
#ifndef TLSWARD_CONF_WATCH_H
#define TLSWARD_CONF_WATCH_H

#include <stdbool.h>
#include "settings.h"

#define WATCH_TICK_MS 400	/* two of them and a file is seen within a second */
#define WATCH_FOLDERS 2

struct watch {
	const char *path;		/* the caller's, outlives the watch */
	int fd;				/* to poll for reading; -1: no inotify here */
	int folder[WATCH_FOLDERS];	/* inotify's watch descriptors, or -1 */
	char *name[WATCH_FOLDERS];	/* of the file in that folder */
	struct file_id last;		/* at the last tick */
};

void watch_open(struct watch *, const char *path);
void watch_close(struct watch *);
/* Reads what inotify has; true: the file may have changed. */
bool watch_read(struct watch *);
/*
 * True: the file is as it was at the last tick (or is missing still), so if it
 * was written in place its writer is likely to be done: now look at it.  Also
 * watches a folder that has come, or another that the link now leads to.
 */
bool watch_tick(struct watch *);

#endif
