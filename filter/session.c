#include <stdlib.h>
#include <string.h>

#include "session.h"

static const uint16_t text_room[TEXT_MAX] = {	/* with the NUL */
	[TEXT_CIPHER] = 64, [TEXT_HELO] = NAME_SIZE, [TEXT_HOST] = NAME_SIZE,
	[TEXT_SENDER] = SESSION_ADDRESS, [TEXT_SENDER_DOMAIN] = NAME_SIZE
};

#define FIRST_BUCKETS 1024
#define SLAB_SESSIONS 64

struct slab {
	struct slab *next;
	struct session session[SLAB_SESSIONS];
};

bool
sessions_init(struct sessions *all)
{
	memset(all, 0, sizeof(*all));
	all->buckets = FIRST_BUCKETS;
	all->bucket = calloc(all->buckets, sizeof(struct session *));
	return all->bucket != NULL;
}

void
sessions_free(struct sessions *all)
{
	struct slab *slab;
	struct session *s;

	for (size_t i = 0; all->bucket != NULL && i < all->buckets; i++)
		for (s = all->bucket[i]; s != NULL; s = s->next)
			held_unref(s->held);
	while ((slab = all->slabs) != NULL) {
		all->slabs = slab->next;
		free(slab);
	}
	free(all->bucket);
	memset(all, 0, sizeof(*all));
}

/* smtpd's ids are part counter, part random: mixed, any of the bits will do. */
static size_t
place(uint64_t id, size_t buckets)
{
	id *= UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(id >> 32) & (buckets - 1);
}

static struct session **
slot(const struct sessions *all, uint64_t id)
{
	struct session **p = &all->bucket[place(id, all->buckets)];

	while (*p != NULL && (*p)->id != id)
		p = &(*p)->next;
	return p;
}

/* Doubles the buckets; without memory for it the chains just get longer. */
static void
grow(struct sessions *all)
{
	size_t buckets = all->buckets * 2;
	struct session **bucket = calloc(buckets, sizeof(struct session *));
	struct session *s, *next, **p;

	if (bucket == NULL)
		return;
	for (size_t i = 0; i < all->buckets; i++)
		for (s = all->bucket[i]; s != NULL; s = next) {
			next = s->next;
			p = &bucket[place(s->id, buckets)];
			s->next = *p;
			*p = s;
		}
	free(all->bucket);
	all->bucket = bucket;
	all->buckets = buckets;
}

static struct session *
unused(struct sessions *all)
{
	struct slab *slab;
	struct session *s;

	if (all->free == NULL) {
		if ((slab = malloc(sizeof(*slab))) == NULL)
			return NULL;
		slab->next = all->slabs;
		all->slabs = slab;
		for (size_t i = 0; i < SLAB_SESSIONS; i++) {
			slab->session[i].next = all->free;
			all->free = &slab->session[i];
		}
	}
	s = all->free;
	all->free = s->next;
	return s;
}

struct session *
session_find(const struct sessions *all, uint64_t id)
{
	return *slot(all, id);
}

void
session_fetch_bucket(const struct sessions *all, uint64_t id)
{
	__builtin_prefetch(&all->bucket[place(id, all->buckets)]);
}

void
session_fetch(const struct sessions *all, uint64_t id)
{
	const struct session *s = all->bucket[place(id, all->buckets)];

	if (s == NULL)
		return;
	__builtin_prefetch(s);
	__builtin_prefetch(&s->authenticated);
	__builtin_prefetch(&s->tls);
	__builtin_prefetch(s->texts + 64);
}

struct session *
session_open(struct sessions *all, uint64_t id)
{
	struct session *s, **p;

	session_close(all, id);
	if (all->open >= all->buckets)
		grow(all);
	if ((s = unused(all)) == NULL)
		return NULL;
	memset(s, 0, offsetof(struct session, text));
	s->text[0] = s->texts[0] = '\0';
	s->used = 1;
	s->id = id;
	p = &all->bucket[place(id, all->buckets)];
	s->next = *p;
	*p = s;
	all->open++;
	return s;
}

void
session_close(struct sessions *all, uint64_t id)
{
	struct session **p = slot(all, id), *s = *p;

	if (s == NULL)
		return;
	*p = s->next;
	held_unref(s->held);
	s->next = all->free;
	all->free = s;
	all->open--;
}

/* ---- texts ---- */

/* Makes all of the room free that the other texts do not need. */
static void
close_up(struct session *s, enum text but)
{
	char old[TEXTS_SIZE];
	uint16_t at;

	memcpy(old, s->texts, s->used);
	s->used = 1;
	for (enum text t = 0; t < TEXT_MAX; t++) {
		at = s->part[t].at;
		s->part[t].at = 0;
		if (t == but || at == 0)
			continue;
		s->part[t].room = (uint16_t)(strlen(old + at) + 1);
		memcpy(s->texts + s->used, old + at, s->part[t].room);
		s->part[t].at = s->used;
		s->used = (uint16_t)(s->used + s->part[t].room);
	}
}

void
session_keep(struct session *s, enum text t, const char *text, size_t len)
{
	char *to;

	if (len >= text_room[t])
		len = text_room[t] - 1u;
	if (s->part[t].at == 0 || len >= s->part[t].room) {
		if (len >= sizeof(s->texts) - s->used)
			close_up(s, t);
		s->part[t].at = s->used;
		s->part[t].room = (uint16_t)(len + 1);
		s->used = (uint16_t)(s->used + len + 1);
	}
	to = s->texts + s->part[t].at;
	memcpy(to, text, len);
	to[len] = '\0';
}

/* ---- superseded settings ---- */

static struct held *
oldest(const struct sessions *all, const struct held *now)
{
	struct held *found = NULL;

	for (size_t i = 0; i < all->buckets; i++)
		for (const struct session *s = all->bucket[i]; s != NULL; s = s->next)
			if (s->held != NULL && s->held != now &&
			    (found == NULL || held_older(s->held, found)))
				found = s->held;
	return found;
}

void
sessions_renew(struct sessions *all, struct hold *h)
{
	const struct held *gone;

	while (hold_superseded(h) > SUPERSEDED_MAX && (gone = oldest(all, h->now)) != NULL)
		for (size_t i = 0; i < all->buckets; i++)
			for (struct session *s = all->bucket[i]; s != NULL; s = s->next)
				if (s->held == gone) {
					held_unref(s->held);
					s->held = hold_ref(h);
					s->peer = NULL;
				}
}
