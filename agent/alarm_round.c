#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alarm_round.h"

static bool
same(const struct probe_target *a, const struct probe_target *b)
{
	return addr_cmp(&a->listener, &b->listener) == 0 && strcmp(a->sni, b->sni) == 0;
}

static enum probe_speaks
spoke(const struct probe_target *t, const struct round *before)
{
	for (size_t i = 0; i < before->n; i++)
		if (same(t, &before->target[i]))
			return before->result[i].error[0] != '\0' ? PROBE_GUESS :
			    before->result[i].smtps ? PROBE_SMTPS : PROBE_SMTP;
	return PROBE_GUESS;
}

bool
round_start(struct round *r, const struct settings *s)
{
	struct round fresh = { .running = true };

	fresh.n = probe_targets(s, ROUND_NAMES, &fresh.target, &fresh.left);
	if (fresh.n == 0)
		return false;
	fresh.result = calloc(fresh.n, sizeof(*fresh.result));
	fresh.began = calloc(fresh.n, sizeof(*fresh.began));
	if (fresh.result == NULL || fresh.began == NULL) {
		round_free(&fresh);
		return false;
	}
	for (size_t i = 0; i < fresh.n; i++)
		fresh.target[i].speaks = spoke(&fresh.target[i], r);
	round_free(r);
	*r = fresh;
	return true;
}

size_t
round_fds(const struct round *r, struct pollfd fds[ROUND_SLOTS])
{
	size_t n = 0;

	for (size_t k = 0; k < ROUND_SLOTS; k++)
		if (r->slot[k].probe != NULL && probe_fd(r->slot[k].probe) >= 0)
			fds[n++] = (struct pollfd){ .fd = probe_fd(r->slot[k].probe),
			    .events = probe_events(r->slot[k].probe) };
	return n;
}

int
round_wait(const struct round *r)
{
	int wait = -1, ms;

	if (!r->running)
		return -1;
	for (size_t k = 0; k < ROUND_SLOTS; k++) {
		if (r->slot[k].probe == NULL) {
			if (r->next < r->n)
				return 0;
			continue;
		}
		ms = probe_wait(r->slot[k].probe);
		if (ms >= 0 && (wait < 0 || ms < wait))
			wait = ms;
	}
	return wait;
}

static int64_t
clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool
step_slot(struct round *r, size_t k)
{
	if (r->slot[k].probe == NULL) {
		if (r->next == r->n)
			return false;
		r->slot[k].i = r->next++;
		r->began[r->slot[k].i] = clock_ms();
		r->slot[k].probe = probe_start(&r->target[r->slot[k].i], PROBE_TIMEOUT_MS);
		if (r->slot[k].probe == NULL) {
			snprintf(r->result[r->slot[k].i].error, PROBE_TEXT, "out of memory");
			return true;
		}
	}
	if (probe_step(r->slot[k].probe)) {
		r->result[r->slot[k].i] = *probe_result(r->slot[k].probe);
		probe_free(r->slot[k].probe);
		r->slot[k].probe = NULL;
	}
	return true;
}

bool
round_step(struct round *r)
{
	bool busy = false;

	if (!r->running)
		return false;
	for (size_t k = 0; k < ROUND_SLOTS; k++)
		busy |= step_slot(r, k);
	r->running = busy;
	return !busy;
}

const struct probe_result *
round_plain(const struct round *r, size_t i)
{
	if (r->target[i].sni[0] == '\0')
		return NULL;
	for (size_t k = 0; k < r->n; k++)
		if (r->target[k].sni[0] == '\0' &&
		    addr_cmp(&r->target[k].listener, &r->target[i].listener) == 0)
			return &r->result[k];
	return NULL;
}

void
round_forget(struct round *r)
{
	for (size_t k = 0; k < ROUND_SLOTS; k++)
		if (r->slot[k].probe != NULL && probe_fd(r->slot[k].probe) >= 0)
			close(probe_fd(r->slot[k].probe));
}

void
round_free(struct round *r)
{
	for (size_t k = 0; k < ROUND_SLOTS; k++)
		probe_free(r->slot[k].probe);
	free(r->target);
	free(r->result);
	free(r->began);
	memset(r, 0, sizeof(*r));
}
