/* What the parts of cmd_keystore.h share. */
#ifndef TLSWARD_AGENT_CMD_KEYSTORE_INT_H
#define TLSWARD_AGENT_CMD_KEYSTORE_INT_H

#include <sys/stat.h>

#include "cmd_keystore.h"

/*
 * A name in the folder: the file's; that of its successor; of its
 * predecessor; of its predecessor on the way back.  Under the lock, what has a
 * mark was left by a process that was killed.
 */
enum form { PLAIN, FRESH, ASIDE, BACK, FORMS };
#define BASE_SIZE (NAME_SIZE + 32)
const char *store_base(const char *name, enum store_file, enum form, char buf[BASE_SIZE]);
/* The other way round; false: the entry is none of the marked ones. */
bool store_marked(const char *entry, char name[NAME_SIZE], enum store_file *, enum form *);

/* What could not be done, why, and what to do; always false. */
bool store_fail(char why[STORE_WHY], int error, const char *, ...)
    __attribute__((format(printf, 3, 4)));

/* lstat(2) of the file in the folder that is open. */
bool keystore_stat(const struct keystore *, const char *name, enum store_file, struct stat *);

/* Sets right what killed processes left, under the lock. */
bool keystore_mend(const struct keystore *, char why[STORE_WHY]);

#endif
