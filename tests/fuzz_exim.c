/*
 * libFuzzer: what Exim hands to the module.  Lines: the session, TLS, the
 * certificate, the sender, the recipient.  Facts that are made of it can be decided.
 */
#include "exim_facts.h"
#include "fuzz_settings.h"

enum { SESSION, TLS, CERTIFICATE, SENDER, RECIPIENT, FIELDS };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct settings *s;
	struct exim_facts x;
	char *text = malloc(size + 1), *rest = text, *field[FIELDS];
	const char *wrong;

	must(text != NULL);
	if (s == NULL)
		s = fuzz_settings();
	memcpy(text, data, size);
	text[size] = '\0';
	for (size_t i = 0; i < FIELDS; i++) {
		field[i] = rest != NULL ? strsep(&rest, "\n") : NULL;
		field[i] = strdup(field[i] != NULL ? field[i] : "");	/* an end that ASan sees */
		must(field[i] != NULL);
	}
	if ((wrong = exim_facts_session(&x, field[SESSION], 4711)) == NULL &&
	    (wrong = exim_facts_tls(&x, field[TLS], field[CERTIFICATE])) == NULL) {
		exim_facts_envelope(&x, field[SENDER], field[RECIPIENT]);
		fuzz_decide(s, &x.facts);
		fuzz_decide(NULL, &x.facts);
	} else {
		must(wrong[0] != '\0');
	}
	for (size_t i = 0; i < FIELDS; i++)
		free(field[i]);
	free(text);
	return 0;
}
