#!/bin/bash
# Unpacks the servers that the tests and the demo run, below build/servers/; with
# the word "demo" only the three that the demo needs, which are marked:
#
# * opensmtpd   7.4 of bookworm-backports (bookworm's 6.8 cannot do TLS there)
# * exim-4.96   exim4-daemon-heavy of bookworm
#   exim-4.98   exim4-daemon-heavy of bookworm-backports
# * snmpd       snmpd and snmptrapd of bookworm
#   rsyslog     rsyslogd of bookworm, which carries smtpd's log to the filter
#   snmp-exporter, prometheus   for their exporter and promtool; no service runs
#
# The packages conflict with one another and would replace the machine's mail
# server, so none is installed: they are downloaded and unpacked.  apt works
# with folders of its own here; the machine's sources and lists stay as they
# are.  As root it also installs the libraries that these programs link with
# and makes the system users and folders that smtpd and Exim insist on, each
# only where missing.  What is there already is left alone, so that the script
# may be run any number of times.
set -u
cd "$(dirname "$0")/.." || exit 1
top=$PWD
dir=$top/build/servers
apt=$dir/apt
mkdir -p "$dir"
# By sudo: the checkout's owner may build beside it and remove it all.
[ "$(id -u)" -ne 0 ] ||
    trap 'chown --reference="$top/GNUmakefile" "$top/build"; chown -R --reference="$top/GNUmakefile" "$dir"' EXIT
exec 9>"$dir/.lock"
flock 9 || exit 1

say() { echo "servers: $*" >&2; }	# standard output may be `make bench JSON=1`
die() { echo "servers: $*" >&2; exit 1; }

release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ "$release" = bookworm ] || say "made for Debian 12 (bookworm), this is ${release:-unknown}"
[ -n "$release" ] || release=bookworm

# The machine's Debian sources, and once more with the suite of the backports.
# Files of other vendors are left out, comments and disabled entries too.
write_sources() {
	local f n=0
	mkdir -p "$apt/sources" "$apt/lists/partial" "$apt/cache/archives/partial"
	rm -f "$apt"/sources/*
	for f in /etc/apt/sources.list.d/*.sources; do
		[ -f "$f" ] && grep -q "^Suites:.*\<$release\>" "$f" || continue
		n=$((n + 1))
		cp "$f" "$apt/sources/machine-$n.sources"
		# Of the stanzas only the archive's own, not the security one.
		awk -v rel="$release" 'BEGIN { RS = ""; FS = "\n" }
		    $0 ~ "\n?Suites:[^\n]*" rel && $0 !~ "Suites:[^\n]*security" {
			gsub(/Suites:[^\n]*/, "Suites: " rel "-backports")
			print $0 "\n" }' "$f" >"$apt/sources/backports-$n.sources"
	done
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -f "$f" ] && grep -q "^deb .*[ /]$release\>" "$f" || continue
		n=$((n + 1))
		grep "^deb .*[ /]$release\>" "$f" >"$apt/sources/machine-$n.list"
		sed -En "s,^(deb (\[[^]]*\] )?[^ ]+ )$release main.*,\1$release-backports main,p" \
		    "$f" >"$apt/sources/backports-$n.list"
	done
	[ "$n" -gt 0 ] || die "no Debian source of $release in /etc/apt"
}

private_apt() {
	local cmd=$1
	shift
	"$cmd" -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$apt/sources" \
	    -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" \
	    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
	    -o Dir::Etc::preferencesparts=/dev/null -o Dir::Etc::preferences=/dev/null \
	    -o APT::Sandbox::User=root "$@"
}

# unpack FOLDER PROGRAM PACKAGE[/SUITE]...
unpack() {
	local to=$1 prog=$2 tmp pkg
	shift 2
	[ -x "$dir/$to/$prog" ] && return 0
	if [ ! -e "$apt/updated" ]; then
		write_sources
		private_apt apt-get update >"$dir/apt.log" 2>&1 ||
		    die "apt-get update failed: $(tail -n 1 "$dir/apt.log")"
		touch "$apt/updated"
	fi
	tmp=$dir/.new-$to
	rm -rf "$tmp" "${dir:?}/$to"
	mkdir -p "$tmp/deb" || exit 1
	(cd "$tmp/deb" && private_apt apt-get download "$@" >>"$dir/apt.log" 2>&1) ||
	    die "cannot download $*: $(tail -n 1 "$dir/apt.log")"
	for pkg in "$tmp"/deb/*.deb; do
		dpkg -x "$pkg" "$tmp" || die "cannot unpack $pkg"
		dpkg-deb -f "$pkg" Pre-Depends Depends >>"$tmp/depends"
	done
	rm -rf "$tmp/deb"
	chmod -R ug-s "$tmp/usr"	# no privileged program in a build folder
	[ -x "$tmp/$prog" ] || die "$* holds no $prog"
	mv "$tmp" "$dir/$to" || exit 1
	say "unpacked $* in build/servers/$to"
}

# The libraries of their dependency lists: first alternatives, no versions.
libraries() {
	sed 's/^[A-Za-z-]*: //' "$dir"/*/depends | tr ',' '\n' |
	    sed -E 's/\|.*//; s/\(.*\)//; s/[[:space:]]//g' | grep '^lib' | sort -u
}
missing() {
	local p
	for p; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || echo "$p"
	done
}
make_user() { # USER HOME
	getent passwd "$1" >/dev/null && return 0
	getent group "$1" >/dev/null || groupadd --system "$1"
	useradd --system --gid "$1" --no-create-home --home-dir "$2" \
	    --shell /usr/sbin/nologin "$1" && say "made the system user $1"
}
make_folder() { # PATH MODE
	[ -d "$1" ] && return 0
	mkdir -p "$1" && chmod "$2" "$1" && say "made the folder $1"
}

rm -f "$apt/updated"
unpack opensmtpd usr/sbin/smtpd "opensmtpd/$release-backports"
unpack exim-4.96 usr/sbin/exim4 exim4-daemon-heavy
unpack snmpd usr/sbin/snmpd snmpd snmptrapd
if [ "${1:-}" != demo ]; then
	unpack exim-4.98 usr/sbin/exim4 "exim4-daemon-heavy/$release-backports"
	unpack rsyslog usr/sbin/rsyslogd rsyslog
	unpack snmp-exporter usr/bin/prometheus-snmp-exporter prometheus-snmp-exporter
	unpack prometheus usr/bin/promtool prometheus
fi

need=$(missing $(libraries))
if [ "$(id -u)" -ne 0 ]; then
	[ -z "$need" ] || say "not root: skipped installing" $need
	for u in opensmtpd opensmtpq Debian-exim; do
		getent passwd $u >/dev/null || say "not root: skipped making the user $u"
	done
	exit 0
fi
if [ -n "$need" ]; then
	apt-get update -q >>"$dir/apt.log" 2>&1
	DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $need \
	    >>"$dir/apt.log" 2>&1 || die "cannot install $need: see build/servers/apt.log"
	say installed $need
fi
make_user opensmtpd /var/lib/opensmtpd/empty
make_user opensmtpq /var/lib/opensmtpd/empty
make_user Debian-exim /var/spool/exim4
make_folder /var/lib/opensmtpd/empty 0755
make_folder /var/spool/smtpd 0711
