/* See probe.h and probe_int.h. */
#include <netinet/in.h>
#include <sys/socket.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe_int.h"

#define OCTETS_MAX (512 * 1024)	/* of the wire, in one conversation */
#define QUIET_MS 2000		/* without a greeting: perhaps it waits for TLS */
#define ROUNDS 8		/* reads in one step */
#define SMTPS_PORT 465

int64_t
probe_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- addresses ---- */

static socklen_t
to_sockaddr(const struct addr *a, struct sockaddr_storage *ss)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	if (a->family == ADDR_IPV6) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(a->port);
		memcpy(&v6->sin6_addr, a->ip, 16);
		return sizeof(*v6);
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(a->port);
	memcpy(&v4->sin_addr, a->ip, 4);
	return sizeof(*v4);
}

/* Our end of the connection. */
static void
own_address(int fd, struct addr *a)
{
	struct sockaddr_storage ss;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&ss;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&ss;
	socklen_t len = sizeof(ss);

	memset(a, 0, sizeof(*a));
	if (getsockname(fd, (struct sockaddr *)&ss, &len) == -1)
		return;
	if (ss.ss_family == AF_INET) {
		a->family = ADDR_IPV4;
		a->prefix = 32;
		a->port = ntohs(v4->sin_port);
		memcpy(a->ip, &v4->sin_addr, 4);
	} else if (ss.ss_family == AF_INET6) {
		a->family = ADDR_IPV6;
		a->prefix = 128;
		a->port = ntohs(v6->sin6_port);
		memcpy(a->ip, &v6->sin6_addr, 16);
	}
}

static void
addresses(struct probe *p)
{
	const struct addr *l = &p->target.listener;
	struct addr v4 = { .family = ADDR_IPV4, .prefix = 32, .port = l->port,
	    .ip = { 127, 0, 0, 1 } };
	struct addr v6 = { .family = ADDR_IPV6, .prefix = 128, .port = l->port,
	    .ip = { [15] = 1 } };

	if (l->family == ADDR_ANY) {
		p->to[0] = v4;
		p->to[1] = v6;
		p->nto = 2;
	} else if (l->family == ADDR_IPV4 || l->family == ADDR_IPV6) {
		p->to[0] = *l;
		p->nto = 1;
	}
}

/* ---- connecting ---- */

void
probe_hang_up(struct probe *p)
{
	if (p->fd != -1)
		close(p->fd);
	p->fd = -1;
	probe_tls_free(p->tls);
	p->tls = NULL;
	p->nout = p->len = 0;
}

static void
connected(struct probe *p)
{
	bool at_once = p->target.speaks == PROBE_SMTPS ||
	    (p->target.speaks == PROBE_GUESS && p->target.listener.port == SMTPS_PORT);

	own_address(p->fd, &p->result.from);
	p->result.to = p->to[p->at];
	p->state = GREETING;
	if (p->patient)
		return;
	if (at_once)
		probe_begin_tls(p, true);
	else if (p->target.speaks == PROBE_GUESS)
		p->until = probe_now() + (p->timeout_ms / 4 < QUIET_MS ? p->timeout_ms / 4 : QUIET_MS);
}

/* Connects to the next address that can be tried. */
void
probe_dial(struct probe *p)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int e = 0;

	for (; p->at < p->nto; p->at++) {
		len = to_sockaddr(&p->to[p->at], &ss);
		p->state = CONNECT;
		p->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (p->fd != -1) {
			if (connect(p->fd, (struct sockaddr *)&ss, len) == 0) {
				connected(p);
				return;
			}
			if (errno == EINPROGRESS)
				return;
		}
		e = errno;
		probe_hang_up(p);
	}
	if (p->nto == 0) {
		probe_fail(p, "there is no address to connect to; give one, as 198.51.100.7:25");
		return;
	}
	p->at = p->nto - 1;
	probe_fail_connect(p, e);
}

/* It took our guess at TLS for SMTP: it is a server that greets late. */
void
probe_again(struct probe *p)
{
	probe_hang_up(p);
	p->result.smtps = false;
	p->patient = true;
	p->heard = false;
	p->octets = 0;
	p->until = 0;
	probe_dial(p);
}

static void
finish_connect(struct probe *p)
{
	struct pollfd fd = { .fd = p->fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int e = 0;

	if (poll(&fd, 1, 0) != 1)
		return;
	if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &e, &len) == -1)
		e = errno;
	if (e == 0) {
		connected(p);
		return;
	}
	if (p->at + 1 < p->nto) {
		probe_hang_up(p);
		p->at++;
		probe_dial(p);
		return;
	}
	probe_fail_connect(p, e);
}

/* ---- the wire ---- */

static void
read_tls(struct probe *p)
{
	char text[2048];
	int n;

	if (p->state == HANDSHAKE) {
		if ((n = probe_tls_handshake(p->tls)) == -1)
			probe_lost(p);
		if (n != 1)
			return;
		p->secured = true;
		probe_tls_result(p->tls, &p->result);
		if (p->result.smtps)
			p->state = GREETING;
		else
			probe_ehlo(p);
	}
	while (p->state != DONE && (n = probe_tls_read(p->tls, text, sizeof(text))) != 0) {
		if (n > 0) {
			probe_text(p, text, (size_t)n);
		} else {
			probe_lost(p);
			return;
		}
	}
}

static void
take_wire(struct probe *p, const char *wire, size_t n)
{
	bool first = !p->heard;

	p->heard = true;
	p->octets += n;
	if (p->octets > OCTETS_MAX) {
		probe_fail(p, "it sends without an end; see what answers there");
		return;
	}
	/* RFC 8446 5.1: a record that answers us is of type alert or handshake. */
	if (first && p->state == HANDSHAKE && p->result.smtps && !p->patient && wire[0] != 0x15 &&
	    wire[0] != 0x16) {
		probe_again(p);
		return;
	}
	if (first && p->state == GREETING)
		p->until = 0;
	if (p->tls == NULL) {
		probe_text(p, wire, n);
		return;
	}
	if (first && p->result.smtps)
		p->result.reachable = true;
	if (!probe_tls_feed(p->tls, wire, n))
		probe_fail(p, "out of memory");
	else
		read_tls(p);
}

/* Sends what is due and can be; false: the connection is gone. */
static bool
flush_out(struct probe *p)
{
	ssize_t n;

	for (;;) {
		if (p->tls != NULL && p->nout < sizeof(p->out))
			p->nout += probe_tls_drain(p->tls, p->out + p->nout, sizeof(p->out) - p->nout);
		if (p->nout == 0)
			return true;
		n = send(p->fd, p->out, p->nout, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == -1)
			return errno == EAGAIN || errno == EINTR;
		p->nout -= (size_t)n;
		memmove(p->out, p->out + n, p->nout);
	}
}

static void
exchange(struct probe *p)
{
	char wire[4096];
	ssize_t n;
	bool open;

	for (int i = 0; i < ROUNDS && p->state > CONNECT && p->state != DONE; i++) {
		/* A peer that is gone may have said why: that is read first. */
		open = flush_out(p);
		n = recv(p->fd, wire, sizeof(wire), MSG_DONTWAIT);
		if (n > 0) {
			take_wire(p, wire, (size_t)n);
			continue;
		}
		if (n == -1 && (errno == EAGAIN || errno == EINTR) && open)
			break;
		probe_lost(p);
	}
	if (p->state > CONNECT && p->state != DONE)
		(void)flush_out(p);
}

/* ---- the outside ---- */

struct probe *
probe_start(const struct probe_target *target, int timeout_ms)
{
	struct probe *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->target = *target;
	p->target.sni[sizeof(p->target.sni) - 1] = '\0';
	p->fd = -1;
	p->timeout_ms = timeout_ms > 0 ? timeout_ms : PROBE_TIMEOUT_MS;
	p->started = probe_now();
	p->deadline = p->started + p->timeout_ms;
	addresses(p);
	probe_dial(p);
	return p;
}

void
probe_free(struct probe *p)
{
	if (p == NULL)
		return;
	probe_hang_up(p);
	free(p);
}

int
probe_fd(const struct probe *p)
{
	return p->fd;
}

short
probe_events(const struct probe *p)
{
	if (p->state == CONNECT)
		return POLLOUT;
	return p->nout > 0 ? POLLIN | POLLOUT : POLLIN;
}

int
probe_wait(const struct probe *p)
{
	int64_t until = p->until != 0 && p->until < p->deadline ? p->until : p->deadline;
	int64_t left = until - probe_now();

	return p->state == DONE || left <= 0 ? 0 : (int)left;
}

bool
probe_step(struct probe *p)
{
	if (p->state == CONNECT)
		finish_connect(p);
	if (p->state > CONNECT && p->state != DONE)
		exchange(p);
	if (p->state == DONE)
		return true;
	if (probe_now() >= p->deadline) {
		if (p->state == QUIT)
			probe_finish(p);
		else
			probe_fail_timeout(p);
	} else if (p->until != 0 && probe_now() >= p->until) {
		if (p->state == QUIT) {
			probe_finish(p);
		} else if (p->state == GREETING && !p->heard) {
			p->guessed = true;
			probe_begin_tls(p, true);
			if (p->state == HANDSHAKE)
				(void)flush_out(p);
		}
	}
	return p->state == DONE;
}

const struct probe_result *
probe_result(const struct probe *p)
{
	return &p->result;
}

bool
probe_run(const struct probe_target *target, int timeout_ms, struct probe_result *result)
{
	struct probe *p = probe_start(target, timeout_ms);
	struct pollfd fd;

	if (p == NULL) {
		memset(result, 0, sizeof(*result));
		snprintf(result->error, sizeof(result->error), "out of memory");
		return false;
	}
	while (!probe_step(p)) {
		fd = (struct pollfd){ .fd = probe_fd(p), .events = probe_events(p) };
		(void)poll(&fd, 1, probe_wait(p));
	}
	*result = *probe_result(p);
	probe_free(p);
	return true;
}
