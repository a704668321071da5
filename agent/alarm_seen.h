/*
 * The settings whose modes were told last, kept over a restart in
 * STATE_DIR/agent/seen: what changes while no agent runs is told by the next.
 *
 * It is a copy of the INI, not of its modes: an older agent's is read as any
 * INI is, and one that no longer can be is as good as none.
 */
#ifndef TLSWARD_AGENT_ALARM_SEEN_H
#define TLSWARD_AGENT_ALARM_SEEN_H

#include "hold.h"

/* Copies the INI if it still is the file `id`.  False: errno says why; 0: it is another. */
bool seen_save(const char *seen, const char *ini, const struct file_id *id);
/* A reference for the caller to give back; NULL: none that can be read. */
struct held *seen_load(const char *seen);

#endif
