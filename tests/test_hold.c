/* The last good settings of a file that changes, goes and is wrong at times. */
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "hold.h"
#include "read.h"

static char dir[64], ini[128];
static long skew_ms;			/* added to every clock */

int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, clock, ts);

	ts->tv_sec += skew_ms / 1000;
	ts->tv_nsec += skew_ms % 1000 * 1000000;
	if (ts->tv_nsec >= 1000000000) {
		ts->tv_sec++;
		ts->tv_nsec -= 1000000000;
	}
	return rc;
}

static struct timespec tick;		/* of all files, when set: the file system's clock stands */

static int
ticked(int rc, struct stat *st)
{
	if (rc == 0 && tick.tv_sec != 0)
		st->st_mtim = st->st_ctim = tick;
	return rc;
}

int
stat(const char *path, struct stat *st)
{
	return ticked(fstatat(AT_FDCWD, path, st, 0), st);
}

int
fstat(int fd, struct stat *st)
{
	return ticked(fstatat(fd, "", st, AT_EMPTY_PATH), st);
}

/* What was logged since a test last asked. */
static struct {
	unsigned lines, errors;
	char last[1024];		/* of the errors */
	char said[1024];		/* of all lines, the last */
} logged;

static void
take_log(int level, const char *line)
{
	logged.lines++;
	assert_null(strchr(line, '\n'));
	(void)snprintf(logged.said, sizeof(logged.said), "%s", line);
	if (level > LOG_ERR)
		return;
	logged.errors++;
	(void)snprintf(logged.last, sizeof(logged.last), "%s", line);
}

static bool
refresh(struct hold *h)
{
	memset(&logged, 0, sizeof(logged));
	return hold_refresh(h, take_log);
}

static int
setup(void **state)
{
	(void)state;
	skew_ms = 0;
	memset(&tick, 0, sizeof(tick));
	(void)snprintf(dir, sizeof(dir), "/tmp/tlsward-hold-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(ini, sizeof(ini), "%s/tlsward.ini", dir);
	return 0;
}

static int
teardown(void **state)
{
	char made[192];

	(void)state;
	(void)unlink(ini);
	(void)snprintf(made, sizeof(made), "%s/.tlsward.ini.compiled", dir);
	(void)unlink(made);
	return rmdir(dir);
}

static void
put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd != -1);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(close(fd), 0);
}

/* As an editor does it. */
static void
save(const char *text)
{
	char fresh[160];

	(void)snprintf(fresh, sizeof(fresh), "%s/fresh", dir);
	put(fresh, text);
	assert_int_equal(rename(fresh, ini), 0);
}

static uint32_t
mode(const struct hold *h)
{
	const struct settings *s = held_settings(h->now);

	assert_non_null(s);
	return settings_value(settings_find(s, SEC_SERVER, ""), KEY_MODE);
}

static void
good(void **state)
{
	struct hold h;

	(void)state;
	hold_init(&h, ini);
	assert_null(h.now);
	assert_null(held_settings(h.now));
	assert_null(hold_ref(&h));
	held_unref(NULL);
	save("[server]\nmode = require\n[domain a.example]\n");
	assert_true(refresh(&h));
	assert_int_equal(logged.errors, 0);
	assert_int_equal(logged.lines, 1);
	assert_non_null(strstr(logged.said, "settings are in force "
	    "(1 domain, 0 peers, 0 listeners, 0 client networks)"));
	assert_int_equal(mode(&h), MODE_REQUIRE);
	assert_false(refresh(&h));
	assert_int_equal(logged.lines, 0);
	save("[server]\nmode = none\n");
	assert_true(hold_refresh(&h, NULL));
	assert_int_equal(mode(&h), MODE_NONE);
	assert_int_equal(h.loads, 2);
	assert_int_equal(h.failures, 0);
	hold_free(&h);
	assert_null(h.now);
}

static void
bad(void **state)
{
	struct hold h;

	(void)state;
	hold_init(&h, ini);
	save("[server]\nmode = require\n");
	assert_true(refresh(&h));
	save("[server]\n\nmode = nonsense\nnosuch = 1\n");
	assert_false(refresh(&h));
	assert_int_equal(logged.errors, 3);		/* two errors, and what holds now */
	assert_non_null(strstr(logged.last, "before stay in force"));
	assert_true(h.bad);
	assert_int_equal(h.error_line, 3);
	assert_non_null(strstr(h.error, "tlsward.ini:3: "));
	assert_int_equal(h.failures, 1);
	assert_int_equal(mode(&h), MODE_REQUIRE);
	/* the same bad file is not looked at again, however long it stays */
	skew_ms = 5000;
	assert_false(refresh(&h));
	assert_int_equal(logged.lines, 0);
	assert_int_equal(h.failures, 1);
	/* another bad file is */
	save("junk\n");
	assert_false(refresh(&h));
	assert_true(logged.errors > 0);
	assert_int_equal(h.error_line, 1);
	assert_int_equal(h.failures, 2);
	/* nor does one that was cut to nothing take the rules away */
	save("");
	assert_false(refresh(&h));
	assert_non_null(strstr(h.error, "is empty"));
	assert_int_equal(h.failures, 3);
	assert_int_equal(mode(&h), MODE_REQUIRE);
	save("; all gone\n");
	assert_false(refresh(&h));
	assert_non_null(strstr(h.error, "has no section"));
	assert_int_equal(mode(&h), MODE_REQUIRE);
	save("[server]\nmode = none\n");
	assert_true(refresh(&h));
	assert_false(h.bad);
	assert_string_equal(h.error, "");
	assert_int_equal(h.error_line, 0);
	assert_int_equal(mode(&h), MODE_NONE);
	hold_free(&h);
}

static void
never_good(void **state)
{
	struct hold h;

	(void)state;
	hold_init(&h, ini);
	assert_false(refresh(&h));
	assert_null(h.now);
	assert_true(h.bad);
	assert_int_equal(h.error_line, 0);
	assert_non_null(strstr(h.error, "No such file"));
	assert_int_equal(logged.errors, 2);
	assert_non_null(strstr(logged.last, "no settings to go by"));
	assert_false(refresh(&h));
	assert_int_equal(logged.lines, 0);
	skew_ms = 1500;
	assert_false(refresh(&h));			/* a second attempt, of which nothing is said */
	assert_int_equal(logged.lines, 0);
	assert_int_equal(h.failures, 1);
	save("[server]\n");
	assert_true(refresh(&h));
	hold_free(&h);
}

static void
goes_and_comes(void **state)
{
	struct hold h;

	(void)state;
	hold_init(&h, ini);
	save("[server]\nmode = require\n");
	assert_true(refresh(&h));
	assert_int_equal(unlink(ini), 0);
	assert_false(refresh(&h));
	assert_true(h.bad);
	assert_int_equal(mode(&h), MODE_REQUIRE);
	save("[server]\nmode = none\n");
	assert_true(refresh(&h));
	assert_int_equal(mode(&h), MODE_NONE);
	hold_free(&h);
}

/* Out of descriptors at the wrong moment: the file does not change when that ends. */
static void
no_descriptors(void **state)
{
	struct rlimit was, none;
	struct hold h;

	(void)state;
	hold_init(&h, ini);
	save("[server]\nmode = require\n");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_false(refresh(&h));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_non_null(strstr(h.error, "Too many open files"));
	assert_false(refresh(&h));
	skew_ms = 1500;
	assert_true(refresh(&h));
	assert_int_equal(mode(&h), MODE_REQUIRE);
	hold_free(&h);
}

/* Written in place, twice within a tick of the file system's clock, with the same size. */
static void
quick_writes(void **state)
{
	struct hold h;

	(void)state;
	put(ini, "[server]\n");
	hold_init(&h, ini);
	assert_true(refresh(&h));
	(void)clock_gettime(CLOCK_REALTIME, &tick);
	put(ini, "[server]\nmode = offer\n");
	assert_true(refresh(&h));
	put(ini, "[server]\nmode = none \n");
	assert_false(refresh(&h));			/* nothing to be seen */
	skew_ms = 200;
	assert_true(refresh(&h));
	assert_int_equal(mode(&h), MODE_NONE);
	assert_int_equal(h.loads, 3);
	skew_ms = 1000;
	assert_false(refresh(&h));
	assert_int_equal(h.again, 0);			/* and that was that */
	hold_free(&h);
}

/* That long after the file's time, by every clock. */
static void
clock_at(long ms)
{
	struct timespec now;

	(void)syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
	skew_ms = (tick.tv_sec - now.tv_sec) * 1000 + (tick.tv_nsec - now.tv_nsec) / 1000000 + ms;
}

/* The same where the file system keeps whole seconds only, whoever the first write was by. */
static void
whole_seconds(void **state)
{
	struct hold h;

	(void)state;
	(void)clock_gettime(CLOCK_REALTIME, &tick);
	tick.tv_nsec = 0;
	put(ini, "[server]\nmode = offer\n");
	clock_at(200);
	hold_init(&h, ini);
	assert_true(refresh(&h));
	put(ini, "[server]\nmode = ofefr\n");
	clock_at(500);
	assert_false(refresh(&h));			/* nothing to be seen */
	assert_false(h.bad);
	clock_at(1400);
	assert_false(refresh(&h));
	assert_true(h.bad);
	tick.tv_sec++;
	put(ini, "[server]\nmode = nnoe\n");
	clock_at(100);
	assert_false(refresh(&h));
	assert_int_equal(h.failures, 2);
	clock_at(1300);
	assert_false(refresh(&h));			/* as it was: not a word */
	assert_int_equal(logged.lines, 0);
	assert_int_equal(h.failures, 2);
	tick.tv_sec++;
	put(ini, "[server]\nmode = nnoe\n");
	clock_at(100);
	assert_false(refresh(&h));
	put(ini, "[server]\nmode = none\n");
	clock_at(1300);
	assert_true(refresh(&h));
	assert_int_equal(mode(&h), MODE_NONE);
	clock_at(2500);
	assert_false(refresh(&h));
	assert_int_equal(h.again, 0);
	hold_free(&h);
}

static void
references(void **state)
{
	struct hold h;
	struct held *first, *again;

	(void)state;
	hold_init(&h, ini);
	save("[server]\nmode = require\n");
	assert_true(refresh(&h));
	first = hold_ref(&h);
	again = hold_ref(&h);
	assert_ptr_equal(first, again);
	save("[server]\nmode = none\n");
	assert_true(refresh(&h));
	assert_ptr_not_equal(h.now, first);
	held_unref(again);
	assert_int_equal(settings_value(settings_find(held_settings(first), SEC_SERVER, ""),
	    KEY_MODE), MODE_REQUIRE);
	hold_free(&h);
	assert_int_equal(settings_count(held_settings(first), SEC_DOMAIN), 0);
	held_unref(first);
}

/* However many errors, the log stays readable. */
static void
many_errors(void **state)
{
	static char text[64000];
	struct hold h;
	size_t len = 0;

	(void)state;
	for (int i = 0; i < 5000; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "junk %d\n", i);
	save(text);
	hold_init(&h, ini);
	assert_false(refresh(&h));
	assert_true(logged.errors > 2 && logged.errors < 30);
	assert_non_null(strstr(logged.last, ": more than 100 errors; "));
	hold_free(&h);
}

#define CASE(f) { #f, f, setup, teardown, NULL }

/* ---- large files ---- */

/* More than COMPILED_LEAST. */
static void
save_large(const char *first)
{
	const size_t size = 200000;
	size_t n;
	char *text;

	assert_non_null(text = malloc(size));
	n = (size_t)snprintf(text, size, "%s", first);
	for (unsigned i = 0; i < 4000; i++) {
		assert_true(n < size);
		n += (size_t)snprintf(text + n, size - n, "[domain d%u.example]\nmin_bits = 256\n", i);
	}
	assert_true(n < size);
	save(text);
	free(text);
}

static bool
soon(struct hold *h)
{
	memset(&logged, 0, sizeof(logged));
	return hold_refresh_soon(h, take_log);
}

/* Until the thread is done. */
static void
await(const struct hold *h)
{
	struct pollfd p = { .fd = hold_fd(h), .events = POLLIN };

	assert_int_not_equal(p.fd, -1);
	assert_int_equal(poll(&p, 1, 20000), 1);
}

static void
by_thread(void **state)
{
	struct hold h;

	(void)state;
	hold_init(&h, ini);
	save("[server]\nmode = offer\n");
	assert_true(soon(&h));				/* a small file at once */
	assert_int_equal(hold_fd(&h), -1);
	save_large("[server]\nmode = require\n");
	assert_false(soon(&h));
	assert_int_equal(mode(&h), MODE_OFFER);
	await(&h);
	assert_int_equal(mode(&h), MODE_OFFER);
	assert_true(soon(&h));
	assert_int_equal(mode(&h), MODE_REQUIRE);
	assert_int_equal(hold_fd(&h), -1);
	assert_int_equal(logged.lines, 1);
	assert_false(soon(&h));
	assert_int_equal(hold_fd(&h), -1);		/* nothing to do */
	assert_int_equal(h.loads, 2);
	hold_free(&h);
}

/* Names that share ever longer heads make the sorting call itself most deeply. */
static void
deep_names(void **state)
{
	static char text[256 * 300];
	char head[240];
	struct hold h;
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(head); i++)
		head[i] = i % 60 == 59 ? '.' : 'a';
	n = (size_t)snprintf(text, sizeof(text), "[server]\nmode = require\n");
	for (int i = 0; i < (int)sizeof(head); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "[domain %.*sb.example]\n",
		    (int)sizeof(head) - 1 - i, head);
	hold_init(&h, ini);
	save_large(text);
	assert_false(soon(&h));
	await(&h);
	assert_true(soon(&h));
	assert_true(settings_count(held_settings(h.now), SEC_DOMAIN) > sizeof(head));	/* and filling */
	hold_free(&h);
}

static void
changed_while_read(void **state)
{
	struct hold h;

	(void)state;
	hold_init(&h, ini);
	save_large("[server]\nmode = offer\n");
	assert_false(soon(&h));
	save_large("[server]\nmode = require\n");
	for (unsigned n = 0; n < 3 && hold_fd(&h) != -1; n++) {
		await(&h);
		(void)soon(&h);
	}
	assert_int_equal(hold_fd(&h), -1);
	assert_int_equal(mode(&h), MODE_REQUIRE);
	save_large("[server]\nmode = none\n");
	assert_false(soon(&h));
	hold_free(&h);					/* it is waited for */
}

static void
errors_of_a_thread(void **state)
{
	struct hold h;

	(void)state;
	hold_init(&h, ini);
	save_large("[server]\nmode = require\n");
	assert_true(refresh(&h));
	save_large("[server]\nmode = sometimes\n[nothing]\n");
	assert_false(soon(&h));
	assert_int_equal(logged.lines, 0);		/* the thread does not log */
	await(&h);
	assert_false(soon(&h));
	assert_int_equal(logged.errors, 3);
	assert_true(h.bad);
	assert_int_equal(h.error_line, 2);
	assert_int_equal(mode(&h), MODE_REQUIRE);
	assert_false(soon(&h));
	assert_int_equal(hold_fd(&h), -1);
	assert_int_equal(logged.lines, 0);
	hold_free(&h);
}

static void
offered(void **state)
{
	struct settings *s;
	struct hold h;

	(void)state;
	hold_init(&h, ini);
	save("[server]\nmode = require\n");
	assert_non_null(s = settings_read(ini, false, NULL, NULL));
	hold_offer(&h, s);
	assert_true(refresh(&h));
	assert_ptr_equal(held_settings(h.now), s);	/* those, and no others */
	save("[server]\nmode = offer\n");
	assert_non_null(s = settings_read(ini, false, NULL, NULL));
	hold_offer(&h, s);
	save("[server]\nmode = none\n");
	assert_true(refresh(&h));			/* what is offered is old already */
	assert_int_equal(mode(&h), MODE_NONE);
	hold_offer(&h, settings_read(ini, false, NULL, NULL));
	hold_free(&h);
}

static void
leaves_a_compiled_form(void **state)
{
	struct compiled form = { .save = true };
	struct settings *s;
	struct hold h;

	(void)state;
	hold_init(&h, ini);
	h.leave = hold_leave;
	save_large("[server]\nmode = require\n");
	assert_true(refresh(&h));
	assert_null(compiled_open(ini, &form));		/* it has not settled */
	assert_false(refresh(&h));
	assert_null(compiled_open(ini, &form));
	assert_null(h.writer);
	skew_ms = 200;
	assert_false(refresh(&h));
	assert_non_null(h.writer);
	save("[server]\nmode = require\n");		/* the writer has its own reference */
	assert_true(refresh(&h));
	hold_free(&h);					/* it is waited for */
	assert_null(compiled_open(ini, &form));
	save_large("[server]\nmode = require\n");
	hold_init(&h, ini);
	h.leave = hold_leave;
	assert_true(refresh(&h));
	skew_ms = 400;
	while (!refresh(&h) && (h.leave_at != 0 || h.writer != NULL))
		(void)usleep(1000);
	assert_non_null(s = compiled_open(ini, &form));
	assert_true(settings_generation(s) == settings_generation(held_settings(h.now)));
	settings_free(s);
	hold_free(&h);
	hold_init(&h, ini);				/* by that form */
	assert_true(refresh(&h));
	assert_int_equal(mode(&h), MODE_REQUIRE);
	save_large("[server]\nmode = none\n");
	skew_ms = 600;
	h.form = form;
	assert_true(refresh(&h));
	assert_int_equal(mode(&h), MODE_NONE);
	assert_non_null(s = compiled_open(ini, &form));	/* settled, and made at once */
	settings_free(s);
	hold_free(&h);
}

/* Is what p points to in a memory file, of which a fork copies nothing? */
static bool
is_shared(const void *p)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long from, to, at = (unsigned long)(uintptr_t)p;
	char line[512], flags[8];
	bool shared = false;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%lx-%lx %4s", &from, &to, flags) == 3 && at >= from && at < to)
			shared = strcmp(flags, "r--p") == 0 && strstr(line, "/memfd:tlsward") != NULL;
	assert_int_equal(fclose(f), 0);
	return shared;
}

/* A daemon's settings are its children's without a page table of theirs to copy. */
static void
shares(void **state)
{
	const struct settings *s;
	struct hold h;

	(void)state;
	save_large("[server]\nmode = require\n[domain example.org]\nmode = none\n");
	hold_init(&h, ini);
	h.share = true;
	assert_true(refresh(&h));
	assert_int_equal(mode(&h), MODE_REQUIRE);
	s = held_settings(h.now);
	assert_true(is_shared(settings_find(s, SEC_DOMAIN, "example.org")));
	assert_true(is_shared(settings_name(s, settings_find(s, SEC_DOMAIN, "example.org"))));
	save_large("[server]\nmode = none\n");
	assert_true(refresh(&h));			/* the old ones go */
	assert_int_equal(mode(&h), MODE_NONE);
	assert_true(is_shared(settings_at(held_settings(h.now), SEC_SERVER, 0)));
	hold_free(&h);
	save("[server]\nmode = offer\n");
	hold_init(&h, ini);
	h.share = true;
	assert_true(refresh(&h));			/* little is as cheap to copy */
	assert_false(is_shared(settings_at(held_settings(h.now), SEC_SERVER, 0)));
	hold_free(&h);
}

/* A process of one connection wants to hear of trouble only. */
static void
quiet(void **state)
{
	struct hold h;

	(void)state;
	save("[server]\nmode = offer\n");
	hold_init(&h, ini);
	h.quiet = true;
	assert_true(refresh(&h));
	assert_int_equal(logged.lines, 0);
	save("[server]\nmode = bogus\n");
	assert_false(refresh(&h));
	assert_int_not_equal(logged.errors, 0);
	hold_free(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(good), CASE(bad), CASE(never_good), CASE(goes_and_comes),
		CASE(no_descriptors), CASE(quick_writes), CASE(whole_seconds), CASE(references), CASE(many_errors),
		CASE(by_thread), CASE(deep_names), CASE(changed_while_read), CASE(errors_of_a_thread), CASE(offered),
		CASE(leaves_a_compiled_form), CASE(shares), CASE(quiet),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
