/*
 * Lines of the filter protocol taken apart, beside a plain way to do it: each octet
 * at each place of an id, and lines broken at random.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "event.h"
#include "request.h"

/* The same numbers in each run. */
static unsigned
next_random(void)
{
	static uint64_t state = 1;

	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(state >> 33);
}

/* The line on the heap, for the sanitizer to see its end; free(r->line). */
static void
parse(struct request *r, const char *line, size_t len)
{
	char *copy = malloc(len + 1);

	assert_non_null(copy);
	memcpy(copy, line, len);
	copy[len] = '\0';
	request_parse(r, copy, len, true);
}

/* ---- ids ---- */

static void
ids_octet_by_octet(void **state)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	char id[17] = "4b046be93c6EF362", line[96];
	struct request r;

	(void)state;
	for (size_t at = 0; at < 16; at++)
		for (int c = 1; c < 256; c++) {
			char was = id[at];
			int n;

			id[at] = (char)c;
			n = snprintf(line, sizeof(line), "report|0.7|1795483903.581939|smtp-in|link-tls|%s|x", id);
			parse(&r, line, (size_t)n);
			if (strchr(digits, c) != NULL) {
				assert_non_null(r.session);
				assert_true(r.id == strtoull(id, NULL, 16));
				assert_int_equal(r.session_len, 16);
				assert_string_equal(r.rest, "x");
			} else if (c != '|') {
				assert_null(r.session);
				assert_non_null(r.trouble);
			}
			free(r.line);
			id[at] = was;
		}
}

static void
ids_of_any_length(void **state)
{
	static const char id[] = "F123456789abcdef0";
	char line[96], part[18];
	struct request r;

	(void)state;
	for (int len = 0; len <= 17; len++)
		for (int more = 0; more < 2; more++) {
			int n = snprintf(line, sizeof(line), "filter|0.7|1.2|smtp-in|commit|%.*s|%.*s%s",
			    len, id, len, id, more ? "|" : "");

			parse(&r, line, (size_t)n);
			if (len == 0 || len == 17) {
				assert_null(r.session);
			} else {
				assert_int_equal(r.session_len, len);
				assert_int_equal(r.token_len, len);
				(void)snprintf(part, sizeof(part), "%.*s", len, id);
				assert_true(r.id == strtoull(part, NULL, 16));
				assert_int_equal(r.rest != NULL, more);
				assert_null(r.trouble);
			}
			free(r.line);
		}
}

/* ---- whole lines ---- */

/* Field n of a line: where it begins, and its length; NULL: there are not so many. */
static const char *
nth(const char *line, size_t len, unsigned n, size_t *size)
{
	const char *end = line + len, *p = line, *bar;

	while (n-- > 0) {
		if ((bar = memchr(p, '|', (size_t)(end - p))) == NULL)
			return NULL;
		p = bar + 1;
	}
	bar = memchr(p, '|', (size_t)(end - p));
	*size = (size_t)((bar != NULL ? bar : end) - p);
	return p;
}

static bool
is_id(const char *p, size_t len, uint64_t *id)
{
	*id = 0;
	for (size_t i = 0; i < len; i++) {
		if (!isxdigit((unsigned char)p[i]))
			return false;
		*id = *id << 4 | (unsigned)(isdigit((unsigned char)p[i]) ? p[i] - '0' :
		    tolower((unsigned char)p[i]) - 'a' + 10);
	}
	return len > 0 && len <= 16;
}

static void
same_as_plain(const char *line, size_t len)
{
	const char *session, *token, *rest, *name, *system;
	size_t size = 0, name_len = 0, system_len = 0;
	unsigned head;
	struct request r;
	uint64_t id;
	bool filter;

	parse(&r, line, len);
	filter = len >= 7 && memcmp(line, "filter|", 7) == 0;
	if (!filter && (len < 7 || memcmp(line, "report|", 7) != 0)) {
		assert_true(r.kind == LINE_CONFIG || r.trouble != NULL);
		goto out;
	}
	assert_int_equal(r.kind, filter ? LINE_FILTER : LINE_REPORT);
	head = filter ? 7 : 6;
	system = nth(line, len, 3, &system_len);
	name = nth(line, len, 4, &name_len);
	session = nth(line, len, 5, &size);
	if (session == NULL || !is_id(session, size, &id)) {
		assert_non_null(r.trouble);
		assert_null(r.session);
		goto out;
	}
	assert_true(r.id == id && r.session_len == size && memcmp(r.session, session, size) == 0);
	token = filter ? nth(line, len, 6, &size) : session;
	if (token == NULL || !is_id(token, size, &id)) {
		assert_true(r.trouble != NULL && r.token == NULL);
		goto out;
	}
	assert_true(!filter || (r.token_len == size && memcmp(r.token, token, size) == 0));
	assert_true(r.event == event_find(filter, name, name_len));
	rest = nth(line, len, head, &size);
	assert_int_equal(r.rest != NULL, rest != NULL);
	if (rest != NULL) {
		assert_int_equal(r.len, len - (size_t)(rest - line));
		assert_memory_equal(r.rest, rest, r.len);
	}
	assert_int_equal(r.whole, memchr(line, '\0', len) == NULL);
	if (r.trouble == NULL)
		assert_int_equal(r.foreign, system_len != 7 || memcmp(system, "smtp-in", 7) != 0);
out:
	free(r.line);
}

static void
lines_broken_at_random(void **state)
{
	static const char *const whole[] = {
		"report|0.7|1795483903.581939|smtp-in|link-connect|4b046be93c6ef362|mail|pass|192.0.2.4:1|198.51.100.7:25",
		"report|0.6|1795483903.581939|smtp-in|link-disconnect|4b046be93c6ef362",
		"filter|0.5|1.000001|smtp-in|mail-from|4b046be93c6ef362|2d04797379171e76|someone@p1.example",
		"filter|0.7|1795483903.581939|smtp-out|data-line|1|2|a|b",
		"config|ready"
	};
	static const char odd[] = "||||\0\r0123456789abcdefABCDEFgG.x\x7f\x80\xff";
	char line[160];

	(void)state;
	for (int i = 0; i < 300000; i++) {
		const char *from = whole[next_random() % (sizeof(whole) / sizeof(whole[0]))];
		size_t len = strlen(from);

		memcpy(line, from, len);
		for (unsigned n = next_random() % 4; n > 0; n--)
			line[next_random() % len] = odd[next_random() % (sizeof(odd) - 1)];
		len -= next_random() % 3 == 0 ? next_random() % len : 0;
		if (line[len - 1] != '\r')		/* taken off, or not: see the goldens */
			same_as_plain(line, len);
	}
}

static void
heads_are_shown_as_they_came(void **state)
{
	static const char line[] = "report|0.7|1.2|smtp-in|link-identify|1a|EHLO|mail.example";
	static const char nul[] = "filter|0.7|1\0002|smtp-in|commit|1\000|2";
	char head[100];
	struct request r;

	(void)state;
	parse(&r, line, sizeof(line) - 1);
	(void)request_field(&r);
	assert_int_equal(request_head(&r, head, sizeof(head)), sizeof(line) - 1);
	assert_memory_equal(head, line, sizeof(line) - 1);
	assert_int_equal(request_head(&r, head, 6), 6);
	free(r.line);
	parse(&r, nul, sizeof(nul) - 1);
	assert_non_null(r.trouble);
	assert_int_equal(request_head(&r, head, sizeof(head)), sizeof(nul) - 1);
	assert_memory_equal(head, nul, sizeof(nul) - 1);
	free(r.line);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_octet_by_octet),
		cmocka_unit_test(ids_of_any_length),
		cmocka_unit_test(lines_broken_at_random),
		cmocka_unit_test(heads_are_shown_as_they_came),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
