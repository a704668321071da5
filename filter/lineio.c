#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lineio.h"

#define IN_SIZE  (256 * 1024)
#define OUT_SIZE (256 * 1024)

bool
linein_init(struct linein *in)
{
	memset(in, 0, sizeof(*in));
	in->size = IN_SIZE;
	in->buf = malloc(in->size + 1);		/* the NUL of an unterminated last line */
	return in->buf != NULL;
}

void
linein_free(struct linein *in)
{
	free(in->buf);
	memset(in, 0, sizeof(*in));
}

bool
linein_fill(struct linein *in, int fd)
{
	ssize_t n;

	if (in->start > 0) {
		memmove(in->buf, in->buf + in->start, in->end - in->start);
		in->end -= in->start;
		in->start = 0;
	}
	if (in->end == in->size)
		return true;
	n = read(fd, in->buf + in->end, in->size - in->end);
	if (n == 0)
		in->eof = true;
	else if (n > 0)
		in->end += (size_t)n;
	else
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
	return true;
}

/* Terminates the len octets at start and moves on; eaten counts the line end too. */
static char *
take(struct linein *in, size_t len, size_t eaten, size_t *out)
{
	char *line = in->buf + in->start;

	line[len] = '\0';
	in->start += eaten;
	*out = len;
	return line;
}

char *
linein_next(struct linein *in, size_t *len, bool *whole)
{
	char *at, *nl;
	size_t n;

	for (;;) {
		at = in->buf + in->start;
		n = in->end - in->start;
		nl = n > 0 ? memchr(at, '\n', n) : NULL;
		if (in->skipping) {
			in->skipping = nl == NULL;
			in->start = nl == NULL ? in->end : (size_t)(nl + 1 - in->buf);
			if (nl == NULL)
				return NULL;
			continue;
		}
		if (nl != NULL && (size_t)(nl - at) <= LINE_LIMIT) {
			*whole = true;
			n = (size_t)(nl - at);
			return take(in, n, n + 1, len);
		}
		*whole = false;
		if (n > LINE_LIMIT) {
			/* no newline there: what the NUL replaces is skipped anyway */
			at[LINE_LIMIT] = '\0';
			*len = LINE_LIMIT;
			in->start += LINE_LIMIT;
			in->skipping = true;
			return at;
		}
		if (!in->eof || n == 0)
			return NULL;
		return take(in, n, n, len);
	}
}

bool
lineout_init(struct lineout *out)
{
	memset(out, 0, sizeof(*out));
	out->size = OUT_SIZE;
	out->buf = malloc(out->size);
	return out->buf != NULL;
}

void
lineout_free(struct lineout *out)
{
	free(out->buf);
	memset(out, 0, sizeof(*out));
}

size_t
lineout_pending(const struct lineout *out)
{
	return out->end - out->start;
}

bool
lineout_ready(const struct lineout *out, size_t promised)
{
	return out->size - lineout_pending(out) >= promised + LINE_LIMIT + LINE_PREFIX;
}

bool
lineout_put(struct lineout *out, const char *text, size_t len)
{
	if (len > out->size - lineout_pending(out))
		return false;
	if (len > out->size - out->end) {
		memmove(out->buf, out->buf + out->start, lineout_pending(out));
		out->end -= out->start;
		out->start = 0;
	}
	memcpy(out->buf + out->end, text, len);
	out->end += len;
	return true;
}

bool
lineout_flush(struct lineout *out, int fd)
{
	ssize_t n;

	while (out->start < out->end) {
		n = write(fd, out->buf + out->start, out->end - out->start);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		out->start += (size_t)n;
	}
	out->start = out->end = 0;
	return true;
}
