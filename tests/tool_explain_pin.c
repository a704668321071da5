/*
 * What `tlsward explain` would say of a session in smtpd that the filter's feed
 * has told of: the server trusted the certificate, its fingerprint is known, its
 * names are not.  For tests/agree.py.
 *
 *	explain_pin INI SESSION TLS CERTIFICATE FROM TO...
 *
 * SESSION and TLS as in filter/exim_facts.h, CERTIFICATE a PEM file.  Prints the
 * replies, one a line, "250" where it is accepted: to MAIL FROM, and to each RCPT
 * TO where that was not refused.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "cert.h"
#include "cert_verify.h"
#include "exim_facts.h"
#include "pem_scan.h"
#include "read.h"

static unsigned char fingerprint[32];
static struct cert_verifier *verifier;

static int
pinned(void *arg, const char *certs)
{
	char why[512];

	(void)arg;
	return cert_file_pins(verifier, certs, fingerprint, why, sizeof(why)) ? 1 :
	    why[0] == '\0' ? 0 : -1;
}

static bool
reply(const struct verdict *v)
{
	bool refused = v->action == ACT_REFUSE || v->action == ACT_DEFER;

	puts(refused ? v->reply : "250");
	return refused;
}

int
main(int argc, char *argv[])
{
	struct pem_file file;
	struct exim_facts f;
	struct settings *s;
	struct verdict v;
	char why[256];
	int i;

	if (argc < 7) {
		fprintf(stderr, "usage: explain_pin INI SESSION TLS CERTIFICATE FROM TO...\n");
		return 2;
	}
	if ((s = settings_read(argv[1], false, NULL, NULL)) == NULL ||
	    !pem_load(argv[4], "CERTIFICATE", CERT_FILE_MAX, &file, why, sizeof(why)) ||
	    EVP_Digest(file.entries[0].p, file.entries[0].len, fingerprint, NULL, EVP_sha256(), NULL) != 1 ||
	    (verifier = cert_verifier_new()) == NULL ||
	    exim_facts_session(&f, argv[2], 1) != NULL || exim_facts_tls(&f, argv[3], "AAAA") != NULL) {
		fprintf(stderr, "explain_pin: settings, certificate or facts are no good\n");
		return 1;
	}
	f.facts.cert.status = CERT_TRUSTED;
	f.facts.cert.server = (struct trust){ .trusted = true };
	f.facts.cert.has_fingerprint = true;
	memcpy(f.facts.cert.fingerprint, fingerprint, sizeof(fingerprint));
	f.facts.cert.pinned = pinned;
	exim_facts_envelope(&f, argv[5], NULL);
	policy_mail(s, &f.facts, &v);
	if (!reply(&v))
		for (i = 6; i < argc; i++) {
			exim_facts_envelope(&f, argv[5], argv[i]);
			policy_rcpt(s, &f.facts, &v);
			reply(&v);
		}
	cert_verifier_free(verifier);
	pem_free(&file);
	settings_free(s);
	return 0;
}
