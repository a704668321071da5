/*
 * libinih alone on a file, as anybody would call it.  For tests/bench_cli.sh.
 *
 *	rival_ini FILE
 */
#include <err.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>

static int
handler(void *user, const char *section, const char *name, const char *value)
{
	(void)section;
	(void)name;
	(void)value;
	++*(unsigned long *)user;
	return 1;
}

int
main(int argc, char **argv)
{
	unsigned long keys = 0;
	int line;

	if (argc != 2)
		errx(2, "usage: rival_ini FILE");
	if ((line = ini_parse(argv[1], handler, &keys)) != 0)
		errx(1, "%s:%d", argv[1], line);
	printf("keys=%lu\n", keys);
	return 0;
}
