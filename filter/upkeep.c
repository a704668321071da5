#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cert_verify.h"
#include "evidence.h"
#include "upkeep.h"

#define COUNTERS_RETRY_MS 60000
#define ALIVE_MS 30000			/* between signs of life in the counters */
#define FEED_RETRY_MS 1000		/* the filter before us may be about to end */

long long
upkeep_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Logs trouble once for as long as it lasts, and its end. */
static void
tell(char *told, size_t size, const char *why, const char *without, const char *again)
{
	if (why[0] != '\0' && strcmp(why, told) != 0)
		errlog(LOG_WARNING, "%s%s", without, why);
	else if (why[0] == '\0' && told[0] != '\0')
		errlog(LOG_INFO, "%s", again);
	(void)snprintf(told, size, "%s", why);
}

/* ---- counters ---- */

static void
counters_try(struct filter *f, struct upkeep *u)
{
	char why[sizeof(u->counters_trouble)] = "";

	u->counters_retry = upkeep_clock() + COUNTERS_RETRY_MS;
	f->counters = counters_open(u->state_dir, "opensmtpd", true, why, sizeof(why));
	counters_remember(f->counters, held_settings(f->hold.now));
	if (f->counters == NULL || why[0] == '\0') {
		tell(u->counters_trouble, sizeof(u->counters_trouble), why,
		    "mail is decided uncounted: ", "mail is counted again");
	} else {
		errlog(LOG_WARNING, "%s", why);		/* counted, but into a new file */
		u->counters_trouble[0] = '\0';
	}
}

void
upkeep_counters_cut(struct filter *f, struct upkeep *u)
{
	errlog(LOG_ERR, "the file of counters in %s was cut short: what was "
	    "counted into it since is lost", u->state_dir);
	counters_close(f->counters);
	counters_try(f, u);
}

/* ---- the feed ---- */

static void
feed_try(struct filter *f, struct upkeep *u)
{
	char dir[sizeof(u->state_dir) + sizeof("/opensmtpd")], why[sizeof(u->feed_trouble)] = "";

	u->feed_retry = upkeep_clock() + FEED_RETRY_MS;
	(void)snprintf(dir, sizeof(dir), "%s/opensmtpd", u->state_dir);
	f->feed = feed_open(dir, why, sizeof(why));
	tell(u->feed_trouble, sizeof(u->feed_trouble), why, f->feed != NULL ?
	    "fingerprints can come one way only: " : "rules with pins cannot be met, no fingerprint will come: ",
	    "the feed of fingerprints is open");
}

static void
feed_end(struct filter *f)
{
	feed_close(f->feed);
	f->feed = NULL;
	/* what waits for it is answered when its second is over */
}

/* Sees to the feed, which is open while some listener verifies. */
static void
feed_keep(struct filter *f, struct upkeep *u)
{
	bool wanted = evidence_wanted(held_settings(f->hold.now));

	if (f->feed != NULL && (!wanted || !feed_current(f->feed))) {
		feed_end(f);
		if (!wanted)		/* the pause is for what fails or another has taken */
			u->feed_retry = 0;
	}
	if (f->feed == NULL && wanted && upkeep_clock() >= u->feed_retry)
		feed_try(f, u);
	if (!wanted || f->crosscheck || !f->registered || u->restart_told)
		return;
	u->restart_told = true;
	errlog(LOG_WARNING, "a listener says `verifies = yes` now, none did when smtpd started: restart "
	    "smtpd, until then it is not compared with what smtpd itself says in the Received line");
}

/* ---- all of it ---- */

/* Opens counters and feed where the settings have them. */
static void
follow(struct filter *f, struct upkeep *u)
{
	const char *dir = settings_place(held_settings(f->hold.now), SEC_SERVER, KEY_STATE_DIR);

	if (strcmp(dir, u->state_dir) != 0) {
		(void)snprintf(u->state_dir, sizeof(u->state_dir), "%s", dir);
		counters_close(f->counters);
		counters_try(f, u);
		feed_end(f);
		u->feed_retry = 0;
	} else if (f->counters == NULL) {
		counters_try(f, u);
	} else {
		counters_remember(f->counters, held_settings(f->hold.now));
	}
	feed_keep(f, u);
}

void
upkeep_open(struct filter *f, struct upkeep *u)
{
	watch_open(&u->watch, f->hold.path);
	follow(f, u);
}

void
upkeep_close(struct filter *f, struct upkeep *u)
{
	watch_close(&u->watch);
	counters_close(f->counters);
	feed_end(f);
	cert_verifier_free(f->verifier);
}

void
upkeep_retry(struct filter *f, struct upkeep *u)
{
	if (f->counters == NULL)
		u->counters_retry = 0;
	u->feed_retry = 0;
}

void
upkeep_turn(struct filter *f, struct upkeep *u, bool changed)
{
	bool ticks = f->now >= u->tick;

	if (ticks) {
		u->tick = f->now + WATCH_TICK_MS;
		changed |= watch_tick(&u->watch);
		errlog_settle(&f->complaints);
		errlog_settle(&f->strangers);
		errlog_settle(&f->contradictions);
		errlog_settle(&f->unreadable);
	}
	if (changed && hold_refresh_soon(&f->hold, errlog_line)) {
		sessions_renew(&f->sessions, &f->hold);
		follow(f, u);
	} else if (ticks) {
		feed_keep(f, u);
	}
	if (f->counters == NULL && f->now >= u->counters_retry)
		counters_try(f, u);
	if (f->now >= u->alive_due) {
		u->alive_due = f->now + ALIVE_MS;
		counters_alive(f->counters, (uint64_t)time(NULL));
	}
}
