/*
 * Which rule's value holds for each key.
 */
#include "policy_int.h"

#define RULE_KEYS ((1u << KEY_RULES) - 1)

/* Of a REF, PATH or list only `from` tells: settings_value() of those is 0. */
static void
take(struct effective *e, enum key k, const struct rule *r, uint32_t value)
{
	e->value[k] = value;
	e->from[k] = r;
}

/*
 * The keys that a rule says something of: those it sets.  One that is exempt from
 * TLS is exempt from certificates with it, unless it says otherwise itself.
 */
static uint32_t
said(const struct rule *r)
{
	uint32_t set = r != NULL ? r->set & RULE_KEYS : 0;

	if ((set & 1u << KEY_MODE) != 0 && settings_value(r, KEY_MODE) == MODE_NONE)
		set |= 1u << KEY_CLIENT_CERT;
	return set;
}

/* What it says of k, which is among those. */
static uint32_t
says(const struct rule *r, enum key k)
{
	return rule_sets(r, k) ? settings_value(r, k) : CC_NONE;
}

/* The lowest key of those left in `set`, and takes it out. */
static enum key
next_key(uint32_t *set)
{
	enum key k = (enum key)__builtin_ctz(*set);

	*set &= *set - 1;
	return k;
}

void
policy_base_of(const struct rule *server, const struct rule *listener, const struct rule *client,
    struct effective *base)
{
	const struct rule *order[] = { server, listener, client };	/* the last one that says it holds */

	for (enum key k = 0; k < KEY_RULES; k++)
		take(base, k, NULL, key_table[k].preset);
	for (size_t i = 0; i < 3; i++)
		for (uint32_t set = said(order[i]); set != 0;) {
			enum key k = next_key(&set);

			take(base, k, order[i], says(order[i], k));
		}
}

/* Does `a` hold where both are set?  On a tie it does. */
static bool
holds(enum key k, uint32_t a, uint32_t b)
{
	if (k == KEY_MATCH_CN)		/* a looser comparison is not the stricter one */
		return a <= b;
	return a >= b;
}

void
policy_effective(const struct effective *base, const struct rule *domain,
    const struct rule *peer, struct effective *e)
{
	const uint32_t by_domain = said(domain), by_peer = said(peer);

	*e = *base;
	for (uint32_t set = by_domain | by_peer; set != 0;) {
		enum key k = next_key(&set);
		bool d = (by_domain >> k & 1) != 0, p = (by_peer >> k & 1) != 0;

		if (d && (!p || holds(k, says(domain, k), says(peer, k))))
			take(e, k, domain, says(domain, k));
		else
			take(e, k, peer, says(peer, k));
	}
}
