/*
 * What the agent answers from: the settings in force, the counters, the rows
 * that wait, and the account of what SNMP changed.  One for the process that
 * talks to snmpd; one thread.
 *
 * view_refresh is called before each answer and once a second: a stat(2) and
 * little more where nothing changed.
 */
#ifndef TLSWARD_AGENT_SNMP_VIEW_H
#define TLSWARD_AGENT_SNMP_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include "counters.h"
#include "hold.h"
#include "snmp_waiting.h"

#define VIEW_TEXT 511		/* octets, TlswardText of the MIB */
#define VIEW_LIST 4096		/* TlswardList */
#define VIEW_LOOK_MS 200	/* between looks at files that come and go seldom */

/*
 * A rule whose name no index holds.  Its number is made from section and name,
 * from 1 to 2^31 - 1; of two with the same the later has the next.
 */
struct long_rule {
	uint32_t number;
	const struct rule *rule;
};
struct long_rules {
	struct long_rule *at;		/* by number */
	size_t n;
};

/* The last refusals of all front ends, by front end and number. */
#define VIEW_REFUSALS (COUNTERS_FRONTENDS * COUNTERS_RECENT)
struct refusals {
	size_t n;
	struct {
		size_t front_end;	/* of counters_frontends */
		struct recent what;
	} at[VIEW_REFUSALS];
};

/* What the link has seen; it starts anew with the process. */
struct link_account {
	time_t started, changed;
	uint32_t connects, losses, requests;
};

struct certs;

struct view {
	struct hold hold;
	time_t loaded;			/* when hold.now was read; 0: never */
	size_t omitted[SEC_MAX];	/* rules whose names no index holds */
	struct long_rules longs;	/* those */

	char *state_dir;		/* of the counters that are open */
	struct counters_all *counters;	/* may be NULL */
	unsigned breaks;		/* counters_all_breaks at the last refresh */
	/* wall clock, ms */
	int64_t since;			/* last discontinuity of the counters; 0: none */
	int64_t began, agent_began;	/* this process; the agent (by whoever makes the view) */

	int64_t looked;			/* at refusals and certificates; CLOCK_MONOTONIC ms */

	struct refusals *refusals;	/* see view_refusals */

	struct certs *certs;		/* snmp_certs.h; never NULL */

	struct waiting_list *waiting;	/* never NULL */
	time_t settle;			/* a SET is under way: rows stay till then (view_clock) */

	struct link_account link;
	int32_t lock;			/* tlswardSpinLock */
	uint32_t changes_done, changes_refused;
	char change_error[VIEW_TEXT + 1];
	time_t change_error_time;
};

bool view_init(struct view *, const char *path);	/* false: no memory */
void view_refresh(struct view *);
void view_free(struct view *);

const struct settings *view_settings(const struct view *);	/* NULL: none ever */
/* Figures of a row, or of the server with name "". */
void view_count(const struct view *, enum section, const char *name, struct count *);

/* The rule of that section and name in force, or NULL. */
const struct rule *view_rule(const struct view *, enum section, const char *name);
/* The row of that section and name that waits, or NULL. */
const struct waiting *view_waiting(const struct view *, enum section, const char *name);
/* As they were VIEW_LOOK_MS ago at most. */
const struct refusals *view_refusals(const struct view *);

/* Puts another list of waiting rows in place of the present one, which ends. */
void view_waiting_put(struct view *, struct waiting_list *);

/* Counts a SET that was refused and keeps the sentence that says why. */
void view_refused(struct view *, const char *why);

time_t view_clock(void);	/* CLOCK_MONOTONIC, in seconds */
int64_t view_wall(void);	/* CLOCK_REALTIME, in ms */

#endif
