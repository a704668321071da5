#!/bin/bash
# The module in real Exims, 4.96 and 4.98: modes of server, domain and peer in
# clear and over TLS, client certificates, SNI, reports, exemptions, changes,
# and that nothing which fails lets mail in.
. "$(dirname "$0")/lib.sh"
need_root
need_cmd swaks openssl nm "${CC:-gcc}"
need_built exim_tlsward.so exim_tlsward_cert.so exim_tlsward_read.so tool/exim_call tool/make_ca
need_servers exim-4.96 exim-4.98

CALL=$BUILD/tool/exim_call

# ---- certificates: two of the server's, a CA's and two clients' ----

make_cert
make_cert other other.example.org
make_cert wild '*.wild.example.org'
make_cert stranger
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 10 -subj /CN=ca \
    -addext keyUsage=critical,keyCertSign,cRLSign -keyout "$T/ca.key" -out "$T/ca.pem" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=partner.example \
    -addext subjectAltName=DNS:partner.example -keyout "$T/client.key" -out "$T/client.csr" 2>/dev/null
openssl x509 -req -in "$T/client.csr" -CA "$T/ca.pem" -CAkey "$T/ca.key" -CAcreateserial -days 10 \
    -copy_extensions copy -out "$T/client.pem" 2>/dev/null || die "openssl x509 failed"
chmod 0644 "$T"/*.pem
pin() { openssl x509 -in "$1" -outform DER | sha256sum | sed 's/ .*//;s/^/SHA256:/'; }

# ---- an Exim with the macros ----

# run_exim NAME VERSION [LINES [INCLUDE]]: sets PORT; LINES go above the .include.
run_exim() {
	local name=$1 version=$2 inc=${4:-exim-tlsward.conf}
	free_port PORT
	exim_conf "$PORT" "helo_accept_junk_hosts = *
TLSWARD_INI = $INI
${3:-TLSWARD_MODULE = $MODULE}
.include $T/share/$inc" >"$T/$name.conf"
	cat >>"$T/$name.conf" <<-'END'
	acl_check_mail:
	  deny senders = spam@site.example
	       message = the site takes no spam
	  accept
	acl_check_rcpt:
	  deny local_parts = no
	       message = the site knows no such user
	  drop local_parts = gone
	  defer local_parts = later
	  discard local_parts = sink
	  accept
	begin authenticators
	plain:
	  driver = plaintext
	  public_name = PLAIN
	  server_prompts = :
	  server_condition = ${if eq{$auth3}{secret}}
	  server_set_id = $auth2
	  server_advertise_condition = *
	END
	start_exim "$name" "$version" "$T/$name.conf" || {
		not_ok "$name starts" "$(log_of "$name")"
		return 1
	}
}
mkdir "$T/share"
for f in exim-tlsward.conf exim-tlsward-debian.conf; do
	sed "s,/usr/local/share/tlsward,$T/share," "$TOP/conf/$f" >"$T/share/$f"
done

# settings [LINES]: [server] takes the lines that have no section of their own.
settings() {
	write_ini <<-END
	[server]
	certificate = mx
	state_dir = $STATE
	$1

	[certificate mx]
	file = $CERT
	key = $T/mx.exim.key
	[certificate other]
	file = $T/other.pem
	key = $T/other.exim.key
	names = other.example.org
	[certificate wild]
	file = $T/wild.pem
	key = $T/wild.exim.key
	names = *.wild.example.org
	[ca partners]
	file = $T/ca.pem
	END
}

# What the server answers to commands on standard input, in clear; each is sent
# when the one before it has been answered.
raw() {
	local line answer
	exec 7<>"/dev/tcp/127.0.0.1/$PORT" || return
	while IFS= read -r -t 10 answer <&7; do
		printf '%s\n' "${answer%$'\r'}"
		[[ $answer == [0-9][0-9][0-9]-* ]] && continue
		IFS= read -r line || break
		printf '%s\n' "$line" >&7
	done
	exec 7>&-
}

commands() { # FROM TO[,TO]
	local to
	IFS=, read -ra to <<<"$2"
	printf 'EHLO client.example\r\nMAIL FROM:<%s>\r\n' "${1//[<>]/}"
	printf 'RCPT TO:<%s>\r\n' "${to[@]}"
	printf 'QUIT\r\n'
}
# session FROM TO[,TO] [OPTIONS...]: the replies up to RCPT as smtp prints them.
# In clear by the shell, with options of s_client (-tls1_2 first, say) by that,
# with others by swaks, which takes ten times as long.
session() {
	local from=$1 to=$2
	shift 2
	case ${1:-} in
	'') commands "$from" "$to" | raw | replies ;;
	-tls1_*) commands "$from" "$to" | s_client "$PORT" "$@" | tr -d '\r' | replies ;;
	*) smtp "$PORT" "$from" "$to" "$@" ;;
	esac
}
# Those to MAIL and RCPT; Exim's greeting and the last line to EHLO are known.
replies() {
	awk '!/^[0-9][0-9][0-9] / || /^220 / || /^250 HELP/ { next }
	    /^221 / { print "QUIT", $0; next }
	    mail == "" { mail = $1; print "MAIL", $0; next }
	    mail ~ /^2/ { print "RCPT", $0 }'
}
# codes: the replies to MAIL and each RCPT as one line, "250 530"
codes() { awk '$1 == "MAIL" || $1 == "RCPT" { printf "%s%s", s, $2; s = " " } END { print "" }'; }
# sends NAME WANT FROM TO [OPTIONS...]: MAIL's and RCPT's codes
sends() {
	local name=$1 want=$2 got
	shift 2
	got=$(session "$@")
	if [ "$(codes <<<"$got")" = "$want" ]; then ok "$V: $name"
	else not_ok "$V: $name" "wanted $want, got: $got"; fi
}
T12=-tls1_2 T13=-tls1_3
WITH="-cert $T/client.pem -key $T/client.key"
UNKNOWN="-cert $T/stranger.pem -key $T/stranger.key"
SWAKS12='-tls --tls-protocol tlsv1_2' SWAKS13='-tls --tls-protocol tlsv1_3'

# ---- what it decides ----

modes() {
	local how
	settings 'mode = offer'
	sends 'server offers, clear' '250 250' a@x.example b@example.org --quit-after RCPT
	sends 'server offers, TLS 1.2' '250 250' a@x.example b@example.org $SWAKS12
	sends 'server offers, TLS 1.3' '250 250' a@x.example b@example.org $SWAKS13

	settings 'mode = require'
	sends 'server requires, clear' '530' a@x.example b@example.org
	sends 'server requires, null sender in clear' '530' '<>' b@example.org
	sends 'server requires, TLS 1.2' '250 250' a@x.example b@example.org $T12
	sends 'server requires, TLS 1.3' '250 250' a@x.example b@example.org $T13
	like "$V: the reply is ours" "$(session a@x.example b@example.org)" \
	    '^MAIL 530 5\.7\.0 Must issue a STARTTLS command first$'

	settings 'mode = none'
	sends 'server none, clear' '250 250' a@x.example b@example.org
	unlike "$V: server none, STARTTLS is not advertised" \
	    "$(printf 'EHLO x\r\nQUIT\r\n' | raw)" STARTTLS
	like "$V: server none, STARTTLS is refused" \
	    "$(printf 'EHLO x\r\nSTARTTLS\r\nQUIT\r\n' | raw)" '^503 '

	settings 'mode = offer
[domain secure.example]
mode = require
[domain .below.example]
mode = require
[peer partner.example]
mode = require'
	for how in "$T12" "$T13"; do
		sends "domain requires, $how" '250 250' a@x.example b@secure.example $how
		sends "peer requires, $how" '250 250' a@partner.example b@example.org $how
	done
	sends 'domain requires, clear' '250 530' a@x.example b@secure.example
	sends 'domain requires, upper case' '250 530' a@x.example B@Secure.EXAMPLE
	sends 'domain below a suffix, clear' '250 530' a@x.example b@deep.below.example
	sends 'below a suffix, no legal name, clear' '250 530' a@x.example b@a-.below.example
	sends 'the suffix itself, clear' '250 250' a@x.example b@below.example
	sends 'peer requires, clear' '530' a@partner.example b@example.org
	sends 'peer requires, upper case' '530' A@PARTNER.example b@example.org
	sends 'several recipients, each for itself' '250 250 530 250 530' a@x.example \
	    b@example.org,b@secure.example,c@example.org,b@x.below.example

	settings 'mode = require
[domain open.example]
mode = none
[peer legacy.example]
mode = none'
	sends 'domain exempt, clear' '250 250 530' a@x.example b@open.example,b@example.org
	sends 'peer exempt, clear' '250 250' a@legacy.example b@example.org
	sends 'min_tls 1.2 by default, TLS 1.2' '250 250' a@x.example b@example.org $T12

	settings 'mode = require
min_tls = 1.3'
	sends 'min_tls = 1.3, TLS 1.2' '554' a@x.example b@example.org $T12
	sends 'min_tls = 1.3, TLS 1.3' '250 250' a@x.example b@example.org $T13
	settings 'mode = require
min_bits = 300'
	sends 'min_bits = 300' '554' a@x.example b@example.org $T13

	settings "mode = offer
[listener 127.0.0.1:$PORT]
mode = require"
	sends 'listener requires, clear' '530' a@x.example b@example.org
	settings "mode = require
[client 127.0.0.0/8]
mode = offer"
	sends 'client network offers, clear' '250 250' a@x.example b@example.org
}

reports() {
	settings 'mode = offer
[domain watched.example]
mode = require
enforce = report
[peer partner.example]
mode = require
enforce = report'
	sends 'report: accepted' '250 250' a@x.example b@watched.example
	like "$V: report: a log line" "$(exim_log "$PORT")" \
	    ' tlsward: decision=report reason=tls-missing rule="domain watched.example".* to=b@watched.example'
	sends 'report: the site ACL decides on' '250 550 250' a@x.example \
	    no@watched.example,b@watched.example
	sends 'report: a site ACL that defers' '250 451' a@x.example later@watched.example
	sends 'report: a site ACL that discards' '250 250' a@x.example sink@watched.example
	sends 'report of a peer: accepted' '250 250' a@partner.example b@example.org
	settings 'enforce = report
mode = require'
	sends 'report at the server: accepted' '250 250' a@x.example b@example.org
	like "$V: report: the site's own words" "$(session a@x.example no@watched.example)" \
	    '^RCPT 550 the site knows no such user$'
}

site_acls() {
	settings 'mode = offer'
	sends 'the site RCPT ACL denies' '250 550' a@x.example no@example.org
	sends 'the site MAIL ACL denies' '550' spam@site.example b@example.org
	settings 'mode = require'
	sends 'site and tlsward: ours first' '530' spam@site.example b@example.org
}

client_certificates() {
	settings 'client_cert = none'
	unlike "$V: none: not asked" "$(openssl s_client -connect "127.0.0.1:$PORT" -starttls smtp -tls1_2 \
	    -msg </dev/null 2>&1)" CertificateRequest

	settings 'client_cert = request
ca = partners'
	like "$V: request: asked" "$(openssl s_client -connect "127.0.0.1:$PORT" -starttls smtp -tls1_2 \
	    -msg </dev/null 2>&1)" CertificateRequest
	sends 'request: clear' '250 250' a@x.example b@example.org
	sends 'request: none' '250 250' a@x.example b@example.org $T13
	sends 'request: untrusted' '250 250' a@x.example b@example.org $T13 $UNKNOWN
	sends 'request: trusted' '250 250' a@x.example b@example.org $T13 $WITH

	settings 'client_cert = require
ca = partners'
	sends 'require: clear' '530' a@x.example b@example.org
	for how in "$T12" "$T13"; do
		sends "require: none, $how" '554' a@x.example b@example.org $how
		sends "require: untrusted, $how" '554' a@x.example b@example.org $how $UNKNOWN
		sends "require: trusted, $how" '250 250' a@x.example b@example.org $how $WITH
	done
	sends 'require: AUTH exempts' '250 250' a@x.example b@example.org $SWAKS13 \
	    --auth PLAIN --auth-user u --auth-password secret
	sends 'require: a failed AUTH does not' '554' a@x.example b@example.org $SWAKS13 \
	    --auth-optional PLAIN --auth-user u --auth-password wrong
	settings 'client_cert = require
authenticated = enforce
ca = partners'
	sends 'require: AUTH does not exempt with enforce' '554' a@x.example b@example.org $SWAKS13 \
	    --auth PLAIN --auth-user u --auth-password secret

	settings "[listener 127.0.0.1:$PORT]
client_cert = require
verifies = yes
ca = partners"
	like "$V: verifies: no handshake without" "$(smtp "$PORT" a@x.example b@example.org $SWAKS12)" \
	    '^\*\*\* (TLS|Host)'
	sends 'verifies: trusted' '250 250' a@x.example b@example.org $T12 $WITH
	sends 'verifies: clear' '530' a@x.example b@example.org

	settings "ca = partners
[peer partner.example]
client_cert = require
ca = partners
fingerprints = $(pin "$T/client.pem")
[peer pinned.example]
client_cert = require
fingerprints = $(pin "$T/stranger.pem")
[domain bank.example]
client_cert = require
fingerprints = $(pin "$T/client.pem")"
	sends 'peer requires: clear' '530' a@partner.example b@example.org
	sends 'peer requires: none' '554' a@partner.example b@example.org $T13
	sends 'peer requires: another certificate' '554' a@partner.example b@example.org $T13 $UNKNOWN
	sends 'peer requires: the pinned one' '250 250' a@partner.example b@example.org $T13 $WITH
	sends 'peer pinned, without any CA' '250 250' a@pinned.example b@example.org $T12 $UNKNOWN
	sends 'domain requires: each for itself' '250 554 250' a@x.example \
	    b@bank.example,b@example.org $T13 $UNKNOWN
	sends 'domain requires: the pinned one' '250 250' a@x.example b@bank.example $T13 $WITH
	sends 'another sender: nothing asked' '250 250' a@x.example b@example.org $T13 $UNKNOWN
}

# ---- the certificate that the server shows ----

shown() { # SNI -> subject
	openssl s_client -connect "127.0.0.1:$PORT" -starttls smtp ${1:+-servername "$1"} \
	    </dev/null 2>/dev/null | sed -n 's/^subject=CN = //p'
}
sni() {
	local s
	settings 'mode = offer'
	is "$V: no SNI: the server's" "$(shown '')" mx.example.org
	is "$V: SNI of another certificate" "$(shown other.example.org)" other.example.org
	is "$V: SNI in upper case" "$(shown OTHER.example.org)" other.example.org
	is "$V: SNI of a wildcard" "$(shown a.wild.example.org)" '*.wild.example.org'
	is "$V: SNI two labels below a wildcard" "$(shown a.b.wild.example.org)" mx.example.org
	for s in unknown.example x..y - .wild.example.org "$(printf 'a%.0s' {1..250})"; do
		is "$V: SNI ${s:0:40}: the server's" "$(shown "$s")" mx.example.org
	done
	# GnuTLS lets no such name in; another library might.
	for s in ../../../../etc/passwd "$T/other.pem" 'a|b' '${primary_hostname}' 'other.example.org ' \
	    other.example.org/ $'other.example.org\n' '|||y|' "$(printf 'a%.0s' {1..70000})"; do
		is "SNI ${s:0:40} to the module: the server's" \
		    "$("$CALL" "$MODULE" call tlsward_certificate "$INI" '192.0.2.1|25|198.51.100.7|n|x' "$s" 2>&1)" \
		    "0 $CERT"
	done
	settings 'mode = offer
[listener 127.0.0.1:'"$PORT"']
certificate = other'
	is "$V: the listener's certificate" "$(shown '')" other.example.org
	write_ini <<<'[server]'
	sends 'no certificate set: a self-signed one' '250 250' a@x.example b@example.org $T13
}

# ---- changes ----

changes() {
	local line replies=
	settings 'mode = offer'
	exec 8<>"/dev/tcp/127.0.0.1/$PORT"
	printf 'EHLO x\r\nMAIL FROM:<a@x.example>\r\n' >&8
	while IFS= read -r -t 10 line <&8 && [[ $line != "250 OK"* ]]; do :; done
	settings 'mode = require'
	sends 'a change: the next session' '530' a@x.example b@example.org
	printf 'RCPT TO:<b@example.org>\r\nRSET\r\nMAIL FROM:<b@x.example>\r\nQUIT\r\n' >&8
	replies=$(timeout 10 cat <&8 | tr -d '\r' | cut -c1-3 | tr '\n' ' ')
	exec 8>&-
	is "$V: a change: an open session keeps its settings" "$replies" '250 250 250 221 '
	is "$V: a change is logged once, by the daemon" \
	    "$(exim_log "$PORT" | grep -c 'settings are in force')" "$(($1 + 2))"

	echo 'mode = sometimes' >>"$INI"
	sends 'settings with an error: the last good ones' '530' a@x.example b@example.org
	sends 'settings with an error: once more' '250 250' a@x.example b@example.org $T13
	is "$V: the error is logged once, with its line" \
	    "$(exim_log "$PORT" | grep -c "tlsward: $INI:[0-9]*: .*")" 1
	rm "$INI"
	sends 'settings gone: the last good ones' '530' a@x.example b@example.org
	settings 'mode = offer'
	sends 'settings mended' '250 250' a@x.example b@example.org
}

# ---- what a client may choose ----

strangers() {
	local log
	settings 'mode = require
[domain open.example]
mode = none'
	sends 'HELO with bars' '250 530' a@x.example b@example.org --ehlo '|y|||||y|x'
	sends 'HELO with braces' '250 530' a@x.example b@example.org --ehlo '}{y}${run{/bin/touch /}}'
	sends 'recipient with bars and quotes' '250 530' a@x.example '"b@open.example|y"@example.org'
	sends 'recipient that would expand' '250 530' a@x.example \
	    '"${run{/usr/bin/touch '"$T"'/owned}}"@example.org'
	sends 'sender that would expand' '250 530' '"$tls_in_ver{}"@x.example' b@example.org
	sends 'sender with a newline written out' '250 530' '"a\nb"@x.example' b@example.org
	check "$V: nothing was run" test ! -e "$T/owned"
	log=$(exim_log "$PORT")
	like "$V: the log has the text as it came" "$log" 'decision=refuse .*\$\{run\{/usr/bin/touch'
	unlike "$V: every decision starts its own text" "$log" '^decision='
}

# ---- nothing that fails lets mail in ----

# Each of these Exims requires TLS of partner.example.
PARTNER='mode = offer
[peer partner.example]
mode = require'

traps() {
	local missing=$T/none.so unreadable=$T/unreadable.so old=$INI
	settings "$PARTNER"

	run_exim "no-module-$V" "$V" "TLSWARD_MODULE = $missing" || return
	sends 'module missing: 451' '451' a@x.example b@example.org
	sends 'module missing: 451 after STARTTLS was refused' '451' a@x.example b@example.org \
	    --tls-optional
	like "$V: module missing: STARTTLS is 454" \
	    "$(printf 'EHLO x\r\nSTARTTLS\r\nMAIL FROM:<a@x.example>\r\nQUIT\r\n' | raw)" '^454 '
	stop "no-module-$V"

	cp "$MODULE" "$unreadable"
	chmod 0 "$unreadable"
	run_exim "unreadable-$V" "$V" "TLSWARD_MODULE = $unreadable" || return
	sends 'module unreadable: 451' '451' a@x.example b@example.org
	stop "unreadable-$V"

	INI=$T/bad-$V.ini
	run_exim "no-ini-$V" "$V" || return
	sends 'INI missing: 451' '451' a@x.example b@example.org
	like "$V: INI missing: STARTTLS is advertised" "$(printf 'EHLO x\r\nQUIT\r\n' | raw)" STARTTLS
	like "$V: INI missing: STARTTLS is 454, MAIL 451" \
	    "$(printf 'EHLO x\r\nSTARTTLS\r\nMAIL FROM:<a@x.example>\r\nQUIT\r\n' | raw |
	    tr '\n' ' ')" ' 454 .* 451 4\.3\.5 '
	like "$V: INI missing: the log says which" "$(exim_log "$PORT")" "tlsward: $INI: cannot be read"
	like "$V: INI missing: the decision is logged" "$(exim_log "$PORT")" \
	    'temporarily rejected MAIL .*decision=defer reason=settings'
	settings "$PARTNER"
	chmod 0 "$INI"
	sends 'INI unreadable: 451' '451' a@x.example b@example.org
	rm -f "$INI"
	mkdir "$INI"
	sends 'INI a folder: 451' '451' a@x.example b@example.org
	rmdir "$INI"
	printf '[server]\nmode = maybe\n' >"$INI"
	sends 'INI malformed: 451' '451' a@x.example b@example.org
	like "$V: INI malformed: the log says where" "$(exim_log "$PORT")" "tlsward: $INI:2: "
	head -c 5000 /dev/urandom >"$INI"
	sends 'INI garbage: 451' '451' a@x.example b@example.org
	settings "$PARTNER"
	sends 'INI mended, the peer in clear' '530' a@partner.example b@example.org
	sends 'INI mended, another in clear' '250 250' a@x.example b@example.org
	stop "no-ini-$V"

	INI=$T/cold-$V.ini
	settings "$PARTNER"
	run_exim "cold-$V" "$V" "TLSWARD_MODULE = $MODULE
TLSWARD_NO_PRELOAD = yes" || return
	sends 'no preload: the peer in clear' '530' a@partner.example b@example.org
	sends 'no preload: the peer over TLS' '250 250' a@partner.example b@example.org $T13
	unlike "$V: no preload: no line a connection" "$(exim_log "$PORT")" 'settings are in force'
	echo 'nonsense' >>"$INI"
	sends 'no preload, INI malformed: 451' '451' a@x.example b@example.org
	settings "$PARTNER"
	sends 'no preload, INI mended' '250 250' a@x.example b@example.org

	# The certificate cannot be read: STARTTLS is answered 454, and the client
	# goes on in clear.
	sed "s,^file = $CERT,file = $T/nothing.pem," "$INI" >"$INI.new"
	mv "$INI.new" "$INI"
	like "$V: 454, then the peer in clear" \
	    "$(printf 'EHLO x\r\nSTARTTLS\r\nMAIL FROM:<a@partner.example>\r\nQUIT\r\n' | raw |
	    tr '\n' ' ')" ' 454 .* 530 5\.7\.0 '
	sends '454, then another in clear' '250 250' a@x.example b@example.org --tls-optional

	# The same for the CA: the handshake fails, the rule stands.
	settings "client_cert = require
ca = partners"
	sed "s,^file = $T/ca.pem,file = $T/nothing.pem," "$INI" >"$INI.new"
	mv "$INI.new" "$INI"
	sends 'CA unreadable, clear' '530' a@x.example b@example.org
	unlike "$V: CA unreadable, TLS" "$(session a@x.example b@example.org $T13 $WITH)" '^RCPT 250'

	# Without a certificate Exim's digest would be that of a word.
	settings "mode = offer
[peer partner.example]
client_cert = require
fingerprints = SHA256:$(printf tls_in_peercert | sha256sum | cut -d' ' -f1)
[peer empty.example]
client_cert = require
fingerprints = SHA256:$(printf '' | sha256sum | cut -d' ' -f1)"
	sends 'no certificate is no digest of its name' '554' a@partner.example b@example.org $T13
	sends 'no certificate is no digest of nothing' '554' a@empty.example b@example.org $T13

	# A defer keeps our words: its first digit suits the verb.
	settings "mode = require"
	printf '[server]\nmode = x\n' >"$INI"
	like "$V: a defer has our reply" "$(session a@x.example b@example.org)" '^MAIL 451 4\.3\.5 '
	stop "cold-$V"

	# A module that answers something else, and one that fails in other ways.
	fake "$T/odd.so" 'return answer(y, "perhaps");'
	run_exim "odd-$V" "$V" "TLSWARD_MODULE = $T/odd.so
TLSWARD_NO_PRELOAD = yes" || return
	sends 'an answer that is none: 451' '451' a@x.example b@example.org
	stop "odd-$V"
	fake "$T/empty.so" '(void)y; return 0;'
	run_exim "empty-$V" "$V" "TLSWARD_MODULE = $T/empty.so
TLSWARD_NO_PRELOAD = yes" || return
	sends 'no answer: 451' '451' a@x.example b@example.org
	stop "empty-$V"
	INI=$old
}

# A module of that name whose every function does BODY.
fake() {
	{
		echo 'static int answer(unsigned char **y, const char *t) { *y = (unsigned char *)t; return 0; }'
		echo 'typedef unsigned char **Y; typedef unsigned char *A[];'
		sed -n 's/^	\(tlsward_[a-z]*\);/int \1(Y y, int n, A a);/p' "$TOP/filter/exim_tlsward.map"
		sed -n 's/^	\(tlsward_[a-z]*\);/int \1(Y y, int n, A a) { (void)n; (void)a; (void)answer; BODY }/p' \
		    "$TOP/filter/exim_tlsward.map" | sed "s/BODY/$2/"
	} >"$T/fake.c"
	${CC:-gcc} -shared -fPIC -o "$1" "$T/fake.c" || die "a fake module does not build"
	chmod 0755 "$1"
}

# Every failure of dlfunc in the ACL's conditions, messages and log lines (4 is a
# forced one, for which Exim skips a condition), and with an answer that is none.
# Where the ACL itself is chosen Exim takes a 4 for "accept": the module's functions
# never end so, which exim_call looks at below.
failing() {
	local f status verb cases=() replies i
	${CC:-gcc} -shared -fPIC -o "$T/failing.so" "$TOP/tests/exim_fail.c" || die "exim_fail.c does not build"
	run_exim "failing-$V" "$V" "TLSWARD_MODULE = $T/failing.so
TLSWARD_NO_PRELOAD = yes
TLSWARD_MAIL_ACL = acl_check_mail" || return
	sends 'a module that can fail, and does not' '250 250' a@x.example b@x.example
	for verb in deny defer perhaps; do
		cases+=("none-0-$verb")
		for f in verb reply log; do
			for status in 1 2 3 4; do
				cases+=("$f-$status-$verb")
			done
		done
	done
	for status in 1 2 3; do
		cases+=("mail-$status-deny" "rcpt-$status-deny")
	done
	# all in one session each: none leads to a transaction, or adds a recipient
	for verb in MAIL RCPT; do
		mapfile -t replies < <({
			printf 'EHLO x\r\n'
			[ $verb = MAIL ] || printf 'MAIL FROM:<a@x.example>\r\n'
			[ $verb = MAIL ] && f=FROM || f=TO
			printf "$verb $f:<%s@x.example>\r\n" "${cases[@]}"
			printf 'QUIT\r\n'
		} | raw | grep '^[0-9]* ' | tail -n "$((${#cases[@]} + 1))")
		for i in "${!cases[@]}"; do
			case $verb-${cases[i]} in MAIL-rcpt* | RCPT-mail*) continue ;; esac
			like "$V: $verb, ${cases[i]} is refused" "${replies[i]:-}" '^[45][0-9][0-9] '
		done
	done
	stop "failing-$V"
}

# ---- the rest ----

local_mail() {
	settings 'mode = require'
	like "$V: the command line is exempt" "$(printf 'EHLO x\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@example.org>\r\nQUIT\r\n' |
	    "$SERVERS/exim-$V/usr/sbin/exim4" -C "$T/main-$V.conf" -bs 2>&1 | tr '\n' ' ')" \
	    ' 250 OK.* 250 Accepted'
}

counted() { "$CALL" "$MODULE" counters "$STATE" "$@"; }
counting() {
	local before=$STATE
	STATE=$T/counting-$V
	mkdir -p "$STATE/exim"
	chown Debian-exim "$STATE/exim"
	settings 'mode = offer
[domain secure.example]
mode = require
[domain watched.example]
mode = require
enforce = report
[peer partner.example]
mode = require'
	sends 'counted: clear' '250 250' a@x.example b@example.org
	sends 'counted: TLS' '250 250' a@partner.example b@secure.example $T13
	sends 'counted: refused' '250 530 250' a@x.example b@secure.example,b@watched.example
	sends 'counted: refused peer' '250 530' a@partner.example b@example.org
	is "$V: counters of a domain" "$(counted domain secure.example)" \
	    'clear=0 tls=1 verified=0 refused=1 would=0'
	is "$V: counters of a domain that reports" "$(counted domain watched.example)" \
	    'clear=1 tls=0 verified=0 refused=0 would=1'
	is "$V: counters of a peer" "$(counted peer partner.example)" \
	    'clear=0 tls=1 verified=0 refused=1 would=0'
	is "$V: the counters are Exim's user's" "$(stat -c %U "$STATE/exim/counters")" Debian-exim
	# the daemon has the file mapped, and each connection's process from it
	: >"$STATE/exim/counters"
	sends 'counters cut short: mail goes on' '250 250' a@x.example b@example.org
	sends 'counters cut short: rules hold' '250 530' a@x.example b@secure.example
	is "$V: and are counted anew" "$(counted domain secure.example)" \
	    'clear=0 tls=0 verified=0 refused=1 would=0'
	is "$V: and it is said once" "$(exim_log "$PORT" | grep -c 'tlsward: .*is not a file of counters; set aside')" 1
	rm "$STATE/exim/counters"
	sends 'counters removed: rules hold' '250 530' a@x.example b@secure.example
	is "$V: and are counted anew then, too" "$(counted domain secure.example)" \
	    'clear=0 tls=0 verified=0 refused=1 would=0'
	STATE=$T/no-such-folder
	settings "$PARTNER"
	sends 'no folder for counters: mail goes on' '250 250' a@x.example b@example.org
	sends 'no folder for counters: rules hold' '530' a@partner.example b@example.org
	is "$V: no folder for counters: said once" \
	    "$(exim_log "$PORT" | grep -c "tlsward: .*no-such-folder")" 1
	STATE=$before
}

# As Debian writes it: options by macros that may be set before.
debian() {
	INI=$T/debian-$V.ini
	settings "$PARTNER"
	free_port PORT
	exim_conf "$PORT" "TLSWARD_INI = $INI
TLSWARD_MODULE = $MODULE
.include $T/share/exim-tlsward-debian.conf
.ifdef MAIN_TLS_ENABLE
tls_advertise_hosts = *
.endif
.ifndef MAIN_ACL_CHECK_MAIL
MAIN_ACL_CHECK_MAIL = acl_check_mail
.endif
acl_smtp_mail = MAIN_ACL_CHECK_MAIL
.ifndef MAIN_ACL_CHECK_RCPT
MAIN_ACL_CHECK_RCPT = acl_check_rcpt
.endif
acl_smtp_rcpt = MAIN_ACL_CHECK_RCPT" >"$T/debian-$V.conf"
	cat >>"$T/debian-$V.conf" <<-END
	acl_check_mail:
	  accept
	acl_check_rcpt:
	  deny local_parts = no
	  accept
	END
	start_exim "debian-$V" "$V" "$T/debian-$V.conf" || { not_ok "$V: Debian's configuration"; return; }
	sends "Debian's configuration: the peer in clear" '530' a@partner.example b@example.org
	sends "Debian's configuration: the peer over TLS" '250 250 550' a@partner.example \
	    b@example.org,no@example.org $T13
	stop "debian-$V"
	INI=$T/tlsward.ini
}

twice() {
	sed 's/^begin acl/acl_smtp_rcpt = acl_check_rcpt\nbegin acl/
	    s,^log_file_path.*,log_file_path = /dev/null,' "$T/main-$V.conf" >"$T/twice.conf"
	like "$V: an option left behind is an error" \
	    "$("$SERVERS/exim-$V/usr/sbin/exim4" -C "$T/twice.conf" -bP acl_smtp_rcpt 2>&1)" 'set for the second time'
}

for V in 4.96 4.98; do
	INI=$T/tlsward.ini
	make_state
	settings 'mode = offer'
	run_exim "main-$V" "$V" "TLSWARD_MODULE = $MODULE
TLSWARD_MAIL_ACL = acl_check_mail" || continue
	MAIN_PORT=$PORT
	modes
	reports
	site_acls
	client_certificates
	sni
	strangers
	changes "$(exim_log "$PORT" | grep -c 'settings are in force')"
	local_mail
	counting
	twice
	traps
	failing
	debian
	PORT=$MAIN_PORT
	is "$V: nothing in the panic log" "$(cat "$T/exim-$PORT/paniclog" 2>/dev/null)" ''
	check "$V: the daemon still runs" running "main-$V"
	stop "main-$V"
done

# ---- the module by itself ----

is 'exports only its entry points' "$(nm -D --defined-only "$MODULE" | awk '{ print $3 }' | sort | tr '\n' ' ')" \
    "$(sed -n 's/^	\(tlsward_[a-z]*\);/\1/p' "$TOP/filter/exim_tlsward.map" | sort | tr '\n' ' ')"
calls=$(nm -D --undefined-only "$MODULE" | awk '{ print $2 }' | sed 's/@.*//')
unlike 'never exits or aborts' "$calls" '^(exit|_exit|_Exit|abort|__assert_fail|kill|raise)$'
INI=$T/call.ini
says() { # NAME WANT FUNCTION [LISTENER]
	is "$1" "$("$CALL" "$MODULE" call "tlsward_$3" "$INI" "${4:-192.0.2.1}|25|198.51.100.7|n|x" 2>&1 |
	    grep -v '^log ')" "0 $2"
}
write_ini <<-END
[server]
mode = none
[listener 192.0.2.2:25]
mode = offer
client_cert = require
verifies = yes
ca = partners
[ca partners]
file = $T/ca.pem
crl = $T/partners.crl
END
for f in advertise ask demand ca crl; do
	says "$f: not for this listener" '' $f
done
for f in advertise ask demand; do
	says "$f: for that listener" '*' $f 192.0.2.2
done
says 'ca: for that listener' "$T/ca.pem" ca 192.0.2.2
says 'crl: for that listener' "$T/partners.crl" crl 192.0.2.2
says 'IPv4 in IPv6 is that listener' "$T/ca.pem" ca ::ffff:192.0.2.2
write_ini <<-END
[server]
client_cert = request
END
says 'ca: none set, the system' system ca
says 'demand: not where it is only a request' '' demand
write_ini <<-END
[server]
state_dir = $STATE
[peer partner.example]
mode = require
END
check 'every entry point, with wrong and hostile arguments' "$CALL" "$MODULE" check "$INI"
check '10,000 rounds of calls and reloads in flat memory' "$CALL" "$MODULE" soak "$INI" 10000 128
mkdir "$T/tree"
"$BUILD/tool/make_ca" "$T/tree" || die "make_ca failed"
printf '%s\n' '[server]' 'client_cert = require' 'ca = tree' "state_dir = $STATE" \
    '[ca tree]' "file = $T/tree/ca.pem" "crl = $T/tree/crl.pem" >"$T/certs.ini"
check 'sessions with each certificate of a CA tree, in flat memory' \
    "$CALL" "$MODULE" certs "$T/certs.ini" "$T/tree" 60 512
if command -v valgrind >/dev/null; then
	check 'valgrind: no error, no leak' valgrind -q --error-exitcode=9 --leak-check=full \
	    --errors-for-leak-kinds=definite,indirect,possible "$CALL" "$MODULE" soak "$INI" 200 65536
	check 'valgrind: hostile arguments' valgrind -q --error-exitcode=9 "$CALL" "$MODULE" check "$INI"
else
	skip 'valgrind: no error, no leak' 'valgrind is missing'
fi
done_testing
