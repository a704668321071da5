#!/bin/bash
# The filter in a real OpenSMTPD 7.4: names and suffixes (srv_modes.sh has each
# mode of each rule), several recipients, exemptions, reports, a verifying listener,
# changes without a restart, and what it counts.
# timeout 600
. "$(dirname "$0")/lib.sh"
need_servers opensmtpd
need_cmd swaks openssl
need_built filter-tlsward tlsward

make_cert
make_state
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 10 -subj /CN=ca \
    -addext keyUsage=critical,keyCertSign,cRLSign -keyout "$T/ca.key" -out "$T/ca.pem" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=partner.example \
    -addext subjectAltName=DNS:partner.example -keyout "$T/client.key" -out "$T/client.csr" 2>/dev/null
openssl x509 -req -in "$T/client.csr" -CA "$T/ca.pem" -CAkey "$T/ca.key" -CAcreateserial -days 10 \
    -copy_extensions copy -out "$T/client.pem" 2>/dev/null || die "openssl x509 failed"
chmod 0644 "$T"/*.pem

# ---- an smtpd with the filter on every listener; it is never restarted ----

for p in plain tls smtps verify submission v6; do free_port "port_$p"; done
write_ini <<END
[server]
state_dir = $STATE
[listener 127.0.0.1:$port_verify]
verifies = yes
END
printf 'joe\t%s\n' "$(openssl passwd -6 secret)" >"$T/creds"
chmod 0644 "$T/creds"
{
	smtpd_conf "$port_tls" "$FILTER -v -c $INI" | sed '/^action\|^match/d'
	echo "ca \"partners\" cert \"$T/ca.pem\""
	echo "table creds file:$T/creds"
	h='hostname mx.example.org filter "tlsward"'
	echo "listen on 127.0.0.1 port $port_plain $h"
	echo "listen on 127.0.0.1 port $port_smtps smtps pki \"mx\" $h"
	echo "listen on 127.0.0.1 port $port_verify tls-require verify pki \"mx\" ca \"partners\" $h"
	echo "listen on 127.0.0.1 port $port_submission tls pki \"mx\" auth-optional <creds> $h"
	echo "listen on ::1 port $port_v6 tls pki \"mx\" $h"
	echo 'listen on socket filter "tlsward"'
	smtpd_conf 1 | grep '^action\|^match'
} >"$T/smtpd.conf"
check "smtpd starts with the filter" start_smtpd smtpd "$T/smtpd.conf"
running smtpd || done_testing

# apply: the INI from standard input, and until the filter has it.  How long it
# took is in TOOK.
loads() { grep -c 'settings are in force' "$T/smtpd.log"; }
apply() {
	local n since
	n=$(loads)
	{ echo "[server]"; echo "state_dir = $STATE"; cat; } >"$T/next.ini"
	since=$(now_ms)
	write_ini <"$T/next.ini"
	wait_for 3 eval "[ \$(loads) -gt $n ]" || not_ok "settings are read" "$(tail -n 3 "$T/smtpd.log")"
	TOOK=$(($(now_ms) - since))
	[ $TOOK -le ${SLOWEST:-0} ] || SLOWEST=$TOOK
}
# MAIL's and each RCPT's codes: "250 250 530"
codes() { awk '$1 == "MAIL" || $1 == "RCPT" { printf "%s%s", s, $2; s = " " } END { print "" }'; }
# sends NAME WANT FROM TO [SWAKS OPTIONS...], on $PORT
PORT=$port_tls
sends() {
	local name=$1 want=$2 from=$3 to=$4 got
	shift 4
	got=$(smtp "$PORT" "$from" "$to" "$@")
	if [ "$(codes <<<"$got")" = "$want" ]; then ok "$name"
	else not_ok "$name" "wanted $want, got: $got"; fi
}
C='' T12='-tls --tls-protocol tlsv1_2' T13='-tls --tls-protocol tlsv1_3'
A=a@x.example B=b@example.org
# three NAME CLEAR TLS1.2 TLS1.3 FROM TO: what each of the three ways is answered
three() {
	sends "$1, clear" "$2" "$5" "$6" $C
	sends "$1, TLS 1.2" "$3" "$5" "$6" $T12
	sends "$1, TLS 1.3" "$4" "$5" "$6" $T13
}

# ---- modes ----

apply <<<'mode = none'
sends 'server has none, clear' '250 250' $A $B
like 'server has none: STARTTLS is refused, mail goes on in clear' \
    "$(converse "$PORT" 'EHLO x' STARTTLS "MAIL FROM:<$A>" QUIT | tr '\n' ' ')" '^220 .*250 .*502 5\.5\.1 .*250 .*221'

apply <<-END
mode = offer
[domain example.org]
mode = require
[domain .below.example]
mode = require
[domain open.below.example]
mode = offer
END
three 'domain requires' '250 530' '250 250' '250 250' $A $B
three 'suffix requires' '250 530' '250 250' '250 250' $A b@deep.below.example
sends 'no legal name below a suffix' '250 530' $A b@a-.below.example
sends 'the exact name is stronger than the suffix' '250 250' $A b@open.below.example
sends 'the suffix is not the name itself' '250 250' $A b@below.example
sends 'upper case, mixed' '250 530' $A B@ExAmPlE.ORG
sends 'several recipients, clear' '250 530 250 530 250' $A \
    "$B,b@other.example,c@deep.below.example,d@open.below.example"
sends 'several recipients, TLS' '250 250 250 250 250' $A \
    "$B,b@other.example,c@deep.below.example,d@open.below.example" $T13
sends 'null sender' '250 530' '<>' $B

apply <<-END
mode = require
[domain example.org]
mode = none
END
sends 'domain weaker than the server: exempt' '250 250' $A $B
sends 'and the others are not' '250 530' $A b@other.example
sends 'both in one transaction' '250 250 530' $A "$B,b@other.example"

apply <<-END
[peer partner.example]
mode = require
min_tls = 1.3
[peer .partner.example]
mode = require
END
three 'peer requires TLS 1.3' '530' '554' '250 250' a@partner.example $B
three 'below the peer' '530' '250 250' '250 250' a@mail.partner.example $B
three 'others' '250 250' '250 250' '250 250' $A $B
like 'the reply names version and sender' "$(smtp "$PORT" a@partner.example $B $T12 | reply MAIL)" \
    '^554 5\.7\.1 .*1\.2.*1\.3.*partner\.example'

apply <<-END
mode = offer
min_bits = 256
[domain example.org]
mode = require
END
sends 'too few bits' '250 554' $A $B $T12 --tls-cipher ECDHE-ECDSA-AES128-GCM-SHA256
sends 'enough bits' '250 250' $A $B $T12 --tls-cipher ECDHE-ECDSA-AES256-GCM-SHA384

apply <<-END
[domain mx.example.org]
mode = require
END
like 'an address without a domain is of the name in the greeting' \
    "$(converse "$PORT" 'EHLO x' "MAIL FROM:<$A>" 'RCPT TO:<postmaster>' QUIT | sed -n 4p)" '^530'
like 'and one that ends in @ too' \
    "$(converse "$PORT" 'EHLO x' "MAIL FROM:<$A>" 'RCPT TO:<postmaster@>' QUIT | sed -n 4p)" '^530'

# ---- listeners, client networks ----

apply <<-END
mode = offer
[listener 127.0.0.1:$port_plain]
mode = none
[listener 127.0.0.1:$port_submission]
mode = require
[listener [::1]:$port_v6]
mode = require
END
sends 'a listener of its own: the others' '250 250' $A $B
PORT=$port_submission sends 'a listener of its own, clear' '530' $A $B
PORT=$port_submission sends 'a listener of its own, TLS' '250 250' $A $B $T13
PORT=$port_plain sends 'a listener without TLS' '250 250' $A $B
PORT=$port_smtps sends 'smtps' '250 250' $A $B --tls-on-connect
v6() { swaks --server ::1 --port "$port_v6" --ehlo c -f $A -t $B --suppress-data "$@" 2>&1 | smtp_replies | codes; }
if swaks --server ::1 --port "$port_v6" --quit-after BANNER >/dev/null 2>&1; then
	is 'IPv6 listener, clear' "$(v6)" 530
	is 'IPv6 listener, TLS' "$(v6 -tls)" '250 250'
else
	skip 'IPv6 listener' 'no IPv6 for swaks here'
fi
apply <<-END
mode = require
[domain example.org]
mode = require
[client 127.0.0.0/8]
mode = offer
[client 127.0.0.2/32]
mode = require
END
sends 'client network, clear' '250 250' $A b@other.example
sends 'client network: the longest prefix' '530' $A b@other.example --local-interface 127.0.0.2
sends 'client network: a domain overrides it' '250 530' $A $B

# ---- certificates, as far as smtpd tells ----

apply <<-END
mode = offer
[listener 127.0.0.1:$port_verify]
client_cert = require
verifies = yes
[peer certs.example]
client_cert = require
END
PORT=$port_verify sends 'verifying listener with a certificate' '250 250' $A $B -tls \
    --tls-cert "$T/client.pem" --tls-key "$T/client.key"
PORT=$port_verify sends 'verifying listener without' '' $A $B -tls
sends 'a peer that needs a certificate where none is asked for: deferred' '451' a@certs.example $B $T13
PORT=$port_submission sends 'the same, logged in: exempt' '250 250' a@certs.example $B -tls \
    --auth PLAIN --auth-user joe --auth-password secret
PORT=$port_submission sends 'the same, wrong password' '' a@certs.example $B -tls \
    --auth PLAIN --auth-user joe --auth-password wrong

# ---- report, exemptions ----

apply <<-END
mode = require
enforce = report
[domain example.org]
mode = require
enforce = yes
END
sends 'report: accepted' '250 250' $A b@other.example
check 'report: logged as what it would be' await_log 2 smtpd 'decision=report .*reason=tls-missing'
sends 'report: a domain that enforces' '250 530' $A $B

apply <<<'mode = require'
inside() { nsenter -m -r -t "${PIDS[smtpd]}" "$@"; }
printf 'Subject: local\n\nover the socket\n' |
    inside setpriv --regid opensmtpq --clear-groups "$SERVERS/opensmtpd/usr/sbin/sendmail" -f a@mx.example.org b@example.org 2>"$T/local.err"
is 'the local socket is exempt' "$? $(cat "$T/local.err")" '0 '
check 'and its mail arrives' wait_for 5 grep -q 'over the socket' "$T/mail/smtpd"

# ---- counters ----

# figure SECTION NAME FIELD, of tlsward status
figure() {
	"$TLSWARD" status -c "$INI" --all --json | awk -v s="$1" -v n="$2" -v f="$3" -F'"' '
	    $2 == "section" { sec = $4 } $2 == "name" { name = $4 }
	    $2 == f && sec == s && name == n { gsub(/[^0-9]/, "", $3); print $3; exit }'
}
# since SECTION NAME: accepted in clear, over TLS, refused, would be refused, after
# `base SECTION NAME` or ever
declare -A BASE=()
base() { local f; for f in clear tls refused would_refuse; do BASE[$1$f]=$(figure "$@" $f); done; }
since() {
	local f
	for f in clear tls refused would_refuse; do
		echo $(($(figure "$@" $f) - ${BASE[$1$f]:-0}))
	done | paste -sd ' '
}
apply <<-END
mode = offer
[domain count.example]
mode = require
[peer counted.example]
mode = require
END
base server ''
for i in 1 2 3; do smtp "$PORT" $A b@count.example >/dev/null; done
for i in 1 2; do smtp "$PORT" $A b@count.example -tls >/dev/null; done
smtp "$PORT" $A "b@count.example,c@count.example" >/dev/null
for i in 1 2 3 4; do smtp "$PORT" a@counted.example $B >/dev/null; done
smtp "$PORT" a@counted.example $B -tls >/dev/null
is 'counted in clear, over TLS, refused: the domain, a recipient each' "$(since domain count.example)" '0 2 5 0'
is 'the peer, a sender each' "$(since peer counted.example)" '0 1 4 0'
is 'the server, a sender each' "$(since server '')" '4 3 4 0'

# try.example is weaker than the server, so that all is decided at RCPT TO
apply <<-END
mode = offer
[domain count.example]
mode = require
[domain try.example]
mode = require
enforce = report
[peer counted.example]
mode = require
END
base server ''
smtp "$PORT" $A "b@count.example,b@try.example,$B" >/dev/null
is 'would be refused: the domain' "$(since domain try.example)" '1 0 0 1'
is 'would be refused: the server, a recipient each' "$(since server '')" '2 0 1 1'
apply <<-END
[peer counted.example]
mode = require
END
smtp "$PORT" a@counted.example $B >/dev/null
is 'counted: a fifth' "$(figure peer counted.example refused)" 5

# ---- nothing was restarted, and nothing breaks it ----

n=$(loads)
printf '[server]\nmode = sometimes\n' | write_ini
check 'malformed settings: the log has file and line' await_log 2 smtpd 'tlsward\.ini:2: .*none, offer or require'
head -c 3000 /dev/urandom >"$T/noise"; cp "$T/noise" "$INI"
sleep 1
sends 'malformed settings: the last good ones hold' '530' a@counted.example $B
is 'malformed settings: none were taken' "$(loads)" "$n"
apply <<<'mode = require'
sends 'good ones again' '530' $A $B
running smtpd && ok 'smtpd never stopped' || not_ok 'smtpd never stopped' "$(tail -n 5 "$T/smtpd.log")"
[ "${SLOWEST:-9999}" -lt 1000 ] && ok 'each change was read within a second' ||
    not_ok 'each change was read within a second' "the slowest took $SLOWEST ms"
note "the slowest change was read after $SLOWEST ms"
unlike 'no line of smtpd was malformed' "$(log_of smtpd)" 'malformed line|is unknown: |log lines lost'
check 'smtpd ends, and the filter with it' stop smtpd

# ---- at the start ----

printf '[server]\nmode = sometimes\n' | write_ini
start_smtpd smtpd2 "$T/smtpd.conf" >/dev/null &&
    not_ok 'smtpd does not start with malformed settings' || ok 'smtpd does not start with malformed settings'
like 'and says why' "$(log_of smtpd2)" 'tlsward\.ini:2: .*none, offer or require'

# ---- the sample ----

sed "s,/etc/tlsward/certs/,$T/,; s,/etc/aliases,$T/aliases," "$TOP/conf/smtpd.conf" >"$T/sample.conf"
echo 'root: nobody' >"$T/aliases"
is 'conf/smtpd.conf is valid' "$("$SERVERS/opensmtpd/usr/sbin/smtpd" -n -f "$T/sample.conf" 2>&1)" 'configuration OK'
done_testing
