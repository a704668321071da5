/*
 * filter-tlsward: the filter that OpenSMTPD starts.
 *
 * One process, one loop, nothing in it blocks: lines from smtpd are decided as
 * they come, the answers of one read leave in one write.  While smtpd does not
 * take answers, no requests are read.
 *
 * smtpd shuts down when a filter ends, so once mail flows this one ends only at
 * the end of its input, which is how smtpd ends it.  SIGTERM and SIGINT are
 * ignored as smtpd's own processes ignore them: a service manager that signals
 * the whole group must not cut off sessions that smtpd still serves.
 */
#include <sys/mman.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "evidence.h"
#include "protocol.h"
#include "read.h"
#include "upkeep.h"

static volatile sig_atomic_t hangup, counters_gone;
static size_t page_size;

/* ---- signals ---- */

static void
on_hangup(int sig)
{
	(void)sig;
	hangup = 1;
}

/*
 * Somebody truncated a file that is mapped, which can only be the counters: a
 * page of nothing takes the place of the lost one, the figures counted into it
 * are lost, and the loop opens the file anew.
 */
static void
on_bus_error(int sig, siginfo_t *info, void *context)
{
	uintptr_t page = (uintptr_t)info->si_addr & ~(uintptr_t)(page_size - 1);
	int saved = errno;

	(void)context;
	if (info->si_code != BUS_ADRERR || mmap((void *)page, page_size,
	    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
		signal(sig, SIG_DFL);
		return;
	}
	counters_gone = 1;
	errno = saved;
}

/* SIGHUP stays blocked but while the loop waits, so that none is missed. */
static void
signals_open(sigset_t *waiting)
{
	struct sigaction sa = { .sa_handler = on_hangup };
	sigset_t block;

	page_size = (size_t)sysconf(_SC_PAGESIZE);
	sigemptyset(&sa.sa_mask);
	sigaction(SIGHUP, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
	if (!isatty(STDIN_FILENO)) {
		sigaction(SIGTERM, &sa, NULL);
		sigaction(SIGINT, &sa, NULL);
	}
	sa.sa_flags = SA_SIGINFO;
	sa.sa_sigaction = on_bus_error;
	sigaction(SIGBUS, &sa, NULL);
	sigemptyset(&block);
	sigaddset(&block, SIGHUP);
	sigprocmask(SIG_BLOCK, &block, waiting);
	sigdelset(waiting, SIGHUP);
}

/* ---- the loop ---- */

/* What signals have asked for, and what is due. */
static void
look_after(struct filter *f, struct upkeep *u, bool changed)
{
	if (counters_gone) {
		counters_gone = 0;
		upkeep_counters_cut(f, u);
	}
	if (hangup) {
		hangup = 0;
		changed = true;
		upkeep_retry(f, u);
	}
	upkeep_turn(f, u, changed);
}

/* Decides what is there, as long as there is room for the answers. */
static void
decide(struct filter *f, struct linein *in)
{
	protocol_due(f, f->now);
	protocol_lines(f, in);
	if (in->eof)	/* smtpd ends: nothing more will be waited for */
		protocol_due(f, LLONG_MAX);
}

/* How long to sleep: until the next look at the files, or until a request is due. */
static struct timespec
nap(const struct filter *f, const struct upkeep *u)
{
	long long now = upkeep_clock(), left = u->tick - now, due = pending_left(&f->pending, now);
	struct timespec wait;

	if (due >= 0 && due < left && lineout_ready(&f->out, 0))
		left = due;
	left = left < 0 ? 0 : left;
	wait.tv_sec = (time_t)(left / 1000);
	wait.tv_nsec = (long)(left % 1000) * 1000000;
	return wait;
}

static void
look_at_clocks(struct filter *f)
{
	f->now = upkeep_clock();
	f->wall = (uint64_t)time(NULL);
}

/* Until the end of input, with every answer written; the exit code. */
static int
run(struct filter *f, struct linein *in, struct upkeep *u, const sigset_t *waiting)
{
	enum { IN, OUT, WATCH, READ, FIFO, SOCK, FDS };
	struct pollfd fds[FDS] = {
		[IN] = { .events = POLLIN }, [OUT] = { .events = POLLOUT },
		[WATCH] = { .fd = u->watch.fd, .events = POLLIN }, [READ] = { .events = POLLIN },
		[FIFO] = { .events = POLLIN }, [SOCK] = { .events = POLLIN }
	};
	struct timespec wait;
	bool stuck;

	look_at_clocks(f);
	for (;;) {
		do {
			decide(f, in);
			stuck = !lineout_ready(&f->out, 0);
			if (!lineout_flush(&f->out, STDOUT_FILENO)) {
				errlog(LOG_ERR, "cannot answer smtpd: %s", strerror(errno));
				return 1;
			}
		} while (stuck && lineout_ready(&f->out, 0));
		errlog_flush();
		if (in->eof && !stuck && lineout_pending(&f->out) == 0)
			return 0;
		fds[IN].fd = in->eof || stuck ? -1 : STDIN_FILENO;
		fds[OUT].fd = lineout_pending(&f->out) > 0 ? STDOUT_FILENO : -1;
		fds[READ].fd = hold_fd(&f->hold);
		fds[FIFO].fd = feed_fd(f->feed, FEED_FIFO);
		fds[SOCK].fd = feed_fd(f->feed, FEED_SOCKET);
		wait = nap(f, u);
		if (ppoll(fds, FDS, &wait, waiting) <= 0)
			for (int i = 0; i < FDS; i++)
				fds[i].revents = 0;
		look_at_clocks(f);
		if (fds[FIFO].revents != 0 || fds[SOCK].revents != 0)
			feed_read(f->feed, evidence_told, f);
		/* before the lines: a change that came first holds for them */
		look_after(f, u, (fds[WATCH].revents != 0 && watch_read(&u->watch)) ||
		    fds[READ].revents != 0);
		if (fds[IN].revents != 0 && !linein_fill(in, STDIN_FILENO)) {
			errlog(LOG_ERR, "cannot read from smtpd: %s", strerror(errno));
			in->eof = true;
		}
	}
}

static void
unblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
		errlog(LOG_WARNING, "descriptor %d may block: %s", fd, strerror(errno));
}

static int
serve(const char *path)
{
	static struct filter f = {
		.complaints = { .what = "malformed lines from smtpd" },
		.strangers = { .what = "requests of unknown sessions" },
		.contradictions = { .what = "contradictions to smtpd.conf" },
		.unreadable = { .what = "unreadable files of pins" }
	};
	static struct linein in;
	static struct upkeep u;
	sigset_t waiting;
	int rc = 1;

	/* settings that are done with go back to the system: by itself malloc(3) learns to keep them */
	(void)mallopt(M_MMAP_THRESHOLD, 256 << 10);
	signals_open(&waiting);
	hold_init(&f.hold, path);
	(void)hold_refresh(&f.hold, errlog_line);
	if (f.hold.now == NULL) {
		errlog(LOG_ERR, "not started: mend the settings, `tlsward -c %s check` names all errors", path);
		goto out;
	}
	if (!linein_init(&in) || !lineout_init(&f.out) || !sessions_init(&f.sessions)) {
		errlog(LOG_ERR, "not started: out of memory");
		goto out;
	}
	upkeep_open(&f, &u);
	unblock(STDIN_FILENO);
	unblock(STDOUT_FILENO);
	errlog_batch();
	rc = run(&f, &in, &u, &waiting);
	upkeep_close(&f, &u);
	errlog_flush();
out:
	sessions_free(&f.sessions);
	lineout_free(&f.out);
	linein_free(&in);
	hold_free(&f.hold);
	return rc;
}

/* ---- command line ---- */

static int
check(const char *path)
{
	struct settings *s = settings_read(path, true, read_report_file, stderr);

	if (s == NULL)
		return 1;
	printf("%s: no errors; `tlsward check` looks at certificates, too\n", path);
	settings_free(s);
	return 0;
}

static void
usage(FILE *to)
{
	fprintf(to, "usage: filter-tlsward [-hnv] [-c FILE]\n"
	    "       filter-tlsward -V\n"
	    "  -c FILE  the settings (%s)\n"
	    "  -h       this\n"
	    "  -n       only check the settings\n"
	    "  -v       log accepted mail too\n"
	    "  -V       print the version\n"
	    "Started by OpenSMTPD, see filter-tlsward(8).\n", TLSWARD_INI);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 }
	};
	const char *path = TLSWARD_INI;
	bool verbose = false, only_check = false;
	int c;

	while ((c = getopt_long(argc, argv, "c:hnvV", options, NULL)) != -1)
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'n':
			only_check = true;
			break;
		case 'v':
			verbose = true;
			break;
		case 'V':
			printf("filter-tlsward %s\n", TLSWARD_VERSION);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	if (optind < argc) {
		fprintf(stderr, "filter-tlsward: what is \"%.64s\"?  It takes options only\n",
		    argv[optind]);
		usage(stderr);
		return 2;
	}
	if (only_check)
		return check(path);
	if (isatty(STDIN_FILENO))
		fprintf(stderr, "filter-tlsward: waits for smtpd's lines, as OpenSMTPD starts it by a "
		    "filter line in smtpd.conf; nobody else needs to run it\n");
	errlog_open(verbose);
	return serve(path);
}
