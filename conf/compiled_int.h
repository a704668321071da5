/* What compiled.c, which reads, and compiled_save.c, which makes, share. */
#ifndef TLSWARD_CONF_COMPILED_INT_H
#define TLSWARD_CONF_COMPILED_INT_H

#include "compiled.h"

#define COMPILED_NAME 512	/* octets of a compiled form's name; who needs more does without */
enum compiled_place { BESIDE, OWN, PLACES };

/* Where an INI's compiled form is; false: there is no such place, or its name is too long. */
bool compiled_place(const char *ini, const char *folder, enum compiled_place,
    char out[COMPILED_NAME]);

/* Is an INI of so many octets large enough for one? */
static inline bool
compiled_worth(const struct compiled *c, uint64_t size)
{
	return c->small ? size > 0 : size >= COMPILED_LEAST;
}

#endif
