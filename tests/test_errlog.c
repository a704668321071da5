/*
 * filter/errlog: lines that wait go out whole, in their order and once; what finds
 * no room is counted; a log that nobody reads keeps nobody waiting.
 */
#include <sys/socket.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "errlog.h"

static int saved, reader;
static char got[256 << 10];
static size_t len;

static void
begin(const int fds[2])
{
	saved = dup(STDERR_FILENO);
	assert_true(saved != -1 && dup2(fds[1], STDERR_FILENO) != -1);
	close(fds[1]);
	reader = fds[0];
	len = 0;
	errlog_open(false);
}

static void
end(void)
{
	errlog_open(false);
	assert_true(dup2(saved, STDERR_FILENO) != -1);
	close(saved);
	close(reader);
}

static void
begin_socket(void)
{
	int fds[2], size = 4096;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	assert_int_not_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), -1);
	begin(fds);
}

/* At most so many octets of what is there. */
static bool
take(size_t most)
{
	ssize_t n = read(reader, got + len, most < sizeof(got) - 1 - len ? most : sizeof(got) - 1 - len);

	if (n > 0)
		len += (size_t)n;
	got[len] = '\0';
	return n > 0;
}

static void
lines_wait_for_the_flush(void **state)
{
	(void)state;
	begin_socket();
	errlog(LOG_INFO, "at once");
	assert_true(take(100));
	errlog_batch();
	errlog(LOG_INFO, "a %d", 1);
	errlog_line(LOG_DEBUG, "not wanted");
	errlog_line(LOG_ERR, "b");
	assert_false(take(100));
	errlog_flush();
	errlog_flush();
	assert_true(take(100) && !take(100));
	assert_string_equal(got, "at once\na 1\nb\n");
	end();
}

/* Line n says so, and how many were lost before it is told; returns how many came. */
static unsigned
all_told_of(unsigned sent)
{
	unsigned next = 0, came = 0, n;
	char *line = got, *nl, x[201];

	memset(x, 'x', 200);
	x[200] = '\0';
	for (; (nl = strchr(line, '\n')) != NULL; line = nl + 1) {
		*nl = '\0';
		if (sscanf(line, "%u log lines lost: ", &n) == 1) {
			next += n;
			continue;
		}
		assert_int_equal(sscanf(line, "line %u", &n), 1);
		assert_int_equal(n, next);
		assert_string_equal(strrchr(line, ' ') + 1, x);
		next++;
		came++;
	}
	assert_string_equal(line, "");
	assert_int_equal(next, sent);
	return came;
}

static void
a_slow_reader(void **state)
{
	unsigned sent = 0, came;
	char x[201];

	(void)state;
	memset(x, 'x', 200);
	x[200] = '\0';
	begin_socket();
	errlog_batch();
	for (int round = 0; round < 40; round++) {
		for (int i = 0; i < 20; i++)
			errlog(LOG_INFO, "line %u %s", sent++, x);
		errlog_flush();
		(void)take(round < 20 ? 777 : 3000);
	}
	do
		errlog_flush();
	while (take(sizeof(got)));
	errlog(LOG_INFO, "line %u %s", sent++, x);	/* tells of those lost last */
	errlog_flush();
	while (take(sizeof(got)))
		;
	came = all_told_of(sent);
	assert_true(came > 100 && came < sent);
	end();
}

static void
no_reader(void **state)
{
	char line[1000];

	(void)state;
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\0';
	begin_socket();
	errlog_batch();
	close(reader);
	for (int i = 0; i < 100; i++)
		errlog_line(LOG_INFO, line);
	errlog_flush();
	end();
}

static void
a_pipe(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	begin(fds);
	errlog_batch();
	errlog_line(LOG_INFO, "a");
	errlog_line(LOG_INFO, "b");
	errlog_flush();
	assert_true(take(100));
	assert_string_equal(got, "a\nb\n");
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_wait_for_the_flush),
		cmocka_unit_test(a_slow_reader),
		cmocka_unit_test(no_reader),
		cmocka_unit_test(a_pipe),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
