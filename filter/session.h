/*
 * The SMTP sessions that smtpd has open, by their id of 64 bits.
 *
 * Sessions live in slabs that are used again and never given back, so what is
 * held is bounded by the most that smtpd ever had open at once.  Finding,
 * adding and dropping cost the same whatever their number.  A session owns a
 * reference to the settings that it began under; what it waits for is others' to
 * drop before it is closed.
 */
#ifndef TLSWARD_FILTER_SESSION_H
#define TLSWARD_FILTER_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hold.h"
#include "received.h"

#define SESSION_ADDRESS 321	/* RFC 5321 4.5.3.1: 64 + '@' + 255, and the NUL */

struct pending;

/* The texts of a session; each is kept as far as it has room, cut at its end. */
enum text { TEXT_CIPHER, TEXT_HELO, TEXT_HOST, TEXT_SENDER, TEXT_SENDER_DOMAIN, TEXT_MAX };
#define TEXTS_SIZE (1 + 64 + NAME_SIZE + NAME_SIZE + SESSION_ADDRESS + NAME_SIZE)

struct session {
	uint64_t id;
	struct session *next;		/* in its bucket, or in the free list */
	struct held *held;		/* settings; NULL: there were none */
	struct addr client, listener;
	const struct rule *peer;	/* of these settings, that the sender likely meets; or NULL */
	bool authenticated;
	bool tls_unknown;		/* link-tls made no sense: it may be any */
	bool verifies;			/* its listener refuses clients without a good certificate */
	bool fed;			/* the feed has told of its certificate: */
	bool unchecked;			/* that smtpd did not verify it */
	bool has_fingerprint;
	bool waited;			/* for the feed, in vain: not again */
	bool damaged;			/* a line of the message could not be given back whole */
	struct received received;	/* of the message that is coming */
	struct pending *waiting;	/* its request that is not answered yet (pending.h) */
	unsigned char fingerprint[32];	/* SHA-256 of the certificate's DER */
	enum tls_version tls;
	unsigned bits;
	struct { uint16_t at, room; } part[TEXT_MAX];	/* of texts; at 0 there is none */
	uint16_t used;
	char text[17];			/* the id as smtpd wrote it */
	/* one behind the other: those of most sessions fill two cache lines, not one each */
	char texts[TEXTS_SIZE];
};

/*
 * "" where it was not kept.  TEXT_HOST is the kept form of the name that smtpd
 * greets with.  Good until a text of the session is kept next.
 */
static inline const char *
session_text(const struct session *s, enum text t)
{
	return s->texts + s->part[t].at;
}
void session_keep(struct session *, enum text, const char *, size_t len);

struct sessions {
	struct session **bucket;
	size_t buckets;			/* a power of two */
	size_t open;
	struct session *free;
	struct slab *slabs;
};

bool sessions_init(struct sessions *);		/* false: out of memory */
void sessions_free(struct sessions *);
struct session *session_find(const struct sessions *, uint64_t id);
/* It will be looked for soon: asks the memory for it, in two steps. */
void session_fetch_bucket(const struct sessions *, uint64_t id);
void session_fetch(const struct sessions *, uint64_t id);
/* A new session, all zero or empty but for the id; one of that id that is open is begun anew.  NULL: out of memory. */
struct session *session_open(struct sessions *, uint64_t id);
void session_close(struct sessions *, uint64_t id);	/* nothing where it is not open */

#define SUPERSEDED_MAX ((size_t)8 << 20)
/*
 * After a change: sessions go on under the settings that they began under, but
 * these are not kept beyond SUPERSEDED_MAX octets.  Those under the oldest go over
 * to what is in force.
 */
void sessions_renew(struct sessions *, struct hold *);

#endif
