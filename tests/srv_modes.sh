#!/bin/bash
# One table of rules, ways to send and replies (tests/modes.py) on a real
# OpenSMTPD 7.4 and on Exim 4.96 and 4.98: each mode of server, listener, client
# network, domain and peer, in clear and over TLS 1.2 and 1.3, enforced and on trial.
# timeout 300
. "$(dirname "$0")/lib.sh"
need_servers opensmtpd exim-4.96 exim-4.98
need_cmd openssl python3
need_built filter-tlsward exim_tlsward.so

make_cert
make_state
table() { # NAME PORT LOG [--wait]
	relay < <(python3 -B "$TOP/tests/modes.py" --name "$1" --port "$2" --ini "$INI" --log "$3" --state "$STATE" \
	    --certificate "$CERT" --key "$T/mx.exim.key" "${@:4}" 2>&1; echo "$1 ended with $?" | tee -a "$T/ended")
}
for p in smtpd 496 498; do free_port "port_$p"; done
printf '[server]\nstate_dir = %s\n' "$STATE" | write_ini

smtpd_conf "$port_smtpd" "$FILTER -v -c $INI" >"$T/smtpd.conf"
check "OpenSMTPD starts" start_smtpd smtpd "$T/smtpd.conf"
table OpenSMTPD "$port_smtpd" "$T/smtpd.log" --wait
check "OpenSMTPD ends" stop smtpd
for v in 4.96 4.98; do
	port=port_${v/./}
	exim_conf "${!port}" "$(exim_macros)" >"$T/exim-$v.conf"
	check "Exim $v starts" start_exim "exim-$v" $v "$T/exim-$v.conf"
	table "Exim $v" "${!port}" "$T/exim-${!port}/mainlog"
	check "Exim $v ends" stop "exim-$v"
done
is "the table was run three times" "$(cat "$T/ended")" \
    $'OpenSMTPD ended with 0\nExim 4.96 ended with 0\nExim 4.98 ended with 0'
done_testing
