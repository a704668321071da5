/*
 * What a listener really shows: connects to it as a sending server would, does
 * EHLO and STARTTLS (or TLS at once, where it is an smtps listener), looks at
 * certificate, chain, version, cipher and whether a client certificate is asked
 * for, says EHLO again and QUIT.  No mail is begun, so nothing is counted.
 *
 * A probe is a state machine on a socket that never blocks, for a poll(2)
 * loop; probe_run() is that loop for who has nothing else to do.  It is not for
 * the path of a message.
 *
 * The server is not trusted: octets, lines, the size of its certificates and
 * the time are bounded, and what it says is kept as printable ASCII.  Nothing
 * is verified either: what is wrong is found by comparison.
 *
 * RFC 5321 (SMTP), RFC 3207 (STARTTLS), RFC 8314 (smtps), RFC 6066 (SNI).
 */
#ifndef TLSWARD_AGENT_PROBE_H
#define TLSWARD_AGENT_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "settings.h"

#define PROBE_CHAIN_MAX 16		/* certificates of a chain whose digests are kept */
#define PROBE_TARGETS_MAX 1024
#define PROBE_TIMEOUT_MS 10000		/* a good limit for one probe */
#define PROBE_PORT 25			/* where there is no [listener] */
#define PROBE_TEXT 512			/* a sentence */

/* ---- one probe ---- */

enum probe_speaks {
	PROBE_GUESS,		/* TLS at once on port 465, or where no greeting comes */
	PROBE_SMTP,		/* it greets in clear: wait for that */
	PROBE_SMTPS		/* TLS at once */
};

struct probe_target {
	struct addr listener;	/* "*": 127.0.0.1, then ::1 */
	char sni[NAME_SIZE];	/* the name to ask for; "": none */
	char certificate[72];	/* [certificate] that has this name; "" without sni */
	enum probe_speaks speaks;	/* what the last probe found, if it had no error */
};

struct probe_result {
	char error[PROBE_TEXT];	/* where the conversation ended and what to do; "": it did not */
	bool reachable;		/* it greeted as an SMTP server, or began a handshake */
	bool smtps;		/* TLS from the first octet */
	bool starttls;		/* offers it */
	char starttls_reply[128];	/* what it answered instead of 220; "": nothing such */
	bool tls;		/* a certificate was shown */
	bool asks;		/* for a client certificate */
	bool insists;		/* and ends the session without one */
	struct addr to, from;	/* the two ends, with ports; ADDR_NONE: not connected */
	char software[16];	/* "OpenSMTPD", "Exim", …, as it greets; "": unknown */
	enum tls_version version;
	char cipher[64];
	unsigned bits;
	size_t chain_len;	/* certificates it sent, the leaf included */
	unsigned char chain[PROBE_CHAIN_MAX][32];	/* SHA-256 of each DER, leaf first */
	char subject[256], issuer[256];			/* of the leaf, RFC 2253 form */
	time_t not_before, not_after;
	unsigned ms;		/* how long it took */
};

struct probe;

/* Begins; done perhaps at once.  NULL: out of memory. */
struct probe *probe_start(const struct probe_target *, int timeout_ms);
void probe_free(struct probe *);		/* NULL is fine; closes the connection */
/*
 * What to poll(2) for, and for how many ms at most, until the next step; the
 * descriptor changes between steps, and is -1 when done.
 */
int probe_fd(const struct probe *);
short probe_events(const struct probe *);
int probe_wait(const struct probe *);
/* Does what can be done now; true when done.  Bounded, whatever the server sends. */
bool probe_step(struct probe *);
const struct probe_result *probe_result(const struct probe *);

/* All of it; false: out of memory, and error says so. */
bool probe_run(const struct probe_target *, int timeout_ms, struct probe_result *);

/* ---- what is to be probed ---- */

/*
 * A target for each [listener] ("*:25" where there is none) and, for each name
 * that a [certificate] other than the listener's lists, one more with that name:
 * `names` bounds those of one certificate.  No more than PROBE_TARGETS_MAX, the
 * listeners before the names; *left (may be NULL): how many listeners and names
 * that leaves out.  free(3) *out.  Returns how many; 0: out of memory.
 */
size_t probe_targets(const struct settings *, size_t names, struct probe_target **out,
    size_t *left);
/* The same for one listener, which the settings may not have. */
size_t probe_targets_at(const struct settings *, const struct addr *listener, size_t names,
    struct probe_target **out);

/* ---- comparison with the settings ---- */

/* What the settings and the certificate's file want of a session from `from` to `to`. */
struct probe_expect {
	enum mode mode;
	enum client_cert client_cert;
	bool verifies;
	uint32_t min_tls, min_bits;
	char certificate[72];	/* [certificate NAME] to be shown; "": none is set */
	char file[4096];
	char file_error[256];	/* why the file cannot be compared; "": it can */
	char subject[256];	/* of the file's leaf */
	time_t not_before;
	size_t chain_len;	/* in the file, but for self-signed roots behind the leaf */
	unsigned char chain[PROBE_CHAIN_MAX][32];
};

/* Reads the certificate's file, and nothing else outside the settings. */
void probe_expect(const struct settings *, const struct probe_target *,
    const struct probe_result *, struct probe_expect *);

enum probe_finding {
	PROBE_UNREACHABLE,
	PROBE_NO_STARTTLS,	/* mode offer or require */
	PROBE_STARTTLS_REFUSED,	/* likewise: offered, but not done */
	PROBE_TLS_UNWANTED,	/* mode none */
	PROBE_TLS_FAILED,	/* the handshake or what came after it */
	PROBE_TLS_WEAK,		/* the best that it does is below min_tls or min_bits */
	PROBE_OTHER_CERTIFICATE,	/* than the file's: not restarted since it was renewed? */
	PROBE_CHAIN_SHORT,	/* the file has more of the chain */
	PROBE_EXPIRED,
	PROBE_NOT_YET,		/* not yet valid */
	PROBE_NOT_ASKING,	/* for a client certificate, which the settings want */
	PROBE_NOT_VERIFYING,	/* verifies = yes, but no certificate is fine too */
	PROBE_FILE,		/* the certificate's file cannot be read for comparison */
	PROBE_FINDINGS
};
extern const char *const probe_words[PROBE_FINDINGS];	/* "unreachable", "no-starttls", … */

struct probe_found {
	enum probe_finding what;
	char text[PROBE_TEXT];	/* what is wrong and what to do, without the listener */
};

/*
 * Pure.  `plain` is the result of the same listener without SNI, for a target
 * with it, else NULL; such a target has findings about its certificate only.
 * Returns how many of `found` are filled, in enum order; each kind at most once.
 */
size_t probe_compare(const struct probe_target *, const struct probe_expect *,
    const struct probe_result *, const struct probe_result *plain, time_t now,
    struct probe_found found[PROBE_FINDINGS]);

#endif
