#!/bin/bash
# Fuzzes what reads from outside, each tests/fuzz_NAME.c for FUZZ_SECONDS (10, but
# 30 for what comes from whoever connects: certificates and the feed), from the corpus in tests/corpus/NAME.  An input that breaks one is left in
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

for source in tests/fuzz_${FUZZ:-*}.c; do
	name=$(basename "$source" .c)
	[ -x "$BUILD/fuzz/$name" ] || { not_ok "$name" 'is not there'; continue; }
	case $name in fuzz_cert | fuzz_feed) seconds=30 ;; *) seconds=10 ;; esac
	mkdir -p "$T/found" "tests/corpus/${name#fuzz_}"
	# What the modules log is not of interest: standard error is libFuzzer's alone.
	if ASAN_OPTIONS=allocator_may_return_null=1 "$BUILD/fuzz/$name" -max_total_time="${FUZZ_SECONDS:-$seconds}" \
	    -rss_limit_mb=1024 -timeout=10 -max_len=8192 -close_fd_mask=2 -print_final_stats=1 \
	    -artifact_prefix="$BUILD/fuzz/$name-" "$T/found" "tests/corpus/${name#fuzz_}" >"$T/$name.log" 2>&1; then
		ok "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$T/$name.log") inputs"
	else
		not_ok "$name" "$(tail -n 40 "$T/$name.log")"
	fi
	rm -rf "$T/found"
done
[ "$(id -u)" -ne 0 ] || chown -R --reference=GNUmakefile "$BUILD/fuzz"
done_testing
