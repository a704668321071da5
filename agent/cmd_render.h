/*
 * tlsward render: the servers' own configuration that the settings imply.
 */
#ifndef TLSWARD_AGENT_CMD_RENDER_H
#define TLSWARD_AGENT_CMD_RENDER_H

#include "settings.h"

/* Both print on stdout and return the exit status; ini: the settings' absolute path. */
int render_opensmtpd(const struct settings *, const char *ini);
int render_exim(const struct settings *, const char *ini, bool debian);

/* A comment of either server, folded; each line begins with "# ". */
void comment(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
