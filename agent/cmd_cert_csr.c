/*
 * tlsward cert csr: a request for a CA, with a new key where that is wanted.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>

#include "cert_file.h"
#include "cmd.h"
#include "cmd_cert.h"
#include "cmd_cert_make.h"
#include "cmd_cert_own.h"
#include "cmd_cert_wish.h"

/* ---- key and names ---- */

/* The key that a request is made with, and what it is. */
struct request_key {
	EVP_PKEY *key;
	bool fresh;		/* made now: goes into the store */
	char path[STORE_PATH];
};

/* One there is, or a new one.  False: said. */
static bool
request_key(const struct wish *w, struct request_key *k)
{
	char present[STORE_PATH], why[MAKE_WHY];
	bool waiting = own_key_there(&w->ks, w->s, w->name, OWN_WAITING, k->path);
	bool named = own_key_there(&w->ks, w->s, w->name, OWN_PRESENT, present);

	if (waiting && w->new_key && !w->force) {
		cmd_error("%s: the key of an earlier request waits for its certificate; make the "
		    "request again without --new-key, or --force to give that key up", k->path);
		return false;
	}
	k->fresh = w->new_key || (!waiting && !named);
	if (k->fresh) {
		if ((k->key = make_key(w->bits, why)) == NULL)
			cmd_error("%s", why);
	} else {
		k->key = own_key(&w->ks, w->s, w->name, waiting ? OWN_WAITING : OWN_PRESENT);
		if (!waiting)
			snprintf(k->path, sizeof(k->path), "%s", present);
	}
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

/* ---- where the request goes ---- */

struct outlet {
	const char *path;
	char temp[PATH_MAX];	/* the file that will take its place; "": none */
	int fd;
	bool made;		/* path, just now */
	bool file;		/* no device, no pipe */
};

/* What is there already, by --force: a plain file is replaced, a device written to. */
static bool
outlet_replace(struct outlet *o)
{
	struct stat st;

	if (lstat(o->path, &st) == -1) {
		cmd_error("%s: %s", o->path, strerror(errno));
		return false;
	}
	if (S_ISLNK(st.st_mode)) {
		cmd_error("%s is a symbolic link, which is not followed; name the file that it leads "
		    "to, or leave out -o for the standard output", o->path);
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		o->file = false;
		o->fd = open(o->path, O_WRONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
	} else if (snprintf(o->temp, sizeof(o->temp), "%s.XXXXXX", o->path) >=
	    (int)sizeof(o->temp)) {
		errno = ENAMETOOLONG;
	} else if ((o->fd = mkostemp(o->temp, O_CLOEXEC)) != -1 &&
	    (fchown(o->fd, st.st_uid, st.st_gid) == -1 || fchmod(o->fd, st.st_mode & 0777) == -1)) {
		/* then it is ours, and ours alone */
	}
	if (o->fd == -1) {
		o->temp[0] = '\0';
		cmd_error("%s: cannot be written: %s", o->path, strerror(errno));
	}
	return o->fd != -1;
}

/* False: said. */
static bool
outlet_open(struct outlet *o, const char *path, bool force)
{
	*o = (struct outlet){ .path = path, .file = true };
	o->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0644);
	o->made = o->fd != -1;
	if (o->made)
		return true;
	if (errno == EEXIST && force)
		return outlet_replace(o);
	if (errno == EEXIST)
		cmd_error("%s is there already; name another file, or --force", path);
	else
		cmd_error("%s: cannot be written: %s", path, strerror(errno));
	return false;
}

/* All or nothing: what was there before stays until the new file is whole.  False, and errno. */
static bool
outlet_write(struct outlet *o, X509_REQ *req)
{
	FILE *f = fdopen(o->fd, "w");
	bool ok = f != NULL && PEM_write_X509_REQ(f, req) == 1 && fflush(f) == 0;
	int error;

	/* A pipe and a terminal have nothing to sync. */
	if (ok && fsync(o->fd) == -1 && (o->file || (errno != EINVAL && errno != EROFS &&
	    errno != ENOTSUP)))
		ok = false;
	error = errno;
	if ((f != NULL ? fclose(f) : close(o->fd)) != 0 && ok) {
		error = errno;
		ok = false;
	}
	if (ok && o->temp[0] != '\0' && rename(o->temp, o->path) == -1) {
		error = errno;
		ok = false;
	}
	if (!ok && o->temp[0] != '\0')
		unlink(o->temp);
	else if (!ok && o->made)
		unlink(o->path);
	errno = error;
	return ok;
}

/* The request on stdout, or in a file.  False: said. */
static bool
write_request(X509_REQ *req, const char *out, bool force)
{
	struct outlet o;
	bool ok;

	if (out != NULL && !outlet_open(&o, out, force))
		return false;
	ok = out != NULL ? outlet_write(&o, req) :
	    PEM_write_X509_REQ(stdout, req) == 1 && fflush(stdout) == 0;
	if (!ok)
		cmd_error("%s: cannot be written: %s", out != NULL ? out : "the output",
		    strerror(errno));
	return ok;
}

/* ---- the command ---- */

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
request(const struct cmd *c, struct wish *w)
{
	bool there = settings_find(w->s, SEC_CERTIFICATE, w->name) != NULL;
	struct request_key k = { .key = NULL };
	char why[MAKE_WHY], text[32];
	X509_REQ *req = NULL;
	int status = EXIT_FAILED;

	if (w->names->count == 0 && !present_names(w->s, w->name, w->names))
		return cmd_usage(c, "which names?  None can be taken from a [certificate %s]: "
		    "--dns HOST", w->name);
	if (!request_key(w, &k))
		goto out;
	if ((req = make_request(k.key, w->names, w->subject, why)) == NULL) {
		cmd_error("%s", why);
		goto out;
	}
	if ((k.fresh && !keep_key(&w->ks, w->name, k.key, &w->access)) ||
	    !write_request(req, w->out, w->force))
		goto out;
	keystore_keep(&w->ks);
	make_key_text(k.key, text);
	if (k.fresh)
		put_message(stderr, "%s: new, %s; %s\n", k.path, text, w->access.text);
	else
		put_message(stderr, "%s: used, %s\n", k.path, text);
	if (w->out != NULL)
		put_message(stderr, "%s: the request\n", w->out);
	fprintf(stderr, "Send the request to the CA; then, with what it sends back:\n"
	    "  %s cert import %s --cert FILE\n%s", cmd_self(c), w->name,
	    there ? "Until then all stays as it is.\n" : "");
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
	struct wish w;
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
	int n;

	wish_begin(&w);
	if ((n = opt_parse(c, &usage, options, argc, argv)) >= 0 && wish_take(c, &w, n, argv)) {
		w.new_key = w.new_key || w.rsa != NULL;
		c->status = wish_open(c, &w) ? request(c, &w) : EXIT_FAILED;
	}
	wish_end(&w);
	return c->status;
}
