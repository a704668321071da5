/*
 * Options, messages and the nearest word; see cmd.h.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "nearest.h"

int
cmd_error(const char *format, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("tlsward: ", stderr);
	va_start(ap, format);
	put_vmessage(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_FAILED;
}

const char *
cmd_self(const struct cmd *c)
{
	static char text[4096];

	if (strcmp(c->ini, TLSWARD_INI) == 0)
		return "tlsward";
	snprintf(text, sizeof(text), strchr(c->ini, ' ') != NULL ? "tlsward -c '%s'" : "tlsward -c %s",
	    c->ini);
	return text;
}

int
cmd_usage(const struct cmd *c, const char *format, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "tlsward %s: ", c->name);
	va_start(ap, format);
	put_vmessage(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "\nSee `tlsward %s --help`.\n", c->name);
	return EXIT_USAGE;
}

const char *
meant(const char *typed, const char *const *words, size_t n, char buf[HINT_SIZE])
{
	const char *word = nearest(typed, strlen(typed), words, n);

	buf[0] = '\0';
	if (word != NULL)
		snprintf(buf, HINT_SIZE, "; did you mean \"%s\"?", word);
	return buf;
}

#define OPTIONS_MAX 24

static const struct opt common[] = {
	{ "help", OPT_FLAG, NULL, NULL, "show this" },
	{ NULL, OPT_FLAG, NULL, NULL, NULL }
};

static void
help_line(const char *head, const char *text)
{
	if (strlen(head) > 21)
		printf("  %s\n%-24s%s\n", head, "", text);
	else
		printf("  %-22s%s\n", head, text);
}

static void
help(const struct cmd *c, const struct usage *u, const struct opt *table)
{
	char head[64], line[128];
	const struct opt *o;

	printf("usage: tlsward [-c FILE] %s\n\n%s\n", u->synopsis, u->text);
	for (o = table; o->name != NULL; o++) {
		if (o->name[1] == '\0')
			snprintf(head, sizeof(head), "-%s %s", o->name, o->arg);
		else if (o->kind == OPT_FLAG)
			snprintf(head, sizeof(head), "--%s", o->name);
		else if (o->kind == OPT_MAYBE)
			snprintf(head, sizeof(head), "--%s[=%s]", o->name, o->arg);
		else
			snprintf(head, sizeof(head), "--%s %s", o->name, o->arg);
		help_line(head, o->help);
	}
	snprintf(line, sizeof(line), "the settings (now %.80s)", c->ini);
	help_line("-c FILE", line);
	help_line("--help", "show this");
}

static const struct opt *
find_option(const struct opt *table, const char *name, size_t len)
{
	const struct opt *o;

	for (o = table; o->name != NULL; o++)
		if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			return o;
	return table == common ? NULL : find_option(common, name, len);
}

static int
unknown_option(struct cmd *c, const struct opt *table, const char *arg, size_t len)
{
	const char *words[OPTIONS_MAX] = { "help" }, *word;
	size_t n, dashes = strspn(arg, "-");

	for (n = 1; table[n - 1].name != NULL && n < OPTIONS_MAX; n++)
		words[n] = table[n - 1].name;
	if (dashes == 1 && isdigit((unsigned char)arg[1])) {
		c->status = cmd_usage(c, "%.64s is taken for an option: a value that begins with - comes "
		    "after --, as in `tlsward %s ... -- %.64s`", arg, c->name, arg);
		return -1;
	}
	word = dashes < len ? nearest(arg + dashes, len - dashes, words, n) : NULL;
	c->status = cmd_usage(c, "unknown option %.*s%s%s%s", len < 64 ? (int)len : 64, arg,
	    word != NULL ? "; did you mean --" : "", word != NULL ? word : "",
	    word != NULL ? "?" : "");
	return -1;
}

static int
store(struct cmd *c, const struct opt *o, const char *value)
{
	struct opt_list *list;

	switch (o->kind) {
	case OPT_FLAG:
		*(bool *)o->to = true;
		break;
	case OPT_VALUE:
	case OPT_MAYBE:
		*(const char **)o->to = value != NULL ? value : "";
		break;
	case OPT_LIST:
		list = o->to;
		if (list->count == OPT_LIST_MAX) {
			c->status = cmd_usage(c, "--%s was given more than %d times", o->name,
			    OPT_LIST_MAX);
			return -1;
		}
		list->item[list->count++] = value;
		break;
	}
	return 0;
}

/* argv[*at] is an option: takes it, and its value.  Negative: an error, or --help. */
static int
take_option(struct cmd *c, const struct usage *u, const struct opt *table, int argc,
    char **argv, int *at)
{
	const char *arg = argv[*at], *value = NULL, *eq;
	const struct opt *o;
	size_t len;

	eq = strchr(arg, '=');
	len = eq != NULL ? (size_t)(eq - arg) : strlen(arg);
	if (arg[1] == 'c' && len > 2 && find_option(table, arg + 1, len - 1) != NULL)
		return unknown_option(c, table, arg, len);	/* not -c with the file "ert" */
	if (arg[1] == 'c') {		/* -c FILE, -cFILE */
		value = arg[2] != '\0' ? arg + 2 : ++*at < argc ? argv[*at] : NULL;
		if (value == NULL || value[0] == '\0') {
			c->status = cmd_usage(c, "-c needs a file");
			return -1;
		}
		c->ini = value;
		return 0;
	}
	if (strcmp(arg, "-h") == 0)
		o = &common[0];
	else if (arg[1] != '-' && arg[2] == '\0' && (o = find_option(table, arg + 1, 1)) != NULL)
		eq = NULL;
	else if (arg[1] != '-' || (o = find_option(table, arg + 2, len - 2)) == NULL)
		return unknown_option(c, table, arg, len);
	if (o == &common[0]) {
		help(c, u, table);
		c->status = EXIT_DONE;
		return -1;
	}
	if (eq != NULL)
		value = eq + 1;
	if (o->kind == OPT_FLAG && value != NULL) {
		c->status = cmd_usage(c, "--%s takes no value", o->name);
		return -1;
	}
	if ((o->kind == OPT_VALUE || o->kind == OPT_LIST) && value == NULL) {
		if (*at + 1 >= argc) {
			const char *dash = o->name[1] == '\0' ? "-" : "--";

			c->status = cmd_usage(c, "%s%s needs a value: %s%s %s", dash, o->name,
			    dash, o->name, o->arg);
			return -1;
		}
		value = argv[++*at];
	}
	return store(c, o, value);
}

int
opt_parse(struct cmd *c, const struct usage *u, const struct opt *table, int argc, char **argv)
{
	bool ended = false;
	int i, n = 0;

	for (i = 1; i < argc; i++) {
		if (ended || argv[i][0] != '-' || argv[i][1] == '\0') {
			argv[n++] = argv[i];
		} else if (strcmp(argv[i], "--") == 0) {
			ended = true;
		} else if (take_option(c, u, table, argc, argv, &i) < 0) {
			return -1;
		}
	}
	return n;
}
