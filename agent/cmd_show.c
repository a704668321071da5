/*
 * tlsward show: the settings that hold, each with the line that sets it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "cmd_json.h"
#include "policy.h"

/* What is printed: settings, where they are from, and how. */
struct view {
	const struct settings *s;
	const char *path;
	struct json *json;		/* NULL: text */
};

/*
 * One line, or member, for key k: its value by the rule `from` (NULL: the
 * default) for a reader who looks at the rule `of`.
 */
static void
put_setting(const struct view *v, enum key k, char *text, const struct rule *from,
    const struct rule *of)
{
	char name[SECTION_TEXT];

	if (text == NULL)
		return;
	policy_rule_name(v->s, from, name, sizeof(name));
	if (v->json != NULL) {
		json_object(v->json, key_table[k].name);
		json_string(v->json, "value", text[0] != '\0' ? text : NULL);
		json_string(v->json, "from", from != NULL ? name : NULL);
		if (from != NULL)
			json_number(v->json, "line", setting_line(v->s, from, k));
		json_close(v->json);
		return;
	}
	printf("  %-14s ", key_table[k].name);
	if (text[0] == '\0' && from == NULL) {
		printf("-\n");
		return;
	}
	if (strlen(text) > 20)		/* the source on a line of its own, under the value */
		put_out("%s\n  %-14s %-12s", text, "", "");
	else
		put_out("%-12s", text[0] != '\0' ? text : "-");
	if (from == NULL)
		printf("  default\n");
	else if (from == of)
		put_out("  %s:%u\n", v->path, setting_line(v->s, from, k));
	else
		put_out("  %s:%u [%s]\n", v->path, setting_line(v->s, from, k), name);
}

/* The rule as the file has it: the keys that it sets; with `all` those that it could set too. */
static void
put_rule(const struct view *v, const struct rule *r, bool all)
{
	enum section section = (enum section)r->section;
	char title[SECTION_TEXT], *text;
	enum key k;

	section_text(section, settings_name(v->s, r), title);
	if (v->json != NULL) {
		json_object(v->json, NULL);
		json_string(v->json, "section", section_words[section]);
		json_string(v->json, "name", settings_name(v->s, r));
		json_number(v->json, "line", r->line);
		json_object(v->json, "settings");
	} else {
		put_out("%s\n", title);
	}
	for (k = 0; k < KEY_MAX; k++) {
		if (!key_allowed(k, section) || (!all && !rule_sets(r, k)))
			continue;
		text = setting_text(v->s, r, k);
		put_setting(v, k, text, rule_sets(r, k) ? r : NULL, r);
		free(text);
	}
	if (v->json != NULL) {
		json_close(v->json);
		json_close(v->json);
	}
}

/* The outer object; begun only when nothing can fail any more. */
static void
begin(const struct view *v)
{
	if (v->json == NULL)
		return;
	json_begin(v->json, stdout);
	json_string(v->json, "file", v->path);
}

static void
put_all(const struct view *v)
{
	const struct rule *r;
	int section;
	size_t i;

	begin(v);
	if (v->json != NULL)
		json_array(v->json, "sections");
	for (section = 0; section < SEC_MAX; section++)
		for (i = 0; (r = settings_at(v->s, (enum section)section, i)) != NULL; i++)
			put_rule(v, r, !section_named((enum section)section));
	if (v->json != NULL)
		json_end(v->json);
}

/* A peer's certificate must carry its own name where it does not say otherwise. */
static char *
own_names(const struct settings *s, const struct rule *peer)
{
	const char *name = settings_name(s, peer);
	char text[2 * NAME_SIZE + 4];

	if (name[0] == '.')
		snprintf(text, sizeof(text), "%s", name);
	else
		snprintf(text, sizeof(text), "%s, .%s", name, name);
	return strdup(text);
}

/* Everything that holds for what was asked: a rule of one of the four kinds, or none. */
static void
put_effective(const struct view *v, enum section section, const struct rule *r,
    const struct effective *e)
{
	enum key k;
	char *text;

	if (v->json != NULL)
		json_object(v->json, "settings");
	for (k = 0; k < KEY_RULES; k++) {
		if (!key_allowed(k, section) && !key_allowed(k, SEC_SERVER))
			continue;
		/* what is the listener's alone says nothing about mail of a name */
		if ((section == SEC_DOMAIN || section == SEC_PEER) && !key_allowed(k, section) &&
		    (k == KEY_AUTHENTICATED || k == KEY_CERTIFICATE))
			continue;
		if (k == KEY_CERT_NAMES && section == SEC_PEER && r != NULL && e->from[k] == NULL)
			text = own_names(v->s, r);
		else if (e->from[k] != NULL && !rule_sets(e->from[k], k)) {
			char number[16];

			text = strdup(key_text(k, e->value[k], number));
		} else
			text = setting_text(v->s, e->from[k], k);
		put_setting(v, k, text, e->from[k], r);
		free(text);
	}
	/* of the server, the keys that no other rule can set, too */
	for (k = KEY_RULES; section == SEC_SERVER && k < KEY_MAX; k++) {
		if (!key_allowed(k, section))
			continue;
		text = setting_text(v->s, r, k);
		put_setting(v, k, text, rule_sets(r, k) ? r : NULL, r);
		free(text);
	}
	if (v->json != NULL)
		json_close(v->json);
}

/* ---- what NAME is ---- */

struct query {
	enum section section;
	const char *what;		/* "mail to", ... */
	char name[NAME_SIZE];		/* kept form */
	const struct rule *rule;	/* that holds for it; NULL: none */
	struct effective effective;
};

/* What may be asked for is more than what has a section: any name, any address. */
static const char *
find_rule(const struct settings *s, const char *name, struct query *q, struct facts *f)
{
	const char *wrong = NULL;

	switch (q->section) {
	case SEC_DOMAIN:
	case SEC_PEER:
		q->what = q->section == SEC_DOMAIN ? "Mail to" : "Mail from";
		wrong = name_normal(name, strlen(name), true, q->name);
		if (wrong != NULL)
			break;
		q->rule = q->name[0] == '.' ? settings_find(s, q->section, q->name) :
		    settings_match(s, q->section, q->name);
		break;
	case SEC_CLIENT:
		q->what = "Sessions from";
		if (addr_ip(name, strlen(name), &f->client)) {
			addr_format_ip(&f->client, q->name);
			q->rule = settings_client(s, &f->client);
			break;
		}
		wrong = section_name_normal(SEC_CLIENT, name, strlen(name), q->name,
		    sizeof(q->name));
		if (wrong != NULL)
			break;
		q->rule = settings_find(s, SEC_CLIENT, q->name);
		addr_network(q->name, strlen(q->name), &f->client);
		break;
	case SEC_LISTENER:
		q->what = "Sessions at";
		wrong = section_name_normal(SEC_LISTENER, name, strlen(name), q->name,
		    sizeof(q->name));
		if (wrong == NULL && addr_listener(q->name, strlen(q->name), &f->listener))
			q->rule = settings_listener(s, &f->listener);
		break;
	default:
		q->what = "Any session";
		q->rule = settings_find(s, q->section, "");
		break;
	}
	return wrong;
}

static const char *
resolve(const struct settings *s, const char *name, struct query *q)
{
	struct facts f = { 0 };
	struct effective base;
	const char *wrong;

	f.sender_domain = f.recipient_domain = f.helo = f.cipher = "";
	if ((wrong = find_rule(s, name, q, &f)) != NULL)
		return wrong;
	policy_base(s, &f, &base);
	policy_effective(&base, q->section == SEC_DOMAIN ? q->rule : NULL,
	    q->section == SEC_PEER ? q->rule : NULL, &q->effective);
	return NULL;
}

static void
put_query(const struct view *v, const struct query *q)
{
	char rule[SECTION_TEXT];

	policy_rule_name(v->s, q->rule, rule, sizeof(rule));
	begin(v);
	if (v->json != NULL) {
		json_string(v->json, "section", section_words[q->section]);
		json_string(v->json, "name", q->name);
		json_string(v->json, "rule", q->rule != NULL ? rule : NULL);
		if (q->rule != NULL)
			json_number(v->json, "line", q->rule->line);
	} else if (q->section == SEC_SERVER) {
		put_out("%s: [%s]\n", q->what, rule);
	} else if (q->rule != NULL) {
		put_out("%s %s: [%s], over what holds for its session\n", q->what, q->name, rule);
	} else {
		put_out("%s %s: no [%s] for it, so what holds for its session\n", q->what, q->name,
		    section_words[q->section]);
	}
	put_effective(v, q->section, q->rule, &q->effective);
	if (v->json != NULL)
		json_end(v->json);
}

/* The sections that carry no rules: certificate, ca, agent. */
static int
show_plain(const struct view *v, enum section section, const char *name)
{
	const struct rule *r = settings_find(v->s, section, name);

	if (r == NULL) {
		cmd_error("%s: there is no [%s %.64s]", v->path, section_words[section], name);
		tell_sections(v->s, section);
		return EXIT_FAILED;
	}
	begin(v);
	if (v->json != NULL)
		json_array(v->json, "sections");
	put_rule(v, r, true);
	if (v->json != NULL)
		json_end(v->json);
	return EXIT_DONE;
}

static int
show_one(struct cmd *c, const struct view *v, int n, char **argv)
{
	struct query q = { .section = section_find(argv[0], strlen(argv[0])) };
	const char *wrong;

	if (q.section == SEC_MAX)
		return unknown_section(c, argv[0]);
	if (section_named(q.section) != (n == 2))
		return cmd_usage(c, n == 2 ? "%s takes no name" : "which %s?", argv[0]);
	if (q.section >= SEC_RULES)
		return show_plain(v, q.section, n == 2 ? argv[1] : "");
	if ((wrong = resolve(v->s, n == 2 ? argv[1] : "", &q)) != NULL)
		return cmd_usage(c, "%s \"%.300s\" %s", argv[0], argv[1], wrong);
	put_query(v, &q);
	return EXIT_DONE;
}

int
cmd_show(struct cmd *c, int argc, char **argv)
{
	static const struct usage usage = { "show [SECTION [NAME]] [--json]",
	    "Prints the settings and the line of the file that each comes from.  With a\n"
	    "section and a name, everything that holds for that domain, peer, listener or\n"
	    "client network, also what it has from other rules; the name need not have a\n"
	    "section of its own:\n\n"
	    "  tlsward show domain lists.example.org\n"
	    "  tlsward show client 203.0.113.9\n" };
	const struct opt options[] = {
		{ "json", OPT_FLAG, &c->json, NULL, "as JSON" },
		{ NULL, OPT_FLAG, NULL, NULL, NULL }
	};
	struct settings *s;
	struct json j;
	struct view v;
	char *two[2];
	int n, status = EXIT_DONE;

	if ((n = opt_parse(c, &usage, options, argc, argv)) < 0)
		return c->status;
	if (n == 1 && argv[0][strcspn(argv[0], " \t")] != '\0') {
		/* "domain NAME" in one argument, as the file has it */
		two[0] = argv[0];
		two[1] = argv[0] + strcspn(argv[0], " \t");
		*two[1]++ = '\0';
		two[1] += strspn(two[1], " \t");
		argv = two;
		n = two[1][0] != '\0' ? 2 : 1;
	}
	if (n > 2)
		return cmd_usage(c, "takes a section and a name, not \"%.64s\" too", argv[2]);
	if (n > 0 && section_find(argv[0], strlen(argv[0])) == SEC_MAX)
		return unknown_section(c, argv[0]);
	if ((s = cmd_settings_json(c)) == NULL)
		return EXIT_FAILED;
	v = (struct view){ s, settings_path(s), c->json ? &j : NULL };
	if (n == 0)
		put_all(&v);
	else
		status = show_one(c, &v, n, argv);
	settings_free(s);
	return status;
}
