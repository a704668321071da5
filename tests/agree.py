#!/usr/bin/env python3
"""Do the servers do what `tlsward explain` says?  Run by tests/srv_agree.sh.

    agree.py --seed N --cases N [--case M] --ini FILE --log FILE --tlsward PROGRAM
             --tree DIR --certificate FILE --key FILE --state DIR
             --tls-port N --verify-port N --exim-port N [--v6] [--other CERTIFICATE KEY]

Random settings, SESSIONS random sessions for each: every one is held with an
OpenSMTPD that has the filter, with an Exim that has the module, and by explain,
and all replies are compared to the letter.  Case M of seed N is the same
wherever and whenever it runs; ports and folders are put in at the end.

Prints "ok WHAT" or "not ok WHAT" for each settings file, details after '#'.
OpenSMTPD's listeners are one with `tls` and one with `tls-require verify`: only
on the latter is there a certificate, always a good one.  The filter knows that
smtpd trusted it, and by the feed its fingerprint, but no names.  The command line
has no option for that: explain_pin, with --pin-tool, is the same decision then.  INI
and --log are the filter's: it says there when settings are in force.
"""
import argparse
import base64
import collections
import concurrent.futures
import hashlib
import json
import os
import random
import re
import socket
import ssl
import subprocess
import sys
import time
import warnings

warnings.simplefilter("ignore", DeprecationWarning)	# TLS 1.1
SESSIONS = 15
TIMEOUT = 20
DOMAINS = ["partner.example", "sub.partner.example", "deep.sub.partner.example",
           "other.example", "example.org", "a.example.org", "b.a.example.org",
           "xn--bcher-kva.example", "stranger.example"]
RULES = ["partner.example", ".partner.example", "sub.partner.example", "other.example",
         "example.org", ".example.org", "a.example.org", "b\u00fccher.example", ".example"]
NETWORKS = ["127.0.0.0/8", "127.0.1.0/24", "127.0.1.5/32", "127.9.0.0/16", "::1/128"]
CLIENTS = ["127.0.0.1", "127.0.1.5", "127.0.1.9", "127.9.9.9"]
LOCALS = ["a", "B.c+d", "postmaster", "o'neil", "x=y"]
TRUSTED = ["good", "direct", "deep"]		# what a verifying smtpd lets in
# GnuTLS does not take a chain as long as that of `big`.
CERTS = TRUSTED + ["alone", "stranger", "selfsigned", "revoked", "expired", "early",
                   "server-only", "wildcard", "other", "cn-only", "cn-beside", "idna", "upper",
                   "nosubject", "p384"]
CIPHERS = ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"]
OLD_CIPHERS = ["ECDHE-ECDSA-AES256-SHA", "ECDHE-ECDSA-AES128-SHA"]	# the same for TLS 1.1
VERSIONS = {"1.1": ssl.TLSVersion.TLSv1_1, "1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
SNI = [None, None, "mx.example.org", "other.example.org", "OTHER.example.org", "stranger.example"]
USER, PASSWORD = "joe", "secret"


# ---- settings ----

def some(rng, chance, lines, key, values):
    """With that chance one more line."""
    if rng.random() < chance:
        lines.append("%s = %s" % (key, rng.choice(values)))


def values(rng, chance):
    """What may stand in any rule."""
    lines = []
    some(rng, chance, lines, "mode", ["none", "offer", "offer", "require", "require"])
    some(rng, chance, lines, "client_cert", ["none", "request", "require", "require"])
    some(rng, chance / 2, lines, "min_tls", ["1.0", "1.2", "1.3", "1.3"])
    some(rng, chance / 3, lines, "min_bits", ["0", "128", "256", "256", "257"])
    some(rng, chance / 3, lines, "enforce", ["yes", "report"])
    some(rng, chance, lines, "ca", ["tree", "tree", "tree", "clients", "foreign", "stale"])
    some(rng, chance / 3, lines, "authenticated", ["exempt", "enforce", "enforce"])
    return lines


def senders(rng, pins):
    """What may stand in [client], [domain] and [peer] besides."""
    lines = []
    some(rng, .3, lines, "cert_names", ["partner.example", "*.partner.example", ".partner.example",
                                        "other.example, b\u00fccher.example"])
    some(rng, .3, lines, "fingerprints", pins)
    some(rng, .1, lines, "certs", ["@TREE@/good.pem", "@TREE@/selfsigned.pem"])
    some(rng, .2, lines, "match_cn", ["yes", "no"])
    return lines


def settings(rng, pins):
    """One INI, ports and paths still to be put in."""
    out = [("[server]", values(rng, .4) + ["certificate = mx", "state_dir = @STATE@"])]
    for port in "@TLS@", "@VERIFY@", "@EXIM@":
        lines = values(rng, .2)
        if port == "@VERIFY@" and rng.random() < .8:
            lines.append("verifies = yes")
        if lines and (port == "@VERIFY@" or rng.random() < .5):
            out.append(("[listener %s:%s]" % (rng.choice(["127.0.0.1", "127.0.0.1", "*", "[::1]"]), port), lines))
    for network in rng.sample(NETWORKS, rng.randrange(3)):
        out.append(("[client %s]" % network, values(rng, .3) + senders(rng, pins)))
    for section in "peer", "domain":
        for name in rng.sample(RULES, rng.randrange(6)):
            out.append(("[%s %s]" % (section, name), values(rng, .4) + senders(rng, pins)))
    rng.shuffle(out)
    out.append(("[certificate mx]", ["file = @CERTIFICATE@", "key = @KEY@", "@OTHER@"]))
    for name, lines in (("tree", ["crl = @TREE@/crl.pem"]), ("clients", ["purpose = client"]),
                        ("stale", ["crl = @TREE@/stale.pem"]), ("foreign", [])):
        out.append(("[ca %s]" % name, ["file = @TREE@/%s.pem" %
                                       ("foreign" if name == "foreign" else "ca")] + lines))
    return "".join("%s\n%s\n\n" % (head, "\n".join(lines)) for head, lines in out)


def good_settings(seed, batch, run):
    """The first ones of this batch that `tlsward check` has nothing against."""
    rng = random.Random("%s settings %d" % (seed, batch))
    for _ in range(50):
        text = settings(rng, run.pins)
        for word, value in run.words.items():
            text = text.replace(word, value)
        with open(run.args.ini + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(f.name, 0o644)
        check = subprocess.run([run.args.tlsward, "-c", f.name, "check"], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, check=False)
        if check.returncode == 0:
            return text
    sys.exit("no good settings in fifty tries: %s" % check.stdout.decode())


# ---- sessions ----

Session = collections.namedtuple("Session", "client tls cipher cert verify sender rcpts auth v6 sni",
                                 defaults=(False, False, None))


def address(rng):
    domain = rng.choice(DOMAINS)
    return "%s@%s" % (rng.choice(LOCALS), domain.upper() if rng.random() < .1 else domain)


def session(seed, case):
    """verify: whether OpenSMTPD gets it at its verifying listener."""
    rng = random.Random("%s session %d" % (seed, case))
    tls = rng.choice(["none", "none", "1.1", "1.2", "1.2", "1.2", "1.3", "1.3", "1.3"])
    return Session(rng.choice(CLIENTS), tls, rng.choice(CIPHERS),
                   rng.choice(CERTS) if rng.random() < .75 else None, rng.random() < .4,
                   "" if rng.random() < .07 else address(rng),
                   [address(rng) for _ in range(rng.randint(1, 4))],
                   rng.random() < .15, rng.random() < .15, rng.choice(SNI))


def unfold(code, lines):
    """One line: Exim folds, and each line of a reply has the enhanced code (RFC 2034 4)."""
    again = lines[0].split(" ")[0] + " "
    return " ".join([code, lines[0]] + [l[len(again):] if l.startswith(again) else l
                                        for l in lines[1:]])


class NoGreeting(OSError):
    """Nobody listens, or whoever does has ended."""


class Smtp:
    """A client; replies as "250" where it is accepted, else whole."""

    def __init__(self, client, port):
        try:
            server = "::1" if ":" in client else "127.0.0.1"
            self.sock = socket.create_connection((server, port), TIMEOUT, (client, 0))
            self.file = self.sock.makefile("rb")
            self.reply()
        except OSError as e:
            raise NoGreeting(str(e)) from e

    def reply(self):
        self.lines = []
        while True:
            line = self.file.readline().decode("latin-1").rstrip("\r\n")
            if line == "":
                raise OSError("the server closed the connection")
            self.lines.append(line[4:])
            if line[3:4] != "-":
                break
        return "250" if line[0] == "2" else unfold(line[:3], self.lines)

    def say(self, line):
        self.sock.sendall(line.encode() + b"\r\n")
        return self.reply()

    def data(self, text):
        said = self.say("DATA")
        return self.say(text + "\r\n.") if said[:3] == "354" else said

    def offers(self):
        self.say("EHLO client.example")
        return "STARTTLS" in self.lines

    def secure(self, context, sni):
        self.file.close()
        self.sock = context.wrap_socket(self.sock, server_hostname=sni)
        self.file = self.sock.makefile("rb")
        self.say("EHLO client.example")

    def close(self):
        try:
            self.sock.sendall(b"QUIT\r\n")
            self.sock.close()
        except OSError:
            pass


CONTEXTS = {}


def context_of(tls, cipher, cert, tree):
    key = (tls, cipher, cert)
    if key not in CONTEXTS:
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        c.check_hostname = False
        c.verify_mode = ssl.CERT_NONE
        c.minimum_version = c.maximum_version = VERSIONS[tls]
        c.set_ciphers({"1.1": OLD_CIPHERS[CIPHERS.index(cipher)], "1.2": cipher, "1.3": "DEFAULT"}[tls] +
                      ":@SECLEVEL=0")
        if cert is not None:
            c.load_cert_chain("%s/%s.pem" % (tree, cert), "%s/%s.key" % (tree, cert))
        CONTEXTS[key] = c
    return CONTEXTS[key]


def hold(run, s, port, pause=0, body=None):
    """Holds it: whether STARTTLS was offered, the reply to it, TLS or not, bits, all replies,
    the certificate shown, when it began (settings are taken between `began` and `greeted`).
    A pause comes before MAIL; the body is sent where a recipient was accepted."""
    got = {"offered": False, "starttls": None, "tls": "none", "bits": 0, "replies": [],
           "shown": None, "data": None, "auth": False, "began": time.monotonic()}
    smtp = Smtp(s.client, port)
    try:
        got["offered"] = smtp.offers()
        got["greeted"] = time.monotonic()
        if s.tls != "none" and got["offered"]:
            got["starttls"] = smtp.say("STARTTLS")
        if got["starttls"] == "250":
            smtp.secure(context_of(s.tls, s.cipher, s.cert, run.args.tree), s.sni)
            got["tls"], got["bits"] = s.tls, smtp.sock.cipher()[2]
            got["shown"] = hashlib.sha256(smtp.sock.getpeercert(True)).hexdigest()
        elif port == run.args.verify_port:
            return got		# tls-require: smtpd itself takes no mail in clear
        if s.auth and got["tls"] != "none":
            plain = base64.b64encode(("\0%s\0%s" % (USER, PASSWORD)).encode()).decode()
            got["auth"] = smtp.say("AUTH PLAIN " + plain) == "250"
        if pause > 0:
            time.sleep(pause)
        got["replies"].append(smtp.say("MAIL FROM:<%s>" % s.sender))
        if got["replies"][0] == "250":
            got["replies"] += [smtp.say("RCPT TO:<%s>" % r) for r in s.rcpts]
        if body is not None and "250" in got["replies"][1:]:
            got["data"] = smtp.data(body)
    finally:
        got["ended"] = time.monotonic()
        smtp.close()
    return got


# ---- what explain says ----

def explain(run, s, port, got, options, as_json=True):
    command = [run.args.tlsward, "-c", run.args.ini, "explain", "--from", s.sender or "<>",
               "--client", s.client, "--listener", ("[::1]:%d" if s.v6 else "127.0.0.1:%d") % port]
    for r in s.rcpts:
        command += ["--to", r]
    if got["tls"] != "none":
        command += ["--tls", got["tls"], "--bits", str(got["bits"])] + options
    if got["auth"]:
        command.append("--auth")
    if as_json:
        command.append("--json")
    out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if out.returncode != 0:
        raise OSError("%s: %s" % (" ".join(command), out.stdout.decode()))
    return out.stdout.decode(), " ".join(command)


def wanted(verdict, run):
    run.seen[verdict["action"]] += 1
    run.seen[verdict["reason"]] += 1
    return verdict["reply"] if verdict["action"] in ("refuse", "defer") else "250"


def judge(run, s, port, got, options, fed=False):
    """What explain says, and None or what is not so."""
    said = None
    try:
        told, command = explain(run, s, port, got, options)
        said = json.loads(told)
        offered, refused = said["starttls_offered"], False
        if port != run.args.exim_port:	# smtpd always offers it; the filter refuses the command
            if not offered and got["starttls"] is not None:
                text = explain(run, s, port, got, options, False)[0]
                refused = "\nSTARTTLS\n  verdict     refuse" in text
            offered = True
    except (OSError, ValueError) as e:
        return said, "explain: %s" % e
    want = [wanted(v, run) for v in [said["mail"]] + said["recipients"]]
    if fed and got["tls"] != "none":
        without, (want, command) = want, by_fingerprint(run, s, port, got)
        run.seen["by-fingerprint"] += want != without
    if got["starttls"] is not None and (got["starttls"] != "250") != refused:
        return said, "%s: STARTTLS was answered %s" % (command, got["starttls"])
    if got["offered"] != offered:
        return said, "%s: STARTTLS was%s offered" % (command, "" if got["offered"] else " not")
    if got["replies"] and got["replies"] != want:
        return said, "%s\nexplain: %s\nserver:  %s" % (command, want, got["replies"])
    return said, None


def differs(run, s, port, options, fed=False):
    """None, or what is not as explain says; fed: the filter is told the fingerprint."""
    try:
        got = hold(run, s, port)
    except OSError as e:	# ssl's errors are of these
        return "session: %s" % e
    if s.auth and got["tls"] != "none":
        run.seen["auth" if got["auth"] else "no-auth"] += 1
    run.seen["v6"] += s.v6
    run.seen["tls" + got["tls"]] += 1
    said, wrong = judge(run, s, port, got, options, fed)
    if wrong is None and port == run.args.exim_port and got["shown"] is not None:
        run.seen["sni"] += s.sni is not None
        wrong = shown_wrong(run, s, got["shown"])
    return wrong


def by_fingerprint(run, s, port, got):
    """The replies where smtpd's log has told the fingerprint, and how they were asked for."""
    command = [run.args.pin_tool, run.args.ini,
               "%s|%d|%s|%s|client.example" % ("::1" if s.v6 else "127.0.0.1", port, s.client,
                                               "y" if got["auth"] else "n"),
               "TLS%s|%d|1|x" % (got["tls"], got["bits"]), "%s/%s.pem" % (run.args.tree, s.cert),
               s.sender] + s.rcpts
    return subprocess.check_output(command, stderr=subprocess.STDOUT).decode().splitlines(), command


def shown_wrong(run, s, shown):
    if run.shown is None:
        return None
    want = run.shown["other" if (s.sni or "").lower() == "other.example.org" else "mx"]
    return None if shown == want else "the certificate for SNI %s is %s, not %s" % (s.sni, shown, want)


def case(run, number):
    """On both servers; None or what is wrong."""
    s = session(run.args.seed, number)
    s = s._replace(client="::1") if s.v6 and run.args.v6 else s._replace(v6=False)
    tree = run.args.tree
    wrong = differs(run, s, run.args.exim_port,
                    ["--cert", "%s/%s.pem" % (tree, s.cert)] if s.cert is not None else [])
    if wrong is not None:
        return "case %d, Exim: %s" % (number, wrong)
    if s.tls == "1.1":		# smtpd has none of it
        s = s._replace(tls="1.2")
    port, status = run.args.tls_port, "not-asked"
    if s.verify:
        s = s._replace(cert=TRUSTED[number % len(TRUSTED)], tls="1.3" if s.tls == "none" else s.tls)
        port = run.args.verify_port
        if run.verifies and re.search(r"^\[listener (\*|%s):%d\]" % (
                r"\[::1\]" if s.v6 else r"127\.0\.0\.1", port), run.text, re.M):
            status = "trusted"
    wrong = differs(run, s, port, ["--cert-status", status], status == "trusted")
    return None if wrong is None else "case %d, OpenSMTPD: %s" % (number, wrong)


# ---- the whole ----

def in_force(log):
    with open(log, errors="replace") as f:
        return f.read().count("settings are in force")


def apply(run, text):
    before = in_force(run.args.log)
    os.rename(run.args.ini + ".new", run.args.ini)
    run.verifies, run.text = "verifies = yes" in text, text
    end = time.monotonic() + 10
    while in_force(run.args.log) == before:
        if time.monotonic() > end:
            return False
        time.sleep(.05)
    return True


def batch(run, number, cases):
    text = good_settings(run.args.seed, number, run)
    what = "settings %d of seed %s: %d sessions" % (number, run.args.seed, len(cases))
    if not apply(run, text):
        print("not ok %s\n# they are not in force after 10 s" % what)
        return
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        wrong = [w for w in pool.map(lambda c: case(run, c), cases) if w is not None]
    print("%s %s" % ("not ok" if wrong else "ok", what))
    for w in wrong:
        number = w.split()[1].rstrip(",")
        print("# again: SEED=%s CASE=%s tests/srv_agree.sh" % (run.args.seed, number))
        print("# " + w.replace("\n", "\n# "))
    if run.args.case is not None:
        print("# " + text.replace("\n", "\n# "))
    sys.stdout.flush()


def variety(run):
    """All that is decided was seen: else the agreement says little.  What is rare in 300
    cases, whose seed is another each day, is asked for where there are many."""
    words = "accept later report refuse defer tls-missing cert-missing cert-unknown auth tls1.1 tls1.2 " \
        "tls1.3 sni".split() + ["v6"] * run.args.v6
    if run.args.cases >= 3000:
        words += "tls-version tls-bits cert-untrusted cert-name cert-expired cert-revoked cert-pin by-fingerprint".split()
    missing = [w for w in words if run.seen[w] == 0]
    print("%s every kind of verdict was among them" % ("not ok" if missing else "ok"))
    print("# %s" % " ".join("%s=%d" % i for i in sorted(run.seen.items())))
    if missing:
        print("# never: %s" % " ".join(missing))


def options_of(names, ports):
    p = argparse.ArgumentParser()
    for name in names:
        p.add_argument("--" + name, required=True)
    for name in ports:
        p.add_argument("--" + name, type=int, required=True)
    p.add_argument("--seed", default="1")
    return p


def fingerprint(path):
    out = subprocess.run(["openssl", "x509", "-in", path, "-noout", "-fingerprint", "-sha256"],
                         stdout=subprocess.PIPE, check=True)
    return out.stdout.decode().split("=")[1].strip().replace(":", "")


def put_in(run):
    """Ports, folders and pins of this run: what is chosen among them is the seed's."""
    a = run.args
    run.words = {"@TLS@": str(a.tls_port), "@VERIFY@": str(a.verify_port),
                 "@EXIM@": str(a.exim_port), "@TREE@": a.tree, "@STATE@": a.state,
                 "@CERTIFICATE@": a.certificate, "@KEY@": a.key, "@OTHER@": ""}
    run.shown = None
    if getattr(a, "other", None):
        run.words["@OTHER@"] = "[certificate other]\nfile = %s\nkey = %s\nnames = other.example.org" % tuple(a.other)
        run.shown = {"mx": fingerprint(a.certificate).lower(), "other": fingerprint(a.other[0]).lower()}
    run.pins = []
    for name in TRUSTED + ["selfsigned", "other"]:
        run.words["@PIN-%s@" % name] = fingerprint("%s/%s.pem" % (a.tree, name))
        run.pins.append("SHA256:@PIN-%s@" % name)


def main():
    p = options_of(["ini", "log", "tlsward", "tree", "certificate", "key", "state"],
                   ["tls-port", "verify-port", "exim-port"])
    p.add_argument("--cases", type=int, default=300)
    p.add_argument("--case", type=int)
    p.add_argument("--pin-tool", required=True)
    p.add_argument("--v6", action="store_true")
    p.add_argument("--other", nargs=2)
    run = p.parse_args()
    run = argparse.Namespace(args=run, seen=collections.Counter(), verifies=False)
    a = run.args
    put_in(run)
    if a.case is not None:
        batch(run, a.case // SESSIONS, [a.case])
        return
    for number in range((a.cases + SESSIONS - 1) // SESSIONS):
        first = number * SESSIONS
        batch(run, number, range(first, min(first + SESSIONS, a.cases)))
    if a.cases >= 300:
        variety(run)


if __name__ == "__main__":
    main()
