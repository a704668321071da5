/*
 * The decision: the table of policy_cases.h, the wording of replies and log
 * lines, STARTTLS, and what a front end is told to offer and to ask for.
 */
#include "policy_try.h"
#include "policy_cases.h"

#define NCASES (sizeof(policy_cases) / sizeof(policy_cases[0]))

static const char *
expected(const char *phase, const char *got, const char *want, const struct policy_case *c)
{
	if (strcmp(got, want) != 0)
		print_message("# %s: %s\n#   wanted %s\n#   got    %s\n", c->what, phase, want, got);
	return got;
}

static void
test_case(void **state)
{
	const struct policy_case *c = *state;
	struct settings *s = try_settings(c->ini);
	struct trial tr;
	struct facts at_mail;
	struct verdict v;
	char text[NAME_SIZE + 128];

	assert_non_null(s);
	try_facts(&tr, s, c->facts);
	at_mail = try_at_mail(&tr);
	policy_mail(s, &at_mail, &v);
	assert_string_equal(expected("MAIL", try_text(s, &v, text, sizeof(text)), c->mail, c),
	    c->mail);
	if (c->rcpt != NULL) {
		policy_rcpt(s, &tr.f, &v);
		assert_string_equal(expected("RCPT", try_text(s, &v, text, sizeof(text)),
		    c->rcpt, c), c->rcpt);
	}
	settings_free(s);
}

/* ---- replies ---- */

static const struct {
	const char *ini, *facts, *reply;
} replies[] = {
	{ REQUIRE, "", "530 5.7.0 Must issue a STARTTLS command first" },
	{ REQUIRE "; min_tls=1.3", "tls=1.1",
	    "554 5.7.1 TLS 1.1 was used, TLS 1.3 or later is required" },
	{ OFFER "[peer p.example] mode=require; min_tls=1.3", "tls=1.2",
	    "554 5.7.1 TLS 1.2 was used, TLS 1.3 or later is required for mail from p.example" },
	{ OFFER "[domain d.example] mode=require", "tls=1.0",
	    "554 5.7.1 TLS 1.0 was used, TLS 1.2 or later is required for mail to d.example" },
	{ REQUIRE, TLS "bits=56",
	    "554 5.7.1 A cipher of 56 bits was used, 128 bits are required" },
	{ OFFER "[peer .p.example] mode=require; min_bits=256", TLS "bits=128 from=a@x.p.example",
	    "554 5.7.1 A cipher of 128 bits was used, 256 bits are required for mail from .p.example" },
	{ CERT, TLS "cert=none",
	    "554 5.7.1 A client certificate is required, none was presented" },
	{ PEER_CERT, TLS "cert=none",
	    "554 5.7.1 A client certificate is required for mail from p.example, none was presented" },
	{ PEER_CERT, GOOD "names=q.example",
	    "554 5.7.1 Client certificate for p.example does not carry that name" },
	{ CERT "[client 203.0.113.0/24] cert_names=r.example", GOOD "names=q.example",
	    "554 5.7.1 Client certificate does not carry an accepted name" },
	{ PEER_CERT, TLS "cert=untrusted ca=partners:expired",
	    "554 5.7.1 Client certificate for p.example has expired" },
	{ CERT, TLS "cert=untrusted ca=partners:expired",
	    "554 5.7.1 Client certificate has expired" },
	{ CERT, TLS "cert=untrusted ca=partners:not-yet-valid",
	    "554 5.7.1 Client certificate is not valid yet" },
	{ CERT, TLS "cert=untrusted ca=partners:revoked",
	    "554 5.7.1 Client certificate has been revoked" },
	{ CERT, TLS "cert=untrusted ca=partners:purpose",
	    "554 5.7.1 Client certificate is not meant for TLS clients" },
	{ CERT, BAD, "554 5.7.1 Client certificate is not trusted here: unable to get local issuer certificate" },
	{ OFFER "[domain d.example] client_cert=require; ca=partners", BAD,
	    "554 5.7.1 Client certificate for mail to d.example is not trusted here: unable to get local issuer certificate" },
	{ OFFER "[peer p.example] client_cert=require; fingerprints=" AA, TLS "cert=trusted fp=bb",
	    "554 5.7.1 Client certificate for p.example is not the one expected" },
	{ PEER_CERT, SMTPD,
	    "451 4.3.5 Client certificate for p.example cannot be checked now, try again later" },
	{ CERT "; enforce=report", TLS "cert=none",
	    "554 5.7.1 A client certificate is required, none was presented" },
};

/* At MAIL, or at RCPT where MAIL lets it pass. */
static void
decide_both(const struct settings *s, const struct trial *tr, struct verdict *v)
{
	struct facts at_mail = try_at_mail(tr);

	policy_mail(s, &at_mail, v);
	if (v->action == ACT_LATER || v->action == ACT_ACCEPT)
		policy_rcpt(s, &tr->f, v);
}

static void
test_replies(void **state)
{
	struct trial tr;
	struct verdict v;

	(void)state;
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		struct settings *s = try_settings(replies[i].ini);

		assert_non_null(s);
		try_facts(&tr, s, replies[i].facts);
		decide_both(s, &tr, &v);
		assert_string_equal(v.reply, replies[i].reply);
		settings_free(s);
	}
}

/* A name of 253 octets in each reply that has room for one. */
static void
test_reply_long(void **state)
{
	static const char *const facts[] = {
		"tls=1.0", "tls=1.3 bits=1", "tls=1.3 cert=none", "tls=1.3 cert=trusted",
		"tls=1.3 cert=untrusted names=x.example",
		"tls=1.3 cert=trusted names=x.example",
	};
	char name[NAME_SIZE] = "", ini[1024], text[512];
	struct trial tr;
	struct verdict v;
	struct settings *s;

	(void)state;
	for (int i = 0; i < 3; i++)
		strncat(name, "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk.",
		    sizeof(name) - strlen(name) - 1);
	strncat(name, "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghi",
	    sizeof(name) - strlen(name) - 1);
	assert_int_equal(strlen(name), NAME_MAX_LEN);
	snprintf(ini, sizeof(ini), "[peer %s] mode=require; client_cert=require", name);
	assert_non_null(s = try_settings(ini));
	for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
		snprintf(text, sizeof(text), "%s from=a@%s", facts[i], name);
		try_facts(&tr, s, text);
		policy_mail(s, &tr.f, &v);
		assert_non_null(strstr(v.reply, name));
		assert_true(strlen(v.reply) < 510);
		assert_true(v.reply[3] == ' ');
	}
	settings_free(s);
}

static void
test_no_settings(void **state)
{
	struct trial tr;
	struct verdict v;
	char line[1024];

	(void)state;
	try_facts(&tr, NULL, TLS);
	for (int i = 0; i < 3; i++) {
		(i == 0 ? policy_mail : i == 1 ? policy_rcpt : policy_starttls)(NULL, &tr.f, &v);
		assert_int_equal(v.action, ACT_DEFER);
		assert_int_equal(v.reason, REASON_SETTINGS);
		assert_false(v.counted);
		assert_memory_equal(v.reply, "451 4.3.5 ", 10);
	}
	policy_log(NULL, &tr.f, &v, line, sizeof(line));
	assert_non_null(strstr(line, "decision=defer reason=settings rule=none session="));
	assert_true(policy_offers(NULL, &tr.f));
	assert_int_equal(policy_asks(NULL, &tr.f), CC_NONE);
	assert_false(policy_wants_cert(NULL, &tr.f));
	/* what came by no network has no rules to meet, readable or not */
	try_facts(&tr, NULL, "client=local");
	policy_mail(NULL, &tr.f, &v);
	assert_int_equal(v.action, ACT_ACCEPT);
}

/* ---- STARTTLS, offers, asks, wants ---- */

static const struct {
	const char *ini, *facts;
	bool offers;
	const char *starttls;
	enum client_cert asks;
} sessions[] = {
	{ "", "", true, "accept", CC_NONE },
	{ REQUIRE, "", true, "accept", CC_NONE },
	{ "[server] mode=none", "", false, "refuse tls-refused server/mode 502 +S", CC_NONE },
	{ "[server] mode=none; enforce=report", "", true,
	    "report tls-refused server/mode 502 +S", CC_NONE },
	{ OFFER "[listener 198.51.100.7:25] mode=none", "", false,
	    "refuse tls-refused listener 198.51.100.7:25/mode 502 +SL", CC_NONE },
	{ OFFER "[client 203.0.113.0/24] mode=none", "", false,
	    "refuse tls-refused client 203.0.113.0/24/mode 502 +SC", CC_NONE },
	{ "[server] mode=none [client 203.0.113.0/24] mode=offer", "", true, "accept", CC_NONE },
	{ "[server] mode=none", "client=local", true, "accept", CC_NONE },
	{ OFFER "; client_cert=request", "", true, "accept", CC_REQUEST },
	{ OFFER "; client_cert=request", "client=local", true, "accept", CC_NONE },
	{ CERT, "", true, "accept", CC_REQUEST },
	{ CERT "[listener 198.51.100.7:25] verifies=yes", "", true, "accept", CC_REQUIRE },
	{ CERT "[listener 198.51.100.8:25] verifies=yes", "", true, "accept", CC_REQUEST },
	{ OFFER "[listener 198.51.100.7:25] verifies=yes", "", true, "accept", CC_NONE },
	{ CERT "[client 203.0.113.0/24] client_cert=none", "", true, "accept", CC_NONE },
	{ OFFER "[peer q.example] client_cert=require", "", true, "accept", CC_REQUEST },
	{ OFFER "[peer q.example] client_cert=request", "", true, "accept", CC_REQUEST },
	{ OFFER "[domain q.example] client_cert=require", "", true, "accept", CC_REQUEST },
	{ OFFER "[peer q.example] client_cert=none", "", true, "accept", CC_NONE },
	{ "[server] mode=none [peer q.example] client_cert=require", "", false,
	    "refuse tls-refused server/mode 502 +S", CC_REQUEST },
};

static void
test_sessions(void **state)
{
	struct trial tr;
	struct verdict v;
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(sessions) / sizeof(sessions[0]); i++) {
		struct settings *s = try_settings(sessions[i].ini);

		assert_non_null(s);
		try_facts(&tr, s, sessions[i].facts);
		policy_starttls(s, &tr.f, &v);
		assert_string_equal(try_text(s, &v, text, sizeof(text)), sessions[i].starttls);
		assert_int_equal(policy_offers(s, &tr.f), sessions[i].offers);
		assert_int_equal(policy_asks(s, &tr.f), sessions[i].asks);
		settings_free(s);
	}
}

#define PEER_PIN PEER_CERT "; fingerprints=" AA " "
static const struct {
	const char *ini, *facts;
	bool mail, rcpt;
} wants[] = {
	{ CERT, SMTPD, false, false },				/* no name, no pin */
	{ PEER_CERT, SMTPD, false, false },			/* a fingerprint tells no name */
	{ PEER_PIN, SMTPD, true, true },
	{ PEER_CERT "; certs=/p/p.pem", SMTPD, true, true },
	{ PEER_CERT "; fingerprints=" KK, SMTPD, false, false },
	{ PEER_CERT "; fingerprints=" KK ", " BB, SMTPD, true, true },
	{ PEER_PIN, SMTPD "from=a@q.example", false, false },
	{ PEER_PIN, SMTPD "from=", false, false },
	{ PEER_PIN, TLS, false, false },			/* none was asked for */
	{ PEER_PIN, TLS "cert=none", false, false },
	{ PEER_PIN, "", false, false },
	{ PEER_PIN, SMTPD "auth", false, false },
	{ PEER_PIN, SMTPD "client=local", false, false },
	{ OFFER "[peer p.example] fingerprints=" AA, SMTPD, false, false },	/* not required */
	{ CERT "[client 203.0.113.0/24] fingerprints=" AA, SMTPD "from=", true, true },
	{ OFFER "[domain d.example] client_cert=require; fingerprints=" AA, SMTPD, false, true },
	{ OFFER "[domain d.example] client_cert=require; ca=partners", SMTPD, false, false },
	{ PEER_PIN "[domain e.example] mode=none", SMTPD, true, true },	/* at MAIL: see below */
};

static void
test_wants(void **state)
{
	struct trial tr;
	struct facts at_mail;

	(void)state;
	for (size_t i = 0; i < sizeof(wants) / sizeof(wants[0]); i++) {
		struct settings *s = try_settings(wants[i].ini);
		struct verdict v;

		assert_non_null(s);
		try_facts(&tr, s, wants[i].facts);
		at_mail = try_at_mail(&tr);
		policy_mail(s, &at_mail, &v);
		/* nothing is waited for at MAIL if RCPT decides */
		assert_int_equal(policy_wants_cert(s, &at_mail),
		    wants[i].mail && v.action != ACT_LATER);
		assert_int_equal(policy_wants_cert(s, &tr.f), wants[i].rcpt);
		settings_free(s);
	}
}

static const struct {
	const char *ini, *facts, *verdict;
} commits[] = {
	{ CERT "[listener 198.51.100.7:25] verifies=yes", SMTPD, "accept" },
	{ CERT "[listener 198.51.100.7:25] verifies=yes", TLS,
	    "defer cert-unknown listener 198.51.100.7:25/verifies 451 +SL" },
	{ OFFER "[listener *:25] verifies=yes", TLS,
	    "defer cert-unknown listener *:25/verifies 451 +SL" },
	{ OFFER "; enforce=report [listener *:25] verifies=yes", TLS,
	    "report cert-unknown listener *:25/verifies 451 +SL" },
	{ CERT "[listener 198.51.100.7:25] verifies=yes", "", "accept" },	/* in clear: MAIL's to judge */
	{ CERT "[listener 198.51.100.7:25] verifies=yes", TLS "client=local", "accept" },
	{ CERT "[listener 198.51.100.7:2525] verifies=yes", TLS, "accept" },
	{ CERT, TLS, "accept" },
};

static void
test_commit(void **state)
{
	struct trial tr;
	struct verdict v;
	char text[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(commits) / sizeof(commits[0]); i++) {
		struct settings *s = try_settings(commits[i].ini);

		assert_non_null(s);
		try_facts(&tr, s, commits[i].facts);
		policy_commit(s, &tr.f, &v);
		assert_string_equal(try_text(s, &v, text, sizeof(text)), commits[i].verdict);
		settings_free(s);
	}
	policy_commit(NULL, &tr.f, &v);
	assert_int_equal(v.action, ACT_DEFER);
}

/* ---- the log line ---- */

static void
test_log(void **state)
{
	struct settings *s = try_settings(PEER_CERT);
	struct trial tr;
	struct verdict v;
	char line[2048];

	(void)state;
	assert_non_null(s);
	try_facts(&tr, s, GOOD "names=q.example fp=ab helo=mx.q.example");
	policy_mail(s, &tr.f, &v);
	assert_ptr_equal(policy_log(s, &tr.f, &v, line, sizeof(line)), line);
	assert_string_equal(line, "decision=refuse reason=cert-name rule=\"peer p.example\" line=4"
	    " session=7b5ca11e0f0f0f0f listener=198.51.100.7:25 client=203.0.113.5"
	    " helo=mx.q.example tls=1.3 cipher=TLS_AES_256_GCM_SHA384 bits=256 cert=trusted"
	    " fingerprint=SHA256:" DIGITS64("ab") " from=a@p.example to=b@d.example"
	    " reply=\"554 5.7.1 Client certificate for p.example does not carry that name\""
	    " detail=\"wanted p.example, certificate has q.example\"");
	try_facts(&tr, s, "from= client=unknown");
	tr.f.recipient = "";
	policy_mail(s, &tr.f, &v);
	policy_log(s, &tr.f, &v, line, sizeof(line));
	assert_string_equal(line, "decision=accept reason=none rule=none"
	    " session=7b5ca11e0f0f0f0f listener=198.51.100.7:25 client=unknown"
	    " helo=mx.p.example tls=none from=<>");
	try_facts(&tr, s, "");
	policy_mail(s, &tr.f, &v);
	policy_log(s, &tr.f, &v, line, sizeof(line));
	assert_non_null(strstr(line, " rule=\"peer p.example\" line=5 "));	/* mode = */
	settings_free(s);
}

static void
test_log_escapes(void **state)
{
	struct settings *s = try_settings("");
	struct trial tr;
	struct verdict v;
	char line[2048], quotes[300];

	(void)state;
	assert_non_null(s);
	try_facts(&tr, s, "");
	tr.f.helo = "x y\" decision=accept\r\n\\";
	tr.f.sender = "\303\274|%n@p.example";
	policy_mail(s, &tr.f, &v);
	policy_log(s, &tr.f, &v, line, sizeof(line));
	assert_non_null(strstr(line, " helo=\"x y\\x22 decision=accept\\x0d\\x0a\\x5c\" tls="));
	assert_non_null(strstr(line, " from=\"\\xc3\\xbc|%n@p.example\" to="));
	/* of any length, that of the longest too, which as it is fits */
	memset(quotes, '"', sizeof(quotes));
	for (size_t n = 1; n < sizeof(quotes); n++) {
		tr.f.helo = quotes + sizeof(quotes) - 1 - n;
		quotes[sizeof(quotes) - 1] = '\0';
		policy_log(s, &tr.f, &v, line, sizeof(line));
		assert_non_null(strstr(line, " helo=\"\\x22"));
		assert_null(strstr(line, "\"\"\""));
	}
	settings_free(s);
}

/* Reads a log line back; false where a quote is open or an escape cut. */
static bool
line_whole(const char *p)
{
	while (*p != '\0') {
		while (*p >= 'a' && *p <= 'z')
			p++;
		if (*p++ != '=')
			return false;
		if (*p == '"') {
			for (p++; *p != '"'; p++) {
				if (*p == '\\' && (p[1] != 'x' || p[2] == '\0' || p[3] == '\0' ||
				    strspn(p + 2, "0123456789abcdef") < 2))
					return false;
				if (*p < ' ' || *p > '~')
					return false;
			}
			p++;
		} else {
			if (*p <= ' ')
				return false;
			for (; *p != ' ' && *p != '\0'; p++)
				if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
					return false;
		}
		if (*p == ' ' && *++p == '\0')
			return false;
	}
	return true;
}

/* Every size of the buffer, and octets of every value. */
static void
test_log_sizes(void **state)
{
	struct settings *s = try_settings(PEER_CERT);
	char helo[600], sender[600], line[2048 + 1], longest[2048];
	struct trial tr;
	struct verdict v;

	(void)state;
	assert_non_null(s);
	try_facts(&tr, s, GOOD "names=q.example");
	for (size_t i = 0; i < sizeof(helo) - 1; i++) {
		helo[i] = (char)(1 + i * 7 % 255);
		sender[i] = (char)(255 - i % 255);
	}
	helo[sizeof(helo) - 1] = sender[sizeof(sender) - 1] = '\0';
	tr.f.helo = helo;
	tr.f.sender = sender;
	policy_mail(s, &tr.f, &v);
	policy_log(s, &tr.f, &v, longest, sizeof(longest));
	assert_true(line_whole(longest));
	assert_non_null(strstr(longest, " to=b@d.example reply="));	/* nothing is pushed out */
	for (size_t size = 1; size < sizeof(line); size++) {
		line[size] = '#';
		policy_log(s, &tr.f, &v, line, size);
		assert_true(strlen(line) < size);
		assert_int_equal(line[size], '#');
		if (line[0] != '\0' && !line_whole(line))
			fail_msg("size %zu: %s", size, line);
	}
	line[0] = '#';
	policy_log(s, &tr.f, &v, line, 0);
	assert_int_equal(line[0], '#');
	settings_free(s);
}

static void
test_rule_names(void **state)
{
	struct settings *s = try_settings("[peer p.example] mode=none [client 2001:db8::/32] mode=none");
	char buf[64], tiny[5];

	(void)state;
	assert_non_null(s);
	assert_string_equal(policy_rule_name(s, NULL, buf, sizeof(buf)), "none");
	assert_string_equal(policy_rule_name(s, settings_find(s, SEC_SERVER, ""), buf, sizeof(buf)),
	    "server");
	assert_string_equal(policy_rule_name(s, settings_at(s, SEC_PEER, 0), buf, sizeof(buf)),
	    "peer p.example");
	assert_string_equal(policy_rule_name(s, settings_at(s, SEC_CLIENT, 0), buf, sizeof(buf)),
	    "client 2001:db8::/32");
	assert_string_equal(policy_rule_name(s, settings_at(s, SEC_PEER, 0), tiny, sizeof(tiny)),
	    "peer");
	for (int r = 0; r < REASON_MAX; r++)
		assert_non_null(reason_words[r]);
	settings_free(s);
}

int
main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_reply_long),
		cmocka_unit_test(test_no_settings),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_wants),
		cmocka_unit_test(test_commit),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_log_escapes),
		cmocka_unit_test(test_log_sizes),
		cmocka_unit_test(test_rule_names),
	};
	static struct CMUnitTest all[NCASES + sizeof(others) / sizeof(others[0])];

	for (size_t i = 0; i < NCASES; i++) {
		all[i].name = policy_cases[i].what;
		all[i].test_func = test_case;
		all[i].initial_state = (void *)(uintptr_t)&policy_cases[i];
	}
	memcpy(all + NCASES, others, sizeof(others));
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("policy", all, NULL, NULL);
}
