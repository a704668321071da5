#!/bin/bash
# A full story with the filter, the agent and the module under valgrind: no
# error, nothing lost.  The filter runs in a real smtpd, the agent on a real
# snmpd; the module in a process that calls it as Exim does, and in real Exims.
# timeout 900
. "$(dirname "$0")/lib.sh"
need_cmd valgrind
need_built filter-tlsward exim_tlsward.so exim_tlsward_cert.so exim_tlsward_read.so tlsward-agent tool/exim_call tool/make_ca
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
	[ca tree]
	file = $T/tree/ca.pem
	crl = $T/tree/crl.pem
	[domain example.org]
	mode = $1
	[domain .verified.example]
	client_cert = require
	ca = tree
	[peer .partner.example]
	mode = require
	enforce = report
	END
}
# What an Exim with the module does in sessions in clear, over TLS, and with
# certificates; each connection has a process of its own, and a file of errors.
# Only errors with a frame of ours count: Exim and GnuTLS keep what they have
# until the process ends.
exim_under() { # VERSION MODULE: sets exim_port
	free_port exim_port
	cp "$TOP/conf/exim-tlsward.conf" "$T/"
	exim_conf "$exim_port" "TLSWARD_INI = $INI
TLSWARD_MODULE = $2
TLSWARD_RCPT_ACL = accept
.include $T/exim-tlsward.conf" >"$T/exim-$1.conf"
	rm -f "$T"/vg/exim.*
	start_exim "exim-$1" "$1" "$T/exim-$1.conf" valgrind --quiet --vgdb=no --leak-check=full \
	    --errors-for-leak-kinds=definite,indirect --show-leak-kinds=definite,indirect --trace-children=no \
	    --xml=yes --xml-file="$T/vg/exim.%p" "$SERVERS/exim-$1/usr/sbin/exim4" -bdf -C "$T/exim-$1.conf"
}
over_tls() { # TO CERTIFICATE [OPTIONS...]: the code of RCPT
	local to=$1 name=$2
	shift 2
	printf '%s\r\n' 'EHLO x' 'MAIL FROM:<a@x.example>' "RCPT TO:<$to>" QUIT |
	    timeout 60 openssl s_client -connect "127.0.0.1:$exim_port" -starttls smtp -crlf -quiet -ign_eof "$@" \
	    ${name:+-cert "$T/tree/$name.pem" -key "$T/tree/$name.key" -cert_chain "$T/tree/$name.pem"} 2>&1 |
	    tr -d '\r' | sed -n 's/^\([0-9]*\) .*/\1/p' | tail -n 2 | head -n 1
}
sessions_left() { [ "$(ls "$T/vg" | grep -c '^exim\.')" -gt 0 ] && [ "$(pgrep -cg "${PIDS[$1]}")" -gt 1 ]; }
ours() { python3 "$TOP/tests/vg_ours.py" "$T"/vg/exim.* 2>&1 | head -n 40; }
exim_stories() {
	local v
	for v in 4.96 4.98; do
		check "Exim $v under valgrind" exim_under $v "$MODULE" || continue
		is "$v: clear" "$(rcpt_reply "$exim_port" a@example.org)" \
		    '530 5.7.0 Must issue a STARTTLS command first'
		is "$v: TLS" "$(over_tls a@example.org '' -tls1_2)" 250
		is "$v: a certificate" "$(over_tls a@x.verified.example deep -tls1_3)" 250
		is "$v: one that is revoked" "$(over_tls a@x.verified.example revoked -tls1_3)" 554
		ini offer
		is "$v: the settings changed" "$(rcpt_reply "$exim_port" a@example.org)" 250
		echo '[nonsense' >"$INI"
		is "$v: and got worse" "$(rcpt_reply "$exim_port" a@example.org)" 250
		wait_for 30 eval "! sessions_left exim-$v"
		check "$v: Exim ends" stop "exim-$v"
		check "$v: a file for the daemon and each session" test "$(ls "$T"/vg/exim.* | wc -l)" -ge 7
		is "$v: no error, no leak of ours" "$(ours)" ""
		ini require
	done
	# an error of a module of ours would be seen
	${CC:-gcc} -g -shared -fPIC -o "$T/bin/tlsward_odd.so" "$TOP/tests/exim_fail.c" || die "exim_fail.c does not build"
	check "Exim with a module that errs" exim_under 4.98 "$T/bin/tlsward_odd.so"
	converse "$exim_port" 'EHLO x' 'MAIL FROM:<overrun-0-deny@x.example>' QUIT >/dev/null
	wait_for 30 eval "! sessions_left exim-4.98"
	stop exim-4.98
	like "is found out" "$(ours)" '^InvalidRead'
}
make_cert
make_state
mkdir "$T/tree"
"$BUILD/tool/make_ca" "$T/tree" || die "make_ca failed"
free_port smtpd_port
ini require

# ---- the module ----
cp "$BUILD/tool/exim_call" "$T/bin/"
chmod 1777 "$STATE/exim"
check "exim_call check under valgrind" $(vg module) "$T/bin/exim_call" "$MODULE" check "$INI"
clean module "the module"
printf '%s\n' '[server]' 'client_cert = require' 'ca = tree' "state_dir = $STATE" \
    '[ca tree]' "file = $T/tree/ca.pem" "crl = $T/tree/crl.pem" >"$T/certs.ini"
check "exim_call certs under valgrind" $(vg certs) "$T/bin/exim_call" "$MODULE" certs "$T/certs.ini" "$T/tree" 5 65536
clean certs "the module and its part for certificates"

# ---- the module in Exim ----
if [ ! -d "$SERVERS/exim-4.98" ] || [ "$(id -u)" -ne 0 ]; then
	skip "the module under valgrind in Exim" "needs root and build/servers/exim-*"
else
	exim_stories
fi

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
replies_are() { [[ $(rcpt_reply "$smtpd_port" a@example.org) == $1* ]]; }
check "a change is read" wait_for 10 replies_are 250
echo '[nonsense' >"$INI"
check "a bad file is reported" await_log 10 smtpd 'tlsward\.ini:1:'
check "and the last good one holds" replies_are 250
ini require
check "until the next good one" wait_for 10 replies_are 530
exec 8<>"/dev/tcp/127.0.0.1/$smtpd_port"	# a session that is open at the end
printf 'EHLO x\r\n' >&8
while IFS= read -r -t 10 line <&8 && [[ $line != "250 "* ]]; do :; done
is "a session is open" "${line:0:4}" "250 "
vg_pid=$(cd "$T/vg" && ls filter.*)
check "smtpd ends, and the filter with it" stop smtpd
exec 8>&-
# valgrind names its log by the process; it is whole when that has ended
check "the filter ran under valgrind, and ended" wait_for 20 test ! -e "/proc/${vg_pid#filter.}"
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
state_is() { [ "$(snmp_get "$BASE_OID.2553.1.3.1.0")" = "$1" ]; }
echo '[nonsense' >"$INI"
check "a bad file is seen" wait_for 20 state_is 2
ini require
check "and a good one" wait_for 20 state_is 1
stop snmpd KILL
check "the agent notices" await_log 20 agent 'snmpd'
check "snmpd again" start_snmpd
check "the agent is back" wait_for 20 agent_answers
check "the agent ends on SIGTERM" stop agent
clean agent "the agent"
done_testing
