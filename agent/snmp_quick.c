#include <string.h>
#include <time.h>

#include "snmp_tree.h"	/* and the library's headers, which must come in this order */
#include "snmp_quick.h"

/* RFC 2741 6.1; Net-SNMP does not install its header of them. */
#define AGENTX_GET	5
#define AGENTX_GETNEXT	6
#define AGENTX_RESPONSE	18
#define AGENTX_CONTEXT	0x08	/* NON_DEFAULT_CONTEXT */

#define REFRESH_MS	5	/* between two looks at the settings' file */

static const oid root[] = { TREE_ROOT };
static struct view *view;
static netsnmp_callback hand_on;

static bool
ours(const netsnmp_variable_list *vb, bool next)
{
	if (next && vb->type != ASN_PRIV_INCL_RANGE && vb->type != ASN_PRIV_EXCL_RANGE)
		return false;
	return snmp_oid_ncompare(vb->name, vb->name_length, root, TREE_ROOT_LEN, TREE_ROOT_LEN) == 0;
}

static bool
quick(const netsnmp_pdu *pdu)
{
	if ((pdu->command != AGENTX_GET && pdu->command != AGENTX_GETNEXT) ||
	    (pdu->flags & AGENTX_CONTEXT) != 0 || pdu->variables == NULL)
		return false;
	for (const netsnmp_variable_list *vb = pdu->variables; vb != NULL; vb = vb->next_variable)
		if (!ours(vb, pdu->command == AGENTX_GETNEXT))
			return false;
	return true;
}

/* True: the varbind has its answer. */
static bool
answer_get(netsnmp_variable_list *vb)
{
	struct value value;

	switch (tree_get(view, vb->name + TREE_ROOT_LEN, vb->name_length - TREE_ROOT_LEN, &value)) {
	case TREE_FOUND:
		return snmp_set_var_typed_value(vb, value.type, &value.u, value.len) == 0;
	case TREE_NO_OBJECT:
		return snmp_set_var_typed_value(vb, SNMP_NOSUCHOBJECT, NULL, 0) == 0;
	case TREE_NO_INSTANCE:
		break;
	}
	return snmp_set_var_typed_value(vb, SNMP_NOSUCHINSTANCE, NULL, 0) == 0;
}

static bool
answer_next(netsnmp_variable_list *vb)
{
	oid name[MAX_OID_LEN] = { TREE_ROOT };
	size_t n, end = vb->val_len / sizeof(oid);
	struct value value;

	if (!tree_next(view, vb->name + TREE_ROOT_LEN, vb->name_length - TREE_ROOT_LEN,
	    vb->type == ASN_PRIV_INCL_RANGE, name + TREE_ROOT_LEN, &n, &value) ||
	    (end > 0 && snmp_oid_compare(name, TREE_ROOT_LEN + n, vb->val.objid, end) >= 0))
		return snmp_set_var_typed_value(vb, SNMP_ENDOFMIBVIEW, NULL, 0) == 0;
	return snmp_set_var_objid(vb, name, TREE_ROOT_LEN + n) == 0 &&
	    snmp_set_var_typed_value(vb, value.type, &value.u, value.len) == 0;
}

/* What was looked at just before need not be again for each row of a walk. */
static void
refresh(void)
{
	static int64_t looked;
	struct timespec ts;
	int64_t ms;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ms = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	if (ms - looked < REFRESH_MS)
		return;
	looked = ms;
	view_refresh(view);
}

static int
take(int operation, netsnmp_session *session, int reqid, netsnmp_pdu *pdu, void *magic)
{
	netsnmp_pdu *response;
	int index = 0;

	if (operation != NETSNMP_CALLBACK_OP_RECEIVED_MESSAGE || pdu == NULL || !quick(pdu) ||
	    (response = snmp_clone_pdu(pdu)) == NULL)
		return hand_on(operation, session, reqid, pdu, magic);
	view->link.requests++;
	refresh();
	response->command = AGENTX_RESPONSE;
	response->version = session->version;
	response->errstat = response->errindex = 0;
	for (netsnmp_variable_list *vb = response->variables; vb != NULL; vb = vb->next_variable) {
		index++;
		if (pdu->command == AGENTX_GET ? answer_get(vb) : answer_next(vb))
			continue;
		response->errstat = SNMP_ERR_GENERR;
		response->errindex = index;
		break;
	}
	if (!snmp_send(session, response))
		snmp_free_pdu(response);
	return 1;
}

void
quick_begin(struct view *v, void *session)
{
	netsnmp_session *s = session;

	view = v;
	if (s == NULL || s->callback == NULL || s->callback == take)
		return;
	hand_on = s->callback;
	s->callback = take;
}
