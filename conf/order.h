/*
 * The order of the rules of an image; for conf/build.c.
 */
#ifndef TLSWARD_CONF_ORDER_H
#define TLSWARD_CONF_ORDER_H

#include <stddef.h>
#include <stdint.h>
#include "build.h"
#include "image.h"

/*
 * The place of each of n rules in the order of all, section after section,
 * repeated ones last, in rank, which has room for 2 * n; and each section's
 * places.  Time grows with the octets of the names, for listeners and client
 * networks with n log n.
 */
void rank_rules(const struct rule *, size_t n, const char *pool, uint32_t *rank,
    struct span span[SEC_MAX], build_twice *twice, void *arg);

#endif
