/*
 * Asks settings everything there is to ask, for tests of images that may be
 * damaged: the sanitizers see what is read.  cmocka.h comes before it.
 */
#ifndef TLSWARD_TESTS_ASK_SETTINGS_H
#define TLSWARD_TESTS_ASK_SETTINGS_H

#include <string.h>

#include "image.h"

static size_t
ask_rule(const struct settings *s, const struct rule *r)
{
	const unsigned char *pin;
	const char *text;
	uint32_t number;
	struct list l;
	size_t sum = strlen(settings_name(s, r));
	char buf[16];

	assert_true(r->section < SEC_MAX);
	for (enum key k = 0; k < KEY_MAX; k++) {
		sum += settings_value(r, k) + settings_line(s, r, k);
		if (scalar_slot(k) != RULE_SCALARS)
			assert_string_not_equal(key_text(k, settings_value(r, k), buf), "?");
		if ((text = settings_text(s, r, k)) != NULL)
			sum += strlen(text);
		for (l = settings_list(s, r, k); (text = list_next_name(&l)) != NULL;)
			sum += strlen(text);
		for (l = settings_list(s, r, k); (pin = list_next_pin(&l)) != NULL;)
			sum += pin[32];
		for (l = settings_list(s, r, k); list_next_number(&l, &number);)
			sum += number;
	}
	return sum;
}

static size_t
ask(const struct settings *s)
{
	static const char *const names[] = {
		"", ".", "a.example", "x.y.b.example", "10.0.0.0/8", "*:25", "mx", "partners"
	};
	const struct rule *r;
	struct addr a;
	size_t sum = strlen(settings_path(s)) + (size_t)settings_generation(s);
	uint32_t lo, hi;

	sum += (size_t)settings_id(s)->size;
	for (int i = 0; i < SEC_MAX; i++) {
		enum section sec = (enum section)i;

		for (size_t n = 0; n < settings_count(s, sec); n++)
			if ((r = settings_at(s, sec, n)) != NULL)
				sum += ask_rule(s, r);
		for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
			if ((r = settings_find(s, sec, names[n])) != NULL)
				sum += ask_rule(s, r);
			if ((r = settings_match(s, sec, names[n])) != NULL)
				sum += ask_rule(s, r);
			sum += settings_lower(s, sec, names[n], n % 2 == 0);
		}
		for (enum key k = 0; k < KEY_MAX; k++)
			sum += settings_range(s, sec, k, &lo, &hi) + lo + hi;
		sum += settings_own_trust(s, sec);
	}
	for (int n = 0; n < 8; n++) {
		const char *text = n % 2 == 0 ? "10.1.2.3:25" : "[2001:db8::1]:25";

		assert_true(addr_socket(text, strlen(text), &a));
		sum += settings_listener(s, &a) != NULL;
		sum += settings_client(s, &a) != NULL;
	}
	return sum;
}

#endif
