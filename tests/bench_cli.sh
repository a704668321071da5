#!/bin/bash
# The command line: `tlsward check` beside libinih alone on the same file,
# `tlsward explain` with its start.
. "$(dirname "$0")/bench_lib.sh"
for p in tlsward tool/rival_ini tool/ms; do
	[ -e "$BUILD/$p" ] || die "needs build/$p: make all tools"
done
at_100000 check explain explain_cold explain_first
RUNS=$((BENCH_RUNS * 3))
make_state
make_cert

# As root: another's file has no compiled form of ours beside it, and none is made there.
nobody=() cold="the compiled form removed each time"
if [ "$(id -u)" -eq 0 ]; then
	nobody=("$(command -v setpriv)" --reuid=nobody --regid=nogroup --clear-groups)
	cold="no compiled form, by a user who cannot make one"
fi
explain_cold() {
	rm -f "$T/etc"/.*.compiled
	"$BUILD/tool/ms" "${nobody[@]}" "$TLSWARD" -c "$INI" explain --from a@b.example --to "u@d$(($1 / 2)).example"
}
explain() { "$BUILD/tool/ms" "$TLSWARD" -c "$INI" explain --from a@b.example --to "u@d$(($1 / 2)).example"; }

for n in $BENCH_SIZES; do
	progress "$n domains"
	gateway "$n" 0 "$KEY"
	rm -f "$T"/r.*
	"$TLSWARD" -c "$INI" check >"$T/check.out" || die "check: $(cat "$T/check.out")"
	sleep 0.2	# a first call may leave a compiled form of a file that has settled
	explain "$n" >/dev/null || die "explain failed"
	for ((r = 0; r < RUNS; r++)); do
		"$BUILD/tool/ms" "$TLSWARD" -c "$INI" check >>"$T/r.check"
		"$BUILD/tool/ms" "$BUILD/tool/rival_ini" "$INI" >>"$T/r.parse"
		explain "$n" >>"$T/r.explain"
	done
	explain_cold "$n" >/dev/null || die "explain failed"	# nobody's pages of the program
	for ((r = 0; r < RUNS; r++)); do
		explain_cold "$n" >>"$T/r.cold"
	done
	touch "$INI"
	sleep 0.2
	explain "$n" >"$T/r.first"
	point check tlsward "$n" "$(median <"$T/r.check")"
	point check ini_parse "$n" "$(median <"$T/r.parse")"
	point explain tlsward "$n" "$(median <"$T/r.explain")"
	[ "$n" -eq 100000 ] || continue
	figure check "tlsward check, $n domains" "$(median <"$T/r.check")" "ini_parse alone" \
	    "$(median <"$T/r.parse")" ms most 3
	figure explain "tlsward explain, $n domains" "$(median <"$T/r.explain")" - - ms below 50
	figure explain_cold "the same with $cold" "$(median <"$T/r.cold")" - - ms below 50
	figure explain_first "the first one after a change of the file" "$(cat "$T/r.first")" - - ms shown -
done
