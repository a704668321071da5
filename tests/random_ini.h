/*
 * Texts of INIs by chance, and changes of them as edit.h or an editor makes them:
 * mostly right.  The same in each run.  Texts are the caller's, free(3).
 */
#ifndef TLSWARD_TESTS_RANDOM_INI_H
#define TLSWARD_TESTS_RANDOM_INI_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "edit.h"

/* Below n. */
static uint32_t
any(uint32_t n)
{
	static uint64_t state = 1;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % n;
}

static const char *const names[] = { "a.example", ".a.example", "b.example", "c.example" };

static const char *
section_name(enum section sec, uint32_t i)
{
	static const char *const listeners[] = { "*:25", "192.0.2.1:25", "[2001:db8::7]:25", "192.0.2.10:25" };
	static const char *const clients[] = { "192.0.2.0/24", "10.0.0.0/8", "2001:db8::/32", "192.0.2.0/28" };
	static const char *const words[] = { "a", "b", "c", "d" };

	switch (sec) {
	case SEC_SERVER:
	case SEC_AGENT:
		return "";
	case SEC_LISTENER:
		return listeners[i];
	case SEC_CLIENT:
		return clients[i];
	case SEC_CERTIFICATE:
	case SEC_CA:
		return words[i];
	default:
		return names[i];
	}
}

static const char *
random_value(enum key k)
{
	static const char *const values[KEY_MAX][4] = {
		[KEY_MODE] = { "none", "offer", "require", "Require" },
		[KEY_CLIENT_CERT] = { "none", "none", "request", "require" },
		[KEY_MIN_TLS] = { "1.0", "1.2", "1.3", "1.4" },
		[KEY_MIN_BITS] = { "0", "112", "256", "4096" },
		[KEY_ENFORCE] = { "yes", "report", "yes", "report" },
		[KEY_AUTHENTICATED] = { "exempt", "enforce", "exempt", "enforce" },
		[KEY_CERTIFICATE] = { "a", "a", "a", "b" },
		[KEY_CA] = { "a", "a", "a", "b" },
		[KEY_CERT_NAMES] = { "z.example", "z.example, .y.example", "\xc3\xa4.example", "a.example,b.example" },
		[KEY_NAMES] = { "z.example", "z.example, .y.example", "*.a.example", "a.example,b.example" },
		[KEY_FINGERPRINTS] = {
		    "SHA256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
		    "SPKI-SHA256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
		    "SHA256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff, "
		    "SHA256:10112233445566778899aabbccddeeff00112233445566778899aabbccddeeff, "
		    "SPKI-SHA256:20112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
		    "SHA256:00" },
		[KEY_PURPOSE] = { "any", "client", "any", "client" },
		[KEY_AGENTX] = { "/run/agentx", "tcp:localhost:705", "/var/agentx/master", "/x" },
		[KEY_EXPIRY_DAYS] = { "30, 7", "1", "60,30 , 14", "0" },
		[KEY_PROBE_INTERVAL] = { "0", "7200", "65535", "65536" },
		[KEY_NOTIFY_RATE] = { "1", "7", "60", "0" },
		[KEY_NOTIFY_EXCEPT] = { "mode-changed", "refusals-high,listener-fine", "listener-fault", "fault" },
		[KEY_REFUSAL_RATE] = { "0", "100", "7", "x" },
	};
	const char *v = values[k][any(4)];

	if (v != NULL)
		return v;
	if (key_table[k].type == TYPE_PATH)
		return any(2) == 0 ? "/a.pem" : "/a/longer/path.pem";
	return any(2) == 0 ? "yes" : "no";
}

static enum section
random_section(void)
{
	return any(3) == 0 ? (enum section)any(SEC_MAX) : any(2) == 0 ? SEC_DOMAIN : SEC_PEER;
}

/* Sections in any order, lines written in any way. */
static char *
random_text(void)
{
	static const char *const between[] = { "\n", "; mode = none\n", "  # a comment\n", "\n\n" };
	const char *eol = any(4) == 0 ? "\r\n" : "\n", *value;
	enum section sec;
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	fprintf(f, "%s[ca a]%sfile = /a%s[certificate a]%skey = /k%sfile = /f%s",
	    any(5) == 0 ? "\xef\xbb\xbf" : any(5) == 0 ? "; first\n" : "", eol, eol, eol, eol, eol);
	for (unsigned used = 0, n = any(10); n > 0; n--) {
		uint32_t i = any(4);
		unsigned bit;

		sec = random_section();
		bit = section_named(sec) ? (unsigned)sec * 4 + i : (unsigned)sec * 4;
		if ((used >> bit & 1) != 0 || sec == SEC_CERTIFICATE || sec == SEC_CA)
			continue;
		used |= 1u << bit;
		fprintf(f, "[%s%s%s]%s%s", section_words[sec], section_named(sec) ? " " : "",
		    section_name(sec, i), any(9) == 0 ? " ; why" : "", eol);
		for (enum key k = 0; k < KEY_MAX; k++) {
			if (any(9) == 0)
				fputs(between[any(4)], f);
			if (!key_allowed(k, sec) || any(4) != 0)
				continue;
			value = random_value(k);
			if (strlen(value) > 150)	/* a list on lines of its own */
				fprintf(f, "%s = %.78s%s   %s%s", key_table[k].name, value, eol, value + 78, eol);
			else
				fprintf(f, "%s%s%s%s%s", key_table[k].name, any(2) == 0 ? " = " : ":",
				    value, any(9) == 0 ? " ; because" : "", eol);
		}
	}
	fclose(f);
	if (any(5) == 0)	/* no line end at the end */
		text[len - 1] = '\0';
	return text;
}

static struct edit
random_edit(void)
{
	enum section sec = random_section();
	struct edit e = { .op = EDIT_SET, .section = sec, .name = section_name(sec, any(4)) };
	uint32_t what = any(20);

	do
		e.key = (enum key)any(KEY_MAX);
	while (!key_allowed(e.key, sec));
	e.value = random_value(e.key);
	if (what == 0)
		e.op = section_named(sec) ? EDIT_ADD : EDIT_SET;
	else if (what < 3)
		e.op = section_named(sec) ? EDIT_REMOVE : EDIT_SET;
	else if (what < 8)
		e.op = EDIT_UNSET;
	return e;
}

/* What an editor makes of it: a line or an octet goes, is there twice, or elsewhere too. */
static char *
by_hand(const char *text)
{
	static const char octets[] = "[]=:;#\n\r , a1.";
	size_t len = strlen(text), at = any((uint32_t)len + 1), size;
	const char *end = strchr(text + at, '\n');
	size_t n = any(2) == 0 || end == NULL ? any(3) : (size_t)(end - (text + at)) + 1;
	size_t from = any((uint32_t)len + 1);
	char *out;
	FILE *f = open_memstream(&out, &size);

	assert_non_null(f);
	if (n > len - at)
		n = len - at;
	fwrite(text, 1, at, f);
	if (any(2) == 0)
		fputc(octets[any(sizeof(octets) - 1)], f);
	else if (any(2) == 0)
		fwrite(text + from, 1, strcspn(text + from, "\n"), f);
	fputs(text + at + (any(2) == 0 ? n : 0), f);
	fclose(f);
	return out;
}

#endif
