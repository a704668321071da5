/*
 * What `exim -bP` prints against the settings: whether each option that
 * conf/exim-tlsward.conf makes calls the module, with this INI.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "cmd_access.h"
#include "cmd_against.h"
#include "cmd_render.h"
#include "cmd_smtpd_want.h"

#define VALUE_MAX 16384		/* octets of an option that are looked at */
#define OTHERS_MAX 16		/* wrong paths that are told once each */

struct exim {
	const struct against *a;
	const char *name, *text;
	char *told[OTHERS_MAX];		/* paths that were complained of */
	size_t ntold;
};

/* Why an option matters: what of the settings it takes to make it an error. */
enum matters {
	ALWAYS,
	IF_SHOWN,		/* there is a [certificate] */
	IF_CLEAR,		/* some mode is none: else a fixed `*` does as well */
	IF_ASKED,		/* some client_cert is not none */
	IF_ASKED_EVENT,		/* the same; Exim may be built without, and the call names no INI */
	IF_CA,			/* certificates are asked for, and some rule names a ca */
	IF_CRL,			/* some [ca] has a crl */
	NEVER
};

static const struct option {
	const char *name, *function;
	enum matters matters;
	const char *lost;	/* what does not hold without it */
} options[] = {
	{ "acl_smtp_mail", "tlsward_mail", ALWAYS,
	    "no rule of [server], [listener], [client] or [peer] holds" },
	{ "acl_smtp_rcpt", "tlsward_rcpt", ALWAYS, "no rule of a [domain] holds" },
	{ "tls_advertise_hosts", "tlsward_advertise", IF_CLEAR,
	    "TLS is offered or not, whatever mode says" },
	{ "tls_certificate", "tlsward_certificate", IF_SHOWN,
	    "another certificate is shown than the settings name" },
	{ "tls_privatekey", "tlsward_privatekey", IF_SHOWN,
	    "the key is not that of the certificate that the settings name" },
	{ "tls_try_verify_hosts", "tlsward_ask", IF_ASKED,
	    "clients are asked for a certificate, or not, whatever client_cert says" },
	{ "tls_verify_certificates", "tlsward_ca", IF_CA,
	    "certificates are verified with other CAs than the settings name" },
	{ "tls_crl", "tlsward_crl", IF_CRL, "no crl of the settings is looked at" },
	{ "event_action", "tlsward_element", IF_ASKED_EVENT,
	    "what clients send behind their certificate is not seen, and mail that needs it waits, "
	    "with 451; your own goes into TLSWARD_EVENTS" },
	{ "tls_verify_hosts", "tlsward_demand", NEVER,
	    "handshakes fail or not, whatever verifies says" },
	{ "smtp_accept_max_per_host", "tlsward_preload", NEVER,
	    "the daemon does not hold the settings ready: each connection reads the file, and "
	    "while it has errors mail is refused with 451" },
};
#define NOPTIONS (sizeof(options) / sizeof(options[0]))

/* ---- the settings ---- */

static bool
some_rule(const struct settings *s, bool (*holds)(const struct rule *))
{
	const struct rule *r;

	for (int sec = 0; sec < SEC_MAX; sec++)
		for (size_t i = 0; (r = settings_at(s, (enum section)sec, i)) != NULL; i++)
			if (holds(r))
				return true;
	return false;
}

static bool
clear_base(const struct rule *r)
{
	return r->section <= SEC_CLIENT && rule_sets(r, KEY_MODE) &&
	    settings_value(r, KEY_MODE) == MODE_NONE;
}

static bool
asks(const struct rule *r)
{
	return r->section < SEC_RULES && rule_sets(r, KEY_CLIENT_CERT) &&
	    settings_value(r, KEY_CLIENT_CERT) != CC_NONE;
}

static bool
names_ca(const struct rule *r)
{
	return r->section < SEC_RULES && rule_sets(r, KEY_CA);
}

static bool
names_crl(const struct rule *r)
{
	return r->section == SEC_CA && rule_sets(r, KEY_CRL);
}

static bool
is_certificate(const struct rule *r)
{
	return r->section == SEC_CERTIFICATE;
}

static bool
matters(const struct settings *s, const struct option *o)
{
	switch (o->matters) {
	case ALWAYS:
		return true;
	case IF_SHOWN:
		return some_rule(s, is_certificate);
	case IF_CLEAR:
		return some_rule(s, clear_base);
	case IF_ASKED:
	case IF_ASKED_EVENT:
		return some_rule(s, asks);
	case IF_CA:
		return some_rule(s, asks) && some_rule(s, names_ca);
	case IF_CRL:
		return some_rule(s, asks) && some_rule(s, names_crl);
	case NEVER:
		break;
	}
	return false;
}

/* ---- options ---- */

/* The option's value and line; false: it is not in the text. */
static bool
option_value(const char *text, const char *name, char *value, size_t size, unsigned *line)
{
	size_t len = strlen(name), n;
	const char *p;

	for (*line = 1; *text != '\0'; (*line)++) {
		n = strcspn(text, "\n");
		p = text + len;
		if (strncmp(text, name, len) == 0 && (*p == ' ' || *p == '=')) {
			p += strspn(p, " ");
			if (*p == '=') {
				p++;
				p += *p == ' ';
				snprintf(value, size, "%.*s", (int)(text + n - p), p);
				return true;
			}
		}
		text += n;
		text += *text == '\n';
	}
	*line = 0;
	return false;
}

/* The text in { } at p, blanks before it skipped; false: there is none. */
static bool
braced(const char **p, char *out, size_t size)
{
	const char *at = *p + strspn(*p, " \t");
	size_t n = strcspn(at, "}");

	if (*at != '{' || at[n] != '}' || n >= size)
		return false;
	snprintf(out, size, "%.*s", (int)n - 1, at + 1);
	*p = at + n + 1;
	return true;
}

/* Was this path complained of before?  It is now. */
static bool
told(struct exim *x, const char *path)
{
	for (size_t i = 0; i < x->ntold; i++)
		if (strcmp(x->told[i], path) == 0)
			return true;
	if (x->ntold < OTHERS_MAX && (x->told[x->ntold] = strdup(path)) != NULL)
		x->ntold++;
	return false;
}

/* The call that `value` has at p: its module and its INI. */
static void
compare_call(struct exim *x, const struct option *o, const char *p, unsigned line)
{
	char module[4096], function[64], ini[4096], path[PATH_MAX];

	if (!braced(&p, module, sizeof(module)) || !braced(&p, function, sizeof(function)))
		return;
	if (module[0] != '/' && !told(x, module))
		differs(x->a, SEV_ERROR, x->name, line, "%s calls the module %s: the path has to be "
		    "absolute (TLSWARD_MODULE)", o->name, module);
	else if (access(module, R_OK) < 0 && !told(x, module))
		differs(x->a, SEV_ERROR, x->name, line, "%s calls the module %s: %s; set "
		    "TLSWARD_MODULE", o->name, module, strerror(errno));
	if (o->matters != IF_ASKED_EVENT && braced(&p, ini, sizeof(ini)) &&
	    !same_file(ini, x->a->ini) && !told(x, ini))
		differs(x->a, SEV_ERROR, x->name, line, "%s has the settings of %s, not %s: set "
		    "TLSWARD_INI = %s above the .include", o->name, ini, x->a->ini,
		    ini_path(x->a, path));
}

/*
 * A fixed file does as well where all sessions are shown the one certificate
 * (TLSWARD_CERTIFICATE, TLSWARD_KEY).  True: there is no more to say of it.
 */
static bool
fixed_file(const struct exim *x, const struct option *o, const char *value, unsigned line)
{
	const struct rule *r = one_certificate(x->a->s);
	bool key = strcmp(o->name, "tls_privatekey") == 0 && rule_sets(r, KEY_KEY);
	const char *file = settings_text(x->a->s, r, key ? KEY_KEY : KEY_FILE);

	if (o->matters != IF_SHOWN || value[0] != '/' || file == NULL)
		return false;
	if (!same_file(value, file))
		differs(x->a, SEV_ERROR, x->name, line, "%s = %.200s is not what [certificate %s] "
		    "has: %s; include exim-tlsward.conf, and set %s = %s above it, or neither that "
		    "nor this", o->name, value, settings_name(x->a->s, r), o->lost,
		    strcmp(o->name, "tls_privatekey") == 0 ? "TLSWARD_KEY" : "TLSWARD_CERTIFICATE", file);
	return true;
}

static void
not_ours(const struct exim *x, const struct option *o, const char *value, unsigned line)
{
	bool error = matters(x->a->s, o), offers = o->matters == IF_CLEAR;
	char shown[80];

	if (fixed_file(x, o, value, line))
		return;
	/* what is fixed may be what the module would say */
	if (!error && o->matters != NEVER && (o->matters == IF_ASKED_EVENT ||
	    strcmp(value, offers ? "*" : "") == 0))
		return;
	if (offers && value[0] == '\0') {
		differs(x->a, SEV_ERROR, x->name, line, "%s is empty, so that Exim offers no TLS: "
		    "include exim-tlsward.conf, which sets it", o->name);
		return;
	}
	snprintf(shown, sizeof(shown), "%.50s%s", value, strlen(value) > 50 ? "…" : "");
	differs(x->a, error ? SEV_ERROR : SEV_WARNING, x->name, line, "%s = %s does not ask tlsward: "
	    "%s; take it out and include exim-tlsward.conf, which sets it", o->name,
	    value[0] != '\0' ? shown : "(nothing)", o->lost);
}

static void
compare_option(struct exim *x, const struct option *o)
{
	char value[VALUE_MAX], call[64];
	const char *p, *start;
	unsigned line;

	if (!option_value(x->text, o->name, value, sizeof(value), &line)) {
		if (o->matters != IF_ASKED_EVENT || matters(x->a->s, o))
			differs(x->a, SEV_WARNING, x->name, 0, "%s is not there: is this all that "
			    "`exim -bP` printed?", o->name);
		return;
	}
	if (strstr(value, "not displayable") != NULL) {
		differs(x->a, SEV_ERROR, x->name, line, "%s is hidden from you: let root run exim -bP",
		    o->name);
		return;
	}
	snprintf(call, sizeof(call), "{%s}", o->function);
	if ((p = strstr(value, call)) == NULL) {
		not_ours(x, o, value, line);
		return;
	}
	start = value;			/* the last ${dlfunc before it */
	for (const char *q = value; (q = strstr(q, "${dlfunc")) != NULL && q < p; q++)
		start = q + strlen("${dlfunc");
	compare_call(x, o, start, line);
}

/* Sessions may be resumed only where no certificate is asked for. */
static void
compare_resumption(const struct exim *x)
{
	char value[VALUE_MAX];
	unsigned line;

	if (!some_rule(x->a->s, asks) ||
	    !option_value(x->text, "tls_resumption_hosts", value, sizeof(value), &line) ||
	    value[0] == '\0' || strstr(value, "{tlsward_ask}") != NULL)
		return;
	differs(x->a, SEV_WARNING, x->name, line, "tls_resumption_hosts = %.50s%s does not ask "
	    "tlsward: of a resumed session's client nothing is known but its own certificate, and "
	    "mail that needs more waits, with 451; take it out and set TLSWARD_RESUMPTION", value,
	    strlen(value) > 50 ? "…" : "");
}

/* ---- where it listens ---- */

/* The next item of one of Exim's lists, whose separator is ':' or what follows '<'. */
static bool
next_item(const char **at, char *separator, char *item, size_t size)
{
	const char *p = *at + strspn(*at, " \t");
	size_t n = 0;

	if (*separator == '\0') {
		*separator = p[0] == '<' && p[1] != '\0' ? p[1] : ':';
		p += p[0] == '<' && p[1] != '\0' ? 2 : 0;
	}
	p += strspn(p, " \t");
	if (*p == '\0')
		return false;
	for (; *p != '\0'; p++) {
		if (*p == *separator && *++p != *separator)	/* a doubled one is one */
			break;
		if (n < size - 1 && *p != ' ' && *p != '\t')
			item[n++] = *p;
		if (*p == '\0')
			break;
	}
	item[n] = '\0';
	*at = p;
	return true;
}

/* "25", "smtp"; 0: none. */
static unsigned
port_of(const char *text)
{
	struct servent *service;
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end != text && *end == '\0')
		return n <= 65535 ? (unsigned)n : 0;
	service = getservbyname(text, "tcp");
	return service != NULL ? ntohs((uint16_t)service->s_port) : 0;
}

/* The port that an item of local_interfaces names: "[::1]:26", "127.0.0.1.26"; 0: none. */
static unsigned
port_of_interface(const char *item)
{
	const char *p, *last = NULL;
	unsigned dots = 0;

	if (item[0] == '[')
		return (p = strstr(item, "]:")) != NULL ? port_of(p + 2) : 0;
	for (p = item; (p = strchr(p, '.')) != NULL; last = p++)
		dots++;
	return last != NULL && dots != 3 ? port_of(last + 1) : 0;
}

static bool
listed(const struct exim *x, const char *option, unsigned (*port)(const char *), unsigned want)
{
	char value[VALUE_MAX], item[256], separator = '\0';
	const char *p = value;
	unsigned line;

	if (!option_value(x->text, option, value, sizeof(value), &line))
		return false;
	while (next_item(&p, &separator, item, sizeof(item)))
		if (port(item) == want)
			return true;
	return false;
}

static void
compare_listener(const struct exim *x, const struct rule *r)
{
	struct addr at = settings_addr(x->a->s, r);
	char title[SECTION_TEXT];
	struct smtpd_want w;

	rule_title(x->a->s, r, title);
	if (!listed(x, "daemon_smtp_ports", port_of, at.port) &&
	    !listed(x, "local_interfaces", port_of_interface, at.port))
		differs(x->a, SEV_ERROR, x->a->ini, r->line, "%s never holds: neither "
		    "daemon_smtp_ports nor local_interfaces of %s has the port %u", title, x->name,
		    at.port);
	smtpd_want(x->a->s, &at, &w);
	if (w.base.value[KEY_MODE] == MODE_NONE &&
	    listed(x, "tls_on_connect_ports", port_of, at.port))
		differs(x->a, SEV_ERROR, x->a->ini, r->line, "%s has mode = none, and Exim does TLS from "
		    "the start on port %u: take it out of tls_on_connect_ports", title, at.port);
}

/* Root prints `exim -bP`, and Exim reads the files as its own user. */
static void
compare_user(const struct exim *x)
{
	const struct access access = { x->a->s, x->a->ini, SEV_ERROR, x->a->report, x->a->arg };
	char user[256], group[256];
	struct reader r;
	unsigned line;

	if (!option_value(x->text, "exim_user", user, sizeof(user), &line))
		return;
	if (!option_value(x->text, "exim_group", group, sizeof(group), &line))
		group[0] = '\0';
	if (reader_find(&r, "Exim", user, group[0] != '\0' ? group : NULL))
		access_check(&access, &r, true);
}

void
against_exim(const struct against *a, const char *name, const char *text)
{
	struct exim x = { .a = a, .name = name, .text = text };
	const struct rule *r;
	size_t i;

	for (i = 0; i < NOPTIONS; i++)
		compare_option(&x, &options[i]);
	compare_resumption(&x);
	compare_user(&x);
	for (i = 0; (r = settings_at(a->s, SEC_LISTENER, i)) != NULL; i++)
		compare_listener(&x, r);
	while (x.ntold > 0)
		free(x.told[--x.ntold]);
}
