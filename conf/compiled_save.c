/* Making a compiled form; see compiled.h. */
#include <sys/stat.h>
#include <sys/uio.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "append.h"
#include "compiled.h"
#include "compiled_int.h"
#include "image.h"
#include "reader.h"

#define PIECE (2u << 20)
#define STALE_S 60		/* what is being made for so long will not be finished */

static int64_t
ms_since(int64_t s, int64_t ns)
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME, &now) == -1)
		return 0;
	return ((int64_t)now.tv_sec - s) * 1000 + (now.tv_nsec - ns) / 1000000;
}

/* Does the INI at path still say what these settings do, and would a change show? */
static bool
settled(const struct settings *s, const struct compiled *c, const char *path, struct stat *st)
{
	const struct file_id *id = settings_id(s);
	struct source source = { .expect = id->size, .digest = digest_start(id->size) };
	const char *next = NULL, *end = NULL;
	struct file_id now;

	if (!compiled_worth(c, id->size) ||
	    ms_since(id->ctime_s, id->ctime_ns) < compiled_settle_ms(id))
		return false;
	source.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (source.fd == -1)
		return false;
	while (source_more(&source, &next, &end))
		next = end;
	free(source.buf);
	if (fstat(source.fd, st) == -1)
		source.error = errno;
	(void)close(source.fd);
	file_identity(st, &now);
	return source.error == 0 && source.total == id->size && file_id_equal(&now, id) &&
	    digest_end(source.digest) == settings_generation(s);
}

/* Who may read the INI may read this, and whoever trusts its owner trusts this. */
static bool
give_away(int fd, const struct stat *ini, enum compiled_place place)
{
	struct stat st;
	mode_t mode = S_IRUSR | S_IWUSR;

	if (fstat(fd, &st) == -1)
		return false;
	if (place == BESIDE) {
		if ((st.st_uid != ini->st_uid || st.st_gid != ini->st_gid) &&
		    fchown(fd, ini->st_uid, ini->st_gid) == -1 && st.st_uid != ini->st_uid)
			return false;
		if (fstat(fd, &st) == -1)
			return false;
		mode |= ini->st_mode & S_IROTH;
		if (st.st_gid == ini->st_gid)
			mode |= ini->st_mode & S_IRGRP;
	}
	return fchmod(fd, mode) == 0;
}

static bool
write_parts(int fd, struct iovec *part, int n)
{
	ssize_t done;

	while (n > 0) {
		done = writev(fd, part, n);
		if (done == -1 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		for (; n > 0 && (size_t)done >= part->iov_len; part++, n--)
			done -= (ssize_t)part->iov_len;
		if (n > 0) {
			part->iov_base = (char *)part->iov_base + done;
			part->iov_len -= (size_t)done;
		}
	}
	return true;
}

/*
 * How many NULs to put behind an image.  What is mapped is found page by page, unless
 * it lies in memory in whole pieces of a page table: then 2 MiB at a time cost less than
 * a page.  Linux may keep a file so that was written at once (with 6.18 and ext4 the
 * first look into such a piece takes 1.2 us, and 4.3 us into a smaller one).  The octet
 * beyond the pieces is for settings_adopt_map().
 */
static size_t
padding(size_t len)
{
	return len < PIECE / 4 ? 0 : PIECE - len % PIECE + 1;
}

static bool
write_image(int fd, const struct settings *s)
{
	struct image head = s->head;
	const char *behind = s->base + sizeof(head);
	const size_t more = padding((size_t)head.length);
	char *nuls = more > 0 ? calloc(more, 1) : NULL;
	struct iovec part[4] = {
		{ &head, sizeof(head) },
		{ (void *)(uintptr_t)behind, s->head.pool - sizeof(head) },
		{ (void *)(uintptr_t)s->pool, s->head.pool_len },
		{ nuls, more }
	};
	bool done;

	if (nuls == NULL)
		part[3].iov_len = 0;
	/* Without fdatasync a crash may leave the name with nothing behind it. */
	done = write_parts(fd, part, 4) && fdatasync(fd) == 0;
	free(nuls);
	return done;
}

/*
 * The file under a name that one process at a time has; -1: another is at it,
 * or we may not.
 */
static int
make_temp(const char *temp)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	struct stat st;
	int fd = open(temp, flags, 0600);

	if (fd == -1 && errno == EEXIST && lstat(temp, &st) == 0 &&
	    ms_since(st.st_mtim.tv_sec, st.st_mtim.tv_nsec) / 1000 > STALE_S && unlink(temp) == 0)
		fd = open(temp, flags, 0600);
	return fd;
}

static bool
save_place(const struct settings *s, const char *file, const struct stat *ini, enum compiled_place place)
{
	char temp[COMPILED_NAME];
	bool done;
	int fd;

	if (append(append(temp, temp + sizeof(temp), file), temp + sizeof(temp), ".new") == NULL ||
	    (fd = make_temp(temp)) == -1)
		return false;
	done = give_away(fd, ini, place) && write_image(fd, s);
	done = close(fd) == 0 && done && rename(temp, file) == 0;
	if (!done)
		(void)unlink(temp);
	return done;
}

bool
compiled_save(const struct settings *s, const struct compiled *c)
{
	const char *path = settings_path(s);
	char file[COMPILED_NAME];
	struct stat st;

	if (!settled(s, c, path, &st))
		return false;
	for (int place = 0; place < PLACES; place++)
		if (compiled_place(path, c->folder, (enum compiled_place)place, file) &&
		    save_place(s, file, &st, (enum compiled_place)place))
			return true;
	return false;
}

bool
compiled_save_settled(const struct settings *s, const struct compiled *c)
{
	const struct file_id *id = settings_id(s);
	int64_t wait = compiled_settle_ms(id) + 1 - ms_since(id->ctime_s, id->ctime_ns);
	struct timespec ts;

	if (!compiled_worth(c, id->size) || wait > COMPILED_SETTLE_MS + 1)
		return false;
	if (wait > 0) {
		ts.tv_sec = (time_t)(wait / 1000);
		ts.tv_nsec = (long)(wait % 1000) * 1000000;
		(void)nanosleep(&ts, NULL);
	}
	return compiled_save(s, c);
}
