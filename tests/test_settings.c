/*
 * The settings: what is found, in which order, by which name, suffix or
 * prefix; large files; and images that somebody damaged.
 */
#include <sys/mman.h>
#include <sys/wait.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask_settings.h"
#include "build.h"
#include "image.h"
#include "read.h"

#define MANY 100000
#define DAMAGES 4000

static uint32_t
dice(void)
{
	static uint64_t x = 0x2545f4914f6cdd1du;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 16);
}

static struct settings *
parse(const char *text)
{
	struct settings *s;

	s = settings_parse(text, strlen(text), "test.ini", NULL, false, read_report_file, stderr);
	assert_non_null(s);
	return s;
}

/* The name of the rule that matches, "-": none. */
static const char *
matched(const struct settings *s, const char *name)
{
	const struct rule *r = settings_match(s, SEC_DOMAIN, name);

	return r != NULL ? settings_name(s, r) : "-";
}

static void
test_match(void **state)
{
	struct settings *s = parse("[domain example.org]\n[domain .example.org]\n"
	    "[domain .b.a.example.org]\n[domain mx.b.a.example.org]\n[domain .net]\n"
	    "[peer com]\n[peer .com]\n");

	(void)state;
	assert_string_equal(matched(s, "example.org"), "example.org");
	assert_string_equal(matched(s, "a.example.org"), ".example.org");
	assert_string_equal(matched(s, "b.a.example.org"), ".example.org");
	assert_string_equal(matched(s, "c.b.a.example.org"), ".b.a.example.org");
	assert_string_equal(matched(s, "d.c.b.a.example.org"), ".b.a.example.org");
	assert_string_equal(matched(s, "mx.b.a.example.org"), "mx.b.a.example.org");
	assert_string_equal(matched(s, "mx.mx.b.a.example.org"), ".b.a.example.org");
	assert_string_equal(matched(s, "xexample.org"), "-");
	assert_string_equal(matched(s, "org"), "-");
	assert_string_equal(matched(s, "net"), "-");
	assert_string_equal(matched(s, "x.net"), ".net");
	assert_string_equal(matched(s, "com"), "-");		/* a peer's */
	assert_string_equal(matched(s, ""), "-");
	assert_string_equal(matched(s, "."), "-");
	assert_string_equal(matched(s, ".net"), ".net");
	assert_string_equal(matched(s, "example.org."), "-");	/* not in kept form */
	assert_string_equal(settings_name(s, settings_match(s, SEC_PEER, "com")), "com");
	assert_string_equal(settings_name(s, settings_match(s, SEC_PEER, "a.com")), ".com");
	settings_free(s);
}

static void
test_long_names(void **state)
{
	char name[NAME_MAX_LEN + 1], below[NAME_SIZE], text[1024], longer[600];
	struct settings *s;

	(void)state;
	for (size_t i = 0; i < NAME_MAX_LEN; i++)
		name[i] = i % 64 == 63 ? '.' : 'a';
	name[NAME_MAX_LEN] = '\0';
	(void)snprintf(below, sizeof(below), ".%s", name + 64);
	(void)snprintf(text, sizeof(text), "[domain %s]\n[domain %s]\n", name, below);
	s = parse(text);
	assert_string_equal(matched(s, name), name);
	name[0] = 'b';
	assert_string_equal(matched(s, name), below);
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	memcpy(longer + sizeof(longer) - 1 - strlen(below), below, strlen(below));
	assert_string_equal(matched(s, longer), "-");
	settings_free(s);
}

static const char *
by_listener(const struct settings *s, const char *text)
{
	const struct rule *r;
	struct addr a;

	(void)addr_socket(text, strlen(text), &a);
	r = settings_listener(s, &a);
	return r != NULL ? settings_name(s, r) : "-";
}

static void
test_listener(void **state)
{
	struct settings *s = parse("[listener 198.51.100.7:25]\n[listener *:25]\n"
	    "[listener [2001:db8::7]:587]\n[listener *:465]\n");

	(void)state;
	assert_string_equal(by_listener(s, "198.51.100.7:25"), "198.51.100.7:25");
	assert_string_equal(by_listener(s, "[::ffff:198.51.100.7]:25"), "198.51.100.7:25");
	assert_string_equal(by_listener(s, "198.51.100.8:25"), "*:25");
	assert_string_equal(by_listener(s, "[2001:db8::7]:25"), "*:25");
	assert_string_equal(by_listener(s, "[2001:db8::7]:587"), "[2001:db8::7]:587");
	assert_string_equal(by_listener(s, "[2001:db8::8]:587"), "-");
	assert_string_equal(by_listener(s, "198.51.100.7:465"), "*:465");
	assert_string_equal(by_listener(s, "unix:/run/smtpd.sock"), "-");
	assert_string_equal(by_listener(s, "nonsense"), "-");
	settings_free(s);
}

static const char *
by_client(const struct settings *s, const char *text)
{
	const struct rule *r;
	struct addr a;

	(void)addr_ip(text, strlen(text), &a);
	r = settings_client(s, &a);
	return r != NULL ? settings_name(s, r) : "-";
}

static void
test_client(void **state)
{
	struct settings *s = parse("[client 10.0.0.0/8]\n[client 10.1.0.0/16]\n"
	    "[client 10.1.2.3]\n[client 10.1.2.2/31]\n[client 2001:db8::/32]\n"
	    "[client 2001:db8:0:1::/64]\n[client 2001:db8::1/128]\n[client 192.0.2.128/25]\n");

	(void)state;
	assert_string_equal(by_client(s, "10.1.2.3"), "10.1.2.3/32");
	assert_string_equal(by_client(s, "10.1.2.2"), "10.1.2.2/31");
	assert_string_equal(by_client(s, "10.1.2.4"), "10.1.0.0/16");
	assert_string_equal(by_client(s, "::ffff:10.1.2.4"), "10.1.0.0/16");
	assert_string_equal(by_client(s, "10.2.0.0"), "10.0.0.0/8");
	assert_string_equal(by_client(s, "11.0.0.0"), "-");
	assert_string_equal(by_client(s, "192.0.2.127"), "-");
	assert_string_equal(by_client(s, "192.0.2.255"), "192.0.2.128/25");
	assert_string_equal(by_client(s, "2001:db8::1"), "2001:db8::1/128");
	assert_string_equal(by_client(s, "2001:db8::2"), "2001:db8::/32");
	assert_string_equal(by_client(s, "2001:db8:0:1:ffff::"), "2001:db8:0:1::/64");
	assert_string_equal(by_client(s, "2001:db9::"), "-");
	assert_string_equal(by_client(s, "nonsense"), "-");
	settings_free(s);
	s = parse("[client 0.0.0.0/0]\n");
	assert_string_equal(by_client(s, "1.2.3.4"), "0.0.0.0/0");
	assert_string_equal(by_client(s, "::1"), "-");
	settings_free(s);
	s = parse("[client ::/0]\n");
	assert_string_equal(by_client(s, "1.2.3.4"), "-");
	assert_string_equal(by_client(s, "::1"), "::/0");
	settings_free(s);
}

/* Random networks and addresses against a search through all. */
static void
test_client_model(void **state)
{
	struct build *b;
	struct settings *s;
	const struct rule *r, *want;
	struct addr a, net;
	unsigned longest = 0;
	char text[ADDR_TEXT];

	(void)state;
	assert_non_null(b = build_new(0));
	for (unsigned i = 1; i <= 2000; i++) {
		memset(&net, 0, sizeof(net));
		net.family = ADDR_IPV4;
		net.prefix = (uint8_t)(dice() % 33);
		for (unsigned bit = 0; bit < net.prefix; bit++)
			if (dice() % 4 == 0)	/* few, so that networks nest */
				net.ip[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
		build_section(b, SEC_CLIENT, addr_format_network(&net, text), &net, i);
	}
	assert_non_null(s = build_finish(b, "x", NULL, 1, NULL, NULL));
	build_free(b);
	assert_true(settings_count(s, SEC_CLIENT) > 500);
	for (int n = 0; n < 2000; n++) {
		memset(&a, 0, sizeof(a));
		a.family = ADDR_IPV4;
		a.prefix = 32;
		for (int bit = 0; bit < 32; bit++)
			if (dice() % 4 == 0)
				a.ip[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
		want = NULL;
		for (size_t i = 0; (r = settings_at(s, SEC_CLIENT, i)) != NULL; i++) {
			net = settings_addr(s, r);
			if (addr_within(&a, &net) && (want == NULL || net.prefix > longest)) {
				want = r;
				longest = net.prefix;
			}
		}
		assert_ptr_equal(settings_client(s, &a), want);
	}
	settings_free(s);
}

static void
test_order(void **state)
{
	struct settings *s = parse("[peer b]\n[peer .b]\n[peer a-b]\n[peer a.b]\n[peer ab]\n"
	    "[peer a]\n[listener *:25]\n[listener 10.0.0.9:25]\n[listener 10.0.0.10:25]\n");
	static const char *const names[] = { ".b", "a", "a-b", "a.b", "ab", "b" };

	(void)state;
	assert_int_equal(settings_count(s, SEC_PEER), 6);
	for (size_t i = 0; i < 6; i++) {
		assert_string_equal(settings_name(s, settings_at(s, SEC_PEER, i)), names[i]);
		assert_int_equal(settings_lower(s, SEC_PEER, names[i], true), i);
		assert_int_equal(settings_lower(s, SEC_PEER, names[i], false), i + 1);
	}
	assert_null(settings_at(s, SEC_PEER, 6));
	assert_null(settings_at(s, SEC_MAX, 0));
	assert_int_equal(settings_lower(s, SEC_PEER, "", false), 0);
	assert_int_equal(settings_lower(s, SEC_PEER, "a0", true), 4);
	assert_int_equal(settings_lower(s, SEC_PEER, "zz", true), 6);
	assert_int_equal(settings_lower(s, SEC_DOMAIN, "a", true), 0);
	assert_int_equal(settings_lower(s, SEC_LISTENER, "", false), 0);
	assert_int_equal(settings_lower(s, SEC_LISTENER, "10.0.0.9:25", true), 1);
	assert_int_equal(settings_lower(s, SEC_LISTENER, "10.0.0.9:25", false), 2);
	assert_int_equal(settings_lower(s, SEC_LISTENER, "10.0.0.9:24", true), 1);
	assert_int_equal(settings_lower(s, SEC_LISTENER, "10.0.0.11:1", true), 3);
	settings_free(s);
}

static void
test_find(void **state)
{
	struct settings *s = parse("[domain a.example]\n[domain .a.example]\n"
	    "[listener [2001:db8::7]:25]\n[client 10.0.0.0/8]\n[ca x]\nfile = /x\n");

	(void)state;
	assert_non_null(settings_find(s, SEC_SERVER, ""));
	assert_non_null(settings_find(s, SEC_AGENT, ""));
	assert_int_equal(settings_find(s, SEC_SERVER, "")->line, 0);
	assert_int_equal(settings_find(s, SEC_DOMAIN, "a.example")->line, 1);
	assert_int_equal(settings_find(s, SEC_DOMAIN, ".a.example")->line, 2);
	assert_null(settings_find(s, SEC_DOMAIN, "b.a.example"));	/* no suffixes here */
	assert_null(settings_find(s, SEC_PEER, "a.example"));
	assert_null(settings_find(s, SEC_DOMAIN, ""));
	assert_non_null(settings_find(s, SEC_LISTENER, "[2001:db8::7]:25"));
	assert_non_null(settings_find(s, SEC_CLIENT, "10.0.0.0/8"));
	assert_non_null(settings_find(s, SEC_CA, "x"));
	assert_null(settings_find(s, SEC_CA, "X"));
	assert_null(settings_find(s, SEC_MAX, "x"));
	settings_free(s);
}

static void
test_defaults(void **state)
{
	struct settings *s = parse("[server]\nmode = require\n");
	const struct rule *r = settings_find(s, SEC_SERVER, "");
	struct list l;
	uint32_t weakest, strictest;

	(void)state;
	assert_int_equal(settings_value(r, KEY_MODE), MODE_REQUIRE);
	assert_int_equal(settings_value(NULL, KEY_MODE), MODE_OFFER);
	assert_int_equal(settings_value(r, KEY_CLIENT_CERT), CC_NONE);
	assert_int_equal(settings_value(r, KEY_MIN_TLS), TLS_1_2);
	assert_int_equal(settings_value(r, KEY_MIN_BITS), 128);
	assert_int_equal(settings_value(r, KEY_ENFORCE), ENFORCE_YES);
	assert_int_equal(settings_value(r, KEY_AUTHENTICATED), AUTH_EXEMPT);
	assert_int_equal(settings_value(r, KEY_VERIFIES), 0);
	assert_int_equal(settings_value(NULL, KEY_MATCH_CN), 0);
	assert_int_equal(settings_value(NULL, KEY_PURPOSE), PURPOSE_ANY);
	assert_int_equal(settings_value(r, KEY_CA), 0);		/* no scalar */
	assert_null(settings_text(s, r, KEY_CA));
	assert_null(settings_text(s, NULL, KEY_CA));
	assert_null(settings_text(s, r, KEY_MODE));
	l = settings_list(s, r, KEY_CERT_NAMES);
	assert_int_equal(l.left, 0);
	assert_null(list_next_name(&l));
	assert_null(list_next_pin(&l));
	assert_int_equal(settings_line(s, r, KEY_MODE), 2);
	assert_int_equal(settings_line(s, r, KEY_CA), 1);
	assert_int_equal(settings_line(s, NULL, KEY_CA), 0);
	assert_string_equal(settings_name(s, r), "");
	assert_string_equal(settings_name(s, NULL), "");
	assert_false(rule_sets(NULL, KEY_MODE));
	assert_false(settings_range(s, SEC_DOMAIN, KEY_MODE, &weakest, &strictest));
	assert_true(settings_range(s, SEC_SERVER, KEY_MODE, &weakest, &strictest));
	settings_free(s);
	settings_free(NULL);
}

static void
test_ranges(void **state)
{
	struct settings *s = parse("[domain a]\nmode = none\nmin_bits = 256\n[domain b]\n"
	    "mode = offer\n[domain c]\nmin_bits = 112\n[peer a]\nmode = require\n"
	    "[client 10.0.0.0/8]\nmatch_cn = yes\n[peer b]\ncert_names = b\n"
	    "[ca x]\nfile = /x\n[listener *:25]\nca = x\n");
	uint32_t lo, hi;

	(void)state;
	assert_true(settings_range(s, SEC_DOMAIN, KEY_MODE, &lo, &hi));
	assert_int_equal(lo, MODE_NONE);
	assert_int_equal(hi, MODE_OFFER);
	assert_true(settings_range(s, SEC_DOMAIN, KEY_MIN_BITS, &lo, &hi));
	assert_int_equal(lo, 112);
	assert_int_equal(hi, 256);
	assert_false(settings_range(s, SEC_DOMAIN, KEY_MIN_TLS, &lo, &hi));
	assert_true(settings_range(s, SEC_PEER, KEY_MODE, &lo, &hi));
	assert_int_equal(lo, MODE_REQUIRE);
	assert_true(settings_range(s, SEC_CLIENT, KEY_MATCH_CN, &lo, &hi));
	assert_int_equal(hi, 1);
	assert_false(settings_range(s, SEC_CLIENT, KEY_CA, &lo, &hi));
	assert_false(settings_range(s, SEC_CA, KEY_PURPOSE, &lo, &hi));
	assert_false(settings_own_trust(s, SEC_DOMAIN));
	assert_false(settings_own_trust(s, SEC_CLIENT));
	assert_true(settings_own_trust(s, SEC_PEER));
	assert_true(settings_own_trust(s, SEC_LISTENER));
	settings_free(s);
}

/* A key so far below its header that its line does not fit says the header's. */
static void
test_far_lines(void **state)
{
	char *text = NULL;
	struct settings *s;
	const struct rule *r;
	size_t len;
	FILE *f;

	(void)state;
	assert_non_null(f = open_memstream(&text, &len));
	(void)fprintf(f, "[server]\nmode = offer\n");
	for (int i = 0; i < 65000; i++)
		(void)fputc('\n', f);
	(void)fprintf(f, "min_bits = 1\n");
	for (int i = 0; i < 1000; i++)
		(void)fputc('\n', f);
	(void)fprintf(f, "enforce = yes\n[domain a]\n");
	assert_int_equal(fclose(f), 0);
	s = parse(text);
	r = settings_find(s, SEC_SERVER, "");
	assert_int_equal(settings_line(s, r, KEY_MODE), 2);
	assert_int_equal(settings_line(s, r, KEY_MIN_BITS), 65003);
	assert_int_equal(settings_line(s, r, KEY_ENFORCE), 1);
	assert_int_equal(settings_find(s, SEC_DOMAIN, "a")->line, 66005);
	settings_free(s);
	free(text);
}

/* ---- many ---- */

static char *
many_text(size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	assert_non_null(f);
	(void)fputs("[server]\nmode = offer\n[ca partners]\nfile = /etc/ca.pem\n", f);
	for (unsigned i = 0; i < MANY; i++) {
		unsigned n = i * 7919 % MANY;		/* every number once, in no order */

		(void)fprintf(f, "[domain %sd%u.example.org]\nmode = %s\nmin_bits = %u\n",
		    n % 10 == 0 ? "." : "", n, n % 2 ? "require" : "none", n % 4000);
		(void)fprintf(f, "[peer p%u.example.org]\nclient_cert = require\nca = partners\n", n);
	}
	assert_int_equal(fclose(f), 0);
	return text;
}

static void
test_many(void **state)
{
	struct settings *s;
	const struct rule *r;
	char name[64], *text;
	size_t len;

	(void)state;
	text = many_text(&len);
	s = settings_parse(text, len, "many", NULL, true, read_report_file, stderr);
	assert_non_null(s);
	free(text);
	free(settings_image(s, &len));
	assert_true(len < (size_t)15 << 20);
	assert_int_equal(settings_count(s, SEC_DOMAIN), MANY);
	assert_int_equal(settings_count(s, SEC_PEER), MANY);
	for (unsigned n = 0; n < MANY; n++) {
		(void)snprintf(name, sizeof(name), "d%u.example.org", n);
		r = settings_match(s, SEC_DOMAIN, name);
		assert_true((r == NULL) == (n % 10 == 0));
		if (r == NULL) {
			(void)snprintf(name, sizeof(name), "x.y.d%u.example.org", n);
			r = settings_match(s, SEC_DOMAIN, name);
		}
		assert_non_null(r);
		assert_int_equal(settings_value(r, KEY_MIN_BITS), n % 4000);
		assert_int_equal(settings_value(r, KEY_MODE), n % 2 ? MODE_REQUIRE : MODE_NONE);
		(void)snprintf(name, sizeof(name), "p%u.example.org", n);
		r = settings_find(s, SEC_PEER, name);
		assert_non_null(r);
		assert_string_equal(settings_text(s, r, KEY_CA), "partners");
		assert_ptr_equal(settings_at(s, SEC_PEER,
		    settings_lower(s, SEC_PEER, name, true)), r);
	}
	for (size_t i = 1; i < MANY; i++)
		assert_true(strcmp(settings_name(s, settings_at(s, SEC_PEER, i - 1)),
		    settings_name(s, settings_at(s, SEC_PEER, i))) < 0);
	settings_free(s);
}

/* Names that only differ far behind a common beginning, and repeated ones. */
static unsigned told;

static void
count_twice(void *arg, enum section sec, const char *name, unsigned first, unsigned line)
{
	assert_ptr_equal(arg, &told);
	assert_int_equal(sec, SEC_PEER);
	assert_true(strlen(name) > 200);
	assert_true(first < line);
	told++;
}

static void
test_common_beginnings(void **state)
{
	struct build *b = build_new(0);
	struct settings *s;
	char name[NAME_SIZE];

	(void)state;
	assert_non_null(b);
	memset(name, 'a', sizeof(name));
	for (unsigned i = 0; i < 5000; i++) {
		(void)snprintf(name + 200, sizeof(name) - 200, "%u", dice() % 3000);
		build_section(b, SEC_PEER, name, NULL, i + 1);
	}
	told = 0;
	assert_non_null(s = build_finish(b, "x", NULL, 1, count_twice, &told));
	assert_true(told > 1000);
	assert_int_equal(settings_count(s, SEC_PEER) + told, 5000);
	for (size_t i = 1; i < settings_count(s, SEC_PEER); i++)
		assert_true(strcmp(settings_name(s, settings_at(s, SEC_PEER, i - 1)),
		    settings_name(s, settings_at(s, SEC_PEER, i))) < 0);
	settings_free(s);
	assert_non_null(s = build_finish(b, "y", NULL, 2, NULL, NULL));	/* used again, empty */
	assert_int_equal(settings_count(s, SEC_PEER), 0);
	assert_int_equal(settings_count(s, SEC_SERVER), 1);
	assert_string_equal(settings_path(s), "y");
	settings_free(s);
	build_free(b);
	build_free(NULL);
}

/* ---- damage ---- */

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct settings *
rich(void)
{
	return parse("[server]\nmode = offer\nca = partners\nstate_dir = /var/lib/tlsward\n"
	    "[listener *:25]\nverifies = yes\nclient_cert = require\n[listener 10.1.2.3:25]\n"
	    "[client 10.0.0.0/8]\nmode = require\n[client 2001:db8::/32]\n"
	    "[domain a.example]\nmode = require\n[domain .b.example]\nmin_tls = 1.3\n"
	    "[peer a.example]\ncert_names = a.example, .a.example, *.c.example\n"
	    "fingerprints = SHA256:" HEX ",\n SPKI-SHA256:" HEX "\ncerts = /etc/a.pem\n"
	    "[peer b.example]\nca = partners\nmatch_cn = yes\n"
	    "[certificate mx]\nfile = /mx.pem\nkey = /mx.key\nnames = mx.example\n"
	    "[ca partners]\nfile = /ca.pem\ncrl = /ca.crl\npurpose = client\n"
	    "[agent]\nexpiry_days = 30, 7\nnotify_except = refusals-high, mode-changed\n");
}

/* Settings over a copy of the image with the damage that `how` does; NULL: refused. */
static struct settings *
copy_of(const void *image, size_t len, size_t keep)
{
	struct settings *s;
	void *copy = malloc(keep > 0 ? keep : 1);

	assert_non_null(copy);
	memcpy(copy, image, keep < len ? keep : len);
	if ((s = settings_adopt(copy, keep)) == NULL)
		free(copy);
	return s;
}

static void
test_image(void **state)
{
	struct settings *s = rich(), *copy;
	void *image;
	size_t len;

	(void)state;
	assert_non_null(image = settings_image(s, &len));
	assert_non_null(copy = copy_of(image, len, len));
	assert_int_equal(ask(copy), ask(s));
	settings_free(copy);
	for (size_t keep = 0; keep < len; keep++)
		assert_null(copy_of(image, len, keep));
	free(image);
	settings_free(s);
}

static void
test_damage(void **state)
{
	struct settings *s = rich(), *copy;
	unsigned char *image, *hurt;
	unsigned taken = 0;
	size_t len, at;

	(void)state;
	assert_non_null(image = settings_image(s, &len));
	assert_non_null(hurt = malloc(len));
	for (int n = 0; n < DAMAGES; n++) {
		memcpy(hurt, image, len);
		for (unsigned i = 1 + dice() % 8; i > 0; i--) {
			at = n % 3 == 0 ? dice() % sizeof(struct image) : dice() % len;
			hurt[at] = dice() % 3 == 0 ? 0xff : (unsigned char)dice();
		}
		if ((copy = copy_of(hurt, len, len)) == NULL)
			continue;
		(void)ask(copy);
		settings_free(copy);
		taken++;
	}
	assert_true(taken > DAMAGES / 10);	/* else nothing was tried */
	free(hurt);
	free(image);
	settings_free(s);
}

/* A hash without a free place, and one whose entries all point outside. */
static void
test_full_hash(void **state)
{
	struct settings *s = rich(), *copy;
	struct image *hurt;
	uint32_t *slots, mask = slot_mask(s->head.nrules);
	uint64_t h = hash_start(SEC_DOMAIN);
	size_t len;

	(void)state;
	for (const char *name = "a.example", *p = strchr(name, '\0'); p > name;)
		h = hash_step(h, (unsigned char)*--p);
	for (int n = 0; n < 3; n++) {
		assert_non_null(hurt = settings_image(s, &len));
		slots = (void *)((char *)hurt + hurt->slots);
		for (uint32_t i = 0; i < hurt->nslots; i++)
			slots[i] = n == 0 ? UINT32_MAX : n == 1 ? 1 :
			    slot_tag(hash_end(h), mask) | mask;
		assert_non_null(copy = settings_adopt(hurt, len));
		assert_null(settings_find(copy, SEC_DOMAIN, "a.example"));
		assert_null(settings_match(copy, SEC_PEER, "x.a.example"));
		(void)ask(copy);
		settings_free(copy);
	}
	settings_free(s);
}

/* What a child does to the memory that it shares with its parent stays its own. */
static void
test_share(void **state)
{
	static char text[64 + 5000 * 48];
	size_t n = 0, len, shared_len;
	struct settings *s;
	void *image, *shared;
	char *page;
	int status;

	(void)state;
	for (unsigned i = 0; i < 5000; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "[domain d%u.example]\nmode = require\n", i);
	s = parse(text);
	assert_non_null(image = settings_image(s, &len));
	settings_share(s);
	assert_non_null(s->mapped);
	assert_non_null(shared = settings_image(s, &shared_len));
	assert_int_equal(shared_len, len);
	assert_memory_equal(shared, image, len);
	page = (char *)((uintptr_t)s->rules & ~(uintptr_t)4095);
	if (fork() == 0) {
		if (mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0)
			memset(page, 0x55, 4096);
		_exit(0);
	}
	assert_true(wait(&status) > 0 && status == 0);
	free(shared);
	assert_non_null(shared = settings_image(s, &shared_len));
	assert_memory_equal(shared, image, len);
	assert_string_equal(matched(s, "d4999.example"), "d4999.example");
	free(shared);
	free(image);
	settings_free(s);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_listener),
		cmocka_unit_test(test_client),
		cmocka_unit_test(test_client_model),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_far_lines),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_common_beginnings),
		cmocka_unit_test(test_image),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_full_hash),
		cmocka_unit_test(test_share),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
