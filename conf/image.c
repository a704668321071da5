#include <sys/mman.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image.h"

/* What a rule, perhaps a forged one, adds to the answers for its whole section. */
static void
summarise(struct image *h, const struct rule *r, const char *pool)
{
	const uint32_t trust = 1u << KEY_CA | 1u << KEY_CERT_NAMES | 1u << KEY_FINGERPRINTS |
	    1u << KEY_CERTS;
	struct range *g;
	struct addr a;
	uint32_t left;
	unsigned slot;
	uint16_t v;

	if (r->section >= SEC_RULES)
		return;
	if ((r->set & trust) != 0)
		h->own_trust |= 1u << r->section;
	if (r->section == SEC_CLIENT && (uint64_t)r->more + sizeof(a) <= h->pool_len) {
		memcpy(&a, pool + r->more, sizeof(a));
		if (a.prefix <= 128)
			h->prefixes[a.family == ADDR_IPV6][a.prefix / 64] |=
			    (uint64_t)1 << a.prefix % 64;
	}
	for (left = keys_before(r->set, KEY_RULES); left != 0; left &= left - 1) {
		slot = scalar_slot((enum key)__builtin_ctz(left));
		if (slot == RULE_SCALARS)
			continue;
		v = scalar_get(r, slot);
		g = &h->range[r->section][slot];
		if (v < g->weakest)
			g->weakest = v;
		if (v > g->strictest)
			g->strictest = v;
	}
}

void
image_summarise(struct image *h, const struct rule *rule, const char *pool)
{
	h->own_trust = 0;
	memset(h->range, 0, sizeof(h->range));
	memset(h->prefixes, 0, sizeof(h->prefixes));
	for (int s = 0; s < SEC_RULES; s++)
		for (int i = 0; i < RULE_SCALARS; i++)
			h->range[s][i].weakest = UINT16_MAX;
	for (uint32_t i = 0; i < h->nrules; i++)
		summarise(h, &rule[i], pool);
}

bool
image_lay_out(struct image *h, size_t nrules, size_t pool_len)
{
	uint32_t nslots = 8;
	uint64_t slots = sizeof(*h) + (uint64_t)nrules * sizeof(struct rule), pool;

	if (nrules > UINT32_MAX / sizeof(struct rule))
		return false;
	while (nslots / 2 < nrules)
		nslots *= 2;
	pool = slots + (uint64_t)nslots * sizeof(uint32_t);
	if (pool + pool_len > UINT32_MAX)
		return false;
	memset(h, 0, sizeof(*h));
	memcpy(h->magic, IMAGE_MAGIC, sizeof(h->magic));
	memcpy(h->version, TLSWARD_VERSION, strnlen(TLSWARD_VERSION, sizeof(h->version)));
	h->layout = IMAGE_LAYOUT;
	h->rule_size = sizeof(struct rule);
	h->length = pool + pool_len;
	h->rules = sizeof(*h);
	h->slots = (uint32_t)slots;
	h->nslots = nslots;
	h->pool = (uint32_t)pool;
	h->pool_len = (uint32_t)pool_len;
	return true;
}

static void
fill_slot(uint32_t *slots, uint32_t nslots, uint32_t mask, const struct rule *r,
    const char *name, uint32_t index)
{
	uint64_t x = hash_start(r->section);
	uint32_t i;

	for (size_t n = strlen(name); n-- > 0;)
		x = hash_step(x, (unsigned char)name[n]);
	x = hash_end(x);
	for (i = (uint32_t)x & (nslots - 1); slots[i] != 0;)
		i = (i + 1) & (nslots - 1);
	slots[i] = slot_tag(x, mask) | (index + 1);
}

void
image_index(const struct image *h, const struct rule *rule, const char *pool, uint32_t *slots)
{
	const uint32_t mask = slot_mask(h->nrules);

	memset(slots, 0, h->nslots * sizeof(*slots));
	for (uint32_t i = 0; i < h->nrules; i++)
		fill_slot(slots, h->nslots, mask, &rule[i], pool + rule[i].name, i);
}

static bool
part_inside(const struct image *h, uint64_t start, uint64_t n, uint64_t size)
{
	return start >= sizeof(*h) && start % sizeof(uint32_t) == 0 &&
	    start <= h->length && n <= (h->length - start) / size;
}

static bool
head_sane(const struct image *h, size_t len)
{
	if (memcmp(h->magic, IMAGE_MAGIC, sizeof(h->magic)) != 0 ||
	    strncmp(h->version, TLSWARD_VERSION, sizeof(h->version)) != 0 ||
	    h->layout != IMAGE_LAYOUT || h->rule_size != sizeof(struct rule) ||
	    h->length > len || h->length > UINT32_MAX)
		return false;
	if (!part_inside(h, h->rules, h->nrules, sizeof(struct rule)) ||
	    !part_inside(h, h->slots, h->nslots, sizeof(uint32_t)) ||
	    !part_inside(h, h->pool, h->pool_len, 1) ||
	    (uint64_t)h->pool + h->pool_len != h->length)
		return false;
	if (h->nslots == 0 || (h->nslots & (h->nslots - 1)) != 0)
		return false;
	for (int s = 0; s < SEC_MAX; s++)
		if (h->section[s].first > h->nrules ||
		    h->section[s].count > h->nrules - h->section[s].first)
			return false;
	return h->pool_len > 0;
}

static void
place(struct settings *s, const void *base, const char *pool)
{
	s->base = base;
	s->rules = (const void *)(s->base + s->head.rules);
	s->slots = (const void *)(s->base + s->head.slots);
	s->pool = pool != NULL ? pool : s->base + s->head.pool;
}

/*
 * Of an image in len octets, which may be more.  The head is copied before it is
 * looked at: what is mapped may change.
 */
static struct settings *
over(const struct image *h, const void *base, size_t len, const char *pool)
{
	struct settings *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->head = *h;
	if (!head_sane(&s->head, len)) {
		free(s);
		return NULL;
	}
	place(s, base, pool);
	return s;
}

static bool
ends_with_nul(const struct settings *s)
{
	return s->pool[0] == '\0' && s->pool[s->head.pool_len - 1] == '\0';
}

struct settings *
settings_adopt(void *image, size_t len)
{
	struct settings *s;

	if (image == NULL || len < sizeof(struct image) || (s = over(image, image, len, NULL)) == NULL)
		return NULL;
	if (!ends_with_nul(s)) {
		free(s);
		return NULL;
	}
	s->owned[0] = image;
	return s;
}

struct settings *
settings_adopt_map(void *file, size_t len)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct settings *s;

	if (len < sizeof(struct image) || (s = over(file, file, len, NULL)) == NULL)
		return NULL;
	/* What is mapped behind a file's end reads as NULs, and a look costs a page. */
	if (len % page == 0 && !ends_with_nul(s)) {
		free(s);
		return NULL;
	}
	s->mapped = file;
	s->mapped_len = len;
	return s;
}

struct settings *
settings_adopt_parts(struct image *head, char *pool)
{
	struct settings *s = over(head, head, (size_t)head->length, pool);

	if (s == NULL)
		return NULL;
	s->owned[0] = head;
	s->owned[1] = pool;
	return s;
}

static void
image_copy(const struct settings *s, char *image)
{
	memcpy(image, &s->head, sizeof(s->head));
	memcpy(image + sizeof(s->head), s->base + sizeof(s->head),
	    s->head.pool - sizeof(s->head));
	memcpy(image + s->head.pool, s->pool, s->head.pool_len);
}

void *
settings_image(const struct settings *s, size_t *len)
{
	char *image = malloc((size_t)s->head.length);

	*len = (size_t)s->head.length;
	if (image != NULL)
		image_copy(s, image);
	return image;
}

/* A memory file of the image that nobody can write to any more; -1: there is none. */
static int
sealed_image(const struct settings *s)
{
#ifdef MFD_ALLOW_SEALING
	const size_t len = (size_t)s->head.length;
	int fd = memfd_create("tlsward", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char *to = MAP_FAILED;

	if (fd != -1 && ftruncate(fd, (off_t)len) == 0)
		to = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (to != MAP_FAILED) {
		image_copy(s, to);
		(void)munmap(to, len);
		if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
			return fd;
	}
	if (fd != -1)
		(void)close(fd);
#endif
	(void)s;
	return -1;
}

void
settings_share(struct settings *s)
{
	const size_t len = (size_t)s->head.length;
	char *to;
	int fd;

	if (s->mapped != NULL || len < SHARE_LEAST || (fd = sealed_image(s)) == -1)
		return;
	to = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	(void)close(fd);
	if (to == MAP_FAILED)
		return;
	free(s->owned[0]);
	free(s->owned[1]);
	s->owned[0] = s->owned[1] = NULL;
	s->mapped = to;
	s->mapped_len = len;
	place(s, to, NULL);
}

void
settings_free(struct settings *s)
{
	if (s == NULL)
		return;
	if (s->mapped != NULL)
		(void)munmap(s->mapped, s->mapped_len);
	free(s->owned[0]);
	free(s->owned[1]);
	free(s->path);
	free(s);
}
