/*
 * What is known of a session's client certificate in smtpd, which tells its
 * filters nothing about it.  Three sources:
 *
 *   settings	`verifies = yes` of the listener: a client that got through the
 *		handshake there has a certificate that the listener's ca signed
 *   Received	smtpd's own header field at DATA says whether it verified: the
 *		cross-check of the first (filter/received.h)
 *   feed	the fingerprint, from smtpd's log (filter/feed.h)
 */
#ifndef TLSWARD_FILTER_EVIDENCE_H
#define TLSWARD_FILTER_EVIDENCE_H

#include "protocol.h"

/* Does any listener say that it verifies, so that there is something to know? */
bool evidence_wanted(const struct settings *);	/* false for NULL */

void evidence_begin(struct filter *, struct session *);	/* takes what the feed told before */
/* An entry of the feed, for feed_read; arg is the filter.  A request that waits for it becomes due. */
void evidence_told(void *arg, const struct feed_entry *);
void evidence_end(struct filter *, struct session *);	/* also drops its request that waits */

/* Fills *cert.  It is good until the next call, and as long as the session. */
void evidence_facts(struct filter *, const struct session *, struct cert_facts *cert);

/* Follow a message through the cross-check, where it is registered. */
void evidence_message(const struct filter *, struct session *);	/* MAIL FROM: one may come */
void evidence_line(struct session *, const char *line, size_t len, bool whole);
/* The end of the message: *v as policy_commit has it.  False: nothing was found wrong. */
bool evidence_commit(struct filter *, struct session *, struct facts *, struct verdict *v);

#endif
