#!/bin/bash
# Fuzzes what reads from outside, each tests/fuzz_NAME.c for FUZZ_SECONDS (10, but
# 60 for what comes from whoever connects: certificates and the feed), two at once,
# from the corpus in tests/corpus/NAME, by the same seed each time (FUZZ_SEED=N;
# `make fuzz` takes another each time).  An input that breaks one is left in
# build/fuzz/, for `build/fuzz/fuzz_NAME FILE`; FUZZ=NAME is that one alone.
# timeout 1800
. "$(dirname "$0")/lib.sh"
cd "$TOP" || exit 1
need_cmd clang
echo 'int LLVMFuzzerTestOneInput(const unsigned char *p, unsigned long n);
int LLVMFuzzerTestOneInput(const unsigned char *p, unsigned long n) { return p == 0 && n > 0; }' >"$T/try.c"
clang -fsanitize=fuzzer,address,undefined -o "$T/try" "$T/try.c" 2>/dev/null ||
    skip_all "clang has no fuzzer runtime (libclang-rt-dev)"
check 'the fuzzers build' make -s -j2 fuzzers

fuzz() { # NAME SECONDS: its status in $T/NAME.status, what it said in $T/NAME.log
	local longest=8192
	[ "$1" != cert ] || longest=65536
	mkdir -p "$T/found-$1" "tests/corpus/$1"
	# What the modules log is not of interest: standard error is libFuzzer's alone.
	ASAN_OPTIONS=allocator_may_return_null=1 "$BUILD/fuzz/fuzz_$1" -max_total_time="${FUZZ_SECONDS:-$2}" \
	    -seed="${FUZZ_SEED:-1}" -rss_limit_mb=1024 -timeout=10 -max_len=$longest -close_fd_mask=2 -print_final_stats=1 \
	    -artifact_prefix="$BUILD/fuzz/fuzz_$1-" "$T/found-$1" "tests/corpus/$1" >"$T/$1.log" 2>&1
	echo $? >"$T/$1.status"
	rm -rf "$T/found-$1"
}

names=
for source in tests/fuzz_cert.c tests/fuzz_feed.c tests/fuzz_*.c; do	# the long ones first
	name=$(basename "$source" .c)
	name=${name#fuzz_}
	case " $names " in *" $name "*) continue ;; esac
	[ "${FUZZ:-$name}" = "$name" ] || continue
	names="$names $name"
	[ -x "$BUILD/fuzz/fuzz_$name" ] || continue
	case $name in cert | feed) seconds=60 ;; *) seconds=10 ;; esac
	[ "$(jobs -rp | wc -l)" -lt 2 ] || wait -n
	fuzz "$name" $seconds &
done
wait
for name in $names; do
	if [ "$(cat "$T/$name.status" 2>/dev/null)" = 0 ]; then
		ok "fuzz_$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$T/$name.log") inputs"
	else
		not_ok "fuzz_$name" "$(tail -n 40 "$T/$name.log" 2>/dev/null || echo 'is not there')"
	fi
done
[ "$(id -u)" -ne 0 ] || chown -R --reference=GNUmakefile "$BUILD/fuzz"
done_testing
