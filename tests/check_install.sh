#!/bin/bash
# make install and uninstall into a folder, with another prefix, from scratch.
. "$(dirname "$0")/lib.sh"
cd "$TOP" || exit 1
need_cmd gcc make
root=$T/root
mk() { make -s -C "$TOP" B="$T/b" CFLAGS=-O0 HARDEN= DESTDIR="$root" prefix=/opt/tw sysconfdir=/opt/etc "$@"; }

check "make install" mk -j2 install
for f in libexec/opensmtpd/filter-tlsward lib/tlsward/exim_tlsward.so lib/tlsward/exim_tlsward_cert.so lib/tlsward/exim_tlsward_read.so sbin/tlsward-agent bin/tlsward \
    share/snmp/mibs/TLSWARD-MIB.txt share/tlsward/exim-tlsward.conf share/tlsward/exim-tlsward-debian.conf \
    share/man/man1/tlsward.1 share/man/man5/tlsward.ini.5 share/man/man8/filter-tlsward.8 \
    share/man/man8/exim_tlsward.8 share/man/man8/tlsward-agent.8 share/doc/tlsward/README.md \
    share/doc/tlsward/smtpd.conf share/doc/tlsward/snmpd.conf share/doc/tlsward/tlsward.ini \
    share/doc/tlsward/nms/snmp-exporter.yml share/doc/tlsward/nms/check_tlsward \
    lib/systemd/system/tlsward-agent.service; do
	check "installs $f" test -s "$root/opt/tw/$f"
done
# The line that README and the manual pages give, of what is installed and of nothing else.
mibdirs=$(sed -n 's/^    export \(MIBDIRS=[^ ]*\) \(MIBS=.*\)/\1 \2/p' README.md | sed "s,/usr/local,$root/opt/tw,g")
like "README gives one line for the SNMP tools" "$mibdirs" '^MIBDIRS=.*share/snmp/mibs:.*/smi MIBS='
for f in mibs/TLSWARD-MIB.7 agent/tlsward-agent.8; do
	like "$f gives the same" "$(sed -n '/^export MIBDIRS/,/MIBS=/p' $f | sed 's/ \\e$//; s/^ *//; s/^export //' | tr '\n' ' ' |
	    sed "s,/usr/local,$root/opt/tw,g")" "^$mibdirs \$"
done
if command -v snmptranslate >/dev/null; then
	is "with it they know the MIB, and complain of nothing" "$(env -i PATH="$PATH" HOME="$T" $mibdirs \
	    snmptranslate -On TLSWARD-MIB::tlswardServerMode.0 2>&1 | grep -v '^Created directory')" \
	    .1.3.6.1.4.1.8072.9999.9999.2553.1.2.1.0
	mkdir -p "$T/.snmp/mibs"
	sed 's/createAndGo(4)/realAndGo(4)/' tests/smi/SNMPv2-TC.txt >"$T/.snmp/mibs/SNMPv2-TC.txt"
	like "a real module counts before the stand-in" "$(env -i PATH="$PATH" HOME="$T" $mibdirs \
	    snmptranslate -Td TLSWARD-MIB::tlswardDomainRowStatus 2>&1)" 'realAndGo\(4\)'
else
	skip "the SNMP tools and the MIB as installed" "snmptranslate is not installed"
fi
is "nothing is put elsewhere: folders of a running system are tlsward setup's" "$(cd "$root" && find . -path './opt/*' -prune -o -type d -print)" ".
./opt"
check "installs the settings" test -s "$root/opt/etc/tlsward/tlsward.ini"
is "no path of another prefix is left in what is installed" \
    "$(cd "$root" && grep -rlIE '/usr/local|(^|[^t])/etc/tlsward' opt/tw/share/tlsward opt/tw/share/man opt/tw/lib/systemd opt/tw/share/doc/tlsward/*.conf)" ""
is "nothing is writable by others" "$(find "$root" -perm /022 ! -type l)" ""
for p in libexec/opensmtpd/filter-tlsward sbin/tlsward-agent bin/tlsward; do
	like "$p -V" "$("$root/opt/tw/$p" -V 2>&1)" "$(make -s print-VERSION)"
done
like "the settings' path is built in" "$("$root/opt/tw/bin/tlsward" check 2>&1)" '/opt/etc/tlsward/tlsward\.ini'
check "the shipped settings have no errors" \
    "$root/opt/tw/bin/tlsward" -c "$root/opt/etc/tlsward/tlsward.ini" check

echo '; mine' >>"$root/opt/etc/tlsward/tlsward.ini"
mk install >/dev/null 2>&1
is "installing again keeps the settings" "$(tail -n 1 "$root/opt/etc/tlsward/tlsward.ini")" '; mine'
check "make uninstall" mk uninstall
is "leaves the settings only" "$(cd "$root" && find . -type f)" ./opt/etc/tlsward/tlsward.ini
done_testing
