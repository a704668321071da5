#include <sys/mman.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "append.h"
#include "compiled.h"
#include "compiled_int.h"
#include "image.h"

bool
compiled_place(const char *ini, const char *folder, enum compiled_place place,
    char out[COMPILED_NAME])
{
	const char *slash = strrchr(ini, '/'), *base = slash != NULL ? slash + 1 : ini, *p;
	const char *end = out + COMPILED_NAME - sizeof(".new");
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

/* Can only the INI's owner or we have written what is in there? */
static bool
trusted(const struct stat *st, const struct stat *ini)
{
	return S_ISREG(st->st_mode) && st->st_nlink <= 1 &&
	    (st->st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
	    (st->st_uid == ini->st_uid || st->st_uid == geteuid());
}

static bool
read_all(int fd, void *to, size_t len)
{
	char *p = to;
	size_t got = 0;
	ssize_t n;

	while (got < len) {
		n = pread(fd, p + got, len - got, (off_t)got);
		if (n == 0 || (n == -1 && errno != EINTR))
			return false;
		if (n > 0)
			got += (size_t)n;
	}
	return true;
}

/* One of another INI, or of an older one, is unmapped again: that costs no more than a look. */
static struct settings *
adopt_map(int fd, size_t len, const struct file_id *ini)
{
	void *p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	struct settings *s = NULL;

	if (p == MAP_FAILED)
		return NULL;
	if (file_id_equal(&((const struct image *)p)->id, ini))
		s = settings_adopt_map(p, len);
	if (s == NULL)
		(void)munmap(p, len);
	return s;
}

/* One of another INI is large, too: its head says so. */
static struct settings *
adopt_copy(int fd, size_t len, const struct file_id *ini)
{
	struct settings *s = NULL;
	struct image head;
	void *p;

	if (!read_all(fd, &head, sizeof(head)) || !file_id_equal(&head.id, ini) ||
	    head.length < sizeof(head) || head.length > len ||
	    (p = malloc((size_t)head.length)) == NULL)
		return NULL;
	if (read_all(fd, p, (size_t)head.length))
		s = settings_adopt(p, (size_t)head.length);
	if (s == NULL)
		free(p);
	return s;
}

static struct settings *
open_place(const char *file, const char *ini, const struct stat *st, bool map)
{
	struct settings *s = NULL;
	struct file_id id;
	struct stat c;
	int fd = open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd == -1)
		return NULL;
	file_identity(st, &id);
	if (fstat(fd, &c) == 0 && trusted(&c, st) && c.st_size >= (off_t)sizeof(struct image) &&
	    c.st_size <= (off_t)UINT32_MAX)
		s = (map ? adopt_map : adopt_copy)(fd, (size_t)c.st_size, &id);
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
	char file[COMPILED_NAME];
	struct stat st;

	if (stat(path, &st) == -1 || !S_ISREG(st.st_mode) || !compiled_worth(c, (uint64_t)st.st_size))
		return NULL;
	for (int place = 0; place < PLACES && s == NULL; place++)
		if (compiled_place(path, c->folder, (enum compiled_place)place, file))
			s = open_place(file, path, &st, c->map);
	return s;
}

int64_t
compiled_settle_ms(const struct file_id *id)
{
	return COMPILED_SETTLE_MS + (id->ctime_ns == 0 ? 1000 : 0);
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
