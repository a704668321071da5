/*
 * What one writes for SNMP by the book: an AgentX subagent with a bare handler,
 * one registration and a binary search over an array of rows.
 *
 *	rival_agent SOCKET FILE
 *
 * FILE has the rows' names, one a line.  They are one column, an INTEGER with
 * the name as an IMPLIED index, at the depth and with the names of tlsward's own:
 * 1.3.6.1.4.1.8072.9999.9999.2554.1.5.1.2.  For tests/bench_snmp.sh.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>
#include <net-snmp/agent/net-snmp-agent-includes.h>

#define COLUMN 1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 2554, 1, 5, 1, 2
#define COLUMN_LEN 14

struct row {
	oid *index;
	size_t len;
	long value;
};

static struct row *rows;
static size_t nrows, size;

static int
by_index(const void *va, const void *vb)
{
	const struct row *a = va, *b = vb;

	return snmp_oid_compare(a->index, a->len, b->index, b->len);
}

static void
add_row(const char *name, size_t len)
{
	struct row *r;

	if (nrows == size) {
		size = size * 2 + 1024;
		if ((rows = reallocarray(rows, size, sizeof(*rows))) == NULL)
			err(1, "rows");
	}
	r = &rows[nrows++];
	r->len = len;
	r->value = 2 + (long)(nrows % 3);
	if ((r->index = calloc(len + 1, sizeof(*r->index))) == NULL)
		err(1, "row");
	for (size_t i = 0; i < len; i++)
		r->index[i] = (unsigned char)name[i];
}

static void
read_rows(const char *path)
{
	char line[256];
	FILE *f = fopen(path, "r");

	if (f == NULL)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), f) != NULL)
		add_row(line, strcspn(line, "\n"));
	fclose(f);
	qsort(rows, nrows, sizeof(*rows), by_index);
}

/* The first row after the index, or at it. */
static size_t
find(const oid *index, size_t n, int at)
{
	size_t lo = 0, hi = nrows;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = snmp_oid_compare(rows[mid].index, rows[mid].len, index, n);

		if (c < 0 || (c == 0 && !at))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void
answer(netsnmp_agent_request_info *info, netsnmp_request_info *req, const oid *column)
{
	netsnmp_variable_list *vb = req->requestvb;
	size_t n = vb->name_length > COLUMN_LEN ? vb->name_length - COLUMN_LEN : 0;
	int next = info->mode == MODE_GETNEXT;
	int below = snmp_oid_ncompare(vb->name, vb->name_length, column, COLUMN_LEN, COLUMN_LEN);
	oid name[MAX_OID_LEN] = { COLUMN };
	size_t i;

	if (below > 0)
		return;
	i = find(below < 0 ? NULL : vb->name + COLUMN_LEN, below < 0 ? 0 : n,
	    !next || req->inclusive);
	if (i == nrows)
		return;
	if (!next && snmp_oid_compare(rows[i].index, rows[i].len, vb->name + COLUMN_LEN, n) != 0) {
		netsnmp_set_request_error(info, req, SNMP_NOSUCHINSTANCE);
		return;
	}
	if (next) {
		memcpy(name + COLUMN_LEN, rows[i].index, rows[i].len * sizeof(oid));
		snmp_set_var_objid(vb, name, COLUMN_LEN + rows[i].len);
	}
	snmp_set_var_typed_value(vb, ASN_INTEGER, &rows[i].value, sizeof(rows[i].value));
}

static int
handle(netsnmp_mib_handler *handler, netsnmp_handler_registration *reg,
    netsnmp_agent_request_info *info, netsnmp_request_info *requests)
{
	(void)handler;
	for (; requests != NULL; requests = requests->next)
		answer(info, requests, reg->rootoid);
	return SNMP_ERR_NOERROR;
}

int
main(int argc, char **argv)
{
	static const oid column[] = { COLUMN };

	if (argc != 3)
		errx(2, "usage: rival_agent SOCKET FILE");
	read_rows(argv[2]);
	setenv("MIBS", "", 1);
	snmp_enable_stderrlog();
	netsnmp_ds_set_boolean(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_ROLE, 1);
	netsnmp_ds_set_string(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_X_SOCKET, argv[1]);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_READ_CONFIGS, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_PERSIST_STATE, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DISABLE_PERSISTENT_LOAD, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DISABLE_PERSISTENT_SAVE, 1);
	if (init_agent("rival") != 0 || netsnmp_register_handler(
	    netsnmp_create_handler_registration("rival", handle, column, COLUMN_LEN,
	    HANDLER_CAN_RONLY)) != MIB_REGISTERED_OK)
		errx(1, "the library does not start");
	init_snmp("rival");
	for (;;)
		agent_check_and_process(1);
}
