/*
 * The reader that adds up the front ends' files; see counters.h.
 */
#include <sys/stat.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counters.h"
#include "counters_file.h"

const char *const counters_frontends[COUNTERS_FRONTENDS + 1] = { "opensmtpd", "exim", NULL };

struct counters_all {
	struct counters *file[COUNTERS_FRONTENDS];	/* NULL: none yet, or not to be read */
	char why[COUNTERS_FRONTENDS][256];
	unsigned breaks;
	char state_dir[];
};

struct counters_all *
counters_all_open(const char *state_dir)
{
	size_t len = strlen(state_dir) + 1;
	struct counters_all *all = calloc(1, sizeof(*all) + len);

	if (all == NULL)
		return NULL;
	memcpy(all->state_dir, state_dir, len);
	counters_all_refresh(all);
	all->breaks = 0;
	return all;
}

void
counters_all_refresh(struct counters_all *all)
{
	size_t i;

	if (all == NULL)
		return;
	for (i = 0; i < COUNTERS_FRONTENDS; i++) {
		if (all->file[i] != NULL) {
			if (!counters_replaced(all->file[i]))
				continue;
			counters_close(all->file[i]);
			all->breaks++;
		}
		all->file[i] = counters_open(all->state_dir, counters_frontends[i], false,
		    all->why[i], sizeof(all->why[i]));
		all->breaks += all->file[i] != NULL;
	}
}

void
counters_all_get(const struct counters_all *all, enum section section, const char *name,
    struct count *sum)
{
	size_t i;

	memset(sum, 0, sizeof(*sum));
	for (i = 0; all != NULL && i < COUNTERS_FRONTENDS; i++)
		counters_get(all->file[i], section, name, sum);
}

void
counters_all_other(const struct counters_all *all, struct count *sum)
{
	size_t i;

	memset(sum, 0, sizeof(*sum));
	for (i = 0; all != NULL && i < COUNTERS_FRONTENDS; i++)
		counters_other(all->file[i], sum);
}

void
counters_all_by_reason(const struct counters_all *all, struct count *sum)
{
	size_t i;

	memset(sum, 0, sizeof(*sum));
	for (i = 0; all != NULL && i < COUNTERS_FRONTENDS; i++)
		counters_by_reason(all->file[i], sum);
}

unsigned
counters_all_breaks(const struct counters_all *all)
{
	return all == NULL ? 0 : all->breaks;
}

uint64_t
counters_all_since(const struct counters_all *all)
{
	uint64_t since = 0;
	size_t i;

	for (i = 0; all != NULL && i < COUNTERS_FRONTENDS; i++)
		if (counters_since(all->file[i]) > since)
			since = counters_since(all->file[i]);
	return since;
}

size_t
counters_all_files(const struct counters_all *all)
{
	size_t i, n = 0;

	for (i = 0; all != NULL && i < COUNTERS_FRONTENDS; i++)
		n += all->file[i] != NULL;
	return n;
}

const char *
counters_all_why(const struct counters_all *all, size_t i)
{
	if (all == NULL || i >= COUNTERS_FRONTENDS || all->file[i] != NULL)
		return NULL;
	return all->why[i];
}

size_t
counters_all_recent(const struct counters_all *all, size_t i,
    struct recent out[COUNTERS_RECENT])
{
	return all == NULL || i >= COUNTERS_FRONTENDS ? 0 : counters_recent(all->file[i], out);
}

void
counters_all_life(const struct counters_all *all, size_t i, struct counters_life *life)
{
	counters_life(all == NULL || i >= COUNTERS_FRONTENDS ? NULL : all->file[i], life);
}

bool
counters_all_absent(const struct counters_all *all, size_t i)
{
	char path[4096];
	struct stat st;
	int n;

	if (all == NULL || i >= COUNTERS_FRONTENDS || all->file[i] != NULL)
		return false;
	n = snprintf(path, sizeof(path), "%s/%s/" COUNTERS_NAME, all->state_dir,
	    counters_frontends[i]);
	return n > 0 && (size_t)n < sizeof(path) && lstat(path, &st) == -1 && errno == ENOENT;
}

void
counters_all_close(struct counters_all *all)
{
	size_t i;

	if (all == NULL)
		return;
	for (i = 0; i < COUNTERS_FRONTENDS; i++)
		counters_close(all->file[i]);
	free(all);
}
