#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "read.h"
#include "snmp_certs.h"

#define RECHECK 3600	/* seconds: the system's roots and who may read a key change, too */
#define LOOK 1		/* between looks whether files changed */
#define FIRST_MS 500	/* for all of them, at the start */
#define DAY 86400

struct certs {
	struct cert_entry *at;
	size_t n;
	unsigned days;		/* the greatest of expiry_days */
	size_t next;		/* whose turn it is */
	int64_t looked;		/* CLOCK_MONOTONIC ms; 0: look at once */
	bool first;		/* nothing was read yet */
};

static int64_t
clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct certs *
certs_new(void)
{
	struct certs *c = calloc(1, sizeof(*c));

	if (c != NULL)
		c->first = true;
	return c;
}

void
certs_free(struct certs *c)
{
	if (c != NULL)
		free(c->at);
	free(c);
}

size_t
certs_count(const struct certs *c)
{
	return c->n;
}

const struct cert_entry *
certs_at(const struct certs *c, size_t i)
{
	return &c->at[i];
}

/* ---- which there are ---- */

static struct cert_entry *
find(struct cert_entry *at, size_t n, enum section section, const char *name)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = at[mid].section != section ? (at[mid].section < section ? -1 : 1) :
		    strcmp(at[mid].name, name);

		if (c == 0)
			return &at[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static void
copy_text(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text == NULL ? "" : text);
}

static void
take(struct cert_entry *e, const struct settings *s, enum section section, const struct rule *r)
{
	e->section = section;
	copy_text(e->name, sizeof(e->name), settings_name(s, r));
	copy_text(e->file, sizeof(e->file), settings_text(s, r, KEY_FILE));
	if (section == SEC_CERTIFICATE)
		copy_text(e->key, sizeof(e->key), settings_text(s, r, KEY_KEY));
}

/* Keeps what is known of files that are still the ones named; by other days, till a look. */
static void
keep(struct cert_entry *e, const struct cert_entry *known, bool same_days)
{
	if (known == NULL || strcmp(known->file, e->file) != 0 || strcmp(known->key, e->key) != 0)
		return;
	e->checked = known->checked;
	e->info = known->info;
	e->file_id = known->file_id;
	e->key_id = known->key_id;
	e->due = same_days ? known->due : 0;
}

/* Adds to what a certificate is used for; dots stand for what has no room. */
static void
add_use(struct cert_entry *e, const char *word, const char *name)
{
	size_t len = strlen(e->used), more = strlen(word) + strlen(name) + 3;

	if (len + more > CERTS_USED - 5) {
		if (len < 3 || strcmp(e->used + len - 3, "...") != 0)
			snprintf(e->used + len, sizeof(e->used) - len, ", ...");
		return;
	}
	snprintf(e->used + len, sizeof(e->used) - len, "%s%s%s%s", len > 0 ? ", " : "", word,
	    *name == '\0' ? "" : " ", name);
}

static void
add_rule(struct certs *c, const struct settings *s, const struct rule *r, enum key key)
{
	const char *name = rule_sets(r, key) ? settings_text(s, r, key) : NULL;
	struct cert_entry *e = name == NULL ? NULL : find(c->at, c->n, key_table[key].ref, name);

	if (e != NULL)
		add_use(e, section_words[r->section], settings_name(s, r));
}

/* Who names them: one pass over all rules. */
static void
find_uses(struct certs *c, const struct settings *s)
{
	const struct rule *r;
	const char *name;

	for (int sec = 0; sec < SEC_RULES; sec++)
		for (size_t i = 0; (r = settings_at(s, (enum section)sec, i)) != NULL; i++) {
			add_rule(c, s, r, KEY_CERTIFICATE);
			add_rule(c, s, r, KEY_CA);
		}
	for (size_t i = 0; i < c->n && c->at[i].section == SEC_CERTIFICATE; i++) {
		struct list names = settings_list(s, settings_find(s, SEC_CERTIFICATE,
		    c->at[i].name), KEY_NAMES);

		while ((name = list_next_name(&names)) != NULL)
			add_use(&c->at[i], "sni", name);
	}
}

static unsigned
expiry_days(const struct settings *s)
{
	struct list list = settings_list(s, settings_find(s, SEC_AGENT, ""), KEY_EXPIRY_DAYS);
	uint32_t most = 0, days;

	while (list_next_number(&list, &days))
		most = days > most ? days : most;
	if (most == 0)	/* the default begins with its greatest */
		most = (uint32_t)strtoul(key_table[KEY_EXPIRY_DAYS].preset_text, NULL, 10);
	return most;
}

void
certs_follow(struct certs *c, const struct settings *s)
{
	static const enum section sections[] = { SEC_CERTIFICATE, SEC_CA };
	struct cert_entry *old = c->at;
	size_t nold = c->n, n = 0;
	unsigned days = c->days;
	const struct rule *r;

	for (int k = 0; s != NULL && k < 2; k++)
		n += settings_count(s, sections[k]);
	if (s != NULL)
		c->days = expiry_days(s);
	c->n = c->next = 0;
	c->looked = 0;
	c->at = n == 0 ? NULL : calloc(n, sizeof(*c->at));
	for (int k = 0; c->at != NULL && k < 2; k++)
		for (size_t i = 0; (r = settings_at(s, sections[k], i)) != NULL; i++) {
			struct cert_entry *e = &c->at[c->n++];

			take(e, s, sections[k], r);
			keep(e, find(old, nold, e->section, e->name), c->days == days);
		}
	free(old);
	if (c->at != NULL)
		find_uses(c, s);
}

/* ---- what they are ---- */

static void
identify(const char *path, struct file_id *id)
{
	if (*path == '\0' || !file_identify(path, id))
		memset(id, 0, sizeof(*id));
}

static bool
same_file(const char *path, const struct file_id *id)
{
	struct file_id now;

	identify(path, &now);
	return file_id_equal(&now, id);
}

/* When time will next change the state: the earliest border that is not past. */
static time_t
next_due(const struct certs *c, const struct cert_info *i, time_t now)
{
	const time_t borders[] = { i->not_before, i->not_after + 1,
	    i->not_after - (time_t)c->days * DAY + 1 };
	time_t due = now + RECHECK;

	for (size_t k = 0; i->parsed && k < sizeof(borders) / sizeof(borders[0]); k++)
		if (borders[k] > now && borders[k] < due)
			due = borders[k];
	return due;
}

static void
inspect(const struct certs *c, struct cert_entry *e)
{
	time_t now = time(NULL);

	identify(e->file, &e->file_id);
	identify(e->key, &e->key_id);
	if (e->section == SEC_CA)
		cert_inspect_bundle(e->file, now, c->days, &e->info);
	else
		cert_inspect(e->file, *e->key == '\0' ? NULL : e->key, now, c->days, &e->info);
	e->checked = now;
	e->due = next_due(c, &e->info, now);
}

static bool
stale(const struct cert_entry *e, time_t now)
{
	return e->checked == 0 || now >= e->due || now < e->checked ||
	    !same_file(e->file, &e->file_id) || !same_file(e->key, &e->key_id);
}

void
certs_turn(struct certs *c)
{
	int64_t begin = clock_ms();
	time_t now = time(NULL);
	bool found = false;

	if (c->n == 0 || (c->looked != 0 && begin - c->looked < LOOK * 1000))
		return;
	for (size_t i = 0; i < c->n; i++) {
		size_t at = (c->next + i) % c->n;

		if (!stale(&c->at[at], now))
			continue;
		found = true;
		inspect(c, &c->at[at]);
		if (c->first && clock_ms() - begin < FIRST_MS)
			continue;
		c->next = (at + 1) % c->n;
		break;
	}
	c->first = false;
	/* There may be more to read: then the next look is the next request's. */
	c->looked = found ? 0 : begin;
}

long
certs_days(const struct cert_entry *e)
{
	time_t left = e->info.not_after - time(NULL);

	/* Downwards: a second after the end is day -1. */
	return (long)(left >= 0 ? left / DAY : -((-left + DAY - 1) / DAY));
}
