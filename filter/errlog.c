#include <sys/socket.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "errlog.h"

#define HELD_SIZE (32 * 1024)

static bool debug, not_socket, batching;
static unsigned lost;
static char held[HELD_SIZE];		/* lines on their way; the first may have lost its head, written already */
static size_t held_len;

void
errlog_open(bool verbose)
{
	debug = verbose;
	not_socket = batching = false;
	lost = 0;
	held_len = 0;
}

bool
errlog_wants(int level)
{
	return level < LOG_DEBUG || debug;
}

void
errlog_batch(void)
{
	batching = true;
}

/* As send(2), or as write(2) where standard error is no socket. */
static ssize_t
put(const char *text, size_t len)
{
	ssize_t n;

	if (!not_socket) {
		n = send(STDERR_FILENO, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0 || errno != ENOTSOCK)
			return n;
		not_socket = true;
	}
	return write(STDERR_FILENO, text, len);
}

void
errlog_flush(void)
{
	ssize_t n = 1;
	size_t done = 0;

	while (done < held_len && n > 0) {
		n = put(held + done, held_len - done);
		if (n > 0)
			done += (size_t)n;
	}
	held_len -= done;
	memmove(held, held + done, held_len);
}

/* Takes it whole or not at all. */
static bool
hold(const char *line, size_t len)
{
	if (len + 1 > sizeof(held) - held_len)
		errlog_flush();
	if (len + 1 > sizeof(held) - held_len)
		return false;
	memcpy(held + held_len, line, len);
	held[held_len + len] = '\n';
	held_len += len + 1;
	return true;
}

void
errlog_line(int level, const char *line)
{
	char note[80];

	if (!errlog_wants(level))
		return;
	if (lost > 0) {
		(void)snprintf(note, sizeof(note), "%u log lines lost: the log was not read in time", lost);
		if (hold(note, strlen(note)))
			lost = 0;
	}
	if (lost > 0 || !hold(line, strnlen(line, ERRLOG_LINE)))
		lost++;
	if (!batching)
		errlog_flush();
}

void
errlog(int level, const char *fmt, ...)
{
	char line[ERRLOG_LINE];
	va_list ap;
	int n;

	if (!errlog_wants(level))
		return;
	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n >= 0)
		errlog_line(level, line);
}

void
errlog_settle(struct errlog_rate *rate)
{
	struct timespec now;
	long long minute;

	clock_gettime(CLOCK_MONOTONIC, &now);
	minute = now.tv_sec / 60 + 1;
	if (minute == rate->minute)
		return;
	if (rate->held_back > 0)
		errlog(LOG_WARNING, "%u more %s", rate->held_back, rate->what);
	rate->minute = minute;
	rate->told = rate->held_back = 0;
}

bool
errlog_may(struct errlog_rate *rate)
{
	errlog_settle(rate);
	if (rate->told < ERRLOG_RATE) {
		rate->told++;
		return true;
	}
	rate->held_back++;
	return false;
}

const char *
errlog_quote(const char *text, size_t len, char *buf, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (size_t i = 0; i < len && n + 5 <= size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= 0x20 && c < 0x7f && c != '\\') {
			buf[n++] = (char)c;
			continue;
		}
		buf[n++] = '\\';
		buf[n++] = 'x';
		buf[n++] = hex[c >> 4];
		buf[n++] = hex[c & 15];
	}
	buf[n] = '\0';
	return buf;
}
