#include <sys/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edit.h"
#include "edit_file.h"
#include "edit_quick.h"
#include "edit_text.h"
#include "read.h"

/* The first error of a text. */
struct complaint {
	bool any;
	unsigned line;
	char text[640];
};

static void
complain(void *arg, enum severity severity, const char *path, unsigned line,
    const char *text)
{
	struct complaint *c = arg;

	(void)path;
	if (severity != SEV_ERROR || c->any)
		return;
	c->any = true;
	c->line = line;
	(void)snprintf(c->text, sizeof(c->text), "%s", text);
}

/*
 * Says what is wrong with the result, or that the file was wrong before; true: the former.
 * A text whose settings are known was not.
 */
static bool
explain(const struct edit_file *f, const char *path, const struct settings *known,
    const struct complaint *result, char why[EDIT_WHY])
{
	struct complaint now = { .any = false };
	struct settings *s = NULL;
	bool good = known != NULL && settings_generation(known) == settings_digest(f->text, f->len);

	if (!good)
		good = (s = settings_parse(f->text, f->len, path, NULL, false, complain, &now)) != NULL;
	if (!good && now.line != 0)
		(void)snprintf(why, EDIT_WHY, "%.255s:%u: an error that is there already, mend it "
		    "first: %s", path, now.line, now.text);
	else if (!good && now.any)
		(void)snprintf(why, EDIT_WHY, "%.255s has an error already, mend that first: %s",
		    path, now.text);
	else if (result->line != 0)
		(void)snprintf(why, EDIT_WHY, "%.255s:%u: would be an error: %s", path,
		    result->line, result->text);
	else
		(void)snprintf(why, EDIT_WHY, "%.255s would have an error: %s", path, result->text);
	settings_free(s);
	return good;
}

/*
 * Does the reader see what was written?  It must, unless the file is written
 * in a way that the reader and edit_text.c take apart differently.
 */
static bool
took_effect(const struct settings *s, const struct edit_plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		const struct edit_target *t = &plan->target[i];
		const struct rule *r = settings_find(s, t->section, t->name);

		if (t->ensure ? r == NULL : t->remove && section_named(t->section) && r != NULL)
			return false;
		for (enum key k = 0; k < KEY_MAX; k++)
			if ((t->set >> k & 1 && !rule_sets(r, k)) ||
			    (t->unset >> k & 1 && rule_sets(r, k)))
				return false;
	}
	return true;
}

/* The new text's settings, or NULL and the reason. */
static struct settings *
check(const struct edit_file *f, const char *path, const struct settings *known,
    const struct edit_plan *plan, const char *text, size_t len, struct edit_result *res)
{
	struct complaint c = { .any = false };
	struct settings *s = NULL;
	struct file_id id;

	file_identity(&f->st, &id);
	if (known != NULL && file_id_equal(&id, settings_id(known)))
		s = edit_quick(known, path, f->text, f->len, text, len);
	if (s == NULL)
		s = settings_parse(text, len, path, NULL, false, complain, &c);
	if (s == NULL) {
		if (explain(f, path, known, &c, res->text))
			edit_text_at(text, len, c.line, &res->wrong);
		return NULL;
	}
	if (!took_effect(s, plan)) {
		(void)snprintf(res->text, EDIT_WHY, "%.255s is written in a way that the change does not "
		    "get through (an indented line, or a section that is there twice?); "
		    "change it with an editor", path);
		settings_free(s);
		return NULL;
	}
	return s;
}

static enum edit_status
attempt(const char *path, const struct settings *known, struct edit_plan *plan,
    int64_t deadline, struct edit_result *res)
{
	struct edit_file f;
	char *text = NULL;
	size_t len;
	struct settings *s = NULL;
	enum edit_status status;

	if ((status = edit_file_open(&f, path, deadline, res->text)) != EDIT_OK ||
	    (status = edit_text(f.text, f.len, plan, &text, &len, res->text)) != EDIT_OK)
		goto out;
	if ((s = check(&f, path, known, plan, text, len, res)) == NULL) {
		status = EDIT_INVALID;
		goto out;
	}
	if (len == f.len && memcmp(text, f.text, len) == 0)
		status = EDIT_SAME;
	else
		status = edit_file_replace(&f, text, len, &res->after, res->text);
	if (status == EDIT_OK) {
		res->before = f.text;
		res->before_len = f.len;
		f.text = NULL;
	} else if (status == EDIT_SAME)
		file_identity(&f.st, &res->after);
	if (status == EDIT_OK || status == EDIT_SAME) {
		settings_set_id(s, &res->after);
		res->settings = s;
		s = NULL;
	}
out:
	settings_free(s);
	free(text);
	edit_file_close(&f);
	return status;
}

enum edit_status
edit_apply_known(const char *path, const struct settings *known, const struct edit *edits,
    size_t n, struct edit_result *res)
{
	int64_t deadline = edit_deadline();
	struct edit_plan plan;

	memset(res, 0, sizeof(*res));
	res->wrong.section = SEC_MAX;
	res->status = edit_plan(&plan, edits, n, res->text);
	if (res->status == EDIT_OK) {
		do
			res->status = attempt(path, known, &plan, deadline, res);
		while (res->status == EDIT_BUSY && !edit_expired(deadline));
	}
	edit_plan_free(&plan);
	res->unsynced = res->status == EDIT_OK && res->text[0] != '\0';
	if (res->status == EDIT_OK && !res->unsynced)
		(void)snprintf(res->text, sizeof(res->text), "%.255s is changed", path);
	else if (res->status == EDIT_SAME)
		(void)snprintf(res->text, sizeof(res->text), "%.255s says so already", path);
	return res->status;
}

enum edit_status
edit_apply(const char *path, const struct edit *edits, size_t n, struct edit_result *res)
{
	return edit_apply_known(path, NULL, edits, n, res);
}

enum edit_status
edit_revert(const char *path, const struct edit_result *res, char text[1024])
{
	struct edit_file f;
	struct file_id id;
	enum edit_status status;

	text[0] = '\0';
	if (res->before == NULL) {
		(void)snprintf(text, EDIT_WHY, "there is no change of %.255s to take back", path);
		return EDIT_SAME;
	}
	if ((status = edit_file_open(&f, path, edit_deadline(), text)) != EDIT_OK)
		goto out;
	file_identity(&f.st, &id);
	if (!file_id_equal(&id, &res->after)) {
		(void)snprintf(text, EDIT_WHY, "%.255s was changed again since; that stands", path);
		status = EDIT_BUSY;
		goto out;
	}
	status = edit_file_replace(&f, res->before, res->before_len, &id, text);
	if (status == EDIT_OK && text[0] == '\0')
		(void)snprintf(text, EDIT_WHY, "%.255s is as it was before", path);
out:
	edit_file_close(&f);
	return status;
}

void
edit_result_free(struct edit_result *res)
{
	settings_free(res->settings);
	free(res->before);
	res->settings = NULL;
	res->before = NULL;
	res->before_len = 0;
}
