#include "ahead.h"
#include "event.h"

static bool
meets_rules(const struct request *r)
{
	return r->domain[0] != '\0';
}

void
ahead_of(struct filter *f, struct request *r, size_t n)
{
	const struct settings *set = held_settings(f->hold.now);
	size_t i;

	for (i = 0; i < n; i++)
		if (r[i].session != NULL)
			session_fetch_bucket(&f->sessions, r[i].id);
	for (i = 0; i < n; i++) {
		if (r[i].session != NULL)
			session_fetch(&f->sessions, r[i].id);
		if (set == NULL || !meets_rules(&r[i]))
			continue;
		r[i].hash = settings_hash(r[i].event->about, r[i].domain);
		settings_fetch_slot(set, r[i].hash);
	}
	for (i = 0; set != NULL && i < n; i++)
		if (meets_rules(&r[i]) && (r[i].likely = settings_fetch_rule(set, r[i].hash)) != NULL)
			counters_fetch(f->counters, set, r[i].likely);
	for (i = 0; set != NULL && i < n; i++)
		if (r[i].likely != NULL) {
			settings_fetch_name(set, r[i].likely);
			counters_fetch_row(f->counters, set, r[i].likely);
		}
}
