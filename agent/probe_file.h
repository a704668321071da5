/*
 * What the agent's last round of probes found, in STATE_DIR/agent/probe, for
 * tlsward status and the agent's own tables: a line a probe, fields with a tab
 * between them, in the order of the targets.
 */
#ifndef TLSWARD_AGENT_PROBE_FILE_H
#define TLSWARD_AGENT_PROBE_FILE_H

#include <stdio.h>

#include "probe.h"

enum { PROBE_FINE = 2, PROBE_FAULT };		/* as tlswardListenerProbe has them */
enum { SHOWN_UNKNOWN = 1, SHOWN_SAME, SHOWN_OTHER };	/* as tlswardCertificateShown has them */

struct probe_seen {
	char listener[ADDR_TEXT];
	char sni[NAME_SIZE];		/* "": none was asked for */
	char certificate[72];		/* [certificate] that was to be shown; "": none */
	int64_t time;			/* seconds since 1970 */
	int state, shown;
	int tls;			/* 1: none, 2 to 5: 1.0 to 1.3 */
	int asks;			/* 1: unknown, 2: no, 3: request, 4: require */
	unsigned char fingerprint[32];
	bool certified;			/* fingerprint is of a certificate */
	char text[PROBE_TEXT];		/* what is wrong; "": nothing */
};

void probe_seen_set(struct probe_seen *, const struct probe_target *,
    const struct probe_expect *, const struct probe_result *,
    const struct probe_found *, size_t nfound, time_t now);

bool probe_file_put(FILE *, const struct probe_seen *);
/* free(3) *out; how many. 0 also where there is no such file. */
size_t probe_file_read(const char *path, struct probe_seen **out);

#endif
