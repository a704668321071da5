/* See cmd_cert_wish.h. */
#include <stdlib.h>
#include <string.h>

#include "cmd_cert.h"
#include "cmd_cert_wish.h"

#define RSA_PRESET 3072
#define DAYS_PRESET 365
#define DAYS_MAX 3650

void
wish_begin(struct wish *w)
{
	memset(w, 0, sizeof(*w));
	w->ks.parent = w->ks.fd = -1;
}

bool
wish_take(struct cmd *c, struct wish *w, int n, char **argv)
{
	char why[MAKE_WHY];

	if (!cert_operand(c, n, argv, w->name))
		return false;
	w->bits = w->rsa != NULL ? RSA_PRESET : 0;
	w->ndays = DAYS_PRESET;
	if (w->rsa != NULL && *w->rsa != '\0' && !read_number(w->rsa, 2048, 8192, &w->bits)) {
		c->status = cmd_usage(c, "--rsa=%.32s: 2048 to 8192 bits", w->rsa);
		return false;
	}
	if (w->days != NULL && !read_number(w->days, 1, DAYS_MAX, &w->ndays)) {
		c->status = cmd_usage(c, "--days %.32s: 1 to %d", w->days, DAYS_MAX);
		return false;
	}
	if (w->subject != NULL && strchr(w->subject, '=') == NULL) {
		c->status = cmd_usage(c, "--subject \"%.64s\": as in C=DE,O=Example,"
		    "CN=mx.example.org", w->subject);
		return false;
	}
	if ((w->names = calloc(1, sizeof(*w->names))) == NULL) {
		c->status = cmd_error("out of memory");
		return false;
	}
	for (size_t i = 0; i < w->dns.count; i++)
		if (!make_names(w->names, w->dns.item[i], why)) {
			c->status = cmd_usage(c, "--dns: %s", why);
			return false;
		}
	return true;
}

bool
wish_open(const struct cmd *c, struct wish *w)
{
	char why[STORE_WHY];

	if ((w->s = cmd_settings(c)) == NULL)
		return false;
	if (keystore_open(&w->ks, c->ini, true, why) &&
	    keystore_access(&w->ks, w->name, w->group, &w->access, why))
		return true;
	cmd_error("%s", why);
	return false;
}

void
wish_end(struct wish *w)
{
	keystore_close(&w->ks);
	settings_free(w->s);
	free(w->names);
}
