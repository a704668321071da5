/*
 * libFuzzer: a compiled form of the settings that somebody forged.  The first
 * octet says how: the whole (odd), or good settings' with edits of four octets
 * each: where (three, little-endian) and what.  However it was made, asking
 * it reads nothing outside, and decisions by it keep to their form.
 */
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
	settings_free(s);
	return 0;
}
