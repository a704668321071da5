/* See cmd_cert_own.h. */
#include <stdio.h>
#include <string.h>

#include "cert_file.h"
#include "cmd.h"
#include "cmd_cert_own.h"

bool
own_key_there(const struct keystore *ks, const struct settings *s, const char *name, enum own own,
    char path[STORE_PATH])
{
	const char *named = settings_text(s, settings_find(s, SEC_CERTIFICATE, name), KEY_KEY);

	if (own == OWN_WAITING) {
		keystore_path(ks, name, STORE_NEW_KEY, path);
		return keystore_has(ks, name, STORE_NEW_KEY);
	}
	snprintf(path, STORE_PATH, "%s", named != NULL ? named : "");
	return named != NULL;
}

/* The file of the store that the path is; STORE_FILES: none. */
static enum store_file
of_store(const struct keystore *ks, const char *name, const char *path)
{
	char own[STORE_PATH];
	int f;

	for (f = 0; f < STORE_FILES; f++)
		if (ks->fd != -1 &&
		    strcmp(keystore_path(ks, name, (enum store_file)f, own), path) == 0)
			break;
	return (enum store_file)f;
}

EVP_PKEY *
own_key(const struct keystore *ks, const struct settings *s, const char *name, enum own own)
{
	char path[STORE_PATH], why[STORE_WHY], *pem;
	EVP_PKEY *key = NULL;
	enum store_file f;
	size_t len;

	own_key_there(ks, s, name, own, path);
	f = of_store(ks, name, path);
	if (f == STORE_FILES) {
		if ((key = cert_read_key(path, NULL, why, sizeof(why))) == NULL)
			cmd_error("%s: %s", path, why);
	} else if ((pem = keystore_read(ks, name, f, &len, why)) == NULL) {
		cmd_error("%s", why);
	} else {
		if ((key = cert_parse_key(pem, len, NULL, why, sizeof(why))) == NULL)
			cmd_error("%s: %s", path, why);
		keystore_forget(pem, len);
	}
	return key;
}
