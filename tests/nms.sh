# shellcheck shell=bash
# For scripts that show the counters to a network management system; source it
# behind lib.sh.  A gateway with rules and counters, traffic for it, and the
# exporter of Prometheus.

# nms_settings: the settings of the gateway, with two server certificates (one
# ends in ten days, one in 90) and a CA's.
nms_settings() {
	make_state
	make_cert
	make_cert late late.example.org
	openssl x509 -x509toreq -in "$T/late.pem" -signkey "$T/late.key" -out "$T/late.csr" 2>/dev/null
	openssl x509 -req -in "$T/late.csr" -signkey "$T/late.key" -days 90 -out "$T/late.pem" 2>/dev/null
	chmod 0644 "$T/late.key" "$T/mx.key"	# the agent's user looks whether they fit
	write_ini <<-END
	[server]
	mode = offer            ; the base
	certificate = mx
	ca = partners
	state_dir = $STATE
	[listener 198.51.100.7:25]
	mode = offer
	[client 203.0.113.0/24]
	mode = offer
	[domain example.org]
	mode = require
	[domain open.example]
	mode = offer
	[domain .example.net]
	min_tls = 1.2
	[peer bank.example]
	mode = require
	enforce = report        ; on trial
	[peer old.example]
	mode = require
	min_tls = 1.3
	[certificate mx]
	file = $T/mx.pem
	key = $T/mx.key
	[certificate late]
	file = $T/late.pem
	key = $T/late.key
	[ca partners]
	file = $T/late.pem
	[agent]
	probe_interval = 0      ; the listener is nobody's
	END
}
# session NUMBER FROM TO [TLS-VERSION]: the lines that smtpd writes to its filter
# for one session with one transaction.
session() {
	local id
	printf -v id '%016x' "$1"
	printf 'report|0.7|1.1|smtp-in|link-connect|%s|mail.client.example|pass|203.0.113.9:40001|198.51.100.7:25\n' "$id"
	[ -z "${4:-}" ] ||
	    printf 'report|0.7|1.1|smtp-in|link-tls|%s|%s:TLS_AES_256_GCM_SHA384:256\n' "$id" "$4"
	printf 'report|0.7|1.1|smtp-in|link-identify|%s|EHLO|mail.client.example\n' "$id"
	printf 'filter|0.7|1.1|smtp-in|mail-from|%s|%016x|%s\n' "$id" 1 "$2"
	printf 'filter|0.7|1.1|smtp-in|rcpt-to|%s|%016x|%s\n' "$id" 2 "$3"
	printf 'report|0.7|1.1|smtp-in|link-disconnect|%s\n' "$id"
}
smtpd_ready() { printf 'config|smtpd-version|7.4\nconfig|smtp-session-timeout|300\nconfig|subsystem|smtp-in\nconfig|ready\n'; }
# decide FILE: the filter, as the user whose folder of counters it is, on such lines.
decide() {
	local as=()
	[ "$(id -u)" -ne 0 ] || as=(setpriv --reuid=opensmtpd --regid=opensmtpd --clear-groups)
	"${as[@]}" "$FILTER" -c "$INI" <"$1" >/dev/null 2>>"$T/filter.log"
}

# start_exporter CONFIG: as shipped, with the names and passphrases of lib.sh's
# snmpd; listens on $EXPORTER_PORT.
start_exporter() {
	[ -n "${EXPORTER_PORT:-}" ] || free_port EXPORTER_PORT
	sed 's/monitor$/admin/; s/change-this-one/auth-passphrase/; s/and-this-one/priv-passphrase/' "$1" >"$T/exporter.yml"
	start exporter "$SERVERS/snmp-exporter/usr/bin/prometheus-snmp-exporter" \
	    --config.file="$T/exporter.yml" --web.listen-address="127.0.0.1:$EXPORTER_PORT"
	wait_for 20 listening "$EXPORTER_PORT"
}
# scrape: what the exporter has of the gateway, a series a line.
scrape() {
	/usr/bin/python3 -c 'import sys, urllib.request as u
try:
	print(u.build_opener(u.ProxyHandler({})).open(sys.argv[1], timeout=30).read().decode(), end="")
except Exception as e:
	print("# scrape failed:", e)' \
	    "http://127.0.0.1:$EXPORTER_PORT/snmp?module=tlsward&target=127.0.0.1:$SNMP_PORT"
}
