/* See cmd_access.h. */
#include <sys/stat.h>
#include <sys/xattr.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "cmd_access.h"
#include "cmd_cert.h"

/* ---- who reads ---- */

bool
reader_find(struct reader *r, const char *server, const char *user, const char *group)
{
	const struct passwd *pw = getpwnam(user);
	const struct group *gr;
	unsigned id;

	if (pw == NULL && read_number(user, 0, INT_MAX, &id))
		pw = getpwuid((uid_t)id);
	if (pw == NULL)
		return false;
	*r = (struct reader){ .server = server, .uid = pw->pw_uid, .ngids = READER_GROUPS };
	snprintf(r->name, sizeof(r->name), "%s", pw->pw_name);
	r->gids[0] = pw->pw_gid;
	if (group != NULL && (gr = getgrnam(group)) != NULL)
		r->gids[0] = gr->gr_gid;
	else if (group != NULL && read_number(group, 0, INT_MAX, &id))
		r->gids[0] = (gid_t)id;
	gr = getgrgid(r->gids[0]);
	if (gr != NULL)
		snprintf(r->group, sizeof(r->group), "%s", gr->gr_name);
	else
		snprintf(r->group, sizeof(r->group), "%lu", (unsigned long)r->gids[0]);
	if (getgrouplist(r->name, r->gids[0], r->gids, &r->ngids) < 0)
		r->ngids = READER_GROUPS;
	return true;
}

/* A file or folder below state_dir; false: it is not there. */
static bool
state_stat(const struct settings *s, const char *below, struct stat *st)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/%s", settings_place(s, SEC_SERVER, KEY_STATE_DIR),
	    below) < (int)sizeof(path) && stat(path, st) == 0;
}

/*
 * `tlsward setup` gives each server that is installed a folder, so the folder
 * alone tells nothing where there is OpenSMTPD's as well.
 */
bool
reader_exim(struct reader *r, const struct settings *s)
{
	struct stat st, other;
	char user[32];

	if (!state_stat(s, "exim/counters", &st) &&
	    (!state_stat(s, "exim", &st) || state_stat(s, "opensmtpd", &other)))
		return false;
	snprintf(user, sizeof(user), "%lu", (unsigned long)st.st_uid);
	return reader_find(r, "Exim", user, NULL);
}

/* ---- what may be read ---- */

static bool
in_group(const struct reader *r, gid_t gid)
{
	for (int i = 0; i < r->ngids; i++)
		if (r->gids[i] == gid)
			return true;
	return false;
}

/* Has it the bit, S_IROTH or S_IXOTH, of what is there? */
static bool
may(const struct reader *r, const char *path, const struct stat *st, mode_t bit)
{
	mode_t mode = st->st_mode;

	if (r->uid == 0 || getxattr(path, "system.posix_acl_access", NULL, 0) > 0)
		return true;
	if (st->st_uid == r->uid)
		mode >>= 6;
	else if (in_group(r, st->st_gid))
		mode >>= 3;
	return (mode & bit) != 0;
}

/* "root:Debian-exim, mode 0600" */
static const char *
owner_text(const struct stat *st, char buf[160])
{
	const struct passwd *pw = getpwuid(st->st_uid);
	const struct group *gr = getgrgid(st->st_gid);
	char user[32], group[32];

	snprintf(user, sizeof(user), "%lu", (unsigned long)st->st_uid);
	snprintf(group, sizeof(group), "%lu", (unsigned long)st->st_gid);
	snprintf(buf, 160, "%.60s:%.60s, mode %04o", pw != NULL ? pw->pw_name : user,
	    gr != NULL ? gr->gr_name : group, (unsigned)st->st_mode & 07777);
	return buf;
}

/* Each folder above the path, the topmost first; false: one keeps the reader out. */
static bool
folders_open(const struct reader *r, const char *path, char why[ACCESS_WHY])
{
	char folder[PATH_MAX], owner[160];
	struct stat st;

	for (const char *p = path; (p = strchr(p, '/')) != NULL; p++) {
		snprintf(folder, sizeof(folder), "%.*s", p == path ? 1 : (int)(p - path), path);
		if (stat(folder, &st) < 0)
			return true;
		if (may(r, folder, &st, S_IXOTH))
			continue;
		snprintf(why, ACCESS_WHY, "(the folder %.300s is %s): chgrp %s %.300s; chmod g+x %.300s",
		    folder, owner_text(&st, owner), r->group, folder, folder);
		return false;
	}
	return true;
}

/* What is secret is opened to a group, what is not to everybody. */
static bool
readable(const struct reader *r, const char *path, bool secret, char why[ACCESS_WHY])
{
	char real[PATH_MAX], owner[160];
	struct stat st;

	if (realpath(path, real) == NULL || stat(real, &st) < 0)
		return true;
	/* a link is looked up by its own folders, then by those of its aim */
	if (!folders_open(r, path, why) || !folders_open(r, real, why))
		return false;
	if (may(r, real, &st, S_IROTH))
		return true;
	if (secret)
		snprintf(why, ACCESS_WHY, "(%s): chgrp %s %.300s; chmod 0640 %.300s", owner_text(&st, owner),
		    r->group, path, path);
	else
		snprintf(why, ACCESS_WHY, "(%s): chmod 0644 %.300s", owner_text(&st, owner), path);
	return false;
}

bool
access_program(const struct reader *r, const char *path, char why[ACCESS_WHY])
{
	char real[PATH_MAX], owner[160];
	struct stat st;

	if (realpath(path, real) == NULL || stat(real, &st) < 0) {
		if (errno == EACCES)
			return true;
		snprintf(why, ACCESS_WHY, "(%s): install it there, or name where it is",
		    strerror(errno));
		return false;
	}
	if (!folders_open(r, path, why) || !folders_open(r, real, why))
		return false;
	if (S_ISREG(st.st_mode) && may(r, real, &st, S_IXOTH))
		return true;
	snprintf(why, ACCESS_WHY, "(%s): chmod 0755 %.300s", S_ISREG(st.st_mode) ?
	    owner_text(&st, owner) : "no regular file", path);
	return false;
}

/* ---- the files of the settings ---- */

struct check {
	const struct access *a;
	const struct reader *r;
};

static void
check_file(const struct check *c, unsigned line, const char *title, const char *path, bool secret,
    const char *lost)
{
	char why[ACCESS_WHY], text[2 * ACCESS_WHY];

	if (path == NULL || readable(c->r, path, secret, why))
		return;
	snprintf(text, sizeof(text), "%s%s%.300s cannot be read by %s, as whom %s runs, so %s %s",
	    title, *title != '\0' ? ": " : "", path, c->r->name, c->r->server, lost, why);
	c->a->report(c->a->arg, c->a->severity, c->a->ini, line, text);
}

static void
check_rule(const struct check *c, const struct rule *r, enum key k, bool secret, const char *lost)
{
	char title[SECTION_TEXT];

	if (!rule_sets(r, k))		/* of thousands of rules, few name a file */
		return;
	section_text((enum section)r->section, settings_name(c->a->s, r), title);
	check_file(c, settings_line(c->a->s, r, k), title, settings_text(c->a->s, r, k), secret,
	    lost);
}

/* Is the [ca] named by any rule? */
static bool
ca_used(const struct settings *s, const char *name)
{
	const struct rule *r;
	const char *ca;

	for (int section = 0; section < SEC_RULES; section++)
		for (size_t i = 0; (r = settings_at(s, (enum section)section, i)) != NULL; i++)
			if ((ca = settings_text(s, r, KEY_CA)) != NULL && strcmp(ca, name) == 0)
				return true;
	return false;
}

static void
check_tls(const struct check *c)
{
	const struct settings *s = c->a->s;
	const struct rule *r;
	size_t i;

	for (i = 0; (r = settings_at(s, SEC_CERTIFICATE, i)) != NULL; i++) {
		if (cert_user(s, settings_name(s, r), 0) == NULL && !rule_sets(r, KEY_NAMES))
			continue;
		check_rule(c, r, KEY_FILE, false, "STARTTLS is answered with 454");
		check_rule(c, r, KEY_KEY, true, "STARTTLS is answered with 454");
	}
	for (i = 0; (r = settings_at(s, SEC_CA, i)) != NULL; i++) {
		if (!ca_used(s, settings_name(s, r)))
			continue;
		check_rule(c, r, KEY_FILE, false, "mail that needs it waits, with 451");
		check_rule(c, r, KEY_CRL, false, "mail that needs it waits, with 451");
	}
}

void
access_check(const struct access *a, const struct reader *reader, bool tls)
{
	const struct check c = { a, reader };
	char ini[PATH_MAX];
	const struct rule *r;

	if (realpath(a->ini, ini) != NULL)
		check_file(&c, 0, "", a->ini[0] == '/' ? a->ini : ini, false,
		    "mail is refused with 451");
	if (tls)
		check_tls(&c);
	for (int section = 0; section < SEC_RULES; section++)
		for (size_t i = 0; (r = settings_at(a->s, (enum section)section, i)) != NULL; i++)
			check_rule(&c, r, KEY_CERTS, false, "mail that needs it waits, with 451");
}
