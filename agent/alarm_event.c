#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alarm_event.h"
#include "alarm_file.h"
#include "cert.h"
#include "pinned.h"

static const struct head {
	char magic[16];
	uint32_t size;		/* of an event: another agent's may be another */
	uint32_t last;
} head = { .magic = "tlsward-queue-2", .size = sizeof(struct event) };

/* Words of notify_except, in the order of enum alarm. */
_Static_assert(NOTIFY_KINDS == ALARM_MAX - 1 && ALARM_MODE == 1, "a switch for each kind");

uint32_t
alarm_kinds_off(const struct settings *s)
{
	const struct rule *agent = s == NULL ? NULL : settings_find(s, SEC_AGENT, "");
	struct list list;
	uint32_t off = 0, kind;

	if (s == NULL)
		return 0;
	if (settings_value(agent, KEY_NOTIFY) == 0)
		return UINT32_MAX;
	list = settings_list(s, agent, KEY_NOTIFY_EXCEPT);
	while (list_next_number(&list, &kind))
		if (kind < NOTIFY_KINDS)
			off |= 1u << (kind + 1);
	return off;
}

bool
queue_init(struct event_queue *q)
{
	memset(q, 0, sizeof(*q));
	return (q->at = calloc(ALARM_QUEUE, sizeof(*q->at))) != NULL;
}

void
queue_free(struct event_queue *q)
{
	for (size_t i = 0; i < q->n; i++)
		free(q->at[(q->first + i) % ALARM_QUEUE]);
	free(q->at);
	memset(q, 0, sizeof(*q));
}

static struct event *
append(struct event_queue *q, const struct event *e)
{
	struct event *copy;

	if (q->n == ALARM_QUEUE || (copy = malloc(sizeof(*copy))) == NULL)
		return NULL;
	*copy = *e;
	q->at[(q->first + q->n++) % ALARM_QUEUE] = copy;
	q->figures.queued = (uint32_t)q->n;
	q->changed = true;
	return copy;
}

/* ---- what may be left out ---- */

static bool
repeats(const struct event *e)
{
	return e->kind == ALARM_MODE || e->kind == ALARM_REFUSALS;
}

/* Do both tell of the state of one object, so that the later one says it all? */
static bool
same_object(const struct event *a, const struct event *b)
{
	static const char family[ALARM_MAX] = {
		[ALARM_REJECTED] = 1, [ALARM_ACCEPTED] = 1,
		[ALARM_EXPIRING] = 2, [ALARM_EXPIRED] = 2, [ALARM_RENEWED] = 2, [ALARM_UNUSABLE] = 2,
		[ALARM_NOT_SHOWN] = 3, [ALARM_NOT_VERIFYING] = 3, [ALARM_FAULT] = 3, [ALARM_FINE] = 3,
	};

	if (family[a->kind] != family[b->kind])
		return false;
	switch (family[a->kind]) {
	case 1:
		return true;
	case 2:
		return a->section == b->section && strcmp(a->name, b->name) == 0;
	case 3:
		return strcmp(a->listener, b->listener) == 0;
	default:
		return false;
	}
}

/* It is the caller's to say whether that is a loss. */
static void
drop(struct event_queue *q, size_t i)
{
	free(q->at[(q->first + i) % ALARM_QUEUE]);
	for (; i + 1 < q->n; i++)
		q->at[(q->first + i) % ALARM_QUEUE] = q->at[(q->first + i + 1) % ALARM_QUEUE];
	q->n--;
	q->figures.queued = (uint32_t)q->n;
	q->changed = true;
}

/* The first may be on its way: it stays. */
static void
make_room(struct event_queue *q, const struct event *e)
{
	size_t least = 0;

	for (size_t i = 1; i < q->n; i++) {
		const struct event *at = q->at[(q->first + i) % ALARM_QUEUE];

		if (same_object(at, e)) {
			least = i;
			break;
		}
		if (least == 0 && repeats(at))
			least = i;
	}
	if (least == 0)
		return;
	drop(q, least);
	q->figures.lost++;
}

void
queue_mute(struct event_queue *q, uint32_t off, bool first_goes,
    void (*gone)(void *arg, const struct event *), void *arg)
{
	for (size_t i = first_goes ? 1 : 0; i < q->n;) {
		const struct event *e = q->at[(q->first + i) % ALARM_QUEUE];

		if ((off >> e->kind & 1) != 0) {
			gone(arg, e);
			drop(q, i);
		} else
			i++;
	}
}

/* True: fewer than `rate` in this minute. */
static bool
within(struct minute *m, uint32_t rate, int64_t clock)
{
	if (clock - m->began >= 60 || clock < m->began) {
		m->began = clock;
		m->n = 0;
	}
	return m->n < rate;
}

void
queue_raise(struct event_queue *q, const struct event *e, uint32_t rate, int64_t clock)
{
	struct event *copy;

	if (!within(&q->raised, rate, clock) && repeats(e)) {
		q->figures.suppressed++;
		return;
	}
	q->raised.n++;
	q->last++;
	q->changed = true;
	if (q->n == ALARM_QUEUE && !repeats(e))
		make_room(q, e);
	if ((copy = append(q, e)) == NULL)
		q->figures.lost++;
	else
		copy->number = q->last;
}

const struct event *
queue_next(struct event_queue *q, uint32_t rate, int64_t clock)
{
	return within(&q->given, rate, clock) ? queue_head(q) : NULL;
}

void
queue_given(struct event_queue *q)
{
	q->given.n++;
}

const struct event *
queue_head(const struct event_queue *q)
{
	return q->n == 0 ? NULL : q->at[q->first];
}

void
queue_done(struct event_queue *q, uint32_t number)
{
	if (q->n == 0 || q->at[q->first]->number != number)
		return;
	free(q->at[q->first]);
	q->at[q->first] = NULL;
	q->first = (q->first + 1) % ALARM_QUEUE;
	q->n--;
	q->figures.sent++;
	q->figures.queued = (uint32_t)q->n;
	q->changed = true;
}

/* ---- its file ---- */

bool
queue_save(struct event_queue *q, const char *path)
{
	struct head own = head;
	struct alarm_file f;

	if (!alarm_file_open(&f, path))
		return false;
	own.last = q->last;
	fwrite(&own, sizeof(own), 1, f.to);
	for (size_t i = 0; i < q->n; i++)
		fwrite(q->at[(q->first + i) % ALARM_QUEUE], sizeof(struct event), 1, f.to);
	if (!alarm_file_close(&f))
		return false;
	q->changed = false;
	return true;
}

static bool
ended(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static bool
sound(const struct event *e)
{
	return e->kind > ALARM_NONE && e->kind < ALARM_MAX && e->section <= SEC_MAX &&
	    ended(e->name, sizeof(e->name)) && ended(e->listener, sizeof(e->listener)) &&
	    ended(e->file, sizeof(e->file)) && ended(e->subject, sizeof(e->subject)) &&
	    ended(e->text, sizeof(e->text)) && e->state < CERT_STATE_MAX;
}

void
queue_load(struct event_queue *q, const char *path)
{
	struct head own;
	struct event e;
	FILE *f = fopen(path, "re");

	if (f == NULL)
		return;
	if (fread(&own, sizeof(own), 1, f) == 1 &&
	    memcmp(own.magic, head.magic, sizeof(own.magic)) == 0) {
		q->last = own.last;
		while (own.size == sizeof(e) && q->n < ALARM_QUEUE && fread(&e, sizeof(e), 1, f) == 1 && sound(&e) &&
		    append(q, &e) != NULL)
			;
	}
	fclose(f);
	q->changed = false;
}

/* ---- words ---- */

static const char *
value_word(enum key key, uint32_t mib)
{
	char buf[16];

	return mib < 2 ? "not set" : key_text(key, mib - 2, buf);
}

static const char *
changer_word(uint32_t by)
{
	return by == BY_SNMP ? "SNMP" : by == BY_COMMAND ? "the command line" : "an editor";
}

/* ", client_cert: none -> require": nothing where it stayed as it was.  What was written. */
static size_t
change_text(char *buf, size_t size, const char *comma, enum key key, uint32_t old, uint32_t new)
{
	int n;

	if (old == new)
		return 0;
	n = snprintf(buf, size, "%s%s: %s -> %s", comma, key_table[key].name,
	    value_word(key, old), value_word(key, new));
	return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

const char *
event_text(const struct event *e, char *buf, size_t size)
{
	const char *section = e->section < SEC_MAX ? section_words[e->section] : "";
	const char *space = e->name[0] == '\0' ? "" : " ";
	char mode[64] = "", cert[64] = "";
	size_t n;

	switch ((enum alarm)e->kind) {
	case ALARM_MODE:
		n = change_text(mode, sizeof(mode), "", KEY_MODE, e->old_mode, e->new_mode);
		change_text(cert, sizeof(cert), n > 0 ? ", " : "", KEY_CLIENT_CERT, e->old_cert,
		    e->new_cert);
		snprintf(buf, size, "[%s%s%s] %s%s, by %s", section, space, e->name, mode, cert,
		    changer_word(e->by));
		break;
	case ALARM_REJECTED:
		snprintf(buf, size, "settings rejected: %s", e->text);
		break;
	case ALARM_ACCEPTED:
		snprintf(buf, size, "settings accepted again");
		break;
	case ALARM_REFUSALS:
		snprintf(buf, size, "[%s %s] refused %u in a minute, which is %u or more", section,
		    e->name, e->refusals, e->limit);
		break;
	case ALARM_NOT_SHOWN:
		snprintf(buf, size, "[listener %s] %s", e->listener, e->text);
		break;
	default:
		if (e->section == SEC_PINS)	/* the text names the rules */
			snprintf(buf, size, "%s", e->text);
		else
			snprintf(buf, size, "[%s%s%s] %s", section, space, e->name, e->text);
		break;
	}
	return buf;
}
