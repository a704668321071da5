#!/bin/bash
# Draws conf/nms/dashboard.png: the panels of the dashboard, from what the real
# exporter gave while the filter and the Exim module decided on mail.  Grafana is
# not in Debian, so gnuplot draws them; the figures are as scraped, and the
# expressions are the dashboard's, with a window of 12 s instead of minutes.
#	tests/draw_dashboard.sh [TICKS [FILE]]
# A tick is three seconds.  Needs root, as the server tests do, and gnuplot-nox.
. "$(dirname "$0")/lib.sh"
. "$TOP/tests/nms.sh"
ticks=${1:-60} out=${2:-$TOP/conf/nms/dashboard.png}
PLANNED=1
command -v gnuplot >/dev/null || die "needs gnuplot (Debian: gnuplot-nox)"
[ "$(id -u)" -eq 0 ] || die "needs root"
[ -x "$SERVERS/snmp-exporter/usr/bin/prometheus-snmp-exporter" ] || die "needs make deps-test"
[ -x "$BUILD/tool/exim_call" ] || die "needs make tools"
cp "$BUILD/tool/exim_call" "$T/bin/"

nms_settings
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=partners \
    -keyout "$T/ca.key" -out "$T/ca.pem" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=mx.bank.example \
    -keyout "$T/client.key" -out "$T/client.csr" 2>/dev/null
printf 'subjectAltName=DNS:bank.example,DNS:mx.bank.example\nextendedKeyUsage=clientAuth\n' >"$T/ext"
openssl x509 -req -in "$T/client.csr" -CA "$T/ca.pem" -CAkey "$T/ca.key" -CAcreateserial -days 20 \
    -extfile "$T/ext" -out "$T/client.pem" 2>/dev/null
cert=$(openssl x509 -in "$T/client.pem" -outform DER | base64 -w0)
sed -i "s,^file = $T/late.pem\$,&,; /^\[ca partners\]/,\$s,late.pem,ca.pem," "$INI"
sed -i '/^\[peer bank/a client_cert = request\nca = partners' "$INI"

start_snmpd && start_agent && start_exporter "$TOP/conf/nms/snmp-exporter-0.21.yml" || exit 1
mkfifo "$T/smtpd"
start filter setpriv --reuid=opensmtpd --regid=opensmtpd --clear-groups \
    sh -c 'exec "$0" -c "$1" <"$2"' "$FILTER" "$INI" "$T/smtpd"
exec 7>"$T/smtpd"
smtpd_ready >&7
module_mail() { # TO: from the bank, with its certificate
	setpriv --reuid=Debian-exim --regid=Debian-exim --clear-groups "$T/bin/exim_call" "$MODULE" call tlsward_rcpt \
	    "$INI" "203.0.113.9|25|198.51.100.7|n|mx.bank.example" "TLS1.3|256|1|TLS_AES_256_GCM_SHA384" \
	    "$cert" a@bank.example "$1" >>"$T/module.log" 2>&1
}
mkdir "$T/scrapes"
n=0
for ((tick = 0; tick < ticks; tick++)); do
	next=$(($(now_ms) + 3000))
	# Waves of mail; at a third a sender without TLS begins, at two thirds it has learned.
	wave=$((4 + (tick % 20 < 10 ? tick % 20 : 20 - tick % 20) / 2))
	for ((i = 0; i < wave; i++)); do
		session $((n += 1)) a@any.example b@example.org TLSv1.3
		[ $((i % 2)) -eq 0 ] || session $((n += 1)) a@any.example b@open.example
		[ $((i % 3)) -gt 0 ] || session $((n += 1)) a@any.example b@mx.example.net TLSv1.2
		[ $((i % 4)) -gt 0 ] || session $((n += 1)) a@old.example b@open.example TLSv1.2
		[ $((i % 4)) -gt 1 ] || session $((n += 1)) a@bank.example b@open.example
		if [ $tick -gt $((ticks / 3)) ] && [ $tick -lt $((ticks * 2 / 3)) ]; then
			session $((n += 1)) a@any.example b@example.org
		fi
	done >&7
	module_mail b@example.org
	[ $((tick % 2)) -eq 0 ] || module_mail b@open.example
	{ echo "# at $(now_ms)"; scrape; } >"$T/scrapes/$(printf %04d $tick)"
	left=$((next - $(now_ms)))
	[ $left -le 0 ] || sleep "$((left / 1000)).$(printf %03d $((left % 1000)))"
done
exec 7>&-
/usr/bin/python3 "$TOP/tests/draw_dashboard.py" "$T/scrapes" "$T" || die "no figures"
[ -s "$T/plot.gp" ] && (cd "$T" && gnuplot plot.gp) || die "gnuplot failed"
cp "$T/dashboard.png" "$out" && echo "$out"
ls -l "$out"
exit 0
