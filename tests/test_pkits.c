/*
 * NIST's Public Key Interoperability Test Suite, as Debian's
 * python3-cryptography-vectors has it: each end-entity certificate of it, all its
 * CA certificates and all its CRLs, judged by ours (a bundle and CRLs that are
 * read as they are needed) and by OpenSSL with everything parsed and in memory,
 * as `openssl verify -crl_check_all` does it.  Any difference is a failure.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include "ca.h"
#include "cert_verify.h"

#define PKITS "/usr/lib/python3/dist-packages/cryptography_vectors/x509/PKITS_data"
#define ENDS 1924848000		/* 2030-12-31, when nearly all of it does */

static char dir[] = "/tmp/tlsward-test-pkits.XXXXXX";
static char bundle[64], crl_file[64];
static STACK_OF(X509) *cas, *clients;
static STACK_OF(X509_CRL) *crls;
static X509 *anchor;

/* ---- the suite ---- */

static FILE *
open_in(const char *folder, const char *name)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), PKITS "/%s/%s", folder, name);
	assert_non_null(f = fopen(path, "r"));
	return f;
}

static bool
ends_in(const char *name, const char *what)
{
	size_t n = strlen(name), m = strlen(what);

	return n >= m && strcmp(name + n - m, what) == 0;
}

static void
take_cert(const char *name)
{
	FILE *f = open_in("certs", name);
	X509 *x = d2i_X509_fp(f, NULL);

	fclose(f);
	if (x == NULL)		/* OpenSSL cannot read it: neither can a server */
		return;
	X509_alias_set1(x, (const unsigned char *)name, -1);
	if (strcmp(name, "TrustAnchorRootCertificate.crt") == 0)
		anchor = x;
	else
		assert_true(sk_X509_push(ends_in(name, "EE.crt") ? clients : cas, x) > 0);
}

static void
take_crl(const char *name)
{
	FILE *f = open_in("crls", name);
	X509_CRL *crl = d2i_X509_CRL_fp(f, NULL);

	fclose(f);
	assert_non_null(crl);
	assert_true(sk_X509_CRL_push(crls, crl) > 0);
}

static void
take_all(const char *folder, void (*take)(const char *))
{
	char path[512];
	struct dirent **list;
	int n;

	snprintf(path, sizeof(path), PKITS "/%s", folder);
	assert_true((n = scandir(path, &list, NULL, alphasort)) > 0);
	for (int i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.')
			take(list[i]->d_name);
		free(list[i]);
	}
	free(list);
}

static int
setup(void **state)
{
	FILE *f;

	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	cas = sk_X509_new_null();
	clients = sk_X509_new_null();
	crls = sk_X509_CRL_new_null();
	take_all("certs", take_cert);
	take_all("crls", take_crl);
	snprintf(bundle, sizeof(bundle), "%s/ca.pem", dir);
	snprintf(crl_file, sizeof(crl_file), "%s/crl.pem", dir);
	if (anchor == NULL || (f = fopen(bundle, "w")) == NULL)
		return -1;
	PEM_write_X509(f, anchor);
	fclose(f);
	if ((f = fopen(crl_file, "w")) == NULL)
		return -1;
	for (int i = 0; i < sk_X509_CRL_num(crls); i++)
		PEM_write_X509_CRL(f, sk_X509_CRL_value(crls, i));
	return fclose(f);
}

static int
teardown(void **state)
{
	(void)state;
	X509_free(anchor);
	sk_X509_pop_free(cas, X509_free);
	sk_X509_pop_free(clients, X509_free);
	sk_X509_CRL_pop_free(crls, X509_CRL_free);
	unlink(bundle);
	unlink(crl_file);
	return rmdir(dir);
}

/* ---- OpenSSL alone ---- */

/* As ours is documented to: a CRL of the leaf's issuer has to be there, others need not. */
static int
lenient(int ok, X509_STORE_CTX *ctx)
{
	return ok || (X509_STORE_CTX_get_error(ctx) == X509_V_ERR_UNABLE_TO_GET_CRL &&
	    X509_STORE_CTX_get_error_depth(ctx) > 0);
}

static X509_STORE *
whole_store(bool strict)
{
	X509_STORE *store = X509_STORE_new();
	X509_VERIFY_PARAM *param;

	assert_non_null(store);
	assert_int_equal(X509_STORE_add_cert(store, anchor), 1);
	for (int i = 0; i < sk_X509_CRL_num(crls); i++)
		assert_int_equal(X509_STORE_add_crl(store, sk_X509_CRL_value(crls, i)), 1);
	param = X509_STORE_get0_param(store);
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	X509_VERIFY_PARAM_set_auth_level(param, 2);
	if (!strict)
		X509_STORE_set_verify_cb(store, lenient);
	return store;
}

static int
openssl_says(X509_STORE *store, X509 *leaf)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int e;

	assert_int_equal(X509_STORE_CTX_init(ctx, store, leaf, cas), 1);
	e = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return e;
}

/* ---- the comparison ---- */

static void
each_as_openssl(void **state)
{
	X509_STORE *store = whole_store(false), *strict = whole_store(true);
	char why[256];
	struct ca *ca = ca_load(bundle, crl_file, false, why, sizeof(why));
	int accepted = 0, refused = 0, differ = 0;

	(void)state;
	if (ca == NULL)
		fail_msg("%s", why);
	for (int i = 0; i < sk_X509_num(clients); i++) {
		X509 *x = sk_X509_value(clients, i);
		const char *name = (const char *)X509_alias_get0(x, NULL);
		int want = openssl_says(store, x), all = openssl_says(strict, x);
		int got = ca_verify(ca, x, cas);

		if (got == X509_V_OK)
			accepted++;
		else
			refused++;
		if (got != want || (got != all && all != X509_V_ERR_UNABLE_TO_GET_CRL)) {
			differ++;
			print_error("%s: %s; OpenSSL: %s; strictly: %s\n", name,
			    X509_verify_cert_error_string(got), X509_verify_cert_error_string(want),
			    X509_verify_cert_error_string(all));
		}
		/* what is plainly valid or not to the suite itself, and needs no policies or deltas */
		if (strncmp(name, "ValidCertificatePath", 20) == 0 && got != X509_V_OK)
			fail_msg("%s: %s", name, X509_verify_cert_error_string(got));
		if (strncmp(name, "InvalidRevoked", 14) == 0 && got != X509_V_ERR_CERT_REVOKED)
			fail_msg("%s: %s", name, X509_verify_cert_error_string(got));
	}
	ca_free(ca);
	X509_STORE_free(store);
	X509_STORE_free(strict);
	print_message("# %d accepted, %d refused\n", accepted, refused);
	assert_int_equal(differ, 0);
	assert_true(accepted >= 50 && refused >= 50);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(each_as_openssl) };

	if (access(PKITS "/certs", R_OK) == -1) {
		puts("1..0 # SKIP python3-cryptography-vectors is not installed");
		return 0;
	}
	if (time(NULL) >= ENDS) {
		puts("1..0 # SKIP the suite's certificates have expired");
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
