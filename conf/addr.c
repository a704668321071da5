#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"

static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

static bool
fail(struct addr *out)
{
	memset(out, 0, sizeof(*out));
	return false;
}

/* Digits only, no leading zero: "25" and nothing that merely reads as 25. */
static bool
number(const char *text, size_t len, unsigned max, unsigned *out)
{
	unsigned n = 0;

	if (len == 0 || len > 5 || (len > 1 && text[0] == '0'))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		n = n * 10 + (unsigned)(text[i] - '0');
	}
	*out = n;
	return n <= max;
}

/* Four numbers, as inet_pton(3) has it, which for so little is a page of code far away. */
static bool
parse_v4(const char *text, size_t len, unsigned char ip[4])
{
	const char *end = text + len, *dot;
	unsigned n;

	for (int i = 0;; text = dot + 1) {
		dot = i < 3 ? memchr(text, '.', (size_t)(end - text)) : end;
		if (dot == NULL || !number(text, (size_t)(dot - text), 255, &n))
			return false;
		ip[i++] = (unsigned char)n;
		if (i == 4)
			return true;
	}
}

/* An address as it is written, not yet unmapped; brackets are taken off. */
static bool
parse(const char *text, size_t len, struct addr *out)
{
	char buf[INET6_ADDRSTRLEN];

	memset(out, 0, sizeof(*out));
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len == 0 || len >= sizeof(buf))
		return false;
	if (parse_v4(text, len, out->ip)) {
		out->family = ADDR_IPV4;
		out->prefix = 32;
		return true;
	}
	for (size_t i = 0; i < len; i++)
		if ((buf[i] = text[i]) == '\0')
			return fail(out);
	buf[len] = '\0';
	if (inet_pton(AF_INET6, buf, out->ip) == 1) {
		out->family = ADDR_IPV6;
		out->prefix = 128;
	} else
		return fail(out);
	return true;
}

/* RFC 4291 2.5.5.2; a network only where its prefix reaches into the IPv4 part. */
static void
unmap(struct addr *a)
{
	if (a->family != ADDR_IPV6 || a->prefix < 96 ||
	    memcmp(a->ip, mapped, sizeof(mapped)) != 0)
		return;
	memmove(a->ip, a->ip + 12, 4);
	memset(a->ip + 4, 0, 12);
	a->family = ADDR_IPV4;
	a->prefix = (uint8_t)(a->prefix - 96);
}

bool
addr_ip(const char *text, size_t len, struct addr *out)
{
	if (!parse(text, len, out))
		return false;
	unmap(out);
	return true;
}

/* HOST:PORT, where an IPv6 HOST has brackets, as its colons need. */
static bool
host_port(const char *text, size_t len, unsigned least, struct addr *out)
{
	const char *colon = len > 0 ? memrchr(text, ':', len) : NULL;
	size_t host;
	unsigned port;

	if (colon == NULL)
		return fail(out);
	host = (size_t)(colon - text);
	if (!number(colon + 1, len - host - 1, UINT16_MAX, &port) || port < least)
		return fail(out);
	if (host == 0 || (text[0] != '[' && memchr(text, ':', host) != NULL))
		return fail(out);
	if (!addr_ip(text, host, out))
		return false;
	out->port = (uint16_t)port;
	return true;
}

bool
addr_listener(const char *text, size_t len, struct addr *out)
{
	unsigned port;

	if (len > 2 && text[0] == '*' && text[1] == ':') {
		if (!number(text + 2, len - 2, UINT16_MAX, &port) || port == 0)
			return fail(out);
		memset(out, 0, sizeof(*out));
		out->family = ADDR_ANY;
		out->port = (uint16_t)port;
		return true;
	}
	return host_port(text, len, 1, out);
}

static bool
host_bits_clear(const struct addr *a)
{
	size_t size = a->family == ADDR_IPV4 ? 4 : 16;

	for (size_t bit = a->prefix; bit < size * 8; bit++)
		if (a->ip[bit / 8] & (0x80 >> bit % 8))
			return false;
	return true;
}

bool
addr_network(const char *text, size_t len, struct addr *out)
{
	const char *slash = len > 0 ? memchr(text, '/', len) : NULL;
	size_t host = slash == NULL ? len : (size_t)(slash - text);
	unsigned prefix;

	if (!parse(text, host, out))
		return false;
	if (slash != NULL) {
		if (!number(slash + 1, len - host - 1, out->prefix, &prefix))
			return fail(out);
		out->prefix = (uint8_t)prefix;
	}
	if (!host_bits_clear(out))
		return fail(out);
	unmap(out);
	return true;
}

bool
addr_socket(const char *text, size_t len, struct addr *out)
{
	char buf[ADDR_TEXT];
	const char *zone, *close;
	size_t head, tail;

	if (len >= 5 && memcmp(text, "unix:", 5) == 0) {
		memset(out, 0, sizeof(*out));
		out->family = ADDR_LOCAL;
		return true;
	}
	/* [fe80::1%eth0]:25: rules know no zones (RFC 4007 11) */
	if (len > 0 && text[0] == '[' && (zone = memchr(text, '%', len)) != NULL) {
		head = (size_t)(zone - text);
		close = memchr(zone, ']', len - head);
		if (close == NULL)
			return fail(out);
		tail = len - (size_t)(close - text);
		if (head + tail > sizeof(buf))
			return fail(out);
		for (size_t i = 0; i < head + tail; i++)
			buf[i] = i < head ? text[i] : close[i - head];
		return host_port(buf, head + tail, 0, out);
	}
	return host_port(text, len, 0, out);
}

bool
addr_within(const struct addr *ip, const struct addr *network)
{
	size_t whole = network->prefix / 8;
	unsigned rest = network->prefix % 8;

	if (ip->family != network->family || ip->prefix < network->prefix ||
	    (ip->family != ADDR_IPV4 && ip->family != ADDR_IPV6) ||
	    network->prefix > (ip->family == ADDR_IPV4 ? 32 : 128))
		return false;
	if (memcmp(ip->ip, network->ip, whole) != 0)
		return false;
	return rest == 0 ||
	    ((ip->ip[whole] ^ network->ip[whole]) & (0xff00 >> rest & 0xff)) == 0;
}

static int
order(unsigned a, unsigned b)
{
	return a < b ? -1 : a > b;
}

int
addr_cmp(const struct addr *a, const struct addr *b)
{
	int c;

	if ((c = order(a->family, b->family)) != 0)
		return c;
	if ((c = memcmp(a->ip, b->ip, sizeof(a->ip))) != 0)
		return c < 0 ? -1 : 1;
	if ((c = order(a->prefix, b->prefix)) != 0)
		return c;
	return order(a->port, b->port);
}

/* The last digits of text end before `end`; where they begin. */
static char *
digits(unsigned n, char *end)
{
	do {
		*--end = (char)('0' + n % 10);
	} while ((n /= 10) > 0);
	return end;
}

/*
 * "a.b.c.d", and ":port" where there is one to be written: they stand in the log line
 * of each refusal, and inet_ntop(3) is a printf(3).
 */
static void
ipv4(const struct addr *a, bool port, char buf[ADDR_TEXT])
{
	char text[sizeof("255.255.255.255:65535")], *end = text + sizeof(text), *p = end;

	*--p = '\0';
	if (port) {
		p = digits(a->port, p);
		*--p = ':';
	}
	for (int i = 4; i-- > 0;) {
		p = digits(a->ip[i], p);
		if (i > 0)
			*--p = '.';
	}
	memcpy(buf, p, (size_t)(end - p));
}

const char *
addr_format_ip(const struct addr *a, char buf[ADDR_TEXT])
{
	const char *fixed = "unknown";

	switch (a->family) {
	case ADDR_IPV4:
		ipv4(a, false, buf);
		return buf;
	case ADDR_IPV6:
		if (inet_ntop(AF_INET6, a->ip, buf, ADDR_TEXT) != NULL)
			return buf;
		break;
	case ADDR_ANY:
		fixed = "*";
		break;
	case ADDR_LOCAL:
		fixed = "local";
		break;
	default:
		break;
	}
	(void)snprintf(buf, ADDR_TEXT, "%s", fixed);
	return buf;
}

const char *
addr_format_listener(const struct addr *a, char buf[ADDR_TEXT])
{
	char ip[ADDR_TEXT - 8];		/* room for "[]:65535" */

	if (a->family == ADDR_IPV6 && inet_ntop(AF_INET6, a->ip, ip, sizeof(ip)) != NULL)
		(void)snprintf(buf, ADDR_TEXT, "[%s]:%u", ip, a->port);
	else if (a->family == ADDR_IPV4)
		ipv4(a, true, buf);
	else if (a->family == ADDR_ANY)
		(void)snprintf(buf, ADDR_TEXT, "*:%u", a->port);
	else
		(void)addr_format_ip(a, buf);
	return buf;
}

const char *
addr_format_network(const struct addr *a, char buf[ADDR_TEXT])
{
	size_t used;

	(void)addr_format_ip(a, buf);
	if (a->family == ADDR_IPV4 || a->family == ADDR_IPV6) {
		used = strlen(buf);
		(void)snprintf(buf + used, ADDR_TEXT - used, "/%u", a->prefix);
	}
	return buf;
}
