/* See cmd_explain_note.h. */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "cmd_explain_note.h"

static bool
refuses(enum action a)
{
	return a == ACT_REFUSE || a == ACT_DEFER;
}

/* Asked again as smtpd would: it asks for no certificate there, so that nothing is known of one. */
const char *
note_smtpd(const struct settings *s, const struct facts *f, const struct verdict *v,
    char buf[NOTE_SIZE])
{
	struct facts there = *f;
	struct effective base;
	struct verdict w;

	policy_base(s, f, &base);
	if (f->tls == TLS_NONE || base.value[KEY_VERIFIES] != 0 || f->client.family == ADDR_LOCAL)
		return NULL;
	there.cert = (struct cert_facts){ .status = CERT_NOT_ASKED,
	    .server = { .why = REASON_CERT_MISSING } };
	if (f->recipient_domain[0] != '\0')
		policy_rcpt(s, &there, &w);
	else
		policy_mail(s, &there, &w);
	if (!refuses(w.action) || (refuses(v->action) && strncmp(w.reply, v->reply, 3) == 0))
		return NULL;
	snprintf(buf, NOTE_SIZE, "OpenSMTPD answers %.3s here, since its listener does not verify "
	    "(verifies = yes in a [listener], and verify in smtpd.conf)", w.reply);
	return buf;
}

static bool
has_pins(const struct rule *r)
{
	return rule_sets(r, KEY_FINGERPRINTS) || rule_sets(r, KEY_CERTS);
}

const char *
note_pins(const struct settings *s, const struct facts *f, const struct verdict *v,
    char buf[NOTE_SIZE])
{
	char title[SECTION_TEXT];
	struct effective base;
	const struct rule *r = v->rule;

	if (v->reason < REASON_CERT_EXPIRED || v->reason > REASON_CERT_NAME || r == NULL ||
	    !f->cert.has_fingerprint)
		return NULL;
	/* a rule of the base may have them from another one */
	policy_base(s, f, &base);
	if (!has_pins(r) && r->section <= SEC_CLIENT)
		r = base.from[KEY_FINGERPRINTS] != NULL ? base.from[KEY_FINGERPRINTS] :
		    base.from[KEY_CERTS];
	if (!has_pins(r))
		return NULL;
	snprintf(buf, NOTE_SIZE, "no pin of %.270s matches the certificate, either",
	    section_text((enum section)r->section, settings_name(s, r), title));
	return buf;
}
