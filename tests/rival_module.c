/*
 * What the Exim module is measured beside in a child of a daemon that has loaded
 * nothing: a module that only answers, needs nothing and has nothing.  What it takes
 * is the dynamic loader's.
 */
typedef int entry(unsigned char **yield, int argc, unsigned char *argv[]);
entry rival_rcpt;

int
rival_rcpt(unsigned char **yield, int argc, unsigned char *argv[])
{
	(void)argc;
	(void)argv;
	*yield = (unsigned char *)"accept";
	return 0;
}
