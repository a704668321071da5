#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cert_calls.h"
#include "exim_cert.h"
#include "exim_state.h"
#include "pem_scan.h"

#define TEXT_MAX (((size_t)CLIENT_DER_MAX + 2) / 3 * 4)
#define ELEMENTS_MAX (CLIENT_CHAIN_MAX + 1)

struct octets {
	unsigned char *p;
	size_t len;
};

/* The part with OpenSSL. */
static struct {
	const struct cert_calls *calls;
	struct cert_verifier *verifier;
	pid_t tried, here;
	bool said;
} part;

/* What the events told of the chain, by depth. */
static struct {
	pid_t pid;
	struct octets element[ELEMENTS_MAX];
	size_t last;			/* depth of the last one */
	bool starved;			/* there was no memory for one of them */
} chain;

/* The session's certificate. */
static struct {
	char *text;
	struct cert_client *client;	/* NULL: it is none, */
	bool starved;			/* or there was no memory for it */
	char why[256];
} kept;

/* ---- loading ---- */

static void
load(void)
{
	char line[PATH_MAX + 300] = "certificates cannot be checked: ";
	size_t n = strlen(line);

	part.calls = exim_object(CERT_CALLS_FILE, CERT_CALLS_SYMBOL, line + n, sizeof(line) - n);
	if (part.calls == NULL) {
		if (!part.said)
			exim_say(line);
		part.said = true;
		return;
	}
	part.calls->begin();
	if ((part.verifier = part.calls->verifier_new()) == NULL)
		part.calls = NULL;
}

/* Once a process; the daemon tries again at each connection. */
static const struct cert_calls *
calls(bool daemon)
{
	if (part.calls == NULL && (daemon || part.tried != getpid())) {
		part.tried = getpid();
		load();
	}
	return part.calls;
}

/* ---- from text to octets ---- */

/*
 * out->p is the caller's; false: not base64, or too much of it, or, errno being
 * ENOMEM, no memory.
 */
static bool
decode(const char *text, struct octets *out)
{
	size_t len = strlen(text);

	errno = EINVAL;
	if (len == 0 || len > TEXT_MAX || (out->p = malloc(len / 4 * 3 + 3)) == NULL)
		return false;
	if ((out->len = base64_decode(text, len, out->p)) != SIZE_MAX)
		return true;
	free(out->p);
	out->p = NULL;
	errno = EINVAL;
	return false;
}

static void
forget_chain(void)
{
	for (size_t i = 0; i < ELEMENTS_MAX; i++)
		free(chain.element[i].p);
	memset(&chain, 0, sizeof(chain));
	chain.last = ELEMENTS_MAX;
}

void
exim_cert_element(const char *depth, const char *base64)
{
	char *end;
	unsigned long n = strtoul(depth, &end, 10);

	if (depth[0] < '0' || depth[0] > '9' || *end != '\0' || n >= ELEMENTS_MAX)
		return;
	/* from the far end to the leaf: what does not come nearer begins another chain */
	if (chain.pid != getpid() || n >= chain.last)
		forget_chain();
	chain.pid = getpid();
	chain.last = n;
	if (!decode(base64, &chain.element[n]) && errno == ENOMEM)
		chain.starved = true;
}

/* ---- facts ---- */

static void
take_chain(const struct cert_calls *c, const struct octets *leaf)
{
	const struct octets *told = &chain.element[0];

	if (chain.pid != getpid() || told->p == NULL || told->len != leaf->len ||
	    memcmp(told->p, leaf->p, leaf->len) != 0) {
		c->client_chain_unknown(kept.client);
		return;
	}
	if (chain.starved)
		c->client_chain_unknown(kept.client);
	for (size_t i = 1; i < ELEMENTS_MAX; i++)
		if (chain.element[i].p != NULL)
			c->client_add(kept.client, chain.element[i].p, chain.element[i].len);
}

static void
take(const struct cert_calls *c, const char *base64)
{
	struct octets leaf = { NULL, 0 };

	free(kept.text);
	if (kept.client != NULL)
		c->client_free(kept.client);
	memset(&kept, 0, sizeof(kept));
	if (!decode(base64, &leaf)) {
		kept.starved = errno == ENOMEM;
		snprintf(kept.why, sizeof(kept.why), "%s", kept.starved ? "out of memory" :
		    "the client's certificate is too large or damaged");
		return;
	}
	kept.client = c->client_new(part.verifier, leaf.p, leaf.len, kept.why, sizeof(kept.why));
	kept.starved = kept.client == NULL && errno == ENOMEM;
	if (kept.client != NULL)
		take_chain(c, &leaf);
	free(leaf.p);
	if (!kept.starved)		/* the next command may find memory again */
		kept.text = strdup(base64);
}

static void
no_certificate(void *arg, const struct rule *ca, struct trust *t)
{
	(void)arg;
	(void)ca;
	*t = (struct trust){ .trusted = false, .detail = kept.why,
	    .why = kept.starved ? REASON_CERT_UNKNOWN : REASON_CERT_UNTRUSTED };
}

static void
no_part(void *arg, const struct rule *ca, struct trust *t)
{
	(void)arg;
	(void)ca;
	*t = (struct trust){ .trusted = false, .why = REASON_CERT_UNKNOWN,
	    .detail = "the module's part for certificates cannot be loaded" };
}

void
exim_cert_facts(const char *base64, const struct settings *s, struct cert_facts *cert)
{
	const struct cert_calls *c = calls(false);

	if (c != NULL && part.here != getpid()) {
		part.here = getpid();
		c->arrive();
	}
	if (c != NULL && (kept.text == NULL || strcmp(kept.text, base64) != 0))
		take(c, base64);
	if (c != NULL && kept.client != NULL) {
		c->client_facts(kept.client, s, cert);
		return;
	}
	cert->status = CERT_UNTRUSTED;
	cert->verify = c != NULL ? no_certificate : no_part;
	cert->verify(NULL, NULL, &cert->server);
}

bool
exim_cert_trusted(void)
{
	return part.calls != NULL && kept.client != NULL && part.calls->client_trusted(kept.client);
}

/* ---- the daemon ---- */

static bool
any_requires(const struct settings *s)
{
	uint32_t weakest, strictest;

	for (enum section sec = 0; sec < SEC_RULES; sec++)
		if (settings_range(s, sec, KEY_CLIENT_CERT, &weakest, &strictest) &&
		    strictest >= CC_REQUIRE)
			return true;
	return false;
}

void
exim_cert_preload(const struct settings *s)
{
	const struct cert_calls *c;

	if (any_requires(s) && (c = calls(true)) != NULL)
		c->verifier_warm(part.verifier, s);
}
