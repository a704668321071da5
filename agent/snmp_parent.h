/*
 * The process that never talks to snmpd: it starts the one that does, starts
 * it again when it dies, and ends it, by SIGKILL where need be, so that the
 * agent's end never waits for snmpd.
 *
 * Whatever must go on while snmpd hangs belongs here.
 */
#ifndef TLSWARD_AGENT_SNMP_PARENT_H
#define TLSWARD_AGENT_SNMP_PARENT_H

#include "alarm_watch.h"

#define PARENT_GRACE_MS	1000	/* from SIGTERM to SIGKILL */
#define PARENT_PAUSE	60	/* seconds at most between a death and the next start */
/*
 * Exit status of a child that found another agent in its place.  What it met may be
 * the rest of one that is just ending: it is tried once more, then left alone.
 */
#define PARENT_TAKEN	3

/*
 * Runs child(arg, channel) in a process of its own until SIGTERM or SIGINT; it
 * is called with those blocked, and its return value is its exit status.  What
 * the alarms find goes to it by the channel (alarm_event.h), -1 for none; alarms
 * may be NULL.
 * Returns 0, or 1 where the system gave no process or descriptor or the place is taken,
 * or PARENT_AGAIN: the settings have moved (alarms_moved), all is to begin anew.
 */
#define PARENT_AGAIN	(-1)
int parent_run(int (*child)(void *arg, int channel), void *arg, struct alarms *);

/*
 * Takes the lock of the folder's one agent (STATE_DIR/agent/pid), which lasts
 * as long as the process.  A descriptor; -1: another agent has it, its process
 * id is in *holder; -2: no lock can be had there, errno says why.
 */
int parent_lock(const char *state_dir, long *holder);

#endif
