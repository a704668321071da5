/*
 * CRLs of the tree's `inter`, signed by it, with an entry that is not as it should
 * be: made octet by octet, as OpenSSL would not write them.
 */
#ifndef TLSWARD_TESTS_CRL_CRAFT_H
#define TLSWARD_TESTS_CRL_CRAFT_H

#include "ca_tree.h"

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

#endif
