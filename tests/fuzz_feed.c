/* libFuzzer: a line of smtpd's log, as the feed takes it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = malloc(size > 0 ? size : 1);	/* no NUL behind: an end that ASan sees */
	struct feed_entry e;

	if (line == NULL)
		return 0;
	memcpy(line, data, size);
	memset(&e, 0xff, sizeof(e));
	if (feed_parse(line, size, &e) && e.has_fingerprint &&
	    memmem(line, size, "cert-check", 10) == NULL)
		abort();
	free(line);
	return 0;
}
