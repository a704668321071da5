/*
 * libFuzzer: a client's certificate and chain, certificates of files, CRLs, these
 * beside OpenSSL's own reading of them.  The first octet says what the rest is
 * taken for.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "cert.h"
#include "cert_verify.h"
#include "crl.h"
#include "leaf_names.h"
#include "pem_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { AS_CLIENT, AS_CHAIN, AS_FILE, AS_CRL, AS_BUNDLE, AS_CRL_FILE, AS_KINDS };

static char path[64];
static int fd = -1;

/* The octets as a file: one of memory, by its name in /proc. */
static const char *
as_file(const uint8_t *data, size_t size)
{
	if (fd == -1) {
		fd = memfd_create("fuzz", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	if (fd == -1 || ftruncate(fd, 0) == -1 || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	return path;
}

static struct settings *
settings_of(const char *file)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "[server]\nca = x\n[ca x]\nfile = %s\n", file);

	return settings_parse(text, (size_t)n, "fuzz", NULL, false, NULL, NULL);
}

/* The client judged by a CA of its own file: nothing of it may crash, whatever it says. */
static void
judge(struct cert_client *cl, const char *bundle)
{
	struct settings *s = settings_of(bundle);
	struct cert_facts f = { 0 };
	struct trust t;

	if (s == NULL)
		abort();
	cert_client_facts(cl, s, &f);
	f.verify(f.arg, settings_find(s, SEC_CA, "x"), &t);
	(void)f.pinned(f.arg, bundle);
	if (f.nnames > 0 && !f.any_names)
		abort();
	for (size_t i = 0; i < f.nnames; i++)
		if (strlen(f.names[i]) > 255)
			abort();
	settings_free(s);
}

static void
client(const uint8_t *data, size_t size, bool chain)
{
	struct cert_verifier *v = cert_verifier_new();
	size_t first = chain && size > 2 ? (size_t)data[0] << 8 | data[1] : size;
	struct cert_client *cl;
	struct cert_info *info = calloc(1, sizeof(*info));
	char why[256];

	if (v == NULL || info == NULL)
		abort();
	if (chain && size > 2) {
		data += 2;
		size -= 2;
	}
	first = first < size ? first : size;
	(void)cert_inspect_der(data, first, 1767225600, 30, info);
	cl = cert_client_new(v, data, first, why, sizeof(why));
	if (cl != NULL) {
		cert_client_add(cl, data + first, size - first);
		judge(cl, as_file(data, first));
	}
	cert_client_free(cl);
	cert_verifier_free(v);
	free(info);
}

static void
file(const uint8_t *data, size_t size)
{
	const char *name = as_file(data, size);
	struct cert_info *info = calloc(1, sizeof(*info));
	struct pem_file f;
	char why[256];

	if (info == NULL)
		abort();
	(void)cert_inspect(name, name, 1767225600, 30, info);
	if (cert_inspect_bundle(name, 1767225600, 30, info) != CERT_STATE_UNREADABLE &&
	    (!info->parsed || info->chain_len == 0))
		abort();
	(void)leaf_covers(name, "mx.example.org");
	if (pem_load(name, "CERTIFICATE", 1024 * 1024, &f, why, sizeof(why)))
		pem_free(&f);
	free(info);
}

/* Lazily and by OpenSSL alone: the same certificates are revoked. */
static void
same_answer(X509_CRL *lazy, X509_CRL *whole, const ASN1_INTEGER *serial)
{
	X509_REVOKED *by_lazy = NULL, *by_whole = NULL;
	int a = X509_CRL_get0_by_serial(lazy, &by_lazy, (ASN1_INTEGER *)(uintptr_t)serial);
	int b = X509_CRL_get0_by_serial(whole, &by_whole, (ASN1_INTEGER *)(uintptr_t)serial);

	if (a != b || (a != 0) != (by_lazy != NULL))
		abort();
}

static void
crl_of(const struct der *der)
{
	const unsigned char *p = der->p;
	X509_CRL *lazy = crl_open(der), *whole = d2i_X509_CRL(NULL, &p, (long)der->len);
	ASN1_INTEGER *serial = ASN1_INTEGER_new();
	STACK_OF(X509_REVOKED) *list;

	if (serial == NULL || (lazy != NULL && whole == NULL))
		abort();
	list = lazy != NULL ? X509_CRL_get_REVOKED(whole) : NULL;
	if (lazy != NULL && crl_entries(lazy) != (size_t)(list != NULL ? sk_X509_REVOKED_num(list) : 0))
		abort();
	for (int i = -1; lazy != NULL && i < 3; i++) {
		ASN1_INTEGER_set_int64(serial, i);
		same_answer(lazy, whole, serial);
	}
	for (int i = 0; i < sk_X509_REVOKED_num(list) && i < 64; i++)
		same_answer(lazy, whole, X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(list, i)));
	ASN1_INTEGER_free(serial);
	X509_CRL_free(lazy);
	X509_CRL_free(whole);
	ERR_clear_error();
}

static void
crl_file(const uint8_t *data, size_t size)
{
	struct pem_file f;
	struct crl_info info;
	char why[256];

	if (cert_inspect_crl(as_file(data, size), 1767225600, 30, &info) != CERT_STATE_UNREADABLE &&
	    (!info.parsed || info.crls == 0))
		abort();
	if (!pem_load(path, "X509 CRL", 1024 * 1024, &f, why, sizeof(why)))
		return;
	for (size_t i = 0; i < f.n; i++)
		crl_of(&f.entries[i]);
	pem_free(&f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;
	struct der der;

	/* the roots of this machine would cost nearly all of the time */
	if (fd == -1) {
		setenv("SSL_CERT_FILE", "/nonexistent", 1);
		setenv("SSL_CERT_DIR", "/nonexistent", 1);
	}
	if (size < 2 || (copy = malloc(size - 1)) == NULL)	/* an end that ASan sees */
		return 0;
	memcpy(copy, data + 1, size - 1);
	der = (struct der){ copy, size - 1 };
	switch (data[0] % AS_KINDS) {
	case AS_CLIENT:
		client(copy, size - 1, false);
		break;
	case AS_CHAIN:
		client(copy, size - 1, true);
		break;
	case AS_FILE:
	case AS_BUNDLE:
		file(copy, size - 1);
		break;
	case AS_CRL:
		crl_of(&der);
		break;
	case AS_CRL_FILE:
		crl_file(copy, size - 1);
		break;
	}
	free(copy);
	return 0;
}
