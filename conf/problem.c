#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"

static bool
grow(struct problems *ps)
{
	size_t room = ps->room * 2 + 16;
	struct problem *p = reallocarray(ps->item, room, sizeof(*p));

	if (p == NULL)
		return false;
	ps->item = p;
	ps->room = room;
	return true;
}

void
problem(struct problems *ps, enum severity severity, unsigned line, const char *format, ...)
{
	struct problem *p;
	char text[1024];
	va_list ap;

	ps->found[severity]++;
	if ((!ps->all && ps->kept[severity] >= PROBLEMS_MAX) ||
	    (ps->count == ps->room && !grow(ps)))
		return;
	ps->kept[severity]++;
	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	p = &ps->item[ps->count];
	p->severity = severity;
	p->line = line;
	p->order = (unsigned)ps->count++;
	p->text = strdup(text);
}

/* What concerns the whole file comes last. */
static int
by_line(const void *va, const void *vb)
{
	const struct problem *a = va, *b = vb;
	unsigned la = a->line - 1, lb = b->line - 1;

	if (la != lb)
		return la < lb ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

bool
problems_tell(struct problems *ps, const char *path, read_report *report, void *arg)
{
	static const char *const what[2] = { "error", "warning" };
	char text[64];
	size_t more;
	int s;

	if (ps->count > 1)
		qsort(ps->item, ps->count, sizeof(ps->item[0]), by_line);
	for (size_t i = 0; i < ps->count; i++) {
		if (report != NULL)
			report(arg, ps->item[i].severity, path, ps->item[i].line,
			    ps->item[i].text != NULL ? ps->item[i].text : "out of memory");
		free(ps->item[i].text);
	}
	for (s = SEV_ERROR; s <= SEV_WARNING && report != NULL; s++) {
		if ((more = ps->found[s] - ps->kept[s]) == 0)
			continue;
		(void)snprintf(text, sizeof(text), "and %zu more %s%s", more, what[s],
		    more == 1 ? "" : "s");
		report(arg, (enum severity)s, path, 0, text);
	}
	free(ps->item);
	ps->item = NULL;
	ps->count = ps->room = 0;
	return ps->found[SEV_ERROR] == 0;
}

void
read_report_file(void *arg, enum severity severity, const char *path, unsigned line,
    const char *text)
{
	const char *mark = severity == SEV_WARNING ? "warning: " : "";

	if (line != 0)
		(void)fprintf(arg, "%s:%u: %s%s\n", path, line, mark, text);
	else
		(void)fprintf(arg, "%s: %s%s\n", path, mark, text);
}

/* Octets of the printable UTF-8 character (RFC 3629) at p, 0: none. */
static size_t
character(const unsigned char *p, size_t len)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 :
	    p[0] < 0xf5 ? 4 : 0;

	if (n == 1)
		return p[0] >= ' ' && p[0] != 0x7f;
	if (n == 0 || n > len || (p[0] == 0xc2 && p[1] < 0xa0) ||
	    (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

const char *
shown(const char *text, size_t len, char buf[SHOWN_SIZE])
{
	const unsigned char *p = (const unsigned char *)text;
	size_t used = 0, n;

	while (len > 0 && used + 8 < SHOWN_SIZE) {
		if ((n = character(p, len)) > 0) {
			memcpy(buf + used, p, n);
			used += n;
		} else {
			n = 1;
			used += (size_t)snprintf(buf + used, 5, "\\x%02x", *p);
		}
		p += n;
		len -= n;
	}
	(void)snprintf(buf + used, SHOWN_SIZE - used, "%s", len > 0 ? "..." : "");
	return buf;
}
