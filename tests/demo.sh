#!/bin/bash
# The story of `make demo`: a real OpenSMTPD and a real Exim on loopback, one
# INI, one SNMP manager that changes a rule.  Every step is the command that a
# person would type, and its answer.  Ends with 1 if a step does not show what
# it should.  KEEP=1 leaves all of it running and says how to end it.
keep=${KEEP:-}
. "$(dirname "$0")/lib.sh"
unset KEEP
PLANNED=1		# no TAP here

[ "$(id -u)" -eq 0 ] || die "needs root or sudo: the mail servers run as their own users"
unshare -m true 2>/dev/null || die "needs a private mount namespace, and unshare -m is forbidden here"
for s in opensmtpd exim-4.96 snmpd; do
	[ -d "$SERVERS/$s" ] || die "build/servers/$s is missing: make deps-test"
done
[ -t 1 ] && bold=$'\e[1m' plain=$'\e[0m' || bold='' plain=''
started=$(now_ms)
steps=0 wrong=0

step() { # HEADING
	steps=$((steps + 1))
	printf '\n%s%d. %s%s\n' "$bold" $steps "$1" "$plain"
}
# show COMMAND [FILTER]: prints the command, runs it, prints its answer, through
# FILTER if there is one; the answer stays in $answer.
show() {
	printf '   $ %s\n' "$1"
	answer=$(eval "$1" 2>&1 | eval "${2:-cat}")
	printf '%s\n' "$answer" | sed 's/^/     /'
	case $answer in
	*"Cannot find module"*|*"Cannot adopt OID"*|*"Undefined"*)
		wrong=$((wrong + 1))
		printf '   %sUNEXPECTED:%s the SNMP tools lack a MIB\n' "$bold" "$plain" ;;
	esac
}
expect() { # REGEX...: each matches a line of the answer
	local r
	for r; do
		printf '%s\n' "$answer" | grep -Eq -- "$r" && continue
		wrong=$((wrong + 1))
		printf '   %sUNEXPECTED:%s no line matches "%s"\n' "$bold" "$plain" "$r"
	done
}
# Of a swaks transcript: what was said from MAIL FROM on, without the message.
dialogue='awk "/^=== TLS started/ || (/(-|~)> MAIL/ && (on = 1)) || on" |
    grep -E "^(=== TLS| *(-|~)> *(MAIL|RCPT)|<[-~*]+ +[0-9])" | grep -v "<[-~] *\(354\|221\)"'
send() { # PORT [OPTIONS]: mail for $to
	show "swaks --server 127.0.0.1:$1 --from carol@partner.example --to $to${2:+ $2}" "$dialogue"
}

# ---- the stage ----
CERT_DAYS=90 make_cert mx mx.example.org
make_state
free_port smtpd_port
free_port exim_port
write_ini <<END
; The TLS rules of this gateway, for both of its mail servers.
[server]
mode = offer            ; TLS for whoever likes
certificate = mx        ; what Exim shows; smtpd.conf names smtpd's
state_dir = $STATE

[listener 127.0.0.1:$smtpd_port]    ; OpenSMTPD
[listener 127.0.0.1:$exim_port]    ; Exim

[certificate mx]
file = $CERT
key = $T/mx.exim.key

[domain example.net]    ; a customer with an old scanner: leave it alone
mode = none
END
smtpd_conf "$smtpd_port" "$FILTER -c $INI" >"$T/smtpd.conf"
exim_conf "$exim_port" "$(exim_macros)" >"$T/exim.conf"
start_smtpd smtpd "$T/smtpd.conf" || exit 1
start_exim exim 4.96 "$T/exim.conf" || exit 1
start_snmpd || exit 1
start_agent || exit 1
start_ms=$(($(now_ms) - started))

cd "$T/etc" || exit 1
export PATH=$T/bin:$PATH
# The manager's side: who we are, and where the MIB is.
smi=$MIBDIRS
for m in SNMPv2-TC INET-ADDRESS-MIB; do
	ls ${MIBDIRS//:/ } 2>/dev/null | grep -q "^$m" || smi=$TOP/tests/smi
done
cat >"$SNMPCONFPATH/snmp.conf" <<END
mibdirs $smi:$TOP/mibs
mibs TLSWARD-MIB
defVersion 3
defSecurityName admin
defSecurityLevel authPriv
defAuthType SHA-256
defAuthPassphrase auth-passphrase
defPrivType AES
defPrivPassphrase priv-passphrase
END
snmp_host=127.0.0.1:$SNMP_PORT
row="'example.org'"
to=alice@example.org

printf '%sOpenSMTPD 7.4 on port %s, Exim 4.96 on port %s, SNMP on port %s; started in %d ms%s\n' \
    "$bold" "$smtpd_port" "$exim_port" "$SNMP_PORT" "$start_ms" "$plain"

# ---- the story ----
step "One file of rules, read by both servers"
show "cat tlsward.ini"
cp tlsward.ini tlsward.ini.before
show "tlsward check -c tlsward.ini && echo fine"
expect '^fine$' 'no errors, no warnings'

step "Mail in clear is accepted: OpenSMTPD, then Exim"
send "$smtpd_port"
expect '^<-  250 2.0.0 .*accepted'
send "$exim_port"
expect '^<-  250 OK id='

step "The network's manager asks how things stand"
show "snmpget $snmp_host TLSWARD-MIB::tlswardServerMode.0 TLSWARD-MIB::tlswardServerAcceptedClear.0"
expect 'tlswardServerMode.0 = INTEGER: offer\(3\)' 'tlswardServerAcceptedClear.0 = Counter64: 2( |$)'

step "... and requires TLS for mail to example.org: one SET"
show "snmpset $snmp_host \"TLSWARD-MIB::tlswardDomainRowStatus.$row\" = createAndGo \"TLSWARD-MIB::tlswardDomainMode.$row\" = require"
set_at=$(now_ms)
expect 'tlswardDomainMode.*require\(4\)'

step "What the SET did to the file: comments and order are as they were"
show "diff -u tlsward.ini.before tlsward.ini" "tail -n +3"
expect '^\+\[domain example.org\]' '^\+mode = require'
unset IFS
[ "$(printf '%s\n' "$answer" | grep -c '^-')" -eq 0 ] || { wrong=$((wrong + 1)); echo "   UNEXPECTED: lines were removed"; }

step "The next mail in clear is refused, by both, with no restart"
left=$((set_at + 1000 - $(now_ms)))
[ $left -le 0 ] || sleep "$(printf '0.%03d' $((left > 999 ? 999 : left)))"
send "$smtpd_port"
expect '^<\*\* 530 5\.7\.0 Must issue a STARTTLS command first'
send "$exim_port"
expect '^<\*\* 530 5\.7\.0 Must issue a STARTTLS command first'

step "The same mail over TLS is accepted"
send "$smtpd_port" --tls
expect '^=== TLS started' '^<~  250 2.0.0 .*accepted'
send "$exim_port" --tls
expect '^=== TLS started' '^<~  250 OK id='

step "Other domains are as they were"
to=bob@example.net
send "$smtpd_port"
expect '^<-  250 2.0.0 .*accepted'

step "Which rule was it?"
show "tlsward explain -c tlsward.ini --from carol@partner.example --to alice@example.org"
expect '530 5\.7\.0' 'example\.org'

step "The counters, by SNMP and by the command line"
show "snmpwalk $snmp_host TLSWARD-MIB::tlswardDomainTable" "grep -E 'Mode|Accepted|Refused'"
expect "tlswardDomainAcceptedTls.*example.org.*Counter64: 2( |$)" \
    "tlswardDomainRefused.*example.org.*Counter64: 2( |$)"
show "tlsward status -c tlsward.ini"
expect 'example\.org'

# ---- the end ----
echo
if [ -n "$keep" ]; then
	pids=${PIDS[*]}
	cat >"$T/end" <<-END
	#!/bin/sh
	# Ends the demo: its processes by pid, then its folder.
	for p in $pids; do kill \$p; done
	sleep 1
	for p in $pids; do kill -KILL -\$p 2>/dev/null; done
	rm -rf "$T"
	END
	chmod 0755 "$T/end"
	PIDS=()
	KEEP=1
	echo "${bold}Left running.$plain  OpenSMTPD 127.0.0.1:$smtpd_port, Exim 127.0.0.1:$exim_port, SNMP $snmp_host"
	echo "  settings $INI; for the SNMP tools: export SNMPCONFPATH=$SNMPCONFPATH SNMP_PERSISTENT_DIR=$SNMPCONFPATH"
	echo "  (user and MIB are in a file there: no -v3 ... is needed, only snmpget $snmp_host TLSWARD-MIB::...)"
	echo "  logs $T/*.log, Exim's $T/exim-$exim_port/mainlog; programs $T/bin; to end it: ${SUDO_USER:+sudo }$T/end"
else
	pids=${PIDS[*]}
	for name in agent snmpd exim smtpd; do
		stop $name || { wrong=$((wrong + 1)); echo "UNEXPECTED: $name had to be killed"; }
	done
	left=
	for p in $pids; do
		gone "$p" || left="$left $p"
	done
	if [ -z "$left" ]; then echo "Ended: nothing is left running (process groups $pids are gone)."
	else wrong=$((wrong + 1)); echo "UNEXPECTED: still running:$left"; fi
fi
if [ $wrong -eq 0 ]; then
	printf '%sAll %d steps showed what they should%s, in %d s.\n' "$bold" $steps "$plain" \
	    $((($(now_ms) - started + 500) / 1000))
	exit 0
fi
echo "$wrong answers were not as they should be."
exit 1
