/*
 * The TLS of a probe: a client that takes and gives octets of the wire from and
 * to its caller, and so never touches a socket.  It accepts any certificate,
 * any version from TLS 1.0 on, and has no certificate of its own.
 */
#ifndef TLSWARD_AGENT_PROBE_TLS_H
#define TLSWARD_AGENT_PROBE_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "probe.h"

struct probe_tls;

/* sni "": none.  NULL: out of memory. */
struct probe_tls *probe_tls_new(const char *sni);
void probe_tls_free(struct probe_tls *);	/* NULL is fine */

bool probe_tls_feed(struct probe_tls *, const void *wire, size_t len);
size_t probe_tls_drain(struct probe_tls *, void *wire, size_t size);	/* 0: nothing to send */

/* 1: done, 0: more of the wire is needed, -1: failed. */
int probe_tls_handshake(struct probe_tls *);
/* Octets read; 0: more of the wire is needed, -1: the peer ended it. */
int probe_tls_read(struct probe_tls *, void *buf, size_t size);
bool probe_tls_write(struct probe_tls *, const void *buf, size_t len);
void probe_tls_close(struct probe_tls *);	/* close_notify, to be drained */

/* What is known so far: also after a failure. */
void probe_tls_result(struct probe_tls *, struct probe_result *);
/* Why the handshake failed or the session ended: a fragment, "" if unknown. */
void probe_tls_why(struct probe_tls *, char *buf, size_t size);

#endif
