/*
 * Where the filter's knowledge of certificates comes from: lines of smtpd's
 * log, the feed's store, requests that wait, smtpd's own Received header.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <cmocka.h>

#include "feed.h"
#include "pending.h"
#include "received.h"

#define ID "4b046be7cb6fc076"
#define HEX64 "00112233445566778899aabbccddeeffFFEEDDCCBBAA99887766554433221100"
#define PRINT "fingerprint=\"SHA256:" HEX64 "\""
#define GOOD ID " smtp cert-check result=\"verified\" " PRINT
#define ID_VALUE UINT64_C(0x4b046be7cb6fc076)

/* ---- lines ---- */

static const struct {
	const char *line;
	bool taken, verified, has_fingerprint;
} lines[] = {
	{ GOOD, true, true, true },
	{ " " GOOD, true, true, true },				/* %msg% of rsyslog */
	{ GOOD "\n", true, true, true },
	{ GOOD " \r\n", true, true, true },
	{ "smtpd[811]: " GOOD, true, true, true },
	{ "Nov 24 03:20:14 mx smtpd[811]: " GOOD, true, true, true },
	{ "2026-11-24T03:20:14.123456+00:00 mx smtpd[811]: " GOOD, true, true, true },
	{ "<22>Nov 24 03:20:14 smtpd[811]: " GOOD, true, true, true },
	{ "4B046BE7CB6FC076 smtp cert-check result=\"verified\" " PRINT, true, true, true },
	{ ID " smtp cert-check result=\"unchecked\" " PRINT, true, false, true },
	{ ID " smtp cert-check result=\"VERIFIED\" " PRINT, true, false, true },
	{ ID " smtp cert-check result=\"verified \" " PRINT, true, false, true },
	{ ID " smtp cert-check result=\"\" " PRINT, true, false, true },
	{ ID " smtp cert-check result=\"verified\"", true, true, false },
	{ ID " smtp cert-check result=\"verified\" fingerprint=\"\"", true, true, false },
	{ ID " smtp cert-check result=\"verified\" fingerprint=\"(null)\"", true, true, false },
	{ ID " smtp cert-check result=\"verified\" fingerprint=\"SHA1:" HEX64 "\"", true, true, false },
	{ ID " smtp cert-check result=\"verified\" fingerprint=\"SHA256:" HEX64 "0\"", true, true, false },
	{ ID " smtp cert-check result=\"verified\" fingerprint=\"SHA256:g" HEX64 "\"", true, true, false },

	/* others */
	{ "", false, false, false },
	{ " ", false, false, false },
	{ ID, false, false, false },
	{ ID " smtp cert-check ", false, false, false },
	{ ID " smtp cert-check result=\"verified", false, false, false },
	{ ID " smtp cert-check result=\"verified\" fingerprint=\"SHA256:" HEX64, false, false, false },
	{ ID " smtp connected address=192.0.2.1 host=x", false, false, false },
	{ ID " mta cert-check result=\"verified\" " PRINT, false, false, false },
	{ "4b046be7cb6fc07 smtp cert-check result=\"verified\" " PRINT, false, false, false },
	{ "04b046be7cb6fc076 smtp cert-check result=\"verified\" " PRINT, false, false, false },
	{ "4b046be7cb6fc07g smtp cert-check result=\"verified\" " PRINT, false, false, false },
	{ "x" GOOD, false, false, false },
	{ "postfix[811]: " GOOD, false, false, false },
	{ "smtpd: " GOOD, false, false, false },
	{ "smtpd[x]: " GOOD, false, false, false },
	{ "[811]: " GOOD, false, false, false },

	/* what a client made smtpd, or another program, write */
	{ "1111111111111111 smtp failed-command command=\"" GOOD "\" result=\"500 x\"", false, false, false },
	{ "smtpd[811]: 1111111111111111 smtp failed-command command=\"smtpd[1]: " GOOD, false, false, false },
	{ "smtpd[811]: warn: smtpd[811]: " GOOD, false, false, false },
	{ "Nov 24 03:20:14 mx sshd[9]: invalid user smtpd[811]: " GOOD, false, false, false },
	{ "smtpd[811]: tlsward: from=\"" GOOD, false, false, false },
	{ GOOD " " GOOD, false, false, false },
	{ GOOD "x", false, false, false },
};

static void
lines_of_the_log(void **state)
{
	static const unsigned char digest[] = { 0x00, 0x11, 0x22 };
	struct feed_entry e;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		size_t len = strlen(lines[i].line);
		char *copy = malloc(len > 0 ? len : 1);	/* not terminated: reads past it show */

		memcpy(copy, lines[i].line, len);
		if (feed_parse(copy, len, &e) != lines[i].taken)
			fail_msg("%s: %s", lines[i].taken ? "not taken" : "taken", lines[i].line);
		free(copy);
		if (!lines[i].taken)
			continue;
		assert_true(e.session == ID_VALUE);
		if (e.verified != lines[i].verified || e.has_fingerprint != lines[i].has_fingerprint)
			fail_msg("wrongly read: %s", lines[i].line);
		if (e.has_fingerprint)
			assert_memory_equal(e.fingerprint, digest, sizeof(digest));
	}
}

/* Every line cut at every octet, and each octet replaced: nothing but the whole is trusted. */
static void
lines_broken(void **state)
{
	static const char good[] = "Nov 24 03:20:14 mx smtpd[811]: " GOOD;
	const size_t len = sizeof(good) - 1;
	struct feed_entry e;
	char *copy;

	(void)state;
	for (size_t n = 0; n < len; n++) {
		copy = malloc(n + 1);
		memcpy(copy, good, n);
		/* the result alone may stand; a fingerprint only whole */
		assert_true(!feed_parse(copy, n, &e) || !e.has_fingerprint);
		free(copy);
	}
	copy = malloc(len);
	for (size_t n = 0; n < len; n++)
		for (int c = 0; c < 256; c++) {
			memcpy(copy, good, len);
			copy[n] = (char)c;
			(void)feed_parse(copy, len, &e);
		}
	free(copy);
}

/* ---- the store ---- */

static char dir[] = "/tmp/tlsward-test_feed.XXXXXX";
static unsigned told;
static uint64_t last_told;

static void
tell(void *arg, const struct feed_entry *e)
{
	struct feed *f = *(struct feed **)arg;

	assert_non_null(feed_find(f, e->session));	/* kept before it is told */
	told++;
	last_told = e->session;
}

static struct feed *
opened(void)
{
	char why[512];
	struct feed *f = feed_open(dir, why, sizeof(why));

	assert_non_null(f);
	assert_string_equal(why, "");
	return f;
}

static int
fifo_writer(void)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/feed", dir);
	fd = open(path, O_WRONLY | O_NONBLOCK);
	assert_true(fd >= 0);
	return fd;
}

static void
datagram(const char *text, size_t len)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/feed.sock", dir);
	assert_int_equal(sendto(fd, text, len, 0, (struct sockaddr *)&sun, sizeof(sun)), len);
	close(fd);
}

static void
entry_line(uint64_t id, unsigned char first, char *out, size_t size)
{
	snprintf(out, size, "%016llx smtp cert-check result=\"verified\" fingerprint=\"SHA256:%02x%062d\"\n",
	    (unsigned long long)id, first, 0);
}

static unsigned
drain(struct feed *f)
{
	told = 0;
	feed_read(f, tell, &f);
	return told;
}

static void
both_ways_in(void **state)
{
	struct feed *f = opened();
	struct stat st;
	char line[256], path[128];
	int fd = fifo_writer();

	(void)state;
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, i == 0 ? "feed" : "feed.sock");
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	assert_int_equal(drain(f), 0);
	/* a line in three pieces, with others around it */
	entry_line(1, 0xaa, line, sizeof(line));
	assert_int_equal(write(fd, "noise\n", 6), 6);
	assert_int_equal(write(fd, line, 20), 20);
	assert_int_equal(drain(f), 0);
	assert_int_equal(write(fd, line + 20, 50), 50);
	assert_int_equal(drain(f), 0);
	assert_int_equal(write(fd, line + 70, strlen(line) - 70), strlen(line) - 70);
	assert_int_equal(write(fd, "\n\n", 2), 2);
	assert_int_equal(drain(f), 1);
	assert_int_equal(feed_find(f, 1)->fingerprint[0], 0xaa);
	/* datagrams: with newline, without, empty */
	entry_line(2, 0xbb, line, sizeof(line));
	datagram(line, strlen(line));
	entry_line(3, 0xcc, line, sizeof(line));
	datagram(line, strlen(line) - 1);
	datagram("", 0);
	assert_int_equal(drain(f), 2);
	assert_int_equal(feed_find(f, 3)->fingerprint[0], 0xcc);
	/* twice, and with another fingerprint: the first stays */
	entry_line(3, 0xdd, line, sizeof(line));
	datagram(line, strlen(line));
	assert_int_equal(drain(f), 0);
	assert_int_equal(feed_find(f, 3)->fingerprint[0], 0xcc);
	feed_forget(f, 3);
	assert_null(feed_find(f, 3));
	feed_forget(f, 3);
	assert_non_null(feed_find(f, 2));
	close(fd);
	feed_close(f);
}

static void
lines_too_long(void **state)
{
	struct feed *f = opened();
	static char junk[60000];
	char line[256];
	int fd = fifo_writer();

	(void)state;
	memset(junk, 'x', sizeof(junk));
	entry_line(4, 1, line, sizeof(line));
	for (size_t n = 1900; n < 2200; n++) {	/* around the bound */
		assert_int_equal(write(fd, junk, n), n);
		assert_int_equal(write(fd, "\n", 1), 1);
		assert_int_equal(write(fd, line, strlen(line)), strlen(line));
		assert_int_equal(drain(f), 1);
		feed_forget(f, 4);
	}
	/* the tail of a line that is too long is no line of its own */
	assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
	assert_int_equal(drain(f), 0);
	assert_int_equal(write(fd, line, strlen(line)), strlen(line));
	assert_int_equal(drain(f), 0);
	assert_int_equal(write(fd, line, strlen(line)), strlen(line));
	assert_int_equal(drain(f), 1);
	datagram(junk, 5000);
	assert_int_equal(drain(f), 0);
	/* one that is a line by as much of it as there is room for */
	memset(junk, ' ', sizeof(junk));
	entry_line(5, 1, line, sizeof(line));
	memcpy(junk, line, strlen(line) - 1);
	datagram(junk, 2048);
	assert_int_equal(drain(f), 1);
	feed_forget(f, 5);
	junk[2048] = 'x';
	datagram(junk, 2049);
	assert_int_equal(drain(f), 0);
	close(fd);
	feed_close(f);
}

/* smtpd's ids: a counter over random bits. */
static uint64_t
nth_id(uint64_t n)
{
	uint64_t x = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
	return (n + 0x4b046be7) << 32 | (x >> 32);
}

/* More entries than there is room for: the newest are there, nothing grows. */
static void
floods(void **state)
{
	enum { MANY = 100000, ROOM = 8192 };
	struct feed *f = opened();
	char line[256];
	unsigned got = 0, kept = 0;
	int fd = fifo_writer();

	(void)state;
	for (uint64_t i = 1; i <= MANY; i++) {
		entry_line(nth_id(i), (unsigned char)i, line, sizeof(line));
		while (write(fd, line, strlen(line)) < 0) {	/* a full pipe is the writer's to see */
			assert_int_equal(errno, EAGAIN);
			got += drain(f);
		}
	}
	got += drain(f);
	assert_int_equal(got, MANY);
	for (uint64_t i = 1; i <= MANY; i++) {
		const struct feed_entry *e = feed_find(f, nth_id(i));

		kept += e != NULL;
		assert_true(e != NULL || i < MANY - ROOM / 8);
		if (e != NULL)
			assert_int_equal(e->fingerprint[0], (unsigned char)i);
	}
	assert_true(kept <= ROOM && kept > ROOM / 2);
	/* nine of one bucket: the oldest goes, the others stay */
	for (uint64_t i = 0; i < 9; i++) {
		entry_line((i + 1) << 50 | 77, (unsigned char)i, line, sizeof(line));
		assert_true(write(fd, line, strlen(line)) > 0);
	}
	assert_int_equal(drain(f), 9);
	for (uint64_t i = 0; i < 9; i++)
		assert_int_equal(feed_find(f, (i + 1) << 50 | 77) != NULL, i > 0);
	close(fd);
	feed_close(f);
}

/* One call reads a bounded amount, however fast lines come. */
static void
flood_is_bounded(void **state)
{
	struct feed *f = opened();
	static char junk[65536];
	int fd = fifo_writer();

	(void)state;
	memset(junk, '\n', sizeof(junk));
	for (int i = 0; i < 50; i++) {
		assert_true(write(fd, junk, sizeof(junk)) > 0);
		assert_int_equal(drain(f), 0);
	}
	for (int i = 0; i < 5; i++)
		datagram("x", 1);
	assert_int_equal(drain(f), 0);
	close(fd);
	feed_close(f);
}

static void
one_reader(void **state)
{
	struct feed *f = opened(), *g;
	char why[512], path[128], moved[128];

	(void)state;
	assert_null(feed_open(dir, why, sizeof(why)));
	assert_non_null(strstr(why, "another filter"));
	assert_true(feed_current(f));
	datagram("x", 1);		/* the socket is still the first's */
	/* somebody cleans up */
	snprintf(path, sizeof(path), "%s/feed.sock", dir);
	assert_int_equal(unlink(path), 0);
	assert_false(feed_current(f));
	feed_close(f);
	f = opened();
	assert_true(feed_current(f));
	snprintf(path, sizeof(path), "%s/feed", dir);
	snprintf(moved, sizeof(moved), "%s/gone", dir);
	assert_int_equal(rename(path, moved), 0);
	assert_false(feed_current(f));
	g = opened();
	assert_true(feed_current(g));
	feed_close(f);
	feed_close(g);
	unlink(moved);
}

static void
nothing_to_open(void **state)
{
	char why[512], path[128], target[128];
	struct feed *f;
	int fd;

	(void)state;
	assert_null(feed_open("/nonexistent/folder", why, sizeof(why)));
	assert_non_null(strstr(why, "/nonexistent/folder/feed: No such file"));
	assert_null(feed_find(NULL, 1));
	feed_forget(NULL, 1);
	feed_close(NULL);
	assert_int_equal(feed_fd(NULL, FEED_FIFO), -1);
	/* a plain file or a link where the FIFO should be: the socket is left */
	snprintf(path, sizeof(path), "%s/feed", dir);
	snprintf(target, sizeof(target), "%s/target", dir);
	for (int i = 0; i < 2; i++) {
		unlink(path);
		if (i == 0) {
			fd = open(path, O_CREAT | O_WRONLY, 0600);
			assert_true(fd >= 0);
			close(fd);
		} else {
			assert_int_equal(mkfifo(target, 0600), 0);
			assert_int_equal(symlink(target, path), 0);
		}
		f = feed_open(dir, why, sizeof(why));
		assert_non_null(f);
		assert_non_null(strstr(why, "/feed: "));
		assert_int_equal(feed_fd(f, FEED_FIFO), -1);
		assert_true(feed_fd(f, FEED_SOCKET) >= 0);
		datagram(GOOD, sizeof(GOOD) - 1);
		assert_int_equal(drain(f), 1);
		assert_true(last_told == ID_VALUE);
		feed_close(f);
	}
	unlink(path);
	unlink(target);
}

/* ---- requests that wait ---- */

static void
waiting(void **state)
{
	enum { N = 50 };
	static struct session s[N];
	struct pending_list l = { NULL, NULL };
	struct pending *p;

	(void)state;
	assert_int_equal(pending_left(&l, 5), -1);
	assert_null(pending_due(&l, 1 << 30));
	for (int i = 0; i < N; i++) {
		p = pending_add(&l, &s[i], 10 * i);
		assert_non_null(p);
		assert_ptr_equal(s[i].waiting, p);
	}
	assert_int_equal(pending_left(&l, 400), 600);
	assert_null(pending_due(&l, PENDING_MS - 1));
	assert_ptr_equal(pending_due(&l, PENDING_MS), s[0].waiting);
	assert_int_equal(pending_left(&l, PENDING_MS + 5), 0);
	pending_hurry(&l, s[20].waiting);
	pending_hurry(&l, s[N - 1].waiting);
	pending_hurry(&l, s[0].waiting);
	assert_ptr_equal(pending_due(&l, 0), s[0].waiting);
	pending_hurry(&l, s[0].waiting);	/* the first once more */
	for (int n = 3; n > 0; n--) {
		p = pending_due(&l, 0);
		assert_non_null(p);
		assert_true(p->session == &s[0] || p->session == &s[20] || p->session == &s[N - 1]);
		pending_drop(&l, p);
	}
	assert_null(pending_due(&l, 0));
	assert_null(s[20].waiting);
	pending_drop(&l, s[1].waiting);
	pending_drop(&l, s[N - 2].waiting);
	pending_drop(&l, s[10].waiting);
	pending_drop(&l, NULL);
	for (int i = 2; i < N - 2; i++) {
		if (i == 10 || i == 20)
			continue;
		assert_ptr_equal(pending_due(&l, PENDING_MS + 10 * i), s[i].waiting);
		assert_null(pending_due(&l, PENDING_MS + 10 * i - 1));
		pending_drop(&l, s[i].waiting);
	}
	assert_null(l.first);
	assert_null(l.last);
}

/* ---- smtpd's own Received header ---- */

#define FROM "Received: from client.example (host [192.0.2.1])"
#define BY "\tby mx.example.org (OpenSMTPD) with ESMTPS id 087d59a9"
#define TLS "(TLSv1.3:TLS_AES_256_GCM_SHA384:256:"

static const struct {
	const char *line[4];
	enum received_word word;
} messages[] = {
	{ { FROM, BY " " TLS "YES)", "\tfor <b@example.org>;", NULL }, RECEIVED_YES },
	{ { FROM, BY " " TLS "NO)", "\tfor <b@example.org>;", NULL }, RECEIVED_NO },
	{ { FROM, BY " " TLS "YES);", NULL }, RECEIVED_YES },
	{ { FROM, BY " " TLS "YES) auth=yes user=x (TLSv1.3:x:1:NO)", NULL }, RECEIVED_YES },
	{ { FROM, BY " " TLS "NO) auth=yes user=x (TLSv1.3:x:1:YES)", NULL }, RECEIVED_NO },
	{ { "Received: ", BY " " TLS "YES)", NULL }, RECEIVED_YES },	/* mask-src */
	{ { "X-Spam: Yes", FROM, BY " " TLS "YES)", NULL }, RECEIVED_YES },
	{ { FROM, BY, "\tfor <b@example.org>;", NULL }, RECEIVED_SILENT },
	{ { FROM, BY ";", "\tThu, 1 Jan 1970 " TLS "YES)", NULL }, RECEIVED_SILENT },
	{ { FROM, BY " " TLS "MAYBE)", NULL }, RECEIVED_NO },
	{ { FROM, BY " (TLSv1.3:YES", NULL }, RECEIVED_SILENT },
	{ { FROM, "\tby x " TLS "YES)", NULL }, RECEIVED_SILENT },
	/* what a client may send after smtpd's own, or where there is none */
	{ { FROM, BY " " TLS "NO)", FROM, BY " " TLS "YES)" }, RECEIVED_NO },
	{ { "Received: from x (x " TLS "YES) [192.0.2.1])", BY, BY " id " TLS "YES)", NULL },
	    RECEIVED_SILENT },
	{ { "Subject: x", FROM, BY " " TLS "YES)", NULL }, RECEIVED_SILENT },
	{ { "", FROM, BY " " TLS "YES)", NULL }, RECEIVED_SILENT },
	{ { ".", NULL }, RECEIVED_SILENT },
	{ { FROM, ".", BY " " TLS "YES)", NULL }, RECEIVED_SILENT },
	{ { FROM, "", BY " " TLS "YES)", NULL }, RECEIVED_SILENT },
};

static void
received(void **state)
{
	struct received r = { 0 };

	(void)state;
	assert_false(received_looks(&r));
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		received_begin(&r);
		for (int n = 0; n < 4 && messages[i].line[n] != NULL; n++) {
			size_t len = strlen(messages[i].line[n]);
			char *copy = malloc(len > 0 ? len : 1);

			memcpy(copy, messages[i].line[n], len);
			if (received_looks(&r))
				received_line(&r, copy, len);
			free(copy);
		}
		if (r.word != messages[i].word)
			fail_msg("message %zu: %d, wanted %d", i, r.word, messages[i].word);
	}
	received_begin(&r);
	received_line(&r, FROM, sizeof(FROM) - 1);
	assert_true(received_looks(&r));
	received_line(&r, BY, sizeof(BY) - 1);
	assert_false(received_looks(&r));	/* the rest of the message costs nothing */
}

static int
make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL;
}

static int
remove_dir(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/feed", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/feed.sock", dir);
	unlink(path);
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_the_log),
		cmocka_unit_test(lines_broken),
		cmocka_unit_test(both_ways_in),
		cmocka_unit_test(lines_too_long),
		cmocka_unit_test(floods),
		cmocka_unit_test(flood_is_bounded),
		cmocka_unit_test(one_reader),
		cmocka_unit_test(nothing_to_open),
		cmocka_unit_test(waiting),
		cmocka_unit_test(received),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
