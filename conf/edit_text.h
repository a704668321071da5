/*
 * The text surgery of conf/edit.h: from an INI's text and a plan to the new
 * text.  No files here.  Internal to conf/edit*.c and its tests.
 *
 * The lines are told apart as read.c and libinih do it: ';' and '#' start a
 * comment line, ';' after white space an inline comment, '=' or ':' ends a
 * key, an indented line after a key continues its value.
 */
#ifndef TLSWARD_CONF_EDIT_TEXT_H
#define TLSWARD_CONF_EDIT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "edit.h"

#define EDIT_WHY 1024		/* room for a sentence to a person */

/* All that a list of edits, folded in order, wants of one section. */
struct edit_target {
	enum section section;
	char name[NAME_SIZE];		/* kept form */
	size_t order;			/* of its first edit: new sections come in this order */
	bool remove;			/* what stands there goes, */
	bool ensure;			/* and in the end the section is there */
	bool must_exist;		/* else EDIT_NO_SECTION */
	uint32_t set, unset;		/* bit k: KEY k; disjoint */
	const char *value[KEY_MAX];	/* of the keys in set, without space around; the edits' */
	size_t value_len[KEY_MAX];
	bool found;			/* edit_text: it is in the text */
	uint32_t placed;		/* edit_text: keys of set that have their line */
};

struct edit_plan {
	struct edit_target *target;	/* sorted by section and name */
	size_t n;
};

/*
 * EDIT_OK, EDIT_INVALID (a name, key or value that cannot be; why says which)
 * or EDIT_FAILED (out of memory).  The plan borrows the edits' values;
 * edit_plan_free is due whatever came.
 */
enum edit_status edit_plan(struct edit_plan *, const struct edit *, size_t n,
    char why[EDIT_WHY]);
void edit_plan_free(struct edit_plan *);
struct edit_target *edit_plan_find(const struct edit_plan *, enum section, const char *name);

/*
 * One pass over the text.  EDIT_OK: *out is the new text, the caller's, free(3),
 * perhaps equal to the old.  EDIT_NO_SECTION, EDIT_FAILED: *out is NULL.
 */
enum edit_status edit_text(const char *text, size_t len, struct edit_plan *,
    char **out, size_t *out_len, char why[EDIT_WHY]);

/* "[domain example.org]", "[server]". */
const char *edit_section_text(enum section, const char *name, char buf[NAME_SIZE + 16]);

/* Whose line that is, counted from 1; section SEC_MAX: none's. */
void edit_text_at(const char *text, size_t len, unsigned line, struct edit_place *);

#endif
