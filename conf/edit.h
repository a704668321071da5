/*
 * Changes to an INI file, all or none.
 *
 * The text is kept but for what a change names: comments, order, blank lines,
 * spacing around '=', line ends, owner and mode stay; a list that no line holds
 * is continued on further ones.  edit_apply locks the
 * file (flock), reads it, applies the changes to the text, parses the result
 * whole and refuses one with errors, writes a new file beside it, fsyncs it,
 * checks that the file at the path still is the one it read (else starts
 * again), renames, fsyncs the folder.  A symbolic link is followed, the file
 * behind it replaced.  A crash at any point leaves the old file or the new.
 */
#ifndef TLSWARD_CONF_EDIT_H
#define TLSWARD_CONF_EDIT_H

#include <stdbool.h>
#include <stddef.h>
#include "keys.h"
#include "settings.h"

enum edit_op {
	EDIT_SET,	/* key = value; adds the key, and the section, where missing */
	EDIT_UNSET,	/* removes the key's line(s); the section stays, and what stood
			   behind a ';' stays as a comment line */
	EDIT_ADD,	/* adds an empty section; nothing where it exists */
	EDIT_REMOVE	/* removes a section and its keys; the comments inside it stay */
};

struct edit {
	enum edit_op op;
	enum section section;
	const char *name;	/* kept form; "" for server and agent */
	enum key key;		/* SET, UNSET */
	const char *value;	/* SET: as it shall stand in the file */
};

enum edit_status {
	EDIT_OK,
	EDIT_SAME,		/* nothing to change: the file is untouched */
	EDIT_INVALID,		/* the result would have errors: text says which, at which line */
	EDIT_NO_SECTION,	/* UNSET or REMOVE of what is not there */
	EDIT_BUSY,		/* the lock, or an editor, was in the way for half a second */
	EDIT_DENIED,		/* permissions, read-only file or file system */
	EDIT_NO_SPACE,		/* disk full or quota */
	EDIT_FAILED		/* any other error of the system */
};

/* A key of a section, KEY_MAX: its header; section SEC_MAX: no place. */
struct edit_place {
	enum section section;
	char name[NAME_SIZE];	/* kept form */
	enum key key;
};

struct edit_result {
	enum edit_status status;
	char text[1024];	/* one sentence for a person: what, and what to do */
	bool unsynced;		/* after OK: a crash may undo it; text is that warning, to be logged */
	struct edit_place wrong;	/* after INVALID: where the result's first error would be;
				   no place where the file had one before */
	struct settings *settings;	/* after OK or SAME: what the file now says; the caller's */
	char *before;		/* after OK: the text that was replaced; the caller's, free(3) */
	size_t before_len;
	struct file_id after;	/* after OK the new file, or none if it was written to
				   at once; after SAME the file */
};

/* res is filled whatever happens; edit_result_free releases what it holds. */
enum edit_status edit_apply(const char *path, const struct edit *, size_t n,
    struct edit_result *res);

/*
 * The same by who has what the file said when it was read last (NULL: has not).
 * If it says so still, only the sections that change are parsed, and their rules
 * put among the 100,000 others: what comes of it is the same.
 */
enum edit_status edit_apply_known(const char *path, const struct settings *known,
    const struct edit *, size_t n, struct edit_result *res);

/*
 * Puts res->before back if the file still is res->after (else EDIT_BUSY and
 * nothing is done: somebody changed it since, and their change stands).
 */
enum edit_status edit_revert(const char *path, const struct edit_result *res,
    char text[1024]);

void edit_result_free(struct edit_result *);

#endif
