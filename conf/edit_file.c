#include <sys/file.h>
#include <sys/xattr.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "compiled.h"
#include "edit_file.h"
#include "read.h"

#define SIZE_LIMIT (256L << 20)		/* as the reader has it */
#define POLL_MS 3		/* between two tries for the lock */

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE (1 << 1)
#endif

static int64_t
now_ms(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) == -1)
		return 0;
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t
edit_deadline(void)
{
	return now_ms(CLOCK_MONOTONIC) + EDIT_WAIT_MS;
}

bool
edit_expired(int64_t deadline)
{
	return now_ms(CLOCK_MONOTONIC) >= deadline;
}

/* errno as a status and a sentence: what could not be done to which file, and a way out. */
static enum edit_status __attribute__((format(printf, 3, 4)))
failed(int error, char why[EDIT_WHY], const char *fmt, ...)
{
	enum edit_status status = EDIT_FAILED;
	const char *remedy = "";
	size_t used;
	va_list ap;

	switch (error) {
	case EACCES:
	case EPERM:
		status = EDIT_DENIED;
		remedy = "; the file must be this user's, and its folder writable to it";
		break;
	case ENOENT:
		remedy = "; `tlsward setup` makes a first one";
		break;
	case EROFS:
		status = EDIT_DENIED;
		remedy = "; mount it writable, or keep the file elsewhere";
		break;
	case ENOSPC:
	case EDQUOT:
		status = EDIT_NO_SPACE;
		remedy = "; nothing was changed, make room and try again";
		break;
	default:
		break;
	}
	va_start(ap, fmt);
	(void)vsnprintf(why, EDIT_WHY, fmt, ap);
	va_end(ap);
	used = strlen(why);
	(void)snprintf(why + used, EDIT_WHY - used, ": %s%s", strerror(error), remedy);
	return status;
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* errno, or 0: all of the len octets at text are in the file. */
static int
write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n == 0 || (n == -1 && errno != EINTR))
			return n == 0 ? EIO : errno;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* At most size octets from the start; what was read, or -1 and errno. */
static ssize_t
read_all(int fd, char *buf, size_t size)
{
	size_t got = 0;

	while (got < size) {
		ssize_t n = pread(fd, buf + got, size - got, (off_t)got);

		if (n == -1 && errno != EINTR)
			return -1;
		if (n == 0)
			break;
		if (n > 0)
			got += (size_t)n;
	}
	return (ssize_t)got;
}

/* ---- opening ---- */

static enum edit_status
open_dir(struct edit_file *f, const char *path, char why[EDIT_WHY])
{
	char *slash;

	if ((f->path = realpath(path, NULL)) == NULL)
		return failed(errno, why, "%s cannot be found", path);
	slash = strrchr(f->path, '/');
	f->base = slash + 1;
	if (slash == f->path)
		f->dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	else {
		*slash = '\0';
		f->dir = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		*slash = '/';
	}
	if (f->dir == -1)
		return failed(errno, why, "the folder of %s cannot be opened", f->path);
	return EDIT_OK;
}

/* Does the name still lead to the file that is open? */
static bool
in_place(const struct edit_file *f)
{
	struct stat st;

	return fstatat(f->dir, f->base, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    same_file(&st, &f->st);
}

/* EDIT_BUSY: not this time.  O_NONBLOCK: a FIFO must not hold us. */
static enum edit_status
try_lock(struct edit_file *f, char why[EDIT_WHY])
{
	if (f->fd == -1)
		f->fd = openat(f->dir, f->base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (f->fd == -1 && errno == ENOENT)
		return EDIT_BUSY;		/* an editor that deletes before it writes */
	if (f->fd == -1)
		return failed(errno, why, "%s cannot be opened", f->path);
	if (fstat(f->fd, &f->st) == -1)
		return failed(errno, why, "%s cannot be examined", f->path);
	if (!S_ISREG(f->st.st_mode)) {
		(void)snprintf(why, EDIT_WHY, "%s is no regular file", f->path);
		return EDIT_FAILED;
	}
	if (flock(f->fd, LOCK_EX | LOCK_NB) == -1) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return failed(errno, why, "%s cannot be locked", f->path);
		/* it may have been replaced by the lock's owner: look again */
		if (in_place(f))
			return EDIT_BUSY;
	} else if (in_place(f))
		return EDIT_OK;
	(void)close(f->fd);
	f->fd = -1;
	return EDIT_BUSY;
}

/* Would any change from now on show in the file's times? */
static bool
left_alone(const struct stat *st)
{
	int64_t changed = (int64_t)st->st_ctim.tv_sec * 1000 + st->st_ctim.tv_nsec / 1000000;
	struct file_id id;

	file_identity(st, &id);
	return now_ms(CLOCK_REALTIME) - changed >= compiled_settle_ms(&id);
}

static enum edit_status
read_text(struct edit_file *f, char why[EDIT_WHY])
{
	size_t size;
	ssize_t n;

	if (fstat(f->fd, &f->st) == -1)
		return failed(errno, why, "%s cannot be examined", f->path);
	f->settled = left_alone(&f->st);
	if (f->st.st_size > SIZE_LIMIT) {
		(void)snprintf(why, EDIT_WHY, "%s is larger than 256 MiB", f->path);
		return EDIT_FAILED;
	}
	size = (size_t)f->st.st_size;
	if ((f->text = malloc(size + 1)) == NULL)
		return failed(errno, why, "%s cannot be read", f->path);
	if ((n = read_all(f->fd, f->text, size)) == -1)
		return failed(errno, why, "%s cannot be read", f->path);
	f->len = (size_t)n;
	f->text[f->len] = '\0';
	return EDIT_OK;
}

enum edit_status
edit_file_open(struct edit_file *f, const char *path, int64_t deadline, char why[EDIT_WHY])
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	enum edit_status status;

	memset(f, 0, sizeof(*f));
	f->dir = f->fd = -1;
	if ((status = open_dir(f, path, why)) != EDIT_OK)
		return status;
	while ((status = try_lock(f, why)) == EDIT_BUSY) {
		if (edit_expired(deadline)) {
			(void)snprintf(why, EDIT_WHY, "%s is locked by another program that "
			    "changes it; try again", f->path);
			return status;
		}
		(void)nanosleep(&pause, NULL);
	}
	return status == EDIT_OK ? read_text(f, why) : status;
}

void
edit_file_close(struct edit_file *f)
{
	if (f->fd != -1)
		(void)close(f->fd);
	if (f->dir != -1)
		(void)close(f->dir);
	free(f->path);
	free(f->text);
	memset(f, 0, sizeof(*f));
	f->dir = f->fd = -1;
}

/* ---- replacing ---- */

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/*
 * Is the open file's content, owner and mode still what was read?  Times tell
 * only where the file had been left alone before: two writes within a tick of
 * the file system's clock look alike.  Its own renaming gives a file another
 * ctime.
 */
static bool
unchanged(const struct edit_file *f, bool renamed)
{
	char piece[32 << 10];
	struct stat st;
	size_t at = 0;
	ssize_t n;

	if (fstat(f->fd, &st) == -1 || (size_t)st.st_size != f->len ||
	    st.st_mode != f->st.st_mode || st.st_uid != f->st.st_uid ||
	    st.st_gid != f->st.st_gid)
		return false;
	if (f->settled)
		return same_time(&st.st_mtim, &f->st.st_mtim) &&
		    (renamed || same_time(&st.st_ctim, &f->st.st_ctim));
	while ((n = pread(f->fd, piece, sizeof(piece), (off_t)at)) > 0 ||
	    (n == -1 && errno == EINTR)) {
		if (n == -1)
			continue;
		if ((size_t)n > f->len - at || memcmp(piece, f->text + at, (size_t)n) != 0)
			return false;
		at += (size_t)n;
	}
	return n == 0 && at == f->len;
}

/* Not ours to replace: it will not belong to its owner. */
static enum edit_status
foreign(const struct edit_file *f, int error, char why[EDIT_WHY])
{
	(void)snprintf(why, EDIT_WHY, "%s belongs to user %ld and group %ld, and user %ld "
	    "may not make a file that does (%s); make the change as that user or as root, "
	    "or chown the file", f->path, (long)f->st.st_uid, (long)f->st.st_gid,
	    (long)geteuid(), strerror(error));
	return EDIT_DENIED;
}

/*
 * rename(2) asks for the folder's permission only, but a file that is read-only
 * is not to be changed.  Root may write to any; to what nobody may, it does not.
 */
static enum edit_status
check_writable(const struct edit_file *f, char why[EDIT_WHY])
{
	int error = (f->st.st_mode & 0222) == 0 ? EACCES : 0;

	if (faccessat(f->dir, f->base, W_OK, AT_EACCESS) == -1 && (errno == EACCES || errno == EROFS))
		error = errno;
	if (error == EROFS)
		return failed(error, why, "%s cannot be written", f->path);
	if (error == 0)
		return EDIT_OK;
	if ((f->st.st_mode & 0200) != 0 && f->st.st_uid != geteuid())
		return foreign(f, error, why);
	(void)snprintf(why, EDIT_WHY, "%s is read-only (mode %04o), so it is not written; "
	    "`chmod u+w %s` if it may be changed", f->path,
	    (unsigned)f->st.st_mode & 07777, f->path);
	return EDIT_DENIED;
}

/* Who else may read the file by an access control list goes on doing so.  0 or an errno. */
static int
copy_acl(int from, int to)
{
	static const char name[] = "system.posix_acl_access";
	char acl[4096];
	ssize_t n = fgetxattr(from, name, acl, sizeof(acl));

	if (n == -1)
		return errno == ENODATA || errno == ENOTSUP ? 0 : errno;
	return fsetxattr(to, name, acl, (size_t)n, 0) == -1 ? errno : 0;
}

static enum edit_status
fill_temp(const struct edit_file *f, int fd, const char *text, size_t len, char why[EDIT_WHY])
{
	struct stat st;
	int error;

	if (fstat(fd, &st) == -1)
		return failed(errno, why, "the new file beside %s cannot be examined", f->path);
	if ((st.st_uid != f->st.st_uid || st.st_gid != f->st.st_gid) &&
	    fchown(fd, f->st.st_uid, f->st.st_gid) == -1)
		return foreign(f, errno, why);
	if (fchmod(fd, f->st.st_mode & 07777) == -1)
		return failed(errno, why, "the mode of %s cannot be kept", f->path);
	if ((error = copy_acl(f->fd, fd)) != 0)
		return failed(error, why, "the access control list of %s cannot be kept", f->path);
	if ((error = write_all(fd, text, len)) != 0 || (fsync(fd) == -1 && (error = errno) != 0))
		return failed(error, why, "a new %s cannot be written", f->path);
	return EDIT_OK;
}

static bool
is_file(const struct edit_file *f, const char *name, const struct stat *want)
{
	struct stat st;

	return fstatat(f->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && same_file(&st, want);
}

static enum edit_status
changed_meanwhile(const struct edit_file *f, char why[EDIT_WHY])
{
	(void)snprintf(why, EDIT_WHY, "%s is being changed by another program; try again", f->path);
	return EDIT_BUSY;
}

/*
 * The path's file, which is not the one that was read, lies under the
 * temporary name, and ours in its place: changes them back.  What comes out
 * then must be what was put in last; if it is not, a newer one came to the path
 * meanwhile, and goes back likewise.
 */
static enum edit_status
give_back(const struct edit_file *f, const char *temp, const struct stat *ours, char why[EDIT_WHY])
{
	struct stat in = *ours, next;
	int error = EBUSY;

	for (int tries = 0; tries < 10; tries++) {
		if (fstatat(f->dir, temp, &next, AT_SYMLINK_NOFOLLOW) == -1 ||
		    renameat2(f->dir, temp, f->dir, f->base, RENAME_EXCHANGE) == -1) {
			error = errno;
			break;
		}
		if (is_file(f, temp, &in))
			return changed_meanwhile(f, why);
		in = next;
	}
	/* keep what is somebody's work under a name that no writer sweeps away */
	(void)renameat(f->dir, temp, f->dir, temp + 1);
	return failed(error, why, "%s was changed by another program at the same time; "
	    "its text is kept beside it as %s", f->path, temp + 1);
}

/* *ours: the new file, as it was before it got its place. */
static enum edit_status
put_in_place(const struct edit_file *f, const char *temp, int fd, struct stat *ours,
    char why[EDIT_WHY])
{
	if (fstat(fd, ours) == -1)
		return failed(errno, why, "the new file beside %s cannot be examined", f->path);
	if (!in_place(f) || !unchanged(f, false))
		return changed_meanwhile(f, why);
	if (renameat2(f->dir, temp, f->dir, f->base, RENAME_EXCHANGE) == 0) {
		if (is_file(f, temp, &f->st) && unchanged(f, true))
			return EDIT_OK;
		return give_back(f, temp, ours, why);
	}
	if (errno == ENOENT)		/* an editor that deletes before it writes */
		return changed_meanwhile(f, why);
	if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
		return failed(errno, why, "%s cannot be replaced", f->path);
	if (renameat(f->dir, temp, f->dir, f->base) == -1)
		return failed(errno, why, "%s cannot be replaced", f->path);
	return EDIT_OK;
}

/*
 * The identity of the new file.  Its renaming gave it another ctime; if more is
 * another, somebody has written to it since, and the text is not ours any more:
 * then what it was before, which is no file's now.
 */
static void
identify(int fd, const struct stat *ours, struct file_id *after)
{
	struct stat now;

	if (fstat(fd, &now) == -1 || now.st_size != ours->st_size ||
	    !same_time(&now.st_mtim, &ours->st_mtim))
		now = *ours;
	file_identity(&now, after);
}

/*
 * The new file is what every reader finds by now, and its text is on the disk:
 * the change is made, and only a crash could undo it.  To put the old text back
 * would take another rename, whose folder could be synced no better, and mail may
 * have been decided by the new one.  So this is a warning, in why; else "".
 */
static void
sync_folder(const struct edit_file *f, char why[EDIT_WHY])
{
	why[0] = '\0';
	/* some file systems cannot sync a folder and need not */
	if (fsync(f->dir) == -1 && errno != EINVAL)
		(void)snprintf(why, EDIT_WHY, "%s is changed, but a crash of the machine may undo "
		    "that: its folder cannot be written to the disk: %s; see to the disk",
		    f->path, strerror(errno));
}

enum edit_status
edit_file_replace(struct edit_file *f, const char *text, size_t len,
    struct file_id *after, char why[EDIT_WHY])
{
	enum edit_status status;
	struct stat ours;
	char *temp = NULL;
	int fd;

	if ((status = check_writable(f, why)) != EDIT_OK)
		return status;
	if ((fd = edit_temp(f, &temp)) == -1) {
		status = failed(errno, why, "no file can be made beside %s", f->path);
		free(temp);
		return status;
	}
	status = fill_temp(f, fd, text, len, why);
	if (status == EDIT_OK)
		status = put_in_place(f, temp, fd, &ours, why);
	/* the old file, or the new one that is of no use; after rename(2) there is none */
	(void)unlinkat(f->dir, temp, 0);
	if (status == EDIT_OK) {
		sync_folder(f, why);
		identify(fd, &ours, after);
	}
	(void)close(fd);
	free(temp);
	return status;
}
