/*
 * What an smtpd.conf (OpenSMTPD 6.8 to 7.x) says about TLS and filters.
 *
 * The statements that matter here are kept: pki, ca, proc, filter, listen;
 * everything else is read over.  smtpd's own defaults are filled in: port 25,
 * or 465 with smtps.  Sources: smtpd.conf(5), and smtpd 7.4 itself where that
 * is silent.
 *
 * Ownership: all text lives as long as the struct; smtpd_conf_free ends both.
 */
#ifndef TLSWARD_AGENT_CMD_SMTPD_CONF_H
#define TLSWARD_AGENT_CMD_SMTPD_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "cmd_smtpd_lex.h"

struct smtpd_pki {
	const char *name, *cert, *key;	/* lower case; NULL: not said */
	struct place at;
};

struct smtpd_ca {
	const char *name, *cert;
	struct place at;
};

enum smtpd_filter_kind { FILTER_PROGRAM, FILTER_CHAIN, FILTER_PHASE };
#define CHAIN_MAX 64
struct smtpd_filter {
	const char *name;
	enum smtpd_filter_kind kind;
	const char *command;		/* of a program (proc or proc-exec), else NULL */
	const char *user, *group;	/* that it runs as; NULL: smtpd's own */
	const char *member[CHAIN_MAX];	/* of a chain */
	size_t members;
	const char *phase;		/* of a builtin filter: "mail-from" */
	bool bypass, rewrites;		/* what it does there */
	struct place at;
};

struct smtpd_proc {
	const char *name, *command, *user, *group;
};

/* What a listener does about TLS, the least first. */
enum smtpd_tls { SMTPD_CLEAR, SMTPD_TLS, SMTPD_TLS_REQUIRE, SMTPD_SMTPS };
#define PKI_MAX 32			/* of a listener: smtpd's limit */
struct smtpd_listen {
	const char *on;			/* address, interface, name; "socket" with `local` */
	bool local;
	int family;			/* 4, 6; 0: both */
	uint16_t port;
	enum smtpd_tls tls;
	bool verify;
	const char *pki[PKI_MAX];
	size_t pkis;
	const char *ca;			/* or NULL */
	struct smtpd_filter filter;	/* a chain of those named; `name` where it is one name */
	struct place at;
};

struct smtpd_conf {
	struct smtpd_pki *pki;
	struct smtpd_ca *ca;
	struct smtpd_filter *filter;
	struct smtpd_proc *proc;
	struct smtpd_listen *listen;
	size_t pkis, cas, filters, procs, listens;
	struct smtpd_lexer *lexer;
};

/* NULL: out of memory.  What could not be understood is reported as an error. */
struct smtpd_conf *smtpd_conf_parse(const char *name, const char *text, size_t len,
    read_report *, void *arg);
void smtpd_conf_free(struct smtpd_conf *);		/* NULL is fine */

/* NULL: there is none of that name. */
const struct smtpd_pki *smtpd_pki(const struct smtpd_conf *, const char *name);
const struct smtpd_ca *smtpd_ca(const struct smtpd_conf *, const char *name);
const struct smtpd_filter *smtpd_filter(const struct smtpd_conf *, const char *name);

/*
 * The addresses with port that a line listens on, as the filter will be told
 * them, at most max; an interface's and a name's are looked up on this
 * machine.  0: not known here.
 */
size_t smtpd_addresses(const struct smtpd_listen *, struct addr *out, size_t max);

/* The program of a command, as the shell reads it; false: there is none. */
bool smtpd_program(const char *command, char *program, size_t size);

/*
 * Does this command of a filter run filter-tlsward?  Its INI then goes to ini
 * (TLSWARD_INI where none is named).
 */
bool smtpd_is_ours(const char *command, char *ini, size_t size);

#endif
