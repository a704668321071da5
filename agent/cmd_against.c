#include <sys/stat.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_against.h"
#include "cmd_smtpd_lex.h"

void
differs(const struct against *a, enum severity severity, const char *file, unsigned line,
    const char *format, ...)
{
	static struct {
		char file[PATH_MAX], text[2048];
		unsigned line;
	} last;
	char text[2048];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	/* what two listeners share is one mistake */
	if (line != 0 && line == last.line && strcmp(text, last.text) == 0 &&
	    strcmp(file, last.file) == 0)
		return;
	last.line = line;
	snprintf(last.text, sizeof(last.text), "%s", text);
	snprintf(last.file, sizeof(last.file), "%s", file);
	a->report(a->arg, severity, file, line, text);
}

const char *
ini_path(const struct against *a, char *buf)
{
	if (a->ini[0] == '/' || realpath(a->ini, buf) == NULL)
		snprintf(buf, PATH_MAX, "%s", a->ini);
	return buf;
}

bool
same_file(const char *one, const char *other)
{
	struct stat a, b;

	if (strcmp(one, other) == 0)
		return true;
	return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
	    a.st_ino == b.st_ino;
}

/* ---- which of the two ---- */

enum kind { KIND_UNKNOWN, KIND_SMTPD, KIND_EXIM, KIND_EXIM_CONF };

static bool
begins(const char *line, const char *word, const char *after)
{
	size_t n = strlen(word);

	return strncmp(line, word, n) == 0 && line[n] != '\0' && strchr(after, line[n]) != NULL;
}

/*
 * `exim -bP` prints each main option once as "name = value", and among them
 * always acl_smtp_rcpt; Exim's own file has sections and conditionals as well.
 */
static enum kind
kind_of(const char *text)
{
	static const char *const smtpd[] = {
		"listen", "match", "action", "pki", "filter", "include", "table"
	};
	static const char *const exim[] = { "begin", ".include", ".ifdef", ".ifndef" };
	enum kind kind = KIND_UNKNOWN;
	size_t i;

	for (; *text != '\0'; text += strcspn(text, "\n"), text += *text == '\n') {
		for (i = 0; i < sizeof(exim) / sizeof(exim[0]); i++)
			if (begins(text, exim[i], " \t"))
				return KIND_EXIM_CONF;
		if (begins(text, "acl_smtp_rcpt", " =") || begins(text, "tls_advertise_hosts", " ="))
			kind = KIND_EXIM;
		for (i = 0; i < sizeof(smtpd) / sizeof(smtpd[0]); i++)
			if (kind == KIND_UNKNOWN && begins(text, smtpd[i], " \t\""))
				kind = KIND_SMTPD;
	}
	return kind;
}

void
check_against(const struct against *a, const char *file)
{
	const char *name = strcmp(file, "-") == 0 ? "<stdin>" : file;
	size_t len;
	char *text = read_whole(file, &len);

	if (text == NULL) {
		differs(a, SEV_ERROR, name, 0, "cannot be read: %s; it is "
		    "the server's own configuration, such as /etc/smtpd.conf", strerror(errno));
		return;
	}
	if (text[strspn(text, " \t\r\n")] == '\0') {
		differs(a, SEV_ERROR, name, 0, "is empty%s", strcmp(file, "-") == 0 ?
		    ": see what `exim -bP`, or the command before the |, says by itself" : "");
		free(text);
		return;
	}
	switch (kind_of(text)) {
	case KIND_SMTPD:
		against_smtpd(a, name, text, len);
		break;
	case KIND_EXIM:
		against_exim(a, name, text);
		break;
	case KIND_EXIM_CONF:
		differs(a, SEV_ERROR, name, 0, "is Exim's configuration as it is written; what "
		    "Exim makes of it is compared: exim -bP | tlsward check --against -");
		break;
	case KIND_UNKNOWN:
		differs(a, SEV_ERROR, name, 0, "is neither an smtpd.conf (no listen, match or "
		    "filter in it) nor what `exim -bP` prints");
		break;
	}
	free(text);
}
