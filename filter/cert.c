/* See cert.h. */
#include <sys/stat.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "cert.h"
#include "cert_file.h"

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

static void
judge_time(struct cert_info *info, time_t now, unsigned expiring_days)
{
	char date[32];
	struct tm tm;
	long left = (long)(info->not_after - now);

	info->days_left = left >= 0 ? left / 86400 : -((-left + 86399) / 86400);
	if (now > info->not_after) {
		gmtime_r(&info->not_after, &tm);
		strftime(date, sizeof(date), "%Y-%m-%d", &tm);
		judge(info, CERT_STATE_EXPIRED, "expired on %s; renew it", date);
	} else if (now < info->not_before) {
		gmtime_r(&info->not_before, &tm);
		strftime(date, sizeof(date), "%Y-%m-%d", &tm);
		judge(info, CERT_STATE_NOT_YET, "is valid only from %s on; check the clock, or wait", date);
	} else if (expiring_days > 0 && left < (long)expiring_days * 86400) {
		judge(info, CERT_STATE_EXPIRING, "expires in %ld day%s; renew it", info->days_left,
		    info->days_left == 1 ? "" : "s");
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

static void
take_leaf(X509 *x, time_t now, unsigned expiring_days, struct cert_info *info)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
	BIGNUM *bn = ASN1_INTEGER_to_BN(serial, NULL);
	char *text = bn != NULL ? BN_bn2hex(bn) : NULL;
	unsigned int n = 0;

	info->parsed = true;
	cert_name_text(X509_get_subject_name(x), info->subject, sizeof(info->subject));
	cert_name_text(X509_get_issuer_name(x), info->issuer, sizeof(info->issuer));
	snprintf(info->serial, sizeof(info->serial), "%.63s", text != NULL ? text : "");
	OPENSSL_free(text);
	BN_free(bn);
	info->not_before = cert_time(X509_get0_notBefore(x));
	info->not_after = cert_time(X509_get0_notAfter(x));
	X509_digest(x, EVP_sha256(), info->fingerprint, &n);
	cert_spki_digest(x, info->spki);
	info->self_signed = X509_self_signed(x, 1) == 1;
	take_names(x, info);
	take_key(x, info);
	judge_time(info, now, expiring_days);
}

/*
 * Does the chain of the file end at a root: one in the file or one that this
 * system trusts?  Only what is missing counts here, so validity, purposes and
 * the like are not asked about.
 */
static bool
chain_complete(STACK_OF(X509) *chain)
{
	X509 *last = sk_X509_value(chain, 0);
	X509_STORE *store = NULL;
	X509_STORE_CTX *ctx = NULL;
	X509 *issuer = NULL;
	bool complete = false;

	for (int i = 1; i < sk_X509_num(chain) && X509_self_signed(last, 0) != 1; i++) {
		X509 *next = sk_X509_value(chain, i);

		if (X509_check_issued(next, last) != X509_V_OK)
			return false;
		last = next;
	}
	if (X509_self_signed(last, 0) == 1)
		return true;
	store = X509_STORE_new();
	ctx = X509_STORE_CTX_new();
	if (store == NULL || ctx == NULL || X509_STORE_set_default_paths(store) != 1 ||
	    X509_STORE_CTX_init(ctx, store, last, NULL) != 1)
		goto out;
	complete = X509_STORE_CTX_get1_issuer(&issuer, ctx, last) == 1;
out:
	X509_free(issuer);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ERR_clear_error();
	return complete;
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
	char why[256];
	STACK_OF(X509) *chain;

	memset(info, 0, sizeof(*info));
	chain = cert_read_chain(file, why, sizeof(why));
	if (chain == NULL) {
		judge(info, CERT_STATE_UNREADABLE, "%s: %s", file, why);
		return info->state;
	}
	info->chain_len = (size_t)sk_X509_num(chain);
	take_leaf(sk_X509_value(chain, 0), now, expiring_days, info);
	info->chain_complete = chain_complete(chain);
	if (!info->chain_complete)
		judge(info, CERT_STATE_CHAIN_INCOMPLETE, "%s lacks the certificate of %.200s; "
		    "append the issuer's certificates to the file", file,
		    info->chain_len == 1 ? info->issuer : "an issuer");
	if (key != NULL)
		judge_key(sk_X509_value(chain, 0), key, info);
	sk_X509_pop_free(chain, X509_free);
	ERR_clear_error();
	return info->state;
}

enum cert_state
cert_inspect_bundle(const char *file, time_t now, unsigned expiring_days, struct cert_info *info)
{
	char why[256];
	STACK_OF(X509) *all;
	X509 *first;

	memset(info, 0, sizeof(*info));
	all = cert_read_chain(file, why, sizeof(why));
	if (all == NULL) {
		judge(info, CERT_STATE_UNREADABLE, "%s: %s", file, why);
		return info->state;
	}
	first = sk_X509_value(all, 0);
	for (int i = 1; i < sk_X509_num(all); i++)
		if (ASN1_TIME_compare(X509_get0_notAfter(sk_X509_value(all, i)),
		    X509_get0_notAfter(first)) < 0)
			first = sk_X509_value(all, i);
	info->chain_len = (size_t)sk_X509_num(all);
	take_leaf(first, now, expiring_days, info);
	info->chain_complete = true;
	sk_X509_pop_free(all, X509_free);
	ERR_clear_error();
	return info->state;
}

enum cert_state
cert_inspect_der(const unsigned char *der, size_t len, time_t now,
    unsigned expiring_days, struct cert_info *info)
{
	const unsigned char *p = der;
	X509 *x = len > 0 && len <= CERT_FILE_MAX ? d2i_X509(NULL, &p, (long)len) : NULL;

	memset(info, 0, sizeof(*info));
	if (x == NULL || (size_t)(p - der) != len) {
		judge(info, CERT_STATE_UNREADABLE, "is not a certificate in DER");
	} else {
		info->chain_len = 1;
		take_leaf(x, now, expiring_days, info);
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
