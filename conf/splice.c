#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "splice.h"

struct work {
	const struct settings *known, *piece;
	unsigned from, to, moved;	/* lines, as in splice.h */
	uint32_t cut, end;		/* of known's pool: what those lines had there */
	uint32_t shift;			/* what stands behind that has so many octets more before it */
	struct image *head;
	struct rule *rule;		/* behind it */
	char *pool;
	uint32_t pool_len, nrules;
	bool same;			/* up to now every rule has the name and place it had */
};

/* What is not in the text as it now is; [server] and [agent] that were in none are made anew. */
static bool
goes(const struct work *w, const struct rule *r)
{
	return r->line == 0 || (r->line >= w->from && r->line < w->to);
}

/* ---- the pool: what each section had, one after the other in the file's order ---- */

static uint32_t
number_at(const struct settings *s, uint64_t at)
{
	uint32_t n;

	if (at + sizeof(n) > s->head.pool_len)
		return UINT32_MAX;
	memcpy(&n, s->pool + at, sizeof(n));
	return n;
}

/* Where that of a rule begins: with its name, else with one of its texts and lists. */
static uint32_t
begins(const struct settings *s, const struct rule *r)
{
	uint64_t at = (uint64_t)r->more + more_texts(r);
	uint32_t first = r->more != 0 ? r->more : UINT32_MAX, left, text;

	if (r->name != 0)
		return r->name;
	for (left = r->more != 0 ? texts_before(r->set, KEY_MAX) : 0; left != 0; left &= left - 1) {
		text = number_at(s, at);
		at += sizeof(text);
		if (text < first)
			first = text;
	}
	return first;
}

/* Finds what is cut out, and makes the new pool.  The path is its last text. */
static bool
make_pool(struct work *w)
{
	const struct settings *s = w->known, *p = w->piece;
	const char *path = settings_path(s);
	size_t path_size = strlen(path) + 1, piece = p->head.path - 1;
	uint64_t len;
	uint32_t at;
	char *o;

	w->cut = w->end = s->head.path;
	for (uint32_t i = 0; i < s->head.nrules; i++) {
		if (s->rules[i].line < w->from || s->rules[i].line == 0)
			continue;
		at = begins(s, &s->rules[i]);
		if (at < w->cut)
			w->cut = at;
		if (at < w->end && s->rules[i].line >= w->to)
			w->end = at;
	}
	if (w->cut == 0 || s->head.path > s->head.pool_len)
		return false;
	len = (uint64_t)s->head.path - (w->end - w->cut) + piece + path_size;
	if (len > UINT32_MAX || (w->pool = malloc((size_t)len)) == NULL)
		return false;
	w->pool_len = (uint32_t)len;
	w->shift = (uint32_t)piece - (w->end - w->cut);
	o = w->pool;
	memcpy(o, s->pool, w->cut);
	memcpy(o += w->cut, p->pool + 1, piece);
	memcpy(o += piece, s->pool + w->end, s->head.path - w->end);
	memcpy(o += s->head.path - w->end, path, path_size);
	return true;
}

/* ---- the rules ---- */

/* A rule's texts and lists stand `shift` octets further on than they did; false: outside. */
static bool
shift_rule(struct work *w, struct rule *r, uint32_t shift)
{
	uint64_t at;
	uint32_t left, text;

	if (r->name != 0)
		r->name += shift;
	if (r->name >= w->pool_len)
		return false;
	if (r->more == 0 || shift == 0)
		return true;
	r->more += shift;
	at = (uint64_t)r->more + more_texts(r);
	for (left = texts_before(r->set, KEY_MAX); left != 0; left &= left - 1) {
		if (at + sizeof(text) > w->pool_len)
			return false;
		memcpy(&text, w->pool + at, sizeof(text));
		text += shift;
		memcpy(w->pool + at, &text, sizeof(text));
		at += sizeof(text);
	}
	return true;
}

/* Known's rules [i, n) of a section, but for those that go. */
static bool
keep(struct work *w, enum section sec, size_t i, size_t n)
{
	const struct rule *o;
	struct rule *r;

	for (; i < n && (o = settings_at(w->known, sec, i)) != NULL; i++) {
		if (goes(w, o))
			continue;
		r = &w->rule[w->nrules++];
		*r = *o;
		if (r->line >= w->to)
			r->line += w->moved;
		if (!shift_rule(w, r, o->line >= w->to ? w->shift : 0))
			return false;
	}
	return true;
}

/* Where the rule of that name is, or would be, in known; false: it is, and stays. */
static bool
place_of(struct work *w, enum section sec, const char *name, size_t *at)
{
	const struct settings *s = w->known;
	const struct rule *o;
	bool there = true;

	*at = 0;
	if (section_named(sec)) {
		*at = settings_lower(s, sec, name, true);
		there = settings_lower(s, sec, name, false) > *at;
	}
	o = there ? settings_at(s, sec, *at) : NULL;
	w->same &= o != NULL;
	return o == NULL || goes(w, o);
}

/* The rules of a section in their order: those that stay, and the piece's. */
static bool
merge(struct work *w, enum section sec)
{
	struct span *span = &w->head->section[sec];
	const struct rule *p;
	size_t i = 0, at;

	span->first = w->nrules;
	for (size_t j = 0; (p = settings_at(w->piece, sec, j)) != NULL; j++) {
		if (p->line == 0)
			continue;
		if (!place_of(w, sec, settings_name(w->piece, p), &at) || at < i ||
		    !keep(w, sec, i, at))
			return false;
		w->rule[w->nrules] = *p;
		if (!shift_rule(w, &w->rule[w->nrules++], w->cut - 1))
			return false;
		i = at;
	}
	if (!keep(w, sec, i, settings_count(w->known, sec)))
		return false;
	span->count = w->nrules - span->first;
	if (span->count == 0 && !section_named(sec)) {
		w->rule[w->nrules].section = (uint8_t)sec;
		w->nrules++;
		span->count = 1;
	}
	return true;
}

/* Room for all rules at most, in place of what they will be. */
static bool
make_rules(struct work *w)
{
	size_t most = w->piece->head.nrules + 2;	/* those that are in no file */
	bool any = false;

	for (int sec = 0; sec < SEC_MAX; sec++)
		most += settings_count(w->known, (enum section)sec);
	if ((w->head = calloc(1, sizeof(*w->head) + most * sizeof(struct rule))) == NULL)
		return false;
	w->rule = (void *)(w->head + 1);
	w->same = true;
	for (int sec = 0; sec < SEC_MAX; sec++)
		if (!merge(w, (enum section)sec))
			return false;
	for (uint32_t i = 0; i < w->nrules && !any; i++)
		any = w->rule[i].line != 0;
	w->same &= w->nrules == w->known->head.nrules;
	return any;
}

/* ---- all of it ---- */

static bool
make_head(struct work *w, uint64_t generation)
{
	const struct settings *s = w->known;
	struct image lay, *h;
	uint32_t *slots;

	if (!image_lay_out(&lay, w->nrules, w->pool_len) ||
	    (h = realloc(w->head, lay.pool)) == NULL)
		return false;
	memcpy(lay.section, h->section, sizeof(lay.section));
	lay.nrules = w->nrules;
	lay.path = w->pool_len - (uint32_t)strlen(settings_path(s)) - 1;
	lay.generation = generation;
	*h = lay;
	w->head = h;
	w->rule = (void *)(h + 1);
	slots = (void *)((char *)h + h->slots);
	if (w->same && h->nslots == s->head.nslots)
		memcpy(slots, s->slots, h->nslots * sizeof(*slots));
	else
		image_index(h, w->rule, w->pool, slots);
	image_summarise(h, w->rule, w->pool);
	return true;
}

struct settings *
settings_splice(const struct settings *known, const struct settings *piece, unsigned from,
    unsigned to, unsigned moved, uint64_t generation)
{
	struct work w = { .known = known, .piece = piece, .from = from, .to = to, .moved = moved };
	struct settings *s = NULL;

	if (!make_pool(&w) || !make_rules(&w) || !make_head(&w, generation) ||
	    (s = settings_adopt_parts(w.head, w.pool)) == NULL) {
		free(w.head);
		free(w.pool);
	}
	return s;
}
