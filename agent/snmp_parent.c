#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "snmp_log.h"
#include "snmp_parent.h"

struct parent {
	int (*child)(void *, int);
	void *arg;
	struct alarms *alarms;
	int signals;		/* signalfd */
	pid_t pid;		/* of the child, 0: none */
	int64_t started, due;	/* ms: last start; next start, or the SIGKILL */
	int pause;		/* seconds before the next start */
	bool ending;
	bool again;		/* ends for a new beginning: no signal asked for it */
	int taken;		/* children in a row that ended with PARENT_TAKEN */
	bool told;		/* why that cannot be yet */
};

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
start(struct parent *p)
{
	pid_t self = getpid(), pid;
	int channel = p->alarms == NULL ? -1 : alarms_channel(p->alarms);

	/* A peer that has gone, snmpd killed while it is written to, is an error of the write. */
	signal(SIGPIPE, SIG_IGN);
	if ((pid = fork()) == 0) {
		/* Nobody is left to end it when we are gone. */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || getppid() != self)
			_exit(1);
		close(p->signals);
		if (p->alarms != NULL)
			alarms_forget(p->alarms);
		exit(p->child(p->arg, channel));
	}
	if (channel >= 0)
		close(channel);
	p->started = now_ms();
	if (pid == -1) {
		log_line(LOG_ERR, "fork: %s", strerror(errno));
		p->pid = 0;
	} else
		p->pid = pid;
}

/* The child is gone: the next one comes after a pause that grows. */
static void
pause_before_next(struct parent *p)
{
	p->pid = 0;
	if (p->alarms != NULL)
		alarms_child_gone(p->alarms);
	if (now_ms() - p->started > PARENT_PAUSE * 1000)
		p->pause = 0;
	p->pause = p->pause == 0 ? 1 : p->pause * 2;
	if (p->pause > PARENT_PAUSE)
		p->pause = PARENT_PAUSE;
	p->due = now_ms() + p->pause * 1000;
}

static void
end_child(struct parent *p)
{
	if (p->ending)
		return;
	p->ending = true;
	p->due = now_ms() + PARENT_GRACE_MS;
	if (p->pid != 0)
		kill(p->pid, SIGTERM);
}

static void
reap(struct parent *p)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != p->pid)
			continue;
		pause_before_next(p);
		if (p->ending)
			continue;
		p->taken = WIFEXITED(status) && WEXITSTATUS(status) == PARENT_TAKEN ?
		    p->taken + 1 : 0;
		if (p->taken > 1)
			end_child(p);
		else if (p->taken == 1)
			log_line(LOG_NOTICE, "looking once more in %d s", p->pause);
		else if (WIFSIGNALED(status))
			log_line(LOG_ERR, "the process that answers snmpd was ended by signal %d (%s); "
			    "a new one starts in %d s", WTERMSIG(status), strsignal(WTERMSIG(status)),
			    p->pause);
		else
			log_line(LOG_ERR, "the process that answers snmpd ended with status %d; a new "
			    "one starts in %d s", WEXITSTATUS(status), p->pause);
	}
}

static void
take_signals(struct parent *p)
{
	struct signalfd_siginfo info;

	while (read(p->signals, &info, sizeof(info)) == sizeof(info))
		switch (info.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			p->again = false;
			end_child(p);
			break;
		case SIGHUP:
			log_line(LOG_INFO, "the settings are read when they change: SIGHUP has no use");
			break;
		}
	reap(p);
}

/* What the clock asks for; the time to the next of it in ms, -1: none. */
static int
take_time(struct parent *p)
{
	int64_t left = p->due - now_ms();

	if (p->pid != 0 && !p->ending)
		return -1;
	if (left > 0)
		return (int)left;
	if (p->ending) {
		log_line(LOG_NOTICE, "snmpd does not let go of the link: ending without it");
		kill(p->pid, SIGKILL);
		p->due = now_ms() + PARENT_GRACE_MS;
		return PARENT_GRACE_MS;
	}
	start(p);
	if (p->pid == 0)
		pause_before_next(p);
	return 0;
}

/* Where another agent is at work there is no beginning: all stays as it is. */
static bool
can_move(struct parent *p)
{
	const char *dir = alarms_new_dir(p->alarms);
	long holder = 0;
	int fd;

	if (dir == NULL || (fd = parent_lock(dir, &holder)) != -1) {
		if (dir != NULL && fd >= 0)
			close(fd);
		return true;
	}
	if (!p->told)
		log_line(LOG_WARNING, "state_dir is %s now, where another tlsward-agent runs (process %ld): "
		    "this one stays where it was until that one has ended", dir, holder);
	p->told = true;
	return false;
}

/* Waits for a signal, the clock, or what the alarms wait for. */
static void
turn(struct parent *p)
{
	struct pollfd fd[1 + ALARM_FDS] = { { .fd = p->signals, .events = POLLIN } };
	int wait = take_time(p), least;
	nfds_t n = 1;

	if (p->alarms != NULL && !p->ending) {
		n += alarms_fds(p->alarms, fd + 1);
		least = alarms_wait(p->alarms);
		if (wait == -1 || least < wait)
			wait = least;
	}
	poll(fd, n, wait);
	take_signals(p);
	if (p->alarms == NULL || p->ending)
		return;
	alarms_step(p->alarms);
	if (!alarms_moved(p->alarms))
		p->told = false;
	else if (can_move(p)) {
		log_line(LOG_NOTICE, "state_dir or agentx has changed: starting anew there");
		p->again = true;
		end_child(p);
	}
}

int
parent_run(int (*child)(void *arg, int channel), void *arg, struct alarms *alarms)
{
	struct parent p = { .child = child, .arg = arg, .alarms = alarms };
	sigset_t set;

	/* Ignored by whoever started us, the end of a child would be told to nobody. */
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1 ||
	    (p.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) == -1) {
		log_line(LOG_ERR, "signalfd: %s", strerror(errno));
		return 1;
	}
	while (!p.ending || p.pid != 0)
		turn(&p);
	close(p.signals);
	return p.again ? PARENT_AGAIN : p.taken > 1 ? 1 : 0;
}

int
parent_lock(const char *state_dir, long *holder)
{
	char path[4096], pid[24] = "";
	int fd, n;
	ssize_t got;

	n = snprintf(path, sizeof(path), "%s/agent", state_dir);
	if (n < 0 || (size_t)n >= sizeof(path) - 5) {
		errno = ENAMETOOLONG;
		return -2;
	}
	if (mkdir(path, 0750) == -1 && errno != EEXIST)
		return -2;
	memcpy(path + n, "/pid", 5);
	if ((fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640)) == -1)
		return -2;
	if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		*holder = 0;
		if (errno != EWOULDBLOCK) {
			n = errno;
			close(fd);
			errno = n;
			return -2;
		}
		if ((got = read(fd, pid, sizeof(pid) - 1)) > 0)
			*holder = strtol(pid, NULL, 10);
		close(fd);
		return -1;
	}
	n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	/* The number only helps the message above; the lock is what counts. */
	if (ftruncate(fd, 0) == -1 || write(fd, pid, (size_t)n) != n)
		log_line(LOG_WARNING, "%s: %s", path, strerror(errno));
	return fd;
}
