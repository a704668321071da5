/*
 * The entry points that Exim calls by ${dlfunc{…}{tlsward_…}{…}}; the macros
 * that call them are in conf/exim-tlsward.conf.
 *
 * Exim's rules for such a function (its specification, "dlfunc"): OK inserts
 * *yield, copied; FAIL is an expansion that failed, with *yield as the message,
 * not copied.  FAIL_FORCED is never used: in acl_smtp_* it would accept the
 * mail.  Nothing here exits, raises a signal or writes to a descriptor of
 * Exim's, and everything that outlives a call is in static storage.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exim_cert.h"
#include "exim_facts.h"
#include "exim_state.h"
#include "leaf_names.h"
#include "name.h"
#include "policy.h"

enum { EXIM_OK = 0, EXIM_FAIL = 2 };	/* what a ${dlfunc} returns */

typedef int entry(unsigned char **yield, int argc, unsigned char *argv[]);
entry tlsward_preload, tlsward_advertise, tlsward_certificate, tlsward_privatekey,
    tlsward_ask, tlsward_demand, tlsward_ca, tlsward_crl, tlsward_element, tlsward_mail,
    tlsward_rcpt, tlsward_verb, tlsward_reply, tlsward_log;

static const char cannot_tell[] = "451 4.3.5 Temporary local problem, please try again later";

/*
 * The last verdict, for the ACL that acts on it.  Static storage is this, exim_state.c's
 * and little more, and fits a page together with it: a process that has just loaded the
 * module pays for each page, and for having more of them than the file has.
 */
static struct {
	const char *verb;
	const char *reply, *log;	/* constant, or */
	char reply_text[512], log_text[1536];
} said = { .verb = "defer", .reply = cannot_tell, .log = "decision=defer reason=exim" };

static char *own;			/* what *yield points to where it is nothing that lasts */

/* ---- answers ---- */

/* The text lasts to the next call at least, which is longer than Exim needs it. */
static int
answer_with(unsigned char **yield, const char *text)
{
	*yield = (unsigned char *)(uintptr_t)text;
	return EXIM_OK;
}

static int __attribute__((format(printf, 2, 3)))
fail(unsigned char **yield, const char *fmt, ...)
{
	va_list ap;

	free(own);
	va_start(ap, fmt);
	if (vasprintf(&own, fmt, ap) == -1)
		own = NULL;
	va_end(ap);
	(void)answer_with(yield, own != NULL ? own : "tlsward: out of memory");
	return EXIM_FAIL;
}

/* Exim passes more than seven arguments as garbage; nothing of argv is looked at then. */
static bool
arity(unsigned char **yield, int argc, int want, const char *what)
{
	if (argc == want)
		return true;
	fail(yield, "tlsward: %s takes %d arguments, not %d", what, want, argc);
	return false;
}

static const char *
text(unsigned char *argv[], int i)
{
	return (const char *)argv[i];
}

/*
 * smtp_accept_max_per_host, which the daemon expands before it forks.
 *	{INI}{what that option is to be}
 */
int
tlsward_preload(unsigned char **yield, int argc, unsigned char *argv[])
{
	if (!arity(yield, argc, 2, "preload"))
		return EXIM_FAIL;
	exim_preload(text(argv, 0));
	free(own);
	own = strdup(text(argv, 1));
	return own != NULL ? answer_with(yield, own) : fail(yield, "tlsward: out of memory");
}

/* ---- TLS options: {INI}{session}, certificate and privatekey also {SNI} ---- */

/*
 * Settings and facts for an option; false, with the answer in *yield, where
 * what Exim passed is not what it passes.
 */
static bool
option(unsigned char **yield, int argc, unsigned char *argv[], int want, const char *what,
    const struct settings **s, struct exim_facts *x)
{
	const char *why;

	if (!arity(yield, argc, want, what))
		return false;
	*s = exim_settings(text(argv, 0));
	if ((why = exim_facts_session(x, text(argv, 1), exim_process())) != NULL) {
		fail(yield, "tlsward: %s: %s", what, why);
		return false;
	}
	return true;
}

int
tlsward_advertise(unsigned char **yield, int argc, unsigned char *argv[])
{
	const struct settings *s;
	struct exim_facts x;

	if (!option(yield, argc, argv, 2, "advertise", &s, &x))
		return EXIM_FAIL;
	return answer_with(yield, policy_offers(s, &x.facts) ? "*" : "");
}

int
tlsward_ask(unsigned char **yield, int argc, unsigned char *argv[])
{
	const struct settings *s;
	struct exim_facts x;

	if (!option(yield, argc, argv, 2, "ask", &s, &x))
		return EXIM_FAIL;
	return answer_with(yield, policy_asks(s, &x.facts) != CC_NONE ? "*" : "");
}

int
tlsward_demand(unsigned char **yield, int argc, unsigned char *argv[])
{
	const struct settings *s;
	struct exim_facts x;

	if (!option(yield, argc, argv, 2, "demand", &s, &x))
		return EXIM_FAIL;
	return answer_with(yield, policy_asks(s, &x.facts) == CC_REQUIRE ? "*" : "");
}

/* The section that the base's certificate or ca names; NULL: none is named. */
static const struct rule *
base_ref(const struct settings *s, const struct facts *f, enum key key)
{
	struct effective base;
	const char *name;

	policy_base(s, f, &base);
	name = settings_text(s, base.from[key], key);
	return name != NULL ? settings_find(s, key_table[key].ref, name) : NULL;
}

/* The base's CA, or the system's; none where no certificate is asked for. */
int
tlsward_ca(unsigned char **yield, int argc, unsigned char *argv[])
{
	const struct settings *s;
	const struct rule *ca;
	struct exim_facts x;
	const char *file = NULL;

	if (!option(yield, argc, argv, 2, "ca", &s, &x))
		return EXIM_FAIL;
	if (policy_asks(s, &x.facts) == CC_NONE)
		return answer_with(yield, "");
	if ((ca = base_ref(s, &x.facts, KEY_CA)) != NULL)
		file = settings_text(s, ca, KEY_FILE);
	return answer_with(yield, file != NULL ? file : "system");
}

int
tlsward_crl(unsigned char **yield, int argc, unsigned char *argv[])
{
	const struct settings *s;
	const struct rule *ca;
	struct exim_facts x;
	const char *file = NULL;

	if (!option(yield, argc, argv, 2, "crl", &s, &x))
		return EXIM_FAIL;
	if (policy_asks(s, &x.facts) != CC_NONE && (ca = base_ref(s, &x.facts, KEY_CA)) != NULL)
		file = settings_text(s, ca, KEY_CRL);
	return answer_with(yield, file != NULL ? file : "");
}

/*
 * How well a [certificate]'s names cover the SNI: 2 by that very name, 1, or 0
 * not at all.  Where it names none they are those in the certificate.
 */
static int
coverage(const struct settings *s, const struct rule *certificate, const char *sni)
{
	struct list names = settings_list(s, certificate, KEY_NAMES);
	const char *name, *file = settings_text(s, certificate, KEY_FILE);
	size_t sni_len = strlen(sni), len;
	int best = 0;

	if (!rule_sets(certificate, KEY_NAMES))
		return file != NULL ? leaf_covers(file, sni) : 0;
	while ((name = list_next_name(&names)) != NULL) {
		len = strlen(name);
		if (strcmp(name, sni) == 0)
			return 2;
		if (name_covers(name, len, sni))
			best = 1;
		else if (name[0] == '.' && sni_len > len && strcmp(sni + sni_len - len, name) == 0)
			best = 1;
	}
	return best;
}

/*
 * The [certificate] to show: the one whose names cover the SNI best, the
 * base's on a tie or where none does.  The SNI is only ever compared: no part
 * of it gets into an answer.
 */
static const struct rule *
choose_certificate(const struct settings *s, const struct facts *f, const char *sni)
{
	const struct rule *base = base_ref(s, f, KEY_CERTIFICATE), *best = base, *r;
	char name[NAME_SIZE];
	int covered = 0, c;
	size_t i;

	if (*sni == '\0' || name_normal(sni, strlen(sni), false, name) != NULL)
		return base;
	if (base != NULL)
		covered = coverage(s, base, name);
	for (i = 0; covered < 2 && (r = settings_at(s, SEC_CERTIFICATE, i)) != NULL; i++)
		if ((c = coverage(s, r, name)) > covered) {
			covered = c;
			best = r;
		}
	return best;
}

static int
certificate_file(unsigned char **yield, int argc, unsigned char *argv[], const char *what,
    enum key key)
{
	const struct settings *s;
	const struct rule *r;
	struct exim_facts x;
	const char *file = NULL;

	if (!option(yield, argc, argv, 3, what, &s, &x))
		return EXIM_FAIL;
	if (s == NULL)	/* STARTTLS is answered 454: better than another certificate */
		return fail(yield, "tlsward: %s", exim_trouble());
	if ((r = choose_certificate(s, &x.facts, text(argv, 2))) != NULL)
		file = settings_text(s, r, key);
	/* With no certificate set Exim makes a self-signed one. */
	return answer_with(yield, file != NULL ? file : "");
}

int
tlsward_certificate(unsigned char **yield, int argc, unsigned char *argv[])
{
	return certificate_file(yield, argc, argv, "certificate", KEY_FILE);
}

int
tlsward_privatekey(unsigned char **yield, int argc, unsigned char *argv[])
{
	return certificate_file(yield, argc, argv, "privatekey", KEY_KEY);
}

/* ---- the client's certificate ---- */

/*
 * The event tls:cert, for each element of what the client sent.  An answer that
 * is not empty would end the handshake.
 *	{$event_data: the depth}{the certificate in base64}
 */
int
tlsward_element(unsigned char **yield, int argc, unsigned char *argv[])
{
	if (!arity(yield, argc, 2, "element"))
		return EXIM_FAIL;
	exim_cert_element(text(argv, 0), text(argv, 1));
	return answer_with(yield, "");
}

/* ---- verdicts: {INI}{session}{TLS}{certificate in base64}{sender}, RCPT also {recipient} ---- */

static void
say_nothing(void)
{
	said.verb = "defer";
	said.reply = cannot_tell;
	said.log = "decision=defer reason=exim detail=\"there is no verdict\"";
}

static void
say_defer(const char *why)
{
	said.verb = "defer";
	said.reply = cannot_tell;
	snprintf(said.log_text, sizeof(said.log_text), "decision=defer reason=exim detail=\"%s\"", why);
	said.log = said.log_text;
}

/*
 * The first digit of a reply has to suit the ACL's verb, else Exim takes its
 * own code.
 */
static void
say(const struct settings *s, const struct facts *f, const struct verdict *v)
{
	const char *verb = NULL;

	switch (v->action) {
	case ACT_ACCEPT:
	case ACT_LATER:
		said.verb = "accept";
		said.reply = said.log = "";
		return;
	case ACT_REPORT:
		verb = "report";
		break;
	case ACT_REFUSE:
		verb = v->reply[0] == '5' ? "deny" : NULL;
		break;
	case ACT_DEFER:
		verb = v->reply[0] == '4' ? "defer" : NULL;
		break;
	}
	if (verb == NULL) {
		say_defer("the reply does not suit the action");
		return;
	}
	said.verb = verb;
	snprintf(said.reply_text, sizeof(said.reply_text), "%s", v->reply);
	policy_log(s, f, v, said.log_text, sizeof(said.log_text));
	said.reply = said.reply_text;
	said.log = said.log_text;
}

static int
decide(unsigned char **yield, int argc, unsigned char *argv[], bool rcpt)
{
	const struct settings *s;
	struct exim_facts x;
	struct verdict v;
	const char *why;
	bool looked;

	say_nothing();
	if (!arity(yield, argc, rcpt ? 6 : 5, rcpt ? "rcpt" : "mail"))
		return EXIM_FAIL;
	s = exim_settings(text(argv, 0));
	if ((why = exim_facts_session(&x, text(argv, 1), exim_process())) == NULL &&
	    (why = exim_facts_tls(&x, text(argv, 2), text(argv, 3))) == NULL) {
		exim_facts_envelope(&x, text(argv, 4), rcpt ? text(argv, 5) : NULL);
		why = exim_doubtful();
	}
	if (why != NULL) {
		say_defer(why);
		return answer_with(yield, said.verb);
	}
	if (x.facts.cert.status == CERT_NONE && policy_asks(s, &x.facts) == CC_NONE)
		x.facts.cert.status = CERT_NOT_ASKED;
	looked = policy_needs_cert(s, &x.facts);
	if (looked)
		exim_cert_facts(text(argv, 3), s, &x.facts.cert);
	if (rcpt)
		policy_rcpt(s, &x.facts, &v);
	else
		policy_mail(s, &x.facts, &v);
	if (looked && exim_cert_trusted())	/* by a ca that may be another than Exim's */
		x.facts.cert.status = CERT_TRUSTED;
	exim_count(s, &x.facts, &v);
	say(s, &x.facts, &v);
	return answer_with(yield, said.verb);
}

int
tlsward_mail(unsigned char **yield, int argc, unsigned char *argv[])
{
	return decide(yield, argc, argv, false);
}

int
tlsward_rcpt(unsigned char **yield, int argc, unsigned char *argv[])
{
	return decide(yield, argc, argv, true);
}

/*
 * What the last verdict was, without arguments.  Exim's ACL reads the reply and
 * the log line here, as values: no text of a stranger's is ever parsed as an
 * ACL or expanded.
 */
int
tlsward_verb(unsigned char **yield, int argc, unsigned char *argv[])
{
	(void)argv;
	if (!arity(yield, argc, 0, "verb"))
		return EXIM_FAIL;
	return answer_with(yield, said.verb);
}

int
tlsward_reply(unsigned char **yield, int argc, unsigned char *argv[])
{
	(void)argv;
	if (!arity(yield, argc, 0, "reply"))
		return EXIM_FAIL;
	return answer_with(yield, said.reply);
}

int
tlsward_log(unsigned char **yield, int argc, unsigned char *argv[])
{
	(void)argv;
	if (!arity(yield, argc, 0, "log"))
		return EXIM_FAIL;
	return answer_with(yield, said.log);
}
