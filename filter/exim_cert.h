/*
 * The client's certificate of this process's session, from the text that Exim
 * has of it to facts for the decision.
 *
 * Exim hands its base64 to each MAIL and RCPT: it is decoded, parsed and
 * verified once, and known again by its text.  What else the client sent comes
 * before that by Exim's event tls:cert, an element of the chain each time; no
 * event fires where the session is resumed, and the chain is then not known.
 *
 * OpenSSL is in an object of its own (cert_calls.h), loaded at the first need.
 * Where that fails nothing can be said of any certificate: mail that needs one
 * is deferred, and the log says why, once a process.
 */
#ifndef TLSWARD_FILTER_EXIM_CERT_H
#define TLSWARD_FILTER_EXIM_CERT_H

#include <stdbool.h>
#include "policy.h"

/* An element of the chain: depth 0 is the leaf and comes last. */
void exim_cert_element(const char *depth, const char *base64);

/*
 * Fills the fields of *cert that follow from the certificate; they are good
 * until the next call.  What is no certificate, or cannot be looked at, is
 * CERT_UNTRUSTED for whatever reason *cert then gives.
 */
void exim_cert_facts(const char *base64, const struct settings *, struct cert_facts *cert);
/* Has a [ca] trusted the certificate of the last exim_cert_facts? */
bool exim_cert_trusted(void);

/* For the daemon: has ready what its children will need, if the settings ask for certificates. */
void exim_cert_preload(const struct settings *);

#endif
