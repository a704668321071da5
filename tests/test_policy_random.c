/*
 * What holds of the decision for any settings and any session.  Settings and
 * sessions are drawn from few values, so that they meet often.  SEED=N in the
 * environment draws others; a failure prints what is needed to see it again.
 */
#include "policy_oracle.h"

#define SETTINGS 6000
#define SESSIONS 60

static uint64_t seed = 20260101, state;

static unsigned
draw(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)((state >> 11) % n);
}

/* ---- random settings ---- */

static const char *const headers[] = {
	"[server]", "[listener 198.51.100.7:25]", "[listener *:25]", "[client 203.0.113.0/24]",
	"[client 203.0.113.5/32]", "[domain d.example]", "[domain .d.example]",
	"[peer p.example]", "[peer .p.example]"
};
static const enum section sections[] = {
	SEC_SERVER, SEC_LISTENER, SEC_LISTENER, SEC_CLIENT, SEC_CLIENT, SEC_DOMAIN, SEC_DOMAIN,
	SEC_PEER, SEC_PEER
};
#define NHEADERS (sizeof(headers) / sizeof(headers[0]))

static const char *const values[KEY_RULES][4] = {
	[KEY_MODE] = { "none", "offer", "require", "require" },
	[KEY_CLIENT_CERT] = { "none", "request", "require", "require" },
	[KEY_MIN_TLS] = { "1.0", "1.1", "1.2", "1.3" },
	[KEY_MIN_BITS] = { "0", "112", "128", "256" },
	[KEY_ENFORCE] = { "yes", "yes", "yes", "report" },
	[KEY_AUTHENTICATED] = { "exempt", "enforce", "exempt", "enforce" },
	[KEY_VERIFIES] = { "yes", "no", "no", "no" },
	[KEY_CA] = { "partners", "others", "partners", "partners" },
	[KEY_CERT_NAMES] = { "p.example", ".q.example", "x.p.example, p.example", ".p.example" },
	[KEY_FINGERPRINTS] = { "SHA256:" DIGITS64("aa"), "SHA256:" DIGITS64("bb"),
	    "SPKI-SHA256:" DIGITS64("cc"),
	    "SHA256:" DIGITS64("bb") ", SPKI-SHA256:" DIGITS64("aa") },
	[KEY_CERTS] = { "/p/p.pem", "/p/q.pem", "/p/p.pem", "/p/q.pem" },
	[KEY_MATCH_CN] = { "yes", "no", "yes", "no" },
};

static size_t
random_keys(char *buf, size_t size, enum section sec, unsigned rare, const char *enforce)
{
	size_t n = 0;

	buf[0] = '\0';
	for (enum key k = 0; k < KEY_RULES; k++) {
		const char *value = values[k][draw(4)];
		bool set = draw(rare) == 0;

		if (k == KEY_ENFORCE && enforce != NULL) {
			set = sec == SEC_SERVER;
			value = enforce;
		}
		if (set && value != NULL && key_allowed(k, sec))
			n += (size_t)snprintf(buf + n, size - n, "%s=%s\n",
			    key_table[k].name, value);
	}
	return n;
}

/* With `enforce`, that is the server's, and nobody else sets it. */
static void
random_ini(char *buf, size_t size, const char *enforce)
{
	size_t n = 0;

	for (size_t i = 0; i < NHEADERS; i++) {
		if (i > 0 && draw(2) == 0)
			continue;
		n += (size_t)snprintf(buf + n, size - n, "%s\n", headers[i]);
		n += random_keys(buf + n, size - n, sections[i], i > 4 ? 3 : 4, enforce);
	}
	snprintf(buf + n, size - n, "%s", TRY_TAIL);
}

static void
silent(void *arg, enum severity sev, const char *path, unsigned line, const char *text)
{
	(void)arg, (void)sev, (void)path, (void)line, (void)text;
}

static struct settings *
parse(const char *ini)
{
	return settings_parse(ini, strlen(ini), "random.ini", NULL, false, silent, NULL);
}

/* Some of what is drawn contradicts itself; draws until it does not. */
static struct settings *
random_settings(char *buf, size_t size)
{
	struct settings *s = NULL;

	for (int tries = 0; s == NULL && tries < 1000; tries++) {
		random_ini(buf, size, NULL);
		s = parse(buf);
	}
	assert_non_null(s);
	return s;
}

/* ---- random sessions ---- */

static const char *const senders[] = { "", "a@p.example", "a@x.p.example", "a@q.example" };
static const char *const recipients[] = { "b@d.example", "b@x.d.example", "b@e.example",
    "postmaster" };
static const char *const clients[] = { "203.0.113.5", "203.0.113.5", "203.0.113.9", "192.0.2.1",
    "2001:db8::1", "unknown" };
static const char *const listeners[] = { "198.51.100.7:25", "198.51.100.7:25", "198.51.100.9:25",
    "198.51.100.7:587", "unknown" };
static const char *const versions[] = { "1.0", "1.1", "1.2", "1.3", "1.3", "1.3" };
static const char *const bits[] = { "0", "112", "128", "256", "256" };
static const char *const certs[] = { "", " cert=none", " cert=untrusted", " cert=untrusted:expired",
    " cert=trusted", " cert=trusted", " cert=trusted" };
static const char *const names[] = { "", "", " names=", " names= cn=p.example", " names=p.example",
    " names=mx.p.example", " names=z.q.example", " names=other.example,x.p.example" };
static const char *const prints[] = { "", " fp=aa", " fp=bb", " fp=cc spki=cc", " fp=dd spki=dd" };
static const char *const cas[] = { "", "", " ca=partners:ok", " ca=others:ok ca=partners:expired",
    " ca=partners:ok ca=others:ok", " ca=partners:unknown", " ca=others:revoked" };
static const char *const pins[] = { "", " pin=", " pin=/p/p.pem" };

#define ONE(of) (of)[draw(sizeof(of) / sizeof((of)[0]))]

static void
random_session(char *buf, size_t size)
{
	size_t n = (size_t)snprintf(buf, size, "from=%s to=%s client=%s listener=%s%s",
	    ONE(senders), ONE(recipients), draw(40) == 0 ? "local" : ONE(clients),
	    draw(40) == 0 ? "local" : ONE(listeners), draw(5) == 0 ? " auth" : "");

	if (draw(4) != 0)
		snprintf(buf + n, size - n, " tls=%s bits=%s%s%s%s%s%s", ONE(versions), ONE(bits),
		    ONE(certs), ONE(names), ONE(prints), ONE(cas), ONE(pins));
}

/* ---- what holds ---- */

static void
show(const char *ini, const char *facts)
{
	print_message("# SEED=%llu\n# facts: %s\n", (unsigned long long)seed, facts);
	for (const char *p = ini; *p != '\0'; ) {
		size_t n = strcspn(p, "\n");

		print_message("# %.*s\n", (int)n, p);
		p += n + (p[n] != '\0');
	}
}

/* False where the texts of a verdict are not what they have to be. */
static bool
texts_fit(const struct settings *s, const struct facts *f, const struct verdict *v)
{
	char line[4096];

	policy_log(s, f, v, line, sizeof(line));
	if (strncmp(line, "decision=", 9) != 0 || strchr(line, '\n') != NULL)
		return false;
	if (v->action == ACT_ACCEPT || v->action == ACT_LATER)
		return v->reason == REASON_NONE && v->reply[0] == '\0' && v->rule == NULL;
	for (const char *p = v->reply; *p != '\0'; p++)
		if (*p < ' ' || *p > '~' || *p == '|')
			return false;
	if (v->reason == REASON_NONE || strlen(v->reply) < 20 || strlen(v->reply) > 509)
		return false;
	if (v->action != ACT_REPORT && (v->reply[0] == '4') != (v->action == ACT_DEFER))
		return false;
	return v->reply[3] == ' ' && v->reply[4] == v->reply[0] && strstr(line, " reply=") != NULL;
}

static bool
refuses(enum action a)
{
	return a == ACT_REFUSE || a == ACT_DEFER;
}

/* Any rule of the settings, or none, as what the domains likely meet. */
static const struct rule *
guess(const struct settings *s)
{
	enum section sec = (enum section)draw(SEC_MAX);
	size_t n = settings_count(s, sec);

	return n == 0 || draw(8) == 0 ? NULL : settings_at(s, sec, draw((unsigned)n));
}

/* A guess of the caller's, right or wrong, changes nothing. */
static bool
same_with_guess(const struct settings *s, const struct facts *f, const struct verdict *v,
    void (*decide)(const struct settings *, const struct facts *, struct verdict *))
{
	struct facts with = *f;
	struct verdict got;

	with.likely_peer = guess(s);
	with.likely_domain = guess(s);
	decide(s, &with, &got);
	return got.action == v->action && got.reason == v->reason && got.counted == v->counted &&
	    got.rule == v->rule && got.key == v->key && got.server == v->server &&
	    got.listener == v->listener && got.client == v->client && got.domain == v->domain &&
	    got.peer == v->peer && strcmp(got.reply, v->reply) == 0 && strcmp(got.detail, v->detail) == 0;
}

/* NULL, or what does not hold of this mail. */
static const char *
wrong(const struct settings *s, const struct trial *tr)
{
	struct facts at_mail = try_at_mail(tr);
	struct verdict m, r;
	enum action om = oracle(s, &at_mail), or = oracle(s, &tr->f);
	bool domain = oracle_name(s, SEC_DOMAIN, tr->f.recipient_domain) != NULL;
	bool local = tr->f.client.family == ADDR_LOCAL || tr->f.listener.family == ADDR_LOCAL;

	policy_mail(s, &at_mail, &m);
	policy_rcpt(s, &tr->f, &r);
	if (!same_with_guess(s, &at_mail, &m, policy_mail) || !same_with_guess(s, &tr->f, &r, policy_rcpt))
		return "guessed rules";
	if (!texts_fit(s, &at_mail, &m) || !texts_fit(s, &tr->f, &r))
		return "texts";
	if (m.action == ACT_LATER) {
		if (m.counted || !r.counted || r.server == NULL)
			return "counting when RCPT decides";
		return r.action != or ? "RCPT, where it decides all" : NULL;
	}
	if (m.action != om)
		return "MAIL";
	if (refuses(m.action) && !refuses(or))
		return "MAIL refused what this recipient takes";
	if (r.action != (or == ACT_REPORT && !domain ? ACT_ACCEPT : or))
		return "RCPT";
	if (m.counted == local || r.counted != (domain && !local) || r.server != NULL)
		return "counting";
	return NULL;
}

static void
test_oracle(void **unused)
{
	char ini[8192], text[1024];
	struct trial tr;
	unsigned seen[ACT_DEFER + 1] = { 0 };

	(void)unused;
	for (int i = 0; i < SETTINGS; i++) {
		struct settings *s = random_settings(ini, sizeof(ini));

		for (int j = 0; j < SESSIONS; j++) {
			const char *what;

			random_session(text, sizeof(text));
			try_facts(&tr, s, text);
			seen[oracle(s, &tr.f)]++;
			if ((what = wrong(s, &tr)) != NULL) {
				show(ini, text);
				fail_msg("%s", what);
			}
		}
		settings_free(s);
	}
	/* a draw that never refuses would prove nothing */
	for (int a = 0; a <= ACT_DEFER; a++)
		if (a != ACT_LATER)
			assert_true(seen[a] > SETTINGS * SESSIONS / 100);
}

/* The same mail under the same rules, enforced and reported. */
static void
test_report(void **unused)
{
	char ini[8192], text[1024];
	struct trial tr;
	struct verdict a, b;
	unsigned refused = 0;

	(void)unused;
	for (int i = 0; i < SETTINGS; ) {
		uint64_t at = state;
		struct settings *yes, *report;

		random_ini(ini, sizeof(ini), "yes");
		yes = parse(ini);
		if (yes == NULL)
			continue;
		state = at;
		random_ini(ini, sizeof(ini), "report");
		assert_non_null(report = parse(ini));
		for (int j = 0; j < SESSIONS; j++) {
			random_session(text, sizeof(text));
			try_facts(&tr, yes, text);
			policy_rcpt(yes, &tr.f, &a);
			tr.s = report;
			policy_rcpt(report, &tr.f, &b);
			refused += refuses(a.action);
			if (refuses(b.action) || a.action == ACT_REPORT || (b.action == ACT_REPORT &&
			    (!refuses(a.action) || strcmp(a.reply, b.reply) != 0))) {
				show(ini, text);
				fail_msg("report: %s, yes: %s", action_words[b.action],
				    action_words[a.action]);
			}
		}
		settings_free(yes);
		settings_free(report);
		i++;
	}
	assert_true(refused > SETTINGS * SESSIONS / 20);
}

/* Where both say something the stricter of the two, and it says whose it is. */
static void
check_stricter(enum key k, const struct rule *domain, const struct rule *peer,
    const struct effective *e)
{
	uint32_t d = settings_value(domain, k), p = settings_value(peer, k);
	bool by_domain = k == KEY_MATCH_CN ? d <= p : d >= p;

	if (!rule_sets(domain, k) || !rule_sets(peer, k))
		return;
	assert_int_equal(e->value[k], by_domain ? d : p);
	assert_ptr_equal(e->from[k], by_domain ? domain : peer);
}

/* A domain that says A under a peer that says B is as strict as the other way round. */
static void
test_symmetry(void **unused)
{
	static const enum key both[] = { KEY_MODE, KEY_CLIENT_CERT, KEY_MIN_TLS, KEY_MIN_BITS,
	    KEY_ENFORCE, KEY_MATCH_CN };
	char one[1024], other[1024], ini[8192];
	unsigned differ = 0;

	(void)unused;
	for (int i = 0; i < SETTINGS; ) {
		const struct rule *d1, *d2, *p1, *p2;
		struct effective base, e, back;
		struct settings *s;
		struct trial tr;

		random_keys(one, sizeof(one), SEC_PEER, 2, NULL);
		random_keys(other, sizeof(other), SEC_PEER, 2, NULL);
		snprintf(ini, sizeof(ini), "[domain one.example]\n%s[domain two.example]\n%s"
		    "[peer one.example]\n%s[peer two.example]\n%s%s", one, other, one, other,
		    TRY_TAIL);
		if ((s = parse(ini)) == NULL)
			continue;
		assert_non_null(d1 = settings_find(s, SEC_DOMAIN, "one.example"));
		assert_non_null(d2 = settings_find(s, SEC_DOMAIN, "two.example"));
		assert_non_null(p1 = settings_find(s, SEC_PEER, "one.example"));
		assert_non_null(p2 = settings_find(s, SEC_PEER, "two.example"));
		try_facts(&tr, s, "");
		policy_base(s, &tr.f, &base);
		policy_effective(&base, d1, p2, &e);
		policy_effective(&base, d2, p1, &back);
		for (size_t k = 0; k < sizeof(both) / sizeof(both[0]); k++) {
			if (e.value[both[k]] != back.value[both[k]]) {
				show(ini, key_table[both[k]].name);
				fail_msg("%u and %u", e.value[both[k]], back.value[both[k]]);
			}
			check_stricter(both[k], d1, p2, &e);
			differ += e.value[both[k]] != base.value[both[k]];
		}
		settings_free(s);
		i++;
	}
	assert_true(differ > SETTINGS);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oracle),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_symmetry),
	};
	const char *env = getenv("SEED");

	if (env != NULL && strtoull(env, NULL, 10) != 0)
		seed = strtoull(env, NULL, 10);
	state = seed;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("policy, random", tests, NULL, NULL);
}
