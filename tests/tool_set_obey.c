/*
 * How long a change by SNMP takes: until the SET is answered, and until the
 * mail servers go by it.
 *
 *	set_obey AGENT:PORT ROUNDS PAUSE DOMAIN REQUIRE OFFER [SMTP-PORT]...
 *
 * REQUIRE and OFFER are what to set in one request, "OID=INTEGER,OID=INTEGER":
 * after the first [domain DOMAIN] requires TLS, after the second not.  They are set
 * in turn, and after each SET sessions in clear to 127.0.0.1 are repeated, at each
 * port until RCPT TO is answered by 5yz or 2yz there: the moment of that answer
 * counts, not that of the session's end, which Exim puts off for 200 ms.  PAUSE
 * milliseconds before each round, for what a change leaves to be done later.  One
 * line a round: milliseconds until the answer, until the last server, and "require"
 * or "offer".  For tests/bench_snmp.sh.
 */
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "snmp_open.h"
#include "load.h"

#define SERVERS_MAX 4
#define PATIENCE 10.0		/* seconds */
#define AGAIN_US 2000		/* between two sessions with one server */

/* ---- SMTP ---- */

static int
connected(unsigned short port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	const struct timeval limit = { .tv_sec = 30 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == -1 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == -1 ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) == -1)
		err(1, "port %u", port);
	return fd;
}

/* Says a line (NULL: listens only) and reads a whole reply; its first digit. */
static char
dialogue(int fd, const char *line)
{
	char buf[4096], *last;
	size_t have = 0;
	ssize_t n;

	if (line != NULL && write(fd, line, strlen(line)) != (ssize_t)strlen(line))
		err(1, "write");
	do {
		if ((n = read(fd, buf + have, sizeof(buf) - 1 - have)) <= 0)
			err(1, "a server ended the session");
		have += (size_t)n;
		buf[have] = '\0';
		last = have > 1 ? memrchr(buf, '\n', have - 1) : NULL;
		last = last != NULL ? last + 1 : buf;
	} while (buf[have - 1] != '\n' || have < 5 || last[3] == '-');
	return last[0];
}

/* *when: of the answer. */
static char
rcpt_answer(unsigned short port, const char *domain, double *when)
{
	static const char quit[] = "QUIT\r\n";
	char line[300];
	int fd = connected(port);
	char first;

	(void)dialogue(fd, NULL);
	(void)dialogue(fd, "EHLO mail.partner.example\r\n");
	(void)dialogue(fd, "MAIL FROM:<someone@sender.example>\r\n");
	(void)snprintf(line, sizeof(line), "RCPT TO:<user@%s>\r\n", domain);
	first = dialogue(fd, line);
	*when = seconds();
	if (write(fd, quit, sizeof(quit) - 1) == -1)
		err(1, "write");
	close(fd);
	return first;
}

/* ---- SNMP ---- */

static void
add(netsnmp_pdu *pdu, const char *text)
{
	char one[2048], *equals;
	oid name[MAX_OID_LEN];
	size_t len = MAX_OID_LEN;
	long value;

	(void)snprintf(one, sizeof(one), "%.*s", (int)strcspn(text, ","), text);
	if ((equals = strchr(one, '=')) == NULL)
		errx(2, "%s: no value", one);
	*equals = '\0';
	value = strtol(equals + 1, NULL, 10);
	if (snmp_parse_oid(one, name, &len) == NULL)
		errx(2, "%s is no OID", one);
	if (snmp_pdu_add_variable(pdu, name, len, ASN_INTEGER, &value, sizeof(value)) == NULL)
		errx(1, "out of memory");
}

static void
set(netsnmp_session *ss, const char *what)
{
	netsnmp_pdu *pdu = snmp_pdu_create(SNMP_MSG_SET), *response = NULL;

	do {
		add(pdu, what);
		if ((what = strchr(what, ',')) != NULL)
			what++;
	} while (what != NULL);
	if (snmp_synch_response(ss, pdu, &response) != STAT_SUCCESS || response == NULL)
		errx(1, "no answer to the SET: %s", snmp_api_errstring(ss->s_snmp_errno));
	if (response->errstat != SNMP_ERR_NOERROR)
		errx(1, "the SET is refused: %s", snmp_errstring((int)response->errstat));
	snmp_free_pdu(response);
}

int
main(int argc, char **argv)
{
	char community[] = "private";
	netsnmp_session *ss;
	long rounds, rest;

	if (argc < 7 || argc > 7 + SERVERS_MAX)
		errx(2, "usage: set_obey AGENT:PORT ROUNDS PAUSE DOMAIN REQUIRE OFFER [SMTP-PORT]...");
	ss = snmp_open_session("set_obey", argv[1], community);
	rounds = strtol(argv[2], NULL, 10);
	rest = strtol(argv[3], NULL, 10);
	for (long i = 0; i < rounds; i++) {
		char wanted = i % 2 == 0 ? '5' : '2';
		double from, answered, obeyed = 0;
		bool all, obeys[SERVERS_MAX] = { false };

		(void)usleep((useconds_t)rest * 1000);
		from = seconds();
		set(ss, argv[5 + i % 2]);
		answered = seconds();
		do {
			all = true;
			for (int s = 0; s < argc - 7; s++) {
				if (obeys[s])
					continue;
				obeys[s] = rcpt_answer((unsigned short)strtoul(argv[7 + s], NULL, 10),
				    argv[4], &obeyed) == wanted;
				all &= obeys[s];
			}
			if (seconds() - from > PATIENCE)
				errx(1, "the servers do not follow within %.0f s", PATIENCE);
			if (!all)
				(void)usleep(AGAIN_US);
		} while (!all);
		printf("%.3f %.3f %s\n", (answered - from) * 1e3, (obeyed - from) * 1e3,
		    i % 2 == 0 ? "require" : "offer");
	}
	snmp_close(ss);
	return 0;
}
