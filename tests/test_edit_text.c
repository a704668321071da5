/* Changes to the INI: what becomes of its text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "edit_text.h"

#define SET_MODE(s, n, v) { EDIT_SET, s, n, KEY_MODE, v }
#define UNSET_MODE(s, n) { EDIT_UNSET, s, n, KEY_MODE, NULL }
#define ADD(s, n) { EDIT_ADD, s, n, KEY_MAX, NULL }
#define PIN "SHA256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define REMOVE(s, n) { EDIT_REMOVE, s, n, KEY_MAX, NULL }

static const struct {
	const char *what;
	struct edit edit[4];		/* until one without a name */
	const char *before, *after;	/* after NULL: EDIT_NO_SECTION */
} texts[] = {
	{ "a value", { SET_MODE(SEC_DOMAIN, "a.example", "require") },
	    "[domain a.example]\nmode = offer\n", "[domain a.example]\nmode = require\n" },
	{ "only that of its section", { SET_MODE(SEC_DOMAIN, "b.example", "none") },
	    "[domain a.example]\nmode = offer\n[peer b.example]\nmode=offer\n"
	    "[domain b.example]\nmode=offer\n[domain c.example]\nmode=offer\n",
	    "[domain a.example]\nmode = offer\n[peer b.example]\nmode=offer\n"
	    "[domain b.example]\nmode=none\n[domain c.example]\nmode=offer\n" },
	{ "spaces and comments stay", { SET_MODE(SEC_SERVER, "", "none") },
	    "; top\n\n[server] ; s\n# note\n\tmode\t:\toffer\t; what ; else\n\n\n; end\n",
	    "; top\n\n[server] ; s\n# note\n\tmode\t:\tnone\t; what ; else\n\n\n; end\n" },
	{ "a column of comments stays", { SET_MODE(SEC_SERVER, "", "require") },
	    "[server]\nmode = offer        ; a\nenforce = yes       ; b\n",
	    "[server]\nmode = require      ; a\nenforce = yes       ; b\n" },
	{ "a ; without a space is no comment", { SET_MODE(SEC_SERVER, "", "none") },
	    "[server]\nmode = of;fer\n", "[server]\nmode = none\n" },
	{ "a key without a value", { SET_MODE(SEC_SERVER, "", "none") },
	    "[server]\nmode =\n", "[server]\nmode = none\n" },
	{ "a comment without a value", { SET_MODE(SEC_SERVER, "", "none") },
	    "[server]\nmode = ; hm\n", "[server]\nmode = none ; hm\n" },
	{ "a comment without a value, apart", { SET_MODE(SEC_SERVER, "", "none") },
	    "[server]\nmode =   ; hm\n", "[server]\nmode = none ; hm\n" },
	{ "a key in a comment is none", { SET_MODE(SEC_SERVER, "", "none") },
	    "[server]\n;mode = offer\n#mode = offer\nenforce = yes\n",
	    "[server]\n;mode = offer\n#mode = offer\nenforce = yes\nmode = none\n" },
	{ "a longer key is another", { SET_MODE(SEC_SERVER, "", "none") },
	    "[server]\nmodes = offer\n", "[server]\nmodes = offer\nmode = none\n" },
	{ "a new key, behind the last", { SET_MODE(SEC_DOMAIN, "a.example", "require") },
	    "[domain a.example]\nenforce = yes ; x\n\n; of b\n[domain b.example]\n",
	    "[domain a.example]\nenforce = yes ; x\nmode = require\n\n; of b\n[domain b.example]\n" },
	{ "a new key in an empty section", { SET_MODE(SEC_DOMAIN, "a.example", "require") },
	    "[domain a.example]\n\n[domain b.example]\n",
	    "[domain a.example]\nmode = require\n\n[domain b.example]\n" },
	{ "a new key behind continuation lines", { SET_MODE(SEC_PEER, "a.example", "require") },
	    "[peer a.example]\ncert_names = a.example,\n  b.example\n; note\n",
	    "[peer a.example]\ncert_names = a.example,\n  b.example\nmode = require\n; note\n" },
	{ "a new key, no final newline", { SET_MODE(SEC_DOMAIN, "a.example", "require") },
	    "[domain a.example]\nenforce = yes", "[domain a.example]\nenforce = yes\nmode = require\n" },
	{ "a header at the end, no final newline", { SET_MODE(SEC_DOMAIN, "a.example", "require") },
	    "[domain a.example]", "[domain a.example]\nmode = require\n" },
	{ "a comment at the end, no final newline", { SET_MODE(SEC_DOMAIN, "a.example", "require") },
	    "[domain a.example]\nenforce = yes\n; end",
	    "[domain a.example]\nenforce = yes\nmode = require\n; end\n" },
	{ "a value, no final newline", { SET_MODE(SEC_DOMAIN, "a.example", "require") },
	    "[domain a.example]\nmode = offer", "[domain a.example]\nmode = require" },
	{ "CRLF, a value", { SET_MODE(SEC_SERVER, "", "none") },
	    "[server]\r\nmode = offer\r\n", "[server]\r\nmode = none\r\n" },
	{ "CRLF, a new key and section", { SET_MODE(SEC_SERVER, "", "none"), ADD(SEC_PEER, "b.example") },
	    "[server]\r\nenforce = yes\r\n",
	    "[server]\r\nenforce = yes\r\nmode = none\r\n\r\n[peer b.example]\r\n" },
	{ "a byte order mark", { SET_MODE(SEC_SERVER, "", "none") },
	    "\xef\xbb\xbf[server]\nmode = offer\n", "\xef\xbb\xbf[server]\nmode = none\n" },
	{ "continuation lines of another value", { { EDIT_SET, SEC_PEER, "a.example",
	    KEY_CERT_NAMES, "c.example" } },
	    "[peer a.example]\ncert_names = a.example, ; x\n  b.example\n ; note\n\td.example\nmode = offer\n",
	    "[peer a.example]\ncert_names = c.example ; x\n ; note\nmode = offer\n" },
	{ "a header in another spelling", { SET_MODE(SEC_DOMAIN, "xn--bcher-kva.example", "none") },
	    "[  domain\tB\xc3\x9c" "cher.Example.  ] # odd\nmode = offer\n",
	    "[  domain\tB\xc3\x9c" "cher.Example.  ] # odd\nmode = none\n" },
	{ "a listener's brackets", { SET_MODE(SEC_LISTENER, "[2001:db8::7]:25", "none") },
	    "[listener [2001:DB8::7]:25] ; see [x]\nmode = offer\n",
	    "[listener [2001:DB8::7]:25] ; see [x]\nmode = none\n" },
	{ "a name given in another spelling", { SET_MODE(SEC_CLIENT, "203.0.113.5", "none") },
	    "[client 203.0.113.5/32]\nmode = offer\n", "[client 203.0.113.5/32]\nmode = none\n" },
	{ "a new section", { SET_MODE(SEC_DOMAIN, "a.example", "require") },
	    "[server]\nmode = offer\n", "[server]\nmode = offer\n\n[domain a.example]\nmode = require\n" },
	{ "a new section, a blank line is there", { SET_MODE(SEC_DOMAIN, "a.example", "require") },
	    "[server]\n \n", "[server]\n \n[domain a.example]\nmode = require\n" },
	{ "a new section, no final newline", { SET_MODE(SEC_DOMAIN, "a.example", "require") },
	    "[server]", "[server]\n\n[domain a.example]\nmode = require\n" },
	{ "the first section", { SET_MODE(SEC_SERVER, "", "require") },
	    "", "[server]\nmode = require\n" },
	{ "new sections in the order of the edits", { SET_MODE(SEC_PEER, "z.example", "none"),
	    ADD(SEC_DOMAIN, "b.example"), SET_MODE(SEC_DOMAIN, "a.example", "none") },
	    "; x\n", "; x\n\n[peer z.example]\nmode = none\n\n[domain b.example]\n\n"
	    "[domain a.example]\nmode = none\n" },
	{ "add what is there", { ADD(SEC_DOMAIN, "a.example") },
	    "[domain a.example]\n", "[domain a.example]\n" },
	{ "unset", { UNSET_MODE(SEC_DOMAIN, "a.example") },
	    "[domain a.example]\n; why\nmode = none\nenforce = yes\n",
	    "[domain a.example]\n; why\nenforce = yes\n" },
	{ "unset keeps what was said about it", { UNSET_MODE(SEC_DOMAIN, "a.example") },
	    "[domain a.example]\nmode = none\t; as agreed; x\nenforce = yes\n",
	    "[domain a.example]\n; as agreed; x\nenforce = yes\n" },
	{ "unset keeps it without a line end", { UNSET_MODE(SEC_DOMAIN, "a.example") },
	    "[domain a.example]\r\nmode = none ; x", "[domain a.example]\r\n; x\r\n" },
	{ "and of a list's further lines", { { EDIT_UNSET, SEC_PEER, "a.example", KEY_CERT_NAMES, NULL } },
	    "[peer a.example]\ncert_names = a.example, ; x\n\tb.example, ; y\n\tc.example\nmode = none\n",
	    "[peer a.example]\n; x\n; y\nmode = none\n" },
	{ "another list keeps them, too", { { EDIT_SET, SEC_PEER, "a.example", KEY_CERT_NAMES, "z.example" } },
	    "[peer a.example]\ncert_names = a.example,\n\tb.example ; y;\nmode = none\n",
	    "[peer a.example]\ncert_names = z.example\n; y;\nmode = none\n" },
	{ "a long list goes on", { { EDIT_SET, SEC_PEER, "a.example", KEY_FINGERPRINTS,
	    PIN ", " PIN "," PIN } },
	    "[peer a.example]\nfingerprints =  SHA256:x   ; renewed in May\n\t; b\nmode = none\n",
	    "[peer a.example]\nfingerprints =  " PIN ", ; renewed in May\n    " PIN ",\n    " PIN "\n\t; b\nmode = none\n" },
	{ "with a long comment before it", { { EDIT_SET, SEC_PEER, "a.example", KEY_FINGERPRINTS,
	    PIN ", " PIN } },
	    "[peer a.example]\nfingerprints = SHA256:x ; " PIN PIN,
	    "[peer a.example]\n; " PIN PIN "\nfingerprints = " PIN ",\n    " PIN },
	{ "in a new section", { { EDIT_SET, SEC_PEER, "a.example", KEY_FINGERPRINTS,
	    PIN "," PIN ",," PIN ", " } }, "",
	    "[peer a.example]\nfingerprints = " PIN ",\n    " PIN ",,\n    " PIN ",\n" },
	{ "unset a list", { { EDIT_UNSET, SEC_PEER, "a.example", KEY_CERT_NAMES, NULL } },
	    "[peer a.example]\ncert_names = a.example,\n\tb.example\nmode = none\n",
	    "[peer a.example]\nmode = none\n" },
	{ "unset what is not set", { UNSET_MODE(SEC_DOMAIN, "a.example") },
	    "[domain a.example]\n", "[domain a.example]\n" },
	{ "unset in no section", { UNSET_MODE(SEC_DOMAIN, "a.example") }, "[server]\n", NULL },
	{ "unset in a server section not written", { UNSET_MODE(SEC_SERVER, "") }, "; x\n", "; x\n" },
	{ "remove", { REMOVE(SEC_DOMAIN, "b.example") },
	    "[domain a.example]\n\n; of b\n[domain b.example]\n; in b\nmode = none\n\n; too\n"
	    "enforce = yes\n; last\n\n; of c\n[domain c.example]\n",
	    "[domain a.example]\n\n; of b\n; in b\n\n; too\n; last\n\n; of c\n[domain c.example]\n" },
	{ "remove what has comments at its lines", { REMOVE(SEC_PEER, "b.example") },
	    "[server]\n[peer b.example] # ours\nmode = none ; by contract\n\n"
	    "certs = /a, ; one\n\t/b ; two\n[domain c.example]\n",
	    "[server]\n# ours\n; by contract\n; one\n; two\n[domain c.example]\n" },
	{ "remove the last, with a comment and no line end", { REMOVE(SEC_PEER, "b.example") },
	    "[server]\n\n[peer b.example];x", "[server]\n\n;x\n" },
	{ "remove leaves one gap", { REMOVE(SEC_DOMAIN, "b.example") },
	    "[domain a.example]\n\n[domain b.example]\nmode = none\n\n\n[domain c.example]\n",
	    "[domain a.example]\n\n[domain c.example]\n" },
	{ "remove the last", { REMOVE(SEC_DOMAIN, "b.example") },
	    "[domain a.example]\n\n[domain b.example]\nmode = none\n", "[domain a.example]\n" },
	{ "remove the first", { REMOVE(SEC_DOMAIN, "b.example") },
	    "[domain b.example]\nmode = none\n\n[server]\n", "[server]\n" },
	{ "remove the only one", { REMOVE(SEC_DOMAIN, "b.example") },
	    "[domain b.example]\ncert_names = a.example,\n b.example", "" },
	{ "remove what is not there", { REMOVE(SEC_DOMAIN, "b.example") },
	    "[peer b.example]\n", NULL },
	{ "remove and make anew", { REMOVE(SEC_DOMAIN, "a.example"),
	    SET_MODE(SEC_DOMAIN, "a.example", "none") },
	    "[domain a.example]\nenforce = report\n\n[server]\n",
	    "[server]\n\n[domain a.example]\nmode = none\n" },
	{ "make and remove", { SET_MODE(SEC_DOMAIN, "a.example", "none"),
	    REMOVE(SEC_DOMAIN, "a.example") }, "; x\n", "; x\n" },
	{ "the last of two edits counts", { SET_MODE(SEC_DOMAIN, "a.example", "none"),
	    SET_MODE(SEC_DOMAIN, "a.example", "require") },
	    "[domain a.example]\nmode = offer\n", "[domain a.example]\nmode = require\n" },
	{ "set and unset", { SET_MODE(SEC_DOMAIN, "a.example", "none"),
	    UNSET_MODE(SEC_DOMAIN, "a.example") },
	    "[domain a.example]\nmode = offer\n", "[domain a.example]\n" },
	{ "several sections", { SET_MODE(SEC_SERVER, "", "none"), REMOVE(SEC_PEER, "b.example"),
	    UNSET_MODE(SEC_DOMAIN, "a.example"), ADD(SEC_PEER, "c.example") },
	    "[server]\nmode = offer\n\n[domain a.example]\nmode = offer\n\n[peer b.example]\n",
	    "[server]\nmode = none\n\n[domain a.example]\n\n[peer c.example]\n" },
	{ "lines that are none are left alone", { SET_MODE(SEC_SERVER, "", "none") },
	    "junk\n[server\n[]\n[nosuch x]\nmode = x\n[server]\njunk\nmode = offer\n",
	    "junk\n[server\n[]\n[nosuch x]\nmode = x\n[server]\njunk\nmode = none\n" },
};

static void
text_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct edit_plan plan;
		char why[EDIT_WHY] = "", *exact, *out;
		size_t n = 0, len = strlen(texts[i].before), out_len;
		enum edit_status status;

		while (n < 4 && texts[i].edit[n].name != NULL)
			n++;
		if (edit_plan(&plan, texts[i].edit, n, why) != EDIT_OK)
			fail_msg("%s: %s", texts[i].what, why);
		exact = malloc(len + (len == 0));
		assert_non_null(exact);
		memcpy(exact, texts[i].before, len);
		status = edit_text(exact, len, &plan, &out, &out_len, why);
		free(exact);
		edit_plan_free(&plan);
		if (status != (texts[i].after != NULL ? EDIT_OK : EDIT_NO_SECTION))
			fail_msg("%s: %d %s", texts[i].what, status, why);
		if (texts[i].after != NULL && (out_len != strlen(texts[i].after) ||
		    memcmp(out, texts[i].after, out_len) != 0))
			fail_msg("%s: \"%.*s\"", texts[i].what, (int)out_len, out);
		free(out);
	}
}

static void
refused_values(void **state)
{
	static const struct {
		struct edit edit;
		const char *why;
	} cases[] = {
		{ SET_MODE(SEC_DOMAIN, "a.example", "maybe"), "none, offer or require" },
		{ SET_MODE(SEC_DOMAIN, "a.example", ""), "empty" },
		{ SET_MODE(SEC_DOMAIN, "a.example", "  \t"), "empty" },
		{ SET_MODE(SEC_DOMAIN, "a.example", NULL), "empty" },
		{ SET_MODE(SEC_DOMAIN, "a.example", "none\n[server]"), "line break" },
		{ SET_MODE(SEC_DOMAIN, "a.example", "none\r"), "line break" },
		{ SET_MODE(SEC_DOMAIN, "a.example", "none\x01"), "control" },
		{ { EDIT_SET, SEC_SERVER, "", KEY_STATE_DIR, "/var/x ;y" }, "comment" },
		{ { EDIT_SET, SEC_SERVER, "", KEY_STATE_DIR, "/var/x\t;y" }, "comment" },
		{ { EDIT_SET, SEC_SERVER, "", KEY_STATE_DIR, ";y" }, "comment" },
		{ { EDIT_SET, SEC_SERVER, "", KEY_FILE, "/x" }, "no key file" },
		{ { EDIT_SET, SEC_SERVER, "x", KEY_MODE, "none" }, "no name" },
		{ { EDIT_SET, SEC_MAX, "", KEY_MODE, "none" }, "no such section" },
		{ { EDIT_SET, SEC_SERVER, "", KEY_MAX, "none" }, "no key" },
		{ SET_MODE(SEC_DOMAIN, "a example", "none"), "character" },
		{ SET_MODE(SEC_DOMAIN, "a.example]\n[server", "none"), "character" },
		{ SET_MODE(SEC_DOMAIN, "", "none"), "missing" },
	};
	char why[EDIT_WHY];
	struct edit_plan plan;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(edit_plan(&plan, &cases[i].edit, 1, why), EDIT_INVALID);
		edit_plan_free(&plan);
		if (strstr(why, cases[i].why) == NULL)
			fail_msg("case %zu: %s", i, why);
	}
}

/* Whose line is it? */
static void
places(void **state)
{
	static const char text[] = "\xef\xbb\xbf; x\n[server]\nmode = offer\n\n[peer B.example.]\n"
	    "cert_names = a.example,\n  b.example ; mode = x\n[nosuch x]\nmode = none\nhm = 1";
	static const struct {
		enum section section;
		enum key key;
		const char *name;
	} want[] = {
		{ SEC_MAX, KEY_MAX, "" }, { SEC_MAX, KEY_MAX, "" }, { SEC_SERVER, KEY_MAX, "" },
		{ SEC_SERVER, KEY_MODE, "" }, { SEC_SERVER, KEY_MODE, "" },
		{ SEC_PEER, KEY_MAX, "b.example" }, { SEC_PEER, KEY_CERT_NAMES, "b.example" },
		{ SEC_PEER, KEY_CERT_NAMES, "b.example" }, { SEC_MAX, KEY_MAX, "" },
		{ SEC_MAX, KEY_MODE, "" }, { SEC_MAX, KEY_MAX, "" }, { SEC_MAX, KEY_MAX, "" },
	};
	struct edit_place place;

	(void)state;
	for (unsigned line = 0; line < sizeof(want) / sizeof(want[0]); line++) {
		edit_text_at(text, sizeof(text) - 1, line, &place);
		assert_int_equal(place.section, want[line].section);
		assert_int_equal(place.key, want[line].key);
		if (place.section != SEC_MAX)
			assert_string_equal(place.name, want[line].name);
	}
}

/* 100,000 sections and 1,000 edits all over them: one pass. */
static void
many(void **state)
{
	enum { SECTIONS = 100000, EDITS = 1000 };
	static struct edit edits[EDITS];
	static char names[EDITS][32];
	char *text, *out, why[EDIT_WHY], *p;
	size_t size = (size_t)SECTIONS * 64, len = 0, out_len, changed = 0;
	struct edit_plan plan;
	struct timespec from, to;

	(void)state;
	text = malloc(size);
	assert_non_null(text);
	for (int i = 0; i < SECTIONS; i++)
		len += (size_t)snprintf(text + len, size - len,
		    "[domain d%06d.example]\nmode = offer\nenforce = yes\n\n", i);
	for (int i = 0; i < EDITS; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "d%06d.example",
		    (i * 7919) % (SECTIONS + SECTIONS / 10));
		edits[i] = (struct edit)SET_MODE(SEC_DOMAIN, names[i], "require");
	}
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	assert_int_equal(edit_plan(&plan, edits, EDITS, why), EDIT_OK);
	assert_int_equal(edit_text(text, len, &plan, &out, &out_len, why), EDIT_OK);
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	for (p = out; (p = memmem(p, (size_t)(out + out_len - p), "require", 7)) != NULL; p++)
		changed++;
	assert_int_equal(changed, EDITS);
	/* with the sanitizers; a fifth of a second without */
	assert_true(to.tv_sec - from.tv_sec < 5);
	edit_plan_free(&plan);
	free(out);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_cases),
		cmocka_unit_test(refused_values),
		cmocka_unit_test(places),
		cmocka_unit_test(many),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
