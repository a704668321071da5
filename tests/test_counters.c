/*
 * filter/counters: exact with many processes, whole after SIGKILL, an answer
 * for every file that is not ours and for every disk that is full.
 */
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "counters.h"
#include "counters_file.h"
#include "read.h"

#define DOMAINS	40
#define WRITERS	8
#define ROUNDS	4000

static char dir[64];		/* the state_dir of one test */
static char why[512];
static struct settings *settings;	/* [domain d0.example] … and a peer */

static void
report(void *arg, enum severity severity, const char *path, unsigned line, const char *text)
{
	(void)arg;
	(void)severity;
	fprintf(stderr, "%s:%u: %s\n", path, line, text);
}

static int
make_settings(void **state)
{
	char text[DOMAINS * 64 + 256];
	size_t n;
	int i;

	(void)state;
	n = (size_t)snprintf(text, sizeof(text),
	    "[server]\nmode = offer\n[peer partner.example]\nmode = require\n");
	for (i = 0; i < DOMAINS; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "[domain d%d.example]\nmode = require\n", i);
	settings = settings_parse(text, n, "test.ini", NULL, false, report, NULL);
	return settings == NULL;
}

static int
free_settings(void **state)
{
	(void)state;
	settings_free(settings);
	return 0;
}

static int
make_dir(void **state)
{
	char path[128];

	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_counters.XXXXXX");
	if (mkdtemp(dir) == NULL || chmod(dir, 0755) == -1)
		return -1;
	snprintf(path, sizeof(path), "%s/exim", dir);
	if (mkdir(path, 0755) == -1)
		return -1;
	snprintf(path, sizeof(path), "%s/opensmtpd", dir);
	return mkdir(path, 0755);
}

/* Empties and removes a folder of plain files and links. */
static void
remove_flat(const char *path)
{
	char name[512];
	struct dirent *e;
	DIR *d = opendir(path);

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		if (unlink(name) == -1)
			rmdir(name);
	}
	if (d != NULL)
		closedir(d);
	rmdir(path);
}

static int
remove_dir(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/exim", dir);
	remove_flat(path);
	snprintf(path, sizeof(path), "%s/opensmtpd", dir);
	remove_flat(path);
	return rmdir(dir);
}

static struct counters *
open_rows(const char *frontend, uint32_t rows)
{
	struct counters *c = counters_open_rows(dir, frontend, true, rows, why, sizeof(why));

	if (c == NULL)
		fprintf(stderr, "%s\n", why);
	return c;
}

static void
domain_name(char name[32], unsigned i)
{
	snprintf(name, 32, "d%u.example", i);
}

/* Counts one recipient in domain i, over TLS or in clear. */
static void
count(struct counters *c, unsigned i, enum action action, enum reason reason, bool tls,
    uint64_t now)
{
	struct facts f = { .tls = tls ? TLS_1_3 : TLS_NONE };
	struct verdict v = { .action = action, .reason = reason, .counted = true };
	char name[32];

	domain_name(name, i);
	v.domain = settings_find(settings, SEC_DOMAIN, name);
	assert_non_null(v.domain);
	counters_add(c, settings, &f, &v, now);
}

static struct count
figures(const struct counters *c, unsigned i)
{
	struct count sum = { 0 };
	char name[32];

	domain_name(name, i);
	counters_get(c, SEC_DOMAIN, name, &sum);
	return sum;
}

/* How many files in the folder have names that start so. */
static int
files_like(const char *frontend, const char *prefix)
{
	char path[128];
	struct dirent *e;
	DIR *d;
	int n = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, frontend);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
	closedir(d);
	return n;
}

#define CROWD	1500		/* names that nobody has counted for yet */

static struct settings *
crowd_settings(void)
{
	char *text = malloc(CROWD * 32);
	struct settings *s;
	size_t n = 0;
	unsigned i;

	assert_non_null(text);
	for (i = 0; i < CROWD; i++)
		n += (size_t)snprintf(text + n, CROWD * 32 - n, "[domain c%u.example]\n", i);
	s = settings_parse(text, n, "crowd.ini", NULL, false, report, NULL);
	free(text);
	assert_non_null(s);
	return s;
}

/* Counts once for each name, as soon as all four are there. */
static void
count_crowd(const struct settings *s, _Atomic uint32_t *here)
{
	struct facts f = { .tls = TLS_1_3 };
	struct verdict v = { .action = ACT_ACCEPT, .counted = true };
	struct counters *c;
	size_t i;

	atomic_fetch_add(here, 1);
	while (atomic_load(here) < 4)
		;
	if ((c = open_rows("exim", 4096)) == NULL)
		_exit(1);
	for (i = 0; i < CROWD; i++) {
		v.domain = settings_at(s, SEC_DOMAIN, i);
		counters_add(c, s, &f, &v, 1);
	}
	_exit(0);
}

/* Four make the file at once, and take rows for the same new names at once. */
static void
racing_for_new_names(void **state)
{
	struct settings *s = crowd_settings();
	_Atomic uint32_t *here;
	struct counters *c;
	struct count sum;
	char path[128];
	unsigned round, i;
	int status;

	(void)state;
	here = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(here != MAP_FAILED);
	snprintf(path, sizeof(path), "%s/exim/counters", dir);
	for (round = 0; round < 8; round++) {
		atomic_store(here, 0);
		for (i = 0; i < 4; i++)
			if (fork() == 0)
				count_crowd(s, here);
		for (i = 0; i < 4; i++) {
			assert_int_not_equal(wait(&status), -1);
			assert_int_equal(status, 0);
		}
		c = open_rows("exim", 4096);
		for (i = 0; i < CROWD; i++) {
			memset(&sum, 0, sizeof(sum));
			assert_true(counters_get(c, SEC_DOMAIN,
			    settings_name(s, settings_at(s, SEC_DOMAIN, i)), &sum));
			assert_int_equal(sum.accepted[COUNT_TLS], 4);
		}
		/* A process that loses a race keeps the row for its next name. */
		assert_in_range(atomic_load(&c->head->next), CROWD + 1, CROWD + 1 + 4);
		counters_close(c);
		assert_int_equal(unlink(path), 0);
	}
	munmap((void *)(uintptr_t)here, 4096);
	settings_free(s);
}

static void
what_is_counted_where(void **state)
{
	struct facts f = { .tls = TLS_1_2, .cert = { .status = CERT_TRUSTED } };
	struct verdict v = { .action = ACT_ACCEPT, .counted = true };
	struct counters *c = open_rows("exim", 64);
	struct count sum = { 0 };

	(void)state;
	assert_non_null(c);
	assert_string_equal(why, "");
	v.server = settings_find(settings, SEC_SERVER, "");
	v.peer = settings_find(settings, SEC_PEER, "partner.example");
	counters_add(c, settings, &f, &v, 100);
	v.action = ACT_REPORT;
	v.reason = REASON_CERT_NAME;
	counters_add(c, settings, &f, &v, 101);
	v.action = ACT_REFUSE;
	counters_add(c, settings, &f, &v, 102);
	v.action = ACT_DEFER;
	v.reason = REASON_CERT_UNKNOWN;
	counters_add(c, settings, &f, &v, 99);
	v.action = ACT_LATER;
	counters_add(c, settings, &f, &v, 103);
	v.action = ACT_ACCEPT;
	v.counted = false;
	counters_add(c, settings, &f, &v, 104);
	v.counted = true;
	counters_add(NULL, settings, &f, &v, 105);
	/* a STARTTLS that would have been refused is no mail in clear */
	f.tls = TLS_NONE;
	v.action = ACT_REPORT;
	v.reason = REASON_TLS_REFUSED;
	counters_add(c, settings, &f, &v, 106);

	assert_true(counters_get(c, SEC_PEER, "partner.example", &sum));
	assert_int_equal(sum.accepted[COUNT_CLEAR], 0);
	assert_int_equal(sum.accepted[COUNT_TLS], 2);
	assert_int_equal(sum.accepted[COUNT_VERIFIED], 2);
	assert_int_equal(sum.would[REASON_CERT_NAME], 1);
	assert_int_equal(sum.would[REASON_TLS_REFUSED], 1);
	assert_int_equal(count_sum(sum.would), 2);
	assert_int_equal(sum.refused[REASON_CERT_NAME], 1);
	assert_int_equal(sum.refused[REASON_CERT_UNKNOWN], 1);
	assert_int_equal(count_sum(sum.refused), 2);
	assert_int_equal(sum.last_refusal, 102);
	/* counters_get adds: the server's row has the same figures. */
	assert_true(counters_get(c, SEC_SERVER, "", &sum));
	assert_int_equal(sum.accepted[COUNT_TLS], 4);
	assert_false(counters_get(c, SEC_DOMAIN, "partner.example", &sum));

	/* Without settings there are no rules; the server is counted. */
	v = (struct verdict){ .action = ACT_DEFER, .reason = REASON_SETTINGS, .counted = true };
	counters_add(c, NULL, &f, &v, 106);
	memset(&sum, 0, sizeof(sum));
	assert_true(counters_get(c, SEC_SERVER, "", &sum));
	assert_int_equal(sum.refused[REASON_SETTINGS], 1);
	counters_close(c);
}

/*
 * Writer w counts in domains of its own and in domains that all share, and
 * says after each count how far it has come.
 */
static void
writer(unsigned w, _Atomic uint32_t *done, unsigned rounds)
{
	struct counters *c = open_rows("exim", 64);
	unsigned i;

	if (c == NULL)
		_exit(1);
	for (i = 0; i < rounds; i++) {
		count(c, w, ACT_ACCEPT, REASON_NONE, false, 1000);
		count(c, WRITERS + i % 16, ACT_REFUSE, REASON_TLS_MISSING, false, 1000 + i);
		atomic_store(done, i + 1);
	}
	counters_close(c);
	_exit(0);
}

static void
exact_with_eight_writers_and_one_killed(void **state)
{
	_Atomic uint32_t *done;
	struct counters *c;
	uint64_t shared = 0, sum = 0, own;
	pid_t pid[WRITERS];
	unsigned w, victim;
	int status, killed;

	(void)state;
	done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(done != MAP_FAILED);
	srand((unsigned)(time(NULL) ^ getpid()));
	victim = (unsigned)rand() % WRITERS;
	for (w = 0; w < WRITERS; w++)
		if ((pid[w] = fork()) == 0)
			writer(w, &done[w], w == victim ? 1u << 30 : ROUNDS);
	/* The moment is random: somewhere in the victim's first rounds. */
	while (atomic_load(&done[victim]) < (uint32_t)(rand() % ROUNDS) &&
	    waitpid(pid[victim], &status, WNOHANG) == 0)
		;
	kill(pid[victim], SIGKILL);
	for (w = 0; w < WRITERS; w++) {
		assert_int_equal(waitpid(pid[w], &status, 0), pid[w]);
		killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		assert_true(w == victim ? killed : status == 0);
	}
	c = open_rows("exim", 64);
	assert_non_null(c);
	for (w = 0; w < WRITERS; w++) {
		own = figures(c, w).accepted[COUNT_CLEAR];
		assert_in_range(own, atomic_load(&done[w]),
		    atomic_load(&done[w]) + (w == victim));
		shared += atomic_load(&done[w]);
	}
	for (w = WRITERS; w < WRITERS + 16; w++)
		sum += figures(c, w).refused[REASON_TLS_MISSING];
	assert_in_range(sum, shared, shared + 1);
	assert_int_equal(files_like("exim", ".counters"), 0);
	assert_int_equal(files_like("exim", "counters.bad"), 0);
	munmap((void *)(uintptr_t)done, 4096);
	counters_close(c);
}

/* Many are killed while they make the file and take rows; the next goes on, no row has two owners. */
static void
killed_at_any_moment(void **state)
{
	struct counters *c;
	unsigned round, i, d;
	uint64_t before[DOMAINS];
	pid_t pid[3];

	(void)state;
	for (round = 0; round < 60; round++) {
		for (i = 0; i < 3; i++)
			if ((pid[i] = fork()) == 0) {
				c = open_rows("exim", 4096);
				for (d = round; c != NULL; d++)
					count(c, d % DOMAINS, ACT_ACCEPT, REASON_NONE, true, 1);
				_exit(1);
			}
		usleep((useconds_t)(rand() % 6000));
		for (i = 0; i < 3; i++) {
			kill(pid[i], SIGKILL);
			waitpid(pid[i], NULL, 0);
		}
		if (round % 20 == 19) {		/* and the file is made anew */
			char path[128];

			snprintf(path, sizeof(path), "%s/exim/counters", dir);
			unlink(path);
		}
	}
	c = open_rows("exim", 4096);
	assert_non_null(c);
	assert_int_equal(files_like("exim", "counters.bad"), 0);
	for (d = 0; d < DOMAINS; d++)
		before[d] = figures(c, d).accepted[COUNT_TLS];
	for (d = 0; d < DOMAINS; d++)
		count(c, d, ACT_ACCEPT, REASON_NONE, true, 1);
	for (d = 0; d < DOMAINS; d++)
		assert_int_equal(figures(c, d).accepted[COUNT_TLS], before[d] + 1);
	counters_close(c);
}

static void
a_bucket_that_names_a_foreign_row(void **state)
{
	struct counters *c = open_rows("exim", 64);
	struct bucket *b;
	uint32_t i;

	(void)state;
	count(c, 0, ACT_ACCEPT, REASON_NONE, true, 1);		/* row 1 */
	count(c, 1, ACT_ACCEPT, REASON_NONE, true, 1);		/* row 2 */
	for (i = 0; i < c->nbuckets; i++) {
		b = &c->index[i];
		if (b->row == 2)
			b->row = 1;	/* as pages written in another order would leave it */
	}
	count(c, 1, ACT_ACCEPT, REASON_NONE, true, 1);
	assert_int_equal(figures(c, 0).accepted[COUNT_TLS], 1);
	assert_int_equal(figures(c, 1).accepted[COUNT_TLS], 1);
	for (i = 0; i < c->nbuckets; i++)
		if (c->index[i].row == 3)
			c->index[i].row = 0xfffffff0u;
	count(c, 1, ACT_ACCEPT, REASON_NONE, true, 1);
	assert_int_equal(figures(c, 1).accepted[COUNT_TLS], 1);
	counters_close(c);
}

static void
survives_restart_and_removal(void **state)
{
	struct counters *c = open_rows("exim", 64), *again;
	uint64_t since = counters_since(c);
	char path[128];

	(void)state;
	count(c, 3, ACT_ACCEPT, REASON_NONE, true, 100);
	counters_close(c);
	c = open_rows("exim", 128);	/* an existing file keeps its own size */
	count(c, 3, ACT_ACCEPT, REASON_NONE, true, 100);
	assert_int_equal(figures(c, 3).accepted[COUNT_TLS], 2);
	assert_int_equal(c->nrows, 64);
	assert_int_equal(counters_since(c), since);

	/* Somebody removes it under a running writer: made anew with the next look. */
	snprintf(path, sizeof(path), "%s/exim/counters", dir);
	assert_int_equal(unlink(path), 0);
	count(c, 3, ACT_ACCEPT, REASON_NONE, true, 200);
	again = counters_open(dir, "exim", false, why, sizeof(why));
	assert_non_null(again);
	assert_int_equal(figures(again, 3).accepted[COUNT_TLS], 1);
	counters_close(again);
	counters_close(c);
}

static void
more_names_than_rows(void **state)
{
	struct counters *c = open_rows("exim", 16);
	struct count other = { 0 };
	unsigned d, own = 0, round;

	(void)state;
	for (round = 0; round < 2; round++)
		for (d = 0; d < DOMAINS; d++)
			count(c, d, ACT_ACCEPT, REASON_NONE, false, 1);
	for (d = 0; d < DOMAINS; d++)
		own += (unsigned)figures(c, d).accepted[COUNT_CLEAR];
	assert_true(counters_other(c, &other));
	assert_int_equal(own, 2 * 15);
	assert_int_equal(other.accepted[COUNT_CLEAR], 2 * (DOMAINS - 15));
	counters_close(c);
}

static void
put_file(const char *text, size_t len, off_t size)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/exim/counters", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

/* A reader refuses what is there; a writer sets it aside, says so, and counts. */
static void
expect_set_aside(const char *sentence)
{
	struct counters *c;
	char path[128];

	assert_null(counters_open(dir, "exim", false, why, sizeof(why)));
	assert_non_null(strstr(why, sentence));
	assert_non_null(strstr(why, "/exim/counters: "));
	c = open_rows("exim", 64);
	assert_non_null(c);
	assert_non_null(strstr(why, sentence));
	assert_non_null(strstr(why, "set aside as counters.bad-"));
	assert_int_equal(files_like("exim", "counters.bad-"), 1);
	count(c, 1, ACT_ACCEPT, REASON_NONE, true, 1);
	assert_int_equal(figures(c, 1).accepted[COUNT_TLS], 1);
	counters_close(c);
	snprintf(path, sizeof(path), "%s/exim", dir);
	remove_flat(path);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void
foreign_files(void **state)
{
	_Alignas(64) char header[COUNTERS_PAGE];
	char path[128];
	struct counters *c;
	struct header *h = (struct header *)(void *)header;
	size_t size;

	(void)state;
	put_file("dear diary", 10, 10);
	expect_set_aside("is not a file of counters");
	put_file("", 0, 0);
	expect_set_aside("is not a file of counters");
	put_file("dear diary", 10, 65536);
	expect_set_aside("is not a file of counters");

	c = open_rows("exim", 64);
	memcpy(header, c->head, sizeof(header));
	size = c->size;
	counters_close(c);
	put_file(header, sizeof(header), (off_t)size - 1);
	expect_set_aside("has the wrong length");
	h->version++;
	put_file(header, sizeof(header), (off_t)size);
	expect_set_aside("has the layout of another version");
	h->version--;
	h->nrows = 0x80000000u;
	put_file(header, sizeof(header), (off_t)size);
	expect_set_aside("has a damaged header");
	h->nrows = 64;
	h->next = 65;
	put_file(header, sizeof(header), (off_t)size);
	expect_set_aside("has a damaged header");

	snprintf(path, sizeof(path), "%s/exim/counters", dir);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	expect_set_aside("Too many levels of symbolic links");
	assert_int_equal(mkfifo(path, 0644), 0);
	expect_set_aside("is not a plain file");
	assert_int_equal(mkdir(path, 0755), 0);
	expect_set_aside("");
}

static void
folders_not_to_be_trusted(void **state)
{
	char path[128];

	(void)state;
	assert_null(counters_open(dir, "none", true, why, sizeof(why)));
	assert_non_null(strstr(why, "/none: No such file or directory; `tlsward setup`"));
	snprintf(path, sizeof(path), "%s/exim", dir);
	assert_int_equal(chmod(path, 0777), 0);
	assert_null(counters_open(dir, "exim", true, why, sizeof(why)));
	assert_non_null(strstr(why, "chmod 755"));
	assert_int_equal(chmod(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/link", dir);
	assert_int_equal(symlink("exim", path), 0);
	assert_null(counters_open(dir, "link", true, why, sizeof(why)));
	unlink(path);
}

/* Runs fn as nobody where we are root, for permissions mean nothing to root. */
static void
as_nobody(void (*fn)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		if (geteuid() == 0 && (setgid(65534) == -1 || setuid(65534) == -1))
			_exit(9);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
denied(void)
{
	if (counters_open(dir, "exim", true, why, sizeof(why)) != NULL)
		_exit(1);
	if (strstr(why, "cannot be made: Permission denied") == NULL) {
		fprintf(stderr, "%s\n", why);
		_exit(2);
	}
}

static void
denied_file(void)
{
	struct counters *c;

	if (counters_open(dir, "exim", true, why, sizeof(why)) != NULL)
		_exit(1);
	if (strstr(why, "counters: Permission denied") == NULL) {
		fprintf(stderr, "%s\n", why);
		_exit(2);
	}
	if ((c = counters_open(dir, "exim", false, why, sizeof(why))) == NULL)
		_exit(3);
	counters_close(c);
}

static void
read_only_folder(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/exim", dir);
	assert_int_equal(chmod(path, 0555), 0);
	as_nobody(denied);
	assert_int_equal(chmod(path, 0755), 0);
	counters_close(open_rows("exim", 64));
	snprintf(path, sizeof(path), "%s/exim/counters", dir);
	assert_int_equal(chmod(path, 0444), 0);
	as_nobody(denied_file);
}

/* Fills a tmpfs while rows are taken: what has no row goes to "other", the sum is exact, no SIGBUS. */
static int
fill_small_tmpfs(void)
{
	struct counters *c;
	struct count other = { 0 };
	uint64_t sum = 0;
	char name[512];
	static const char block[4096];
	unsigned i;
	int fd;

	if (unshare(CLONE_NEWNS) == -1 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
		return 77;
	snprintf(name, sizeof(name), "%s/exim", dir);
	if (mount("tmpfs", name, "tmpfs", 0, "size=256k,mode=755") == -1)
		return 77;
	/* Too small for the file of usual size: an answer, nothing left behind. */
	if ((c = counters_open(dir, "exim", true, why, sizeof(why))) != NULL)
		return 1;
	if (strstr(why, "No space left on device") == NULL || files_like("exim", ".counters") != 0)
		return 2;
	/* Room for the index and the first chunk of rows; then the disk fills up. */
	if ((c = counters_open_rows(dir, "exim", true, 1024, why, sizeof(why))) == NULL)
		return 3;
	snprintf(name, sizeof(name), "%s/exim/ballast", dir);
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	while (write(fd, block, sizeof(block)) > 0)
		;
	atomic_store(&c->head->next, COUNTERS_CHUNK - 10);
	for (i = 0; i < DOMAINS; i++)
		count(c, i, ACT_ACCEPT, REASON_NONE, false, 1000);
	for (i = 0; i < DOMAINS; i++)
		sum += figures(c, i).accepted[COUNT_CLEAR];
	counters_other(c, &other);
	if (sum != 10 || other.accepted[COUNT_CLEAR] != DOMAINS - 10)
		return 4;
	if (!counters_tell(c, 1000, why, sizeof(why)) || strstr(why, "no space on the disk") == NULL ||
	    counters_tell(c, 1000, why, sizeof(why)))
		return 6;
	/* Space again: after a pause the others get their rows. */
	close(fd);
	unlink(name);
	for (i = 0; i < DOMAINS; i++)
		count(c, i, ACT_ACCEPT, REASON_NONE, false, 1100);
	for (i = 0, sum = 0; i < DOMAINS; i++)
		sum += figures(c, i).accepted[COUNT_CLEAR];
	counters_close(c);
	return sum == 10 + DOMAINS ? 0 : 5;
}

static void
full_disk(void **state)
{
	int status = -1;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	if ((pid = fork()) == 0)
		_exit(fill_small_tmpfs());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_false(WIFSIGNALED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
reader_adds_up_front_ends(void **state)
{
	struct counters_all *all = counters_all_open(dir);
	struct counters *exim, *smtpd;
	struct count sum;
	char path[128];

	(void)state;
	assert_non_null(all);
	assert_int_equal(counters_all_files(all), 0);
	assert_int_equal(counters_all_since(all), 0);
	assert_non_null(strstr(counters_all_why(all, 0), "no mail has been counted yet"));
	exim = open_rows("exim", 64);
	count(exim, 5, ACT_REFUSE, REASON_TLS_MISSING, false, 300);
	counters_all_refresh(all);
	smtpd = open_rows("opensmtpd", 128);
	count(smtpd, 5, ACT_REFUSE, REASON_TLS_MISSING, false, 200);
	count(smtpd, 5, ACT_ACCEPT, REASON_NONE, true, 400);
	assert_int_equal(counters_all_files(all), 1);
	counters_all_refresh(all);
	assert_int_equal(counters_all_files(all), 2);
	assert_null(counters_all_why(all, 0));
	assert_true(counters_all_since(all) >= counters_since(exim));
	counters_all_get(all, SEC_DOMAIN, "d5.example", &sum);
	assert_int_equal(sum.refused[REASON_TLS_MISSING], 2);
	assert_int_equal(sum.accepted[COUNT_TLS], 1);
	assert_int_equal(sum.last_refusal, 300);
	counters_all_get(all, SEC_DOMAIN, "d6.example", &sum);
	assert_int_equal(count_sum(sum.refused), 0);

	/* A file made anew, or cut short, is noticed. */
	snprintf(path, sizeof(path), "%s/exim/counters", dir);
	unlink(path);
	counters_all_refresh(all);
	assert_int_equal(counters_all_files(all), 1);
	snprintf(path, sizeof(path), "%s/opensmtpd/counters", dir);
	assert_int_equal(truncate(path, 100), 0);
	counters_all_refresh(all);
	assert_int_equal(counters_all_files(all), 0);
	counters_all_get(all, SEC_DOMAIN, "d5.example", &sum);
	assert_int_equal(count_sum(sum.refused), 0);
	counters_close(exim);
	counters_close(smtpd);
	counters_all_close(all);
}

/* ---- the last refusals ---- */

/* A refusal whose every part follows from i. */
static void
refuse(struct counters *c, uint64_t i)
{
	struct facts f = { .client = { .family = ADDR_IPV4, .prefix = 32 } };
	struct verdict v = { .action = i % 2 == 0 ? ACT_REFUSE : ACT_DEFER, .counted = true,
	    .reason = (enum reason)(1 + i % (REASON_MAX - 1)) };
	char name[32];

	memcpy(f.client.ip, &i, 4);
	domain_name(name, (unsigned)(i % DOMAINS));
	v.rule = i % 7 == 0 ? NULL : settings_find(settings, SEC_DOMAIN, name);
	counters_add(c, settings, &f, &v, 1000 + i);
}

static void
is_refusal(const struct recent *r)
{
	uint64_t i = r->time - 1000;
	char name[32];

	domain_name(name, (unsigned)(i % DOMAINS));
	assert_int_equal(r->action, i % 2 == 0 ? ACT_REFUSE : ACT_DEFER);
	assert_int_equal(r->reason, 1 + i % (REASON_MAX - 1));
	assert_int_equal(r->section, i % 7 == 0 ? SEC_MAX : SEC_DOMAIN);
	assert_string_equal(r->name, i % 7 == 0 ? "" : name);
	assert_int_equal(r->client.family, ADDR_IPV4);
	assert_memory_equal(r->client.ip, &i, 4);
}

static void
last_refusals(void **state)
{
	struct counters *c = open_rows("exim", 64);
	struct counters_all *all;
	struct recent list[COUNTERS_RECENT];
	struct counters_life life;

	(void)state;
	all = counters_all_open(dir);
	assert_int_equal(counters_all_recent(all, 1, list), 0);
	count(c, 1, ACT_ACCEPT, REASON_NONE, true, 1);
	count(c, 1, ACT_REPORT, REASON_TLS_BITS, true, 1);
	assert_int_equal(counters_recent(c, list), 0);
	for (uint64_t i = 0; i < 150; i++)
		refuse(c, i);
	assert_int_equal(counters_recent(c, list), COUNTERS_RECENT);
	for (unsigned i = 0; i < COUNTERS_RECENT; i++) {
		assert_int_equal(list[i].number, 150 - COUNTERS_RECENT + 1 + i);
		assert_int_equal(list[i].time, 1000 + list[i].number - 1);
		is_refusal(&list[i]);
	}
	counters_close(c);

	/* They survive the writer; half of one is passed over, like one of nonsense. */
	c = open_rows("exim", 64);
	c->recent[100 % COUNTERS_RECENT].word[3] ^= 1;
	c->recent[101 % COUNTERS_RECENT].number = 165;
	c->recent[102 % COUNTERS_RECENT].number = 0;
	assert_int_equal(counters_all_recent(all, 1, list), COUNTERS_RECENT - 3);
	assert_int_equal(counters_all_recent(all, 0, list), 0);
	assert_int_equal(counters_all_recent(all, 2, list), 0);
	counters_alive(c, 7);
	counters_all_life(all, 1, &life);
	assert_int_equal(life.starts, 2);
	assert_int_equal(life.calls, 152);
	assert_int_equal(life.last_seen, 7);
	assert_in_range(life.last_start, (uint64_t)time(NULL) - 5, (uint64_t)time(NULL));
	counters_all_life(all, 0, &life);
	assert_int_equal(life.starts, 0);
	counters_close(c);
	counters_all_close(all);
}

/* Eight refuse as fast as they can and are killed: what a reader sees is whole. */
static void
refusals_are_whole(void **state)
{
	struct counters *c = open_rows("exim", 64);
	struct recent list[COUNTERS_RECENT];
	struct timespec pause = { .tv_nsec = 30 * 1000 * 1000 };
	pid_t pid[WRITERS];
	size_t seen = 0;

	(void)state;
	for (int round = 0; round < 10; round++) {
		for (unsigned w = 0; w < WRITERS; w++)
			if ((pid[w] = fork()) == 0)
				for (uint64_t i = w * 1000003u;; i++)
					refuse(c, i);
		nanosleep(&pause, NULL);
		for (int look = 0; look < 100; look++) {
			size_t n = counters_recent(c, list);

			for (size_t i = 0; i < n; i++)
				is_refusal(&list[i]);
			seen += n;
		}
		for (unsigned w = 0; w < WRITERS; w++) {
			kill(pid[w], SIGKILL);
			assert_int_not_equal(waitpid(pid[w], NULL, 0), -1);
		}
	}
	assert_true(seen > 1000);
	for (uint64_t i = 0; i < COUNTERS_RECENT; i++)
		refuse(c, i);
	assert_int_equal(counters_recent(c, list), COUNTERS_RECENT);
	counters_close(c);
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		TEST(what_is_counted_where),
		TEST(exact_with_eight_writers_and_one_killed),
		TEST(racing_for_new_names),
		TEST(killed_at_any_moment),
		TEST(a_bucket_that_names_a_foreign_row),
		TEST(survives_restart_and_removal),
		TEST(more_names_than_rows),
		TEST(foreign_files),
		TEST(folders_not_to_be_trusted),
		TEST(read_only_folder),
		TEST(full_disk),
		TEST(reader_adds_up_front_ends),
		TEST(last_refusals),
		TEST(refusals_are_whole),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_settings, free_settings);
}
