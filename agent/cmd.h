/*
 * What the commands of tlsward(1) share: the table's entry, options, messages,
 * texts of values.
 *
 * A command's handler returns the exit status: 0 done, 1 refused or failed,
 * 2 usage.  Results go to stdout, messages to stderr.
 */
#ifndef TLSWARD_AGENT_CMD_H
#define TLSWARD_AGENT_CMD_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "read.h"
#include "settings.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct cmd {
	const char *name;
	const char *ini;	/* path of the INI */
	bool json;
	int status;		/* after a negative opt_parse: the exit status */
};

typedef int cmd_handler(struct cmd *, int argc, char **argv);	/* argv[0]: the command */
cmd_handler cmd_check, cmd_show, cmd_set, cmd_unset, cmd_explain, cmd_status, cmd_setup,
    cmd_render;
cmd_handler cmd_cert;
cmd_handler cmd_probe;

/* ---- options ---- */

enum opt_kind {
	OPT_FLAG,		/* to: bool */
	OPT_VALUE,		/* to: const char *, last one wins */
	OPT_MAYBE,		/* to: const char *; "" where no =value was given */
	OPT_LIST		/* to: struct opt_list, each occurrence */
};
#define OPT_LIST_MAX 64
struct opt_list {
	const char *item[OPT_LIST_MAX];
	size_t count;
};
struct opt {
	const char *name;	/* without the dashes; one letter: of one dash; NULL ends a table */
	enum opt_kind kind;
	void *to;
	const char *arg;	/* what the help calls the value */
	const char *help;
};
struct usage {
	const char *synopsis;	/* after "tlsward " */
	const char *text;	/* what it does, for --help */
};

/*
 * Takes the options, wherever they stand before "--", out of argv and leaves
 * the operands in argv[0..n-1]; their number n.  -c FILE and --help are known
 * to every command.  Negative: all was said, exit with c->status.
 */
int opt_parse(struct cmd *, const struct usage *, const struct opt *, int argc, char **argv);

/* ---- messages ---- */

/* "tlsward", with the -c FILE that this run had, for commands to suggest; until the next call. */
const char *cmd_self(const struct cmd *);

/* "tlsward: …" on stderr; EXIT_FAILED. */
int cmd_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same with a pointer to the command's --help; EXIT_USAGE. */
int cmd_usage(const struct cmd *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "; did you mean "X"?" where one of the n words is near (conf/nearest.h), or "".  Returns buf. */
#define HINT_SIZE 64
const char *meant(const char *typed, const char *const *words, size_t n, char buf[HINT_SIZE]);

/* ---- settings and their texts ---- */

/* Lets the agent know that this file, which has these settings, is the command line's. */
void tell_agent(const struct settings *, const struct file_id *);

/* The settings, or NULL after the errors were printed. */
struct settings *cmd_settings(const struct cmd *);

/*
 * The same for commands that print JSON: with --json the errors are an object on
 * stdout, as `check --json` prints it.
 */
struct settings *cmd_settings_json(const struct cmd *);

/* Says that there is no such section, and which there are; EXIT_USAGE. */
int unknown_section(const struct cmd *, const char *word);
/* Which [section NAME]s there are, after a message that one is not, on stderr. */
void tell_sections(const struct settings *, enum section);
/* Says that the section does not take that key, and which it does; EXIT_USAGE. */
int unknown_key(const struct cmd *, enum section, const char *word);

/*
 * The value that the rule sets, as the INI would have it; the default's with
 * r NULL.  "" where there is neither.  free(3) it; NULL: out of memory.
 */
char *setting_text(const struct settings *, const struct rule *, enum key);

/* A time in UTC: by the day, the second, or as RFC 3339 has it; "?": it has no such form.
   Returns buf. */
enum utc { UTC_DAY, UTC_SECOND, UTC_RFC3339 };
#define UTC_TEXT 32
const char *utc_text(time_t, enum utc, char buf[UTC_TEXT]);

/* A decimal number from lo to hi, and nothing else; false: it is none. */
bool read_number(const char *, unsigned lo, unsigned hi, unsigned *);

/* "[domain example.org]".  Returns buf; SECTION_TEXT holds any. */
#define SECTION_TEXT (NAME_SIZE + 32)
const char *section_text(enum section, const char *name, char buf[SECTION_TEXT]);

/* Line where the rule has the key, or what implies it. */
unsigned setting_line(const struct settings *, const struct rule *, enum key);

/*
 * The text on stdout, folded between words at 78 columns, where `column` is
 * reached already and `indent` is that of further lines; a newline at the end.
 */
void put_folded(size_t column, size_t indent, const char *text);

/*
 * Octets of the printable character of UTF-8 (RFC 3629: shortest form, no
 * surrogates, up to U+10FFFF) that text begins with, 0 if there is none: C0 and
 * C1 controls, and what is no UTF-8, which a terminal may take for C1.
 */
size_t text_length(const char *text);

/*
 * Writes text with all else as \xHH, so that there is nothing that a terminal
 * would act on; put_message as printf(3) does, newlines as they are.  All that
 * has others' data in it goes out by these, by put_folded or by cmd_error and
 * cmd_usage, which use them.  They return the columns.
 */
size_t put_text(FILE *, const char *);
size_t put_message(FILE *, const char *format, ...) __attribute__((format(printf, 2, 3)));
size_t put_out(const char *format, ...) __attribute__((format(printf, 1, 2)));	/* to stdout */
size_t put_vmessage(FILE *, const char *format, va_list) __attribute__((format(printf, 2, 0)));
/* A read_report: f is a FILE. */
void put_report(void *f, enum severity, const char *path, unsigned line, const char *text);

#endif
