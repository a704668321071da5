/* See cert_next.h. */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "cert_file.h"
#include "cert_next.h"

struct one {
	X509 *x;
	struct cert_names names;
	time_t from, to;
};

static bool
take(struct one *o, const struct der *der)
{
	if ((o->x = cert_parse_der(der->p, der->len)) == NULL || !cert_names_read(o->x, &o->names))
		return false;
	o->from = cert_time(X509_get0_notBefore(o->x));
	o->to = cert_time(X509_get0_notAfter(o->x));
	return true;
}

static bool
has_name(const struct cert_names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->name[i], name) == 0)
			return true;
	return false;
}

/* Is b what the holder of a shows after it? */
static bool
follows(const struct one *b, const struct one *a)
{
	if (b->to <= a->to || b->from > a->to ||
	    X509_NAME_cmp(X509_get_subject_name(a->x), X509_get_subject_name(b->x)) != 0)
		return false;
	for (size_t i = 0; i < a->names.n; i++)
		if (!has_name(&b->names, a->names.name[i]))
			return false;
	/* Without any name there is nothing by which they belong together. */
	return a->names.n > 0 || X509_NAME_entry_count(X509_get_subject_name(a->x)) > 0;
}

/* True: one follows what is older than was known: again, for those that follow it. */
static bool
compare(const struct one *all, size_t n, struct cert_next *next)
{
	bool more = false;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++) {
			if (!follows(&all[i], &all[k]))
				continue;
			next[k].followed = true;
			if (next[k].from < next[i].from) {
				next[i].from = next[k].from;
				more = true;
			}
		}
	return more;
}

struct cert_next *
cert_next_find(const struct der *entries, size_t n)
{
	struct cert_next *next = NULL;
	struct one *all;
	size_t i = 0;

	if (n < 2 || n > CERT_NEXT_MAX || (all = calloc(n, sizeof(*all))) == NULL)
		return NULL;
	while (i < n && take(&all[i], &entries[i]))
		i++;
	if (i == n && (next = calloc(n, sizeof(*next))) != NULL) {
		for (i = 0; i < n; i++)
			next[i].from = all[i].from;
		while (compare(all, n, next))
			;
	}
	for (i = 0; i < n; i++) {
		cert_names_free(&all[i].names);
		X509_free(all[i].x);
	}
	free(all);
	ERR_clear_error();
	return next;
}
