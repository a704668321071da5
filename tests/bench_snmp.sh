#!/bin/bash
# The agent beside a pass_persist script and a subagent by the book: walks by
# GETBULK of one column and of all; its memory; how long a SET takes until it
# is answered and until OpenSMTPD and Exim go by it.
. "$(dirname "$0")/bench_lib.sh"
for p in tlsward-agent filter-tlsward exim_tlsward.so tool/snmp_walk tool/set_obey tool/rival_agent; do
	[ -e "$BUILD/$p" ] || die "needs build/$p: make all tools rivals"
done
for s in snmpd opensmtpd exim-4.96; do
	[ -d "$SERVERS/$s" ] || die "needs build/servers/$s: make deps-test"
done
WALK=$BUILD/tool/snmp_walk
ROWS=100000		# of a walk at most, and of the figures
COLUMNS="2 3 4 5 6 7 11 12 13 14 16 17 18 19 20 21 30 31"
SETS=${BENCH_SETS:-100}
at_100000 snmp_walk_pass snmp_walk_bare snmp_columns agent_memory agent_memory_rss \
    set_answered set_obeyed set_create set_destroy set_key set_unset agent_peak
OURS=$BASE_OID.2553.1.5.1 BARE=$BASE_OID.2554.1.5.1.2 PASS=$BASE_OID.2555.1.5.1.2
make_state
make_cert

# rules DOMAINS PEERS: written to the INI, the names of the domains to $T/names
rules() {
	gateway "$1" "$2" "$T/mx.exim.key"
	awk -v d="$1" 'BEGIN { for (i = 0; i < d; i++) printf "d%d.example\n", i }' >"$T/names"
	chmod 0644 "$T/names"
}
below() { # OID: something answers there
	[[ $(snmpgetnext -v2c -c public -Onq -t 1 -r 0 -M "" -m "" "127.0.0.1:$SNMP_PORT" "$1" 2>/dev/null) == $1.* ]]
}
rate() { # SNMP_WALK'S ARGUMENTS: varbinds a second
	"$WALK" "$@" | sed -n 's/^rate=//p'
}
one() { rate -l $ROWS "127.0.0.1:$SNMP_PORT" 50 "$1"; }
all() { # ROWS: all columns side by side, to the end of the table or so many
	local c oids=() n
	n=$(wc -w <<<"$COLUMNS")
	for c in $COLUMNS; do oids+=("$OURS.$c"); done
	rate -l $(($1 * n)) "127.0.0.1:$SNMP_PORT" 50 "${oids[@]}"
}
up() { # [RIVALS]
	SNMPD_MORE="agentXTimeout 8"	# a SET of a million domains may take more than the 1 s there is
	[ -z "${1:-}" ] || SNMPD_MORE="$SNMPD_MORE
	    pass_persist $BASE_OID.2555 /usr/bin/perl $T/bin/rival_pass.pl $T/names"
	start_snmpd || die "no snmpd"
	start_agent || die "no agent"
	wait_for 60 below $OURS.2 || die "the agent has no rows"
	[ -n "${1:-}" ] || return 0
	start bare "$T/bin/rival_agent" "unix:$AGENTX" "$T/names"
	wait_for 20 below $BARE || die "the bare handler has no rows: $(log_of bare)"
	wait_for 20 below $PASS || die "the script has no rows: $(log_of snmpd)"
}
down() { stop bare; stop agent; stop snmpd; }

walks() { # DOMAINS
	local r runs=$BENCH_RUNS
	[ "$1" -lt $ROWS ] || runs=3
	progress "walks, $1 domains"
	rules "$1" 0
	if [ "$1" -le $ROWS ]; then up rivals; else up; fi
	rm -f "$T"/r.*
	for ((r = 0; r < runs; r++)); do
		one $OURS.2 >>"$T/r.ours"
		if [ "$1" -le $ROWS ]; then
			one $BARE >>"$T/r.bare"
			one $PASS >>"$T/r.pass"
		fi
		all $(($1 < ROWS ? $1 : ROWS)) >>"$T/r.all"
	done
	down
	point snmp_walk tlsward "$1" "$(median <"$T/r.ours")"
	point snmp_columns "tlsward, all columns" "$1" "$(median <"$T/r.all")"
	[ "$1" -le $ROWS ] || return 0
	point snmp_walk "bare handler" "$1" "$(median <"$T/r.bare")"
	point snmp_walk pass_persist "$1" "$(median <"$T/r.pass")"
	point snmp_columns "pass_persist, one column" "$1" "$(median <"$T/r.pass")"
	[ "$1" -eq $ROWS ] || return 0
	figure snmp_walk_pass "SNMP: $ROWS rows, one column, by GETBULK" "$(median <"$T/r.ours")" \
	    pass_persist "$(median <"$T/r.pass")" 1/s times 1.25
	figure snmp_walk_bare "SNMP: the same" "$(median <"$T/r.ours")" \
	    "bare handler" "$(median <"$T/r.bare")" 1/s times 1
	figure snmp_columns "SNMP: the $(wc -w <<<"$COLUMNS") columns of $ROWS rows, all in each request" "$(median <"$T/r.all")" \
	    "pass_persist, one column" "$(median <"$T/r.pass")" 1/s times 2.5
}

agent_memory() { # Pss|Rss: of all its processes, KiB
	cat $(pgrep -g "${PIDS[agent]}" | sed 's,.*,/proc/&/smaps_rollup,') | awk -v k="$1:" '$1 == k { n += $2 } END { print n }'
}
memory() { # DOMAINS, and as many peers
	progress "memory, $1 domains and peers"
	rules "$1" "$1"
	up
	one $OURS.2 >/dev/null
	one "$BASE_OID.2553.1.6.1.2" >/dev/null
	sleep 0.5
	point agent_memory tlsward "$1" "$(agent_memory Pss)"
	if [ "$1" -eq $ROWS ]; then
		figure agent_memory "agent: its processes' memory (PSS), $1 domains and as many peers" \
		    "$(agent_memory Pss)" - - KiB below 153600
		figure agent_memory_rss "the same, pages that they share counted twice (RSS)" \
		    "$(agent_memory Rss)" - - KiB shown -
	fi
	down
}

agent_peak() { # the most its processes ever had, KiB
	cat $(pgrep -g "${PIDS[agent]}" | sed 's,.*,/proc/&/status,') | awk '/^VmHWM/ { n += $2 } END { print n }'
}
# Before the next SET all processes have read what the last one made, and left a
# compiled form of it: half a second, of a million domains five.
obey() { # ROUNDS DOMAIN REQUIRE OFFER: the milliseconds of each SET
	"$BUILD/tool/set_obey" "127.0.0.1:$SNMP_PORT" "$1" "$pause" "${@:2}" "$smtpd_port" "$exim_port" ||
	    die "SET: $(log_of agent | tail -n 3)"
}
p99() { # FILE FIELD [require|offer]
	awk -v f="$2" -v only="${3:-}" 'only == "" || $3 == only { print $f }' "$1" | percentile 99
}
sets() { # DOMAINS
	local name d=$(($1 / 2)) n=$SETS pause=500 new bare peak k what id file which
	[ "$1" -eq $ROWS ] || n=20
	[ "$1" -le $ROWS ] || n=10 pause=$(($1 / 200))
	progress "SET, $1 domains"
	rules "$1" 0
	printf '[domain bare.example]\nmin_tls = 1.2\n' >>"$INI"
	name="d$d.example"
	up
	smtpd_conf "$smtpd_port" "$FILTER -c $INI" >"$T/smtpd.conf"
	exim_conf "$exim_port" "$(exim_macros)" >"$T/exim.conf"
	start_smtpd smtpd "$T/smtpd.conf" || die "no smtpd"
	start_exim exim 4.96 "$T/exim.conf" || die "no exim"
	sleep 1
	obey "$n" "$name" "$OURS.2.$(oid_of "$name")=4" "$OURS.2.$(oid_of "$name")=3" >"$T/sets"
	if [ "$1" -eq $ROWS ]; then
		# a row that is not there, in the middle; and a key that its section has not
		new=$(oid_of "d${d}x.example") bare=$(oid_of bare.example)
		obey "$n" "d${d}x.example" "$OURS.31.$new=4,$OURS.2.$new=4" "$OURS.31.$new=6" >"$T/sets.row"
		obey "$n" bare.example "$OURS.2.$bare=4" "$OURS.2.$bare=1" >"$T/sets.key"
		peak=$(agent_peak)
	fi
	stop exim
	stop smtpd
	down
	point set_answered tlsward "$1" "$(cut -d' ' -f1 "$T/sets" | percentile 99)"
	point set_obeyed tlsward "$1" "$(cut -d' ' -f2 "$T/sets" | percentile 99)"
	[ "$1" -eq $ROWS ] || return 0
	figure set_answered "SET of one row until answered, p99 of $n, $1 domains" \
	    "$(cut -d' ' -f1 "$T/sets" | percentile 99)" - - ms below 150
	figure set_obeyed "the same until both servers obey" \
	    "$(cut -d' ' -f2 "$T/sets" | percentile 99)" - - ms below 500
	for k in create:row:require destroy:row:offer key:key:require unset:key:offer; do
		case $k in
		create*) what="a row made by createAndGo with its mode" ;;
		destroy*) what="a row destroyed" ;;
		key*) what="a key set that the section had not" ;;
		unset*) what="a key taken out of its section" ;;
		esac
		IFS=: read -r id file which <<<"$k"
		figure "set_$id" "SET: $what, until answered, p99 of $((n / 2))" "$(p99 "$T/sets.$file" 1 $which)" - - ms below 150
		figure "set_${id}_obeyed" "the same until both servers obey" "$(p99 "$T/sets.$file" 2 $which)" - - ms below 500
	done
	figure agent_peak "agent: the most memory its processes had in these SETs, pages that they share counted twice" \
	    "$peak" - - KiB shown -
}

cp "$BUILD/tool/rival_agent" "$TOP/tests/rival_pass.pl" "$T/bin/"
free_port smtpd_port
free_port exim_port
for n in $BENCH_SIZES; do
	walks "$n"
	memory "$n"
	sets "$n"
done
