/* See cmd_cert_read.h. */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/pkcs7.h>
#include <openssl/provider.h>

#include "cert.h"
#include "cert_file.h"
#include "cmd_cert_read.h"

#define TRIES 3

/* ---- passphrases ---- */

void
secret_end(struct secret *s)
{
	OPENSSL_cleanse(s->text, sizeof(s->text));
	s->have = false;
}

static bool
secret_file(struct secret *s)
{
	int fd = open(s->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	size_t have = 0;
	ssize_t n = 0;

	if (fd == -1 || fstat(fd, &st) == -1) {
		snprintf(s->why, sizeof(s->why), "%s: %s; it must hold the passphrase in its first "
		    "line", s->file, strerror(errno));
		if (fd != -1)
			close(fd);
		return false;
	}
	if (S_ISREG(st.st_mode) && (st.st_mode & (S_IROTH | S_IWOTH)) != 0) {
		snprintf(s->why, sizeof(s->why), "%s: others can read or write it; chmod 0600 it",
		    s->file);
		close(fd);
		return false;
	}
	while (have < sizeof(s->text) - 1 && memchr(s->text, '\n', have) == NULL) {
		n = read(fd, s->text + have, sizeof(s->text) - 1 - have);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	s->text[have] = '\0';
	if (n == -1)
		snprintf(s->why, sizeof(s->why), "%s: %s", s->file, strerror(errno));
	else if (memchr(s->text, '\n', have) == NULL && have == sizeof(s->text) - 1)
		snprintf(s->why, sizeof(s->why), "%s: its first line is longer than %d octets",
		    s->file, SECRET_MAX - 2);
	close(fd);
	s->text[strcspn(s->text, "\r\n")] = '\0';
	return s->why[0] == '\0';
}

/* The terminal itself, not standard input: that may be a script's. */
static bool
secret_terminal(struct secret *s)
{
	char prompt[256];
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

	if (fd == -1) {
		snprintf(s->why, sizeof(s->why), "%s is encrypted, and there is no terminal to ask "
		    "for its passphrase; give it in a file: --passphrase-file FILE", s->of);
		return false;
	}
	close(fd);
	snprintf(prompt, sizeof(prompt), "Passphrase of %.200s: ", s->of);
	if (EVP_read_pw_string(s->text, sizeof(s->text), prompt, 0) != 0) {
		snprintf(s->why, sizeof(s->why), "%s is encrypted, and no passphrase was given",
		    s->of);
		return false;
	}
	return true;
}

static bool
secret_get(struct secret *s)
{
	s->asked = true;
	if (s->have || s->failed)
		return s->have;
	s->why[0] = '\0';
	s->have = s->file != NULL ? secret_file(s) : secret_terminal(s);
	s->failed = !s->have;
	s->tries++;
	return s->have;
}

/* What was read with it failed.  True: try again with another. */
static bool
secret_again(struct secret *s)
{
	if (!s->asked || s->failed || s->file != NULL || s->tries >= TRIES)
		return false;
	fprintf(stderr, "That does not open it.\n");
	secret_end(s);
	s->asked = false;
	return true;
}

/* pem_password_cb */
static int
give_secret(char *buf, int size, int rwflag, void *arg)
{
	struct secret *s = arg;
	size_t len;

	(void)rwflag;
	if (!secret_get(s) || (len = strlen(s->text)) > (size_t)size)
		return -1;
	memcpy(buf, s->text, len);
	return (int)len;
}

static void
wrong_passphrase(const struct secret *s, const char *path, char why[READ_WHY])
{
	if (s->failed)
		snprintf(why, READ_WHY, "%s", s->why);
	else
		snprintf(why, READ_WHY, "%s: cannot be decrypted: the passphrase%s%s is wrong, or the "
		    "file is damaged", path, s->file != NULL ? " in " : "",
		    s->file != NULL ? s->file : "");
}

/* ---- files ---- */

struct text {
	char *p;
	size_t len;
};

static bool
load(const char *path, struct text *t, char why[READ_WHY])
{
	char what[256];

	t->p = cert_read_file(path, CERT_FILE_MAX, &t->len, what, sizeof(what));
	if (t->p == NULL)
		snprintf(why, READ_WHY, "%s: %s", path, what);
	return t->p != NULL;
}

static void
unload(struct text *t)
{
	OPENSSL_clear_free(t->p, t->len + 1);
	ERR_clear_error();
}

static bool
is_der(const struct text *t)
{
	return t->len > 2 && (unsigned char)t->p[0] == 0x30;
}

/* Is there a PEM header whose label ends so?  Texts have a NUL behind them. */
static bool
has_label(const struct text *t, const char *label)
{
	return memmem(t->p, t->len, label, strlen(label)) != NULL;
}

/* How many octets the outer SEQUENCE needs; 0: it does not say. */
static size_t
der_length(const struct text *t)
{
	const unsigned char *p = (const unsigned char *)t->p;
	size_t len = 0, n = p[1] & 0x7fu;

	if ((p[1] & 0x80) == 0)
		return 2 + (size_t)p[1];
	if (n == 0 || n > 4 || t->len < 2 + n)
		return 0;
	for (size_t i = 0; i < n; i++)
		len = len << 8 | p[2 + i];
	return 2 + n + len;
}

static bool
is_pkcs12(const struct text *t)
{
	const unsigned char *p = (const unsigned char *)t->p;
	PKCS12 *p12 = d2i_PKCS12(NULL, &p, (long)t->len);

	PKCS12_free(p12);
	return p12 != NULL;
}

/* ---- certificates ---- */

/* Copies of the certificates of a PKCS#7 bundle, which is freed. */
static STACK_OF(X509) *
from_pkcs7(PKCS7 *p7)
{
	STACK_OF(X509) *in = NULL, *out = NULL;

	if (p7 != NULL && PKCS7_type_is_signed(p7) && p7->d.sign != NULL)
		in = p7->d.sign->cert;
	if (sk_X509_num(in) > 0)
		out = X509_chain_up_ref(in);
	PKCS7_free(p7);
	return out;
}

static STACK_OF(X509) *
certificates_der(const struct text *t, const char *path, char why[READ_WHY])
{
	const unsigned char *p = (const unsigned char *)t->p, *q = p;
	STACK_OF(X509) *certs = NULL;
	X509 *x = d2i_X509(NULL, &p, (long)t->len);
	size_t need = der_length(t);

	if (x != NULL && (size_t)(p - q) == t->len) {
		if ((certs = sk_X509_new_null()) != NULL && sk_X509_push(certs, x) > 0)
			return certs;
		sk_X509_free(certs);
		X509_free(x);
		snprintf(why, READ_WHY, "out of memory");
		return NULL;
	}
	X509_free(x);
	p = q;
	if ((certs = from_pkcs7(d2i_PKCS7(NULL, &p, (long)t->len))) != NULL)
		return certs;
	if (need > t->len)
		snprintf(why, READ_WHY, "%s: is cut short: %zu octets of DER instead of %zu; get the "
		    "file again", path, t->len, need);
	else if (is_pkcs12(t))
		snprintf(why, READ_WHY, "%s: is a PKCS#12 file; name it with --pkcs12", path);
	else
		snprintf(why, READ_WHY, "%s: is no certificate, neither PEM nor DER; check which file "
		    "it is", path);
	return NULL;
}

static STACK_OF(X509) *
certificates_pem(const struct text *t, const char *path, char why[READ_WHY])
{
	STACK_OF(X509) *certs;
	char what[256];
	BIO *b;

	if (has_label(t, "-----BEGIN PKCS7-----") && (b = BIO_new_mem_buf(t->p, (int)t->len)) != NULL) {
		certs = from_pkcs7(PEM_read_bio_PKCS7(b, NULL, cert_no_passphrase, NULL));
		BIO_free(b);
		if (certs == NULL)
			snprintf(why, READ_WHY, "%s: its PKCS#7 is damaged, or without certificates; "
			    "get the file again", path);
		return certs;
	}
	certs = cert_parse_chain(t->p, t->len, what, sizeof(what));
	if (certs != NULL)
		return certs;
	if (has_label(t, "-----BEGIN CERTIFICATE REQUEST-----") ||
	    has_label(t, "-----BEGIN NEW CERTIFICATE REQUEST-----"))
		snprintf(why, READ_WHY, "%s: is a request; import the certificate that the CA makes "
		    "of it", path);
	else if (has_label(t, "PRIVATE KEY-----") && !has_label(t, "-----BEGIN CERTIFICATE-----"))
		snprintf(why, READ_WHY, "%s: is a private key; name the certificate with --cert and "
		    "this with --key", path);
	else
		snprintf(why, READ_WHY, "%s: %s", path, what);
	return NULL;
}

STACK_OF(X509) *
read_certificates(const char *path, char why[READ_WHY])
{
	STACK_OF(X509) *certs;
	struct text t;

	if (!load(path, &t, why))
		return NULL;
	certs = is_der(&t) ? certificates_der(&t, path, why) : certificates_pem(&t, path, why);
	unload(&t);
	return certs;
}

/* ---- keys ---- */

static EVP_PKEY *
parse_key(const struct text *t, struct secret *s)
{
	const unsigned char *p = (const unsigned char *)t->p;
	EVP_PKEY *key = NULL;
	BIO *b;

	if (is_der(t) && (key = d2i_AutoPrivateKey(NULL, &p, (long)t->len)) != NULL)
		return key;
	if ((b = BIO_new_mem_buf(t->p, (int)t->len)) == NULL)
		return NULL;
	if (is_der(t))
		key = d2i_PKCS8PrivateKey_bio(b, NULL, give_secret, s);
	else
		key = PEM_read_bio_PrivateKey(b, NULL, give_secret, s);
	BIO_free(b);
	ERR_clear_error();
	return key;
}

static void
no_key(const struct text *t, const char *path, char why[READ_WHY])
{
	if (is_der(t) && is_pkcs12(t))
		snprintf(why, READ_WHY, "%s: is a PKCS#12 file; name it with --pkcs12", path);
	else if (is_der(t) && der_length(t) > t->len)
		snprintf(why, READ_WHY, "%s: is cut short: %zu octets of DER instead of %zu; get the "
		    "file again", path, t->len, der_length(t));
	else if (has_label(t, "PRIVATE KEY-----"))
		snprintf(why, READ_WHY, "%s: its private key is damaged or cut short; get the file "
		    "again", path);
	else if (has_label(t, "-----BEGIN CERTIFICATE"))
		snprintf(why, READ_WHY, "%s: holds a certificate and no private key; name the key's "
		    "file", path);
	else
		snprintf(why, READ_WHY, "%s: holds no private key, neither PEM nor DER; check which "
		    "file it is", path);
}

EVP_PKEY *
read_key(const char *path, struct secret *s, char why[READ_WHY])
{
	EVP_PKEY *key = NULL;
	struct text t;

	if (!load(path, &t, why))
		return NULL;
	s->of = path;
	s->asked = false;
	while ((key = parse_key(&t, s)) == NULL && secret_again(s))
		continue;
	if (key == NULL && s->asked)
		wrong_passphrase(s, path, why);
	else if (key == NULL)
		no_key(&t, path, why);
	unload(&t);
	return key;
}

/* ---- PKCS#12 ---- */

/* PKCS12_parse with what it found in the one stack. */
static bool
take_apart(PKCS12 *p12, const char *pass, EVP_PKEY **key, STACK_OF(X509) **certs)
{
	X509 *leaf = NULL;

	*key = NULL;
	*certs = NULL;
	if (PKCS12_parse(p12, pass, key, &leaf, certs) != 1)
		return false;
	if (*certs == NULL)
		*certs = sk_X509_new_null();
	if (leaf != NULL && (*certs == NULL || sk_X509_push(*certs, leaf) <= 0))
		X509_free(leaf);
	return true;
}

/*
 * Without a MAC (RFC 7292, section 4) only what comes out tells whether it is
 * the one.  PKCS12_parse takes a passphrase for such a file only if a MAC
 * confirms it, so it gets one.
 */
static bool
is_passphrase(PKCS12 *p12, bool mac, const char *pass)
{
	STACK_OF(X509) *certs;
	EVP_PKEY *key;
	bool ok;

	if (mac)
		return PKCS12_verify_mac(p12, pass, -1) == 1 ||
		    (*pass == '\0' && PKCS12_verify_mac(p12, NULL, 0) == 1);
	if (*pass != '\0' && PKCS12_set_mac(p12, pass, -1, NULL, 0, 1, EVP_sha256()) != 1)
		return false;
	ok = take_apart(p12, pass, &key, &certs);
	EVP_PKEY_free(key);
	sk_X509_pop_free(certs, X509_free);
	return ok;
}

static bool
opens(PKCS12 *p12, struct secret *s)
{
	bool mac = PKCS12_mac_present(p12) == 1;

	if (is_passphrase(p12, mac, ""))
		return true;
	do
		if (secret_get(s) && is_passphrase(p12, mac, s->text))
			return true;
	while (secret_again(s));
	return false;
}

bool
read_pkcs12(const char *path, struct secret *s, EVP_PKEY **key, STACK_OF(X509) **certs,
    char why[READ_WHY])
{
	const unsigned char *p;
	OSSL_PROVIDER *legacy;
	PKCS12 *p12;
	struct text t;
	bool ok = false;

	*key = NULL;
	*certs = NULL;
	if (!load(path, &t, why))
		return false;
	s->of = path;
	s->asked = false;
	p = (const unsigned char *)t.p;
	/* Old Windows and Java encrypt with RC2; without this provider that is an error below. */
	legacy = OSSL_PROVIDER_try_load(NULL, "legacy", 1);
	if ((p12 = d2i_PKCS12(NULL, &p, (long)t.len)) == NULL) {
		if (is_der(&t) && der_length(&t) > t.len)
			snprintf(why, READ_WHY, "%s: is cut short: %zu octets instead of %zu; get the "
			    "file again", path, t.len, der_length(&t));
		else
			snprintf(why, READ_WHY, "%s: is no PKCS#12 file; name PEM or DER with --cert "
			    "and --key", path);
	} else if (!opens(p12, s)) {
		wrong_passphrase(s, path, why);
	} else if (!take_apart(p12, s->have ? s->text : "", key, certs)) {
		snprintf(why, READ_WHY, "%s: its content cannot be decrypted: %s", path,
		    ERR_reason_error_string(ERR_peek_last_error()) != NULL ?
		    ERR_reason_error_string(ERR_peek_last_error()) : "it is damaged");
	} else if (*key == NULL || sk_X509_num(*certs) <= 0) {
		snprintf(why, READ_WHY, "%s: holds no %s; export both, certificate and key, into one "
		    "file", path, *key == NULL ? "private key" : "certificate");
	} else {
		ok = true;
	}
	if (!ok) {
		EVP_PKEY_free(*key);
		sk_X509_pop_free(*certs, X509_free);
		*key = NULL;
		*certs = NULL;
	}
	PKCS12_free(p12);
	if (legacy != NULL)
		OSSL_PROVIDER_unload(legacy);
	unload(&t);
	return ok;
}
