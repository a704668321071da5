/*
 * The lines of an INI, told apart and written anew, into a text that grows.
 * Internal to conf/edit*.c.
 */
#ifndef TLSWARD_CONF_EDIT_LINE_H
#define TLSWARD_CONF_EDIT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include "keys.h"

enum line_kind { LINE_BLANK, LINE_COMMENT, LINE_HEADER, LINE_KEY, LINE_MORE, LINE_OTHER };

/* A line, as offsets into it. */
struct line {
	const char *text;
	size_t len;			/* without the line end */
	size_t full;			/* with it */
	enum line_kind kind;
	size_t start, end;		/* of the header's inside, or the key */
	size_t sep;			/* of '=' or ':' */
};

struct buffer {
	char *text;
	size_t len, cap;
	bool failed;			/* out of memory */
};

void buffer_add(struct buffer *, const char *text, size_t len);
void buffer_text(struct buffer *, const char *text);

/* Fills all but text, len and full; start: behind a byte order mark. */
void line_classify(struct line *, size_t start, bool has_key);
enum key line_key(const struct line *);		/* KEY_MAX: unknown */
bool line_space(char);

/*
 * The line with another value.  An inline comment that stands in a column of
 * its own keeps its place where there is room.  A list that no line holds is
 * continued on further ones, which end in eol.
 */
void line_put_value(struct buffer *, const struct line *, enum key, const char *value,
    size_t len, const char *eol);
/* The same for a key that has no line yet. */
void line_put_key(struct buffer *, enum key, const char *value, size_t len, const char *eol);
/* What a line that goes had to say behind its ';', as a line of its own; or nothing. */
void line_put_comment(struct buffer *, const struct line *, const char *eol);

#endif
