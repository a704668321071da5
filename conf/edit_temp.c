#include <sys/file.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "edit_file.h"

#define STALE_S 60		/* a temporary file as old as that, and unlocked, is a dead writer's */
#define TEMP_MARK ".tlsward-"	/* .BASE.tlsward-XXXXXX */

/* Temporary files of writers that were killed: a living one has its file locked. */
static void
sweep(const struct edit_file *f, const char *prefix)
{
	int fd = openat(f->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd != -1 ? fdopendir(fd) : NULL;
	struct dirent *e;
	struct timespec now = { 0 };
	struct stat st;
	int temp;

	if (d == NULL) {
		if (fd != -1)
			(void)close(fd);
		return;
	}
	(void)clock_gettime(CLOCK_REALTIME, &now);
	while ((e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, prefix, strlen(prefix)) != 0)
			continue;
		temp = openat(f->dir, e->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (temp == -1)
			continue;
		if (fstat(temp, &st) == 0 && S_ISREG(st.st_mode) &&
		    now.tv_sec - st.st_ctim.tv_sec > STALE_S &&
		    flock(temp, LOCK_EX | LOCK_NB) == 0)
			(void)unlinkat(f->dir, e->d_name, 0);
		(void)close(temp);
	}
	(void)closedir(d);
}

int
edit_temp(const struct edit_file *f, char **name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	size_t prefix = strlen(f->base) + sizeof("." TEMP_MARK) - 1;
	struct timespec ts;
	uint64_t r;
	int fd = -1;

	if ((*name = calloc(prefix + 9, 1)) == NULL)
		return -1;
	(void)snprintf(*name, prefix + 1, ".%s" TEMP_MARK, f->base);
	sweep(f, *name);
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	/* nobody can plant anything under the name: O_EXCL, and it need not be secret */
	r = (uint64_t)ts.tv_nsec * 0x9e3779b97f4a7c15u + (uint64_t)getpid();
	for (int tries = 0; tries < 100; tries++) {
		r = r * 6364136223846793005u + 1442695040888963407u;
		for (unsigned i = 0; i < 8; i++)
			(*name)[prefix + i] = letters[r >> (24 + 5 * i) & 31];
		fd = openat(f->dir, *name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd != -1 || errno != EEXIST)
			break;
	}
	if (fd != -1 && flock(fd, LOCK_EX | LOCK_NB) == -1) {
		int error = errno;

		(void)unlinkat(f->dir, *name, 0);
		(void)close(fd);
		errno = error;
		fd = -1;
	}
	return fd;
}
