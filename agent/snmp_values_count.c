#include <string.h>

#include "snmp_values.h"	/* and the library's headers, which must come in this order */
#include <net-snmp/agent/net-snmp-agent-includes.h>

/* Of a row, or (NULL) of the server. */
static void
count_of(const struct view *v, const struct row *row, struct count *c)
{
	if (row == NULL)
		view_count(v, SEC_SERVER, "", c);
	else
		view_count(v, row->section, row->name, c);
}

bool
get_figure(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	struct count c;
	uint64_t n = 0;

	count_of(v, row, &c);
	switch ((enum figure)o->arg) {
	case FIG_CLEAR:
		n = c.accepted[COUNT_CLEAR];
		break;
	case FIG_TLS:
		n = c.accepted[COUNT_TLS];
		break;
	case FIG_VERIFIED:
		n = c.accepted[COUNT_VERIFIED];
		break;
	case FIG_REFUSED:
		n = count_sum(c.refused);
		break;
	case FIG_WOULD:
		n = count_sum(c.would);
		break;
	}
	put_counter(value, n);
	return true;
}

bool
get_refusal(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	struct count c;

	(void)o;
	count_of(v, row, &c);
	value_date(value, (time_t)c.last_refusal);
	return true;
}

/*
 * TimeStamp: sysUpTime, in hundredths, of something that has a wall-clock time.  0 for
 * what was before sysUpTime began anew (RFC 2579), as it does when snmpd starts.
 */
bool
get_stamp(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	/* Worked out once for each link: a manager compares it with what it read
	 * before, so that it must not wander with the rounding of two clocks. */
	static struct { bool known; int64_t since; uint32_t connects; u_long at; } stamps[STAMP_MAX];
	const int64_t when[STAMP_MAX] = { v->since, v->began, v->agent_began }, *since = &when[o->arg];

	(void)row;
	if (!stamps[o->arg].known || stamps[o->arg].since != *since ||
	    stamps[o->arg].connects != v->link.connects) {
		uint64_t up = netsnmp_get_agent_uptime(), age;
		int64_t now = view_wall();

		age = now > *since ? (uint64_t)(now - *since) / 10 : 0;
		stamps[o->arg].known = true;
		stamps[o->arg].since = *since;
		stamps[o->arg].connects = v->link.connects;
		stamps[o->arg].at = age < up ? (u_long)(up - age) : 0;
	}
	value->u.number = stamps[o->arg].at;
	value->len = sizeof(value->u.number);
	return true;
}

/* What found no row of its own, all together. */
bool
get_other(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	struct count c;

	(void)o;
	(void)row;
	counters_all_other(v->counters, &c);
	put_counter(value, c.accepted[COUNT_CLEAR] + c.accepted[COUNT_TLS] + count_sum(c.refused));
	return true;
}

/* ---- by reason ---- */

bool
get_reason(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	size_t reason = row->i + 1;
	struct count c;

	counters_all_by_reason(v->counters, &c);
	put_counter(value, o->arg == FIG_WOULD ? c.would[reason] : c.refused[reason]);
	return true;
}

/* ---- the last refusals ---- */

static size_t
addr_len(const struct addr *a)
{
	return a->family == ADDR_IPV4 ? 4 : a->family == ADDR_IPV6 ? 16 : 0;
}

bool
get_recent(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	const struct recent *r = &view_refusals(v)->at[row->i].what;
	size_t len = addr_len(&r->client);
	char text[ADDR_TEXT];

	switch ((enum recent_field)o->arg) {
	case RECENT_TIME:
		value_date(value, (time_t)r->time);
		break;
	case RECENT_KIND:		/* TlswardRuleKind ends with none(6) */
		put_integer(value, r->section < SEC_RULES ? (long)r->section + 1 : SEC_RULES + 1);
		break;
	case RECENT_NAME:
		put_text(value, r->name);
		break;
	case RECENT_REASON:
		put_integer(value, (long)r->reason);
		break;
	case RECENT_ACTION:
		put_integer(value, r->action == ACT_DEFER ? 2 : 1);
		break;
	case RECENT_TYPE:		/* InetAddressType */
		put_integer(value, len == 4 ? 1 : len == 16 ? 2 : 0);
		break;
	case RECENT_ADDR:
		put_octets(value, r->client.ip, len);
		break;
	case RECENT_CLIENT:
		put_text(value, len == 0 ? "" : addr_format_ip(&r->client, text));
		break;
	}
	return true;
}

/* ---- front ends ---- */

enum front_state { FRONT_NEVER = 1, FRONT_COUNTING, FRONT_UNREADABLE };

static enum front_state
front_state(const struct view *v, size_t i)
{
	if (v->counters == NULL || counters_all_absent(v->counters, i))
		return FRONT_NEVER;
	return counters_all_why(v->counters, i) == NULL ? FRONT_COUNTING : FRONT_UNREADABLE;
}

bool
get_front_end(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	enum front_state state = front_state(v, row->i);
	const char *why = counters_all_why(v->counters, row->i);
	struct counters_life life;

	counters_all_life(v->counters, row->i, &life);
	switch ((enum front_field)o->arg) {
	case FRONT_STATE:
		put_integer(value, state);
		break;
	case FRONT_ERROR:
		put_text(value, state == FRONT_UNREADABLE && why != NULL ? why : "");
		break;
	case FRONT_STARTS:
		put_number(value, life.starts);
		break;
	case FRONT_LAST_START:
		value_date(value, (time_t)life.last_start);
		break;
	case FRONT_CALLS:
		put_counter(value, life.calls);
		break;
	case FRONT_LAST_SEEN:
		value_date(value, (time_t)life.last_seen);
		break;
	}
	return true;
}
