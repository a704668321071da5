/*
 * The files of the key store: a folder `certs` beside the INI, in it for each
 * certificate NAME
 *
 *	NAME.pem	the leaf, then its chain; mode 0644
 *	NAME.key	its private key
 *	NAME.new-key	the key of a request whose certificate has not come yet
 *
 * A change is all or nothing.  keystore_put writes new files under temporary
 * names; keystore_swap gives all of them their names, and keeps what was there
 * aside; then keystore_keep makes that final, or keystore_undo puts back what
 * was.  Between swap and those, signals wait.  What a process that was killed
 * all the same left half done, the next keystore_open sets right.  A key is
 * never readable by anybody but its owner before its mode is set, and the
 * folder is locked (flock(2)) between open and close.
 *
 * Who may read a key: OpenSMTPD wants one that root owns, mode 0600 to 0740;
 * Exim reads as its own user.  So root's keys are 0640 with Exim's group where
 * there is one; those of another user are that user's own, mode 0600.
 *
 * Functions that return bool leave a sentence in why when that is false.
 */
#ifndef TLSWARD_AGENT_CMD_KEYSTORE_H
#define TLSWARD_AGENT_CMD_KEYSTORE_H

#include <sys/types.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "name.h"

#define STORE_WHY 1024
#define STORE_PATH (PATH_MAX + NAME_SIZE + 16)

enum store_file { STORE_CERT, STORE_KEY, STORE_NEW_KEY, STORE_FILES };

struct store_access {
	uid_t uid;
	gid_t gid;
	mode_t mode;		/* of a key */
	char text[200];		/* "root, group Debian-exim, mode 0640" */
};

struct keystore {
	char dir[PATH_MAX];	/* absolute */
	int parent, fd;		/* its folder, and itself; -1: not there */
	bool made;		/* by us, just now */
	char name[NAME_SIZE];	/* whose files are being changed */
	bool swapping;		/* signals wait; the mask before that */
	sigset_t mask;
	struct {
		bool staged;	/* a new file waits under its temporary name */
		bool placed;	/* it has its name now */
		bool aside;	/* the old one is kept aside */
		bool gone;	/* removed, and kept aside */
	} file[STORE_FILES];
};

/*
 * Opens and locks it.  Where there is none yet: with `create` it is made, else
 * the store is empty.  keystore_close is due whatever came, and undoes a
 * change that was not kept.
 */
bool keystore_open(struct keystore *, const char *ini, bool create, char why[STORE_WHY]);
/* Only to look: no lock, and what cannot be opened is empty. */
void keystore_look(struct keystore *, const char *ini);
void keystore_close(struct keystore *);

/* Path of a file, whether it is there or not; returns buf. */
const char *keystore_path(const struct keystore *, const char *name, enum store_file,
    char buf[STORE_PATH]);
/* These three look in the folder that is open, whatever its path leads to by now. */
bool keystore_has(const struct keystore *, const char *name, enum store_file);
/*
 * A file's octets, with a NUL behind them, at most KEYSTORE_READ_MAX, for
 * keystore_forget; NULL: cannot be read.
 */
#define KEYSTORE_READ_MAX (1024 * 1024)
char *keystore_read(const struct keystore *, const char *name, enum store_file, size_t *len,
    char why[STORE_WHY]);
void keystore_forget(char *data, size_t len);
/* Does it hold exactly that? */
bool keystore_same(const struct keystore *, const char *name, enum store_file, const char *data,
    size_t len);

/*
 * Who may read the key of `name`: the group asked for, else that of the key
 * which is there, if root or this user owns that and its group is not root's,
 * else Exim's, else root's.
 */
bool keystore_access(const struct keystore *, const char *name, const char *group,
    struct store_access *, char why[STORE_WHY]);

bool keystore_put(struct keystore *, const char *name, enum store_file, const char *data,
    size_t len, const struct store_access *, char why[STORE_WHY]);
/* It shall be gone after the swap; fine if it is not there. */
void keystore_drop(struct keystore *, const char *name, enum store_file);
bool keystore_swap(struct keystore *, char why[STORE_WHY]);
void keystore_keep(struct keystore *);
/* False, and why, where an old file could not be put back: then it lies aside. */
bool keystore_undo(struct keystore *, char why[STORE_WHY]);

#endif
