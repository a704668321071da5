/*
 * The pieces of an smtpd.conf that the settings imply.  cmd_smtpd_want.h says
 * what is implied; here it is written down, with what smtpd cannot do.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "cmd_render.h"
#include "cmd_smtpd_conf.h"
#include "cmd_smtpd_want.h"

#define LISTED_MAX 5		/* rules named in one comment */

struct render {
	const struct settings *s;
	const struct addr *at;		/* where to listen */
	struct smtpd_want *want;	/* for each of them */
	size_t count;
};

/* ---- quotes ---- */

/*
 * A string of smtpd.conf: a backslash is special before a quote or blank only,
 * and one that stands before them needs another.
 */
static void
put_quoted(const char *text)
{
	const char *p;

	putchar('"');
	for (p = text; *p != '\0'; p++) {
		if (*p == '"' || ((*p == ' ' || *p == '\t') && p > text && p[-1] == '\\'))
			putchar('\\');
		putchar(*p);
	}
	putchar('"');
}

/* The filter's command, which the shell reads. */
static void
put_command(const char *ini)
{
	char command[8192];
	const char *p;
	size_t n;

	n = (size_t)snprintf(command, sizeof(command), "%s/libexec/opensmtpd/filter-tlsward -c ",
	    TLSWARD_PREFIX);
	if (ini[strspn(ini, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	    "/._-+,:@%=")] == '\0') {
		snprintf(command + n, sizeof(command) - n, "%s", ini);
	} else {
		command[n++] = '\'';
		for (p = ini; *p != '\0' && n < sizeof(command) - 8; p++) {
			if (*p == '\'')
				n += (size_t)snprintf(command + n, sizeof(command) - n, "'\\'");
			command[n++] = *p;
		}
		snprintf(command + n, sizeof(command) - n, "'");
	}
	put_quoted(command);
}

/*
 * What a [certificate] or [ca] is called: smtpd compares in lower case and
 * wants something like a host name.
 */
static void
put_name(const struct settings *s, const struct rule *r)
{
	const char *name = settings_name(s, r), *p;
	const struct rule *other;
	bool good = name[0] != '-' && name[0] != '.' && strstr(name, "..") == NULL &&
	    strstr(name, ".-") == NULL;
	size_t i;

	for (i = 0; (other = settings_at(s, (enum section)r->section, i)) != NULL; i++)
		if (other != r && strcasecmp(settings_name(s, other), name) == 0)
			good = false;
	if (!good) {
		printf("\"%s-%u\"", section_words[r->section], r->line);
		return;
	}
	putchar('"');
	for (p = name; *p != '\0'; p++)
		putchar(tolower((unsigned char)*p));
	putchar('"');
}

/* ---- certificates and CAs ---- */

static void
put_file(const struct render *d, const char *what, const struct rule *r, const char *which,
    enum key k)
{
	const char *path = settings_text(d->s, r, k);

	printf("%s ", what);
	put_name(d->s, r);
	printf(" %s ", which);
	put_quoted(path != NULL ? path : "");
	putchar('\n');
}

static void
put_certificates(const struct render *d)
{
	const struct rule *shown[PKI_MAX], *most[PKI_MAX];
	size_t i, n = 0, all = 0;

	/* each listener shows them all, in an order of its own */
	for (i = 0; i < d->count; i++)
		if (d->want[i].tls && (n = smtpd_certificates(d->s, &d->want[i], shown, PKI_MAX)) > all) {
			memcpy(most, shown, n * sizeof(*shown));
			all = n;
		}
	if (all > 0)
		comment("Key files have to be root's, at most 0740; certificates root's, at most 0755.");
	for (i = 0; i < all; i++) {
		put_file(d, "pki", most[i], "cert", KEY_FILE);
		put_file(d, "pki", most[i], "key", KEY_KEY);
		if (rule_sets(most[i], KEY_NAMES))
			comment("Its `names` are Exim's: smtpd goes by those in the certificate.");
	}
	if (settings_count(d->s, SEC_CERTIFICATE) > all && all > 0)
		comment("smtpd shows at most %d certificates; the others are left out.", PKI_MAX);
	if (all > 0)
		putchar('\n');
}

static void
put_cas(const struct render *d)
{
	size_t i, j, n = 0;

	for (i = 0; i < d->count; i++) {
		const struct rule *ca = d->want[i].ca;

		for (j = 0; j < i && (d->want[j].ca != ca || !d->want[j].verify); j++)
			;
		if (ca == NULL || !d->want[i].verify || j < i)
			continue;
		put_file(d, "ca", ca, "cert", KEY_FILE);
		n++;
		if (rule_sets(ca, KEY_CRL))
			comment("smtpd cannot check its `crl`: mail that needs it waits, but for pins.");
		if (settings_value(ca, KEY_PURPOSE) != PURPOSE_CLIENT)
			comment("smtpd takes what is good for clients only, as with `purpose = client`.");
	}
	if (n > 0)
		putchar('\n');
}

/* ---- listen lines ---- */

static void
note_listener(const struct render *d, const struct smtpd_want *w)
{
	char title[SECTION_TEXT], exempt[EXEMPT_SIZE];
	uint32_t mode = w->base.value[KEY_MODE], cc = w->base.value[KEY_CLIENT_CERT];

	comment("%s", rule_title(d->s, w->listener, title));
	if (w->verify) {
		comment("verify ends the handshake of a client without a certificate that %s signed, "
		    "and goes with tls-require: mail in clear is answered 530 by smtpd itself.",
		    w->ca != NULL ? "the ca" : "one of the system's CAs");
		if (smtpd_exempt(d->s, w, exempt) != NULL)
			comment("That holds for all: %s has no effect there.", exempt);
	} else if (mode == MODE_REQUIRE && !w->implicit) {
		comment("mode = require is the filter's to keep. tls-require would have smtpd refuse "
		    "by itself, uncounted, with 530 5.5.1, who is exempt or only to be reported.");
	}
	if (mode == MODE_NONE && w->tls && !w->verify)
		comment("mode = none, but a [client] may use TLS: smtpd offers it to all, the filter "
		    "refuses STARTTLS to the others.");
	if (!w->verify && cc == CC_REQUEST)
		comment("client_cert = request: smtpd cannot ask and accept whatever comes; without "
		    "verify it does not ask.");
	if (!w->verify && cc == CC_REQUIRE)
		comment("client_cert = require: without verify smtpd asks for no certificate, and "
		    "mail is refused with 451. Set verifies = yes in %s.", w->listener != NULL ?
		    section_text(SEC_LISTENER, settings_name(d->s, w->listener), title) :
		    "a [listener] for those who have one");
}

static void
put_listen(const struct render *d, const struct smtpd_want *w, const char *on, unsigned port)
{
	const struct rule *shown[PKI_MAX];
	size_t i, n;

	printf("listen on %s port %u", on, port);
	if (w->tls) {
		printf(" %s%s", w->implicit ? "smtps" : w->verify ? "tls-require" : "tls",
		    w->verify ? " verify" : "");
		n = smtpd_certificates(d->s, w, shown, PKI_MAX);
		for (i = 0; i < n; i++) {
			printf(" pki ");
			put_name(d->s, shown[i]);
		}
	}
	if (w->verify && w->ca != NULL) {
		printf(" ca ");
		put_name(d->s, w->ca);
	}
	printf(" filter \"tlsward\"\n");
}

/* Has a [listener] of one address the same port?  Then it cannot be bound for all of them. */
static bool
shared_port(const struct render *d, const struct addr *any)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->at[i].family != ADDR_ANY && d->at[i].port == any->port)
			return true;
	return false;
}

static void
put_listener(const struct render *d, size_t i)
{
	const struct addr *at = &d->at[i];
	const char *hash = "";
	char ip[ADDR_TEXT];
	unsigned port = at->port != 0 ? at->port : 25;

	note_listener(d, &d->want[i]);
	if (at->family == ADDR_IPV4 || at->family == ADDR_IPV6) {
		put_listen(d, &d->want[i], addr_format_ip(at, ip), port);
		return;
	}
	if (at->family == ADDR_ANY && shared_port(d, at)) {
		comment("Other addresses of a port that has its own lines, each by a line like these:");
		hash = "#";
	}
	printf("%s", hash);
	put_listen(d, &d->want[i], "0.0.0.0", port);
	printf("%s", hash);
	put_listen(d, &d->want[i], "::", port);
}

/* ---- what smtpd cannot do for peers, domains and networks ---- */

/* The first rules of a section for which `holds` is true, as a list of titles; "" for none. */
static const char *
listed(const struct settings *s, enum section section,
    bool (*holds)(const struct rule *), char *buf, size_t size)
{
	char title[SECTION_TEXT];
	const struct rule *r;
	size_t i, count = 0, n = 0;

	buf[0] = '\0';
	for (i = 0; (r = settings_at(s, section, i)) != NULL; i++) {
		if (!holds(r) || count++ >= LISTED_MAX || n >= size)
			continue;
		n += (size_t)snprintf(buf + n, size - n, "%s%s", n > 0 ? ", " : "",
		    rule_title(s, r, title));
	}
	if (count > LISTED_MAX && n < size)
		snprintf(buf + n, size - n, " and %zu more", count - LISTED_MAX);
	return buf;
}

static bool
has_ca(const struct rule *r)
{
	return rule_sets(r, KEY_CA);
}

static bool
old_tls(const struct rule *r)
{
	return rule_sets(r, KEY_MIN_TLS) && settings_value(r, KEY_MIN_TLS) < TLS_1_2;
}

static void
note_rules(const struct render *d)
{
	static const enum section sections[] = {
		SEC_SERVER, SEC_LISTENER, SEC_CLIENT, SEC_DOMAIN, SEC_PEER
	};
	char names[2048];
	bool verify = false;
	size_t i;

	for (i = 0; i < d->count; i++)
		verify |= d->want[i].verify;
	for (i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		enum section sec = sections[i];

		if (sec >= SEC_CLIENT && !verify &&
		    listed(d->s, sec, rule_requires_cert, names, sizeof(names))[0] != '\0')
			comment("No [listener] verifies, so that client_cert = require of %s cannot be "
			    "met: mail is refused with 451.", names);
		if (sec >= SEC_CLIENT && verify &&
		    listed(d->s, sec, has_ca, names, sizeof(names))[0] != '\0')
			comment("ca of %s: smtpd verifies with the listener's ca alone; where that is "
			    "another, such mail is refused with 451.", names);
		if (sec >= SEC_CLIENT && verify &&
		    listed(d->s, sec, rule_has_pins, names, sizeof(names))[0] != '\0')
			comment("Pins of %s: these certificates, or their CA's, have to be in the file "
			    "of the listener's ca as well: smtpd ends the handshake before a pin is "
			    "looked at. Fingerprints come by smtpd's log, see filter-tlsward(8).", names);
		if (sec >= SEC_CLIENT && verify &&
		    listed(d->s, sec, rule_wants_names, names, sizeof(names))[0] != '\0')
			comment("client_cert = require of %s without pins: smtpd does not tell the names "
			    "in a certificate, and such mail is refused with 451.", names);
		if (listed(d->s, sec, old_tls, names, sizeof(names))[0] != '\0')
			comment("min_tls of %s: smtpd does no TLS below 1.2 unless `protocols` on the "
			    "listen line says so.", names);
	}
	comment("min_tls and min_bits are the filter's, at MAIL FROM and RCPT TO. What a handshake "
	    "takes is said by `smtp ciphers`, and on listen lines by `protocols` and `ciphers`.");
}

/* ---- all ---- */

/* True: each listener that offers TLS has a certificate to show. */
static bool
certified(const struct render *d, const char *ini)
{
	const struct rule *any = settings_at(d->s, SEC_CERTIFICATE, 0);
	const char *name = any != NULL ? settings_name(d->s, any) : "mx";
	char title[SECTION_TEXT];

	for (size_t i = 0; i < d->count; i++)
		if (d->want[i].tls && d->want[i].certificate == NULL) {
			cmd_error("%s: smtpd cannot offer TLS at %s without a certificate: %s`tlsward cert "
			    "use %s` sets one in [server]%s; or set mode = none", ini,
			    rule_title(d->s, d->want[i].listener, title), any != NULL ? "" :
			    "`tlsward cert create mx --dns HOST` makes one, and ", name,
			    d->want[i].listener != NULL ? ", with --listener there" : "");
			return false;
		}
	return true;
}

int
render_opensmtpd(const struct settings *s, const char *ini)
{
	struct render d = { .s = s };
	size_t n = settings_count(s, SEC_LISTENER), i;
	struct addr *at = calloc(n + 1, sizeof(*at));
	int status = EXIT_FAILED;

	d.count = n > 0 ? n : 1;
	d.at = at;
	d.want = calloc(d.count, sizeof(*d.want));
	if (at == NULL || d.want == NULL) {
		cmd_error("out of memory");
		goto out;
	}
	for (i = 0; i < d.count; i++) {
		if (n > 0)
			at[i] = settings_addr(s, settings_at(s, SEC_LISTENER, i));
		smtpd_want(s, &at[i], &d.want[i]);
	}
	if (!certified(&d, ini))
		goto out;
	printf("# smtpd.conf, as far as it follows from %s.\n", ini);
	comment("smtpd reads it and the certificates once: restart it after a change here.");
	putchar('\n');
	put_certificates(&d);
	put_cas(&d);
	printf("filter \"tlsward\" proc-exec ");
	put_command(ini);
	putchar('\n');
	for (i = 0; i < d.count; i++) {
		putchar('\n');
		put_listener(&d, i);
	}
	putchar('\n');
	for (i = 0; i < n && at[i].port != 25; i++)
		;
	if (n > 0 && i == n)
		comment("Only what has a [listener] is here, and none has port 25: that needs a "
		    "[listener] too, or a listen line of its own with filter \"tlsward\".");
	note_rules(&d);
	comment("See whether smtpd.conf still fits: tlsward check --against /etc/smtpd.conf");
	status = EXIT_DONE;
out:
	free(at);
	free(d.want);
	return status;
}
