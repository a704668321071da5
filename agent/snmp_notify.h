/*
 * Notifications of TLSWARD-MIB, in the process that talks to snmpd: takes one
 * event after the other from the parent (alarm_event.h), sends it, and lets the
 * parent know when snmpd has answered that very one.  It is sent once on a link,
 * however long snmpd takes.  What was under way when the link broke is sent
 * again on the next one, so that it may come twice, with the same
 * tlswardNotifyNumber, but is not lost.
 */
#ifndef TLSWARD_AGENT_SNMP_NOTIFY_H
#define TLSWARD_AGENT_SNMP_NOTIFY_H

#include "alarm_event.h"
#include "snmp_view.h"

void notify_init(const struct view *, int channel);	/* channel: -1 for none */
int notify_fd(void);			/* to wait for reading; -1: none */
/* The link to snmpd came, and this is its session; NULL: it went. */
void notify_link(void *session);
/* readable: notify_fd() is.  Never blocks but where the library does. */
void notify_step(bool readable);

/* A SET is about to write; or it has not changed anything.  notify_changed ends it, too. */
void notify_writing(bool begins);
/*
 * This file was written by a SET that holds, or by the end of one that does not: not
 * before it is known which, for the parent acts on it at once.
 */
void notify_changed(const struct file_id *);

const struct alarm_figures *notify_figures(void);

#endif
