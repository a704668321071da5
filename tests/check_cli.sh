#!/bin/bash
# The command line, driven as a user would: good and bad input of each command,
# exit statuses, what is said, JSON.
. "$(dirname "$0")/lib.sh"
[ -x "$TLSWARD" ] || skip_all "build/tlsward is not built"
need_cmd openssl
CERT_DAYS=60 make_cert ca	# a [ca] whose file is there

INI=$T/etc/cli.ini
STATE=$T/state
mkdir "$STATE"

fresh() { # the settings of most cases
	rm -f "$INI"
	cat >"$INI" <<-EOF
	; kept comment
	[server]
	mode = offer      ; and this one
	state_dir = $STATE

	[listener 198.51.100.7:25]
	mode = require

	[client 203.0.113.0/24]
	client_cert = request

	[ca partners]
	file = $T/ca.pem

	[peer partner.example]
	client_cert = require
	ca = partners

	[domain example.org]
	mode = require
	[domain .example.org]
	mode = require
	enforce = report
	EOF
}

# Runs tlsward; stdout in $out, stderr in $err, the exit status in $rc.
run() {
	"$TLSWARD" -c "$INI" "$@" >"$T/out" 2>"$T/err" </dev/null
	rc=$?
	out=$(cat "$T/out") err=$(cat "$T/err")
}
# NAME STATUS REGEX ARG...: exit status, and a line of the output of either kind
try() {
	local name=$1 status=$2 regex=$3
	shift 3
	run "$@"
	if [ $rc -ne "$status" ]; then not_ok "$name" "exit $rc, not $status: $out $err"
	else like "$name" "$out"$'\n'"$err" "$regex"; fi
}
ini_is() { # NAME SED-SCRIPT: the file is the fresh one as the script changes it
	cp "$INI" "$T/is.ini"
	fresh
	sed -E "$2" "$INI" >"$T/want.ini"
	cp "$T/is.ini" "$INI"
	is "$1" "$(cat "$T/is.ini")" "$(cat "$T/want.ini")"
}
json() { # NAME EXPRESSION WANTED ARG...: python's idea of the output j
	local name=$1 expr=$2 want=$3
	shift 3
	if ! python3 -c '' 2>/dev/null; then skip "$name" "no python3"; return; fi
	run "$@"
	is "$name" "$(python3 -c 'import json, sys
j = json.load(sys.stdin)
print('"$expr"')' <"$T/out" 2>&1)" "$want"
}

# ---- the program ----
fresh
try "-V" 0 '^tlsward [0-9]' -V
try "--help lists the commands" 0 '^  explain ' --help
try "no command" 2 '^usage: tlsward'
try "a slip of a command" 2 'no command "chekc"; did you mean "check"\?' chekc
try "no command like it" 2 'no command "frobnicate"$' frobnicate
try "an unknown option before the command" 2 'unknown option --foo' --foo check
is "the error of a usage goes to stderr" "$out" ""
for cmd in check show set unset explain status setup; do
	try "$cmd --help" 0 "^usage: tlsward \[-c FILE\] $cmd" "$cmd" --help
	try "help $cmd" 0 "^usage: tlsward \[-c FILE\] $cmd" help "$cmd"
	is "$cmd --help fits 80 columns" "$("$TLSWARD" "$cmd" --help | grep -E '.{81}')" ""
	try "$cmd: unknown option" 2 "tlsward $cmd: unknown option --nonsense$" "$cmd" --nonsense
	try "$cmd: -c without a file" 2 "needs a file" "$cmd" -c
done
try "a slip of an option" 2 'unknown option --jsn; did you mean --json\?' show --jsn
try "a long option with one dash that begins as -c" 2 'unknown option -cert; did you mean --cert\?' \
    explain --from a@b.example --to c@d.example --tls 1.3 -cert x
try "the same with =" 2 'unknown option -client; did you mean --client\?' explain --from a@b.example -client=203.0.113.9
try "a flag with a value" 2 '\-\-json takes no value' check --json=yes
INI=$T/none.ini try "-c after the command" 0 'cli.ini: no errors' check -c "$T/etc/cli.ini"
INI=$T/none.ini try "a file that is not there" 1 'none.ini: .*No such file' check
INI=$T/none.ini try "a file that is not there, show" 1 'No such file' show
if [ -w /dev/full ]; then
	"$TLSWARD" -c "$INI" show >/dev/full 2>"$T/err"
	is "output to a full disk fails" $? 1
	like "and says so" "$(cat "$T/err")" 'could not be written: No space left'
fi

# ---- check ----
fresh
try "check: a good file" 0 'cli.ini: no errors, no warnings' check
printf '[server]\nmode = require\nstate_dir = %s\n' "$STATE" >"$INI"
try "check: only a warning" 0 ':2: warning: .*RFC 3207' check
try "check: counts" 0 'cli.ini: 0 errors, 1 warning$' check
printf '[server]\nmode = yes\n[domain a..b]\n[server]\ncolour = red\n' >"$INI"
try "check: errors" 1 'cli.ini:2: .*none, offer or require' check
like "check: all of them" "$out" ':5: .*colour'
json "check --json: ok" 'j["ok"], j["errors"] >= 3, j["findings"][0]["line"]' "False True 2" check --json
{ echo '[server]'; seq -f 'nonsense%.0f = 1' 150; } >"$INI"
try "check: however many errors" 1 'cli.ini: 150 errors, 0 warnings$' check
is "check: each is told" "$(grep -c 'unknown key' <<<"$out") $(grep -c ' more ' <<<"$out")" '150 0'
fresh
rmdir "$STATE"
try "check: no folder of counters" 0 "cli.ini:4: warning: \[server\]: the folder of counters $STATE is not there, .*.tlsward setup. makes it" check
mkdir "$STATE"
chmod 0666 "$INI"
try "check: settings that everybody may write" 0 "warning: can be written by everybody: chmod 0644 $INI" check
fresh
json "check --json: a good file" 'j["ok"], j["findings"]' "True []" check --json
try "check: an operand" 2 'takes no operand "x"' check x

printf '[server]\nmode = yes\n' >"$INI"
json "show --json: settings with an error" 'j["ok"], j["errors"], j["findings"][0]["line"]' 'False 1 2' show --json
is "show --json: it fails" "$rc:$err" 1:
json "explain --json: settings with an error" 'j["ok"], j["findings"][0]["line"]' 'False 2' explain --from a@b.example --json
fresh

# ---- show ----
try "show: where a setting is from" 0 "^  mode +offer +$INI:3$" show
try "show: a default" 0 '^  min_tls +1.2 +default$' show server
try "show domain: its own" 0 "^  mode +require +$INI:20$" show domain example.org
try "show domain: any case, final dot" 0 '^Mail to example.org: \[domain example.org\]' show domain EXAMPLE.org.
try "show domain: by suffix" 0 '^Mail to a.example.org: \[domain .example.org\]' show domain a.example.org
try "show domain: from the base" 0 "^  mode +offer +$INI:3 \[server\]" show domain other.example
try "show peer: the default of cert_names" 0 'partner.example, .partner.example' show peer partner.example
try "show client: an address in it" 0 '^Sessions from 203.0.113.9: \[client 203.0.113.0/24\]' show client 203.0.113.9
try "show listener" 0 "^  mode +require +$INI:7$" show listener 198.51.100.7:25
try "show ca" 0 '^  purpose +any +default$' show ca partners
try "show ca: none such" 1 'there is no \[ca x\]' show ca x
like "show ca: which there are" "$err" '^There are: partners$'
try "show certificate: none such" 1 'cli.ini: there is no \[certificate nope\]' show certificate nope
like "show certificate: there is none" "$err" '^There is no \[certificate\] at all'
try "show: a slip of a section" 2 'no section "domian"; did you mean "domain"' show domian example.org
try "show: no name" 2 'which domain\?' show domain
try "show: a bad name" 2 'domain "a\.\.b" has an empty label' show domain a..b
try "show: a bad address" 2 'client "1.2.3"' show client 1.2.3
try "show: section and name in one argument" 0 '^Mail to example.org: \[domain example.org\]' show "domain example.org"
unlike "show domain: nothing that no domain can have" "$out" '^  (authenticated|certificate) '
try "show server: the folder of counters" 0 "^  state_dir +$STATE" show server
try "show: too much" 2 'not "x" too' show domain example.org x
json "show --json" 'len(j["sections"]), j["sections"][0]["settings"]["mode"]["line"]' "8 3" show --json
json "show domain --json" 'j["rule"], j["settings"]["mode"]["value"], j["settings"]["min_tls"]["from"]' \
    "domain .example.org require None" show domain a.example.org --json
is "show without a terminal is plain" "$("$TLSWARD" -c "$INI" show | grep -c $'\033')" 0

# ---- set, unset ----
fresh
try "set: old and new value" 0 '\[server\] mode: offer -> require$' set server mode require
ini_is "set: only the value changed" '3s/offer  /require/'
fresh
try "set: nothing to change" 0 'nothing to change: \[server\] mode = offer' set server mode offer
ini_is "set: the file is untouched" ''
try "set: section and name in one" 0 '\[domain example.org\] mode: require -> offer' set "domain example.org" mode offer
try "set: in two, any case" 0 '\[domain example.org\] mode: offer -> none' set domain Example.ORG. mode none
try "set: a new section" 0 '\[domain new.example\] enforce: \(not set\) -> report' set domain new.example enforce report
try "set: it is there" 0 "enforce +report +$INI:" show domain new.example
try "set: a listener with brackets" 0 '\[listener \[2001:db8::7\]:25\] mode: \(not set\) -> require' \
    set "listener [2001:DB8::7]:25" mode require
try "set: a U-label" 0 'domain xn--bcher-kva.example' set domain bücher.example mode require
fresh
try "set: a list of several words" 0 'cert_names: .*-> a.example, .b.example' \
    set peer partner.example cert_names a.example, .b.example
try "set: a warning that it brings" 0 'warning: .*RFC 3207' set server mode require
try "set: not again what was there before" 0 'min_bits' set server min_bits 112
unlike "set: the old warning is not repeated" "$err" 'RFC 3207'
fresh
try "set: a file that is not there" 0 'warning: \[ca partners\]: cannot be used, .*nothing.pem' set ca partners file "$T/nothing.pem"
try "set: not again what was there before, of files" 0 'purpose' set ca partners purpose client
unlike "set: that of the file is not repeated" "$err" 'nothing.pem'
fresh
try "set: a bad value" 1 'none, offer or require' set server mode maybe
try "set: a reference to nothing" 1 'no \[ca nobody\]' set server ca nobody
ini_is "set: a refusal leaves the file" ''
try "set: a slip of a section" 2 'did you mean "server"' set serber mode none
try "set: a slip of a key" 2 'no setting "mod"; did you mean "mode"' set server mod none
try "set: a key of another section" 2 'a \[domain\] takes no state_dir' set domain a.example state_dir /x
try "set: no value" 2 'mode needs a value: none, offer or require' set server mode
try "set: no key" 2 'which setting' set domain example.org
try "set: nothing" 2 'needs SECTION KEY VALUE' set
try "set: no name" 2 'which domain' set domain
try "set: a name too many" 2 '\[server\] takes no name' set "server x" mode none
try "set: a value with a dash" 2 '^tlsward set: -1 is taken for an option: .*after --, as in .tlsward set \.\.\. -- -1' set server min_bits -1
try "set: a value with a dash, after --" 1 'min_bits' set server min_bits -- -1
try "set: a line break" 2 'one line' set server mode $'none\n[domain x]'
json "set --json" 'j["changed"], j["old"], j["new"]' "True offer require" set server mode require --json
fresh
try "unset: a key" 0 '\[domain .example.org\] enforce: report -> \(not set\)' unset domain .example.org enforce
ini_is "unset: only that line went" '/^enforce/d'
fresh
try "unset: with a default behind it" 0 'mode: offer -> \(not set, default offer\)' unset server mode
try "unset: a section" 0 '\[domain example.org\] removed' unset domain example.org
try "unset: the other domain stays" 0 '\[domain .example.org\]' show
unlike "unset: the section is gone" "$out" '\[domain example.org\]'
try "unset: a section that is not there" 1 "^tlsward: $INI: there is no section .domain none.example" unset domain none.example
like "unset: which there are" "$err" '^There are: \.example.org$'
try "unset: a section that is needed" 1 'partners' unset ca partners
try "unset: server as a whole" 2 'which setting of \[server\]' unset server
try "unset: too much" 2 'not "y" too' unset domain example.org mode y
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	setpriv --reuid 65534 --regid 65534 --clear-groups "$TLSWARD" -c "$INI" \
	    set server mode require >"$T/out" 2>"$T/err"
	is "set: without permission" $? 1
	like "set: and says so" "$(cat "$T/err")" 'ermission'
else
	skip "set: without permission" "not root"
	skip "set: and says so" "not root"
fi

try "set: a slip, key = value" 2 'without the =, as in `tlsward set server mode require`' set server mode = require
try "set: a slip, key=value" 2 'without the =, as in `tlsward set server mode require`' set server mode=require
try "set: a slip, no section" 2 'mode is a setting: .*`tlsward set server mode VALUE`' set mode require
try "set: a slip, no name" 2 'which domain\?  As in `tlsward set domain NAME mode require`' set domain mode require
try "set: a slip, brackets" 2 'without brackets: "domain x.example"' set "[domain x.example]" mode require
try "set: a certificate by halves" 1 'tlsward cert import c2 --cert FILE --key FILE' set certificate c2 file /x
fresh
try "unset: the last setting" 0 '\[domain example.org\] has no setting any more' unset domain example.org mode
echo 'colour = red' >>"$INI"
try "set: an error that is there already" 1 'cli.ini:23: an error that is there already' set server mode none
fresh
try "set: what would be an error" 1 'cli.ini:12: would be an error' unset ca partners file
INI=$T/none.ini try "a file that is not there: what makes one" 1 '`tlsward setup` makes' check
INI=$T/none.ini try "the same for set" 1 '`tlsward setup` makes' set server mode none

# ---- explain ----
fresh
fresh
E='explain --from a@sender.example'
try "explain: in clear, no rule" 0 '^  verdict +accept$' $E --to u@other.example
try "explain: clear mail to a domain that requires TLS" 0 '^  verdict +refuse \(tls-missing\)' $E --to u@example.org
like "explain: the reply" "$out" '^  reply +530 5.7.0 Must issue a STARTTLS command first'
like "explain: the line" "$(echo $out)" "because \[domain example.org\] mode = require, $INI:20"
try "explain: over TLS" 0 '^RCPT TO:<u@example.org>' $E --to u@example.org --tls 1.3
unlike "explain: accepted" "$out" refuse
try "explain: report-only" 0 'accept, and report \(tls-missing\)' $E --to u@a.example.org
like "explain: the line that keeps it from being refused" "$(echo $out)" \
    "not refused since \[domain .example.org\] enforce = report, $INI:23"
json "explain --json: the same" 'j["recipients"][0]["not_refused_since"]' \
    "{'rule': 'domain .example.org', 'key': 'enforce', 'line': 23}" $E --to u@a.example.org --json
try "explain: an old version" 0 'refuse \(tls-version\)' $E --to u@example.org --tls=1.1
try "explain: few bits" 0 'refuse \(tls-bits\)' $E --to u@example.org --tls=1.2 --bits=56 --cipher=DES
try "explain: the listener's rule, at MAIL" 0 '^MAIL FROM:<a@sender.example>' $E --to u@other.example \
    --listener 198.51.100.7:25
like "explain: a weaker domain leaves it to RCPT" "$out" 'accept for now'
like "explain: refused there" "$out" 'refuse \(tls-missing\)'
try "explain: local mail is exempt" 0 '^  verdict +accept$' $E --to u@example.org --client local
unlike "explain: wholly" "$out" 'refuse'
try "explain: null sender" 0 '^MAIL FROM:<>' explain --from '<>' --to u@example.org
try "explain: no certificate" 0 'refuse \(cert-missing\)' explain --from a@partner.example \
    --to u@other.example --tls 1.3
try "explain: none was asked for" 0 '^RCPT TO' explain --from a@partner.example \
    --to u@other.example --tls 1.3 --cert-status not-asked
like "explain: so nobody can tell" "$out" 'defer \(cert-unknown\)'
C="explain --from a@partner.example --to u@other.example --tls 1.3"
sed -i '/^\[server\]/a client_cert = request' "$INI"
try "explain: what OpenSMTPD says, which does not ask" 0 'note +OpenSMTPD answers 451 here, since its listener does not verify' $C --cert-status none
like "explain: the verdict is the other's" "$out" 'refuse \(cert-missing\)'
json "explain --json: the same note" 'j["recipients"][0]["note_opensmtpd"][:21], j["recipients"][0]["note_pins"]' "OpenSMTPD answers 451 None" $C --cert-status none --json
run $C --cert-status not-asked
unlike "explain: no note where it is the same" "$out" 'note'
printf '[listener 192.0.2.1:25]\nverifies = yes\n' >>"$INI"
run $C --cert-status none --listener 192.0.2.1:25
unlike "explain: nor where the listener verifies" "$out" 'note'
try "explain: another name, without pins" 0 'refuse \(cert-name\)' $C --cert "$T/ca.pem"
unlike "explain: then nothing of pins" "$out" 'no pin of'
sed -i "/^ca = partners/a fingerprints = SHA256:$(printf 'A%.0s' {1..64})" "$INI"
try "explain: another name, and other pins" 0 'note +no pin of \[peer partner.example\] matches the certificate, either' $C --cert "$T/ca.pem"
fresh
try "explain: several recipients" 0 '^RCPT TO:<v@other.example>' $E --to u@example.org --to v@other.example
try "explain: --from is needed" 2 'needs --from' explain --to u@example.org
try "explain: no address" 2 'address like' explain --from sender.example
for bad in a@@b.example c@ @d.example 'a@b c' 'a b@c.example' '<a@b.example' '' '"a@b.example'; do
	try "explain: no address, '$bad'" 2 '\-\-from ".*": an address like' explain --from "$bad"
	try "explain: no recipient, '$bad'" 2 '\-\-to ".*": an address like' $E --to "$bad"
done
try "explain: a quoted local part" 0 'MAIL FROM:<"a b@c"@d.example>' explain --from '"a b@c"@d.example'
try "explain: two senders" 2 'one --from' $E --from b@sender.example
try "explain: bad version" 2 '\-\-tls "1.4"' $E --tls 1.4
try "explain: bad bits" 2 '\-\-bits "many"' $E --tls 1.3 --bits many
try "explain: bits in clear" 2 'over TLS' $E --bits 128
try "explain: bad listener" 2 '\-\-listener' $E --listener here
try "explain: bad client" 2 '\-\-client' $E --client there
try "explain: bad certificate status" 2 '\-\-cert-status' $E --tls 1.3 --cert-status fine
try "explain: an operand" 2 'what is "b@c.example"' $E b@c.example
try "explain: an option without a value" 2 '\-\-to needs a value' $E --to
json "explain --json" 'j["mail"]["action"], [(r["action"], r["reason"], r["line"]) for r in j["recipients"]]' \
    "later [('refuse', 'tls-missing', 20)]" $E --to u@example.org --json
json "explain --json: odd octets" 'ascii(j["mail"]["from"])' $'\'"a\\\\\\t\\ufffd"@b.example\'' \
    explain --from $'"a\\\t\xff"@b.example' --json

printf '[server]\nmode = require\n' >"$INI"
try "explain: refused at MAIL" 0 'refuse \(tls-missing\)' $E --to u@example.org
unlike "explain: no RCPT after that" "$out" '^RCPT'

# ---- status ----
fresh
try "status: no folder" 0 '^Nothing from exim: .*/exim: No such' status
mkdir -p "$STATE/exim" "$STATE/opensmtpd"
try "status: nothing counted" 0 'no mail has been counted yet' status
json "status --json: nothing counted" 'j["since"], [f["counted"] for f in j["frontends"]], j["rows"][0]["clear"]' \
    "None [False, False] 0" status --json
if [ -x "$FILTER" ]; then
	{	echo 'config|smtp-session-timeout|300'
		echo 'config|ready'
		ev='|0.7|1576146008.006099|smtp-in|'
		echo "report${ev}link-connect|7641df9771b4ed00|mx.sender.example|pass|203.0.113.9:33174|192.0.2.1:25"
		for i in 1 2 3; do
			echo "filter${ev}mail-from|7641df9771b4ed00|1ef1c203cc576e5$i|a@sender.example"
			echo "filter${ev}rcpt-to|7641df9771b4ed00|1ef1c203cc576e6$i|u@example.org"
		done
		echo "filter${ev}rcpt-to|7641df9771b4ed00|1ef1c203cc576e71|u@x.example.org"
		echo "report${ev}link-disconnect|7641df9771b4ed00"
	} | "$FILTER" -c "$INI" >"$T/filter.out" 2>"$T/filter.err"
	try "status: a domain's row" 0 '^  example.org +0 +0 +0 +3 +0  [0-9:]{8}$' status
	like "status: a client network's row" "$out" '^  203.0.113.0/24 +1 +0 +0 +3 +1 '
	like "status: report-only is accepted" "$out" '^  .example.org +1 +0 +0 +0 +1$'
	unlike "status: rows without traffic are left out" "$out" '198.51.100.7'
	is "status: fits 80 columns" "$(grep -Ev '^Counted|^Nothing|^    ' "$T/out" | grep -E '.{81}')" ""
	try "status --all" 0 '^  198.51.100.7:25 +0' status --all
	try "status --reasons" 0 '^    refused tls-missing: 3$' status --reasons
	try "status --recent" 0 '^  [-0-9]{10} [:0-9]{8}  opensmtpd  tls-missing from 203.0.113.9 by domain example.org$' \
	    status --recent
	is "status --recent: each" "$(grep -c 'tls-missing from' <<<"$out")" 3
	json "status --json: the last refusals" '[(r["client"], r["name"], r["reason"], r["temporary"]) for r in j["recent"]][0], len(j["recent"])' \
	    "('203.0.113.9', 'example.org', 'tls-missing', False) 3" status --json
	json "status --json" '[(r["name"], r["refused"], r["refused_by_reason"]) for r in j["rows"] if r["name"] == "example.org"]' \
	    "[('example.org', 3, {'tls-missing': 3})]" status --json
else
	skip "status: figures" "build/filter-tlsward is not built"
fi
unlike "status: no word where all notifications are sent" "$out" otification
printf '[server]\nstate_dir = %s\n[agent]\nnotify_except = refusals-high, mode-changed\n' "$STATE" >"$INI"
try "status: notifications that are off" 0 '^Notifications that the agent does not send: refusals-high, mode-changed$' status
json "status --json: notifications that are off" 'j["notify"], j["notify_except"]' \
    "True ['refusals-high', 'mode-changed']" status --json
try "show: the kinds that are off" 0 '^  notify_except +refusals-high, mode-changed' show
try "set: another kind" 0 '' set agent notify_except 'mode-changed, listener-fine'
try "set: one that is none" 1 'notify_except: `mode-chaged` is unknown: did you mean `mode-changed`' set agent notify_except mode-chaged
is "set: as it was" "$(grep notify_except "$INI")" 'notify_except = mode-changed, listener-fine'
try "unset: all kinds" 0 '' unset agent notify_except
json "status --json: none is off" 'j["notify_except"]' "[]" status --json
try "set: all notifications off" 0 '' set agent notify no
try "status: no notifications at all" 0 '^The agent sends no notifications: notify is no$' status
fresh
timeout 1.5 "$TLSWARD" -c "$INI" status --watch=1 >"$T/out"
is "status --watch goes on" $? 124
is "status --watch prints again" "$(grep -c 'LAST REFUSAL' "$T/out")" 2
try "status: a bad pause" 2 '\-\-watch=0' status --watch=0
try "status: an operand" 2 'no operand' status x
echo '[broken' >>"$INI"
try "status: bad settings" 1 'cli.ini:[0-9]+: ' status
like "status: bad settings, another folder can be named" "$out" '\-\-state-dir'
like "status: bad settings, figures all the same" "$out" '^server +[0-9]'
try "status: bad settings, --state-dir" 1 '^server +[0-9]' status --state-dir "$STATE"
json "status --json: bad settings" 'j["settings_error"].split("/")[-1][:8], j["state_dir"], len(j["rows"])' \
    "cli.ini: $STATE 1" status --json --state-dir "$STATE"
is "status: bad settings: the error comes first" "$("$TLSWARD" -c "$INI" status --state-dir "$STATE" | sed -n '1s/ .*//p;2s/.*\/cli.ini:.*/cli.ini/p')" $'The\ncli.ini'
try "status: a folder that is not there" 1 '^tlsward: --state-dir /nope: No such file' status --state-dir /nope
is "status: a folder that is not there: no figures" "$out" ''
try "status: a file as the folder" 1 "$INI: Not a directory" status --state-dir "$INI"
try "status: a bad folder" 2 'begins with /' status --state-dir x
try "status: seconds without =" 2 '\-\-watch=2' status --watch 2
: >"$INI"
try "an empty file is an error" 1 'cli.ini: is empty: .*`\[server\]`' check
fresh
sed -i "s/^mode = offer.*/mode = Require/" "$INI"
try "a slip of a value" 1 'cli.ini:3: mode: .*did you mean `require`' check

# ---- what a terminal must not see ----
# Others' data with ESC, C1 in UTF-8 and C1 as an octet: in settings, in what the agent
# left, in what is typed.  Nothing of it may come out as it is.
fresh
esc=$'\033[31m' c1=$'\302\233' raw=$'\233' good=bücher
tame() { # NAME: out and err of the last run have none of it
	is "$1: nothing for a terminal" "$(cat "$T/out" "$T/err" | LC_ALL=C grep -ac $'\033\|\302\233\|\233[^\200-\277]')" 0
}
printf '[ca odd]\nfile = /none%s%s%sm.pem\n[certificate odd]\nfile = /%s%s.pem\nkey = /%s.key\n' "$good" "$c1" "$raw" "$c1" "$raw" "$raw" >>"$INI"
try "check: odd octets of a path" 0 '/nonebücher.xC2.x9B.x9Bm.pem' check
tame check
try "show: odd octets of a path" 0 '/nonebücher.xC2.x9B.x9Bm.pem' show ca odd
tame show
try "cert list: odd octets of a path" 0 '^odd +unreadable' cert list
tame "cert list"
run cert show odd
tame "cert show"
json "JSON: C1 is escaped" '[ord(x) for x in j["sections"][0]["settings"]["file"]["value"][11:]]' '[155, 65533, 109, 46, 112, 101, 109]' show ca odd --json
unlike "JSON: in the output, too" "$(LC_ALL=C cat -v "$T/out")" 'M-BM-|\^\['
mkdir -p "$STATE/agent"
printf '198.51.100.7:25%s\tsni%s\tmx\t1700000000\t3\t1\t1\t1\t\tit shows%s %s%s\n' "$esc" "$raw" "$c1" "$esc" "$raw" >"$STATE/agent/probe"
try "status: odd octets of a probe" 0 'asked for sni.x9B: it shows.xC2.x9B .x1B\[31m.x9B' status
like "status: of a listener" "$out" '198.51.100.7:25.x1B\[31m, asked'
tame status
rm "$STATE/agent/probe"
for cmd in "$esc$raw" "show $raw$c1" "set server mode $c1$raw" "explain --from $c1$raw" "cert show /$c1$raw"; do
	# shellcheck disable=SC2086
	run $cmd
	tame "an argument of ${cmd%% *}"
done
sed -i "s,^state_dir = .*,state_dir = /none$c1$raw," "$INI"
run status
tame "status: state_dir"
run setup --dry-run
tame "setup: state_dir"
fresh

# ---- setup ----
# Really made only where this shell can have an /etc and /var/lib of its own.
private() {
	unshare -m sh -c '
		mkdir -p "$1/up" && mount -t tmpfs tmpfs "$1/up" && cd "$1/up" &&
		mkdir eu ew vu vw &&
		mount -t overlay overlay -o lowerdir=/etc,upperdir=eu,workdir=ew /etc &&
		mount -t overlay overlay -o lowerdir=/var/lib,upperdir=vu,workdir=vw /var/lib || exit 77
		sed -i -E "/^(tlsward|opensmtpd|Debian-exim|exim):/d" /etc/passwd /etc/group \
		    /etc/shadow /etc/gshadow || exit 77
		rm -rf /etc/tlsward /var/lib/tlsward
		useradd --system --no-create-home opensmtpd || exit 77
		'"$2" sh "$1" "$TLSWARD" >"$T/out" 2>"$T/err"
	rc=$?
	out=$(cat "$T/out") err=$(cat "$T/err")
}
fresh
try "setup: an operand" 2 'no operand' setup x
INI=x.ini try "setup: a relative path" 2 '-c x.ini: setup needs the absolute path' setup
is "setup: a relative path: nothing is said to be made" "$out" ''
sed -i 's/^mode = offer.*/mode = Require/' "$INI"
try "setup --dry-run: settings with an error" 1 'cli.ini:3: mode: .*did you mean `require`' setup --dry-run
like "setup --dry-run: settings with an error: the folders are not known" "$out" '^FAILED +the folders of counters: .*cli.ini has errors'
unlike "setup --dry-run: settings with an error: no folder of counters" "$out" '/var/lib/tlsward'
fresh
INI=$T/etc/tlsward/x.ini try "setup --dry-run" 0 '^would +.*/etc/tlsward/x.ini: new, the first settings' \
    setup --dry-run
if [ "$(id -u)" -ne 0 ]; then
	skip "setup: makes everything" "not root"
elif private "$T" 'true'; [ $rc -eq 77 ]; then
	skip "setup: makes everything" "no overlay of /etc to be had"
else
	private "$T" '"$2" setup --dry-run; [ ! -e /etc/tlsward ]'
	is "setup --dry-run: changes nothing" $rc 0
	like "setup --dry-run: says what it would do" "$out" '^would +user tlsward'
	private "$T" '"$2" setup; r=$?; stat -c "%n %U %a" /etc/tlsward /etc/tlsward/tlsward.ini \
	    /var/lib/tlsward /var/lib/tlsward/opensmtpd; "$2" check; exit $r'
	is "setup: done" $rc 0
	like "setup: the user" "$out" '^done +user tlsward'
	like "setup: the folder is the agent's" "$out" '^/etc/tlsward tlsward 755$'
	like "setup: the file too" "$out" '^/etc/tlsward/tlsward.ini tlsward 644$'
	like "setup: state_dir is root's" "$out" '^/var/lib/tlsward root 755$'
	like "setup: OpenSMTPD's folder" "$out" '^/var/lib/tlsward/opensmtpd opensmtpd 755$'
	like "setup: no Exim" "$out" '^note +Exim is not installed'
	like "setup: the first settings are good" "$out" 'tlsward.ini: no errors'
	private "$T" '"$2" setup >/dev/null; "$2" setup'
	is "setup: again" $rc 0
	unlike "setup: finds everything right" "$out" '^(done|FAILED)'
	private "$T" '"$2" setup >/dev/null; chown root /etc/tlsward; chmod 600 /etc/tlsward/tlsward.ini
	    "$2" setup; stat -c "%n %U %a" /etc/tlsward /etc/tlsward/tlsward.ini'
	like "setup: sets an owner right" "$out" '^/etc/tlsward tlsward 755$'
	like "setup: sets a mode right" "$out" '^/etc/tlsward/tlsward.ini tlsward 644$'
	private "$T" '"$2" setup >/dev/null; rm -r /var/lib/tlsward; echo "colour = red" >>/etc/tlsward/tlsward.ini; "$2" setup; r=$?; ls /var/lib/tlsward; exit $r'
	is "setup: settings with an error" $rc 1
	like "setup: settings with an error: no folder is made" "$err" 'cannot access ./var/lib/tlsward'
	private "$T" 'cd /; "$2" -c etc/tlsward/tlsward.ini setup; r=$?; id tlsward; ls /etc/tlsward; exit $r'
	is "setup: a relative path is a slip" $rc 2
	like "setup: a relative path: no user is made" "$err" 'no such user'
	private "$T" 'cp -r /etc/skel /etc/other; : >/etc/other/x.ini; "$2" -c /etc/other/x.ini setup; r=$?
	    stat -c "%n %U" /etc/other; exit $r'
	is "setup: a folder that is not its own" $rc 1
	like "setup: is left alone" "$out" '^/etc/other root$'
	# The agent may write the settings, so the folders that they name are anybody's.
	state_is() { # FOLDER SETUP: sets up with that state_dir, after the commands of SETUP
		private "$T" '"$2" setup >/dev/null; '"$2"'
		    printf "[server]\nmode = offer\nstate_dir = %s\n" '"$1"' >/etc/tlsward/tlsward.ini
		    "$2" setup; r=$?; stat -c "%n %U %a" /var/lib/other /var/lib/other/* /etc/aim /etc/aim/*; exit $r'
	}
	state_is /var/lib/other 'mkdir -m 0700 /var/lib/other'
	is "setup: state_dir is another's folder" $rc 1
	like "setup: then it stays closed" "$out" '^/var/lib/other root 700$'
	like "setup: and is refused" "$out" '^FAILED +/var/lib/other: is there already, root.s, mode 700, and not evidently'
	unlike "setup: nothing is made in it" "$out" '^/var/lib/other/'
	state_is /var/lib/other 'mkdir -p /var/lib/other/opensmtpd'
	like "setup: nor in one that is open" "$rc:$out" '^1:'
	like "setup: another's folder in it is not given away" "$out" '^/var/lib/other/opensmtpd root 755$'
	state_is /var/lib/tlsward 'rm -r /var/lib/tlsward/opensmtpd; mkdir -m 0700 /var/lib/tlsward/opensmtpd
	    mkdir /var/lib/other; stat -c "%n %U %a" /var/lib/tlsward/opensmtpd'
	like "setup: nor one in state_dir" "$rc:$out" '^1:'
	like "setup: it is said whose it is" "$out" '^FAILED +/var/lib/tlsward/opensmtpd: belongs to root, .*chown -R opensmtpd: /var'
	state_is /etc/tlsward/link/tlsward 'mkdir /etc/aim; ln -s /etc/aim /etc/tlsward/link'
	is "setup: state_dir behind a link" $rc 1
	like "setup: the link is not followed" "$out" '^FAILED +/etc/tlsward/link/tlsward: "link" on the way: is a symbolic link'
	unlike "setup: nothing is made behind it" "$out" '^/etc/aim/'
	state_is /etc/aim/x/../y 'mkdir /etc/aim'
	like "setup: nor is .. followed" "$rc:$out" '^FAILED +.*"\.\." on the way: no name for a folder'
	state_is /var/lib/other 'printf "[server]\nmode = offer\nstate_dir = /var/lib/other\n" >/etc/tlsward/tlsward.ini
	    "$2" setup >/dev/null'
	is "setup: another state_dir, which it made itself, again" $rc 0
	like "setup: it is found right" "$out" '^ok +/var/lib/other \(root, mode 755\)'
	private "$T" 'setpriv --reuid 65534 --regid 65534 --clear-groups "$2" setup'
	is "setup: without root" $rc 1
	like "setup: says what needs root" "$out" '^root +user tlsward'
	like "setup: and what to do" "$err" 'run `tlsward setup` as root'
fi
done_testing
