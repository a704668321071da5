/*
 * What the four files of the decision share: policy.c finds the rules and
 * decides, policy_values.c weighs what they say, policy_cert.c judges a client
 * certificate, policy_text.c words the outcome.  Nobody else includes this.
 */
#ifndef TLSWARD_FILTER_POLICY_INT_H
#define TLSWARD_FILTER_POLICY_INT_H

#include "policy.h"

/* The rules that a session and its mail meet, and what follows from them. */
struct scene {
	const struct settings *s;
	const struct facts *f;
	const struct rule *server, *listener, *client;
	const struct rule *peer, *domain;	/* NULL: none matches, or not this phase */
	struct effective base, eff;
};

/* The base of these rules; any may be NULL. */
void policy_base_of(const struct rule *server, const struct rule *listener,
    const struct rule *client, struct effective *);

/*
 * One thing that a client certificate has to satisfy.  A pin that matches is
 * enough; otherwise it is trusted by the CA and carries one of the names.
 */
struct need {
	const struct rule *owner;	/* [peer] or [domain]; NULL: the base */
	const struct rule *ca_by;	/* whose `ca`; NULL: no CA is named */
	const struct rule *names_by;	/* whose `cert_names`; NULL: see own_name */
	const struct rule *pins_by;	/* whose `fingerprints` */
	const struct rule *certs_by;	/* whose `certs` */
	bool own_name;			/* the owner's NAME, and what is below it */
	bool match_cn;
};
#define NEEDS_MAX 2

/* What has to hold for this mail's certificate: one or two needs. */
size_t policy_needs(const struct scene *, struct need needs[NEEDS_MAX]);
bool need_pins(const struct need *);
bool need_names(const struct need *);

/* Does the rule bring a ca, names or pins of its own? */
bool own_trust(const struct rule *);

/*
 * Judges the certificate of a session over TLS: sets reason, rule, key and the
 * texts.  True: something that the [domain] itself asks is not satisfied.
 */
bool policy_cert(const struct scene *, struct verdict *);

/* ---- texts ---- */
struct out {			/* a bounded string under construction */
	char *buf;
	size_t size, len;	/* len < size, buf[len] is NUL */
};
void out_init(struct out *, char *buf, size_t size);
void out_text(struct out *, const char *);	/* cut where the room ends */
/*
 * At most `max` octets of output; whatever is not printable ASCII, a quote or
 * a backslash becomes \xHH.  What is cut ends in "...", never inside an escape.
 */
void out_escaped(struct out *, const char *, size_t max);

/* Adds why to the reply. */
void policy_reply_add(struct verdict *, const char *why);
/* Fills the reply from reason, rule and facts; `wanted` is of the key that failed. */
void policy_reply(const struct scene *, struct verdict *, const char *wanted);

#endif
