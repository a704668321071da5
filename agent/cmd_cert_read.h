/*
 * Certificates and keys as CAs and other programs hand them over: PEM or DER
 * (RFC 5280, RFC 5958), bundles of PKCS#7, PKCS#12 files (RFC 7292), keys in
 * the clear or encrypted.  What a server reads is stricter; see cert_file.h.
 *
 * Functions that return a pointer or bool leave a sentence in why when that is
 * NULL or false.  What they return is the caller's.
 */
#ifndef TLSWARD_AGENT_CMD_CERT_READ_H
#define TLSWARD_AGENT_CMD_CERT_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#define SECRET_MAX 1024
#define READ_WHY 1024

/*
 * Where a passphrase comes from: the first line of a file, or the terminal,
 * without echo and at most three times.  It is asked for only when something
 * turns out to be encrypted.  secret_end cleanses it.
 */
struct secret {
	const char *file;	/* NULL: the terminal */
	const char *of;		/* path of what it opens, for the prompt */
	char text[SECRET_MAX];
	bool have;
	bool asked;		/* since secret_begin: what is read is encrypted */
	bool failed;		/* there is none to be had; why says it */
	unsigned tries;
	char why[READ_WHY];
};
void secret_end(struct secret *);

/* Certificates of a file, in its order, at least one. */
STACK_OF(X509) *read_certificates(const char *path, char why[READ_WHY]);
EVP_PKEY *read_key(const char *path, struct secret *, char why[READ_WHY]);
/* Key and certificates of a PKCS#12 file. */
bool read_pkcs12(const char *path, struct secret *, EVP_PKEY **, STACK_OF(X509) **,
    char why[READ_WHY]);

#endif
