/*
 * The certificates that the settings name, as tlswardCertificateTable shows
 * them.  A file is read only when it changed, when its state changes with time,
 * and once an hour; at most one at a time, so that no request waits for many.
 *
 * Everything lives until the next certs_follow.
 */
#ifndef TLSWARD_AGENT_SNMP_CERTS_H
#define TLSWARD_AGENT_SNMP_CERTS_H

#include <time.h>
#include "cert.h"
#include "settings.h"

#define CERTS_USED 511		/* octets: TlswardText */

struct cert_entry {
	enum section section;		/* SEC_CERTIFICATE or SEC_CA */
	char name[72];
	char file[256], key[256];	/* "": not looked at; no line of the INI is longer */
	char used[CERTS_USED + 1];	/* for what, for a person */
	time_t checked;			/* 0: not yet, and info is nothing */
	struct cert_info info;
	/* its own */
	struct file_id file_id, key_id;
	time_t due;			/* when time alone may change the state */
};

struct certs;

struct certs *certs_new(void);			/* NULL: no memory */
void certs_free(struct certs *);		/* NULL is fine */
/* Other settings are in force (NULL: none): those that stay keep what is known of them. */
void certs_follow(struct certs *, const struct settings *);
/* Reads one of those that need it; the first time, for half a second, all of them. */
void certs_turn(struct certs *);

/* In the order of section, certificates first, and name. */
size_t certs_count(const struct certs *);
const struct cert_entry *certs_at(const struct certs *, size_t i);
/* Whole days left, by now's clock; of one that was parsed. */
long certs_days(const struct cert_entry *);

#endif
