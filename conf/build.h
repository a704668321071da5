/*
 * Makes settings: rules one after the other, in any order, then the whole.
 * Lack of memory is remembered and told by build_finish, so that a reader
 * need not look after each value.  What is handed over is copied; it is the
 * reader's to have checked it.
 */
#ifndef TLSWARD_CONF_BUILD_H
#define TLSWARD_CONF_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "settings.h"

struct build;

/* For a text of so many octets, more or less.  NULL: out of memory. */
struct build *build_new(size_t text);
void build_free(struct build *);		/* NULL is fine */

/*
 * Begins a section: its kept name ("" for server and agent) and, for listener
 * and client, its address, else NULL.
 */
void build_section(struct build *, enum section, const char *name,
    const struct addr *, unsigned line);

/* Each of these at most once a section and key. */
void build_scalar(struct build *, enum key, uint32_t value, unsigned line);
void build_text(struct build *, enum key, const char *text, unsigned line);
/* Items go to the list begun last; nothing else may come between them. */
void build_list(struct build *, enum key, unsigned line);
void build_item(struct build *, const void *item, size_t len);

typedef void build_twice(void *arg, enum section, const char *name,
    unsigned first, unsigned line);

/*
 * The settings, or NULL and errno ENOMEM or EFBIG.  Of two rules of one
 * section and name the first counts; twice is told of each other one.
 * The build is empty afterwards, whatever the outcome.
 */
struct settings *build_finish(struct build *, const char *path,
    const struct file_id *, uint64_t generation,
    build_twice *twice, void *arg);

#endif
