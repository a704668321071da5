/*
 * What `tlsward cert create` and `csr` are asked for, and the store that they
 * change.
 */
#ifndef TLSWARD_AGENT_CMD_CERT_WISH_H
#define TLSWARD_AGENT_CMD_CERT_WISH_H

#include <stdbool.h>

#include "cmd.h"
#include "cmd_cert_make.h"
#include "cmd_keystore.h"
#include "settings.h"

struct wish {
	/* options, by opt_parse */
	struct opt_list dns;
	const char *rsa, *days, *group, *subject, *out;
	bool force, new_key;

	unsigned bits, ndays;		/* 0 bits: ECDSA */
	struct host_names *names;
	char name[NAME_SIZE];		/* of the [certificate] */

	struct settings *s;
	struct keystore ks;
	struct store_access access;
};

void wish_begin(struct wish *);
/* The options and the operand: whether they make sense.  False: said, c->status. */
bool wish_take(struct cmd *, struct wish *, int n, char **argv);
/* Reads the settings, opens the store and finds out who may read keys.  False: said. */
bool wish_open(const struct cmd *, struct wish *);
void wish_end(struct wish *);

#endif
