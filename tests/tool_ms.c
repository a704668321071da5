/*
 * Runs a command with its output thrown away and prints how long it took, from
 * fork(2) to its end, in milliseconds.
 *
 *	ms COMMAND ARGUMENT...
 */
#include <sys/wait.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	struct timespec from, to;
	int status, null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	pid_t pid;

	if (argc < 2)
		errx(2, "usage: ms COMMAND ARGUMENT...");
	clock_gettime(CLOCK_MONOTONIC, &from);
	if ((pid = vfork()) == 0) {
		dup2(null, STDOUT_FILENO);
		execv(argv[1], argv + 1);
		_exit(127);
	}
	if (pid == -1 || waitpid(pid, &status, 0) != pid)
		err(1, "%s", argv[1]);
	clock_gettime(CLOCK_MONOTONIC, &to);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		errx(1, "%s failed", argv[1]);
	printf("%.3f\n", (double)(to.tv_sec - from.tv_sec) * 1e3 +
	    (double)(to.tv_nsec - from.tv_nsec) / 1e6);
	return 0;
}
