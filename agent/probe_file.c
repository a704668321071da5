#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "probe_file.h"

#define FIELDS 10

static void
flatten(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ')
			*text = ' ';
}

void
probe_seen_set(struct probe_seen *p, const struct probe_target *t,
    const struct probe_expect *want, const struct probe_result *r,
    const struct probe_found *found, size_t nfound, time_t now)
{
	bool other = false, same = r->tls && memcmp(r->chain[0], want->chain[0], 32) == 0;

	memset(p, 0, sizeof(*p));
	addr_format_listener(&t->listener, p->listener);
	snprintf(p->sni, sizeof(p->sni), "%s", t->sni);
	snprintf(p->certificate, sizeof(p->certificate), "%s", want->certificate);
	p->time = now;
	p->state = nfound == 0 ? PROBE_FINE : PROBE_FAULT;
	for (size_t i = 0; i < nfound; i++)
		other |= found[i].what == PROBE_OTHER_CERTIFICATE;
	p->certified = r->tls;
	memcpy(p->fingerprint, r->chain[0], sizeof(p->fingerprint));
	/* A server that does not choose by name shows another, which is no fault. */
	p->shown = !r->tls || want->certificate[0] == '\0' || want->chain_len == 0 ||
	    want->file_error[0] != '\0' ? SHOWN_UNKNOWN :
	    other ? SHOWN_OTHER : same ? SHOWN_SAME : SHOWN_UNKNOWN;
	p->tls = r->tls && r->version >= TLS_1_0 ? (int)(r->version - TLS_1_0) + 2 : 1;
	p->asks = !r->tls ? 1 : r->insists ? 4 : r->asks ? 3 : 2;
	for (size_t i = 0; i < nfound; i++) {
		size_t len = strlen(p->text);

		snprintf(p->text + len, sizeof(p->text) - len, "%s%s", i > 0 ? "; and: " : "",
		    found[i].text);
	}
	flatten(p->text);
}

bool
probe_file_put(FILE *f, const struct probe_seen *p)
{
	fprintf(f, "%s\t%s\t%s\t%" PRId64 "\t%d\t%d\t%d\t%d\t", p->listener, p->sni,
	    p->certificate, p->time, p->state, p->shown, p->tls, p->asks);
	for (size_t i = 0; p->certified && i < sizeof(p->fingerprint); i++)
		fprintf(f, "%02x", p->fingerprint[i]);
	return fprintf(f, "\t%s\n", p->text) > 0 && !ferror(f);
}

static bool
take_digest(struct probe_seen *p, const char *hex)
{
	if (hex[0] == '\0')
		return true;
	if (strlen(hex) != 2 * sizeof(p->fingerprint) ||
	    strspn(hex, "0123456789abcdef") != 2 * sizeof(p->fingerprint))
		return false;
	for (size_t i = 0; i < sizeof(p->fingerprint); i++) {
		char two[3] = { hex[2 * i], hex[2 * i + 1], '\0' };

		p->fingerprint[i] = (unsigned char)strtoul(two, NULL, 16);
	}
	return p->certified = true;
}

static bool
take_number(const char *text, int lo, int hi, int *out)
{
	char *end;
	long n = strtol(text, &end, 10);

	*out = (int)n;
	return end != text && *end == '\0' && n >= lo && n <= hi;
}

static bool
take_line(struct probe_seen *p, char *line)
{
	char *field[FIELDS];

	line[strcspn(line, "\n")] = '\0';
	for (size_t i = 0; i < FIELDS; i++)
		if ((field[i] = strsep(&line, "\t")) == NULL)
			return false;
	memset(p, 0, sizeof(*p));
	snprintf(p->listener, sizeof(p->listener), "%s", field[0]);
	snprintf(p->sni, sizeof(p->sni), "%s", field[1]);
	snprintf(p->certificate, sizeof(p->certificate), "%s", field[2]);
	p->time = strtoll(field[3], NULL, 10);
	snprintf(p->text, sizeof(p->text), "%s", field[9]);
	return take_number(field[4], PROBE_FINE, PROBE_FAULT, &p->state) &&
	    take_number(field[5], SHOWN_UNKNOWN, SHOWN_OTHER, &p->shown) &&
	    take_number(field[6], 1, 5, &p->tls) && take_number(field[7], 1, 4, &p->asks) &&
	    take_digest(p, field[8]);
}

size_t
probe_file_read(const char *path, struct probe_seen **out)
{
	struct probe_seen *all = NULL, *more;
	char line[2048];
	size_t n = 0;
	FILE *f = fopen(path, "re");

	*out = NULL;
	if (f == NULL)
		return 0;
	while (n < PROBE_TARGETS_MAX && fgets(line, sizeof(line), f) != NULL) {
		if (n % 64 == 0) {
			if ((more = reallocarray(all, n + 64, sizeof(*all))) == NULL)
				break;
			all = more;
		}
		if (take_line(&all[n], line))
			n++;
	}
	fclose(f);
	*out = all;
	return n;
}
