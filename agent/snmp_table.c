#include <stdio.h>
#include <string.h>

#include "snmp_certs.h"
#include "snmp_table.h"

/* InetAddressType */
enum { INET_UNKNOWN = 0, INET_IPV4 = 1, INET_IPV6 = 2 };

enum section
table_section(enum table table)
{
	switch (table) {
	case TABLE_DOMAIN:
		return SEC_DOMAIN;
	case TABLE_PEER:
		return SEC_PEER;
	case TABLE_LISTENER:
		return SEC_LISTENER;
	case TABLE_CLIENT:
		return SEC_CLIENT;
	default:
		return SEC_MAX;
	}
}

/* ---- the index of a row ---- */

static size_t
index_text(const char *name, oid *index, size_t room)
{
	size_t n = strlen(name);

	if (n > room)
		return 0;
	for (size_t i = 0; i < n; i++)
		index[i] = (unsigned char)name[i];
	return n;
}

size_t
table_index_addr(enum section section, const char *name, oid index[INDEX_MAX])
{
	struct addr a;
	size_t n = 0, len;
	bool known = section == SEC_LISTENER ? addr_listener(name, strlen(name), &a) :
	    addr_network(name, strlen(name), &a);

	if (!known)
		return 0;
	len = a.family == ADDR_IPV4 ? 4 : a.family == ADDR_IPV6 ? 16 : 0;
	index[n++] = len == 4 ? INET_IPV4 : len == 16 ? INET_IPV6 : INET_UNKNOWN;
	index[n++] = len;
	for (size_t i = 0; i < len; i++)
		index[n++] = a.ip[i];
	index[n++] = section == SEC_LISTENER ? a.port : a.prefix;
	return n;
}

size_t
table_index(const struct view *v, enum table table, const struct row *row, oid index[INDEX_MAX])
{
	size_t n;

	switch (table) {
	case TABLE_DOMAIN:
	case TABLE_PEER:
		return index_text(row->name, index, INDEX_MAX);
	case TABLE_LISTENER:
	case TABLE_CLIENT:
		return table_index_addr(row->section, row->name, index);
	case TABLE_LONG:
		index[0] = v->longs.at[row->i].number;
		return 1;
	case TABLE_CERTIFICATE:
		index[0] = certs_kind(row->section);
		n = index_text(row->name, index + 1, INDEX_MAX - 1);
		return n == 0 ? 0 : n + 1;
	case TABLE_REASON:
	case TABLE_FRONT_END:
		index[0] = row->i + 1;
		return 1;
	case TABLE_RECENT:
		index[0] = view_refusals(v)->at[row->i].front_end + 1;
		index[1] = (oid)(view_refusals(v)->at[row->i].what.number & UINT32_MAX);
		return 2;
	case TABLE_NONE:
		break;
	}
	return 0;
}

/* ---- rows by place ---- */

static size_t
rows(const struct view *v, enum table table)
{
	const struct settings *s = view_settings(v);

	switch (table) {
	case TABLE_DOMAIN:
	case TABLE_PEER:
	case TABLE_LISTENER:
	case TABLE_CLIENT:
		return s == NULL ? 0 : settings_count(s, table_section(table));
	case TABLE_LONG:
		return v->longs.n;
	case TABLE_CERTIFICATE:
		return certs_count(v->certs);
	case TABLE_REASON:
		return REASON_MAX - 1;
	case TABLE_RECENT:
		return view_refusals(v)->n;
	case TABLE_FRONT_END:
		return COUNTERS_FRONTENDS;
	case TABLE_NONE:
		break;
	}
	return 0;
}

static void
row_of_rule(const struct settings *s, const struct rule *r, struct row *row)
{
	row->section = (enum section)r->section;
	row->name = settings_name(s, r);
	row->rule = r;
}

static void
row_at(const struct view *v, enum table table, size_t i, struct row *row)
{
	const struct settings *s = view_settings(v);

	*row = (struct row){ .section = SEC_MAX, .name = "", .i = i };
	switch (table) {
	case TABLE_DOMAIN:
	case TABLE_PEER:
	case TABLE_LISTENER:
	case TABLE_CLIENT:
		row_of_rule(s, settings_at(s, table_section(table), i), row);
		break;
	case TABLE_LONG:
		row_of_rule(s, v->longs.at[i].rule, row);
		break;
	case TABLE_CERTIFICATE:
		row->section = certs_at(v->certs, i)->section;
		row->name = certs_at(v->certs, i)->name;
		break;
	default:
		break;
	}
}

static void
row_of_waiting(const struct waiting *w, struct row *row)
{
	*row = (struct row){ .section = w->section, .name = w->name, .waiting = w };
}

/* ---- search ---- */

/* Is the row's index before the one asked for (or that one, without `inclusive`)? */
static bool
before(const struct view *v, enum table table, const struct row *row, const oid *index, size_t n,
    bool inclusive)
{
	oid own[NAME_SIZE];
	size_t len = table_index(v, table, row, own);
	int c;

	/* Too long for an index, it still has its place among the names. */
	if (len == 0)
		len = index_text(row->name, own, NAME_SIZE);
	c = snmp_oid_compare(own, len, index, n);
	return c < 0 || (c == 0 && !inclusive);
}

static bool
next_rule(const struct view *v, enum table table, const oid *index, size_t n, bool inclusive,
    struct row *row)
{
	size_t count = rows(v, table), lo = 0, hi = count;
	oid own[INDEX_MAX];

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		row_at(v, table, mid, row);
		if (before(v, table, row, index, n, inclusive))
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < count; lo++) {
		row_at(v, table, lo, row);
		if (table_index(v, table, row, own) > 0)
			return true;
	}
	return false;
}

static bool
next_waiting(const struct view *v, enum table table, const oid *index, size_t n, bool inclusive,
    struct row *row)
{
	const struct waiting_list *list = v->waiting;
	enum section section = table_section(table);
	size_t lo, hi, end;

	if (section == SEC_MAX || list->n == 0)
		return false;
	lo = waiting_lower(list, section, "", true);
	end = hi = waiting_lower(list, section + 1, "", true);
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		row_of_waiting(&list->row[mid], row);
		if (before(v, table, row, index, n, inclusive))
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == end)
		return false;
	row_of_waiting(&list->row[lo], row);
	return true;
}

bool
table_next(const struct view *v, enum table table, const oid *index, size_t n, bool inclusive,
    struct row *row)
{
	struct row waiting;
	oid own[INDEX_MAX];
	size_t len;
	bool any = next_rule(v, table, index, n, inclusive, row);

	if (!next_waiting(v, table, index, n, inclusive, &waiting))
		return any;
	len = table_index(v, table, &waiting, own);
	/* What both have is the rule's. */
	if (!any || !before(v, table, row, own, len, false))
		*row = waiting;
	return true;
}

/* ---- the names of indices ---- */

static const char *
name_of_text(enum section section, const oid *index, size_t n, char name[NAME_SIZE],
    char buf[INDEX_WHY])
{
	char text[ROW_NAME_MAX + 1];
	const char *wrong;

	for (size_t i = 0; i < n && n <= ROW_NAME_MAX; i++) {
		if (index[i] == 0 || index[i] > UCHAR_MAX)
			n = 0;
		else
			text[i] = (char)(unsigned char)index[i];
	}
	if (n == 0 || n > ROW_NAME_MAX) {
		snprintf(buf, INDEX_WHY, "the index is no name of 1 to %d octets", ROW_NAME_MAX);
		return buf;
	}
	text[n] = '\0';
	wrong = section_name_normal(section, text, n, name, NAME_SIZE);
	if (wrong == NULL && strlen(name) <= ROW_NAME_MAX)
		return NULL;
	if (wrong != NULL)
		snprintf(buf, INDEX_WHY, "the name \"%s\" %s", text, wrong);
	else
		snprintf(buf, INDEX_WHY, "the name \"%s\" is kept as \"%s\", which no index "
		    "holds: more than %d octets", text, name, ROW_NAME_MAX);
	return buf;
}

static bool
addr_of_index(enum section section, const oid *index, size_t n, struct addr *a)
{
	static const size_t sizes[] = { [INET_UNKNOWN] = 0, [INET_IPV4] = 4, [INET_IPV6] = 16 };
	size_t len = n < 3 ? 0 : index[1];

	memset(a, 0, sizeof(*a));
	if (n < 3 || index[0] > INET_IPV6 || len != sizes[index[0]] || n != len + 3 ||
	    (len == 0 && section == SEC_CLIENT) ||
	    index[n - 1] > (section == SEC_LISTENER ? UINT16_MAX : len * 8))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (index[2 + i] > UCHAR_MAX)
			return false;
		a->ip[i] = (uint8_t)index[2 + i];
	}
	a->family = len == 4 ? ADDR_IPV4 : len == 16 ? ADDR_IPV6 : ADDR_ANY;
	if (section == SEC_LISTENER) {
		a->prefix = (uint8_t)(len * 8);
		a->port = (uint16_t)index[n - 1];
	} else
		a->prefix = (uint8_t)index[n - 1];
	return true;
}

static const char *
name_of_addr(enum section section, const oid *index, size_t n, char name[NAME_SIZE],
    char buf[INDEX_WHY])
{
	char text[ADDR_TEXT];
	const char *wrong;
	oid again[INDEX_MAX];
	struct addr a;

	if (!addr_of_index(section, index, n, &a)) {
		snprintf(buf, INDEX_WHY, "the index is no InetAddressType, InetAddress and %s",
		    section == SEC_LISTENER ? "port" : "prefix length");
		return buf;
	}
	if (section == SEC_LISTENER)
		addr_format_listener(&a, text);
	else
		addr_format_network(&a, text);
	wrong = section_name_normal(section, text, strlen(text), name, NAME_SIZE);
	if (wrong != NULL)
		snprintf(buf, INDEX_WHY, "%s %s", text, wrong);
	else if (table_index_addr(section, name, again) == n && snmp_oid_compare(again, n, index, n) == 0)
		return NULL;
	else
		snprintf(buf, INDEX_WHY, "%s is kept as %s: use that as index", text, name);
	return buf;
}

const char *
table_name(enum table table, const oid *index, size_t n, char name[NAME_SIZE],
    char buf[INDEX_WHY])
{
	enum section section = table_section(table);

	switch (section) {
	case SEC_DOMAIN:
	case SEC_PEER:
		return name_of_text(section, index, n, name, buf);
	case SEC_LISTENER:
	case SEC_CLIENT:
		return name_of_addr(section, index, n, name, buf);
	default:
		return "no rows can be made in this table";
	}
}

/* ---- the row of an index ---- */

/* A name that is written another way, in upper case, U-labels, with a final dot. */
static bool
row_of_name(const struct view *v, enum table table, const oid *index, size_t n, struct row *row)
{
	char name[NAME_SIZE], why[INDEX_WHY];
	enum section section = table_section(table);
	const struct waiting *waiting = NULL;
	const struct rule *rule;

	if ((section != SEC_DOMAIN && section != SEC_PEER) ||
	    name_of_text(section, index, n, name, why) != NULL)
		return false;
	*row = (struct row){ .section = section };
	if ((rule = view_rule(v, section, name)) != NULL)
		row_of_rule(view_settings(v), rule, row);
	else if ((waiting = view_waiting(v, section, name)) != NULL)
		row_of_waiting(waiting, row);
	return rule != NULL || waiting != NULL;
}

bool
table_row(const struct view *v, enum table table, const oid *index, size_t n, struct row *row)
{
	oid own[INDEX_MAX];
	size_t len;

	if (table_next(v, table, index, n, true, row)) {
		len = table_index(v, table, row, own);
		if (snmp_oid_compare(own, len, index, n) == 0)
			return true;
	}
	return row_of_name(v, table, index, n, row);
}
