/*
 * IP addresses, listeners ("198.51.100.7:25", "[2001:db8::7]:25", "*:25") and
 * client networks ("203.0.113.0/24").  IPv4-mapped IPv6 addresses (RFC 4291
 * 2.5.5.2) are kept as IPv4, so that a dual-stack socket meets the rules.
 * Text is made with inet_ntop(3), which is the RFC 5952 form.
 */
#ifndef TLSWARD_CONF_ADDR_H
#define TLSWARD_CONF_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum addr_family {
	ADDR_NONE = 0,		/* not known */
	ADDR_IPV4 = 4,
	ADDR_IPV6 = 6,
	ADDR_ANY = 1,		/* the "*" of a listener */
	ADDR_LOCAL = 2		/* a local socket or a command line, RFC 5321 does not apply */
};

struct addr {
	uint8_t family;		/* enum addr_family */
	uint8_t prefix;		/* bits of a network; 32 or 128 for an address */
	uint16_t port;		/* host order; 0 where there is none */
	uint8_t ip[16];		/* network order, IPv4 in the first four, the rest 0 */
};

#define ADDR_TEXT 64		/* holds any of the texts, with port or prefix */

/* Each takes len octets of text and is false (and *out ADDR_NONE) on an error. */
bool addr_ip(const char *text, size_t len, struct addr *out);	/* brackets allowed */
bool addr_listener(const char *text, size_t len, struct addr *out);
bool addr_network(const char *text, size_t len, struct addr *out); /* host bits must be 0 */

/* A socket name of smtpd's filter protocol: "a.b.c.d:port", "[a::b]:port", "unix:/path". */
bool addr_socket(const char *text, size_t len, struct addr *out);

bool addr_within(const struct addr *ip, const struct addr *network);
int addr_cmp(const struct addr *, const struct addr *);	/* family, ip, prefix, port */

/* The text as the INI has it; returns buf. */
const char *addr_format_listener(const struct addr *, char buf[ADDR_TEXT]);
const char *addr_format_network(const struct addr *, char buf[ADDR_TEXT]);
const char *addr_format_ip(const struct addr *, char buf[ADDR_TEXT]);	/* "local", "unknown" */

#endif
