/*
 * The inside of struct alarms.  Internal to agent/alarm_*.c.
 */
#ifndef TLSWARD_AGENT_ALARM_INT_H
#define TLSWARD_AGENT_ALARM_INT_H

#include "alarm_memory.h"
#include "alarm_round.h"
#include "alarm_watch.h"
#include "counters.h"
#include "hold.h"
#include "read.h"
#include "watch.h"

#define ALARM_HINTS 16			/* changes whose author is known */

/* The files of a [certificate] or [ca], and when to read them again. */
struct cert_files {
	struct file_id id[3];		/* file, key, CRL of a CA */
	bool looked;			/* id is known */
	int64_t changed;		/* ms: when another file was seen; 0: never */
	bool settled, read;
	long days;			/* when it was read */
	time_t not_after;		/* 0: no certificate */
	int64_t again;			/* ms */
};

struct alarms {
	char *ini, *dir;		/* dir: STATE_DIR/agent */
	char *state_dir, *agentx;	/* where the agent is at work */
	char *state_path, *queue_path, *probe_path, *seen_path;
	int64_t tick, second;		/* ms: the next ones */
	bool complained;		/* of a folder that takes no files */
	bool full_told;			/* that the memory is full */
	size_t burst;			/* modes that one change of the settings changed */

	/* settings */
	struct hold hold;
	struct watch file;
	struct held *before;		/* compared last */
	int64_t held;			/* a SET is under way: nothing is compared before */
	int64_t compare;		/* ms; 0: nothing to compare */
	int64_t keep;			/* ms: `before` is to be kept then; 0: it is */
	char rejected[sizeof(((struct hold *)0)->error)];
	struct {
		struct file_id id;
		enum changer by;
	} hint[ALARM_HINTS];
	size_t nhint;			/* ever; the last ALARM_HINTS are kept */
	int changes;			/* socket; -1: none */

	/* the way to the child */
	int channel;			/* -1: none */
	bool asked;			/* the first of the queue is with the child */
	int64_t later;			/* ms: it gets none before */
	struct alarm_figures told;

	struct event_queue queue;
	struct alarm_memory memory;

	struct cert_files *cert;	/* those of the settings: [certificate]s, then [ca]s */
	size_t ncert;
	struct pins *pins;		/* alarm_pins.c; NULL: none yet */

	struct round round;
	int64_t probe_at;		/* ms; 0: not planned */
	int64_t probed;			/* wall clock */
	int64_t rest;			/* ms: till then a change of the settings waits */
	bool left_told;			/* that some listeners or names are not probed */
	uint32_t faults;

	struct counters_all *counters;
	bool hidden[COUNTERS_FRONTENDS];	/* a file was there that cannot be read */
	struct rate_memory *rate[2];	/* of [domain] and [peer], in the settings' order */
	int64_t minute;			/* ms */
};

int64_t alarms_clock(void);		/* CLOCK_MONOTONIC, ms */
const struct settings *alarms_settings(const struct alarms *);
uint32_t alarms_key(const struct alarms *, enum key);	/* of [agent] */
/* An alarm_raise with the alarms as arg: logs it, and puts it in the queue if its kind is on. */
bool alarms_raise(void *arg, const struct event *);

/* alarm_switch.c */
/* The settings are others: what waits and must not goes, what is on and untold is told soon. */
void switch_look(struct alarms *);

/* alarm_certs.c */
void look_certificates(struct alarms *);
/* The settings are others: what is known of files that were named before stays. */
void look_carry_certificates(struct alarms *, const struct settings *before);
/*
 * Was the file of this [certificate] so new, when a listener was asked (ms), that
 * it need not show it?
 */
bool look_fresh(struct alarms *, const char *name, int64_t asked);

#define BOUNDS_MAX	64		/* of expiry_days */
/* expiry_days; how many. */
size_t look_bounds(const struct settings *, uint32_t bounds[BOUNDS_MAX]);
/* Are there fewer days left than when it was read? */
bool look_time_changed(const struct cert_files *, time_t now);

/* alarm_pins.c: the files of pins that rules name */
void look_pins(struct alarms *);
void look_carry_pins(struct alarms *);	/* the settings are others */
void look_free_pins(struct alarms *);

/* alarm_look.c */
void look_settings_changed(struct alarms *, const struct settings *before);
void look_rates(struct alarms *);
void look_round(struct alarms *);	/* begins one, goes on with one, ends one */
void look_soon(struct alarms *, int64_t ms);	/* a round, then at the latest */
void look_free(struct alarms *);

#endif
