/*
 * The part of tlsward status about the last refusals of each front end.
 */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "cmd_json.h"
#include "cmd_status.h"
#include "counters.h"
#include "keys.h"

struct refusal {
	const char *front_end;
	struct recent what;
};

static int
by_time(const void *va, const void *vb)
{
	const struct refusal *a = va, *b = vb;

	if (a->what.time != b->what.time)
		return a->what.time < b->what.time ? -1 : 1;
	if (a->front_end != b->front_end)
		return strcmp(a->front_end, b->front_end);
	return (a->what.number > b->what.number) - (a->what.number < b->what.number);
}

/* Those of all front ends, the oldest first; to be freed.  NULL: none, or no memory. */
static struct refusal *
gather(const struct counters_all *all, size_t *n)
{
	struct refusal *list = calloc(COUNTERS_FRONTENDS * COUNTERS_RECENT, sizeof(*list));
	struct recent of_one[COUNTERS_RECENT];

	*n = 0;
	for (size_t f = 0; list != NULL && f < COUNTERS_FRONTENDS; f++) {
		size_t k = counters_all_recent(all, f, of_one);

		for (size_t i = 0; i < k; i++)
			list[(*n)++] = (struct refusal){ counters_frontends[f], of_one[i] };
	}
	if (list != NULL)
		qsort(list, *n, sizeof(*list), by_time);
	return list;
}

static void
put_refusal(const struct refusal *r)
{
	char when[32], peer[ADDR_TEXT];

	put_out("  %s  %s  %s from %s", status_date(r->what.time, STATUS_WHEN, when),
	    r->front_end, reason_words[r->what.reason],
	    addr_format_ip(&r->what.client, peer));
	if (r->what.section < SEC_RULES)
		put_out(" by %s%s%s", section_words[r->what.section], r->what.name[0] != '\0' ? " " : "",
		    r->what.name);
	put_out("%s\n", r->what.action == ACT_DEFER ? ", for now" : "");
}

void
put_recent(const struct counters_all *all)
{
	size_t n;
	struct refusal *list = gather(all, &n);

	printf(n > 0 ? "\nThe last refusals\n" : "\nNothing was refused lately\n");
	for (size_t i = 0; i < n; i++)
		put_refusal(&list[i]);
	free(list);
}

void
json_recent(struct json *j, const struct counters_all *all)
{
	size_t n;
	struct refusal *list = gather(all, &n);
	char peer[ADDR_TEXT];

	json_array(j, "recent");
	for (size_t i = 0; i < n; i++) {
		const struct recent *r = &list[i].what;

		json_object(j, NULL);
		json_string(j, "frontend", list[i].front_end);
		json_number(j, "time", r->time);
		json_string(j, "client", addr_format_ip(&r->client, peer));
		json_string(j, "section", r->section < SEC_RULES ? section_words[r->section] : NULL);
		json_string(j, "name", r->section < SEC_RULES ? r->name : NULL);
		json_string(j, "reason", reason_words[r->reason]);
		json_bool(j, "temporary", r->action == ACT_DEFER);
		json_close(j);
	}
	json_close(j);
	free(list);
}
