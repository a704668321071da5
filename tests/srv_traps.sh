#!/bin/bash
# Notifications, at a real snmptrapd: each kind once, with its variable bindings;
# in order over an absence of snmpd; nothing twice after a restart; a clock that
# is set; and many restarts of snmpd: ROUNDS=100 by make steady.
# timeout 900
. "$(dirname "$0")/lib.sh"
need_servers snmpd
need_cmd snmpget snmpset openssl python3
need_built tlsward-agent tlsward filter-tlsward
[ -x "$SERVERS/snmpd/usr/sbin/snmptrapd" ] || skip_all "needs build/servers/snmpd/usr/sbin/snmptrapd"
ROUNDS=${ROUNDS:-6}

TRAP=$BASE_OID.2553.0 OBJ=$BASE_OID.2553.1
AS=()
[ "$(id -u)" -ne 0 ] || AS=(-u $AGENT_USER)
make_cert
make_state
agent() { start_agent agent "$AGENT" -c "$INI" -x "$AGENTX" "${AS[@]}"; }
INTERVAL=0 RATE=0
settings() { # MODE [LINES]
	write_ini <<-END
	; notifications
	[server]
	mode = ${1:-offer}
	certificate = mx
	state_dir = $STATE
	[certificate mx]
	file = $CERT
	key = $KEY
	[agent]
	probe_interval = $INTERVAL
	refusal_rate = $RATE
	notify_rate = 1000
	${2:-}
	END
}
# The key may be read by the agent's user, so that it is looked at as well.
[ "$(id -u)" -ne 0 ] || chown $AGENT_USER "$KEY"
valid() { # DAYS: another certificate of that many days
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$1" \
	    -subj "/CN=mx.example.org" -addext "subjectAltName=DNS:mx.example.org" \
	    -keyout "$T/new.key" -out "$T/new.pem" 2>/dev/null
	[ "$(id -u)" -ne 0 ] || chown $AGENT_USER "$T/new.key"
	mv "$T/new.key" "$KEY" && mv "$T/new.pem" "$CERT"
}
flat() { # a notification a line
	log_of snmptrapd | awk '/^\.1\.3\.6\.1\.2\.1\.1\.3\.0/ { printf "\n" } { printf "%s ", $0 } END { print "" }'
}
traps() { # KIND: how many
	flat | grep -c "\.1\.3\.6\.1\.6\.3\.1\.1\.4\.1\.0 = OID: $TRAP\.$1\b"
}
last() { flat | grep "4\.1\.0 = OID: $TRAP\.$1\b" | tail -n 1; }
came() { # KIND HOW-MANY
	wait_for 15 eval "[ \"\$(traps $1)\" -ge $2 ]"
}
numbers() { flat | grep -o "$OBJ\.15\.8\.0 = Gauge32: [0-9]*" | grep -o '[0-9]*$'; }

# The master sends on what the agent gives it.
traps_conf() { printf 'trapcommunity public\ntrap2sink 127.0.0.1:%s public\n' "$TRAP_PORT"; }
eval "$(declare -f start_snmpd | sed 's/agentXPerms 0666 0555/&\n$(traps_conf)/')"

check "snmptrapd starts" start_snmptrapd
settings offer
valid 400
check "snmpd starts" start_snmpd
check "the agent starts" agent
[ $FAILED -eq 0 ] || done_testing
sleep 2

# ---- who changed a mode ----
is "a mode is set by SNMP" "$(snmp snmpset $OBJ.2.1.0 i 4 | grep -o "INTEGER.*")" "INTEGER: 4"
check "it is told" came 1 1
like "which rule, old, new, and that it was SNMP" "$(last 1)" \
    "$OBJ\.15\.10\.0 = INTEGER: 1\b.*$OBJ\.15\.12\.0 = INTEGER: 3\b.*$OBJ\.15\.13\.0 = INTEGER: 4\b.*$OBJ\.15\.16\.0 = INTEGER: 1\b"
"$TLSWARD" -c "$INI" set domain example.org mode require >"$T/set.out" 2>&1
check "a mode by the command line" came 1 2
like "a new rule, and that it was the command line" "$(last 1)" \
    "$OBJ\.15\.10\.0 = INTEGER: 4\b.*15\.11\.0 = STRING: \"example\.org\".*15\.12\.0 = INTEGER: 1\b.*15\.13\.0 = INTEGER: 4\b.*15\.16\.0 = INTEGER: 2\b"
settings none
check "two modes by an editor" came 1 4
like "a rule that went, and that it was an editor" "$(last 1)" "15\.12\.0 = INTEGER: 4\b.*15\.13\.0 = INTEGER: 1\b.*15\.16\.0 = INTEGER: 3\b"

# ---- settings ----
settings offer 'nonsense = 1'
check "bad settings are told" came 2 1
like "with file, line and what is wrong" "$(last 2)" \
    "$OBJ\.3\.2\.0 = STRING: \"$INI\".*$OBJ\.3\.8\.0 = Gauge32: 13\b.*$OBJ\.3\.7\.0 = STRING: .*nonsense"
settings offer
check "good ones again too" came 3 1
like "with their digest" "$(last 3)" "$OBJ\.3\.5\.0 = Hex-STRING"

# ---- certificates ----
mx=1.109.120
valid 20
check "a renewed certificate is told" came 6 1
like "with file, subject, fingerprint and end" "$(last 6)" \
    "10\.1\.4\.$mx = STRING: \"$CERT\".*10\.1\.5\.$mx = STRING: \"CN=mx.example.org\".*10\.1\.8\.$mx = Hex-STRING.*10\.1\.13\.$mx = Hex-STRING"
check "that it ends within 30 days too" came 4 1
like "with the days left" "$(last 4)" "10\.1\.14\.$mx = INTEGER: (19|20)\b"
start=$(now_ms)
cp "$CERT" "$T/keep.pem"
echo nonsense >"$CERT"
check "a file that is none is told" came 7 1
like "with its state and what to do" "$(last 7)" "10\.1\.15\.$mx = INTEGER: 7\b.*10\.1\.16\.$mx = STRING: "
note "after $(($(now_ms) - start)) ms, of which 3000 may be a renewal's"
mv "$T/keep.pem" "$CERT"
check "and that it can be used again" came 6 2
is "its end was not told again" "$(traps 4)" 1

# ---- restarts ----
all=$(numbers | wc -l)
stop agent
check "the agent starts again" agent
sleep 3
is "it tells nothing twice" "$(numbers | wc -l)" "$all"
before=$(traps 1)
stop agent
"$TLSWARD" -c "$INI" set domain away.example mode none >>"$T/set.out" 2>&1
check "the agent starts after a change" agent
check "a mode that changed while none ran is told" came 1 $((before + 1))
like "which rule" "$(last 1)" "15\.11\.0 = STRING: \"away\.example\".*15\.13\.0 = INTEGER: 2\b.*15\.16\.0 = INTEGER: 3\b"
stop agent
check "the agent starts once more" agent
sleep 2
is "it is told once" "$(traps 1)" $((before + 1))
is "nobody else may read what it keeps" "$(stat -c %a "$STATE/agent/seen")" 600
stop snmpd
for mode in require offer none; do
	"$TLSWARD" -c "$INI" set server mode $mode >>"$T/set.out" 2>&1
	sleep 1
done
before=$(traps 1)
check "snmpd comes back after three changes" start_snmpd
check "all three are told" came 1 $((before + 3))
sleep 1
is "once" "$(traps 1)" $((before + 3))
is "in order" "$(log_of snmptrapd | grep -o '15\.13\.0 = INTEGER: [0-9]' | tail -n 3 | grep -o '.$' | xargs)" "4 3 2"
is "numbered without a gap" "$(numbers | awk 'NR > 1 && $1 != last + 1 { print } { last = $1 }')" ''

# Waiting when the agent itself is restarted.
stop snmpd
"$TLSWARD" -c "$INI" set server mode require >>"$T/set.out" 2>&1
sleep 2
stop agent
start agent "$AGENT" -c "$INI" -x "$AGENTX" "${AS[@]}"
sleep 1
check "snmpd comes back after the agent" start_snmpd
check "what had waited is told" came 1 $((before + 4))
sleep 1
is "once, too" "$(traps 1)" $((before + 4))

# ---- a hang: what is sent once comes once, and a link that breaks comes back ----
before=$(traps 1)
kill -STOP "${PIDS[snmpd]}"
"$TLSWARD" -c "$INI" set server mode offer >>"$T/set.out" 2>&1
sleep 5		# longer than the library waits by default
kill -CONT "${PIDS[snmpd]}"
check "an event that was under way in a hang of 5 s is told" came 1 $((before + 1))
: >"$T/agent.log"
kill -STOP "${PIDS[snmpd]}"
check "a hang that lasts breaks the link" await_log 40 agent 'the link to snmpd .* is down'
is "the one before was told once" "$(traps 1)" $((before + 1))
"$TLSWARD" -c "$INI" set server mode require >>"$T/set.out" 2>&1
sleep 1
kill -CONT "${PIDS[snmpd]}"
check "the link comes back" await_log 40 agent 'connected to snmpd'
check "what came while there was none is told" came 1 $((before + 2))
check "and the agent answers" wait_for 10 agent_answers
is "once" "$(traps 1)" $((before + 2))
before=$((before - 2))

# ---- a switch, a throttle ----
settings require 'notify = no'
sleep 1
settings offer 'notify = no'
sleep 2
is "nothing where notify is no" "$(traps 1)" $((before + 4))

is "the switch is read" "$(snmp_get $OBJ.15.1.0)" 2
is "set" "$(snmp snmpset $OBJ.15.1.0 i 3 $OBJ.15.2.0 i 500 $OBJ.16.1.0 i 7 | grep -o 'INTEGER.*' | xargs)" \
    "INTEGER: 3 INTEGER: 500 INTEGER: 7"
like "and in the file" "$(xargs <"$INI")" '\[agent\] probe_interval = 7 .*notify_rate = 500.* notify = yes'
like "a rate of 0 is none" "$(snmp snmpset $OBJ.15.2.0 i 0)" wrongValue

# ---- a switch for each kind ----
modes=$(traps 1) rejected=$(traps 2) unusable=$(traps 7) renewed=$(traps 6) sent=$(snmp_get $OBJ.15.4.0)
is "all kinds are on" "$(snmp snmpget $OBJ.15.21.0 | grep -o 'Hex.*' | xargs)" "Hex-STRING: FF F0"
snmp snmpset $OBJ.15.21.0 x 7DF0 >"$T/set.out"
is "two are switched off by SET, and named in the file" "$(grep ^notify_except "$INI")" \
    'notify_except = mode-changed, certificate-unusable'
like "tlsward status tells which" "$("$TLSWARD" -c "$INI" status 2>&1)" 'does not send: mode-changed, certificate-unusable$'
: >"$T/agent.log"
"$TLSWARD" -c "$INI" set server mode require >>"$T/set.out" 2>&1
cp "$CERT" "$T/keep.pem"
echo nonsense >"$CERT"
check "a mode that changes is logged" await_log 10 agent 'offer -> require'
check "and a certificate of no use" await_log 15 agent '\[certificate mx\] '
cp -p "$INI" "$T/good.ini"
echo 'nonsense = 1' >>"$INI"
check "bad settings are told: that kind is on" came 2 $((rejected + 1))
cat "$T/good.ini" >"$INI"
check "and good ones again" came 3 $((rejected + 1))
is "of the two kinds that are off, nothing is" "$(traps 1) $(traps 7)" "$modes $unusable"
figures() { echo "$(($(snmp_get $OBJ.15.4.0) - sent)) $(snmp_get $OBJ.15.5.0 $OBJ.15.6.0 $OBJ.15.7.0 | xargs)"; }
check "sent, suppressed, lost, waiting: they are in none of these" wait_for 5 eval '[ "$(figures)" = "2 0 0 0" ]'
stop agent
check "the agent starts again" agent
snmp snmpset $OBJ.15.21.0 x FFF0 >"$T/set.out"
check "a state that still holds is told when its kind is on again, over a restart too" came 7 $((unusable + 1))
is "the mode is not" "$(traps 1)" "$modes"
is "the line is gone" "$(grep -c ^notify_except "$INI")" 0
mv "$T/keep.pem" "$CERT"
check "its mending is told" came 6 $((renewed + 1))
is "the state was told once" "$(traps 7)" $((unusable + 1))
stop snmpd
for mode in offer require; do
	"$TLSWARD" -c "$INI" set server mode $mode >>"$T/set.out" 2>&1
	sleep 1
done
"$TLSWARD" -c "$INI" set agent notify_except mode-changed >>"$T/set.out" 2>&1
sleep 1
check "snmpd comes back when a kind that waited is off" start_snmpd
check "and is found" wait_for 40 agent_answers
valid 300
check "what comes behind it is told" came 6 $((renewed + 2))
is "what waited is not" "$(traps 1)" "$modes"
is "and nothing waits" "$(snmp_get $OBJ.15.7.0)" 0

# ---- what listeners show ----
INTERVAL=5
if listening 25; then
	skip "a fault where the settings have no [listener]" "something listens on port 25"
else
	settings offer
	check "where the settings have no [listener], *:25 is looked at" came 10 1
	like "which, what is wrong, and how many are" "$(last 10)" \
	    "15\.10\.0 = INTEGER: 2\b.*15\.11\.0 = STRING: \"\*:25\".*15\.18\.0 = STRING: .*nobody listens.*16\.3\.0 = Gauge32: 1\b"
	unlike "and no row that is not there" "$(last 10)" "$OBJ\.7\."
	unlike "what it leads to is there" "$(snmp_get $OBJ.16.3.0)" "No Such"
fi
free_port PORT
# An smtps server that keeps its certificate, as smtpd does.
cat >"$T/smtps.py" <<'END'
import socket, ssl, sys, threading
c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
c.load_cert_chain(sys.argv[2], sys.argv[3])
def talk(s):
    try:
        s.settimeout(10)
        s = c.wrap_socket(s, server_side=True)
        s.sendall(b"220 mx.example.org ESMTP\r\n")
        for line in s.makefile("rb"):
            s.sendall(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 mx.example.org\r\n")
    except OSError:
        pass
    finally:
        s.close()
listen = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    threading.Thread(target=talk, args=(listen.accept()[0],), daemon=True).start()
END
show() { start smtps python3 "$T/smtps.py" "$PORT" "$CERT" "$KEY" && wait_for 5 listening "$PORT"; }
show
listener() { settings offer "[listener 127.0.0.1:$PORT]"; }
listener
probed() { grep -q "^127\.0\.0\.1:$PORT" "$STATE/agent/probe"; }
check "a listener is looked at" wait_for 10 probed
[ "$(traps 10)" -eq 0 ] || check "and *:25 no more, which is told" came 11 1
faults=$(traps 10) fine=$(traps 11)
valid 300
check "the renewal is told" came 6 $(($(traps 6) + 1))
is "and nothing of the server, which has a moment to show it" "$(traps 8)" 0
check "a server that keeps the old certificate is told of" came 8 1
like "with both fingerprints and the listener" "$(last 8)" \
    "10\.1\.8\.$mx = Hex-STRING.*10\.1\.20\.$mx = Hex-STRING.*10\.1\.22\.$mx = STRING: \"127.0.0.1:$PORT\".*15\.18\.0"
like "tlsward status shows it" "$("$TLSWARD" -c "$INI" status 2>&1 | tr -s ' \n' ' ')" "127\.0\.0\.1:$PORT: .*still shows the certificate"
settings offer "[listener 127.0.0.1:$PORT]
verifies = yes
client_cert = require"
check "one that does not verify is told of" came 9 1
like "with its name" "$(last 9)" "15\.11\.0 = STRING: \"127\.0\.0\.1:$PORT\".*7\.1\.22\.1\.4\.127\.0\.0\.1\.$PORT = INTEGER: 3\b"
is "it has a row" "$(snmp_get $OBJ.7.1.22.1.4.127.0.0.1.$PORT $OBJ.10.1.19.$mx | xargs)" "3 3"
stop smtps
check "a listener that is gone is told of" came 10 $((faults + 1))
like "with what to do and its row" "$(last 10)" "15\.18\.0 = STRING.*16\.3\.0 = .*7\.1\.22\.1\.4\.127\.0\.0\.1\.$PORT = INTEGER: 3\b"
listener
show
check "one that is as the settings say again is told of" came 11 $((fine + 1))
like "with what is over" "$(last 11)" \
    "15\.11\.0 = STRING: \"127\.0\.0\.1:$PORT\".*15\.18\.0 = STRING: \"as the settings say again; it is over: unreachable, other-certificate, not-asking\".*16\.3\.0 = .*7\.1\.22\.1\.4\.127\.0\.0\.1\.$PORT = INTEGER: 2\b"
stop smtps
check "it goes" came 10 $((faults + 2))
settings offer
check "a listener that leaves the settings leaves no fault behind" came 11 $((fine + 2))
like "which says so" "$(last 11)" "15\.18\.0 = STRING: \"is not in the settings any more; it is over: unreachable\""
unlike "without a row" "$(last 11)" "$OBJ\.7\."
INTERVAL=0
settings offer

# ---- the CRL of a CA ----
crl() { # ARGUMENTS of openssl ca -gencrl
	openssl ca -gencrl -config "$T/ca.conf" -keyfile "$KEY" -cert "$CERT" -out "$T/ca.crl" "$@" 2>/dev/null &&
	    chmod 0644 "$T/ca.crl"
}
: >"$T/ca.index"
printf '[ca]\ndefault_ca = d\n[d]\ndatabase = %s\ndefault_md = sha256\n' "$T/ca.index" >"$T/ca.conf"
ended=$(traps 5) renewed=$(traps 6)
crl -crl_lastupdate 20240101000000Z -crl_nextupdate 20240201000000Z || die "openssl ca -gencrl failed"
settings offer "[ca partners]
file = $CERT
crl = $T/ca.crl"
check "a CRL that is out of date is told of" came 5 $((ended + 1))
like "with its CA's row, its file and what to do" "$(last 5)" \
    "10\.1\.4\.2\.112\.97[.0-9]* = STRING: \"$T/ca\.crl\".*STRING: \"CRL of .*15\.18\.0 = STRING: .*fetch it again"
crl -crldays 30
check "one that is fetched again too" came 6 $((renewed + 1))
like "which" "$(last 6)" "STRING: \"CRL of .*another CRL is in the file"
settings offer

# ---- pins ----
# pinned DAYS [FROM-DAYS]: a certificate of the sender's
pinned() {
	openssl req -new -key "$KEY" -subj "/CN=partner.example" 2>/dev/null | openssl ca -config "$T/ca.conf" -batch \
	    -keyfile "$KEY" -selfsign -in /dev/stdin -notext -startdate "$(utc "${2:--1}")" -enddate "$(utc "$1")" 2>/dev/null
}
utc() { date -u -d "$1 days" +%Y%m%d%H%M%SZ; }
printf 'new_certs_dir = %s\nrand_serial = yes\nunique_subject = no\npolicy = p\n[p]\ncommonName = supplied\n' \
    "$T" >>"$T/ca.conf"
soon=$(traps 4) renewed=$(traps 6) unusable=$(traps 7)
pinned 40 >"$T/partner.pem"
pins='[peer partner.example]
certs = '$T'/partner.pem
[domain d.example]
certs = '$T'/partner.pem'
settings offer "$pins"
row() { snmp snmpwalk $OBJ.10.1.4.3 | sed -n "s|^\.*$OBJ\.10\.1\.4\.\([3.0-9]*\) .*\"$T/partner\.pem\"|\1|p"; }
check "pins have a row" wait_for 10 eval '[ -n "$(row)" ]'
pin=$(row)
check "which tells their state" wait_for 10 eval '[ "$(snmp_get $OBJ.10.1.15.$pin)" = 2 ]'
known() { grep -q ^pins "$STATE/agent/state"; }
check "and they are watched" wait_for 10 known
is "of the certificate, for all rules that name them" "$(snmp_get $OBJ.10.1.{3,5,18,24}.$pin | xargs)" \
    "domain d.example, peer partner.example CN=partner.example 1 1"
pinned 20 >"$T/new.pem" && mv "$T/new.pem" "$T/partner.pem"
check "pins that end soon are told of" came 4 $((soon + 1))
like "with row, file, days and the rule, once" "$(last 4)" \
    "10\.1\.4\.$pin = STRING: \"$T/partner\.pem\".*10\.1\.14\.$pin = INTEGER: (19|20)\b.*15\.18\.0 = STRING: .*add it, for \[domain d\.example\] and 1 rule more"
check "after the change of the file" came 6 $((renewed + 1))
pinned 300 19 >>"$T/partner.pem"
check "the next one, that is added in time, too" came 6 $((renewed + 2))
check "and all is well" wait_for 10 eval '[ "$(snmp_get $OBJ.10.1.15.$pin)" = 2 ]'
mv "$T/partner.pem" "$T/keep.pem"
check "pins that are not there are told of" came 7 $((unusable + 1))
like "with what to do" "$(last 7)" "10\.1\.15\.$pin = INTEGER: 7\b.*partner\.pem: there is no such file"
mv "$T/keep.pem" "$T/partner.pem"
check "and that they are again" came 6 $((renewed + 3))
settings offer
check "their row goes with the rules" wait_for 10 eval '[ -z "$(row)" ]'

# ---- the clock ----
lib=$(ls /usr/lib/*/faketime/libfaketime.so.1 2>/dev/null | head -n 1)
if [ -n "$lib" ]; then
	stop agent
	valid 40
	clock() { date -u -d "$1" '+@%Y-%m-%d %H:%M:%S' >"$T/clock.new" && chmod 0644 "$T/clock.new" && mv "$T/clock.new" "$T/clock"; }
	clock now
	check "the agent starts under a clock that can be set" start_agent agent env LD_PRELOAD="$lib" \
	    FAKETIME_TIMESTAMP_FILE="$T/clock" FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 TZ=UTC \
	    "$AGENT" -c "$INI" -x "$AGENTX" "${AS[@]}"
	sleep 2
	soon=$(traps 4) ended=$(traps 5)
	clock '+20 days'
	check "within 30 days" came 4 $((soon + 1))
	clock '+50 days'
	check "past the end" came 5 $((ended + 1))
	like "with the days since" "$(last 5)" "10\.1\.14\.$mx = INTEGER: -[0-9]+"
	clock '+39 days'
	sleep 3
	clock '+41 days'
	sleep 3
	is "set back and forward over the end: told once" "$(traps 5)" $((ended + 1))
	is "nor anything else again" "$(traps 4)" $((soon + 1))
	clock now
	sleep 3
	clock '+41 days'
	check "what a clock far ahead had told is told when it is so" came 5 $((ended + 2))
	clock now
	valid 400
	pinned 40 >"$T/partner.pem"
	settings offer "$pins"
	check "pins of a file are read" wait_for 10 known
	soon=$(traps 4) ended=$(traps 5)
	clock '+34 days'
	check "their last week is told" came 4 $((soon + 1))
	clock '+35 days'
	check "daily" came 4 $((soon + 2))
	clock '+41 days'
	check "and that they have ended" came 5 $((ended + 1))
	like "with their row" "$(last 5)" "10\.1\.4\.$pin = STRING: \"$T/partner\.pem\".*CN=partner.example in .* has ended: get the next one"
	settings offer
	stop agent
	renewed=$(traps 6)
	valid 300
	agent
	check "the renewal while none ran is told" came 6 $((renewed + 1))
else
	skip "a clock that is set" "needs libfaketime (make deps-test)"
fi

# ---- more than may be told in a minute: what lasts waits ----
before=$(traps 1) unusable=$(traps 7) renewed=$(traps 6)
stop agent
sed -i 's/^notify_rate = .*/notify_rate = 2/' "$INI"
check "the agent starts, for two notifications a minute" agent
for mode in require offer none; do
	"$TLSWARD" -c "$INI" set server mode $mode >>"$T/set.out" 2>&1
	sleep 1
done
check "two modes are told" came 1 $((before + 2))
check "the third is suppressed, and counted" wait_for 5 eval '[ "$(snmp_get $OBJ.15.5.0)" = 1 ]'
cp "$CERT" "$T/keep.pem"
echo nonsense >"$CERT"
check "a certificate of no use is noticed" wait_for 10 eval '[ "$(snmp_get $OBJ.15.7.0)" = 1 ]'
is "and waits" "$(traps 7)" "$unusable"
mv "$T/keep.pem" "$CERT"
check "so does its mending" wait_for 10 eval '[ "$(snmp_get $OBJ.15.7.0)" = 2 ]'

# ---- a socket that is not there, or forbidden ----
stop agent
stop snmpd
rm -f "$AGENTX"
: >"$T/agent.log"
start agent "$AGENT" -v -c "$INI" -x "$AGENTX" "${AS[@]}"
check "a missing socket is told of, with what to do" await_log 10 agent 'no AgentX socket at .*master agentx'
sleep 12
attempts=$(log_of agent | grep -c 'no AgentX socket')
is "once" "$attempts" 1
is "and tried again after pauses that grow" \
    "$(log_of agent | grep -o 'no link: [0-9]*' | grep -o '[0-9]*' | head -n 3 | xargs)" "4 8 16"
check "snmpd comes" start_snmpd
check "and is found" wait_for 40 agent_answers
check "what had waited comes" came 6 $((renewed + 1))
is "all of it" "$(traps 7)" $((unusable + 1))
if [ "$(id -u)" -eq 0 ]; then
	stop agent
	: >"$T/agent.log"
	chmod 0600 "$AGENTX"
	start agent "$AGENT" -c "$INI" -x "$AGENTX" "${AS[@]}"
	check "a socket that is closed to its user is told of, with what to do" await_log 10 agent \
	    "AgentX socket $AGENTX is closed to user $AGENT_USER: .*\"agentXPerms 0660 0555 root $(id -gn $AGENT_USER)\" into snmpd.conf and restart snmpd"
	chmod 0666 "$AGENTX"
	check "and used when it is open" wait_for 40 agent_answers
else
	skip "a socket that is closed to the agent's user" "needs root"
fi

# ---- many refusals: the rounds below are the minute that it takes ----
RATE=8
settings offer '[domain secure.example]
mode = require'
sleep 2
chown "$(id -u)" "$STATE/opensmtpd"
{
	echo 'config|ready'
	echo 'report|0.7|1.1|smtp-in|link-connect|00000000000000a1|mail.partner.example|pass|192.0.2.1:40001|198.51.100.7:25'
	echo 'filter|0.7|1.1|smtp-in|mail-from|00000000000000a1|0000000000000f01|a@partner.example'
	for i in {1..9}; do echo "filter|0.7|1.1|smtp-in|rcpt-to|00000000000000a1|0000000000000f02|$i@secure.example"; done
} | "$FILTER" -c "$INI" >"$T/filter.out" 2>&1
is "nine are refused" "$(grep -c '|reject|530' "$T/filter.out")" 9

# ---- steady ----
measure() { # descriptors and memory (KiB) of the agent's processes
	local p fds=0 kb=0
	for p in $(pgrep -g "${PIDS[agent]}"); do
		fds=$((fds + $(ls "/proc/$p/fd" 2>/dev/null | wc -l)))
		kb=$((kb + $(awk '/^RssAnon/ { print $2 }' "/proc/$p/status" 2>/dev/null)))
	done
	echo "$fds $kb"
}
down() { await_log 60 agent 'the link to snmpd .* is down'; }
# Each has an event under way, and must not lose it.
round() { # HOW
	local n=$(($(traps 1) + 1)) i=$((MODE = 1 - MODE))
	case $1 in
	restart) stop snmpd ;;
	kill) stop snmpd KILL ;;
	*) kill -STOP "${PIDS[snmpd]}" ;;
	esac
	"$TLSWARD" -c "$INI" set peer round.example mode "$(sed -n $((i + 1))p <<<$'require\nnone')" >>"$T/set.out" 2>&1
	case $1 in
	hang) sleep 1; kill -CONT "${PIDS[snmpd]}" ;;
	long) : >"$T/agent.log"; down; kill -CONT "${PIDS[snmpd]}" ;;
	*) start_snmpd ;;
	esac
	wait_for 40 agent_answers && came 1 $n
}
events() { # HOW-MANY: modes that change, as fast as they can be told
	local i n=$(traps 1)
	for ((i = 0; i < $1; i++)); do
		MODE=$((1 - MODE))
		"$TLSWARD" -c "$INI" set peer round.example mode "$(sed -n $((MODE + 1))p <<<$'require\nnone')" >>"$T/set.out" 2>&1
	done
	came 1 $((n + 2))	# of a change that another one follows at once, none may be told
}
MODE=0
sed -i 's/^notify_rate = .*/notify_rate = 60000/' "$INI"
for how in restart kill hang; do round $how; done
events 100
# both processes open the filter's counters when they next look
opened() {
	local p n=0
	for p in $(pgrep -g "${PIDS[agent]}"); do
		n=$((n + $(ls -l "/proc/$p/fd" | grep -c 'opensmtpd/counters$')))
	done
	[ "$n" -eq 2 ]
}
check "parent and child read the filter's counters" wait_for 70 opened
read -r fds kb <<<"$(measure)"
first=$(numbers | tail -n 1) bad=0
for ((i = 0; i < ROUNDS; i++)); do
	for how in restart kill hang; do round $how || bad=$((bad + 1)); done
	[ $((i % 25)) -ne 10 ] || round long || bad=$((bad + 1))
done
is "the agent answers and tells after each of $ROUNDS restarts, kills and hangs of snmpd" $bad 0
events 300
told=$(($(numbers | tail -n 1) - first))
check "hundreds of events" test $told -ge 250
# a probe of a listener may be under way: what is lost stays lost, what is in use is closed
settled() { read -r fds2 kb2 <<<"$(measure)" && [ "$fds2" -le "$fds" ]; }
wait_for 10 settled
is "it has as many descriptors as before" "$fds2" "$fds"
# 4 KiB lost with each event would be twice this
check "and no more memory after $told events: $kb KiB, then $kb2" test "$kb2" -le $((kb + told * 2))
wait_for 65 eval '[ "$(traps 12)" -ge 1 ]'
is "the refusals of a domain were told once" "$(traps 12)" 1
like "which, how many, and the bound" "$(last 12)" \
    "15\.11\.0 = STRING: \"secure\.example\".*15\.17\.0 = Gauge32: 9\b.*15\.3\.0 = INTEGER: 8\b"
kill -STOP "${PIDS[snmpd]}"
start=$(now_ms)
stop agent
check "SIGTERM ends it in 2 s while snmpd hangs" test $(($(now_ms) - start)) -lt 2000
kill -CONT "${PIDS[snmpd]}"
done_testing
