/*
 * A module for Exim whose functions fail at will, for tests/srv_exim.sh: all
 * entry points of the real one, nothing behind them.
 *
 * The address that is asked about (the sender at MAIL, the recipient at RCPT)
 * says what happens: FUNCTION-STATUS-VERB@..., as in log-4-deny@x.example.
 * tlsward_mail and tlsward_rcpt answer VERB, tlsward_verb, tlsward_reply and
 * tlsward_log what suits it, but the one that is named ends with STATUS.  Any
 * other address is accepted.
 *
 * overrun-N-... reads what it may not, for tests/srv_valgrind.sh.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY(name) \
	int name(unsigned char **yield, int argc, unsigned char *argv[]); \
	int name(unsigned char **yield, int argc, unsigned char *argv[])
#define NOTHING(name) ENTRY(name) { (void)argc; (void)argv; return answer(yield, ""); }

static char failing[16], verb[16];
static int status;

static int
answer(unsigned char **yield, const char *text)
{
	*yield = (unsigned char *)text;
	return 0;
}

static int
part(const char *function, unsigned char **yield, const char *text)
{
	if (strcmp(failing, function) != 0)
		return answer(yield, text);
	*yield = (unsigned char *)"fails at will";
	return status;
}

static int
decide(const char *function, unsigned char **yield, const unsigned char *address)
{
	if (sscanf((const char *)address, "%15[a-z]-%d-%15[a-z]", failing, &status, verb) != 3)
		return answer(yield, "accept");
	if (strcmp(failing, "overrun") == 0) {
		const volatile char *freed = malloc(16);

		free((void *)freed);
		status = freed[1];
	}
	return part(function, yield, verb);
}

NOTHING(tlsward_advertise)
NOTHING(tlsward_ask)
NOTHING(tlsward_ca)
NOTHING(tlsward_certificate)
NOTHING(tlsward_crl)
NOTHING(tlsward_demand)
NOTHING(tlsward_element)
NOTHING(tlsward_preload)
NOTHING(tlsward_privatekey)

ENTRY(tlsward_mail)
{
	return argc < 5 ? 2 : decide("mail", yield, argv[4]);
}

ENTRY(tlsward_rcpt)
{
	return argc < 6 ? 2 : decide("rcpt", yield, argv[5]);
}

ENTRY(tlsward_verb)
{
	(void)argc;
	(void)argv;
	return part("verb", yield, verb);
}

ENTRY(tlsward_reply)
{
	(void)argc;
	(void)argv;
	return part("reply", yield, strcmp(verb, "deny") == 0 ? "554 5.7.1 no" : "451 4.3.5 later");
}

ENTRY(tlsward_log)
{
	(void)argc;
	(void)argv;
	return part("log", yield, "decision=refuse");
}
