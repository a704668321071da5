#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "image.h"
#include "order.h"

/*
 * A rule for so many octets of text, an octet of the pool for so many: room is
 * asked for at first that most files need not exceed.  What is not touched
 * costs nothing; what grows is moved.
 */
#define RULE_PART 32
#define POOL_PART 2

struct build {
	struct image *head;		/* its rules are in the file's order at first */
	struct rule *rule;		/* behind the head */
	size_t nrules, room;
	char *pool;
	size_t len, size;
	struct addr addr;		/* of the section begun last, */
	uint16_t line[KEY_MAX];		/* its keys' lines, */
	uint32_t value[KEY_MAX];	/* texts and lists */
	size_t list;			/* the list begun last, in the pool */
	bool begun[SEC_MAX];
	int error;			/* errno of the first failure */
};

static bool
begin(struct build *b, size_t text)
{
	b->size = text / POOL_PART + 256;
	b->room = text / RULE_PART + 8;
	b->pool = malloc(b->size);
	b->head = malloc(sizeof(*b->head) + b->room * sizeof(*b->rule));
	if (b->pool == NULL || b->head == NULL)
		return false;
	b->rule = (void *)(b->head + 1);
	b->pool[b->len++] = '\0';		/* offset 0: the empty name */
	return true;
}

struct build *
build_new(size_t text)
{
	struct build *b = calloc(1, sizeof(*b));

	if (b != NULL && !begin(b, text)) {
		build_free(b);
		b = NULL;
	}
	return b;
}

void
build_free(struct build *b)
{
	if (b == NULL)
		return;
	free(b->head);
	free(b->pool);
	free(b);
}

/* Appends to the pool; the offset of what was appended, 0 on failure. */
static uint32_t
put(struct build *b, const void *data, size_t len)
{
	size_t at = b->len, size = b->size;
	char *p;

	if (b->error != 0)
		return 0;
	if (len >= UINT32_MAX - at) {
		b->error = EFBIG;
		return 0;
	}
	if (size - at < len) {
		size += size / 2 + len;
		if ((p = realloc(b->pool, size)) == NULL) {
			b->error = ENOMEM;
			return 0;
		}
		b->pool = p;
		b->size = size;
	}
	memcpy(b->pool + at, data, len);
	b->len += len;
	return (uint32_t)at;
}

static struct rule *
last(const struct build *b)
{
	return b->error == 0 && b->nrules > 0 ? &b->rule[b->nrules - 1] : NULL;
}

/* Ends the section begun last: writes down what not every rule has. */
static void
end_section(struct build *b)
{
	struct rule *r = last(b);
	uint32_t left, at = (uint32_t)b->len;

	if (r == NULL)
		return;
	if (more_lines(r) != 0)
		(void)put(b, &b->addr, sizeof(b->addr));
	for (left = r->set; left != 0; left &= left - 1)
		(void)put(b, &b->line[__builtin_ctz(left)], sizeof(b->line[0]));
	for (left = texts_before(r->set, KEY_MAX); left != 0; left &= left - 1)
		(void)put(b, &b->value[__builtin_ctz(left)], sizeof(b->value[0]));
	if (b->len > at)
		r->more = at;
}

/* Room for one more rule. */
static bool
grow_rules(struct build *b)
{
	struct image *head;
	size_t room = b->room + b->room / 2 + 64;

	if (b->nrules < b->room)
		return true;
	if (room > (UINT32_MAX - sizeof(*head)) / sizeof(*b->rule)) {
		b->error = EFBIG;
		return false;
	}
	head = realloc(b->head, sizeof(*head) + room * sizeof(*b->rule));
	if (head == NULL) {
		b->error = ENOMEM;
		return false;
	}
	b->head = head;
	b->rule = (void *)(head + 1);
	b->room = room;
	return true;
}

void
build_section(struct build *b, enum section sec, const char *name, const struct addr *addr,
    unsigned line)
{
	struct rule *r;

	end_section(b);
	if (b->error != 0 || !grow_rules(b))
		return;
	r = &b->rule[b->nrules++];
	memset(r, 0, sizeof(*r));
	r->section = (uint8_t)sec;
	r->line = line;
	r->name = *name == '\0' ? 0 : put(b, name, strlen(name) + 1);
	if (addr != NULL)
		b->addr = *addr;
	else
		memset(&b->addr, 0, sizeof(b->addr));
	b->begun[sec] = true;
}

/* Notes that the section begun last sets k; NULL on failure. */
static struct rule *
set_key(struct build *b, enum key k, unsigned line)
{
	struct rule *r = last(b);

	if (r == NULL)
		return NULL;
	r->set |= 1u << k;
	b->line[k] = line - r->line < UINT16_MAX ? (uint16_t)(line - r->line) : UINT16_MAX;
	return r;
}

void
build_scalar(struct build *b, enum key k, uint32_t value, unsigned line)
{
	struct rule *r = set_key(b, k, line);

	if (r != NULL)
		scalar_put(r, scalar_slot(k), value);
}

void
build_text(struct build *b, enum key k, const char *text, unsigned line)
{
	if (set_key(b, k, line) != NULL)
		b->value[k] = put(b, text, strlen(text) + 1);
}

void
build_list(struct build *b, enum key k, unsigned line)
{
	const uint32_t empty[2] = { 0, 0 };

	if (set_key(b, k, line) != NULL)
		b->list = b->value[k] = put(b, empty, sizeof(empty));
}

void
build_item(struct build *b, const void *item, size_t len)
{
	uint32_t head[2];

	(void)put(b, item, len);
	if (b->error != 0)
		return;
	memcpy(head, b->pool + b->list, sizeof(head));
	head[0]++;
	head[1] += (uint32_t)len;
	memcpy(b->pool + b->list, head, sizeof(head));
}

/* ---- the image ---- */

/*
 * Makes the rules gathered so far the beginning of an image: room for the
 * hash, at first in no order, is behind them, the pool stays where it is.
 */
static bool
make_head(struct build *b)
{
	struct image lay, *h;

	if (!image_lay_out(&lay, b->nrules, b->len)) {
		b->error = EFBIG;
		return false;
	}
	if ((h = realloc(b->head, lay.pool)) == NULL) {
		b->error = ENOMEM;
		return false;
	}
	*h = lay;
	b->head = h;
	b->rule = (void *)(h + 1);
	return true;
}

/* Puts each rule in its place, where it is: two copies would be large. */
static void
permute(struct rule *rule, uint32_t *rank, size_t n)
{
	struct rule hold, next;
	uint32_t to, then;

	for (uint32_t i = 0; i < n; i++) {
		if (rank[i] == i)
			continue;
		hold = rule[i];
		for (to = rank[i]; to != i; to = then) {
			next = rule[to];
			rule[to] = hold;
			hold = next;
			then = rank[to];
			rank[to] = to;
		}
		rule[i] = hold;
		rank[i] = i;
	}
}

/* The order of the rules, then their hash, which takes the place of what gave the order. */
static void
fill_image(struct build *b, build_twice *twice, void *arg)
{
	struct image *h = b->head;
	uint32_t *slots = (void *)((char *)h + h->slots);

	rank_rules(b->rule, b->nrules, b->pool, slots, h->section, twice, arg);
	permute(b->rule, slots, b->nrules);
	h->nrules = h->section[SEC_MAX - 1].first + h->section[SEC_MAX - 1].count;
	image_index(h, b->rule, b->pool, slots);
	image_summarise(h, b->rule, b->pool);
}

struct settings *
build_finish(struct build *b, const char *path, const struct file_id *id,
    uint64_t generation, build_twice *twice, void *arg)
{
	struct settings *s = NULL;
	uint32_t at;
	int error;
	char *pool;

	if (!b->begun[SEC_SERVER])
		build_section(b, SEC_SERVER, "", NULL, 0);
	if (!b->begun[SEC_AGENT])
		build_section(b, SEC_AGENT, "", NULL, 0);
	end_section(b);
	at = put(b, path, strlen(path) + 1);	/* its NUL is the pool's last octet */
	if (b->error != 0 || !make_head(b))
		goto out;
	fill_image(b, twice, arg);
	b->head->path = at;
	b->head->generation = generation;
	if (id != NULL)
		b->head->id = *id;
	if ((pool = realloc(b->pool, b->len)) != NULL)
		b->pool = pool;
	if ((s = settings_adopt_parts(b->head, b->pool)) == NULL)
		b->error = ENOMEM;
out:
	error = b->error;
	if (s == NULL) {
		free(b->head);
		free(b->pool);
	}
	memset(b, 0, sizeof(*b));
	if (!begin(b, 0))
		b->error = ENOMEM;
	errno = error;
	return s;
}
