/*
 * The functions that make the values of the objects, by what they show:
 * snmp_values.c the settings and the agent's account, snmp_values_count.c what
 * was counted, snmp_values_cert.c certificates.  For snmp_objects.c, which has
 * the table of objects; `arg` of an object is one of these enumerations or a key.
 */
#ifndef TLSWARD_AGENT_SNMP_VALUES_H
#define TLSWARD_AGENT_SNMP_VALUES_H

#include "snmp_objects.h"

typedef bool value_get(const struct view *, const struct object *, const struct row *,
    struct value *);

/* ---- for all of them ---- */
void put_integer(struct value *, long);
void put_number(struct value *, size_t);		/* modulo 2^32 */
void put_counter(struct value *, uint64_t);
void put_octets(struct value *, const void *, size_t);
void put_text(struct value *, const char *);		/* TlswardText: cut to VIEW_TEXT */

/* ---- settings ---- */
value_get get_server_word, get_server_number, get_server_ref;	/* the value in force */
value_get get_agent_list, get_agent_bits;		/* likewise */
value_get get_word, get_bits, get_ref, get_list;	/* what a row says itself */
value_get get_storage, get_status, get_kind, get_name;

/* ---- the agent's account ---- */
enum number {
	NUM_LOADS, NUM_FAILURES, NUM_ERROR_LINE, NUM_DONE, NUM_REFUSED, NUM_WAITING,
	NUM_CERTIFICATES, NUM_CONNECTS, NUM_LOSSES, NUM_REQUESTS
};
enum text { TEXT_VERSION, TEXT_PATH, TEXT_ERROR, TEXT_CHANGE_ERROR };
enum date { DATE_LOADED, DATE_CHANGE_ERROR, DATE_STARTED, DATE_LINK };
value_get get_state, get_number, get_rules, get_omitted, get_text, get_date, get_digest, get_lock;

/* ---- figures ---- */
enum figure { FIG_CLEAR, FIG_TLS, FIG_VERIFIED, FIG_REFUSED, FIG_WOULD };
enum recent_field {
	RECENT_TIME, RECENT_KIND, RECENT_NAME, RECENT_REASON, RECENT_ACTION, RECENT_TYPE,
	RECENT_ADDR, RECENT_CLIENT
};
enum front_field {
	FRONT_STATE, FRONT_ERROR, FRONT_STARTS, FRONT_LAST_START, FRONT_CALLS, FRONT_LAST_SEEN
};
/* Since when counters are what they are, see snmp_view.h. */
enum stamp { STAMP_COUNTERS, STAMP_PROCESS, STAMP_AGENT, STAMP_MAX };
value_get get_figure, get_refusal, get_stamp, get_other;
value_get get_reason, get_recent, get_front_end;

/* ---- certificates, and what listeners show ---- */
enum cert_field {
	CERT_USED, CERT_FILE, CERT_SUBJECT, CERT_ISSUER, CERT_SERIAL, CERT_FINGERPRINT,
	CERT_KEY_TYPE, CERT_KEY_BITS, CERT_NAMES, CERT_NOT_BEFORE, CERT_NOT_AFTER,
	CERT_DAYS, CERT_STATE, CERT_ERROR, CERT_CHECKED, CERT_COUNT,
	CERT_SHOWN, CERT_SHOWN_FINGERPRINT, CERT_SHOWN_TIME, CERT_SHOWN_BY, CERT_CRL, CERT_PURPOSE
};
enum seen_field {
	SEEN_STATE, SEEN_TIME, SEEN_TEXT, SEEN_FINGERPRINT, SEEN_TLS, SEEN_ASKS
};
value_get get_certificate, get_seen;

#endif
