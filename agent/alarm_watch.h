/*
 * What the agent keeps an eye on: settings, the files of certificates, what the
 * listeners show, how much is refused.  It lives in the process that never talks
 * to snmpd, so that nothing is missed while snmpd hangs; what it finds goes to
 * the other one, one event at a time, and leaves the queue when that says so.
 *
 * STATE_DIR/agent has its memory (state), what waits (queue), what the probes
 * found (probe), and a socket (changes) by which tlsward(1) tells that a change
 * of the settings is its own.  Without that folder all goes on, but a restart
 * forgets.
 */
#ifndef TLSWARD_AGENT_ALARM_WATCH_H
#define TLSWARD_AGENT_ALARM_WATCH_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

struct alarms;

#define ALARM_FDS 16

/* Of this INI, and what it says where the agent is at work; all are copied.  NULL: no memory. */
struct alarms *alarms_new(const char *ini, const char *state_dir, const char *agentx);
/* Do the settings name another state_dir or agentx by now? */
bool alarms_moved(const struct alarms *);
/* The state_dir that they name, if it is another; else NULL. */
const char *alarms_new_dir(const struct alarms *);
void alarms_free(struct alarms *);		/* saves what is not yet */

size_t alarms_fds(const struct alarms *, struct pollfd fds[ALARM_FDS]);
int alarms_wait(const struct alarms *);		/* ms at most until the next step */
void alarms_step(struct alarms *);

/* A channel for a new child: the child's end, or -1. */
int alarms_channel(struct alarms *);
/* In that child: what is the parent's is closed; `channel` stays. */
void alarms_forget(struct alarms *);
/* The child is gone: what it had not acknowledged goes to the next one. */
void alarms_child_gone(struct alarms *);

#endif
