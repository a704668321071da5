/* Domain names, the domains of addresses, and certificate names (RFC 9525). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "name.h"

#define LABEL64 "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd"

#define L63 "a23456789012345678901234567890123456789012345678901234567890123"
#define L61 "a234567890123456789012345678901234567890123456789012345678901"

/* The case in a heap block of just its size, so that a read beyond it is seen. */
static const char *
normal(const char *in, size_t len, bool suffix, char out[NAME_SIZE])
{
	char *exact = malloc(len + (len == 0));
	const char *wrong;

	assert_non_null(exact);
	memcpy(exact, in, len);
	memset(out, 'x', NAME_SIZE);
	wrong = name_normal(exact, len, suffix, out);
	free(exact);
	return wrong;
}

static void
good_names(void **state)
{
	static const struct {
		const char *in, *out;
		bool suffix;
	} cases[] = {
		{ "example.org", "example.org", false },
		{ "EXAMPLE.Org", "example.org", false },
		{ "example.org.", "example.org", false },
		{ "localhost", "localhost", false },
		{ "a.b", "a.b", false },
		{ "mx_1._tcp.example.org", "mx_1._tcp.example.org", false },
		{ "1and1.example", "1and1.example", false },
		{ "4.3.2.1.in-addr.arpa", "4.3.2.1.in-addr.arpa", false },
		{ ".example.org", ".example.org", true },
		{ ".Example.ORG.", ".example.org", true },
		{ "example.org", "example.org", true },
		{ "b\xc3\xbc" "cher.example", "xn--bcher-kva.example", false },
		{ "B\xc3\x9c" "CHER.example", "xn--bcher-kva.example", false },
		{ "bu\xcc\x88" "cher.example", "xn--bcher-kva.example", false },	/* decomposed */
		{ ".b\xc3\xbc" "cher.example", ".xn--bcher-kva.example", true },
		{ "XN--BCHER-KVA.example", "xn--bcher-kva.example", false },
		{ "\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80.\xd1\x80\xd1\x84",
		    "xn--e1afmkfd.xn--p1ai", false },
		{ "\xd0\x9f\xd0\xa0\xd0\x98\xd0\x9c\xd0\x95\xd0\xa0.\xd0\xa0\xd0\xa4.",
		    "xn--e1afmkfd.xn--p1ai", false },
		{ "\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80\xe3\x80\x82\xd1\x80\xd1\x84",
		    "xn--e1afmkfd.xn--p1ai", false },		/* ideographic full stop */
		{ "stra\xc3\x9f" "e.example", "xn--strae-oqa.example", false },	/* not "strasse" */
		{ L63 ".example", L63 ".example", false },
	};
	char out[NAME_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *wrong = normal(cases[i].in, strlen(cases[i].in), cases[i].suffix, out);

		if (wrong != NULL)
			fail_msg("%s: %s", cases[i].in, wrong);
		assert_string_equal(out, cases[i].out);
	}
}

static void
bad_names(void **state)
{
	static const struct {
		const char *in;
		size_t len;		/* 0: of the string */
		bool suffix;
		const char *why;	/* part of the complaint */
	} cases[] = {
		{ "", 0, false, "empty" },
		{ ".", 0, false, "starts with a dot" },
		{ ".", 0, true, "empty label" },
		{ "..", 0, true, "empty label" },
		{ "..example.org", 0, true, "empty label" },
		{ ".example.org", 0, false, "starts with a dot" },
		{ "example..org", 0, false, "empty label" },
		{ "example.org..", 0, false, "empty label" },
		{ "-example.org", 0, false, "hyphen" },
		{ "example-.org", 0, false, "hyphen" },
		{ "exam ple.org", 0, false, "character" },
		{ "example.org ", 0, false, "character" },
		{ "*.example.org", 0, true, "character" },
		{ "user@example.org", 0, false, "character" },
		{ "[192.0.2.1]", 0, false, "character" },
		{ "192.0.2.1", 0, false, "number" },
		{ "2001:db8::1", 0, false, "character" },
		{ "example\0.org", 12, false, "NUL" },
		{ "\0", 1, false, "NUL" },
		{ "b\xc3\xbc\0cher.example", 15, false, "NUL" },
		{ "\xff\xfe.example", 0, false, "UTF-8" },
		{ "b\xc3.example", 0, false, "UTF-8" },
		{ "b\xc3\xbc" "cher..example", 0, false, "label" },
		{ "\xe2\x98\x83 .example", 0, false, "" },
		{ "\xef\xbf\xbe.example", 0, false, "" },
		{ L63 "x.example", 0, false, "63" },
	};
	char out[NAME_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = cases[i].len != 0 ? cases[i].len : strlen(cases[i].in);
		const char *wrong = normal(cases[i].in, len, cases[i].suffix, out);

		if (wrong == NULL)
			fail_msg("case %zu (%s) is taken as %s", i, cases[i].in, out);
		if (strstr(wrong, cases[i].why) == NULL)
			fail_msg("case %zu (%s): %s", i, cases[i].in, wrong);
		assert_string_equal(out, "");
	}
}

static void
longest_name(void **state)
{
	static const char name[] = L63 "." L63 "." L63 "." L61;
	char in[300], out[NAME_SIZE];

	(void)state;
	assert_int_equal(strlen(name), NAME_MAX_LEN);
	assert_null(normal(name, NAME_MAX_LEN, false, out));
	assert_string_equal(out, name);

	(void)snprintf(in, sizeof(in), ".%s.", name);
	assert_null(normal(in, strlen(in), true, out));
	assert_int_equal(strlen(out), NAME_MAX_LEN + 1);
	assert_memory_equal(out + 1, name, NAME_MAX_LEN);

	(void)snprintf(in, sizeof(in), "%sx", name);
	assert_non_null(strstr(normal(in, strlen(in), false, out), "253"));
	assert_string_equal(out, "");
}

/* U-labels that fit, and that do not, once they are A-labels. */
static void
long_unicode(void **state)
{
	char in[5000], out[NAME_SIZE];
	size_t len = 0;

	(void)state;
	while (len < 4998) {
		in[len++] = (char)0xc3;
		in[len++] = (char)0xbc;
	}
	assert_null(normal(in, 2 * 20, false, out));
	assert_int_equal(strncmp(out, "xn--", 4), 0);
	for (size_t n = 2 * 60; n <= len; n += 2 * 61) {
		assert_non_null(normal(in, n, false, out));
		assert_string_equal(out, "");
	}
}

/* Whatever is taken is in kept form: taking it again changes nothing. */
static void
any_octets(void **state)
{
	static const char octets[] = "aZ9-_..b\xc3\xbc\xd0\xbf\xe3\x80\x82 \0\xcc\x88";
	char in[64], out[NAME_SIZE], again[NAME_SIZE];
	unsigned r = 1, taken = 0;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t len = (r = r * 1103515245u + 12345u) >> 16 & 7;

		for (size_t i = 0; i < len; i++) {
			r = r * 1103515245u + 12345u;
			in[i] = octets[(r >> 16) % (sizeof(octets) - 1)];
		}
		if (normal(in, len, true, out) != NULL) {
			assert_string_equal(out, "");
			continue;
		}
		taken++;
		assert_null(normal(out, strlen(out), true, again));
		assert_string_equal(out, again);
	}
	assert_true(taken > 1000);
}

static void
addresses(void **state)
{
	static const struct {
		const char *addr, *domain;	/* "": none */
	} cases[] = {
		{ "user@example.org", "example.org" },
		{ "<user@Example.Org>", "example.org" },
		{ "user@example.org.", "example.org" },
		{ "\"a@b\"@example.org", "example.org" },
		{ "\"a b\\\"c\"@example.org", "example.org" },
		{ "@relay.example,@other.example:user@example.org", "example.org" },
		{ "<@relay.example:user@example.org>", "example.org" },
		{ "user@b\xc3\xbc" "cher.example", "xn--bcher-kva.example" },
		{ "user+tag=x@example.org", "example.org" },
		{ "", "" },
		{ "<>", "" },
		{ "<", "" },
		{ "user", "" },
		{ "<postmaster>", "" },
		{ "user@", "" },
		{ "<user@>", "" },
		{ "user@[192.0.2.1]", "" },
		{ "user@[IPv6:2001:db8::1]", "" },
		{ "user@192.0.2.1", "" },
		{ "\"user@example.org\"", "" },
		/* no legal names: rules for what is below the legal end hold */
		{ "user@a-.Example.org", "-.example.org" },
		{ "user@a-.example.org.", "-.example.org" },
		{ "user@-b.a-.c.example.org", "-.c.example.org" },
		{ "user@" LABEL64 ".example.org", "-.example.org" },
		{ "user@" LABEL64 "." LABEL64 "." LABEL64 "." LABEL64 ".b.example", "-.b.example" },
		{ "user@a-.b\xc3\xbc" "cher.example", "-.xn--bcher-kva.example" },
		{ "user@\xff.example.org", "-.example.org" },
		{ "user@.example.org", "-.example.org" },
		{ "user@example..org", "-.org" },
		{ "user@exa mple.org", "-.org" },
	};
	char out[NAME_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].addr);
		char *exact = malloc(len + (len == 0));
		bool found;

		assert_non_null(exact);
		memcpy(exact, cases[i].addr, len);
		found = name_of_address(exact, len, out);
		free(exact);
		if (found != (cases[i].domain[0] != '\0') || strcmp(out, cases[i].domain) != 0)
			fail_msg("%s gives %s", cases[i].addr, out);
	}
	assert_true(name_of_address("user@exam\0ple.org", 17, out));
	assert_string_equal(out, "-.org");
}

/* RFC 9525 6.3, and the wanted forms of cert_names. */
static void
covers(void **state)
{
	static const struct {
		const char *presented, *want;
		bool yes;
	} cases[] = {
		/* a name wanted */
		{ "mx.example.org", "mx.example.org", true },
		{ "MX.Example.ORG", "mx.example.org", true },
		{ "mx2.example.org", "mx.example.org", false },
		{ "example.org", "mx.example.org", false },
		{ "mx.example.org", "example.org", false },
		{ "xmx.example.org", "mx.example.org", false },
		{ "mx.example.org.evil.example", "mx.example.org", false },
		/* the wildcard is the whole left-most label, for exactly one */
		{ "*.example.org", "mx.example.org", true },
		{ "*.EXAMPLE.org", "mx.example.org", true },
		{ "*.example.org", "example.org", false },
		{ "*.example.org", "a.mx.example.org", false },
		{ "*.example.org", "mx.xexample.org", false },
		{ "*.example.org", "xn--bcher-kva.example.org", true },
		{ "m*.example.org", "mx.example.org", false },
		{ "*x.example.org", "mx.example.org", false },
		{ "m*x.example.org", "mx.example.org", false },
		{ "xn--*.example.org", "xn--bcher-kva.example.org", false },
		{ "**.example.org", "mx.example.org", false },
		{ "mx.*.org", "mx.example.org", false },
		{ "*.*.org", "mx.example.org", false },
		{ "mx.example.*", "mx.example.org", false },
		{ "*", "org", false },
		{ "*.", "org", false },
		{ "*", "mx.example.org", false },
		/* anything below a name */
		{ "mx.example.org", ".example.org", true },
		{ "a.b.example.org", ".example.org", true },
		{ "*.example.org", ".example.org", true },
		{ "*.b.example.org", ".example.org", true },
		{ "example.org", ".example.org", false },
		{ "xexample.org", ".example.org", false },
		{ "*.org", ".example.org", false },
		{ "mx.example.com", ".example.org", false },
		/* exactly one label below */
		{ "mx.example.org", "*.example.org", true },
		{ "*.example.org", "*.example.org", true },
		{ "a.b.example.org", "*.example.org", false },
		{ "*.b.example.org", "*.example.org", false },
		{ "example.org", "*.example.org", false },
		{ "*.org", "*.example.org", false },
		/* malformed */
		{ "", "mx.example.org", false },
		{ "", "", false },
		{ ".", ".", false },
		{ "mx.example.org", "", false },
		{ "mx.example.org", ".", false },
		{ "mx.example.org", "*.", false },
		{ ".example.org", ".example.org", false },
		{ "mx..example.org", ".example.org", false },
		{ "mx.example.org.", "mx.example.org", false },
		{ "mx.example.org ", "mx.example.org", false },
		{ "b\xc3\xbc" "cher.example", "xn--bcher-kva.example", false },
		{ "192.0.2.1", "192.0.2.1", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].presented);
		char *exact = malloc(len + (len == 0));
		bool yes;

		assert_non_null(exact);
		memcpy(exact, cases[i].presented, len);
		yes = name_covers(exact, len, cases[i].want);
		free(exact);
		if (yes != cases[i].yes)
			fail_msg("\"%s\" for \"%s\": %s", cases[i].presented, cases[i].want,
			    yes ? "covers" : "covers not");
	}
	/* a NUL must not end the comparison early */
	assert_false(name_covers("mx.example.org\0.evil.example", 28, "mx.example.org"));
	assert_false(name_covers("mx.example.org\0", 15, "mx.example.org"));
}

static void
covers_long(void **state)
{
	static const char base[] = L63 "." L63 "." L61;
	char presented[400], want[NAME_SIZE];

	(void)state;
	(void)snprintf(want, sizeof(want), L63 ".%s", base);
	(void)snprintf(presented, sizeof(presented), "*.%s", base);
	assert_true(name_covers(presented, strlen(presented), want));
	assert_true(name_covers(want, strlen(want), want));
	memset(presented, 'a', sizeof(presented));
	assert_false(name_covers(presented, sizeof(presented), want));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_names),
		cmocka_unit_test(bad_names),
		cmocka_unit_test(longest_name),
		cmocka_unit_test(long_unicode),
		cmocka_unit_test(any_octets),
		cmocka_unit_test(addresses),
		cmocka_unit_test(covers),
		cmocka_unit_test(covers_long),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
