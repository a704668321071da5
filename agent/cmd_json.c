#include <inttypes.h>
#include <stddef.h>

#include "cmd_json.h"

/*
 * Length of the UTF-8 sequence at p (RFC 3629: shortest form, no surrogates,
 * up to U+10FFFF), 0 if there is none.
 */
static size_t
utf8_length(const unsigned char *p)
{
	unsigned low = 0x80, high = 0xbf;
	size_t n, i;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	for (i = 1; i < n; i++, low = 0x80, high = 0xbf)
		if (p[i] < low || p[i] > high)
			return 0;
	return n;
}

static void
quoted(FILE *f, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n;

	fputc('"', f);
	for (; *p != '\0'; p += n) {
		n = utf8_length(p);
		if (n == 0) {
			fputs("\\ufffd", f);
			n = 1;
		} else if (*p == '"' || *p == '\\') {
			fprintf(f, "\\%c", *p);
		} else if (*p < 0x20 || *p == 0x7f) {
			fprintf(f, "\\u%04x", *p);
		} else {
			fwrite(p, 1, n, f);
		}
	}
	fputc('"', f);
}

static void
line(struct json *j)
{
	unsigned i;

	fputc('\n', j->f);
	for (i = 0; i < j->depth; i++)
		fputs("  ", j->f);
}

/* What stands before a value: comma, new line, key. */
static void
before(struct json *j, const char *key)
{
	if (j->depth == 0)
		return;
	if (j->filled[j->depth - 1])
		fputc(',', j->f);
	j->filled[j->depth - 1] = true;
	line(j);
	if (key != NULL) {
		quoted(j->f, key);
		fputs(": ", j->f);
	}
}

static void
nest(struct json *j, const char *key, char open, char end)
{
	if (j->depth == JSON_DEPTH)
		return;
	before(j, key);
	fputc(open, j->f);
	j->end[j->depth] = end;
	j->filled[j->depth++] = false;
}

void
json_begin(struct json *j, FILE *f)
{
	j->f = f;
	j->depth = 0;
	nest(j, NULL, '{', '}');
}

void
json_end(struct json *j)
{
	while (j->depth > 0)
		json_close(j);
	fputc('\n', j->f);
}

void
json_object(struct json *j, const char *key)
{
	nest(j, key, '{', '}');
}

void
json_array(struct json *j, const char *key)
{
	nest(j, key, '[', ']');
}

void
json_close(struct json *j)
{
	bool filled;

	if (j->depth == 0)
		return;
	filled = j->filled[--j->depth];
	if (filled)
		line(j);
	fputc(j->end[j->depth], j->f);
}

void
json_string(struct json *j, const char *key, const char *value)
{
	before(j, key);
	if (value != NULL)
		quoted(j->f, value);
	else
		fputs("null", j->f);
}

void
json_number(struct json *j, const char *key, uint64_t value)
{
	before(j, key);
	fprintf(j->f, "%" PRIu64, value);
}

void
json_integer(struct json *j, const char *key, int64_t value)
{
	before(j, key);
	fprintf(j->f, "%" PRId64, value);
}

void
json_bool(struct json *j, const char *key, bool value)
{
	before(j, key);
	fputs(value ? "true" : "false", j->f);
}
