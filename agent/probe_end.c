/* See probe.h and probe_int.h: how a probe ends. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "probe_int.h"

void
probe_finish(struct probe *p)
{
	if (p->tls != NULL)
		probe_tls_result(p->tls, &p->result);
	probe_hang_up(p);
	p->state = DONE;
	p->result.ms = (unsigned)(probe_now() - p->started);
}

void
probe_fail(struct probe *p, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(p->result.error, sizeof(p->result.error), format, ap);
	va_end(ap);
	probe_finish(p);
}

/* "198.51.100.7:25", or both that stand for "*:25". */
static const char *
where(const struct probe *p, char buf[2 * ADDR_TEXT + 8])
{
	char a[ADDR_TEXT], b[ADDR_TEXT];

	if (p->nto == 2 && p->at == 1)
		snprintf(buf, 2 * ADDR_TEXT + 8, "%s and %s", addr_format_listener(&p->to[0], a),
		    addr_format_listener(&p->to[1], b));
	else
		snprintf(buf, 2 * ADDR_TEXT + 8, "%s", addr_format_listener(&p->to[p->at], a));
	return buf;
}

void
probe_fail_connect(struct probe *p, int e)
{
	char buf[2 * ADDR_TEXT + 8];

	switch (e) {
	case ECONNREFUSED:
		probe_fail(p, "nobody listens on %s; start the mail server, or correct the [listener]",
		    where(p, buf));
		break;
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
	case ENETUNREACH:
	case EHOSTUNREACH:
		probe_fail(p, "%s cannot be reached from this machine (%s); give it the address, or "
		    "correct the [listener]", where(p, buf), strerror(e));
		break;
	case ETIMEDOUT:
		probe_fail(p, "no answer from %s; see whether a firewall stands between", where(p, buf));
		break;
	default:
		probe_fail(p, "cannot connect to %s: %s; see whether a firewall or a limit of this "
		    "process forbids it", where(p, buf), strerror(e));
		break;
	}
}

void
probe_fail_timeout(struct probe *p)
{
	double s = p->timeout_ms / 1000.0;

	switch (p->state) {
	case CONNECT:
		probe_fail_connect(p, ETIMEDOUT);
		break;
	case GREETING:
		probe_fail(p, "the connection was made, but no greeting came within %.3g s; see the mail "
		    "server's log, or allow more time", s);
		break;
	case HANDSHAKE:
		if (p->guessed && !p->heard) {
			p->result.smtps = false;
			probe_fail(p, "the connection was made, but no greeting came within %.3g s, nor "
			    "TLS; see the mail server's log, or allow more time", s);
			break;
		}
		probe_fail(p, "the TLS handshake did not end within %.3g s; see the mail server's log, "
		    "or allow more time", s);
		break;
	default:
		probe_fail(p, "the answer to %s did not come within %.3g s; see the mail server's log, "
		    "or allow more time", p->state == STARTTLS ? "STARTTLS" : "EHLO", s);
		break;
	}
}

/* The peer is gone, or its TLS is: what that means depends on how far we were. */
void
probe_lost(struct probe *p)
{
	char why[200] = "";

	if (p->state == QUIT) {
		probe_finish(p);
		return;
	}
	if (p->state == HANDSHAKE && p->guessed && !p->heard && !p->patient) {
		probe_again(p);
		return;
	}
	if (p->tls != NULL) {
		probe_tls_result(p->tls, &p->result);
		probe_tls_why(p->tls, why, sizeof(why));
	}
	if (p->result.asks && p->result.tls) {
		/* RFC 8446 4.4.2.4: in TLS 1.3 this comes after our own handshake has ended. */
		p->result.insists = true;
		probe_finish(p);
		return;
	}
	if (why[0] == '\0')
		snprintf(why, sizeof(why), "the server closed the connection");
	if (p->secured)
		probe_fail(p, "the session ended behind the TLS handshake: %s; see the mail server's log", why);
	else if (p->state == HANDSHAKE)
		probe_fail(p, "the TLS handshake failed: %s; see the mail server's log, and whether its "
		    "key and certificate fit", why);
	else
		probe_fail(p, "the server closed the connection %s; see its log", p->state == GREETING ?
		    "without a greeting" : p->state == STARTTLS ? "after STARTTLS" : "after EHLO");
}
