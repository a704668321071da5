/*
 * tlsward cert: the key store's commands, and what they share.
 */
#include <sys/resource.h>
#include <sys/stat.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cert.h"
#include "cmd.h"
#include "cmd_cert.h"
#include "cmd_keystore.h"
#include "edit.h"
#include "keys.h"

static const struct subcommand {
	const char *name, *full;
	cmd_handler *run;
	const char *help;
} commands[] = {
	{ "create",	"cert create",	cert_create,	"make a key and a self-signed certificate" },
	{ "csr",	"cert csr",	cert_csr,	"make a request for a CA" },
	{ "import",	"cert import",	cert_import,	"take a certificate, its chain and its key" },
	{ "list",	"cert list",	cert_list,	"print the certificates and their states" },
	{ "show",	"cert show",	cert_show,	"print all about one" },
	{ "use",	"cert use",	cert_use,	"choose the one that the server shows" },
	{ "delete",	"cert delete",	cert_delete,	"remove one that no rule names" },
};
#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

static void
help(FILE *f)
{
	fprintf(f, "usage: tlsward [-c FILE] cert COMMAND [OPTION ...]\n"
	    "       tlsward cert COMMAND --help\n\n"
	    "The key store: certificates that the server shows, and their keys, in the\n"
	    "folder certs beside the settings.\n\n");
	for (size_t i = 0; i < NCOMMANDS; i++)
		fprintf(f, "  %-10s%s\n", commands[i].name, commands[i].help);
}

int
cmd_cert(struct cmd *c, int argc, char **argv)
{
	const char *words[NCOMMANDS];
	char hint[HINT_SIZE];
	int at = 1;

	for (; at < argc && strncmp(argv[at], "-c", 2) == 0; at++) {
		if (argv[at][2] == '\0' && at + 1 >= argc)
			return cmd_usage(c, "-c needs a file");
		c->ini = argv[at][2] != '\0' ? argv[at] + 2 : argv[++at];
	}
	if (at == argc) {
		help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0 ||
	    strcmp(argv[at], "help") == 0) {
		help(stdout);
		return EXIT_DONE;
	}
	for (size_t i = 0; i < NCOMMANDS; i++) {
		if (strcmp(commands[i].name, argv[at]) == 0) {
			/* No core file may hold a key, and no file is made for others by default. */
			setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
			umask(077);
			c->name = commands[i].full;
			return commands[i].run(c, argc - at, argv + at);
		}
		words[i] = commands[i].name;
	}
	if (argv[at][0] == '-')
		return cmd_usage(c, "unknown option %.64s before the command", argv[at]);
	return cmd_usage(c, "there is no command \"%.64s\"%s", argv[at],
	    meant(argv[at], words, NCOMMANDS, hint));
}

bool
cert_name(struct cmd *c, const char *word, char out[NAME_SIZE])
{
	const char *wrong = section_name_normal(SEC_CERTIFICATE, word, strlen(word), out, NAME_SIZE);

	if (wrong != NULL)
		c->status = cmd_usage(c, "the name \"%.64s\" %s", word, wrong);
	return wrong == NULL;
}

bool
cert_operand(struct cmd *c, int n, char **argv, char out[NAME_SIZE])
{
	if (n == 1)
		return cert_name(c, argv[0], out);
	c->status = n == 0 ? cmd_usage(c, "which certificate?  Give it a NAME, as in "
	    "[certificate NAME]") : cmd_usage(c, "takes one NAME, not \"%.64s\" too", argv[1]);
	return false;
}

const struct rule *
cert_user(const struct settings *s, const char *name, size_t nth)
{
	static const enum section users[] = { SEC_SERVER, SEC_LISTENER, SEC_CLIENT };
	const struct rule *r;
	const char *named;

	for (size_t u = 0; u < sizeof(users) / sizeof(users[0]); u++)
		for (size_t i = 0; (r = settings_at(s, users[u], i)) != NULL; i++) {
			named = settings_text(s, r, KEY_CERTIFICATE);
			if (named != NULL && strcmp(named, name) == 0 && nth-- == 0)
				return r;
		}
	return NULL;
}

int
cert_no_such(const struct cmd *c, const struct settings *s, const char *name, const char *also)
{
	cmd_error("%s: there is no [certificate %s]%s", c->ini, name, also);
	tell_sections(s, SEC_CERTIFICATE);
	if (settings_count(s, SEC_CERTIFICATE) == 0)
		fprintf(stderr, "`tlsward cert create` or `import` adds one.\n");
	return EXIT_FAILED;
}

const char *
cert_fault(const struct cert_info *info, const char *name, char buf[CERT_FAULT])
{
	const char *advice = strrchr(info->error, ';');

	if (info->state == CERT_STATE_CHAIN_INCOMPLETE && advice != NULL)
		snprintf(buf, CERT_FAULT, "%.*s; import it again with the chain: `tlsward cert import %s "
		    "--cert FILE`", (int)(advice - info->error), info->error, name);
	else
		snprintf(buf, CERT_FAULT, "%s", info->error);
	return buf;
}

unsigned
cert_expiring_days(const struct settings *s)
{
	struct list list = settings_list(s, settings_find(s, SEC_AGENT, ""), KEY_EXPIRY_DAYS);
	uint32_t most = 0, days;
	bool any = false;

	for (; list_next_number(&list, &days); any = true)
		most = days > most ? days : most;
	return any ? most : CERT_EXPIRING_PRESET;
}

/* ---- the servers ---- */

/* Has that server counted anything here? */
static bool
server_used(const struct settings *s, const char *server)
{
	const char *dir = settings_place(s, SEC_SERVER, KEY_STATE_DIR);
	char path[4096];

	return snprintf(path, sizeof(path), "%s/%s/counters", dir, server) < (int)sizeof(path) &&
	    access(path, F_OK) == 0;
}

void
cert_tell_servers(const struct settings *s, const char *file, const char *was)
{
	bool smtpd = server_used(s, "opensmtpd"), exim = server_used(s, "exim");

	if (exim || !smtpd)
		printf("Exim shows it from the next connection on.\n");
	if ((smtpd || !exim) && was != NULL && strcmp(was, file) != 0)
		put_out("OpenSMTPD reads certificates only when it starts: smtpd.conf may still name\n"
		    "%s: change its pki lines to the files above, then\n"
		    "restart it (systemctl restart opensmtpd).\n", was);
	else if (smtpd || !exim)
		put_out("OpenSMTPD reads certificates only when it starts: if its smtpd.conf names\n"
		    "%s, restart it (systemctl restart opensmtpd).\n", file);
}

/* ---- into the store ---- */

#define LINE_MAX_OCTETS 198	/* of the INI; see tlsward.ini(5) */

/* A longer line would be the INI's error, and a riddle. */
static bool
fits_a_line(const struct cmd *c, const char *path)
{
	if (strlen("file = ") + strlen(path) <= LINE_MAX_OCTETS)
		return true;
	cmd_error("%s: the path %s is too long for a line of %d octets; keep the settings in a "
	    "folder with a shorter name", c->ini, path, LINE_MAX_OCTETS);
	return false;
}

/* What the section names, where that is not the store's own. */
static void
tell_replaced(const struct cmd *c, const struct settings *s, const struct pair *p,
    enum key k, const char *now)
{
	const struct rule *r = settings_find(s, SEC_CERTIFICATE, p->name);
	const char *was = settings_text(s, r, k);

	if (was != NULL && strcmp(was, now) != 0)
		put_out("%s: [certificate %s] named %s, which stays as it is\n", c->ini, p->name, was);
}

static enum edit_status
write_section(const struct cmd *c, const char *name, const char *file, const char *key,
    struct edit_result *res)
{
	const struct edit edits[] = {
		{ EDIT_SET, SEC_CERTIFICATE, name, KEY_FILE, file },
		{ EDIT_SET, SEC_CERTIFICATE, name, KEY_KEY, key },
	};

	return edit_apply(c->ini, edits, sizeof(edits) / sizeof(edits[0]), res);
}

int
cert_install(const struct cmd *c, struct keystore *ks, const struct settings *s,
    const struct pair *p)
{
	bool fresh = settings_find(s, SEC_CERTIFICATE, p->name) == NULL;
	char file[STORE_PATH], key[STORE_PATH], waits[STORE_PATH], why[STORE_WHY], undo[STORE_WHY];
	struct edit_result res = { 0 };
	enum edit_status status;

	keystore_path(ks, p->name, STORE_CERT, file);
	keystore_path(ks, p->name, STORE_KEY, key);
	if (!fits_a_line(c, file))
		return EXIT_FAILED;
	/* A request's key waits for its certificate, unless this is it. */
	if (keystore_same(ks, p->name, STORE_NEW_KEY, p->key, p->key_len))
		keystore_drop(ks, p->name, STORE_NEW_KEY);
	if (!keystore_put(ks, p->name, STORE_KEY, p->key, p->key_len, p->access, why) ||
	    !keystore_put(ks, p->name, STORE_CERT, p->cert, p->cert_len, p->access, why) ||
	    !keystore_swap(ks, why)) {
		cmd_error("%s", why);
		goto undo;
	}
	status = write_section(c, p->name, file, key, &res);
	if (status != EDIT_OK && status != EDIT_SAME) {
		cmd_error("%s", res.text);
		goto undo;
	}
	keystore_keep(ks);
	put_out("%s: %s; %s\n%s: %s\n", key, p->key_said, p->access->text, file, p->cert_said);
	if (keystore_has(ks, p->name, STORE_NEW_KEY))
		put_out("%s: the key of a request, still waits for its certificate\n",
		    keystore_path(ks, p->name, STORE_NEW_KEY, waits));
	tell_replaced(c, s, p, KEY_FILE, file);
	tell_replaced(c, s, p, KEY_KEY, key);
	if (status == EDIT_OK)
		put_out("%s: [certificate %s] %s\n", c->ini, p->name, fresh ? "added" : "changed");
	if (cert_user(s, p->name, 0) == NULL)
		printf("No rule names it yet; to make the server show it:\n  %s cert use %s\n",
		    cmd_self(c), p->name);
	if (!fresh || cert_user(s, p->name, 0) != NULL)
		cert_tell_servers(s, file, settings_text(s, settings_find(s, SEC_CERTIFICATE, p->name),
		    KEY_FILE));
	edit_result_free(&res);
	return EXIT_DONE;
undo:
	if (!keystore_undo(ks, undo))
		cmd_error("%s", undo);
	edit_result_free(&res);
	return EXIT_FAILED;
}

/* ---- use ---- */

/* The rule to change: [server], or the listener.  False: said, c->status. */
static bool
take_listener(struct cmd *c, const char *listener, struct edit *e, char name[NAME_SIZE])
{
	const char *wrong;

	e->section = SEC_SERVER;
	e->name = name;
	name[0] = '\0';
	if (listener == NULL)
		return true;
	e->section = SEC_LISTENER;
	wrong = section_name_normal(SEC_LISTENER, listener, strlen(listener), name, NAME_SIZE);
	if (wrong != NULL)
		c->status = cmd_usage(c, "--listener \"%.64s\" %s", listener, wrong);
	return wrong == NULL;
}

static bool
fit_for_use(const struct settings *s, const struct rule *r, bool force)
{
	const char *file = settings_text(s, r, KEY_FILE), *key = settings_text(s, r, KEY_KEY);
	struct cert_info *info = malloc(sizeof(*info));
	char text[CERT_FAULT];
	bool fit = false;

	if (info == NULL) {
		cmd_error("out of memory");
		return false;
	}
	switch (cert_inspect(file, key, time(NULL), cert_expiring_days(s), info)) {
	case CERT_STATE_UNREADABLE:
	case CERT_STATE_KEY_MISMATCH:
	case CERT_STATE_EXPIRED:
	case CERT_STATE_NOT_YET:
		fit = force;
		if (!force)
			cmd_error("%s: %s (or --force)", settings_name(s, r), info->error);
		break;
	default:
		fit = true;
		break;
	}
	if (fit && info->state != CERT_STATE_OK)
		put_message(stderr, "tlsward: warning: %s: %s\n", settings_name(s, r),
		    cert_fault(info, settings_name(s, r), text));
	free(info);
	return fit;
}

static int
use(struct cmd *c, const struct settings *s, const struct rule *r, struct edit *e)
{
	struct edit_result res = { 0 };
	bool fresh = settings_find(s, e->section, e->name) == NULL;
	enum edit_status status = edit_apply(c->ini, e, 1, &res);
	char title[SECTION_TEXT];

	if (status == EDIT_OK || status == EDIT_SAME) {
		put_out("%s: %s certificate = %s%s\n", c->ini, section_text(e->section, e->name, title),
		    e->value, status == EDIT_SAME ? ", as before" : fresh ?
		    ", in a section that was not there" : "");
		cert_tell_servers(s, settings_text(s, r, KEY_FILE), NULL);
	} else {
		cmd_error("%s", res.text);
	}
	edit_result_free(&res);
	return status == EDIT_OK || status == EDIT_SAME ? EXIT_DONE : EXIT_FAILED;
}

int
cert_use(struct cmd *c, int argc, char **argv)
{
	static const struct usage usage = { "cert use NAME [--listener ADDRESS:PORT] [--force]",
	    "Makes the server, or one of its listeners, show the certificate: sets\n"
	    "certificate = NAME in [server] or in that [listener].  Refused for one that no\n"
	    "client would accept: expired, not yet valid, unreadable, with another key.\n" };
	const char *listener = NULL;
	bool force = false;
	const struct opt options[] = {
		{ "listener", OPT_VALUE, &listener, "ADDRESS:PORT", "only there" },
		{ "force", OPT_FLAG, &force, NULL, "in whatever state it is" },
		{ NULL, OPT_FLAG, NULL, NULL, NULL }
	};
	char name[NAME_SIZE], rule[NAME_SIZE];
	struct edit e = { .op = EDIT_SET, .key = KEY_CERTIFICATE };
	const struct rule *r;
	struct settings *s;
	int n, status = EXIT_FAILED;

	if ((n = opt_parse(c, &usage, options, argc, argv)) < 0 || !cert_operand(c, n, argv, name) ||
	    !take_listener(c, listener, &e, rule))
		return c->status;
	if ((s = cmd_settings(c)) == NULL)
		return EXIT_FAILED;
	e.value = name;
	if ((r = settings_find(s, SEC_CERTIFICATE, name)) == NULL)
		cert_no_such(c, s, name, "");
	else if (fit_for_use(s, r, force))
		status = use(c, s, r, &e);
	settings_free(s);
	return status;
}
