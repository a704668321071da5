#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarm_file.h"
#include "alarm_memory.h"

#define FIELDS 8

void
memory_free(struct alarm_memory *m)
{
	free(m->cert);
	free(m->listener);
	free(m->rate);
	memset(m, 0, sizeof(*m));
}

/* One more, all zeroes, at the end of the array of n that a pointer at `array` leads to. */
static void *
grow(struct alarm_memory *m, void *array, size_t *n, size_t size)
{
	void *old;
	char *more;

	memcpy(&old, array, sizeof(old));
	if (*n >= MEMORY_MAX || (more = reallocarray(old, *n + 1, size)) == NULL) {
		m->full = true;
		return NULL;
	}
	memcpy(array, &more, sizeof(more));
	return memset(more + size * (*n)++, 0, size);
}

struct cert_memory *
memory_cert(struct alarm_memory *m, enum section section, const char *name)
{
	struct cert_memory *c;

	for (size_t i = 0; i < m->ncert; i++)
		if (m->cert[i].section == section && strcmp(m->cert[i].name, name) == 0)
			return &m->cert[i];
	if ((c = grow(m, &m->cert, &m->ncert, sizeof(*c))) == NULL)
		return NULL;
	c->section = section;
	c->mark = MARK_NONE;
	snprintf(c->name, sizeof(c->name), "%s", name);
	return c;
}

struct listener_memory *
memory_listener(struct alarm_memory *m, const char *listener, const char *sni)
{
	struct listener_memory *l;

	for (size_t i = 0; i < m->nlistener; i++)
		if (strcmp(m->listener[i].listener, listener) == 0 &&
		    strcmp(m->listener[i].sni, sni) == 0)
			return &m->listener[i];
	if ((l = grow(m, &m->listener, &m->nlistener, sizeof(*l))) == NULL)
		return NULL;
	snprintf(l->listener, sizeof(l->listener), "%s", listener);
	snprintf(l->sni, sizeof(l->sni), "%s", sni);
	return l;
}

static bool
has_cert(const struct settings *s, const struct cert_memory *c)
{
	const struct rule *r;
	char name[sizeof(c->name)];
	char *end;

	if (c->section == SEC_PINS)
		return true;
	snprintf(name, sizeof(name), "%s", c->name);
	if ((end = strstr(name, MEMORY_CRL)) != NULL)
		*end = '\0';
	r = settings_find(s, (enum section)c->section, name);
	return r != NULL && (end == NULL || settings_text(s, r, KEY_CRL) != NULL);
}

void
memory_keep(struct alarm_memory *m, const struct settings *s)
{
	size_t n = 0;

	for (size_t i = 0; i < m->ncert; i++)
		if (has_cert(s, &m->cert[i]))
			m->cert[n++] = m->cert[i];
	m->changed |= n != m->ncert;
	m->ncert = n;
	n = 0;
	for (size_t i = 0; i < m->nrate; i++)
		if (settings_find(s, m->rate[i].section, m->rate[i].name) != NULL)
			m->rate[n++] = m->rate[i];
	m->changed |= n != m->nrate;
	m->nrate = n;
}

void
memory_keep_pins(struct alarm_memory *m, const struct pinned *p)
{
	size_t n = 0;

	for (size_t i = 0; i < m->ncert; i++)
		if (m->cert[i].section != SEC_PINS || pinned_named(p, m->cert[i].name) != NULL)
			m->cert[n++] = m->cert[i];
	m->changed |= n != m->ncert;
	m->ncert = n;
}

void
memory_keep_listeners(struct alarm_memory *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->nlistener; i++)
		if (m->listener[i].here)
			m->listener[n++] = m->listener[i];
	m->changed |= n != m->nlistener;
	m->nlistener = n;
}

/* ---- kinds that are switched off, and on again ---- */

#define BIT(k) (1u << (k))
#define OF_EXPIRY (BIT(ALARM_EXPIRING) | BIT(ALARM_EXPIRED))

/* The findings that these kinds of alarms tell of. */
static uint32_t
findings_of(uint32_t kinds)
{
	uint32_t all = 0;

	for (unsigned f = 0; f < PROBE_FINDINGS; f++)
		if ((kinds & BIT(detect_finding_kind((enum probe_finding)f))) != 0)
			all |= BIT(f);
	return all;
}

void
memory_switched_on(struct alarm_memory *m, uint32_t kinds)
{
	const uint32_t findings = findings_of(kinds);

	for (size_t i = 0; i < m->ncert; i++) {
		struct cert_memory *c = &m->cert[i];

		if ((c->muted & kinds) == 0)
			continue;
		m->changed = true;
		if ((c->muted & kinds & OF_EXPIRY) != 0) {
			c->mark = MARK_NONE;
			c->told = 0;
		}
		if ((c->muted & kinds & BIT(ALARM_UNUSABLE)) != 0)
			c->fault = CERT_STATE_OK;
		c->muted &= ~kinds;
	}
	for (size_t i = 0; i < m->nlistener; i++) {
		struct listener_memory *l = &m->listener[i];

		m->changed |= (l->muted & findings) != 0;
		l->told &= ~(l->muted & findings);
		l->muted &= ~findings;
	}
}

void
memory_unsaid(struct alarm_memory *m, const struct event *e)
{
	/* What is of a CRL has the row of its [ca]; detect_crl made its subject. */
	bool crl = e->section == SEC_CA && strncmp(e->subject, "CRL of ", 7) == 0;
	uint32_t kind = BIT(e->kind);

	for (size_t i = 0; i < m->ncert && (kind & (OF_EXPIRY | BIT(ALARM_UNUSABLE))) != 0; i++) {
		struct cert_memory *c = &m->cert[i];
		size_t len = strlen(e->name);

		if (c->section == e->section && strncmp(c->name, e->name, len) == 0 &&
		    strcmp(c->name + len, crl ? MEMORY_CRL : "") == 0) {
			c->muted |= kind;
			m->changed = true;
		}
	}
	for (size_t i = 0; i < m->nlistener; i++)
		if (strcmp(m->listener[i].listener, e->listener) == 0) {
			m->listener[i].muted |= m->listener[i].told & findings_of(kind);
			m->changed = true;
		}
}

/* ---- refusals ---- */

static size_t
find_rate(const struct alarm_memory *m, enum section section, const char *name)
{
	size_t i;

	for (i = 0; i < m->nrate; i++)
		if (m->rate[i].section == section && strcmp(m->rate[i].name, name) == 0)
			break;
	return i;
}

bool
memory_rate(const struct alarm_memory *m, enum section section, const char *name)
{
	return find_rate(m, section, name) < m->nrate;
}

void
memory_set_rate(struct alarm_memory *m, enum section section, const char *name, bool told)
{
	size_t i = find_rate(m, section, name);
	struct told_rate *r;

	m->changed = true;
	if (!told && i < m->nrate)
		m->rate[i] = m->rate[--m->nrate];
	else if (told && i == m->nrate && (r = grow(m, &m->rate, &m->nrate, sizeof(*r))) != NULL) {
		r->section = section;
		snprintf(r->name, sizeof(r->name), "%s", name);
	}
}

/* ---- the file ---- */

bool
memory_save(struct alarm_memory *m, const char *path)
{
	struct alarm_file f;
	char hex[65];

	if (!alarm_file_open(&f, path))
		return false;
	fprintf(f.to, "tlsward-agent 1: what was told; remove it and all is told again\n");
	if (m->rejected)
		fprintf(f.to, "rejected\n");
	for (size_t i = 0; i < m->ncert; i++) {
		const struct cert_memory *c = &m->cert[i];

		if (!c->known && c->fault == CERT_STATE_OK)
			continue;
		for (size_t k = 0; k < 32; k++)
			snprintf(hex + 2 * k, 3, "%02x", c->fingerprint[k]);
		fprintf(f.to, "%s\t%s\t%d\t%s\t%" PRId32 "\t%" PRId64 "\t%" PRIu32 "\t%" PRIu32 "\n",
		    c->section == SEC_PINS ? MEMORY_PINS : section_words[c->section], c->name, c->known,
		    hex, c->mark, c->told, c->fault, c->muted);
	}
	for (size_t i = 0; i < m->nlistener; i++)
		if (m->listener[i].told != 0)
			fprintf(f.to, "listener\t%s\t%s\t%" PRIu32 "\t%" PRIu32 "\n",
			    m->listener[i].listener, m->listener[i].sni, m->listener[i].told,
			    m->listener[i].muted);
	for (size_t i = 0; i < m->nrate; i++)
		fprintf(f.to, "refusals\t%s\t%s\n", section_words[m->rate[i].section],
		    m->rate[i].name);
	if (!alarm_file_close(&f))
		return false;
	m->changed = false;
	return true;
}

static void
take_cert(struct alarm_memory *m, enum section section, char **field, size_t n)
{
	struct cert_memory *c;
	char two[3] = "";

	if (n < 7 || strlen(field[3]) != 64 || strlen(field[1]) >= sizeof(c->name) ||
	    (c = memory_cert(m, section, field[1])) == NULL)
		return;
	c->known = field[2][0] == '1';
	for (size_t k = 0; k < 32; k++) {
		memcpy(two, field[3] + 2 * k, 2);
		c->fingerprint[k] = (unsigned char)strtoul(two, NULL, 16);
	}
	c->mark = (int32_t)strtol(field[4], NULL, 10);
	c->told = strtoll(field[5], NULL, 10);
	c->fault = (uint32_t)strtoul(field[6], NULL, 10);
	if (c->fault >= CERT_STATE_MAX)
		c->fault = CERT_STATE_OK;
	c->seen = c->fault;
	if (n > 7)
		c->muted = (uint32_t)strtoul(field[7], NULL, 10);
}

static void
take_line(struct alarm_memory *m, char *line)
{
	struct listener_memory *l;
	char *field[FIELDS];
	enum section s;
	size_t n = 0;

	line[strcspn(line, "\n")] = '\0';
	while (n < FIELDS && (field[n] = strsep(&line, "\t")) != NULL)
		n++;
	if (strcmp(field[0], "rejected") == 0)
		m->rejected = true;
	else if (strcmp(field[0], "listener") == 0 && (n == 4 || n == 5)) {
		if (strlen(field[1]) < sizeof(l->listener) && strlen(field[2]) < sizeof(l->sni) &&
		    (l = memory_listener(m, field[1], field[2])) != NULL) {
			l->told = (uint32_t)strtoul(field[3], NULL, 10) &
			    (BIT(PROBE_FINDINGS) - 1);
			l->muted = n == 4 ? 0 : (uint32_t)strtoul(field[4], NULL, 10) & l->told;
		}
	} else if (strcmp(field[0], "refusals") == 0 && n == 3) {
		s = section_find(field[1], strlen(field[1]));
		if ((s == SEC_DOMAIN || s == SEC_PEER) && strlen(field[2]) < NAME_SIZE)
			memory_set_rate(m, s, field[2], true);
	} else if (strcmp(field[0], MEMORY_PINS) == 0)
		take_cert(m, SEC_PINS, field, n);
	else {
		s = section_find(field[0], strlen(field[0]));
		if (s == SEC_CERTIFICATE || s == SEC_CA)
			take_cert(m, s, field, n);
	}
}

void
memory_load(struct alarm_memory *m, const char *path)
{
	char line[1024];
	FILE *f = fopen(path, "re");

	memset(m, 0, sizeof(*m));
	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL)
		take_line(m, line);
	fclose(f);
	m->changed = false;
}
