/*
 * What the Exim module calls of conf/ for settings that have no compiled form yet, as
 * one table: the only symbol of exim_tlsward_read.so.  A process that finds a
 * compiled form does not pay for the parser and its libraries.
 */
#ifndef TLSWARD_FILTER_READ_CALLS_H
#define TLSWARD_FILTER_READ_CALLS_H

#include "compiled.h"
#include "exim_object.h"

struct read_calls {
	struct object_make make;
	struct settings *(*settings_read)(const char *path, bool warn, read_report *, void *arg);
	bool (*compiled_save)(const struct settings *, const struct compiled *);
};

#define READ_CALLS_FILE "exim_tlsward_read.so"
#define READ_CALLS_SYMBOL "tlsward_read_calls"
extern const struct read_calls tlsward_read_calls;

#endif
