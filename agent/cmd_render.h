/*
 * tlsward render: the servers' own configuration that the settings imply.
 */
#ifndef TLSWARD_AGENT_CMD_RENDER_H
#define TLSWARD_AGENT_CMD_RENDER_H

#include "settings.h"

/* Both print on stdout and return the exit status; ini: the settings' absolute path. */
int render_opensmtpd(const struct settings *, const char *ini);
int render_exim(const struct settings *, const char *ini, bool debian);

/* The one [certificate] that every session is shown; NULL: there are several, or none for some. */
const struct rule *one_certificate(const struct settings *);

/* A comment of either server, folded; each line begins with "# ". */
void comment(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
