/* PEM and base64 as they come. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/types.h>

#include "pem_scan.h"

static void
base64(void **state)
{
	static const struct { const char *in, *out; } cases[] = {
		{ "", "" }, { "QQ==", "A" }, { "QUI=", "AB" }, { "QUJD", "ABC" }, { "QUJDRA==", "ABCD" },
		{ "Q\nU\r\nJ D", "ABC" }, { "QQ", "A" }, { "QUI", "AB" },
		{ "Q", NULL }, { "QQ=", NULL }, { "QUI==", NULL }, { "QUJD=", NULL }, { "=", NULL },
		{ "Q=Q=", NULL }, { "QQ==QQ==", NULL }, { "QU-D", NULL }, { "QU\001D", NULL },
	};
	unsigned char out[64];
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		n = base64_decode(cases[i].in, strlen(cases[i].in), out);
		if (cases[i].out == NULL ? n != SIZE_MAX :
		    n != strlen(cases[i].out) || memcmp(out, cases[i].out, n) != 0)
			fail_msg("\"%s\": %zd", cases[i].in, (ssize_t)n);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
