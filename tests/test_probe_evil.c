/*
 * Servers that mean ill, or are broken: the probe ends in its time, with a
 * sentence, whatever they do.  Each is a child process on a port of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "probe.h"
#include "probe_certs.h"

#define SLACK_MS 1500		/* a busy machine, with sanitizers */

static struct certs certs, huge, many;

struct server {
	pid_t pid;
	uint16_t port;
};

struct evil {
	const char *name;
	void (*serve)(int fd);
	const char *error;		/* part of the sentence; "": none */
	int timeout_ms;
	bool reachable, tls;
};

/* ---- the servers' side ---- */

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
pause_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

static bool
say_octets(int fd, const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;

	while (len > 0) {
		if ((n = send(fd, p, len, MSG_NOSIGNAL)) <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static bool
say(int fd, const char *text)
{
	return say_octets(fd, text, strlen(text));
}

/* Takes what comes, up to a newline at its end. */
static void
hear(int fd)
{
	char buf[4096];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0 && buf[n - 1] != '\n')
		;
}

/* Until the other side has closed. */
static void
await_end(int fd)
{
	char buf[4096];

	while (recv(fd, buf, sizeof(buf), 0) > 0)
		;
}

static void
up_to_starttls(int fd)
{
	say(fd, "220 mx.example.org ESMTP OpenSMTPD\r\n");
	hear(fd);
	say(fd, "250-mx.example.org\r\n250-8BITMIME\r\n250 STARTTLS\r\n");
	hear(fd);
}

static void
serve_silence(int fd)
{
	await_end(fd);
}

static void
serve_close(int fd)
{
	(void)fd;
}

static void
serve_reset(int fd)
{
	struct linger l = { 1, 0 };

	say(fd, "220 x\r\n");
	hear(fd);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

static void
serve_garbage(int fd)
{
	unsigned char noise[65536];

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (unsigned char)(i * 131 + (i >> 8) * 7);
	while (say_octets(fd, noise, sizeof(noise)))
		;
}

static void
serve_nul(int fd)
{
	say_octets(fd, "220\0\0 x\r\n\0\0\0\r\n", 15);
	await_end(fd);
}

static void
serve_http(int fd)
{
	say(fd, "HTTP/1.1 400 Bad Request\x1b[2J\r\n\r\n");
	await_end(fd);
}

static void
serve_endless_greeting(int fd)
{
	while (say(fd, "220-welcome\r\n"))
		;
}

static void
serve_endless_line(int fd)
{
	while (say(fd, "220 x"))
		;
}

static void
serve_drip(int fd)
{
	while (say(fd, "2"))
		pause_ms(50);
}

static void
serve_drip_lines(int fd)
{
	while (say(fd, "220-x\r\n"))
		pause_ms(20);
}

static void
serve_busy(int fd)
{
	say(fd, "421 too many connections\r\n");
}

static void
serve_no_ehlo(int fd)
{
	say(fd, "220 x\r\n");
	hear(fd);
	say(fd, "502 what?\r\n");
	await_end(fd);
}

static void
serve_endless_ehlo(int fd)
{
	say(fd, "220 x\r\n");
	hear(fd);
	while (say(fd, "250-STARTTLS\r\n"))
		;
}

static void
serve_long_lines(int fd)
{
	char line[2001] = "250-";

	memset(line + 4, 'x', sizeof(line) - 7);
	memcpy(line + sizeof(line) - 3, "\r\n", 3);
	say(fd, "220 x\r\n");
	hear(fd);
	while (say(fd, line))
		;
}

/* Says all of its lines ahead, more than one read takes, and leaves. */
static void
serve_ahead(int fd)
{
	say(fd, "220 x\r\n");
	for (int i = 0; i < 100; i++)
		say(fd, "250-and this, which is said before anybody has asked\r\n");
	say(fd, "250 STARTTLS\r\n");
}

static void
serve_refused(int fd)
{
	up_to_starttls(fd);
	say(fd, "454 not \x07today\r\n");
	hear(fd);
	say(fd, "221 bye\r\n");
}

static void
serve_injected(int fd)
{
	up_to_starttls(fd);
	say(fd, "220 go\r\n250 injected\r\n");
	await_end(fd);
}

static void
serve_tls_garbage(int fd)
{
	char hello[64];

	up_to_starttls(fd);
	say(fd, "220 go\r\n");
	(void)recv(fd, hello, sizeof(hello), 0);
	serve_garbage(fd);
}

static void
serve_tls_silence(int fd)
{
	up_to_starttls(fd);
	say(fd, "220 go\r\n");
	await_end(fd);
}

/* After QUIT: neither an answer nor an end. */
static void
serve_no_quit(int fd)
{
	say(fd, "220 x\r\n");
	hear(fd);
	say(fd, "250 x\r\n");
	await_end(fd);
}

/* Greets after the probe has lost its patience, and is annoyed by what came. */
static void
serve_late(int fd)
{
	pause_ms(700);
	if (!say(fd, "220 late.example.org ESMTP Exim 4.96\r\n"))
		return;
	hear(fd);
	if (say(fd, "250-late.example.org\r\n250 starttls\r\n"))
		hear(fd);
	if (say(fd, "454 no\r\n"))
		hear(fd);
	say(fd, "221 bye\r\n");
}

/* ---- with TLS ---- */

static SSL_CTX *
server_context(const struct certs *c)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL || SSL_CTX_use_certificate(ctx, c->x[0]) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, c->key) != 1)
		_exit(1);
	for (size_t i = 1; i < c->n; i++)
		SSL_CTX_add1_chain_cert(ctx, c->x[i]);
	return ctx;
}

static SSL *
secure(int fd, const struct certs *c, int version, int verify)
{
	SSL_CTX *ctx = server_context(c);
	SSL *ssl;

	SSL_CTX_set_max_proto_version(ctx, version);
	SSL_CTX_set_verify(ctx, verify, NULL);
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	return SSL_accept(ssl) == 1 ? ssl : NULL;
}

static void
tls_session(int fd, SSL *ssl)
{
	char buf[512];

	if (ssl != NULL && SSL_read(ssl, buf, sizeof(buf)) > 0 &&
	    SSL_write(ssl, "250 x\r\n", 7) > 0 && SSL_read(ssl, buf, sizeof(buf)) > 0)
		SSL_write(ssl, "221 bye\r\n", 9);
	(void)fd;
}

static void
starttls_with(int fd, const struct certs *c, int version, int verify)
{
	up_to_starttls(fd);
	say(fd, "220 go\r\n");
	tls_session(fd, secure(fd, c, version, verify));
}

static void serve_good(int fd) { starttls_with(fd, &certs, 0, SSL_VERIFY_NONE); }
static void serve_huge(int fd) { starttls_with(fd, &huge, 0, SSL_VERIFY_NONE); }
static void serve_many(int fd) { starttls_with(fd, &many, 0, SSL_VERIFY_NONE); }
static void serve_ask_12(int fd) { starttls_with(fd, &certs, TLS1_2_VERSION, SSL_VERIFY_PEER); }
static void serve_ask_13(int fd) { starttls_with(fd, &certs, TLS1_3_VERSION, SSL_VERIFY_PEER); }
#define INSIST (SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT)
static void serve_insist_12(int fd) { starttls_with(fd, &certs, TLS1_2_VERSION, INSIST); }
static void serve_insist_13(int fd) { starttls_with(fd, &certs, TLS1_3_VERSION, INSIST); }

static void
serve_tls_endless(int fd)
{
	SSL *ssl;

	up_to_starttls(fd);
	say(fd, "220 go\r\n");
	if ((ssl = secure(fd, &certs, 0, SSL_VERIFY_NONE)) != NULL)
		while (SSL_write(ssl, "250-and more of it\r\n", 20) > 0)
			;
}

/* What TLS would send is in out; what it gets comes from in. */
struct middle {
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *in, *out;
};

/* The first flight of a server, kept back: its octets. */
static size_t
first_flight(int fd, struct middle *m, unsigned char *flight, size_t size)
{
	unsigned char buf[8192];
	ssize_t n;
	int len;

	up_to_starttls(fd);
	say(fd, "220 go\r\n");
	m->ctx = server_context(&certs);
	m->ssl = SSL_new(m->ctx);
	m->in = BIO_new(BIO_s_mem());
	m->out = BIO_new(BIO_s_mem());
	SSL_set_bio(m->ssl, m->in, m->out);
	SSL_set_accept_state(m->ssl);
	while (BIO_ctrl_pending(m->out) == 0) {
		if ((n = recv(fd, buf, sizeof(buf), 0)) <= 0)
			return 0;
		BIO_write(m->in, buf, (int)n);
		SSL_do_handshake(m->ssl);
	}
	len = BIO_read(m->out, flight, (int)size);
	return len > 0 ? (size_t)len : 0;
}

static unsigned variant;	/* what a server of the two below does; set before the fork */

static void
serve_half_handshake(int fd)
{
	unsigned char flight[16384];
	struct middle m;
	size_t n = first_flight(fd, &m, flight, sizeof(flight));

	say_octets(fd, flight, n * variant / 20);
}

static void
serve_flipped(int fd)
{
	unsigned char flight[16384];
	struct middle m;
	size_t n = first_flight(fd, &m, flight, sizeof(flight));
	uint32_t x = variant * 2654435761u + 1;

	for (unsigned i = 0; n > 0 && i < 1 + variant % 5; i++) {
		x = x * 1664525u + 1013904223u;
		flight[x % n] ^= (unsigned char)(1u << (x >> 24 & 7));
	}
	say_octets(fd, flight, n);
}

static void
serve_tls_drip(int fd)
{
	unsigned char flight[16384];
	struct middle m;
	size_t n = first_flight(fd, &m, flight, sizeof(flight));

	for (size_t i = 0; i < n && say_octets(fd, flight + i, 1); i++)
		pause_ms(20);
}

/* ---- the harness ---- */

static struct server
start(void (*serve)(int))
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0), c;
	struct server s;

	assert_true(fd != -1);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	s.port = ntohs(sin.sin_port);
	s.pid = fork();
	assert_true(s.pid != -1);
	if (s.pid == 0) {
		signal(SIGPIPE, SIG_IGN);	/* a server; the probe has to do without that */
		while ((c = accept(fd, NULL, NULL)) != -1) {
			serve(c);
			close(c);
		}
		_exit(0);
	}
	close(fd);
	return s;
}

static void
stop(struct server s)
{
	kill(s.pid, SIGKILL);
	waitpid(s.pid, NULL, 0);
}

static struct probe_target
target(uint16_t port, enum probe_speaks speaks)
{
	return (struct probe_target){ .listener = { .family = ADDR_IPV4, .prefix = 32, .port = port,
	    .ip = { 127, 0, 0, 1 } }, .speaks = speaks };
}

static void
probe_server(void (*serve)(int), enum probe_speaks speaks, int timeout_ms, struct probe_result *r)
{
	struct server s = start(serve);
	struct probe_target t = target(s.port, speaks);
	int64_t since = now_ms();

	assert_true(probe_run(&t, timeout_ms, r));
	stop(s);
	if (now_ms() - since > timeout_ms + SLACK_MS)
		fail_msg("took %d ms of %d", (int)(now_ms() - since), timeout_ms);
	assert_true(memchr(r->error, '\0', sizeof(r->error)) != NULL);
	for (const char *p = r->error; *p != '\0'; p++)
		assert_true(*p >= ' ' && *p <= '~');
}

static const struct evil evils[] = {
	{ "good", serve_good, "", 5000, true, true },
	{ "silence", serve_silence, "no greeting came within 0.4 s, nor TLS", 400, false, false },
	{ "closes at once", serve_close, "closed the connection without a greeting", 5000, false, false },
	{ "resets", serve_reset, "closed the connection after EHLO", 5000, true, false },
	{ "garbage", serve_garbage, "it ", 5000, false, false },
	{ "NULs", serve_nul, "does not speak SMTP but says \"220\"", 5000, false, false },
	{ "another protocol", serve_http, "does not speak SMTP but says \"HTTP/1.1 400 Bad Request?[2J\"",
	    5000, false, false },
	{ "endless greeting", serve_endless_greeting, "no end", 5000, false, false },
	{ "endless line", serve_endless_line, "a line without an end", 5000, false, false },
	{ "dripping octets", serve_drip, "no greeting came", 600, false, false },
	{ "dripping lines", serve_drip_lines, "no greeting came", 600, false, false },
	{ "busy", serve_busy, "it greets with \"421 too many connections\"", 5000, false, false },
	{ "no EHLO", serve_no_ehlo, "it answers EHLO with \"502 what?\"", 5000, true, false },
	{ "endless EHLO", serve_endless_ehlo, "no end", 5000, true, false },
	{ "long lines", serve_long_lines, "sends without an end", 5000, true, false },
	{ "refuses STARTTLS", serve_refused, "", 5000, true, false },
	{ "text behind STARTTLS", serve_injected, "in clear behind its answer", 5000, true, false },
	{ "garbage for TLS", serve_tls_garbage, "TLS handshake failed: ", 5000, true, false },
	{ "silence for TLS", serve_tls_silence, "handshake did not end within 0.4 s", 400, true, false },
	{ "no answer to QUIT", serve_no_quit, "", 2500, true, false },
	{ "huge certificate", serve_huge, "TLS handshake failed: excessive message size", 5000, true, false },
	{ "many certificates", serve_many, "", 5000, true, true },
	{ "endless over TLS", serve_tls_endless, "no end", 5000, true, true },
	{ "dripping TLS", serve_tls_drip, "handshake did not end within 0.7 s", 700, true, false },
};

static void
test_evil(void **state)
{
	struct probe_result r;

	(void)state;
	for (size_t i = 0; i < sizeof(evils) / sizeof(evils[0]); i++) {
		const struct evil *e = &evils[i];

		probe_server(e->serve, PROBE_GUESS, e->timeout_ms, &r);
		if ((e->error[0] == '\0') != (r.error[0] == '\0') || strstr(r.error, e->error) == NULL)
			fail_msg("%s: wanted \"%s\", got \"%s\"", e->name, e->error, r.error);
		if (r.reachable != e->reachable || r.tls != e->tls)
			fail_msg("%s: reachable %d, TLS %d", e->name, r.reachable, r.tls);
	}
}

static void
test_facts(void **state)
{
	struct probe_result r;

	(void)state;
	probe_server(serve_good, PROBE_GUESS, 5000, &r);
	assert_string_equal(r.software, "OpenSMTPD");
	assert_true(r.starttls && !r.smtps && !r.asks && !r.insists);
	assert_int_equal(r.version, TLS_1_3);
	assert_true(r.bits >= 128);
	assert_int_equal(r.chain_len, certs.n);
	for (size_t i = 0; i < certs.n; i++)
		assert_memory_equal(r.chain[i], certs.digest[i], 32);
	assert_string_equal(r.subject, "CN=leaf");
	assert_string_equal(r.issuer, "CN=ca1");
	assert_int_equal(r.to.family, ADDR_IPV4);
	assert_int_equal(r.from.family, ADDR_IPV4);
	assert_int_equal(r.from.ip[0], 127);

	probe_server(serve_many, PROBE_GUESS, 5000, &r);
	assert_int_equal(r.chain_len, many.n);
	assert_memory_equal(r.chain[PROBE_CHAIN_MAX - 1], many.digest[PROBE_CHAIN_MAX - 1], 32);

	probe_server(serve_refused, PROBE_GUESS, 5000, &r);
	assert_true(r.starttls);
	assert_string_equal(r.starttls_reply, "454 not ?today");
}

/* Whether it asks, and whether it insists, in both ways that TLS has for it. */
static void
test_client_certificate(void **state)
{
	static const struct {
		void (*serve)(int);
		enum tls_version version;
		bool insists;
	} row[] = {
		{ serve_ask_12, TLS_1_2, false }, { serve_ask_13, TLS_1_3, false },
		{ serve_insist_12, TLS_1_2, true }, { serve_insist_13, TLS_1_3, true },
	};
	struct probe_result r;

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		probe_server(row[i].serve, PROBE_GUESS, 5000, &r);
		assert_string_equal(r.error, "");
		assert_true(r.asks);
		assert_int_equal(r.insists, row[i].insists);
		assert_int_equal(r.version, row[i].version);
		assert_memory_equal(r.chain[0], certs.digest[0], 32);
		assert_true(r.bits >= 128 && r.cipher[0] != '\0');
	}
}

/* Neither a guess nor what an earlier probe found may lead astray. */
static void
test_guess(void **state)
{
	static const enum probe_speaks speaks[] = { PROBE_GUESS, PROBE_SMTP, PROBE_SMTPS };
	struct probe_result r;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		probe_server(serve_late, speaks[i], 2400, &r);
		assert_string_equal(r.error, "");
		assert_string_equal(r.software, "Exim");
		assert_true(r.reachable && r.starttls && !r.smtps);
		assert_string_equal(r.starttls_reply, "454 no");
	}
	probe_server(serve_good, PROBE_SMTPS, 2000, &r);
	assert_true(r.tls && r.starttls && !r.smtps);
}

/* Cut off at every twentieth, and with a few bits of it turned. */
static void
test_broken_handshake(void **state)
{
	struct probe_result r;
	unsigned done = 0;

	(void)state;
	for (variant = 0; variant <= 20; variant++) {
		probe_server(serve_half_handshake, PROBE_GUESS, 2000, &r);
		assert_int_not_equal(r.error[0], '\0');
		assert_true(r.reachable && r.starttls);
	}
	for (variant = 0; variant < 100; variant++) {
		probe_server(serve_flipped, PROBE_GUESS, 300, &r);
		assert_int_not_equal(r.error[0], '\0');
		done += r.tls;
	}
	assert_true(done < 100);
}

/* As the agent does it: all of them from one loop, and some given up half-way. */
static void
test_poll_loop(void **state)
{
	enum { N = 24 };
	void (*const serve[])(int) = { serve_good, serve_silence, serve_garbage, serve_tls_silence,
	    serve_insist_13, serve_drip };
	struct server s[N];
	struct probe *p[N];
	struct pollfd fd[N];
	int64_t since = now_ms();
	size_t left = N, good = 0;

	(void)state;
	for (size_t i = 0; i < N; i++)
		s[i] = start(serve[i % 6]);
	for (size_t i = 0; i < N; i++) {
		struct probe_target t = target(s[i].port, PROBE_GUESS);

		p[i] = probe_start(&t, 3000);
		assert_non_null(p[i]);
	}
	while (left > 0) {
		int wait = 10000;

		assert_true(now_ms() - since < 3000 + 2 * SLACK_MS);
		for (size_t i = 0; i < N; i++) {
			int64_t before = now_ms();

			if (p[i] == NULL)
				continue;
			if (probe_step(p[i])) {
				assert_int_equal(probe_fd(p[i]), -1);
				assert_true(probe_step(p[i]));
				good += probe_result(p[i])->error[0] == '\0';
				probe_free(p[i]);
				p[i] = NULL;
				left--;
			} else if (i >= 18 && now_ms() - since > 500) {
				probe_free(p[i]);
				p[i] = NULL;
				left--;
			}
			assert_true(now_ms() - before < SLACK_MS);
		}
		for (size_t i = 0; i < N; i++) {
			fd[i] = (struct pollfd){ .fd = -1 };
			if (p[i] == NULL)
				continue;
			fd[i].fd = probe_fd(p[i]);
			fd[i].events = probe_events(p[i]);
			if (probe_wait(p[i]) < wait)
				wait = probe_wait(p[i]);
		}
		if (left > 0)
			poll(fd, N, wait);
	}
	assert_true(good >= 6);		/* of the eight that have nothing to hide */
	for (size_t i = 0; i < N; i++)
		stop(s[i]);
}

/* Who writes to a connection that is gone gets SIGPIPE, unless he sees to it. */
static void
test_no_signal(void **state)
{
	struct server s = start(serve_ahead);
	struct probe_target t = target(s.port, PROBE_GUESS);
	struct probe *p = probe_start(&t, 3000);

	(void)state;
	assert_non_null(p);
	pause_ms(300);		/* until all of it is here, and the end too */
	while (!probe_step(p))
		pause_ms(1);
	assert_non_null(strstr(probe_result(p)->error, "closed the connection after STARTTLS"));
	probe_free(p);
	stop(s);
}

/* Descriptors and addresses. */
static void
test_nowhere(void **state)
{
	struct server s = start(serve_close);
	struct probe_target t = target(s.port, PROBE_GUESS);
	struct probe_result r;
	int before = dup(0), after;

	(void)state;
	close(before);
	stop(s);
	assert_true(probe_run(&t, 1000, &r));
	assert_non_null(strstr(r.error, "nobody listens on 127.0.0.1:"));
	t.listener.family = ADDR_ANY;
	assert_true(probe_run(&t, 1000, &r));
	assert_non_null(strstr(r.error, "127.0.0.1:"));
	assert_non_null(strstr(r.error, "[::1]:"));
	t.listener.family = ADDR_NONE;
	assert_true(probe_run(&t, 1000, &r));
	assert_non_null(strstr(r.error, "no address"));
	probe_free(NULL);
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

static int
set_up(void **state)
{
	(void)state;
	certs_make(&certs, 2, 0);
	certs_make(&huge, 1, 200000);
	certs_make(&many, 60, 0);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	certs_free(&certs);
	certs_free(&huge);
	certs_free(&many);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_evil),
		cmocka_unit_test(test_client_certificate),
		cmocka_unit_test(test_guess),
		cmocka_unit_test(test_broken_handshake),
		cmocka_unit_test(test_poll_loop),
		cmocka_unit_test(test_no_signal),
		cmocka_unit_test(test_nowhere),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
