#include <inttypes.h>
#include <stddef.h>

#include "cmd.h"
#include "cmd_json.h"

static void
quoted(FILE *f, const char *text)
{
	size_t n;

	fputc('"', f);
	for (; *text != '\0'; text += n) {
		const unsigned char *p = (const unsigned char *)text;

		if ((n = text_length(text)) > 0) {
			if (*p == '"' || *p == '\\')
				fputc('\\', f);
			fwrite(p, 1, n, f);
		} else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) {	/* C1 */
			fprintf(f, "\\u%04x", p[1]);
			n = 2;
		} else {
			fprintf(f, "\\u%04x", p[0] < 0x80 ? p[0] : 0xfffdu);
			n = 1;
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
