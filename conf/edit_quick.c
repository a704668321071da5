#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "edit_quick.h"
#include "image.h"
#include "read.h"

#define LINE_SIZE 256		/* more than the reader takes */

/* The offset of a line, counted from 1; len: there is no such. */
static size_t
line_start(const char *text, size_t len, unsigned line)
{
	const char *nl;
	size_t at = 0;

	for (; line > 1; line--) {
		if ((nl = memchr(text + at, '\n', len - at)) == NULL)
			return len;
		at = (size_t)(nl - text) + 1;
	}
	return at;
}

static size_t
line_length(const char *text, size_t len, size_t at)
{
	const char *nl = memchr(text + at, '\n', len - at);

	return nl != NULL ? (size_t)(nl - text) - at : len - at;
}

/* Are the texts the same but for that line?  Then *at is where it begins. */
static bool
differ_in_line(const char *a, size_t a_len, const char *b, size_t b_len, unsigned line,
    size_t *at)
{
	size_t from = line_start(a, a_len, line), a_end, b_end;

	if (from >= a_len || from >= b_len || memcmp(a, b, from) != 0)
		return false;
	a_end = from + line_length(a, a_len, from);
	b_end = from + line_length(b, b_len, from);
	*at = from;
	return a_len - a_end == b_len - b_end && memcmp(a + a_end, b + b_end, a_len - a_end) == 0;
}

/* What the reader takes from a line of that section: the value of k and nothing else. */
static bool
line_value(const struct edit_target *t, enum key k, const char *line, size_t len, uint32_t *value)
{
	/* so that no rule asks in vain for TLS */
	static const char server[] = "[server]\nmode = offer\n";
	char text[sizeof(server) + NAME_SIZE + 16 + 1 + LINE_SIZE + 1], head[NAME_SIZE + 16];
	const struct rule *r;
	struct settings *s;
	bool good;
	int n;

	if (len > LINE_SIZE)
		return false;
	n = snprintf(text, sizeof(text) - LINE_SIZE - 1, "%s%s\n",
	    t->section == SEC_SERVER ? "" : server,
	    edit_section_text(t->section, t->name, head));
	if (n < 0 || (size_t)n >= sizeof(text) - LINE_SIZE - 1)
		return false;
	memcpy(text + n, line, len);
	text[(size_t)n + len] = '\n';
	if ((s = settings_parse(text, (size_t)n + len + 1, "", NULL, false, NULL, NULL)) == NULL)
		return false;
	r = settings_find(s, t->section, t->name);
	good = r != NULL && r->set == 1u << k;
	if (good)
		*value = scalar_get(r, scalar_slot(k));
	settings_free(s);
	return good;
}

/* A copy with another value there; NULL: out of memory, or of another path. */
static struct settings *
copy_with(const struct settings *known, const char *path, const struct rule *rule, enum key k,
    uint32_t value, uint64_t generation)
{
	struct settings *s;
	struct image *h;
	struct rule *r;
	size_t len;

	if ((h = settings_image(known, &len)) == NULL)
		return NULL;
	r = (void *)((char *)h + h->rules);
	scalar_put(&r[rule - known->rules], scalar_slot(k), value);
	image_summarise(h, r, (const char *)h + h->pool);
	h->generation = generation;
	memset(&h->id, 0, sizeof(h->id));
	if ((s = settings_adopt(h, len)) == NULL)
		free(h);
	else if (strcmp(settings_path(s), path) != 0) {
		settings_free(s);
		s = NULL;
	}
	return s;
}

static bool
sound(const struct settings *s)
{
	struct problems *ps = calloc(1, sizeof(*ps));
	bool good;

	if (ps == NULL)
		return false;
	settings_check(s, false, ps);
	good = problems_tell(ps, "", NULL, NULL);
	free(ps);
	return good;
}

struct settings *
edit_quick(const struct settings *known, const char *path, const struct edit_plan *plan,
    const char *before, size_t before_len, const char *text, size_t len)
{
	const struct edit_target *t = plan->target;
	const struct rule *r;
	struct settings *s;
	uint32_t value;
	size_t at;
	enum key k;

	if (plan->n != 1 || t->remove || t->unset != 0 || t->set == 0 || (t->set & (t->set - 1)) != 0)
		return NULL;
	k = (enum key)__builtin_ctz(t->set);
	r = settings_find(known, t->section, t->name);
	if (scalar_slot(k) == RULE_SCALARS || !rule_sets(r, k) ||
	    settings_generation(known) != settings_digest(before, before_len) ||
	    !differ_in_line(before, before_len, text, len, settings_line(known, r, k), &at) ||
	    !line_value(t, k, text + at, line_length(text, len, at), &value))
		return NULL;
	s = copy_with(known, path, r, k, value, settings_digest(text, len));
	if (s != NULL && !sound(s)) {
		settings_free(s);
		s = NULL;
	}
	return s;
}
