/*
 * The feed of client-certificate fingerprints from smtpd's log.
 *
 * smtpd tells its filters nothing about a certificate, but logs, before the
 * next command of the session:
 *   SESSION smtp cert-check result="verified" fingerprint="SHA256:<64 hex>"
 * rsyslog or a journal reader hands these lines over through a FIFO or a unix
 * datagram socket (conf/rsyslog-tlsward.conf, conf/tlsward-feed.service).
 * Lines may come late, twice, out of order or not at all; whoever asks gets a
 * fingerprint or nothing.  The store is bounded: the oldest entry goes first.
 *
 * Other lines of the log quote what clients send, so a line counts only where
 * smtpd's message is this one from its first octet to its last, bare or behind
 * a header that ends in "smtpd[PID]: "; and the first entry of a session stays.
 * One process reads a feed at a time.
 */
#ifndef TLSWARD_FILTER_FEED_H
#define TLSWARD_FILTER_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct feed_entry {
	uint64_t session;		/* smtpd's id of the session */
	bool verified;			/* result="verified" */
	bool has_fingerprint;
	unsigned char fingerprint[32];
};

/* Parses one log line; false: not such a line. */
bool feed_parse(const char *line, size_t len, struct feed_entry *);

struct feed;
/*
 * Opens the feed in a folder of the filter's own, making what is not there:
 * DIR/feed, a FIFO, and DIR/feed.sock, a datagram socket, both 0600.  NULL, with a
 * sentence in why, where neither can be had; where only one is missing, why has
 * a sentence too, else it is "".
 */
struct feed *feed_open(const char *dir, char *why, size_t whysize);
void feed_close(struct feed *);
bool feed_current(const struct feed *);	/* are both still what their names lead to? */
enum { FEED_FIFO, FEED_SOCKET, FEED_FDS };
int feed_fd(const struct feed *, int which);	/* to poll for reading; -1: there is none */
/* Reads what there is without blocking; got is called for each new entry, once it is kept. */
void feed_read(struct feed *, void (*got)(void *arg, const struct feed_entry *), void *arg);
/* The entry of a session, or NULL; it is forgotten by feed_forget. */
const struct feed_entry *feed_find(const struct feed *, uint64_t session);
void feed_forget(struct feed *, uint64_t session);

#endif
