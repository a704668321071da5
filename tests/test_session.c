/*
 * filter/session: settings that only open sessions hold are kept within a bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <string.h>

#include "session.h"

#define DOMAINS	20000		/* a megabyte of settings */
#define RELOADS	60

static char dir[64], ini[96];

/* Settings that tell their round by min_bits, as an editor writes them. */
static void
write_settings(unsigned round)
{
	char fresh[96];
	FILE *f;

	snprintf(fresh, sizeof(fresh), "%s/fresh", dir);
	f = fopen(fresh, "w");
	assert_non_null(f);
	fprintf(f, "[server]\nmin_bits = %u\n", 100 + round);
	for (unsigned i = 0; i < DOMAINS; i++)
		fprintf(f, "[domain d%u.example]\nmode = require\n", i);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(fresh, ini), 0);
}

static unsigned
round_of(const struct session *s)
{
	const struct settings *set = held_settings(s->held);

	return settings_value(settings_find(set, SEC_SERVER, ""), KEY_MIN_BITS) - 100;
}

static void
superseded_settings_are_bounded(void **state)
{
	struct sessions all;
	struct session *s;
	struct hold h;
	unsigned kept = 0;

	(void)state;
	assert_true(sessions_init(&all));
	hold_init(&h, ini);
	for (unsigned round = 0; round < RELOADS; round++) {
		write_settings(round);
		assert_true(hold_refresh(&h, NULL));
		sessions_renew(&all, &h);
		assert_in_range(hold_superseded(&h), 0, SUPERSEDED_MAX);
		for (unsigned i = 0; i < 3; i++) {
			s = session_open(&all, round * 3 + i);
			assert_non_null(s);
			s->held = hold_ref(&h);
		}
	}
	/* The oldest have gone over, each to what was in force when there was no more room. */
	for (unsigned round = 0; round < RELOADS; round++)
		for (unsigned i = 0; i < 3; i++) {
			s = session_find(&all, round * 3 + i);
			assert_in_range(round_of(s), round, RELOADS - 1);
			kept += round_of(s) == round;
		}
	assert_true(round_of(session_find(&all, 0)) > 0);
	assert_in_range(kept, 3 * 5, 3 * RELOADS - 3);
	for (unsigned id = 0; id < RELOADS * 3; id++)
		session_close(&all, id);
	assert_int_equal(hold_superseded(&h), 0);
	sessions_free(&all);
	hold_free(&h);
}

/* Texts of random length, kept and kept again, beside places of their own. */
static void
texts_of_a_session(void **state)
{
	static const size_t most[TEXT_MAX] = { 63, NAME_SIZE - 1, NAME_SIZE - 1, SESSION_ADDRESS - 1, NAME_SIZE - 1 };
	char beside[TEXT_MAX][400] = { "" }, text[400];
	struct sessions all;
	struct session *s = NULL;
	unsigned random = 1;

	(void)state;
	assert_true(sessions_init(&all));
	for (unsigned i = 0; i < 200000; i++) {
		random = random * 1664525 + 1013904223;
		enum text t = (enum text)((random >> 16) % TEXT_MAX);
		size_t len = (random >> 8) % ((random >> 28) < 3 ? 400 : 30);

		if (i % 50 == 0) {
			s = session_open(&all, 7);
			assert_non_null(s);
			memset(beside, 0, sizeof(beside));
		}
		memset(text, 'a' + (int)(i % 26), len);
		session_keep(s, t, text, len);
		(void)snprintf(beside[t], sizeof(beside[t]), "%.*s", (int)(len < most[t] ? len : most[t]), text);
		for (t = 0; t < TEXT_MAX; t++)
			assert_string_equal(session_text(s, t), beside[t]);
	}
	sessions_free(&all);
}

static int
make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/tlsward-session-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(ini, sizeof(ini), "%s/tlsward.ini", dir);
	return 0;
}

static int
remove_dir(void **state)
{
	(void)state;
	unlink(ini);
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_of_a_session),
		cmocka_unit_test_setup_teardown(superseded_settings_are_bounded, make_dir, remove_dir),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
