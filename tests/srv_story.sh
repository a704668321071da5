#!/bin/bash
# One INI, both servers, the agent and snmpd: whoever changes the file, and
# however, the next session on both servers meets the change within a second,
# and nothing is restarted.
# runs alone: it measures time
. "$(dirname "$0")/lib.sh"
need_servers opensmtpd exim-4.96 snmpd
need_cmd snmpset snmpget openssl
need_built filter-tlsward exim_tlsward.so tlsward-agent tlsward

make_cert
make_state
free_port smtpd_port
free_port exim_port
write_ini <<END
; first comment, to be kept
[server]
mode = offer            ; and this one
certificate = mx
state_dir = $STATE

[listener 127.0.0.1:$smtpd_port]
[listener 127.0.0.1:$exim_port]

# about the certificate
[certificate mx]
file = $CERT
key = $T/mx.exim.key

[domain example.org]
mode = offer
; last comment
END
cp "$INI" "$T/first.ini"
smtpd_conf "$smtpd_port" "$FILTER -c $INI" >"$T/smtpd.conf"
exim_conf "$exim_port" "$(exim_macros)" >"$T/exim.conf"
check "OpenSMTPD starts with the filter" start_smtpd smtpd "$T/smtpd.conf"
check "Exim starts with the module" start_exim exim 4.96 "$T/exim.conf"
check "snmpd starts" start_snmpd
check "the agent connects to it" start_agent

filter_pid() {
	local p
	for p in /proc/[0-9]*; do
		[ "$(readlink "$p/exe" 2>/dev/null)" = "$FILTER" ] && echo "${p#/proc/}"
	done
}
before="${PIDS[smtpd]} ${PIDS[exim]} ${PIDS[agent]} $(filter_pid)"

# obeyed NAME TO WANTED SINCE: until both servers answer so, and how long after the
# change the first session began that was answered so.
obeyed() {
	local name=$1 to=$2 want=$3 since=$4 server port began
	local -A got=() took=()
	while [ ${#took[@]} -lt 2 ] && [ $(($(now_ms) - since)) -lt 3000 ]; do
		for server in smtpd exim; do
			port=${server}_port
			[ -z "${took[$server]:-}" ] || continue
			began=$(now_ms)
			got[$server]=$(rcpt_reply "${!port}" "$to")
			[[ ${got[$server]} == $want* ]] && took[$server]=$((began - since))
		done
	done
	for server in smtpd exim; do
		if [ "${took[$server]:-9999}" -lt 1000 ]; then
			ok "$name: $server obeys within a second"
			note "a session begun ${took[$server]} ms after it"
		else
			not_ok "$name: $server obeys within a second" \
			    "after ${took[$server]:-more than 3000} ms it said: ${got[$server]}"
		fi
	done
}
row=$(oid_of example.org)
new=$(oid_of new.example)
mode=$BASE_OID.2553.1.5.1.2
status=$BASE_OID.2553.1.5.1.31

obeyed "at the start" a@example.org 250 "$(now_ms)"

# ---- by SNMP ----
at=$(now_ms)
like "SET of a mode" "$(snmp snmpset "$mode.$row" i 4)" 'INTEGER: 4'
obeyed "SET require" a@example.org '530 5.7.0' "$at"
is "the file says so" "$(grep -A1 '^\[domain example.org\]' "$INI" | tail -n 1)" 'mode = require'

at=$(now_ms)
like "SET that creates a row" "$(snmp snmpset "$status.$new" i 4 "$mode.$new" i 4)" 'INTEGER: 4'
obeyed "SET createAndGo" a@new.example '530 5.7.0' "$at"
at=$(now_ms)
like "SET that destroys it" "$(snmp snmpset "$status.$new" i 6)" 'INTEGER: 6'
obeyed "SET destroy" a@new.example 250 "$at"

# ---- by the command line ----
at=$(now_ms)
check "tlsward set" "$TLSWARD" set -c "$INI" "domain example.org" mode offer
obeyed "tlsward set" a@example.org 250 "$at"
is "GET sees it" "$(snmp_get "$mode.$row")" 3

# ---- by an editor ----
sed 's/^mode = offer$/mode = require/' "$INI" >"$T/edited"
at=$(now_ms)
mv "$T/edited" "$INI"
chmod 0644 "$INI"
obeyed "an editor that renames" a@example.org '530 5.7.0' "$at"
sed 's/^mode = require$/mode = offer/' "$INI" >"$T/edited"
at=$(now_ms)
cat "$T/edited" >"$INI"
obeyed "an editor that writes in place" a@example.org 250 "$at"
sed 's/^mode = offer$/mode = require/' "$T/edited" >"$T/other.ini"
mv "$INI" "$T/real.ini"
at=$(now_ms)
ln -s "$T/other.ini" "$INI"
obeyed "a symbolic link put there" a@example.org '530 5.7.0' "$at"
at=$(now_ms)
mv "$T/real.ini" "$INI"
obeyed "and the file again" a@example.org 250 "$at"

# ---- a bad edit ----
cp "$INI" "$T/good.ini"
sed 's/^mode = offer$/mode = always/' "$T/good.ini" >"$T/edited"
mv "$T/edited" "$INI"
check "the filter names line and remedy" await_log 2 smtpd 'tlsward\.ini:[0-9]+: .*(none, offer or require|always)'
bad_seen() { [[ $(snmp_get "$BASE_OID.2553.1.3.7.0") == *tlsward.ini:* ]]; }
check "and SNMP does" wait_for 2 bad_seen
obeyed "after a bad edit the last good settings hold" a@example.org 250 "$(now_ms)"
for cut in 0 1 40; do
	head -c $cut "$T/good.ini" >"$INI"
	sleep 0.1
done
rm "$INI"
sleep 0.1
obeyed "and with the file gone" a@example.org 250 "$(now_ms)"
sed 's/^mode = offer$/mode = require/' "$T/good.ini" >"$T/edited"
at=$(now_ms)
mv "$T/edited" "$INI"
obeyed "a good file again" a@example.org '530 5.7.0' "$at"

# ---- snmpd and the agent come and go ----
stop snmpd KILL
obeyed "snmpd killed" a@example.org '530 5.7.0' "$(now_ms)"
check "snmpd again" start_snmpd
check "the agent is back within 10 s" wait_for 10 agent_answers
check "the agent ends on SIGTERM" stop agent
obeyed "the agent gone" a@example.org '530 5.7.0' "$(now_ms)"
check "the agent again" start_agent

# ---- over TLS, and the counters ----
for port in $smtpd_port $exim_port; do
	like "over TLS it is accepted ($port)" "$(smtp "$port" c@partner.example a@example.org -tls | reply RCPT)" '^250'
done
is "two recipients over TLS, by SNMP" "$(snmp_get "$BASE_OID.2553.1.5.1.17.$row")" 2
like "and by tlsward status" "$("$TLSWARD" status -c "$INI" --json | tr -d ' \n')" 'example\.org'

is "nothing was restarted" "${PIDS[smtpd]} ${PIDS[exim]} ${before##* }" \
    "${before%% *} $(echo "$before" | cut -d' ' -f2) $(filter_pid)"
is "every comment is there" "$(grep -c '^; first comment\|and this one\|^# about\|^; last comment' "$INI")" 4
unlike "Exim's panic log is empty" "$(cat "$T/exim-$exim_port/paniclog" 2>/dev/null)" .
done_testing
