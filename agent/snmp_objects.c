#include "cert.h"
#include "snmp_objects.h"
#include "snmp_probes.h"
#include "snmp_values.h"

#define SCALAR(group, id, type, set, arg, get) \
	{ group, id, TABLE_NONE, type, set, arg, get }
#define FIXED(group, id, type, arg, get) SCALAR(group, id, type, SET_NEVER, arg, get)
#define COLUMN(group, id, table, type, set, arg, get) \
	{ group, id, table, type, set, arg, get }
#define CELL(group, id, table, type, arg, get) \
	COLUMN(group, id, table, type, SET_NEVER, arg, get)

/*
 * What rules have in common, under the same numbers: the settings of all, of the
 * base, of those about senders; the figures; the row itself.
 */
#define SETTINGS(group, table) \
	COLUMN(group, 2, table, ASN_INTEGER, SET_WORD, KEY_MODE, get_word), \
	COLUMN(group, 3, table, ASN_INTEGER, SET_WORD, KEY_CLIENT_CERT, get_word), \
	COLUMN(group, 4, table, ASN_INTEGER, SET_WORD, KEY_ENFORCE, get_word), \
	COLUMN(group, 5, table, ASN_INTEGER, SET_WORD, KEY_MIN_TLS, get_word), \
	COLUMN(group, 6, table, ASN_INTEGER, SET_NUMBER, KEY_MIN_BITS, get_bits), \
	COLUMN(group, 7, table, ASN_OCTET_STR, SET_NAME, KEY_CA, get_ref)
#define BASE(group, table) \
	COLUMN(group, 8, table, ASN_OCTET_STR, SET_NAME, KEY_CERTIFICATE, get_ref), \
	COLUMN(group, 9, table, ASN_INTEGER, SET_WORD, KEY_AUTHENTICATED, get_word)
#define SENDERS(group, table) \
	COLUMN(group, 11, table, ASN_OCTET_STR, SET_LIST, KEY_CERT_NAMES, get_list), \
	COLUMN(group, 12, table, ASN_OCTET_STR, SET_LIST, KEY_FINGERPRINTS, get_list), \
	CELL(group, 13, table, ASN_OCTET_STR, KEY_CERTS, get_ref), \
	COLUMN(group, 14, table, ASN_INTEGER, SET_WORD, KEY_MATCH_CN, get_word)
#define FIGURES(group, table) \
	CELL(group, 16, table, ASN_COUNTER64, FIG_CLEAR, get_figure), \
	CELL(group, 17, table, ASN_COUNTER64, FIG_TLS, get_figure), \
	CELL(group, 18, table, ASN_COUNTER64, FIG_VERIFIED, get_figure), \
	CELL(group, 19, table, ASN_COUNTER64, FIG_REFUSED, get_figure), \
	CELL(group, 20, table, ASN_COUNTER64, FIG_WOULD, get_figure), \
	CELL(group, 21, table, ASN_OCTET_STR, 0, get_refusal)
#define ROW(group, table) \
	COLUMN(group, 30, table, ASN_INTEGER, SET_STORAGE, 0, get_storage), \
	COLUMN(group, 31, table, ASN_INTEGER, SET_STATUS, 0, get_status)

const struct object object_table[] = {
	/* tlswardGeneral */
	FIXED(1, 1, ASN_OCTET_STR, TEXT_VERSION, get_text),
	/* tlswardServer */
	SCALAR(2, 1, ASN_INTEGER, SET_WORD, KEY_MODE, get_server_word),
	SCALAR(2, 2, ASN_INTEGER, SET_WORD, KEY_CLIENT_CERT, get_server_word),
	SCALAR(2, 3, ASN_INTEGER, SET_WORD, KEY_ENFORCE, get_server_word),
	SCALAR(2, 4, ASN_OCTET_STR, SET_NAME, KEY_CERTIFICATE, get_server_ref),
	SCALAR(2, 5, ASN_INTEGER, SET_WORD, KEY_MIN_TLS, get_server_word),
	SCALAR(2, 6, ASN_INTEGER, SET_NUMBER, KEY_MIN_BITS, get_server_number),
	SCALAR(2, 7, ASN_OCTET_STR, SET_NAME, KEY_CA, get_server_ref),
	SCALAR(2, 9, ASN_INTEGER, SET_WORD, KEY_AUTHENTICATED, get_server_word),
	FIGURES(2, TABLE_NONE),
	FIXED(2, 22, ASN_TIMETICKS, STAMP_COUNTERS, get_stamp),
	FIXED(2, 23, ASN_COUNTER64, 0, get_other),
	/* tlswardSettings */
	FIXED(3, 1, ASN_INTEGER, 0, get_state),
	FIXED(3, 2, ASN_OCTET_STR, TEXT_PATH, get_text),
	FIXED(3, 3, ASN_COUNTER, NUM_LOADS, get_number),
	FIXED(3, 4, ASN_COUNTER, NUM_FAILURES, get_number),
	FIXED(3, 5, ASN_OCTET_STR, 0, get_digest),
	FIXED(3, 6, ASN_OCTET_STR, DATE_LOADED, get_date),
	FIXED(3, 7, ASN_OCTET_STR, TEXT_ERROR, get_text),
	FIXED(3, 8, ASN_GAUGE, NUM_ERROR_LINE, get_number),
	FIXED(3, 9, ASN_GAUGE, SEC_DOMAIN, get_rules),
	FIXED(3, 10, ASN_GAUGE, SEC_DOMAIN, get_omitted),
	FIXED(3, 11, ASN_GAUGE, SEC_PEER, get_rules),
	FIXED(3, 12, ASN_GAUGE, SEC_PEER, get_omitted),
	FIXED(3, 13, ASN_GAUGE, SEC_LISTENER, get_rules),
	FIXED(3, 14, ASN_GAUGE, SEC_CLIENT, get_rules),
	FIXED(3, 15, ASN_GAUGE, NUM_CERTIFICATES, get_number),
	/* tlswardChanges */
	SCALAR(4, 1, ASN_INTEGER, SET_LOCK, 0, get_lock),
	FIXED(4, 2, ASN_COUNTER, NUM_DONE, get_number),
	FIXED(4, 3, ASN_COUNTER, NUM_REFUSED, get_number),
	FIXED(4, 4, ASN_OCTET_STR, TEXT_CHANGE_ERROR, get_text),
	FIXED(4, 5, ASN_OCTET_STR, DATE_CHANGE_ERROR, get_date),
	FIXED(4, 6, ASN_GAUGE, NUM_WAITING, get_number),
	/* tlswardDomainTable */
	SETTINGS(5, TABLE_DOMAIN),
	SENDERS(5, TABLE_DOMAIN),
	FIGURES(5, TABLE_DOMAIN),
	ROW(5, TABLE_DOMAIN),
	/* tlswardPeerTable */
	SETTINGS(6, TABLE_PEER),
	SENDERS(6, TABLE_PEER),
	FIGURES(6, TABLE_PEER),
	ROW(6, TABLE_PEER),
	/* tlswardListenerTable */
	SETTINGS(7, TABLE_LISTENER),
	BASE(7, TABLE_LISTENER),
	COLUMN(7, 10, TABLE_LISTENER, ASN_INTEGER, SET_WORD, KEY_VERIFIES, get_word),
	CELL(7, 15, TABLE_LISTENER, ASN_OCTET_STR, 0, get_name),
	FIGURES(7, TABLE_LISTENER),
	CELL(7, 22, TABLE_LISTENER, ASN_INTEGER, SEEN_STATE, get_seen),
	CELL(7, 23, TABLE_LISTENER, ASN_OCTET_STR, SEEN_TIME, get_seen),
	CELL(7, 24, TABLE_LISTENER, ASN_OCTET_STR, SEEN_TEXT, get_seen),
	CELL(7, 25, TABLE_LISTENER, ASN_OCTET_STR, SEEN_FINGERPRINT, get_seen),
	CELL(7, 26, TABLE_LISTENER, ASN_INTEGER, SEEN_TLS, get_seen),
	CELL(7, 27, TABLE_LISTENER, ASN_INTEGER, SEEN_ASKS, get_seen),
	ROW(7, TABLE_LISTENER),
	/* tlswardClientTable */
	SETTINGS(8, TABLE_CLIENT),
	BASE(8, TABLE_CLIENT),
	SENDERS(8, TABLE_CLIENT),
	CELL(8, 15, TABLE_CLIENT, ASN_OCTET_STR, 0, get_name),
	FIGURES(8, TABLE_CLIENT),
	ROW(8, TABLE_CLIENT),
	/* tlswardLongTable */
	SETTINGS(9, TABLE_LONG),
	SENDERS(9, TABLE_LONG),
	FIGURES(9, TABLE_LONG),
	CELL(9, 22, TABLE_LONG, ASN_INTEGER, 0, get_kind),
	CELL(9, 23, TABLE_LONG, ASN_OCTET_STR, 0, get_name),
	/* tlswardCertificateTable */
	CELL(10, 3, TABLE_CERTIFICATE, ASN_OCTET_STR, CERT_USED, get_certificate),
	CELL(10, 4, TABLE_CERTIFICATE, ASN_OCTET_STR, CERT_FILE, get_certificate),
	CELL(10, 5, TABLE_CERTIFICATE, ASN_OCTET_STR, CERT_SUBJECT, get_certificate),
	CELL(10, 6, TABLE_CERTIFICATE, ASN_OCTET_STR, CERT_ISSUER, get_certificate),
	CELL(10, 7, TABLE_CERTIFICATE, ASN_OCTET_STR, CERT_SERIAL, get_certificate),
	CELL(10, 8, TABLE_CERTIFICATE, ASN_OCTET_STR, CERT_FINGERPRINT, get_certificate),
	CELL(10, 9, TABLE_CERTIFICATE, ASN_OCTET_STR, CERT_KEY_TYPE, get_certificate),
	CELL(10, 10, TABLE_CERTIFICATE, ASN_GAUGE, CERT_KEY_BITS, get_certificate),
	CELL(10, 11, TABLE_CERTIFICATE, ASN_OCTET_STR, CERT_NAMES, get_certificate),
	CELL(10, 12, TABLE_CERTIFICATE, ASN_OCTET_STR, CERT_NOT_BEFORE, get_certificate),
	CELL(10, 13, TABLE_CERTIFICATE, ASN_OCTET_STR, CERT_NOT_AFTER, get_certificate),
	CELL(10, 14, TABLE_CERTIFICATE, ASN_INTEGER, CERT_DAYS, get_certificate),
	CELL(10, 15, TABLE_CERTIFICATE, ASN_INTEGER, CERT_STATE, get_certificate),
	CELL(10, 16, TABLE_CERTIFICATE, ASN_OCTET_STR, CERT_ERROR, get_certificate),
	CELL(10, 17, TABLE_CERTIFICATE, ASN_OCTET_STR, CERT_CHECKED, get_certificate),
	CELL(10, 18, TABLE_CERTIFICATE, ASN_GAUGE, CERT_COUNT, get_certificate),
	CELL(10, 19, TABLE_CERTIFICATE, ASN_INTEGER, CERT_SHOWN, get_certificate),
	CELL(10, 20, TABLE_CERTIFICATE, ASN_OCTET_STR, CERT_SHOWN_FINGERPRINT, get_certificate),
	CELL(10, 21, TABLE_CERTIFICATE, ASN_OCTET_STR, CERT_SHOWN_TIME, get_certificate),
	CELL(10, 22, TABLE_CERTIFICATE, ASN_OCTET_STR, CERT_SHOWN_BY, get_certificate),
	CELL(10, 23, TABLE_CERTIFICATE, ASN_OCTET_STR, CERT_CRL, get_certificate),
	CELL(10, 24, TABLE_CERTIFICATE, ASN_INTEGER, CERT_PURPOSE, get_certificate),
	/* tlswardReasonTable */
	CELL(11, 2, TABLE_REASON, ASN_COUNTER64, FIG_REFUSED, get_reason),
	CELL(11, 3, TABLE_REASON, ASN_COUNTER64, FIG_WOULD, get_reason),
	/* tlswardRecentTable */
	CELL(12, 3, TABLE_RECENT, ASN_OCTET_STR, RECENT_TIME, get_recent),
	CELL(12, 4, TABLE_RECENT, ASN_INTEGER, RECENT_KIND, get_recent),
	CELL(12, 5, TABLE_RECENT, ASN_OCTET_STR, RECENT_NAME, get_recent),
	CELL(12, 6, TABLE_RECENT, ASN_INTEGER, RECENT_REASON, get_recent),
	CELL(12, 7, TABLE_RECENT, ASN_INTEGER, RECENT_ACTION, get_recent),
	CELL(12, 8, TABLE_RECENT, ASN_INTEGER, RECENT_TYPE, get_recent),
	CELL(12, 9, TABLE_RECENT, ASN_OCTET_STR, RECENT_ADDR, get_recent),
	CELL(12, 10, TABLE_RECENT, ASN_OCTET_STR, RECENT_CLIENT, get_recent),
	/* tlswardFrontEndTable */
	CELL(13, 2, TABLE_FRONT_END, ASN_INTEGER, FRONT_STATE, get_front_end),
	CELL(13, 3, TABLE_FRONT_END, ASN_OCTET_STR, FRONT_ERROR, get_front_end),
	CELL(13, 4, TABLE_FRONT_END, ASN_COUNTER, FRONT_STARTS, get_front_end),
	CELL(13, 5, TABLE_FRONT_END, ASN_OCTET_STR, FRONT_LAST_START, get_front_end),
	CELL(13, 6, TABLE_FRONT_END, ASN_COUNTER64, FRONT_CALLS, get_front_end),
	CELL(13, 7, TABLE_FRONT_END, ASN_OCTET_STR, FRONT_LAST_SEEN, get_front_end),
	/* tlswardLink */
	FIXED(14, 1, ASN_OCTET_STR, DATE_STARTED, get_date),
	FIXED(14, 2, ASN_COUNTER, NUM_CONNECTS, get_number),
	FIXED(14, 3, ASN_COUNTER, NUM_LOSSES, get_number),
	FIXED(14, 4, ASN_OCTET_STR, DATE_LINK, get_date),
	FIXED(14, 5, ASN_COUNTER, NUM_REQUESTS, get_number),
	FIXED(14, 6, ASN_TIMETICKS, STAMP_PROCESS, get_stamp),
	/* tlswardNotify, tlswardProbes */
	NOTIFY_OBJECTS
};
const size_t object_count = sizeof(object_table) / sizeof(object_table[0]);

/* The MIB's numbers of these are those of the code. */
_Static_assert(REASON_TLS_MISSING == 1 && REASON_CERT_MISSING == 4 && REASON_CERT_NAME == 10 &&
    REASON_CERT_UNKNOWN == 12 && REASON_TLS_REFUSED == 14 && REASON_MAX == 15, "TlswardReason");
_Static_assert(SEC_SERVER == 0 && SEC_LISTENER == 1 && SEC_PEER == 4 && SEC_RULES == 5,
    "TlswardRuleKind");
_Static_assert(CERT_STATE_OK == 0 && CERT_STATE_UNREADABLE == 5 && CERT_STATE_MAX == 7,
    "tlswardCertificateState");
