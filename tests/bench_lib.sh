# shellcheck shell=bash
# What the parts of `make bench` share; source it in place of lib.sh.
#
# tests/bench_PART.sh prints three kinds of lines, fields apart by tabs, for
# tests/bench.sh to lay out; whatever else it has to say goes to stderr:
#
#	figure ID WHAT OURS AGAINST THEIRS UNIT HOW REACH
#	    HOW is times: OURS / THEIRS is REACH or more (a speed);
#	    most: OURS / THEIRS is REACH or less (a time, a size);
#	    within: OURS - THEIRS is REACH or less; below: OURS is;
#	    shown: nothing is asked.  AGAINST and THEIRS may be -.
#	point GRAPH SERIES DOMAINS VALUE
#	    GRAPH has a title and a unit in bench.sh.
#	note TEXT
#	    what has to be known to read the figures.
#
# A figure is the median of several runs, those of the rival in between; where a
# part does otherwise, its notes say so.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
PLANNED=1
BENCH_SIZES=${BENCH_SIZES:-10 100 1000 10000 100000 1000000}
BENCH_RUNS=${BENCH_RUNS:-5}

figure() { local IFS=$'\t'; echo "figure"$'\t'"$*"; }
point() { local IFS=$'\t'; echo "point"$'\t'"$*"; }
remark() { echo "note"$'\t'"$*"; }
# at_100000 ID...: these figures are of 100,000 domains; says so where BENCH_SIZES has not that.
at_100000() {
	[[ " $(echo $BENCH_SIZES) " == *" 100000 "* ]] ||
	    remark "not measured, for BENCH_SIZES has no 100000: $*"
}
progress() { printf '%s: %s\n' "$TESTNAME" "$*" >&2; }
median() { sort -g | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'; }	# numbers, one a line
percentile() { sort -g | awk -v p="$1" '{ v[NR] = $1 } END { i = int(NR * p / 100 + 0.999999); if (NR) print v[i < 1 ? 1 : i] }'; }

# gateway DOMAINS PEERS KEY: written to the INI; after make_state and make_cert.
gateway() {
	write_ini <<-END
	[server]
	mode = offer
	certificate = mx
	state_dir = $STATE

	[certificate mx]
	file = $CERT
	key = $3

	$(awk -v d="$1" -v p="$2" 'BEGIN {
	    for (i = 0; i < d; i++)
		printf "[domain d%d.example]\nmode = %s\n", i, i % 2 ? "require\nmin_tls = 1.2" : "offer\nclient_cert = none"
	    for (i = 0; i < p; i++)
		printf "[peer p%d.example]\nmode = require\nclient_cert = request\n", i }')
	END
}
