/*
 * The decision: which rules a mail meets, what they make of it.
 */
#include <string.h>

#include "policy_int.h"

/* The values in which a [domain] can be weaker than the base. */
static const enum key weighed[] = {
	KEY_MODE, KEY_CLIENT_CERT, KEY_MIN_TLS, KEY_MIN_BITS, KEY_ENFORCE
};
#define NWEIGHED (sizeof(weighed) / sizeof(weighed[0]))

/* ---- the scene ---- */

/* A session that did not come over the network has no rules to meet. */
static bool
is_local(const struct facts *f)
{
	return f->listener.family == ADDR_LOCAL || f->client.family == ADDR_LOCAL;
}

static const struct rule *
match(const struct settings *s, enum section section, const char *name, const struct rule *likely)
{
	if (name == NULL || name[0] == '\0')
		return NULL;
	if (likely != NULL && likely->section == section && strcmp(settings_name(s, likely), name) == 0)
		return likely;
	return settings_match(s, section, name);
}

static void
scene_session(struct scene *sc, const struct settings *s, const struct facts *f)
{
	sc->s = s;
	sc->f = f;
	sc->listener = sc->client = sc->peer = sc->domain = NULL;
	sc->server = settings_find(s, SEC_SERVER, "");
	if (f->listener.family != ADDR_NONE)
		sc->listener = settings_listener(s, &f->listener);
	if (f->client.family != ADDR_NONE)
		sc->client = settings_client(s, &f->client);
	policy_base_of(sc->server, sc->listener, sc->client, &sc->base);
}

static void
scene_mail(struct scene *sc, const struct settings *s, const struct facts *f, bool rcpt)
{
	scene_session(sc, s, f);
	sc->peer = match(s, SEC_PEER, f->sender_domain, f->likely_peer);
	if (rcpt)
		sc->domain = match(s, SEC_DOMAIN, f->recipient_domain, f->likely_domain);
	policy_effective(&sc->base, sc->domain, sc->peer, &sc->eff);
}

void
policy_base(const struct settings *s, const struct facts *f, struct effective *base)
{
	struct scene sc;

	scene_session(&sc, s, f);
	*base = sc.base;
}

/*
 * Is any [domain] weaker than this base, so that a refusal at MAIL could hit a
 * recipient that would take the mail?  What is not weaker than the base can
 * only add to what was decided at MAIL.
 */
static bool
decided_at_rcpt(const struct scene *sc)
{
	const struct effective *base = &sc->base;
	uint32_t weakest, strictest;

	for (size_t i = 0; i < NWEIGHED; i++)
		if (settings_range(sc->s, SEC_DOMAIN, weighed[i], &weakest, &strictest) &&
		    weakest < base->value[weighed[i]])
			return true;
	if (base->value[KEY_CLIENT_CERT] == CC_NONE)
		return false;
	/* says(): mode = none takes the certificate along */
	if (settings_range(sc->s, SEC_DOMAIN, KEY_MODE, &weakest, &strictest) &&
	    weakest == MODE_NONE)
		return true;
	return base->value[KEY_CLIENT_CERT] >= CC_REQUIRE &&
	    settings_own_trust(sc->s, SEC_DOMAIN);
}

/* ---- the verdict ---- */

static void
verdict_init(struct verdict *v)
{
	memset(v, 0, offsetof(struct verdict, reply));
	v->reply[0] = v->detail[0] = '\0';
	v->action = ACT_ACCEPT;
	v->key = KEY_MODE;
}

static void
blame(struct verdict *v, enum reason reason, const struct rule *r, enum key k)
{
	v->reason = reason;
	v->rule = r;
	v->key = k;
}

/* A limit that nobody set is in force because of the mode that somebody set. */
static void
blame_limit(const struct scene *sc, struct verdict *v, enum reason reason, enum key k)
{
	const struct rule *r = sc->eff.from[k];
	char buf[16];

	if (r != NULL)
		blame(v, reason, r, k);
	else
		blame(v, reason, sc->eff.from[KEY_MODE], KEY_MODE);
	policy_reply(sc, v, key_text(k, sc->eff.value[k], buf));
}

static void
judge_tls(const struct scene *sc, struct verdict *v)
{
	const struct effective *e = &sc->eff;
	const struct facts *f = sc->f;

	if (e->value[KEY_MODE] < MODE_REQUIRE)
		return;
	if (f->tls == TLS_NONE) {
		blame(v, REASON_TLS_MISSING, e->from[KEY_MODE], KEY_MODE);
		policy_reply(sc, v, "mode = require");
	} else if ((uint32_t)f->tls < e->value[KEY_MIN_TLS]) {
		blame_limit(sc, v, REASON_TLS_VERSION, KEY_MIN_TLS);
	} else if (f->bits < e->value[KEY_MIN_BITS]) {
		blame_limit(sc, v, REASON_TLS_BITS, KEY_MIN_BITS);
	}
}

/* Does this mail have to come with a certificate? */
static bool
needs_cert(const struct scene *sc)
{
	const struct effective *e = &sc->eff;

	return e->value[KEY_CLIENT_CERT] >= CC_REQUIRE &&
	    !(sc->f->authenticated && e->value[KEY_AUTHENTICATED] == AUTH_EXEMPT);
}

/* True: it is something that the [domain] itself asks of the certificate. */
static bool
judge_cert(const struct scene *sc, struct verdict *v)
{
	if (!needs_cert(sc))
		return false;
	if (sc->f->tls != TLS_NONE)
		return policy_cert(sc, v);
	blame(v, REASON_TLS_MISSING, sc->eff.from[KEY_CLIENT_CERT], KEY_CLIENT_CERT);
	policy_reply(sc, v, "client_cert = require");
	return own_trust(sc->domain);
}

/* From reason and enforcement to what is done. */
static void
settle(uint32_t enforce, struct verdict *v)
{
	if (v->reason == REASON_NONE)
		v->action = ACT_ACCEPT;
	else if (enforce == ENFORCE_REPORT)
		v->action = ACT_REPORT;
	else if (v->reason == REASON_CERT_UNKNOWN)
		v->action = ACT_DEFER;
	else
		v->action = ACT_REFUSE;
}

static bool
by_domain(const struct rule *r)
{
	return r != NULL && r->section == SEC_DOMAIN;
}

/* A limit of the [domain]'s own, also where the base's mode makes it count. */
static bool
domain_limits(const struct scene *own, struct verdict *v)
{
	static const enum key limits[] = { KEY_MIN_TLS, KEY_MIN_BITS };
	const uint32_t have[] = { (uint32_t)own->f->tls, own->f->bits };
	char buf[16];

	for (size_t i = 0; i < 2; i++) {
		uint32_t least = settings_value(own->domain, limits[i]);

		if (!rule_sets(own->domain, limits[i]) || have[i] >= least)
			continue;
		blame(v, v->reason, own->domain, limits[i]);
		policy_reply(own, v, key_text(limits[i], least, buf));
		return true;
	}
	return false;
}

/*
 * What the [domain] asks by itself, whoever the sender claims to be: true, with
 * the verdict, where this mail does not satisfy it.
 */
static bool
domain_refuses(const struct scene *sc, struct verdict *v)
{
	struct scene own = *sc;
	bool of_cert;

	policy_effective(&sc->base, sc->domain, NULL, &own.eff);
	judge_tls(&own, v);
	/* a base's limit that counts by the domain's mode is what that mode asks */
	if (v->reason != REASON_NONE && (by_domain(v->rule) || by_domain(own.eff.from[KEY_MODE]) ||
	    domain_limits(&own, v)))
		return true;
	blame(v, REASON_NONE, NULL, KEY_MODE);		/* that was the base's */
	of_cert = judge_cert(&own, v);
	return v->reason != REASON_NONE && (of_cert || by_domain(own.eff.from[KEY_CLIENT_CERT]));
}

/*
 * A [peer]'s `report` is a trial of what that section asks, and of what the base
 * does.  What a [domain] asks it does not reach, for anybody can claim to be the
 * sender.
 */
static void
decide(const struct scene *sc, struct verdict *v)
{
	const struct rule *enforcer = sc->eff.from[KEY_ENFORCE];
	uint32_t enforce = sc->eff.value[KEY_ENFORCE];
	struct verdict trial;

	judge_tls(sc, v);
	if (v->reason == REASON_NONE)
		(void)judge_cert(sc, v);
	if (v->reason != REASON_NONE && enforce == ENFORCE_REPORT && sc->domain != NULL &&
	    enforcer != NULL && enforcer->section == SEC_PEER) {
		trial = *v;
		blame(v, REASON_NONE, NULL, KEY_MODE);
		if (domain_refuses(sc, v))
			enforce = sc->base.value[KEY_ENFORCE];
		else
			*v = trial;
	}
	settle(enforce, v);
}

static void
count_session(const struct scene *sc, struct verdict *v)
{
	v->counted = true;
	v->server = sc->server;
	v->listener = sc->listener;
	v->client = sc->client;
}

/* The verdicts that need no settings; false: there are settings to ask. */
static bool
decided_without(const struct settings *s, const struct facts *f, struct verdict *v)
{
	verdict_init(v);
	if (is_local(f))
		return true;
	if (s != NULL)
		return false;
	v->action = ACT_DEFER;
	v->reason = REASON_SETTINGS;
	policy_reply(NULL, v, "");
	return true;
}

void
policy_mail(const struct settings *s, const struct facts *f, struct verdict *v)
{
	struct scene sc;

	if (decided_without(s, f, v))
		return;
	scene_mail(&sc, s, f, false);
	if (decided_at_rcpt(&sc)) {
		v->action = ACT_LATER;
		return;
	}
	decide(&sc, v);
	count_session(&sc, v);
	v->peer = sc.peer;
}

void
policy_rcpt(const struct settings *s, const struct facts *f, struct verdict *v)
{
	struct scene sc;

	if (decided_without(s, f, v))
		return;
	scene_mail(&sc, s, f, true);
	decide(&sc, v);
	if (decided_at_rcpt(&sc)) {
		count_session(&sc, v);
		v->peer = sc.peer;
		v->domain = sc.domain;
	} else if (sc.domain != NULL) {
		v->counted = true;
		v->domain = sc.domain;
	} else if (v->action == ACT_REPORT) {
		verdict_init(v);	/* MAIL has reported it, for all recipients */
	}
}

void
policy_starttls(const struct settings *s, const struct facts *f, struct verdict *v)
{
	struct scene sc;

	if (decided_without(s, f, v))
		return;
	scene_session(&sc, s, f);
	if (sc.base.value[KEY_MODE] != MODE_NONE)
		return;
	blame(v, REASON_TLS_REFUSED, sc.base.from[KEY_MODE], KEY_MODE);
	policy_reply(&sc, v, "mode = none");
	settle(sc.base.value[KEY_ENFORCE], v);
	count_session(&sc, v);
}

void
policy_commit(const struct settings *s, const struct facts *f, struct verdict *v)
{
	struct scene sc;

	if (decided_without(s, f, v))
		return;
	scene_session(&sc, s, f);
	if (settings_value(sc.listener, KEY_VERIFIES) == 0 || f->tls == TLS_NONE ||
	    f->cert.status == CERT_TRUSTED)
		return;
	blame(v, REASON_CERT_UNKNOWN, sc.listener, KEY_VERIFIES);
	policy_reply(&sc, v, "verifies = yes, but the server says that it did not verify");
	settle(sc.base.value[KEY_ENFORCE], v);
	count_session(&sc, v);
}

/* ---- what the server should do in the session ---- */

bool
policy_offers(const struct settings *s, const struct facts *f)
{
	struct scene sc;

	if (s == NULL || is_local(f))
		return true;
	scene_session(&sc, s, f);
	/* a rule on trial takes nothing away */
	return sc.base.value[KEY_MODE] != MODE_NONE || sc.base.value[KEY_ENFORCE] == ENFORCE_REPORT;
}

enum client_cert
policy_asks(const struct settings *s, const struct facts *f)
{
	static const enum section of[] = { SEC_PEER, SEC_DOMAIN };
	struct scene sc;
	uint32_t weakest, strictest;

	if (s == NULL || is_local(f))
		return CC_NONE;
	scene_session(&sc, s, f);
	if (sc.base.value[KEY_CLIENT_CERT] >= CC_REQUIRE)
		return sc.base.value[KEY_VERIFIES] != 0 ? CC_REQUIRE : CC_REQUEST;
	if (sc.base.value[KEY_CLIENT_CERT] == CC_REQUEST)
		return CC_REQUEST;
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++)
		if (settings_range(s, of[i], KEY_CLIENT_CERT, &weakest, &strictest) &&
		    strictest > CC_NONE)
			return CC_REQUEST;
	return CC_NONE;
}

/* Could a fingerprint of the certificate's DER satisfy it? */
static bool
pins_cert(const struct scene *sc, const struct need *n)
{
	struct list l = settings_list(sc->s, n->pins_by, KEY_FINGERPRINTS);
	const unsigned char *pin;

	while ((pin = list_next_pin(&l)) != NULL)
		if (pin[0] == PIN_CERT)
			return true;
	return n->certs_by != NULL;
}

/* The mail, if what is decided of it now asks for a certificate that there is. */
static bool
scene_of_cert(struct scene *sc, const struct settings *s, const struct facts *f)
{
	bool rcpt = f->recipient != NULL && f->recipient[0] != '\0';

	if (s == NULL || is_local(f) || f->tls == TLS_NONE || f->cert.status < CERT_UNTRUSTED)
		return false;
	scene_mail(sc, s, f, rcpt);
	return needs_cert(sc) && (rcpt || !decided_at_rcpt(sc));
}

bool
policy_needs_cert(const struct settings *s, const struct facts *f)
{
	struct scene sc;

	return scene_of_cert(&sc, s, f);
}

bool
policy_wants_cert(const struct settings *s, const struct facts *f)
{
	struct scene sc;
	struct need needs[NEEDS_MAX];
	size_t n;

	if (!scene_of_cert(&sc, s, f))
		return false;
	n = policy_needs(&sc, needs);
	for (size_t i = 0; i < n; i++)
		if (pins_cert(&sc, &needs[i]))
			return true;
	return false;
}
