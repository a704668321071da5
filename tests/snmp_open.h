/*
 * A manager's session for tools that ask an agent themselves; includes the
 * library's headers, which want to come first.
 */
#ifndef TLSWARD_TESTS_SNMP_OPEN_H
#define TLSWARD_TESTS_SNMP_OPEN_H

#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>

/* v2c, no retries, ten seconds for an answer; no files are read or written.  Ends the tool if there is none. */
static inline netsnmp_session *
snmp_open_session(const char *tool, char *peer, char *community)
{
	netsnmp_session session, *ss;

	setenv("MIBS", "", 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_READ_CONFIGS, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_PERSIST_STATE, 1);
	init_snmp(tool);
	snmp_sess_init(&session);
	session.version = SNMP_VERSION_2c;
	session.peername = peer;
	session.community = (u_char *)community;
	session.community_len = strlen(community);
	session.timeout = 10 * 1000000L;
	session.retries = 0;
	if ((ss = snmp_open(&session)) == NULL)
		errx(1, "no session with %s", peer);
	return ss;
}

#endif
