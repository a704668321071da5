#include <endian.h>
#include <string.h>

#include "event.h"
#include "request.h"

/* ---- the head of a line ---- */

/*
 * Eight octets of a line are looked at together; the arithmetic is on each octet of
 * a word by itself.
 */
#define EACH(octet) (UINT64_C(0x0101010101010101) * (octet))
#define HIGH EACH(0x80)

static uint64_t
word_at(const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return le64toh(w);		/* the first octet is the lowest */
}

/* The end of a field: the next '|', or the line's. */
static char *
field_end(char *p, const char *end)
{
	uint64_t w;

	for (; end - p >= 8; p += 8) {
		w = word_at(p) ^ EACH('|');
		w = (w - EACH(1)) & ~w & HIGH;	/* high bits from the first '|' on */
		if (w != 0)
			return p + __builtin_ctzll(w) / 8;
	}
	while (p < end && *p != '|')
		p++;
	return p;
}

/* High bits where the octet, below 0x80, is least or more. */
static uint64_t
from(uint64_t w, unsigned char least)
{
	return ((w | HIGH) - EACH(least)) & HIGH;
}

/* The value of eight hexadecimal digits; false: they are not. */
static bool
hex_word(const char *p, uint32_t *value)
{
	uint64_t w = word_at(p), lower = w | EACH(0x20), digits, letters;

	digits = from(w, '0') & ~from(w, '9' + 1);
	letters = from(lower, 'a') & ~from(lower, 'f' + 1);
	if ((w & HIGH) != 0 || (digits | letters) != HIGH)
		return false;
	w = (w & EACH(0x0f)) + (letters >> 7) * 9;
	/* digits into octets, octets into halves, halves into the whole; the first is the highest */
	w = (w << 4 | w >> 8) & UINT64_C(0x00ff00ff00ff00ff);
	w = (w << 8 | w >> 16) & UINT64_C(0x0000ffff0000ffff);
	*value = (uint32_t)(w << 16 | w >> 32);
	return true;
}

static unsigned
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

/* Sixteen hexadecimal digits, at most, with a '|' or the line's end behind them; NULL: not so. */
static char *
id_end(char *p, const char *end, uint64_t *id)
{
	const char *start = p;
	uint32_t high, low;
	unsigned digit;

	if (end - p >= ID_DIGITS && hex_word(p, &high) && hex_word(p + 8, &low)) {
		*id = (uint64_t)high << 32 | low;
		p += ID_DIGITS;
	} else {
		for (*id = 0; p < end && (digit = hex_digit(*p)) < 16 && p < start + ID_DIGITS; p++)
			*id = *id << 4 | digit;
	}
	return p > start && (p == end || *p == '|') ? p : NULL;
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

/* "0.N" */
static bool
version(const char *text, size_t len, unsigned *n)
{
	return len > 2 && text[0] == '0' && text[1] == '.' && request_digits(text + 2, len - 2, n);
}

/* VERSION|TIME|smtp-in|EVENT|SESSION[|TOKEN]; what is wrong, or NULL. */
static const char *
parse(struct request *r, char *p, char *end)
{
	static const char ours[] = "smtp-in|";
	const char *name;
	char *number = p, *number_end;
	uint64_t token;

	number_end = p = field_end(p, end);
	if (p < end)
		p = field_end(p + 1, end);		/* the time */
	if (p == end)
		return "fields are missing";
	p++;
	r->foreign = (size_t)(end - p) < sizeof(ours) - 1 || memcmp(p, ours, sizeof(ours) - 1) != 0;
	p = r->foreign ? field_end(p, end) : p + sizeof(ours) - 2;
	if (p == end)
		return "fields are missing";
	name = p + 1;
	p = field_end(p + 1, end);
	if (p == end)
		return "fields are missing";
	r->event = event_find(r->filter, name, (size_t)(p - name));
	r->session = p + 1;
	if ((p = id_end(p + 1, end, &r->id)) == NULL) {
		r->session = NULL;
		return "its session or token is none";
	}
	r->session_len = (size_t)(p - r->session);
	if (r->filter) {
		if (p == end)
			return "fields are missing";
		r->token = p + 1;
		if ((p = id_end(p + 1, end, &token)) == NULL) {
			r->token = NULL;
			return "its session or token is none";
		}
		r->token_len = (size_t)(p - r->token);
	}
	if (p < end) {
		r->rest = p + 1;
		r->len = (size_t)(end - r->rest);
	}
	if (!version(number, (size_t)(number_end - number), &r->version))
		return "its version is unknown";
	return NULL;
}

void
request_parse(struct request *r, char *line, size_t len, bool whole)
{
	static const char report[] = "report|", filter[] = "filter|", config[] = "config|";
	const size_t head = sizeof(report) - 1;

	r->kind = LINE_STRANGE;
	r->filter = r->foreign = false;
	r->trouble = r->session = r->token = NULL;
	r->event = NULL;
	r->rest = NULL;
	r->len = 0;
	r->likely = r->peer = NULL;
	r->domain[0] = '\0';
	if (len > 0 && line[len - 1] == '\r' && !is_data_line(line, len))
		line[--len] = '\0';
	r->line = line;
	r->line_len = len;
	r->holds_nul = memchr(line, '\0', len) != NULL;
	r->whole = whole && !r->holds_nul;
	if (len >= head && memcmp(line, report, head) == 0) {
		r->kind = LINE_REPORT;
	} else if (len >= head && memcmp(line, filter, head) == 0) {
		r->kind = LINE_FILTER;
		r->filter = true;
	} else if (len >= head && memcmp(line, config, head) == 0) {
		r->kind = LINE_CONFIG;
		r->rest = line + head;
		r->len = len - head;
		return;
	} else {
		r->trouble = "it is neither report nor filter";
		return;
	}
	r->trouble = parse(r, line + head, line + len);
}

size_t
request_head(const struct request *r, char *buf, size_t size)
{
	if (size > r->line_len)
		size = r->line_len;
	for (size_t i = 0; i < size; i++)
		buf[i] = r->line[i] == '\0' && !r->holds_nul ? '|' : r->line[i];
	return size;
}

/* ---- the parameters ---- */

bool
request_enough(const struct request *r, unsigned least)
{
	const char *p = r->rest;
	unsigned n = p != NULL;

	while (p != NULL && n < least && (p = strchr(p, '|')) != NULL) {
		p++;
		n++;
	}
	return n >= least;
}

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
