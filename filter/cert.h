/*
 * What a certificate is, and in what state: for the command line, `check`, the
 * agent and the decision.  No user of this header need know OpenSSL.
 *
 * A certificate file is PEM, leaf first, then its chain; a private key lies in
 * a file of its own.  Everything read is bounded (CERT_FILE_MAX); anything
 * malformed is a state with a sentence, never a crash.  Nothing of a key but
 * its type, size and whether it matches ever leaves this module.
 *
 * RFC 5280 (certificates), RFC 7468 (PEM), RFC 9525 (names).
 */
#ifndef TLSWARD_FILTER_CERT_H
#define TLSWARD_FILTER_CERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define CERT_FILE_MAX (1024 * 1024)	/* octets of a leaf's or key's file */
#define CERT_NAMES_MAX 100		/* dNSNames shown of one certificate; all are looked at */

enum cert_state {
	CERT_STATE_OK,
	CERT_STATE_EXPIRING,		/* within the days asked about */
	CERT_STATE_EXPIRED,
	CERT_STATE_NOT_YET,		/* not yet valid */
	CERT_STATE_KEY_MISMATCH,
	CERT_STATE_UNREADABLE,		/* file, PEM, DER or key cannot be read */
	CERT_STATE_CHAIN_INCOMPLETE,	/* an issuer is missing between leaf and a known root */
	CERT_STATE_MAX
};
extern const char *const cert_state_words[CERT_STATE_MAX];	/* "ok", "expiring", … */

struct cert_info {
	enum cert_state state;		/* the gravest that holds */
	char error[512];		/* what is wrong and what to do; "" when ok */
	bool parsed;			/* the fields below are of a certificate */
	char subject[512], issuer[512];	/* RFC 2253 form, control characters escaped */
	char serial[64];		/* hex */
	time_t not_before, not_after;
	long days_left;			/* whole days, negative once expired */
	time_t chain_not_after;		/* when the first of the file's certificates ends that its chain
					   goes by; state and error are of the whole chain */
	char names[CERT_NAMES_MAX][256];	/* dNSNames: lower case, as presented; one
						   with a NUL or a control character is left out */
	size_t nnames;
	size_t names_left;		/* and so many more that it has */
	char cn[256];			/* "" if none, or if it holds a NUL */
	char key_type[32];		/* "EC P-256", "RSA", "ED25519" */
	int key_bits;
	unsigned char fingerprint[32];	/* SHA-256 of the DER */
	unsigned char spki[32];		/* SHA-256 of the SubjectPublicKeyInfo */
	bool self_signed;
	bool chain_complete;		/* ends at a self-signed certificate or a root the system trusts */
	bool has_key, key_matches;	/* a key file was named and read; it is the leaf's */
	bool key_denied;		/* this user may not read it, as is usual: not judged */
	bool key_open;			/* anybody may read it */
	size_t chain_len;		/* certificates in the file */
};

/*
 * Reads a [certificate]'s files.  key may be NULL (not looked at); now is the
 * time to judge by, expiring_days the bound of CERT_STATE_EXPIRING.  Always
 * fills *info and returns its state.
 */
enum cert_state cert_inspect(const char *file, const char *key, time_t now,
    unsigned expiring_days, struct cert_info *info);

/*
 * The same of a [ca]'s file, PEM or DER: of its certificate in the gravest state,
 * of several the one that ends first, and error says which it is.  What is missing
 * behind it is no fault.
 */
enum cert_state cert_inspect_bundle(const char *file, time_t now, unsigned expiring_days,
    struct cert_info *info);

/*
 * The same of a file of pins, a rule's `certs`.  Of a sender's certificate that is
 * in the file together with the one that follows it (the same subject and at least
 * the same dNSNames, valid before it ends) only the last counts, valid since the
 * first is: who has put it there need do no more.
 */
enum cert_state cert_inspect_pins(const char *file, time_t now, unsigned expiring_days,
    struct cert_info *info);

/* The same from a DER leaf in memory, as a client presented it; no chain, no key. */
enum cert_state cert_inspect_der(const unsigned char *der, size_t len,
    time_t now, unsigned expiring_days, struct cert_info *info);

struct crl_info {
	enum cert_state state;		/* OK, EXPIRING, EXPIRED, NOT_YET or UNREADABLE */
	char error[512];		/* what is wrong and what to do; "" when ok */
	bool parsed;			/* the fields below are of a CRL */
	char issuer[512];		/* as in struct cert_info */
	time_t this_update, next_update;	/* next_update 0: it names none, and never ends */
	long days_left;			/* to next_update: whole days, negative once past; 0 without one */
	size_t entries;			/* certificates that it revokes */
	size_t crls;			/* CRLs in the file */
};

/*
 * A [ca]'s crl file (PEM of one or more CRLs, or one in DER), by its CRL in the
 * gravest state, of several the one that ends first: while that one is out of
 * date, certificates of its issuer are judged by nobody and their mail is deferred.
 * CRLs live for days, not for years: one is EXPIRING within expiring_days of
 * its end, but not before three quarters of its life are over.  Signatures are
 * not looked at.  Always fills *info and returns its state.
 */
enum cert_state cert_inspect_crl(const char *file, time_t now, unsigned expiring_days,
    struct crl_info *info);

/* "SHA256:" and 64 hex digits; returns buf. */
const char *cert_pin_text(const unsigned char digest[32], bool spki, char buf[80]);

#endif
