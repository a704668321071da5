#!/usr/bin/python3
"""Requests at random against a model of the settings, over the wire.

usage: snmp_random.py PORT INI MIB SETS GETNEXTS SEED

Each SetRequest has one to 64 varbinds, valid and not.  The model says which
error is due and what the settings are afterwards (RFC 3416 4.2.5, RFC 2579
RowStatus, tlsward.ini(5)); the file is compared after each hundred, with every
comment that it began with.  GetNextRequests are compared with the instances
that the objects of the MIB and the rows of the model make.  One TAP line each.
"""
import random
import re
import socket
import sys
import time

ROOT = (1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 2553, 1)
ERRORS = ['noError', 'tooBig', 'noSuchName', 'badValue', 'readOnly', 'genErr', 'noAccess',
          'wrongType', 'wrongLength', 'wrongEncoding', 'wrongValue', 'noCreation',
          'inconsistentValue', 'resourceUnavailable', 'commitFailed', 'undoFailed',
          'authorizationError', 'notWritable', 'inconsistentName']

# ---- SNMPv2c, RFC 1901 and RFC 3416, as much of BER as that takes ----


def tlv(tag, body):
    n = len(body)
    if n < 128:
        return bytes([tag, n]) + body
    size = n.to_bytes((n.bit_length() + 7) // 8, 'big')
    return bytes([tag, 0x80 | len(size)]) + size + body


def integer(n, tag=2):
    return tlv(tag, n.to_bytes((n.bit_length() + 8) // 8, 'big', signed=True))


def arc(n):
    out = [n & 0x7f]
    while n > 0x7f:
        n >>= 7
        out.insert(0, 0x80 | n & 0x7f)
    return bytes(out)


def oid(o):
    return tlv(6, arc(o[0] * 40 + o[1]) + b''.join(map(arc, o[2:])))


def take(data, at):
    tag, n, at = data[at], data[at + 1], at + 2
    if n & 0x80:
        size = n & 0x7f
        n = int.from_bytes(data[at:at + size], 'big')
        at += size
    return tag, data[at:at + n], at + n


def items(body):
    at = 0
    while at < len(body):
        tag, inner, at = take(body, at)
        yield tag, inner


def take_oid(body):
    out, n = [], 0
    for octet in body:
        n = n << 7 | octet & 0x7f
        if not octet & 0x80:
            out.append(n)
            n = 0
    return (min(out[0] // 40, 2), out[0] - 40 * min(out[0] // 40, 2)) + tuple(out[1:])


class Agent:
    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(('127.0.0.1', port))
        self.socket.settimeout(5)
        self.id = 0

    def ask(self, pdu, varbinds, second=0, third=0):
        """Error status, error index, [(oid, tag, octets)]."""
        self.id += 1
        vbs = b''.join(tlv(0x30, oid(o) + value) for o, value in varbinds)
        body = integer(self.id) + integer(second) + integer(third) + tlv(0x30, vbs)
        self.socket.send(tlv(0x30, integer(1) + tlv(4, b'private') + tlv(pdu, body)))
        while True:
            _, inner, _ = take(self.socket.recv(65536), 0)
            fields = list(items(list(items(inner))[2][1]))
            if int.from_bytes(fields[0][1], 'big') == self.id:
                break
        got = []
        for _, vb in items(fields[3][1]):
            name, value = list(items(vb))
            got.append((take_oid(name[1]), value[0], value[1]))
        return (int.from_bytes(fields[1][1], 'big'), int.from_bytes(fields[2][1], 'big'), got)


# ---- the model ----

WORDS = {'mode': ['none', 'offer', 'require'], 'client_cert': ['none', 'request', 'require'],
         'enforce': ['report', 'yes'], 'min_tls': ['1.0', '1.1', '1.2', '1.3'],
         'authenticated': ['exempt', 'enforce'], 'verifies': ['no', 'yes'],
         'match_cn': ['no', 'yes'], 'notify': ['no', 'yes']}
COLUMNS = {2: 'mode', 3: 'client_cert', 4: 'enforce', 5: 'min_tls', 6: 'min_bits', 7: 'ca',
           8: 'certificate', 9: 'authenticated', 10: 'verifies', 11: 'cert_names',
           12: 'fingerprints', 14: 'match_cn', 30: 'storage', 31: 'status'}
SCALARS = {1: 'mode', 2: 'client_cert', 3: 'enforce', 4: 'certificate', 5: 'min_tls',
           6: 'min_bits', 7: 'ca', 9: 'authenticated'}
AGENT = {1: 'notify', 2: 'notify_rate', 21: 'notify_except'}
KINDS = ['mode-changed', 'settings-rejected', 'settings-accepted', 'certificate-expiring',
         'certificate-expired', 'certificate-renewed', 'certificate-unusable',
         'certificate-not-shown', 'listener-not-verifying', 'listener-fault', 'listener-fine',
         'refusals-high']
BASE = {2, 3, 4, 5, 6, 7, 8, 9, 30, 31}
SENDERS = {2, 3, 4, 5, 6, 7, 11, 12, 14, 30, 31}
TABLES = {5: ('domain', SENDERS), 6: ('peer', SENDERS), 7: ('listener', BASE | {10}),
          8: ('client', BASE | SENDERS)}
NAMES = {'domain': ['example.org', '.example.org', 'a.example', 'b.example', 'xn--bcher-kva.example',
                    'c.' + 'x' * 60 + '.example'],
         'peer': ['partner.example', '.partner.example', 'p.example', 'q.example'],
         'listener': ['127.0.0.1:25', '127.0.0.1:2525', '[2001:db8::7]:25', '*:587', '9.9.9.9:1'],
         'client': ['203.0.113.0/24', '203.0.113.0/25', '10.0.0.0/8', '2001:db8::/32', '0.0.0.0/0']}
PIN = 'SHA256:' + '00FF' * 16
SPKI = 'SPKI-SHA256:' + 'AB01' * 16
LISTS = {'cert_names': [('mx.example', 'mx.example'), ('MX.Example., *.b.example,.c.example',
                                                       'mx.example, *.b.example, .c.example'),
                        (', '.join('n%d.example' % i for i in range(60)),) * 2],
         'fingerprints': [(PIN, PIN), (PIN.lower() + ',' + SPKI, PIN + ', ' + SPKI),
                          (', '.join([PIN, SPKI] * 4),) * 2]}
BAD_LISTS = ['a..b', 'a b', PIN[:-1], 'x\n[server]', 'SHA256:', 'a, ...', 'mx ; y', '\udcff\udcfe']
DELETED, GO, WAIT, DESTROY, ACTIVE, OUT = 0, 4, 5, 6, 1, 2


def index_of(section, name):
    if section in ('domain', 'peer'):
        return tuple(name.encode())
    host, _, rest = name.rpartition(':' if section == 'listener' else '/')
    if host == '*':
        return (0, 0, int(rest))
    host = host.strip('[]')
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    octets = socket.inet_pton(family, host)
    return (2 if ':' in host else 1, len(octets)) + tuple(octets) + (int(rest),)


class Model:
    def __init__(self, path):
        self.path = path
        self.rows, _ = self.read()
        self.waiting = {}

    def read(self):
        """{(section, name): {key: value}} and the comments of the file."""
        rows, here, key, comments = {('server', ''): {}, ('agent', ''): {}}, None, None, []
        with open(self.path, encoding='utf-8') as f:
            for line in f.read().split('\n'):
                comment = re.search(r'(?:^|\s)[;#].*', line) if not line.startswith('#') else \
                    re.match('.*', line)
                if comment and comment.group().strip():
                    comments.append(comment.group().strip())
                    line = line[:comment.start()]
                if line.startswith('['):
                    section, _, name = line[1:line.rindex(']')].partition(' ')
                    here, key = rows.setdefault((section, name), {}), None
                elif line[:1].isspace() and line.strip():
                    here[key] += ' ' + line.strip()
                elif '=' in line:
                    key, _, value = map(str.strip, line.partition('='))
                    here[key] = value
        return rows, sorted(comments)

    def fault(self, rows):
        """(row, key) of the first error that the file would have with these rows, which
        are in the order of the file."""
        server = rows[('server', '')]
        base = [r.get('mode', server.get('mode', 'offer')) for (section, _), r in rows.items()
                if section in ('server', 'listener', 'client')]
        for row, r in rows.items():
            if row[0] in ('server', 'listener', 'client'):
                mode = r.get('mode', server.get('mode', 'offer'))
                cert = r.get('client_cert', server.get('client_cert', 'none'))
                if cert != 'none' and mode == 'none' and ('mode' in r or 'client_cert' in r):
                    return row, 'client_cert' if 'client_cert' in r else 'mode'
            elif row[0] in ('domain', 'peer'):
                asks = r.get('client_cert', 'none') != 'none'
                if asks and r.get('mode') == 'none':
                    return row, 'client_cert'
                if (asks or r.get('mode') == 'require') and set(base) == {'none'}:
                    return row, 'mode' if r.get('mode') == 'require' else 'client_cert'
        return None

    def blame(self, want, row, key):
        """The varbind that brings that error: of its key, of what quarrels with it, of its
        row; else of what the row inherits from."""
        if row in want:
            w = want[row]
            for k in (key, 'client_cert' if key == 'mode' else 'mode'):
                if k in w['keys']:
                    return w['keys'][k][1]
            return w.get('status_at', w['at'])
        for sections in (('server',), ('listener', 'client')):
            for (section, _), w in want.items():
                if section in sections:
                    for k in ('mode', 'client_cert'):
                        if k in w['keys']:
                            return w['keys'][k][1]
                    if w['status'] == DESTROY:
                        return w['status_at']
        return next(iter(want.values()))['at']

    def judge(self, varbinds, lock):
        """(error, index) and what the rows would be; None and the fault where those would
        break the file."""
        want, locked = {}, None
        for at, vb in enumerate(varbinds, 1):
            if vb['error']:
                return vb['error'], at, None
            if vb['key'] == 'lock':
                if locked and locked[0] != vb['value']:
                    return 'inconsistentValue', at, None
                locked = locked or (vb['value'], at)
                continue
            w = want.setdefault(vb['row'], {'at': at, 'keys': {}, 'status': 0})
            if vb['key'] == 'storage':
                continue
            if vb['key'] == 'status':
                if w['status'] not in (0, vb['value']):
                    return 'inconsistentValue', at, None
                w['status'], w['status_at'] = vb['value'], at
            elif w['keys'].setdefault(vb['key'], (vb['value'], at))[0] != vb['value']:
                return 'inconsistentValue', at, None
        # What cannot be now: of several, that of the first varbind.
        errors = [('inconsistentValue', locked[1])] if locked and locked[0] != lock else []
        for row, w in want.items():
            errors += [e for e in [self.check_row(row, w)] if e]
            errors += [('inconsistentValue', at) for key, (value, at) in w['keys'].items()
                       if key in ('ca', 'certificate') and value and (key, value) not in self.rows]
        if errors:
            return min(errors, key=lambda e: e[1]) + (None,)
        return self.apply(want)

    def apply(self, want):
        rows = {k: dict(v) for k, v in self.rows.items()}
        waiting = {k: dict(v) for k, v in self.waiting.items()}
        for row, w in want.items():
            values = {k: v for k, (v, _) in w['keys'].items()}
            if w['status'] == DESTROY:
                rows.pop(row, None)
                waiting.pop(row, None)
                continue
            if row in rows:
                target = rows[row]
            elif w['status'] in (GO, ACTIVE):
                target = rows[row] = waiting.pop(row, {})
            else:
                target = waiting.setdefault(row, {})
            for key, value in values.items():
                if value:
                    target[key] = value
                else:
                    target.pop(key, None)
        fault = self.fault(rows)
        if fault:
            return 'inconsistentValue', self.blame(want, *fault), fault
        return 'noError', 0, (rows, waiting)

    def check_row(self, row, w):
        active, there = row in self.rows, row in self.rows or row in self.waiting
        status, at = w['status'], w.get('status_at')
        if row[0] in ('server', 'agent'):
            return None
        if status == 0 and not there:
            return 'inconsistentName', w['at']
        if (status in (GO, WAIT) and there) or (status in (ACTIVE, OUT) and not there):
            return 'inconsistentValue', at
        if status == OUT and active:
            return 'wrongValue', at
        if status == DESTROY and w['keys']:
            return 'inconsistentValue', at
        return None


# ---- varbinds at random ----


def octets(text):
    return tlv(4, text.encode('utf-8', 'surrogateescape'))


def value_of(key, scalar, rng):
    """(BER, the text of the file or '', error)."""
    if key in WORDS:
        if rng.random() < 0.02:
            return rng.choice([(integer(rng.choice([0, 6, -1, 2 ** 31 - 1])), '', 'wrongValue'),
                               (octets('require'), '', 'wrongType'), (integer(4, 0x42), '', 'wrongType')])
        n = rng.randrange(1, len(WORDS[key]) + 2)
        if n == 1:
            return integer(1), '', 'wrongValue' if scalar else None
        return integer(n), WORDS[key][n - 2], None
    if key == 'notify_except':
        return kinds(rng)
    if key == 'notify_rate':
        n = rng.choice([1, 60, 65535, 1000, 0 if rng.random() < 0.1 else 7])
        return integer(n), str(n), 'wrongValue' if n == 0 else None
    if key == 'min_bits':
        n = rng.choice([0, 128, 4096, -1, 256, -1 if rng.random() < 0.95 else 4097])
        return integer(n), str(n) if n >= 0 else '', \
            'wrongValue' if n > 4096 or (n < 0 and scalar) else None
    if key in ('ca', 'certificate'):
        name = rng.choice([key + '1', key + '2', '', key + ('2' if rng.random() < 0.9 else '3')])
        if rng.random() < 0.02:
            return rng.choice([(octets('a/b'), '', 'wrongValue'), (octets('x' * 65), '', 'wrongLength'),
                               (integer(3), '', 'wrongType')])
        return octets(name), name, None
    if key in LISTS:
        if rng.random() < 0.04:
            return rng.choice([(octets(rng.choice(BAD_LISTS)), '', 'wrongValue'),
                               (octets('x' * 4097), '', 'wrongLength'), (integer(1), '', 'wrongType')])
        given, kept = rng.choice(LISTS[key] + [('', '')])
        return octets(given), kept, None
    if key == 'storage':
        n = 3 if rng.random() < 0.97 else rng.choice([1, 2, 4, 5])
        return integer(n), n, None if n == 3 else 'wrongValue'
    n = rng.choice([GO, GO, WAIT, WAIT, DESTROY, ACTIVE, ACTIVE, OUT if rng.random() < 0.3 else GO,
                    GO if rng.random() < 0.95 else rng.choice([0, 3, 7])])
    return integer(n), n, None if n in (GO, WAIT, DESTROY, ACTIVE, OUT) else 'wrongValue'


def kinds(rng):
    """BITS: those that are set are not in the list of the file; octets at the end may lack."""
    if rng.random() < 0.1:
        return rng.choice([(tlv(4, b'\xff\xf0\x00'), '', 'wrongLength'), (integer(3), '', 'wrongType')])
    bits = rng.choice([b'\xff\xf0', b'\xff\xff', b'', rng.randbytes(1), rng.randbytes(2), rng.randbytes(2)])
    on = int.from_bytes(bits.ljust(2, b'\0'), 'big')
    return tlv(4, bits), ', '.join(k for i, k in enumerate(KINDS) if not on >> (15 - i) & 1), None


def varbind(model, lock, touched, rng):
    dice = rng.random()
    if dice < 0.02:
        n = lock if rng.random() < 0.8 else rng.randrange(2 ** 31)
        return {'oid': ROOT + (4, 1, 0), 'ber': integer(n), 'key': 'lock', 'value': n, 'error': None}
    if dice < 0.03:
        bad = rng.choice([(ROOT + (4, 2, 0), 'notWritable'), (ROOT + (5, 1, 16, 97), 'notWritable'),
                          (ROOT + (2, 1, 1), 'noCreation'), (ROOT + (6, 1, 2, 65, 93), 'noCreation'),
                          (ROOT + (8, 1, 2, 1, 4, 10, 0, 0, 1, 8), 'noCreation'),
                          (ROOT + (7, 1, 2, 1, 4, 10, 0, 0, 256, 25), 'noCreation'),
                          (ROOT + (5, 1, 2), 'noCreation'), (ROOT + (9, 1, 2, 7), 'noCreation'),
                          (ROOT + (7, 1, 11, 0, 0, 25), 'notWritable'), (ROOT + (17, 1, 0), 'notWritable')])
        return {'oid': bad[0], 'ber': integer(2), 'key': None, 'error': bad[1]}
    if dice < 0.15:
        number, key = rng.choice(sorted(SCALARS.items()))
        name, row = ROOT + (2, number, 0), ('server', '')
    elif dice < 0.18:
        number, key = rng.choice(sorted(AGENT.items()))
        name, row = ROOT + (15, number, 0), ('agent', '')
    else:
        table = rng.choice([5, 5, 6, 6, 7, 8])
        section, columns = TABLES[table]
        row = (section, rng.choice(NAMES[section]))
        there = row in model.rows or row in model.waiting or row in touched
        column = 31 if not there and rng.random() < 0.9 else rng.choice(sorted(columns))
        if there and column == 31 and rng.random() < 0.6:
            column = 2
        touched.add(row)
        key = COLUMNS[column]
        spelt = row[1]
        if section in ('domain', 'peer') and rng.random() < 0.15:
            spelt = rng.choice([spelt.upper(), spelt + '.', spelt.title()])
        name = ROOT + (table, 1, column) + index_of(section, spelt)
    ber, value, error = value_of(key, row[0] in ('server', 'agent'), rng)
    return {'oid': name, 'ber': ber, 'key': key, 'row': row, 'value': value, 'error': error}


def show(vb):
    return '%s %s' % ('.'.join(map(str, vb['oid'][len(ROOT):])), vb['ber'].hex())


def random_sets(agent, model, count, rng):
    lock = int.from_bytes(agent.ask(0xa0, [(ROOT + (4, 1, 0), b'\x05\x00')])[2][0][2], 'big')
    _, first = model.read()
    seen, broken, elsewhere, started = {}, 0, 0, time.monotonic()
    for i in range(count):
        touched = set()
        n = rng.choice([1, 1, 1, 2, 2, 3, 4, 6, 8, 16, 32, 64])
        # Most of a long request must be right for any of it to be.
        vbs = [varbind(model, lock, touched, rng) for _ in range(n)]
        if n > 4 and rng.random() < 0.7:
            vbs = [vb for vb in vbs if not vb['error'] and vb['key'] not in ('status', 'lock')] or vbs[:1]
            vbs = [vb for vb in vbs if vb.get('row') in model.rows or vb.get('row') in model.waiting] or vbs[:1]
            keys = {}
            vbs = [vb for vb in vbs if keys.setdefault((vb.get('row'), vb['key']), vb) is vb]
        error, index, after = model.judge(vbs, lock)
        got, at, _ = agent.ask(0xa3, [(vb['oid'], vb['ber']) for vb in vbs])
        if ERRORS[got] != error or at != index:
            return 'SET %d: %s at %d, due is %s at %s\n%s' % (
                i, ERRORS[got], at, error, index, '\n'.join(map(show, vbs)))
        broken += error != 'noError' and after is not None
        elsewhere += error != 'noError' and after is not None and after[0] not in \
            {vb.get('row') for vb in vbs}
        seen[error] = seen.get(error, 0) + 1
        if error == 'noError':
            model.rows, model.waiting = after
            if any(vb['key'] == 'lock' for vb in vbs):
                lock = (lock + 1) % 2 ** 31
        if i % 100 == 99 or i == count - 1:
            rows, comments = model.read()
            if rows != model.rows:
                wrong = [(k, rows.get(k), model.rows.get(k)) for k in sorted(set(rows) | set(model.rows))
                         if rows.get(k) != model.rows.get(k)]
                return 'after SET %d the file has something else: %s' % (i, wrong[:3])
            if comments != first:
                return 'after SET %d the comments are others: %s' % (
                    i, set(first) ^ set(comments))
    print('# %d requests in %.0f s: %s; %d would have broken the file, %d of them in a row that '
          'they do not name' % (count, time.monotonic() - started,
          ', '.join('%d %s' % (n, e) for e, n in sorted(seen.items())), broken, elsewhere))
    if count >= 500 and (seen.get('noError', 0) < count / 5 or len(seen) < 7 or broken == 0):
        return 'too little of some kind'
    return None


# ---- GETNEXT ----


def objects(path):
    """[(sub-identifiers of the object below the root, is a column)], of those that can be read."""
    with open(path, encoding='utf-8') as f:
        text = re.sub(r'"[^"]*"', '""', f.read())
    text = re.sub(r'--.*', '', text)
    where = {'tlswardObjects': ()}
    for name, parent, n in re.findall(r'(\w+)\s+OBJECT IDENTIFIER\s+::=\s+\{\s*(\w+)\s+(\d+)\s*\}', text):
        if parent in where:
            where[name] = where[parent] + (int(n),)
    out = []
    for name, access, parent, n in re.findall(
            r'(\w+) OBJECT-TYPE.*?MAX-ACCESS\s+([\w-]+).*?::=\s+\{\s*(\w+)\s+(\d+)\s*\}', text, re.S):
        where[name] = where[parent] + (int(n),)
        if access not in ('not-accessible', 'accessible-for-notify'):
            out.append((where[name], parent.endswith('Entry')))
    return sorted(out)


def long_number(section, name):
    h = (0xcbf29ce484222325 ^ {'domain': 3, 'peer': 4}[section]) * 0x100000001b3 % 2 ** 64
    for octet in name.encode():
        h = (h ^ octet) * 0x100000001b3 % 2 ** 64
    return (h ^ h >> 32) % (2 ** 31 - 1) + 1


def instances(model, path):
    rows = {n: [] for n in range(5, 14)}
    for section, name in list(model.rows) + list(model.waiting):
        if section in ('domain', 'peer') and len(name) > 114:
            rows[9].append((long_number(section, name),))
        elif section in ('certificate', 'ca'):
            rows[10].append(({'certificate': 1, 'ca': 2}[section],) + tuple(name.encode()))
        elif section in NAMES:
            rows[{'domain': 5, 'peer': 6, 'listener': 7, 'client': 8}[section]].append(
                index_of(section, name))
    rows[11] = [(n,) for n in range(1, 15)]
    rows[13] = [(1,), (2,)]
    out = []
    for o, column in objects(path):
        out += [o + i for i in sorted(rows[o[0]])] if column else [o + (0,)]
    return out


def somewhere(tree, rng):
    o = list(rng.choice(tree))
    for _ in range(rng.randrange(3)):
        dice = rng.randrange(5)
        if dice == 0:
            o = o[:rng.randrange(len(o) + 1)]
        elif dice == 1 and len(o) < 117:
            o.append(rng.choice([0, 1, 45, 46, 255, 256, 65536, 2 ** 32 - 1]))
        elif o:
            at = rng.randrange(len(o))
            o[at] = rng.choice([min(o[at] + 1, 2 ** 32 - 1), max(o[at] - 1, 0), 0, 255, 2 ** 32 - 1])
    return tuple(o)


def random_getnexts(agent, tree, count, rng):
    import bisect
    for i in range(count):
        asked = [somewhere(tree, rng) for _ in range(rng.choice([1, 1, 1, 5, 20]))]
        error, _, got = agent.ask(0xa1, [(ROOT + o, b'\x05\x00') for o in asked])
        if error:
            return 'GETNEXT %d: %s' % (i, ERRORS[error])
        for o, (name, _, _) in zip(asked, got):
            at = bisect.bisect_right(tree, o)
            if at == len(tree):
                if name[:len(ROOT)] == ROOT and name[len(ROOT):] != o:
                    return 'nothing is due after %s, but %s came' % (o, name[len(ROOT):])
            elif name != ROOT + tree[at]:
                return 'after %s is due %s, but %s came' % (o, tree[at], name[len(ROOT):])
    return None


def walk_bulk(agent, tree, size):
    at, seen = ROOT, []
    while True:
        error, _, got = agent.ask(0xa5, [(at, b'\x05\x00')], 0, size)
        if error:
            return 'GETBULK: %s' % ERRORS[error]
        for name, tag, _ in got:
            if name[:len(ROOT)] != ROOT or tag == 0x82:
                return None if seen == tree else 'a walk by %d has %d instances, due are %d: %s' % (
                    size, len(seen), len(tree), sorted(set(seen) ^ set(tree))[:3])
            seen.append(name[len(ROOT):])
            at = name


def random_bulks(agent, tree, count, rng):
    """RFC 3416 4.2.3.  An answer may end early, but not before the first round."""
    import bisect
    ends = 0

    def after(o):
        at = bisect.bisect_right(tree, o)
        return tree[at] if at < len(tree) else None

    for i in range(count):
        asked = [somewhere(tree, rng) for _ in range(rng.randrange(1, 9))]
        once, times = rng.choice([-1, 0, 0, 1, 2, 9]), rng.choice([-1, 0, 1, 2, 5, 20, 128])
        error, _, got = agent.ask(0xa5, [(ROOT + o, b'\x05\x00') for o in asked], once, times)
        once, times = min(max(once, 0), len(asked)), max(times, 0)
        if error:
            return 'GETBULK %d: %s' % (i, ERRORS[error])
        due, now = [after(o) for o in asked[:once]], asked[once:]
        for _ in range(times if now else 0):
            now = [o if o is None else after(o) for o in now]
            due += now
        if len(got) > len(due) or len(got) < once + (len(asked) - once if times else 0):
            return 'GETBULK %d: %d of %d came' % (i, len(got), len(due))
        for o, (name, _, _) in zip(due, got):
            if o is None:       # what follows the module is not ours to say
                ends += 1
            elif name != ROOT + o:
                return 'GETBULK %d, non-repeaters %d, repetitions %d: due is %s, but %s came' % (
                    i, once, times, o, name[len(ROOT):])
    return None if ends or count < 100 else 'no request came to the end'


def main():
    port, ini, mib, sets, nexts, seed = sys.argv[1:]
    agent, model, rng = Agent(int(port)), Model(ini), random.Random(int(seed))
    number, failed = 0, 0

    def told(name, wrong):
        nonlocal number, failed
        number += 1
        failed += wrong is not None
        print('%s %d - %s' % ('ok' if wrong is None else 'not ok', number, name))
        if wrong is not None:
            print('# ' + wrong.replace('\n', '\n# '))
        sys.stdout.flush()

    print('# seed %s' % seed)
    told('%s random SETs, and the file is as the model' % sets, random_sets(agent, model, int(sets), rng))
    tree = instances(model, mib)
    told('GETBULK by 1 to 128, 500 and 2147483647 has all that the MIB has', next(filter(None, (
        walk_bulk(agent, tree, size) for size in list(range(1, 129)) + [500, 2 ** 31 - 1])), None))
    told('GETBULK at random, of several columns and with non-repeaters',
         random_bulks(agent, tree, int(nexts) // 10, rng))
    told('%s GETNEXTs at random' % nexts, random_getnexts(agent, tree, int(nexts), rng))
    sys.exit(failed != 0)


main()
