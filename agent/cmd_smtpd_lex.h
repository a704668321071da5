/*
 * Words of an smtpd.conf: quotes, comments, lines that go on, macros and
 * included files, as smtpd.conf(5) has them and smtpd 7.4 reads them.
 *
 * A source is one file or one macro's value; an included file and a macro are
 * laid over what is being read and end by themselves.  What is wrong is
 * reported and read over: this is for comparing, smtpd -n says more about
 * syntax.
 *
 * Ownership: all text that is handed out belongs to the lexer and ends with
 * smtpd_lex_free.
 */
#ifndef TLSWARD_AGENT_CMD_SMTPD_LEX_H
#define TLSWARD_AGENT_CMD_SMTPD_LEX_H

#include <stdbool.h>
#include <stddef.h>

#include "read.h"

struct place {
	const char *file;
	unsigned line;			/* from 1; 0: the whole file */
};

enum token_kind {
	TOKEN_WORD,			/* bare: perhaps a word of the grammar */
	TOKEN_STRING,			/* quoted: never one */
	TOKEN_SIGN,			/* one of { } = , < > … */
	TOKEN_NEWLINE,
	TOKEN_END
};

struct token {
	enum token_kind kind;
	const char *text;		/* never NULL */
	struct place at;
};

struct smtpd_lexer;

/* The main file's text, copied.  NULL: out of memory. */
struct smtpd_lexer *smtpd_lex_new(const char *name, const char *text, size_t len,
    read_report *, void *arg);
void smtpd_lex_free(struct smtpd_lexer *);		/* NULL is fine */

struct token smtpd_lex_next(struct smtpd_lexer *);

/* `include "path"` at a place: its text comes next. */
void smtpd_lex_include(struct smtpd_lexer *, const char *path, const struct place *at);
/* `name = value`: from now on. */
void smtpd_lex_define(struct smtpd_lexer *, const char *name, const char *value,
    const struct place *at);

/*
 * A whole file of at most FILE_MAX octets, NUL-terminated; free(3) it.  NULL
 * with errno where it cannot be had (EFBIG: too large).  "-" is standard input.
 */
#define FILE_MAX (4UL << 20)
char *read_whole(const char *path, size_t *len);

#endif
