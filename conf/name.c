#include <stdint.h>
#include <string.h>

#include <idn2.h>

#include "name.h"

#define LABEL_MAX 63		/* RFC 1035 2.3.4 */
#define UNICODE_MAX 1024	/* more octets than the U-labels of any legal name take */

/* Letters, digits and hyphens, and the underscore that real MX names have. */
static bool
label_octet(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	    c == '_';
}

static char
lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static const char *
label_check(const char *label, size_t len)
{
	if (len == 0)
		return "has an empty label (two dots in a row, or one too many at an end)";
	if (len > LABEL_MAX)
		return "has a label longer than 63 octets";
	if (label[0] == '-' || label[len - 1] == '-')
		return "has a label that starts or ends with a hyphen";
	for (size_t i = 0; i < len; i++)
		if (!label_octet(label[i]))
			return "has a character that no domain name has";
	return NULL;
}

static bool
all_digits(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return true;
}

/*
 * Lower-cases and checks an ASCII name without leading or final dot; out takes
 * len + 1 octets.  A last label of digits only is refused: no top-level domain
 * is one (RFC 3696 2), so it is an address put where a name belongs.
 */
static const char *
ascii_normal(const char *in, size_t len, char *out)
{
	const char *wrong;
	size_t start = 0;

	if (len > NAME_MAX_LEN)
		return "is longer than 253 octets";
	for (size_t i = 0; i < len; i++)
		out[i] = lower(in[i]);
	out[len] = '\0';
	for (size_t i = 0; i <= len; i++) {
		if (i < len && out[i] != '.')
			continue;
		if ((wrong = label_check(out + start, i - start)) != NULL)
			return wrong;
		if (i == len && all_digits(out + start, i - start))
			return "ends in a number, as an IP address does";
		start = i + 1;
	}
	return NULL;
}

static bool
is_ascii(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] >= 0x80)
			return false;
	return true;
}

static size_t
without_final_dot(const char *s, size_t len)
{
	return len > 0 && s[len - 1] == '.' ? len - 1 : len;
}

/*
 * U-labels to A-labels, mapped as UTS 46 has it (case, full-width dots),
 * non-transitionally: RFC 5891's own view of the four deviating characters.
 */
static const char *
unicode_normal(const char *in, size_t len, char *out)
{
	uint8_t text[UNICODE_MAX + 1], *ascii = NULL;
	const char *wrong;
	int rc;

	if (len > UNICODE_MAX)
		return "is longer than 253 octets";
	memcpy(text, in, len);
	text[len] = '\0';
	rc = idn2_lookup_u8(text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	switch (rc) {
	case IDN2_OK:
		len = strlen((const char *)ascii);
		len = without_final_dot((const char *)ascii, len);
		wrong = ascii_normal((const char *)ascii, len, out);
		idn2_free(ascii);
		return wrong;
	case IDN2_MALLOC:
		return "cannot be converted: out of memory";
	case IDN2_ENCODING_ERROR:
	case IDN2_ICONV_FAIL:
		return "is not UTF-8";
	case IDN2_TOO_BIG_DOMAIN:
		return "is longer than 253 octets";
	case IDN2_TOO_BIG_LABEL:
		return "has a label longer than 63 octets";
	default:
		return "is no internationalized domain name (IDNA 2008)";
	}
}

/* The octet of a kept name that each octet stands for; 0: none, or a dot. */
static const char kept[256] = {
	['-'] = '-', ['_'] = '_',
	['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5',
	['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9',
#define BOTH(upper, lower) [upper] = lower, [lower] = lower
	BOTH('A', 'a'), BOTH('B', 'b'), BOTH('C', 'c'), BOTH('D', 'd'), BOTH('E', 'e'),
	BOTH('F', 'f'), BOTH('G', 'g'), BOTH('H', 'h'), BOTH('I', 'i'), BOTH('J', 'j'),
	BOTH('K', 'k'), BOTH('L', 'l'), BOTH('M', 'm'), BOTH('N', 'n'), BOTH('O', 'o'),
	BOTH('P', 'p'), BOTH('Q', 'q'), BOTH('R', 'r'), BOTH('S', 's'), BOTH('T', 't'),
	BOTH('U', 'u'), BOTH('V', 'v'), BOTH('W', 'w'), BOTH('X', 'x'), BOTH('Y', 'y'),
	BOTH('Z', 'z')
#undef BOTH
};

/*
 * Most names are plain and right, and one look at each octet shows it: then
 * true, and out is as ascii_normal would have made it.  False says nothing.
 */
static bool
plain_normal(const char *in, size_t len, char *out)
{
	bool letter = false;
	size_t label = 0, i;
	char c;

	if (len > NAME_MAX_LEN)
		return false;
	for (i = 0; i < len; i++) {
		c = kept[(unsigned char)in[i]];
		if (c != '\0') {
			out[i] = c;
			letter |= c > '9';
			label++;
			continue;
		}
		if (in[i] != '.' || label - 1 >= LABEL_MAX || out[i - 1] == '-' ||
		    out[i - label] == '-')
			return false;
		out[i] = '.';
		letter = false;
		label = 0;
	}
	out[i] = '\0';
	return letter && label - 1 < LABEL_MAX && out[i - 1] != '-' && out[i - label] != '-';
}

const char *
name_normal(const char *in, size_t len, bool suffix, char out[NAME_SIZE])
{
	const char *wrong;
	char *p = out;

	out[0] = '\0';
	if (len == 0)
		return "is empty";
	if (memchr(in, '\0', len) != NULL)
		return "contains a NUL";
	if (in[0] == '.') {
		if (!suffix)
			return "starts with a dot";
		*p++ = '.';
		in++;
		len--;
	}
	if (plain_normal(in, len, p))
		wrong = NULL;
	else if (is_ascii(in, len))
		wrong = ascii_normal(in, without_final_dot(in, len), p);
	else
		wrong = unicode_normal(in, len, p);
	if (wrong != NULL)
		out[0] = '\0';
	return wrong;
}

/* What is legal at the end of a malformed name, behind a label that no rule has. */
static bool
legal_end(const char *in, size_t len, char out[NAME_SIZE])
{
	const char *end = in + len, *dot = end;
	char name[NAME_SIZE];
	size_t n = 0;

	if (len > 0 && end[-1] == '.')
		dot--;
	while ((dot = memrchr(in, '.', (size_t)(dot - in))) != NULL &&
	    name_normal(dot + 1, (size_t)(end - dot - 1), false, name) == NULL &&
	    (n = strlen(name)) + sizeof("-.") <= NAME_SIZE)
		memcpy(mempcpy(out, "-.", 2), name, n + 1);
	return out[0] != '\0';
}

bool
name_of_address(const char *addr, size_t len, char out[NAME_SIZE])
{
	const char *at;

	out[0] = '\0';
	if (len >= 2 && addr[0] == '<' && addr[len - 1] == '>') {
		addr++;
		len -= 2;
	}
	if (len == 0 || (at = memrchr(addr, '@', len)) == NULL)
		return false;
	at++;
	len = (size_t)(addr + len - at);
	return name_normal(at, len, false, out) == NULL || legal_end(at, len, out);
}

/* Is name below parent, by any number of labels; or by exactly one? */
static bool
below(const char *name, const char *parent, bool one)
{
	size_t nlen = strlen(name), plen = strlen(parent);
	const char *dot;

	if (plen == 0 || nlen < plen + 2)
		return false;
	dot = name + nlen - plen - 1;
	if (*dot != '.' || strcmp(dot + 1, parent) != 0)
		return false;
	return !one || strchr(name, '.') == dot;
}

bool
name_covers(const char *presented, size_t len, const char *want)
{
	char name[NAME_SIZE];
	bool wild = len >= 2 && presented[0] == '*' && presented[1] == '.';

	if (wild) {
		presented += 2;
		len -= 2;
	}
	if (len == 0 || len > NAME_MAX_LEN || ascii_normal(presented, len, name) != NULL)
		return false;
	/* From here on a wildcard stands for every name one label below `name`. */
	if (want[0] == '.')
		return below(name, want + 1, false) ||
		    (wild && strcmp(name, want + 1) == 0);
	if (want[0] == '*' && want[1] == '.')
		return wild ? strcmp(name, want + 2) == 0 : below(name, want + 2, true);
	return wild ? below(want, name, true) : strcmp(name, want) == 0;
}
