/*
 * What is to be probed, and what the comparison of a listener with the settings
 * says: a table of what was seen and what was wanted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe.h"
#include "probe_file.h"
#include "probe_certs.h"
#include "read.h"

#define NOW 1800000000
#define DAY 86400

static struct settings *
parse(const char *text)
{
	struct settings *s;

	s = settings_parse(text, strlen(text), "test.ini", NULL, false, read_report_file, stderr);
	assert_non_null(s);
	return s;
}

/* ---- comparison ---- */

/* A listener that is as it should be, and settings that it fits. */
static void
good(struct probe_result *r, struct probe_expect *e)
{
	memset(r, 0, sizeof(*r));
	memset(e, 0, sizeof(*e));
	r->reachable = r->starttls = r->tls = true;
	snprintf(r->software, sizeof(r->software), "OpenSMTPD");
	r->version = TLS_1_3;
	snprintf(r->cipher, sizeof(r->cipher), "TLS_AES_256_GCM_SHA384");
	r->bits = 256;
	r->chain_len = 2;
	memset(r->chain[0], 'a', 32);
	memset(r->chain[1], 'b', 32);
	snprintf(r->subject, sizeof(r->subject), "CN=mx.example.org");
	r->not_before = NOW - 30 * DAY;
	r->not_after = NOW + 60 * DAY;
	e->mode = MODE_OFFER;
	e->min_tls = TLS_1_2;
	e->min_bits = 128;
	snprintf(e->certificate, sizeof(e->certificate), "mx");
	snprintf(e->file, sizeof(e->file), "/mx.pem");
	snprintf(e->subject, sizeof(e->subject), "%s", r->subject);
	e->not_before = r->not_before;
	e->chain_len = 2;
	memcpy(e->chain, r->chain, sizeof(e->chain));
}

struct row {
	const char *name;
	void (*change)(struct probe_result *, struct probe_expect *);
	const char *found;		/* the words of the findings, in order */
	const char *says, *also;	/* parts of the first one's sentence */
};

#define CHANGE(name) static void name(struct probe_result *r, struct probe_expect *e)
CHANGE(nothing) { (void)r; (void)e; }
CHANGE(down)
{
	good(r, e);
	r->reachable = r->tls = false;
	snprintf(r->error, sizeof(r->error), "nobody listens");
}
CHANGE(clear) { (void)e; r->starttls = r->tls = false; }
CHANGE(clear_exim) { clear(r, e); snprintf(r->software, sizeof(r->software), "Exim"); }
CHANGE(clear_other) { clear(r, e); r->software[0] = '\0'; }
CHANGE(clear_required) { clear(r, e); e->mode = MODE_REQUIRE; }
CHANGE(clear_none) { clear(r, e); e->mode = MODE_NONE; }
CHANGE(smtps) { (void)e; r->starttls = false; r->smtps = true; }
CHANGE(smtps_required) { smtps(r, e); e->mode = MODE_REQUIRE; }
CHANGE(smtps_none) { smtps(r, e); e->mode = MODE_NONE; }
CHANGE(offered_none) { (void)r; e->mode = MODE_NONE; }
CHANGE(refused)
{
	(void)e;
	r->tls = false;
	snprintf(r->starttls_reply, sizeof(r->starttls_reply), "454 TLS not available");
}
CHANGE(refused_none) { refused(r, e); e->mode = MODE_NONE; }
CHANGE(failed) { (void)e; r->tls = false; snprintf(r->error, sizeof(r->error), "handshake failed"); }
CHANGE(failed_later) { (void)e; snprintf(r->error, sizeof(r->error), "it answers EHLO with 554"); }
CHANGE(old_tls) { (void)e; r->version = TLS_1_1; }
CHANGE(just_tls) { (void)e; r->version = TLS_1_2; }
CHANGE(weak) { (void)e; r->bits = 112; }
CHANGE(just_bits) { (void)e; r->bits = 128; }
CHANGE(renewed) { (void)r; memset(e->chain[0], 'c', 32); e->not_before += 20 * DAY; }
CHANGE(renewed_exim) { renewed(r, e); snprintf(r->software, sizeof(r->software), "Exim"); }
CHANGE(renewed_other) { renewed(r, e); r->software[0] = '\0'; }
CHANGE(different) { renewed(r, e); snprintf(r->subject, sizeof(r->subject), "CN=other"); }
CHANGE(older_file) { renewed(r, e); e->not_before = r->not_before - DAY; }
CHANGE(no_file) { renewed(r, e); e->file[0] = '\0'; e->chain_len = 0; }
CHANGE(bad_file)
{
	renewed(r, e);
	e->chain_len = 0;
	snprintf(e->file_error, sizeof(e->file_error), "permission denied");
}
CHANGE(cut) { (void)e; r->chain_len = 1; }
CHANGE(longer) { (void)e; r->chain_len = 3; }
CHANGE(expired) { (void)e; r->not_after = NOW - 1; }
CHANGE(last_second) { (void)e; r->not_after = NOW; }
CHANGE(early) { (void)e; r->not_before = NOW + 1; }
CHANGE(want_request) { (void)r; e->client_cert = CC_REQUEST; }
CHANGE(want_require) { (void)r; e->client_cert = CC_REQUIRE; }
CHANGE(want_verify) { (void)r; e->verifies = true; }
CHANGE(asks_request) { want_request(r, e); r->asks = true; }
CHANGE(asks_require) { want_require(r, e); r->asks = true; }
CHANGE(asks_verify) { want_verify(r, e); r->asks = true; }
CHANGE(insists) { asks_verify(r, e); r->insists = true; }
CHANGE(asks_unwanted) { (void)e; r->asks = true; }
CHANGE(all_at_once)
{
	renewed(r, e);
	expired(r, e);
	want_verify(r, e);
	weak(r, e);
	e->mode = MODE_NONE;
}

static const struct row rows[] = {
	{ "as it should be", nothing, "", NULL, NULL },
	{ "down", down, "unreachable", "nobody listens", NULL },
	{ "in clear", clear, "no-starttls", "`tls pki NAME`", "mode = offer; " },
	{ "in clear, Exim", clear_exim, "no-starttls", "tls_advertise_hosts", NULL },
	{ "in clear, another", clear_other, "no-starttls", "switch it on", NULL },
	{ "in clear, required", clear_required, "no-starttls", "all mail is refused", "mode = require" },
	{ "in clear, as wanted", clear_none, "", NULL, NULL },
	{ "smtps", smtps, "", NULL, NULL },
	{ "smtps, required", smtps_required, "", NULL, NULL },
	{ "smtps, but none", smtps_none, "tls-unwanted", "`smtps`", NULL },
	{ "offered, but none", offered_none, "tls-unwanted", "`tls`", "`filter`" },
	{ "refused", refused, "starttls-refused", "\"454 TLS not available\"", "mode = offer" },
	{ "refused, and none", refused_none, "tls-unwanted", "454", NULL },
	{ "handshake", failed, "tls-failed", "handshake failed", NULL },
	{ "behind the handshake", failed_later, "tls-failed", "554", NULL },
	{ "TLS 1.1", old_tls, "tls-weak", "TLS 1.1 at best", "min_tls = 1.2" },
	{ "TLS 1.2", just_tls, "", NULL, NULL },
	{ "112 bits", weak, "tls-weak", "112 bits", "min_bits = 128" },
	{ "128 bits", just_bits, "", NULL, NULL },
	{ "renewed", renewed, "other-certificate", "before /mx.pem was renewed",
	    "smtpd keeps certificates in memory: restart it" },
	{ "renewed, Exim", renewed_exim, "other-certificate", "tls_certificate", NULL },
	{ "renewed, another", renewed_other, "other-certificate", "has to be restarted", NULL },
	{ "another subject", different, "other-certificate", "shows another certificate than /mx.pem",
	    "SHA256:6161" },
	{ "newer than the file", older_file, "other-certificate", "another certificate", NULL },
	{ "none is set", no_file, "", NULL, NULL },
	{ "unreadable", bad_file, "file-unreadable", "/mx.pem: permission denied", NULL },
	{ "chain cut", cut, "chain-short", "1 of the 2", NULL },
	{ "chain with its root", longer, "", NULL, NULL },
	{ "expired", expired, "expired", "expired on 2027-01-15 07:59 UTC", NULL },
	{ "its last second", last_second, "", NULL, NULL },
	{ "not yet", early, "not-yet-valid", "2027-01-15 08:00 UTC", NULL },
	{ "not asking, request", want_request, "not-asking", "client_cert = request", "`verify`" },
	{ "not asking, require", want_require, "not-asking", "client_cert = require", NULL },
	{ "not asking, verifies", want_verify, "not-asking", "verifies = yes", NULL },
	{ "asking, request", asks_request, "", NULL, NULL },
	{ "asking, require: refused by reply", asks_require, "", NULL, NULL },
	{ "asking, verifies", asks_verify, "not-verifying", "verifies = yes", "tls-require verify" },
	{ "insisting", insists, "", NULL, NULL },
	{ "asking without need", asks_unwanted, "", NULL, NULL },
	{ "all at once", all_at_once,
	    "tls-unwanted tls-weak other-certificate expired not-asking", NULL, NULL },
};

static const char *
words(const struct probe_found *found, size_t n, char *buf, size_t size)
{
	int len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < n; i++)
		len += snprintf(buf + len, size - (size_t)len, "%s%s", i > 0 ? " " : "",
		    probe_words[found[i].what]);
	return buf;
}

static void
test_compare(void **state)
{
	struct probe_target t = { .listener = { .family = ADDR_IPV4, .port = 25 } };
	struct probe_found found[PROBE_FINDINGS];
	struct probe_result r;
	struct probe_expect e;
	char buf[512];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		good(&r, &e);
		rows[i].change(&r, &e);
		n = probe_compare(&t, &e, &r, NULL, NOW, found);
		if (strcmp(words(found, n, buf, sizeof(buf)), rows[i].found) != 0)
			fail_msg("%s: wanted \"%s\", got \"%s\"", rows[i].name, rows[i].found, buf);
		for (size_t k = 0; k < 2; k++) {
			const char *part = k == 0 ? rows[i].says : rows[i].also;

			if (part != NULL && strstr(found[0].text, part) == NULL)
				fail_msg("%s: no \"%s\" in \"%s\"", rows[i].name, part, found[0].text);
		}
		for (size_t k = 0; k < n; k++) {
			assert_int_not_equal(found[k].text[0], '\0');
			assert_true(k == 0 || found[k - 1].what < found[k].what);
		}
	}
}

/* The findings of a probe by name, when the one without a name was `plain`. */
static const char *
by_name(const struct probe_expect *e, const struct probe_result *r,
    const struct probe_result *plain, char *buf, size_t size)
{
	struct probe_target t = { .sni = "other.example.org", .certificate = "other" };
	struct probe_found found[PROBE_FINDINGS];

	return words(found, probe_compare(&t, e, r, plain, NOW, found), buf, size);
}

static void
test_compare_names(void **state)
{
	struct probe_result plain, r;
	struct probe_expect e;
	char buf[512];

	(void)state;
	good(&plain, &e);
	r = plain;
	memset(r.chain[0], 'o', 32);
	memcpy(e.chain[0], r.chain[0], 32);
	assert_string_equal(by_name(&e, &r, &plain, buf, sizeof(buf)), "");

	/* The server shows what it shows without a name: it does not choose by SNI. */
	assert_string_equal(by_name(&e, &plain, &plain, buf, sizeof(buf)), "");
	snprintf(plain.software, sizeof(plain.software), "Exim");
	assert_string_equal(by_name(&e, &plain, &plain, buf, sizeof(buf)), "other-certificate");

	memset(r.chain[0], 'x', 32);
	assert_string_equal(by_name(&e, &r, &plain, buf, sizeof(buf)), "other-certificate");

	/* What is wrong with the listener was said without the name already. */
	memcpy(r.chain[0], e.chain[0], 32);
	e.mode = MODE_NONE;
	e.client_cert = CC_REQUIRE;
	e.min_tls = TLS_1_3;
	r.version = TLS_1_2;
	assert_string_equal(by_name(&e, &r, &plain, buf, sizeof(buf)), "");
	r.not_after = NOW - 1;
	assert_string_equal(by_name(&e, &r, &plain, buf, sizeof(buf)), "expired");
	down(&r, &e);
	assert_string_equal(by_name(&e, &r, &plain, buf, sizeof(buf)), "unreachable");
	assert_string_equal(by_name(&e, &r, &r, buf, sizeof(buf)), "");
}

/* Longest of everything: no sentence runs over. */
static void
test_compare_long(void **state)
{
	struct probe_target t = { .sni = "" };
	struct probe_found found[PROBE_FINDINGS];
	struct probe_result *r = calloc(1, sizeof(*r));
	struct probe_expect *e = calloc(1, sizeof(*e));
	size_t n;

	(void)state;
	assert_non_null(r);
	assert_non_null(e);
	memset(r->subject, 's', sizeof(r->subject) - 1);
	memset(r->cipher, 'c', sizeof(r->cipher) - 1);
	memset(r->error, 'e', sizeof(r->error) - 1);
	memset(r->starttls_reply, 'r', sizeof(r->starttls_reply) - 1);
	memset(e->file, 'f', sizeof(e->file) - 1);
	memset(e->file_error, 'w', sizeof(e->file_error) - 1);
	r->reachable = r->tls = r->starttls = true;
	r->chain_len = e->chain_len = 1;
	e->chain[0][0] = 1;
	e->mode = MODE_REQUIRE;
	e->min_bits = UINT32_MAX;
	e->verifies = true;
	r->bits = 1;
	for (int i = 0; i < 4; i++) {
		if (i == 1)
			e->file_error[0] = '\0';
		if (i == 2)
			r->not_after = INT64_MIN;
		if (i == 3)
			r->not_after = r->not_before = INT64_MAX;
		n = probe_compare(&t, e, r, NULL, NOW, found);
		assert_true(n >= 4 && n <= PROBE_FINDINGS);
		for (size_t k = 0; k < n; k++)
			assert_true(strlen(found[k].text) < PROBE_TEXT);
	}
	free(r);
	free(e);
}

/* ---- targets ---- */

static const char *
targets(const char *ini, size_t names, char *buf, size_t size)
{
	struct settings *s = parse(ini);
	struct probe_target *t;
	size_t n = probe_targets(s, names, &t, NULL);
	char address[ADDR_TEXT];
	int len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < n; i++)
		len += snprintf(buf + len, size - (size_t)len, "%s%s%s%s%s", i > 0 ? " " : "",
		    addr_format_listener(&t[i].listener, address), t[i].sni[0] != '\0' ? "/" : "",
		    t[i].sni, t[i].certificate[0] != '\0' ? "" : "");
	free(t);
	settings_free(s);
	return buf;
}

static void
test_targets(void **state)
{
	char buf[1024];

	(void)state;
	assert_string_equal(targets("[server]\n", 8, buf, sizeof(buf)), "*:25");
	assert_string_equal(targets("[listener 192.0.2.1:25]\n[listener [2001:db8::1]:465]\n[listener *:26]\n",
	    8, buf, sizeof(buf)), "*:26 192.0.2.1:25 [2001:db8::1]:465");
#define CERTIFICATES "[certificate a]\nfile = /a.pem\nkey = /a.key\nnames = a.example, both.example\n" \
	"[certificate b]\nfile = /b.pem\nkey = /b.key\nnames = both.example, b.example, *.b.example, .c.example\n"
	assert_string_equal(targets("[server]\ncertificate = a\n" CERTIFICATES, 8, buf, sizeof(buf)),
	    "*:25 *:25/b.example *:25/probe.b.example *:25/probe.c.example");
	assert_string_equal(targets("[server]\ncertificate = a\n" CERTIFICATES, 1, buf, sizeof(buf)),
	    "*:25 *:25/b.example");
	assert_string_equal(targets("[server]\ncertificate = a\n" CERTIFICATES, 0, buf, sizeof(buf)), "*:25");
	/* The listener's own goes over the server's; without any, the first that has the name. */
	assert_string_equal(targets("[server]\ncertificate = a\n[listener *:25]\ncertificate = b\n"
	    CERTIFICATES, 8, buf, sizeof(buf)), "*:25 *:25/a.example");
	assert_string_equal(targets(CERTIFICATES, 1, buf, sizeof(buf)), "*:25 *:25/a.example *:25/b.example");
}

static void
test_targets_bound(void **state)
{
	size_t size = 200000, len = 0, n, left, plain = 0;
	char *ini = malloc(size), address[ADDR_TEXT];
	struct probe_target *t;
	struct settings *s;

	(void)state;
	assert_non_null(ini);
	for (int i = 0; i < 2000; i++)
		len += (size_t)snprintf(ini + len, size - len, "[listener 10.0.%d.%d:25]\n", i / 250, i % 250);
	s = parse(ini);
	n = probe_targets(s, 8, &t, &left);
	assert_int_equal(n, PROBE_TARGETS_MAX);
	assert_int_equal(left, 2000 - PROBE_TARGETS_MAX);
	assert_string_equal(addr_format_listener(&t[0].listener, address), "10.0.0.0:25");
	free(t);
	settings_free(s);

	/* No name is in the way of a listener. */
	len = 0;
	for (int i = 0; i < 1000; i++)
		len += (size_t)snprintf(ini + len, size - len, "[listener 10.0.%d.%d:25]\n", i / 250, i % 250);
	snprintf(ini + len, size - len, "[certificate a]\nfile = /a.pem\nkey = /a.key\n"
	    "names = a.example, b.example\n");
	s = parse(ini);
	n = probe_targets(s, 8, &t, &left);
	assert_int_equal(n, PROBE_TARGETS_MAX);
	assert_int_equal(left, 3000 - PROBE_TARGETS_MAX);
	for (size_t i = 0; i < n; i++)
		plain += t[i].sni[0] == '\0';
	assert_int_equal(plain, 1000);
	free(t);
	settings_free(s);
	free(ini);
}

/* ---- what the tables say ---- */

static void
test_seen(void **state)
{
	struct probe_target t = { .sni = "b.example" };
	struct probe_result *r = calloc(1, sizeof(*r));
	struct probe_expect *e = calloc(1, sizeof(*e));
	struct probe_found found = { .what = PROBE_OTHER_CERTIFICATE };
	struct probe_seen p;

	(void)state;
	assert_non_null(r);
	assert_non_null(e);
	snprintf(e->certificate, sizeof(e->certificate), "b");
	e->chain_len = r->chain_len = 1;
	e->chain[0][0] = r->chain[0][0] = 1;
	r->tls = true;
	probe_seen_set(&p, &t, e, r, NULL, 0, 1);
	assert_int_equal(p.shown, SHOWN_SAME);
	r->chain[0][0] = 2;		/* a server that does not choose by name: no finding */
	probe_seen_set(&p, &t, e, r, NULL, 0, 1);
	assert_int_equal(p.shown, SHOWN_UNKNOWN);
	probe_seen_set(&p, &t, e, r, &found, 1, 1);
	assert_int_equal(p.shown, SHOWN_OTHER);
	free(r);
	free(e);
}

/* ---- what is expected ---- */

static void
test_expect(void **state)
{
	struct probe_target t = { .listener = { .family = ADDR_IPV4, .prefix = 32, .port = 25,
	    .ip = { 192, 0, 2, 1 } } };
	struct probe_result *r = calloc(1, sizeof(*r));
	struct probe_expect *e = calloc(1, sizeof(*e));
	struct certs c;
	struct settings *s;
	char path[] = "/tmp/test_probe.XXXXXX", ini[1024];

	(void)state;
	assert_non_null(r);
	assert_non_null(e);
	certs_make(&c, 2, 0);
	certs_write(&c, path);
	snprintf(ini, sizeof(ini), "[server]\nmode = require\ncertificate = a\n"
	    "[listener 192.0.2.1:25]\nverifies = yes\nclient_cert = require\nmin_tls = 1.3\n"
	    "[client 198.51.100.0/24]\nmode = none\ncertificate = b\n"
	    "[certificate a]\nfile = %s\nkey = /a.key\n[certificate b]\nfile = /nowhere/b.pem\nkey = /b.key\n", path);
	s = parse(ini);

	r->to = t.listener;
	probe_expect(s, &t, r, e);
	assert_int_equal(e->mode, MODE_REQUIRE);
	assert_int_equal(e->client_cert, CC_REQUIRE);
	assert_int_equal(e->min_tls, TLS_1_3);
	assert_true(e->verifies);
	assert_string_equal(e->certificate, "a");
	assert_string_equal(e->file, path);
	assert_string_equal(e->file_error, "");
	assert_string_equal(e->subject, "CN=leaf");
	/* leaf and intermediate; the root behind them need not be sent */
	assert_int_equal(c.n, 3);
	assert_int_equal(e->chain_len, 2);
	assert_memory_equal(e->chain[0], c.digest[0], 32);
	assert_memory_equal(e->chain[1], c.digest[1], 32);

	/* The network that the probe comes from goes over the listener. */
	r->from = (struct addr){ .family = ADDR_IPV4, .prefix = 32, .ip = { 198, 51, 100, 9 } };
	probe_expect(s, &t, r, e);
	assert_int_equal(e->mode, MODE_NONE);
	assert_string_equal(e->certificate, "b");
	assert_string_equal(e->file, "/nowhere/b.pem");
	assert_non_null(strstr(e->file_error, "no such file"));
	assert_int_equal(e->chain_len, 0);

	/* By name: that certificate, whatever the rules have. */
	snprintf(t.sni, sizeof(t.sni), "a.example");
	snprintf(t.certificate, sizeof(t.certificate), "a");
	probe_expect(s, &t, r, e);
	assert_string_equal(e->certificate, "a");
	assert_int_equal(e->chain_len, 2);

	/* Never connected, and no rule for it. */
	memset(r, 0, sizeof(*r));
	memset(&t, 0, sizeof(t));
	t.listener.family = ADDR_ANY;
	t.listener.port = 26;
	probe_expect(s, &t, r, e);
	assert_int_equal(e->mode, MODE_REQUIRE);
	assert_false(e->verifies);
	assert_string_equal(e->certificate, "a");

	unlink(path);
	certs_free(&c);
	settings_free(s);
	free(r);
	free(e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_compare_names),
		cmocka_unit_test(test_compare_long),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_targets_bound),
		cmocka_unit_test(test_seen),
		cmocka_unit_test(test_expect),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
