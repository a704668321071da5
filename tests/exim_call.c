/*
 * Calls the Exim module as Exim does: dlopen, dlsym, argv of at most seven.
 *
 *	exim_call MODULE check INI		every entry point, wrong and hostile arguments
 *	exim_call MODULE soak INI ROUNDS KIB	many calls and reloads; memory must not grow by KIB
 *	exim_call MODULE certs INI TREE ROUNDS KIB	sessions over TLS with each certificate of
 *			the CA tree (tool make_ca), the verdict compared with the tree's list
 *	exim_call MODULE bench INI ROUNDS	microseconds a verdict
 *	exim_call MODULE call FUNCTION ARG...	one call: its status and its answer
 *	exim_call MODULE counters STATE_DIR SECTION NAME
 *
 * It has a log_write() as Exim has; lines go to stderr.
 */
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "counters.h"
#include "keys.h"
#include "median.h"

typedef int entry(unsigned char **yield, int argc, unsigned char *argv[]);

#define SESSION "192.0.2.1|25|198.51.100.7|n|client.example"
#define CLEAR "|0|0|"
#define ARGS_MAX 7

static const struct {
	const char *name;
	int argc;
	const char *argv[ARGS_MAX];	/* NULL at 0: the INI */
} entries[] = {
	{ "tlsward_preload", 2, { NULL, "20" } },
	{ "tlsward_advertise", 2, { NULL, SESSION } },
	{ "tlsward_ask", 2, { NULL, SESSION } },
	{ "tlsward_demand", 2, { NULL, SESSION } },
	{ "tlsward_ca", 2, { NULL, SESSION } },
	{ "tlsward_crl", 2, { NULL, SESSION } },
	{ "tlsward_certificate", 3, { NULL, SESSION, "mx.example.org" } },
	{ "tlsward_privatekey", 3, { NULL, SESSION, "mx.example.org" } },
	{ "tlsward_mail", 5, { NULL, SESSION, CLEAR, "", "a@partner.example" } },
	{ "tlsward_rcpt", 6, { NULL, SESSION, CLEAR, "", "a@partner.example", "b@example.org" } },
	{ "tlsward_verb", 0, { NULL } },
	{ "tlsward_reply", 0, { NULL } },
	{ "tlsward_log", 0, { NULL } },
	{ "tlsward_element", 2, { NULL, "MIIB" } },
};
#define ENTRIES (sizeof(entries) / sizeof(entries[0]))

static void *module;
static unsigned failures;

void log_write(unsigned selector, int which, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void
log_write(unsigned selector, int which, const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "log %u %d: ", selector, which);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static void __attribute__((noreturn))
die(const char *what)
{
	fprintf(stderr, "exim_call: %s\n", what);
	exit(2);
}

static entry *
find(const char *name)
{
	entry *e;

	*(void **)&e = dlsym(module, name);
	if (e == NULL)
		die(dlerror());
	return e;
}

static int
call(const char *name, int argc, const char *const args[], const char **answer)
{
	unsigned char *argv[ARGS_MAX + 1] = { NULL }, *yield = NULL;
	int i, status;

	for (i = 0; i < argc && i < ARGS_MAX; i++)
		argv[i] = (unsigned char *)strdup(args[i]);
	status = find(name)(&yield, argc, argv);
	for (i = 0; i < ARGS_MAX; i++)
		free(argv[i]);		/* as Exim's store may: nothing may point there */
	*answer = yield != NULL ? (const char *)yield : "(null)";
	return status;
}

static int
call_entry(size_t i, const char *ini, const char **answer)
{
	const char *args[ARGS_MAX];

	memcpy(args, entries[i].argv, sizeof(args));
	args[0] = ini;
	return call(entries[i].name, entries[i].argc, args, answer);
}

static void
expect(bool good, const char *what, const char *name, const char *detail)
{
	if (good)
		return;
	failures++;
	fprintf(stderr, "%s: %s: %.100s\n", name, what, detail);
}

/* argc as no caller should pass it, and argv as Exim leaves it then: garbage. */
static void
check_arity(size_t i)
{
	unsigned char *argv[16], *yield;
	entry *e = find(entries[i].name);
	int argc, status;

	for (argc = -1; argc < 16; argc++) {
		if (argc == entries[i].argc)
			continue;
		memset(argv, 0x11, sizeof(argv));
		yield = NULL;
		status = e(&yield, argc, argv);
		expect(status == 2, "wrong argc is not FAIL", entries[i].name, "");
		expect(yield != NULL && strstr((char *)yield, "arguments") != NULL,
		    "wrong argc has no message", entries[i].name, yield ? (char *)yield : "");
	}
}

/* One argument at a time is hostile; FAIL_FORCED (4) and its like never come. */
static void
check_hostile(size_t i, const char *ini, char *big)
{
	const char *bad[] = { "", "|", "||||||||", big, "\001\002\377|\n\r\t|}{$", "%n%s%99999d",
	    "|||y|", "192.0.2.1|25||y|x", "TLS1.3|256|1|x", "tls_in_peercert", "/etc/passwd" };
	const char *args[ARGS_MAX], *answer;
	bool verdict = strcmp(entries[i].name, "tlsward_mail") == 0 ||
	    strcmp(entries[i].name, "tlsward_rcpt") == 0;
	int status, a;
	size_t b;

	for (a = 0; a < entries[i].argc; a++)
		for (b = 0; b < sizeof(bad) / sizeof(bad[0]); b++) {
			memcpy(args, entries[i].argv, sizeof(args));
			args[0] = ini;
			args[a] = bad[b];
			status = call(entries[i].name, entries[i].argc, args, &answer);
			expect(status == 0 || status == 2, "status", entries[i].name, bad[b]);
			expect(strcmp(answer, "(null)") != 0, "no answer", entries[i].name, bad[b]);
			/* the INI's rule refuses this sender in clear; "|||y|" is a command line */
			if (verdict && a < 4 && !(a == 1 && strcmp(bad[b], "|||y|") == 0) &&
			    !(a == 2 && strcmp(bad[b], "TLS1.3|256|1|x") == 0) &&
			    !(a == 3 && bad[b][0] == '\0'))
				expect(strcmp(answer, "defer") == 0, "not deferred",
				    entries[i].name, bad[b]);
		}
}

static void
check(const char *ini)
{
	enum { BIG = 65536 };
	char *big = malloc(BIG);
	const char *answer;
	size_t i;

	if (big == NULL)
		die("no memory");
	memset(big, 'A', BIG - 1);
	big[BIG - 1] = '\0';
	/* before any verdict the answer is no acceptance */
	expect(call("tlsward_verb", 0, NULL, &answer) == 0 && strcmp(answer, "defer") == 0,
	    "first verb", "tlsward_verb", answer);
	expect(call("tlsward_reply", 0, NULL, &answer) == 0 && strncmp(answer, "451 4.3.5 ", 10) == 0,
	    "first reply", "tlsward_reply", answer);
	for (i = 0; i < ENTRIES; i++) {
		check_arity(i);
		check_hostile(i, ini, big);
		expect(call_entry(i, ini, &answer) == 0, "plain call", entries[i].name, answer);
	}
	free(big);
}

static long
resident_kib(void)
{
	long size = 0, pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f == NULL || fscanf(f, "%ld %ld", &size, &pages) != 2)
		die("/proc/self/statm");
	fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Every tenth round the file looks changed, every hundredth it is not there. */
static void
soak(const char *ini, long rounds, long limit)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 0 } };
	const char *answer;
	long r, warm = 0;
	size_t i;

	for (r = 0; r < rounds; r++) {
		if (r % 10 == 0) {
			times[1].tv_sec = 1000000 + r;
			if (utimensat(AT_FDCWD, ini, times, 0) == -1)
				die("utimensat");
		}
		for (i = 0; i < ENTRIES; i++)
			call_entry(i, r % 100 == 50 ? "/nonexistent.ini" : ini, &answer);
		if (r == rounds / 4)
			warm = resident_kib();
	}
	printf("resident after a quarter %ld KiB, at the end %ld KiB\n", warm, resident_kib());
	expect(resident_kib() - warm < limit, "memory grows", "soak", "");
}

/* ---- sessions with certificates ---- */

enum { TREE_MAX = 64, CHAIN_MAX = 8 };

struct shown {
	char name[32], reason[32];
	char *element[CHAIN_MAX];	/* base64, leaf first */
	int n;
};

static char *
read_whole(const char *dir, const char *name, const char *suffix)
{
	char path[4096], *text = NULL;
	size_t size = 0;
	FILE *f;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s%s", dir, name, suffix) >= sizeof(path) ||
	    (f = fopen(path, "r")) == NULL || getdelim(&text, &size, '\0', f) == -1)
		die(path);
	fclose(f);
	return text;
}

/* The body of a PEM block without its line ends is the base64 that Exim makes. */
static void
take_certificates(struct shown *s, const char *dir)
{
	char *text = read_whole(dir, s->name, ".pem"), *at = text, *to;

	while (s->n < CHAIN_MAX && (at = strstr(at, "CERTIFICATE-----\n")) != NULL) {
		at += strlen("CERTIFICATE-----\n");
		if ((s->element[s->n] = to = malloc(strlen(at) + 1)) == NULL)
			die("no memory");
		for (; *at != '-' && *at != '\0'; at++)
			if (*at != '\n')
				*to++ = *at;
		*to = '\0';
		s->n++;
		at += strcspn(at, "\n");
		if ((at = strstr(at, "-----BEGIN")) == NULL)
			break;
	}
	free(text);
}

static int
load_tree(struct shown all[TREE_MAX], const char *dir)
{
	char *list = read_whole(dir, "list", ""), *line, *rest = list;
	int n = 0;

	for (; (line = strtok_r(rest, "\n", &rest)) != NULL && n < TREE_MAX; n++) {
		if (sscanf(line, "%31s %31s", all[n].name, all[n].reason) != 2)
			die(line);
		take_certificates(&all[n], dir);
	}
	free(list);
	return n;
}

/* One session, in Exim's order: the chain from its far end, the leaf, MAIL, RCPT. */
static void
show(const char *ini, const struct shown *s, const char *tls)
{
	const char *args[ARGS_MAX] = { ini, SESSION, tls, s->element[0], "a@x.example", "b@example.org" };
	const char *element[2], *answer;
	bool good = strcmp(s->reason, "none") == 0;
	char depth[12], word[64];
	int i;

	for (i = s->n - 1; i >= 0; i--) {
		snprintf(depth, sizeof(depth), "%d", i);
		element[0] = depth;
		element[1] = s->element[i];
		expect(call("tlsward_element", 2, element, &answer) == 0 && *answer == '\0',
		    "the handshake is not let go on", s->name, answer);
	}
	call("tlsward_mail", 5, args, &answer);
	expect(strcmp(answer, good ? "accept" : "deny") == 0, "verdict at MAIL", s->name, answer);
	snprintf(word, sizeof(word), "reason=%s ", s->reason);
	call("tlsward_log", 0, NULL, &answer);
	expect(good || strstr(answer, word) != NULL, "the reason", s->name, answer);
	call("tlsward_rcpt", 6, args, &answer);
	expect(strcmp(answer, good ? "accept" : "deny") == 0, "verdict at RCPT", s->name, answer);
}

/* Each round with all of them; the CAs' file looks changed each time, the INI every third. */
static void
certs(const char *ini, const char *dir, long rounds, long limit)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 0 } };
	static struct shown all[TREE_MAX];
	const char *preload[] = { ini, "20" }, *answer;
	char ca[4096];
	int n = load_tree(all, dir), i;
	long r, warm = 0;

	snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
	for (r = 0; r < rounds; r++) {
		times[1].tv_sec = 1000000 + r;
		if (utimensat(AT_FDCWD, ca, times, 0) == -1 ||
		    (r % 3 == 0 && utimensat(AT_FDCWD, ini, times, 0) == -1))
			die("utimensat");
		call("tlsward_preload", 2, preload, &answer);
		for (i = 0; i < n; i++)
			show(ini, &all[i], r % 2 == 0 ? "TLS1.3|256|0|TLS_AES_256_GCM_SHA384" :
			    "TLS1.2|256|0|ECDHE-ECDSA-AES256-GCM-SHA384");
		if (r == rounds / 4)
			warm = resident_kib();
	}
	printf("%d certificates; resident after a quarter %ld KiB, at the end %ld KiB\n", n, warm, resident_kib());
	expect(n > 20, "the tree has too few certificates", "certs", dir);
	expect(resident_kib() - warm < limit, "memory grows", "certs", "");
	for (i = 0; i < n; i++)
		while (all[i].n > 0)
			free(all[i].element[--all[i].n]);
}

/* Median over forked processes of the first verdict, module loaded there or before. */
static double
first_verdict(const char *path, const char *ini, long n)
{
	double *us = calloc((size_t)n, sizeof(*us)), t, median;
	const char *answer;
	int fd[2];
	long i;

	if (us == NULL || pipe(fd) == -1)
		die("no memory");
	for (i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			t = clock_us(CLOCK_MONOTONIC);
			if (module == NULL)
				module = dlopen(path, RTLD_LAZY);
			call_entry(8, ini, &answer);
			t = clock_us(CLOCK_MONOTONIC) - t;
			_exit(write(fd[1], &t, sizeof(t)) == sizeof(t) ? 0 : 1);
		}
		if (pid == -1 || read(fd[0], &us[i], sizeof(us[i])) != sizeof(us[i]) ||
		    waitpid(pid, NULL, 0) != pid)
			die("a child failed");
	}
	median = median_of(us, (size_t)n);
	free(us);
	close(fd[0]);
	close(fd[1]);
	return median;
}

static void
bench(const char *path, const char *ini, long rounds)
{
	const char *answer;
	double t;
	long i;

	printf("exim first verdict, fresh process: %.1f us\n", first_verdict(path, ini, 101));
	if ((module = dlopen(path, RTLD_LAZY)) == NULL)
		die(dlerror());
	call_entry(0, ini, &answer);
	printf("exim first verdict, settings preloaded: %.1f us\n", first_verdict(path, ini, 101));
	call_entry(8, ini, &answer);
	t = clock_us(CLOCK_MONOTONIC);
	for (i = 0; i < rounds; i++)
		call_entry(8, ini, &answer);
	printf("exim later verdict: %.2f us\n", (clock_us(CLOCK_MONOTONIC) - t) / (double)rounds);
}

static int
counters(const char *dir, const char *section, const char *name)
{
	enum section sec = section_find(section, strlen(section));
	struct counters_all *all = counters_all_open(dir);
	struct count c;

	if (all == NULL || sec == SEC_MAX)
		die("no counters");
	counters_all_refresh(all);
	counters_all_get(all, sec, name, &c);
	printf("clear=%llu tls=%llu verified=%llu refused=%llu would=%llu\n",
	    (unsigned long long)c.accepted[COUNT_CLEAR], (unsigned long long)c.accepted[COUNT_TLS],
	    (unsigned long long)c.accepted[COUNT_VERIFIED],
	    (unsigned long long)count_sum(c.refused), (unsigned long long)count_sum(c.would));
	counters_all_close(all);
	return 0;
}

int
main(int argc, char *argv[])
{
	const char *answer;
	int status;

	if (argc < 4)
		die("usage: exim_call MODULE check|soak|certs|bench|call|counters ARGUMENT...");
	if (strcmp(argv[2], "counters") == 0 && argc == 6)
		return counters(argv[3], argv[4], argv[5]);
	if (strcmp(argv[2], "bench") == 0 && argc == 5) {
		bench(argv[1], argv[3], strtol(argv[4], NULL, 10));
		return 0;
	}
	if ((module = dlopen(argv[1], RTLD_LAZY)) == NULL)
		die(dlerror());
	if (strcmp(argv[2], "check") == 0) {
		check(argv[3]);
	} else if (strcmp(argv[2], "soak") == 0 && argc == 6) {
		soak(argv[3], strtol(argv[4], NULL, 10), strtol(argv[5], NULL, 10));
	} else if (strcmp(argv[2], "certs") == 0 && argc == 7) {
		certs(argv[3], argv[4], strtol(argv[5], NULL, 10), strtol(argv[6], NULL, 10));
	} else if (strcmp(argv[2], "call") == 0 && argc - 4 <= ARGS_MAX) {
		status = call(argv[3], argc - 4, (const char *const *)argv + 4, &answer);
		printf("%d %s\n", status, answer);
	} else {
		die("wrong arguments");
	}
	return failures > 0;
}
