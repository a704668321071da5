/* IP addresses, listeners, client networks and their text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "addr.h"

typedef bool reader(const char *, size_t, struct addr *);
typedef const char *writer(const struct addr *, char[ADDR_TEXT]);

/* Reads a block of just its size; false must leave nothing behind. */
static bool
take(reader *read, const char *text, size_t len, struct addr *out)
{
	static const struct addr none;
	char *exact = malloc(len + (len == 0));
	bool good;

	assert_non_null(exact);
	memcpy(exact, text, len);
	memset(out, 0x5a, sizeof(*out));
	good = read(exact, len, out);
	free(exact);
	if (!good)
		assert_memory_equal(out, &none, sizeof(none));
	return good;
}

struct pair {
	const char *in, *out;		/* NULL: not legal */
};

static void
check(reader *read, writer *write, const struct pair *p, size_t n)
{
	char buf[ADDR_TEXT];
	struct addr a, again;

	for (size_t i = 0; i < n; i++) {
		bool good = take(read, p[i].in, strlen(p[i].in), &a);

		if (good != (p[i].out != NULL))
			fail_msg("%s is %s", p[i].in, good ? "taken" : "refused");
		if (!good)
			continue;
		assert_string_equal(write(&a, buf), p[i].out);
		assert_true(take(read, buf, strlen(buf), &again));
		assert_int_equal(addr_cmp(&a, &again), 0);
	}
}
#define CHECK(read, write, cases) check(read, write, cases, sizeof(cases) / sizeof((cases)[0]))

static void
ips(void **state)
{
	static const struct pair cases[] = {
		{ "198.51.100.7", "198.51.100.7" },
		{ "[198.51.100.7]", "198.51.100.7" },
		{ "0.0.0.0", "0.0.0.0" },
		{ "2001:db8::7", "2001:db8::7" },
		{ "[2001:DB8:0:0::7]", "2001:db8::7" },
		{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
		{ "::", "::" },
		{ "::ffff:198.51.100.7", "198.51.100.7" },
		{ "::ffff:c633:6407", "198.51.100.7" },
		{ "", NULL },
		{ "[]", NULL },
		{ "[198.51.100.7", NULL },
		{ "198.51.100", NULL },
		{ "198.51.100.256", NULL },
		{ "198.51.100.07", NULL },
		{ "198.51.100.7 ", NULL },
		{ "198.51.100.7:25", NULL },
		{ "2001:db8::7::1", NULL },
		{ "fe80::1%eth0", NULL },
		{ "example.org", NULL },
		{ "0000:0000:0000:0000:0000:ffff:255.255.255.255.255.255.255.255", NULL },
	};
	struct addr a;

	(void)state;
	CHECK(addr_ip, addr_format_ip, cases);
	assert_false(take(addr_ip, "198.51.100.7\0", 13, &a));
	assert_true(take(addr_ip, "198.51.100.7", 12, &a));
	assert_int_equal(a.family, ADDR_IPV4);
	assert_int_equal(a.prefix, 32);
	assert_int_equal(a.port, 0);
	assert_memory_equal(a.ip, "\xc6\x33\x64\x07\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_true(take(addr_ip, "2001:db8::7", 11, &a));
	assert_int_equal(a.family, ADDR_IPV6);
	assert_int_equal(a.prefix, 128);
}

static void
listeners(void **state)
{
	static const struct pair cases[] = {
		{ "198.51.100.7:25", "198.51.100.7:25" },
		{ "[198.51.100.7]:25", "198.51.100.7:25" },
		{ "[2001:db8::7]:25", "[2001:db8::7]:25" },
		{ "[2001:DB8:0::7]:65535", "[2001:db8::7]:65535" },
		{ "[::ffff:198.51.100.7]:25", "198.51.100.7:25" },
		{ "[fd00:1111:2222:3333:4444:5555:6666:7777]:65535",
		    "[fd00:1111:2222:3333:4444:5555:6666:7777]:65535" },
		{ "*:25", "*:25" },
		{ "", NULL },
		{ "25", NULL },
		{ ":25", NULL },
		{ "*", NULL },
		{ "*:", NULL },
		{ "*:0", NULL },
		{ "**:25", NULL },
		{ "198.51.100.7", NULL },
		{ "198.51.100.7:", NULL },
		{ "198.51.100.7:0", NULL },
		{ "198.51.100.7:025", NULL },
		{ "198.51.100.7:65536", NULL },
		{ "198.51.100.7:4294967321", NULL },
		{ "198.51.100.7:-1", NULL },
		{ "198.51.100.7:smtp", NULL },
		{ "198.51.100.7: 25", NULL },
		{ "2001:db8::7:25", NULL },
		{ "[2001:db8::7]", NULL },
		{ "[2001:db8::7]25", NULL },
		{ "[2001:db8::7:25", NULL },
		{ "198.51.100.0/24:25", NULL },
	};

	(void)state;
	CHECK(addr_listener, addr_format_listener, cases);
}

static void
networks(void **state)
{
	static const struct pair cases[] = {
		{ "203.0.113.0/24", "203.0.113.0/24" },
		{ "203.0.113.5", "203.0.113.5/32" },
		{ "203.0.113.4/30", "203.0.113.4/30" },
		{ "0.0.0.0/0", "0.0.0.0/0" },
		{ "255.255.255.255/32", "255.255.255.255/32" },
		{ "2001:DB8::/32", "2001:db8::/32" },
		{ "[2001:db8::]/32", "2001:db8::/32" },
		{ "2001:db8::7", "2001:db8::7/128" },
		{ "2001:db8:8000::/33", "2001:db8:8000::/33" },
		{ "::/0", "::/0" },
		{ "::ffff:203.0.113.0/120", "203.0.113.0/24" },
		{ "::ffff:0.0.0.0/96", "0.0.0.0/0" },
		{ "", NULL },
		{ "/24", NULL },
		{ "203.0.113.0/", NULL },
		{ "203.0.113.0/33", NULL },
		{ "203.0.113.0/024", NULL },
		{ "203.0.113.0/24/24", NULL },
		{ "203.0.113.5/24", NULL },
		{ "203.0.113.4/29", NULL },
		{ "2001:db8::/129", NULL },
		{ "2001:db8::1/64", NULL },
		{ "2001:db8:4000::/33", NULL },
		{ "::ffff:203.0.113.0/24", NULL },
		{ "203.0.113.0/255.255.255.0", NULL },
		{ "example.org/24", NULL },
	};

	(void)state;
	CHECK(addr_network, addr_format_network, cases);
}

static void
sockets(void **state)
{
	static const struct {
		const char *in, *text;
		enum addr_family family;
		unsigned port;
	} cases[] = {
		{ "198.51.100.7:25", "198.51.100.7:25", ADDR_IPV4, 25 },
		{ "198.51.100.7:0", "198.51.100.7:0", ADDR_IPV4, 0 },
		{ "[2001:db8::7]:25", "[2001:db8::7]:25", ADDR_IPV6, 25 },
		{ "[fe80::1%eth0]:25", "[fe80::1]:25", ADDR_IPV6, 25 },
		{ "[::ffff:198.51.100.7]:25", "198.51.100.7:25", ADDR_IPV4, 25 },
		{ "unix:/var/run/smtpd.sock", "local", ADDR_LOCAL, 0 },
		{ "unix:", "local", ADDR_LOCAL, 0 },
		{ "", NULL, ADDR_NONE, 0 },
		{ "unix", NULL, ADDR_NONE, 0 },
		{ "*:25", NULL, ADDR_NONE, 0 },
		{ "[fe80::1%eth0", NULL, ADDR_NONE, 0 },
		{ "[%]:25", NULL, ADDR_NONE, 0 },
		{ "2001:db8::7:25", NULL, ADDR_NONE, 0 },
		{ "<unknown>", NULL, ADDR_NONE, 0 },
	};
	char buf[ADDR_TEXT];
	struct addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool good = take(addr_socket, cases[i].in, strlen(cases[i].in), &a);

		if (good != (cases[i].text != NULL))
			fail_msg("%s is %s", cases[i].in, good ? "taken" : "refused");
		assert_int_equal(a.family, cases[i].family);
		assert_int_equal(a.port, cases[i].port);
		if (good)
			assert_string_equal(addr_format_listener(&a, buf), cases[i].text);
	}
}

static void
within(void **state)
{
	static const struct {
		const char *ip, *network;
		bool yes;
	} cases[] = {
		{ "203.0.113.5", "203.0.113.0/24", true },
		{ "203.0.114.5", "203.0.113.0/24", false },
		{ "203.0.113.5", "203.0.113.5", true },
		{ "203.0.113.4", "203.0.113.5", false },
		{ "203.0.113.7", "203.0.113.4/30", true },
		{ "203.0.113.8", "203.0.113.4/30", false },
		{ "203.0.113.5", "0.0.0.0/0", true },
		{ "203.0.113.5", "::/0", false },
		{ "2001:db8::1", "::/0", true },
		{ "2001:db8::1", "0.0.0.0/0", false },
		{ "2001:db8:8000::1", "2001:db8:8000::/33", true },
		{ "2001:db8:7fff::1", "2001:db8:8000::/33", false },
		{ "2001:db8::1", "2001:db8::1", true },
		{ "2001:db8::1", "2001:db8::/127", true },
		{ "2001:db8::2", "2001:db8::/127", false },
		{ "::ffff:203.0.113.5", "203.0.113.0/24", true },
	};
	struct addr ip, network, odd = { .family = ADDR_ANY };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(addr_ip(cases[i].ip, strlen(cases[i].ip), &ip));
		assert_true(addr_network(cases[i].network, strlen(cases[i].network), &network));
		if (addr_within(&ip, &network) != cases[i].yes)
			fail_msg("%s in %s", cases[i].ip, cases[i].network);
	}
	assert_false(addr_within(&odd, &odd));
	assert_false(addr_within(&ip, &odd));
	network.prefix = 200;		/* of a damaged image */
	ip.prefix = 255;
	assert_false(addr_within(&ip, &network));
}

static void
order(void **state)
{
	static const char *const sorted[] = { "*:25", "9.0.0.1:25", "10.0.0.1:25",
	    "10.0.0.1:587", "198.51.100.7:1", "[2001:db8::7]:25", "[2001:db8::8]:24" };
	const size_t n = sizeof(sorted) / sizeof(sorted[0]);
	struct addr a, b;

	(void)state;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++) {
			assert_true(addr_listener(sorted[i], strlen(sorted[i]), &a));
			assert_true(addr_listener(sorted[k], strlen(sorted[k]), &b));
			assert_int_equal(addr_cmp(&a, &b), i < k ? -1 : i > k);
		}
	assert_true(addr_network("10.0.0.0/8", 10, &a));
	assert_true(addr_network("10.0.0.0/16", 11, &b));
	assert_int_equal(addr_cmp(&a, &b), -1);
}

static void
odd_text(void **state)
{
	char buf[ADDR_TEXT];
	struct addr a = { .family = ADDR_NONE };

	(void)state;
	assert_string_equal(addr_format_ip(&a, buf), "unknown");
	assert_string_equal(addr_format_listener(&a, buf), "unknown");
	assert_string_equal(addr_format_network(&a, buf), "unknown");
	a.family = ADDR_LOCAL;
	assert_string_equal(addr_format_ip(&a, buf), "local");
	a.family = 77;
	assert_string_equal(addr_format_ip(&a, buf), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ips),
		cmocka_unit_test(listeners),
		cmocka_unit_test(networks),
		cmocka_unit_test(sockets),
		cmocka_unit_test(within),
		cmocka_unit_test(order),
		cmocka_unit_test(odd_text),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
