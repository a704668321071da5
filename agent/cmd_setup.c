/*
 * tlsward setup: makes what is missing on a machine, once or again.
 *
 *	the agent's user
 *	the folder of the settings, which the agent writes, and a first file
 *	state_dir with a folder for the agent and one for each server's
 *	counters, owned by the user that server runs as
 */
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "cmd_setup_folder.h"
#include "cmd_setup_sample.h"
#include "keys.h"
#include "read.h"

#define AGENT_USER "tlsward"
#define INI_MAX 512		/* octets of the settings' path */

struct setup {
	const char *ini;
	bool dry;		/* change nothing: --dry-run, or not root */
	const char *change;	/* the word for a change: "done", "would", or "root" for what needs it */
	unsigned todo, failed;	/* what a dry run would change; what went wrong */
};

struct owner {
	const char *name;
	uid_t uid;
	gid_t gid;
	bool known;		/* false: a user that a dry run did not make */
};

enum outcome { RIGHT, CHANGE, NOTE, FAIL };

static void say(struct setup *, enum outcome, const char *, ...)
    __attribute__((format(printf, 3, 4)));

/* A line of what was found or done. */
static void
say(struct setup *su, enum outcome what, const char *format, ...)
{
	const char *word = "ok";
	va_list ap;

	if (what == CHANGE) {
		word = su->change;
		su->todo++;
	} else if (what == NOTE) {
		word = "note";
	} else if (what == FAIL) {
		word = "FAILED";
		su->failed++;
	}
	printf("%-7s ", word);
	va_start(ap, format);
	put_vmessage(stdout, format, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

/* ---- users ---- */

static bool
find_owner(const char *name, struct owner *o)
{
	const struct passwd *pw = getpwnam(name);

	*o = (struct owner){ .name = name };
	if (pw == NULL)
		return false;
	o->uid = pw->pw_uid;
	o->gid = pw->pw_gid;
	o->known = true;
	return true;
}

static bool
useradd(void)
{
	char *const argv[] = { "useradd", "--system", "--user-group", "--no-create-home",
	    "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin",
	    "--comment", "tlsward agent", AGENT_USER, NULL };
	char *const envp[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	int status;
	pid_t pid;

	if ((pid = fork()) == -1)
		return false;
	if (pid == 0) {
		execve("/usr/sbin/useradd", argv, envp);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
setup_user(struct setup *su, struct owner *agent)
{
	if (find_owner(AGENT_USER, agent)) {
		say(su, RIGHT, "user %s", AGENT_USER);
		return;
	}
	if (!su->dry && (!useradd() || !find_owner(AGENT_USER, agent))) {
		say(su, FAIL, "user %s: useradd --system %s did not make it; make it by hand",
		    AGENT_USER, AGENT_USER);
		return;
	}
	say(su, CHANGE, "user %s: new, for the agent (useradd --system)", AGENT_USER);
}

/* ---- folders and files ---- */

/* A user's name, else the number.  Returns buf. */
static const char *
user_text(uid_t uid, char buf[64])
{
	const struct passwd *pw = getpwuid(uid);

	if (pw != NULL)
		snprintf(buf, 64, "%.60s", pw->pw_name);
	else
		snprintf(buf, 64, "user %lu", (unsigned long)uid);
	return buf;
}

/*
 * Gives what fd has open its owner and mode where they differ, and says so;
 * `fresh` says what it is that was just made.
 */
static void
set_owner(struct setup *su, int fd, const char *path, const struct owner *o, mode_t mode,
    const char *fresh)
{
	struct stat st;
	char was[64];
	bool owner, bits;

	if (fstat(fd, &st) == -1) {
		say(su, FAIL, "%s: %s", path, strerror(errno));
		return;
	}
	owner = !o->known || st.st_uid != o->uid || st.st_gid != o->gid;
	bits = (st.st_mode & 07777) != mode;
	if (!owner && !bits && fresh == NULL) {
		say(su, RIGHT, "%s (%s, mode %o)", path, o->name, (unsigned)mode);
		return;
	}
	if (!su->dry && ((owner && (!o->known || fchown(fd, o->uid, o->gid) == -1)) ||
	    (bits && fchmod(fd, mode) == -1))) {
		say(su, FAIL, "%s: cannot be given to %s, mode %o: %s", path, o->name,
		    (unsigned)mode, o->known ? strerror(errno) : "no such user");
		return;
	}
	if (fresh != NULL)
		say(su, CHANGE, "%s: new, %s (%s, mode %o)", path, fresh, o->name, (unsigned)mode);
	else
		say(su, CHANGE, "%s: owner %s, mode %o (was %s's, mode %o)", path, o->name,
		    (unsigned)mode, user_text(st.st_uid, was), (unsigned)st.st_mode & 07777);
}

struct folder {
	const char *path, *what;
	const struct owner *owner;
	bool named;		/* by the settings, or as their folder; else in one of ours */
	const struct owner *proof;	/* it is ours if it holds a folder `agent` of that owner */
};

/* What follows the last slash. */
static const char *
last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/*
 * May setup change a folder that it did not make?  Whoever may write the
 * settings names the folders, so one that is neither of the expected owner nor
 * evidently tlsward's stays as it is, be it /root or another program's.
 */
static bool
changeable(const struct folder *f, const struct stat *st)
{
	bool owner = f->owner->known && st->st_uid == f->owner->uid;

	if (!f->named)			/* a folder in one of ours */
		return owner;
	return (owner && f->owner->uid != 0) ||
	    (strcmp(last_name(f->path), "tlsward") == 0 && (owner || st->st_uid == 0));
}

/* Says what is there already, and whether it can be used. */
static bool
take_folder(struct setup *su, const struct folder *f, int fd)
{
	struct stat st, in;
	char user[64];

	if (fstat(fd, &st) == -1) {
		say(su, FAIL, "%s: %s", f->path, strerror(errno));
		return false;
	}
	if (changeable(f, &st)) {
		set_owner(su, fd, f->path, f->owner, 0755, NULL);
		return true;
	}
	if (f->proof != NULL && st.st_uid == 0 && (st.st_mode & 07777) == 0755 &&
	    fstatat(fd, "agent", &in, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(in.st_mode) &&
	    f->proof->known && in.st_uid == f->proof->uid) {
		say(su, RIGHT, "%s (%s, mode 755)", f->path, f->owner->name);
		return true;
	}
	if (f->named)
		say(su, FAIL, "%s: is there already, %s's, mode %o, and not evidently tlsward's, so "
		    "setup leaves it alone; name a folder of its own, called tlsward", f->path,
		    user_text(st.st_uid, user), (unsigned)st.st_mode & 07777);
	else
		say(su, FAIL, "%s: belongs to %s, so setup leaves it alone; if it is tlsward's: "
		    "chown -R %s: %s", f->path, user_text(st.st_uid, user), f->owner->name, f->path);
	return false;
}

/*
 * A folder of that owner, mode 755; `name` is what folder_open takes.  Returns
 * it open, to be closed, or -1: there is none that may be used now.
 */
static int
setup_folder(struct setup *su, int at, const char *name, const struct folder *f)
{
	char why[FOLDER_WHY];
	enum folder_found found;
	int fd;

	found = folder_open(at, name, !su->dry && f->owner->known, &fd, why);
	switch (found) {
	case FOLDER_WRONG:
		say(su, FAIL, "%s: %s", f->path, why);
		return -1;
	case FOLDER_MISSING:
		if (su->dry)
			say(su, CHANGE, "%s: new, %s (%s, mode 755)", f->path, f->what, f->owner->name);
		else
			say(su, FAIL, "%s: there is no user %s to own it", f->path, f->owner->name);
		return -1;
	case FOLDER_MADE:
		set_owner(su, fd, f->path, f->owner, 0755, f->what);
		return fd;
	case FOLDER_THERE:
		break;
	}
	if (take_folder(su, f, fd))
		return fd;
	close(fd);
	return -1;
}

/* ---- the settings ---- */

static void
make_ini(struct setup *su, int folder, const struct owner *agent)
{
	size_t len = 0;
	char *text = setup_sample(&len);
	int fd;

	fd = openat(folder, last_name(su->ini), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd == -1 || text == NULL || write(fd, text, len) != (ssize_t)len || fsync(fd) == -1) {
		say(su, FAIL, "%s: cannot be written: %s", su->ini, strerror(errno));
		if (fd != -1)
			unlinkat(folder, last_name(su->ini), 0);
	} else {
		set_owner(su, fd, su->ini, agent, 0644, "the first settings");
	}
	if (fd != -1)
		close(fd);
	free(text);
}

static void
setup_ini(struct setup *su, int folder, const struct owner *agent)
{
	const char *name = last_name(su->ini);
	struct stat st;
	int fd;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == -1 && errno == ENOENT) {
		if (su->dry)
			say(su, CHANGE, "%s: new, the first settings (%s, mode 644)", su->ini,
			    agent->name);
		else
			make_ini(su, folder, agent);
		return;
	}
	fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	/* A second name may be that of somebody else's file, linked here to be given away. */
	if (fd == -1 || fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) || st.st_nlink != 1) {
		say(su, FAIL, "%s: %s; setup leaves it alone", su->ini, fd == -1 ?
		    strerror(errno) : "is not a plain file with one name");
	} else {
		set_owner(su, fd, su->ini, agent, 0644, NULL);
	}
	if (fd != -1)
		close(fd);
}

/*
 * The agent renames in the folder of the settings, so the folder becomes its
 * own.  That must never happen to a folder that is anybody else's, like /etc.
 */
static void
setup_settings(struct setup *su, const struct owner *agent)
{
	char path[INI_MAX];
	struct folder f = { path, "the folder of the settings", agent, true, NULL };
	const char *name = last_name(su->ini);
	int fd;

	snprintf(path, sizeof(path), "%.*s", (int)(name - su->ini - 1), su->ini);
	fd = setup_folder(su, -1, path, &f);
	if (fd != -1) {
		setup_ini(su, fd, agent);
		close(fd);
	} else if (su->dry && access(path, F_OK) == -1 && errno == ENOENT) {
		say(su, CHANGE, "%s: new, the first settings (%s, mode 644)", su->ini, agent->name);
	}
}

/* ---- the counters ---- */

/*
 * The settings that name state_dir, NULL where there is no file yet: then the
 * preset holds.  False: they have errors, which were printed, so that the
 * folders are not known.
 */
static bool
state_settings(struct setup *su, struct settings **s)
{
	struct stat st;

	*s = NULL;
	if (stat(su->ini, &st) == -1 && errno == ENOENT)
		return true;
	if ((*s = settings_read(su->ini, false, put_report, stderr)) != NULL)
		return true;
	say(su, FAIL, "the folders of counters: %s has errors, so that its state_dir is not known; "
	    "mend it and run setup again", su->ini);
	return false;
}

/* A folder in state_dir, which is open as `at`; -1: a dry run did not make it. */
static void
setup_below(struct setup *su, int at, const char *dir, const char *name, const struct owner *o,
    const char *what)
{
	char path[512];
	const struct folder f = { path, what, o, false, NULL };
	int fd;

	snprintf(path, sizeof(path), "%.480s/%s", dir, name);
	if (at == -1) {
		say(su, CHANGE, "%s: new, %s (%s, mode 755)", path, what, o->name);
		return;
	}
	if ((fd = setup_folder(su, at, name, &f)) != -1)
		close(fd);
}

static void
setup_state(struct setup *su, const struct owner *agent)
{
	static const struct {
		const char *folder, *server, *counters, *user[3];
	} servers[] = {
		{ "opensmtpd", "OpenSMTPD", "OpenSMTPD's counters", { "opensmtpd", NULL, NULL } },
		{ "exim", "Exim", "Exim's counters", { "Debian-exim", "exim", NULL } },
	};
	const struct owner root = { "root", 0, 0, true };
	struct folder f = { NULL, "the folder of counters", &root, true, agent };
	unsigned failed = su->failed;
	struct settings *s;
	struct owner o;
	const char *dir;
	size_t i, u;
	int at = -1;

	if (!state_settings(su, &s))
		return;
	f.path = dir = settings_place(s, SEC_SERVER, KEY_STATE_DIR);
	at = setup_folder(su, -1, dir, &f);
	if (su->failed > failed)
		goto out;
	setup_below(su, at, dir, "agent", agent, "the agent's own folder");
	for (i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
		for (u = 0; servers[i].user[u] != NULL; u++)
			if (find_owner(servers[i].user[u], &o))
				break;
		if (servers[i].user[u] == NULL)
			say(su, NOTE, "%s is not installed (there is no user %s)",
			    servers[i].server, servers[i].user[0]);
		else
			setup_below(su, at, dir, servers[i].folder, &o, servers[i].counters);
	}
out:
	if (at != -1)
		close(at);
	settings_free(s);
}

int
cmd_setup(struct cmd *c, int argc, char **argv)
{
	static const struct usage usage = { "setup [--dry-run]",
	    "Makes the agent's user " AGENT_USER ", the folder of the settings and a first file, and\n"
	    "the folders in which the servers that are installed keep their counters; sets\n"
	    "their owners and modes right.  Says each thing that it did or found right.  May\n"
	    "be run again at any time.\n" };
	const bool root = geteuid() == 0;
	struct setup su = { .ini = NULL };
	const struct opt options[] = {
		{ "dry-run", OPT_FLAG, &su.dry, NULL, "only say what would be done" },
		{ NULL, OPT_FLAG, NULL, NULL, NULL }
	};
	struct owner agent;
	bool dry;
	int n;

	if ((n = opt_parse(c, &usage, options, argc, argv)) < 0)
		return c->status;
	if (n > 0)
		return cmd_usage(c, "takes no operand \"%.64s\"", argv[0]);
	/* said before anything is made */
	if (c->ini[0] != '/' || last_name(c->ini)[0] == '\0' || strlen(c->ini) >= INI_MAX)
		return cmd_usage(c, "-c %.300s: setup needs the absolute path of the settings", c->ini);
	dry = su.dry;
	su.ini = c->ini;
	su.dry = dry || !root;
	su.change = dry ? "would" : root ? "done" : "root";
	umask(022);
	setup_user(&su, &agent);
	setup_settings(&su, &agent);
	setup_state(&su, &agent);
	if (!dry && !root && su.todo > 0)
		return cmd_error("%u thing%s to be set right, marked \"root\" or \"FAILED\": run "
		    "`tlsward setup` as root", su.todo + su.failed,
		    su.todo + su.failed == 1 ? " is" : "s are");
	if (su.failed > 0)
		return cmd_error("%u thing%s could not be set right", su.failed,
		    su.failed == 1 ? "" : "s");
	return EXIT_DONE;
}
