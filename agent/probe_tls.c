/* See probe_tls.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "cert.h"
#include "probe_tls.h"

struct probe_tls {
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *in, *out;		/* the ssl's */
	bool asks;
	int alert;		/* last one received, -1: none */
	unsigned long error;	/* of OpenSSL, when it failed */
	size_t chain_len;
	unsigned char chain[PROBE_CHAIN_MAX][32];
	unsigned char *leaf;	/* DER */
	int leaf_len;
};

/* We have none: but now it is known that the server asks. */
static int
no_certificate(SSL *ssl, X509 **x, EVP_PKEY **key)
{
	struct probe_tls *t = SSL_get_app_data(ssl);

	(void)x;
	(void)key;
	t->asks = true;
	return 0;
}

/*
 * In place of verification: keeps what was shown.  Here, not after the handshake,
 * since a server that insists on a client certificate lets none be finished.
 */
static int
keep_chain(X509_STORE_CTX *store, void *arg)
{
	struct probe_tls *t = arg;
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(store);
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	int n = chain != NULL ? sk_X509_num(chain) : 0;

	t->chain_len = (size_t)n;
	for (int i = 0; i < n && i < PROBE_CHAIN_MAX; i++)
		if (X509_digest(sk_X509_value(chain, i), EVP_sha256(), t->chain[i], NULL) != 1)
			return 0;
	if (leaf != NULL && t->leaf == NULL)
		t->leaf_len = i2d_X509(leaf, &t->leaf);
	return 1;
}

static void
keep_alert(const SSL *ssl, int where, int value)
{
	struct probe_tls *t = SSL_get_app_data(ssl);

	if ((where & SSL_CB_ALERT) != 0 && (where & SSL_CB_READ) != 0)
		t->alert = value & 0xff;
}

/* What a sender with the oldest library could use is seen, not only what ours likes. */
static SSL_CTX *
context(struct probe_tls *t)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL)
		return NULL;
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, 0) != 1 ||
	    SSL_CTX_set_cipher_list(ctx, "DEFAULT:@SECLEVEL=0") != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_LEGACY_SERVER_CONNECT);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, keep_chain, t);
	SSL_CTX_set_client_cert_cb(ctx, no_certificate);
	SSL_CTX_set_info_callback(ctx, keep_alert);
	return ctx;
}

struct probe_tls *
probe_tls_new(const char *sni)
{
	struct probe_tls *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->alert = -1;
	ERR_clear_error();
	if ((t->ctx = context(t)) == NULL || (t->ssl = SSL_new(t->ctx)) == NULL)
		goto fail;
	t->in = BIO_new(BIO_s_mem());
	t->out = BIO_new(BIO_s_mem());
	if (t->in == NULL || t->out == NULL) {
		BIO_free(t->in);
		BIO_free(t->out);
		goto fail;
	}
	SSL_set_bio(t->ssl, t->in, t->out);
	SSL_set_app_data(t->ssl, t);
	SSL_set_connect_state(t->ssl);
	if (sni[0] != '\0' && SSL_set_tlsext_host_name(t->ssl, sni) != 1)
		goto fail;
	return t;
fail:
	ERR_clear_error();
	probe_tls_free(t);
	return NULL;
}

void
probe_tls_free(struct probe_tls *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	SSL_CTX_free(t->ctx);
	OPENSSL_free(t->leaf);
	free(t);
}

bool
probe_tls_feed(struct probe_tls *t, const void *wire, size_t len)
{
	return len <= INT32_MAX && BIO_write(t->in, wire, (int)len) == (int)len;
}

size_t
probe_tls_drain(struct probe_tls *t, void *wire, size_t size)
{
	int n = size <= INT32_MAX ? BIO_read(t->out, wire, (int)size) : 0;

	return n > 0 ? (size_t)n : 0;
}

/* Does it only want more of the wire? */
static bool
wants(struct probe_tls *t, int n)
{
	int e = SSL_get_error(t->ssl, n);

	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		return true;
	if (t->error == 0)
		t->error = ERR_peek_last_error();
	ERR_clear_error();
	return false;
}

int
probe_tls_handshake(struct probe_tls *t)
{
	int n;

	ERR_clear_error();
	n = SSL_do_handshake(t->ssl);
	return n == 1 ? 1 : wants(t, n) ? 0 : -1;
}

int
probe_tls_read(struct probe_tls *t, void *buf, size_t size)
{
	int n;

	ERR_clear_error();
	n = SSL_read(t->ssl, buf, size <= INT32_MAX ? (int)size : INT32_MAX);
	return n > 0 ? n : wants(t, n) ? 0 : -1;
}

bool
probe_tls_write(struct probe_tls *t, const void *buf, size_t len)
{
	ERR_clear_error();
	return len <= INT32_MAX && SSL_write(t->ssl, buf, (int)len) == (int)len;
}

void
probe_tls_close(struct probe_tls *t)
{
	ERR_clear_error();
	(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
}

static void
take_leaf(const struct probe_tls *t, struct probe_result *r)
{
	struct cert_info *info = malloc(sizeof(*info));

	if (info == NULL)
		return;
	(void)cert_inspect_der(t->leaf, (size_t)t->leaf_len, time(NULL), 0, info);
	if (info->parsed) {
		snprintf(r->subject, sizeof(r->subject), "%.255s", info->subject);
		snprintf(r->issuer, sizeof(r->issuer), "%.255s", info->issuer);
		r->not_before = info->not_before;
		r->not_after = info->not_after;
	}
	free(info);
}

void
probe_tls_result(struct probe_tls *t, struct probe_result *r)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);
	int version = SSL_version(t->ssl);

	r->asks = t->asks;
	r->chain_len = t->chain_len;
	memcpy(r->chain, t->chain, sizeof(r->chain));
	if (t->leaf == NULL || t->leaf_len <= 0)
		return;
	r->tls = true;
	take_leaf(t, r);
	r->version = version >= TLS1_VERSION && version <= TLS1_3_VERSION ?
	    (enum tls_version)version : TLS_NONE;
	if (cipher == NULL)	/* the handshake ended before it came into use */
		cipher = SSL_get_pending_cipher(t->ssl);
	if (cipher != NULL) {
		snprintf(r->cipher, sizeof(r->cipher), "%s", SSL_CIPHER_get_name(cipher));
		r->bits = (unsigned)SSL_CIPHER_get_bits(cipher, NULL);
	}
}

void
probe_tls_why(struct probe_tls *t, char *buf, size_t size)
{
	const char *reason = t->error != 0 ? ERR_reason_error_string(t->error) : NULL;

	if (t->alert > 0)
		snprintf(buf, size, "it sent the alert \"%s\"", SSL_alert_desc_string_long(t->alert));
	else
		snprintf(buf, size, "%s", reason != NULL ? reason : "");
}
