/*
 * filter/counters in a crowd: 64 processes at once, some of them stopped, one
 * killed, with the file and its folder locked by another all the while; and more
 * names than the file has rows for.
 */
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "counters.h"
#include "counters_file.h"
#include "read.h"

#define WRITERS		64
#define STOPPED		8		/* the first ones; they count as long as they are let */
#define VICTIM		STOPPED		/* is killed */
#define SHARED		448		/* names that all count for, beside one each */
#define ROUNDS		2000
#define PATIENCE	120		/* seconds, on a machine that is busy */

#define NAMES		300000u		/* more than COUNTERS_ROWS */
#define PASSES		4		/* processes that count once for each */

static char dir[128];			/* the state_dir of one test */
static char file[192];
static char why[512];

static void
report(void *arg, enum severity severity, const char *path, unsigned line, const char *text)
{
	(void)arg;
	(void)severity;
	fprintf(stderr, "%s:%u: %s\n", path, line, text);
}

static struct settings *
make_settings(unsigned names)
{
	const size_t line = sizeof("[domain d000000.example]\n");
	char *text = malloc(names * line);
	struct settings *s;
	size_t n = 0;

	assert_non_null(text);
	for (unsigned i = 0; i < names; i++)
		n += (size_t)snprintf(text + n, names * line - n, "[domain d%u.example]\n", i);
	s = settings_parse(text, n, "many.ini", NULL, false, report, NULL);
	free(text);
	assert_non_null(s);
	return s;
}

static int
make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(dir, sizeof(dir), "%.64s/test_counters.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL || chmod(dir, 0755) == -1)
		return -1;
	snprintf(file, sizeof(file), "%s/exim", dir);
	if (mkdir(file, 0755) == -1)
		return -1;
	snprintf(file, sizeof(file), "%s/exim/counters", dir);
	return 0;
}

static int
remove_dir(void **state)
{
	char path[192];

	(void)state;
	unlink(file);
	snprintf(path, sizeof(path), "%s/exim/.lock", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/exim", dir);
	return rmdir(path) == -1 || rmdir(dir) == -1 ? -1 : 0;
}

static struct counters *
open_rows(uint32_t rows, bool writer)
{
	struct counters *c = counters_open_rows(dir, "exim", writer, rows, why, sizeof(why));

	if (c == NULL)
		fprintf(stderr, "%s\n", why);
	return c;
}

static void *
shared_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

static void
short_pause(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static void
count(struct counters *c, const struct settings *s, unsigned i, enum action action)
{
	struct facts f = { .tls = TLS_NONE };
	struct verdict v = { .action = action, .counted = true,
	    .reason = action == ACT_REFUSE ? REASON_TLS_MISSING : REASON_NONE };

	v.domain = settings_at(s, SEC_DOMAIN, i);
	counters_add(c, s, &f, &v, 1000);
}

static struct count
figures(const struct counters *c, const struct settings *s, unsigned i)
{
	struct count sum = { 0 };

	counters_get(c, SEC_DOMAIN, settings_name(s, settings_at(s, SEC_DOMAIN, i)), &sum);
	return sum;
}

/* ---- 64 at once ---- */

struct progress {
	_Atomic uint32_t here, enough;	/* processes that have the file; no more rounds */
	_Atomic uint32_t done[WRITERS];	/* rounds */
};

static void
write_rounds(const struct settings *s, unsigned w, struct progress *p)
{
	struct counters *c = open_rows(1024, true);

	atomic_fetch_add(&p->here, 1);
	while (atomic_load(&p->here) < WRITERS)
		short_pause(1);
	for (uint32_t i = 0; c != NULL; i++) {
		if (w <= VICTIM ? atomic_load(&p->enough) != 0 : i == ROUNDS)
			break;
		count(c, s, w, ACT_ACCEPT);
		count(c, s, WRITERS + (i * 7 + w) % SHARED, ACT_REFUSE);
		atomic_store(&p->done[w], i + 1);
	}
	_exit(c == NULL);
}

/* Holds both locks until it is killed. */
static pid_t
start_holder(void)
{
	char folder[192], here = 1;
	int fd, dfd, pipefd[2];
	pid_t pid;

	assert_int_equal(pipe(pipefd), 0);
	if ((pid = fork()) == 0) {
		snprintf(folder, sizeof(folder), "%s/exim", dir);
		fd = open(file, O_RDWR);
		dfd = open(folder, O_RDONLY | O_DIRECTORY);
		if (fd == -1 || dfd == -1 || flock(fd, LOCK_EX) == -1 ||
		    flock(dfd, LOCK_EX) == -1 || write(pipefd[1], &here, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(pipefd[1]);
	assert_int_equal(read(pipefd[0], &here, 1), 1);
	close(pipefd[0]);
	return pid;
}

/* Has it ended well, within a time that only a process that waits can need? */
static void
expect_end(pid_t pid)
{
	time_t end = time(NULL) + PATIENCE;
	int status = -1;
	pid_t got;

	while ((got = waitpid(pid, &status, WNOHANG)) == 0 && time(NULL) < end)
		short_pause(1);
	assert_int_equal(got, pid);
	assert_int_equal(status, 0);
}

static void
exact_with_64_writers(void **state)
{
	struct settings *s = make_settings(WRITERS + SHARED);
	struct progress *p = shared_memory(sizeof(*p));
	struct counters *c = open_rows(1024, true);
	uint64_t total = 0, sum = 0;
	pid_t pid[WRITERS], holder;
	unsigned w;

	(void)state;
	assert_non_null(c);
	srand((unsigned)(time(NULL) ^ getpid()));
	holder = start_holder();
	for (w = 0; w < WRITERS; w++)
		if ((pid[w] = fork()) == 0)
			write_rounds(s, w, p);
	while (atomic_load(&p->here) < WRITERS)
		short_pause(1);
	for (w = 0; w < STOPPED; w++) {
		short_pause(rand() % 4);
		kill(pid[w], SIGSTOP);
	}
	short_pause(rand() % 10);
	kill(pid[VICTIM], SIGKILL);
	assert_int_equal(waitpid(pid[VICTIM], NULL, 0), pid[VICTIM]);
	for (w = VICTIM + 1; w < WRITERS; w++)
		expect_end(pid[w]);
	/* All the others have ended while these were stopped in the midst of it. */
	atomic_store(&p->enough, 1);
	for (w = 0; w < STOPPED; w++)
		kill(pid[w], SIGCONT);
	for (w = 0; w < STOPPED; w++)
		expect_end(pid[w]);
	assert_int_equal(waitpid(holder, NULL, WNOHANG), 0);
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);

	for (w = 0; w < WRITERS; w++) {
		uint32_t rounds = atomic_load(&p->done[w]);

		if (w > VICTIM)
			assert_int_equal(rounds, ROUNDS);
		assert_in_range(figures(c, s, w).accepted[COUNT_CLEAR], rounds,
		    rounds + (w == VICTIM));
		total += rounds;
	}
	for (w = WRITERS; w < WRITERS + SHARED; w++)
		sum += figures(c, s, w).refused[REASON_TLS_MISSING];
	assert_in_range(sum, total, total + 1);
	counters_close(c);
	munmap(p, sizeof(*p));
	settings_free(s);
}

/* ---- more names than rows ---- */

/* Each begins elsewhere; says in *told how often it was to say that the file is full. */
static void
count_all_names(const struct settings *s, unsigned process, _Atomic uint32_t *told)
{
	struct counters *c = open_rows(COUNTERS_ROWS, true);

	for (unsigned i = 0; c != NULL && i < NAMES; i++) {
		count(c, s, (i + process * (NAMES / PASSES)) % NAMES, ACT_ACCEPT);
		if (counters_tell(c, 5000, why, sizeof(why)))
			atomic_fetch_add(told, 1);
	}
	counters_close(c);
	_exit(c == NULL);
}

static void
more_names_than_rows(void **state)
{
	struct settings *s = make_settings(NAMES);
	_Atomic uint32_t *told = shared_memory(sizeof(*told));
	struct count other = { 0 };
	uint64_t own = 0, rows = 0;
	struct counters *c;
	pid_t pid[PASSES];

	(void)state;
	for (unsigned p = 0; p < PASSES; p++)
		if ((pid[p] = fork()) == 0)
			count_all_names(s, p, told);
	for (unsigned p = 0; p < PASSES; p++)
		expect_end(pid[p]);
	c = open_rows(COUNTERS_ROWS, true);
	assert_non_null(c);
	for (unsigned i = 0; i < NAMES; i++) {
		uint64_t n = figures(c, s, i).accepted[COUNT_CLEAR];

		own += n;
		rows += n > 0;
	}
	assert_true(counters_other(c, &other));
	assert_int_equal(own + other.accepted[COUNT_CLEAR], (uint64_t)NAMES * PASSES);
	/* A process may end with one row taken and not used. */
	assert_in_range(rows, COUNTERS_ROWS - 1 - PASSES, COUNTERS_ROWS - 1);
	assert_in_range(other.accepted[COUNT_CLEAR], (NAMES - rows) * PASSES,
	    (NAMES - rows) * PASSES + PASSES * PASSES);

	/* It is said by one of them, and a day later again, after a count that finds no row. */
	assert_int_equal(atomic_load(told), 1);
	assert_false(counters_tell(c, 5000 + 86400, why, sizeof(why)));
	for (unsigned i = 0; i < NAMES; i++)
		count(c, s, i, ACT_ACCEPT);
	assert_false(counters_tell(c, 5000 + 86399, why, sizeof(why)));
	for (unsigned i = 0; i < NAMES; i++)
		count(c, s, i, ACT_ACCEPT);
	assert_true(counters_tell(c, 5000 + 86400, why, sizeof(why)));
	assert_non_null(strstr(why, "/exim/counters: "));
	assert_non_null(strstr(why, "262143 names"));
	assert_false(counters_tell(c, 5000 + 86400, why, sizeof(why)));
	counters_close(c);
	munmap((void *)(uintptr_t)told, sizeof(*told));
	settings_free(s);
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		TEST(exact_with_64_writers),
		TEST(more_names_than_rows),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
