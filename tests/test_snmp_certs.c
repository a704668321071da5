/*
 * The agent's account of certificates: what is known of a file is kept while the
 * file stays, whatever else a SET changes in the settings.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "read.h"
#include "snmp_certs.h"

static char path[] = "/tmp/test-snmp-certs.XXXXXX";

static void
report(void *arg, enum severity severity, const char *file, unsigned line, const char *text)
{
	(void)arg;
	if (severity == SEV_ERROR)
		fprintf(stderr, "%s:%u: %s\n", file, line, text);
}

static struct settings *
settings_with(const char *more)
{
	char text[512];
	struct settings *s;

	snprintf(text, sizeof(text), "[server]\n[certificate a]\nfile = %s\nkey = %s\n"
	    "[ca b]\nfile = %s\n%s", path, path, path, more);
	s = settings_parse(text, strlen(text), "test.ini", NULL, false, report, NULL);
	assert_non_null(s);
	return s;
}

/* Says when each was read, so that a new reading shows. */
static void
read_at(struct certs *c, time_t when)
{
	for (size_t i = 0; i < certs_count(c); i++)
		((struct cert_entry *)(uintptr_t)certs_at(c, i))->checked = when;
}

static int
read_since(const struct certs *c, time_t when)
{
	int n = 0;

	for (size_t i = 0; i < certs_count(c); i++)
		n += certs_at(c, i)->checked != when;
	return n;
}

static void
a_set_reads_no_certificate(void **state)
{
	struct settings *s = settings_with(""), *other = settings_with("[domain d.example]\n"),
	    *days = settings_with("[agent]\nexpiry_days = 90\n");
	struct certs *c = certs_new();
	time_t before = time(NULL) - 5;

	(void)state;
	assert_non_null(c);
	certs_follow(c, s);
	certs_turn(c, s);
	assert_int_equal(certs_count(c), 2);
	read_at(c, before);

	certs_follow(c, other);
	for (int i = 0; i < 4; i++)
		certs_turn(c, other);
	assert_int_equal(read_since(c, before), 0);

	/* What is soon depends on the days. */
	certs_follow(c, days);
	for (int i = 0; i < 4; i++)
		certs_turn(c, days);
	assert_int_equal(read_since(c, before), 2);
	certs_free(c);
	settings_free(s);
	settings_free(other);
	settings_free(days);
}

static void
another_file_is_read(void **state)
{
	struct settings *s = settings_with(""), *other = settings_with("[domain d.example]\n");
	struct certs *c = certs_new();
	time_t before = time(NULL) - 5;
	FILE *f;

	(void)state;
	assert_non_null(c);
	certs_follow(c, s);
	certs_turn(c, s);
	read_at(c, before);
	assert_non_null(f = fopen(path, "a"));
	assert_true(fputs("more\n", f) >= 0 && fclose(f) == 0);
	certs_follow(c, other);
	for (int i = 0; i < 4; i++)
		certs_turn(c, other);
	assert_int_equal(read_since(c, before), 2);
	certs_free(c);
	settings_free(s);
	settings_free(other);
}

static struct settings *
settings_of_pins(bool shared)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct settings *s;

	assert_non_null(f);
	for (int i = 0; i < 3000; i++)
		fprintf(f, "[peer p%d.example]\ncerts = /nowhere/%d\n", i, shared ? 0 : i);
	assert_int_equal(fclose(f), 0);
	s = settings_parse(text, len, "test.ini", NULL, false, report, NULL);
	assert_non_null(s);
	free(text);
	return s;
}

/* A file of pins has one row, behind those of sections, and no SET looks for others. */
static void
pins_have_rows(void **state)
{
	struct settings *s = settings_with("[peer p.example]\n"), *more;
	struct certs *c = certs_new();
	char text[400];

	(void)state;
	assert_non_null(c);
	snprintf(text, sizeof(text), "[peer q.example]\ncerts = %s\n[domain d.example]\ncerts = %s\n"
	    "[peer r.example]\ncerts = /nowhere/x.pem\n", path, path);
	more = settings_with(text);
	certs_follow(c, s);
	certs_turn(c, s);
	assert_int_equal(certs_count(c), 2);
	certs_follow(c, more);
	assert_int_equal(certs_count(c), 2);
	certs_turn(c, more);
	assert_int_equal(certs_count(c), 4);
	for (size_t i = 2; i < 4; i++) {
		const struct cert_entry *e = certs_at(c, i);

		assert_int_equal(certs_kind(e->section), 3);
		assert_true(e->checked != 0);
		assert_int_equal(e->seen->state, CERT_STATE_UNREADABLE);
		if (strcmp(e->file, path) == 0)
			assert_string_equal(e->used, "domain d.example, peer q.example");
		else
			assert_string_equal(e->used, "peer r.example");
	}
	assert_true(strcmp(certs_at(c, 2)->name, certs_at(c, 3)->name) < 0);

	/* What is known of them stays, too. */
	read_at(c, 1);
	certs_follow(c, more);
	certs_turn(c, more);
	assert_int_equal(certs_at(c, 2)->checked + certs_at(c, 3)->checked, 2);
	certs_follow(c, NULL);
	certs_turn(c, NULL);
	assert_int_equal(certs_count(c), 0);
	certs_free(c);
	settings_free(s);
	settings_free(more);
}

/* Of a shared file there is one row, of many files a bound. */
static void
many_rules(void **state)
{
	struct settings *shared = settings_of_pins(true), *s = settings_of_pins(false);
	struct certs *c = certs_new();

	(void)state;
	assert_non_null(c);
	certs_follow(c, shared);
	certs_turn(c, shared);
	assert_int_equal(certs_count(c), 1);
	assert_string_equal(certs_at(c, 0)->used + strlen(certs_at(c, 0)->used) - 5, ", ...");
	certs_follow(c, s);
	for (int i = 0; i < 1000 && read_since(c, 0) < PINNED_MAX; i++)
		certs_turn(c, s);
	assert_int_equal(certs_count(c), PINNED_MAX);
	assert_int_equal(read_since(c, 0), PINNED_MAX);
	for (size_t i = 1; i < PINNED_MAX; i++)
		assert_true(strcmp(certs_at(c, i - 1)->name, certs_at(c, i)->name) < 0);
	certs_free(c);
	settings_free(s);
	settings_free(shared);
}

static int
make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd == -1 || close(fd) == -1;
}

static int
remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_set_reads_no_certificate),
		cmocka_unit_test(another_file_is_read),
		cmocka_unit_test(pins_have_rows),
		cmocka_unit_test(many_rules),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("certificates of the agent", tests, make_file, remove_file);
}
