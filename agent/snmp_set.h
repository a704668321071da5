/*
 * SET, the phases of RFC 3416 4.2.5 as Net-SNMP hands them over.
 *
 *	RESERVE1  every varbind is checked; what is wanted is gathered by row
 *	ACTION    one edit of the settings file: all of the request or nothing
 *	COMMIT    rows that wait are put in their new state; the log is written, and
 *	          the parent told that the change was ours
 *	UNDO      the file gets its former text back, by us, too
 *	FREE      forgotten
 *
 * Over AgentX an error in COMMIT never reaches the manager, so that what can
 * fail is done in ACTION.  The master runs one SET at a time: there is one
 * transaction, and a new RESERVE1 ends one whose end never came.
 *
 * A request that would break the file is answered with the index of the varbind
 * that the file's first error comes from (targets_blame), or of the first where none does.
 *
 * Every error is counted, logged, and kept in tlswardChangesLastError.
 */
#ifndef TLSWARD_AGENT_SNMP_SET_H
#define TLSWARD_AGENT_SNMP_SET_H

#include "snmp_tree.h"
#include <net-snmp/agent/net-snmp-agent-includes.h>

/* Returns an SNMP_ERR_*; the request that it is for has it too. */
int set_phase(struct view *, netsnmp_agent_request_info *, netsnmp_request_info *);

/* Forgets a transaction that is under way. */
void set_end(struct view *);

#endif
