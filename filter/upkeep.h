/*
 * What filter-tlsward looks after between lines: settings that change, the
 * file of counters, the feed of fingerprints, each in the place that the
 * settings name.  Nothing here blocks; what cannot be had is told once in the
 * log, done without, and tried again.  A large file of settings is read by a
 * thread meanwhile.
 */
#ifndef TLSWARD_FILTER_UPKEEP_H
#define TLSWARD_FILTER_UPKEEP_H

#include "protocol.h"
#include "watch.h"

struct upkeep {
	struct watch watch;
	long long tick;			/* when to look at the files, in monotonic ms */
	long long counters_retry, feed_retry, alive_due;
	char state_dir[4096];		/* of what is open or was tried */
	char counters_trouble[512];	/* as it was logged; "": none */
	char feed_trouble[512];
	bool restart_told;		/* that the cross-check needs a restart of smtpd */
};

long long upkeep_clock(void);		/* monotonic ms */

/* f->hold has settings.  upkeep_close also closes what the filter has open by then. */
void upkeep_open(struct filter *, struct upkeep *);
void upkeep_close(struct filter *, struct upkeep *);
/* After each wait; changed: the settings' file may have. */
void upkeep_turn(struct filter *, struct upkeep *, bool changed);
void upkeep_retry(struct filter *, struct upkeep *);	/* now, what is missing */
void upkeep_counters_cut(struct filter *, struct upkeep *);	/* somebody truncated their file */

#endif
