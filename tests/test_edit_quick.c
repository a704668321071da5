/* Settings of a changed text without parsing it: the same octets as by parsing, or none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edit_quick.h"
#include "image.h"
#include "read.h"

#define PATH "/etc/tlsward/tlsward.ini"
#define ROUNDS 4000

static uint32_t state = 1;

static uint32_t
any(uint32_t n)
{
	state = state * 1664525u + 1013904223u;
	return (state >> 8) % n;
}

static struct settings *
parse(const char *text, size_t len)
{
	return settings_parse(text, len, PATH, NULL, false, NULL, NULL);
}

static struct edit
set(enum section section, const char *name, enum key k, const char *value)
{
	return (struct edit){ .op = EDIT_SET, .section = section, .name = name, .key = k,
	    .value = value };
}

static void
assert_same(const struct settings *a, const struct settings *b)
{
	size_t la, lb;
	void *ia = settings_image(a, &la), *ib = settings_image(b, &lb);

	assert_non_null(ia);
	assert_non_null(ib);
	assert_int_equal(la, lb);
	assert_memory_equal(ia, ib, la);
	free(ia);
	free(ib);
}

/* What is changed by the edits; NULL: it cannot be.  *quick: it was not parsed. */
static char *
changed(const char *text, const struct settings *known, const char *path,
    const struct edit *edits, size_t n, bool *quick)
{
	struct settings *q, *p;
	struct edit_plan plan;
	char why[EDIT_WHY], *out = NULL;
	size_t len;

	*quick = false;
	if (edit_plan(&plan, edits, n, why) == EDIT_OK &&
	    edit_text(text, strlen(text), &plan, &out, &len, why) == EDIT_OK) {
		p = parse(out, len);
		q = edit_quick(known, path, &plan, text, strlen(text), out, len);
		*quick = q != NULL;
		if (q != NULL) {
			assert_non_null(p);
			assert_same(q, p);
		}
		if (p == NULL) {
			free(out);
			out = NULL;
		}
		settings_free(q);
		settings_free(p);
	}
	edit_plan_free(&plan);
	return out;
}

static bool
quick_one(const char *text, const char *path, struct edit e)
{
	struct settings *known = parse(text, strlen(text));
	bool quick;

	assert_non_null(known);
	free(changed(text, known, path, &e, 1, &quick));
	settings_free(known);
	return quick;
}

/* ---- single cases ---- */

static const char plain[] =
    "\xef\xbb\xbf; all of it\r\n"
    "[server]\r\nmode=offer ; a comment\r\nmin_bits : 112\r\n\r\n"
    "[ca c]\r\nfile = /c.pem\r\npurpose = any\r\n\r\n"
    "[domain \xc3\xa4.example]\r\nMODE = none\r\nmode = require\r\nca = c\r\n"
    "[peer p.example]\r\ncert_names = a.example,\r\n b.example\r\nmin_tls = 1.2\r\n"
    "[client 192.0.2.0/24]\r\nmode = require\r\nclient_cert = request\r\n"
    "[listener [2001:db8::1]:25]\r\nverifies = yes\r\n"
    "[agent]\r\nnotify_rate = 60";

static void
taken(void **arg)
{
	char text[sizeof(plain)], *upper;

	(void)arg;
	memcpy(text, plain, sizeof(plain));
	upper = strstr(text, "MODE = none");
	memcpy(upper, ";ODE", 4);
	assert_true(quick_one(text, PATH, set(SEC_SERVER, "", KEY_MODE, "require")));
	assert_true(quick_one(text, PATH, set(SEC_SERVER, "", KEY_MIN_BITS, "256")));
	assert_true(quick_one(text, PATH, set(SEC_DOMAIN, "xn--4ca.example", KEY_MODE, "none")));
	assert_true(quick_one(text, PATH, set(SEC_PEER, "p.example", KEY_MIN_TLS, "1.3")));
	assert_true(quick_one(text, PATH, set(SEC_CLIENT, "192.0.2.0/24", KEY_CLIENT_CERT, "none")));
	assert_true(quick_one(text, PATH, set(SEC_LISTENER, "[2001:db8::1]:25", KEY_VERIFIES, "no")));
	assert_true(quick_one(text, PATH, set(SEC_AGENT, "", KEY_NOTIFY_RATE, "1")));
	/* what is so already */
	assert_true(quick_one(text, PATH, set(SEC_SERVER, "", KEY_MODE, "offer")));
}

static void
left(void **arg)
{
	static const char text[] = "[server]\nmode = offer\n[ca c]\nfile = /c.pem\n"
	    "[domain d.example]\nmode = require\nca = c\n[client 192.0.2.0/24]\nmode = require\n"
	    "client_cert = require\n";
	static const char other[] = "[server]\nmode = offer\n[domain d.example]\nmode = offer \n";
	struct edit e = set(SEC_DOMAIN, "d.example", KEY_MODE, "offer");
	struct edit two[2] = { e, set(SEC_SERVER, "", KEY_MODE, "require") };
	struct settings *known;
	bool quick;

	(void)arg;
	assert_true(quick_one(text, PATH, e));
	assert_false(quick_one(text, "/another.ini", e));
	/* a key that is not there, a text, an error in the value or of the whole */
	assert_false(quick_one(text, PATH, set(SEC_DOMAIN, "d.example", KEY_MIN_TLS, "1.2")));
	assert_false(quick_one(text, PATH, set(SEC_DOMAIN, "d.example", KEY_CA, "c")));
	assert_false(quick_one(text, PATH, set(SEC_DOMAIN, "e.example", KEY_MODE, "offer")));
	assert_false(quick_one(text, PATH, set(SEC_DOMAIN, "d.example", KEY_MODE, "maybe")));
	assert_false(quick_one(text, PATH, set(SEC_CLIENT, "192.0.2.0/24", KEY_MODE, "none")));
	/* settings of another text */
	known = parse(other, strlen(other));
	assert_non_null(known);
	free(changed(text, known, PATH, &e, 1, &quick));
	assert_false(quick);
	settings_free(known);
	known = parse(text, strlen(text));
	free(changed(text, known, PATH, two, 2, &quick));
	assert_false(quick);
	settings_free(known);
}

/* The copy is of an image that may come from a file, and say anything of a client network. */
static void
forged(void **arg)
{
	static const char text[] = "[server]\nmode = offer\n[client 192.0.2.0/24]\nmode = require\n";
	struct settings *known = parse(text, strlen(text));
	struct image *h;
	struct rule *r;
	size_t len;

	(void)arg;
	assert_non_null(known);
	for (int n = 0; n < 4; n++) {
		assert_non_null(h = settings_image(known, &len));
		r = (struct rule *)(void *)((char *)h + h->rules);
		r += h->section[SEC_CLIENT].first;
		if (n == 0)		/* the prefix, behind the family */
			((unsigned char *)h)[h->pool + r->more + 1] = 255;
		else
			r->more = n == 1 ? 0x40000000 : n == 2 ? UINT32_MAX :
			    h->pool_len - (uint32_t)sizeof(struct addr) + 1;
		image_summarise(h, (struct rule *)(void *)((char *)h + h->rules),
		    (char *)h + h->pool);
		assert_int_equal(h->prefixes[0][0] | h->prefixes[0][1] | h->prefixes[0][2], 0);
		assert_int_equal(h->range[SEC_CLIENT][scalar_slot(KEY_MODE)].weakest, MODE_REQUIRE);
		free(h);
	}
	settings_free(known);
}

/* ---- many ---- */

static const char *const names[] = { "a.example", ".a.example", "b.example", "c.example" };

/* A text that is mostly right. */
static char *
random_text(void)
{
	static const char *const more[] = { "mode : require ; why\n", "min_tls=1.2\n",
	    "min_bits =  128\n", "enforce = report\n", "client_cert = request\n",
	    "; mode = none\n", "\n", "  # a comment\n",
	    "cert_names = x.example,\n  y.example ; more\n", "match_cn = yes\n" };
	const size_t all = sizeof(more) / sizeof(more[0]);
	const char *eol = any(4) == 0 ? "\r\n" : "\n";
	char *text, *p;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	fprintf(f, "[server]\nmode = %s\nmin_bits = 112\n", any(4) == 0 ? "none" : "offer");
	for (size_t i = 0; i < 8; i++) {
		if (any(3) == 0)
			continue;
		fprintf(f, "[%s %s]\n", i % 2 ? "domain" : "peer", names[i / 2]);
		for (size_t k = 0; k < (i % 2 ? all - 2 : all); k++)	/* two are a peer's */
			if (any(3) == 0)
				fputs(more[k], f);
	}
	if (any(2) == 0)
		fputs("[agent]\nnotify_rate = 5\nprobe_interval = 3600\n", f);
	fclose(f);
	if (*eol == '\n')
		return text;
	f = open_memstream(&p, &len);
	assert_non_null(f);
	for (const char *c = text; *c != '\0'; c++)
		fputs(*c == '\n' ? eol : (char[2]){ *c, '\0' }, f);
	fclose(f);
	free(text);
	return p;
}

static struct edit
random_edit(void)
{
	static const struct { enum key k; const char *value; } keys[] = {
		{ KEY_MODE, "none" }, { KEY_MODE, "offer" }, { KEY_MODE, "require" },
		{ KEY_MODE, "Require" }, { KEY_MIN_TLS, "1.0" }, { KEY_MIN_TLS, "1.3" },
		{ KEY_MIN_TLS, "1.4" }, { KEY_MIN_BITS, "0" }, { KEY_MIN_BITS, "256" },
		{ KEY_ENFORCE, "yes" }, { KEY_CLIENT_CERT, "require" }, { KEY_CLIENT_CERT, "none" },
		{ KEY_MATCH_CN, "no" }, { KEY_CERT_NAMES, "z.example" }, { KEY_CA, "none" },
		{ KEY_NOTIFY_RATE, "7" }, { KEY_PROBE_INTERVAL, "7200" },
	};
	size_t i = any(sizeof(keys) / sizeof(keys[0])), s = any(10);
	struct edit e = set(s == 0 ? SEC_SERVER : s % 2 ? SEC_DOMAIN : SEC_PEER,
	    s == 0 ? "" : names[any(4)], keys[i].k, keys[i].value);

	if (key_table[e.key].sections == 1 << SEC_AGENT) {
		e.section = SEC_AGENT;
		e.name = "";
	}
	if (any(12) == 0)
		e.op = EDIT_UNSET;
	else if (any(30) == 0 && section_named(e.section))
		e.op = any(2) == 0 ? EDIT_ADD : EDIT_REMOVE;
	return e;
}

static void
random_edits(void **arg)
{
	char *text = NULL, *next;
	struct settings *known;
	struct edit e[2];
	unsigned taken_quick = 0;
	bool quick, bad = true;

	(void)arg;
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (i % 20 == 0 || bad) {
			free(text);
			text = random_text();
		}
		known = parse(text, strlen(text));
		bad = known == NULL;
		if (bad)
			continue;
		e[0] = random_edit();
		e[1] = random_edit();
		next = changed(text, known, PATH, e, any(10) == 0 ? 2 : 1, &quick);
		taken_quick += quick;
		settings_free(known);
		if (next != NULL) {
			free(text);
			text = next;
		}
	}
	free(text);
	/* neither always nor never */
	assert_true(taken_quick > ROUNDS / 20);
	assert_true(taken_quick < ROUNDS / 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taken),
		cmocka_unit_test(left),
		cmocka_unit_test(forged),
		cmocka_unit_test(random_edits),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
