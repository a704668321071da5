/* See cmd_keystore.h. */
#include <sys/file.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd_keystore.h"
#include "cmd_keystore_int.h"

#define FOLDER "certs"
#define LOCK_TRIES 100		/* every 50 ms */

static const char *const suffixes[STORE_FILES] = { ".pem", ".key", ".new-key" };
static const char *const marks[FORMS] = {
	"", ".tlsward-new", ".tlsward-old", ".tlsward-back"
};

const char *
store_base(const char *name, enum store_file f, enum form form, char buf[BASE_SIZE])
{
	snprintf(buf, BASE_SIZE, "%s%s%s%s", form == PLAIN ? "" : ".", name, suffixes[f], marks[form]);
	return buf;
}

static bool
ends_in(const char *text, size_t len, const char *end)
{
	size_t n = strlen(end);

	return len > n && strcmp(text + len - n, end) == 0;
}

bool
store_marked(const char *entry, char name[NAME_SIZE], enum store_file *file, enum form *form)
{
	char end[32];
	size_t len = strlen(entry), n;

	if (entry[0] != '.')
		return false;
	for (int f = 0; f < STORE_FILES; f++)
		for (int m = FRESH; m < FORMS; m++) {
			n = (size_t)snprintf(end, sizeof(end), "%s%s", suffixes[f], marks[m]);
			if (!ends_in(entry, len, end) || len - n - 1 >= NAME_SIZE)
				continue;
			snprintf(name, NAME_SIZE, "%.*s", (int)(len - n - 1), entry + 1);
			*file = (enum store_file)f;
			*form = (enum form)m;
			return true;
		}
	return false;
}

bool
store_fail(char why[STORE_WHY], int error, const char *format, ...)
{
	const char *remedy = "";
	size_t used;
	va_list ap;

	switch (error) {
	case EACCES:
	case EPERM:
		remedy = "; run it as root, or as the user that owns the folder";
		break;
	case ENOSPC:
	case EDQUOT:
		remedy = "; make room and try again, nothing was changed";
		break;
	case EROFS:
		remedy = "; mount it writable";
		break;
	default:
		break;
	}
	va_start(ap, format);
	vsnprintf(why, STORE_WHY, format, ap);
	va_end(ap);
	used = strlen(why);
	if (error != 0)
		snprintf(why + used, STORE_WHY - used, ": %s%s", strerror(error), remedy);
	return false;
}

/* ---- the folder ---- */

/* Whoever may write to the folder can put another key in a key's place. */
static bool
trustworthy(const struct keystore *ks, char why[STORE_WHY])
{
	struct stat st;

	if (fstat(ks->fd, &st) == -1)
		return store_fail(why, errno, "%s cannot be examined", ks->dir);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return store_fail(why, 0, "%s belongs to user %lu, who could replace the keys in it; "
		    "chown it to %s", ks->dir, (unsigned long)st.st_uid,
		    geteuid() == 0 ? "root" : "yourself, or run this as root");
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return store_fail(why, 0, "%s can be written to by others, who could replace the keys in "
		    "it; chmod go-w %s", ks->dir, ks->dir);
	return true;
}

static bool
lock(const struct keystore *ks, char why[STORE_WHY])
{
	const struct timespec pause = { .tv_nsec = 50 * 1000000L };
	int tries;

	for (tries = 0; flock(ks->fd, LOCK_EX | LOCK_NB) == -1; tries++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return store_fail(why, errno, "%s cannot be locked", ks->dir);
		if (tries == LOCK_TRIES)
			return store_fail(why, 0, "%s is being changed by another tlsward; try again",
			    ks->dir);
		nanosleep(&pause, NULL);
	}
	return true;
}

/* ---- opening ---- */

/* fd -1: it is not there. */
static bool
open_folder(struct keystore *ks, char why[STORE_WHY])
{
	ks->fd = openat(ks->parent, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (ks->fd != -1 || errno == ENOENT)
		return true;
	if (errno == ELOOP || errno == ENOTDIR)
		return store_fail(why, 0, "%s must be a folder, and no link to one; move what is there "
		    "away", ks->dir);
	return store_fail(why, errno, "%s cannot be opened", ks->dir);
}

static bool
make_folder(struct keystore *ks, char why[STORE_WHY])
{
	if (mkdirat(ks->parent, FOLDER, 0755) == -1)
		return errno == EEXIST || store_fail(why, errno, "%s cannot be made", ks->dir);
	ks->made = true;
	fsync(ks->parent);
	return true;
}

/* Finds the folder and opens it, if it is there. */
static bool
find_folder(struct keystore *ks, const char *ini, char why[STORE_WHY])
{
	char *copy = strdup(ini), *real = NULL;
	bool ok = false;

	memset(ks, 0, sizeof(*ks));
	ks->parent = ks->fd = -1;
	if (copy == NULL || (real = realpath(dirname(copy), NULL)) == NULL ||
	    (ks->parent = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		store_fail(why, errno, "the folder of %s cannot be opened", ini);
	else if (snprintf(ks->dir, sizeof(ks->dir), "%s/" FOLDER, strcmp(real, "/") == 0 ? "" :
	    real) >= (int)sizeof(ks->dir))
		store_fail(why, ENAMETOOLONG, "%s", real);
	else
		ok = true;
	free(copy);
	free(real);
	return ok && open_folder(ks, why);
}

bool
keystore_open(struct keystore *ks, const char *ini, bool create, char why[STORE_WHY])
{
	if (!find_folder(ks, ini, why))
		return false;
	if (ks->fd == -1 && !create)
		return true;
	if (ks->fd == -1 && (!make_folder(ks, why) || !open_folder(ks, why)))
		return false;
	/* The umask is closed while keys are made. */
	if (ks->made && fchmod(ks->fd, 0755) == -1)
		return store_fail(why, errno, "the mode of %s cannot be set", ks->dir);
	return trustworthy(ks, why) && lock(ks, why) && keystore_mend(ks, why);
}

void
keystore_look(struct keystore *ks, const char *ini)
{
	char why[STORE_WHY];

	find_folder(ks, ini, why);
}

void
keystore_close(struct keystore *ks)
{
	char why[STORE_WHY];

	keystore_undo(ks, why);
	if (ks->fd != -1)
		close(ks->fd);
	if (ks->made)		/* of no use where the first change failed; else not empty */
		unlinkat(ks->parent, FOLDER, AT_REMOVEDIR);
	if (ks->parent != -1)
		close(ks->parent);
	ks->parent = ks->fd = -1;
}

const char *
keystore_path(const struct keystore *ks, const char *name, enum store_file f, char buf[STORE_PATH])
{
	snprintf(buf, STORE_PATH, "%s/%s%s", ks->dir, name, suffixes[f]);
	return buf;
}

bool
keystore_stat(const struct keystore *ks, const char *name, enum store_file f, struct stat *st)
{
	char base[BASE_SIZE];

	return ks->fd != -1 &&
	    fstatat(ks->fd, store_base(name, f, PLAIN, base), st, AT_SYMLINK_NOFOLLOW) == 0;
}

bool
keystore_has(const struct keystore *ks, const char *name, enum store_file f)
{
	struct stat st;

	return keystore_stat(ks, name, f, &st);
}

/* ---- reading ---- */

void
keystore_forget(char *data, size_t len)
{
	if (data != NULL)
		explicit_bzero(data, len);
	free(data);
}

/* All of fd, which is no longer than size - 1 octets. */
static bool
read_all(int fd, char *data, size_t size, size_t *len)
{
	ssize_t n;

	for (*len = 0; *len < size; *len += (size_t)n) {
		n = read(fd, data + *len, size - *len);
		if (n == -1 && errno == EINTR)
			n = 0;
		else if (n == -1)
			return false;
		else if (n == 0)
			break;
	}
	if (*len == size) {		/* it grew meanwhile */
		errno = EFBIG;
		return false;
	}
	data[*len] = '\0';
	return true;
}

char *
keystore_read(const struct keystore *ks, const char *name, enum store_file f, size_t *len,
    char why[STORE_WHY])
{
	char base[BASE_SIZE], path[STORE_PATH], *data = NULL;
	struct stat st;
	size_t size = 0;
	int fd;

	keystore_path(ks, name, f, path);
	fd = openat(ks->fd, store_base(name, f, PLAIN, base),
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1) {
		store_fail(why, errno, "%s cannot be read", path);
	} else if (!S_ISREG(st.st_mode) || st.st_size > KEYSTORE_READ_MAX) {
		store_fail(why, 0, "%s is no plain file of at most %d octets; move it away", path,
		    KEYSTORE_READ_MAX);
	} else if ((data = malloc(size = (size_t)st.st_size + 2)) == NULL ||
	    !read_all(fd, data, size, len)) {
		store_fail(why, errno, "%s cannot be read", path);
		keystore_forget(data, size);
		data = NULL;
	}
	if (fd != -1)
		close(fd);
	return data;
}

bool
keystore_same(const struct keystore *ks, const char *name, enum store_file f, const char *data,
    size_t len)
{
	char why[STORE_WHY], *old;
	size_t old_len;
	bool same;

	if (!keystore_has(ks, name, f) ||
	    (old = keystore_read(ks, name, f, &old_len, why)) == NULL)
		return false;
	same = old_len == len && memcmp(old, data, len) == 0;
	keystore_forget(old, old_len);
	return same;
}
