/*
 * For fuzzers: settings that have something of everything, and all that the
 * decision and its texts say of facts.  A broken promise ends the process.
 */
#ifndef TLSWARD_TESTS_FUZZ_SETTINGS_H
#define TLSWARD_TESTS_FUZZ_SETTINGS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"
#include "read.h"

#define must(x) ((x) ? (void)0 : fuzz_broken(#x, __FILE__, __LINE__))
#define assert_true(x) must(x)
#define assert_string_not_equal(a, b) must(strcmp((a), (b)) != 0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
fuzz_broken(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
	abort();
}

#include "ask_settings.h"

/* So that it is used in those that ask nothing. */
__attribute__((unused)) static size_t (*const fuzz_ask)(const struct settings *) = ask;

#define FUZZ_HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
static const char fuzz_text[] =
    "[server]\nmode = offer\nca = partners\nstate_dir = /nonexistent\n"
    "[listener *:25]\nverifies = yes\nclient_cert = require\n[listener 10.1.2.3:25]\nmode = none\n"
    "[client 10.0.0.0/8]\nmode = require\n[client 2001:db8::/32]\nenforce = report\n"
    "[domain a.example]\nmode = require\n[domain .b.example]\nmin_tls = 1.3\n"
    "[domain c.example]\nmode = none\n"
    "[peer a.example]\nclient_cert = require\ncert_names = a.example, .a.example, *.c.example\n"
    "fingerprints = SHA256:" FUZZ_HEX ",\n SPKI-SHA256:" FUZZ_HEX "\ncerts = /nonexistent.pem\n"
    "[peer b.example]\nclient_cert = require\nca = partners\nmatch_cn = yes\n"
    "[peer p.example]\nclient_cert = require\nfingerprints = SHA256:" FUZZ_HEX "\n"
    "[certificate mx]\nfile = /mx.pem\nkey = /mx.key\nnames = mx.example\n"
    "[ca partners]\nfile = /nonexistent.pem\npurpose = client\n[agent]\nexpiry_days = 30, 7\nnotify_except = mode-changed\n";

__attribute__((unused)) static struct settings *
fuzz_settings(void)
{
	struct settings *s = settings_parse(fuzz_text, sizeof(fuzz_text) - 1, "fuzz", NULL, false,
	    NULL, NULL);

	must(s != NULL);
	return s;
}

static void
fuzz_verdict(const struct settings *s, const struct facts *f, const struct verdict *v)
{
	char line[1024], rule[64];

	must(v->action <= ACT_DEFER && v->reason < REASON_MAX);
	must((v->action == ACT_REFUSE || v->action == ACT_DEFER) <= (v->reply[0] != '\0'));
	must(v->reply[0] == '\0' || v->reply[0] == '4' || v->reply[0] == '5');
	for (const char *p = v->reply; *p != '\0'; p++)
		must(*p >= ' ' && *p <= '~' && *p != '|');
	policy_log(s, f, v, line, sizeof(line));
	must(strncmp(line, "decision=", 9) == 0);
	for (const char *p = line; *p != '\0'; p++)
		must(*p >= ' ' && *p <= '~');
	policy_rule_name(s, v->rule, rule, sizeof(rule));
}

__attribute__((unused)) static void
fuzz_decide(const struct settings *s, const struct facts *f)
{
	struct facts mail = *f;
	struct verdict v;

	mail.recipient = mail.recipient_domain = "";
	policy_starttls(s, &mail, &v);
	fuzz_verdict(s, &mail, &v);
	policy_mail(s, &mail, &v);
	fuzz_verdict(s, &mail, &v);
	policy_rcpt(s, f, &v);
	fuzz_verdict(s, f, &v);
	policy_commit(s, f, &v);
	fuzz_verdict(s, f, &v);
	(void)policy_offers(s, f);
	(void)policy_asks(s, f);
	(void)policy_needs_cert(s, f);
	(void)policy_wants_cert(s, f);
}

#endif
