/*
 * The settings of one INI file, immutable once built.
 *
 * They are one flat image without pointers: a header, records of one size
 * sorted by section and name, a hash of the names, a pool of strings.  So they
 * can be built in memory by conf/read.h, be written to a file and mapped by
 * every process, and be handed around as one object.  Every accessor checks
 * offsets against the image's bounds: a damaged image gives "not set", never a
 * read outside.
 *
 * A lookup costs the same whatever the number of rules.
 *
 * Ownership: a struct settings owns its image; settings_free ends both.  What
 * the accessors return lives as long as the settings.  Nothing here logs.
 */
#ifndef TLSWARD_CONF_SETTINGS_H
#define TLSWARD_CONF_SETTINGS_H

#include <sys/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "addr.h"
#include "file_id.h"
#include "keys.h"
#include "name.h"

struct settings;

/*
 * One section of the file.  For readers: section and line; everything else by
 * the accessors, the layout is image.h's.
 */
#define RULE_SCALARS 8
struct rule {
	uint32_t name;			/* offset of its kept name; 0 for server, agent */
	uint32_t line;			/* of the section's header, from 1; 0: not in the file */
	uint32_t set;			/* bit k: KEY k is set here */
	uint32_t more;			/* offset of what not every rule has; 0: it has none */
	uint16_t min_bits;
	uint8_t scalar[RULE_SCALARS];	/* of min_tls the lower octet */
	uint8_t section;		/* enum section */
	uint8_t pad;
};

/* ---- whole ---- */
void settings_free(struct settings *);			/* NULL is fine */
const struct file_id *settings_id(const struct settings *);
/* The same text is now this file's: for who made the text and then the file. */
void settings_set_id(struct settings *, const struct file_id *);
const char *settings_path(const struct settings *);	/* the INI's */
size_t settings_octets(const struct settings *);	/* of memory, about */
uint64_t settings_generation(const struct settings *);	/* digest of the content: same text, same number */

/* ---- rules, in the order of their kept names (addresses: of addr_cmp) ---- */
size_t settings_count(const struct settings *, enum section);
const struct rule *settings_at(const struct settings *, enum section, size_t i);	/* NULL past the end */
/* All rules of the settings have numbers from 0 on, for tables beside them. */
size_t settings_rules(const struct settings *);
size_t settings_number(const struct settings *, const struct rule *);
/* Exact kept name ("" for server and agent, which always exist); NULL: no such. */
const struct rule *settings_find(const struct settings *, enum section, const char *name);
/* First rule whose name is > name (or >= with `equal`) in that order; count if none. */
size_t settings_lower(const struct settings *, enum section, const char *name, bool equal);

/* ---- matching ---- */
/* [domain] or [peer]: the exact name, else the longest ".suffix"; NULL: none. */
const struct rule *settings_match(const struct settings *, enum section, const char *name);
const struct rule *settings_listener(const struct settings *, const struct addr *);	/* exact, else "*:port" */
const struct rule *settings_client(const struct settings *, const struct addr *);	/* longest prefix */

/*
 * Many names that will be matched soon can be asked of the memory all at once.  In
 * steps, each of which has what the one before asked for; wrong guesses cost time only.
 */
uint64_t settings_hash(enum section, const char *name);
void settings_fetch_slot(const struct settings *, uint64_t hash);
const struct rule *settings_fetch_rule(const struct settings *, uint64_t hash);	/* NULL: none is likely */
void settings_fetch_name(const struct settings *, const struct rule *);

/* ---- values ---- */
static inline bool
rule_sets(const struct rule *r, enum key k)
{
	return r != NULL && (r->set >> k & 1) != 0;
}
/* A scalar's value, or its default where the rule does not set it. */
uint32_t settings_value(const struct rule *, enum key);
const char *settings_name(const struct settings *, const struct rule *);	/* kept name, "" for server */
const char *settings_text(const struct settings *, const struct rule *, enum key);	/* REF, PATH; NULL: not set */
/* What [server] or [agent] has of a PATH, else the preset; also without settings. */
const char *settings_place(const struct settings *, enum section, enum key);
struct addr settings_addr(const struct settings *, const struct rule *);	/* of a listener or client */
/* The line of that key in the file; of the section where it is not set or far below. */
unsigned settings_line(const struct settings *, const struct rule *, enum key);

/* Lists: NAMES gives kept names, PINS 33 octets: type (enum pin) and digest, NUMBERS and WORDS
 * uint32_t. */
enum pin { PIN_CERT = 'C', PIN_SPKI = 'K' };
struct list {
	const unsigned char *p;		/* next item; see list_next_* */
	size_t left;			/* items left */
	const unsigned char *end;
};
struct list settings_list(const struct settings *, const struct rule *, enum key);	/* empty where not set */
const char *list_next_name(struct list *);		/* NULL at the end */
const unsigned char *list_next_pin(struct list *);	/* 33 octets, NULL at the end */
bool list_next_number(struct list *, uint32_t *);

/* ---- what holds for all rules of a section, found while building ---- */
/*
 * The weakest and strictest value that any [domain] (or [peer], [client],
 * [listener]) sets for a scalar of the decision; false: none sets it.
 */
bool settings_range(const struct settings *, enum section, enum key,
    uint32_t *weakest, uint32_t *strictest);
/* Does any rule of the section bring its own ca, names or pins? */
bool settings_own_trust(const struct settings *, enum section);

#endif
