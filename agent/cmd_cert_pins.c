/* See cmd_cert_pins.h. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cert.h"
#include "cmd.h"
#include "cmd_cert.h"
#include "cmd_cert_pins.h"
#include "pinned.h"

/* For each of them; false: no memory. */
static bool
each(const struct settings *s, void (*show)(const struct settings *, const struct pinned_file *,
    const struct cert_info *, struct json *), struct json *j)
{
	struct cert_info *info = malloc(sizeof(*info));
	unsigned days = cert_expiring_days(s);
	struct pinned p;
	bool good = info != NULL && pinned_find(s, SIZE_MAX, &p);

	for (size_t i = 0; good && i < p.n; i++) {
		cert_inspect_pins(p.at[i].file, time(NULL), days, info);
		show(s, &p.at[i], info, j);
	}
	if (good)
		pinned_free(&p);
	free(info);
	return good;
}

/* ---- text ---- */

static void
put_line(const struct settings *s, const struct pinned_file *f, const struct cert_info *i,
    struct json *j)
{
	char date[32] = "-", left[24] = "", by[PINNED_BY];

	(void)j;
	if (i->parsed) {
		utc_text(i->not_after, UTC_DAY, date);
		snprintf(left, sizeof(left), "%ld", i->days_left);
	}
	put_out("%-16s %-10s %5s  ", cert_state_words[i->state], date, left);
	put_text(stdout, f->file);
	put_out(", %s\n", pinned_by(s, f, by));
	if (i->state == CERT_STATE_OK)
		return;
	printf("  %-14s ", "");
	put_text(stdout, i->error);
	putchar('\n');
}

bool
cert_pins_put(const struct settings *s)
{
	struct pinned any;

	if (!pinned_find(s, 1, &any))
		return false;
	if (any.n > 0)
		put_out("\n%-16s %-10s %5s  PINS (certs)\n", "STATE", "EXPIRES", "DAYS");
	pinned_free(&any);
	return each(s, put_line, NULL);
}

/* ---- JSON ---- */

static void
json_pins(const struct settings *s, const struct pinned_file *f, const struct cert_info *i,
    struct json *j)
{
	char date[32], pin[80], title[SECTION_TEXT];

	json_object(j, NULL);
	json_string(j, "file", f->file);
	json_string(j, "state", cert_state_words[i->state]);
	json_string(j, "error", i->error[0] != '\0' ? i->error : NULL);
	if (i->parsed) {
		json_string(j, "subject", i->subject);
		json_string(j, "issuer", i->issuer);
		json_string(j, "not_before", utc_text(i->not_before, UTC_RFC3339, date));
		json_string(j, "not_after", utc_text(i->not_after, UTC_RFC3339, date));
		json_integer(j, "days_left", i->days_left);
		json_string(j, "fingerprint", cert_pin_text(i->fingerprint, false, pin));
	}
	json_number(j, "certificates", i->chain_len);
	json_number(j, "rules", f->rules);
	json_array(j, "used_by");	/* the first of them */
	for (size_t n = 0; n < f->rules && n < PINNED_RULES; n++) {
		json_object(j, NULL);
		json_string(j, "rule", section_text((enum section)f->rule[n]->section,
		    settings_name(s, f->rule[n]), title));
		json_number(j, "line", settings_line(s, f->rule[n], KEY_CERTS));
		json_close(j);
	}
	json_close(j);
	json_close(j);
}

bool
cert_pins_json(const struct settings *s, struct json *j)
{
	bool good;

	json_array(j, "pins");
	good = each(s, json_pins, j);
	json_close(j);
	return good;
}
