#!/bin/bash
# Runs a command inside a mount namespace made for it (by `unshare -m`, see
# start_smtpd in lib.sh):  smtpd-ns.sh FOLDER LOGSOCKET LIBEXEC COMMAND...
# FOLDER holds what stands over the machine's own /run, /dev and spool; with
# SPOOL_IN_MEMORY set the spool is on no disk.
set -eu
ns=$1 log=$2 libexec=$3
shift 3
mount --make-rprivate /
if [ -n "${SPOOL_IN_MEMORY:-}" ]; then
	mount -t tmpfs -o mode=0711 tmpfs /var/spool/smtpd
else
	mount --bind "$ns/spool" /var/spool/smtpd
fi
mount --bind "$ns/run" /run
mkdir -p -m 0755 /run/lock

# smtpd asks DNS before /etc/hosts: without this a session can wait for it.
echo 'lookup file' >"$ns/resolv.conf"
if [ -L /etc/resolv.conf ] && [ ! -e /etc/resolv.conf ]; then
	# a link into the /run that has just gone
	to=$(readlink -m /etc/resolv.conf)
	mkdir -p "${to%/*}" && : >"$to"
fi
mount --bind "$ns/resolv.conf" /etc/resolv.conf

mount -t tmpfs -o mode=0755 tmpfs "$ns/dev"
for d in null zero full random urandom tty; do
	: >"$ns/dev/$d"
	mount --bind "/dev/$d" "$ns/dev/$d"
done
ln -s /proc/self/fd "$ns/dev/fd"
ln -s "$log" "$ns/dev/log"
mkdir "$ns/dev/shm"
chmod 1777 "$ns/dev/shm"
mount --rbind "$ns/dev" /dev

# Where smtpd has the path of its delivery programs built in.
if [ -d /usr/libexec ]; then
	mkdir -p "$ns/libexec"
	mount --bind /usr/libexec "$ns/libexec"
	mount -t tmpfs -o mode=0755 tmpfs /usr/libexec
	ln -s "$ns"/libexec/* /usr/libexec/
	rm -f /usr/libexec/opensmtpd
	cp -r "$libexec" /usr/libexec/
fi
exec "$@"
