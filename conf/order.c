#include <stdlib.h>
#include <string.h>

#include "order.h"

#define SMALL 10	/* fewer names than this are sorted by insertion */

struct rules {
	const struct rule *rule;
	const char *pool;
};

static const char *
name_at(const struct rules *b, uint32_t i)
{
	return b->pool + b->rule[i].name;
}

static void
insert_names(const struct rules *b, uint32_t *a, size_t n, size_t depth)
{
	uint32_t x;
	size_t i, j;

	for (i = 1; i < n; i++) {
		x = a[i];
		for (j = i; j > 0 && strcmp(name_at(b, a[j - 1]) + depth,
		    name_at(b, x) + depth) > 0; j--)
			a[j] = a[j - 1];
		a[j] = x;
	}
}

/*
 * Sorts names that are the same up to depth, octet by octet, equal ones in the
 * order they came: linear, whatever they have in common.  No deeper than a name
 * is long.
 */
static void
sort_names(const struct rules *b, uint32_t *a, uint32_t *spare, size_t n, size_t depth)
{
	uint32_t count[256] = { 0 }, start[256], sum;
	size_t i, c;

	while (n >= SMALL) {
		for (i = 0; i < n; i++)
			count[(unsigned char)name_at(b, a[i])[depth]]++;
		c = (unsigned char)name_at(b, a[0])[depth];
		if (count[c] < n)
			break;
		if (c == '\0')
			return;
		count[c] = 0;
		depth++;
	}
	if (n < SMALL) {
		insert_names(b, a, n, depth);
		return;
	}
	for (sum = 0, c = 0; c < 256; sum += count[c++])
		start[c] = sum;
	for (i = 0; i < n; i++)
		spare[start[(unsigned char)name_at(b, a[i])[depth]]++] = a[i];
	memcpy(a, spare, n * sizeof(*a));
	for (i = count[0], c = 1; c < 256; i += count[c++])
		if (count[c] > 1)
			sort_names(b, a + i, spare, count[c], depth + 1);
}

static struct addr
addr_at(const struct rules *b, uint32_t i)
{
	struct addr a;

	memcpy(&a, b->pool + b->rule[i].more, sizeof(a));
	return a;
}

static int
by_addr(const void *va, const void *vb, void *arg)
{
	const struct rules *b = arg;
	const uint32_t i = *(const uint32_t *)va, j = *(const uint32_t *)vb;
	struct addr x = addr_at(b, i), y = addr_at(b, j);
	int c = addr_cmp(&x, &y);

	return c != 0 ? c : i < j ? -1 : i > j;
}

static bool
same(const struct rules *b, enum section sec, uint32_t i, uint32_t j)
{
	struct addr x, y;

	if (sec == SEC_LISTENER || sec == SEC_CLIENT) {
		x = addr_at(b, i);
		y = addr_at(b, j);
		return addr_cmp(&x, &y) == 0;
	}
	return strcmp(name_at(b, i), name_at(b, j)) == 0;
}

static bool
in_order(const struct rules *b, const uint32_t *a, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (strcmp(name_at(b, a[i - 1]), name_at(b, a[i])) > 0)
			return false;
	return true;
}

/* Puts a section's rules in order; returns how many remain without repeated ones. */
static size_t
order_section(struct rules *b, enum section sec, uint32_t *a, uint32_t *spare, size_t n,
    build_twice *twice, void *arg)
{
	size_t i, kept = 0;

	if (sec == SEC_LISTENER || sec == SEC_CLIENT)
		qsort_r(a, n, sizeof(*a), by_addr, b);
	else if (!in_order(b, a, n))
		sort_names(b, a, spare, n, 0);
	for (i = 0; i < n; i++) {
		if (kept == 0 || !same(b, sec, a[kept - 1], a[i]))
			a[kept++] = a[i];
		else if (twice != NULL)
			twice(arg, sec, name_at(b, a[i]), b->rule[a[kept - 1]].line,
			    b->rule[a[i]].line);
	}
	return kept;
}

void
rank_rules(const struct rule *rule, size_t n, const char *pool, uint32_t *rank,
    struct span span[SEC_MAX], build_twice *twice, void *arg)
{
	struct rules b = { rule, pool };
	uint32_t *order = rank, *spare = rank + n, first[SEC_MAX + 1] = { 0 }, next[SEC_MAX];
	uint32_t total = 0;
	size_t i, kept;
	int s;

	for (i = 0; i < n; i++)
		first[rule[i].section + 1]++;
	for (s = 0; s < SEC_MAX; s++)
		first[s + 1] += first[s];
	memcpy(next, first, sizeof(next));
	for (i = 0; i < n; i++)
		order[next[rule[i].section]++] = (uint32_t)i;
	for (s = 0; s < SEC_MAX; s++) {
		kept = order_section(&b, (enum section)s, order + first[s], spare,
		    first[s + 1] - first[s], twice, arg);
		memmove(order + total, order + first[s], kept * sizeof(*order));
		span[s].first = total;
		span[s].count = (uint32_t)kept;
		total += span[s].count;
	}
	memset(spare, 0xff, n * sizeof(*spare));
	for (i = 0; i < total; i++)
		spare[order[i]] = (uint32_t)i;
	for (i = 0; i < n; i++)
		if (spare[i] == UINT32_MAX)
			spare[i] = total++;
	memcpy(rank, spare, n * sizeof(*spare));
}
