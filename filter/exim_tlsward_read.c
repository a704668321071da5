/* The table of exim_tlsward_read.so; see read_calls.h. */
#include "read_calls.h"

const struct read_calls tlsward_read_calls = {
	.make = OBJECT_MAKE,
	.settings_read = settings_read,
	.compiled_save = compiled_save,
};
