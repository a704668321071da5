/*
 * The last refusals, and signs of life, in the file of counters; see
 * counters_file.h for how a slot is filled.
 */
#include <stdlib.h>
#include <string.h>

#include "counters.h"
#include "counters_file.h"

#define relaxed memory_order_relaxed

/* What a slot holds. */
struct noted {
	uint64_t time;
	struct addr client;
	uint8_t action, reason, section, unused;
	char name[NAME_SIZE + 1];
};
union content {
	struct noted noted;
	uint64_t word[SLOT_WORDS];
};
_Static_assert(sizeof(struct noted) <= SLOT_WORDS * sizeof(uint64_t), "it fits in a slot");

static uint64_t
sum_of(uint64_t number, const union content *content)
{
	uint64_t h = (0xcbf29ce484222325u ^ number) * 0x100000001b3u;

	for (int i = 0; i < SLOT_WORDS; i++) {
		h = (h ^ content->word[i]) * 0x100000001b3u;
		h ^= h >> 32;
	}
	return h;
}

void
counters_note(struct counters *c, const struct settings *settings, const struct facts *f,
    const struct verdict *v, uint64_t now)
{
	const struct rule *rule = settings == NULL ? NULL : v->rule;
	union content content = { .word = { 0 } };
	struct noted *n = &content.noted;
	uint64_t number;
	struct slot *slot;

	n->time = now;
	n->client = f->client;
	n->action = (uint8_t)v->action;
	n->reason = (uint8_t)v->reason;
	n->section = rule == NULL ? SEC_MAX : rule->section;
	if (rule != NULL) {
		const char *name = settings_name(settings, rule);
		size_t len = strlen(name);

		memcpy(n->name, name, len < NAME_SIZE ? len : NAME_SIZE - 1);
	}
	number = atomic_fetch_add_explicit(&c->head->refusals, 1, relaxed) + 1;
	slot = &c->recent[number % COUNTERS_RECENT];
	atomic_store_explicit(&slot->number, 0, relaxed);
	atomic_thread_fence(memory_order_release);
	for (int i = 0; i < SLOT_WORDS; i++)
		atomic_store_explicit(&slot->word[i], content.word[i], relaxed);
	atomic_store_explicit(&slot->sum, sum_of(number, &content), relaxed);
	atomic_store_explicit(&slot->number, number, memory_order_release);
}

/* False: nobody's, half filled, or nothing that we would have written. */
static bool
read_slot(const struct slot *slot, struct recent *out)
{
	union content content;
	struct noted *n = &content.noted;
	uint64_t number = atomic_load_explicit(&slot->number, memory_order_acquire);
	uint64_t sum;

	if (number == 0)
		return false;
	for (int i = 0; i < SLOT_WORDS; i++)
		content.word[i] = atomic_load_explicit(&slot->word[i], relaxed);
	sum = atomic_load_explicit(&slot->sum, relaxed);
	if (sum != sum_of(number, &content) || n->section > SEC_MAX || n->reason >= REASON_MAX ||
	    (n->action != ACT_REFUSE && n->action != ACT_DEFER))
		return false;
	n->name[NAME_SIZE - 1] = '\0';
	out->number = number;
	out->time = n->time;
	out->action = (enum action)n->action;
	out->reason = (enum reason)n->reason;
	out->section = (enum section)n->section;
	out->client = n->client;
	memcpy(out->name, n->name, NAME_SIZE);
	return true;
}

static int
by_number(const void *va, const void *vb)
{
	const struct recent *a = va, *b = vb;

	return a->number < b->number ? -1 : a->number > b->number;
}

size_t
counters_recent(const struct counters *c, struct recent out[COUNTERS_RECENT])
{
	struct slot slots[COUNTERS_RECENT];
	size_t n = 0;

	if (c == NULL || !counters_read(c, slots, sizeof(slots), COUNTERS_RECENT_AT))
		return 0;
	for (size_t i = 0; i < COUNTERS_RECENT; i++)
		if (read_slot(&slots[i], &out[n]))
			n++;
	qsort(out, n, sizeof(*out), by_number);
	return n;
}

/* ---- a sign of life ---- */

void
counters_alive(struct counters *c, uint64_t now)
{
	if (c != NULL && c->writer && !c->cut && atomic_load_explicit(&c->head->last_seen, relaxed) != now)
		atomic_store_explicit(&c->head->last_seen, now, relaxed);
}
