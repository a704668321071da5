#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarm_detect.h"
#include "alarm_memory.h"

#define BIT(f) (1u << (f))
#define OF_EXPIRY (BIT(ALARM_EXPIRING) | BIT(ALARM_EXPIRED))
#define NEVER (36500L * 86400)	/* an end that a CRL does not have */

static struct event
event_of(enum alarm kind, enum section section, const char *name, time_t now)
{
	struct event e = { .kind = kind, .section = section, .time = now };

	snprintf(e.name, sizeof(e.name), "%s", name);
	return e;
}

/* ---- certificates ---- */

int32_t
detect_mark(long days_left, bool ended, const uint32_t *bounds, size_t n)
{
	int32_t mark = MARK_NONE;

	if (ended)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (days_left <= (long)bounds[i] && (int32_t)bounds[i] < mark)
			mark = (int32_t)bounds[i];
	if (days_left <= ALARM_WEEK && mark != MARK_NONE)
		mark = days_left < 0 ? 0 : (int32_t)days_left;
	return mark;
}

static bool
is_crl(const struct cert_memory *m)
{
	return strstr(m->name, MEMORY_CRL) != NULL;
}

static struct event
event_of_cert(enum alarm kind, const struct cert_memory *m, const char *file,
    const struct cert_info *info, time_t now)
{
	struct event e = event_of(kind, (enum section)m->section, m->name, now);

	if (is_crl(m))
		*strstr(e.name, MEMORY_CRL) = '\0';
	snprintf(e.file, sizeof(e.file), "%s", file);
	e.state = info->state;
	if (info->parsed) {
		snprintf(e.subject, sizeof(e.subject), "%s", info->subject);
		memcpy(e.fingerprint, info->fingerprint, sizeof(e.fingerprint));
		e.not_after = info->not_after;
		e.days = (int32_t)info->days_left;
	}
	return e;
}

static bool
is_fault(enum cert_state state)
{
	return state != CERT_STATE_OK && state != CERT_STATE_EXPIRING &&
	    state != CERT_STATE_EXPIRED;
}

/* Another certificate, or one that was of no use and now is. */
static void
look_renewed(struct cert_memory *m, const char *file, const struct cert_info *info,
    time_t now, alarm_raise *raise, void *arg)
{
	bool other = m->known && memcmp(m->fingerprint, info->fingerprint, 32) != 0;
	struct event e;

	if (other || !m->known) {
		m->mark = MARK_NONE;
		m->told = 0;
		m->muted = 0;
	}
	if (other || m->fault != CERT_STATE_OK) {
		e = event_of_cert(ALARM_RENEWED, m, file, info, now);
		snprintf(e.text, sizeof(e.text), "%s, valid for %ld days",
		    other ? is_crl(m) ? "another CRL is in the file" :
		    "another certificate is in the file" : "it can be used again",
		    info->days_left);
		raise(arg, &e);
	}
	m->known = true;
	memcpy(m->fingerprint, info->fingerprint, 32);
	m->fault = m->seen = CERT_STATE_OK;
	m->muted &= ~BIT(ALARM_UNUSABLE);
}

static void
look_expiry(struct cert_memory *m, const char *file, const struct cert_info *info,
    const uint32_t *bounds, size_t n, time_t now, alarm_raise *raise, void *arg)
{
	int32_t mark = detect_mark(info->days_left, now > info->not_after, bounds, n);
	struct event e;

	if (m->told > now && m->looked != 0 && now > m->looked && now - m->looked <= ALARM_STEP)
		m->behind += now - m->looked;
	m->looked = m->told > now ? now : 0;
	if (m->looked == 0)
		m->behind = 0;
	if (m->told - now > ALARM_TRUST || m->behind > 86400) {
		m->looked = m->behind = 0;	/* a wrong clock had told */
		m->mark = mark < 0 ? MARK_NONE : mark;
		m->told = mark == MARK_NONE ? 0 : now;
	}
	if (mark >= m->mark)
		return;
	m->mark = mark;
	m->told = now;
	e = event_of_cert(mark < 0 ? ALARM_EXPIRED : ALARM_EXPIRING, m, file, info, now);
	if (is_crl(m))
		snprintf(e.text, sizeof(e.text), "%s", info->error);
	else if (mark < 0)
		snprintf(e.text, sizeof(e.text), "the certificate in %s has ended: put a new one "
		    "there and have the mail server read it", file);
	else
		snprintf(e.text, sizeof(e.text), "the certificate in %s ends in %d day%s: renew it",
		    file, e.days, e.days == 1 ? "" : "s");
	m->muted &= ~OF_EXPIRY;
	if (!raise(arg, &e))
		m->muted |= BIT(e.kind);
}

bool
detect_certificate(struct cert_memory *m, const char *file, const struct cert_info *info,
    const uint32_t *bounds, size_t n, time_t now, alarm_raise *raise, void *arg)
{
	struct event e;

	if (!is_fault(info->state)) {
		look_renewed(m, file, info, now, raise, arg);
		look_expiry(m, file, info, bounds, n, now, raise, arg);
		return false;
	}
	/* A chain that is short ends all the same. */
	if (info->parsed && m->known && memcmp(m->fingerprint, info->fingerprint, 32) == 0)
		look_expiry(m, file, info, bounds, n, now, raise, arg);
	if (m->fault == info->state)
		return false;
	if (m->seen != info->state) {
		m->seen = info->state;
		m->seen_since = now;
		return true;
	}
	if (now >= m->seen_since && now - m->seen_since < ALARM_CONFIRM)
		return true;
	m->fault = info->state;
	if (info->parsed) {
		if (m->known && memcmp(m->fingerprint, info->fingerprint, 32) != 0)
			m->mark = MARK_NONE;
		m->known = true;
		memcpy(m->fingerprint, info->fingerprint, 32);
	}
	e = event_of_cert(ALARM_UNUSABLE, m, file, info, now);
	snprintf(e.text, sizeof(e.text), "%s", info->error);
	if (!raise(arg, &e))
		m->muted |= BIT(ALARM_UNUSABLE);
	return false;
}

bool
detect_crl(struct cert_memory *m, const char *file, const struct crl_info *crl,
    const uint32_t *bounds, size_t n, time_t now, alarm_raise *raise, void *arg)
{
	struct cert_info *info = calloc(1, sizeof(*info));
	bool again;

	if (info == NULL)
		return false;
	info->state = crl->state;
	info->parsed = crl->parsed;
	snprintf(info->error, sizeof(info->error), "%s", crl->error);
	snprintf(info->subject, sizeof(info->subject), "CRL of %.500s", crl->issuer);
	info->not_before = crl->this_update;
	info->not_after = crl->next_update != 0 ? crl->next_update : now + NEVER;
	info->days_left = crl->next_update != 0 ? crl->days_left : NEVER / 86400;
	memcpy(info->fingerprint, &crl->this_update, sizeof(crl->this_update));
	memcpy(info->fingerprint + 8, &crl->next_update, sizeof(crl->next_update));
	if (m->mark == MARK_NONE && m->fault == CERT_STATE_OK && crl->parsed)
		memcpy(m->fingerprint, info->fingerprint, sizeof(m->fingerprint));
	/* How late is late depends on its life, which cert_inspect_crl knows. */
	again = detect_certificate(m, file, info, bounds, crl->state == CERT_STATE_EXPIRING ? n : 0,
	    now, raise, arg);
	free(info);
	return again;
}

/* ---- settings ---- */

static uint32_t
mib_value(const struct rule *r, enum key k)
{
	return rule_sets(r, k) ? settings_value(r, k) + 2 : 1;
}

static int
order_rules(const struct settings *a, const struct rule *x, const struct settings *b,
    const struct rule *y)
{
	struct addr ax, ay;

	if (x == NULL || y == NULL)
		return x == NULL ? 1 : -1;
	if (x->section == SEC_LISTENER || x->section == SEC_CLIENT) {
		ax = settings_addr(a, x);
		ay = settings_addr(b, y);
		return addr_cmp(&ax, &ay);
	}
	return strcmp(settings_name(a, x), settings_name(b, y));
}

void
detect_modes(const struct settings *before, const struct settings *after,
    enum changer by, time_t now, alarm_raise *raise, void *arg)
{
	const struct rule *x, *y;
	struct event e;
	size_t i, k;
	int c;

	for (int s = 0; s < SEC_RULES; s++)
		for (i = k = 0;;) {
			x = settings_at(before, (enum section)s, i);
			y = settings_at(after, (enum section)s, k);
			if (x == NULL && y == NULL)
				break;
			c = order_rules(before, x, after, y);
			e = event_of(ALARM_MODE, (enum section)s, c <= 0 ?
			    settings_name(before, x) : settings_name(after, y), now);
			e.by = by;
			e.old_mode = mib_value(c <= 0 ? x : NULL, KEY_MODE);
			e.old_cert = mib_value(c <= 0 ? x : NULL, KEY_CLIENT_CERT);
			e.new_mode = mib_value(c >= 0 ? y : NULL, KEY_MODE);
			e.new_cert = mib_value(c >= 0 ? y : NULL, KEY_CLIENT_CERT);
			if (e.old_mode != e.new_mode || e.old_cert != e.new_cert)
				raise(arg, &e);
			i += c <= 0;
			k += c >= 0;
		}
}

/* ---- listeners ---- */

#define OF_FILE (BIT(PROBE_OTHER_CERTIFICATE) | BIT(PROBE_CHAIN_SHORT))
#define OF_OFFER (BIT(PROBE_NO_STARTTLS) | BIT(PROBE_STARTTLS_REFUSED) | BIT(PROBE_TLS_UNWANTED))
#define TWICE (BIT(PROBE_UNREACHABLE) | BIT(PROBE_TLS_FAILED))

enum alarm
detect_finding_kind(enum probe_finding f)
{
	switch (f) {
	case PROBE_OTHER_CERTIFICATE:
		return ALARM_NOT_SHOWN;
	case PROBE_NOT_ASKING:
	case PROBE_NOT_VERIFYING:
		return ALARM_NOT_VERIFYING;
	default:
		return ALARM_FAULT;
	}
}

static bool
tell_finding(const struct probe_target *t, const struct probe_expect *want,
    const struct probe_result *r, const struct probe_found *f, time_t now,
    alarm_raise *raise, void *arg)
{
	char listener[ADDR_TEXT];
	struct event e;

	addr_format_listener(&t->listener, listener);
	if (detect_finding_kind(f->what) == ALARM_NOT_SHOWN) {
		e = event_of(ALARM_NOT_SHOWN, SEC_CERTIFICATE, want->certificate, now);
		snprintf(e.file, sizeof(e.file), "%.*s", ALARM_TEXT - 1, want->file);
		memcpy(e.fingerprint, want->chain[0], sizeof(e.fingerprint));
		memcpy(e.shown, r->chain[0], sizeof(e.shown));
	} else
		e = event_of(detect_finding_kind(f->what), SEC_LISTENER, listener, now);
	snprintf(e.listener, sizeof(e.listener), "%s", listener);
	if (t->sni[0] == '\0')
		snprintf(e.text, sizeof(e.text), "%s", f->text);
	else
		snprintf(e.text, sizeof(e.text), "asked for %s: %.*s", t->sni, 240, f->text);
	return raise(arg, &e);
}

/* The findings that this probe would have found, if there were any. */
static uint32_t
looked_at(const struct probe_expect *want, const struct probe_result *r, bool fresh)
{
	uint32_t all = BIT(PROBE_FINDINGS) - 1;

	if (!r->reachable)
		return BIT(PROBE_UNREACHABLE);
	if (r->error[0] != '\0' || (!r->tls && want->mode != MODE_NONE))
		return BIT(PROBE_UNREACHABLE) | BIT(PROBE_TLS_FAILED) | OF_OFFER;
	return fresh || want->file_error[0] != '\0' ? all & ~OF_FILE : all;
}

bool
detect_listener(struct listener_memory *m, const struct probe_target *t,
    const struct probe_expect *want, const struct probe_result *r,
    const struct probe_found *found, size_t n, bool fresh, time_t now, alarm_raise *raise,
    void *arg)
{
	uint32_t seen = 0, tell, gone, first;
	bool again = false;

	for (size_t i = 0; i < n; i++) {
		again = true;
		if (!fresh || (BIT(found[i].what) & OF_FILE) == 0)
			seen |= BIT(found[i].what);
	}
	first = seen & TWICE & ~m->once;
	tell = seen & ~m->told & ~first;
	gone = m->told & looked_at(want, r, fresh) & ~seen;
	m->once = seen & TWICE;
	m->over |= gone;
	m->told = (m->told & ~gone) | tell;
	m->muted &= ~gone;
	if (m->told == 0)
		m->still[0] = '\0';
	for (size_t i = n; i-- > 0;)
		if ((m->told & BIT(found[i].what)) != 0)
			snprintf(m->still, sizeof(m->still), "%s", found[i].text);
	for (size_t i = 0; i < n; i++)
		if ((tell & BIT(found[i].what)) != 0 &&
		    !tell_finding(t, want, r, &found[i], now, raise, arg))
			m->muted |= BIT(found[i].what);
	return again;
}

void
detect_listener_gone(struct listener_memory *m)
{
	m->over |= m->told;
	m->told = m->muted = 0;
}

/* "no-starttls, expired", or with the name that was asked for in front. */
static void
add_words(char *text, size_t size, const struct listener_memory *m, uint32_t findings)
{
	const char *between = text[0] == '\0' ? "" : "; ";
	size_t len = strlen(text);

	if (m->sni[0] != '\0') {
		snprintf(text + len, size - len, "%sasked for %s: ", between, m->sni);
		between = "";
	}
	for (unsigned f = 0; f < PROBE_FINDINGS; f++)
		if ((findings & BIT(f)) != 0) {
			len = strlen(text);
			snprintf(text + len, size - len, "%s%s", between, probe_words[f]);
			between = ", ";
		}
}

void
detect_listener_over(struct listener_memory *all, size_t n, size_t which, time_t now,
    alarm_raise *raise, void *arg)
{
	const char *listener = all[which].listener;
	const struct listener_memory *left = NULL;
	char over[200] = "", still[NAME_SIZE + 260] = "";
	bool here = false;
	struct event e;

	for (size_t i = 0; i < n; i++) {
		struct listener_memory *m = &all[i];

		if (strcmp(m->listener, listener) != 0)
			continue;
		here |= m->here;
		if (m->over != 0)
			add_words(over, sizeof(over), m, m->over);
		if (m->told != 0 && left == NULL)
			left = m;
		m->over = 0;
	}
	if (over[0] == '\0')
		return;
	e = event_of(left == NULL ? ALARM_FINE : ALARM_FAULT, SEC_LISTENER, listener, now);
	snprintf(e.listener, sizeof(e.listener), "%s", listener);
	if (left == NULL)
		snprintf(e.text, sizeof(e.text), "%s; it is over: %s", here ?
		    "as the settings say again" : "is not in the settings any more", over);
	else {
		if (left->still[0] == '\0')
			add_words(still, sizeof(still), left, left->told);
		else
			snprintf(still, sizeof(still), "%s%s%s%.*s", left->sni[0] == '\0' ? "" :
			    "asked for ", left->sni, left->sni[0] == '\0' ? "" : ": ",
			    240, left->still);
		snprintf(e.text, sizeof(e.text), "still at fault: %.*s; over is: %s", 280, still, over);
	}
	raise(arg, &e);
}

/* ---- refusals ---- */

bool
detect_refusals(struct rate_memory *m, enum section section, const char *name, uint64_t sum,
    uint32_t limit, time_t now, alarm_raise *raise, void *arg)
{
	/* What comes into sight again was counted before. */
	uint64_t from = sum > m->top && m->top > m->last ? m->top : m->last;
	uint64_t n = sum > from ? sum - from : 0;
	bool was = m->told, based = m->based;
	struct event e;

	m->last = sum;
	m->top = sum > m->top ? sum : m->top;
	m->based = true;
	if (!based || limit == 0)
		return false;
	if (n < (limit + 1) / 2)
		m->told = m->muted = false;
	else if (n >= limit && !m->told) {
		m->told = true;
		e = event_of(ALARM_REFUSALS, section, name, now);
		e.refusals = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
		e.limit = limit;
		m->muted = !raise(arg, &e);
	}
	return m->told != was;
}
