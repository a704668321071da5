/* The first settings that tlsward setup writes. */
#ifndef TLSWARD_AGENT_CMD_SETUP_SAMPLE_H
#define TLSWARD_AGENT_CMD_SETUP_SAMPLE_H

#include <stddef.h>

/* The sample that was installed with this program, else a few lines.  free(3) it; NULL: out
   of memory. */
char *setup_sample(size_t *len);

#endif
