/*
 * How the settings lie in memory, for conf/build.c, which makes an image, and
 * conf/settings*.c, which read it.  Nobody else includes this but the tests
 * and whoever keeps images in files.
 *
 *   struct image | struct rule [nrules] | uint32_t slot [nslots] | pool
 *
 * Offsets are in octets: those of the three parts from the image's start,
 * all others from the pool's.  Numbers are in the host's order.  The rules of a
 * section follow each other, sorted by kept name (listeners and client
 * networks by addr_cmp).  The pool starts and ends with a NUL, so that any
 * offset inside it is a string that ends inside it.
 *
 *   text   octets, NUL
 *   list   uint32_t items, uint32_t octets, then the items: names with their
 *          NUL, pins of PIN_SIZE octets, uint32_t numbers and words
 *   more   struct addr of a listener or client network; uint16_t for each key
 *          that the rule sets: its line less the header's, 65535: further;
 *          uint32_t for each text or list that it sets; all in key order
 *
 * Numbers in the pool are not aligned.  A hundred thousand rules are touched
 * for the first time whenever the file is read, and that costs more than what
 * is done with them: hence the small records.
 */
#ifndef TLSWARD_CONF_IMAGE_H
#define TLSWARD_CONF_IMAGE_H

#include <string.h>

#include "settings.h"

#define IMAGE_MAGIC "tlsward"		/* with its NUL, eight octets */
#define IMAGE_LAYOUT 4u			/* another number for any change of these structs, or of the keys */
#define PIN_SIZE 33u

struct span {
	uint32_t first, count;
};

struct range {
	uint16_t weakest, strictest;	/* weakest > strictest: nobody sets it */
};

/*
 * A place of the hash: 0 is free, else the index of a rule + 1 in as many bits
 * as that takes, and in those above as much of the hash.  Linear probing.
 */
static inline uint32_t
slot_mask(uint32_t nrules)
{
	return nrules < 2 ? 1 : UINT32_MAX >> __builtin_clz(nrules);
}

static inline uint32_t
slot_tag(uint64_t hash, uint32_t mask)
{
	return (uint32_t)(hash >> 32) & ~mask;
}

struct image {
	char magic[8];
	uint32_t layout;
	uint32_t rule_size;
	char version[16];		/* of the program */
	uint64_t length;		/* of the whole */
	uint64_t generation;
	struct file_id id;
	uint32_t path;
	uint32_t own_trust;		/* bit s: settings_own_trust of section s */
	uint32_t rules, nrules;
	uint32_t slots, nslots;		/* a power of two */
	uint32_t pool, pool_len;
	struct span section[SEC_MAX];
	struct range range[SEC_RULES][RULE_SCALARS];
	uint64_t prefixes[2][3];	/* IPv4, IPv6: bit n: a client network has n bits */
};

/*
 * An image in use.  The head is a copy, so that bounds once checked hold even
 * if the file that is mapped does not stay as it was.
 */
struct settings {
	struct image head;
	const char *base;		/* where the image begins, but for the pool */
	const struct rule *rules;
	const uint32_t *slots;
	const char *pool;
	char *path;			/* NULL: the image's */
	void *owned[2];			/* what free(3) takes: the image, or its parts */
	void *mapped;			/* what munmap(2) takes, */
	size_t mapped_len;		/* and how much */
};

/*
 * The hash of a name, from its last octet to its first: that of every suffix
 * is a stage on the way to that of the name.
 */
static inline uint64_t
hash_start(enum section sec)
{
	return 0x9e3779b97f4a7c15u * ((uint64_t)sec + 1);
}

static inline uint64_t
hash_step(uint64_t h, unsigned char c)
{
	return (h ^ c) * 0x100000001b3u;	/* the prime of FNV-1a, 64 bits */
}

static inline uint64_t
hash_end(uint64_t h)
{
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	return h ^ h >> 32;
}

/* Where a key's scalar is kept; RULE_SCALARS: it is a text or a list. */
static inline unsigned
scalar_slot(enum key k)
{
	if (k <= KEY_VERIFIES)
		return (unsigned)k;
	if (k == KEY_MATCH_CN)
		return 7;
	if (k >= KEY_NOTIFY && k <= KEY_REFUSAL_RATE)
		return (unsigned)(k - KEY_NOTIFY);	/* [agent]'s, of two octets each */
	return k == KEY_PURPOSE ? 0 : RULE_SCALARS;	/* purpose is [ca]'s only scalar */
}

static inline uint16_t
scalar_get(const struct rule *r, unsigned slot)
{
	uint16_t wide;

	if (r->section == SEC_AGENT) {
		memcpy(&wide, &r->scalar[slot % (RULE_SCALARS / 2) * 2], sizeof(wide));
		return wide;
	}
	if (slot == KEY_MIN_BITS)
		return r->min_bits;
	return (uint16_t)(r->scalar[slot] | (slot == KEY_MIN_TLS ? TLS_1_0 & 0xff00 : 0));
}

static inline void
scalar_put(struct rule *r, unsigned slot, uint32_t value)
{
	const uint16_t wide = (uint16_t)value;

	if (r->section == SEC_AGENT)
		memcpy(&r->scalar[slot % (RULE_SCALARS / 2) * 2], &wide, sizeof(wide));
	else if (slot == KEY_MIN_BITS)
		r->min_bits = wide;
	else
		r->scalar[slot] = (uint8_t)value;
}

/* Where in a rule's `more` the lines begin, and the texts and lists. */
static inline uint32_t
more_lines(const struct rule *r)
{
	return r->section == SEC_LISTENER || r->section == SEC_CLIENT ?
	    (uint32_t)sizeof(struct addr) : 0;
}

static inline uint32_t
more_texts(const struct rule *r)
{
	return more_lines(r) + (uint32_t)sizeof(uint16_t) *
	    (uint32_t)__builtin_popcount(r->set & ((1u << KEY_MAX) - 1));
}

/* The keys before k, of those in set; and of these the ones with a text or list. */
static inline uint32_t
keys_before(uint32_t set, unsigned k)
{
	return set & ((1u << k) - 1);
}

static inline uint32_t
texts_before(uint32_t set, unsigned k)
{
	const uint32_t scalars = ((2u << KEY_VERIFIES) - 1) | 1u << KEY_MATCH_CN |
	    1u << KEY_PURPOSE | 15u << KEY_NOTIFY;

	return keys_before(set, k) & ~scalars;
}

/*
 * A head for so many rules, and a pool of so many octets, that has no rules yet;
 * false: too large.  The head, rules and slots take as many octets as h->pool says.
 */
bool image_lay_out(struct image *, size_t nrules, size_t pool_len);
/* The hash of the h->nrules rules; their names are inside the pool. */
void image_index(const struct image *, const struct rule *, const char *pool, uint32_t *slots);
/* Fills in what the head says of all rules of a section; its pool_len is known by then. */
void image_summarise(struct image *, const struct rule *, const char *pool);

/*
 * Settings over an image that malloc(3) gave, which they then own.  NULL, and
 * the image is the caller's still, where it is no image of this layout or a part
 * is not inside it.  Only the head is looked at: a mapped image is not paged in.
 */
struct settings *settings_adopt(void *image, size_t len);
/* The same of a file from mmap(2), of len octets, which may go on behind the image. */
struct settings *settings_adopt_map(void *file, size_t len);
/* The same of a head with rules and hash, and the pool. */
struct settings *settings_adopt_parts(struct image *head, char *pool);

/*
 * For a process that is forked often: moves a large image to memory that its
 * children share.  Of what is its own a fork copies the page tables, which takes
 * 100 us for 100,000 domains; of what is shared a child finds the pages that it
 * touches, and can change them for itself only.  Where there is no such memory the
 * image stays where it is.
 */
#define SHARE_LEAST (64u << 10)
void settings_share(struct settings *);

/* The whole in one piece, for the caller to free(3); NULL: out of memory. */
void *settings_image(const struct settings *, size_t *len);

#endif
