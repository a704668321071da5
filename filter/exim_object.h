/*
 * The module's other objects, which lie beside it and are loaded when something
 * calls for them: what reads an INI and what looks at certificates.  Each exports
 * one table of what it does, which begins with how it was made: they share structs,
 * and an upgrade may have put another one there than a running Exim has loaded.
 */
#ifndef TLSWARD_FILTER_EXIM_OBJECT_H
#define TLSWARD_FILTER_EXIM_OBJECT_H

#include <stddef.h>
#include "image.h"
#include "policy.h"

struct object_make {
	const char *version;
	size_t facts_size, rule_size;
	unsigned layout;		/* of the settings' image */
};
#define OBJECT_MAKE { .version = TLSWARD_VERSION, .facts_size = sizeof(struct cert_facts), \
	.rule_size = sizeof(struct rule), .layout = IMAGE_LAYOUT }

/*
 * The table, by its symbol in the file of that name beside the module; it stays
 * loaded.  NULL: a sentence with the reason in why.
 */
const void *exim_object(const char *file, const char *symbol, char *why, size_t whysize);

#endif
