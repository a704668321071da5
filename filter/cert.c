/* See cert.h. */
#include <sys/stat.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "ca.h"
#include "cert.h"
#include "cert_chain.h"
#include "cert_file.h"
#include "cert_next.h"
#include "pem_scan.h"

const char *const cert_state_words[CERT_STATE_MAX] = {
	"ok", "expiring", "expired", "not-yet-valid", "key-mismatch", "unreadable",
	"chain-incomplete"
};

/* From the gravest: what holds of several is the first of these. */
static const enum cert_state gravity[] = {
	CERT_STATE_UNREADABLE, CERT_STATE_KEY_MISMATCH, CERT_STATE_EXPIRED,
	CERT_STATE_NOT_YET, CERT_STATE_CHAIN_INCOMPLETE, CERT_STATE_EXPIRING
};

/* Sets the state, and its sentence, unless a graver one is set already. */
static void __attribute__((format(printf, 3, 4)))
judge(struct cert_info *info, enum cert_state state, const char *fmt, ...)
{
	va_list ap;

	for (size_t i = 0; i < sizeof(gravity) / sizeof(gravity[0]); i++) {
		if (gravity[i] == info->state)
			return;
		if (gravity[i] == state)
			break;
	}
	info->state = state;
	va_start(ap, fmt);
	vsnprintf(info->error, sizeof(info->error), fmt, ap);
	va_end(ap);
}

static void
take_key(X509 *x, struct cert_info *info)
{
	EVP_PKEY *key = X509_get0_pubkey(x);
	char group[32];
	size_t len;

	if (key == NULL) {
		snprintf(info->key_type, sizeof(info->key_type), "unknown");
		return;
	}
	info->key_bits = EVP_PKEY_get_bits(key);
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
	    EVP_PKEY_get_group_name(key, group, sizeof(group), &len) == 1) {
		const char *nist = EC_curve_nid2nist(OBJ_sn2nid(group));

		snprintf(info->key_type, sizeof(info->key_type), "EC %.24s", nist != NULL ? nist : group);
	} else {
		const char *type = EVP_PKEY_get0_type_name(key);

		snprintf(info->key_type, sizeof(info->key_type), "%.31s", type != NULL ? type : "unknown");
	}
}

/* By what a certificate's time is judged. */
struct judging {
	time_t now;
	unsigned days;			/* of CERT_STATE_EXPIRING */
	const char *remedy;		/* of one that ends */
};
#define RENEW "renew it"
#define NEXT "get the next one from the sender and add it"

/* Which certificate is in what state, of which more than one could be meant: "" or "…, of X, ". */
static void
judge_time(struct cert_info *info, const char *which, time_t from, time_t to,
    const struct judging *by)
{
	char date[32];
	struct tm tm;
	long left = (long)(to - by->now);

	if (left < 0) {
		gmtime_r(&to, &tm);
		strftime(date, sizeof(date), "%Y-%m-%d", &tm);
		judge(info, CERT_STATE_EXPIRED, "%sexpired on %s; %s", which, date, by->remedy);
	} else if (by->now < from) {
		gmtime_r(&from, &tm);
		strftime(date, sizeof(date), "%Y-%m-%d", &tm);
		judge(info, CERT_STATE_NOT_YET, "%sis valid only from %s on; check the clock, or wait",
		    which, date);
	} else if (by->days > 0 && left < (long)by->days * 86400) {
		judge(info, CERT_STATE_EXPIRING, "%sexpires in %ld day%s; %s", which,
		    left / 86400, left / 86400 == 1 ? "" : "s", by->remedy);
	}
}

static void
take_names(X509 *x, struct cert_info *info)
{
	struct cert_names names;

	(void)cert_names_read(x, &names);
	for (; info->nnames < CERT_NAMES_MAX && info->nnames < names.n; info->nnames++)
		snprintf(info->names[info->nnames], sizeof(info->names[0]), "%s",
		    names.name[info->nnames]);
	info->names_left = names.n - info->nnames;
	cert_names_free(&names);
	cert_common_name(x, info->cn);
}

/* All of it but its dates' meaning. */
static void
take_leaf(X509 *x, time_t now, struct cert_info *info)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
	BIGNUM *bn = ASN1_INTEGER_to_BN(serial, NULL);
	char *text = bn != NULL ? BN_bn2hex(bn) : NULL;
	unsigned int n = 0;
	long left;

	info->parsed = true;
	cert_name_text(X509_get_subject_name(x), info->subject, sizeof(info->subject));
	cert_name_text(X509_get_issuer_name(x), info->issuer, sizeof(info->issuer));
	snprintf(info->serial, sizeof(info->serial), "%.63s", text != NULL ? text : "");
	OPENSSL_free(text);
	BN_free(bn);
	info->not_before = cert_time(X509_get0_notBefore(x));
	info->not_after = info->chain_not_after = cert_time(X509_get0_notAfter(x));
	left = (long)(info->not_after - now);
	info->days_left = left >= 0 ? left / 86400 : -((-left + 86399) / 86400);
	X509_digest(x, EVP_sha256(), info->fingerprint, &n);
	cert_spki_digest(x, info->spki);
	info->self_signed = X509_self_signed(x, 1) == 1;
	take_names(x, info);
	take_key(x, info);
}

/* Its place in the file, counted from 1; 0: it is a root of the system's. */
static int
place_of(const X509 *x, STACK_OF(X509) *file)
{
	for (int i = 0; i < sk_X509_num(file); i++)
		if (X509_cmp(sk_X509_value(file, i), x) == 0)
			return i + 1;
	return 0;
}

/* The chain that a client will build of the file, up to what it has itself. */
static void
judge_chain(STACK_OF(X509) *file, const char *path, const struct judging *by,
    struct cert_info *info)
{
	struct cert_chain c;
	char name[200], which[256];

	if (!cert_chain_build(file, by->now, &c)) {
		judge(info, CERT_STATE_UNREADABLE, "%s: out of memory", path);
		cert_chain_free(&c);
		return;
	}
	info->chain_complete = c.complete;
	for (int i = 1; i < sk_X509_num(c.used); i++) {
		X509 *x = sk_X509_value(c.used, i);
		time_t to = cert_time(X509_get0_notAfter(x));
		int place = place_of(x, file);

		if (place == 0)
			continue;
		cert_name_text(X509_get_subject_name(x), name, sizeof(name));
		snprintf(which, sizeof(which), "certificate %d of it, of %s, ", place, name);
		judge_time(info, which, cert_time(X509_get0_notBefore(x)), to, by);
		if (to < info->chain_not_after)
			info->chain_not_after = to;
	}
	if (!c.complete) {
		cert_name_text(X509_get_issuer_name(sk_X509_value(c.used, sk_X509_num(c.used) - 1)),
		    name, sizeof(name));
		judge(info, CERT_STATE_CHAIN_INCOMPLETE, "%s lacks the certificate of %s; "
		    "append the issuer's certificates to the file", path, name);
	}
	cert_chain_free(&c);
}

static void
judge_key(X509 *leaf, const char *path, struct cert_info *info)
{
	char why[256];
	EVP_PKEY *key;
	struct stat st;

	/* A key is its server's: that the agent or a user may not read it is no fault. */
	if (geteuid() != 0 && eaccess(path, R_OK) == -1 && errno == EACCES) {
		info->key_denied = true;
		return;
	}
	info->key_open = stat(path, &st) == 0 && (st.st_mode & S_IROTH) != 0;
	key = cert_read_key(path, NULL, why, sizeof(why));
	if (key == NULL) {
		judge(info, CERT_STATE_UNREADABLE, "%s: %s", path, why);
		return;
	}
	info->has_key = true;
	info->key_matches = EVP_PKEY_eq(X509_get0_pubkey(leaf), key) == 1;
	if (!info->key_matches)
		judge(info, CERT_STATE_KEY_MISMATCH,
		    "%s is not the key of this certificate; name the key it was made with", path);
	EVP_PKEY_free(key);
}

enum cert_state
cert_inspect(const char *file, const char *key, time_t now, unsigned expiring_days,
    struct cert_info *info)
{
	const struct judging by = { now, expiring_days, RENEW };
	char why[256];
	STACK_OF(X509) *chain;

	memset(info, 0, sizeof(*info));
	chain = cert_read_chain(file, why, sizeof(why));
	if (chain == NULL) {
		judge(info, CERT_STATE_UNREADABLE, "%s: %s", file, why);
		return info->state;
	}
	info->chain_len = (size_t)sk_X509_num(chain);
	take_leaf(sk_X509_value(chain, 0), now, info);
	judge_time(info, "", info->not_before, info->not_after, &by);
	judge_chain(chain, file, &by, info);
	if (key != NULL)
		judge_key(sk_X509_value(chain, 0), key, info);
	sk_X509_pop_free(chain, X509_free);
	ERR_clear_error();
	return info->state;
}

/* Is there nothing graver to say of a than of b, and does it end later? */
static bool
milder(const struct cert_info *a, const struct cert_info *b)
{
	for (size_t i = 0; a->state != b->state && i < sizeof(gravity) / sizeof(gravity[0]); i++)
		if (gravity[i] == a->state || gravity[i] == b->state)
			return gravity[i] == b->state;
	return a->not_after >= b->not_after;
}

/*
 * What a verification needs of the bundle's certificate i, counted from 1: dates and
 * name.  from: since when it or one that it follows is valid; 0: of its own.
 */
static void
glance(X509 *x, size_t i, size_t n, time_t from, const struct judging *by, struct cert_info *info)
{
	char name[200], which[256] = "";

	memset(info, 0, offsetof(struct cert_info, names));
	info->not_before = cert_time(X509_get0_notBefore(x));
	info->not_after = cert_time(X509_get0_notAfter(x));
	if (n > 1) {
		cert_name_text(X509_get_subject_name(x), name, sizeof(name));
		snprintf(which, sizeof(which), "certificate %zu of it, of %s, ", i, name);
	}
	judge_time(info, which, from != 0 ? from : info->not_before, info->not_after, by);
}

/*
 * The certificate to be shown of a bundle, the caller's; *info has its state.  NULL:
 * one is malformed.  next (NULL: nothing of the kind) says which have a successor.
 */
static X509 *
worst_of(const struct pem_file *f, const char *path, const struct cert_next *next,
    const struct judging *by, struct cert_info *info)
{
	struct cert_info *one = malloc(sizeof(*one));
	X509 *worst = NULL, *x;

	for (size_t i = 0; i < f->n; i++) {
		if (next != NULL && next[i].followed)
			continue;
		x = one != NULL ? cert_parse_der(f->entries[i].p, f->entries[i].len) : NULL;
		if (x == NULL) {
			memset(info, 0, sizeof(*info));
			judge(info, CERT_STATE_UNREADABLE, one == NULL || errno == ENOMEM ?
			    "%s: out of memory (certificate %zu)" :
			    "%s: certificate %zu of it is malformed; get the file again", path, i + 1);
			X509_free(worst);
			worst = NULL;
			break;
		}
		glance(x, i + 1, f->n, next != NULL ? next[i].from : 0, by, one);
		if (worst == NULL || !milder(one, info)) {
			memcpy(info, one, offsetof(struct cert_info, names));
			X509_free(worst);
			worst = x;
		} else {
			X509_free(x);
		}
	}
	free(one);
	return worst;
}

static enum cert_state
inspect_bundle(const char *file, const struct judging *by, bool pins, struct cert_info *info)
{
	struct cert_next *next = NULL;
	struct pem_file f;
	char why[256];
	X509 *x;

	memset(info, 0, sizeof(*info));
	if (!pem_load(file, "CERTIFICATE", CA_FILE_MAX, &f, why, sizeof(why))) {
		judge(info, CERT_STATE_UNREADABLE, "%s: %s", file, why);
		return info->state;
	}
	if (pins)
		next = cert_next_find(f.entries, f.n);
	if ((x = worst_of(&f, file, next, by, info)) != NULL)
		take_leaf(x, by->now, info);
	info->chain_len = f.n;
	info->chain_complete = true;
	X509_free(x);
	free(next);
	pem_free(&f);
	ERR_clear_error();
	return info->state;
}

enum cert_state
cert_inspect_bundle(const char *file, time_t now, unsigned expiring_days, struct cert_info *info)
{
	return inspect_bundle(file, &(const struct judging){ now, expiring_days, RENEW }, false, info);
}

enum cert_state
cert_inspect_pins(const char *file, time_t now, unsigned expiring_days, struct cert_info *info)
{
	return inspect_bundle(file, &(const struct judging){ now, expiring_days, NEXT }, true, info);
}

enum cert_state
cert_inspect_der(const unsigned char *der, size_t len, time_t now,
    unsigned expiring_days, struct cert_info *info)
{
	const struct judging by = { now, expiring_days, RENEW };
	X509 *x = len <= CERT_FILE_MAX ? cert_parse_der(der, len) : NULL;

	memset(info, 0, sizeof(*info));
	if (x == NULL) {
		judge(info, CERT_STATE_UNREADABLE, "is not a certificate in DER");
	} else {
		info->chain_len = 1;
		take_leaf(x, now, info);
		judge_time(info, "", info->not_before, info->not_after, &by);
	}
	X509_free(x);
	ERR_clear_error();
	return info->state;
}

const char *
cert_pin_text(const unsigned char digest[32], bool spki, char buf[80])
{
	int n = snprintf(buf, 80, "%s", spki ? "SPKI-SHA256:" : "SHA256:");

	for (size_t i = 0; i < 32; i++)
		n += snprintf(buf + n, 80 - (size_t)n, "%02X", digest[i]);
	return buf;
}
