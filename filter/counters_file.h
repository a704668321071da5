/*
 * The file behind filter/counters.h: its layout, its making, its mapping.  For
 * counters*.c and their tests only.
 *
 *	header		one page
 *	recent		the last refusals, a ring
 *	index		open addressing, linear probing, two buckets a row
 *	rows		dense, row 0 is "other", taken in order; of every COUNTERS_CHUNK
 *			(or all, if they are fewer) first what each mail touches, then the
 *			reasons: mail for 100,000 domains touches a fifth of the file
 *
 * Writers map it.  Readers do not, for whoever may write the file may cut it
 * short, and a page that has gone is a SIGBUS: they read(2) header, bucket and row,
 * where a number that is written meanwhile is the one before or the one after,
 * since all are whole words at their place (counters_read.c).
 *
 * Numbers are in the byte order of the machine; a file from another is foreign
 * (the mark tells).  The file has its full length from the start, but space
 * only for header, index and the rows below `ready`: nobody touches a row at
 * or above it.
 *
 * A refusal takes the next number and with it a slot of the ring, marks the slot
 * as nobody's, fills it and gives it its number.  A sum over number and content
 * tells a slot that was left half filled, or that two had filled at once, from
 * a whole one: readers pass over the former, the next round fills it again.
 *
 * What a kill or a power cut may leave, and who mends it (all in counters.c):
 *	a bucket without a row		the next to count for that name takes one
 *	a row that no bucket names	lost, one row of space
 *	a bucket that names the row of another name (pages reach the disk in
 *	any order)			seen by the row's owner, replaced
 */
#ifndef TLSWARD_FILTER_COUNTERS_FILE_H
#define TLSWARD_FILTER_COUNTERS_FILE_H

#include <sys/types.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "counters.h"

#define COUNTERS_NAME	"counters"
#define COUNTERS_MAGIC	"tlswcnt\n"
#define COUNTERS_VERSION 4
#define COUNTERS_MARK	0x01020304u
#define COUNTERS_ROWS	(1u << 18)	/* 100,000 domains, as many peers, and room */
#define COUNTERS_PAGE	4096u
#define COUNTERS_CHUNK	256u		/* rows made ready at a time: 80 KiB */
#define COUNTERS_YOUNG	8		/* calls of counters_add */
#define ROW_REASONS	16		/* of which REASON_MAX are in use */

struct header {
	char magic[8];
	uint32_t version;
	uint32_t mark;			/* COUNTERS_MARK */
	uint32_t nbuckets;		/* a power of two */
	uint32_t nrows;
	uint32_t row_size;
	uint32_t unused;
	uint64_t size;			/* of the file, octets */
	uint64_t made;			/* seconds since 1970 */
	_Alignas(64) _Atomic uint32_t next;	/* first row not taken; 1 to nrows */
	_Atomic uint32_t ready;		/* rows below it have space; next <= ready <= nrows */
	_Atomic uint64_t starts, last_start;
	_Alignas(64) _Atomic uint64_t calls;
	_Atomic uint64_t last_seen;
	_Atomic uint64_t refusals;	/* of the ring: the last number given */
	_Atomic uint64_t full_told;	/* when it was last logged that no row is left; 0: never */
	/* Each verdict once, whatever rows it counts in; see counters_by_reason. */
	_Alignas(64) _Atomic uint64_t refused[ROW_REASONS];
	_Atomic uint64_t would[ROW_REASONS];
};

#define SLOT_WORDS	38
struct slot {
	_Atomic uint64_t number;	/* from 1; slot number % COUNTERS_RECENT; 0: being filled */
	_Atomic uint64_t sum;
	_Atomic uint64_t word[SLOT_WORDS];	/* a struct noted, see counters_recent.c */
};

struct bucket {
	_Atomic uint64_t digest;	/* 0: free.  Set once, never changed */
	_Atomic uint32_t row;		/* 0: none yet */
	uint32_t unused;
};

struct row {
	_Atomic uint64_t owner;		/* digest of its name; 0: nobody's (row 0 stays so) */
	_Atomic uint64_t last_refusal;
	_Atomic uint64_t accepted[6];	/* of which COUNT_FIXED are in use */
};
struct row_reasons {
	_Atomic uint64_t refused[ROW_REASONS];
	_Atomic uint64_t would[ROW_REASONS];
};
#define ROW_SIZE (sizeof(struct row) + sizeof(struct row_reasons))

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "counters need lock-free 64-bit atomics");
_Static_assert(sizeof(struct header) <= COUNTERS_PAGE, "the header is one page");
_Static_assert(sizeof(struct bucket) == 16 && sizeof(struct row) == 64 &&
    ROW_SIZE == 320 && sizeof(struct slot) == 320, "on-disk sizes");

enum counters_lack { LACK_NOTHING, LACK_ROWS, LACK_SPACE };

struct counters {
	/* writer only: where it is mapped */
	struct header *head;
	struct slot *recent;		/* COUNTERS_RECENT of them */
	struct bucket *index;
	char *rows;			/* see counters_row */
	/* of all */
	size_t size;
	uint64_t made;			/* the header's */
	uint32_t nbuckets, nrows;	/* checked copies of the header's */
	uint32_t chunk;			/* rows whose reasons stand behind them all */
	int dir, fd;
	dev_t dev;
	ino_t ino;
	bool writer;
	/* writer only */
	const struct settings *followed;	/* NULL: those of nobody */
	uint32_t *known;		/* by number of their rules, the row; 0: not known */
	uint32_t highest;		/* row that is remembered */
	uint32_t spare;			/* a row taken and not used; 0: none */
	uint64_t grow_after;		/* the disk was full: do not ask again before */
	enum counters_lack lack;	/* why a count found no row; see counters_tell */
	uint64_t looked;		/* when the path was last compared with ino */
	unsigned young;			/* calls for which pages are taken to be new to the process */
	bool cut;			/* the mapped file has lost its end: not to be touched */
	char replaced[256];		/* what was wrong with it then; see counters_tell */
	char path[512];			/* of the file, for sentences */
};

/* Where in the file its parts begin. */
#define COUNTERS_RECENT_AT	((size_t)COUNTERS_PAGE)
#define COUNTERS_INDEX_AT	(COUNTERS_RECENT_AT + COUNTERS_RECENT * sizeof(struct slot))
static inline size_t
counters_rows_at(uint32_t nbuckets)
{
	return COUNTERS_INDEX_AT + (size_t)nbuckets * sizeof(struct bucket);
}

/* Where among the rows one and its reasons are. */
static inline size_t
counters_row_at(const struct counters *c, uint32_t n)
{
	return (size_t)(n & ~(c->chunk - 1)) * ROW_SIZE + (n & (c->chunk - 1)) * sizeof(struct row);
}
static inline size_t
counters_reasons_at(const struct counters *c, uint32_t n)
{
	return counters_row_at(c, n & ~(c->chunk - 1)) + c->chunk * sizeof(struct row) +
	    (n & (c->chunk - 1)) * sizeof(struct row_reasons);
}
static inline struct row *
counters_row(const struct counters *c, uint32_t n)
{
	return (struct row *)(void *)(c->rows + counters_row_at(c, n));
}
static inline struct row_reasons *
counters_reasons(const struct counters *c, uint32_t n)
{
	return (struct row_reasons *)(void *)(c->rows + counters_reasons_at(c, n));
}

/* As counters_open, with the number of rows (a power of two) of a new file. */
struct counters *counters_open_rows(const char *state_dir, const char *frontend,
    bool writer, uint32_t rows, char *why, size_t whysize);

/*
 * A lock that only who may write the file can have, and for which nobody waits
 * longer than `tries` ms: that is what another needs to write.  0 or an errno.
 */
int counters_lock(int fd, int tries);

/* End of what must have space when `ready` rows are ready. */
size_t counters_space_end(uint32_t nbuckets, uint32_t ready);
/* Space for [from, to) that the file system guarantees.  0 or an errno. */
int counters_reserve(const struct counters *, int fd, size_t from, size_t to);
/* Makes space for row n, and some beyond.  False: there is none. */
bool counters_grow(struct counters *, uint32_t n);

/* Where the row of a rule is remembered; NULL: nowhere. */
uint32_t *counters_known(const struct counters *, const struct settings *, const struct rule *);
void counters_forget(struct counters *);	/* the rows are others now */
/* Forgets them where one is not taken any more: an older file was copied over this one. */
void counters_look_back(struct counters *);
/* Remembers row n there, unless it is NULL. */
void counters_know(struct counters *, uint32_t *known, uint32_t n);

/* Notes a refusal in the ring. */
void counters_note(struct counters *, const struct settings *, const struct facts *,
    const struct verdict *, uint64_t now);

/* A name's mark in index and rows; never 0. */
uint64_t counters_digest(enum section, const char *name);
#define COUNTERS_PROBES	1024		/* buckets looked at; with half free, a few dozen at most */

/* The row that the index has for the digest, by read(2); 0: none. */
uint32_t counters_row_of(const struct counters *, uint64_t digest);
/* size octets from `at` on; false: the file has lost them, or they cannot be read. */
bool counters_read(const struct counters *, void *to, size_t size, size_t at);

/* Is the file at the path no longer the one that is open? */
bool counters_replaced(const struct counters *);

/*
 * Opens again what was replaced, in place, and notes what there is to tell of it.
 * Where that fails the old one stays, `cut` if it must not be touched.
 */
void counters_reopen(struct counters *);

#endif
