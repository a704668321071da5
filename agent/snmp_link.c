#include <sys/signalfd.h>
#include <sys/stat.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "snmp_set.h"
#include <net-snmp/agent/agent_callbacks.h>
#include <net-snmp/library/large_fd_set.h>

#include "snmp_link.h"
#include "snmp_log.h"
#include "snmp_notify.h"
#include "snmp_parent.h"
#include "snmp_quick.h"

#define PING 2		/* seconds between looks whether snmpd is there */
#define PATIENCE 10	/* seconds that snmpd may hang before the link is given up */
#define PAUSE_MAX 30	/* seconds between attempts to connect; they begin with PING */
#define AWAKE_US 100	/* after a request, the next one is looked for without sleeping */
#define REMIND 600	/* seconds until the same complaint is logged again */

static struct view *view;
static const char *address;
static bool linked, taken;
static long pause_now = PING;

/* ---- requests ---- */

static void
answer(netsnmp_agent_request_info *info, netsnmp_request_info *req)
{
	static const oid root[] = { TREE_ROOT };
	netsnmp_variable_list *vb = req->requestvb;
	oid name[MAX_OID_LEN] = { TREE_ROOT };
	struct value value;
	const oid *sub = NULL;
	size_t n = 0;
	bool next = info->mode == MODE_GETNEXT;
	int c = snmp_oid_ncompare(vb->name, vb->name_length, root, TREE_ROOT_LEN, TREE_ROOT_LEN);

	if (c > 0 || (c < 0 && !next))
		return;
	if (c == 0) {
		sub = vb->name + TREE_ROOT_LEN;
		n = vb->name_length - TREE_ROOT_LEN;
	}
	if (!next) {
		switch (tree_get(view, sub, n, &value)) {
		case TREE_FOUND:
			break;
		case TREE_NO_OBJECT:
			netsnmp_set_request_error(info, req, SNMP_NOSUCHOBJECT);
			return;
		case TREE_NO_INSTANCE:
			netsnmp_set_request_error(info, req, SNMP_NOSUCHINSTANCE);
			return;
		}
	} else {
		/* Left as it is at the end: the library goes on with what follows. */
		if (!tree_next(view, sub, n, req->inclusive != 0, name + TREE_ROOT_LEN, &n, &value))
			return;
		snmp_set_var_objid(vb, name, TREE_ROOT_LEN + n);
	}
	if (snmp_set_var_typed_value(vb, value.type, &value.u, value.len) != 0)
		netsnmp_set_request_error(info, req, SNMP_ERR_GENERR);
}

static int
handle(netsnmp_mib_handler *handler, netsnmp_handler_registration *reg,
    netsnmp_agent_request_info *info, netsnmp_request_info *requests)
{
	(void)handler;
	(void)reg;
	view->link.requests++;
	if (info->mode != MODE_GET && info->mode != MODE_GETNEXT)
		return set_phase(view, info, requests);
	view_refresh(view);
	for (netsnmp_request_info *req = requests; req != NULL; req = req->next)
		if (!req->processed)
			answer(info, req);
	return SNMP_ERR_NOERROR;
}

/* ---- the library's log, and the state of the link ---- */

/* To user and group by name, with the line that is missing. */
static void
explain_closed(const char *path)
{
	const struct passwd *pw = getpwuid(geteuid());
	const struct group *gr = getgrgid(getegid());
	char user[24], group[24];

	(void)snprintf(user, sizeof(user), "%lu", (unsigned long)geteuid());
	(void)snprintf(group, sizeof(group), "%lu", (unsigned long)getegid());
	log_line(LOG_WARNING, "the AgentX socket %s is closed to user %s: put the line "
	    "\"agentXPerms 0660 0555 root %s\" into snmpd.conf and restart snmpd", path,
	    pw != NULL ? pw->pw_name : user, gr != NULL ? gr->gr_name : group);
}

/* What a person can do about a socket that does not let us in. */
static void
explain(void)
{
	const char *path = strncmp(address, "unix:", 5) == 0 ? address + 5 : address;

	if (*path != '/')
		log_line(LOG_WARNING, "cannot reach snmpd at %s: is it running, and does snmpd.conf "
		    "have \"master agentx\" and \"agentXSocket %s\"?", address, address);
	else if (access(path, F_OK) != 0 && errno != EACCES)
		log_line(LOG_WARNING, "no AgentX socket at %s (%s): is snmpd running, and does "
		    "snmpd.conf have \"master agentx\" and \"agentXSocket %s\"?", path,
		    strerror(errno), path);
	else if (access(path, R_OK | W_OK) != 0)
		explain_closed(path);
	else
		log_line(LOG_WARNING, "nobody answers at the AgentX socket %s: is snmpd running, and "
		    "is this its agentXSocket?", path);
}

/* RFC 2741 7.1.4: duplicateRegistration (263), in the library's words. */
static bool
is_taken(const char *message)
{
	return strstr(message, "registering pdu failed: 263") != NULL;
}

/* The library says the same at each attempt: once, and now and then, is enough. */
static int
library_log(int major, int minor, void *message, void *arg)
{
	static char last[256];
	static time_t when;
	static bool explained;
	const struct snmp_log_message *m = message;
	time_t now = view_clock();

	(void)major;
	(void)minor;
	(void)arg;
	if (strstr(m->msg, "Failed to connect to the agentx master") != NULL ||
	    strstr(m->msg, "failed to connect to the agentx master") != NULL) {
		if ((pause_now *= 2) > PAUSE_MAX)
			pause_now = PAUSE_MAX;
		log_line(LOG_DEBUG, "no link: %ld s between the next attempts", pause_now);
		if (!explained || now - when >= REMIND)
			explain();
		else
			return SNMPERR_SUCCESS;
		explained = true;
		when = now;
		return SNMPERR_SUCCESS;
	}
	if (is_taken(m->msg)) {
		taken = true;
		log_line(LOG_ERR, "another agent answers for TLSWARD-MIB at %s: one is enough, so "
		    "end it first", address);
		return SNMPERR_SUCCESS;
	}
	if (strncmp(last, m->msg, sizeof(last) - 1) == 0 && now - when < REMIND)
		return SNMPERR_SUCCESS;
	explained = false;
	when = now;
	snprintf(last, sizeof(last), "%s", m->msg);
	log_text(m->priority > LOG_NOTICE ? LOG_DEBUG : m->priority, m->msg);
	return SNMPERR_SUCCESS;
}

/* RFC 2741 8.1: a stream.  What is sent once more is done once more. */
static void
be_patient(netsnmp_session *s)
{
	s->retries = 0;
	s->timeout = PATIENCE * 1000000L;
}

static int
link_state(int major, int minor, void *server, void *arg)
{
	(void)major;
	(void)arg;
	linked = minor == SNMPD_CALLBACK_INDEX_START;
	pause_now = PING;
	notify_link(linked ? server : NULL);
	view->link.changed = time(NULL);
	if (minor == SNMPD_CALLBACK_INDEX_START) {
		be_patient(server);
		quick_begin(view, server);
		view->link.connects++;
		log_line(LOG_NOTICE, "connected to snmpd at %s", address);
	} else {
		view->link.losses++;
		log_line(LOG_WARNING, "the link to snmpd at %s is down", address);
		set_end(view);
	}
	return SNMPERR_SUCCESS;
}

/* ---- start, loop, end ---- */

static bool
library_start(void)
{
	static const oid root[] = { TREE_ROOT };
	netsnmp_handler_registration *reg;

	setenv("MIBS", "", 1);
	setenv("MIBDIRS", "", 1);
	setenv("SNMPCONFPATH", "", 1);
	snmp_register_callback(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_LOGGING, library_log, NULL);
	snmp_disable_log();
	snmp_enable_calllog();

	netsnmp_ds_set_boolean(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_ROLE, 1);
	netsnmp_ds_set_string(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_X_SOCKET, address);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_READ_CONFIGS, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_PERSIST_STATE, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DISABLE_PERSISTENT_LOAD, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DISABLE_PERSISTENT_SAVE, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_LOAD_HOST_FILES, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_ALARM_DONT_USE_SIG, 1);

	if (init_agent("tlsward-agent") != 0)
		return false;
	netsnmp_ds_set_int(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_AGENTX_PING_INTERVAL, PING);
	snmp_register_callback(SNMP_CALLBACK_APPLICATION, SNMPD_CALLBACK_INDEX_START, link_state,
	    NULL);
	snmp_register_callback(SNMP_CALLBACK_APPLICATION, SNMPD_CALLBACK_INDEX_STOP, link_state,
	    NULL);
	reg = netsnmp_create_handler_registration("tlsward", handle, root, TREE_ROOT_LEN,
	    HANDLER_CAN_RWRITE);
	if (reg == NULL || netsnmp_register_handler(reg) != MIB_REGISTERED_OK)
		return false;
	init_snmp("tlsward-agent");
	return true;
}

/*
 * Without a link the library's one repeated alarm is its next attempt, always
 * at the same interval.
 */
static void
grow_pause(void)
{
	struct snmp_alarm *a = sa_find_next();

	if (!linked && a != NULL && (a->flags & SA_REPEAT) != 0)
		a->t.tv_sec = pause_now;
}

static int64_t
clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/*
 * Waits for something to read, as select(2).  In a walk each row is a request of
 * snmpd's, and the next one is there sooner than a process that sleeps is
 * woken: so it is looked for a moment, whoever wants the processor going first.
 */
static int
await(int n, netsnmp_large_fd_set *fds, struct timeval wait)
{
	static uint32_t seen;
	fd_set all = *fds->lfs_setptr;		/* no more than FD_SETSIZE: see turn */
	struct timeval none = { 0, 0 };
	int64_t until = clock_us() + AWAKE_US;
	int ready;

	if (seen == view->link.requests)
		return netsnmp_large_fd_set_select(n, fds, NULL, NULL, &wait);
	seen = view->link.requests;
	while ((ready = netsnmp_large_fd_set_select(n, fds, NULL, NULL, &none)) == 0 &&
	    clock_us() < until) {
		sched_yield();
		*fds->lfs_setptr = all;
	}
	if (ready != 0)
		return ready;
	*fds->lfs_setptr = all;
	return netsnmp_large_fd_set_select(n, fds, NULL, NULL, &wait);
}

/* One round of the library: waits for a request, an alarm or a second. */
static bool
turn(int signals)
{
	netsnmp_large_fd_set fds;
	struct timeval wait = { 1, 0 };
	int n = signals + 1, block = 0, ready, words = notify_fd();
	bool stop = false, told = false;

	netsnmp_large_fd_set_init(&fds, FD_SETSIZE);
	NETSNMP_LARGE_FD_ZERO(&fds);
	snmp_select_info2(&n, &fds, &wait, &block);
	if (n <= signals)
		n = signals + 1;
	if (n <= words)
		n = words + 1;
	NETSNMP_LARGE_FD_SET(signals, &fds);
	if (words >= 0)
		NETSNMP_LARGE_FD_SET(words, &fds);
	if (wait.tv_sec >= 1)
		wait = (struct timeval){ 1, 0 };
	ready = await(n, &fds, wait);
	if (ready > 0) {
		stop = NETSNMP_LARGE_FD_ISSET(signals, &fds);
		NETSNMP_LARGE_FD_CLR(signals, &fds);
		if (words >= 0) {
			told = NETSNMP_LARGE_FD_ISSET(words, &fds);
			NETSNMP_LARGE_FD_CLR(words, &fds);
		}
		snmp_read2(&fds);
	} else
		snmp_timeout();
	netsnmp_large_fd_set_cleanup(&fds);
	run_alarms();
	grow_pause();
	netsnmp_check_outstanding_agent_requests();
	notify_step(told);
	return !stop && !taken;
}

int
link_run(struct view *v, const char *socket, int channel)
{
	sigset_t set;
	time_t looked = 0;
	int signals;

	view = v;
	address = socket;
	notify_init(v, channel);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if ((signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) == -1) {
		log_line(LOG_ERR, "signalfd: %s", strerror(errno));
		return 1;
	}
	view_refresh(v);
	if (!library_start()) {
		log_line(LOG_ERR, "the SNMP library does not start");
		close(signals);
		return 1;
	}
	while (turn(signals))
		if (view_clock() != looked) {
			looked = view_clock();
			view_refresh(v);
		}
	snmp_shutdown("tlsward-agent");
	shutdown_agent();
	close(signals);
	set_end(v);
	return taken ? PARENT_TAKEN : 0;
}
