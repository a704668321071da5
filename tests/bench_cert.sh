#!/bin/bash
# The part of `make bench` about verdicts by a client's certificate: an ECDSA
# chain of three, 140 roots, a CRL of 10,000 entries.  See bench_cert.c.
. "$(dirname "$0")/bench_lib.sh"
for p in exim_tlsward.so exim_tlsward_cert.so exim_tlsward_read.so tool/make_ca tool/bench_cert; do
	[ -e "$BUILD/$p" ] || die "needs build/$p: make all tools"
done
mkdir "$T/tree" "$T/tree/exim"	# the latter for counters
"$BUILD/tool/make_ca" "$T/tree" large || die "make_ca failed"
for ((run = 1; run <= BENCH_RUNS; run++)); do
	progress "run $run of $BENCH_RUNS"
	"$BUILD/tool/bench_cert" "$MODULE" "$T/tree" >>"$T/out" || die "bench_cert failed"
done
of() { sed -n "s/^$1=//p" "$T/out" | median; }
against="X509_verify_cert, all in memory" openssl=$(of cert_openssl)
figure cert_first "Exim: verdict by a certificate, the process has decided before" \
    "$(of cert_first)" "$against" "$openssl" us below 1000
figure cert_fresh "Exim: verdict by a certificate, in a fresh process of the daemon's" \
    "$(of cert_fresh)" "$against" "$openssl" us below 4000
figure cert_cold "Exim: the same, nothing preloaded: module, settings, bundle and CRL as well" \
    "$(of cert_cold)" "$against" "$openssl" us shown -
figure cert_later "Exim: a further verdict of the same session" "$(of cert_later)" "$against" "$openssl" us shown -
