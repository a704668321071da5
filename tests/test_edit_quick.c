/* Settings of a changed text without parsing it: the same octets as by parsing, or none. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edit_quick.h"
#include "edit_text.h"
#include "image.h"
#include "read.h"
#include "splice.h"
#include "ask_settings.h"
#include "random_ini.h"

#define PATH "/etc/tlsward/tlsward.ini"
#define ROUNDS 4000

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

/* The text becomes another.  False: that has errors.  *quick: it was not parsed whole. */
static bool
becomes(const char *text, const struct settings *known, const char *path, const char *next,
    bool *quick)
{
	struct settings *p = parse(next, strlen(next));
	struct settings *q = edit_quick(known, path, text, strlen(text), next, strlen(next));
	bool good = p != NULL;

	*quick = q != NULL;
	if (q != NULL) {
		assert_non_null(p);
		assert_same(q, p);
	}
	settings_free(q);
	settings_free(p);
	return good;
}

/* What is changed by the edits; NULL: it cannot be. */
static char *
changed(const char *text, const struct settings *known, const char *path,
    const struct edit *edits, size_t n, bool *quick)
{
	struct edit_plan plan;
	char why[EDIT_WHY], *out = NULL;
	size_t len;

	*quick = false;
	if (edit_plan(&plan, edits, n, why) == EDIT_OK &&
	    edit_text(text, strlen(text), &plan, &out, &len, why) == EDIT_OK) {
		assert_non_null(out = realloc(out, len + 1));
		out[len] = '\0';
		if (!becomes(text, known, path, out, quick)) {
			free(out);
			out = NULL;
		}
	}
	edit_plan_free(&plan);
	return out;
}

static bool
quick_all(const char *text, const char *path, const struct edit *e, size_t n)
{
	struct settings *known = parse(text, strlen(text));
	bool quick;

	assert_non_null(known);
	free(changed(text, known, path, e, n, &quick));
	settings_free(known);
	return quick;
}

static bool
quick_one(const char *text, const char *path, struct edit e)
{
	return quick_all(text, path, &e, 1);
}

/* ---- single cases ---- */

static const char plain[] =
    "\xef\xbb\xbf; all of it\r\n"
    "[server]\r\nmode=offer ; a comment\r\nmin_bits : 112\r\n\r\n"
    "[ca c]\r\nfile = /c.pem\r\npurpose = any\r\n\r\n"
    "[domain \xc3\xa4.example]\r\n;ODE = none\r\nmode = require\r\nca = c\r\n"
    "[peer p.example]\r\ncert_names = a.example,\r\n b.example\r\nmin_tls = 1.2\r\n"
    "[client 192.0.2.0/24]\r\nmode = require\r\nclient_cert = request\r\n"
    "[listener [2001:db8::1]:25]\r\nverifies = yes\r\n"
    "[agent]\r\nnotify_rate = 60";

static void
taken(void **arg)
{
	const struct edit row[] = {
		{ .op = EDIT_ADD, .section = SEC_PEER, .name = "q.example" },
		set(SEC_PEER, "q.example", KEY_MODE, "require"),
		set(SEC_PEER, "q.example", KEY_CA, "c"),
		set(SEC_PEER, "q.example", KEY_CERT_NAMES, ".q.example, r.example"),
	};
	const struct edit unset = { .op = EDIT_UNSET, .section = SEC_PEER, .name = "p.example",
	    .key = KEY_CERT_NAMES };
	const struct edit away = { .op = EDIT_REMOVE, .section = SEC_CLIENT, .name = "192.0.2.0/24" };

	(void)arg;
	/* scalars that are there */
	assert_true(quick_one(plain, PATH, set(SEC_SERVER, "", KEY_MODE, "require")));
	assert_true(quick_one(plain, PATH, set(SEC_SERVER, "", KEY_MIN_BITS, "256")));
	assert_true(quick_one(plain, PATH, set(SEC_DOMAIN, "xn--4ca.example", KEY_MODE, "none")));
	assert_true(quick_one(plain, PATH, set(SEC_PEER, "p.example", KEY_MIN_TLS, "1.3")));
	assert_true(quick_one(plain, PATH, set(SEC_CLIENT, "192.0.2.0/24", KEY_CLIENT_CERT, "none")));
	assert_true(quick_one(plain, PATH, set(SEC_LISTENER, "[2001:db8::1]:25", KEY_VERIFIES, "no")));
	assert_true(quick_one(plain, PATH, set(SEC_AGENT, "", KEY_NOTIFY_RATE, "1")));
	/* what is so already */
	assert_true(quick_one(plain, PATH, set(SEC_SERVER, "", KEY_MODE, "offer")));
	/* a key that was not there, a text, lists, one that goes */
	assert_true(quick_one(plain, PATH, set(SEC_SERVER, "", KEY_STATE_DIR, "/var/x")));
	assert_true(quick_one(plain, PATH, set(SEC_DOMAIN, "xn--4ca.example", KEY_MIN_TLS, "1.3")));
	assert_true(quick_one(plain, PATH, set(SEC_PEER, "p.example", KEY_CA, "c")));
	assert_true(quick_one(plain, PATH, set(SEC_PEER, "p.example", KEY_CERT_NAMES, "z.example")));
	assert_true(quick_one(plain, PATH, set(SEC_CA, "c", KEY_CRL, "/crl.pem")));
	assert_true(quick_one(plain, PATH, set(SEC_AGENT, "", KEY_EXPIRY_DAYS, "30, 7")));
	assert_true(quick_one(plain, PATH, unset));
	/* sections that come and go, and all at once */
	assert_true(quick_all(plain, PATH, row, sizeof(row) / sizeof(row[0])));
	assert_true(quick_one(plain, PATH, away));
	assert_true(quick_one(plain, PATH, set(SEC_LISTENER, "192.0.2.1:25", KEY_MODE, "none")));
	assert_true(quick_one("[peer a.example]\nmode = none\n", PATH,
	    set(SEC_SERVER, "", KEY_MIN_BITS, "256")));
	assert_true(quick_one("[server]\n[agent]\n", PATH,
	    set(SEC_AGENT, "", KEY_AGENTX, "/var/agentx/master")));
}

static void
left(void **arg)
{
	static const char text[] = "[server]\nmode = offer\n[ca c]\nfile = /c.pem\n"
	    "[domain d.example]\nmode = require\nca = c\n[client 192.0.2.0/24]\nmode = require\n"
	    "client_cert = require\n";
	static const char other[] = "[server]\nmode = require\n[ca c]\nfile = /c.pem\n"
	    "[domain d.example]\nmode = require\nca = c\n[client 192.0.2.0/24]\nmode = require\n"
	    "client_cert = require\n";
	struct edit e = set(SEC_DOMAIN, "d.example", KEY_MODE, "offer");
	const struct edit ca = { .op = EDIT_REMOVE, .section = SEC_CA, .name = "c" };
	struct settings *known;
	bool quick;

	(void)arg;
	assert_true(quick_one(text, PATH, e));
	assert_false(quick_one(text, "/another.ini", e));
	/* an error in the value, or of the whole */
	assert_false(quick_one(text, PATH, set(SEC_DOMAIN, "d.example", KEY_MODE, "maybe")));
	assert_false(quick_one(text, PATH, set(SEC_DOMAIN, "d.example", KEY_CA, "another")));
	assert_false(quick_one(text, PATH, set(SEC_CLIENT, "192.0.2.0/24", KEY_MODE, "none")));
	assert_false(quick_one(text, PATH, ca));
	/* settings of another text, though of the same sections in the same lines */
	known = parse(other, strlen(other));
	assert_non_null(known);
	free(changed(text, known, PATH, &e, 1, &quick));
	assert_false(quick);
	settings_free(known);
	/* what no change of ours makes */
	known = parse(text, strlen(text));
	assert_false(becomes(text, known, PATH, "", &quick));
	assert_false(becomes(text, known, PATH, "[server]\n[peer x]\n[domain d.example]\nmode = require\n"
	    "ca = c\n[domain d.example]\nmode = none\n", &quick));
	assert_false(becomes(text, known, PATH, "mode = offer\n[ca c]\nfile = /c.pem\n", &quick));
	assert_true(becomes(text, known, PATH, "[agent]\n", &quick));
	assert_true(becomes(text, known, PATH, text, &quick));
	settings_free(known);
}

/* Known from a compiled form, which may have been made under another path. */
static void
read_from_a_file(void **arg)
{
	static const char *const made_at[] = { PATH, "tlsward.ini", "/etc/tlsward/a/longer/path/than/that.ini" };
	const struct edit e = set(SEC_PEER, "p.example", KEY_CERT_NAMES, "z.example");
	struct settings *s, *known;
	size_t len;
	void *image;
	bool quick;

	(void)arg;
	for (size_t i = 0; i < sizeof(made_at) / sizeof(made_at[0]); i++) {
		s = settings_parse(plain, sizeof(plain) - 1, made_at[i], NULL, false, NULL, NULL);
		assert_non_null(s);
		assert_non_null(image = settings_image(s, &len));
		assert_non_null(known = settings_adopt(image, len));
		assert_non_null(known->path = strdup(PATH));
		free(changed(plain, known, PATH, &e, 1, &quick));
		assert_true(quick);
		settings_free(known);
		settings_free(s);
	}
}

/* What is far apart is parsed; one section of many is not. */
static void
parts(void **arg)
{
	struct edit e[2] = { set(SEC_DOMAIN, "d0.example", KEY_MODE, "none"),
	    set(SEC_DOMAIN, "d999.example", KEY_MODE, "none") };
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)arg;
	assert_non_null(f);
	for (int i = 0; i < 1000; i++)
		fprintf(f, "[domain d%d.example]\nmode = require\n", i);
	fclose(f);
	assert_true(quick_one(text, PATH, e[0]));
	assert_true(quick_one(text, PATH, e[1]));
	assert_false(quick_all(text, PATH, e, 2));
	free(text);
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

/* A copy of the settings in which some things are not as they were; NULL: that is no image. */
static struct settings *
forge(const struct settings *known)
{
	struct settings *s;
	struct image *h;
	struct rule *r, hold;
	uint32_t i, k;
	size_t len;

	assert_non_null(h = settings_image(known, &len));
	r = (struct rule *)(void *)((char *)h + h->rules);
	switch (any(8)) {
	case 0:
		h->nslots = 1u << any(8);
		if (any(2) == 0)
			h->slots = (uint32_t)(len - h->nslots * sizeof(uint32_t)) & ~3u;
		break;
	case 1:
		h->section[any(SEC_MAX)] = (struct span){ any(h->nrules), any(3) };
		break;
	case 2:
		h->nrules = any(h->nrules);
		break;
	case 3:
		h->path = any(2 * h->pool_len);
		break;
	case 4:
		i = any(h->nrules);
		hold = r[i];
		k = any(h->nrules);
		r[i] = r[k];
		r[k] = hold;
		break;
	default:
		for (i = 1 + any(4); i > 0; i--)
			((unsigned char *)h)[sizeof(*h) + any((uint32_t)(len - sizeof(*h)))] =
			    (unsigned char)any(256);
	}
	if ((s = settings_adopt(h, len)) == NULL)
		free(h);
	return s;
}

/* The settings that are known say anything: so may what comes of them, within bounds. */
static void
forged_known(void **arg)
{
	static const char before[] = "[ca c]\nfile = /c.pem\n[client 192.0.2.0/24]\nca = c\n"
	    "[client 10.0.0.0/8]\nmode = offer\n[peer a.example]\ncert_names = a.example, b.example\n"
	    "[peer c.example]\ncerts = /c.pem\n[peer e.example]\n[peer g.example]\nmode = none\n"
	    "[agent]\nexpiry_days = 30, 7\nnotify = no\n";
	/* new ones, and what is there from line 12 on */
	static const char *const next[] = { "[peer f.example]\nmode = none\n[peer b.example]\n"
	    "cert_names = x.example\n[peer d.example]\n[client 192.0.2.0/28]\n[agent]\nnotify = yes\n",
	    "[peer g.example]\nmode = none\n[agent]\nexpiry_days = 1\n" };
	struct settings *known = parse(before, strlen(before)), *piece[2], *s, *t;
	size_t made = 0;

	(void)arg;
	assert_non_null(known);
	for (int i = 0; i < 2; i++)
		assert_non_null(piece[i] = parse(next[i], strlen(next[i])));
	for (int i = 0; i < 4 * ROUNDS; i++) {
		if ((s = forge(known)) == NULL)
			continue;
		t = any(2) == 0 ? settings_splice(s, piece[1], 12, UINT_MAX, 0, 1) :
		    settings_splice(s, piece[any(2)], 1 + any(25), 1 + any(25), any(3), 1);
		if (t != NULL)
			(void)ask(t);
		made += t != NULL;
		settings_free(t);
		settings_free(s);
	}
	for (int i = 0; i < 2; i++)
		settings_free(piece[i]);
	settings_free(known);
	assert_true(made > ROUNDS / 20);
}

/* ---- many ---- */

static void
random_changes(void **arg)
{
	unsigned good = 0, quick = 0, by_edit = 0, quick_edit = 0;
	char *text = NULL, *next;
	struct settings *known;
	struct edit e[3];
	bool fast;

	(void)arg;
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (text == NULL || i % 20 == 0) {
			free(text);
			text = random_text();
		}
		if ((known = parse(text, strlen(text))) == NULL) {
			free(text);
			text = NULL;
			continue;
		}
		if (any(4) == 0) {
			next = by_hand(text);
			if (!becomes(text, known, PATH, next, &fast)) {
				free(next);
				next = NULL;
			}
		} else {
			for (int k = 0; k < 3; k++)
				e[k] = random_edit();
			next = changed(text, known, PATH, e, 1 + any(3), &fast);
			by_edit += next != NULL;
			quick_edit += fast;
		}
		good += next != NULL;
		quick += fast;
		settings_free(known);
		if (next != NULL) {
			free(text);
			text = next;
		}
	}
	free(text);
	assert_true(good > ROUNDS / 4 && good < ROUNDS - ROUNDS / 10);
	assert_int_equal(quick_edit, by_edit);		/* never parsed in vain: the texts are small */
	assert_int_equal(quick, good);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taken),
		cmocka_unit_test(left),
		cmocka_unit_test(read_from_a_file),
		cmocka_unit_test(parts),
		cmocka_unit_test(forged),
		cmocka_unit_test(forged_known),
		cmocka_unit_test(random_changes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
