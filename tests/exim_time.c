/*
 * Times an expansion inside a real Exim, which loads this by ${dlfunc}:
 *
 *	${dlfunc{FILE}{exim_time_once}{RUN}{KEYS}{WANTED}{\NEXPANSION\N}}
 *	${dlfunc{FILE}{exim_time_forked}{RUNS}{KEYS}{WANTED}{\NEXPANSION\N}}
 *	${dlfunc{FILE}{exim_time_later}{RUNS}{KEYS}{WANTED}{\NEXPANSION\N}}
 *
 * Gives microseconds by the clock on the wall, the median of RUNS.  In the
 * EXPANSION each # is another number below KEYS each time, so that Exim's cache
 * of lookups does not answer; what comes out has to be WANTED.
 *
 * once: in the process that is at it, which has just been started for that; the
 * RUNth of many such.
 * forked: each in a child of its own, forked as the daemon forks one for a
 * connection, so that it finds what the process had before and no more: even the
 * pages of the libraries that the daemon has are mapped anew, one by one.
 * later: one after the other in one child, the first not counted.
 */
#include <sys/wait.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "median.h"

/* Exim's, as its chapter on local_scan() documents it. */
extern unsigned char *expand_string(unsigned char *);

typedef int entry(unsigned char **yield, int argc, unsigned char *argv[]);
entry exim_time_once, exim_time_forked, exim_time_later;
enum { OK = 0, FAIL = 2, RUNS_MAX = 10000, SIZE = 8192 };

struct job {
	long runs;
	unsigned long keys;
	const char *wanted, *expansion;
};

static char answer[256];

static int
fail(unsigned char **yield, const char *what)
{
	snprintf(answer, sizeof(answer), "exim_time: %s", what);
	*yield = (unsigned char *)answer;
	return FAIL;
}

/* The numbers go through all of the keys, far from one another. */
static bool
number(const struct job *j, long run, char out[SIZE])
{
	unsigned long n = ((unsigned long)run * 2654435761u + 12345) % j->keys;
	const char *p;
	size_t len = 0;

	for (p = j->expansion; *p != '\0'; p++) {
		if (len + 32 > SIZE)
			return false;
		if (*p == '#')
			len += (size_t)snprintf(out + len, SIZE - len, "%lu", n);
		else
			out[len++] = *p;
	}
	out[len] = '\0';
	return true;
}

/* One expansion; below 0: it did not give what was wanted. */
static double
one(const struct job *j, long run)
{
	static char text[SIZE];
	unsigned char *got;
	double t;

	if (!number(j, run, text))
		return -1;
	t = clock_us(CLOCK_MONOTONIC);
	got = expand_string((unsigned char *)text);
	t = clock_us(CLOCK_MONOTONIC) - t;
	return got != NULL && strcmp((const char *)got, j->wanted) == 0 ? t : -1;
}

/* A child that does the runs from first on before last, and what each took. */
static bool
child(const struct job *j, long first, long last, double *us)
{
	size_t want = (size_t)(last - first) * sizeof(*us), have = 0;
	ssize_t n = 1;
	int fd[2], status;
	pid_t pid;

	if (pipe(fd) == -1)
		return false;
	if ((pid = fork()) == 0) {
		for (long i = first; i < last; i++)
			if ((us[i - first] = one(j, i)) < 0)
				_exit(1);
		_exit(write(fd[1], us, want) == (ssize_t)want ? 0 : 1);
	}
	close(fd[1]);
	while (pid != -1 && have < want && (n = read(fd[0], (char *)us + have, want - have)) > 0)
		have += (size_t)n;
	close(fd[0]);
	return pid != -1 && waitpid(pid, &status, 0) == pid && status == 0 && have == want;
}

static bool
take(int argc, unsigned char *argv[], struct job *j)
{
	if (argc != 4)
		return false;
	j->runs = strtol((const char *)argv[0], NULL, 10);
	j->keys = strtoul((const char *)argv[1], NULL, 10);
	j->wanted = (const char *)argv[2];
	j->expansion = (const char *)argv[3];
	return j->runs > 0 && j->runs <= RUNS_MAX && j->keys > 0;
}

static int
answer_with(unsigned char **yield, double us)
{
	if (us < 0)
		return fail(yield, "the expansion did not give what was wanted");
	snprintf(answer, sizeof(answer), "%.2f", us);
	*yield = (unsigned char *)answer;
	return OK;
}

int
exim_time_once(unsigned char **yield, int argc, unsigned char *argv[])
{
	struct job j;

	if (!take(argc, argv, &j))
		return fail(yield, "wrong arguments");
	return answer_with(yield, one(&j, j.runs));
}

static int
timed(unsigned char **yield, int argc, unsigned char *argv[], bool forked)
{
	static double us[RUNS_MAX + 1];
	double *counted = us;
	struct job j;
	bool done = true;

	if (!take(argc, argv, &j))
		return fail(yield, "wrong arguments");
	if (forked)
		for (long i = 0; i < j.runs && done; i++)
			done = child(&j, i, i + 1, &us[i]);
	else
		done = child(&j, 0, j.runs + 1, counted++);
	return answer_with(yield, done ? median_of(counted, (size_t)j.runs) : -1);
}

int
exim_time_forked(unsigned char **yield, int argc, unsigned char *argv[])
{
	return timed(yield, argc, argv, true);
}

int
exim_time_later(unsigned char **yield, int argc, unsigned char *argv[])
{
	return timed(yield, argc, argv, false);
}
