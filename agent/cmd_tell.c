/*
 * A word to the agent that a change of the settings was the command line's; its
 * notification says so.  Nobody minds if it is not heard: then the change counts
 * as an editor's.
 */
#include <sys/socket.h>
#include <sys/un.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd.h"

void
tell_agent(const struct settings *s, const struct file_id *id)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, n;

	n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/agent/changes",
	    settings_place(s, SEC_SERVER, KEY_STATE_DIR));
	if (n < 0 || (size_t)n >= sizeof(sun.sun_path) ||
	    (fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) == -1)
		return;
	(void)sendto(fd, id, sizeof(*id), MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&sun,
	    sizeof(sun));
	close(fd);
}
