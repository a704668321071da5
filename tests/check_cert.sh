#!/bin/bash
# The key store, driven as a user would: each `tlsward cert` command with good and
# bad input, owners and modes, that a failure leaves everything as it was,
# passphrases at a terminal, and the renewal hook.
# timeout 600
. "$(dirname "$0")/lib.sh"
[ -x "$TLSWARD" ] || skip_all "build/tlsward is not built"
need_cmd openssl

INI=$T/ini/tlsward.ini
CERTS=$T/ini/certs
STATE=$T/state
P=$T/pki
mkdir -p "$P" "$T/ini" "$STATE"
unset SSL_CERT_DIR
export SSL_CERT_FILE=$P/root.pem SSL_CERT_DIR=$P/none	# what "the system trusts"

fresh() { # settings without certificates, an empty store
	rm -rf "$CERTS" "$INI"
	printf '; kept\n[server]\nmode = offer\nstate_dir = %s\n' "$STATE" >"$INI"
}
# Runs tlsward cert; stdout in $out, stderr in $err, the exit status in $rc.
run() {
	setsid -w "$TLSWARD" -c "$INI" "$@" >"$T/out" 2>"$T/err" </dev/null
	rc=$?
	out=$(cat "$T/out") err=$(cat "$T/err")
}
# NAME STATUS REGEX ARG...: exit status, and a line of the output of either kind
try() {
	local name=$1 status=$2 regex=$3
	shift 3
	run "$@"
	if [ $rc -ne "$status" ]; then not_ok "$name" "exit $rc, not $status: $out $err"
	else like "$name" "$out"$'\n'"$err" "$regex"; fi
}
# All that a failed change must leave alone.
picture() { (cd "$T/ini" && find . | sort && cat tlsward.ini && find certs -type f -exec sha256sum {} + 2>/dev/null | sort); }
# As try, for what has to fail: nothing is changed either.
refused() {
	local name=$1 before after
	before=$(picture)
	try "$name" 1 "${@:2}"
	after=$(picture)
	is "$name: all is as it was" "$after" "$before"
}
mode_of() { stat -c '%U %a' "$1"; }
json() { # NAME EXPRESSION WANTED ARG...: python's idea of the output j
	local name=$1 expr=$2 want=$3
	shift 3
	if ! python3 -c '' 2>/dev/null; then skip "$name" "no python3"; return; fi
	run "$@"
	is "$name" "$(python3 -c 'import json, sys
j = json.load(sys.stdin)
print('"$expr"')' <"$T/out" 2>&1)" "$want"
}
same_key() { # CERT KEY
	[ "$(openssl x509 -in "$1" -noout -pubkey)" = "$(openssl pkey -in "$2" -pubout 2>/dev/null)" ]
}
subjects() { # FILE: the common names of the certificates in it, in order
	openssl crl2pkcs7 -nocrl -certfile "$1" | openssl pkcs7 -print_certs -noout |
	    sed -n 's/^subject=.*CN = //p' | tr '\n' ' '
}

# ---- a CA tree ----

ca_conf() {
	cat >"$P/ca.cnf" <<-END
	[ca]
	default_ca = d
	[d]
	database = $P/index
	rand_serial = yes
	new_certs_dir = $P
	default_md = sha256
	policy = any
	unique_subject = no
	copy_extensions = copy
	email_in_dn = no
	[any]
	commonName = optional
	[root]
	basicConstraints = critical,CA:TRUE
	keyUsage = critical,keyCertSign,cRLSign
	subjectKeyIdentifier = hash
	[inter]
	basicConstraints = critical,CA:TRUE
	keyUsage = critical,keyCertSign,cRLSign
	subjectKeyIdentifier = hash
	authorityKeyIdentifier = keyid
	[leaf]
	basicConstraints = critical,CA:FALSE
	authorityKeyIdentifier = keyid
	[client]
	basicConstraints = critical,CA:FALSE
	extendedKeyUsage = clientAuth
	END
	: >"$P/index"
}
new_key() { # FILE [ALGORITHM OPTION...]
	local file=$1
	shift
	[ $# -gt 0 ] || set -- EC -pkeyopt ec_paramgen_curve:P-256
	openssl genpkey -algorithm "$@" -out "$file" 2>/dev/null
}
# issue NAME CN ISSUER EXTENSIONS [FROM TO]: $P/NAME.pem of $P/NAME.key, made if missing
issue() {
	local from=${5:-$(date -u -d yesterday +%Y%m%d000000Z)} to=${6:-$(date -u -d '+90 days' +%Y%m%d000000Z)}
	[ -e "$P/$1.key" ] || new_key "$P/$1.key"
	openssl req -new -key "$P/$1.key" -utf8 -subj "/CN=$2" -addext "subjectAltName=DNS:${2//[^ -~]/}" -out "$P/$1.csr" 2>/dev/null
	if [ "$3" = "$1" ]; then
		openssl ca -batch -notext -config "$P/ca.cnf" -selfsign -keyfile "$P/$1.key" -in "$P/$1.csr" \
		    -extensions "$4" -startdate "$from" -enddate "$to" -out "$P/$1.pem" >/dev/null 2>"$P/log"
	else
		openssl ca -batch -notext -config "$P/ca.cnf" -cert "$P/$3.pem" -keyfile "$P/$3.key" -in "$P/$1.csr" \
		    -extensions "$4" -startdate "$from" -enddate "$to" -out "$P/$1.pem" >/dev/null 2>"$P/log"
	fi || die "openssl ca: $(tail -n 3 "$P/log")"
}
ca_conf
issue root 'Root One' root root
issue other 'Other Root' other root
issue inter1 'Inter One' root inter
issue inter2 'Inter Two' inter1 inter
issue leaf leaf.example.org inter2 leaf
issue private private.example.org other leaf
issue expired expired.example.org inter2 leaf 20200101000000Z 20210101000000Z
issue early early.example.org inter2 leaf "$(date -u -d '+10 days' +%Y%m%d000000Z)"
issue client client.example.org inter2 client
issue soon soon.example.org inter2 leaf '' "$(date -u -d '+5 days' +%Y%m%d000000Z)"
new_key "$P/weak.key" RSA -pkeyopt rsa_keygen_bits:1024
issue weak weak.example.org inter2 leaf
new_key "$P/ed.key" ED25519
issue ed ed.example.org inter2 leaf
cp "$P/inter1.key" "$P/cross.key"
issue cross 'Inter One' other inter		# the same CA under another root
cat "$P"/leaf.pem "$P"/inter2.pem "$P"/inter1.pem >"$P/chain.pem"
cat "$P"/root.pem "$P"/inter1.pem "$P"/other.pem "$P"/inter2.pem "$P"/leaf.pem "$P"/inter2.pem >"$P/mixed.pem"
openssl x509 -in "$P/leaf.pem" -outform DER -out "$P/leaf.der"
openssl pkey -in "$P/leaf.key" -outform DER -out "$P/leaf-key.der" 2>/dev/null
printf 'open sesame\n' >"$P/pass"
printf 'open barley\n' >"$P/wrong"
chmod 0600 "$P/pass" "$P/wrong"
openssl pkcs8 -topk8 -in "$P/leaf.key" -passout file:"$P/pass" -out "$P/leaf-enc.key"
openssl pkcs8 -topk8 -in "$P/leaf.key" -passout file:"$P/pass" -outform DER -out "$P/leaf-enc.der"
openssl ec -in "$P/leaf.key" -aes128 -passout file:"$P/pass" -out "$P/leaf-old.key" 2>/dev/null
p12() { openssl pkcs12 -export -inkey "$P/leaf.key" -in "$P/chain.pem" "$@"; }
p12 -passout file:"$P/pass" -out "$P/leaf.p12"
p12 -passout pass: -out "$P/open.p12"
p12 -nomac -passout file:"$P/pass" -out "$P/nomac.p12"
p12 -nomac -keypbe NONE -certpbe NONE -passout pass: -out "$P/clear.p12"
p12 -legacy -passout file:"$P/pass" -out "$P/legacy.p12" 2>/dev/null

# ---- the command ----

fresh
try "cert without a command" 2 '^  import ' cert
try "cert --help" 0 '^usage: tlsward \[-c FILE\] cert COMMAND' cert --help
try "help cert" 0 '^  delete ' help cert
try "a slip of a command" 2 'no command "crate"; did you mean "create"' cert crate
try "-c before the command" 0 'no certificates' cert -c "$INI" list
for cmd in create csr import list show use delete; do
	try "cert $cmd --help" 0 "^usage: tlsward \[-c FILE\] cert $cmd" cert $cmd --help
	is "cert $cmd --help fits 80 columns" "$(grep -v '^  -c' "$T/out" | grep -E '.{81}')" ""
	try "cert $cmd: unknown option" 2 "tlsward cert $cmd: unknown option --nonsense" cert $cmd --nonsense
done
for cmd in create csr use delete show; do
	try "cert $cmd without a name" 2 'which certificate' cert $cmd
done
for bad in ../x a/b '' 'a b' "$(printf 'a%.0s' {1..65})"; do
	try "a bad name: ${bad:0:10}" 2 'name "' cert create "$bad" --dns x.example
done
is "none of these made a store" "$(ls -d "$CERTS" 2>&1)" "ls: cannot access '$CERTS': No such file or directory"

# ---- create ----

try "create" 0 'certs/mx.key: new, EC P-256' cert create mx --dns mx.example.org,Mx2.Example.ORG. --dns 'bücher.example, *.w.example'
like "create: says who may read the key" "$out" 'mx.key: .*mode 06[04]0'
like "create: says until when" "$out" 'mx.pem: new, self-signed for mx.example.org and 3 more, until 20'
like "create: the section" "$out" "$INI: \[certificate mx\] added"
is "create: the INI" "$(cat "$INI")" "$(printf '; kept\n[server]\nmode = offer\nstate_dir = %s\n\n[certificate mx]\nfile = %s/mx.pem\nkey = %s/mx.key' "$STATE" "$CERTS" "$CERTS")"
is "create: names are A-labels" "$(openssl x509 -in "$CERTS/mx.pem" -noout -ext subjectAltName | tail -n 1)" \
    "    DNS:mx.example.org, DNS:mx2.example.org, DNS:xn--bcher-kva.example, DNS:*.w.example"
like "create: no CA" "$(openssl x509 -in "$CERTS/mx.pem" -noout -text)" 'CA:FALSE'
like "create: for server and client" "$(openssl x509 -in "$CERTS/mx.pem" -noout -ext extendedKeyUsage)" 'Server Authentication, TLS Web Client'
check "create: key and certificate match" same_key "$CERTS/mx.pem" "$CERTS/mx.key"
check "create: it verifies as a server's" openssl verify -CAfile "$CERTS/mx.pem" -purpose sslserver -verify_hostname mx2.example.org "$CERTS/mx.pem"
is "create: nothing else is left" "$(ls -A "$CERTS")" $'mx.key\nmx.pem'
is "create: the certificate may be read" "$(stat -c %a "$CERTS/mx.pem")" 644
is "create: the folder may be searched, not written" "$(stat -c %a "$CERTS")" 755
if [ "$(id -u)" -eq 0 ]; then
	is "create: the key is root's, 0640" "$(mode_of "$CERTS/mx.key")" "root 640"
	is "create: with Exim's group, else root's" "$(stat -c %G "$CERTS/mx.key")" \
	    "$(getent group Debian-exim exim | sed 's/:.*//' | grep . | head -n 1 || echo root)"
	try "create --group" 0 'group daemon, mode 0640' cert create g --dns g.example --group daemon
	is "create --group: it has it" "$(stat -c '%G %a' "$CERTS/g.key")" "daemon 640"
	try "a replaced key keeps its group" 0 'group daemon' cert create g --dns g.example --force
	own=$T/own
	mkdir "$own"
	cp "$INI" "$own/t.ini"
	printf '[server]\nmode = offer\n' >"$own/t.ini"
	chown -R nobody:nogroup "$own"
	if command -v setpriv >/dev/null; then
		setpriv --reuid nobody --regid nogroup --clear-groups "$TLSWARD" -c "$own/t.ini" cert create mx --dns a.example >"$T/out" 2>&1
		is "create as another user" $?:"$(mode_of "$own/certs/mx.key" 2>&1)$(grep tlsward: "$T/out")" "0:nobody 600"
		setpriv --reuid nobody --regid nogroup --clear-groups "$TLSWARD" -c "$INI" cert create n --dns a.example >"$T/out" 2>&1
		is "create without permission" $? 1
		like "create without permission: says so" "$(cat "$T/out")" 'belongs to user 0|ermission denied'
		is "list as another user" "$(setpriv --reuid nobody --regid nogroup --clear-groups "$TLSWARD" -c "$INI" cert list | awk '$1 == "mx" { print $2 }')" ok
	else
		skip "create as another user" "no setpriv"
	fi
else
	is "create: the key is ours alone" "$(mode_of "$CERTS/mx.key")" "$(id -un) 600"
fi
refused "create: a name that is there" "tlsward.ini:6: .*--force" cert create mx --dns b.example
old=$(sha256sum <"$CERTS/mx.key")
try "create --force" 0 'mx.key: new' cert create mx --dns b.example --force --rsa --days 10
like "create --force: RSA" "$(openssl pkey -in "$CERTS/mx.key" -noout -text)" 'Private-Key: \(3072 bit'
like "create --force: another key" "$([ "$old" = "$(sha256sum <"$CERTS/mx.key")" ] || echo another)" another
try "create --rsa=2048" 0 'RSA 2048' cert create r --dns r.example --rsa=2048
long=$(printf 'a%.0s' {1..60}).example.org
try "create: a name too long for a CN" 0 'certs/l.pem' cert create l --dns "$long"
like "create: then the subject is empty, SAN critical" "$(openssl x509 -in "$CERTS/l.pem" -noout -subject -ext subjectAltName | tr '\n' ' ')" "subject= *X509v3 Subject Alternative Name: critical .*$long"
for n in l r g; do run cert delete $n; done
refused "create: no such group" 'no group nobody-has-this' cert create x --dns a.example --group nobody-has-this
try "create: no --dns" 2 'needs --dns' cert create x
try "create: a bad host" 2 'name "a\.\.b" has an empty label' cert create x --dns a.example,a..b
try "create: an empty host" 2 'name ""' cert create x --dns a.example,
try "create: few bits" 2 '2048 to 8192' cert create x --dns a.example --rsa=1024
try "create: bits are no number" 2 '2048 to 8192' cert create x --dns a.example --rsa=many
try "create: days" 2 '1 to 3650' cert create x --dns a.example --days 0
try "create: too many names" 2 'more than 100 names' cert create x --dns "$(seq -s, -f 'h%g.example' 101)"
try "create: two names" 2 'not "y" too' cert create x y --dns a.example
echo '[broken' >>"$INI"
refused "create: the INI has an error" 'tlsward.ini:[0-9]+: ' cert create x --dns a.example
fresh
ln -s /etc "$CERTS"
refused "create: the store is a link" 'certs must be a folder, and no link' cert create x --dns a.example
rm "$CERTS"
mkdir -m 0777 "$CERTS"
chmod 0777 "$CERTS"
refused "create: others could write to the store" 'chmod go-w' cert create x --dns a.example
rmdir "$CERTS"
mv "$INI" "$INI.away"
try "create: no INI" 1 'cannot be read' cert create x --dns a.example
mv "$INI.away" "$INI"
long=$T/ini/$(printf 'd%.0s' {1..190})
mkdir "$long"
cp "$INI" "$long/t.ini"
INI=$long/t.ini try "create: a path too long for a line" 1 'too long for a line of 198 octets' cert create x --dns a.example
is "then nothing is left of it" "$(ls -A "$long")" t.ini
rm -r "$long"

# ---- csr and import ----

fresh
try "csr: no names" 2 'which names' cert csr mx
like "csr: no names: where to look" "$err" '^See `tlsward cert csr --help`'
is "csr: then there is no store" "$(ls -d "$CERTS" 2>/dev/null)" ""
try "csr: a new key" 0 'mx.new-key: new, EC P-256' cert csr mx --dns mx.example.org --subject 'C=DE, O=Example\, Inc,CN=mx.example.org' -o "$T/mx.csr"
like "csr: the request" "$(openssl req -in "$T/mx.csr" -noout -subject -verify 2>&1)" '^subject=C = DE, O = "Example, Inc", CN = mx.example.org'
like "csr: its names" "$(openssl req -in "$T/mx.csr" -noout -text)" 'DNS:mx.example.org'
like "csr: the key is not open" "$(stat -c %a "$CERTS/mx.new-key")" '^6[04]0$'
is "csr: no section yet" "$(grep -c certificate "$INI")" 0
refused "csr: the file is there" 'mx.csr is there already' cert csr mx --dns mx.example.org -o "$T/mx.csr"
try "csr: again, to stdout, openssl's way" 0 'BEGIN CERTIFICATE REQUEST' cert csr mx --dns mx.example.org --subject '/C=DE/CN=mx.example.org'
like "csr: the same key" "$err" 'mx.new-key: used'
cp "$T/out" "$P/mx.csr"
refused "csr: another new key" 'waits for its certificate' cert csr mx --new-key --dns mx.example.org
try "csr: no such attribute" 1 'no attribute "XX"' cert csr mx --dns a.example --subject XX=y
try "csr: no pair" 2 'as in C=DE,O=Example' cert csr mx --dns a.example --subject mx.example.org
try "csr: a country has two letters" 1 'does not fit' cert csr mx --dns a.example --subject C=Germany
refused "csr: output to a folder that is not there" 'cannot be written' cert csr new --dns a.example -o "$T/none/x.csr"
refused "import: of no key of ours" 'of the key of the last request for mx' cert import mx --cert "$P/leaf.pem"
cp "$CERTS/mx.new-key" "$P/ours.key"
issue ours mx.example.org inter2 leaf
cat "$P"/inter2.pem "$P"/inter1.pem "$P"/ours.pem >"$P/back.pem"
try "import: what the CA sent back" 0 'mx.pem: until .*leaf and 2 issuers, complete: issued under Root One, which this system trusts' cert import mx --cert "$P/back.pem"
check "import: with the request's key" same_key "$CERTS/mx.pem" "$CERTS/mx.key"
is "import: which does not wait any more" "$(ls -A "$CERTS")" $'mx.key\nmx.pem'
is "import: sorted" "$(subjects "$CERTS/mx.pem")" "mx.example.org Inter Two Inter One "
try "import: the same again" 0 'nothing to change' cert import mx --cert "$P/back.pem"
try "csr: with the present key and names" 0 'mx.key: used' cert csr mx
like "csr: the names of the certificate" "$(openssl req -in "$T/out" -noout -text)" 'DNS:mx.example.org'
before=$(sha256sum "$CERTS/mx.key" "$CERTS/mx.pem")
try "csr --rsa: a new key beside the present pair" 0 'mx.new-key: new, RSA 3072' cert csr mx --rsa -o "$T/mx2.csr"
is "csr --rsa: which stays" "$(sha256sum "$CERTS/mx.key" "$CERTS/mx.pem")" "$before"
try "list: a request waits" 0 'a request waits' cert list
waiting=$(sha256sum "$CERTS/mx.new-key")
try "import: the present certificate meanwhile" 0 'nothing to change' cert import mx --cert "$P/back.pem"
is "import: the key of the request still waits" "$(sha256sum "$CERTS/mx.new-key")" "$waiting"
issue ours mx.example.org inter2 leaf
cat "$P"/ours.pem "$P"/inter2.pem "$P"/inter1.pem >"$P/again.pem"
try "import: a renewal of the present key meanwhile" 0 'mx.new-key: the key of a request, still waits' cert import mx --cert "$P/again.pem"
is "import: then too" "$(sha256sum "$CERTS/mx.new-key")" "$waiting"
try "create --force: meanwhile" 0 'mx.new-key: .*still waits' cert create mx --dns mx.example.org --force
is "create --force: then too" "$(sha256sum "$CERTS/mx.new-key")" "$waiting"
cp "$CERTS/mx.new-key" "$P/second.key"
issue second mx.example.org inter2 leaf
try "import: what that request brought" 0 'mx.pem: until' cert import mx --cert "$P/second.pem"
check "import: with its key" same_key "$CERTS/mx.pem" "$P/second.key"
is "import: which waits no more" "$(ls -A "$CERTS")" $'mx.key\nmx.pem'
run cert csr new --dns new.example.org
try "create: while the first request waits" 0 'new.new-key: .*still waits' cert create new --dns new.example.org
check "create: its key still waits" test -s "$CERTS/new.new-key"

# ---- csr: where it goes ----

fresh
run cert create mx --dns mx.example.org
echo old >"$T/out.csr"
chmod 0640 "$T/out.csr"
( trap '' XFSZ; ulimit -f 0; "$TLSWARD" -c "$INI" cert csr mx -o "$T/out.csr" --force ) >"$T/out" 2>"$T/err"
is "csr -o --force: no room" $? 1
is "csr -o --force: the old file is as it was" "$(cat "$T/out.csr" 2>&1)" old
is "csr -o --force: and no other is left" "$(ls "$T" | grep -c 'out\.csr')" 1
try "csr -o --force" 0 'out.csr: the request' cert csr mx -o "$T/out.csr" --force
like "csr -o --force: replaced" "$(head -n 1 "$T/out.csr")" 'BEGIN CERTIFICATE REQUEST'
is "csr -o --force: its mode is kept" "$(stat -c %a "$T/out.csr")" 640
echo old >"$T/aim"
ln -s aim "$T/link.csr"
refused "csr -o --force: a link" 'link.csr is a symbolic link, which is not followed' cert csr mx -o "$T/link.csr" --force
is "csr -o --force: what it leads to is as it was" "$(cat "$T/aim"; readlink "$T/link.csr")" $'old\naim'
rm -f "$T/pipe.csr"
mkfifo "$T/pipe.csr"
timeout 10 cat "$T/pipe.csr" >"$T/piped" &
try "csr -o --force: a pipe" 0 'nx.new-key: new' cert csr nx --dns nx.example.org -o "$T/pipe.csr" --force
wait $!
like "csr -o --force: has the request" "$(head -n 1 "$T/piped")" 'BEGIN CERTIFICATE REQUEST'
check "csr -o --force: and the store its key" test -s "$CERTS/nx.new-key"
check "csr -o --force: the pipe is there" test -p "$T/pipe.csr"
if [ "$(id -u)" -eq 0 ] && mknod "$T/full.csr" c 1 7 2>/dev/null && ! (echo >"$T/full.csr") 2>/dev/null; then
	refused "csr -o --force: a full device" 'full.csr: cannot be written: No space' cert csr full --dns a.example -o "$T/full.csr" --force
	check "csr -o --force: is still there" test -c "$T/full.csr"
else
	skip "csr -o --force: a full device" "no device can be made here"
	skip "csr -o --force: is still there" "no device can be made here"
fi

fresh
try "import" 0 'x.key: EC P-256, from .*leaf.key; ' cert import x --cert "$P/mixed.pem" --key "$P/leaf.key"
like "import: what became of the rest" "$out" 'Left out: [0-9] certificates? that the chain does not need'
is "import: root and strangers are left out" "$(subjects "$CERTS/x.pem")" "leaf.example.org Inter Two Inter One "
like "import: the root is left out and that is said" "$out" 'Root One, which this system trusts \(left out, clients have it\)'
like "import: INI" "$(cat "$INI")" "^key = $CERTS/x.key"
check "import: smtpd's and Exim's OpenSSL take the pair" openssl verify -CAfile "$P/root.pem" -untrusted "$CERTS/x.pem" "$CERTS/x.pem"
try "import: an issuer is missing" 0 'INCOMPLETE: the certificate of Inter Two is missing; import it again with the chain' cert import x --cert "$P/leaf.pem" --key "$P/leaf.key"
try "check: then warns" 0 'warning: \[certificate x\]: .*lacks the certificate of CN=Inter Two; import it again with the chain' check
cat "$P/private.pem" "$P/other.pem" >"$P/private-chain.pem"
try "import: a private CA's root is kept" 0 'complete up to the root Other Root, which this system does not trust' cert import p --cert "$P/private-chain.pem" --key "$P/private.key"
is "import: it is there" "$(subjects "$CERTS/p.pem")" "private.example.org Other Root "
cat "$P"/leaf.pem "$P"/inter2.pem "$P"/cross.pem "$P"/inter1.pem "$P"/other.pem >"$P/crossed.pem"
try "import: cross-signed" 0 'c.pem: .*complete' cert import c --cert "$P/crossed.pem" --key "$P/leaf.key"
check "import: cross-signed, it verifies" openssl verify -CAfile <(cat "$P/root.pem" "$P/other.pem") -untrusted "$CERTS/c.pem" "$CERTS/c.pem"
cat "$P"/expired.pem "$P"/inter2.pem "$P"/inter1.pem >"$P/expired-chain.pem"
openssl crl2pkcs7 -nocrl -certfile "$P/chain.pem" -out "$P/chain.p7b"
openssl crl2pkcs7 -nocrl -certfile "$P/chain.pem" -outform DER -out "$P/chain.p7c"
for f in leaf.der:leaf.key chain.p7b:leaf.key chain.p7c:leaf.key leaf.pem:leaf-key.der chain.pem:leaf.key; do
	fresh
	try "import: $f" 0 'x.pem: until' cert import x --cert "$P/${f%:*}" --key "$P/${f#*:}"
	check "import: $f: PEM that matches" same_key "$CERTS/x.pem" "$CERTS/x.key"
done
is "import: the key is PKCS#8 in the clear" "$(head -n 1 "$CERTS/x.key")" '-----BEGIN PRIVATE KEY-----'
try "import: Ed25519" 0 'ed.key: ED25519' cert import ed --cert "$P/ed.pem" --key "$P/ed.key"

# ---- over a certificate that is in use ----

fresh
run cert create mx --dns leaf.example.org
try "import: says what it replaces" 0 '^mx: it replaces the certificate for leaf.example.org, until 20' cert import mx --cert "$P/chain.pem" --key "$P/leaf.key"
try "import: over one that no rule shows" 0 'replaces the certificate for leaf.example.org' cert import mx --cert "$P/soon.pem" --key "$P/soon.key"
run cert use mx
refused "import: over one in use, a name is lost" 'soon.example.org, which \[certificate mx\] has now .*--force' cert import mx --cert "$P/chain.pem" --key "$P/leaf.key"
try "import --force: over one in use, a name is lost" 0 'warning: .*no certificate for soon.example.org any more' cert import mx --cert "$P/chain.pem" --key "$P/leaf.key" --force
issue wide '*.example.org' inter2 leaf
try "import: a wildcard has the name" 0 'mx: it replaces' cert import mx --cert "$P/wide.pem" --key "$P/wide.key"
printf 'names = leaf.example.org\n' >>"$INI"
try "import: so has it that of names" 0 'mx: it replaces' cert import mx --cert "$P/wide.pem" --key "$P/wide.key" --group daemon
run unset server certificate
refused "import: a wildcard is lost" 'no certificate for \*.example.org' cert import mx --cert "$P/chain.pem" --key "$P/leaf.key"

# ---- passphrases ----

for f in leaf-enc.key leaf-enc.der leaf-old.key; do
	fresh
	try "import: $f, passphrase in a file" 0 'x.pem: until' cert import x --cert "$P/chain.pem" --key "$P/$f" --passphrase-file "$P/pass"
	check "import: $f: decrypted" same_key "$CERTS/x.pem" "$CERTS/x.key"
	refused "import: $f: wrong passphrase" "cannot be decrypted: the passphrase in $P/wrong is wrong" \
	    cert import x --cert "$P/chain.pem" --key "$P/$f" --passphrase-file "$P/wrong"
	refused "import: $f: no terminal" 'encrypted, and there is no terminal .*--passphrase-file' \
	    cert import x --cert "$P/chain.pem" --key "$P/$f"
done
for f in leaf legacy nomac; do
	fresh
	[ -s "$P/$f.p12" ] || { skip "import: $f.p12" "openssl has no legacy provider"; continue; }
	try "import: $f.p12" 0 'x.pem: until .*leaf and 2 issuers' cert import x --pkcs12 "$P/$f.p12" --passphrase-file "$P/pass"
	check "import: $f.p12: a pair" same_key "$CERTS/x.pem" "$CERTS/x.key"
	refused "import: $f.p12: wrong passphrase" 'is wrong, or the file is damaged' cert import x --pkcs12 "$P/$f.p12" --passphrase-file "$P/wrong"
done
fresh
try "import: PKCS#12 with an empty passphrase asks nothing" 0 'x.pem: until' cert import x --pkcs12 "$P/open.p12"
fresh
try "import: nor one in the clear, without a MAC" 0 'x.pem: until' cert import x --pkcs12 "$P/clear.p12"
chmod 0644 "$P/pass"
refused "import: a passphrase that others can read" 'pass: others can read or write it; chmod 0600' \
    cert import x --cert "$P/chain.pem" --key "$P/leaf-enc.key" --passphrase-file "$P/pass"
chmod 0600 "$P/pass"
refused "import: no passphrase file" 'none: No such file' cert import x --cert "$P/chain.pem" --key "$P/leaf-enc.key" --passphrase-file "$P/none"
printf 'open sesame\r\nmore\n' >"$P/pass2"; chmod 0600 "$P/pass2"
try "import: the first line counts" 0 'x.pem|nothing' cert import x --cert "$P/chain.pem" --key "$P/leaf-enc.key" --passphrase-file "$P/pass2"

# typed TRIES...: what the import of an encrypted key says to who types that, at each prompt
typed() {
	local n=0 word
	rm -f "$T/keyboard" "$T/screen"
	mkfifo "$T/keyboard"
	script -qec "'$TLSWARD' -c '$INI' cert import x --cert '$P/chain.pem' --key '$P/leaf-enc.key'; echo rc=\$?" /dev/null \
	    <"$T/keyboard" >"$T/screen" 2>&1 &
	exec 9>"$T/keyboard"
	for word; do
		n=$((n + 1))
		wait_for 10 eval "[ \"\$(grep -o 'Passphrase of' '$T/screen' | wc -l)\" -ge $n ]"
		[ -z "${MEANWHILE:-}" ] || "$TLSWARD" -c "$INI" $MEANWHILE >"$T/meanwhile" 2>&1
		ps -eo args | grep -F "$word" | grep -v grep
		printf '%s\n' "$word" >&9
	done
	wait_for 10 grep -q 'rc=' "$T/screen"
	exec 9>&-
	wait $!
	tr -d '\r' <"$T/screen"
}
if command -v script >/dev/null; then
	fresh
	out=$(typed 'open sesame')
	like "terminal: asked, and imported" "$out" 'rc=0'
	fresh
	out=$(MEANWHILE='cert create other --dns other.example' typed 'open sesame')
	like "terminal: another command has the store meanwhile" "$(cat "$T/meanwhile")" '\[certificate other\] added'
	like "terminal: and the import still works" "$out" 'rc=0'
	is "terminal: both are there" "$(grep -c '^\[certificate' "$INI")" 2
	fresh
	out=$(typed 'open sesame')
	like "terminal: the prompt names the file" "$out" "^Passphrase of $P/leaf-enc.key: $"
	unlike "terminal: no echo, and in no argument list" "$out" 'sesame'
	check "terminal: a pair" same_key "$CERTS/x.pem" "$CERTS/x.key"
	fresh
	out=$(typed 'open barley' 'open sesame')
	like "terminal: a second try" "$out" 'rc=0'
	like "terminal: after the first failed" "$out" 'That does not open it'
	fresh
	before=$(picture)
	out=$(typed 'a1b2c' 'a2b2c' 'a3b2c')
	like "terminal: three tries" "$out" 'cannot be decrypted: the passphrase is wrong'
	like "terminal: then it fails" "$out" 'rc=1'
	is "terminal: all is as it was" "$(picture)" "$before"
else
	skip "passphrase at a terminal" "script is not installed"
fi
is "no passphrase and no key in any output" "$(grep -lE 'sesame|BEGIN.*PRIVATE' "$T/out" "$T/err" "$T/screen" 2>/dev/null)" ""

# ---- what import refuses ----

fresh
run cert import x --cert "$P/chain.pem" --key "$P/leaf.key"
X="cert import x --cert"
refused "import: another key" 'none of the 3 certificates is of this key' $X "$P/chain.pem" --key "$P/root.key"
refused "import: another key, one certificate" 'the certificate is not of this key in .*root.key' $X "$P/leaf.pem" --key "$P/root.key"
refused "import: expired" 'expired on 2021-01-01; get a new one \(--force' $X "$P/expired-chain.pem" --key "$P/expired.key"
refused "import: not yet valid" 'valid only from .* check the clock' $X "$P/early.pem" --key "$P/early.key"
refused "import: a client's" 'not meant for a TLS server' $X "$P/client.pem" --key "$P/client.key"
refused "import: RSA 1024" 'too short for OpenSSL.s security level' $X "$P/weak.pem" --key "$P/weak.key"
cat "$P/leaf.pem" "$P/inter2.pem" >"$P/short.pem"
head -c 300 "$P/leaf.pem" >"$P/cut.pem"
cat "$P/leaf.pem" "$P/cut.pem" >"$P/cut2.pem"
head -c 300 "$P/leaf.der" >"$P/cut.der"
head -c 100 "$P/leaf-key.der" >"$P/cut-key.der"
head -c 150 "$P/leaf.key" >"$P/cut.key"
head -c 500 "$P/leaf.p12" >"$P/cut.p12"
: >"$P/empty"
echo 'hello' >"$P/text"
ln -sf loop "$P/loop"
mkfifo "$P/fifo"
head -c 2000000 /dev/zero >"$P/huge"
refused "import: cut short" 'cut.pem: certificate 1 of it is damaged or cut short' $X "$P/cut.pem" --key "$P/leaf.key"
refused "import: the second is cut short" 'cut2.pem: certificate 2 of it is damaged or cut short' $X "$P/cut2.pem" --key "$P/leaf.key"
refused "import: DER cut short" 'cut.der: is cut short: 300 octets of DER instead of [0-9]+' $X "$P/cut.der" --key "$P/leaf.key"
refused "import: a key cut short" 'cut.key: its private key is damaged or cut short' $X "$P/leaf.pem" --key "$P/cut.key"
refused "import: a DER key cut short" 'cut-key.der: is cut short: 100 octets' $X "$P/leaf.pem" --key "$P/cut-key.der"
refused "import: PKCS#12 cut short" 'cut.p12: is cut short: 500 octets' cert import x --pkcs12 "$P/cut.p12" --passphrase-file "$P/pass"
refused "import: PKCS#12 as a certificate" 'PKCS#12 file; name it with --pkcs12' $X "$P/leaf.p12" --key "$P/leaf.key"
refused "import: PKCS#12 as a key" 'PKCS#12 file; name it with --pkcs12' $X "$P/leaf.pem" --key "$P/leaf.p12"
refused "import: PEM as PKCS#12" 'is no PKCS#12 file' cert import x --pkcs12 "$P/chain.pem"
refused "import: a key as a certificate" 'is a private key; name the certificate' $X "$P/leaf.key" --key "$P/leaf.key"
refused "import: a certificate as a key" 'a certificate and no private key' $X "$P/leaf.pem" --key "$P/leaf.pem"
refused "import: a request" 'is a request; import the certificate' $X "$P/leaf.csr" --key "$P/leaf.key"
refused "import: an empty file" 'empty: is empty' $X "$P/empty" --key "$P/leaf.key"
refused "import: text" 'holds no certificate in PEM' $X "$P/text" --key "$P/leaf.key"
refused "import: text as a key" 'no private key, neither PEM nor DER' $X "$P/leaf.pem" --key "$P/text"
refused "import: a directory" 'is a directory; name the file' $X "$P" --key "$P/leaf.key"
refused "import: a directory as a key" 'is a directory; name the file' $X "$P/leaf.pem" --key "$P"
refused "import: a loop of links" 'is a loop of symbolic links' $X "$P/loop" --key "$P/leaf.key"
refused "import: a FIFO" 'no regular file' $X "$P/fifo" --key "$P/leaf.key"
refused "import: no file" 'no such file; check the path' $X "$P/nothing" --key "$P/leaf.key"
refused "import: a huge file" '2000000 octets, more than' $X "$P/huge" --key "$P/leaf.key"
refused "import: no key to find" 'which key\?' cert import new --cert "$P/leaf.pem"
refused "import: no key of the present one" 'no certificate in it is of the key of \[certificate x\]' $X "$P/ed.pem"
try "import: neither" 2 'needs --cert FILE or --pkcs12' cert import x --key "$P/leaf.key"
try "import: key and PKCS#12" 2 'takes --key or --pkcs12' cert import x --key "$P/leaf.key" --pkcs12 "$P/leaf.p12"
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	chmod 0755 "$P"
	chmod 0600 "$P/leaf.key"
	printf '[server]\nmode = offer\n' >"$own/t.ini"
	chown nobody "$own/t.ini"
	setpriv --reuid nobody --regid nogroup --clear-groups "$TLSWARD" -c "$own/t.ini" \
	    cert import y --cert "$P/leaf.pem" --key "$P/leaf.key" >"$T/out" 2>&1
	is "import: unreadable" $? 1
	like "import: unreadable, says so" "$(cat "$T/out")" 'leaf.key: permission denied; let this user read'
else
	skip "import: unreadable" "not root"
fi
try "import --force: expired" 0 'warning: .*expired on 2021-01-01' cert import old --cert "$P/expired-chain.pem" --key "$P/expired.key" --force
try "check: warns of it" 0 "tlsward.ini:[0-9]+: warning: \[certificate old\]: expired on 2021-01-01; renew it" check
cat "$P/soon.pem" "$P/inter2.pem" "$P/inter1.pem" >"$P/soon-chain.pem"
run cert import soon --cert "$P/soon-chain.pem" --key "$P/soon.key"
try "check: warns of what expires soon" 0 'warning: \[certificate soon\]: expires in [45] days; renew it' check
printf '[agent]\nexpiry_days = 3, 1\n' >>"$INI"
try "check: not beyond expiry_days" 0 'old' check
unlike "check: so that is no warning" "$out" 'soon'

# ---- all or nothing ----

if [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
	# The INI's folder as a file system of KIB, full but for FREE KIB after the first pair.
	full() { # FREE ARG...
		local free=$1
		shift
		unshare -m sh -c '
			ini=$1 tlsward=$2 p=$3 free=$4 folder=${1%/*}
			shift 4
			mount -t tmpfs -o size=256k tmpfs "$folder" || exit 77
			printf "[server]\nmode = offer\n" >"$ini"
			"$tlsward" -c "$ini" cert create x --dns old.example >/dev/null 2>&1 || exit 78
			dd if=/dev/zero of="$folder/fill" bs=4k count=1000 2>/dev/null
			dd if=/dev/null of="$folder/fill" bs=1k seek=$(($(stat -c %s "$folder/fill") / 1024 - free)) 2>/dev/null
			pic() { (cd "$folder" && find . | sort && cat tlsward.ini certs/*); }
			before=$(pic)
			"$tlsward" -c "$ini" "$@"
			rc=$?
			[ "$(pic)" = "$before" ] && echo untouched
			exit $rc' sh "$INI" "$TLSWARD" "$P" "$free" "$@" >"$T/out" 2>"$T/err"
		rc=$?
		out=$(cat "$T/out" "$T/err")
	}
	fresh
	failed=0
	for free in 0 4 8 12 16; do
		full $free cert import "$([ $free = 8 ] && echo y || echo x)" --cert "$P/chain.pem" --key "$P/leaf.key"
		[ $rc -ne 77 ] || break
		[ $rc -ne 1 ] || failed=$((failed + 1))
		if [ $rc -eq 0 ]; then ok "disk with $free KiB free: done"
		elif [ $rc -ne 1 ]; then not_ok "disk with $free KiB free" "exit $rc: $out"
		else
			like "disk with $free KiB free: says so" "$out" 'No space left on device'
			like "disk with $free KiB free: all is as it was" "$out" '^untouched$'
		fi
	done
	if [ $rc -eq 77 ]; then skip "full disk" "tmpfs cannot be mounted"
	else like "some of them failed" "$failed" '^[1-9]'; fi
else
	skip "full disk" "needs root and unshare"
fi
# The INI cannot be written: the files go back.
fresh
run cert import x --cert "$P/chain.pem" --key "$P/leaf.key"
if [ "$(id -u)" -eq 0 ] && chattr +i "$INI" 2>/dev/null; then
	refused "import: the INI cannot be replaced" 'tlsward.ini' cert import z --cert "$P/chain.pem" --key "$P/leaf.key"
	chattr -i "$INI"
else
	exec 8<"$INI"
	flock 8
	refused "import: the INI is locked" 'tlsward.ini is locked' cert import z --cert "$P/chain.pem" --key "$P/leaf.key"
	exec 8<&-
fi
mkdir "$CERTS/z.key"
refused "import: a folder in the key's place" 'z.key cannot be' cert import z --cert "$P/chain.pem" --key "$P/leaf.key"
rmdir "$CERTS/z.key"
exec 8<"$CERTS"
flock 8
( sleep 0.3; exec 8<&- ) 8<&8 &
exec 8<&-
try "import: waits for another that changes the store" 0 'x.pem|nothing' cert import x --cert "$P/chain.pem" --key "$P/leaf.key"
wait
sed -i "s,^file = .*,file = $P/chain.pem," "$INI"
try "import: files elsewhere stay, the section moves" 0 "named $P/chain.pem, which stays" cert import x --cert "$P/chain.pem" --key "$P/leaf.key"
like "import: smtpd.conf may name them still" "$out" "smtpd.conf may still name$"
like "import: which, and what to do" "$out" "^$P/chain.pem: change its pki lines"
like "import: to the store" "$(cat "$INI")" "^file = $CERTS/x.pem"
for i in 1 2 3 4 5 6; do
	"$TLSWARD" -c "$INI" cert create race --dns "h$i.example" --force >"$T/race.$i" 2>&1 &
done
wait
check "six at once: a pair" same_key "$CERTS/race.pem" "$CERTS/race.key"
is "six at once: nothing else left" "$(ls -A "$CERTS")" $'race.key\nrace.pem\nx.key\nx.pem'
# Killed anywhere: the next command finds the old pair or the new pair, and cleans up.
torn=0
for i in {1..30}; do
	"$TLSWARD" -c "$INI" cert create race --dns "k$i.example" --force >/dev/null 2>&1 &
	pid=$!
	sleep "0.0$((RANDOM % 20 + 10))"
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
	run cert delete nobody
	same_key "$CERTS/race.pem" "$CERTS/race.key" || torn=$((torn + 1))
done
is "killed thirty times: always a pair" "$torn" 0
is "and nothing else is left" "$(ls -A "$CERTS")" $'race.key\nrace.pem\nx.key\nx.pem'
# As if killed between the two renames: the new key is in place, the old certificate still.
ln "$CERTS/race.pem" "$CERTS/.race.pem.tlsward-old"
mv "$CERTS/race.key" "$CERTS/.race.key.tlsward-old"
cp "$P/leaf.key" "$CERTS/race.key"
cp "$P/leaf.key" "$CERTS/.race.new-key.tlsward-new"
run cert delete nobody
check "a pair that was torn is whole again" same_key "$CERTS/race.pem" "$CERTS/race.key"
is "and nothing of it is left" "$(ls -A "$CERTS")" $'race.key\nrace.pem\nx.key\nx.pem'

# ---- list, show, use, delete ----

fresh
run cert import x --cert "$P/chain.pem" --key "$P/leaf.key"
run cert import soon --cert "$P/soon-chain.pem" --key "$P/soon.key"
try "list" 0 '^x +ok +20[0-9-]+ +[0-9]+ +EC P-256 +leaf.example.org$' cert list
like "list: expiring" "$out" '^soon +expiring '
like "list: with the sentence" "$out" 'expires in [45] days; renew it'
is "list fits 80 columns" "$(grep -E '.{81}' "$T/out")" ""
json "list --json" '[(x["name"], x["state"], x["key_matches"], x["chain_complete"]) for x in j["certificates"]]' \
    "[('soon', 'expiring', True, True), ('x', 'ok', True, True)]" cert list --json
try "show" 0 '^  state +ok$' cert show x
like "show: the fingerprint" "$out" "^  fingerprint +SHA256:$(openssl x509 -in "$P/leaf.pem" -outform DER | sha256sum | cut -c1-64 | tr a-f A-F)\$"
like "show: of the key" "$out" "^  public key +SPKI-SHA256:$(openssl pkey -in "$P/leaf.key" -pubout -outform DER 2>/dev/null | sha256sum | cut -c1-64 | tr a-f A-F)\$"
like "show: the chain" "$out" '^  chain +3 certificates, complete$'
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -out "$T/many.pem" -subj /CN=x \
    -addext "subjectAltName=$(printf 'DNS:n%d.example,' {1..129})DNS:last.example" 2>/dev/null
try "show: names beyond those shown are counted" 0 'and 30 more' cert show "$T/many.pem"
json "show --json" 'j["certificate"]["names"], j["certificate"]["key_bits"], j["certificate"]["chain_length"], j["certificate"]["used_by"]' \
    "['leaf.example.org'] 256 3 []" cert show x --json
try "show FILE" 0 '^  subject +CN=Inter One' cert show "$P/inter1.pem"
json "show FILE --json: expired" 'j["certificate"]["state"], j["certificate"]["days_left"] < -1000, j["certificate"]["name"]' \
    "expired True None" cert show "$P/expired.pem" --json
issue odd "Odd $(printf '\302\23331m')" odd root
issue oddleaf oddleaf.example.org odd leaf
try "show FILE: C1 in a name" 0 'issuer +CN=Odd .xC2.x9B31m$' cert show "$P/oddleaf.pem"
try "import: C1 in a name" 0 'the certificate of Odd .xC2.x9B31m is missing' cert import odd --cert "$P/oddleaf.pem" --key "$P/oddleaf.key"
run cert delete odd
try "show FILE: DER" 0 '^  names +leaf.example.org$' cert show "$P/leaf.der"
unlike "show FILE: DER: nothing of a chain" "$out" '^  chain '
try "show FILE: neither" 1 'text: holds no certificate' cert show "$P/text"
run cert create rsa --dns rsa.example --rsa
try "list: bits of RSA" 0 '^rsa +ok .* RSA 3072  rsa.example$' cert list
run cert delete rsa
run cert import short --cert "$P/leaf.pem" --key "$P/leaf.key"
try "use: an issuer is missing" 0 'warning: short: .*lacks the certificate of CN=Inter Two; import it again with the chain: .tlsward cert import short --cert FILE' cert use short --listener 192.0.2.9:25
run unset "listener 192.0.2.9:25"
run cert delete short
try "show FILE: a directory" 1 'is a directory' cert show "$P"
try "show: no such" 1 'there is no \[certificate y\], and no file y' cert show y
like "show: there are" "$err" '^There are: soon, x$'
try "use" 0 '\[server\] certificate = x$' cert use x
like "use: OpenSMTPD needs a restart" "$out" '^OpenSMTPD reads certificates only when it starts'
like "use: Exim does not" "$out" '^Exim shows it from the next connection on'
mkdir -p "$STATE/exim"; : >"$STATE/exim/counters"
try "use: again" 0 'as before' cert use x
unlike "use: of servers that are in use here" "$out" 'OpenSMTPD'
try "use --listener" 0 '\[listener 192.0.2.1:25\] certificate = soon' cert use soon --listener 192.0.2.1:25
try "use: no such" 1 'there is no \[certificate y\]' cert use y
like "use: there are" "$err" 'There are: soon, x'
try "use: a bad listener" 2 '\-\-listener "here"' cert use soon --listener here
json "show --json: who uses it" 'j["certificate"]["used_by"][0]["rule"]' "[listener 192.0.2.1:25]" cert show soon --json
run cert import old --cert "$P/expired-chain.pem" --key "$P/expired.key" --force
refused "use: expired" 'old: expired on 2021-01-01' cert use old
try "use --force" 0 'certificate = old' cert use old --listener 192.0.2.2:25 --force
like "use --force: with a warning" "$err" 'warning: old: expired on 2021-01-01'
refused "delete: a rule names it" "tlsward.ini:[0-9]+: \[server\] names certificate x" cert delete x
line=$(sed -n '/^certificate = x/=' "$INI")
run cert delete x
like "delete: says at which line" "$err" "tlsward.ini:$line: "
run unset server certificate
try "delete" 0 '\[certificate x\] removed' cert delete x
is "delete: the files are gone" "$(ls "$CERTS")" $'old.key\nold.pem\nsoon.key\nsoon.pem'
is "delete: the section too" "$(grep -c 'certificate x' "$INI")" 0
try "delete: again" 1 'there is no \[certificate x\]' cert delete x
run unset "listener 192.0.2.1:25"
try "delete --keep-files" 0 '\[certificate soon\] removed' cert delete soon --keep-files
is "delete --keep-files: they stay" "$(ls "$CERTS")" $'old.key\nold.pem\nsoon.key\nsoon.pem'
try "delete: files without a section" 0 'soon.key: removed' cert delete soon
run cert create shared --dns shared.example
printf '[ca own]\nfile = %s/../certs/shared.pem\n[peer p.example]\ncerts = %s/shared.key\n' "$CERTS" "$CERTS" >>"$INI"
try "delete: files that other rules name stay" 0 'certs/shared.pem: stays, .*tlsward.ini:[0-9]+: \[ca own\] has it as file' cert delete shared
like "delete: by whatever key" "$out" 'certs/shared.key: stays, .*\[peer p.example\] has it as certs'
check "delete: they are there" test -s "$CERTS/shared.pem" -a -s "$CERTS/shared.key"
run unset peer p.example
run unset ca own
rm -f "$CERTS"/shared.*
printf '[certificate away]\nfile = %s\nkey = %s\n' "$P/chain.pem" "$P/leaf.key" >>"$INI"
try "delete: files elsewhere stay" 0 'chain.pem: not in the store, stays' cert delete away
check "delete: they do" test -s "$P/chain.pem" -a -s "$P/leaf.key"

# ---- check ----

fresh
run cert create x --dns x.example
cp "$P/leaf.key" "$CERTS/x.key"
try "check: another key" 0 'tlsward.ini:8: warning: \[certificate x\]: .*x.key is not the key of this certificate' check
chmod 0644 "$CERTS/x.key"
try "check: a key that everybody can read" 0 "x.key can be read by everybody: chmod 0640 $CERTS/x.key" check
chmod 0646 "$CERTS/x.key"
try "check: a key that everybody can write" 0 'x.key can be read and written by everybody: chmod 0640' check
run set server certificate x
try "check: another key, of a certificate that a rule shows" 1 'tlsward.ini:[0-9]+: \[certificate x\]: .*x.key is not the key' check
mv "$CERTS/x.key" "$CERTS/aside"
mkdir "$CERTS/x.key"
try "check: a folder as the key" 1 'x.key: is a directory' check
is "check: one sentence about that" "$(grep -c 'x\.key' <<<"$out")" 1
rmdir "$CERTS/x.key"
mv "$CERTS/x.pem" "$CERTS/aside.pem"
try "check: neither file" 1 'tlsward.ini:[0-9]+: \[certificate x\]: .*x.pem: there is no such file' check
like "check: the other is named, too" "$out" 'tlsward.ini:[0-9]+: \[certificate x\]: .*x.key: there is no such file, either$'
mv "$CERTS/aside.pem" "$CERTS/x.pem"
mv "$CERTS/aside" "$CERTS/x.key"
run unset server certificate
rm "$CERTS/x.pem"
try "check: no file" 0 'tlsward.ini:7: warning: \[certificate x\]: .*x.pem: there is no such file' check
ln -s x.pem "$CERTS/x.pem"
try "check: a loop" 0 'x.pem: is a loop of symbolic links' check
fresh
printf '[ca a]\nfile = %s/nothing.pem\n[ca b]\nfile = %s/root.pem\n[peer a.example]\ncerts = %s/text\n[peer b.example]\ncerts = %s/leaf.pem\n' "$P" "$P" "$P" "$P" >>"$INI"
try "check: a CA that is not there" 0 'tlsward.ini:[0-9]+: warning: \[ca a\]: cannot be used' check
like "check: pins that are none" "$out" 'warning: \[peer a.example\]: certs cannot be used: .*text'
unlike "check: the others are fine" "$out" '\[ca b\]|b\.example'

# As whom Exim runs is seen by its folder of counters.
if [ "$(id -u)" -eq 0 ]; then
	fresh
	run cert create x --dns x.example
	run cert use x
	chown 0:0 "$CERTS/x.key"
	rm -rf "$STATE"
	mkdir -p "$STATE/exim"
	chown nobody "$STATE/exim"
	try "check: a key that Exim cannot read" 0 "warning: \[certificate x\]: $CERTS/x.key cannot be read by nobody, as whom Exim runs, .*454 \(root:root, mode 0640\): chgrp nogroup $CERTS/x.key; chmod 0640 $CERTS/x.key" check
	chmod 0600 "$INI"
	try "check: settings that Exim cannot read" 0 "warning: $INI cannot be read by nobody, .*chmod 0644 $INI" check
	chmod 0644 "$INI"
	mkdir "$STATE/opensmtpd"
	try "check: where it may be OpenSMTPD alone that serves" 0 'no errors' check
	unlike "check: nothing is said of it" "$out" 'cannot be read'
	rmdir "$STATE/opensmtpd"
	chgrp nogroup "$CERTS/x.key"
	run check
	unlike "check: with its group it can" "$out" 'cannot be read'
	rmdir "$STATE/exim"
else
	skip "check: what Exim cannot read" "not root"
fi

# What a [ca] has ends, too.
issue oldca 'Old Root' oldca root 20200101000000Z 20210101000000Z
issue nextca 'Next Root' nextca root "$(date -u -d '+10 days' +%Y%m%d000000Z)" "$(date -u -d '+900 days' +%Y%m%d000000Z)"
issue lastca 'Last Root' lastca root '' "$(date -u -d '+5 days' +%Y%m%d000000Z)"
crl() { # NAME FROM TO: a CRL of Root One
	openssl ca -gencrl -config "$P/ca.cnf" -cert "$P/root.pem" -keyfile "$P/root.key" \
	    -crl_lastupdate "$2" -crl_nextupdate "$3" -out "$P/$1.crl" 2>"$P/log" || die "$(tail -n 3 "$P/log")"
}
yesterday=$(date -u -d yesterday +%Y%m%d000000Z)
crl good "$yesterday" "$(date -u -d '+300 days' +%Y%m%d000000Z)"
crl over 20200101000000Z 20200201000000Z
fresh
long=$T/root-long
openssl req -x509 -key "$P/root.key" -subj '/CN=Root One' -days 900 -out "$long" 2>/dev/null
printf '[ca a]\nfile = %s\n[ca b]\nfile = %s\n[ca c]\nfile = %s\n[ca d]\nfile = %s\ncrl = %s\n[ca e]\nfile = %s\ncrl = %s\n' \
    "$P/oldca.pem" "$P/nextca.pem" "$P/lastca.pem" "$long" "$P/over.crl" "$long" "$P/good.crl" >>"$INI"
try "check: a CA that has expired" 0 'warning: \[ca a\]: .*oldca.pem: expired on 2021-01-01; renew it; until then what it has certified is refused' check
like "check: at its line" "$out" "tlsward.ini:$(sed -n '/oldca/=' "$INI"): warning"
like "check: a CA that is not yet valid" "$out" 'warning: \[ca b\]: /.*nextca.pem: is valid only from '
like "check: a CA that will expire" "$out" 'warning: \[ca c\]: /.*lastca.pem: expires in [45] days; renew it$'
like "check: a CRL that has ended" "$out" "tlsward.ini:$(sed -n '/over.crl/=' "$INI"): warning: \[ca d\]: .*over.crl: the CRL of CN=Root One should have been replaced by 2020-02-01 00:00; fetch it again; until then mail that needs it waits, with 451"
unlike "check: the last one is in order" "$out" '\[ca e\]'
printf '[listener 192.0.2.1:25]\nverifies = yes\nca = e\n[listener 192.0.2.2:25]\nca = e\n' >>"$INI"
try "check: OpenSMTPD looks at no CRL" 0 "tlsward.ini:$(sed -n '/good.crl/=' "$INI"): warning: \[ca e\]: OpenSMTPD cannot check its crl, so at \[listener 192.0.2.1:25\], which verifies, .*451" check
unlike "check: nor is it told of listeners that do not verify" "$out" '192.0.2.2'

# Pins: a file once, by the first rule that names it; one that is followed there is fine.
fresh
cp "$P/soon.pem" "$P/soon-before.pem"
issue soon soon.example.org inter2 leaf "$(date -u -d '+3 days' +%Y%m%d000000Z)"
cat "$P/soon-before.pem" "$P/soon.pem" >"$P/followed.pem"
printf '[peer a.example]\ncerts = %s\n[peer b.example]\ncerts = %s\n[peer c.example]\ncerts = %s\n[domain d.example]\ncerts = %s\n[peer e.example]\ncerts = %s\n' \
    "$P/expired.pem" "$P/soon-before.pem" "$P/expired.pem" "$P/followed.pem" "$P/gone.pem" >>"$INI"
try "check: a pinned certificate that has expired, once" 0 \
    "tlsward.ini:$(sed -n '/expired.pem/{=;q}' "$INI"): warning: \[peer a.example\] and 1 rule more: /.*expired.pem: expired on 2021-01-01; get the next one from the sender and add it$" check
like "check: one that will" "$out" \
    "tlsward.ini:$(sed -n '/soon-before/=' "$INI"): warning: \[peer b.example\]: /.*soon-before.pem: expires in [45] days; get the next one"
like "check: a file of pins that is gone" "$out" \
    "tlsward.ini:$(sed -n '/gone.pem/=' "$INI"): warning: \[peer e.example\]: certs cannot be used: /.*gone.pem: there is no such file"
unlike "check: nothing of one that is followed, nor twice of another" "$out" 'd\.example|c\.example'
try "list: pins" 0 '^expiring +20[-0-9]+ +[45]  /.*soon-before.pem, \[peer b.example\]$' cert list
like "list: with what to do" "$out" '^ +expired on 2021-01-01; get the next one from the sender and add it$'
json "list --json: pins" '[(x["file"].split("/")[-1], x["state"], x["rules"], x["certificates"], x["used_by"][0]["rule"]) for x in j["pins"]]' \
    "[('expired.pem', 'expired', 2, 1, '[peer a.example]'), ('followed.pem', 'ok', 1, 2, '[domain d.example]'), ('gone.pem', 'unreadable', 1, 0, '[peer e.example]'), ('soon-before.pem', 'expiring', 1, 1, '[peer b.example]')]" cert list --json
mv "$P/soon-before.pem" "$P/soon.pem"

# ---- the hook ----

HOOK="$TOP/conf/renew-hook.sh"
export TLSWARD
fresh
mkdir -p "$T/live/mx.example.org"
ln -s "$P/chain.pem" "$T/live/mx.example.org/fullchain.pem"
ln -s "$P/leaf.key" "$T/live/mx.example.org/privkey.pem"
hook() { env "$@" >"$T/out" 2>&1 </dev/null; rc=$?; out=$(cat "$T/out"); }
rm -rf "$STATE"
hook RENEWED_LINEAGE="$T/live/mx.example.org" RENEWED_DOMAINS=mx.example.org "$HOOK" -c "$INI" mx
is "hook: certbot" "$rc" 0
like "hook: certbot: it is imported" "$out" 'mx.pem: until'
unlike "hook: certbot: a new name concerns no server yet" "$out" 'restart'
hook RENEWED_LINEAGE="$T/live/mx.example.org" "$HOOK" -c "$INI" mx
like "hook: certbot: the same again" "$out" 'nothing to change'
run cert use mx
issue leaf leaf.example.org inter2 leaf
cat "$P"/leaf.pem "$P"/inter2.pem "$P"/inter1.pem >"$P/chain.pem"
hook RENEWED_LINEAGE="$T/live/mx.example.org" "$HOOK" -c "$INI" mx
tr '\n' ' ' <<<"$out" >"$T/hook.out"
like "hook: certbot: OpenSMTPD needs a restart, and for which file" "$(cat "$T/hook.out")" \
    "OpenSMTPD reads certificates only when it starts: if its smtpd.conf names $CERTS/mx.pem, restart it .systemctl restart opensmtpd"
like "hook: certbot: Exim does not" "$out" '^Exim shows it from the next connection on'
mkdir -p "$STATE/exim"; : >"$STATE/exim/counters"
issue leaf leaf.example.org inter2 leaf
cat "$P"/leaf.pem "$P"/inter2.pem "$P"/inter1.pem >"$P/chain.pem"
hook RENEWED_LINEAGE="$T/live/mx.example.org" "$HOOK" -c "$INI" mx
unlike "hook: certbot: where only Exim serves, nothing needs a restart" "$out" 'restart'
like "hook: certbot: and Exim is named" "$out" '^Exim shows it'
rm -rf "$STATE"
check "hook: certbot: a pair" same_key "$CERTS/mx.pem" "$CERTS/mx.key"
hook RENEWED_LINEAGE="$T/live/mx.example.org" "$HOOK" -c "$INI"
like "hook: certbot: the lineage's name" "$(cat "$INI")" '^\[certificate mx.example.org\]'
issue leafs leaf.example.org inter2 leaf
cat "$P"/leafs.pem "$P"/inter2.pem "$P"/inter1.pem >"$T/full" ; cp "$P/leafs.key" "$T/full.key"
hook CERT_PATH=x CA_CERT_PATH=x CERT_FULLCHAIN_PATH="$T/full" CERT_KEY_PATH="$T/full.key" Le_Domain=mx.example.org "$HOOK" -c "$INI" mx
is "hook: acme.sh" "$rc" 0
like "hook: acme.sh: a restart" "$out" 'restart it \(systemctl restart opensmtpd\)'
check "hook: acme.sh: the new one" same_key "$CERTS/mx.pem" "$P/leafs.key"
hook "$HOOK" -c "$INI" mx "$P/chain.pem" "$P/leaf.key"
check "hook: files as arguments" same_key "$CERTS/mx.pem" "$P/leaf.key"
hook "$HOOK" -c "$INI" mx "$P/soon-chain.pem" "$P/soon.key"
like "hook: another host's" "$rc:$out" '^1:.*no certificate for leaf.example.org'
hook "$HOOK" -c "$INI" mx "$P/chain.pem" "$P/soon.key"
is "hook: another key" "$rc" 1
check "hook: leaves the old pair" same_key "$CERTS/mx.pem" "$P/leaf.key"
hook "$HOOK" -c "$INI" mx "$P/chain.pem" "$P/leaf-enc.key"
like "hook: never waits for a passphrase" "$rc:$out" '^1:.*passphrase'
hook "$HOOK" mx
like "hook: called by nobody" "$rc:$out" '^1:.*neither certbot'
hook "$HOOK" mx one
is "hook: usage" "$rc" 2
hook TLSWARD=/nonexistent "$HOOK" mx "$P/chain.pem" "$P/leaf.key"
like "hook: no program" "$rc:$out" '^1:.*cannot be run'

done_testing
