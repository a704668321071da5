/*
 * Looks at what the next lines will need, before they are acted on.
 *
 * With 100,000 domains each line's session, rule, name and counters are in no cache,
 * and a mail that waits for them one after the other waits longer than its decision
 * takes.  So the memory is asked for those of many lines at once.  Nothing is decided
 * here and nothing changes: a wrong guess costs time only.
 */
#ifndef TLSWARD_FILTER_AHEAD_H
#define TLSWARD_FILTER_AHEAD_H

#include "protocol.h"
#include "request.h"

void ahead_of(const struct filter *, struct request *, size_t n);

#endif
