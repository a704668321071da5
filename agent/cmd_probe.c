/*
 * tlsward probe: what the listeners really show, and where that is not what
 * the settings say.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cert.h"
#include "cmd.h"
#include "cmd_json.h"
#include "probe.h"

#define NAMES_EACH 8		/* SNI names of one certificate that are tried */
#define TIMEOUT_MAX 60

/* One probe with what came of it. */
struct look {
	struct probe_result result;
	struct probe_expect want;
	struct probe_found found[PROBE_FINDINGS];
	size_t nfound;
};

/* ---- text ---- */

static void
put_certificate(const struct probe_result *r)
{
	char pin[80], from[32], to[32];

	printf("  certificate  ");
	put_text(stdout, r->subject);
	put_out("\n               %s\n", cert_pin_text(r->chain[0], false, pin));
	put_out("               valid from %s to %s\n", utc_text(r->not_before, UTC_RFC3339, from),
	    utc_text(r->not_after, UTC_RFC3339, to));
	put_out("               %zu certificate%s sent\n", r->chain_len, r->chain_len == 1 ? "" : "s");
}

static void
put_text_look(const struct probe_target *t, const struct look *l)
{
	const struct probe_result *r = &l->result;
	char address[ADDR_TEXT], bits[16];

	put_out("listener %s", addr_format_listener(&t->listener, address));
	if (t->sni[0] != '\0')
		put_out(", asked for %s", t->sni);
	printf("\n");
	if (t->sni[0] == '\0' && r->reachable)
		put_out("  server       %s, %s\n", r->software[0] != '\0' ? r->software : "of unknown make",
		    r->smtps ? "TLS at once" : r->starttls ? "STARTTLS" : "no STARTTLS");
	if (r->tls) {
		put_out("  TLS          %s, %s, %u bits\n", r->version != TLS_NONE ?
		    key_text(KEY_MIN_TLS, r->version, bits) : "?", r->cipher, r->bits);
		put_certificate(r);
		put_out("  client cert  %s\n", r->insists ? "required" :
		    r->asks ? "asked for" : "not asked for");
	}
	for (size_t i = 0; i < l->nfound; i++) {
		printf("  ! ");
		put_folded(4, 4, l->found[i].text);
	}
	if (l->nfound == 0)
		printf("  as the settings say\n");
}

/* ---- JSON ---- */

static void
json_look(struct json *j, const struct probe_target *t, const struct look *l)
{
	const struct probe_result *r = &l->result;
	char text[80];

	json_object(j, NULL);
	json_string(j, "listener", addr_format_listener(&t->listener, text));
	json_string(j, "sni", t->sni[0] != '\0' ? t->sni : NULL);
	json_string(j, "certificate", l->want.certificate[0] != '\0' ? l->want.certificate : NULL);
	json_bool(j, "reachable", r->reachable);
	json_string(j, "error", r->error[0] != '\0' ? r->error : NULL);
	json_string(j, "software", r->software[0] != '\0' ? r->software : NULL);
	json_bool(j, "smtps", r->smtps);
	json_bool(j, "starttls", r->starttls);
	json_bool(j, "asks_client_cert", r->asks);
	json_bool(j, "requires_client_cert", r->insists);
	json_number(j, "ms", r->ms);
	if (r->tls) {
		json_object(j, "tls");
		json_string(j, "version", r->version != TLS_NONE ?
		    key_text(KEY_MIN_TLS, r->version, text) : NULL);
		json_string(j, "cipher", r->cipher);
		json_number(j, "bits", r->bits);
		json_string(j, "fingerprint", cert_pin_text(r->chain[0], false, text));
		json_string(j, "subject", r->subject);
		json_string(j, "issuer", r->issuer);
		json_string(j, "not_before", utc_text(r->not_before, UTC_RFC3339, text));
		json_string(j, "not_after", utc_text(r->not_after, UTC_RFC3339, text));
		json_number(j, "chain_length", r->chain_len);
		json_close(j);
	} else {
		json_string(j, "tls", NULL);
	}
	json_array(j, "findings");
	for (size_t i = 0; i < l->nfound; i++) {
		json_object(j, NULL);
		json_string(j, "finding", probe_words[l->found[i].what]);
		json_string(j, "text", l->found[i].text);
		json_close(j);
	}
	json_close(j);
	json_close(j);
}

/* ---- the command ---- */

static void
look_at(const struct settings *s, const struct probe_target *t, int timeout_ms,
    const struct look *plain, struct look *l)
{
	(void)probe_run(t, timeout_ms, &l->result);
	probe_expect(s, t, &l->result, &l->want);
	l->nfound = probe_compare(t, &l->want, &l->result, plain != NULL ? &plain->result : NULL,
	    time(NULL), l->found);
}

/* The targets of a listener stand together, the one without a name first. */
static int
look_at_all(const struct cmd *c, const struct settings *s, struct probe_target *t, size_t n,
    int timeout_ms)
{
	struct look *plain = calloc(1, sizeof(*plain)), *named = calloc(1, sizeof(*named)), *l;
	struct json j;
	int status = EXIT_DONE;

	if (plain == NULL || named == NULL) {
		status = cmd_error("out of memory");
		goto out;
	}
	if (c->json) {
		json_begin(&j, stdout);
		json_array(&j, "probes");
	}
	for (size_t i = 0; i < n; i++) {
		bool by_name = t[i].sni[0] != '\0';

		/* Without TLS there is nothing to ask for by name. */
		if (by_name && !plain->result.tls)
			continue;
		if (by_name)
			t[i].speaks = plain->result.smtps ? PROBE_SMTPS : PROBE_SMTP;
		l = by_name ? named : plain;
		look_at(s, &t[i], timeout_ms, by_name ? plain : NULL, l);
		if (l->nfound > 0)
			status = EXIT_FAILED;
		if (c->json) {
			json_look(&j, &t[i], l);
		} else {
			put_text_look(&t[i], l);
			fflush(stdout);
		}
	}
	if (c->json)
		json_end(&j);
out:
	free(plain);
	free(named);
	return status;
}

int
cmd_probe(struct cmd *c, int argc, char **argv)
{
	static const struct usage usage = { "probe [--listener ADDR:PORT] [--timeout N] [--json]",
	    "Connects to each [listener] (to port 25 of this machine where there is none) as\n"
	    "a sending server would, and prints what it shows: STARTTLS, TLS version and\n"
	    "cipher, certificate, whether it asks for a client certificate; and, behind a !,\n"
	    "where that is not what the settings say.  The exit status is then 1.\n" };
	const char *listener = NULL, *timeout = NULL;
	const struct opt options[] = {
		{ "listener", OPT_VALUE, &listener, "ADDR:PORT", "that one only; it needs no [listener]" },
		{ "json", OPT_FLAG, &c->json, NULL, "as JSON" },
		{ "timeout", OPT_VALUE, &timeout, "SECONDS", "for one conversation, 10 by default" },
		{ NULL, OPT_FLAG, NULL, NULL, NULL }
	};
	struct probe_target *targets = NULL;
	struct settings *s;
	struct addr address;
	size_t n, left = 0;
	unsigned seconds = PROBE_TIMEOUT_MS / 1000;
	int status;

	if ((status = opt_parse(c, &usage, options, argc, argv)) < 0)
		return c->status;
	if (status > 0)
		return cmd_usage(c, "takes no operand \"%.64s\"; did you mean --listener %.64s?",
		    argv[0], argv[0]);
	if (timeout != NULL && !read_number(timeout, 1, TIMEOUT_MAX, &seconds))
		return cmd_usage(c, "--timeout %.32s: a number of seconds from 1 to %d", timeout,
		    TIMEOUT_MAX);
	if (listener != NULL && !addr_listener(listener, strlen(listener), &address))
		return cmd_usage(c, "--listener %.64s: an address and a port, as 198.51.100.7:25, "
		    "[2001:db8::7]:25 or *:25", listener);
	if ((s = cmd_settings(c)) == NULL)
		return EXIT_FAILED;
	n = listener != NULL ? probe_targets_at(s, &address, NAMES_EACH, &targets) :
	    probe_targets(s, NAMES_EACH, &targets, &left);
	if (left > 0)
		fprintf(stderr, "tlsward: %zu listeners and names of certificates are left out: %d at most "
		    "are probed; name one with --listener\n", left, PROBE_TARGETS_MAX);
	status = n == 0 ? cmd_error("out of memory") : look_at_all(c, s, targets, n,
	    (int)seconds * 1000);
	free(targets);
	settings_free(s);
	return status;
}
