/*
 * Lists of the settings (names, pins, numbers, words) as one line of text, which is how the
 * INI and SNMP have them.
 */
#ifndef TLSWARD_AGENT_SNMP_LIST_H
#define TLSWARD_AGENT_SNMP_LIST_H

#include <stddef.h>
#include "settings.h"

/*
 * A rule's list, "a, b"; empty where it has none.  One that has no room ends in
 * "...", which no list can.  Returns buf.
 */
const char *list_text(const struct settings *, const struct rule *, enum key, char *buf,
    size_t size);

/*
 * The kept form of a list of len octets that somebody wrote; empty where it has no
 * items.  NULL, or in why what is wrong with which item.
 */
#define LIST_WHY 400
const char *list_normal(enum key, const char *text, size_t len, char *out, size_t size,
    char why[LIST_WHY]);

/*
 * WORDS as BITS of SNMP (RFC 2578 7.1.4), in which the words that are in the list are the
 * bits that are not set: how many octets, and the list of such a value, NULL for none.
 * Octets that are missing have no bit set, bits that stand for no word count nothing (RFC
 * 3417 8).
 */
size_t list_bits(enum key);
const char *list_of_bits(enum key, const unsigned char *bits, size_t len, char *buf, size_t size);

/* Any value of a rule as the INI would have it; NULL where it is not set. */
const char *list_or_scalar(const struct settings *, const struct rule *, enum key, char *buf,
    size_t size);

#endif
