/*
 * For the tests of what is told: an alarm_raise that keeps the events, and what is
 * expected of them.  Include it after cmocka.h.
 */
#ifndef TLSWARD_TESTS_ALARM_TOLD_H
#define TLSWARD_TESTS_ALARM_TOLD_H

#include "alarm_detect.h"

#define SEEN_MAX 200

static struct event seen[SEEN_MAX];
static size_t nseen;

static uint32_t off;		/* kinds that are switched off */

static bool
take(void *arg, const struct event *e)
{
	(void)arg;
	if ((off >> e->kind & 1) != 0)
		return false;
	assert_true(nseen < SEEN_MAX);
	seen[nseen++] = *e;
	return true;
}

static void
expect(size_t n, enum alarm kind)
{
	assert_int_equal(nseen, n);
	if (n > 0)
		assert_int_equal(seen[n - 1].kind, kind);
	nseen = 0;
}

static int
fresh(void **state)
{
	(void)state;
	nseen = 0;
	off = 0;
	return 0;
}

#endif
