/*
 * What readers of the counters make of them: sums by reason, each refusal once
 * wherever it was decided, and files that are cut short, go, and come back while
 * they are read.
 */
#include <sys/stat.h>

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

static char dir[64];
static char why[512];

static void
report(void *arg, enum severity severity, const char *path, unsigned line, const char *text)
{
	(void)arg;
	if (severity == SEV_ERROR)
		fprintf(stderr, "%s:%u: %s\n", path, line, text);
}

static int
make_dir(void **state)
{
	char path[128];

	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_counters_read.XXXXXX");
	if (mkdtemp(dir) == NULL || chmod(dir, 0755) == -1)
		return -1;
	snprintf(path, sizeof(path), "%s/exim", dir);
	return mkdir(path, 0755);
}

static int
remove_dir(void **state)
{
	static const char *const names[] = { "exim/counters", "exim/away", "exim/.lock", "exim" };
	char path[128];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		remove(path);
	}
	return rmdir(dir);
}

static struct settings *
settings_of(const char *text)
{
	struct settings *s = settings_parse(text, strlen(text), "test.ini", NULL, false, report,
	    NULL);

	assert_non_null(s);
	return s;
}

/* One mail in clear to that domain, as a front end decides and counts it. */
static void
mail_in_clear(struct counters *c, const struct settings *s, const char *sender,
    const char *domain)
{
	struct facts f = { .tls = TLS_NONE, .helo = "h", .session = "s", .cipher = "",
	    .sender = sender, .recipient = "", .sender_domain = sender, .recipient_domain = "" };
	struct verdict v;

	addr_listener("127.0.0.1:25", 12, &f.listener);
	addr_listener("192.0.2.1:25", 12, &f.client);
	policy_mail(s, &f, &v);
	counters_add(c, s, &f, &v, 100);
	if (v.action == ACT_REFUSE || v.action == ACT_DEFER)
		return;
	f.recipient = f.recipient_domain = domain;
	policy_rcpt(s, &f, &v);
	counters_add(c, s, &f, &v, 100);
}

static void
by_reason_is(const struct counters *c, uint64_t refused, uint64_t would)
{
	struct count sum = { 0 };

	assert_true(counters_by_reason(c, &sum));
	assert_int_equal(sum.refused[REASON_TLS_MISSING], refused);
	assert_int_equal(sum.would[REASON_TLS_MISSING], would);
	assert_int_equal(count_sum(sum.refused), refused);
	assert_int_equal(count_sum(sum.would), would);
}

static void
each_refusal_once_by_reason(void **state)
{
	static const struct {
		const char *ini, *sender, *domain;
		uint64_t refused, would;	/* by one mail in clear */
	} cases[] = {
		/* at RCPT by the [domain], which the server's row knows nothing of */
		{ "[server]\nmode = offer\n[listener *:25]\n[domain d.example]\nmode = require\n",
		    "a.example", "d.example", 1, 0 },
		/* at MAIL by the server, before any recipient */
		{ "[server]\nmode = require\n[domain d.example]\nmode = require\n",
		    "a.example", "d.example", 1, 0 },
		/* at MAIL by the peer: server, listener and peer have a row each */
		{ "[server]\n[listener *:25]\n[peer a.example]\nmode = require\n",
		    "a.example", "d.example", 1, 0 },
		/* all at RCPT, since a [domain] asks for less: five rows, one refusal */
		{ "[server]\nmode = require\n[listener *:25]\n[peer a.example]\nmode = require\n"
		    "[client 192.0.2.0/24]\n[domain d.example]\nmin_tls = 1.3\n"
		    "[domain e.example]\nmode = none\n", "a.example", "d.example", 1, 0 },
		/* reported at MAIL; the recipient has a [domain] that asks for nothing of it */
		{ "[server]\nmode = require\nenforce = report\n[domain d.example]\n",
		    "a.example", "d.example", 0, 1 },
		/* and one that asks, too, on trial itself */
		{ "[server]\nmode = require\nenforce = report\n[domain d.example]\nmode = require\n",
		    "a.example", "d.example", 0, 2 },
		/* reported at MAIL, refused at RCPT */
		{ "[server]\nmode = require\nenforce = report\n[domain d.example]\nmode = require\n"
		    "enforce = yes\n", "a.example", "d.example", 1, 1 },
		/* on trial at RCPT only */
		{ "[server]\nmode = offer\n[listener *:25]\n[domain d.example]\nmode = require\n"
		    "enforce = report\n", "a.example", "d.example", 0, 1 },
		{ "[server]\nmode = offer\n[domain d.example]\n", "a.example", "d.example", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settings *s = settings_of(cases[i].ini);
		struct counters *c = counters_open_rows(dir, "exim", true, 64, why, sizeof(why));
		char path[128];

		assert_non_null(c);
		for (unsigned n = 1; n <= 3; n++) {
			mail_in_clear(c, s, cases[i].sender, cases[i].domain);
			by_reason_is(c, n * cases[i].refused, n * cases[i].would);
		}
		counters_close(c);
		settings_free(s);
		snprintf(path, sizeof(path), "%s/exim/counters", dir);
		unlink(path);
	}
}

/* A reader has seen a whole file when it loses all but `left` octets of it. */
static void
cut_to(off_t left)
{
	static const char ini[] = "[server]\nmode = require\n";
	struct settings *s = settings_of(ini);
	struct counters *c = counters_open_rows(dir, "exim", true, 64, why, sizeof(why));
	struct counters_all *all = counters_all_open(dir);
	struct recent list[COUNTERS_RECENT];
	struct counters_life life;
	struct count sum;
	unsigned breaks;
	char path[128];

	assert_non_null(c);
	assert_non_null(all);
	mail_in_clear(c, s, "a.example", "d.example");
	counters_close(c);
	counters_all_get(all, SEC_SERVER, "", &sum);
	assert_int_equal(count_sum(sum.refused), 1);

	snprintf(path, sizeof(path), "%s/exim/counters", dir);
	assert_int_equal(truncate(path, left), 0);
	counters_all_get(all, SEC_SERVER, "", &sum);
	assert_int_equal(count_sum(sum.refused), 0);
	counters_all_other(all, &sum);
	assert_int_equal(count_sum(sum.refused), 0);
	counters_all_by_reason(all, &sum);
	assert_int_equal(count_sum(sum.refused), left < (off_t)COUNTERS_PAGE ? 0 : 1);
	counters_all_recent(all, 1, list);
	counters_all_life(all, 1, &life);
	assert_int_equal(life.calls, left < (off_t)COUNTERS_PAGE ? 0 : 1);

	breaks = counters_all_breaks(all);
	counters_all_refresh(all);
	assert_int_equal(counters_all_files(all), 0);
	assert_non_null(counters_all_why(all, 1));
	assert_int_not_equal(counters_all_breaks(all), breaks);
	counters_all_close(all);
	settings_free(s);
	unlink(path);
}

static void
cut_short_while_it_is_read(void **state)
{
	(void)state;
	cut_to(0);
	cut_to(100);
	cut_to(COUNTERS_PAGE);
	cut_to(COUNTERS_PAGE + 4096);
	cut_to(COUNTERS_INDEX_AT + 100);
}

static void
each_coming_and_going_is_a_break(void **state)
{
	struct counters *c = counters_open_rows(dir, "exim", true, 64, why, sizeof(why));
	struct counters_all *all = counters_all_open(dir);
	char path[128], away[128];

	(void)state;
	assert_non_null(c);
	assert_non_null(all);
	counters_close(c);
	snprintf(path, sizeof(path), "%s/exim/counters", dir);
	snprintf(away, sizeof(away), "%s/exim/away", dir);
	assert_int_equal(counters_all_breaks(all), 0);
	counters_all_refresh(all);
	assert_int_equal(counters_all_breaks(all), 0);
	assert_int_equal(rename(path, away), 0);
	counters_all_refresh(all);
	assert_int_equal(counters_all_breaks(all), 1);
	counters_all_refresh(all);
	assert_int_equal(counters_all_breaks(all), 1);
	assert_int_equal(rename(away, path), 0);	/* the same file, made when it was made */
	counters_all_refresh(all);
	assert_int_equal(counters_all_breaks(all), 2);
	assert_int_equal(unlink(path), 0);
	c = counters_open_rows(dir, "exim", true, 64, why, sizeof(why));
	counters_all_refresh(all);			/* another in its place */
	assert_true(counters_all_breaks(all) > 2);
	counters_close(c);
	counters_all_close(all);
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		TEST(each_refusal_once_by_reason),
		TEST(cut_short_while_it_is_read),
		TEST(each_coming_and_going_is_a_break),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("readers of the counters", tests, NULL, NULL);
}
