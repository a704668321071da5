/* See cert_sample.h. */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "cert_sample.h"

#define HOUR 3600L

static int
extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	int ok = ext != NULL && X509_add_ext(x, ext, -1) == 1;

	X509_EXTENSION_free(ext);
	return ok;
}

static int
fill(X509 *x, EVP_PKEY *key)
{
	X509_NAME *name = X509_get_subject_name(x);

	return X509_set_version(x, X509_VERSION_3) == 1 &&
	    ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"sample.invalid", -1, -1, 0) == 1 &&
	    X509_set_issuer_name(x, name) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(x), -HOUR) != NULL &&
	    X509_gmtime_adj(X509_getm_notAfter(x), HOUR) != NULL &&
	    extend(x, NID_basic_constraints, "critical,CA:TRUE") &&
	    extend(x, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
	    extend(x, NID_ext_key_usage, "clientAuth") &&
	    extend(x, NID_subject_alt_name, "DNS:sample.invalid") &&
	    X509_set_pubkey(x, key) == 1 && X509_sign(x, key, EVP_sha256()) > 0;
}

unsigned char *
cert_sample(size_t *len)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	unsigned char *der = NULL;
	int n = -1;

	if (key != NULL && x != NULL && fill(x, key))
		n = i2d_X509(x, &der);
	*len = n > 0 ? (size_t)n : 0;
	X509_free(x);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return n > 0 ? der : NULL;
}
