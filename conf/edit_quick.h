/*
 * The settings of a changed text from those of the text before, where that is
 * sure to be what a parse of the whole would give.  Internal to conf/edit*.c and
 * its tests.
 */
#ifndef TLSWARD_CONF_EDIT_QUICK_H
#define TLSWARD_CONF_EDIT_QUICK_H

#include "edit_text.h"
#include "settings.h"

/*
 * known: the settings of the text that was read, of that path; text is what
 * edit_text made of it.  NULL: parse it.  That is so unless
 *  - the plan replaces one scalar of a section that sets it,
 *  - known is of the text before, by its digest,
 *  - the two texts differ in no line but the one where the reader saw that key,
 *  - the reader, given the new line under such a header, takes that value,
 *  - settings_check finds no error in the whole.
 * The settings have no identity, as those that settings_parse makes with none.
 */
struct settings *edit_quick(const struct settings *known, const char *path,
    const struct edit_plan *, const char *before, size_t before_len, const char *text,
    size_t len);

#endif
