/*
 * Collects what is wrong with a file and tells it in the order of the lines:
 * errors are found while reading, contradictions only when all was read.
 */
#ifndef TLSWARD_CONF_PROBLEM_H
#define TLSWARD_CONF_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include "read.h"

#define PROBLEMS_MAX 100	/* told of each severity unless `all`; of the rest, the number */

struct problem {
	enum severity severity;
	unsigned line;
	unsigned order;			/* of finding */
	char *text;
};

/* Zeroed, but for `all`: none found yet. */
struct problems {
	bool all;			/* keep every one, while there is memory */
	struct problem *item;
	size_t count, room;
	size_t found[2], kept[2];	/* by severity */
};

void problem(struct problems *, enum severity, unsigned line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Tells them all and frees them. True: there was no error. */
bool problems_tell(struct problems *, const char *path, read_report *, void *arg);

/*
 * Text of the file as a message may have it: control characters and what is no
 * UTF-8 as \xHH, cut to a length that leaves room for the sentence around it.
 */
#define SHOWN_SIZE 320
const char *shown(const char *text, size_t len, char buf[SHOWN_SIZE]);

#endif
