/*
 * A manager in a hurry: walks columns side by side with GETBULK, and prints
 * nothing but how many there were and how long it took.
 *
 *	snmp_walk [-l VARBINDS] HOST:PORT REPETITIONS OID...
 *
 * With -l it stops after so many.  Version 2c, community public.  For tests/bench_snmp.sh.
 */
#include <err.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "snmp_open.h"
#include "load.h"

#define COLUMNS_MAX 64

struct name {
	oid id[MAX_OID_LEN];
	size_t len;
};

static struct name root[COLUMNS_MAX], at[COLUMNS_MAX];
static int columns;

static void
parse(const char *text, struct name *name)
{
	name->len = MAX_OID_LEN;
	if (snmp_parse_oid(text, name->id, &name->len) == NULL)
		errx(2, "%s is no OID", text);
}

static netsnmp_pdu *
ask(netsnmp_session *ss, netsnmp_pdu *pdu)
{
	netsnmp_pdu *response = NULL;
	int status = snmp_synch_response(ss, pdu, &response);

	if (status != STAT_SUCCESS || response == NULL)
		errx(1, "no answer: %s", snmp_api_errstring(ss->s_snmp_errno));
	if (response->errstat != SNMP_ERR_NOERROR)
		errx(1, "refused: %s", snmp_errstring((int)response->errstat));
	return response;
}

/*
 * Takes a response, whose varbinds come row by row.  Columns that have ended
 * are compared with what they begin with, and taken out.
 */
static long
take(const netsnmp_pdu *response)
{
	bool ended[COLUMNS_MAX] = { false };
	long rows = 0;
	int i = 0, left = 0;

	for (const netsnmp_variable_list *vb = response->variables; vb != NULL;
	    vb = vb->next_variable, i = (i + 1) % columns) {
		ended[i] = ended[i] || vb->type == SNMP_ENDOFMIBVIEW || snmp_oid_ncompare(vb->name,
		    vb->name_length, root[i].id, root[i].len, root[i].len) != 0;
		if (ended[i])
			continue;
		memcpy(at[i].id, vb->name, vb->name_length * sizeof(oid));
		at[i].len = vb->name_length;
		rows++;
	}
	for (i = 0; i < columns; i++)
		if (!ended[i]) {
			root[left] = root[i];
			at[left++] = at[i];
		}
	columns = left;
	return rows;
}

static void
walk(netsnmp_session *ss, long repetitions, long limit)
{
	long values = 0, requests = 0;
	double from = seconds(), time;

	while (columns > 0 && values < limit) {
		netsnmp_pdu *pdu = snmp_pdu_create(SNMP_MSG_GETBULK), *response;

		pdu->non_repeaters = 0;
		pdu->max_repetitions = repetitions;
		for (int i = 0; i < columns; i++)
			snmp_add_null_var(pdu, at[i].id, at[i].len);
		response = ask(ss, pdu);
		values += take(response);
		snmp_free_pdu(response);
		requests++;
	}
	time = seconds() - from;
	printf("varbinds=%ld\nrequests=%ld\nseconds=%.6f\nrate=%.0f\n", values, requests, time,
	    (double)values / time);
}

int
main(int argc, char **argv)
{
	char community[] = "public";
	long limit = LONG_MAX;
	netsnmp_session *ss;
	int c;

	while ((c = getopt(argc, argv, "+l:")) != -1)
		if (c == 'l')
			limit = strtol(optarg, NULL, 10);
		else
			return 2;
	argc -= optind;
	argv += optind;
	if (argc < 3 || argc - 2 > COLUMNS_MAX)
		errx(2, "usage: snmp_walk [-l VARBINDS] HOST:PORT REPETITIONS OID...");
	ss = snmp_open_session("snmp_walk", argv[0], community);
	for (columns = 0; columns < argc - 2; columns++)
		parse(argv[columns + 2], &root[columns]);
	memcpy(at, root, sizeof(at));
	walk(ss, strtol(argv[1], NULL, 10), limit);
	snmp_close(ss);
	return 0;
}
