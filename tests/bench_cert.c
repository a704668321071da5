/*
 * What a decision by a client's certificate costs in the Exim module: an ECDSA
 * chain of three, a bundle of 140 roots, a CRL of 10,000 entries.
 *
 *	bench_cert MODULE DIR		DIR as `make_ca DIR large` makes it
 *
 * Prints key=value, microseconds of processor time, so that other work on the
 * machine does not count, the median of many:
 *   cert_cold		the first verdict of a process in which nothing was prepared:
 *			module, settings, bundle, CRL and chain; libcrypto is in the
 *			process but not in use, as in Debian's Exim by libpq
 *   cert_fresh		the first verdict of a process whose daemon has preloaded, which
 *			is what conf/exim-tlsward.conf does
 *   cert_first		a new session's first verdict in a process that has decided before
 *   cert_later		a further one of the same session
 *   cert_openssl		X509_verify_cert alone, everything parsed and in memory
 */
#include <sys/wait.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include "median.h"

typedef int entry(unsigned char **yield, int argc, unsigned char *argv[]);
enum { PROCESSES = 101, ROUNDS = 300, CHAIN = 3 };

static void *module;
static char ini[4096];
static char text[CHAIN][65536];		/* leaf, then its chain, in base64 */
static size_t nchain;

/* As Exim has it, for the module. */
void log_write(unsigned selector, int which, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void
log_write(unsigned selector, int which, const char *format, ...)
{
	va_list ap;

	(void)selector;
	(void)which;
	if (strstr(format, "%s") == NULL)
		return;
	va_start(ap, format);
	if (strstr(va_arg(ap, const char *), "cannot") != NULL)
		fprintf(stderr, "bench_cert: the module complains\n");
	va_end(ap);
}

static void __attribute__((noreturn))
die(const char *what)
{
	fprintf(stderr, "bench_cert: %s\n", what);
	exit(2);
}

static const char *
call(const char *name, int argc, const char *const args[])
{
	unsigned char *argv[8] = { NULL }, *yield = NULL;
	entry *e;

	*(void **)&e = dlsym(module, name);
	if (e == NULL)
		die(dlerror());
	for (int i = 0; i < argc; i++)
		argv[i] = (unsigned char *)(uintptr_t)args[i];
	if (e(&yield, argc, argv) != 0)
		die((const char *)yield);
	return (const char *)yield;
}

static void
load(const char *path)
{
	if (module == NULL && (module = dlopen(path, RTLD_LAZY)) == NULL)
		die(dlerror());
}

static void
handshake(void)
{
	char depth[24];

	for (size_t i = nchain; i-- > 0;) {
		snprintf(depth, sizeof(depth), "%zu", i);
		call("tlsward_element", 2, (const char *const[]){ depth, text[i] });
	}
}

static void
verdict(void)
{
	if (strcmp(call("tlsward_mail", 5, (const char *const[]){ ini,
	    "192.0.2.1|25|198.51.100.7|n|client.example", "TLS1.3|256|1|x", text[0],
	    "a@partner.example" }), "accept") != 0)
		die(call("tlsward_log", 0, NULL));
}

/* ---- processes ---- */

/* Median over forked processes of the first verdict. */
static double
first_of_process(const char *path)
{
	double us[PROCESSES], t;
	int fd[2];

	if (pipe(fd) == -1)
		die("pipe");
	for (int i = 0; i < PROCESSES; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			t = clock_us(CLOCK_THREAD_CPUTIME_ID);
			load(path);
			handshake();
			verdict();
			t = clock_us(CLOCK_THREAD_CPUTIME_ID) - t;
			_exit(write(fd[1], &t, sizeof(t)) == sizeof(t) ? 0 : 1);
		}
		if (pid == -1 || read(fd[0], &us[i], sizeof(us[i])) != sizeof(us[i]) ||
		    waitpid(pid, NULL, 0) != pid)
			die("a process failed");
	}
	close(fd[0]);
	close(fd[1]);
	return median_of(us, PROCESSES);
}

static double
first_of_session(void)
{
	double us[ROUNDS], t;
	char kept[sizeof(text[0])];

	memcpy(kept, text[0], sizeof(kept));
	for (int i = 0; i < ROUNDS; i++) {
		/* another certificate between makes the module forget this one */
		memcpy(text[0], text[1], sizeof(text[0]));
		call("tlsward_mail", 5, (const char *const[]){ ini,
		    "192.0.2.1|25|198.51.100.7|n|x", "TLS1.3|256|1|x", text[0], "a@partner.example" });
		memcpy(text[0], kept, sizeof(kept));
		t = clock_us(CLOCK_THREAD_CPUTIME_ID);
		handshake();
		verdict();
		us[i] = clock_us(CLOCK_THREAD_CPUTIME_ID) - t;
	}
	return median_of(us, ROUNDS);
}

static double
later_of_session(void)
{
	double t = clock_us(CLOCK_THREAD_CPUTIME_ID);

	for (int i = 0; i < ROUNDS; i++)
		verdict();
	return (clock_us(CLOCK_THREAD_CPUTIME_ID) - t) / ROUNDS;
}

/* ---- OpenSSL by itself ---- */

static X509 *
read_cert(FILE *f)
{
	X509 *x = PEM_read_X509(f, NULL, NULL, NULL);

	ERR_clear_error();
	return x;
}

static double
openssl_alone(const char *dir)
{
	X509_STORE *store = X509_STORE_new();
	STACK_OF(X509) *chain = sk_X509_new_null();
	char path[4096];
	double us[ROUNDS], t;
	X509_CRL *crl;
	X509 *leaf, *x;
	FILE *f;

	snprintf(path, sizeof(path), "%s/bundle.pem", dir);
	if (store == NULL || chain == NULL || (f = fopen(path, "r")) == NULL)
		die(path);
	while ((x = read_cert(f)) != NULL)
		X509_STORE_add_cert(store, x);
	fclose(f);
	snprintf(path, sizeof(path), "%s/many.pem", dir);
	if ((f = fopen(path, "r")) == NULL)
		die(path);
	while ((crl = PEM_read_X509_CRL(f, NULL, NULL, NULL)) != NULL)
		X509_STORE_add_crl(store, crl);
	fclose(f);
	snprintf(path, sizeof(path), "%s/good.pem", dir);
	if ((f = fopen(path, "r")) == NULL || (leaf = read_cert(f)) == NULL)
		die(path);
	while ((x = read_cert(f)) != NULL)
		sk_X509_push(chain, x);
	fclose(f);
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	for (int i = 0; i < ROUNDS; i++) {
		X509_STORE_CTX *ctx = X509_STORE_CTX_new();

		t = clock_us(CLOCK_THREAD_CPUTIME_ID);
		if (X509_STORE_CTX_init(ctx, store, leaf, chain) != 1 || X509_verify_cert(ctx) != 1)
			die("X509_verify_cert refuses");
		us[i] = clock_us(CLOCK_THREAD_CPUTIME_ID) - t;
		X509_STORE_CTX_free(ctx);
	}
	return median_of(us, ROUNDS);
}

/* ---- the whole ---- */

static void
read_chain(const char *dir)
{
	char path[4096], line[128];
	size_t len = 0;
	bool in = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/good.pem", dir);
	if ((f = fopen(path, "r")) == NULL)
		die(path);
	while (fgets(line, sizeof(line), f) != NULL && nchain < CHAIN) {
		line[strcspn(line, "\r\n")] = '\0';
		if (strncmp(line, "-----BEGIN", 10) == 0) {
			in = true;
			len = 0;
		} else if (strncmp(line, "-----END", 8) == 0) {
			in = false;
			nchain++;
		} else if (in) {
			len += (size_t)snprintf(text[nchain] + len, sizeof(text[0]) - len, "%s", line);
		}
	}
	fclose(f);
}

static void
write_ini(const char *dir)
{
	FILE *f;

	snprintf(ini, sizeof(ini), "%s/bench.ini", dir);
	if ((f = fopen(ini, "w")) == NULL)
		die(ini);
	fprintf(f, "[server]\nstate_dir = %s\n[peer partner.example]\nclient_cert = require\nca = many\n"
	    "[ca many]\nfile = %s/bundle.pem\ncrl = %s/many.pem\n", dir, dir, dir);
	if (fclose(f) != 0)
		die(ini);
}

int
main(int argc, char *argv[])
{
	if (argc != 3)
		die("usage: bench_cert MODULE DIR");
	read_chain(argv[2]);
	write_ini(argv[2]);
	printf("cert_cold=%.0f\n", first_of_process(argv[1]));
	load(argv[1]);
	call("tlsward_preload", 2, (const char *const[]){ ini, "0" });
	printf("cert_fresh=%.0f\n", first_of_process(argv[1]));
	handshake();
	verdict();
	printf("cert_first=%.0f\n", first_of_session());
	handshake();
	verdict();
	printf("cert_later=%.2f\n", later_of_session());
	printf("cert_openssl=%.0f\n", openssl_alone(argv[2]));
	return 0;
}
