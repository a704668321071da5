#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pinned.h"

#define BASE_MAX (PINNED_NAME - 10)	/* of the path's last part */

/* The files found so far, by the hash of their paths; places hold an index + 1. */
struct search {
	const struct settings *s;
	struct pinned *p;
	size_t max, room;		/* room: of p->at */
	uint32_t *slot;
	size_t nslots;			/* a power of two */
	const struct pinned_file *last;	/* rules that follow each other often share a file */
};

static uint64_t
hash_of(const char *path)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *path != '\0'; path++)
		h = (h ^ (unsigned char)*path) * 0x100000001b3u;
	return h ^ h >> 32;
}

static uint32_t *
place(const struct search *f, const char *path, uint64_t hash)
{
	const struct pinned_file *at = f->p->at;
	size_t i = hash & (f->nslots - 1);

	while (f->slot[i] != 0 && (at[f->slot[i] - 1].hash != hash ||
	    strcmp(at[f->slot[i] - 1].file, path) != 0))
		i = (i + 1) & (f->nslots - 1);
	return &f->slot[i];
}

/* Room for one file more, in the list and in the hash. */
static bool
grow(struct search *f)
{
	struct pinned *p = f->p;
	size_t room = f->room == 0 ? 64 : f->room * 2;
	struct pinned_file *more;

	if (p->n < f->room)
		return true;
	if (room >= UINT32_MAX / 4 || (more = reallocarray(p->at, room, sizeof(*more))) == NULL)
		return false;
	p->at = more;
	f->room = room;
	f->last = NULL;
	free(f->slot);
	f->nslots = room * 2;
	if ((f->slot = calloc(f->nslots, sizeof(*f->slot))) == NULL)
		return false;
	for (size_t i = 0; i < p->n; i++)
		*place(f, p->at[i].file, p->at[i].hash) = (uint32_t)i + 1;
	return true;
}

/* False: no memory. */
static bool
add(struct search *f, const struct rule *r, const char *path)
{
	struct pinned *p = f->p;
	struct pinned_file *file;
	uint64_t hash;
	uint32_t *at;

	if (f->last != NULL && strcmp(f->last->file, path) == 0)
		file = &p->at[f->last - p->at];
	else {
		hash = hash_of(path);
		if (!grow(f))
			return false;
		at = place(f, path, hash);
		if (*at == 0 && p->n >= f->max) {
			p->left++;
			return true;
		}
		if (*at == 0) {
			p->at[p->n] = (struct pinned_file){ .file = path, .hash = hash };
			*at = (uint32_t)++p->n;
		}
		file = &p->at[*at - 1];
	}
	if (file->rules < PINNED_RULES)
		file->rule[file->rules] = r;
	file->rules++;
	f->last = file;
	return true;
}

static bool
add_all(struct search *f)
{
	const struct rule *r;
	const char *path;

	for (int section = 0; section < SEC_RULES; section++)
		for (size_t i = 0; settings_own_trust(f->s, (enum section)section) &&
		    (r = settings_at(f->s, (enum section)section, i)) != NULL; i++)
			if (rule_sets(r, KEY_CERTS) &&
			    (path = settings_text(f->s, r, KEY_CERTS)) != NULL && !add(f, r, path))
				return false;
	return true;
}

/* ---- names ---- */

static void
name_file(struct pinned_file *f, uint32_t digest)
{
	const char *slash = strrchr(f->file, '/');
	int n = snprintf(f->name, BASE_MAX, "%s", slash == NULL ? f->file : slash + 1);
	size_t len = n < BASE_MAX ? (size_t)n : BASE_MAX - 1;

	for (char *c = f->name; *c != '\0'; c++)
		if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
		    *c == '.' || *c == '-'))
			*c = '_';
	snprintf(f->name + len, sizeof(f->name) - len, "-%08x", (unsigned)digest);
}

static int
by_name(const void *va, const void *vb)
{
	const struct pinned_file *a = va, *b = vb;
	int c = strcmp(a->name, b->name);

	return c != 0 ? c : strcmp(a->file, b->file);
}

/* Of two paths with the same name the later one has the next that is free. */
static void
name_all(struct pinned *p)
{
	bool again = true;

	for (size_t i = 0; i < p->n; i++)
		name_file(&p->at[i], (uint32_t)p->at[i].hash);
	for (uint32_t k = 1; again; k++) {
		again = false;
		qsort(p->at, p->n, sizeof(*p->at), by_name);
		for (size_t i = 1; i < p->n; i++)
			if (strcmp(p->at[i].name, p->at[i - 1].name) == 0) {
				name_file(&p->at[i], (uint32_t)p->at[i].hash + k);
				again = true;
			}
	}
}

/* ---- what others see ---- */

bool
pinned_find(const struct settings *s, size_t max, struct pinned *p)
{
	struct search f = { .s = s, .p = p, .max = max };
	bool good;

	*p = (struct pinned){ NULL, 0, 0 };
	if (s == NULL)
		return true;
	good = add_all(&f);
	free(f.slot);
	if (!good)
		pinned_free(p);
	else if (p->n > 0)
		name_all(p);
	return good;
}

void
pinned_free(struct pinned *p)
{
	free(p->at);
	*p = (struct pinned){ NULL, 0, 0 };
}

const struct pinned_file *
pinned_named(const struct pinned *p, const char *name)
{
	size_t lo = 0, hi = p->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(p->at[mid].name, name);

		if (c == 0)
			return &p->at[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const char *
pinned_by(const struct settings *s, const struct pinned_file *f, char buf[PINNED_BY])
{
	const struct rule *r = f->rule[0];
	int n = snprintf(buf, PINNED_BY, "[%s %s]", section_words[r->section], settings_name(s, r));

	if (f->rules > 1 && n > 0 && n < PINNED_BY)
		snprintf(buf + n, PINNED_BY - (size_t)n, " and %zu rule%s more", f->rules - 1,
		    f->rules == 2 ? "" : "s");
	return buf;
}
