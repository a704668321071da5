/*
 * What the Exim module calls of cert_verify.h, as one table: the only symbol
 * of exim_tlsward_cert.so, which the module loads when it has to look at a
 * certificate.  So a process that has none to look at does not pay for OpenSSL.
 */
#ifndef TLSWARD_FILTER_CERT_CALLS_H
#define TLSWARD_FILTER_CERT_CALLS_H

#include "cert_verify.h"
#include "exim_object.h"

struct cert_calls {
	struct object_make make;

	void (*begin)(void);		/* once, first */
	void (*arrive)(void);		/* in a process forked since, before the rest */
	struct cert_verifier *(*verifier_new)(void);
	void (*verifier_warm)(struct cert_verifier *, const struct settings *);
	struct cert_client *(*client_new)(struct cert_verifier *, const unsigned char *der,
	    size_t len, char *why, size_t whysize);
	void (*client_add)(struct cert_client *, const unsigned char *der, size_t len);
	void (*client_chain_unknown)(struct cert_client *);
	void (*client_free)(struct cert_client *);
	void (*client_facts)(struct cert_client *, const struct settings *, struct cert_facts *);
	bool (*client_trusted)(const struct cert_client *);
};

#define CERT_CALLS_FILE "exim_tlsward_cert.so"
#define CERT_CALLS_SYMBOL "tlsward_cert_calls"
extern const struct cert_calls tlsward_cert_calls;

#endif
