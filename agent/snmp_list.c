#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cert.h"
#include "snmp_list.h"
#include "value.h"

#define DOTS ", ..."
#define GIVEN_MAX 8192		/* octets of a list that somebody wrote */

/* Adds an item; false, and dots instead, where there is no room for it and for dots. */
static bool
add(char *buf, size_t size, const char *item)
{
	size_t len = strlen(buf);

	if (len + strlen(item) + 2 + sizeof(DOTS) > size) {
		snprintf(buf + len, size - len, "%s", len > 0 ? DOTS : "...");
		return false;
	}
	snprintf(buf + len, size - len, "%s%s", len > 0 ? ", " : "", item);
	return true;
}

/* An item as value_item has it, in the form that is kept. */
static const char *
item_text(enum key key, const unsigned char *item, char buf[80])
{
	uint32_t n;

	switch (key_table[key].type) {
	case TYPE_PINS:
		return cert_pin_text(item + 1, item[0] == PIN_SPKI, buf);
	case TYPE_NUMBERS:
	case TYPE_WORDS:
		memcpy(&n, item, sizeof(n));
		return key_text(key, n, buf);
	default:
		return (const char *)item;
	}
}

const char *
list_text(const struct settings *s, const struct rule *r, enum key key, char *buf, size_t size)
{
	struct list list = settings_list(s, r, key);
	const unsigned char *pin;
	const char *name;
	uint32_t number;
	char text[80];

	buf[0] = '\0';
	if (key_table[key].type == TYPE_PINS)
		while ((pin = list_next_pin(&list)) != NULL &&
		    add(buf, size, cert_pin_text(pin + 1, pin[0] == PIN_SPKI, text)))
			;
	else if (key_table[key].type == TYPE_NAMES)
		while ((name = list_next_name(&list)) != NULL && add(buf, size, name))
			;
	else
		while (list_next_number(&list, &number) &&
		    add(buf, size, key_text(key, number, text)))
			;
	return buf;
}

const char *
list_normal(enum key key, const char *text, size_t len, char *out, size_t size,
    char why[LIST_WHY])
{
	unsigned char item[ITEM_SIZE];
	char copy[GIVEN_MAX + 1], buf[80];
	const char *rest = copy, *p, *wrong;
	size_t n;

	out[0] = '\0';
	snprintf(why, LIST_WHY, "is too long");
	if (len > GIVEN_MAX)
		return why;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (strlen(copy) != len) {
		snprintf(why, LIST_WHY, "has a NUL in it");
		return why;
	}
	while (value_split(&rest, &p, &n)) {
		if (value_item(key, p, n, item, &wrong) == 0) {
			snprintf(why, LIST_WHY, "has the item \"%.*s\", which %s", n > 255 ? 255 : (int)n,
			    p, wrong);
			return why;
		}
		if (!add(out, size, item_text(key, item, buf)))
			return why;
	}
	return NULL;
}

size_t
list_bits(enum key key)
{
	size_t n = 0;

	while (key_table[key].words[n] != NULL)
		n++;
	return (n + 7) / 8;
}

const char *
list_of_bits(enum key key, const unsigned char *bits, size_t len, char *buf, size_t size)
{
	buf[0] = '\0';
	for (size_t i = 0; key_table[key].words[i] != NULL; i++)
		if (i / 8 >= len || (bits[i / 8] & 0x80 >> i % 8) == 0)
			(void)add(buf, size, key_table[key].words[i]);
	return buf[0] == '\0' ? NULL : buf;
}

const char *
list_or_scalar(const struct settings *s, const struct rule *r, enum key key, char *buf,
    size_t size)
{
	char word[16];

	if (!rule_sets(r, key))
		return NULL;
	switch (key_table[key].type) {
	case TYPE_WORD:
	case TYPE_BOOL:
	case TYPE_TLS:
	case TYPE_NUMBER:
		snprintf(buf, size, "%s", key_text(key, settings_value(r, key), word));
		return buf;
	case TYPE_REF:
	case TYPE_PATH:
		return settings_text(s, r, key);
	default:
		return list_text(s, r, key, buf, size);
	}
}
