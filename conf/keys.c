#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "keys.h"
#include "name.h"
#include "nearest.h"

#define PLAIN_MAX 64		/* of the name of a [certificate] or [ca] */
#define IN(s) (1U << SEC_##s)

/* Where the keys of the decision may stand. */
#define IN_RULES (IN(SERVER) | IN(LISTENER) | IN(CLIENT) | IN(DOMAIN) | IN(PEER))
#define IN_BASE (IN(SERVER) | IN(LISTENER) | IN(CLIENT))
#define IN_SENDERS (IN(CLIENT) | IN(DOMAIN) | IN(PEER))

static const char *const mode_words[] = { "none", "offer", "require", NULL };
static const char *const client_cert_words[] = { "none", "request", "require", NULL };
static const char *const enforce_words[] = { "report", "yes", NULL };
static const char *const authenticated_words[] = { "exempt", "enforce", NULL };
static const char *const purpose_words[] = { "any", "client", NULL };
static const char *const notify_words[] = { "mode-changed", "settings-rejected", "settings-accepted",
    "certificate-expiring", "certificate-expired", "certificate-renewed", "certificate-unusable",
    "certificate-not-shown", "listener-not-verifying", "listener-fault", "listener-fine",
    "refusals-high", NULL };
_Static_assert(sizeof(notify_words) / sizeof(notify_words[0]) == NOTIFY_KINDS + 1, "all kinds");

/* Indexed by value, and in enum tls_version's order. */
static const char *const bool_words[] = { "no", "yes", NULL };
static const char *const tls_words[] = { "1.0", "1.1", "1.2", "1.3", NULL };

const char *const section_words[SEC_MAX] = {
	[SEC_SERVER] = "server", [SEC_LISTENER] = "listener",
	[SEC_CLIENT] = "client", [SEC_DOMAIN] = "domain", [SEC_PEER] = "peer",
	[SEC_CERTIFICATE] = "certificate", [SEC_CA] = "ca", [SEC_AGENT] = "agent"
};

const struct key_info key_table[KEY_MAX] = {
	[KEY_MODE] = { .name = "mode", .sections = IN_RULES,
	    .type = TYPE_WORD, .words = mode_words, .hint = "none, offer or require",
	    .preset = MODE_OFFER, .preset_text = "offer" },
	[KEY_CLIENT_CERT] = { .name = "client_cert", .sections = IN_RULES,
	    .type = TYPE_WORD, .words = client_cert_words,
	    .hint = "none, request or require",
	    .preset = CC_NONE, .preset_text = "none" },
	[KEY_MIN_TLS] = { .name = "min_tls", .sections = IN_RULES,
	    .type = TYPE_TLS, .hint = "1.0, 1.1, 1.2 or 1.3",
	    .preset = TLS_1_2, .preset_text = "1.2" },
	[KEY_MIN_BITS] = { .name = "min_bits", .sections = IN_RULES,
	    .type = TYPE_NUMBER, .lo = 0, .hi = 4096, .hint = "a number from 0 to 4096",
	    .preset = 128, .preset_text = "128" },
	[KEY_ENFORCE] = { .name = "enforce", .sections = IN_RULES,
	    .type = TYPE_WORD, .words = enforce_words, .hint = "yes or report",
	    .preset = ENFORCE_YES, .preset_text = "yes" },
	[KEY_AUTHENTICATED] = { .name = "authenticated", .sections = IN_BASE,
	    .type = TYPE_WORD, .words = authenticated_words, .hint = "exempt or enforce",
	    .preset = AUTH_EXEMPT, .preset_text = "exempt" },
	[KEY_VERIFIES] = { .name = "verifies", .sections = IN(LISTENER),
	    .type = TYPE_BOOL, .hint = "yes or no",
	    .preset = 0, .preset_text = "no" },
	[KEY_CERTIFICATE] = { .name = "certificate", .sections = IN_BASE,
	    .type = TYPE_REF, .ref = SEC_CERTIFICATE,
	    .hint = "the NAME of a [certificate NAME] section" },
	[KEY_CA] = { .name = "ca", .sections = IN_RULES,
	    .type = TYPE_REF, .ref = SEC_CA, .hint = "the NAME of a [ca NAME] section" },
	[KEY_CERT_NAMES] = { .name = "cert_names", .sections = IN_SENDERS,
	    .type = TYPE_NAMES,
	    .hint = "domain names with commas between them; .x is anything below x, *.x one label below" },
	[KEY_FINGERPRINTS] = { .name = "fingerprints", .sections = IN_SENDERS,
	    .type = TYPE_PINS,
	    .hint = "SHA256: or SPKI-SHA256: and 64 hexadecimal digits, with commas between them" },
	[KEY_CERTS] = { .name = "certs", .sections = IN_SENDERS,
	    .type = TYPE_PATH, .hint = "the absolute path of a PEM file" },
	[KEY_MATCH_CN] = { .name = "match_cn", .sections = IN_SENDERS,
	    .type = TYPE_BOOL, .hint = "yes or no",
	    .preset = 0, .preset_text = "no" },
	[KEY_STATE_DIR] = { .name = "state_dir", .sections = IN(SERVER),
	    .type = TYPE_PATH, .hint = "the absolute path of a folder",
	    .preset_text = "/var/lib/tlsward" },
	[KEY_FILE] = { .name = "file", .sections = IN(CERTIFICATE) | IN(CA),
	    .type = TYPE_PATH, .hint = "the absolute path of a PEM file" },
	[KEY_KEY] = { .name = "key", .sections = IN(CERTIFICATE),
	    .type = TYPE_PATH, .hint = "the absolute path of a PEM file" },
	[KEY_NAMES] = { .name = "names", .sections = IN(CERTIFICATE),
	    .type = TYPE_NAMES, .hint = "domain names with commas between them" },
	[KEY_CRL] = { .name = "crl", .sections = IN(CA),
	    .type = TYPE_PATH, .hint = "the absolute path of a PEM file" },
	[KEY_PURPOSE] = { .name = "purpose", .sections = IN(CA),
	    .type = TYPE_WORD, .words = purpose_words, .hint = "any or client",
	    .preset = PURPOSE_ANY, .preset_text = "any" },
	[KEY_AGENTX] = { .name = "agentx", .sections = IN(AGENT),
	    .type = TYPE_PATH, .hint = "the absolute path of snmpd's AgentX socket, or tcp:HOST:PORT",
	    .preset_text = "/var/agentx/master" },
	[KEY_EXPIRY_DAYS] = { .name = "expiry_days", .sections = IN(AGENT),
	    .type = TYPE_NUMBERS, .lo = 1, .hi = 3650,
	    .hint = "numbers of days from 1 to 3650 with commas between them",
	    .preset_text = "30, 14, 7, 1" },
	[KEY_NOTIFY] = { .name = "notify", .sections = IN(AGENT),
	    .type = TYPE_BOOL, .hint = "yes or no",
	    .preset = 1, .preset_text = "yes" },
	[KEY_PROBE_INTERVAL] = { .name = "probe_interval", .sections = IN(AGENT),
	    .type = TYPE_NUMBER, .lo = 0, .hi = UINT16_MAX,
	    .hint = "a number of seconds from 0 (never) to 65535",
	    .preset = 3600, .preset_text = "3600" },
	[KEY_NOTIFY_RATE] = { .name = "notify_rate", .sections = IN(AGENT),
	    .type = TYPE_NUMBER, .lo = 1, .hi = UINT16_MAX,
	    .hint = "a number of notifications a minute from 1 to 65535",
	    .preset = 60, .preset_text = "60" },
	[KEY_REFUSAL_RATE] = { .name = "refusal_rate", .sections = IN(AGENT),
	    .type = TYPE_NUMBER, .lo = 0, .hi = UINT16_MAX,
	    .hint = "a number of refusals a minute from 0 (any) to 65535",
	    .preset = 100, .preset_text = "100" },
	[KEY_NOTIFY_EXCEPT] = { .name = "notify_except", .sections = IN(AGENT),
	    .type = TYPE_WORDS, .words = notify_words,
	    .hint = "mode-changed, settings-rejected, settings-accepted, certificate-expiring, "
	    "certificate-expired, certificate-renewed, certificate-unusable, certificate-not-shown, "
	    "listener-not-verifying, listener-fault, listener-fine or refusals-high, with commas "
	    "between them" },
};

enum key
key_find(const char *name)
{
	enum key k;

	for (k = 0; k < KEY_MAX; k++)
		if (key_table[k].name[0] == name[0] && strcmp(key_table[k].name, name) == 0)
			break;
	return k;
}

bool
key_allowed(enum key k, enum section s)
{
	return k < KEY_MAX && s < SEC_MAX && (key_table[k].sections >> s & 1) != 0;
}

enum section
section_find(const char *word, size_t len)
{
	enum section s;

	for (s = 0; s < SEC_MAX; s++)
		if (len > 0 && section_words[s][0] == word[0] &&
		    strlen(section_words[s]) == len && memcmp(section_words[s], word, len) == 0)
			break;
	return s;
}

bool
section_named(enum section s)
{
	return s < SEC_MAX && s != SEC_SERVER && s != SEC_AGENT;
}

static const char *
plain_normal(const char *name, size_t len, char *out)
{
	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'))
			return c == '"' || c == '\'' ? "has quotes: leave them away" :
			    "may only have letters, digits, '.', '_' and '-'";
	}
	if (len > PLAIN_MAX)
		return "is longer than 64 characters";
	memcpy(out, name, len);
	out[len] = '\0';
	return NULL;
}

/* What a listener's name that is none most likely lacks. */
static const char *
listener_wrong(const char *name, size_t len)
{
	const char *colon = memrchr(name, ':', len);
	size_t host = colon != NULL ? (size_t)(colon - name) : len;
	struct addr a;
	bool ip = addr_ip(name, len, &a);

	/* 2001:db8::1:25 is an address as it stands, but hardly what was meant */
	if (name[0] != '[' && memchr(name, ':', host) != NULL && (ip || addr_ip(name, host, &a)))
		return "has no brackets around the address: [ADDRESS]:PORT, such as "
		    "[2001:db8::7]:25";
	if (ip)
		return "has no port: a listener is such as 198.51.100.7:25, "
		    "[2001:db8::7]:25 or *:25";
	if (colon == NULL)
		return "is no listener such as 198.51.100.7:25, [2001:db8::7]:25 or *:25";
	if ((host == 1 && *name == '*') || addr_ip(name, host, &a))
		return "has a port that is no number from 1 to 65535";
	return "is no listener such as 198.51.100.7:25, [2001:db8::7]:25 or *:25: "
	    "an address, not a name";
}

/* Likewise of a network; text, of NAME_SIZE - 1, may be what is returned. */
static const char *
network_wrong(const char *name, size_t len, char *text)
{
	const char *slash = memchr(name, '/', len);
	size_t host = slash != NULL ? (size_t)(slash - name) : len, i;
	unsigned prefix = 0, most;
	char network[ADDR_TEXT];
	struct addr a;

	if (!addr_ip(name, host, &a) || slash == NULL)
		return "is no network such as 203.0.113.0/24 or 2001:db8::/32: "
		    "addresses, not a name";
	most = memchr(name, ':', host) != NULL ? 128 : 32;
	for (i = host + 1; i < len && name[i] >= '0' && name[i] <= '9' && prefix <= most; i++)
		prefix = prefix * 10 + (unsigned)(name[i] - '0');
	if (i < len || host + 1 == len || prefix > most || (name[host + 1] == '0' && len > host + 2))
		return most == 32 ? "has a prefix that is no number from 0 to 32" :
		    "has a prefix that is no number from 0 to 128";
	if (a.family == ADDR_IPV4 && most == 128)
		return "has bits after the prefix that are not 0";
	for (size_t bit = prefix; bit < most; bit++)
		a.ip[bit / 8] &= (unsigned char)~(0x80 >> bit % 8);
	a.prefix = (unsigned char)prefix;
	(void)snprintf(text, NAME_SIZE - 1, "has bits after the prefix: write %s",
	    addr_format_network(&a, network));
	return text;
}

static const char *
domain_normal(const char *name, size_t len, char *out)
{
	const char *wrong = name_normal(name, len, true, out);

	if (wrong == NULL)
		return NULL;
	if (memchr(name, '"', len) != NULL || memchr(name, '\'', len) != NULL)
		return "has quotes: leave them away";
	if (len > 1 && name[0] == '*' && name[1] == '.')
		return "has a *: a dot in front, as in .example.org, stands for all names below";
	if (memchr(name, '@', len) != NULL)
		return "is an address: only the domain, what is behind the @";
	return wrong;
}

const char *
section_name_normal(enum section s, const char *name, size_t len, char *out,
    size_t outsize)
{
	struct addr a;

	if (s >= SEC_MAX || outsize < NAME_SIZE)
		return "is of no section";
	out[0] = '\0';
	if (!section_named(s))
		return len == 0 ? NULL : "is too much: the section takes no name";
	if (len == 0)
		return "is missing";
	switch (s) {
	case SEC_LISTENER:
		if (!addr_listener(name, len, &a))
			return listener_wrong(name, len);
		(void)addr_format_listener(&a, out);
		return NULL;
	case SEC_CLIENT:
		if (!addr_network(name, len, &a))
			return network_wrong(name, len, out + 1);
		(void)addr_format_network(&a, out);
		return NULL;
	case SEC_DOMAIN:
	case SEC_PEER:
		return domain_normal(name, len, out);
	default:
		return plain_normal(name, len, out);
	}
}

static bool
word_value(const char *const *words, const char *text, uint32_t *value)
{
	for (uint32_t i = 0; words[i] != NULL; i++)
		if (words[i][0] == text[0] && strcmp(words[i], text) == 0) {
			*value = i;
			return true;
		}
	return false;
}

static bool
number_value(const struct key_info *k, const char *text, uint32_t *value)
{
	size_t len = strlen(text);
	uint64_t n = 0;

	if (len == 0 || len > 10)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(text[i] - '0');
	}
	if (n < k->lo || n > k->hi)
		return false;
	*value = (uint32_t)n;
	return true;
}

bool
key_scalar(enum key k, const char *text, uint32_t *value)
{
	if (k >= KEY_MAX)
		return false;
	switch (key_table[k].type) {
	case TYPE_WORD:
		return word_value(key_table[k].words, text, value);
	case TYPE_BOOL:
		return word_value(bool_words, text, value);
	case TYPE_TLS:
		if (!word_value(tls_words, text, value))
			return false;
		*value += TLS_1_0;
		return true;
	case TYPE_NUMBER:
		return number_value(&key_table[k], text, value);
	default:
		return false;
	}
}

static const char *
word_text(const char *const *words, uint32_t value)
{
	for (uint32_t i = 0; words[i] != NULL; i++)
		if (i == value)
			return words[i];
	return "?";
}

const char *
key_text(enum key k, uint32_t value, char buf[16])
{
	if (k >= KEY_MAX)
		return "?";
	switch (key_table[k].type) {
	case TYPE_WORD:
	case TYPE_WORDS:
		return word_text(key_table[k].words, value);
	case TYPE_BOOL:
		return word_text(bool_words, value);
	case TYPE_TLS:
		return word_text(tls_words, value - TLS_1_0);
	default:
		(void)snprintf(buf, 16, "%u", value);
		return buf;
	}
}

/* "TLSv1.2", "tls 1.2": the version in it. */
static const char *
near_version(const char *text, size_t len)
{
	size_t n;

	if (len < 3 || strncasecmp(text, "tls", 3) != 0)
		return NULL;
	for (const char *const *w = tls_words; *w != NULL; w++)
		if (len > (n = strlen(*w)) && len - n <= 5 && memcmp(text + len - n, *w, n) == 0)
			return *w;
	return NULL;
}

const char *
key_near(enum key k, const char *text, size_t len)
{
	const char *const *words;
	size_t n = 0;

	if (k < KEY_MAX && key_table[k].type == TYPE_TLS)
		return near_version(text, len);
	if (k >= KEY_MAX || (key_table[k].words == NULL && key_table[k].type != TYPE_BOOL))
		return NULL;
	words = key_table[k].words != NULL ? key_table[k].words : bool_words;
	while (words[n] != NULL)
		n++;
	if (len >= 2 && (text[0] == '"' || text[0] == '\'') && text[len - 1] == text[0]) {
		text++;
		len -= 2;
	}
	return nearest(text, len, words, n);
}
