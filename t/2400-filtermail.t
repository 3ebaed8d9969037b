#!/usr/bin/env python3
"""filtermail over SMTP, with a sink in the place of Postfix."""
import hashlib
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "lib"))
from role import Role, write_ini
from smtptest import (Client, Sink, armor, encrypted, free_port, packet,
                      plain)
from tap import diag, done, is_, like, ok, skip

TMP = tempfile.mkdtemp(prefix="filtermail-")
A, B = "one@example.org", "two@example.org"
SAN = "san" in os.environ.get("CHATMAIL", "")


def sample(name):
    with open(f"t/mail/{name}.eml", "rb") as f:
        return f.read().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


class Filter:
    """filtermail in both directions, each with a sink behind it."""

    def __init__(self, sink=True, **settings):
        self.ports = {"out": free_port(), "in": free_port(),
                      "rout": free_port(), "rin": free_port()}
        self.mail = tempfile.mkdtemp(dir=TMP)
        self.ini = os.path.join(self.mail, "chatmail.ini")
        self.settings = settings
        self.write()
        self.sinks = {}
        if sink:
            self.sinks = {"out": Sink(self.ports["rout"]),
                          "in": Sink(self.ports["rin"])}
        self.roles = {
            "out": Role(["filtermail", self.ini, "outgoing"],
                        self.ports["out"]),
            "in": Role(["filtermail", self.ini, "incoming"],
                       self.ports["in"])}

    def write(self, **more):
        write_ini(self.ini, "example.org", **{
            "mailboxes_dir": self.mail,
            "filtermail_smtp_port": self.ports["out"],
            "filtermail_smtp_port_incoming": self.ports["in"],
            "postfix_reinject_port": self.ports["rout"],
            "postfix_reinject_port_incoming": self.ports["rin"],
            "max_user_send_burst_size": 100000, **self.settings, **more})

    def client(self, way="out", **kw):
        return Client(self.ports[way], **kw)

    def send(self, data, sender=A, rcpts=(B,), way="out", **kw):
        c = self.client(way)
        try:
            return c.message(sender, rcpts, data, **kw)
        finally:
            c.close()

    def enforce(self, addr):
        os.makedirs(os.path.join(self.mail, addr), exist_ok=True)
        open(os.path.join(self.mail, addr, "enforceE2EEincoming"),
             "w").close()

    def stop(self):
        codes = [r.stop() for r in self.roles.values()]
        for s in self.sinks.values():
            s.stop()
        return codes


def test_samples():
    f = Filter()
    f.enforce(B)
    f.enforce(A)
    cases = [  # name, outgoing, incoming
        ("encrypted", "250 OK", "250 OK"),
        ("securejoin-vc", "250 OK", "250 OK"),
        ("plain", "523", "523"),
        ("fake-encrypted", "523", "523"),
        ("literal", "523", "523"),
        ("mdn", "523", "523"),
        ("securejoin-vc-fake", "523", "523"),
        ("asm", "523", "523"),
    ]
    for name, out, incoming in cases:
        for way, want in (("out", out), ("in", incoming)):
            reply = f.send(sample(name), way=way)
            ok(reply.startswith(want), f"{name} {way}: {want}")
            if not reply.startswith(want):
                diag(reply)
    is_(f.send(sample("plain")),
        "523 Encryption Needed: Invalid Unencrypted Mail", "the text of 523")
    is_(f.send(sample("mailer-daemon"), sender="", way="in"), "250 OK",
        "a bounce comes in, with the null sender")
    like(f.sinks["in"].messages[-1].mail, "MAIL FROM:<>",
         "and goes on with it")
    ok(f.send(sample("mailer-daemon"), sender="mailer-daemon@example.org")
       .startswith("523"), "a bounce does not go out")
    is_(f.send(sample("asm"), rcpts=[A]), "250 OK",
        "a setup message to oneself")
    ok(f.send(sample("asm"), rcpts=[A, B]).startswith("523"),
       "a setup message to others as well")
    is_(len([m for s in f.sinks.values() for m in s.messages]), 6,
        "Postfix has seen what passed and nothing else")
    for m in f.sinks["out"].messages:
        ok(m.complete, "whole")
    is_(bytes(f.sinks["out"].messages[0].data), sample("encrypted"),
        "byte for byte")
    log = f.roles["out"].log + f.roles["in"].log
    for line in ("Outgoing: Filtering encrypted mail.",
                 "Outgoing: Filtering unencrypted mail.",
                 "Incoming: Filtering encrypted mail.",
                 "Incoming: Filtering unencrypted mail.",
                 "Incoming: Filtering mailer-daemon message from",
                 f"Rejected unencrypted mail from: {A}\n"):
        like(log, line, "log: " + line.strip())
    is_(f.stop(), [0, 0], "they stop")


def test_from():
    f = Filter()
    cases = [
        ("From: <one@example.org>", "250 OK"),
        ("From: One <ONE@Example.ORG>", "250 OK"),
        ("From: one@example.org (comment)", "250 OK"),
        ("From: =?utf-8?q?A=2C_B?= <one@example.org>", "250 OK"),
        ("From: <three@example.org>",
         "500 Invalid FROM <three@example.org> for <one@example.org>"),
        ("From: <one@example.org>, <two@example.org>", "500 Invalid FROM"),
        ("From: <one@example.org>\r\nFrom: <two@example.org>",
         "500 Invalid FROM"),
        ("From: \"one@example.org\" <two@example.org>", "500 Invalid FROM"),
        ("From: one@example.org <two@example.org>", "500 Invalid FROM"),
        ("From:", "500 Invalid FROM"),
        ("X-None: 1", "500 Invalid FROM"),
        ("From: <" + "a" * 5000 + "@example.org>", "500 Invalid FROM"),
    ]
    rest = encrypted(A, B).split(b"\r\n", 1)[1]
    for header, want in cases:
        reply = f.send(header.encode() + b"\r\n" + rest)
        if not ok(reply.startswith(want), f"{header[:60]!r}: {want}"):
            diag(reply)
        ok(len(reply) < 500, "a short reply")
    for sender in ("", "nobody", "a@b@example.org"):
        ok(f.send(encrypted(A, B), sender=sender).startswith("500 "),
           f"sender {sender!r} is refused")
    f.stop()


def test_cleartext_exception():
    f = Filter()
    os.makedirs(os.path.join(f.mail, B))
    is_(f.send(plain("x@other.org", B), sender="x@other.org", way="in"),
        "250 OK", "a mailbox without the file takes cleartext")
    f.enforce(B)
    for rcpt in (B, "TWO@Example.org", "two+tag@example.org",
                 "\"two\"@example.org"):
        ok(f.send(plain("x@other.org", B), sender="x@other.org",
                  rcpts=[rcpt], way="in").startswith("523"),
           f"one with it does not, as {rcpt}")
    os.makedirs(os.path.join(f.mail, "three@example.org"))
    ok(f.send(plain("x@other.org", B), sender="x@other.org", way="in",
              rcpts=["three@example.org", B]).startswith("523"),
       "one of two recipients is enough")
    ok(f.send(plain("x@other.org", B), sender="x@other.org", way="in",
              rcpts=["../../etc/x@example.org"]).startswith("523"),
       "no way out of the directory")
    os.rename(f.mail, f.mail + ".gone")
    ok(f.send(plain("x@other.org", B), sender="x@other.org",
              way="in").startswith("451"),
       "no mailboxes: a temporary failure, not a way through")
    is_(f.send(encrypted("x@other.org", B), sender="x@other.org", way="in"),
        "250 OK", "what is encrypted passes meanwhile")
    os.rename(f.mail + ".gone", f.mail)
    f.stop()


def test_envelope():
    f = Filter()
    r = f.send(encrypted(A, B), mail_params=" SIZE=1234 BODY=8BITMIME "
               "SMTPUTF8 RET=HDRS ENVID=abc AUTH=<>",
               rcpt_params=" NOTIFY=FAILURE,DELAY ORCPT=rfc822;b@c")
    is_(r, "250 OK", "parameters are taken")
    m = f.sinks["out"].messages[-1]
    is_(m.mail, f"MAIL FROM:<{A}> SIZE=1234 BODY=8BITMIME SMTPUTF8 RET=HDRS "
        "ENVID=abc AUTH=<>", "MAIL goes on as it came")
    is_(m.rcpts, [f"RCPT TO:<{B}> NOTIFY=FAILURE,DELAY ORCPT=rfc822;b@c"],
        "RCPT too")
    is_(f.send(encrypted("ünï@example.org", B), sender="ünï@example.org",
               mail_params=" SMTPUTF8"), "250 OK", "an address in UTF-8")
    like(f.sinks["out"].messages[-1].mail, "<ünï@example.org>", "unchanged")
    rcpts = [f"user{i}@example.org" for i in range(1000)]
    is_(f.send(encrypted(A, B), rcpts=rcpts), "250 OK", "1,000 recipients")
    is_(len(f.sinks["out"].messages[-1].rcpts), 1000, "all of them")
    like(f.send(encrypted(A, B), rcpts=rcpts + [B]), "452 4.5.3",
         "one more is refused for now")
    c = f.client()
    for i in range(3):
        is_(c.message(A, [B], encrypted(A, B)), "250 OK",
            f"message {i + 1} on one connection")
    is_(c.message(A, [B], plain(A, B))[:3], "523", "a refused one")
    is_(c.message(A, [B], encrypted(A, B)), "250 OK", "a good one after it")
    is_(c.say("RSET"), "250 OK", "RSET")
    is_(c.say("NOOP"), "250 OK", "NOOP")
    is_(c.say("QUIT"), "221 OK", "QUIT")
    is_(c.s.recv(10), b"", "closes")
    f.stop()


def test_dots_and_lines():
    f = Filter()
    lead = encrypted(A, B)
    body = lead.replace(b"Message-ID:", b".leading: dot\r\nMessage-ID:")
    stuffed = body.replace(b"\r\n.", b"\r\n..")
    # a field whose name begins with a dot is odd, but a field
    r = f.send(stuffed)
    is_(r, "250 OK", "a line that begins with a dot")
    is_(bytes(f.sinks["out"].messages[-1].data), stuffed,
        "is handed on with its dots doubled")
    latin = lead.replace(b"Subject: [...]", b"Subject: \xe4\xf6\xfc\xff")
    is_(f.send(latin), "250 OK", "bytes that are not UTF-8")
    is_(bytes(f.sinks["out"].messages[-1].data), latin, "unchanged")
    n = len(f.sinks["out"].complete())
    smuggled = (b"\n.\r\nMAIL FROM:<admin@example.org>\r\nRCPT TO:<b@x.org>"
                b"\r\nDATA\r\nFrom: admin@example.org\r\n\r\nhi\r\n")
    cases = [
        ("bare LF", lead + b"x\ny\r\n"),
        ("bare CR", lead + b"x\ry\r\n"),
        ("LF . CRLF", lead + smuggled),
        ("LF . LF", lead + smuggled.replace(b"\n.\r\n", b"\n.\n")),
        ("CR . CRLF", lead + smuggled.replace(b"\n.\r\n", b"\r.\r\n")),
        ("CRLF . LF", lead + smuggled.replace(b"\n.\r\n", b"\r\n.\n")),
        ("CRLF . CR", lead + smuggled.replace(b"\n.\r\n", b"\r\n.\r")),
        ("NUL", lead.replace(b"[...]", b"a\0b")),
    ]
    for name, data in cases:
        c = f.client()
        like(c.message(A, [B], data), "500 Invalid DATA", name)
        is_(c.say("NOOP"), "250 OK", "and the connection is in step")
        c.close()
    # long enough to be handed on while it comes in
    long = encrypted(A, B, 600000)
    for name, data in cases[2:7]:
        like(f.send(long + data[len(lead):]), "500 Invalid DATA",
             name + " after 800 kB")
    is_(len(f.sinks["out"].complete()), n, "Postfix never saw one complete")
    f.stop()


def test_size():
    f = Filter(max_message_size=100000)
    f.enforce(B)
    big = encrypted(A, B, 100000)
    c = f.client()
    is_(c.message(A, [B], big), "552 Message exceeds maximum size",
        "too large")
    c.send(b"NOOP\r\n")
    replies = [c.reply()]
    is_(replies, ["250 OK"], "the rest of it is no command")
    is_(c.message(A, [B], encrypted(A, B)), "250 OK", "the next one passes")
    is_(c.say(f"MAIL FROM:<{A}> SIZE=100001"),
        "552 Message exceeds maximum size", "told by SIZE")
    is_(c.say(f"MAIL FROM:<{A}> SIZE=100000")[:3], "250", "the limit itself")
    c.close()
    data = encrypted(A, B, 60000)
    pad = b"X-Pad: " + b"x" * (100000 - len(data) - 9) + b"\r\n"
    is_(len(pad + data), 100000, "exactly as large as allowed")
    is_(f.send(pad + data), "250 OK", "passes")
    is_(f.send(b"X" + pad + data), "552 Message exceeds maximum size",
        "one byte more does not")
    is_(len(f.sinks["out"].complete()), 2, "the sink has the two")
    f.stop()


def test_rate():
    f = Filter(max_user_send_burst_size=10)
    c = f.client()
    replies = [c.message(A, [B], encrypted(A, B)) for _ in range(12)]
    is_(replies[:10], ["250 OK"] * 10, "ten at once")
    like(replies[10] + replies[11],
         "450 4.7.1: Too much mail from <one@example.org>", "then no more")
    is_(c.say("MAIL FROM:<ONE@example.org>")[:3], "450", "case is no way out")
    is_(c.message(B, [A], encrypted(B, A)), "250 OK", "others may")
    time.sleep(1.1)
    is_(c.message(A, [B], encrypted(A, B)), "250 OK", "one more a second later")
    is_(c.message(A, [B], encrypted(A, B))[:3], "450", "and only one")
    c.close()
    before = f.roles["out"].rss_kb()
    c = f.client()
    n = 20000 if SAN else 200000
    done_, step = 0, 1000
    while done_ < n:
        c.send("".join(f"MAIL FROM:<u{i}@example.org>\r\nRSET\r\n"
                       for i in range(done_, done_ + step)))
        for _ in range(2 * step):
            if c.reply() != "250 OK":
                ok(False, "a stranger is limited")
                break
        done_ += step
    grown = f.roles["out"].rss_kb() - before
    ok(SAN or grown < 8192, f"{n} senders cost {grown} kB")
    is_(c.say("MAIL FROM:<one2@example.org>")[:3], "250", "and it goes on")
    c.close()
    is_(f.send(encrypted("x@y.org", B), sender="x@y.org", way="in"), "250 OK",
        "what comes in is not limited")
    f.stop()


def test_temporary_failures():
    f = Filter(sink=False)
    like(f.send(encrypted(A, B)), "451 ", "Postfix down")
    like(f.send(encrypted(A, B, 600000)), "451 ", "Postfix down, long message")
    is_(f.send(plain(A, B))[:3], "523", "a refusal does not need Postfix")
    cases = [
        ("greeting", "554 5.3.2 go away", "554 5.3.2 go away"),
        ("greeting", "close", "451 "),
        ("greeting", "garbage", "451 "),
        ("ehlo", "502 5.5.1 what", "502 5.5.1 what"),
        ("mail", "452 4.3.1 Insufficient system storage", "452 4.3.1 Insuff"),
        ("mail", "550 5.7.1 no", "550 5.7.1 no"),
        ("rcpt", "450 4.2.0 later", "450 4.2.0 later"),
        ("rcpt", "550 5.1.1 unknown", "550 5.1.1 unknown"),
        ("data", "451 4.7.1 milter", "451 4.7.1 milter"),
        ("data", "close", "451 "),
        ("dot", "451 4.7.5 DNS", "451 4.7.5 DNS"),
        ("dot", "452 4.3.1 full", "452 4.3.1 full"),
        ("dot", "554 5.7.1 No DKIM signature found",
         "554 5.7.1 No DKIM signature found"),
        ("dot", "close", "451 "),
        ("dot", "421 4.3.2 shutdown", "421 4.3.2 shutdown"),
        ("dot", "354 what", "451 "),
        ("dot", "550-first\r\n550 second", "550 first second"),
        ("body", "421 4.3.2 shutdown", "421 4.3.2 shutdown"),
        ("body", "close", "451 "),
        ("mail", "250 " + "x" * 600, "250 OK"),
        ("dot", "450 " + "x" * 600, "450 xxx"),
        ("dot", "450 " + "x" * 8000, "451 "),
    ]
    for step, reply, want in cases:
        with Sink(f.ports["rout"], {step: reply}, body_after=300000):
            for size in (1000, 900000):
                if step == "body" and size == 1000:
                    continue
                got = f.send(encrypted(A, B, size))
                if not ok(got.startswith(want),
                          f"{step}: {reply[:40]!r}, {size} bytes: {want}"):
                    diag(got)
                if len(got) > 500:
                    ok(False, "a reply of more than 500 bytes")
    with Sink(f.ports["rout"]) as s:
        is_(f.send(encrypted(A, B)), "250 OK", "Postfix is back")
        is_(len(s.complete()), 1, "with the message")
    f.stop()


def test_large():
    """Many large messages at once: memory, and what arrives."""
    n, size = (8, 3000000) if SAN else (64, 21700000)
    f = Filter()
    idle = f.roles["out"].rss_kb()
    hashes, replies, peak = {}, [], [0]
    base = encrypted(A, B, size)

    def one(i):
        data = base.replace(b"<x@test>", b"<%d@test>" % i)
        hashes[i] = hashlib.sha256(data).hexdigest()
        replies.append(f.send(data))

    def watch():
        while running:
            peak[0] = max(peak[0], f.roles["out"].rss_kb())
            time.sleep(.02)

    running = True
    w = threading.Thread(target=watch)
    w.start()
    threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
    start = time.time()
    for t in threads:
        t.start()
    for t in threads:
        t.join(240)
    running = False
    w.join()
    diag(f"{n} messages of {len(base)} bytes in {time.time() - start:.1f} s, "
         f"idle {idle} kB, peak {peak[0]} kB")
    is_(replies, ["250 OK"] * n, f"{n} messages of {len(base)} bytes at once")
    got = sorted(hashlib.sha256(m.data).hexdigest()
                 for m in f.sinks["out"].complete())
    is_(got, sorted(hashes.values()), "each arrived intact, once")
    ok(SAN or peak[0] < 64 * 1024, f"RSS {peak[0]} kB is below 64 MB")
    f.sinks["out"].messages.clear()
    bad = base.replace(b"--bnd--\r\n", b"--bnd\r\n\r\nhello\r\n--bnd--\r\n")
    is_(f.send(bad)[:3], "523", "a bad end of a large message is found")
    is_(f.sinks["out"].complete(), [], "and Postfix has not got it whole")
    text = plain(A, B, ("x" * 70 + "\r\n") * 100000)
    n = len(f.sinks["out"].messages)
    is_(f.send(text)[:3], "523", "7 MB of text are refused")
    is_(len(f.sinks["out"].messages), n, "unseen by Postfix")
    f.stop()


def test_slow_peers():
    f = Filter(sink=False)
    data = encrypted(A, B, 900000)
    with Sink(f.ports["rout"], rate=2000000) as s:
        is_(f.send(data), "250 OK", "a sink that reads slowly")
        is_(bytes(s.messages[-1].data), data, "gets all")
    with Sink(f.ports["rout"], {"body": "hang"}, body_after=300000):
        c = f.client()
        c.say(f"MAIL FROM:<{A}>")
        c.say(f"RCPT TO:<{B}>")
        c.say("DATA")
        c.s.setblocking(False)
        sent, end = 0, time.time() + 5
        huge = encrypted(A, B, 20000000)
        while sent < len(huge) and time.time() < end:
            try:
                sent += c.s.send(huge[sent:sent + 65536])
            except BlockingIOError:
                time.sleep(.05)
        ok(sent < len(huge), f"a sink that stops reading stops the sender "
           f"({sent} bytes)")
        ok(SAN or f.roles["out"].rss_kb() < 16 * 1024, "with little memory")
        c2 = f.client()
        is_(c2.say("NOOP"), "250 OK", "others are served")
        c2.close()
        c.close()
    with Sink(f.ports["rout"]) as s:
        c = f.client()
        c.say(f"MAIL FROM:<{A}>")
        c.say(f"RCPT TO:<{B}>")
        c.say("DATA")
        text = encrypted(A, B, 200)
        for b in text + b".\r\n":
            c.send(bytes([b]))
        is_(c.reply(), "250 OK", "byte by byte")
        is_(bytes(s.messages[-1].data), text, "unchanged")
        c.send(b"MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n%s.\r\n"
               b"MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n%s.\r\nQUIT\r\n" %
               (A.encode(), B.encode(), text, A.encode(), B.encode(), text))
        is_([c.reply() for _ in range(9)], ["250 OK", "250 OK",
            "354 End data with <CR><LF>.<CR><LF>", "250 OK"] * 2 + ["221 OK"],
            "two messages in one write")
        c.close()
    f.stop()


def test_bad_input():
    f = Filter()
    c = f.client()
    cases = [
        ("FOO", "500 Command not recognized"),
        ("", "500 Command not recognized"),
        ("DATA", "503"),
        (f"RCPT TO:<{B}>", "503"),
        ("MAIL FROM:<a@b", "500 Invalid address in MAIL FROM"),
        ("MAIL FROM:", "500 Invalid address in MAIL FROM"),
        (f"MAIL FROM:<{A}>", "250 OK"),
        (f"MAIL FROM:<{A}>", "503"),
        ("DATA", "503"),
        ("RCPT TO:<>", "500 Invalid address in RCPT TO"),
        ("RCPT TO:<a b@c>", "500 Invalid address in RCPT TO"),
        (b"RCPT TO:<\xff\xfe@x.org>\r\n", "500 "),
        (b"RCPT TO:<a\0b@x.org>\r\n", "500 "),
        (f"rcpt to:<{B}>", "250 OK"),
        ("DATAX", "500 Command not recognized"),
        ("data", "354"),
        (".", "500 Invalid FROM header"),
    ]
    for line, want in cases:
        got = c.say(line)
        if not ok(got.startswith(want), f"{line!r}: {want}"):
            diag(got)
    like(c.say("MAIL FROM:<" + "a" * 5000 + "@b.org>"), "500 Line too long",
         "an endless line")
    c.close()
    c = f.client()
    like(c.say(b"NOOP\n"), "500 Line does not end", "LF alone")
    is_(c.s.recv(10), b"", "closes")
    n = len(f.sinks["out"].messages)
    for size in (1000, 900000):
        c = f.client()
        c.say(f"MAIL FROM:<{A}>")
        c.say(f"RCPT TO:<{B}>")
        c.say("DATA")
        c.send(encrypted(A, B, size))
        c.send(b"QUIT\r\n")
        c.close()
    time.sleep(.3)
    is_(len(f.sinks["out"].complete()), 0,
        "a client that goes away before the dot has sent nothing")
    deep = (b"From: <%s>\r\nContent-Type: multipart/encrypted; boundary=b0\r\n"
            b"\r\n" % A.encode())
    deep += b"".join(b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d"
                     b"\r\n\r\n" % (i, i + 1) for i in range(10000))
    is_(f.send(deep)[:3], "523", "10,000 nested parts")
    before = f.roles["out"].rss_kb()
    header = b"From: <%s>\r\nX-Long: " % A.encode() + \
        (b"x" * 900 + b"\r\n ") * 11000 + b"x\r\n" + \
        encrypted(A, B).split(b"\r\n", 1)[1]
    is_(f.send(header), "250 OK", "a header of 10 MB")
    ok(SAN or f.roles["out"].rss_kb() - before < 2048, "without memory")
    one = b"From: <%s>\r\nX-Long: " % A.encode() + b"x" * 10000000 + \
        b"\r\n" + encrypted(A, B).split(b"\r\n", 1)[1]
    is_(f.send(one), "250 OK", "a line of 10 MB")
    f.stop()


def test_life():
    f = Filter(sink=False)
    f.write(max_message_size="x")
    f.roles["out"].process.send_signal(signal.SIGHUP)
    ok(f.roles["out"].wait_log("keeping the old configuration: "),
       "a bad file is told")
    like(f.roles["out"].log, "max_message_size: expected", "with the reason")
    with Sink(f.ports["rout"]):
        is_(f.send(encrypted(A, B)), "250 OK", "and changes nothing")
    f.write(max_message_size=500)
    f.roles["out"].process.send_signal(signal.SIGHUP)
    ok(f.roles["out"].wait_log("configuration read again"), "a good one")
    like(f.send(encrypted(A, B)), "552", "is used")
    f.write(max_message_size=30000000)
    f.roles["out"].process.send_signal(signal.SIGHUP)
    time.sleep(.2)
    with Sink(f.ports["rout"], rate=3000000) as s:
        idle = f.client()
        busy = f.client()
        busy.say(f"MAIL FROM:<{A}>")
        busy.say(f"RCPT TO:<{B}>")
        busy.say("DATA")
        data = encrypted(A, B, 900000)
        busy.send(data[:400000])
        start = time.time()
        f.roles["out"].process.send_signal(signal.SIGTERM)
        like(idle.reply(), "421 4.3.2", "SIGTERM: an idle session ends")
        busy.send(data[400000:] + b".\r\n")
        is_(busy.reply(), "250 OK", "one with a message finishes it")
        is_(f.roles["out"].stop(), 0, "and then the role ends")
        ok(time.time() - start < 5, "in less than 5 s")
        is_(bytes(s.complete()[-1].data), data, "the message arrived")
    r = Role(["filtermail", f.ini, "outgoing"], f.ports["out"])
    with Sink(f.ports["rout"], {"dot": "hang"}):
        c = f.client()
        c.say(f"MAIL FROM:<{A}>")
        c.say(f"RCPT TO:<{B}>")
        c.say("DATA")
        c.send(encrypted(A, B) + b".\r\n")
        time.sleep(.2)
        start = time.time()
        is_(r.stop(), 0, "a message that does not end does not keep it")
        ok(4 < time.time() - start < 8, "after 5 s it ends")
        c.close()
    f.roles["in"].stop()

    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))
    r = Role(["filtermail", f.ini, "outgoing"], f.ports["out"], before=few)
    with Sink(f.ports["rout"]):
        many = []
        for _ in range(40):
            many.append(socket.create_connection(
                ("127.0.0.1", f.ports["out"]), 5))
        ok(r.wait_log("accept: "), "out of descriptors is told")
        for s in many:
            s.close()
        time.sleep(.5)
        is_(f.send(encrypted(A, B)), "250 OK", "and overcome")
    r.stop()


try:
    for name in [n for n in dir() if n.startswith("test_")]:
        if len(sys.argv) > 1 and sys.argv[1] not in name:
            continue
        diag(name)
        start = time.time()
        globals()[name]()
        diag(f"{name}: {time.time() - start:.1f} s")
finally:
    shutil.rmtree(TMP, ignore_errors=True)
done()
