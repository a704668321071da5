#!/bin/bash
# What both servers do is what `tlsward explain` says: random settings and
# sessions, CASES (300) of them by SEED (1); CASE=M holds that one again and
# prints its settings.
# timeout 600
. "$(dirname "$0")/lib.sh"
need_servers opensmtpd exim-4.96
need_cmd openssl python3
need_built filter-tlsward exim_tlsward.so exim_tlsward_cert.so tlsward tool/make_ca

mkdir "$T/tree"
"$BUILD/tool/make_ca" "$T/tree" || die "make_ca failed"
chmod 0755 "$T/tree" && chmod 0644 "$T/tree"/*.pem
make_cert
make_state
chown root "$STATE/opensmtpd"	# the filter gets no feed, so it never waits for one
for p in tls verify exim; do free_port "port_$p"; done

printf '[server]\nstate_dir = %s\n[listener 127.0.0.1:%s]\nverifies = yes\n' "$STATE" "$port_verify" | write_ini
{
	smtpd_conf "$port_tls" "$FILTER -v -c $INI" | sed '/^action\|^match/d'
	echo "ca \"tree\" cert \"$T/tree/ca.pem\""
	echo "listen on 127.0.0.1 port $port_verify tls-require verify pki \"mx\" ca \"tree\"" \
	    'hostname mx.example.org filter "tlsward"'
	smtpd_conf 1 | grep '^action\|^match'
} >"$T/smtpd.conf"
exim_conf "$port_exim" "$(exim_macros)" >"$T/exim.conf"
check 'OpenSMTPD starts' start_smtpd smtpd "$T/smtpd.conf"
check 'Exim starts' start_exim exim 4.96 "$T/exim.conf"
running smtpd && running exim || done_testing

relay < <(python3 -B "$TOP/tests/agree.py" --seed "${SEED:-1}" --cases "${CASES:-300}" ${CASE:+--case "$CASE"} \
    --ini "$INI" --log "$T/smtpd.log" --tlsward "$TLSWARD" --tree "$T/tree" --state "$STATE" \
    --certificate "$CERT" --key "$T/mx.exim.key" --tls-port "$port_tls" --verify-port "$port_verify" \
    --exim-port "$port_exim" 2>&1; echo "# agree.py ended with $?" | tee "$T/agree.end")
is 'all cases were tried' "$(cat "$T/agree.end")" '# agree.py ended with 0'
done_testing
