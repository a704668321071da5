/*
 * A certificate that takes the place of another one under the same name.
 */
#ifndef TLSWARD_AGENT_CMD_CERT_REPLACE_H
#define TLSWARD_AGENT_CMD_CERT_REPLACE_H

#include <stdbool.h>
#include <openssl/x509.h>

#include "settings.h"

/* "the certificate for mx.example.org and 1 more, until 2027-01-31", of [certificate NAME]'s
   file as it is now; "" where there is none, or none that can be read.  Returns buf. */
#define REPLACE_TEXT 400
const char *replace_text(const struct settings *, const char *name, char buf[REPLACE_TEXT]);

/*
 * May the leaf take its place?  False: a rule shows the present one, and a name
 * of that, or of the section's `names`, is none that the leaf covers; it goes
 * to lost.
 */
#define REPLACE_NAME 256
bool replace_covers(const struct settings *, const char *name, X509 *leaf,
    char lost[REPLACE_NAME]);

#endif
