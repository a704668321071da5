/*
 * A tree of CAs and the client certificates below it, each with what the
 * verification is to say of it, made anew at each run: tests/tool_make_ca.c
 * writes it for the scripts, test_cert_verify.c judges it in process.
 *
 * tree_write makes in a folder:
 *	NAME.pem, NAME.key	a client's: leaf first, then what it sends behind
 *	ca.pem, crl.pem		what a [ca] is to trust, and the CRL of every CA that issues
 *	stale.pem		the same CRLs, out of date
 *	bundle.pem, many.pem	ca.pem among 140 roots; crl.pem with 10,000 entries for the issuer of `good`
 *	list			"NAME REASON REASON" a line: with purpose any, and client
 */
#ifndef TLSWARD_TESTS_CA_TREE_H
#define TLSWARD_TESTS_CA_TREE_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "policy.h"

enum tree_key { KEY_P256, KEY_P384, KEY_P521, KEY_ED25519, KEY_RSA2048, KEY_RSA1024 };
enum tree_flag {
	REVOKED = 1,		/* its issuer's CRL says so */
	TAMPERED = 2,		/* the signature is not its own */
	BY_SHA1 = 4,
	BIG = 8,		/* 64 KiB: more than GnuTLS takes in a handshake */
	NAMES20 = 16,
	NUL_NAME = 32,		/* partner.example, NUL, .evil.example, as dNSName and as CN */
	UNKNOWN_CRITICAL = 64,	/* an extension that nobody knows */
	TRUSTED = 128,		/* in ca.pem */
	LEAF = 256,
	LARGE = 512,		/* 24 KiB */
	NAMES1000 = 1024,	/* 22 KiB of names, the one that counts the last */
	ODD_NAME = 2048		/* a dNSName with a NUL, and a CN that would do */
};

struct tree_spec {
	const char *name, *issuer;	/* issuer NULL: self-signed */
	const char *cn;			/* NULL: an empty subject */
	const char *san;
	enum tree_key key;
	const char *basic, *usage, *eku, *constraints;	/* values of extensions, NULL: without */
	int from, to;			/* days from now */
	const char *chain;		/* names, what it sends behind itself */
	unsigned flags;
	enum reason any, client;	/* with purpose = any, = client */
};

#define CA_USE "critical,keyCertSign,cRLSign"
#define AS_CA "critical,CA:TRUE"
#define LEAF_USE "critical,digitalSignature"
#define SAN "DNS:partner.example"
#define GOOD REASON_NONE
#define BAD REASON_CERT_UNTRUSTED
#define CA(name, issuer, basic, from, to, flags) \
	{ name, issuer, "Test " name, NULL, KEY_P256, basic, CA_USE, NULL, NULL, from, to, "", \
	    flags, GOOD, GOOD }
#define CLIENT(name, issuer, chain, flags, any, client) \
	{ name, issuer, "a client", SAN, KEY_P256, NULL, LEAF_USE, NULL, NULL, -1, 30, chain, \
	    LEAF | (flags), any, client }
#define NAMED(name, cn, san) \
	{ name, "inter", cn, san, KEY_P256, NULL, LEAF_USE, NULL, NULL, -1, 30, "inter", LEAF, \
	    GOOD, GOOD }
#define KEYED(name, key, any) \
	{ name, "inter", "a client", SAN, key, NULL, LEAF_USE, NULL, NULL, -1, 30, "inter", LEAF, \
	    any, any }
#define MEANT(name, eku, client) \
	{ name, "inter", "a client", SAN, KEY_P256, NULL, LEAF_USE, eku, NULL, -1, 30, "inter", LEAF, \
	    GOOD, client }
#define DATED(name, from, to, any) \
	{ name, "inter", "a client", SAN, KEY_P256, NULL, LEAF_USE, NULL, NULL, from, to, "inter", LEAF, \
	    any, any }

/* Issuers before what they issue. */
static const struct tree_spec tree[] = {
	CA("root", NULL, AS_CA, -400, 400, TRUSTED),
	CA("foreign", NULL, AS_CA, -400, 400, 0),
	CA("inter", "root", AS_CA, -300, 300, 0),
	CA("inter2", "inter", AS_CA, -300, 300, 0),
	CA("newroot", NULL, AS_CA, -10, 400, 0),
	CA("late", "root", AS_CA, -300, -2, 0),
	CA("withdrawn", "root", AS_CA, -300, 300, REVOKED),
	CA("last", "root", "critical,CA:TRUE,pathlen:0", -300, 300, 0),
	CA("beyond", "last", AS_CA, -300, 300, 0),
	CA("noca", "root", "critical,CA:FALSE", -300, 300, 0),
	{ "nosign", "root", "Test nosign", NULL, KEY_P256, AS_CA, "critical,cRLSign", NULL, NULL,
	    -300, 300, "", 0, GOOD, GOOD },
	{ "bound", "root", "Test bound", NULL, KEY_P256, AS_CA, CA_USE, NULL,
	    "critical,permitted;DNS:partner.example", -300, 300, "", 0, GOOD, GOOD },
	/* newroot again, its key certified by root */
	CA("cross", "root", AS_CA, -10, 300, 0),

	CLIENT("good", "inter", "inter", 0, GOOD, GOOD),
	CLIENT("direct", "root", "", 0, GOOD, GOOD),
	CLIENT("deep", "inter2", "inter2 inter", 0, GOOD, GOOD),
	CLIENT("unsorted", "inter2", "inter inter2", 0, GOOD, GOOD),
	CLIENT("alone", "inter", "", 0, BAD, BAD),
	CLIENT("crossed", "newroot", "cross", 0, GOOD, GOOD),
	CLIENT("uncrossed", "newroot", "newroot", 0, BAD, BAD),
	CLIENT("stranger", "foreign", "", 0, BAD, BAD),
	CLIENT("selfsigned", NULL, "", 0, BAD, BAD),
	CLIENT("revoked", "inter", "inter", REVOKED, REASON_CERT_REVOKED, REASON_CERT_REVOKED),
	CLIENT("of-withdrawn", "withdrawn", "withdrawn", 0, REASON_CERT_REVOKED, REASON_CERT_REVOKED),
	CLIENT("of-late", "late", "late", 0, REASON_CERT_EXPIRED, REASON_CERT_EXPIRED),
	CLIENT("of-beyond", "beyond", "beyond last", 0, BAD, BAD),
	CLIENT("of-last", "last", "last", 0, GOOD, GOOD),
	CLIENT("of-noca", "noca", "noca", 0, BAD, BAD),
	CLIENT("of-nosign", "nosign", "nosign", 0, BAD, BAD),
	CLIENT("of-bound", "bound", "bound", 0, GOOD, GOOD),
	{ "out-of-bound", "bound", "a client", "DNS:other.example", KEY_P256, NULL, LEAF_USE, NULL,
	    NULL, -1, 30, "bound", LEAF, BAD, BAD },
	CLIENT("tampered", "inter", "inter", TAMPERED, BAD, BAD),
	CLIENT("sha1", "inter", "inter", BY_SHA1, BAD, BAD),
	CLIENT("critical", "inter", "inter", UNKNOWN_CRITICAL, BAD, BAD),
	CLIENT("big", "inter", "inter", BIG, GOOD, GOOD),
	CLIENT("large", "inter", "inter", LARGE, GOOD, GOOD),
	CLIENT("names20", "inter", "inter", NAMES20, GOOD, GOOD),
	CLIENT("names1000", "inter", "inter", NAMES1000, GOOD, GOOD),
	CLIENT("nul", "inter", "inter", NUL_NAME, GOOD, GOOD),
	DATED("expired", -60, -1, REASON_CERT_EXPIRED),
	DATED("early", 2, 60, REASON_CERT_NOT_YET),
	MEANT("server-only", "serverAuth", REASON_CERT_PURPOSE),
	MEANT("client-only", "clientAuth", GOOD),
	MEANT("mail-only", "emailProtection", REASON_CERT_PURPOSE),
	NAMED("wildcard", "a client", "DNS:*.partner.example"),
	NAMED("other", "other.example", "DNS:other.example"),
	NAMED("cn-only", "partner.example", NULL),
	NAMED("cn-beside", "partner.example", "DNS:other.example"),
	{ "cn-odd", "inter", "partner.example", NULL, KEY_P256, NULL, LEAF_USE, NULL, NULL, -1, 30,
	    "inter", LEAF | ODD_NAME, GOOD, GOOD },
	NAMED("idna", "a client", "DNS:xn--bcher-kva.example"),
	NAMED("upper", "a client", "DNS:PARTNER.Example"),
	NAMED("address", "a client", "IP:127.0.0.1,email:a@partner.example"),
	NAMED("nosubject", NULL, "critical," SAN),
	KEYED("p384", KEY_P384, GOOD),
	KEYED("p521", KEY_P521, GOOD),
	KEYED("ed25519", KEY_ED25519, GOOD),
	KEYED("rsa2048", KEY_RSA2048, GOOD),
	KEYED("rsa1024", KEY_RSA1024, BAD),
};
#define TREE_LEN (sizeof(tree) / sizeof(tree[0]))

static EVP_PKEY *tree_keys[TREE_LEN];
static X509 *tree_certs[TREE_LEN];

#define TREE_NEED(x) \
	do { \
		if (!(x)) { \
			fprintf(stderr, "ca_tree: %s\n", #x); \
			exit(2); \
		} \
	} while (0)

static size_t
tree_find(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < TREE_LEN; i++)
		if (strlen(tree[i].name) == len && memcmp(tree[i].name, name, len) == 0)
			return i;
	fprintf(stderr, "ca_tree: there is no %s\n", name);
	exit(2);
}

static EVP_PKEY *
tree_make_key(enum tree_key kind)
{
	switch (kind) {
	case KEY_P384:
		return EVP_EC_gen("P-384");
	case KEY_P521:
		return EVP_EC_gen("P-521");
	case KEY_ED25519:
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	case KEY_RSA2048:
		return EVP_RSA_gen(2048);
	case KEY_RSA1024:
		return EVP_RSA_gen(1024);
	default:
		return EVP_EC_gen("P-256");
	}
}

static void
tree_extend(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *e;

	if (value == NULL)
		return;
	TREE_NEED((e = X509V3_EXT_conf_nid(NULL, ctx, nid, value)) != NULL);
	TREE_NEED(X509_add_ext(x, e, -1) == 1);
	X509_EXTENSION_free(e);
}

/* An extension of an OID of nobody's, of that many octets. */
static void
tree_extend_raw(X509 *x, const char *oid, bool critical, size_t len)
{
	unsigned char *octets = calloc(1, len);
	ASN1_OCTET_STRING *s = ASN1_OCTET_STRING_new();
	ASN1_OBJECT *o = OBJ_txt2obj(oid, 1);
	X509_EXTENSION *e;

	TREE_NEED(octets != NULL && s != NULL && o != NULL);
	TREE_NEED(ASN1_OCTET_STRING_set(s, octets, (int)len) == 1);
	TREE_NEED((e = X509_EXTENSION_create_by_OBJ(NULL, o, critical, s)) != NULL);
	TREE_NEED(X509_add_ext(x, e, -1) == 1);
	X509_EXTENSION_free(e);
	ASN1_OCTET_STRING_free(s);
	ASN1_OBJECT_free(o);
	free(octets);
}

/* So many of other.example's, then that one. */
static void
tree_dns_names(X509 *x, int others, const char *last, size_t len)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	char other[64];

	TREE_NEED(names != NULL);
	for (int i = 1; i <= others + 1; i++) {
		GENERAL_NAME *name = GENERAL_NAME_new();
		ASN1_IA5STRING *text = ASN1_IA5STRING_new();

		TREE_NEED(name != NULL && text != NULL);
		snprintf(other, sizeof(other), "h%d.other.example", i);
		TREE_NEED(ASN1_STRING_set(text, i > others ? last : other,
		    i > others ? (int)len : -1) == 1);
		GENERAL_NAME_set0_value(name, GEN_DNS, text);
		TREE_NEED(sk_GENERAL_NAME_push(names, name) > 0);
	}
	TREE_NEED(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1);
	GENERAL_NAMES_free(names);
}

static void
tree_names(X509 *x, X509V3_CTX *ctx, const struct tree_spec *s)
{
	static const unsigned char nul[] = "partner.example\0.evil.example";
	X509_NAME *subject = X509_get_subject_name(x);

	if (s->flags & NUL_NAME)
		TREE_NEED(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, nul,
		    (int)sizeof(nul) - 1, -1, 0) == 1);
	else if (s->cn != NULL)
		TREE_NEED(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
		    (const unsigned char *)s->cn, -1, -1, 0) == 1);
	if (s->flags & (NUL_NAME | ODD_NAME))
		tree_dns_names(x, 0, (const char *)nul, sizeof(nul) - 1);
	else if (s->flags & (NAMES20 | NAMES1000))
		tree_dns_names(x, s->flags & NAMES20 ? 19 : 999, "partner.example", 15);
	else
		tree_extend(x, ctx, NID_subject_alt_name, s->san);
}

static void
tree_sign(X509 *x, EVP_PKEY *key, const struct tree_spec *s)
{
	const EVP_MD *md = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? NULL :
	    s->flags & BY_SHA1 ? EVP_sha1() : EVP_sha256();
	ASN1_BIT_STRING *sig;
	const ASN1_BIT_STRING *have;

	TREE_NEED(X509_sign(x, key, md) > 0);
	if ((s->flags & TAMPERED) == 0)
		return;
	X509_get0_signature(&have, NULL, x);
	sig = (ASN1_BIT_STRING *)(uintptr_t)have;
	sig->data[sig->length - 1] ^= 1;
}

static void
tree_make(size_t at)
{
	const struct tree_spec *s = &tree[at];
	size_t by = s->issuer != NULL ? tree_find(s->issuer, strlen(s->issuer)) : at;
	X509 *x = X509_new(), *issuer;
	X509V3_CTX ctx;

	TREE_NEED(x != NULL);
	if (strcmp(s->name, "cross") == 0) {	/* another certificate of that CA */
		tree_keys[at] = tree_keys[tree_find("newroot", 7)];
		EVP_PKEY_up_ref(tree_keys[at]);
	} else {
		tree_keys[at] = tree_make_key(s->key);
	}
	TREE_NEED(tree_keys[at] != NULL);
	tree_certs[at] = x;
	issuer = tree_certs[by];
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1000 + (long)at);
	X509_gmtime_adj(X509_getm_notBefore(x), s->from * 86400L);
	X509_gmtime_adj(X509_getm_notAfter(x), s->to * 86400L);
	X509_set_pubkey(x, tree_keys[at]);
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	if (strcmp(s->name, "cross") == 0)
		X509_set_subject_name(x, X509_get_subject_name(tree_certs[tree_find("newroot", 7)]));
	else
		tree_names(x, &ctx, s);
	X509_set_issuer_name(x, X509_get_subject_name(issuer));
	tree_extend(x, &ctx, NID_basic_constraints, s->basic);
	tree_extend(x, &ctx, NID_key_usage, s->usage);
	tree_extend(x, &ctx, NID_ext_key_usage, s->eku);
	tree_extend(x, &ctx, NID_name_constraints, s->constraints);
	tree_extend(x, &ctx, NID_subject_key_identifier, "hash");
	if (s->issuer != NULL)
		tree_extend(x, &ctx, NID_authority_key_identifier, "keyid");
	if (s->flags & UNKNOWN_CRITICAL)
		tree_extend_raw(x, "1.3.6.1.4.1.8072.9999.9999.1", true, 8);
	if (s->flags & BIG)
		tree_extend_raw(x, "1.3.6.1.4.1.8072.9999.9999.2", false, 65536);
	if (s->flags & LARGE)
		tree_extend_raw(x, "1.3.6.1.4.1.8072.9999.9999.2", false, 24 * 1024);
	tree_sign(x, tree_keys[by], s);
}

static void
tree_make_all(void)
{
	size_t i;

	for (i = 0; i < TREE_LEN; i++)
		tree_make(i);
}

static void __attribute__((unused))
tree_free_all(void)
{
	size_t i;

	for (i = 0; i < TREE_LEN; i++) {
		X509_free(tree_certs[i]);
		EVP_PKEY_free(tree_keys[i]);
	}
}

/* ---- CRLs ---- */

static void
tree_revoke(X509_CRL *crl, const ASN1_INTEGER *serial)
{
	X509_REVOKED *r = X509_REVOKED_new();
	ASN1_TIME *when = X509_gmtime_adj(NULL, -3600);

	TREE_NEED(r != NULL && when != NULL);
	TREE_NEED(X509_REVOKED_set_serialNumber(r, (ASN1_INTEGER *)(uintptr_t)serial) == 1);
	TREE_NEED(X509_REVOKED_set_revocationDate(r, when) == 1);
	TREE_NEED(X509_CRL_add0_revoked(crl, r) == 1);
	ASN1_TIME_free(when);
}

/* The CRL of that CA, `more` entries of nobody's in it; of yesterday where stale. */
static X509_CRL *
tree_crl(size_t ca, size_t more, bool stale)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *from = X509_gmtime_adj(NULL, -7L * 86400);
	ASN1_TIME *to = X509_gmtime_adj(NULL, (stale ? -1L : 30L) * 86400);
	ASN1_INTEGER *serial = ASN1_INTEGER_new();
	size_t i;

	TREE_NEED(crl != NULL && from != NULL && to != NULL && serial != NULL);
	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(tree_certs[ca]));
	X509_CRL_set1_lastUpdate(crl, from);
	X509_CRL_set1_nextUpdate(crl, to);
	for (i = 0; i < more; i++) {
		ASN1_INTEGER_set_uint64(serial, 0x1000000000000u + i * 7919);
		tree_revoke(crl, serial);
	}
	for (i = 0; i < TREE_LEN; i++)
		if ((tree[i].flags & REVOKED) && strcmp(tree[i].issuer, tree[ca].name) == 0)
			tree_revoke(crl, X509_get0_serialNumber(tree_certs[i]));
	X509_CRL_sort(crl);
	TREE_NEED(X509_CRL_sign(crl, tree_keys[ca], EVP_sha256()) > 0);
	ASN1_INTEGER_free(serial);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	return crl;
}

/* ---- files ---- */

static FILE *
tree_open(const char *dir, const char *name, const char *suffix, mode_t mode)
{
	char path[4096];
	int fd;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s%s", dir, name, suffix);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd == -1 || fchmod(fd, mode) == -1 || (f = fdopen(fd, "w")) == NULL) {
		perror(path);
		exit(2);
	}
	return f;
}

static void
tree_write_crls(const char *dir, const char *name, size_t large, bool stale)
{
	FILE *f = tree_open(dir, name, "", 0644);
	size_t i;

	for (i = 0; i < TREE_LEN; i++) {
		X509_CRL *crl;

		if (tree[i].basic == NULL || strcmp(tree[i].name, "cross") == 0)
			continue;
		crl = tree_crl(i, strcmp(tree[i].name, "inter") == 0 ? large : 0, stale);
		TREE_NEED(PEM_write_X509_CRL(f, crl) == 1);
		X509_CRL_free(crl);
	}
	TREE_NEED(fclose(f) == 0);
}

static void
tree_write_client(const char *dir, const struct tree_spec *s)
{
	size_t at = (size_t)(s - tree), len;
	FILE *f = tree_open(dir, s->name, ".pem", 0644);
	const char *p;

	TREE_NEED(PEM_write_X509(f, tree_certs[at]) == 1);
	for (p = s->chain; *p != '\0'; p += len + (p[len] == ' ')) {
		len = strcspn(p, " ");
		TREE_NEED(PEM_write_X509(f, tree_certs[tree_find(p, len)]) == 1);
	}
	TREE_NEED(fclose(f) == 0);
	f = tree_open(dir, s->name, ".key", 0600);
	TREE_NEED(PEM_write_PrivateKey(f, tree_keys[at], NULL, NULL, 0, NULL, NULL) == 1);
	TREE_NEED(fclose(f) == 0);
}

/* Roots of nobody's around the trusted one, for a bundle of the usual size. */
static void
tree_write_bundle(const char *dir, int roots)
{
	FILE *f = tree_open(dir, "bundle.pem", "", 0644);
	EVP_PKEY *key = EVP_RSA_gen(4096);	/* what makes the size of a real bundle */

	for (int i = 0; i < roots; i++) {
		X509 *x;
		char cn[64];

		if (i == roots / 2) {
			TREE_NEED(PEM_write_X509(f, tree_certs[0]) == 1);
			continue;
		}
		TREE_NEED((x = X509_dup(tree_certs[1])) != NULL);
		snprintf(cn, sizeof(cn), "Public Root Number %d of Nobody", i);
		X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "O", MBSTRING_ASC,
		    (const unsigned char *)cn, -1, -1, 0);
		X509_set_issuer_name(x, X509_get_subject_name(x));
		X509_set_pubkey(x, key);
		TREE_NEED(X509_sign(x, key, EVP_sha256()) > 0 && PEM_write_X509(f, x) == 1);
		X509_free(x);
	}
	EVP_PKEY_free(key);
	TREE_NEED(fclose(f) == 0);
}

static void __attribute__((unused))
tree_write(const char *dir, bool large)
{
	FILE *f, *list = tree_open(dir, "list", "", 0644);
	size_t i;

	f = tree_open(dir, "ca.pem", "", 0644);
	for (i = 0; i < TREE_LEN; i++)
		if (tree[i].flags & TRUSTED)
			TREE_NEED(PEM_write_X509(f, tree_certs[i]) == 1);
	TREE_NEED(fclose(f) == 0);
	for (i = 0; i < TREE_LEN; i++) {
		tree_write_client(dir, &tree[i]);
		if (tree[i].flags & LEAF)
			fprintf(list, "%s %s %s\n", tree[i].name, reason_words[tree[i].any],
			    reason_words[tree[i].client]);
	}
	TREE_NEED(fclose(list) == 0);
	tree_write_crls(dir, "crl.pem", 0, false);
	tree_write_crls(dir, "stale.pem", 0, true);
	if (large) {
		tree_write_crls(dir, "many.pem", 10000, false);
		tree_write_bundle(dir, 140);
	}
}

/* The folder with all that is in it; 0: it is gone. */
static int __attribute__((unused))
tree_remove(const char *dir)
{
	pid_t pid = fork();

	if (pid == 0) {
		execlp("rm", "rm", "-rf", dir, (char *)NULL);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

#endif
