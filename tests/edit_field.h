/*
 * A folder with an INI in it, for the tests of its changes, and calls of the
 * system that fail, or let somebody in, when a test wants it so.
 */
#ifndef TLSWARD_TESTS_EDIT_FIELD_H
#define TLSWARD_TESTS_EDIT_FIELD_H

#include <sys/stat.h>
#include <sys/syscall.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "edit.h"
#include "read.h"

#define CASE(f) { #f, f, setup, teardown, NULL }

/* ---- the system, where a test wants it otherwise ---- */

static struct {
	bool no_exchange;		/* a file system that cannot */
	int fsync_error;
	int folder_error;		/* of fsync, of a folder */
	time_t skew;			/* added to the time of day */
	void (*before)(unsigned n);	/* before the nth exchange */
	unsigned exchanges;
	void (*placed)(void);		/* the new file is, and its folder not synced */
} sys;

int
renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	if (sys.no_exchange && flags != 0) {
		errno = EINVAL;
		return -1;
	}
	if (sys.before != NULL && flags != 0)
		sys.before(sys.exchanges++);
	return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int
fsync(int fd)
{
	struct stat st;
	bool folder = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
	int error = folder && sys.folder_error != 0 ? sys.folder_error : sys.fsync_error;

	if (folder && sys.placed != NULL)
		sys.placed();
	if (error != 0) {
		errno = error;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, clock, ts);

	if (clock == CLOCK_REALTIME)
		ts->tv_sec += sys.skew;
	return rc;
}

/* ---- the field ---- */

static char dir[64], ini[128];

static inline int
setup(void **state)
{
	(void)state;
	memset(&sys, 0, sizeof(sys));
	(void)snprintf(dir, sizeof(dir), "/tmp/tlsward-edit-XXXXXX");
	if (mkdtemp(dir) == NULL || chmod(dir, 0755) == -1)
		return -1;
	(void)snprintf(ini, sizeof(ini), "%s/tlsward.ini", dir);
	return 0;
}

/* Names in the folder but the INI and those that the test made on purpose. */
static inline int
leftovers(bool sweep)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[400];
	int n = 0;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		n += strcmp(e->d_name, "tlsward.ini") != 0;
		(void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (sweep)
			(void)unlink(path);
	}
	(void)closedir(d);
	return n;
}

static inline int
teardown(void **state)
{
	(void)state;
	memset(&sys, 0, sizeof(sys));
	(void)leftovers(true);
	return rmdir(dir);
}

static inline void
put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd != -1);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(close(fd), 0);
}

static inline char *
get(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;
	ssize_t n;

	assert_non_null(f);
	n = getdelim(&text, &size, EOF, f);
	assert_true(n >= 0 || feof(f));
	if (n < 0)
		text[0] = '\0';
	(void)fclose(f);
	return text;
}

static inline void
expect(const char *path, const char *want)
{
	char *text = get(path);

	assert_string_equal(text, want);
	free(text);
}

static inline struct edit
set(enum section s, const char *name, enum key k, const char *value)
{
	return (struct edit){ .op = EDIT_SET, .section = s, .name = name, .key = k, .value = value };
}

static inline enum edit_status
apply1(struct edit e, char text[1024])
{
	struct edit_result res;
	enum edit_status status = edit_apply(ini, &e, 1, &res);

	assert_int_equal(status, res.status);
	assert_true(res.text[0] != '\0');
	if (status == EDIT_OK || status == EDIT_SAME)
		assert_non_null(res.settings);
	else
		assert_null(res.settings);
	if (text != NULL)
		memcpy(text, res.text, sizeof(res.text));
	edit_result_free(&res);
	return status;
}

#endif
