/*
 * The strings that Exim hands to the module, turned into struct facts.
 *
 * Exim passes its variables as text, several packed into one argument with '|'
 * between them.  What a client can choose freely (HELO, addresses, SNI) is the
 * last field of its argument or an argument of its own, so that a '|' in it
 * cannot move another field.  Text that is not what Exim is known to write is
 * an error: the caller then defers the mail, it never guesses.
 *
 * No I/O, no allocation.  The facts point into the caller's strings and into
 * struct exim_facts itself: they live as long as both do, and the struct must
 * not be copied.
 *
 * Variables: Exim specification, chapter "String expansions".
 */
#ifndef TLSWARD_FILTER_EXIM_FACTS_H
#define TLSWARD_FILTER_EXIM_FACTS_H

#include <stdbool.h>
#include "policy.h"

struct exim_facts {
	struct facts facts;
	char session[32];		/* "exim-PID": Exim has no session id of its own */
	char sender_domain[NAME_SIZE], recipient_domain[NAME_SIZE];
};

/*
 * Each is NULL on success, else a constant sentence fragment that says what is
 * wrong; the facts are then not to be used.
 *
 * exim_facts_session starts over and takes
 *	$received_ip_address|$received_port|$sender_host_address|y or n (AUTH)|$sender_helo_name
 * No client address and no port means a command line: ADDR_LOCAL.
 */
const char *exim_facts_session(struct exim_facts *, const char *arg, long pid);

/*
 * $tls_in_ver|$tls_in_bits|$tls_in_certificate_verified|$tls_in_cipher, and the
 * client's certificate in base64, "" where there is none: here it counts only
 * whether there is one (exim_cert.h looks at it).  Exim does not say whether it
 * asked for one: a session over TLS without one is CERT_NONE, and the caller
 * makes that CERT_NOT_ASKED where it knows better.
 */
const char *exim_facts_tls(struct exim_facts *, const char *arg, const char *base64);

/*
 * The envelope: recipient is NULL at MAIL.  Any text is taken: an address
 * without a domain to match a rule with is an unknown peer, or domain.
 */
void exim_facts_envelope(struct exim_facts *, const char *sender, const char *recipient);

#endif
