/*
 * The key store's parts: names and requests, chains in every order, files cut at
 * each octet, and changes of files that are undone.
 */
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>

#include "cmd_cert_chain.h"
#include "cmd_cert_make.h"
#include "cmd_cert_read.h"
#include "cmd_keystore.h"

static char dir[] = "/tmp/tlsward-test_cmd_cert.XXXXXX";
static char path[128];

static const char *
in_dir(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static const char *
put(const char *name, const void *data, size_t len)
{
	FILE *f = fopen(in_dir(name), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	return path;
}

/* ---- names ---- */

static void
names(void **state)
{
	struct host_names *h = calloc(1, sizeof(*h));
	char why[MAKE_WHY];

	(void)state;
	assert_true(make_names(h, "MX.example.org., b\xc3\xbc" "cher.example ,*.W.example,mx.example.org", why));
	assert_int_equal(h->count, 3);
	assert_string_equal(h->name[0], "mx.example.org");
	assert_string_equal(h->name[1], "xn--bcher-kva.example");
	assert_string_equal(h->name[2], "*.w.example");
	assert_false(make_names(h, "a.example,,b.example", why));
	assert_false(make_names(h, "", why));
	assert_false(make_names(h, "*", why));
	assert_false(make_names(h, "*.*.example", why));
	assert_false(make_names(h, "a.*.example", why));
	assert_false(make_names(h, "DNS:a.example", why));
	free(h);
}

static void
subjects(void **state)
{
	static const struct {
		const char *text, *want;	/* NULL: refused */
	} cases[] = {
		{ "CN=a.example", "CN=a.example" },
		{ "C=DE, O=Example\\, Inc,CN=a", "C=DE,O=Example\\, Inc,CN=a" },
		{ "/C=DE/O=A, B/CN=a", "C=DE,O=A\\, B,CN=a" },
		{ "CN=a=b", "CN=a=b" },
		{ "", NULL }, { "CN", NULL }, { "CN=a,", NULL }, { "=a", NULL }, { "C=DEU", NULL },
		{ "NOSUCH=a", NULL }, { ",", NULL }, { "/", NULL }, { "CN=\xff", NULL },
	};
	struct host_names *h = calloc(1, sizeof(*h));
	char why[MAKE_WHY], long_text[400];
	EVP_PKEY *key = make_key(0, why);
	X509_REQ *req;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		BIO *b = BIO_new(BIO_s_mem());
		char *got;
		long len;

		req = make_request(key, h, cases[i].text, why);
		if ((req == NULL) != (cases[i].want == NULL))
			fail_msg("subject \"%s\": %s", cases[i].text, req == NULL ? why : "taken");
		if (req != NULL) {
			X509_NAME_print_ex(b, X509_REQ_get_subject_name(req), 0,
			    ASN1_STRFLGS_RFC2253 | XN_FLAG_SEP_COMMA_PLUS | XN_FLAG_FN_SN);
			len = BIO_get_mem_data(b, &got);
			assert_int_equal(len, strlen(cases[i].want));
			assert_memory_equal(got, cases[i].want, (size_t)len);
			assert_int_equal(X509_REQ_verify(req, key), 1);
		}
		X509_REQ_free(req);
		BIO_free(b);
	}
	memset(long_text, 'a', sizeof(long_text));
	memcpy(long_text, "O=", 2);
	long_text[sizeof(long_text) - 1] = '\0';
	assert_null(make_request(key, h, long_text, why));
	EVP_PKEY_free(key);
	free(h);
}

/* ---- chains ---- */

struct tree {
	EVP_PKEY *key[4];
	X509 *cert[4];		/* leaf, two issuers, root */
};

static X509 *
issue(const char *cn, EVP_PKEY *key, bool ca, X509 *issuer, EVP_PKEY *issuer_key)
{
	struct host_names *h = calloc(1, sizeof(*h));
	char why[MAKE_WHY];
	X509 *x;

	if (!ca) {
		assert_true(make_names(h, cn, why));
		x = make_certificate(key, h, 30, why);
	} else {
		X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints,
		    "critical,CA:TRUE");

		x = X509_new();
		X509_set_version(x, X509_VERSION_3);
		ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
		X509_gmtime_adj(X509_getm_notBefore(x), -60);
		X509_gmtime_adj(X509_getm_notAfter(x), 86400);
		X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
		    (const unsigned char *)cn, -1, -1, 0);
		X509_set_pubkey(x, key);
		X509_add_ext(x, e, -1);
		X509_EXTENSION_free(e);
	}
	X509_set_issuer_name(x, X509_get_subject_name(issuer != NULL ? issuer : x));
	assert_true(X509_sign(x, issuer_key, EVP_sha256()) > 0);
	free(h);
	return x;
}

static void
grow(struct tree *t)
{
	static const char *const cn[] = { "leaf.example", "Inter Two", "Inter One", "Root" };
	char why[MAKE_WHY];

	for (int i = 3; i >= 0; i--) {
		t->key[i] = make_key(0, why);
		t->cert[i] = issue(cn[i], t->key[i], i > 0, i < 3 ? t->cert[i + 1] : NULL,
		    t->key[i < 3 ? i + 1 : 3]);
	}
}

static void
fell(struct tree *t)
{
	for (int i = 0; i < 4; i++) {
		EVP_PKEY_free(t->key[i]);
		X509_free(t->cert[i]);
	}
}

/* All 24 orders, with a stranger and the leaf again in between. */
static void
orders(void **state)
{
	struct tree t, u;
	char why[512];
	int tried = 0;

	(void)state;
	grow(&t);
	grow(&u);	/* the same names, other keys: no issuer of ours */
	for (int n = 0; n < 256; n++) {
		int order[4] = { n & 3, n >> 2 & 3, n >> 4 & 3, n >> 6 & 3 };
		STACK_OF(X509) *given;
		struct chain c;

		if ((1 << order[0] | 1 << order[1] | 1 << order[2] | 1 << order[3]) != 15)
			continue;
		given = sk_X509_new_null();
		for (int i = 0; i < 4; i++) {
			sk_X509_push(given, t.cert[order[i]]);
			sk_X509_push(given, u.cert[i]);
		}
		sk_X509_push(given, t.cert[0]);
		assert_true(chain_sort(&c, t.key[0], given, why, sizeof(why)));
		assert_int_equal(sk_X509_num(c.certs), 4);
		for (int i = 0; i < 4; i++)
			assert_ptr_equal(sk_X509_value(c.certs, i), t.cert[i]);
		assert_int_equal(c.end, CHAIN_PRIVATE);
		assert_string_equal(c.top, "Root");
		assert_string_equal(c.fault, "");
		assert_int_equal(c.left_out, 5);
		chain_free(&c);
		sk_X509_free(given);
		tried++;
	}
	assert_int_equal(tried, 24);
	fell(&t);
	fell(&u);
}

static void
parts(void **state)
{
	STACK_OF(X509) *given = sk_X509_new_null();
	struct chain c;
	struct tree t;
	char why[512], text[640];

	(void)state;
	grow(&t);
	sk_X509_push(given, t.cert[2]);
	sk_X509_push(given, t.cert[0]);
	assert_true(chain_sort(&c, t.key[0], given, why, sizeof(why)));
	assert_int_equal(sk_X509_num(c.certs), 1);
	assert_int_equal(c.end, CHAIN_INCOMPLETE);
	assert_string_equal(c.top, "Inter Two");
	assert_string_equal(c.fault, "");
	assert_non_null(strstr(chain_text(&c, text, sizeof(text)), "certificate of Inter Two is missing"));
	chain_free(&c);
	assert_false(chain_sort(&c, t.key[1], given, why, sizeof(why)));
	/* an end of the chain that is no CA */
	sk_X509_push(given, t.cert[3]);
	sk_X509_push(given, t.cert[1]);
	assert_true(chain_sort(&c, t.key[3], given, why, sizeof(why)));
	assert_int_equal(c.end, CHAIN_SELF_SIGNED);
	chain_free(&c);
	/* certified by a leaf: OpenSSL would refuse */
	X509 *below = issue("below.example", t.key[1], false, t.cert[0], t.key[0]);
	STACK_OF(X509) *bad = sk_X509_dup(given);
	sk_X509_push(bad, below);
	sk_X509_delete_ptr(bad, t.cert[1]);
	assert_true(chain_sort(&c, t.key[1], bad, why, sizeof(why)));
	assert_true(c.end == CHAIN_INCOMPLETE || c.fault[0] != '\0');
	chain_free(&c);
	sk_X509_free(bad);
	X509_free(below);
	sk_X509_free(given);
	fell(&t);
}

/* ---- reading ---- */

static void
cut(void **state)
{
	char why[READ_WHY];
	struct secret s = { .file = NULL };
	EVP_PKEY *key = make_key(0, why), *got;
	X509 *x = issue("a.example", key, false, NULL, key);
	STACK_OF(X509) *certs;
	unsigned char *der = NULL;
	int len = i2d_X509(x, &der);
	PKCS12 *p12 = PKCS12_create("", "a", key, x, NULL, 0, 0, 0, 0, 0);

	(void)state;
	for (int n = 1; n < len; n++) {
		certs = read_certificates(put("cut", der, (size_t)n), why);
		assert_null(certs);
		assert_non_null(strstr(why, "/cut: "));
	}
	certs = read_certificates(put("cut", der, (size_t)len), why);
	assert_int_equal(X509_cmp(sk_X509_value(certs, 0), x), 0);
	sk_X509_pop_free(certs, X509_free);
	OPENSSL_free(der);
	der = NULL;
	len = i2d_PrivateKey(key, &der);
	for (int n = 1; n < len; n++) {
		assert_null(read_key(put("cut", der, (size_t)n), &s, why));
		assert_false(s.asked);
	}
	got = read_key(put("cut", der, (size_t)len), &s, why);
	assert_int_equal(EVP_PKEY_eq(got, key), 1);
	EVP_PKEY_free(got);
	OPENSSL_free(der);
	der = NULL;
	len = i2d_PKCS12(p12, &der);
	for (int n = 1; n < len; n++)
		assert_false(read_pkcs12(put("cut", der, (size_t)n), &s, &got, &certs, why));
	assert_true(read_pkcs12(put("cut", der, (size_t)len), &s, &got, &certs, why));
	assert_int_equal(EVP_PKEY_eq(got, key), 1);
	assert_int_equal(sk_X509_num(certs), 1);
	EVP_PKEY_free(got);
	sk_X509_pop_free(certs, X509_free);
	OPENSSL_free(der);
	PKCS12_free(p12);
	X509_free(x);
	EVP_PKEY_free(key);
	unlink(in_dir("cut"));
}

/* ---- the store ---- */

static bool
holds(const struct keystore *ks, const char *name, enum store_file f, const char *want)
{
	char file[STORE_PATH], got[64] = "";
	FILE *in = fopen(keystore_path(ks, name, f, file), "r");
	size_t n;

	if (in == NULL)
		return want == NULL;
	n = fread(got, 1, sizeof(got) - 1, in);
	fclose(in);
	return want != NULL && strlen(want) == n && memcmp(got, want, n) == 0;
}

static void
store(void **state)
{
	char why[STORE_WHY], ini[160], certs[160];
	struct store_access a;
	struct keystore ks;
	struct stat st;

	(void)state;
	umask(077);
	snprintf(ini, sizeof(ini), "%s/t.ini", dir);
	snprintf(certs, sizeof(certs), "%s/certs", dir);
	/* nothing is made to look */
	assert_true(keystore_open(&ks, ini, false, why));
	assert_false(keystore_has(&ks, "a", STORE_KEY));
	keystore_close(&ks);
	assert_int_equal(access(certs, F_OK), -1);
	/* put and not kept: undone, the folder too */
	assert_true(keystore_open(&ks, ini, true, why));
	assert_true(keystore_access(&ks, "a", NULL, &a, why));
	assert_true(keystore_put(&ks, "a", STORE_KEY, "k1", 2, &a, why));
	assert_true(keystore_put(&ks, "a", STORE_CERT, "c1", 2, &a, why));
	assert_true(holds(&ks, "a", STORE_KEY, NULL));
	assert_true(keystore_swap(&ks, why));
	assert_true(holds(&ks, "a", STORE_KEY, "k1"));
	keystore_close(&ks);
	assert_int_equal(access(certs, F_OK), -1);
	/* kept */
	assert_true(keystore_open(&ks, ini, true, why));
	assert_true(keystore_put(&ks, "a", STORE_KEY, "k1", 2, &a, why));
	assert_true(keystore_put(&ks, "a", STORE_CERT, "c1", 2, &a, why));
	assert_true(keystore_swap(&ks, why));
	keystore_keep(&ks);
	keystore_close(&ks);
	assert_int_equal(stat(certs, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	/* replaced, one removed, and undone */
	assert_true(keystore_open(&ks, ini, true, why));
	assert_true(keystore_put(&ks, "a", STORE_KEY, "k2", 2, &a, why));
	assert_true(keystore_put(&ks, "a", STORE_NEW_KEY, "n2", 2, &a, why));
	keystore_drop(&ks, "a", STORE_CERT);
	assert_true(keystore_swap(&ks, why));
	assert_true(holds(&ks, "a", STORE_KEY, "k2"));
	assert_true(holds(&ks, "a", STORE_CERT, NULL));
	assert_true(holds(&ks, "a", STORE_NEW_KEY, "n2"));
	assert_true(keystore_undo(&ks, why));
	assert_true(holds(&ks, "a", STORE_KEY, "k1"));
	assert_true(holds(&ks, "a", STORE_CERT, "c1"));
	assert_true(holds(&ks, "a", STORE_NEW_KEY, NULL));
	keystore_drop(&ks, "a", STORE_CERT);
	keystore_drop(&ks, "a", STORE_KEY);
	assert_true(keystore_swap(&ks, why));
	keystore_keep(&ks);
	assert_int_equal(rmdir(certs), 0);	/* nothing lies aside */
	ks.made = false;
	keystore_close(&ks);
}

/* The store that is open is looked at, not what lies at its path by then. */
static void
moved(void **state)
{
	char why[STORE_WHY], ini[160], certs[160], other[160], *data;
	struct store_access a;
	struct keystore ks;
	size_t len;
	gid_t before;

	(void)state;
	snprintf(ini, sizeof(ini), "%s/t.ini", dir);
	snprintf(certs, sizeof(certs), "%s/certs", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	assert_true(keystore_open(&ks, ini, true, why));
	assert_true(keystore_access(&ks, "a", NULL, &a, why));
	before = a.gid;
	assert_true(keystore_put(&ks, "a", STORE_KEY, "k1", 2, &a, why));
	assert_true(keystore_swap(&ks, why));
	keystore_keep(&ks);
	assert_int_equal(rename(certs, other), 0);
	assert_int_equal(mkdir(certs, 0755), 0);
	put("certs/a.key", "evil", 4);
	if (geteuid() == 0)
		assert_int_equal(chown(path, 65534, 65534), 0);
	assert_true(keystore_access(&ks, "a", NULL, &a, why));
	assert_int_equal(a.gid, before);
	assert_true(keystore_same(&ks, "a", STORE_KEY, "k1", 2));
	assert_false(keystore_same(&ks, "a", STORE_KEY, "evil", 4));
	data = keystore_read(&ks, "a", STORE_KEY, &len, why);
	assert_non_null(data);
	assert_string_equal(data, "k1");
	keystore_forget(data, len);
	/* nor does a group count that a stranger's file has, in the store itself */
	if (geteuid() == 0) {
		assert_int_equal(chown(in_dir("other/a.key"), 65534, 65534), 0);
		assert_true(keystore_access(&ks, "a", NULL, &a, why));
		assert_int_equal(a.gid, before);
		assert_int_equal(chown(path, 0, 65534), 0);
		assert_true(keystore_access(&ks, "a", NULL, &a, why));
		assert_int_equal(a.gid, 65534);
	}
	unlink(in_dir("certs/a.key"));
	unlink(in_dir("other/a.key"));
	assert_int_equal(rmdir(certs), 0);
	assert_int_equal(rmdir(other), 0);
	ks.made = false;
	keystore_close(&ks);
}

/* ---- killed at any system call ---- */

static int calls_left;		/* the process dies before this many more; 0: never */

static void
one_call(void)
{
	if (calls_left > 0 && --calls_left == 0)
		_exit(9);
}

/* These stand in the way of the C library's, for the store's code too. */
int
renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	one_call();
	return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

int
linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	one_call();
	return (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
}

int
unlinkat(int at, const char *name, int flags)
{
	one_call();
	return (int)syscall(SYS_unlinkat, at, name, flags);
}

enum ending { KEEP, UNDO, REMOVE };	/* REMOVE: both files go, and that is undone */

/* What a command does, up to its nth change of the folder.  True: it was killed. */
static bool
killed(const char *ini, enum ending ending, int nth)
{
	char why[STORE_WHY];
	struct store_access a;
	struct keystore ks;
	int status;
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		calls_left = nth;
		if (!keystore_open(&ks, ini, false, why) || !keystore_access(&ks, "a", NULL, &a, why))
			_exit(1);
		if (ending == REMOVE) {
			keystore_drop(&ks, "a", STORE_KEY);
			keystore_drop(&ks, "a", STORE_CERT);
		} else if (!keystore_put(&ks, "a", STORE_KEY, "k2", 2, &a, why) ||
		    !keystore_put(&ks, "a", STORE_CERT, "c2", 2, &a, why)) {
			_exit(1);
		}
		keystore_drop(&ks, "a", STORE_NEW_KEY);
		if (!keystore_swap(&ks, why))
			_exit(1);
		if (ending == KEEP)
			keystore_keep(&ks);
		else if (!keystore_undo(&ks, why))
			_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9);
	return WEXITSTATUS(status) == 9;
}

static bool
only_mends(const char *ini, int nth)
{
	char why[STORE_WHY];
	struct keystore ks;
	int status;
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		calls_left = nth;
		_exit(keystore_open(&ks, ini, false, why) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 1);
	return WEXITSTATUS(status) == 9;
}

static void
begin_anew(const char *ini, struct keystore *ks)
{
	char why[STORE_WHY];
	struct store_access a;

	assert_true(keystore_open(ks, ini, true, why));
	assert_true(keystore_access(ks, "a", NULL, &a, why));
	assert_true(keystore_put(ks, "a", STORE_KEY, "k1", 2, &a, why));
	assert_true(keystore_put(ks, "a", STORE_CERT, "c1", 2, &a, why));
	assert_true(keystore_put(ks, "a", STORE_NEW_KEY, "n1", 2, &a, why));
	assert_true(keystore_swap(ks, why));
	keystore_keep(ks);
	keystore_close(ks);
}

/*
 * Killed at its nth change, and whoever mends that at the mth of his: at the
 * end there is the old state or the new one, whole.  Returns whether the old.
 */
static bool
old_is_there(const char *ini, enum ending ending, int nth, int mth)
{
	char why[STORE_WHY];
	struct keystore ks;
	bool old;

	assert_true(keystore_open(&ks, ini, false, why));
	old = holds(&ks, "a", STORE_CERT, "c1");
	if (!holds(&ks, "a", STORE_KEY, old ? "k1" : ending == REMOVE ? NULL : "k2") ||
	    !holds(&ks, "a", STORE_CERT, old ? "c1" : ending == REMOVE ? NULL : "c2") ||
	    !holds(&ks, "a", STORE_NEW_KEY, old ? "n1" : NULL))
		fail_msg("killed at change %d, then at %d of the mending: no whole state", nth, mth);
	for (enum store_file f = 0; f < STORE_FILES; f++)
		keystore_drop(&ks, "a", f);
	assert_true(keystore_swap(&ks, why));
	keystore_keep(&ks);
	snprintf(path, sizeof(path), "%s/certs", dir);
	assert_int_equal(rmdir(path), 0);	/* nothing else was left in it */
	ks.made = false;
	keystore_close(&ks);
	return old;
}

static void
kills(void **state)
{
	struct keystore ks;
	char ini[160];

	(void)state;
	snprintf(ini, sizeof(ini), "%s/t.ini", dir);
	for (enum ending ending = KEEP; ending <= REMOVE; ending++) {
		bool dies = true, again, old, was_old = true;
		int nth, changes = 0;

		for (nth = 1; dies; nth++)
			for (int mth = 1, more = 1; more; mth++) {
				begin_anew(ini, &ks);
				dies = killed(ini, ending, nth);
				again = only_mends(ini, mth);
				old = old_is_there(ini, ending, nth, mth);
				/* the old state until the swap is over, and never again after that */
				if (ending == KEEP && old && !was_old)
					fail_msg("killed at change %d of a kept one: back at the old", nth);
				if (ending != KEEP && !dies && !old)
					fail_msg("not undone");
				if (old != was_old)
					changes++;
				was_old = old;
				more = again;
			}
		assert_true(nth > 8);
		/* undo: at most a kill between its swap and its first step leaves the new */
		assert_true(changes <= (ending == KEEP ? 1 : 2));
	}
}

static int
make_dir(void **state)
{
	(void)state;
	setenv("SSL_CERT_FILE", "/nonexistent", 1);
	setenv("SSL_CERT_DIR", "/nonexistent", 1);
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names), cmocka_unit_test(subjects), cmocka_unit_test(orders),
		cmocka_unit_test(parts), cmocka_unit_test(cut), cmocka_unit_test(store),
		cmocka_unit_test(moved), cmocka_unit_test(kills),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
