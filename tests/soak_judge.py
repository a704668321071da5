"""What tests/soak.py asks at the end, see tests/srv_soak.sh: each answer is what
`tlsward explain` says under the settings in force, each message accepted was
delivered, each decision counted once, nothing grew, nobody complained.
"""
import argparse
import collections
import concurrent.futures
import glob
import ipaddress
import json
import os
import re
import subprocess
import time

import agree

# A change is obeyed a second after it came into place.  Of sessions to which only
# what was there up to a second before that fits, one in two hundred is forgiven: the
# programs and the clock's reader share two cores with all the rest here, and a process
# that is not run for a while obeys late, or notes late when its session began.
LAG, LATEST, LATE_SHARE = 1, 2, .005
# KiB that memory may grow by, at rest under the same settings.  The heaps are small, 2
# MiB: whether a piece of one goes back to the kernel is chance.
GROWTH = 1024
SECTION = re.compile(r"^\[(\w+)(?: ([^\n]*))?\]$", re.M)


def result(run, what, wrong, *notes):
    print("%s %s" % ("not ok" if wrong else "ok", what))
    for text in list(notes) + list(wrong)[:20]:
        print("# " + str(text).strip().replace("\n", "\n# "))
    if len(wrong) > 20:
        print("# and %d more" % (len(wrong) - 20))


# ---- sessions beside explain ----

class Explainer:
    """Asks the command line, each question about a version once."""

    def __init__(self, run):
        self.run, self.known, self.asked = run, {}, 0
        self.seen = collections.Counter()

    def judge(self, version, record, s, port):
        got = record["got"]
        key = (version.number, record["server"], s._replace(rcpts=tuple(s.rcpts)),
               json.dumps([got[k] for k in ("offered", "starttls", "tls", "bits", "replies")]))
        if key not in self.known:
            a = argparse.Namespace(**vars(self.run.args))
            a.ini = version.path
            trusted = record["server"] == "verify" and "verifies = yes" in version.text
            options = ["--cert-status", "trusted" if trusted else "not-asked"]
            if record["server"] == "exim":
                options = ["--cert", "%s/%s.pem" % (a.tree, s.cert)] if s.cert else []
            self.known[key] = agree.judge(argparse.Namespace(args=a, seen=self.seen), s, port, got,
                                          options)
            self.asked += 1
        return self.known[key]


def candidates(run, got):
    """With how long after the change the session began: 0 where nothing changed before it."""
    now = run.journal.between(got["began"] - LAG, got["greeted"])
    return now, [v for v in run.journal.between(got["began"] - LATEST, got["greeted"])
                 if v not in now]


def shown_wrong(run, version, record):
    """Exim reads the certificate's file anew for each connection."""
    got = record["got"]
    if record["server"] != "exim" or got["shown"] is None:
        return None
    section = version.text.split("[certificate mx]")[1]
    path = re.search(r"^file = (\S+)", section, re.M).group(1)
    may = run.journal.shown(path, got["began"], got["ended"])
    return None if got["shown"] in may else "it showed %s, not %s" % (got["shown"], may)


def judge_session(run, explainer, record):
    """(wrong or None, late or not, [(what explain said, version)...] that fit)."""
    where = "session %s, %s%s: %s" % (record["token"], record["server"],
                                      " by swaks" if record["swaks"] else "", record["session"])
    if record["error"] is not None:
        return "%s\n%s" % (where, record["error"]), False, []
    s = agree.Session(**record["session"])
    port = {"exim": run.args.exim_port, "smtpd": run.args.tls_port,
            "verify": run.args.verify_port}[record["server"]]
    now, before = candidates(run, record["got"])
    tried, fits = [], []
    for versions in now, before:
        for v in versions:
            said, wrong = explainer.judge(v, record, s, port)
            wrong = wrong or shown_wrong(run, v, record)
            if wrong is None:
                fits.append((said, v))
            else:
                tried.append("settings %s: %s" % (v.path, wrong))
        if fits:
            return None, versions is before, fits
    return "%s\nbegan %.3f greeted %.3f; versions %s\n%s" % (
        where, record["got"]["began"], record["got"]["greeted"],
        ["%d: %.3f to %.3f" % (v.number, v.early, v.late) for v in now + before],
        "\n".join(tried)), False, []


def judge_sessions(run, records):
    explainer = Explainer(run)
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        judged = list(pool.map(lambda r: judge_session(run, explainer, r), records))
    tools = collections.Counter(r["server"] + (" by swaks" if r["swaks"] else "") for r in records)
    result(run, "every answer is as explain says for the settings in force",
           [w for w, _, _ in judged if w is not None],
           "%d sessions (%s), %d versions, %d questions in %.0f s" % (
               len(records), ", ".join("%s %d" % t for t in sorted(tools.items())),
               run.journal.count, explainer.asked, time.monotonic() - began),
           " ".join("%s=%d" % i for i in sorted(explainer.seen.items())))
    late = [r["token"] for r, (_, late, _) in zip(records, judged) if late]
    result(run, "a change is in force a second after it was made",
           late if len(late) > LATE_SHARE * len(records) else [],
           "%d sessions were treated by what was there before, %.2f %%" % (
               len(late), 100 * len(late) / len(records)))
    few = [t for t in ("exim", "smtpd", "verify", "exim by swaks", "smtpd by swaks")
           if tools[t] < 5]
    result(run, "both servers had sessions of every kind", few)
    return [fits for _, _, fits in judged]


# ---- counters ----

def match(name, rules):
    """Of exact names and .suffixes, as the policy has it; None: none."""
    name = name.lower()
    if name in rules:
        return name
    while "." in name:
        name = name.split(".", 1)[1]
        if "." + name in rules:
            return "." + name
    return None


def sections_of(version):
    """Names by section, in kept form."""
    out = collections.defaultdict(set)
    for section, name in SECTION.findall(version.text):
        if section in ("domain", "peer"):
            dot, rest = ("." if name[0] == "." else ""), name.lstrip(".")
            name = dot + (rest if rest.isascii() else rest.encode("idna").decode())
        out[section].add(name)
    return out


def rows_of_session(a, record, names):
    """The rows that count what is decided about the session and its sender."""
    s = record["session"]
    rows = [("server", "")]
    listener = "127.0.0.1:%d" % {"exim": a.exim_port, "smtpd": a.tls_port,
                                 "verify": a.verify_port}[record["server"]]
    if listener in names["listener"]:
        rows.append(("listener", listener))
    nets = [n for n in names["client"] if ipaddress.ip_address(s["client"]) in ipaddress.ip_network(n)]
    if nets:
        rows.append(("client", max(nets, key=lambda n: int(n.split("/")[1]))))
    peer = match(s["sender"].rsplit("@", 1)[-1], names["peer"])
    return rows + ([("peer", peer)] if peer is not None else [])


def count(rows, verdict, tls, into):
    for row in rows:
        if verdict["action"] in ("refuse", "defer"):
            into[row + ("refused",)] += 1
        else:
            into[row + ("clear" if tls == "none" else "tls",)] += 1
        if verdict["action"] == "report":
            into[row + ("would_refuse",)] += 1


def counted(a, record, said, names):
    """Which figures the session raised (design: counted where decided)."""
    got, out = record["got"], collections.Counter()
    if not got["replies"]:
        return out
    rows = rows_of_session(a, record, names)
    later = said["mail"]["action"] == "later"
    if not later:
        count(rows, said["mail"], got["tls"], out)
    for to, verdict in zip(record["session"]["rcpts"], said["recipients"]):
        domain = match(to.rsplit("@", 1)[-1], names["domain"])
        count((rows if later else []) + ([("domain", domain)] if domain else []), verdict,
              got["tls"], out)
    return out


def judge_counters(run, records, fits):
    """Exact; where two versions fit a session and count it otherwise, from the least to the most."""
    a = run.args
    least, most = collections.Counter(), collections.Counter()
    names = {}
    for record, fit in zip(records, fits):
        if not fit:
            continue
        for _, v in fit:
            if v.number not in names:
                names[v.number] = sections_of(v)
        ways = [counted(a, record, said, names[v.number]) for said, v in fit]
        for figure in set().union(*ways):
            least[figure] += min(w[figure] for w in ways)
            most[figure] += max(w[figure] for w in ways)
    everything = collections.defaultdict(set)
    for n in names.values():
        for section, of in n.items():
            everything[section] |= of
    path = a.work + "/all.ini"
    with open(path, "w", encoding="utf-8") as f:
        f.write("[server]\nstate_dir = %s\n" % a.state)
        for section in "listener", "client", "domain", "peer":
            f.writelines("[%s %s]\n" % (section, n) for n in sorted(everything[section])
                         if "filler" not in n)
    out = subprocess.run([a.tlsward, "-c", path, "status", "--json", "--all"],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    status = json.loads(out.stdout)
    wrong, seen = [], set()
    for row in status["rows"]:
        for figure in "clear", "tls", "refused", "would_refuse":
            key = (row["section"], row["name"], figure)
            n = row[figure]
            if figure in ("refused", "would_refuse"):	# STARTTLS is the agent's too, it looks at listeners
                n -= row[figure + "_by_reason"].get("tls-refused", 0)
            seen.add(key)
            if not least[key] <= n <= most[key]:
                wrong.append("%s %s %s: %d, not %d to %d" % (key + (n, least[key], most[key])))
    wrong += ["%s %s %s: no row" % k for k in most if k not in seen]
    wrong += ["other: %s" % status["other"]] if any(v for v in status["other"].values()) else []
    result(run, "the counters are the sums of the sessions", wrong,
           "%d rows, %d figures, %d counted, %d of them for certain" % (
               len(status["rows"]), len(most), sum(most.values()), sum(least.values())))


# ---- messages ----

def delivered(a):
    seen = collections.Counter()
    for path in [a.smtpd_mail] + glob.glob(a.exim_mail + "/new/*"):
        with open(path, encoding="latin-1") as f:
            seen.update(re.findall(r"^X-Soak: (\S+)", f.read(), re.M))
    return seen


def judge_messages(run, records):
    want = {}
    for r in records:
        got = r["got"]
        if got is not None and got["data"] == "250":
            want[r["token"]] = got["replies"][1:].count("250")
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 30:
        seen = delivered(run.args)
        if sum(seen.values()) >= sum(want.values()):
            break
        if sum(seen.values()) != last:
            last, since = sum(seen.values()), time.monotonic()
        time.sleep(.5)
    wrong = ["%s: accepted for %d recipients, delivered to %d" % (t, n, seen[t])
             for t, n in want.items() if seen[t] != n]
    wrong += ["%s: refused, and delivered" % t for t in seen if t not in want]
    odd = [r for r in records if r["got"] is not None and r["got"]["data"] not in (None, "250")]
    result(run, "every message accepted was delivered, once to each recipient", wrong,
           "%d messages, %d deliveries" % (len(want), sum(want.values())))
    result(run, "no message was refused at its end", [json.dumps(r) for r in odd])


# ---- processes ----

def judge_growth(run, pids):
    if len(run.rests) != 3:
        result(run, "the processes were looked at three times", ["%d times" % len(run.rests)])
        return
    for name, pid in pids.items():
        # Exim's daemon before the first SIGHUP, the others at the end
        rests = (run.rests[0], run.rests[1 if name == "Exim's daemon" else -1])
        early, late = [descriptors.get(name) for descriptors, _ in rests]
        kib = [kib.get(name) for _, kib in rests]
        if not os.path.exists("/proc/%d" % pid) or None in kib:
            result(run, "%s is the same process" % name, ["it has gone"])
            continue
        wrong = []
        if kib[1] > kib[0] + GROWTH:
            wrong.append("memory grew")
        if len(late) > len(early):
            wrong.append("descriptors grew, by %s" % list(
                (collections.Counter(late) - collections.Counter(early)).elements()))
        result(run, "%s is the same process and has not grown" % name, wrong,
               "%d to %d KiB, at most %d; %d to %d descriptors" % (
                   *kib, max(s[1] for s in run.samples[name]), len(early), len(late)))


EXPECTED = {
    # the errors put there on purpose, and what follows from them
    "smtpd_log": r"tlsward\.ini(:\d+)?: ",
    "agent_log": r"tlsward\.ini(:\d+)?: |SIGHUP has no use|link to snmpd|no AgentX socket|SNMP SET refused|"
                 "still shows the certificate from before",
}
COMPLAINT = r"rror|malformed|unknown|cannot|memory|damaged|trouble|lost|fatal|contradict|unreadable"


def judge_logs(run):
    for name, what in (("smtpd_log", "the filter"), ("agent_log", "the agent")):
        with open(getattr(run.args, name), encoding="latin-1") as f:
            lines = [l for l in f if (name != "smtpd_log" or "tlsward" in l) and
                     "decision=" not in l]
        result(run, "%s complained of nothing but the errors in the settings" % what,
               [l for l in lines if re.search(COMPLAINT, l) and not re.search(EXPECTED[name], l)],
               "%d lines" % len(lines))
    panic = run.args.exim_spool + "/paniclog"
    lines = []
    if os.path.exists(panic):
        with open(panic, encoding="latin-1") as f:
            lines = f.readlines()
    result(run, "Exim's panic log is empty", lines)


def all_of_it(run, pids):
    records = []
    for path in sorted(glob.glob(run.args.work + "/sessions.*")):
        with open(path, encoding="utf-8") as f:
            records += [json.loads(l) for l in f]
    fits = judge_sessions(run, records)
    judge_messages(run, records)
    judge_counters(run, records, fits)
    result(run, "each change did what it should, and no other", run.changer.wrong,
           " ".join("%s=%d" % i for i in sorted(run.changer.said.items())))
    result(run, "walks, snmpd's restarts and hangups", run.trouble,
           "%d walks of %d lines, hangups: %s" % (
               run.walks, run.walked, ", ".join("%s %d" % i for i in sorted(run.hangups.items()))))
    judge_growth(run, pids)
    judge_logs(run)
