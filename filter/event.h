/*
 * The events of the filter protocol, one table; for request.c, which takes the
 * lines apart, protocol.c and ahead.c, which go through them, and event.c, which
 * acts on them, only.
 *
 * To have another event, add its line to the table.
 */
#ifndef TLSWARD_FILTER_EVENT_H
#define TLSWARD_FILTER_EVENT_H

#include "protocol.h"
#include "request.h"

#define CANNOT_TELL "451 4.3.5 Mail cannot be checked now, try again later"

enum kind {
	BEGINS,			/* report: a session begins */
	REPORT,			/* report on an open session */
	ASKS,			/* request that we decide */
	CHECKS,			/* request registered where listeners verify */
	PASSES			/* request that we never register for */
};

struct event {
	const char *name;
	size_t len;			/* of the name */
	enum kind kind;
	unsigned least;			/* parameters that there must be */
	enum section about;		/* whose rules its address meets; SEC_MAX: it has none */
	/* false: malformed, nothing was answered */
	bool (*handle)(struct filter *, struct session *, struct request *);
};

extern const struct event event_table[];
extern const size_t event_count;
/* NULL: none of that name among the requests, or reports. */
const struct event *event_find(bool filter, const char *name, size_t len);
bool event_is_data_line(const struct event *);	/* its answers are of another kind */

/* Sees to r->domain of a request about an address. */
void event_domain(struct request *);
/* Decides the request that waits, by what is known. */
void event_answer(struct filter *, struct pending *);

/* ---- what the handlers call, in protocol.c ---- */

/* The one answer to a request; reject makes a 451 of a reply that smtpd would not take. */
void answer_proceed(struct filter *, const struct request *);
void answer_reject(struct filter *, const struct request *, const char *reply);
void answer_data_line(struct filter *, const struct request *);

#endif
