#include <string.h>

#include "image.h"

/* The largest legal value of each scalar: an image may say anything. */
static const uint16_t largest[KEY_MAX] = {
	[KEY_MODE] = MODE_REQUIRE,
	[KEY_CLIENT_CERT] = CC_REQUIRE,
	[KEY_MIN_TLS] = TLS_1_3,
	[KEY_MIN_BITS] = UINT16_MAX,
	[KEY_ENFORCE] = ENFORCE_YES,
	[KEY_AUTHENTICATED] = AUTH_ENFORCE,
	[KEY_VERIFIES] = 1,
	[KEY_MATCH_CN] = 1,
	[KEY_PURPOSE] = PURPOSE_CLIENT,
	[KEY_NOTIFY] = 1,
	[KEY_PROBE_INTERVAL] = UINT16_MAX,
	[KEY_NOTIFY_RATE] = UINT16_MAX,
	[KEY_REFUSAL_RATE] = UINT16_MAX,
};

static bool
scalar_legal(enum key k, uint16_t v)
{
	return v <= largest[k] && (k != KEY_MIN_TLS || v >= TLS_1_0);
}

static const char *
pool_text(const struct settings *s, uint32_t at)
{
	return at < s->head.pool_len ? s->pool + at : NULL;
}

static bool
pool_number(const struct settings *s, uint64_t at, uint32_t *out)
{
	if (at + sizeof(*out) > s->head.pool_len)
		return false;
	memcpy(out, s->pool + at, sizeof(*out));
	return true;
}

/* ---- whole ---- */

const struct file_id *
settings_id(const struct settings *s)
{
	return &s->head.id;
}

void
settings_set_id(struct settings *s, const struct file_id *id)
{
	s->head.id = *id;
}

const char *
settings_path(const struct settings *s)
{
	const char *path = s->path != NULL ? s->path : pool_text(s, s->head.path);

	return path != NULL ? path : "";
}

size_t
settings_octets(const struct settings *s)
{
	return (size_t)s->head.length;
}

uint64_t
settings_generation(const struct settings *s)
{
	return s->head.generation;
}

/* ---- rules ---- */

size_t
settings_count(const struct settings *s, enum section sec)
{
	return sec < SEC_MAX ? s->head.section[sec].count : 0;
}

const struct rule *
settings_at(const struct settings *s, enum section sec, size_t i)
{
	const struct rule *r;

	if (i >= settings_count(s, sec))
		return NULL;
	r = &s->rules[s->head.section[sec].first + i];
	return r->section == sec ? r : NULL;
}

size_t
settings_rules(const struct settings *s)
{
	return s->head.nrules;
}

size_t
settings_number(const struct settings *s, const struct rule *r)
{
	return (size_t)(r - s->rules);
}

const char *
settings_name(const struct settings *s, const struct rule *r)
{
	const char *name = r != NULL ? pool_text(s, r->name) : NULL;

	return name != NULL ? name : "";
}

/* First rule of a section whose address is not below a. */
static size_t
lower_addr(const struct settings *s, enum section sec, const struct addr *a, bool equal)
{
	size_t lo = 0, hi = settings_count(s, sec), mid;
	struct addr at;
	int c;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		at = settings_addr(s, settings_at(s, sec, mid));
		c = addr_cmp(&at, a);
		if (c < 0 || (c == 0 && !equal))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static size_t
lower_name(const struct settings *s, enum section sec, const char *name, bool equal)
{
	size_t lo = 0, hi = settings_count(s, sec), mid;
	int c;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		c = strcmp(settings_name(s, settings_at(s, sec, mid)), name);
		if (c < 0 || (c == 0 && !equal))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

size_t
settings_lower(const struct settings *s, enum section sec, const char *name, bool equal)
{
	struct addr a;

	if (sec == SEC_LISTENER && addr_listener(name, strlen(name), &a))
		return lower_addr(s, sec, &a, equal);
	if (sec == SEC_CLIENT && addr_network(name, strlen(name), &a))
		return lower_addr(s, sec, &a, equal);
	if (sec == SEC_LISTENER || sec == SEC_CLIENT)
		return *name == '\0' ? 0 : settings_count(s, sec);
	return lower_name(s, sec, name, equal);
}

/* ---- matching ---- */

static const struct rule *
find_addr(const struct settings *s, enum section sec, const struct addr *a)
{
	const struct rule *r = settings_at(s, sec, lower_addr(s, sec, a, true));
	struct addr found = settings_addr(s, r);

	return r != NULL && addr_cmp(&found, a) == 0 ? r : NULL;
}

const struct rule *
settings_listener(const struct settings *s, const struct addr *a)
{
	const struct rule *r;
	struct addr any;
	size_t i;

	if (settings_count(s, SEC_LISTENER) == 0)
		return NULL;
	r = find_addr(s, SEC_LISTENER, a);
	if (r != NULL || (a->family != ADDR_IPV4 && a->family != ADDR_IPV6))
		return r;
	for (i = 0; (r = settings_at(s, SEC_LISTENER, i)) != NULL; i++) {
		any = settings_addr(s, r);
		if (any.family != ADDR_ANY)	/* those sort first */
			break;
		if (any.port == a->port)
			return r;
	}
	return NULL;
}

/* a's network of that many bits. */
static struct addr
addr_masked(const struct addr *a, unsigned bits)
{
	struct addr n = *a;
	unsigned i;

	n.prefix = (uint8_t)bits;
	n.port = 0;
	for (i = 0; i < sizeof(n.ip); i++) {
		if (bits < i * 8 + 8)
			n.ip[i] = (uint8_t)(bits <= i * 8 ? 0 :
			    n.ip[i] & 0xff00 >> (bits - i * 8));
	}
	return n;
}

const struct rule *
settings_client(const struct settings *s, const struct addr *a)
{
	const uint64_t *present = s->head.prefixes[a->family == ADDR_IPV6];
	const struct rule *r;
	struct addr n;
	int bits;

	if ((a->family != ADDR_IPV4 && a->family != ADDR_IPV6) ||
	    settings_count(s, SEC_CLIENT) == 0)
		return NULL;
	for (bits = a->family == ADDR_IPV6 ? 128 : 32; bits >= 0; bits--) {
		if ((present[bits / 64] >> (bits % 64) & 1) == 0)
			continue;
		n = addr_masked(a, (unsigned)bits);
		if ((r = find_addr(s, SEC_CLIENT, &n)) != NULL)
			return r;
	}
	return NULL;
}

/* ---- values ---- */

uint32_t
settings_value(const struct rule *r, enum key k)
{
	unsigned slot;
	uint16_t v;

	if (k >= KEY_MAX || (slot = scalar_slot(k)) == RULE_SCALARS)
		return 0;
	if (!rule_sets(r, k))
		return key_table[k].preset;
	v = scalar_get(r, slot);
	return scalar_legal(k, v) ? v : key_table[k].preset;
}

struct addr
settings_addr(const struct settings *s, const struct rule *r)
{
	struct addr a = { .family = ADDR_NONE };

	if (r != NULL && more_lines(r) != 0 &&
	    (uint64_t)r->more + sizeof(a) <= s->head.pool_len)
		memcpy(&a, s->pool + r->more, sizeof(a));
	return a;
}

unsigned
settings_line(const struct settings *s, const struct rule *r, enum key k)
{
	uint64_t at;
	uint16_t below;

	if (r == NULL)
		return 0;
	if (k >= KEY_MAX || !rule_sets(r, k))
		return r->line;
	at = (uint64_t)r->more + more_lines(r) + sizeof(below) *
	    (uint64_t)__builtin_popcount(keys_before(r->set, k));
	if (at + sizeof(below) > s->head.pool_len)
		return r->line;
	memcpy(&below, s->pool + at, sizeof(below));
	return below == UINT16_MAX ? r->line : r->line + below;
}

/* Where the text or list of k starts in the pool; 0: not set. */
static uint32_t
text_offset(const struct settings *s, const struct rule *r, enum key k)
{
	uint32_t at, before;

	if (k >= KEY_MAX || !rule_sets(r, k) || scalar_slot(k) != RULE_SCALARS)
		return 0;
	before = (uint32_t)__builtin_popcount(texts_before(r->set, k));
	if (!pool_number(s, (uint64_t)r->more + more_texts(r) + before * sizeof(at), &at))
		return 0;
	return at < s->head.pool_len ? at : 0;
}

const char *
settings_text(const struct settings *s, const struct rule *r, enum key k)
{
	uint32_t at;

	if (k >= KEY_MAX || (key_table[k].type != TYPE_REF && key_table[k].type != TYPE_PATH))
		return NULL;
	at = text_offset(s, r, k);
	return at != 0 ? pool_text(s, at) : NULL;
}

const char *
settings_place(const struct settings *s, enum section sec, enum key k)
{
	const char *path = s == NULL ? NULL : settings_text(s, settings_find(s, sec, ""), k);

	return path != NULL ? path : key_table[k].preset_text;
}

struct list
settings_list(const struct settings *s, const struct rule *r, enum key k)
{
	const struct list none = { NULL, 0, NULL };
	uint32_t at, items, octets;

	if (k >= KEY_MAX || key_table[k].type < TYPE_NAMES ||
	    (at = text_offset(s, r, k)) == 0 ||
	    !pool_number(s, at, &items) || !pool_number(s, (uint64_t)at + 4, &octets) ||
	    octets > s->head.pool_len - at - 8)
		return none;
	return (struct list){ (const unsigned char *)s->pool + at + 8, items,
	    (const unsigned char *)s->pool + at + 8 + octets };
}

/* The next item of the list: size octets, 0: up to a NUL. */
static const unsigned char *
list_next(struct list *l, size_t size)
{
	const unsigned char *item = l->p, *nul;
	size_t rest = (size_t)(l->end - l->p);

	if (l->left == 0)
		return NULL;
	if (size == 0) {
		nul = rest > 0 ? memchr(item, '\0', rest) : NULL;
		size = nul != NULL ? (size_t)(nul - item) + 1 : rest + 1;
	}
	if (size > rest) {
		l->left = 0;
		return NULL;
	}
	l->left--;
	l->p += size;
	return item;
}

const char *
list_next_name(struct list *l)
{
	return (const char *)list_next(l, 0);
}

const unsigned char *
list_next_pin(struct list *l)
{
	return list_next(l, PIN_SIZE);
}

bool
list_next_number(struct list *l, uint32_t *out)
{
	const unsigned char *item = list_next(l, sizeof(*out));

	if (item != NULL)
		memcpy(out, item, sizeof(*out));
	return item != NULL;
}

/* ---- what holds for all rules of a section ---- */

bool
settings_range(const struct settings *s, enum section sec, enum key k,
    uint32_t *weakest, uint32_t *strictest)
{
	const struct range *g;
	unsigned slot = scalar_slot(k);

	*weakest = *strictest = 0;
	if (sec >= SEC_RULES || k >= KEY_RULES || slot == RULE_SCALARS)
		return false;
	g = &s->head.range[sec][slot];
	if (g->weakest > g->strictest || !scalar_legal(k, g->weakest) ||
	    !scalar_legal(k, g->strictest))
		return false;
	*weakest = g->weakest;
	*strictest = g->strictest;
	return true;
}

bool
settings_own_trust(const struct settings *s, enum section sec)
{
	return sec < SEC_MAX && (s->head.own_trust >> sec & 1) != 0;
}
