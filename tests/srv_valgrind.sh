#!/bin/bash
# A full story with the filter, the agent and the module under valgrind: no
# error, nothing lost.  The filter runs in a real smtpd, the agent on a real
# snmpd; the module in a process that calls it as Exim does.
# timeout 600
. "$(dirname "$0")/lib.sh"
need_cmd valgrind
need_built filter-tlsward exim_tlsward.so tlsward-agent tool/exim_call
mkdir -m 1777 "$T/vg"	# 3 users write there
vg() { # NAME: the command in front
	echo "$(command -v valgrind) --quiet --vgdb=no --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite,indirect" \
	    "--trace-children=no --child-silent-after-fork=no --log-file=$T/vg/$1.%p"
}
clean() { # NAME TEST
	local out
	out=$(cat "$T/vg/$1".* 2>&1 | head -n 40)
	is "$2: no error, no leak" "$out" ""
}
ini() { # MODE
	write_ini <<-END
	[server]
	mode = offer
	certificate = mx
	state_dir = $STATE
	[listener 127.0.0.1:$smtpd_port]
	[certificate mx]
	file = $CERT
	key = $T/mx.exim.key
	[domain example.org]
	mode = $1
	[peer .partner.example]
	mode = require
	enforce = report
	END
}
make_cert
make_state
free_port smtpd_port
ini require

# ---- the module ----
cp "$BUILD/tool/exim_call" "$T/bin/"
chmod 1777 "$STATE/exim"
check "exim_call check under valgrind" $(vg module) "$T/bin/exim_call" "$MODULE" check "$INI"
clean module "the module"

if [ ! -d "$SERVERS/opensmtpd" ] || [ "$(id -u)" -ne 0 ] || ! unshare -m true 2>/dev/null; then
	skip "the filter under valgrind" "needs root, a private mount namespace and build/servers/opensmtpd"
	skip "the agent under valgrind" "the same"
	done_testing
fi

# ---- the filter ----
smtpd_conf "$smtpd_port" "$(vg filter) $FILTER -c $INI" >"$T/smtpd.conf"
check "smtpd with the filter under valgrind" start_smtpd smtpd "$T/smtpd.conf"
like "clear mail is refused" "$(smtp "$smtpd_port" c@partner.example a@example.org | reply RCPT)" '^530'
like "TLS mail is accepted" "$(smtp "$smtpd_port" c@mx.partner.example a@example.org -tls | reply RCPT)" '^250'
for from in '' c@partner.example '"a@b"@mx.partner.example' x; do
	rcpt_reply "$smtpd_port" a@example.org "$from" >/dev/null
	rcpt_reply "$smtpd_port" a@other.example "$from" >/dev/null
done
ini offer
check "a change is read" await_log 5 smtpd 'settings are in force'
echo '[nonsense' >"$INI"
check "a bad file is reported" await_log 5 smtpd 'tlsward\.ini:1:'
ini none
wait_for 5 eval '[ "$(rcpt_reply $smtpd_port a@example.org)" = 250 ]'
is "and the next good one holds" "$(rcpt_reply "$smtpd_port" a@example.org)" 250
exec 8<>"/dev/tcp/127.0.0.1/$smtpd_port"	# a session that is open at the end
printf 'EHLO x\r\n' >&8
sleep 0.3
check "smtpd ends, and the filter with it" stop smtpd
exec 8>&-
wait_for 5 eval '! fuser -s "$FILTER" 2>/dev/null'
is "the filter ran under valgrind" "$(ls "$T/vg" | grep -c '^filter')" 1
clean filter "the filter"

# ---- the agent ----
if [ ! -d "$SERVERS/snmpd" ] || ! command -v snmpset >/dev/null; then
	skip "the agent under valgrind" "needs build/servers/snmpd and the SNMP tools"
	done_testing
fi
ini offer
check "snmpd starts" start_snmpd
check "the agent under valgrind" start_agent agent $(vg agent) "$AGENT" \
    -c "$INI" -u $AGENT_USER -x "$AGENTX"
row=$(oid_of example.org)
new=$(oid_of new.example)
col=$BASE_OID.2553.1.5.1
like "GET" "$(snmp_get "$col.2.$row")" '^3$'
like "SET" "$(snmp snmpset "$col.2.$row" i 4)" 'INTEGER: 4'
like "a row made" "$(snmp snmpset "$col.31.$new" i 4 "$col.2.$new" i 4)" 'INTEGER: 4'
like "a SET of two of which one is wrong" "$(snmp snmpset "$col.2.$row" i 3 "$col.2.$new" i 99)" 'Reason: '
is "changes nothing" "$(snmp_get "$col.2.$row")" 4
like "a row gone" "$(snmp snmpset "$col.31.$new" i 6)" 'INTEGER: 6'
check "a walk" snmp snmpwalk "$BASE_OID"
check "a walk by GETBULK" snmp snmpbulkwalk "$BASE_OID"
echo '[nonsense' >"$INI"
sleep 1
ini require
sleep 1
stop snmpd KILL
sleep 1
check "snmpd again" start_snmpd
check "the agent is back" wait_for 20 agent_answers
check "the agent ends on SIGTERM" stop agent
clean agent "the agent"
done_testing
