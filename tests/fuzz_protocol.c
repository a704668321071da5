/*
 * libFuzzer: lines of smtpd's filter protocol, a whole run of a filter.  A line
 * that begins with '!' is one of smtpd's log instead, a '?' lets a second pass.
 * Each request is answered once, in the protocol's own form; and what is only lines of
 * the protocol is answered the same when many are taken at a time.
 */
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cert_verify.h"
#include "evidence.h"
#include "fuzz_settings.h"
#include "protocol.h"

static char path[64], folder[] = "/tmp/tlsward-fuzz-XXXXXX";
static struct hold hold;		/* read once */
static struct feed *feed;

static void
once(void)
{
	char why[512], name[64];
	int fd = memfd_create("ini", MFD_CLOEXEC);

	must(fd != -1 && write(fd, fuzz_text, sizeof(fuzz_text) - 1) > 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	hold_init(&hold, path);
	must(hold_refresh(&hold, NULL));
	must(mkdtemp(folder) != NULL && (feed = feed_open(folder, why, sizeof(why))) != NULL);
	snprintf(name, sizeof(name), "%s/feed", folder);
	(void)unlink(name);
	snprintf(name, sizeof(name), "%s/feed.sock", folder);
	(void)unlink(name);
	(void)rmdir(folder);
}

/* Looks at what was answered, and takes it away; the number of answers. */
static size_t
answers(struct filter *f)
{
	const char *p = f->out.buf + f->out.start, *end = p + lineout_pending(&f->out), *nl;
	size_t n = 0;

	for (; p < end; p = nl + 1) {
		must((nl = memchr(p, '\n', (size_t)(end - p))) != NULL);
		must(strncmp(p, "register|", 9) == 0 || strncmp(p, "filter-result|", 14) == 0 ||
		    strncmp(p, "filter-dataline|", 16) == 0);
		n += p[7] == 'r' && p[0] == 'f';	/* a filter-result */
	}
	f->out.start = f->out.end = 0;
	return n;
}

static void
one(struct filter *f, char *line, size_t len)
{
	struct feed_entry e;

	if (line[0] == '?')
		protocol_due(f, f->now += PENDING_MS);
	else if (line[0] != '!')
		protocol_line(f, line, len, true);
	else if (feed_parse(line + 1, len - 1, &e))
		evidence_told(f, &e);
}

static void
begin(struct filter *f)
{
	memset(f, 0, sizeof(*f));
	f->now = 1000;
	f->crosscheck = true;
	f->hold = hold;
	f->feed = feed;
	f->complaints.what = f->strangers.what = f->contradictions.what = f->unreadable.what = "lines";
	must(sessions_init(&f->sessions) && lineout_init(&f->out));
}

static void
end(struct filter *f)
{
	must(f->pending.first == NULL);
	hold = f->hold;
	cert_verifier_free(f->verifier);
	sessions_free(&f->sessions);
	lineout_free(&f->out);
}

/* A copy of what is answered so far. */
static char *
taken(const struct filter *f, size_t *len)
{
	char *copy = malloc(f->out.size);

	must(copy != NULL && f->out.start == 0);
	*len = lineout_pending(&f->out);
	memcpy(copy, f->out.buf, *len);
	return copy;
}

/* All at a time; the answers are as many and the same as one by one. */
static void
same_in_turns(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *rest = text, *line, *one_by_one;
	struct linein in = { .buf = malloc(size + 1), .end = size, .size = size, .eof = true };
	struct filter f;
	size_t len;

	must(text != NULL && in.buf != NULL);
	memcpy(text, data, size);
	memcpy(in.buf, data, size);
	text[size] = '\0';
	begin(&f);
	while ((line = strsep(&rest, "\n")) != NULL)
		if (rest != NULL || *line != '\0')
			protocol_line(&f, line, strlen(line), rest != NULL);
	protocol_due(&f, LLONG_MAX);
	one_by_one = taken(&f, &len);
	end(&f);
	begin(&f);
	protocol_lines(&f, &in);
	protocol_due(&f, LLONG_MAX);
	must(lineout_pending(&f.out) == len && memcmp(f.out.buf, one_by_one, len) == 0);
	end(&f);
	free(one_by_one);
	free(in.buf);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *rest = text, *line;
	size_t asked = 0, got = 0;
	struct filter f;

	must(text != NULL);
	if (feed == NULL)
		once();
	begin(&f);
	memcpy(text, data, size);
	text[size] = '\0';
	while ((line = strsep(&rest, "\n")) != NULL) {
		size_t len = strlen(line);
		char *copy = strdup(line);	/* an end that ASan sees */

		must(copy != NULL);
		asked += strncmp(copy, "filter|", 7) == 0;
		one(&f, copy, len);
		free(copy);
		got += answers(&f);
		must(got <= asked);
	}
	protocol_due(&f, LLONG_MAX);
	got += answers(&f);
	must(got <= asked);
	end(&f);
	free(text);
	if (size < 16384 && memchr(data, '\0', size) == NULL && memchr(data, '?', size) == NULL)
		same_in_turns(data, size);
	return 0;
}
