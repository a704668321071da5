/*
 * What one SET wants, gathered by the section of the settings file that it
 * is wanted of, so that a row is judged as RFC 2579 asks: with all of the
 * request's varbinds in view and whatever their order.
 */
#ifndef TLSWARD_AGENT_SNMP_TARGET_H
#define TLSWARD_AGENT_SNMP_TARGET_H

#include "edit.h"
#include "snmp_tree.h"

struct target {
	enum section section;
	char name[NAME_SIZE];		/* "" for the server and the agent */
	bool fixed;			/* of a table whose rows SNMP neither makes nor removes */
	long status;			/* SNMP_ROW_*; 0: the request does not say */
	int status_at;			/* index of that varbind */
	int first_at;			/* of the first varbind for this section */
	uint32_t wanted;		/* bit k: key k is to be set, or unset */
	char *text[KEY_MAX];		/* what for; NULL: unset */
	int key_at[KEY_MAX];
};

struct targets {
	size_t n, size;
	struct target *at;
	int lock_at;			/* index of the varbind of tlswardSpinLock; 0: none */
	long lock;			/* and its value */
};

/* Why a varbind cannot be: an SNMP_ERR_* and a sentence. */
struct refusal {
	int error;
	int at;				/* index of the varbind */
	char why[VIEW_TEXT + 1];
};
int refuse(struct refusal *, int error, int at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Checks one varbind (RFC 3416 4.2.5 (2) to (7)) and adds it.  SNMP_ERR_NOERROR or the error. */
int targets_add(struct targets *, const struct view *, const netsnmp_variable_list *, int at,
    struct refusal *);
/*
 * Checks the lock, and each row against its present state (RFC 2579, RowStatus): of
 * several that cannot be, the first varbind's is told.
 */
int targets_check(const struct targets *, const struct view *, struct refusal *);
/*
 * The varbind that is to blame for an error at a place of the file: that of its key, or
 * of what quarrels with it (mode and client_cert), or of its row; else one that changes
 * what the row inherits, of the server, a listener or a network; 0: none of them.
 */
int targets_blame(const struct targets *, const struct edit_place *);
void targets_clear(struct targets *);

#endif
