/*
 * What the commands `tlsward cert ...` share.  Each command is a handler as in
 * cmd.h, argv[0] being its own word.
 *
 * A private key is in memory of its own, which is cleansed before it is freed,
 * and in files that cmd_keystore.h makes; never in an argument, a message or an
 * environment variable.
 */
#ifndef TLSWARD_AGENT_CMD_CERT_H
#define TLSWARD_AGENT_CMD_CERT_H

#include <stdbool.h>
#include <stddef.h>

#include "cmd.h"
#include "cmd_keystore.h"
#include "read.h"

cmd_handler cert_create, cert_csr, cert_import, cert_list, cert_show, cert_delete, cert_use;

/* The kept form of a certificate's NAME.  False: said, c->status. */
bool cert_name(struct cmd *, const char *word, char out[NAME_SIZE]);
/* The one operand that most commands take.  False: said, c->status. */
bool cert_operand(struct cmd *, int n, char **argv, char out[NAME_SIZE]);

/* A pair in PEM, on its way into the store. */
struct pair {
	const char *name;
	const char *cert, *key;		/* texts */
	size_t cert_len, key_len;
	const char *cert_said, *key_said;	/* what they are, for the output */
	const struct store_access *access;
};

/*
 * Puts the pair into the store and its section into the INI: all or nothing.
 * The key of a request goes where it is the pair's own by now, else it waits on.
 * EXIT_DONE after what was done was printed, else EXIT_FAILED after the reason was.
 */
int cert_install(const struct cmd *, struct keystore *, const struct settings *,
    const struct pair *);

/*
 * Who sees a changed certificate when: a line for each server that is in use
 * here.  was: the file that the section named before, which smtpd.conf may name
 * still; NULL: the same.
 */
void cert_tell_servers(const struct settings *, const char *file, const char *was);

/* The nth rule that names the certificate; NULL: no more. */
const struct rule *cert_user(const struct settings *, const char *name, size_t nth);

/* Says that there is no such [certificate] (`also`: what there is not either), and which
   there are; EXIT_FAILED. */
int cert_no_such(const struct cmd *, const struct settings *, const char *name,
    const char *also);

/*
 * What is wrong with [certificate NAME], and what to do with these commands: the
 * sentence of info, but for the store a chain is imported, not appended.
 * Returns buf.
 */
#define CERT_FAULT 768
struct cert_info;
const char *cert_fault(const struct cert_info *, const char *name, char buf[CERT_FAULT]);

/* From how many days on a certificate counts as expiring: the greatest of expiry_days. */
#define CERT_EXPIRING_PRESET 30
unsigned cert_expiring_days(const struct settings *);

/*
 * For `tlsward check`: reports a warning for each certificate, CA and CRL that
 * is not in order or soon will not be, for each file of pins likewise, for what
 * everybody may write, and for what OpenSMTPD does not look at; an error for a certificate that a rule shows and no server can.
 */
void cert_check(const struct settings *, read_report *, void *arg);

#endif
