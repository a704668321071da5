#include <sys/socket.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "errlog.h"

static bool debug, not_socket;
static unsigned lost;

void
errlog_open(bool verbose)
{
	debug = verbose;
	not_socket = false;
	lost = 0;
}

bool
errlog_wants(int level)
{
	return level < LOG_DEBUG || debug;
}

static bool
put(const char *text, size_t len)
{
	ssize_t n;

	if (!not_socket) {
		n = send(STDERR_FILENO, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0 || errno != ENOTSOCK)
			return n >= 0;
		not_socket = true;
	}
	return write(STDERR_FILENO, text, len) >= 0;
}

void
errlog_line(int level, const char *line)
{
	char buf[ERRLOG_LINE + 1];
	size_t len;
	int n;

	if (!errlog_wants(level))
		return;
	if (lost > 0) {
		n = snprintf(buf, sizeof(buf), "%u log lines lost: the log was not read in time\n", lost);
		if (n < 0 || !put(buf, (size_t)n)) {
			lost++;
			return;
		}
		lost = 0;
	}
	len = strnlen(line, ERRLOG_LINE);
	memcpy(buf, line, len);
	buf[len] = '\n';
	if (!put(buf, len + 1))
		lost++;
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
