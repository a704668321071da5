/*
 * The files of pins, which rules name by `certs`: each once, however many rules
 * name it, for whoever watches or lists them.
 *
 * A list points into the settings it was made of, and lives no longer than they
 * do; but for the names of its files, which are its own.
 */
#ifndef TLSWARD_CONF_PINNED_H
#define TLSWARD_CONF_PINNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "settings.h"

#define SEC_PINS SEC_MAX	/* what is of a file of pins, which has no section of its own */
#define PINNED_MAX 2000		/* files that the agent watches */
#define PINNED_NAME 65
#define PINNED_RULES 8		/* of those that name a file, so many are kept */

struct pinned_file {
	/*
	 * One that is as good as a section's: the last part of the path and, since paths
	 * may share that, a digest of the whole, such as partner.pem-1f0c22e9.
	 */
	char name[PINNED_NAME];
	const char *file;
	uint64_t hash;
	const struct rule *rule[PINNED_RULES];	/* the first in the order of section and name */
	size_t rules;		/* all that name it */
};
struct pinned {
	struct pinned_file *at;	/* by name */
	size_t n;
	size_t left;		/* rules whose files are more than were asked for */
};

/*
 * The files that the settings (NULL: none) name, `max` at most: those of the first
 * rules.  False: no memory, and *p is empty.  pinned_free releases.
 */
bool pinned_find(const struct settings *s, size_t max, struct pinned *p);
void pinned_free(struct pinned *p);
const struct pinned_file *pinned_named(const struct pinned *p, const char *name);	/* NULL: none */

/* "[peer a.example] and 2 rules more"; returns buf. */
#define PINNED_BY (NAME_SIZE + 48)
const char *pinned_by(const struct settings *, const struct pinned_file *, char buf[PINNED_BY]);

#endif
