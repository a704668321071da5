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
#include "ca_tree.h"
#include "cert.h"
#include "cert_verify.h"
#include "crl.h"

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

struct octets {
	unsigned char p[1024];
	size_t len;
};

static void
append(struct octets *o, const void *p, size_t len)
{
	assert_true(o->len + len <= sizeof(o->p));
	memcpy(o->p + o->len, p, len);
	o->len += len;
}

/* A TLV; its length takes `more` octets more than it has to. */
static void
put_long(struct octets *o, unsigned char tag, const void *value, size_t len, size_t more)
{
	unsigned char head[9] = { tag };
	size_t octets = (len < 0x80 ? 0u : len < 0x100 ? 1u : 2u) + more, n = 1;

	if (octets > 0)
		head[n++] = (unsigned char)(0x80 | octets);
	for (size_t i = octets > 0 ? octets : 1; i-- > 0;)
		head[n++] = (unsigned char)(len >> 8 * i);
	append(o, head, n);
	append(o, value, len);
}

static void
put(struct octets *o, unsigned char tag, const struct octets *value)
{
	put_long(o, tag, value->p, value->len, 0);
}

static void
put_der(struct octets *o, unsigned char *der, int len)
{
	assert_true(len > 0);
	append(o, der, (size_t)len);
	OPENSSL_free(der);
}

static void
put_time(struct octets *o, long offset)
{
	ASN1_TIME *t = X509_gmtime_adj(NULL, offset);
	unsigned char *der = NULL;

	put_der(o, der, i2d_ASN1_TIME(t, &der));
	ASN1_TIME_free(t);
}

/* How an entry is wrong, or only unusual. */
struct craft {
	const char *what;
	size_t long_entry, long_serial;	/* octets of length too many */
	bool padded;			/* a zero octet before the number */
	unsigned char date_tag;		/* 0: as it should be */
	const char *exts;		/* hex of the extensions' content; NULL: none */
	bool second_list;
	bool of_another;		/* it is not the client's own entry */
	enum reason want;
};

#define REASON(hex) "300a0603551d150403" hex

static const struct craft crafts[] = {
	{ .what = "plain", .want = REASON_CERT_REVOKED },
	{ .what = "of another", .of_another = true, .want = REASON_NONE },
	{ .what = "a reason", .exts = REASON("0a0101"), .want = REASON_CERT_REVOKED },
	{ .what = "a serial of a long length", .long_serial = 1, .want = REASON_CERT_REVOKED },
	{ .what = "of a very long one", .long_serial = 3, .want = REASON_CERT_REVOKED },
	{ .what = "an entry of a long length", .long_entry = 1, .want = REASON_CERT_REVOKED },
	{ .what = "no date", .date_tag = 0x04, .want = REASON_CERT_UNKNOWN },
	{ .what = "another's without date", .date_tag = 0x04, .of_another = true,
	    .want = REASON_CERT_UNKNOWN },
	{ .what = "a padded serial", .padded = true, .want = REASON_CERT_UNKNOWN },
	{ .what = "taken off the list", .exts = REASON("0a0108"), .want = REASON_NONE },
	{ .what = "an empty reason", .exts = "30090603551d1504020a00", .want = REASON_CERT_REVOKED },
	{ .what = "two reasons", .exts = REASON("0a0101") REASON("0a0108"),
	    .want = REASON_CERT_REVOKED },
	{ .what = "a reason that is none", .exts = REASON("040101"), .want = REASON_CERT_REVOKED },
	{ .what = "an extension that is none", .exts = "30050603551d15", .want = REASON_CERT_UNKNOWN },
	{ .what = "an extension of nobody's", .exts = "300906032a030404020500",
	    .want = REASON_CERT_REVOKED },
	{ .what = "a critical one, of another", .exts = "300c06032a03040101ff04020500",
	    .of_another = true, .want = REASON_CERT_UNKNOWN },
	{ .what = "a second list", .second_list = true, .of_another = true,
	    .want = REASON_CERT_UNKNOWN },
};

static void
put_hex(struct octets *o, const char *hex)
{
	for (; *hex != '\0'; hex += 2) {
		unsigned octet;
		unsigned char c;

		assert_int_equal(sscanf(hex, "%2x", &octet), 1);
		c = (unsigned char)octet;
		append(o, &c, 1);
	}
}

static void
put_entry(struct octets *list, const struct craft *c, long serial)
{
	struct octets entry = { .len = 0 }, exts = { .len = 0 };
	unsigned char number[3] = { 0, (unsigned char)(serial >> 8), (unsigned char)serial };
	size_t date;

	put_long(&entry, 0x02, number + !c->padded, 2 + (size_t)c->padded, c->long_serial);
	date = entry.len;
	put_time(&entry, -3600);
	if (c->date_tag != 0)
		entry.p[date] = c->date_tag;
	if (c->exts != NULL) {
		put_hex(&exts, c->exts);
		put(&entry, 0x30, &exts);
	}
	put_long(list, 0x30, entry.p, entry.len, c->long_entry);
}

/* A CRL of `inter`, signed, with such an entry among others. */
static void
craft(const struct craft *c, long serial, struct octets *crl)
{
	static const unsigned char v2[] = { 0x02, 0x01, 0x01 };
	static const struct craft plain = { .what = "plain" };
	size_t ca = tree_find("inter", 5), sig_len;
	struct octets body = { .len = 0 }, list = { .len = 0 }, all = { .len = 0 }, sig = { .len = 1 };
	const X509_ALGOR *alg = X509_get0_tbs_sigalg(tree_certs[ca]);
	unsigned char *der = NULL;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	append(&body, v2, sizeof(v2));
	put_der(&body, der, i2d_X509_ALGOR(alg, &der));
	der = NULL;
	put_der(&body, der, i2d_X509_NAME(X509_get_subject_name(tree_certs[ca]), &der));
	put_time(&body, -86400);
	put_time(&body, 30L * 86400);
	put_entry(&list, &plain, 0x1111);
	put_entry(&list, c, c->of_another ? 0x1112 : serial);
	put_entry(&list, &plain, 0x1113);
	put(&body, 0x30, &list);
	if (c->second_list)
		put(&body, 0x30, &list);
	put(&all, 0x30, &body);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, tree_keys[ca]), 1);
	sig_len = sizeof(sig.p) - 1;
	assert_int_equal(EVP_DigestSign(ctx, sig.p + 1, &sig_len, all.p, all.len), 1);
	EVP_MD_CTX_free(ctx);
	sig.p[0] = 0;
	sig.len += sig_len;
	der = NULL;
	put_der(&all, der, i2d_X509_ALGOR(alg, &der));
	put(&all, 0x03, &sig);
	crl->len = 0;
	put(crl, 0x30, &all);
}

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

/* ---- states ---- */

#define HOUR 3600L
#define DAY (24 * HOUR)

static X509_CRL *
dated(const char *ca, long from, long to, size_t entries)
{
	X509_CRL *crl = tree_crl(tree_find(ca, strlen(ca)), entries, false);
	ASN1_TIME *t = ASN1_TIME_set(NULL, 1800000000 + from);

	X509_CRL_set1_lastUpdate(crl, t);
	ASN1_TIME_set(t, 1800000000 + to);
	if (to != 0)
		X509_CRL_set1_nextUpdate(crl, t);
	ASN1_TIME_free(t);
	return crl;
}

static void
inspected(void **state)
{
	static const struct {
		long from, to;
		enum cert_state want;
		long days;
		const char *says;
	} cases[] = {
		{ -DAY, 6 * DAY, CERT_STATE_OK, 6, "" },
		{ -6 * DAY, DAY, CERT_STATE_EXPIRING, 1, "ends in 1 day; fetch it again" },
		{ -40 * DAY, 8 * DAY, CERT_STATE_OK, 8, "" },
		{ -40 * DAY, 7 * DAY - 1, CERT_STATE_EXPIRING, 6, "ends in 6 days" },
		{ -HOUR, HOUR, CERT_STATE_OK, 0, "" },
		{ -7 * DAY, 1, CERT_STATE_EXPIRING, 0, "ends in 0 days" },
		{ -7 * DAY, -1, CERT_STATE_EXPIRED, -1, "should have been replaced by 2027-01-15 07:59" },
		{ HOUR, DAY, CERT_STATE_NOT_YET, 1, "is valid only from 2027-01-15 09:00 on" },
	};
	char path[256];
	struct crl_info info;

	(void)state;
	snprintf(path, sizeof(path), "%s/dated.crl", dir);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		X509_CRL *crl = dated("inter", cases[i].from, cases[i].to, 20 + i);
		X509_CRL *late = dated("root", -DAY, 100 * DAY, 3);
		FILE *f = fopen(path, "w");

		assert_true(PEM_write_X509_CRL(f, late) == 1 && PEM_write_X509_CRL(f, crl) == 1 &&
		    PEM_write_X509_CRL(f, late) == 1 && fclose(f) == 0);
		assert_int_equal(cert_inspect_crl(path, 1800000000, 7, &info), cases[i].want);
		assert_int_equal(info.state, cases[i].want);
		assert_true(info.parsed);
		assert_string_equal(info.issuer, "CN=Test inter");
		assert_int_equal(info.crls, 3);
		assert_int_equal(info.entries, 20 + i + 1);	/* `revoked` is on it too */
		assert_int_equal(info.this_update, 1800000000 + cases[i].from);
		assert_int_equal(info.next_update, 1800000000 + cases[i].to);
		assert_int_equal(info.days_left, cases[i].days);
		assert_non_null(strstr(info.error, cases[i].says));
		assert_int_equal(info.error[0] == '\0', cases[i].want == CERT_STATE_OK);
		X509_CRL_free(crl);
		X509_CRL_free(late);
	}
	unlink(path);
}

static void
inspected_badly(void **state)
{
	char path[256];
	struct crl_info info;
	struct octets made;
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/dated.crl", dir);
	assert_int_equal(cert_inspect_crl(path, 1800000000, 7, &info), CERT_STATE_UNREADABLE);
	assert_non_null(strstr(info.error, "there is no such file"));
	for (size_t i = 0; i < 2; i++) {
		craft(&crafts[i == 0 ? 0 : 6], 0x1234, &made);
		assert_non_null(f = fopen(path, "w"));
		assert_int_equal(fwrite(made.p, 1, made.len, f), made.len);
		assert_int_equal(fclose(f), 0);
		assert_int_equal(cert_inspect_crl(path, time(NULL), 7, &info),
		    i == 0 ? CERT_STATE_OK : CERT_STATE_UNREADABLE);
		assert_int_equal(info.entries, i == 0 ? 3 : 0);
		assert_int_equal(info.parsed, i == 0);
	}
	assert_non_null(strstr(info.error, "malformed; fetch it again"));
	/* a date of 13 months, and a list read whole */
	craft(&crafts[9], 0x1234, &made);
	assert_non_null(f = fopen(path, "w"));
	assert_int_equal(fwrite(made.p, 1, made.len, f), made.len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(cert_inspect_crl(path, time(NULL), 7, &info), CERT_STATE_OK);
	assert_int_equal(info.entries, 3);
	for (size_t i = 0; i + 4 < made.len; i++)
		if (made.p[i] == 0x17 && made.p[i + 1] == 13) {
			memcpy(&made.p[i + 4], "13", 2);
			break;
		}
	assert_non_null(f = fopen(path, "w"));
	assert_int_equal(fwrite(made.p, 1, made.len, f), made.len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(cert_inspect_crl(path, time(NULL), 7, &info), CERT_STATE_UNREADABLE);
	assert_non_null(strstr(info.error, "dates"));
	unlink(path);
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
		cmocka_unit_test(crafted), cmocka_unit_test(inspected), cmocka_unit_test(inspected_badly),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
