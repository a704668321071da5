/* See cmd_cert_chain.h. */
#include <stdio.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "cert_file.h"
#include "cmd.h"
#include "cmd_cert_chain.h"

#define CHAIN_MAX 16	/* certificates of a chain; OpenSSL's clients take 100 */
#define LEVEL 2		/* Debian's security level: RSA from 2048 bits, SHA-2 */

const char *
chain_date(const ASN1_TIME *t, char buf[UTC_TEXT])
{
	return utc_text(cert_time(t), UTC_DAY, buf);
}

const char *
chain_name(const X509_NAME *name, char *buf, size_t size)
{
	const unsigned long how = ASN1_STRFLGS_UTF8_CONVERT | ASN1_STRFLGS_ESC_CTRL;
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1), n;
	BIO *b = BIO_new(BIO_s_mem());

	buf[0] = '\0';
	if (b == NULL)
		return buf;
	if (at >= 0)
		ASN1_STRING_print_ex(b, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)), how);
	else
		X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
	n = BIO_read(b, buf, (int)size - 1);
	buf[n > 0 ? n : 0] = '\0';
	BIO_free(b);
	return buf;
}

/* ---- sorting ---- */

static bool
in_time(X509 *x)
{
	return X509_cmp_current_time(X509_get0_notBefore(x)) < 0 &&
	    X509_cmp_current_time(X509_get0_notAfter(x)) > 0;
}

static bool
longer(X509 *a, X509 *b)
{
	return ASN1_TIME_compare(X509_get0_notAfter(a), X509_get0_notAfter(b)) > 0;
}

static X509 *
find_leaf(EVP_PKEY *key, STACK_OF(X509) *given)
{
	X509 *best = NULL;

	for (int i = 0; i < sk_X509_num(given); i++) {
		X509 *x = sk_X509_value(given, i);
		EVP_PKEY *its = X509_get0_pubkey(x);

		if (its == NULL || EVP_PKEY_eq(its, key) != 1)
			continue;
		if (best == NULL || (in_time(x) && !in_time(best)) ||
		    (in_time(x) == in_time(best) && longer(x, best)))
			best = x;
	}
	ERR_clear_error();
	return best;
}

static bool
issued(X509 *issuer, X509 *x)
{
	EVP_PKEY *key = X509_get0_pubkey(issuer);
	bool yes = key != NULL && X509_check_issued(issuer, x) == X509_V_OK && X509_verify(x, key) == 1;

	ERR_clear_error();
	return yes;
}

/*
 * Of several issuers (cross-signed CAs) the valid one, then the one that is
 * itself issued by somebody: who handed that over wants it sent.
 */
static X509 *
find_issuer(X509 *x, STACK_OF(X509) *given)
{
	X509 *best = NULL;

	for (int i = 0; i < sk_X509_num(given); i++) {
		X509 *y = sk_X509_value(given, i);
		bool root, best_root;

		if (y == x || !issued(y, x))
			continue;
		root = X509_self_signed(y, 0) == 1;
		best_root = best != NULL && X509_self_signed(best, 0) == 1;
		if (best == NULL || (in_time(y) && !in_time(best)) ||
		    (in_time(y) == in_time(best) && ((!root && best_root) ||
		    (root == best_root && longer(y, best)))))
			best = y;
	}
	return best;
}

static bool
contains(STACK_OF(X509) *certs, X509 *x)
{
	for (int i = 0; i < sk_X509_num(certs); i++)
		if (X509_cmp(sk_X509_value(certs, i), x) == 0)
			return true;
	return false;
}

static bool
append(STACK_OF(X509) *certs, X509 *x)
{
	if (X509_up_ref(x) != 1)
		return false;
	if (sk_X509_push(certs, x) > 0)
		return true;
	X509_free(x);
	return false;
}

/* ---- its end ---- */

static bool
system_issues(X509_STORE *system, X509 *x)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509 *issuer = NULL;
	bool yes = false;

	if (ctx != NULL && X509_STORE_CTX_init(ctx, system, x, NULL) == 1 &&
	    X509_STORE_CTX_get1_issuer(&issuer, ctx, x) == 1)
		yes = issued(issuer, x);
	X509_free(issuer);
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return yes;
}

static void
find_end(struct chain *c, X509_STORE *system)
{
	int n = sk_X509_num(c->certs);
	X509 *last = sk_X509_value(c->certs, n - 1), *below;
	bool root = X509_self_signed(last, 1) == 1;

	ERR_clear_error();
	if (root && n == 1) {
		c->end = CHAIN_SELF_SIGNED;
		return;
	}
	below = root ? sk_X509_value(c->certs, n - 2) : last;
	chain_name(X509_get_issuer_name(below), c->top, sizeof(c->top));
	if (system_issues(system, below)) {
		c->end = CHAIN_TRUSTED;
		if (root) {
			X509_free(sk_X509_pop(c->certs));
			c->root_left_out = true;
		}
	} else {
		c->end = root ? CHAIN_PRIVATE : CHAIN_INCOMPLETE;
	}
}

/* ---- its worth ---- */

static void
fault_text(struct chain *c, int error, int depth, X509 *x)
{
	char name[128] = "", date[UTC_TEXT];
	const char *whose = depth == 0 ? "the certificate" : "its issuer ";

	if (depth > 0 && x != NULL)
		chain_name(X509_get_subject_name(x), name, sizeof(name));
	if (error == X509_V_ERR_CERT_HAS_EXPIRED && x != NULL)
		snprintf(c->fault, sizeof(c->fault), "%s%s expired on %s; get a new one", whose, name,
		    chain_date(X509_get0_notAfter(x), date));
	else if (error == X509_V_ERR_CERT_NOT_YET_VALID && x != NULL)
		snprintf(c->fault, sizeof(c->fault), "%s%s is valid only from %s on; check the clock, "
		    "or wait", whose, name, chain_date(X509_get0_notBefore(x), date));
	else if (error == X509_V_ERR_INVALID_PURPOSE && depth == 0)
		snprintf(c->fault, sizeof(c->fault), "the certificate is not meant for a TLS server "
		    "(its extended key usage has no serverAuth); ask the CA for one that is");
	else if (error == X509_V_ERR_EE_KEY_TOO_SMALL)
		snprintf(c->fault, sizeof(c->fault), "its key is too short for OpenSSL's security "
		    "level %d; make a new one, EC P-256 or RSA from 2048 bits", LEVEL);
	else
		snprintf(c->fault, sizeof(c->fault), "%s%s: OpenSSL says: %s", whose, name,
		    X509_verify_cert_error_string(error));
}

/*
 * As a mail client verifies, but for the name.  Where the chain ends at nothing
 * that the system trusts, its last certificate is trusted for the time being,
 * so that everything below is looked at.
 */
static void
judge(struct chain *c, X509_STORE *system)
{
	X509_STORE *store = c->end == CHAIN_TRUSTED ? system : X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;
	X509 *top = sk_X509_value(c->certs, sk_X509_num(c->certs) - 1);

	if (store == NULL || ctx == NULL ||
	    (store != system && X509_STORE_add_cert(store, top) != 1) ||
	    X509_STORE_CTX_init(ctx, store, sk_X509_value(c->certs, 0), c->certs) != 1) {
		snprintf(c->fault, sizeof(c->fault), "out of memory");
		goto out;
	}
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
	X509_VERIFY_PARAM_set_auth_level(param, LEVEL);
	if (X509_verify_cert(ctx) != 1)
		fault_text(c, X509_STORE_CTX_get_error(ctx), X509_STORE_CTX_get_error_depth(ctx),
		    X509_STORE_CTX_get_current_cert(ctx));
out:
	X509_STORE_CTX_free(ctx);
	if (store != system)
		X509_STORE_free(store);
	ERR_clear_error();
}

/* ---- all ---- */

void
chain_free(struct chain *c)
{
	sk_X509_pop_free(c->certs, X509_free);
	c->certs = NULL;
}

bool
chain_sort(struct chain *c, EVP_PKEY *key, STACK_OF(X509) *given, char *why, size_t whysize)
{
	X509_STORE *system = X509_STORE_new();
	X509 *x = find_leaf(key, given);

	memset(c, 0, sizeof(*c));
	if (x == NULL) {
		snprintf(why, whysize, sk_X509_num(given) == 1 ? "the certificate is not of this key" :
		    "none of the %d certificates is of this key", sk_X509_num(given));
		X509_STORE_free(system);
		return false;
	}
	c->certs = sk_X509_new_null();
	if (system == NULL || c->certs == NULL)
		goto memory;
	X509_STORE_set_default_paths(system);	/* a system without roots trusts nothing */
	while (x != NULL && !contains(c->certs, x) && sk_X509_num(c->certs) < CHAIN_MAX) {
		if (!append(c->certs, x))
			goto memory;
		x = X509_self_signed(x, 0) == 1 ? NULL : find_issuer(x, given);
	}
	c->left_out = sk_X509_num(given) - sk_X509_num(c->certs);
	find_end(c, system);
	judge(c, system);
	X509_STORE_free(system);
	return true;
memory:
	snprintf(why, whysize, "out of memory");
	X509_STORE_free(system);
	chain_free(c);
	return false;
}

const char *
chain_text(const struct chain *c, char *buf, size_t size)
{
	int issuers = sk_X509_num(c->certs) - 1;
	char with[64] = "";

	if (issuers > 0)
		snprintf(with, sizeof(with), "leaf and %d issuer%s, ", issuers, issuers == 1 ? "" : "s");
	switch (c->end) {
	case CHAIN_SELF_SIGNED:
		snprintf(buf, size, "self-signed");
		break;
	case CHAIN_TRUSTED:
		snprintf(buf, size, "%scomplete: issued under %s, which this system trusts%s", with,
		    c->top, c->root_left_out ? " (left out, clients have it)" : "");
		break;
	case CHAIN_PRIVATE:
		snprintf(buf, size, "%scomplete up to the root %s, which this system does not trust",
		    with, c->top);
		break;
	case CHAIN_INCOMPLETE:
		snprintf(buf, size, "%sINCOMPLETE: the certificate of %s is missing; import it again "
		    "with the chain", with, c->top);
		break;
	}
	return buf;
}
