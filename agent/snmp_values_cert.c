#include <stdio.h>
#include <string.h>

#include "snmp_certs.h"
#include "snmp_probes.h"
#include "snmp_values.h"

/* The fields of the certificate itself: nothing while it could not be read. */
static void
put_content(struct value *value, const struct cert_seen *i, enum cert_field field)
{
	switch (field) {
	case CERT_SUBJECT:
		put_text(value, i->subject);
		break;
	case CERT_ISSUER:
		put_text(value, i->issuer);
		break;
	case CERT_SERIAL:
		put_text(value, i->serial);
		break;
	case CERT_FINGERPRINT:
		put_octets(value, i->fingerprint, i->parsed ? sizeof(i->fingerprint) : 0);
		break;
	case CERT_KEY_TYPE:
		put_text(value, i->key_type);
		break;
	case CERT_KEY_BITS:
		put_number(value, i->key_bits > 0 ? (size_t)i->key_bits : 0);
		break;
	case CERT_NAMES:
		put_octets(value, i->names, strlen(i->names));
		break;
	case CERT_NOT_BEFORE:
		value_date(value, i->not_before);
		break;
	default:
		value_date(value, i->not_after);
	}
}

/* What a listener showed where the certificate was due. */
static void
put_shown(const struct view *v, const struct cert_entry *e, struct value *value,
    enum cert_field field)
{
	const struct probe_seen *s = e->section == SEC_CERTIFICATE ? probes_certificate(v, e->name) : NULL;

	if (s != NULL && s->shown == SHOWN_UNKNOWN)
		s = NULL;
	switch (field) {
	case CERT_SHOWN:
		put_integer(value, s == NULL ? SHOWN_UNKNOWN : s->shown);
		break;
	case CERT_SHOWN_FINGERPRINT:
		put_octets(value, s == NULL ? NULL : s->fingerprint,
		    s == NULL ? 0 : sizeof(s->fingerprint));
		break;
	case CERT_SHOWN_TIME:
		value_date(value, s == NULL ? 0 : (time_t)s->time);
		break;
	default:
		put_text(value, s == NULL ? "" : s->listener);
	}
}

/* What a [ca] asks of certificates, as the settings have it. */
static void
put_check(const struct view *v, const struct cert_entry *e, struct value *value,
    enum cert_field field)
{
	const struct rule *r = e->section == SEC_CA ? view_rule(v, SEC_CA, e->name) : NULL;
	const char *crl = r == NULL ? NULL : settings_text(view_settings(v), r, KEY_CRL);

	if (field == CERT_CRL)
		put_text(value, crl == NULL ? "" : crl);
	else	/* none(1), then the order of enum purpose */
		put_integer(value, r == NULL ? 1 : (long)settings_value(r, KEY_PURPOSE) + 2);
}

bool
get_certificate(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	const struct cert_entry *e = certs_at(v->certs, row->i);
	enum cert_field field = (enum cert_field)o->arg;

	switch (field) {
	case CERT_USED:
		put_text(value, e->used);
		break;
	case CERT_FILE:
		put_text(value, e->file);
		break;
	case CERT_DAYS:
		put_integer(value, e->seen->parsed ? certs_days(e) : INT32_MIN);
		break;
	case CERT_STATE:	/* unknown(1), then the order of enum cert_state */
		put_integer(value, e->checked == 0 ? 1 : (long)e->seen->state + 2);
		break;
	case CERT_ERROR:
		put_text(value, e->seen->error);
		break;
	case CERT_CHECKED:
		value_date(value, e->checked);
		break;
	case CERT_COUNT:
		put_number(value, e->seen->chain_len);
		break;
	case CERT_CRL:
	case CERT_PURPOSE:
		put_check(v, e, value, field);
		break;
	case CERT_SHOWN:
	case CERT_SHOWN_FINGERPRINT:
	case CERT_SHOWN_TIME:
	case CERT_SHOWN_BY:
		put_shown(v, e, value, field);
		break;
	default:
		put_content(value, e->seen, field);
	}
	return true;
}

/* What a listener showed; the numbers are those of the MIB. */
bool
get_seen(const struct view *v, const struct object *o, const struct row *row,
    struct value *value)
{
	static const struct probe_seen nothing = { .state = 1, .tls = 1, .asks = 1 };
	const struct probe_seen *s = probes_listener(v, row->name);

	if (s == NULL)
		s = &nothing;
	switch ((enum seen_field)o->arg) {
	case SEEN_STATE:
		put_integer(value, s->state);
		break;
	case SEEN_TIME:
		value_date(value, (time_t)s->time);
		break;
	case SEEN_TEXT:
		put_text(value, s->text);
		break;
	case SEEN_FINGERPRINT:
		put_octets(value, s->fingerprint, s->certified ? sizeof(s->fingerprint) : 0);
		break;
	case SEEN_TLS:
		put_integer(value, s->tls);
		break;
	case SEEN_ASKS:
		put_integer(value, s->asks);
		break;
	}
	return true;
}
