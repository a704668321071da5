#include "ahead.h"
#include "event.h"

/* The peer's rule was met at MAIL FROM: a thousand sessions ago, for the caches. */
static const struct rule *
peer_of(const struct filter *f, const struct request *r)
{
	const struct session *s = session_find(&f->sessions, r->id);

	return s != NULL && s->held == f->hold.now ? s->peer : NULL;
}

/* What r needs that is not known before its slot and session are there. */
static void
fetch_rules(const struct filter *f, const struct settings *set, struct request *r)
{
	if ((r->likely = settings_fetch_rule(set, r->hash)) != NULL)
		counters_fetch(f->counters, set, r->likely);
	if (r->event->about == SEC_DOMAIN && (r->peer = peer_of(f, r)) != NULL)
		__builtin_prefetch(r->peer);
}

static void
fetch_texts(const struct filter *f, const struct settings *set, const struct request *r)
{
	if (r->likely != NULL) {
		settings_fetch_name(set, r->likely);
		counters_fetch_row(f->counters, set, r->likely);
	}
	if (r->peer != NULL)
		settings_fetch_name(set, r->peer);
}

static bool
meets_rules(const struct request *r)
{
	return r->domain[0] != '\0' && r->session != NULL;
}

void
ahead_of(const struct filter *f, struct request *r, size_t n)
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
		if (meets_rules(&r[i]))
			fetch_rules(f, set, &r[i]);
	for (i = 0; set != NULL && i < n; i++)
		fetch_texts(f, set, &r[i]);
}
