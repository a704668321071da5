#!/bin/bash
# A part of `make bench`: filter-tlsward without a server, by a player that
# talks to it as smtpd does, through a socket; beside it a filter that lets
# everything proceed, written with libopensmtpd, and an awk that only answers.
#
# Speed: 100,000 sessions (awk: 20,000), 70 % over TLS, 1,000 open at once, as fast as
# the answers come.  A filter runs for months: ours gets them twice, and the second
# time is what is judged, when each name has its row of counters; the first, with an
# empty folder of counters, is shown.  Pause: sessions
# begin by the clock, so few that the filter is idle nearly all the time (what an
# answer waits for is no queue but what else the filter does), while the settings
# are replaced by others of that size.  The same is shown under full load, where
# answers wait for one another too, and so is the most memory that took, with 10,000
# sessions open.
. "$(dirname "$0")/bench_lib.sh"
SESSIONS=100000
RATE=1000	# sessions a second: 1 % of the filter's time, twice what smtpd can carry
RELOADS=5
for p in filter-tlsward tool/filter_load tool/rival_filter; do
	[ -e "$BUILD/$p" ] || die "needs build/$p: make all tools rivals"
done
LOAD=$BUILD/tool/filter_load
# mawk waits for a full buffer of input unless it is told that somebody waits.
awks=()
for a in mawk gawk; do	# whichever there are: the faster one counts
	command -v $a >/dev/null || continue
	awks+=($a)
	printf '#!/bin/sh\nexec %s %s -f "%s"\n' $a "$([ $a = gawk ] || echo '-W interactive')" \
	    "$TOP/tests/rival_filter.awk" >"$T/bin/$a"
	chmod +x "$T/bin/$a"
done
[ ${#awks[@]} -gt 0 ] || die "needs mawk or gawk"
make_state
memory=() pause=() loaded=() peak=() after=()
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
counters=$STATE/opensmtpd/counters
first() { # N: with no row yet
	rm -f "$counters"
	speed "first$1" "$1" "$FILTER" -c "$T/ini$1"
}
ours() { speed "ours$1" "$1" -w $SESSIONS "$FILTER" -c "$T/ini$1"; }
ns() { awk "BEGIN { print 1e9 / $1 }"; }	# DECISIONS-A-SECOND
memory() { # N: KiB with 10,000 sessions open
	load -n 30000 -o 10000 -t 70 -d "$1" -p "$1" "$FILTER" -c "$T/ini$1"
	value rss_late_kib
}
# The longest wait for an answer while the settings are replaced, in ms, and the
# memory that the filter has then and has had at most, in KiB.
pause() { # N RATE OPEN RELOADS
	local n=$1 RELOADS=$4 i pid used
	cp "$T/ini$n" "$INI"
	for ((i = 1; i <= RELOADS; i++)); do
		{ echo "# another, $i"; cat "$T/ini$n"; } >"$T/next.$i"
	done
	: >"$T/err"
	"$LOAD" -n 3000000 -o "$3" -r "$2" -t 70 -d "$n" -p "$n" \
	    "$FILTER" -c "$INI" >"$T/out" 2>"$T/err" &
	pid=$!
	for ((i = 1; i <= RELOADS + 1; i++)); do
		wait_for 60 eval "[ \$(grep -c 'settings are in force' $T/err) -ge $i ]" ||
		    die "not reloaded: $(tail -n 3 "$T/err")"
		sleep 0.2
		[ $i -le $RELOADS ] || break
		mv "$T/next.$i" "$INI"
	done
	# its own memory; the file of counters, mapped and shared, comes on top in the peak
	used=$(awk '/^RssAnon|^VmHWM/ { print $1, $2 }' "/proc/$(pgrep -P $pid)/status" | sort | cut -d' ' -f2 | xargs)
	kill -TERM $pid
	wait $pid || die "filter_load: $(cat "$T/out") $(tail -n 3 "$T/err")"
	echo "$(value worst_ms) $used"
}

sizes=$(printf '%s\n' $BENCH_SIZES 10 100000 | sort -gu)
for n in $sizes; do
	rules "$n" "$T/ini$n"
done
for ((run = 1; run <= BENCH_RUNS; run++)); do
	progress "speed, run $run of $BENCH_RUNS"
	speed lib 10 -x "$BUILD/tool/rival_filter"
	for a in "${awks[@]}"; do
		SESSIONS=20000 speed $a 10 -x "$T/bin/$a"
	done
	for n in $sizes; do
		ours "$n"
	done
	for n in 10 100000; do
		first $n
	done
done
lib=$(median <"$T/lib") awk=0
for a in "${awks[@]}"; do
	is=$(median <"$T/$a")
	[ "$is" -le "$awk" ] || awk=$is awk_name=$a
done
few=$(median <"$T/ours10") many=$(median <"$T/ours100000")
figure filter_speed "filter: decisions a second" "$few" "libopensmtpd filter" "$lib" 1/s times 8
figure filter_speed_awk "filter: decisions a second" "$few" "$awk_name that only answers" "$awk" 1/s times 1
figure filter_speed_100000 "filter: time of a decision with 100,000 domains and peers, each met before" \
    "$(ns "$many")" "with 10" "$(ns "$few")" ns most 1.2
figure filter_speed_first "filter: the same, its first $SESSIONS sessions, counters empty: a row is made for each name" \
    "$(ns "$(median <"$T/first100000")")" "with 10, the first as well" "$(ns "$(median <"$T/first10")")" ns shown -
for n in $sizes; do
	progress "memory and pause, $n domains and peers"
	rm -f "$counters"
	memory[n]=$(memory "$n")
	"$TLSWARD" -c "$T/ini$n" status --json | sed -n '/"other"/,/}/p' |
	    grep -Eq '"(clear|tls|refused)": [1-9]' &&
	    remark "filter: of $n domains and peers not all have a row of counters, the file is full: decisions about the others are counted under \"other\", which is what was measured"
	read -r pause[n] _ <<<"$(pause "$n" $RATE 1000 $RELOADS)"
	[ "$n" != 100000 ] || read -r loaded[n] after[n] peak[n] <<<"$(pause "$n" 10000000 10000 8)"
	point filter_speed "tlsward" "$n" "$(median <"$T/ours$n")"
	point filter_speed "libopensmtpd filter" "$n" "$lib"
	point filter_speed "awk that only answers" "$n" "$awk"
	point filter_memory "tlsward" "$n" "${memory[n]}"
	point filter_pause "tlsward" "$n" "${pause[n]}"
done
figure filter_memory "filter: resident memory, 100,000 domains and peers, 10,000 sessions open" \
    "${memory[100000]}" - - KiB below 65536
figure filter_memory_reloads "filter: its own memory after 8 reloads of them under full load, counters not included" \
    "${after[100000]}" - - KiB below 65536
figure filter_memory_peak "filter: the most that was resident in those, with what is touched of the counters" "${peak[100000]}" - - KiB shown -
figure filter_pause "filter: longest wait for an answer in $RELOADS reloads of 100,000 domains and peers" \
    "${pause[100000]}" - - ms below 20
figure filter_pause_loaded "filter: the same under full load, 10,000 sessions open, 8 reloads: waiting in the queue included" \
    "${loaded[100000]}" "1,000 sessions a second" "${pause[100000]}" ms shown -
