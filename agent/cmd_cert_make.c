/* See cmd_cert_make.h. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "cmd_cert_make.h"

#define CN_MAX 64		/* RFC 5280 appendix A.1, ub-common-name */
#define SLOW_CLOCK 3600		/* seconds by which a client's clock may be behind */

/* ---- names ---- */

static bool
add_name(struct host_names *h, const char *word, size_t len, char why[MAKE_WHY])
{
	char kept[NAME_SIZE], *to = h->name[h->count];
	bool wild = len > 2 && memcmp(word, "*.", 2) == 0;
	const char *wrong;

	if (h->count == MAKE_NAMES) {
		snprintf(why, MAKE_WHY, "more than %d names", MAKE_NAMES);
		return false;
	}
	wrong = name_normal(word + (wild ? 2 : 0), len - (wild ? 2 : 0), false, kept);
	if (wrong != NULL) {
		snprintf(why, MAKE_WHY, "the name \"%.*s\" %s", len < 260 ? (int)len : 260, word, wrong);
		return false;
	}
	snprintf(to, sizeof(h->name[0]), "%s%s", wild ? "*." : "", kept);
	for (size_t i = 0; i < h->count; i++)
		if (strcmp(h->name[i], to) == 0)
			return true;
	h->count++;
	return true;
}

bool
make_names(struct host_names *h, const char *list, char why[MAKE_WHY])
{
	size_t len, end;

	for (;; list += len + 1) {
		list += strspn(list, " \t");
		len = strcspn(list, ",");
		for (end = len; end > 0 && (list[end - 1] == ' ' || list[end - 1] == '\t'); end--)
			continue;
		if (!add_name(h, list, end, why))
			return false;
		if (list[len] == '\0')
			return true;
	}
}

/* ---- keys ---- */

EVP_PKEY *
make_key(unsigned bits, char why[MAKE_WHY])
{
	EVP_PKEY *key = bits > 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits) :
	    EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");

	if (key == NULL)
		snprintf(why, MAKE_WHY, "OpenSSL cannot make a key: %s",
		    ERR_reason_error_string(ERR_peek_last_error()));
	return key;
}

const char *
make_key_text(const EVP_PKEY *key, char buf[32])
{
	char group[32];
	size_t len;

	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
	    EVP_PKEY_get_group_name(key, group, sizeof(group), &len) == 1) {
		const char *nist = EC_curve_nid2nist(OBJ_sn2nid(group));

		snprintf(buf, 32, "EC %.24s", nist != NULL ? nist : group);
	} else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
		snprintf(buf, 32, "RSA %d", EVP_PKEY_get_bits(key));
	} else {
		snprintf(buf, 32, "%.31s", EVP_PKEY_get0_type_name(key));
	}
	return buf;
}

/* Ed25519 and Ed448 have their digest inside. */
static const EVP_MD *
digest_for(const EVP_PKEY *key)
{
	int type = EVP_PKEY_get_base_id(key);

	return type == EVP_PKEY_ED25519 || type == EVP_PKEY_ED448 ? NULL : EVP_sha256();
}

/* ---- what certificates and requests have in common ---- */

static GENERAL_NAMES *
alt_names(const struct host_names *h)
{
	GENERAL_NAMES *all = GENERAL_NAMES_new();

	for (size_t i = 0; all != NULL && i < h->count; i++) {
		GENERAL_NAME *g = GENERAL_NAME_new();
		ASN1_IA5STRING *text = ASN1_IA5STRING_new();

		if (g == NULL || text == NULL || ASN1_STRING_set(text, h->name[i], -1) != 1 ||
		    sk_GENERAL_NAME_push(all, g) <= 0) {
			GENERAL_NAME_free(g);
			ASN1_IA5STRING_free(text);
			GENERAL_NAMES_free(all);
			return NULL;
		}
		GENERAL_NAME_set0_value(g, GEN_DNS, text);
	}
	return all;
}

static bool
add_value(STACK_OF(X509_EXTENSION) **list, int nid, bool critical, const char *value)
{
	char text[128];
	X509_EXTENSION *e;
	bool ok;

	snprintf(text, sizeof(text), "%s%s", critical ? "critical," : "", value);
	e = X509V3_EXT_conf_nid(NULL, NULL, nid, text);
	ok = e != NULL && X509v3_add_ext(list, e, -1) != NULL;
	X509_EXTENSION_free(e);
	return ok;
}

/* RFC 5280 4.2.1: for a host that serves and sends mail, and for no CA. */
static STACK_OF(X509_EXTENSION) *
extensions(const EVP_PKEY *key, const struct host_names *h, bool subject)
{
	STACK_OF(X509_EXTENSION) *list = NULL;
	GENERAL_NAMES *names = alt_names(h);
	X509_EXTENSION *e = NULL;
	bool ok;

	/* 4.2.1.6: critical where the subject is empty. */
	if (names != NULL)
		e = X509V3_EXT_i2d(NID_subject_alt_name, subject ? 0 : 1, names);
	ok = e != NULL && X509v3_add_ext(&list, e, -1) != NULL &&
	    add_value(&list, NID_basic_constraints, true, "CA:FALSE") &&
	    add_value(&list, NID_key_usage, true, EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA ?
	    "digitalSignature,keyEncipherment" : "digitalSignature") &&
	    add_value(&list, NID_ext_key_usage, false, "serverAuth,clientAuth");
	X509_EXTENSION_free(e);
	GENERAL_NAMES_free(names);
	if (!ok) {
		sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
		return NULL;
	}
	return list;
}

/* The first name, where it fits.  False: out of memory. */
static bool
common_name(X509_NAME *to, const struct host_names *h)
{
	if (h->count == 0 || strlen(h->name[0]) > CN_MAX)
		return true;
	return X509_NAME_add_entry_by_NID(to, NID_commonName, MBSTRING_UTF8,
	    (const unsigned char *)h->name[0], -1, -1, 0) == 1;
}

/* ---- certificates ---- */

/* RFC 5280 4.1.2.2: positive, at most 20 octets; nobody may guess it. */
static bool
random_serial(X509 *x)
{
	unsigned char octets[16];
	BIGNUM *n = NULL;
	bool ok = false;

	if (RAND_bytes(octets, sizeof(octets)) == 1) {
		octets[0] = (unsigned char)((octets[0] & 0x3f) | 0x40);
		n = BN_bin2bn(octets, sizeof(octets), NULL);
		ok = n != NULL && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
	}
	BN_free(n);
	return ok;
}

static bool
fill(X509 *x, EVP_PKEY *key, const struct host_names *h, unsigned days)
{
	STACK_OF(X509_EXTENSION) *list = NULL;
	X509_NAME *subject = X509_get_subject_name(x);
	time_t now = time(NULL);
	bool ok = X509_set_version(x, X509_VERSION_3) == 1 && random_serial(x) &&
	    common_name(subject, h) && X509_set_issuer_name(x, subject) == 1 &&
	    X509_set_pubkey(x, key) == 1 &&
	    X509_time_adj_ex(X509_getm_notBefore(x), 0, -SLOW_CLOCK, &now) != NULL &&
	    X509_time_adj_ex(X509_getm_notAfter(x), (int)days, 0, &now) != NULL &&
	    (list = extensions(key, h, X509_NAME_entry_count(subject) > 0)) != NULL;

	for (int i = 0; ok && i < sk_X509_EXTENSION_num(list); i++)
		ok = X509_add_ext(x, sk_X509_EXTENSION_value(list, i), -1) == 1;
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	return ok;
}

X509 *
make_certificate(EVP_PKEY *key, const struct host_names *h, unsigned days, char why[MAKE_WHY])
{
	X509 *x = X509_new();

	if (x != NULL && fill(x, key, h, days) && X509_sign(x, key, digest_for(key)) > 0)
		return x;
	snprintf(why, MAKE_WHY, "OpenSSL cannot make the certificate: %s",
	    ERR_reason_error_string(ERR_peek_last_error()));
	X509_free(x);
	return NULL;
}

/* ---- requests ---- */

/* One "TYPE=value" of a subject; a backslash takes the next character as it is. */
static bool
add_part(X509_NAME *to, const char *part, size_t len, char why[MAKE_WHY])
{
	char type[64], value[256];
	const char *eq = memchr(part, '=', len);
	size_t n = 0;

	if (eq == NULL || (size_t)(eq - part) >= sizeof(type)) {
		snprintf(why, MAKE_WHY, "--subject: \"%.*s\" is not like CN=mx.example.org",
		    len < 200 ? (int)len : 200, part);
		return false;
	}
	memcpy(type, part, (size_t)(eq - part));
	type[eq - part] = '\0';
	for (eq++; eq < part + len; eq++) {
		if (*eq == '\\' && eq + 1 < part + len)
			eq++;
		if (n == sizeof(value) - 1) {
			snprintf(why, MAKE_WHY, "--subject: %s is longer than %zu octets", type,
			    sizeof(value) - 1);
			return false;
		}
		value[n++] = *eq;
	}
	value[n] = '\0';
	if (OBJ_txt2nid(type) == NID_undef) {
		snprintf(why, MAKE_WHY, "--subject: there is no attribute \"%s\"; usual are C, ST, L, O, "
		    "OU and CN", type);
		return false;
	}
	if (X509_NAME_add_entry_by_txt(to, type, MBSTRING_UTF8, (const unsigned char *)value, (int)n,
	    -1, 0) != 1) {
		snprintf(why, MAKE_WHY, "--subject: %s = \"%.100s\" does not fit: %s", type, value,
		    ERR_reason_error_string(ERR_peek_last_error()));
		return false;
	}
	return true;
}

static bool
set_subject(X509_NAME *to, const char *subject, char why[MAKE_WHY])
{
	char separator = ',';
	size_t len;

	if (*subject == '/') {
		separator = '/';
		subject++;
	}
	for (;; subject += len + 1) {
		subject += strspn(subject, " ");
		for (len = 0; subject[len] != '\0' && subject[len] != separator; len++)
			if (subject[len] == '\\' && subject[len + 1] != '\0')
				len++;
		if (!add_part(to, subject, len, why))
			return false;
		if (subject[len] == '\0')
			return true;
	}
}

X509_REQ *
make_request(EVP_PKEY *key, const struct host_names *h, const char *subject, char why[MAKE_WHY])
{
	STACK_OF(X509_EXTENSION) *list = NULL;
	X509_REQ *req = X509_REQ_new();
	X509_NAME *name = req != NULL ? X509_REQ_get_subject_name(req) : NULL;

	why[0] = '\0';
	if (name != NULL && (subject != NULL ? set_subject(name, subject, why) :
	    common_name(name, h)) && X509_REQ_set_version(req, X509_REQ_VERSION_1) == 1 &&
	    X509_REQ_set_pubkey(req, key) == 1 &&
	    (list = extensions(key, h, X509_NAME_entry_count(name) > 0)) != NULL &&
	    X509_REQ_add_extensions(req, list) == 1 &&
	    X509_REQ_sign(req, key, digest_for(key)) > 0) {
		sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
		return req;
	}
	if (why[0] == '\0')
		snprintf(why, MAKE_WHY, "OpenSSL cannot make the request: %s",
		    ERR_reason_error_string(ERR_peek_last_error()));
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	X509_REQ_free(req);
	return NULL;
}

/* ---- PEM ---- */

BIO *
make_key_pem(EVP_PKEY *key)
{
	BIO *b = BIO_new(BIO_s_secmem());	/* like BIO_s_mem, but always cleansed */

	if (b != NULL && PEM_write_bio_PKCS8PrivateKey(b, key, NULL, NULL, 0, NULL, NULL) == 1)
		return b;
	BIO_free(b);
	return NULL;
}

BIO *
make_chain_pem(STACK_OF(X509) *certs)
{
	BIO *b = BIO_new(BIO_s_mem());

	for (int i = 0; b != NULL && i < sk_X509_num(certs); i++)
		if (PEM_write_bio_X509(b, sk_X509_value(certs, i)) != 1) {
			BIO_free(b);
			return NULL;
		}
	return b;
}
