#include <string.h>

#include "name.h"
#include "settings.h"
#include "value.h"

#define DIGEST_SIZE 32

static bool
blank(char c)
{
	return c == ' ' || c == '\t';
}

bool
value_split(const char **rest, const char **item, size_t *len)
{
	const char *p = *rest, *comma;

	while (blank(*p))
		p++;
	if (*p == '\0')
		return false;
	comma = strchrnul(p, ',');
	*item = p;
	*len = (size_t)(comma - p);
	while (*len > 0 && blank(p[*len - 1]))
		(*len)--;
	*rest = *comma == ',' ? comma + 1 : comma;
	return true;
}

/* "x", ".x" or "*.x"; RFC 9525 6.3 knows no other wildcard. */
static size_t
name_item(const char *text, size_t len, char *out, const char **why)
{
	size_t star = len > 2 && text[0] == '*' && text[1] == '.' ? 1 : 0;

	*why = name_normal(text + star, len - star, true, out + star);
	if (star)
		out[0] = '*';
	return *why == NULL ? strlen(out) + 1 : 0;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Digits in pairs, a colon between two pairs or none. */
static const char *
digest(const char *text, size_t len, unsigned char out[DIGEST_SIZE])
{
	size_t n = 0, i = 0;
	int hi, lo;

	while (i < len) {
		if (n > 0 && text[i] == ':')
			i++;
		if (i + 1 >= len || (hi = hex_digit(text[i])) < 0 ||
		    (lo = hex_digit(text[i + 1])) < 0)
			return "is not all pairs of hexadecimal digits";
		if (n == DIGEST_SIZE)
			return "has more than 64 hexadecimal digits";
		out[n++] = (unsigned char)(hi << 4 | lo);
		i += 2;
	}
	return n == DIGEST_SIZE ? NULL : "has fewer than 64 hexadecimal digits";
}

static size_t
pin_item(const char *text, size_t len, unsigned char *out, const char **why)
{
	static const char cert[] = "SHA256:", spki[] = "SPKI-SHA256:";
	size_t skip;

	if (len >= sizeof(cert) - 1 && strncasecmp(text, cert, sizeof(cert) - 1) == 0) {
		out[0] = PIN_CERT;
		skip = sizeof(cert) - 1;
	} else if (len >= sizeof(spki) - 1 && strncasecmp(text, spki, sizeof(spki) - 1) == 0) {
		out[0] = PIN_SPKI;
		skip = sizeof(spki) - 1;
	} else {
		*why = "has neither SHA256: nor SPKI-SHA256: before it";
		return 0;
	}
	*why = digest(text + skip, len - skip, out + 1);
	return *why == NULL ? 1 + DIGEST_SIZE : 0;
}

static size_t
number_item(enum key k, const char *text, size_t len, unsigned char *out, const char **why)
{
	uint32_t n = 0;

	*why = "is no number in that range";
	if (len == 0 || len > 9)
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		n = n * 10 + (uint32_t)(text[i] - '0');
	}
	if (n < key_table[k].lo || n > key_table[k].hi)
		return 0;
	*why = NULL;
	memcpy(out, &n, sizeof(n));
	return sizeof(n);
}

static size_t
word_item(enum key k, const char *text, size_t len, unsigned char *out, const char **why)
{
	const char *const *words = key_table[k].words;

	*why = "is unknown";
	for (uint32_t i = 0; words[i] != NULL; i++)
		if (strlen(words[i]) == len && memcmp(words[i], text, len) == 0) {
			*why = NULL;
			memcpy(out, &i, sizeof(i));
			return sizeof(i);
		}
	return 0;
}

size_t
value_item(enum key k, const char *text, size_t len, unsigned char out[ITEM_SIZE],
    const char **why)
{
	_Static_assert(ITEM_SIZE > NAME_SIZE, "a star before the longest name");

	if (len == 0) {
		*why = "is empty";
		return 0;
	}
	switch (key_table[k].type) {
	case TYPE_NAMES:
		return name_item(text, len, (char *)out, why);
	case TYPE_PINS:
		return pin_item(text, len, out, why);
	case TYPE_NUMBERS:
		return number_item(k, text, len, out, why);
	case TYPE_WORDS:
		return word_item(k, text, len, out, why);
	default:
		*why = "is no item of a list";
		return 0;
	}
}

/* snmpd by TCP, as the Net-SNMP library has it: "tcp:HOST:PORT", "tcp6:[ADDRESS]:PORT". */
static bool
tcp_address(const char *text)
{
	const char *host = strchr(text, ':') + 1, *port = strrchr(text, ':') + 1;
	unsigned n = 0;

	if (port - host < 2 || *port == '\0' || strlen(port) > 5)
		return false;
	for (const char *p = host; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return false;
	for (; *port >= '0' && *port <= '9'; port++)
		n = n * 10 + (unsigned)(*port - '0');
	return *port == '\0' && n > 0 && n <= UINT16_MAX;
}

const char *
value_text(enum key k, const char *text, char *out, size_t outsize)
{
	size_t len = strlen(text);

	if (key_table[k].type == TYPE_REF)
		return section_name_normal(key_table[k].ref, text, len, out, outsize);
	if (k == KEY_AGENTX && (strncmp(text, "tcp:", 4) == 0 || strncmp(text, "tcp6:", 5) == 0)) {
		if (!tcp_address(text))
			return "has no HOST:PORT behind tcp:";
	} else if (text[k == KEY_AGENTX && strncmp(text, "unix:", 5) == 0 ? 5 : 0] != '/')
		return "is no absolute path";
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return "has a control character";
	if (len >= outsize)
		return "is too long";
	memcpy(out, text, len + 1);
	return NULL;
}
