/* The part of cmd_keystore.h about who may read a key. */
#include <sys/stat.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd_keystore.h"
#include "cmd_keystore_int.h"

static const char *const exim_groups[] = { "Debian-exim", "exim" };

static bool
find_group(const char *group, gid_t *gid, char why[STORE_WHY])
{
	const struct group *gr = getgrnam(group);

	if (gr == NULL) {
		snprintf(why, STORE_WHY, "there is no group %.64s; name the one that the mail server "
		    "runs as", group);
		return false;
	}
	*gid = gr->gr_gid;
	return true;
}

static void
default_group(const struct keystore *ks, const char *name, gid_t *gid)
{
	const struct group *gr = NULL;
	struct stat st;

	/* Somebody chose it: one of us, not whoever put a file there. */
	if (keystore_stat(ks, name, STORE_KEY, &st) && S_ISREG(st.st_mode) && st.st_gid != 0 &&
	    (st.st_uid == 0 || st.st_uid == geteuid())) {
		*gid = st.st_gid;
		return;
	}
	for (size_t i = 0; gr == NULL && i < sizeof(exim_groups) / sizeof(exim_groups[0]); i++)
		gr = getgrnam(exim_groups[i]);
	*gid = gr != NULL ? gr->gr_gid : 0;
}

bool
keystore_access(const struct keystore *ks, const char *name, const char *group,
    struct store_access *a, char why[STORE_WHY])
{
	char user_text[32], group_text[32];
	const struct passwd *pw;
	const struct group *gr;

	a->uid = geteuid();
	a->gid = getegid();
	a->mode = a->uid == 0 || group != NULL ? 0640 : 0600;
	if (group != NULL) {
		if (!find_group(group, &a->gid, why))
			return false;
	} else if (a->uid == 0) {
		default_group(ks, name, &a->gid);
	}
	pw = getpwuid(a->uid);
	snprintf(user_text, sizeof(user_text), "%lu", (unsigned long)a->uid);
	gr = getgrgid(a->gid);
	snprintf(group_text, sizeof(group_text), "%lu", (unsigned long)a->gid);
	snprintf(a->text, sizeof(a->text), "%.64s, group %.64s, mode %04o",
	    pw != NULL ? pw->pw_name : user_text, gr != NULL ? gr->gr_name : group_text,
	    (unsigned)a->mode);
	return true;
}
