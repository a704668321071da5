/*
 * What is worth an alarm: from what was known and what is seen now to events.
 * Pure but for the memory that the caller hands in, so that one event is told
 * once, also over a restart (alarm_memory.h); `now` is the wall clock.
 *
 * A certificate's alarms are told once for each certificate and mark: each of
 * expiry_days, each day of the last week, the end.  A clock that jumps forward
 * over some of them gets the last; one that is set back gets none again, unless
 * it goes back more than ALARM_TRUST behind the moment of telling, or goes on
 * behind it for more than a day: then a wrong clock had told, and what it told
 * counts for nothing.
 *
 * What is noticed while its kind is switched off is kept as `muted`: when the kind is
 * on again it counts as untold (memory_switched_on), and is told where it still holds.
 */
#ifndef TLSWARD_AGENT_ALARM_DETECT_H
#define TLSWARD_AGENT_ALARM_DETECT_H

#include <time.h>

#include "alarm_event.h"
#include "cert.h"
#include "probe.h"

#define ALARM_TRUST	(14 * 86400)	/* seconds */
#define ALARM_STEP	(2 * 3600)	/* seconds: a clock that goes on by more has been set */
#define ALARM_CONFIRM	3		/* seconds for which a fault must last to be told */
#define ALARM_WEEK	7		/* days: from then on, daily */
#define MARK_NONE	INT32_MAX

/* False: nobody is told of it, its kind is switched off. */
typedef bool alarm_raise(void *arg, const struct event *);

/* ---- certificates ---- */

struct cert_memory {
	uint32_t section;		/* SEC_CERTIFICATE, SEC_CA or SEC_PINS */
	char name[72];			/* with MEMORY_CRL behind it: its CRL */
	bool known;			/* a certificate was seen */
	unsigned char fingerprint[32];	/* its */
	int32_t mark;			/* days of the last alarm, MARK_NONE; -1: it has ended */
	int64_t told;			/* when that was */
	uint32_t fault;			/* enum cert_state that was told; CERT_STATE_OK: none */
	uint32_t muted;			/* bit k: enum alarm k, that mark or fault is of, was not */
	/* not kept over a restart: */
	uint32_t seen;			/* a fault that may pass */
	int64_t seen_since;
	int64_t looked;			/* the clock, when it was behind `told`; 0: it is not */
	int64_t behind;			/* for how long it went on there, jumps left out */
};

/* The alarm's mark at so many days left: the smallest of the bounds, or the day itself. */
int32_t detect_mark(long days_left, bool ended, const uint32_t *bounds, size_t n);
/*
 * True: look again after ALARM_CONFIRM, there is a fault that may pass (a key
 * that comes after its certificate).
 */
bool detect_certificate(struct cert_memory *, const char *file, const struct cert_info *,
    const uint32_t *bounds, size_t n, time_t now, alarm_raise *, void *arg);

/*
 * The same of a [ca]'s CRL.  One that is replaced in time, as they are every few
 * days, is nothing to tell.
 */
bool detect_crl(struct cert_memory *, const char *file, const struct crl_info *,
    const uint32_t *bounds, size_t n, time_t now, alarm_raise *, void *arg);

/* ---- settings ---- */

/* Each rule whose mode or client_cert is another; either may lack it. */
void detect_modes(const struct settings *before, const struct settings *after,
    enum changer, time_t now, alarm_raise *, void *arg);

/* ---- listeners ---- */

/*
 * What is known of a listener when it is asked for a name, or for none.  A manager
 * knows the listener only: it is fine when none of its names is at fault.
 */
struct listener_memory {
	char listener[ADDR_TEXT], sni[NAME_SIZE];
	uint32_t told;			/* bit f: PROBE finding f, and that it is over is not told */
	uint32_t muted;			/* those of them that were not */
	/* not kept over a restart: */
	uint32_t once;			/* found by the last probe, to be told the second time */
	uint32_t over;			/* was told, and is no longer so */
	bool here;			/* of the last round */
	char still[PROBE_TEXT];		/* what was told, and holds */
};

/* The alarm that tells of a finding. */
enum alarm detect_finding_kind(enum probe_finding);
/*
 * What a probe found: tells what is new.  What it could not look at stays as it
 * was.  Out of reach, or a handshake that fails, is told the second time only: a
 * server may be restarting.  `fresh`: the certificate's file is so new that the
 * server need not show it yet.  True: probe again soon.
 */
bool detect_listener(struct listener_memory *, const struct probe_target *,
    const struct probe_expect *, const struct probe_result *,
    const struct probe_found *, size_t n, bool fresh, time_t now, alarm_raise *, void *arg);
/* The target is none any more. */
void detect_listener_gone(struct listener_memory *);
/*
 * After a round: is something over of the listener of all[which]?  Then it is fine,
 * or what is left is told.
 */
void detect_listener_over(struct listener_memory *all, size_t n, size_t which, time_t now,
    alarm_raise *, void *arg);

/* ---- refusals ---- */

struct rate_memory {
	uint64_t last;			/* the sum a minute ago */
	uint64_t top;			/* the highest: below it, counters are out of sight */
	bool based;			/* there was one */
	bool told;			/* and it has not become quiet since */
	bool muted;			/* told to nobody */
};

/* Once a minute; sum is the refusals and would-refusals ever.  True: `told` changed. */
bool detect_refusals(struct rate_memory *, enum section, const char *name, uint64_t sum,
    uint32_t limit, time_t now, alarm_raise *, void *arg);

#endif
