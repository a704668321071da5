/*
 * The objects of TLSWARD-MIB below tlswardObjects, as one table in the order
 * of their identifiers, and the search in it.  A new object is a line there and
 * a function that makes its value.
 *
 * An instance is named by the sub-identifiers after tlswardObjects:
 *	group.object.0			of a scalar
 *	group.1.column.INDEX		of a column; for INDEX see snmp_table.h
 *
 * Nothing here knows of requests or of the link to snmpd.
 */
#ifndef TLSWARD_AGENT_SNMP_TREE_H
#define TLSWARD_AGENT_SNMP_TREE_H

#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>

#include "snmp_table.h"

/* 1.3.6.1.4.1.8072.9999.9999.2553.1: tlswardObjects */
#define TREE_ROOT 1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 2553, 1
#define TREE_ROOT_LEN 11
#define TREE_DEPTH (MAX_OID_LEN - TREE_ROOT_LEN)	/* sub-identifiers that may follow */

enum object_set {
	SET_NEVER,	/* read-only */
	SET_WORD,	/* an enumeration that stands for a key's words, see tree_word */
	SET_NUMBER,	/* a key's number, -1 for none */
	SET_NAME,	/* the name of another section, empty for none */
	SET_LIST,	/* a key's list as the INI has it, empty for none */
	SET_BITS,	/* BITS: those of a key's words that are not in its list */
	SET_STORAGE,	/* StorageType */
	SET_STATUS,	/* RowStatus */
	SET_LOCK	/* TestAndIncr */
};

struct value {
	u_char type;		/* ASN_* */
	union {
		long integer;
		u_long number;			/* Counter32, Gauge32, Unsigned32, TimeTicks */
		struct counter64 counter;
		unsigned char octets[VIEW_LIST + 1];
	} u;
	size_t len;		/* octets of the above that count */
};

struct object {
	uint8_t group, id;
	enum table table;	/* TABLE_NONE: a scalar */
	u_char type;
	enum object_set set;
	int arg;		/* a key, or which figure, or which section's */
	/* False: no such instance now.  row is NULL for scalars. */
	bool (*get)(const struct view *, const struct object *, const struct row *,
	    struct value *);
};

/* The object that sub (n sub-identifiers) is of, or NULL; *used of them named it. */
const struct object *tree_object(const oid *sub, size_t n, size_t *used);

enum tree_found { TREE_FOUND, TREE_NO_OBJECT, TREE_NO_INSTANCE };
enum tree_found tree_get(const struct view *, const oid *sub, size_t n, struct value *);

/*
 * The first instance after sub (at or after it, with `inclusive`); its
 * sub-identifiers go to next.  False at the end of the subtree.
 */
bool tree_next(const struct view *, const oid *sub, size_t n, bool inclusive,
    oid next[TREE_DEPTH], size_t *nextlen, struct value *);

/*
 * The MIB's enumerations of words: inherit(1), then the key's words from 2.
 * The word of a number, NULL for inherit; false: no such number, or it is
 * inherit where there is nothing to inherit from (the server's scalars).
 */
#define TREE_INHERIT 1
bool tree_word(bool scalar, enum key, long number, const char **word);
/* The number of a key's value. */
long tree_number(enum key, uint32_t value);

#endif
