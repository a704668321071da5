#!/bin/bash
# Checks of the sources themselves: warnings, headers that stand alone, the
# direction of dependencies, calls that are not used here, manual pages, MIB,
# scripts.
# timeout 900
. "$(dirname "$0")/lib.sh"
cd "$TOP" || exit 1
need_cmd gcc

flags=$(make -s print-BASE print-CPPFLAGS print-SNMP_CFLAGS | tr '\n' ' ')
flags=${flags//-MMD -MP/}
mapfile -t sources < <(ls conf/*.c filter/*.c agent/*.c 2>/dev/null)
mapfile -t headers < <(ls conf/*.h filter/*.h agent/*.h 2>/dev/null)

# One file a line that gives a diagnostic; nothing: fine.
compile() { # COMPILER OPTIONS... -- FILES
	local cc=$1 opt=()
	shift
	while [ "$1" != -- ]; do opt+=("$1"); shift; done
	shift
	printf '%s\0' "$@" | eval "xargs -0 -n 1 -P 2 $cc $flags ${opt[*]@Q}" 2>&1 | head -n 40
}
is "no warning from gcc -O2" \
    "$(compile gcc -O2 -Wformat-security -Wcast-qual -Wvla -Werror -S -o /dev/null -- "${sources[@]}")" ""
is "nor with the sanitizers, for which it sees other things" \
    "$(compile gcc -O1 -fsanitize=address,undefined -Werror -S -o /dev/null -- "${sources[@]}")" ""
if command -v clang >/dev/null; then
	is "no warning from clang" \
	    "$(compile clang -Wno-unused-command-line-argument -Wno-missing-braces -Werror -fsyntax-only -- "${sources[@]}")" ""
else
	skip "no warning from clang" "clang is not installed"
fi
is "each header compiles alone" \
    "$(for h in "${headers[@]}"; do
	echo "#include \"${h#*/}\"" | eval "gcc $flags -Werror -fsyntax-only -x c -" 2>&1 | head -n 3
    done)" ""

# ---- dependencies run conf <- filter <- agent ----
includes() { # FOLDER: the headers of ours that it includes
	grep -ho '^#include "[^"]*"' "$1"/*.[ch] | cut -d'"' -f2 | sort -u
}
outside() { # FOLDER ALLOWED...: headers that are in none of the folders
	local f=$1 h d
	for h in $(includes "$f"); do
		for d; do [ -e "$d/${h##*/}" ] && continue 2; done
		echo "$f includes $h"
	done
}
is "conf/ includes nothing of filter/ or agent/" "$(outside conf conf)" ""
is "filter/ includes nothing of agent/" "$(outside filter filter conf)" ""
is "agent/ includes nothing of tests/" "$(outside agent agent filter conf)" ""
is "Net-SNMP is known to agent/snmp_* and the agent's main only" \
    "$(grep -l 'net-snmp/' "${sources[@]}" "${headers[@]}" |
	grep -Ev '^agent/(snmp_[a-z_0-9]*\.[ch]|tlsward_agent\.c)$')" ""
is "OpenSSL is known to the certificate modules only" \
    "$(grep -l '<openssl/' "${sources[@]}" "${headers[@]}" | grep -Ev '/([a-z]+_)*(cert|ca|crl|pem|probe)(_[a-z_]*)?\.[ch]$')" ""
is "no call that cannot be bounded or checked" \
    "$(grep -nE '\b(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|system|popen|strtok|alloca)[[:space:]]*\(' \
	"${sources[@]}" "${headers[@]}")" ""
is "no file longer than 500 lines" "$(wc -l "${sources[@]}" | awk '$2 != "total" && $1 > 500')" ""

# ---- what is exported ----
if [ -e "$BUILD/exim_tlsward.so" ]; then
	unlike "the module exports its entry points only" \
	    "$(nm -D --defined-only "$BUILD/exim_tlsward.so" | awk '{ print $3 }')" '^[^t]|^t[^l]|^tl[^s]'
fi

# ---- documents ----
if command -v mandoc >/dev/null; then
	for m in $(make -s print-MAN); do
		is "manual page $m" "$(mandoc -T lint -W warning "$m" 2>&1 | grep -v 'outdated mandoc.db\|referenced manual not found')" ""
	done
else
	skip "manual pages" "mandoc is not installed"
fi
for p in filter/filter-tlsward.8 filter/exim_tlsward.8 agent/tlsward.1 agent/tlsward-agent.8 conf/tlsward.ini.5; do
	check "there is $p" test -s $p
done
if ! command -v smilint >/dev/null; then
	skip "smilint" "smilint is not installed"
elif [ -z "$(IFS=:; for d in $MIBDIRS; do ls "$d"/SNMPv2-SMI* 2>/dev/null; done)" ]; then
	skip "smilint" "SNMPv2-SMI, -TC and -CONF are in none of $MIBDIRS: make check MIBDIRS=FOLDER"
else
	is "smilint -l 6 -s mibs/TLSWARD-MIB.txt" "$(SMIPATH=$MIBDIRS smilint -l 6 -s -m mibs/TLSWARD-MIB.txt 2>&1)" ""
fi
is "scripts parse" "$(for s in tests/*.sh tests/run .ci/run; do bash -n "$s" 2>&1; done)" ""
is "README and NEWS are plain ASCII" "$(LC_ALL=C grep -nP '[^\x00-\x7F]' README.md NEWS 2>&1)" ""

done_testing
