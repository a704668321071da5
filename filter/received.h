/*
 * What smtpd's own Received header field says of the session's certificate.
 *
 * smtpd puts it before what the client sends, so a filter of data lines meets
 * it first:
 *	Received: from HELO (RDNS [ADDRESS])
 *		by NAME (OpenSMTPD) with ESMTPS id 1a2b3c4d (TLSv1.3:CIPHER:256:YES)
 * where the last word tells whether the listener verifies.  HELO and RDNS are
 * the client's to choose and stand in the first line; only the second is read.
 * Nothing after it is looked at, so that nothing in the message can speak for
 * smtpd.  A line `X-Spam: Yes` may come first, from another filter's verdict.
 */
#ifndef TLSWARD_FILTER_RECEIVED_H
#define TLSWARD_FILTER_RECEIVED_H

#include <stdbool.h>
#include <stddef.h>

enum received_word {
	RECEIVED_SILENT,		/* no such field, or nothing about TLS in it */
	RECEIVED_NO,
	RECEIVED_YES
};

struct received {
	unsigned char at;		/* 0: nothing more is looked at */
	unsigned char word;		/* enum received_word, of the message so far */
};

void received_begin(struct received *);		/* a message will come */
static inline bool
received_looks(const struct received *r)
{
	return r->at != 0;
}
/* The next line of the message, while received_looks. */
void received_line(struct received *, const char *line, size_t len);

#endif
