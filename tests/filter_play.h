/*
 * The sessions that filter_load plays: what smtpd says of them to a filter, and
 * where each stands.  The includer takes the answers: pops `asked`, pushes to
 * `ready`.
 */
#ifndef TLSWARD_TESTS_FILTER_PLAY_H
#define TLSWARD_TESTS_FILTER_PLAY_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "load.h"

#define OUT_SIZE (512 * 1024)
#define TURN_MAX 2048			/* octets that one turn of a session adds */
#define ID_SIZE 16
#define ASKS_MAX 3			/* requests of a session */
#define REPORT "report|0.7|1795483903.581939|smtp-in|"
#define FILTER "filter|0.7|1795483903.582117|smtp-in|"

enum step { CONNECT, STARTTLS, MAIL, RCPT, DISCONNECT };

struct smtp {
	char id[ID_SIZE], token[ID_SIZE];
	enum step step;
	bool tls;
	unsigned domain, peer;
	bool refused;			/* what the answer waited for should be */
	double asked;
};

static unsigned sessions = 1000, width = 100, tls_percent = 70, domains = 10, peers, rate;
static struct smtp *slot;
static unsigned *ready, ready_head, ready_n;	/* slots with something to say */
static unsigned *idle, idle_head, idle_n;	/* slots without a session */
static unsigned *asked, asked_head, asked_n;	/* slots that wait, in order of asking */
static unsigned begun, ended;
static uint64_t requests;
static char out[OUT_SIZE];
static size_t out_start, out_end;

static void
push(unsigned *ring, unsigned head, unsigned *n, unsigned i)
{
	unsigned at = head + (*n)++;

	ring[at < width ? at : at - width] = i;
}

static unsigned
pop(unsigned *ring, unsigned *head, unsigned *n)
{
	unsigned i = ring[*head];

	*head = *head + 1 < width ? *head + 1 : 0;
	(*n)--;
	return i;
}

/* ---- lines; without printf(3), for the player must not be what is measured ---- */

static inline void
say(const char *text, size_t len)
{
	memcpy(out + out_end, text, len);
	out_end += len;
}
#define SAY(literal) say(literal, sizeof(literal) - 1)

static void
say_number(unsigned n)
{
	char buf[10], *p = buf + sizeof(buf);

	do {
		*--p = (char)('0' + n % 10);
	} while ((n /= 10) > 0);
	say(p, (size_t)(buf + sizeof(buf) - p));
}

static void
hex(uint64_t v, char buf[ID_SIZE])
{
	for (unsigned i = 0; i < ID_SIZE; i++)
		buf[i] = "0123456789abcdef"[v >> (60 - 4 * i) & 15];
}

/* The head of a request; its parameter is said next. */
static void
ask(unsigned i, const char *phase, size_t len, bool refused)
{
	struct smtp *s = &slot[i];

	hex(0x2d04797379171e76 + requests, s->token);
	s->refused = refused;
	SAY(FILTER);
	say(phase, len);
	say(s->id, ID_SIZE);
	SAY("|");
	say(s->token, ID_SIZE);
	SAY("|");
	if (rate > 0)
		s->asked = seconds();
	push(asked, asked_head, &asked_n, i);
	requests++;
}
#define ASK(i, phase, refused) ask(i, phase "|", sizeof(phase), refused)

static void
begin(unsigned i)
{
	struct smtp *s = &slot[i];

	/* smtpd's: a counter over random bits */
	hex((uint64_t)(0x4b046be7 + begun) << 32 | (uint32_t)(begun * 2654435761u), s->id);
	s->tls = begun * 37 % 100 < tls_percent;
	s->domain = begun * 7919 % domains;
	s->peer = peers > 0 ? begun * 104729 % peers : 0;
	begun++;
	SAY(REPORT "link-connect|");
	say(s->id, ID_SIZE);
	SAY("|mail.partner.example|pass|192.0.2.");
	say_number(begun % 250 + 1);
	SAY(":");
	say_number(1024 + begun % 60000);
	SAY("|198.51.100.7:25\n" REPORT "link-greeting|");
	say(s->id, ID_SIZE);
	SAY("|mx.example.org\n" REPORT "link-identify|");
	say(s->id, ID_SIZE);
	SAY("|EHLO|mail.partner.example\n");
	s->step = s->tls ? STARTTLS : MAIL;
}

static void
mail(unsigned i)
{
	struct smtp *s = &slot[i];

	if (s->tls) {
		SAY(REPORT "link-tls|");
		say(s->id, ID_SIZE);
		SAY("|TLSv1.3:TLS_AES_256_GCM_SHA384:256\n" REPORT "link-identify|");
		say(s->id, ID_SIZE);
		SAY("|EHLO|mail.partner.example\n");
	}
	ASK(i, "mail-from", false);
	SAY("someone@p");
	if (peers > 0)
		say_number(s->peer);
	else
		SAY("artner");
	SAY(".example\n");
}

/* The lines up to the next request of the session, or up to its end. */
static void
turn(unsigned i)
{
	struct smtp *s = &slot[i];

	if (s->step == CONNECT)
		begin(i);
	switch (s->step) {
	case STARTTLS:
		ASK(i, "starttls", false);
		SAY("\n");
		s->step = MAIL;
		return;
	case MAIL:
		mail(i);
		s->step = RCPT;
		return;
	case RCPT:
		ASK(i, "rcpt-to", !s->tls && s->domain % 2 == 0);
		SAY("user@d");
		say_number(s->domain);
		SAY(".example\n");
		s->step = DISCONNECT;
		return;
	default:
		SAY(REPORT "link-disconnect|");
		say(s->id, ID_SIZE);
		SAY("\n");
		s->step = CONNECT;
		ended++;
		push(idle, idle_head, &idle_n, i);
	}
}

#endif
