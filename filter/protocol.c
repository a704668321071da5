#include <string.h>

#include "event.h"
#include "evidence.h"

#define OLDEST 5
#define NEWEST 7
#define ID_DIGITS 16

/* ---- answers ---- */

static void
put(struct filter *f, const char *text)
{
	(void)lineout_put(&f->out, text, strlen(text));
}

static void
head(struct filter *f, const char *kind, const struct request *r)
{
	char text[sizeof("filter-dataline") + 2 * (ID_DIGITS + 1) + 1], *p = text;

	p = stpcpy(p, kind);
	*p++ = '|';
	p = stpcpy(p, r->session);	/* both are ids, or the request is not answered */
	*p++ = '|';
	p = stpcpy(p, r->token);
	*p++ = '|';
	(void)lineout_put(&f->out, text, (size_t)(p - text));
}

void
answer_proceed(struct filter *f, const struct request *r)
{
	head(f, "filter-result", r);
	put(f, "proceed\n");
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

	head(f, "filter-result", r);
	put(f, "reject|");
	put(f, good ? reply : CANNOT_TELL);
	put(f, "\n");
}

void
answer_data_line(struct filter *f, const struct request *r)
{
	head(f, "filter-dataline", r);
	if (r->len > 0)		/* it may hold a NUL */
		(void)lineout_put(&f->out, r->rest, r->len);
	put(f, "\n");
}

static void
complain(struct filter *f, const char *what, const char *line, size_t len)
{
	char quoted[200];

	if (errlog_may(&f->complaints))
		errlog(LOG_WARNING, "malformed line from smtpd, %s: %s", what,
		    errlog_quote(line, len, quoted, sizeof(quoted)));
}

/* ---- fields ---- */

char *
request_field(struct request *r)
{
	char *at = r->rest, *bar;

	if (at == NULL)
		return NULL;
	bar = memchr(at, '|', r->len);
	if (bar == NULL) {
		r->rest = NULL;
		r->len = 0;
		return at;
	}
	*bar = '\0';
	r->len -= (size_t)(bar + 1 - at);
	r->rest = bar + 1;
	return at;
}

char *
request_last_field(struct request *r, size_t *len)
{
	char *bar = r->len > 0 ? memrchr(r->rest, '|', r->len) : NULL;

	if (bar == NULL)
		return NULL;
	*len = r->len - (size_t)(bar + 1 - r->rest);
	r->len = (size_t)(bar - r->rest);
	*bar = '\0';
	return bar + 1;
}

/* One more than what each hexadecimal digit stands for. */
static const unsigned char hex_value[256] = {
	['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8,
	['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
	['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16
};

/* Sixteen hexadecimal digits, at most. */
static bool
hex_id(const char *text, uint64_t *id)
{
	const unsigned char *p = (const unsigned char *)text;
	uint64_t v = 0;
	unsigned digit;
	size_t n;

	for (n = 0; n < ID_DIGITS && (digit = hex_value[p[n]]) != 0; n++)
		v = v << 4 | (digit - 1);
	*id = v;
	return n > 0 && p[n] == '\0';
}

bool
request_digits(const char *text, size_t len, unsigned *out)
{
	unsigned v = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		v = v * 10 + (unsigned)(text[i] - '0');
	}
	*out = v;
	return len > 0 && len <= 4;
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

static const struct event *
event_find(bool filter, const char *name, size_t len)
{
	for (size_t i = 0; i < event_count; i++)
		if (event_table[i].len == len && (event_table[i].kind >= ASKS) == filter &&
		    memcmp(event_table[i].name, name, len) == 0)
			return &event_table[i];
	return NULL;
}

/* 0.N; a later minor version is taken for the newest that we know. */
static bool
version(struct filter *f, const char *text, unsigned *n)
{
	if (text[0] != '0' || text[1] != '.' || !request_digits(text + 2, strlen(text + 2), n))
		return false;
	if ((*n < OLDEST || *n > NEWEST) && !f->version_told) {
		errlog(LOG_WARNING, "smtpd speaks filter protocol %s, known are 0.%u to 0.%u: "
		    "taken for 0.%u", text, OLDEST, NEWEST, *n < OLDEST ? OLDEST : NEWEST);
		f->version_told = true;
	}
	return true;
}

static bool
enough(const struct request *r, unsigned least)
{
	const char *p = r->rest;
	unsigned n = p != NULL;

	while (p != NULL && n < least && (p = strchr(p, '|')) != NULL) {
		p++;
		n++;
	}
	return n >= least;
}

/* What is wrong with the line, or NULL. */
static const char *
dispatch(struct filter *f, const struct event *e, struct request *r, bool whole)
{
	struct session *s;

	if (!whole && !event_is_data_line(e))
		return "it is cut";
	if (!enough(r, e->least))
		return "fields are missing";
	s = session_find(&f->sessions, r->id);
	if (s == NULL && e->kind == ASKS) {
		if (errlog_may(&f->strangers))
			errlog(LOG_WARNING, "session %s is unknown: %s deferred",
			    r->session, e->name);
		answer_reject(f, r, CANNOT_TELL);
		return NULL;
	}
	if (s == NULL && e->kind == REPORT)
		return NULL;
	if (s != NULL && s->waiting != NULL && r->filter)
		event_answer(f, s->waiting);	/* smtpd did not wait: in order all the same */
	return e->handle(f, s, r) ? NULL : "a field is malformed";
}

/* The line without its first field.  What is wrong with it, or NULL. */
static const char *
parse(struct filter *f, struct request *r, bool whole)
{
	const char *number, *stamp, *subsystem, *name, *trouble;
	const struct event *e;
	uint64_t token;

	number = request_field(r);
	stamp = request_field(r);
	subsystem = request_field(r);
	name = request_field(r);
	r->session = request_field(r);
	if (r->filter)
		r->token = request_field(r);
	if (r->session == NULL || (r->filter && r->token == NULL))
		return "fields are missing";
	(void)stamp;
	if (!hex_id(r->session, &r->id) || (r->filter && !hex_id(r->token, &token)))
		return "its session or token is none";
	e = event_find(r->filter, name, (size_t)(r->session - name) - 1);
	if (!version(f, number, &r->version))
		trouble = "its version is unknown";
	else if (strcmp(subsystem, "smtp-in") != 0)
		trouble = r->filter ? "its subsystem is unknown" : NULL;
	else if (e == NULL)
		trouble = r->filter ? "its phase is unknown" : NULL;
	else
		trouble = dispatch(f, e, r, whole);
	/* a line of a message has another kind of answer, and smtpd insists on it */
	if (trouble != NULL && e != NULL && event_is_data_line(e))
		answer_data_line(f, r);
	else if (trouble != NULL && r->filter)
		answer_reject(f, r, CANNOT_TELL);
	return trouble;
}

/* Is it "filter|…|…|…|data-line|…"?  A message's line is given back with its CR. */
static bool
is_data_line(const char *line, size_t len)
{
	static const char phase[] = "data-line|";
	const char *p = line, *end = line + len;

	for (int i = 0; i < 4; i++)
		if ((p = memchr(p, '|', (size_t)(end - p))) == NULL || ++p == end)
			return false;
	return (size_t)(end - p) >= sizeof(phase) - 1 && memcmp(p, phase, sizeof(phase) - 1) == 0;
}

void
protocol_due(struct filter *f, long long now)
{
	struct pending *p;

	while (lineout_ready(&f->out) && (p = pending_due(&f->pending, now)) != NULL)
		event_answer(f, p);
}

void
protocol_line(struct filter *f, char *line, size_t len, bool whole)
{
	char head[64];
	struct request r = { 0 };
	size_t shown = len < sizeof(head) ? len : sizeof(head);
	const char *kind, *trouble;
	bool nul = memchr(line, '\0', len) != NULL;

	memcpy(head, line, shown);
	if (len > 0 && line[len - 1] == '\r' && !is_data_line(line, len))
		line[--len] = '\0';
	r.rest = line;
	r.whole = whole;
	r.len = len;
	kind = request_field(&r);
	r.filter = kind[0] == 'f' && strcmp(kind, "filter") == 0;
	if (kind[0] == 'c' && strcmp(kind, "config") == 0) {
		if (!f->registered && r.rest != NULL && strcmp(r.rest, "ready") == 0)
			register_all(f);
		return;
	}
	if (!r.filter && strcmp(kind, "report") != 0)
		trouble = "it is neither report nor filter";
	else if (!f->registered)
		trouble = "before config|ready";
	else
		trouble = parse(f, &r, whole && !nul);
	if (trouble != NULL)
		complain(f, trouble, head, shown);
}
