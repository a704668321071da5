/*
 * SMTP sessions, many at a time, as fast as the server takes them.
 *
 *	smtp_load -p PORT... [-r ROUNDS] [-a ADDRESS]... [-n SESSIONS] [-c AT-A-TIME]
 *	    [-s] [-k PEM] [-f SENDER] [-t RECIPIENT] [-d OCTETS] [-q]
 *
 * The sessions are said again in each round and, of several ports, to each in
 * turn, in another order from round to round.  So servers are compared that never
 * serve at the same time and yet see the same good and bad moments of a machine.
 *
 * Of several addresses the one with the fewest open sessions gets the next: no
 * more may knock at once than the server's backlog holds.  A connection beyond it
 * may be lost in silence, with SYN cookies for good, for the server speaks first.
 *
 * Each session is one transaction up to RCPT TO, or with a message of OCTETS,
 * then QUIT; the next command follows the reply to the last.  -q: its end is when
 * QUIT is said, for Exim in clear keeps the answer to that for 200 ms (TCP_CORK).  -s: by STARTTLS,
 * a full handshake each time; -k: with the certificate and key in PEM.  Every
 * %u in SENDER and RECIPIENT is the session's number from 0, counted for each port.
 *
 * Prints key=value lines, all rounds and ports together, after `round=PORT SECONDS`
 * for each port in each round if there is more than one.  A refusal of MAIL or RCPT is counted, anything else
 * that a server should not say fails the session, and the exit code is 1.
 *
 * What comes is acknowledged at once: smtpd holds an answer back until the ticket
 * that it sent before is (Nagle), and 40 ms of that would be all that is measured.
 */
#include <sys/epoll.h>
#include <sys/socket.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include "load.h"

#define PATIENCE_MS 30000	/* without a word from the server */
#define EVENTS 64
#define ADDRESSES 32
#define PORTS 8
#define COMPLAINTS 5

enum step { CONNECT, GREET, HELLO, STARTTLS, HANDSHAKE, HELLO_TLS, MAIL, RCPT, DATA, BODY, BYE };

/* What the server should answer in each step. */
static const int wanted[] = {
	[GREET] = 220, [HELLO] = 250, [STARTTLS] = 220, [HELLO_TLS] = 250, [MAIL] = 250,
	[RCPT] = 250, [DATA] = 354, [BODY] = 250, [BYE] = 221
};

struct server {
	struct addrinfo *at;
	unsigned open;
};

struct conn {
	int fd;
	struct server *server;
	SSL *ssl;
	enum step step;
	unsigned number;
	bool refused, want_out;
	double began;
	size_t have;			/* in `in` */
	const char *out;		/* left to be sent */
	size_t out_len;
	char in[4096], command[1024];
};

static const char *address[ADDRESSES] = { "127.0.0.1" }, *port[PORTS], *pem;
static const char *sender = "someone@partner.example", *recipient = "someone@example.org";
static unsigned sessions = 1000, width = 5, rounds = 1;
static size_t octets;
static bool starttls, hasty;
static struct server servers[PORTS][ADDRESSES], *at_port;	/* those of the port whose turn it is */
static unsigned addresses, ports;
static SSL_CTX *ctx;
static char *body;
static size_t body_len;
static float *took;			/* ms */
static unsigned begun, ended, first_number;	/* of this round at this port */
static unsigned done, refused, failed, open_now;
static int ep;

/* ---- one session ---- */

static void
finish(struct conn *c, const char *trouble)
{
	if (trouble != NULL && failed++ < COMPLAINTS)
		warnx("session %u, step %d: %s", c->number, (int)c->step, trouble);
	if (trouble == NULL) {
		took[done++] = (float)((seconds() - c->began) * 1e3);
		refused += c->refused;
	}
	SSL_free(c->ssl);
	close(c->fd);
	c->server->open--;
	free(c);
	ended++;
	open_now--;
}

/* Waits for the server to say something, and with `out` for it to take something. */
static void
await(struct conn *c, bool out, int op)
{
	struct epoll_event e = { .events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c };

	if (op == EPOLL_CTL_MOD && c->want_out == out)
		return;
	c->want_out = out;
	if (epoll_ctl(ep, op, c->fd, &e) == -1)
		err(1, "epoll_ctl");
}

static void
begin(void)
{
	struct conn *c = calloc(1, sizeof(*c));
	const struct addrinfo *at;
	int one = 1;

	if (c == NULL)
		err(1, "calloc");
	c->server = at_port;
	for (unsigned i = 1; i < addresses; i++)
		if (at_port[i].open < c->server->open)
			c->server = &at_port[i];
	c->server->open++;
	at = c->server->at;
	c->number = first_number + begun++;
	c->began = seconds();
	c->fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd == -1)
		err(1, "socket");
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, at->ai_addr, at->ai_addrlen) == -1 && errno != EINPROGRESS)
		err(1, "connect");
	open_now++;
	await(c, true, EPOLL_CTL_ADD);
}

/* The text with each %u replaced; what does not fit is cut. */
static const char *
numbered(const char *text, unsigned number, char *buf, size_t size)
{
	size_t n = 0;
	int w;

	for (; *text != '\0' && n + 1 < size; text++) {
		if (text[0] != '%' || text[1] != 'u') {
			buf[n++] = *text;
			continue;
		}
		w = snprintf(buf + n, size - n, "%u", number);
		n = w < 0 || (size_t)w >= size - n ? size - 1 : n + (size_t)w;
		text++;
	}
	buf[n] = '\0';
	return buf;
}

/* What is said in a step. */
static void
say(struct conn *c, enum step step)
{
	char mailbox[400];
	int n = 0;

	c->step = step;
	c->out = c->command;
	switch (step) {
	case HELLO:
	case HELLO_TLS:
		n = snprintf(c->command, sizeof(c->command), "EHLO mail.partner.example\r\n");
		break;
	case STARTTLS:
		n = snprintf(c->command, sizeof(c->command), "STARTTLS\r\n");
		break;
	case MAIL:
		n = snprintf(c->command, sizeof(c->command), "MAIL FROM:<%s>\r\n",
		    numbered(sender, c->number, mailbox, sizeof(mailbox)));
		break;
	case RCPT:
		n = snprintf(c->command, sizeof(c->command), "RCPT TO:<%s>\r\n",
		    numbered(recipient, c->number, mailbox, sizeof(mailbox)));
		break;
	case DATA:
		n = snprintf(c->command, sizeof(c->command), "DATA\r\n");
		break;
	case BODY:
		c->out = body;
		n = (int)body_len;
		break;
	default:
		n = snprintf(c->command, sizeof(c->command), "QUIT\r\n");
	}
	c->out_len = (size_t)n;
}

/* The whole reply has come; false: the session is over. */
static bool
reply(struct conn *c, int code)
{
	char trouble[64];

	if ((c->step == MAIL || c->step == RCPT) && code >= 400) {
		c->refused = true;
		say(c, BYE);
		return true;
	}
	if (code != wanted[c->step]) {
		(void)snprintf(trouble, sizeof(trouble), "the server says %d, not %d", code, wanted[c->step]);
		finish(c, trouble);
		return false;
	}
	switch (c->step) {
	case HELLO:
		say(c, starttls ? STARTTLS : MAIL);
		return true;
	case STARTTLS:
		c->step = HANDSHAKE;
		c->ssl = SSL_new(ctx);
		if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1)
			errx(1, "out of memory");
		return true;
	case RCPT:
		say(c, octets > 0 ? DATA : BYE);
		return true;
	case BYE:
		finish(c, NULL);
		return false;
	default:
		say(c, c->step + 1);
		return true;
	}
}

/* The lines that are there; false: the session is over. */
static bool
hear(struct conn *c)
{
	char *line = c->in, *nl;
	int code;

	while ((nl = memchr(line, '\n', c->have)) != NULL) {
		c->have -= (size_t)(nl + 1 - line);
		if (nl - line >= 4 && line[3] != '-') {
			code = (int)strtol(line, NULL, 10);
			if (!reply(c, code))
				return false;
		}
		line = nl + 1;
	}
	if (c->have == sizeof(c->in)) {
		finish(c, "a line is too long");
		return false;
	}
	memmove(c->in, line, c->have);
	return true;
}

/* ---- input and output ---- */

/* The octets moved; 0: not now, *out tells what for; -1: the session is over. */
static ssize_t
moved(struct conn *c, int n, bool *out)
{
	int why;

	if (n > 0)
		return n;
	if (c->ssl == NULL) {
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return 0;
		finish(c, n == 0 ? "the server hangs up" : strerror(errno));
		return -1;
	}
	why = SSL_get_error(c->ssl, n);
	if (why == SSL_ERROR_WANT_WRITE)
		*out = true;
	if (why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ)
		return 0;
	finish(c, why == SSL_ERROR_SSL ? ERR_reason_error_string(ERR_get_error()) : "the server hangs up");
	ERR_clear_error();
	return -1;
}

/* As far as it goes now. */
static void
go_on(struct conn *c)
{
	bool out = false;
	ssize_t n;
	int len;

	for (;;) {
		while (c->out_len > 0) {
			len = (int)c->out_len;
			n = moved(c, c->ssl != NULL ? SSL_write(c->ssl, c->out, len) :
			    (int)send(c->fd, c->out, c->out_len, MSG_NOSIGNAL), &out);
			if (n < 0)
				return;
			if (n == 0) {
				await(c, true, EPOLL_CTL_MOD);
				return;
			}
			c->out += n;
			c->out_len -= (size_t)n;
		}
		if (c->step == BYE && hasty) {
			finish(c, NULL);
			return;
		}
		if (c->step == HANDSHAKE) {
			n = moved(c, SSL_connect(c->ssl), &out);
			if (n > 0)
				say(c, HELLO_TLS);
		} else {
			len = (int)(sizeof(c->in) - c->have);
			n = moved(c, c->ssl != NULL ? SSL_read(c->ssl, c->in + c->have, len) :
			    (int)recv(c->fd, c->in + c->have, (size_t)len, 0), &out);
			if (n > 0) {
				c->have += (size_t)n;
				if (!hear(c))
					return;
			}
		}
		if (n < 0)
			return;
		if (n == 0) {
			(void)setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &(int){ 1 }, sizeof(int));
			await(c, out, EPOLL_CTL_MOD);
			return;
		}
	}
}

static void
event(struct conn *c)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (c->step == CONNECT) {
		if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1 || error != 0) {
			finish(c, strerror(error));
			return;
		}
		c->step = GREET;
		await(c, false, EPOLL_CTL_MOD);
	}
	go_on(c);
}

/* One round at one port. */
static void
play(unsigned p)
{
	struct epoll_event e[EVENTS];
	int n;

	at_port = servers[p];
	begun = ended = 0;
	while (ended < sessions) {
		while (begun < sessions && open_now < width)
			begin();
		n = epoll_wait(ep, e, EVENTS, PATIENCE_MS);
		if (n == 0)
			errx(1, "the server has said nothing for %d s, %u sessions wait",
			    PATIENCE_MS / 1000, open_now);
		for (int i = 0; i < n; i++)
			event(e[i].data.ptr);
	}
}

/* Returns the seconds that it took in all. */
static double
run(void)
{
	double from, took_s, all = 0;
	unsigned p;

	for (unsigned r = 0; r < rounds; r++) {
		first_number = r * sessions;
		for (unsigned i = 0; i < ports; i++) {
			p = (r / ports % 2 == 0 ? r + i : r + ports - i) % ports;
			from = seconds();
			play(p);
			took_s = seconds() - from;
			all += took_s;
			if (rounds * ports > 1)
				printf("round=%s %.6f\n", port[p], took_s);
		}
	}
	return all;
}

/* ---- setting up ---- */

static void
make_body(void)
{
	static const char head[] = "Subject: load\r\n\r\n", end[] = "\r\n.\r\n";
	char *p;

	body_len = sizeof(head) - 1 + octets + sizeof(end) - 1;
	if ((body = malloc(body_len)) == NULL)
		err(1, "malloc");
	p = mempcpy(body, head, sizeof(head) - 1);
	for (size_t i = 0; i < octets; i++)
		*p++ = i % 72 < 70 ? 'x' : "\r\n"[i % 72 - 70];
	memcpy(p, end, sizeof(end) - 1);
}

static void
set_up(void)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	int rc;

	addresses += addresses == 0;
	for (unsigned p = 0; p < ports; p++)
		for (unsigned i = 0; i < addresses; i++)
			if ((rc = getaddrinfo(address[i], port[p], &hints, &servers[p][i].at)) != 0)
				errx(1, "%s port %s: %s", address[i], port[p], gai_strerror(rc));
	if ((ep = epoll_create1(EPOLL_CLOEXEC)) == -1)
		err(1, "epoll_create1");
	if ((took = calloc((size_t)sessions * rounds * ports, sizeof(*took))) == NULL)
		err(1, "calloc");
	if (octets > 0)
		make_body();
	if ((ctx = SSL_CTX_new(TLS_client_method())) == NULL)
		errx(1, "no TLS here");
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (pem != NULL && (SSL_CTX_use_certificate_chain_file(ctx, pem) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, pem, SSL_FILETYPE_PEM) != 1))
		errx(1, "%s: no certificate with its key", pem);
}

int
main(int argc, char **argv)
{
	double all;
	bool usage = false;
	int o;

	while ((o = getopt(argc, argv, "a:p:r:n:c:sk:f:t:d:q")) != -1)
		switch (o) {
		case 'a':
			if (addresses == ADDRESSES)
				errx(2, "%u addresses at most", ADDRESSES);
			address[addresses++] = optarg;
			break;
		case 'p':
			if (ports == PORTS)
				errx(2, "%u ports at most", PORTS);
			port[ports++] = optarg;
			break;
		case 'r': rounds = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'n': sessions = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'c': width = (unsigned)strtoul(optarg, NULL, 10); break;
		case 's': starttls = true; break;
		case 'q': hasty = true; break;
		case 'k': pem = optarg; break;
		case 'f': sender = optarg; break;
		case 't': recipient = optarg; break;
		case 'd': octets = strtoul(optarg, NULL, 10); break;
		default: usage = true; break;
		}
	if (usage || ports == 0 || optind != argc || sessions == 0 || width == 0 || rounds == 0)
		errx(2, "usage: smtp_load -p PORT... [-r ROUNDS] [-a ADDRESS]... [-n SESSIONS] [-c AT-A-TIME] "
		    "[-s] [-k PEM] [-f SENDER] [-t RECIPIENT] [-d OCTETS] [-q]");
	set_up();
	all = run();
	printf("sessions=%u\nrefused=%u\nfailed=%u\nseconds=%.3f\nsessions_per_second=%.1f\n",
	    done + failed, refused, failed, all, (double)done / all);
	times_print(took, done);
	return failed != 0;
}
