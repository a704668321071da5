#!/bin/sh
# Installs the Debian packages named, those that are missing, with apt-get:
#	tests/deps.sh [-o] PACKAGE...
# Needs root or sudo.  Without, it says what is missing and ends with 1, or
# with 0 for optional ones (-o): what needs those is skipped then.
set -u
optional=
[ "${1:-}" = -o ] && optional=1 && shift
need=
for p; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || need="$need $p"
done
[ -n "$need" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then sudo=
elif command -v sudo >/dev/null; then sudo=sudo
else
	echo "deps: missing:$need (install them as root; neither root nor sudo here)" >&2
	[ -n "$optional" ]
	exit
fi
echo "deps: installing$need" >&2	# standard output may be `make bench JSON=1`
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
run() {
	$sudo env DEBIAN_FRONTEND=noninteractive "$@" >"$log" 2>&1 </dev/null && return 0
	echo "deps: $* failed:" >&2
	tail -n 15 "$log" >&2
	return 1
}
run apt-get -q update
# shellcheck disable=SC2086
run apt-get -qy --no-install-recommends install $need && exit 0
[ -n "$optional" ]
