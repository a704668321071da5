/*
 * Rows made by createAndWait (RFC 2579, RowStatus) that are not yet active:
 * they are in no file, only here.  The list is sorted by section and, as the
 * settings are, by name or address; it is bounded in length and age.
 *
 * A list is changed by copying it, changing the copy and putting that in its
 * place, so that a SET that fails leaves nothing behind.
 */
#ifndef TLSWARD_AGENT_SNMP_WAITING_H
#define TLSWARD_AGENT_SNMP_WAITING_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>
#include "settings.h"

#define ROW_NAME_MAX	114	/* octets of an index: RFC 2578 3.5 allows 128 sub-identifiers */
#define WAITING_MAX	1000	/* rows */
#define WAITING_AGE	300	/* seconds untouched; RFC 2579 suggests five minutes */

struct waiting {
	enum section section;
	char name[ROW_NAME_MAX + 1];
	time_t touched;			/* CLOCK_MONOTONIC */
	char *text[KEY_RULES];		/* as the INI would have it; NULL: not set */
};

struct waiting_list {
	size_t n, size;
	struct waiting *row;
};

/* NULL: no memory. */
struct waiting_list *waiting_copy(const struct waiting_list *);	/* an empty one of NULL */
void waiting_free(struct waiting_list *);

/* First row not before section and name (after it, without `equal`); n: none. */
size_t waiting_lower(const struct waiting_list *, enum section, const char *name, bool equal);
struct waiting *waiting_find(const struct waiting_list *, enum section, const char *name);

/* The row, added where it is not there.  NULL: the list is full, or no memory. */
struct waiting *waiting_add(struct waiting_list *, enum section, const char *name, time_t now);
bool waiting_set(struct waiting *, enum key, const char *text);	/* text NULL: unset */
void waiting_remove(struct waiting_list *, size_t i);

#endif
