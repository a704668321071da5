/*
 * What the last round of probes found, for the tables of listeners and of
 * certificates: read from the file that the parent leaves (probe_file.h), anew
 * when that has changed.  And the scalars about notifications and probes.
 */
#ifndef TLSWARD_AGENT_SNMP_PROBES_H
#define TLSWARD_AGENT_SNMP_PROBES_H

#include "probe_file.h"
#include "snmp_tree.h"
#include "snmp_values.h"

/* NULL: nothing is known. They live until the next call of either. */
const struct probe_seen *probes_listener(const struct view *, const char *listener);
/* Of the [certificate] of that name; one that shows another, if there is one. */
const struct probe_seen *probes_certificate(const struct view *, const char *name);

/* tlswardNotify and tlswardProbes: o->arg is 0 or the key that is shown. */
bool get_notify(const struct view *, const struct object *, const struct row *, struct value *);

/* The objects of those groups, for the table. */
#define NOTIFY_KEY(group, id, set, key) \
	{ group, id, TABLE_NONE, ASN_INTEGER, set, key, get_notify }
#define NOTIFY_FIGURE(group, id, type) \
	{ group, id, TABLE_NONE, type, SET_NEVER, 0, get_notify }
#define NOTIFY_OBJECTS \
	NOTIFY_KEY(15, 1, SET_WORD, KEY_NOTIFY), \
	NOTIFY_KEY(15, 2, SET_NUMBER, KEY_NOTIFY_RATE), \
	NOTIFY_KEY(15, 3, SET_NUMBER, KEY_REFUSAL_RATE), \
	NOTIFY_FIGURE(15, 4, ASN_COUNTER), \
	NOTIFY_FIGURE(15, 5, ASN_COUNTER), \
	NOTIFY_FIGURE(15, 6, ASN_COUNTER), \
	NOTIFY_FIGURE(15, 7, ASN_GAUGE), \
	{ 15, 19, TABLE_NONE, ASN_TIMETICKS, SET_NEVER, STAMP_AGENT, get_stamp }, \
	{ 15, 20, TABLE_NONE, ASN_OCTET_STR, SET_LIST, KEY_EXPIRY_DAYS, get_agent_list }, \
	{ 15, 21, TABLE_NONE, ASN_OCTET_STR, SET_BITS, KEY_NOTIFY_EXCEPT, get_agent_bits }, \
	NOTIFY_KEY(16, 1, SET_NUMBER, KEY_PROBE_INTERVAL), \
	NOTIFY_FIGURE(16, 2, ASN_OCTET_STR), \
	NOTIFY_FIGURE(16, 3, ASN_GAUGE)

#endif
