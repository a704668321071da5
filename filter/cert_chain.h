/*
 * The chain of a server's certificate as a client builds it: from the leaf, by
 * OpenSSL, out of what the file holds in whatever order and the roots that this
 * system trusts.  Only who issued whom is looked at here (RFC 5280 6.1); what
 * follows from dates is the caller's to say.
 *
 * Included only by the modules that use OpenSSL.
 */
#ifndef TLSWARD_FILTER_CERT_CHAIN_H
#define TLSWARD_FILTER_CERT_CHAIN_H

#include <stdbool.h>
#include <time.h>
#include <openssl/x509.h>

struct cert_chain {
	STACK_OF(X509) *used;	/* leaf first; the file's own objects where they are the file's */
	bool complete;		/* it ends at a self-signed certificate of the file, or a root of the system */
};

/*
 * file: leaf first.  Of several ways one that is valid at that time is taken.
 * False: out of memory.  cert_chain_free either way.
 */
bool cert_chain_build(STACK_OF(X509) *file, time_t now, struct cert_chain *);
void cert_chain_free(struct cert_chain *);

#endif
