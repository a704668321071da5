/* See feed.h. */
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "feed.h"

#define ID_DIGITS 16
#define LINE_MAX_LEN 2048	/* a cert-check line is about 150 octets */
#define READS_MAX 256		/* reads a call: a flood of log must not starve the sessions */

/*
 * Session ids are random, so buckets fill evenly; in a full one the oldest
 * entry goes.  8192 entries are far more than the sessions of one second.
 */
#define BUCKETS 1024
#define WAYS 8

struct slot {
	struct feed_entry entry;
	uint64_t age;		/* 0: free; else the number of its arrival */
};

struct inlet {
	int fd;
	dev_t dev;
	ino_t ino;
	char path[4096];
};

struct feed {
	struct inlet in[FEED_FDS];
	char fifo[LINE_MAX_LEN];	/* the FIFO's unfinished line */
	size_t have;
	bool skip;			/* its line is too long: drop up to the next newline */
	uint64_t arrivals;
	struct slot slots[BUCKETS][WAYS];
};

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool
fingerprint(const char *text, size_t len, unsigned char out[32])
{
	if (len != 7 + 64 || strncasecmp(text, "SHA256:", 7) != 0)
		return false;
	for (size_t i = 0; i < 32; i++) {
		int hi = hex(text[7 + 2 * i]), lo = hex(text[8 + 2 * i]);

		if (hi < 0 || lo < 0)
			return false;
		out[i] = (unsigned char)(hi << 4 | lo);
	}
	return true;
}

/* Is the literal next?  Then *p moves behind it. */
static bool
eat(const char **p, const char *end, const char *literal)
{
	size_t n = strlen(literal);

	if ((size_t)(end - *p) < n || memcmp(*p, literal, n) != 0)
		return false;
	*p += n;
	return true;
}

static bool
eat_id(const char **p, const char *end, uint64_t *id)
{
	uint64_t v = 0;

	if (end - *p < ID_DIGITS)
		return false;
	for (int i = 0; i < ID_DIGITS; i++) {
		int d = hex((*p)[i]);

		if (d < 0)
			return false;
		v = v << 4 | (uint64_t)d;
	}
	*p += ID_DIGITS;
	*id = v;
	return true;
}

/* What is up to the next quote, which *p moves behind. */
static const char *
eat_quoted(const char **p, const char *end, size_t *len)
{
	const char *start = *p, *quote = memchr(start, '"', (size_t)(end - start));

	if (quote == NULL)
		return NULL;
	*len = (size_t)(quote - start);
	*p = quote + 1;
	return start;
}

/* Behind the first "smtpd[PID]: "; NULL: the first thing like a tag is another. */
static const char *
behind_tag(const char *line, const char *end)
{
	const char *p = memmem(line, (size_t)(end - line), "]: ", 3), *open = p;

	if (p == NULL)
		return NULL;
	while (open > line && open[-1] >= '0' && open[-1] <= '9')
		open--;
	if (open == p || open - line < 6 || memcmp(open - 6, "smtpd[", 6) != 0)
		return NULL;
	return p + 3;
}

bool
feed_parse(const char *line, size_t len, struct feed_entry *e)
{
	const char *end = line + len, *p = line, *v;
	size_t vlen;

	memset(e, 0, sizeof(*e));
	while (end > line && (end[-1] == '\n' || end[-1] == '\r' || end[-1] == ' ' || end[-1] == '\0'))
		end--;
	while (p < end && *p == ' ')
		p++;
	if (!eat_id(&p, end, &e->session) && ((p = behind_tag(line, end)) == NULL ||
	    !eat_id(&p, end, &e->session)))
		return false;
	if (!eat(&p, end, " smtp cert-check result=\"") || (v = eat_quoted(&p, end, &vlen)) == NULL)
		return false;
	e->verified = vlen == 8 && memcmp(v, "verified", 8) == 0;
	if (p == end)
		return true;
	if (!eat(&p, end, " fingerprint=\"") || (v = eat_quoted(&p, end, &vlen)) == NULL || p != end)
		return false;
	e->has_fingerprint = fingerprint(v, vlen, e->fingerprint);
	return true;
}

static struct slot *
slot_of(const struct feed *f, uint64_t session)
{
	const struct slot *way = f->slots[(session ^ session >> 32) % BUCKETS];

	for (size_t i = 0; i < WAYS; i++)
		if (way[i].age != 0 && way[i].entry.session == session)
			return (struct slot *)(uintptr_t)&way[i];
	return NULL;
}

/* False: the session has one already. */
static bool
keep(struct feed *f, const struct feed_entry *e)
{
	struct slot *way = f->slots[(e->session ^ e->session >> 32) % BUCKETS], *s = &way[0];

	if (slot_of(f, e->session) != NULL)
		return false;
	for (size_t i = 1; i < WAYS && s->age != 0; i++)
		if (way[i].age < s->age)
			s = &way[i];
	s->entry = *e;
	s->age = ++f->arrivals;
	return true;
}

const struct feed_entry *
feed_find(const struct feed *f, uint64_t session)
{
	const struct slot *s = f != NULL ? slot_of(f, session) : NULL;

	return s != NULL ? &s->entry : NULL;
}

void
feed_forget(struct feed *f, uint64_t session)
{
	struct slot *s = f != NULL ? slot_of(f, session) : NULL;

	if (s != NULL)
		s->age = 0;
}

static void
line_in(struct feed *f, const char *line, size_t len,
    void (*got)(void *, const struct feed_entry *), void *arg)
{
	struct feed_entry e;

	if (feed_parse(line, len, &e) && keep(f, &e) && got != NULL)
		got(arg, &e);
}

/* Splits what came through the FIFO into lines. */
static void
fifo_lines(struct feed *f, void (*got)(void *, const struct feed_entry *), void *arg)
{
	char *start = f->fifo, *nl;
	size_t left = f->have;

	while ((nl = memchr(start, '\n', left)) != NULL) {
		if (!f->skip)
			line_in(f, start, (size_t)(nl - start), got, arg);
		f->skip = false;
		left -= (size_t)(nl + 1 - start);
		start = nl + 1;
	}
	if (left == sizeof(f->fifo)) {
		f->skip = true;
		left = 0;
	}
	memmove(f->fifo, start, left);
	f->have = left;
}

void
feed_read(struct feed *f, void (*got)(void *, const struct feed_entry *), void *arg)
{
	char datagram[LINE_MAX_LEN];
	ssize_t n;

	for (int i = 0; f->in[FEED_FIFO].fd >= 0 && i < READS_MAX; i++) {
		n = read(f->in[FEED_FIFO].fd, f->fifo + f->have, sizeof(f->fifo) - f->have);
		if (n <= 0)
			break;
		f->have += (size_t)n;
		fifo_lines(f, got, arg);
	}
	for (int i = 0; f->in[FEED_SOCKET].fd >= 0 && i < READS_MAX; i++) {
		n = recv(f->in[FEED_SOCKET].fd, datagram, sizeof(datagram), MSG_DONTWAIT | MSG_TRUNC);
		if (n < 0)
			break;
		if ((size_t)n <= sizeof(datagram))	/* of a longer one the end is not here */
			line_in(f, datagram, (size_t)n, got, arg);
	}
}

/* Read and write: a FIFO with no writer would else be at its end for ever.  EWOULDBLOCK: somebody reads it. */
static int
fifo_open(const char *path)
{
	struct stat st;
	int fd;

	if (mkfifo(path, 0600) == -1 && errno != EEXIST)
		return -1;
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == -1 || !S_ISFIFO(st.st_mode) || st.st_uid != geteuid()) {
		close(fd);
		errno = EEXIST;
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK) {
		close(fd);
		errno = EWOULDBLOCK;
		return -1;
	}
	return fd;
}

static int
socket_open(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct stat st;
	mode_t mask;
	int fd, rc;

	if (strlen(path) >= sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(sun.sun_path, path, strlen(path) + 1);
	if (lstat(path, &st) == 0 && (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())) {
		errno = EEXIST;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	(void)unlink(path);	/* of an earlier run: a bound name cannot be bound again */
	mask = umask(0177);
	rc = bind(fd, (struct sockaddr *)&sun, sizeof(sun));
	umask(mask);
	if (rc == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
inlet_open(struct inlet *in, const char *dir, const char *name, int (*opener)(const char *))
{
	struct stat st;
	int n = snprintf(in->path, sizeof(in->path), "%s/%s", dir, name);

	errno = ENAMETOOLONG;
	in->fd = n < 0 || (size_t)n >= sizeof(in->path) ? -1 : opener(in->path);
	if (in->fd != -1 && lstat(in->path, &st) == 0) {
		in->dev = st.st_dev;
		in->ino = st.st_ino;
	}
}

static void
inlet_why(const struct inlet *in, char *why, size_t whysize)
{
	if (errno == EWOULDBLOCK)
		snprintf(why, whysize, "%s: another filter reads it; one filter line in smtpd.conf "
		    "can serve all listeners", in->path);
	else
		snprintf(why, whysize, "%s: %s; let smtpd's filter user own this folder "
		    "(`tlsward setup` does)", in->path, strerror(errno));
}

struct feed *
feed_open(const char *dir, char *why, size_t whysize)
{
	struct feed *f = calloc(1, sizeof(*f));

	snprintf(why, whysize, "%s", f == NULL ? "out of memory" : "");
	if (f == NULL)
		return NULL;
	f->in[FEED_SOCKET].fd = -1;
	inlet_open(&f->in[FEED_FIFO], dir, "feed", fifo_open);
	if (f->in[FEED_FIFO].fd == -1) {
		inlet_why(&f->in[FEED_FIFO], why, whysize);
		if (errno == EWOULDBLOCK)
			goto out;
	}
	inlet_open(&f->in[FEED_SOCKET], dir, "feed.sock", socket_open);
	if (f->in[FEED_SOCKET].fd == -1 && why[0] == '\0')
		inlet_why(&f->in[FEED_SOCKET], why, whysize);
out:
	if (f->in[FEED_FIFO].fd == -1 && f->in[FEED_SOCKET].fd == -1) {
		free(f);
		return NULL;
	}
	return f;
}

bool
feed_current(const struct feed *f)
{
	struct stat st;

	for (int i = 0; i < FEED_FDS; i++) {
		const struct inlet *in = &f->in[i];

		if (in->fd != -1 && (lstat(in->path, &st) == -1 ||
		    st.st_dev != in->dev || st.st_ino != in->ino))
			return false;
	}
	return true;
}

int
feed_fd(const struct feed *f, int which)
{
	return f != NULL && which >= 0 && which < FEED_FDS ? f->in[which].fd : -1;
}

void
feed_close(struct feed *f)
{
	if (f == NULL)
		return;
	for (int i = 0; i < FEED_FDS; i++)
		if (f->in[i].fd >= 0)
			close(f->in[i].fd);
	free(f);
}
