#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "alarm_int.h"
#include "alarm_seen.h"
#include "snmp_log.h"

#define COMPARE_MS	500	/* for who made a change to say so */
#define HELD_MS		10000	/* for a SET to end, one way or another */
#define KEEP_MS		5000	/* a large file is not copied at each of many changes */
#define KEEP_LARGE	(256u << 10)
#define LATER_MS	500	/* the child has newer settings: until they are here, too */
#define READ_MAX	64	/* records taken from a socket in one step */
#define BURST_MAX	20	/* modes of one change that are logged one by one */

int64_t
alarms_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

const struct settings *
alarms_settings(const struct alarms *a)
{
	return held_settings(a->hold.now);
}

uint32_t
alarms_key(const struct alarms *a, enum key k)
{
	const struct settings *s = alarms_settings(a);

	return s == NULL ? key_table[k].preset : settings_value(settings_find(s, SEC_AGENT, ""), k);
}

bool
alarms_raise(void *arg, const struct event *e)
{
	struct alarms *a = arg;
	char text[1200];
	bool calm = e->kind == ALARM_MODE || e->kind == ALARM_ACCEPTED ||
	    e->kind == ALARM_RENEWED || e->kind == ALARM_FINE;

	/* A new list of 100,000 domains is one change, and not as many lines. */
	if (e->kind != ALARM_MODE || a->burst++ < BURST_MAX)
		log_line(calm ? LOG_NOTICE : LOG_WARNING, "%s", event_text(e, text, sizeof(text)));
	if ((alarm_kinds_off(alarms_settings(a)) >> e->kind & 1) != 0)
		return false;
	queue_raise(&a->queue, e, alarms_key(a, KEY_NOTIFY_RATE), alarms_clock() / 1000);
	return true;
}

/* ---- settings, and who changed them ---- */

static void
add_hint(struct alarms *a, const struct file_id *id, enum changer by)
{
	a->hint[a->nhint % ALARM_HINTS].id = *id;
	a->hint[a->nhint++ % ALARM_HINTS].by = by;
}

static enum changer
changer_of(const struct alarms *a, const struct file_id *id)
{
	for (size_t i = 0; i < ALARM_HINTS && i < a->nhint; i++)
		if (file_id_equal(&a->hint[i].id, id))
			return a->hint[i].by;
	return BY_UNKNOWN;
}

/* What was told of is what a restart compares with. */
static void
keep_soon(struct alarms *a)
{
	bool large = settings_id(held_settings(a->before))->size > KEEP_LARGE;

	a->keep = alarms_clock() + (large ? KEEP_MS : 0);
}

static void
keep(struct alarms *a)
{
	/* First what waits to be told: it is told twice rather than never. */
	if (a->queue.changed && !queue_save(&a->queue, a->queue_path)) {
		a->keep = alarms_clock() + KEEP_MS;
		return;
	}
	if (!seen_save(a->seen_path, a->ini, settings_id(held_settings(a->before))) && errno != 0 &&
	    !a->complained)
		log_line(LOG_WARNING, "%s cannot be written: %s; modes that change while no agent "
		    "runs are not told", a->seen_path, strerror(errno));
	a->keep = 0;
}

static void
compare(struct alarms *a)
{
	const struct settings *s = alarms_settings(a);
	enum changer by = changer_of(a, settings_id(s));

	a->burst = 0;
	detect_modes(held_settings(a->before), s, by == BY_UNKNOWN ? BY_EDITOR : by, time(NULL),
	    alarms_raise, a);
	if (a->burst > BURST_MAX)
		log_line(LOG_NOTICE, "and %zu modes more by the same change", a->burst - BURST_MAX);
	held_unref(a->before);
	a->before = hold_ref(&a->hold);
	a->compare = 0;
	keep_soon(a);
}

static void
look_verdict(struct alarms *a)
{
	struct event e = { .time = time(NULL), .section = SEC_SERVER };

	if (a->hold.bad && strcmp(a->hold.error, a->rejected) != 0) {
		snprintf(a->rejected, sizeof(a->rejected), "%s", a->hold.error);
		e.kind = ALARM_REJECTED;
		e.line = a->hold.error_line;
		snprintf(e.text, sizeof(e.text), "%s", a->hold.error);
	} else if (!a->hold.bad && a->memory.rejected && alarms_settings(a) != NULL) {
		a->rejected[0] = '\0';
		e.kind = ALARM_ACCEPTED;
		e.digest = settings_generation(alarms_settings(a));
	} else
		return;
	a->memory.rejected = a->hold.bad;
	a->memory.changed = true;
	alarms_raise(a, &e);
}

static void
look_settings(struct alarms *a)
{
	struct held *was = hold_ref(&a->hold);

	if (hold_refresh(&a->hold, NULL)) {
		look_settings_changed(a, held_settings(was));
		if (a->before == NULL && (a->before = seen_load(a->seen_path)) == NULL) {
			a->before = hold_ref(&a->hold);
			keep_soon(a);
		} else if (a->compare == 0)
			a->compare = alarms_clock() + COMPARE_MS;
	}
	look_verdict(a);
	held_unref(was);
}

const char *
alarms_new_dir(const struct alarms *a)
{
	const struct settings *s = alarms_settings(a);
	const char *dir = s == NULL ? NULL : settings_place(s, SEC_SERVER, KEY_STATE_DIR);

	return dir == NULL || strcmp(dir, a->state_dir) == 0 ? NULL : dir;
}

bool
alarms_moved(const struct alarms *a)
{
	const struct settings *s = alarms_settings(a);

	return s != NULL && (alarms_new_dir(a) != NULL ||
	    strcmp(settings_place(s, SEC_AGENT, KEY_AGENTX), a->agentx) != 0);
}

/*
 * A large file costs its reading, just when a SET is being answered and the
 * servers read it too: it waits for the tick.
 */
static bool
can_wait(const struct alarms *a)
{
	struct file_id id;

	return file_identify(a->ini, &id) && id.size >= COMPILED_LEAST;
}

/* ---- sockets ---- */

/* tlsward(1) says here that a change was its own (cmd_tell.c); only the owner may. */
static int
open_changes(const char *dir)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/changes", dir);

	if (n < 0 || (size_t)n >= sizeof(sun.sun_path))
		return -1;
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) == -1)
		return -1;
	unlink(sun.sun_path);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    chmod(sun.sun_path, 0600) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
read_changes(struct alarms *a)
{
	struct file_id id;

	for (int i = 0; i < READ_MAX && a->changes >= 0; i++) {
		ssize_t n = recv(a->changes, &id, sizeof(id), MSG_DONTWAIT);

		if (n == -1)
			return;
		if ((size_t)n == sizeof(id))
			add_hint(a, &id, BY_COMMAND);
	}
}

/* False: the other end is closed. */
static bool
read_channel(struct alarms *a)
{
	struct word w;

	for (int i = 0; i < READ_MAX && a->channel >= 0; i++) {
		ssize_t n = recv(a->channel, &w, sizeof(w), MSG_DONTWAIT);

		if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
			return false;
		if (n != sizeof(w))
			break;
		if (w.kind == WORD_SENT) {
			queue_done(&a->queue, w.u.number);
			a->asked = false;
		} else if (w.kind == WORD_MUTED) {
			a->asked = false;
			a->later = alarms_clock() + LATER_MS;
			switch_look(a);
		} else if (w.kind == WORD_CHANGED) {
			add_hint(a, &w.u.file, BY_SNMP);
			a->held = 0;
		} else if (w.kind == WORD_WRITING)
			a->held = w.u.number != 0 ? alarms_clock() + HELD_MS : 0;
	}
	return true;
}

/* False: the socket takes no more now. */
static bool
say(struct alarms *a, const struct word *w)
{
	return a->channel >= 0 &&
	    send(a->channel, w, sizeof(*w), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(*w);
}

static void
write_channel(struct alarms *a)
{
	struct word w = { .kind = WORD_FIGURES };
	const struct event *e;

	w.u.figures = a->queue.figures;
	w.u.figures.probed = a->probed;
	w.u.figures.faults = a->faults;
	if (memcmp(&w.u.figures, &a->told, sizeof(a->told)) != 0 && say(a, &w))
		a->told = w.u.figures;
	if (a->asked || alarms_clock() < a->later ||
	    (e = queue_next(&a->queue, alarms_key(a, KEY_NOTIFY_RATE), alarms_clock() / 1000)) == NULL)
		return;
	w = (struct word){ .kind = WORD_EVENT };
	w.u.event = *e;
	if ((a->asked = say(a, &w)))
		queue_given(&a->queue);
}

int
alarms_channel(struct alarms *a)
{
	int pair[2];

	alarms_child_gone(a);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == -1)
		return -1;
	a->channel = pair[0];
	return pair[1];
}

void
alarms_child_gone(struct alarms *a)
{
	if (a->channel >= 0) {
		(void)read_channel(a);		/* its last words */
		close(a->channel);
	}
	a->channel = -1;
	a->held = 0;
	a->asked = false;
	memset(&a->told, 0xff, sizeof(a->told));
}

void
alarms_forget(struct alarms *a)
{
	round_forget(&a->round);
	if (a->channel >= 0)
		close(a->channel);
	if (a->changes >= 0)
		close(a->changes);
	if (a->file.fd >= 0)
		close(a->file.fd);
}

/* ---- begin, go on, end ---- */

/* What waits is saved before what was told: an event is told twice rather than never. */
static void
save(struct alarms *a, bool now)
{
	bool good = true, tried = false;

	if (a->queue.changed && (now || a->memory.changed)) {
		good = queue_save(&a->queue, a->queue_path);
		tried = true;
	}
	if (good && a->memory.changed) {
		good = memory_save(&a->memory, a->state_path);
		tried = true;
	}
	if (!tried)
		return;
	if (!good && !a->complained)
		log_line(LOG_WARNING, "%s cannot be written: %s; a restart will forget what was "
		    "told", a->dir, strerror(errno));
	a->complained = !good;
}

size_t
alarms_fds(const struct alarms *a, struct pollfd fds[ALARM_FDS])
{
	size_t n = round_fds(&a->round, fds);
	const int more[] = { a->file.fd, a->changes, a->channel };

	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
		if (more[i] >= 0)
			fds[n++] = (struct pollfd){ .fd = more[i], .events = POLLIN };
	return n;
}

int
alarms_wait(const struct alarms *a)
{
	int64_t left = a->tick - alarms_clock();
	int probe = round_wait(&a->round);

	if (probe >= 0 && probe < left)
		left = probe;
	return left < 0 ? 0 : (int)left;
}

static void
each_tick(struct alarms *a, int64_t now)
{
	a->tick = now + WATCH_TICK_MS;
	if (watch_tick(&a->file))
		look_settings(a);
	if (a->compare != 0 && now >= a->compare && now >= a->held)
		compare(a);
	if (a->keep != 0 && now >= a->keep)
		keep(a);
	look_certificates(a);
	look_pins(a);
	if (now >= a->minute) {
		a->minute = now + 60 * 1000;
		look_rates(a);
	}
}

void
alarms_step(struct alarms *a)
{
	int64_t now = alarms_clock();
	bool second = now >= a->second;

	if (!read_channel(a))
		alarms_child_gone(a);
	read_changes(a);
	if (watch_read(&a->file) && !can_wait(a))
		look_settings(a);
	/* One whose author is known need not wait, and is not mixed up with the next. */
	if (a->compare != 0 && changer_of(a, settings_id(alarms_settings(a))) != BY_UNKNOWN)
		compare(a);
	if (now >= a->tick)
		each_tick(a, now);
	look_round(a);
	if (second)
		a->second = now + 1000;
	save(a, second);
	if (a->memory.full && !a->full_told)
		log_line(LOG_WARNING, "more than %d certificates, listeners or rules: of the rest no alarm "
		    "can be remembered, and none is raised", MEMORY_MAX);
	a->full_told = a->memory.full;
	write_channel(a);
}

static char *
path_in(const char *dir, const char *name)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

struct alarms *
alarms_new(const char *ini, const char *state_dir, const char *agentx)
{
	struct alarms *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->channel = a->changes = a->file.fd = -1;
	a->ini = strdup(ini);
	a->state_dir = strdup(state_dir);
	a->agentx = strdup(agentx);
	if ((a->dir = path_in(state_dir, "agent")) != NULL) {
		a->state_path = path_in(a->dir, "state");
		a->queue_path = path_in(a->dir, "queue");
		a->probe_path = path_in(a->dir, "probe");
		a->seen_path = path_in(a->dir, "seen");
	}
	if (!queue_init(&a->queue) || a->ini == NULL || a->state_dir == NULL ||
	    a->agentx == NULL || a->dir == NULL || a->state_path == NULL ||
	    a->queue_path == NULL || a->probe_path == NULL || a->seen_path == NULL) {
		alarms_free(a);
		return NULL;
	}
	queue_load(&a->queue, a->queue_path);
	memory_load(&a->memory, a->state_path);
	a->counters = counters_all_open(a->state_dir);
	a->changes = open_changes(a->dir);
	hold_init(&a->hold, a->ini);
	watch_open(&a->file, a->ini);
	a->minute = alarms_clock() + 60 * 1000;
	look_settings(a);
	return a;
}

void
alarms_free(struct alarms *a)
{
	if (a == NULL)
		return;
	if (a->queue_path != NULL && a->state_path != NULL)
		save(a, true);
	if (a->keep != 0)
		keep(a);
	if (a->channel >= 0)
		close(a->channel);
	if (a->changes >= 0)
		close(a->changes);
	if (a->hold.path != NULL) {
		watch_close(&a->file);
		held_unref(a->before);
		hold_free(&a->hold);
	}
	look_free(a);
	if (a->counters != NULL)
		counters_all_close(a->counters);
	memory_free(&a->memory);
	queue_free(&a->queue);
	free(a->ini);
	free(a->state_dir);
	free(a->agentx);
	free(a->dir);
	free(a->state_path);
	free(a->queue_path);
	free(a->probe_path);
	free(a->seen_path);
	free(a);
}
