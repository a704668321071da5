/*
 * May a server's user read the files that the settings name?
 *
 * It is judged by owner, group and mode of the file and of each folder above,
 * since whoever runs tlsward is mostly root, who may read everything.  What
 * cannot be looked at from here, or has an access control list, counts as
 * readable: nothing is said of what is not known.
 *
 * A struct reader holds no memory of its own.
 */
#ifndef TLSWARD_AGENT_CMD_ACCESS_H
#define TLSWARD_AGENT_CMD_ACCESS_H

#include <sys/types.h>
#include <stdbool.h>

#include "read.h"
#include "settings.h"

#define READER_GROUPS 256
struct reader {
	const char *server;		/* "Exim" */
	char name[64], group[64];
	uid_t uid;
	gid_t gids[READER_GROUPS];	/* its own first */
	int ngids;
};

/*
 * A user by name or number, with all groups that it is in; group NULL: its own.
 * False: there is no such user here.
 */
bool reader_find(struct reader *, const char *server, const char *user, const char *group);
/* Exim's user, where the folders of counters show that Exim serves these settings. */
bool reader_exim(struct reader *, const struct settings *);

/*
 * Reports what the reader may not read, with the command that lets it: the INI
 * and the certificates of pins; with `tls` also the certificates, keys, CAs and
 * CRLs that rules name, which Exim reads by itself.
 */
struct access {
	const struct settings *s;
	const char *ini;
	enum severity severity;
	read_report *report;
	void *arg;
};
void access_check(const struct access *, const struct reader *, bool tls);

/* May the reader run it?  False: why says "(what it is): what to do". */
#define ACCESS_WHY 1024
bool access_program(const struct reader *, const char *path, char why[ACCESS_WHY]);

#endif
