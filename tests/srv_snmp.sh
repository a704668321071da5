#!/bin/bash
# tlsward-agent on a real snmpd: reading, every error of SET, rows made and
# removed, what the settings file looks like afterwards, and what happens when
# the disk is full, the file is closed, an editor is at it, snmpd goes or hangs.
# timeout 600
. "$(dirname "$0")/lib.sh"
need_servers snmpd
need_cmd snmpget snmpset snmpbulkwalk
need_built tlsward-agent tlsward

OBJ=$BASE_OID.2553.1
dom() { echo "$OBJ.5.1.$1.$(oid_of "$2")"; }	# COLUMN NAME
peer() { echo "$OBJ.6.1.$1.$(oid_of "$2")"; }
MODE=2 CC=3 ENFORCE=4 STORAGE=30 STATUS=31
active=1 notInService=2 notReady=3 go=4 wait=5 destroy=6

# The agent runs unprivileged wherever we may choose.
AS=()
[ "$(id -u)" -ne 0 ] || AS=(-u nobody)
mkdir "$T/etc"
INI=$T/etc/tlsward.ini
make_cert
make_state
mkdir "$STATE/agent"
own() { [ "$(id -u)" -ne 0 ] || chown -R nobody: "$T/etc" "$STATE/agent"; }
agent() { start_agent agent "$AGENT" -c "$INI" -x "$AGENTX" "${AS[@]}"; }
fresh() {
	write_ini <<-END
	# The gateway's rules.  Ask the postmaster before a change.
	[server]
	mode = offer            ; as ever
	certificate = mx
	state_dir = $STATE

	[listener 127.0.0.1:25]
	mode = require

	[certificate mx]
	file = $CERT
	key = $KEY

	; customers
	[domain example.org]
	mode = require          ; by contract
	[domain .example.org]
	client_cert = request
	[domain b.example]

	[peer partner.example]
	mode = offer
	enforce = report        ; until spring
	END
	own
}
fresh
cp "$INI" "$T/first"
comments() { grep -o '[;#].*' "$1"; }

# The row status of PREFIX1.example to PREFIXn.example, in one process: rows TABLE PREFIX n VALUE.
rows() {
	awk -v oid="$OBJ.$1.1.$STATUS" -v p="$2" -v n="$3" -v value="$4" 'BEGIN {
		for (i = 1; i < 256; i++) octet[sprintf("%c", i)] = i
		for (i = 1; i <= n; i++) {
			name = p i ".example"; out = oid
			for (k = 1; k <= length(name); k++) out = out "." octet[substr(name, k, 1)]
			print out, "i", value
		}
	}'
}
# snmpset, as "noError", or "wrongValue 2": the error and which varbind has it.
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
# refused NAME WANTED VARBINDS...: WANTED as above; the file stays, the agent says why.
refused() {
	local name=$1 wanted=$2
	shift 2
	cp "$INI" "$T/before"
	is "$name: $wanted" "$(set_result "$@")" "$wanted"
	cmp -s "$INI" "$T/before" || not_ok "$name: the file is untouched" "$(diff "$T/before" "$INI")"
}
# taken NAME VARBINDS...: the file is changed when the answer is there.
taken() {
	local name=$1
	shift
	is "$name" "$(set_result "$@")" noError
}
section() { # NAME: its lines in the file
	awk -v s="[$1]" '/^\[/ { on = ($0 == s) } on && !/^\[/ && NF && !/^[;#]/' "$INI" | sed 's/ *[;#].*//'
}

# Somebody else's object, that refuses each SET when it is to write, 0.8 s later.
printf '#!/bin/sh\n[ "$1" = -s ] || exit 0\nsleep 0.8\necho not-writable\n' >"$T/never.sh"
chmod 0755 "$T/never.sh"
SNMPD_MORE="pass $BASE_OID.7777 $T/never.sh"
check "snmpd starts" start_snmpd
check "the agent starts" agent
[ $FAILED -eq 0 ] || done_testing
if [ "$(id -u)" -eq 0 ]; then
	is "and runs as the user that it was told" \
	    "$(ps -o user= -p "$(pgrep -d, -g "${PIDS[agent]}")" | sort -u)" nobody
else
	skip "and runs as the user that it was told" "needs root"
fi

# ---- reading ----
# tlswardLinkRequests counts the reading, too; a look at the listeners may come between,
# and the certificate of ten whole days has nine and a bit a second later.
steady() { grep -Ev "^$OBJ\.(14\.5|15|16|7\.1\.2[2-7]|10\.1\.(14|19|2.))\."; }
walk=$(snmp snmpbulkwalk -Cr20 "$OBJ" | steady)
is "GETNEXT and GETBULK see the same" "$(snmp snmpwalk "$OBJ" | steady)" "$walk"
is "43 scalars, 18 columns of 3 and of 1 rows, the rest" "$(grep -c "^$OBJ" <<<"$walk")" \
    $((43 + 18 * 4 + 17 + 16 + 2 * 14 + 2 * 6))
for r in 1 7 50 200; do
	is "GETBULK of $r a time" "$(snmp snmpbulkwalk -Cr$r "$OBJ" | steady)" "$walk"
done
is "the server's mode" "$(snmp_get $OBJ.2.1.0)" 3
is "the certificate's name" "$(snmp_get $OBJ.2.4.0)" '"mx"'
is "the state of the settings" "$(snmp_get $OBJ.3.1.0)" 1
is "values of a row, of two, inherited" \
    "$(snmp_get "$(dom $MODE example.org)" "$(dom $CC .example.org)" "$(peer $ENFORCE partner.example)" \
	"$(dom $MODE b.example)" | xargs)" "4 3 2 1"
like "an instance that is not there" "$(snmp_get "$(dom $MODE nowhere.example)")" 'No Such Instance'
like "a column that is not there" "$(snmp_get "$(dom 8 example.org)")" 'No Such Object'
is "upper case and a final dot name the same row" \
    "$(snmp_get "$(dom $MODE Example.org)" "$(dom $MODE example.ORG.)" "$(dom $CC .example.org.)" | xargs)" "4 4 3"
like "version 1 has no Counter64 and gets past it" \
    "$(snmpgetnext -v1 -c public -On -M '' -m '' "127.0.0.1:$SNMP_PORT" $OBJ.2.9.0 2>&1)" "^$OBJ\.2\.21\.0"
smi=$MIBDIRS
ls ${MIBDIRS//:/ } 2>/dev/null | grep -q '^SNMPv2-TC' || smi=$TOP/tests/smi
like "snmptable reads it by the MIB" "$(snmptable -v2c -c public -Ci -M "$smi:$TOP/mibs" -m TLSWARD-MIB \
    "127.0.0.1:$SNMP_PORT" TLSWARD-MIB::tlswardDomainTable 2>&1)" \
    "'example.org' +require +inherit +inherit +inherit +-1 .*nonVolatile +active"

# ---- what SET refuses (RFC 3416 4.2.5, RFC 2579 RowStatus) ----
#	what it is of				error and varbind
long=$(printf 'x%.0s' {1..65})
grows=$(printf 'bücher%.0s.' {1..13})example		# 110 octets here, more as A-labels
refused "an unknown column"			"notWritable 1" "$(dom 8 example.org)" i 2
refused "a counter"				"notWritable 1" "$(dom 16 example.org)" i 2
refused "the index"				"notWritable 1" "$(dom 1 example.org)" s x
refused "the version"				"notWritable 1" $OBJ.1.1.0 s 2
refused "text for a mode"			"wrongType 1" "$(dom $MODE example.org)" s require
refused "a gauge for a mode"			"wrongType 1" "$(dom $MODE example.org)" u 4
refused "a number for a name"			"wrongType 1" $OBJ.2.4.0 i 4
refused "a name of 65 octets"			"wrongLength 1" $OBJ.2.4.0 s "$long"
refused "mode 5"				"wrongValue 1" "$(dom $MODE example.org)" i 5
refused "mode 0"				"wrongValue 1" "$(dom $MODE example.org)" i 0
refused "mode -1"				"wrongValue 1" "$(dom $MODE example.org)" i -1
refused "inherit for the server"		"wrongValue 1" $OBJ.2.1.0 i 1
refused "a slash in a name"			"wrongValue 1" $OBJ.2.4.0 s a/b
refused "a line feed in a name"			"wrongValue 1" $OBJ.2.4.0 x 610a5b
refused "row status notReady"			"wrongValue 1" "$(dom $STATUS example.org)" i $notReady
refused "row status 7"				"wrongValue 1" "$(dom $STATUS example.org)" i 7
refused "an active row out of service"		"wrongValue 1" "$(dom $STATUS example.org)" i $notInService
refused "storage other than nonVolatile"	"wrongValue 1" "$(dom $STORAGE example.org)" i 4
refused "a scalar's instance 1"			"noCreation 1" $OBJ.2.1.1 i 3
refused "a scalar with no instance"		"noCreation 1" $OBJ.2.1 i 3
refused "a column with no index"		"noCreation 1" $OBJ.5.1.$MODE i 3
refused "an index that grows too long for one"	"noCreation 1" "$(dom $STATUS "$grows")" i $go
refused "a row that is there by another name"	"inconsistentValue 1" "$(dom $STATUS Example.org)" i $go
refused "one row by two names, two values"	"inconsistentValue 2" \
    "$(dom $MODE Example.org)" i 2 "$(dom $MODE example.org.)" i 3
refused "an index with two dots"		"noCreation 1" "$(dom $STATUS new..example)" i $go
refused "an index that is no name"		"noCreation 1" "$(dom $STATUS 'a]b')" i $go
refused "an index beyond octets"		"noCreation 1" $OBJ.5.1.$STATUS.300.97 i $go
refused "an index with a zero"			"noCreation 1" $OBJ.5.1.$STATUS.97.0.97 i $go
refused "a column of no row"			"inconsistentName 1" "$(dom $MODE new.example)" i 2
refused "storage of no row"			"inconsistentName 1" "$(dom $STORAGE new.example)" i 3
refused "a certificate that is not there"	"inconsistentValue 1" $OBJ.2.4.0 s nowhere
refused "createAndGo of a row that is there"	"inconsistentValue 1" "$(dom $STATUS example.org)" i $go
refused "createAndWait of a row that is there"	"inconsistentValue 1" "$(dom $STATUS example.org)" i $wait
refused "active for no row"			"inconsistentValue 1" "$(dom $STATUS new.example)" i $active
refused "notInService for no row"		"inconsistentValue 1" "$(dom $STATUS new.example)" i $notInService
refused "a value and destroy"			"inconsistentValue 1" \
    "$(dom $STATUS example.org)" i $destroy "$(dom $MODE example.org)" i 2
refused "one object twice"			"inconsistentValue 1" \
    "$(dom $MODE example.org)" i 2 "$(dom $MODE example.org)" i 3
refused "one status twice"			"inconsistentValue 1" \
    "$(dom $STATUS new.example)" i $go "$(dom $STATUS new.example)" i $wait
# All or nothing, and which varbind it was.
refused "the third of four rows and scalars"	"wrongValue 3" \
    "$(dom $MODE example.org)" i 2 $OBJ.2.1.0 i 4 "$(peer $MODE partner.example)" i 9 "$(dom $CC b.example)" i 3
refused "the last of 40"			"inconsistentName 40" \
    $(rows 5 n 39 $go) "$(peer $MODE new.example)" i 2
like "why is told to the manager" "$(snmp_get $OBJ.4.4.0)" 'no row peer new\.example'
like "and in the log" "$(log_of agent)" 'SNMP SET refused: there is no row peer new\.example'
like "with the time" "$(snmp_get $OBJ.4.5.0)" ' 2B 00 00'
is "each was counted" "$(snmp_get $OBJ.4.3.0)" "$(log_of agent | grep -c 'SET refused')"
is "and the file is as it was" "$(cat "$INI")" "$(cat "$T/first")"
like "a read-only community may not" \
    "$(snmpset -v2c -c public -On -M '' -m '' "127.0.0.1:$SNMP_PORT" "$(dom $MODE example.org)" i 2 2>&1)" \
    'noAccess|authorizationError'

# ---- a SET that snmpd takes back, since another part of it fails ----
for i in 1 2 3; do
	set_result "$(dom $MODE example.org)" i 2 $BASE_OID.7777.1 i 5
	set_result $BASE_OID.7777.1 i 5 "$(dom $MODE example.org)" i 2
done >"$T/back"
is "a SET that fails elsewhere fails" "$(grep -c noError "$T/back")" 0
check "and is taken back" await_log 5 agent 'snmpd took a SET back'
is "so that the file is as it was" "$(cat "$INI")" "$(cat "$T/first")"
taken "a SET of its own" "$(dom $MODE example.org)" i 2
check "is told as a change" await_log 5 agent 'domain example\.org\] mode: require -> none, by SNMP'
is "and the one that was taken back is not" "$(log_of agent | grep -c 'mode: .*, by ')" 1
cp -p "$T/first" "$INI.x" && mv "$INI.x" "$INI"
own
check "the file is the first again" await_log 5 agent 'mode: none -> require, by an editor'

# ---- what SET does ----
taken "a row's mode is set" "$(dom $MODE example.org)" i 2
is "it is in the file" "$(section 'domain example.org')" 'mode = none'
is "and is read" "$(snmp_get "$(dom $MODE example.org)")" 2
taken "a row's client_cert is inherited again" "$(dom $CC .example.org)" i 1
is "its line has gone" "$(section 'domain .example.org')" ''
is "and the row has not" "$(snmp_get "$(dom $CC .example.org)" "$(dom $STATUS .example.org)" | xargs)" '1 1'
taken "inherit where nothing is set" "$(dom $CC example.org)" i 1
taken "two tables and two scalars in one request" "$(dom $MODE example.org)" i 4 $OBJ.2.1.0 i 4 \
    "$(peer $ENFORCE partner.example)" i 3 $OBJ.2.3.0 i 2
is "all are in the file" "$(section server | grep -v state_dir | xargs) / $(section 'domain example.org') / $(section 'peer partner.example' | xargs)" \
    'mode = require certificate = mx enforce = report / mode = require / mode = offer enforce = yes'
check "with old and new values in the log" await_log 5 agent \
    "SNMP SET: \[peer partner\.example\] enforce: report -> yes \(tlswardPeerEnforce\.'partner\.example'\)"
taken "no certificate" $OBJ.2.4.0 s ''
is "the line has gone" "$(section server | grep certificate)" ''
is "and is read as empty" "$(snmp_get $OBJ.2.4.0)" '""'
taken "the certificate again" $OBJ.2.4.0 s mx
before=$(ls -i "$INI") done=$(snmp_get $OBJ.4.2.0)
taken "values that are there already" $OBJ.2.4.0 s mx $OBJ.2.1.0 i 4
is "leave the file alone" "$(ls -i "$INI") $(snmp_get $OBJ.4.2.0)" "$before $done"

taken "createAndGo with values, in any order" "$(dom $MODE new.example)" i 4 "$(dom $STATUS new.example)" i $go \
    "$(dom $STORAGE new.example)" i 3 "$(dom $ENFORCE new.example)" i 2 "$(dom $CC new.example)" i 1
is "makes a section" "$(section 'domain new.example' | sort | xargs)" 'enforce = report mode = require'
is "an active row" "$(snmp_get "$(dom $STATUS new.example)" "$(dom $STORAGE new.example)" | xargs)" '1 3'
taken "active for an active row" "$(dom $STATUS new.example)" i $active
taken "createAndGo for a suffix, with nothing" "$(peer $STATUS .new.example)" i $go
like "makes an empty section" "$(cat "$INI")" '^\[peer \.new\.example\]$'
taken "destroy, twice" "$(dom $STATUS new.example)" i $destroy "$(peer $STATUS .new.example)" i $destroy
is "removes the sections" "$(grep -c 'new.example' "$INI")" 0
taken "destroy of what is not there" "$(dom $STATUS new.example)" i $destroy

taken "a name in U-labels and upper case, with a final dot" "$(dom $STATUS 'Bücher.Example.')" i $go \
    "$(dom $MODE xn--bcher-kva.example)" i 4 "$(dom $CC 'BÜCHER.example')" i 3
is "makes the section of the kept form" "$(section 'domain xn--bcher-kva.example' | sort | xargs)" \
    'client_cert = request mode = require'
is "which is read by each name" "$(snmp_get "$(dom $MODE 'bücher.example')" "$(dom $STATUS xn--bcher-kva.example)" | xargs)" '4 1'
is "and listed once" "$(snmp snmpwalk -Oq $OBJ.5.1.$STATUS | grep -c "$(oid_of xn--b)")" 1
taken "createAndWait by another name" "$(dom $STATUS Later.Example)" i $wait
is "waits under the kept one" "$(snmp_get "$(dom $STATUS later.example)" "$(dom $STATUS LATER.example.)" | xargs)" '2 2'
taken "destroyed by other names" "$(dom $STATUS later.EXAMPLE)" i $destroy "$(dom $STATUS 'bücher.example.')" i $destroy
is "both have gone" "$(grep -c xn--bcher "$INI") $(snmp_get $OBJ.4.6.0)" '0 0'

taken "destroy of a row with comments" "$(peer $STATUS partner.example)" i $destroy
is "leaves what somebody wrote" "$(comments "$INI" | sort)" "$(comments "$T/first" | sort)"
taken "the row again" "$(peer $STATUS partner.example)" i $go "$(peer $MODE partner.example)" i 3 \
    "$(peer $ENFORCE partner.example)" i 3

cp "$INI" "$T/before"
taken "createAndWait" "$(dom $STATUS w.example)" i $wait "$(dom $MODE w.example)" i 4
is "is not in the file" "$(cat "$INI")" "$(cat "$T/before")"
check "is in the log, with its object" await_log 5 agent \
    "SNMP SET: \[domain w\.example\] waits to be made active \(tlswardDomainRowStatus\.'w\.example'\)"
check "and what it waits with" await_log 5 agent \
    "SNMP SET: \[domain w\.example\] \(waits\) mode: \(not set\) -> require \(tlswardDomainMode\.'w\.example'\)"
is "is not in service, and of the storage that it is made for" \
    "$(snmp_get "$(dom $STATUS w.example)" "$(dom $STORAGE w.example)" "$(dom $MODE w.example)" $OBJ.4.6.0 | xargs)" '2 3 4 1'
is "stands in its place in a walk" "$(snmp snmpwalk -Oq $OBJ.5.1.$MODE | tail -n 1)" "$(dom $MODE w.example) 4"
taken "storage of a row that waits" "$(dom $STORAGE w.example)" i 3
is "is what it was set to" "$(snmp_get "$(dom $STORAGE w.example)")" 3
taken "a value of a row that waits" "$(dom $CC w.example)" i 3
taken "and another" "$(dom $CC w.example)" i 2
taken "and the first again" "$(dom $CC w.example)" i 3
check "with old and new one in the log" await_log 5 agent \
    "\[domain w\.example\] \(waits\) client_cert: none -> request \(tlswardDomainClientCert\.'w\.example'\)"
refused "createAndGo of a row that waits" "inconsistentValue 1" "$(dom $STATUS w.example)" i $go
refused "a SET with one of two in error leaves it" "wrongValue 2" "$(dom $CC w.example)" i 4 "$(dom $MODE b.example)" i 9
is "as it was" "$(snmp_get "$(dom $CC w.example)")" 3
taken "notInService for a row that waits" "$(dom $STATUS w.example)" i $notInService
taken "active, with one more value" "$(dom $STATUS w.example)" i $active "$(dom $ENFORCE w.example)" i 3
is "writes all of it" "$(section 'domain w.example' | sort | xargs)" \
    'client_cert = request enforce = yes mode = require'
is "and it waits no longer" "$(snmp_get "$(dom $STATUS w.example)" $OBJ.4.6.0 | xargs)" '1 0'
check "as the log says" await_log 5 agent '\[domain w\.example\] waits no longer: made active '
taken "createAndWait and destroy" "$(peer $STATUS w.example)" i $wait
taken "before it is active" "$(peer $STATUS w.example)" i $destroy
check "is in the log" await_log 5 agent '\[peer w\.example\] waits no longer: destroyed '
like "leaves nothing" "$(snmp_get "$(peer $STATUS w.example)")" 'No Such Instance'
taken "createAndWait of 40 rows" $(rows 5 n 40 $wait)
taken "made active at once" $(rows 5 n 40 $active)
is "are in the file" "$(grep -c '^\[domain n[0-9]*\.example\]$' "$INI")" 40
taken "and destroyed" $(rows 5 n 40 $destroy)
for r in {1..25}; do
	snmp snmpset $(rows 6 r$r- 40 $wait) >/dev/null
done
is "1000 rows may wait" "$(snmp_get $OBJ.4.6.0)" 1000
refused "and no more" "resourceUnavailable 1" "$(peer $STATUS more.example)" i $wait
taken "a row may be made all the same" "$(peer $STATUS more.example)" i $go
taken "and removed" "$(peer $STATUS more.example)" i $destroy
is "every comment is there after all that" "$(comments "$INI" | sort)" "$(comments "$T/first" | sort)"

# ---- a file that others write ----
sed -i 's/^\[domain b.example\]$/; by hand\n[domain hand.example]\nmode = offer\n&/' "$INI"
taken "a SET after an editor" "$(dom $MODE b.example)" i 2
is "keeps what the editor did" "$(section 'domain hand.example')$(grep -c '; by hand' "$INI")" 'mode = offer1'
is "and the row is there" "$(snmp_get "$(dom $MODE hand.example)" "$(dom $MODE b.example)" | xargs)" '3 2'
cp -p "$INI" "$T/good"
echo 'mode = always' >>"$INI"
lines=$(wc -l <"$INI")
wait_for 5 eval '[ "$(snmp_get $OBJ.3.1.0)" = 2 ]'
is "a bad file is told" "$(snmp_get $OBJ.3.1.0 $OBJ.3.8.0 | xargs)" "2 $lines"
like "in words" "$(snmp_get $OBJ.3.7.0)" "tlsward\.ini:$lines: .*mode"
is "what it said before holds" "$(snmp_get "$(dom $MODE hand.example)")" 3
refused "a SET on a bad file" "inconsistentValue 1" "$(dom $MODE b.example)" i 3
like "says what is wrong with it" "$(snmp_get $OBJ.4.4.0)" ":$lines:|line $lines"
cp -p "$T/good" "$INI.x" && mv "$INI.x" "$INI"
wait_for 5 eval '[ "$(snmp_get $OBJ.3.1.0)" = 1 ]'
is "and the mended file" "$(snmp_get $OBJ.3.1.0 $OBJ.3.8.0 | xargs)" '1 0'
sed -i '/^\[listener/,/^mode/d; s/^mode = require/mode = none/' "$INI"
refused "TLS for a domain where none is offered" "inconsistentValue 1" "$(dom $MODE example.org)" i 4
cp -p "$T/good" "$INI.x" && mv "$INI.x" "$INI"
own
chmod 0555 "$T/etc"
chmod 0444 "$INI"
refused "a closed folder" "commitFailed 1" "$(dom $MODE b.example)" i 3
like "says so" "$(snmp_get $OBJ.4.4.0)" 'ermission|denied|written'
chmod 0755 "$T/etc"
refused "a read-only file in an open folder" "commitFailed 1" "$(dom $MODE b.example)" i 3
like "says what to do" "$(snmp_get $OBJ.4.4.0)" 'read-only .*chmod u\+w'
chmod 0644 "$INI"
taken "a writable one" "$(dom $MODE b.example)" i 3
(flock 9; sleep 3) 9<"$INI" &
locker=$!
sleep 0.2
refused "a locked file" "resourceUnavailable 1" "$(dom $MODE b.example)" i 4
kill $locker
wait $locker 2>/dev/null
is "no temporary file is left" "$(ls -A "$T/etc")" tlsward.ini
check "the agent ends" stop agent

# ---- a full disk, a quota that is used up ----
# small NAME MOUNT: a file system of that size on $T/small, seen by the agent alone.
small() {
	local small
	mkdir -p "$T/small"
	cp "$INI" "$T/full.ini"
	start_agent agent unshare -m sh -c "$2 && cp '$T/full.ini' '$T/small/tlsward.ini' &&
	    chown -R nobody: '$T/small' && exec '$AGENT' -c '$T/small/tlsward.ini' -x '$AGENTX' -u nobody" ||
	    not_ok "$1: the agent starts" "$(log_of agent)"
	small=/proc/$(pgrep -g "${PIDS[agent]}" tlsward-agent | head -n 1)/root$T/small
	INI=$small/tlsward.ini
	(cd "$small" && setpriv --reuid=nobody --clear-groups dd if=/dev/zero of=fill bs=1k status=none) 2>"$T/fill.err"
	sync
	refused "$1" "resourceUnavailable 1" "$(dom $MODE b.example)" i 4
	like "$1: says so" "$(snmp_get $OBJ.4.4.0)" "$3"
	is "$1: leaves nothing behind" "$(ls -A "$small" | xargs)" 'fill tlsward.ini'
	rm "$small/fill"
	sync
	taken "$1: room again" "$(dom $MODE b.example)" i 4
	check "the agent ends" stop agent
	INI=$T/etc/tlsward.ini
}
if [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
	small "a full disk" "mount -t tmpfs -o size=32k none '$T/small'" 'full|space'
else
	skip "a full disk" "needs root and a private mount namespace"
fi
# A quota needs a file system that has them and a kernel that was built for it: btrfs always is.
if [ "$(id -u)" -eq 0 ] && truncate -s 128M "$T/quota.img" && mkfs.btrfs -q "$T/quota.img" >/dev/null 2>&1 &&
    mkdir -p "$T/small" && unshare -m mount -o loop "$T/quota.img" "$T/small" 2>/dev/null; then
	small "a quota that is used up" "mkdir -p '$T/btrfs' && mount -o loop '$T/quota.img' '$T/btrfs' &&
	    btrfs -q quota enable '$T/btrfs' && btrfs -q subvolume create '$T/btrfs/s' &&
	    btrfs -q qgroup limit 256K '$T/btrfs/s' && mount --bind '$T/btrfs/s' '$T/small'" '[Qq]uota'
	like "the quota it was" "$(cat "$T/fill.err")" 'Disk quota exceeded'
else
	skip "a quota that is used up" "needs root, btrfs-progs and a loop device"
fi

# ---- where the log goes ----
: >"$T/err"
for stream in 1:2 "$(stat -c %d:%i "$T/err")"; do
	JOURNAL_STREAM=$stream "$AGENT" -c "$T/nowhere.ini" "${AS[@]}" 2>>"$T/err"
done
is "levels are for the journal, if that is where stderr goes" \
    "$(grep -c '^tlsward-agent: error: .*nowhere' "$T/err") $(grep -c '^<3>.*nowhere' "$T/err")" '1 1'

# ---- snmpd goes and comes ----
chmod 0555 "$T/etc"
check "the agent starts again" agent
like "and tells where no SET can ever be written" "$(log_of agent)" \
    "SETs will fail: .*/etc is not writable for $([ "$(id -u)" -eq 0 ] && echo nobody || id -un): as root, chown it to "
stop agent
chmod 0755 "$T/etc"
: >"$T/agent.log"
check "and again" agent
unlike "with nothing to tell, where it can" "$(log_of agent)" 'SETs will fail'
stop snmpd
check "snmpd starts again" start_snmpd
check "the agent is back within 5 s" wait_for 5 agent_answers
stop snmpd KILL
sleep 1
check "snmpd killed, and started again" start_snmpd
check "the agent is back within 5 s" wait_for 5 agent_answers
taken "and takes a SET" "$(dom $MODE b.example)" i 2
like "the link was told of" "$(log_of agent)" 'the link to snmpd .* is down'
is "a second agent leaves" "$("$AGENT" -c "$INI" -x "$AGENTX" "${AS[@]}" 2>&1 | grep -c 'another tlsward-agent runs')" 1
# Nor can one that has its lock elsewhere, or can have none, have the place.
mkdir -p "$T/other/agent" "$T/closed"
: >"$T/closed/agent"		# no folder: nothing can be locked there
[ "$(id -u)" -ne 0 ] || chown nobody: "$T/other/agent"
for place in other closed; do
	sed "s,^state_dir = .*,state_dir = $T/$place," "$INI" >"$T/$place.ini"
	chmod 0644 "$T/$place.ini"
	out=$(timeout 20 "$AGENT" -c "$T/$place.ini" -x "$AGENTX" "${AS[@]}" 2>&1)
	is "a second agent with state_dir $place leaves" "$?" 1
	like "and says why" "$out" "another agent answers for TLSWARD-MIB at .*: one is enough"
done
check "the first one stays" agent_answers

kill -STOP "${PIDS[snmpd]}"
sleep 4		# long enough for the library to wait for an answer
begin=$(now_ms)
stop agent
took=$(($(now_ms) - begin))
check "SIGTERM ends the agent in 2 s while snmpd hangs (took $took ms)" test $took -lt 2000
kill -CONT "${PIDS[snmpd]}"
stop snmpd KILL
rm -f "$AGENTX"
start "agent" "$AGENT" -c "$INI" -x "$AGENTX" "${AS[@]}"
check "without snmpd it says what to do" await_log 5 agent 'no AgentX socket at .*master agentx'
check "snmpd comes" start_snmpd
check "and the agent finds it" wait_for 10 agent_answers
ticks() { snmpget -v2c -c public -Oqvt -M '' -m '' "127.0.0.1:$SNMP_PORT" "$@" | xargs; }
read -r process whole up < <(ticks $OBJ.14.6.0 $OBJ.15.19.0 1.3.6.1.2.1.1.3.0)
check "its counters began after snmpd ($process and $whole of $up)" \
    test "$process" -ge "$whole" -a "$process" -le "$up"
kill -KILL "$(pgrep -P "${PIDS[agent]}")"
check "the parent starts a new process" wait_for 5 agent_answers
read -r again still up < <(ticks $OBJ.14.6.0 $OBJ.15.19.0 1.3.6.1.2.1.1.3.0)
check "whose counters begin now ($again of $up)" test "$again" -gt "$process" -a "$again" -gt $((up - 1000)) -a "$again" -le "$up"
check "and those of the agent go on ($still)" test "$still" -ge $((whole - 5)) -a "$still" -le $((whole + 5))
like "and says so" "$(log_of agent)" 'ended by signal 9'
mkdir -p "$T/moved/agent"
[ "$(id -u)" -ne 0 ] || chown nobody: "$T/moved/agent"
sed -i "s,^state_dir = .*,state_dir = $T/moved," "$INI"
check "another state_dir is followed" await_log 5 agent 'state_dir or agentx has changed'
check "with its lock and its socket there" wait_for 5 test -S "$T/moved/agent/changes" -a -s "$T/moved/agent/pid"
check "and the agent answers" wait_for 10 agent_answers
sed -i "s,^state_dir = .*,state_dir = $STATE," "$INI"
check "and back" wait_for 10 eval '[ "$(log_of agent | grep -c "state_dir or agentx has changed")" = 2 ] && agent_answers'
check "the agent ends" stop agent

# ---- the sample of snmpd.conf ----
stop snmpd
group=$(id -gn)
[ "$(id -u)" -ne 0 ] || group=$(id -gn nobody)
sed "s,/var/agentx,$T/ax,; s/root tlsward/$(id -un) $group/" "$TOP/conf/snmpd.conf" >"$T/sample.conf"
free_port sample
start sample "$SERVERS/snmpd/usr/sbin/snmpd" -f -C -c "$T/sample.conf" -Lo -M /nonexistent -m "" -I -smux \
    "udp:127.0.0.1:$sample"
check "snmpd takes the sample" wait_for 10 test -S "$T/ax/master"
is "without complaint" "$(log_of sample | grep -Ei 'error|warning|unknown')" ''
is "and opens its socket to the group" "$(stat -c '%a %G' "$T/ax/master")" "660 $group"
start agent "$AGENT" -c "$INI" -x "$T/ax/master" "${AS[@]}"
check "so that the agent gets in" await_log 5 agent "connected to snmpd at $T/ax/master"
stop agent
stop sample
free_port ax
sed -i "s,^agentXSocket .*,agentXSocket tcp:127.0.0.1:$ax," "$T/sample.conf"
sed '/^agentx/d' "$INI" >"$T/etc/tcp.ini"
grep -q '^\[agent\]' "$T/etc/tcp.ini" || echo '[agent]' >>"$T/etc/tcp.ini"
sed -i "s/^\[agent\].*/&\nagentx = tcp:127.0.0.1:$ax/" "$T/etc/tcp.ini"
own
: >"$T/agent.log"
start sample "$SERVERS/snmpd/usr/sbin/snmpd" -f -C -c "$T/sample.conf" -Lo -M /nonexistent -m "" -I -smux \
    "udp:127.0.0.1:$sample"
check "snmpd listens for agents by TCP" wait_for 10 listening "$ax"
start agent "$AGENT" -c "$T/etc/tcp.ini" "${AS[@]}"
check "agentx = tcp:HOST:PORT finds it" await_log 5 agent "connected to snmpd at tcp:127.0.0.1:$ax"
stop agent
stop sample
rm "$T/etc/tcp.ini"
check "snmpd starts again" start_snmpd

# ---- killed amid SETs: the old file or the new one, whole ----
fresh
sed -i 's/^mode = require .*contract/mode = require/' "$INI"
printf '; filler %0200d\n' $(seq 300) | cut -c1-190 >>"$INI"	# some pages to write
own
cp "$INI" "$T/A"
echo A >"$T/is"
mkfifo "$T/silence"
exec 9<>"$T/silence"
sed '/^\[domain example.org/,/^mode/s/require/none/; /^\[peer/,/^mode/s/offer/none/' "$T/A" >"$T/B"
set=(snmpset -v3 -u admin -l authPriv -a SHA-256 -A auth-passphrase -x AES -X priv-passphrase -t 1 -r 0
    -M '' -m '' "127.0.0.1:$SNMP_PORT")
dom=$(dom $MODE example.org) peer=$(peer $MODE partner.example)
to_b=("$dom" i 2 "$peer" i 2) to_a=("$dom" i 4 "$peer" i 3)
# The time of the kill follows the outcome, so that it stays about where the
# file changes, however fast the machine is.
bad=0 new=0 rounds=0 us=40000
while [ $rounds -lt 200 ] && [ $bad -eq 0 ]; do
	exec 8< <(exec setsid "$AGENT" -c "$INI" -x "$AGENTX" "${AS[@]}" 2>&1)
	PIDS[agent]=$!
	while read -r -t 5 line <&8 && [[ $line != *"connected to snmpd"* ]]; do :; done
	read -r text <"$T/is"
	if [ "$text" = A ]; then want=B varbinds=("${to_b[@]}"); else want=A varbinds=("${to_a[@]}"); fi
	"${set[@]}" "${varbinds[@]}" >/dev/null 2>&1 &
	setter=$!
	printf -v pause '0.%06d' $((us * (70 + RANDOM % 60) / 100))
	read -r -t "$pause" _ <&9	# sleeps without a process
	kill -KILL -- "-${PIDS[agent]}" $setter 2>/dev/null
	wait $setter 2>/dev/null
	exec 8<&-
	unset "PIDS[agent]"
	rounds=$((rounds + 1))
	if cmp -s "$INI" "$T/$want"; then new=$((new + 1)) us=$((us * 94 / 100)); echo $want >"$T/is"
	elif cmp -s "$INI" "$T/$text"; then us=$((us * 106 / 100 + 500))
	else bad=$((bad + 1)); note "round $rounds: $(diff "$T/$want" "$INI" | head -n 5)"; fi
	[ $us -lt 900000 ] || us=900000
done
is "200 times SIGKILL leaves the old file or the new one" "$rounds $bad" "200 0"
check "and both were seen ($new times the new one)" test $new -gt 20 -a $new -lt 180
done_testing
