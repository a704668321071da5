/*
 * The private key that a NAME has already: that of a request, waiting in the
 * store, or that of its [certificate].  One of the store is read from the
 * folder that is open, never by its path: whoever owns the folder of the
 * settings could have put another there meanwhile.
 */
#ifndef TLSWARD_AGENT_CMD_CERT_OWN_H
#define TLSWARD_AGENT_CMD_CERT_OWN_H

#include <stdbool.h>
#include <openssl/evp.h>

#include "cmd_keystore.h"
#include "settings.h"

enum own { OWN_WAITING, OWN_PRESENT };

/* Is there one?  path: that of its file. */
bool own_key_there(const struct keystore *, const struct settings *, const char *name, enum own,
    char path[STORE_PATH]);
/* Reads it; NULL: said. */
EVP_PKEY *own_key(const struct keystore *, const struct settings *, const char *name, enum own);

#endif
