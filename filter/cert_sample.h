/*
 * A client's certificate of nobody's, made on the spot: ECDSA P-256, self-signed,
 * with a name as SAN.  Whoever has looked at one has in memory what OpenSSL
 * fetches and sets up at the first: decoders, key types, the curve, digests.  A
 * process forked after that begins with all of it.
 */
#ifndef TLSWARD_FILTER_CERT_SAMPLE_H
#define TLSWARD_FILTER_CERT_SAMPLE_H

#include <stddef.h>

/* Its DER, for OPENSSL_free; NULL: cannot be made. */
unsigned char *cert_sample(size_t *len);

#endif
