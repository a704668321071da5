/*
 * What read.c (lines and sections) and read_key.c (keys and values) share:
 * where the reader is in the file.
 */
#ifndef TLSWARD_CONF_READER_H
#define TLSWARD_CONF_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "keys.h"

#define HEADER_MAX 1024			/* octets of a section header; U-labels are long */

struct reader {
	const char *next, *end;		/* what is there and not parsed yet */
	struct source *source;		/* of what comes then; NULL: that was all */
	struct build *build;
	struct problems *problems;
	unsigned line;			/* of the line the library has */
	bool indented;			/* that line continues a value */
	bool expects, handled;		/* that line must give a key; it did */
	bool skip;			/* what continues the last line is no better than it */

	bool begun;			/* any section was */
	bool store;			/* the section's header was right */
	enum section section;		/* SEC_MAX: unknown */
	char title[HEADER_MAX];		/* what stands between its brackets */
	size_t title_len;
	uint32_t set;			/* bit k: KEY k stood there, */
	unsigned set_at[KEY_MAX];	/* in this line */

	bool has_key;			/* a line may continue one */
	enum key key;			/* KEY_MAX: not to be looked at */
	unsigned key_line;
	size_t items;			/* of its list */
};

/* The text of a file piece by piece, so that a large one need not be in memory. */
struct source {
	int fd;
	char *buf;
	size_t size, len;		/* of buf; of what is in it */
	uint64_t digest;		/* of all that was read */
	uint64_t total, expect;		/* octets read; of the file */
	bool end;
	int error;			/* errno; EAGAIN: the file grows */
};

/*
 * Moves what is left from *next on to the buffer's start and reads more behind
 * it; false: there is no more.  Sets *next and *end.
 */
bool source_more(struct source *, const char **next, const char **end);

/*
 * Digest of a text, for telling versions apart, not against forgery: eight
 * octets at a time are multiplied into the state.  Pieces but for the last have
 * a multiple of eight octets.
 */
uint64_t digest_start(uint64_t len);
uint64_t digest_more(uint64_t h, const char *text, size_t len);
uint64_t digest_end(uint64_t h);

struct settings;
struct file_id;
/* As settings_parse; source has nothing in it yet, and text is NULL then. */
struct settings *reader_parse(const char *text, size_t len, struct source *source,
    const char *path, const struct file_id *id, bool warn, struct problems *ps);
/*
 * What some lines of a text say that begin with a section's header, or with the
 * text; line: where they begin.  Nothing is checked beyond single lines.  NULL: out
 * of memory.
 */
struct settings *reader_piece(const char *text, size_t len, unsigned line, struct problems *);

/* libinih's white space. */
static inline bool
blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* libinih's handler: a key and its value, or more of it.  Always 1: go on. */
int reader_key(void *reader, const char *section, const char *name, const char *value);
/* Nothing more comes to the last key. */
void reader_end_key(struct reader *);

#endif
