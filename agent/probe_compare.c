/* See probe.h: what is to be probed, and what is wrong with what was found. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "cert.h"
#include "cert_file.h"
#include "policy.h"
#include "probe.h"

const char *const probe_words[PROBE_FINDINGS] = {
	"unreachable", "no-starttls", "starttls-refused", "tls-unwanted", "tls-failed", "tls-weak",
	"other-certificate", "chain-short", "expired", "not-yet-valid", "not-asking",
	"not-verifying", "file-unreadable"
};

/* ---- targets ---- */

struct targets {
	struct probe_target *t;
	size_t n, size;
	size_t room;		/* for names */
	size_t left;		/* what found no room */
};

static struct probe_target *
add(struct targets *list, const struct addr *listener)
{
	struct probe_target *more;

	if (list->n == PROBE_TARGETS_MAX) {
		list->left++;
		return NULL;
	}
	if (list->n == list->size) {
		more = realloc(list->t, (list->size * 2 + 8) * sizeof(*more));
		if (more == NULL)
			return NULL;
		list->t = more;
		list->size = list->size * 2 + 8;
	}
	memset(&list->t[list->n], 0, sizeof(list->t[0]));
	list->t[list->n].listener = *listener;
	return &list->t[list->n++];
}

static bool
lists(const struct settings *s, const struct rule *certificate, const char *wanted)
{
	struct list names = settings_list(s, certificate, KEY_NAMES);
	const char *name;

	while ((name = list_next_name(&names)) != NULL)
		if (strcmp(name, wanted) == 0)
			return true;
	return false;
}

/* A name that several have is the listener's own certificate's, else the first one's. */
static bool
its_own(const struct settings *s, const struct rule *certificate, const struct rule *base,
    const char *name)
{
	const struct rule *r;

	if (base != NULL && lists(s, base, name))
		return false;
	for (size_t i = 0; (r = settings_at(s, SEC_CERTIFICATE, i)) != NULL && r != certificate; i++)
		if (lists(s, r, name))
			return false;
	return true;
}

static void
add_names(const struct settings *s, const struct rule *certificate, const struct rule *base,
    const struct addr *listener, size_t max, struct targets *list)
{
	struct list names = settings_list(s, certificate, KEY_NAMES);
	const char *name, *dot;
	struct probe_target *t;
	int n;

	while (max > 0 && (name = list_next_name(&names)) != NULL) {
		if (!its_own(s, certificate, base, name))
			continue;
		if (list->room == 0) {
			list->left++;
			max--;
			continue;
		}
		if ((t = add(list, listener)) == NULL)
			return;
		list->room--;
		/* ".x" and "*.x" stand for names below x: one of those. */
		dot = name[0] == '*' ? name + 1 : name;
		n = snprintf(t->sni, sizeof(t->sni), "%s%s", dot[0] == '.' ? "probe" : "", dot);
		if (n < 0 || (size_t)n > NAME_MAX_LEN) {
			list->n--;
			list->room++;
			continue;
		}
		snprintf(t->certificate, sizeof(t->certificate), "%.64s", settings_name(s, certificate));
		max--;
	}
}

static void
add_listener(const struct settings *s, const struct addr *listener, size_t names,
    struct targets *list)
{
	const struct rule *r = settings_listener(s, listener), *base = NULL;
	const char *name;

	if (add(list, listener) == NULL)
		return;
	if (!rule_sets(r, KEY_CERTIFICATE))
		r = settings_find(s, SEC_SERVER, "");
	if ((name = settings_text(s, r, KEY_CERTIFICATE)) != NULL)
		base = settings_find(s, SEC_CERTIFICATE, name);
	for (size_t i = 0; (r = settings_at(s, SEC_CERTIFICATE, i)) != NULL; i++)
		if (r != base)
			add_names(s, r, base, listener, names, list);
}

size_t
probe_targets_at(const struct settings *s, const struct addr *listener, size_t names,
    struct probe_target **out)
{
	struct targets list = { .room = PROBE_TARGETS_MAX - 1 };

	add_listener(s, listener, names, &list);
	*out = list.t;
	return list.n;
}

size_t
probe_targets(const struct settings *s, size_t names, struct probe_target **out, size_t *left)
{
	struct addr any = { .family = ADDR_ANY, .port = PROBE_PORT };
	size_t listeners = settings_count(s, SEC_LISTENER);
	struct targets list = { 0 };
	const struct rule *r;
	struct addr at;

	list.room = listeners == 0 ? PROBE_TARGETS_MAX - 1 :
	    listeners < PROBE_TARGETS_MAX ? PROBE_TARGETS_MAX - listeners : 0;
	for (size_t i = 0; (r = settings_at(s, SEC_LISTENER, i)) != NULL; i++) {
		at = settings_addr(s, r);
		add_listener(s, &at, names, &list);
	}
	if (listeners == 0)
		add_listener(s, &any, names, &list);
	*out = list.t;
	if (left != NULL)
		*left = list.left;
	return list.n;
}

/* ---- what is expected ---- */

static void
expect_file(struct probe_expect *e)
{
	char why[160];
	STACK_OF(X509) *chain = cert_read_chain(e->file, why, sizeof(why));
	struct cert_info *info = malloc(sizeof(*info));
	unsigned char *der = NULL;
	int n, len;

	if (chain == NULL || info == NULL) {
		snprintf(e->file_error, sizeof(e->file_error), "%s", chain == NULL ? why : "out of memory");
		goto out;
	}
	n = sk_X509_num(chain);
	for (int i = 0; i < n && i < PROBE_CHAIN_MAX; i++) {
		X509 *x = sk_X509_value(chain, i);

		/* Who verifies has the root already: RFC 8446 4.4.2 lets it be left out. */
		if (i > 0 && X509_check_issued(x, x) == X509_V_OK)
			continue;
		if (X509_digest(x, EVP_sha256(), e->chain[e->chain_len], NULL) == 1)
			e->chain_len++;
	}
	if ((len = i2d_X509(sk_X509_value(chain, 0), &der)) > 0) {
		(void)cert_inspect_der(der, (size_t)len, 0, 0, info);
		snprintf(e->subject, sizeof(e->subject), "%.255s", info->subject);
		e->not_before = info->not_before;
	}
	OPENSSL_free(der);
out:
	sk_X509_pop_free(chain, X509_free);
	free(info);
}

void
probe_expect(const struct settings *s, const struct probe_target *t,
    const struct probe_result *result, struct probe_expect *e)
{
	struct facts f = { .listener = result->to, .client = result->from };
	struct effective base;
	const char *name = t->certificate, *file;

	memset(e, 0, sizeof(*e));
	if (f.listener.family == ADDR_NONE)
		f.listener = t->listener;
	policy_base(s, &f, &base);
	e->mode = (enum mode)base.value[KEY_MODE];
	e->client_cert = (enum client_cert)base.value[KEY_CLIENT_CERT];
	e->verifies = base.value[KEY_VERIFIES] != 0;
	e->min_tls = base.value[KEY_MIN_TLS];
	e->min_bits = base.value[KEY_MIN_BITS];
	if (name[0] == '\0')
		name = settings_text(s, base.from[KEY_CERTIFICATE], KEY_CERTIFICATE);
	if (name == NULL)
		return;
	snprintf(e->certificate, sizeof(e->certificate), "%.64s", name);
	file = settings_text(s, settings_find(s, SEC_CERTIFICATE, name), KEY_FILE);
	if (file == NULL)
		return;
	if (strlen(file) >= sizeof(e->file)) {
		snprintf(e->file_error, sizeof(e->file_error), "the path is too long");
		return;
	}
	snprintf(e->file, sizeof(e->file), "%s", file);
	expect_file(e);
}

/* ---- what was found ---- */

struct look {
	const struct probe_target *target;
	const struct probe_expect *want;
	const struct probe_result *got, *plain;
	time_t now;
	struct probe_found *found;
	size_t n;
};

static void __attribute__((format(printf, 3, 4)))
find(struct look *l, enum probe_finding what, const char *format, ...)
{
	struct probe_found *f = &l->found[l->n++];
	va_list ap;

	f->what = what;
	va_start(ap, format);
	vsnprintf(f->text, sizeof(f->text), format, ap);
	va_end(ap);
}

static bool
is(const struct look *l, const char *software)
{
	return strcmp(l->got->software, software) == 0;
}

static const char *
day(time_t t, char buf[32])
{
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(buf, 32, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		snprintf(buf, 32, "?");
	return buf;
}

static void
look_at_offer(struct look *l)
{
	const struct probe_result *got = l->got;
	const char *mode = l->want->mode == MODE_REQUIRE ? "require" : "offer", *remedy;

	if (l->want->mode == MODE_NONE) {
		if (got->smtps)
			find(l, PROBE_TLS_UNWANTED, "takes TLS at once, though mode = none; set mode = "
			    "require there, or take `smtps` from the server's listener");
		else if (got->starttls && got->starttls_reply[0] != '\0')
			find(l, PROBE_TLS_UNWANTED, "offers STARTTLS and answers it with \"%.80s\", since "
			    "mode = none; take `tls` from that `listen on` line and restart the server, so "
			    "that senders do not try", got->starttls_reply);
		else if (got->starttls)
			find(l, PROBE_TLS_UNWANTED, "offers STARTTLS, though mode = none; %s",
			    is(l, "OpenSMTPD") ? "take `tls` from that `listen on` line, put `filter` "
			    "on it, and restart smtpd" : is(l, "Exim") ? "see that its "
			    "tls_advertise_hosts is the one of exim-tlsward.conf (exim -bP)" :
			    "see that the server obeys tlsward there");
		return;
	}
	if (got->smtps || (got->starttls && got->starttls_reply[0] == '\0'))
		return;
	if (got->starttls) {
		find(l, PROBE_STARTTLS_REFUSED, "offers STARTTLS, but answers it with \"%.80s\", though "
		    "mode = %s; see the mail server's log, and whether it can read certificate and key",
		    got->starttls_reply, mode);
		return;
	}
	remedy = is(l, "OpenSMTPD") ? "put `tls pki NAME` on that `listen on` line and restart smtpd" :
	    is(l, "Exim") ? "see that its tls_advertise_hosts is the one of exim-tlsward.conf (exim -bP), "
	    "and the certificate's file readable for it" : "switch it on in the server";
	find(l, PROBE_NO_STARTTLS, "offers no STARTTLS, though mode = %s%s; %s", mode,
	    l->want->mode == MODE_REQUIRE ? ", so that all mail is refused" : "", remedy);
}

/* The probe offers all that it has: what was chosen is the best that the server does. */
static void
look_at_strength(struct look *l)
{
	char a[16], b[16];

	if (l->got->version != TLS_NONE && l->got->version < l->want->min_tls)
		find(l, PROBE_TLS_WEAK, "does TLS %s at best, and min_tls = %s, so that all mail over TLS is "
		    "refused; allow more in the server, or lower min_tls",
		    key_text(KEY_MIN_TLS, l->got->version, a), key_text(KEY_MIN_TLS, l->want->min_tls, b));
	else if (l->got->bits != 0 && l->got->bits < l->want->min_bits)
		find(l, PROBE_TLS_WEAK, "chooses %s with %u bits, and min_bits = %u, so that mail over TLS "
		    "is refused; allow better ciphers in the server, or lower min_bits", l->got->cipher,
		    l->got->bits, l->want->min_bits);
}

/* The remedy for a certificate that is not the file's. */
static const char *
reload(const struct look *l)
{
	if (is(l, "Exim"))
		return "see that Exim's tls_certificate is the one of exim-tlsward.conf (exim -bP)";
	if (is(l, "OpenSMTPD"))
		return "smtpd keeps certificates in memory: restart it";
	return "a server that keeps certificates in memory (smtpd does) has to be restarted";
}

static void
look_at_file(struct look *l)
{
	const struct probe_expect *want = l->want;
	const struct probe_result *got = l->got;
	char shown[80], date[32];

	if (want->file[0] == '\0' || want->file_error[0] != '\0' || want->chain_len == 0)
		return;
	if (memcmp(got->chain[0], want->chain[0], 32) == 0) {
		if (got->chain_len < want->chain_len)
			find(l, PROBE_CHAIN_SHORT, "sends %zu of the %zu certificates of %.200s; senders may "
			    "not find the issuer: %s", got->chain_len, want->chain_len, want->file, reload(l));
		return;
	}
	/* Not every server chooses by SNI; of Exim's with our macros it is known. */
	if (l->plain != NULL && !is(l, "Exim") && l->plain->tls &&
	    memcmp(got->chain[0], l->plain->chain[0], 32) == 0)
		return;
	if (got->not_before < want->not_before && strcmp(got->subject, want->subject) == 0)
		find(l, PROBE_OTHER_CERTIFICATE, "still shows the certificate from before %.200s was renewed, "
		    "valid until %s; %s", want->file, day(got->not_after, date), reload(l));
	else
		find(l, PROBE_OTHER_CERTIFICATE, "shows another certificate than %.150s, %.80s of %.80s; %s",
		    want->file, cert_pin_text(got->chain[0], false, shown), got->subject, reload(l));
}

static void
look_at_dates(struct look *l)
{
	char date[32];

	if (l->got->not_after < l->now)
		find(l, PROBE_EXPIRED, "shows a certificate that expired on %s; renew it, then restart a "
		    "server that keeps it in memory (smtpd does)", day(l->got->not_after, date));
	else if (l->got->not_before > l->now)
		find(l, PROBE_NOT_YET, "shows a certificate that is not valid before %s; set the clock, or "
		    "use the previous one until then", day(l->got->not_before, date));
}

static void
look_at_client_cert(struct look *l)
{
	const char *setting = l->want->verifies ? "verifies = yes" :
	    l->want->client_cert == CC_REQUIRE ? "client_cert = require" : "client_cert = request";

	if (!l->want->verifies && l->want->client_cert == CC_NONE)
		return;
	if (!l->got->asks)
		find(l, PROBE_NOT_ASKING, "asks for no client certificate, though %s; %s", setting,
		    is(l, "Exim") ? "see that its tls_try_verify_hosts is the one of exim-tlsward.conf "
		    "(exim -bP)" : "put `verify` and `ca` on that `listen on` line and restart smtpd");
	else if (l->want->verifies && !l->got->insists)
		find(l, PROBE_NOT_VERIFYING, "asks for a client certificate, but goes on without one, though "
		    "%s; %s", setting, is(l, "OpenSMTPD") ? "put `tls-require verify` on that `listen on` "
		    "line and restart smtpd" : "set client_cert = require there too, and have the server verify");
}

size_t
probe_compare(const struct probe_target *target, const struct probe_expect *want,
    const struct probe_result *got, const struct probe_result *plain, time_t now,
    struct probe_found found[PROBE_FINDINGS])
{
	struct look l = { target, want, got, plain, now, found, 0 };
	bool by_name = target->sni[0] != '\0';

	if (!got->reachable) {
		if (plain == NULL || plain->reachable)
			find(&l, PROBE_UNREACHABLE, "%s", got->error);
		return l.n;
	}
	if (!by_name)
		look_at_offer(&l);
	if (got->error[0] != '\0' && (plain == NULL || plain->error[0] == '\0'))
		find(&l, PROBE_TLS_FAILED, "%s", got->error);
	if (!got->tls)
		return l.n;
	if (!by_name)
		look_at_strength(&l);
	look_at_file(&l);
	if (!by_name || plain == NULL || memcmp(got->chain[0], plain->chain[0], 32) != 0)
		look_at_dates(&l);
	if (!by_name)
		look_at_client_cert(&l);
	if (want->file_error[0] != '\0')
		find(&l, PROBE_FILE, "cannot be compared with %.200s: %s", want->file, want->file_error);
	return l.n;
}
