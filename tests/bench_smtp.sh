#!/bin/bash
# A part of `make bench`: SMTP sessions a second through OpenSMTPD, up to RCPT TO,
# without a filter, with one that lets everything proceed, written with
# libopensmtpd, and with filter-tlsward on 1,000 domains and peers, then on as many
# as BENCH_SIZES has.  The three servers stand side by side and take turns; the machine is also the client's.
# smtpd has a backlog of 5 for each listener, so each server has ten, and no more
# than 5 clients come to one of them at a time.
. "$(dirname "$0")/bench_lib.sh"
need_servers opensmtpd
for p in filter-tlsward tool/smtp_load tool/rival_filter; do
	[ -e "$BUILD/$p" ] || die "needs build/$p: make all tools rivals"
done
cp "$BUILD/tool/rival_filter" "$T/bin/"
SESSIONS=${SESSIONS:-500}
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
declare -A PORT=() COMMAND=([none]='' [rival]="$T/bin/rival_filter" [ours]="$FILTER -c $INI")
for f in none rival ours; do
	free_port at	# not p: free_port has one of its own
	PORT[$f]=$at
	smtpd_conf "$at" "${COMMAND[$f]}" | listeners >"$T/$f.conf"
	start_smtpd $f "$T/$f.conf" || die "smtpd does not start: $(log_of $f | tail -n 3)"
done

# One more line in $T/FILTER.WAY.AT-A-TIME (of a size: $T/FILTER.WAY.SIZE): sessions a second.
measure() { # FILTER WAY AT-A-TIME [SIZE]
	local options=("${addresses[@]/#/-a}")
	[ "$2" = clear ] || options+=(-s)
	"$BUILD/tool/smtp_load" -p "${PORT[$1]}" -n "$SESSIONS" -c "$3" "${options[@]}" \
	    -f someone@p%u.example -t someone@d%u.example >"$T/out" 2>"$T/err" ||
	    die "smtp_load: $(tail -n 3 "$T/err")"
	[ "$(sed -n 's/^refused=//p' "$T/out")" = 0 ] || die "mail was refused: $(log_of "$1" | tail -n 3)"
	sed -n 's/^sessions_per_second=//p' "$T/out" >>"$T/$1.$2.${4:-$3}"
}
for ((run = 1; run <= BENCH_RUNS; run++)); do
	progress "run $run of $BENCH_RUNS"
	for way in clear tls; do
		for n in 5 50; do
			for f in none rival ours; do
				measure $f $way $n
			done
		done
	done
done
for way in clear tls; do
	for n in 5 50; do
		what="OpenSMTPD: sessions a second, $n at a time, $([ $way = tls ] && echo "over TLS" || echo "in clear")"
		ours=$(median <"$T/ours.$way.$n")
		figure "smtp_${way}_$n" "$what" "$ours" "libopensmtpd filter" "$(median <"$T/rival.$way.$n")" 1/s times 1
		figure "smtp_${way}_${n}_none" "$what" "$ours" "no filter" "$(median <"$T/none.$way.$n")" 1/s shown -
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
			for f in none rival ours; do
				measure $f $way 5 "size-$n"
			done
		done
	done
	for way in clear tls; do
		point smtp_$way "filter-tlsward" "$n" "$(median <"$T/ours.$way.size-$n")"
		point smtp_$way "libopensmtpd filter" "$n" "$(median <"$T/rival.$way.size-$n")"
		point smtp_$way "no filter" "$n" "$(median <"$T/none.$way.size-$n")"
	done
done
