/* cert_inspect_crl of cert.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "ca.h"
#include "cert.h"
#include "cert_file.h"
#include "crl.h"
#include "pem_scan.h"

#define DAY 86400

/* How grave; the graver one is shown. */
static int
gravity(enum cert_state s)
{
	switch (s) {
	case CERT_STATE_UNREADABLE:
		return 4;
	case CERT_STATE_EXPIRED:
		return 3;
	case CERT_STATE_NOT_YET:
		return 2;
	case CERT_STATE_EXPIRING:
		return 1;
	default:
		return 0;
	}
}

static void
unreadable(struct crl_info *i, const char *file, const char *why)
{
	i->state = CERT_STATE_UNREADABLE;
	snprintf(i->error, sizeof(i->error), "%s: %s", file, why);
}

static void
judge(struct crl_info *i, const char *file, time_t now, unsigned expiring_days)
{
	long left = i->next_update != 0 ? (long)(i->next_update - now) : 0;
	long last = (long)(i->next_update - i->this_update) / 4;
	char date[32];
	struct tm tm;

	i->state = CERT_STATE_OK;
	i->days_left = left >= 0 ? left / DAY : -((-left + DAY - 1) / DAY);
	if (last > (long)expiring_days * DAY)
		last = (long)expiring_days * DAY;
	if (now < i->this_update) {
		i->state = CERT_STATE_NOT_YET;
		gmtime_r(&i->this_update, &tm);
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M", &tm);
		snprintf(i->error, sizeof(i->error), "%s: the CRL of %.200s is valid only from %s on; "
		    "check the clock, or wait", file, i->issuer, date);
	} else if (i->next_update != 0 && left < 0) {
		i->state = CERT_STATE_EXPIRED;
		gmtime_r(&i->next_update, &tm);
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M", &tm);
		snprintf(i->error, sizeof(i->error), "%s: the CRL of %.200s should have been replaced by "
		    "%s; fetch it again", file, i->issuer, date);
	} else if (i->next_update != 0 && left < last) {
		i->state = CERT_STATE_EXPIRING;
		snprintf(i->error, sizeof(i->error), "%s: the CRL of %.200s ends in %ld day%s; fetch it "
		    "again", file, i->issuer, i->days_left, i->days_left == 1 ? "" : "s");
	}
}

static void
take(const struct der *der, const char *file, time_t now, unsigned expiring_days,
    struct crl_info *i)
{
	X509_CRL *crl = crl_open(der);
	const ASN1_TIME *next;

	if (crl == NULL) {
		unreadable(i, file, "a CRL of it is malformed; fetch it again");
		return;
	}
	next = X509_CRL_get0_nextUpdate(crl);
	i->parsed = true;
	cert_name_text(X509_CRL_get_issuer(crl), i->issuer, sizeof(i->issuer));
	i->this_update = cert_time(X509_CRL_get0_lastUpdate(crl));
	i->next_update = next != NULL ? cert_time(next) : 0;
	i->entries = crl_entries(crl);
	if (i->this_update == 0 || (next != NULL && i->next_update == 0))
		unreadable(i, file, "the dates of a CRL of it are malformed; fetch it again");
	else
		judge(i, file, now, expiring_days);
	X509_CRL_free(crl);
}

/* Is a to be shown rather than b? */
static bool
before(const struct crl_info *a, const struct crl_info *b)
{
	if (gravity(a->state) != gravity(b->state))
		return gravity(a->state) > gravity(b->state);
	return a->next_update != 0 && (b->next_update == 0 || a->next_update < b->next_update);
}

enum cert_state
cert_inspect_crl(const char *file, time_t now, unsigned expiring_days, struct crl_info *info)
{
	struct crl_info one;
	struct pem_file f;
	char why[256];

	memset(info, 0, sizeof(*info));
	if (!pem_load(file, "X509 CRL", CRL_FILE_MAX, &f, why, sizeof(why))) {
		unreadable(info, file, why);
		return info->state;
	}
	for (size_t i = 0; i < f.n; i++) {
		memset(&one, 0, sizeof(one));
		take(&f.entries[i], file, now, expiring_days, &one);
		if (i == 0 || before(&one, info))
			*info = one;
	}
	info->crls = f.n;
	pem_free(&f);
	ERR_clear_error();
	return info->state;
}
