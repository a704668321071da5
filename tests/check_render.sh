#!/bin/bash
# `tlsward render` and `tlsward check --against`: golden pairs, and what the
# servers themselves say of what was rendered.
. "$(dirname "$0")/lib.sh"
need_cmd openssl
[ -x "$TLSWARD" ] || skip_all "build/tlsward is not built"

export RES_OPTIONS='timeout:1 attempts:1'	# where no DNS answers
SMTPD=$SERVERS/opensmtpd/usr/sbin/smtpd
prefix=$(make -s -C "$TOP" print-prefix)
for c in mx other peer ca; do make_cert $c; done
cp "$CERT" "$T/with \"quotes\" and blanks.pem"
install -m 0640 "$KEY" "$T/group.key"
install -m 0644 "$KEY" "$T/open.key"
install -m 0664 "$CERT" "$T/writable.pem"
mkdir "$T/more"
: >"$T/exim_tlsward.so"
if [ "$(id -u)" -eq 0 ]; then
	install -m 0600 -o nobody "$KEY" "$T/nobody.key"
	install -m 0640 -g nogroup "$KEY" "$T/nogroup.key"
fi
chgrp Debian-exim "$KEY" 2>/dev/null && chmod 0640 "$KEY"
mkdir -m 0750 "$T/closed"
cp "$T/ca.pem" "$T/closed/"
[ ! -e "$FILTER" ] || { cp "$FILTER" "$T/closed/"; install -m 0700 "$FILTER" "$T/more/"; }

here() { sed "s,@T@,$T,g"; }			# a golden file's paths become real
there() { sed "s,$T,@T@,g; s,$prefix/\(libexec\|share\),@P@/\1,g"; }

# golden NAME GOT: as NAME.ok; UPDATE=1 writes it anew, to be read before a commit
golden() {
	[ -z "${UPDATE:-}" ] || printf '%s\n' "$2" >"$1.ok"
	if printf '%s\n' "$2" | cmp -s - "$1.ok"; then ok "${1#*golden/}"
	else not_ok "${1#*golden/}" "$(printf '%s\n' "$2" | diff "$1.ok" - | head -n 30)"; fi
}
run() { "$TLSWARD" "$@" 2>&1 </dev/null; echo "exit $?"; }

# ---- what the servers make of it ----

# An smtpd.conf needs a rule, and to be nobody else's.
whole() { cat - <(printf 'action "a" relay\nmatch from any for any action "a"\n'); }
smtpd_takes() { # NAME CONF
	chmod 0600 "$2"
	if [ ! -x "$SMTPD" ]; then skip "$1" "needs build/servers/opensmtpd (make deps-test)"
	elif [ "$(id -u)" -ne 0 ]; then skip "$1" "not root"
	else check "$1" "$SMTPD" -n -f "$2"; fi
}
no_difference() { # NAME INI FILE: no error; warnings only of what smtpd cannot do
	local out
	out=$("$TLSWARD" -c "$2" check --against "$3")
	if [ $? -eq 0 ]; then ok "$1"; else not_ok "$1" "$out"; fi
}
# Exim takes the rendered lines in a main section, and -bP prints them back.
exim_takes() { # NAME INI RENDERED VERSION
	local exim=$SERVERS/exim-$4/usr/sbin/exim4 conf=$T/$1.$4.conf f
	if [ ! -x "$exim" ] || [ ! -e "$MODULE" ]; then
		skip "$1: Exim $4 takes it" "needs build/servers/exim-$4 (make deps-test)"
		return
	fi
	for f in "$TOP"/conf/exim-tlsward*.conf; do
		sed "s,/usr/local/share/tlsward,$T,g" "$f" >"$T/${f##*/}"
	done
	{
		echo "TLSWARD_MODULE = $MODULE"
		sed "s,$prefix/share/tlsward,$T,; s/^#\(TLSWARD_[A-Z_]*\)/\1/" "$3"
		! grep -q exim-tlsward-debian "$3" ||
		    printf 'acl_smtp_mail = MAIN_ACL_CHECK_MAIL\nacl_smtp_rcpt = MAIN_ACL_CHECK_RCPT\n'
		printf 'daemon_smtp_ports = 25 : 465 : 2525\nkeep_environment =\nbegin acl\n'
		printf 'acl_check_mail:\n accept\nacl_check_rcpt:\n accept\n'
	} >"$conf"
	check "$1: Exim $4 takes it" "$exim" -bV -C "$conf"
	"$exim" -bP -C "$conf" >"$conf.bP" 2>/dev/null
	[ "$(id -u)" -eq 0 ] || return
	no_difference "$1: no difference in Exim $4" "$2" "$conf.bP"
}

# ---- render ----

for in in "$TOP"/tests/golden/render/*.in; do
	name=$(basename "$in" .in) ini=$T/$(basename "$in" .in).ini
	here <"$in" >"$ini"
	read -ra args < <(sed -n '1s/^; //p' "$in")
	out=$(run -c "$ini" "${args[@]}")
	golden "${in%.in}" "$(there <<<"$out")"
	[ "${out##*$'\n'}" = "exit 0" ] || continue
	sed '$d' <<<"$out" >"$T/$name.out"
	case ${args[1]} in
	opensmtpd)
		sed "s,$prefix/libexec/[^ ]*filter-tlsward,$FILTER," "$T/$name.out" | whole >"$T/$name.conf"
		smtpd_takes "$name: smtpd takes it" "$T/$name.conf"
		[ "$(id -u)" -eq 0 ] || continue
		case $name in request|same-port) continue ;; esac	# cannot be met
		no_difference "$name: no difference" "$ini" "$T/$name.conf" ;;
	exim)
		exim_takes "$name" "$ini" "$T/$name.out" 4.96
		exim_takes "$name" "$ini" "$T/$name.out" 4.98 ;;
	esac
done

# A path that both smtpd's quotes and the shell's have to hold.
mkdir "$T/it's \"so\" \$x"
odd="$T/it's \"so\" \$x/a b.ini"
here <"$TOP/tests/golden/render/server.in" >"$odd"
"$TLSWARD" -c "$odd" render opensmtpd | sed "s,$prefix/libexec/[^ ]*filter-tlsward,$FILTER," |
    whole >"$T/odd.conf"
smtpd_takes "an odd path: smtpd takes it" "$T/odd.conf"
[ "$(id -u)" -ne 0 ] || no_difference "an odd path: no difference" "$odd" "$T/odd.conf"
mkdir "$T/bin/libexec"
printf '#!/bin/sh\nprintf "%%s." "$@"\n' >"$T/bin/libexec/filter"
chmod 0755 "$T/bin/libexec/filter"
is "an odd path: as the shell reads it" \
    "$(sh -c "$(sed -n 's/^filter "tlsward" proc-exec "\(.*\)"$/\1/p' "$T/odd.conf" |
	sed "s,\\\\\\(\"\\),\\1,g; s,^[^ ]*,$T/bin/libexec/filter,")")" "-c.$odd."
like "an odd path: not for Exim" "$(run -c "$odd" render exim)" 'Exim cannot be given a path'
cd "$T" || exit 1
like "a relative path becomes absolute" "$(run -c server.ini render opensmtpd)" "filter-tlsward -c $T/server.ini\""
cd "$TOP" || exit 1
like "another server" "$(run -c "$T/server.ini" render opensmtp)" 'did you mean "opensmtpd"'
like "no server" "$(run -c "$T/server.ini" render)" '^exit 2$'
like "--debian is Exim's" "$(run -c "$T/server.ini" render opensmtpd --debian)" '^exit 2$'

# ---- check --against: the settings, a line of dashes, the server's configuration ----

for in in "$TOP"/tests/golden/against/*.in; do
	name=$(basename "$in" .in)
	dir=$T/against/$name
	mkdir -p "$dir"
	here <"$in" | sed "s,@D@,$dir,g" | awk -v d="$dir" '
	    /^----/ { part++; next }
	    { print >(d "/" (part == 0 ? "tlsward.ini" : part == 1 ? "conf" : "more.conf")) }'
	if grep -q '^; as root' "$in" && [ "$(id -u)" -ne 0 ]; then
		skip "against/$name" "not root"
		continue
	fi
	! grep -q '^; closed' "$in" || chmod 0600 "$dir/tlsward.ini"
	out=$(run -c "$dir/tlsward.ini" check --against "$dir/conf")
	# the state of the certificates' own files is another test's, and in the sum
	golden "${in%.in}" "$(sed '/: warning: \[[^]]*\]: /d; /: [0-9]* errors\?, /d; /: no errors, /d
	    s,'"$dir"',@D@,g' <<<"$out" | there)"
	# what smtpd itself refuses is no test of ours
	! grep -q '^listen' "$dir/conf" || grep -q '; smtpd refuses' "$in" || {
		whole <"$dir/conf" >"$dir/whole"
		smtpd_takes "against/$name: smtpd takes it" "$dir/whole"
	}
done

like "standard input" \
    "$("$TLSWARD" -c "$T/server.ini" check --against - <"$T/clear.conf" 2>&1)" '^<stdin>:[0-9]+: '
like "JSON" "$("$TLSWARD" -c "$T/server.ini" check --json --against "$T/clear.conf" | tr -d '\n')" \
    '"severity": "error", +"file": ".*/clear.conf", +"line": [0-9]+, .*"errors": [1-9].*"ok": false'
like "standard input: empty" "$("$TLSWARD" -c "$T/server.ini" check --against - <"$T/exim_tlsward.so" 2>&1)" \
    '^<stdin>: is empty: see what .exim -bP.'
like "two servers" "$(run -c "$T/server.ini" render opensmtpd exim)" 'takes one server, not "exim" too'
like "a file that is not there" "$(run -c "$T/server.ini" check --against "$T/none")" \
    '/none: cannot be read: No such file'
like "a folder" "$(run -c "$T/server.ini" check --against "$T")" 'cannot be read: '
printf 'hello\n' >"$T/hello"
like "neither of the two" "$(run -c "$T/server.ini" check --against "$T/hello")" 'is neither an smtpd.conf'
head -c 5000000 /dev/zero | tr '\0' '#' >"$T/huge"
like "a file too large" "$(run -c "$T/server.ini" check --against "$T/huge")" 'cannot be read: File too large'
# Whatever is in it: an answer, no crash.
for seed in {1..40}; do
	RANDOM=$seed
	head -c "$((RANDOM % 700))" "$T/verify.conf" >"$T/cut.conf"
	tr '{}"\\$#= ' "${RANDOM:0:2}\"\\\\\$#{}" <"$T/cut.conf" | cat "$T/cut.conf" - >"$T/odd.conf"
	"$TLSWARD" -c "$T/verify.ini" check --against "$T/odd.conf" >/dev/null 2>&1 || [ $? -eq 1 ] ||
	    not_ok "odd smtpd.conf $seed" "$(cat "$T/odd.conf")"
done
done_testing
