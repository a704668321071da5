/*
 * One [ca NAME] as OpenSSL's X509_STORE, loaded once and again when a file of
 * it changed.  Certificates of the bundle are parsed when an issuer of that
 * name is asked for; a CRL is searched in its DER, its signature checked by
 * OpenSSL over the whole.  Chain building and every check stay OpenSSL's.
 *
 * Included only by the modules that use OpenSSL.
 */
#ifndef TLSWARD_FILTER_CA_H
#define TLSWARD_FILTER_CA_H

#include <stdbool.h>
#include <stddef.h>
#include <openssl/x509.h>

#define CA_FILE_MAX (16 * 1024 * 1024)	/* octets of a bundle */
#define CRL_FILE_MAX (64 * 1024 * 1024)

struct ca;

/*
 * Loads bundle and CRL (NULL: none).  NULL, with a sentence in why ("PATH: …"),
 * where either cannot be used: then nothing can be said of a certificate.
 */
struct ca *ca_load(const char *bundle, const char *crl, bool clients_only,
    char *why, size_t whysize);
void ca_free(struct ca *);		/* NULL is fine */
/* Are both files still the ones that were loaded, with the same settings?  Two stat(2). */
bool ca_current(const struct ca *, const char *bundle, const char *crl, bool clients_only);

/*
 * For who forks.  Verifications for nothing: the first of a process make OpenSSL
 * find its algorithms.  And the digests of the CRLs, each computed once.
 */
void ca_warm(struct ca *);
void ca_hash(struct ca *);

/*
 * X509_V_OK, or the X509_V_ERR_* of OpenSSL's verification.  After
 * X509_V_ERR_OUT_OF_MEM load the CA anew: OpenSSL keeps with a certificate what
 * it could not find out.
 */
int ca_verify(struct ca *, X509 *leaf, STACK_OF(X509) *untrusted);

#endif
