/*
 * Certificates and keys from files and memory, as OpenSSL's objects.  Included
 * only by the modules that use OpenSSL; see cert.h for everybody else.
 *
 * All return NULL with a sentence fragment in why ("is a directory; name the
 * file", "holds DER; convert it with `openssl x509 -inform DER`").  What is
 * returned is the caller's.
 */
#ifndef TLSWARD_FILTER_CERT_FILE_H
#define TLSWARD_FILTER_CERT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

/*
 * The whole regular file, at most `max` octets, with a NUL behind; free with
 * OPENSSL_clear_free(buf, *len + 1).
 */
char *cert_read_file(const char *path, size_t max, size_t *len, char *why, size_t whysize);

/* Every certificate of a PEM file or text, in the file's order; at least one. */
STACK_OF(X509) *cert_read_chain(const char *path, char *why, size_t whysize);
STACK_OF(X509) *cert_parse_chain(const char *pem, size_t len, char *why, size_t whysize);

/* Is it for want of memory that OpenSSL could not do it?  Forgets its errors. */
bool cert_out_of_memory(void);

/* One certificate and nothing behind it; NULL, with errno ENOMEM or EINVAL. */
X509 *cert_parse_der(const unsigned char *der, size_t len);

/*
 * For PEM_read_*: what is encrypted is refused.  With no callback OpenSSL asks
 * on the terminal, or reads standard input, for ever.
 */
int cert_no_passphrase(char *buf, int size, int rwflag, void *arg);

/* A private key in PEM.  pass: of an encrypted one, or NULL (then encrypted ones are refused). */
EVP_PKEY *cert_read_key(const char *path, const char *pass, char *why, size_t whysize);
EVP_PKEY *cert_parse_key(const char *pem, size_t len, const char *pass, char *why, size_t whysize);

#define CERT_NAME_SIZE 256

/*
 * The dNSNames of the subjectAltName, all of them: lower case; one with a NUL or
 * a control character, or too long to be one, is left out, for it cannot be meant
 * honestly.  any: there is one, kept or not, or a subjectAltName that cannot be
 * read: then a commonName counts for nothing (RFC 9525 2).
 */
struct cert_names {
	const char **name;
	size_t n;
	bool any;
};
/* False: out of memory.  Free the names either way. */
bool cert_names_read(X509 *, struct cert_names *);
void cert_names_free(struct cert_names *);
/* At most max of them, copied; how many. */
size_t cert_dns_names(X509 *, char names[][CERT_NAME_SIZE], size_t max);
/* The subject's last commonName likewise; false, and "", where there is none. */
bool cert_common_name(X509 *, char out[CERT_NAME_SIZE]);

/* A name as RFC 2253 writes it, control characters escaped; cut to size. */
void cert_name_text(const X509_NAME *, char *out, size_t size);
/* 0 where it is none. */
time_t cert_time(const ASN1_TIME *);

/* SHA-256 of the SubjectPublicKeyInfo; false, and zeros, where it cannot be had. */
bool cert_spki_digest(X509 *, unsigned char out[32]);

#endif
