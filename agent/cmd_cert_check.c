/*
 * What `tlsward check` says of the files that the settings name: certificates
 * and keys, CAs, CRLs and files of pins.
 */
#include <sys/stat.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ca.h"
#include "cert.h"
#include "cmd_cert.h"
#include "cmd_smtpd_want.h"
#include "keys.h"
#include "pinned.h"

struct check {
	const struct settings *s;
	read_report *report;
	void *arg;
};

static void tell(const struct check *, enum severity, unsigned line, const char *, ...)
    __attribute__((format(printf, 4, 5)));

static void
tell(const struct check *c, enum severity severity, unsigned line, const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	c->report(c->arg, severity, settings_path(c->s), line, text);
}

#define warn(c, ...) tell(c, SEV_WARNING, __VA_ARGS__)

/* Is it known that the file is not there, or no link leads to one? */
static bool
missing(const char *path)
{
	struct stat st;

	return stat(path, &st) == -1 && errno == ENOENT;
}

/* Who may change a key can have the server show another; who reads it, be the server. */
static void
check_key_mode(const struct check *c, const struct rule *r, const char *key)
{
	struct stat st;
	mode_t others;

	if (key == NULL || stat(key, &st) == -1 || !S_ISREG(st.st_mode) ||
	    (others = st.st_mode & (S_IROTH | S_IWOTH)) == 0)
		return;
	warn(c, settings_line(c->s, r, KEY_KEY), "[certificate %s]: %.300s can be %s by everybody: "
	    "chmod 0640 %.300s", settings_name(c->s, r), key, others == S_IROTH ? "read" :
	    others == S_IWOTH ? "written" : "read and written", key);
}

static void
check_certificate(const struct check *c, const struct rule *r, struct cert_info *info)
{
	const char *name = settings_name(c->s, r);
	const char *file = settings_text(c->s, r, KEY_FILE), *key = settings_text(c->s, r, KEY_KEY);
	enum cert_state state = cert_inspect(file, key, time(NULL), cert_expiring_days(c->s), info);
	enum severity severity = SEV_WARNING;
	char text[CERT_FAULT];

	/* what a rule shows, and no server can; what this user may not read is not known */
	if ((state == CERT_STATE_UNREADABLE || state == CERT_STATE_KEY_MISMATCH) &&
	    cert_user(c->s, name, 0) != NULL && (access(file, R_OK) == 0 || errno != EACCES))
		severity = SEV_ERROR;
	if (state != CERT_STATE_OK)
		tell(c, severity, settings_line(c->s, r, state == CERT_STATE_KEY_MISMATCH ||
		    (state == CERT_STATE_UNREADABLE && info->parsed) ? KEY_KEY : KEY_FILE),
		    "[certificate %s]: %s", name, cert_fault(info, name, text));
	if (!info->parsed && key != NULL && missing(key))
		tell(c, severity, settings_line(c->s, r, KEY_KEY), "[certificate %s]: %.300s: there is "
		    "no such file, either", name, key);
	check_key_mode(c, r, key);
}

/* The authority that ends first, and the CRL that does. */
static void
check_dates(const struct check *c, const struct rule *r, struct cert_info *info)
{
	const char *name = settings_name(c->s, r), *file = settings_text(c->s, r, KEY_FILE);
	const char *crl = settings_text(c->s, r, KEY_CRL);
	unsigned days = cert_expiring_days(c->s);
	struct crl_info list;
	enum cert_state state;

	state = cert_inspect_bundle(file, time(NULL), days, info);
	if (state == CERT_STATE_EXPIRED || state == CERT_STATE_NOT_YET ||
	    state == CERT_STATE_EXPIRING)
		warn(c, settings_line(c->s, r, KEY_FILE), "[ca %s]: %.250s: %s%s", name, file,
		    info->error, state == CERT_STATE_EXPIRING ? "" :
		    "; until then what it has certified is refused");
	if (crl == NULL)
		return;
	state = cert_inspect_crl(crl, time(NULL), days, &list);
	if (state != CERT_STATE_OK)
		warn(c, settings_line(c->s, r, KEY_CRL), "[ca %s]: %s%s", name, list.error,
		    state == CERT_STATE_EXPIRING ? "" : "; until then mail that needs it waits, with 451");
}

static void
check_ca(const struct check *c, const struct rule *r, struct cert_info *info)
{
	char why[512];
	struct ca *ca = ca_load(settings_text(c->s, r, KEY_FILE), settings_text(c->s, r, KEY_CRL),
	    false, why, sizeof(why));

	if (ca == NULL)
		warn(c, settings_line(c->s, r, KEY_FILE), "[ca %s]: cannot be used, so mail that needs it "
		    "waits: %s", settings_name(c->s, r), why);
	else if (info != NULL)
		check_dates(c, r, info);
	ca_free(ca);
}

/* OpenSMTPD says no more than "verified", and looks at no CRL. */
static void
check_verifying(const struct check *c, const struct rule *listener)
{
	struct addr at = settings_addr(c->s, listener);
	struct smtpd_want w;

	smtpd_want(c->s, &at, &w);
	if (!w.verify || w.ca == NULL || !rule_sets(w.ca, KEY_CRL))
		return;
	warn(c, settings_line(c->s, w.ca, KEY_CRL), "[ca %s]: OpenSMTPD cannot check its crl, so at "
	    "[listener %s], which verifies, mail that needs it waits, with 451, but for pins: use "
	    "fingerprints or certs, or take the crl out", settings_name(c->s, w.ca),
	    settings_name(c->s, listener));
}

/* A file counts once, however many rules name it: by the line of the first. */
static void
check_pins(const struct check *c, const struct pinned_file *f, struct cert_info *info)
{
	enum cert_state state = cert_inspect_pins(f->file, time(NULL), cert_expiring_days(c->s), info);
	unsigned line = settings_line(c->s, f->rule[0], KEY_CERTS);
	char by[PINNED_BY];

	if (state == CERT_STATE_UNREADABLE)
		warn(c, line, "%s: certs cannot be used: %s", pinned_by(c->s, f, by), info->error);
	else if (state != CERT_STATE_OK)
		warn(c, line, "%s: %.250s: %s", pinned_by(c->s, f, by), f->file, info->error);
}

static void
check_all_pins(const struct check *c, struct cert_info *info)
{
	struct pinned p;

	if (!pinned_find(c->s, SIZE_MAX, &p)) {
		warn(c, 0, "out of memory: the files of pins are not looked at");
		return;
	}
	for (size_t i = 0; i < p.n; i++)
		check_pins(c, &p.at[i], info);
	pinned_free(&p);
}

/* The servers and the agent read the settings as root or as themselves, and obey them. */
static void
check_places(const struct check *c)
{
	const char *dir = settings_place(c->s, SEC_SERVER, KEY_STATE_DIR);
	const char *ini = settings_path(c->s);
	struct stat st;

	if (stat(ini, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IWOTH) != 0)
		warn(c, 0, "can be written by everybody: chmod 0644 %.300s", ini);
	if (missing(dir))
		warn(c, settings_line(c->s, settings_find(c->s, SEC_SERVER, ""), KEY_STATE_DIR),
		    "[server]: the folder of counters %.300s is not there, so nothing is counted: "
		    "`tlsward setup` makes it", dir);
}

void
cert_check(const struct settings *s, read_report *report, void *arg)
{
	const struct check c = { s, report, arg };
	struct cert_info *info = malloc(sizeof(*info));
	const struct rule *r;
	size_t i;

	check_places(&c);
	for (i = 0; info != NULL && (r = settings_at(s, SEC_CERTIFICATE, i)) != NULL; i++)
		check_certificate(&c, r, info);
	for (i = 0; (r = settings_at(s, SEC_CA, i)) != NULL; i++)
		check_ca(&c, r, info);
	for (i = 0; (r = settings_at(s, SEC_LISTENER, i)) != NULL; i++)
		check_verifying(&c, r);
	if (info != NULL)
		check_all_pins(&c, info);
	free(info);
}
