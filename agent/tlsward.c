/*
 * tlsward: the command line.  One table of commands; each has its own file
 * cmd_*.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"

static const struct command {
	const char *name;
	cmd_handler *run;
	const char *help;
} commands[] = {
	{ "check",	cmd_check,	"print all errors and warnings of the settings" },
	{ "show",	cmd_show,	"print what holds for a name, and where it is set" },
	{ "set",	cmd_set,	"change a setting" },
	{ "unset",	cmd_unset,	"remove a setting or a whole section" },
	{ "explain",	cmd_explain,	"tell what would happen to a mail, and by which rule" },
	{ "status",	cmd_status,	"print the counters" },
	{ "probe",	cmd_probe,	"connect to the listeners and tell what they really show" },
	{ "render",	cmd_render,	"print the part of the server's configuration that is implied" },
	{ "cert",	cmd_cert,	"the key store: make, import, list, choose certificates" },
	{ "setup",	cmd_setup,	"make the user, folders and settings that are missing" },
};
#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

static void
help(FILE *f)
{
	size_t i;

	fprintf(f, "usage: tlsward [-c FILE] COMMAND [OPTION ...]\n"
	    "       tlsward COMMAND --help\n"
	    "       tlsward -V\n\n"
	    "TLS rules for incoming mail, kept in %s.\n\n", TLSWARD_INI);
	for (i = 0; i < NCOMMANDS; i++)
		fprintf(f, "  %-10s%s\n", commands[i].name, commands[i].help);
}

static int
run(struct cmd *c, int argc, char **argv)
{
	const char *words[NCOMMANDS];
	char hint[HINT_SIZE];
	size_t i;

	for (i = 0; i < NCOMMANDS; i++) {
		if (strcmp(commands[i].name, argv[0]) == 0) {
			c->name = commands[i].name;
			return commands[i].run(c, argc, argv);
		}
		words[i] = commands[i].name;
	}
	put_message(stderr, "tlsward: there is no command \"%.64s\"%s\nSee `tlsward --help`.\n",
	    argv[0], meant(argv[0], words, NCOMMANDS, hint));
	return EXIT_USAGE;
}

/* Full disks and closed pipes show when the last of the output is written. */
static int
finish(int status)
{
	if (fflush(stdout) != 0 || ferror(stdout)) {
		if (errno == EPIPE)	/* the reader had enough */
			return status;
		return cmd_error("the output could not be written: %s", strerror(errno));
	}
	return status;
}

int
main(int argc, char **argv)
{
	struct cmd c = { .name = "", .ini = TLSWARD_INI };
	char *swapped[] = { NULL, "--help", NULL };
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "-V") == 0 || strcmp(argv[i], "--version") == 0) {
			printf("tlsward %s\n", TLSWARD_VERSION);
			return finish(EXIT_DONE);
		}
		if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
			help(stdout);
			return finish(EXIT_DONE);
		}
		if (strncmp(argv[i], "-c", 2) != 0 || (argv[i][2] == '\0' && i + 1 >= argc)) {
			if (strcmp(argv[i], "-c") == 0)
				fprintf(stderr, "tlsward: -c needs a file\n");
			else
				put_message(stderr, "tlsward: unknown option %.64s before the command\n",
				    argv[i]);
			fprintf(stderr, "See `tlsward --help`.\n");
			return EXIT_USAGE;
		}
		c.ini = argv[i][2] != '\0' ? argv[i] + 2 : argv[++i];
	}
	if (i == argc) {
		help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[i], "help") == 0) {
		if (i + 1 == argc) {
			help(stdout);
			return finish(EXIT_DONE);
		}
		swapped[0] = argv[i + 1];
		return finish(run(&c, 2, swapped));
	}
	return finish(run(&c, argc - i, argv + i));
}
