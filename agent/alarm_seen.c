#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "alarm_file.h"
#include "alarm_seen.h"
#include "read.h"

static bool
copy(int from, FILE *to)
{
	char buf[65536];
	ssize_t n;

	while ((n = read(from, buf, sizeof(buf))) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 || fwrite(buf, 1, (size_t)n, to) != (size_t)n)
			return false;
	}
	return true;
}

bool
seen_save(const char *seen, const char *ini, const struct file_id *id)
{
	struct alarm_file f = { .to = NULL };
	struct file_id now;
	int saved, fd = open(ini, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool good = false;

	if (fd == -1)
		return false;
	if (!alarm_file_open(&f, seen)) {
		f.to = NULL;
		goto out;
	}
	/* No more readable than the INI may be. */
	good = fchmod(fileno(f.to), 0600) == 0 && copy(fd, f.to);
	errno = good ? 0 : errno;
	if (good && file_identify(ini, &now) && file_id_equal(&now, id))
		good = alarm_file_close(&f);
	else {
		saved = errno;
		fclose(f.to);
		unlink(f.temp);
		errno = saved;
		good = false;
	}
out:
	saved = errno;
	close(fd);
	errno = saved;
	return good;
}

struct held *
seen_load(const char *seen)
{
	struct hold hold;
	struct held *held = NULL;

	hold_init(&hold, seen);
	if (hold_refresh(&hold, NULL))
		held = hold_ref(&hold);
	hold_free(&hold);
	return held;
}
