/*
 * Kinds of notifications that are switched off: what is not told then, and what is
 * when they are on again; over a restart, too.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alarm_told.h"
#include "alarm_int.h"

#define DAY 86400
#define T0 1800000000		/* when the certificates end */
#define BIT(k) (1u << (k))

static const uint32_t bounds[] = { 30, 14, 7, 1 };
static char folder[] = "/tmp/test-alarm-switch.XXXXXX";

static struct alarm_memory
restarted(struct alarm_memory *m)
{
	struct alarm_memory again;
	char path[64];

	snprintf(path, sizeof(path), "%s/state", folder);
	assert_true(memory_save(m, path));
	memory_free(m);
	memory_load(&again, path);
	unlink(path);
	return again;
}

static void
switch_on(struct alarm_memory *m, uint32_t kinds)
{
	off &= ~kinds;
	memory_switched_on(m, ~off);
}

/* ---- which are off ---- */

static uint32_t
off_by(const char *text)
{
	struct settings *s = settings_parse(text, strlen(text), "test", NULL, true, NULL, NULL);
	uint32_t kinds;

	assert_non_null(s);
	kinds = alarm_kinds_off(s);
	settings_free(s);
	return kinds;
}

static void
settings(void **state)
{
	char text[64], buf[16];

	(void)state;
	assert_int_equal(alarm_kinds_off(NULL), 0);
	assert_int_equal(off_by("[server]\n"), 0);
	assert_int_equal(off_by("[agent]\nnotify = yes\n"), 0);
	assert_int_equal(off_by("[agent]\nnotify = no\n"), UINT32_MAX);
	assert_int_equal(off_by("[agent]\nnotify_except = refusals-high, mode-changed\n"),
	    BIT(ALARM_MODE) | BIT(ALARM_REFUSALS));
	assert_int_equal(off_by("[agent]\nnotify_except = certificate-expired\nnotify = no\n"), UINT32_MAX);
	for (uint32_t k = 0; k < NOTIFY_KINDS; k++) {
		snprintf(text, sizeof(text), "[agent]\nnotify_except = %s\n",
		    key_text(KEY_NOTIFY_EXCEPT, k, buf));
		assert_int_equal(off_by(text), BIT(k + 1));
	}
	assert_string_equal(key_text(KEY_NOTIFY_EXCEPT, ALARM_NOT_VERIFYING - 1, buf),
	    "listener-not-verifying");
	assert_string_equal(key_text(KEY_NOTIFY_EXCEPT, ALARM_UNUSABLE - 1, buf), "certificate-unusable");
	assert_string_equal(key_text(KEY_NOTIFY_EXCEPT, ALARM_FINE - 1, buf), "listener-fine");
}

/* ---- certificates ---- */

static bool
look(struct alarm_memory *all, unsigned char which, enum cert_state state, time_t now)
{
	struct cert_memory *m = memory_cert(all, SEC_CERTIFICATE, "mx");
	static struct cert_info info;
	long left = (long)(T0 - now);

	memset(&info, 0, sizeof(info));
	info.parsed = state != CERT_STATE_UNREADABLE;
	info.not_after = T0;
	info.days_left = left >= 0 ? left / DAY : -((-left + DAY - 1) / DAY);
	info.state = state != CERT_STATE_OK ? state : left < 0 ? CERT_STATE_EXPIRED :
	    info.days_left <= 30 ? CERT_STATE_EXPIRING : CERT_STATE_OK;
	info.fingerprint[0] = which;
	return detect_certificate(m, "/mx.pem", &info, bounds, 4, now, take, NULL);
}

static void
expiry(void **state)
{
	struct alarm_memory m = { 0 };

	(void)state;
	off = BIT(ALARM_EXPIRING);
	for (time_t t = T0 - 40 * DAY; t < T0 - 3 * DAY; t += DAY / 4)
		look(&m, 1, CERT_STATE_OK, t);
	expect(0, ALARM_NONE);
	m = restarted(&m);
	switch_on(&m, BIT(ALARM_EXPIRED));		/* another kind: nothing */
	look(&m, 1, CERT_STATE_OK, T0 - 3 * DAY);
	expect(0, ALARM_NONE);
	switch_on(&m, BIT(ALARM_EXPIRING));		/* one of all, that which holds */
	assert_true(m.changed);
	look(&m, 1, CERT_STATE_OK, T0 - 3 * DAY);
	assert_int_equal(seen[0].days, 3);
	expect(1, ALARM_EXPIRING);
	look(&m, 1, CERT_STATE_OK, T0 - 3 * DAY);
	m = restarted(&m);
	switch_on(&m, BIT(ALARM_EXPIRING));
	look(&m, 1, CERT_STATE_OK, T0 - 3 * DAY);
	expect(0, ALARM_NONE);

	off = BIT(ALARM_EXPIRED);
	look(&m, 1, CERT_STATE_OK, T0 + 1);
	look(&m, 1, CERT_STATE_OK, T0 + DAY);
	expect(0, ALARM_NONE);
	switch_on(&m, BIT(ALARM_EXPIRED));
	look(&m, 1, CERT_STATE_OK, T0 + 2 * DAY);
	expect(1, ALARM_EXPIRED);
	switch_on(&m, BIT(ALARM_EXPIRED));
	look(&m, 1, CERT_STATE_OK, T0 + 2 * DAY);
	expect(0, ALARM_NONE);
	memory_free(&m);
}

/* That it ends was not told, that it has ended was: then it is not told again. */
static void
superseded(void **state)
{
	struct alarm_memory m = { 0 };

	(void)state;
	off = BIT(ALARM_EXPIRING);
	look(&m, 1, CERT_STATE_OK, T0 - 2 * DAY);
	look(&m, 1, CERT_STATE_OK, T0 + 1);
	expect(1, ALARM_EXPIRED);
	switch_on(&m, BIT(ALARM_EXPIRING));
	look(&m, 1, CERT_STATE_OK, T0 + 2);
	expect(0, ALARM_NONE);

	/* Another certificate: what was untold of the one before is nothing to tell. */
	off = BIT(ALARM_EXPIRED) | BIT(ALARM_RENEWED);
	look(&m, 2, CERT_STATE_OK, T0 + 3);
	look(&m, 3, CERT_STATE_OK, T0 - 60 * DAY);
	switch_on(&m, ~0u);
	look(&m, 3, CERT_STATE_OK, T0 - 60 * DAY);
	expect(0, ALARM_NONE);
	memory_free(&m);
}

static void
unusable(void **state)
{
	struct alarm_memory m = { 0 };

	(void)state;
	off = BIT(ALARM_UNUSABLE);
	look(&m, 1, CERT_STATE_OK, T0 - 60 * DAY);
	look(&m, 1, CERT_STATE_UNREADABLE, T0 - 50 * DAY);
	assert_false(look(&m, 1, CERT_STATE_UNREADABLE, T0 - 50 * DAY + ALARM_CONFIRM));
	expect(0, ALARM_NONE);
	m = restarted(&m);
	look(&m, 1, CERT_STATE_UNREADABLE, T0 - 49 * DAY);
	expect(0, ALARM_NONE);
	switch_on(&m, BIT(ALARM_UNUSABLE));
	look(&m, 1, CERT_STATE_UNREADABLE, T0 - 48 * DAY);
	expect(1, ALARM_UNUSABLE);
	look(&m, 1, CERT_STATE_UNREADABLE, T0 - 47 * DAY);
	expect(0, ALARM_NONE);

	/* Mended meanwhile: nothing holds any more. */
	look(&m, 1, CERT_STATE_OK, T0 - 46 * DAY);
	expect(1, ALARM_RENEWED);
	off = BIT(ALARM_UNUSABLE) | BIT(ALARM_RENEWED);
	look(&m, 1, CERT_STATE_KEY_MISMATCH, T0 - 45 * DAY);
	look(&m, 1, CERT_STATE_KEY_MISMATCH, T0 - 45 * DAY + 10);
	assert_int_equal(m.cert[0].muted, BIT(ALARM_UNUSABLE));
	look(&m, 1, CERT_STATE_OK, T0 - 44 * DAY);
	assert_int_equal(m.cert[0].muted, 0);
	switch_on(&m, ~0u);
	look(&m, 1, CERT_STATE_OK, T0 - 43 * DAY);
	expect(0, ALARM_NONE);
	memory_free(&m);
}

/* ---- listeners ---- */

static struct probe_found two[] = { { .what = PROBE_UNREACHABLE, .text = "gone" },
    { .what = PROBE_NOT_VERIFYING, .text = "lets in" } };

static struct listener_memory *
probed(struct alarm_memory *all, const struct probe_found *found, size_t n)
{
	static const struct probe_expect want = { .mode = MODE_OFFER };
	struct listener_memory *m = memory_listener(all, "192.0.2.1:25", "");
	static struct probe_target t;
	static struct probe_result r;

	assert_true(addr_listener(m->listener, strlen(m->listener), &t.listener));
	r.reachable = r.tls = n == 0 || found[0].what != PROBE_UNREACHABLE;
	m->here = true;
	detect_listener(m, &t, &want, &r, found, n, false, T0, take, NULL);
	detect_listener_over(all->listener, all->nlistener, 0, T0, take, NULL);
	return m;
}

static void
listeners(void **state)
{
	struct alarm_memory m = { 0 };

	(void)state;
	off = BIT(ALARM_NOT_VERIFYING);
	probed(&m, &two[1], 1);
	expect(0, ALARM_NONE);
	m = restarted(&m);
	assert_int_equal(m.nlistener, 1);
	assert_int_equal(m.listener[0].told, BIT(PROBE_NOT_VERIFYING));
	assert_int_equal(m.listener[0].muted, BIT(PROBE_NOT_VERIFYING));
	switch_on(&m, BIT(ALARM_FAULT));
	probed(&m, &two[1], 1);
	expect(0, ALARM_NONE);
	switch_on(&m, BIT(ALARM_NOT_VERIFYING));
	probed(&m, &two[1], 1);
	expect(1, ALARM_NOT_VERIFYING);
	switch_on(&m, BIT(ALARM_NOT_VERIFYING));
	probed(&m, &two[1], 1);
	expect(0, ALARM_NONE);
	probed(&m, NULL, 0);
	expect(1, ALARM_FINE);

	/* Over before its kind is on. */
	off = BIT(ALARM_FAULT) | BIT(ALARM_FINE);
	probed(&m, &two[0], 1);
	probed(&m, &two[0], 1);
	assert_int_equal(probed(&m, &two[0], 1)->muted, BIT(PROBE_UNREACHABLE));
	assert_int_equal(probed(&m, NULL, 0)->muted, 0);
	switch_on(&m, ~0u);
	probed(&m, NULL, 0);
	expect(0, ALARM_NONE);

	/* It leaves the settings. */
	off = BIT(ALARM_NOT_VERIFYING);
	detect_listener_gone(probed(&m, &two[1], 1));
	assert_int_equal(m.listener[0].muted, 0);
	memory_free(&m);
}

static void
refusals(void **state)
{
	struct rate_memory m = { 0 };

	(void)state;
	off = BIT(ALARM_REFUSALS);
	detect_refusals(&m, SEC_PEER, "p.example", 0, 10, T0, take, NULL);
	assert_true(detect_refusals(&m, SEC_PEER, "p.example", 10, 10, T0, take, NULL));
	assert_true(m.told && m.muted);
	detect_refusals(&m, SEC_PEER, "p.example", 11, 10, T0, take, NULL);
	assert_false(m.told || m.muted);
	off = 0;
	detect_refusals(&m, SEC_PEER, "p.example", 21, 10, T0, take, NULL);
	assert_false(m.muted);
	expect(1, ALARM_REFUSALS);
}

/* ---- the settings are others ---- */

static void
put_settings(struct alarms *a, const char *path, const char *agent)
{
	struct held *before = hold_ref(&a->hold);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fprintf(f, "[peer p.example]\nmode = require\n[agent]\nprobe_interval = 0\n%s", agent);
	assert_int_equal(fclose(f), 0);
	assert_true(hold_refresh(&a->hold, NULL));
	look_settings_changed(a, held_settings(before));
	held_unref(before);
}

/* A rate that is high while its kind is off counts as untold when that is on. */
static void
changes(void **state)
{
	struct event mode = { .kind = ALARM_MODE, .section = SEC_PEER, .name = "p.example" };
	struct alarms a = { .channel = -1, .changes = -1 };
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/tlsward.ini", folder);
	assert_true(queue_init(&a.queue));
	hold_init(&a.hold, path);
	put_settings(&a, path, "notify_except = refusals-high\n");
	assert_true(alarms_raise(&a, &mode));
	assert_int_equal(a.queue.n, 1);
	a.rate[1][0].told = a.rate[1][0].muted = true;
	memory_listener(&a.memory, "192.0.2.1:25", "")->told = BIT(PROBE_EXPIRED);
	a.memory.listener[0].muted = BIT(PROBE_EXPIRED);
	put_settings(&a, path, "notify_except = refusals-high, mode-changed\n");
	assert_int_equal(a.queue.n, 0);
	assert_false(alarms_raise(&a, &mode));
	assert_int_equal(a.queue.n, 0);
	assert_int_equal(a.queue.figures.suppressed, 0);
	assert_true(a.rate[1][0].told);
	assert_int_equal(a.memory.listener[0].told, 0);	/* that kind is on */
	a.memory.listener[0].told = a.memory.listener[0].muted = BIT(PROBE_EXPIRED);
	put_settings(&a, path, "notify = no\n");
	assert_int_equal(a.memory.listener[0].muted, BIT(PROBE_EXPIRED));
	assert_false(alarms_raise(&a, &mode));
	assert_true(a.rate[1][0].told);
	put_settings(&a, path, "");
	assert_false(a.rate[1][0].told || a.rate[1][0].muted);
	assert_true(alarms_raise(&a, &mode));
	a.rate[1][0].told = true;		/* by the manager's knowledge */
	put_settings(&a, path, "notify = yes\n");
	assert_true(a.rate[1][0].told);
	unlink(path);
	look_free(&a);
	hold_free(&a.hold);
	memory_free(&a.memory);
	queue_free(&a.queue);
}

/* ---- what waits ---- */

static void
forget(void *arg, const struct event *e)
{
	memory_unsaid(arg, e);
}

static void
queue(void **state)
{
	struct event mode = { .kind = ALARM_MODE }, unusable = { .kind = ALARM_UNUSABLE,
	    .section = SEC_CERTIFICATE, .name = "mx" };
	struct alarm_memory m = { 0 };
	struct event_queue q;

	(void)state;
	look(&m, 1, CERT_STATE_OK, T0 - 60 * DAY);
	look(&m, 1, CERT_STATE_UNREADABLE, T0 - 50 * DAY);
	look(&m, 1, CERT_STATE_UNREADABLE, T0 - 50 * DAY + ALARM_CONFIRM);
	expect(1, ALARM_UNUSABLE);
	assert_true(queue_init(&q));
	queue_raise(&q, &mode, 9, 1000);
	queue_raise(&q, &unusable, 9, 1000);
	queue_raise(&q, &mode, 9, 1000);
	queue_raise(&q, &unusable, 9, 1000);
	q.changed = false;

	/* The first is on its way. */
	queue_mute(&q, BIT(ALARM_MODE), true, forget, &m);
	assert_int_equal(q.n, 3);
	assert_int_equal(queue_head(&q)->kind, ALARM_MODE);
	queue_mute(&q, BIT(ALARM_MODE), false, forget, &m);
	assert_int_equal(queue_head(&q)->number, 2);
	assert_int_equal(q.figures.queued, 2);
	assert_true(q.changed);
	m.changed = false;
	queue_mute(&q, BIT(ALARM_UNUSABLE), false, forget, &m);
	assert_null(queue_head(&q));
	assert_int_equal(q.figures.lost + q.figures.suppressed + q.figures.sent + q.figures.queued, 0);
	queue_free(&q);

	/* Nobody has heard of it: it is told when it may be. */
	assert_true(m.changed);
	off = BIT(ALARM_UNUSABLE);
	m = restarted(&m);
	switch_on(&m, BIT(ALARM_UNUSABLE));
	look(&m, 1, CERT_STATE_UNREADABLE, T0 - 48 * DAY);
	expect(1, ALARM_UNUSABLE);
	memory_free(&m);
}

/* Whose state an event is of that did not leave the queue. */
static void
unsaid(void **state)
{
	struct event crl = { .kind = ALARM_EXPIRED, .section = SEC_CA, .name = "p",
	    .subject = "CRL of CN=p" };
	struct event ca = { .kind = ALARM_EXPIRING, .section = SEC_CA, .name = "p", .subject = "CN=p" };
	struct event fault = { .kind = ALARM_FAULT, .section = SEC_LISTENER, .name = "192.0.2.1:25",
	    .listener = "192.0.2.1:25" };
	struct alarm_memory m = { 0 };

	(void)state;
	memory_cert(&m, SEC_CA, "p");
	memory_cert(&m, SEC_CA, "p crl");
	memory_cert(&m, SEC_CA, "pq");
	memory_cert(&m, SEC_CERTIFICATE, "p");
	memory_listener(&m, "192.0.2.1:25", "")->told = BIT(PROBE_UNREACHABLE) | BIT(PROBE_NOT_VERIFYING);
	memory_listener(&m, "192.0.2.1:465", "")->told = BIT(PROBE_UNREACHABLE);
	memory_unsaid(&m, &crl);
	memory_unsaid(&m, &ca);
	memory_unsaid(&m, &fault);
	assert_int_equal(memory_cert(&m, SEC_CA, "p")->muted, BIT(ALARM_EXPIRING));
	assert_int_equal(memory_cert(&m, SEC_CA, "p crl")->muted, BIT(ALARM_EXPIRED));
	assert_int_equal(memory_cert(&m, SEC_CA, "pq")->muted, 0);
	assert_int_equal(memory_cert(&m, SEC_CERTIFICATE, "p")->muted, 0);
	assert_int_equal(memory_listener(&m, "192.0.2.1:25", "")->muted, BIT(PROBE_UNREACHABLE));
	assert_int_equal(memory_listener(&m, "192.0.2.1:465", "")->muted, 0);
	memory_free(&m);
}

/* The memory of an agent that knew no switches. */
static void
former_file(void **state)
{
	struct alarm_memory m;
	char path[64];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/state", folder);
	assert_non_null(f = fopen(path, "w"));
	fprintf(f, "certificate\tmx\t1\t01%062d\t-1\t%d\t0\nlistener\t192.0.2.1:25\t\t%u\n", 0, T0,
	    BIT(PROBE_NOT_VERIFYING));
	fclose(f);
	memory_load(&m, path);
	memory_switched_on(&m, ~0u);
	assert_false(m.changed);
	look(&m, 1, CERT_STATE_OK, T0 + DAY);
	probed(&m, &two[1], 1);
	expect(0, ALARM_NONE);
	unlink(path);
	memory_free(&m);
}

static int
make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) == NULL ? -1 : 0;
}

static int
remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(settings, fresh),
		cmocka_unit_test_setup(expiry, fresh),
		cmocka_unit_test_setup(superseded, fresh),
		cmocka_unit_test_setup(unusable, fresh),
		cmocka_unit_test_setup(listeners, fresh),
		cmocka_unit_test_setup(refusals, fresh),
		cmocka_unit_test_setup(changes, fresh),
		cmocka_unit_test_setup(former_file, fresh),
		cmocka_unit_test_setup(queue, fresh),
		cmocka_unit_test_setup(unsaid, fresh),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("switched off", tests, make_folder, remove_folder);
}
