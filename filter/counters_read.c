/*
 * Reading the file of counters, by read(2): see counters_file.h for why.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "counters.h"
#include "counters_file.h"

#define relaxed memory_order_relaxed
#define BUCKETS	16u		/* read at a time: two cache lines' worth and more than most need */

bool
counters_read(const struct counters *c, void *to, size_t size, size_t at)
{
	char *p = to;
	size_t done = 0;
	ssize_t n;

	while (done < size) {
		n = pread(c->fd, p + done, size - done, (off_t)(at + done));
		if (n == 0 || (n == -1 && errno != EINTR))
			return false;
		if (n > 0)
			done += (size_t)n;
	}
	return true;
}

uint32_t
counters_row_of(const struct counters *c, uint64_t digest)
{
	struct bucket some[BUCKETS];
	uint32_t first, n, i = 0, k;

	while (i < COUNTERS_PROBES && i < c->nbuckets) {
		first = (uint32_t)(digest + i) & (c->nbuckets - 1);
		n = c->nbuckets - first < BUCKETS ? c->nbuckets - first : BUCKETS;
		if (!counters_read(c, some, n * sizeof(some[0]),
		    COUNTERS_INDEX_AT + first * sizeof(some[0])))
			return 0;
		for (k = 0; k < n; k++) {
			uint64_t d = atomic_load_explicit(&some[k].digest, relaxed);

			if (d == digest)
				return atomic_load_explicit(&some[k].row, relaxed);
			if (d == 0)
				return 0;
		}
		i += n;
	}
	return 0;
}

static void
sum_reasons(uint64_t sum[REASON_MAX], const _Atomic uint64_t n[ROW_REASONS])
{
	for (int i = 0; i < REASON_MAX; i++)
		sum[i] += atomic_load_explicit(&n[i], relaxed);
}

/* Adds row n if it is the owner's; false: it is not, or is not to be read. */
static bool
sum_row(const struct counters *c, uint32_t n, uint64_t owner, struct count *sum)
{
	size_t rows = counters_rows_at(c->nbuckets);
	struct row_reasons reasons;
	struct row r;
	uint64_t last;

	if (n >= c->nrows || !counters_read(c, &r, sizeof(r), rows + counters_row_at(c, n)) ||
	    atomic_load_explicit(&r.owner, relaxed) != owner ||
	    !counters_read(c, &reasons, sizeof(reasons), rows + counters_reasons_at(c, n)))
		return false;
	for (int i = 0; i < COUNT_FIXED; i++)
		sum->accepted[i] += atomic_load_explicit(&r.accepted[i], relaxed);
	sum_reasons(sum->refused, reasons.refused);
	sum_reasons(sum->would, reasons.would);
	last = atomic_load_explicit(&r.last_refusal, relaxed);
	if (last > sum->last_refusal)
		sum->last_refusal = last;
	return true;
}

bool
counters_get(const struct counters *c, enum section section, const char *name,
    struct count *sum)
{
	uint64_t digest = counters_digest(section, name);
	uint32_t row;

	return c != NULL && (row = counters_row_of(c, digest)) != 0 && sum_row(c, row, digest, sum);
}

bool
counters_other(const struct counters *c, struct count *sum)
{
	return c != NULL && sum_row(c, 0, 0, sum);
}

bool
counters_by_reason(const struct counters *c, struct count *sum)
{
	struct header h;

	if (c == NULL || !counters_read(c, &h, sizeof(h), 0))
		return false;
	sum_reasons(sum->refused, h.refused);
	sum_reasons(sum->would, h.would);
	return true;
}

uint64_t
counters_since(const struct counters *c)
{
	return c != NULL ? c->made : 0;
}

void
counters_life(const struct counters *c, struct counters_life *life)
{
	struct header h;

	memset(life, 0, sizeof(*life));
	if (c == NULL || !counters_read(c, &h, sizeof(h), 0))
		return;
	life->starts = atomic_load_explicit(&h.starts, relaxed);
	life->last_start = atomic_load_explicit(&h.last_start, relaxed);
	life->calls = atomic_load_explicit(&h.calls, relaxed);
	life->last_seen = atomic_load_explicit(&h.last_seen, relaxed);
}

uint64_t
count_sum(const uint64_t by_reason[REASON_MAX])
{
	uint64_t sum = 0;

	for (int i = 0; i < REASON_MAX; i++)
		sum += by_reason[i];
	return sum;
}
