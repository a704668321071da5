#include <sys/random.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snmp_certs.h"
#include "snmp_log.h"
#include "snmp_set_log.h"
#include "snmp_view.h"

static int64_t
clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t
view_wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

time_t
view_clock(void)
{
	return (time_t)(clock_ms() / 1000);
}

const struct settings *
view_settings(const struct view *v)
{
	return held_settings(v->hold.now);
}

bool
view_init(struct view *v, const char *path)
{
	memset(v, 0, sizeof(*v));
	hold_init(&v->hold, path);
	v->hold.leave = hold_leave;
	v->link.started = time(NULL);
	v->began = v->agent_began = view_wall();
	/* RFC 2579: no start brings back a value that a manager may know. */
	if (getrandom(&v->lock, sizeof(v->lock), GRND_NONBLOCK) != sizeof(v->lock))
		v->lock = (int32_t)(time(NULL) & INT32_MAX);
	v->lock &= INT32_MAX;
	v->waiting = waiting_copy(NULL);
	v->refusals = calloc(1, sizeof(*v->refusals));
	v->certs = certs_new();
	return v->waiting != NULL && v->refusals != NULL && v->certs != NULL;
}

void
view_free(struct view *v)
{
	hold_free(&v->hold);
	if (v->counters != NULL)
		counters_all_close(v->counters);
	free(v->state_dir);
	waiting_free(v->waiting);
	free(v->longs.at);
	free(v->refusals);
	certs_free(v->certs);
	memset(v, 0, sizeof(*v));
}

/* ---- rules with long names ---- */

static uint32_t
long_number(const struct rule *r, const char *name)
{
	uint64_t h = (0xcbf29ce484222325u ^ r->section) * 0x100000001b3u;

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3u;
	h ^= h >> 32;
	return (uint32_t)(h % INT32_MAX) + 1;
}

static int
by_number(const void *va, const void *vb)
{
	const struct long_rule *a = va, *b = vb;

	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	return a->rule < b->rule ? -1 : a->rule > b->rule;
}

/* The next rule of the section from *i on that has a long name; NULL: none. */
static const struct rule *
long_next(const struct settings *s, enum section section, size_t *i)
{
	const struct rule *r;

	while ((r = settings_at(s, section, (*i)++)) != NULL)
		if (strlen(settings_name(s, r)) > ROW_NAME_MAX)
			break;
	return r;
}

static void
long_find(struct view *v, const struct settings *s)
{
	static const enum section sections[] = { SEC_DOMAIN, SEC_PEER };
	struct long_rules *l = &v->longs;
	const struct rule *r;
	size_t n = 0, i;

	free(l->at);
	*l = (struct long_rules){ NULL, 0 };
	memset(v->omitted, 0, sizeof(v->omitted));
	for (int k = 0; s != NULL && k < 2; k++)
		for (i = 0; long_next(s, sections[k], &i) != NULL; n++)
			v->omitted[sections[k]]++;
	if (n == 0 || (l->at = calloc(n, sizeof(*l->at))) == NULL)
		return;
	for (int k = 0; k < 2; k++)
		for (i = 0; (r = long_next(s, sections[k], &i)) != NULL; l->n++)
			l->at[l->n] = (struct long_rule){ long_number(r, settings_name(s, r)), r };
	qsort(l->at, l->n, sizeof(*l->at), by_number);
	for (i = 1; i < l->n; i++)
		if (l->at[i].number <= l->at[i - 1].number)
			l->at[i].number = l->at[i - 1].number + 1;
}

/* ---- counters ---- */

/* Is there a file that counts, and that is in no sum? */
static bool
any_unreadable(const struct counters_all *all)
{
	for (size_t i = 0; i < COUNTERS_FRONTENDS; i++)
		if (counters_all_why(all, i) != NULL && !counters_all_absent(all, i))
			return true;
	return false;
}

/*
 * The settings may have moved the folder of the counters.  At the start of the agent
 * the sums go on from where they were, unless some of them cannot be had.
 */
static void
counters_follow(struct view *v, const struct settings *s)
{
	const char *dir = settings_place(s, SEC_SERVER, KEY_STATE_DIR);

	if (v->state_dir != NULL && strcmp(v->state_dir, dir) == 0)
		return;
	if (v->counters != NULL)
		counters_all_close(v->counters);
	free(v->state_dir);
	v->state_dir = strdup(dir);
	v->counters = counters_all_open(dir);
	v->breaks = 0;
	v->since = v->since != 0 || any_unreadable(v->counters) ? view_wall() :
	    (int64_t)counters_all_since(v->counters) * 1000;
}

/* A file that comes or goes takes what it had counted into the sums, or out of them. */
static void
counters_look(struct view *v)
{
	unsigned breaks;

	counters_all_refresh(v->counters);
	if ((breaks = counters_all_breaks(v->counters)) != v->breaks)
		v->since = view_wall();
	v->breaks = breaks;
}

_Static_assert(WAITING_AGE == 300, "what set_log_dropped is told");

/* Drops rows that nobody touched for long, and those that a file now has. */
static void
waiting_tidy(struct view *v)
{
	const struct settings *s = view_settings(v);
	time_t now = view_clock();

	for (size_t i = v->waiting->n; i-- > 0; ) {
		const struct waiting *w = &v->waiting->row[i];

		if (now - w->touched > WAITING_AGE) {
			set_log_dropped(v, w, "untouched for five minutes");
			waiting_remove(v->waiting, i);
		} else if (s != NULL && settings_find(s, w->section, w->name) != NULL) {
			set_log_dropped(v, w, "it is in the file now, and what the file says holds");
			waiting_remove(v->waiting, i);
		}
	}
}

void
view_refresh(struct view *v)
{
	const struct settings *s;

	if (hold_refresh(&v->hold, log_text)) {
		s = view_settings(v);
		v->loaded = time(NULL);
		long_find(v, s);
		certs_follow(v->certs, s);
		v->looked = 0;
		counters_follow(v, s);
	} else if (v->state_dir == NULL)
		counters_follow(v, view_settings(v));
	counters_look(v);
	if (clock_ms() - v->looked >= VIEW_LOOK_MS) {
		v->looked = clock_ms();
		v->refusals->n = SIZE_MAX;
		certs_turn(v->certs, view_settings(v));
	}
	if (v->waiting->n > 0 && view_clock() >= v->settle)
		waiting_tidy(v);
}

void
view_count(const struct view *v, enum section section, const char *name, struct count *c)
{
	memset(c, 0, sizeof(*c));
	if (v->counters != NULL)
		counters_all_get(v->counters, section, name, c);
}

const struct rule *
view_rule(const struct view *v, enum section section, const char *name)
{
	const struct settings *s = view_settings(v);

	return s == NULL ? NULL : settings_find(s, section, name);
}

const struct waiting *
view_waiting(const struct view *v, enum section section, const char *name)
{
	return waiting_find(v->waiting, section, name);
}

const struct refusals *
view_refusals(const struct view *v)
{
	struct refusals *r = v->refusals;
	struct recent list[COUNTERS_RECENT];

	if (r->n != SIZE_MAX)
		return r;
	r->n = 0;
	for (size_t f = 0; f < COUNTERS_FRONTENDS; f++) {
		size_t n = counters_all_recent(v->counters, f, list);

		for (size_t i = 0; i < n && r->n < VIEW_REFUSALS; i++) {
			r->at[r->n].front_end = f;
			r->at[r->n++].what = list[i];
		}
	}
	return r;
}

/* ---- changes ---- */

void
view_waiting_put(struct view *v, struct waiting_list *list)
{
	waiting_free(v->waiting);
	v->waiting = list;
}

void
view_refused(struct view *v, const char *why)
{
	v->changes_refused++;
	v->change_error_time = time(NULL);
	snprintf(v->change_error, sizeof(v->change_error), "%s", why);
	log_line(LOG_WARNING, "SNMP SET refused: %s", why);
}
