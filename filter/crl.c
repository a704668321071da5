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
#define BOOLEAN 0x01
#define INTEGER 0x02
#define OBJECT 0x06
#define UTCTIME 0x17
#define GENERALIZEDTIME 0x18

struct lazy {
	struct der tbs;			/* whole TLV, what was signed */
	struct der revoked;		/* the entries, one TLV after the other */
	X509_REVOKED *found;		/* the last answer: OpenSSL does not free it */
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
	struct der in = *tbs, body;
	const unsigned char *after_tbs = tbs->p + tbs->len;
	size_t before, behind, rest, n;
	unsigned char *out, head[8];

	if (!der_take(&in, SEQUENCE, &body))
		return NULL;
	before = (size_t)(cut->p - body.p);
	behind = body.len - before - cut->len;
	rest = (size_t)(crl->p + crl->len - after_tbs);
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
		X509_REVOKED_free(l->found);
		EVP_PKEY_free(l->signer);
		free(l);
		X509_CRL_set_meth_data(crl, NULL);
	}
	return 1;
}

/* A whole INTEGER in the one encoding that DER allows: then equal numbers are equal octets. */
static bool
take_serial(struct der *entry, struct der *number)
{
	if (!der_take(entry, INTEGER, number) || number->len == 0)
		return false;
	return number->len == 1 || !((number->p[0] == 0x00 && number->p[1] < 0x80) ||
	    (number->p[0] == 0xff && number->p[1] >= 0x80));
}

/* Is there a critical one in an entry's extensions, or something that is none? */
static bool
any_critical(struct der entry)
{
	struct der exts, ext, value;

	if (entry.len == 0)
		return false;
	if (!der_take(&entry, SEQUENCE, &exts) || entry.len != 0)
		return true;
	while (exts.len > 0)
		if (!der_take(&exts, SEQUENCE, &ext) || !der_take(&ext, OBJECT, &value) ||
		    (ext.len > 0 && ext.p[0] == BOOLEAN))
			return true;	/* DER has no BOOLEAN where it is false */
	return false;
}

/*
 * Is the list such that an entry may be looked up alone?  A critical extension
 * of any entry concerns all of them (RFC 5280 5.3).
 */
static bool
plain_list(struct der entries)
{
	struct der entry, number, when;

	while (entries.len > 0)
		if (!der_take(&entries, SEQUENCE, &entry) || !take_serial(&entry, &number) ||
		    !der_skip(&entry, &when) || any_critical(entry))
			return false;
	return true;
}

/* 0: not revoked; 1: revoked, *ret set; 2: taken off the list again (removeFromCRL). */
static int
lazy_lookup(X509_CRL *crl, X509_REVOKED **ret, const ASN1_INTEGER *serial, const X509_NAME *issuer)
{
	struct lazy *l = X509_CRL_get_meth_data(crl);
	struct der entries, entry, whole, want, in, number;
	unsigned char *der = NULL;
	int len = i2d_ASN1_INTEGER(serial, &der), rc = 1;	/* 1: who knows is not trusted */
	const unsigned char *p;
	ASN1_ENUMERATED *reason;

	(void)issuer;	/* an indirect CRL never comes here */
	in.p = der;
	in.len = len > 0 ? (size_t)len : 0;
	if (l == NULL || !der_take(&in, INTEGER, &want))
		goto out;
	/* Octets that are nowhere are no entry's number: that costs less than to read them all. */
	if (l->revoked.len == 0 || memmem(l->revoked.p, l->revoked.len, der, (size_t)len) == NULL) {
		rc = 0;
		goto out;
	}
	for (rc = 0, entries = l->revoked; entries.len > 0;) {
		whole = entries;
		if (!der_take(&entries, SEQUENCE, &entry) || !der_take(&entry, INTEGER, &number)) {
			rc = 1;
			break;
		}
		if (number.len != want.len || memcmp(number.p, want.p, want.len) != 0)
			continue;
		rc = 1;
		p = whole.p;
		X509_REVOKED_free(l->found);
		if ((l->found = d2i_X509_REVOKED(NULL, &p, (long)(entries.p - whole.p))) == NULL)
			break;
		if (ret != NULL)
			*ret = l->found;
		reason = X509_REVOKED_get_ext_d2i(l->found, NID_crl_reason, NULL, NULL);
		if (reason != NULL && ASN1_ENUMERATED_get(reason) == CRL_REASON_REMOVE_FROM_CRL)
			rc = 2;
		ASN1_ENUMERATED_free(reason);
		break;
	}
out:
	OPENSSL_free(der);
	return rc;
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
