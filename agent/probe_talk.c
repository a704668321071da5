/* See probe.h and probe_int.h: the conversation. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "probe_int.h"

#define LINES_MAX 300		/* of all replies in one conversation */
#define QUIT_MS 1000		/* for the answer to QUIT */

/* ---- what we say ---- */

static void
send_line(struct probe *p, const char *text)
{
	size_t n = strlen(text);

	if (p->tls != NULL) {
		if (!probe_tls_write(p->tls, text, n))
			probe_lost(p);
		return;
	}
	if (n > sizeof(p->out) - p->nout)	/* it never reads: the timeout ends that */
		return;
	memcpy(p->out + p->nout, text, n);
	p->nout += n;
}

/* An address literal is legal for who has no name, RFC 5321 4.1.3. */
void
probe_ehlo(struct probe *p)
{
	char ip[ADDR_TEXT], line[ADDR_TEXT + 32];

	snprintf(line, sizeof(line), "EHLO [%s%s]\r\n", p->result.from.family == ADDR_IPV6 ?
	    "IPv6:" : "", addr_format_ip(&p->result.from, ip));
	p->state = EHLO;
	send_line(p, line);
}

static void
say_quit(struct probe *p)
{
	p->state = QUIT;
	p->until = probe_now() + QUIT_MS;
	send_line(p, "QUIT\r\n");
}

void
probe_begin_tls(struct probe *p, bool at_once)
{
	if ((p->tls = probe_tls_new(p->target.sni)) == NULL) {
		probe_fail(p, "out of memory");
		return;
	}
	p->result.smtps = at_once;
	p->state = HANDSHAKE;
	p->until = 0;
	if (probe_tls_handshake(p->tls) == -1)
		probe_lost(p);
}

/* ---- replies ---- */

/* For a sentence: printable ASCII, not too long. */
static void
quote(const char *text, char *out, size_t size)
{
	size_t i;

	for (i = 0; text[i] != '\0' && i < size - 1; i++)
		out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	out[i] = '\0';
}

static void
recognise(struct probe *p, const char *text)
{
	static const char *const known[] = { "OpenSMTPD", "Exim", "Postfix", "Sendmail" };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (p->result.software[0] == '\0' && strstr(text, known[i]) != NULL)
			snprintf(p->result.software, sizeof(p->result.software), "%s", known[i]);
}

/* The last line of a reply to what was said last. */
static void
replied(struct probe *p, int code, const char *line)
{
	char text[128];

	quote(line, text, sizeof(text));
	switch (p->state) {
	case GREETING:
		if (code != 220) {
			probe_fail(p, "it greets with \"%s\"; let this machine connect", text);
			break;
		}
		p->result.reachable = true;
		probe_ehlo(p);
		break;
	case EHLO:
		if (code != 250) {
			probe_fail(p, "it answers EHLO with \"%s\"; see its log", text);
		} else if (p->secured || !p->result.starttls) {
			say_quit(p);
		} else {
			p->state = STARTTLS;
			send_line(p, "STARTTLS\r\n");
		}
		break;
	case STARTTLS:
		if (code != 220) {
			snprintf(p->result.starttls_reply, sizeof(p->result.starttls_reply), "%s", text);
			say_quit(p);
		} else if (p->behind > 0) {
			probe_fail(p, "it goes on in clear behind its answer to STARTTLS (RFC 3207, 4); "
			    "see what stands between, or replace that server");
		} else {
			probe_begin_tls(p, false);
		}
		break;
	default:
		probe_finish(p);
		break;
	}
}

/* One line of a reply, without its end. */
static void
take_line(struct probe *p, char *line, size_t len)
{
	char text[64];

	if (len > 0 && line[len - 1] == '\r')
		len--;
	line[len] = '\0';
	if (len < 3 || memchr(line, '\0', len) != NULL || strspn(line, "0123456789") != 3 ||
	    line[0] < '2' || line[0] > '5' || (line[3] != '\0' && line[3] != ' ' && line[3] != '-')) {
		quote(line, text, sizeof(text));
		probe_fail(p, "it does not speak SMTP but says \"%s\"; correct the [listener]", text);
		return;
	}
	if (++p->lines > LINES_MAX) {
		probe_fail(p, "its replies have no end; see what answers there");
		return;
	}
	if (p->state == GREETING)
		recognise(p, line);
	if (p->state == EHLO && !p->secured && len >= 12 && strncasecmp(line + 4, "STARTTLS", 8) == 0 &&
	    (line[12] == '\0' || line[12] == ' '))
		p->result.starttls = true;
	if (line[3] != '-')
		replied(p, (line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0', line);
}

/* Text of the server's, decrypted where need be. */
void
probe_text(struct probe *p, const char *text, size_t n)
{
	const char *end;
	char line[PROBE_LINE];
	size_t len;

	while (n > 0 && p->state != DONE) {
		len = n < sizeof(p->line) - p->len ? n : sizeof(p->line) - p->len;
		memcpy(p->line + p->len, text, len);
		p->len += len;
		text += len;
		n -= len;
		while (p->state != DONE && (end = memchr(p->line, '\n', p->len)) != NULL) {
			len = (size_t)(end - p->line);
			memcpy(line, p->line, len);
			p->len -= len + 1;
			memmove(p->line, end + 1, p->len);
			p->behind = p->len + n;
			take_line(p, line, len);
		}
		if (p->len == sizeof(p->line))
			probe_fail(p, "it sends a line without an end; see what answers there");
	}
}
