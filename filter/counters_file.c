/*
 * Making, checking and mapping the file of counters; see counters_file.h.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "append.h"
#include "counters.h"
#include "counters_file.h"

_Static_assert(REASON_MAX <= ROW_REASONS, "a row has room for every reason");

#define MAKE_TRIES	500		/* ms for a new file: it takes a few, of a busy disk more */
#define MAX_ROWS	(1u << 24)

enum found {
	FOUND,			/* open, and mapped for a writer */
	ABSENT,
	BAD,			/* not a file of ours, or a damaged one */
	REFUSED			/* may be fine, but not to be had */
};

struct sentence {
	char *text;
	size_t size;
};

static void say(struct sentence, const char *, ...) __attribute__((format(printf, 2, 3)));

static void
say(struct sentence s, const char *format, ...)
{
	va_list ap;

	if (s.size == 0)
		return;
	va_start(ap, format);
	vsnprintf(s.text, s.size, format, ap);
	va_end(ap);
}

uint64_t
counters_now(void)
{
	struct timespec now;

	return clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0 ? (uint64_t)now.tv_sec : 0;
}

static uint32_t
chunk_of(uint32_t nrows)
{
	return nrows < COUNTERS_CHUNK ? nrows : COUNTERS_CHUNK;
}

static size_t
file_size(uint32_t nrows)
{
	return counters_rows_at(2 * nrows) + (size_t)nrows * ROW_SIZE;
}

/* The folder of a front end's counters, and then c->path is set; or -1. */
static int
open_folder(struct counters *c, const char *state_dir, const char *frontend,
    struct stat *st, struct sentence why)
{
	const char *end = c->path + sizeof(c->path), *most = end - sizeof(COUNTERS_NAME);
	const char *path = c->path;
	char *o = append(append(append(c->path, most, state_dir), most, "/"), most, frontend);
	int fd;

	if (o == NULL) {
		say(why, "%.64s...: the path of state_dir is too long; no counters are kept",
		    state_dir);
		return -1;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 || fstat(fd, st) == -1) {
		say(why, errno == EACCES ? "%s: %s; state_dir and the folders above it must let "
		    "this user through (chmod o+x)" :
		    "%s: %s; `tlsward setup` makes this folder for its server's user",
		    path, strerror(errno));
		goto fail;
	}
	if ((st->st_mode & S_IWOTH) != 0) {
		say(why, "%s: is writable by everybody, its counters are not to be "
		    "trusted; chmod 755 it", path);
		goto fail;
	}
	if (c->writer && st->st_uid != geteuid() && st->st_uid != 0) {
		say(why, "%s: belongs to user %lu and this is user %lu; `tlsward setup` "
		    "gives it to its server's user", path, (unsigned long)st->st_uid,
		    (unsigned long)geteuid());
		goto fail;
	}
	(void)append(o, end, "/" COUNTERS_NAME);
	return fd;
fail:
	if (fd != -1)
		close(fd);
	return -1;
}

/* NULL if this program can work with the header in a file of that size, else what is wrong. */
static const char *
header_fault(const struct header *h, off_t size)
{
	uint32_t next, ready;

	if (memcmp(h->magic, COUNTERS_MAGIC, sizeof(h->magic)) != 0)
		return "is not a file of counters";
	if (h->mark != COUNTERS_MARK)
		return "comes from a machine of another byte order";
	if (h->version != COUNTERS_VERSION || h->row_size != ROW_SIZE)
		return "has the layout of another version";
	if (h->nrows < 2 || h->nrows > MAX_ROWS || (h->nrows & (h->nrows - 1)) != 0 ||
	    h->nbuckets != 2 * h->nrows || h->size != file_size(h->nrows))
		return "has a damaged header";
	if ((uint64_t)size != h->size)
		return "has the wrong length";
	next = atomic_load(&h->next);
	ready = atomic_load(&h->ready);
	if (next < 1 || next > ready || ready > h->nrows || ready % chunk_of(h->nrows) != 0)
		return "has a damaged header";
	return NULL;
}

static void
unmap(struct counters *c)
{
	if (c->head != NULL)
		munmap(c->head, c->size);
	if (c->fd != -1)
		close(c->fd);
	c->head = NULL;
	c->fd = -1;
}

/*
 * A restored or copied file may have holes where the original had space; to
 * write to a hole of a full disk is a SIGBUS.
 */
static int
fill_holes(const struct counters *c, const struct stat *st, uint32_t ready)
{
	size_t end = counters_space_end(c->nbuckets, ready);

	if ((uint64_t)st->st_blocks * 512 >= end)
		return 0;
	return fallocate(c->fd, 0, 0, (off_t)end) == 0 || errno == EOPNOTSUPP ? 0 : errno;
}

/* Opens the file if it is one that may be trusted, as a plain file goes. */
static enum found
open_plain(struct counters *c, const struct stat *folder, struct stat *st, struct sentence why)
{
	int error;

	c->fd = openat(c->dir, COUNTERS_NAME, (c->writer ? O_RDWR : O_RDONLY) |
	    O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (c->fd == -1) {
		error = errno;
		if (error == ENOENT)
			say(why, "%s: no mail has been counted yet", c->path);
		else
			say(why, "%s: %s; it must be a plain file of its server's user, mode 644",
			    c->path, strerror(error));
		return error == ENOENT ? ABSENT :
		    error == ELOOP || error == EISDIR || error == ENXIO ? BAD : REFUSED;
	}
	if (fstat(c->fd, st) == -1 || !S_ISREG(st->st_mode)) {
		say(why, "%s: is not a plain file", c->path);
		return BAD;
	}
	if (st->st_uid != folder->st_uid && st->st_uid != geteuid() && st->st_uid != 0) {
		say(why, "%s: belongs to user %lu, who is neither its folder's owner nor root",
		    c->path, (unsigned long)st->st_uid);
		return BAD;
	}
	if (st->st_size < (off_t)COUNTERS_PAGE) {
		say(why, "%s: is not a file of counters", c->path);
		return BAD;
	}
	return FOUND;
}

/* For a writer.  Nothing of it is touched yet.  False, and said why. */
static bool
map(struct counters *c, const struct stat *st, uint32_t ready, struct sentence why)
{
	char *p = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	int error;

	if (p == MAP_FAILED) {
		say(why, "%s: cannot be mapped: %s", c->path, strerror(errno));
		return false;
	}
	c->head = (struct header *)(void *)p;
	c->recent = (struct slot *)(void *)(p + COUNTERS_RECENT_AT);
	c->index = (struct bucket *)(void *)(p + COUNTERS_INDEX_AT);
	c->rows = p + counters_rows_at(c->nbuckets);
	if ((error = fill_holes(c, st, ready)) == 0)
		return true;
	say(why, "%s: %s; no counters are kept until there is space", c->path, strerror(error));
	return false;
}

/* Opens the file that is there. */
static enum found
find(struct counters *c, const struct stat *folder, struct sentence why)
{
	enum found found;
	const char *fault = "has lost its beginning";
	struct header h;
	struct stat st;

	if ((found = open_plain(c, folder, &st, why)) != FOUND)
		goto out;
	found = BAD;
	if (!counters_read(c, &h, sizeof(h), 0) ||
	    (fault = header_fault(&h, st.st_size)) != NULL) {
		say(why, "%s: %s%s", c->path, fault, c->writer ? "" :
		    "; its server sets it aside when it next opens it, and begins anew");
		goto out;
	}
	c->size = (size_t)st.st_size;
	c->made = h.made;
	c->nrows = h.nrows;
	c->nbuckets = h.nbuckets;
	c->chunk = chunk_of(c->nrows);
	c->dev = st.st_dev;
	c->ino = st.st_ino;
	found = !c->writer || map(c, &st, atomic_load(&h.ready), why) ? FOUND : REFUSED;
out:
	if (found != FOUND)
		unmap(c);
	return found;
}

/* An empty file of counters at the path, all there or not at all.  0 or an errno. */
static int
make(struct counters *c, uint32_t nrows)
{
	struct header h = {
		.magic = COUNTERS_MAGIC, .version = COUNTERS_VERSION, .mark = COUNTERS_MARK,
		.nbuckets = 2 * nrows, .nrows = nrows, .row_size = ROW_SIZE,
		.size = file_size(nrows), .made = counters_now(),
	};
	uint32_t ready = chunk_of(nrows);
	char temp[64];
	int fd, error = 0;

	atomic_init(&h.next, 1);
	atomic_init(&h.ready, ready);
	snprintf(temp, sizeof(temp), "." COUNTERS_NAME ".%ld.new", (long)getpid());
	unlinkat(c->dir, temp, 0);	/* of a process with our number that was killed here */
	fd = openat(c->dir, temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd == -1)
		return errno;
	if (fchmod(fd, 0644) == -1 || ftruncate(fd, (off_t)h.size) == -1)
		error = errno;
	if (error == 0)
		error = counters_reserve(c, fd, 0, counters_space_end(h.nbuckets, ready));
	if (error == 0 && pwrite(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h))
		error = ENOSPC;
	if (error == 0 && fsync(fd) == -1)
		error = errno;
	if (close(fd) == -1 && error == 0)
		error = errno;
	if (error == 0 && renameat(c->dir, temp, c->dir, COUNTERS_NAME) == -1)
		error = errno;
	if (error != 0)
		unlinkat(c->dir, temp, 0);
	return error;
}

/*
 * One process makes the file or sets one aside, the others wait for it.  The lock
 * is a file's that nobody else can open, and lasts until that is closed; -1: no
 * lock, errno says why.
 */
static int
lock_folder(const struct counters *c)
{
	int fd = openat(c->dir, ".lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	int error;

	if (fd == -1 || (error = counters_lock(fd, MAKE_TRIES)) == 0)
		return fd;
	close(fd);
	errno = error;
	return -1;
}

/*
 * Moves what is in the way to NAME.bad-TIME; `why` has what is wrong with it and
 * goes on with what was done.
 */
static bool
set_aside(const struct counters *c, struct sentence why)
{
	char aside[64];
	size_t n = strnlen(why.text, why.size);
	struct sentence rest = { why.text + n, why.size - n };

	snprintf(aside, sizeof(aside), COUNTERS_NAME ".bad-%llu", (unsigned long long)counters_now());
	if (renameat(c->dir, COUNTERS_NAME, c->dir, aside) == -1) {
		say(rest, " and cannot be set aside: %s; no counters are kept until it is removed",
		    strerror(errno));
		return false;
	}
	say(rest, "; set aside as %s, counting starts again from 0", aside);
	return true;
}

/*
 * One more process counts into the file, which is what its path says now.  To
 * write before anything is read spares a page fault.
 */
static void
begin(struct counters *c)
{
	uint64_t now = counters_now();

	c->looked = now;
	c->young = COUNTERS_YOUNG;
	atomic_fetch_add(&c->head->starts, 1);
	atomic_store(&c->head->last_start, now);
	counters_alive(c, now);
}

/* Opens the file, making it first where that is a writer's to do. */
static bool
attach(struct counters *c, const struct stat *folder, uint32_t nrows, struct sentence why)
{
	enum found found = find(c, folder, why);
	bool aside = false;
	int error, lock;

	if (found == FOUND || !c->writer || found == REFUSED)
		goto done;
	if ((lock = lock_folder(c)) == -1) {
		say(why, "%s: cannot be made: %s; no counters are kept", c->path,
		    errno == EAGAIN ? "another process has been at it for too long" :
		    strerror(errno));
		return false;
	}
	/* Somebody may have done it before we had the lock. */
	found = find(c, folder, why);
	if (found == BAD && (aside = set_aside(c, why)))
		found = ABSENT;
	if (found == ABSENT) {
		if ((error = make(c, nrows)) == 0)
			found = find(c, folder, aside ? (struct sentence){ 0 } : why);
		else
			say(why, "%s: cannot be made: %s; no counters are kept", c->path,
			    strerror(error));
	}
	close(lock);
done:
	if (found == FOUND && !aside && why.size > 0)
		why.text[0] = '\0';
	if (found == FOUND && c->writer)
		begin(c);
	return found == FOUND;
}

struct counters *
counters_open_rows(const char *state_dir, const char *frontend, bool writer,
    uint32_t rows, char *whytext, size_t whysize)
{
	struct sentence why = { whytext, whysize };
	struct counters *c;
	struct stat folder;

	if (whysize > 0)
		whytext[0] = '\0';
	if ((c = calloc(1, sizeof(*c))) == NULL) {
		say(why, "out of memory; no counters are kept");
		return NULL;
	}
	c->writer = writer;
	c->fd = -1;
	c->dir = open_folder(c, state_dir, frontend, &folder, why);
	if (c->dir == -1)
		goto fail;
	if (attach(c, &folder, rows, why))
		return c;
fail:
	counters_close(c);
	return NULL;
}

void
counters_close(struct counters *c)
{
	if (c == NULL)
		return;
	unmap(c);
	if (c->dir != -1)
		close(c->dir);
	free(c->known);
	free(c);
}

bool
counters_replaced(const struct counters *c)
{
	struct stat st;

	if (fstatat(c->dir, COUNTERS_NAME, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT;
	return st.st_dev != c->dev || st.st_ino != c->ino || st.st_size != (off_t)c->size;
}

void
counters_reopen(struct counters *c)
{
	struct counters new = *c;
	struct sentence why = { new.replaced, sizeof(new.replaced) };
	struct stat folder, st;

	new.head = NULL;
	new.fd = -1;
	new.spare = 0;
	new.cut = false;
	say(why, "%s", "");
	if (fstat(c->dir, &folder) == 0 && attach(&new, &folder, c->nrows, why)) {
		unmap(c);
		*c = new;
		counters_forget(c);
		return;
	}
	if (!c->cut)
		memcpy(c->replaced, new.replaced, sizeof(c->replaced));
	c->cut = fstat(c->fd, &st) == -1 || st.st_size < (off_t)c->size;
}

