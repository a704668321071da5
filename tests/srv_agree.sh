#!/bin/bash
# What both servers do is what `tlsward explain` says: random settings and
# sessions, CASES (300) of them by SEED (the day's date); CASE=M holds that one
# again and prints its settings.  TLS 1.1 to 1.3 (smtpd: from 1.2), certificates,
# AUTH, IPv6, SNI, and smtpd's log handed to the filter by a real rsyslogd.
# timeout 600
. "$(dirname "$0")/lib.sh"
need_servers opensmtpd exim-4.96 rsyslog
need_cmd openssl python3
need_built filter-tlsward exim_tlsward.so exim_tlsward_cert.so exim_tlsward_read.so tlsward tool/make_ca tool/explain_pin

mkdir "$T/tree"
"$BUILD/tool/make_ca" "$T/tree" || die "make_ca failed"
chmod 0755 "$T/tree" && chmod 0644 "$T/tree"/*.pem
make_cert
make_cert other
make_state
RSYSLOG=$SERVERS/rsyslog/usr
printf 'joe\t%s\n' "$(openssl passwd -6 secret)" >"$T/creds"
chmod 0644 "$T/creds"
v6=()
[ -z "$(ip -6 addr show dev lo 2>/dev/null || cat /proc/net/if_inet6 2>/dev/null)" ] || v6=(--v6)
for p in tls verify exim; do free_port "port_$p"; done

printf '[server]\nstate_dir = %s\n[listener 127.0.0.1:%s]\nverifies = yes\n' "$STATE" "$port_verify" | write_ini
{
	smtpd_conf "$port_tls" "$FILTER -v -c $INI" | sed '/^action\|^match\|^listen/d'
	echo "table creds file:$T/creds"
	echo "ca \"tree\" cert \"$T/tree/ca.pem\""
	for a in 127.0.0.1 ${v6:+::1}; do
		h='hostname mx.example.org auth-optional <creds> filter "tlsward"'
		echo "listen on $a port $port_tls tls pki \"mx\" $h"
		echo "listen on $a port $port_verify tls-require verify pki \"mx\" ca \"tree\" $h"
	done
	smtpd_conf 1 | grep '^action\|^match'
} >"$T/smtpd.conf"
exim_conf "$port_exim" "$(exim_macros)" | sed "s/^local_interfaces.*/local_interfaces = <; 127.0.0.1${v6:+ ; ::1}/" >"$T/exim.conf"
cat >>"$T/exim.conf" <<-'END'
	begin authenticators
	plain:
	  driver = plaintext
	  public_name = PLAIN
	  server_prompts = :
	  server_condition = ${if eq{$auth3}{secret}}
	  server_set_id = $auth2
END
sed "s,/var/lib/tlsward/opensmtpd/feed,$STATE/opensmtpd/feed,; /^if/s,OPENSMTPD_UID,$(id -u opensmtpd)," "$TOP/conf/rsyslog-tlsward.conf" >"$T/rsyslog-tlsward.conf"
cat >"$T/rsyslog.conf" <<-END
	global(workDirectory="$T")
	module(load="imuxsock" SysSock.Use="off")
	input(type="imuxsock" Socket="$T/smtpd.syslog" CreatePath="off"
	    RateLimit.Interval="0" Annotate="on" ParseTrusted="on")
	include(file="$T/rsyslog-tlsward.conf")
	*.* action(type="omfile" file="$T/maillog.log")
END
start rsyslogd "$RSYSLOG/sbin/rsyslogd" -n -iNONE -M "$(echo "$RSYSLOG"/lib/*/rsyslog)" -f "$T/rsyslog.conf"
check 'rsyslogd starts' wait_for 5 test -S "$T/smtpd.syslog"
chmod 0666 "$T/smtpd.syslog"
check 'OpenSMTPD starts' start_smtpd smtpd "$T/smtpd.conf" "$SERVERS/opensmtpd/usr/sbin/smtpd" -F -f "$T/smtpd.conf"
check "and its log arrives" await_log 5 maillog 'settings are in force'
check 'Exim starts' start_exim exim 4.96 "$T/exim.conf"
running smtpd && running exim || done_testing

SEED=${SEED:-$(date +%Y%m%d)}
note "SEED=$SEED"
relay < <(python3 -B "$TOP/tests/agree.py" --seed "$SEED" --cases "${CASES:-300}" ${CASE:+--case "$CASE"} \
    --ini "$INI" --log "$T/maillog.log" --tlsward "$TLSWARD" --tree "$T/tree" --state "$STATE" \
    --certificate "$CERT" --key "$T/mx.exim.key" --tls-port "$port_tls" --verify-port "$port_verify" \
    --exim-port "$port_exim" "${v6[@]}" --pin-tool "$BUILD/tool/explain_pin" --other "$T/other.pem" "$T/other.exim.key" 2>&1; echo "# agree.py ended with $?" | tee "$T/agree.end")
[ -n "${CASE:-}" ] || check 'smtpd told of fingerprints' grep -q 'decision=.* fingerprint=SHA256' "$T/maillog.log"
is 'all cases were tried' "$(cat "$T/agree.end")" '# agree.py ended with 0'
done_testing
