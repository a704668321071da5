#include <stdlib.h>
#include <string.h>

#include "snmp_target.h"
#include "snmp_set.h"

#include "edit.h"
#include "snmp_log.h"
#include "snmp_notify.h"
#include "snmp_set_log.h"

#define SETTLE 10	/* seconds within which snmpd ends a SET, one way or another */

static struct transaction {
	bool open;
	struct targets targets;
	struct held *before;		/* the settings that it was judged by */
	struct edit *edit;
	size_t nedits;
	struct waiting_list *waiting;	/* the rows that wait afterwards; NULL: as now */
	bool applied;			/* res is of a file that was changed */
	struct edit_result res;
} txn;

/* ---- what came of it ---- */

/* The file stays as it was written. */
static void
applied_stays(const struct view *v)
{
	notify_changed(&txn.res.after);
	for (size_t i = 0; i < txn.nedits; i++)
		set_log_edit(v, held_settings(txn.before), &txn.edit[i]);
	txn.applied = false;
}

void
set_end(struct view *v)
{
	if (txn.applied) {
		log_line(LOG_WARNING, "the link ended before snmpd had confirmed this SET, "
		    "which is in the file:");
		applied_stays(v);
	}
	targets_clear(&txn.targets);
	held_unref(txn.before);
	free(txn.edit);
	waiting_free(txn.waiting);
	edit_result_free(&txn.res);
	memset(&txn, 0, sizeof(txn));
	v->settle = 0;
}

static int
fail(struct view *v, netsnmp_agent_request_info *info, netsnmp_request_info *requests,
    const struct refusal *r)
{
	netsnmp_request_info *req;

	for (req = requests; req != NULL && req->index != r->at; req = req->next)
		;
	netsnmp_set_request_error(info, req == NULL ? requests : req, r->error);
	view_refused(v, r->why);
	return r->error;
}

/* ---- RESERVE1 ---- */

static int
reserve(struct view *v, netsnmp_agent_request_info *info, netsnmp_request_info *requests)
{
	struct refusal r;

	set_end(v);
	view_refresh(v);
	for (netsnmp_request_info *req = requests; req != NULL; req = req->next)
		if (targets_add(&txn.targets, v, req->requestvb, req->index, &r) !=
		    SNMP_ERR_NOERROR)
			goto refused;
	if (targets_check(&txn.targets, v, &r) != SNMP_ERR_NOERROR)
		goto refused;
	txn.open = true;
	txn.before = hold_ref(&v->hold);
	v->settle = view_clock() + SETTLE;
	return SNMP_ERR_NOERROR;
refused:
	set_end(v);
	return fail(v, info, requests, &r);
}

/* ---- ACTION ---- */

static void
plan(enum edit_op op, const struct target *t, enum key key, const char *value)
{
	txn.edit[txn.nedits++] = (struct edit){ .op = op, .section = t->section,
	    .name = t->name, .key = key, .value = value };
}

/* The values that the request gives, then those that the row waited with. */
static void
plan_new_section(const struct target *t, const struct waiting *w)
{
	plan(EDIT_ADD, t, KEY_MODE, NULL);
	for (unsigned k = 0; k < KEY_RULES; k++) {
		const char *text = (t->wanted >> k & 1) != 0 ? t->text[k] :
		    w != NULL ? w->text[k] : NULL;

		if (text != NULL)
			plan(EDIT_SET, t, (enum key)k, text);
	}
}

static void
plan_section(const struct target *t, const struct rule *rule)
{
	if (t->status == SNMP_ROW_DESTROY) {
		plan(EDIT_REMOVE, t, KEY_MODE, NULL);
		return;
	}
	for (unsigned k = 0; k < KEY_MAX; k++)
		if (t->text[k] != NULL)
			plan(EDIT_SET, t, (enum key)k, t->text[k]);
		else if ((t->wanted >> k & 1) != 0 && rule_sets(rule, (enum key)k))
			plan(EDIT_UNSET, t, (enum key)k, NULL);
}

/* Changes to a row that waits, and goes on waiting.  False: no room. */
static bool
plan_waiting(const struct target *t)
{
	struct waiting *w = waiting_add(txn.waiting, t->section, t->name, view_clock());

	if (w == NULL)
		return false;
	w->touched = view_clock();
	for (unsigned k = 0; k < KEY_RULES; k++)
		if ((t->wanted >> k & 1) != 0 && !waiting_set(w, (enum key)k, t->text[k]))
			return false;
	return true;
}

static int
plan_target(const struct view *v, const struct target *t, struct refusal *r)
{
	const struct rule *rule = view_rule(v, t->section, t->name);
	const struct waiting *waiting = view_waiting(v, t->section, t->name);
	bool stays;

	if (!section_named(t->section) || rule != NULL) {
		plan_section(t, rule);
		return SNMP_ERR_NOERROR;
	}
	if (waiting == NULL && t->status == SNMP_ROW_DESTROY)
		return SNMP_ERR_NOERROR;
	if (waiting == NULL && t->status != SNMP_ROW_CREATEANDGO &&
	    t->status != SNMP_ROW_CREATEANDWAIT)
		return refuse(r, SNMP_ERR_COMMITFAILED, t->first_at,
		    "the row %s %s has just been removed by somebody else",
		    section_words[t->section], t->name);
	if (t->status == SNMP_ROW_CREATEANDGO || t->status == SNMP_ROW_ACTIVE)
		plan_new_section(t, waiting);
	if (waiting == NULL && t->status == SNMP_ROW_CREATEANDGO)
		return SNMP_ERR_NOERROR;

	/* What is left concerns rows that wait, before or after. */
	stays = t->status != SNMP_ROW_ACTIVE && t->status != SNMP_ROW_DESTROY;
	if (txn.waiting == NULL && (txn.waiting = waiting_copy(v->waiting)) == NULL)
		return refuse(r, SNMP_ERR_RESOURCEUNAVAILABLE, t->first_at, "out of memory");
	if (!stays && waiting != NULL)
		waiting_remove(txn.waiting,
		    waiting_lower(txn.waiting, t->section, t->name, true));
	else if (stays && !plan_waiting(t))
		return refuse(r, SNMP_ERR_RESOURCEUNAVAILABLE, t->first_at,
		    "%d rows wait to be made active already: make them so, or destroy them",
		    WAITING_MAX);
	return SNMP_ERR_NOERROR;
}

static int
status_error(enum edit_status status)
{
	switch (status) {
	case EDIT_OK:
	case EDIT_SAME:
		return SNMP_ERR_NOERROR;
	case EDIT_INVALID:
		return SNMP_ERR_INCONSISTENTVALUE;
	case EDIT_BUSY:
	case EDIT_NO_SPACE:
		return SNMP_ERR_RESOURCEUNAVAILABLE;
	case EDIT_NO_SECTION:
	case EDIT_DENIED:
	case EDIT_FAILED:
		break;
	}
	return SNMP_ERR_COMMITFAILED;
}

static int
action(struct view *v, netsnmp_agent_request_info *info, netsnmp_request_info *requests)
{
	struct refusal r;
	enum edit_status status;
	size_t max = txn.targets.n * (KEY_MAX + 1);
	int error, at;

	if (!txn.open) {
		refuse(&r, SNMP_ERR_COMMITFAILED, 0, "snmpd asked to write what it had not announced");
		return fail(v, info, requests, &r);
	}
	if (max > 0 && (txn.edit = calloc(max, sizeof(*txn.edit))) == NULL) {
		refuse(&r, SNMP_ERR_RESOURCEUNAVAILABLE, 0, "out of memory");
		return fail(v, info, requests, &r);
	}
	for (size_t i = 0; i < txn.targets.n; i++)
		if (plan_target(v, &txn.targets.at[i], &r) != SNMP_ERR_NOERROR)
			return fail(v, info, requests, &r);
	if (txn.nedits == 0)
		return SNMP_ERR_NOERROR;
	notify_writing(true);
	status = edit_apply_known(v->hold.path, held_settings(txn.before), txn.edit,
	    txn.nedits, &txn.res);
	txn.applied = status == EDIT_OK;
	if (!txn.applied)
		notify_writing(false);
	if (txn.res.unsynced)
		log_line(LOG_WARNING, "%s", txn.res.text);
	if ((error = status_error(status)) == SNMP_ERR_NOERROR)
		return error;
	if ((at = targets_blame(&txn.targets, &txn.res.wrong)) == 0)
		at = txn.targets.at[0].first_at;
	refuse(&r, error, at, "%s", txn.res.text);
	return fail(v, info, requests, &r);
}

/* ---- COMMIT, UNDO ---- */

static void
commit(struct view *v)
{
	if (txn.applied || txn.waiting != NULL)
		v->changes_done++;
	if (txn.targets.lock_at != 0)
		v->lock = v->lock == INT32_MAX ? 0 : v->lock + 1;
	if (txn.waiting != NULL)
		set_log_waiting(v, v->waiting, txn.waiting, txn.edit, txn.nedits);
	if (txn.applied) {
		applied_stays(v);
		hold_offer(&v->hold, txn.res.settings);
		txn.res.settings = NULL;
	}
	if (txn.waiting != NULL) {
		view_waiting_put(v, txn.waiting);
		txn.waiting = NULL;
	}
	set_end(v);
	view_refresh(v);
}

static int
undo(struct view *v)
{
	struct file_id id;
	char why[1024];
	int error = SNMP_ERR_NOERROR;

	if (txn.applied && edit_revert(v->hold.path, &txn.res, why) != EDIT_OK) {
		notify_writing(false);
		log_line(LOG_ERR, "a SET that snmpd took back stays in the file: %s", why);
		error = SNMP_ERR_UNDOFAILED;
	} else if (txn.applied) {
		if (file_identify(v->hold.path, &id))
			notify_changed(&id);
		log_line(LOG_NOTICE, "snmpd took a SET back; the file has its former text again");
	}
	txn.applied = false;
	set_end(v);
	view_refresh(v);
	return error;
}

int
set_phase(struct view *v, netsnmp_agent_request_info *info, netsnmp_request_info *requests)
{
	int error = SNMP_ERR_NOERROR;

	switch (info->mode) {
	case MODE_SET_RESERVE1:
		return reserve(v, info, requests);
	case MODE_SET_ACTION:
		return action(v, info, requests);
	case MODE_SET_COMMIT:
		commit(v);
		break;
	case MODE_SET_UNDO:
		if ((error = undo(v)) != SNMP_ERR_NOERROR)
			netsnmp_set_request_error(info, requests, error);
		break;
	case MODE_SET_FREE:
		set_end(v);
		break;
	}
	return error;
}
