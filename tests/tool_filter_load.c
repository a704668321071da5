/*
 * Plays smtpd to a filter: the same socket as its input and output, many
 * sessions at once, each waiting for its answers as smtpd's do.
 *
 *	filter_load [-n SESSIONS] [-o OPEN] [-t TLS-PERCENT] [-d DOMAINS] [-p PEERS]
 *	    [-w WARM] [-r RATE] [-x] FILTER ARGUMENT…
 *
 * As fast as the filter answers, with OPEN sessions open all the time; or, with
 * -r, RATE sessions begin each second whatever the filter does, and each answer's
 * time is taken; until SESSIONS have been, or SIGTERM comes.  WARM sessions are
 * played before, the first of the same, and not measured.
 *
 * Recipients are at dN.example, N below DOMAINS, senders at pN.example, N below
 * PEERS (0: at partner.example).  The settings are expected to require TLS for
 * even recipients' N and nothing else, so each answer is known; with -x any
 * answer is right (for filters of others).  Prints key=value lines; status 1 if
 * an answer was wrong, doubled, out of order or missing.
 */
#include <sys/socket.h>
#include <sys/wait.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter_play.h"
#include "load.h"

static unsigned warm;
static bool any_answer;
static uint64_t answers, wrong;
static double begin_time;			/* of the first session that is measured */
static volatile sig_atomic_t enough;		/* no more sessions */
static float *waited;				/* of each answer, in ms; only with a rate */

/* ---- answers ---- */

static void
hear(const char *line, size_t len)
{
	static const char kind[] = "filter-result|";
	const size_t head = sizeof(kind) - 1 + ID_SIZE + 1 + ID_SIZE + 1;
	struct smtp *s;
	const char *p;
	unsigned i;

	answers++;
	if (asked_n == 0) {
		wrong++;
		return;
	}
	i = pop(asked, &asked_head, &asked_n);
	s = &slot[i];
	p = line + sizeof(kind) - 1;
	if (len < head || memcmp(line, kind, sizeof(kind) - 1) != 0 || memcmp(p, s->id, ID_SIZE) != 0 ||
	    p[ID_SIZE] != '|' || memcmp(p + ID_SIZE + 1, s->token, ID_SIZE) != 0 || line[head - 1] != '|' ||
	    (!any_answer && (s->refused ? strncmp(line + head, "reject|530 5.7.0 ", 17) :
	    strcmp(line + head, "proceed")) != 0)) {
		if (wrong++ < 5)
			warnx("wanted %.16s|%.16s|%s, got %s", s->id, s->token,
			    s->refused ? "reject" : "proceed", line);
	}
	if (rate > 0)
		waited[answers - 1] = (float)((seconds() - s->asked) * 1e3);
	push(ready, ready_head, &ready_n, i);
}

static bool
take(int fd)
{
	static char in[256 * 1024];
	static size_t have;
	char *p = in, *nl;
	ssize_t n = read(fd, in + have, sizeof(in) - have);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		return false;
	have += n > 0 ? (size_t)n : 0;
	while ((nl = memchr(p, '\n', have - (size_t)(p - in))) != NULL) {
		*nl = '\0';
		hear(p, (size_t)(nl - p));
		p = nl + 1;
	}
	have -= (size_t)(p - in);
	memmove(in, p, have);
	return true;
}

/* ---- the play ---- */

static void
give(int fd)
{
	ssize_t n = write(fd, out + out_start, out_end - out_start);

	if (n < 0 && errno != EAGAIN)
		err(1, "the filter does not read");
	out_start += n > 0 ? (size_t)n : 0;
	if (out_start == out_end)
		out_start = out_end = 0;
}

static void
on_term(int sig)
{
	(void)sig;
	enough = 1;
}

/* How many sessions may have begun by now, and when the next may. */
static unsigned
due(int *wait)
{
	double at = seconds() - begin_time;
	unsigned n;

	*wait = 30000;
	if (enough)
		sessions = begun;
	if (rate == 0 || at * rate >= sessions)
		return sessions;
	n = (unsigned)(at * rate) + 1;
	*wait = (int)(((double)n / rate - at) * 1e3) + 1;
	return n < sessions ? n : sessions;
}

/* Says what there is to say; how long to wait then. */
static int
speak(void)
{
	unsigned may;
	int wait;

	if (out_start > 0 && OUT_SIZE - out_end < TURN_MAX) {
		memmove(out, out + out_start, out_end - out_start);
		out_end -= out_start;
		out_start = 0;
	}
	while (ready_n > 0 && OUT_SIZE - out_end >= TURN_MAX)
		turn(pop(ready, &ready_head, &ready_n));
	may = due(&wait);
	while (idle_n > 0 && begun < may && OUT_SIZE - out_end >= TURN_MAX)
		turn(pop(idle, &idle_head, &idle_n));
	return wait;
}

/* Nothing of smtpd's side waits for anything but answers. */
static void
play(int fd)
{
	struct pollfd p = { .fd = fd };
	int wait, n;

	for (;;) {
		wait = speak();
		if (ended >= sessions && asked_n == 0 && out_end == 0)	/* SIGTERM may have lowered it */
			return;
		p.events = (short)(POLLIN | (out_end > 0 ? POLLOUT : 0));
		n = poll(&p, 1, wait);
		if (n == 0 && asked_n > 0 && wait == 30000)
			errx(1, "no answer for 30 s: %u wait", asked_n);
		if (n <= 0)
			continue;
		if (p.revents & POLLOUT)
			give(fd);
		if ((p.revents & (POLLIN | POLLHUP)) && !take(fd))
			errx(1, "the filter ended with %u requests unanswered", asked_n);
	}
}

/* ---- the filter ---- */

static long
resident_kib(pid_t pid)
{
	char path[64];
	long all, rss = -1;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	if ((f = fopen(path, "r")) == NULL)
		return -1;
	if (fscanf(f, "%ld %ld", &all, &rss) != 2)
		rss = -1;
	fclose(f);
	return rss < 0 ? -1 : rss * (sysconf(_SC_PAGESIZE) / 1024);
}

/* As smtpd does it: says what it has, waits until the filter is ready. */
static void
handshake(int fd)
{
	static const char config[] = "config|smtpd-version|7.4.0\nconfig|subsystem|smtp-in\nconfig|ready\n";
	char buf[8192];
	size_t have = 0;
	ssize_t n;

	if (write(fd, config, sizeof(config) - 1) != (ssize_t)sizeof(config) - 1)
		err(1, "handshake");
	do {
		n = read(fd, buf + have, sizeof(buf) - have - 1);
		if (n <= 0)
			errx(1, "the filter did not get ready");
		have += (size_t)n;
		buf[have] = '\0';
	} while (strstr(buf, "register|ready\n") == NULL && have < sizeof(buf) - 1);
}

static pid_t
spawn(char **argv, int *fd)
{
	int sp[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sp) == -1)
		err(1, "socketpair");
	if ((pid = fork()) == -1)
		err(1, "fork");
	if (pid == 0) {
		if (dup2(sp[0], STDIN_FILENO) == -1 || dup2(sp[0], STDOUT_FILENO) == -1)
			_exit(127);
		close(sp[0]);
		close(sp[1]);
		execv(argv[0], argv);
		_exit(127);
	}
	close(sp[0]);
	*fd = sp[1];
	return pid;
}

static void
options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "+n:o:t:d:p:r:w:x")) != -1)
		switch (c) {
		case 'n':
			sessions = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'o':
			width = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 't':
			tls_percent = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'd':
			domains = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'p':
			peers = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			rate = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'w':
			warm = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'x':
			any_answer = true;
			break;
		default:
			exit(2);
		}
	if (optind == argc || sessions == 0 || width == 0 || domains == 0)
		errx(2, "usage: filter_load [-n SESSIONS] [-o OPEN] [-t TLS-PERCENT] "
		    "[-d DOMAINS] [-p PEERS] [-w WARM] [-r RATE] [-x] FILTER ARGUMENT...");
}

/* The sessions that are not measured. */
static void
warm_up(int fd)
{
	unsigned all = sessions, at_rate = rate;

	sessions = warm;
	rate = 0;
	play(fd);
	sessions = all;
	rate = at_rate;
	begun = ended = 0;
	requests = answers = 0;
}

int
main(int argc, char **argv)
{
	long rss_early = -1, rss_late;
	unsigned all, status_ok;
	int fd, status = -1;
	double took;
	pid_t pid;

	options(argc, argv);
	slot = calloc(width, sizeof(*slot));
	ready = calloc(width, sizeof(*ready));
	asked = calloc(width, sizeof(*asked));
	waited = calloc(rate > 0 ? (size_t)sessions * ASKS_MAX : 1, sizeof(*waited));
	idle = calloc(width, sizeof(*idle));
	if (slot == NULL || ready == NULL || idle == NULL || asked == NULL || waited == NULL)
		err(1, "calloc");
	pid = spawn(argv + optind, &fd);
	handshake(fd);
	if (fcntl(fd, F_SETFL, O_NONBLOCK) == -1)
		err(1, "fcntl");
	for (unsigned i = 0; i < width; i++)
		push(idle, idle_head, &idle_n, i);
	signal(SIGTERM, on_term);
	begin_time = seconds();
	warm_up(fd);
	begin_time = seconds();
	/* memory is compared between the first tenth, with all slots in use, and the end */
	all = sessions;
	sessions = all / 10 > 2 * width ? all / 10 : all;
	play(fd);
	rss_early = resident_kib(pid);
	sessions = all;
	play(fd);
	took = seconds() - begin_time;
	rss_late = resident_kib(pid);
	shutdown(fd, SHUT_WR);
	status_ok = waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	printf("sessions=%u\nopen=%u\nrequests=%" PRIu64 "\nanswers=%" PRIu64 "\nwrong=%" PRIu64 "\n"
	    "seconds=%.3f\ndecisions_per_second=%.0f\nrss_early_kib=%ld\nrss_late_kib=%ld\nended_well=%u\n",
	    sessions, width, requests, answers, wrong, took, (double)answers / took,
	    rss_early, rss_late, status_ok);
	times_print(waited, rate > 0 ? answers : 0);
	return wrong != 0 || answers != requests || !status_ok;
}
