/*
 * The link to snmpd: Net-SNMP's AgentX library, its log, and the loop.
 *
 * The library blocks while snmpd hangs, so this runs in a process of its own
 * that somebody else can end (snmp_parent.h).  It reads no configuration and
 * no MIB, and writes no file.
 */
#ifndef TLSWARD_AGENT_SNMP_LINK_H
#define TLSWARD_AGENT_SNMP_LINK_H

#include "snmp_view.h"

/*
 * Answers snmpd until SIGTERM or SIGINT.  socket is an AgentX address as
 * Net-SNMP takes it ("unix:/path", "tcp:host:port") or a path; channel is the
 * way to the parent (snmp_notify.h).  The signals must be blocked by the caller.
 * 0, or 1 where it could not start, or PARENT_TAKEN: another agent answers there.
 */
int link_run(struct view *, const char *socket, int channel);

#endif
