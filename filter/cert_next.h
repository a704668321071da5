/*
 * Which certificates of a file of pins are followed by others of it: a sender that
 * renews has both there for a while, and the end of the older one is no harm.
 *
 * Included only by the modules that use OpenSSL.
 */
#ifndef TLSWARD_FILTER_CERT_NEXT_H
#define TLSWARD_FILTER_CERT_NEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "pem_scan.h"

#define CERT_NEXT_MAX 100	/* in a file of more, each counts for itself */

struct cert_next {
	bool followed;		/* by one that is valid before it ends, and ends later */
	time_t from;		/* since when it, or one that it follows, is valid */
};

/*
 * One for each of the entries, the caller's to free.  NULL: none follows another, or
 * that cannot be told for want of memory or because one is malformed.
 */
struct cert_next *cert_next_find(const struct der *entries, size_t n);

#endif
