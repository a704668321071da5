#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "hold.h"
#include "hold_int.h"
#include "image.h"
#include "problem.h"

#define RETRY_MS 1000

#define REPORT_SIZE sizeof(((struct hold *)NULL)->error)

int64_t
hold_ms(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) == -1)
		return 1;
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void __attribute__((format(printf, 3, 4)))
say(hold_log *log, int level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	if (log == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log(level, line);
}

static void
collect(void *arg, enum severity severity, const char *path, unsigned line,
    const char *text)
{
	struct attempt *a = arg;
	char report[REPORT_SIZE];

	if (severity != SEV_ERROR)
		return;
	if (line != 0)
		(void)snprintf(report, sizeof(report), "%s:%u: %s", path, line, text);
	else
		(void)snprintf(report, sizeof(report), "%s: %s", path, text);
	if (a->errors == 0)
		a->line = line;
	if (a->errors < LOGGED_MAX)
		a->report[a->errors] = strdup(report);
	a->errors++;
}

static const char *
report_of(const struct attempt *a, unsigned i)
{
	return a->report[i] != NULL ? a->report[i] : "out of memory";
}

void
attempt_free(struct attempt *a)
{
	settings_free(a->fresh);
	for (unsigned i = 0; i < LOGGED_MAX; i++)
		free(a->report[i]);
}

/* Is there something that the last attempt did not see? */
static bool
due(struct hold *h, const struct file_id *id)
{
	if (!h->tried || !file_id_equal(id, &h->seen))
		return true;
	return h->again != 0 && hold_ms(CLOCK_MONOTONIC) >= h->again;
}

/* Trouble with the file, not with what it says: it may end without a change of the file. */
static bool
whole_file(const struct attempt *a)
{
	return a->errors == 1 && a->line == 0;
}

/*
 * Could the file be changed once more and look as it does now?  Then when to read
 * it again, else 0.  Nobody writes in place to what came to the path a moment
 * ago, unless a moment is a second.
 */
static int64_t
read_again(const struct hold *h, const struct file_id *id)
{
	int64_t changed = id->ctime_s * 1000 + id->ctime_ns / 1000000;
	int64_t settle = compiled_settle_ms(id);
	bool known = h->tried && id->ino == h->seen.ino && id->dev == h->seen.dev;

	if ((!known && id->ctime_ns != 0) || hold_ms(CLOCK_REALTIME) - changed >= settle)
		return 0;
	return hold_ms(CLOCK_MONOTONIC) + settle;
}

static void
keep_last(struct hold *h, const struct attempt *a, hold_log *log)
{
	const char *first = report_of(a, 0);
	bool repeated = h->bad && strcmp(h->error, first) == 0;
	bool same_file = h->bad && file_id_equal(&a->id, &h->seen);

	/* what was reported a second ago is not worth a line again */
	if (!same_file || (h->error_line != 0 && !repeated))
		for (unsigned i = 0; i < a->errors && i < LOGGED_MAX; i++)
			say(log, LOG_ERR, "%s", report_of(a, i));
	h->again = whole_file(a) ? hold_ms(CLOCK_MONOTONIC) + RETRY_MS :
	    read_again(h, &a->id);
	h->bad = true;
	h->error_line = a->line;
	(void)snprintf(h->error, sizeof(h->error), "%s", first);
	h->seen = a->id;
	if (repeated && (same_file || whole_file(a)))
		return;
	h->failures++;
	/* beyond those that are told of, the reader has one more to say how many */
	say(log, LOG_ERR, "%s: %s%u error%s; %s", h->path,
	    a->errors > PROBLEMS_MAX ? "more than " : "",
	    a->errors > PROBLEMS_MAX ? PROBLEMS_MAX : a->errors, a->errors == 1 ? "" : "s", h->now == NULL ?
	    "there are no settings to go by until that is mended" :
	    "the settings read before stay in force");
}

/* How many of the rules, "1 domain, 2 peers". */
static void
say_in_force(const struct hold *h, const struct settings *s, hold_log *log)
{
	static const struct {
		enum section section;
		const char *one;
	} what[] = {
		{ SEC_DOMAIN, "domain" }, { SEC_PEER, "peer" }, { SEC_LISTENER, "listener" },
		{ SEC_CLIENT, "client network" }
	};
	char list[160];
	size_t used = 0, n;

	if (h->quiet)
		return;
	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		n = settings_count(s, what[i].section);
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%zu %s%s",
		    i == 0 ? "" : ", ", n, what[i].one, n == 1 ? "" : "s");
	}
	say(log, LOG_INFO, "%s: settings are in force (%s)", h->path, list);
}

static bool
put_in_force(struct hold *h, struct settings *fresh, hold_log *log)
{
	const struct file_id *id = settings_id(fresh);
	const struct settings *old = held_settings(h->now);
	bool same_file = old != NULL && file_id_equal(id, settings_id(old)) &&
	    settings_generation(fresh) == settings_generation(old);
	struct held *held;

	if (!same_file) {
		if (h->share)
			settings_share(fresh);
		if ((held = calloc(1, sizeof(*held))) == NULL) {
			say(log, LOG_ERR, "%s: out of memory", h->path);
			settings_free(fresh);
			h->again = hold_ms(CLOCK_MONOTONIC) + RETRY_MS;
			return false;
		}
		held->refs = 1;
		held->load = h->loads;
		held->settings = fresh;
		held->kept = &h->kept;
		h->kept += settings_octets(fresh);
	}
	h->again = read_again(h, id);
	h->seen = *id;
	h->error[0] = '\0';
	h->error_line = 0;
	h->bad = false;
	if (same_file) {
		settings_free(fresh);
		return false;
	}
	held_unref(h->now);
	h->now = held;
	h->loads++;
	say_in_force(h, fresh, log);
	return true;
}

/* ---- one attempt ---- */

void
attempt_read(struct attempt *a, const char *path, const struct compiled *form)
{
	a->fresh = compiled_read(path, form, &a->saved, collect, a);
}

bool
attempt_end(struct hold *h, struct attempt *a, hold_log *log)
{
	struct settings *fresh = a->fresh;
	bool changed = false;

	a->fresh = NULL;
	h->leave_at = 0;
	if (fresh != NULL) {
		if (h->leave != NULL && !a->saved && settings_id(fresh)->size >= COMPILED_LEAST)
			h->leave_at = hold_ms(CLOCK_MONOTONIC) +
			    compiled_settle_ms(settings_id(fresh));
		changed = put_in_force(h, fresh, log);
	} else
		keep_last(h, a, log);
	attempt_free(a);
	h->tried = true;
	return changed;
}

bool
attempt_begin(struct hold *h, struct attempt *a)
{
	memset(a, 0, sizeof(*a));
	/* A process that has just begun and finds a compiled form need not look twice. */
	if (!h->tried && h->offered == NULL &&
	    (a->fresh = compiled_open(h->path, &h->form)) != NULL) {
		a->saved = true;
		return true;
	}
	if (!file_identify(h->path, &a->id))
		memset(&a->id, 0, sizeof(a->id));
	if (!due(h, &a->id))
		return false;
	if (h->offered != NULL && file_id_equal(&a->id, settings_id(h->offered)))
		a->fresh = h->offered;
	else
		settings_free(h->offered);
	h->offered = NULL;
	return true;
}

/* ---- all of it ---- */

bool
hold_refresh(struct hold *h, hold_log *log)
{
	struct attempt a;

	if (h->leave != NULL)
		h->leave(h);
	if (!attempt_begin(h, &a))
		return false;
	if (a.fresh == NULL)
		attempt_read(&a, h->path, &h->form);
	return attempt_end(h, &a, log);
}

void
hold_offer(struct hold *h, struct settings *s)
{
	settings_free(h->offered);
	h->offered = s;
}

void
hold_init(struct hold *h, const char *path)
{
	memset(h, 0, sizeof(*h));
	h->path = path;
}

void
hold_free(struct hold *h)
{
	if (h->reader != NULL)
		h->reader->end(h->reader);
	if (h->writer != NULL)
		h->writer->end(h->writer);
	settings_free(h->offered);
	held_unref(h->now);
	memset(h, 0, sizeof(*h));
}

const struct settings *
held_settings(const struct held *held)
{
	return held != NULL ? held->settings : NULL;
}

struct held *
hold_ref(struct hold *h)
{
	if (h->now != NULL)
		h->now->refs++;
	return h->now;
}

void
held_unref(struct held *held)
{
	if (held == NULL || --held->refs > 0)
		return;
	*held->kept -= settings_octets(held->settings);
	settings_free(held->settings);
	free(held);
}

size_t
hold_superseded(const struct hold *h)
{
	return h->kept - (h->now != NULL ? settings_octets(h->now->settings) : 0);
}

bool
held_older(const struct held *held, const struct held *than)
{
	return held->load < than->load;
}
