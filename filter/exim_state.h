/*
 * What the Exim module keeps between its calls: settings and counters, one INI
 * a process.
 *
 * Exim has one process a connection.  It keeps the settings that it found at
 * its first call to its end, so that a session is decided by those it began
 * under.  The daemon looks at the file at each connection, and its children are
 * forked with what it holds: the last good settings, where the file has errors.
 *
 * Trouble goes to Exim's main log, once: with the daemon, else once a process.
 */
#ifndef TLSWARD_FILTER_EXIM_STATE_H
#define TLSWARD_FILTER_EXIM_STATE_H

#include "policy.h"

/* The daemon's look at the INI, at its counters and at what it needs for certificates. */
void exim_preload(const char *ini);

/* The settings of this process; NULL: there never were readable ones. */
const struct settings *exim_settings(const char *ini);
const char *exim_trouble(void);		/* why there are none */
long exim_process(void);		/* the process that called exim_settings last */

/*
 * A name may have been taken for none, and so for nobody's; why, in constant text.
 * That of the last one since exim_settings; NULL: none.
 */
void exim_doubt(const char *why);
const char *exim_doubtful(void);

/* A line for Exim's main log. */
void exim_say(const char *line);

/* Counts a verdict; without counters that is the log's business, not the mail's. */
void exim_count(const struct settings *, const struct facts *, const struct verdict *);

#endif
