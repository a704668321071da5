#!/bin/bash
# Everything at once: OpenSMTPD and Exim with tlsward, sessions by own clients and
# swaks in clear and over TLS with and without certificates, SETs, the command
# line, editors that rename and that write in place, errors in the file, renewed
# certificates, SIGHUPs to filter, agent and Exim, walks, snmpd restarted and killed.
# SOAK_SECONDS (60) by SEED (1); the choices are the seed's, their timing is not.
#
# Every answer is what `tlsward explain` says for the settings that were in force
# when the session began, which may be those of up to a second before (2 s for one
# session in two hundred: the machine may be busy).  Every
# message accepted is delivered, the counters are the sums of the sessions, filter,
# agent and Exim's daemon are the same processes, with no more descriptors at the end
# than after a quarter of the time, both under the settings of the beginning, and at
# most 1 MiB more memory; Exim's daemon, which SIGHUP starts anew, up to the first of those.
# timeout 1500
. "$(dirname "$0")/lib.sh"
need_servers opensmtpd exim-4.96 snmpd
need_cmd openssl python3 swaks snmpset snmpbulkwalk
need_built filter-tlsward exim_tlsward.so exim_tlsward_cert.so exim_tlsward_read.so tlsward-agent tlsward tool/make_ca

mkdir "$T/tree" "$T/work" "$T/mail/exim"
"$BUILD/tool/make_ca" "$T/tree" || die "make_ca failed"
chmod 0755 "$T/tree" && chmod 0644 "$T/tree"/*.pem
make_cert
make_state
chown Debian-exim "$T/mail/exim"
for p in tls verify exim; do free_port "port_$p"; done

write_ini <<END
[server]
mode = offer
certificate = mx
state_dir = $STATE
[listener 127.0.0.1:$port_tls]
[listener 127.0.0.1:$port_exim]
[listener 127.0.0.1:$port_verify]
verifies = yes
[certificate mx]
file = $CERT
key = $T/mx.exim.key
[ca tree]
file = $T/tree/ca.pem
END
{
	smtpd_conf "$port_tls" "$FILTER -c $INI" | sed '/^action\|^match/d'
	echo "ca \"tree\" cert \"$T/tree/ca.pem\""
	echo "listen on 127.0.0.1 port $port_verify tls-require verify pki \"mx\" ca \"tree\"" \
	    'hostname mx.example.org filter "tlsward"'
	smtpd_conf 1 | grep '^action\|^match'
} >"$T/smtpd.conf"
# This one delivers: a file a recipient.  exim_path: SIGHUP starts it anew.
exim_conf "$port_exim" "exim_path = $SERVERS/exim-4.96/usr/sbin/exim4
$(exim_macros)" | sed 's/^queue_only.*/deliver_drop_privilege = true/
	s/^acl_smtp_data.*//; /^exim_take:/,/discard/d' >"$T/exim.conf"
cat >>"$T/exim.conf" <<-END
	begin routers
	all:
	  driver = accept
	  transport = keep
	begin transports
	keep:
	  driver = appendfile
	  maildir_format
	  directory = $T/mail/exim
	  user = Debian-exim
END
check 'OpenSMTPD starts' start_smtpd smtpd "$T/smtpd.conf"
check 'Exim starts' start_exim exim 4.96 "$T/exim.conf"
check 'snmpd starts' start_snmpd
check 'the agent starts' start_agent
running smtpd && running exim && running agent || done_testing

filter_pid=
for p in /proc/[0-9]*; do
	[ "$(readlink "$p/exe" 2>/dev/null)" != "$FILTER" ] || filter_pid=${p#/proc/}
done
# From now on the soak restarts snmpd.
mapfile -d '' -t snmpd <"/proc/${PIDS[snmpd]}/cmdline"
stop snmpd
export SOAK_SNMPD_LOG=$T/snmpd.log
start soak sh -c '"$@"; echo "# soak.py ended with $?"' sh python3 -B "$TOP/tests/soak.py" \
    --seed "${SEED:-1}" --seconds "${SOAK_SECONDS:-60}" --ini "$INI" --tlsward "$TLSWARD" \
    --tree "$T/tree" --certificate "$CERT" --key "$T/mx.exim.key" --state "$STATE" --work "$T/work" \
    --smtpd-log "$T/smtpd.log" --agent-log "$T/agent.log" --exim-spool "$T/exim-$port_exim" \
    --smtpd-mail "$T/mail/smtpd" --exim-mail "$T/mail/exim" --tls-port "$port_tls" \
    --verify-port "$port_verify" --exim-port "$port_exim" --snmp-port "$SNMP_PORT" \
    --filter-pid "$filter_pid" --agent-pid "${PIDS[agent]}" --exim-pid "${PIDS[exim]}" -- "${snmpd[@]}"
wait_for 10 alive "${PIDS[soak]}"	# a process group of its own, soon
wait_for 1400 gone "${PIDS[soak]}"
relay <"$T/soak.log"
is 'all was judged' "$(tail -n 1 "$T/soak.log")" '# soak.py ended with 0'
[ "$FAILED" -eq 0 ] || [ ! -d "$BUILD/log" ] || {
	rm -rf "$BUILD/log/soak"
	cp -r "$T/work" "$BUILD/log/soak"
	note "kept: $BUILD/log/soak, each version of the settings and what every session was answered"
}
done_testing
