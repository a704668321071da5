/* The grammar's tables: which key stands where, how a value is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "keys.h"
#include "name.h"
#include "value.h"

/* As the manual has it; a key that is missing here may stand nowhere. */
static const struct {
	enum section section;
	const char *keys;
} places[] = {
	{ SEC_SERVER, " mode client_cert min_tls min_bits enforce authenticated certificate ca "
	    "state_dir " },
	{ SEC_LISTENER, " mode client_cert min_tls min_bits enforce authenticated certificate ca "
	    "verifies " },
	{ SEC_CLIENT, " mode client_cert min_tls min_bits enforce authenticated certificate ca "
	    "cert_names fingerprints certs match_cn " },
	{ SEC_DOMAIN, " mode client_cert min_tls min_bits enforce ca cert_names fingerprints certs "
	    "match_cn " },
	{ SEC_PEER, " mode client_cert min_tls min_bits enforce ca cert_names fingerprints certs "
	    "match_cn " },
	{ SEC_CERTIFICATE, " file key names " },
	{ SEC_CA, " file crl purpose " },
	{ SEC_AGENT, " agentx expiry_days notify notify_except probe_interval notify_rate "
	    "refusal_rate " },
};

static void
where(void **state)
{
	char word[40];

	(void)state;
	for (size_t i = 0; i < SEC_MAX; i++)
		for (enum key k = 0; k < KEY_MAX; k++) {
			(void)snprintf(word, sizeof(word), " %s ", key_table[k].name);
			if (key_allowed(k, places[i].section) !=
			    (strstr(places[i].keys, word) != NULL))
				fail_msg("%s in [%s]", key_table[k].name,
				    section_words[places[i].section]);
		}
	assert_false(key_allowed(KEY_MAX, SEC_SERVER));
	assert_false(key_allowed(KEY_MODE, SEC_MAX));
}

static void
table(void **state)
{
	(void)state;
	for (enum key k = 0; k < KEY_MAX; k++) {
		const struct key_info *i = &key_table[k];
		uint32_t value;

		assert_non_null(i->name);
		assert_non_null(i->hint);
		assert_int_not_equal(i->sections, 0);
		assert_int_equal(key_find(i->name), k);
		if (i->type == TYPE_WORD)
			assert_non_null(i->words);
		if (i->type <= TYPE_NUMBER) {
			assert_non_null(i->preset_text);
			assert_true(key_scalar(k, i->preset_text, &value));
			assert_int_equal(value, i->preset);
		}
	}
	assert_int_equal(key_find(""), KEY_MAX);
	assert_int_equal(key_find("Mode"), KEY_MAX);
	assert_int_equal(key_find("mode "), KEY_MAX);
	assert_string_equal(key_table[KEY_STATE_DIR].preset_text, "/var/lib/tlsward");
	assert_string_equal(key_table[KEY_AGENTX].preset_text, "/var/agentx/master");
	assert_int_equal(key_table[KEY_CERTIFICATE].ref, SEC_CERTIFICATE);
	assert_int_equal(key_table[KEY_CA].ref, SEC_CA);
}

static void
scalars(void **state)
{
	static const struct {
		enum key key;
		const char *text;
		int value;		/* -1: not legal */
	} cases[] = {
		{ KEY_MODE, "none", MODE_NONE },
		{ KEY_MODE, "offer", MODE_OFFER },
		{ KEY_MODE, "require", MODE_REQUIRE },
		{ KEY_MODE, "Require", -1 },
		{ KEY_MODE, "", -1 },
		{ KEY_MODE, "required", -1 },
		{ KEY_CLIENT_CERT, "none", CC_NONE },
		{ KEY_CLIENT_CERT, "request", CC_REQUEST },
		{ KEY_CLIENT_CERT, "require", CC_REQUIRE },
		{ KEY_ENFORCE, "report", ENFORCE_REPORT },
		{ KEY_ENFORCE, "yes", ENFORCE_YES },
		{ KEY_ENFORCE, "no", -1 },
		{ KEY_AUTHENTICATED, "exempt", AUTH_EXEMPT },
		{ KEY_AUTHENTICATED, "enforce", AUTH_ENFORCE },
		{ KEY_PURPOSE, "any", PURPOSE_ANY },
		{ KEY_PURPOSE, "client", PURPOSE_CLIENT },
		{ KEY_VERIFIES, "no", 0 },
		{ KEY_VERIFIES, "yes", 1 },
		{ KEY_VERIFIES, "on", -1 },
		{ KEY_VERIFIES, "true", -1 },
		{ KEY_VERIFIES, "1", -1 },
		{ KEY_MIN_TLS, "1.0", TLS_1_0 },
		{ KEY_MIN_TLS, "1.1", TLS_1_1 },
		{ KEY_MIN_TLS, "1.2", TLS_1_2 },
		{ KEY_MIN_TLS, "1.3", TLS_1_3 },
		{ KEY_MIN_TLS, "1.4", -1 },
		{ KEY_MIN_TLS, "TLS1.2", -1 },
		{ KEY_MIN_BITS, "0", 0 },
		{ KEY_MIN_BITS, "128", 128 },
		{ KEY_MIN_BITS, "4096", 4096 },
		{ KEY_MIN_BITS, "4097", -1 },
		{ KEY_MIN_BITS, "-1", -1 },
		{ KEY_MIN_BITS, "+1", -1 },
		{ KEY_MIN_BITS, "0x80", -1 },
		{ KEY_MIN_BITS, "128 ", -1 },
		{ KEY_MIN_BITS, "4294967424", -1 },		/* 2^32 + 128 */
		{ KEY_MIN_BITS, "18446744073709551744", -1 },	/* 2^64 + 128 */
		{ KEY_CA, "partners", -1 },			/* no scalar */
		{ KEY_EXPIRY_DAYS, "30", -1 },
		{ KEY_MAX, "none", -1 },
	};
	char buf[16];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t value = 0;
		bool good = key_scalar(cases[i].key, cases[i].text, &value);

		if (good != (cases[i].value >= 0))
			fail_msg("case %zu, %s", i, cases[i].text);
		if (!good)
			continue;
		assert_int_equal(value, cases[i].value);
		assert_string_equal(key_text(cases[i].key, value, buf), cases[i].text);
	}
	assert_string_equal(key_text(KEY_MODE, 77, buf), "?");
	assert_string_equal(key_text(KEY_MIN_TLS, TLS_NONE, buf), "?");
	assert_string_equal(key_text(KEY_MAX, 0, buf), "?");
	assert_string_equal(key_text(KEY_MIN_BITS, UINT32_MAX, buf), "4294967295");
}

static void
sections(void **state)
{
	(void)state;
	for (enum section s = 0; s < SEC_MAX; s++) {
		assert_int_equal(section_find(section_words[s], strlen(section_words[s])), s);
		assert_int_equal(section_named(s), s != SEC_SERVER && s != SEC_AGENT);
	}
	assert_int_equal(section_find("server", 5), SEC_MAX);
	assert_int_equal(section_find("servers", 7), SEC_MAX);
	assert_int_equal(section_find("Server", 6), SEC_MAX);
	assert_int_equal(section_find("", 0), SEC_MAX);
	assert_false(section_named(SEC_MAX));
}

static void
names(void **state)
{
	static const struct {
		enum section section;
		const char *in, *out;	/* NULL: not legal */
	} cases[] = {
		{ SEC_SERVER, "", "" },
		{ SEC_SERVER, "x", NULL },
		{ SEC_AGENT, "", "" },
		{ SEC_AGENT, "x", NULL },
		{ SEC_LISTENER, "[2001:DB8::7]:25", "[2001:db8::7]:25" },
		{ SEC_LISTENER, "*:25", "*:25" },
		{ SEC_LISTENER, "198.51.100.7", NULL },
		{ SEC_LISTENER, "", NULL },
		{ SEC_CLIENT, "203.0.113.5", "203.0.113.5/32" },
		{ SEC_CLIENT, "203.0.113.5/24", NULL },
		{ SEC_DOMAIN, "Example.ORG.", "example.org" },
		{ SEC_DOMAIN, ".example.org", ".example.org" },
		{ SEC_DOMAIN, "b\xc3\xbc" "cher.example", "xn--bcher-kva.example" },
		{ SEC_DOMAIN, "a b", NULL },
		{ SEC_DOMAIN, "", NULL },
		{ SEC_PEER, ".Partner.example", ".partner.example" },
		{ SEC_PEER, "*.partner.example", NULL },
		{ SEC_CERTIFICATE, "mx.Example_1-a", "mx.Example_1-a" },
		{ SEC_CERTIFICATE, "a/b", NULL },
		{ SEC_CERTIFICATE, "a b", NULL },
		{ SEC_CERTIFICATE, "", NULL },
		{ SEC_CERTIFICATE, "b\xc3\xbc", NULL },
		{ SEC_CA, "1234567890123456789012345678901234567890123456789012345678901234",
		    "1234567890123456789012345678901234567890123456789012345678901234" },
		{ SEC_CA, "12345678901234567890123456789012345678901234567890123456789012345", NULL },
		{ SEC_MAX, "x", NULL },
	};
	char out[NAME_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *wrong = section_name_normal(cases[i].section, cases[i].in,
		    strlen(cases[i].in), out, sizeof(out));

		if ((wrong == NULL) != (cases[i].out != NULL))
			fail_msg("case %zu, %s: %s", i, cases[i].in, wrong);
		if (wrong == NULL)
			assert_string_equal(out, cases[i].out);
	}
	assert_non_null(section_name_normal(SEC_CA, "a\0b", 3, out, sizeof(out)));
	assert_non_null(section_name_normal(SEC_CA, "a", 1, out, 8));
}

static void
agentx(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
		{ "/var/agentx/master", true }, { "unix:/run/agentx", true },
		{ "tcp:localhost:705", true }, { "tcp:192.0.2.1:65535", true },
		{ "tcp6:[::1]:705", true }, { "agentx/master", false }, { "unix:agentx", false },
		{ "unix:", false }, { "tcp:", false }, { "tcp6:", false }, { "tcp:705", false },
		{ "tcp::705", false }, { "tcp:localhost:", false }, { "tcp:localhost:0", false },
		{ "tcp:localhost:65536", false }, { "tcp:localhost:000705", false },
		{ "tcp:localhost:70x", false }, { "tcp:local host:705", false },
		{ "udp:localhost:705", false }, { "", false },
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *wrong = value_text(KEY_AGENTX, cases[i].text, out, sizeof(out));

		if ((wrong == NULL) != cases[i].good)
			fail_msg("%s: %s", cases[i].text, wrong != NULL ? wrong : "taken");
		if (wrong == NULL)
			assert_string_equal(out, cases[i].text);
	}
	/* nowhere else */
	assert_non_null(value_text(KEY_FILE, "tcp:localhost:705", out, sizeof(out)));
	assert_non_null(value_text(KEY_STATE_DIR, "unix:/run/agentx", out, sizeof(out)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where),
		cmocka_unit_test(table),
		cmocka_unit_test(scalars),
		cmocka_unit_test(sections),
		cmocka_unit_test(names),
		cmocka_unit_test(agentx),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
