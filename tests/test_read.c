/*
 * The reader.  Each tests/golden/ini/NAME.in has a NAME.ok with what is said
 * about it and, where it is good, what it says, written out as an INI whose
 * comments are line numbers.  `TLSWARD_UPDATE=1 build/test/test_read` writes
 * the .ok files anew: read the difference before you keep it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image.h"
#include "read.h"

#define GOLDEN "tests/golden/ini/"
#define CASES_LEAST 30		/* fewer: we are in the wrong folder */
#define MUTATIONS 150		/* of each file */

struct text {
	char *p;
	size_t len;
};

static bool
load(const char *path, struct text *t)
{
	FILE *f = fopen(path, "rb");
	struct stat st;

	*t = (struct text){ NULL, 0 };
	if (f == NULL)
		return false;
	assert_int_equal(fstat(fileno(f), &st), 0);
	t->p = malloc((size_t)st.st_size + 1);
	assert_non_null(t->p);
	t->len = fread(t->p, 1, (size_t)st.st_size, f);
	t->p[t->len] = '\0';
	assert_int_equal(t->len, (size_t)st.st_size);
	(void)fclose(f);
	return true;
}

/* ---- settings as an INI ---- */

static void
dump_list(FILE *f, const struct settings *s, const struct rule *r, enum key k)
{
	struct list l = settings_list(s, r, k);
	const char *name, *sep = " = ";
	const unsigned char *pin;
	uint32_t number;
	char buf[16];

	if (key_table[k].type == TYPE_NAMES)
		for (; (name = list_next_name(&l)) != NULL; sep = ",\n    ")
			(void)fprintf(f, "%s%s", sep, name);
	else if (key_table[k].type == TYPE_NUMBERS || key_table[k].type == TYPE_WORDS)
		for (; list_next_number(&l, &number); sep = ", ")
			(void)fprintf(f, "%s%s", sep, key_text(k, number, buf));
	else
		for (; (pin = list_next_pin(&l)) != NULL; sep = ",\n    ") {
			(void)fprintf(f, "%s%s", sep, pin[0] == PIN_SPKI ? "SPKI-SHA256:" : "SHA256:");
			for (int i = 1; i < 33; i++)
				(void)fprintf(f, "%02x", pin[i]);
		}
}

static void
dump_rule(FILE *f, const struct settings *s, const struct rule *r, bool lines)
{
	const char *name = settings_name(s, r);
	char buf[16];

	(void)fprintf(f, "[%s%s%s]", section_words[r->section], *name != '\0' ? " " : "", name);
	(void)fprintf(f, lines ? "\t; %u\n" : "\n", r->line);
	for (enum key k = 0; k < KEY_MAX; k++) {
		if (!rule_sets(r, k))
			continue;
		(void)fprintf(f, "%s", key_table[k].name);
		if (key_table[k].type >= TYPE_NAMES)
			dump_list(f, s, r, k);
		else if (key_table[k].type == TYPE_REF || key_table[k].type == TYPE_PATH)
			(void)fprintf(f, " = %s", settings_text(s, r, k));
		else
			(void)fprintf(f, " = %s", key_text(k, settings_value(r, k), buf));
		(void)fprintf(f, lines ? "\t; %u\n" : "\n", settings_line(s, r, k));
	}
}

static void
dump(FILE *f, const struct settings *s, bool lines)
{
	const struct rule *r;

	for (int sec = 0; sec < SEC_MAX; sec++)
		for (size_t i = 0; (r = settings_at(s, (enum section)sec, i)) != NULL; i++)
			dump_rule(f, s, r, lines);
}

/* What the .ok file has to say; the caller's to free. */
static struct text
judge(const struct text *in, const char *name, struct settings **out)
{
	struct text t = { NULL, 0 };
	FILE *f = open_memstream(&t.p, &t.len);

	assert_non_null(f);
	*out = settings_parse(in->p, in->len, name, NULL, true, read_report_file, f);
	(void)fprintf(f, *out != NULL ? "-- good\n" : "-- bad\n");
	if (*out != NULL)
		dump(f, *out, true);
	assert_int_equal(fclose(f), 0);
	return t;
}

/* What settings write out must read as the same settings. */
static void
again(const struct settings *s)
{
	struct text once = { NULL, 0 }, twice = { NULL, 0 };
	FILE *f = open_memstream(&once.p, &once.len);
	struct settings *copy;

	dump(f, s, false);
	(void)fclose(f);
	copy = settings_parse(once.p, once.len, "again", NULL, false, read_report_file, stderr);
	assert_non_null(copy);
	f = open_memstream(&twice.p, &twice.len);
	dump(f, copy, false);
	(void)fclose(f);
	assert_string_equal(once.p, twice.p);
	settings_free(copy);
	free(once.p);
	free(twice.p);
}

static void
test_golden(void **state)
{
	const char *path = *state, *name = strrchr(path, '/') + 1;
	struct text in, ok, got;
	struct settings *s;
	char okpath[256];
	FILE *f;

	(void)snprintf(okpath, sizeof(okpath), "%.*s.ok", (int)(strlen(path) - 3), path);
	assert_true(load(path, &in));
	got = judge(&in, name, &s);
	if (getenv("TLSWARD_UPDATE") != NULL) {
		assert_non_null(f = fopen(okpath, "wb"));
		assert_int_equal(fwrite(got.p, 1, got.len, f), got.len);
		assert_int_equal(fclose(f), 0);
	}
	if (!load(okpath, &ok))
		fail_msg("%s is missing", okpath);
	assert_string_equal(got.p, ok.p);
	if (s != NULL)
		again(s);
	settings_free(s);
	free(in.p);
	free(ok.p);
	free(got.p);
}

/* ---- whatever the octets are, an answer comes ---- */

static void
count_errors(void *arg, enum severity severity, const char *path, unsigned line,
    const char *text)
{
	(void)path;
	(void)line;
	assert_true(strlen(text) > 0);
	assert_null(strchr(text, '\n'));
	if (severity == SEV_ERROR)
		++*(unsigned *)arg;
}

static uint32_t
dice(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 16);
}

static void
mutate(struct text *t, const struct text *in)
{
	static const char spice[] = "[]=;#, \t\n\r\0.*:/\xc3\xbf" "a";

	memcpy(t->p, in->p, in->len);
	t->len = in->len;
	for (unsigned n = 1 + dice() % 8; n > 0 && t->len > 0; n--) {
		size_t at = dice() % t->len;

		switch (dice() % 4) {
		case 0:
			t->p[at] = (char)dice();
			break;
		case 1:
			t->p[at] = spice[dice() % (sizeof(spice) - 1)];
			break;
		case 2:
			memmove(t->p + at, t->p + at + 1, t->len - at - 1);
			t->len--;
			break;
		default:
			t->len = dice() % 16 == 0 ? at : t->len;
		}
	}
}

static void
test_mutations(void **state)
{
	struct settings *s;
	struct text in, t;
	unsigned errors;
	glob_t g;

	(void)state;
	assert_int_equal(glob(GOLDEN "*.in", 0, NULL, &g), 0);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		assert_true(load(g.gl_pathv[i], &in));
		t.p = malloc(in.len + 1);
		for (int n = 0; n < MUTATIONS; n++) {
			mutate(&t, &in);
			errors = 0;
			s = settings_parse(t.p, t.len, "x", NULL, true, count_errors, &errors);
			assert_true((s == NULL) == (errors > 0));
			settings_free(s);
		}
		free(t.p);
		free(in.p);
	}
	globfree(&g);
}

/* ---- files ---- */

static char folder[] = "/tmp/tlsward-read.XXXXXX";
static char file[64];

static void
keep_text(void *arg, enum severity severity, const char *path, unsigned line, const char *text)
{
	(void)severity;
	assert_string_equal(path, file);
	assert_int_equal(line, 0);
	(void)snprintf(arg, 256, "%s", text);
}

static void
write_file(const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
test_no_file(void **state)
{
	char text[256] = "";

	(void)state;
	(void)unlink(file);
	assert_null(settings_read(file, false, keep_text, text));
	assert_string_equal(text,
	    "cannot be read: No such file or directory; `tlsward setup` makes a first one; or name another");
	assert_null(settings_read(file, false, NULL, NULL));
}

static void
test_no_regular_file(void **state)
{
	char text[256] = "";

	(void)state;
	assert_int_equal(mkdir(file, 0700), 0);
	assert_null(settings_read(file, false, keep_text, text));
	assert_string_equal(text, "cannot be read: Is a directory; it must be a regular file");
	assert_int_equal(rmdir(file), 0);
	assert_int_equal(mkfifo(file, 0600), 0);
	assert_null(settings_read(file, false, keep_text, text));
	assert_string_equal(text, "cannot be read: Not a file; it must be a regular file");
	assert_int_equal(unlink(file), 0);
}

static void
test_forbidden_file(void **state)
{
	char text[256] = "";

	(void)state;
	write_file("[server]\n");
	assert_int_equal(chmod(file, 0), 0);
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	assert_null(settings_read(file, false, keep_text, text));
	if (geteuid() != getuid())
		assert_int_equal(seteuid(getuid()), 0);
	assert_true(strncmp(text, "cannot be read: Permission denied; ", 35) == 0);
	assert_int_equal(unlink(file), 0);
}

/* Each of them for who asks for all, a hundred and their number for others. */
static void
test_all(void **state)
{
	unsigned errors = 0;
	FILE *f = fopen(file, "w");

	(void)state;
	assert_non_null(f);
	for (int i = 0; i < 1000; i++)
		(void)fprintf(f, "[domain d%d.example]\nmode = maybe\n", i);
	assert_int_equal(fclose(f), 0);
	assert_null(settings_read_all(file, count_errors, &errors));
	assert_int_equal(errors, 1000);
	errors = 0;
	assert_null(settings_read(file, true, count_errors, &errors));
	assert_int_equal(errors, 101);
	assert_int_equal(unlink(file), 0);
}

/* ---- from a file, piece by piece, and from memory ---- */

#define PIECES (300 << 10)	/* octets of text: more than are read at a time */

static void
tell(void *arg, enum severity severity, const char *path, unsigned line, const char *text)
{
	(void)path;
	(void)fprintf(arg, "%d %u %s\n", severity, line, text);
}

/* Right lines; with `bad` some that are not, among them longer ones than a piece. */
static size_t
any_text(char *p, unsigned seed, bool bad)
{
	static const char *const lines[] = {
		"mode = require\n", "; a comment\n", "\n", "min_bits = 256\r\n", "min_tls = 1.3\n",
		"cert_names = a.example,\n  .b.example, *.c.example\n", "match_cn\t:\tyes ; so\n",
	};
	size_t len = 0, n;

	for (unsigned i = 0; len < PIECES - 300; i++) {
		len += (size_t)snprintf(p + len, PIECES - len, "[%s %s%u.example]\n",
		    i % 3 == 0 ? "peer" : "domain", i % 7 == 0 ? "." : "", i);
		for (size_t k = 0; k < sizeof(lines) / sizeof(lines[0]); k++)
			if (((seed = seed * 1664525 + 1013904223) >> 24 & 3) == 0)
				len += (size_t)snprintf(p + len, PIECES - len, "%s", lines[k]);
		if (bad && (seed >> 8) % 700 == 0) {
			n = seed >> 24 & 1 ? (size_t)70 << 10 : 1;
			n = n < PIECES - 300 - len ? n : 0;
			memset(p + len, n == 1 ? 0 : 'x', n);
			len += n;
			p[len++] = '\n';
		}
	}
	return len;
}

static void
test_pieces(void **state)
{
	struct settings *one;
	struct text said[2];
	void *image[2];
	size_t size[2], len;
	char *text;
	unsigned good = 0;
	FILE *f;

	(void)state;
	assert_non_null(text = malloc(PIECES));
	for (unsigned n = 0; n < 60; n++) {
		len = n == 0 ? 0 : n == 1 ? 64 << 10 : any_text(text, n, n % 2 == 0);
		if (n == 1)
			memset(text, '\n', len);
		assert_non_null(f = fopen(file, "w"));
		assert_int_equal(fwrite(text, 1, len, f), len);
		assert_int_equal(fclose(f), 0);
		for (int i = 0; i < 2; i++) {
			assert_non_null(f = open_memstream(&said[i].p, &said[i].len));
			one = i == 0 ? settings_read(file, true, tell, f) :
			    settings_parse(text, len, file, NULL, true, tell, f);
			assert_int_equal(fclose(f), 0);
			if (one != NULL)
				settings_set_id(one, &(struct file_id){ 0 });
			image[i] = one != NULL ? settings_image(one, &size[i]) : NULL;
			settings_free(one);
		}
		assert_string_equal(said[0].p, said[1].p);
		assert_true((image[0] == NULL) == (image[1] == NULL));
		if (image[0] != NULL) {
			assert_int_equal(size[0], size[1]);
			assert_memory_equal(image[0], image[1], size[0]);
			good++;
		}
		for (int i = 0; i < 2; i++) {
			free(said[i].p);
			free(image[i]);
		}
	}
	assert_in_range(good, 28, 59);	/* the first two have no section */
	free(text);
	assert_int_equal(unlink(file), 0);
}

static void
test_identity(void **state)
{
	struct settings *one, *two;
	struct file_id a, b;

	(void)state;
	write_file("[server]\nmode = offer\n");
	assert_true(file_identify(file, &a));
	assert_non_null(one = settings_read(file, false, read_report_file, stderr));
	assert_true(file_id_equal(&a, settings_id(one)));
	assert_string_equal(settings_path(one), file);
	assert_int_equal(unlink(file), 0);
	assert_false(file_identify(file, &b));
	assert_int_equal(errno, ENOENT);

	write_file("[server]\nmode = offer\n");		/* the same text, another file */
	assert_non_null(two = settings_read(file, false, read_report_file, stderr));
	assert_false(file_id_equal(settings_id(one), settings_id(two)));
	assert_true(settings_generation(one) == settings_generation(two));
	settings_free(two);

	write_file("[server]\nmode = none\n");
	assert_non_null(two = settings_read(file, false, read_report_file, stderr));
	assert_true(settings_generation(one) != settings_generation(two));
	settings_free(two);
	settings_free(one);
	assert_int_equal(unlink(file), 0);
}

/* Each octet of the text counts in the digest, and its length does. */
static void
test_generation(void **state)
{
	char text[64 + 8] = "[server]";
	uint64_t seen[64];
	struct settings *s;

	(void)state;
	memset(text + 8, '\n', sizeof(text) - 8);
	for (size_t i = 0; i < 64; i++) {
		if (i > 1)
			text[8 + i - 1] = ';';
		s = settings_parse(text, 8 + i, "x", NULL, false, NULL, NULL);
		assert_non_null(s);
		seen[i] = settings_generation(s);
		settings_free(s);
		for (size_t j = 0; j < i; j++)
			assert_true(seen[i] != seen[j]);
	}
}

/* The sample is good as it comes, whether its certificates exist or not. */
static void
test_sample(void **state)
{
	struct settings *s;
	unsigned problems = 0;

	(void)state;
	s = settings_read("conf/tlsward.ini", true, count_errors, &problems);
	assert_non_null(s);
	assert_int_equal(problems, 0);
	settings_free(s);
}

/* Every line of the sample that is commented out is good too. */
static void
test_sample_uncommented(void **state)
{
	struct settings *s;
	struct text in;
	unsigned problems = 0;
	size_t n = 0;

	(void)state;
	assert_true(load("conf/tlsward.ini", &in));
	for (size_t i = 0; i < in.len; i++)	/* ";key = value", "; more of a list" */
		if (!(in.p[i] == ';' && (i == 0 || in.p[i - 1] == '\n') &&
		    ((in.p[i + 1] != ' ' && in.p[i + 1] != '\n') ||
		    strncmp(in.p + i, "; SHA256:0", 10) == 0 ||
		    strncmp(in.p + i, "; SPKI-SHA256:0", 15) == 0)))
			in.p[n++] = in.p[i];
	s = settings_parse(in.p, n, "sample", NULL, true, count_errors, &problems);
	assert_non_null(s);
	for (int sec = 0; sec < SEC_MAX; sec++)
		assert_true(settings_count(s, (enum section)sec) > 0);
	for (enum key k = 0; k < KEY_MAX; k++) {
		bool set = false;

		for (int sec = 0; sec < SEC_MAX; sec++)
			for (size_t i = 0; i < settings_count(s, (enum section)sec); i++)
				set |= rule_sets(settings_at(s, (enum section)sec, i), k);
		if (!set)
			fail_msg("the sample has no %s", key_table[k].name);
	}
	settings_free(s);
	free(in.p);
}

int
main(void)
{
	static const struct CMUnitTest fixed[] = {
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_no_regular_file),
		cmocka_unit_test(test_forbidden_file),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_generation),
		cmocka_unit_test(test_sample),
		cmocka_unit_test(test_sample_uncommented),
	};
	const size_t nfixed = sizeof(fixed) / sizeof(fixed[0]);
	struct CMUnitTest *tests;
	glob_t g;
	int failed;

	if (glob(GOLDEN "*.in", 0, NULL, &g) != 0 || g.gl_pathc < CASES_LEAST ||
	    mkdtemp(folder) == NULL || chmod(folder, 0711) == -1)
		return 2;
	(void)snprintf(file, sizeof(file), "%s/tlsward.ini", folder);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	if ((tests = calloc(g.gl_pathc + nfixed, sizeof(*tests))) == NULL)
		return 2;
	for (size_t i = 0; i < g.gl_pathc; i++) {
		tests[i].name = strrchr(g.gl_pathv[i], '/') + 1;
		tests[i].test_func = test_golden;
		tests[i].initial_state = g.gl_pathv[i];
	}
	memcpy(tests + g.gl_pathc, fixed, sizeof(fixed));
	failed = _cmocka_run_group_tests("read", tests, g.gl_pathc + nfixed, NULL, NULL);
	free(tests);
	globfree(&g);
	(void)rmdir(folder);
	return failed;
}
