/* See cert_chain.h. */
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "cert_chain.h"

/* Takes note of a link that is missing; nothing else ends the building of a chain. */
static int
judged(int ok, X509_STORE_CTX *ctx)
{
	bool *complete = X509_STORE_CTX_get_app_data(ctx);

	if (ok)
		return 1;
	switch (X509_STORE_CTX_get_error(ctx)) {
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		*complete = false;
		break;
	default:
		break;
	}
	return 1;
}

static bool
valid(const X509 *x, time_t now)
{
	return X509_cmp_time(X509_get0_notBefore(x), &now) < 0 &&
	    X509_cmp_time(X509_get0_notAfter(x), &now) > 0;
}

/* What a chain may end at; each is asked for when the ones before it did not do. */
enum trust { FILE_VALID, AND_SYSTEM, AND_FILE_ANY, TRUSTS };

/* The self-signed certificates of the file; the system's, of which a bundle may have to be read. */
static X509_STORE *
roots(STACK_OF(X509) *file, time_t now, enum trust trust)
{
	X509_STORE *store = X509_STORE_new();

	if (store == NULL || (trust >= AND_SYSTEM && X509_STORE_set_default_paths(store) != 1))
		goto fail;
	for (int i = 0; i < sk_X509_num(file); i++) {
		X509 *x = sk_X509_value(file, i);

		if (X509_self_signed(x, 0) == 1 && (trust == AND_FILE_ANY || valid(x, now)) &&
		    X509_STORE_add_cert(store, x) != 1)
			goto fail;
	}
	return store;
fail:
	X509_STORE_free(store);
	return NULL;
}

static bool
build(STACK_OF(X509) *file, time_t now, enum trust trust, struct cert_chain *c)
{
	X509_STORE *store = roots(file, now, trust);
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool ok = false;

	cert_chain_free(c);
	c->complete = true;
	if (store == NULL || ctx == NULL ||
	    X509_STORE_CTX_init(ctx, store, sk_X509_value(file, 0), file) != 1)
		goto out;
	X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), now);
	X509_STORE_CTX_set_app_data(ctx, &c->complete);
	X509_STORE_CTX_set_verify_cb(ctx, judged);
	if (X509_verify_cert(ctx) != 1)
		c->complete = false;
	c->used = X509_STORE_CTX_get1_chain(ctx);
	ok = c->used != NULL && sk_X509_num(c->used) > 0;
out:
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ERR_clear_error();
	return ok;
}

bool
cert_chain_build(STACK_OF(X509) *file, time_t now, struct cert_chain *c)
{
	memset(c, 0, sizeof(*c));
	for (enum trust t = FILE_VALID; t < TRUSTS && !c->complete; t++)
		if (!build(file, now, t, c))
			return false;
	return true;
}

void
cert_chain_free(struct cert_chain *c)
{
	sk_X509_pop_free(c->used, X509_free);
	memset(c, 0, sizeof(*c));
}
