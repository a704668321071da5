#!/bin/bash
# A part of `make bench`: SMTP sessions a second through OpenSMTPD, up to RCPT TO,
# without a filter, with one that lets everything proceed, written with
# libopensmtpd, and with filter-tlsward on 1,000 domains and peers, then on as many
# as BENCH_SIZES has.  The three servers stand side by side; the machine is also the client's.
# smtpd is the bottleneck, and what a filter costs is little beside it: so the runs
# are short and many, in turns of another order each time, and how far apart two of
# the same turn are is said.  What else the machine does falls on all, but not
# evenly; less on the time of the processors that smtpd and filter took, which is shown.
# The spools are in memory: on a disk a session takes the
# longer, the more files have come and gone before (ext4 looks for an inode that was
# not freed just now), up to three times as long, whatever the filter.
# smtpd has a backlog of 5 for each listener, so each server has ten, and no more
# than 5 clients come to one of them at a time.
. "$(dirname "$0")/bench_lib.sh"
need_servers opensmtpd
for p in filter-tlsward tool/smtp_load tool/rival_filter; do
	[ -e "$BUILD/$p" ] || die "needs build/$p: make all tools rivals"
done
cp "$BUILD/tool/rival_filter" "$T/bin/"
SESSIONS=${SESSIONS:-300}
TURNS=$((5 * BENCH_RUNS))
HZ=$(getconf CLK_TCK)
export SPOOL_IN_MEMORY=1
make_cert
make_state
settings() { # DOMAINS, and as many peers
	{
		printf '[server]\nmode = offer\nstate_dir = %s\n' "$STATE"
		awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++)
		    printf "[domain d%d.example]\nmode = offer\n[peer p%d.example]\nmode = offer\n", i, i }'
	} | write_ini
}
settings 1000

addresses=(127.0.0.{1..10})
# One listener of a configuration on standard input becomes one on each address.
listeners() {
	awk -v all="${addresses[*]}" '!/^listen on / { print; next }
	    { n = split(all, a, " "); for (i = 1; i <= n; i++) { l = $0; sub(/127\.0\.0\.1/, a[i], l); print l } }'
}
family() { # PID: it and all below it
	local p
	echo "$1"
	for p in $(pgrep -P "$1"); do family "$p"; done
}
declare -A PORT=() STATS=() COMMAND=([none]='' [rival]="$T/bin/rival_filter" [ours]="$FILTER -c $INI")
for f in none rival ours; do
	free_port at	# not p: free_port has one of its own
	PORT[$f]=$at
	smtpd_conf "$at" "${COMMAND[$f]}" | listeners >"$T/$f.conf"
	start_smtpd $f "$T/$f.conf" || die "smtpd does not start: $(log_of $f | tail -n 3)"
	STATS[$f]=$(family "${PIDS[$f]}" | sed 's,.*,/proc/&/stat,')	# they stay as long as it does
done
spent() { # FILTER: processors' time of its smtpd and itself up to now, in ticks
	# shellcheck disable=SC2086
	awk '{ sub(/.*\) /, ""); n += $12 + $13 } END { print n }' ${STATS[$1]}
}

# One more line in $T/FILTER.WAY.AT-A-TIME (of a size: $T/FILTER.WAY.SIZE): sessions a
# second; and in $T/cpu.FILTER.WAY.AT-A-TIME: microseconds of processors each took.
measure() { # FILTER WAY AT-A-TIME [SIZE]
	local options=("${addresses[@]/#/-a}") before
	before=$(spent "$1")
	[ "$2" = clear ] || options+=(-s)
	"$BUILD/tool/smtp_load" -p "${PORT[$1]}" -n "$SESSIONS" -c "$3" "${options[@]}" \
	    -f someone@p%u.example -t someone@d%u.example >"$T/out" 2>"$T/err" ||
	    die "smtp_load: $(tail -n 3 "$T/err")"
	[ "$(sed -n 's/^refused=//p' "$T/out")" = 0 ] || die "mail was refused: $(log_of "$1" | tail -n 3)"
	sed -n 's/^sessions_per_second=//p' "$T/out" >>"$T/$1.$2.${4:-$3}"
	echo $((($(spent "$1") - before) * 1000000 / HZ / SESSIONS)) >>"$T/cpu.$1.$2.${4:-$3}"
}
orders=("none rival ours" "ours rival none" "rival ours none" "none ours rival" "ours none rival" "rival none ours")
turn() { # NUMBER WAY AT-A-TIME [SIZE]: each of them once
	local f
	for f in ${orders[$1 % ${#orders[@]}]}; do
		measure "$f" "${@:2}"
	done
}
mean() { awk '{ n += $1 } END { print n / NR }'; }	# a tick is long beside a turn
spread() { # WAY.AT-A-TIME: quartiles of ours over the rival's, turn by turn
	paste "$T/ours.$1" "$T/rival.$1" | awk '{ print $1 / $2 }' >"$T/ratios"
	printf '%.3f to %.3f' "$(percentile 25 <"$T/ratios")" "$(percentile 75 <"$T/ratios")"
}
for ((run = 1; run <= TURNS; run++)); do
	progress "turn $run of $TURNS"
	for way in clear tls; do
		for n in 5 50; do
			turn $run $way $n
		done
	done
done
for way in clear tls; do
	for n in 5 50; do
		what="OpenSMTPD: sessions a second, $n at a time, $([ $way = tls ] && echo "over TLS" || echo "in clear")"
		ours=$(median <"$T/ours.$way.$n")
		figure "smtp_${way}_$n" "$what" "$ours" "libopensmtpd filter" "$(median <"$T/rival.$way.$n")" 1/s times 1
		figure "smtp_${way}_${n}_none" "$what" "$ours" "no filter" "$(median <"$T/none.$way.$n")" 1/s shown -
		figure "smtp_${way}_${n}_cpu" "$what: processors' time of a session, smtpd's and the filter's" \
		    "$(mean <"$T/cpu.ours.$way.$n")" "libopensmtpd filter" "$(mean <"$T/cpu.rival.$way.$n")" us shown -
		remark "$what: in half of the $TURNS turns ours is $(spread $way.$n) of the libopensmtpd filter beside it"
	done
done

# ---- does it grow? ----

loads() { grep -c 'settings are in force' "$T/ours.log"; }
for n in $BENCH_SIZES; do
	progress "$n domains and peers"
	before=$(loads)
	settings "$n"
	wait_for 60 eval "[ \$(loads) -gt $before ]" || die "$n domains are not read"
	for ((run = 1; run <= BENCH_RUNS; run++)); do
		for way in clear tls; do
			turn $run $way 5 "size-$n"
		done
	done
	for way in clear tls; do
		point smtp_$way "filter-tlsward" "$n" "$(median <"$T/ours.$way.size-$n")"
		point smtp_$way "libopensmtpd filter" "$n" "$(median <"$T/rival.$way.size-$n")"
		point smtp_$way "no filter" "$n" "$(median <"$T/none.$way.size-$n")"
	done
done
