/*
 * What a certificate is and in what state: every state, names as nobody honest
 * writes them, sizes and kinds of keys, and files cut or damaged at each octet.
 */
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "cert.h"
#include "cert_file.h"

#define NOW ((time_t)1800000000)	/* 2027-01-15 */
#define DAY 86400

static char dir[] = "/tmp/tlsward-test_cert.XXXXXX";
static struct cert_info info;		/* too large for a stack that is watched */

/* ---- certificates to order ---- */

struct order {
	const char *cn;
	const char *san[25];		/* NULL-ended */
	const char *odd;		/* one more dNSName of odd_len octets */
	size_t odd_len;
	long from, to;			/* seconds from NOW; 0, 0: a year around it */
	size_t padding;			/* octets of an extension of nobody's */
	EVP_PKEY *key;			/* NULL: a new P-256 */
	X509 *issuer;			/* NULL: itself */
	EVP_PKEY *issuer_key;
};

static EVP_PKEY *
ec_key(const char *curve)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);

	assert_non_null(key);
	return key;
}

static void
add_san(X509 *x, const struct order *o)
{
	GENERAL_NAMES *all = GENERAL_NAMES_new();
	size_t n = 0;

	for (; n < 25 && (o->san[n] != NULL || (o->odd != NULL && n < 1)); n++) {
		GENERAL_NAME *g = GENERAL_NAME_new();
		ASN1_IA5STRING *s = ASN1_IA5STRING_new();

		if (o->san[n] != NULL)
			ASN1_STRING_set(s, o->san[n], -1);
		else
			ASN1_STRING_set(s, o->odd, (int)o->odd_len);
		GENERAL_NAME_set0_value(g, GEN_DNS, s);
		sk_GENERAL_NAME_push(all, g);
	}
	if (n > 0)
		assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, 0), 1);
	GENERAL_NAMES_free(all);
}

static void
add_padding(X509 *x, size_t len)
{
	ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.8072.9999.9999.1", 1);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	unsigned char *octets = calloc(1, len);
	X509_EXTENSION *e;

	ASN1_OCTET_STRING_set(value, octets, (int)len);
	e = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value);
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
	ASN1_OCTET_STRING_free(value);
	ASN1_OBJECT_free(oid);
	free(octets);
}

static X509 *
make(const struct order *o)
{
	X509 *x = X509_new();
	EVP_PKEY *key = o->key, *fresh = NULL;
	time_t from = NOW + (o->from == 0 && o->to == 0 ? -DAY : o->from);
	time_t to = NOW + (o->from == 0 && o->to == 0 ? 365 * DAY : o->to);
	const EVP_MD *md = EVP_sha256();

	if (key == NULL)
		key = fresh = ec_key("P-256");
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 0x1234);
	assert_non_null(X509_time_adj_ex(X509_getm_notBefore(x), 0, 0, &from));
	assert_non_null(X509_time_adj_ex(X509_getm_notAfter(x), 0, 0, &to));
	if (o->cn != NULL)
		X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
		    (const unsigned char *)o->cn, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(o->issuer != NULL ? o->issuer : x));
	X509_set_pubkey(x, key);
	add_san(x, o);
	if (o->padding > 0)
		add_padding(x, o->padding);
	if (o->issuer_key != NULL)
		key = o->issuer_key;
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519)
		md = NULL;
	assert_true(X509_sign(x, key, md) > 0);
	EVP_PKEY_free(fresh);
	return x;
}

/* ---- files ---- */

static const char *
path_of(const char *name, char buf[128])
{
	snprintf(buf, 128, "%s/%s", dir, name);
	return buf;
}

static void
put(const char *name, const void *data, size_t len)
{
	char path[128];
	FILE *f = fopen(path_of(name, path), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

/* The certificates, up to NULL, as a PEM file; its path. */
static const char *
put_chain(const char *name, char path[128], X509 *first, ...)
{
	BIO *b = BIO_new_file(path_of(name, path), "w");
	va_list ap;

	va_start(ap, first);
	for (X509 *x = first; x != NULL; x = va_arg(ap, X509 *))
		PEM_write_bio_X509(b, x);
	va_end(ap);
	BIO_free(b);
	return path;
}

static void
put_stack(const char *name, char path[128], STACK_OF(X509) *all)
{
	BIO *b = BIO_new_file(path_of(name, path), "w");

	for (int i = 0; i < sk_X509_num(all); i++)
		PEM_write_bio_X509(b, sk_X509_value(all, i));
	BIO_free(b);
}

static const char *
put_key(const char *name, char path[128], EVP_PKEY *key, const char *pass)
{
	BIO *b = BIO_new_file(path_of(name, path), "w");

	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(b, key, pass != NULL ? EVP_aes_128_cbc() : NULL,
	    pass, pass != NULL ? (int)strlen(pass) : 0, NULL, NULL), 1);
	BIO_free(b);
	return path;
}

static enum cert_state
inspect_der(X509 *x)
{
	unsigned char *der = NULL;
	int len = i2d_X509(x, &der);
	enum cert_state state;

	assert_true(len > 0);
	state = cert_inspect_der(der, (size_t)len, NOW, 30, &info);
	OPENSSL_free(der);
	return state;
}

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

/* ---- chains and bundles ---- */

/* What is said of the file: the state, and a part of the sentence. */
static void
says(const char *path, enum cert_state want, const char *part)
{
	if (cert_inspect(path, NULL, NOW, 30, &info) != want || strstr(info.error, part) == NULL)
		fail_msg("%s: %s: %s", part, cert_state_words[info.state], info.error);
}

static void
whole_chain(void **state)
{
	EVP_PKEY *key[4] = { ec_key("P-256"), ec_key("P-256"), ec_key("P-256"), ec_key("P-256") };
	struct order top = { .cn = "Root", .key = key[0], .from = -400 * DAY, .to = 400 * DAY };
	X509 *root = make(&top);
	struct order mid = { .cn = "Inter", .key = key[1], .issuer = root, .issuer_key = key[0] };
	X509 *inter = make(&mid), *old, *early, *ending, *leaf, *other, *forged, *oldroot;
	char path[128];

	(void)state;
	mid.from = -300 * DAY;
	mid.to = -2 * DAY;
	old = make(&mid);
	mid.from = DAY;
	mid.to = 90 * DAY;
	early = make(&mid);
	mid.from = -DAY;
	mid.to = 5 * DAY;
	ending = make(&mid);
	leaf = make(&(struct order){ .cn = "a.example", .issuer = inter, .issuer_key = key[1] });
	other = make(&(struct order){ .cn = "b.example" });
	forged = make(&(struct order){ .cn = "Inter", .key = key[3], .issuer = root,
	    .issuer_key = key[0] });
	top.from = -400 * DAY;
	top.to = -DAY;
	oldroot = make(&top);

	says(put_chain("chain.pem", path, leaf, inter, root, NULL), CERT_STATE_OK, "");
	assert_true(info.chain_complete && info.chain_len == 3);
	says(put_chain("chain.pem", path, leaf, root, other, inter, NULL), CERT_STATE_OK, "");
	says(put_chain("chain.pem", path, leaf, inter, NULL), CERT_STATE_CHAIN_INCOMPLETE,
	    "lacks the certificate of CN=Root;");
	says(put_chain("chain.pem", path, leaf, other, root, NULL), CERT_STATE_CHAIN_INCOMPLETE,
	    "lacks the certificate of CN=Inter;");
	/* the right name, but another key */
	says(put_chain("chain.pem", path, leaf, forged, root, NULL), CERT_STATE_CHAIN_INCOMPLETE, "");
	says(put_chain("chain.pem", path, leaf, old, root, NULL), CERT_STATE_EXPIRED,
	    "certificate 2 of it, of CN=Inter, expired on 2027-01-13; renew it");
	assert_int_equal(info.chain_not_after, NOW - 2 * DAY);
	assert_int_equal(info.days_left, 365);	/* the leaf's own */
	says(put_chain("chain.pem", path, leaf, root, early, NULL), CERT_STATE_NOT_YET,
	    "certificate 3 of it, of CN=Inter, is valid only from 2027-01-16 on");
	says(put_chain("chain.pem", path, leaf, ending, root, NULL), CERT_STATE_EXPIRING,
	    "certificate 2 of it, of CN=Inter, expires in 5 days");
	/* what is there in two editions serves by the one that is valid */
	says(put_chain("chain.pem", path, leaf, old, inter, root, NULL), CERT_STATE_OK, "");
	says(put_chain("chain.pem", path, leaf, inter, oldroot, root, NULL), CERT_STATE_OK, "");
	says(put_chain("chain.pem", path, leaf, inter, oldroot, NULL), CERT_STATE_EXPIRED,
	    "certificate 3 of it, of CN=Root, expired");
	/* and what it does not go by is not looked at */
	says(put_chain("chain.pem", path, other, old, NULL), CERT_STATE_OK, "");
	unlink(path);
	X509_free(root);
	X509_free(inter);
	X509_free(old);
	X509_free(early);
	X509_free(ending);
	X509_free(leaf);
	X509_free(other);
	X509_free(forged);
	X509_free(oldroot);
	for (size_t i = 0; i < 4; i++)
		EVP_PKEY_free(key[i]);
}

static void
bundles(void **state)
{
	STACK_OF(X509) *all = sk_X509_new_null();
	EVP_PKEY *key = ec_key("P-256");
	unsigned char *der = NULL;
	char path[128], cn[32];
	int len;

	(void)state;
	for (long i = 0; i < 140; i++) {
		struct order o = { .cn = cn, .key = key, .from = -500 * DAY, .to = (500 - i) * DAY,
		    .padding = 10000 };

		snprintf(cn, sizeof(cn), "Root %ld", i);
		assert_true(sk_X509_push(all, make(&o)) > 0);
	}
	put_stack("bundle.pem", path, all);	/* 1.9 MB */
	assert_int_equal(cert_inspect_bundle(path, NOW, 30, &info), CERT_STATE_OK);
	assert_int_equal(info.chain_len, 140);
	assert_string_equal(info.subject, "CN=Root 139");
	assert_int_equal(info.days_left, 361);
	assert_int_equal(cert_inspect_bundle(path, NOW + 350 * DAY, 30, &info), CERT_STATE_EXPIRING);
	assert_non_null(strstr(info.error, "certificate 140 of it, of CN=Root 139, expires in 11 days"));
	assert_int_equal(cert_inspect_bundle(path, NOW + 370 * DAY, 30, &info), CERT_STATE_EXPIRED);
	assert_non_null(strstr(info.error, "certificate 140 of it, of CN=Root 139, expired on"));
	assert_string_equal(info.subject, "CN=Root 139");
	/* one that is not yet valid is graver than one that ends before it */
	sk_X509_push(all, make(&(struct order){ .cn = "New", .key = key, .from = 365 * DAY,
	    .to = 9000L * DAY }));
	put_stack("bundle.pem", path, all);
	assert_int_equal(cert_inspect_bundle(path, NOW + 355 * DAY, 30, &info), CERT_STATE_NOT_YET);
	assert_string_equal(info.subject, "CN=New");

	len = i2d_X509(sk_X509_value(all, 7), &der);
	put("bundle.pem", der, (size_t)len);
	assert_int_equal(cert_inspect_bundle(path, NOW, 30, &info), CERT_STATE_OK);
	assert_string_equal(info.subject, "CN=Root 7");
	assert_int_equal(info.chain_len, 1);
	der[5] ^= 0xff;			/* one TLV still, but no certificate */
	put("bundle.pem", der, (size_t)len);
	assert_int_equal(cert_inspect_bundle(path, NOW, 30, &info), CERT_STATE_UNREADABLE);
	assert_non_null(strstr(info.error, "certificate 1 of it is malformed"));
	assert_false(info.parsed);
	unlink(path);
	OPENSSL_free(der);
	sk_X509_pop_free(all, X509_free);
	EVP_PKEY_free(key);
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
make_dir(void **state)
{
	(void)state;
	/* no root of this machine's may complete a chain of ours, or cost its time */
	setenv("SSL_CERT_FILE", "/nonexistent", 1);
	setenv("SSL_CERT_DIR", "/nonexistent", 1);
	return mkdtemp(dir) == NULL ? -1 : 0;
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
		cmocka_unit_test(whole_chain), cmocka_unit_test(bundles),
		cmocka_unit_test(names), cmocka_unit_test(twenty_names), cmocka_unit_test(odd_names),
		cmocka_unit_test(key_kinds), cmocka_unit_test(large), cmocka_unit_test(der_cut),
		cmocka_unit_test(der_damaged), cmocka_unit_test(pem_cut), cmocka_unit_test(key_cut),
		cmocka_unit_test(not_pem), cmocka_unit_test(encrypted),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
