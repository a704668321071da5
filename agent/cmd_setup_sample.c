/* See cmd_setup_sample.h. */
#include <stdio.h>
#include <stdlib.h>

#include "cmd_setup_sample.h"

#define SAMPLE TLSWARD_PREFIX "/share/doc/tlsward/tlsward.ini"

static const char first_ini[] =
    "; TLS rules for incoming mail: tlsward.ini(5).\n"
    "; `tlsward check` after each edit; both servers obey with the next session.\n"
    "\n"
    "[server]\n"
    "mode = offer            ; none | offer | require\n"
    "client_cert = none      ; none | request | require\n"
    "min_tls = 1.2\n"
    "enforce = yes           ; yes | report\n";

char *
setup_sample(size_t *len)
{
	char *text = NULL, buf[4096];
	FILE *in, *out;
	size_t n;

	if ((out = open_memstream(&text, len)) == NULL)
		return NULL;
	if ((in = fopen(SAMPLE, "re")) != NULL) {
		while ((n = fread(buf, 1, sizeof(buf), in)) > 0)
			fwrite(buf, 1, n, out);
		fclose(in);
	}
	if (ftell(out) <= 0)
		fputs(first_ini, out);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
