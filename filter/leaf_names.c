/* See leaf_names.h. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cert.h"
#include "leaf_names.h"
#include "name.h"
#include "pem_scan.h"

#define SEQUENCE 0x30
#define OBJECT 0x06
#define BOOLEAN 0x01
#define OCTETS 0x04
#define VERSION 0xa0		/* [0] and [3] of TBSCertificate */
#define EXTENSIONS 0xa3
#define DNS_NAME 0x82		/* [2] of GeneralName */

static const unsigned char alt_name[] = { 0x55, 0x1d, 0x11 };	/* 2.5.29.17 */

struct leaf {
	char *path;
	struct file_id id;
	char *names;		/* each with its NUL; an empty one ends them */
};
static struct leaf *leaves;	/* LEAVES_MAX of them; NULL: none was needed yet */
static size_t nleaves;

/* The extensions of a certificate; false: it has none, or is none. */
static bool
extensions_of(struct der cert, struct der *exts)
{
	struct der body, tbs, skip, outer;

	if (!der_take(&cert, SEQUENCE, &body) || !der_take(&body, SEQUENCE, &tbs))
		return false;
	(void)der_take(&tbs, VERSION, &skip);
	/* serial, signature, issuer, validity, subject, key; then [1] and [2], rarely */
	for (int i = 0; i < 6; i++)
		if (!der_skip(&tbs, &skip))
			return false;
	while (tbs.len > 0 && tbs.p[0] != EXTENSIONS)
		if (!der_skip(&tbs, &skip))
			return false;
	return der_take(&tbs, EXTENSIONS, &outer) && der_take(&outer, SEQUENCE, exts);
}

static bool
find_alt_names(struct der exts, struct der *names)
{
	struct der ext, oid, skip, value;

	while (exts.len > 0) {
		if (!der_take(&exts, SEQUENCE, &ext) || !der_take(&ext, OBJECT, &oid))
			return false;
		if (oid.len != sizeof(alt_name) || memcmp(oid.p, alt_name, oid.len) != 0)
			continue;
		(void)der_take(&ext, BOOLEAN, &skip);
		return der_take(&ext, OCTETS, &value) && der_take(&value, SEQUENCE, names);
	}
	return false;
}

/* Appends the name if it can be one. */
static char *
put_name(char *out, const struct der *name)
{
	if (name->len == 0 || name->len > NAME_MAX_LEN)
		return out;
	for (size_t i = 0; i < name->len; i++)
		if (name->p[i] <= ' ' || name->p[i] >= 0x7f)
			return out;
	memcpy(out, name->p, name->len);
	out[name->len] = '\0';
	return out + name->len + 1;
}

/* The names of a certificate, the caller's; NULL: out of memory. */
static char *
collect(const struct der *cert)
{
	struct der exts, names = { NULL, 0 }, name;
	char *list, *out;

	if (!extensions_of(*cert, &exts) || !find_alt_names(exts, &names))
		names.len = 0;
	/* a name's TLV is longer than the name and its NUL */
	if ((out = list = malloc(names.len + 2)) == NULL)
		return NULL;
	while (names.len > 0) {
		if (der_take(&names, DNS_NAME, &name))
			out = put_name(out, &name);
		else if (!der_skip(&names, &name))
			break;
	}
	*out = '\0';
	return list;
}

static struct leaf *
find(const char *file)
{
	size_t i;

	if (leaves == NULL && (leaves = calloc(LEAVES_MAX, sizeof(*leaves))) == NULL)
		return NULL;
	for (i = 0; i < nleaves; i++)
		if (strcmp(leaves[i].path, file) == 0)
			return &leaves[i];
	if (nleaves == LEAVES_MAX)	/* the last place changes hands */
		nleaves--;
	free(leaves[nleaves].path);
	free(leaves[nleaves].names);
	memset(&leaves[nleaves], 0, sizeof(leaves[nleaves]));
	if ((leaves[nleaves].path = strdup(file)) == NULL)
		return NULL;
	return &leaves[nleaves++];
}

static const char *
names_of(const char *file)
{
	struct leaf *leaf = find(file);
	struct file_id now;
	struct pem_file f;
	char why[200];

	if (leaf == NULL)
		return NULL;
	if (leaf->names != NULL && file_identify(file, &now) && file_id_equal(&now, &leaf->id))
		return leaf->names;
	free(leaf->names);
	leaf->names = NULL;
	if (!pem_load(file, "CERTIFICATE", CERT_FILE_MAX, &f, why, sizeof(why)))
		return NULL;
	leaf->names = collect(&f.entries[0]);
	leaf->id = f.id;
	pem_free(&f);
	return leaf->names;
}

int
leaf_covers(const char *file, const char *name)
{
	const char *p = names_of(file);
	size_t len;
	int best = 0;

	for (; p != NULL && *p != '\0'; p += len + 1) {
		len = strlen(p);
		if (strcasecmp(p, name) == 0)
			return 2;
		if (name_covers(p, len, name))
			best = 1;
	}
	return best;
}
