#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "edit_quick.h"
#include "read.h"
#include "reader.h"
#include "splice.h"

#define PART 8			/* a larger part of the text than one in so many is not worth it */
#define SMALL (4u << 10)	/* octets that are, whatever the text has */
#define BLOCK 4096

/* Where two texts differ, from one section's header to another's, or to the end. */
struct region {
	size_t start, a_end, b_end;
};

static size_t
common_start(const char *a, const char *b, size_t n)
{
	size_t at = 0;

	while (n - at >= BLOCK && memcmp(a + at, b + at, BLOCK) == 0)
		at += BLOCK;
	while (at < n && a[at] == b[at])
		at++;
	return at;
}

/* Of the n octets before a and b. */
static size_t
common_end(const char *a, const char *b, size_t n)
{
	size_t at = 0;

	while (n - at >= BLOCK && memcmp(a - at - BLOCK, b - at - BLOCK, BLOCK) == 0)
		at += BLOCK;
	while (at < n && a[-1 - (ssize_t)at] == b[-1 - (ssize_t)at])
		at++;
	return at;
}

/*
 * A line that begins with '[' is a section's header, and what stands before that
 * means nothing to the reader any more.
 */
static void
find_region(struct region *r, const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t least = a_len < b_len ? a_len : b_len, same = common_start(a, b, least);
	size_t rest = common_end(a + a_len, b + b_len, least - same);
	const char *p = a + same;

	while ((p = memrchr(a, '[', (size_t)(p - a))) != NULL && p != a && p[-1] != '\n')
		;
	r->start = p != NULL ? (size_t)(p - a) : 0;
	p = memmem(a + a_len - rest, rest, "\n[", 2);
	r->a_end = p != NULL ? (size_t)(p - a) + 1 : a_len;
	r->b_end = b_len - (a_len - r->a_end);
}

static unsigned
lines(const char *text, size_t len)
{
	unsigned n = 0;

	for (size_t i = 0; i < len; i++)
		n += text[i] == '\n';
	return n;
}

static struct settings *
splice(const struct settings *known, const struct region *r, const char *a, const char *b,
    size_t b_len, struct problems *ps)
{
	unsigned from = 1 + lines(a, r->start);
	unsigned a_lines = lines(a + r->start, r->a_end - r->start);
	unsigned b_lines = lines(b + r->start, r->b_end - r->start);
	struct settings *s = NULL, *piece;

	piece = reader_piece(b + r->start, r->b_end - r->start, from, ps);
	if (piece != NULL && ps->found[SEV_ERROR] == 0)
		s = settings_splice(known, piece, from, r->b_end < b_len ? from + a_lines : UINT_MAX,
		    b_lines - a_lines, settings_digest(b, b_len));
	settings_free(piece);
	if (s != NULL)
		settings_check(s, false, ps);
	return s;
}

struct settings *
edit_quick(const struct settings *known, const char *path, const char *before,
    size_t before_len, const char *text, size_t len)
{
	struct problems *ps;
	struct settings *s;
	struct region r;

	if (strcmp(settings_path(known), path) != 0)
		return NULL;
	find_region(&r, before, before_len, text, len);
	if ((r.a_end > r.b_end ? r.a_end : r.b_end) - r.start > SMALL + len / PART ||
	    settings_generation(known) != settings_digest(before, before_len) ||
	    (ps = calloc(1, sizeof(*ps))) == NULL)
		return NULL;
	s = splice(known, &r, before, text, len, ps);
	if (!problems_tell(ps, "", NULL, NULL)) {
		settings_free(s);
		s = NULL;
	}
	free(ps);
	return s;
}
