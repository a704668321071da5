/*
 * What a certificate is and in what state: every state, names as nobody honest
 * writes them, sizes and kinds of keys, and files cut or damaged at each octet.
 */
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "cert_order.h"

/* ---- states ---- */

static void
times(void **state)
{
	static const struct {
		long from, to;
		enum cert_state want;
		long days;
		const char *says;
	} cases[] = {
		{ -DAY, 31 * DAY, CERT_STATE_OK, 31, "" },
		{ -DAY, 30 * DAY, CERT_STATE_OK, 30, "" },
		{ -DAY, 30 * DAY - 1, CERT_STATE_EXPIRING, 29, "expires in 29 days; renew it" },
		{ -DAY, 2 * DAY - 1, CERT_STATE_EXPIRING, 1, "expires in 1 day; renew it" },
		{ -DAY, 0, CERT_STATE_EXPIRING, 0, "expires in 0 days" },
		{ -DAY, -1, CERT_STATE_EXPIRED, -1, "expired on 2027-01-15; renew it" },
		{ -9 * DAY, -DAY - 1, CERT_STATE_EXPIRED, -2, "expired on 2027-01-14" },
		{ 0, 90 * DAY, CERT_STATE_OK, 90, "" },
		{ 1, 90 * DAY, CERT_STATE_NOT_YET, 90, "is valid only from 2027-01-15 on" },
		{ DAY, 3 * DAY, CERT_STATE_NOT_YET, 3, "2027-01-16" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct order o = { .cn = "a.example", .from = cases[i].from, .to = cases[i].to };
		X509 *x = make(&o);

		assert_int_equal(inspect_der(x), cases[i].want);
		assert_int_equal(info.state, cases[i].want);
		assert_int_equal(info.days_left, cases[i].days);
		assert_int_equal(info.not_before, NOW + cases[i].from);
		assert_int_equal(info.not_after, NOW + cases[i].to);
		assert_non_null(strstr(info.error, cases[i].says));
		assert_int_equal(info.error[0] == '\0', cases[i].want == CERT_STATE_OK);
		X509_free(x);
	}
}

static void
files(void **state)
{
	char cert[128], key[128], other[128], enc[128], path[128];
	EVP_PKEY *mine = ec_key("P-256"), *his = ec_key("P-256");
	struct order o = { .cn = "a.example", .san = { "a.example" }, .key = mine };
	X509 *x = make(&o);

	(void)state;
	put_chain("a.pem", cert, x, NULL);
	put_key("a.key", key, mine, NULL);
	put_key("b.key", other, his, NULL);
	put_key("enc.key", enc, mine, "secret");
	assert_int_equal(cert_inspect(cert, key, NOW, 30, &info), CERT_STATE_OK);
	assert_true(info.has_key && info.key_matches && info.self_signed && info.chain_complete);
	assert_int_equal(info.chain_len, 1);
	assert_string_equal(info.serial, "1234");
	assert_string_equal(info.subject, "CN=a.example");
	assert_int_equal(cert_inspect(cert, NULL, NOW, 30, &info), CERT_STATE_OK);
	assert_false(info.has_key);
	assert_int_equal(cert_inspect(cert, other, NOW, 30, &info), CERT_STATE_KEY_MISMATCH);
	assert_true(info.has_key && !info.key_matches);
	assert_int_equal(cert_inspect(cert, enc, NOW, 30, &info), CERT_STATE_UNREADABLE);
	assert_non_null(strstr(info.error, "is encrypted"));
	assert_int_equal(cert_inspect(cert, cert, NOW, 30, &info), CERT_STATE_UNREADABLE);
	assert_int_equal(cert_inspect(key, key, NOW, 30, &info), CERT_STATE_UNREADABLE);
	assert_false(info.parsed);
	assert_int_equal(cert_inspect(path_of("none", path), key, NOW, 30, &info), CERT_STATE_UNREADABLE);
	assert_non_null(strstr(info.error, "no such file"));
	assert_int_equal(cert_inspect(cert, path_of("none", path), NOW, 30, &info), CERT_STATE_UNREADABLE);
	assert_int_equal(cert_inspect(dir, key, NOW, 30, &info), CERT_STATE_UNREADABLE);
	assert_non_null(strstr(info.error, "is a directory"));
	assert_int_equal(symlink("loop", path_of("loop", path)), 0);
	assert_int_equal(cert_inspect(path, key, NOW, 30, &info), CERT_STATE_UNREADABLE);
	assert_non_null(strstr(info.error, "loop of symbolic links"));
	assert_int_equal(mkfifo(path_of("fifo", path), 0600), 0);
	assert_int_equal(cert_inspect(path, key, NOW, 30, &info), CERT_STATE_UNREADABLE);
	assert_int_equal(chmod(key, 0644), 0);
	assert_int_equal(cert_inspect(cert, key, NOW, 30, &info), CERT_STATE_OK);
	assert_true(info.key_open);
	X509_free(x);
	EVP_PKEY_free(mine);
	EVP_PKEY_free(his);
}

/* The gravest of several holds; its sentence too. */
static void
gravity(void **state)
{
	char cert[128], other[128], path[128];
	EVP_PKEY *mine = ec_key("P-256"), *his = ec_key("P-256");
	struct order root = { .cn = "Root", .key = his, .from = -400 * DAY, .to = 400 * DAY };
	X509 *r = make(&root);
	struct order o = { .cn = "a.example", .key = mine, .from = -9 * DAY, .to = -DAY,
	    .issuer = r, .issuer_key = his };
	X509 *x = make(&o);

	(void)state;
	put_chain("old.pem", cert, x, NULL);
	put_key("his.key", other, his, NULL);
	assert_int_equal(cert_inspect(cert, NULL, NOW, 30, &info), CERT_STATE_EXPIRED);
	assert_false(info.chain_complete);
	assert_int_equal(cert_inspect(cert, other, NOW, 30, &info), CERT_STATE_KEY_MISMATCH);
	assert_non_null(strstr(info.error, "is not the key"));
	assert_int_equal(cert_inspect(cert, path_of("none", path), NOW, 30, &info),
	    CERT_STATE_UNREADABLE);
	assert_int_equal(cert_inspect(cert, NULL, NOW - 5 * DAY, 30, &info),
	    CERT_STATE_CHAIN_INCOMPLETE);
	assert_non_null(strstr(info.error, "CN=Root"));
	put_chain("full.pem", cert, x, r, NULL);
	assert_int_equal(cert_inspect(cert, NULL, NOW - 5 * DAY, 30, &info), CERT_STATE_EXPIRING);
	assert_true(info.chain_complete && !info.self_signed);
	assert_int_equal(info.chain_len, 2);
	put_chain("turned.pem", cert, r, x, NULL);
	assert_int_equal(cert_inspect(cert, NULL, NOW, 30, &info), CERT_STATE_OK);
	assert_string_equal(info.subject, "CN=Root");
	X509_free(x);
	X509_free(r);
	EVP_PKEY_free(mine);
	EVP_PKEY_free(his);
}

/* ---- names ---- */

static void
names(void **state)
{
	struct order o = { .cn = "CN.Example", .san = { "MX.Example.ORG", "*.w.example",
	    "xn--bcher-kva.example" } };
	X509 *x = make(&o);

	(void)state;
	assert_int_equal(inspect_der(x), CERT_STATE_OK);
	assert_int_equal(info.nnames, 3);
	assert_string_equal(info.names[0], "mx.example.org");
	assert_string_equal(info.names[1], "*.w.example");
	assert_string_equal(info.names[2], "xn--bcher-kva.example");
	assert_string_equal(info.cn, "cn.example");
	X509_free(x);
}

static void
twenty_names(void **state)
{
	char text[20][32];
	struct order o = { .cn = NULL };
	X509 *x;

	(void)state;
	for (size_t i = 0; i < 20; i++) {
		snprintf(text[i], sizeof(text[i]), "h%zu.example", i);
		o.san[i] = text[i];
	}
	x = make(&o);
	assert_int_equal(inspect_der(x), CERT_STATE_OK);
	assert_int_equal(info.nnames, 20);
	assert_string_equal(info.names[19], "h19.example");
	assert_string_equal(info.cn, "");
	assert_string_equal(info.subject, "");
	X509_free(x);
}

/* A name that says one thing to C and another to whoever signed it is no name. */
static void
odd_names(void **state)
{
	char much[300];
	static const struct {
		const char *name;
		size_t len;
	} odd[] = {
		{ "mx.example.org\0.evil.example", 28 },
		{ "\0", 1 },
		{ "a\nb.example", 11 },
		{ "a\x7f.example", 10 },
		{ "", 0 },
	};
	struct order o = { .cn = NULL };
	X509 *x;

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		o.odd = odd[i].name;
		o.odd_len = odd[i].len;
		x = make(&o);
		assert_int_equal(inspect_der(x), CERT_STATE_OK);
		assert_int_equal(info.nnames, 0);
		X509_free(x);
	}
	memset(much, 'a', sizeof(much));
	o.odd = much;
	for (o.odd_len = 254; o.odd_len <= 257; o.odd_len++) {
		x = make(&o);
		inspect_der(x);
		assert_int_equal(info.nnames, o.odd_len < 256);
		X509_free(x);
	}
	/* a CN with a NUL inside; UTF-8 and controls in a subject are shown harmlessly */
	x = make(&(struct order){ .cn = "b\xc3\xbc" "cher\x1b[2J" });
	inspect_der(x);
	assert_string_equal(info.cn, "");
	assert_null(strchr(info.subject, 0x1b));
	assert_non_null(strstr(info.subject, "b\xc3\xbc" "cher"));
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", V_ASN1_UTF8STRING,
	    (const unsigned char *)"a\0b", 3, -1, 0);
	inspect_der(x);
	assert_string_equal(info.cn, "");
	X509_free(x);
}

/* ---- keys ---- */

static void
key_kinds(void **state)
{
	struct {
		EVP_PKEY *key;
		const char *type;
		int bits;
	} kinds[] = {
		{ EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024), "RSA", 1024 },
		{ EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048), "RSA", 2048 },
		{ EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), "ED25519", 256 },
		{ ec_key("P-256"), "EC P-256", 256 },
		{ ec_key("P-521"), "EC P-521", 521 },
		{ ec_key("secp256k1"), "EC secp256k1", 256 },
	};
	unsigned char want[32];
	char text[80];

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct order o = { .cn = "k.example", .key = kinds[i].key };
		X509 *x = make(&o);
		unsigned int n;

		assert_int_equal(inspect_der(x), CERT_STATE_OK);
		assert_string_equal(info.key_type, kinds[i].type);
		assert_true(abs(info.key_bits - kinds[i].bits) <= 3);	/* Ed25519: 253 */
		assert_int_equal(X509_digest(x, EVP_sha256(), want, &n), 1);
		assert_memory_equal(info.fingerprint, want, 32);
		cert_spki_digest(x, want);
		assert_memory_equal(info.spki, want, 32);
		assert_true(info.self_signed);
		X509_free(x);
		EVP_PKEY_free(kinds[i].key);
	}
	memset(want, 0xa5, sizeof(want));
	assert_int_equal(strlen(cert_pin_text(want, false, text)), 7 + 64);
	assert_int_equal(strncmp(text, "SHA256:A5", 9), 0);
	assert_int_equal(strncmp(cert_pin_text(want, true, text), "SPKI-SHA256:A5", 14), 0);
}

static void
large(void **state)
{
	char path[128];
	X509 *x = make(&(struct order){ .cn = "large.example", .padding = 64 * 1024 });
	X509 *y = make(&(struct order){ .cn = "huge.example", .padding = CERT_FILE_MAX });

	(void)state;
	assert_int_equal(inspect_der(x), CERT_STATE_OK);
	assert_int_equal(cert_inspect(put_chain("large.pem", path, x, NULL), NULL, NOW, 30, &info),
	    CERT_STATE_OK);
	assert_string_equal(info.cn, "large.example");
	assert_int_equal(inspect_der(y), CERT_STATE_UNREADABLE);
	assert_int_equal(cert_inspect(put_chain("huge.pem", path, y, NULL), NULL, NOW, 30, &info),
	    CERT_STATE_UNREADABLE);
	assert_non_null(strstr(info.error, "more than the 1048576 that are read"));
	X509_free(x);
	X509_free(y);
}

/* ---- damage ---- */

static void
der_cut(void **state)
{
	struct order o = { .cn = "a.example", .san = { "a.example", "b.example" } };
	X509 *x = make(&o);
	unsigned char *der = NULL, *exact;
	size_t len = (size_t)i2d_X509(x, &der);

	(void)state;
	for (size_t n = 0; n < len; n++) {
		exact = malloc(n + 1);		/* ASan sees a read behind it */
		memcpy(exact, der, n);
		assert_int_equal(cert_inspect_der(exact, n, NOW, 30, &info), CERT_STATE_UNREADABLE);
		assert_false(info.parsed);
		exact = realloc(exact, n > 0 ? n : 1);
		cert_inspect_der(exact, n, NOW, 30, &info);
		free(exact);
	}
	exact = malloc(len + 1);
	memcpy(exact, der, len);
	exact[len] = 0;
	assert_int_equal(cert_inspect_der(exact, len + 1, NOW, 30, &info), CERT_STATE_UNREADABLE);
	assert_int_equal(cert_inspect_der(exact, len, NOW, 30, &info), CERT_STATE_OK);
	free(exact);
	OPENSSL_free(der);
	X509_free(x);
}

/* Each octet changed: any state will do, but none that reads outside or never ends. */
static void
der_damaged(void **state)
{
	static const unsigned char change[] = { 0x01, 0x80, 0xff };
	struct order o = { .cn = "a.example", .san = { "a.example", "b.example" } };
	X509 *x = make(&o);
	unsigned char *der = NULL;
	int len = i2d_X509(x, &der);
	unsigned ok = 0;

	(void)state;
	for (int i = 0; i < len; i++)
		for (size_t k = 0; k < sizeof(change); k++) {
			der[i] ^= change[k];
			ok += cert_inspect_der(der, (size_t)len, NOW, 30, &info) == CERT_STATE_OK;
			assert_true(info.nnames <= 2);
			assert_true(memchr(info.subject, '\0', sizeof(info.subject)) != NULL);
			der[i] ^= change[k];
		}
	assert_true(ok > 0);		/* the signature's octets, for example */
	OPENSSL_free(der);
	X509_free(x);
}

static void
pem_cut(void **state)
{
	struct order o = { .cn = "a.example" };
	X509 *x = make(&o), *y = make(&o);
	BIO *b = BIO_new(BIO_s_mem());
	char *text, why[256];
	long len, one;

	(void)state;
	PEM_write_bio_X509(b, x);
	one = BIO_get_mem_data(b, &text);
	PEM_write_bio_X509(b, y);
	len = BIO_get_mem_data(b, &text);
	for (long n = 0; n <= len; n++) {
		char *exact = malloc((size_t)n + 1);
		STACK_OF(X509) *chain;

		memcpy(exact, text, (size_t)n);
		exact[n] = '\0';
		why[0] = '\0';
		chain = cert_parse_chain(exact, (size_t)n, why, sizeof(why));
		assert_int_equal(chain == NULL, why[0] != '\0');
		/* never fewer than the file began, but for a header that is no header yet */
		if (n == one || n >= len - 1)
			assert_non_null(chain);
		else if (n > 30 && n < one - 1)
			assert_null(chain);
		else if (n > one + 30 && n < len - 1)
			assert_null(chain);
		sk_X509_pop_free(chain, X509_free);
		free(exact);
	}
	BIO_free(b);
	X509_free(x);
	X509_free(y);
}

static void
key_cut(void **state)
{
	EVP_PKEY *key = ec_key("P-256"), *got;
	BIO *b = BIO_new(BIO_s_mem());
	char *text, why[256], path[128];
	long len;

	(void)state;
	PEM_write_bio_PKCS8PrivateKey(b, key, NULL, NULL, 0, NULL, NULL);
	len = BIO_get_mem_data(b, &text);
	for (long n = 0; n < len - 1; n++) {
		got = cert_parse_key(text, (size_t)n, NULL, why, sizeof(why));
		assert_null(got);
		assert_true(why[0] != '\0');
	}
	got = cert_parse_key(text, (size_t)len, NULL, why, sizeof(why));
	assert_int_equal(EVP_PKEY_eq(got, key), 1);
	EVP_PKEY_free(got);
	put_key("pass.key", path, key, "secret");
	assert_null(cert_read_key(path, NULL, why, sizeof(why)));
	assert_null(cert_read_key(path, "wrong", why, sizeof(why)));
	assert_non_null(strstr(why, "wrong passphrase"));
	got = cert_read_key(path, "secret", why, sizeof(why));
	assert_non_null(got);
	EVP_PKEY_free(got);
	EVP_PKEY_free(key);
	BIO_free(b);
}

static void
not_pem(void **state)
{
	char path[128], why[256];
	X509 *x = make(&(struct order){ .cn = "a.example" });
	unsigned char *der = NULL;
	int len = i2d_X509(x, &der);

	(void)state;
	put("a.der", der, (size_t)len);
	assert_null(cert_read_chain(path_of("a.der", path), why, sizeof(why)));
	assert_non_null(strstr(why, "holds DER, not PEM; convert it"));
	put("empty", "", 0);
	assert_null(cert_read_chain(path_of("empty", path), why, sizeof(why)));
	assert_non_null(strstr(why, "is empty"));
	put("text", "hello\0world", 11);
	assert_null(cert_read_chain(path_of("text", path), why, sizeof(why)));
	assert_non_null(strstr(why, "no certificate in PEM"));
	assert_null(cert_read_key(path, NULL, why, sizeof(why)));
	OPENSSL_free(der);
	X509_free(x);
}

/* An encrypted block: nobody is asked, on no terminal and not by standard input. */
static void
encrypted(void **state)
{
	X509 *x = make(&(struct order){ .cn = "a.example" });
	BIO *b = BIO_new(BIO_s_mem());
	char *text, why[256] = "";
	int in[2], status, left = 0;
	pid_t pid;
	long len;

	(void)state;
	assert_true(PEM_ASN1_write_bio((i2d_of_void *)(void *)i2d_X509, PEM_STRING_X509, b, x,
	    EVP_aes_128_cbc(), (const unsigned char *)"secret", 6, NULL, NULL) > 0);
	len = BIO_get_mem_data(b, &text);
	assert_int_equal(pipe(in), 0);
	assert_int_equal(write(in[1], "secret\n", 7), 7);
	if ((pid = fork()) == 0) {
		(void)setsid();		/* from the terminal */
		dup2(in[0], STDIN_FILENO);
		_exit(cert_parse_chain(text, (size_t)len, why, sizeof(why)) != NULL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(ioctl(in[0], FIONREAD, &left), 0);
	assert_int_equal(left, 7);
	assert_null(cert_parse_chain(text, (size_t)len, why, sizeof(why)));
	assert_non_null(strstr(why, "is encrypted"));
	close(in[0]);
	close(in[1]);
	BIO_free(b);
	X509_free(x);
}

static int
remove_dir(void **state)
{
	static const char *const made[] = { "a.pem", "a.key", "b.key", "enc.key", "loop", "fifo",
	    "old.pem", "his.key", "full.pem", "turned.pem", "large.pem", "huge.pem", "pass.key",
	    "a.der", "empty", "text" };
	char path[128];

	(void)state;
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
		unlink(path_of(made[i], path));
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times), cmocka_unit_test(files), cmocka_unit_test(gravity),
		cmocka_unit_test(names), cmocka_unit_test(twenty_names), cmocka_unit_test(odd_names),
		cmocka_unit_test(key_kinds), cmocka_unit_test(large), cmocka_unit_test(der_cut),
		cmocka_unit_test(der_damaged), cmocka_unit_test(pem_cut), cmocka_unit_test(key_cut),
		cmocka_unit_test(not_pem), cmocka_unit_test(encrypted),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
