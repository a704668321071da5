#include <string.h>

#include "event.h"
#include "evidence.h"
#include "name.h"
#include "policy.h"

static bool on_connect(struct filter *, struct session *, struct request *);
static bool on_disconnect(struct filter *, struct session *, struct request *);
static bool on_greeting(struct filter *, struct session *, struct request *);
static bool on_identify(struct filter *, struct session *, struct request *);
static bool on_tls(struct filter *, struct session *, struct request *);
static bool on_auth(struct filter *, struct session *, struct request *);
static bool on_starttls(struct filter *, struct session *, struct request *);
static bool on_mail(struct filter *, struct session *, struct request *);
static bool on_rcpt(struct filter *, struct session *, struct request *);
static bool on_proceed(struct filter *, struct session *, struct request *);
static bool on_data_line(struct filter *, struct session *, struct request *);
static bool on_commit(struct filter *, struct session *, struct request *);

#define NAMED(name) name, sizeof(name) - 1

const struct event event_table[] = {
	{ NAMED("link-connect"),	BEGINS, 4, SEC_MAX, on_connect },
	{ NAMED("link-disconnect"),	REPORT, 0, SEC_MAX, on_disconnect },
	{ NAMED("link-greeting"),	REPORT, 1, SEC_MAX, on_greeting },
	{ NAMED("link-identify"),	REPORT, 2, SEC_MAX, on_identify },
	{ NAMED("link-tls"),		REPORT, 1, SEC_MAX, on_tls },
	{ NAMED("link-auth"),		REPORT, 2, SEC_MAX, on_auth },
	{ NAMED("starttls"),		ASKS, 0, SEC_MAX, on_starttls },
	{ NAMED("mail-from"),		ASKS, 1, SEC_PEER, on_mail },
	{ NAMED("rcpt-to"),		ASKS, 1, SEC_DOMAIN, on_rcpt },
	{ NAMED("data-line"),		CHECKS, 0, SEC_MAX, on_data_line },
	{ NAMED("commit"),		CHECKS, 0, SEC_MAX, on_commit },
	{ NAMED("connect"),		PASSES, 0, SEC_MAX, on_proceed },
	{ NAMED("helo"),		PASSES, 0, SEC_MAX, on_proceed },
	{ NAMED("ehlo"),		PASSES, 0, SEC_MAX, on_proceed },
	{ NAMED("auth"),		PASSES, 0, SEC_MAX, on_proceed },
	{ NAMED("data"),		PASSES, 0, SEC_MAX, on_proceed },
	{ NAMED("rset"),		PASSES, 0, SEC_MAX, on_proceed },
	{ NAMED("quit"),		PASSES, 0, SEC_MAX, on_proceed },
	{ NAMED("noop"),		PASSES, 0, SEC_MAX, on_proceed },
	{ NAMED("help"),		PASSES, 0, SEC_MAX, on_proceed },
	{ NAMED("wiz"),		PASSES, 0, SEC_MAX, on_proceed },
};
const size_t event_count = sizeof(event_table) / sizeof(event_table[0]);

const struct event *
event_find(bool filter, const char *name, size_t len)
{
	for (size_t i = 0; i < event_count; i++)
		if (event_table[i].len == len && (event_table[i].kind >= ASKS) == filter &&
		    memcmp(event_table[i].name, name, len) == 0)
			return &event_table[i];
	return NULL;
}

bool
event_is_data_line(const struct event *e)
{
	return e->handle == on_data_line;
}

static void
keep(char *to, size_t size, const char *text, size_t len)
{
	if (len >= size)
		len = size - 1;
	memcpy(to, text, len);
	to[len] = '\0';
}

/* ---- reports ---- */

/*
 * RDNS|FCRDNS|SRC|DST.  RDNS is under the control of whoever connects: the
 * addresses are taken from the end, which they cannot shift.
 */
static bool
on_connect(struct filter *f, struct session *s, struct request *r)
{
	const struct settings *set;
	const struct rule *rule;
	struct addr client, listener;
	size_t len = 0;
	const char *dst, *src;

	dst = request_last_field(r, &len);
	if (dst == NULL || !addr_socket(dst, len, &listener))
		return false;
	src = request_last_field(r, &len);
	if (src == NULL || !addr_socket(src, len, &client))
		return false;
	if (s != NULL)
		evidence_end(f, s);
	if ((s = session_open(&f->sessions, r->id)) == NULL) {
		errlog(LOG_ERR, "out of memory: session %.*s is deferred",
		    (int)r->session_len, r->session);
		return true;
	}
	keep(s->text, sizeof(s->text), r->session, r->session_len);
	s->client = client;
	s->listener = listener;
	s->held = hold_ref(&f->hold);
	set = held_settings(s->held);
	rule = set != NULL ? settings_listener(set, &listener) : NULL;
	s->verifies = settings_value(rule, KEY_VERIFIES) != 0;
	evidence_begin(f, s);
	return true;
}

static bool
on_disconnect(struct filter *f, struct session *s, struct request *r)
{
	evidence_end(f, s);
	session_close(&f->sessions, r->id);
	return true;
}

/* HOSTNAME, which is also the domain of an address that has none. */
static bool
on_greeting(struct filter *f, struct session *s, struct request *r)
{
	char host[NAME_SIZE];

	(void)f;
	(void)name_normal(r->rest, r->len, false, host);
	session_keep(s, TEXT_HOST, host, strlen(host));
	return true;
}

static bool
on_identify(struct filter *f, struct session *s, struct request *r)
{
	(void)f;
	(void)request_field(r);			/* HELO or EHLO */
	session_keep(s, TEXT_HELO, r->rest, r->len);
	return true;
}

/* VERSION:CIPHER:BITS; false: it cannot be read. */
static bool
read_tls(struct session *s, struct request *r)
{
	static const char prefix[] = "TLSv1";
	const size_t plen = sizeof(prefix) - 1;
	const char *p = r->rest, *end = p + r->len, *cipher, *bits;
	unsigned minor = 0, n;

	if (strncmp(p, "SSLv", 4) == 0)		/* as good as none */
		return true;
	if ((cipher = memchr(p, ':', r->len)) == NULL ||
	    (bits = memrchr(cipher + 1, ':', (size_t)(end - cipher - 1))) == NULL)
		return false;
	if (strncmp(p, prefix, plen) != 0 || ((p += plen) != cipher &&
	    (*p != '.' || !request_digits(p + 1, (size_t)(cipher - p - 1), &minor))))
		return false;
	if (!request_digits(bits + 1, (size_t)(end - bits - 1), &n))
		return false;
	s->tls = minor < 3 ? (enum tls_version)(TLS_1_0 + minor) : TLS_1_3;
	s->bits = n;
	session_keep(s, TEXT_CIPHER, cipher + 1, (size_t)(bits - cipher - 1));
	return true;
}

static bool
on_tls(struct filter *f, struct session *s, struct request *r)
{
	(void)f;
	s->tls_unknown = !read_tls(s, r);
	return !s->tls_unknown;
}

static bool
on_auth(struct filter *f, struct session *s, struct request *r)
{
	size_t len;
	const char *result;

	(void)f;
	if (r->version >= 7)
		result = request_field(r);
	else
		result = request_last_field(r, &len);
	if (result != NULL && strcmp(result, "pass") == 0)
		s->authenticated = true;
	return true;
}

/* ---- requests ---- */

static void
fill_facts(struct filter *f, struct facts *facts, const struct session *s)
{
	facts->listener = s->listener;
	facts->client = s->client;
	facts->helo = session_text(s, TEXT_HELO);
	facts->session = s->text;
	facts->authenticated = s->authenticated;
	facts->tls = s->tls;
	facts->cipher = session_text(s, TEXT_CIPHER);
	facts->bits = s->bits;
	facts->sender = session_text(s, TEXT_SENDER);
	facts->sender_domain = session_text(s, TEXT_SENDER_DOMAIN);
	facts->recipient = facts->recipient_domain = "";
	facts->likely_peer = s->peer;
	facts->likely_domain = NULL;
	evidence_facts(f, s, &facts->cert);
}

static void
answer(struct filter *f, const struct session *s, const struct request *r,
    const struct facts *facts, const struct verdict *v)
{
	bool refused = v->action == ACT_REFUSE || v->action == ACT_DEFER;
	int level = refused || v->action == ACT_REPORT ? LOG_INFO : LOG_DEBUG;
	const struct settings *set = held_settings(s->held);
	char line[ERRLOG_LINE];

	if (refused)
		answer_reject(f, r, v->reply);
	else
		answer_proceed(f, r);
	if (f->counters != NULL && set != NULL) {
		counters_add(f->counters, set, facts, v, f->wall);
		if (counters_tell(f->counters, f->wall, line, sizeof(line)))
			errlog_line(LOG_WARNING, line);
	}
	if (errlog_wants(level))
		errlog_line(level, policy_log(set, facts, v, line, sizeof(line)));
}

void
event_domain(struct request *r)
{
	if (r->event != NULL && r->event->about != SEC_MAX && r->len > 0)
		(void)name_of_address(r->rest, r->len, r->domain);
}

/* smtpd puts its own name behind an address without a domain, so that is where the mail goes. */
static const char *
domain_of(const struct session *s, struct request *r)
{
	const char *host = session_text(s, TEXT_HOST);

	if (r->domain[0] == '\0' && r->len > 0 &&
	    (memchr(r->rest, '@', r->len) == NULL || r->rest[r->len - 1] == '@'))
		keep(r->domain, sizeof(r->domain), host, strlen(host));
	return r->domain;
}

static bool
on_starttls(struct filter *f, struct session *s, struct request *r)
{
	struct facts facts;
	struct verdict v;

	fill_facts(f, &facts, s);
	facts.sender = facts.sender_domain = "";
	policy_starttls(held_settings(s->held), &facts, &v);
	answer(f, s, r, &facts, &v);
	return true;
}

/* ---- MAIL FROM and RCPT TO ---- */

/*
 * Puts a request off that cannot be decided without a fingerprint, where that
 * may still come.  A session waits once: a feed that is late for one command is
 * late for the next ones too, and clients have patience for a second, not for
 * one a recipient.
 */
static bool
put_off(struct filter *f, struct session *s, const struct request *r, bool rcpt,
    const struct facts *facts)
{
	struct pending *p;

	if (f->feed == NULL || s->fed || s->waited ||
	    !policy_wants_cert(held_settings(s->held), facts) ||
	    (p = pending_add(&f->pending, s, f->now)) == NULL)
		return false;
	p->rcpt = rcpt;
	keep(p->token, sizeof(p->token), r->token, r->token_len);
	keep(p->recipient, sizeof(p->recipient), facts->recipient, strlen(facts->recipient));
	keep(p->domain, sizeof(p->domain), facts->recipient_domain, strlen(facts->recipient_domain));
	return true;
}

/* What was seen ahead is of the settings in force, which may not be the session's. */
static const struct rule *
likely(const struct filter *f, const struct session *s, const struct request *r)
{
	return s->held == f->hold.now ? r->likely : NULL;
}

static void
answer_envelope(struct filter *f, struct session *s, const struct request *r, bool rcpt,
    const char *recipient, const char *domain)
{
	const struct settings *set = held_settings(s->held);
	struct facts facts;
	struct verdict v;

	fill_facts(f, &facts, s);
	facts.recipient = recipient;
	facts.recipient_domain = domain;
	facts.likely_domain = rcpt ? likely(f, s, r) : NULL;
	if (rcpt)
		policy_rcpt(set, &facts, &v);
	else
		policy_mail(set, &facts, &v);
	if (v.reason == REASON_CERT_UNKNOWN && put_off(f, s, r, rcpt, &facts))
		return;
	if (s->tls_unknown && v.action == ACT_REFUSE) {		/* it may have been good enough */
		v.action = ACT_DEFER;
		keep(v.reply, sizeof(v.reply), CANNOT_TELL, sizeof(CANNOT_TELL) - 1);
	}
	answer(f, s, r, &facts, &v);
}

void
event_answer(struct filter *f, struct pending *p)
{
	struct session *s = p->session;
	struct request r = { .filter = true, .session = s->text, .session_len = strlen(s->text),
	    .token = p->token, .token_len = strlen(p->token), .id = s->id };

	s->waited = true;
	answer_envelope(f, s, &r, p->rcpt, p->recipient, p->domain);
	pending_drop(&f->pending, p);
}

static bool
on_mail(struct filter *f, struct session *s, struct request *r)
{
	const char *domain = domain_of(s, r);

	session_keep(s, TEXT_SENDER, r->rest, r->len);
	session_keep(s, TEXT_SENDER_DOMAIN, domain, strlen(domain));
	s->peer = likely(f, s, r);
	evidence_message(f, s);
	answer_envelope(f, s, r, false, "", "");
	return true;
}

static bool
on_rcpt(struct filter *f, struct session *s, struct request *r)
{
	answer_envelope(f, s, r, true, r->rest, domain_of(s, r));
	return true;
}

/* ---- the message ---- */

/* A line goes back as it came, and is looked at only up to smtpd's own header. */
static bool
on_data_line(struct filter *f, struct session *s, struct request *r)
{
	if (s != NULL)
		evidence_line(s, r->rest, r->len, r->whole);
	answer_data_line(f, r);
	return true;
}

/* The only answer that can still refuse a message once its lines have come. */
static bool
on_commit(struct filter *f, struct session *s, struct request *r)
{
	struct facts facts;
	struct verdict v;

	if (!f->crosscheck) {
		answer_proceed(f, r);
		return true;
	}
	if (s == NULL) {
		answer_reject(f, r, CANNOT_TELL);
		return true;
	}
	if (s->damaged) {
		errlog(LOG_ERR, "session %s: a line of its message is longer than %d octets: deferred",
		    s->text, LINE_LIMIT);
		answer_reject(f, r, CANNOT_TELL);
		return true;
	}
	fill_facts(f, &facts, s);
	if (evidence_commit(f, s, &facts, &v))
		answer(f, s, r, &facts, &v);
	else
		answer_proceed(f, r);
	return true;
}

static bool
on_proceed(struct filter *f, struct session *s, struct request *r)
{
	(void)s;
	answer_proceed(f, r);
	return true;
}
