#include <string.h>

#include "ahead.h"
#include "event.h"
#include "evidence.h"

#define PROTOCOL_TURN 64		/* lines that are looked at before the first is acted on */

/* ---- answers ---- */

static void
put(struct filter *f, const char *text)
{
	(void)lineout_put(&f->out, text, strlen(text));
}

static char *
put_id(char *p, const char *id, size_t len)
{
	if (len == ID_DIGITS)		/* nearly always: a length that the compiler knows */
		memcpy(p, id, ID_DIGITS);
	else
		memcpy(p, id, len);
	p[len] = '|';
	return p + len + 1;
}

/* "KIND|SESSION|TOKEN|TEXT"; both are ids, or the request is not answered. */
static inline void
answer_with(struct filter *f, const struct request *r, const char *kind, size_t kind_len,
    const char *text, size_t len)
{
	char line[sizeof("filter-dataline|") + 2 * (ID_DIGITS + 1) + sizeof("proceed\n")], *p = line;

	memcpy(p, kind, kind_len);
	p = put_id(p + kind_len, r->session, r->session_len);
	p = put_id(p, r->token, r->token_len);
	memcpy(p, text, len);
	(void)lineout_put(&f->out, line, (size_t)(p - line) + len);
}
#define ANSWER(f, r, kind, text) \
	answer_with(f, r, kind "|", sizeof(kind), text, sizeof(text) - 1)

void
answer_proceed(struct filter *f, const struct request *r)
{
	ANSWER(f, r, "filter-result", "proceed\n");
}

/*
 * smtpd makes a 421, which ends the session, of a reply that is not a code of
 * 4xx or 5xx and a text; a line end in it would be a second answer.
 */
void
answer_reject(struct filter *f, const struct request *r, const char *reply)
{
	bool good = (reply[0] == '4' || reply[0] == '5') && strlen(reply) > 4 &&
	    reply[3] == ' ' && strpbrk(reply, "\r\n") == NULL;

	ANSWER(f, r, "filter-result", "reject|");
	put(f, good ? reply : CANNOT_TELL);
	put(f, "\n");
}

void
answer_data_line(struct filter *f, const struct request *r)
{
	ANSWER(f, r, "filter-dataline", "");
	if (r->len > 0)		/* it may hold a NUL */
		(void)lineout_put(&f->out, r->rest, r->len);
	put(f, "\n");
}

static void
complain(struct filter *f, const char *what, const struct request *r)
{
	char head[64], quoted[200];
	size_t len;

	if (!errlog_may(&f->complaints))
		return;
	len = request_head(r, head, sizeof(head));
	errlog(LOG_WARNING, "malformed line from smtpd, %s: %s", what,
	    errlog_quote(head, len, quoted, sizeof(quoted)));
}

/* ---- lines ---- */

static void
register_all(struct filter *f)
{
	f->crosscheck = evidence_wanted(held_settings(f->hold.now));
	for (size_t i = 0; i < event_count; i++) {
		enum kind kind = event_table[i].kind;

		if (kind == PASSES || (kind == CHECKS && !f->crosscheck))
			continue;
		put(f, kind >= ASKS ? "register|filter|smtp-in|" : "register|report|smtp-in|");
		put(f, event_table[i].name);
		put(f, "\n");
	}
	put(f, "register|ready\n");
	f->registered = true;
}

/* A later minor version is taken for the newest that we know. */
static void
tell_version(struct filter *f, unsigned n)
{
	if ((n >= PROTOCOL_OLDEST && n <= PROTOCOL_NEWEST) || f->version_told)
		return;
	errlog(LOG_WARNING, "smtpd speaks filter protocol 0.%u, known are 0.%u to 0.%u: "
	    "taken for 0.%u", n, PROTOCOL_OLDEST, PROTOCOL_NEWEST,
	    n < PROTOCOL_OLDEST ? PROTOCOL_OLDEST : PROTOCOL_NEWEST);
	f->version_told = true;
}

/* What is wrong with the line, or NULL. */
static const char *
dispatch(struct filter *f, const struct event *e, struct request *r)
{
	struct session *s;

	if (!r->whole && !event_is_data_line(e))
		return "it is cut";
	if (!request_enough(r, e->least))
		return "fields are missing";
	s = session_find(&f->sessions, r->id);
	if (s == NULL && e->kind == ASKS) {
		if (errlog_may(&f->strangers))
			errlog(LOG_WARNING, "session %.*s is unknown: %s deferred",
			    (int)r->session_len, r->session, e->name);
		answer_reject(f, r, CANNOT_TELL);
		return NULL;
	}
	if (s == NULL && e->kind == REPORT)
		return NULL;
	if (s != NULL && s->waiting != NULL && r->filter)
		event_answer(f, s->waiting);	/* smtpd did not wait: in order all the same */
	return e->handle(f, s, r) ? NULL : "a field is malformed";
}

/* Acts on a report or a request; what is wrong with it, or NULL. */
static const char *
act(struct filter *f, struct request *r)
{
	const char *trouble = r->trouble;

	if (r->session == NULL || (r->filter && r->token == NULL))
		return trouble;			/* nobody could be answered */
	if (trouble == NULL)
		tell_version(f, r->version);
	if (trouble == NULL && r->foreign)
		trouble = r->filter ? "its subsystem is unknown" : NULL;
	else if (trouble == NULL && r->event == NULL)
		trouble = r->filter ? "its phase is unknown" : NULL;
	else if (trouble == NULL)
		trouble = dispatch(f, r->event, r);
	/* a line of a message has another kind of answer, and smtpd insists on it */
	if (trouble != NULL && r->event != NULL && event_is_data_line(r->event))
		answer_data_line(f, r);
	else if (trouble != NULL && r->filter)
		answer_reject(f, r, CANNOT_TELL);
	return trouble;
}

static void
protocol_act(struct filter *f, struct request *r)
{
	const char *trouble = r->trouble;

	if (r->kind == LINE_CONFIG) {
		if (!f->registered && strcmp(r->rest, "ready") == 0)
			register_all(f);
		return;
	}
	if (r->kind != LINE_STRANGE)
		trouble = f->registered ? act(f, r) : "before config|ready";
	if (trouble != NULL)
		complain(f, trouble, r);
}

void
protocol_line(struct filter *f, char *line, size_t len, bool whole)
{
	struct request r;

	request_parse(&r, line, len, whole);
	event_domain(&r);
	protocol_act(f, &r);
}

/* Takes lines for a turn, as many as there is room to answer. */
static size_t
take(struct filter *f, struct linein *in, struct request turn[PROTOCOL_TURN])
{
	size_t n = 0, len, promised = 0;
	bool whole;
	char *line;

	while (n < PROTOCOL_TURN && lineout_ready(&f->out, promised) &&
	    (line = linein_next(in, &len, &whole)) != NULL) {
		request_parse(&turn[n], line, len, whole);
		event_domain(&turn[n++]);
		promised += len + LINE_PREFIX;
	}
	return n;
}

void
protocol_lines(struct filter *f, struct linein *in)
{
	struct request turn[PROTOCOL_TURN];
	size_t n;

	while ((n = take(f, in, turn)) > 0) {
		ahead_of(f, turn, n);
		for (size_t i = 0; i < n; i++)
			protocol_act(f, &turn[i]);
	}
}

void
protocol_due(struct filter *f, long long now)
{
	struct pending *p;

	while (lineout_ready(&f->out, 0) && (p = pending_due(&f->pending, now)) != NULL)
		event_answer(f, p);
}
