/*
 * For the tests of the decision: settings from one line of INI, facts from a
 * short form, a verdict as one line.
 *
 * INI:    "[server] mode=require; min_tls=1.3 [peer p.example] mode=none":
 *         a section, its keys with "; " between them.  Every one gets
 *         [ca partners], [ca others] and a listener of its own that offers TLS.
 * Facts:  "tls=1.3 bits=128 auth from=a@p.example to=b@d.example"; see tokens[]
 *         below.  What is not said: in clear, from a@p.example at 203.0.113.5
 *         to b@d.example, at 198.51.100.7:25.
 * Verdict: "refuse tls-missing peer p.example/mode 530 +SP": action, reason,
 *         rule and key, code, and whom it counts for (Server, Listener,
 *         Client, Peer, Domain).  "accept" alone is uncounted.
 */
#ifndef TLSWARD_TESTS_POLICY_TRY_H
#define TLSWARD_TESTS_POLICY_TRY_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policy.h"
#include "read.h"

#define TRY_LISTENER "198.51.100.7:25"
#define TRY_CLIENT "203.0.113.5"
#define TRY_TAIL "\n[ca partners]\nfile = /ca/partners.pem\n[ca others]\nfile = /ca/others.pem\n" \
	"[listener 192.0.2.99:25]\nmode = offer\n"

/* 64 hexadecimal digits, of a digest whose octets are all the same. */
#define DIGITS64(x) x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x

struct ca_says {
	char name[32];
	bool trusted;
	enum reason why;
};

/* Facts and all that they point to. */
struct trial {
	struct facts f;
	const struct settings *s;
	char text[1024];		/* the short form, cut into pieces */
	char sender_domain[NAME_SIZE], recipient_domain[NAME_SIZE];
	const char *names[8];
	struct ca_says ca[4];
	size_t nca;
	const char *pinned;		/* the `certs` file that holds the certificate */
};

/* ---- settings ---- */

static inline struct settings *
try_settings(const char *ini)
{
	char *text = calloc(1, 2 * strlen(ini) + sizeof(TRY_TAIL));
	struct settings *s;
	size_t n = 0;
	int depth = 0;

	assert_non_null(text);
	for (const char *p = ini; *p != '\0'; p++) {
		if (*p == '[' && depth++ == 0)
			text[n++] = '\n';
		if (depth == 0 && p[0] == ';' && p[1] == ' ') {
			text[n++] = '\n';
			p++;
			continue;
		}
		if (*p == ' ' && (n == 0 || text[n - 1] == '\n'))
			continue;	/* every line begins in the first column */
		text[n++] = *p;
		if (*p == ']' && --depth == 0)
			text[n++] = '\n';
	}
	memcpy(text + n, TRY_TAIL, sizeof(TRY_TAIL));
	s = settings_parse(text, strlen(text), "test.ini", NULL, false, read_report_file, stderr);
	if (s == NULL)
		fprintf(stderr, "# these have errors: %s\n", ini);
	free(text);
	return s;
}

/* ---- facts ---- */

static inline void
try_verify(void *arg, const struct rule *ca, struct trust *t)
{
	struct trial *tr = arg;

	t->trusted = false;
	t->why = REASON_CERT_UNTRUSTED;
	t->detail = "unable to get local issuer certificate";
	for (size_t i = 0; i < tr->nca; i++) {
		if (strcmp(tr->ca[i].name, settings_name(tr->s, ca)) != 0)
			continue;
		t->trusted = tr->ca[i].trusted;
		t->why = tr->ca[i].why;
	}
}

static inline int
try_pinned(void *arg, const char *certs)
{
	struct trial *tr = arg;

	if (tr->pinned != NULL && strcmp(tr->pinned, "?") == 0)
		return -1;
	return tr->pinned != NULL && strcmp(tr->pinned, certs) == 0;
}

static inline enum reason
try_reason(const char *word)
{
	for (int r = 0; r < REASON_MAX; r++)
		if (strncmp(reason_words[r], "cert-", 5) == 0 &&
		    strcmp(reason_words[r] + 5, word) == 0)
			return (enum reason)r;
	fail_msg("no such reason: %s", word);
	return REASON_NONE;
}

static inline void
try_address(struct addr *a, const char *text, bool listener)
{
	if (strcmp(text, "local") == 0)
		a->family = ADDR_LOCAL;
	else if (strcmp(text, "unknown") == 0)
		a->family = ADDR_NONE;
	else
		assert_true((listener ? addr_listener : addr_ip)(text, strlen(text), a));
}

static inline void
try_cert(struct cert_facts *c, char *value)
{
	char *why = strchr(value, ':');

	if (why != NULL)
		*why++ = '\0';
	if (strcmp(value, "none") == 0) {
		c->status = CERT_NONE;
	} else if (strcmp(value, "trusted") == 0) {
		c->status = CERT_TRUSTED;
		c->server.trusted = true;
	} else {
		assert_string_equal(value, "untrusted");
		c->status = CERT_UNTRUSTED;
		c->server.why = why != NULL ? try_reason(why) : REASON_CERT_UNTRUSTED;
	}
}

static inline void
try_ca(struct trial *tr, char *text)
{
	char *said = strchr(text, ':');
	struct ca_says *ca = &tr->ca[tr->nca++];

	assert_non_null(said);
	*said++ = '\0';
	snprintf(ca->name, sizeof(ca->name), "%s", text);
	ca->trusted = strcmp(said, "ok") == 0;
	ca->why = ca->trusted ? REASON_NONE : try_reason(said);
	tr->f.cert.verify = try_verify;
}

static inline void
try_token(struct trial *tr, char *key, char *value)
{
	struct facts *f = &tr->f;
	struct cert_facts *c = &f->cert;
	uint32_t v;

	if (strcmp(key, "from") == 0) {
		f->sender = value;
	} else if (strcmp(key, "to") == 0) {
		f->recipient = value;
	} else if (strcmp(key, "client") == 0) {
		try_address(&f->client, value, false);
	} else if (strcmp(key, "listener") == 0) {
		try_address(&f->listener, value, true);
	} else if (strcmp(key, "helo") == 0) {
		f->helo = value;
	} else if (strcmp(key, "auth") == 0) {
		f->authenticated = true;
	} else if (strcmp(key, "tls") == 0) {
		assert_true(key_scalar(KEY_MIN_TLS, value, &v));
		f->tls = (enum tls_version)v;
		f->bits = 256;
		f->cipher = "TLS_AES_256_GCM_SHA384";
	} else if (strcmp(key, "bits") == 0) {
		f->bits = (unsigned)strtoul(value, NULL, 10);
	} else if (strcmp(key, "cert") == 0) {	/* none, trusted, untrusted[:REASON] */
		try_cert(c, value);
	} else if (strcmp(key, "names") == 0) {	/* known to be these */
		c->has_names = true;
		c->names = tr->names;
		for (char *n = strtok_r(value, ",", &value); n != NULL;
		    n = strtok_r(NULL, ",", &value))
			tr->names[c->nnames++] = n;
	} else if (strcmp(key, "cn") == 0) {
		c->has_names = true;
		c->cn = value;
	} else if (strcmp(key, "fp") == 0) {	/* two digits */
		c->has_fingerprint = true;
		memset(c->fingerprint, (int)strtoul(value, NULL, 16), 32);
	} else if (strcmp(key, "spki") == 0) {
		c->has_spki = true;
		memset(c->spki, (int)strtoul(value, NULL, 16), 32);
	} else if (strcmp(key, "ca") == 0) {	/* NAME:ok or NAME:REASON, by our own check */
		try_ca(tr, value);
	} else if (strcmp(key, "pin") == 0) {	/* the certs file that holds it; "" none, "?" unreadable */
		c->pinned = try_pinned;
		tr->pinned = value;
	} else {
		fail_msg("no such fact: %s", key);
	}
}

static inline void
try_facts(struct trial *tr, const struct settings *s, const char *text)
{
	char *save = NULL;

	memset(tr, 0, sizeof(*tr));
	tr->s = s;
	snprintf(tr->text, sizeof(tr->text), "%s", text);
	tr->f.helo = "mx.p.example";
	tr->f.session = "7b5ca11e0f0f0f0f";
	tr->f.cipher = "";
	tr->f.sender = "a@p.example";
	tr->f.recipient = "b@d.example";
	tr->f.cert.arg = tr;
	try_address(&tr->f.listener, TRY_LISTENER, true);
	try_address(&tr->f.client, TRY_CLIENT, false);
	for (char *t = strtok_r(tr->text, " ", &save); t != NULL; t = strtok_r(NULL, " ", &save)) {
		char *value = strchr(t, '=');

		if (value != NULL)
			*value++ = '\0';
		try_token(tr, t, value != NULL ? value : t + strlen(t));
	}
	name_of_address(tr->f.sender, strlen(tr->f.sender), tr->sender_domain);
	name_of_address(tr->f.recipient, strlen(tr->f.recipient), tr->recipient_domain);
	tr->f.sender_domain = tr->sender_domain;
	tr->f.recipient_domain = tr->recipient_domain;
}

/* The same at MAIL, where no recipient is known yet. */
static inline struct facts
try_at_mail(const struct trial *tr)
{
	struct facts f = tr->f;

	f.recipient = "";
	f.recipient_domain = "";
	return f;
}

/* ---- verdict ---- */

static inline const char *
try_text(const struct settings *s, const struct verdict *v, char *buf, size_t size)
{
	char name[NAME_SIZE + 16];
	int n = snprintf(buf, size, "%s", action_words[v->action]);

	if (v->reason != REASON_NONE)
		n += snprintf(buf + n, size - (size_t)n, " %s %s/%s %.3s",
		    reason_words[v->reason], policy_rule_name(s, v->rule, name, sizeof(name)),
		    key_table[v->key].name, v->reply);
	if (v->counted)
		snprintf(buf + n, size - (size_t)n, " +%s%s%s%s%s",
		    v->server != NULL ? "S" : "", v->listener != NULL ? "L" : "",
		    v->client != NULL ? "C" : "", v->peer != NULL ? "P" : "",
		    v->domain != NULL ? "D" : "");
	return buf;
}

#endif
