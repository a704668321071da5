#include <string.h>

#include "snmp_certs.h"
#include "snmp_list.h"
#include "snmp_values.h"

/* ---- for all of them ---- */

void
put_integer(struct value *value, long n)
{
	value->u.integer = n;
	value->len = sizeof(value->u.integer);
}

void
put_number(struct value *value, size_t n)
{
	value->u.number = (u_long)(n & 0xffffffff);
	value->len = sizeof(value->u.number);
}

void
put_counter(struct value *value, uint64_t n)
{
	value->u.counter.high = (u_long)(n >> 32);
	value->u.counter.low = (u_long)(n & 0xffffffff);
	value->len = sizeof(value->u.counter);
}

void
put_octets(struct value *value, const void *octets, size_t len)
{
	if (len > 0)
		memcpy(value->u.octets, octets, len);
	value->len = len;
}

void
put_text(struct value *value, const char *text)
{
	size_t len = strlen(text);

	if (len > VIEW_TEXT)
		len = VIEW_TEXT;
	/* A cut must not go through a character of UTF-8. */
	if (text[len] != '\0')
		while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	put_octets(value, text, len);
}

void
value_date(struct value *value, time_t t)
{
	unsigned char *o = value->u.octets;
	struct tm tm;

	memset(o, 0, 11);
	value->len = 8;
	if (t <= 0 || gmtime_r(&t, &tm) == NULL)
		return;
	o[0] = (unsigned char)((tm.tm_year + 1900) >> 8);
	o[1] = (unsigned char)((tm.tm_year + 1900) & 0xff);
	o[2] = (unsigned char)(tm.tm_mon + 1);
	o[3] = (unsigned char)tm.tm_mday;
	o[4] = (unsigned char)tm.tm_hour;
	o[5] = (unsigned char)tm.tm_min;
	o[6] = (unsigned char)tm.tm_sec;
	o[8] = '+';
	value->len = 11;
}

/* ---- settings ---- */

/* The value in force of the server: its default where the file is silent. */
static bool
server_value(const struct view *v, enum key key, uint32_t *value)
{
	const struct settings *s = view_settings(v);

	if (s != NULL)
		*value = settings_value(settings_find(s, SEC_SERVER, ""), key);
	return s != NULL;
}

bool
get_server_word(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	uint32_t n;

	(void)row;
	if (!server_value(v, (enum key)o->arg, &n))
		return false;
	put_integer(value, tree_number((enum key)o->arg, n));
	return true;
}

bool
get_server_number(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	uint32_t n;

	(void)row;
	if (!server_value(v, (enum key)o->arg, &n))
		return false;
	put_integer(value, (long)n);
	return true;
}

bool
get_server_ref(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	const struct settings *s = view_settings(v);
	const char *name;

	(void)row;
	if (s == NULL)
		return false;
	name = settings_text(s, settings_find(s, SEC_SERVER, ""), (enum key)o->arg);
	put_text(value, name == NULL ? "" : name);
	return true;
}

bool
get_agent_list(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	enum key key = (enum key)o->arg;
	const struct settings *s = view_settings(v);
	const struct rule *r = s == NULL ? NULL : settings_find(s, SEC_AGENT, "");
	char buf[VIEW_LIST + 1];

	(void)row;
	put_text(value, r != NULL && rule_sets(r, key) ? list_text(s, r, key, buf, sizeof(buf)) :
	    key_table[key].preset_text);
	return true;
}

/* BITS (RFC 2578 7.1.4): the words that the list does not have. */
bool
get_agent_bits(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	enum key key = (enum key)o->arg;
	const struct settings *s = view_settings(v);
	struct list list = { NULL, 0, NULL };
	uint32_t word;

	(void)row;
	if (s != NULL)
		list = settings_list(s, settings_find(s, SEC_AGENT, ""), key);
	value->len = list_bits(key);
	memset(value->u.octets, 0, value->len);
	for (uint32_t i = 0; key_table[key].words[i] != NULL; i++)
		value->u.octets[i / 8] |= (unsigned char)(0x80 >> i % 8);
	while (list_next_number(&list, &word))
		if (word / 8 < value->len)
			value->u.octets[word / 8] &= (unsigned char)~(0x80 >> word % 8);
	return true;
}

/* A row's scalar, whether it is in force or waits; false: it does not say. */
static bool
row_value(const struct row *row, enum key key, uint32_t *value)
{
	if (row->rule != NULL) {
		*value = settings_value(row->rule, key);
		return rule_sets(row->rule, key);
	}
	return row->waiting->text[key] != NULL && key_scalar(key, row->waiting->text[key], value);
}

bool
get_word(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	enum key key = (enum key)o->arg;
	uint32_t n;

	(void)v;
	put_integer(value, row_value(row, key, &n) ? tree_number(key, n) : TREE_INHERIT);
	return true;
}

bool
get_bits(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	uint32_t n;

	(void)v;
	put_integer(value, row_value(row, (enum key)o->arg, &n) ? (long)n : -1);
	return true;
}

bool
get_ref(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	enum key key = (enum key)o->arg;
	const char *text = row->rule != NULL ? settings_text(view_settings(v), row->rule, key) :
	    row->waiting->text[key];

	put_text(value, text == NULL ? "" : text);
	return true;
}

bool
get_list(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	enum key key = (enum key)o->arg;
	char buf[VIEW_LIST + 1];
	const char *text = row->rule != NULL ?
	    list_text(view_settings(v), row->rule, key, buf, sizeof(buf)) : row->waiting->text[key];

	put_octets(value, text, text == NULL ? 0 : strnlen(text, VIEW_LIST));
	return true;
}

/* Of a row in a table of several kinds. */
bool
get_kind(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	(void)v;
	(void)o;
	put_integer(value, (long)row->section + 1);
	return true;
}

bool
get_name(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	(void)v;
	(void)o;
	put_text(value, row->name);
	return true;
}

bool
get_storage(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	(void)v;
	(void)o;
	(void)row;		/* one that waits, too: it is what the row becomes */
	put_integer(value, SNMP_STORAGE_NONVOLATILE);
	return true;
}

bool
get_status(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	(void)v;
	(void)o;
	put_integer(value, row->rule != NULL ? SNMP_ROW_ACTIVE : SNMP_ROW_NOTINSERVICE);
	return true;
}

/* ---- the agent's own account ---- */

bool
get_state(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	(void)o;
	(void)row;
	put_integer(value, view_settings(v) == NULL ? 3 : v->hold.bad ? 2 : 1);
	return true;
}

bool
get_number(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	size_t n = 0;

	(void)row;
	switch ((enum number)o->arg) {
	case NUM_LOADS:
		n = v->hold.loads;
		break;
	case NUM_FAILURES:
		n = v->hold.failures;
		break;
	case NUM_ERROR_LINE:
		n = v->hold.bad ? v->hold.error_line : 0;
		break;
	case NUM_DONE:
		n = v->changes_done;
		break;
	case NUM_REFUSED:
		n = v->changes_refused;
		break;
	case NUM_WAITING:
		n = v->waiting->n;
		break;
	case NUM_CERTIFICATES:
		n = certs_count(v->certs);
		break;
	case NUM_CONNECTS:
		n = v->link.connects;
		break;
	case NUM_LOSSES:
		n = v->link.losses;
		break;
	case NUM_REQUESTS:
		n = v->link.requests;
		break;
	}
	put_number(value, n);
	return true;
}

/* Rules of the section that arg is. */
bool
get_rules(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	const struct settings *s = view_settings(v);

	(void)row;
	put_number(value, s == NULL ? 0 : settings_count(s, (enum section)o->arg));
	return true;
}

bool
get_omitted(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	(void)row;
	put_number(value, v->omitted[o->arg]);
	return true;
}

bool
get_lock(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	(void)o;
	(void)row;
	put_integer(value, v->lock);
	return true;
}

bool
get_text(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	const char *text = "";

	(void)row;
	switch ((enum text)o->arg) {
	case TEXT_VERSION:
		text = TLSWARD_VERSION;
		break;
	case TEXT_PATH:
		text = v->hold.path;
		break;
	case TEXT_ERROR:
		text = v->hold.bad ? v->hold.error : "";
		break;
	case TEXT_CHANGE_ERROR:
		text = v->change_error;
		break;
	}
	put_text(value, text);
	return true;
}

bool
get_date(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	time_t when = 0;

	(void)row;
	switch ((enum date)o->arg) {
	case DATE_LOADED:
		when = v->loaded;
		break;
	case DATE_CHANGE_ERROR:
		when = v->change_error_time;
		break;
	case DATE_STARTED:
		when = v->link.started;
		break;
	case DATE_LINK:
		when = v->link.changed;
		break;
	}
	value_date(value, when);
	return true;
}

bool
get_digest(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	const struct settings *s = view_settings(v);
	uint64_t g = s == NULL ? 0 : settings_generation(s);

	(void)o;
	(void)row;
	for (int i = 0; i < 8; i++)
		value->u.octets[i] = (unsigned char)(g >> (56 - 8 * i) & 0xff);
	value->len = 8;
	return true;
}
