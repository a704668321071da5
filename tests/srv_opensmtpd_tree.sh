#!/bin/bash
# Every client certificate of the CA tree against a real OpenSMTPD 7.4, beside
# what `tlsward explain --cert` says: at a listener that verifies and requires,
# at one whose domain requires, and at one that asks for none.  smtpd has no
# CRL, and its own verification ends the handshake: what we would refuse with a
# reply never gets to MAIL.  swaks, which sends the leaf alone, tries some again
# where the issuer is in the bundle.
# timeout 400
. "$(dirname "$0")/lib.sh"
need_root
need_cmd openssl swaks
need_servers opensmtpd
need_built filter-tlsward tlsward tool/make_ca

CA=$T/tree
mkdir "$CA"
"$BUILD/tool/make_ca" "$CA" || die "make_ca failed"
chmod 0755 "$CA" && chmod 0644 "$CA"/*.pem
make_cert
make_state
sed -n '/BEGIN/,/END/p' "$CA/good.pem" "$CA/ca.pem" >"$CA/issuers.pem"
for p in base domain issuers plain; do free_port "port_$p"; done
write_ini <<-END
	[server]
	state_dir = $STATE
	[ca tree]
	file = $CA/ca.pem
	purpose = client
	[listener 127.0.0.1:$port_base]
	verifies = yes
	ca = tree
	client_cert = require
	[listener 127.0.0.1:$port_domain]
	verifies = yes
	ca = tree
	[ca issuers]
	file = $CA/issuers.pem
	[listener 127.0.0.1:$port_issuers]
	verifies = yes
	ca = issuers
	client_cert = require
	[listener 127.0.0.1:$port_plain]
	mode = offer
	[domain strict.example]
	client_cert = require
END
{
	smtpd_conf "$port_plain" "$FILTER -v -c $INI" | sed '/^action\|^match/d'
	echo "ca \"tree\" cert \"$CA/ca.pem\""
	echo "ca \"issuers\" cert \"$CA/issuers.pem\""
	for p in $port_base:tree $port_domain:tree $port_issuers:issuers; do
		echo "listen on 127.0.0.1 port ${p%:*} tls-require verify ca \"${p#*:}\" pki \"mx\"" \
		    'hostname mx.example.org filter "tlsward"'
	done
	smtpd_conf 1 | grep '^action\|^match'
} >"$T/smtpd.conf"
check 'smtpd starts' start_smtpd smtpd "$T/smtpd.conf"
running smtpd || done_testing

trap '' PIPE	# a handshake that the server ended leaves nobody to write to
# reply: the next reply's code; false at the end of the session.
reply() {
	local line
	while IFS= read -r -t 10 line <&"$IN"; do
		[[ $line =~ ^([0-9]{3})\  ]] || continue
		echo "$line" >>"$T/replies"
		CODE=${BASH_REMATCH[1]}
		return 0
	done
	return 1
}
# session PORT TO CERTIFICATE: the codes of MAIL and RCPT in $GOT; "tls": no handshake.
# smtpd takes no command before it has answered the last.
session() {
	local line IN OUT CLIENT
	GOT='' CODE=''
	: >"$T/replies"
	coproc CLIENT_IO { s_client "$1" -cipher DEFAULT@SECLEVEL=0 -cert "$CA/$3.pem" \
	    -key "$CA/$3.key" -cert_chain "$CA/$3.pem" 2>/dev/null; }
	CLIENT=$! IN=${CLIENT_IO[0]:-} OUT=${CLIENT_IO[1]:-}
	[ -n "$IN" ] && reply &&	# what s_client shows of the EHLO in clear
	    for line in 'EHLO client.example' 'MAIL FROM:<a@x.example>' "RCPT TO:<$2>" QUIT; do
		printf '%s\n' "$line" >&"$OUT" && reply || break
		[[ $line != MAIL* && $line != RCPT* ]] || GOT+="${GOT:+ }$CODE"
	done 2>/dev/null
	kill "$CLIENT" 2>/dev/null
	wait "$CLIENT" 2>/dev/null
	[ -n "$GOT" ] || GOT=tls
}
# explained PORT TO CERTIFICATE: "250 250" or what it is refused for.
explained() {
	local said
	said=$("$TLSWARD" -c "$INI" explain --json --from a@x.example --to "$2" --tls 1.3 \
	    --listener "127.0.0.1:$1" --client 127.0.0.1 --cert "$CA/$3.pem" 2>&1)
	[[ $said =~ \"action\":\ *\"(refuse|defer)\" ]] || { echo '250 250'; return; }
	[[ $said =~ \"reason\":\ *\"(cert-[a-z-]+)\" ]] && echo "${BASH_REMATCH[1]}"
}

while read -r name any client; do
	want='250 250'
	[ "$client" = none ] || [ "$client" = cert-revoked ] || want=tls
	# 64 KiB are more than smtpd takes: there is no handshake, and so no mail
	for where in base:b@example.org domain:b@strict.example; do
		port=port_${where%%:*} to=${where#*:}
		session "${!port}" "$to" "$name"
		told=$(explained "${!port}" "$to" "$name")
		[ "$told" = '250 250' ] || told=tls
		held=$want
		[ "$name" != big ] || held=tls
		if [ "$GOT" = "$held" ] && [ "$told" = "$want" ]; then ok "${where%%:*}: $name ($client)"
		else not_ok "${where%%:*}: $name ($client)" \
		    "wanted $held, got $GOT, explain says $told: $(tail -n 3 "$T/replies")"; fi
	done
	session "$port_plain" b@example.org "$name"
	is "not asked for: $name" "$GOT" '250 250'
done <"$CA/list"
session "$port_plain" b@strict.example "$(head -n 1 "$CA/list" | cut -d' ' -f1)"
is 'not asked for where the domain requires one: deferred' "$GOT" '250 451'

# ---- by swaks ----

# smtpd has no CRL; an expired or unknown one gets no handshake.
while read -r name want; do
	openssl x509 -in "$CA/$name.pem" -out "$CA/leaf-$name.pem"
	for where in issuers:b@example.org issuers:b@strict.example plain:b@example.org plain:b@strict.example; do
		port=port_${where%%:*} to=${where#*:} wanted=$want
		case $where in
		plain:*strict*) wanted='250 451' ;;
		plain:*) wanted='250 250' ;;
		esac
		got=$(smtp "${!port}" a@x.example "$to" -tls --tls-protocol tlsv1_3 --tls-cert "$CA/leaf-$name.pem" \
		    --tls-key "$CA/$name.key" | awk '$1 == "MAIL" || $1 == "RCPT" { printf "%s%s", s, $2; s = " " }
		    END { if (s == "") printf "tls" }')
		is "swaks: $where: $name" "$got" "$wanted"
		[ "${where%%:*}" = issuers ] || continue
		told=$(explained "${!port}" "$to" "leaf-$name")
		[ "$told" = '250 250' ] || told=tls
		is "swaks: $where: $name: explained" "$told" "$wanted"
	done
done <<-END
	good 250 250
	direct 250 250
	revoked 250 250
	expired tls
	stranger tls
END
done_testing
