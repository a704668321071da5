/*
 * The decision: a pure function from the facts of a session and the settings
 * to a verdict.  No I/O, no clock, no allocation, no OpenSSL.  filter-tlsward,
 * the Exim module, `tlsward explain` and the tests all ask here.
 *
 *   base      = the client network's settings over the listener's over the server's
 *   at RCPT   = [domain] and [peer] each override the base where they set
 *               something; where both set it, the stricter holds
 *
 * Peer and base are decided at MAIL FROM, unless some [domain] is weaker than
 * the base: then policy_mail says ACT_LATER and everything is decided at RCPT
 * TO, each recipient for itself.
 *
 * RFC 3207 (STARTTLS, 530), RFC 3463 (codes), RFC 9525 (names).
 */
#ifndef TLSWARD_FILTER_POLICY_H
#define TLSWARD_FILTER_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include "settings.h"

/* Why mail is refused, or would be; indexes the counters, and is reason= in the log. */
enum reason {
	REASON_NONE,
	REASON_TLS_MISSING,	/* tls-missing: in clear */
	REASON_TLS_VERSION,	/* tls-version: below min_tls */
	REASON_TLS_BITS,	/* tls-bits: below min_bits */
	REASON_CERT_MISSING,	/* cert-missing: asked for, none came */
	REASON_CERT_EXPIRED,
	REASON_CERT_NOT_YET,	/* cert-not-yet-valid */
	REASON_CERT_REVOKED,
	REASON_CERT_UNTRUSTED,	/* no chain to the CA, or any other fault of the chain */
	REASON_CERT_PURPOSE,
	REASON_CERT_NAME,
	REASON_CERT_PIN,	/* only pins could tell, and none matched */
	REASON_CERT_UNKNOWN,	/* the server did not tell us enough: 451 */
	REASON_SETTINGS,	/* no readable settings: 451 */
	REASON_TLS_REFUSED,	/* STARTTLS where the base is none */
	REASON_MAX
};
extern const char *const reason_words[REASON_MAX];	/* "none", "tls-missing", … */

enum cert_status {
	CERT_NOT_ASKED,		/* the server did not ask for one */
	CERT_NONE,		/* asked, none came */
	CERT_UNTRUSTED,
	CERT_TRUSTED
};

/* What a chain check against one CA said. */
struct trust {
	bool trusted;
	enum reason why;	/* CERT_EXPIRED … CERT_UNKNOWN where not trusted */
	const char *detail;	/* the verifier's own words, or NULL */
};

struct cert_facts {
	enum cert_status status;	/* as the server's own verification has it */
	struct trust server;		/* the same, with its reason */
	bool has_names;			/* names and cn are known (they may be none) */
	const char *const *names;	/* dNSNames as presented */
	size_t nnames;
	bool any_names;			/* it has dNSNames, be they kept here or not: cn does not count */
	const char *cn;			/* or NULL */
	bool has_fingerprint, has_spki;
	unsigned char fingerprint[32], spki[32];	/* SHA-256 of the DER, of the public key */
	/*
	 * Is the certificate trusted by that CA ([ca NAME] rule; never NULL)?
	 * NULL where only the server's own verification is known, which was
	 * against the listener's ca (or the server's; not a client network's).
	 */
	void (*verify)(void *arg, const struct rule *ca, struct trust *);
	/*
	 * Does the rule's `certs` file hold this certificate?  1: yes, 0: no,
	 * -1: the file cannot be read.  NULL: cannot tell.
	 */
	int (*pinned)(void *arg, const char *certs);
	void *arg;
};

struct facts {
	struct addr listener, client;	/* ADDR_LOCAL: exempt; ADDR_NONE: not known */
	const char *helo;		/* "" if none; only for the log */
	const char *session;		/* the server's id of the session; for the log */
	bool authenticated;
	enum tls_version tls;		/* TLS_NONE: in clear */
	const char *cipher;		/* "" if none */
	unsigned bits;
	struct cert_facts cert;
	const char *sender, *recipient;	/* whole addresses, for the log; recipient "" at MAIL */
	const char *sender_domain;	/* kept form; "": null sender or none */
	const char *recipient_domain;	/* kept form; "" at MAIL */
	/*
	 * Rules of these settings that the domains may be exactly named in, where the
	 * caller has looked already; NULL, or others: they are looked for.
	 */
	const struct rule *likely_peer, *likely_domain;
};

enum action {
	ACT_ACCEPT,
	ACT_LATER,	/* MAIL only: accept for now, RCPT decides */
	ACT_REPORT,	/* would be refused, is accepted: enforce = report */
	ACT_REFUSE,	/* for good: 5xx */
	ACT_DEFER	/* for now: 451 */
};

struct verdict {
	enum action action;
	enum reason reason;
	bool counted;			/* false: exempt, and ACT_LATER */
	const struct rule *rule;	/* whose value decided; NULL: none did */
	enum key key;			/* which of its values; it may not set that one itself */
	/* whom to count for; NULL where there is no such rule (or it is not counted here) */
	const struct rule *server, *listener, *client, *domain, *peer;
	/* not cleared beyond their NUL */
	char reply[512];		/* "530 5.7.0 Must …" for REFUSE, DEFER and (what it would be) REPORT */
	/* for explain and the log: what was wanted, what there was; printable ASCII */
	char detail[256];
};

/*
 * What holds for this recipient: each value and the rule it comes from.  Where
 * domain and peer both set a value, `from` is the stricter's (the domain's on
 * a tie).
 */
struct effective {
	uint32_t value[KEY_RULES];
	const struct rule *from[KEY_RULES];	/* NULL: the built-in default */
};

/* Client network over listener over server. */
void policy_base(const struct settings *, const struct facts *, struct effective *);
/* The same with domain and peer applied; either may be NULL. */
void policy_effective(const struct effective *base,
    const struct rule *domain, const struct rule *peer, struct effective *);

/*
 * settings may be NULL in all of these: the verdict is then ACT_DEFER,
 * REASON_SETTINGS, uncounted; but what is exempt as local stays exempt.
 *
 * At RCPT a recipient without a [domain] that MAIL has let pass or reported is
 * accepted, uncounted.  Where MAIL would have refused, policy_rcpt does so too
 * (uncounted: MAIL was), for the server that went on all the same.
 */
void policy_mail(const struct settings *, const struct facts *, struct verdict *);
void policy_rcpt(const struct settings *, const struct facts *, struct verdict *);
/* STARTTLS was asked for: accept, or refuse where the base mode is none. */
void policy_starttls(const struct settings *, const struct facts *, struct verdict *);
/*
 * The end of a message: accept, or defer where the settings say that the
 * listener verifies and facts.cert.status, which is here what the server itself
 * says of the session, is not CERT_TRUSTED.  Counted only where it is deferred.
 */
void policy_commit(const struct settings *, const struct facts *, struct verdict *);

/* Is STARTTLS to be offered to this session?  True without settings: TLS never hurts. */
bool policy_offers(const struct settings *, const struct facts *);
/*
 * What the server should do about a client certificate in this session's
 * handshake.  The sender is not known yet, so CC_REQUEST as soon as any
 * peer or domain might want one; CC_REQUIRE only where the base requires one
 * and says `verifies = yes`: else a refusal by SMTP reply, which says why.
 */
enum client_cert policy_asks(const struct settings *, const struct facts *);
/*
 * Does what is decided now, at this MAIL FROM or RCPT TO, ask for the
 * certificate that there is?  A front end to which looking at one is dear looks
 * only then.
 */
bool policy_needs_cert(const struct settings *, const struct facts *);
/*
 * Might this MAIL FROM or RCPT TO depend on the certificate's fingerprint?  A
 * front end that gets it late waits only then.  (Names are no reason to wait:
 * a server that tells fingerprints only will never tell them.)
 */
bool policy_wants_cert(const struct settings *, const struct facts *);

/* Text of an action: accept, later, report, refuse, defer. */
extern const char *const action_words[];

/*
 * The log line of a verdict: key=value pairs, values with spaces or anything
 * but printable ASCII quoted and escaped (\xHH), never longer than size.
 * Starts with decision=.  Returns buf.
 */
const char *policy_log(const struct settings *, const struct facts *,
    const struct verdict *, char *buf, size_t size);

/* "peer partner.example", "server", "listener 198.51.100.7:25"; "none" for NULL.  Returns buf. */
const char *policy_rule_name(const struct settings *, const struct rule *,
    char *buf, size_t size);

#endif
