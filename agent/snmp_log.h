/*
 * The agent's log: lines on stderr, which systemd or a shell keeps.  Levels
 * are those of syslog(3); where stderr is the journal's each line carries its level as
 * sd-daemon(3) has it ("<4>"), so that the journal can tell them apart.
 */
#ifndef TLSWARD_AGENT_SNMP_LOG_H
#define TLSWARD_AGENT_SNMP_LOG_H

#include <syslog.h>

/* Lines below this level of severity are dropped; LOG_INFO unless told. */
void log_setup(const char *program, int level);

void log_line(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A line that is text of somebody else's: what is not printable is made so. */
void log_text(int level, const char *text);

#endif
