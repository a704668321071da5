/*
 * tlsward cert import: a certificate, its chain and its key, from whatever form
 * they came in, into the store.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "cert_file.h"
#include "cmd.h"
#include "cmd_cert.h"
#include "cmd_cert_chain.h"
#include "cmd_cert_make.h"
#include "cmd_cert_own.h"
#include "cmd_cert_read.h"
#include "cmd_cert_replace.h"
#include "cmd_keystore.h"

struct import {
	const char *name;
	const char *cert, *key, *pkcs12, *group;
	bool force;
	struct secret secret;
	EVP_PKEY *private;
	STACK_OF(X509) *given;
	struct chain chain;
	char from[STORE_PATH];	/* the private key's file */
};

/* ---- the key ---- */

/* Does any of the certificates belong to the key? */
static bool
key_fits(EVP_PKEY *key, STACK_OF(X509) *given)
{
	for (int i = 0; i < sk_X509_num(given); i++) {
		EVP_PKEY *its = X509_get0_pubkey(sk_X509_value(given, i));

		if (its != NULL && EVP_PKEY_eq(its, key) == 1)
			return true;
	}
	return false;
}

/* A key that is there already: taken if a certificate is of it. */
static bool
try_key(struct import *im, const struct keystore *ks, const struct settings *s, enum own own)
{
	EVP_PKEY *key;

	if (!own_key_there(ks, s, im->name, own, im->from) ||
	    (key = own_key(ks, s, im->name, own)) == NULL)
		return false;
	if (!key_fits(key, im->given)) {
		EVP_PKEY_free(key);
		return false;
	}
	im->private = key;
	return true;
}

/* The key of a request that waits, or of the present certificate. */
static bool
find_key(const struct cmd *c, struct import *im, const struct keystore *ks,
    const struct settings *s)
{
	bool waits = keystore_has(ks, im->name, STORE_NEW_KEY);
	bool named = settings_text(s, settings_find(s, SEC_CERTIFICATE, im->name), KEY_KEY) != NULL;

	if (try_key(im, ks, s, OWN_WAITING) || try_key(im, ks, s, OWN_PRESENT))
		return true;
	if (!waits && !named)
		cmd_error("which key?  There is no [certificate %s] in %s and no request of that name; "
		    "name its file: --key FILE", im->name, c->ini);
	else
		cmd_error("%s: no certificate in it is of the key of %s%s%s; import it with the key "
		    "that it was requested with: --key FILE", im->cert,
		    waits ? "the last request for " : "[certificate ", im->name, waits ? "" : "]");
	return false;
}

/* With --pkcs12, --cert brings the chain. */
static bool
read_more(struct import *im)
{
	char why[READ_WHY];
	STACK_OF(X509) *more;
	X509 *x;

	if (im->pkcs12 == NULL || im->cert == NULL)
		return true;
	if ((more = read_certificates(im->cert, why)) == NULL) {
		cmd_error("%s", why);
		return false;
	}
	while ((x = sk_X509_shift(more)) != NULL)
		if (sk_X509_push(im->given, x) <= 0)
			X509_free(x);
	sk_X509_free(more);
	return true;
}

/* What the files hold, and whoever has the passphrases.  No key is looked for in the store. */
static bool
read_files(struct import *im)
{
	char why[READ_WHY];

	if (im->pkcs12 != NULL) {
		snprintf(im->from, sizeof(im->from), "%s", im->pkcs12);
		if (read_pkcs12(im->pkcs12, &im->secret, &im->private, &im->given, why))
			return read_more(im);
	} else if ((im->given = read_certificates(im->cert, why)) != NULL) {
		if (im->key == NULL)
			return true;
		snprintf(im->from, sizeof(im->from), "%s", im->key);
		if ((im->private = read_key(im->key, &im->secret, why)) != NULL)
			return true;
	}
	cmd_error("%s", why);
	return false;
}

/* ---- into the store ---- */

/* Is that what the store has already? */
static bool
nothing_new(const struct keystore *ks, const struct settings *s, const struct pair *p)
{
	const struct rule *r = settings_find(s, SEC_CERTIFICATE, p->name);
	const char *file = settings_text(s, r, KEY_FILE), *key = settings_text(s, r, KEY_KEY);
	char cert_path[STORE_PATH], key_path[STORE_PATH];

	keystore_path(ks, p->name, STORE_CERT, cert_path);
	keystore_path(ks, p->name, STORE_KEY, key_path);
	return file != NULL && key != NULL && strcmp(file, cert_path) == 0 &&
	    strcmp(key, key_path) == 0 &&
	    !keystore_same(ks, p->name, STORE_NEW_KEY, p->key, p->key_len) &&
	    keystore_same(ks, p->name, STORE_CERT, p->cert, p->cert_len) &&
	    keystore_same(ks, p->name, STORE_KEY, p->key, p->key_len);
}

static int
install(const struct cmd *c, struct import *im, struct keystore *ks, const struct settings *s)
{
	char said[768], key_said[STORE_PATH + 64], text[640], date[UTC_TEXT], key_text[32], why[STORE_WHY];
	char replaced[REPLACE_TEXT];
	X509 *leaf = sk_X509_value(im->chain.certs, 0);
	BIO *key_pem = make_key_pem(im->private), *cert_pem = make_chain_pem(im->chain.certs);
	char *key_data, *cert_data;
	struct store_access access;
	struct pair p = { .name = im->name, .cert_said = said, .key_said = key_said,
	    .access = &access };
	int status = EXIT_FAILED;

	if (key_pem == NULL || cert_pem == NULL) {
		cmd_error("OpenSSL cannot write the key of %s as PEM", im->from);
		goto out;
	}
	p.key_len = (size_t)BIO_get_mem_data(key_pem, &key_data);
	p.cert_len = (size_t)BIO_get_mem_data(cert_pem, &cert_data);
	p.key = key_data;
	p.cert = cert_data;
	if (nothing_new(ks, s, &p) && im->group == NULL) {
		put_out("%s: nothing to change: %s is this certificate, until %s\n", c->ini, im->name,
		    chain_date(X509_get0_notAfter(leaf), date));
		status = EXIT_DONE;
		goto out;
	}
	if (!keystore_access(ks, im->name, im->group, &access, why)) {
		cmd_error("%s", why);
		goto out;
	}
	snprintf(said, sizeof(said), "until %s; %s", chain_date(X509_get0_notAfter(leaf), date),
	    chain_text(&im->chain, text, sizeof(text)));
	snprintf(key_said, sizeof(key_said), "%s, from %s", make_key_text(im->private, key_text),
	    im->from);
	replace_text(s, im->name, replaced);	/* of the file as it still is */
	status = cert_install(c, ks, s, &p);
	if (status == EXIT_DONE && replaced[0] != '\0')
		put_out("%s: it replaces %s.\n", im->name, replaced);
	if (status == EXIT_DONE && im->chain.left_out > 0)
		put_out("Left out: %d certificate%s that the chain does not need.\n", im->chain.left_out,
		    im->chain.left_out == 1 ? "" : "s");
out:
	BIO_free(key_pem);
	BIO_free(cert_pem);
	return status;
}

/* A certificate without DNS names is none that a mail client looks for; of a CA, it is a slip. */
static bool
for_a_server(const struct import *im, const char *source)
{
	X509 *leaf = sk_X509_value(im->chain.certs, 0);
	char name[1][CERT_NAME_SIZE];
	bool ca = (X509_get_extension_flags(leaf) & EXFLAG_CA) != 0;

	if (cert_dns_names(leaf, name, 1) > 0)
		return true;
	if (ca && !im->force) {
		cmd_error("%s: this is a CA's certificate, without DNS names: none for a server; a "
		    "client's CA goes into a [ca] (--force imports it all the same)", source);
		return false;
	}
	put_message(stderr, "tlsward: warning: %s: the %scertificate has no DNS names: clients that look "
	    "for the server's name do not find it\n", source, ca ? "CA " : "");
	return true;
}

/* A server would show it to clients that ask for a name which it has not. */
static bool
keeps_names(const struct cmd *c, const struct import *im, const struct settings *s,
    const char *source)
{
	char lost[REPLACE_NAME];

	if (replace_covers(s, im->name, sk_X509_value(im->chain.certs, 0), lost))
		return true;
	if (!im->force) {
		cmd_error("%s: this is no certificate for %s, which [certificate %s] has now and "
		    "rules of %s show; import it under another name (--force replaces it all the "
		    "same)", source, lost, im->name, c->ini);
		return false;
	}
	put_message(stderr, "tlsward: warning: %s: no certificate for %s any more\n", source, lost);
	return true;
}

static int
import(const struct cmd *c, struct import *im, struct keystore *ks, const struct settings *s)
{
	const char *source = im->cert != NULL ? im->cert : im->pkcs12;
	char why[READ_WHY];

	if (im->private == NULL && !find_key(c, im, ks, s))
		return EXIT_FAILED;
	if (!chain_sort(&im->chain, im->private, im->given, why, sizeof(why)))
		return cmd_error("%s: %s in %s; name the key that it was requested with", source, why,
		    im->from);
	if (im->chain.fault[0] != '\0' && !im->force)
		return cmd_error("%s: %s (--force imports it all the same)", source, im->chain.fault);
	if (im->chain.fault[0] != '\0')
		put_message(stderr, "tlsward: warning: %s: %s\n", source, im->chain.fault);
	if (!for_a_server(im, source) || !keeps_names(c, im, s, source))
		return EXIT_FAILED;
	return install(c, im, ks, s);
}

/* False: said, c->status. */
static bool
makes_sense(struct cmd *c, const struct import *im)
{
	if (im->cert == NULL && im->pkcs12 == NULL)
		c->status = cmd_usage(c, "needs --cert FILE or --pkcs12 FILE");
	else if (im->key != NULL && im->pkcs12 != NULL)
		c->status = cmd_usage(c, "takes --key or --pkcs12, which holds the key");
	else
		return true;
	return false;
}

int
cert_import(struct cmd *c, int argc, char **argv)
{
	static const struct usage usage = {
	    "cert import NAME --cert FILE [--key FILE|--pkcs12 FILE]",
	    "Takes a certificate, its chain in any order, and its key into the store and\n"
	    "[certificate NAME] into the settings.  Without --key it must be of the key of an\n"
	    "earlier `cert csr`, or of the present one.  PEM, DER, PKCS#7 and PKCS#12 are\n"
	    "understood; an encrypted key's passphrase is asked for.\n" };
	struct import im = { .name = NULL };
	const struct opt options[] = {
		{ "cert", OPT_VALUE, &im.cert, "FILE", "the certificate and its chain" },
		{ "key", OPT_VALUE, &im.key, "FILE", "its private key" },
		{ "pkcs12", OPT_VALUE, &im.pkcs12, "FILE", "all in one; --cert may add a chain" },
		{ "passphrase-file", OPT_VALUE, &im.secret.file, "FILE", "its first line, instead of asking" },
		{ "group", OPT_VALUE, &im.group, "GROUP", "that may read the key; default: Exim's" },
		{ "force", OPT_FLAG, &im.force, NULL, "though no mail client would accept it, or names are lost" },
		{ NULL, OPT_FLAG, NULL, NULL, NULL }
	};
	char name[NAME_SIZE], why[STORE_WHY];
	struct settings *s = NULL;
	struct keystore ks = { .parent = -1, .fd = -1 };
	int n;

	if ((n = opt_parse(c, &usage, options, argc, argv)) < 0 || !cert_operand(c, n, argv, name) ||
	    !makes_sense(c, &im))
		return c->status;
	im.name = name;
	c->status = EXIT_FAILED;
	/* An error of the settings shows before anybody is asked for a passphrase ... */
	if ((s = cmd_settings(c)) == NULL)
		goto out;
	settings_free(s);
	s = NULL;
	/* ... and the store is not locked while somebody types one. */
	if (!read_files(&im) || (s = cmd_settings(c)) == NULL)
		goto out;
	if (!keystore_open(&ks, c->ini, true, why))
		cmd_error("%s", why);
	else
		c->status = import(c, &im, &ks, s);
out:
	secret_end(&im.secret);
	EVP_PKEY_free(im.private);
	sk_X509_pop_free(im.given, X509_free);
	chain_free(&im.chain);
	keystore_close(&ks);
	settings_free(s);
	return c->status;
}
