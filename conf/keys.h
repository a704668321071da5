/*
 * The grammar of the INI as two tables: which sections there are, which keys
 * each takes, how a value is written.  Reader, writer, SNMP and the command
 * line all ask here, so that a value is legal for all of them or for none.
 */
#ifndef TLSWARD_CONF_KEYS_H
#define TLSWARD_CONF_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum section {
	SEC_SERVER, SEC_LISTENER, SEC_CLIENT, SEC_DOMAIN, SEC_PEER,
	SEC_CERTIFICATE, SEC_CA, SEC_AGENT,
	SEC_MAX
};
#define SEC_RULES SEC_CERTIFICATE	/* those before it carry rules of the decision */

enum key {
	/* of the decision */
	KEY_MODE, KEY_CLIENT_CERT, KEY_MIN_TLS, KEY_MIN_BITS, KEY_ENFORCE,
	KEY_AUTHENTICATED, KEY_VERIFIES, KEY_CERTIFICATE, KEY_CA,
	KEY_CERT_NAMES, KEY_FINGERPRINTS, KEY_CERTS, KEY_MATCH_CN,
	/* of one section each */
	KEY_STATE_DIR, KEY_FILE, KEY_KEY, KEY_NAMES, KEY_CRL, KEY_PURPOSE,
	KEY_AGENTX, KEY_EXPIRY_DAYS,
	KEY_NOTIFY, KEY_PROBE_INTERVAL, KEY_NOTIFY_RATE, KEY_REFUSAL_RATE, KEY_NOTIFY_EXCEPT,
	KEY_MAX
};
#define KEY_RULES KEY_STATE_DIR		/* how many a rule may set */

/*
 * Values.  Larger is stricter; that order is what "the stricter holds" means,
 * so it is part of the contract of this enum.
 */
enum mode { MODE_NONE = 0, MODE_OFFER = 1, MODE_REQUIRE = 2 };
enum client_cert { CC_NONE = 0, CC_REQUEST = 1, CC_REQUIRE = 2 };
enum enforce { ENFORCE_REPORT = 0, ENFORCE_YES = 1 };
enum authenticated { AUTH_EXEMPT = 0, AUTH_ENFORCE = 1 };
enum purpose { PURPOSE_ANY = 0, PURPOSE_CLIENT = 1 };
/* The kinds of notifications, words of notify_except: mode-changed is 0, in TLSWARD-MIB's order. */
#define NOTIFY_KINDS 12
enum tls_version { TLS_NONE = 0, TLS_1_0 = 0x0301, TLS_1_1, TLS_1_2, TLS_1_3 };

enum key_type {
	TYPE_WORD,		/* one of a key's words; value = enum above */
	TYPE_BOOL,		/* yes | no; 1 | 0 */
	TYPE_TLS,		/* 1.0 to 1.3; enum tls_version */
	TYPE_NUMBER,		/* lo..hi */
	TYPE_REF,		/* the NAME of a section */
	TYPE_PATH,		/* absolute path; file (or folder for state_dir) */
	TYPE_NAMES,		/* list of domain names, ".x" and "*.x" allowed */
	TYPE_PINS,		/* list of SHA256:hex (the DER) or SPKI-SHA256:hex (the public key) */
	TYPE_NUMBERS,		/* list of lo..hi */
	TYPE_WORDS		/* list of a key's words; each item the index of one */
};

struct key_info {
	const char *name;	/* as the INI spells it */
	uint16_t sections;	/* bit 1 << enum section: where it may stand */
	enum key_type type;
	const char *const *words;	/* TYPE_WORD(S): NULL-ended, index = value */
	uint32_t lo, hi;	/* TYPE_NUMBER(S), inclusive */
	enum section ref;	/* TYPE_REF */
	const char *hint;	/* "none, offer or require": what would be right */
	uint32_t preset;	/* the default of a scalar */
	const char *preset_text;	/* the default as the INI would have it; NULL: none */
};

extern const struct key_info key_table[KEY_MAX];
extern const char *const section_words[SEC_MAX];	/* "server", "listener", … */

enum key key_find(const char *name);			/* KEY_MAX: unknown */
bool key_allowed(enum key, enum section);
enum section section_find(const char *word, size_t len);	/* SEC_MAX: unknown */
bool section_named(enum section);			/* takes a NAME: all but server and agent */

/*
 * The kept form of a section's NAME (a domain in A-labels, a listener or
 * network as addr_format_* writes it, a plain word of [A-Za-z0-9._-]{1,64}
 * for certificate and ca).  NULL, or a sentence fragment saying what is wrong,
 * which lasts as long as out, and out is "".  outsize >= NAME_SIZE.
 */
const char *section_name_normal(enum section, const char *name, size_t len,
    char *out, size_t outsize);

/* The word that a value which is none most likely stands for; NULL: none is near. */
const char *key_near(enum key, const char *text, size_t len);

/*
 * Reads the text of one scalar (WORD, BOOL, TLS, NUMBER).  False: not legal.
 */
bool key_scalar(enum key, const char *text, uint32_t *value);
/* The word that stands for the value of a scalar, or of an item of NUMBERS or WORDS; buf is
 * used for numbers. */
const char *key_text(enum key, uint32_t value, char buf[16]);

#endif
