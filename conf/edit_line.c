#include <stdlib.h>
#include <string.h>

#include "edit_line.h"

#define LINE_LIMIT 190	/* octets that the library's reader surely takes */
#define WRAP 78		/* octets of a line of a list that goes over several */

bool
line_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

void
buffer_add(struct buffer *b, const char *text, size_t len)
{
	if (b->failed)
		return;
	if (b->cap - b->len < len) {
		size_t cap = b->cap + b->cap / 2 + len + 256;
		char *grown = realloc(b->text, cap);

		if (grown == NULL) {
			b->failed = true;
			return;
		}
		b->text = grown;
		b->cap = cap;
	}
	memcpy(b->text + b->len, text, len);
	b->len += len;
}

void
buffer_text(struct buffer *b, const char *text)
{
	buffer_add(b, text, strlen(text));
}

/* The first of `stop`, or the inline comment's ';', from `from` on; else len. */
static size_t
find(const struct line *l, size_t from, char stop, char stop2)
{
	bool was_space = false;

	for (size_t i = from; i < l->len; i++) {
		char c = l->text[i];

		if (c == stop || c == stop2 || (c == ';' && was_space))
			return i;
		was_space = line_space(c);
	}
	return l->len;
}

/* The brackets of a listener's address stand inside those of the header. */
static void
classify_header(struct line *l, size_t start)
{
	int depth = 0;

	for (size_t i = start; i < l->len; i++) {
		depth += l->text[i] == '[' ? 1 : l->text[i] == ']' ? -1 : 0;
		if (depth > 0)
			continue;
		l->kind = LINE_HEADER;
		l->start = start + 1;
		l->end = i;
		return;
	}
}

void
line_classify(struct line *l, size_t start, bool has_key)
{
	size_t margin = start;		/* of the first line: behind a byte order mark */

	while (start < l->len && line_space(l->text[start]))
		start++;
	l->kind = LINE_OTHER;
	if (start == l->len)
		l->kind = LINE_BLANK;
	else if (l->text[start] == ';' || l->text[start] == '#')
		l->kind = LINE_COMMENT;
	else if (l->text[start] == '[')
		classify_header(l, start);
	else if (start > margin && has_key)
		l->kind = LINE_MORE;
	else {
		l->sep = find(l, start, '=', ':');
		if (l->sep == l->len || l->text[l->sep] == ';')
			return;
		l->kind = LINE_KEY;
		l->start = start;
		for (l->end = l->sep; l->end > start && line_space(l->text[l->end - 1]);)
			l->end--;
	}
}

enum key
line_key(const struct line *l)
{
	char name[32];
	size_t len = l->end - l->start;

	if (len >= sizeof(name))
		return KEY_MAX;
	memcpy(name, l->text + l->start, len);
	name[len] = '\0';
	return key_find(name);
}

/* Where the inline comment begins, or the end of the line. */
static size_t
comment_of(const struct line *l)
{
	size_t at = l->end + 1;

	/* A continuation has nothing in front of its value. */
	if (l->kind != LINE_HEADER)
		return find(l, l->kind == LINE_KEY ? l->sep + 1 : 0, '\0', '\0');
	while (at < l->len && line_space(l->text[at]))	/* the reader lets nothing else stand there */
		at++;
	return at;
}

/* How much of a list fits in room octets: whole items, with the last one's comma; one at least. */
static size_t
fit(const char *list, size_t len, size_t room)
{
	size_t n = 0;

	if (len <= room)
		return len;
	for (size_t i = 0; i < len && (n == 0 || i < room); i++)
		if (list[i] == ',')
			n = i + 1;
	return n == 0 ? len : n;
}

/* What is left of a list behind its first n octets, on lines of their own. */
static void
put_rest(struct buffer *b, const char *list, size_t len, size_t n, const char *eol)
{
	static const char indent[] = "    ";

	while (n < len) {
		while (n < len && line_space(list[n]))
			n++;
		if (n == len)
			break;
		list += n;
		len -= n;
		n = fit(list, len, WRAP - (sizeof(indent) - 1));
		buffer_text(b, eol);
		buffer_text(b, indent);
		buffer_add(b, list, n);
	}
}

static bool
too_long(enum key k, size_t len)
{
	return len > LINE_LIMIT && key_table[k].type >= TYPE_NAMES;
}

/* line_put_value for a list that goes on; [from, end) is the old value, comment where that is. */
static void
put_list(struct buffer *b, const struct line *l, size_t from, size_t comment,
    const char *value, size_t len, const char *eol)
{
	size_t behind = l->len - comment, n = fit(value, len, from < WRAP ? WRAP - from : 0);

	if (behind > 0 && from + n + 1 + behind > LINE_LIMIT) {
		line_put_comment(b, l, eol);
		behind = 0;
	}
	buffer_add(b, l->text, from);
	if (from == l->sep + 1)
		buffer_text(b, " ");
	buffer_add(b, value, n);
	if (behind > 0) {
		buffer_text(b, " ");
		buffer_add(b, l->text + comment, behind);
	}
	put_rest(b, value, len, n, eol);
	buffer_add(b, l->text + l->len, l->full - l->len);
}

void
line_put_value(struct buffer *b, const struct line *l, enum key k, const char *value,
    size_t len, const char *eol)
{
	size_t from = l->sep + 1, end = comment_of(l), comment = end, gap;

	while (from < end && line_space(l->text[from]))
		from++;
	if (from == end)
		from = end = l->sep + 1;		/* no value: keep all that follows */
	while (end > from && line_space(l->text[end - 1]))
		end--;
	if (too_long(k, from + len + l->len - end)) {
		put_list(b, l, from, comment, value, len, eol);
		return;
	}
	gap = comment - end;
	buffer_add(b, l->text, from);
	if (from == l->sep + 1 && from == end)
		buffer_text(b, " ");
	buffer_add(b, value, len);
	if (comment < l->len && gap > 1 && memchr(l->text + end, '\t', gap) == NULL) {
		size_t was = end - from;

		gap = gap + was > len ? gap + was - len : 1;
		while (gap-- > 0)
			buffer_text(b, " ");
		end = comment;
	}
	buffer_add(b, l->text + end, l->full - end);
}

void
line_put_key(struct buffer *b, enum key k, const char *value, size_t len, const char *eol)
{
	size_t before = strlen(key_table[k].name) + 3, n = len;

	buffer_text(b, key_table[k].name);
	buffer_text(b, " = ");
	if (too_long(k, before + len))
		n = fit(value, len, WRAP - before);
	buffer_add(b, value, n);
	put_rest(b, value, len, n, eol);
	buffer_text(b, eol);
}

void
line_put_comment(struct buffer *b, const struct line *l, const char *eol)
{
	size_t comment = comment_of(l);

	if (comment == l->len)
		return;
	buffer_add(b, l->text + comment, l->len - comment);
	buffer_text(b, eol);
}
