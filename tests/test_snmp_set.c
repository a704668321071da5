/*
 * The phases of SET without a daemon: what a manager cannot bring about at
 * will, since snmpd decides when it takes a SET back, forgets one half way or
 * asks for what it had not announced.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sys/socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alarm_event.h"
#include "snmp_list.h"
#include "snmp_notify.h"
#include "snmp_set.h"
#include "snmp_set_log.h"

static const char ini[] =
    "; kept\n"
    "[server]\nmode = offer ; kept, too\nstate_dir = /nonexistent\n\n"
    "[listener 127.0.0.1:25]\nmode = require\n\n"
    "[domain example.org]\nmode = require\n";

#define ORG "example.org"
#define NEW "new.example"
enum { MODE_COLUMN = 2, STATUS_COLUMN = 31 };

static struct view view;
static char dir[] = "/tmp/test-snmp-set.XXXXXX", path[64];
static netsnmp_agent_request_info info;
static netsnmp_request_info request[4];
static netsnmp_variable_list vb[4];
static int nrequests;

static void
write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fputs(text, f) >= 0 && fclose(f) == 0, true);
}

static void
file_is(const char *want)
{
	char got[1024];
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(got, 1, sizeof(got) - 1, f);
	fclose(f);
	got[n] = '\0';
	assert_string_equal(got, want);
}

static bool
file_has(const char *part)
{
	char got[1024];
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(got, 1, sizeof(got) - 1, f);
	fclose(f);
	got[n] = '\0';
	return strstr(got, part) != NULL;
}

static int
setup_dir(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/tlsward.ini", dir);
	return 0;
}

static int
teardown_dir(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);	/* fails where a temporary file was left */
}

static int
setup(void **state)
{
	(void)state;
	write_file(ini);
	nrequests = 0;
	if (!view_init(&view, path))
		return -1;
	view_refresh(&view);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	set_end(&view);
	view_free(&view);
	for (int i = 0; i < nrequests; i++)
		snmp_reset_var_buffers(&vb[i]);
	return 0;
}

static void
want(int column, const char *name, long value)
{
	oid o[MAX_OID_LEN] = { TREE_ROOT, 5, 1 };
	size_t n = TREE_ROOT_LEN + 2;
	int i = nrequests++;

	o[n++] = (oid)column;
	while (*name != '\0')
		o[n++] = (unsigned char)*name++;
	memset(&vb[i], 0, sizeof(vb[i]));
	memset(&request[i], 0, sizeof(request[i]));
	snmp_set_var_objid(&vb[i], o, n);
	snmp_set_var_typed_value(&vb[i], ASN_INTEGER, &value, sizeof(value));
	request[i].requestvb = &vb[i];
	request[i].index = i + 1;
	if (i > 0)
		request[i - 1].next = &request[i];
}

/* Of tlswardNotifyKinds.0. */
static void
want_bits(const void *bits, size_t len)
{
	static const oid kinds[] = { TREE_ROOT, 15, 21, 0 };

	nrequests = 1;
	memset(&vb[0], 0, sizeof(vb[0]));
	memset(&request[0], 0, sizeof(request[0]));
	snmp_set_var_objid(&vb[0], kinds, OID_LENGTH(kinds));
	snmp_set_var_typed_value(&vb[0], ASN_OCTET_STR, bits, len);
	request[0].requestvb = &vb[0];
	request[0].index = 1;
}

static void
again(void)
{
	for (int i = 0; i < nrequests; i++)
		snmp_reset_var_buffers(&vb[i]);
	nrequests = 0;
}

static int
phase(int mode)
{
	info.mode = mode;
	return set_phase(&view, &info, request);
}

static size_t
waiting(void)
{
	return view.waiting->n;
}

static void
commit(void **state)
{
	(void)state;
	want(MODE_COLUMN, ORG, 2);
	want(STATUS_COLUMN, NEW, SNMP_ROW_CREATEANDGO);
	assert_int_equal(phase(MODE_SET_RESERVE1), SNMP_ERR_NOERROR);
	assert_int_equal(phase(MODE_SET_RESERVE2), SNMP_ERR_NOERROR);
	file_is(ini);
	assert_int_equal(phase(MODE_SET_ACTION), SNMP_ERR_NOERROR);
	assert_true(file_has("[domain " NEW "]"));
	assert_true(file_has("mode = none"));
	assert_int_equal(phase(MODE_SET_COMMIT), SNMP_ERR_NOERROR);
	assert_int_equal(view.changes_done, 1);
	assert_non_null(settings_find(view_settings(&view), SEC_DOMAIN, NEW));
}

static void
undo(void **state)
{
	(void)state;
	want(MODE_COLUMN, ORG, 2);
	want(STATUS_COLUMN, NEW, SNMP_ROW_CREATEANDGO);
	assert_int_equal(phase(MODE_SET_RESERVE1), SNMP_ERR_NOERROR);
	assert_int_equal(phase(MODE_SET_ACTION), SNMP_ERR_NOERROR);
	assert_int_equal(phase(MODE_SET_UNDO), SNMP_ERR_NOERROR);
	file_is(ini);
	assert_int_equal(view.changes_done, 0);
	assert_null(settings_find(view_settings(&view), SEC_DOMAIN, NEW));
}

/* Somebody was at the file after us: what they wrote stays. */
static void
undo_too_late(void **state)
{
	static const char theirs[] = "[server]\nmode = offer\n";

	(void)state;
	want(STATUS_COLUMN, NEW, SNMP_ROW_CREATEANDGO);
	assert_int_equal(phase(MODE_SET_RESERVE1), SNMP_ERR_NOERROR);
	assert_int_equal(phase(MODE_SET_ACTION), SNMP_ERR_NOERROR);
	write_file(theirs);
	assert_int_equal(phase(MODE_SET_UNDO), SNMP_ERR_UNDOFAILED);
	file_is(theirs);
}

static void
undo_rows_that_wait(void **state)
{
	(void)state;
	want(STATUS_COLUMN, NEW, SNMP_ROW_CREATEANDWAIT);
	assert_int_equal(phase(MODE_SET_RESERVE1), SNMP_ERR_NOERROR);
	assert_int_equal(phase(MODE_SET_ACTION), SNMP_ERR_NOERROR);
	assert_int_equal(waiting(), 0);
	assert_int_equal(phase(MODE_SET_UNDO), SNMP_ERR_NOERROR);
	assert_int_equal(waiting(), 0);

	assert_int_equal(phase(MODE_SET_RESERVE1), SNMP_ERR_NOERROR);
	assert_int_equal(phase(MODE_SET_ACTION), SNMP_ERR_NOERROR);
	assert_int_equal(phase(MODE_SET_COMMIT), SNMP_ERR_NOERROR);
	assert_int_equal(waiting(), 1);
	file_is(ini);

	again();
	want(STATUS_COLUMN, NEW, SNMP_ROW_ACTIVE);
	want(MODE_COLUMN, NEW, 4);
	assert_int_equal(phase(MODE_SET_RESERVE1), SNMP_ERR_NOERROR);
	assert_int_equal(phase(MODE_SET_ACTION), SNMP_ERR_NOERROR);
	assert_true(file_has("[domain " NEW "]\nmode = require\n"));
	assert_int_equal(phase(MODE_SET_UNDO), SNMP_ERR_NOERROR);
	file_is(ini);
	assert_int_equal(waiting(), 1);
	assert_null(waiting_find(view.waiting, SEC_DOMAIN, NEW)->text[KEY_MODE]);
}

static void
given_up_half_way(void **state)
{
	(void)state;
	want(MODE_COLUMN, ORG, 2);
	assert_int_equal(phase(MODE_SET_RESERVE1), SNMP_ERR_NOERROR);
	assert_int_equal(phase(MODE_SET_FREE), SNMP_ERR_NOERROR);
	assert_int_equal(phase(MODE_SET_ACTION), SNMP_ERR_COMMITFAILED);
	file_is(ini);
	assert_int_equal(phase(MODE_SET_UNDO), SNMP_ERR_NOERROR);

	/* A SET whose end never came, then another. */
	assert_int_equal(phase(MODE_SET_RESERVE1), SNMP_ERR_NOERROR);
	again();
	want(MODE_COLUMN, ORG, 3);
	assert_int_equal(phase(MODE_SET_RESERVE1), SNMP_ERR_NOERROR);
	assert_int_equal(phase(MODE_SET_ACTION), SNMP_ERR_NOERROR);
	assert_int_equal(phase(MODE_SET_COMMIT), SNMP_ERR_NOERROR);
	assert_true(file_has("[domain " ORG "]\nmode = offer\n"));
}

static void
refused_with_its_index(void **state)
{
	(void)state;
	want(STATUS_COLUMN, NEW, SNMP_ROW_CREATEANDGO);
	want(MODE_COLUMN, ORG, 2);
	want(MODE_COLUMN, "other.example", 2);
	assert_int_equal(phase(MODE_SET_RESERVE1), SNMP_ERR_INCONSISTENTNAME);
	assert_int_equal(request[0].status, 0);
	assert_int_equal(request[1].status, 0);
	assert_int_equal(request[2].status, SNMP_ERR_INCONSISTENTNAME);
	assert_int_equal(phase(MODE_SET_FREE), SNMP_ERR_NOERROR);
	assert_int_equal(view.changes_refused, 1);
	assert_non_null(strstr(view.change_error, "other.example"));
	file_is(ini);
}

static void
only_that_it_writes(int fd)
{
	struct word w;

	assert_int_equal(recv(fd, &w, sizeof(w), 0), sizeof(w));
	assert_int_equal(w.kind, WORD_WRITING);
	assert_int_equal(w.u.number, 1);
	assert_int_equal(recv(fd, &w, sizeof(w), 0), -1);
}

/*
 * The parent, which tells who changed what, hears of a SET when it is sure to stay,
 * and of one that is taken back only that the file has its former text by us.
 */
static void
told_when_it_is_sure(void **state)
{
	struct file_id id;
	struct word w;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	notify_init(&view, pair[1]);
	want(MODE_COLUMN, ORG, 2);
	assert_int_equal(phase(MODE_SET_RESERVE1), SNMP_ERR_NOERROR);
	assert_int_equal(phase(MODE_SET_ACTION), SNMP_ERR_NOERROR);
	only_that_it_writes(pair[0]);
	assert_int_equal(phase(MODE_SET_UNDO), SNMP_ERR_NOERROR);
	assert_int_equal(recv(pair[0], &w, sizeof(w), 0), sizeof(w));
	assert_int_equal(w.kind, WORD_CHANGED);
	assert_true(file_identify(path, &id) && file_id_equal(&w.u.file, &id));
	file_is(ini);
	assert_int_equal(recv(pair[0], &w, sizeof(w), 0), -1);

	assert_int_equal(phase(MODE_SET_RESERVE1), SNMP_ERR_NOERROR);
	assert_int_equal(phase(MODE_SET_ACTION), SNMP_ERR_NOERROR);
	only_that_it_writes(pair[0]);
	assert_int_equal(phase(MODE_SET_COMMIT), SNMP_ERR_NOERROR);
	assert_int_equal(recv(pair[0], &w, sizeof(w), 0), sizeof(w));
	assert_true(file_identify(path, &id) && file_id_equal(&w.u.file, &id));
	assert_int_equal(recv(pair[0], &w, sizeof(w), 0), -1);

	/* snmpd went before it had said which: the file has it. */
	again();
	want(MODE_COLUMN, ORG, 3);
	assert_int_equal(phase(MODE_SET_RESERVE1), SNMP_ERR_NOERROR);
	assert_int_equal(phase(MODE_SET_ACTION), SNMP_ERR_NOERROR);
	only_that_it_writes(pair[0]);
	set_end(&view);
	assert_int_equal(recv(pair[0], &w, sizeof(w), 0), sizeof(w));
	assert_true(file_identify(path, &id) && file_id_equal(&w.u.file, &id));
	notify_init(&view, -1);
	close(pair[0]);
	close(pair[1]);
}

static void
set_bits(const void *bits, size_t len, const char *line)
{
	again();
	want_bits(bits, len);
	assert_int_equal(phase(MODE_SET_RESERVE1), SNMP_ERR_NOERROR);
	assert_int_equal(phase(MODE_SET_ACTION), SNMP_ERR_NOERROR);
	assert_int_equal(phase(MODE_SET_COMMIT), SNMP_ERR_NOERROR);
	if (line != NULL)
		assert_true(file_has(line));
	else
		assert_false(file_has("notify_except"));
}

/* Bits that are set are the kinds that the list of the file does not have. */
static void
kinds_of_notifications(void **state)
{
	static const oid kinds[] = { 15, 21, 0 };
	struct value value;
	char buf[400];

	(void)state;
	assert_string_equal(list_of_bits(KEY_NOTIFY_EXCEPT, (const unsigned char *)"\xff\xff", 1, buf,
	    sizeof(buf)), "listener-not-verifying, listener-fault, listener-fine, refusals-high");
	set_bits("\x7f\xe0", 2, "\n[agent]\nnotify_except = mode-changed, refusals-high\n");
	assert_int_equal(tree_get(&view, kinds, 3, &value), TREE_FOUND);
	assert_int_equal(value.type, ASN_OCTET_STR);
	assert_int_equal(value.len, 2);
	assert_memory_equal(value.u.octets, "\x7f\xe0", 2);
	set_bits("\xf7\xff", 2, "\nnotify_except = certificate-expired\n");
	set_bits("\xff\xf0", 2, NULL);
	set_bits("\xff\xf0", 2, NULL);
	assert_int_equal(tree_get(&view, kinds, 3, &value), TREE_FOUND);
	assert_memory_equal(value.u.octets, "\xff\xf0", 2);
	set_bits("", 0, "mode-changed, settings-rejected");
	assert_int_equal(tree_get(&view, kinds, 3, &value), TREE_FOUND);
	assert_memory_equal(value.u.octets, "\0\0", 2);
	again();
	want_bits("\xff\xf0\0", 3);
	assert_int_equal(phase(MODE_SET_RESERVE1), SNMP_ERR_WRONGLENGTH);
}

/* What the parent gave before its kind was switched off goes back. */
static void
switched_off_meanwhile(void **state)
{
	struct word w = { .kind = WORD_EVENT };
	int pair[2];

	(void)state;
	w.u.event.kind = ALARM_MODE;
	w.u.event.number = 7;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	notify_init(&view, pair[1]);
	assert_int_equal(send(pair[0], &w, sizeof(w), 0), sizeof(w));
	notify_step(true);
	assert_int_equal(recv(pair[0], &w, sizeof(w), 0), -1);	/* it waits for snmpd */
	write_file("[agent]\nnotify_except = mode-changed\n");
	view_refresh(&view);
	notify_step(false);
	assert_int_equal(recv(pair[0], &w, sizeof(w), 0), sizeof(w));
	assert_int_equal(w.kind, WORD_MUTED);
	assert_int_equal(w.u.number, 7);
	notify_step(false);
	assert_int_equal(recv(pair[0], &w, sizeof(w), 0), -1);
	notify_init(&view, -1);
	close(pair[0]);
	close(pair[1]);
}

static void
object_is(enum section section, const char *name, enum key key, const char *wanted)
{
	char buf[OBJECT_NAME_MAX];

	assert_string_equal(set_object_name(&view, section, name, key, buf), wanted);
}

static void
objects_by_name(void **state)
{
	(void)state;
	object_is(SEC_SERVER, "", KEY_MIN_TLS, "tlswardServerMinTls.0");
	object_is(SEC_AGENT, "", KEY_NOTIFY_EXCEPT, "tlswardNotifyKinds.0");
	object_is(SEC_AGENT, "", KEY_REFUSAL_RATE, "tlswardNotifyRefusalRate.0");
	object_is(SEC_DOMAIN, ".example.org", KEY_MODE, "tlswardDomainMode.'.example.org'");
	object_is(SEC_PEER, "a.example", KEY_MAX, "tlswardPeerRowStatus.'a.example'");
	object_is(SEC_LISTENER, "127.0.0.1:25", KEY_VERIFIES,
	    "tlswardListenerVerifies.1.4.127.0.0.1.25");
	object_is(SEC_LISTENER, "*:587", KEY_MODE, "tlswardListenerMode.0.0.587");
	object_is(SEC_CLIENT, "2001:db8::/32", KEY_CA,
	    "tlswardClientCa.2.16.32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.0.32");
}

/* The editor removed the row between the check and the write. */
static void
row_gone_meanwhile(void **state)
{
	static const char theirs[] = "[server]\nmode = offer\n";

	(void)state;
	want(STATUS_COLUMN, ORG, SNMP_ROW_DESTROY);
	assert_int_equal(phase(MODE_SET_RESERVE1), SNMP_ERR_NOERROR);
	write_file(theirs);
	assert_int_equal(phase(MODE_SET_ACTION), SNMP_ERR_COMMITFAILED);
	assert_int_equal(phase(MODE_SET_UNDO), SNMP_ERR_NOERROR);
	file_is(theirs);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(commit, setup, teardown),
		cmocka_unit_test_setup_teardown(undo, setup, teardown),
		cmocka_unit_test_setup_teardown(undo_too_late, setup, teardown),
		cmocka_unit_test_setup_teardown(undo_rows_that_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(given_up_half_way, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_with_its_index, setup, teardown),
		cmocka_unit_test_setup_teardown(row_gone_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(told_when_it_is_sure, setup, teardown),
		cmocka_unit_test_setup_teardown(kinds_of_notifications, setup, teardown),
		cmocka_unit_test_setup_teardown(switched_off_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(objects_by_name, setup, teardown)
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("the phases of SET", tests, setup_dir, teardown_dir);
}
