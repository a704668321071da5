/*
 * The words of a decision: the reply to the client and the log line.  Both go
 * into line protocols (RFC 5321 4.5.3.1.5: 512 octets a reply), and half of
 * what they name was sent by a stranger.
 */
#include <stdio.h>
#include <string.h>

#include "policy_int.h"

#define REPLY_MAX 509		/* 512 less CRLF, less one to spare */

/* How much of the line one value may take: a HELO cannot push the rest out. */
#define SHORT_MAX 128
#define LONG_MAX 330

const char *const reason_words[REASON_MAX] = {
	[REASON_NONE] = "none",
	[REASON_TLS_MISSING] = "tls-missing",
	[REASON_TLS_VERSION] = "tls-version",
	[REASON_TLS_BITS] = "tls-bits",
	[REASON_CERT_MISSING] = "cert-missing",
	[REASON_CERT_EXPIRED] = "cert-expired",
	[REASON_CERT_NOT_YET] = "cert-not-yet-valid",
	[REASON_CERT_REVOKED] = "cert-revoked",
	[REASON_CERT_UNTRUSTED] = "cert-untrusted",
	[REASON_CERT_PURPOSE] = "cert-purpose",
	[REASON_CERT_NAME] = "cert-name",
	[REASON_CERT_PIN] = "cert-pin",
	[REASON_CERT_UNKNOWN] = "cert-unknown",
	[REASON_SETTINGS] = "settings",
	[REASON_TLS_REFUSED] = "tls-refused",
};

const char *const action_words[] = {
	[ACT_ACCEPT] = "accept",
	[ACT_LATER] = "later",
	[ACT_REPORT] = "report",
	[ACT_REFUSE] = "refuse",
	[ACT_DEFER] = "defer",
};

static const char *const status_words[] = {
	[CERT_NOT_ASKED] = "not-asked",
	[CERT_NONE] = "none",
	[CERT_UNTRUSTED] = "untrusted",
	[CERT_TRUSTED] = "trusted",
};

/* What is said of a certificate that came: "Client certificate for X …". */
static const char *const cert_faults[REASON_MAX] = {
	[REASON_CERT_EXPIRED] = "has expired",
	[REASON_CERT_NOT_YET] = "is not valid yet",
	[REASON_CERT_REVOKED] = "has been revoked",
	[REASON_CERT_UNTRUSTED] = "is not trusted here",
	[REASON_CERT_PURPOSE] = "is not meant for TLS clients",
	[REASON_CERT_NAME] = "does not carry that name",
	[REASON_CERT_PIN] = "is not the one expected",
	[REASON_CERT_UNKNOWN] = "cannot be checked now, try again later",
};

/* ---- bounded strings ---- */

void
out_init(struct out *o, char *buf, size_t size)
{
	o->buf = buf;
	o->size = size;
	o->len = 0;
	if (size > 0)
		buf[0] = '\0';
}

static size_t
out_room(const struct out *o)
{
	return o->size > o->len + 1 ? o->size - o->len - 1 : 0;
}

static void
out_octets(struct out *o, const char *p, size_t n)
{
	if (n > out_room(o))
		n = out_room(o);
	if (n == 0)
		return;
	memcpy(o->buf + o->len, p, n);
	o->len += n;
	o->buf[o->len] = '\0';
}

void
out_text(struct out *o, const char *s)
{
	out_octets(o, s, strlen(s));
}

/* What an octet is in a value: a space stands for itself within quotes only. */
enum { ESCAPED, SPACE, PLAIN };
static const unsigned char kind_of[256] = {
	[' '] = SPACE, ['!'] = PLAIN, ['#' ... '['] = PLAIN, [']' ... '~'] = PLAIN
};

/* Octets that c takes; a space is itself within quotes. */
static size_t
width(unsigned char c)
{
	return kind_of[c] == ESCAPED ? 4 : 1;
}

static void
out_octet(struct out *o, unsigned char c)
{
	char esc[5];

	if (width(c) == 1) {
		out_octets(o, (const char *)&c, 1);
	} else {
		snprintf(esc, sizeof(esc), "\\x%02x", c);
		out_octets(o, esc, 4);
	}
}

void
out_escaped(struct out *o, const char *s, size_t max)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t whole = 0, used = 0, keep;

	if (max > out_room(o))
		max = out_room(o);
	for (size_t i = 0; p[i] != '\0' && whole <= max; i++)
		whole += width(p[i]);
	keep = whole <= max ? max : max >= 3 ? max - 3 : 0;
	while (*p != '\0' && used + width(*p) <= keep) {
		size_t run = 0;		/* what stands for itself goes in one piece */

		while (used + run < keep && p[run] != '\0' && width(p[run]) == 1)
			run++;
		if (run == 0) {
			out_octet(o, *p++);
			used += 4;
			continue;
		}
		out_octets(o, (const char *)p, run);
		used += run;
		p += run;
	}
	if (*p != '\0' && max >= 3)
		out_octets(o, "...", 3);
}

/* ---- the reply ---- */

/*
 * " for mail from partner.example", or " for partner.example" of its own
 * certificate.  The base is this server's, and needs no name.
 */
static void
for_whom(const struct scene *sc, const struct verdict *v, char *buf, size_t size)
{
	const struct rule *r = v->rule;
	struct out o;

	out_init(&o, buf, size);
	if (r == NULL || (r->section != SEC_PEER && r->section != SEC_DOMAIN))
		return;
	if (r->section == SEC_DOMAIN)
		out_text(&o, " for mail to ");
	else
		out_text(&o, cert_faults[v->reason] != NULL ? " for " : " for mail from ");
	out_text(&o, settings_name(sc->s, r));
}

static const char *
tls_text(enum tls_version v, char buf[16])
{
	return v == TLS_NONE ? "none" : key_text(KEY_MIN_TLS, (uint32_t)v, buf);
}

static void
detail(struct verdict *v, const char *wanted, const char *there)
{
	struct out o;

	out_init(&o, v->detail, sizeof(v->detail));
	out_text(&o, wanted);
	if (there[0] != '\0') {
		out_text(&o, ", session has ");
		out_escaped(&o, there, 120);
	}
}

static void
reply_tls(const struct scene *sc, struct verdict *v, const char *wanted, const char *whom)
{
	char used[16], want[48], have[96];

	if (v->reason == REASON_TLS_VERSION) {
		snprintf(want, sizeof(want), "TLS %s or later", wanted);
		snprintf(have, sizeof(have), "TLS %s", tls_text(sc->f->tls, used));
		snprintf(v->reply, sizeof(v->reply), "554 5.7.1 %s was used, %s is required%s",
		    have, want, whom);
	} else {
		snprintf(want, sizeof(want), "a cipher of %s bits or more", wanted);
		snprintf(have, sizeof(have), "%.60s%s%u bits",
		    sc->f->cipher != NULL ? sc->f->cipher : "",
		    sc->f->cipher != NULL && sc->f->cipher[0] != '\0' ? ", " : "",
		    sc->f->bits);
		snprintf(v->reply, sizeof(v->reply),
		    "554 5.7.1 A cipher of %u bits was used, %s bits are required%s",
		    sc->f->bits, wanted, whom);
	}
	detail(v, want, have);
}

static void
reply_cert(struct verdict *v, const char *wanted, const char *whom)
{
	const char *fault = cert_faults[v->reason];

	if (v->reason == REASON_CERT_NAME && whom[0] == '\0')
		fault = "does not carry an accepted name";
	if (v->reason == REASON_CERT_MISSING)
		snprintf(v->reply, sizeof(v->reply),
		    "554 5.7.1 A client certificate is required%s, none was presented", whom);
	else
		snprintf(v->reply, sizeof(v->reply), "%s Client certificate%s %s",
		    v->reason == REASON_CERT_UNKNOWN ? "451 4.3.5" : "554 5.7.1",
		    whom, fault != NULL ? fault : "is not accepted");
	detail(v, wanted, "");
}

/*
 * A reply is one line of printable ASCII whatever a rule is called, without
 * the '|' that separates fields in smtpd's filter protocol.
 */
static void
reply_clean(char *reply)
{
	size_t i;

	for (i = 0; reply[i] != '\0' && i < REPLY_MAX; i++)
		if (reply[i] < 0x20 || reply[i] > 0x7e || reply[i] == '|')
			reply[i] = '?';
	reply[i] = '\0';
}

void
policy_reply(const struct scene *sc, struct verdict *v, const char *wanted)
{
	char whom[NAME_SIZE + 24];
	struct out reply;

	for_whom(sc, v, whom, sizeof(whom));
	switch (v->reason) {
	case REASON_NONE:
		return;
	case REASON_TLS_MISSING:
		out_init(&reply, v->reply, sizeof(v->reply));
		out_text(&reply, "530 5.7.0 Must issue a STARTTLS command first");
		detail(v, wanted, "no TLS");
		break;
	case REASON_TLS_VERSION:
	case REASON_TLS_BITS:
		reply_tls(sc, v, wanted, whom);
		break;
	case REASON_TLS_REFUSED:
		snprintf(v->reply, sizeof(v->reply),
		    "502 5.5.1 STARTTLS is not offered here");
		detail(v, wanted, "");
		break;
	case REASON_SETTINGS:
		snprintf(v->reply, sizeof(v->reply),
		    "451 4.3.5 Mail cannot be checked now, try again later");
		detail(v, "there are no readable settings", "");
		break;
	default:
		reply_cert(v, wanted, whom);
		break;
	}
	reply_clean(v->reply);
}

void
policy_reply_add(struct verdict *v, const char *why)
{
	size_t len = strlen(v->reply);

	if (len < REPLY_MAX)
		snprintf(v->reply + len, sizeof(v->reply) - len, ": %.100s", why);
	reply_clean(v->reply);
}

/* ---- the log line ---- */

/*
 * Appends " key=value", quoted where needed.  Nothing of a pair is written
 * unless its key, the quotes and some of the value fit.
 */
static void
pair(struct out *o, const char *key, const char *value, size_t max)
{
	const unsigned char *p = (const unsigned char *)value;
	size_t key_len = strlen(key), need = key_len + (o->len > 0 ? 2 : 1), len, whole, room;
	unsigned kinds = 0;
	bool quote;

	for (len = whole = 0; p[len] != '\0'; len++) {
		kinds |= 1u << kind_of[p[len]];
		whole += width(p[len]);
	}
	quote = kinds != 1u << PLAIN;		/* an empty value, too */
	need += quote ? 2 : 0;
	if (whole > max)
		whole = max;
	if (out_room(o) < need + (whole < 3 ? whole : 3)) {
		o->size = o->len + 1;	/* later pairs would mislead: end here */
		return;
	}
	room = out_room(o) - need;
	if (o->len > 0)
		out_octets(o, " ", 1);
	out_octets(o, key, key_len);
	out_octets(o, "=\"", quote ? 2 : 1);
	if ((kinds >> ESCAPED & 1) == 0 && whole == len && whole <= room)	/* it stands for itself */
		out_octets(o, value, len);
	else
		out_escaped(o, value, room < max ? room : max);
	if (quote)
		out_octets(o, "\"", 1);
}

static void
pair_text(struct out *o, const char *key, const char *value, size_t max)
{
	if (value != NULL && value[0] != '\0')
		pair(o, key, value, max);
}

/* A value that is escaped already: whole or not at all. */
static void
pair_escaped(struct out *o, const char *key, const char *value)
{
	if (value[0] == '\0' || out_room(o) < strlen(key) + strlen(value) + sizeof(" =\"\"") - 1)
		return;
	out_text(o, " ");
	out_text(o, key);
	out_text(o, "=\"");
	out_text(o, value);
	out_text(o, "\"");
}

static const char *
number(unsigned n, char buf[16])
{
	char *p = buf + 15;

	*p = '\0';
	do {
		*--p = (char)('0' + n % 10);
	} while ((n /= 10) > 0);
	return p;
}

static void
log_rule(const struct settings *s, const struct verdict *v, struct out *o)
{
	char name[NAME_SIZE + 16], buf[16];

	pair(o, "rule", policy_rule_name(s, v->rule, name, sizeof(name)), LONG_MAX);
	if (v->rule != NULL)
		pair(o, "line", number(settings_line(s, v->rule, v->key), buf), SHORT_MAX);
}

static void
log_tls(const struct facts *f, struct out *o)
{
	char buf[16], print[8 + 64];

	pair(o, "tls", tls_text(f->tls, buf), SHORT_MAX);
	if (f->tls == TLS_NONE)
		return;
	pair_text(o, "cipher", f->cipher, SHORT_MAX);
	pair(o, "bits", number(f->bits, buf), SHORT_MAX);
	pair(o, "cert", (size_t)f->cert.status < sizeof(status_words) / sizeof(status_words[0]) ?
	    status_words[f->cert.status] : "unknown", SHORT_MAX);
	if (!f->cert.has_fingerprint || f->cert.status < CERT_UNTRUSTED)
		return;
	snprintf(print, sizeof(print), "SHA256:");
	for (size_t i = 0; i < 32; i++)
		snprintf(print + 7 + 2 * i, 3, "%02x", f->cert.fingerprint[i]);
	pair(o, "fingerprint", print, SHORT_MAX);
}

const char *
policy_log(const struct settings *s, const struct facts *f, const struct verdict *v,
    char *buf, size_t size)
{
	char addr[ADDR_TEXT];
	struct out o;

	out_init(&o, buf, size);
	pair(&o, "decision", action_words[v->action], SHORT_MAX);
	pair(&o, "reason", reason_words[v->reason], SHORT_MAX);
	log_rule(s, v, &o);
	pair_text(&o, "session", f->session, SHORT_MAX);
	pair(&o, "listener", addr_format_listener(&f->listener, addr), SHORT_MAX);
	pair(&o, "client", addr_format_ip(&f->client, addr), SHORT_MAX);
	pair_text(&o, "helo", f->helo, SHORT_MAX);
	log_tls(f, &o);
	if (v->reason != REASON_TLS_REFUSED && f->sender != NULL)
		pair(&o, "from", f->sender[0] != '\0' ? f->sender : "<>", LONG_MAX);
	pair_text(&o, "to", f->recipient, LONG_MAX);
	pair_text(&o, "reply", v->reply, LONG_MAX);
	pair_escaped(&o, "detail", v->detail);
	return buf;
}

const char *
policy_rule_name(const struct settings *s, const struct rule *r, char *buf, size_t size)
{
	const char *name;
	struct out o;

	out_init(&o, buf, size);
	if (s == NULL || r == NULL || r->section >= SEC_MAX) {
		out_text(&o, "none");
		return buf;
	}
	name = settings_name(s, r);
	out_text(&o, section_words[r->section]);
	if (name[0] != '\0') {
		out_text(&o, " ");
		out_text(&o, name);
	}
	return buf;
}
