#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edit_text.h"

/* One edit with its section's name in kept form. */
struct item {
	const struct edit *edit;
	char name[NAME_SIZE];
};

const char *
edit_section_text(enum section section, const char *name, char buf[NAME_SIZE + 16])
{
	(void)snprintf(buf, NAME_SIZE + 16, name[0] != '\0' ? "[%s %s]" : "[%s%s]",
	    section < SEC_MAX ? section_words[section] : "?", name);
	return buf;
}

static int
compare(enum section a, const char *a_name, enum section b, const char *b_name)
{
	if (a != b)
		return a < b ? -1 : 1;
	return strcmp(a_name, b_name);
}

/* By section and name, the edits of each in the order they were given. */
static int
item_compare(const void *va, const void *vb)
{
	const struct item *a = va, *b = vb;
	int c = compare(a->edit->section, a->name, b->edit->section, b->name);

	if (c != 0)
		return c;
	return a->edit < b->edit ? -1 : a->edit > b->edit;
}

static bool
blank(char c)
{
	return c == ' ' || c == '\t';
}

static void
trim(const char **text, size_t *len)
{
	while (*len > 0 && blank((*text)[0])) {
		(*text)++;
		(*len)--;
	}
	while (*len > 0 && blank((*text)[*len - 1]))
		(*len)--;
}

/* What is wrong with a value whatever its key; NULL: nothing. */
static const char *
value_check(const char *value, size_t len)
{
	if (len == 0)
		return "is empty; unset the key instead";
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)value[i];

		if (c == '\n' || c == '\r')
			return "has a line break; a value is written on one line";
		if ((c < ' ' && c != '\t') || c == 0x7f)
			return "has a control character";
		if (c == ';' && (i == 0 || blank(value[i - 1])))
			return "has a ';' that would begin a comment";
	}
	return NULL;
}

static bool
scalar_type(enum key_type type)
{
	return type == TYPE_WORD || type == TYPE_BOOL || type == TYPE_TLS ||
	    type == TYPE_NUMBER;
}

static bool
set_check(const struct edit *e, const char *where, char why[EDIT_WHY])
{
	const struct key_info *k = &key_table[e->key];
	const char *value = e->value != NULL ? e->value : "", *wrong;
	size_t len = strlen(value);
	char word[32] = "";
	uint32_t ignored;

	trim(&value, &len);
	if ((wrong = value_check(value, len)) != NULL) {
		(void)snprintf(why, EDIT_WHY, "%s: the value of %s %s", where, k->name, wrong);
		return false;
	}
	if (!scalar_type(k->type))
		return true;
	if (len < sizeof(word))
		memcpy(word, value, len);
	if (!key_scalar(e->key, word, &ignored)) {
		const char *near = key_near(e->key, value, len);

		(void)snprintf(why, EDIT_WHY, "%s: %s = %.*s: the value must be %s%s%s%s", where,
		    k->name, len < 64 ? (int)len : 64, value, k->hint,
		    near != NULL ? "; did you mean " : "", near != NULL ? near : "",
		    near != NULL ? "?" : "");
		return false;
	}
	return true;
}

static bool
item_fill(struct item *it, const struct edit *e, char why[EDIT_WHY])
{
	const char *name = e->name != NULL ? e->name : "", *wrong;
	char where[NAME_SIZE + 16];

	it->edit = e;
	if (e->section >= SEC_MAX) {
		(void)snprintf(why, EDIT_WHY, "there is no such section");
		return false;
	}
	wrong = section_name_normal(e->section, name, strlen(name), it->name, sizeof(it->name));
	if (wrong != NULL) {
		(void)snprintf(why, EDIT_WHY, "[%s]: the name %.300s %s",
		    section_words[e->section], name, wrong);
		return false;
	}
	if (e->op == EDIT_ADD || e->op == EDIT_REMOVE)
		return true;
	(void)edit_section_text(e->section, it->name, where);
	if (!key_allowed(e->key, e->section)) {
		(void)snprintf(why, EDIT_WHY, "%s takes no key %s", where,
		    e->key < KEY_MAX ? key_table[e->key].name : "of that number");
		return false;
	}
	return e->op != EDIT_SET || set_check(e, where, why);
}

static void
fold(struct edit_target *t, const struct edit *e)
{
	uint32_t bit = e->key < KEY_MAX ? 1U << e->key : 0;

	switch (e->op) {
	case EDIT_SET:
		t->ensure = true;
		t->set |= bit;
		t->unset &= ~bit;
		t->value[e->key] = e->value;
		t->value_len[e->key] = strlen(e->value);
		trim(&t->value[e->key], &t->value_len[e->key]);
		break;
	case EDIT_UNSET:
		t->must_exist |= !t->ensure && section_named(t->section);
		t->set &= ~bit;
		t->unset |= bit;
		break;
	case EDIT_ADD:
		t->ensure = true;
		break;
	case EDIT_REMOVE:
		t->must_exist |= !t->ensure;
		t->remove = true;
		t->ensure = false;
		t->set = t->unset = 0;
		break;
	}
}

enum edit_status
edit_plan(struct edit_plan *plan, const struct edit *edits, size_t n, char why[EDIT_WHY])
{
	struct item *items = calloc(n + 1, sizeof(*items));
	struct edit_target *t = NULL;
	enum edit_status status = EDIT_INVALID;

	plan->target = calloc(n + 1, sizeof(*plan->target));
	plan->n = 0;
	if (items == NULL || plan->target == NULL) {
		(void)snprintf(why, EDIT_WHY, "out of memory");
		status = EDIT_FAILED;
		goto out;
	}
	for (size_t i = 0; i < n; i++)
		if (!item_fill(&items[i], &edits[i], why))
			goto out;
	qsort(items, n, sizeof(*items), item_compare);
	for (size_t i = 0; i < n; i++) {
		const struct edit *e = items[i].edit;

		if (t == NULL || compare(t->section, t->name, e->section, items[i].name) != 0) {
			t = &plan->target[plan->n++];
			t->section = e->section;
			t->order = (size_t)(e - edits);
			memcpy(t->name, items[i].name, sizeof(t->name));
		}
		fold(t, e);
	}
	status = EDIT_OK;
out:
	free(items);
	return status;
}

void
edit_plan_free(struct edit_plan *plan)
{
	free(plan->target);
	plan->target = NULL;
	plan->n = 0;
}

struct edit_target *
edit_plan_find(const struct edit_plan *plan, enum section section, const char *name)
{
	size_t lo = 0, hi = plan->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		struct edit_target *t = &plan->target[mid];
		int c = compare(section, name, t->section, t->name);

		if (c == 0)
			return t;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}
