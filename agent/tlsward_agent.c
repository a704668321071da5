/*
 * tlsward-agent: TLSWARD-MIB for snmpd, over AgentX.  Options, privileges,
 * the first look at the settings; the rest is in snmp_parent.c and snmp_link.c.
 */
#include <sys/stat.h>
#include <sys/types.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "read.h"
#include "snmp_link.h"
#include "snmp_log.h"
#include "snmp_parent.h"
#include "snmp_view.h"

#define USER_DEFAULT "tlsward"

struct options {
	const char *ini, *socket, *user;
	int lock;
	int64_t began;			/* view_wall, of what work() began */
	char *state_dir, *agentx;	/* as the settings have them */
	bool ran;			/* it was at work, and begins anew */
	bool waits;			/* which could not be yet */
};

static void
usage(FILE *to)
{
	fprintf(to,
	    "usage: tlsward-agent [-fhVv] [-c FILE] [-u USER] [-x SOCKET]\n"
	    "  -c FILE    settings, instead of %s\n"
	    "  -h         this\n"
	    "  -f         stay in the foreground, which it always does\n"
	    "  -u USER    user to run as when started as root, instead of %s\n"
	    "  -v         log more\n"
	    "  -x SOCKET  AgentX socket of snmpd, instead of the settings' agentx\n"
	    "  -V         print the version\n", TLSWARD_INI, USER_DEFAULT);
}

/* False, and said why, where the user is not there or cannot be become. */
static bool
become(const char *name, bool asked)
{
	const struct passwd *pw;

	if (geteuid() != 0) {
		if (asked)
			log_line(LOG_WARNING, "-u %s is for root: runs as the user that started it", name);
		return true;
	}
	if ((pw = getpwnam(name)) == NULL) {
		log_line(LOG_ERR, "there is no user %s: %s", name, asked ? "name another with -u" :
		    "\"tlsward setup\" makes it, or name another with -u");
		return false;
	}
	if (pw->pw_uid == 0)
		return true;
	if (initgroups(pw->pw_name, pw->pw_gid) == -1 ||
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) == -1 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) == -1) {
		log_line(LOG_ERR, "cannot run as user %s: %s", name, strerror(errno));
		return false;
	}
	return true;
}

/* In the process that answers snmpd. */
static int
answer(void *arg, int channel)
{
	const struct options *o = arg;
	struct view view;
	int status;

	if (o->lock >= 0)
		close(o->lock);
	if (!view_init(&view, o->ini)) {
		log_line(LOG_ERR, "out of memory");
		return 1;
	}
	view.agent_began = o->began;
	view_refresh(&view);
	status = link_run(&view, o->socket != NULL ? o->socket : o->agentx, channel);
	view_free(&view);
	return status;
}

/*
 * A bad file is told at the start, all of it; one lock for each state_dir.  When
 * it is looked at again and again (waits), both are told once.
 */
static bool
look_first(struct options *o)
{
	struct settings *s = settings_read(o->ini, false, o->waits ? NULL : read_report_file, stderr);
	const char *dir;
	long holder = 0;
	bool go = true;

	if (s == NULL) {
		if (!o->waits)
			log_line(LOG_ERR, access(o->ini, F_OK) == 0 ? "%s: mend it and start again" :
			    "%s: not started", o->ini);
		return false;
	}
	dir = settings_place(s, SEC_SERVER, KEY_STATE_DIR);
	o->lock = parent_lock(dir, &holder);
	if (o->lock == -1) {
		if (!o->waits)
			log_line(LOG_ERR, "another tlsward-agent runs for %s (process %ld): one is "
			    "enough", dir, holder);
		go = false;
	} else if (o->lock == -2)
		log_line(LOG_WARNING, "no lock against a second agent in %s/agent: %s; "
		    "\"tlsward setup\" makes that folder", dir, strerror(errno));
	o->state_dir = strdup(dir);
	o->agentx = strdup(settings_place(s, SEC_AGENT, KEY_AGENTX));
	settings_free(s);
	return go;
}

/*
 * What no SET could be written to is told before the first one: a change is a new
 * file in the folder, and what is read-only is not replaced.
 */
static void
warn_unwritable(const char *ini)
{
	const struct passwd *pw = getpwuid(geteuid());
	char number[24], *path = realpath(ini, NULL), *slash, *folder;
	const char *user = number, *bad = NULL;
	int error;

	slash = path != NULL ? strrchr(path, '/') : NULL;
	folder = slash != NULL ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : NULL;
	if (folder == NULL)
		goto out;		/* it goes again: what reads it tells */
	if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) == -1)
		bad = folder;
	else if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == -1)
		bad = path;
	error = errno;
	if (bad == NULL)
		goto out;
	(void)snprintf(number, sizeof(number), "%lu", (unsigned long)geteuid());
	if (pw != NULL)
		user = pw->pw_name;
	if (error == EROFS)
		log_line(LOG_WARNING, "SETs will fail: %s is not writable, its file system is "
		    "read-only; in a systemd unit ReadWritePaths= opens it", bad);
	else
		log_line(LOG_WARNING, "SETs will fail: %s is not writable for %s: as root, %s%s", bad,
		    user, strcmp(user, USER_DEFAULT) == 0 ? "\"tlsward setup\"" : "chown it to ",
		    strcmp(user, USER_DEFAULT) == 0 ? "" : user);
out:
	free(folder);
	free(path);
}

/* From the first look at the settings to the end, or until they name other places. */
static int
work(struct options *o)
{
	struct alarms *alarms = NULL;
	int status = 1;

	o->state_dir = o->agentx = NULL;
	o->lock = -2;
	o->began = view_wall();
	if (!look_first(o)) {
		o->waits = o->ran;
		if (o->waits)
			status = PARENT_AGAIN;
		goto out;
	}
	warn_unwritable(o->ini);
	o->waits = false;
	o->ran = true;
	if (o->state_dir != NULL && o->agentx != NULL)
		alarms = alarms_new(o->ini, o->state_dir, o->agentx);
	if (alarms != NULL)
		status = parent_run(answer, o, alarms);
	else
		log_line(LOG_ERR, "out of memory");
	alarms_free(alarms);
out:
	if (o->lock >= 0)
		close(o->lock);
	free(o->state_dir);
	free(o->agentx);
	return status;
}

/* One that has been at work waits for its settings.  True: it is asked to end. */
static bool
wait_second(void)
{
	const struct timespec second = { 1, 0 };
	sigset_t set;

	sigemptyset(&set);		/* parent_run has blocked them */
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	return sigtimedwait(&set, NULL, &second) != -1;
}

/* An absolute path that is there and that nobody can listen at is a slip. */
static bool
socket_fits(const char *path)
{
	struct stat st;

	if (path == NULL || path[0] != '/' || stat(path, &st) == -1 || S_ISSOCK(st.st_mode))
		return true;
	log_line(LOG_ERR, "-x %s: is no socket; snmpd makes one, /var/agentx/master by default", path);
	return false;
}

int
main(int argc, char **argv)
{
	static const struct option words[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 }
	};
	struct options o = { .ini = TLSWARD_INI };
	int c, level = LOG_INFO;

	while ((c = getopt_long(argc, argv, "c:fhu:Vvx:", words, NULL)) != -1)
		switch (c) {
		case 'c':
			o.ini = optarg;
			break;
		case 'f':
			break;
		case 'u':
			o.user = optarg;
			break;
		case 'v':
			level = LOG_DEBUG;
			break;
		case 'x':
			o.socket = optarg;
			break;
		case 'V':
			printf("tlsward-agent %s\n", TLSWARD_VERSION);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	if (optind != argc) {
		fprintf(stderr, "tlsward-agent: what is \"%.64s\"?  It takes options only\n",
		    argv[optind]);
		usage(stderr);
		return 2;
	}
	log_setup("tlsward-agent", level);
	if (!socket_fits(o.socket) ||
	    !become(o.user == NULL ? USER_DEFAULT : o.user, o.user != NULL))
		return 1;
	log_line(LOG_NOTICE, "tlsward-agent %s for %s", TLSWARD_VERSION, o.ini);
	while ((c = work(&o)) == PARENT_AGAIN)
		if (o.waits && wait_second()) {
			c = 0;
			break;
		}
	log_line(LOG_NOTICE, "ended");
	return c;
}
