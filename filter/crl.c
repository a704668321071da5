/* See crl.h. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "crl.h"

#define SEQUENCE 0x30
#define INTEGER 0x02
#define OCTETS 0x04
#define OBJECT 0x06
#define ENUMERATED 0x0a
#define UTCTIME 0x17
#define GENERALIZEDTIME 0x18

struct lazy {
	struct der tbs;			/* whole TLV, what was signed */
	struct der revoked;		/* the entries, one TLV after the other */
	EVP_PKEY *signer;		/* the key that the signature has been checked with */
	const EVP_MD *md;		/* of digest, NULL: none yet */
	unsigned char digest[EVP_MAX_MD_SIZE];	/* of tbs */
	unsigned digest_len;
};

/*
 * tbsCertList: version?, signature, issuer, thisUpdate, nextUpdate?,
 * revokedCertificates?, [0] extensions?  (RFC 5280 5.1).  cut is the TLV of
 * revokedCertificates, empty where there is none.
 */
static bool
find_entries(const struct der *crl, struct der *tbs, struct der *cut)
{
	struct der in = *crl, list, body, skip;

	if (!der_take(&in, SEQUENCE, &list))
		return false;
	in = list;
	if (!der_skip(&list, tbs) || !der_take(&in, SEQUENCE, &body))
		return false;
	(void)der_take(&body, INTEGER, &skip);
	if (!der_take(&body, SEQUENCE, &skip) || !der_take(&body, SEQUENCE, &skip))
		return false;
	for (int times = 0; body.len > 0 && times < 2 &&
	    (body.p[0] == UTCTIME || body.p[0] == GENERALIZEDTIME); times++)
		if (!der_skip(&body, &skip))
			return false;
	cut->p = body.p;
	cut->len = 0;
	if (body.len > 0 && body.p[0] == SEQUENCE)
		return der_skip(&body, cut);
	return true;
}

static size_t
put_header(unsigned char *out, size_t length)
{
	size_t n = 0;

	out[n++] = SEQUENCE;
	if (length < 0x80) {
		out[n++] = (unsigned char)length;
		return n;
	}
	out[n++] = 0x84;	/* BER would do with fewer; OpenSSL takes it, and nobody signs this */
	for (int shift = 24; shift >= 0; shift -= 8)
		out[n++] = (unsigned char)(length >> shift);
	return n;
}

/* The CRL without its entries, as DER of the caller's. */
static unsigned char *
without_entries(const struct der *crl, const struct der *tbs, const struct der *cut, size_t *len)
{
	struct der in = *tbs, whole = *crl, list, body;
	const unsigned char *after_tbs = tbs->p + tbs->len;
	size_t before, behind, rest, n;
	unsigned char *out, head[8];

	if (!der_take(&in, SEQUENCE, &body) || !der_take(&whole, SEQUENCE, &list))
		return NULL;
	before = (size_t)(cut->p - body.p);
	behind = body.len - before - cut->len;
	rest = (size_t)(list.p + list.len - after_tbs);	/* what stands behind the CRL is none of it */
	if ((out = malloc(before + behind + rest + 2 * sizeof(head))) == NULL)
		return NULL;
	n = put_header(head, before + behind);
	*len = put_header(out, n + before + behind + rest);
	memcpy(out + *len, head, n);
	*len += n;
	memcpy(out + *len, body.p, before);
	*len += before;
	memcpy(out + *len, cut->p + cut->len, behind);
	*len += behind;
	memcpy(out + *len, after_tbs, rest);
	*len += rest;
	return out;
}

static int
lazy_free(X509_CRL *crl)
{
	struct lazy *l = X509_CRL_get_meth_data(crl);

	if (l != NULL) {
		EVP_PKEY_free(l->signer);
		free(l);
		X509_CRL_set_meth_data(crl, NULL);
	}
	return 1;
}

/* der_take, of what has the shortest length octets, as DER wants them. */
static bool
take_short(struct der *in, unsigned char tag, struct der *value)
{
	const unsigned char *start = in->p;
	size_t header = 2;

	if (!der_take(in, tag, value))
		return false;
	if (value->len >= 0x80)
		for (size_t v = value->len; v > 0; v >>= 8)
			header++;
	return (size_t)(value->p - start) == header;
}

/* A whole INTEGER in the one encoding that DER allows: then equal numbers are equal octets. */
static bool
take_serial(struct der *entry, struct der *number)
{
	if (!take_short(entry, INTEGER, number) || number->len == 0)
		return false;
	return number->len == 1 || !((number->p[0] == 0x00 && number->p[1] < 0x80) ||
	    (number->p[0] == 0xff && number->p[1] >= 0x80));
}

static bool
take_time(struct der *entry, struct der *when)
{
	return take_short(entry, UTCTIME, when) || take_short(entry, GENERALIZEDTIME, when);
}

/*
 * One extension of an entry: of those of RFC 5280 5.3, and not critical (DER has
 * no BOOLEAN where it is false).  A reason is but one, and none that takes the
 * entry back.
 */
static bool
plain_extension(struct der *exts, bool *reasoned)
{
	static const unsigned char id_ce[] = { 0x55, 0x1d }, reason_code = 0x15;
	struct der ext, id, value, reason;

	if (!take_short(exts, SEQUENCE, &ext) || !take_short(&ext, OBJECT, &id) ||
	    !take_short(&ext, OCTETS, &value) || ext.len != 0)
		return false;
	if (id.len != 3 || memcmp(id.p, id_ce, 2) != 0 || id.p[2] >= 0x80)
		return false;
	if (id.p[2] != reason_code)
		return true;
	if (*reasoned || !take_short(&value, ENUMERATED, &reason) || value.len != 0 || reason.len != 1)
		return false;
	*reasoned = true;
	return reason.p[0] != CRL_REASON_REMOVE_FROM_CRL;
}

static bool
plain_entry(struct der *entries)
{
	struct der entry, number, when, exts;
	bool reasoned = false;

	if (!take_short(entries, SEQUENCE, &entry) || !take_serial(&entry, &number) ||
	    !take_time(&entry, &when))
		return false;
	if (entry.len == 0)
		return true;
	if (!take_short(&entry, SEQUENCE, &exts) || entry.len != 0)
		return false;
	while (exts.len > 0)
		if (!plain_extension(&exts, &reasoned))
			return false;
	return true;
}

/*
 * Is the list such that OpenSSL would take every entry of it, and that a number
 * on it means no more and no less than that the certificate is revoked?  A
 * critical extension of any entry concerns all of them (RFC 5280 5.3).
 */
static bool
plain_list(struct der entries)
{
	while (entries.len > 0)
		if (!plain_entry(&entries))
			return false;
	return true;
}

/* Is the INTEGER, a whole TLV in DER, the number of one of the entries of a plain list? */
static bool
find_entry(struct der entries, const struct der *serial)
{
	struct der entry, number;

	/* Octets that are nowhere are no entry's number: that costs less than to read them all. */
	if (entries.len == 0 || memmem(entries.p, entries.len, serial->p, serial->len) == NULL)
		return false;
	while (entries.len > 0) {
		if (!der_take(&entries, SEQUENCE, &entry) || !der_skip(&entry, &number))
			return true;	/* cannot be; but who cannot tell does not trust */
		if (number.len == serial->len && memcmp(number.p, serial->p, number.len) == 0)
			return true;
	}
	return false;
}

/*
 * What OpenSSL is given of every certificate that is on a list: it looks at
 * nothing of it but the reason, and in plain lists none is special.
 */
static X509_REVOKED *listed;

/* 0: not revoked; 1: revoked, or who knows, and *ret set. */
static int
lazy_lookup(X509_CRL *crl, X509_REVOKED **ret, const ASN1_INTEGER *serial, const X509_NAME *issuer)
{
	struct lazy *l = X509_CRL_get_meth_data(crl);
	unsigned char *der = NULL;
	int len = i2d_ASN1_INTEGER(serial, &der);
	struct der want = { der, len > 0 ? (size_t)len : 0 };
	bool found = l == NULL || want.len == 0 || find_entry(l->revoked, &want);

	(void)issuer;	/* an indirect CRL never comes here */
	OPENSSL_free(der);
	if (found && ret != NULL)
		*ret = listed;
	return found;
}

/*
 * The digest that a signature algorithm goes by, where it is no more than a
 * digest and a key; NULL: another one.
 */
static const EVP_MD *
plain_digest(const X509_ALGOR *alg, int *type)
{
	const ASN1_OBJECT *oid;
	int digest, params;

	X509_ALGOR_get0(&oid, &params, NULL, alg);
	if (OBJ_find_sigid_algs(OBJ_obj2nid(oid), &digest, type) != 1 ||
	    *type == NID_rsassaPss || digest == NID_undef ||
	    (params != V_ASN1_UNDEF && params != V_ASN1_NULL))
		return NULL;
	return EVP_get_digestbynid(digest);
}

static bool
hash(struct lazy *l, const EVP_MD *md)
{
	if (l->md == md)
		return true;
	l->md = NULL;
	if (EVP_Digest(l->tbs.p, l->tbs.len, l->digest, &l->digest_len, md, NULL) != 1)
		return false;
	l->md = md;
	return true;
}

/* The signature over the DER as it lies there; -2: the algorithm is not so plain. */
static int
verify_in_place(struct lazy *l, const X509_ALGOR *alg, const ASN1_BIT_STRING *sig, EVP_PKEY *key)
{
	int type, rc = -1;
	const EVP_MD *md = plain_digest(alg, &type);
	EVP_PKEY_CTX *ctx;

	if (md == NULL)
		return -2;
	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_type(type) || (sig->flags & 7) != 0 ||
	    !hash(l, md))
		return -1;
	if ((ctx = EVP_PKEY_CTX_new(key, NULL)) != NULL && EVP_PKEY_verify_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(ctx, md) == 1)
		rc = EVP_PKEY_verify(ctx, ASN1_STRING_get0_data(sig),
		    (size_t)ASN1_STRING_length(sig), l->digest, l->digest_len);
	EVP_PKEY_CTX_free(ctx);
	return rc;
}

/* The same by OpenSSL's own reading of the algorithm's parameters, over a copy. */
static int
verify_copy(const struct der *tbs, const X509_ALGOR *alg, const ASN1_BIT_STRING *sig,
    EVP_PKEY *key)
{
	ASN1_STRING *raw = ASN1_STRING_type_new(V_ASN1_SEQUENCE);
	ASN1_TYPE *any = ASN1_TYPE_new();
	int rc = -1;

	if (raw != NULL && any != NULL && ASN1_STRING_set(raw, tbs->p, (int)tbs->len) == 1) {
		ASN1_TYPE_set(any, V_ASN1_SEQUENCE, raw);
		raw = NULL;
		rc = ASN1_item_verify(ASN1_ITEM_rptr(ASN1_ANY), alg, sig, any, key);
	}
	ASN1_STRING_free(raw);
	ASN1_TYPE_free(any);
	return rc;
}

/* The signature is over the DER as it came, entries and all; once is enough for a key. */
static int
lazy_verify(X509_CRL *crl, EVP_PKEY *key)
{
	struct lazy *l = X509_CRL_get_meth_data(crl);
	const ASN1_BIT_STRING *sig;
	const X509_ALGOR *alg;
	int rc;

	if (l == NULL)
		return -1;
	if (l->signer != NULL && EVP_PKEY_eq(l->signer, key) == 1)
		return 1;
	X509_CRL_get0_signature(crl, &sig, &alg);
	if ((rc = verify_in_place(l, alg, sig, key)) == -2)
		rc = verify_copy(&l->tbs, alg, sig, key);
	if (rc == 1 && l->signer == NULL && EVP_PKEY_up_ref(key) == 1)
		l->signer = key;
	return rc;
}

static const X509_CRL_METHOD *
method(void)
{
	static X509_CRL_METHOD *m;

	if (listed == NULL && (listed = X509_REVOKED_new()) == NULL)
		return NULL;
	if (m == NULL)
		m = X509_CRL_METHOD_new(NULL, lazy_free, lazy_lookup, lazy_verify);
	return m;
}

/* Does the list need all of its entries looked at: partial, indirect, or unknown to us? */
static bool
unusual(X509_CRL *crl)
{
	return X509_CRL_get_ext_by_NID(crl, NID_issuing_distribution_point, -1) >= 0 ||
	    X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0 ||
	    X509_CRL_get_ext_by_critical(crl, 1, -1) >= 0;
}

static X509_CRL *
parse(const unsigned char *der, size_t len, const X509_CRL_METHOD *m)
{
	const unsigned char *p = der;
	X509_CRL *crl;

	X509_CRL_set_default_method(m);
	crl = d2i_X509_CRL(NULL, &p, (long)len);
	X509_CRL_set_default_method(NULL);
	return crl;
}

X509_CRL *
crl_open(const struct der *der)
{
	struct der tbs, cut, list, revoked = { NULL, 0 };
	unsigned char *small = NULL;
	struct lazy *l = NULL;
	X509_CRL *crl = NULL;
	size_t len;

	if (der->len > INT_MAX || !find_entries(der, &tbs, &cut))
		return NULL;
	list = cut;
	if (cut.len > 0 && (!der_take(&list, SEQUENCE, &revoked) || !plain_list(revoked)))
		return parse(der->p, der->len, NULL);
	if ((small = without_entries(der, &tbs, &cut, &len)) == NULL ||
	    (l = calloc(1, sizeof(*l))) == NULL || method() == NULL ||
	    (crl = parse(small, len, method())) == NULL)
		goto out;
	if (X509_CRL_get_REVOKED(crl) != NULL) {	/* a second list, where the first was */
		X509_CRL_free(crl);
		crl = NULL;
		goto out;
	}
	if (unusual(crl)) {
		X509_CRL_free(crl);
		crl = parse(der->p, der->len, NULL);
		goto out;
	}
	l->tbs = tbs;
	l->revoked = revoked;
	X509_CRL_set_meth_data(crl, l);
	l = NULL;
out:
	free(small);
	free(l);
	return crl;
}

void
crl_hash(X509_CRL *crl)
{
	struct lazy *l = X509_CRL_get_meth_data(crl);
	const X509_ALGOR *alg;
	const EVP_MD *md;
	int type;

	X509_CRL_get0_signature(crl, NULL, &alg);
	if (l != NULL && (md = plain_digest(alg, &type)) != NULL)
		(void)hash(l, md);
}

size_t
crl_entries(X509_CRL *crl)
{
	struct lazy *l = X509_CRL_get_meth_data(crl);
	struct der left, entry;
	size_t n = 0;

	if (l == NULL) {
		int whole = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl));

		return whole > 0 ? (size_t)whole : 0;	/* -1: no list */
	}
	for (left = l->revoked; der_skip(&left, &entry);)
		n++;
	return n;
}
