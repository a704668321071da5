#!/bin/bash
# The Exim module's libraries: none but libc is needed to load it, the others are
# loaded for what needs them, and where that fails nothing is taken for harmless.
. "$(dirname "$0")/lib.sh"
need_built exim_tlsward.so
need_cmd python3 readelf

is "the module needs libc alone" \
    "$(readelf -d "$MODULE" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | xargs)" libc.so.6
is "and sets nothing up when it is loaded" "$(readelf -d "$MODULE" | grep -cE '\((INIT|INIT_ARRAY|FINI)\)')" 0

make_state
write_ini <<END
[server]
mode = offer
state_dir = $STATE
[peer xn--bcher-kva.example]
mode = require
END
cat >"$T/call.py" <<'END'
"""Calls tlsward_mail in clear, one sender after the other, in a process that has none of the libraries yet."""
import ctypes, sys
module, ini = ctypes.CDLL(sys.argv[1]), sys.argv[2].encode()
for sender in sys.argv[3:]:
    args = [ini, b"192.0.2.1|25|198.51.100.7|n|client.example", b"|0|0|", b"", sender.encode()]
    answer = ctypes.c_char_p()
    status = module.tlsward_mail(ctypes.byref(answer), len(args), (ctypes.c_char_p * 6)(*args, None))
    verb = answer.value.decode()
    module.tlsward_log(ctypes.byref(answer), 0, None)
    print(status, verb, answer.value.decode())
args = [ini, args[1], b""]
if module.tlsward_certificate(ctypes.byref(answer), len(args), (ctypes.c_char_p * 6)(*args)) != 0:
    print("trouble:", answer.value.decode())
END
verdicts() { sed '/^trouble/d' | cut -d' ' -f1,2 | xargs; }
call() { python3 "$T/call.py" "$MODULE" "$INI" "$@" 2>&1; }
without() { # LIBRARY SENDER...: something else has its name
	mkdir -p "$T/$1"
	echo "no library" >"$T/$1/$1"
	LD_LIBRARY_PATH=$T/$1 call "${@:2}"
}

COMPILED=$T/etc/.tlsward.ini.compiled
is "the parser and its libraries are there when they are needed" \
    "$(call a@x.example a@bücher.example a@xn--bcher-kva.example | verdicts)" '0 accept 0 deny 0 deny'
for lib in libinih.so.1 libidn2.so.0; do
	rm -f "$COMPILED"
	out=$(without $lib a@x.example)
	is "without $lib no settings are read" "$(verdicts <<<"$out")" '0 defer'
	like "and it is said why" "$out" 'exim_tlsward_read.so beside the module cannot be loaded'
done
mv "$T/bin/exim_tlsward_read.so" "$T/bin/away"
rm -f "$COMPILED"
is "nor without the module's part for that" "$(call a@x.example | verdicts)" '0 defer'
echo garbage >"$T/bin/exim_tlsward_read.so"
is "nor with another in its place" "$(call a@x.example | verdicts)" '0 defer'
cat >"$T/daemon.py" <<'END'
"""Exim's daemon: looks at its settings, and again when the module's part for that is back."""
import ctypes, os, sys, time
module, ini, back, part = ctypes.CDLL(sys.argv[1]), sys.argv[2].encode(), sys.argv[3], sys.argv[4]
def call(function, *args):
    answer = ctypes.c_char_p()
    function(ctypes.byref(answer), len(args), (ctypes.c_char_p * 6)(*args))
    return answer.value.decode()
def verdict():
    call(module.tlsward_preload, ini, b"0")
    return call(module.tlsward_mail, ini, b"192.0.2.1|25|198.51.100.7|n|client.example", b"|0|0|", b"", b"a@x.example")
print(verdict())
os.rename(back, part)
until = time.monotonic() + 10
while (said := verdict()) != "accept" and time.monotonic() < until:
    time.sleep(0.05)
print(said)
END
is "a daemon goes on when it is there again" \
    "$(python3 "$T/daemon.py" "$MODULE" "$INI" "$T/bin/away" "$T/bin/exim_tlsward_read.so" | xargs)" 'defer accept'

# A file that has been left alone for a while is read for good, a small one too.
compiled() { call a@x.example; [ -e "$COMPILED" ]; }
check "settings once read are left in their compiled form" wait_for 5 compiled
is "which needs no parser" "$(without libinih.so.1 a@x.example a@xn--bcher-kva.example | verdicts)" \
    '0 accept 0 deny'
out=$(without libidn2.so.0 a@bücher.example a@x.example a@xn--bcher-kva.example)
is "without libidn2 ASCII goes on, what is not ASCII waits" "$(verdicts <<<"$out")" '0 defer 0 accept 0 deny'
like "and the log says why" "$out" 'decision=defer reason=exim detail="libidn2.so.0 cannot be loaded"'
write_ini <<END
[server]
mode = offer
state_dir = $STATE
[peer bücher.example]
mode = require
END
is "changed settings need it again" "$(without libinih.so.1 a@x.example | verdicts)" '0 defer'
is "with it they are read" "$(call a@x.example a@xn--bcher-kva.example | verdicts)" '0 accept 0 deny'
done_testing
