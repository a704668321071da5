/*
 * The compiled form of an INI: it says what the INI says, or it does not count.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "ask_settings.h"
#include "compiled.h"

#define STRANGER 12345
#define NOBODY 65534

static char dir[64], ini[128], made[128], temp[160], folder[128];
static const struct compiled copied = { .save = true }, mapped = { .map = true, .save = true },
    always = { .map = true, .save = true, .small = true };
static long skew_ms;			/* added to every clock */
static struct timespec tick;		/* of all files, when set: the file system's clock stands */

int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, clock, ts);

	ts->tv_sec += skew_ms / 1000;
	ts->tv_nsec += skew_ms % 1000 * 1000000;
	if (ts->tv_nsec >= 1000000000) {
		ts->tv_sec++;
		ts->tv_nsec -= 1000000000;
	}
	return rc;
}

static int
ticked(int rc, struct stat *st)
{
	if (rc == 0 && tick.tv_sec != 0)
		st->st_mtim = st->st_ctim = tick;
	return rc;
}

int
stat(const char *path, struct stat *st)
{
	return ticked(fstatat(AT_FDCWD, path, st, 0), st);
}

int
fstat(int fd, struct stat *st)
{
	return ticked(fstatat(fd, "", st, AT_EMPTY_PATH), st);
}

static uint32_t
dice(void)
{
	static uint64_t x = 0x2545f4914f6cdd1du;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 16);
}

static int
setup(void **state)
{
	(void)state;
	skew_ms = 0;
	memset(&tick, 0, sizeof(tick));
	(void)snprintf(dir, sizeof(dir), "/tmp/tlsward-compiled-XXXXXX");
	if (mkdtemp(dir) == NULL || chmod(dir, 0755) == -1)
		return -1;
	(void)snprintf(ini, sizeof(ini), "%s/tlsward.ini", dir);
	(void)snprintf(made, sizeof(made), "%s/.tlsward.ini.compiled", dir);
	(void)snprintf(temp, sizeof(temp), "%s.new", made);
	(void)snprintf(folder, sizeof(folder), "%s/own", dir);
	return 0;
}

static unsigned
empty(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	unsigned n = 0;

	if (d == NULL)
		return 0;
	while ((e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    (unlinkat(dirfd(d), e->d_name, 0) == 0 ||
		    unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR) == 0))
			n++;
	closedir(d);
	return n;
}

static int
teardown(void **state)
{
	(void)state;
	if (geteuid() != getuid() && seteuid(getuid()) == -1)
		return -1;
	(void)empty(folder);
	(void)empty(dir);
	return rmdir(dir);
}

/* An INI of n domains, and of peers with more to them; no two alike. */
static void
put_ini(unsigned n, const char *first)
{
	static const char *const modes[] = { "none", "offer", "require" };
	FILE *f = fopen(ini, "w");

	assert_non_null(f);
	(void)fprintf(f, "%s[ca partners]\nfile = /ca.pem\n[client 10.0.0.0/8]\nmode = require\n"
	    "[listener *:25]\nmin_tls = 1.3\n", first);
	for (unsigned i = 0; i < n; i++) {
		(void)fprintf(f, "[domain %sd%u-%u.example]\nmode = %s\n", dice() % 9 ? "" : ".", i,
		    dice() % 1000, modes[dice() % 3]);
		if (dice() % 3 == 0)
			(void)fprintf(f, "min_bits = %u\n", dice() % 4096);
		if (dice() % 4 == 0)
			(void)fprintf(f, "[peer p%u.example]\nca = partners\nclient_cert = require\n"
			    "cert_names = a%u.example,\n .b.example\nmatch_cn = yes\n", i, dice());
	}
	assert_int_equal(fclose(f), 0);
}

static struct settings *
parsed(void)
{
	struct settings *s = settings_read(ini, false, read_report_file, stderr);

	assert_non_null(s);
	return s;
}

/* There is a compiled form that counts, and it says what the INI does. */
static void
expect_same(const struct compiled *c)
{
	struct settings *s = compiled_open(ini, c), *want = parsed();
	void *a, *b;
	size_t alen, blen;

	assert_non_null(s);
	assert_non_null(a = settings_image(s, &alen));
	assert_non_null(b = settings_image(want, &blen));
	assert_int_equal(alen, blen);
	assert_memory_equal(a, b, alen);
	assert_true(ask(s) == ask(want));
	assert_string_equal(settings_path(s), ini);
	free(a);
	free(b);
	settings_free(s);
	settings_free(want);
}

static void
expect_none(void)
{
	assert_null(compiled_open(ini, &copied));
	assert_null(compiled_open(ini, &mapped));
}

/* An INI that has settled, and its compiled form. */
static void
make(void)
{
	struct settings *s;

	put_ini(1500, "");
	skew_ms = 1000;
	s = parsed();
	assert_true(compiled_save(s, &copied));
	settings_free(s);
	expect_same(&copied);
	expect_same(&mapped);
}

static void
same_answers(void **state)
{
	(void)state;
	for (int n = 0; n < 8; n++)
		make();
	assert_int_equal(access(temp, F_OK), -1);
}

static void
whole_read(void **state)
{
	struct settings *s;
	struct compiled none = { .save = false };
	bool saved;

	(void)state;
	put_ini(1500, "");
	assert_non_null(s = compiled_read(ini, &mapped, &saved, read_report_file, stderr));
	settings_free(s);
	assert_false(saved);			/* it has not settled */
	expect_none();
	skew_ms = 1000;
	assert_non_null(s = compiled_read(ini, &none, &saved, read_report_file, stderr));
	settings_free(s);
	assert_false(saved);
	expect_none();
	assert_non_null(s = compiled_read(ini, &mapped, &saved, read_report_file, stderr));
	assert_null(s->mapped);			/* that one was parsed */
	settings_free(s);
	assert_true(saved);
	expect_same(&mapped);
	assert_non_null(s = compiled_read(ini, &mapped, &saved, read_report_file, stderr));
	assert_non_null(s->mapped);
	settings_free(s);
	put_ini(1500, "[server]\nmode = wrong\n");
	assert_null(compiled_read(ini, &mapped, &saved, NULL, NULL));
	assert_false(saved);
}

static void
small(void **state)
{
	struct settings *s;

	(void)state;
	put_ini(10, "");
	skew_ms = 1000;
	s = parsed();
	assert_false(compiled_save(s, &copied));
	assert_false(compiled_save_settled(s, &copied));
	assert_int_equal(access(made, F_OK), -1);
	assert_true(compiled_save(s, &always));
	expect_same(&always);
	expect_none();				/* for whom to parse it is as fast */
	settings_free(s);
}

/* A large one is in pieces that memory has whole; nothing else shows of it. */
static void
large(void **state)
{
	struct settings *want, *s;
	struct stat st;

	(void)state;
	put_ini(20000, "");
	skew_ms = 1000;
	want = parsed();
	assert_true(compiled_save(want, &copied));
	assert_int_equal(stat(made, &st), 0);
	assert_int_equal(st.st_size % (2 << 20), 1);
	for (int i = 0; i < 2; i++) {
		assert_non_null(s = compiled_open(ini, i == 0 ? &copied : &mapped));
		assert_int_equal(settings_generation(s), settings_generation(want));
		assert_true(ask(s) == ask(want));
		assert_true(compiled_save(s, &copied));	/* and it does not grow */
		settings_free(s);
		assert_int_equal(stat(made, &st), 0);
		assert_int_equal(st.st_size % (2 << 20), 1);
		assert_true(st.st_size < 6 << 20);
	}
	settings_free(want);
}

static void
by_the_clock(void **state)
{
	struct settings *s;

	(void)state;
	put_ini(1500, "");
	s = parsed();
	assert_false(compiled_save(s, &copied));
	assert_true(compiled_save_settled(s, &copied));
	settings_free(s);
	expect_same(&mapped);
}

static void
stale(void **state)
{
	struct timespec times[2] = { { 0, UTIME_OMIT }, { 0, UTIME_NOW } };
	char other[160];

	(void)state;
	make();
	assert_int_equal(utimensat(AT_FDCWD, ini, times, 0), 0);
	expect_none();
	make();
	assert_int_equal(chmod(ini, 0600), 0);		/* changes its ctime */
	expect_none();
	make();
	put_ini(1500, "");
	expect_none();
	make();
	(void)snprintf(other, sizeof(other), "%s/other", dir);
	assert_int_equal(rename(ini, other), 0);
	expect_none();
	put_ini(1500, "");
	expect_none();
}

/* Changed between parsing and saving in a way that no time shows. */
static void
written_meanwhile(void **state)
{
	struct settings *s;
	int fd;

	(void)state;
	put_ini(1500, "; 1\n");
	(void)clock_gettime(CLOCK_REALTIME, &tick);
	skew_ms = 1000;
	s = parsed();
	assert_true((fd = open(ini, O_WRONLY)) != -1);
	assert_int_equal(pwrite(fd, "; 2\n", 4, 0), 4);
	assert_int_equal(close(fd), 0);
	assert_false(compiled_save(s, &copied));
	settings_free(s);
	s = parsed();
	assert_true(compiled_save(s, &copied));
	settings_free(s);
}

/* A file system that keeps whole seconds: within one, no later write shows. */
static void
whole_seconds(void **state)
{
	struct timespec now;
	struct settings *s;

	(void)state;
	put_ini(1500, "; 1\n");
	(void)clock_gettime(CLOCK_REALTIME, &now);
	tick.tv_sec = now.tv_sec;
	s = parsed();
	skew_ms = 100 - now.tv_nsec / 1000000;
	assert_false(compiled_save(s, &copied));
	assert_false(compiled_save_settled(s, &copied));	/* nor is it waited for */
	skew_ms += 920;
	assert_true(compiled_save_settled(s, &copied));		/* but for the rest */
	settings_free(s);
	expect_same(&mapped);
}

static void
not_trusted(void **state)
{
	char other[160];

	(void)state;
	(void)snprintf(other, sizeof(other), "%s/other", dir);
	make();
	assert_int_equal(chmod(made, 0664), 0);
	expect_none();
	assert_int_equal(chmod(made, 0646), 0);
	expect_none();
	assert_int_equal(chmod(made, 0644), 0);
	expect_same(&mapped);
	assert_int_equal(link(made, other), 0);
	expect_none();
	assert_int_equal(unlink(made), 0);
	assert_int_equal(symlink(other, made), 0);
	expect_none();
	assert_int_equal(unlink(made), 0);
	assert_int_equal(mkdir(made, 0700), 0);
	expect_none();
	assert_int_equal(rmdir(made), 0);
	assert_int_equal(mkfifo(made, 0600), 0);
	expect_none();
	assert_int_equal(unlink(made), 0);
	assert_int_equal(rename(other, made), 0);
	expect_same(&mapped);
}

static void
owners(void **state)
{
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		skip();
	make();
	assert_int_equal(chown(made, STRANGER, 0), 0);
	expect_none();
	put_ini(1500, "");
	assert_int_equal(chown(ini, STRANGER, NOBODY), 0);
	assert_int_equal(chmod(ini, 0640), 0);
	skew_ms = 2000;
	settings_free(compiled_read(ini, &copied, NULL, read_report_file, stderr));
	assert_int_equal(stat(made, &st), 0);		/* made for whom the INI belongs to */
	assert_int_equal(st.st_uid, STRANGER);
	assert_int_equal(st.st_gid, NOBODY);
	assert_int_equal(st.st_mode & 07777, 0640);
	expect_same(&mapped);
	assert_int_equal(chown(made, 0, 0), 0);		/* our own counts as well */
	expect_same(&mapped);
	assert_int_equal(chmod(ini, 0644), 0);
	settings_free(compiled_read(ini, &copied, NULL, read_report_file, stderr));
	assert_int_equal(chown(made, 0, 0), 0);
	assert_int_equal(seteuid(NOBODY), 0);		/* but not for others */
	assert_null(compiled_open(ini, &mapped));
}

static void
own_folder(void **state)
{
	struct compiled c = { .folder = folder, .map = true, .save = true };
	struct stat st;
	char other[320], one[384];
	DIR *d;
	struct dirent *e;

	(void)state;
	if (geteuid() != 0)
		skip();
	put_ini(1500, "");
	skew_ms = 1000;
	assert_int_equal(seteuid(NOBODY), 0);		/* beside the INI it may not write */
	settings_free(compiled_read(ini, &c, NULL, read_report_file, stderr));
	expect_none();
	assert_null(compiled_open(ini, &c));		/* and there is no folder */
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(mkdir(folder, 0755), 0);
	assert_int_equal(chown(folder, NOBODY, NOBODY), 0);
	assert_int_equal(seteuid(NOBODY), 0);
	settings_free(compiled_read(ini, &c, NULL, read_report_file, stderr));
	expect_none();
	expect_same(&c);
	assert_int_equal(seteuid(0), 0);
	assert_null(compiled_open(ini, &c));		/* it is neither root's nor the INI's owner's */
	(void)snprintf(other, sizeof(other), "%s/x", folder);
	assert_non_null(d = opendir(folder));
	while ((e = readdir(d)) != NULL)
		if (strstr(e->d_name, ".compiled") != NULL) {
			(void)snprintf(one, sizeof(one), "%s/%s", folder, e->d_name);
			assert_int_equal(stat(one, &st), 0);
			assert_int_equal(st.st_mode & 07777, 0600);
		}
	closedir(d);
	assert_int_equal(empty(folder), 1);
}

/* ---- damage ---- */

static void
use(const struct compiled *c, unsigned *taken)
{
	struct settings *s = compiled_open(ini, c);

	if (s == NULL)
		return;
	(void)ask(s);
	settings_free(s);
	(*taken)++;
}

static void
damaged(void **state)
{
	struct stat st;
	unsigned char *good, *bad;
	size_t len, at;
	unsigned taken = 0, n;
	int fd;

	(void)state;
	make();
	assert_int_equal(stat(made, &st), 0);
	len = (size_t)st.st_size;
	assert_non_null(good = malloc(len));
	assert_non_null(bad = malloc(len));
	assert_true((fd = open(made, O_RDWR)) != -1);
	assert_int_equal(pread(fd, good, len, 0), len);
	for (n = 0; n < 400; n++) {
		memcpy(bad, good, len);
		for (unsigned i = 1 + dice() % 8; i > 0; i--) {
			/* not those that tell which INI it is: then it would just be stale */
			at = n % 2 == 0 ? offsetof(struct image, path) +
			    dice() % (sizeof(struct image) - offsetof(struct image, path)) :
			    sizeof(struct image) + dice() % (len - sizeof(struct image));
			bad[at] = dice() % 3 == 0 ? 0xff : (unsigned char)dice();
		}
		assert_int_equal(pwrite(fd, bad, len, 0), len);
		use(n % 4 < 2 ? &copied : &mapped, &taken);
	}
	assert_in_range(taken, 200, 399);
	assert_int_equal(pwrite(fd, good, len, 0), len);
	expect_same(&mapped);
	for (n = 0; n < 40; n++) {
		assert_int_equal(ftruncate(fd, n == 0 ? 0 : (off_t)(dice() % len)), 0);
		expect_none();
	}
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, good, len, 0), len);
	expect_same(&mapped);
	assert_int_equal(ftruncate(fd, (off_t)len + 5000), 0);	/* more behind it is nothing to it */
	expect_same(&mapped);
	expect_same(&copied);
	close(fd);
	free(good);
	free(bad);
}

static void
other_programs(void **state)
{
	struct image head;
	int fd;

	(void)state;
	make();
	assert_true((fd = open(made, O_RDWR)) != -1);
	for (int n = 0; n < 4; n++) {
		assert_int_equal(pread(fd, &head, sizeof(head), 0), sizeof(head));
		expect_same(&copied);
		if (n == 0)
			head.version[0]++;
		else if (n == 1)
			head.layout++;
		else if (n == 2)
			head.rule_size++;
		else
			head.magic[0]++;
		assert_int_equal(pwrite(fd, &head, sizeof(head), 0), sizeof(head));
		expect_none();
		if (n == 0)
			head.version[0]--;
		else if (n == 1)
			head.layout--;
		else if (n == 2)
			head.rule_size--;
		else
			head.magic[0]--;
		assert_int_equal(pwrite(fd, &head, sizeof(head), 0), sizeof(head));
	}
	close(fd);
}

/* ---- several at once ---- */

static void
many_makers(void **state)
{
	struct settings *s, *seen;
	pid_t pid[8];
	int status, good = 0, fd[2];
	char go;

	(void)state;
	for (int round = 0; round < 5; round++) {
		put_ini(1500, "");
		skew_ms = 1000;
		s = parsed();
		assert_int_equal(pipe(fd), 0);
		for (int i = 0; i < 8; i++) {
			assert_true((pid[i] = fork()) != -1);
			if (pid[i] == 0) {
				close(fd[1]);
				(void)!read(fd[0], &go, 1);	/* until all are there */
				if ((seen = compiled_open(ini, &mapped)) != NULL &&
				    ask(seen) != ask(s))
					_exit(2);
				_exit(compiled_save(s, &copied) ? 0 : 1);
			}
		}
		close(fd[0]);
		close(fd[1]);
		for (int i = 0; i < 8; i++) {
			assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
			assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
			good += WEXITSTATUS(status) == 0;
		}
		assert_true(good >= 1);
		settings_free(s);
		expect_same(&mapped);
		assert_int_equal(access(temp, F_OK), -1);
	}
}

static void
another_at_it(void **state)
{
	struct settings *s;
	int fd;

	(void)state;
	put_ini(1500, "");
	skew_ms = 1000;
	s = parsed();
	assert_true((fd = open(temp, O_WRONLY | O_CREAT, 0600)) != -1);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_false(compiled_save(s, &copied));
	expect_none();
	skew_ms = 62000;			/* and it died at it */
	assert_true(compiled_save(s, &copied));
	expect_same(&mapped);
	settings_free(s);
	close(fd);
}

/* Whoever has it mapped keeps what he has when the next one comes. */
static void
replaced(void **state)
{
	struct settings *s, *old;
	size_t before;

	(void)state;
	make();
	assert_non_null(old = compiled_open(ini, &mapped));
	before = ask(old);
	put_ini(3000, "");
	s = parsed();
	assert_true(compiled_save(s, &copied));
	settings_free(s);
	expect_same(&mapped);
	assert_true(ask(old) == before);
	settings_free(old);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(same_answers),
		TEST(whole_read),
		TEST(small),
		TEST(large),
		TEST(by_the_clock),
		TEST(stale),
		TEST(written_meanwhile),
		TEST(whole_seconds),
		TEST(not_trusted),
		TEST(owners),
		TEST(own_folder),
		TEST(damaged),
		TEST(other_programs),
		TEST(many_makers),
		TEST(another_at_it),
		TEST(replaced),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
