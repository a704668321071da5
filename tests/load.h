/*
 * What the players of load share: a clock, and how long things took.
 */
#ifndef TLSWARD_TESTS_LOAD_H
#define TLSWARD_TESTS_LOAD_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline double
seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static inline int
times_by_size(const void *a, const void *b)
{
	const float *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Sorts them; nothing where there are none. */
static inline void
times_print(float *ms, size_t n)
{
	if (n == 0)
		return;
	qsort(ms, n, sizeof(*ms), times_by_size);
	printf("median_ms=%.3f\np99_ms=%.3f\nworst_ms=%.3f\n", (double)ms[n / 2],
	    (double)ms[n - 1 - n / 100], (double)ms[n - 1]);
}

#endif
