/*
 * The tree of objects without a daemon: a walk against a list that is made
 * here by other means, then GETNEXT at random places against that list.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "snmp_objects.h"
#include "snmp_target.h"
#include "snmp_values.h"

#define LABEL60 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff"
#define NAME114 LABEL60 "." "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeee.example"
#define NAME115 LABEL60 "." "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeef.example"

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const char ini[] =
    "[server]\nmode = offer\nstate_dir = /nonexistent\n"
    "[listener 127.0.0.1:25]\nmode = require\nmin_tls = 1.3\nverifies = yes\n"
    "[listener [2001:db8::7]:465]\ncertificate = b\n"
    "[listener *:25]\n"
    "[listener 127.0.0.1:26]\n"
    "[listener 9.0.0.1:2525]\n"
    "[client 203.0.113.0/24]\nmin_bits = 256\n"
    "[client 203.0.113.0/25]\n"
    "[client 10.0.0.0/8]\nca = roots\n"
    "[client 2001:db8::/32]\n"
    "[certificate b]\nfile = /nonexistent/b.pem\nkey = /nonexistent/b.key\n"
    "[certificate a]\nfile = /nonexistent/a.pem\nkey = /nonexistent/a.key\nnames = a.example\n"
    "[ca roots]\nfile = /nonexistent/roots.pem\n"
    "[domain example.org]\nmode = require\n"
    "[domain .example.org]\nclient_cert = request\n"
    "[domain a.example]\nenforce = report\n"
    "[domain a.example.net]\n"
    "[domain " NAME114 "]\n"
    "[domain " NAME115 "]\n"
    "[peer " NAME115 "]\ncert_names = x.example\n"
    "[peer partner.example]\nmode = none\nca = roots\nmatch_cn = yes\n"
    "cert_names = B.example, *.partner.example\nfingerprints = sha256:" HEX "\n";

/* In the order of an IMPLIED index: octet by octet, the shorter first. */
static const char *const domains[] = {
	".example.org", "a.example", "a.example.net", NAME114, "example.org"
};
static const char *const peers[] = { "partner.example", "waiting.example" };
/* Type, address, port or prefix; -1 ends each. */
static const int listeners[][20] = {
	{ 0, 0, 25, -1 }, { 1, 4, 9, 0, 0, 1, 2525, -1 }, { 1, 4, 127, 0, 0, 1, 25, -1 },
	{ 1, 4, 127, 0, 0, 1, 26, -1 },
	{ 2, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 465, -1 }
};
static const int clients[][20] = {
	{ 1, 4, 9, 1, 0, 0, 16, -1 },	/* waits */
	{ 1, 4, 10, 0, 0, 0, 8, -1 }, { 1, 4, 203, 0, 113, 0, 24, -1 },
	{ 1, 4, 203, 0, 113, 0, 25, -1 },
	{ 2, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, -1 }
};
static const int certificates[][20] = { { 1, 'a', -1 }, { 1, 'b', -1 }, { 2, 'r', 'o', 'o', 't', 's', -1 } };
static const int front_ends[][20] = { { 1, -1 }, { 2, -1 } };
static const oid scalars[][2] = {
	{1, 1}, {2, 1}, {2, 2}, {2, 3}, {2, 4}, {2, 5}, {2, 6}, {2, 7}, {2, 9}, {2, 16}, {2, 17},
	{2, 18}, {2, 19}, {2, 20}, {2, 21}, {2, 22}, {2, 23}, {3, 1}, {3, 2}, {3, 3}, {3, 4},
	{3, 5}, {3, 6}, {3, 7}, {3, 8}, {3, 9}, {3, 10}, {3, 11}, {3, 12}, {3, 13}, {3, 14},
	{3, 15}, {4, 1}, {4, 2}, {4, 3}, {4, 4}, {4, 5}, {4, 6}
}, last_scalars[][2] = {
	{14, 1}, {14, 2}, {14, 3}, {14, 4}, {14, 5}, {14, 6}, {15, 1}, {15, 2}, {15, 3}, {15, 4}, {15, 5},
	{15, 6}, {15, 7}, {15, 19}, {15, 20}, {15, 21}, {16, 1}, {16, 2}, {16, 3}
};
static const oid columns[] = { 2, 3, 4, 5, 6, 7, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21, 30, 31 };
static const oid listener_columns[] = { 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 16, 17, 18, 19, 20, 21,
	22, 23, 24, 25, 26, 27, 30, 31 };
static const oid client_columns[] = { 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18,
	19, 20, 21, 30, 31 };
static const oid long_columns[] = { 2, 3, 4, 5, 6, 7, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21,
	22, 23 };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct place {
	oid sub[TREE_DEPTH];
	size_t n;
};

static struct view view;
static char path[] = "/tmp/test-snmp-tree.XXXXXX";
static struct place model[900];
static size_t nmodel;

static void
model_row(oid group, oid column, const char *name)
{
	struct place *p = &model[nmodel++];

	p->sub[0] = group;
	p->sub[1] = 1;
	p->sub[2] = column;
	for (p->n = 3; *name != '\0'; name++)
		p->sub[p->n++] = (unsigned char)*name;
}

static void
model_index(oid group, oid column, const int *index)
{
	struct place *p = &model[nmodel++];

	*p = (struct place){ { group, 1, column }, 3 };
	for (; *index >= 0; index++)
		p->sub[p->n++] = (oid)*index;
}

static void
model_number(oid group, oid column, oid number)
{
	model[nmodel++] = (struct place){ { group, 1, column, number }, 4 };
}

#define MODEL_INDICES(group, list, rows) \
	for (size_t c = 0; c < COUNT(list); c++) \
		for (size_t i = 0; i < COUNT(rows); i++) \
			model_index(group, list[c], rows[i])

/* What the tables behind peers have, in the MIB's order. */
static void
model_rest(void)
{
	MODEL_INDICES(7, listener_columns, listeners);
	MODEL_INDICES(8, client_columns, clients);
	for (size_t c = 0; c < COUNT(long_columns); c++)
		for (size_t i = 0; i < view.longs.n; i++)
			model_number(9, long_columns[c], view.longs.at[i].number);
	for (oid c = 3; c <= 24; c++)
		for (size_t i = 0; i < COUNT(certificates); i++)
			model_index(10, c, certificates[i]);
	for (oid c = 2; c <= 3; c++)
		for (oid i = 1; i < REASON_MAX; i++)
			model_number(11, c, i);
	for (oid c = 2; c <= 7; c++)
		for (size_t i = 0; i < COUNT(front_ends); i++)
			model_index(13, c, front_ends[i]);
	for (size_t i = 0; i < COUNT(last_scalars); i++)
		model[nmodel++] = (struct place){ { last_scalars[i][0], last_scalars[i][1], 0 }, 3 };
}

static int
setup(void **state)
{
	struct waiting_list *list;
	int fd = mkstemp(path);

	(void)state;
	if (fd == -1 || write(fd, ini, sizeof(ini) - 1) != (ssize_t)sizeof(ini) - 1)
		return -1;
	close(fd);
	if (!view_init(&view, path) || (list = waiting_copy(NULL)) == NULL ||
	    waiting_add(list, SEC_PEER, "waiting.example", view_clock()) == NULL ||
	    waiting_add(list, SEC_CLIENT, "9.1.0.0/16", view_clock()) == NULL)
		return -1;
	view_waiting_put(&view, list);
	view_refresh(&view);

	for (size_t i = 0; i < COUNT(scalars); i++)
		model[nmodel++] = (struct place){ { scalars[i][0], scalars[i][1], 0 }, 3 };
	for (size_t c = 0; c < COUNT(columns); c++)
		for (size_t i = 0; i < COUNT(domains); i++)
			model_row(5, columns[c], domains[i]);
	for (size_t c = 0; c < COUNT(columns); c++)
		for (size_t i = 0; i < COUNT(peers); i++)
			model_row(6, columns[c], peers[i]);
	model_rest();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	view_free(&view);
	unlink(path);
	return 0;
}

static void
same(const struct place *want, const oid *sub, size_t n)
{
	assert_int_equal(n, want->n);
	assert_memory_equal(sub, want->sub, n * sizeof(*sub));
}

static void
walk(void **state)
{
	struct place at = { .n = 0 };
	struct value value, again;
	oid next[TREE_DEPTH];
	size_t len;

	(void)state;
	assert_non_null(view_settings(&view));
	assert_int_equal(strlen(NAME114), 114);
	for (size_t i = 0; i < nmodel; i++) {
		assert_true(tree_next(&view, at.sub, at.n, false, next, &len, &value));
		same(&model[i], next, len);
		assert_int_equal(tree_get(&view, next, len, &again), TREE_FOUND);
		assert_int_equal(value.len, again.len);
		assert_int_equal(value.type, again.type);
		memcpy(at.sub, next, len * sizeof(*next));
		at.n = len;
	}
	assert_false(tree_next(&view, at.sub, at.n, false, next, &len, &value));
	assert_int_equal(view.omitted[SEC_DOMAIN], 1);
	assert_int_equal(view.omitted[SEC_PEER], 1);
	assert_int_equal(view.longs.n, 2);
	assert_true(view.longs.at[0].number < view.longs.at[1].number);
}

static size_t
model_next(const struct place *p, bool inclusive)
{
	size_t i = 0;
	int c;

	while (i < nmodel && (c = snmp_oid_compare(model[i].sub, model[i].n, p->sub, p->n)) <= 0 &&
	    !(inclusive && c == 0))
		i++;
	return i;
}

/* An instance with something cut off, added, or turned up or down. */
static void
mutate(struct place *p)
{
	static const oid odd[] = { 0, 1, 45, 46, 65, 127, 128, 254, 255, 256, 65536, 4294967295U };

	*p = model[(size_t)rand() % nmodel];
	for (int n = rand() % 3; n >= 0; n--)
		switch (rand() % 5) {
		case 0:
			p->n = (size_t)rand() % (p->n + 1);
			break;
		case 1:
			if (p->n < TREE_DEPTH)
				p->sub[p->n++] = odd[(size_t)rand() % COUNT(odd)];
			break;
		case 2:
			if (p->n > 0)
				p->sub[(size_t)rand() % p->n] = odd[(size_t)rand() % COUNT(odd)];
			break;
		case 3:
			if (p->n > 0)
				p->sub[(size_t)rand() % p->n]++;
			break;
		case 4:
			if (p->n > 0 && p->sub[p->n - 1] > 0)
				p->sub[p->n - 1]--;
			break;
		}
}

/* A domain's or peer's name may be asked for in upper case and with a final dot. */
static void
keep(struct place *p)
{
	if (p->n < 4 || (p->sub[0] != 5 && p->sub[0] != 6))
		return;
	for (size_t i = 3; i < p->n; i++)
		if (p->sub[i] >= 'A' && p->sub[i] <= 'Z')
			p->sub[i] += 'a' - 'A';
	if (p->sub[p->n - 1] == '.')
		p->n--;
}

static void
random_places(void **state)
{
	struct place p, asked;
	struct value value;
	oid next[TREE_DEPTH];
	size_t len, want;

	(void)state;
	srand(42);
	for (int i = 0; i < 50000; i++) {
		bool inclusive = rand() % 2 == 0;

		mutate(&p);
		want = model_next(&p, inclusive);
		if (tree_next(&view, p.sub, p.n, inclusive, next, &len, &value))
			same(&model[want], next, len);
		else
			assert_int_equal(want, nmodel);
		asked = p;
		keep(&p);
		want = model_next(&p, true);
		assert_int_equal(tree_get(&view, asked.sub, asked.n, &value) == TREE_FOUND, want < nmodel &&
		    snmp_oid_compare(model[want].sub, model[want].n, p.sub, p.n) == 0);
	}
}

static long
integer_at(oid group, oid column, const char *name)
{
	struct value value;

	size_t n = nmodel;

	nmodel = COUNT(model) - 1;
	model_row(group, column, name);
	nmodel = n;
	assert_int_equal(tree_get(&view, model[COUNT(model) - 1].sub, model[COUNT(model) - 1].n,
	    &value), TREE_FOUND);
	return value.u.integer;
}

static void
values(void **state)
{
	(void)state;
	assert_int_equal(integer_at(5, 2, "example.org"), 4);	/* require */
	assert_int_equal(integer_at(5, 2, "a.example"), 1);	/* inherit */
	assert_int_equal(integer_at(5, 3, ".example.org"), 3);	/* request */
	assert_int_equal(integer_at(5, 4, "a.example"), 2);	/* report */
	assert_int_equal(integer_at(6, 2, "partner.example"), 2);	/* none */
	assert_int_equal(integer_at(6, 31, "partner.example"), 1);	/* active */
	assert_int_equal(integer_at(6, 30, "partner.example"), 3);	/* nonVolatile */
	assert_int_equal(integer_at(6, 31, "waiting.example"), 2);	/* notInService */
	assert_int_equal(integer_at(6, 30, "waiting.example"), 3);	/* what it becomes */
}

static void
text_is(oid group, oid column, const int *index, const char *name, const char *want)
{
	struct value value;
	size_t n = nmodel;

	nmodel = COUNT(model) - 1;
	if (index != NULL)
		model_index(group, column, index);
	else
		model_row(group, column, name);
	nmodel = n;
	assert_int_equal(tree_get(&view, model[COUNT(model) - 1].sub, model[COUNT(model) - 1].n,
	    &value), TREE_FOUND);
	assert_int_equal(value.type, ASN_OCTET_STR);
	assert_int_equal(value.len, strlen(want));
	assert_memory_equal(value.u.octets, want, value.len);
}

static long
integer_index(oid group, oid column, const int *index)
{
	struct value value;
	size_t n = nmodel;

	nmodel = COUNT(model) - 1;
	model_index(group, column, index);
	nmodel = n;
	assert_int_equal(tree_get(&view, model[COUNT(model) - 1].sub, model[COUNT(model) - 1].n,
	    &value), TREE_FOUND);
	return value.u.integer;
}

static void
values_of_tables(void **state)
{
	(void)state;
	text_is(6, 11, NULL, "partner.example", "b.example, *.partner.example");
	text_is(6, 12, NULL, "partner.example", "SHA256:"
	    "00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF");
	text_is(6, 7, NULL, "partner.example", "roots");
	text_is(6, 11, NULL, "waiting.example", "");
	text_is(7, 8, listeners[4], NULL, "b");
	text_is(7, 15, listeners[4], NULL, "[2001:db8::7]:465");
	text_is(8, 15, clients[0], NULL, "9.1.0.0/16");
	text_is(10, 3, certificates[0], NULL, "sni a.example");
	text_is(10, 3, certificates[1], NULL, "listener [2001:db8::7]:465");
	text_is(10, 3, certificates[2], NULL, "client 10.0.0.0/8, peer partner.example");
	text_is(10, 4, certificates[1], NULL, "/nonexistent/b.pem");
	assert_int_equal(integer_at(6, 14, "partner.example"), 3);	/* yes */
	assert_int_equal(integer_at(6, 6, "partner.example"), -1);
	assert_int_equal(integer_index(7, 5, listeners[2]), 5);		/* tls13 */
	assert_int_equal(integer_index(7, 10, listeners[2]), 3);
	assert_int_equal(integer_index(7, 22, listeners[2]), 1);	/* nobody has looked */
	assert_int_equal(integer_index(8, 6, clients[2]), 256);
	assert_int_equal(integer_index(8, 31, clients[0]), 2);
	assert_int_equal(integer_index(8, 31, clients[1]), 1);
	assert_int_equal(integer_index(10, 15, certificates[0]), 7);	/* unreadable */
	assert_int_equal(integer_index(10, 14, certificates[0]), INT32_MIN);
	assert_int_equal(integer_index(13, 2, front_ends[0]), 1);	/* never */
}

/* What a look at the listeners found. */
static void
seen_at_listeners(void **state)
{
	static const char *const lines[] = {
		"127.0.0.1:25\t\tb\t1740787198\t2\t2\t4\t3\t" HEX "\t\n",
		"127.0.0.1:26\t\tb\t1740787198\t3\t3\t5\t4\t"
		    "3737373737373737373737373737373737373737373737373737373737373737\trestart it\n",
		"127.0.0.1:26\ta.example\ta\t1740787198\t3\t1\t1\t1\t\tnobody answers\n",
	};
	char agent[] = "/tmp/test-snmp-tree.XXXXXX/agent", file[64], *slash = strrchr(agent, '/');
	FILE *f;

	(void)state;
	*slash = '\0';
	assert_non_null(mkdtemp(agent));
	free(view.state_dir);
	assert_non_null(view.state_dir = strdup(agent));
	*slash = '/';
	assert_int_equal(mkdir(agent, 0700), 0);
	snprintf(file, sizeof(file), "%s/probe", agent);
	assert_non_null(f = fopen(file, "w"));
	for (size_t i = 0; i < COUNT(lines); i++)
		assert_true(fputs(lines[i], f) >= 0);
	assert_int_equal(fclose(f), 0);

	assert_int_equal(integer_index(7, 22, listeners[2]), 2);	/* fine */
	assert_int_equal(integer_index(7, 26, listeners[2]), 4);	/* tls12 */
	assert_int_equal(integer_index(7, 27, listeners[2]), 3);	/* request */
	assert_int_equal(integer_index(7, 22, listeners[3]), 3);	/* fault */
	text_is(7, 24, listeners[3], NULL, "restart it");
	text_is(7, 25, listeners[3], NULL, "77777777777777777777777777777777");
	assert_int_equal(integer_index(10, 19, certificates[1]), 3);	/* other */
	assert_int_equal(integer_index(10, 19, certificates[0]), 1);	/* unknown */
	text_is(10, 22, certificates[0], NULL, "");
	text_is(10, 22, certificates[1], NULL, "127.0.0.1:26");
	text_is(10, 20, certificates[1], NULL, "77777777777777777777777777777777");
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(agent), 0);
	*slash = '\0';
	assert_int_equal(rmdir(agent), 0);
}

static void
dates(void **state)
{
	static const unsigned char want[] = { 0x07, 0xe9, 2, 28, 23, 59, 58, 0, '+', 0, 0 };
	struct value value;

	(void)state;
	value_date(&value, 1740787198);		/* 2025-02-28T23:59:58Z */
	assert_int_equal(value.len, 11);
	assert_memory_equal(value.u.octets, want, 11);
	value_date(&value, 0);
	assert_int_equal(value.len, 8);
}

static void
words(void **state)
{
	const char *word;

	(void)state;
	assert_true(tree_word(false, KEY_MODE, 1, &word));
	assert_null(word);
	assert_false(tree_word(true, KEY_MODE, 1, &word));
	assert_true(tree_word(true, KEY_MODE, 4, &word));
	assert_string_equal(word, "require");
	assert_false(tree_word(false, KEY_MODE, 5, &word));
	assert_false(tree_word(false, KEY_MODE, 0, &word));
	assert_false(tree_word(false, KEY_MODE, -2147483648L, &word));
	assert_false(tree_word(false, KEY_ENFORCE, 4, &word));
	assert_true(tree_word(false, KEY_MIN_TLS, 5, &word));
	assert_string_equal(word, "1.3");
	assert_false(tree_word(false, KEY_MIN_TLS, 6, &word));
	assert_true(tree_word(false, KEY_MATCH_CN, 2, &word));
	assert_string_equal(word, "no");
	assert_int_equal(tree_number(KEY_MIN_TLS, TLS_1_0), 2);
}

static void
waiting_bounds(void **state)
{
	struct waiting_list *list = waiting_copy(NULL), *copy;
	struct waiting *w;
	char name[32];

	(void)state;
	for (int i = 0; i < WAITING_MAX; i++) {
		snprintf(name, sizeof(name), "d%d.example", (i * 7919) % WAITING_MAX);
		assert_non_null(w = waiting_add(list, SEC_DOMAIN, name, 1));
		assert_true(waiting_set(w, KEY_MODE, "require"));
	}
	assert_null(waiting_add(list, SEC_DOMAIN, "one.more.example", 1));
	assert_non_null(waiting_add(list, SEC_DOMAIN, "d5.example", 1));
	for (size_t i = 1; i < list->n; i++)
		assert_true(strcmp(list->row[i - 1].name, list->row[i].name) < 0);
	assert_non_null(copy = waiting_copy(list));
	waiting_remove(list, waiting_lower(list, SEC_DOMAIN, "d500.example", true));
	assert_null(waiting_find(list, SEC_DOMAIN, "d500.example"));
	assert_non_null(w = waiting_find(copy, SEC_DOMAIN, "d500.example"));
	assert_string_equal(w->text[KEY_MODE], "require");
	assert_null(waiting_find(copy, SEC_PEER, "d500.example"));
	waiting_free(list);
	waiting_free(copy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walk),
		cmocka_unit_test(random_places),
		cmocka_unit_test(values),
		cmocka_unit_test(values_of_tables),
		cmocka_unit_test(seen_at_listeners),
		cmocka_unit_test(dates),
		cmocka_unit_test(words),
		cmocka_unit_test(waiting_bounds)
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("the SNMP tree", tests, setup, teardown);
}
