/*
 * An smtpd.conf against the rules of client networks, domains and peers: what
 * they ask of a client's certificate, and smtpd does not tell.
 */
#include <string.h>

#include "cmd.h"
#include "cmd_access.h"
#include "cmd_against.h"
#include "cmd_smtpd_conf.h"
#include "cmd_smtpd_want.h"

#define RULES_MAX 20		/* told of one by one */

static const enum section sections[] = { SEC_CLIENT, SEC_DOMAIN, SEC_PEER };
#define NSECTIONS (sizeof(sections) / sizeof(sections[0]))

/* What is wrong with a rule; NULL: nothing. */
static const char *
fault(const struct rule *r, bool verifies, enum severity *severity)
{
	*severity = SEV_ERROR;
	if (!rule_requires_cert(r))
		return NULL;
	if (!verifies)
		return "has client_cert = require, and no listener verifies: mail is refused with "
		    "451; have a listener with tls-require verify, and verifies = yes in its "
		    "[listener]";
	*severity = SEV_WARNING;
	if (rule_wants_names(r))
		return "has client_cert = require and no pins; smtpd does not tell the names in a "
		    "certificate, so mail is refused with 451: add fingerprints or certs";
	return NULL;
}

/* Only one of several processes can read the feed of fingerprints. */
static void
compare_programs(const struct against *a, const struct smtpd_conf *conf)
{
	const struct rule *r;
	char ini[4096];
	bool pins = false;
	size_t i, n, ours = 0;

	for (i = 0; i < NSECTIONS; i++)
		for (n = 0; !pins && (r = settings_at(a->s, sections[i], n)) != NULL; n++)
			pins = rule_has_pins(r);
	for (i = 0; i < conf->filters && pins; i++) {
		const struct smtpd_filter *f = &conf->filter[i];

		if (f->command != NULL && smtpd_is_ours(f->command, ini, sizeof(ini)) && ++ours == 2)
			differs(a, SEV_ERROR, f->at.file, f->at.line, "filter \"%s\" runs another "
			    "filter-tlsward, and only one of them learns the fingerprints that pins go "
			    "by: name one filter at all listeners", f->name);
	}
}

/*
 * The filter runs as a user of smtpd's or the one that the line names, and
 * reads the INI as that.  Where the user is not known here, all others count.
 */
static void
compare_access(const struct against *a, const struct smtpd_conf *conf)
{
	const struct access access = { a->s, a->ini, SEV_ERROR, a->report, a->arg };
	char program[4096], ini[4096], why[ACCESS_WHY];
	struct reader r;
	bool known;

	for (size_t i = 0; i < conf->filters; i++) {
		const struct smtpd_filter *f = &conf->filter[i];

		if (f->command == NULL || !smtpd_is_ours(f->command, ini, sizeof(ini)) ||
		    !smtpd_program(f->command, program, sizeof(program)))
			continue;
		known = f->user != NULL ? reader_find(&r, "the filter", f->user, f->group) :
		    reader_find(&r, "the filter", "opensmtpd", NULL) ||
		    reader_find(&r, "the filter", "_smtpd", NULL);
		if (!known)
			r = (struct reader){ .uid = (uid_t)-1, .group = "root" };
		/* smtpd looks for a relative one in a folder of its own */
		if (program[0] == '/' && !access_program(&r, program, why))
			differs(a, SEV_ERROR, f->at.file, f->at.line, "filter \"%s\": %s cannot be run, so "
			    "that smtpd takes no mail %s", f->name, program, why);
		if (known && same_file(ini, a->ini))
			access_check(&access, &r, false);
	}
}

void
against_smtpd_rules(const struct against *a, const struct smtpd_conf *conf, const char *name,
    bool verifies)
{
	const struct rule *r;
	const char *what;
	char title[SECTION_TEXT];
	enum severity severity = SEV_ERROR;
	size_t i, n, count = 0;

	compare_programs(a, conf);
	compare_access(a, conf);
	for (i = 0; i < NSECTIONS; i++) {
		if (!wants_client_cert(a->s, sections[i], CC_REQUIRE))
			continue;
		for (n = 0; (r = settings_at(a->s, sections[i], n)) != NULL; n++)
			if ((what = fault(r, verifies, &severity)) != NULL && ++count <= RULES_MAX)
				differs(a, severity, a->ini, settings_line(a->s, r, KEY_CLIENT_CERT),
				    "%s %s", rule_title(a->s, r, title), what);
	}
	if (count > RULES_MAX)
		differs(a, verifies ? SEV_WARNING : SEV_ERROR, name, 0, "the same holds for %zu more "
		    "rules", count - RULES_MAX);
}
