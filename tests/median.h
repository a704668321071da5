/*
 * Microseconds of many runs, and the one in the middle.
 */
#ifndef TLSWARD_TESTS_MEDIAN_H
#define TLSWARD_TESTS_MEDIAN_H

#include <stddef.h>
#include <stdlib.h>
#include <time.h>

static inline double
clock_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static inline int
double_by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Sorts them; n is not 0. */
static inline double
median_of(double *us, size_t n)
{
	qsort(us, n, sizeof(*us), double_by_value);
	return us[n / 2];
}

#endif
