/*
 * What smtpd.conf has to say where the settings are to hold: for `tlsward
 * render` and `tlsward check --against` alike.
 *
 * smtpd hides nothing and asks for nothing by itself: its listen line decides
 * whether TLS is offered, which certificate is shown, and whether clients must
 * have one.  What is required of whom is the filter's.
 */
#ifndef TLSWARD_AGENT_CMD_SMTPD_WANT_H
#define TLSWARD_AGENT_CMD_SMTPD_WANT_H

#include <stdbool.h>
#include <stddef.h>

#include "policy.h"
#include "settings.h"

struct smtpd_want {
	const struct rule *listener;	/* NULL: the server's settings hold there */
	struct effective base;
	bool tls;			/* TLS is to be offered */
	bool implicit;			/* as by smtps: the port is 465 (RFC 8314) */
	bool verify;
	const struct rule *certificate, *ca;	/* those sections; NULL: none is named */
};

/* For sessions that arrive at an address with port; ADDR_NONE: any without a [listener]. */
void smtpd_want(const struct settings *, const struct addr *, struct smtpd_want *);

/*
 * Who may, by the settings, come in clear where the base is `require`, or
 * would only be reported: "[domain example.org] with mode = none".  NULL:
 * nobody.  Returns buf.
 */
#define EXEMPT_SIZE 512
const char *smtpd_exempt(const struct settings *, const struct smtpd_want *, char buf[EXEMPT_SIZE]);

/*
 * The certificates to show at a listener, the base's first, then those that
 * SNI may choose; at most max.
 */
size_t smtpd_certificates(const struct settings *, const struct smtpd_want *,
    const struct rule **out, size_t max);

/* Does any rule of the section ask for, or require, a client certificate? */
bool wants_client_cert(const struct settings *, enum section, enum client_cert least);

/* Does the rule itself require a certificate; name pins; go by names, which smtpd does not tell? */
bool rule_requires_cert(const struct rule *);
bool rule_has_pins(const struct rule *);
bool rule_wants_names(const struct rule *);

/* "[listener 198.51.100.7:25]", "[server]" for NULL.  Returns buf (SECTION_TEXT of cmd.h). */
const char *rule_title(const struct settings *, const struct rule *, char *buf);

#endif
