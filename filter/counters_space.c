/*
 * Space on the disk for the file of counters, before anybody touches it; see
 * counters_file.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "counters_file.h"

#define GROW_TRIES	20		/* ms for a chunk of rows */

/* End of what must have space when `ready` rows are ready. */
size_t
counters_space_end(uint32_t nbuckets, uint32_t ready)
{
	return counters_rows_at(nbuckets) + (size_t)ready * ROW_SIZE;
}

int
counters_lock(int fd, int tries)
{
	const struct timespec pause = { .tv_nsec = 1000 * 1000 };
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int i;

	for (i = 0; fcntl(fd, F_OFD_SETLK, &lock) == -1; i++) {
		if ((errno != EAGAIN && errno != EACCES) || i == tries)
			return errno;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static void
unlock_file(int fd)
{
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	(void)fcntl(fd, F_OFD_SETLK, &lock);
}

/*
 * Space for [from, to) that the file system guarantees.  0 or an errno.
 *
 * Where it has no fallocate(2), posix_fallocate(3) would rewrite octets that a
 * process may be counting in; so zeros are written here instead, by one process
 * at a time and only where the header says that nobody has been.
 */
int
counters_reserve(const struct counters *c, int fd, size_t from, size_t to)
{
	static const char zeros[COUNTERS_PAGE];
	size_t at, ready_end;
	int error = 0;

	if (fallocate(fd, 0, (off_t)from, (off_t)(to - from)) == 0)
		return 0;
	if (errno != EOPNOTSUPP)
		return errno;
	if ((error = counters_lock(fd, GROW_TRIES)) != 0)
		return error;
	if (c->head != NULL) {
		ready_end = counters_space_end(c->nbuckets, atomic_load(&c->head->ready));
		if (from < ready_end)
			from = ready_end;
	}
	for (at = from; at < to && error == 0; ) {
		size_t n = to - at < sizeof(zeros) ? to - at : sizeof(zeros);
		ssize_t w = pwrite(fd, zeros, n, (off_t)at);

		if (w > 0)
			at += (size_t)w;
		else if (w == 0 || errno != EINTR)
			error = w == 0 ? ENOSPC : errno;
	}
	unlock_file(fd);
	return error;
}

bool
counters_grow(struct counters *c, uint32_t n)
{
	uint32_t ready = atomic_load_explicit(&c->head->ready, memory_order_acquire);
	uint32_t to;

	if (n >= c->nrows)
		return false;
	to = (n & ~(c->chunk - 1)) + c->chunk;
	if (n >= ready && counters_reserve(c, c->fd, counters_space_end(c->nbuckets, ready),
	    counters_space_end(c->nbuckets, to)) != 0)
		return false;
	while (ready < to && !atomic_compare_exchange_weak_explicit(&c->head->ready,
	    &ready, to, memory_order_release, memory_order_acquire))
		;
	return true;
}
