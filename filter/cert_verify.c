/* See cert_verify.h. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509_vfy.h>

#include "ca.h"
#include "cert_file.h"
#include "cert_verify.h"
#include "pem_scan.h"

#define CAS_MAX 64		/* kept at once; the longest unused goes */
#define PIN_FILES_MAX 256
#define VERDICTS_MAX 8		/* a session meets its base's, its peer's and its domains' */

struct cached_ca {
	char *name;
	struct ca *ca;		/* NULL: could not be loaded */
	uint64_t used;
};

struct cached_pins {
	char *path;
	struct file_id id;
	unsigned char (*digests)[32];
	size_t n;
	uint64_t used;
};

struct cert_verifier {
	struct cached_ca cas[CAS_MAX];
	struct cached_pins pins[PIN_FILES_MAX];
	uint64_t clock;		/* counts uses */
	bool warm;
};

struct known {
	const struct rule *ca;
	struct trust trust;
	char detail[256];
};

struct cert_client {
	struct cert_verifier *verifier;
	const struct settings *settings;
	X509 *leaf;
	STACK_OF(X509) *chain;
	bool has_fingerprint, has_spki;
	unsigned char fingerprint[32], spki[32];
	struct cert_names names;
	char cn[CERT_NAME_SIZE];
	bool chain_unknown, starved;	/* starved: OpenSSL may have kept less than there is */
	bool trusted, refused;		/* by a CA, since the facts were last asked for */
	size_t nknown;
	struct known known[VERDICTS_MAX];	/* not cleared: few certificates need all */
};

struct cert_verifier *
cert_verifier_new(void)
{
	return calloc(1, sizeof(struct cert_verifier));
}

static void
drop_ca(struct cached_ca *c)
{
	ca_free(c->ca);
	free(c->name);
	memset(c, 0, sizeof(*c));
}

static void
drop_pins(struct cached_pins *c)
{
	free(c->path);
	free(c->digests);
	memset(c, 0, sizeof(*c));
}

void
cert_verifier_free(struct cert_verifier *v)
{
	if (v == NULL)
		return;
	for (size_t i = 0; i < CAS_MAX; i++)
		drop_ca(&v->cas[i]);
	for (size_t i = 0; i < PIN_FILES_MAX; i++)
		drop_pins(&v->pins[i]);
	free(v);
}

/* ---- CAs ---- */

static struct cached_ca *
ca_slot(struct cert_verifier *v, const char *name)
{
	struct cached_ca *oldest = &v->cas[0];

	for (size_t i = 0; i < CAS_MAX; i++) {
		struct cached_ca *c = &v->cas[i];

		if (c->name != NULL && strcmp(c->name, name) == 0)
			return c;
		if (c->used < oldest->used)
			oldest = c;
	}
	drop_ca(oldest);
	if ((oldest->name = strdup(name)) == NULL)
		return NULL;
	return oldest;
}

static struct ca *
ca_get(struct cert_verifier *v, const struct settings *s, const struct rule *rule,
    char *why, size_t whysize)
{
	const char *bundle = settings_text(s, rule, KEY_FILE);
	const char *crl = settings_text(s, rule, KEY_CRL);
	bool clients = settings_value(rule, KEY_PURPOSE) == PURPOSE_CLIENT;
	struct cached_ca *c = ca_slot(v, settings_name(s, rule));

	if (c == NULL || bundle == NULL) {
		snprintf(why, whysize, c == NULL ? "out of memory" : "the ca has no file");
		return NULL;
	}
	c->used = ++v->clock;
	if (c->ca == NULL || !ca_current(c->ca, bundle, crl, clients)) {
		ca_free(c->ca);
		c->ca = ca_load(bundle, crl, clients, why, whysize);
	}
	return c->ca;
}

/* To be loaded anew at the next need. */
static void
forget_ca(struct cert_verifier *v, const struct ca *ca)
{
	for (size_t i = 0; i < CAS_MAX; i++)
		if (v->cas[i].ca == ca)
			drop_ca(&v->cas[i]);
}

void
cert_verifier_warm(struct cert_verifier *v, const struct settings *s)
{
	const struct rule *rule;
	struct ca *ca;
	char why[256];

	for (size_t i = 0; i < CAS_MAX && (rule = settings_at(s, SEC_CA, i)) != NULL; i++) {
		ca = ca_get(v, s, rule, why, sizeof(why));
		if (ca == NULL)
			continue;
		ca_hash(ca);
		if (!v->warm)
			ca_warm(ca);
		v->warm = true;
	}
}

enum reason
cert_reason(int e)
{
	switch (e) {
	case X509_V_OK:
		return REASON_NONE;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return REASON_CERT_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return REASON_CERT_NOT_YET;
	case X509_V_ERR_CERT_REVOKED:
		return REASON_CERT_REVOKED;
	case X509_V_ERR_INVALID_PURPOSE:
		return REASON_CERT_PURPOSE;
	/* Faults of our own CRL or process: they say nothing about the certificate. */
	case X509_V_ERR_UNABLE_TO_GET_CRL:
	case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
	case X509_V_ERR_CRL_HAS_EXPIRED:
	case X509_V_ERR_CRL_NOT_YET_VALID:
	case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
	case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
	case X509_V_ERR_CRL_SIGNATURE_FAILURE:
	case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
	case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
	case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
	case X509_V_ERR_DIFFERENT_CRL_SCOPE:
	case X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
	case X509_V_ERR_OUT_OF_MEM:
	case X509_V_ERR_INVALID_CALL:
	case X509_V_ERR_STORE_LOOKUP:
	case X509_V_ERR_UNSPECIFIED:
		return REASON_CERT_UNKNOWN;
	default:
		return REASON_CERT_UNTRUSTED;
	}
}

/* Does it mean no more than that an issuer is not at hand? */
static bool
lacks_issuer(int e)
{
	return e == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
	    e == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
	    e == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}

static void
ask_ca(struct cert_client *cl, const struct rule *rule, struct known *k)
{
	struct ca *ca = ca_get(cl->verifier, cl->settings, rule, k->detail, sizeof(k->detail));
	int e;

	k->trust.why = REASON_CERT_UNKNOWN;
	if (ca == NULL)
		return;
	e = ca_verify(ca, cl->leaf, cl->chain);
	if (e == X509_V_ERR_OUT_OF_MEM) {
		forget_ca(cl->verifier, ca);
		cl->starved = true;
	} else if (e != X509_V_OK && cl->starved) {
		e = X509_V_ERR_OUT_OF_MEM;
	}
	if (cl->chain_unknown && lacks_issuer(e)) {
		snprintf(k->detail, sizeof(k->detail), "the session is resumed, its chain is not known");
		return;
	}
	k->trust.trusted = e == X509_V_OK;
	k->trust.why = cert_reason(e);
	snprintf(k->detail, sizeof(k->detail), "%s", X509_verify_cert_error_string(e));
}

static const struct known *
known_of(struct cert_client *cl, const struct rule *rule)
{
	struct known *k;

	for (size_t i = 0; i < cl->nknown; i++)
		if (cl->known[i].ca == rule)
			return &cl->known[i];
	k = &cl->known[cl->nknown < VERDICTS_MAX ? cl->nknown++ : VERDICTS_MAX - 1];
	memset(k, 0, sizeof(*k));
	k->ca = rule;
	k->trust.detail = k->detail;
	ask_ca(cl, rule, k);
	return k;
}

static void
client_verify(void *arg, const struct rule *rule, struct trust *t)
{
	struct cert_client *cl = arg;

	*t = known_of(cl, rule)->trust;
	if (t->trusted)
		cl->trusted = true;
	else
		cl->refused = true;
}

bool
cert_client_trusted(const struct cert_client *cl)
{
	return cl->trusted && !cl->refused;
}

/* ---- pins ---- */

static struct cached_pins *
pins_slot(struct cert_verifier *v, const char *path)
{
	struct cached_pins *oldest = &v->pins[0];

	for (size_t i = 0; i < PIN_FILES_MAX; i++) {
		struct cached_pins *c = &v->pins[i];

		if (c->path != NULL && strcmp(c->path, path) == 0)
			return c;
		if (c->used < oldest->used)
			oldest = c;
	}
	drop_pins(oldest);
	if ((oldest->path = strdup(path)) == NULL)
		return NULL;
	return oldest;
}

static bool
load_pins(struct cached_pins *c, char *why, size_t whysize)
{
	struct pem_file f;
	char what[200];

	free(c->digests);
	c->digests = NULL;
	c->n = 0;
	if (!pem_load(c->path, "CERTIFICATE", CA_FILE_MAX, &f, what, sizeof(what))) {
		snprintf(why, whysize, "%s: %s", c->path, what);
		return false;
	}
	if ((c->digests = calloc(f.n, sizeof(c->digests[0]))) == NULL)
		snprintf(why, whysize, "out of memory");
	for (size_t i = 0; c->digests != NULL && i < f.n; i++)
		if (EVP_Digest(f.entries[i].p, f.entries[i].len, c->digests[c->n], NULL,
		    EVP_sha256(), NULL) == 1)
			c->n++;
	c->id = f.id;
	pem_free(&f);
	return c->digests != NULL;
}

bool
cert_file_pins(struct cert_verifier *v, const char *certs, const unsigned char fingerprint[32],
    char *why, size_t whysize)
{
	struct cached_pins *c = pins_slot(v, certs);
	struct file_id now;

	snprintf(why, whysize, "%s", c == NULL ? "out of memory" : "");
	if (c == NULL)
		return false;
	c->used = ++v->clock;
	if ((c->digests == NULL || !file_identify(certs, &now) || !file_id_equal(&now, &c->id)) &&
	    !load_pins(c, why, whysize))
		return false;
	for (size_t i = 0; i < c->n; i++)
		if (memcmp(c->digests[i], fingerprint, 32) == 0)
			return true;
	return false;
}

static int
client_pinned(void *arg, const char *certs)
{
	struct cert_client *cl = arg;
	char why[256];

	if (!cl->has_fingerprint)
		return -1;
	if (cert_file_pins(cl->verifier, certs, cl->fingerprint, why, sizeof(why)))
		return 1;
	return why[0] == '\0' ? 0 : -1;
}

/* ---- one client ---- */

/* False: out of memory. */
static bool
describe(struct cert_client *cl, const unsigned char *der, size_t len)
{
	if (!cert_names_read(cl->leaf, &cl->names))
		return false;
	cert_common_name(cl->leaf, cl->cn);
	cl->has_fingerprint = EVP_Digest(der, len, cl->fingerprint, NULL, EVP_sha256(), NULL) == 1;
	cl->has_spki = cert_spki_digest(cl->leaf, cl->spki);
	ERR_clear_error();
	return true;
}

struct cert_client *
cert_client_new(struct cert_verifier *v, const unsigned char *der, size_t len,
    char *why, size_t whysize)
{
	struct cert_client *cl = malloc(sizeof(*cl));
	bool starved = cl == NULL;

	if (cl != NULL) {
		memset(cl, 0, offsetof(struct cert_client, known));
		cl->verifier = v;
		errno = EINVAL;
		if (len <= CLIENT_DER_MAX)
			cl->leaf = cert_parse_der(der, len);
		if (cl->leaf != NULL && describe(cl, der, len))
			return cl;
		starved = cl->leaf != NULL || errno == ENOMEM;
	}
	if (starved)
		snprintf(why, whysize, "out of memory");
	else
		snprintf(why, whysize, len > CLIENT_DER_MAX ? "the client's certificate has %zu octets" :
		    "what the client sent is no certificate (%zu octets)", len);
	cert_client_free(cl);
	errno = starved ? ENOMEM : EINVAL;
	return NULL;
}

/* False: out of memory. */
static bool
push(struct cert_client *cl, X509 *x)
{
	if (cl->chain == NULL)
		cl->chain = sk_X509_new_null();
	if (cl->chain != NULL && sk_X509_push(cl->chain, x) > 0)
		return true;
	X509_free(x);
	return false;
}

void
cert_client_add(struct cert_client *cl, const unsigned char *der, size_t len)
{
	X509 *x;

	if (len > CLIENT_DER_MAX ||
	    (cl->chain != NULL && sk_X509_num(cl->chain) >= CLIENT_CHAIN_MAX))
		return;
	cl->nknown = 0;
	x = cert_parse_der(der, len);
	if (x != NULL ? !push(cl, x) : errno == ENOMEM)
		cl->chain_unknown = true;
}

void
cert_client_chain_unknown(struct cert_client *cl)
{
	cl->chain_unknown = true;
	cl->nknown = 0;
}

void
cert_client_free(struct cert_client *cl)
{
	if (cl == NULL)
		return;
	X509_free(cl->leaf);
	cert_names_free(&cl->names);
	sk_X509_pop_free(cl->chain, X509_free);
	free(cl);
}

void
cert_client_facts(struct cert_client *cl, const struct settings *s, struct cert_facts *f)
{
	if (cl->settings != s) {
		cl->settings = s;
		cl->nknown = 0;		/* verdicts are kept by rule, and rules are s's */
	}
	cl->trusted = cl->refused = false;
	f->has_names = true;
	f->names = cl->names.name;
	f->nnames = cl->names.n;
	f->any_names = cl->names.any;
	f->cn = cl->cn[0] != '\0' ? cl->cn : NULL;
	f->has_fingerprint = cl->has_fingerprint;
	f->has_spki = cl->has_spki;
	memcpy(f->fingerprint, cl->fingerprint, 32);
	memcpy(f->spki, cl->spki, 32);
	f->verify = client_verify;
	f->pinned = client_pinned;
	f->arg = cl;
}
