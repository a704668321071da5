/*
 * Large CRLs.  OpenSSL parses every entry of a CRL into objects: 18 ms for
 * 10,000.  Here the list of entries is cut out before OpenSSL parses the rest,
 * an entry is searched in the DER when one is asked for, and the signature is
 * checked over the DER as it came, all through X509_CRL_METHOD.  Issuer,
 * dates, extensions and their criticality stay OpenSSL's to judge.  A CRL
 * that is partial or indirect (RFC 5280 5.2.5), or whose list is not strict DER
 * of plain revocations, is parsed whole by OpenSSL.
 */
#ifndef TLSWARD_FILTER_CRL_H
#define TLSWARD_FILTER_CRL_H

#include <openssl/x509.h>
#include "pem_scan.h"

/*
 * One CRL; *der must outlive it.  NULL where it is malformed.  Free with
 * X509_CRL_free.
 */
X509_CRL *crl_open(const struct der *der);

/* How many certificates it revokes.  Any X509_CRL will do. */
size_t crl_entries(X509_CRL *);

/*
 * Has the digest ready that its signature is over, so that who forks need not
 * leave that to each child.  Any X509_CRL will do.
 */
void crl_hash(X509_CRL *);

#endif
