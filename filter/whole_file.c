/* See whole_file.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "whole_file.h"

static const char *
trouble(int e)
{
	switch (e) {
	case ENOENT:
		return "there is no such file; check the path";
	case EACCES:
	case EPERM:
		return "permission denied; let this user read the file and search its folders";
	case ELOOP:
		return "is a loop of symbolic links; make the link point to the file";
	case ENAMETOOLONG:
		return "the path is too long";
	default:
		return strerror(e);
	}
}

int
whole_file_open(const char *path, size_t max, struct stat *st, char *why, size_t whysize)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd == -1 || fstat(fd, st) == -1)
		snprintf(why, whysize, "%s", trouble(errno));
	else if (!S_ISREG(st->st_mode))
		snprintf(why, whysize, "is %s; name the file",
		    S_ISDIR(st->st_mode) ? "a directory" : "no regular file");
	else if (st->st_size <= 0)
		snprintf(why, whysize, "is empty");
	else if ((uintmax_t)st->st_size > max)
		snprintf(why, whysize, "has %jd octets, more than the %zu that are read of such a file",
		    (intmax_t)st->st_size, max);
	else
		return fd;
	if (fd != -1)
		close(fd);
	return -1;
}

bool
whole_file_read(int fd, const struct stat *st, void *buf, char *why, size_t whysize)
{
	size_t have = 0, size = (size_t)st->st_size;
	ssize_t n = 0;

	while (have < size) {
		n = read(fd, (char *)buf + have, size - have);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	if (n == -1)
		snprintf(why, whysize, "%s", trouble(errno));
	else if (have < size)
		snprintf(why, whysize, "has become shorter while it was read; try again");
	close(fd);
	return have == size;
}
