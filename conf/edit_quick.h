/*
 * The settings of a changed text from those of the text before, where that is
 * sure to be what a parse of the whole would give.  Internal to conf/edit*.c and
 * its tests.
 */
#ifndef TLSWARD_CONF_EDIT_QUICK_H
#define TLSWARD_CONF_EDIT_QUICK_H

#include <stddef.h>
#include "settings.h"

/*
 * known: the settings of the text that was read, of that path.  Only the sections
 * from the first to the last that the two texts do not have in common are parsed,
 * by the reader.  NULL: parse it all.  That is so unless
 *  - known is of the text before, by its digest, and of the path,
 *  - those sections are a small part of the text,
 *  - no line of them has an error, nor has the whole by settings_check.
 * The settings have no identity, as those that settings_parse makes with none.
 */
struct settings *edit_quick(const struct settings *known, const char *path,
    const char *before, size_t before_len, const char *text, size_t len);

#endif
