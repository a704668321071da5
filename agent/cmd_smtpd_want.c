#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "cmd_smtpd_want.h"

#define PORT_SMTPS 465

const char *
rule_title(const struct settings *s, const struct rule *r, char *buf)
{
	if (r == NULL)
		return section_text(SEC_SERVER, "", buf);
	return section_text((enum section)r->section, settings_name(s, r), buf);
}

/* The section that the base names by this key; NULL: none. */
static const struct rule *
named(const struct settings *s, const struct effective *base, enum key k)
{
	const char *name = settings_text(s, base->from[k], k);

	return name != NULL ? settings_find(s, key_table[k].ref, name) : NULL;
}

void
smtpd_want(const struct settings *s, const struct addr *at, struct smtpd_want *w)
{
	struct facts f = { .listener = *at, .tls = TLS_NONE };
	uint32_t weakest, strictest;

	memset(w, 0, sizeof(*w));
	policy_base(s, &f, &w->base);
	w->listener = at->family != ADDR_NONE ? settings_listener(s, at) : NULL;
	w->implicit = at->port == PORT_SMTPS;
	w->verify = w->base.value[KEY_VERIFIES] != 0;
	w->tls = w->base.value[KEY_MODE] != MODE_NONE || w->verify;
	/* a client network's mode comes before the listener's */
	if (settings_range(s, SEC_CLIENT, KEY_MODE, &weakest, &strictest) &&
	    strictest != MODE_NONE)
		w->tls = true;
	w->certificate = named(s, &w->base, KEY_CERTIFICATE);
	w->ca = named(s, &w->base, KEY_CA);
}

const char *
smtpd_exempt(const struct settings *s, const struct smtpd_want *w, char buf[EXEMPT_SIZE])
{
	static const enum section sections[] = { SEC_CLIENT, SEC_DOMAIN, SEC_PEER };
	static const struct { enum key key; uint32_t below; } lax[] = {
		{ KEY_MODE, MODE_REQUIRE }, { KEY_ENFORCE, ENFORCE_YES }
	};
	char title[SECTION_TEXT], word[16];
	const struct rule *r;
	size_t i, k, n;

	for (k = 0; k < 2; k++) {
		enum key key = lax[k].key;

		if (w->base.value[key] < lax[k].below) {
			snprintf(buf, EXEMPT_SIZE, "%s with %s = %s",
			    rule_title(s, w->base.from[key], title), key_table[key].name,
			    key_text(key, w->base.value[key], word));
			return buf;
		}
		for (i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
			for (n = 0; (r = settings_at(s, sections[i], n)) != NULL; n++) {
				if (!rule_sets(r, key) || settings_value(r, key) >= lax[k].below)
					continue;
				snprintf(buf, EXEMPT_SIZE, "%s with %s = %s", rule_title(s, r, title),
				    key_table[key].name, key_text(key, settings_value(r, key), word));
				return buf;
			}
	}
	return NULL;
}

size_t
smtpd_certificates(const struct settings *s, const struct smtpd_want *w,
    const struct rule **out, size_t max)
{
	const struct rule *r;
	size_t n = 0, i;

	if (w->certificate == NULL || max == 0)
		return 0;
	out[n++] = w->certificate;
	for (i = 0; n < max && (r = settings_at(s, SEC_CERTIFICATE, i)) != NULL; i++)
		if (r != w->certificate)
			out[n++] = r;
	return n;
}

bool
wants_client_cert(const struct settings *s, enum section section, enum client_cert least)
{
	uint32_t weakest, strictest;

	return settings_range(s, section, KEY_CLIENT_CERT, &weakest, &strictest) &&
	    strictest >= (uint32_t)least;
}

bool
rule_requires_cert(const struct rule *r)
{
	return rule_sets(r, KEY_CLIENT_CERT) && settings_value(r, KEY_CLIENT_CERT) == CC_REQUIRE;
}

bool
rule_has_pins(const struct rule *r)
{
	return rule_sets(r, KEY_FINGERPRINTS) || rule_sets(r, KEY_CERTS);
}

/* A peer's own name is asked for where it says nothing; a pin makes up for names. */
bool
rule_wants_names(const struct rule *r)
{
	return rule_requires_cert(r) && !rule_has_pins(r) &&
	    (r->section == SEC_PEER || rule_sets(r, KEY_CERT_NAMES));
}
