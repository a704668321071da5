/*
 * What a line of smtpd.conf comes to on this machine: the addresses that a
 * listener is bound to, the program that a filter's command runs.
 */
#include <sys/socket.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "cmd_smtpd_conf.h"

/* ---- addresses ---- */

static bool
put_address(const struct smtpd_listen *l, const struct sockaddr *sa, struct addr *out)
{
	char text[INET6_ADDRSTRLEN];
	const void *ip;

	if (sa == NULL || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6) ||
	    (l->family != 0 && (l->family == 4) != (sa->sa_family == AF_INET)))
		return false;
	if (sa->sa_family == AF_INET)
		ip = &((const struct sockaddr_in *)(const void *)sa)->sin_addr;
	else
		ip = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
	if (inet_ntop(sa->sa_family, ip, text, sizeof(text)) == NULL ||
	    !addr_ip(text, strlen(text), out))
		return false;
	out->port = l->port;
	return true;
}

static size_t
of_interface(const struct smtpd_listen *l, struct addr *out, size_t max)
{
	struct ifaddrs *all, *i;
	size_t n = 0;

	if (getifaddrs(&all) < 0)
		return 0;
	for (i = all; i != NULL && n < max; i = i->ifa_next)
		if (strcmp(i->ifa_name, l->on) == 0 && put_address(l, i->ifa_addr, &out[n]))
			n++;
	freeifaddrs(all);
	return n;
}

size_t
smtpd_addresses(const struct smtpd_listen *l, struct addr *out, size_t max)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *all, *i;
	size_t n;

	if (l->local || max == 0)
		return 0;
	if ((n = of_interface(l, out, max)) > 0)
		return n;
	hints.ai_family = l->family == 4 ? AF_INET : l->family == 6 ? AF_INET6 : AF_UNSPEC;
	if (getaddrinfo(l->on, NULL, &hints, &all) != 0)
		return 0;
	for (i = all; i != NULL && n < max; i = i->ai_next)
		if (put_address(l, i->ai_addr, &out[n]))
			n++;
	freeaddrinfo(all);
	return n;
}

/* ---- a filter's command, which smtpd gives to the shell ---- */

/* The next word of a command, without its quotes; false: there is none. */
static bool
shell_word(const char **at, char *out, size_t size)
{
	const char *p = *at + strspn(*at, " \t");
	size_t n = 0;
	char quote = 0;

	if (*p == '\0')
		return false;
	for (; *p != '\0' && (quote != 0 || (*p != ' ' && *p != '\t')); p++) {
		if (quote != 0 ? *p == quote : *p == '"' || *p == '\'') {
			quote = quote != 0 ? 0 : *p;
			continue;
		}
		if (*p == '\\' && quote != '\'' && p[1] != '\0')
			p++;
		if (n < size - 1)
			out[n++] = *p;
	}
	out[n] = '\0';
	*at = p;
	return true;
}

bool
smtpd_program(const char *command, char *program, size_t size)
{
	return shell_word(&command, program, size);
}

bool
smtpd_is_ours(const char *command, char *ini, size_t size)
{
	char arg[4096];
	const char *base;

	if (!shell_word(&command, arg, sizeof(arg)))
		return false;
	base = strrchr(arg, '/') != NULL ? strrchr(arg, '/') + 1 : arg;
	if (strcmp(base, "filter-tlsward") != 0)
		return false;
	snprintf(ini, size, "%s", TLSWARD_INI);
	while (shell_word(&command, arg, sizeof(arg))) {
		size_t c;

		if (arg[0] != '-')
			continue;
		c = 1 + strspn(arg + 1, "v");		/* -vc FILE */
		if (arg[c] != 'c')
			continue;
		if (arg[c + 1] != '\0')
			snprintf(ini, size, "%s", arg + c + 1);
		else if (shell_word(&command, arg, sizeof(arg)))
			snprintf(ini, size, "%s", arg);
	}
	return true;
}
