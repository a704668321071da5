/*
 * What a SET did, for the log: a line for each change, with the place in the file, the
 * old value, the new one, and the object as the tools of Net-SNMP take it,
 *
 *	SNMP SET: [domain example.org] mode: offer -> require
 *	    (tlswardDomainMode.'example.org')
 *
 * all on one line.
 */
#ifndef TLSWARD_AGENT_SNMP_SET_LOG_H
#define TLSWARD_AGENT_SNMP_SET_LOG_H

#include "edit.h"
#include "snmp_view.h"

/* One change of the file; before: what the file said before (NULL: nothing). */
void set_log_edit(const struct view *, const struct settings *before, const struct edit *);

/*
 * Rows that wait, before and after a SET; whether one that waits no longer was made
 * active shows in the file's edits.
 */
void set_log_waiting(const struct view *, const struct waiting_list *before,
    const struct waiting_list *after, const struct edit *, size_t nedits);

/* Those that the agent itself drops. */
void set_log_dropped(const struct view *, const struct waiting *, const char *why);

/* The object of a key (KEY_MAX: the row's status) of a section.  Returns buf. */
#define OBJECT_NAME_MAX 320
const char *set_object_name(const struct view *, enum section, const char *name, enum key,
    char buf[OBJECT_NAME_MAX]);

#endif
