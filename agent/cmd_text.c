/*
 * Settings for commands: reading them, and the texts of names and values.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cert.h"
#include "cmd.h"
#include "compiled.h"
#include "keys.h"

#define TOLD_MAX 20		/* names of sections in a message */

struct settings *
cmd_settings(const struct cmd *c)
{
	const struct compiled form = { .map = true, .save = true };

	return compiled_read(c->ini, &form, NULL, put_report, stderr);
}

int
unknown_section(const struct cmd *c, const char *word)
{
	char hint[HINT_SIZE];

	return cmd_usage(c, "there is no section \"%.64s\"%s\nSections are server, listener, "
	    "client, domain, peer, certificate, ca and agent.", word,
	    meant(word, section_words, SEC_MAX, hint));
}

int
unknown_key(const struct cmd *c, enum section section, const char *word)
{
	const char *words[KEY_MAX];
	enum key known = key_find(word), k;
	char hint[HINT_SIZE];
	size_t n = 0, i;
	int column;

	for (k = 0; k < KEY_MAX; k++)
		if (key_allowed(k, section))
			words[n++] = key_table[k].name;
	if (known == KEY_MAX)
		put_message(stderr, "tlsward %s: there is no setting \"%.64s\"%s\n", c->name, word,
		    meant(word, words, n, hint));
	else
		fprintf(stderr, "tlsward %s: a [%s] takes no %s\n", c->name,
		    section_words[section], key_table[known].name);
	column = fprintf(stderr, "Settings of a [%s]:", section_words[section]);
	for (i = 0; i < n; i++) {
		if (column + (int)strlen(words[i]) > 76)
			column = fprintf(stderr, "\n ") - 1;
		column += fprintf(stderr, " %s", words[i]);
	}
	fprintf(stderr, "\n");
	return EXIT_USAGE;
}

void
tell_sections(const struct settings *s, enum section section)
{
	const struct rule *r;
	size_t count = settings_count(s, section);

	for (size_t i = 0; i < TOLD_MAX && (r = settings_at(s, section, i)) != NULL; i++)
		put_message(stderr, "%s%s", i == 0 ? "There are: " : ", ", settings_name(s, r));
	if (count > TOLD_MAX)
		fprintf(stderr, " and %zu more", count - TOLD_MAX);
	if (count > 0)
		fprintf(stderr, "\n");
	else
		fprintf(stderr, "There is no [%s] at all.\n", section_words[section]);
}

const char *
utc_text(time_t t, enum utc form, char buf[UTC_TEXT])
{
	static const char *const formats[] = { "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ" };
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(buf, UTC_TEXT, formats[form], &tm) == 0)
		snprintf(buf, UTC_TEXT, "?");
	return buf;
}

bool
read_number(const char *text, unsigned lo, unsigned hi, unsigned *out)
{
	unsigned long n;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (*end != '\0' || errno != 0 || n < lo || n > hi)
		return false;
	*out = (unsigned)n;
	return true;
}

static void
put_list(FILE *f, const struct settings *s, const struct rule *r, enum key k)
{
	struct list list = settings_list(s, r, k);
	const unsigned char *pin;
	const char *name, *comma = "";
	char text[80];
	uint32_t number;

	switch (key_table[k].type) {
	case TYPE_NAMES:
		for (; (name = list_next_name(&list)) != NULL; comma = ", ")
			fprintf(f, "%s%s", comma, name);
		break;
	case TYPE_PINS:
		for (; (pin = list_next_pin(&list)) != NULL; comma = ", ")
			fprintf(f, "%s%s", comma, cert_pin_text(pin + 1, pin[0] == PIN_SPKI, text));
		break;
	default:
		for (; list_next_number(&list, &number); comma = ", ")
			fprintf(f, "%s%s", comma, key_text(k, number, text));
		break;
	}
}

static void
put_value(FILE *f, const struct settings *s, const struct rule *r, enum key k)
{
	const char *text;
	char number[16];

	switch (key_table[k].type) {
	case TYPE_WORD:
	case TYPE_BOOL:
	case TYPE_TLS:
	case TYPE_NUMBER:
		fputs(key_text(k, settings_value(r, k), number), f);
		break;
	case TYPE_REF:
	case TYPE_PATH:
		if ((text = settings_text(s, r, k)) != NULL)
			fputs(text, f);
		break;
	case TYPE_NAMES:
	case TYPE_PINS:
	case TYPE_NUMBERS:
	case TYPE_WORDS:
		put_list(f, s, r, k);
		break;
	}
}

char *
setting_text(const struct settings *s, const struct rule *r, enum key k)
{
	const char *preset = key_table[k].preset_text;
	char *text = NULL;
	size_t len;
	FILE *f;

	if ((f = open_memstream(&text, &len)) == NULL)
		return NULL;
	if (rule_sets(r, k))
		put_value(f, s, r, k);
	else if (preset != NULL)
		fputs(preset, f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

const char *
section_text(enum section section, const char *name, char buf[SECTION_TEXT])
{
	snprintf(buf, SECTION_TEXT, "[%s%s%s]", section_words[section],
	    name[0] != '\0' ? " " : "", name);
	return buf;
}

unsigned
setting_line(const struct settings *s, const struct rule *r, enum key k)
{
	if (rule_sets(r, k))
		return settings_line(s, r, k);
	/* mode = none implies client_cert = none */
	return rule_sets(r, KEY_MODE) ? settings_line(s, r, KEY_MODE) : r->line;
}
