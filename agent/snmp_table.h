/*
 * The rows of the MIB's tables, and what they are indexed by:
 *
 *	domains, peers		the name, IMPLIED
 *	listeners		InetAddressType, InetAddress, port
 *	client networks		InetAddressType, InetAddress, prefix length
 *	long names		a number
 *	certificates		kind, the name, IMPLIED
 *	reasons, front ends	their number
 *	refusals		front end, number
 *
 * The order of the rows of each is that of their indices, which is also the
 * order in which the settings have them: so a row is found by halving, whatever
 * object identifier is asked for.
 *
 * RFC 2578 7.7 (indices), RFC 4001 (addresses).
 */
#ifndef TLSWARD_AGENT_SNMP_TABLE_H
#define TLSWARD_AGENT_SNMP_TABLE_H

#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>

#include "snmp_view.h"

enum table {
	TABLE_NONE, TABLE_DOMAIN, TABLE_PEER, TABLE_LISTENER, TABLE_CLIENT, TABLE_LONG,
	TABLE_CERTIFICATE, TABLE_REASON, TABLE_RECENT, TABLE_FRONT_END
};

/* A row: a rule of the settings, or one that waits; or the i-th of another table. */
struct row {
	enum section section;
	const char *name;		/* lives until the next refresh or SET */
	const struct rule *rule;	/* NULL: waits */
	const struct waiting *waiting;
	size_t i;
};

#define INDEX_MAX ROW_NAME_MAX		/* sub-identifiers */

/* The index of a row; 0: it has none, its name is too long. */
size_t table_index(const struct view *, enum table, const struct row *, oid index[INDEX_MAX]);

/* The index of a listener or a client network; 0: the name is no such address. */
size_t table_index_addr(enum section, const char *name, oid index[INDEX_MAX]);

/*
 * The row of that index.  A domain's or peer's name is as good in upper case, in
 * U-labels or with a final dot; table_next lists the kept form.
 */
bool table_row(const struct view *, enum table, const oid *index, size_t n, struct row *);
/* The first row after the index (at or after it, with `inclusive`). */
bool table_next(const struct view *, enum table, const oid *index, size_t n, bool inclusive,
    struct row *);

/* The section that a table's rows are of; SEC_MAX: of none, or of several. */
enum section table_section(enum table);

/*
 * The kept name that an index stands for, whether or not there is such a row.
 * NULL; or why no row can ever have it: a sentence, perhaps in buf.
 */
#define INDEX_WHY 512
const char *table_name(enum table, const oid *index, size_t n, char name[NAME_SIZE],
    char buf[INDEX_WHY]);

#endif
