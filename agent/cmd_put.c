/*
 * Texts on a terminal: names, paths, certificates and answers are others' data,
 * and must not move its cursor or rename its window.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

size_t
text_length(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	unsigned low = 0x80, high = 0xbf;
	size_t n, i;

	if (p[0] < 0x80)
		return p[0] >= 0x20 && p[0] != 0x7f;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xc2 || p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	for (i = 1; i < n; i++, low = 0x80, high = 0xbf)
		if (p[i] < low || p[i] > high)
			return 0;
	return n;
}

/* len octets of text, a NUL behind them or not; `keep` goes out as it is.  Returns columns. */
static size_t
put_octets(FILE *f, const char *text, size_t len, char keep)
{
	const char *end = text + len, *run = text;	/* what goes out as it is, in one piece */
	size_t columns = 0, n;

	for (; text < end; text += n, columns++) {
		n = text_length(text);
		if (n > 0 && n <= (size_t)(end - text))
			continue;
		n = 1;
		if (*text == keep && keep != '\0')
			continue;
		fwrite(run, 1, (size_t)(text - run), f);
		fprintf(f, "\\x%02X", (unsigned char)*text);
		columns += 3;
		run = text + 1;
	}
	fwrite(run, 1, (size_t)(end - run), f);
	return columns;
}

size_t
put_text(FILE *f, const char *text)
{
	return put_octets(f, text, strlen(text), '\0');
}

size_t
put_vmessage(FILE *f, const char *format, va_list ap)
{
	size_t columns = 0;
	char *text;
	int len = vasprintf(&text, format, ap);

	if (len < 0)
		return columns;
	columns = put_octets(f, text, (size_t)len, '\n');
	free(text);
	return columns;
}

size_t
put_message(FILE *f, const char *format, ...)
{
	size_t columns;
	va_list ap;

	va_start(ap, format);
	columns = put_vmessage(f, format, ap);
	va_end(ap);
	return columns;
}

size_t
put_out(const char *format, ...)
{
	size_t columns;
	va_list ap;

	va_start(ap, format);
	columns = put_vmessage(stdout, format, ap);
	va_end(ap);
	return columns;
}

void
put_report(void *f, enum severity severity, const char *path, unsigned line, const char *text)
{
	const char *mark = severity == SEV_WARNING ? "warning: " : "";

	if (line != 0)
		put_message(f, "%s:%u: %s%s\n", path, line, mark, text);
	else
		put_message(f, "%s: %s%s\n", path, mark, text);
}

void
put_folded(size_t column, size_t indent, const char *text)
{
	bool first = true;
	size_t word;

	for (; *text != '\0'; text += word, text += strspn(text, " ")) {
		word = strcspn(text, " ");
		if (!first && column + 1 + word > 78) {
			printf("\n%*s", (int)indent, "");
			column = indent;
		} else if (!first) {
			putchar(' ');
			column++;
		}
		column += put_octets(stdout, text, word, '\0');
		first = false;
	}
	putchar('\n');
}
