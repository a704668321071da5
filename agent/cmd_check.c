/*
 * tlsward check: all errors and warnings of the settings, and of the server's
 * own configuration beside them.
 */
#include <stdio.h>

#include "cmd.h"
#include "cmd_access.h"
#include "cmd_against.h"
#include "cmd_cert.h"
#include "cmd_json.h"
#include "compiled.h"
#include "read.h"

struct findings {
	struct json *json;		/* NULL: text */
	unsigned errors, warnings;
};

static void
finding(void *arg, enum severity severity, const char *path, unsigned line, const char *text)
{
	struct findings *all = arg;

	if (severity == SEV_ERROR)
		all->errors++;
	else
		all->warnings++;
	if (all->json == NULL) {
		put_report(stdout, severity, path, line, text);
		return;
	}
	json_object(all->json, NULL);
	json_string(all->json, "severity", severity == SEV_ERROR ? "error" : "warning");
	json_string(all->json, "file", path);
	json_number(all->json, "line", line);
	json_string(all->json, "text", text);
	json_close(all->json);
}

static void
begin_json(const struct cmd *c, struct findings *all, struct json *j)
{
	all->json = j;
	json_begin(j, stdout);
	json_string(j, "file", c->ini);
	json_array(j, "findings");
}

static void
end_json(const struct findings *all, bool ok)
{
	json_close(all->json);
	json_number(all->json, "errors", all->errors);
	json_number(all->json, "warnings", all->warnings);
	json_bool(all->json, "ok", ok);
	json_end(all->json);
}

static void
ignore(void *arg, enum severity severity, const char *path, unsigned line, const char *text)
{
	(void)arg;
	(void)severity;
	(void)path;
	(void)line;
	(void)text;
}

struct settings *
cmd_settings_json(const struct cmd *c)
{
	const struct compiled form = { .map = true, .save = true };
	struct findings all = { 0 };
	struct settings *s;
	struct json j;

	if (!c->json)
		return cmd_settings(c);
	if ((s = compiled_read(c->ini, &form, NULL, ignore, NULL)) != NULL)
		return s;
	/* read once more, to tell all; an object is begun by now whatever became of the file */
	begin_json(c, &all, &j);
	settings_free(settings_read_all(c->ini, finding, &all));
	end_json(&all, false);
	return NULL;
}

/* Without --against it is not known for sure who serves, and as which user. */
static void
check_readable(const struct cmd *c, const struct settings *s, struct findings *all)
{
	const struct access access = { s, c->ini, SEV_WARNING, finding, all };
	struct reader r;

	if (reader_exim(&r, s))
		access_check(&access, &r, true);
}

static const char *
plural(unsigned n)
{
	return n == 1 ? "" : "s";
}

int
cmd_check(struct cmd *c, int argc, char **argv)
{
	static const struct usage usage = { "check [--against FILE] [--json]",
	    "Prints every error and warning of the settings as FILE:LINE: what is wrong and\n"
	    "what would be right.  Exits 1 if there are errors, 0 if there are only warnings.\n"
	    "With --against, also each difference to the server's own configuration that\n"
	    "makes a rule ineffective: an smtpd.conf, or what `exim -bP` prints.\n" };
	const char *against = NULL;
	const struct opt options[] = {
		{ "against", OPT_VALUE, &against, "FILE", "compare it, too; - is standard input" },
		{ "json", OPT_FLAG, &c->json, NULL, "as JSON" },
		{ NULL, OPT_FLAG, NULL, NULL, NULL }
	};
	struct findings all = { 0 };
	struct settings *s;
	struct json j;
	int n;

	if ((n = opt_parse(c, &usage, options, argc, argv)) < 0)
		return c->status;
	if (n > 0)
		return cmd_usage(c, "takes no operand \"%.64s\"; another file is named by -c FILE",
		    argv[0]);
	if (c->json)
		begin_json(c, &all, &j);
	s = settings_read_all(c->ini, finding, &all);
	if (s != NULL)
		cert_check(s, finding, &all);
	if (s != NULL && against == NULL)
		check_readable(c, s, &all);
	if (s != NULL && against != NULL)
		check_against(&(struct against){ s, c->ini, finding, &all }, against);
	if (c->json) {
		end_json(&all, s != NULL && all.errors == 0);
	} else if (s != NULL && all.errors + all.warnings == 0) {
		put_out("%s: no errors, no warnings\n", c->ini);
	} else {
		put_out("%s: %u error%s, %u warning%s\n", c->ini, all.errors, plural(all.errors),
		    all.warnings, plural(all.warnings));
	}
	settings_free(s);
	return s != NULL && all.errors == 0 ? EXIT_DONE : EXIT_FAILED;
}
