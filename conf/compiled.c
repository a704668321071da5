#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "append.h"
#include "compiled.h"
#include "image.h"
#include "reader.h"

#define STALE_S 60		/* what is being made for so long will not be finished */
#define FILE_SIZE 512		/* of a compiled form's name; who needs more does without */

/* ---- where ---- */

enum place { BESIDE, OWN, PLACES };

/* Where an INI's compiled form is; false: there is no such place, or its name is too long. */
static bool
place_of(const char *ini, const char *folder, enum place place, char out[FILE_SIZE])
{
	const char *slash = strrchr(ini, '/'), *base = slash != NULL ? slash + 1 : ini, *p;
	const char *end = out + FILE_SIZE - sizeof(".new");
	uint64_t h = 0xcbf29ce484222325u;		/* FNV-1a of the path */
	char hash[17] = "", *o;

	if (place == BESIDE) {
		if ((o = append(out, end, ini)) == NULL)
			return false;
		o = append(append(out + (base - ini), end, "."), end, base);
	} else {
		if (folder == NULL || ini[0] != '/')
			return false;
		for (p = ini; *p != '\0'; p++)
			h = (h ^ (unsigned char)*p) * 0x100000001b3u;
		for (int i = 0; i < 16; i++)
			hash[i] = "0123456789abcdef"[h >> (60 - 4 * i) & 15];
		o = append(append(append(out, end, folder), end, "/"), end, hash);
	}
	return append(o, end, ".compiled") != NULL;
}

/* ---- reading ---- */

/* Can only the INI's owner or we have written what is in there? */
static bool
trusted(const struct stat *st, const struct stat *ini)
{
	return S_ISREG(st->st_mode) && st->st_nlink <= 1 &&
	    (st->st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
	    (st->st_uid == ini->st_uid || st->st_uid == geteuid());
}

static void *
copy(int fd, size_t len)
{
	char *p = malloc(len);
	size_t got = 0;
	ssize_t n;

	while (p != NULL && got < len) {
		n = pread(fd, p + got, len - got, (off_t)got);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			free(p);
			return NULL;
		}
		got += (size_t)n;
	}
	return p;
}

/* A stale one is large too: its head says so. */
static bool
made_of(int fd, const struct file_id *ini, struct image *head)
{
	ssize_t n;

	while ((n = pread(fd, head, sizeof(*head), 0)) == -1 && errno == EINTR)
		;
	return n == (ssize_t)sizeof(*head) && file_id_equal(&head->id, ini);
}

static struct settings *
adopt(int fd, size_t len, bool map, const struct image *head)
{
	void *p = map ? mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0) : copy(fd, len);
	struct settings *s;

	if (p == NULL || p == MAP_FAILED)
		return NULL;
	if ((s = map ? settings_adopt_map(p, len, head) : settings_adopt(p, len)) == NULL) {
		if (map)
			(void)munmap(p, len);
		else
			free(p);
	}
	return s;
}

static struct settings *
open_place(const char *file, const char *ini, const struct stat *st, bool map)
{
	struct settings *s = NULL;
	struct file_id id;
	struct image head;
	struct stat c;
	int fd = open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd == -1)
		return NULL;
	file_identity(st, &id);
	if (fstat(fd, &c) == 0 && trusted(&c, st) && c.st_size >= (off_t)sizeof(struct image) &&
	    c.st_size <= (off_t)UINT32_MAX && made_of(fd, &id, &head))
		s = adopt(fd, (size_t)c.st_size, map, &head);
	(void)close(fd);
	if (s != NULL && (!file_id_equal(&id, settings_id(s)) ||
	    (s->path = strdup(ini)) == NULL)) {
		settings_free(s);
		s = NULL;
	}
	return s;
}

struct settings *
compiled_open(const char *path, const struct compiled *c)
{
	struct settings *s = NULL;
	char file[FILE_SIZE];
	struct stat st;

	if (stat(path, &st) == -1 || !S_ISREG(st.st_mode) || st.st_size < (off_t)COMPILED_LEAST)
		return NULL;
	for (int place = 0; place < PLACES && s == NULL; place++)
		if (place_of(path, c->folder, (enum place)place, file))
			s = open_place(file, path, &st, c->map);
	return s;
}

/* ---- writing ---- */

static int64_t
ms_since(int64_t s, int64_t ns)
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME, &now) == -1)
		return 0;
	return ((int64_t)now.tv_sec - s) * 1000 + (now.tv_nsec - ns) / 1000000;
}

int64_t
compiled_settle_ms(const struct file_id *id)
{
	return COMPILED_SETTLE_MS + (id->ctime_ns == 0 ? 1000 : 0);
}

/* Does the INI at path still say what these settings do, and would a change show? */
static bool
settled(const struct settings *s, const char *path, struct stat *st)
{
	const struct file_id *id = settings_id(s);
	struct source source = { .expect = id->size, .digest = digest_start(id->size) };
	const char *next = NULL, *end = NULL;
	struct file_id now;

	if (id->size < COMPILED_LEAST ||
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
give_away(int fd, const struct stat *ini, enum place place)
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

static bool
write_image(int fd, const struct settings *s)
{
	struct image head = s->head;
	const char *behind = s->base + sizeof(head);
	struct iovec part[3] = {
		{ &head, sizeof(head) },
		{ (void *)(uintptr_t)behind, s->head.pool - sizeof(head) },
		{ (void *)(uintptr_t)s->pool, s->head.pool_len }
	};

	/* Without fdatasync a crash may leave the name with nothing behind it. */
	return write_parts(fd, part, 3) && fdatasync(fd) == 0;
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
save_place(const struct settings *s, const char *file, const struct stat *ini, enum place place)
{
	char temp[FILE_SIZE];
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
	char file[FILE_SIZE];
	struct stat st;

	if (!settled(s, path, &st))
		return false;
	for (int place = 0; place < PLACES; place++)
		if (place_of(path, c->folder, (enum place)place, file) &&
		    save_place(s, file, &st, (enum place)place))
			return true;
	return false;
}

bool
compiled_save_settled(const struct settings *s, const struct compiled *c)
{
	const struct file_id *id = settings_id(s);
	int64_t wait = compiled_settle_ms(id) + 1 - ms_since(id->ctime_s, id->ctime_ns);
	struct timespec ts;

	if (id->size < COMPILED_LEAST || wait > COMPILED_SETTLE_MS + 1)
		return false;
	if (wait > 0) {
		ts.tv_sec = (time_t)(wait / 1000);
		ts.tv_nsec = (long)(wait % 1000) * 1000000;
		(void)nanosleep(&ts, NULL);
	}
	return compiled_save(s, c);
}

struct settings *
compiled_read(const char *path, const struct compiled *c, bool *saved, read_report *report,
    void *arg)
{
	struct settings *s = compiled_open(path, c);
	bool there = s != NULL;

	if (s == NULL)
		s = settings_read(path, false, report, arg);
	if (!there && s != NULL && c->save)
		there = compiled_save(s, c);
	if (saved != NULL)
		*saved = there;
	return s;
}
