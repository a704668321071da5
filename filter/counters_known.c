/*
 * Which row each rule of the settings in force counts in, for a process that counts
 * for all of them again and again: four octets a rule stay in the caches where names,
 * digests and buckets do not.  A row once found stays its name's as long as the file
 * is the same, and is not overwritten by an older copy of itself.
 */
#include <stdlib.h>
#include <string.h>

#include "counters.h"
#include "counters_file.h"

void
counters_remember(struct counters *c, const struct settings *s)
{
	if (c == NULL)
		return;
	free(c->known);
	c->known = s != NULL ? calloc(settings_rules(s), sizeof(*c->known)) : NULL;
	c->followed = c->known != NULL ? s : NULL;
	c->highest = 0;
}

void
counters_forget(struct counters *c)
{
	if (c->followed != NULL)
		memset(c->known, 0, settings_rules(c->followed) * sizeof(*c->known));
	c->highest = 0;
}

void
counters_look_back(struct counters *c)
{
	if (atomic_load_explicit(&c->head->next, memory_order_relaxed) <= c->highest)
		counters_forget(c);
}

void
counters_know(struct counters *c, uint32_t *known, uint32_t n)
{
	if (known == NULL || n >= atomic_load_explicit(&c->head->next, memory_order_relaxed))
		return;
	*known = n;
	if (n > c->highest)
		c->highest = n;
}

uint32_t *
counters_known(const struct counters *c, const struct settings *s, const struct rule *r)
{
	return s != NULL && s == c->followed ? &c->known[settings_number(s, r)] : NULL;
}

void
counters_fetch(const struct counters *c, const struct settings *s, const struct rule *r)
{
	const uint32_t *known = c != NULL ? counters_known(c, s, r) : NULL;

	if (known != NULL)
		__builtin_prefetch(known, 1);
}

void
counters_fetch_row(const struct counters *c, const struct settings *s, const struct rule *r)
{
	const uint32_t *known = c != NULL && !c->cut ? counters_known(c, s, r) : NULL;

	if (known == NULL || *known == 0)
		return;
	__builtin_prefetch(counters_row(c, *known), 1);
	if (r->section == SEC_DOMAIN)		/* where most refusals are */
		__builtin_prefetch(counters_reasons(c, *known), 1);
}
