/*
 * What tlsward's filter is measured beside: one that lets everything proceed,
 * written with libopensmtpd as its manual has it.  It asks for the events and
 * phases that filter-tlsward asks for, but for link-auth, which the library
 * does not know.
 */
#include <stdint.h>
#include <time.h>
#include <opensmtpd.h>

static void
on_connect(struct osmtpd_ctx *ctx, const char *rdns, enum osmtpd_status fcrdns,
    struct sockaddr_storage *src, struct sockaddr_storage *dst)
{
	(void)ctx, (void)rdns, (void)fcrdns, (void)src, (void)dst;
}

static void
on_event(struct osmtpd_ctx *ctx)
{
	(void)ctx;
}

static void
on_text(struct osmtpd_ctx *ctx, const char *text)
{
	(void)ctx, (void)text;
}

static void
proceed(struct osmtpd_ctx *ctx)
{
	osmtpd_filter_proceed(ctx);
}

static void
proceed_with(struct osmtpd_ctx *ctx, const char *text)
{
	(void)text;
	osmtpd_filter_proceed(ctx);
}

int
main(void)
{
	osmtpd_register_report_connect(1, on_connect);
	osmtpd_register_report_disconnect(1, on_event);
	osmtpd_need(OSMTPD_NEED_GREETING);	/* the library exports no other way */
	osmtpd_register_report_identify(1, on_text);
	osmtpd_register_report_tls(1, on_text);
	osmtpd_register_filter_starttls(proceed);
	osmtpd_register_filter_mailfrom(proceed_with);
	osmtpd_register_filter_rcptto(proceed_with);
	osmtpd_run();
	return 0;
}
