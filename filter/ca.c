/* See ca.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "ca.h"
#include "cert_file.h"
#include "cert_sample.h"
#include "crl.h"
#include "pem_scan.h"

#define DEPTH_MAX 10		/* intermediates */
/* 112 bits, as Debian's TLS stack asks of its peers: no RSA 1024, no SHA-1. */
#define SECURITY_LEVEL 2

struct root {
	struct der subject;	/* whole TLV */
	X509_NAME *name;	/* parsed when some name was not found by its DER */
	bool loaded;		/* is in the store */
};

struct ca {
	char *bundle_path, *crl_path;
	bool clients_only;
	struct pem_file bundle, crls;
	struct root *roots;	/* bundle.n of them */
	bool partial;		/* this try may end at any certificate of the bundle */
	int lacking;		/* why one that was needed could not be loaded: X509_V_ERR_*, or X509_V_OK */
	X509_STORE *store;
};

static int store_slot = -1;	/* ex_data: the struct ca of a store */

/* Certificate: tbsCertificate: [0] version?, serial, signature, issuer, validity, subject. */
static bool
subject_of(const struct der *cert, struct der *subject)
{
	struct der in = *cert, body, tbs, skip;

	if (!der_take(&in, 0x30, &body) || !der_take(&body, 0x30, &tbs))
		return false;
	(void)der_take(&tbs, 0xa0, &skip);
	for (int i = 0; i < 4; i++)
		if (!der_skip(&tbs, &skip))
			return false;
	return der_skip(&tbs, subject);
}

/* What cannot be loaded is tried again at the next need: memory may be there then. */
static void
load_root(struct ca *ca, size_t i)
{
	const struct der *der = &ca->bundle.entries[i];
	X509 *x = cert_parse_der(der->p, der->len);

	if (x == NULL)
		ca->lacking = errno == ENOMEM ? X509_V_ERR_OUT_OF_MEM : X509_V_ERR_STORE_LOOKUP;
	else if (X509_STORE_add_cert(ca->store, x) != 1)
		ca->lacking = X509_V_ERR_OUT_OF_MEM;
	else
		ca->roots[i].loaded = true;
	X509_free(x);
}

/*
 * Brings the bundle's certificates of that name into the store.  The DER of
 * the two names is nearly always the same; where none is, names are compared
 * as RFC 5280 7.1 has it, in another case or spacing.
 */
static void
load_name(struct ca *ca, const X509_NAME *name)
{
	const unsigned char *der;
	size_t len;
	bool any = false;

	if (X509_NAME_get0_der(name, &der, &len) != 1)
		return;
	for (size_t i = 0; i < ca->bundle.n; i++) {
		struct root *r = &ca->roots[i];

		if (r->subject.len != len || memcmp(r->subject.p, der, len) != 0)
			continue;
		any = true;
		if (!r->loaded)
			load_root(ca, i);
	}
	for (size_t i = 0; !any && i < ca->bundle.n; i++) {
		struct root *r = &ca->roots[i];
		const unsigned char *p = r->subject.p;

		if (r->name == NULL)
			r->name = d2i_X509_NAME(NULL, &p, (long)r->subject.len);
		if (!r->loaded && r->name != NULL && X509_NAME_cmp(r->name, name) == 0)
			load_root(ca, i);
	}
}

static struct ca *
ca_of(const X509_STORE_CTX *ctx)
{
	return X509_STORE_get_ex_data(X509_STORE_CTX_get0_store(ctx), store_slot);
}

static int
get_issuer(X509 **issuer, X509_STORE_CTX *ctx, X509 *x)
{
	load_name(ca_of(ctx), X509_get_issuer_name(x));
	return X509_STORE_CTX_get1_issuer(issuer, ctx, x);
}

static STACK_OF(X509) *
lookup_certs(X509_STORE_CTX *ctx, const X509_NAME *name)
{
	load_name(ca_of(ctx), name);
	return X509_STORE_CTX_get1_certs(ctx, name);
}

/* A chain that ends below a root ends at a CA whose own CRL nobody here can check. */
static bool
end_of_partial(X509_STORE_CTX *ctx, int depth)
{
	return ca_of(ctx)->partial && depth > 0 &&
	    depth == sk_X509_num(X509_STORE_CTX_get0_chain(ctx)) - 1;
}

/*
 * A missing CRL matters for the leaf only: who publishes one for the leaf's
 * issuer need not have one for every CA above.
 */
static int
judged(int ok, X509_STORE_CTX *ctx)
{
	int depth = X509_STORE_CTX_get_error_depth(ctx);
	bool pass;

	if (ok)
		return ok;
	switch (X509_STORE_CTX_get_error(ctx)) {
	case X509_V_ERR_UNABLE_TO_GET_CRL:
		pass = depth > 0;
		break;
	case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
	case X509_V_ERR_CRL_SIGNATURE_FAILURE:
	case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
	case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
	case X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
		pass = end_of_partial(ctx, depth);
		break;
	default:
		pass = false;
	}
	if (pass)
		X509_STORE_CTX_set_error(ctx, X509_V_OK);
	return pass;
}

static bool
make_store(struct ca *ca)
{
	X509_VERIFY_PARAM *param;
	if (store_slot == -1)
		store_slot = X509_STORE_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	if (store_slot == -1 || (ca->store = X509_STORE_new()) == NULL ||
	    X509_STORE_set_ex_data(ca->store, store_slot, ca) != 1)
		return false;
	param = X509_STORE_get0_param(ca->store);
	if (ca->crls.n > 0)
		X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	X509_VERIFY_PARAM_set_depth(param, DEPTH_MAX);
	X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
	if (ca->clients_only)
		X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT);
	X509_STORE_set_get_issuer(ca->store, get_issuer);
	X509_STORE_set_lookup_certs(ca->store, lookup_certs);
	X509_STORE_set_verify_cb(ca->store, judged);
	return true;
}

static bool
add_crls(struct ca *ca, char *why, size_t whysize)
{
	for (size_t i = 0; i < ca->crls.n; i++) {
		X509_CRL *crl = crl_open(&ca->crls.entries[i]);
		int ok = crl != NULL && X509_STORE_add_crl(ca->store, crl) == 1;

		X509_CRL_free(crl);
		if (!ok) {
			snprintf(why, whysize, "%s: CRL %zu of it is malformed; fetch it again",
			    ca->crl_path, i + 1);
			return false;
		}
	}
	return true;
}

static bool
load_files(struct ca *ca, char *why, size_t whysize)
{
	char what[200];

	if (!pem_load(ca->bundle_path, "CERTIFICATE", CA_FILE_MAX, &ca->bundle, what, sizeof(what))) {
		snprintf(why, whysize, "%s: %s", ca->bundle_path, what);
		return false;
	}
	if (ca->crl_path != NULL &&
	    !pem_load(ca->crl_path, "X509 CRL", CRL_FILE_MAX, &ca->crls, what, sizeof(what))) {
		snprintf(why, whysize, "%s: %s", ca->crl_path, what);
		return false;
	}
	if ((ca->roots = calloc(ca->bundle.n, sizeof(*ca->roots))) == NULL) {
		snprintf(why, whysize, "out of memory");
		return false;
	}
	for (size_t i = 0; i < ca->bundle.n; i++)
		if (!subject_of(&ca->bundle.entries[i], &ca->roots[i].subject)) {
			snprintf(why, whysize, "%s: certificate %zu of it is malformed",
			    ca->bundle_path, i + 1);
			return false;
		}
	return true;
}

struct ca *
ca_load(const char *bundle, const char *crl, bool clients_only, char *why, size_t whysize)
{
	struct ca *ca = calloc(1, sizeof(*ca));

	if (ca == NULL || (ca->bundle_path = strdup(bundle)) == NULL ||
	    (crl != NULL && (ca->crl_path = strdup(crl)) == NULL)) {
		snprintf(why, whysize, "out of memory");
		ca_free(ca);
		return NULL;
	}
	ca->clients_only = clients_only;
	if (!load_files(ca, why, whysize))
		goto fail;
	if (!make_store(ca)) {
		snprintf(why, whysize, "out of memory");
		goto fail;
	}
	if (add_crls(ca, why, whysize))
		return ca;
fail:
	ca_free(ca);
	ERR_clear_error();
	return NULL;
}

void
ca_free(struct ca *ca)
{
	if (ca == NULL)
		return;
	X509_STORE_free(ca->store);
	for (size_t i = 0; ca->roots != NULL && i < ca->bundle.n; i++)
		X509_NAME_free(ca->roots[i].name);
	free(ca->roots);
	pem_free(&ca->bundle);
	pem_free(&ca->crls);
	free(ca->bundle_path);
	free(ca->crl_path);
	free(ca);
}

static bool
same_file(const char *have, const char *want, const struct file_id *id)
{
	struct file_id now;

	if (have == NULL || want == NULL)
		return have == want;
	return strcmp(have, want) == 0 && file_identify(want, &now) && file_id_equal(&now, id);
}

bool
ca_current(const struct ca *ca, const char *bundle, const char *crl, bool clients_only)
{
	return ca->clients_only == clients_only &&
	    same_file(ca->bundle_path, bundle, &ca->bundle.id) &&
	    same_file(ca->crl_path, crl, &ca->crls.id);
}

void
ca_hash(struct ca *ca)
{
	STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(ca->store);
	X509_CRL *crl;

	for (int i = 0; i < sk_X509_OBJECT_num(all); i++)
		if ((crl = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(all, i))) != NULL)
			crl_hash(crl);
}

/* A verification of that certificate, whatever comes of it. */
static void
verify_for_nothing(struct ca *ca, const unsigned char *der, size_t len)
{
	X509 *x = d2i_X509(NULL, &der, (long)len);

	if (x != NULL) {
		(void)X509_self_signed(x, 1);
		(void)ca_verify(ca, x, NULL);
	}
	X509_free(x);
}

void
ca_warm(struct ca *ca)
{
	unsigned char *sample;
	size_t len;

	verify_for_nothing(ca, ca->bundle.entries[0].p, ca->bundle.entries[0].len);
	if ((sample = cert_sample(&len)) != NULL)
		verify_for_nothing(ca, sample, len);
	OPENSSL_free(sample);
	ERR_clear_error();
}

static int
verify_once(struct ca *ca, X509 *leaf, STACK_OF(X509) *untrusted, bool partial)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int rc = X509_V_ERR_OUT_OF_MEM;

	ca->partial = partial;
	ca->lacking = X509_V_OK;
	ERR_clear_error();
	if (ctx != NULL && X509_STORE_CTX_init(ctx, ca->store, leaf, untrusted) == 1) {
		if (partial)
			X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN);
		if (X509_verify_cert(ctx) == 1) {
			rc = X509_V_OK;
		} else {
			rc = X509_STORE_CTX_get_error(ctx);
			if (rc == X509_V_OK)
				rc = X509_V_ERR_UNSPECIFIED;
			/* whatever it says then, it may be for want of what is not there */
			if (ca->lacking != X509_V_OK)
				rc = ca->lacking;
			else if (cert_out_of_memory())
				rc = X509_V_ERR_OUT_OF_MEM;
		}
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return rc;
}

/*
 * With CRLs up to a root first: where OpenSSL may end at an intermediate of the
 * bundle, it does, and then has nobody to check that one's CRL by.
 */
int
ca_verify(struct ca *ca, X509 *leaf, STACK_OF(X509) *untrusted)
{
	int rc;

	if (ca->crls.n == 0)
		return verify_once(ca, leaf, untrusted, true);
	switch (rc = verify_once(ca, leaf, untrusted, false)) {
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return verify_once(ca, leaf, untrusted, true);
	default:
		return rc;
	}
}
