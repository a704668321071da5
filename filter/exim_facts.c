#include <string.h>

#include "append.h"
#include "exim_facts.h"

struct field {
	const char *p;
	size_t len;
};

static const struct {
	const char *name;
	enum tls_version version;
} tls_names[] = {
	/* GnuTLS's names, then OpenSSL's */
	{ "TLS1.0", TLS_1_0 }, { "TLS1.1", TLS_1_1 }, { "TLS1.2", TLS_1_2 }, { "TLS1.3", TLS_1_3 },
	{ "TLSv1", TLS_1_0 }, { "TLSv1.1", TLS_1_1 }, { "TLSv1.2", TLS_1_2 }, { "TLSv1.3", TLS_1_3 },
};

/*
 * Splits text at the first n - 1 bars; the last field is all that is left,
 * bars included.  False where there are fewer.
 */
static bool
split(const char *text, struct field *f, size_t n)
{
	const char *bar;
	size_t i;

	for (i = 0; i + 1 < n; i++, text = bar + 1) {
		if ((bar = strchr(text, '|')) == NULL)
			return false;
		f[i].p = text;
		f[i].len = (size_t)(bar - text);
	}
	f[i].p = text;
	f[i].len = strlen(text);
	return true;
}

static bool
field_is(const struct field *f, const char *word)
{
	return f->len == strlen(word) && memcmp(f->p, word, f->len) == 0;
}

/* Decimal digits only, without sign or space. */
static bool
field_number(const struct field *f, unsigned max, unsigned *out)
{
	unsigned long n = 0;
	size_t i;

	if (f->len == 0 || f->len > 9)
		return false;
	for (i = 0; i < f->len; i++) {
		if (f->p[i] < '0' || f->p[i] > '9')
			return false;
		n = n * 10 + (unsigned long)(f->p[i] - '0');
	}
	if (n > max)
		return false;
	*out = (unsigned)n;
	return true;
}

/* An address; the zone of a link-local one (RFC 4007 11) names no other host. */
static bool
field_ip(const struct field *f, struct addr *out)
{
	const char *zone = memchr(f->p, '%', f->len);

	return addr_ip(f->p, zone != NULL ? (size_t)(zone - f->p) : f->len, out);
}

const char *
exim_facts_session(struct exim_facts *x, const char *arg, long pid)
{
	enum { IP, PORT, CLIENT, AUTH, HELO, N };
	struct facts *facts = &x->facts;
	struct field f[N];
	unsigned port = 0;
	const char *end;

	memset(facts, 0, sizeof(*facts));
	x->sender_domain[0] = x->recipient_domain[0] = '\0';
	end = x->session + sizeof(x->session);
	(void)append_number(append(x->session, end, "exim-"), end, (uint64_t)pid);
	facts->session = x->session;
	facts->helo = facts->cipher = facts->sender = facts->recipient = "";
	facts->sender_domain = x->sender_domain;
	facts->recipient_domain = x->recipient_domain;

	if (!split(arg, f, N))
		return "the session has too few fields";
	facts->helo = f[HELO].p;
	if (field_is(&f[AUTH], "y"))
		facts->authenticated = true;
	else if (!field_is(&f[AUTH], "n"))
		return "the session's AUTH is neither y nor n";

	if (f[CLIENT].len == 0) {
		if (f[IP].len > 0)
			return "the session has a listener but no client";
		facts->listener.family = facts->client.family = ADDR_LOCAL;
		return NULL;
	}
	if (!field_ip(&f[CLIENT], &facts->client))
		return "the client's address is malformed";
	/* Without a listener (exim -bs -oMa): it is just not known. */
	if (f[IP].len > 0) {
		if (!field_ip(&f[IP], &facts->listener))
			return "the listener's address is malformed";
		if (!field_number(&f[PORT], 65535, &port) || port == 0)
			return "the listener's port is malformed";
		facts->listener.port = (uint16_t)port;
	}
	return NULL;
}

/* Whole groups of four, as Exim writes them. */
static bool
is_base64(const char *text)
{
	size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
	size_t pads = strspn(text + n, "=");

	return text[n + pads] == '\0' && pads <= 2 && (n + pads) % 4 == 0;
}

/* As Exim has it; what the certificate says is not looked at here. */
static const char *
certificate(struct cert_facts *cert, const char *base64, bool verified)
{
	if (*base64 == '\0') {
		cert->status = CERT_NONE;
		if (!verified)
			return NULL;
		/* Verified, yet nothing to see: not enough to let anybody in. */
		cert->status = CERT_UNTRUSTED;
		cert->server.why = REASON_CERT_UNKNOWN;
		return NULL;
	}
	if (!is_base64(base64))
		return "the certificate is not in base64";
	cert->status = verified ? CERT_TRUSTED : CERT_UNTRUSTED;
	cert->server.trusted = verified;
	cert->server.why = verified ? REASON_NONE : REASON_CERT_UNTRUSTED;
	return NULL;
}

const char *
exim_facts_tls(struct exim_facts *x, const char *arg, const char *base64)
{
	enum { VERSION, BITS, VERIFIED, CIPHER, N };
	struct facts *facts = &x->facts;
	struct field f[N];
	bool verified;
	size_t i;

	if (!split(arg, f, N))
		return "the TLS state has too few fields";
	if (f[VERSION].len == 0) {
		if (f[CIPHER].len > 0 || *base64 != '\0')
			return "there is a cipher or a certificate, but no TLS version";
		return NULL;
	}
	for (i = 0; i < sizeof(tls_names) / sizeof(tls_names[0]); i++)
		if (field_is(&f[VERSION], tls_names[i].name))
			facts->tls = tls_names[i].version;
	if (facts->tls == TLS_NONE)
		return "the TLS version is none that is known";
	if (!field_number(&f[BITS], 65535, &facts->bits))
		return "the cipher's bits are malformed";
	verified = field_is(&f[VERIFIED], "1");
	if (!verified && !field_is(&f[VERIFIED], "0"))
		return "the verification of the certificate is neither 1 nor 0";
	facts->cipher = f[CIPHER].p;
	return certificate(&facts->cert, base64, verified);
}

void
exim_facts_envelope(struct exim_facts *x, const char *sender, const char *recipient)
{
	x->facts.sender = sender;
	name_of_address(sender, strlen(sender), x->sender_domain);
	if (recipient != NULL) {
		x->facts.recipient = recipient;
		name_of_address(recipient, strlen(recipient), x->recipient_domain);
	}
}
