"""A TURN client (RFC 8656) that tells error codes, for tests.

    user, password = credentials(secret, time.time() + 60)
    c = Turn(("198.51.100.7", 3478), user, password)
    c.allocate()                    0, or the code; then c.relayed is its address
    c.permit("203.0.113.5")         the same
    c.send(("203.0.113.5", 5000), b"x"); c.receive()
"""
import base64
import hashlib
import hmac
import os
import socket
import struct
import time

COOKIE = 0x2112A442
ALLOCATE, REFRESH, SEND, DATA, PERMIT, BIND = 3, 4, 6, 7, 8, 9
USERNAME, INTEGRITY, ERROR, CHANNEL, LIFETIME, PEER, DATA_ATTR, REALM, NONCE, \
    RELAYED, FAMILY, TRANSPORT = 6, 8, 9, 0xC, 0xD, 0x12, 0x13, 0x14, 0x15, \
    0x16, 0x17, 0x19
IPV4, IPV6 = 1, 2
UDP, TCP = 17, 6


def credentials(secret, expiry):
    """(username, password) as whoever knows the secret makes them."""
    user = str(int(expiry))
    digest = hmac.new(secret.encode(), user.encode(), hashlib.sha1).digest()
    return user, base64.b64encode(digest).decode()


def xor_address(address, port, tid):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    raw = socket.inet_pton(family, address)
    key = struct.pack("!I", COOKIE) + tid
    return struct.pack("!BBH", 0, IPV6 if len(raw) == 16 else IPV4,
                       port ^ COOKIE >> 16) + \
        bytes(a ^ b for a, b in zip(raw, key))


def read_address(value, tid):
    key = struct.pack("!I", COOKIE) + tid
    raw = bytes(a ^ b for a, b in zip(value[4:], key))
    family = socket.AF_INET6 if len(raw) == 16 else socket.AF_INET
    port = struct.unpack("!H", value[2:4])[0] ^ COOKIE >> 16
    return socket.inet_ntop(family, raw), port


def message(kind, attributes, tid, key=None):
    body = b"".join(struct.pack("!HH", name, len(value)) + value +
                    b"\0" * (-len(value) % 4) for name, value in attributes)
    size = len(body) + (24 if key else 0)
    head = struct.pack("!HHI", kind, size, COOKIE) + tid
    if not key:
        return head + body
    return head + body + struct.pack("!HH", INTEGRITY, 20) + \
        hmac.new(key, head + body, hashlib.sha1).digest()


def parse(data):
    """(kind, transaction, {attribute: value}), the first of each."""
    kind, size = struct.unpack("!HH", data[:4])
    tid, found, at = data[8:20], {}, 20
    while at + 4 <= 20 + size:
        name, n = struct.unpack("!HH", data[at:at + 4])
        found.setdefault(name, data[at + 4:at + 4 + n])
        at += 4 + n + -n % 4
    return kind, tid, found


class Turn:
    def __init__(self, server, user, password, tcp=False, timeout=20):
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        self.user, self.password = user, password
        self.tcp, self.timeout = tcp, timeout
        self.realm = self.nonce = b""
        self.relayed, self.lifetime, self.queue = None, 0, []
        self.sock = socket.socket(family, socket.SOCK_STREAM if tcp else
                                  socket.SOCK_DGRAM)
        self.sock.settimeout(timeout)
        self.sock.connect(server)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def _read(self):
        if not self.tcp:
            return parse(self.sock.recv(65536))
        data = b""
        while len(data) < 20 or \
                len(data) < 20 + struct.unpack("!H", data[2:4])[0]:
            want = 20 - len(data) if len(data) < 20 else \
                20 + struct.unpack("!H", data[2:4])[0] - len(data)
            got = self.sock.recv(want)
            if not got:
                raise ConnectionError("the server has closed")
            data += got
        return parse(data)

    def _exchange(self, data, tid):
        """By UDP it is sent again, as RFC 8489 wants."""
        end = time.monotonic() + self.timeout
        self.sock.send(data)
        while time.monotonic() < end:
            self.sock.settimeout(self.timeout if self.tcp else 1)
            try:
                kind, answered, found = self._read()
            except TimeoutError:
                self.sock.send(data)
                continue
            if answered == tid:
                return kind, found
            if kind & 0x3eef == DATA:
                self.queue.append(found[DATA_ATTR])
        raise TimeoutError("no answer")

    def request(self, method, *attributes):
        """0, or the error's code. attributes: (name, value), the value may be
        a function of the transaction."""
        for _ in range(4):
            tid = os.urandom(12)
            made = [(n, v(tid) if callable(v) else v) for n, v in attributes]
            key = None
            if self.nonce:
                made += [(USERNAME, self.user.encode()), (REALM, self.realm),
                         (NONCE, self.nonce)]
                key = hashlib.md5(b":".join(
                    (self.user.encode(), self.realm,
                     self.password.encode()))).digest()
            kind, found = self._exchange(message(method, made, tid, key), tid)
            self.tid, self.found = tid, found
            if kind & 0x0110 == 0x0100:
                return 0
            code = found[ERROR][2] * 100 + found[ERROR][3]
            again = code == 438 or code == 401 and not key
            self.realm = found.get(REALM, self.realm)
            self.nonce = found.get(NONCE, self.nonce)
            if not again:
                return code
        return code

    def allocate(self, family=None, transport=UDP):
        attributes = [(TRANSPORT, struct.pack("!Bxxx", transport))]
        if family:
            attributes.append((FAMILY, struct.pack("!Bxxx", family)))
        code = self.request(ALLOCATE, *attributes)
        if code == 0:
            self.relayed = read_address(self.found[RELAYED], self.tid)
            self.lifetime = struct.unpack("!I", self.found[LIFETIME])[0]
        return code

    def permit(self, address, port=9):
        return self.request(PERMIT, (PEER, lambda tid: xor_address(
            address, port, tid)))

    def bind(self, address, port, channel=0x4000):
        return self.request(BIND, (CHANNEL, struct.pack("!Hxx", channel)),
                            (PEER, lambda tid: xor_address(address, port,
                                                           tid)))

    def send(self, peer, data):
        tid = os.urandom(12)
        self.sock.send(message(SEND | 0x10, [
            (PEER, xor_address(*peer, tid)), (DATA_ATTR, data)], tid))

    def receive(self, secs=None):
        """What a peer has sent, or None."""
        if self.queue:
            return self.queue.pop(0)
        self.sock.settimeout(secs or self.timeout)
        try:
            kind, _, found = self._read()
        except TimeoutError:
            return None
        return found.get(DATA_ATTR)

    def release(self):
        return self.request(REFRESH, (LIFETIME, b"\0\0\0\0"))
