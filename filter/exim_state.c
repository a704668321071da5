#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "append.h"
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

/* Without long texts: see exim_tlsward.c about what is kept in static storage. */
static struct {
	pid_t pid, looked;		/* the process, and the one that looked last */
	pid_t counters_pid;		/* that tried last to open the counters */
	bool counters_said;
	const char *doubt;
	struct counters *counters;
	struct hold hold;
	char folder[64];		/* for what Debian-exim may not leave beside the INI */
	char *path;			/* of the INI; NULL: nothing read yet */
	char *state_dir;		/* the daemon's counters'; NULL: it has none */
} state;

static void
log_all(int level, const char *line)
{
	(void)level;
	if (log_write != NULL)
		log_write(0, EXIM_LOG_MAIN, "tlsward: %s", line);
}

void
exim_doubt(const char *why)
{
	state.doubt = why;
}

const char *
exim_doubtful(void)
{
	return state.doubt;
}

void
exim_say(const char *line)
{
	log_all(LOG_WARNING, line);
}

static void
forget(void)
{
	counters_close(state.counters);
	hold_free(&state.hold);
	state.counters = NULL;
	state.looked = state.counters_pid = 0;
	state.counters_said = false;
	free(state.state_dir);
	free(state.path);
	state.state_dir = state.path = NULL;
}

/* No folder, where its name is too long. */
static void
folder_below(const char *state_dir)
{
	const char *end = state.folder + sizeof(state.folder);

	if (append(append(state.folder, end, state_dir), end, "/exim") == NULL)
		state.folder[0] = '\0';
}

static const struct settings *
look(const char *path, bool daemon)
{
	state.pid = getpid();
	if (state.path == NULL || strcmp(path, state.path) != 0) {
		forget();
		if (path[0] == '\0' || (state.path = strdup(path)) == NULL)
			return NULL;
		hold_init(&state.hold, state.path);
		folder_below(key_table[KEY_STATE_DIR].preset_text);
	}
	/* a connection's process looks up little and ends soon; the daemon lives long and has a parser */
	state.hold.form = (struct compiled){ .folder = state.folder[0] != '\0' ? state.folder : NULL,
	    .map = !daemon, .save = true, .small = !daemon };
	if (daemon || state.looked != state.pid) {
		state.looked = state.pid;
		state.hold.share = daemon;
		state.hold.quiet = !daemon;	/* else it were a line a connection */
		hold_refresh(&state.hold, log_all);
	}
	state.doubt = NULL;		/* what was in the settings is an error there */
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
	const char *dir;
	char why[512];

	if (!daemon && state.counters_pid == state.pid)
		return;
	dir = settings_place(s, SEC_SERVER, KEY_STATE_DIR);
	if (daemon && (state.state_dir == NULL || strcmp(dir, state.state_dir) != 0)) {
		counters_close(state.counters);
		state.counters = NULL;
		state.counters_said = false;
		free(state.state_dir);
		state.state_dir = strdup(dir);	/* NULL: opened anew at each connection */
	}
	state.counters_pid = state.pid;
	if (state.counters != NULL) {
		counters_recheck(state.counters, now);
		tell_counters(now);
		return;
	}
	why[0] = '\0';
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
	open_counters(s, true, counters_now());
	exim_cert_preload(s);
}

const struct settings *
exim_settings(const char *ini)
{
	return look(ini, false);
}

long
exim_process(void)
{
	return (long)state.pid;
}

const char *
exim_trouble(void)
{
	return state.hold.error[0] != '\0' ? state.hold.error : "there are no settings";
}

void
exim_count(const struct settings *s, const struct facts *f, const struct verdict *v)
{
	uint64_t now;

	/* A call that counts for nothing else is no reason to open the file. */
	if (s == NULL || (!v->counted && state.counters == NULL))
		return;
	now = counters_now();
	open_counters(s, false, now);
	if (state.counters == NULL)
		return;
	counters_add(state.counters, s, f, v, now);
	tell_counters(now);
}
