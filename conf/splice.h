/*
 * The settings of a text of which some lines were changed, from those of the
 * text before and those of the changed lines alone: octet for octet what a parse
 * of the whole text would give, in a tenth of its time.
 *
 * known may come from a file and say anything: then so may what comes of it,
 * but nothing outside is read.  Owns nothing of what it is given.
 */
#ifndef TLSWARD_CONF_SPLICE_H
#define TLSWARD_CONF_SPLICE_H

#include <stdint.h>
#include "settings.h"

/*
 * The sections of known that begin in the lines [from, to) are gone, those of
 * piece, which has its lines' numbers in the new text, are there in their place;
 * what stands behind is `moved` lines further on (modulo 2^32).  NULL: a section
 * would be there twice, or none at all, or out of memory.  No file has them yet.
 */
struct settings *settings_splice(const struct settings *known, const struct settings *piece,
    unsigned from, unsigned to, unsigned moved, uint64_t generation);

#endif
