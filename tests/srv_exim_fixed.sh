#!/bin/bash
# Exim with TLSWARD_CERTIFICATE and TLSWARD_KEY: one certificate for all, which it
# keeps in memory, and reads again when it has been renewed.
# timeout 300
. "$(dirname "$0")/lib.sh"
need_root
need_cmd openssl
need_built exim_tlsward.so
need_servers exim-4.96 exim-4.98

make_cert
make_state
mkdir "$T/certs"
certificate() { # NAME: put in place of the one before as `tlsward cert import` does
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$1" \
	    -keyout "$T/new.key" -out "$T/new.pem" 2>/dev/null || die "openssl failed"
	chgrp Debian-exim "$T/new.key" && chmod 0640 "$T/new.key"
	mv "$T/new.key" "$T/certs/mx.key" && mv "$T/new.pem" "$T/certs/mx.pem"
}
shown() {
	openssl s_client -connect "127.0.0.1:$PORT" -starttls smtp ${1:+-servername "$1"} \
	    </dev/null 2>/dev/null | sed -n 's/^subject=CN = //p'
}
is_shown() { [ "$(shown)" = "$1" ]; }
settings() { # CERTIFICATE
	write_ini <<-END
	[server]
	certificate = $1
	state_dir = $STATE
	[certificate mx]
	file = $T/certs/mx.pem
	key = $T/certs/mx.key
	[certificate other]
	file = $CERT
	key = $T/mx.exim.key
	names = other.example.org
	[domain example.org]
	mode = require
	END
}
codes() { # the replies to MAIL and RCPT in clear
	{
		printf 'EHLO c\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@example.org>\r\nQUIT\r\n'
	} | timeout 20 bash -c "exec 3<>/dev/tcp/127.0.0.1/$PORT; cat >&3; cat <&3" | tr -d '\r' |
	    sed -n 's/^\([0-9]*\) .*/\1/p' | sed -n '3,4p' | xargs
}
has_read() { # how often a session opens the key
	strace -f -qq -e trace=openat -p "${PIDS[$1]}" -o "$T/trace" & local pid=$!
	wait_for 10 grep -q TracerPid:[[:space:]]*$pid "/proc/${PIDS[$1]}/status"
	shown >/dev/null
	kill "$pid"; wait "$pid" 2>/dev/null
	[ -s "$T/trace" ] || echo "no trace"
	grep -c "$T/certs/mx.key" "$T/trace"
}

for V in 4.96 4.98; do
	certificate "first-$V.example.org"
	settings mx
	cp "$TOP/conf/exim-tlsward.conf" "$T/"
	free_port PORT
	exim_conf "$PORT" "TLSWARD_INI = $INI
TLSWARD_MODULE = $MODULE
TLSWARD_RCPT_ACL = accept
TLSWARD_CERTIFICATE = $T/certs/mx.pem
TLSWARD_KEY = $T/certs/mx.key
.include $T/exim-tlsward.conf" >"$T/fixed-$V.conf"
	start_exim "fixed-$V" "$V" "$T/fixed-$V.conf" || { not_ok "$V starts"; continue; }
	is "$V: it is shown" "$(shown)" "first-$V.example.org"
	is "$V: whatever SNI asks for" "$(shown other.example.org)" "first-$V.example.org"
	settings other
	is "$V: and whatever the settings say" "$(shown)" "first-$V.example.org"
	is "$V: the rules hold as ever" "$(codes)" "250 530"
	if command -v strace >/dev/null; then
		is "$V: a session does not read it" "$(has_read "fixed-$V")" 0
	else
		skip "$V: a session does not read it" "needs strace"
	fi
	certificate "second-$V.example.org"
	check "$V: a renewed one is shown without a restart" wait_for 30 is_shown "second-$V.example.org"
	certificate "third-$V.example.org"
	check "$V: and the next one" wait_for 30 is_shown "third-$V.example.org"
	stop "fixed-$V"
done
done_testing
