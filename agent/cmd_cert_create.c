/*
 * tlsward cert create, csr: new keys, with a self-signed certificate or a
 * request for a CA.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>

#include "cert_file.h"
#include "cmd.h"
#include "cmd_cert.h"
#include "cmd_cert_chain.h"
#include "cmd_cert_make.h"
#include "cmd_keystore.h"

#define RSA_PRESET 3072
#define DAYS_PRESET 365
#define DAYS_MAX 3650

struct wish {
	struct opt_list dns;
	const char *rsa, *days, *group, *subject, *out;
	bool force, new_key;
	unsigned bits, ndays;		/* 0 bits: ECDSA */
	struct host_names *names;
};

/* ---- options ---- */

static bool
number(const char *text, unsigned lo, unsigned hi, unsigned *out)
{
	char *end;
	unsigned long n;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (*end != '\0' || errno != 0 || n < lo || n > hi)
		return false;
	*out = (unsigned)n;
	return true;
}

/* False: said, c->status. */
static bool
take_wish(struct cmd *c, struct wish *w)
{
	char why[MAKE_WHY];

	w->bits = w->rsa != NULL ? RSA_PRESET : 0;
	w->ndays = DAYS_PRESET;
	if (w->rsa != NULL && *w->rsa != '\0' && !number(w->rsa, 2048, 8192, &w->bits)) {
		c->status = cmd_usage(c, "--rsa=%.32s: 2048 to 8192 bits", w->rsa);
		return false;
	}
	if (w->days != NULL && !number(w->days, 1, DAYS_MAX, &w->ndays)) {
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

/* ---- create ---- */

static int
install_new(const struct cmd *c, const struct wish *w, const char *name, struct keystore *ks,
    const struct settings *s, const struct store_access *access)
{
	char why[MAKE_WHY] = "out of memory", key_text[32], key_said[64], cert_said[NAME_SIZE + 160];
	char more[32] = "", date[16];
	STACK_OF(X509) *chain = sk_X509_new_null();
	EVP_PKEY *key = make_key(w->bits, why);
	X509 *x = key != NULL ? make_certificate(key, w->names, w->ndays, why) : NULL;
	BIO *key_pem = NULL, *cert_pem = NULL;
	char *key_data = NULL, *cert_data = NULL;
	struct pair p = { .name = name, .cert_said = cert_said, .key_said = key_said,
	    .access = access };
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
	status = cert_install(c, ks, s, &p);
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
there_already(const struct cmd *c, const struct settings *s, const struct keystore *ks,
    const char *name)
{
	const struct rule *r = settings_find(s, SEC_CERTIFICATE, name);
	char path[STORE_PATH];

	if (r != NULL)
		cmd_error("%s:%u: there is a [certificate %s] already; take another name, or "
		    "--force to replace it and its key", c->ini, r->line, name);
	else if (keystore_has(ks, name, STORE_KEY) || keystore_has(ks, name, STORE_CERT))
		cmd_error("%s is there already; take another name, or --force to replace it",
		    keystore_path(ks, name, keystore_has(ks, name, STORE_KEY) ? STORE_KEY :
		    STORE_CERT, path));
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
	struct wish w = { .rsa = NULL };
	const struct opt options[] = {
		{ "dns", OPT_LIST, &w.dns, "HOST[,HOST...]", "names; may be given again; *.HOST" },
		{ "rsa", OPT_MAYBE, &w.rsa, "BITS", "RSA (3072 bits) instead of ECDSA P-256" },
		{ "days", OPT_VALUE, &w.days, "N", "how long it is valid, 365 by default" },
		{ "group", OPT_VALUE, &w.group, "GROUP", "that may read the key; default: Exim's" },
		{ "force", OPT_FLAG, &w.force, NULL, "replace what is there of that name" },
		{ NULL, OPT_FLAG, NULL, NULL, NULL }
	};
	char name[NAME_SIZE], why[STORE_WHY];
	struct store_access access;
	struct settings *s = NULL;
	struct keystore ks = { .parent = -1, .fd = -1 };
	int n;

	if ((n = opt_parse(c, &usage, options, argc, argv)) < 0 || !cert_operand(c, n, argv, name) ||
	    !take_wish(c, &w))
		goto out;
	if (w.names->count == 0) {
		c->status = cmd_usage(c, "needs --dns HOST, the name that clients connect to");
		goto out;
	}
	c->status = EXIT_FAILED;
	if ((s = cmd_settings(c)) == NULL)
		goto out;
	if (!keystore_open(&ks, c->ini, true, why) ||
	    !keystore_access(&ks, name, w.group, &access, why))
		cmd_error("%s", why);
	else if (w.force || !there_already(c, s, &ks, name))
		c->status = install_new(c, &w, name, &ks, s, &access);
out:
	keystore_close(&ks);
	settings_free(s);
	free(w.names);
	return c->status;
}

/* ---- csr ---- */

/* The key that a request is made with, and what it is. */
struct request_key {
	EVP_PKEY *key;
	bool fresh;		/* made now: goes into the store */
	char path[STORE_PATH];
};

/* One there is, or a new one.  False: said. */
static bool
request_key(const struct wish *w, const char *name, const struct keystore *ks,
    const struct settings *s, struct request_key *k)
{
	const char *named = settings_text(s, settings_find(s, SEC_CERTIFICATE, name), KEY_KEY);
	bool waiting = keystore_has(ks, name, STORE_NEW_KEY);
	char why[MAKE_WHY];

	keystore_path(ks, name, STORE_NEW_KEY, k->path);
	if (waiting && w->new_key && !w->force) {
		cmd_error("%s: the key of an earlier request waits for its certificate; make the "
		    "request again without --new-key, or --force to give that key up", k->path);
		return false;
	}
	k->fresh = w->new_key || (!waiting && named == NULL);
	if (!k->fresh && !waiting)
		snprintf(k->path, sizeof(k->path), "%s", named);
	k->key = k->fresh ? make_key(w->bits, why) :
	    cert_read_key(k->path, NULL, why, sizeof(why));
	if (k->key == NULL)
		cmd_error(k->fresh ? "%s%s" : "%s: %s", k->fresh ? "" : k->path, why);
	return k->key != NULL;
}

/* The names of the certificate that there is. */
static bool
present_names(const struct settings *s, const char *name, struct host_names *h)
{
	const char *file = settings_text(s, settings_find(s, SEC_CERTIFICATE, name), KEY_FILE);
	char (*names)[CERT_NAME_SIZE] = calloc(MAKE_NAMES, sizeof(*names));
	char why[MAKE_WHY];
	STACK_OF(X509) *chain = NULL;
	size_t n = 0;

	if (names != NULL && file != NULL)
		chain = cert_read_chain(file, why, sizeof(why));
	if (chain != NULL)
		n = cert_dns_names(sk_X509_value(chain, 0), names, MAKE_NAMES);
	for (size_t i = 0; i < n; i++)
		if (!make_names(h, names[i], why))	/* what is no host name is left behind */
			continue;
	sk_X509_pop_free(chain, X509_free);
	free(names);
	return h->count > 0;
}

/* The request on stdout, or in a file that was not there.  False: said. */
static bool
write_request(X509_REQ *req, const char *out, bool force)
{
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | (force ? O_TRUNC : O_EXCL);
	int fd = out != NULL ? open(out, flags, 0644) : -1;
	FILE *f = stdout;
	bool ok;

	if (out != NULL && (fd == -1 || (f = fdopen(fd, "w")) == NULL)) {
		if (errno == EEXIST)
			cmd_error("%s is there already; name another file, or --force", out);
		else
			cmd_error("%s: cannot be written: %s", out, strerror(errno));
		if (fd != -1)
			close(fd);
		return false;
	}
	ok = PEM_write_X509_REQ(f, req) == 1 && fflush(f) == 0;
	if (out != NULL) {
		ok = fsync(fd) == 0 && ok;
		ok = fclose(f) == 0 && ok;
		if (!ok)
			unlink(out);
	}
	if (!ok)
		cmd_error("%s: cannot be written: %s", out != NULL ? out : "the output",
		    strerror(errno));
	return ok;
}

/* The new key into the store.  False: said. */
static bool
keep_key(struct keystore *ks, const char *name, EVP_PKEY *key, const struct store_access *access)
{
	char why[STORE_WHY] = "out of memory", *data;
	BIO *pem = make_key_pem(key);
	size_t len;
	bool ok = false;

	if (pem != NULL) {
		len = (size_t)BIO_get_mem_data(pem, &data);
		ok = keystore_put(ks, name, STORE_NEW_KEY, data, len, access, why) &&
		    keystore_swap(ks, why);
	}
	BIO_free(pem);
	if (!ok)
		cmd_error("%s", why);
	return ok;
}

static int
request(const struct cmd *c, const struct wish *w, const char *name, struct keystore *ks, const struct settings *s,
    const struct store_access *access)
{
	struct request_key k = { .key = NULL };
	char why[MAKE_WHY], text[32];
	X509_REQ *req = NULL;
	int status = EXIT_FAILED;

	if (w->names->count == 0 && !present_names(s, name, w->names)) {
		cmd_error("which names?  None can be taken from a [certificate %s]: --dns HOST",
		    name);
		return EXIT_USAGE;
	}
	if (!request_key(w, name, ks, s, &k))
		goto out;
	if ((req = make_request(k.key, w->names, w->subject, why)) == NULL) {
		cmd_error("%s", why);
		goto out;
	}
	if ((k.fresh && !keep_key(ks, name, k.key, access)) || !write_request(req, w->out, w->force))
		goto out;
	keystore_keep(ks);
	make_key_text(k.key, text);
	if (k.fresh)
		fprintf(stderr, "%s: new, %s; %s\n", k.path, text, access->text);
	else
		fprintf(stderr, "%s: used, %s\n", k.path, text);
	if (w->out != NULL)
		fprintf(stderr, "%s: the request\n", w->out);
	fprintf(stderr, "Send the request to the CA; then, with what it sends back:\n"
	    "  %s cert import %s --cert FILE\n%s", cmd_self(c), name, settings_find(s, SEC_CERTIFICATE, name) != NULL ?
	    "Until then all stays as it is.\n" : "");
	status = EXIT_DONE;
out:
	X509_REQ_free(req);
	EVP_PKEY_free(k.key);
	return status;
}

int
cert_csr(struct cmd *c, int argc, char **argv)
{
	static const struct usage usage = { "cert csr NAME [--dns HOST[,HOST...]] [OPTION ...]",
	    "Prints a request (PKCS#10) for a CA, with the key of [certificate NAME] or of an\n"
	    "earlier request.  Where there is neither, or with --new-key, it makes a key,\n"
	    "which waits in the store until its certificate is imported; the present pair\n"
	    "stays in use until then.  By default the names are the present certificate's.\n" };
	struct wish w = { .rsa = NULL };
	const struct opt options[] = {
		{ "dns", OPT_LIST, &w.dns, "HOST[,HOST...]", "names; may be given again; *.HOST" },
		{ "subject", OPT_VALUE, &w.subject, "NAME", "as in C=DE,O=Example,CN=mx.example.org" },
		{ "o", OPT_VALUE, &w.out, "FILE", "write the request there" },
		{ "new-key", OPT_FLAG, &w.new_key, NULL, "make a new key" },
		{ "rsa", OPT_MAYBE, &w.rsa, "BITS", "a new key: RSA (3072 bits), not ECDSA P-256" },
		{ "group", OPT_VALUE, &w.group, "GROUP", "that may read the key; default: Exim's" },
		{ "force", OPT_FLAG, &w.force, NULL, "replace a waiting key, or FILE" },
		{ NULL, OPT_FLAG, NULL, NULL, NULL }
	};
	char name[NAME_SIZE], why[STORE_WHY];
	struct store_access access;
	struct settings *s = NULL;
	struct keystore ks = { .parent = -1, .fd = -1 };
	int n;

	if ((n = opt_parse(c, &usage, options, argc, argv)) < 0 || !cert_operand(c, n, argv, name) ||
	    !take_wish(c, &w))
		goto out;
	w.new_key = w.new_key || w.rsa != NULL;
	c->status = EXIT_FAILED;
	if ((s = cmd_settings(c)) == NULL)
		goto out;
	if (!keystore_open(&ks, c->ini, true, why) ||
	    !keystore_access(&ks, name, w.group, &access, why))
		cmd_error("%s", why);
	else
		c->status = request(c, &w, name, &ks, s, &access);
out:
	keystore_close(&ks);
	settings_free(s);
	free(w.names);
	return c->status;
}
