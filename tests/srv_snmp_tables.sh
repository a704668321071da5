#!/bin/bash
# All of TLSWARD-MIB on a real snmpd: what each table tells, SET of every kind of
# value, the lock, which varbind an error is about, and random requests against
# a model, SETS and NEXTS of them.
# timeout 900
. "$(dirname "$0")/lib.sh"
need_servers snmpd
need_cmd snmpget snmpset snmptable python3 openssl
need_built tlsward-agent tlsward

OBJ=$BASE_OID.2553.1
dom() { echo "$OBJ.5.1.$1.$(oid_of "$2")"; }	# COLUMN NAME
peer() { echo "$OBJ.6.1.$1.$(oid_of "$2")"; }
MODE=2 CC=3 MINTLS=5 BITS=6 CA=7 SHOWS=8 AUTH=9 VERIFIES=10 NAMES=11 PINS=12 CERTS=13 CN=14 STATUS=31
go=4 wait=5 destroy=6
LISTENER=1.4.127.0.0.1.25 ANY=0.0.587 NET=1.4.203.0.113.0.24
long=$(printf 'x%.0s' {1..60}).$(printf 'y%.0s' {1..60}).example

AS=()
[ "$(id -u)" -ne 0 ] || AS=(-u nobody)
make_cert
make_state
mkdir -p "$STATE/agent"
own() { [ "$(id -u)" -ne 0 ] || chown -R nobody: "$T/etc" "$STATE/agent"; }
# A CA of two certificates, of which the second ends first.
ca() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null \
    -subj "/CN=$1" -days "$2" 2>/dev/null; }
{ ca "Root of old" 900; ca "Root of May" 20; } >"$T/ca.pem"
chmod 0644 "$T/ca.pem"
write_ini <<END
; The gateway.
[server]
mode = offer
state_dir = $STATE

[listener 127.0.0.1:25]
mode = offer      ; TLS for whoever likes
client_cert = none
certificate = certificate1

[client 203.0.113.0/24]
min_bits = 256

[certificate certificate1]
file = $CERT
key = $KEY
names = mx.example.org, smtp.example.org
[certificate certificate2]
file = $T/nowhere.pem
key = $KEY
[ca ca1]
file = $T/ca.pem
[ca ca2]
file = $T/ca.pem
crl = $T/ca.crl
purpose = client

[domain a.example]
mode = require    ; by contract
min_tls = 1.3     ; since May
[domain $long]
mode = require
[peer partner.example]
client_cert = require
ca = ca1
cert_names = mx.partner.example, ; the old one
    .b.example ; and the new ones
END
own
section() { # NAME: its lines in the file, continued ones joined
	awk -v s="[$1]" '/^\[/ { on = ($0 == s) } on && !/^\[/ && NF && !/^[;#]/' "$INI" |
	    sed 's/ *;.*//' | awk '/^[ \t]/ { sub(/^[ \t]+/, " "); printf "%s", $0; next }
	    NR > 1 { print "" } { printf "%s", $0 } END { if (NR) print "" }'
}
comments() { grep -o '[;#].*' "$INI" | sort; }
cp "$INI" "$T/first"
before=$(comments)

# As in srv_snmp.sh: "noError", or the error and which varbind has it.
set_result() {
	local out bad i=0
	out=$(snmp snmpset "$@")
	bad=$(sed -n 's/^Failed object: //p' <<<"$out")
	if ! grep -q '^Reason: ' <<<"$out"; then
		if grep -q '^Timeout' <<<"$out"; then echo timeout; else echo noError; fi
		return
	fi
	while [ $# -gt 0 ]; do
		i=$((i + 1))
		[ "$1" != "$bad" ] || break
		shift 3
	done
	echo "$(sed -n 's/^Reason: \([A-Za-z]*\).*/\1/p' <<<"$out") $i"
}
refused() { # NAME WANTED VARBINDS...
	local name=$1 wanted=$2
	shift 2
	cp "$INI" "$T/before"
	is "$name: $wanted" "$(set_result "$@")" "$wanted"
	cmp -s "$INI" "$T/before" || not_ok "$name: the file is untouched" "$(diff "$T/before" "$INI")"
}
taken() { # NAME VARBINDS...
	local name=$1
	shift
	is "$name" "$(set_result "$@")" noError
}
agent() { start_agent agent "$AGENT" -c "$INI" -x "$AGENTX" "${AS[@]}"; }

check "snmpd starts" start_snmpd
check "the agent starts" agent
[ $FAILED -eq 0 ] || done_testing

# ---- what the tables tell ----
smi=$MIBDIRS
ls ${MIBDIRS//:/ } 2>/dev/null | grep -q '^SNMPv2-TC' || smi=$TOP/tests/smi
table() { # TABLE
	snmptable -v2c -c public -Ci -Cw 100000 -M "$smi:$TOP/mibs" -m TLSWARD-MIB \
	    "127.0.0.1:$SNMP_PORT" "TLSWARD-MIB::tlsward$1Table" 2>&1 | tee "$T/table.$1" | tail -n +4 | tr -s ' '
}
get() { snmp_get "$@" | tr -d '"'; }
if ls ${smi//:/ } 2>/dev/null | grep -q '^INET-ADDRESS-MIB'; then	# as tests/smi has
	like "domains" "$(table Domain)" "'a.example' require inherit inherit tls13 -1 .* nonVolatile active"
	like "peers" "$(table Peer)" "'partner.example' inherit require .* ca1 .*mx.partner.example, .b.example"
	like "listeners" "$(table Listener)" '^ ?ipv4.* offer none inherit .* certificate1 .* 127.0.0.1:25 .*active'
	like "client networks" "$(table Client)" '^ ?ipv4.* inherit inherit inherit inherit 256 bits .* 203.0.113.0/24 .*active'
	like "rules with long names" "$(table Long)" "require .* domain $long"
	like "certificates" "$(table Certificate)" "server.'certificate1'.* listener 127.0.0.1:25, sni mx.example.org"
	like "reasons" "$(table Reason)" 'tlsMissing 0 refusals 0 refusals'
	like "no refusals" "$(table Recent)" 'No entries|^$'
	like "front ends" "$(table FrontEnd)" 'exim never'
	# As a person reads them, in parts that fit a terminal.
	for width in 80 132; do
		for t in Domain Peer Listener Client Certificate Reason FrontEnd; do
			snmptable -v2c -c public -Ci -Cb -Cw $width -M "$smi:$TOP/mibs" -m TLSWARD-MIB \
			    "127.0.0.1:$SNMP_PORT" "TLSWARD-MIB::tlsward${t}Table" 2>&1
		done >"$T/table.$width"
		is "tables fit $width columns, but for a column that is wider alone" \
		    "$(awk -v w=$width '/^SNMP table/ { head = 2; next }
			head > 0 { if (NF > 0) { columns = NF - 1; head = 0 } }
			length > w && columns > 1' "$T/table.$width")" ""
	done
	like "a fingerprint is hexadecimal digits" "$(cat "$T/table.132")" \
	    " $(openssl x509 -in "$CERT" -noout -fingerprint -sha256 | sed 's/.*=//; s/://g' | tr A-F a-f)"
	unlike "no table has an error" "$(cat "$T"/table.*)" 'Unknown Object|Bad|Wrong|No Such|Timeout'
else
	skip "snmptable of each table" "INET-ADDRESS-MIB is in none of $smi"
fi
is "a certificate's fields" "$(get $OBJ.10.1.{4,9,10,15,18}.1."$(oid_of certificate1)" | xargs)" \
    "$CERT EC P-256 256 3 1"
like "its fingerprint" "$(snmp_get $OBJ.10.1.8.1."$(oid_of certificate1)" | tr -d '" \n')" \
    "^$(openssl x509 -in "$CERT" -noout -fingerprint -sha256 | sed 's/.*=//; s/://g')$"
days=$(get $OBJ.10.1.14.1."$(oid_of certificate1)")
check "its days ($days)" test "$(($(date -d "$(openssl x509 -in "$CERT" -noout -enddate | sed 's/.*=//')" +%s) / 86400 - $(date +%s) / 86400 - days))" -le 1
is "a file that is not there" "$(get $OBJ.10.1.{14,15}.1."$(oid_of certificate2)" | xargs)" '-2147483648 7'
like "says so" "$(get $OBJ.10.1.16.1."$(oid_of certificate2)")" 'nowhere.pem: there is no such file'
# of its 20 days the 20th is over in the second after it was made
like "of a CA, what ends first" "$(get $OBJ.10.1.{3,5,14,15,18}.2."$(oid_of ca1)" | xargs)" \
    '^peer partner\.example CN=Root of May (19|20) 3 2$'
is "what each is to check" "$(get $OBJ.10.1.{23,24}.1."$(oid_of certificate1)" $OBJ.10.1.{23,24}.2."$(oid_of ca1)" \
    $OBJ.10.1.{23,24}.2."$(oid_of ca2)" | xargs)" "1 2 $T/ca.crl 3"
{ ca "Root of June" 300; } >"$T/ca.new" && mv "$T/ca.new" "$T/ca.pem"
chmod 0644 "$T/ca.pem"
check "a renewed file is seen" wait_for 5 eval '[ "$(get $OBJ.10.1.5.2."$(oid_of ca1)")" = "CN=Root of June" ]'
is "long names are counted" "$(get $OBJ.3.9.0 $OBJ.3.10.0 $OBJ.3.13.0 $OBJ.3.14.0 $OBJ.3.15.0 | xargs)" '2 1 1 1 4'
is "the link" "$(get $OBJ.14.2.0 $OBJ.14.3.0 | xargs)" '1 0'

# ---- SET of every kind of value ----
taken "a version, a number, a CA, a word, yes" "$(peer $MINTLS partner.example)" i 5 \
    "$(peer $BITS partner.example)" i 256 "$(peer $CA partner.example)" s ca2 "$(peer $CN partner.example)" i 3 \
    "$(peer $MODE partner.example)" i 4
is "they are in the file" "$(section 'peer partner.example' | sort | xargs)" \
    'ca = ca2 cert_names = mx.partner.example, .b.example client_cert = require match_cn = yes min_bits = 256 min_tls = 1.3 mode = require'
taken "a list" "$(peer $NAMES partner.example)" s 'MX.Partner.Example., *.b.example,bücher.example'
is "is kept in one form" "$(section 'peer partner.example' | grep cert_names)" \
    'cert_names = mx.partner.example, *.b.example, xn--bcher-kva.example'
is "and read so" "$(get "$(peer $NAMES partner.example)")" 'mx.partner.example, *.b.example, xn--bcher-kva.example'
check "with the old list and the new one in the log" await_log 5 agent \
    'cert_names: mx\.partner\.example, \.b\.example -> mx\.partner\.example, \*\.b\.example, xn--'
pins=$(for i in 1 2 3 4 5; do printf 'SHA256:%064d, ' $i; done)
taken "five pins" "$(peer $PINS partner.example)" s "$pins"
is "go over several lines" "$(section 'peer partner.example' | grep -o 'SHA256:[0-9]*' | wc -l)" 5
check "none of them too long" test "$(awk '{ print length }' "$INI" | sort -n | tail -n 1)" -lt 198
is "and are read" "$(get "$(peer $PINS partner.example)"), " "$pins"
taken "no pins" "$(peer $PINS partner.example)" s ''
is "are none" "$(section 'peer partner.example' | grep -c fingerprints)" 0
taken "every setting removed" "$(peer $NAMES partner.example)" s '' "$(peer $CA partner.example)" s '' \
    "$(peer $MINTLS partner.example)" i 1 "$(peer $BITS partner.example)" i -1 "$(peer $CN partner.example)" i 1 \
    "$(peer $MODE partner.example)" i 1 "$(peer $CC partner.example)" i 1
is "leaves the section" "$(section 'peer partner.example')$(grep -c '^.peer partner.example.$' "$INI")" 1
taken "what a comment spoke of" "$(dom $MINTLS a.example)" i 1
is "leaves the comment" "$(comments)" "$before"
taken "the server" $OBJ.2.5.0 i 5 $OBJ.2.6.0 i 192 $OBJ.2.7.0 s ca1 $OBJ.2.9.0 i 3
is "has its settings" "$(section server | grep -v -e mode -e state | sort | xargs)" \
    'authenticated = enforce ca = ca1 min_bits = 192 min_tls = 1.3'
is "and shows them" "$(get $OBJ.2.5.0 $OBJ.2.6.0 $OBJ.2.7.0 $OBJ.2.9.0 | xargs)" '5 192 ca1 3'
is "the days before a certificate ends" "$(get $OBJ.15.20.0)" '30, 14, 7, 1'
taken "are set" $OBJ.15.20.0 s '60,14 , 3'
is "are kept in one form" "$(section agent) / $(get $OBJ.15.20.0)" 'expiry_days = 60, 14, 3 / 60, 14, 3'
taken "and are the default again" $OBJ.15.20.0 s ''
is "without a line" "$(section agent) / $(get $OBJ.15.20.0)" ' / 30, 14, 7, 1'
taken "kinds of notifications switched off" $OBJ.15.21.0 x 7FC0
is "are named in the file" "$(section agent)" 'notify_except = mode-changed, listener-fine, refusals-high'
is "and are the bits that are not set" "$(get $OBJ.15.21.0 | xargs)" '7F C0'
taken "one octet: all in the other" $OBJ.15.21.0 x FF
is "is off" "$(section agent | tr -d '\n')" 'notify_except = listener-not-verifying, listener-fault, listener-fine, refusals-high'
taken "no bit at all" $OBJ.15.21.0 x 0000
is "are all kinds" "$(section agent | tr , '\n' | wc -l) $(get $OBJ.15.21.0 | xargs)" '12 00 00'
taken "all bits, and some that stand for nothing" $OBJ.15.21.0 x FFFF
is "is no line" "$(section agent) / $(get $OBJ.15.21.0 | xargs)" ' / FF F0'
taken "a listener" $OBJ.7.1.$SHOWS.$LISTENER s certificate2 $OBJ.7.1.$AUTH.$LISTENER i 3 $OBJ.7.1.$VERIFIES.$LISTENER i 3
is "has its settings" "$(section 'listener 127.0.0.1:25' | sort | xargs)" \
    'authenticated = enforce certificate = certificate2 client_cert = none mode = offer verifies = yes'
taken "a listener on every address" $OBJ.7.1.$STATUS.$ANY i $go $OBJ.7.1.$MODE.$ANY i 4
is "is made" "$(section 'listener *:587')" 'mode = require'
taken "an IPv6 network, that waits" $OBJ.8.1.$STATUS.2.16.32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.0.32 i $wait
is "stands behind the IPv4 ones" "$(snmp snmpwalk -Oqv $OBJ.8.1.$STATUS | xargs)" '1 2'
taken "is destroyed" $OBJ.8.1.$STATUS.2.16.32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.0.32 i $destroy
taken "a network's list" $OBJ.8.1.$NAMES.$NET s a.example
is "is set" "$(section 'client 203.0.113.0/24' | sort | xargs)" 'cert_names = a.example min_bits = 256'
number=$(snmp snmpwalk -Oq $OBJ.9.1.2 | sed 's/^.*\.\([0-9]*\) .*/\1/')
taken "a rule with a long name" $OBJ.9.1.$MODE.$number i 3 $OBJ.9.1.$NAMES.$number s z.example
is "is changed" "$(section "domain $long" | sort | xargs)" 'cert_names = z.example mode = offer'

# ---- which error, and of which varbind ----
#	what it is of				error and varbind
refused "no TLS version 1.4"			"wrongValue 1" "$(dom $MINTLS a.example)" i 6
refused "bits below -1"				"wrongValue 1" "$(dom $BITS a.example)" i -2
refused "bits above 4096"			"wrongValue 1" "$(dom $BITS a.example)" i 4097
refused "no bits for the server"		"wrongValue 1" $OBJ.2.6.0 i -1
refused "no day at all"				"wrongValue 1" $OBJ.15.20.0 s '30, 0'
refused "a day that is none"			"wrongValue 1" $OBJ.15.20.0 s '30, soon'
refused "notifications neither on nor off"	"wrongValue 1" $OBJ.15.1.0 i 1
refused "more kinds of them than there are"	"wrongLength 1" $OBJ.15.21.0 x FFF000
refused "kinds as a number"			"wrongType 1" $OBJ.15.21.0 i 3
refused "a bad name in a list"			"wrongValue 1" "$(dom $NAMES a.example)" s 'a.example, b..c'
like "which is told" "$(get $OBJ.4.4.0)" 'b\.\.c'
refused "a pin that is too short"		"wrongValue 1" "$(dom $PINS a.example)" s SHA256:00
refused "a list with a line feed"		"wrongValue 1" "$(dom $NAMES a.example)" x 610a5b62
refused "a list with a NUL"			"wrongValue 1" "$(dom $NAMES a.example)" x 61002c62
refused "a list with a comment"			"wrongValue 1" "$(dom $NAMES a.example)" s 'a ;b'
refused "a list that was cut"			"wrongValue 1" "$(dom $NAMES a.example)" s 'a.example, ...'
refused "a list of 4097 octets"			"wrongLength 1" "$(dom $NAMES a.example)" s "$(printf '%04097d' 0)"
refused "a number for a list"			"wrongType 1" "$(dom $NAMES a.example)" i 1
refused "the path of a file"			"notWritable 1" "$(dom $CERTS a.example)" s /etc/passwd
refused "a certificate of a domain"		"notWritable 1" "$(dom $SHOWS a.example)" s certificate1
refused "what a certificate is used for"	"notWritable 1" $OBJ.10.1.3.1."$(oid_of certificate1)" s x
refused "a refusal"				"notWritable 1" $OBJ.12.1.6.1.1 i 1
refused "a CA that is not there"		"inconsistentValue 2" "$(dom $MODE a.example)" i 4 "$(dom $CA a.example)" s ca9
refused "an address with bits behind the prefix" "noCreation 1" $OBJ.8.1.$STATUS.1.4.10.0.0.1.8 i $go
refused "a prefix of 33"			"noCreation 1" $OBJ.8.1.$STATUS.1.4.10.0.0.0.33 i $go
refused "an IPv4-mapped address"		"noCreation 1" \
    $OBJ.7.1.$STATUS.2.16.0.0.0.0.0.0.0.0.0.0.255.255.127.0.0.1.25 i $go
like "the kept form is told" "$(get $OBJ.4.4.0)" '127\.0\.0\.1:25'
refused "an address of another length"		"noCreation 1" $OBJ.7.1.$STATUS.1.5.127.0.0.1.1.25 i $go
refused "port 65536"				"noCreation 1" $OBJ.7.1.$STATUS.1.4.127.0.0.1.65536 i $go
refused "port 0"				"noCreation 1" $OBJ.7.1.$STATUS.1.4.127.0.0.1.0 i $go
refused "another rule with a long name"		"noCreation 1" $OBJ.9.1.$MODE.7 i 3
refused "a row of certificates"			"notWritable 1" $OBJ.10.1.1.1.97 i 1
refused "no TLS, and a certificate"		"inconsistentValue 3" "$(dom $CC a.example)" i 1 \
    "$(peer $MODE partner.example)" i 2 "$(peer $CC partner.example)" i 4
like "why is told" "$(get $OBJ.4.4.0)" 'peer partner\.example.* mode = none'
refused "the same, in a new row"		"inconsistentValue 4" "$(dom $MODE a.example)" i 4 \
    "$(peer $STATUS new.example)" i $go "$(peer $MODE new.example)" i 2 "$(peer $CC new.example)" i 3
lock=$(get $OBJ.4.1.0)
taken "the lock as it is" $OBJ.4.1.0 i "$lock" "$(dom $BITS a.example)" i 1
is "goes on by one" "$(get $OBJ.4.1.0)" $(((lock + 1) % 2147483648))
refused "the lock as it was"			"inconsistentValue 2" "$(dom $BITS a.example)" i 2 $OBJ.4.1.0 i "$lock"
refused "a lock below 0"			"wrongValue 1" $OBJ.4.1.0 i -1
is "stays" "$(get $OBJ.4.1.0)" $(((lock + 1) % 2147483648))
taken "the lock alone" $OBJ.4.1.0 i $(((lock + 1) % 2147483648))
is "every comment is there after all that" "$(comments)" "$before"

# ---- what was refused, by the filter ----
if [ -x "$FILTER" ]; then
	chown "$(id -u)" "$STATE/opensmtpd"
	{
		echo 'config|ready'
		echo 'report|0.7|1|smtp-in|link-connect|a1|x|pass|192.0.2.9:1|198.51.100.7:25'
		echo 'filter|0.7|1|smtp-in|mail-from|a1|aa|x@open.example'
		for i in {1..70}; do echo "filter|0.7|1|smtp-in|rcpt-to|a1|$i|x@a.example"; done
		sleep 1
	} | "$FILTER" -c "$INI" >"$T/filter.out" 2>&1
	is "70 recipients are refused" "$(grep -c '^filter-result|a1|[0-9]*|reject|530' "$T/filter.out")" 70
	check "and known" wait_for 5 eval '[ "$(get "$(dom 19 a.example)")" = 70 ]'
	is "the last 64 are kept, with who and why" "$(snmp snmpwalk -Oq $OBJ.12.1.6 | sed "s/^.*\.6\.//" | sed -n '1p;$p;$=' | xargs)" \
	    '1.7 1 1.70 1 64'
	is "the rule" "$(get $OBJ.12.1.{4,5,7}.1.70 | xargs)" '4 a.example 1'
	is "the client" "$(get $OBJ.12.1.{8,9}.1.70 | xargs)" '1 C0 00 02 09'
	like "the time" "$(get $OBJ.12.1.3.1.70)" ' 2B 00 00'
	is "the front end" "$(get $OBJ.13.1.{2,4,6}.1 | xargs)" '2 1 71'
	like "was seen" "$(get $OBJ.13.1.7.1)" ' 2B 00 00'
	like "in a table" "$(table Recent)" 'opensmtpd.70 .* domain a.example tlsMissing refused ipv4 .* 192.0.2.9$'
	is "by reason, too, each once" "$(get $OBJ.11.1.2.1)" 70

	# A manager sees that a sum has jumped: the file goes, comes back, is cut short.
	ticks() { snmpget -v2c -c public -Oqvt -M '' -m '' "127.0.0.1:$SNMP_PORT" "$@"; }
	since() { ticks $OBJ.2.22.0; }
	counters=$STATE/opensmtpd/counters
	pids=$(pgrep -d, -g "${PIDS[agent]}")
	first=$(since)
	mv "$counters" "$T/counters"
	check "a file of counters that goes" wait_for 5 eval '[ "$(get $OBJ.11.1.2.1)" = 0 ]'
	gone=$(since)
	check "is a discontinuity ($first, $gone)" test "$gone" -gt "$first"
	mv "$T/counters" "$counters"
	check "and comes back" wait_for 5 eval '[ "$(get $OBJ.11.1.2.1)" = 70 ]'
	back=$(since)
	check "is another ($back)" test "$back" -gt "$gone"
	cp "$counters" "$T/counters"
	(for i in {1..40}; do snmp snmpbulkwalk -Cr50 $OBJ; done) >"$T/walks" 2>&1 &
	walker=$!
	wait_for 5 test -s "$T/walks"
	for at in 100000 4096 0; do
		truncate -s $at "$counters"
		snmp snmpwalk $OBJ.5.1 >/dev/null
		snmp snmpwalk $OBJ.12.1 >/dev/null
		cp "$T/counters" "$counters.new"
		mv "$counters.new" "$counters"
		wait_for 5 eval '[ "$(get $OBJ.11.1.2.1)" = 70 ]' || not_ok "cut to $at, and whole again"
	done
	wait $walker
	unlike "walks go on while it is cut short" "$(cat "$T/walks")" 'Timeout|Error'
	is "and neither process has died of it" "$(pgrep -d, -g "${PIDS[agent]}")" "$pids"
	stop snmpd
	check "snmpd starts again" start_snmpd
	check "the agent is back" wait_for 10 agent_answers
	is "what was before sysUpTime began is at 0" "$(since)" 0
	mv "$counters" "$T/counters"
	wait_for 5 eval '[ "$(get $OBJ.11.1.2.1)" = 0 ]'
	gone=$(since) up=$(ticks 1.3.6.1.2.1.1.3.0)
	check "and the next has its place in the new one ($gone of $up)" \
	    test "$gone" -gt 0 -a "$gone" -le "$up" -a "$gone" -gt $((up - 1000))
else
	skip "refusals" "needs build/filter-tlsward"
fi

# ---- RFC 2578 7.1.6: each counter says which object tells of its discontinuities ----
is "each counter names its discontinuity" "$(awk '/^tlsward[A-Za-z]* OBJECT-TYPE/ { name = $1; counter = 0 }
	/SYNTAX +Counter/ { counter = 1 }
	/Discontinuities are told by tlsward[A-Za-z]*Discontinuity/ { counter = 0 }
	/^ *::= \{/ { if (counter) print name; counter = 0 }' "$TOP/mibs/TLSWARD-MIB.txt")" ""

# ---- at random ----
check "the agent ends" stop agent
rm -f "$STATE"/*/counters
cp "$T/first" "$INI"
own
check "the agent starts again" agent
out=$(python3 "$TOP/tests/snmp_random.py" "$SNMP_PORT" "$INI" "$TOP/mibs/TLSWARD-MIB.txt" \
    "${SETS:-10000}" "${NEXTS:-10000}" "${SEED:-$RANDOM}" 2>&1)
while IFS= read -r line; do
	case $line in
	"ok "*) ok "${line#* - }" ;;
	"not ok "*) not_ok "${line#* - }" ;;
	*) note "${line#\# }" ;;
	esac
done <<<"$out"
is "all of it was run" "$(grep -cE '^(not )?ok ' <<<"$out")" 4
is "each object in the log is one of the MIB" "$(log_of agent | grep -o '(tlsward[A-Za-z]*' | tr -d '(' | sort -u |
    while read -r o; do grep -q "^$o OBJECT-TYPE" "$TOP/mibs/TLSWARD-MIB.txt" || echo "$o"; done)" ""
check "and there are many" test "$(log_of agent | grep -o '(tlsward[A-Za-z]*' | sort -u | wc -l)" -gt 30
is "no temporary file is left" "$(ls -A "$T/etc")" tlsward.ini
check "the agent ends" stop agent
done_testing
