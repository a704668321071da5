#include <stdio.h>
#include <string.h>

#include "snmp_table.h"	/* and the library's headers, which must come in this order */

#include "snmp_list.h"
#include "snmp_log.h"
#include "snmp_set_log.h"

/* TLSWARD-MIB's names: tlsward, the table's, the column's. */
static const char *const group_names[SEC_MAX] = {
	[SEC_SERVER] = "Server", [SEC_LISTENER] = "Listener", [SEC_CLIENT] = "Client",
	[SEC_DOMAIN] = "Domain", [SEC_PEER] = "Peer", [SEC_AGENT] = "",
};
static const char *const column_names[KEY_MAX + 1] = {
	[KEY_MODE] = "Mode", [KEY_CLIENT_CERT] = "ClientCert", [KEY_MIN_TLS] = "MinTls",
	[KEY_MIN_BITS] = "MinBits", [KEY_ENFORCE] = "Enforce",
	[KEY_AUTHENTICATED] = "Authenticated", [KEY_VERIFIES] = "Verifies",
	[KEY_CERTIFICATE] = "Certificate", [KEY_CA] = "Ca", [KEY_CERT_NAMES] = "CertNames",
	[KEY_FINGERPRINTS] = "Fingerprints", [KEY_MATCH_CN] = "MatchCn",
	[KEY_NOTIFY] = "NotifyEnabled", [KEY_PROBE_INTERVAL] = "ProbeInterval",
	[KEY_NOTIFY_RATE] = "NotifyRate", [KEY_REFUSAL_RATE] = "NotifyRefusalRate",
	[KEY_EXPIRY_DAYS] = "NotifyExpiryDays", [KEY_NOTIFY_EXCEPT] = "NotifyKinds",
	[KEY_MAX] = "RowStatus",
};

/* The number of a rule with a long name, by whatever settings are in force now. */
static uint32_t
long_number(const struct view *v, enum section section, const char *name)
{
	const struct settings *s = view_settings(v);

	for (size_t i = 0; i < v->longs.n; i++)
		if (v->longs.at[i].rule->section == section &&
		    strcmp(settings_name(s, v->longs.at[i].rule), name) == 0)
			return v->longs.at[i].number;
	return 0;
}

const char *
set_object_name(const struct view *v, enum section section, const char *name, enum key key,
    char buf[OBJECT_NAME_MAX])
{
	const char *group = group_names[section], *column = column_names[key];
	oid index[INDEX_MAX];
	size_t n, len;

	if (group == NULL || column == NULL) {
		snprintf(buf, OBJECT_NAME_MAX, "no object");
		return buf;
	}
	if (section == SEC_DOMAIN || section == SEC_PEER) {
		if (strlen(name) <= ROW_NAME_MAX)
			snprintf(buf, OBJECT_NAME_MAX, "tlsward%s%s.'%s'", group, column, name);
		else
			snprintf(buf, OBJECT_NAME_MAX, "tlswardLong%s.%lu", column,
			    (unsigned long)long_number(v, section, name));
		return buf;
	}
	n = (size_t)snprintf(buf, OBJECT_NAME_MAX, "tlsward%s%s", group, column);
	if (section != SEC_LISTENER && section != SEC_CLIENT)
		index[0] = 0, len = 1;
	else
		len = table_index_addr(section, name, index);
	for (size_t i = 0; i < len && n < OBJECT_NAME_MAX; i++)
		n += (size_t)snprintf(buf + n, OBJECT_NAME_MAX - n, ".%lu", index[i]);
	return buf;
}

/* "[domain example.org]".  Returns buf. */
static const char *
place(enum section section, const char *name, char buf[NAME_SIZE + 16])
{
	snprintf(buf, NAME_SIZE + 16, "[%s%s%s]", section_words[section],
	    *name == '\0' ? "" : " ", name);
	return buf;
}

static void
log_value(const struct view *v, enum section section, const char *name, const char *waits,
    enum key key, const char *old, const char *new)
{
	char where[NAME_SIZE + 16], object[OBJECT_NAME_MAX];

	log_line(LOG_NOTICE, "SNMP SET: %s%s %s: %s -> %s (%s)", place(section, name, where),
	    waits, key_table[key].name, old == NULL ? "(not set)" : old,
	    new == NULL ? "(not set)" : new, set_object_name(v, section, name, key, object));
}

static void
log_row(const struct view *v, enum section section, const char *name, const char *what)
{
	char where[NAME_SIZE + 16], object[OBJECT_NAME_MAX];

	log_line(LOG_NOTICE, "SNMP SET: %s %s (%s)", place(section, name, where), what,
	    set_object_name(v, section, name, KEY_MAX, object));
}

void
set_log_edit(const struct view *v, const struct settings *before, const struct edit *e)
{
	char buf[VIEW_LIST + 1];
	const char *old = NULL;

	switch (e->op) {
	case EDIT_ADD:
	case EDIT_REMOVE:
		log_row(v, e->section, e->name, e->op == EDIT_ADD ? "created" : "removed");
		break;
	case EDIT_SET:
	case EDIT_UNSET:
		if (before != NULL)
			old = list_or_scalar(before, settings_find(before, e->section, e->name),
			    e->key, buf, sizeof(buf));
		log_value(v, e->section, e->name, "", e->key, old,
		    e->op == EDIT_SET ? e->value : NULL);
		break;
	}
}

/* ---- rows that wait ---- */

static void
log_texts(const struct view *v, const struct waiting *was, const struct waiting *is)
{
	for (unsigned k = 0; k < KEY_RULES; k++) {
		const char *old = was == NULL ? NULL : was->text[k], *new = is->text[k];

		if (old == NULL && new == NULL)
			continue;
		if (old == NULL || new == NULL || strcmp(old, new) != 0)
			log_value(v, is->section, is->name, " (waits)", (enum key)k, old, new);
	}
}

static bool
made_active(const struct waiting *w, const struct edit *edit, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (edit[i].op == EDIT_ADD && edit[i].section == w->section &&
		    strcmp(edit[i].name, w->name) == 0)
			return true;
	return false;
}

void
set_log_waiting(const struct view *v, const struct waiting_list *before,
    const struct waiting_list *after, const struct edit *edit, size_t nedits)
{
	const struct waiting *w, *was;

	for (size_t i = 0; i < after->n; i++) {
		w = &after->row[i];
		if ((was = waiting_find(before, w->section, w->name)) == NULL)
			log_row(v, w->section, w->name, "waits to be made active");
		log_texts(v, was, w);
	}
	for (size_t i = 0; i < before->n; i++) {
		w = &before->row[i];
		if (waiting_find(after, w->section, w->name) == NULL)
			log_row(v, w->section, w->name, made_active(w, edit, nedits) ?
			    "waits no longer: made active" : "waits no longer: destroyed");
	}
}

void
set_log_dropped(const struct view *v, const struct waiting *w, const char *why)
{
	char where[NAME_SIZE + 16], object[OBJECT_NAME_MAX];

	log_line(LOG_NOTICE, "%s waits no longer: %s (%s)", place(w->section, w->name, where), why,
	    set_object_name(v, w->section, w->name, KEY_MAX, object));
}
