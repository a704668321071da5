#include <sys/inotify.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "read.h"
#include "watch.h"

#define EVENTS (IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR)

/* Watches the folder of path under number i; a folder watched already keeps its descriptor. */
static void
follow(struct watch *w, size_t i, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash == NULL ? path : slash + 1;
	char folder[PATH_MAX];
	size_t len;
	int wd;

	if (slash == NULL)
		memcpy(folder, ".", 2);
	else {
		len = slash == path ? 1 : (size_t)(slash - path);
		if (len >= sizeof(folder))
			return;
		memcpy(folder, path, len);
		folder[len] = '\0';
	}
	wd = inotify_add_watch(w->fd, folder, EVENTS);
	if (w->folder[i] != wd && w->folder[i] >= 0 && w->folder[i] != w->folder[1 - i])
		inotify_rm_watch(w->fd, w->folder[i]);
	w->folder[i] = wd;
	if (w->name[i] == NULL || strcmp(w->name[i], name) != 0) {
		free(w->name[i]);
		w->name[i] = strdup(name);
	}
}

static void
follow_all(struct watch *w)
{
	char real[PATH_MAX];

	if (w->fd < 0)
		return;
	follow(w, 0, w->path);
	if (realpath(w->path, real) != NULL)
		follow(w, 1, real);
}

void
watch_open(struct watch *w, const char *path)
{
	memset(w, 0, sizeof(*w));
	w->path = path;
	w->folder[0] = w->folder[1] = -1;
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	follow_all(w);
	if (!file_identify(path, &w->last))
		memset(&w->last, 0, sizeof(w->last));
}

void
watch_close(struct watch *w)
{
	if (w->fd >= 0)
		close(w->fd);
	for (size_t i = 0; i < WATCH_FOLDERS; i++)
		free(w->name[i]);
	memset(w, 0, sizeof(*w));
	w->fd = -1;
}

static bool
concerns(const struct watch *w, const struct inotify_event *e)
{
	if (e->mask & IN_Q_OVERFLOW)
		return true;
	for (size_t i = 0; i < WATCH_FOLDERS; i++)
		if (e->wd == w->folder[i] && e->len > 0 && w->name[i] != NULL &&
		    strcmp(e->name, w->name[i]) == 0)
			return true;
	return false;
}

bool
watch_read(struct watch *w)
{
	_Alignas(struct inotify_event) char buf[4096];
	const struct inotify_event *e;
	bool changed = false;
	ssize_t n;

	while (w->fd >= 0 && (n = read(w->fd, buf, sizeof(buf))) > 0)
		for (const char *p = buf; p < buf + n; p += sizeof(*e) + e->len) {
			e = (const struct inotify_event *)(const void *)p;
			changed |= concerns(w, e);
			for (size_t i = 0; i < WATCH_FOLDERS; i++)
				if ((e->mask & IN_IGNORED) && e->wd == w->folder[i])
					w->folder[i] = -1;
		}
	if (changed)
		follow_all(w);
	return changed;
}

bool
watch_tick(struct watch *w)
{
	struct file_id now;
	bool settled;

	if (!file_identify(w->path, &now))
		memset(&now, 0, sizeof(now));
	settled = file_id_equal(&now, &w->last);
	w->last = now;
	if (!settled || w->folder[0] < 0 || w->folder[1] < 0)
		follow_all(w);
	return settled;
}
