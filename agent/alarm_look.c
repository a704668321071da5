#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alarm_file.h"
#include "alarm_int.h"
#include "probe_file.h"
#include "snmp_log.h"

#define AGAIN_MS	(60 * 1000)	/* until the next round while something is wrong */
#define REST_MS		5000		/* between two rounds by the interval */
#define SETTLE_MS	1500		/* from a change of the settings to a round */
#define CALM_MS		10000		/* between two rounds for such changes */

static const enum section rate_section[2] = { SEC_DOMAIN, SEC_PEER };

/* ---- what is refused ---- */

static uint64_t
refused_ever(const struct alarms *a, enum section section, const char *name)
{
	struct count c;

	counters_all_get(a->counters, section, name, &c);
	return count_sum(c.refused) + count_sum(c.would);
}

/* Rules keep their sums while others come and go; a new one counts from now on. */
static void
carry_rates(struct alarms *a, size_t k, const struct settings *before)
{
	const struct settings *s = alarms_settings(a);
	enum section section = rate_section[k];
	size_t n = settings_count(s, section);
	struct rate_memory *rate = calloc(n + 1, sizeof(*rate));
	const bool on = (alarm_kinds_off(s) >> ALARM_REFUSALS & 1) == 0;
	const struct rule *old, *first;

	first = before == NULL ? NULL : settings_at(before, section, 0);
	for (size_t i = 0; rate != NULL && i < n; i++) {
		const char *name = settings_name(s, settings_at(s, section, i));

		old = before == NULL ? NULL : settings_find(before, section, name);
		if (old != NULL && a->rate[k] != NULL) {
			rate[i] = a->rate[k][old - first];
			if (on && rate[i].muted)
				rate[i].told = rate[i].muted = false;
		} else if (a->counters != NULL) {
			rate[i].last = rate[i].top = refused_ever(a, section, name);
			rate[i].based = true;
			rate[i].told = memory_rate(&a->memory, section, name);
		}
	}
	free(a->rate[k]);
	a->rate[k] = rate;
}

/* True: a file of counters can be read that could not: its figures are of before. */
static bool
look_hidden(struct alarms *a)
{
	bool shown = false, hidden;

	for (size_t i = 0; i < COUNTERS_FRONTENDS; i++) {
		hidden = counters_all_why(a->counters, i) != NULL &&
		    !counters_all_absent(a->counters, i);
		shown |= a->hidden[i] && !hidden;
		a->hidden[i] = hidden;
	}
	return shown;
}

void
look_rates(struct alarms *a)
{
	const struct settings *s = alarms_settings(a);
	uint32_t limit = alarms_key(a, KEY_REFUSAL_RATE);
	time_t now = time(NULL);
	bool shown;

	if (s == NULL || a->counters == NULL)
		return;
	counters_all_refresh(a->counters);
	shown = look_hidden(a);
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; a->rate[k] != NULL &&
		    i < settings_count(s, rate_section[k]); i++) {
			const char *name = settings_name(s, settings_at(s, rate_section[k], i));
			struct rate_memory *m = &a->rate[k][i];

			m->based &= !shown;
			if (detect_refusals(m, rate_section[k], name,
			    refused_ever(a, rate_section[k], name), limit, now, alarms_raise, a))
				memory_set_rate(&a->memory, rate_section[k], name,
				    m->told && !m->muted);
		}
}

void
look_settings_changed(struct alarms *a, const struct settings *before)
{
	look_carry_certificates(a, before);
	memory_keep(&a->memory, alarms_settings(a));
	switch_look(a);
	look_carry_pins(a);
	if (a->counters != NULL) {
		counters_all_refresh(a->counters);
		if (before == NULL)
			(void)look_hidden(a);
	}
	for (size_t k = 0; k < 2; k++)
		carry_rates(a, k, before);
	/* A manager that sets much is not followed by a probe for each. */
	look_soon(a, a->rest > alarms_clock() + SETTLE_MS ? a->rest - alarms_clock() : SETTLE_MS);
}

/* ---- what listeners show ---- */

void
look_soon(struct alarms *a, int64_t ms)
{
	int64_t at = alarms_clock() + ms;

	if (alarms_key(a, KEY_PROBE_INTERVAL) == 0)
		return;
	if (a->probe_at == 0 || at < a->probe_at)
		a->probe_at = at;
}

/* One target's: told, and put in the file.  True: look again soon. */
static bool
end_target(struct alarms *a, size_t i, FILE *f)
{
	const struct probe_target *t = &a->round.target[i];
	const struct probe_result *r = &a->round.result[i];
	struct probe_found found[PROBE_FINDINGS];
	char listener[ADDR_TEXT];
	struct listener_memory *m;
	struct probe_expect want;
	struct probe_seen seen;
	time_t now = time(NULL);
	uint32_t told, muted;
	size_t n;
	bool again = false;

	probe_expect(alarms_settings(a), t, r, &want);
	n = probe_compare(t, &want, r, round_plain(&a->round, i), now, found);
	probe_seen_set(&seen, t, &want, r, found, n, now);
	a->faults += n > 0;
	if (f != NULL)
		probe_file_put(f, &seen);
	m = memory_listener(&a->memory, addr_format_listener(&t->listener, listener), t->sni);
	if (m != NULL) {
		told = m->told;
		muted = m->muted;
		m->here = true;
		again = detect_listener(m, t, &want, r, found, n,
		    look_fresh(a, want.certificate, a->round.began[i]), now, alarms_raise, a);
		a->memory.changed |= m->told != told || m->muted != muted;
	}
	return again;
}

/* What was wrong and is not any more, of listeners that are there and of those that went. */
static void
end_listeners(struct alarms *a)
{
	struct alarm_memory *m = &a->memory;

	for (size_t i = 0; i < m->nlistener; i++)
		if (!m->listener[i].here)
			detect_listener_gone(&m->listener[i]);
	for (size_t i = 0; i < m->nlistener; i++)
		if (m->listener[i].over != 0)
			detect_listener_over(m->listener, m->nlistener, i, time(NULL), alarms_raise, a);
	memory_keep_listeners(m);
}

/* What is left out is said once. */
static void
say_left(struct alarms *a)
{
	if (a->round.left > 0 && !a->left_told)
		log_line(LOG_WARNING, "%zu listeners and names of certificates are not probed: %d at most "
		    "are, listeners first", a->round.left, PROBE_TARGETS_MAX);
	a->left_told = a->round.left > 0;
}

static void
end_round(struct alarms *a)
{
	uint32_t interval = alarms_key(a, KEY_PROBE_INTERVAL);
	int64_t wait = (int64_t)interval * 1000;
	struct alarm_file f = { .to = NULL };
	bool again = false;

	if (!alarm_file_open(&f, a->probe_path))
		f.to = NULL;
	a->faults = 0;
	for (size_t i = 0; i < a->memory.nlistener; i++)
		a->memory.listener[i].here = false;
	for (size_t i = 0; i < a->round.n; i++)
		again |= end_target(a, i, f.to);
	end_listeners(a);
	say_left(a);
	if (f.to != NULL && !alarm_file_close(&f))
		log_line(LOG_WARNING, "%s: %s", a->probe_path, strerror(errno));
	a->probed = time(NULL);
	a->rest = alarms_clock() + CALM_MS;
	if (again && wait > AGAIN_MS)
		wait = AGAIN_MS;
	if (wait < REST_MS)
		wait = REST_MS;
	if (interval > 0 && a->probe_at == 0)
		look_soon(a, wait);
	else if (a->probe_at != 0 && a->probe_at < alarms_clock() + 1000)
		a->probe_at = alarms_clock() + 1000;
}

void
look_round(struct alarms *a)
{
	const struct settings *s = alarms_settings(a);

	if (a->round.running) {
		if (round_step(&a->round))
			end_round(a);
		return;
	}
	if (a->probe_at == 0 || alarms_clock() < a->probe_at || s == NULL)
		return;
	a->probe_at = 0;
	if (alarms_key(a, KEY_PROBE_INTERVAL) == 0)
		return;
	if (round_start(&a->round, s))
		round_step(&a->round);
	else
		look_soon(a, AGAIN_MS);
}

void
look_free(struct alarms *a)
{
	round_free(&a->round);
	for (size_t k = 0; k < 2; k++)
		free(a->rate[k]);
	free(a->cert);
	look_free_pins(a);
}
