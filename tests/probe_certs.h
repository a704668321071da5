/*
 * A chain of certificates for the tests of the probe, made on the spot: a leaf,
 * intermediates, a root.  Include it once.
 */
#ifndef TLSWARD_TESTS_PROBE_CERTS_H
#define TLSWARD_TESTS_PROBE_CERTS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define CERTS_MAX 70

struct certs {
	EVP_PKEY *key;			/* of them all */
	X509 *x[CERTS_MAX];		/* leaf first */
	unsigned char digest[CERTS_MAX][32];
	size_t n;
};

static void
certs_name(X509_NAME *name, const char *cn)
{
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)cn, -1, -1, 0), 1);
}

static X509 *
certs_one(EVP_PKEY *key, const char *subject, const char *issuer, long serial, size_t padding)
{
	X509 *x = X509_new();
	X509_EXTENSION *ext;
	ASN1_OCTET_STRING *os;
	unsigned char *fill;

	assert_non_null(x);
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
	X509_gmtime_adj(X509_getm_notBefore(x), -86400);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, key);
	certs_name(X509_get_subject_name(x), subject);
	certs_name(X509_get_issuer_name(x), issuer);
	if (padding > 0) {
		os = ASN1_OCTET_STRING_new();
		fill = calloc(1, padding);
		assert_true(os != NULL && fill != NULL);
		ASN1_OCTET_STRING_set(os, fill, (int)padding);
		ext = X509_EXTENSION_create_by_NID(NULL, NID_netscape_comment, 0, os);
		assert_int_equal(X509_add_ext(x, ext, -1), 1);
		X509_EXTENSION_free(ext);
		ASN1_OCTET_STRING_free(os);
		free(fill);
	}
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	return x;
}

/* A leaf with `padding` octets of nothing in it, n - 1 intermediates, a root. */
static void
certs_make(struct certs *c, size_t n, size_t padding)
{
	char subject[32], issuer[32];

	memset(c, 0, sizeof(*c));
	assert_true(n > 0 && n < CERTS_MAX);
	c->key = EVP_EC_gen("P-256");
	assert_non_null(c->key);
	for (c->n = 0; c->n <= n; c->n++) {
		snprintf(subject, sizeof(subject), c->n == 0 ? "leaf" : "ca%zu", c->n);
		snprintf(issuer, sizeof(issuer), "ca%zu", c->n < n ? c->n + 1 : n);
		c->x[c->n] = certs_one(c->key, subject, issuer, (long)c->n + 1, c->n == 0 ? padding : 0);
		X509_digest(c->x[c->n], EVP_sha256(), c->digest[c->n], NULL);
	}
}

static inline void
certs_write(const struct certs *c, char *template)
{
	FILE *f = fdopen(mkstemp(template), "w");

	assert_non_null(f);
	for (size_t i = 0; i < c->n; i++)
		assert_int_equal(PEM_write_X509(f, c->x[i]), 1);
	assert_int_equal(fclose(f), 0);
}

static void
certs_free(struct certs *c)
{
	for (size_t i = 0; i < c->n; i++)
		X509_free(c->x[i]);
	EVP_PKEY_free(c->key);
}

#endif
