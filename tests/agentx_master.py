"""agentx_master.py SOCKET: an AgentX master (RFC 2741) that does what snmpd seldom does.

It takes no notification on its first connection: it makes a SET there that comes to
nothing, traffic that is no answer, and hangs up.  On the second it answers the first
one, answers that one again when the next comes, and hangs up.  From the third on it
answers all.  A line for each notification: "CONNECTION tlswardNotifyNumber".
"""
import os
import socket
import struct
import sys
import time

OPEN, CLOSE, TESTSET, CLEANUPSET, NOTIFY, RESPONSE = 1, 2, 8, 11, 12, 18
NETWORK = 0x10
NUMBER = (1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 2553, 1, 15, 8, 0)
MODE = (1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 2553, 1, 2, 1, 0)


def read(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def pdu(s):
    head = read(s, 20)
    order = ">" if head[2] & NETWORK else "<"
    session, transaction, packet, length = struct.unpack(order + "4I", head[4:])
    return order, head[1], head[2], (session, transaction, packet), read(s, length)


def send(s, order, kind, ids, body):
    flags = NETWORK if order == ">" else 0
    s.sendall(bytes((1, kind, flags, 0)) + struct.pack(order + "4I", *ids, len(body)) + body)


def answer(s, order, ids):
    send(s, order, RESPONSE, ids, struct.pack(order + "IHH", 0, 0, 0))


def oid(order, data):
    n, prefix = data[0], data[1]
    subs = struct.unpack(order + "%dI" % n, data[4:4 + 4 * n])
    return ((1, 3, 6, 1, prefix) if prefix else ()) + subs, data[4 + 4 * n:]


def put_oid(order, name):
    return bytes((len(name), 0, 0, 0)) + struct.pack(order + "%dI" % len(name), *name)


def number(order, data):
    while data:
        kind = struct.unpack(order + "H", data[:2])[0]
        name, data = oid(order, data[4:])
        if name == NUMBER:
            return struct.unpack(order + "I", data[:4])[0]
        if kind in (4, 64, 68):
            n = struct.unpack(order + "I", data[:4])[0]
            data = data[4 + (n + 3) // 4 * 4:]
        elif kind == 6:
            data = oid(order, data)[1]
        else:
            data = data[{5: 0, 70: 8}.get(kind, 4):]
    return None


def serve(s, connection):
    first = None
    while True:
        order, kind, flags, ids, body = pdu(s)
        if kind == OPEN:
            answer(s, order, (connection, ids[1], ids[2]))
        elif kind != NOTIFY:
            if kind != RESPONSE:
                answer(s, order, ids)
            if kind == CLOSE:
                return
        else:
            print(connection, number(order, body), flush=True)
            if connection == 1:
                bind = struct.pack(order + "HH", 2, 0) + put_oid(order, MODE) + struct.pack(order + "i", 4)
                send(s, order, TESTSET, (connection, 77, 1000), bind)
                pdu(s)
                send(s, order, CLEANUPSET, (connection, 77, 1001), b"")
                time.sleep(2)
                return
            if connection == 2 and first is not None:
                answer(s, order, first)
                time.sleep(2)
                return
            answer(s, order, ids)
            first = ids


listen = socket.socket(socket.AF_UNIX)
listen.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
listen.listen()
count = 0
while True:
    peer = listen.accept()[0]
    count += 1
    try:
        serve(peer, count)
    except (EOFError, OSError):
        pass
    peer.close()
