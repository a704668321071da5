/*
 * Keys, self-signed certificates and requests, in memory.
 *
 * Functions that return a pointer or bool leave a sentence in why when that is
 * NULL or false.  What they return is the caller's.
 */
#ifndef TLSWARD_AGENT_CMD_CERT_MAKE_H
#define TLSWARD_AGENT_CMD_CERT_MAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "cmd.h"
#include "name.h"

#define MAKE_NAMES 100			/* of one certificate */
#define MAKE_WHY 512

struct host_names {
	char name[MAKE_NAMES][NAME_SIZE + 2];	/* A-labels; "*." may come first */
	size_t count;
};

/* Adds the names of "HOST,HOST": each in its kept form, none twice. */
bool make_names(struct host_names *, const char *list, char why[MAKE_WHY]);

/* bits of an RSA key; 0: ECDSA on P-256. */
EVP_PKEY *make_key(unsigned bits, char why[MAKE_WHY]);
/* "EC P-256", "RSA 3072"; returns buf. */
const char *make_key_text(const EVP_PKEY *, char buf[32]);

/* Self-signed, for TLS servers and clients, valid from now on. */
X509 *make_certificate(EVP_PKEY *, const struct host_names *, unsigned days, char why[MAKE_WHY]);
/* subject: "C=DE,O=Example,CN=mx.example.org" or "/C=DE/..."; NULL: the first name. */
X509_REQ *make_request(EVP_PKEY *, const struct host_names *, const char *subject,
    char why[MAKE_WHY]);

/*
 * PEM texts in memory that is cleansed when it is freed (BIO_free); its text
 * is BIO_get_mem_data's.
 */
BIO *make_key_pem(EVP_PKEY *);
BIO *make_chain_pem(STACK_OF(X509) *);

#endif
