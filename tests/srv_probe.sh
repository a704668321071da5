#!/bin/bash
# tlsward probe, and the agent's own probes, against a real OpenSMTPD and a real
# Exim: STARTTLS, smtps, IPv6, a verifying listener, a certificate that was renewed
# under a running smtpd, a chain cut short, names, and where nothing answers.
. "$(dirname "$0")/lib.sh"
need_servers opensmtpd
need_cmd openssl python3
need_built tlsward filter-tlsward tlsward-agent

for p in tls clear smtps verify v6 none down exim quiet; do free_port "port_$p"; done
make_cert
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 10 -subj /CN=ca \
    -addext keyUsage=critical,keyCertSign,cRLSign -keyout "$T/ca.key" -out "$T/ca.pem" 2>/dev/null
make_state

# probe LISTENER [OPTIONS...]: its output, then "status N".
probe() {
	local listener=$1
	shift
	"$TLSWARD" -c "$INI" probe --listener "$listener" "$@" 2>&1
	echo "status $?"
}
# json LISTENER EXPRESSION: of the first probe p.
json() {
	"$TLSWARD" -c "$INI" probe --json --listener "$1" >"$T/probe.json"
	python3 -c 'import json, sys
p = json.load(open(sys.argv[1]))["probes"][0]
print(eval(sys.argv[2]))' "$T/probe.json" "$2" 2>&1
}
findings() { json "$1" '" ".join(f["finding"] for f in p["findings"])'; }

# The agent probes without any snmpd too.
AS=()
[ "$(id -u)" -ne 0 ] || AS=(-u $AGENT_USER)
agent() { : >"$T/agent.log"; start agent "$AGENT" -c "$INI" -x "$T/no-agentx" "${AS[@]}"; }
seen() { # LISTENER [NAME]: state (2 fine, 3 fault), shown, TLS, asks
	awk -F '\t' -v l="$1" -v n="${2:-}" '$1 == l && $2 == n { print $5, $6, $7, $8 }' "$STATE/agent/probe"
}
are() { [ "$(seen "${@:2}")" = "$1" ]; }
sees() { # WANTED LISTENER [NAME]: within some rounds
	wait_for 30 are "$@"
	is "the agent: ${*:2}" "$(seen "${@:2}")" "$1"
}

settings() { # LINES for the end
	sed 's/^\t*//' <<-END | write_ini
	[server]
	state_dir = $STATE
	mode = offer
	certificate = mx
	[certificate mx]
	file = $CERT
	key = $KEY
	[ca partners]
	file = $T/ca.pem
	[listener 127.0.0.1:$port_none]
	mode = none
	[listener 127.0.0.1:$port_verify]
	verifies = yes
	client_cert = require
	ca = partners
	$1
	END
}
settings ''

smtpd_listeners() { # pki and ca as the files are now
	smtpd_conf "$port_tls" "$FILTER -c $INI" | sed '/^action\|^match/d'
	echo "ca \"partners\" cert \"$T/ca.pem\""
	h='hostname mx.example.org filter "tlsward"'
	echo "listen on 127.0.0.1 port $port_clear $h"
	echo "listen on 127.0.0.1 port $port_none tls pki \"mx\" $h"
	echo "listen on 127.0.0.1 port $port_smtps smtps pki \"mx\" $h"
	echo "listen on 127.0.0.1 port $port_verify tls-require verify pki \"mx\" ca \"partners\" $h"
	echo "listen on ::1 port $port_v6 tls pki \"mx\" $h"
	smtpd_conf 1 | grep '^action\|^match'
}
smtpd_listeners >"$T/smtpd.conf"
SMTPD=smtpd0
restart() { # NAME: smtpd anew, with what the files are now
	stop "$SMTPD"
	SMTPD=smtpd$((${SMTPD#smtpd} + 1))
	check "$1" start_smtpd "$SMTPD" "$T/smtpd.conf"
}
restart "smtpd starts"
running "$SMTPD" || done_testing

# ---- what is in order ----

out=$(probe "127.0.0.1:$port_tls")
like "STARTTLS: who it is" "$out" '^  server +OpenSMTPD, STARTTLS$'
like "STARTTLS: version and cipher" "$out" '^  TLS +1\.3, TLS_[A-Z0-9_]*, (128|256) bits$'
pin=$(openssl x509 -in "$CERT" -noout -fingerprint -sha256 | sed 's/.*=//;s/://g')
like "STARTTLS: the certificate" "$out" "SHA256:$pin\$"
like "STARTTLS: one certificate" "$out" '1 certificate sent$'
like "STARTTLS: no client certificate" "$out" 'client cert +not asked for$'
like "STARTTLS: as the settings say" "$out" 'as the settings say$'
like "STARTTLS: exit status 0" "$out" '^status 0$'

is "smtps without being told so" "$(json "127.0.0.1:$port_smtps" 'p["smtps"], p["tls"]["version"], p["findings"]')" \
    "(True, '1.3', [])"
is "IPv6" "$(json "[::1]:$port_v6" 'p["starttls"], p["tls"]["fingerprint"][7:], p["findings"]')" \
    "(True, '$pin', [])"
is "*:port tries IPv6 where IPv4 does not answer" \
    "$(json "*:$port_v6" 'p["reachable"], p["findings"]')" "(True, [])"
is "a verifying listener asks, and insists" \
    "$(json "127.0.0.1:$port_verify" 'p["asks_client_cert"], p["requires_client_cert"], p["tls"]["fingerprint"][7:], p["findings"]')" \
    "(True, True, '$pin', [])"
unlike "no mail was begun" "$(log_of "$SMTPD")" 'event=tx|MAIL FROM'

# ---- the agent's own rounds ----

settings "[listener 127.0.0.1:$port_tls]
	[listener 127.0.0.1:$port_smtps]
	[listener [::1]:$port_v6]
	[listener 127.0.0.1:$port_clear]
	[agent]
	probe_interval = 5"
agent
sees "2 2 5 2" "127.0.0.1:$port_tls"
sees "2 2 5 2" "127.0.0.1:$port_smtps"
sees "2 2 5 2" "[::1]:$port_v6"
sees "2 2 5 4" "127.0.0.1:$port_verify"
sees "3 1 1 1" "127.0.0.1:$port_clear"
check "the agent tells of no STARTTLS" await_log 10 agent "\[listener 127\.0\.0\.1:$port_clear\] offers no STARTTLS, though mode = offer"
check "and of STARTTLS where mode = none" await_log 10 agent "\[listener 127\.0\.0\.1:$port_none\] offers STARTTLS and answers it with"
unlike "of nothing else" "$(log_of agent | grep '\[listener')" ":($port_tls|$port_smtps|$port_v6|$port_verify)\]"
first=$(awk -F '\t' 'NR == 1 { print $4 }' "$STATE/agent/probe")
check "it looks again after its interval" wait_for 15 eval '[ "$(awk -F "\t" "NR == 1 { print \$4 }" "$STATE/agent/probe")" -ge $((first + 5)) ]'
is "and tells nothing twice" "$(log_of agent | grep -c 'offers no STARTTLS')" 1
unlike "no mail was begun by it" "$(log_of "$SMTPD")" 'event=tx|MAIL FROM'

# ---- what is not ----

like "a listener in clear" "$(findings "127.0.0.1:$port_clear")" '^no-starttls$'
like "a listener in clear: the remedy is smtpd's" "$(probe "127.0.0.1:$port_clear" | tr -s ' \n' ' ')" \
    'offers no STARTTLS, though mode = offer; put `tls pki NAME` on that `listen on` line and restart smtpd status 1 $'
is "STARTTLS where mode = none, refused by the filter" "$(findings "127.0.0.1:$port_none")" tls-unwanted
like "STARTTLS where mode = none: what it answers" "$(probe "127.0.0.1:$port_none" | tr -s ' \n' ' ')" \
    'offers STARTTLS and answers it with "50[0-9] '

settings "[listener 127.0.0.1:$port_tls]
	client_cert = request
	[listener 127.0.0.1:$port_clear]
	mode = require"
is "a listener that does not ask" "$(findings "127.0.0.1:$port_tls")" not-asking
like "mode = require in clear: all mail is refused" "$(probe "127.0.0.1:$port_clear" | tr -s ' \n' ' ')" \
    'mode = require, so that all mail is refused;'
settings "[listener 127.0.0.1:$port_tls]
	verifies = yes"
is "a listener said to verify that does not even ask" "$(findings "127.0.0.1:$port_tls")" not-asking
settings "[client 127.0.0.0/8]
	client_cert = request"
is "the rule of the probe's own network holds" "$(findings "127.0.0.1:$port_smtps")" not-asking
settings "[listener 127.0.0.1:$port_tls]
	[listener 127.0.0.1:$port_smtps]
	[listener [::1]:$port_v6]
	[agent]
	probe_interval = 5"

# ---- renewed, but smtpd has the old one in memory ----

cp "$CERT" "$T/old.pem"
sleep 1.1	# notBefore has seconds
sees "2 2 5 2" "127.0.0.1:$port_tls"
make_cert
for l in "127\.0\.0\.1:$port_tls" "127\.0\.0\.1:$port_smtps" "\[::1\]:$port_v6"; do
	check "the agent tells that $l still shows the old one" await_log 30 agent \
	    "\[listener $l\] .*still shows the certificate from before $CERT was renewed"
done
is "renewed, not restarted" "$(findings "127.0.0.1:$port_tls")" other-certificate
like "renewed, not restarted: the remedy" "$(probe "127.0.0.1:$port_tls" | tr -s ' \n' ' ')" \
    "still shows the certificate from before $CERT was renewed, .* smtpd keeps certificates in memory: restart it"
is "on smtps too" "$(findings "127.0.0.1:$port_smtps")" other-certificate
is "on IPv6 too" "$(findings "[::1]:$port_v6")" other-certificate
is "on the verifying listener too" "$(findings "127.0.0.1:$port_verify")" other-certificate
restart "smtpd starts again"
is "restarted: as the settings say" "$(findings "127.0.0.1:$port_tls")" ""
for l in "127\.0\.0\.1:$port_tls" "127\.0\.0\.1:$port_smtps" "\[::1\]:$port_v6"; do
	check "the agent tells that $l is as it should be" await_log 30 agent \
	    "\[listener $l\] as the settings say again; it is over: .*other-certificate"
done
stop agent
settings ''

make_cert stranger
cat "$CERT" >"$T/alone.pem"
cat "$T/stranger.pem" >"$CERT"
is "another certificate altogether" "$(findings "127.0.0.1:$port_tls")" other-certificate
like "another certificate: which" "$(probe "127.0.0.1:$port_tls" | tr -s ' \n' ' ')" \
    'shows another certificate than .*SHA256:.* of CN=mx.example.org;'
mv "$T/alone.pem" "$CERT"

# ---- a chain that the file has and smtpd does not send ----

mv "$CERT" "$T/was.pem"
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=issuing \
    -keyout "$T/issuing.key" -out "$T/issuing.csr" 2>/dev/null
printf 'basicConstraints=critical,CA:TRUE\n' >"$T/issuing.ext"
openssl x509 -req -in "$T/issuing.csr" -CA "$T/ca.pem" -CAkey "$T/ca.key" -CAcreateserial -days 10 \
    -extfile "$T/issuing.ext" -out "$T/issuing.pem" 2>/dev/null
openssl req -new -key "$KEY" -subj /CN=mx.example.org -out "$T/mx.csr" 2>/dev/null
openssl x509 -req -in "$T/mx.csr" -CA "$T/issuing.pem" -CAkey "$T/issuing.key" -CAcreateserial \
    -days 10 -out "$T/leaf.pem" 2>/dev/null || die "openssl x509 failed"
cp "$T/leaf.pem" "$CERT"
restart "smtpd starts with a leaf alone"
cat "$T/leaf.pem" "$T/issuing.pem" "$T/ca.pem" >"$CERT"
is "chain cut short" "$(findings "127.0.0.1:$port_tls")" chain-short
settings "[listener 127.0.0.1:$port_tls]
	[agent]
	probe_interval = 5"
agent
check "the agent tells of a chain cut short" await_log 20 agent \
    "\[listener 127\.0\.0\.1:$port_tls\] sends 1 of the 2 certificates of "
stop agent
settings ''
like "chain cut short: how" "$(probe "127.0.0.1:$port_tls" | tr -s ' \n' ' ')" 'sends 1 of the 2 certificates of '
restart "smtpd starts with the chain"
is "the whole chain" "$(json "127.0.0.1:$port_tls" 'p["tls"]["chain_length"], p["findings"]')" "(3, [])"
mv "$CERT" "$T/gone.pem"
is "the certificate's file is gone" "$(findings "127.0.0.1:$port_tls")" file-unreadable
like "the certificate's file is gone: a sentence" "$(probe "127.0.0.1:$port_tls" | tr -s ' \n' ' ')" \
    "! cannot be compared with $CERT: there is no such file; check the path"
mv "$T/was.pem" "$CERT"

# ---- nothing, or something else, answers ----

like "nobody listens: a sentence with the remedy" "$(probe "127.0.0.1:$port_down" | tr -s ' \n' ' ')" \
    "! nobody listens on 127\.0\.0\.1:$port_down; start the mail server, or correct the \[listener\] status 1"
stop "$SMTPD"
is "smtpd is down" "$(findings "127.0.0.1:$port_tls")" unreachable
python3 -c 'import socket, sys, time
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    c = s.accept()[0]; time.sleep(4); c.close()' "$port_quiet" >/dev/null 2>&1 &
quiet=$!
wait_for 5 listening "$port_quiet"
since=$(now_ms)
like "one that never greets" "$(probe "127.0.0.1:$port_quiet" --timeout 1 | tr -s ' \n' ' ')" \
    '! the connection was made, but no greeting came within 1 s, nor TLS;.* status 1'
check "within its time" test $(($(now_ms) - since)) -lt 2500
kill $quiet
wait $quiet 2>/dev/null
like "bad listener" "$("$TLSWARD" -c "$INI" probe --listener here 2>&1; echo $?)" '^2$'
like "bad timeout" "$("$TLSWARD" -c "$INI" probe --timeout 0 2>&1; echo $?)" '^2$'

# ---- all of the INI's listeners ----

write_ini <<-END
[server]
state_dir = $STATE
mode = offer
[listener 127.0.0.1:$port_down]
mode = offer
[listener *:$port_none]
mode = offer
END
out=$("$TLSWARD" -c "$INI" probe 2>&1; echo "status $?")
is "each [listener] has its part" "$(grep '^listener ' <<<"$out" | tr '\n' ' ')" \
    "listener *:$port_none listener 127.0.0.1:$port_down "
like "any finding is status 1" "$out" '^status 1$'
like "both addresses that * stands for" "$(tr -s ' \n' ' ' <<<"$out")" \
    "nobody listens on 127\.0\.0\.1:$port_none and \[::1\]:$port_none;"

# ---- Exim: it reads files anew, chooses by name, and asks without insisting ----

if [ ! -d "$SERVERS/exim-4.96" ] || [ ! -e "$MODULE" ]; then
	skip "Exim" "needs build/servers/exim-4.96 and build/exim_tlsward.so"
	done_testing
fi
make_cert other other.example.org
chmod 0644 "$T"/*.pem
write_ini <<-END
[server]
state_dir = $STATE
mode = offer
client_cert = request
certificate = mx
[certificate mx]
file = $CERT
key = $T/mx.exim.key
[certificate other]
file = $T/other.pem
key = $T/other.exim.key
names = other.example.org, *.wild.example.org
[ca partners]
file = $T/ca.pem
END
exim_conf "$port_exim" "$(exim_macros)" >"$T/exim.conf"
check "exim starts" start_exim exim 4.96 "$T/exim.conf"
other=$(openssl x509 -in "$T/other.pem" -noout -fingerprint -sha256 | sed 's/.*=//;s/://g')
out=$(probe "127.0.0.1:$port_exim")
like "Exim: who it is" "$out" '^  server +Exim, STARTTLS$'
like "Exim asks for a client certificate" "$out" 'client cert +asked for$'
like "Exim: the other certificate by its name" "$(grep -A5 'asked for other\.example\.org' <<<"$out")" "SHA256:$other"
like "Exim: and by a wildcard" "$(grep -A5 'asked for probe\.wild\.example\.org' <<<"$out")" "SHA256:$other"
like "Exim: all as the settings say" "$out" '^status 0$'
cat <<-END >>"$INI"
[listener 127.0.0.1:$port_exim]
[agent]
probe_interval = 5
END
agent
sees "2 2 5 3" "127.0.0.1:$port_exim"
sees "2 2 5 3" "127.0.0.1:$port_exim" other.example.org
sees "2 2 5 3" "127.0.0.1:$port_exim" probe.wild.example.org
cp "$T/other.pem" "$T/other.old"
make_cert other other.example.org
chmod 0644 "$T"/*.pem
shown=$(awk -F '\t' 'NR == 1 { print $4 }' "$STATE/agent/probe")
check "the agent looks at once after a renewal" wait_for 15 eval '[ "$(awk -F "\t" "NR == 1 { print \$4 }" "$STATE/agent/probe")" -gt $shown ]'
sees "2 2 5 3" "127.0.0.1:$port_exim" other.example.org
unlike "which Exim shows at once: no fault" "$(log_of agent)" "listener 127\.0\.0\.1:$port_exim\]"
stop agent
make_cert mx
is "Exim has a renewed certificate at once" "$(findings "127.0.0.1:$port_exim")" ""
sed -i 's/^mode = offer/mode = none/; s/^client_cert.*//' "$INI"
is "Exim, mode = none: offers nothing, which is right" \
    "$(json "127.0.0.1:$port_exim" 'p["starttls"], p["findings"]')" "(False, [])"
stop exim

exim_conf "$port_exim" "acl_smtp_rcpt = accept
tls_advertise_hosts =" >"$T/exim.conf"
sed -i 's/^mode = none/mode = require/' "$INI"
check "exim starts without the macros" start_exim exim 4.96 "$T/exim.conf"
like "Exim that does not obey: the remedy is Exim's" "$(probe "127.0.0.1:$port_exim" | tr -s ' \n' ' ')" \
    'offers no STARTTLS, though mode = require.*tls_advertise_hosts'
stop exim

done_testing
