/*
 * Client certificates: what a mail's rules ask of one, and whether it has it.
 * Chains are the front end's to verify (facts.cert.verify); names are compared
 * as RFC 9525 6.3 says.
 */
#include <stdio.h>
#include <string.h>

#include "policy_int.h"

/* ---- what is asked ---- */

static const struct rule *
first_setting(enum key k, const struct rule *a, const struct rule *b,
    const struct rule *base)
{
	return rule_sets(a, k) ? a : rule_sets(b, k) ? b : base;
}

static const struct rule *
own(const struct rule *r, enum key k)
{
	return rule_sets(r, k) ? r : NULL;
}

bool
own_trust(const struct rule *r)
{
	return rule_sets(r, KEY_CA) || rule_sets(r, KEY_CERT_NAMES) ||
	    rule_sets(r, KEY_FINGERPRINTS) || rule_sets(r, KEY_CERTS);
}

/* Where domain and peer both say, the stricter holds. */
static bool
forbids_cn(const struct rule *r)
{
	return rule_sets(r, KEY_MATCH_CN) && settings_value(r, KEY_MATCH_CN) == 0;
}

/* The need of a [domain] (with the peer's settings behind it) or of a [peer]. */
static void
need_of(const struct scene *sc, const struct rule *owner, const struct rule *behind,
    struct need *n)
{
	const struct effective *base = &sc->base;

	memset(n, 0, sizeof(*n));
	n->owner = owner;
	n->ca_by = first_setting(KEY_CA, owner, behind, base->from[KEY_CA]);
	n->names_by = own(owner, KEY_CERT_NAMES);
	n->pins_by = own(owner, KEY_FINGERPRINTS);
	n->certs_by = own(owner, KEY_CERTS);
	n->own_name = n->names_by == NULL && owner->section == SEC_PEER;
	n->match_cn = settings_value(first_setting(KEY_MATCH_CN, owner, behind,
	    base->from[KEY_MATCH_CN]), KEY_MATCH_CN) != 0 &&
	    !forbids_cn(sc->domain) && !forbids_cn(sc->peer);
}

static void
need_base(const struct scene *sc, struct need *n)
{
	const struct effective *base = &sc->base;

	memset(n, 0, sizeof(*n));
	n->ca_by = base->from[KEY_CA];
	n->names_by = base->from[KEY_CERT_NAMES];
	n->pins_by = base->from[KEY_FINGERPRINTS];
	n->certs_by = base->from[KEY_CERTS];
	n->match_cn = base->value[KEY_MATCH_CN] != 0;
}

size_t
policy_needs(const struct scene *sc, struct need needs[NEEDS_MAX])
{
	size_t n = 0;

	if (sc->peer != NULL)
		need_of(sc, sc->peer, NULL, &needs[n++]);
	if (own_trust(sc->domain))
		need_of(sc, sc->domain, sc->peer, &needs[n++]);
	if (n == 0)
		need_base(sc, &needs[n++]);
	return n;
}

bool
need_pins(const struct need *n)
{
	return n->pins_by != NULL || n->certs_by != NULL;
}

bool
need_names(const struct need *n)
{
	return n->names_by != NULL || n->own_name;
}

/* ---- pins ---- */

enum pinned { PINS_NONE, PINS_MATCH, PINS_DIFFER, PINS_UNKNOWN };

static enum pinned
pins_of(const struct scene *sc, const struct need *n)
{
	const struct cert_facts *c = &sc->f->cert;
	struct list l = settings_list(sc->s, n->pins_by, KEY_FINGERPRINTS);
	const unsigned char *pin;
	bool unknown = false;

	if (!need_pins(n))
		return PINS_NONE;
	while ((pin = list_next_pin(&l)) != NULL) {
		bool spki = pin[0] == PIN_SPKI;

		if (!(spki ? c->has_spki : c->has_fingerprint))
			unknown = true;
		else if (memcmp(pin + 1, spki ? c->spki : c->fingerprint, 32) == 0)
			return PINS_MATCH;
	}
	if (n->certs_by != NULL) {
		const char *certs = settings_text(sc->s, n->certs_by, KEY_CERTS);
		int held = certs == NULL || c->pinned == NULL ? -1 : c->pinned(c->arg, certs);

		if (held > 0)
			return PINS_MATCH;
		unknown |= held < 0;
	}
	return unknown ? PINS_UNKNOWN : PINS_DIFFER;
}

/* ---- trust ---- */

static void
cannot_tell(struct trust *t, const char *why)
{
	t->trusted = false;
	t->why = REASON_CERT_UNKNOWN;
	t->detail = why;
}

/* The ca that the server itself verified with: client networks are unknown to it. */
static const char *
servers_ca(const struct scene *sc)
{
	return settings_text(sc->s, first_setting(KEY_CA, sc->listener, sc->server, NULL),
	    KEY_CA);
}

static void
trust_of(const struct scene *sc, const struct need *n, struct trust *t)
{
	const struct cert_facts *c = &sc->f->cert;
	const char *ca, *theirs = servers_ca(sc);
	const struct rule *rule;

	memset(t, 0, sizeof(*t));
	if (n->ca_by == NULL) {
		*t = c->server;
		t->trusted = t->trusted && c->status == CERT_TRUSTED;
	} else if ((ca = settings_text(sc->s, n->ca_by, KEY_CA)) == NULL ||
	    (rule = settings_find(sc->s, SEC_CA, ca)) == NULL) {
		cannot_tell(t, "the settings have no such ca");
	} else if (c->verify != NULL) {
		c->verify(c->arg, rule, t);
	} else if (rule_sets(rule, KEY_CRL)) {
		cannot_tell(t, "the server looks at no crl: pins can tell, or another ca");
	} else if (theirs != NULL && strcmp(theirs, ca) == 0) {
		*t = c->server;
		t->trusted = t->trusted && c->status == CERT_TRUSTED;
	} else {
		cannot_tell(t, theirs != NULL ? "the server verified with another ca" :
		    "the server had no ca to verify with: set one in [server] or [listener]");
	}
	if (!t->trusted && (t->why < REASON_CERT_EXPIRED || t->why > REASON_CERT_UNKNOWN))
		t->why = REASON_CERT_UNTRUSTED;
}

/* ---- names ---- */

static bool
carries(const struct cert_facts *c, bool match_cn, const char *want)
{
	for (size_t i = 0; i < c->nnames; i++)
		if (c->names[i] != NULL &&
		    name_covers(c->names[i], strlen(c->names[i]), want))
			return true;
	/* a common name counts only where there is no dNSName to go by */
	return match_cn && !c->any_names && c->nnames == 0 && c->cn != NULL &&
	    name_covers(c->cn, strlen(c->cn), want);
}

static bool
names_hold(const struct scene *sc, const struct need *n)
{
	const struct cert_facts *c = &sc->f->cert;
	const char *want;
	char below[NAME_SIZE + 1];

	if (n->own_name) {
		want = settings_name(sc->s, n->owner);
		if (carries(c, n->match_cn, want))
			return true;
		if (want[0] == '.')
			return false;
		snprintf(below, sizeof(below), ".%.*s", NAME_MAX_LEN, want);
		return carries(c, n->match_cn, below);
	} else {
		struct list l = settings_list(sc->s, n->names_by, KEY_CERT_NAMES);

		while ((want = list_next_name(&l)) != NULL)
			if (carries(c, n->match_cn, want))
				return true;
		return false;
	}
}

/* ---- the judgement ---- */

static void
found(const struct scene *sc, const struct need *n, struct verdict *v,
    enum reason reason, enum key k)
{
	const struct rule *by = NULL;

	if (k == KEY_FINGERPRINTS && n->pins_by == NULL)
		k = KEY_CERTS;
	v->reason = reason;
	v->key = k;
	if (n->owner != NULL) {
		v->rule = n->owner;
		return;
	}
	by = sc->base.from[k];
	if (by == NULL) {		/* no ca named: whoever requires a certificate */
		by = sc->eff.from[KEY_CLIENT_CERT];
		v->key = KEY_CLIENT_CERT;
	}
	v->rule = by;
}

/* True: satisfied.  Else reason, rule and key are set, and *t says what the chain check said. */
static bool
satisfied(const struct scene *sc, const struct need *n, struct verdict *v, struct trust *t)
{
	enum pinned pins = pins_of(sc, n);
	bool open = pins == PINS_UNKNOWN;	/* a pin might still have matched */

	memset(t, 0, sizeof(*t));
	if (pins == PINS_MATCH)
		return true;
	if (n->ca_by == NULL && pins != PINS_NONE) {
		found(sc, n, v, open ? REASON_CERT_UNKNOWN : REASON_CERT_PIN,
		    KEY_FINGERPRINTS);
		return false;
	}
	trust_of(sc, n, t);
	if (!t->trusted) {
		found(sc, n, v, open ? REASON_CERT_UNKNOWN : t->why,
		    open ? KEY_FINGERPRINTS : KEY_CA);
		return false;
	}
	if (!need_names(n))
		return true;
	if (!sc->f->cert.has_names) {
		if (pins == PINS_DIFFER)
			found(sc, n, v, REASON_CERT_PIN, KEY_FINGERPRINTS);
		else
			found(sc, n, v, REASON_CERT_UNKNOWN,
			    open ? KEY_FINGERPRINTS : KEY_CERT_NAMES);
		return false;
	}
	if (names_hold(sc, n))
		return true;
	found(sc, n, v, open ? REASON_CERT_UNKNOWN : REASON_CERT_NAME,
	    open ? KEY_FINGERPRINTS : KEY_CERT_NAMES);
	return false;
}

/* For people: what the certificate has, where that is what was wrong. */
static void
describe(const struct scene *sc, const struct need *n, const struct trust *t,
    struct verdict *v)
{
	const struct cert_facts *c = &sc->f->cert;
	struct out o;

	out_init(&o, v->detail, sizeof(v->detail));
	if (v->reason == REASON_CERT_NAME) {
		struct list l = settings_list(sc->s, n->names_by, KEY_CERT_NAMES);
		const char *want;

		out_text(&o, "wanted");
		if (n->own_name) {
			out_text(&o, " ");
			out_escaped(&o, settings_name(sc->s, n->owner), 80);
		}
		while ((want = list_next_name(&l)) != NULL && o.len < 100) {
			out_text(&o, " ");
			out_escaped(&o, want, 80);
		}
		out_text(&o, ", certificate has");
		for (size_t i = 0; i < c->nnames && o.len < 200; i++) {
			out_text(&o, " ");
			out_escaped(&o, c->names[i] != NULL ? c->names[i] : "", 80);
		}
		if (c->nnames == 0)
			out_text(&o, " no DNS name");
		if (c->nnames == 0 && c->cn != NULL) {
			out_text(&o, n->match_cn ? ", CN " : ", CN (match_cn = no) ");
			out_escaped(&o, c->cn, 80);
		}
	} else if (v->reason == REASON_CERT_PIN) {
		out_text(&o, "no pin matches");
	} else if (t->detail != NULL && !t->trusted) {
		out_escaped(&o, t->detail, 200);
	} else if (v->reason == REASON_CERT_UNKNOWN) {
		out_text(&o, v->key == KEY_CERT_NAMES ?
		    "the server does not tell the certificate's names" :
		    "the server has not told the certificate's fingerprint");
	}
}

/* A certificate that is not there. */
static void
absent(const struct scene *sc, struct verdict *v)
{
	v->rule = sc->eff.from[KEY_CLIENT_CERT];
	v->key = KEY_CLIENT_CERT;
	if (sc->f->cert.status == CERT_NONE) {
		v->reason = REASON_CERT_MISSING;
		policy_reply(sc, v, "client_cert = require");
	} else {
		v->reason = REASON_CERT_UNKNOWN;
		policy_reply(sc, v, "client_cert = require, but the server did not ask for one");
	}
}

bool
policy_cert(const struct scene *sc, struct verdict *v)
{
	struct need needs[NEEDS_MAX];
	const struct need *worst = NULL;
	struct trust t, seen = { 0 };
	struct verdict one = { 0 };
	bool of_domain = false;
	size_t n;

	if (sc->f->cert.status < CERT_UNTRUSTED) {
		absent(sc, v);
		return own_trust(sc->domain);
	}
	n = policy_needs(sc, needs);
	for (size_t i = 0; i < n; i++) {
		if (satisfied(sc, &needs[i], &one, &t))
			continue;
		of_domain = of_domain || (sc->domain != NULL && needs[i].owner == sc->domain);
		/* a fault for good says more than one that may pass */
		if (worst != NULL && (v->reason != REASON_CERT_UNKNOWN ||
		    one.reason == REASON_CERT_UNKNOWN))
			continue;
		worst = &needs[i];
		seen = t;
		v->reason = one.reason;
		v->rule = one.rule;
		v->key = one.key;
	}
	if (worst == NULL)
		return false;
	policy_reply(sc, v, "");
	/* the other reasons say it themselves, or are a fault of ours */
	if (v->reason == REASON_CERT_UNTRUSTED && worst->ca_by != NULL &&
	    sc->f->cert.verify != NULL && seen.detail != NULL)
		policy_reply_add(v, seen.detail);
	describe(sc, worst, &seen, v);
	return of_domain;
}
