/*
 * Files of pins: which there are, in what state, and what the agent tells of them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "alarm_int.h"
#include "cert.h"
#include "pinned.h"
#include "read.h"
#include "snmp_log.h"

#define DAY 86400

static char dir[] = "/tmp/test-alarm-pins.XXXXXX";

static const char *
path_of(const char *name)
{
	static char path[4][200];
	static unsigned i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

/* Adds a certificate to a file that is begun anew with mode "w". */
static void
put_cert(const char *name, const char *mode, const char *cn, const char *san, long from, long to)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_NAME *subject = X509_get_subject_name(x);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	FILE *f = fopen(path_of(name), mode);

	assert_true(key != NULL && e != NULL && f != NULL);
	X509_set_version(x, X509_VERSION_3);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(x, subject);
	X509_gmtime_adj(X509_getm_notBefore(x), from * DAY);
	X509_gmtime_adj(X509_getm_notAfter(x), to * DAY + 60);
	X509_add_ext(x, e, -1);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(f, x), 1);
	assert_int_equal(fclose(f), 0);
	X509_EXTENSION_free(e);
	X509_free(x);
	EVP_PKEY_free(key);
}

static struct settings *
parse(const char *text)
{
	struct settings *s = settings_parse(text, strlen(text), "test.ini", NULL, false, NULL, NULL);

	assert_non_null(s);
	return s;
}

/* ---- which there are ---- */

static void
each_file_once(void **state)
{
	struct settings *s = parse("[client 192.0.2.0/24]\ncerts = /b/partner.pem\n"
	    "[peer a.example]\ncerts = /a/partner.pem\n[peer b.example]\ncerts = /a/partner.pem\n"
	    "[peer c.example]\ncerts = /c/odd name~\n[peer d.example]\nmode = require\n"
	    "[peer e.example]\ncerts = /a/partner.pem\n[domain f.example]\ncerts = /b/partner.pem\n");
	char by[PINNED_BY], name[PINNED_NAME];
	const struct pinned_file *f;
	struct pinned p, again;

	(void)state;
	assert_true(pinned_find(s, 10, &p));
	assert_int_equal(p.n, 3);
	assert_int_equal(p.left, 0);
	for (size_t i = 1; i < p.n; i++)
		assert_true(strcmp(p.at[i - 1].name, p.at[i].name) < 0);
	assert_memory_equal(p.at[0].name, "odd_name_-", 10);
	assert_memory_equal(p.at[1].name, "partner.pem-", 12);
	assert_int_equal(strlen(p.at[1].name), 12 + 8);
	for (size_t i = 0; i < p.n; i++)
		assert_ptr_equal(pinned_named(&p, p.at[i].name), &p.at[i]);
	assert_null(pinned_named(&p, "partner.pem"));
	f = strcmp(p.at[1].file, "/a/partner.pem") == 0 ? &p.at[1] : &p.at[2];
	assert_int_equal(f->rules, 3);
	assert_string_equal(pinned_by(s, f, by), "[peer a.example] and 2 rules more");
	snprintf(name, sizeof(name), "%s", f->name);
	f = f == &p.at[1] ? &p.at[2] : &p.at[1];
	assert_string_equal(pinned_by(s, f, by), "[client 192.0.2.0/24] and 1 rule more");
	pinned_free(&p);

	/* A bound counts files, and a name stays whatever else there is. */
	assert_true(pinned_find(s, 2, &again));
	assert_int_equal(again.n, 2);
	assert_int_equal(again.left, 1);
	assert_int_equal(pinned_named(&again, name)->rules, 3);
	pinned_free(&again);
	settings_free(s);
	assert_true(pinned_find(NULL, 2, &p));
	assert_int_equal(p.n, 0);
}

/* Thousands, and long paths that differ at their ends only. */
static void
many_files(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct settings *s;
	struct pinned p;

	(void)state;
	assert_non_null(f);
	for (int i = 0; i < 3000; i++)
		fprintf(f, "[peer p%d.example]\ncerts = /x/%d/a-long-name-that-is-cut-since-no-index-"
		    "takes-all-of-the-octets-that-it-has.pem\n", i, i);
	assert_int_equal(fclose(f), 0);
	s = parse(text);
	free(text);
	assert_true(pinned_find(s, PINNED_MAX, &p));
	assert_int_equal(p.n, PINNED_MAX);
	assert_int_equal(p.left, 3000 - PINNED_MAX);
	for (size_t i = 1; i < p.n; i++)
		assert_true(strlen(p.at[i].name) <= 64 && strcmp(p.at[i - 1].name, p.at[i].name) < 0);
	pinned_free(&p);
	settings_free(s);
}

/* ---- their state ---- */

static enum cert_state
state_of(const char *name, struct cert_info *info)
{
	return cert_inspect_pins(path_of(name), time(NULL), 30, info);
}

static void
one_that_is_followed(void **state)
{
	struct cert_info *info = calloc(1, sizeof(*info));

	(void)state;
	assert_non_null(info);
	put_cert("one", "w", "a", "DNS:a.example", -10, 5);
	assert_int_equal(state_of("one", info), CERT_STATE_EXPIRING);
	assert_non_null(strstr(info->error, "expires in 5 days; get the next one from the sender"));

	/* The next one is not valid yet: no fault, since the first is. */
	put_cert("one", "a", "a", "DNS:a.example,DNS:more.example", 3, 300);
	assert_int_equal(state_of("one", info), CERT_STATE_OK);
	assert_int_equal(info->days_left, 300);
	assert_int_equal(info->chain_len, 2);
	put_cert("one", "a", "a", "DNS:more.example,DNS:a.example", 290, 600);
	assert_int_equal(state_of("one", info), CERT_STATE_OK);
	assert_int_equal(info->days_left, 600);

	/* Another sender's does not follow it. */
	put_cert("two", "w", "a", "DNS:a.example", -10, 5);
	put_cert("two", "a", "b", "DNS:a.example", -10, 300);
	put_cert("two", "a", "a", "DNS:b.example", -10, 300);
	assert_int_equal(state_of("two", info), CERT_STATE_EXPIRING);
	assert_non_null(strstr(info->error, "certificate 1 of it, of CN=a, expires in 5 days"));

	/* Nor one that leaves a gap. */
	put_cert("gap", "w", "a", "DNS:a.example", -10, 5);
	put_cert("gap", "a", "a", "DNS:a.example", 6, 300);
	assert_int_equal(state_of("gap", info), CERT_STATE_NOT_YET);

	put_cert("old", "w", "a", "DNS:a.example", -300, -1);
	assert_int_equal(state_of("old", info), CERT_STATE_EXPIRED);
	put_cert("old", "a", "a", "DNS:a.example", -2, 300);
	assert_int_equal(state_of("old", info), CERT_STATE_OK);

	/* In a [ca]'s file each counts. */
	assert_int_equal(cert_inspect_bundle(path_of("old"), time(NULL), 30, info),
	    CERT_STATE_EXPIRED);
	free(info);
}

/* ---- what is told ---- */

static void
put_settings(const char *rules)
{
	FILE *f = fopen(path_of("new.ini"), "w");

	assert_non_null(f);
	fprintf(f, "[server]\nstate_dir = %s\n%s", dir, rules);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(path_of("new.ini"), path_of("tlsward.ini")), 0);
}

/* A file is read when it was seen twice. */
static void
look_twice(struct alarms *a)
{
	look_pins(a);
	look_pins(a);
}

/* The next event that waits; the caller looks at it before the next call. */
static const struct event *
next_event(struct alarms *a)
{
	static struct event e;
	const struct event *head = queue_head(&a->queue);

	if (head == NULL)
		return NULL;
	e = *head;
	queue_done(&a->queue, e.number);
	return &e;
}

static void
told_once(void **state)
{
	const struct event *e;
	struct alarms *a;
	char text[1200], rules[600];

	(void)state;
	put_cert("p.pem", "w", "a", "DNS:a.example", -10, 5);
	snprintf(rules, sizeof(rules), "[peer a.example]\ncerts = %s\n[peer b.example]\ncerts = %s\n"
	    "[peer c.example]\ncerts = %s\n", path_of("p.pem"), path_of("p.pem"), path_of("none.pem"));
	put_settings(rules);
	assert_non_null(a = alarms_new(path_of("tlsward.ini"), dir, "/nowhere"));
	look_twice(a);
	assert_non_null(e = next_event(a));
	assert_int_equal(e->kind, ALARM_EXPIRING);
	assert_int_equal(e->section, SEC_PINS);
	assert_int_equal(e->days, 5);
	assert_memory_equal(e->name, "p.pem-", 6);
	assert_string_equal(e->file, path_of("p.pem"));
	assert_non_null(strstr(event_text(e, text, sizeof(text)), "p.pem ends in 5 days: get the next one "
	    "from the sender and add it, for [peer a.example] and 1 rule more"));
	assert_memory_equal(e->text, "the certificate of CN=a in /", 28);
	assert_null(next_event(a));	/* a file that is not there may come, for three seconds */
	alarms_free(a);

	/* A restart tells nothing again; what was not told is. */
	assert_non_null(a = alarms_new(path_of("tlsward.ini"), dir, "/nowhere"));
	look_twice(a);
	assert_null(next_event(a));

	/* The next one is added. */
	put_cert("p.pem", "a", "a", "DNS:a.example", -1, 300);
	look_twice(a);
	assert_non_null(e = next_event(a));
	assert_int_equal(e->kind, ALARM_RENEWED);
	assert_int_equal(e->not_after / DAY, time(NULL) / DAY + 300);
	assert_non_null(strstr(e->text, "certs of [peer a.example] and 1 rule more: "));
	assert_null(next_event(a));

	/* Other settings, the same files: nothing; a file that is named no more is forgotten. */
	assert_int_equal(a->memory.ncert, 2);
	put_settings(strstr(rules, "[peer b.example]"));
	alarms_step(a);
	assert_true(hold_refresh(&a->hold, NULL) || settings_count(alarms_settings(a), SEC_PEER) == 2);
	look_carry_pins(a);
	look_twice(a);
	assert_null(next_event(a));
	put_settings("");
	hold_refresh(&a->hold, NULL);
	look_carry_pins(a);
	assert_int_equal(a->memory.ncert, 0);
	alarms_free(a);
}

/* What was noticed while its kind was off is told when that is on, without an hour's wait. */
static void
told_when_it_is_on(void **state)
{
	const struct event *e;
	struct alarms *a;
	char rules[300];

	(void)state;
	unlink(path_of("agent/state"));
	put_cert("q.pem", "w", "a", "DNS:a.example", -10, 5);
	snprintf(rules, sizeof(rules), "[peer a.example]\ncerts = %s\n[agent]\n"
	    "notify_except = certificate-expiring\n", path_of("q.pem"));
	put_settings(rules);
	assert_non_null(a = alarms_new(path_of("tlsward.ini"), dir, "/nowhere"));
	look_twice(a);
	assert_null(next_event(a));
	*strstr(rules, "[agent]") = '\0';
	put_settings(rules);
	assert_true(hold_refresh(&a->hold, NULL));
	look_settings_changed(a, NULL);
	look_twice(a);
	assert_non_null(e = next_event(a));
	assert_int_equal(e->kind, ALARM_EXPIRING);
	assert_null(next_event(a));
	alarms_free(a);
}

/* So many that end fill half of the queue, and the rest waits for room. */
static void
a_flood_waits(void **state)
{
	char *text = NULL, name[40];
	struct alarms *a;
	size_t len, told = 0;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	assert_non_null(f);
	put_cert("flood", "w", "a", "DNS:a.example", -300, -1);
	for (int i = 0; i < 700; i++) {
		snprintf(name, sizeof(name), "flood%d", i);
		assert_int_equal(symlink(path_of("flood"), path_of(name)), 0);
		fprintf(f, "[peer p%d.example]\ncerts = %s\n", i, path_of(name));
	}
	assert_int_equal(fclose(f), 0);
	put_settings(text);
	free(text);
	unlink(path_of("agent/state"));
	unlink(path_of("agent/queue"));
	assert_non_null(a = alarms_new(path_of("tlsward.ini"), dir, "/nowhere"));
	for (int i = 0; i < 1000 && a->queue.n < ALARM_QUEUE / 2; i++)
		look_pins(a);
	look_pins(a);
	assert_int_equal(a->queue.n, ALARM_QUEUE / 2);
	for (int i = 0; i < 10000 && told < 700; i++) {
		while (next_event(a) != NULL)
			told++;
		look_pins(a);
	}
	assert_int_equal(told, 700);
	assert_int_equal(a->queue.figures.lost, 0);
	alarms_free(a);
}

static int
make_dir(void **state)
{
	(void)state;
	log_setup("test", LOG_CRIT);
	return mkdtemp(dir) == NULL || mkdir(path_of("agent"), 0700) == -1;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

static int
remove_dir(void **state)
{
	(void)state;
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_file_once),
		cmocka_unit_test(many_files),
		cmocka_unit_test(one_that_is_followed),
		cmocka_unit_test(told_once),
		cmocka_unit_test(told_when_it_is_on),
		cmocka_unit_test(a_flood_waits),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("files of pins", tests, make_dir, remove_dir);
}
