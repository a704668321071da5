/*
 * A second opinion on a mail, slow and plain: it walks through all rules, and
 * says what is done with the mail, not why.  It shares with filter/policy.c
 * the reader of the settings and nothing else.
 */
#ifndef TLSWARD_TESTS_POLICY_ORACLE_H
#define TLSWARD_TESTS_POLICY_ORACLE_H

#include "policy_try.h"

struct oracle {
	const struct settings *s;
	const struct facts *f;
	const struct rule *client, *listener, *server, *domain, *peer;
};

static bool
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n > m && strcmp(s + n - m, end) == 0;
}

static const struct rule *
oracle_name(const struct settings *s, enum section sec, const char *name)
{
	const struct rule *best = NULL;
	size_t longest = 0;

	for (size_t i = 0; name[0] != '\0' && i < settings_count(s, sec); i++) {
		const struct rule *r = settings_at(s, sec, i);
		const char *n = settings_name(s, r);

		if (strcmp(n, name) == 0)
			return r;
		if (n[0] == '.' && ends_with(name, n) && strlen(n) > longest) {
			longest = strlen(n);
			best = r;
		}
	}
	return best;
}

static const struct rule *
oracle_listener(const struct settings *s, const struct addr *a)
{
	const struct rule *any = NULL;

	for (size_t i = 0; i < settings_count(s, SEC_LISTENER); i++) {
		const struct rule *r = settings_at(s, SEC_LISTENER, i);
		struct addr at = settings_addr(s, r);

		if (addr_cmp(&at, a) == 0)
			return r;
		if (at.family == ADDR_ANY && at.port == a->port &&
		    a->family != ADDR_NONE)
			any = r;
	}
	return any;
}

static const struct rule *
oracle_client(const struct settings *s, const struct addr *a)
{
	const struct rule *best = NULL;
	unsigned longest = 0;

	for (size_t i = 0; i < settings_count(s, SEC_CLIENT); i++) {
		const struct rule *r = settings_at(s, SEC_CLIENT, i);
		struct addr net = settings_addr(s, r);

		if (addr_within(a, &net) && (best == NULL || net.prefix > longest)) {
			best = r;
			longest = net.prefix;
		}
	}
	return best;
}

/* -1: does not say. */
static long
oracle_says(const struct rule *r, enum key k)
{
	if (rule_sets(r, k))
		return (long)settings_value(r, k);
	if (k == KEY_CLIENT_CERT && rule_sets(r, KEY_MODE) &&
	    settings_value(r, KEY_MODE) == MODE_NONE)
		return CC_NONE;
	return -1;
}

static const struct rule *
oracle_base(const struct oracle *o, enum key k)
{
	return rule_sets(o->client, k) ? o->client : rule_sets(o->listener, k) ? o->listener :
	    rule_sets(o->server, k) ? o->server : NULL;
}

static uint32_t
oracle_base_value(const struct oracle *o, enum key k)
{
	const struct rule *base[] = { o->client, o->listener, o->server };

	for (size_t i = 0; i < 3; i++)
		if (oracle_says(base[i], k) >= 0)
			return (uint32_t)oracle_says(base[i], k);
	return settings_value(NULL, k);
}

static uint32_t
oracle_value(const struct oracle *o, enum key k)
{
	long d = oracle_says(o->domain, k), p = oracle_says(o->peer, k);

	if (d < 0 && p < 0)
		return oracle_base_value(o, k);
	return (uint32_t)(d > p ? d : p);
}

/* As if there were no peer. */
static uint32_t
oracle_domain_value(const struct oracle *o, enum key k)
{
	long d = oracle_says(o->domain, k);

	return d < 0 ? oracle_base_value(o, k) : (uint32_t)d;
}

/* ---- certificates ---- */

enum fit { FITS, FITS_NOT, UNSURE };

struct wish {
	const struct rule *ca, *names, *pins, *certs, *default_of;
	bool cn;
};

static enum fit
oracle_pins(const struct oracle *o, const struct wish *w)
{
	const struct cert_facts *c = &o->f->cert;
	struct list l = settings_list(o->s, w->pins, KEY_FINGERPRINTS);
	enum fit fit = FITS_NOT;
	const unsigned char *pin;

	while ((pin = list_next_pin(&l)) != NULL) {
		if (pin[0] == PIN_CERT && c->has_fingerprint) {
			if (memcmp(pin + 1, c->fingerprint, 32) == 0)
				return FITS;
		} else if (pin[0] == PIN_SPKI && c->has_spki) {
			if (memcmp(pin + 1, c->spki, 32) == 0)
				return FITS;
		} else {
			fit = UNSURE;
		}
	}
	if (w->certs == NULL)
		return fit;
	if (c->pinned == NULL)
		return UNSURE;
	switch (c->pinned(c->arg, settings_text(o->s, w->certs, KEY_CERTS))) {
	case 1:
		return FITS;
	case 0:
		return fit;
	default:
		return UNSURE;
	}
}

static enum fit
oracle_trust(const struct oracle *o, const struct wish *w)
{
	const struct cert_facts *c = &o->f->cert;
	struct trust t = c->server;
	const struct rule *own = rule_sets(o->listener, KEY_CA) ? o->listener : o->server;
	const char *ca, *servers = settings_text(o->s, own, KEY_CA);

	if (w->ca != NULL) {
		ca = settings_text(o->s, w->ca, KEY_CA);
		if (c->verify != NULL)
			c->verify(c->arg, settings_find(o->s, SEC_CA, ca), &t);
		else if (servers == NULL || strcmp(servers, ca) != 0)
			return UNSURE;
	}
	return t.trusted ? FITS : t.why == REASON_CERT_UNKNOWN ? UNSURE : FITS_NOT;
}

/* The names of these tests have no wildcards. */
static bool
oracle_name_fits(const char *have, const char *want)
{
	return want[0] == '.' ? ends_with(have, want) : strcmp(have, want) == 0;
}

static bool
oracle_carries(const struct oracle *o, const struct wish *w, const char *want)
{
	const struct cert_facts *c = &o->f->cert;

	for (size_t i = 0; i < c->nnames; i++)
		if (oracle_name_fits(c->names[i], want))
			return true;
	return c->nnames == 0 && w->cn && c->cn != NULL && oracle_name_fits(c->cn, want);
}

static enum fit
oracle_names(const struct oracle *o, const struct wish *w)
{
	struct list l = settings_list(o->s, w->names, KEY_CERT_NAMES);
	char below[NAME_SIZE + 1];
	const char *want;

	if (w->names == NULL && w->default_of == NULL)
		return FITS;
	if (!o->f->cert.has_names)
		return UNSURE;
	while ((want = list_next_name(&l)) != NULL)
		if (oracle_carries(o, w, want))
			return FITS;
	if (w->names != NULL)
		return FITS_NOT;
	want = settings_name(o->s, w->default_of);
	snprintf(below, sizeof(below), "%s%s", want[0] == '.' ? "" : ".", want);
	return oracle_carries(o, w, want) || oracle_carries(o, w, below) ? FITS : FITS_NOT;
}

static enum fit
oracle_wish(const struct oracle *o, const struct wish *w)
{
	bool pinned = w->pins != NULL || w->certs != NULL;
	enum fit pins = pinned ? oracle_pins(o, w) : FITS_NOT, trust, names;

	if (pins == FITS || (pinned && w->ca == NULL))
		return pins;
	trust = oracle_trust(o, w);
	names = oracle_names(o, w);
	if (trust == FITS && names == FITS)
		return FITS;
	if (pins == UNSURE)
		return UNSURE;
	if (trust != FITS)
		return trust;
	return names == UNSURE && pinned ? FITS_NOT : names;
}

static const struct rule *
only(const struct rule *r, enum key k)
{
	return rule_sets(r, k) ? r : NULL;
}

static enum fit
oracle_cert(const struct oracle *o, bool *domain_unfit)
{
	static const enum key trust[] = { KEY_CA, KEY_CERT_NAMES, KEY_FINGERPRINTS, KEY_CERTS };
	enum fit fit = FITS, one;
	struct wish w;
	bool own = false;

	for (size_t i = 0; i < 4; i++)
		own = own || rule_sets(o->domain, trust[i]);
	*domain_unfit = own;
	if (o->f->tls == TLS_NONE)
		return FITS_NOT;
	if (o->f->cert.status == CERT_NOT_ASKED)
		return UNSURE;
	if (o->f->cert.status == CERT_NONE)
		return FITS_NOT;
	for (int i = 0; i < 3; i++) {
		const struct rule *r = i == 0 ? o->peer : i == 1 ? o->domain : NULL;

		if (i == 2 ? o->peer != NULL || own : i == 1 ? !own : r == NULL)
			continue;
		w.ca = rule_sets(r, KEY_CA) ? r :
		    i == 1 && rule_sets(o->peer, KEY_CA) ? o->peer : oracle_base(o, KEY_CA);
		w.names = i == 2 ? oracle_base(o, KEY_CERT_NAMES) : only(r, KEY_CERT_NAMES);
		w.pins = i == 2 ? oracle_base(o, KEY_FINGERPRINTS) : only(r, KEY_FINGERPRINTS);
		w.certs = i == 2 ? oracle_base(o, KEY_CERTS) : only(r, KEY_CERTS);
		w.default_of = i == 0 && w.names == NULL ? r : NULL;
		w.cn = settings_value(rule_sets(r, KEY_MATCH_CN) ? r :
		    i == 1 && rule_sets(o->peer, KEY_MATCH_CN) ? o->peer :
		    oracle_base(o, KEY_MATCH_CN), KEY_MATCH_CN) != 0;
		if (rule_sets(o->domain, KEY_MATCH_CN) && rule_sets(o->peer, KEY_MATCH_CN) &&
		    (settings_value(o->domain, KEY_MATCH_CN) == 0 ||
		    settings_value(o->peer, KEY_MATCH_CN) == 0))
			w.cn = false;
		one = oracle_wish(o, &w);
		if (i == 1)
			*domain_unfit = one != FITS;
		if (one == FITS_NOT || fit == FITS)
			fit = one;
	}
	return fit;
}

/* ---- the mail ---- */

static bool
oracle_clear(const struct facts *f, uint32_t min_tls, uint32_t min_bits)
{
	return f->tls == TLS_NONE || (uint32_t)f->tls < min_tls || f->bits < min_bits;
}

static bool
oracle_exempt(const struct oracle *o)
{
	return o->f->authenticated &&
	    oracle_base_value(o, KEY_AUTHENTICATED) == AUTH_EXEMPT;
}

/* What the domain asks, were this sender nobody in particular; a certificate is still judged as the sender's. */
static enum fit
oracle_of_domain(const struct oracle *o)
{
	const struct rule *d = o->domain;
	enum fit fit;
	bool unfit;

	if (d == NULL)
		return FITS;
	if (oracle_domain_value(o, KEY_MODE) == MODE_REQUIRE) {
		if (oracle_says(d, KEY_MODE) == MODE_REQUIRE && oracle_clear(o->f,
		    oracle_domain_value(o, KEY_MIN_TLS), oracle_domain_value(o, KEY_MIN_BITS)))
			return FITS_NOT;
		if ((long)o->f->tls < oracle_says(d, KEY_MIN_TLS) ||
		    (long)o->f->bits < oracle_says(d, KEY_MIN_BITS))
			return FITS_NOT;
	}
	if (oracle_domain_value(o, KEY_CLIENT_CERT) != CC_REQUIRE || oracle_exempt(o))
		return FITS;
	fit = oracle_cert(o, &unfit);
	return unfit || oracle_says(d, KEY_CLIENT_CERT) == CC_REQUIRE ? fit : FITS;
}

static enum action
oracle(const struct settings *s, const struct facts *f)
{
	struct oracle o = { s, f, oracle_client(s, &f->client), oracle_listener(s, &f->listener),
	    settings_find(s, SEC_SERVER, ""), oracle_name(s, SEC_DOMAIN, f->recipient_domain),
	    oracle_name(s, SEC_PEER, f->sender_domain) };
	uint32_t enforce = oracle_value(&o, KEY_ENFORCE);
	enum fit fit = FITS, domains;
	bool unfit;

	if (f->client.family == ADDR_LOCAL || f->listener.family == ADDR_LOCAL)
		return ACT_ACCEPT;
	if (oracle_value(&o, KEY_MODE) == MODE_REQUIRE &&
	    oracle_clear(f, oracle_value(&o, KEY_MIN_TLS), oracle_value(&o, KEY_MIN_BITS)))
		fit = FITS_NOT;
	else if (oracle_value(&o, KEY_CLIENT_CERT) == CC_REQUIRE && !oracle_exempt(&o))
		fit = oracle_cert(&o, &unfit);
	if (fit == FITS)
		return ACT_ACCEPT;
	/* a peer's trial does not reach what the domain asks */
	if (oracle_says(o.domain, KEY_ENFORCE) < 0 && oracle_says(o.peer, KEY_ENFORCE) == ENFORCE_REPORT &&
	    (domains = oracle_of_domain(&o)) != FITS) {
		enforce = oracle_base_value(&o, KEY_ENFORCE);
		fit = domains;
	}
	if (enforce == ENFORCE_REPORT)
		return ACT_REPORT;
	return fit == UNSURE ? ACT_DEFER : ACT_REFUSE;
}

#endif
