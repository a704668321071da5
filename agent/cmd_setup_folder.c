/* See cmd_setup_folder.h. */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd_setup_folder.h"

/* Why a component cannot be opened; what stands in its place, where that is it. */
static void
tell(int at, const char *name, int error, char why[FOLDER_WHY])
{
	const char *what = strerror(error);
	struct stat st;

	if ((error == ENOTDIR || error == ELOOP) &&
	    fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		what = S_ISLNK(st.st_mode) ? "is a symbolic link, and setup follows none; name "
		    "the folder that it leads to" : "is no folder";
	snprintf(why, FOLDER_WHY, "\"%.250s\" on the way: %s", name, what);
}

/* One component: opens it, or makes it first. */
static enum folder_found
step(int at, const char *name, bool make, int *fd, char why[FOLDER_WHY])
{
	const int flags = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | (make ? O_RDONLY : O_PATH);
	enum folder_found found = FOLDER_THERE;

	if ((*fd = openat(at, name, flags)) == -1 && errno == ENOENT) {
		if (!make)
			return FOLDER_MISSING;
		if (mkdirat(at, name, 0755) == 0)
			found = FOLDER_MADE;
		*fd = openat(at, name, flags);
	}
	if (*fd != -1)
		return found;
	tell(at, name, errno, why);
	return FOLDER_WRONG;
}

enum folder_found
folder_open(int at, const char *path, bool make, int *fd, char why[FOLDER_WHY])
{
	enum folder_found found = FOLDER_THERE;
	char name[NAME_MAX + 1];
	int here = at == -1 ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : at, next;
	size_t n;

	*fd = -1;
	for (; found <= FOLDER_MADE && *(path += strspn(path, "/")) != '\0'; path += n) {
		n = strcspn(path, "/");
		snprintf(name, sizeof(name), "%.*s", n < sizeof(name) ? (int)n : NAME_MAX, path);
		if (n >= sizeof(name) || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
			snprintf(why, FOLDER_WHY, "\"%.250s\" on the way: no name for a folder", name);
			found = FOLDER_WRONG;
			next = -1;
		} else {
			found = step(here, name, make, &next, why);
		}
		if (here != at)
			close(here);
		here = next;
	}
	*fd = here;
	return found;
}
