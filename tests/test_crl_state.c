/* The state of a CRL's file, as cert_inspect_crl has it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <time.h>

#include "cert.h"
#include "crl_craft.h"

static char dir[] = "/tmp/tlsward-test-crl-state.XXXXXX";

#define HOUR 3600L
#define DAY (24 * HOUR)

static X509_CRL *
dated(const char *ca, long from, long to, size_t entries)
{
	X509_CRL *crl = tree_crl(tree_find(ca, strlen(ca)), entries, false);
	ASN1_TIME *t = ASN1_TIME_set(NULL, 1800000000 + from);

	X509_CRL_set1_lastUpdate(crl, t);
	ASN1_TIME_set(t, 1800000000 + to);
	if (to != 0)
		X509_CRL_set1_nextUpdate(crl, t);
	ASN1_TIME_free(t);
	return crl;
}

static void
inspected(void **state)
{
	static const struct {
		long from, to;
		enum cert_state want;
		long days;
		const char *says;
	} cases[] = {
		{ -DAY, 6 * DAY, CERT_STATE_OK, 6, "" },
		{ -6 * DAY, DAY, CERT_STATE_EXPIRING, 1, "ends in 1 day; fetch it again" },
		{ -40 * DAY, 8 * DAY, CERT_STATE_OK, 8, "" },
		{ -40 * DAY, 7 * DAY - 1, CERT_STATE_EXPIRING, 6, "ends in 6 days" },
		{ -HOUR, HOUR, CERT_STATE_OK, 0, "" },
		{ -7 * DAY, 1, CERT_STATE_EXPIRING, 0, "ends in 0 days" },
		{ -7 * DAY, -1, CERT_STATE_EXPIRED, -1, "should have been replaced by 2027-01-15 07:59" },
		{ HOUR, DAY, CERT_STATE_NOT_YET, 1, "is valid only from 2027-01-15 09:00 on" },
	};
	char path[256];
	struct crl_info info;

	(void)state;
	snprintf(path, sizeof(path), "%s/dated.crl", dir);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		X509_CRL *crl = dated("inter", cases[i].from, cases[i].to, 20 + i);
		X509_CRL *late = dated("root", -DAY, 100 * DAY, 3);
		FILE *f = fopen(path, "w");

		assert_true(PEM_write_X509_CRL(f, late) == 1 && PEM_write_X509_CRL(f, crl) == 1 &&
		    PEM_write_X509_CRL(f, late) == 1 && fclose(f) == 0);
		assert_int_equal(cert_inspect_crl(path, 1800000000, 7, &info), cases[i].want);
		assert_int_equal(info.state, cases[i].want);
		assert_true(info.parsed);
		assert_string_equal(info.issuer, "CN=Test inter");
		assert_int_equal(info.crls, 3);
		assert_int_equal(info.entries, 20 + i + 1);	/* `revoked` is on it too */
		assert_int_equal(info.this_update, 1800000000 + cases[i].from);
		assert_int_equal(info.next_update, 1800000000 + cases[i].to);
		assert_int_equal(info.days_left, cases[i].days);
		assert_non_null(strstr(info.error, cases[i].says));
		assert_int_equal(info.error[0] == '\0', cases[i].want == CERT_STATE_OK);
		X509_CRL_free(crl);
		X509_CRL_free(late);
	}
	unlink(path);
}

static void
inspected_badly(void **state)
{
	char path[256];
	struct crl_info info;
	struct octets made;
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/dated.crl", dir);
	assert_int_equal(cert_inspect_crl(path, 1800000000, 7, &info), CERT_STATE_UNREADABLE);
	assert_non_null(strstr(info.error, "there is no such file"));
	for (size_t i = 0; i < 2; i++) {
		craft(&crafts[i == 0 ? 0 : 6], 0x1234, &made);
		assert_non_null(f = fopen(path, "w"));
		assert_int_equal(fwrite(made.p, 1, made.len, f), made.len);
		assert_int_equal(fclose(f), 0);
		assert_int_equal(cert_inspect_crl(path, time(NULL), 7, &info),
		    i == 0 ? CERT_STATE_OK : CERT_STATE_UNREADABLE);
		assert_int_equal(info.entries, i == 0 ? 3 : 0);
		assert_int_equal(info.parsed, i == 0);
	}
	assert_non_null(strstr(info.error, "malformed; fetch it again"));
	/* a date of 13 months, and a list read whole */
	craft(&crafts[9], 0x1234, &made);
	assert_non_null(f = fopen(path, "w"));
	assert_int_equal(fwrite(made.p, 1, made.len, f), made.len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(cert_inspect_crl(path, time(NULL), 7, &info), CERT_STATE_OK);
	assert_int_equal(info.entries, 3);
	for (size_t i = 0; i + 4 < made.len; i++)
		if (made.p[i] == 0x17 && made.p[i + 1] == 13) {
			memcpy(&made.p[i + 4], "13", 2);
			break;
		}
	assert_non_null(f = fopen(path, "w"));
	assert_int_equal(fwrite(made.p, 1, made.len, f), made.len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(cert_inspect_crl(path, time(NULL), 7, &info), CERT_STATE_UNREADABLE);
	assert_non_null(strstr(info.error, "dates"));
	unlink(path);
}

static int
setup(void **state)
{
	(void)state;
	tree_make_all();
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	tree_free_all();
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inspected), cmocka_unit_test(inspected_badly),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
