/*
 * The strings from Exim as facts: what Exim writes, what it never writes, and
 * what a client tries to smuggle in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "exim_facts.h"

#define BASE64 "MIIBszCCAVmgAwIBAgICA/UwCgYIKoZIzj0EAwIwFTETMBEGA1UEAwwKVGVzdA=="
#define GOOD "192.0.2.1|25|198.51.100.7|n|client.example"

static void
session_of_exim(void **arg)
{
	struct exim_facts x;
	char text[ADDR_TEXT];

	(void)arg;
	assert_null(exim_facts_session(&x, "192.0.2.1|25|198.51.100.7|n|client.example", 42));
	assert_string_equal(addr_format_listener(&x.facts.listener, text), "192.0.2.1:25");
	assert_string_equal(addr_format_ip(&x.facts.client, text), "198.51.100.7");
	assert_false(x.facts.authenticated);
	assert_string_equal(x.facts.helo, "client.example");
	assert_string_equal(x.facts.session, "exim-42");
	assert_string_equal(x.facts.cipher, "");
	assert_string_equal(x.facts.sender_domain, "");
	assert_int_equal(x.facts.tls, TLS_NONE);
	assert_int_equal(x.facts.cert.status, CERT_NOT_ASKED);

	assert_null(exim_facts_session(&x, "2001:db8::1|465|2001:DB8::7|y|", 1));
	assert_string_equal(addr_format_listener(&x.facts.listener, text), "[2001:db8::1]:465");
	assert_string_equal(addr_format_ip(&x.facts.client, text), "2001:db8::7");
	assert_true(x.facts.authenticated);
	assert_string_equal(x.facts.helo, "");

	/* a dual-stack socket's peer is an IPv4 one; a zone is no part of an address */
	assert_null(exim_facts_session(&x, "::ffff:192.0.2.1|25|::ffff:198.51.100.7|n|x", 1));
	assert_int_equal(x.facts.client.family, ADDR_IPV4);
	assert_null(exim_facts_session(&x, "fe80::1%eth0|25|fe80::2%eth0|n|x", 1));
	assert_string_equal(addr_format_ip(&x.facts.client, text), "fe80::2");

	/* -oMa without -oMi: the rules hold, the listener is not known */
	assert_null(exim_facts_session(&x, "||198.51.100.7|n|x", 1));
	assert_int_equal(x.facts.listener.family, ADDR_NONE);
	assert_int_equal(x.facts.client.family, ADDR_IPV4);

	/* the command line */
	assert_null(exim_facts_session(&x, "|||n|", 1));
	assert_int_equal(x.facts.client.family, ADDR_LOCAL);
	assert_int_equal(x.facts.listener.family, ADDR_LOCAL);
	assert_null(exim_facts_session(&x, "|0||n|localhost", 1));
	assert_int_equal(x.facts.client.family, ADDR_LOCAL);
}

/* Nothing of these may pass for a session, least of all for a local one. */
static void
session_malformed(void **arg)
{
	static const char *const bad[] = {
		"", "|", "||", "|||", "192.0.2.1", "192.0.2.1|25|198.51.100.7|n",
		"192.0.2.1|25||n|x",			/* a listener without a client */
		"192.0.2.1|25|198.51.100.7||x",
		"192.0.2.1|25|198.51.100.7|yes|x", "192.0.2.1|25|198.51.100.7|Y|x",
		"192.0.2.1|0|198.51.100.7|n|x", "192.0.2.1||198.51.100.7|n|x",
		"192.0.2.1|65536|198.51.100.7|n|x", "192.0.2.1|-1|198.51.100.7|n|x",
		"192.0.2.1| 25|198.51.100.7|n|x", "192.0.2.1|4294967321|198.51.100.7|n|x",
		"192.0.2.1|99999999999999999999|198.51.100.7|n|x",
		"192.0.2.256|25|198.51.100.7|n|x", "mx|25|198.51.100.7|n|x",
		"192.0.2.1|25|198.51.100|n|x", "192.0.2.1|25|198.51.100.7 |n|x",
		"192.0.2.1|25|unix:/x|n|x", "192.0.2.1|25|%|n|x", "%|25|198.51.100.7|n|x",
	};
	struct exim_facts x;
	size_t i;

	(void)arg;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (exim_facts_session(&x, bad[i], 1) == NULL)
			fail_msg("taken: \"%s\"", bad[i]);
		assert_int_not_equal(x.facts.client.family, ADDR_LOCAL);
	}
}

/* A HELO of any content moves no field. */
static void
helo_forges_nothing(void **arg)
{
	static const char *const helo[] = {
		"|y|", "||||y|x", "x|192.0.2.9|25|203.0.113.9|y|z", "|||y|", "\n|y|", "}{y}",
		"$sender_host_address", "%n%n%s", "\xff\xfe|y",
	};
	struct exim_facts x;
	char text[ADDR_TEXT], line[256];
	size_t i;

	(void)arg;
	for (i = 0; i < sizeof(helo) / sizeof(helo[0]); i++) {
		snprintf(line, sizeof(line), "192.0.2.1|25|198.51.100.7|n|%s", helo[i]);
		assert_null(exim_facts_session(&x, line, 1));
		assert_false(x.facts.authenticated);
		assert_string_equal(addr_format_ip(&x.facts.client, text), "198.51.100.7");
		assert_string_equal(x.facts.helo, helo[i]);
	}
}

static void
tls_of_exim(void **arg)
{
	static const struct {
		const char *name;
		enum tls_version version;
	} known[] = {
		{ "TLS1.0", TLS_1_0 }, { "TLS1.1", TLS_1_1 }, { "TLS1.2", TLS_1_2 },
		{ "TLS1.3", TLS_1_3 }, { "TLSv1", TLS_1_0 }, { "TLSv1.1", TLS_1_1 },
		{ "TLSv1.2", TLS_1_2 }, { "TLSv1.3", TLS_1_3 },
	};
	struct exim_facts x;
	char line[256];
	size_t i;

	(void)arg;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		assert_null(exim_facts_session(&x, GOOD, 1));
		snprintf(line, sizeof(line), "%s|256|0|ECDHE|x:256", known[i].name);
		assert_null(exim_facts_tls(&x, line, ""));
		assert_int_equal(x.facts.tls, known[i].version);
		assert_int_equal(x.facts.bits, 256);
		assert_string_equal(x.facts.cipher, "ECDHE|x:256");
		assert_int_equal(x.facts.cert.status, CERT_NONE);
		assert_false(x.facts.cert.has_fingerprint);
	}
	/* in clear, as 4.96 and as later ones write it */
	assert_null(exim_facts_session(&x, GOOD, 1));
	assert_null(exim_facts_tls(&x, "|0|0|", ""));
	assert_null(exim_facts_tls(&x, "|||", ""));
	assert_int_equal(x.facts.tls, TLS_NONE);
	assert_int_equal(x.facts.cert.status, CERT_NOT_ASKED);
}

static void
certificate_of_exim(void **arg)
{
	struct exim_facts x;

	(void)arg;
	assert_null(exim_facts_session(&x, GOOD, 1));
	assert_null(exim_facts_tls(&x, "TLS1.3|256|1|TLS_AES", BASE64));
	assert_int_equal(x.facts.cert.status, CERT_TRUSTED);
	assert_true(x.facts.cert.server.trusted);
	assert_false(x.facts.cert.has_fingerprint);	/* nobody has looked at it yet */
	assert_null(x.facts.cert.verify);

	assert_null(exim_facts_session(&x, GOOD, 1));
	assert_null(exim_facts_tls(&x, "TLS1.3|256|0|TLS_AES", BASE64));
	assert_int_equal(x.facts.cert.status, CERT_UNTRUSTED);
	assert_int_equal(x.facts.cert.server.why, REASON_CERT_UNTRUSTED);
	assert_false(x.facts.cert.server.trusted);

	/* verified, but nothing to see: never trusted blind */
	assert_null(exim_facts_session(&x, GOOD, 1));
	assert_null(exim_facts_tls(&x, "TLS1.3|256|1|TLS_AES", ""));
	assert_int_equal(x.facts.cert.status, CERT_UNTRUSTED);
	assert_int_equal(x.facts.cert.server.why, REASON_CERT_UNKNOWN);
	assert_false(x.facts.cert.has_fingerprint);
}

static void
tls_malformed(void **arg)
{
	static const struct { const char *tls, *base64; } bad[] = {
		{ "", "" }, { "|", "" }, { "||", "" },
		{ "|0|0|TLS1.3:AES:256", "" },		/* a cipher without a version */
		{ "|0|0|", BASE64 },			/* a certificate in clear */
		{ "TLS1.4|256|0|x", "" }, { "SSL3.0|256|0|x", "" }, { "tls1.2|256|0|x", "" },
		{ "TLS1.2 |256|0|x", "" }, { "yes|256|0|x", "" },
		{ "TLS1.2||0|x", "" }, { "TLS1.2|x|0|x", "" }, { "TLS1.2|-1|0|x", "" },
		{ "TLS1.2|65536|0|x", "" }, { "TLS1.2|256||x", "" }, { "TLS1.2|256|2|x", "" },
		{ "TLS1.2|256|1", "" }, { "TLS1.2|256|true|x", "" },
		{ "TLS1.2|256|0|x", "tls_in_peercert" }, { "TLS1.2|256|0|x", "MII" },
		{ "TLS1.2|256|1|x", BASE64 "MI" }, { "TLS1.2|256|1|x", BASE64 " " },
		{ "TLS1.2|256|1|x", "MI===" }, { "TLS1.2|256|1|x", "M===" }, { "TLS1.2|256|1|x", "====" },
		{ "TLS1.2|256|1|x", "MI=I" }, { "TLS1.2|256|1|x", "MII\n" },
	};
	struct exim_facts x;
	size_t i;

	(void)arg;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_null(exim_facts_session(&x, GOOD, 1));
		if (exim_facts_tls(&x, bad[i].tls, bad[i].base64) == NULL)
			fail_msg("taken: \"%s\" \"%s\"", bad[i].tls, bad[i].base64);
		assert_int_not_equal(x.facts.cert.status, CERT_TRUSTED);
	}
}

static void
envelope(void **arg)
{
	struct exim_facts x;

	(void)arg;
	assert_null(exim_facts_session(&x, GOOD, 1));
	exim_facts_envelope(&x, "a@Partner.Example", NULL);
	assert_string_equal(x.facts.sender, "a@Partner.Example");
	assert_string_equal(x.facts.sender_domain, "partner.example");
	assert_string_equal(x.facts.recipient, "");
	assert_string_equal(x.facts.recipient_domain, "");

	assert_null(exim_facts_session(&x, GOOD, 1));
	exim_facts_envelope(&x, "", "\"a@partner.example|y\"@example.org");
	assert_string_equal(x.facts.sender_domain, "");
	assert_string_equal(x.facts.recipient_domain, "example.org");

	assert_null(exim_facts_session(&x, GOOD, 1));
	exim_facts_envelope(&x, "a@partner.example@", "postmaster@");
	assert_string_equal(x.facts.sender_domain, "");
	assert_string_equal(x.facts.recipient_domain, "");
}

/* Lengths beyond every buffer. */
static void
long_text(void **arg)
{
	enum { BIG = 200000 };
	static const char head[] = "192.0.2.1|25|198.51.100.7|n|", tls[] = "TLS1.3|256|0|";
	char *big = malloc(BIG + 64);
	struct exim_facts x;

	(void)arg;
	assert_non_null(big);
	memset(big, 'a', BIG + 63);
	big[BIG + 63] = '\0';
	assert_non_null(exim_facts_session(&x, big, 1));
	memcpy(big, head, sizeof(head) - 1);
	assert_null(exim_facts_session(&x, big, 1));
	memcpy(big, "a@", 2);
	exim_facts_envelope(&x, big, big);
	assert_string_equal(x.facts.sender_domain, "");
	memset(big, '1', BIG);
	assert_non_null(exim_facts_tls(&x, "TLS1.3|256|0|x", big));
	memcpy(big, tls, sizeof(tls) - 1);
	assert_null(exim_facts_session(&x, GOOD, 1));
	assert_null(exim_facts_tls(&x, big, ""));
	free(big);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(session_of_exim),
		cmocka_unit_test(session_malformed),
		cmocka_unit_test(helo_forges_nothing),
		cmocka_unit_test(tls_of_exim),
		cmocka_unit_test(certificate_of_exim),
		cmocka_unit_test(tls_malformed),
		cmocka_unit_test(envelope),
		cmocka_unit_test(long_text),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
