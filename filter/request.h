/*
 * A line from smtpd, taken apart: what kind it is, its session, its parameters.
 * Pure: nothing is known here of the filter or of what a line does.
 *
 * The line belongs to the caller and has to stay as long as the request.  It is
 * cut only where a parameter is taken off, and nothing beyond its NUL is read.
 */
#ifndef TLSWARD_FILTER_REQUEST_H
#define TLSWARD_FILTER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "name.h"

#define PROTOCOL_OLDEST 5		/* 0.5; a later minor version is taken for the newest */
#define PROTOCOL_NEWEST 7
#define ID_DIGITS 16

enum line_kind { LINE_STRANGE, LINE_CONFIG, LINE_REPORT, LINE_FILTER };

struct event;
struct rule;

struct request {
	enum line_kind kind;
	bool filter;			/* a request, else a report */
	bool whole;			/* false: the line's end is missing, or it holds a NUL */
	bool holds_nul;
	bool foreign;			/* of another subsystem than smtp-in */
	char *line;			/* all of it, for complaints */
	size_t line_len;
	const char *trouble;		/* what is wrong with it; NULL: nothing yet */
	const struct event *event;	/* NULL: none that we know */
	unsigned version;		/* the N of 0.N */
	/* as smtpd wrote them, at most ID_DIGITS hexadecimal digits; without a NUL */
	const char *session, *token;	/* NULL: not understood; a report has no token */
	size_t session_len, token_len;
	uint64_t id;			/* the session's number */
	char *rest;			/* the parameters, still joined; NULL: there are none */
	size_t len;
	/* by ahead.c: the domain's hash, the rule that it will likely meet, and the session's peer */
	uint64_t hash;
	const struct rule *likely, *peer;
	char domain[NAME_SIZE];		/* of the address that it is about; "": none known */
};

void request_parse(struct request *, char *line, size_t len, bool whole);

/* Are there that many parameters? */
bool request_enough(const struct request *, unsigned least);
/* The parameter up to the next '|', which is cut off; NULL where there is no more. */
char *request_field(struct request *);
/* The last parameter, cut off from those before it; NULL: it is the only one. */
char *request_last_field(struct request *, size_t *len);
/* A number of at most four digits that takes all of len octets. */
bool request_digits(const char *text, size_t len, unsigned *out);
/* The line as far as size goes, its cut parameters joined again; for a complaint.  Returns how much. */
size_t request_head(const struct request *, char *buf, size_t size);

#endif
