#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snmp_target.h"
#include <net-snmp/agent/net-snmp-agent-includes.h>

#include "snmp_list.h"

int
refuse(struct refusal *r, int error, int at, const char *fmt, ...)
{
	va_list ap;

	r->error = error;
	r->at = at;
	va_start(ap, fmt);
	if (vsnprintf(r->why, sizeof(r->why), fmt, ap) < 0)
		r->why[0] = '\0';
	va_end(ap);
	return error;
}

void
targets_clear(struct targets *t)
{
	for (size_t i = 0; i < t->n; i++)
		for (int k = 0; k < KEY_MAX; k++)
			free(t->at[i].text[k]);
	free(t->at);
	memset(t, 0, sizeof(*t));
}

/* Requests are as large as a datagram at most: a few hundred varbinds. */
static struct target *
target_of(struct targets *t, const struct target *named)
{
	struct target *target;

	for (size_t i = t->n; i-- > 0; )
		if (t->at[i].section == named->section && strcmp(t->at[i].name, named->name) == 0)
			return &t->at[i];
	if (t->n == t->size) {
		size_t size = t->size == 0 ? 8 : t->size * 2;

		if ((target = reallocarray(t->at, size, sizeof(*target))) == NULL)
			return NULL;
		t->at = target;
		t->size = size;
	}
	t->at[t->n] = *named;
	return &t->at[t->n++];
}

static int
target_want(struct target *t, enum key key, const char *text, int at, struct refusal *r)
{
	bool again = (t->wanted >> key & 1) != 0;

	if (again) {
		if ((text == NULL) != (t->text[key] == NULL) ||
		    (text != NULL && strcmp(text, t->text[key]) != 0))
			return refuse(r, SNMP_ERR_INCONSISTENTVALUE, at,
			    "the request sets %s of %s %s twice, to different values",
			    key_table[key].name, section_words[t->section], t->name);
		return SNMP_ERR_NOERROR;
	}
	if (text != NULL && (t->text[key] = strdup(text)) == NULL)
		return refuse(r, SNMP_ERR_RESOURCEUNAVAILABLE, at, "out of memory");
	t->wanted |= 1U << key;
	t->key_at[key] = at;
	return SNMP_ERR_NOERROR;
}

static int
check_type(const struct object *o, const netsnmp_variable_list *vb, int at,
    struct refusal *r)
{
	size_t most = o->set == SET_NAME ? 64 :
	    o->set == SET_BITS ? list_bits((enum key)o->arg) : VIEW_LIST;

	if (vb->type != o->type)
		return refuse(r, SNMP_ERR_WRONGTYPE, at, "varbind %d needs %s", at,
		    o->type == ASN_INTEGER ? "an INTEGER" : "an OCTET STRING");
	if (o->type == ASN_INTEGER && (vb->val.integer == NULL ||
	    vb->val_len != sizeof(*vb->val.integer)))
		return refuse(r, SNMP_ERR_WRONGLENGTH, at, "varbind %d is no INTEGER of 32 bits", at);
	if (o->type == ASN_OCTET_STR && vb->val_len > most)
		return refuse(r, SNMP_ERR_WRONGLENGTH, at,
		    "%s takes at most %zu octets, not %zu", key_table[o->arg].name, most, vb->val_len);
	return SNMP_ERR_NOERROR;
}

/* Names, lists and bits: the text of the INI, or NULL for unset. */
static int
check_text(const struct object *o, const netsnmp_variable_list *vb, int at,
    char buf[VIEW_LIST + 1], const char **text, struct refusal *r)
{
	const char *wrong, *given = (const char *)vb->val.string;
	char why[LIST_WHY];

	if (o->set == SET_BITS) {
		*text = list_of_bits((enum key)o->arg, vb->val.string, vb->val_len, buf,
		    VIEW_LIST + 1);
		return SNMP_ERR_NOERROR;
	}
	if (vb->val_len == 0)
		return SNMP_ERR_NOERROR;
	if (o->set == SET_NAME)
		wrong = section_name_normal(key_table[o->arg].ref, given, vb->val_len, buf, NAME_SIZE);
	else
		wrong = list_normal((enum key)o->arg, given, vb->val_len, buf, VIEW_LIST + 1, why);
	if (wrong != NULL)
		return refuse(r, SNMP_ERR_WRONGVALUE, at, "the value for %s %s: it takes %s",
		    key_table[o->arg].name, wrong, key_table[o->arg].hint);
	if (*buf != '\0')
		*text = buf;
	return SNMP_ERR_NOERROR;
}

static int
check_number(const struct object *o, long n, int at, char buf[16], const char **text,
    struct refusal *r)
{
	const struct key_info *k = &key_table[o->arg];
	bool scalar = o->table == TABLE_NONE;

	if (n == -1 && !scalar)
		return SNMP_ERR_NOERROR;
	if (n < (long)k->lo || n > (long)k->hi)
		return refuse(r, SNMP_ERR_WRONGVALUE, at, "%ld is no value for %s: it takes %s%s", n,
		    k->name, k->hint, scalar ? "" : ", or -1 for none");
	*text = key_text((enum key)o->arg, (uint32_t)n, buf);
	return SNMP_ERR_NOERROR;
}

static bool
status_known(long n)
{
	return n == SNMP_ROW_ACTIVE || n == SNMP_ROW_NOTINSERVICE || n == SNMP_ROW_CREATEANDGO ||
	    n == SNMP_ROW_CREATEANDWAIT || n == SNMP_ROW_DESTROY;
}

/* The value as text of the INI, or NULL for unset; buf is for those that need room. */
static int
check_value(const struct object *o, const netsnmp_variable_list *vb, int at,
    char buf[VIEW_LIST + 1], const char **text, struct refusal *r)
{
	long n;

	*text = NULL;
	if (o->type == ASN_OCTET_STR)
		return check_text(o, vb, at, buf, text, r);
	n = *vb->val.integer;
	if (o->set == SET_NUMBER)
		return check_number(o, n, at, buf, text, r);
	if (o->set == SET_WORD && !tree_word(o->table == TABLE_NONE, (enum key)o->arg, n, text))
		return refuse(r, SNMP_ERR_WRONGVALUE, at,
		    "%ld is no value for %s: it takes %s", n, key_table[o->arg].name,
		    key_table[o->arg].hint);
	if (o->set == SET_STORAGE && n != SNMP_STORAGE_NONVOLATILE)
		return refuse(r, SNMP_ERR_WRONGVALUE, at,
		    "%ld is no storage type of a rule: it is kept in the file, nonVolatile(3)", n);
	if (o->set == SET_STATUS && !status_known(n))
		return refuse(r, SNMP_ERR_WRONGVALUE, at, "%ld cannot be set as row status: it "
		    "takes active(1), createAndGo(4), createAndWait(5) or destroy(6)", n);
	if (o->set == SET_LOCK && (n < 0 || n > INT32_MAX))
		return refuse(r, SNMP_ERR_WRONGVALUE, at, "%ld is no value of the lock", n);
	return SNMP_ERR_NOERROR;
}

/* Whose section an instance is of; a row's name must be one that the file would keep. */
static int
check_index(const struct object *o, const struct view *v, const oid *index, size_t n, int at,
    struct target *t, struct refusal *r)
{
	char buf[INDEX_WHY];
	const char *wrong;
	struct row row;

	memset(t, 0, sizeof(*t));
	t->section = SEC_SERVER;
	t->first_at = at;
	if (o->table == TABLE_NONE) {
		if (n != 1 || index[0] != 0)
			return refuse(r, SNMP_ERR_NOCREATION, at,
			    "varbind %d names a scalar with another instance than 0", at);
		if ((o->set == SET_WORD || o->set == SET_NUMBER || o->set == SET_LIST ||
		    o->set == SET_BITS) && key_allowed((enum key)o->arg, SEC_AGENT))
			t->section = SEC_AGENT;
		return SNMP_ERR_NOERROR;
	}
	t->section = table_section(o->table);
	if (t->section == SEC_MAX) {
		if (!table_row(v, o->table, index, n, &row))
			return refuse(r, SNMP_ERR_NOCREATION, at, "varbind %d is of no row that is "
			    "there, and none can be made in its table", at);
		t->fixed = true;
		t->section = row.section;
		snprintf(t->name, sizeof(t->name), "%s", row.name);
	} else if ((wrong = table_name(o->table, index, n, t->name, buf)) != NULL)
		return refuse(r, SNMP_ERR_NOCREATION, at, "varbind %d: %s", at, wrong);
	return SNMP_ERR_NOERROR;
}

static int
want_lock(struct targets *t, long n, int at, struct refusal *r)
{
	if (t->lock_at != 0 && t->lock != n)
		return refuse(r, SNMP_ERR_INCONSISTENTVALUE, at,
		    "the request sets the lock twice, to different values");
	t->lock_at = at;
	t->lock = n;
	return SNMP_ERR_NOERROR;
}

static int
want_status(struct target *t, long n, int at, struct refusal *r)
{
	if (t->status != 0 && t->status != n)
		return refuse(r, SNMP_ERR_INCONSISTENTVALUE, at,
		    "the request sets the row status of %s %s twice, to different values",
		    section_words[t->section], t->name);
	t->status = n;
	t->status_at = at;
	return SNMP_ERR_NOERROR;
}

int
targets_add(struct targets *t, const struct view *v, const netsnmp_variable_list *vb, int at,
    struct refusal *r)
{
	static const oid root[] = { TREE_ROOT };
	const struct object *o = NULL;
	const oid *sub = vb->name + TREE_ROOT_LEN;
	const char *text;
	char buf[VIEW_LIST + 1];
	struct target named, *target;
	size_t n, used = 0;
	int error;

	if (vb->name_length > TREE_ROOT_LEN &&
	    snmp_oid_ncompare(vb->name, vb->name_length, root, TREE_ROOT_LEN, TREE_ROOT_LEN) == 0)
		o = tree_object(sub, vb->name_length - TREE_ROOT_LEN, &used);
	if (o == NULL || o->set == SET_NEVER)
		return refuse(r, SNMP_ERR_NOTWRITABLE, at, "varbind %d %s", at,
		    o == NULL ? "is of no object of TLSWARD-MIB" : "is of an object that is read only");
	n = vb->name_length - TREE_ROOT_LEN - used;
	if ((error = check_type(o, vb, at, r)) != SNMP_ERR_NOERROR ||
	    (error = check_value(o, vb, at, buf, &text, r)) != SNMP_ERR_NOERROR ||
	    (error = check_index(o, v, sub + used, n, at, &named, r)) != SNMP_ERR_NOERROR)
		return error;
	if (o->set == SET_LOCK)
		return want_lock(t, *vb->val.integer, at, r);
	if ((target = target_of(t, &named)) == NULL)
		return refuse(r, SNMP_ERR_RESOURCEUNAVAILABLE, at, "out of memory");
	if (o->set == SET_STORAGE)
		return SNMP_ERR_NOERROR;
	if (o->set == SET_STATUS)
		return want_status(target, *vb->val.integer, at, r);
	return target_want(target, (enum key)o->arg, text, at, r);
}

static bool
wants(const struct target *t, enum key key)
{
	return (t->wanted >> key & 1) != 0;
}

/* Of the row that the error is in: mode and client_cert quarrel whichever was set last. */
static int
blame_row(const struct target *t, enum key key)
{
	enum key other = key == KEY_MODE ? KEY_CLIENT_CERT : KEY_MODE;

	if (key < KEY_MAX && wants(t, key))
		return t->key_at[key];
	if ((key == KEY_MODE || key == KEY_CLIENT_CERT) && wants(t, other))
		return t->key_at[other];
	return t->status != 0 ? t->status_at : t->first_at;
}

/* Of another one, whose mode or client_cert the row depends on. */
static int
blame_base(const struct target *t)
{
	if (wants(t, KEY_MODE))
		return t->key_at[KEY_MODE];
	if (wants(t, KEY_CLIENT_CERT))
		return t->key_at[KEY_CLIENT_CERT];
	return t->status == SNMP_ROW_DESTROY ? t->status_at : 0;
}

int
targets_blame(const struct targets *t, const struct edit_place *place)
{
	int at = 0;

	for (size_t i = 0; i < t->n; i++)
		if (t->at[i].section == place->section && strcmp(t->at[i].name, place->name) == 0)
			return blame_row(&t->at[i], place->key);
	for (size_t i = 0; i < t->n && at == 0; i++)
		if (t->at[i].section == SEC_SERVER)
			at = blame_base(&t->at[i]);
	for (size_t i = 0; i < t->n && at == 0; i++)
		if (t->at[i].section == SEC_LISTENER || t->at[i].section == SEC_CLIENT)
			at = blame_base(&t->at[i]);
	return at;
}

static int
check_references(const struct target *t, const struct settings *s, struct refusal *r)
{
	enum key bad = KEY_MAX;

	for (unsigned k = 0; k < KEY_MAX; k++)
		if (t->text[k] != NULL && key_table[k].type == TYPE_REF &&
		    settings_find(s, key_table[k].ref, t->text[k]) == NULL &&
		    (bad == KEY_MAX || t->key_at[k] < t->key_at[bad]))
			bad = (enum key)k;
	if (bad == KEY_MAX)
		return SNMP_ERR_NOERROR;
	return refuse(r, SNMP_ERR_INCONSISTENTVALUE, t->key_at[bad],
	    "there is no [%s %s] in the settings file", section_words[key_table[bad].ref],
	    t->text[bad]);
}

static int
check_row(const struct target *t, const struct view *v, struct refusal *r)
{
	const char *word = section_words[t->section], *name = t->name;
	bool rule = view_rule(v, t->section, name) != NULL;
	bool there = rule || view_waiting(v, t->section, name) != NULL;

	switch (t->status) {
	case 0:
		if (!there)
			return refuse(r, SNMP_ERR_INCONSISTENTNAME, t->first_at,
			    "there is no row %s %s: create it with its row status", word, name);
		break;
	case SNMP_ROW_CREATEANDGO:
	case SNMP_ROW_CREATEANDWAIT:
		if (there)
			return refuse(r, SNMP_ERR_INCONSISTENTVALUE, t->status_at,
			    "the row %s %s exists already", word, name);
		break;
	case SNMP_ROW_ACTIVE:
		if (!there)
			return refuse(r, SNMP_ERR_INCONSISTENTVALUE, t->status_at,
			    "there is no row %s %s to be made active", word, name);
		break;
	case SNMP_ROW_NOTINSERVICE:
		if (rule)
			return refuse(r, SNMP_ERR_WRONGVALUE, t->status_at,
			    "the active row %s %s cannot be taken out of service: destroy it, or "
			    "set it to report", word, name);
		if (!there)
			return refuse(r, SNMP_ERR_INCONSISTENTVALUE, t->status_at,
			    "there is no row %s %s", word, name);
		break;
	case SNMP_ROW_DESTROY:
		if (t->wanted != 0)
			return refuse(r, SNMP_ERR_INCONSISTENTVALUE, t->status_at,
			    "the request sets values of %s %s and destroys it", word, name);
		break;
	}
	return SNMP_ERR_NOERROR;
}

/* Keeps of two refusals that of the earlier varbind. */
static void
earlier(struct refusal *first, const struct refusal *r)
{
	if (first->error == SNMP_ERR_NOERROR || r->at < first->at)
		*first = *r;
}

int
targets_check(const struct targets *t, const struct view *v, struct refusal *first)
{
	const struct settings *s = view_settings(v);
	struct refusal r;

	first->error = SNMP_ERR_NOERROR;
	if (t->lock_at != 0 && t->lock != v->lock)
		refuse(first, SNMP_ERR_INCONSISTENTVALUE, t->lock_at, "the lock is at %ld, not at "
		    "%ld: another manager was here, read again", (long)v->lock, t->lock);
	for (size_t i = 0; i < t->n; i++) {
		if (section_named(t->at[i].section) && !t->at[i].fixed &&
		    check_row(&t->at[i], v, &r) != SNMP_ERR_NOERROR)
			earlier(first, &r);
		if (s != NULL && check_references(&t->at[i], s, &r) != SNMP_ERR_NOERROR)
			earlier(first, &r);
	}
	return first->error;
}
