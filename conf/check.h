/*
 * What no single line shows: references to nothing, sections that lack
 * something, rules that contradict each other or cannot be kept.
 */
#ifndef TLSWARD_CONF_CHECK_H
#define TLSWARD_CONF_CHECK_H

#include <stdbool.h>
#include "problem.h"
#include "settings.h"

/* Warnings are looked for only with `warn`. */
void settings_check(const struct settings *, bool warn, struct problems *);

#endif
