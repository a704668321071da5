/* The parts of tlsward status that have a file of their own. */
#ifndef TLSWARD_AGENT_CMD_STATUS_H
#define TLSWARD_AGENT_CMD_STATUS_H

#include "cmd_json.h"
#include "counters.h"
#include "settings.h"

/* A time in seconds since 1970, here, by strftime(3); returns buf, empty if it is none. */
const char *status_date(uint64_t seconds, const char *format, char buf[32]);
#define STATUS_WHEN "%Y-%m-%d %H:%M:%S"

/* What the agent's last probes found (probe_file.h); nothing where there are none. */
void put_probes(const char *state_dir);
void json_probes(struct json *, const char *state_dir);	/* an array "probes" */

/* Which notifications are switched off, if any; NULL: there are no settings. */
void put_notify(const struct settings *);
void json_notify(struct json *, const struct settings *);	/* "notify", and an array "notify_except" */

/* The last refusals of all front ends, the oldest first. */
void put_recent(const struct counters_all *);
void json_recent(struct json *, const struct counters_all *);	/* an array "recent" */

#endif
