/* See cmd_keystore.h. */
#include <sys/file.h>
#include <sys/stat.h>
#include <dirent.h>
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

#define FOLDER "certs"
#define LOCK_TRIES 100		/* every 50 ms */

static const char *const suffixes[STORE_FILES] = { ".pem", ".key", ".new-key" };

enum form { PLAIN, FRESH, ASIDE };
#define FRESH_MARK ".tlsward-new"
#define ASIDE_MARK ".tlsward-old"

/* A name in the folder: the file's, of its successor, of its predecessor. */
#define BASE_SIZE (NAME_SIZE + 32)
static const char *
base_name(const char *name, enum store_file f, enum form form, char buf[BASE_SIZE])
{
	snprintf(buf, BASE_SIZE, "%s%s%s%s", form == PLAIN ? "" : ".", name, suffixes[f],
	    form == PLAIN ? "" : form == FRESH ? FRESH_MARK : ASIDE_MARK);
	return buf;
}

static bool fail(char why[STORE_WHY], int error, const char *, ...)
    __attribute__((format(printf, 3, 4)));

/* What could not be done, why, and what to do; always false. */
static bool
fail(char why[STORE_WHY], int error, const char *format, ...)
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
		return fail(why, errno, "%s cannot be examined", ks->dir);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return fail(why, 0, "%s belongs to user %lu, who could replace the keys in it; "
		    "chown it to %s", ks->dir, (unsigned long)st.st_uid,
		    geteuid() == 0 ? "root" : "yourself, or run this as root");
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return fail(why, 0, "%s can be written to by others, who could replace the keys in "
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
			return fail(why, errno, "%s cannot be locked", ks->dir);
		if (tries == LOCK_TRIES)
			return fail(why, 0, "%s is being changed by another tlsward; try again",
			    ks->dir);
		nanosleep(&pause, NULL);
	}
	return true;
}

/* ---- what a killed process left ---- */

static bool
ends_in(const char *text, size_t len, const char *end)
{
	size_t n = strlen(end);

	return len > n && strcmp(text + len - n, end) == 0;
}

/* Is the file aside another one than that in place (or is none in place)? */
static bool
replaced(const struct keystore *ks, const char *name, enum store_file f, bool *aside)
{
	char base[BASE_SIZE];
	struct stat in_place, old;

	*aside = fstatat(ks->fd, base_name(name, f, ASIDE, base), &old, AT_SYMLINK_NOFOLLOW) == 0;
	return *aside && (fstatat(ks->fd, base_name(name, f, PLAIN, base), &in_place,
	    AT_SYMLINK_NOFOLLOW) == -1 || in_place.st_ino != old.st_ino);
}

/*
 * A new key was put in place and its certificate was not: puts the old key
 * back.  In every other state the pair is a pair, the old one or the new.
 */
static void
mend_pair(const struct keystore *ks, const char *name)
{
	char base[BASE_SIZE], old[BASE_SIZE];
	bool key, cert;

	if (replaced(ks, name, STORE_KEY, &key) && !replaced(ks, name, STORE_CERT, &cert) && cert)
		renameat(ks->fd, base_name(name, STORE_KEY, ASIDE, old), ks->fd,
		    base_name(name, STORE_KEY, PLAIN, base));
}

/* Runs under the lock, so that whatever has a mark is nobody's. */
static void
mend(const struct keystore *ks)
{
	int fd = openat(ks->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd != -1 ? fdopendir(fd) : NULL;
	char name[NAME_SIZE];
	struct dirent *e;
	size_t len;

	if (d == NULL) {
		if (fd != -1)
			close(fd);
		return;
	}
	while ((e = readdir(d)) != NULL) {
		len = strlen(e->d_name);
		if (e->d_name[0] == '.' && len < sizeof(name) &&
		    ends_in(e->d_name, len, ".key" ASIDE_MARK)) {
			snprintf(name, sizeof(name), "%.*s",
			    (int)(len - strlen(".key" ASIDE_MARK) - 1), e->d_name + 1);
			mend_pair(ks, name);
		}
	}
	rewinddir(d);
	while ((e = readdir(d)) != NULL) {
		len = strlen(e->d_name);
		if (e->d_name[0] == '.' && (ends_in(e->d_name, len, FRESH_MARK) ||
		    ends_in(e->d_name, len, ASIDE_MARK)))
			unlinkat(ks->fd, e->d_name, 0);
	}
	closedir(d);
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
		return fail(why, 0, "%s must be a folder, and no link to one; move what is there "
		    "away", ks->dir);
	return fail(why, errno, "%s cannot be opened", ks->dir);
}

static bool
make_folder(struct keystore *ks, char why[STORE_WHY])
{
	if (mkdirat(ks->parent, FOLDER, 0755) == -1)
		return errno == EEXIST || fail(why, errno, "%s cannot be made", ks->dir);
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
		fail(why, errno, "the folder of %s cannot be opened", ini);
	else if (snprintf(ks->dir, sizeof(ks->dir), "%s/" FOLDER, strcmp(real, "/") == 0 ? "" :
	    real) >= (int)sizeof(ks->dir))
		fail(why, ENAMETOOLONG, "%s", real);
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
		return fail(why, errno, "the mode of %s cannot be set", ks->dir);
	if (!trustworthy(ks, why) || !lock(ks, why))
		return false;
	mend(ks);
	return true;
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
keystore_has(const struct keystore *ks, const char *name, enum store_file f)
{
	char base[BASE_SIZE];
	struct stat st;

	return ks->fd != -1 &&
	    fstatat(ks->fd, base_name(name, f, PLAIN, base), &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- changes ---- */

static int
write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

bool
keystore_put(struct keystore *ks, const char *name, enum store_file f, const char *data,
    size_t len, const struct store_access *a, char why[STORE_WHY])
{
	char base[BASE_SIZE], path[STORE_PATH];
	bool key = f != STORE_CERT;
	bool ok = false;
	int fd;

	snprintf(ks->name, sizeof(ks->name), "%s", name);
	keystore_path(ks, name, f, path);
	base_name(name, f, FRESH, base);
	unlinkat(ks->fd, base, 0);	/* of one who was killed: we have the lock */
	fd = openat(ks->fd, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return fail(why, errno, "%s cannot be made", path);
	ks->file[f].staged = true;
	if (key && fchown(fd, (uid_t)-1, a->gid) == -1)
		fail(why, errno, "%s cannot be given to its group (%s)", path, a->text);
	else if (fchmod(fd, key ? a->mode : 0644) == -1)
		fail(why, errno, "the mode of %s cannot be set", path);
	else if (write_all(fd, data, len) == -1 || fsync(fd) == -1)
		fail(why, errno, "%s cannot be written", path);
	else
		ok = true;
	if (close(fd) == -1 && ok)
		ok = fail(why, errno, "%s cannot be written", path);
	return ok;
}

void
keystore_drop(struct keystore *ks, const char *name, enum store_file f)
{
	if (!keystore_has(ks, name, f))
		return;
	snprintf(ks->name, sizeof(ks->name), "%s", name);
	ks->file[f].gone = true;
}

/* The old file, if there is one, gets a second name. */
static bool
put_aside(struct keystore *ks, enum store_file f, char why[STORE_WHY])
{
	char base[BASE_SIZE], aside[BASE_SIZE], path[STORE_PATH];

	base_name(ks->name, f, PLAIN, base);
	base_name(ks->name, f, ASIDE, aside);
	unlinkat(ks->fd, aside, 0);
	if (linkat(ks->fd, base, ks->fd, aside, 0) == 0)
		ks->file[f].aside = true;
	else if (errno != ENOENT)
		return fail(why, errno, "%s cannot be kept while it is replaced",
		    keystore_path(ks, ks->name, f, path));
	return true;
}

/* Ctrl-C between two renames would part a certificate from its key. */
static void
hold_signals(struct keystore *ks)
{
	sigset_t held;

	sigemptyset(&held);
	sigaddset(&held, SIGHUP);
	sigaddset(&held, SIGINT);
	sigaddset(&held, SIGQUIT);
	sigaddset(&held, SIGTERM);
	sigaddset(&held, SIGTSTP);
	ks->swapping = sigprocmask(SIG_BLOCK, &held, &ks->mask) == 0;
}

static void
release_signals(struct keystore *ks)
{
	if (ks->swapping)
		sigprocmask(SIG_SETMASK, &ks->mask, NULL);
	ks->swapping = false;
}

bool
keystore_swap(struct keystore *ks, char why[STORE_WHY])
{
	/* The key first: a certificate without its key would be served by nobody. */
	static const enum store_file order[] = { STORE_KEY, STORE_CERT, STORE_NEW_KEY };
	char base[BASE_SIZE], fresh[BASE_SIZE], path[STORE_PATH];
	int f;

	hold_signals(ks);
	for (f = 0; f < STORE_FILES; f++)
		if ((ks->file[f].staged || ks->file[f].gone) &&
		    !put_aside(ks, (enum store_file)f, why))
			return false;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		f = (int)order[i];
		base_name(ks->name, order[i], PLAIN, base);
		base_name(ks->name, order[i], FRESH, fresh);
		if ((ks->file[f].staged && renameat(ks->fd, fresh, ks->fd, base) == -1) ||
		    (!ks->file[f].staged && ks->file[f].gone && unlinkat(ks->fd, base, 0) == -1))
			return fail(why, errno, "%s cannot be replaced",
			    keystore_path(ks, ks->name, order[i], path));
		ks->file[f].placed = ks->file[f].staged || ks->file[f].gone;
		ks->file[f].staged = false;
	}
	/* Some file systems cannot sync a folder and need not. */
	if (fsync(ks->fd) == -1 && errno != EINVAL)
		return fail(why, errno, "%s cannot be written", ks->dir);
	return true;
}

void
keystore_keep(struct keystore *ks)
{
	char aside[BASE_SIZE];

	for (int f = 0; f < STORE_FILES; f++)
		if (ks->file[f].aside)
			unlinkat(ks->fd, base_name(ks->name, (enum store_file)f, ASIDE, aside), 0);
	memset(ks->file, 0, sizeof(ks->file));
	release_signals(ks);
}

bool
keystore_undo(struct keystore *ks, char why[STORE_WHY])
{
	char base[BASE_SIZE], aside[BASE_SIZE], fresh[BASE_SIZE];
	bool ok = true;

	for (int f = 0; f < STORE_FILES; f++) {
		base_name(ks->name, (enum store_file)f, PLAIN, base);
		base_name(ks->name, (enum store_file)f, ASIDE, aside);
		if (ks->file[f].staged)
			unlinkat(ks->fd, base_name(ks->name, (enum store_file)f, FRESH, fresh), 0);
		if (ks->file[f].placed && ks->file[f].aside &&
		    renameat(ks->fd, aside, ks->fd, base) == -1)
			ok = fail(why, errno, "%s/%s cannot be put back; the old file is %s/%s",
			    ks->dir, base, ks->dir, aside);
		else if (ks->file[f].placed && !ks->file[f].aside)
			unlinkat(ks->fd, base, 0);
		else if (ks->file[f].aside)
			unlinkat(ks->fd, aside, 0);
	}
	memset(ks->file, 0, sizeof(ks->file));
	if (ks->fd != -1)
		fsync(ks->fd);
	release_signals(ks);
	return ok;
}
