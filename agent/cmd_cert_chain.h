/*
 * The chain of a certificate, out of what was handed over in any order.
 *
 * Chain building for service is OpenSSL's business, at each handshake; here
 * certificates are put into the order in which servers send them (RFC 8446
 * 4.4.2: each one certifies the one before it), and X509_verify_cert judges
 * the result as a mail client would.
 */
#ifndef TLSWARD_AGENT_CMD_CERT_CHAIN_H
#define TLSWARD_AGENT_CMD_CERT_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "cmd.h"

enum chain_end {
	CHAIN_SELF_SIGNED,	/* the leaf alone */
	CHAIN_TRUSTED,		/* leads to a root that this system trusts */
	CHAIN_PRIVATE,		/* leads to a root that was handed over and is not trusted here */
	CHAIN_INCOMPLETE	/* an issuer is missing */
};

struct chain {
	STACK_OF(X509) *certs;	/* leaf first */
	enum chain_end end;
	char top[256];		/* name of the root, or of the issuer that is missing */
	int left_out;		/* how many do not belong to it, or were there twice */
	bool root_left_out;	/* clients have it: a root that this system trusts too */
	char fault[512];	/* why a mail client would refuse it; "" */
};

/*
 * Sorts; the leaf is the certificate of the key, of several the one that is
 * valid longest.  False, and a sentence in why: none is.  chain_end is due
 * after true.
 */
bool chain_sort(struct chain *, EVP_PKEY *, STACK_OF(X509) *given, char *why, size_t whysize);
void chain_free(struct chain *);

/* "leaf and 2 issuers, complete up to …"; returns buf. */
const char *chain_text(const struct chain *, char *buf, size_t size);

/* The date of a certificate's time, "2027-01-31".  Returns buf. */
const char *chain_date(const ASN1_TIME *, char buf[UTC_TEXT]);
/* The common name, else the whole name, control characters escaped.  Returns buf. */
const char *chain_name(const X509_NAME *, char *buf, size_t size);

#endif
