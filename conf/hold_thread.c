/* Work on large settings that nobody waits for; see hold.h. */
#include <sys/eventfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hold.h"
#include "hold_int.h"

/* Of the thread that reads: sort_names() in order.c calls itself 254 times at most, 2.3 KiB each. */
#define STACK_SIZE (2u << 20)

static void *
job_run(void *arg)
{
	struct hold_job *job = arg;

	if (job->held == NULL)
		attempt_read(&job->attempt, job->path, &job->form);
	else
		(void)compiled_save(job->held->settings, &job->form);
	atomic_store(&job->done, true);
	(void)eventfd_write(job->fd, 1);
	return NULL;
}

/* Waits for its end. */
static void
job_free(struct hold_job *job)
{
	(void)pthread_join(job->thread, NULL);
	attempt_free(&job->attempt);
	held_unref(job->held);
	(void)close(job->fd);
	free(job->path);
	free(job);
}

/*
 * Goes on with an attempt, or (NULL) makes the compiled form of what is in
 * force.  Signals are for the thread that waits for them.  NULL: cannot be had.
 */
static struct hold_job *
job_start(struct hold *h, const struct attempt *a)
{
	struct hold_job *job = calloc(1, sizeof(*job));
	pthread_attr_t attr;
	sigset_t all, before;
	bool started = false;

	if (job == NULL)
		return NULL;
	if (a != NULL)
		job->attempt = *a;
	else
		job->held = hold_ref(h);
	job->end = job_free;
	job->form = h->form;
	job->path = strdup(h->path);
	job->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (job->path != NULL && job->fd != -1 && pthread_attr_init(&attr) == 0) {
		(void)pthread_attr_setstacksize(&attr, STACK_SIZE);
		(void)sigfillset(&all);
		(void)sigdelset(&all, SIGBUS);
		(void)pthread_sigmask(SIG_SETMASK, &all, &before);
		started = pthread_create(&job->thread, &attr, job_run, job) == 0;
		(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
		(void)pthread_attr_destroy(&attr);
	}
	if (started)
		return job;
	held_unref(job->held);
	if (job->fd != -1)
		(void)close(job->fd);
	free(job->path);
	free(job);
	return NULL;
}

static bool
job_end(struct hold *h, hold_log *log)
{
	struct hold_job *job = h->reader;
	bool changed;

	h->reader = NULL;
	changed = attempt_end(h, &job->attempt, log);
	memset(&job->attempt, 0, sizeof(job->attempt));
	job_free(job);
	return changed;
}

void
hold_leave(struct hold *h)
{
	if (h->writer != NULL && atomic_load(&h->writer->done)) {
		job_free(h->writer);
		h->writer = NULL;
	}
	if (h->leave_at == 0 || h->writer != NULL || h->now == NULL ||
	    hold_ms(CLOCK_MONOTONIC) < h->leave_at)
		return;
	h->leave_at = 0;
	h->writer = job_start(h, NULL);
}

bool
hold_refresh_soon(struct hold *h, hold_log *log)
{
	bool changed = false;
	struct attempt a;

	hold_leave(h);
	if (h->reader != NULL && !atomic_load(&h->reader->done))
		return false;
	if (h->reader != NULL)
		changed = job_end(h, log);
	if (!attempt_begin(h, &a))
		return changed;
	if (a.fresh == NULL && a.id.size >= COMPILED_LEAST && (h->reader = job_start(h, &a)) != NULL)
		return changed;
	if (a.fresh == NULL)
		attempt_read(&a, h->path, &h->form);
	return attempt_end(h, &a, log) || changed;
}

int
hold_fd(const struct hold *h)
{
	return h->reader != NULL ? h->reader->fd : -1;
}
