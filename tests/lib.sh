# shellcheck shell=bash
# The harness of the server tests; source it first:
#
#	. "$(dirname "$0")/lib.sh"
#	need_root; need_servers opensmtpd
#	...
#	done_testing
#
# TAP.  ok, not_ok, is, like, unlike, check and skip print one line each;
# skip_all ends a script whose needs are not met; done_testing prints the plan
# and must come last: a script without a plan counts as failed.
#
# Everything happens on loopback and below $T, a temporary folder that any user
# may search (the filter runs as opensmtpd, the module as Debian-exim), where
# the programs are copied to as well: a checkout below /root is closed to those
# users.  Servers are started in sessions of their own and ended by pid when
# the script ends, however it ends.  KEEP=1 keeps $T.

set -u
export LC_ALL=C
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${BUILD:-$TOP/build}
SERVERS=$BUILD/servers
TESTNAME=$(basename "$0" .sh)
T=$(mktemp -d "${TMPDIR:-/tmp}/tlsward-$TESTNAME.XXXXXX") || exit 1
chmod 0755 "$T"
mkdir "$T/bin" "$T/mail" "$T/etc"
declare -A PIDS=()	# name of a server -> its pid, also its process group
PORTS=()		# reserved ones
TESTS=0 FAILED=0 PLANNED=

FILTER=$T/bin/filter-tlsward
MODULE=$T/bin/exim_tlsward.so
AGENT=$T/bin/tlsward-agent
TLSWARD=$T/bin/tlsward
for _p in filter-tlsward exim_tlsward.so exim_tlsward_cert.so exim_tlsward_read.so tlsward-agent tlsward; do
	[ ! -e "$BUILD/$_p" ] || cp "$BUILD/$_p" "$T/bin/"
done
INI=$T/etc/tlsward.ini
AGENT_USER=daemon	# any user that Debian always has and that is no server's here
[ "$(id -u)" -ne 0 ] || chown $AGENT_USER: "$T/etc"
CERT=$T/mx.pem KEY=$T/mx.key

# ---- TAP ----

note() { printf '%s\n' "$*" | sed 's/^/# /'; }
ok() { TESTS=$((TESTS + 1)); echo "ok $TESTS - $1"; }
not_ok() { # NAME [DETAIL...]
	TESTS=$((TESTS + 1)) FAILED=$((FAILED + 1))
	echo "not ok $TESTS - $1"
	shift
	[ $# -eq 0 ] || note "$*"
}
skip() { TESTS=$((TESTS + 1)); echo "ok $TESTS - $1 # SKIP $2"; } # NAME WHY
skip_all() { PLANNED=1; echo "1..0 # SKIP $1"; exit 0; }
is() { # NAME GOT WANTED
	if [ "$2" = "$3" ]; then ok "$1"
	elif [ "${3//$'\n'/}" != "$3" ] && [ ${#3} -gt 400 ]; then	# a walk: what differs
		not_ok "$1" "$(diff <(printf '%s\n' "$3") <(printf '%s\n' "$2") | head -n 40)"
	else not_ok "$1" "wanted: $3" $'\n' "   got: $2"; fi
}
like() { # NAME GOT REGEX: one line of GOT matches the extended regex
	if printf '%s\n' "$2" | grep -Eq -- "$3"; then ok "$1"
	else not_ok "$1" "wanted a match of: $3"$'\n'"got: $2"; fi
}
unlike() {
	if printf '%s\n' "$2" | grep -Eq -- "$3"; then
		not_ok "$1" "wanted no match of: $3"$'\n'"got: $2"
	else ok "$1"; fi
}
check() { # NAME COMMAND...: ends with 0
	local name=$1 rc
	shift
	"$@" >"$T/.check" 2>&1	# no $(...): what it starts must be known here
	rc=$?
	if [ $rc -eq 0 ]; then ok "$name"
	else not_ok "$name" "$* ended with $rc: $(cat "$T/.check")"; fi
}
done_testing() {
	PLANNED=1
	echo "1..$TESTS"
	[ "$FAILED" -eq 0 ] || exit 1
	exit 0
}
die() { echo "$TESTNAME: $*" >&2; exit 1; }

# relay: the "ok WHAT" and "not ok WHAT" lines of a program on standard input, numbered;
# other lines as they are.
relay() {
	local line
	while IFS= read -r line; do
		case $line in
		'ok '*) ok "${line#ok }" ;;
		'not ok '*) not_ok "${line#not ok }" ;;
		*) printf '%s\n' "$line" ;;
		esac
	done
}

# ---- what a script needs ----

need_root() {
	[ "$(id -u)" -eq 0 ] || skip_all "needs root, to run mail servers as their own users"
}
need_unshare() {
	need_root
	unshare -m true 2>/dev/null || skip_all "needs a private mount namespace: unshare -m is forbidden here"
}
need_cmd() {
	local c
	for c; do
		command -v "$c" >/dev/null || skip_all "needs the program $c (make deps-test)"
	done
}
need_built() { # names in build/
	local p
	for p; do
		[ -e "$BUILD/$p" ] || skip_all "needs build/$p (make)"
	done
}
need_servers() { # opensmtpd exim-4.96 exim-4.98 snmpd
	local s
	for s; do
		[ -d "$SERVERS/$s" ] || skip_all "needs build/servers/$s (make deps-test)"
		case $s in
		opensmtpd) need_unshare ;;
		exim-*) need_root ;;
		esac
	done
}

# ---- time and ports ----

now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }
wait_for() { # SECONDS COMMAND...: until it ends with 0; 1 when time is up
	local end=$(($(now_ms) + $1 * 1000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(now_ms)" -lt $end ] || return 1
		sleep 0.02
	done
}
# Is the port taken by a TCP listener or a UDP socket?  /proc, to leave no
# connection in a server's log.
listening() {
	local hex
	hex=$(printf '%04X' "$1")
	awk -v p=":$hex\$" '$2 ~ p && ($4 == "0A" || FILENAME ~ /udp/) { found = 1 }
	    END { exit !found }' /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 2>/dev/null
}
# Sets the variable named to a free port below the ephemeral ones; no other
# script that runs now gets the same.
free_port() {
	local p tries
	for tries in {1..200}; do
		p=$((20000 + (RANDOM * 32768 + RANDOM) % 10000))
		mkdir "${TMPDIR:-/tmp}/tlsward-port.$p" 2>/dev/null || continue
		PORTS+=("$p")
		listening "$p" && continue
		printf -v "$1" '%s' "$p"
		return 0
	done
	die "no free port after $tries tries"
}

# ---- processes ----

alive() { kill -0 -- "-$1" 2>/dev/null; }	# anything of the process group left?
gone() { ! alive "$1"; }
running() { [ -n "${PIDS[$1]:-}" ] && kill -0 "${PIDS[$1]}" 2>/dev/null; } # NAME

start() { # NAME COMMAND...: in the background, output to $T/NAME.log
	local name=$1
	shift
	running "$name" && die "$name runs already"
	setsid "$@" </dev/null >>"$T/$name.log" 2>&1 &
	PIDS[$name]=$!
	disown $!
}
stop() { # NAME [SIGNAL]: ends it; 1 if it had to be killed
	local name=$1 pid=${PIDS[$1]:-}
	[ -n "$pid" ] || return 0
	unset "PIDS[$name]"
	kill "-${2:-TERM}" "$pid" 2>/dev/null
	wait_for 5 gone "$pid" && return 0
	kill -KILL -- "-$pid" 2>/dev/null
	wait_for 5 gone "$pid"
	return 1
}
log_of() { cat "$T/$1.log" 2>/dev/null; }
await_log() { # SECONDS NAME REGEX
	wait_for "$1" grep -Eq -- "$3" "$T/$2.log"
}

cleanup() {
	local rc=$? name p
	trap - EXIT
	trap '' INT TERM HUP
	for name in "${!PIDS[@]}"; do
		stop "$name"
	done
	for p in "${PORTS[@]}"; do
		rmdir "${TMPDIR:-/tmp}/tlsward-port.$p" 2>/dev/null
	done
	if [ $rc -ne 0 ] && [ -d "$BUILD/log" ]; then
		for p in "$T"/*.log; do
			[ -s "$p" ] && { echo "==> ${p##*/}"; tail -n 200 "$p"; }
		done >"$BUILD/log/$TESTNAME.servers" 2>/dev/null
	fi
	if [ -n "${KEEP:-}" ]; then echo "# kept $T"; else rm -rf "$T"; fi
	[ -n "$PLANNED" ] || [ "$rc" -ne 0 ] || rc=1
	exit $rc
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# ---- certificates ----

# make_cert [NAME [DNS...]]: a self-signed one, $T/NAME.pem and $T/NAME.key
# (ECDSA P-256, ten days or CERT_DAYS); mx for mx.example.org when nothing is named.
make_cert() {
	local name=${1:-mx} san='' d
	shift
	[ $# -gt 0 ] || set -- "$name.example.org"
	for d; do
		san="$san,DNS:$d"
	done
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "${CERT_DAYS:-10}" \
	    -subj "/CN=$1" -addext "subjectAltName=${san#,}" \
	    -keyout "$T/$name.key" -out "$T/$name.pem" 2>/dev/null || die "openssl req failed"
	# smtpd wants a key that root owns and others cannot read; Exim's user reads a copy.
	chmod 0600 "$T/$name.key"
	cp "$T/$name.key" "$T/$name.exim.key"
	chmod 0640 "$T/$name.exim.key"
	chgrp Debian-exim "$T/$name.exim.key" 2>/dev/null
	return 0
}

# ---- settings ----

# The INI of the test, from standard input; everybody may read it, and the agent's
# user owns it and its folder.
write_ini() {
	cat >"$INI.new" && chmod 0644 "$INI.new" &&
	    chown --reference="$T/etc" "$INI.new" && mv "$INI.new" "$INI"
}
# The state folder with the front ends' folders in it, owned as `tlsward setup` does.
make_state() {
	STATE=$T/state
	mkdir -p "$STATE/opensmtpd" "$STATE/exim" "$STATE/agent"
	chown opensmtpd "$STATE/opensmtpd" 2>/dev/null
	chown Debian-exim "$STATE/exim" 2>/dev/null
	chown $AGENT_USER: "$STATE/agent" 2>/dev/null
	chmod 0755 "$STATE" "$STATE"/*
}

# ---- OpenSMTPD ----

# smtpd_conf PORT [FILTER-COMMAND [LISTEN-OPTIONS]]: prints a configuration with
# one listener on 127.0.0.1 and the filter on it.  What is accepted is appended
# to $T/mail/smtpd.  No listener for local mail but smtpd's own socket.
smtpd_conf() {
	local filter=
	echo "pki \"mx\" cert \"$CERT\""
	echo "pki \"mx\" key \"$KEY\""
	if [ -n "${2:-}" ]; then
		echo "filter \"tlsward\" proc-exec \"$2\""
		filter='filter "tlsward"'
	fi
	echo "listen on 127.0.0.1 port $1 hostname mx.example.org ${3:-tls pki \"mx\"} $filter"
	echo "action \"keep\" mda \"cat >>$T/mail/smtpd\" virtual { \"@\" = \"nobody\" }"
	echo 'match from any for any action "keep"'
}

# start_smtpd NAME CONF [COMMAND...]: smtpd -d with a mount namespace of its
# own: its spool, /run (the control socket) and a resolver that asks nobody are
# private, and so is /dev, where `log` is a link to $T/NAME.syslog (a socket of
# the test's, if it makes one), so that neither the machine's log nor its spool
# sees anything.  COMMAND runs instead of "smtpd -d -f CONF".  Waits until each
# `port N` of CONF is open.
start_smtpd() {
	local name=$1 conf=$2 p
	shift 2
	[ $# -gt 0 ] || set -- "$SERVERS/opensmtpd/usr/sbin/smtpd" -d -f "$conf"
	mkdir -p "$T/$name.ns/spool" "$T/$name.ns/run" "$T/$name.ns/dev"
	chmod 0711 "$T/$name.ns/spool"
	chmod 0600 "$conf"
	: >>"$T/mail/smtpd"
	chown nobody "$T/mail/smtpd"
	start "$name" unshare -m "$TOP/tests/smtpd-ns.sh" "$T/$name.ns" "$T/$name.syslog" \
	    "$SERVERS/opensmtpd/usr/libexec/opensmtpd" "$@"
	for p in $(sed -n 's/^listen on.* port \([0-9]*\).*/\1/p' "$conf"); do
		wait_for 10 eval "listening $p || ! running $name"
		running "$name" && listening "$p" && continue
		note "smtpd did not start: $(tail -n 5 "$T/$name.log")"
		return 1
	done
}

# ---- Exim ----

# exim_conf PORT [LINES]: prints the main section of a configuration that
# listens on 127.0.0.1, with LINES (macros, main options, an .include) put in.
# Its data ACL accepts a message and drops it: nothing is delivered.  LINES set
# tls_*, acl_smtp_mail and acl_smtp_rcpt; further ACLs may follow the output,
# which ends in the ACL section.
exim_conf() {
	local spool=$T/exim-$1
	cat <<-END
	primary_hostname = mx.example.org
	qualify_domain = example.org
	exim_user = Debian-exim
	exim_group = Debian-exim
	spool_directory = $spool
	log_file_path = $spool/%slog
	pid_file_path = $spool/pid
	keep_environment =
	add_environment = PATH=/usr/bin:/bin
	local_interfaces = 127.0.0.1
	daemon_smtp_ports = $1
	host_lookup =
	rfc1413_query_timeout = 0s
	dns_ipv4_lookup =
	smtp_enforce_sync = false
	message_logs = false
	queue_only = true
	log_selector = +smtp_protocol_error +tls_cipher +incoming_interface
	acl_smtp_data = exim_take
	${2:-acl_smtp_rcpt = accept}
	begin acl
	exim_take:
	  warn logwrite = taken from=\$sender_address tls=\$tls_in_cipher
	  discard
	END
}
# The LINES that make an Exim obey $INI, its RCPT ACL accepting everything else.
exim_macros() {
	cp "$TOP/conf/exim-tlsward.conf" "$T/" || return 1	# where Exim's user can read it
	cat <<-END
	TLSWARD_INI = $INI
	TLSWARD_MODULE = $MODULE
	TLSWARD_RCPT_ACL = accept
	.include $T/exim-tlsward.conf
	END
}
# What an Exim writes to: its mainlog and paniclog.
exim_log() { cat "$T/exim-$1"/*log 2>/dev/null; } # PORT

# start_exim NAME VERSION CONF [COMMAND...]: VERSION is 4.96 or 4.98; waits for
# its port.  COMMAND runs instead of "exim4 -bdf -C CONF".
start_exim() {
	local name=$1 version=$2 conf=$3 port
	shift 3
	[ $# -gt 0 ] || set -- "$SERVERS/exim-$version/usr/sbin/exim4" -bdf -C "$conf"
	port=$(sed -n 's/^daemon_smtp_ports = //p' "$conf")
	mkdir -p "$T/exim-$port"
	chown Debian-exim:Debian-exim "$T/exim-$port"
	chown root:root "$conf"
	chmod 0644 "$conf"
	start "$name" "$@"
	wait_for 10 eval "listening $port || ! running $name"
	running "$name" && listening "$port" && return 0
	note "exim did not start: $(tail -n 5 "$T/$name.log") $(exim_log "$port" | tail -n 5)"
	return 1
}

# ---- SNMP ----

# The environment of every net-snmp program here: no file of the user's is read
# or written.
export SNMP_PERSISTENT_DIR=$T/snmp SNMPCONFPATH=$T/snmp
mkdir "$T/snmp"
AGENTX=$T/agentx
MIBDIRS=${MIBDIRS:-$(make -s -C "$TOP" print-MIBDIRS)}	# as in GNUmakefile
export -n MIBDIRS	# else the SNMP tools take it for their own
unset MIBS
BASE_OID=.1.3.6.1.4.1.8072.9999.9999

# start_snmpd [NAME]: a master on UDP $SNMP_PORT with AgentX at $AGENTX; v2c
# community public reads; community private and v3 user admin (authPriv) read
# and write.  SNMPD_MORE: further lines of its configuration.  Call it
# again after stop: same port, same socket.
start_snmpd() {
	local name=${1:-snmpd}
	[ -n "${SNMP_PORT:-}" ] || free_port SNMP_PORT
	cat >"$T/snmpd.conf" <<-END
	createUser admin SHA-256 "auth-passphrase" AES "priv-passphrase"
	rwuser admin priv
	com2sec reader default public
	com2sec writer 127.0.0.1 private
	group writers v2c writer
	access writers "" any noauth exact all all none
	group readers v2c reader
	group readers v1 reader
	view all included .1
	access readers "" any noauth exact all none none
	master agentx
	agentXSocket unix:$AGENTX
	agentXPerms 0666 0555
	${SNMPD_MORE:-}
	END
	rm -f "$AGENTX"
	start "$name" "$SERVERS/snmpd/usr/sbin/snmpd" -f -C -c "$T/snmpd.conf" -Lo -M /nonexistent -m "" \
	    -I -smux -x "unix:$AGENTX" -p "$T/snmpd.pid" "udp:127.0.0.1:$SNMP_PORT"
	wait_for 10 test -S "$AGENTX" && wait_for 10 listening "$SNMP_PORT" && return 0
	note "snmpd did not start: $(tail -n 5 "$T/$name.log")"
	return 1
}
# start_snmptrapd [NAME]: notifications to UDP $TRAP_PORT, in $T/NAME.log.
start_snmptrapd() {
	local name=${1:-snmptrapd}
	[ -n "${TRAP_PORT:-}" ] || free_port TRAP_PORT
	printf 'disableAuthorization yes\n' >"$T/snmptrapd.conf"
	start "$name" "$SERVERS/snmpd/usr/sbin/snmptrapd" -f -C -c "$T/snmptrapd.conf" -m "" -M "" \
	    -On -Lo "udp:127.0.0.1:$TRAP_PORT"
	wait_for 10 listening "$TRAP_PORT"
}
# start_agent [NAME [COMMAND...]]: tlsward-agent on $INI, or COMMAND; waits until
# it answers.
start_agent() {
	local name=${1:-agent}
	[ $# -eq 0 ] || shift
	[ $# -gt 0 ] || set -- "$AGENT" -c "$INI" -u $AGENT_USER -x "$AGENTX"
	start "$name" "$@"
	wait_for 10 agent_answers && return 0
	note "tlsward-agent does not answer: $(tail -n 5 "$T/$name.log")"
	return 1
}
agent_answers() {
	[[ $(snmpgetnext -v2c -c public -Onq -t 1 -r 0 -M "" -m "" "127.0.0.1:$SNMP_PORT" \
	    $BASE_OID 2>/dev/null) == $BASE_OID.* ]]
}
# snmp TOOL ARGUMENTS...: numeric, as the v3 user.
snmp() {
	local tool=$1
	shift
	"$tool" -v3 -u admin -l authPriv -a SHA-256 -A auth-passphrase -x AES -X priv-passphrase \
	    -On -t 2 -r 1 -M "" -m "" "127.0.0.1:$SNMP_PORT" "$@" 2>&1
}
snmp_get() { snmp snmpget -Oqv "$@"; }	# OID...: values only

# The index of a name in the domain and peer tables: IMPLIED, one arc an octet.
oid_of() {
	local s=$1 out='' i c
	for ((i = 0; i < ${#s}; i++)); do
		printf -v c '%d' "'${s:i:1}"
		out=$out.$((c & 255))
	done
	echo "${out#.}"
}

# ---- SMTP clients ----

# smtp PORT FROM TO[,TO] [SWAKS OPTIONS...]: one transaction by swaks; prints
# "VERB REPLY" for each command, the last line of a reply that has more.  The
# session may be refused anywhere: the status is always 0, the replies say it.
#	smtp $PORT a@partner.example b@example.org -tls --tls-protocol tlsv1_2
smtp() {
	local port=$1 from=$2 to=$3
	shift 3
	swaks --server "127.0.0.1:$port" --ehlo client.example -f "$from" -t "$to" \
	    --timeout 10 --suppress-data "$@" 2>&1 | smtp_replies
}
smtp_replies() {
	awk '{ sub(/\r$/, "") }
	/^ *(->|~>) / { cmd = /lines sent$/ ? "." : $2; next }
	/^<[-~*]+ / || /^ *<[-~*]+ / {
		line = $0; sub(/^ *<[-~*]+ +/, "", line)
		if (line ~ /^[0-9][0-9][0-9]-/) next
		if (cmd == "") cmd = "connect"
		print cmd, line; next }
	/^=== TLS started/ || /^\*\*\* / { print }'
}
# The reply to one verb, of those on standard input: reply MAIL.
reply() { sed -n "s/^$1 //p"; }

# s_client PORT [OPTIONS...]: a TLS session by openssl, its commands on standard
# input, for what swaks cannot do.
s_client() {
	local port=$1
	shift
	openssl s_client -connect "127.0.0.1:$port" -starttls smtp -crlf -quiet -ign_eof "$@" 2>&1
}
# converse PORT LINE...: a bare SMTP client in the shell, a few milliseconds a
# session: prints the last line of the greeting and of each reply.
converse() {
	local port=$1 line fd reply
	shift
	exec {fd}<>"/dev/tcp/127.0.0.1/$port" || return 1
	for line in '' "$@"; do
		[ -z "$line" ] || printf '%s\r\n' "$line" >&"$fd"
		while IFS= read -r -t 10 -u "$fd" reply; do
			[[ $reply == ???-* ]] || break
		done
		printf '%s\n' "${reply%$'\r'}"
	done
	exec {fd}>&-
}
# The reply in clear to RCPT TO (or to MAIL FROM, if that is refused):
# rcpt_reply PORT TO [FROM].
rcpt_reply() {
	converse "$1" 'EHLO client.example' "MAIL FROM:<${3-carol@partner.example}>" \
	    "RCPT TO:<$2>" QUIT 2>/dev/null | sed -n '3,4p' | grep -v '^250' || echo 250
}
