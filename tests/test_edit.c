/* Changes to the INI: the file, who may change it, and room for it. */
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <sched.h>

#include "edit_field.h"

#define NOBODY 65534

static void
kept(void **state)
{
	struct edit e = set(SEC_DOMAIN, "a.example", KEY_MODE, "require");
	struct edit_result res;
	struct stat before, after;
	struct file_id id;

	(void)state;
	put(ini, "; mine\n[server]\nmode = offer\n");
	assert_int_equal(chmod(ini, 0640), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(ini, NOBODY, 12345), 0);
	assert_int_equal(stat(ini, &before), 0);
	assert_int_equal(edit_apply(ini, &e, 1, &res), EDIT_OK);
	expect(ini, "; mine\n[server]\nmode = offer\n\n[domain a.example]\nmode = require\n");
	assert_string_equal(res.before, "; mine\n[server]\nmode = offer\n");
	assert_int_equal(res.before_len, strlen(res.before));
	assert_non_null(settings_find(res.settings, SEC_DOMAIN, "a.example"));
	assert_string_equal(settings_path(res.settings), ini);
	assert_true(file_identify(ini, &id));
	assert_true(file_id_equal(&id, &res.after));
	assert_true(file_id_equal(&id, settings_id(res.settings)));
	assert_int_equal(stat(ini, &after), 0);
	assert_int_equal(after.st_uid, before.st_uid);
	assert_int_equal(after.st_gid, before.st_gid);
	assert_int_equal(after.st_mode, before.st_mode);
	assert_int_equal(leftovers(false), 0);
	edit_result_free(&res);
	edit_result_free(&res);
}

/* Exim's user, say, may read the file by such a list alone. */
static void
access_list_kept(void **state)
{
	/* <linux/posix_acl_xattr.h>: version 2; u::rw-, u:NOBODY:r--, g::---, m::r--, o::--- */
	static const uint32_t list[][2] = {
		{ 0x00060001, 0xffffffff }, { 0x00040002, NOBODY }, { 0x00000004, 0xffffffff },
		{ 0x00040010, 0xffffffff }, { 0x00000020, 0xffffffff }
	};
	static const char name[] = "system.posix_acl_access";
	struct edit e = set(SEC_SERVER, "", KEY_MODE, "require");
	unsigned char acl[4 + sizeof(list)] = { 2 }, after[256];
	struct edit_result res;

	(void)state;
	memcpy(acl + 4, list, sizeof(list));
	put(ini, "[server]\nmode = offer\n");
	if (setxattr(ini, name, acl, sizeof(acl), 0) == -1)
		skip();			/* a file system without such lists */
	assert_int_equal(edit_apply(ini, &e, 1, &res), EDIT_OK);
	assert_int_equal(getxattr(ini, name, after, sizeof(after)), sizeof(acl));
	assert_memory_equal(after, acl, sizeof(acl));
	edit_result_free(&res);
}

static void
same(void **state)
{
	struct edit e = set(SEC_SERVER, "", KEY_MODE, " offer ");
	struct edit_result res;
	struct file_id before, after;

	(void)state;
	put(ini, "[server]\nmode = offer\n");
	assert_true(file_identify(ini, &before));
	assert_int_equal(edit_apply(ini, &e, 1, &res), EDIT_SAME);
	assert_non_null(res.settings);
	assert_null(res.before);
	assert_true(file_identify(ini, &after));
	assert_true(file_id_equal(&before, &after));
	assert_true(file_id_equal(&before, settings_id(res.settings)));
	edit_result_free(&res);
	assert_int_equal(edit_apply(ini, NULL, 0, &res), EDIT_SAME);
	edit_result_free(&res);
}

/* One edit that cannot be spoils all of them. */
static void
invalid(void **state)
{
	static const char text[] = "[server]\nmode = offer\n\n[ca x]\nfile = /etc/x.pem\n";
	struct edit edits[2] = {
		set(SEC_DOMAIN, "a.example", KEY_MODE, "require"),
		set(SEC_PEER, "b.example", KEY_CA, "nosuch"),
	};
	struct edit_result res;
	struct file_id before, after;
	char why[1024], path[400] = "/x";

	(void)state;
	put(ini, text);
	assert_true(file_identify(ini, &before));
	assert_int_equal(edit_apply(ini, edits, 2, &res), EDIT_INVALID);
	assert_non_null(strstr(res.text, "nosuch"));
	assert_non_null(strstr(res.text, ":11: "));
	assert_int_equal(res.wrong.section, SEC_PEER);
	assert_string_equal(res.wrong.name, "b.example");
	assert_int_equal(res.wrong.key, KEY_CA);
	edit_result_free(&res);

	/* more than a line takes */
	memset(path + 1, 'x', 250);
	assert_int_equal(apply1(set(SEC_PEER, "b.example", KEY_CERTS, path), why), EDIT_INVALID);
	assert_int_equal(apply1((struct edit){ .op = EDIT_REMOVE, .section = SEC_PEER,
	    .name = "b.example" }, why), EDIT_NO_SECTION);
	assert_non_null(strstr(why, "[peer b.example]"));
	assert_true(file_identify(ini, &after));
	assert_true(file_id_equal(&before, &after));
	assert_int_equal(leftovers(false), 0);
}

/* A list that no line takes goes on, and is read again as it was. */
static void
long_list(void **state)
{
	char why[1024], list[800] = "a0.example";
	struct settings *s;
	struct list names;
	const char *name;
	size_t n = 0;

	(void)state;
	put(ini, "[server]\nmode = offer\n");
	for (int i = 1; strlen(list) < 700; i++)
		(void)snprintf(list + strlen(list), sizeof(list) - strlen(list), ", a%d.example", i);
	assert_int_equal(apply1(set(SEC_PEER, "b.example", KEY_CERT_NAMES, list), why), EDIT_OK);
	assert_non_null(s = settings_read(ini, false, NULL, NULL));
	names = settings_list(s, settings_find(s, SEC_PEER, "b.example"), KEY_CERT_NAMES);
	while ((name = list_next_name(&names)) != NULL) {
		char want[32];

		(void)snprintf(want, sizeof(want), "a%zu.example", n++);
		assert_string_equal(name, want);
	}
	assert_true(n > 50);
	settings_free(s);
	assert_int_equal(apply1(set(SEC_PEER, "b.example", KEY_CERT_NAMES, list), why), EDIT_SAME);
}

/* Errors that were there before are said to be; an edit that mends them is welcome. */
static void
wrong_before(void **state)
{
	char why[1024];

	(void)state;
	put(ini, "[server]\nmode = ofer\n");
	assert_int_equal(apply1(set(SEC_DOMAIN, "a.example", KEY_MODE, "none"), why), EDIT_INVALID);
	assert_non_null(strstr(why, "already"));
	assert_non_null(strstr(why, ":2: "));
	assert_int_equal(apply1(set(SEC_SERVER, "", KEY_MODE, "offer"), why), EDIT_OK);
	expect(ini, "[server]\nmode = offer\n");
}

static void
symbolic_link(void **state)
{
	char real[128], saved[128];
	struct stat st;

	(void)state;
	(void)snprintf(real, sizeof(real), "%s/real.ini", dir);
	put(real, "[server]\nmode = offer\n");
	assert_int_equal(symlink("real.ini", ini), 0);
	assert_int_equal(apply1(set(SEC_SERVER, "", KEY_MODE, "none"), NULL), EDIT_OK);
	assert_int_equal(lstat(ini, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	expect(real, "[server]\nmode = none\n");
	assert_int_equal(leftovers(false), 1);

	/* neither a folder nor a FIFO nor nothing hangs or crashes */
	memcpy(saved, ini, sizeof(saved));
	(void)snprintf(ini, sizeof(ini), "%s", dir);
	assert_int_equal(apply1(set(SEC_SERVER, "", KEY_MODE, "none"), NULL), EDIT_FAILED);
	(void)snprintf(ini, sizeof(ini), "%s/fifo", dir);
	assert_int_equal(mkfifo(ini, 0600), 0);
	assert_int_equal(apply1(set(SEC_SERVER, "", KEY_MODE, "none"), NULL), EDIT_FAILED);
	(void)snprintf(ini, sizeof(ini), "%s/nothing", dir);
	assert_int_equal(apply1(set(SEC_SERVER, "", KEY_MODE, "none"), NULL), EDIT_FAILED);
	memcpy(ini, saved, sizeof(saved));
}

static void
revert(void **state)
{
	struct edit e = set(SEC_SERVER, "", KEY_MODE, "none");
	struct edit_result res;
	char text[1024];

	(void)state;
	put(ini, "[server]\nmode = offer\n");
	assert_int_equal(edit_apply(ini, &e, 1, &res), EDIT_OK);
	assert_int_equal(edit_revert(ini, &res, text), EDIT_OK);
	expect(ini, "[server]\nmode = offer\n");
	/* once only: the file is another one now */
	assert_int_equal(edit_revert(ini, &res, text), EDIT_BUSY);
	edit_result_free(&res);
	assert_int_equal(edit_revert(ini, &res, text), EDIT_SAME);

	assert_int_equal(edit_apply(ini, &e, 1, &res), EDIT_OK);
	put(ini, "[server]\nmode = none\n; and a note\n");
	assert_int_equal(edit_revert(ini, &res, text), EDIT_BUSY);
	expect(ini, "[server]\nmode = none\n; and a note\n");
	edit_result_free(&res);
	assert_int_equal(leftovers(false), 0);
}

static void
plain_rename(void **state)
{
	(void)state;
	sys.no_exchange = true;
	put(ini, "[server]\nmode = offer\n");
	assert_int_equal(apply1(set(SEC_SERVER, "", KEY_MODE, "none"), NULL), EDIT_OK);
	expect(ini, "[server]\nmode = none\n");
	assert_int_equal(leftovers(false), 0);
}

static void
sync_fails(void **state)
{
	static const struct {
		int error;
		enum edit_status status;
	} cases[] = { { ENOSPC, EDIT_NO_SPACE }, { EDQUOT, EDIT_NO_SPACE }, { EIO, EDIT_FAILED } };

	(void)state;
	put(ini, "[server]\nmode = offer\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sys.fsync_error = cases[i].error;
		assert_int_equal(apply1(set(SEC_SERVER, "", KEY_MODE, "none"), NULL), cases[i].status);
		expect(ini, "[server]\nmode = offer\n");
		assert_int_equal(leftovers(false), 0);
	}
}

/* The new file is in place and will stay, unless the machine crashes: it is a change. */
static void
folder_sync_fails(void **state)
{
	static const int errors[] = { EIO, ENOSPC, EINVAL };
	struct edit e = set(SEC_SERVER, "", KEY_MODE, "none");
	struct edit_result res;
	struct file_id id;
	char text[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		put(ini, "[server]\nmode = offer\n");
		sys.folder_error = errors[i];
		assert_int_equal(edit_apply(ini, &e, 1, &res), EDIT_OK);
		expect(ini, "[server]\nmode = none\n");
		assert_int_equal(res.unsynced, errors[i] != EINVAL);
		assert_int_equal(strstr(res.text, "crash") != NULL, res.unsynced);
		assert_true(file_identify(ini, &id));
		assert_true(file_id_equal(&id, settings_id(res.settings)));
		assert_int_equal(edit_revert(ini, &res, text), EDIT_OK);
		assert_int_equal(strstr(text, "crash") != NULL, res.unsynced);
		expect(ini, "[server]\nmode = offer\n");
		edit_result_free(&res);
	}
}

/* Only what no living writer holds, and has lain there for a while. */
static void
stale(void **state)
{
	char dead[160], alive[160], other[160];
	int fd;

	(void)state;
	put(ini, "[server]\nmode = offer\n");
	(void)snprintf(dead, sizeof(dead), "%s/.tlsward.ini.tlsward-aaaaaaaa", dir);
	(void)snprintf(alive, sizeof(alive), "%s/.tlsward.ini.tlsward-bbbbbbbb", dir);
	(void)snprintf(other, sizeof(other), "%s/.tlsward.ini.swp", dir);
	put(dead, "x");
	put(alive, "x");
	put(other, "x");
	fd = open(alive, O_RDONLY);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(apply1(set(SEC_SERVER, "", KEY_MODE, "none"), NULL), EDIT_OK);
	assert_int_equal(leftovers(false), 3);
	sys.skew = 120;
	assert_int_equal(apply1(set(SEC_SERVER, "", KEY_MODE, "offer"), NULL), EDIT_OK);
	assert_int_equal(access(dead, F_OK), -1);
	assert_int_equal(access(alive, F_OK), 0);
	assert_int_equal(access(other, F_OK), 0);
	(void)close(fd);
}

/* ---- permissions ---- */

static int
in_a_process(int (*run)(void), bool nobody)
{
	int status;
	pid_t pid = fork();

	assert_true(pid != -1);
	if (pid == 0) {
		if (nobody && geteuid() == 0 && (setgid(NOBODY) == -1 || setuid(NOBODY) == -1))
			_exit(99);
		_exit(run());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Runs it in a process of another user. */
static int
as_nobody(int (*run)(void))
{
	return in_a_process(run, true);
}

static int
plain_edit(void)
{
	struct edit e = set(SEC_SERVER, "", KEY_MODE, "none");
	struct edit_result res;
	int status = (int)edit_apply(ini, &e, 1, &res);

	if (status == EDIT_DENIED && strchr(res.text, ';') == NULL)
		status = 98;		/* no remedy named */
	edit_result_free(&res);
	return status;
}

static void
read_only_folder(void **state)
{
	(void)state;
	put(ini, "[server]\nmode = offer\n");
	assert_int_equal(chmod(dir, 0555), 0);
	assert_int_equal(as_nobody(plain_edit), EDIT_DENIED);
	assert_int_equal(chmod(dir, 0755), 0);
	expect(ini, "[server]\nmode = offer\n");
	assert_int_equal(leftovers(false), 0);
}

/* The folder would let anybody replace it, and root writes to any file. */
static void
read_only_file(void **state)
{
	char why[1024];

	(void)state;
	put(ini, "[server]\nmode = offer\n");
	assert_int_equal(chmod(dir, 0777), 0);
	assert_int_equal(chmod(ini, 0444), 0);
	assert_int_equal(apply1(set(SEC_SERVER, "", KEY_MODE, "none"), why), EDIT_DENIED);
	assert_non_null(strstr(why, "chmod u+w"));
	assert_int_equal(apply1(set(SEC_SERVER, "", KEY_MODE, "offer"), NULL), EDIT_SAME);
	if (geteuid() == 0)
		assert_int_equal(chown(ini, NOBODY, NOBODY), 0);
	assert_int_equal(as_nobody(plain_edit), EDIT_DENIED);
	assert_int_equal(chmod(ini, 0464), 0);
	assert_int_equal(as_nobody(plain_edit), EDIT_DENIED);
	expect(ini, "[server]\nmode = offer\n");
	assert_int_equal(leftovers(false), 0);
	assert_int_equal(chmod(ini, 0644), 0);
	assert_int_equal(as_nobody(plain_edit), EDIT_OK);
}

static void
unreadable(void **state)
{
	(void)state;
	put(ini, "[server]\nmode = offer\n");
	assert_int_equal(chmod(ini, 0), 0);
	assert_int_equal(chmod(dir, 0777), 0);
	assert_int_equal(as_nobody(plain_edit), EDIT_DENIED);
	assert_int_equal(leftovers(false), 0);
}

/* The folder would let us, but the new file would not be root's. */
static void
foreign_owner(void **state)
{
	struct stat st;

	(void)state;
	put(ini, "[server]\nmode = offer\n");
	assert_int_equal(chmod(dir, 0777), 0);
	assert_int_equal(as_nobody(plain_edit), EDIT_DENIED);
	expect(ini, "[server]\nmode = offer\n");
	assert_int_equal(stat(ini, &st), 0);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(leftovers(false), 0);
	assert_int_equal(chown(ini, NOBODY, NOBODY), 0);
	assert_int_equal(as_nobody(plain_edit), EDIT_OK);
}

/* A mount of our own, of 64 KiB. */
static bool
small_mount(void)
{
	return unshare(CLONE_NEWNS) != -1 &&
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != -1 &&
	    mount("tlsward", dir, "tmpfs", 0, "size=64k") != -1;
}

/* Root's writing, too, ends where the file system is read-only. */
static int
edit_read_only_mount(void)
{
	char why[1024];

	if (!small_mount())
		return 97;
	put(ini, "[server]\nmode = offer\n");
	if (mount("tlsward", dir, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=64k") == -1)
		return 96;
	if (apply1(set(SEC_SERVER, "", KEY_MODE, "none"), why) != EDIT_DENIED)
		return 95;
	return strstr(why, "cannot be written: ") != NULL && strstr(why, "mount it writable") != NULL ?
	    EDIT_DENIED : 94;
}

/* No room for a second file. */
static int
edit_without_room(void)
{
	char *text = malloc(40000), *after;
	struct edit e = set(SEC_SERVER, "", KEY_MODE, "none");
	struct edit_result res;
	int status;

	if (text == NULL || !small_mount()) {
		free(text);
		return 97;
	}
	memset(text, 'x', 39999);
	for (size_t i = 0; i < 39999; i += 100)
		memcpy(text + i, i == 0 ? "[server]\n;" : "\n;;;;;;;;;", 10);
	text[39999] = '\0';
	put(ini, text);
	status = (int)edit_apply(ini, &e, 1, &res);
	edit_result_free(&res);
	after = get(ini);
	if (strcmp(text, after) != 0)
		status = 96;
	if (leftovers(false) != 0)
		status = 95;
	free(after);
	free(text);
	return status;
}

static void
full_disk(void **state)
{
	(void)state;
	assert_int_equal(in_a_process(edit_without_room, false), EDIT_NO_SPACE);
}

static void
read_only_mount(void **state)
{
	(void)state;
	assert_int_equal(in_a_process(edit_read_only_mount, false), EDIT_DENIED);
}

/* May this process mount?  A container's root often may not. */
static bool
may_mount(void)
{
	pid_t pid;
	int status;

	if (geteuid() != 0 || (pid = fork()) == -1)
		return false;
	if (pid == 0)
		_exit(unshare(CLONE_NEWNS) == -1 ||
		    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
		    mount("tlsward", "/tmp", "tmpfs", 0, "size=64k") == -1);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
not_here(void **state)
{
	(void)state;
}

int
main(void)
{
	struct CMUnitTest tests[] = {
		CASE(kept), CASE(access_list_kept), CASE(same), CASE(invalid), CASE(long_list), CASE(wrong_before), CASE(symbolic_link),
		CASE(revert), CASE(plain_rename), CASE(sync_fails), CASE(folder_sync_fails),
		CASE(stale),
		CASE(read_only_folder), CASE(read_only_file), CASE(unreadable), CASE(foreign_owner),
		CASE(full_disk), CASE(read_only_mount),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (tests[i].test_func == foreign_owner && geteuid() != 0) {
			tests[i].name = "foreign_owner # SKIP needs root";
			tests[i].test_func = not_here;
		} else if ((tests[i].test_func == full_disk || tests[i].test_func == read_only_mount) &&
		    !may_mount()) {
			tests[i].name = tests[i].test_func == full_disk ?
			    "full_disk # SKIP needs root that may mount" :
			    "read_only_mount # SKIP needs root that may mount";
			tests[i].test_func = not_here;
		}
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
