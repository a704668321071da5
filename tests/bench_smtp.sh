#!/bin/bash
# A part of `make bench`: SMTP sessions a second through OpenSMTPD, up to RCPT TO,
# without a filter, with one that lets everything proceed, written with
# libopensmtpd, and with filter-tlsward on 1,000 domains and peers, then on as many
# as BENCH_SIZES has.  The three servers stand side by side; the machine is also the client's.
# What a filter costs is little beside what smtpd does, and the machine is slower for
# moments and for whole seconds: so the rounds are short, one server's follows the
# other's in an order that changes, and they are compared round by round.  What counts is
# the half of the rounds in which the two differ neither most nor least: measured
# against itself, a filter comes out nearer to 1 in this way than by medians or totals.
# For the same reason smtpd and its filter have a processor and the client another:
# where they are free to move, the same filter beside itself scatters four times as
# much.  The processors' time that smtpd and filter took is shown beside the speed.
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
PER_START=8 TURNS=$((PER_START * BENCH_RUNS))	# the servers start BENCH_RUNS times
declare -A SESSIONS=([5]=30 [50]=150) ROUNDS=([5]=10 [50]=3)	# at a time: of a round, of a turn
HZ=$(getconf CLK_TCK)
# What this shell starts is where it is: the servers.
client=()
processors=$(taskset -pc $$ 2>/dev/null | sed 's/.*: //')
if [ "${processors%%[-,]*}" != "${processors##*[-,]}" ]; then
	client=(taskset -c "${processors%%[-,]*}")
	taskset -pc "${processors##*[-,]}" $$ >/dev/null || die "taskset fails"
else
	remark "OpenSMTPD: the client has no processor of its own here"
fi
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
# One listener of a configuration on standard input becomes one on each address;
# indented, for start_smtpd to wait for the first alone: it opens them all at once.
listeners() {
	awk -v all="${addresses[*]}" '!/^listen on / { print; next }
	    { n = split(all, a, " "); for (i = 1; i <= n; i++) { l = $0; sub(/127\.0\.0\.1/, a[i], l); print (i > 1 ? "\t" : "") l } }'
}
family() { # PID: it and all below it
	local p
	echo "$1"
	for p in $(pgrep -P "$1"); do family "$p"; done
}
declare -A PORT=() FAMILY=() COMMAND=([none]='' [rival]="$T/bin/rival_filter" [ours]="$FILTER -c $INI")
# All anew, for where a process comes to lie in memory makes it faster or slower by
# up to a hundredth for as long as it lives.
start_servers() {
	local f at way
	for f in none rival ours; do
		stop $f
		free_port at	# not p: free_port has one of its own
		PORT[$f]=$at
		smtpd_conf "$at" "${COMMAND[$f]}" | listeners >"$T/$f.conf"
		start_smtpd $f "$T/$f.conf" || die "smtpd does not start: $(log_of $f | tail -n 3)"
		FAMILY[$f]=$(family "${PIDS[$f]}")	# they stay as long as it does
	done
	for way in clear tls; do
		turn 0 $way 50 1 warm-up none rival ours
	done
}
each_stat() { # FILTER FILE: this of each thread of its smtpd and itself
	local p
	for p in ${FAMILY[$1]}; do
		cat /proc/$p/task/*/$2
	done
}
# Processors' time of its smtpd and itself up to now in nanoseconds; by ticks
# where the kernel does not tell it exactly.
spent() { # FILTER
	if [ -n "$exact" ]; then
		each_stat "$1" schedstat | awk '{ n += $1 } END { printf "%.0f\n", n }'
	else
		each_stat "$1" stat | awk -v hz="$HZ" '{ sub(/.*\) /, ""); n += $12 + $13 } END { printf "%.0f\n", n * 1e9 / hz }'
	fi
}
exact=1
[ "$(awk '{ print $1 }' /proc/$$/task/$$/schedstat 2>/dev/null)" -gt 0 ] 2>/dev/null || exact=

# Each FILTER in each of ROUNDS rounds.  For each round one more line in
# $T/FILTER.NAME: sessions a second; and one in all in $T/cpu.FILTER.NAME:
# nanoseconds of processors each session took.
turn() { # NUMBER WAY AT-A-TIME ROUNDS NAME FILTER...
	local run=$1 way=$2 n=$3 rounds=$4 name=$5 each=${SESSIONS[$3]} i f
	local -A earlier
	shift 5
	local filters=("$@") options=("${addresses[@]/#/-a}")
	for ((i = 0; i < $#; i++)); do	# another begins each time
		f=${filters[(run + i) % $#]}
		earlier[$f]=$(spent $f)
		options+=(-p "${PORT[$f]}")
	done
	[ $way = clear ] || options+=(-s)
	"${client[@]}" "$BUILD/tool/smtp_load" -r $rounds -n $each -c $n "${options[@]}" \
	    -f someone@p%u.example -t someone@d%u.example >"$T/out" 2>"$T/err" ||
	    die "smtp_load: $(tail -n 3 "$T/err")"
	[ "$(sed -n 's/^refused=//p' "$T/out")" = 0 ] || die "mail was refused: $(log_of ours | tail -n 3)"
	for f; do
		awk -v port="round=${PORT[$f]}" -v n=$each '$1 == port { print n / $2 }' "$T/out" >>"$T/$f.$name"
		echo $((($(spent $f) - earlier[$f]) / each / rounds)) >>"$T/cpu.$f.$name"
	done
}
mean_us() { awk '{ n += $1 } END { print n / NR / 1000 }'; }	# nanoseconds, one a line
# Sessions a second of ours and of the other in the half of the rounds where the two
# differ neither most nor least; two standard errors of this ratio (of a trimmed
# mean, by the winsorized variance); the ratio in all rounds together.
beside() { # FILTER NAME
	paste "$T/ours.$2" "$T/$1.$2" | awk '{ print $1 / $2, $1, $2 }' | sort -g | awk '
	    { ratio[NR] = $1; ours[NR] = 1 / $2; theirs[NR] = 1 / $3; all_ours += 1 / $2; all_theirs += 1 / $3 }
	    END {
		cut = int(NR / 4); kept = NR - 2 * cut
		for (i = 1; i <= NR; i++) {
			r = ratio[i <= cut ? cut + 1 : i > NR - cut ? NR - cut : i]
			sum += r; squares += r * r
			if (i > cut && i <= NR - cut) { a += ours[i]; b += theirs[i] }
		}
		error = sqrt((squares - sum * sum / NR) / (NR - 1) / NR) * NR / kept
		printf "%.1f %.1f %.3f %.3f\n", kept / a, kept / b, 2 * error, all_theirs / all_ours
	    }'
}
for ((run = 1; run <= TURNS; run++)); do
	[ $((run % PER_START)) -ne 1 ] || start_servers
	progress "turn $run of $TURNS"
	for way in clear tls; do
		for n in 5 50; do
			turn $run $way $n ${ROUNDS[$n]} $way.$n rival ours
			[ $((run % PER_START)) -ne 0 ] || turn $((run / PER_START)) $way $n ${ROUNDS[$n]} $way.$n.none none ours
		done
	done
done
for way in clear tls; do
	for n in 5 50; do
		what="OpenSMTPD: sessions a second, $n at a time, $([ $way = tls ] && echo "over TLS" || echo "in clear")"
		read -r ours theirs error all < <(beside rival $way.$n)
		figure "smtp_${way}_$n" "$what" "$ours" "libopensmtpd filter" "$theirs" 1/s times 1
		remark "$what: this ratio is known to +-$error (two standard errors, by how the rounds differ); the numbers are those of the half of $((TURNS * ROUNDS[$n])) rounds of ${SESSIONS[$n]} sessions where the two differ neither most nor least; in all rounds it is $all"
		read -r ours theirs error all < <(beside none $way.$n.none)
		figure "smtp_${way}_${n}_none" "$what" "$ours" "no filter" "$theirs" 1/s shown -
		figure "smtp_${way}_${n}_cpu" "$what: processors' time of a session, smtpd's and the filter's" \
		    "$(mean_us <"$T/cpu.ours.$way.$n")" "libopensmtpd filter" "$(mean_us <"$T/cpu.rival.$way.$n")" us shown -
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
			turn $run $way 5 3 $way.size-$n none rival ours
		done
	done
	for way in clear tls; do
		point smtp_$way "filter-tlsward" "$n" "$(median <"$T/ours.$way.size-$n")"
		point smtp_$way "libopensmtpd filter" "$n" "$(median <"$T/rival.$way.size-$n")"
		point smtp_$way "no filter" "$n" "$(median <"$T/none.$way.size-$n")"
	done
done
