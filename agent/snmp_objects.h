/* The table of objects for snmp_tree.c, in the order of their identifiers. */
#ifndef TLSWARD_AGENT_SNMP_OBJECTS_H
#define TLSWARD_AGENT_SNMP_OBJECTS_H

#include "snmp_tree.h"

extern const struct object object_table[];
extern const size_t object_count;

/* DateAndTime (RFC 2579) in UTC; eight octets of zero for 0, never. */
void value_date(struct value *, time_t);

#endif
