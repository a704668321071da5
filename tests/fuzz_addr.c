/*
 * libFuzzer: addresses, sockets, listeners, networks and domain names as text.
 * What is taken is taken again, and is the same, in the form that we print.
 */
#include "fuzz_settings.h"

static void
addresses(const char *text, size_t len)
{
	struct addr a, b;
	char buf[ADDR_TEXT];

	if (addr_ip(text, len, &a)) {
		addr_format_ip(&a, buf);
		must(addr_ip(buf, strlen(buf), &b) && addr_cmp(&a, &b) == 0);
	} else {
		must(a.family == ADDR_NONE);
	}
	if (addr_listener(text, len, &a)) {
		addr_format_listener(&a, buf);
		must(addr_listener(buf, strlen(buf), &b) && addr_cmp(&a, &b) == 0);
	} else {
		must(a.family == ADDR_NONE);
	}
	if (addr_network(text, len, &a)) {
		addr_format_network(&a, buf);
		must(addr_network(buf, strlen(buf), &b) && addr_cmp(&a, &b) == 0);
		must(addr_within(&a, &a));
	} else {
		must(a.family == ADDR_NONE);
	}
	if (addr_socket(text, len, &a)) {
		addr_format_ip(&a, buf);
		must(a.family == ADDR_LOCAL || (addr_ip(buf, strlen(buf), &b) && b.family == a.family &&
		    memcmp(a.ip, b.ip, sizeof(a.ip)) == 0));
	} else {
		must(a.family == ADDR_NONE);
	}
}

static void
names(const char *text, size_t len)
{
	char name[NAME_SIZE], again[NAME_SIZE];

	for (int suffix = 0; suffix < 2; suffix++) {
		if (name_normal(text, len, suffix != 0, name) != NULL) {
			must(name[0] == '\0');
			continue;
		}
		must(strlen(name) < NAME_SIZE && name[0] != '\0');
		must(name_normal(name, strlen(name), suffix != 0, again) == NULL);
		must(strcmp(name, again) == 0);
		if (name[0] != '.')
			must(name_covers(name, strlen(name), name));
	}
	if (name_of_address(text, len, name)) {
		const char *legal = name[0] == '-' ? name + 2 : name;

		must(name_normal(legal, strlen(legal), false, again) == NULL && strcmp(legal, again) == 0);
	} else
		must(name[0] == '\0');
	(void)name_covers(text, len, "*.partner.example");
	(void)name_covers(text, len, ".partner.example");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size > 0 ? size : 1);	/* no NUL behind: an end that ASan sees */

	must(text != NULL);
	memcpy(text, data, size);
	addresses(text, size);
	names(text, size);
	free(text);
	return 0;
}
