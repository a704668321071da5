/*
 * A round of probes: every listener, a few at once, for a poll(2) loop.
 */
#ifndef TLSWARD_AGENT_ALARM_ROUND_H
#define TLSWARD_AGENT_ALARM_ROUND_H

#include <poll.h>

#include "probe.h"

#define ROUND_SLOTS	4		/* probes at once */
#define ROUND_NAMES	8		/* SNI names of one certificate */

struct round {
	struct probe_target *target;
	struct probe_result *result;	/* of the targets, once it has ended */
	int64_t *began;			/* ms of a monotonic clock: when each was asked */
	size_t left;			/* names and listeners that are too many to be probed */
	size_t n, next;
	bool running;
	struct {
		struct probe *probe;	/* NULL: free */
		size_t i;
	} slot[ROUND_SLOTS];
};

/* What the round before found is kept for the manner of asking.  False: no memory. */
bool round_start(struct round *, const struct settings *);
size_t round_fds(const struct round *, struct pollfd fds[ROUND_SLOTS]);
int round_wait(const struct round *);		/* ms, -1: nothing runs */
bool round_step(struct round *);		/* true: it has ended with this step */
/* The result of the same listener without SNI; NULL: none, or the target has no SNI. */
const struct probe_result *round_plain(const struct round *, size_t i);
/* In a child process: the connections are the parent's. */
void round_forget(struct round *);
void round_free(struct round *);

#endif
