/*
 * filter/upkeep: the feed of fingerprints is open while some listener verifies.
 */
#include <sys/stat.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "upkeep.h"

static char dir[64], ini[96];

/* As an editor does it. */
static void
write_settings(bool verifies)
{
	char fresh[96];
	FILE *f;

	(void)snprintf(fresh, sizeof(fresh), "%s/fresh", dir);
	assert_non_null(f = fopen(fresh, "w"));
	fprintf(f, "[server]\nstate_dir = %s\n[listener 192.0.2.1:25]\nverifies = %s\n", dir,
	    verifies ? "yes" : "no");
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(fresh, ini), 0);
}

static void
change(struct filter *f, struct upkeep *u, bool verifies)
{
	write_settings(verifies);
	f->now = upkeep_clock();
	upkeep_turn(f, u, true);
}

/* However soon after one another: a session that waits for a fingerprint has a second. */
static void
feed_follows_the_settings(void **unused)
{
	static struct filter f;
	static struct upkeep u;

	(void)unused;
	f.complaints.what = f.strangers.what = f.contradictions.what = f.unreadable.what = "lines";
	write_settings(true);
	hold_init(&f.hold, ini);
	assert_true(hold_refresh(&f.hold, NULL));
	assert_true(sessions_init(&f.sessions));
	f.now = upkeep_clock();
	upkeep_open(&f, &u);
	assert_non_null(f.feed);
	for (int i = 0; i < 3; i++) {
		change(&f, &u, false);
		assert_null(f.feed);
		change(&f, &u, true);
		assert_non_null(f.feed);
	}
	upkeep_close(&f, &u);
	assert_null(f.feed);
	sessions_free(&f.sessions);
	hold_free(&f.hold);
}

static int
make_dir(void **unused)
{
	char state[96];

	(void)unused;
	(void)snprintf(dir, sizeof(dir), "/tmp/tlsward-test-upkeep.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(ini, sizeof(ini), "%s/tlsward.ini", dir);
	(void)snprintf(state, sizeof(state), "%s/opensmtpd", dir);
	return mkdir(state, 0755);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

static int
remove_dir(void **unused)
{
	(void)unused;
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(feed_follows_the_settings, make_dir, remove_dir),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
