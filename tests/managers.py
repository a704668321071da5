"""A walk by python3-pysnmp4: managers.py PORT VERSION OID

VERSION is 1, 2 (community public) or 3 (user admin).  Prints "OID = VALUE", octet
strings in hexadecimal, as managers.pl does.  By GETBULK, for version 1 by GETNEXT.
"""
import sys

from pysnmp.hlapi import (
    CommunityData, ContextData, ObjectIdentity, ObjectType, SnmpEngine, UdpTransportTarget, UsmUserData,
    bulkCmd, nextCmd, usmAesCfb128Protocol, usmHMAC192SHA256AuthProtocol)
from pyasn1.type import univ

port, version, base = int(sys.argv[1]), sys.argv[2], sys.argv[3].lstrip(".")
if version == "3":
	user = UsmUserData("admin", "auth-passphrase", "priv-passphrase",
	    authProtocol=usmHMAC192SHA256AuthProtocol, privProtocol=usmAesCfb128Protocol)
else:
	user = CommunityData("public", mpModel=int(version) - 1)
command, extra = (nextCmd, ()) if version == "1" else (bulkCmd, (0, 25))
rows = command(SnmpEngine(), user, UdpTransportTarget(("127.0.0.1", port), timeout=5, retries=2),
    ContextData(), *extra, ObjectType(ObjectIdentity(base)), lexicographicMode=False, lookupMib=False)
for error, status, index, varbinds in rows:
	if error or status:
		print("error", error or status.prettyPrint(), index)
		break
	for oid, value in varbinds:
		if not str(oid).startswith(base + "."):
			continue
		text = bytes(value).hex() if isinstance(value, univ.OctetString) else value.prettyPrint()
		print(".%s = %s" % (oid, text))
