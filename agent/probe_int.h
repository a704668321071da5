/*
 * Between the files of the probe: its state, and who may do what to it.
 *
 *	probe.c		the socket: connecting, octets in and out, time
 *	probe_talk.c	what is said and answered, in clear or over TLS
 *	probe_end.c	how it ends, and the sentences for that
 *	probe_tls.c	TLS, see probe_tls.h
 *	probe_compare.c	what is probed, and what was wrong
 */
#ifndef TLSWARD_AGENT_PROBE_INT_H
#define TLSWARD_AGENT_PROBE_INT_H

#include "probe.h"
#include "probe_tls.h"

#define PROBE_LINE 2048		/* RFC 5321 4.5.3.1.5 says 512 */

enum probe_state { CONNECT, GREETING, EHLO, STARTTLS, HANDSHAKE, QUIT, DONE };

struct probe {
	struct probe_target target;
	struct probe_result result;
	enum probe_state state;
	int fd;
	int64_t started, deadline;	/* ms */
	int64_t until;			/* of the state; 0: the deadline only */
	int timeout_ms;
	struct addr to[2];		/* addresses to try */
	size_t nto, at;
	bool patient;			/* it answered a guess in clear: wait for its greeting */
	bool heard;			/* an octet came */
	bool guessed;			/* no greeting came: TLS was begun instead */
	bool secured;			/* the handshake is done */
	struct probe_tls *tls;
	char line[PROBE_LINE];		/* what came and is no whole line yet */
	size_t len;
	size_t behind;			/* octets behind the line being taken */
	unsigned lines;
	size_t octets;
	char out[4096];			/* for the wire */
	size_t nout;
};

int64_t probe_now(void);		/* ms, monotonic */

/* ---- probe.c ---- */
void probe_dial(struct probe *);	/* connects to the next address that can be tried */
void probe_hang_up(struct probe *);
void probe_again(struct probe *);	/* a guess at TLS was wrong: once more, with patience */

/* ---- probe_talk.c ---- */
void probe_text(struct probe *, const char *text, size_t n);	/* of the server's, decrypted */
void probe_begin_tls(struct probe *, bool at_once);
void probe_ehlo(struct probe *);

/* ---- probe_end.c: each leaves the state DONE, but probe_lost where it tries again ---- */
void probe_finish(struct probe *);
void probe_fail(struct probe *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void probe_fail_connect(struct probe *, int error);
void probe_fail_timeout(struct probe *);
void probe_lost(struct probe *);	/* the connection, or its TLS, is gone */

#endif
