#!/bin/sh
# After a renewal: takes certificate and key into tlsward's key store, and says
# which server has to be restarted.
#
#	renew-hook.sh [-c INI] [NAME [FULLCHAIN KEY]]
#
# NAME is that of [certificate NAME]; by default the name that the files have
# at the renewing program.
#
# certbot, which tells its hooks the folder in RENEWED_LINEAGE:
#	certbot renew --deploy-hook "/usr/local/share/tlsward/renew-hook.sh mx"
#   or, for all that it renews, each under its own name: a link to this file in
#   /etc/letsencrypt/renewal-hooks/deploy/
#
# acme.sh, which tells them CERT_FULLCHAIN_PATH and CERT_KEY_PATH:
#	acme.sh --install-cert -d mx.example.org \
#	    --fullchain-file /root/mx.pem --key-file /root/mx.key \
#	    --reloadcmd "/usr/local/share/tlsward/renew-hook.sh mx"
#
# Any other program: name the two files.
#
# A certificate that is refused (another key, expired, ...) leaves the old one in
# use; the status is then 1, and the renewing program reports it.
set -u
TLSWARD=${TLSWARD:-/usr/local/bin/tlsward}

usage() {
	echo "usage: renew-hook.sh [-c INI] [NAME [FULLCHAIN KEY]]" >&2
	exit 2
}
fail() {
	echo "renew-hook.sh: $*" >&2
	exit 1
}

ini=
while getopts c: opt; do
	case $opt in
	c) ini=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
case $# in
0 | 1 | 3) ;;
*) usage ;;
esac

name=${1:-}
if [ $# -eq 3 ]; then
	cert=$2 key=$3
elif [ -n "${RENEWED_LINEAGE:-}" ]; then
	cert=$RENEWED_LINEAGE/fullchain.pem key=$RENEWED_LINEAGE/privkey.pem
	[ -n "$name" ] || name=$(basename "$RENEWED_LINEAGE")
elif [ -n "${CERT_FULLCHAIN_PATH:-}" ] && [ -n "${CERT_KEY_PATH:-}" ]; then
	cert=$CERT_FULLCHAIN_PATH key=$CERT_KEY_PATH
	[ -n "$name" ] || name=${Le_Domain:-}
else
	fail "neither certbot (RENEWED_LINEAGE) nor acme.sh (CERT_FULLCHAIN_PATH and" \
	    "CERT_KEY_PATH) has called this, so name the files: NAME FULLCHAIN KEY"
fi
[ -n "$name" ] || fail "which certificate?  Name it as in [certificate NAME]"
[ -x "$TLSWARD" ] || fail "$TLSWARD cannot be run; set TLSWARD to the program's path"

# Keys of a CA's client are root's: nobody is there to be asked for a passphrase.
exec "$TLSWARD" ${ini:+-c "$ini"} cert import "$name" --cert "$cert" --key "$key" </dev/null
