/*
 * tlsward cert create: a new key with a certificate that it signs itself.
 */
#include <stdio.h>

#include "cmd.h"
#include "cmd_cert.h"
#include "cmd_cert_chain.h"
#include "cmd_cert_make.h"
#include "cmd_cert_wish.h"

static int
install_new(const struct cmd *c, struct wish *w)
{
	char why[MAKE_WHY] = "out of memory", key_text[32], key_said[64], cert_said[NAME_SIZE + 160];
	char more[32] = "", date[UTC_TEXT];
	STACK_OF(X509) *chain = sk_X509_new_null();
	EVP_PKEY *key = make_key(w->bits, why);
	X509 *x = key != NULL ? make_certificate(key, w->names, w->ndays, why) : NULL;
	BIO *key_pem = NULL, *cert_pem = NULL;
	char *key_data = NULL, *cert_data = NULL;
	struct pair p = { .name = w->name, .cert_said = cert_said, .key_said = key_said,
	    .access = &w->access };
	int status;

	if (x == NULL || chain == NULL || sk_X509_push(chain, x) <= 0 ||
	    (key_pem = make_key_pem(key)) == NULL || (cert_pem = make_chain_pem(chain)) == NULL) {
		status = cmd_error("%s", why);
		goto out;
	}
	p.key_len = (size_t)BIO_get_mem_data(key_pem, &key_data);
	p.cert_len = (size_t)BIO_get_mem_data(cert_pem, &cert_data);
	p.key = key_data;
	p.cert = cert_data;
	if (w->names->count > 1)
		snprintf(more, sizeof(more), " and %zu more", w->names->count - 1);
	snprintf(key_said, sizeof(key_said), "new, %s", make_key_text(key, key_text));
	snprintf(cert_said, sizeof(cert_said), "new, self-signed for %s%s, until %s",
	    w->names->name[0], more, chain_date(X509_get0_notAfter(x), date));
	status = cert_install(c, &w->ks, w->s, &p);
out:
	BIO_free(key_pem);
	BIO_free(cert_pem);
	EVP_PKEY_free(key);
	X509_free(x);
	sk_X509_free(chain);
	return status;
}

/* Is there anything of that name that create would replace?  Says so. */
static bool
there_already(const struct cmd *c, const struct wish *w)
{
	const struct rule *r = settings_find(w->s, SEC_CERTIFICATE, w->name);
	bool key = keystore_has(&w->ks, w->name, STORE_KEY);
	char path[STORE_PATH];

	if (r != NULL)
		cmd_error("%s:%u: there is a [certificate %s] already; take another name, or "
		    "--force to replace it and its key", c->ini, r->line, w->name);
	else if (key || keystore_has(&w->ks, w->name, STORE_CERT))
		cmd_error("%s is there already; take another name, or --force to replace it",
		    keystore_path(&w->ks, w->name, key ? STORE_KEY : STORE_CERT, path));
	else
		return false;
	return true;
}

int
cert_create(struct cmd *c, int argc, char **argv)
{
	static const struct usage usage = { "cert create NAME --dns HOST[,HOST...] [OPTION ...]",
	    "Makes a key and a certificate that it signs itself, for TLS servers and clients,\n"
	    "and adds [certificate NAME] to the settings.\n\n"
	    "  tlsward cert create mx --dns mx.example.org\n" };
	struct wish w;
	const struct opt options[] = {
		{ "dns", OPT_LIST, &w.dns, "HOST[,HOST...]", "names; may be given again; *.HOST" },
		{ "rsa", OPT_MAYBE, &w.rsa, "BITS", "RSA (3072 bits) instead of ECDSA P-256" },
		{ "days", OPT_VALUE, &w.days, "N", "how long it is valid, 365 by default" },
		{ "group", OPT_VALUE, &w.group, "GROUP", "that may read the key; default: Exim's" },
		{ "force", OPT_FLAG, &w.force, NULL, "replace what is there of that name" },
		{ NULL, OPT_FLAG, NULL, NULL, NULL }
	};
	int n;

	wish_begin(&w);
	if ((n = opt_parse(c, &usage, options, argc, argv)) < 0 || !wish_take(c, &w, n, argv))
		goto out;
	if (w.names->count == 0) {
		c->status = cmd_usage(c, "needs --dns HOST, the name that clients connect to");
		goto out;
	}
	c->status = EXIT_FAILED;
	if (wish_open(c, &w) && (w.force || !there_already(c, &w)))
		c->status = install_new(c, &w);
out:
	wish_end(&w);
	return c->status;
}
