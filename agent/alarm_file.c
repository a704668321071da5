#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "alarm_file.h"

bool
alarm_file_open(struct alarm_file *f, const char *path)
{
	int fd, n = snprintf(f->temp, sizeof(f->temp), "%s.new", path);

	f->path = path;
	if (n < 0 || (size_t)n >= sizeof(f->temp)) {
		errno = ENAMETOOLONG;
		return false;
	}
	/* What a predecessor left half done is of no use; one agent has the folder. */
	if (unlink(f->temp) == -1 && errno != ENOENT)
		return false;
	fd = open(f->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd == -1)
		return false;
	if ((f->to = fdopen(fd, "w")) == NULL) {
		close(fd);
		unlink(f->temp);
		return false;
	}
	return true;
}

bool
alarm_file_close(struct alarm_file *f)
{
	bool good = fflush(f->to) == 0 && !ferror(f->to) && fsync(fileno(f->to)) == 0;
	int saved = errno;

	if (fclose(f->to) != 0 && good) {
		saved = errno;
		good = false;
	}
	if (good && rename(f->temp, f->path) == -1) {
		saved = errno;
		good = false;
	}
	if (!good)
		unlink(f->temp);
	errno = saved;
	return good;
}
