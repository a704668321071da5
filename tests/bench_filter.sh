#!/bin/bash
# A part of `make bench`: filter-tlsward without a server, by a player that
# talks to it as smtpd does, through a socket; beside it a filter that lets
# everything proceed, written with libopensmtpd, and an awk that only answers.
#
# Speed: 100,000 sessions (awk: 20,000), 70 % over TLS, 1,000 open at once, as fast as
# the answers come.  A filter runs for months: ours gets them twice, and the second
# time is measured, when each name has been met; the first is shown.  Pause: sessions
# begin by the clock, so few that the filter is idle nearly all the time (what an
# answer waits for is no queue but what else the filter does), while the settings
# are replaced by others of that size.
. "$(dirname "$0")/bench_lib.sh"
SESSIONS=100000
RATE=1000	# sessions a second: 1 % of the filter's time, twice what smtpd can carry
RELOADS=5
for p in filter-tlsward tool/filter_load tool/rival_filter; do
	[ -e "$BUILD/$p" ] || die "needs build/$p: make all tools rivals"
done
LOAD=$BUILD/tool/filter_load
# mawk waits for a full buffer of input unless it is told that somebody waits.
interactive=$(awk -W version 2>&1 </dev/null | grep -q mawk && echo '-W interactive')
printf '#!/bin/sh\nexec awk %s -f "%s"\n' "$interactive" "$TOP/tests/rival_filter.awk" >"$T/bin/awk_filter"
chmod +x "$T/bin/awk_filter"
make_state
memory=() pause=()
chown "$(id -u)" "$STATE/opensmtpd"

# N domains and N peers, as filter_load expects them: every second domain requires TLS.
rules() { # N FILE
	{
		printf '[server]\nmode = offer\nstate_dir = %s\n' "$STATE"
		awk -v n="$1" 'BEGIN {
			for (i = 0; i < n; i++) {
				printf "[domain d%d.example]\nmode = %s\n", i, i % 2 ? "offer" : "require"
				printf "[peer p%d.example]\nmode = offer\n", i
			} }'
	} >"$2"
}
value() { sed -n "s/^$1=//p" "$T/out"; }
load() { # OPTIONS... FILTER...: into $T/out
	"$LOAD" "$@" >"$T/out" 2>"$T/err" || die "filter_load: $(cat "$T/out") $(tail -n 3 "$T/err")"
}
speed() { # NAME N FILTER...: one more line in $T/NAME
	local name=$1 n=$2
	shift 2
	load -n $SESSIONS -o 1000 -t 70 -d "$n" -p "$n" "$@"
	value decisions_per_second >>"$T/$name"
}
ours() { speed "ours$1" "$1" -w $SESSIONS "$FILTER" -c "$T/ini$1"; }
ns() { awk "BEGIN { print 1e9 / $1 }"; }	# DECISIONS-A-SECOND
memory() { # N: KiB with 10,000 sessions open
	load -n 30000 -o 10000 -t 70 -d "$1" -p "$1" "$FILTER" -c "$T/ini$1"
	value rss_late_kib
}
# The longest wait for an answer while the settings are replaced, in ms.
pause() { # N
	local n=$1 i pid
	cp "$T/ini$n" "$INI"
	for ((i = 1; i <= RELOADS; i++)); do
		{ echo "# another, $i"; cat "$T/ini$n"; } >"$T/next.$i"
	done
	: >"$T/err"
	"$LOAD" -n 100000 -o 1000 -r $RATE -t 70 -d "$n" -p "$n" \
	    "$FILTER" -c "$INI" >"$T/out" 2>"$T/err" &
	pid=$!
	for ((i = 1; i <= RELOADS + 1; i++)); do
		wait_for 60 eval "[ \$(grep -c 'settings are in force' $T/err) -ge $i ]" ||
		    die "not reloaded: $(tail -n 3 "$T/err")"
		sleep 0.2
		[ $i -le $RELOADS ] || break
		mv "$T/next.$i" "$INI"
	done
	kill -TERM $pid
	wait $pid || die "filter_load: $(cat "$T/out") $(tail -n 3 "$T/err")"
	value worst_ms
}

sizes=$(printf '%s\n' $BENCH_SIZES 10 100000 | sort -gu)
for n in $sizes; do
	rules "$n" "$T/ini$n"
done
for ((run = 1; run <= BENCH_RUNS; run++)); do
	progress "speed, run $run of $BENCH_RUNS"
	speed lib 10 -x "$BUILD/tool/rival_filter"
	SESSIONS=20000 speed awk 10 -x "$T/bin/awk_filter"
	for n in $sizes; do
		ours "$n"
	done
	speed first 100000 "$FILTER" -c "$T/ini100000"
done
lib=$(median <"$T/lib") awk=$(median <"$T/awk")
few=$(median <"$T/ours10") many=$(median <"$T/ours100000")
figure filter_speed "filter: decisions a second" "$few" "libopensmtpd filter" "$lib" 1/s times 8
figure filter_speed_awk "filter: decisions a second" "$few" "awk that only answers" "$awk" 1/s times 1
figure filter_speed_100000 "filter: time of a decision with 100,000 domains and peers" \
    "$(ns "$many")" "with 10" "$(ns "$few")" ns most 1.2
figure filter_speed_first "filter: the same, its first $SESSIONS sessions" \
    "$(ns "$(median <"$T/first")")" "with 10" "$(ns "$few")" ns shown -
for n in $sizes; do
	progress "memory and pause, $n domains and peers"
	memory[n]=$(memory "$n")
	pause[n]=$(pause "$n")
	point filter_speed "tlsward" "$n" "$(median <"$T/ours$n")"
	point filter_speed "libopensmtpd filter" "$n" "$lib"
	point filter_speed "awk that only answers" "$n" "$awk"
	point filter_memory "tlsward" "$n" "${memory[n]}"
	point filter_pause "tlsward" "$n" "${pause[n]}"
done
figure filter_memory "filter: resident memory, 100,000 domains and peers, 10,000 sessions open" \
    "${memory[100000]}" - - KiB below 65536
figure filter_pause "filter: longest wait for an answer in $RELOADS reloads of 100,000 domains and peers" \
    "${pause[100000]}" - - ms below 20
