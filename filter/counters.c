/*
 * Counting; see counters.h for the contract and counters_file.h for the layout and
 * for what a killed process may leave.
 */
#include <stdio.h>
#include <string.h>

#include "counters.h"
#include "counters_file.h"

#define GROW_PAUSE	30	/* seconds between attempts on a full disk */
#define FULL_PAUSE	86400	/* seconds between log lines that it is full */
#define LOOK_PAUSE	5	/* seconds between looks whether the file was removed */

#define relaxed memory_order_relaxed

/*
 * FNV-1a with a finalizer that mixes the high bits down, for the buckets.  The
 * names are those of our own INI: nobody gains from a collision.
 */
uint64_t
counters_digest(enum section section, const char *name)
{
	uint64_t h = 0xcbf29ce484222325u;

	h = (h ^ (unsigned char)section) * 0x100000001b3u;
	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3u;
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	h ^= h >> 32;
	return h != 0 ? h : 1;		/* 0 marks a free bucket */
}

/*
 * Does row n exist, have space, and belong to that digest?  To a process that has
 * just begun its page is new: one that is read first is faulted in twice, so it is
 * asked in the way of a writer.
 */
static bool
row_belongs(const struct counters *c, uint32_t n, uint64_t digest)
{
	uint64_t is = digest;
	struct row *r;

	if (n == 0 || n >= c->nrows ||
	    n >= atomic_load_explicit(&c->head->ready, memory_order_acquire))
		return false;
	r = counters_row(c, n);
	return c->young > 0 ? atomic_compare_exchange_strong(&r->owner, &is, digest) :
	    atomic_load_explicit(&r->owner, relaxed) == digest;
}

/* Makes row n the digest's if it is nobody's: a power cut may have lost its owner. */
static bool
row_adopt(struct counters *c, uint32_t n, uint64_t digest)
{
	uint64_t nobody = 0;

	return n != 0 && n < c->nrows &&
	    n < atomic_load_explicit(&c->head->ready, memory_order_acquire) &&
	    atomic_compare_exchange_strong(&counters_row(c, n)->owner, &nobody, digest);
}

/*
 * Is there a row to take?  The disk is asked before anything is taken, so that
 * a full one costs neither a bucket nor a row.
 */
static bool
row_to_take(struct counters *c, uint64_t now)
{
	uint32_t next = atomic_load_explicit(&c->head->next, relaxed);

	if (c->spare != 0)
		return true;
	c->lack = LACK_ROWS;
	if (next >= c->nrows)
		return false;
	if (next < atomic_load_explicit(&c->head->ready, memory_order_acquire))
		goto room;
	c->lack = LACK_SPACE;
	if (now < c->grow_after)
		return false;
	if (counters_grow(c, next))
		goto room;
	c->grow_after = now + GROW_PAUSE;
	return false;
room:
	c->lack = LACK_NOTHING;
	return true;
}

/*
 * A row was taken for nothing.  The file has it back if it is the last one taken:
 * a process that lives for one connection has no next name to keep it for.
 */
static void
row_give_back(struct counters *c, uint32_t n)
{
	uint32_t next = n + 1;

	atomic_store(&counters_row(c, n)->owner, 0);
	if (!atomic_compare_exchange_strong(&c->head->next, &next, n))
		c->spare = n;
}

/* Takes a row for the digest; 0: none left. */
static uint32_t
row_take(struct counters *c, uint64_t digest, uint64_t now)
{
	uint64_t nobody;
	uint32_t n;

	while (row_to_take(c, now)) {
		if ((n = c->spare) != 0) {
			c->spare = 0;
		} else {
			n = atomic_load_explicit(&c->head->next, relaxed);
			if (n >= atomic_load_explicit(&c->head->ready, memory_order_acquire) ||
			    n >= c->nrows ||
			    !atomic_compare_exchange_strong(&c->head->next, &n, n + 1))
				continue;
		}
		/* It may have an owner: after a power cut, or a fork that copied our spare. */
		nobody = 0;
		if (atomic_compare_exchange_strong(&counters_row(c, n)->owner, &nobody, digest))
			return n;
	}
	return 0;
}

/*
 * The row that the bucket names; where it has none, or another's, it is given
 * one.  0: none left.
 */
static uint32_t
bucket_row(struct counters *c, struct bucket *b, uint64_t digest, uint64_t now)
{
	uint32_t named = atomic_load_explicit(&b->row, memory_order_acquire), n;

	while (!row_belongs(c, named, digest) && !row_adopt(c, named, digest)) {
		if ((n = row_take(c, digest, now)) == 0)
			return 0;
		if (atomic_compare_exchange_strong(&b->row, &named, n))
			return n;
		row_give_back(c, n);		/* another process was first */
	}
	return named;
}

/* The row to count in; 0, which is "other", where no more can be had. */
static uint32_t
row_for(struct counters *c, uint64_t digest, uint64_t now)
{
	uint64_t d;
	struct bucket *b;
	uint32_t i;

	/* The index is only read, and to read(2) it is a tenth of a page fault. */
	if (c->young > 0 && row_belongs(c, i = counters_row_of(c, digest), digest))
		return i;
	for (i = 0; i < COUNTERS_PROBES && i < c->nbuckets; i++) {
		b = &c->index[(digest + i) & (c->nbuckets - 1)];
		d = atomic_load_explicit(&b->digest, relaxed);
		if (d == 0) {
			if (!row_to_take(c, now))
				return 0;
			if (atomic_compare_exchange_strong(&b->digest, &d, digest))
				d = digest;
		}
		if (d == digest)
			return bucket_row(c, b, digest, now);
	}
	c->lack = LACK_ROWS;
	return 0;
}

static uint32_t
rule_row(struct counters *c, const struct settings *settings, const struct rule *r, uint64_t now)
{
	uint32_t *known = counters_known(c, settings, r), n;

	if (known != NULL && *known != 0)
		return *known;
	n = row_for(c, counters_digest((enum section)r->section, settings_name(settings, r)), now);
	counters_know(c, known, n);
	return n;
}

/*
 * Is what is mapped there to be touched?  Looks from time to time whether
 * somebody removed the file, or cut it short.
 */
static bool
counters_there(struct counters *c, uint64_t now)
{
	if (now >= c->looked && now - c->looked < LOOK_PAUSE)
		return !c->cut;
	c->looked = now;
	if (c->cut || counters_replaced(c))
		counters_reopen(c);
	return !c->cut;
}

void
counters_recheck(struct counters *c, uint64_t now)
{
	c->young = COUNTERS_YOUNG;
	c->looked = now + 1;		/* in the time to come: never lately */
	(void)counters_there(c, now);
}

static void
add(_Atomic uint64_t *n)
{
	atomic_fetch_add_explicit(n, 1, relaxed);
}

static void
count_row(struct counters *c, uint32_t n, const struct facts *f, const struct verdict *v,
    uint64_t now)
{
	struct row *r = counters_row(c, n);
	enum reason reason = (unsigned)v->reason < REASON_MAX ? v->reason : REASON_NONE;
	uint64_t last;

	switch (v->action) {
	case ACT_REPORT:
		add(&counters_reasons(c, n)->would[reason]);
		if (reason == REASON_TLS_REFUSED)	/* a STARTTLS: its mail comes yet */
			break;
		/* FALLTHROUGH */
	case ACT_ACCEPT:
		add(&r->accepted[f->tls == TLS_NONE ? COUNT_CLEAR : COUNT_TLS]);
		if (f->tls != TLS_NONE && f->cert.status == CERT_TRUSTED)
			add(&r->accepted[COUNT_VERIFIED]);
		break;
	case ACT_REFUSE:
	case ACT_DEFER:
		add(&counters_reasons(c, n)->refused[reason]);
		last = atomic_load_explicit(&r->last_refusal, relaxed);
		while (last < now && !atomic_compare_exchange_weak_explicit(&r->last_refusal,
		    &last, now, relaxed, relaxed))
			;
		break;
	case ACT_LATER:
		break;
	}
}

/*
 * A recipient that MAIL has let pass as would-refused is told by MAIL: at RCPT only
 * what the [domain] itself asks is one more.
 */
static bool
told_by_mail(const struct verdict *v)
{
	return v->action == ACT_REPORT && v->server == NULL && v->rule != NULL &&
	    v->rule->section != SEC_DOMAIN;
}

static void
count_reason(struct counters *c, const struct verdict *v)
{
	enum reason reason = (unsigned)v->reason < REASON_MAX ? v->reason : REASON_NONE;

	if (v->action == ACT_REFUSE || v->action == ACT_DEFER)
		add(&c->head->refused[reason]);
	else if (v->action == ACT_REPORT && !told_by_mail(v))
		add(&c->head->would[reason]);
}

void
counters_add(struct counters *c, const struct settings *settings,
    const struct facts *f, const struct verdict *v, uint64_t now)
{
	const struct rule *rules[] = { v->server, v->listener, v->client, v->domain, v->peer };
	uint32_t server;

	if (c == NULL || !c->writer || !counters_there(c, now))
		return;
	add(&c->head->calls);
	if (c->young > 0)
		c->young--;
	counters_alive(c, now);
	if (!v->counted || v->action == ACT_LATER)
		return;
	if (v->action == ACT_REFUSE || v->action == ACT_DEFER)
		counters_note(c, settings, f, v, now);
	count_reason(c, v);
	if (settings == NULL) {		/* there is nothing to find a rule in */
		server = row_for(c, counters_digest(SEC_SERVER, ""), now);
		count_row(c, server, f, v, now);
		return;
	}
	if (settings == c->followed)
		counters_look_back(c);
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i] != NULL)
			count_row(c, rule_row(c, settings, rules[i], now), f, v, now);
}

bool
counters_tell(struct counters *c, uint64_t now, char *why, size_t whysize)
{
	enum counters_lack lack;
	uint64_t told;

	if (c == NULL)
		return false;
	if (c->replaced[0] != '\0') {
		snprintf(why, whysize, "%s", c->replaced);
		c->replaced[0] = '\0';
		return true;
	}
	lack = c->lack;
	c->lack = LACK_NOTHING;
	if (lack == LACK_NOTHING || c->cut)
		return false;
	told = atomic_load_explicit(&c->head->full_told, relaxed);
	if ((told != 0 && now >= told && now - told < FULL_PAUSE) ||
	    !atomic_compare_exchange_strong(&c->head->full_told, &told, now))
		return false;
	if (lack == LACK_ROWS)
		snprintf(why, whysize, "%s: is full with %u names; further ones are counted "
		    "together as \"other\"; remove it to begin anew from 0", c->path, c->nrows - 1);
	else
		snprintf(why, whysize, "%s: there is no space on the disk for more names; they "
		    "are counted together as \"other\" until there is", c->path);
	return true;
}

struct counters *
counters_open(const char *state_dir, const char *frontend, bool writer, char *why,
    size_t whysize)
{
	return counters_open_rows(state_dir, frontend, writer, COUNTERS_ROWS, why, whysize);
}
