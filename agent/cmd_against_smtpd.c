/*
 * An smtpd.conf against the settings: each listen line as it stands against
 * what cmd_smtpd_want.h says it should be.
 *
 * smtpd tells a filter the address that the listener is bound to, not the one
 * that the session came to: on `listen on 0.0.0.0 port 25` each session is at
 * 0.0.0.0:25 (7.4).
 */
#include <sys/stat.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "cmd_against.h"
#include "cmd_smtpd_conf.h"
#include "cmd_smtpd_want.h"

#define ADDRESSES_MAX 64	/* of one listen line */

struct comparison {
	const struct against *a;
	const struct smtpd_conf *conf;
	const char *name;		/* the file's */
	bool *served;			/* for each [listener] */
	bool unknown;			/* some line's addresses are not known here */
	bool verifies;			/* some listener does, with the settings' consent */
	bool ran, told;			/* some listen line has the filter; lacks it, as was told */
};

/* One listen line at one address. */
struct point {
	const struct smtpd_listen *l;
	struct smtpd_want w;
	char at[ADDR_TEXT];
	char title[SECTION_TEXT];	/* of the section that holds there */
};

#define AT(l) (l)->at.file, (l)->at.line

/* ---- the filter ---- */

/* What stands before filter-tlsward in a chain. */
struct before {
	const struct smtpd_filter *skips;	/* does so for some mail, or changes addresses */
	const struct smtpd_filter *program;	/* sees messages first, and may change them */
};

/* Looks for filter-tlsward in a chain; true: it is there, and ini names its settings. */
static bool
find_ours(const struct comparison *c, const struct smtpd_filter *chain, unsigned depth,
    char *ini, size_t size, struct before *before)
{
	const struct smtpd_filter *f;

	for (size_t i = 0; i < chain->members; i++) {
		if ((f = smtpd_filter(c->conf, chain->member[i])) == NULL)
			continue;
		if (f->kind == FILTER_CHAIN) {
			if (depth > 0 && find_ours(c, f, depth - 1, ini, size, before))
				return true;
		} else if (f->kind == FILTER_PROGRAM) {
			if (f->command != NULL && smtpd_is_ours(f->command, ini, size))
				return true;
			if (before->program == NULL)
				before->program = f;
		} else if ((f->bypass || f->rewrites) && before->skips == NULL &&
		    (strcmp(f->phase, "mail-from") == 0 || strcmp(f->phase, "rcpt-to") == 0)) {
			before->skips = f;
		}
	}
	return false;
}

/* Does nothing but this machine's own programs reach the line? */
static bool
only_loopback(const struct addr *at, size_t n)
{
	static const unsigned char six[16] = { [15] = 1 };

	for (size_t i = 0; i < n; i++)
		if (at[i].family == ADDR_IPV4 ? at[i].ip[0] != 127 : memcmp(at[i].ip, six, 16) != 0)
			return false;
	return n > 0;
}

static void
compare_order(const struct comparison *c, const struct smtpd_listen *l,
    const struct before *before)
{
	uint32_t none, some = 0;

	if (before->skips != NULL && before->skips->bypass)
		differs(c->a, SEV_ERROR, AT(l), "filter \"%s\" comes before tlsward's and its bypass "
		    "skips it at %s: put filter-tlsward first in the chain", before->skips->name,
		    before->skips->phase);
	else if (before->skips != NULL)
		differs(c->a, SEV_ERROR, AT(l), "filter \"%s\" comes before tlsward's and rewrites the "
		    "address that rules go by: put filter-tlsward first in the chain",
		    before->skips->name);
	else if (before->program != NULL &&
	    settings_range(c->a->s, SEC_LISTENER, KEY_VERIFIES, &none, &some) && some != 0)
		differs(c->a, SEV_ERROR, AT(l), "filter \"%s\" comes before tlsward's, which has to see "
		    "smtpd's own Received line first where a [listener] verifies: put filter-tlsward "
		    "first in the chain", before->program->name);
}

/* False: no rule holds at this line, and that is all there is to say of it. */
static bool
compare_filter(struct comparison *c, const struct smtpd_listen *l, bool aside)
{
	struct before before = { NULL, NULL };
	char ini[4096] = "";

	if (find_ours(c, &l->filter, 1, ini, sizeof(ini), &before)) {
		c->ran = true;
		if (!same_file(ini, c->a->ini))
			differs(c->a, SEV_ERROR, AT(l), "the filter of this listener reads %s, not %s: "
			    "let its -c name that file", ini, c->a->ini);
		compare_order(c, l, &before);
		return true;
	}
	c->told |= !aside;
	if (aside)
		differs(c->a, SEV_WARNING, AT(l), "no rule holds for what this machine's own programs "
		    "send here, for the listener has no filter-tlsward; fine if that is meant");
	else if (l->filter.members == 0)
		differs(c->a, SEV_ERROR, AT(l), "no rule holds at this listener, for it has no "
		    "filter: add filter \"tlsward\"");
	else
		differs(c->a, SEV_ERROR, AT(l), "no rule holds at this listener, for filter-tlsward is "
		    "not among its filters: name a chain of both, filter-tlsward first");
	return false;
}

/* ---- TLS ---- */

static void
compare_clear(const struct comparison *c, const struct point *p)
{
	const struct smtpd_want *w = &p->w;
	char word[16];

	if (w->verify)
		differs(c->a, SEV_ERROR, AT(p->l), "%s has verifies = yes, but this listener offers "
		    "no TLS: tls-require verify", p->title);
	else if (w->tls)
		differs(c->a, SEV_ERROR, AT(p->l), "no TLS is offered at %s, where %s has mode = %s: "
		    "add tls pki \"NAME\"", p->at, p->title,
		    w->base.value[KEY_MODE] == MODE_NONE ? "none, but a [client] may use it" :
		    key_text(KEY_MODE, w->base.value[KEY_MODE], word));
}

static void
compare_mode(const struct comparison *c, const struct point *p)
{
	const struct smtpd_want *w = &p->w;
	char exempt[EXEMPT_SIZE];
	const char *who;

	if (!w->tls) {
		differs(c->a, SEV_ERROR, AT(p->l), "%s is offered at %s, where %s has mode = none: "
		    "take it out, with pki and ca", p->l->tls == SMTPD_SMTPS ? "smtps" : "STARTTLS",
		    p->at, p->title);
		return;
	}
	if (p->l->tls == SMTPD_TLS || p->l->verify || w->verify ||
	    (p->l->tls == SMTPD_SMTPS && w->implicit))
		return;
	who = smtpd_exempt(c->a->s, w, exempt);
	if (p->l->tls == SMTPD_SMTPS && who != NULL)
		differs(c->a, SEV_ERROR, AT(p->l), "smtps on port %u takes no mail in clear, nor "
		    "STARTTLS, so that %s has no effect: tls", p->l->port, who);
	else if (p->l->tls == SMTPD_SMTPS)
		return;
	else if (who != NULL)
		differs(c->a, SEV_ERROR, AT(p->l), "tls-require refuses all mail in clear, so that %s "
		    "has no effect: tls, and the filter refuses whom it should", who);
	else
		differs(c->a, SEV_WARNING, AT(p->l), "tls-require refuses mail in clear before the "
		    "filter is asked, uncounted and unlogged by tlsward: tls does");
}

static void
compare_verify(const struct comparison *c, const struct point *p)
{
	const struct smtpd_want *w = &p->w;
	uint32_t cc = w->base.value[KEY_CLIENT_CERT];
	char exempt[EXEMPT_SIZE];

	if (w->verify && !p->l->verify)
		differs(c->a, SEV_ERROR, AT(p->l), "%s has verifies = yes, so that whoever uses TLS "
		    "at %s counts as verified, but smtpd asks for no certificate: %s verify, or "
		    "verifies = no", p->title, p->at,
		    p->l->tls == SMTPD_SMTPS ? "smtps" : "tls-require");
	else if (!w->verify && p->l->verify)
		differs(c->a, SEV_ERROR, AT(p->l), "verify demands a certificate of everybody at %s "
		    "and the filter does not know: set verifies = yes in [listener %s], or take "
		    "verify out", p->at, p->at);
	else if (!w->verify && cc == CC_REQUIRE)
		differs(c->a, SEV_ERROR, AT(p->l), "%s has client_cert = require, but smtpd asks for "
		    "no certificate at %s, and mail is refused with 451: %s verify, and verifies = "
		    "yes in [listener %s]", p->title, p->at,
		    p->l->tls == SMTPD_SMTPS ? "smtps" : "tls-require", p->at);
	else if (!w->verify && cc == CC_REQUEST)
		differs(c->a, SEV_WARNING, AT(p->l), "%s has client_cert = request, which smtpd "
		    "cannot do: without verify it asks for no certificate", p->title);
	else if (w->verify && smtpd_exempt(c->a->s, w, exempt) != NULL &&
	    w->base.value[KEY_MODE] == MODE_REQUIRE)
		differs(c->a, SEV_WARNING, AT(p->l), "verify refuses whoever comes to %s in clear or "
		    "without a certificate: %s has no effect there", p->at, exempt);
}

/* ---- certificates ---- */

/* A file that smtpd reads when it starts, and does not start without. */
static void
compare_file(const struct comparison *c, const struct place *at, const char *what,
    const char *path, unsigned most)
{
	struct stat st;

	if (path == NULL)
		return;
	if (stat(path, &st) < 0)
		differs(c->a, errno == ENOENT ? SEV_ERROR : SEV_WARNING, at->file, at->line,
		    "%s %s: %s%s", what, path, strerror(errno),
		    errno == ENOENT ? ": smtpd does not start" : "");
	else if (st.st_uid != 0)
		differs(c->a, SEV_ERROR, at->file, at->line, "%s %s does not belong to root, and "
		    "smtpd does not start: chown root", what, path);
	else if ((st.st_mode & 0777 & ~most) != 0)
		differs(c->a, SEV_ERROR, at->file, at->line, "%s %s has mode %04o, and smtpd does not "
		    "start: at most %04o", what, path, st.st_mode & 0777, most);
}

static void
compare_files(const struct comparison *c)
{
	const struct smtpd_pki *pki = c->conf->pki;
	const struct smtpd_ca *ca = c->conf->ca;
	size_t i;

	for (i = 0; i < c->conf->pkis; i++) {
		compare_file(c, &pki[i].at, "certificate", pki[i].cert, 0755);
		compare_file(c, &pki[i].at, "key", pki[i].key, 0740);
	}
	for (i = 0; i < c->conf->cas; i++)
		compare_file(c, &ca[i].at, "ca", ca[i].cert, 0755);
}

static void
compare_pair(const struct comparison *c, const struct point *p, const struct rule *r,
    const struct smtpd_pki *pki)
{
	const char *file = settings_text(c->a->s, r, KEY_FILE);
	const char *key = settings_text(c->a->s, r, KEY_KEY);
	char title[SECTION_TEXT];

	rule_title(c->a->s, r, title);
	if (file != NULL && pki->cert != NULL && !same_file(file, pki->cert))
		differs(c->a, SEV_ERROR, pki->at.file, pki->at.line, "pki \"%s\" has the certificate "
		    "%s, and %s, which %s shows, has %s", pki->name, pki->cert, title, p->title, file);
	else if (key != NULL && pki->key != NULL && !same_file(key, pki->key))
		differs(c->a, SEV_ERROR, pki->at.file, pki->at.line, "pki \"%s\" has the key %s, and "
		    "%s has %s", pki->name, pki->key, title, key);
}

/* The pki of the line that has the certificate's file; PKI_MAX: none. */
static size_t
pki_with(const struct comparison *c, const struct smtpd_listen *l, const struct rule *r)
{
	const char *file = settings_text(c->a->s, r, KEY_FILE);
	const struct smtpd_pki *pki;

	for (size_t i = 0; i < l->pkis && file != NULL; i++)
		if ((pki = smtpd_pki(c->conf, l->pki[i])) != NULL && pki->cert != NULL &&
		    same_file(pki->cert, file))
			return i;
	return PKI_MAX;
}

static void
compare_certificates(const struct comparison *c, const struct point *p)
{
	const struct smtpd_listen *l = p->l;
	const struct rule *shown[PKI_MAX];
	const struct smtpd_pki *pki;
	char title[SECTION_TEXT];
	size_t i, at, n;

	for (i = 0; i < l->pkis; i++)
		if (smtpd_pki(c->conf, l->pki[i]) == NULL)
			differs(c->a, SEV_ERROR, AT(l), "there is no pki \"%s\"", l->pki[i]);
	n = smtpd_certificates(c->a->s, &p->w, shown, PKI_MAX);
	if (n > 0 && l->pkis == 0)
		differs(c->a, SEV_ERROR, AT(l), "no certificate is named, and %s has %s: pki \"NAME\"",
		    p->title, rule_title(c->a->s, shown[0], title));
	else if (l->pkis == 0)
		differs(c->a, SEV_ERROR, AT(l), "TLS without a certificate, and smtpd does not start: "
		    "pki \"NAME\"");
	for (i = 0; i < n && l->pkis > 0; i++) {
		at = pki_with(c, l, shown[i]);
		rule_title(c->a->s, shown[i], title);
		if (i == 0 && at == PKI_MAX && (pki = smtpd_pki(c->conf, l->pki[0])) != NULL)
			compare_pair(c, p, shown[i], pki);
		else if (at < PKI_MAX && (pki = smtpd_pki(c->conf, l->pki[at])) != NULL)
			compare_pair(c, p, shown[i], pki);
		if (i == 0 && at > 0 && at < PKI_MAX)
			differs(c->a, SEV_ERROR, AT(l), "pki \"%s\" comes first, so that %s is shown "
			    "only to who asks for its name, and %s has it for all: put pki \"%s\" first",
			    l->pki[0], title, p->title, l->pki[at]);
		if (i > 0 && at == PKI_MAX)
			differs(c->a, SEV_WARNING, AT(l), "%s is not shown here to who asks for its "
			    "name: add a pki for it", title);
	}
}

static void
compare_ca(const struct comparison *c, const struct point *p)
{
	const struct smtpd_ca *ca = p->l->ca != NULL ? smtpd_ca(c->conf, p->l->ca) : NULL;
	const char *file = settings_text(c->a->s, p->w.ca, KEY_FILE);
	char title[SECTION_TEXT];

	if (!p->l->verify || !p->w.verify)
		return;
	rule_title(c->a->s, p->w.ca, title);
	if (p->l->ca != NULL && ca == NULL)
		differs(c->a, SEV_ERROR, AT(p->l), "there is no ca \"%s\"", p->l->ca);
	else if (file == NULL && ca != NULL)
		differs(c->a, SEV_WARNING, AT(p->l), "smtpd verifies with ca \"%s\", and %s names no "
		    "ca: whatever smtpd trusts is trusted", ca->name, p->title);
	else if (file != NULL && ca == NULL)
		differs(c->a, SEV_ERROR, AT(p->l), "verify without ca trusts the system's CAs, and %s "
		    "trusts %s only: ca \"NAME\" with the file %s", p->title, title, file);
	else if (file != NULL && ca->cert != NULL && !same_file(file, ca->cert))
		differs(c->a, SEV_ERROR, ca->at.file, ca->at.line, "ca \"%s\" is %s, and %s verifies "
		    "with %s, which is %s", ca->name, ca->cert, p->title, title, file);
}

/* ---- listeners ---- */

static void
compare_point(struct comparison *c, const struct smtpd_listen *l, const struct addr *at)
{
	struct point p = { .l = l };

	smtpd_want(c->a->s, at, &p.w);
	if (at->family == ADDR_NONE)
		snprintf(p.at, sizeof(p.at), "%.40s:%u", l->on, l->port);
	else
		addr_format_listener(at, p.at);
	rule_title(c->a->s, p.w.listener, p.title);
	if (l->tls == SMTPD_CLEAR) {
		compare_clear(c, &p);
		return;
	}
	compare_mode(c, &p);
	if (!p.w.tls)
		return;
	compare_verify(c, &p);
	compare_certificates(c, &p);
	compare_ca(c, &p);
	if (l->verify && p.w.verify)
		c->verifies = true;
}

static void
mark_served(struct comparison *c, const struct rule *listener)
{
	const struct rule *r;

	for (size_t i = 0; (r = settings_at(c->a->s, SEC_LISTENER, i)) != NULL; i++)
		if (r == listener)
			c->served[i] = true;
}

static void
compare_listen(struct comparison *c, const struct smtpd_listen *l)
{
	struct addr at[ADDRESSES_MAX];
	const struct rule *rule[ADDRESSES_MAX];
	size_t n = smtpd_addresses(l, at, ADDRESSES_MAX), i, j;
	bool sections = false;

	if (n == 0) {
		c->unknown = true;
		differs(c->a, SEV_WARNING, AT(l), "which addresses \"%s\" has is not known on this "
		    "machine: compared with [server] only", l->on);
		at[n++] = (struct addr){ .family = ADDR_NONE, .port = l->port };
	}
	for (i = 0; i < n; i++) {
		rule[i] = at[i].family != ADDR_NONE ? settings_listener(c->a->s, &at[i]) : NULL;
		if (rule[i] != NULL) {
			mark_served(c, rule[i]);
			sections = true;
		}
	}
	if (!compare_filter(c, l, !sections && only_loopback(at, n)))
		return;
	for (i = 0; i < n; i++) {
		for (j = 0; j < i && rule[j] != rule[i]; j++)
			;
		if (j == i)		/* one section holds alike at all its addresses */
			compare_point(c, l, &at[i]);
	}
}

/* The listen line that takes the sessions of a [listener], by a wildcard. */
static const struct smtpd_listen *
wildcard_over(const struct comparison *c, const struct addr *at)
{
	const struct smtpd_listen *l;
	const char *any = at->family == ADDR_IPV4 ? "0.0.0.0" : "::";

	for (size_t i = 0; i < c->conf->listens; i++) {
		l = &c->conf->listen[i];
		if (!l->local && l->port == at->port && strcmp(l->on, any) == 0)
			return l;
	}
	return NULL;
}

static void
compare_served(const struct comparison *c)
{
	const struct smtpd_listen *l;
	const struct rule *r;
	struct addr at;
	char title[SECTION_TEXT];

	for (size_t i = 0; (r = settings_at(c->a->s, SEC_LISTENER, i)) != NULL; i++) {
		if (c->served[i])
			continue;
		at = settings_addr(c->a->s, r);
		rule_title(c->a->s, r, title);
		if (at.family != ADDR_ANY && (l = wildcard_over(c, &at)) != NULL)
			differs(c->a, SEV_ERROR, c->a->ini, r->line, "%s never holds: smtpd tells "
			    "filters the address it is bound to, which is %s in %s:%u: listen on each "
			    "address there, or make this [listener *:%u]", title, l->on, AT(l),
			    at.port);
		else
			differs(c->a, c->unknown ? SEV_WARNING : SEV_ERROR, c->a->ini, r->line,
			    "%s never holds: no listen line of %s serves it", title, c->name);
	}
}

void
against_smtpd(const struct against *a, const char *name, const char *text, size_t len)
{
	struct comparison c = { .a = a, .name = name };
	struct smtpd_conf *conf = smtpd_conf_parse(name, text, len, a->report, a->arg);
	size_t i, network = 0;

	c.conf = conf;
	c.served = calloc(settings_count(a->s, SEC_LISTENER) + 1, sizeof(*c.served));
	if (conf == NULL || c.served == NULL) {
		differs(a, SEV_ERROR, name, 0, "out of memory");
		goto out;
	}
	for (i = 0; i < conf->listens; i++)
		if (!conf->listen[i].local) {
			compare_listen(&c, &conf->listen[i]);
			network++;
		}
	if (network == 0)
		differs(a, SEV_ERROR, name, 0, "no mail comes in over the network: there is no "
		    "listen line (see `tlsward render opensmtpd`)");
	else if (!c.ran && !c.told)
		differs(a, SEV_ERROR, name, 0, "no listener runs filter-tlsward: see "
		    "`tlsward render opensmtpd`");
	compare_files(&c);
	compare_served(&c);
	against_smtpd_rules(a, conf, name, c.verifies);
out:
	free(c.served);
	smtpd_conf_free(conf);
}
