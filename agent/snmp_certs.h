/*
 * The certificates that the settings name, as tlswardCertificateTable shows
 * them: of [certificate]s, of [ca]s, and of the files of pins that rules name, of
 * which there may be thousands.  A file is read only when it changed, when its state
 * changes with time, and once an hour; no request waits for more than CERTS_TURN_MS.
 *
 * Everything lives until the next certs_follow or certs_turn.
 */
#ifndef TLSWARD_AGENT_SNMP_CERTS_H
#define TLSWARD_AGENT_SNMP_CERTS_H

#include <time.h>
#include "cert.h"
#include "pinned.h"
#include "settings.h"

#define CERTS_USED 511		/* octets: TlswardText */
#define CERTS_TURN_MS 5

/* What the table shows of a struct cert_info, which is large, and has room for more. */
struct cert_seen {
	enum cert_state state;
	bool parsed;
	time_t not_before, not_after;
	int key_bits;
	size_t chain_len;
	unsigned char fingerprint[32];
	/* in `all`; "" while not known, names with commas between, and dots for the rest */
	const char *error, *subject, *issuer, *serial, *key_type, *names;
	char all[];
};

struct cert_entry {
	enum section section;		/* SEC_CERTIFICATE, SEC_CA or SEC_PINS */
	char name[72];
	char file[256], key[256];	/* "": not looked at; no line of the INI is longer */
	char used[CERTS_USED + 1];	/* for what, for a person */
	time_t checked;			/* 0: not yet */
	const struct cert_seen *seen;	/* never NULL */
	/* its own */
	struct cert_seen *own;
	struct file_id file_id, key_id;
	time_t due;			/* when time alone may change the state */
};

/* tlswardCertificateKind */
static inline unsigned
certs_kind(enum section section)
{
	return section == SEC_PINS ? 3 : section == SEC_CA ? 2 : 1;
}

struct certs;

struct certs *certs_new(void);			/* NULL: no memory */
void certs_free(struct certs *);		/* NULL is fine */
/*
 * Other settings are in force (NULL: none): those that stay keep what is known of
 * them.  Files of pins are looked for in the next turn, since that takes a look at
 * all rules, and a SET waits for this.
 */
void certs_follow(struct certs *, const struct settings *);
/*
 * Looks at some of the files, and reads those that need it for CERTS_TURN_MS; the first
 * time, for half a second, at all of them.  The settings are those followed last.
 */
void certs_turn(struct certs *, const struct settings *);

/* In the order of section, certificates first, and name. */
size_t certs_count(const struct certs *);
const struct cert_entry *certs_at(const struct certs *, size_t i);
/* Whole days left, by now's clock; of one that was parsed. */
long certs_days(const struct cert_entry *);

#endif
