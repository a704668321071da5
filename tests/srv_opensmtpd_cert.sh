#!/bin/bash
# Client certificates in a real OpenSMTPD 7.4: pins that the filter gets from
# smtpd's log by a real rsyslogd and by a real journald, in time, late and not
# at all, and listeners that do not verify though the settings say so.
# timeout 600
. "$(dirname "$0")/lib.sh"
need_servers opensmtpd
need_cmd swaks openssl
need_built filter-tlsward tlsward
RSYSLOG=$SERVERS/rsyslog/usr
[ -x "$RSYSLOG/sbin/rsyslogd" ] || skip_all "needs build/servers/rsyslog (make deps-test)"

# ---- certificates: c1 to c5 of one CA; in its bundle `own` and `plain`, self-signed, and
# `leaf` of a CA that is not; `alien` in nothing ----

make_cert
make_state
EC='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
self_signed() {
	openssl req -x509 $EC -days 10 -subj "/CN=$1" -keyout "$T/$1.key" -out "$T/$1.pem" "${@:2}" 2>/dev/null ||
	    die "openssl req failed"
}
self_signed ca -addext keyUsage=critical,keyCertSign,cRLSign
self_signed ca2 -addext keyUsage=critical,keyCertSign,cRLSign
self_signed own
self_signed plain -addext basicConstraints=critical,CA:FALSE
self_signed alien
signed() { # NAME CA
	openssl req $EC -subj "/CN=$1" -keyout "$T/$1.key" -out "$T/csr" 2>/dev/null
	openssl x509 -req -in "$T/csr" -CA "$T/$2.pem" -CAkey "$T/$2.key" -CAcreateserial -days 10 \
	    -out "$T/$1.pem" 2>/dev/null || die "openssl x509 failed"
}
for i in 1 2 3 4 5; do signed c$i ca; done
signed leaf ca2
cat "$T/ca.pem" "$T/own.pem" "$T/plain.pem" "$T/leaf.pem" >"$T/bundle.pem"
cat "$T/c2.pem" "$T/own.pem" "$T/plain.pem" "$T/leaf.pem" >"$T/pins.pem"
chmod 0644 "$T"/*.pem
print() { openssl x509 -in "$T/$1.pem" -outform DER | sha256sum | sed 's/ .*//; s/^/SHA256:/'; }

# ---- an smtpd, its log to rsyslogd, from there to the filter ----

for p in verify smtps liar plain; do free_port "port_$p"; done
rules() { # further lines from standard input
	cat <<-END
	[ca partners]
	file = $T/bundle.pem
	[listener 127.0.0.1:$port_verify]
	verifies = yes
	ca = partners
	[listener 127.0.0.1:$port_smtps]
	verifies = yes
	ca = partners
	[listener 127.0.0.1:$port_liar]
	verifies = yes
	ca = partners
	[peer fp.example]
	client_cert = require
	fingerprints = $(print c1)
	[peer certs.example]
	client_cert = require
	certs = $T/pins.pem
	[peer spki.example]
	client_cert = require
	fingerprints = SPKI-$(print c1)
	[peer names.example]
	client_cert = require
	[peer unread.example]
	client_cert = require
	certs = $T/no-such-file.pem
	[domain pinned.example]
	client_cert = require
	cert_names = pinned.example
	fingerprints = $(print c1)
	$(for i in 1 2 3 4 5; do printf '[peer p%d.example]\nclient_cert = require\nfingerprints = %s\n' $i "$(print c$i)"; done)
	END
	cat
}
ini() { { printf '[server]\nstate_dir = %s\n' "$1"; cat; } | write_ini; }
rules </dev/null | ini "$STATE"
{
	smtpd_conf "$port_plain" "$FILTER -v -c $INI" | sed '/^action\|^match/d'
	echo "ca \"partners\" cert \"$T/bundle.pem\""
	h='pki "mx" hostname mx.example.org filter "tlsward"'
	echo "listen on 127.0.0.1 port $port_verify tls-require verify ca \"partners\" $h"
	echo "listen on 127.0.0.1 port $port_smtps smtps verify ca \"partners\" $h"
	echo "listen on 127.0.0.1 port $port_liar tls ca \"partners\" $h"
	smtpd_conf 1 | grep '^action\|^match'
} >"$T/smtpd.conf"

FEED=$STATE/opensmtpd/feed
MAILLOG=$T/maillog.log
sed "s,/var/lib/tlsward/opensmtpd/feed,$FEED,; /^if/s,OPENSMTPD_UID,$(id -u opensmtpd)," "$TOP/conf/rsyslog-tlsward.conf" >"$T/rsyslog-tlsward.conf"
cat >"$T/rsyslog.conf" <<-END
	global(workDirectory="$T")
	module(load="imuxsock" SysSock.Use="off")
	input(type="imuxsock" Socket="$T/smtpd.syslog" CreatePath="off" Annotate="on" ParseTrusted="on")
	include(file="$T/rsyslog-tlsward.conf")
	*.* action(type="omfile" file="$MAILLOG")
END
start_rsyslog() {
	rm -f "$T/smtpd.syslog"
	start rsyslogd "$RSYSLOG/sbin/rsyslogd" -n -iNONE -M "$RSYSLOG/lib/x86_64-linux-gnu/rsyslog" \
	    -f "$T/rsyslog.conf"
	wait_for 5 test -S "$T/smtpd.syslog"
	chmod 0666 "$T/smtpd.syslog"
}
SMTPD=$SERVERS/opensmtpd/usr/sbin/smtpd
is 'the sample for rsyslog is valid' "$("$RSYSLOG/sbin/rsyslogd" -N1 -M "$RSYSLOG/lib/x86_64-linux-gnu/rsyslog" \
    -f "$T/rsyslog.conf" 2>&1 | grep -i 'error\|warn')" ''
check 'rsyslogd starts' start_rsyslog
check 'smtpd starts' start_smtpd smtpd "$T/smtpd.conf" "$SMTPD" -F -f "$T/smtpd.conf"
running smtpd || done_testing
logged() { wait_for 3 grep -Eq -- "$1" "$MAILLOG"; }
check 'the log arrives' logged 'filter-tlsward|tlsward: .*settings are in force'

# with CERT FROM TO [SWAKS OPTIONS...]: the codes of MAIL and RCPT, on $PORT
codes() { awk '$1 == "MAIL" || $1 == "RCPT" { printf "%s%s", s, $2; s = " " } END { print "" }'; }
with() { smtp "$PORT" "$2" "$3" ${TLS--tls} --tls-cert "$T/$1.pem" --tls-key "$T/$1.key" "${@:4}" | codes; }
# lapse VERB CERT FROM TO: its reply's code, and how many ms it took
lapse() {
	swaks --server "127.0.0.1:$PORT" --ehlo client.example -f "$3" -t "$4" --timeout 10 --suppress-data \
	    --show-time-lapse -tls --tls-cert "$T/$2.pem" --tls-key "$T/$2.key" 2>&1 |
	    awk -v verb="$1" '/^ ~> / { on = $2 == verb }
		on && /response in/ { sub(/s$/, "", $4); ms = int($4 * 1000) }
		on && /^<[~*]/ { print $2, ms; exit }'
}
B=b@example.org
PORT=$port_verify

# ---- pins ----

pins() { # HOW: the same whoever carries the log
	is "$1: fingerprint matches" "$(with c1 a@fp.example $B)" '250 250'
	is "$1: fingerprint differs" "$(with c2 a@fp.example $B)" '554'
	is "$1: one of the certs" "$(with c2 a@certs.example $B)" '250 250'
	is "$1: none of the certs" "$(with c1 a@certs.example $B)" '554'
	is "$1: pinned self-signed ones" "$(with own a@certs.example $B) $(with plain a@certs.example $B)" \
	    '250 250 250 250'
	is "$1: at RCPT TO" "$(with c1 a@x.example "$B,b@pinned.example") $(with c2 a@x.example "$B,b@pinned.example")" \
	    '250 250 250 250 250 554'
}
pins rsyslog
PORT=$port_smtps TLS=--tls-on-connect is 'smtps: fingerprint matches' "$(with c1 a@fp.example $B)" '250 250'
PORT=$port_smtps TLS=--tls-on-connect is 'smtps: fingerprint differs' "$(with c2 a@fp.example $B)" '554'
is 'one that the CA file does not hold ends the handshake' "$(with alien a@fp.example $B)" ''
is 'so does one that it holds without the CA that signed it' "$(with leaf a@certs.example $B)" ''
is 'names are not known: deferred' "$(with c1 a@names.example $B)" '451'
is 'a key pin is not known: deferred' "$(with c1 a@spki.example $B)" '451'
is 'a certs file that cannot be read: deferred' "$(with c1 a@unread.example $B)" '451'
check 'and said in the log' logged 'pins cannot be compared: .*no-such-file\.pem'
cp "$T/c1.pem" "$T/pins.new"; chmod 0644 "$T/pins.new"; mv "$T/pins.new" "$T/pins.pem"
is 'certs replaced: the new one' "$(with c1 a@certs.example $B)" '250 250'
is 'certs replaced: the old one' "$(with c2 a@certs.example $B)" '554'
cat "$T/c2.pem" "$T/own.pem" "$T/plain.pem" >"$T/pins.pem"
is 'where no certificate is asked for: deferred' "$(PORT=$port_plain with c1 a@fp.example $B)" '451'

# ---- fifty sessions at once, each its own certificate ----

parallel() {
	local i own pids=() bad=0 want
	for ((i = 0; i < 50; i++)); do
		own=$((i % 5 + 1)) want=$((i / 5 % 2 ? (i + 1) % 5 + 1 : own))
		{ with c$own "a@p$want.example" $B; echo "$own $want"; } >"$T/par.$i" &
		pids+=($!)
	done
	wait "${pids[@]}"
	for ((i = 0; i < 50; i++)); do
		{ read -r got; read -r own want; } <"$T/par.$i"
		[ $own = $want ] && [ "$got" = '250 250' ] && continue
		[ $own != $want ] && [ "$got" = 554 ] && continue
		echo "session $i: c$own from p$want: $got"
		bad=1
	done
	return $bad
}
check 'fifty sessions at once' parallel

# ---- a feed that is late ----

read -r code ms <<<"$(lapse MAIL c1 a@fp.example $B)"
note "rsyslog: MAIL FROM answered after ${ms:-?} ms"
check 'rsyslog: in time' test "$code" = 250 -a "${ms:-9999}" -lt 700
# A relay that can be stopped: stopping rsyslogd would stop smtpd, too.
mkdir -p "$T/relayed/opensmtpd"
chown opensmtpd "$T/relayed/opensmtpd"
rules </dev/null | ini "$T/relayed"
wait_for 3 test -p "$T/relayed/opensmtpd/feed"
start relay sh -c "exec cat <$FEED >$T/relayed/opensmtpd/feed"
is 'relayed: matches' "$(with c1 a@fp.example $B)" '250 250'
kill -STOP "${PIDS[relay]}"
lapse MAIL c1 a@fp.example $B >"$T/late" & late=$!
sleep 0.5
read -r code ms <<<"$(lapse MAIL c2 a@x.example $B)"
check "while one waits, others do not ($code after $ms ms)" test "$code" = 250 -a "${ms:-9999}" -lt 500
wait $late
read -r code ms <"$T/late"
check "stopped: deferred after a second ($code after $ms ms)" test "$code" = 451 -a "${ms:-0}" -ge 990 -a "${ms:-0}" -lt 2000
read -r code ms <<<"$(lapse RCPT c1 a@x.example b@pinned.example)"
check "stopped: RCPT TO, too ($code after $ms ms)" test "$code" = 451 -a "${ms:-0}" -ge 990 -a "${ms:-0}" -lt 2000
since=$(now_ms)
is 'stopped: one wait a session' "$(with c1 a@x.example b@pinned.example,c@pinned.example,d@pinned.example,$B)" \
    '250 451 451 451 250'
check 'and not one a recipient' test $(($(now_ms) - since)) -lt 2500
checks() { grep -c 'cert-check' "$MAILLOG"; }
before=$(checks)
lapse MAIL c1 a@fp.example $B >"$T/late" & late=$!
wait_for 5 eval "[ \$(checks) -gt $before ]"	# its handshake is over
sleep 0.4
kill -CONT "${PIDS[relay]}"
wait $late
read -r code ms <"$T/late"
note "stopped and going on: $code after $ms ms"
is 'late, within the second: matches' "$code" 250
check 'the log says why' logged 'decision=defer reason=cert-unknown rule="peer fp\.example".*has not told the certificate.s fingerprint'
stop relay

# ---- a feed that cannot be ----

mkdir -p "$T/closed/opensmtpd"
rules </dev/null | ini "$T/closed"
check 'no feed: said in the log' logged 'no fingerprint will come: .*/closed/opensmtpd/feed: '
read -r code ms <<<"$(lapse MAIL c1 a@fp.example $B)"
check "no feed: deferred at once ($code after $ms ms)" test "$code" = 451 -a "${ms:-9999}" -lt 700
is 'no feed: said once' "$(sleep 2.5; grep -c 'no fingerprint will come' "$MAILLOG")" 1
is 'no feed: others are not concerned' "$(with c1 a@x.example $B)" '250 250'
chown opensmtpd "$T/closed/opensmtpd"
check 'the folder is given to the filter: open within seconds' logged 'feed of fingerprints is open'
rules </dev/null | ini "$STATE"
try_again() { [ "$(with c1 a@fp.example $B)" = '250 250' ]; }
check 'state_dir turned back' wait_for 5 try_again
rm "$FEED"
check 'the FIFO removed: made anew within a second' wait_for 2 test -p "$FEED"
kill -HUP "${PIDS[rsyslogd]}"
check 'and rsyslog finds it at a SIGHUP' wait_for 8 try_again

# ---- a listener that does not verify though the settings say so ----

# whole PORT [SWAKS OPTIONS...]: the code of the message's end
whole() {
	swaks --server "127.0.0.1:$1" --ehlo client.example -f a@x.example -t $B --timeout 10 "${@:2}" 2>&1 |
	    smtp_replies | awk '$1 == "." { print $2 }'
}
C1=(-tls --tls-cert "$T/c1.pem" --tls-key "$T/c1.key")
is 'honest: accepted' "$(whole "$port_verify" "${C1[@]}")" 250
is 'honest smtps: accepted' "$(whole "$port_smtps" --tls-on-connect "${C1[@]:1}")" 250
is 'in clear, no such claim: accepted' "$(whole "$port_plain")" 250
is 'lying: deferred at the end of the message' "$(whole "$port_liar" "${C1[@]}")" 451
is 'lying, without a certificate: the same' "$(whole "$port_liar" -tls)" 451
is 'lying, in clear: nothing was claimed' "$(whole "$port_liar")" 250
is 'lying, a forged line in the message: deferred' "$(whole "$port_liar" -tls \
    --add-header 'Received: from x (x [192.0.2.1])\n\tby mx.example.org (OpenSMTPD) with ESMTPS id 11111111 (TLSv1.3:X:256:YES)')" 451
check 'the log tells whoever runs smtpd' logged "listener 127\.0\.0\.1:$port_liar says .verifies = yes., but smtpd's Received line says"
check 'and has the decision' logged "decision=defer reason=cert-unknown rule=\"listener 127\.0\.0\.1:$port_liar\".*did not verify"
counted() {
	"$TLSWARD" status -c "$INI" --all --json | grep -A 40 "\"name\": *\"127.0.0.1:$port_liar\"" |
	    grep -Eq '"cert-unknown": *3'
}
check 'and is counted' wait_for 2 counted
rules </dev/null | sed "/:$port_liar\]/a enforce = report" | ini "$STATE"
report() { [ "$(whole "$port_liar" -tls)" = 250 ]; }
check 'lying, only reported: accepted' wait_for 3 report
check 'and logged' logged 'decision=report reason=cert-unknown'
rules <<<'[domain asks.example]
client_cert = require' | sed "s,^\[ca partners\],&\ncrl = $T/partners.crl," | ini "$STATE"
unsure() { [ "$(with c1 a@x.example b@asks.example)" = '250 451' ]; }
PORT=$port_verify
check 'a crl, at which smtpd does not look: deferred' wait_for 3 unsure
is 'but where a pin tells' "$(with c1 a@p1.example b@example.org)" '250 250'
rules </dev/null | ini "$STATE"

# ---- messages pass unchanged ----

line=$(head -c 50000 /dev/zero | tr '\0' y)
: >"$T/mail/smtpd"
converse "$port_plain" 'EHLO x' "MAIL FROM:<a@x.example>" "RCPT TO:<$B>" DATA \
    $'Subject: echo\r\nDate: x\r\nMessage-ID: <x@x.example>\r\n\r\n..dot\r\n\r\n| a|b ||\r\nlone\rcr\r\nends in cr\r\r\nReceived: x\r\n'"$line"$'\r\n\303\251\r\n  \r\n.' QUIT >/dev/null
check 'a message arrives' wait_for 5 grep -q $'^\303\251$' "$T/mail/smtpd"
is 'and is what was sent' "$(sed -n '/^Subject: echo/,$p' "$T/mail/smtpd" | sed '/^  $/q' | od -c)" \
    "$(printf 'Subject: echo\nDate: x\nMessage-ID: <x@x.example>\n\n.dot\n\n| a|b ||\nlone\rcr\nends in cr\r\nReceived: x\n%s\n\303\251\n  \n' "$line" | od -c)"

# ---- the feed is gone for good: smtpd goes on ----

unlike 'no line of smtpd was malformed' "$(cat "$MAILLOG")" 'malformed line|is unknown: |log lines lost'
stop rsyslogd
read -r code ms <<<"$(lapse MAIL c1 a@fp.example $B)"
check "rsyslogd is gone: deferred after a second ($code after $ms ms)" test "$code" = 451 -a "${ms:-0}" -ge 990
is 'others are not concerned' "$(with c1 a@x.example $B)" '250 250'
check 'smtpd ends, and the filter with it' stop smtpd

# ---- nobody reads the FIFO: rsyslog goes on ----

chmod 0600 "$FEED"
start_rsyslog
as() { setpriv --reuid "$1" --regid nogroup --clear-groups "${@:2}"; } # USER COMMAND...
if command -v logger >/dev/null; then
	for i in {1..2000}; do
		printf 'smtpd[1]: %016x smtp cert-check result="verified" fingerprint="SHA256:%064d"\n' "$i" 0
	done | as opensmtpd logger --socket "$T/smtpd.syslog" -t smtpd -p mail.info
	logger --socket "$T/smtpd.syslog" -t other -p mail.info the end
	check 'with nobody at the FIFO, the log is written all the same' logged 'other.*the end'
else
	skip 'with nobody at the FIFO' 'needs logger'
fi

# ---- nobody else writes smtpd's lines ----

stop rsyslogd
rm -f "$T/smtpd.syslog"
start reader sh -c "exec cat <>'$FEED'"
start_rsyslog
if command -v logger >/dev/null; then
	line='smtp cert-check result="verified" fingerprint="SHA256:0"'
	as nobody logger --socket "$T/smtpd.syslog" -t smtpd -p mail.info "1111111111111111 $line"
	logger --socket "$T/smtpd.syslog" -t smtpd -p mail.info "2222222222222222 $line"
	as opensmtpd logger --socket "$T/smtpd.syslog" -t smtpd -p mail.info "3333333333333333 $line"
	check "a line of smtpd's own user is handed over" await_log 5 reader 3333333333333333
	is 'of all others, none' "$(log_of reader | grep -c '1111111111111111\|2222222222222222')" 0
	check 'though they are in the log' logged '1111111111111111 smtp cert-check'
else
	skip 'a forged line' 'needs logger'
fi
stop reader
stop rsyslogd

# ---- verifies comes later ----

sed '/^\[listener/,/^ca =/d' "$INI" >"$T/next.ini"; write_ini <"$T/next.ini"
start_smtpd later "$T/smtpd.conf"
rules </dev/null | ini "$STATE"
check 'verifies that comes later: a restart is asked for' await_log 3 later 'says .verifies = yes. now.*restart smtpd'
is 'lines of messages were not asked for' "$(whole "$port_liar" -tls)" 250
rules <<<'[domain asks.example]
client_cert = require' | ini "$STATE"
is 'till then the claim is not believed' "$(PORT=$port_liar with c1 a@x.example b@asks.example)" '250 451'
check 'smtpd ends' stop later
start_smtpd again "$T/smtpd.conf"
is 'after it, it is' "$(PORT=$port_verify with c1 a@x.example b@asks.example)" '250 250'
check 'smtpd ends' stop again
rules </dev/null | ini "$STATE"

# ---- the journal ----

if [ -x /usr/lib/systemd/systemd-journald ] && command -v journalctl >/dev/null && [ -s /etc/machine-id ]; then
	# the sample's command, less the unit that there is none of here
	sed -n "/^ExecStart=/,/'\$/p" "$TOP/conf/tlsward-feed.service" |
	    sed -e "1s/^[^']*'//" -e '$s/'"'"'$//' -e "s,/var/lib/tlsward/opensmtpd,$STATE/opensmtpd," \
	    -e 's/--unit=opensmtpd.service/--identifier=smtpd/' >"$T/reader.sh"
	cat >"$T/journal.sh" <<-END
	mkdir -p /run/systemd/journal /run/log/journal
	[ ! -d /var/log/journal ] || mount -t tmpfs tmpfs /var/log/journal
	ln -sf /run/systemd/journal/dev-log /dev/log
	/usr/lib/systemd/systemd-journald & journald=\$!
	until [ -S /run/systemd/journal/dev-log ]; do sleep 0.1; done
	sh $T/reader.sh & reader=\$!
	"\$@" & server=\$!
	trap 'kill \$server' TERM
	until ! kill -0 \$server 2>/dev/null; do wait \$server; done
	kill \$reader \$journald
	wait
	END
	check 'smtpd starts with a journal' start_smtpd journal "$T/smtpd.conf" bash "$T/journal.sh" "$SMTPD" -F -f "$T/smtpd.conf"
	sleep 2		# journalctl is a while in coming
	pins journal
	read -r code ms <<<"$(lapse MAIL c1 a@fp.example $B)"
	note "journal: MAIL FROM answered after ${ms:-?} ms"
	check 'journal: in time' test "$code" = 250 -a "${ms:-9999}" -lt 700
	check 'smtpd ends' stop journal
else
	skip 'the journal' 'needs systemd-journald'
fi
done_testing
