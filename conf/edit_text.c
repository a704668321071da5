#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edit_line.h"
#include "edit_text.h"

#define ADDED 4096	/* octets that most changes add at most */

/* One pass in progress. */
struct pass {
	struct edit_plan *plan;
	struct buffer out;
	const char *eol;		/* for new lines: as the first line has it */
	struct edit_target *cur;	/* of the section being read; NULL: not of the plan */
	size_t end;			/* in out: behind that section's last header, key or continuation */
	bool has_key;			/* an indented line would continue a value */
	bool drop_more;			/* the lines that continue the value go */
	size_t kept;			/* in out: behind the last comment of a section that goes */
};

/* Moves what stands from `from` on in front of what stands from `at` on. */
static void
rotate(struct buffer *b, size_t at, size_t from)
{
	size_t tail = b->len - from;
	char *copy;

	if (at == from || tail == 0)
		return;
	if ((copy = malloc(tail)) == NULL) {
		b->failed = true;
		return;
	}
	memcpy(copy, b->text + from, tail);
	memmove(b->text + at + tail, b->text + at, from - at);
	memcpy(b->text + at, copy, tail);
	free(copy);
}

/* Section and kept name of a header line; false: it is none of ours. */
static bool
header_of(const struct line *l, enum section *section, char name[NAME_SIZE])
{
	const char *p = l->text + l->start, *end = l->text + l->end, *word;

	while (p < end && line_space(*p))
		p++;
	while (end > p && line_space(end[-1]))
		end--;
	for (word = p; p < end && !line_space(*p);)
		p++;
	if ((*section = section_find(word, (size_t)(p - word))) == SEC_MAX)
		return false;
	while (p < end && line_space(*p))
		p++;
	return section_name_normal(*section, p, (size_t)(end - p), name, NAME_SIZE) == NULL;
}

/* The plan's target of a header line; NULL: the plan has nothing for it. */
static struct edit_target *
header_target(const struct edit_plan *plan, const struct line *l)
{
	char name[NAME_SIZE];
	enum section section;

	return header_of(l, &section, name) ? edit_plan_find(plan, section, name) : NULL;
}

static void
put_keys(struct pass *p, const struct edit_target *t, uint32_t keys)
{
	for (enum key k = 0; k < KEY_MAX; k++)
		if (keys >> k & 1)
			line_put_key(&p->out, k, t->value[k], t->value_len[k], p->eol);
}

static void
finish_line(struct pass *p)
{
	if (p->out.len > 0 && p->out.text[p->out.len - 1] != '\n')
		buffer_text(&p->out, p->eol);
}

/* Is the line that ends at `end` blank, or is there none? */
static bool
blank_before(const struct buffer *b, size_t end)
{
	if (end == 0)
		return true;
	if (b->text[end - 1] != '\n')
		return false;
	while (--end > 0 && b->text[end - 1] != '\n')
		if (!line_space(b->text[end - 1]))
			return false;
	return true;
}

static void
drop_blank_end(struct buffer *b)
{
	while (b->len > 0 && blank_before(b, b->len))
		for (b->len--; b->len > 0 && b->text[b->len - 1] != '\n';)
			b->len--;
}

/* What a removed section leaves: no two gaps where there was one on each side. */
static void
close_gap(struct pass *p, bool at_end)
{
	struct buffer *b = &p->out;
	size_t from = p->end;

	if (blank_before(b, p->end)) {
		for (size_t i = from; i < b->len && line_space(b->text[i]); i++)
			if (b->text[i] == '\n')
				from = i + 1;
		memmove(b->text + p->end, b->text + from, b->len - from);
		b->len -= from - p->end;
	}
	if (at_end && b->len == p->end)
		drop_blank_end(b);
}

/* The section being read ends: what was not yet placed goes behind its last key. */
static void
section_end(struct pass *p, bool at_end)
{
	struct edit_target *t = p->cur;
	size_t mark;

	p->cur = NULL;
	if (t == NULL || p->out.failed)
		return;
	if (t->remove) {
		close_gap(p, at_end);
		return;
	}
	if ((t->set & ~t->placed) == 0)
		return;
	finish_line(p);
	if (p->end > 0 && p->out.text[p->end - 1] != '\n')
		p->end = p->out.len;		/* the last line had no line end */
	mark = p->out.len;
	put_keys(p, t, t->set & ~t->placed);
	t->placed |= t->set;
	if (!p->out.failed)
		rotate(&p->out, p->end, mark);
}

static void
on_header(struct pass *p, const struct line *l)
{
	section_end(p, false);
	p->has_key = p->drop_more = false;
	p->cur = header_target(p->plan, l);
	if (p->cur != NULL)
		p->cur->found = true;
	p->end = p->out.len;
	if (p->cur != NULL && p->cur->remove)
		line_put_comment(&p->out, l, p->eol);
	else {
		buffer_add(&p->out, l->text, l->full);
		p->end = p->out.len;
	}
	p->kept = p->out.len;
}

static void
on_key(struct pass *p, const struct line *l)
{
	struct edit_target *t = p->cur;
	enum key k = line_key(l);
	uint32_t bit = k < KEY_MAX ? 1U << k : 0;

	p->has_key = true;
	p->drop_more = false;
	if ((t->set | t->unset) & bit) {
		p->drop_more = true;
		if ((t->set & ~t->placed & bit) != 0)
			line_put_value(&p->out, l, k, t->value[k], t->value_len[k], p->eol);
		else
			line_put_comment(&p->out, l, p->eol);
		t->placed |= t->set & bit;
	} else
		buffer_add(&p->out, l->text, l->full);
	p->end = p->out.len;
}

/*
 * A line of a section that goes: settings can be had again, what somebody wrote
 * about them cannot, so each comment stays.  Blank lines between keys go.
 */
static void
on_removed(struct pass *p, const struct line *l)
{
	if (l->kind == LINE_BLANK) {
		buffer_add(&p->out, l->text, l->full);
		return;
	}
	if (l->kind == LINE_COMMENT)
		buffer_add(&p->out, l->text, l->full);
	else {
		p->has_key |= l->kind == LINE_KEY;
		if (!p->out.failed)
			p->out.len = p->kept;
		line_put_comment(&p->out, l, p->eol);
	}
	p->kept = p->out.len;
}

static void
on_line(struct pass *p, struct line *l, size_t start)
{
	line_classify(l, start, p->has_key);
	if (l->kind == LINE_HEADER)
		on_header(p, l);
	else if (p->cur == NULL) {
		p->has_key |= l->kind == LINE_KEY;
		buffer_add(&p->out, l->text, l->full);
	} else if (p->cur->remove)
		on_removed(p, l);
	else if (l->kind == LINE_KEY)
		on_key(p, l);
	else if (l->kind == LINE_MORE) {
		if (p->drop_more)
			line_put_comment(&p->out, l, p->eol);
		else
			buffer_add(&p->out, l->text, l->full);
		p->end = p->out.len;
	} else
		buffer_add(&p->out, l->text, l->full);
}

/* The line that begins at offset `at`. */
static struct line
line_at(const char *text, size_t len, size_t at)
{
	struct line l = { .text = text + at };
	const char *nl = memchr(l.text, '\n', len - at);

	l.full = nl != NULL ? (size_t)(nl - l.text) + 1 : len - at;
	l.len = nl != NULL ? l.full - 1 : l.full;
	if (nl != NULL && l.len > 0 && l.text[l.len - 1] == '\r')
		l.len--;
	return l;
}

/* Behind a byte order mark. */
static size_t
text_start(const char *text, size_t len)
{
	return len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

/* Only a header matters in a section that the plan has nothing for. */
static bool
may_be_header(const struct line *l)
{
	size_t i = 0;

	while (i < l->len && line_space(l->text[i]))
		i++;
	return i < l->len && l->text[i] == '[';
}

static void
read_lines(struct pass *p, const char *text, size_t len)
{
	size_t start = text_start(text, len), from = 0;	/* of what is not copied yet */

	for (size_t at = 0; at < len && !p->out.failed; start = 0) {
		struct line l = line_at(text, len, at);

		if (p->cur != NULL || start > 0 || may_be_header(&l)) {
			buffer_add(&p->out, text + from, at - from);
			on_line(p, &l, start);
			from = at + l.full;
		}
		at += l.full;
	}
	buffer_add(&p->out, text + from, len - from);
	section_end(p, true);
}

void
edit_text_at(const char *text, size_t len, unsigned line, struct edit_place *place)
{
	size_t start = text_start(text, len);
	bool has_key = false;

	place->section = SEC_MAX;
	place->key = KEY_MAX;
	for (size_t at = 0; at < len && line > 0; line--, start = 0) {
		struct line l = line_at(text, len, at);

		line_classify(&l, start, has_key);
		if (l.kind == LINE_HEADER) {
			if (!header_of(&l, &place->section, place->name))
				place->section = SEC_MAX;
			place->key = KEY_MAX;
			has_key = false;
		} else if (l.kind == LINE_KEY) {
			place->key = line_key(&l);
			has_key = true;
		}
		at += l.full;
	}
}

static int
by_order(const void *va, const void *vb)
{
	const struct edit_target *const *a = va, *const *b = vb;

	return (*a)->order < (*b)->order ? -1 : (*a)->order > (*b)->order;
}

static void
append_sections(struct pass *p)
{
	struct edit_target **fresh = calloc(p->plan->n + 1, sizeof(struct edit_target *));
	char header[NAME_SIZE + 16];
	size_t n = 0;

	if (fresh == NULL) {
		p->out.failed = true;
		return;
	}
	for (size_t i = 0; i < p->plan->n; i++) {
		struct edit_target *t = &p->plan->target[i];

		if (t->ensure && (t->remove || !t->found))
			fresh[n++] = t;
	}
	qsort(fresh, n, sizeof(struct edit_target *), by_order);
	for (size_t i = 0; i < n && !p->out.failed; i++) {
		finish_line(p);
		if (!p->out.failed && !blank_before(&p->out, p->out.len))
			buffer_text(&p->out, p->eol);
		buffer_text(&p->out, edit_section_text(fresh[i]->section, fresh[i]->name, header));
		buffer_text(&p->out, p->eol);
		put_keys(p, fresh[i], fresh[i]->set);
	}
	free(fresh);
}

enum edit_status
edit_text(const char *text, size_t len, struct edit_plan *plan, char **out,
    size_t *out_len, char why[EDIT_WHY])
{
	struct pass p = { .plan = plan };
	const char *nl = len > 0 ? memchr(text, '\n', len) : NULL;
	enum edit_status status = EDIT_FAILED;

	*out = NULL;
	*out_len = 0;
	p.eol = nl != NULL && nl > text && nl[-1] == '\r' ? "\r\n" : "\n";
	for (size_t i = 0; i < plan->n; i++) {
		plan->target[i].found = false;
		plan->target[i].placed = 0;
	}
	p.out.text = malloc(len + ADDED);	/* at once: a large text is not moved as it grows */
	p.out.failed = p.out.text == NULL;
	p.out.cap = p.out.failed ? 0 : len + ADDED;
	read_lines(&p, text, len);
	for (size_t i = 0; i < plan->n; i++) {
		const struct edit_target *t = &plan->target[i];
		char where[NAME_SIZE + 16];

		if (!t->must_exist || t->found)
			continue;
		(void)snprintf(why, EDIT_WHY, "there is no section %s",
		    edit_section_text(t->section, t->name, where));
		status = EDIT_NO_SECTION;
		goto out;
	}
	append_sections(&p);
	if (p.out.failed) {
		(void)snprintf(why, EDIT_WHY, "out of memory");
		goto out;
	}
	*out = p.out.text;
	*out_len = p.out.len;
	return EDIT_OK;
out:
	free(p.out.text);
	return status;
}
