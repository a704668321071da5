#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "problem.h"
#include "read.h"
#include "reader.h"

#define FILE_MAX (256u << 20)	/* octets: a file of a million domains has a quarter */
#define TRIES 5			/* of reading a file that somebody is writing */
#define PIECE (size_t)(64 << 10)	/* octets read at a time */

/* ---- the text, piece by piece ---- */

uint64_t
digest_start(uint64_t len)
{
	return 0x9e3779b97f4a7c15u ^ len;
}

uint64_t
digest_more(uint64_t h, const char *text, size_t len)
{
	uint64_t v;
	size_t n;

	for (; len > 0; text += n, len -= n) {
		n = len < sizeof(v) ? len : sizeof(v);
		v = 0;
		memcpy(&v, text, n);
		h = (h ^ v) * 0xff51afd7ed558ccdu;
		h ^= h >> 29;
	}
	return h;
}

uint64_t
digest_end(uint64_t h)
{
	return h ^ h >> 32;
}

/* Fills the buffer up behind what is in it: whole blocks, but for the file's last. */
static void
fill(struct source *s)
{
	size_t room = (s->size - s->len) & ~(size_t)7, got = 0;
	ssize_t n;

	while (got < room) {
		n = pread(s->fd, s->buf + s->len + got, room - got, (off_t)(s->total + got));
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			s->error = errno;
		s->end = n <= 0;
		if (s->end)
			break;
		got += (size_t)n;
	}
	s->digest = digest_more(s->digest, s->buf + s->len, got);
	s->len += got;
	s->total += got;
	if (s->error == 0 && s->total > s->expect)
		s->error = EAGAIN;
}

bool
source_more(struct source *s, const char **next, const char **end)
{
	size_t left = *next != NULL ? (size_t)(*end - *next) : 0;
	char *buf;

	if (s->end || s->error != 0)
		return false;
	if (left > 0)
		memmove(s->buf, *next, left);
	s->len = left;
	if (s->size - left < PIECE / 2) {
		if ((buf = realloc(s->buf, s->size * 2 + PIECE)) == NULL) {
			s->error = ENOMEM;
			return false;
		}
		s->buf = buf;
		s->size = s->size * 2 + PIECE;
	}
	fill(s);
	*next = s->buf;
	*end = s->buf + s->len;
	return s->len > left;
}

/* ---- the file ---- */

/* errno of a file that is not to be read, or 0. */
static int
unfit(const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return S_ISDIR(st->st_mode) ? EISDIR : EINVAL;
	return st->st_size > (off_t)FILE_MAX ? EFBIG : 0;
}

/*
 * Parses what fd is open on; what is wrong with its text is in ps.  0, or an
 * errno: then nothing is told.  EAGAIN: it changed while it was read.
 */
static int
parse_open(int fd, const char *path, bool warn, struct problems *ps, struct settings **s)
{
	struct source source = { .fd = fd };
	struct file_id id, after;
	struct stat st;
	int error;

	*s = NULL;
	if (fstat(fd, &st) == -1)
		return errno;
	if ((error = unfit(&st)) != 0)
		return error;
	file_identity(&st, &id);
	source.expect = id.size;
	source.digest = digest_start(id.size);
	*s = reader_parse(NULL, (size_t)id.size, &source, path, &id, warn, ps);
	error = source.error;
	if (error == 0 && fstat(fd, &st) == -1)
		error = errno;
	file_identity(&st, &after);
	if (error == 0 && (source.total < id.size || !file_id_equal(&id, &after)))
		error = EAGAIN;
	free(source.buf);
	return error;
}

static const char *
remedy(int error)
{
	switch (error) {
	case ENOENT:
		return "`tlsward setup` makes a first one; or name another";
	case EACCES:
		return "let the user that runs this read it, and enter its folders";
	case EISDIR:
	case EINVAL:
		return "it must be a regular file";
	case EFBIG:
		return "at most 256 MiB are taken";
	case EAGAIN:
		return "it changes while it is read; try again";
	default:
		return "see to it and try again";
	}
}

static void
tell_trouble(int error, const char *path, read_report *report, void *arg)
{
	char why[256];

	(void)snprintf(why, sizeof(why), "cannot be read: %s; %s",
	    error == EINVAL ? "Not a file" : strerror(error), remedy(error));
	if (report != NULL)
		report(arg, SEV_ERROR, path, 0, why);
}

/* all: of the problems. */
static struct settings *
read_file(const char *path, bool warn, bool all, read_report *report, void *arg)
{
	struct problems *ps = calloc(1, sizeof(*ps));
	struct settings *s = NULL;
	int fd, error = ENOMEM, tries;

	/* O_NONBLOCK: a FIFO at the path must not hold us up. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1)
		error = errno;
	for (tries = 0; fd != -1 && ps != NULL && tries < TRIES; tries++) {
		ps->all = all;
		if ((error = parse_open(fd, path, warn, ps, &s)) == 0)
			break;
		settings_free(s);
		s = NULL;
		(void)problems_tell(ps, path, NULL, NULL);
		memset(ps, 0, sizeof(*ps));
		if (error != EAGAIN)
			break;
	}
	if (fd != -1)
		(void)close(fd);
	if (error != 0)
		tell_trouble(error, path, report, arg);
	else if (!problems_tell(ps, path, report, arg)) {
		settings_free(s);
		s = NULL;
	}
	free(ps);
	return s;
}

struct settings *
settings_read(const char *path, bool warn, read_report *report, void *arg)
{
	return read_file(path, warn, false, report, arg);
}

struct settings *
settings_read_all(const char *path, read_report *report, void *arg)
{
	return read_file(path, true, true, report, arg);
}
