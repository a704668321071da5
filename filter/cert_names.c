/* The names in a certificate; see cert_file.h. */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "cert_file.h"

/* A string of the certificate that may be used as a name: no NUL, no control character. */
static bool
plain(const unsigned char *p, int len, char out[CERT_NAME_SIZE])
{
	out[0] = '\0';
	if (p == NULL || len <= 0 || len >= CERT_NAME_SIZE)
		return false;
	for (int i = 0; i < len; i++)
		if (p[i] < 0x20 || p[i] == 0x7f)
			return false;
	for (int i = 0; i < len; i++)
		out[i] = (char)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] + 32 : p[i]);
	out[len] = '\0';
	return true;
}

/* The octets that a dNSName would have as a string; 0: it is another kind of name. */
static size_t
room_for(const GENERAL_NAME *g)
{
	return g->type == GEN_DNS ? (size_t)ASN1_STRING_length(g->d.dNSName) + 1 : 0;
}

/* Room for every dNSName in one piece: the pointers, then the strings. */
static char *
make_room(const GENERAL_NAMES *san, struct cert_names *names)
{
	size_t count = 0, text = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(san); i++)
		if (room_for(sk_GENERAL_NAME_value(san, i)) > 0) {
			count++;
			text += room_for(sk_GENERAL_NAME_value(san, i));
		}
	names->any = count > 0;
	if (count == 0)
		return NULL;
	names->name = malloc(count * sizeof(names->name[0]) + text);
	return names->name != NULL ? (char *)(uintptr_t)(names->name + count) : NULL;
}

bool
cert_names_read(X509 *x, struct cert_names *names)
{
	GENERAL_NAMES *san;
	char name[CERT_NAME_SIZE], *text;
	int critical;
	bool ok;

	memset(names, 0, sizeof(*names));
	ERR_clear_error();
	san = X509_get_ext_d2i(x, NID_subject_alt_name, &critical, NULL);
	if (san == NULL) {		/* -1: there is none; else it cannot be read */
		names->any = critical != -1;
		return critical == -1 || !cert_out_of_memory();
	}
	text = make_room(san, names);
	ok = text != NULL || !names->any;
	for (int i = 0; text != NULL && i < sk_GENERAL_NAME_num(san); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(san, i);

		if (g->type != GEN_DNS || !plain(ASN1_STRING_get0_data(g->d.dNSName),
		    ASN1_STRING_length(g->d.dNSName), name))
			continue;
		names->name[names->n++] = text;
		memcpy(text, name, strlen(name) + 1);
		text += strlen(name) + 1;
	}
	GENERAL_NAMES_free(san);
	return ok;
}

void
cert_names_free(struct cert_names *names)
{
	free(names->name);
	memset(names, 0, sizeof(*names));
}

size_t
cert_dns_names(X509 *x, char out[][CERT_NAME_SIZE], size_t max)
{
	struct cert_names names;
	size_t n;

	(void)cert_names_read(x, &names);
	for (n = 0; n < max && n < names.n; n++)
		memcpy(out[n], names.name[n], strlen(names.name[n]) + 1);
	cert_names_free(&names);
	return n;
}

bool
cert_common_name(X509 *x, char out[CERT_NAME_SIZE])
{
	const X509_NAME *subject = X509_get_subject_name(x);
	unsigned char *utf8 = NULL;
	int at = -1, last = -1, len;
	bool ok;

	out[0] = '\0';
	while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0)
		last = at;	/* the last one is the most specific */
	if (last < 0)
		return false;
	len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
	ok = plain(utf8, len, out);
	OPENSSL_free(utf8);
	return ok;
}
