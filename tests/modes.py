#!/usr/bin/env python3
"""The modes of every kind of rule on one server, a table.  Run by tests/srv_modes.sh.

    modes.py --name WORD --port N --ini FILE --log FILE --state DIR --certificate FILE --key FILE
             [--wait]

Writes the settings of each row, holds a session in clear, one over TLS 1.2 and one
over 1.3, and prints "ok WHAT" or "not ok WHAT" for each.  With --wait the log tells
when settings are in force.
"""
import argparse
import collections
import os
import re
import sys
import time

import agree

# What a session gets:
#	ok		MAIL and RCPT are accepted, over TLS if it asked for that
#	in-clear	STARTTLS is not to be had; the mail is accepted without
#	mail:CODE	MAIL is refused		rcpt:CODE	RCPT is
#	would		the log says decision=report; accepted, or what follows: at MAIL
#			the server's rule is on trial, at RCPT a domain's refuses
# The sender is below partner.example, the recipient below example.org.  A rule
# is a section and its settings: a mode alone, or "report" (mode = require on
# trial), then KEY=VALUE.  `suffix` is the section of the domain above.
TABLE = """
server: the rule                        clear       TLS 1.2     TLS 1.3
-       server none                     ok          in-clear    in-clear
-       server offer                    ok          ok          ok
-       server require                  mail:530    ok          ok
-       server report                   would       ok          ok
-       server require min_tls=1.3      mail:530    mail:554    ok
-       server report min_tls=1.3       would       would       ok
-       server require min_bits=257     mail:530    mail:554    mail:554

require listener none                   ok          in-clear    in-clear
none    listener offer                  ok          ok          ok
require listener offer                  ok          ok          ok
offer   listener require                mail:530    ok          ok
offer   listener report                 would       ok          ok
report  listener enforce=yes            mail:530    ok          ok
require listener min_tls=1.3            mail:530    mail:554    ok

require network none                    ok          in-clear    in-clear
none    network offer                   ok          ok          ok
require network offer                   ok          ok          ok
offer   network require                 mail:530    ok          ok
offer   network report                  would       ok          ok
require network enforce=report          would       ok          ok
require network min_tls=1.3             mail:530    mail:554    ok
offer   listener require, network offer     ok          ok          ok
offer   listener offer, network require     mail:530    ok          ok

require domain none                     ok          ok          ok
offer   domain none                     ok          ok          ok
require domain offer                    ok          ok          ok
offer   domain offer                    ok          ok          ok
offer   domain require                  rcpt:530    ok          ok
offer   domain report                   would       ok          ok
report  domain require enforce=yes      would,rcpt:530  ok      ok
require domain enforce=report           would       ok          ok
offer   domain require min_tls=1.3      rcpt:530    rcpt:554    ok
offer   domain report min_tls=1.3       would       would       ok
require domain-suffix none              ok          ok          ok
require domain-suffix offer             ok          ok          ok
offer   domain-suffix require           rcpt:530    ok          ok
offer   domain-suffix report            would       ok          ok
offer   domain-suffix require, domain offer     ok          ok          ok
offer   domain-suffix offer, domain require     rcpt:530    ok          ok

require peer none                       ok          ok          ok
offer   peer none                       ok          ok          ok
require peer offer                      ok          ok          ok
offer   peer offer                      ok          ok          ok
offer   peer require                    mail:530    ok          ok
offer   peer report                     would       ok          ok
report  peer require enforce=yes        mail:530    ok          ok
require peer enforce=report             would       ok          ok
offer   peer require min_tls=1.3        mail:530    mail:554    ok
offer   peer report min_tls=1.3         would       would       ok
require peer-suffix none                ok          ok          ok
require peer-suffix offer               ok          ok          ok
offer   peer-suffix require             mail:530    ok          ok
offer   peer-suffix report              would       ok          ok
offer   peer-suffix require, peer offer     ok          ok          ok
offer   peer-suffix offer, peer require     mail:530    ok          ok

offer   peer require, domain offer      mail:530    ok          ok
offer   peer require, domain none       rcpt:530    ok          ok
require peer none, domain require       rcpt:530    ok          ok
require peer none, domain none          ok          ok          ok
offer   peer offer, domain require min_tls=1.3      rcpt:530    rcpt:554    ok
require listener offer, domain require  rcpt:530    ok          ok
require network offer, peer require     mail:530    ok          ok
"""
SECTIONS = {"server": "server", "listener": "listener 127.0.0.1:%(port)d", "network": "client 127.0.0.0/8",
            "domain": "domain mx.example.org", "domain-suffix": "domain .example.org",
            "peer": "peer mx.partner.example", "peer-suffix": "peer .partner.example"}
MODES = {"none": ["mode = none"], "offer": ["mode = offer"], "require": ["mode = require"],
         "report": ["mode = require", "enforce = report"]}
Row = collections.namedtuple("Row", "base rules clear tls12 tls13")


def rows():
    for line in TABLE.strip().split("\n")[1:]:
        if line:
            yield Row(*re.fullmatch(r"(\S+) +(.*?) +(\S+) +(\S+) +(\S+)", line).groups())


def lines_of(words):
    return [l for w in words for l in MODES.get(w) or [w.replace("=", " = ")]]


def settings(row, a):
    out = ["[server]", "state_dir = " + a.state, "certificate = mx"]
    out += lines_of([] if row.base == "-" else [row.base])
    for rule in row.rules.split(", "):
        section, *words = rule.split()
        if section != "server":
            out.append("[%s]" % SECTIONS[section] % {"port": a.port})
        out += lines_of(words)
    return "\n".join(out + ["[certificate mx]", "file = " + a.certificate, "key = " + a.key, ""])


def held(run, row, tls, number):
    """What came of it, in the table's words; "would" is found in the log later."""
    s = agree.Session("127.0.0.1", tls, agree.CIPHERS[0], None, False,
                      "case%d@mx.partner.example" % number, ["b@mx.example.org"])
    try:
        got = agree.hold(run, s, run.args.port)
    except OSError as e:
        return "no session: %s" % e
    replies = got["replies"]
    if replies == ["250", "250"]:
        return "ok" if got["tls"] == tls else "in-clear"
    where = "mail:" if len(replies) == 1 else "rcpt:"
    return where + replies[-1][:3] + ("" if got["tls"] == tls else " in clear")


def reported(log):
    with open(log, errors="replace") as f:
        return {int(n) for n in re.findall(r"decision=report .*\bfrom=case(\d+)@", f.read())}


def main():
    p = agree.options_of(["name", "ini", "log", "state", "certificate", "key"], ["port"])
    p.add_argument("--wait", action="store_true")
    a = p.parse_args()
    a.verify_port, a.tree = -1, None
    run = argparse.Namespace(args=a, verifies=False)
    number, would, names = 0, set(), {}
    for row in rows():
        with open(a.ini + ".new", "w", encoding="utf-8") as f:
            f.write(settings(row, a))
        os.chmod(f.name, 0o644)
        if not a.wait:
            os.rename(f.name, a.ini)
        elif not agree.apply(run, ""):
            print("not ok %s: the settings of this row are not in force: %s" % (a.name, row.rules))
            continue
        for tls, want in ("none", row.clear), ("1.2", row.tls12), ("1.3", row.tls13):
            number += 1
            names[number] = "%s, %s; %s: %s, %s" % (a.name, row.base, row.rules,
                                                    "clear" if tls == "none" else "TLS " + tls, want)
            if want.startswith("would"):
                would.add(number)
                want = want.partition(",")[2] or "ok"
            got = held(run, row, tls, number)
            print(("ok %s" if got == want else "not ok %s\n# got: " + got) % names[number])
    end = time.monotonic() + 5
    while not would <= reported(a.log) and time.monotonic() < end:
        time.sleep(.05)
    for n in sorted(would ^ reported(a.log)):
        print("not ok %s\n# decision=report is %s" % (names.get(n, n), "missing" if n in would else "there"))
    print("%s %s: reported is what would be refused, and nothing else" %
          ("ok" if would == reported(a.log) else "not ok", a.name))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
