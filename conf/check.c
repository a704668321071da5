#include <stdio.h>
#include <string.h>

#include "check.h"
#include "nearest.h"

#define GUESSES 64	/* names that a mistaken reference is compared with */

struct check {
	const struct settings *s;
	struct problems *problems;
	const struct rule *server;
	bool whole;			/* no line is bad, so that no rule lacks what it was to say */
	bool offered;			/* somebody may use TLS somewhere */
	uint32_t base[KEY_RULES];	/* the strictest that any base has */
	enum section whose[KEY_RULES];	/* where it stands */
	const struct rule *strictest[KEY_RULES];	/* one that says so; NULL: not looked for yet */
};

#define TITLE_SIZE (NAME_SIZE + 16)

static const char *
title(const struct check *c, const struct rule *r, char buf[TITLE_SIZE])
{
	const char *name = settings_name(c->s, r);

	(void)snprintf(buf, TITLE_SIZE, "[%s%s%s]", section_words[r->section],
	    *name != '\0' ? " " : "", name);
	return buf;
}

/* What holds where only the rule and the server have a say. */
static uint32_t
over_server(const struct check *c, const struct rule *r, enum key k)
{
	return settings_value(rule_sets(r, k) ? r : c->server, k);
}

/* ---- errors ---- */

static void
check_reference(struct check *c, const struct rule *r, enum key k)
{
	const char *name = settings_text(c->s, r, k), *words[GUESSES], *near = NULL;
	enum section to = key_table[k].ref;
	char buf[TITLE_SIZE];
	size_t i, n = settings_count(c->s, to);

	/* An empty text: it was bad, and that has been told. */
	if (name == NULL || *name == '\0' || settings_find(c->s, to, name) != NULL)
		return;
	if (n <= GUESSES) {
		for (i = 0; i < n; i++)
			words[i] = settings_name(c->s, settings_at(c->s, to, i));
		near = nearest(name, strlen(name), words, n);
	}
	problem(c->problems, SEV_ERROR, settings_line(c->s, r, k),
	    "%s names %s `%s`, and there is no [%s %s]%s%s%s", title(c, r, buf),
	    key_table[k].name, name, section_words[to], name,
	    near != NULL ? ": did you mean `" : "", near != NULL ? near : "",
	    near != NULL ? "`?" : "");
}

static void
check_needed(struct check *c, const struct rule *r, enum key k)
{
	char buf[TITLE_SIZE];

	if (!rule_sets(r, k))
		problem(c->problems, SEV_ERROR, r->line, "%s has no %s: it needs %s",
		    title(c, r, buf), key_table[k].name, key_table[k].hint);
}

/* A certificate is wanted where the same rule, or the server, leaves no TLS to show it in. */
static void
check_base(struct check *c, const struct rule *r)
{
	uint32_t cc = over_server(c, r, KEY_CLIENT_CERT);
	char buf[TITLE_SIZE];
	const char *wants;
	enum key k;

	if (cc == CC_NONE || over_server(c, r, KEY_MODE) != MODE_NONE)
		return;
	if (rule_sets(r, KEY_CLIENT_CERT))
		k = KEY_CLIENT_CERT;
	else if (rule_sets(r, KEY_MODE))
		k = KEY_MODE;
	else
		return;			/* told of the server already */
	wants = key_text(KEY_CLIENT_CERT, cc, (char[16]){ 0 });
	problem(c->problems, SEV_ERROR, settings_line(c->s, r, k),
	    "%s has mode = none%s, so no certificate can come, and client_cert = %s%s: "
	    "let mode be offer or require, or client_cert be none", title(c, r, buf),
	    rule_sets(r, KEY_MODE) ? "" : " from [server]", wants,
	    rule_sets(r, KEY_CLIENT_CERT) ? "" : " from [server]");
}

/* A domain or peer that asks for what nobody can give. */
static void
check_asks(struct check *c, const struct rule *r)
{
	bool wants_cert = rule_sets(r, KEY_CLIENT_CERT) &&
	    settings_value(r, KEY_CLIENT_CERT) != CC_NONE;
	bool wants_tls = rule_sets(r, KEY_MODE) && settings_value(r, KEY_MODE) == MODE_REQUIRE;
	char buf[TITLE_SIZE], number[16];
	enum key k = wants_tls ? KEY_MODE : KEY_CLIENT_CERT;

	if (wants_cert && rule_sets(r, KEY_MODE) && settings_value(r, KEY_MODE) == MODE_NONE) {
		problem(c->problems, SEV_ERROR, settings_line(c->s, r, KEY_CLIENT_CERT),
		    "%s has mode = none, which asks for no TLS, and client_cert = %s, which "
		    "does: keep one", title(c, r, buf), key_text(KEY_CLIENT_CERT,
		    settings_value(r, KEY_CLIENT_CERT), number));
		return;
	}
	if (c->offered || (!wants_tls && !wants_cert))
		return;
	problem(c->problems, SEV_ERROR, settings_line(c->s, r, k),
	    "%s asks for TLS (%s = %s), and no listener offers it: set mode = offer in [server] "
	    "or in a [listener]", title(c, r, buf), key_table[k].name,
	    key_text(k, settings_value(r, k), number));
}

/* ---- warnings ---- */

static void
warn_old_tls(struct check *c, const struct rule *r)
{
	char buf[TITLE_SIZE];

	if (rule_sets(r, KEY_MIN_TLS) && settings_value(r, KEY_MIN_TLS) < TLS_1_2)
		problem(c->problems, SEV_WARNING, settings_line(c->s, r, KEY_MIN_TLS),
		    "%s lets TLS 1.0 or 1.1 pass as TLS; both are deprecated (RFC 8996): 1.2 or 1.3",
		    title(c, r, buf));
}

/* Is it the rule of whoever sends mail here? */
static bool
meets_everybody(const struct check *c, const struct rule *r)
{
	struct addr a = settings_addr(c->s, r);

	return r->section == SEC_SERVER ||
	    (r->section == SEC_LISTENER && a.family == ADDR_ANY && a.port == 25) ||
	    (r->section == SEC_CLIENT && a.family != ADDR_NONE && a.prefix == 0);
}

/* Who requires a certificate requires the TLS that it comes by. */
static void
warn_everybody(struct check *c, const struct rule *r)
{
	const bool server = r->section == SEC_SERVER;
	char buf[TITLE_SIZE];

	for (enum key k = KEY_MODE; k <= KEY_CLIENT_CERT; k++) {
		if (!rule_sets(r, k) || settings_value(r, k) !=
		    (k == KEY_MODE ? (uint32_t)MODE_REQUIRE : (uint32_t)CC_REQUIRE))
			continue;
		if (over_server(c, r, KEY_MODE) == MODE_NONE)
			continue;		/* that is an error */
		problem(c->problems, SEV_WARNING, settings_line(c->s, r, k),
		    "%s%s%s = require for everybody: a public MX must not (RFC 3207 section 4), "
		    "mail from servers without %s is lost; require it of a [listener]%s, [peer] "
		    "or [domain]", server ? "" : title(c, r, buf), server ? "" : " has ",
		    key_table[k].name, k == KEY_MODE ? "TLS" : "a certificate",
		    r->section == SEC_LISTENER ? " of one address" : "");
	}
}

/* A rule of the base that is as strict as any: the first in the file's order of names. */
static const struct rule *
strictest_rule(struct check *c, enum key k)
{
	const struct rule *r;

	if (c->whose[k] == SEC_SERVER)
		return c->server;
	for (size_t i = 0; c->strictest[k] == NULL &&
	    (r = settings_at(c->s, c->whose[k], i)) != NULL; i++)
		if (rule_sets(r, k) && settings_value(r, k) == c->base[k])
			c->strictest[k] = r;
	return c->strictest[k];
}

/* The sender is whoever a client says it is: a peer's rule that asks for less is open to all. */
static void
warn_weaker(struct check *c, const struct rule *r)
{
	static const enum key keys[] = {
		KEY_MODE, KEY_CLIENT_CERT, KEY_MIN_TLS, KEY_MIN_BITS, KEY_ENFORCE
	};
	bool tls = c->base[KEY_MODE] == MODE_REQUIRE;
	bool cert = c->base[KEY_CLIENT_CERT] == CC_REQUIRE;
	char buf[TITLE_SIZE], base[TITLE_SIZE], mine[16], theirs[16];
	const struct rule *than;
	bool exempt;			/* from certificates with TLS, as the decision has it */

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		enum key k = keys[i];

		/* Less than a base that asks for nothing is no less. */
		if (!(k == KEY_CLIENT_CERT ? cert : k == KEY_ENFORCE ? tls || cert : tls))
			continue;
		/* Where the base has mode = require, that was the warning of this line. */
		exempt = k == KEY_CLIENT_CERT && !rule_sets(r, k) && !tls &&
		    rule_sets(r, KEY_MODE) && settings_value(r, KEY_MODE) == MODE_NONE;
		if (!exempt && (!rule_sets(r, k) || settings_value(r, k) >= c->base[k]))
			continue;
		than = strictest_rule(c, k);
		problem(c->problems, SEV_WARNING, settings_line(c->s, r, exempt ? KEY_MODE : k),
		    "%s is weaker than %s (%s%s = %s, not %s): anybody can claim to send from "
		    "there", title(c, r, buf), than != NULL ? title(c, than, base) : "[server]",
		    exempt ? "mode = none means " : "",
		    key_table[k].name, key_text(k, exempt ? CC_NONE : settings_value(r, k), mine),
		    key_text(k, c->base[k], theirs));
	}
}

/* Does any rule of the section have the key as strict as that? */
static bool
any_has(const struct check *c, enum section sec, enum key k, uint32_t least)
{
	uint32_t weakest, strictest;

	return settings_range(c->s, sec, k, &weakest, &strictest) && strictest >= least;
}

/*
 * What a domain or peer says of a demand that neither it nor any base makes.  One
 * of the other kind may make it: then less than the base is an exception to that,
 * and more is still a wish that most mail does not meet.
 */
static void
warn_idle(struct check *c, const struct rule *r)
{
	static const enum key keys[] = { KEY_MIN_TLS, KEY_MIN_BITS, KEY_ENFORCE };
	enum section other = r->section == SEC_PEER ? SEC_DOMAIN : SEC_PEER;
	bool tls = over_server(c, r, KEY_MODE) == MODE_REQUIRE || c->base[KEY_MODE] == MODE_REQUIRE;
	bool cert = over_server(c, r, KEY_CLIENT_CERT) == CC_REQUIRE ||
	    c->base[KEY_CLIENT_CERT] == CC_REQUIRE;
	bool by_other = any_has(c, other, KEY_MODE, MODE_REQUIRE);
	char buf[TITLE_SIZE], word[16];
	bool empty = true, trial;

	if (rule_sets(r, KEY_MODE) && settings_value(r, KEY_MODE) == MODE_NONE)
		return;			/* switched off */
	for (int k = 0; k < KEY_MAX && empty; k++)
		empty = !rule_sets(r, (enum key)k);
	if (empty && !tls && !cert)
		problem(c->problems, SEV_WARNING, r->line,
		    "%s sets nothing, so it asks for nothing: add mode = require, or take it out",
		    title(c, r, buf));
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && !tls; i++) {
		enum key k = keys[i];

		if (!rule_sets(r, k) || (k != KEY_ENFORCE && by_other &&
		    settings_value(r, k) <= c->base[k]))
			continue;
		/* A peer's report does not reach what a domain asks. */
		trial = k == KEY_ENFORCE && r->section == SEC_PEER &&
		    settings_value(r, k) == ENFORCE_REPORT;
		if (k == KEY_ENFORCE && (cert || (!trial && (by_other ||
		    any_has(c, other, KEY_CLIENT_CERT, CC_REQUIRE)))))
			continue;
		problem(c->problems, SEV_WARNING, settings_line(c->s, r, k),
		    "%s has %s = %s, which %s: %s", title(c, r, buf), key_table[k].name,
		    key_text(k, settings_value(r, k), word), trial ?
		    "tries what that section or the server asks, and they ask for nothing" : by_other ?
		    "has no effect where TLS is not required by another rule" :
		    "has no effect where TLS is not required", rule_sets(r, KEY_MODE) ?
		    "let its mode be require" : "add mode = require");
	}
}

static void
warn_verifies(struct check *c, const struct rule *r)
{
	char buf[TITLE_SIZE], word[16];
	uint32_t any, none, cc;

	if (r->section == SEC_LISTENER) {
		if (settings_value(r, KEY_VERIFIES) == 0)
			return;
		cc = over_server(c, r, KEY_CLIENT_CERT);
		if (over_server(c, r, KEY_MODE) == MODE_NONE)
			problem(c->problems, SEV_WARNING, settings_line(c->s, r, KEY_VERIFIES),
			    "%s has verifies = yes, so smtpd offers TLS there, and mode = none, "
			    "so it is refused", title(c, r, buf));
		else if (cc != CC_REQUIRE)
			problem(c->problems, SEV_WARNING, settings_line(c->s, r, KEY_VERIFIES),
			    "%s has verifies = yes, so smtpd lets nobody in without a "
			    "certificate, whatever client_cert = %s says", title(c, r, buf),
			    key_text(KEY_CLIENT_CERT, cc, word));
		return;
	}
	if (!rule_sets(r, KEY_CLIENT_CERT) || settings_value(r, KEY_CLIENT_CERT) == CC_REQUIRE ||
	    !settings_range(c->s, SEC_LISTENER, KEY_VERIFIES, &none, &any) || any == 0)
		return;
	problem(c->problems, SEV_WARNING, settings_line(c->s, r, KEY_CLIENT_CERT),
	    "%s has client_cert = %s, but at a listener with verifies = yes smtpd demands a "
	    "certificate all the same", title(c, r, buf),
	    key_text(KEY_CLIENT_CERT, settings_value(r, KEY_CLIENT_CERT), word));
}

/* ---- all ---- */

static void
find_base(struct check *c)
{
	static const enum section others[] = { SEC_LISTENER, SEC_CLIENT };
	uint32_t weakest, strictest;

	for (int k = 0; k < KEY_RULES; k++) {
		c->base[k] = settings_value(c->server, (enum key)k);
		c->whose[k] = SEC_SERVER;
		for (size_t i = 0; i < 2; i++) {
			if (!settings_range(c->s, others[i], (enum key)k, &weakest, &strictest) ||
			    strictest <= c->base[k])
				continue;
			c->base[k] = strictest;
			c->whose[k] = others[i];
		}
	}
	c->offered = c->base[KEY_MODE] != MODE_NONE;
}

static void
check_rule(struct check *c, const struct rule *r, bool warn)
{
	if (rule_sets(r, KEY_CERTIFICATE))
		check_reference(c, r, KEY_CERTIFICATE);
	if (rule_sets(r, KEY_CA))
		check_reference(c, r, KEY_CA);
	switch (r->section) {
	case SEC_SERVER:
	case SEC_LISTENER:
	case SEC_CLIENT:
		check_base(c, r);
		break;
	case SEC_DOMAIN:
	case SEC_PEER:
		check_asks(c, r);
		break;
	case SEC_CERTIFICATE:
		check_needed(c, r, KEY_FILE);
		check_needed(c, r, KEY_KEY);
		break;
	case SEC_CA:
		check_needed(c, r, KEY_FILE);
		break;
	}
	if (!warn)
		return;
	warn_old_tls(c, r);
	if (meets_everybody(c, r))
		warn_everybody(c, r);
	if (c->whole && (r->section == SEC_PEER || r->section == SEC_DOMAIN))
		warn_idle(c, r);
	if (r->section == SEC_PEER)
		warn_weaker(c, r);
	else if (r->section == SEC_LISTENER || r->section == SEC_CLIENT)
		warn_verifies(c, r);
}

void
settings_check(const struct settings *s, bool warn, struct problems *ps)
{
	struct check c = { .s = s, .problems = ps };
	const struct rule *r;

	c.server = settings_find(s, SEC_SERVER, "");
	find_base(&c);
	c.whole = ps->found[SEV_ERROR] == 0;
	for (int sec = 0; sec < SEC_MAX; sec++)
		for (size_t i = 0; (r = settings_at(s, (enum section)sec, i)) != NULL; i++)
			check_rule(&c, r, warn);
}
