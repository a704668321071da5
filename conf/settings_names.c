/*
 * Rules found by name, through the hash in the image.
 */
#include <string.h>

#include "image.h"

uint64_t
settings_hash(enum section sec, const char *name)
{
	uint64_t h = hash_start(sec);

	for (size_t i = strlen(name); i-- > 0;)
		h = hash_step(h, (unsigned char)name[i]);
	return h;
}

/* The rule of that section and name, whose hash is h. */
static const struct rule *
slot_find(const struct settings *s, enum section sec, const char *name, uint64_t h)
{
	const uint32_t last = s->head.nslots - 1, mask = slot_mask(s->head.nrules);
	const struct rule *r;
	uint32_t i, tries, tag, n;

	h = hash_end(h);
	tag = slot_tag(h, mask);
	i = (uint32_t)h & last;
	for (tries = 0; tries <= last; tries++, i = (i + 1) & last) {
		if (s->slots[i] == 0)
			return NULL;
		n = s->slots[i] & mask;
		if ((s->slots[i] & ~mask) != tag || n == 0 || n > s->head.nrules)
			continue;
		r = &s->rules[n - 1];
		if (r->section == sec && strcmp(settings_name(s, r), name) == 0)
			return r;
	}
	return NULL;
}

const struct rule *
settings_find(const struct settings *s, enum section sec, const char *name)
{
	if (sec >= SEC_MAX)
		return NULL;
	if (!section_named(sec))		/* the one there is */
		return *name == '\0' ? settings_at(s, sec, 0) : NULL;
	return slot_find(s, sec, name, settings_hash(sec, name));
}

const struct rule *
settings_match(const struct settings *s, enum section sec, const char *name)
{
	uint64_t stage[NAME_SIZE], h;
	const struct rule *r;
	size_t len = strnlen(name, NAME_SIZE), i;

	if (len == 0 || len >= NAME_SIZE || settings_count(s, sec) == 0)
		return NULL;
	h = hash_start(sec);
	for (i = len; i-- > 0;)
		stage[i] = h = hash_step(h, (unsigned char)name[i]);
	if ((r = slot_find(s, sec, name, h)) != NULL)
		return r;
	for (i = 1; i < len; i++)
		if (name[i] == '.' &&
		    (r = slot_find(s, sec, name + i, stage[i])) != NULL)
			return r;
	return NULL;
}

/* ---- ahead of a match ---- */

#define FETCH_NAME 31		/* strcmp(3) may load as much at once */
#define FETCH_TRIES 8		/* slots that are likely in the line that was asked for */

void
settings_fetch_slot(const struct settings *s, uint64_t h)
{
	__builtin_prefetch(&s->slots[hash_end(h) & (s->head.nslots - 1)]);
}

const struct rule *
settings_fetch_rule(const struct settings *s, uint64_t h)
{
	const uint32_t last = s->head.nslots - 1, mask = slot_mask(s->head.nrules);
	uint32_t i, tries, n, tag;

	h = hash_end(h);
	tag = slot_tag(h, mask);
	i = (uint32_t)h & last;
	for (tries = 0; tries < FETCH_TRIES && s->slots[i] != 0; tries++, i = (i + 1) & last) {
		n = s->slots[i] & mask;
		if ((s->slots[i] & ~mask) != tag || n == 0 || n > s->head.nrules)
			continue;
		__builtin_prefetch(&s->rules[n - 1].name);
		__builtin_prefetch(&s->rules[n - 1].section);	/* maybe in another line of the cache */
		return &s->rules[n - 1];
	}
	return NULL;
}

void
settings_fetch_name(const struct settings *s, const struct rule *r)
{
	const char *name = settings_name(s, r);

	__builtin_prefetch(name);
	__builtin_prefetch(name + FETCH_NAME);
}
