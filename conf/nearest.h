/*
 * Which word was meant: for messages about keys, sections and commands.
 */
#ifndef TLSWARD_CONF_NEAREST_H
#define TLSWARD_CONF_NEAREST_H

#include <stddef.h>

/*
 * The one of n words (NULLs among them are skipped) that word (len octets)
 * most likely is a slip of: at most one change in three octets, where a
 * change adds, drops, replaces an octet or swaps two neighbours; case counts
 * nothing.  NULL: none is near.
 */
const char *nearest(const char *word, size_t len, const char *const *words, size_t n);

#endif
