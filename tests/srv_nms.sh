#!/bin/bash
# What network management systems get of tlsward: the module of Prometheus'
# exporter, run for real; alert rules; the plugin for Nagios in each of its
# states; the dashboard and the Zabbix template, which no program of Debian
# takes, by their structure.
# timeout 300
. "$(dirname "$0")/lib.sh"
. "$TOP/tests/nms.sh"
need_servers snmpd snmp-exporter prometheus
need_cmd snmpget snmpset snmpbulkwalk
need_built tlsward-agent filter-tlsward
/usr/bin/python3 -c 'import yaml' 2>/dev/null || skip_all "needs python3-yaml (make deps-test)"

NMS=$TOP/conf/nms
PROMTOOL=$SERVERS/prometheus/usr/bin/promtool
OBJ=$BASE_OID.2553.1

# ---- files ----
python() { /usr/bin/python3 "$@"; }
is "the exporter's modules, rules, dashboard and template agree with one another and the MIB" \
    "$(python "$TOP/tests/nms_files.py" "$TOP" "$T" 2>&1)" ""
check "promtool takes the rules" "$PROMTOOL" check rules "$NMS/rules.yml"
check "and the expressions of the dashboard" "$PROMTOOL" check rules "$T/dashboard-rules.yml"
check "each alert fires in promtool's unit tests, and only then" \
    "$PROMTOOL" test rules "$NMS/rules_test.yml" "$NMS/rules_test_days.yml"
is "none is left out there" "$(sed -n 's/^ *- alert: //p' "$NMS/rules.yml" |
    while read -r a; do grep -q "$a" "$NMS"/rules_test*.yml || echo "$a"; done)" ""
sed 's/tlswardSettingsState == 3/tlswardSettingsState == 4/' "$NMS/rules.yml" >"$T/rules.yml"
cp "$NMS/rules_test.yml" "$T/"
unlike "a rule that does not fire is found" \
    "$("$PROMTOOL" test rules "$T/rules_test.yml" >/dev/null 2>&1; echo $?)" '^0$'

# ---- a gateway with mail ----
nms_settings
check "snmpd starts" start_snmpd
check "the agent starts" start_agent
[ $FAILED -eq 0 ] || done_testing
{
	smtpd_ready
	n=0
	for r in 1 2 3 4 5 6 7; do
		session $((n += 1)) a@any.example "b@example.org"
		session $((n += 1)) a@any.example "b@example.org" TLSv1.3
		session $((n += 1)) a@bank.example "b@open.example"
		[ $r -gt 3 ] || session $((n += 1)) a@old.example "b@nowhere.example" TLSv1.2
		[ $r -gt 2 ] || session $((n += 1)) a@any.example "b@mx.example.net" TLSv1.3
	done
} >"$T/traffic"
check "the filter decides" decide "$T/traffic"
refused_is() { [ "$(snmp_get $OBJ.5.1.19."$(oid_of example.org)")" = "$1" ]; }
check "SNMP shows what it decided" wait_for 10 refused_is 7

# ---- the exporter ----
check "prometheus-snmp-exporter takes the module and starts" start_exporter "$NMS/snmp-exporter-0.21.yml"
scrape >"$T/scrape"
unlike "a scrape" "$(cat "$T/scrape")" '^# scrape failed'
series() { awk -v s="$1" 'index($0, s " ") == 1 { printf "%.0f\n", substr($0, length(s) + 2) }' "$T/scrape"; }
for rule in 5:Domain:domain:example.org 5:Domain:domain:open.example 5:Domain:domain:.example.net \
    6:Peer:peer:bank.example 6:Peer:peer:old.example; do
	IFS=: read -r table word label name <<<"$rule"
	wanted='' got=''
	for c in 2:Mode 3:ClientCert 4:Enforce 16:AcceptedClear 17:AcceptedTls 18:AcceptedVerified 19:Refused 20:WouldRefuse; do
		wanted="$wanted$(snmp_get "$OBJ.$table.1.${c%:*}.$(oid_of "$name")") "
		got="$got$(series "tlsward$word${c#*:}{$label=\"$name\"}") "
	done
	is "$label $name: the series are what snmpget has" "$got" "$wanted"
done
is "of example.org: clear, TLS, refused" "$(for c in Clear Tls; do series "tlswardDomainAccepted$c{domain=\"example.org\"}"; done |
    xargs) $(series 'tlswardDomainRefused{domain="example.org"}')" "0 7 7"
is "the peer on trial: 7 would be refused" "$(series 'tlswardPeerWouldRefuse{peer="bank.example"}')" 7
is "the server's figures" "$(for c in AcceptedClear AcceptedTls Refused WouldRefuse; do series "tlswardServer$c"; done | xargs)" \
    "$(snmp_get $OBJ.2.16.0 $OBJ.2.17.0 $OBJ.2.19.0 $OBJ.2.20.0 | xargs)"
is "nothing was lost, and every rule has its row" "$(series tlswardNotifyLost) $(series tlswardCountersOther)" "0 0"
is "the settings are in force" "$(series tlswardSettingsState)" 1
is "a listener by address and port" "$(series 'tlswardListenerMode{listener="198.51.100.7",port="25"}')" 3
is "a network by address and length" "$(series 'tlswardClientMode{client="203.0.113.0",prefix="24"}')" 3
check "the certificates are looked at" wait_for 20 eval '[ "$(snmp_get '"$OBJ.10.1.15.1.$(oid_of mx)"')" = 3 ]'
scrape >"$T/scrape"
for c in mx late; do
	is "days left of certificate $c" "$(series "tlswardCertificateDaysLeft{certificate=\"$c\",kind=\"server\"}")" \
	    "$(snmp_get "$OBJ.10.1.14.1.$(oid_of $c)")"
done
is "and of the CA" "$(series 'tlswardCertificateDaysLeft{certificate="partners",kind="ca"}')" \
    "$(snmp_get "$OBJ.10.1.14.2.$(oid_of partners)")"
is "refusals by reason, in words" "$(series 'tlswardReasonRefused{reason="tlsVersion"}')" 3
is "and would-refusals" "$(series 'tlswardReasonWouldRefuse{reason="tlsMissing"}')" 7
skip "the module for exporters since 0.23, run" "Debian has none: checked by structure, and to have the same metrics"
stop exporter

# ---- the plugin ----
# Nagios' command as it would run it.
command=$(sed -n 's/^\tcommand_line\t\(.*check_tlsward .*\)/\1/p' "$NMS/nagios.cfg")
command=${command//'$USER1$'/$NMS} command=${command//'$HOSTADDRESS$'/127.0.0.1:$SNMP_PORT}
command=${command//'$ARG1$'/domain} command=${command//'$ARG2$'/-n example.org -M require}
like "the command of nagios.cfg" "$(sh -c "${command//'$USER5$'/-v2c -c public}")" '^TLSWARD OK - domain example.org: mode require'
V3=(-v3 -u admin -l authPriv -a SHA-256 -A auth-passphrase -x AES -X priv-passphrase -t 1 -r 1)
plugin() { # ARGUMENTS...: its line, with the status in front
	local out
	out=$(sh "$NMS/check_tlsward" -H "127.0.0.1:$SNMP_PORT" "$@" -- "${V3[@]}" 2>&1)
	echo "$? $out"
}
like "settings: OK" "$(plugin -m settings)" '^0 TLSWARD OK - .*in force \| loads=[0-9]+c failures=0c'
like "domain: OK, with performance data" "$(plugin -m domain -n Example.ORG -M require)" \
    '^0 TLSWARD OK - domain Example.ORG: mode require.* \| clear=0c tls=7c verified=0c refused=7c would_refuse=0c$'
like "domain that inherits: the server's mode" "$(plugin -m domain -n .example.net -M offer)" '^0 .*mode offer'
like "domain below what it should be: CRITICAL" "$(plugin -m domain -n open.example -M require)" '^2 TLSWARD CRITICAL - .*less than it should'
like "domain refused a moment ago: WARNING" "$(plugin -m domain -n example.org -w 60)" '^1 TLSWARD WARNING - .*last refusal 0 min ago'
like "or CRITICAL" "$(plugin -m domain -n example.org -w 60 -c 30)" '^2 TLSWARD CRITICAL'
like "peer" "$(plugin -m peer -n bank.example)" '^0 .*mode require.*would_refuse=7c$'
like "a rule that is not there: CRITICAL" "$(plugin -m domain -n nowhere.example)" '^2 .*there is no rule domain nowhere.example'
like "the server itself" "$(plugin -m server -M offer)" '^0 TLSWARD OK - server: mode offer.*refused=3c would_refuse=7c'
like "usage: UNKNOWN" "$(plugin -m weather)" '^3 TLSWARD UNKNOWN'
like "usage: UNKNOWN without a name" "$(plugin -m domain)" '^3 TLSWARD UNKNOWN - -n'
like "usage: UNKNOWN with a bad number" "$(plugin -m settings -w 1x)" '^3 TLSWARD UNKNOWN'
like "wrong passphrase: UNKNOWN" "$(sh "$NMS/check_tlsward" -H "127.0.0.1:$SNMP_PORT" -m settings -- \
    -v3 -u admin -l authPriv -a SHA-256 -A wrong-passphrase -x AES -X priv-passphrase -t 1 -r 0; echo $?)" 'UNKNOWN|^3$'
like "by v2c as well" "$(sh "$NMS/check_tlsward" -H "127.0.0.1:$SNMP_PORT" -m settings -- -v2c -c public)" '^TLSWARD OK'
like "certificates: the one that ends is named" "$(plugin -m certificates)" \
    "^1 TLSWARD WARNING - mx ends in (9|10) days \| .*'late'=(89|90);30:;7:"
like "one alone: OK" "$(plugin -m certificates -n late)" "^0 TLSWARD OK - 1 certificate is fine \| 'late'="
like "an end behind the limit is critical" "$(plugin -m certificates -w 200 -c 100)" '^2 TLSWARD CRITICAL'
like "a certificate that is not there: UNKNOWN" "$(plugin -m certificates -n none)" '^3 TLSWARD UNKNOWN'
like "listeners: nobody asked them" "$(plugin -m listeners)" '^0 TLSWARD OK - 0 of 1 .*listeners=1 fine=0 fault=0'
cp -p "$INI" "$T/good"
free_port closed
sed "s/198\.51\.100\.7:25/127.0.0.1:$closed/; s/^probe_interval = 0/probe_interval = 60/" "$T/good" | write_ini
faulty() { [[ $(plugin -m listeners) == 2* ]]; }
wait_for 20 faulty
like "a listener that nobody serves: CRITICAL, with the remedy" "$(plugin -m listeners)" \
    "^2 TLSWARD CRITICAL - 127\.0\.0\.1:$closed: .*fault=1$"
write_ini <"$T/good"
like "servers" "$(plugin -m servers)" '^0 TLSWARD OK - OpenSMTPD seen 0 min ago.*OpenSMTPD=[1-9]'
cp -p "$INI" "$T/good"
echo 'mode = always' >>"$INI"
wait_for 5 eval '[ "$(snmp_get $OBJ.3.1.0)" = 2 ]'
like "a settings file in error: WARNING, with the line" "$(plugin -m settings)" '^1 TLSWARD WARNING - line [1-9][0-9]*: .*tlsward\.ini'
cp -p "$T/good" "$INI.x" && mv "$INI.x" "$INI"
wait_for 5 eval '[ "$(snmp_get $OBJ.3.1.0)" = 1 ]'
stop agent
agent_left() { ! agent_answers; }
wait_for 5 agent_left
like "the agent is down: CRITICAL" "$(plugin -m settings)" '^2 TLSWARD CRITICAL - snmpd answers, tlsward-agent does not'
like "for each check" "$(plugin -m domain -n example.org)" '^2 TLSWARD CRITICAL'
like "of a table, too" "$(plugin -m certificates)" '^[23] TLSWARD'
stop snmpd
like "snmpd is down: CRITICAL" "$(plugin -m settings)" '^2 TLSWARD CRITICAL - no answer'
done_testing
