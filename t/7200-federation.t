#!/usr/bin/env python3
"""Two relays that write to each other: what leaves one is signed, the other
takes nothing else."""
import os
import re
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import deltachat
import dkimtest
import sandbox
import tap
from dnsserver import DnsServer

A, B = "_a.test", "_b.test"
INVALID = "554 5.7.1 No valid DKIM signature found: "


def give_up(number, frame):
    raise deltachat.Timeout(signal.strsignal(number))


def get_core():
    done = subprocess.run([os.path.join(HERE, "lib", "core")], timeout=360,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)
    if done.returncode == 77:
        tap.skip_all(done.stderr.strip().splitlines()[-1])
    if done.returncode != 0:
        sys.exit("no core:\n" + done.stderr)
    return done.stdout.strip()


def until(condition, timeout=30):
    """Wait for a condition; returns its last value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.05)


def run(*command, data=None):
    return subprocess.run(command, input=data, check=True, timeout=30,
                          stdout=subprocess.PIPE).stdout


def mail(sender, to, name="encrypted"):
    """A message of t/mail from and to somebody else."""
    with open(os.path.join(HERE, "mail", name + ".eml")) as f:
        text = f.read()
    text = re.sub(r"^From: .*", "From: <%s>" % sender, text, 1, re.M)
    text = re.sub(r"^To: .*", "To: <%s>" % to, text, 1, re.M)
    return text.replace("\n", "\r\n").encode()


def signed_by(relay, message):
    return run(sandbox.CHATMAIL, "dkim", "--sign", "-", "--keys",
               relay.path("dkim"), relay.path("chatmail.ini"), data=message)


def key_record(relay):
    """The record that the relay's key wants in the DNS."""
    out = run(sandbox.CHATMAIL, "dkim", "--genkey", relay.path("dkim"),
              relay.domain).decode()
    return re.search(r"^v=DKIM1;\S+$", out, re.M).group(0)


class Tests:
    def __init__(self, a, b, dns, core):
        self.a, self.b, self.dns, self.core = a, b, dns, core
        self.passwords = {}

    # helpers

    def account(self, relay):
        addr, password = relay.new_user()
        return self.core.account().login(deltachat.dclogin(
            addr, password, relay.ports["imaps"], relay.ports["smtps"]))

    def user(self, relay):
        """A user without an app: nobody takes the mail away."""
        addr, password = relay.new_user()
        self.passwords[addr] = password
        relay.imap(addr, password).logout()
        return addr

    def submit(self, relay, sender, to, message):
        with relay.smtp(sender, self.passwords[sender]) as smtp:
            smtp.sendmail(sender, [to], message)

    def receive(self, sender, to, message):
        """What B answers to a message from outside."""
        with self.b.smtp_incoming() as smtp:
            try:
                smtp.sendmail(sender, [to], message)
            except smtplib.SMTPResponseException as e:
                return "%d %s" % (e.smtp_code, e.smtp_error.decode())
        return "accepted"

    def inbox(self, relay, addr):
        """The messages in a mailbox, as stored."""
        imap = relay.imap(addr, self.passwords[addr])
        imap.select("INBOX", readonly=True)
        found = [imap.fetch(n, "(BODY.PEEK[])")[1][0][1].decode()
                 for n in imap.search(None, "ALL")[1][0].split()]
        imap.logout()
        return found

    def wait_mail(self, relay, addr, count=1):
        return until(lambda: (m := self.inbox(relay, addr))[count - 1:] and m)

    def said(self, relay, text):
        return [line for line in relay.log().splitlines() if text in line]

    # tests

    def test_chat(self):
        alice, bob = self.account(self.a), self.account(self.b)
        chat = bob.join(alice.invite())
        tap.ok(chat, "an invite link brings two together across relays")
        bob.wait_sent(bob.send(chat, "hello from b"))
        message = alice.wait_message("hello from b")
        tap.ok(message["showPadlock"], "a message arrives encrypted at A")
        alice.send(message["chatId"], "hello from a")
        tap.ok(bob.wait_message("hello from a")["showPadlock"],
               "and the answer at B")
        for relay in self.a, self.b:
            text = f"DKIM-Signature field added (s=opendkim, d={relay.domain})"
            tap.ok(len(self.said(relay, text)) >= 3,
                   f"{relay.domain} signed what left it")
            tap.is_(self.said(relay, "refused mail"), [],
                    "and refused nothing of the other")
        tap.ok(self.said(self.b, f"mail from domain {A} accepted"),
               "B verified the mail of A")
        tap.ok(self.said(self.a, f"mail from domain {B} accepted"),
               "A that of B, whose key its own name server found")

    def test_stored(self):
        self.carl, self.dora = self.user(self.a), self.user(self.b)
        message = mail(self.carl, self.dora)
        self.submit(self.a, self.carl, self.dora, message)
        stored = self.wait_mail(self.b, self.dora)
        if not tap.ok(stored, "a mail by any program arrives"):
            return
        header, _, body = stored[0].partition("\r\n\r\n")
        tap.ok("DKIM-Signature" not in header,
               "the signature is gone where it is stored")
        tap.is_(body, message.decode().partition("\r\n\r\n")[2],
                "the body is what was sent")

    def test_subject(self):
        """Its signature covers it: else B would refuse the mail."""
        old = b"Subject: {subject}\r\n"
        fay = self.user(self.b)
        for count, (name, new) in enumerate((
                ("a subject", b"Subject: a secret\r\n"),
                ("no subject", b""),
                ("an empty one", b"Subject:\r\n"),
                ("the usual one", b"Subject: [...]\r\n"),
                ("three", b"Subject: a secret\r\n and a secret\r\n"
                 b"SUBJECT: a secret\r\nsubject: a secret\r\n")), 1):
            self.submit(self.a, self.carl, fay,
                        mail(self.carl, fay).replace(old, new))
            stored = self.wait_mail(self.b, fay, count)
            if not tap.ok(stored, name + ": the mail arrives"):
                continue
            header = stored[-1].partition("\r\n\r\n")[0]
            tap.is_(re.findall("^subject.*", header, re.M | re.I),
                    ["Subject: [...]\r"], "and says nothing")
        for relay in self.a, self.b:
            tap.is_(self.said(relay, "secret"), [],
                    f"the log of {relay.domain} has no subject")

    def test_refused(self):
        eve = f"eve@{A}"
        message = mail(eve, self.dora)
        good = signed_by(self.a, message)
        other = dkimtest.RsaKey()
        for name, raw, want in [
                ("not signed", message, "554 5.7.1 No DKIM signature found"),
                ("the body changed",
                 good.replace(b"PGP/MIME version", b"pgp/mime version"),
                 INVALID + "body hash does not match"),
                ("From changed", good.replace(b"From: <eve@", b"From: <eva@"),
                 INVALID + "signature does not match the header"),
                ("signed by another key",
                 dkimtest.sign(message, other, A, "opendkim"),
                 INVALID + "signature does not match the header"),
                ("signed by another domain",
                 dkimtest.sign(message, other, "bank.test"),
                 INVALID + "not signed by the domain of From"),
                ("no key of that name", dkimtest.sign(message, other, A),
                 INVALID + "no key in the DNS")]:
            sender = "eva@" + A if name == "From changed" else eve
            tap.is_(self.receive(sender, self.dora, raw), want,
                    f"{name}: refused")
        tap.is_(self.receive(eve, self.dora, good), "accepted",
                "correctly signed: accepted")
        tap.is_(len(self.wait_mail(self.b, self.dora, 2)), 2,
                "and nothing else arrives")
        tap.is_(len(self.said(self.b, "refused mail from domain " + A)), 6,
                "the log tells of each refusal")

    def test_dns(self):
        """B's name server ends and comes back."""
        time.sleep(1.1)                 # the key's TTL
        self.dns.close()
        want = "451 4.7.5 DKIM signature cannot be verified now: key could " \
            "not be looked up"
        sender = f"eve@{A}"
        raw = signed_by(self.a, mail(sender, self.dora))
        tap.is_(self.receive(sender, self.dora, raw), want,
                "no name server: come again later")
        self.submit(self.a, self.carl, self.dora, mail(self.carl, self.dora))
        tap.ok(until(lambda: [s for s in self.said(
            self.a, "status=deferred") if "451 4.7.5" in s]),
            "A keeps a mail until then")
        tap.is_(len(self.inbox(self.b, self.dora)), 2, "nothing came")
        self.dns = DnsServer(self.dns.zones, port=self.dns.port)
        run("postqueue", "-c", self.a.path("postfix"), "-f")
        tap.is_(len(self.wait_mail(self.b, self.dora, 3)), 3,
                "which arrives when the name server is back")
        tap.is_(self.receive(sender, self.dora, raw), "accepted",
                "and so does what is sent again")

    def test_bounces(self):
        for relay, domain in (self.b, B), (self.a, A):
            before = len(self.said(relay, "DKIM-Signature field added"))
            count = len(self.inbox(self.a, self.carl))
            nobody = f"nobody-here@{domain}"
            self.submit(self.a, self.carl, nobody, mail(self.carl, nobody))
            got = self.wait_mail(self.a, self.carl, count + 1)
            if not tap.ok(len(got) > count,
                          f"no such user at {domain}: a bounce arrives"):
                continue
            bounce = got[-1]
            tap.like(re.search(r"(?mi)^From:.*", bounce).group(0),
                     f"MAILER-DAEMON@{domain}", "from its MAILER-DAEMON")
            tap.like(bounce, nobody, "about that user")
            # the mail itself was signed by A
            more = 1 if relay is self.b else 2
            tap.is_(len(self.said(relay, "DKIM-Signature field added")),
                    before + more, "which is signed")
        tap.is_(self.said(self.a, "refused mail"), [], "A refused no bounce")

    def run(self):
        self.test_chat()
        self.test_stored()
        self.test_subject()
        self.test_refused()
        self.test_dns()
        self.test_bounces()


reason = sandbox.skip_reason()
if reason:
    tap.skip_all(reason)
program = get_core()
for number in signal.SIGALRM, signal.SIGTERM:
    signal.signal(number, give_up)
signal.alarm(200)
os.environ["CHATMAIL_LOG"] = "debug"    # dkim tells also what it accepts
base_a = base_b = sandbox.free_base()
while base_b == base_a:
    base_b = sandbox.free_base()
dns = DnsServer()
a = sandbox.Sandbox(domain=A, base=base_a, options=["--peer", f"{B}={base_b}"])
b = sandbox.Sandbox(domain=B, base=base_b, options=["--peer", f"{A}={base_a}"],
                    settings={"dkim_dns_server": dns.address})
core_dir = tempfile.mkdtemp(prefix="chatmail-core-")
try:
    a.start()
    b.start()
    dns.zones[f"opendkim._domainkey.{A}"] = {"TXT": [key_record(a)], "ttl": 1}
    with deltachat.Core(program, core_dir) as core:
        Tests(a, b, dns, core).run()
    tap.is_([a.stop(), b.stop()], [0, 0], "the relays stop")
except Exception as e:
    tap.ok(False, "%s: %s" % (type(e).__name__, str(e).split("\n")[0]))
    tap.diag(e)
    for relay in a, b:
        if os.path.exists(relay.path("output")):
            tap.diag(relay.tail())
finally:
    for relay in a, b:
        relay.stop()
        relay.remove()
    shutil.rmtree(core_dir, ignore_errors=True)
tap.done()
