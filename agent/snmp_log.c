#include <sys/stat.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "snmp_log.h"

#define LOG_SIZE 10240	/* a change of a list has the old one and the new one */

static const char *program = "tlsward-agent";
static int threshold = LOG_INFO;
static bool journal;

static const char *const level_words[] = {
	"emergency: ", "alert: ", "critical: ", "error: ", "warning: ", "", "", "debug: "
};

/* systemd.exec(5): the variable may be of a parent's, whose stderr was the journal's. */
static bool
is_journal(const char *stream)
{
	unsigned long long dev, ino;
	struct stat st;

	return stream != NULL && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	    fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void
log_setup(const char *name, int level)
{
	program = name;
	threshold = level;
	journal = is_journal(getenv("JOURNAL_STREAM"));
}

void
log_text(int level, const char *text)
{
	char line[LOG_SIZE];
	size_t n;
	ssize_t done;
	int w;

	if (level > threshold || level < LOG_EMERG || level > LOG_DEBUG)
		return;
	if (journal)
		w = snprintf(line, sizeof(line), "<%d>%s", level, text);
	else
		w = snprintf(line, sizeof(line), "%s: %s%s", program, level_words[level], text);
	if (w < 0)
		return;
	n = strnlen(line, sizeof(line) - 2);
	while (n > 0 && line[n - 1] == '\n')
		n--;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[n++] = '\n';
	/* One write a line: two processes share the descriptor. */
	done = write(STDERR_FILENO, line, n);
	(void)done;	/* there is nowhere left to complain */
}

void
log_line(int level, const char *fmt, ...)
{
	char text[LOG_SIZE - 120];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) >= 0)
		log_text(level, text);
	va_end(ap);
}
