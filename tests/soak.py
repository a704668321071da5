#!/usr/bin/env python3
"""Everything at once, and nothing wrong at the end.  Run by tests/srv_soak.sh, which
starts the servers; see there for what must hold.

Processes hold sessions (own clients, some of them slow, and swaks) and write what
they were answered as lines of JSON.  Threads change the settings and certificates
(soak_changes.py), walk the agent's tables, restart and kill snmpd, send SIGHUP to
filter, agent and Exim's daemon, and watch memory.  Then all is judged (soak_judge.py).

Prints "ok WHAT" or "not ok WHAT" a line, details after '#'.
"""
import argparse
import collections
import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

import agree
import soak_changes
import soak_judge

FAST, SLOW, SWAKS = 3, 3, 1	# processes that hold sessions
REEXEC = 3	# seconds after a SIGHUP in which Exim's daemon may miss a connection
SWAKS_CERTS = [None, None, "direct", "selfsigned"]	# it sends a leaf only


# ---- sessions ----

def a_session(rng, number, slow, by_swaks):
    """Like those of agree.py, but no recipient twice: deliveries are counted."""
    s = agree.session(rng.random(), number)._replace(auth=False, v6=False, sni=None)
    if s.tls == "1.1":
        s = s._replace(tls="1.2")
    rcpts = ["%d.%s" % (i, r) for i, r in enumerate(s.rcpts)]
    server = rng.choice(["exim", "smtpd"])
    if by_swaks:
        s = s._replace(cert=rng.choice(SWAKS_CERTS), verify=False)
    if server == "smtpd" and s.verify:
        server = "verify"
        s = s._replace(cert=rng.choice(agree.TRUSTED), tls="1.3" if s.tls == "none" else s.tls)
    pause = rng.uniform(.5, 3.5) if slow else 0
    return server, s._replace(rcpts=rcpts), pause, rng.random() < .5


def port_of(a, server):
    return {"exim": a.exim_port, "smtpd": a.tls_port, "verify": a.verify_port}[server]


def message(token):
    return "X-Soak: %s\r\nSubject: soak\r\n\r\nNothing." % token


def swaks(run, s, port, body, token):
    """The same as agree.hold, read from what swaks prints."""
    got = {"offered": False, "starttls": None, "tls": "none", "bits": 0, "replies": [],
           "shown": None, "data": None, "auth": False, "began": time.monotonic()}
    command = ["swaks", "--server", "127.0.0.1:%d" % port, "--local-interface", s.client, "--ehlo",
               "client.example", "-f", s.sender or "<>", "-t", ",".join(s.rcpts), "--timeout", "30"]
    if body:
        command += ["--header", "X-Soak: " + token, "--body", "Nothing."]
    else:
        command += ["--quit-after", "RCPT"]
    if s.tls != "none":
        command += ["-tlso", "--tls-protocol", "tlsv1_" + s.tls[2]]
        if s.tls == "1.2":
            command += ["--tls-cipher", s.cipher]
        if s.cert is not None:
            command += ["--tls-cert", "%s/%s.pem" % (run.args.tree, s.cert),
                        "--tls-key", "%s/%s.key" % (run.args.tree, s.cert)]
    out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         stdin=subprocess.DEVNULL, check=False).stdout.decode("latin-1")
    got["greeted"] = got["ended"] = time.monotonic()
    verb, lines = "", []
    for line in out.splitlines():
        sent, reply = re.match(r" [-~]> (.*)", line), re.match(r"<[-~*]+ +(\d\d\d)([ -])(.*)", line)
        secured = re.match(r"=== TLS started with cipher TLSv(1[.\d]*):[^:]*:(\d+)", line)
        if sent:
            verb = sent.group(1).split(" ")[0] if verb != "DATA" or "sent" in line else verb
        elif secured:
            got["tls"], got["bits"] = secured.group(1), int(secured.group(2))
        elif reply:
            lines.append(reply.group(3))
            if reply.group(2) == "-":
                continue
            text = "250" if reply.group(1)[0] == "2" else agree.unfold(reply.group(1), lines)
            if verb == "EHLO" and got["tls"] == "none":
                got["offered"] = "STARTTLS" in lines
            elif verb == "STARTTLS":
                got["starttls"] = text
            elif verb in ("MAIL", "RCPT"):
                got["replies"].append(text)
            elif verb == "DATA":	# 354, then what the message got
                got["data"] = text
            lines = []
    if got["tls"] != "none":
        got["starttls"] = "250"
    if not re.search(r"^<[-~*]+ +220", out, re.M):
        raise agree.NoGreeting("swaks: " + out)
    if not got["replies"] or "TLS startup failed" in out:
        raise OSError("swaks: " + out)
    return got


def worker(run, index, end):
    slow, by_swaks = FAST <= index < FAST + SLOW, index >= FAST + SLOW
    rng = random.Random("%s worker %d" % (run.args.seed, index))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open("%s/sessions.%d" % (run.args.work, index), "w", encoding="utf-8") as f:
        number = 0
        while time.monotonic() < end:
            server, s, pause, body = a_session(rng, number, slow, by_swaks)
            port, token = port_of(run.args, server), "%d-%d" % (index, number)
            record = {"token": token, "server": server, "session": s._asdict(),
                      "swaks": by_swaks, "got": None, "error": None}
            begun = time.monotonic()
            try:
                record["got"] = swaks(run, s, port, body, token) if by_swaks else \
                    agree.hold(run, s, port, pause, message(token) if body else None)
            except OSError as e:
                # a daemon that starts itself anew closes its socket with whoever waits there
                if server == "exim" and isinstance(e, agree.NoGreeting) and \
                        time.monotonic() - run.reexec.value < REEXEC:
                    continue
                record["error"] = "%s after %.3f s" % (e, time.monotonic() - begun)
            f.write(json.dumps(record) + "\n")
            number += 1
            time.sleep(rng.uniform(0, .02))


# ---- what goes on beside ----

class Snmpd:
    """Restarts and kills it; walks meanwhile fail, and only then."""

    def __init__(self, command, port):
        self.command, self.port, self.process, self.starts = command, port, None, 0
        self.down = True	# or not long up

    def start(self):
        with open(os.environ["SOAK_SNMPD_LOG"], "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        self.starts += 1

    def answers(self):
        out = walk_tool(self.port, "snmpgetnext", ["-t", "1", "-r", "0"], soak_changes.BASE)
        return out.startswith("." + soak_changes.BASE)

    def wait(self, seconds):
        end = time.monotonic() + seconds
        while not self.answers():
            if time.monotonic() > end:
                return False
            time.sleep(.2)
        self.down = False
        return True

    def stop(self, sig):
        self.down = True
        self.process.send_signal(sig)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def churn(self, run, end):
        while time.monotonic() + 15 < end:
            time.sleep(run.rng.uniform(4, 10))
            with run.still:
                self.stop(run.rng.choice([signal.SIGTERM, signal.SIGKILL]))
                self.start()
                if not self.wait(30):
                    run.trouble.append("the agent did not come back within 30 s of snmpd's start")


def walk_tool(port, tool, options, oid):
    return subprocess.run([tool, "-v2c", "-c", "public", "-Onq", "-M", "", "-m", ""] + options +
                          ["127.0.0.1:%d" % port, oid], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False).stdout.decode("latin-1")


def walk(run, snmpd, end):
    while time.monotonic() < end:
        starts, down = snmpd.starts, snmpd.down
        out = walk_tool(snmpd.port, "snmpbulkwalk", ["-t", "5", "-r", "1"],
                        soak_changes.BASE.rsplit(".", 1)[0])
        run.walks += 1
        lines = out.count("\n")
        if "not increasing" in out or (not down and starts == snmpd.starts and
                                       not snmpd.down and lines < 100):
            run.trouble.append("a walk gave %d lines: %s" % (lines, out[-300:]))
        run.walked += lines
        time.sleep(.3)


def hangups(run, end):
    rng = random.Random("%s hangups" % run.args.seed)
    while time.monotonic() < end:
        os.kill(run.args.filter_pid, signal.SIGHUP)
        run.hangups["filter"] += 1
        if rng.random() < .3:
            os.kill(run.args.agent_pid, signal.SIGHUP)
            run.hangups["agent"] += 1
        # Exim's daemon is another program then, whose memory begins small: not before it
        # was compared.  And it has no last good settings: not while the file is bad.
        if len(run.rests) == 2 and rng.random() < .3:
            with run.whole:
                run.reexec.value = time.monotonic()
                os.kill(run.args.exim_pid, signal.SIGHUP)
                run.hangups["Exim"] += 1
                time.sleep(1)
        time.sleep(rng.uniform(.1, 2))


def descriptors(pid):
    """Where each leads, sorted."""
    out = []
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            out.append(re.sub(r"\d+", "N", os.readlink("/proc/%d/fd/%s" % (pid, fd))))
        except OSError:
            pass
    return sorted(out)


def settled(run, pids, enough, seconds):
    """The fewest descriptors and the least memory of each process, under the settings of the
    beginning and with snmpd up; until there are no more than enough, for so many seconds at most."""
    with run.still:
        run.changer.as_it_began()
        time.sleep(2)
        least, kib, end = {}, {}, time.monotonic() + seconds
        while time.monotonic() < end:
            for name, pid in pids.items():
                try:
                    now, used = descriptors(pid), measure(pid)
                except OSError:
                    continue	# judged by the samples
                kib[name] = min(used, kib.get(name, used))
                if name not in least or len(now) < len(least[name]):
                    least[name] = now
            if all(len(least.get(n, [])) <= enough.get(n, -1) for n in pids):
                break
            time.sleep(.1)
    run.rests.append((least, kib))


def measure(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        anon = int(re.search(r"^RssAnon:\s*(\d+)", f.read(), re.M).group(1))
    return anon


def watch(run, pids, begin, end):
    pids = dict(pids)
    while time.monotonic() < end:
        for name, pid in list(pids.items()):
            try:
                run.samples[name].append((time.monotonic() - begin, measure(pid)))
            except OSError as e:
                run.trouble.append("%s (pid %d) is gone: %s" % (name, pid, e))
                del pids[name]
        time.sleep(.5)


# ---- the whole ----

def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
        return [int(p) for p in f.read().split()]


def options():
    p = agree.options_of(["ini", "tlsward", "tree", "certificate", "key", "state", "work",
                          "smtpd-log", "agent-log", "exim-spool", "smtpd-mail", "exim-mail"],
                         ["tls-port", "verify-port", "exim-port", "snmp-port", "filter-pid",
                          "agent-pid", "exim-pid", "seconds"])
    p.add_argument("snmpd", nargs="+")
    return p.parse_args()


def main():
    a = options()
    run = argparse.Namespace(args=a, rng=random.Random("%s beside" % a.seed), trouble=[], walks=0,
                             walked=0, hangups=collections.Counter(), still=threading.Lock(),
                             whole=threading.Lock(), reexec=multiprocessing.Value("d", -REEXEC),
                             samples=collections.defaultdict(list), rests=[])
    agree.put_in(run)
    journal = soak_changes.Journal(a.work + "/versions")
    changer = soak_changes.Changer(run, random.Random("%s changes" % a.seed), journal)
    journal.add(changer.read(), 0, 0)
    journal.certs.append((a.certificate, agree.fingerprint(a.certificate).lower(), 0, 0))
    run.journal, run.changer = journal, changer
    snmpd = Snmpd(a.snmpd, a.snmp_port)
    snmpd.start()
    if not snmpd.wait(30):
        run.trouble.append("the agent did not come to snmpd within 30 s")
    begin = time.monotonic()
    end = begin + a.seconds
    pids = {"the filter": a.filter_pid, "the agent": a.agent_pid, "Exim's daemon": a.exim_pid}
    for i, pid in enumerate(children(a.agent_pid)):
        pids["the agent's process %d" % (i + 1)] = pid
    run.rest = lambda: settled(run, pids, {}, 3)	# nothing is enough: all of the time
    workers = [multiprocessing.Process(target=worker, args=(run, i, end))
               for i in range(FAST + SLOW + SWAKS)]
    for w in workers:
        w.start()
    threads = [threading.Thread(target=t, args=args) for t, args in (
        (changer.loop, (begin + a.seconds / 4, begin + a.seconds * 2 / 3, end)),
        (snmpd.churn, (run, end)), (walk, (run, snmpd, end)),
        (hangups, (run, end)), (watch, (run, pids, begin, end)))]
    for t in threads:
        t.start()
    for t in threads + workers:
        t.join()
    settled(run, pids, {n: len(d) for n, d in run.rests[0][0].items()} if run.rests else {}, 15)
    soak_judge.all_of_it(run, pids)
    snmpd.stop(signal.SIGTERM)
    return 0


if __name__ == "__main__":
    sys.exit(main())
