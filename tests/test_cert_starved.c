/*
 * What is no fault of the client's: what OpenSSL says of CRLs, and want of memory
 * at each of its allocations, one at a time, while a client's certificate is read
 * and judged.  What is good is good again at the next attempt, and nobody is let in
 * for it.  In a few places OpenSSL does not say that memory was what it lacked; they
 * are counted.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/x509_vfy.h>

#include "ca_tree.h"
#include "cert_verify.h"
#include "read.h"

static char dir[] = "/tmp/tlsward-test-starved.XXXXXX";
static struct settings *set;
static long left = -1;		/* allocations until the one that fails; negative: none does */
static bool failed;
static unsigned attempts, silent;

static bool
fails(void)
{
	if (left < 0 || left-- > 0)
		return false;
	failed = true;
	return true;
}

static void *
get(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return fails() ? NULL : malloc(n);
}

static void *
get_more(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return n > 0 && fails() ? NULL : realloc(p, n);
}

static void
give_back(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

struct sent {
	unsigned char *der[3];
	int len[3];
};

static struct cert_client *
client_of(struct cert_verifier *v, const struct sent *s)
{
	char why[256];
	struct cert_client *cl = cert_client_new(v, s->der[0], (size_t)s->len[0], why, sizeof(why));

	for (size_t i = 1; cl != NULL && i < 3 && s->der[i] != NULL; i++)
		cert_client_add(cl, s->der[i], (size_t)s->len[i]);
	return cl;
}

static enum reason
judged(struct cert_client *cl, struct cert_facts *f)
{
	struct trust t;

	cert_client_facts(cl, set, f);
	f->verify(f->arg, settings_find(set, SEC_CA, "tree"), &t);
	return t.why;
}

/* One certificate; `left` counts from here on. */
static void
starve(const char *name, enum reason want, size_t nnames, const struct sent *s, long after)
{
	struct cert_verifier *v = cert_verifier_new();
	struct cert_facts f = { 0 };
	struct cert_client *cl;
	enum reason got;

	failed = false;
	left = after;
	errno = 0;
	if ((cl = client_of(v, s)) == NULL) {
		left = -1;
		if (!failed || errno != ENOMEM)
			fail_msg("%s, allocation %ld: is no certificate", name, after);
	} else {
		got = judged(cl, &f);
		left = -1;
		attempts++;
		silent += got != want && got == REASON_CERT_UNTRUSTED;
		if (got != want && got != REASON_CERT_UNKNOWN && got != REASON_CERT_UNTRUSTED)
			fail_msg("%s, allocation %ld: %s", name, after, reason_words[got]);
		if (f.nnames != nnames || !f.any_names)
			fail_msg("%s, allocation %ld: %zu names", name, after, f.nnames);
	}
	cert_client_free(cl);
	/* the same process, with memory again */
	assert_non_null(cl = client_of(v, s));
	got = judged(cl, &f);
	silent += got != want && got == REASON_CERT_UNTRUSTED;
	if (got != want && got != REASON_CERT_UNTRUSTED)
		fail_msg("%s, after allocation %ld: still %s", name, after, reason_words[got]);
	cert_client_free(cl);
	cert_verifier_free(v);
}

static void
each_allocation(void **state)
{
	static const struct { const char *name, *chain; size_t nnames; enum reason want; } cases[] = {
		{ "good", "inter", 1, REASON_NONE },
		{ "names20", "inter", 20, REASON_NONE },
		{ "revoked", "inter", 1, REASON_CERT_REVOKED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sent s = { .der = { NULL } };
		long n;

		s.len[0] = i2d_X509(tree_certs[tree_find(cases[i].name, strlen(cases[i].name))], &s.der[0]);
		s.len[1] = i2d_X509(tree_certs[tree_find("inter", 5)], &s.der[1]);
		for (failed = true, n = (long)i; failed; n += 7)
			starve(cases[i].name, cases[i].want, cases[i].nnames, &s, n);
		assert_true(n > 1000);
		OPENSSL_free(s.der[0]);
		OPENSSL_free(s.der[1]);
	}
	if (silent > attempts / 100)
		fail_msg("%u of %u times the client was blamed", silent, attempts);
}

/* What OpenSSL finds wrong with a CRL, or with itself, is no fault of a client's. */
static void
reasons(void **state)
{
	static const int ours[] = {
		X509_V_ERR_UNABLE_TO_GET_CRL, X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER,
		X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE, X509_V_ERR_CRL_SIGNATURE_FAILURE,
		X509_V_ERR_CRL_NOT_YET_VALID, X509_V_ERR_CRL_HAS_EXPIRED,
		X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD, X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD,
		X509_V_ERR_KEYUSAGE_NO_CRL_SIGN, X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION,
		X509_V_ERR_DIFFERENT_CRL_SCOPE, X509_V_ERR_CRL_PATH_VALIDATION_ERROR,
		X509_V_ERR_OUT_OF_MEM, X509_V_ERR_UNSPECIFIED, X509_V_ERR_INVALID_CALL,
		X509_V_ERR_STORE_LOOKUP,
	};

	(void)state;
	for (int e = X509_V_OK + 1; e <= X509_V_ERR_EC_KEY_EXPLICIT_PARAMS; e++) {
		bool is_ours = false;

		for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
			is_ours = is_ours || ours[i] == e;
		if ((cert_reason(e) == REASON_CERT_UNKNOWN) != is_ours)
			fail_msg("%s: %s", X509_verify_cert_error_string(e), reason_words[cert_reason(e)]);
		/* whatever is about a CRL is in the list */
		if (strstr(X509_verify_cert_error_string(e), "CRL") != NULL && !is_ours)
			fail_msg("%s", X509_verify_cert_error_string(e));
		assert_int_not_equal(cert_reason(e), REASON_NONE);
	}
	assert_int_equal(cert_reason(X509_V_OK), REASON_NONE);
}

static int
setup(void **state)
{
	char text[512];
	int n;

	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	tree_make_all();
	tree_write(dir, false);
	n = snprintf(text, sizeof(text), "[server]\n[ca tree]\nfile = %s/ca.pem\ncrl = %s/crl.pem\n",
	    dir, dir);
	set = settings_parse(text, (size_t)n, "test.ini", NULL, false, read_report_file, stderr);
	return set != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	settings_free(set);
	tree_free_all();
	return tree_remove(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reasons), cmocka_unit_test(each_allocation),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (CRYPTO_set_mem_functions(get, get_more, give_back) != 1)
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
