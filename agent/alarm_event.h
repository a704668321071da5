/*
 * What the agent has to tell a manager: events, the queue in which they wait
 * for snmpd, and the words between the process that notices them and the one
 * that sends them (snmp_parent.h).
 *
 * The queue keeps the order and is bounded.  No more than notify_rate leave it in
 * a minute.  Beyond that, and when it is full, what only repeats (a mode that
 * changes, many refusals) is dropped and counted; what tells of a state that lasts
 * waits, since nobody tells it again, and when it is full takes the place of what
 * was to be told of the same object before, or of something that repeats.  It
 * outlives the agent in a file, so that what was noticed while snmpd was away is
 * told once, whoever is restarted.  What waits goes when its kind is switched off.
 */
#ifndef TLSWARD_AGENT_ALARM_EVENT_H
#define TLSWARD_AGENT_ALARM_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "settings.h"

#define ALARM_QUEUE	1000		/* events */
#define ALARM_TEXT	512		/* of a text, its NUL included */

/* Each is the last sub-identifier of its notification in TLSWARD-MIB. */
enum alarm {
	ALARM_NONE,
	ALARM_MODE, ALARM_REJECTED, ALARM_ACCEPTED, ALARM_EXPIRING, ALARM_EXPIRED,
	ALARM_RENEWED, ALARM_UNUSABLE, ALARM_NOT_SHOWN, ALARM_NOT_VERIFYING, ALARM_FAULT,
	ALARM_FINE, ALARM_REFUSALS,
	ALARM_MAX
};

/* Bit k: the settings (NULL: the presets) have enum alarm k switched off. */
uint32_t alarm_kinds_off(const struct settings *);

enum changer { BY_UNKNOWN, BY_SNMP, BY_COMMAND, BY_EDITOR };

/*
 * `section` and `name` are those of the rule, certificate or listener that it is
 * about; SEC_PINS: a file of pins, by the name that pinned.h gives it.  Of the other
 * fields each kind has its own; the rest are 0.
 */
struct event {
	uint32_t number;		/* from 1, in the order of their coming */
	uint32_t kind;			/* enum alarm */
	int64_t time;			/* seconds since 1970 */
	uint32_t section, by;		/* enum section, enum changer */
	/* MODE: 1 for not set, else the value of conf/keys.h + 2 */
	uint32_t old_mode, new_mode, old_cert, new_cert;
	uint32_t line;			/* REJECTED: of the first error */
	uint64_t digest;		/* ACCEPTED: settings_generation */
	uint32_t refusals, limit;	/* REFUSALS: in a minute */
	uint32_t state;			/* UNUSABLE: enum cert_state */
	int32_t days;			/* EXPIRING, EXPIRED */
	int64_t not_after;
	unsigned char fingerprint[32];	/* of the file's leaf */
	unsigned char shown[32];	/* NOT_SHOWN: of what a listener shows */
	char name[NAME_SIZE];
	char listener[72];		/* NOT_SHOWN: the one that does */
	char file[ALARM_TEXT], subject[ALARM_TEXT];
	char text[ALARM_TEXT];		/* what is wrong and what to do */
};

struct alarm_figures {
	uint32_t sent, suppressed, lost, queued;
	int64_t probed;			/* when all listeners were last probed; 0: never */
	uint32_t faults;		/* listeners with one, then */
};

struct event_queue {
	struct event **at;		/* a ring of ALARM_QUEUE */
	size_t first, n;
	uint32_t last;			/* number of the last event raised */
	struct alarm_figures figures;	/* not those of the probes */
	struct minute {
		int64_t began;		/* s of a monotonic clock */
		uint32_t n;
	} raised, given;		/* what came, what was given to be sent */
	bool changed;			/* since it was saved */
};

bool queue_init(struct event_queue *);		/* false: no memory */
void queue_free(struct event_queue *);
/*
 * Puts a copy at the end, with the next number; clock is a monotonic one in
 * seconds.  One that only repeats is suppressed, and counted, when `rate` came in
 * this minute.
 */
void queue_raise(struct event_queue *, const struct event *, uint32_t rate, int64_t clock);
const struct event *queue_head(const struct event_queue *);	/* NULL: empty */
/* The first, if `rate` lets it go now; NULL: none, or not now. */
const struct event *queue_next(struct event_queue *, uint32_t rate, int64_t clock);
void queue_given(struct event_queue *);		/* that one is on its way: it counts */
/* The event of that number was sent: it goes, if it is the first. */
void queue_done(struct event_queue *, uint32_t number);
/*
 * Those of the kinds that are off (bit k: enum alarm k) go, but for the first if that is on
 * its way; gone is told of each.
 */
void queue_mute(struct event_queue *, uint32_t off, bool first_goes,
    void (*gone)(void *arg, const struct event *), void *arg);
/* Atomically, by a new file; false: errno says why. */
bool queue_save(struct event_queue *, const char *path);
/* What a file has is put in; a file that is damaged is as good as none. */
void queue_load(struct event_queue *, const char *path);

/* One sentence for the log; returns buf. */
const char *event_text(const struct event *, char *buf, size_t size);

/* ---- what the two processes tell each other, by a socket that keeps records apart ---- */

enum word_kind {
	WORD_EVENT,	/* to be sent; the next one comes when this one is acknowledged */
	WORD_FIGURES,
	WORD_SENT,	/* from the child: the event of that number is snmpd's */
	WORD_MUTED,	/* from the child: it did not send it, its kind is off now */
	WORD_CHANGED,	/* from the child: this file was written by a SET */
	WORD_WRITING	/* from the child: a SET writes (1); it has not changed anything (0) */
};
struct word {
	uint32_t kind;
	union {
		struct event event;
		struct alarm_figures figures;
		uint32_t number;
		struct file_id file;
	} u;
};

#endif
