#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alarm_file.h"
#include "alarm_int.h"
#include "probe_file.h"
#include "snmp_log.h"

#define BOUNDS_MAX	64		/* of expiry_days */
#define HOUR_MS		(3600 * 1000)
#define AGAIN_MS	(60 * 1000)	/* until the next round while something is wrong */
#define REST_MS		5000		/* between two rounds by the interval */
#define SETTLE_MS	1500		/* from a change of the settings to a round */
#define GRACE_MS	(60 * 1000)	/* for a server to show a certificate that is new */
#define CALM_MS		10000		/* between two rounds for such changes */

static const enum section rate_section[2] = { SEC_DOMAIN, SEC_PEER };

/* ---- certificates ---- */

static const struct rule *
cert_rule(const struct settings *s, size_t i)
{
	size_t n = settings_count(s, SEC_CERTIFICATE);

	return i < n ? settings_at(s, SEC_CERTIFICATE, i) : settings_at(s, SEC_CA, i - n);
}

static size_t
take_bounds(const struct settings *s, uint32_t bounds[BOUNDS_MAX])
{
	static const uint32_t preset[] = { 30, 14, 7, 1 };	/* key_table's */
	struct list list = settings_list(s, settings_find(s, SEC_AGENT, ""), KEY_EXPIRY_DAYS);
	size_t n = 0;

	while (n < BOUNDS_MAX && list_next_number(&list, &bounds[n]))
		n++;
	if (n > 0)
		return n;
	memcpy(bounds, preset, sizeof(preset));
	return sizeof(preset) / sizeof(preset[0]);
}

/* Reads the files, compares with what was told. */
static void
read_certificate(struct alarms *a, const struct rule *r, struct cert_files *c)
{
	const struct settings *s = alarms_settings(a);
	const char *file = settings_text(s, r, KEY_FILE);
	struct cert_memory *m = memory_cert(&a->memory, (enum section)r->section,
	    settings_name(s, r)), was;
	uint32_t bounds[BOUNDS_MAX], most = 0;
	size_t n = take_bounds(s, bounds);
	time_t now = time(NULL);
	struct cert_info *info = calloc(1, sizeof(*info));
	bool again;

	c->again = alarms_clock() + HOUR_MS;
	if (file == NULL || m == NULL || info == NULL) {
		free(info);
		return;
	}
	was = *m;
	for (size_t i = 0; i < n; i++)
		most = bounds[i] > most ? bounds[i] : most;
	if (r->section == SEC_CA)
		cert_inspect_bundle(file, now, most, info);
	else
		cert_inspect(file, settings_text(s, r, KEY_KEY), now, most, info);
	again = detect_certificate(m, file, info, bounds, n, now, alarms_raise, a);
	if (again)
		c->again = alarms_clock() + ALARM_CONFIRM * 1000;
	c->read = true;
	c->days = info->days_left;
	c->not_after = info->parsed ? info->not_after : 0;
	a->memory.changed |= memcmp(&was, m, sizeof(was)) != 0;
	free(info);
}

static void
identify(const struct settings *s, const struct rule *r, size_t k, struct file_id *id)
{
	static const enum key keys[2] = { KEY_FILE, KEY_KEY };
	const char *path = settings_text(s, r, keys[k]);

	if (path == NULL || !file_identify(path, id))
		memset(id, 0, sizeof(*id));
}

/* True: the files are others than those that were read, and stay as they are. */
static bool
files_changed(const struct settings *s, const struct rule *r, struct cert_files *c)
{
	struct file_id now;
	bool same = true;

	for (size_t k = 0; k < 2; k++) {
		identify(s, r, k, &now);
		if (!file_id_equal(&now, &c->id[k])) {
			same = false;
			if (c->looked && k == 0)
				c->changed = alarms_clock();
		}
		c->id[k] = now;
	}
	c->looked = true;
	if (!same)
		c->settled = false;
	else if (!c->settled)
		return c->settled = true;
	return false;
}

static int64_t
grace(const struct alarms *a)
{
	int64_t interval = (int64_t)alarms_key(a, KEY_PROBE_INTERVAL) * 1000;

	return interval < GRACE_MS ? interval : GRACE_MS;
}

/* Was the file of this [certificate] so new when a listener was asked? */
static bool
file_fresh(struct alarms *a, const char *name, int64_t asked)
{
	const struct settings *s = alarms_settings(a);
	size_t n = settings_count(s, SEC_CERTIFICATE);
	struct file_id now;

	for (size_t i = 0; i < n && i < a->ncert; i++) {
		const struct rule *r = settings_at(s, SEC_CERTIFICATE, i);
		struct cert_files *c = &a->cert[i];

		if (strcmp(settings_name(s, r), name) != 0)
			continue;
		identify(s, r, 0, &now);	/* it may have come since the last look */
		if (c->looked && !file_id_equal(&now, &c->id[0]))
			c->changed = alarms_clock();
		return c->changed != 0 && asked < c->changed + grace(a);
	}
	return false;
}

static bool
time_changed(const struct cert_files *c, time_t now)
{
	long left;

	if (!c->read || c->not_after == 0)
		return false;
	left = (long)((c->not_after - now) / 86400);
	if (c->not_after < now && (c->not_after - now) % 86400 != 0)
		left--;
	return left != c->days;
}

void
look_certificates(struct alarms *a)
{
	const struct settings *s = alarms_settings(a);
	int64_t ms = alarms_clock();
	time_t now = time(NULL);

	for (size_t i = 0; i < a->ncert; i++) {
		const struct rule *r = cert_rule(s, i);
		struct cert_files *c = &a->cert[i];
		bool changed = files_changed(s, r, c);

		if (changed && c->read)
			look_soon(a, 0);
		if (changed || (c->settled && (ms >= c->again || time_changed(c, now))))
			read_certificate(a, r, c);
	}
}

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
	const struct rule *old, *first;

	first = before == NULL ? NULL : settings_at(before, section, 0);
	for (size_t i = 0; rate != NULL && i < n; i++) {
		const char *name = settings_name(s, settings_at(s, section, i));

		old = before == NULL ? NULL : settings_find(before, section, name);
		if (old != NULL && a->rate[k] != NULL)
			rate[i] = a->rate[k][old - first];
		else if (a->counters != NULL) {
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
				memory_set_rate(&a->memory, rate_section[k], name, m->told);
		}
}

/* What is known of the files of a certificate that was there before. */
static void
carry_cert(const struct alarms *a, const struct settings *before, const struct rule *r,
    struct cert_files *c)
{
	const struct settings *s = alarms_settings(a);

	for (size_t i = 0; before != NULL && i < a->ncert; i++) {
		const struct rule *old = cert_rule(before, i);
		const char *was = settings_text(before, old, KEY_FILE);
		const char *is = settings_text(s, r, KEY_FILE);

		if (old->section != r->section ||
		    strcmp(settings_name(before, old), settings_name(s, r)) != 0)
			continue;
		c->looked = a->cert[i].looked;
		c->changed = a->cert[i].changed;
		memcpy(c->id, a->cert[i].id, sizeof(c->id));
		if (was == NULL || is == NULL || strcmp(was, is) != 0)
			c->changed = alarms_clock();
	}
}

static void
carry_certs(struct alarms *a, const struct settings *before)
{
	const struct settings *s = alarms_settings(a);
	size_t n = settings_count(s, SEC_CERTIFICATE) + settings_count(s, SEC_CA);
	struct cert_files *cert = calloc(n + 1, sizeof(*cert));

	if (cert == NULL)
		n = 0;
	for (size_t i = 0; i < n; i++)
		carry_cert(a, before, cert_rule(s, i), &cert[i]);
	free(a->cert);
	a->cert = cert;
	a->ncert = n;
}

void
look_settings_changed(struct alarms *a, const struct settings *before)
{
	carry_certs(a, before);
	memory_keep(&a->memory, alarms_settings(a));
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
	uint32_t told;
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
		m->here = true;
		again = detect_listener(m, t, &want, r, found, n,
		    file_fresh(a, want.certificate, a->round.began[i]), now, alarms_raise, a);
		a->memory.changed |= m->told != told;
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
}
