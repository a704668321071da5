#!/bin/bash
# Managers that others wrote, on the real agent: what pysnmp and Perl's Net::SNMP
# walk is what the tools of net-snmp walk, by each version of the protocol, and
# what access control leaves out.
# timeout 300
. "$(dirname "$0")/lib.sh"
. "$TOP/tests/nms.sh"
need_servers snmpd
need_cmd snmpget snmpset snmpbulkwalk snmpwalk snmpbulkget
need_built tlsward-agent filter-tlsward
OBJ=$BASE_OID.2553.1

nms_settings
# Besides those of lib.sh: a v3 user for SHA-1, which is all that Net::SNMP
# knows; a community that sees the table of domains only, and one that may write
# there; a user of v3 that may read and nothing else.
start_snmpd_with_views() {
	start_snmpd || return 1
	stop snmpd
	cat >>"$T/snmpd.conf" <<-END
	createUser perl SHA "auth-passphrase" AES "priv-passphrase"
	rouser perl priv
	com2sec domains default domains
	com2sec narrow default narrow
	group domains v2c domains
	group narrow v2c narrow
	view domains included $OBJ.5
	access domains "" any noauth exact domains none none
	access narrow "" any noauth exact all domains none
	END
	rm -f "$AGENTX"
	start snmpd "$SERVERS/snmpd/usr/sbin/snmpd" -f -C -c "$T/snmpd.conf" -Lo -M /nonexistent -m "" \
	    -I -smux -x "unix:$AGENTX" -p "$T/snmpd.pid" "udp:127.0.0.1:$SNMP_PORT"
	wait_for 10 test -S "$AGENTX" && wait_for 10 listening "$SNMP_PORT"
}
check "snmpd starts, with views" start_snmpd_with_views
check "the agent starts" start_agent
[ $FAILED -eq 0 ] || done_testing
{
	smtpd_ready
	for n in 1 2 3; do
		session $n a@any.example b@example.org
		session 1$n a@bank.example b@example.org TLSv1.3
	done
} >"$T/traffic"
check "the filter decides" decide "$T/traffic"
counted() { [ "$(snmp_get $OBJ.5.1.19."$(oid_of example.org)")" = 3 ]; }
check "there is something to see" wait_for 10 counted

# What differs from one moment to the next is left out: when the agent looked at
# files and listeners, and what those showed; the requests and notifications that
# it counts.
steady() { grep -Ev "^$OBJ\.(7\.1\.2[2-7]|10\.1\.(17|19|2[0-2])|13\.1\.7|14|15|16)\."; }
com() { # VERSION COMMUNITY TOOL ARGUMENTS...
	local version=$1 community=$2 tool=$3
	shift 3
	"$tool" -v "$version" -c "$community" -t 5 -r 1 -M "" -m "" "$@" 2>&1
}
# "OID = VALUE", strings in hexadecimal: the one form of all managers here.
plain() {
	awk '/No more variables left/ { next }
	function done() { if (oid != "") print oid " = " value }
	/^\.[0-9.]+ = / {
		done()
		oid = $1; sub(/^[^ ]+ = /, ""); value = $0
		if (sub(/^(Hex-)?STRING: ?/, "", value)) { hex = 1; gsub(/[" ]/, "", value); value = tolower(value) }
		else { hex = 0; if (value == "\"\"") value = ""; sub(/^[A-Za-z0-9-]+: /, "", value)
			if (match(value, /^\([0-9]+\)/)) value = substr(value, 2, RLENGTH - 2) }
		next }
	{ gsub(/[" ]/, ""); value = value tolower($0) }
	END { done() }'
}
net_snmp_walk() { com "$1" public snmpbulkwalk -Onex -Cr25 "127.0.0.1:$SNMP_PORT" $OBJ | plain | steady; }

settled() { walk=$(net_snmp_walk 2c); sleep 1; [ "$(net_snmp_walk 2c)" = "$walk" ]; }
check "what it shows keeps still" wait_for 30 settled
check "there are rows of $(wc -l <<<"$walk") variables" test "$(wc -l <<<"$walk")" -gt 80
is "v3 authPriv sees what v2c sees" "$(snmp snmpbulkwalk -Ox -Oe $OBJ | plain | steady)" "$walk"

# ---- v1 ----
# Version 1 cannot carry a Counter64; a GETNEXT goes over it (RFC 3584, 4.2.2.1).
counter64=$(com 2c public snmpbulkwalk -On "127.0.0.1:$SNMP_PORT" $OBJ | sed -n 's/ = Counter64:.*//p')
check "there are $(wc -l <<<"$counter64") of Counter64" test "$(wc -l <<<"$counter64")" -ge 30
without64=$(awk 'NR == FNR { skip[$1]; next } !($1 in skip)' <(echo "$counter64") <(echo "$walk"))
is "v1 walks all but the Counter64" \
    "$(com 1 public snmpwalk -Onex "127.0.0.1:$SNMP_PORT" $OBJ | plain | steady)" "$without64"
like "v1 GET of a Counter64 is noSuchName" "$(com 1 public snmpget "127.0.0.1:$SNMP_PORT" $OBJ.2.16.0)" 'noSuchName'
like "v1 GET of a mode" "$(com 1 public snmpget -Oqv "127.0.0.1:$SNMP_PORT" $OBJ.2.1.0)" '^3$'
like "v1 GET of nothing is noSuchName" "$(com 1 public snmpget "127.0.0.1:$SNMP_PORT" "$OBJ.5.1.2.110")" 'noSuchName'

# ---- GETBULK ----
bad=
for r in 1 2 3 4 5 7 10 17 31 64 127 255 1000; do
	[ "$(com 2c public snmpbulkwalk -Onex -Cr$r "127.0.0.1:$SNMP_PORT" $OBJ | plain | steady)" = "$walk" ] || bad="$bad $r"
done
is "GETBULK of 1 to 1000 repetitions: the same" "$bad" ''
is "GETBULK with non-repeaters" "$(com 2c public snmpbulkget -Onq -Cn2 -Cr3 "127.0.0.1:$SNMP_PORT" $OBJ.2.1 $OBJ.2.2 $OBJ.5.1.2 | cut -d' ' -f1)" \
    "$(com 2c public snmpgetnext -Onq "127.0.0.1:$SNMP_PORT" $OBJ.2.1 $OBJ.2.2 | cut -d' ' -f1
    com 2c public snmpbulkwalk -Onq "127.0.0.1:$SNMP_PORT" $OBJ.5.1.2 | head -n 3 | cut -d' ' -f1)"

# ---- managers in Python and Perl ----
if /usr/bin/python3 -c 'import pysnmp.hlapi' 2>/dev/null; then
	pysnmp() { /usr/bin/python3 "$TOP/tests/managers.py" "$SNMP_PORT" "$1" $OBJ 2>&1 | steady; }
	is "pysnmp by v2c" "$(pysnmp 2)" "$walk"
	is "pysnmp by v3 authPriv" "$(pysnmp 3)" "$walk"
	is "pysnmp by v1" "$(pysnmp 1)" "$without64"
else
	for v in v2c "v3 authPriv" v1; do skip "pysnmp by $v" "needs python3-pysnmp4 (make deps-test)"; done
fi
if perl -MNet::SNMP -e 1 2>/dev/null; then
	net_snmp_perl() { perl "$TOP/tests/managers.pl" "$SNMP_PORT" "$1" $OBJ 2>&1 | steady; }
	is "Net::SNMP by v2c" "$(net_snmp_perl 2)" "$walk"
	is "Net::SNMP by v1" "$(net_snmp_perl 1)" "$without64"
	if perl -MCrypt::Rijndael -MDigest::HMAC -MCrypt::DES -e 1 2>/dev/null; then
		is "Net::SNMP by v3 authPriv" "$(net_snmp_perl 3)" "$walk"
	else
		skip "Net::SNMP by v3 authPriv" "needs libcrypt-rijndael-perl, libcrypt-des-perl, libdigest-hmac-perl"
	fi
else
	for v in v2c v1 "v3 authPriv"; do skip "Net::SNMP by $v" "needs libnet-snmp-perl (make deps-test)"; done
fi

# ---- access control ----
cp "$INI" "$T/before"
mode=$OBJ.5.1.2.$(oid_of open.example)
like "a community that may read cannot SET" \
    "$(com 2c public snmpset "127.0.0.1:$SNMP_PORT" "$mode" i 4)" 'noAccess|notWritable'
like "nor by v1" "$(com 1 public snmpset "127.0.0.1:$SNMP_PORT" "$mode" i 4)" 'noSuchName|readOnly'
like "nor may the v3 user that reads" "$(snmpset -v3 -u perl -l authPriv -a SHA -A auth-passphrase -x AES -X priv-passphrase \
    -M '' -m '' "127.0.0.1:$SNMP_PORT" "$mode" i 4 2>&1)" 'noAccess|notWritable'
is "the file is as it was" "$(cmp "$INI" "$T/before" 2>&1)" ''
is "a view of the table of domains shows that" \
    "$(com 2c domains snmpbulkwalk -Onex "127.0.0.1:$SNMP_PORT" $OBJ.5 | plain)" "$(grep "^$OBJ\.5\." <<<"$walk")"
is "and nothing else" "$(com 2c domains snmpbulkwalk -Onex "127.0.0.1:$SNMP_PORT" .1 | plain | grep -v "^$OBJ\.5\.")" ''
like "GET outside of it finds nothing" "$(com 2c domains snmpget "127.0.0.1:$SNMP_PORT" $OBJ.2.1.0)" 'No Such'
like "a SET within the view" "$(com 2c narrow snmpset -Oqv "127.0.0.1:$SNMP_PORT" "$mode" i 4)" '^4$'
like "outside of it is refused" "$(com 2c narrow snmpset "127.0.0.1:$SNMP_PORT" $OBJ.2.1.0 i 4)" 'noAccess'
cp "$INI" "$T/before"
like "and with it what comes in the same request" \
    "$(com 2c narrow snmpset "127.0.0.1:$SNMP_PORT" "$mode" i 3 $OBJ.2.1.0 i 4)" 'noAccess'
is "the file has the one change" "$(cmp "$INI" "$T/before" 2>&1)$(sed -n '/^\[domain open/,/^mode/s/^mode = //p' "$INI")" require
done_testing
