/*
 * filter/counters_known: rows that are remembered count for the names that the file
 * has them for, whatever becomes of the settings and of the file.
 */
#include <sys/stat.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "counters.h"
#include "counters_file.h"
#include "read.h"

#define DOMAINS 40u

static char dir[64], folder[96], file[128];
static struct settings *forward, *backward;	/* the same domains; their numbers differ */

static struct settings *
make(unsigned first, const char *more)
{
	char text[DOMAINS * 64];
	size_t n = (size_t)snprintf(text, sizeof(text), "[server]\n%s", more);
	struct settings *s;

	for (unsigned i = first; i < DOMAINS; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "[domain d%u.example]\n", i);
	s = settings_parse(text, n, "test.ini", NULL, false, NULL, NULL);
	assert_non_null(s);
	return s;
}

static int
begin(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_known.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(folder, sizeof(folder), "%s/opensmtpd", dir);
	snprintf(file, sizeof(file), "%s/" COUNTERS_NAME, folder);
	forward = make(0, "");
	backward = make(0, "[domain a.example]\n[domain b.example]\n[peer d1.example]\n");
	return mkdir(folder, 0755);
}

static int
end(void **state)
{
	char lock[128];

	(void)state;
	settings_free(forward);
	settings_free(backward);
	snprintf(lock, sizeof(lock), "%s/.lock", folder);
	unlink(lock);
	unlink(file);
	return rmdir(folder) + rmdir(dir);
}

static struct counters *
open_writer(void)
{
	char why[512];
	struct counters *c = counters_open_rows(dir, "opensmtpd", true, 256, why, sizeof(why));

	assert_string_equal(why, "");
	assert_non_null(c);
	return c;
}

/* One recipient in domain i. */
static void
count(struct counters *c, const struct settings *s, unsigned i, uint64_t now)
{
	struct facts f = { .tls = TLS_1_3 };
	struct verdict v = { .action = ACT_ACCEPT, .counted = true };
	char name[32];

	snprintf(name, sizeof(name), "d%u.example", i);
	v.domain = settings_find(s, SEC_DOMAIN, name);
	assert_non_null(v.domain);
	counters_fetch(c, s, v.domain);
	counters_fetch_row(c, s, v.domain);
	counters_add(c, s, &f, &v, now);
}

static unsigned
counted(const struct counters *c, unsigned i)
{
	struct count sum = { 0 };
	char name[32];

	snprintf(name, sizeof(name), "d%u.example", i);
	counters_get(c, SEC_DOMAIN, name, &sum);
	return (unsigned)sum.accepted[COUNT_TLS];
}

/* Twice each, by the names and by what is remembered, under these settings and those. */
static void
settings_come_and_go(void **state)
{
	const uint64_t now = counters_now();
	struct counters *c = open_writer();
	struct settings *few;

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		counters_remember(c, round % 2 == 0 ? forward : backward);
		for (unsigned i = 0; i < DOMAINS; i++) {
			count(c, forward, i, now);
			count(c, backward, i, now);
			count(c, forward, i, now);
		}
	}
	counters_remember(c, NULL);
	few = make(DOMAINS - 2, "");
	counters_remember(c, few);
	count(c, few, DOMAINS - 1, now);
	count(c, backward, DOMAINS - 1, now);
	settings_free(few);
	counters_remember(c, NULL);
	for (unsigned i = 0; i < DOMAINS; i++)
		assert_int_equal(counted(c, i), i == DOMAINS - 1 ? 11 : 9);
	counters_close(c);
}

/* The file is another one, where the names have other rows. */
static void
file_removed(void **state)
{
	uint64_t now = counters_now();
	struct counters *c = open_writer();

	(void)state;
	counters_remember(c, forward);
	for (unsigned i = 0; i < DOMAINS; i++)
		count(c, forward, i, now);
	assert_int_equal(unlink(file), 0);
	counters_recheck(c, now);
	for (unsigned i = DOMAINS; i-- > 1;) {
		count(c, forward, i, now);
		count(c, forward, i, now);
	}
	for (unsigned i = 0; i < DOMAINS; i++)
		assert_int_equal(counted(c, i), i == 0 ? 0 : 2);
	counters_close(c);
}

/* An older copy is written over the file, which stays the same one: `cp old counters`. */
static void
file_restored(void **state)
{
	uint64_t now = counters_now();
	struct counters *c = open_writer();
	const size_t size = c->size;
	char *old = malloc(size);
	int fd = open(file, O_RDWR);

	(void)state;
	assert_true(fd != -1 && old != NULL);
	counters_remember(c, forward);
	count(c, forward, 0, now);
	assert_int_equal(pread(fd, old, size, 0), size);
	for (unsigned later = 1; later < 8; later += 6) {
		for (unsigned i = 1; i <= later; i++)
			count(c, forward, i, now);
		assert_int_equal(pwrite(fd, old, size, 0), size);
		for (unsigned i = 20; i < 30; i++)	/* they get the rows that those had */
			count(c, forward, i, now);
		for (unsigned i = 0; i <= later; i++)
			count(c, forward, i, now);
		for (unsigned i = 0; i < 30; i++)
			assert_int_equal(counted(c, i), i == 0 ? 2 : i <= later || i >= 20);
		assert_int_equal(pwrite(fd, old, size, 0), size);
	}
	close(fd);
	free(old);
	counters_close(c);
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(settings_come_and_go),
		TEST(file_removed),
		TEST(file_restored),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
