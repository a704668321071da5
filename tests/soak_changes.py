"""The changes of tests/soak.py: every way in which the settings and the server's
certificate change while mail flows, and a journal of what was in place when.

A version of the settings is a text and two times: it came into place not before
`early` and not after `late`.  Where two writers were at it at once, or a SET had
no answer, the texts that may have been there in between are versions as well.
"""
import os
import random
import re
import shutil
import subprocess
import time

import agree

PAGE = 4096	# what is written in place is seen whole up to this size
FILLER = 2600	# sections that make a file large: its compiled form is used
BASE = "1.3.6.1.4.1.8072.9999.9999.2553.1"
MODES = {"none": 2, "offer": 3, "require": 4}
COLUMNS = {"mode": (2, MODES), "client_cert": (3, {"none": 2, "request": 3, "require": 4}),
           "enforce": (4, {"report": 2, "yes": 3})}
STATUS, CREATE = 31, 4
NAMES = [n for n in agree.RULES if n.isascii()] + ["s%d.example" % i for i in range(12)]


class Version:
    def __init__(self, number, text, early, late, path):
        self.number, self.text, self.early, self.late, self.path = number, text, early, late, path
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)


class Journal:
    """Versions in groups, one a change; the last of a group is what the change left."""

    def __init__(self, folder):
        self.folder, self.groups, self.certs, self.count = folder, [], [], 0
        os.mkdir(folder)

    def add(self, text, early, late, maybe=()):
        group = []
        for t in list(maybe) + [text]:
            self.count += 1
            group.append(Version(self.count, t, early, late, "%s/%d.ini" % (self.folder, self.count)))
        self.groups.append(group)
        return group[-1]

    def last(self):
        return self.groups[-1][-1]

    def between(self, begin, end):
        """Those that may have been in place at some time from begin to end, the latest first."""
        out = []
        for group in reversed(self.groups):
            before = group[-1].late <= begin
            if group[-1].early <= end:
                out += group[-1:] if before else group[::-1]
            if before:
                break
        return out

    def shown(self, path, begin, end):
        """Fingerprints of the certificates that the file may have had."""
        out = []
        for p, fp, early, late in reversed(self.certs):
            if p == path and early <= end:
                out.append(fp)
                if late <= begin:
                    break
        return out


class Changer:
    """Makes one change after the other; `said` counts them, `wrong` has what went amiss."""

    def __init__(self, run, rng, journal):
        self.run, self.a, self.rng, self.journal = run, run.args, rng, journal
        self.said, self.wrong = {}, []
        self.renewals = 0
        st = os.stat(self.a.ini)
        self.owner = (st.st_uid, st.st_gid)

    # ---- helpers ----

    def read(self):
        with open(self.a.ini, encoding="utf-8") as f:
            return f.read()

    def write_beside(self, text, name):
        path = "%s/%s" % (os.path.dirname(self.a.ini), name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, 0o644)
        os.chown(path, *self.owner)
        return path

    def new_text(self, large):
        other = agree.argparse.Namespace(**vars(self.a))
        other.ini = self.a.work + "/candidate"
        number = self.journal.count
        run = agree.argparse.Namespace(args=other, pins=self.run.pins, words=self.run.words)
        for attempt in range(20):
            text = agree.good_settings(self.a.seed, number * 100 + attempt, run)
            # the sessions' own address: what `*` and IPv6 mean is agree.py's to try
            text = re.sub(r"^\[listener (?:\*|\[::1\]):", "[listener 127.0.0.1:", text, flags=re.M)
            if large or len(text) < PAGE - 400:
                break
        else:
            return self.read()
        filler = "".join("[domain f%d.filler.example]\n" % i for i in range(FILLER)) if large else ""
        return "; version %d by an editor\n%s%s" % (number, text, filler)

    def command(self, ini, section, name, key, value):
        return [self.a.tlsward, "-c", ini, "set", "%s %s" % (section, name), key, value]

    def predicted(self, text, *changes):
        """The text after these, by the command line on a copy; None where it is refused."""
        copy = self.a.work + "/predicted"
        with open(copy, "w", encoding="utf-8") as f:
            f.write(text)
        for c in changes:
            if self.call(self.command(copy, *c))[0] != 0:
                return None
        with open(copy, encoding="utf-8") as f:
            return f.read()

    @staticmethod
    def call(command):
        out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return out.returncode, out.stdout.decode(errors="replace")

    def amiss(self, what):
        self.wrong.append(what)

    # ---- one row ----

    def a_change(self):
        key = self.rng.choice(list(COLUMNS))
        return (self.rng.choice(["domain", "domain", "peer"]), self.rng.choice(NAMES), key,
                self.rng.choice(list(COLUMNS[key][1])))

    def snmp_command(self, text, section, name, key, value):
        column, values = COLUMNS[key]
        row = ".".join(str(ord(c)) for c in name)
        table = "%s.%d.1" % (BASE, 5 if section == "domain" else 6)
        made = re.search(r"^\[%s %s\]" % (section, re.escape(name)), text, re.M)
        command = ["snmpset", "-v2c", "-c", "private", "-On", "-t", "5", "-r", "0", "-M", "", "-m", "",
                   "127.0.0.1:%d" % self.a.snmp_port]
        if not made:
            command += ["%s.%d.%s" % (table, STATUS, row), "i", str(CREATE)]
        return command + ["%s.%d.%s" % (table, column, row), "i", str(values[value])]

    def settle(self, base):
        """After a SET without an answer: what is there once nothing more will come."""
        end = time.monotonic() + 4
        while time.monotonic() < end:
            time.sleep(.1)
        return self.read()

    def outcome(self, base, early, results):
        """results: (exit status, output, change) of writers that were at it at once."""
        done = [c for rc, _, c in results if rc == 0]
        unsure = [c for rc, out, c in results if rc != 0 and
                  re.search(r"imeout|genErr|No Response|commitFailed", out)]
        now = self.settle(base) if unsure else self.read()
        late = time.monotonic()
        changes = done + unsure
        orders = [changes, changes[::-1]] + [[c] for c in changes]
        maybe = {t for t in (self.predicted(base, *o) for o in orders) if t is not None}
        whole = {self.predicted(base, *o) for o in ((done, done[::-1]) if not unsure else orders)}
        if done or unsure:
            whole.discard(None)
        if unsure:
            whole.add(base)
        if now not in whole:
            self.amiss("%s: the file has neither what was there nor what was set: see %s" % (
                [(rc, out.strip(), c) for rc, out, c in results],
                self.journal.add(now, early, late).path))
        elif now != base or unsure:
            self.journal.add(now, early, late, [t for t in maybe | {base} if t != now])
        return "done" if done else "unsure" if unsure else "refused"

    # ---- the kinds ----

    def by_rename(self, large=False):
        text = self.new_text(large)
        path = self.write_beside(text, "tlsward.ini.edited")
        early = time.monotonic()
        os.rename(path, self.a.ini)
        self.journal.add(text, early, time.monotonic())

    def large(self):
        self.by_rename(True)

    def in_place(self):
        text = self.new_text(False)
        if len(text) >= PAGE:
            return
        early = time.monotonic()
        with open(self.a.ini, "w", encoding="utf-8") as f:
            f.write(text)
        self.journal.add(text, early, time.monotonic())

    def by_command(self):
        base, change = self.read(), self.a_change()
        early = time.monotonic()
        rc, out = self.call(self.command(self.a.ini, *change))
        return self.outcome(base, early, [(rc, out, change)])

    def by_snmp(self):
        base, change = self.read(), self.a_change()
        early = time.monotonic()
        rc, out = self.call(self.snmp_command(base, *change))
        return self.outcome(base, early, [(rc, out, change)])

    def at_once(self):
        """SNMP and the command line: neither may lose what the other wrote."""
        base = self.read()
        one, two = self.a_change(), self.a_change()
        if one[:2] == two[:2]:
            return None
        early = time.monotonic()
        with subprocess.Popen(self.snmp_command(base, *one), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT) as p:
            rc, out = self.call(self.command(self.a.ini, *two))
            told = p.communicate()[0].decode(errors="replace")
        return self.outcome(base, early, [(p.returncode, told, one), (rc, out, two)])

    def taken(self):
        """Waits until both servers have what is there: the last good settings are these."""
        time.sleep(max(0, self.journal.last().late + 2.5 - time.monotonic()))
        for port in self.a.exim_port, self.a.tls_port:	# the daemon reads at a connection
            try:
                agree.Smtp("127.0.0.1", port).close()
            except OSError as e:
                self.amiss("port %d: %s" % (port, e))

    def bad(self):
        """An error in it for a while: the last good settings stay in force."""
        with self.run.whole:
            text = self.read()
            self.taken()
            os.rename(self.write_beside(text + "\nmode = always\n", "tlsward.ini.edited"), self.a.ini)
            time.sleep(self.rng.uniform(.3, 2))
            path = self.write_beside(text, "tlsward.ini.edited")
            early = time.monotonic()
            os.rename(path, self.a.ini)
            self.journal.add(text, early, time.monotonic())

    def in_pieces(self):
        """64 KiB written in place, a page at a time.  [server] names a certificate whose
        section comes last, so that a part is no settings: the last good ones stay in force."""
        text = self.new_text(False)
        head, section, rest = text.partition("[certificate mx]")
        if "[server]" not in head:
            return
        head += "".join("[domain f%d.filler.example]\n" % i for i in range(FILLER) if i * 27 < 16 * PAGE)
        with self.run.whole:
            self.taken()
            early = time.monotonic()
            with open(self.a.ini, "wb", buffering=0) as f:
                data = (head + section + rest).encode()
                for at in range(0, len(data), PAGE):
                    f.write(data[at:at + PAGE])
                    time.sleep(.005)
            self.journal.add(data.decode(), early, time.monotonic())

    def touched(self):
        os.utime(self.a.ini)

    def make_cert(self):
        self.renewals += 1
        path = "%s/renewed-%d.pem" % (self.a.work, self.renewals)
        subprocess.run(["openssl", "req", "-x509", "-key", self.a.key, "-days", "10", "-subj",
                        "/CN=mx.example.org", "-addext", "subjectAltName=DNS:mx.example.org",
                        "-out", path], stderr=subprocess.DEVNULL, check=True)
        return path

    def renew(self):
        """Another certificate of the same key takes the file's place."""
        path = self.make_cert()
        fp = agree.fingerprint(path).lower()
        shutil.copy(path, self.a.certificate + ".new")
        os.chmod(self.a.certificate + ".new", 0o644)
        early = time.monotonic()
        os.rename(self.a.certificate + ".new", self.a.certificate)
        self.journal.certs.append((self.a.certificate, fp, early, time.monotonic()))

    def cert_import(self):
        path = self.make_cert()
        fp = agree.fingerprint(path).lower()
        early = time.monotonic()
        rc, out = self.call([self.a.tlsward, "-c", self.a.ini, "cert", "import", "mx", "--cert",
                             path, "--key", self.a.key])
        late = time.monotonic()
        if rc != 0:
            self.amiss("cert import: " + out)
            return
        stored = os.path.dirname(self.a.ini) + "/certs/mx.pem"
        self.journal.certs.append((stored, fp, early, late))
        if self.read() != self.journal.last().text:
            self.journal.add(self.read(), early, late)

    def as_it_began(self):
        text = self.journal.groups[0][-1].text
        path = self.write_beside(text, "tlsward.ini.edited")
        early = time.monotonic()
        os.rename(path, self.a.ini)
        self.journal.add(text, early, time.monotonic())

    KINDS = [(by_rename, 6), (in_place, 4), (in_pieces, 2), (large, 2), (by_command, 8), (by_snmp, 10), (at_once, 4),
             (bad, 1), (touched, 2), (renew, 3), (cert_import, 2)]

    def loop(self, rest, again, end):
        """Pauses twice for descriptors and memory to be looked at: at the time rest, if each
        kind was there, and at the time again; no SIGHUP goes to Exim before that."""
        kinds = [k for k, n in self.KINDS for _ in range(n)]
        first = [k for k, _ in self.KINDS]
        self.rng.shuffle(first)	# each kind once, then as it comes
        first.append(Changer.large)	# early, for memory is compared with what it was later
        while time.monotonic() < end:
            if self.read() != self.journal.last().text:
                self.amiss("the file is not as it was left: %s" %
                           self.journal.add(self.read(), time.monotonic() - 5, time.monotonic()).path)
            if len(self.run.rests) == 0 and time.monotonic() >= rest and not first or \
                    len(self.run.rests) == 1 and time.monotonic() >= again:
                self.run.rest()
            kind = first.pop() if first else self.rng.choice(kinds)
            what = kind(self) or "done"
            name = "%s-%s" % (kind.__name__, what)
            self.said[name] = self.said.get(name, 0) + 1
            time.sleep(min(self.rng.expovariate(1.2), 3))
