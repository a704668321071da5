#include <string.h>

#include "received.h"

enum { DONE, FIRST, SECOND };

#define LITERAL(s) (s), sizeof(s) - 1

void
received_begin(struct received *r)
{
	r->at = FIRST;
	r->word = RECEIVED_SILENT;
}

static bool
starts(const char *line, size_t len, const char *with, size_t n)
{
	return len >= n && memcmp(line, with, n) == 0;
}

/* The last word of the first "(TLSv1.3:CIPHER:256:YES)" behind the message's id. */
static enum received_word
word_of(const char *line, size_t len)
{
	const char *end = line + len, *p, *close;

	if ((p = memmem(line, len, LITERAL(" id "))) == NULL ||
	    (p = memmem(p, (size_t)(end - p), LITERAL(" (TLSv"))) == NULL ||
	    (close = memchr(p, ')', (size_t)(end - p))) == NULL)
		return RECEIVED_SILENT;
	if (close - p > 4 && memcmp(close - 4, ":YES", 4) == 0)
		return RECEIVED_YES;
	return RECEIVED_NO;
}

void
received_line(struct received *r, const char *line, size_t len)
{
	switch (r->at) {
	case FIRST:
		if (starts(line, len, LITERAL("X-Spam: ")))
			return;
		r->at = starts(line, len, LITERAL("Received: ")) ? SECOND : DONE;
		return;
	case SECOND:
		if (starts(line, len, LITERAL("\tby ")))
			r->word = (unsigned char)word_of(line, len);
		r->at = DONE;
		return;
	default:
		return;
	}
}
