#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "snmp_waiting.h"

static void
row_clear(struct waiting *w)
{
	for (size_t k = 0; k < KEY_RULES; k++)
		free(w->text[k]);
}

/* As the settings are ordered: listeners and client networks by their address. */
static int
row_cmp(const struct waiting *w, enum section section, const char *name)
{
	struct addr a, b;

	if (w->section != section)
		return w->section < section ? -1 : 1;
	if (section != SEC_LISTENER && section != SEC_CLIENT)
		return strcmp(w->name, name);
	if (section == SEC_LISTENER) {
		addr_listener(w->name, strlen(w->name), &a);
		addr_listener(name, strlen(name), &b);
	} else {
		addr_network(w->name, strlen(w->name), &a);
		addr_network(name, strlen(name), &b);
	}
	return addr_cmp(&a, &b);
}

void
waiting_free(struct waiting_list *list)
{
	if (list == NULL)
		return;
	for (size_t i = 0; i < list->n; i++)
		row_clear(&list->row[i]);
	free(list->row);
	free(list);
}

struct waiting_list *
waiting_copy(const struct waiting_list *from)
{
	struct waiting_list *to;

	if ((to = calloc(1, sizeof(*to))) == NULL || from == NULL || from->n == 0)
		return to;
	if ((to->row = calloc(from->n, sizeof(*to->row))) == NULL)
		goto fail;
	to->size = from->n;
	for (size_t i = 0; i < from->n; i++) {
		struct waiting *w = &to->row[to->n++];

		*w = from->row[i];
		memset(w->text, 0, sizeof(w->text));
		for (unsigned k = 0; k < KEY_RULES; k++)
			if (!waiting_set(w, (enum key)k, from->row[i].text[k]))
				goto fail;
	}
	return to;
fail:
	waiting_free(to);
	return NULL;
}

size_t
waiting_lower(const struct waiting_list *list, enum section section,
    const char *name, bool equal)
{
	size_t lo = 0, hi = list->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = row_cmp(&list->row[mid], section, name);

		if (c < 0 || (c == 0 && !equal))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct waiting *
waiting_find(const struct waiting_list *list, enum section section, const char *name)
{
	size_t i = waiting_lower(list, section, name, true);

	if (i == list->n || row_cmp(&list->row[i], section, name) != 0)
		return NULL;
	return &list->row[i];
}

struct waiting *
waiting_add(struct waiting_list *list, enum section section, const char *name, time_t now)
{
	struct waiting *w;
	size_t i = waiting_lower(list, section, name, true);
	size_t len = strlen(name);

	if (i < list->n && row_cmp(&list->row[i], section, name) == 0)
		return &list->row[i];
	if (list->n >= WAITING_MAX || len > ROW_NAME_MAX)
		return NULL;
	if (list->n == list->size) {
		size_t size = list->size == 0 ? 16 : list->size * 2;

		if ((w = reallocarray(list->row, size, sizeof(*w))) == NULL)
			return NULL;
		list->row = w;
		list->size = size;
	}
	w = &list->row[i];
	memmove(w + 1, w, (list->n - i) * sizeof(*w));
	memset(w, 0, sizeof(*w));
	list->n++;
	w->section = section;
	memcpy(w->name, name, len + 1);
	w->touched = now;
	return w;
}

bool
waiting_set(struct waiting *w, enum key key, const char *text)
{
	char *copy = NULL;

	if (text != NULL && (copy = strdup(text)) == NULL)
		return false;
	free(w->text[key]);
	w->text[key] = copy;
	return true;
}

void
waiting_remove(struct waiting_list *list, size_t i)
{
	row_clear(&list->row[i]);
	list->n--;
	memmove(&list->row[i], &list->row[i + 1], (list->n - i) * sizeof(*list->row));
}
