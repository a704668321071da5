#include <sys/socket.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "snmp_objects.h"	/* and the library's headers, which must come in this order */
#include <net-snmp/agent/net-snmp-agent-includes.h>

#include "probe_file.h"
#include "snmp_certs.h"
#include "snmp_log.h"
#include "snmp_notify.h"

#define NOTIFICATIONS	1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 2553, 0
#define AGENTX_NOTIFY	12	/* RFC 2741 6.1; Net-SNMP does not install its header of them */
#define ANSWER_WAIT	30	/* seconds for an answer; a link that is dead breaks before */
#define AGAIN_WAIT	5	/* seconds until what was not taken is sent again */
#define TRIES		3	/* of one that snmpd answers with an error */

/* The groups of tlswardObjects that bindings come from. */
enum { GROUP_SETTINGS = 3, GROUP_LISTENER = 7, GROUP_CERTIFICATE = 10, GROUP_NOTIFY = 15,
	GROUP_PROBES };

/* tlswardNotify. */
enum {
	NOTIFY_LIMIT = 3, NOTIFY_NUMBER = 8, NOTIFY_TIME, NOTIFY_KIND, NOTIFY_NAME,
	NOTIFY_OLD_MODE, NOTIFY_NEW_MODE, NOTIFY_OLD_CERT, NOTIFY_NEW_CERT, NOTIFY_BY,
	NOTIFY_REFUSALS, NOTIFY_TEXT
};

static const struct view *view;
static int channel = -1;
static struct alarm_figures figures;

static netsnmp_session *session;	/* of the link, while it is up */
static u_int attempt;			/* the last one: what an answer must be to */

static struct {
	bool any;
	bool sent;		/* and its answer is awaited */
	bool taken;		/* by snmpd, but the parent does not know yet */
	int refused;		/* how often */
	time_t again;		/* not to be sent before */
	struct event event;
} now;

/* ---- variable bindings ---- */

struct bindings {
	netsnmp_variable_list *list;
	oid index[MAX_OID_LEN];	/* of the row that columns are of */
	size_t nindex;
	bool failed;
};

static void
bind_value(struct bindings *b, oid group, oid column, u_char type, const void *value, size_t len)
{
	oid name[MAX_OID_LEN] = { TREE_ROOT, group };
	size_t n = TREE_ROOT_LEN + 1;

	if (group == GROUP_LISTENER || group == GROUP_CERTIFICATE) {
		name[n++] = 1;
		name[n++] = column;
		memcpy(name + n, b->index, b->nindex * sizeof(*name));
		n += b->nindex;
	} else {
		name[n++] = column;
		name[n++] = 0;
	}
	if (snmp_varlist_add_variable(&b->list, name, n, type, value, len) == NULL)
		b->failed = true;
}

static void
bind_text(struct bindings *b, oid group, oid column, const char *text)
{
	size_t len = strlen(text);

	bind_value(b, group, column, ASN_OCTET_STR, text, len > VIEW_TEXT ? VIEW_TEXT : len);
}

static void
bind_integer(struct bindings *b, oid group, oid column, long n)
{
	bind_value(b, group, column, ASN_INTEGER, &n, sizeof(n));
}

static void
bind_number(struct bindings *b, oid group, oid column, u_long n)
{
	bind_value(b, group, column, ASN_UNSIGNED, &n, sizeof(n));
}

static void
bind_date(struct bindings *b, oid group, oid column, int64_t t)
{
	struct value value;

	value_date(&value, (time_t)t);
	bind_value(b, group, column, ASN_OCTET_STR, value.u.octets, value.len);
}

/* ---- rows ---- */

static void
index_certificate(struct bindings *b, const struct event *e)
{
	b->index[0] = certs_kind((enum section)e->section);
	b->nindex = 1;
	for (const char *p = e->name; *p != '\0' && b->nindex < 65; p++)
		b->index[b->nindex++] = (unsigned char)*p;
}

/* InetAddressType, InetAddress with its length, port (RFC 4001). */
static void
index_listener(struct bindings *b, const char *listener)
{
	struct addr a;
	size_t len;

	if (!addr_listener(listener, strlen(listener), &a))
		memset(&a, 0, sizeof(a));
	len = a.family == ADDR_IPV4 ? 4 : a.family == ADDR_IPV6 ? 16 : 0;
	b->index[0] = len == 4 ? 1 : len == 16 ? 2 : 0;
	b->index[1] = len;
	for (size_t i = 0; i < len; i++)
		b->index[2 + i] = a.ip[i];
	b->index[2 + len] = a.port;
	b->nindex = 3 + len;
}

static bool
has_row(const char *listener)
{
	const struct settings *s = view_settings(view);

	return s != NULL && settings_find(s, SEC_LISTENER, listener) != NULL;
}

/* ---- each notification ---- */

static void
bind_rule(struct bindings *b, const struct event *e)
{
	bind_integer(b, GROUP_NOTIFY, NOTIFY_KIND, e->section < SEC_RULES ? (long)e->section + 1 : 6);
	bind_text(b, GROUP_NOTIFY, NOTIFY_NAME, e->name);
}

static void
bind_mode(struct bindings *b, const struct event *e)
{
	bind_rule(b, e);
	bind_integer(b, GROUP_NOTIFY, NOTIFY_OLD_MODE, e->old_mode);
	bind_integer(b, GROUP_NOTIFY, NOTIFY_NEW_MODE, e->new_mode);
	bind_integer(b, GROUP_NOTIFY, NOTIFY_OLD_CERT, e->old_cert);
	bind_integer(b, GROUP_NOTIFY, NOTIFY_NEW_CERT, e->new_cert);
	bind_integer(b, GROUP_NOTIFY, NOTIFY_BY, e->by);
}

static void
bind_settings(struct bindings *b, const struct event *e)
{
	unsigned char digest[8];

	bind_text(b, GROUP_SETTINGS, 2, view->hold.path);
	if (e->kind == ALARM_REJECTED) {
		bind_number(b, GROUP_SETTINGS, 8, e->line);
		bind_text(b, GROUP_SETTINGS, 7, e->text);
		return;
	}
	for (int i = 0; i < 8; i++)
		digest[i] = (unsigned char)(e->digest >> (56 - 8 * i) & 0xff);
	bind_value(b, GROUP_SETTINGS, 5, ASN_OCTET_STR, digest, sizeof(digest));
}

static void
bind_certificate(struct bindings *b, const struct event *e)
{
	index_certificate(b, e);
	bind_text(b, GROUP_CERTIFICATE, 4, e->file);
	if (e->kind == ALARM_UNUSABLE) {
		bind_integer(b, GROUP_CERTIFICATE, 15, (long)e->state + 2);
		bind_text(b, GROUP_CERTIFICATE, 16, e->text);
		return;
	}
	if (e->kind == ALARM_NOT_SHOWN) {
		bind_value(b, GROUP_CERTIFICATE, 8, ASN_OCTET_STR, e->fingerprint, 32);
		bind_value(b, GROUP_CERTIFICATE, 20, ASN_OCTET_STR, e->shown, 32);
		bind_text(b, GROUP_CERTIFICATE, 22, e->listener);
		bind_text(b, GROUP_NOTIFY, NOTIFY_TEXT, e->text);
		return;
	}
	bind_text(b, GROUP_CERTIFICATE, 5, e->subject);
	if (e->kind == ALARM_RENEWED)
		bind_value(b, GROUP_CERTIFICATE, 8, ASN_OCTET_STR, e->fingerprint, 32);
	bind_date(b, GROUP_CERTIFICATE, 13, e->not_after);
	if (e->kind != ALARM_RENEWED)
		bind_integer(b, GROUP_CERTIFICATE, 14, e->days);
	bind_text(b, GROUP_NOTIFY, NOTIFY_TEXT, e->text);
}

static void
bind_listener(struct bindings *b, const struct event *e)
{
	u_long faults = figures.faults;

	bind_rule(b, e);
	bind_text(b, GROUP_NOTIFY, NOTIFY_TEXT, e->text);
	bind_value(b, GROUP_PROBES, 3, ASN_GAUGE, &faults, sizeof(faults));
	/* Without any [listener], or when it was taken out, there is no row to lead to. */
	if (!has_row(e->listener))
		return;
	index_listener(b, e->listener);
	bind_integer(b, GROUP_LISTENER, 22, e->kind == ALARM_FINE ? PROBE_FINE : PROBE_FAULT);
}

static void
bind_refusals(struct bindings *b, const struct event *e)
{
	u_long n = e->refusals;

	bind_rule(b, e);
	bind_value(b, GROUP_NOTIFY, NOTIFY_REFUSALS, ASN_GAUGE, &n, sizeof(n));
	bind_integer(b, GROUP_NOTIFY, NOTIFY_LIMIT, e->limit);
}

static void (*const binders[ALARM_MAX])(struct bindings *, const struct event *) = {
	[ALARM_MODE] = bind_mode,
	[ALARM_REJECTED] = bind_settings,
	[ALARM_ACCEPTED] = bind_settings,
	[ALARM_EXPIRING] = bind_certificate,
	[ALARM_EXPIRED] = bind_certificate,
	[ALARM_RENEWED] = bind_certificate,
	[ALARM_UNUSABLE] = bind_certificate,
	[ALARM_NOT_SHOWN] = bind_certificate,
	[ALARM_NOT_VERIFYING] = bind_listener,
	[ALARM_FAULT] = bind_listener,
	[ALARM_FINE] = bind_listener,
	[ALARM_REFUSALS] = bind_refusals,
};

/* NULL: out of memory, or nothing that can be told. */
static netsnmp_pdu *
pdu_of(const struct event *e)
{
	static const oid trap_oid[] = { 1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0 };	/* RFC 3418 */
	const oid which[] = { NOTIFICATIONS, e->kind };
	struct bindings b = { .list = NULL };
	netsnmp_pdu *pdu;

	if (e->kind >= ALARM_MAX || binders[e->kind] == NULL)
		return NULL;
	if (snmp_varlist_add_variable(&b.list, trap_oid, OID_LENGTH(trap_oid), ASN_OBJECT_ID,
	    which, sizeof(which)) == NULL)
		b.failed = true;
	bind_number(&b, GROUP_NOTIFY, NOTIFY_NUMBER, e->number);
	bind_date(&b, GROUP_NOTIFY, NOTIFY_TIME, e->time);
	binders[e->kind](&b, e);
	if (b.failed || (pdu = snmp_pdu_create(AGENTX_NOTIFY)) == NULL) {
		snmp_free_varbind(b.list);
		return NULL;
	}
	pdu->variables = b.list;
	return pdu;
}

/* ---- to snmpd ---- */

/*
 * What becomes of one attempt: only the answer to it, by its request's number,
 * says that snmpd has the event.  Answers to earlier ones, late, say nothing.
 */
static int
answered(int operation, netsnmp_session *s, int reqid, netsnmp_pdu *pdu, void *magic)
{
	(void)s;
	(void)reqid;
	if ((u_int)(uintptr_t)magic != attempt || !now.sent || operation == NETSNMP_CALLBACK_OP_RESEND)
		return 1;
	now.sent = false;
	now.again = view_clock() + AGAIN_WAIT;
	if (operation != NETSNMP_CALLBACK_OP_RECEIVED_MESSAGE || pdu == NULL)
		return 1;
	if (pdu->errstat == SNMP_ERR_NOERROR)
		now.taken = true;
	else {
		now.taken = ++now.refused == TRIES;
		log_line(LOG_WARNING, "snmpd answers notification %u with error %ld (RFC 2741 "
		    "6.2.16): %s", now.event.number, pdu->errstat, now.taken ? "given up" :
		    "to be sent again");
	}
	return 1;
}

static void
send_event(void)
{
	netsnmp_pdu *pdu = pdu_of(&now.event);

	now.again = view_clock() + AGAIN_WAIT;
	if (pdu == NULL) {
		log_line(LOG_ERR, "out of memory for a notification");
		return;
	}
	pdu->sessid = session->sessid;
	/* A stream loses nothing: what is sent twice comes twice. */
	pdu->flags |= UCD_MSG_FLAG_EXPECT_RESPONSE | UCD_MSG_FLAG_PDU_TIMEOUT;
	pdu->time = ANSWER_WAIT;
	attempt++;
	now.sent = true;
	if (snmp_async_send(session, pdu, answered, (void *)(uintptr_t)attempt) == 0) {
		snmp_free_pdu(pdu);
		now.sent = false;
	}
}

/* ---- the parent ---- */

/* False: the socket is full, a parent in trouble. */
static bool
say(struct word *w)
{
	return channel < 0 || send(channel, w, sizeof(*w), MSG_NOSIGNAL | MSG_DONTWAIT) != -1;
}

static void
take_words(void)
{
	struct word w;

	while (channel >= 0 && recv(channel, &w, sizeof(w), MSG_DONTWAIT) == sizeof(w)) {
		if (w.kind == WORD_FIGURES)
			figures = w.u.figures;
		else if (w.kind == WORD_EVENT) {
			memset(&now, 0, sizeof(now));
			now.event = w.u.event;
			now.any = true;
		}
	}
}

/* Since the parent gave it: a SET is known here first. */
static bool
switched_off(const struct event *e)
{
	return (alarm_kinds_off(view_settings(view)) >> e->kind & 1) != 0;
}

void
notify_step(bool readable)
{
	struct word w = { .kind = WORD_SENT };

	if (readable)
		take_words();
	w.u.number = now.event.number;
	if (now.any && !now.sent && !now.taken && switched_off(&now.event)) {
		w.kind = WORD_MUTED;
		now.any = !say(&w);
		return;
	}
	if (now.any && session != NULL && !now.sent && !now.taken && view_clock() >= now.again)
		send_event();
	if (!now.any || !now.taken)
		return;
	now.any = !say(&w);	/* it waits for that word, and is told until it takes it */
}

void
notify_link(void *s)
{
	session = s;
	now.sent = false;
	now.again = 0;
}

void
notify_writing(bool begins)
{
	struct word w = { .kind = WORD_WRITING };

	w.u.number = begins;
	say(&w);
}

void
notify_changed(const struct file_id *id)
{
	struct word w = { .kind = WORD_CHANGED };

	w.u.file = *id;
	if (!say(&w))
		log_line(LOG_DEBUG, "the other process takes no word now");
}

void
notify_init(const struct view *v, int fd)
{
	view = v;
	channel = fd;
}

int
notify_fd(void)
{
	return channel;
}

const struct alarm_figures *
notify_figures(void)
{
	return &figures;
}
