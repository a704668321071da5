/*
 * The files of pins: a sender's certificate that ends is followed by another, which
 * no rule knows unless somebody puts it there in time.  See alarm_int.h.
 *
 * There may be thousands, and nothing of them is urgent: a step looks at some, and
 * reads for a short while.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alarm_int.h"
#include "pinned.h"
#include "snmp_log.h"

#define LOOKS		200	/* files that a step looks at */
#define READ_MS		20	/* for which it reads */
#define HOUR_MS		(3600 * 1000)

struct pins {
	struct pinned list;		/* of the settings in force */
	struct cert_files *at;		/* beside the list's */
	size_t next;			/* whose turn it is */
	uint32_t bounds[BOUNDS_MAX], most;
	size_t nbounds;
	uint32_t off;			/* alarm_kinds_off */
};

/* ---- what is told ---- */

struct teller {
	struct alarms *a;
	const struct pinned_file *file;
};

/* An alarm_raise: what is said of one's own certificates, in the words for a sender's. */
static bool
tell(void *arg, const struct event *of)
{
	const struct teller *t = arg;
	const char *file = t->file->file;
	struct event e = *of;
	char by[PINNED_BY], text[sizeof(by) + 700];

	pinned_by(alarms_settings(t->a), t->file, by);
	if (e.kind == ALARM_EXPIRING)
		snprintf(text, sizeof(text), "the certificate of %.150s in %.250s ends in %d day%s: get "
		    "the next one from the sender and add it, for %s", e.subject, file, e.days,
		    e.days == 1 ? "" : "s", by);
	else if (e.kind == ALARM_EXPIRED)
		snprintf(text, sizeof(text), "the certificate of %.150s in %.250s has ended: get the "
		    "next one from the sender and add it, for %s", e.subject, file, by);
	else if (e.kind == ALARM_UNUSABLE)
		snprintf(text, sizeof(text), "certs of %s: %.400s", by, of->text);
	else
		snprintf(text, sizeof(text), "certs of %s: %.250s: %.200s", by, file, of->text);
	snprintf(e.text, sizeof(e.text), "%.*s", ALARM_TEXT - 1, text);
	return alarms_raise(t->a, &e);
}

static void
read_pins(struct alarms *a, const struct pinned_file *f, struct cert_files *c)
{
	struct teller t = { a, f };
	struct pins *p = a->pins;
	struct cert_memory *m = memory_cert(&a->memory, SEC_PINS, f->name), was;
	struct cert_info *info = calloc(1, sizeof(*info));
	time_t now = time(NULL);

	c->again = alarms_clock() + HOUR_MS;
	if (m != NULL && info != NULL) {
		was = *m;
		cert_inspect_pins(f->file, now, p->most, info);
		if (detect_certificate(m, f->file, info, p->bounds, p->nbounds, now, tell, &t))
			c->again = alarms_clock() + ALARM_CONFIRM * 1000;
		a->memory.changed |= memcmp(&was, m, sizeof(was)) != 0;
		c->read = true;
		c->days = info->days_left;
		c->not_after = info->parsed ? info->not_after : 0;
	}
	free(info);
}

/* ---- when ---- */

/* True: another file than the one that was read is there, and stays as it is. */
static bool
file_changed(const char *path, struct cert_files *c)
{
	struct file_id now;

	if (!file_identify(path, &now))
		memset(&now, 0, sizeof(now));
	if (!c->looked || !file_id_equal(&now, &c->id[0])) {
		c->id[0] = now;
		c->looked = true;
		c->settled = false;
		return false;
	}
	if (c->settled)
		return false;
	return c->settled = true;
}

void
look_pins(struct alarms *a)
{
	struct pins *p = a->pins;
	int64_t begin = alarms_clock();
	time_t now = time(NULL);

	/* With many at once the queue would be full, and what else is to be told be lost. */
	for (size_t i = 0; p != NULL && i < LOOKS && i < p->list.n &&
	    a->queue.n < ALARM_QUEUE / 2 && alarms_clock() - begin < READ_MS; i++) {
		size_t k = p->next++ % p->list.n;
		struct cert_files *c = &p->at[k];
		bool changed = file_changed(p->list.at[k].file, c);

		if (changed || (c->settled && (begin >= c->again || look_time_changed(c, now))))
			read_pins(a, &p->list.at[k], c);
	}
}

/* ---- other settings ---- */

/*
 * What is known of a file that was named before.  By other days, or other kinds that
 * are told, it is read again.
 */
static void
carry(const struct pins *was, struct pins *p)
{
	bool same = was->off == p->off && was->nbounds == p->nbounds &&
	    memcmp(was->bounds, p->bounds, p->nbounds * sizeof(p->bounds[0])) == 0;

	for (size_t i = 0; i < p->list.n; i++) {
		const struct pinned_file *old = pinned_named(&was->list, p->list.at[i].name);

		if (old == NULL || old->hash != p->list.at[i].hash)
			continue;
		p->at[i] = was->at[old - was->list.at];
		if (!same)
			p->at[i].again = 0;
	}
	p->next = was->next;
}

static void
pins_free(struct pins *p)
{
	if (p == NULL)
		return;
	pinned_free(&p->list);
	free(p->at);
	free(p);
}

static struct pins *
pins_new(const struct settings *s)
{
	struct pins *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	if (!pinned_find(s, PINNED_MAX, &p->list) ||
	    (p->at = calloc(p->list.n + 1, sizeof(*p->at))) == NULL) {
		pins_free(p);
		return NULL;
	}
	p->off = alarm_kinds_off(s);
	p->nbounds = look_bounds(s, p->bounds);
	for (size_t i = 0; i < p->nbounds; i++)
		p->most = p->bounds[i] > p->most ? p->bounds[i] : p->most;
	return p;
}

void
look_carry_pins(struct alarms *a)
{
	struct pins *was = a->pins, *p = pins_new(alarms_settings(a));

	a->pins = p;
	if (p == NULL)
		log_line(LOG_ERR, "out of memory: no file of pins is watched");
	else {
		if (was != NULL)
			carry(was, p);
		memory_keep_pins(&a->memory, &p->list);
		if (p->list.left > 0 && (was == NULL || was->list.left == 0))
			log_line(LOG_WARNING, "%zu rules name files of pins beyond the %d that are "
			    "watched: nobody is told when those end", p->list.left, PINNED_MAX);
	}
	pins_free(was);
}

void
look_free_pins(struct alarms *a)
{
	pins_free(a->pins);
	a->pins = NULL;
}
