/*
 * tlsward status: the counters of all front ends, as a table or JSON.
 */
#include <sys/stat.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "cmd_json.h"
#include "cmd_status.h"
#include "counters.h"
#include "hold.h"
#include "keys.h"

#define WIDTH		80
#define WATCH_DEFAULT	2

struct look {
	struct hold hold;
	struct counters_all *all;
	const char *asked_dir;		/* --state-dir; NULL: as the settings say */
	char *state_dir;		/* of `all` */
	bool every;			/* rows without traffic too */
	bool reasons;
	bool recent;			/* the last refusals, each */
	unsigned watch;			/* seconds; 0: once */
};

struct line {
	enum section section;
	const char *name;
	struct count count;
};

struct lines {
	struct line *line;
	size_t n;
	struct count other;
};

enum { CLEAR, TLS, VERIFIED, REFUSED, WOULD, COLUMNS };
static const char *const heads[COLUMNS] = { "CLEAR", "TLS", "VERIFIED", "REFUSED", "WOULD" };

/* ---- gathering ---- */

static uint64_t
figure(const struct count *c, int column)
{
	switch (column) {
	case REFUSED:
		return count_sum(c->refused);
	case WOULD:
		return count_sum(c->would);
	default:
		return c->accepted[column];
	}
}

static bool
traffic(const struct count *c)
{
	int i;

	for (i = 0; i < COLUMNS; i++)
		if (figure(c, i) != 0)
			return true;
	return false;
}

/* The settings and counters of this moment.  EXIT_DONE, or a message was printed. */
static int
refresh(struct look *l)
{
	const struct settings *s;
	const char *dir;

	hold_refresh(&l->hold, NULL);
	s = held_settings(l->hold.now);
	dir = l->asked_dir != NULL ? l->asked_dir : settings_place(s, SEC_SERVER, KEY_STATE_DIR);
	if (l->state_dir == NULL || strcmp(l->state_dir, dir) != 0) {
		counters_all_close(l->all);
		free(l->state_dir);
		l->all = counters_all_open(dir);
		l->state_dir = strdup(dir);
		if (l->all == NULL || l->state_dir == NULL)
			return cmd_error("out of memory");
	}
	counters_all_refresh(l->all);
	return EXIT_DONE;
}

static bool
gather(const struct look *l, struct lines *out)
{
	const struct settings *s = held_settings(l->hold.now);
	const struct rule *r;
	size_t max = 0, i;
	int section;

	for (section = 0; s != NULL && section < SEC_RULES; section++)
		max += settings_count(s, (enum section)section);
	*out = (struct lines){ .line = calloc(max + 1, sizeof(*out->line)) };
	if (out->line == NULL)
		return false;
	if (s == NULL) {		/* the names of rules are in the settings */
		out->line[0] = (struct line){ .section = SEC_SERVER, .name = "" };
		counters_all_get(l->all, SEC_SERVER, "", &out->line[0].count);
		out->n = 1;
	}
	for (section = 0; s != NULL && section < SEC_RULES; section++) {
		for (i = 0; (r = settings_at(s, (enum section)section, i)) != NULL; i++) {
			struct line *line = &out->line[out->n];

			line->section = (enum section)section;
			line->name = settings_name(s, r);
			counters_all_get(l->all, line->section, line->name, &line->count);
			if (l->every || section == SEC_SERVER || traffic(&line->count))
				out->n++;
		}
	}
	counters_all_other(l->all, &out->other);
	return true;
}

/* ---- text ---- */

const char *
status_date(uint64_t seconds, const char *format, char buf[32])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL || strftime(buf, 32, format, &tm) == 0)
		buf[0] = '\0';
	return buf;
}

/* Today's by the hour, older ones by the day. */
static const char *
last_refusal(uint64_t seconds, char buf[32])
{
	time_t now = time(NULL);

	if (seconds == 0)
		return "";
	return status_date(seconds, now - (time_t)seconds < 86400 ? "%H:%M:%S" : "%Y-%m-%d", buf);
}

struct widths {
	int name, column[COLUMNS];
};

static void
measure(const struct lines *lines, struct widths *w)
{
	char number[32];
	size_t i;
	int k, len, rest = WIDTH - 2 - (int)strlen("LAST REFUSAL");

	w->name = 8;
	for (k = 0; k < COLUMNS; k++) {
		w->column[k] = (int)strlen(heads[k]) + 1;
		if (w->column[k] < 8 && k < VERIFIED)
			w->column[k] = 8;
		for (i = 0; i < lines->n; i++) {
			len = snprintf(number, sizeof(number), "%" PRIu64,
			    figure(&lines->line[i].count, k)) + 1;
			if (len > w->column[k])
				w->column[k] = len;
		}
		rest -= w->column[k];
	}
	if (rest < 12)
		rest = 12;
	for (i = 0; i < lines->n; i++)
		if ((len = (int)strlen(lines->line[i].name) + 2) > w->name)
			w->name = len < rest ? len : rest;
}

static void
put_reasons(const char *what, const uint64_t by_reason[REASON_MAX])
{
	int i;

	for (i = 0; i < REASON_MAX; i++)
		if (by_reason[i] != 0)
			put_out("    %s %s: %" PRIu64 "\n", what, reason_words[i], by_reason[i]);
}

static void
put_line(const struct look *l, const struct widths *w, const char *name,
    const struct count *count)
{
	char buf[32];
	int k;

	/* A name that is too long for its column has a line of its own. */
	if ((int)strlen(name) > w->name)
		put_out("%s\n%*s", name, w->name, "");
	else
		printf("%-*s", w->name, name);
	for (k = 0; k < COLUMNS; k++)
		printf("%*" PRIu64, w->column[k], figure(count, k));
	if (count->last_refusal != 0)
		put_out("  %s", last_refusal(count->last_refusal, buf));
	printf("\n");
	if (l->reasons) {
		put_reasons("refused", count->refused);
		put_reasons("would be refused", count->would);
	}
}

static void
put_sources(const struct look *l)
{
	const char *why;
	char buf[32];
	size_t i;

	if (l->hold.bad && l->hold.now != NULL)
		put_out("The settings have an error, the last good ones are shown:\n%s\n",
		    l->hold.error);
	else if (l->hold.bad)
		put_out("The settings cannot be read: the server's figures only%s:\n%s\n",
		    l->asked_dir == NULL ? ", from the default\nfolder; another is named by "
		    "--state-dir DIR" : "", l->hold.error);
	if (counters_all_files(l->all) > 0)
		put_out("Counted since %s, in %s\n", status_date(counters_all_since(l->all),
		    STATUS_WHEN, buf), l->state_dir);
	for (i = 0; counters_frontends[i] != NULL; i++)
		if ((why = counters_all_why(l->all, i)) != NULL && (l->every ||
		    counters_all_files(l->all) == 0 || !counters_all_absent(l->all, i)))
			put_folded(put_out("Nothing from %s: ", counters_frontends[i]),
			    4, why);
}

static void
put_table(const struct look *l, const struct lines *lines)
{
	enum section last = SEC_MAX;
	char name[NAME_SIZE + 2];
	struct widths w;
	size_t i;
	int k;

	put_sources(l);
	measure(lines, &w);
	printf("\n%-*s", w.name, "");
	for (k = 0; k < COLUMNS; k++)
		printf("%*s", w.column[k], heads[k]);
	printf("  LAST REFUSAL\n");
	for (i = 0; i < lines->n; i++) {
		const struct line *line = &lines->line[i];

		if (line->section == SEC_SERVER) {
			put_line(l, &w, "server", &line->count);
			continue;
		}
		if (line->section != last)
			put_out("%s\n", section_words[line->section]);
		last = line->section;
		snprintf(name, sizeof(name), "  %s", line->name);
		put_line(l, &w, name, &line->count);
	}
	if (traffic(&lines->other)) {
		printf("Names for which the file had no room\n");
		put_line(l, &w, "  other", &lines->other);
	}
	if (l->recent)
		put_recent(l->all);
	put_probes(l->state_dir);
	put_notify(held_settings(l->hold.now));
}

/* ---- JSON ---- */

static void
json_reasons(struct json *j, const char *key, const uint64_t by_reason[REASON_MAX])
{
	int i;

	json_object(j, key);
	for (i = 0; i < REASON_MAX; i++)
		if (by_reason[i] != 0)
			json_number(j, reason_words[i], by_reason[i]);
	json_close(j);
}

static void
json_count(struct json *j, const struct count *c)
{
	json_number(j, "clear", c->accepted[COUNT_CLEAR]);
	json_number(j, "tls", c->accepted[COUNT_TLS]);
	json_number(j, "verified", c->accepted[COUNT_VERIFIED]);
	json_number(j, "refused", count_sum(c->refused));
	json_number(j, "would_refuse", count_sum(c->would));
	json_reasons(j, "refused_by_reason", c->refused);
	json_reasons(j, "would_refuse_by_reason", c->would);
	if (c->last_refusal != 0)
		json_number(j, "last_refusal", c->last_refusal);
	else
		json_string(j, "last_refusal", NULL);
}

static void
put_json(const struct look *l, const struct lines *lines)
{
	struct json j;
	size_t i;

	json_begin(&j, stdout);
	json_string(&j, "state_dir", l->state_dir);
	if (counters_all_files(l->all) > 0)
		json_number(&j, "since", counters_all_since(l->all));
	else
		json_string(&j, "since", NULL);
	json_array(&j, "frontends");
	for (i = 0; counters_frontends[i] != NULL; i++) {
		json_object(&j, NULL);
		json_string(&j, "name", counters_frontends[i]);
		json_bool(&j, "counted", counters_all_why(l->all, i) == NULL);
		json_string(&j, "why_not", counters_all_why(l->all, i));
		json_close(&j);
	}
	json_close(&j);
	json_string(&j, "settings_error", l->hold.bad ? l->hold.error : NULL);
	json_array(&j, "rows");
	for (i = 0; i < lines->n; i++) {
		json_object(&j, NULL);
		json_string(&j, "section", section_words[lines->line[i].section]);
		json_string(&j, "name", lines->line[i].name);
		json_count(&j, &lines->line[i].count);
		json_close(&j);
	}
	json_close(&j);
	json_object(&j, "other");
	json_count(&j, &lines->other);
	json_close(&j);
	json_recent(&j, l->all);
	json_probes(&j, l->state_dir);
	json_notify(&j, held_settings(l->hold.now));
	json_end(&j);
}

/* ---- the command ---- */

static int
show_status(const struct cmd *c, struct look *l)
{
	struct lines lines;
	int status;

	if ((status = refresh(l)) != EXIT_DONE)
		return status;
	if (!gather(l, &lines))
		return cmd_error("out of memory");
	if (!c->json && l->watch > 0)
		fputs(isatty(STDOUT_FILENO) ? "\033[H\033[2J" : "\n", stdout);
	if (c->json)
		put_json(l, &lines);
	else
		put_table(l, &lines);
	free(lines.line);
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

static bool
read_watch(const char *text, unsigned *seconds)
{
	*seconds = text != NULL ? WATCH_DEFAULT : 0;
	return text == NULL || text[0] == '\0' || read_number(text, 1, 3600, seconds);
}

int
cmd_status(struct cmd *c, int argc, char **argv)
{
	static const struct usage usage = { "status [OPTION ...]",
	    "Prints what was accepted in clear, over TLS and, as a part of that, with a\n"
	    "verified certificate, what was refused, and what would have been where enforce\n"
	    "is report: for the server and for each listener, client network, domain and peer\n"
	    "that had any.  While the settings have an error the server's figures are all\n"
	    "that can be told, and the exit status is 1.\n" };
	struct look l = { 0 };
	const char *watch = NULL;
	const struct opt options[] = {
		{ "all", OPT_FLAG, &l.every, NULL, "rules without traffic too" },
		{ "reasons", OPT_FLAG, &l.reasons, NULL, "why mail was refused, under each row" },
		{ "recent", OPT_FLAG, &l.recent, NULL, "the last refusals: when, who, which rule" },
		{ "json", OPT_FLAG, &c->json, NULL, "as JSON" },
		{ "watch", OPT_MAYBE, &watch, "SECONDS", "again and again (every 2 seconds)" },
		{ "state-dir", OPT_VALUE, &l.asked_dir, "DIR", "instead of the settings' state_dir" },
		{ NULL, OPT_FLAG, NULL, NULL, NULL }
	};
	struct stat st;
	int n, status;

	if ((n = opt_parse(c, &usage, options, argc, argv)) < 0)
		return c->status;
	if (n > 0 && watch != NULL && read_watch(argv[0], &l.watch))
		return cmd_usage(c, "takes no operand \"%.64s\"; seconds are --watch=%.64s", argv[0],
		    argv[0]);
	if (l.asked_dir != NULL && l.asked_dir[0] != '/')
		return cmd_usage(c, "--state-dir \"%.300s\": a path that begins with /", l.asked_dir);
	if (n > 0)
		return cmd_usage(c, "takes no operand \"%.64s\"", argv[0]);
	if (!read_watch(watch, &l.watch))
		return cmd_usage(c, "--watch=%.32s: a number of seconds from 1 to 3600", watch);
	/* where the settings name it, setup may not have been there yet; a slip here is one */
	if (l.asked_dir != NULL && (stat(l.asked_dir, &st) == -1 || !S_ISDIR(st.st_mode)))
		return cmd_error("--state-dir %.300s: %s; it is the folder that state_dir of the "
		    "settings names", l.asked_dir, strerror(stat(l.asked_dir, &st) == -1 ? errno :
		    ENOTDIR));
	hold_init(&l.hold, c->ini);
	l.hold.form.map = true;
	while ((status = show_status(c, &l)) == EXIT_DONE && l.watch > 0)
		sleep(l.watch);
	if (status == EXIT_DONE && l.hold.now == NULL)
		status = EXIT_FAILED;
	counters_all_close(l.all);
	free(l.state_dir);
	hold_free(&l.hold);
	return status;
}
