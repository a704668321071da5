/* The files of certificates, of CAs and of their CRLs: see alarm_int.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alarm_int.h"

#define HOUR_MS		(3600 * 1000)
#define GRACE_MS	(60 * 1000)	/* for a server to show a certificate that is new */

static const struct rule *
cert_rule(const struct settings *s, size_t i)
{
	size_t n = settings_count(s, SEC_CERTIFICATE);

	return i < n ? settings_at(s, SEC_CERTIFICATE, i) : settings_at(s, SEC_CA, i - n);
}

size_t
look_bounds(const struct settings *s, uint32_t bounds[BOUNDS_MAX])
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

/*
 * The CRL of a [ca] likewise: when its time is over, mail that it is needed for
 * is deferred.  It has a memory of its own, and the row of its [ca].
 */
static bool
read_crl(struct alarms *a, const struct rule *r, struct cert_files *c, const uint32_t *bounds,
    size_t n)
{
	const struct settings *s = alarms_settings(a);
	const char *file = settings_text(s, r, KEY_CRL);
	struct crl_info *crl = calloc(1, sizeof(*crl));
	uint32_t most = 0;
	char name[sizeof(((struct cert_memory *)0)->name)];
	struct cert_memory *m, was;
	time_t now = time(NULL);
	bool again = false;

	snprintf(name, sizeof(name), "%.64s%s", settings_name(s, r), MEMORY_CRL);
	if (crl == NULL || (m = memory_cert(&a->memory, SEC_CA, name)) == NULL)
		goto out;
	was = *m;
	for (size_t i = 0; i < n; i++)
		most = bounds[i] > most ? bounds[i] : most;
	cert_inspect_crl(file, now, most, crl);
	again = detect_crl(m, file, crl, bounds, n, now, alarms_raise, a);
	a->memory.changed |= memcmp(&was, m, sizeof(was)) != 0;
	if (crl->next_update > now && crl->next_update - now < HOUR_MS / 1000)
		c->again = alarms_clock() + (crl->next_update - now + 1) * 1000;
out:
	free(crl);
	return again;
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
	size_t n = look_bounds(s, bounds);
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
	a->memory.changed |= memcmp(&was, m, sizeof(was)) != 0;
	if (settings_text(s, r, KEY_CRL) != NULL)
		again |= read_crl(a, r, c, bounds, n);
	if (again)
		c->again = alarms_clock() + ALARM_CONFIRM * 1000;
	c->read = true;
	c->days = info->days_left;
	c->not_after = info->parsed ? info->not_after : 0;
	free(info);
}

static void
identify(const struct settings *s, const struct rule *r, size_t k, struct file_id *id)
{
	static const enum key keys[] = { KEY_FILE, KEY_KEY, KEY_CRL };
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

	for (size_t k = 0; k < sizeof(c->id) / sizeof(c->id[0]); k++) {
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
bool
look_fresh(struct alarms *a, const char *name, int64_t asked)
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

bool
look_time_changed(const struct cert_files *c, time_t now)
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

		if (changed && c->read && r->section == SEC_CERTIFICATE)
			look_soon(a, 0);
		if (changed || (c->settled && (ms >= c->again || look_time_changed(c, now))))
			read_certificate(a, r, c);
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

void
look_carry_certificates(struct alarms *a, const struct settings *before)
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
