#!/bin/bash
# filter-tlsward without a server: conversations of its protocol, the trace of a
# real smtpd, many sessions, changes of the settings while it runs, and what it
# does when things are not as they should be.
# timeout 600
. "$(dirname "$0")/lib.sh"
need_built filter-tlsward tlsward tool/filter_load
cd "$TOP/tests/golden/filter" || exit 1
FILTER=$BUILD/filter-tlsward LOAD=$BUILD/tool/filter_load
TRACE=$TOP/tests/traces/opensmtpd-7.4.log
STATE=$T/state

# The (session|token) of each request, and of each answer, in order.
asked() { awk -F'|' '$1 == "filter" { print $6 "|" $7 }' "$1"; }
answered() { awk -F'|' '/^filter-(result|dataline)\|/ { print $2 "|" $3 }' "$1"; }

# ---- conversations; UPDATE=1 writes them anew, to be read before a commit ----
for in in *.in; do
	name=${in%.in} ini=filter.ini
	[ ! -e "$name.ini" ] || ini=$name.ini
	"$FILTER" -c "$ini" <"$in" >"$T/$name.out" 2>"$T/$name.err"
	rc=$?
	[ -z "${UPDATE:-}" ] || cp "$T/$name.out" "$name.ok"
	is "conversation $name" "$rc $(diff "$name.ok" "$T/$name.out")" "0 "
done
is "protocols 0.5, 0.6 and 0.7 are answered alike" \
    "$(for v in 5 6; do diff v0.$v.ok v0.7.ok; diff auth0.$v.ok auth0.7.ok; done)" ""
is "a later protocol is named once" "$(grep -c 'filter protocol' "$T/later.err")" 1
is "verifies: data-line and commit are registered" \
    "$(sed -n 's/^register|filter|smtp-in|//p' verifies.ok | tr '\n' ' ')" "starttls mail-from rcpt-to data-line commit "
like "verifies: what smtpd.conf contradicts is an error" "$(cat "$T/verifies.err")" \
    '^session a1: the listener 198\.51\.100\.7:2525 says .verifies = yes., but .*Received line says'
is "verifies: no feed is told once" "$(grep -c 'no fingerprint will come: /nonexistent/opensmtpd/feed' "$T/verifies.err")" 1
printf '%s\n' 'config|ready' 'report|0.7|1|smtp-in|link-connect|1|x|pass|192.0.2.1:1|198.51.100.7:25' \
    'report|0.7|1|smtp-in|link-tls|1|TLSv1.3:A:B:C' 'report|0.7|1|smtp-in|link-connect|2|x|pass|192.0.2.1|y' |
    "$FILTER" -c filter.ini 2>"$T/shown.err" >/dev/null
is "malformed lines are shown as they came" \
    "$(sed -n 's/^malformed line from smtpd, a field is malformed: //p' "$T/shown.err" | tr '\n' ' ')" \
    'report|0.7|1|smtp-in|link-tls|1|TLSv1.3:A:B:C report|0.7|1|smtp-in|link-connect|2|x|pass|192.0.2.1|y '
is "malformed lines: ten complaints a minute" "$(grep -c '^malformed line' "$T/malformed.err")" 10

# ---- the trace ----
"$FILTER" -v -c filter.ini <"$TRACE" >"$T/trace.out" 2>"$T/trace.err"
is "trace: ends well" $? 0
is "trace: one answer to each request, in order" "$(answered "$T/trace.out" | cksum)" "$(asked "$TRACE" | cksum)"
is "trace: all of its requests" "$(asked "$TRACE" | wc -l)" "$(answered "$T/trace.out" | wc -l)"
is "trace: no complaint" "$(grep -E 'malformed|unknown:' "$T/trace.err")" ""
registered() { # the lines of a trace that smtpd sends to this filter
	local events
	events=$(sed -n 's/^register|\(report\|filter\)|smtp-in|/\1 /p' "$T/trace.out" | tr '\n' ',')
	awk -F'|' -v all=",$events" '$1 == "config" || index(all, "," $1 " " $5 ",")' "$1"
}
registered "$TRACE" >"$T/registered"
"$FILTER" -c filter.ini <"$T/registered" >"$T/registered.out" 2>/dev/null
is "trace of what is registered: one answer each, in order" \
    "$(answered "$T/registered.out" | cksum)" "$(asked "$T/registered" | cksum)"
unlike "nothing that decides nothing is registered" "$(cat "$T/trace.out")" 'register\|.*\|(data-line|connect|commit|tx-|protocol-)'

# ---- lines of every length, and octets of every kind ----
{
	echo 'config|ready'
	echo 'report|0.7|1|smtp-in|link-connect|a1|x|pass|192.0.2.1:1|198.51.100.7:25'
	for n in 0 1 254 255 320 321 4000 65535 69000 70000 300000; do
		printf 'filter|0.7|1|smtp-in|rcpt-to|a1|%x|' "$n"
		head -c "$n" /dev/zero | tr '\0' x
		echo '@open.example'
	done
	printf 'filter|0.7|1|smtp-in|rcpt-to|a1|aa|\0@open.example\n'
	printf 'filter|0.7|1|smtp-in|rcpt-to|a1|ab|\001\033[1m\377@open.example\r\n'
	head -c 2000000 /dev/urandom | tr '\n|' '  '
	printf '\nfilter|0.7|1|smtp-in|rcpt-to|a1|ac|b@open.example\n'
	head -c 200000 /dev/urandom
	printf '\nfilter|0.7|1|smtp-in|rcpt-to|a1|ad|b@secure.example\nfilter|0.7|1|smtp-in|rcpt-to|a1|ae|unended'
} >"$T/lengths.in"
"$FILTER" -v -c filter.ini <"$T/lengths.in" >"$T/lengths.out" 2>"$T/lengths.err"
is "lines of any length and octet: ends well" $? 0
is "lines of any length and octet: answers" \
    "$(sed -n 's/^filter-result|a1|\([^|]*\)|\([a-z]*\)\(|...\)\?.*/\1 \2\3/p' "$T/lengths.out" | tr '\n' ';')" \
    "0 proceed;1 proceed;fe proceed;ff proceed;140 proceed;141 proceed;fa0 proceed;ffff proceed;10d88 proceed;11170 reject|451;493e0 reject|451;aa reject|451;ab proceed;ac proceed;ad reject|530;ae reject|451;"
unlike "the log has printable ASCII only" "$(cat "$T/lengths.err")" '[^ -~]'

# ---- lines of a message, where they are asked for: given back octet by octet ----
{
	echo 'config|ready'
	echo 'report|0.7|1|smtp-in|link-connect|a1|x|pass|192.0.2.1:1|198.51.100.7:2525'
	echo 'report|0.7|1|smtp-in|link-tls|a1|TLSv1.3:X:256'
	for l in '' . .. '|' '||x|' $'cr\r' $'\r' $'cr\r\r' 'nul\0nul' '\0' $'\001\033\377' "filter|0.7|1|smtp-in|data-line|a1|2|"; do
		printf "filter|0.7|1|smtp-in|data-line|a1|1|$l\n"
	done
	for n in 255 4000 65535 69000; do
		printf 'filter|0.7|1|smtp-in|data-line|a1|1|'
		head -c "$n" /dev/zero | tr '\0' x
		echo
	done
	echo 'filter|0.7|1|smtp-in|commit|a1|2|'
} >"$T/message.in"
"$FILTER" -c verifies.ini <"$T/message.in" 2>/dev/null | sed '/^register/d; s/^filter-dataline|a1|1|//' >"$T/message.out"
is "lines of a message: each as it came" "$(sed '$d' "$T/message.out" | cksum)" \
    "$(sed -n 's/^filter|0.7|1|smtp-in|data-line|a1|1|//p' "$T/message.in" | cksum)"
{
	head -n 3 "$T/message.in"
	echo 'filter|0.7|1|smtp-in|mail-from|a1|1|a@x.example'
	echo 'filter|0.7|1|smtp-in|data-line|a1|1|Received: x'
	echo 'filter|0.7|1|smtp-in|data-line|a1|1|	by mx (OpenSMTPD) with ESMTPS id 1 (TLSv1.3:X:256:YES)'
	printf 'filter|0.7|1|smtp-in|data-line|a1|1|'
	head -c 100000 /dev/zero | tr '\0' x
	printf '\nfilter|0.7|1|smtp-in|commit|a1|2|\n'
} >"$T/cut.in"
like "a line that is too long to give back: the message is deferred" \
    "$("$FILTER" -c verifies.ini <"$T/cut.in" 2>/dev/null | tail -n 1)" '^filter-result\|a1\|2\|reject\|451 '

# ---- many sessions ----
{
	printf '[server]\nmode = offer\nstate_dir = %s\n' "$STATE"
	for d in 0 2 4 6 8; do printf '[domain d%d.example]\nmode = require\n' $d; done
} >"$T/load.ini"
mkdir -p "$STATE/opensmtpd"
load() { # NAME OPTIONS...: into $T/NAME and the variable of each key
	local name=$1 line
	shift
	"$LOAD" "$@" "$FILTER" -c "$T/load.ini" >"$T/$name" 2>"$T/$name.err"
	rc=$?
	note "$name: $(tr '\n' ' ' <"$T/$name")"
	while read -r line; do declare -g "${line%%=*}=${line#*=}"; done <"$T/$name"
}
load open5000 -n 20000 -o 5000
is "5,000 sessions open at once: each request answered rightly" "$rc $wrong $ended_well" "0 0 1"
load replay -n 200000 -o 200
is "200,000 sessions: each request answered rightly" "$rc $wrong $ended_well" "0 0 1"
check "200,000 sessions: resident memory is flat (${rss_early_kib:-?} then ${rss_late_kib:-?} KiB)" \
    test "${rss_late_kib:-99999}" -le $((${rss_early_kib:-0} + 64))

# ---- a filter that runs ----
# talk LINES: says them; hear: the next answer, less its session and token.
begin() { # NAME: starts a filter on $T/NAME.ini
	coproc RUN { exec "$FILTER" -c "$T/$1.ini" 2>"$T/$1.err"; }
	PIDS[filter]=$RUN_PID
	exec {TO}>&"${RUN[1]}" {FROM}<&"${RUN[0]}"
	local line=
	talk 'config|ready'
	until [ "$line" = 'register|ready' ]; do read -r -t 10 -u $FROM line || break; done
}
talk() { printf '%s\n' "$@" >&$TO; }
hear() { local line; read -r -t 10 -u $FROM line; line=${line#*|*|*|}; echo "${line:0:19}"; }
hello() { talk "report|0.7|1|smtp-in|link-connect|$1|x|pass|192.0.2.1:1|198.51.100.7:25"; }
rcpt() { talk "filter|0.7|1|smtp-in|rcpt-to|$1|f1|b@d1.example"; hear; }
fresh() { # a session of its own, up to MAIL FROM
	hello 52
	talk "filter|0.7|1|smtp-in|mail-from|52|f1|a@partner.example"
	hear
	talk "report|0.7|1|smtp-in|link-disconnect|52"
}
within() { # WANTED: a session that begins within a second meets it
	local until=$(($(now_ms) + 1000))
	while [ "$(now_ms)" -lt $until ]; do
		[ "$(fresh)" = "$1" ] && return 0
		sleep 0.05
	done
	return 1
}
finish() { # the filter's exit status at the end of its input
	exec {TO}>&- {FROM}<&-
	eval "exec ${RUN[1]}>&-"
	wait "$RUN_PID"
	unset "PIDS[filter]"
}
no="reject|530 5.7.0 Mu"
ini() { printf '[server]\nmode = %s\nstate_dir = %s\n' "$1" "$STATE"; }

mkdir "$T/real"
ini offer >"$T/real/settings"
ln -s real/settings "$T/live.ini"
begin live
hello 51	# which has been read when the next is answered
is "running: accepts" "$(fresh)" proceed
ini require >"$T/real/new"; mv "$T/real/new" "$T/real/settings"
check "rename behind a symbolic link: seen within a second" within "$no"
is "a session keeps the settings that it began under" "$(rcpt 51)" proceed
ini offer >"$T/real/settings"
check "written in place: seen within a second" within proceed
printf '[server]\nmode = sometimes\n' >"$T/real/settings"
sleep 1
is "bad settings: the last good ones stay" "$(fresh)" proceed
like "bad settings: the log has file and line" "$(cat "$T/live.err")" "live.ini:2: .*none, offer or require"
ini require >"$T/real/settings"
check "mended: seen within a second" within "$no"
rm "$T/real/settings"
sleep 1
is "file removed: the last good settings stay" "$(fresh)" "$no"
ini offer >"$T/real/settings"
check "file back: seen within a second" within proceed
mkdir "$T/other"
ini require >"$T/other/settings"
ln -sfn other/settings "$T/live.ini"
check "link turned to another folder: seen within a second" within "$no"
ini offer >"$T/other/settings"
check "and changes in that folder are" within proceed
mv "$T/other" "$T/away"; mkdir "$T/other"; ini require >"$T/other/settings"
check "folder replaced: seen within a second" within "$no"
ini offer >"$T/other/settings"
check "and changes in the new one are" within proceed
kill -HUP "$RUN_PID"; kill -TERM "$RUN_PID"; kill -INT "$RUN_PID"
is "SIGHUP, SIGTERM and SIGINT end nothing" "$(fresh)" proceed

last=$("$BUILD/tlsward" status -c "$T/live.ini" --json | grep -o '"last_refusal": *[0-9]*' | grep -o '[0-9]*$' | sort -n | tail -n 1)
check "the last refusal's time is counted" [ $(($(date +%s) - ${last:-0})) -lt 60 ]
count() { "$BUILD/tlsward" status -c "$T/live.ini" --json | cksum; }
before=$(count)
is "counted: accepts" "$(fresh)" proceed
unlike "counted: the figures change" "$(count)" "^$before\$"
fresh >/dev/null
truncate -s 0 "$STATE/opensmtpd/counters"
is "counters cut short: mail is decided" "$(fresh) $(fresh) $(fresh)" "proceed proceed proceed"
sleep 0.5
is "and the filter lives" "$(fresh)" proceed
like "and says so" "$(cat "$T/live.err")" 'counters.*cut short'
check "and counts into a file made anew" test -s "$STATE/opensmtpd/counters"
# filter/counters_file.h: the first row not taken, at 64, and those with space, at 68
printf '\0\0\4\0\0\0\4\0' | dd of="$STATE/opensmtpd/counters" bs=1 seek=64 conv=notrunc status=none
{ ini offer; printf '[domain d1.example]\n[client 198.51.100.0/24]\n'; } >"$T/other/settings"
sleep 1.5
is "counters full: mail is decided" "$(fresh) $(hello 53; rcpt 53) $(fresh)" "proceed proceed proceed"
is "and it is said once" "$(grep -c 'counters: is full with 262143 names' "$T/live.err")" 1
finish
is "ends with 0 at the end of its input" $? 0

# By hand, at a terminal: it would seem to hang.
if command -v script >/dev/null; then
	ini offer >"$T/hand.ini"
	like "at a terminal it says whom it waits for" \
	    "$(script -qec "timeout 1 $FILTER -c $T/hand.ini" /dev/null 2>&1 </dev/null)" "waits for smtpd's lines.*nobody else needs to run it"
else
	skip "at a terminal it says whom it waits for" "script(1) is not installed"
fi

# SIGHUP where neither inotify nor a tick may have told first
ini offer >"$T/hup.ini"
begin hup
ini require >"$T/hup.new"; mv "$T/hup.new" "$T/hup.ini"; kill -HUP "$RUN_PID"
sleep 0.1
is "SIGHUP: reads the settings" "$(fresh)" "$no"
finish

# ---- requests that wait for a fingerprint ----
pinned=$(printf 'SHA256:%064d' 1)
{
	ini offer
	printf '[listener 198.51.100.7:25]\nverifies = yes\n'
	printf '[peer partner.example]\nclient_cert = require\nfingerprints = %s\n' "$pinned"
	printf '[domain pin.example]\nclient_cert = require\nfingerprints = %s\n' "$pinned"
} >"$T/wait.ini"
FEED=$STATE/opensmtpd/feed
tells() { printf '%016x smtp cert-check result="verified" fingerprint="%s"\n' "0x$1" "$2" >"$FEED"; } # SESSION PRINT
secure() { hello "$1"; talk "report|0.7|1|smtp-in|link-tls|$1|TLSv1.3:X:256"; }
from() { talk "filter|0.7|1|smtp-in|mail-from|$1|$2|a@${3:-partner.example}"; } # SESSION TOKEN [DOMAIN]
to() { talk "filter|0.7|1|smtp-in|rcpt-to|$1|$2|b@${3:-pin.example}"; }
answer() { # [SECONDS]: session, token and what is said, with the code
	local line
	read -r -t "${1:-10}" -u $FROM line
	line=${line#filter-result|}
	echo "${line%% *}"
}
timed() { local since=$(now_ms); echo "$(answer) $(($(now_ms) - since))"; }
begin wait
check "the feed is made" wait_for 2 test -p "$FEED" -a -S "$FEED.sock"
secure 1; from 1 a
is "no fingerprint yet: no answer" "$(answer 0.3)" ""
secure 2; from 2 b x.example
is "another session is answered" "$(answer)" "2|b|proceed"
tells 1 "$pinned"
is "it comes: answered" "$(answer)" "1|a|proceed"
to 1 c
is "and known from then on" "$(answer)" "1|c|proceed"
secure 3; from 3 d
tells 3 "$(printf 'SHA256:%064d' 2)"
is "another fingerprint: refused" "$(answer)" "3|d|reject|554"
tells 4 "$pinned"
sleep 0.1
secure 4; from 4 e
is "told before the session began: answered at once" "$(answer 0.5)" "4|e|proceed"
secure 5; from 5 f
read -r said took <<<"$(timed)"
is "never: deferred" "$said" "5|f|reject|451"
check "after a second ($took ms)" test "$took" -ge 900 -a "$took" -lt 1500
from 5 10
read -r said took <<<"$(timed)"
is "once more: deferred" "$said" "5|10|reject|451"
check "at once ($took ms)" test "$took" -lt 300
tells 5 "$pinned"; sleep 0.1; from 5 11
is "late: good for the next command" "$(answer)" "5|11|proceed"
secure 6; from 6 12 x.example; answer >/dev/null; to 6 13
is "RCPT TO waits" "$(answer 0.2)" ""
talk "report|0.7|1|smtp-in|link-disconnect|6"
secure 7; from 7 14 x.example
is "a session that ends while it waits is not answered" "$(answer) $(answer 1.2)" "7|14|proceed "
secure 8; from 8 15; from 8 16 x.example
is "a second request answers the first" "$(answer) $(answer)" "8|15|reject|451 8|16|proceed"
secure 9; from 9 17; secure 9; from 9 18 x.example
is "a session begun anew drops what waited" "$(answer) $(answer 1.2)" "9|18|proceed "
secure a; from a 19
rm "$FEED"
is "the feed removed: deferred" "$(answer)" "a|19|reject|451"
check "and made anew" wait_for 2 test -p "$FEED"
secure b; from b 1a; tells b "$pinned"
is "and heard" "$(answer)" "b|1a|proceed"
# a hundred wait; half are told, backwards, among noise and twice
other=$(printf 'SHA256:%064d' 7)
for ((i = 198; i >= 100; i -= 2)); do
	for p in "$pinned" "$other"; do
		printf '%016x smtp cert-check result="verified" fingerprint="%s"\nnoise\n' "0x$i" "$p"
	done
done >"$T/told"
for ((i = 100; i < 200; i++)); do secure $i; from $i $i; done
cat "$T/told" >"$FEED"
for ((i = 0; i < 100; i++)); do answer; done | sort >"$T/hundred"
is "a hundred at once, half of them told" "$(cat "$T/hundred")" \
    "$(for ((i = 100; i < 200; i++)); do echo "$i|$i|$((i % 2)) "; done | sed 's/0 $/proceed/; s/1 $/reject|451/' | sort)"
secure c; from c 1b; secure d; from d 1c
pid=$RUN_PID
exec {TO}>&-
eval "exec ${RUN[1]}>&-"
is "at the end of input what waits is answered" "$(answer) $(answer)" "c|1b|reject|451 d|1c|reject|451"
exec {FROM}<&-
wait "$pid"
is "and the filter ends well" $? 0
unset "PIDS[filter]"

# ---- the end of input with answers pending, and a reader that is late ----
{
	echo 'config|ready'
	echo 'report|0.7|1|smtp-in|link-connect|a1|x|pass|192.0.2.1:1|198.51.100.7:25'
	for ((i = 0; i < 20000; i++)); do
		echo "filter|0.7|1|smtp-in|rcpt-to|a1|$i|b@secure.example"
	done
} >"$T/pending.in"
"$FILTER" -c filter.ini <"$T/pending.in" 2>/dev/null | { sleep 1; cat; } >"$T/pending.out"
is "a late reader at the end of input: ends well" "${PIPESTATUS[0]}" 0
is "a late reader at the end of input: all answers" "$(answered "$T/pending.out" | cksum)" "$(asked "$T/pending.in" | cksum)"
"$FILTER" -c filter.ini <"$T/pending.in" 2>"$T/gone.err" | head -n 5 >/dev/null
is "a reader that goes away: ends with 1, no signal" "${PIPESTATUS[0]}" 1

# ---- the start ----
printf '[server]\nmode = often\n\n[domain x]\nmood = bad\n' >"$T/bad.ini"
"$FILTER" -c "$T/bad.ini" <"$TRACE" >"$T/bad.out" 2>"$T/bad.err"
is "bad settings at the start: refused, nothing said to smtpd" "$? $(cat "$T/bad.out")" "1 "
is "bad settings at the start: each error" "$(grep -c "^$T/bad.ini:[25]: " "$T/bad.err")" 2
is "-n: the same, and 1" "$("$FILTER" -n -c "$T/bad.ini" 2>&1 | grep -c '^/.*:[25]: ') ${PIPESTATUS[0]}" "2 0"
check "-n: 0 for good ones" "$FILTER" -n -c filter.ini
"$FILTER" --no-such-option 2>/dev/null
is "a wrong option: 2" $? 2
like "-V" "$("$FILTER" -V)" '^filter-tlsward [0-9]+\.[0-9]+'

# ---- valgrind ----
if command -v valgrind >/dev/null; then
	for in in "$TRACE" malformed.in sessions.in "$T/lengths.in"; do
		valgrind -q --leak-check=full --show-leak-kinds=all --error-exitcode=99 \
		    "$FILTER" -c filter.ini <"$in" >/dev/null 2>"$T/valgrind"
		is "valgrind: $(basename "$in")" "$? $(grep -A 12 == "$T/valgrind")" "0 "
	done
	valgrind -q --leak-check=full --show-leak-kinds=all --error-exitcode=99 \
	    --log-file="$T/valgrind" "$FILTER" -c "$T/load.ini" </dev/null 2>/dev/null
	is "valgrind: with counters" "$? $(cat "$T/valgrind")" "0 "
	"$LOAD" -n 600 -o 300 "$(command -v valgrind)" -q --leak-check=full --show-leak-kinds=all \
	    --error-exitcode=99 --log-file="$T/valgrind" "$FILTER" -c "$T/load.ini" >/dev/null 2>&1
	is "valgrind: 600 sessions, counted" "$? $(cat "$T/valgrind")" "0 "
else
	skip "valgrind" "valgrind is not installed"
fi
done_testing
