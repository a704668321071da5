#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "check.h"
#include "nearest.h"
#include "problem.h"
#include "read.h"
#include "reader.h"

/*
 * libinih 55 as Debian builds it takes lines of 200 octets with line end and
 * NUL, cuts section names at 49 without a word, ends them at the first ']'
 * (that of an IPv6 listener comes too early), tells of no empty section and
 * leaves comments in continuation lines.  So next_line takes the section
 * headers itself and gives the library a stand-in; everything else is the
 * library's to take apart, and it calls reader_key before it asks for the
 * next line.
 */
#define STAND_IN "[s]"
#define NUL_FOUND "a NUL octet: this is no line of text, remove it"

static void
trim(const char **text, size_t *len)
{
	while (*len > 0 && blank(**text)) {
		(*text)++;
		(*len)--;
	}
	while (*len > 0 && blank((*text)[*len - 1]))
		(*len)--;
}

/* ---- sections ---- */

static void
unknown_section(struct reader *r, const char *word, size_t len)
{
	const char *near = nearest(word, len, section_words, SEC_MAX);
	char buf[SHOWN_SIZE];

	(void)shown(word, len, buf);
	if (near != NULL)
		problem(r->problems, SEV_ERROR, r->line,
		    "unknown section [%s]: did you mean [%s%s]?", buf, near,
		    section_named(section_find(near, strlen(near))) ? " NAME" : "");
	else
		problem(r->problems, SEV_ERROR, r->line, "unknown section [%s]: there are "
		    "server, listener, client, domain, peer, certificate, ca and agent", buf);
}

/* What stands between a header's brackets: a word and, mostly, a name. */
static void
take_title(struct reader *r, const char *title, size_t len)
{
	char name[NAME_SIZE], buf[SHOWN_SIZE];
	const char *rest, *why;
	struct addr addr;
	size_t word = 0;

	while (word < len && !blank(title[word]))
		word++;
	rest = title + word;
	len -= word;
	trim(&rest, &len);
	r->section = section_find(title, word);
	if (r->section == SEC_MAX) {
		unknown_section(r, title, word);
		return;
	}
	why = section_name_normal(r->section, rest, len, name, sizeof(name));
	if (why != NULL && len == 0)
		problem(r->problems, SEV_ERROR, r->line, "[%s] needs a name: [%s NAME]",
		    section_words[r->section], section_words[r->section]);
	else if (why != NULL)
		problem(r->problems, SEV_ERROR, r->line, "[%s]: `%s` %s",
		    section_words[r->section], shown(rest, len, buf), why);
	if (why != NULL)
		return;
	r->store = true;
	if (r->section == SEC_LISTENER)
		(void)addr_listener(name, strlen(name), &addr);
	else if (r->section == SEC_CLIENT)
		(void)addr_network(name, strlen(name), &addr);
	else
		memset(&addr, 0, sizeof(addr));
	build_section(r->build, r->section, name, &addr, r->line);
}

/* Where the bracket is that closes the header's; len: nowhere. */
static size_t
header_end(const char *line, size_t len)
{
	const char *close = memchr(line, ']', len);
	size_t i = 0;
	int depth = 0;

	if (close == NULL)
		return len;
	if (memchr(line + 1, '[', (size_t)(close - line - 1)) == NULL)
		return (size_t)(close - line);
	do {
		depth += line[i] == '[' ? 1 : line[i] == ']' ? -1 : 0;
	} while (depth > 0 && ++i < len);
	return i;
}

/* A line whose first octet is '['. */
static void
take_header(struct reader *r, const char *line, size_t len)
{
	char buf[SHOWN_SIZE];
	const char *rest, *title = line + 1;
	size_t i, rest_len;

	reader_end_key(r);
	r->begun = true;
	r->has_key = r->store = false;
	r->section = SEC_MAX;
	r->set = 0;
	if (memchr(line, '\0', len) != NULL) {
		problem(r->problems, SEV_ERROR, r->line, NUL_FOUND);
		return;
	}
	if (len > HEADER_MAX) {
		problem(r->problems, SEV_ERROR, r->line,
		    "the section's header has %zu octets: at most %d are taken", len, HEADER_MAX);
		return;
	}
	if ((i = header_end(line, len)) == len) {
		problem(r->problems, SEV_ERROR, r->line,
		    "the section's header `%s` has no closing ]", shown(line, len, buf));
		return;
	}
	rest = line + i + 1;
	rest_len = len - i - 1;
	trim(&rest, &rest_len);
	if (rest_len > 0 && *rest != ';' && *rest != '#')
		problem(r->problems, SEV_ERROR, r->line, "`%s` behind the section's header: "
		    "only a comment may stand there", shown(rest, rest_len, buf));
	r->title_len = i - 1;
	trim(&title, &r->title_len);
	memcpy(r->title, title, r->title_len);
	take_title(r, r->title, r->title_len);
}

/* ---- lines ---- */

/* Did the library make anything of the line it had? */
static void
end_line(struct reader *r)
{
	if (r->expects && !r->handled) {
		problem(r->problems, SEV_ERROR, r->line,
		    "no `=`: a line is `key = value`, `[section]` or a comment");
		r->skip = true;
	}
	r->expects = r->handled = false;
}

/* A line that is no header, for the library; nothing where it need not or must not see it. */
static void
take_line(struct reader *r, const char *line, size_t len, char *out, size_t size)
{
	const size_t limit = size - 2;	/* as fgets(3) has it: line end, NUL */

	if (memchr(line, '\0', len) != NULL) {
		problem(r->problems, SEV_ERROR, r->line, NUL_FOUND);
		r->skip = true;
	} else if (len > limit) {
		problem(r->problems, SEV_ERROR, r->line, "the line has %zu octets: "
		    "at most %zu are taken; a list may go on in the next line, "
		    "behind a space", len, limit);
		r->skip = true;
	} else {
		memcpy(out, line, len);
		out[len] = '\0';
	}
}

/* The next line, without its '\n'; false: there is none. */
static bool
cut_line(struct reader *r, const char **line, size_t *len)
{
	const char *nl = NULL;
	size_t seen = 0;

	for (;;) {
		if (r->next + seen != r->end && (nl = memchr(r->next + seen, '\n',
		    (size_t)(r->end - r->next) - seen)) != NULL)
			break;
		seen = (size_t)(r->end - r->next);
		if (r->source == NULL || !source_more(r->source, &r->next, &r->end))
			break;
	}
	*line = r->next;
	*len = (size_t)((nl != NULL ? nl : r->end) - r->next);
	r->next = nl != NULL ? nl + 1 : r->end;
	return nl != NULL || *len > 0;
}

/* The library's reader: each call is one line of the file. */
static char *
next_line(char *out, int size, void *arg)
{
	struct reader *r = arg;
	const char *line, *text;
	size_t len, text_len;
	bool comment;

	end_line(r);
	if (!cut_line(r, &line, &len))
		return NULL;
	r->line++;
	if (len > 0 && line[len - 1] == '\r')
		len--;
	out[0] = '\0';
	text = line;
	text_len = len;
	trim(&text, &text_len);
	comment = text_len == 0 || *text == ';' || *text == '#';
	r->skip = r->skip && (comment || text != line);
	if (!comment && *text == '[') {
		if (text != line)
			problem(r->problems, SEV_ERROR, r->line,
			    "a section's header begins in the first column");
		take_header(r, text, text_len);
		memcpy(out, STAND_IN, sizeof(STAND_IN));
	} else if (comment || !r->skip) {
		if (!comment && text != line && !r->has_key)
			problem(r->problems, SEV_ERROR, r->line,
			    "a key begins in the first column: take the space in front away");
		take_line(r, line, len, out, (size_t)size);
		r->indented = text != line && r->has_key;
		r->expects = !comment && out[0] != '\0';
	}
	return out;
}

static void
section_twice(void *arg, enum section sec, const char *name, unsigned first, unsigned line)
{
	problem(arg, SEV_ERROR, line,
	    "[%s%s%s] is there twice, first at line %u: join the two", section_words[sec],
	    *name != '\0' ? " " : "", name, first);
}

uint64_t
settings_digest(const char *text, size_t len)
{
	return digest_end(digest_more(digest_start(len), text, len));
}

void
settings_warn(const struct settings *s, read_report *report, void *arg)
{
	struct problems *ps = calloc(1, sizeof(*ps));

	if (ps == NULL)
		return;
	settings_check(s, true, ps);
	(void)problems_tell(ps, settings_path(s), report, arg);
	free(ps);
}

/* All lines of the text, from next on. */
static void
take_lines(struct reader *r)
{
	static const char bom[] = "\xef\xbb\xbf";
	int rc;

	if (r->end - r->next >= 3 && memcmp(r->next, bom, 3) == 0)
		r->next += 3;
	rc = ini_parse_stream(next_line, r, reader_key, r);
	reader_end_key(r);
	if (rc != 0 && r->problems->found[SEV_ERROR] == 0 &&
	    (r->source == NULL || r->source->error == 0))
		problem(r->problems, SEV_ERROR, rc > 0 ? (unsigned)rc : 0, rc > 0 ? "is no INI file" :
		    "cannot be taken apart: out of memory, or libinih cannot be loaded");
}

static struct settings *
finish(struct reader *r, const char *path, const struct file_id *id, uint64_t generation)
{
	struct settings *s = build_finish(r->build, path, id, generation, section_twice, r->problems);

	if (s == NULL)
		problem(r->problems, SEV_ERROR, 0, "cannot be kept in memory: %s", strerror(errno));
	return s;
}

struct settings *
reader_parse(const char *text, size_t len, struct source *source, const char *path,
    const struct file_id *id, bool warn, struct problems *ps)
{
	struct reader r = { .key = KEY_MAX, .section = SEC_MAX };
	struct settings *s = NULL;

	if ((r.build = build_new(len)) == NULL) {
		problem(ps, SEV_ERROR, 0, "out of memory");
		return NULL;
	}
	r.problems = ps;
	r.source = source;
	if (source != NULL) {
		(void)source_more(source, &r.next, &r.end);
	} else {
		r.next = text;
		r.end = text + len;
	}
	take_lines(&r);
	if (source != NULL && source->error != 0)
		goto out;
	/* a file that was cut to nothing would take all rules away */
	if (!r.begun && ps->found[SEV_ERROR] == 0)
		problem(ps, SEV_ERROR, 0, "%s: write the section that every file has, `[server]` "
		    "at least", r.line == 0 ? "is empty" : "has no section");
	s = finish(&r, path, id, source != NULL ? digest_end(source->digest) :
	    settings_digest(text, len));
	if (s != NULL)
		settings_check(s, warn, ps);
out:
	build_free(r.build);
	return s;
}

struct settings *
reader_piece(const char *text, size_t len, unsigned line, struct problems *ps)
{
	struct reader r = { .next = text, .end = text + len, .problems = ps, .line = line - 1,
	    .key = KEY_MAX, .section = SEC_MAX };
	struct settings *s;

	if ((r.build = build_new(len)) == NULL)
		return NULL;
	take_lines(&r);
	s = finish(&r, "", NULL, 0);
	build_free(r.build);
	return s;
}

struct settings *
settings_parse(const char *text, size_t len, const char *path, const struct file_id *id,
    bool warn, read_report *report, void *arg)
{
	struct problems *ps = calloc(1, sizeof(*ps));
	struct settings *s;

	if (ps == NULL) {
		if (report != NULL)
			report(arg, SEV_ERROR, path, 0, "out of memory");
		return NULL;
	}
	s = reader_parse(text, len, NULL, path, id, warn, ps);
	if (!problems_tell(ps, path, report, arg)) {
		settings_free(s);
		s = NULL;
	}
	free(ps);
	return s;
}
