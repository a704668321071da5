/*
 * libFuzzer: a compiled form of the settings that somebody forged.  The first
 * octet says how: the whole (odd), or good settings' with edits of four octets
 * each: where (three, little-endian) and what.  However it was made, asking
 * it reads nothing outside, and decisions by it keep to their form; nor do its
 * warnings and what a change makes of it.
 */
#include "edit_quick.h"
#include "edit_text.h"
#include "fuzz_settings.h"

/* A forger keeps the head as it is looked for. */
static void
edit(unsigned char *image, size_t len, const uint8_t *data, size_t size)
{
	for (; size >= 4; data += 4, size -= 4) {
		size_t at = (size_t)data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16;

		image[at % len] = data[3];
	}
}

static void
decide(const struct settings *s)
{
	static const char *const names[] = { "", "a.example", "x.b.example", "c.example", "d.example" };
	struct facts f = { .helo = "h.example", .session = "1", .cipher = "AES", .bits = 128,
	    .sender = "a@a.example", .recipient = "b@b.example" };

	must(addr_socket("10.1.2.3:25", 11, &f.listener) && addr_ip("10.9.9.9", 8, &f.client));
	for (unsigned i = 0; i < 5; i++) {
		f.sender_domain = names[i];
		f.recipient_domain = names[(i * 2 + 1) % 5];
		f.tls = i == 0 ? TLS_NONE : TLS_1_2;
		f.cert.status = (enum cert_status)(i % 4);
		fuzz_decide(s, &f);
	}
}

static void
warned(void *arg, enum severity severity, const char *path, unsigned line, const char *text)
{
	(void)arg;
	(void)path;
	(void)line;
	must(severity <= SEV_WARNING && *text != '\0');
}

/* One change of what the text has. */
static void
change(const struct settings *s, enum edit_op op, enum section sec, const char *name, enum key k,
    const char *value)
{
	struct edit e = { .op = op, .section = sec, .name = name, .key = k, .value = value };
	const size_t len = sizeof(fuzz_text) - 1;
	struct settings *q = NULL;
	struct edit_plan plan;
	char why[EDIT_WHY], *text = NULL;
	size_t size;

	must(edit_plan(&plan, &e, 1, why) == EDIT_OK);
	must(edit_text(fuzz_text, len, &plan, &text, &size, why) == EDIT_OK);
	if ((q = edit_quick(s, settings_path(s), fuzz_text, len, text, size)) != NULL) {
		(void)ask(q);
		settings_warn(q, warned, NULL);
	}
	settings_free(q);
	edit_plan_free(&plan);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned char *good;
	static size_t good_len;
	struct settings *s;
	unsigned char *image;
	size_t len;

	if (good == NULL) {
		s = fuzz_settings();
		must((good = settings_image(s, &good_len)) != NULL);
		settings_free(s);
	}
	if (size < 1)
		return 0;
	len = data[0] % 2 == 1 ? size - 1 : good_len;
	must((image = malloc(len > 0 ? len : 1)) != NULL);
	if (data[0] % 2 == 1) {
		memcpy(image, data + 1, len);
	} else {
		memcpy(image, good, len);
		edit(image, len, data + 1, size - 1);
	}
	if ((s = settings_adopt(image, len)) == NULL) {
		free(image);
		return 0;
	}
	(void)ask(s);
	decide(s);
	settings_warn(s, warned, NULL);
	change(s, EDIT_SET, SEC_SERVER, "", KEY_MODE, "require");
	change(s, EDIT_SET, SEC_LISTENER, "10.1.2.3:25", KEY_MODE, "offer");
	change(s, EDIT_UNSET, SEC_CLIENT, "10.0.0.0/8", KEY_MODE, NULL);
	change(s, EDIT_SET, SEC_PEER, "b.example", KEY_CERT_NAMES, "z.example");
	change(s, EDIT_SET, SEC_PEER, "c.example", KEY_MODE, "require");
	change(s, EDIT_REMOVE, SEC_PEER, "b.example", KEY_MODE, NULL);
	settings_free(s);
	return 0;
}
