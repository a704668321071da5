/*
 * tlsward check --against FILE: does the server's own configuration let the
 * settings hold?
 *
 * An error is a difference that makes a rule ineffective; a warning is what is
 * doubtful, or what that server cannot do at all.
 */
#ifndef TLSWARD_AGENT_CMD_AGAINST_H
#define TLSWARD_AGENT_CMD_AGAINST_H

#include <stdbool.h>
#include <stddef.h>

#include "read.h"
#include "settings.h"

struct against {
	const struct settings *s;
	const char *ini;		/* as it was named */
	read_report *report;
	void *arg;
};

/*
 * Reports each difference between the settings and an smtpd.conf or the output
 * of `exim -bP`, whichever FILE is; "-" is standard input.  What cannot be
 * read or is neither is an error, too.
 */
void check_against(const struct against *, const char *file);

/* The two of it; name is what the findings call the file. */
void against_smtpd(const struct against *, const char *name, const char *text, size_t len);
void against_exim(const struct against *, const char *name, const char *text);

/* The INI's name as a server has to be told it: absolute.  Returns buf (PATH_MAX octets). */
const char *ini_path(const struct against *, char *buf);
/* The rules of peers, domains and networks, which no one listen line keeps. */
struct smtpd_conf;
void against_smtpd_rules(const struct against *, const struct smtpd_conf *, const char *name,
    bool verifies);

void differs(const struct against *, enum severity, const char *file, unsigned line,
    const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same two names for one file? */
bool same_file(const char *, const char *);

#endif
