/*
 * tlsward render opensmtpd|exim: which server, and what Exim needs; smtpd.conf
 * is cmd_render_smtpd.c's.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "cmd_render.h"

void
comment(const char *format, ...)
{
	char text[2048];
	const char *p = text;
	size_t word, column = 1;
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	putchar('#');
	for (; *p != '\0'; p += word, p += strspn(p, " ")) {
		word = strcspn(p, " ");
		if (column > 1 && column + 1 + word > 78) {
			fputs("\n#", stdout);
			column = 1;
		}
		printf(" %.*s", (int)word, p);
		column += 1 + word;
	}
	putchar('\n');
}

/* ---- Exim ---- */

/* Where Exim's parser ends a path, or reads more into it. */
static bool
exim_path(const char *path)
{
	return strpbrk(path, " \t$\\{}:\"'#") == NULL;
}

const struct rule *
one_certificate(const struct settings *s)
{
	if (settings_count(s, SEC_CERTIFICATE) != 1 ||
	    !rule_sets(settings_at(s, SEC_SERVER, 0), KEY_CERTIFICATE))
		return NULL;
	return settings_at(s, SEC_CERTIFICATE, 0);
}

/* The choice to have Exim keep the one certificate in memory. */
static void
note_certificate(const struct settings *s)
{
	const struct rule *r = one_certificate(s);
	const char *file = settings_text(s, r, KEY_FILE), *key = settings_text(s, r, KEY_KEY);

	if (file == NULL || !exim_path(file) || (key != NULL && !exim_path(key)))
		return;
	comment("Every session is shown the same certificate. Named here Exim has it in memory, "
	    "and does not read it in each session; `certificate` then says nothing to Exim:");
	printf("#TLSWARD_CERTIFICATE = %s\n", file);
	if (key != NULL)
		printf("#TLSWARD_KEY = %s\n", key);
}

/* The ports of the [listener]s, which Exim has to listen on. */
static void
note_ports(const struct settings *s)
{
	char ports[256] = "", title[SECTION_TEXT], one[16];
	const struct rule *r;
	bool smtps = false;
	unsigned port;
	size_t i, n = 0;

	for (i = 0; (r = settings_at(s, SEC_LISTENER, i)) != NULL; i++) {
		port = settings_addr(s, r).port;
		smtps |= port == 465;
		snprintf(one, sizeof(one), " %u ", port);
		if (strstr(ports, one) != NULL || n + strlen(one) + 1 >= sizeof(ports))
			continue;
		n += (size_t)snprintf(ports + n, sizeof(ports) - n, "%s%s", n > 0 ? ":" : "", one);
	}
	if (n > 0)
		comment("The [listener]s are met where Exim listens on their ports, by "
		    "daemon_smtp_ports or local_interfaces:%.*s.", (int)n - 1, ports);
	if (smtps)
		comment("Port 465 is TLS from the start where Exim has tls_on_connect_ports = 465.");
	for (i = 0; (r = settings_at(s, SEC_LISTENER, i)) != NULL; i++)
		if (settings_value(r, KEY_VERIFIES) != 0)
			comment("%s has verifies = yes: on Exim that means that a handshake without "
			    "a good certificate fails, rather than MAIL FROM.",
			    section_text(SEC_LISTENER, settings_name(s, r), title));
}

int
render_exim(const struct settings *s, const char *ini, bool debian)
{
	if (!exim_path(ini))
		return cmd_error("%s: Exim cannot be given a path with spaces, quotes or any of "
		    "$ \\ { } : # in it; let a link or another folder lead to the file", ini);
	if (debian) {
		comment("Exim as Debian configures it: these lines go to "
		    "/etc/exim4/conf.d/main/00_tlsward, or where the configuration is one file to "
		    "/etc/exim4/exim4.conf.localmacros; then update-exim4.conf. Leave "
		    "MAIN_TLS_ENABLE unset.");
	} else {
		comment("Exim: these lines go to the main section, before the first \"begin\". "
		    "With Debian's configuration: tlsward render exim --debian.");
	}
	printf("\nTLSWARD_INI = %s\n", ini);
	if (debian) {
		comment("The site's own ACLs go on after tlsward's; where they are not Debian's:");
		printf("#TLSWARD_MAIL_ACL = acl_check_mail\n#TLSWARD_RCPT_ACL = acl_check_rcpt\n");
	} else {
		comment("The site's own ACLs go on after tlsward's; where they have other names:");
		printf("#TLSWARD_MAIL_ACL = accept\n#TLSWARD_RCPT_ACL = acl_check_rcpt\n");
	}
	note_certificate(s);
	printf(".include %s/share/tlsward/exim-tlsward%s.conf\n\n", TLSWARD_PREFIX,
	    debian ? "-debian" : "");
	comment("That file sets %s, tls_advertise_hosts, tls_certificate, tls_privatekey, "
	    "tls_try_verify_hosts, tls_verify_hosts, tls_verify_certificates, tls_crl, "
	    "smtp_accept_max_per_host and event_action%s.", debian ?
	    "MAIN_ACL_CHECK_MAIL, MAIN_ACL_CHECK_RCPT" : "acl_smtp_mail, acl_smtp_rcpt", debian ?
	    "" : "; take them out elsewhere, since Exim does not start with an option set twice");
	comment("An event_action of your own goes into TLSWARD_EVENTS above the .include, a "
	    "limit of connections into TLSWARD_PER_HOST.");
	comment("Which certificate is shown, to whom TLS is offered and who is asked for a "
	    "certificate is then looked up in the settings at each session.");
	if (settings_count(s, SEC_CERTIFICATE) == 0)
		comment("There is no [certificate]: Exim makes a self-signed one.");
	note_ports(s);
	comment("See what Exim makes of it: exim -bP | tlsward check --against -");
	return EXIT_DONE;
}

/* ---- which ---- */

int
cmd_render(struct cmd *c, int argc, char **argv)
{
	static const struct usage usage = { "render opensmtpd\n"
	    "       tlsward [-c FILE] render exim [--debian]",
	    "Prints what the server's own configuration has to say where the settings are to\n"
	    "hold: for smtpd.conf the certificates, the filter and the listen lines, for Exim\n"
	    "the macros.  Comments say what that server cannot do.  Nothing is changed.\n" };
	static const char *const servers[] = { "opensmtpd", "exim" };
	bool debian = false;
	const struct opt options[] = {
		{ "debian", OPT_FLAG, &debian, NULL, "for Debian's configuration of Exim" },
		{ NULL, OPT_FLAG, NULL, NULL, NULL }
	};
	char path[PATH_MAX], hint[HINT_SIZE];
	struct settings *s;
	int n, status;
	bool exim;

	if ((n = opt_parse(c, &usage, options, argc, argv)) < 0)
		return c->status;
	if (n > 1)
		return cmd_usage(c, "takes one server, not \"%.64s\" too", argv[1]);
	if (n != 1)
		return cmd_usage(c, "needs the server: opensmtpd or exim");
	exim = strcmp(argv[0], "exim") == 0;
	if (!exim && strcmp(argv[0], "opensmtpd") != 0)
		return cmd_usage(c, "there is no server \"%.64s\"%s\nServers are opensmtpd and exim.",
		    argv[0], meant(argv[0], servers, 2, hint));
	if (debian && !exim)
		return cmd_usage(c, "--debian is for exim");
	if ((s = cmd_settings(c)) == NULL)
		return EXIT_FAILED;
	/* the servers start elsewhere; a link in an absolute path is meant to stay */
	if (c->ini[0] == '/' && strlen(c->ini) < sizeof(path))
		snprintf(path, sizeof(path), "%s", c->ini);
	else if (realpath(c->ini, path) == NULL)
		path[0] = '\0';
	if (path[0] == '\0')
		status = cmd_error("%s: %s", c->ini, strerror(errno));
	else
		status = exim ? render_exim(s, path, debian) : render_opensmtpd(s, path);
	settings_free(s);
	return status;
}
