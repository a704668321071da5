#include <string.h>

#include "snmp_objects.h"
#include "snmp_tree.h"

/* The sub-identifiers that name an object; how many. */
static size_t
prefix_of(const struct object *o, oid prefix[3])
{
	prefix[0] = o->group;
	prefix[1] = o->table != TABLE_NONE ? 1 : o->id;
	prefix[2] = o->id;
	return o->table != TABLE_NONE ? 3 : 2;
}

/* The first object that is not wholly before sub. */
static size_t
first_object(const oid *sub, size_t n)
{
	size_t lo = 0, hi = object_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2, len;
		oid prefix[3];

		len = prefix_of(&object_table[mid], prefix);
		if (snmp_oid_ncompare(sub, n, prefix, len, len) > 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct object *
tree_object(const oid *sub, size_t n, size_t *used)
{
	size_t i = first_object(sub, n), len;
	oid prefix[3];

	if (i == object_count)
		return NULL;
	len = prefix_of(&object_table[i], prefix);
	if (n < len || snmp_oid_ncompare(sub, n, prefix, len, len) != 0)
		return NULL;
	*used = len;
	return &object_table[i];
}

enum tree_found
tree_get(const struct view *v, const oid *sub, size_t n, struct value *value)
{
	struct row row;
	size_t used;
	const struct object *o = tree_object(sub, n, &used);

	if (o == NULL)
		return TREE_NO_OBJECT;
	value->type = o->type;
	if (o->table == TABLE_NONE)
		return n == used + 1 && sub[used] == 0 && o->get(v, o, NULL, value) ?
		    TREE_FOUND : TREE_NO_INSTANCE;
	if (!table_row(v, o->table, sub + used, n - used, &row) || !o->get(v, o, &row, value))
		return TREE_NO_INSTANCE;
	return TREE_FOUND;
}

static bool
next_row(const struct view *v, const struct object *o, const oid *index, size_t n,
    bool inclusive, oid *next, size_t *nextlen, struct value *value)
{
	struct row row;
	size_t len;

	if (!table_next(v, o->table, index, n, inclusive, &row) || !o->get(v, o, &row, value))
		return false;
	len = prefix_of(o, next);
	*nextlen = len + table_index(v, o->table, &row, next + len);
	return true;
}

bool
tree_next(const struct view *v, const oid *sub, size_t n, bool inclusive,
    oid next[TREE_DEPTH], size_t *nextlen, struct value *value)
{
	for (size_t i = first_object(sub, n); i < object_count; i++) {
		const struct object *o = &object_table[i];
		oid prefix[3];
		size_t len = prefix_of(o, prefix), rest = 0;

		if (snmp_oid_ncompare(sub, n, prefix, len, len) == 0)
			rest = n - len;
		value->type = o->type;
		if (o->table != TABLE_NONE) {
			if (next_row(v, o, sub + n - rest, rest, inclusive, next, nextlen, value))
				return true;
			continue;
		}
		/* Its one instance is .0: before anything that has more behind it. */
		if (rest > 0 && !(inclusive && rest == 1 && sub[n - 1] == 0))
			continue;
		if (!o->get(v, o, NULL, value))
			continue;
		memcpy(next, prefix, 2 * sizeof(*next));
		next[2] = 0;
		*nextlen = 3;
		return true;
	}
	return false;
}

/* The lowest value of a key's enumeration, and how many there are. */
static uint32_t
word_range(enum key key, long *count)
{
	const char *const *words = key_table[key].words;

	*count = 0;
	switch (key_table[key].type) {
	case TYPE_WORD:
		while (words[*count] != NULL)
			(*count)++;
		return 0;
	case TYPE_BOOL:
		*count = 2;
		return 0;
	case TYPE_TLS:
		*count = TLS_1_3 - TLS_1_0 + 1;
		return TLS_1_0;
	default:
		return 0;
	}
}

bool
tree_word(bool scalar, enum key key, long number, const char **word)
{
	static char unused[16];		/* words need no room, numbers do */
	long count;
	uint32_t least = word_range(key, &count);

	*word = NULL;
	if (number == TREE_INHERIT)
		return !scalar;
	if (number < TREE_INHERIT || number - TREE_INHERIT > count)
		return false;
	*word = key_text(key, least + (uint32_t)(number - TREE_INHERIT - 1), unused);
	return true;
}

long
tree_number(enum key key, uint32_t value)
{
	long count;

	return (long)(value - word_range(key, &count)) + TREE_INHERIT + 1;
}
