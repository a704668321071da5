/*
 * What of a listener's probes, and of refusals, is told to a manager and what is not.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarm_memory.h"
#include "alarm_told.h"

#define T0 1800000000		/* a moment */

static struct probe_expect want = { .mode = MODE_OFFER, .certificate = "mx", .file = "/mx.pem" };
static struct probe_found gone = { .what = PROBE_UNREACHABLE, .text = "gone" };
static struct probe_found cut_short = { .what = PROBE_TLS_FAILED, .text = "cut" };
static struct probe_found two[] = { { .what = PROBE_OTHER_CERTIFICATE, .text = "other" },
    { .what = PROBE_NOT_VERIFYING, .text = "lets in" } };

/* What a round found of one target; `error`: it did not come to an end. */
static bool
probed(struct listener_memory *m, const struct probe_found *found, size_t n, const char *error,
    bool fresh)
{
	static struct probe_target t;
	static struct probe_result r;

	assert_true(addr_listener(m->listener, strlen(m->listener), &t.listener));
	snprintf(t.sni, sizeof(t.sni), "%s", m->sni);
	snprintf(r.error, sizeof(r.error), "%s", error);
	r.reachable = n == 0 || found[0].what != PROBE_UNREACHABLE;
	r.tls = r.reachable && error[0] == '\0';
	r.chain[0][0] = 9;
	m->here = true;
	return detect_listener(m, &t, &want, &r, found, n, fresh, T0, take, NULL);
}

static void
listeners(void **state)
{
	struct listener_memory m = { .listener = "192.0.2.1:25" };

	(void)state;
	assert_false(probed(&m, NULL, 0, "", false));
	expect(0, ALARM_NONE);
	assert_true(probed(&m, &gone, 1, "gone", false));
	expect(0, ALARM_NONE);
	assert_true(probed(&m, &gone, 1, "gone", false));
	assert_string_equal(seen[0].listener, "192.0.2.1:25");
	expect(1, ALARM_FAULT);
	probed(&m, &gone, 1, "gone", false);
	expect(0, ALARM_NONE);
	probed(&m, two, 2, "", false);
	assert_int_equal(seen[0].kind, ALARM_NOT_SHOWN);
	assert_string_equal(seen[0].name, "mx");
	assert_int_equal(seen[0].shown[0], 9);
	assert_string_equal(seen[1].name, "192.0.2.1:25");
	expect(2, ALARM_NOT_VERIFYING);
	detect_listener_over(&m, 1, 0, T0, take, NULL);		/* it can be reached, but */
	assert_non_null(strstr(seen[0].text, "other"));
	assert_non_null(strstr(seen[0].text, "unreachable"));
	expect(1, ALARM_FAULT);
	probed(&m, two, 2, "", false);
	detect_listener_over(&m, 1, 0, T0, take, NULL);
	expect(0, ALARM_NONE);
	assert_false(probed(&m, NULL, 0, "", false));
	expect(0, ALARM_NONE);
	detect_listener_over(&m, 1, 0, T0, take, NULL);
	expect(1, ALARM_FINE);
}

/* A probe that is cut short, or comes to nobody, takes nothing back. */
static void
listener_again(void **state)
{
	struct listener_memory m = { .listener = "192.0.2.1:25" };

	(void)state;
	probed(&m, &two[1], 1, "", false);
	expect(1, ALARM_NOT_VERIFYING);
	assert_true(probed(&m, &cut_short, 1, "cut", false));
	probed(&m, &two[1], 1, "", false);
	detect_listener_over(&m, 1, 0, T0, take, NULL);
	expect(0, ALARM_NONE);
	probed(&m, &cut_short, 1, "cut", false);
	probed(&m, &cut_short, 1, "cut", false);
	expect(1, ALARM_FAULT);
	probed(&m, &gone, 1, "gone", false);
	probed(&m, &gone, 1, "gone", false);
	expect(1, ALARM_FAULT);
	detect_listener_over(&m, 1, 0, T0, take, NULL);
	expect(0, ALARM_NONE);
	probed(&m, &two[1], 1, "", false);
	expect(0, ALARM_NONE);
	detect_listener_over(&m, 1, 0, T0, take, NULL);
	assert_non_null(strstr(seen[0].text, "still at fault: lets in"));
	assert_non_null(strstr(seen[0].text, "unreachable, tls-failed"));
	expect(1, ALARM_FAULT);
	probed(&m, NULL, 0, "", false);
	detect_listener_over(&m, 1, 0, T0, take, NULL);
	assert_non_null(strstr(seen[0].text, "not-verifying"));
	expect(1, ALARM_FINE);
}

/* A listener is fine when no name of it is at fault, or when it is none any more. */
static void
listener_names(void **state)
{
	struct alarm_memory m = { 0 };
	struct listener_memory *l;

	(void)state;
	for (int i = 0; i < 3; i++)
		memory_listener(&m, "192.0.2.1:25", i == 0 ? "" : i == 1 ? "a.example" : "b.example");
	memory_listener(&m, "192.0.2.2:25", "");
	l = m.listener;
	probed(&l[1], two, 1, "", false);
	assert_non_null(strstr(seen[0].text, "asked for a.example: other"));
	expect(1, ALARM_NOT_SHOWN);
	probed(&l[2], two, 1, "", false);
	probed(&l[3], two, 1, "", false);
	nseen = 0;
	probed(&l[1], NULL, 0, "", false);
	detect_listener_over(l, m.nlistener, 1, T0, take, NULL);
	assert_non_null(strstr(seen[0].text, "asked for b.example: other"));
	assert_non_null(strstr(seen[0].text, "asked for a.example: other-certificate"));
	assert_string_equal(seen[0].listener, "192.0.2.1:25");
	expect(1, ALARM_FAULT);

	/* The name goes, then the other listener. */
	l[2].here = false;
	detect_listener_gone(&l[2]);
	detect_listener_over(l, m.nlistener, 2, T0, take, NULL);
	assert_non_null(strstr(seen[0].text, "as the settings say again"));
	expect(1, ALARM_FINE);
	l[3].here = false;
	detect_listener_gone(&l[3]);
	detect_listener_over(l, m.nlistener, 3, T0, take, NULL);
	assert_non_null(strstr(seen[0].text, "not in the settings"));
	expect(1, ALARM_FINE);
	memory_keep_listeners(&m);
	assert_int_equal(m.nlistener, 1);	/* of the first, no name was probed */
	probed(memory_listener(&m, "192.0.2.2:25", ""), two, 1, "", false);
	expect(1, ALARM_NOT_SHOWN);		/* back, and at fault again */
	memory_free(&m);
}

/* A renewal: the server has a moment; what it shows says nothing until then. */
static void
listener_fresh(void **state)
{
	struct listener_memory m = { .listener = "192.0.2.1:25" };

	(void)state;
	assert_true(probed(&m, two, 1, "", true));
	expect(0, ALARM_NONE);
	assert_true(probed(&m, two, 2, "", true));
	expect(1, ALARM_NOT_VERIFYING);		/* that has nothing to do with it */
	probed(&m, two, 1, "", false);
	expect(1, ALARM_NOT_SHOWN);
	probed(&m, NULL, 0, "", true);
	assert_int_equal(m.told, 1u << PROBE_OTHER_CERTIFICATE);
	probed(&m, NULL, 0, "", false);
	assert_int_equal(m.told, 0);
}

static void
refusals(void **state)
{
	struct rate_memory m = { 0 };

	(void)state;
	assert_false(detect_refusals(&m, SEC_PEER, "p.example", 5000, 10, T0, take, NULL));
	expect(0, ALARM_NONE);		/* who knows since when */
	detect_refusals(&m, SEC_PEER, "p.example", 5009, 10, T0, take, NULL);
	expect(0, ALARM_NONE);
	assert_true(detect_refusals(&m, SEC_PEER, "p.example", 5019, 10, T0, take, NULL));
	assert_int_equal(seen[0].refusals, 10);
	assert_int_equal(seen[0].limit, 10);
	expect(1, ALARM_REFUSALS);
	detect_refusals(&m, SEC_PEER, "p.example", 5119, 10, T0, take, NULL);
	detect_refusals(&m, SEC_PEER, "p.example", 5124, 10, T0, take, NULL);	/* 5: not quiet */
	detect_refusals(&m, SEC_PEER, "p.example", 5144, 10, T0, take, NULL);
	expect(0, ALARM_NONE);
	assert_true(detect_refusals(&m, SEC_PEER, "p.example", 5148, 10, T0, take, NULL));
	detect_refusals(&m, SEC_PEER, "p.example", 5168, 10, T0, take, NULL);
	expect(1, ALARM_REFUSALS);
	detect_refusals(&m, SEC_PEER, "p.example", 9999, 0, T0, take, NULL);
	expect(0, ALARM_NONE);
	/* Counters that are out of sight for a while. */
	detect_refusals(&m, SEC_PEER, "p.example", 9999, 10, T0, take, NULL);
	detect_refusals(&m, SEC_PEER, "p.example", 40, 10, T0, take, NULL);
	detect_refusals(&m, SEC_PEER, "p.example", 10003, 10, T0, take, NULL);
	expect(0, ALARM_NONE);
	detect_refusals(&m, SEC_PEER, "p.example", 10013, 10, T0, take, NULL);
	expect(1, ALARM_REFUSALS);
	/* Begun anew. */
	detect_refusals(&m, SEC_PEER, "p.example", 0, 10, T0, take, NULL);
	detect_refusals(&m, SEC_PEER, "p.example", 10, 10, T0, take, NULL);
	expect(1, ALARM_REFUSALS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(listeners, fresh),
		cmocka_unit_test_setup(listener_again, fresh),
		cmocka_unit_test_setup(listener_names, fresh),
		cmocka_unit_test_setup(listener_fresh, fresh),
		cmocka_unit_test_setup(refusals, fresh),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("alarms of listeners", tests, NULL, NULL);
}
