#!/bin/bash
# Client certificates in real Exims: every certificate of the CA tree against
# every mode, at server, listener, peer and domain, beside what `tlsward
# explain --cert` says; names, pins, CRLs, chains, resumed sessions, the
# certificate that is shown, and the module's own failures.
# timeout 900
. "$(dirname "$0")/lib.sh"
need_root
need_cmd openssl swaks
need_built exim_tlsward.so exim_tlsward_cert.so exim_tlsward_read.so tlsward tool/make_ca tool/exim_call
need_servers exim-4.96 exim-4.98

CA=$T/tree
mkdir "$CA"
"$BUILD/tool/make_ca" "$CA" || die "make_ca failed"
make_cert
make_state

# ---- an Exim with the macros ----

# run_exim NAME VERSION [LINES]: sets PORT
run_exim() {
	free_port PORT
	cp "$TOP/conf/exim-tlsward.conf" "$T/"
	exim_conf "$PORT" "TLSWARD_INI = $INI
TLSWARD_MODULE = ${USE:-$MODULE}
TLSWARD_RCPT_ACL = accept
${3:-}
.include $T/exim-tlsward.conf" >"$T/$1.conf"
	start_exim "$1" "$2" "$T/$1.conf" || {
		not_ok "$1 starts" "$(log_of "$1")"
		return 1
	}
}
# settings LINES: [server] takes the lines that have no section of their own.
settings() {
	write_ini <<-END
	[server]
	certificate = mx
	state_dir = $STATE
	$1

	[certificate mx]
	file = $CERT
	key = $T/mx.exim.key
	[ca tree]
	file = $CA/ca.pem
	crl = $CA/crl.pem
	[ca clients]
	file = $CA/ca.pem
	purpose = client
	[ca stale]
	file = $CA/ca.pem
	crl = $CA/stale.pem
	[ca foreign]
	file = $CA/foreign.pem
	[ca missing]
	file = $CA/nothing.pem
	END
}

# session FROM TO[,TO] [OPTIONS...]: "250 554", the codes of MAIL and each RCPT;
# "tls" where there was no handshake.  The replies are in $T/replies.
session() {
	local from=$1 to line
	IFS=, read -ra to <<<"$2"
	shift 2
	{
		printf 'EHLO client.example\r\nMAIL FROM:<%s>\r\n' "$from"
		for line in "${to[@]}"; do printf 'RCPT TO:<%s>\r\n' "$line"; done
		printf 'QUIT\r\n'
	} | s_client "$PORT" "$@" | tr -d '\r' >"$T/replies"
	awk '/^[0-9][0-9][0-9] / && !/^220 / && !/^221 / && !/^250 HELP/ {
		if (mail == "" || mail ~ /^2/) { printf "%s%s", s, $1; s = " " }
		if (mail == "") mail = $1 }
	    END { print mail == "" ? "tls" : "" }' "$T/replies"
}
# A client that shows whatever it has, weak or not.
with() { echo "-cipher DEFAULT@SECLEVEL=0 -cert $CA/$1.pem -key $CA/$1.key -cert_chain $CA/$1.pem"; }

# The verdict of `tlsward explain` for the same: FROM TO CERTIFICATE
explained() {
	"$TLSWARD" -c "$INI" explain --json --from "$1" --to "$2" --tls 1.3 --listener "127.0.0.1:$PORT" \
	    --client 127.0.0.1 ${3:+--cert "$CA/$3.pem"} 2>&1 | awk -F'"' '
		/"action":/ { action = $4 }
		/"reason":/ { reason = $4 }
		/"reply":/ { split($4, w, " "); code = $4 == "" ? "250" : w[1] }
		/"action":/ && $4 == "accept" { code = "250" }
		/^    *[}]|^  [}],?$/ { if (action != "") { printf "%s%s", s, code; s = " "; action = "" } }
	    END { print "" }'
}
# The reason of the last refusal in the log, "none" where the last session had none.
reason() {
	local line
	line=$(exim_log "$PORT" | grep 'decision=' | tail -n 1)
	[[ $line =~ reason=([a-z-]+) ]] && echo "${BASH_REMATCH[1]}"
}

# sends NAME WANT FROM TO [OPTIONS...]
sends() {
	local name=$1 want=$2 got
	shift 2
	got=$(session "$@")
	if [ "$got" = "$want" ]; then ok "$V: $name"
	else not_ok "$V: $name" "wanted $want, got $got: $(cat "$T/replies")"; fi
}
code_of() { # REASON: the reply that it gets
	case $1 in none) echo 250 ;; cert-unknown) echo 451 ;; *) echo 554 ;; esac
}

# ---- every certificate, every mode ----

# each_cert MODE ANY|CLIENT: of the certificates in $TRIED
each_cert() {
	local name any client want got told held
	while read -r name any client; do
		[[ " $TRIED " == *" $name "* ]] || continue
		want=$any
		[ "$2" = any ] || want=$client
		[[ $1 != *', no CRL' || $want != cert-revoked ]] || want=none
		want=$(code_of "$want")
		[ "$1" != request ] || want=250
		[ "$want" != 250 ] || want='250 250'
		got=$(session a@x.example b@example.org $TLS $(with "$name"))
		told=$(explained a@x.example b@example.org "$name")
		# more than GnuTLS takes: there is no handshake, and so no mail
		held=$want
		[ "$name" != big ] || held=tls
		if [ "$got" = "$held" ] && [ "$told" = "$want" ]; then ok "$V: $1: $name"
		else not_ok "$V: $1: $name" "wanted $held, got $got, explain says $told: $(tail -n 2 "$T/replies")"; fi
		[ "$name" != big ] || like "$V: $1: $name: the handshake failed" "$(cat "$T/replies")" ':error:.*(alert|eof|closed)'
		[ "$want" = 250\ 250 ] || [ "$name" = big ] ||
		    is "$V: $1: $name: the reason" "$(reason)" "$([ "$2" = any ] && echo "$any" || echo "$client")"
	done <"$CA/list"
}

modes() {
	local all
	settings 'client_cert = none'
	sends 'none: a certificate is not asked for' '250 250' a@x.example b@example.org $TLS $(with stranger)
	settings 'client_cert = request
ca = tree'
	all=$TRIED TRIED=$SOME
	each_cert request any
	settings "[listener 127.0.0.1:$PORT]
client_cert = require
ca = tree"
	each_cert 'listener requires' any
	TRIED=$all
	settings 'client_cert = require
ca = tree'
	each_cert 'server requires' any
	sends 'server requires: without' 554 a@x.example b@example.org $TLS
	settings 'ca = clients
client_cert = require'
	each_cert 'server requires, purpose client, no CRL' client
}

# At peer and domain, where the ca is another than the one that Exim checks by.
owners() {
	settings 'ca = foreign
[peer .partner.example]
client_cert = require
ca = tree
cert_names = partner.example
[peer partner.example]
client_cert = require
ca = tree
[peer .foreign.example]
client_cert = require
cert_names = partner.example
[domain bank.example]
client_cert = require
ca = tree
[domain both.example]
client_cert = require
ca = foreign
[peer cn.example]
client_cert = require
ca = tree
cert_names = partner.example
match_cn = yes
[peer bücher.example]
client_cert = require
ca = tree
[peer stale.example]
client_cert = require
ca = stale
cert_names = partner.example
[peer gone.example]
client_cert = require
ca = missing
cert_names = partner.example'
	local name want from
	while read -r name want from; do
		want=$(code_of "$want")
		[ "$want" != 250 ] || want='250 250'
		is "$V: peer $from: $name" "$(session "a@$from" b@example.org $TLS $(with "$name"))" "$want"
		is "$V: peer $from: $name: explained" "$(explained "a@$from" b@example.org "$name")" "$want"
		[ "$want" = '250 250' ] || is "$V: peer $from: $name: the code" \
		    "$(grep -c '^[45]5[14] [45]\.[37]\.[15] ' "$T/replies")" 1
	done <<-END
	good none partner.example
	upper none partner.example
	wildcard none partner.example
	names20 none partner.example
	names1000 none partner.example
	nosubject none partner.example
	other cert-name partner.example
	nul cert-name partner.example
	cn-only cert-name partner.example
	address cert-name partner.example
	revoked cert-revoked partner.example
	expired cert-expired partner.example
	stranger cert-untrusted partner.example
	good none mx.partner.example
	wildcard cert-name mx.partner.example
	cn-only none cn.example
	cn-beside cert-name cn.example
	nul cert-name cn.example
	cn-odd cert-name cn.example
	idna none xn--bcher-kva.example
	good cert-name xn--bcher-kva.example
	stranger none mx.foreign.example
	good cert-untrusted mx.foreign.example
	good cert-unknown stale.example
	good cert-unknown gone.example
	other none x.example
	END
	sends 'peer: without' 554 a@partner.example b@example.org $TLS
	sends 'peer: another sender' '250 250' a@x.example b@example.org $TLS $(with stranger)
	sends 'domain: each for itself' '250 554 250' a@x.example b@bank.example,b@example.org $TLS $(with stranger)
	sends 'domain: the right one' '250 250 554' a@x.example b@bank.example,b@both.example $TLS $(with good)
	sends 'domain: the other ca' '250 554 250' a@x.example b@bank.example,b@both.example $TLS $(with stranger)
	like "$V: the log has the reason of OpenSSL" "$(exim_log "$PORT")" 'reason=cert-untrusted .*(local issuer|self.signed)'
}

pins() {
	local good spki
	good=$(openssl x509 -in "$CA/good.pem" -outform DER | sha256sum | cut -d' ' -f1)
	spki=$(openssl x509 -in "$CA/good.pem" -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum | cut -d' ' -f1)
	settings "[peer pin.example]
client_cert = require
fingerprints = SHA256:$good
[peer key.example]
client_cert = require
fingerprints = SPKI-SHA256:$spki
[peer file.example]
client_cert = require
certs = $CA/stranger.pem
[peer nofile.example]
client_cert = require
certs = $CA/nothing.pem
[peer either.example]
client_cert = require
ca = tree
cert_names = other.example
fingerprints = SHA256:$good"
	sends 'pin of the certificate' '250 250' a@pin.example b@example.org $TLS $(with good)
	sends 'pin of the certificate: another' 554 a@pin.example b@example.org $TLS $(with deep)
	sends 'pin of the public key' '250 250' a@key.example b@example.org $TLS $(with good)
	sends 'pin of the public key: another' 554 a@key.example b@example.org $TLS $(with deep)
	is "$V: the reason is the pin" "$(reason)" cert-pin
	sends 'a file of pins needs no CA' '250 250' a@file.example b@example.org $TLS $(with stranger)
	sends 'a file of pins: another' 554 a@file.example b@example.org $TLS $(with good)
	sends 'a file of pins that is not there: 451' 451 a@nofile.example b@example.org $TLS $(with good)
	sends 'pin or name: the pin' '250 250' a@either.example b@example.org $TLS $(with good)
	sends 'pin or name: the name' '250 250' a@either.example b@example.org $TLS $(with other)
	sends 'pin or name: neither' 554 a@either.example b@example.org $TLS $(with deep)
}

# ---- files that change ----

changes() {
	cp "$CA/foreign.pem" "$CA/changing.pem"
	write_ini <<-END
	[server]
	certificate = mx
	state_dir = $STATE
	client_cert = require
	ca = changing
	[certificate mx]
	file = $CERT
	key = $T/mx.exim.key
	[ca changing]
	file = $CA/changing.pem
	END
	sends 'before the bundle changes' 554 a@x.example b@example.org $TLS $(with good)
	cp "$CA/ca.pem" "$CA/changing.new"
	mv "$CA/changing.new" "$CA/changing.pem"
	sends 'the bundle changed' '250 250' a@x.example b@example.org $TLS $(with good)
	sends 'the bundle changed: another' 554 a@x.example b@example.org $TLS $(with stranger)
}

# ---- resumed sessions ----

# resumed VERSION CERTIFICATE: codes of a first session and of one that resumes it.
resumed() {
	local i opts="$1 $(with "$2") -sess_out $T/ticket" out=''
	rm -f "$T/ticket"
	for i in 1 2; do
		{
			printf 'EHLO c\r\nMAIL FROM:<a@x.example>\r\n'
			sleep 0.3	# the tickets of TLS 1.3 come behind the handshake
			printf 'QUIT\r\n'
		} | openssl s_client -connect "127.0.0.1:$PORT" -starttls smtp -crlf -ign_eof $opts >"$T/resumed" 2>&1
		out="$out $(grep -aoE '^(New|Reused), ' "$T/resumed" | head -n 1)"
		out="$out $(tr -d '\r' <"$T/resumed" | grep -aE '^[0-9]{3} .*(OK|ertificate)' | cut -c1-3 | tail -n 1)"
		opts=$1
		[ ! -s "$T/ticket" ] || opts="$1 -sess_in $T/ticket"
	done
	echo $out
}
resumption() {
	local v
	settings 'client_cert = require
ca = tree'
	for v in -tls1_2 -tls1_3; do
		is "$V: $v: by itself Exim resumes nothing" "$(resumed $v good)" 'New, 250 New, 554'
	done
	run_exim "resume-$V" "$V" 'tls_resumption_hosts = *' || return
	for v in -tls1_2 -tls1_3; do
		is "$V: $v: resumed, its issuer in the bundle" "$(resumed $v direct)" 'New, 250 Reused, 250'
		is "$V: $v: resumed, the chain is not told" "$(resumed $v good)" 'New, 250 Reused, 451'
		is "$V: $v: resumed, a stranger's" "$(resumed $v selfsigned)" 'New, 554 Reused, 554'
		is "$V: $v: resumed, revoked" "$(resumed $v revoked)" 'New, 554 Reused, 451'
	done
	stop "resume-$V"
	run_exim "macro-$V" "$V" 'TLSWARD_RESUMPTION = *' || return
	for v in -tls1_2 -tls1_3; do
		is "$V: $v: by the macro, not where certificates are asked for" "$(resumed $v good)" 'New, 250 New, 554'
	done
	settings 'client_cert = none'
	for v in -tls1_2 -tls1_3; do
		is "$V: $v: by the macro, elsewhere" "$(resumed $v good)" 'New, 250 Reused, 250'
	done
	stop "macro-$V"
}

# ---- the certificate that is shown ----

shown() {
	openssl s_client -connect "127.0.0.1:$PORT" -starttls smtp ${1:+-servername "$1"} \
	    </dev/null 2>/dev/null | sed -n 's/^subject=CN = //p'
}
sni() {
	make_cert sni1 sni1.example.org also.example.org
	make_cert sni2 sni2.example.org '*.wild.example.org'
	make_cert sni3 exact.wild.example.org
	write_ini <<-END
	[server]
	certificate = mx
	state_dir = $STATE
	[certificate mx]
	file = $CERT
	key = $T/mx.exim.key
	[certificate a]
	file = $T/sni1.pem
	key = $T/sni1.exim.key
	[certificate b]
	file = $T/sni2.pem
	key = $T/sni2.exim.key
	[certificate c]
	file = $T/sni3.pem
	key = $T/sni3.exim.key
	[certificate gone]
	file = $T/gone.pem
	key = $T/gone.key
	END
	is "$V: names in the certificate: the first" "$(shown sni1.example.org)" sni1.example.org
	is "$V: names in the certificate: the second" "$(shown also.example.org)" sni1.example.org
	is "$V: names in the certificate: upper case" "$(shown ALSO.Example.Org)" sni1.example.org
	is "$V: names in the certificate: a wildcard" "$(shown x.wild.example.org)" sni2.example.org
	is "$V: the very name before a wildcard" "$(shown exact.wild.example.org)" exact.wild.example.org
	is "$V: two labels below a wildcard: the server's" "$(shown a.b.wild.example.org)" mx.example.org
	is "$V: another name: the server's" "$(shown unknown.example)" mx.example.org
	make_cert sni1 new.example.org sni1.example.org
	is "$V: a new certificate is shown to the next" "$(shown sni1.example.org)" new.example.org
	is "$V: and by its new name" "$(shown new.example.org)" new.example.org
	is "$V: not by its old one" "$(shown also.example.org)" mx.example.org
}

# ---- nothing that fails lets mail in ----

failures() {
	mkdir -p "$T/alone-$V"
	cp "$BUILD/exim_tlsward.so" "$BUILD/exim_tlsward_read.so" "$T/alone-$V/"
	settings 'client_cert = request
ca = tree
[peer partner.example]
client_cert = require
ca = tree'
	USE=$T/alone-$V/exim_tlsward.so run_exim "alone-$V" "$V" || return
	sends 'the part for certificates is missing: 451' 451 a@partner.example b@example.org $TLS $(with good)
	sends 'the part is missing: others go on' '250 250' a@x.example b@example.org $TLS $(with good)
	sends 'the part is missing: without a certificate' 554 a@partner.example b@example.org $TLS
	is "$V: the log says so once" "$(exim_log "$PORT" | grep -c 'certificates cannot be checked: .*exim_tlsward_cert\.so')" 1
	echo garbage >"$T/alone-$V/exim_tlsward_cert.so"
	sends 'the part is no object: 451' 451 a@partner.example b@example.org $TLS $(with good)
	cp "$BUILD/exim_tlsward_cert.so" "$T/alone-$V/new" && mv "$T/alone-$V/new" "$T/alone-$V/exim_tlsward_cert.so"
	sends 'the part is there: the daemon finds it' '250 250' a@partner.example b@example.org $TLS $(with good)
	stop "alone-$V"

	run_exim "cold-$V" "$V" 'TLSWARD_NO_PRELOAD = yes' || return
	sends 'no preload' '250 250' a@partner.example b@example.org $TLS $(with good)
	sends 'no preload: revoked' 554 a@partner.example b@example.org $TLS $(with revoked)
	stop "cold-$V"

	# the site's own event_action runs as well, and may end the handshake
	run_exim "events-$V" "$V" 'TLSWARD_EVENTS = ${if eq{$event_name}{tls:cert}{${if eq{$event_data}{0}{${if match{${certextract{subject,CN}{$tls_in_peercert}}}{^other}{no}}}}}}' || return
	sends "the site's events: accepted" '250 250' a@partner.example b@example.org $TLS $(with good)
	sends "the site's events: its own refusal" tls a@partner.example b@example.org -tls1_2 $(with other)
	stop "events-$V"
}

# ---- by swaks: it sends the leaf alone ----

# The same modes with another client, each verdict beside explain's.  The issuer is
# in the bundle here.  The verdicts at the end are those where one is required.
by_swaks() {
	local name want where got told
	sed -n '/BEGIN/,/END/p' "$CA/good.pem" "$CA/ca.pem" >"$CA/issuers.pem"
	while read -r where; do
		settings "${where//@/$'\n'}
[ca issuers]
file = $CA/issuers.pem"
		while read -r name want; do
			openssl x509 -in "$CA/$name.pem" -out "$CA/leaf-$name.pem"
			got=$(smtp "$PORT" a@partner.example b@bank.example -tls --tls-protocol tlsv1_3 \
			    --tls-cert "$CA/leaf-$name.pem" --tls-key "$CA/$name.key" |
			    awk '$1 == "MAIL" || $1 == "RCPT" { printf "%s%s", s, $2; s = " " }')
			told=$(explained a@partner.example b@bank.example "leaf-$name")
			case $where in
			*require*) ;;
			*) want='250 250' ;;
			esac
			[[ $want != 554 || $where != *domain* ]] || want='250 554'
			if [ "$got" = "$want" ] && [ "$told" = "$want" ]; then ok "$V: swaks: ${where//@/ }: $name"
			else not_ok "$V: swaks: ${where//@/ }: $name" "wanted $want, got $got, explain says $told"; fi
		done <<-END
		good 250 250
		direct 250 250
		early 554
		expired 554
		stranger 554
		END
	done <<-END
	client_cert = none
	client_cert = request@ca = issuers
	client_cert = require@ca = issuers
	[listener 127.0.0.1:$PORT]@client_cert = none
	[listener 127.0.0.1:$PORT]@client_cert = request@ca = issuers
	[listener 127.0.0.1:$PORT]@client_cert = require@ca = issuers
	[client 127.0.0.0/8]@client_cert = request@ca = issuers
	[client 127.0.0.0/8]@client_cert = require@ca = issuers
	[peer partner.example]@client_cert = none
	[peer partner.example]@client_cert = request@ca = issuers
	[peer partner.example]@client_cert = require@ca = issuers
	[domain bank.example]@client_cert = none
	[domain bank.example]@client_cert = request@ca = issuers
	[domain bank.example]@client_cert = require@ca = issuers
	END
}

SOME='good alone crossed revoked of-late out-of-bound tampered server-only big large rsa1024'
for V in 4.96 4.98; do
	TLS=-tls1_3
	TRIED=$(cut -d' ' -f1 "$CA/list" | tr '\n' ' ')
	[ $V = 4.96 ] || TRIED=$SOME
	settings 'mode = offer'
	run_exim "main-$V" "$V" || continue
	MAIN=$PORT
	modes
	TLS=-tls1_2
	TRIED='good stranger revoked nul ed25519 p521'
	settings 'client_cert = require
ca = tree'
	each_cert 'TLS 1.2' any
	TLS=-tls1_3
	owners
	pins
	changes
	sni
	resumption
	failures
	PORT=$MAIN
	by_swaks
	is "$V: nothing in the panic log" "$(cat "$T/exim-$PORT/paniclog" 2>/dev/null)" ''
	check "$V: the daemon still runs" running "main-$V"
	stop "main-$V"
done
done_testing
