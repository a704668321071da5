/*
 * The events of the filter protocol, one table; for protocol.c, which takes the
 * lines apart, and event.c, which acts on them, only.
 *
 * To have another event, add its line to the table.
 */
#ifndef TLSWARD_FILTER_EVENT_H
#define TLSWARD_FILTER_EVENT_H

#include "protocol.h"

#define CANNOT_TELL "451 4.3.5 Mail cannot be checked now, try again later"

/* A line from smtpd, taken apart: texts are in place and NUL-terminated. */
struct request {
	bool filter;			/* a request, else a report */
	unsigned version;		/* the N of 0.N */
	const char *session, *token;	/* as smtpd wrote them; token NULL in a report */
	uint64_t id;
	char *rest;			/* the parameters, still joined */
	size_t len;
	bool whole;			/* false: the line's end is missing */
};

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
	/* false: malformed, nothing was answered */
	bool (*handle)(struct filter *, struct session *, struct request *);
};

extern const struct event event_table[];
extern const size_t event_count;
bool event_is_data_line(const struct event *);	/* its answers are of another kind */

/* Decides the request that waits, by what is known. */
void event_answer(struct filter *, struct pending *);

/* ---- what the handlers call, in protocol.c ---- */

/* The one answer to a request; reject makes a 451 of a reply that smtpd would not take. */
void answer_proceed(struct filter *, const struct request *);
void answer_reject(struct filter *, const struct request *, const char *reply);
void answer_data_line(struct filter *, const struct request *);

/* The parameter up to the next '|', which is cut off; NULL where there is no more. */
char *request_field(struct request *);
/* The last parameter, cut off from those before it; NULL: it is the only one. */
char *request_last_field(struct request *, size_t *len);
/* A number of at most four digits that takes all of len octets. */
bool request_digits(const char *text, size_t len, unsigned *out);

#endif
