/*
 * The filter's modules under the sanitizers: lines in pieces, the table of
 * sessions, lines of the protocol broken at random, a log that nobody reads.
 */
#include <sys/socket.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
#include <cmocka.h>

#include "protocol.h"
#include "read.h"

#define TRACE "tests/traces/opensmtpd-7.4.log"

/* The same numbers in each run. */
static uint64_t
next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

/* ---- lineio ---- */

/* text arrives in pieces of `piece` octets; what comes out, each line ended by '\n' or '~' where cut. */
static void
reassemble(const char *text, size_t size, size_t piece, char *out, size_t outsize)
{
	struct linein in;
	size_t len, at = 0, used = 0;
	bool whole;
	char *line;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_true(linein_init(&in));
	while (!in.eof) {
		size_t n = size - at < piece ? size - at : piece;

		if (n > 0)
			assert_int_equal(write(fds[1], text + at, n), n);
		else
			close(fds[1]);
		at += n;
		assert_true(linein_fill(&in, fds[0]));
		while ((line = linein_next(&in, &len, &whole)) != NULL) {
			assert_true(used + len + 1 < outsize);
			assert_int_equal(strnlen(line, len + 1), len);
			memcpy(out + used, line, len);
			used += len;
			out[used++] = whole ? '\n' : '~';
		}
	}
	out[used] = '\0';
	linein_free(&in);
	close(fds[0]);
}

static void
lines_in_pieces(void **state)
{
	static const char text[] = "one\ntwo\r\n\n\r\nfive|5\nunended";
	char out[128];

	(void)state;
	for (size_t piece = 1; piece <= sizeof(text); piece++) {
		reassemble(text, sizeof(text) - 1, piece, out, sizeof(out));
		assert_string_equal(out, "one\ntwo\r\n\n\r\nfive|5\nunended~");
	}
}

static void
lines_too_long(void **state)
{
	static const size_t sizes[] = { LINE_LIMIT - 1, LINE_LIMIT, LINE_LIMIT + 1, 2 * LINE_LIMIT,
	    500000 };
	char *text = malloc(600000), *out = malloc(600000);

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (size_t piece = 4093; piece <= 65536; piece += 61443) {
			size_t n = sizes[i], kept = n < LINE_LIMIT ? n : LINE_LIMIT;

			memset(text, 'x', n);
			memcpy(text + n, "\nafter\n", 7);
			reassemble(text, n + 7, piece, out, 600000);
			assert_int_equal(strspn(out, "x"), kept);
			assert_string_equal(out + kept, n <= LINE_LIMIT ? "\nafter\n" : "~after\n");
		}
	free(text);
	free(out);
}

static void
lines_out(void **state)
{
	struct lineout out;
	char line[1000], got[4096];
	uint64_t random = 1;
	size_t put = 0, read_back = 0;
	int fds[2];

	(void)state;
	assert_true(lineout_init(&out));
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	for (int i = 0; i < 20000; i++) {
		size_t n = (size_t)(next_random(&random) % sizeof(line));
		ssize_t r;

		for (size_t j = 0; j < n; j++)
			line[j] = (char)('a' + (put + j) % 26);
		if (lineout_ready(&out, 0)) {
			assert_true(lineout_put(&out, line, n));
			put += n;
		}
		if (i % 7 == 0)
			assert_true(lineout_flush(&out, fds[1]));
		if (i % 3 != 0 || (r = read(fds[0], got, sizeof(got))) <= 0)
			continue;
		for (ssize_t j = 0; j < r; j++, read_back++)
			assert_int_equal(got[j], 'a' + read_back % 26);
	}
	assert_int_equal(put - lineout_pending(&out) >= read_back, 1);
	assert_true(read_back > 100000);
	/* a reader that is gone is an error, not a signal */
	close(fds[0]);
	assert_true(lineout_put(&out, "x", 1));
	assert_false(lineout_flush(&out, fds[1]));
	close(fds[1]);
	lineout_free(&out);
}

/* ---- sessions ---- */

static void
sessions_come_and_go(void **state)
{
	enum { IDS = 8192 };
	static bool open[IDS];
	struct sessions all;
	struct session *s;
	uint64_t random = 7, id;
	size_t n = 0;

	(void)state;
	assert_true(sessions_init(&all));
	for (int i = 0; i < 400000; i++) {
		size_t k = (size_t)(next_random(&random) % IDS);

		id = (uint64_t)k << 40 | 5;
		s = session_find(&all, id);
		assert_int_equal(s != NULL, open[k]);
		if (next_random(&random) % 16 < (i < 200000 ? 9u : 7u)) {
			n += !open[k];
			s = session_open(&all, id);
			assert_non_null(s);
			assert_true(s->id == id && session_text(s, TEXT_HELO)[0] == '\0' &&
			    s->tls == TLS_NONE);
			session_keep(s, TEXT_HELO, "mail.example", 12);
			open[k] = true;
		} else {
			n -= open[k];
			session_close(&all, id);
			open[k] = false;
		}
		assert_int_equal(all.open, n);
	}
	sessions_free(&all);
}

/* ---- protocol ---- */

static void
filter_init(struct filter *f)
{
	memset(f, 0, sizeof(*f));
	f->complaints.what = f->strangers.what = "";
	hold_init(&f->hold, "tests/golden/filter/filter.ini");
	assert_true(hold_refresh(&f->hold, NULL));
	assert_true(sessions_init(&f->sessions));
	assert_true(lineout_init(&f->out));
}

static void
filter_end(struct filter *f)
{
	sessions_free(&f->sessions);
	lineout_free(&f->out);
	hold_free(&f->hold);
}

static void
say(struct filter *f, const char *text, size_t len)
{
	static char line[LINE_LIMIT + 1];

	memcpy(line, text, len);
	line[len] = '\0';
	protocol_line(f, line, len, true);
}

/* What it answered since the last time: whole lines; how many. */
static size_t
answers(struct filter *f)
{
	size_t n = 0;
	const char *p = f->out.buf + f->out.start;

	for (size_t i = 0; i < lineout_pending(&f->out); i++)
		n += p[i] == '\n';
	assert_true(lineout_pending(&f->out) == 0 || p[lineout_pending(&f->out) - 1] == '\n');
	f->out.start = f->out.end = 0;
	return n;
}

/* Each line of the trace with octets changed, removed, put in or taken from elsewhere. */
static void
broken_lines(void **state)
{
	static char line[2048], broken[4096];
	uint64_t random = 42;
	struct filter f;
	size_t len, n;
	FILE *trace;

	(void)state;
	filter_init(&f);
	say(&f, "config|ready", 12);
	assert_int_equal(answers(&f), 10);
	for (int round = 0; round < 60; round++) {
		trace = fopen(TRACE, "r");
		assert_non_null(trace);
		while (fgets(line, sizeof(line), trace) != NULL) {
			len = strcspn(line, "\n");
			memcpy(broken, line, len);
			n = len;
			for (uint64_t k = next_random(&random) % 4; k > 0 && n > 0; k--) {
				size_t at = (size_t)next_random(&random) % n;

				switch (next_random(&random) % 5) {
				case 0:
					broken[at] = (char)next_random(&random);
					break;
				case 1:
					memmove(broken + at, broken + at + 1, n - at - 1);
					n--;
					break;
				case 2:
					broken[at] = '|';
					break;
				case 3:
					n = at;
					break;
				default:
					memcpy(broken + n, line, len - at % (len + 1));
					n += len - at % (len + 1);
				}
				if (n > sizeof(broken) / 2)
					n = sizeof(broken) / 2;
			}
			for (size_t i = 0; i < n; i++)	/* no line has one inside */
				if (broken[i] == '\n')
					broken[i] = ' ';
			say(&f, broken, n);
			assert_true(answers(&f) <= 1);
			say(&f, line, len);
			assert_int_equal(answers(&f), strncmp(line, "filter|", 7) == 0);
		}
		fclose(trace);
	}
	filter_end(&f);
}

/* Nothing without settings, no decision that accepts. */
static void
no_settings(void **state)
{
	static const char connect[] =
	    "report|0.7|1|smtp-in|link-connect|a1|x|pass|192.0.2.1:1|198.51.100.7:25";
	static const char mail[] = "filter|0.7|1|smtp-in|mail-from|a1|f1|a@partner.example";
	struct filter f;

	(void)state;
	filter_init(&f);
	say(&f, "config|ready", 12);
	(void)answers(&f);
	held_unref(f.hold.now);
	f.hold.now = NULL;
	say(&f, connect, sizeof(connect) - 1);
	say(&f, mail, sizeof(mail) - 1);
	assert_memory_equal(f.out.buf, "filter-result|a1|f1|reject|451 4.3.5 ", 37);
	filter_end(&f);
}

/* ---- log ---- */

#define NOBODY_READS "line %d of a log that nobody reads, as long as a line of a log is"

/* What has come is the lines from 0 on, each whole, then how many were lost. */
static void
log_is_whole(char *text, int lines)
{
	char *line, *rest = text, want[128];
	int n = 0, lost = 0;

	for (line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
		(void)snprintf(want, sizeof(want), NOBODY_READS, n);
		if (strcmp(line, want) != 0)
			break;
		n++;
	}
	assert_non_null(line);
	assert_int_equal(sscanf(line, "%d log lines lost", &lost), 1);
	assert_true(n > 0 && lost > 0);
	assert_int_equal(n + lost, lines);
	assert_string_equal(rest, "read at last\n");
}

static void
log_nobody_reads(void **state)
{
	static char buf[4 << 20];
	int sp[2], kept = dup(STDERR_FILENO), lines = 20000;	/* would block long before the end */
	size_t have = 0;
	ssize_t n;
	bool waits;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sp), 0);
	fflush(stderr);
	assert_true(dup2(sp[1], STDERR_FILENO) >= 0);
	errlog_open(false);
	for (int i = 0; i < lines; i++)
		errlog(LOG_INFO, NOBODY_READS, i);
	while ((n = recv(sp[0], buf + have, sizeof(buf) - 1 - have, MSG_DONTWAIT)) > 0)
		have += (size_t)n;
	errlog_batch();
	errlog(LOG_INFO, "read at last");
	while ((n = recv(sp[0], buf + have, sizeof(buf) - 1 - have, MSG_DONTWAIT)) > 0)
		have += (size_t)n;		/* what room was made of; the line itself waits */
	buf[have] = '\0';
	waits = strstr(buf, "at last") == NULL;
	errlog_flush();
	while ((n = recv(sp[0], buf + have, sizeof(buf) - 1 - have, MSG_DONTWAIT)) > 0)
		have += (size_t)n;
	buf[have] = '\0';
	dup2(kept, STDERR_FILENO);
	errlog_open(false);
	close(kept);
	close(sp[0]);
	close(sp[1]);
	assert_true(waits);
	log_is_whole(buf, lines);
}

static void
log_quotes(void **state)
{
	char buf[16];

	(void)state;
	assert_string_equal(errlog_quote("a\n\\\x7f", 4, buf, sizeof(buf)), "a\\x0a\\x5c\\x7f");
	assert_string_equal(errlog_quote("abcdefghijklmnopqrst", 20, buf, sizeof(buf)), "abcdefghijkl");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_in_pieces),
		cmocka_unit_test(lines_too_long),
		cmocka_unit_test(lines_out),
		cmocka_unit_test(sessions_come_and_go),
		cmocka_unit_test(broken_lines),
		cmocka_unit_test(no_settings),
		cmocka_unit_test(log_nobody_reads),
		cmocka_unit_test(log_quotes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
