/*
 * Client certificates: each of the tree against its expected reason, names,
 * pins, files that change or are damaged.  CRLs: test_crl.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ca_tree.h"
#include "cert.h"
#include "cert_verify.h"
#include "leaf_names.h"
#include "read.h"

static char dir[] = "/tmp/tlsward-test-cert.XXXXXX";
static struct settings *set;
static struct cert_verifier *verifier;

/* ---- helpers ---- */

static void
path_of(const char *name, char *buf, size_t size)
{
	snprintf(buf, size, "%s/%s", dir, name);
}

static struct settings *
settings_of_tree(void)
{
	char text[4096];
	int n = snprintf(text, sizeof(text),
	    "[server]\n[ca tree]\nfile = %s/ca.pem\ncrl = %s/crl.pem\n"
	    "[ca any]\nfile = %s/ca.pem\n[ca clients]\nfile = %s/ca.pem\ncrl = %s/crl.pem\npurpose = client\n"
	    "[ca stale]\nfile = %s/ca.pem\ncrl = %s/stale.pem\n[ca missing]\nfile = %s/nothing.pem\n"
	    "[ca changing]\nfile = %s/changing.pem\n[ca inter]\nfile = %s/inter.pem\n"
	    "[ca many]\nfile = %s/bundle.pem\ncrl = %s/many.pem\n"
	    "[ca both]\nfile = %s/both.pem\ncrl = %s/crl.pem\n[ca below]\nfile = %s/inter.pem\ncrl = %s/crl.pem\n",
	    dir, dir, dir, dir, dir, dir, dir, dir, dir, dir, dir, dir, dir, dir, dir, dir);
	struct settings *s;

	assert_true(n > 0 && (size_t)n < sizeof(text));
	s = settings_parse(text, (size_t)n, "test.ini", NULL, false, read_report_file, stderr);
	assert_non_null(s);
	return s;
}

static const struct rule *
ca_rule(const char *name)
{
	const struct rule *r = settings_find(set, SEC_CA, name);

	assert_non_null(r);
	return r;
}

static struct cert_client *
client_of(const char *name, bool with_chain)
{
	size_t at = tree_find(name, strlen(name)), len;
	struct cert_client *cl;
	unsigned char *der = NULL;
	const char *p;
	char why[256];
	int n = i2d_X509(tree_certs[at], &der);

	assert_true(n > 0);
	cl = cert_client_new(verifier, der, (size_t)n, why, sizeof(why));
	OPENSSL_free(der);
	assert_non_null(cl);
	for (p = tree[at].chain; with_chain && *p != '\0'; p += len + (p[len] == ' ')) {
		len = strcspn(p, " ");
		der = NULL;
		n = i2d_X509(tree_certs[tree_find(p, len)], &der);
		assert_true(n > 0);
		cert_client_add(cl, der, (size_t)n);
		OPENSSL_free(der);
	}
	return cl;
}

static void
ask(struct cert_client *cl, const char *ca, struct trust *t)
{
	struct cert_facts f = { 0 };

	cert_client_facts(cl, set, &f);
	assert_non_null(f.verify);
	f.verify(f.arg, ca_rule(ca), t);
	assert_true(t->trusted == (t->why == REASON_NONE));
}

static enum reason
judged(const char *name, const char *ca)
{
	struct cert_client *cl = client_of(name, true);
	struct trust t, again;

	ask(cl, ca, &t);
	ask(cl, ca, &again);
	assert_int_equal(t.why, again.why);
	assert_true(cert_client_trusted(cl) == t.trusted);
	cert_client_free(cl);
	return t.why;
}

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	tree_make_all();
	tree_write(dir, true);
	set = settings_of_tree();
	verifier = cert_verifier_new();
	return verifier != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	cert_verifier_free(verifier);
	settings_free(set);
	tree_free_all();
	return tree_remove(dir);
}

/* ---- the tree ---- */

static void
each_of_the_tree(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < TREE_LEN; i++) {
		enum reason any, client, open;

		if ((tree[i].flags & LEAF) == 0)
			continue;
		any = judged(tree[i].name, "tree");
		client = judged(tree[i].name, "clients");
		open = judged(tree[i].name, "any");
		if (any != tree[i].any || client != tree[i].client)
			fail_msg("%s: %s and %s, not %s and %s", tree[i].name, reason_words[any],
			    reason_words[client], reason_words[tree[i].any],
			    reason_words[tree[i].client]);
		/* without CRLs nothing is revoked, and nothing else is different */
		if (open != (tree[i].any == REASON_CERT_REVOKED ? REASON_NONE : tree[i].any))
			fail_msg("%s without CRL: %s", tree[i].name, reason_words[open]);
		if (judged(tree[i].name, "many") != tree[i].any)
			fail_msg("%s: another reason with the large bundle and CRL", tree[i].name);
	}
}

/* The bundle has an intermediate, beside its root or instead of it; its CRLs hold all the same. */
static void
intermediates_in_the_bundle(void **state)
{
	static const struct { const char *name; enum reason both, below; } cases[] = {
		{ "good", REASON_NONE, REASON_NONE },
		{ "alone", REASON_NONE, REASON_NONE },
		{ "deep", REASON_NONE, REASON_NONE },
		{ "revoked", REASON_CERT_REVOKED, REASON_CERT_REVOKED },
		{ "of-withdrawn", REASON_CERT_REVOKED, REASON_CERT_UNTRUSTED },
		{ "direct", REASON_NONE, REASON_CERT_UNTRUSTED },
		{ "stranger", REASON_CERT_UNTRUSTED, REASON_CERT_UNTRUSTED },
	};
	static const char *const parts[] = { "ca.pem", "inter.pem" };
	char path[256], line[128];
	FILE *in, *out;

	(void)state;
	path_of("both.pem", path, sizeof(path));
	assert_non_null(out = fopen(path, "w"));
	for (size_t i = 0; i < 2; i++) {
		path_of(parts[i], path, sizeof(path));
		assert_non_null(in = fopen(path, "r"));
		while (fgets(line, sizeof(line), in) != NULL)
			fputs(line, out);
		fclose(in);
	}
	assert_int_equal(fclose(out), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (judged(cases[i].name, "both") != cases[i].both ||
		    judged(cases[i].name, "below") != cases[i].below)
			fail_msg("%s: %s and %s", cases[i].name, reason_words[judged(cases[i].name, "both")],
			    reason_words[judged(cases[i].name, "below")]);
}

/* What OpenSSL says of the same chain with everything parsed and in memory. */
static void
as_openssl_has_it(void **state)
{
	X509_STORE *store = X509_STORE_new();
	size_t i, len;
	const char *p;

	(void)state;
	assert_non_null(store);
	assert_int_equal(X509_STORE_add_cert(store, tree_certs[0]), 1);
	for (i = 0; i < TREE_LEN; i++) {
		STACK_OF(X509) *chain = sk_X509_new_null();
		X509_STORE_CTX *ctx = X509_STORE_CTX_new();
		enum reason want;

		for (p = tree[i].chain; *p != '\0'; p += len + (p[len] == ' ')) {
			len = strcspn(p, " ");
			assert_true(sk_X509_push(chain, tree_certs[tree_find(p, len)]) > 0);
		}
		assert_int_equal(X509_STORE_CTX_init(ctx, store, tree_certs[i], chain), 1);
		X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(ctx), 2);
		want = X509_verify_cert(ctx) == 1 ? REASON_NONE : cert_reason(X509_STORE_CTX_get_error(ctx));
		if ((tree[i].flags & LEAF) != 0 && judged(tree[i].name, "any") != want)
			fail_msg("%s: OpenSSL says %s", tree[i].name, reason_words[want]);
		X509_STORE_CTX_free(ctx);
		sk_X509_free(chain);
	}
	X509_STORE_free(store);
}

static void
chains(void **state)
{
	struct cert_client *cl = client_of("good", false);
	struct trust t;

	(void)state;
	ask(cl, "tree", &t);
	assert_int_equal(t.why, REASON_CERT_UNTRUSTED);
	cert_client_chain_unknown(cl);		/* forgets what it said */
	ask(cl, "tree", &t);
	assert_int_equal(t.why, REASON_CERT_UNKNOWN);
	ask(cl, "inter", &t);			/* the issuer itself is in the bundle */
	assert_int_equal(t.why, REASON_NONE);
	assert_true(cert_client_trusted(cl));
	cert_client_free(cl);

	cl = client_of("selfsigned", false);
	cert_client_chain_unknown(cl);
	ask(cl, "tree", &t);
	assert_int_equal(t.why, REASON_CERT_UNTRUSTED);
	cert_client_free(cl);

	cl = client_of("direct", false);
	cert_client_chain_unknown(cl);
	ask(cl, "tree", &t);
	assert_int_equal(t.why, REASON_NONE);
	cert_client_free(cl);
}

static void
our_own_faults(void **state)
{
	(void)state;
	assert_int_equal(judged("good", "stale"), REASON_CERT_UNKNOWN);
	assert_int_equal(judged("good", "missing"), REASON_CERT_UNKNOWN);
}

/* Trusted is who was so for the present decision. */
static void
trusted_now(void **state)
{
	struct cert_client *cl = client_of("good", true);
	struct cert_facts f = { 0 };
	struct trust t;

	(void)state;
	ask(cl, "tree", &t);
	assert_true(cert_client_trusted(cl));
	ask(cl, "stale", &t);
	assert_false(cert_client_trusted(cl));
	ask(cl, "tree", &t);			/* known from before */
	assert_true(cert_client_trusted(cl));
	cert_client_facts(cl, set, &f);
	assert_false(cert_client_trusted(cl));
	f.verify(f.arg, ca_rule("tree"), &t);
	f.verify(f.arg, ca_rule("stale"), &t);	/* a peer's and a domain's */
	assert_false(cert_client_trusted(cl));
	cert_client_free(cl);
}

/* ---- names and pins ---- */

static void
expect_names(const char *name, const char *cn, size_t n, const char *last)
{
	struct cert_client *cl = client_of(name, true);
	struct cert_facts f = { 0 };

	cert_client_facts(cl, set, &f);
	assert_true(f.has_names && f.has_fingerprint && f.has_spki);
	assert_int_equal(f.nnames, n);
	if (n > 0)
		assert_string_equal(f.names[n - 1], last);
	if (cn == NULL)
		assert_null(f.cn);
	else
		assert_string_equal(f.cn, cn);
	cert_client_free(cl);
}

static void
names(void **state)
{
	(void)state;
	expect_names("good", "a client", 1, "partner.example");
	expect_names("upper", "a client", 1, "partner.example");
	expect_names("wildcard", "a client", 1, "*.partner.example");
	expect_names("idna", "a client", 1, "xn--bcher-kva.example");
	expect_names("names20", "a client", 20, "partner.example");
	expect_names("names1000", "a client", 1000, "partner.example");
	expect_names("cn-only", "partner.example", 0, NULL);
	expect_names("address", "a client", 0, NULL);
	expect_names("nosubject", NULL, 1, "partner.example");
	expect_names("nul", NULL, 0, NULL);	/* neither the half before the NUL nor the whole */
}

/* A name that is left out still is one: the CN does not come in for it. */
static void
cn_beside_odd_names(void **state)
{
	static const struct { const char *name; bool any; } cases[] = {
		{ "good", true }, { "nul", true }, { "cn-only", false }, { "address", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cert_client *cl = client_of(cases[i].name, true);
		struct cert_facts f = { 0 };

		cert_client_facts(cl, set, &f);
		assert_int_equal(f.any_names, cases[i].any);
		cert_client_free(cl);
	}
}

/* The same by who chooses what to show, and by who shows what there is. */
static void
many_names(void **state)
{
	struct cert_info *info = calloc(1, sizeof(*info));
	char path[256];

	(void)state;
	assert_non_null(info);
	path_of("names1000.pem", path, sizeof(path));
	assert_int_equal(leaf_covers(path, "h999.other.example"), 2);
	assert_int_equal(leaf_covers(path, "partner.example"), 2);
	assert_int_equal(leaf_covers(path, "h1000.other.example"), 0);
	(void)cert_inspect(path, NULL, time(NULL), 7, info);
	assert_int_equal(info->nnames, CERT_NAMES_MAX);
	assert_int_equal(info->names_left, 1000 - CERT_NAMES_MAX);
	free(info);
}

static void
pins(void **state)
{
	struct cert_client *cl = client_of("stranger", false);
	struct cert_facts f = { 0 };
	unsigned char digest[32];
	unsigned n;
	char path[256];

	(void)state;
	cert_client_facts(cl, set, &f);
	assert_int_equal(X509_digest(tree_certs[tree_find("stranger", 8)], EVP_sha256(), digest, &n), 1);
	assert_memory_equal(f.fingerprint, digest, 32);
	path_of("stranger.pem", path, sizeof(path));
	assert_int_equal(f.pinned(f.arg, path), 1);
	path_of("good.pem", path, sizeof(path));
	assert_int_equal(f.pinned(f.arg, path), 0);
	path_of("good.key", path, sizeof(path));
	assert_int_equal(f.pinned(f.arg, path), -1);
	assert_int_equal(f.pinned(f.arg, dir), -1);
	cert_client_free(cl);
}

/* ---- files ---- */

/* Puts the file of that name at "changing.pem", by rename. */
static void
change_to(const char *name)
{
	char from[256], to[256], tmp[256], buf[65536];
	FILE *f;
	size_t n;

	path_of(name, from, sizeof(from));
	path_of("changing.pem", to, sizeof(to));
	path_of("changing.new", tmp, sizeof(tmp));
	assert_non_null(f = fopen(from, "r"));
	n = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	assert_non_null(f = fopen(tmp, "w"));
	assert_int_equal(fwrite(buf, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(tmp, to), 0);
}

static void
changes(void **state)
{
	char path[256];
	FILE *f;

	(void)state;
	change_to("foreign.pem");
	assert_int_equal(judged("good", "changing"), REASON_CERT_UNTRUSTED);
	assert_int_equal(judged("stranger", "changing"), REASON_NONE);
	change_to("ca.pem");
	assert_int_equal(judged("good", "changing"), REASON_NONE);
	assert_int_equal(judged("stranger", "changing"), REASON_CERT_UNTRUSTED);
	change_to("good.key");
	assert_int_equal(judged("good", "changing"), REASON_CERT_UNKNOWN);
	path_of("changing.pem", path, sizeof(path));
	assert_non_null(f = fopen(path, "w"));
	fputs("-----BEGIN CERTIFICATE-----\nMIIB", f);
	fclose(f);
	assert_int_equal(judged("good", "changing"), REASON_CERT_UNKNOWN);
	unlink(path);
	assert_int_equal(judged("good", "changing"), REASON_CERT_UNKNOWN);
	change_to("ca.pem");
	assert_int_equal(judged("good", "changing"), REASON_NONE);
}

/* A root of the right name that cannot be read: our bundle's fault. */
static void
broken_root(void **state)
{
	unsigned char *der = NULL;
	int n = i2d_X509(tree_certs[0], &der);
	struct cert_client *cl = client_of("good", true);
	struct trust t;
	char path[256];
	FILE *f;

	(void)state;
	for (int i = 0; i + 3 < n; i++)		/* [3], of the extensions */
		if (der[i] == 0xa3 && der[i + 2] == 0x30 && der[i + 1] == der[i + 3] + 2) {
			der[i] = 0xa4;
			break;
		}
	path_of("changing.pem", path, sizeof(path));
	assert_non_null(f = fopen(path, "w"));
	assert_int_equal(fwrite(der, 1, (size_t)n, f), n);
	assert_int_equal(fclose(f), 0);
	ask(cl, "changing", &t);
	assert_int_equal(t.why, REASON_CERT_UNKNOWN);
	assert_string_equal(t.detail, X509_verify_cert_error_string(X509_V_ERR_STORE_LOOKUP));
	cert_client_free(cl);
	OPENSSL_free(der);
	unlink(path);
}

static void
warmed(void **state)
{
	struct cert_verifier *kept = verifier;

	(void)state;
	verifier = cert_verifier_new();
	cert_verifier_warm(verifier, set);
	cert_verifier_warm(verifier, set);
	assert_int_equal(judged("good", "tree"), REASON_NONE);
	assert_int_equal(judged("revoked", "many"), REASON_CERT_REVOKED);
	cert_verifier_free(verifier);
	verifier = kept;
}

/* ---- malformed ---- */

static void
malformed(void **state)
{
	unsigned char *der = NULL, *copy;
	int n = i2d_X509(tree_certs[tree_find("good", 4)], &der), i;
	struct cert_client *cl;
	struct trust t;
	char why[256];

	(void)state;
	assert_true(n > 0);
	assert_null(cert_client_new(verifier, der, 0, why, sizeof(why)));
	for (i = 1; i < n; i++) {	/* every length that is too short, in a buffer of that length */
		assert_non_null(copy = malloc((size_t)i));
		memcpy(copy, der, (size_t)i);
		assert_null(cert_client_new(verifier, copy, (size_t)i, why, sizeof(why)));
		assert_true(why[0] != '\0');
		free(copy);
	}
	for (i = 0; i < n; i++) {	/* every octet changed: refused, or not trusted */
		der[i] ^= 0x41;
		if ((cl = cert_client_new(verifier, der, (size_t)n, why, sizeof(why))) != NULL) {
			cert_client_add(cl, der, (size_t)n);
			ask(cl, "inter", &t);
			assert_false(t.trusted);
			cert_client_free(cl);
		}
		der[i] ^= 0x41;
	}
	assert_non_null(copy = calloc(1, CLIENT_DER_MAX + 1));
	assert_null(cert_client_new(verifier, copy, CLIENT_DER_MAX + 1, why, sizeof(why)));
	free(copy);
	OPENSSL_free(der);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_of_the_tree),
		cmocka_unit_test(intermediates_in_the_bundle),
		cmocka_unit_test(as_openssl_has_it),
		cmocka_unit_test(chains),
		cmocka_unit_test(our_own_faults), cmocka_unit_test(trusted_now),
		cmocka_unit_test(names), cmocka_unit_test(cn_beside_odd_names), cmocka_unit_test(many_names),
		cmocka_unit_test(pins),
		cmocka_unit_test(changes),
		cmocka_unit_test(broken_root), cmocka_unit_test(warmed),
		cmocka_unit_test(malformed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
