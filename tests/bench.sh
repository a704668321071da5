#!/bin/bash
# `make bench`: what tlsward costs beside what one would use instead.  Runs
# tests/bench_*.sh (PARTS="filter exim": only those), prints their figures as
# ratios with both numbers (or with the limit) and draws how each grows with the number of domains,
# build/bench_*.svg.  JSON=1 prints one JSON object instead of the table.
# Ends with 1 if a part could not be measured, never for a figure.
. "$(dirname "$0")/bench_lib.sh"
GRAPHS=(
	"filter_speed|filter: decisions a second|1/s"
	"filter_memory|filter: resident memory, 10,000 sessions open|KiB"
	"filter_pause|filter: longest pause while it reloads, 1,000 sessions a second|ms"
	"exim_first|Exim: one verdict in a fresh process|us"
	"exim_later|Exim: the next verdict in the process|us"
	"exim_messages|Exim: messages a second, 5 at a time|1/s"
	"smtp_clear|OpenSMTPD: sessions a second in clear, 5 at a time|1/s"
	"smtp_tls|OpenSMTPD: sessions a second over TLS, 5 at a time|1/s"
	"snmp_walk|SNMP: rows a second, GETBULK of one column|1/s"
	"snmp_columns|SNMP: varbinds a second, all columns at once|1/s"
	"agent_memory|agent: resident memory|KiB"
	"set_answered|SNMP SET until answered, 99th percentile|ms"
	"set_obeyed|SNMP SET until both servers obey, 99th percentile|ms"
	"check|tlsward check|ms"
	"explain|tlsward explain|ms"
)
LINES_FILE=$T/lines
parts=${PARTS:-$(cd "$TOP/tests" && ls bench_*.sh | sed -n 's/^bench_\(.*\)\.sh$/\1/p' | grep -vx lib)}
bad=

for p in $parts; do
	echo "bench: $p ..." >&2
	from=$SECONDS
	if "$TOP/tests/bench_$p.sh" >"$T/$p.lines"; then
		echo "bench: $p done in $((SECONDS - from)) s" >&2
	else
		bad="$bad $p"
		echo "bench: $p failed: what it measured before is kept" >&2
	fi
	grep -E $'^(figure|point|note)\t' "$T/$p.lines" >>"$LINES_FILE"
done

# FORMAT table or json: the figures, each with its ratio and whether that is reached.
layout() {
	awk -F'\t' -v format="$1" '
	function number(x) { return x >= 1000 ? sprintf("%.0f", x) : x >= 10 ? sprintf("%.1f", x) : sprintf("%.3g", x) }
	function quoted(s) { gsub(/["\\]/, "\\\\&", s); return "\"" s "\"" }
	$1 == "figure" {
		id = $2; what = $3; ours = $4; against = $5; theirs = $6; unit = $7; how = $8; reach = $9
		if (how == "below" && theirs == "-") { against = "limit"; theirs = reach }
		ratio = theirs != "-" && theirs + 0 > 0 ? ours / theirs : "-"
		met = "-"
		if (how == "times") met = ratio >= reach + 0
		else if (how == "most") met = ratio <= reach + 0
		else if (how == "within") met = ours - theirs <= reach + 0
		else if (how == "below") met = ours + 0 <= reach + 0
		if (format == "json") {
			printf "%s\n    {\"id\": %s, \"what\": %s, \"ours\": %s, \"unit\": %s", sep, quoted(id), quoted(what),
			    ours, quoted(unit)
			if (theirs != "-")
				printf ", \"against\": %s, \"theirs\": %s", quoted(against), theirs
			if (ratio != "-") printf ", \"ratio\": %.4g", ratio
			if (met != "-")
				printf ", \"how\": %s, \"reach\": %s, \"reached\": %s", quoted(how), reach, met ? "true" : "false"
			printf "}"
			sep = ","
			next
		}
		printf "%s\n", what
		printf "    %s %s", number(ours), unit
		if (theirs != "-") printf "   %s: %s %s", against, number(theirs), unit
		if (ratio != "-") printf "   ratio %.3g", ratio
		if (met != "-") {
			if (how == "within") printf "   wanted: %s %s more at most", reach, unit
			else if (how == "below") printf "   wanted: %s %s at most", reach, unit
			else printf "   wanted: %s%s", how == "times" ? "" : "at most ", reach
			printf "%s", met ? "" : "   NOT REACHED"
		}
		printf "\n"
	}' "$LINES_FILE"
}
draw() { # GRAPH TITLE UNIT: build/bench_GRAPH.svg; 1 if there is nothing to draw
	local series s plot=
	series=$(awk -F'\t' -v g="$1" '$1 == "point" && $2 == g && !seen[$3]++ { print $3 }' "$LINES_FILE")
	[ -n "$series" ] || return 1
	while read -r s; do
		awk -F'\t' -v g="$1" -v s="$s" '$1 == "point" && $2 == g && $3 == s { print $4, $5 }' \
		    "$LINES_FILE" | sort -g >"$T/$1.$s.dat"
		plot="$plot${plot:+, }\"$T/$1.$s.dat\" with linespoints title \"$s\""
	done <<<"$series"
	gnuplot <<-END
	set terminal svg size 760,420 noenhanced background "white"
	set output "$BUILD/bench_$1.svg"
	set title "$2"
	set xlabel "domains in the INI"
	set ylabel "$3"
	set logscale x
	set format x "%.0f"
	set yrange [0:*]
	set key outside bottom center horizontal
	set grid
	plot $plot
	END
}

[ -s "$LINES_FILE" ] || die "nothing was measured"
drawn=()
for g in "${GRAPHS[@]}"; do
	IFS='|' read -r id title unit <<<"$g"
	draw "$id" "$title" "$unit" && drawn+=("$BUILD/bench_$id.svg")
done
if [ -n "${JSON:-}" ]; then
	printf '{\n  "figures": ['
	layout json
	printf '\n  ],\n  "points": ['
	awk -F'\t' '$1 == "point" { printf "%s\n    {\"graph\": \"%s\", \"series\": \"%s\", \"domains\": %s, \"value\": %s}",
	    sep, $2, $3, $4, $5; sep = "," }' "$LINES_FILE"
	printf '\n  ],\n  "notes": ['
	awk -F'\t' '$1 == "note" { gsub(/["\\]/, "\\\\&", $2); printf "%s\n    \"%s\"", sep, $2; sep = "," }' "$LINES_FILE"
	printf '\n  ]\n}\n'
else
	layout table
	sed -n $'s/^note\t/note: /p' "$LINES_FILE"
	printf 'drawn: %s\n' "${drawn[@]}"
fi
[ -z "$bad" ] || die "could not be measured:$bad"
