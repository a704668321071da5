/*
 * Reads are answered where they arrive, without the library's agent in between.
 *
 * snmpd asks a subagent for each row of a walk, one after the other, even where
 * the manager asked by GETBULK.  The library takes such a request apart, sends it
 * to itself through pipes, looks for a handler and sends the answer back likewise;
 * that costs several times what the answer does.  So the session's callback is
 * ours: it answers Get and GetNext of tlswardObjects, and hands on all else.
 *
 * RFC 2741 6.2.3 (SearchRange), 7.2.3 (what a subagent answers).
 */
#ifndef TLSWARD_AGENT_SNMP_QUICK_H
#define TLSWARD_AGENT_SNMP_QUICK_H

#include "snmp_view.h"

/* session: what SNMPD_CALLBACK_INDEX_START hands over. */
void quick_begin(struct view *, void *session);

#endif
