/*
 * Folders for tlsward setup, which root runs on names that another user may
 * have chosen: no symbolic link is followed on the way to one, and what is
 * examined is what is changed, whatever is renamed meanwhile.
 */
#ifndef TLSWARD_AGENT_CMD_SETUP_FOLDER_H
#define TLSWARD_AGENT_CMD_SETUP_FOLDER_H

#include <stdbool.h>

enum folder_found {
	FOLDER_THERE,
	FOLDER_MADE,		/* just now: ours, mode 755 */
	FOLDER_MISSING,		/* only without `make` */
	FOLDER_WRONG		/* why says it */
};

#define FOLDER_WHY 640

/*
 * The folder `path`: absolute, or one name in the folder `at`.  With `make`,
 * what is missing of it is made.  *fd is the caller's to close after THERE and
 * MADE, else -1; without `make` it is good for fstat(2) and as a place to look
 * from, and nothing else, so that no permission to read is needed.
 */
enum folder_found folder_open(int at, const char *path, bool make, int *fd,
    char why[FOLDER_WHY]);

#endif
