#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_smtpd_lex.h"

#define SOURCES_MAX 32		/* files and macros over one another */
#define INCLUDES_MAX 1000	/* in all */
#define MACROS_MAX 1000
#define TOKEN_MAX 8096		/* octets; smtpd's own limit */

/* Text that lives as long as the lexer. */
struct kept {
	struct kept *next;
	char text[];
};

struct source {
	const char *text;
	size_t len, pos;
	const char *file;		/* NULL: none, text that a macro led to */
	unsigned line;
	bool ended;			/* its last newline has been made up */
	bool value;			/* a macro's: not expanded again */
};

struct macro {
	const char *name, *value;
};

struct smtpd_lexer {
	struct source source[SOURCES_MAX];
	size_t depth;
	int held;			/* a character put back; EOF: none */
	struct macro macro[MACROS_MAX];
	size_t macros, includes;
	struct kept *kept;
	read_report *report;
	void *arg;
};

static void __attribute__((format(printf, 3, 4)))
wrong(struct smtpd_lexer *l, const struct place *at, const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	l->report(l->arg, SEV_ERROR, at->file, at->line, text);
}

/* NULL: out of memory. */
static const char *
keep(struct smtpd_lexer *l, const char *text, size_t len)
{
	struct kept *k = malloc(sizeof(*k) + len + 1);

	if (k == NULL)
		return NULL;
	memcpy(k->text, text, len);
	k->text[len] = '\0';
	k->next = l->kept;
	l->kept = k;
	return k->text;
}

/* ---- sources ---- */

static bool
lay_over(struct smtpd_lexer *l, const char *file, const char *text, size_t len)
{
	struct source *s;

	if (l->depth == SOURCES_MAX || text == NULL)
		return false;
	s = &l->source[l->depth++];
	memset(s, 0, sizeof(*s));
	s->file = file;
	s->text = text;
	s->len = len;
	s->line = 1;
	return true;
}

/* Where the innermost file stands. */
static struct place
here(const struct smtpd_lexer *l)
{
	size_t i = l->depth - 1;

	while (i > 0 && l->source[i].file == NULL)
		i--;
	return (struct place){ l->source[i].file, l->source[i].line };
}

/* The next character of all; a file's end is a newline first. */
static int
get(struct smtpd_lexer *l)
{
	struct source *s;
	int c = l->held;

	if (c != EOF) {
		l->held = EOF;
		return c;
	}
	for (;;) {
		s = &l->source[l->depth - 1];
		if (s->pos < s->len) {
			c = (unsigned char)s->text[s->pos++];
			if (c == '\n' && s->file != NULL)
				s->line++;
			return c;
		}
		if (s->file != NULL && !s->ended) {
			s->ended = true;
			return '\n';
		}
		if (l->depth == 1)
			return EOF;
		l->depth--;
	}
}

/* Outside quotes: a backslash joins lines, and makes any other character plain. */
static int
get_joined(struct smtpd_lexer *l)
{
	int c = get(l);

	while (c == '\\') {
		c = get(l);
		if (c != '\n')
			return c;
		c = get(l);
	}
	return c;
}

static void
skip_line(struct smtpd_lexer *l)
{
	int c;

	do {
		c = get_joined(l);
	} while (c != '\n' && c != EOF);
	l->held = c;
}

/* ---- tokens ---- */

static bool
word_goes_on(int c)
{
	return c != EOF && (isalnum(c) || (ispunct(c) && strchr("(){}<>!=#,", c) == NULL));
}

static struct token
token(struct smtpd_lexer *l, enum token_kind kind, const char *buf, size_t len,
    const struct place *at)
{
	struct token t = { .kind = kind, .at = *at };

	if (len >= TOKEN_MAX) {
		wrong(l, at, "a word or string is longer than smtpd takes (%d octets)", TOKEN_MAX);
		len = 0;
	}
	t.text = keep(l, buf, len);
	if (t.text == NULL) {
		wrong(l, at, "out of memory");
		t.text = "";
	}
	return t;
}

static struct token
quoted(struct smtpd_lexer *l, int quote, const struct place *at)
{
	char buf[TOKEN_MAX];
	size_t n = 0, depth = l->depth;
	int c;

	while ((c = get(l)) != quote) {
		if (c == EOF || l->depth < depth || (c == '\n' && l->source[depth - 1].ended)) {
			wrong(l, at, "a quoted string has no end");
			break;
		}
		if (c == '\n')			/* strings may go on; the newline is none of them */
			continue;
		if (c == '\\') {
			c = get(l);
			if (c == '\n')
				continue;
			if (c != quote && c != ' ' && c != '\t') {
				l->held = c;
				c = '\\';
			}
		}
		if (n < TOKEN_MAX)
			buf[n++] = (char)c;
	}
	return token(l, TOKEN_STRING, buf, n, at);
}

static struct token
bare(struct smtpd_lexer *l, int c, const struct place *at)
{
	char buf[TOKEN_MAX];
	size_t n = 0;

	do {
		if (n < TOKEN_MAX)
			buf[n++] = (char)c;
	} while (word_goes_on(c = get_joined(l)));
	l->held = c;
	return token(l, TOKEN_WORD, buf, n, at);
}

/* After a "$": the macro's value is read next, as if it stood there. */
static void
expand(struct smtpd_lexer *l, const struct place *at)
{
	char name[256];
	size_t n = 0, i;
	int c;

	while ((c = get_joined(l)) != EOF && (isalnum(c) || c == '_'))
		if (n < sizeof(name) - 1)
			name[n++] = (char)c;
	name[n] = '\0';
	for (i = l->macros; i-- > 0;)
		if (strcmp(l->macro[i].name, name) == 0)
			break;
	if (i >= l->macros) {
		wrong(l, at, "macro `%s` is not defined above", name);
		l->held = c;
		skip_line(l);
		return;
	}
	/* the character after the name comes after the value */
	if (c != EOF && (!lay_over(l, NULL, keep(l, (char[]){ (char)c }, 1), 1) ||
	    !lay_over(l, NULL, l->macro[i].value, strlen(l->macro[i].value))))
		wrong(l, at, "macros and files are nested more than %d deep", SOURCES_MAX);
	else
		l->source[l->depth - 1].value = c != EOF;
}

struct token
smtpd_lex_next(struct smtpd_lexer *l)
{
	struct place at;
	bool value;
	int c;

	for (;;) {
		do {
			c = get_joined(l);
		} while (c == ' ' || c == '\t' || c == '\r');
		at = here(l);
		value = l->source[l->depth - 1].value;
		if (c == '#') {
			skip_line(l);
			continue;
		}
		if (c != '$' || value)
			break;
		expand(l, &at);
	}
	if (c == EOF)
		return token(l, TOKEN_END, "", 0, &at);
	if (c == '\n')
		return token(l, TOKEN_NEWLINE, "", 0, &at);
	if (c == '"' || c == '\'')
		return quoted(l, c, &at);
	if (isalnum(c) || c == ':' || c == '_')
		return bare(l, c, &at);
	return token(l, TOKEN_SIGN, (char[]){ (char)c }, 1, &at);
}

/* ---- statements that change what is read ---- */

void
smtpd_lex_include(struct smtpd_lexer *l, const char *path, const struct place *at)
{
	const char *kept = NULL, *name = NULL;
	size_t len = 0, i;
	char *text;

	for (i = 0; i < l->depth; i++)
		if (l->source[i].file != NULL && strcmp(l->source[i].file, path) == 0)
			break;
	if (i < l->depth || l->includes++ >= INCLUDES_MAX || l->depth == SOURCES_MAX) {
		wrong(l, at, "include \"%.256s\": files include one another without end", path);
		return;
	}
	if ((text = read_whole(path, &len)) == NULL) {
		wrong(l, at, "include \"%.256s\": cannot be read: %s", path, strerror(errno));
		return;
	}
	if ((name = keep(l, path, strlen(path))) != NULL)
		kept = keep(l, text, len);
	free(text);
	if (!lay_over(l, name, kept, len))
		wrong(l, at, "include \"%.256s\": out of memory", path);
}

void
smtpd_lex_define(struct smtpd_lexer *l, const char *name, const char *value,
    const struct place *at)
{
	if (l->macros == MACROS_MAX) {
		wrong(l, at, "more than %d macros are defined", MACROS_MAX);
		return;
	}
	l->macro[l->macros].name = name;
	l->macro[l->macros++].value = value;
}

struct smtpd_lexer *
smtpd_lex_new(const char *name, const char *text, size_t len, read_report *report, void *arg)
{
	struct smtpd_lexer *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->held = EOF;
	l->report = report;
	l->arg = arg;
	if (lay_over(l, keep(l, name, strlen(name)), keep(l, text, len), len) &&
	    l->source[0].file != NULL)
		return l;
	smtpd_lex_free(l);
	return NULL;
}

void
smtpd_lex_free(struct smtpd_lexer *l)
{
	struct kept *k;

	if (l == NULL)
		return;
	while ((k = l->kept) != NULL) {
		l->kept = k->next;
		free(k);
	}
	free(l);
}

char *
read_whole(const char *path, size_t *len)
{
	bool in = strcmp(path, "-") == 0;
	char *text = NULL, *more;
	size_t n = 0, room = 0;
	int saved = 0;
	FILE *f;

	if ((f = in ? stdin : fopen(path, "re")) == NULL)
		return NULL;
	do {
		if (room - n < 2) {
			room = room != 0 ? 2 * room : 65536;
			if ((more = realloc(text, room)) == NULL) {
				saved = ENOMEM;
				break;
			}
			text = more;
		}
		n += fread(text + n, 1, room - n - 1, f);
		if (ferror(f))
			saved = errno != 0 ? errno : EIO;
		else if (n > FILE_MAX)
			saved = EFBIG;
	} while (saved == 0 && !feof(f));
	if (!in)
		fclose(f);
	if (saved != 0) {
		free(text);
		errno = saved;
		return NULL;
	}
	text[n] = '\0';
	*len = n;
	return text;
}
