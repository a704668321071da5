/*
 * tlsward cert delete.
 */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "cmd_against.h"
#include "cmd_cert.h"
#include "cmd_keystore.h"
#include "edit.h"
#include "keys.h"

static bool
refuse_used(const struct cmd *c, const struct settings *s, const char *name)
{
	char title[SECTION_TEXT];
	const struct rule *r;
	size_t n;

	for (n = 0; (r = cert_user(s, name, n)) != NULL; n++)
		cmd_error("%s:%u: %s names certificate %s; choose another there with "
		    "`tlsward cert use`, or remove that line", c->ini,
		    settings_line(s, r, KEY_CERTIFICATE),
		    section_text((enum section)r->section, settings_name(s, r), title), name);
	if (n > 0)
		cmd_error("%s was not deleted", name);
	return n > 0;
}

/* The rule of another section that names the file, by whatever key and path; NULL: none. */
static const struct rule *
file_user(const struct settings *s, const char *name, const char *path, enum key *key)
{
	const struct rule *r;
	const char *named;

	for (int section = 0; section < SEC_MAX; section++)
		for (size_t i = 0; (r = settings_at(s, (enum section)section, i)) != NULL; i++) {
			if (section == SEC_CERTIFICATE && strcmp(settings_name(s, r), name) == 0)
				continue;
			for (*key = 0; *key < KEY_MAX; ++*key)
				if (key_table[*key].type == TYPE_PATH &&
				    (named = settings_text(s, r, *key)) != NULL && same_file(named, path))
					return r;
		}
	return NULL;
}

/* Says why a file stays. */
static void
tell_shared(const struct cmd *c, const struct settings *s, const char *name, const char *path)
{
	char title[SECTION_TEXT];
	enum key k;
	const struct rule *r = file_user(s, name, path, &k);

	if (r != NULL)
		put_out("%s: stays, %s:%u: %s has it as %s\n", path, c->ini, settings_line(s, r, k),
		    section_text((enum section)r->section, settings_name(s, r), title),
		    key_table[k].name);
}

/* Files of the section that are not the store's are not ours to remove. */
static void
tell_outside(const struct settings *s, const struct keystore *ks, const char *name)
{
	const struct rule *r = settings_find(s, SEC_CERTIFICATE, name);
	const char *file = settings_text(s, r, KEY_FILE), *key = settings_text(s, r, KEY_KEY);
	char path[STORE_PATH];

	if (file != NULL && strcmp(file, keystore_path(ks, name, STORE_CERT, path)) != 0)
		put_out("%s: not in the store, stays\n", file);
	if (key != NULL && strcmp(key, keystore_path(ks, name, STORE_KEY, path)) != 0)
		put_out("%s: not in the store, stays\n", key);
}

static int
delete_files(const struct cmd *c, struct keystore *ks, const struct settings *s, const char *name,
    bool keep, bool section)
{
	const struct edit e = { .op = EDIT_REMOVE, .section = SEC_CERTIFICATE, .name = name };
	bool there[STORE_FILES] = { false }, gone[STORE_FILES] = { false };
	char path[STORE_PATH], why[STORE_WHY];
	struct edit_result res = { 0 };
	enum key k;

	for (int f = 0; !keep && f < STORE_FILES; f++) {
		keystore_path(ks, name, (enum store_file)f, path);
		there[f] = keystore_has(ks, name, (enum store_file)f);
		gone[f] = there[f] && file_user(s, name, path, &k) == NULL;
		if (gone[f])
			keystore_drop(ks, name, (enum store_file)f);
	}
	if (ks->fd != -1 && !keystore_swap(ks, why))
		return cmd_error("%s", why);
	if (section && edit_apply(c->ini, &e, 1, &res) != EDIT_OK) {
		cmd_error("%s", res.text);
		edit_result_free(&res);
		return EXIT_FAILED;
	}
	keystore_keep(ks);
	if (section)
		put_out("%s: [certificate %s] removed\n", c->ini, name);
	for (int f = 0; f < STORE_FILES; f++) {
		keystore_path(ks, name, (enum store_file)f, path);
		if (gone[f])
			put_out("%s: removed\n", path);
		else if (there[f])
			tell_shared(c, s, name, path);
	}
	if (!keep && section)
		tell_outside(s, ks, name);
	edit_result_free(&res);
	return EXIT_DONE;
}

int
cert_delete(struct cmd *c, int argc, char **argv)
{
	static const struct usage usage = { "cert delete NAME [--keep-files]",
	    "Removes the section and, from the store, certificate and key.  Refused while a\n"
	    "rule names it.  Files that the section names elsewhere stay.\n" };
	bool keep = false, section, found = false;
	const struct opt options[] = {
		{ "keep-files", OPT_FLAG, &keep, NULL, "only remove the section" },
		{ NULL, OPT_FLAG, NULL, NULL, NULL }
	};
	char name[NAME_SIZE], why[STORE_WHY];
	struct keystore ks;
	struct settings *s;
	int n, status = EXIT_FAILED;

	if ((n = opt_parse(c, &usage, options, argc, argv)) < 0 || !cert_operand(c, n, argv, name))
		return c->status;
	if ((s = cmd_settings(c)) == NULL)
		return EXIT_FAILED;
	if (!keystore_open(&ks, c->ini, false, why)) {
		cmd_error("%s", why);
		goto out;
	}
	section = settings_find(s, SEC_CERTIFICATE, name) != NULL;
	for (int f = 0; !keep && f < STORE_FILES; f++)
		found = found || keystore_has(&ks, name, (enum store_file)f);
	if (!section && !found)
		status = cert_no_such(c, s, name, "");
	else if (!refuse_used(c, s, name))
		status = delete_files(c, &ks, s, name, keep, section);
out:
	keystore_close(&ks);
	settings_free(s);
	return status;
}
