/*
 * tlsward cert list, show: what certificates are and in what state.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/x509.h>

#include "cert.h"
#include "cmd.h"
#include "cmd_cert.h"
#include "cmd_cert_pins.h"
#include "cmd_cert_read.h"
#include "cmd_json.h"
#include "cmd_keystore.h"

/* One certificate: of a section, or of a file alone. */
struct item {
	const struct settings *s;	/* NULL: a file alone */
	const struct rule *rule;
	const char *name;		/* NULL likewise */
	const char *file, *key;
	struct cert_info info;
	bool waits;			/* a request's key waits for its certificate */
};

static void
take_item(struct item *it, const struct settings *s, const struct rule *r,
    const struct keystore *ks)
{
	it->s = s;
	it->rule = r;
	it->name = settings_name(s, r);
	it->file = settings_text(s, r, KEY_FILE);
	it->key = settings_text(s, r, KEY_KEY);
	it->waits = keystore_has(ks, it->name, STORE_NEW_KEY);
	cert_inspect(it->file, it->key, time(NULL), cert_expiring_days(s), &it->info);
}

/* ---- JSON ---- */

static void
json_users(struct json *j, const struct item *it)
{
	const struct rule *r;
	char title[SECTION_TEXT];

	json_array(j, "used_by");
	for (size_t n = 0; (r = cert_user(it->s, it->name, n)) != NULL; n++) {
		json_object(j, NULL);
		json_string(j, "rule", section_text((enum section)r->section,
		    settings_name(it->s, r), title));
		json_number(j, "line", settings_line(it->s, r, KEY_CERTIFICATE));
		json_close(j);
	}
	json_close(j);
}

static void
json_fields(struct json *j, const struct cert_info *i)
{
	char date[32], pin[80];

	json_string(j, "subject", i->subject);
	json_string(j, "issuer", i->issuer);
	json_string(j, "serial", i->serial);
	json_string(j, "not_before", utc_text(i->not_before, UTC_RFC3339, date));
	json_string(j, "not_after", utc_text(i->not_after, UTC_RFC3339, date));
	json_integer(j, "days_left", i->days_left);
	json_array(j, "names");
	for (size_t n = 0; n < i->nnames; n++)
		json_string(j, NULL, i->names[n]);
	json_close(j);
	json_integer(j, "names_not_listed", (long)i->names_left);
	json_string(j, "common_name", i->cn[0] != '\0' ? i->cn : NULL);
	json_string(j, "key_type", i->key_type);
	json_integer(j, "key_bits", i->key_bits);
	json_string(j, "fingerprint", cert_pin_text(i->fingerprint, false, pin));
	json_string(j, "public_key", cert_pin_text(i->spki, true, pin));
	json_bool(j, "self_signed", i->self_signed);
	json_bool(j, "chain_complete", i->chain_complete);
	json_number(j, "chain_length", i->chain_len);
	if (i->has_key)
		json_bool(j, "key_matches", i->key_matches);
	else
		json_string(j, "key_matches", NULL);
}

static void
json_item(struct json *j, const char *member, const struct item *it)
{
	json_object(j, member);
	json_string(j, "name", it->name);
	json_string(j, "file", it->file);
	json_string(j, "key", it->key);
	if (it->rule != NULL)
		json_number(j, "line", it->rule->line);
	json_string(j, "state", cert_state_words[it->info.state]);
	json_string(j, "error", it->info.error[0] != '\0' ? it->info.error : NULL);
	if (it->info.parsed)
		json_fields(j, &it->info);
	if (it->rule != NULL) {
		json_users(j, it);
		json_bool(j, "request_waits", it->waits);
	}
	json_close(j);
}

/* ---- text ---- */

static void
put_row(const char *head, const char *text)
{
	printf("  %-14s ", head);
	put_text(stdout, text);
	putchar('\n');
}

static void
put_names(const struct cert_info *i)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (f == NULL)
		return;
	for (size_t n = 0; n < i->nnames; n++) {
		fputs(n > 0 ? ", " : "", f);
		put_text(f, i->names[n]);
	}
	if (i->names_left > 0)
		fprintf(f, ", and %zu more", i->names_left);
	if (fclose(f) == 0) {
		printf("  %-14s ", "names");
		put_folded(17, 17, i->nnames > 0 ? text : "-");
	}
	free(text);
}

static void
put_validity(const struct cert_info *i)
{
	char from[32], to[32];

	put_out("  %-14s %s to %s UTC", "valid", utc_text(i->not_before, UTC_SECOND, from),
	    utc_text(i->not_after, UTC_SECOND, to));
	if (i->days_left >= 0)
		put_out(" (%ld day%s left)\n", i->days_left, i->days_left == 1 ? "" : "s");
	else
		printf(" (over)\n");
}

static void
put_fields(const struct cert_info *i)
{
	char text[128], pin[80];

	put_row("subject", i->subject);
	put_row("issuer", i->issuer);
	put_row("serial", i->serial);
	put_validity(i);
	put_names(i);
	if (i->cn[0] != '\0')
		put_row("common name", i->cn);
	snprintf(text, sizeof(text), "%s, %d bits", i->key_type, i->key_bits);
	put_row("key type", text);
	put_row("fingerprint", cert_pin_text(i->fingerprint, false, pin));
	put_row("public key", cert_pin_text(i->spki, true, pin));
	if (i->chain_len == 0)
		return;
	snprintf(text, sizeof(text), "%zu certificate%s, %s", i->chain_len,
	    i->chain_len == 1 ? "" : "s", i->self_signed ? "self-signed" :
	    i->chain_complete ? "complete" : "an issuer is missing");
	put_row("chain", text);
}

static void
put_item(const struct item *it)
{
	char title[SECTION_TEXT], text[SECTION_TEXT + 32], fault[CERT_FAULT];
	const struct rule *r;

	if (it->rule != NULL)
		put_out("%s\n", section_text(SEC_CERTIFICATE, it->name, title));
	put_row("file", it->file);
	if (it->key != NULL) {
		printf("  %-14s ", "key");
		put_text(stdout, it->key);
		put_out("%s%s\n", it->info.key_denied ?
		    " (not readable for this user, so not compared)" :
		    it->info.has_key && it->info.key_matches ? " (matches)" : "",
		    it->info.key_open ? " (readable for everybody: chmod 0640 it)" : "");
	}
	put_row("state", cert_state_words[it->info.state]);
	if (it->info.error[0] != '\0')
		put_row("", it->rule != NULL ? cert_fault(&it->info, it->name, fault) : it->info.error);
	if (it->info.parsed)
		put_fields(&it->info);
	if (it->rule == NULL)
		return;
	if (it->waits)
		put_row("request", "a key waits for its certificate (`tlsward cert import`)");
	for (size_t n = 0; (r = cert_user(it->s, it->name, n)) != NULL; n++) {
		section_text((enum section)r->section, settings_name(it->s, r), title);
		snprintf(text, sizeof(text), "%s, line %u", title, settings_line(it->s, r, KEY_CERTIFICATE));
		put_row(n == 0 ? "used by" : "", text);
	}
}

static void
put_line(const struct item *it, int width)
{
	const struct cert_info *i = &it->info;
	char date[32] = "-", left[24] = "", kind[48] = "-", fault[CERT_FAULT];

	if (i->parsed) {
		utc_text(i->not_after, UTC_DAY, date);
		snprintf(left, sizeof(left), "%ld", i->days_left);
		if (strcmp(i->key_type, "RSA") == 0)
			snprintf(kind, sizeof(kind), "RSA %d", i->key_bits);
		else
			snprintf(kind, sizeof(kind), "%s", i->key_type);
	}
	printf("%-*s %-16s %-10s %5s  %-9s ", width, it->name, cert_state_words[i->state], date, left,
	    kind);
	put_text(stdout, i->nnames > 0 ? i->names[0] : "-");
	if (i->nnames > 1)
		printf(" +%zu", i->nnames - 1 + i->names_left);
	putchar('\n');
	if (i->state != CERT_STATE_OK)
		put_row("", cert_fault(i, it->name, fault));
	if (it->waits)
		put_row("", "a request waits for its certificate");
}

/* ---- list ---- */

static bool
list(const struct cmd *c, const struct settings *s, const struct keystore *ks, struct item *it)
{
	const struct rule *r;
	struct json j;
	int width = 4;
	bool good;
	size_t i;

	for (i = 0; (r = settings_at(s, SEC_CERTIFICATE, i)) != NULL; i++)
		if ((int)strlen(settings_name(s, r)) > width)
			width = (int)strlen(settings_name(s, r));
	if (c->json) {
		json_begin(&j, stdout);
		json_string(&j, "file", c->ini);
		json_array(&j, "certificates");
	} else if (settings_count(s, SEC_CERTIFICATE) == 0) {
		put_out("%s: no certificates; `tlsward cert create` or `import` adds one\n", c->ini);
	} else {
		printf("%-*s %-16s %-10s %5s  %-9s NAMES\n", width, "NAME", "STATE", "EXPIRES", "DAYS",
		    "KEY");
	}
	for (i = 0; (r = settings_at(s, SEC_CERTIFICATE, i)) != NULL; i++) {
		take_item(it, s, r, ks);
		if (c->json)
			json_item(&j, NULL, it);
		else
			put_line(it, width);
	}
	if (!c->json)
		return cert_pins_put(s);
	json_close(&j);
	good = cert_pins_json(s, &j);
	json_end(&j);
	return good;
}

int
cert_list(struct cmd *c, int argc, char **argv)
{
	static const struct usage usage = { "cert list [--json]",
	    "Prints each [certificate] with its state, when it expires, how many days that\n"
	    "is, its key and its first name; then each file of pins, which rules name by\n"
	    "certs.  States: ok, expiring (within the greatest of expiry_days), expired,\n"
	    "not-yet-valid, key-mismatch, unreadable and chain-incomplete.\n" };
	const struct opt options[] = {
		{ "json", OPT_FLAG, &c->json, NULL, "as JSON, with all that `show` tells" },
		{ NULL, OPT_FLAG, NULL, NULL, NULL }
	};
	struct keystore ks;
	struct settings *s;
	struct item *it;
	bool good;
	int n;

	if ((n = opt_parse(c, &usage, options, argc, argv)) < 0)
		return c->status;
	if (n > 0)
		return cmd_usage(c, "takes no operand \"%.64s\"; `tlsward cert show` does", argv[0]);
	if ((s = cmd_settings(c)) == NULL)
		return EXIT_FAILED;
	if ((it = calloc(1, sizeof(*it))) == NULL) {
		settings_free(s);
		return cmd_error("out of memory");
	}
	keystore_look(&ks, c->ini);
	good = list(c, s, &ks, it);
	keystore_close(&ks);
	free(it);
	settings_free(s);
	return good ? EXIT_DONE : cmd_error("out of memory");
}

/* ---- show ---- */

static int
show(const struct cmd *c, const struct item *it)
{
	struct json j;

	if (c->json) {
		json_begin(&j, stdout);
		json_item(&j, "certificate", it);
		json_end(&j);
	} else {
		put_item(it);
	}
	return it->info.state == CERT_STATE_UNREADABLE ? EXIT_FAILED : EXIT_DONE;
}

/* Servers read PEM only; what a CA sends may be DER, or PKCS#7. */
static void
inspect_der(struct item *it)
{
	char why[READ_WHY];
	STACK_OF(X509) *certs = read_certificates(it->file, why);
	unsigned char *der = NULL;
	int len;

	if (certs != NULL && (len = i2d_X509(sk_X509_value(certs, 0), &der)) > 0)
		cert_inspect_der(der, (size_t)len, time(NULL), CERT_EXPIRING_PRESET, &it->info);
	it->info.chain_len = 0;		/* not looked at */
	OPENSSL_free(der);
	sk_X509_pop_free(certs, X509_free);
}

static int
show_file(const struct cmd *c, struct item *it, const char *path)
{
	it->file = path;
	if (cert_inspect(path, NULL, time(NULL), CERT_EXPIRING_PRESET, &it->info) ==
	    CERT_STATE_UNREADABLE && !it->info.parsed)
		inspect_der(it);
	return show(c, it);
}

static int
show_section(struct cmd *c, struct item *it, const char *word)
{
	char name[NAME_SIZE], also[280];
	const struct rule *r;
	struct keystore ks;
	struct settings *s;
	int status;

	if (!cert_name(c, word, name))
		return c->status;
	if ((s = cmd_settings(c)) == NULL)
		return EXIT_FAILED;
	if ((r = settings_find(s, SEC_CERTIFICATE, name)) == NULL) {
		snprintf(also, sizeof(also), ", and no file %.256s", word);
		status = cert_no_such(c, s, name, also);
	} else {
		keystore_look(&ks, c->ini);
		take_item(it, s, r, &ks);
		status = show(c, it);
		keystore_close(&ks);
	}
	settings_free(s);
	return status;
}

int
cert_show(struct cmd *c, int argc, char **argv)
{
	static const struct usage usage = { "cert show NAME|FILE [--json]",
	    "Prints all about a [certificate], or about the certificate in a file: what has a\n"
	    "slash in it, or exists while no section has that name, is a file.\n" };
	const struct opt options[] = {
		{ "json", OPT_FLAG, &c->json, NULL, "as JSON" },
		{ NULL, OPT_FLAG, NULL, NULL, NULL }
	};
	struct settings *s = NULL;
	struct item *it;
	bool section = false;
	int n, status;

	if ((n = opt_parse(c, &usage, options, argc, argv)) < 0)
		return c->status;
	if (n != 1)
		return n == 0 ? cmd_usage(c, "which certificate, or file?") :
		    cmd_usage(c, "takes one, not \"%.64s\" too", argv[1]);
	if ((it = calloc(1, sizeof(*it))) == NULL)
		return cmd_error("out of memory");
	if (strchr(argv[0], '/') == NULL && access(argv[0], F_OK) == 0) {
		s = settings_read(c->ini, false, NULL, NULL);
		section = s != NULL && settings_find(s, SEC_CERTIFICATE, argv[0]) != NULL;
		settings_free(s);
	}
	if (strchr(argv[0], '/') != NULL || (access(argv[0], F_OK) == 0 && !section))
		status = show_file(c, it, argv[0]);
	else
		status = show_section(c, it, argv[0]);
	free(it);
	return status;
}
