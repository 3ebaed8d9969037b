#!/usr/bin/env python3
"""The milter server, spoken to as a mail server does, in good and bad ways."""
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "lib"))
import tap
from milterclient import MilterClient, OFFER, packet, strings

PROGRAM = os.path.join(os.environ.get("BUILD", "build"),
                       "t/unit/milter_server")
if not os.path.exists(PROGRAM):
    tap.skip_all("no " + PROGRAM)

MESSAGE = (b"To: one@x\r\nSubject: a\r\n\tb\r\nTo:two@x\r\n\r\n"
           b"line\r\n.dot\r\n\r\n")
SEEN = "To: one@x|Subject: a\\x0a\\x09b|To:two@x|"


class Milter:
    """t/unit/milter_server as a child."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "milter.sock")
        self.err = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [PROGRAM, self.path], stderr=self.err,
            env={**os.environ, "CHATMAIL_LOG": "debug"})
        end = time.monotonic() + 10
        while not os.path.exists(self.path) and time.monotonic() < end:
            time.sleep(.01)

    def log(self):
        return os.pread(self.err.fileno(), 1 << 20, 0).decode()

    def wait_log(self, text, count=1):
        end = time.monotonic() + 10
        while self.log().count(text) < count and time.monotonic() < end:
            time.sleep(.01)
        return self.log().count(text) >= count

    def rss_kb(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f
                        if line.startswith("VmRSS:"))


def checksum(body):
    total = 0
    for byte in body:
        total = (total * 31 + byte) & 0xffffffff
    return "%08x" % total


def seen(actions):
    """What the milter inserted."""
    return actions[0][3] if actions and actions[0][0] == "i" else repr(actions)


def test_message(path):
    with MilterClient(path) as m:
        tap.is_((m.version, m.actions, hex(m.protocol)),
                (6, 0x11, "0x1ff38a"), "what is negotiated with Postfix")
        tap.is_(m.connect(macros={"j": "mx", "{daemon_name}": "ORIGINATING"}),
                None, "no answer to events")
        m.helo()
        got = m.message("<ok@x>", MESSAGE, macros={
            "i": "4Qx", "{auth_authen}": "me@x"})
        body = b"line\r\n.dot\r\n\r\n"
        tap.is_(got, [("i", 0, "X-Seen",
                       " host=client.example 4 192.0.2.1 daemon=ORIGINATING "
                       "i=4Qx auth=me@x rcpt=- eohs=1 body=14 sum=%s\n "
                       "headers=%s" % (checksum(body), SEEN)), ("a",)],
                "a message and what was seen of it")
        m.abort()
        m.abort()
        got = seen(m.message("<ok@x>", MESSAGE))
        tap.like(got, "daemon=ORIGINATING i=- auth=-",
                 "the next: its macros are its own")
        m.abort()
        m.quit()
        tap.ok(m.is_closed(), "quit")


VERDICTS = [
    ("reply@x", [("y", "554 5.7.1 100% refused")]),
    ("bad@x", [("t",)]),
    ("tempfail@x", [("t",)]),
    ("change@x", [("m", 1, "Subject", " changed"), ("m", 2, "To", ""),
                  ("a",)]),
]


def test_verdicts(path):
    with MilterClient(path) as m:
        m.connect()
        for sender, want in VERDICTS:
            tap.is_(m.message(f"<{sender}>", MESSAGE), want, sender)
        tap.is_(m.message("reply@x", MESSAGE), VERDICTS[0][1],
                "without brackets, as Postfix's cleanup sends it")
        start = time.monotonic()
        got = m.message("<later@x>", MESSAGE)
        tap.between(time.monotonic() - start, .15, 5, "an answer later")
        tap.like(seen(got), SEEN, "and what it says")


def test_connects(path):
    for args, want in [
            (dict(family="6", addr="IPv6:2001:db8::1"),
             "client.example 6 IPv6:2001:db8::1"),
            (dict(family="U"), "client.example U "),
            (dict(host="localhost", addr="127.0.0.1", port=0),
             "localhost 4 127.0.0.1")]:
        with MilterClient(path) as m:
            m.connect(**args)
            tap.like(seen(m.message("<ok@x>", MESSAGE)), "host=" + want, want)


def test_bodies(path):
    with MilterClient(path) as m:
        m.connect()
        for size in [0, 1, 65534, 65535, 65536, 3000000]:
            body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
            got = seen(m.message("<ok@x>", MESSAGE[:-14] + body))
            tap.like(got, f"body={size} sum={checksum(body)}",
                     f"a body of {size} bytes")
        value = " " + "x" * 100000
        got = seen(m.message("<ok@x>", b"X:" + value.encode() + b"\r\n\r\n"))
        tap.like(got, f"headers=X:{value}|", "a header field of 100,000 bytes")
        fields = b"".join(b"X%d: y\r\n" % i for i in range(5000))
        got = seen(m.message("<ok@x>", fields + b"\r\n"))
        tap.like(got, "X4999: y|", "5,000 header fields")


def test_old_servers(path):
    """Each event is answered when the mail server knows no silence."""
    for version, protocol in [(2, 0x7f), (4, 0x37f), (6, 0x77f)]:
        with MilterClient(path, (version, 0x3f, protocol)) as m:
            tap.is_(m.version, version, f"version {version}")
            answers = [m.connect(), m.mail("<ok@x>"), m.header("To", " a"),
                       m.eoh(), m.body(b"x")]
            tap.is_(answers, [("c",)] * 5, "all events are answered")
            got = m.end()
            tap.like(seen(got), "headers=To: a|", "the header's space is back")
            tap.ok(seen(got).startswith("host="), "and none is sent")
    with MilterClient(path, (7, 0xffffffff, 0xffffffff)) as m:
        tap.is_((m.version, m.actions, hex(m.protocol)),
                (6, 0x11, "0x1ff38a"), "a newer one")


CONNECT = packet("C", b"a\x004\0\x19b\0")
MAIL = packet("M", b"<ok@x>\0")
BODY = packet("N") + packet("B", b"x")
BAD = [
    ("an old version", [packet("O", struct.pack(">III", 1, 0x1ff, 0))],
     "the milter protocol is too old"),
    ("too few actions", [packet("O", struct.pack(">III", 6, 1, 0x1fffff))],
     "the mail server does not allow what this milter does"),
    ("short options", [packet("O", b"\0\0\0\6")], "malformed milter options"),
    ("no negotiation", [CONNECT], "unexpected milter command"),
    ("HTTP", [b"GET / HTTP/1.0\r\n\r\n"], "malformed milter packet"),
    ("length 0", [OFFER, b"\0\0\0\0Q"], "malformed milter packet"),
    ("2 MB", [OFFER, b"\0\x20\0\0L"], "malformed milter packet"),
    ("negotiated twice", [OFFER, OFFER], "unexpected milter command"),
    ("an unknown command", [OFFER, packet("?")], "unexpected milter command"),
    ("NUL as command", [OFFER, packet("\0")], "unexpected milter command"),
    ("a message without client", [OFFER, MAIL], "unexpected milter command"),
    ("two messages at once", [OFFER, CONNECT, MAIL, MAIL],
     "unexpected milter command"),
    ("a header without message", [OFFER, CONNECT, packet("L", b"a\0b\0")],
     "unexpected milter command"),
    ("a header in the body", [OFFER, CONNECT, MAIL, BODY,
                              packet("L", b"a\0b\0")],
     "unexpected milter command"),
    ("body in the header", [OFFER, CONNECT, MAIL, packet("B", b"x")],
     "unexpected milter command"),
    ("the end in the header", [OFFER, CONNECT, MAIL, packet("E")],
     "unexpected milter command"),
    ("the end of no message", [OFFER, CONNECT, packet("E")],
     "unexpected milter command"),
    ("a bad client", [OFFER, packet("C", b"a\x009\0\x19b\0")],
     "malformed milter connect"),
    ("a sender without end", [OFFER, CONNECT, packet("M", b"<a>")],
     "malformed milter mail"),
    ("no sender", [OFFER, CONNECT, packet("M")], "malformed milter mail"),
    ("a header of one string", [OFFER, CONNECT, MAIL, packet("L", b"a\0")],
     "malformed milter header"),
    ("macros without value", [OFFER, packet("D", b"Ci\0")],
     "malformed milter macros"),
    ("macros of 100 KB", [OFFER, packet("D", b"Ci\0" + b"x" * 100000 + b"\0")],
     "malformed milter macros"),
]


def test_bad(milter):
    for name, packets, why in BAD:
        count = milter.log().count("closed: " + why)
        with MilterClient(milter.path, None) as m:
            if packets[0] == OFFER:
                m.negotiate(*packets.pop(0))
            for p in packets:
                if p == OFFER:
                    p = packet("O", struct.pack(">III", *OFFER))
                try:
                    m.send(p)
                except OSError:
                    pass
            tap.ok(m.is_closed(), f"{name}: closed")
        tap.ok(milter.wait_log("closed: " + why, count + 1),
               f"{name}: {why}")
    for name, data in [("before the length's end", packet("L")[:3]),
                       ("in a packet", packet("L", b"a\0b\0")[:-1]),
                       ("after a header", packet("L", b"a\0b\0")),
                       ("in the body", packet("N") + packet("B", b"abc")[:-1])]:
        aborts = milter.log().count("aborted")
        with MilterClient(milter.path) as m:
            m.connect()
            m.mail("<ok@x>")
            m.send(data)
        tap.ok(milter.wait_log("aborted", aborts + 1), f"gone {name}: aborted")


def test_sessions(milter):
    path = milter.path
    with MilterClient(path) as m:
        m.connect()
        m.mail("<ok@x>", macros={"i": "old"})
        m.header("A", " b")
        aborts = milter.log().count("aborted")
        m.abort()
        tap.ok(milter.wait_log("aborted", aborts + 1), "aborted in the header")
        tap.like(seen(m.message("<ok@x>", MESSAGE)),
                 "i=- auth=- rcpt=- eohs=1 body=14", "then another message")
        m.quit_new()
        m.connect(host="second.example")
        tap.like(seen(m.message("<ok@x>", MESSAGE)),
                 "host=second.example 4 192.0.2.1 daemon=-",
                 "another client on the connection")
        m.send(packet("U", strings("XYZZY")))
        m.mail("<later@x>")
        m.eoh()
        m.macros("E")
        m.send(packet("E") + packet("A") + packet("D", b"M") +
               packet("M", strings("<reply@x>")) + packet("N") + packet("E"))
        tap.is_([m.actions_until_verdict()[-1][0] for _ in range(2)],
                ["a", "y"], "a second message while the first is answered")
    clients = [MilterClient(path) for _ in range(100)]
    for m in clients:
        m.connect()
        m.mail("<later@x>")
    for m in clients:
        m.header("A", " b")
        m.eoh()
        m.macros("E")
        m.send(packet("E"))
    tap.is_({m.actions_until_verdict()[-1] for m in clients}, {("a",)},
            "100 messages at once")
    aborts = milter.log().count("aborted")
    for m in clients:
        m.mail("<later@x>")
        m.send(packet("N"))
        m.close()
    tap.ok(milter.wait_log("aborted", aborts + 100), "100 clients go")


def test_memory(milter):
    if "/san-" in PROGRAM:
        tap.skip("memory", "sanitizers keep what was freed")
        return

    def run(m, count):
        for _ in range(count):
            m.message("<ok@x>", MESSAGE, macros={"i": "4Qx"})
            m.abort()

    with MilterClient(milter.path) as m:
        m.connect()
        run(m, 200)
        before = milter.rss_kb()
        run(m, 2000)
        m.message("<ok@x>", b"X: y\r\n\r\n" + b"x" * 20000000)
        tap.between(milter.rss_kb() - before, -10000, 2000,
                    "memory in KB after 2,000 messages and one of 20 MB")


def test_stop(milter):
    idle, busy = MilterClient(milter.path), MilterClient(milter.path)
    idle.connect()
    busy.connect()
    busy.mail("<later@x>")
    busy.header("A", " b")
    busy.eoh()
    time.sleep(.1)
    milter.process.send_signal(signal.SIGTERM)
    tap.ok(idle.is_closed(), "SIGTERM: an idle session is closed")
    busy.body(b"x")
    tap.is_(busy.end()[-1], ("a",), "SIGTERM: a message is answered")
    tap.ok(busy.is_closed(), "then its session is closed")
    tap.is_(milter.process.wait(15), 0, "and the milter ends")


def main():
    with tempfile.TemporaryDirectory() as folder:
        milter = Milter(folder)
        try:
            for test in [test_message, test_verdicts, test_connects,
                         test_bodies, test_old_servers]:
                test(milter.path)
            for test in [test_bad, test_sessions, test_memory, test_stop]:
                test(milter)
        finally:
            if milter.process.poll() is None:
                milter.process.kill()
                milter.process.wait()
            for line in milter.log().splitlines():
                if "closed:" not in line and "aborted" not in line:
                    tap.diag(line)
    tap.done()


main()
