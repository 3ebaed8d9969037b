"""A client of iroh-relay 0.35, as far as its relay protocol goes (version 3, of
iroh 0.29 to 0.35): it logs in with a key and passes packets on to other keys.

    with IrohClient(host, 443, "chat.test", "iroh derp http") as a:
        a.ping()
        a.send(b.key, b"...")
        b.receive()             ("packet", key of the sender, contents)

A connection is upgraded from HTTP/1.1 at /relay, and the first frame is the
client's: a magic word, its Ed25519 key, and its version signed by that. By
"iroh derp http", which apps use, a frame is its type, its length in four bytes,
and its payload; by "websocket" it is a binary message without the length."""
import base64
import os
import socket
import ssl
import struct
import subprocess
import tempfile
import time

MAGIC = b"RELAY\xf0\x9f\x94\x91"
VERSION = b"\x03"       # postcard's form of a small number
CLIENT_INFO, SEND, RECEIVE, PING, PONG = 2, 4, 5, 12, 13
TIMEOUT = 60


class Refused(Exception):
    """The server's answer is no 101; .status and .head are what it is."""

    def __init__(self, head):
        super().__init__(head)
        self.head = head
        self.status = int(head.split(" ")[1]) if head.startswith("HTTP") else 0


def make_key():
    """(public key, its signature of VERSION)."""
    with tempfile.TemporaryDirectory(prefix="chatmail-iroh-") as d:
        def openssl(*args):
            return subprocess.run(["openssl", *args], check=True, cwd=d,
                                  stdout=subprocess.PIPE).stdout

        openssl("genpkey", "-algorithm", "ed25519", "-out", "key")
        with open(os.path.join(d, "version"), "wb") as f:
            f.write(VERSION)
        # the last 32 bytes of its DER are the key itself (RFC 8410)
        public = openssl("pkey", "-in", "key", "-pubout",
                         "-outform", "DER")[-32:]
        return public, openssl("pkeyutl", "-sign", "-rawin", "-inkey", "key",
                               "-in", "version")


class IrohClient:
    def __init__(self, address, port, name, upgrade, tls=True, login=True):
        self.is_web = upgrade == "websocket"
        self.got = b""
        self.sock = socket.create_connection((address, port), TIMEOUT)
        if tls:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock, server_hostname=name)
        try:
            self._upgrade(name, upgrade)
            if login:
                self._login()
        except BaseException:
            self.sock.close()
            raise

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def _upgrade(self, name, upgrade):
        more = ""
        if self.is_web:
            more = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n" % \
                base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(("GET /relay HTTP/1.1\r\nHost: %s\r\nUpgrade: %s\r\n"
                           "Connection: upgrade\r\n%s\r\n" % (
                               name, upgrade, more)).encode())
        while b"\r\n\r\n" not in self.got:
            self._more()
        head, _, self.got = self.got.partition(b"\r\n\r\n")
        self.head = head.decode(errors="replace")
        if not self.head.startswith("HTTP/1.1 101 "):
            raise Refused(self.head)

    def _login(self):
        self.key, signature = make_key()
        self._send(CLIENT_INFO, MAGIC + self.key + signature + VERSION)

    # ---- what a user does

    def ping(self):
        """The server answers; then it knows the key as well."""
        data = os.urandom(8)
        self._send(PING, data)
        return self.receive() == ("pong", None, data)

    def send(self, key, contents):
        self._send(SEND, key + contents)

    def receive(self):
        """(what, key or None, contents)"""
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            kind, payload = self._frame()
            if kind == PING:
                self._send(PONG, payload)
            elif kind == PONG:
                return "pong", None, payload
            elif kind == RECEIVE:
                return "packet", payload[:32], payload[32:]
        raise TimeoutError("nothing but pings")

    # ---- frames

    def _send(self, kind, payload):
        if not self.is_web:
            head = struct.pack("!BI", kind, len(payload))
            return self.sock.sendall(head + payload)
        payload = bytes([kind]) + payload
        # a client's messages are masked (RFC 6455 section 5.3)
        mask = os.urandom(4)
        masked = bytes(c ^ mask[i % 4] for i, c in enumerate(payload))
        n = len(payload)
        size = struct.pack("!B", 0x80 | n) if n < 126 else \
            struct.pack("!BH", 0x80 | 126, n)
        self.sock.sendall(b"\x82" + size + mask + masked)

    def _frame(self):
        if not self.is_web:
            kind, size = struct.unpack("!BI", self._take(5))
            return kind, self._take(size)
        while True:
            first, size = self._take(2)
            if size == 126:
                size = struct.unpack("!H", self._take(2))[0]
            elif size == 127:
                size = struct.unpack("!Q", self._take(8))[0]
            payload = self._take(size)
            if first == 0x82:
                return payload[0], payload[1:]
            if first == 0x88:
                raise ConnectionError("the server closes: %r" % payload)

    def _take(self, n):
        while len(self.got) < n:
            self._more()
        data, self.got = self.got[:n], self.got[n:]
        return data

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError("the server has closed")
        self.got += data
