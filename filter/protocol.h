/*
 * smtpd's filter protocol, 0.5 to 0.7: smtpd-filters(7).
 *
 *	report|VERSION|TIME|smtp-in|EVENT|SESSION|PARAMETER…
 *	filter|VERSION|TIME|smtp-in|PHASE|SESSION|TOKEN|PARAMETER…
 *	filter-result|SESSION|TOKEN|proceed
 *	filter-result|SESSION|TOKEN|reject|530 5.7.0 …
 *
 * Only the last parameter may contain a '|'.  What differs between the versions
 * and concerns us is link-auth: USER|RESULT up to 0.6, RESULT|USER in 0.7.
 *
 * smtpd ends when a filter answers what was not asked, or twice, and a session
 * hangs when it does not answer; so each request has exactly one answer, whatever
 * is wrong with it: a request that cannot be understood is answered with a 451
 * as far as it names its session and token.  Those of a session are answered in
 * their order; one that waits for a certificate's fingerprint holds up no other
 * session, and goes unanswered only where its session has ended.
 *
 * data-line and commit are registered where some listener `verifies` at the
 * start (smtpd registers a filter once), and only there: they cost every line
 * of every message two more ways between smtpd's processes.
 */
#ifndef TLSWARD_FILTER_PROTOCOL_H
#define TLSWARD_FILTER_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "counters.h"
#include "errlog.h"
#include "feed.h"
#include "hold.h"
#include "lineio.h"
#include "pending.h"
#include "session.h"

/* A running filter; main owns it and what it points to. */
struct filter {
	struct hold hold;
	struct counters *counters;	/* NULL: mail is decided uncounted */
	struct sessions sessions;
	struct lineout out;		/* answers on their way to smtpd */
	struct feed *feed;		/* NULL: nothing tells fingerprints, nobody waits */
	struct pending_list pending;
	struct cert_verifier *verifier;	/* NULL until a `certs` file is to be compared */
	const struct session *judged;	/* whose facts are out; see evidence_facts */
	long long now;			/* monotonic ms, when the loop woke up */
	uint64_t wall;			/* seconds since 1970, then */
	bool registered;		/* smtpd said config|ready, we said register|ready */
	bool crosscheck;		/* data-line and commit are registered */
	bool version_told;		/* of a version that we do not know */
	struct errlog_rate complaints, strangers, contradictions, unreadable;
};

/*
 * One line from smtpd, which is taken apart in place; whole is false for one
 * that is cut.  Never blocks, never fails: answers go to f->out, which must be
 * lineout_ready.
 */
void protocol_line(struct filter *f, char *line, size_t len, bool whole);

/* The same of all lines that are there, as far as there is room for their answers. */
void protocol_lines(struct filter *, struct linein *);

/*
 * Answers the requests that waited and need not any longer: what they waited
 * for has come, or it is `now` (LLONG_MAX: all).  Stops where f->out is not
 * lineout_ready.
 */
void protocol_due(struct filter *f, long long now);

#endif
