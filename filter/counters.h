/*
 * Counters in a file that its writers map and its readers read.
 *
 * Each front end has its own file, STATE_DIR/FRONTEND/counters, in a folder
 * owned by the user it runs as; readers add the files up.  Any number of
 * processes count into one file at once: only atomic operations, no lock.  A
 * row belongs to a 64-bit digest of section and kept name, so that a process
 * killed at any instruction leaves a file that the next one can go on with: at
 * worst one row of space is lost.  Pages are allocated (fallocate) before they
 * are touched, so a full disk is an answer, not a SIGBUS.
 *
 * A rule's row stays when the rule goes: counters never fall.  When the rows
 * are used up, further names count under the row "other".
 */
#ifndef TLSWARD_FILTER_COUNTERS_H
#define TLSWARD_FILTER_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "policy.h"

enum { COUNT_CLEAR, COUNT_TLS, COUNT_VERIFIED, COUNT_FIXED };
/*
 * CLEAR and TLS are disjoint and add up to what was accepted (would-refusals
 * included: they are accepted too, but for a STARTTLS, which is no mail); VERIFIED is the part of TLS that had a
 * trusted certificate.
 */
struct count {
	uint64_t accepted[COUNT_FIXED];
	uint64_t refused[REASON_MAX];	/* REFUSE and DEFER */
	uint64_t would[REASON_MAX];
	uint64_t last_refusal;		/* seconds since 1970; 0: never */
};

struct counters;

/*
 * Opens (makes, for a writer) the file for one front end ("opensmtpd",
 * "exim").  NULL, with a sentence in why, where it cannot be: the caller
 * decides mail all the same and logs the sentence once.  With the counters
 * opened, why is "" or tells that a damaged or foreign file was set aside as
 * counters.bad-TIME: worth a log line too.
 *
 * The folder is the writer's own or root's, not writable by everybody.  A file
 * that somebody removes is made anew within seconds of the next count.
 */
struct counters *counters_open(const char *state_dir, const char *frontend,
    bool writer, char *why, size_t whysize);
void counters_close(struct counters *);

/* Seconds since 1970, as time(3) has them, but for its code in libc: a page fault of its own. */
uint64_t counters_now(void);

/*
 * Counts a verdict for each of its rules, and notes a refusal; nothing when !counted,
 * but that there was a call.  now in seconds.
 */
void counters_add(struct counters *, const struct settings *,
    const struct facts *, const struct verdict *, uint64_t now);

/*
 * The rows of these settings' rules are remembered once they are known; those of
 * others are found by their names.  To be called again when they go, with NULL or
 * others.  Without memory for it nothing is remembered.
 */
void counters_remember(struct counters *, const struct settings *);
/* That rule of theirs will be counted soon: asks the memory for it, in two steps. */
void counters_fetch(const struct counters *, const struct settings *, const struct rule *);
void counters_fetch_row(const struct counters *, const struct settings *, const struct rule *);

/*
 * Looks at once whether the file was removed or cut short, for a process that has
 * the counters by fork(2): otherwise counters_add looks every few seconds.
 */
void counters_recheck(struct counters *, uint64_t now);

/*
 * After counters_add: is there something to log?  True, with the sentence in why:
 * names count under "other" for want of rows or of space (for one of the processes,
 * once a day); the file had been cut short, or what was put in its place is damaged.
 */
bool counters_tell(struct counters *, uint64_t now, char *why, size_t whysize);

/* Adds the row's figures onto *sum; false (nothing added) if it has no row. */
bool counters_get(const struct counters *, enum section, const char *name,
    struct count *sum);
bool counters_other(const struct counters *, struct count *sum);
/*
 * Adds what was refused and would have been, by reason, wherever it was decided:
 * each refusal once.  What MAIL would have refused is not told again for each of its
 * recipients, but where the [domain] would have refused it, too.  The rest stays.
 */
bool counters_by_reason(const struct counters *, struct count *sum);
/* When the file was made, seconds since 1970: the discontinuity time. */
uint64_t counters_since(const struct counters *);

/* One of the last refusals. */
#define COUNTERS_RECENT 64		/* kept of each front end */
struct recent {
	uint64_t number;		/* from 1, as they came; those between were lost or are older */
	uint64_t time;			/* seconds since 1970 */
	enum action action;		/* ACT_REFUSE or ACT_DEFER */
	enum reason reason;
	enum section section;		/* of the rule that refused; SEC_MAX: none did */
	char name[NAME_SIZE];		/* and its name; "": it has none */
	struct addr client;
};
/* Those that are kept, by number; returns how many. */
size_t counters_recent(const struct counters *, struct recent out[COUNTERS_RECENT]);

/* What is known of a front end's processes; times in seconds since 1970, 0: never. */
struct counters_life {
	uint64_t starts, last_start;	/* processes that opened the file to count */
	uint64_t calls;			/* counters_add */
	uint64_t last_seen;		/* counters_add or counters_alive */
};
void counters_life(const struct counters *, struct counters_life *);
/* A sign of life of a writer that has nothing to count. */
void counters_alive(struct counters *, uint64_t now);

uint64_t count_sum(const uint64_t by_reason[REASON_MAX]);

/* The folders' names below state_dir, NULL-ended. */
#define COUNTERS_FRONTENDS 2
extern const char *const counters_frontends[COUNTERS_FRONTENDS + 1];

/*
 * The reader of all front ends' files below state_dir.  Files that come later
 * are found by counters_all_refresh (cheap; call it as often as you like).  Nothing
 * is mapped: whatever happens to a file, the worst is that it counts as gone.
 */
struct counters_all;
struct counters_all *counters_all_open(const char *state_dir);
void counters_all_refresh(struct counters_all *);
void counters_all_get(const struct counters_all *, enum section,
    const char *name, struct count *sum);		/* *sum is set, 0 if there is none */
void counters_all_other(const struct counters_all *, struct count *sum);	/* likewise */
void counters_all_by_reason(const struct counters_all *, struct count *sum);	/* likewise */
uint64_t counters_all_since(const struct counters_all *);	/* the latest; 0: no file */
size_t counters_all_files(const struct counters_all *);
/*
 * Grows when a sum may have jumped: a file came, or came back, or went.  Not for those
 * that were there at the start.
 */
unsigned counters_all_breaks(const struct counters_all *);
/* Why the file of counters_frontends[i] is not read; NULL: it is. */
const char *counters_all_why(const struct counters_all *, size_t i);
/* Of the file of counters_frontends[i]; nothing where it is not read. */
size_t counters_all_recent(const struct counters_all *, size_t i,
    struct recent out[COUNTERS_RECENT]);
void counters_all_life(const struct counters_all *, size_t i, struct counters_life *);
/* Is it not read because nobody has made it yet? */
bool counters_all_absent(const struct counters_all *, size_t i);
void counters_all_close(struct counters_all *);

#endif
