/* See cmd_cert_replace.h. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cert_file.h"
#include "cmd.h"
#include "cmd_cert.h"
#include "cmd_cert_chain.h"
#include "cmd_cert_replace.h"
#include "name.h"

/* The leaf that the section's file has now; NULL: none that can be read.  Free it. */
static X509 *
present_leaf(const struct settings *s, const char *name)
{
	const char *file = settings_text(s, settings_find(s, SEC_CERTIFICATE, name), KEY_FILE);
	STACK_OF(X509) *chain;
	char why[256];
	X509 *leaf;

	if (file == NULL || (chain = cert_read_chain(file, why, sizeof(why))) == NULL)
		return NULL;
	leaf = sk_X509_shift(chain);
	sk_X509_pop_free(chain, X509_free);
	return leaf;
}

const char *
replace_text(const struct settings *s, const char *name, char buf[REPLACE_TEXT])
{
	char cn[CERT_NAME_SIZE], date[UTC_TEXT], more[32] = "";
	struct cert_names names = { 0 };
	X509 *leaf = present_leaf(s, name);

	buf[0] = '\0';
	if (leaf == NULL)
		return buf;
	(void)cert_names_read(leaf, &names);
	if (names.n > 1)
		snprintf(more, sizeof(more), " and %zu more", names.n - 1);
	if (names.n == 0 && !cert_common_name(leaf, cn))
		snprintf(cn, sizeof(cn), "no name");
	snprintf(buf, REPLACE_TEXT, "the certificate for %s%s, until %s",
	    names.n > 0 ? names.name[0] : cn, more, chain_date(X509_get0_notAfter(leaf), date));
	cert_names_free(&names);
	X509_free(leaf);
	return buf;
}

/* A wildcard of the old one is kept by a wildcard only; one of a wish by any name that meets it. */
static bool
covers(const struct cert_names *now, const char *want, bool wish)
{
	for (size_t i = 0; i < now->n; i++)
		if (strcasecmp(now->name[i], want) == 0 || ((wish || want[0] != '*') &&
		    name_covers(now->name[i], strlen(now->name[i]), want)))
			return true;
	return false;
}

bool
replace_covers(const struct settings *s, const char *name, X509 *leaf, char lost[REPLACE_NAME])
{
	const struct rule *r = settings_find(s, SEC_CERTIFICATE, name);
	struct list wished = settings_list(s, r, KEY_NAMES);
	struct cert_names was = { 0 }, now = { 0 };
	X509 *old = NULL;
	const char *want;

	lost[0] = '\0';
	if (r == NULL || (cert_user(s, name, 0) == NULL && !rule_sets(r, KEY_NAMES)))
		return true;
	(void)cert_names_read(leaf, &now);
	if ((old = present_leaf(s, name)) != NULL)
		(void)cert_names_read(old, &was);
	for (size_t i = 0; i < was.n && lost[0] == '\0'; i++)
		if (!covers(&now, was.name[i], false))
			snprintf(lost, REPLACE_NAME, "%s", was.name[i]);
	while (lost[0] == '\0' && (want = list_next_name(&wished)) != NULL)
		if (!covers(&now, want, true))
			snprintf(lost, REPLACE_NAME, "%s", want);
	cert_names_free(&was);
	cert_names_free(&now);
	X509_free(old);
	return lost[0] == '\0';
}
