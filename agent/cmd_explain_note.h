/* What tlsward explain adds to a verdict that is not the same on both servers. */
#ifndef TLSWARD_AGENT_CMD_EXPLAIN_NOTE_H
#define TLSWARD_AGENT_CMD_EXPLAIN_NOTE_H

#include "policy.h"

/*
 * A sentence, or NULL where there is nothing to say of the verdict at MAIL or,
 * where facts have a recipient, at RCPT.  Both return buf.
 */
#define NOTE_SIZE 320
/* What OpenSMTPD answers instead, at a listener that does not verify. */
const char *note_smtpd(const struct settings *, const struct facts *, const struct verdict *,
    char buf[NOTE_SIZE]);
/* That there are pins as well, and none of them matched. */
const char *note_pins(const struct settings *, const struct facts *, const struct verdict *,
    char buf[NOTE_SIZE]);

#endif
