/*
 * Lines in, lines out, over descriptors that never block.
 *
 * Each side is one buffer of fixed size, allocated once: nothing grows with
 * what the peer sends.  The reader of a line looks at linein_next until it is
 * NULL; the writer keeps LINE_LIMIT octets of room before it takes the next
 * request, so that an answer always fits.
 *
 * smtpd takes command lines of up to 65,535 octets (its SMTP_LINE_MAX) and puts
 * a prefix of less than 128 before them.
 */
#ifndef TLSWARD_FILTER_LINEIO_H
#define TLSWARD_FILTER_LINEIO_H

#include <stdbool.h>
#include <stddef.h>

#define LINE_LIMIT (68 * 1024)		/* octets of a line, without its newline */
/*
 * Of an answer, before what it quotes; and a whole one without a quote, for one line
 * may end the wait of an earlier request.
 */
#define LINE_PREFIX 1024

struct linein {
	char *buf;
	size_t start, end, size;
	bool eof;			/* no more will come */
	bool skipping;			/* inside a line whose head was handed over */
};

bool linein_init(struct linein *);	/* false: out of memory */
void linein_free(struct linein *);
/* Reads once; false on an error other than "nothing there now" (errno is set). */
bool linein_fill(struct linein *, int fd);
/*
 * The next line, NUL-terminated in place, without its newline; NULL: none yet.
 * Valid until linein_fill.  A line longer than LINE_LIMIT is handed over once as
 * its first LINE_LIMIT octets with *whole false, and so is what stands
 * unterminated at the end of input.
 */
char *linein_next(struct linein *, size_t *len, bool *whole);

struct lineout {
	char *buf;
	size_t start, end, size;
};

bool lineout_init(struct lineout *);
void lineout_free(struct lineout *);
/* Room for one more line of LINE_LIMIT octets with a prefix, behind what is promised? */
bool lineout_ready(const struct lineout *, size_t promised);
size_t lineout_pending(const struct lineout *);
/* Appends octets.  False, nothing appended: no room. */
bool lineout_put(struct lineout *, const char *text, size_t len);
/* Writes what it can; false on an error other than "not now" (errno is set). */
bool lineout_flush(struct lineout *, int fd);

#endif
