/*
 * tlsward cert list: the files of pins, certificates of senders that rules name by
 * `certs`.  Each once, by its certificate that ends first and has no successor there.
 */
#ifndef TLSWARD_AGENT_CMD_CERT_PINS_H
#define TLSWARD_AGENT_CMD_CERT_PINS_H

#include "cmd_json.h"
#include "settings.h"

/* Prints them; nothing where there are none.  False: no memory, nothing printed. */
bool cert_pins_put(const struct settings *);
/* The member "pins" of the object that is open. */
bool cert_pins_json(const struct settings *, struct json *);

#endif
