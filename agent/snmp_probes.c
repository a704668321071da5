#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snmp_objects.h"	/* and the library's headers, which must come in this order */
#include <net-snmp/agent/net-snmp-agent-includes.h>

#include "read.h"
#include "snmp_notify.h"
#include "snmp_probes.h"

static struct {
	struct file_id id;
	struct probe_seen *at;
	size_t n;
} seen;

static void
look(const struct view *v)
{
	char path[4096];
	struct file_id id;

	if (v->state_dir == NULL || (size_t)snprintf(path, sizeof(path), "%s/agent/probe",
	    v->state_dir) >= sizeof(path))
		return;
	if (!file_identify(path, &id))
		memset(&id, 0, sizeof(id));
	if (file_id_equal(&id, &seen.id))
		return;
	free(seen.at);
	seen.n = probe_file_read(path, &seen.at);
	seen.id = id;
}

/* What it shows when asked for no name, and what is wrong under any. */
const struct probe_seen *
probes_listener(const struct view *v, const char *listener)
{
	static struct probe_seen all;
	const struct probe_seen *plain = NULL, *bad = NULL;

	look(v);
	for (size_t i = 0; i < seen.n; i++) {
		if (strcmp(seen.at[i].listener, listener) != 0)
			continue;
		if (seen.at[i].sni[0] == '\0')
			plain = &seen.at[i];
		if (seen.at[i].state == PROBE_FAULT && (bad == NULL || seen.at[i].sni[0] == '\0'))
			bad = &seen.at[i];
	}
	if (plain == NULL || bad == NULL || bad == plain)
		return plain;
	all = *plain;
	all.state = PROBE_FAULT;
	snprintf(all.text, sizeof(all.text), "asked for %s: %.*s", bad->sni, 240, bad->text);
	return &all;
}

const struct probe_seen *
probes_certificate(const struct view *v, const char *name)
{
	const struct probe_seen *best = NULL;

	look(v);
	for (size_t i = 0; i < seen.n; i++)
		if (strcmp(seen.at[i].certificate, name) == 0 &&
		    (best == NULL || seen.at[i].shown > best->shown))
			best = &seen.at[i];
	return best;
}

bool
get_notify(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	const struct alarm_figures *f = notify_figures();
	const struct settings *s = view_settings(v);
	const u_long figure[] = { f->sent, f->suppressed, f->lost, f->queued };
	uint32_t n;

	(void)row;
	if (o->arg != 0) {
		n = s == NULL ? key_table[o->arg].preset :
		    settings_value(settings_find(s, SEC_AGENT, ""), (enum key)o->arg);
		value->u.integer = o->set == SET_WORD ? tree_number((enum key)o->arg, n) : (long)n;
		value->len = sizeof(value->u.integer);
	} else if (o->type == ASN_OCTET_STR)
		value_date(value, (time_t)f->probed);
	else
		put_number(value, o->group == 15 ? figure[o->id - 4] : f->faults);
	return true;
}
