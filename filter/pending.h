/*
 * Requests that wait for the certificate's fingerprint, at most one a session.
 *
 * Each waits equally long, so the list is in the order of the deadlines by
 * itself: adding, dropping and finding what is due cost the same whatever
 * their number, which is bounded by that of the open sessions.
 */
#ifndef TLSWARD_FILTER_PENDING_H
#define TLSWARD_FILTER_PENDING_H

#include <stdbool.h>
#include <stddef.h>

#include "session.h"

#define PENDING_MS 1000			/* how long a request waits */

struct pending {
	struct pending *prev, *next;
	struct session *session;
	long long deadline;		/* monotonic ms */
	bool rcpt;			/* RCPT TO, else MAIL FROM */
	char token[17];			/* as smtpd wrote it */
	char recipient[SESSION_ADDRESS];	/* RCPT TO only; for the log: cut at its end */
	char domain[NAME_SIZE];		/* the recipient's, kept form */
};

struct pending_list {
	struct pending *first, *last;
};

/* Appends one for the session, which must have none; NULL: out of memory. */
struct pending *pending_add(struct pending_list *, struct session *, long long now);
/* What it waits for has come: it is due at once. */
void pending_hurry(struct pending_list *, struct pending *);
/* The first whose deadline has come, or NULL. */
struct pending *pending_due(const struct pending_list *, long long now);
void pending_drop(struct pending_list *, struct pending *);	/* NULL is fine */
/* Milliseconds until the first is due; -1: none waits. */
long long pending_left(const struct pending_list *, long long now);

#endif
