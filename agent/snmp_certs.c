#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "read.h"
#include "snmp_certs.h"

#define RECHECK 3600	/* seconds: the system's roots and who may read a key change, too */
#define LOOK 1		/* between looks whether files changed */
#define LOOKS 200	/* files that a turn looks at: microseconds each */
#define FIRST_MS 500	/* for all of them, at the start */
#define DAY 86400
#define NAMES_MAX 4096	/* octets: TlswardList */
#define DOTS ", ..."

struct entries {
	struct cert_entry *at;
	size_t n;
	size_t next;		/* whose turn it is */
};

struct certs {
	struct entries own, pins;	/* of sections; of files of pins */
	unsigned days;		/* the greatest of expiry_days */
	unsigned pins_days;	/* by which `pins` were read */
	bool pins_due;		/* the settings may name others */
	size_t looks;		/* at files of pins, since all were looked at */
	int64_t looked;		/* CLOCK_MONOTONIC ms; 0: look at once */
	bool first;		/* nothing was read yet */
	struct cert_info info;	/* of the one that is read */
};

static const struct cert_seen nothing = { .error = "", .subject = "", .issuer = "",
	.serial = "", .key_type = "", .names = "" };

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

static void
free_entries(struct entries *e)
{
	for (size_t i = 0; i < e->n; i++)
		free(e->at[i].own);
	free(e->at);
	*e = (struct entries){ .at = NULL };
}

void
certs_free(struct certs *c)
{
	if (c != NULL) {
		free_entries(&c->own);
		free_entries(&c->pins);
	}
	free(c);
}

size_t
certs_count(const struct certs *c)
{
	return c->own.n + c->pins.n;
}

static struct cert_entry *
entry(const struct certs *c, size_t i)
{
	return i < c->own.n ? &c->own.at[i] : &c->pins.at[i - c->own.n];
}

const struct cert_entry *
certs_at(const struct certs *c, size_t i)
{
	return entry(c, i);
}

/* ---- which there are ---- */

static struct cert_entry *
find(const struct entries *e, enum section section, const char *name)
{
	struct cert_entry *at = e->at;
	size_t lo = 0, hi = e->n;

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
keep(struct cert_entry *e, struct cert_entry *known, bool same_days)
{
	e->seen = &nothing;
	if (known == NULL || strcmp(known->file, e->file) != 0 || strcmp(known->key, e->key) != 0)
		return;
	e->checked = known->checked;
	e->own = known->own;
	e->seen = known->seen;
	known->own = NULL;
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
	struct cert_entry *e = name == NULL ? NULL : find(&c->own, key_table[key].ref, name);

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
	for (size_t i = 0; i < c->own.n && c->own.at[i].section == SEC_CERTIFICATE; i++) {
		struct cert_entry *e = &c->own.at[i];
		struct list names = settings_list(s, settings_find(s, SEC_CERTIFICATE, e->name),
		    KEY_NAMES);

		while ((name = list_next_name(&names)) != NULL)
			add_use(e, "sni", name);
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
	struct entries old = c->own;
	size_t n = 0;
	unsigned days = c->days;
	const struct rule *r;

	for (int k = 0; s != NULL && k < 2; k++)
		n += settings_count(s, sections[k]);
	if (s != NULL)
		c->days = expiry_days(s);
	c->looks = 0;
	c->looked = 0;
	c->pins_due = true;
	c->own = (struct entries){ .at = n == 0 ? NULL : calloc(n, sizeof(*old.at)) };
	for (int k = 0; c->own.at != NULL && k < 2; k++)
		for (size_t i = 0; (r = settings_at(s, sections[k], i)) != NULL; i++) {
			struct cert_entry *e = &c->own.at[c->own.n++];

			take(e, s, sections[k], r);
			keep(e, find(&old, e->section, e->name), c->days == days);
		}
	free_entries(&old);
	if (c->own.at != NULL)
		find_uses(c, s);
}

static void
take_pins(struct cert_entry *e, const struct settings *s, const struct pinned_file *f)
{
	e->section = SEC_PINS;
	copy_text(e->name, sizeof(e->name), f->name);
	copy_text(e->file, sizeof(e->file), f->file);
	for (size_t i = 0; i < f->rules && i < PINNED_RULES; i++)
		add_use(e, section_words[f->rule[i]->section], settings_name(s, f->rule[i]));
	if (f->rules > PINNED_RULES)
		add_use(e, "...", "");
}

/* Which files of pins there are now.  Without memory for it those of before stay. */
static void
follow_pins(struct certs *c, const struct settings *s)
{
	struct entries old = c->pins;
	struct cert_entry *at;
	struct pinned p;

	if (!pinned_find(s, PINNED_MAX, &p))
		return;
	if ((at = calloc(p.n + 1, sizeof(*at))) != NULL) {
		c->pins = (struct entries){ at, p.n, old.next };
		for (size_t i = 0; i < p.n; i++) {
			take_pins(&at[i], s, &p.at[i]);
			keep(&at[i], find(&old, SEC_PINS, at[i].name), c->days == c->pins_days);
		}
		free_entries(&old);
		c->pins_days = c->days;
		c->pins_due = false;
	}
	pinned_free(&p);
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
join_names(const struct cert_info *i, char out[NAMES_MAX + 1])
{
	size_t len = 0, k;

	out[0] = '\0';
	for (k = 0; k < i->nnames; k++) {
		if (len + strlen(i->names[k]) + 2 + sizeof(DOTS) > NAMES_MAX)
			break;
		len += (size_t)snprintf(out + len, NAMES_MAX + 1 - len, "%s%s", k > 0 ? ", " : "",
		    i->names[k]);
	}
	if (k < i->nnames || i->names_left > 0)
		snprintf(out + len, NAMES_MAX + 1 - len, DOTS);
}

/* What is kept of it; NULL: no memory. */
static struct cert_seen *
seen_of(const struct cert_info *i)
{
	char names[NAMES_MAX + 1];
	const char *texts[] = { i->error, i->subject, i->issuer, i->serial, i->key_type, names };
	const char *at[sizeof(texts) / sizeof(texts[0])];
	struct cert_seen *seen;
	size_t len = 0;
	char *p;

	join_names(i, names);
	for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++)
		len += strlen(texts[k]) + 1;
	if ((seen = malloc(sizeof(*seen) + len)) == NULL)
		return NULL;
	p = seen->all;
	for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
		at[k] = p;
		p = stpcpy(p, texts[k]) + 1;
	}
	seen->state = i->state;
	seen->parsed = i->parsed;
	seen->not_before = i->not_before;
	seen->not_after = i->not_after;
	seen->key_bits = i->key_bits;
	seen->chain_len = i->chain_len;
	memcpy(seen->fingerprint, i->fingerprint, sizeof(seen->fingerprint));
	seen->error = at[0];
	seen->subject = at[1];
	seen->issuer = at[2];
	seen->serial = at[3];
	seen->key_type = at[4];
	seen->names = at[5];
	return seen;
}

static void
inspect(struct certs *c, struct cert_entry *e)
{
	struct cert_info *info = &c->info;
	struct cert_seen *seen;
	time_t now = time(NULL);

	identify(e->file, &e->file_id);
	identify(e->key, &e->key_id);
	if (e->section == SEC_CA)
		cert_inspect_bundle(e->file, now, c->days, info);
	else if (e->section == SEC_PINS)
		cert_inspect_pins(e->file, now, c->days, info);
	else
		cert_inspect(e->file, *e->key == '\0' ? NULL : e->key, now, c->days, info);
	if ((seen = seen_of(info)) != NULL) {
		free(e->own);
		e->seen = e->own = seen;
	}
	e->checked = now;
	e->due = next_due(c, info, now);
}

static bool
stale(const struct cert_entry *e, time_t now)
{
	return e->checked == 0 || now >= e->due || now < e->checked ||
	    !same_file(e->file, &e->file_id) || (*e->key != '\0' && !same_file(e->key, &e->key_id));
}

/* Looks at so many, till that moment, and goes on there the next time; at how many it was. */
static size_t
go_round(struct certs *c, struct entries *of, size_t looks, int64_t end)
{
	time_t now = time(NULL);
	size_t n;

	for (n = 0; n < looks && n < of->n && clock_ms() < end; n++) {
		struct cert_entry *e = &of->at[of->next++ % of->n];

		if (stale(e, now))
			inspect(c, e);
	}
	return n;
}

void
certs_turn(struct certs *c, const struct settings *s)
{
	int64_t begin = clock_ms(), end = begin + (c->first ? FIRST_MS : CERTS_TURN_MS);
	bool all;

	if (c->looked != 0 && begin - c->looked < LOOK * 1000)
		return;
	if (c->pins_due)
		follow_pins(c, s);
	if (certs_count(c) == 0)
		return;
	all = go_round(c, &c->own, c->own.n, end) == c->own.n;
	c->looks += go_round(c, &c->pins, c->first ? c->pins.n : LOOKS, end);
	c->first = false;
	if (!all || c->looks < c->pins.n)
		return;
	c->looks = 0;
	c->looked = begin;
}

long
certs_days(const struct cert_entry *e)
{
	time_t left = e->seen->not_after - time(NULL);

	/* Downwards: a second after the end is day -1. */
	return (long)(left >= 0 ? left / DAY : -((-left + DAY - 1) / DAY));
}
