#!/bin/bash
# The part of `make bench` about the Exim module: verdicts in a real Exim beside
# its own lookups of as many keys, timed around the expansion (exim_time.c).
# As conf/exim-tlsward.conf has it the daemon has loaded module and settings for
# its children; the first figures are those of a process that has to do both: one
# that was just started, and a child of a daemon that has nothing ready.
. "$(dirname "$0")/bench_lib.sh"
need_root
need_cmd cdb
for p in exim_tlsward.so exim_tlsward_read.so tool/exim_time.so tool/rival_module.so tool/smtp_load servers/exim-4.96; do
	[ -e "$BUILD/$p" ] || die "needs build/$p: make all tools"
done
EXIM=$SERVERS/exim-4.96/usr/sbin/exim4
TIME=$T/bin/exim_time.so
LSEARCH_MAX=100000
at_100000 exim_first exim_first_lsearch exim_forked exim_forked_empty exim_child exim_second exim_later exim_exec
cp "$BUILD/tool/exim_time.so" "$BUILD/tool/rival_module.so" "$T/bin/"
make_state
chown "$(id -u)" "$STATE/exim"		# -be is whoever calls it
free_port PORT
exim_conf "$PORT" >"$T/exim.conf"
mkdir -p "$T/exim-$PORT"

OURS="\${dlfunc{$MODULE}{tlsward_rcpt}{$INI}{192.0.2.1|25|198.51.100.7|n|client.example}{TLS1.3|256|1|x}{}{a@partner.example}{b@d#.example}}"
CDB="\${lookup{d#.example}cdb{$T/keys.cdb}}"
EMPTY=${OURS/"$MODULE"/$T/bin/rival_module.so}
EMPTY=${EMPTY/tlsward_rcpt/rival_rcpt}
LSEARCH="\${lookup{d#.example}lsearch{$T/keys.txt}}"

be() { # EXPRESSION...: a line each
	printf '%s\n' "$@" | "$EXIM" -C "$T/exim.conf" -be 2>"$T/be.err" | sed 's/^> *//;/^$/d'
}
number() { # as be; an answer that is not a number ends it all
	local out
	out=$(be "$@" | tail -n 1)
	[[ $out =~ ^[0-9.]+$ ]] || die "exim -be: $out $(tail -n 2 "$T/be.err")"
	echo "$out"
}
timed() { # once|forked|later RUN|RUNS DOMAINS WANTED EXPANSION [BEFORE]
	number ${6:+"$6"} "\${dlfunc{$TIME}{exim_time_$1}{$2}{$3}{$4}{\\N$5\\N}}"
}
keys() { # DOMAINS: the settings, and the same in a cdb and in a text
	write_ini <<-END
	[server]
	mode = offer
	state_dir = $STATE
	$(awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) printf "[domain d%d.example]\nmode = require\n", i }')
	END
	awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) printf "d%d.example require\n", i }' |
	    cdb -c -m -t "$T/keys.tmp" "$T/keys.cdb" || die "cdb failed"
	awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) printf "d%d.example: require\n", i }' >"$T/keys.txt"
	sleep 0.3	# an INI has a compiled form once it has been left alone
	timed forked 1 "$1" accept "$OURS" >/dev/null
}
wall() { # EXPRESSION: what `exim -be` takes, in microseconds
	local from=${EPOCHREALTIME/./}
	be "$1" >/dev/null
	echo $((${EPOCHREALTIME/./} - from))
}
preload="\${dlfunc{$MODULE}{tlsward_preload}{$INI}{0}}"
measure() { # DOMAINS: medians in got[]
	local run k
	rm -f "$T"/us.*
	for ((run = 1; run <= BENCH_RUNS; run++)); do
		for ((k = 1; k <= 21; k++)); do
			timed once $((21 * run + k)) "$1" accept "$OURS" >>"$T/us.first"
			timed once $((21 * run + k)) "$1" require "$CDB" >>"$T/us.first_cdb"
		done
		timed forked 51 "$1" accept "$OURS" >>"$T/us.forked"
		timed forked 51 "$1" require "$CDB" >>"$T/us.forked_cdb"
		timed forked 51 "$1" accept "$EMPTY" >>"$T/us.forked_empty"
		timed forked 51 "$1" accept "$OURS" "$preload" >>"$T/us.child"
		timed later 2000 "$1" accept "$OURS" >>"$T/us.later"
		timed later 2000 "$1" require "$CDB" >>"$T/us.later_cdb"
		for ((k = 0; k < 11; k++)); do		# each in an Exim of its own
			timed later 1 "$1" accept "$OURS" >>"$T/us.second"
			timed later 1 "$1" require "$CDB" >>"$T/us.second_cdb"
		done
		[ "$1" -le $LSEARCH_MAX ] || continue
		for ((k = 1; k <= 5; k++)); do
			timed once $((5 * run + k)) "$1" require "$LSEARCH" >>"$T/us.first_lsearch"
		done
		timed later 5 "$1" require "$LSEARCH" >>"$T/us.later_lsearch"
	done
	for k in "$T"/us.*; do
		got[${k##*.}]=$(median <"$k")
	done
}

declare -A got=()
for n in $BENCH_SIZES; do
	progress "$n domains"
	keys "$n"
	got=()
	measure "$n"
	point exim_first tlsward "$n" "${got[first]}"
	point exim_first cdb "$n" "${got[first_cdb]}"
	point exim_later tlsward "$n" "${got[later]}"
	point exim_later cdb "$n" "${got[later_cdb]}"
	if [ "$n" -le $LSEARCH_MAX ]; then
		point exim_first lsearch "$n" "${got[first_lsearch]}"
		point exim_later lsearch "$n" "${got[later_lsearch]}"
	fi
	[ "$n" = 100000 ] || continue
	what="100,000 domains"
	figure exim_first "Exim: one verdict in a fresh process, $what: module, settings, decision" \
	    "${got[first]}" "cdb lookup" "${got[first_cdb]}" us within 100
	figure exim_first_lsearch "Exim: the same" "${got[first]}" "lsearch" "${got[first_lsearch]}" us shown -
	figure exim_forked "Exim: the same in a child that a daemon without any of it has forked" \
	    "${got[forked]}" "cdb lookup" "${got[forked_cdb]}" us shown -
	figure exim_forked_empty "Exim: the same" "${got[forked]}" "a module that only answers" "${got[forked_empty]}" us shown -
	figure exim_child "Exim: the same in a child of a daemon that has preloaded" \
	    "${got[child]}" "cdb lookup" "${got[forked_cdb]}" us shown -
	figure exim_second "Exim: the second verdict in a process, $what, alone" "${got[second]}" \
	    "the second cdb lookup" "${got[second_cdb]}" us most 1.0
	figure exim_later "Exim: the verdicts 2 to 2001 in a process, $what, the median" "${got[later]}" "cdb lookup" \
	    "${got[later_cdb]}" us shown -
	rm -f "$T/us.exec"*
	for ((i = 0; i < 40; i++)); do
		wall "${OURS/\#/$i}" >>"$T/us.exec"
		wall "${CDB/\#/$i}" >>"$T/us.exec_cdb"
	done
	figure exim_exec "Exim: exim -be with one verdict, from its exec to its end, $what" \
	    "$(median <"$T/us.exec")" "with one cdb lookup" "$(median <"$T/us.exec_cdb")" us shown -
done

# ---- messages through a daemon, in clear and over TLS, 5 clients at a time ----
MESSAGES=${MESSAGES:-200}
make_cert
declare -A port=()
for c in without with kept; do
	free_port at
	port[$c]=$at
done
# What all have; with the macros the certificate is theirs to name: by what the
# settings say at each session, or (kept) by TLSWARD_CERTIFICATE, as a file that
# Exim keeps in memory, which it does without the macros.
plain="tls_advertise_hosts = *
tls_certificate = $CERT
tls_privatekey = $T/mx.exim.key
acl_smtp_rcpt = accept"
daemons() { # DOMAINS: with settings of their own
	local c lines
	rm -rf "$STATE"		# what -be has left is its caller's
	make_state
	write_ini <<-END
	[server]
	mode = offer
	certificate = mx
	state_dir = $STATE
	[certificate mx]
	file = $CERT
	key = $T/mx.exim.key
	$(awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) printf "[domain d%d.example]\nmode = offer\n", i }')
	END
	for c in without with kept; do
		lines=$plain
		[ $c = without ] || lines=$(exim_macros)
		[ $c != kept ] || lines="TLSWARD_CERTIFICATE = $CERT
TLSWARD_KEY = $T/mx.exim.key
$lines"
		exim_conf "${port[$c]}" "$lines" >"$T/$c.conf"
		start_exim $c 4.96 "$T/$c.conf" || die "exim does not start"
	done
}
messages() { # with|without|kept clear|tls: a second
	local tls=()
	[ "$2" = clear ] || tls=(-s)
	"$BUILD/tool/smtp_load" -p "${port[$1]}" -n "$MESSAGES" -c 5 -d 1000 -q "${tls[@]}" -t someone@d%u.example \
	    >"$T/out" 2>"$T/err" || die "smtp_load: $(tail -n 3 "$T/err") $(exim_log "${port[$1]}" | tail -n 3)"
	grep -q '^refused=0$' "$T/out" || die "mail was refused: $(exim_log "${port[$1]}" | tail -n 3)"
	sed -n 's/^sessions_per_second=//p' "$T/out"
}
# The figures' two sizes are measured whatever BENCH_SIZES has.
for n in $(printf '%s\n' $BENCH_SIZES 1000 100000 | sort -gu); do
	daemons "$n"
	rm -f "$T"/messages.*
	runs=$BENCH_RUNS
	[ "$n" != 1000 ] && [ "$n" != 100000 ] || runs=$((2 * BENCH_RUNS))
	for ((run = 0; run <= runs; run++)); do
		progress "messages, $n domains, run $run of $runs"
		for way in clear tls; do
			for c in without with kept; do
				[ $c$way != keptclear ] || continue
				messages $c $way >"$T/one" || exit 1
				[ $run = 0 ] || cat "$T/one" >>"$T/messages.$c.$way"	# the first is to warm up
			done
		done
	done
	stop with
	stop without
	stop kept
	for way in clear tls; do
		with=$(median <"$T/messages.with.$way") without=$(median <"$T/messages.without.$way")
		point exim_messages "$way, with the macros" "$n" "$with"
		point exim_messages "$way, without" "$n" "$without"
		[ "$n" = 1000 ] || [ "$n" = 100000 ] || continue
		what="Exim: messages a second, 5 at a time, 1 kB,"
		if [ $way = clear ]; then
			figure "exim_messages_clear_$n" "$what in clear, $n domains" \
			    "$with" "without the macros" "$without" 1/s times 0.98
			continue
		fi
		kept=$(median <"$T/messages.kept.tls")
		figure "exim_messages_tls_$n" "$what over TLS, $n domains, TLSWARD_CERTIFICATE set" \
		    "$kept" "without the macros, one certificate" "$without" 1/s times 0.98
		figure "exim_messages_tls_each_$n" "Exim: the same, the certificate looked up and read for each session" \
		    "$with" "without the macros, one certificate" "$without" 1/s shown -
	done
done
