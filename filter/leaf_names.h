/*
 * The names in a certificate file of the server's own, for choosing by SNI:
 * read from the DER without OpenSSL, which a session that is only shown a
 * certificate need not load.  Nothing is trusted by these names.
 *
 * The names of up to LEAVES_MAX files are kept for the life of the process and
 * read again when the file has changed.  RFC 5280 4.2.1.6.
 */
#ifndef TLSWARD_FILTER_LEAF_NAMES_H
#define TLSWARD_FILTER_LEAF_NAMES_H

#define LEAVES_MAX 256

/*
 * How well the dNSNames of the file's first certificate cover a name in kept
 * form: 2 by that very name, 1 by a wildcard, 0 not at all or unreadable.
 */
int leaf_covers(const char *file, const char *name);

#endif
