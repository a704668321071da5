/*
 * CRLs read lazily against the same CRLs read whole by OpenSSL: random ones,
 * every kind of signature, and lists that are not what they should be, each
 * signed by the right CA.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ca.h"
#include "cert_verify.h"
#include "crl.h"
#include "crl_craft.h"

static char dir[] = "/tmp/tlsward-test-crl.XXXXXX";

/* ---- random ones ---- */

static uint64_t seed = 88172645463325252u;

static uint64_t
number(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static X509_CRL *
random_crl(size_t ca)
{
	X509_CRL *crl = tree_crl(ca, (size_t)number(200), false);
	size_t i, n = (size_t)number(40);

	for (i = 0; i < n; i++) {
		ASN1_INTEGER *serial = ASN1_INTEGER_new();
		X509_REVOKED *r = X509_REVOKED_new();
		ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();
		ASN1_TIME *when = X509_gmtime_adj(NULL, -3600);

		ASN1_INTEGER_set_int64(serial, (int64_t)number(300) - 20);
		X509_REVOKED_set_serialNumber(r, serial);
		X509_REVOKED_set_revocationDate(r, when);
		ASN1_ENUMERATED_set(reason, number(4) == 0 ? CRL_REASON_REMOVE_FROM_CRL :
		    CRL_REASON_KEY_COMPROMISE);
		if (number(2) == 0)
			X509_REVOKED_add1_ext_i2d(r, NID_crl_reason, reason, number(50) == 0, 0);
		X509_CRL_add0_revoked(crl, r);
		ASN1_INTEGER_free(serial);
		ASN1_ENUMERATED_free(reason);
		ASN1_TIME_free(when);
	}
	if (number(3) == 0) {
		ISSUING_DIST_POINT *idp = ISSUING_DIST_POINT_new();

		idp->onlyuser = 0xff;
		X509_CRL_add1_ext_i2d(crl, NID_issuing_distribution_point, idp, 1, 0);
		ISSUING_DIST_POINT_free(idp);
	}
	assert_true(X509_CRL_sign(crl, tree_keys[ca], EVP_sha256()) > 0);
	return crl;
}

static int
lookup(X509_CRL *crl, int64_t n)
{
	ASN1_INTEGER *serial = ASN1_INTEGER_new();
	X509_REVOKED *r = NULL;
	int rc;

	ASN1_INTEGER_set_int64(serial, n);
	rc = X509_CRL_get0_by_serial(crl, &r, serial);
	ASN1_INTEGER_free(serial);
	return rc;
}

static void
random_crls(void **state)
{
	size_t ca = tree_find("inter", 5);
	int round, i;

	(void)state;
	for (round = 0; round < 150; round++) {
		X509_CRL *whole = random_crl(ca), *lazy;
		unsigned char *der = NULL;
		int n = i2d_X509_CRL(whole, &der);
		struct der in = { der, (size_t)n };

		assert_true(n > 0);
		assert_non_null(lazy = crl_open(&in));
		X509_CRL_free(whole);
		{
			const unsigned char *p = der;

			assert_non_null(whole = d2i_X509_CRL(NULL, &p, n));
		}
		for (i = -30; i < 320; i++) {
			/* twice the same serial: either entry may be the answer */
			int a = lookup(lazy, i), b = lookup(whole, i);

			if ((a == 0) != (b == 0))
				fail_msg("round %d, serial %d: %d lazily, %d whole", round, i, a, b);
		}
		assert_int_equal(X509_CRL_verify(lazy, tree_keys[ca]), 1);
		assert_int_not_equal(X509_CRL_verify(lazy, tree_keys[0]), 1);
		X509_CRL_free(lazy);
		/* one octet of what was signed changed: never verified */
		der[(size_t)number((uint64_t)n)] ^= (unsigned char)(1 + number(255));
		if ((lazy = crl_open(&in)) != NULL) {
			assert_int_not_equal(X509_CRL_verify(lazy, tree_keys[ca]), 1);
			X509_CRL_free(lazy);
		}
		X509_CRL_free(whole);
		OPENSSL_free(der);
	}
}

/* Other signatures than ECDSA: digests with keys of RSA, RSA-PSS, Ed25519. */
static void
crl_signatures(void **state)
{
	static const struct { const char *name; bool pss; } by[] = {
		{ "rsa2048", false }, { "rsa2048", true }, { "ed25519", false }, { "p521", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(by) / sizeof(by[0]); i++) {
		size_t at = tree_find(by[i].name, strlen(by[i].name));
		X509_CRL *crl = tree_crl(tree_find("inter", 5), 50, false), *lazy;
		EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		EVP_PKEY_CTX *key;
		unsigned char *der = NULL;
		struct der in;
		int n;

		assert_int_equal(EVP_DigestSignInit(ctx, &key,
		    strcmp(by[i].name, "ed25519") == 0 ? NULL : EVP_sha256(), NULL, tree_keys[at]), 1);
		if (by[i].pss)
			assert_true(EVP_PKEY_CTX_set_rsa_padding(key, RSA_PKCS1_PSS_PADDING) > 0);
		assert_true(X509_CRL_sign_ctx(crl, ctx) > 0);
		EVP_MD_CTX_free(ctx);
		n = i2d_X509_CRL(crl, &der);
		in = (struct der){ der, (size_t)n };
		assert_non_null(lazy = crl_open(&in));
		if (X509_CRL_verify(lazy, tree_keys[at]) != 1)
			fail_msg("%s%s: not verified", by[i].name, by[i].pss ? " with PSS" : "");
		assert_int_not_equal(X509_CRL_verify(lazy, tree_keys[0]), 1);
		X509_CRL_free(lazy);
		X509_CRL_free(crl);
		OPENSSL_free(der);
	}
}

/* ---- crafted ones ---- */

/* What the verification says of `good` with that CRL. */
static enum reason
judged(const struct octets *crl)
{
	size_t good = tree_find("good", 4), inter = tree_find("inter", 5);
	STACK_OF(X509) *chain = sk_X509_new_null();
	char bundle[256], path[256], why[256];
	enum reason reason = REASON_CERT_UNKNOWN;
	struct ca *ca;
	FILE *f;

	snprintf(bundle, sizeof(bundle), "%s/ca.pem", dir);
	snprintf(path, sizeof(path), "%s/crafted.crl", dir);
	assert_non_null(f = fopen(bundle, "w"));
	assert_int_equal(PEM_write_X509(f, tree_certs[0]), 1);
	assert_int_equal(fclose(f), 0);
	assert_non_null(f = fopen(path, "w"));
	assert_int_equal(fwrite(crl->p, 1, crl->len, f), crl->len);
	assert_int_equal(fclose(f), 0);
	assert_true(sk_X509_push(chain, tree_certs[inter]) > 0);
	if ((ca = ca_load(bundle, path, false, why, sizeof(why))) != NULL)
		reason = cert_reason(ca_verify(ca, tree_certs[good], chain));
	ca_free(ca);
	sk_X509_free(chain);
	unlink(bundle);
	unlink(path);
	return reason;
}

static void
crafted(void **state)
{
	long serial = ASN1_INTEGER_get(X509_get0_serialNumber(tree_certs[tree_find("good", 4)]));

	(void)state;
	for (size_t i = 0; i < sizeof(crafts) / sizeof(crafts[0]); i++) {
		const struct craft *c = &crafts[i];
		struct octets made;
		const unsigned char *p = made.p;
		X509_CRL *whole, *lazy;
		struct der in;
		enum reason got;

		craft(c, serial, &made);
		in = (struct der){ made.p, made.len };
		whole = d2i_X509_CRL(NULL, &p, (long)made.len);
		lazy = crl_open(&in);
		if ((whole == NULL) != (lazy == NULL))
			fail_msg("%s: it is%s one to OpenSSL", c->what, whole == NULL ? " not" : "");
		for (long n = 0x1100; lazy != NULL && n < 0x1120; n++)
			if (lookup(whole, n) != lookup(lazy, n))
				fail_msg("%s: serial %ld: %d, not %d", c->what, n, lookup(lazy, n),
				    lookup(whole, n));
		if (lazy != NULL && lookup(whole, serial) != lookup(lazy, serial))
			fail_msg("%s: %d, not %d", c->what, lookup(lazy, serial), lookup(whole, serial));
		X509_CRL_free(whole);
		X509_CRL_free(lazy);
		if ((got = judged(&made)) != c->want)
			fail_msg("%s: %s", c->what, reason_words[got]);
	}
}

static int
setup(void **state)
{
	(void)state;
	tree_make_all();
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	tree_free_all();
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_crls), cmocka_unit_test(crl_signatures),
		cmocka_unit_test(crafted),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
