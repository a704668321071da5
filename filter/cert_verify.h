/*
 * Client certificates: are they trusted by a [ca NAME], are they pinned.
 *
 * Chains are built and judged by OpenSSL's own X509_verify_cert; ours are the
 * caches.  A CA bundle and a CRL are read once in a process and again when the
 * file changed; a bundle is not parsed whole to find one issuer (the store asks
 * ca.c for certificates by subject, who has an index of the file).
 *
 * A struct cert_verifier lives as long as the process; a struct cert_client is
 * one session's certificate.  Not for several threads at once.
 */
#ifndef TLSWARD_FILTER_CERT_VERIFY_H
#define TLSWARD_FILTER_CERT_VERIFY_H

#include "policy.h"

#define CLIENT_CHAIN_MAX 10		/* intermediates taken from a client */
#define CLIENT_DER_MAX (128 * 1024)	/* octets of one certificate */

struct cert_verifier;
struct cert_client;

struct cert_verifier *cert_verifier_new(void);
void cert_verifier_free(struct cert_verifier *);
/*
 * Loads each [ca] that is new or changed, and does once what the first
 * verification of a process pays for: for a process that is about to fork.
 */
void cert_verifier_warm(struct cert_verifier *, const struct settings *);

/*
 * A client's leaf (DER).  NULL, with a sentence in why, where it is not a
 * certificate: the caller then has a client whose certificate is untrusted.
 * Where errno is ENOMEM it is our fault, and nothing can be said of it.
 */
struct cert_client *cert_client_new(struct cert_verifier *,
    const unsigned char *der, size_t len, char *why, size_t whysize);
/*
 * One more certificate that the client sent; bounded, silently dropped past the
 * bound.  Without memory for it the chain is not known, as below.
 */
void cert_client_add(struct cert_client *, const unsigned char *der, size_t len);
/*
 * Nobody told what else the client sent.  Where an issuer is missing nothing
 * can be said then: REASON_CERT_UNKNOWN, not a fault of the client's.
 */
void cert_client_chain_unknown(struct cert_client *);
void cert_client_free(struct cert_client *);

/*
 * For a decision: fills the fields of facts->cert that follow from the
 * certificate: names, cn, fingerprints, verify, pinned, arg.  status and server stay the caller's.
 * The pointers live as long as the client and the settings; the verdicts by
 * verify are remembered per CA for that long.
 */
void cert_client_facts(struct cert_client *, const struct settings *,
    struct cert_facts *);

/* Did the CAs that it was verified by since the last cert_client_facts, one at least, trust it? */
bool cert_client_trusted(const struct cert_client *);

/*
 * Does the `certs` file of a rule hold the certificate with that SHA-256?  For
 * a server that tells the fingerprint and nothing else.  False where the file
 * cannot be read: why then has a sentence, else "".
 */
bool cert_file_pins(struct cert_verifier *, const char *certs,
    const unsigned char fingerprint[32], char *why, size_t whysize);

/* OpenSSL's X509_V_ERR_* as a reason of ours. */
enum reason cert_reason(int x509_v_err);

#endif
