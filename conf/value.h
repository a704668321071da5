/*
 * Values of the INI that are no scalars, from their text into a build.
 */
#ifndef TLSWARD_CONF_VALUE_H
#define TLSWARD_CONF_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include "keys.h"

/* An item in its kept form, as the lists of settings.h have it. */
#define ITEM_SIZE 256

/*
 * Reads one item of a list (NAMES, PINS, NUMBERS, WORDS; len octets without spaces
 * around them).  Its size, or 0 and in *why a sentence fragment about what is
 * wrong with it.
 */
size_t value_item(enum key, const char *text, size_t len, unsigned char out[ITEM_SIZE],
    const char **why);

/*
 * Reads the text of a REF or PATH in its kept form (refs: of the section's
 * name), in out.  NULL, or what is wrong.
 */
const char *value_text(enum key, const char *text, char *out, size_t outsize);

/* The next item of a list, without the spaces around it; false at the end. */
bool value_split(const char **rest, const char **item, size_t *len);

#endif
