/*
 * tlsward explain: what would happen to a mail, by which line of the settings.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cert.h"
#include "cert_verify.h"
#include "cmd.h"
#include "cmd_explain_note.h"
#include "cmd_json.h"
#include "keys.h"
#include "pem_scan.h"
#include "policy.h"

/* The options as given; NULL: not given. */
struct asked {
	const char *tls, *bits, *cipher, *listener, *client, *helo, *status, *cert;
	struct opt_list from, to;
	bool auth;
};

/* Facts, and the texts they point to. */
struct scene {
	struct facts facts;
	char sender[NAME_SIZE], recipient[NAME_SIZE];
	struct cert_verifier *verifier;	/* with --cert */
	struct cert_client *client;
};

/* ---- from options to facts ---- */

/*
 * Could a client have sent this between the angle brackets?  As RFC 5321 4.1.2
 * has it in outline, with 8-bit octets (RFC 6531) and none of its limits.
 */
static bool
plausible(const char *text, size_t len)
{
	const char *at = memrchr(text, '@', len);
	bool quoted = text[0] == '"' && at != NULL && at - text >= 2 && at[-1] == '"';

	if (at == NULL || at == text || at + 1 == text + len || (text[0] == '"' && !quoted))
		return false;
	for (const char *p = text; p < text + len; p++) {
		if (quoted && p < at)
			continue;
		if (p != at && (*p == '@' || *p == ' ' || *p == '<' || *p == '>' ||
		    (unsigned char)*p < ' ' || *p == 0x7f))
			return false;
	}
	return true;
}

/* An address without its angle brackets, in buf; "" is <> and nothing else.  False: it is none. */
static bool
address(const char *text, char *buf, size_t size)
{
	size_t len = strlen(text);

	if (len >= 2 && text[0] == '<' && text[len - 1] == '>') {
		text++;
		len -= 2;
	} else if (len == 0)
		return false;
	if (len >= size || (len > 0 && !plausible(text, len)))
		return false;
	memcpy(buf, text, len);
	buf[len] = '\0';
	return true;
}

static int
read_tls(const struct cmd *c, const struct asked *a, struct facts *f)
{
	uint32_t version;

	f->cipher = "";
	if (a->tls == NULL || strcmp(a->tls, "none") == 0) {
		if (a->bits != NULL || a->cipher != NULL || a->status != NULL || a->cert != NULL)
			return cmd_usage(c, "--bits, --cipher, --cert and --cert-status describe a "
			    "session over TLS: say --tls 1.3 (or 1.2, 1.1, 1.0) too");
		return 0;
	}
	if (!key_scalar(KEY_MIN_TLS, a->tls, &version))
		return cmd_usage(c, "--tls \"%.32s\": %s, or none for a session in clear", a->tls,
		    key_table[KEY_MIN_TLS].hint);
	f->tls = (enum tls_version)version;
	f->cipher = a->cipher != NULL ? a->cipher :
	    f->tls == TLS_1_3 ? "TLS_AES_256_GCM_SHA384" : "ECDHE-RSA-AES256-GCM-SHA384";
	f->bits = 256;
	if (a->bits != NULL && !read_number(a->bits, 0, 65536, &f->bits))
		return cmd_usage(c, "--bits \"%.32s\": a number, for example 256", a->bits);
	return 0;
}

/*
 * The certificate of a file as if the client had shown it, and sent what
 * follows there behind it.
 */
static int
read_cert(const char *path, struct scene *sc)
{
	struct pem_file file;
	char why[256];

	if (!pem_load(path, "CERTIFICATE", CERT_FILE_MAX, &file, why, sizeof(why)))
		return cmd_error("%s: %s", path, why);
	if ((sc->verifier = cert_verifier_new()) == NULL)
		snprintf(why, sizeof(why), "out of memory");
	else
		sc->client = cert_client_new(sc->verifier, file.entries[0].p, file.entries[0].len,
		    why, sizeof(why));
	for (size_t i = 1; sc->client != NULL && i < file.n; i++)
		cert_client_add(sc->client, file.entries[i].p, file.entries[i].len);
	pem_free(&file);
	return sc->client != NULL ? 0 : cmd_error("%s: %s", path, why);
}

/* What the server's own check by the base's ca would say; by the system's CAs we cannot know. */
static void
check_cert(const struct settings *s, struct scene *sc)
{
	struct cert_facts *cert = &sc->facts.cert;
	struct effective base;
	const char *name;
	const struct rule *ca = NULL;

	cert_client_facts(sc->client, s, cert);
	policy_base(s, &sc->facts, &base);
	if ((name = settings_text(s, base.from[KEY_CA], KEY_CA)) != NULL)
		ca = settings_find(s, SEC_CA, name);
	if (ca != NULL)
		cert->verify(cert->arg, ca, &cert->server);
	else
		cert->server = (struct trust){ .why = REASON_CERT_UNTRUSTED, .detail = "no ca is set; "
		    "--cert-status says how the server's check by the system's ended" };
	cert->status = cert->server.trusted ? CERT_TRUSTED : CERT_UNTRUSTED;
}

static int
read_status(const struct cmd *c, const struct settings *s, const struct asked *a,
    struct scene *sc)
{
	struct facts *f = &sc->facts;
	struct cert_facts *cert = &f->cert;
	bool asks = f->tls != TLS_NONE && policy_asks(s, f) != CC_NONE;

	cert->server.why = REASON_CERT_MISSING;
	if (sc->client != NULL && (asks || a->status != NULL))
		check_cert(s, sc);
	if (a->status == NULL && cert->status < CERT_UNTRUSTED)
		cert->status = asks ? CERT_NONE : CERT_NOT_ASKED;
	else if (a->status == NULL)
		return 0;
	else if (strcmp(a->status, "not-asked") == 0)
		cert->status = CERT_NOT_ASKED;
	else if (strcmp(a->status, "none") == 0)
		cert->status = CERT_NONE;
	else if (strcmp(a->status, "untrusted") == 0) {
		cert->status = CERT_UNTRUSTED;
		cert->server = (struct trust){ .why = REASON_CERT_UNTRUSTED };
	} else if (strcmp(a->status, "trusted") == 0) {
		cert->status = CERT_TRUSTED;
		cert->server = (struct trust){ .trusted = true, .why = REASON_NONE };
	} else
		return cmd_usage(c, "--cert-status \"%.32s\": not-asked, none, untrusted or "
		    "trusted", a->status);
	return 0;
}

static int
read_session(const struct cmd *c, const struct asked *a, struct scene *sc)
{
	struct facts *f = &sc->facts;

	if (a->listener != NULL && !addr_listener(a->listener, strlen(a->listener), &f->listener))
		return cmd_usage(c, "--listener \"%.64s\": an address and port, 198.51.100.7:25 "
		    "or [2001:db8::7]:25", a->listener);
	if (a->client != NULL && strcmp(a->client, "local") == 0)
		f->client.family = ADDR_LOCAL;
	else if (a->client != NULL && !addr_ip(a->client, strlen(a->client), &f->client))
		return cmd_usage(c, "--client \"%.64s\": an IP address, or local", a->client);
	f->helo = a->helo != NULL ? a->helo : "";
	f->session = "explain";
	f->authenticated = a->auth;
	f->recipient = f->recipient_domain = "";
	return read_tls(c, a, f);
}

/* ---- verdicts ---- */

static bool
refuses(const struct verdict *v)
{
	return v->action == ACT_REFUSE || v->action == ACT_DEFER;
}

/* Is there a value of a rule that decided? */
static bool
has_rule(const struct verdict *v)
{
	return v->rule != NULL && v->key < KEY_MAX;
}

/* Which rule says that this is only reported; of RCPT where there is a recipient. */
static const struct rule *
reporter(const struct settings *s, const struct facts *f, const struct verdict *v)
{
	const struct rule *domain = NULL, *peer = NULL;
	struct effective base, e;

	if (v->action != ACT_REPORT)
		return NULL;
	if (f->recipient_domain[0] != '\0')
		domain = settings_match(s, SEC_DOMAIN, f->recipient_domain);
	if (f->sender_domain[0] != '\0')
		peer = settings_match(s, SEC_PEER, f->sender_domain);
	policy_base(s, f, &base);
	policy_effective(&base, domain, peer, &e);
	return e.from[KEY_ENFORCE];
}

static void
verdict_json(struct json *j, const struct settings *s, const struct facts *f,
    const struct verdict *v)
{
	const struct rule *report = reporter(s, f, v);
	char rule[SECTION_TEXT], note[NOTE_SIZE];

	json_string(j, "action", action_words[v->action]);
	json_string(j, "reason", reason_words[v->reason]);
	json_string(j, "reply", v->reply[0] != '\0' ? v->reply : NULL);
	json_string(j, "detail", v->detail[0] != '\0' ? v->detail : NULL);
	if (has_rule(v)) {
		json_string(j, "rule", policy_rule_name(s, v->rule, rule, sizeof(rule)));
		json_string(j, "key", key_table[v->key].name);
		json_string(j, "file", settings_path(s));
		json_number(j, "line", setting_line(s, v->rule, v->key));
	} else {
		json_string(j, "rule", NULL);
	}
	json_string(j, "note_opensmtpd", note_smtpd(s, f, v, note));
	json_string(j, "note_pins", note_pins(s, f, v, note));
	if (v->action != ACT_REPORT)
		return;
	json_object(j, "not_refused_since");
	json_string(j, "rule", report != NULL ? policy_rule_name(s, report, rule, sizeof(rule)) : NULL);
	json_string(j, "key", key_table[KEY_ENFORCE].name);
	json_number(j, "line", report != NULL ? setting_line(s, report, KEY_ENFORCE) : 0);
	json_close(j);
}

static void
put_field(const char *label, const char *text)
{
	printf("  %-12s", label);
	put_folded(14, 14, text);
}

static void
verdict_because(const struct settings *s, const struct verdict *v)
{
	const struct rule *r = v->rule;
	char section[SECTION_TEXT], text[SECTION_TEXT + 512], *value;
	enum key k = v->key;

	if (!has_rule(v))
		return;
	section_text((enum section)r->section, settings_name(s, r), section);
	value = setting_text(s, r, k);
	if (rule_sets(r, k))
		snprintf(text, sizeof(text), "%s %s = %s, %s:%u", section, key_table[k].name,
		    value != NULL ? value : "?", settings_path(s), setting_line(s, r, k));
	else
		snprintf(text, sizeof(text), "%s %s (not set there), %s:%u", section,
		    key_table[k].name, settings_path(s), setting_line(s, r, k));
	free(value);
	put_field("because", text);
}

static void
verdict_not_refused(const struct settings *s, const struct facts *f, const struct verdict *v)
{
	const struct rule *r = reporter(s, f, v);
	char section[SECTION_TEXT], text[SECTION_TEXT + 512];

	if (r == NULL)
		return;
	snprintf(text, sizeof(text), "since %s enforce = report, %s:%u",
	    section_text((enum section)r->section, settings_name(s, r), section),
	    settings_path(s), setting_line(s, r, KEY_ENFORCE));
	put_field("not refused", text);
}

static void
verdict_text(const struct settings *s, const char *command, const char *addr,
    const struct facts *f, const struct verdict *v)
{
	char note[NOTE_SIZE];

	printf("%s", command);
	if (addr != NULL) {
		putchar('<');
		put_text(stdout, addr);
		putchar('>');
	}
	printf("\n  %-12s%s", "verdict", v->action == ACT_LATER ? "accept for now" :
	    v->action == ACT_REPORT ? "accept, and report" : action_words[v->action]);
	if (v->reason != REASON_NONE)
		printf(" (%s)", reason_words[v->reason]);
	printf("\n");
	if (v->action == ACT_LATER)
		put_field("because", "some [domain] asks for less than the rest: decided at RCPT TO");
	if (v->reply[0] != '\0')
		put_field(refuses(v) ? "reply" : "would reply", v->reply);
	verdict_because(s, v);
	verdict_not_refused(s, f, v);
	if (v->detail[0] != '\0')
		put_field("detail", v->detail);
	if (addr != NULL && note_pins(s, f, v, note) != NULL)
		put_field("note", note);
	if (addr != NULL && note_smtpd(s, f, v, note) != NULL)
		put_field("note", note);
}

static void
session_text(const struct facts *f)
{
	static const char *const certs[] = { "not asked for", "none came", "untrusted", "trusted" };
	char client[ADDR_TEXT], listener[ADDR_TEXT], text[512], number[16], tls[128] = "in clear";

	if (f->tls != TLS_NONE)
		snprintf(tls, sizeof(tls), "TLS %s, %.64s, %u bits, client certificate %s",
		    key_text(KEY_MIN_TLS, f->tls, number), f->cipher, f->bits,
		    certs[f->cert.status]);
	snprintf(text, sizeof(text), "client %s, listener %s%s", addr_format_ip(&f->client, client),
	    f->listener.family == ADDR_NONE ? "unknown" :
	    addr_format_listener(&f->listener, listener), f->authenticated ? ", AUTH" : "");
	printf("Session\n");
	put_field("addresses", text);
	put_field("transport", tls);
}

/* ---- the whole ---- */

static void
explain_rcpt(const struct settings *s, struct scene *sc, struct json *j, const char *to)
{
	struct verdict v;
	char addr[1024] = "";

	address(to, addr, sizeof(addr));
	name_of_address(addr, strlen(addr), sc->recipient);
	sc->facts.recipient = addr;
	sc->facts.recipient_domain = sc->recipient;
	policy_rcpt(s, &sc->facts, &v);
	if (j != NULL) {
		json_object(j, NULL);
		json_string(j, "to", addr);
		verdict_json(j, s, &sc->facts, &v);
		json_close(j);
	} else {
		verdict_text(s, "RCPT TO:", addr, &sc->facts, &v);
	}
}

static void
explain(const struct settings *s, struct scene *sc, const struct opt_list *to, struct json *j)
{
	struct facts *f = &sc->facts, before = *f;
	struct verdict starttls, mail;
	size_t i;

	before.tls = TLS_NONE;
	policy_starttls(s, &before, &starttls);
	policy_mail(s, f, &mail);
	if (j != NULL) {
		json_begin(j, stdout);
		json_string(j, "file", settings_path(s));
		json_bool(j, "starttls_offered", policy_offers(s, &before));
		json_object(j, "mail");
		json_string(j, "from", f->sender);
		verdict_json(j, s, f, &mail);
		json_close(j);
		json_array(j, "recipients");
	} else {
		session_text(f);
		if (refuses(&starttls))
			verdict_text(s, "STARTTLS", NULL, f, &starttls);
		verdict_text(s, "MAIL FROM:", f->sender, f, &mail);
	}
	for (i = 0; i < to->count && !refuses(&mail); i++)
		explain_rcpt(s, sc, j, to->item[i]);
	if (j != NULL)
		json_end(j);
}

static int
check_addresses(const struct cmd *c, const struct asked *a, char *from, size_t size)
{
	char to[1024];
	size_t i;

	if (a->from.count == 0)
		return cmd_usage(c, "needs --from ADDRESS (--from '<>' is the null sender)");
	if (a->from.count > 1)
		return cmd_usage(c, "one --from: a mail has one sender");
	if (!address(a->from.item[0], from, size))
		return cmd_usage(c, "--from \"%.300s\": an address like user@example.org, or <>",
		    a->from.item[0]);
	for (i = 0; i < a->to.count; i++)
		if (!address(a->to.item[i], to, sizeof(to)) || to[0] == '\0')
			return cmd_usage(c, "--to \"%.300s\": an address like user@example.org",
			    a->to.item[i]);
	return 0;
}

int
cmd_explain(struct cmd *c, int argc, char **argv)
{
	static const struct usage usage = { "explain --from A [--to B ...] [OPTION ...]",
	    "Tells what would happen to a mail at MAIL FROM and at each RCPT TO: the verdict,\n"
	    "the reply, and the rule and line that decided.  Without --tls the session is in\n"
	    "clear; without --listener and --client no rule for those is met.\n" };
	struct asked a = { 0 };
	const struct opt options[] = {
		{ "from", OPT_LIST, &a.from, "ADDRESS", "envelope sender; '<>' is the null sender" },
		{ "to", OPT_LIST, &a.to, "ADDRESS", "recipient; may be given again" },
		{ "tls", OPT_VALUE, &a.tls, "VERSION", "1.0 to 1.3, or none" },
		{ "bits", OPT_VALUE, &a.bits, "N", "strength of the cipher (256)" },
		{ "cipher", OPT_VALUE, &a.cipher, "NAME", "the cipher, for the reply" },
		{ "listener", OPT_VALUE, &a.listener, "ADDR:PORT", "where the session arrives" },
		{ "client", OPT_VALUE, &a.client, "ADDRESS", "where it comes from; or local" },
		{ "helo", OPT_VALUE, &a.helo, "NAME", "what it said at EHLO" },
		{ "auth", OPT_FLAG, &a.auth, NULL, "it used AUTH" },
		{ "cert-status", OPT_VALUE, &a.status, "STATUS",
		    "client certificate: not-asked, none, untrusted, trusted" },
		{ "cert", OPT_VALUE, &a.cert, "FILE", "the client's certificate and its chain, PEM" },
		{ "json", OPT_FLAG, &c->json, NULL, "as JSON" },
		{ NULL, OPT_FLAG, NULL, NULL, NULL }
	};
	struct scene sc = { 0 };
	struct settings *s = NULL;
	struct json j;
	char from[1024];
	int n, status;

	if ((n = opt_parse(c, &usage, options, argc, argv)) < 0)
		return c->status;
	if (n > 0)
		return cmd_usage(c, "what is \"%.64s\"?  Addresses follow --from and --to", argv[0]);
	if ((status = check_addresses(c, &a, from, sizeof(from))) != 0 ||
	    (status = read_session(c, &a, &sc)) != 0 ||
	    (a.cert != NULL && (status = read_cert(a.cert, &sc)) != 0))
		goto out;
	sc.facts.sender = from;
	name_of_address(from, strlen(from), sc.sender);
	sc.facts.sender_domain = sc.sender;
	if ((s = cmd_settings_json(c)) == NULL)
		status = EXIT_FAILED;
	else if ((status = read_status(c, s, &a, &sc)) == 0)
		explain(s, &sc, &a.to, c->json ? &j : NULL);
out:
	settings_free(s);
	cert_client_free(sc.client);
	cert_verifier_free(sc.verifier);
	return status;
}
