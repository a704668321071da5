/* Changes to the INI: editors, other writers and SIGKILL in the middle of them. */
#include <sys/file.h>
#include <sys/wait.h>
#include <signal.h>

#include "edit_field.h"

/* ---- editors, who know no lock ---- */

static void
save(const char *text)
{
	char fresh[160];

	(void)snprintf(fresh, sizeof(fresh), "%s/editor", dir);
	put(fresh, text);
	assert_int_equal(rename(fresh, ini), 0);
}

static void
save_once(unsigned n)
{
	if (n == 0)
		save("; saved\n[server]\nmode = offer\n");
}

static void
editor_renames(void **state)
{
	(void)state;
	put(ini, "[server]\nmode = offer\n");
	sys.before = save_once;
	assert_int_equal(apply1(set(SEC_SERVER, "", KEY_MODE, "none"), NULL), EDIT_OK);
	expect(ini, "; saved\n[server]\nmode = none\n");
	assert_int_equal(sys.exchanges, 3);	/* in, back, and the second attempt */
	assert_int_equal(leftovers(false), 0);
}

/* Same size, and most likely within the same tick of the clock. */
static void
write_once(unsigned n)
{
	if (n == 0)
		put(ini, "; B\n[server]\nmode = offer\n");
}

static void
editor_writes_in_place(void **state)
{
	(void)state;
	put(ini, "; A\n[server]\nmode = offer\n");
	sys.before = write_once;
	assert_int_equal(apply1(set(SEC_SERVER, "", KEY_MODE, "none"), NULL), EDIT_OK);
	expect(ini, "; B\n[server]\nmode = none\n");
	assert_int_equal(leftovers(false), 0);
}

/* What the file said when it was read last; since then it was written to within a tick. */
static void
known_too_early(void **state)
{
	static const char text[] = "[server]\nmode = offer\n[domain a.example]\nmode = none\n";
	static const char bad[] = "[server]\nmode = offer\n[domain a.example]\nmode = nono\n";
	struct edit none = set(SEC_SERVER, "", KEY_MIN_BITS, "256");
	struct edit wrong = set(SEC_PEER, "b.example", KEY_CA, "nosuch");
	struct edit_result res;
	struct settings *known;
	struct file_id id;

	(void)state;
	put(ini, text);
	assert_non_null(known = settings_read(ini, false, NULL, NULL));
	/* it says so still */
	assert_int_equal(edit_apply_known(ini, known, &wrong, 1, &res), EDIT_INVALID);
	assert_non_null(strstr(res.text, ":7: would be an error"));
	assert_int_equal(res.wrong.section, SEC_PEER);
	assert_int_equal(res.wrong.key, KEY_CA);
	edit_result_free(&res);
	/* it does not, and is the same file to look at */
	put(ini, bad);
	assert_true(file_identify(ini, &id));
	settings_set_id(known, &id);
	assert_int_equal(edit_apply_known(ini, known, &none, 1, &res), EDIT_INVALID);
	assert_non_null(strstr(res.text, ":4: an error that is there already"));
	assert_int_equal(res.wrong.section, SEC_MAX);
	edit_result_free(&res);
	put(ini, "[server]\nmode = none\n[domain a.example]\nmode = none\n");
	assert_true(file_identify(ini, &id));
	settings_set_id(known, &id);
	assert_int_equal(edit_apply_known(ini, known, &none, 1, &res), EDIT_OK);
	assert_int_equal(settings_value(settings_find(res.settings, SEC_SERVER, ""), KEY_MODE), MODE_NONE);
	edit_result_free(&res);
	settings_free(known);
	expect(ini, "[server]\nmode = none\nmin_bits = 256\n[domain a.example]\nmode = none\n");
}

/* A second save, while the first is on its way back. */
static void
save_twice(unsigned n)
{
	if (n == 0)
		save("; first\n[server]\nmode = offer\n");
	else if (n == 1)
		save("; second\n[server]\nmode = offer\n");
}

static void
two_editors(void **state)
{
	(void)state;
	put(ini, "[server]\nmode = offer\n");
	sys.before = save_twice;
	assert_int_equal(apply1(set(SEC_SERVER, "", KEY_MODE, "none"), NULL), EDIT_OK);
	expect(ini, "; second\n[server]\nmode = none\n");
	assert_int_equal(leftovers(false), 0);
}

/* Into the new file, with the same size, as soon as it is there. */
static void
write_later(void)
{
	(void)usleep(20000);			/* some ticks of the clock */
	put(ini, "[server]\nmode = NONE\n");
}

static void
writes_to_the_new_one(void **state)
{
	struct edit e = set(SEC_SERVER, "", KEY_MODE, "none");
	struct edit_result res;
	struct file_id id;
	char text[1024];

	(void)state;
	put(ini, "[server]\nmode = offer\n");
	sys.placed = write_later;
	assert_int_equal(edit_apply(ini, &e, 1, &res), EDIT_OK);
	assert_true(file_identify(ini, &id));
	assert_false(file_id_equal(&id, &res.after));	/* nobody takes that text for ours, */
	assert_false(file_id_equal(&id, settings_id(res.settings)));
	sys.placed = NULL;
	assert_int_equal(edit_revert(ini, &res, text), EDIT_BUSY);	/* or takes it away */
	expect(ini, "[server]\nmode = NONE\n");
	edit_result_free(&res);
}

static void
mode_once(unsigned n)
{
	if (n == 0)
		assert_int_equal(chmod(ini, 0600), 0);
}

static void
mode_changes(void **state)
{
	struct stat st;

	(void)state;
	put(ini, "[server]\nmode = offer\n");
	sys.before = mode_once;
	assert_int_equal(apply1(set(SEC_SERVER, "", KEY_MODE, "none"), NULL), EDIT_OK);
	assert_int_equal(stat(ini, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* Whenever ours goes in, not when theirs goes back. */
static void
save_always(unsigned n)
{
	char text[80];

	if (n % 2 != 0)
		return;
	(void)snprintf(text, sizeof(text), "; %u\n[server]\nmode = offer\n", n);
	save(text);
}

static void
restless_editor(void **state)
{
	char why[1024], want[80];

	(void)state;
	put(ini, "[server]\nmode = offer\n");
	sys.before = save_always;
	assert_int_equal(apply1(set(SEC_SERVER, "", KEY_MODE, "none"), why), EDIT_BUSY);
	assert_true(sys.exchanges >= 4);
	(void)snprintf(want, sizeof(want), "; %u\n[server]\nmode = offer\n", sys.exchanges - 2);
	expect(ini, want);
	assert_int_equal(leftovers(false), 0);
}

static void
remove_file(unsigned n)
{
	if (n == 0)
		assert_int_equal(unlink(ini), 0);
}

/* Gone under our hands: it is not made anew. */
static void
file_goes(void **state)
{
	(void)state;
	put(ini, "[server]\nmode = offer\n");
	sys.before = remove_file;
	assert_int_equal(apply1(set(SEC_SERVER, "", KEY_MODE, "none"), NULL), EDIT_FAILED);
	assert_int_equal(access(ini, F_OK), -1);
	assert_int_equal(leftovers(false), 0);
}

/* ---- other writers ---- */

static void
locked(void **state)
{
	struct timespec from, to;
	char why[1024];
	int fd;
	long ms;

	(void)state;
	put(ini, "[server]\nmode = offer\n");
	fd = open(ini, O_RDONLY);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(apply1(set(SEC_SERVER, "", KEY_MODE, "none"), why), EDIT_BUSY);
	(void)clock_gettime(CLOCK_MONOTONIC, &to);
	ms = (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000;
	assert_true(ms >= 400 && ms < 5000);
	assert_non_null(strstr(why, "locked"));
	(void)close(fd);
	assert_int_equal(apply1(set(SEC_SERVER, "", KEY_MODE, "none"), why), EDIT_OK);
}

enum { WRITERS = 8, EACH = 50 };

static int
writer(int me)
{
	char name[40];

	for (int i = 0; i < EACH; i++) {
		struct edit e = { .op = EDIT_ADD, .section = SEC_DOMAIN, .name = name };
		struct edit_result res;
		enum edit_status status;
		int tries = 0;

		(void)snprintf(name, sizeof(name), "w%d-%d.example", me, i);
		do {
			status = edit_apply(ini, &e, 1, &res);
			edit_result_free(&res);
		} while (status == EDIT_BUSY && ++tries < 100);
		if (status != EDIT_OK)
			return 1;
	}
	return 0;
}

static void
writers(void **state)
{
	pid_t pid[WRITERS];
	struct settings *s;
	char name[40];
	int status;

	(void)state;
	put(ini, "; all of them\n[server]\nmode = offer\n");
	for (int i = 0; i < WRITERS; i++) {
		pid[i] = fork();
		assert_true(pid[i] != -1);
		if (pid[i] == 0)
			_exit(writer(i));
	}
	for (int i = 0; i < WRITERS; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	s = settings_read(ini, false, read_report_file, stderr);
	assert_non_null(s);
	assert_int_equal(settings_count(s, SEC_DOMAIN), WRITERS * EACH);
	for (int i = 0; i < WRITERS; i++)
		for (int k = 0; k < EACH; k++) {
			(void)snprintf(name, sizeof(name), "w%d-%d.example", i, k);
			assert_non_null(settings_find(s, SEC_DOMAIN, name));
		}
	settings_free(s);
	assert_int_equal(leftovers(false), 0);
}

/* A writer is killed wherever it happens to be: the old text or the new. */
static void
killed(void **state)
{
	enum { ROUNDS = 100, SECTIONS = 500 };
	char *text[2], *now;
	size_t len = 0, size = SECTIONS * 50;
	int status, seen[2] = { 0, 0 }, between = 0;
	unsigned r = (unsigned)getpid(), span;
	struct timespec from, to;
	pid_t pid;

	(void)state;
	text[0] = malloc(size);
	assert_non_null(text[0]);
	len = (size_t)snprintf(text[0], size, "[server]\nmode = offer\n");
	for (int i = 0; i < SECTIONS; i++)
		len += (size_t)snprintf(text[0] + len, size - len, "\n[domain d%d.example]\n", i);
	put(ini, text[0]);
	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(apply1(set(SEC_DOMAIN, "d250.example", KEY_MODE, "require"), NULL), EDIT_OK);
	(void)clock_gettime(CLOCK_MONOTONIC, &to);
	/* some three edits long, and not forever */
	span = (unsigned)((to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000) * 4;
	span = span < 1000 ? 1000 : span > 200000 ? 200000 : span;
	text[1] = get(ini);
	for (int round = 0; round < ROUNDS; round++) {
		pid = fork();
		assert_true(pid != -1);
		while (pid == 0) {
			struct edit e[2] = { set(SEC_DOMAIN, "d250.example", KEY_MODE, "require"),
			    { EDIT_UNSET, SEC_DOMAIN, "d250.example", KEY_MODE, NULL } };
			struct edit_result res;

			for (int i = 0; i < 2; i++) {
				(void)edit_apply(ini, &e[i], 1, &res);
				edit_result_free(&res);
			}
		}
		r = r * 1103515245u + 12345u;
		(void)usleep(2000 + (r >> 8) % span);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		now = get(ini);
		status = strcmp(now, text[0]) == 0 ? 0 : strcmp(now, text[1]) == 0 ? 1 : 2;
		if (status == 2)
			fail_msg("round %d: %zu octets of neither text", round, strlen(now));
		seen[status]++;
		between += leftovers(false) != 0;
		free(now);
		(void)leftovers(true);
		put(ini, text[status]);
	}
	print_message("# killed: %d times the one text, %d times the other, %d times with a "
	    "temporary file\n", seen[0], seen[1], between);
	assert_true(seen[0] > 0 && seen[1] > 0);
	free(text[0]);
	free(text[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(editor_renames), CASE(editor_writes_in_place), CASE(known_too_early),
		CASE(two_editors),
		CASE(writes_to_the_new_one),
		CASE(mode_changes), CASE(restless_editor), CASE(file_goes),
		CASE(locked), CASE(writers), CASE(killed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
