/*
 * Domain names and mail addresses.
 *
 * A name is kept in one form only: A-labels (RFC 5890, by libidn2), lower
 * case, no trailing dot, at most NAME_MAX_LEN octets.  A rule's name may start
 * with a dot: ".example.org" stands for everything below example.org, not for
 * example.org itself.  Nothing here allocates on the ASCII path.
 */
#ifndef TLSWARD_CONF_NAME_H
#define TLSWARD_CONF_NAME_H

#include <stdbool.h>
#include <stddef.h>

#define NAME_MAX_LEN 253		/* RFC 1035 2.3.4, without the final dot */
#define NAME_SIZE (NAME_MAX_LEN + 2)	/* a leading dot and the NUL */

/*
 * The domain name `in` (len octets, any case, U-labels or A-labels, perhaps a
 * final dot) in its kept form, in out.  With `suffix` one leading dot is
 * taken and kept.  NULL on success, else a constant sentence fragment that
 * says what is wrong ("is longer than 253 octets"); out is then "".
 */
const char *name_normal(const char *in, size_t len, bool suffix,
    char out[NAME_SIZE]);

/*
 * The kept form of the domain of the mail address `addr` (no angle brackets
 * needed, a source route and a quoted local part are understood: the domain
 * follows the last '@').  False, and out "", where there is none to match a
 * rule with: a null sender, no '@', an address literal.
 *
 * A server may deliver to what is no legal name, "a-.example.org" say, where it
 * takes whatever is below example.org.  Such a name is kept as "-.example.org",
 * with as much as is legal at its end: no rule has that name, and those for what
 * is below hold.
 */
bool name_of_address(const char *addr, size_t len, char out[NAME_SIZE]);

/*
 * Does the presented identifier of a certificate (a dNSName, perhaps with a
 * wildcard that is the whole left-most label) cover the wanted one?  RFC 9525
 * 6.3.  `want` is an entry of cert_names in kept form: "mx.example.org" (that
 * name), ".example.org" (anything below it) or "*.example.org" (exactly one
 * label below it).  Case is ignored; anything malformed is no match.
 */
bool name_covers(const char *presented, size_t len, const char *want);

#endif
