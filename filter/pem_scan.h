/*
 * PEM files of many entries (RFC 7468), decoded without parsing what they hold.
 *
 * A bundle of 140 roots and a CRL of 10,000 entries stand in the way of a
 * process that lives for one connection: OpenSSL needs 40 ms to parse them.
 * Here they are only decoded, in about one; what is needed of them is then
 * parsed.  A file that is DER counts as one entry.
 */
#ifndef TLSWARD_FILTER_PEM_SCAN_H
#define TLSWARD_FILTER_PEM_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "read.h"

struct der {
	const unsigned char *p;
	size_t len;
};

/* The value of the TLV at in->p with this tag; in moves behind it.  False: other tag, or cut short. */
bool der_take(struct der *in, unsigned char tag, struct der *value);
/* The whole TLV whatever its tag. */
bool der_skip(struct der *in, struct der *whole);

/*
 * Decodes base64 (RFC 4648 4; white space between is skipped, pads may be
 * missing) into out, which has room for len * 3 / 4 octets and may be `in`
 * itself or lie before it.  The length, or SIZE_MAX where it is damaged.
 */
size_t base64_decode(const char *in, size_t len, unsigned char *out);

struct pem_file {
	struct file_id id;
	struct der *entries;
	size_t n;
	unsigned char *buffer;		/* what the entries point to */
	size_t size;
};

/*
 * Reads the entries with that label ("CERTIFICATE", "X509 CRL").  False, with
 * a sentence fragment in why, and *f empty, where there is none or one is
 * damaged.  pem_free releases.
 */
bool pem_load(const char *path, const char *label, size_t max, struct pem_file *f,
    char *why, size_t whysize);
void pem_free(struct pem_file *);

#endif
