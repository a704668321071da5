/*
 * tlsward set, unset: one change of the INI, through conf/edit.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "cmd_access.h"
#include "cmd_cert.h"
#include "cmd_json.h"
#include "compiled.h"
#include "edit.h"
#include "keys.h"
#include "read.h"

/* ---- which section ---- */

struct target {
	enum section section;
	char name[NAME_SIZE];	/* kept form */
};

/* "[domain x]" without the outer brackets, quoted where it has a space.  Returns buf. */
static const char *
bare(const char *word, char buf[512])
{
	size_t len = strlen(word);

	if (len > 1 && word[len - 1] == ']')
		len--;
	snprintf(buf, 512, "%s%.*s%s", strchr(word, ' ') != NULL ? "\"" : "",
	    len - 1 < 300 ? (int)(len - 1) : 300, word + 1, strchr(word, ' ') != NULL ? "\"" : "");
	return buf;
}

/*
 * Reads "domain example.org" as one operand or as two, "server" as one.  The
 * number of operands it took; negative: c->status.
 */
static int
take_section(struct cmd *c, int n, char **operand, struct target *t)
{
	const char *word = operand[0], *name;
	size_t len = strcspn(word, " \t");
	char text[512];
	const char *wrong;
	int taken = 1;

	name = word + len + strspn(word + len, " \t");
	t->section = section_find(word, len);
	t->name[0] = '\0';
	if (t->section == SEC_MAX && word[0] == '[') {
		c->status = cmd_usage(c, "the section without brackets: %.300s", bare(word, text));
		return -1;
	}
	if (t->section == SEC_MAX && key_find(word) < KEY_MAX) {
		c->status = cmd_usage(c, "%s is a setting: the section comes first, as in "
		    "`tlsward %s server %s%s`", word, c->name, word,
		    strcmp(c->name, "set") == 0 ? " VALUE" : "");
		return -1;
	}
	if (t->section == SEC_MAX) {
		c->status = unknown_section(c, word);
		return -1;
	}
	if (!section_named(t->section)) {
		if (name[0] == '\0')
			return 1;
		c->status = cmd_usage(c, "[%s] takes no name", section_words[t->section]);
		return -1;
	}
	if (name[0] == '\0') {
		if (n < 2) {
			c->status = cmd_usage(c, "which %s?", section_words[t->section]);
			return -1;
		}
		name = operand[1];
		taken = 2;
	}
	wrong = section_name_normal(t->section, name, strlen(name), t->name, sizeof(t->name));
	if (wrong != NULL) {
		c->status = cmd_usage(c, "%s \"%.300s\" %s", section_words[t->section], name, wrong);
		return -1;
	}
	return taken;
}

/* ---- warnings that a change brings ---- */

struct warnings {
	char **text;
	size_t count;
	const struct warnings *before;	/* print those that are not in here; NULL: keep */
};

static void
take_warning(void *arg, enum severity severity, const char *path, unsigned line,
    const char *text)
{
	struct warnings *w = arg;
	char **more;
	size_t i;

	if (severity != SEV_WARNING)
		return;
	if (w->before != NULL) {
		for (i = 0; i < w->before->count; i++)
			if (strcmp(w->before->text[i], text) == 0)
				return;
		put_report(stderr, severity, path, line, text);
		return;
	}
	more = reallocarray(w->text, w->count + 1, sizeof(*more));
	if (more == NULL)
		return;
	w->text = more;
	if ((w->text[w->count] = strdup(text)) != NULL)
		w->count++;
}

/* What no server can show is the next step's business, and no error of this change. */
static void
take_finding(void *arg, enum severity severity, const char *path, unsigned line, const char *text)
{
	(void)severity;
	take_warning(arg, SEV_WARNING, path, line, text);
}

/* Files are looked at only where the change may have to do with them: there may be many. */
static bool
concerns_files(const struct edit *e)
{
	if (e->op != EDIT_SET && e->op != EDIT_UNSET)
		return true;
	return key_table[e->key].type == TYPE_PATH || key_table[e->key].type == TYPE_REF ||
	    e->key == KEY_VERIFIES || e->key == KEY_NAMES || e->key == KEY_EXPIRY_DAYS;
}

static void
warn_of_files(const struct settings *s, struct warnings *w)
{
	const struct access access = { s, settings_path(s), SEV_WARNING, take_finding, w };
	struct reader r;

	cert_check(s, take_finding, w);
	if (reader_exim(&r, s))
		access_check(&access, &r, true);
}

/*
 * The settings that the change replaced, NULL if those had errors; prints the
 * warnings that are new.  known, ours now, are those that were read before the
 * change, and most often the ones.
 */
static struct settings *
compare(const struct cmd *c, const struct edit *e, const struct edit_result *res,
    struct settings *known)
{
	struct warnings before = { 0 }, after = { .before = &before };
	struct settings *old = known;
	size_t i;

	if (known != NULL &&
	    settings_generation(known) == settings_digest(res->before, res->before_len)) {
		settings_warn(known, take_warning, &before);
	} else {
		settings_free(known);
		old = settings_parse(res->before, res->before_len, c->ini, NULL, true, take_warning,
		    &before);
	}
	if (concerns_files(e) && old != NULL)
		warn_of_files(old, &before);
	settings_warn(res->settings, take_warning, &after);
	if (concerns_files(e))
		warn_of_files(res->settings, &after);
	for (i = 0; i < before.count; i++)
		free(before.text[i]);
	free(before.text);
	return old;
}

/* ---- telling what was done ---- */

/* The value of the key in those settings; NULL where it is not set. */
static char *
value_in(const struct settings *s, const struct target *t, enum key k)
{
	const struct rule *r = s != NULL ? settings_find(s, t->section, t->name) : NULL;

	return rule_sets(r, k) ? setting_text(s, r, k) : NULL;
}

static void
tell_json(const struct cmd *c, const struct target *t, const struct edit *e,
    const struct edit_result *res, const char *old, const char *new)
{
	struct json j;

	json_begin(&j, stdout);
	json_string(&j, "file", c->ini);
	json_string(&j, "section", section_words[t->section]);
	json_string(&j, "name", t->name);
	json_bool(&j, "changed", res->status == EDIT_OK);
	if (e->op == EDIT_SET || e->op == EDIT_UNSET) {
		json_string(&j, "key", key_table[e->key].name);
		json_string(&j, "old", old);
		json_string(&j, "new", new);
	}
	json_end(&j);
}

/* A [domain] that does not set it has what its session has, not the default. */
static void
put_state(const struct target *t, const char *value, enum key k)
{
	const char *preset = t->section == SEC_SERVER || t->section >= SEC_RULES ?
	    key_table[k].preset_text : NULL;

	if (value != NULL)
		put_text(stdout, value);
	else if (preset != NULL)
		put_out("(not set, default %s)", preset);
	else
		printf("(not set)");
}

/* Is the section left without any key? */
static bool
sets_nothing(const struct settings *s, const struct target *t)
{
	const struct rule *r = settings_find(s, t->section, t->name);

	if (r == NULL || !section_named(t->section))
		return false;
	for (enum key k = 0; k < KEY_MAX; k++)
		if (rule_sets(r, k))
			return false;
	return true;
}

static void
tell(const struct cmd *c, const struct target *t, const struct edit *e,
    const struct edit_result *res, struct settings *known)
{
	struct settings *old = known;
	char section[SECTION_TEXT], *was = NULL, *is = NULL;
	bool key = e->op == EDIT_SET || e->op == EDIT_UNSET;

	section_text(t->section, t->name, section);
	if (res->status == EDIT_OK)
		old = compare(c, e, res, known);
	if (key) {
		is = value_in(res->settings, t, e->key);
		was = value_in(res->status == EDIT_OK ? old : res->settings, t, e->key);
	}
	if (c->json) {
		tell_json(c, t, e, res, was, is);
	} else if (res->status == EDIT_SAME) {
		put_out("%s: nothing to change: %s", c->ini, section);
		if (key) {
			put_out(" %s = ", key_table[e->key].name);
			put_state(t, is, e->key);
		} else {
			printf(" is not there");
		}
		printf("\n");
	} else if (key) {
		put_out("%s: %s %s: ", c->ini, section, key_table[e->key].name);
		if (old != NULL)
			put_state(t, was, e->key);
		else
			printf("(the file had errors)");
		printf(" -> ");
		put_state(t, is, e->key);
		printf("\n");
		if (e->op == EDIT_UNSET && sets_nothing(res->settings, t))
			put_out("%s: %s has no setting any more, and is met still: "
			    "`tlsward unset %s %s` removes it\n", c->ini, section,
			    section_words[t->section], t->name);
	} else {
		put_out("%s: %s removed\n", c->ini, section);
	}
	free(was);
	free(is);
	settings_free(old);
}

static int
apply(const struct cmd *c, const struct target *t, const struct edit *e)
{
	const struct compiled form = { .map = true, .save = true };
	struct settings *known = compiled_open(c->ini, &form);
	struct edit_result res = { 0 };
	enum edit_status status;

	status = edit_apply(c->ini, e, 1, &res);
	if (status == EDIT_OK)
		tell_agent(res.settings, &res.after);
	if (res.unsynced)
		cmd_error("%s", res.text);
	if (status == EDIT_OK || status == EDIT_SAME) {
		tell(c, t, e, &res, known);
		(void)fflush(stdout);
		(void)compiled_save_settled(res.settings, &form);
	} else {
		cmd_error("%s%s%s", status == EDIT_NO_SECTION ? c->ini : "",
		    status == EDIT_NO_SECTION ? ": " : "", res.text);
		if (status == EDIT_NO_SECTION && known == NULL)
			known = settings_read(c->ini, false, NULL, NULL);
		if (status == EDIT_NO_SECTION && known != NULL)
			tell_sections(known, t->section);
		if (status == EDIT_INVALID && (e->key == KEY_FILE || e->key == KEY_KEY) &&
		    e->op == EDIT_SET && t->section == SEC_CERTIFICATE)
			put_message(stderr, "`tlsward cert import %s --cert FILE --key FILE` takes both "
			    "at once.\n", t->name);
		settings_free(known);
	}
	edit_result_free(&res);
	return status == EDIT_OK || status == EDIT_SAME ? EXIT_DONE : EXIT_FAILED;
}

/*
 * What was meant where KEY VALUE is written as the file has it, or a name left
 * out.  False: it was said, c->status.
 */
static bool
no_slip(struct cmd *c, const struct target *t, int n, char **operand, int taken)
{
	const char *key = operand[taken], *eq = strchr(key, '=');

	if (taken == 2 && key_find(operand[1]) < KEY_MAX && key_find(key) == KEY_MAX)
		c->status = cmd_usage(c, "which %s?  As in `tlsward %s %s NAME %s%s%s`",
		    section_words[t->section], c->name, section_words[t->section], operand[1],
		    n > taken ? " " : "", key);
	else if (eq != NULL || (n > taken + 1 && operand[taken + 1][0] == '='))
		c->status = cmd_usage(c, "without the =, as in `tlsward set %s%s%s %.*s %s`",
		    section_words[t->section], t->name[0] != '\0' ? " " : "", t->name,
		    (int)strcspn(key, "="), key, eq != NULL && eq[1] != '\0' ? eq + 1 :
		    n > taken + 2 ? operand[taken + 2] : n > taken + 1 &&
		    operand[taken + 1][1] != '\0' ? operand[taken + 1] + 1 : "VALUE");
	else
		return true;
	return false;
}

/* The operands with one space between them, as the INI would have a list.  free(3) it. */
static char *
joined(int n, char **operand)
{
	size_t len = 1;
	char *text;
	int i;

	for (i = 0; i < n; i++)
		len += strlen(operand[i]) + 1;
	if ((text = calloc(1, len)) == NULL)
		return NULL;
	for (i = 0; i < n; i++) {
		size_t at = strlen(text);

		snprintf(text + at, len - at, "%s%s", i > 0 ? " " : "", operand[i]);
	}
	return text;
}

int
cmd_set(struct cmd *c, int argc, char **argv)
{
	static const struct usage usage = { "set SECTION KEY VALUE [--json]",
	    "Changes a setting, or adds it, and its section with it.  SECTION is server,\n"
	    "agent, or one of listener, client, domain, peer, certificate and ca with its\n"
	    "name, in one argument or in two:\n\n"
	    "  tlsward set server min_tls 1.3\n"
	    "  tlsward set domain example.org mode require\n"
	    "  tlsward set \"listener [2001:db8::7]:25\" mode require\n\n"
	    "Both servers obey with the next session.  A change that would leave an error\n"
	    "in the file is refused.  After \"--\" a value may begin with a dash.\n" };
	const struct opt options[] = {
		{ "json", OPT_FLAG, &c->json, NULL, "say what was done as JSON" },
		{ NULL, OPT_FLAG, NULL, NULL, NULL }
	};
	struct target t;
	struct edit e = { .op = EDIT_SET };
	char *value;
	int n, taken, status;

	if ((n = opt_parse(c, &usage, options, argc, argv)) < 0)
		return c->status;
	if (n == 0)
		return cmd_usage(c, "needs SECTION KEY VALUE");
	if ((taken = take_section(c, n, argv, &t)) < 0)
		return c->status;
	if (n - taken < 1)
		return cmd_usage(c, "which setting?");
	if (!no_slip(c, &t, n, argv, taken))
		return c->status;
	e.key = key_find(argv[taken]);
	if (!key_allowed(e.key, t.section))
		return unknown_key(c, t.section, argv[taken]);
	if (n - taken < 2)
		return cmd_usage(c, "%s needs a value: %s", key_table[e.key].name,
		    key_table[e.key].hint);
	if ((value = joined(n - taken - 1, argv + taken + 1)) == NULL)
		return cmd_error("out of memory");
	if (value[strcspn(value, "\r\n")] != '\0') {
		free(value);
		return cmd_usage(c, "a value is one line");
	}
	e.section = t.section;
	e.name = t.name;
	e.value = value;
	status = apply(c, &t, &e);
	free(value);
	return status;
}

int
cmd_unset(struct cmd *c, int argc, char **argv)
{
	static const struct usage usage = { "unset SECTION [KEY] [--json]",
	    "Removes a setting, so that its default or the rules behind it hold; without KEY\n"
	    "a whole section.\n\n"
	    "  tlsward unset server min_tls\n"
	    "  tlsward unset domain example.org\n" };
	const struct opt options[] = {
		{ "json", OPT_FLAG, &c->json, NULL, "say what was done as JSON" },
		{ NULL, OPT_FLAG, NULL, NULL, NULL }
	};
	struct target t;
	struct edit e = { .op = EDIT_REMOVE };
	int n, taken;

	if ((n = opt_parse(c, &usage, options, argc, argv)) < 0)
		return c->status;
	if (n == 0)
		return cmd_usage(c, "needs SECTION [KEY]");
	if ((taken = take_section(c, n, argv, &t)) < 0)
		return c->status;
	if (n - taken > 1)
		return cmd_usage(c, "takes one setting, not \"%.64s\" too", argv[taken + 1]);
	if (n - taken == 1) {
		e.op = EDIT_UNSET;
		e.key = key_find(argv[taken]);
		if (!key_allowed(e.key, t.section))
			return unknown_key(c, t.section, argv[taken]);
	} else if (!section_named(t.section)) {
		return cmd_usage(c, "which setting of [%s]?", section_words[t.section]);
	}
	e.section = t.section;
	e.name = t.name;
	return apply(c, &t, &e);
}
