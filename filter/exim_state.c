#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "counters.h"
#include "exim_cert.h"
#include "exim_state.h"
#include "hold.h"

#define EXIM_LOG_MAIN 1

/*
 * Exim's logging, as its local_scan() interface documents it.  Weak: a caller
 * without it, such as a test, just gets no lines.
 */
extern void log_write(unsigned selector, int which, const char *format, ...)
    __attribute__((weak));

static struct {
	char path[PATH_MAX];		/* of the INI; "": nothing read yet */
	struct hold hold;
	char folder[64];		/* for what Debian-exim may not leave beside the INI */
	pid_t pid;			/* the process that looked last */
	struct counters *counters;
	char state_dir[PATH_MAX];	/* theirs */
	pid_t counters_pid;		/* the process that tried last to open them */
	bool counters_said;
} state;

static void
log_all(int level, const char *line)
{
	(void)level;
	if (log_write != NULL)
		log_write(0, EXIM_LOG_MAIN, "tlsward: %s", line);
}

void
exim_say(const char *line)
{
	log_all(LOG_WARNING, line);
}

/* In a connection's process that all is well would be a line a connection. */
static void
log_trouble(int level, const char *line)
{
	if (level <= LOG_WARNING)
		log_all(level, line);
}

static void
forget(void)
{
	counters_close(state.counters);
	hold_free(&state.hold);
	memset(&state, 0, sizeof(state));
}

static const struct settings *
look(const char *path, bool daemon)
{
	size_t len = strlen(path);

	if (len >= sizeof(state.path) || len == 0)
		return NULL;
	if (strcmp(path, state.path) != 0) {
		forget();
		memcpy(state.path, path, len + 1);
		hold_init(&state.hold, state.path);
		(void)snprintf(state.folder, sizeof(state.folder), "%s/exim",
		    key_table[KEY_STATE_DIR].preset_text);
	}
	/* a connection's process looks up little and ends soon, the daemon lives long */
	state.hold.form = (struct compiled){ state.folder, !daemon, true };
	if (daemon || state.pid != getpid()) {
		state.pid = getpid();
		hold_refresh(&state.hold, daemon ? log_all : log_trouble);
	}
	return held_settings(state.hold.now);
}

static void
tell_counters(uint64_t now)
{
	char why[512];

	if (counters_tell(state.counters, now, why, sizeof(why)))
		log_all(LOG_WARNING, why);
}

/*
 * The daemon tries at each connection, so that a folder made later is found, or a
 * file that somebody removed is not handed on; a process of a connection tries once.
 */
static void
open_counters(const struct settings *s, bool daemon, uint64_t now)
{
	const char *dir = settings_place(s, SEC_SERVER, KEY_STATE_DIR);
	char why[512] = "";

	if (daemon && strcmp(dir, state.state_dir) != 0) {
		counters_close(state.counters);
		state.counters = NULL;
		state.counters_said = false;
	}
	if (!daemon && state.counters_pid == state.pid)
		return;
	state.counters_pid = state.pid;
	if (state.counters != NULL) {
		counters_recheck(state.counters, now);
		tell_counters(now);
		return;
	}
	snprintf(state.state_dir, sizeof(state.state_dir), "%s", dir);
	state.counters = counters_open(dir, "exim", true, why, sizeof(why));
	if (why[0] != '\0' && !state.counters_said)
		log_all(LOG_WARNING, why);
	state.counters_said = why[0] != '\0';
}

void
exim_preload(const char *ini)
{
	const struct settings *s = look(ini, true);

	if (s == NULL)
		return;
	open_counters(s, true, (uint64_t)time(NULL));
	exim_cert_preload(s);
}

const struct settings *
exim_settings(const char *ini)
{
	return look(ini, false);
}

const char *
exim_trouble(void)
{
	return state.hold.error[0] != '\0' ? state.hold.error : "there are no settings";
}

void
exim_count(const struct settings *s, const struct facts *f, const struct verdict *v)
{
	uint64_t now = (uint64_t)time(NULL);

	/* A call that counts for nothing else is no reason to open the file. */
	if (s == NULL || (!v->counted && state.counters == NULL))
		return;
	open_counters(s, false, now);
	if (state.counters == NULL)
		return;
	counters_add(state.counters, s, f, v, now);
	tell_counters(now);
}
