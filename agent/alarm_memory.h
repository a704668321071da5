/*
 * What was told already, in STATE_DIR/agent/state: lines of fields with a tab
 * between them.  A line that cannot be read is left out: at worst something is
 * told again.
 */
#ifndef TLSWARD_AGENT_ALARM_MEMORY_H
#define TLSWARD_AGENT_ALARM_MEMORY_H

#include "alarm_detect.h"
#include "pinned.h"

#define MEMORY_MAX 10000		/* of each kind */

/* For SEC_PINS, which has no word of its own. */
#define MEMORY_PINS "pins"

/* Behind the name of a [ca]: its CRL's. */
#define MEMORY_CRL " crl"

struct told_rate {
	enum section section;
	char name[NAME_SIZE];
};

struct alarm_memory {
	struct cert_memory *cert;
	struct listener_memory *listener;
	struct told_rate *rate;		/* those above their rate */
	size_t ncert, nlistener, nrate;
	bool rejected;			/* the settings are, and it was told */
	bool changed;			/* since it was saved */
	bool full;			/* something found no place: not kept over a restart */
};

void memory_free(struct alarm_memory *);
void memory_load(struct alarm_memory *, const char *path);
bool memory_save(struct alarm_memory *, const char *path);	/* false: errno says why */

/* What is known of it, made where nothing is.  NULL: no memory, or too many. */
struct cert_memory *memory_cert(struct alarm_memory *, enum section, const char *name);
struct listener_memory *memory_listener(struct alarm_memory *, const char *listener,
    const char *sni);

/* Goes: certificates and rules that the settings do not have any more, files of pins aside. */
void memory_keep(struct alarm_memory *, const struct settings *);
/* Files of pins that are not in the list. */
void memory_keep_pins(struct alarm_memory *, const struct pinned *);
/* Listeners and names that were not `here`. */
void memory_keep_listeners(struct alarm_memory *);

/*
 * Those kinds (bit k: enum alarm k) are on: what was noticed while they were off counts as
 * untold.  Not of refusals, which are the rate_memory's.
 */
void memory_switched_on(struct alarm_memory *, uint32_t kinds);
/* That event did not leave the queue, its kind is off: what it told of is untold. */
void memory_unsaid(struct alarm_memory *, const struct event *);

bool memory_rate(const struct alarm_memory *, enum section, const char *name);
void memory_set_rate(struct alarm_memory *, enum section, const char *name, bool told);

#endif
