#include <arpa/inet.h>
#include <ctype.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_smtpd_conf.h"

#define STATEMENT_MAX 512	/* words of a statement that matters */

struct parser {
	struct smtpd_conf *conf;
	struct token word[STATEMENT_MAX];
	size_t words;
	bool no_memory;
	read_report *report;
	void *arg;
};

static void
wrong(struct parser *p, const struct place *at, const char *text)
{
	p->report(p->arg, SEV_ERROR, at->file, at->line, text);
}

/*
 * The array with room for one more, which is zeroed; NULL: out of memory, and
 * the array is as it was.
 */
static void *
grow(struct parser *p, void *array, size_t count, size_t size)
{
	char *more = array;

	if ((count & (count - 1)) == 0) {	/* 0, 1, 2, 4 ...: twice the room */
		more = reallocarray(array, count != 0 ? 2 * count : 1, size);
		if (more == NULL) {
			p->no_memory = true;
			return NULL;
		}
	}
	memset(more + count * size, 0, size);
	return more;
}

/* ---- words ---- */

static bool
is(const struct token *t, const char *word)
{
	return t->kind == TOKEN_WORD && strcmp(t->text, word) == 0;
}

static bool
is_sign(const struct token *t, const char *sign)
{
	return t->kind == TOKEN_SIGN && strcmp(t->text, sign) == 0;
}

static bool
is_name(const struct token *t)
{
	return t->kind == TOKEN_WORD || t->kind == TOKEN_STRING;
}

/* The word at i, or one that is none. */
static const struct token *
word(const struct parser *p, size_t i)
{
	static const struct token none = { .kind = TOKEN_END, .text = "" };

	return i < p->words ? &p->word[i] : &none;
}

/* ---- statements ---- */

static void
take_pki(struct parser *p)
{
	struct smtpd_conf *c = p->conf;
	const char *name = word(p, 1)->text;
	struct smtpd_pki *pki = NULL, *all;
	size_t i;

	for (i = 0; i < c->pkis && pki == NULL; i++)
		if (strcasecmp(c->pki[i].name, name) == 0)
			pki = &c->pki[i];
	if (pki == NULL) {
		if ((all = grow(p, c->pki, c->pkis, sizeof(*all))) == NULL)
			return;
		c->pki = all;
		pki = &all[c->pkis++];
		pki->name = name;
		pki->at = p->word[0].at;
	}
	for (i = 2; i + 1 < p->words && is_name(&p->word[i + 1]); i += 2) {
		if (is(&p->word[i], "cert"))
			pki->cert = p->word[i + 1].text;
		else if (is(&p->word[i], "key"))
			pki->key = p->word[i + 1].text;
	}
}

static void
take_ca(struct parser *p)
{
	struct smtpd_conf *c = p->conf;
	struct smtpd_ca *all = grow(p, c->ca, c->cas, sizeof(*all)), *ca;

	if (all == NULL)
		return;
	c->ca = all;
	ca = &all[c->cas++];
	ca->name = word(p, 1)->text;
	ca->cert = is(word(p, 2), "cert") ? word(p, 3)->text : NULL;
	ca->at = p->word[0].at;
}

/* What follows a command: the user and group that the program is to run as. */
static void
take_user(struct parser *p, size_t i, const char **user, const char **group)
{
	for (; i + 1 < p->words; i++) {
		if (is(&p->word[i], "user"))
			*user = p->word[++i].text;
		else if (is(&p->word[i], "group"))
			*group = p->word[++i].text;
	}
}

static void
take_proc(struct parser *p)
{
	struct smtpd_conf *c = p->conf;
	struct smtpd_proc *all = grow(p, c->proc, c->procs, sizeof(*all)), *proc;

	if (all == NULL)
		return;
	c->proc = all;
	proc = &all[c->procs++];
	proc->name = word(p, 1)->text;
	proc->command = word(p, 2)->text;
	take_user(p, 3, &proc->user, &proc->group);
}

/* The names in { } from the word at i on; returns where it ends. */
static size_t
take_members(struct parser *p, size_t i, struct smtpd_filter *f)
{
	for (; i < p->words && !is_sign(&p->word[i], "}"); i++) {
		if (!is_name(&p->word[i]))
			continue;
		if (f->members == CHAIN_MAX) {
			wrong(p, &p->word[i].at, "a chain has more filters than can be compared");
			break;
		}
		f->member[f->members++] = p->word[i].text;
	}
	return i;
}

static void
take_filter(struct parser *p)
{
	struct smtpd_conf *c = p->conf;
	struct smtpd_filter *all = grow(p, c->filter, c->filters, sizeof(*all)), *f;
	size_t i;

	if (all == NULL)
		return;
	c->filter = all;
	f = &all[c->filters++];
	f->name = word(p, 1)->text;
	f->at = p->word[0].at;
	if (is(word(p, 2), "proc-exec")) {
		f->command = word(p, 3)->text;
		take_user(p, 4, &f->user, &f->group);
	} else if (is(word(p, 2), "proc")) {
		for (i = 0; i < c->procs; i++)
			if (strcmp(c->proc[i].name, word(p, 3)->text) == 0) {
				f->command = c->proc[i].command;
				f->user = c->proc[i].user;
				f->group = c->proc[i].group;
			}
	} else if (is(word(p, 2), "chain")) {
		f->kind = FILTER_CHAIN;
		take_members(p, 3, f);
	} else if (is(word(p, 2), "phase")) {
		f->kind = FILTER_PHASE;
		f->phase = word(p, 3)->text;
		for (i = 4; i < p->words; i++) {
			f->bypass |= is(&p->word[i], "bypass");
			f->rewrites |= is(&p->word[i], "rewrite");
		}
	}
}

static void
take_port(struct parser *p, const struct token *t, struct smtpd_listen *l)
{
	struct servent *service;
	char *end;
	unsigned long n = strtoul(t->text, &end, 10);

	if (isdigit((unsigned char)t->text[0]) && *end == '\0' && n > 0 && n <= 65535)
		l->port = (uint16_t)n;
	else if ((service = getservbyname(t->text, "tcp")) != NULL)
		l->port = ntohs((uint16_t)service->s_port);
	else
		wrong(p, &t->at, "the port is neither a number nor a service known here");
}

/* An option of a listener that takes a word after it; returns the last one used. */
static size_t
take_option(struct parser *p, size_t i, struct smtpd_listen *l)
{
	const struct token *t = &p->word[i], *value = word(p, i + 1);

	if (is(t, "filter")) {
		if (is_sign(value, "{"))
			return take_members(p, i + 2, &l->filter);
		l->filter.name = l->filter.member[0] = value->text;
		l->filter.members = 1;
	} else if (is(t, "port")) {
		take_port(p, value, l);
	} else if (is(t, "ca")) {
		l->ca = value->text;
	} else if (is(t, "pki")) {
		if (l->pkis < PKI_MAX)
			l->pki[l->pkis++] = value->text;
	} else if (!is(t, "hostname") && !is(t, "tag") && !is(t, "ciphers") &&
	    !is(t, "protocols")) {
		return i;
	}
	return i + 1;
}

static void
take_listen(struct parser *p)
{
	struct smtpd_conf *c = p->conf;
	struct smtpd_listen *all, *l;
	size_t i;

	if (!is(word(p, 1), "on") || !is_name(word(p, 2)))
		return;
	if ((all = grow(p, c->listen, c->listens, sizeof(*all))) == NULL)
		return;
	c->listen = all;
	l = &all[c->listens++];
	l->on = p->word[2].text;
	l->at = p->word[0].at;
	l->local = is(&p->word[2], "socket");
	l->filter.kind = FILTER_CHAIN;
	for (i = 3; i < p->words; i++) {
		const struct token *t = &p->word[i];

		if (is(t, "inet4") || is(t, "inet6"))
			l->family = t->text[4] - '0';
		else if (is(t, "tls"))
			l->tls = SMTPD_TLS;
		else if (is(t, "tls-require"))
			l->tls = SMTPD_TLS_REQUIRE;
		else if (is(t, "smtps"))
			l->tls = SMTPD_SMTPS;
		else if (is(t, "verify"))
			l->verify = true;
		else
			i = take_option(p, i, l);
	}
	if (l->port == 0)
		l->port = l->tls == SMTPD_SMTPS ? 465 : 25;
}

static const struct {
	const char *name;
	void (*take)(struct parser *);
} statements[] = {
	{ "pki", take_pki }, { "ca", take_ca }, { "proc", take_proc },
	{ "filter", take_filter }, { "listen", take_listen },
};
#define NSTATEMENTS (sizeof(statements) / sizeof(statements[0]))

/*
 * The words up to a newline that no brace encloses, those past the room
 * dropped.  False: the end was reached and there are none.
 */
static bool
take_statement(struct parser *p)
{
	struct token t;
	unsigned braces = 0;

	p->words = 0;
	for (;;) {
		t = smtpd_lex_next(p->conf->lexer);
		if (t.kind == TOKEN_END) {
			if (braces > 0)
				wrong(p, &p->word[0].at, "a { has no }");
			return p->words > 0;
		}
		if (t.kind == TOKEN_NEWLINE) {
			if (braces == 0)
				return true;
			continue;
		}
		if (is_sign(&t, "{"))
			braces++;
		else if (is_sign(&t, "}") && braces > 0)
			braces--;
		if (p->words < STATEMENT_MAX)
			p->word[p->words++] = t;
	}
}

struct smtpd_conf *
smtpd_conf_parse(const char *name, const char *text, size_t len, read_report *report, void *arg)
{
	struct parser *p = calloc(1, sizeof(*p));
	struct smtpd_conf *c = calloc(1, sizeof(*c));
	size_t i;

	if (p == NULL || c == NULL ||
	    (c->lexer = smtpd_lex_new(name, text, len, report, arg)) == NULL) {
		free(p);
		free(c);
		return NULL;
	}
	p->conf = c;
	p->report = report;
	p->arg = arg;
	while (take_statement(p)) {
		if (p->words == 0)
			continue;
		if (is(word(p, 0), "include"))
			smtpd_lex_include(c->lexer, word(p, 1)->text, &p->word[0].at);
		else if (is_sign(word(p, 1), "=") && is_name(word(p, 2)))
			smtpd_lex_define(c->lexer, p->word[0].text, p->word[2].text, &p->word[0].at);
		for (i = 0; i < NSTATEMENTS; i++)
			if (is(word(p, 0), statements[i].name))
				statements[i].take(p);
	}
	if (p->no_memory) {
		smtpd_conf_free(c);
		c = NULL;
	}
	free(p);
	return c;
}

void
smtpd_conf_free(struct smtpd_conf *c)
{
	if (c == NULL)
		return;
	free(c->pki);
	free(c->ca);
	free(c->filter);
	free(c->proc);
	free(c->listen);
	smtpd_lex_free(c->lexer);
	free(c);
}

/* ---- names ---- */

const struct smtpd_pki *
smtpd_pki(const struct smtpd_conf *c, const char *name)
{
	for (size_t i = 0; i < c->pkis; i++)
		if (strcasecmp(c->pki[i].name, name) == 0)
			return &c->pki[i];
	return NULL;
}

const struct smtpd_ca *
smtpd_ca(const struct smtpd_conf *c, const char *name)
{
	for (size_t i = c->cas; i-- > 0;)	/* the last one holds */
		if (strcasecmp(c->ca[i].name, name) == 0)
			return &c->ca[i];
	return NULL;
}

const struct smtpd_filter *
smtpd_filter(const struct smtpd_conf *c, const char *name)
{
	for (size_t i = 0; i < c->filters; i++)
		if (strcmp(c->filter[i].name, name) == 0)
			return &c->filter[i];
	return NULL;
}
