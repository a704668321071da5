/* The state of a certificate by its whole chain, and of a bundle by all that it holds. */
#include "cert_order.h"

/* What is said of the file: the state, and a part of the sentence. */
static void
says(const char *path, enum cert_state want, const char *part)
{
	if (cert_inspect(path, NULL, NOW, 30, &info) != want || strstr(info.error, part) == NULL)
		fail_msg("%s: %s: %s", part, cert_state_words[info.state], info.error);
}

static void
whole_chain(void **state)
{
	EVP_PKEY *key[4] = { ec_key("P-256"), ec_key("P-256"), ec_key("P-256"), ec_key("P-256") };
	struct order top = { .cn = "Root", .key = key[0], .from = -400 * DAY, .to = 400 * DAY };
	X509 *root = make(&top);
	struct order mid = { .cn = "Inter", .key = key[1], .issuer = root, .issuer_key = key[0] };
	X509 *inter = make(&mid), *old, *early, *ending, *leaf, *other, *forged, *oldroot;
	char path[128];

	(void)state;
	mid.from = -300 * DAY;
	mid.to = -2 * DAY;
	old = make(&mid);
	mid.from = DAY;
	mid.to = 90 * DAY;
	early = make(&mid);
	mid.from = -DAY;
	mid.to = 5 * DAY;
	ending = make(&mid);
	leaf = make(&(struct order){ .cn = "a.example", .issuer = inter, .issuer_key = key[1] });
	other = make(&(struct order){ .cn = "b.example" });
	forged = make(&(struct order){ .cn = "Inter", .key = key[3], .issuer = root,
	    .issuer_key = key[0] });
	top.from = -400 * DAY;
	top.to = -DAY;
	oldroot = make(&top);

	says(put_chain("chain.pem", path, leaf, inter, root, NULL), CERT_STATE_OK, "");
	assert_true(info.chain_complete && info.chain_len == 3);
	says(put_chain("chain.pem", path, leaf, root, other, inter, NULL), CERT_STATE_OK, "");
	says(put_chain("chain.pem", path, leaf, inter, NULL), CERT_STATE_CHAIN_INCOMPLETE,
	    "lacks the certificate of CN=Root;");
	says(put_chain("chain.pem", path, leaf, other, root, NULL), CERT_STATE_CHAIN_INCOMPLETE,
	    "lacks the certificate of CN=Inter;");
	/* the right name, but another key */
	says(put_chain("chain.pem", path, leaf, forged, root, NULL), CERT_STATE_CHAIN_INCOMPLETE, "");
	says(put_chain("chain.pem", path, leaf, old, root, NULL), CERT_STATE_EXPIRED,
	    "certificate 2 of it, of CN=Inter, expired on 2027-01-13; renew it");
	assert_int_equal(info.chain_not_after, NOW - 2 * DAY);
	assert_int_equal(info.days_left, 365);	/* the leaf's own */
	says(put_chain("chain.pem", path, leaf, root, early, NULL), CERT_STATE_NOT_YET,
	    "certificate 3 of it, of CN=Inter, is valid only from 2027-01-16 on");
	says(put_chain("chain.pem", path, leaf, ending, root, NULL), CERT_STATE_EXPIRING,
	    "certificate 2 of it, of CN=Inter, expires in 5 days");
	/* what is there in two editions serves by the one that is valid */
	says(put_chain("chain.pem", path, leaf, old, inter, root, NULL), CERT_STATE_OK, "");
	says(put_chain("chain.pem", path, leaf, inter, oldroot, root, NULL), CERT_STATE_OK, "");
	says(put_chain("chain.pem", path, leaf, inter, oldroot, NULL), CERT_STATE_EXPIRED,
	    "certificate 3 of it, of CN=Root, expired");
	/* and what it does not go by is not looked at */
	says(put_chain("chain.pem", path, other, old, NULL), CERT_STATE_OK, "");
	unlink(path);
	X509_free(root);
	X509_free(inter);
	X509_free(old);
	X509_free(early);
	X509_free(ending);
	X509_free(leaf);
	X509_free(other);
	X509_free(forged);
	X509_free(oldroot);
	for (size_t i = 0; i < 4; i++)
		EVP_PKEY_free(key[i]);
}

static void
bundles(void **state)
{
	STACK_OF(X509) *all = sk_X509_new_null();
	EVP_PKEY *key = ec_key("P-256");
	unsigned char *der = NULL;
	char path[128], cn[32];
	int len;

	(void)state;
	for (long i = 0; i < 140; i++) {
		struct order o = { .cn = cn, .key = key, .from = -500 * DAY, .to = (500 - i) * DAY,
		    .padding = 10000 };

		snprintf(cn, sizeof(cn), "Root %ld", i);
		assert_true(sk_X509_push(all, make(&o)) > 0);
	}
	put_stack("bundle.pem", path, all);	/* 1.9 MB */
	assert_int_equal(cert_inspect_bundle(path, NOW, 30, &info), CERT_STATE_OK);
	assert_int_equal(info.chain_len, 140);
	assert_string_equal(info.subject, "CN=Root 139");
	assert_int_equal(info.days_left, 361);
	assert_int_equal(cert_inspect_bundle(path, NOW + 350 * DAY, 30, &info), CERT_STATE_EXPIRING);
	assert_non_null(strstr(info.error, "certificate 140 of it, of CN=Root 139, expires in 11 days"));
	assert_int_equal(cert_inspect_bundle(path, NOW + 370 * DAY, 30, &info), CERT_STATE_EXPIRED);
	assert_non_null(strstr(info.error, "certificate 140 of it, of CN=Root 139, expired on"));
	assert_string_equal(info.subject, "CN=Root 139");
	/* one that is not yet valid is graver than one that ends before it */
	sk_X509_push(all, make(&(struct order){ .cn = "New", .key = key, .from = 365 * DAY,
	    .to = 9000L * DAY }));
	put_stack("bundle.pem", path, all);
	assert_int_equal(cert_inspect_bundle(path, NOW + 355 * DAY, 30, &info), CERT_STATE_NOT_YET);
	assert_string_equal(info.subject, "CN=New");

	len = i2d_X509(sk_X509_value(all, 7), &der);
	put("bundle.pem", der, (size_t)len);
	assert_int_equal(cert_inspect_bundle(path, NOW, 30, &info), CERT_STATE_OK);
	assert_string_equal(info.subject, "CN=Root 7");
	assert_int_equal(info.chain_len, 1);
	der[5] ^= 0xff;			/* one TLV still, but no certificate */
	put("bundle.pem", der, (size_t)len);
	assert_int_equal(cert_inspect_bundle(path, NOW, 30, &info), CERT_STATE_UNREADABLE);
	assert_non_null(strstr(info.error, "certificate 1 of it is malformed"));
	assert_false(info.parsed);
	unlink(path);
	OPENSSL_free(der);
	sk_X509_pop_free(all, X509_free);
	EVP_PKEY_free(key);
}

static int
remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(whole_chain), cmocka_unit_test(bundles) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
