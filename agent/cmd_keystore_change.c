/* The part of cmd_keystore.h that changes files, and undoes changes that were left half done. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd_keystore.h"
#include "cmd_keystore_int.h"

/*
 * A change may be cut off by SIGKILL between any two system calls.  What it has
 * left then says whether the next process goes back to the old files or on to
 * the new ones:
 *
 *	back	while a new file waits for its name (FRESH), or an old one is on
 *		its way to it (BACK), or a file aside is still the one in place
 *	on	else: what lies aside is not needed any more
 *
 * So a swap goes back until its last rename; keystore_keep, which only removes
 * what lies aside, goes on; and keystore_undo makes a BACK before all else and
 * removes nothing from aside until all files are back.
 */

/* ---- back to the old files ---- */

static bool
look(const struct keystore *ks, const char *name, enum store_file f, enum form form,
    struct stat *st)
{
	char base[BASE_SIZE];

	return fstatat(ks->fd, store_base(name, f, form, base), st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Is the file aside, if there is one, the one in place? */
static bool
in_place(const struct keystore *ks, const char *name, enum store_file f)
{
	struct stat now, old;

	return look(ks, name, f, ASIDE, &old) && look(ks, name, f, PLAIN, &now) &&
	    now.st_ino == old.st_ino;
}

/* Back, or on? */
static bool
goes_back(const struct keystore *ks, const char *name)
{
	struct stat st;

	for (int n = 0; n < STORE_FILES; n++) {
		enum store_file f = (enum store_file)n;

		if (look(ks, name, f, FRESH, &st) || look(ks, name, f, BACK, &st) ||
		    in_place(ks, name, f))
			return true;
	}
	return false;
}

/* What lies aside, if anything does, gets its name again and still lies aside. */
static bool
put_back(const struct keystore *ks, const char *name, enum store_file f, char why[STORE_WHY])
{
	char base[BASE_SIZE], aside[BASE_SIZE], back[BASE_SIZE];
	struct stat st;

	if (!look(ks, name, f, ASIDE, &st) || in_place(ks, name, f))
		return true;
	store_base(name, f, PLAIN, base);
	store_base(name, f, ASIDE, aside);
	store_base(name, f, BACK, back);
	if (linkat(ks->fd, aside, ks->fd, back, 0) == 0 || errno == EEXIST) {
		if (renameat(ks->fd, back, ks->fd, base) == 0)
			return true;
	} else if (renameat(ks->fd, aside, ks->fd, base) == 0) {	/* no room for a link */
		return true;
	}
	return store_fail(why, errno, "%s/%s cannot be put back; the old file is %s/%s", ks->dir,
	    base, ks->dir, aside);
}

static void
remove_form(const struct keystore *ks, const char *name, enum store_file f, enum form form)
{
	char base[BASE_SIZE];

	unlinkat(ks->fd, store_base(name, f, form, base), 0);
}

/* ---- what a killed process left ---- */

bool
keystore_mend(const struct keystore *ks, char why[STORE_WHY])
{
	int fd = openat(ks->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd != -1 ? fdopendir(fd) : NULL;
	char name[NAME_SIZE];
	enum store_file f;
	enum form form;
	struct dirent *e;
	bool ok = true;

	if (d == NULL) {
		store_fail(why, errno, "%s cannot be read", ks->dir);
		if (fd != -1)
			close(fd);
		return false;
	}
	while (ok && (e = readdir(d)) != NULL)
		if (store_marked(e->d_name, name, &f, &form) && form == ASIDE && goes_back(ks, name))
			for (int n = 0; n < STORE_FILES; n++)
				ok = put_back(ks, name, (enum store_file)n, why) && ok;
	/* What is aside last: while anything else is left it goes back again. */
	for (int last = 0; ok && last < 2; last++) {
		rewinddir(d);
		while ((e = readdir(d)) != NULL)
			if (store_marked(e->d_name, name, &f, &form) && (form == ASIDE) == (last == 1))
				unlinkat(ks->fd, e->d_name, 0);
	}
	closedir(d);
	return ok;
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
	store_base(name, f, FRESH, base);
	unlinkat(ks->fd, base, 0);	/* of one who was killed: we have the lock */
	fd = openat(ks->fd, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return store_fail(why, errno, "%s cannot be made", path);
	ks->file[f].staged = true;
	if (key && fchown(fd, (uid_t)-1, a->gid) == -1)
		store_fail(why, errno, "%s cannot be given to its group (%s)", path, a->text);
	else if (fchmod(fd, key ? a->mode : 0644) == -1)
		store_fail(why, errno, "the mode of %s cannot be set", path);
	else if (write_all(fd, data, len) == -1 || fsync(fd) == -1)
		store_fail(why, errno, "%s cannot be written", path);
	else
		ok = true;
	if (close(fd) == -1 && ok)
		ok = store_fail(why, errno, "%s cannot be written", path);
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

	store_base(ks->name, f, PLAIN, base);
	store_base(ks->name, f, ASIDE, aside);
	unlinkat(ks->fd, aside, 0);
	if (linkat(ks->fd, base, ks->fd, aside, 0) == 0)
		ks->file[f].aside = true;
	else if (errno != ENOENT)
		return store_fail(why, errno, "%s cannot be kept while it is replaced",
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
		store_base(ks->name, order[i], PLAIN, base);
		store_base(ks->name, order[i], FRESH, fresh);
		if ((ks->file[f].staged && renameat(ks->fd, fresh, ks->fd, base) == -1) ||
		    (!ks->file[f].staged && ks->file[f].gone && unlinkat(ks->fd, base, 0) == -1))
			return store_fail(why, errno, "%s cannot be replaced",
			    keystore_path(ks, ks->name, order[i], path));
		ks->file[f].placed = ks->file[f].staged || ks->file[f].gone;
		ks->file[f].staged = false;
	}
	/* Some file systems cannot sync a folder and need not. */
	if (fsync(ks->fd) == -1 && errno != EINVAL)
		return store_fail(why, errno, "%s cannot be written", ks->dir);
	return true;
}

void
keystore_keep(struct keystore *ks)
{
	for (int f = 0; f < STORE_FILES; f++)
		if (ks->file[f].aside)
			remove_form(ks, ks->name, (enum store_file)f, ASIDE);
	memset(ks->file, 0, sizeof(ks->file));
	release_signals(ks);
}

bool
keystore_undo(struct keystore *ks, char why[STORE_WHY])
{
	bool ok = true;

	for (int n = 0; n < STORE_FILES; n++) {
		enum store_file f = (enum store_file)n;

		if (ks->file[f].placed && ks->file[f].aside)
			ok = put_back(ks, ks->name, f, why) && ok;
		else if (ks->file[f].placed)
			remove_form(ks, ks->name, f, PLAIN);
	}
	/* Where one is not back, the next keystore_open is to try again. */
	for (int n = 0; n < STORE_FILES && ok; n++)
		if (ks->file[n].staged)
			remove_form(ks, ks->name, (enum store_file)n, FRESH);
	if (ks->fd != -1)
		fsync(ks->fd);
	for (int n = 0; n < STORE_FILES && ok; n++)
		if (ks->file[n].aside)
			remove_form(ks, ks->name, (enum store_file)n, ASIDE);
	memset(ks->file, 0, sizeof(ks->file));
	release_signals(ks);
	return ok;
}
