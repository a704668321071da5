/* See cert_file.h. */
#include <sys/stat.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "cert.h"
#include "cert_file.h"
#include "whole_file.h"

char *
cert_read_file(const char *path, size_t max, size_t *len, char *why, size_t whysize)
{
	struct stat st;
	int fd = whole_file_open(path, max, &st, why, whysize);
	char *buf;

	*len = 0;
	if (fd == -1)
		return NULL;
	if ((buf = OPENSSL_malloc((size_t)st.st_size + 1)) == NULL) {
		snprintf(why, whysize, "out of memory");
		close(fd);
		return NULL;
	}
	if (!whole_file_read(fd, &st, buf, why, whysize)) {
		OPENSSL_clear_free(buf, (size_t)st.st_size + 1);
		return NULL;
	}
	*len = (size_t)st.st_size;
	buf[*len] = '\0';
	return buf;
}

/* DER begins with a SEQUENCE of a length in two or three octets. */
static const char *
not_pem(const char *buf, size_t len, const char *what, const char *der)
{
	if (len > 4 && (unsigned char)buf[0] == 0x30 && ((unsigned char)buf[1] & 0x80) != 0)
		return der;
	return what;
}

bool
cert_out_of_memory(void)
{
	unsigned long e;
	bool yes = false;

	while ((e = ERR_get_error()) != 0)
		yes = yes || ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE;
	return yes;
}

static X509 *
parse_one(const unsigned char *der, size_t len)
{
	const unsigned char *p = der;
	X509 *x = len > 0 && len <= LONG_MAX ? d2i_X509(NULL, &p, (long)len) : NULL;

	if (x == NULL || (size_t)(p - der) == len)
		return x;
	X509_free(x);
	return NULL;
}

X509 *
cert_parse_der(const unsigned char *der, size_t len)
{
	X509 *x;

	ERR_clear_error();
	x = parse_one(der, len);
	/* What cannot be read of key and extensions is no error yet, not even for want of memory. */
	if (x != NULL && (X509_get0_pubkey(x) == NULL ||
	    (X509_get_extension_flags(x) & EXFLAG_INVALID) != 0)) {
		X509_free(x);
		x = parse_one(der, len);
	}
	errno = cert_out_of_memory() && x == NULL ? ENOMEM : EINVAL;
	return x;
}

int
cert_no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)arg;
	return -1;
}

STACK_OF(X509) *
cert_parse_chain(const char *pem, size_t len, char *why, size_t whysize)
{
	BIO *b = BIO_new_mem_buf(pem, (int)len);
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *x;
	unsigned long e;

	ERR_clear_error();
	if (b == NULL || chain == NULL)
		goto fail;
	while ((x = PEM_read_bio_X509(b, NULL, cert_no_passphrase, NULL)) != NULL)
		if (sk_X509_push(chain, x) == 0) {
			X509_free(x);
			goto fail;
		}
	e = ERR_peek_last_error();
	if (ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE)
		ERR_clear_error();	/* the end of the file */
	else if (e != 0) {
		snprintf(why, whysize, "certificate %d of it is %s", sk_X509_num(chain) + 1,
		    ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_BAD_PASSWORD_READ ?
		    "encrypted, which only keys are; decrypt it with `openssl x509 -in FILE -out FILE.pem`" :
		    "damaged or cut short; get the file again from where it came");
		goto fail_said;
	}
	if (sk_X509_num(chain) == 0) {
		snprintf(why, whysize, "%s", not_pem(pem, len,
		    "holds no certificate in PEM (no BEGIN CERTIFICATE line); check which file it is",
		    "holds DER, not PEM; convert it with `openssl x509 -inform DER -in FILE -out FILE.pem`"));
		goto fail_said;
	}
	BIO_free(b);
	return chain;
fail:
	snprintf(why, whysize, "out of memory");
fail_said:
	sk_X509_pop_free(chain, X509_free);
	BIO_free(b);
	ERR_clear_error();
	return NULL;
}

STACK_OF(X509) *
cert_read_chain(const char *path, char *why, size_t whysize)
{
	size_t len;
	char *buf = cert_read_file(path, CERT_FILE_MAX, &len, why, whysize);
	STACK_OF(X509) *chain;

	if (buf == NULL)
		return NULL;
	chain = cert_parse_chain(buf, len, why, whysize);
	OPENSSL_clear_free(buf, len + 1);
	return chain;
}

struct passphrase {
	const char *text;
	bool asked;
};

static int
give_passphrase(char *buf, int size, int rwflag, void *arg)
{
	struct passphrase *p = arg;
	size_t len = p->text != NULL ? strlen(p->text) : 0;

	(void)rwflag;
	p->asked = true;
	if (p->text == NULL || size < 0 || len > (size_t)size)
		return -1;
	memcpy(buf, p->text, len);
	return (int)len;
}

EVP_PKEY *
cert_parse_key(const char *pem, size_t len, const char *pass, char *why, size_t whysize)
{
	struct passphrase p = { pass, false };
	BIO *b = BIO_new_mem_buf(pem, (int)len);
	EVP_PKEY *key = b != NULL ? PEM_read_bio_PrivateKey(b, NULL, give_passphrase, &p) : NULL;

	if (key == NULL) {
		const char *what = not_pem(pem, len,
		    "holds no usable private key in PEM; check which file it is",
		    "holds DER, not PEM; convert it with `openssl pkey -inform DER -in FILE -out FILE.pem`");

		if (p.asked)
			what = pass == NULL ? "is encrypted, and a mail server cannot ask for its passphrase; "
			    "import it with `tlsward cert import`" : "cannot be decrypted: wrong passphrase";
		snprintf(why, whysize, "%s", what);
	}
	BIO_free(b);
	ERR_clear_error();
	return key;
}

EVP_PKEY *
cert_read_key(const char *path, const char *pass, char *why, size_t whysize)
{
	size_t len;
	char *buf = cert_read_file(path, CERT_FILE_MAX, &len, why, whysize);
	EVP_PKEY *key;

	if (buf == NULL)
		return NULL;
	key = cert_parse_key(buf, len, pass, why, whysize);
	OPENSSL_clear_free(buf, len + 1);
	return key;
}

bool
cert_spki_digest(X509 *x, unsigned char out[32])
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	unsigned int n = 0;
	bool ok;

	memset(out, 0, 32);
	ok = len > 0 && EVP_Digest(der, (size_t)len, out, &n, EVP_sha256(), NULL) == 1;
	OPENSSL_free(der);
	return ok;
}

void
cert_name_text(const X509_NAME *name, char *out, size_t size)
{
	BIO *b = BIO_new(BIO_s_mem());
	int n;

	out[0] = '\0';
	if (b == NULL)
		return;
	if (X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0) {
		n = BIO_read(b, out, (int)size - 1);
		out[n > 0 ? n : 0] = '\0';
	}
	BIO_free(b);
}

time_t
cert_time(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : (time_t)0;
}
