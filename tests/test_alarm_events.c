/*
 * What is told to a manager and what is not, with a clock that is made here;
 * the queue and the memory, over a restart and damaged files.
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
#include "alarm_memory.h"
#include "read.h"

#define DAY 86400
#define T0 1800000000		/* a moment to start from */

static const uint32_t bounds[] = { 30, 14, 7, 1 };
static char folder[] = "/tmp/test-alarm.XXXXXX";

static const char *
path_of(const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

/* ---- certificates ---- */

static struct cert_memory
unknown(void)
{
	struct cert_memory m = { .section = SEC_CERTIFICATE, .mark = MARK_NONE };

	memcpy(m.name, "mx", 3);
	return m;
}

/* The certificate number `which` that ends at T0, as it is seen at `now`. */
static bool
look(struct cert_memory *m, unsigned char which, enum cert_state state, time_t now)
{
	static struct cert_info info;
	long left = (long)(T0 - now);

	memset(&info, 0, sizeof(info));
	info.parsed = state != CERT_STATE_UNREADABLE;
	info.not_after = T0;
	info.days_left = left >= 0 ? left / DAY : -((-left + DAY - 1) / DAY);
	info.state = state != CERT_STATE_OK ? state : left < 0 ? CERT_STATE_EXPIRED :
	    info.days_left <= 30 ? CERT_STATE_EXPIRING : CERT_STATE_OK;
	info.fingerprint[0] = which;
	snprintf(info.subject, sizeof(info.subject), "CN=mx");
	snprintf(info.error, sizeof(info.error), "why");
	return detect_certificate(m, "/mx.pem", &info, bounds, 4, now, take, NULL);
}

static void
expiry(void **state)
{
	static const int told[] = { 30, 14, 7, 6, 5, 4, 3, 2, 1, 0, -1 };
	struct cert_memory m = unknown();

	(void)state;
	for (time_t t = T0 - 60 * DAY; t < T0 + 20 * DAY; t += DAY / 4)
		look(&m, 1, CERT_STATE_OK, t);
	assert_int_equal(nseen, sizeof(told) / sizeof(told[0]));
	for (size_t i = 0; i < nseen; i++) {
		assert_int_equal(seen[i].days, told[i]);
		assert_int_equal(seen[i].kind, told[i] < 0 ? ALARM_EXPIRED : ALARM_EXPIRING);
		assert_string_equal(seen[i].name, "mx");
		assert_string_equal(seen[i].file, "/mx.pem");
		assert_int_equal(seen[i].not_after, T0);
	}
}

static void
clock_set(void **state)
{
	struct cert_memory m = unknown();

	(void)state;
	look(&m, 1, CERT_STATE_OK, T0 - 40 * DAY);
	expect(0, ALARM_NONE);
	look(&m, 1, CERT_STATE_OK, T0 - 2 * DAY);	/* over three marks: the last */
	assert_int_equal(seen[0].days, 2);
	expect(1, ALARM_EXPIRING);
	look(&m, 1, CERT_STATE_OK, T0 - 10 * DAY);	/* back, and on again */
	look(&m, 1, CERT_STATE_OK, T0 - 2 * DAY);
	expect(0, ALARM_NONE);
	look(&m, 1, CERT_STATE_OK, T0 + 1);
	expect(1, ALARM_EXPIRED);
	look(&m, 1, CERT_STATE_OK, T0 - 1);
	look(&m, 1, CERT_STATE_OK, T0 + 1);
	look(&m, 1, CERT_STATE_OK, T0 - 13 * DAY);
	look(&m, 1, CERT_STATE_OK, T0 + DAY);
	expect(0, ALARM_NONE);
	/* That it had ended was told by a clock a month ahead. */
	look(&m, 1, CERT_STATE_OK, T0 - 29 * DAY);
	expect(0, ALARM_NONE);
	look(&m, 1, CERT_STATE_OK, T0 - 14 * DAY);
	expect(1, ALARM_EXPIRING);
	look(&m, 1, CERT_STATE_OK, T0 + 1);
	expect(1, ALARM_EXPIRED);
}

/* Some days ahead, told that it has ended, then set right: what is due comes. */
static void
clock_mended(void **state)
{
	struct cert_memory m = unknown();

	(void)state;
	look(&m, 1, CERT_STATE_OK, T0 - 40 * DAY);
	look(&m, 1, CERT_STATE_OK, T0 + DAY);
	expect(1, ALARM_EXPIRED);
	for (time_t t = T0 - 11 * DAY; t < T0 - 8 * DAY; t += DAY / 2)
		look(&m, 1, CERT_STATE_OK, t);
	expect(0, ALARM_NONE);		/* it is set to and fro */
	for (time_t t = T0 - 10 * DAY; t <= T0 - 8 * DAY; t += 3600)
		look(&m, 1, CERT_STATE_OK, t);
	expect(0, ALARM_NONE);
	look(&m, 1, CERT_STATE_OK, T0 - 6 * DAY);
	assert_int_equal(seen[0].days, 6);
	expect(1, ALARM_EXPIRING);
	look(&m, 1, CERT_STATE_OK, T0 + 1);
	expect(1, ALARM_EXPIRED);
}

static void
renewal(void **state)
{
	struct cert_memory m = unknown();

	(void)state;
	look(&m, 1, CERT_STATE_OK, T0 - DAY);
	expect(1, ALARM_EXPIRING);
	look(&m, 2, CERT_STATE_OK, T0 - DAY);
	assert_int_equal(seen[0].kind, ALARM_RENEWED);
	assert_int_equal(seen[0].fingerprint[0], 2);
	expect(2, ALARM_EXPIRING);	/* it ends as soon */
	/* Key and certificate come one after the other: no fault. */
	assert_true(look(&m, 3, CERT_STATE_KEY_MISMATCH, T0 - DAY));
	expect(0, ALARM_NONE);
	assert_false(look(&m, 3, CERT_STATE_OK, T0 - DAY + 2));
	assert_int_equal(seen[0].kind, ALARM_RENEWED);
	expect(2, ALARM_EXPIRING);
	/* One that lasts is told once, and that it has gone. */
	assert_true(look(&m, 3, CERT_STATE_UNREADABLE, T0 - DAY));
	assert_true(look(&m, 3, CERT_STATE_UNREADABLE, T0 - DAY + 1));
	expect(0, ALARM_NONE);
	assert_false(look(&m, 3, CERT_STATE_UNREADABLE, T0 - DAY + ALARM_CONFIRM));
	assert_string_equal(seen[0].text, "why");
	expect(1, ALARM_UNUSABLE);
	look(&m, 3, CERT_STATE_UNREADABLE, T0 - DAY + 100);
	expect(0, ALARM_NONE);
	look(&m, 3, CERT_STATE_OK, T0 - DAY + 200);
	expect(1, ALARM_RENEWED);
	/* A chain that is short ends all the same. */
	look(&m, 3, CERT_STATE_CHAIN_INCOMPLETE, T0 - DAY);
	look(&m, 3, CERT_STATE_CHAIN_INCOMPLETE, T0 - DAY + 10);
	expect(1, ALARM_UNUSABLE);
	look(&m, 3, CERT_STATE_CHAIN_INCOMPLETE, T0 + 1);
	expect(1, ALARM_EXPIRED);
}

/* A CRL of a week that is replaced in time, and one that is not. */
static bool
look_crl(struct cert_memory *m, time_t made, time_t now)
{
	static struct crl_info crl;
	long left = (long)(made + 7 * DAY - now);

	crl.parsed = true;
	crl.this_update = made;
	crl.next_update = made + 7 * DAY;
	crl.days_left = left >= 0 ? left / DAY : -1;
	crl.state = left < 0 ? CERT_STATE_EXPIRED : left < 7 * DAY / 4 ? CERT_STATE_EXPIRING :
	    CERT_STATE_OK;
	snprintf(crl.error, sizeof(crl.error), "fetch it again");
	return detect_crl(m, "/ca.crl", &crl, bounds, 4, now, take, NULL);
}

static void
crls(void **state)
{
	struct alarm_memory memory = { 0 };
	struct cert_memory *m = memory_cert(&memory, SEC_CA, "partners" MEMORY_CRL);

	(void)state;
	for (time_t t = T0; t < T0 + 30 * DAY; t += 3600)
		look_crl(m, T0 + (t - T0) / (5 * DAY) * (5 * DAY), t);
	expect(0, ALARM_NONE);
	for (time_t t = T0; t < T0 + 9 * DAY; t += 3600)
		look_crl(m, T0, t);
	assert_int_equal(nseen, 3);	/* the last day, the last hours, the end */
	assert_int_equal(seen[0].kind, ALARM_EXPIRING);
	assert_int_equal(seen[0].days, 1);
	assert_int_equal(seen[0].section, SEC_CA);
	assert_string_equal(seen[0].name, "partners");
	assert_string_equal(seen[0].file, "/ca.crl");
	assert_string_equal(seen[2].text, "fetch it again");
	expect(3, ALARM_EXPIRED);
	look_crl(m, T0 + 9 * DAY, T0 + 9 * DAY);
	expect(1, ALARM_RENEWED);
	look_crl(m, T0 + 14 * DAY, T0 + 14 * DAY);
	expect(0, ALARM_NONE);
	memory_free(&memory);
}

/* ---- settings ---- */

static struct settings *
parse(const char *text)
{
	struct settings *s = settings_parse(text, strlen(text), "t.ini", NULL, false, NULL, NULL);

	assert_non_null(s);
	return s;
}

static void
modes(void **state)
{
	struct settings *a = parse("[server]\nmode = offer\n[listener 192.0.2.9:25]\n"
	    "mode = offer\n[domain a.example]\nmode = require\n[domain c.example]\n"
	    "client_cert = request\n[peer p.example]\nmin_bits = 128\n");
	struct settings *b = parse("[server]\nmode = require\n[listener 192.0.2.9:25]\n"
	    "mode = offer\n[domain b.example]\nmode = none\n[domain c.example]\n"
	    "client_cert = none\n[peer p.example]\nmin_bits = 256\n");

	(void)state;
	detect_modes(a, b, BY_SNMP, T0, take, NULL);
	assert_int_equal(nseen, 4);
	assert_int_equal(seen[0].section, SEC_SERVER);
	assert_int_equal(seen[0].old_mode, 3);
	assert_int_equal(seen[0].new_mode, 4);
	assert_int_equal(seen[0].by, BY_SNMP);
	assert_string_equal(seen[1].name, "a.example");
	assert_int_equal(seen[1].old_mode, 4);
	assert_int_equal(seen[1].new_mode, 1);
	assert_string_equal(seen[2].name, "b.example");
	assert_int_equal(seen[2].old_mode, 1);
	assert_int_equal(seen[2].new_mode, 2);
	assert_string_equal(seen[3].name, "c.example");
	assert_int_equal(seen[3].old_cert, 3);
	assert_int_equal(seen[3].new_cert, 2);
	nseen = 0;
	detect_modes(b, b, BY_SNMP, T0, take, NULL);
	expect(0, ALARM_NONE);
	settings_free(a);
	settings_free(b);
}

/* ---- what is kept ---- */

static void
memory(void **state)
{
	struct alarm_memory a = { 0 }, b;
	struct cert_memory *m = memory_cert(&a, SEC_CERTIFICATE, "mx");
	FILE *f;

	(void)state;
	look(m, 1, CERT_STATE_OK, T0 - 5 * DAY);
	expect(1, ALARM_EXPIRING);
	memory_listener(&a, "[2001:db8::7]:25", "mx.example.org")->told = 6;
	memory_set_rate(&a, SEC_PEER, "p.example", true);
	memory_set_rate(&a, SEC_DOMAIN, "d.example", true);
	memory_set_rate(&a, SEC_DOMAIN, "d.example", false);
	a.rejected = true;
	assert_true(memory_save(&a, path_of("state")));
	assert_false(a.changed);

	memory_load(&b, path_of("state"));
	look(memory_cert(&b, SEC_CERTIFICATE, "mx"), 1, CERT_STATE_OK, T0 - 5 * DAY);
	expect(0, ALARM_NONE);
	look(memory_cert(&b, SEC_CERTIFICATE, "mx"), 1, CERT_STATE_OK, T0 - 4 * DAY);
	expect(1, ALARM_EXPIRING);
	assert_int_equal(memory_listener(&b, "[2001:db8::7]:25", "mx.example.org")->told, 6);
	assert_true(memory_rate(&b, SEC_PEER, "p.example"));
	assert_false(memory_rate(&b, SEC_DOMAIN, "d.example"));
	assert_true(b.rejected);
	memory_free(&b);

	f = fopen(path_of("state"), "w");
	assert_non_null(f);
	fprintf(f, "\n\t\t\t\nlistener\tx\ncertificate\tmx\t1\tff\t1\t1\t1\nca\n\x01\xff\t\t\t\t\t\t\t\t\t\t\n"
	    "refusals\tserver\t\nrefusals\tpeer\tq.example\n");
	fclose(f);
	memory_load(&b, path_of("state"));
	assert_int_equal(b.ncert, 0);
	assert_int_equal(b.nlistener, 0);
	assert_int_equal(b.nrate, 1);
	memory_free(&b);
	memory_free(&a);
	assert_false(memory_save(&a, "/nonexistent/state"));
}

static void
queue(void **state)
{
	struct event_queue q, again;
	struct event e = { .kind = ALARM_MODE, .section = SEC_PEER, .name = "p.example" };

	(void)state;
	assert_true(queue_init(&q));
	assert_null(queue_head(&q));
	for (uint32_t i = 0; i < 5; i++)
		queue_raise(&q, &e, 3, 1000 + i);
	assert_int_equal(q.n, 3);
	assert_int_equal(q.figures.suppressed, 2);
	queue_raise(&q, &e, 3, 1060);
	assert_int_equal(queue_head(&q)->number, 1);
	queue_done(&q, 2);			/* not its turn */
	assert_int_equal(q.n, 4);
	queue_done(&q, 1);
	assert_int_equal(queue_head(&q)->number, 2);
	for (uint32_t i = 0; i < ALARM_QUEUE + 5; i++)
		queue_raise(&q, &e, UINT16_MAX, 2000);
	assert_int_equal(q.n, ALARM_QUEUE);
	assert_int_equal(q.figures.lost, 8);
	assert_int_equal(q.figures.queued, ALARM_QUEUE);

	assert_true(queue_save(&q, path_of("queue")));
	assert_true(queue_init(&again));
	queue_load(&again, path_of("queue"));
	assert_int_equal(again.n, ALARM_QUEUE);
	assert_int_equal(again.last, q.last);
	while (q.n > 0) {
		assert_memory_equal(queue_head(&q), queue_head(&again), sizeof(e));
		queue_done(&again, queue_head(&q)->number);
		queue_done(&q, queue_head(&q)->number);
	}
	assert_int_equal(again.n, 0);
	queue_free(&again);

	/* Cut anywhere, or other octets: what is sound counts. */
	for (off_t cut = 0; cut < 60; cut += 7) {
		assert_true(queue_init(&again));
		assert_int_equal(truncate(path_of("queue"), cut), 0);
		queue_load(&again, path_of("queue"));
		assert_int_equal(again.n, 0);
		queue_free(&again);
	}
	queue_free(&q);
}

/* Beyond the rate, what lasts waits; what repeats does not. */
static void
throttle(void **state)
{
	struct event mode = { .kind = ALARM_MODE }, rate = { .kind = ALARM_REFUSALS };
	struct event bad = { .kind = ALARM_UNUSABLE, .section = SEC_CERTIFICATE, .name = "mx" };
	struct event good = { .kind = ALARM_RENEWED, .section = SEC_CERTIFICATE, .name = "mx" };
	struct event other = { .kind = ALARM_UNUSABLE, .section = SEC_CERTIFICATE, .name = "b" };
	struct event_queue q, again;
	FILE *f;

	(void)state;
	assert_true(queue_init(&q));
	queue_raise(&q, &mode, 2, 1000);
	queue_raise(&q, &mode, 2, 1001);
	queue_raise(&q, &bad, 2, 1002);
	queue_raise(&q, &rate, 2, 1003);
	queue_raise(&q, &good, 2, 1004);
	assert_int_equal(q.figures.suppressed, 1);
	for (uint32_t i = 1; i <= 2; i++) {
		assert_int_equal(queue_next(&q, 2, 1005)->number, i);
		queue_given(&q);
		queue_done(&q, i);
	}
	assert_null(queue_next(&q, 2, 1006));
	assert_null(queue_next(&q, 2, 1064));
	assert_int_equal(queue_next(&q, 2, 1065)->kind, ALARM_UNUSABLE);
	queue_given(&q);
	queue_done(&q, 3);
	assert_int_equal(queue_next(&q, 2, 1066)->kind, ALARM_RENEWED);

	/* Full: the latest of an object instead of one before, else of what repeats. */
	queue_raise(&q, &bad, 9999, 2000);
	while (q.n < ALARM_QUEUE)
		queue_raise(&q, &mode, 9999, 2000);
	queue_raise(&q, &good, 9999, 2000);
	assert_int_equal(q.n, ALARM_QUEUE);
	assert_int_equal(q.figures.lost, 1);
	assert_int_equal(q.at[q.first]->kind, ALARM_RENEWED);	/* the first may be on its way */
	assert_int_equal(q.at[(q.first + 1) % ALARM_QUEUE]->kind, ALARM_MODE);
	assert_int_equal(q.at[(q.first + q.n - 1) % ALARM_QUEUE]->kind, ALARM_RENEWED);
	assert_int_equal(q.at[(q.first + q.n - 1) % ALARM_QUEUE]->number, q.last);
	queue_raise(&q, &other, 9999, 2000);
	assert_int_equal(q.at[(q.first + q.n - 1) % ALARM_QUEUE]->kind, ALARM_UNUSABLE);
	assert_int_equal(q.figures.lost, 2);

	/* A number that was given is not given again, also of an event that is lost. */
	assert_true(queue_save(&q, path_of("queue")));
	queue_raise(&q, &mode, 9999, 2000);
	assert_int_equal(q.figures.lost, 3);
	assert_true(q.changed);
	assert_true(queue_save(&q, path_of("queue")));
	assert_true(queue_init(&again));
	queue_load(&again, path_of("queue"));
	assert_int_equal(again.last, q.last);
	assert_int_equal(again.n, ALARM_QUEUE);
	queue_free(&again);

	/* One of an agent whose events are of another size: only the number counts. */
	f = fopen(path_of("queue"), "r+");
	assert_non_null(f);
	fseek(f, 16, SEEK_SET);
	fwrite(&(uint32_t){ sizeof(struct event) + 8 }, 4, 1, f);
	fclose(f);
	assert_true(queue_init(&again));
	queue_load(&again, path_of("queue"));
	assert_int_equal(again.last, q.last);
	assert_int_equal(again.n, 0);
	queue_free(&again);
	queue_free(&q);
}

/* What the settings do not have any more is forgotten: it may come back. */
static void
forgotten(void **state)
{
	struct settings *s = parse("[certificate mx]\nfile = /a.pem\nkey = /a.key\n[peer p.example]\n"
	    "mode = require\n");
	struct alarm_memory m = { 0 };

	(void)state;
	memory_cert(&m, SEC_CERTIFICATE, "mx")->mark = 7;
	memory_cert(&m, SEC_CA, "mx");
	memory_cert(&m, SEC_CERTIFICATE, "old");
	memory_set_rate(&m, SEC_PEER, "q.example", true);
	memory_set_rate(&m, SEC_PEER, "p.example", true);
	m.changed = false;
	memory_keep(&m, s);
	assert_true(m.changed);
	assert_int_equal(m.ncert, 1);
	assert_int_equal(m.cert[0].mark, 7);
	assert_int_equal(m.nrate, 1);
	assert_true(memory_rate(&m, SEC_PEER, "p.example"));
	memory_free(&m);
	m.cert = calloc(MEMORY_MAX, sizeof(*m.cert));
	assert_non_null(m.cert);
	m.ncert = MEMORY_MAX - 1;
	assert_non_null(memory_cert(&m, SEC_CERTIFICATE, "last"));
	assert_false(m.full);
	assert_null(memory_cert(&m, SEC_CERTIFICATE, "more"));
	assert_int_equal(m.ncert, MEMORY_MAX);
	assert_true(m.full);
	memory_free(&m);
	settings_free(s);
}

static int
setup(void **state)
{
	(void)state;
	return mkdtemp(folder) == NULL ? -1 : 0;
}

static void
words(void **state)
{
	struct event e = { .kind = ALARM_MODE, .section = SEC_PEER, .name = "p.example",
	    .old_mode = 1, .new_mode = MODE_REQUIRE + 2, .old_cert = 1, .new_cert = 1,
	    .by = BY_SNMP };
	char buf[256];

	(void)state;
	assert_string_equal(event_text(&e, buf, sizeof(buf)),
	    "[peer p.example] mode: not set -> require, by SNMP");
	e.new_cert = CC_REQUEST + 2;
	assert_string_equal(event_text(&e, buf, sizeof(buf)), "[peer p.example] mode: not set -> "
	    "require, client_cert: not set -> request, by SNMP");
	e.new_mode = 1;
	assert_string_equal(event_text(&e, buf, sizeof(buf)),
	    "[peer p.example] client_cert: not set -> request, by SNMP");
}

static int
teardown(void **state)
{
	(void)state;
	unlink(path_of("state"));
	unlink(path_of("queue"));
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(expiry, fresh),
		cmocka_unit_test_setup(clock_set, fresh),
		cmocka_unit_test_setup(clock_mended, fresh),
		cmocka_unit_test_setup(renewal, fresh),
		cmocka_unit_test_setup(crls, fresh),
		cmocka_unit_test_setup(modes, fresh),
		cmocka_unit_test_setup(memory, fresh),
		cmocka_unit_test_setup(queue, fresh),
		cmocka_unit_test_setup(throttle, fresh),
		cmocka_unit_test_setup(forgotten, fresh),
		cmocka_unit_test_setup(words, fresh),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("alarms", tests, setup, teardown);
}
