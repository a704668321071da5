/*
 * libFuzzer: smtpd's log as the feed takes it.  The first octet says how it comes:
 * a line alone, or through the FIFO in pieces of that many octets, or as datagrams;
 * what the feed makes of these is compared with a plain splitting into lines.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINE 2048		/* the longest line that is taken, with its newline */
#define GOT_MAX 4096

static char dir[] = "/tmp/tlsward-fuzz-feed.XXXXXX";
static struct feed *feed;
static int fifo = -1, sock = -1;

static struct feed_entry got[GOT_MAX];
static size_t ngot;

static void
take(void *arg, const struct feed_entry *e)
{
	(void)arg;
	if (ngot == GOT_MAX)
		abort();
	got[ngot++] = *e;
}

static void
clean(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/feed", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/feed.sock", dir);
	unlink(path);
	rmdir(dir);
}

static void
start(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char path[64], why[256];

	if (mkdtemp(dir) == NULL || (feed = feed_open(dir, why, sizeof(why))) == NULL)
		abort();
	atexit(clean);
	snprintf(path, sizeof(path), "%s/feed", dir);
	fifo = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/feed.sock", dir);
	if (fifo == -1 || sock == -1 || connect(sock, (struct sockaddr *)&sun, sizeof(sun)) == -1)
		abort();
}

/*
 * The next entry that came is of this line, if the line is one; one of a session
 * that had one already need not come.
 */
static void
expect(const uint8_t *line, size_t len, size_t *at)
{
	struct feed_entry e;
	bool known = false;

	if (!feed_parse((const char *)line, len, &e))
		return;
	for (size_t i = 0; i < *at; i++)
		known = known || got[i].session == e.session;
	if (*at < ngot && got[*at].session == e.session && got[*at].verified == e.verified &&
	    got[*at].has_fingerprint == e.has_fingerprint &&
	    memcmp(got[*at].fingerprint, e.fingerprint, 32) == 0)
		(*at)++;
	else if (!known)
		abort();
}

static void
forget(size_t at)
{
	if (at != ngot)
		abort();
	for (size_t i = 0; i < ngot; i++)
		feed_forget(feed, got[i].session);
	ngot = 0;
}

static void
by_fifo(const uint8_t *data, size_t size, size_t piece)
{
	const uint8_t *end = data + size, *nl;
	size_t at = 0;

	for (size_t i = 0; i < size; i += piece) {
		size_t n = size - i < piece ? size - i : piece;

		if (write(fifo, data + i, n) != (ssize_t)n)
			abort();
		feed_read(feed, take, NULL);
	}
	if (write(fifo, "\n", 1) != 1)		/* the end of whatever was left */
		abort();
	feed_read(feed, take, NULL);
	for (const uint8_t *p = data; p <= end; p = nl + 1) {
		nl = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
		if (nl == NULL)
			nl = end;
		if (nl - p < LINE)
			expect(p, (size_t)(nl - p), &at);
	}
	forget(at);
}

static void
by_datagrams(const uint8_t *data, size_t size)
{
	const uint8_t *end = data + size, *nl;
	size_t at = 0;

	for (const uint8_t *p = data; p < end; p = nl + 1) {
		if ((nl = memchr(p, '\n', (size_t)(end - p))) == NULL)
			nl = end;
		if (send(sock, p, (size_t)(nl - p), 0) != nl - p)
			abort();
		feed_read(feed, take, NULL);
		if (nl - p <= LINE)
			expect(p, (size_t)(nl - p), &at);
	}
	forget(at);
}

static void
alone(const uint8_t *data, size_t size)
{
	char *line = malloc(size > 0 ? size : 1);	/* no NUL behind: an end that ASan sees */
	struct feed_entry e;

	if (line == NULL)
		return;
	memcpy(line, data, size);
	memset(&e, 0xff, sizeof(e));
	if (feed_parse(line, size, &e) && e.has_fingerprint &&
	    memmem(line, size, "cert-check", 10) == NULL)
		abort();
	free(line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (feed == NULL)
		start();
	if (data[0] == 0)
		alone(data + 1, size - 1);
	else if (data[0] == 1)
		by_datagrams(data + 1, size - 1);
	else
		by_fifo(data + 1, size - 1, data[0] < 128 ? data[0] : (size_t)(data[0] - 127) * 128);
	return 0;
}
