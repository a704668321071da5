/* libFuzzer: an INI; what is taken can be asked anything, and its image says the same. */
#include "fuzz_settings.h"

static void
reported(void *arg, enum severity severity, const char *path, unsigned line, const char *text)
{
	(void)arg;
	(void)line;
	must(severity <= SEV_WARNING && strcmp(path, "fuzz") == 0);
	must(text[0] != '\0' && strchr(text, '\n') == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size > 0 ? size : 1);	/* no NUL behind: an end that ASan sees */
	struct settings *s, *again;
	void *image;
	size_t len;

	must(text != NULL);
	memcpy(text, data, size);
	s = settings_parse(text, size, "fuzz", NULL, true, reported, NULL);
	if (s != NULL) {
		must((image = settings_image(s, &len)) != NULL);
		must((again = settings_adopt(image, len)) != NULL);
		must(ask(s) == ask(again));
		settings_free(again);
		settings_free(s);
	}
	free(text);
	return 0;
}
