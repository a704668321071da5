#include <string.h>

#include "cert_verify.h"
#include "evidence.h"
#include "feed.h"
#include "pending.h"

bool
evidence_wanted(const struct settings *set)
{
	uint32_t weakest, strictest;

	return set != NULL && settings_range(set, SEC_LISTENER, KEY_VERIFIES, &weakest, &strictest) &&
	    strictest != 0;
}

/* A contradiction between tlsward.ini and smtpd.conf, which somebody has to mend. */
static void
contradicts(struct filter *f, const struct session *s, const char *what)
{
	char where[ADDR_TEXT];

	if (errlog_may(&f->contradictions))
		errlog(LOG_ERR, "session %s: the listener %s says `verifies = yes`, but %s: give it "
		    "`verify` and `ca` in smtpd.conf and restart smtpd, or take `verifies` away",
		    s->text, addr_format_listener(&s->listener, where), what);
}

/* ---- the feed ---- */

static void
absorb(struct filter *f, struct session *s, const struct feed_entry *e)
{
	if (s->fed)
		return;
	s->fed = true;
	s->unchecked = !e->verified;
	s->has_fingerprint = e->has_fingerprint;
	memcpy(s->fingerprint, e->fingerprint, sizeof(s->fingerprint));
	if (s->verifies && s->unchecked)
		contradicts(f, s, "smtpd's log has another result of its cert-check");
}

void
evidence_begin(struct filter *f, struct session *s)
{
	const struct feed_entry *e = feed_find(f->feed, s->id);

	if (e == NULL)
		return;
	absorb(f, s, e);
	feed_forget(f->feed, s->id);
}

void
evidence_told(void *arg, const struct feed_entry *e)
{
	struct filter *f = arg;
	struct session *s = session_find(&f->sessions, e->session);

	if (s == NULL)		/* the log was faster: link-connect will look for it */
		return;
	absorb(f, s, e);
	feed_forget(f->feed, s->id);
	if (s->waiting != NULL)
		pending_hurry(&f->pending, s->waiting);
}

void
evidence_end(struct filter *f, struct session *s)
{
	pending_drop(&f->pending, s->waiting);	/* nobody waits for the answer */
	feed_forget(f->feed, s->id);
}

/* ---- facts ---- */

static int
pinned(void *arg, const char *certs)
{
	struct filter *f = arg;
	char why[512] = "out of memory";

	if (f->verifier == NULL)
		f->verifier = cert_verifier_new();
	if (f->verifier != NULL &&
	    cert_file_pins(f->verifier, certs, f->judged->fingerprint, why, sizeof(why)))
		return 1;
	if (why[0] == '\0')
		return 0;
	if (errlog_may(&f->unreadable))
		errlog(LOG_ERR, "pins cannot be compared: %s", why);
	return -1;
}

void
evidence_facts(struct filter *f, const struct session *s, struct cert_facts *c)
{
	memset(c, 0, sizeof(*c));
	if (s->tls == TLS_NONE || !s->verifies)
		return;		/* smtpd asks for one where it verifies, nowhere else */
	/* the settings may have come before smtpd.conf: smtpd's own word is wanted */
	if (!f->crosscheck && (!s->fed || s->unchecked))
		return;
	c->status = s->unchecked ? CERT_UNTRUSTED : CERT_TRUSTED;
	c->server.trusted = !s->unchecked;
	if (s->unchecked) {
		c->server.why = REASON_CERT_UNTRUSTED;
		c->server.detail = "smtpd did not verify it";
	}
	if (!s->has_fingerprint)
		return;
	c->has_fingerprint = true;
	memcpy(c->fingerprint, s->fingerprint, sizeof(c->fingerprint));
	c->pinned = pinned;
	c->arg = f;
	f->judged = s;
}

/* ---- the cross-check ---- */

void
evidence_message(const struct filter *f, struct session *s)
{
	s->damaged = false;
	if (f->crosscheck && s->verifies && s->tls != TLS_NONE)
		received_begin(&s->received);
}

void
evidence_line(struct session *s, const char *line, size_t len, bool whole)
{
	if (received_looks(&s->received))
		received_line(&s->received, line, len);
	if (!whole)
		s->damaged = true;
}

bool
evidence_commit(struct filter *f, struct session *s, struct facts *facts, struct verdict *v)
{
	if (facts->cert.status >= CERT_UNTRUSTED)
		facts->cert.status = s->received.word == RECEIVED_YES ? CERT_TRUSTED : CERT_NOT_ASKED;
	policy_commit(held_settings(s->held), facts, v);
	if (v->reason == REASON_NONE)
		return false;
	contradicts(f, s, s->received.word == RECEIVED_NO ?
	    "smtpd's Received line says that it did not verify" :
	    "the message does not begin with smtpd's own Received line (is another filter before this one?)");
	return true;
}
