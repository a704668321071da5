#include <stdio.h>
#include <string.h>

#include "build.h"
#include "nearest.h"
#include "problem.h"
#include "reader.h"
#include "value.h"

#define PATH_SIZE 256		/* more than a line holds */

/* ---- values ---- */

static void
bad_value(struct reader *r, const char *text, size_t len, const char *why)
{
	const struct key_info *k = &key_table[r->key];
	const char *comment = memmem(text, len, " #", 2) != NULL ?
	    "; a comment behind a value begins with ` ;`" :
	    k->type != TYPE_PATH && memchr(text, ';', len) != NULL ?
	    "; a comment behind a value needs a blank before its `;`" : "";
	const char *near = why == NULL || k->type == TYPE_WORDS ? key_near(r->key, text, len) : NULL;
	char buf[SHOWN_SIZE];

	if (len > 0 && text[0] == '"')
		comment = "; leave the quotes away";
	(void)shown(text, len, buf);
	if (why != NULL && near != NULL)
		problem(r->problems, SEV_ERROR, r->line, "%s: `%s` %s: did you mean `%s`?",
		    k->name, buf, why, near);
	else if (why != NULL)
		problem(r->problems, SEV_ERROR, r->line, "%s: `%s` %s: it takes %s%s",
		    k->name, buf, why, k->hint, comment);
	else
		problem(r->problems, SEV_ERROR, r->line, "%s: `%s` is not %s%s%s%s%s",
		    k->name, buf, k->hint, near != NULL ? ": did you mean `" : "",
		    near != NULL ? near : "", near != NULL ? "`?" : "",
		    near != NULL ? "" : comment);
}

static void
add_items(struct reader *r, const char *text)
{
	unsigned char out[ITEM_SIZE];
	const char *item, *why;
	size_t len, size;

	while (value_split(&text, &item, &len)) {
		r->items++;
		if (len == 0)
			problem(r->problems, SEV_ERROR, r->line,
			    "%s: nothing stands before a comma: remove it", key_table[r->key].name);
		else if ((size = value_item(r->key, item, len, out, &why)) == 0)
			bad_value(r, item, len, why);
		else if (r->store)
			build_item(r->build, out, size);
	}
}

static void
missing_value(struct reader *r)
{
	problem(r->problems, SEV_ERROR, r->key_line, "%s has no value: it takes %s",
	    key_table[r->key].name, key_table[r->key].hint);
}

void
reader_end_key(struct reader *r)
{
	if (r->has_key && r->key < KEY_MAX && key_table[r->key].type >= TYPE_NAMES &&
	    r->key_line != 0 && r->items == 0)
		missing_value(r);
	r->key = KEY_MAX;
}

static void
take_value(struct reader *r, const char *text)
{
	char out[PATH_SIZE];
	const char *why, *good = "";
	uint32_t value;

	switch (key_table[r->key].type) {
	case TYPE_NAMES:
	case TYPE_PINS:
	case TYPE_NUMBERS:
	case TYPE_WORDS:
		if (r->store)
			build_list(r->build, r->key, r->line);
		add_items(r, text);
		return;
	case TYPE_REF:
	case TYPE_PATH:
		if (*text == '\0')
			missing_value(r);
		else if ((why = value_text(r->key, text, out, sizeof(out))) != NULL)
			bad_value(r, text, strlen(text), why);
		else
			good = out;
		if (r->store)		/* a bad one as "": it need not be missed too */
			build_text(r->build, r->key, good, r->line);
		return;
	default:
		if (*text == '\0')
			missing_value(r);
		else if (!key_scalar(r->key, text, &value))
			bad_value(r, text, strlen(text), NULL);
		else if (r->store)
			build_scalar(r->build, r->key, value, r->line);
	}
}

/* ---- keys ---- */

/* "[server], [listener] or [client]": where a key may stand. */
static void
sections_of(enum key k, char *buf, size_t size)
{
	FILE *f = fmemopen(buf, size, "w");
	unsigned left = key_table[k].sections;

	buf[0] = '\0';
	if (f == NULL)
		return;
	for (int s = 0; s < SEC_MAX; s++) {
		if ((left >> s & 1) == 0)
			continue;
		left &= ~(1u << s);
		(void)fprintf(f, "[%s]%s", section_words[s],
		    left == 0 ? "" : (left & (left - 1)) == 0 ? " or " : ", ");
	}
	(void)fclose(f);
}

static void
keys_of(enum section sec, char *buf, size_t size)
{
	FILE *f = fmemopen(buf, size, "w");
	const char *comma = "";

	buf[0] = '\0';
	if (f == NULL)
		return;
	for (int k = 0; k < KEY_MAX; k++) {
		if (!key_allowed((enum key)k, sec))
			continue;
		(void)fprintf(f, "%s%s", comma, key_table[k].name);
		comma = ", ";
	}
	(void)fclose(f);
}

static void
unknown_key(struct reader *r, const char *name)
{
	const char *words[KEY_MAX], *near;
	char key[SHOWN_SIZE], list[512];

	for (int k = 0; k < KEY_MAX; k++)
		words[k] = key_allowed((enum key)k, r->section) ? key_table[k].name : NULL;
	near = nearest(name, strlen(name), words, KEY_MAX);
	(void)shown(name, strlen(name), key);
	if (near != NULL) {
		problem(r->problems, SEV_ERROR, r->line,
		    "unknown key `%s`: did you mean `%s`?", key, near);
		return;
	}
	keys_of(r->section, list, sizeof(list));
	problem(r->problems, SEV_ERROR, r->line, "unknown key `%s`: [%s] takes %s", key,
	    section_words[r->section], list);
}

/* Is this a key that the section may set now? */
static bool
take_key(struct reader *r, const char *name)
{
	char title[SHOWN_SIZE], list[256];
	enum key k = key_find(name);

	if (*name == '\0') {
		problem(r->problems, SEV_ERROR, r->line,
		    "no key before the `=`: a line is `key = value`");
		return false;
	}
	if (!r->begun) {
		problem(r->problems, SEV_ERROR, r->line,
		    "%s comes before any section: put it below a header such as [server]",
		    shown(name, strlen(name), title));
		return false;
	}
	if (r->section == SEC_MAX)
		return false;
	if (k == KEY_MAX) {
		unknown_key(r, name);
		return false;
	}
	if (!key_allowed(k, r->section)) {
		sections_of(k, list, sizeof(list));
		problem(r->problems, SEV_ERROR, r->line,
		    "%s does not belong in [%s]: it may stand in %s",
		    name, section_words[r->section], list);
		return false;
	}
	if ((r->set >> k & 1) != 0) {
		problem(r->problems, SEV_ERROR, r->line,
		    "%s is set twice in [%s], first at line %u: keep one", name,
		    shown(r->title, r->title_len, title), r->set_at[k]);
		return false;
	}
	r->set |= 1u << k;
	r->set_at[k] = r->line;
	r->key = k;
	return true;
}

/* A line that begins with a space: more of the last key's value. */
static void
continue_value(struct reader *r, const char *text)
{
	char line[256];
	size_t i;

	if (r->key == KEY_MAX)
		return;
	if (key_table[r->key].type < TYPE_NAMES) {
		problem(r->problems, SEV_ERROR, r->line, "a line that begins with a space "
		    "continues the one before, but %s (line %u) takes one value: "
		    "begin a key in the first column", key_table[r->key].name, r->key_line);
		return;
	}
	for (i = 0; text[i] != '\0' && i < sizeof(line) - 1; i++) {
		if (text[i] == ';' && i > 0 && blank(text[i - 1]))
			break;
		line[i] = text[i];
	}
	line[i] = '\0';
	if (strchr(line, '=') != NULL)
		problem(r->problems, SEV_ERROR, r->line, "a line that begins with a space "
		    "continues %s (line %u): begin a key in the first column",
		    key_table[r->key].name, r->key_line);
	else
		add_items(r, line);
}

int
reader_key(void *arg, const char *section, const char *name, const char *value)
{
	struct reader *r = arg;

	(void)section;
	r->handled = true;
	if (r->indented) {
		continue_value(r, value);
		return 1;
	}
	reader_end_key(r);
	r->has_key = *name != '\0';
	r->key_line = r->line;
	r->items = 0;
	if (take_key(r, name))
		take_value(r, value);
	return 1;
}
