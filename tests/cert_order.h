/* Certificates to order, and their files, for the tests of what a certificate is. */
#ifndef TLSWARD_TESTS_CERT_ORDER_H
#define TLSWARD_TESTS_CERT_ORDER_H

#include <sys/stat.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "cert.h"
#include "cert_file.h"

#define NOW ((time_t)1800000000)	/* 2027-01-15 */
#define DAY 86400

static char dir[] = "/tmp/tlsward-test_cert.XXXXXX";	/* mkdtemp it */
static struct cert_info info;		/* too large for a stack that is watched */

/* ---- certificates to order ---- */

struct order {
	const char *cn;
	const char *san[25];		/* NULL-ended */
	const char *odd;		/* one more dNSName of odd_len octets */
	size_t odd_len;
	long from, to;			/* seconds from NOW; 0, 0: a year around it */
	size_t padding;			/* octets of an extension of nobody's */
	EVP_PKEY *key;			/* NULL: a new P-256 */
	X509 *issuer;			/* NULL: itself */
	EVP_PKEY *issuer_key;
};

static EVP_PKEY *
ec_key(const char *curve)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);

	assert_non_null(key);
	return key;
}

static void
add_san(X509 *x, const struct order *o)
{
	GENERAL_NAMES *all = GENERAL_NAMES_new();
	size_t n = 0;

	for (; n < 25 && (o->san[n] != NULL || (o->odd != NULL && n < 1)); n++) {
		GENERAL_NAME *g = GENERAL_NAME_new();
		ASN1_IA5STRING *s = ASN1_IA5STRING_new();

		if (o->san[n] != NULL)
			ASN1_STRING_set(s, o->san[n], -1);
		else
			ASN1_STRING_set(s, o->odd, (int)o->odd_len);
		GENERAL_NAME_set0_value(g, GEN_DNS, s);
		sk_GENERAL_NAME_push(all, g);
	}
	if (n > 0)
		assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, 0), 1);
	GENERAL_NAMES_free(all);
}

static void
add_padding(X509 *x, size_t len)
{
	ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.8072.9999.9999.1", 1);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	unsigned char *octets = calloc(1, len);
	X509_EXTENSION *e;

	ASN1_OCTET_STRING_set(value, octets, (int)len);
	e = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value);
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
	ASN1_OCTET_STRING_free(value);
	ASN1_OBJECT_free(oid);
	free(octets);
}

static X509 *
make(const struct order *o)
{
	X509 *x = X509_new();
	EVP_PKEY *key = o->key, *fresh = NULL;
	time_t from = NOW + (o->from == 0 && o->to == 0 ? -DAY : o->from);
	time_t to = NOW + (o->from == 0 && o->to == 0 ? 365 * DAY : o->to);
	const EVP_MD *md = EVP_sha256();

	if (key == NULL)
		key = fresh = ec_key("P-256");
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 0x1234);
	assert_non_null(X509_time_adj_ex(X509_getm_notBefore(x), 0, 0, &from));
	assert_non_null(X509_time_adj_ex(X509_getm_notAfter(x), 0, 0, &to));
	if (o->cn != NULL)
		X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
		    (const unsigned char *)o->cn, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(o->issuer != NULL ? o->issuer : x));
	X509_set_pubkey(x, key);
	add_san(x, o);
	if (o->padding > 0)
		add_padding(x, o->padding);
	if (o->issuer_key != NULL)
		key = o->issuer_key;
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519)
		md = NULL;
	assert_true(X509_sign(x, key, md) > 0);
	EVP_PKEY_free(fresh);
	return x;
}

/* ---- files ---- */

static const char *
path_of(const char *name, char buf[128])
{
	snprintf(buf, 128, "%s/%s", dir, name);
	return buf;
}

static void __attribute__((unused))
put(const char *name, const void *data, size_t len)
{
	char path[128];
	FILE *f = fopen(path_of(name, path), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

/* The certificates, up to NULL, as a PEM file; its path. */
static const char *
put_chain(const char *name, char path[128], X509 *first, ...)
{
	BIO *b = BIO_new_file(path_of(name, path), "w");
	va_list ap;

	va_start(ap, first);
	for (X509 *x = first; x != NULL; x = va_arg(ap, X509 *))
		PEM_write_bio_X509(b, x);
	va_end(ap);
	BIO_free(b);
	return path;
}

static void __attribute__((unused))
put_stack(const char *name, char path[128], STACK_OF(X509) *all)
{
	BIO *b = BIO_new_file(path_of(name, path), "w");

	for (int i = 0; i < sk_X509_num(all); i++)
		PEM_write_bio_X509(b, sk_X509_value(all, i));
	BIO_free(b);
}

static const char __attribute__((unused)) *
put_key(const char *name, char path[128], EVP_PKEY *key, const char *pass)
{
	BIO *b = BIO_new_file(path_of(name, path), "w");

	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(b, key, pass != NULL ? EVP_aes_128_cbc() : NULL,
	    pass, pass != NULL ? (int)strlen(pass) : 0, NULL, NULL), 1);
	BIO_free(b);
	return path;
}

static enum cert_state __attribute__((unused))
inspect_der(X509 *x)
{
	unsigned char *der = NULL;
	int len = i2d_X509(x, &der);
	enum cert_state state;

	assert_true(len > 0);
	state = cert_inspect_der(der, (size_t)len, NOW, 30, &info);
	OPENSSL_free(der);
	return state;
}

static int
make_dir(void **state)
{
	(void)state;
	/* no root of this machine's may complete a chain of ours, or cost its time */
	setenv("SSL_CERT_FILE", "/nonexistent", 1);
	setenv("SSL_CERT_DIR", "/nonexistent", 1);
	return mkdtemp(dir) == NULL ? -1 : 0;
}

#endif
