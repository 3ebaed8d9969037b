#!/usr/bin/env python3
"""A whole relay with real Delta Chat accounts on it: what users see, what the
relay refuses, and what it stores."""
import hashlib
import http.server
import imaplib
import json
import os
import re
import shutil
import signal
import smtplib
import socket
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import deltachat
import sandbox
import tap

MAX_MESSAGE = 12 << 20
ATTACHMENT = 5 << 20
TOKEN = "openpgp:c29tZSBkZXZpY2U="
GONE = "openpgp:YW4gb2xkIGRldmljZQ=="
PRIVACY = "privacy@example.org"


class Notifier(http.server.BaseHTTPRequestHandler):
    """Stands in for the notification server; knows all tokens but GONE."""
    protocol_version = "HTTP/1.1"
    got = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.got.append((self.path, body))
        self.send_response(410 if body == GONE else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def give_up(number, frame):
    raise deltachat.Timeout(signal.strsignal(number))


def until(condition, timeout=20):
    """Wait for a condition; returns its last value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.05)


def refusal(call, *args):
    """What a server answered: "523 Encryption ...", or "accepted"."""
    try:
        call(*args)
    except smtplib.SMTPRecipientsRefused as e:
        code, text = next(iter(e.recipients.values()))
    except smtplib.SMTPResponseException as e:
        code, text = e.smtp_code, e.smtp_error
    else:
        return "accepted"
    return "%d %s" % (code, text.decode())


def mail(name, sender, to, extra=""):
    """A message of t/mail from and to somebody else."""
    with open(os.path.join(HERE, "mail", name + ".eml")) as f:
        text = f.read()
    text = re.sub(r"^From: .*", "From: <%s>" % sender, text, 1, re.M)
    text = re.sub(r"^To: .*", "To: <%s>" % to, text, 1, re.M)
    return (extra + text).replace("\n", "\r\n").encode()


class DistantIMAP(imaplib.IMAP4):
    """From another address than the server's: Dovecot takes a connection
    within one address for secure."""
    def _create_socket(self, timeout):
        return socket.create_connection((self.host, self.port), timeout,
                                        source_address=("127.0.0.2", 0))


class Tests:
    def __init__(self, relay, core, directory):
        self.relay = relay
        self.core = core
        self.directory = directory
        self.passwords = {}

    # helpers

    def mailbox(self, addr, *names):
        return os.path.join(self.relay.info["mailboxes_dir"], addr, *names)

    def link(self, addr, password):
        return deltachat.dclogin(addr, password, self.relay.ports["imaps"],
                                 self.relay.ports["smtps"])

    def account(self, name):
        addr, password = self.relay.new_user()
        self.passwords[addr] = password
        account = self.core.account()
        account.set_config(displayname=name)
        return account.login(self.link(addr, password))

    def plain_user(self):
        """A user without an app: nobody takes the mail away."""
        addr, password = self.relay.new_user()
        self.passwords[addr] = password
        self.imap(addr).logout()
        return addr

    def imap(self, addr):
        return self.relay.imap(addr, self.passwords[addr])

    def submit(self, login, sender, to, message):
        """The answer to a submission."""
        with self.relay.smtp(login, self.passwords[login]) as smtp:
            return refusal(smtp.sendmail, sender, [to], message)

    def receive(self, sender, to, message):
        """The answer to what comes from another relay."""
        with self.relay.smtp_incoming() as smtp:
            return refusal(smtp.sendmail, sender, [to], message)

    def raw_mail(self, addr):
        """The newest message in a mailbox, as stored."""
        with self.imap(addr) as imap:
            def newest():
                imap.select("INBOX", readonly=True)
                numbers = imap.search(None, "ALL")[1][0].split()
                return numbers and numbers[-1]
            number = until(newest)
            if not number:
                raise deltachat.Timeout("no mail for " + addr)
            return imap.fetch(number, "(BODY.PEEK[])")[1][0][1].decode()

    def metadata(self, imap, mailbox, entry):
        """The value of an entry, None for NIL."""
        answer = imap.xatom("GETMETADATA", '"%s"' % mailbox, entry)
        assert answer[0] == "OK", answer
        parts = imap.response("METADATA")[1]
        text = b"".join(p if isinstance(p, bytes) else p[0] + b" " + p[1]
                        for p in parts if p).decode()
        value = text.split(entry, 1)[1].strip(" )\r\n")
        value = re.sub(r"^\{\d+\} ", "", value)
        return None if value == "NIL" else value.strip('"')

    # tests

    def test_ports(self):
        with smtplib.SMTP("127.0.0.1", self.relay.ports["submission"],
                          timeout=20, local_hostname="client.test") as smtp:
            smtp.ehlo()
            tap.ok(smtp.has_extn("starttls") and not smtp.has_extn("auth"),
                   "submission offers no AUTH before TLS")
            smtp.starttls(context=sandbox.tls_context())
            smtp.ehlo()
            tap.ok(smtp.has_extn("auth"), "and AUTH after it")
        imap = DistantIMAP("127.0.0.1", self.relay.ports["imap"], timeout=20)
        tap.ok("LOGINDISABLED" in imap.capabilities and
               not [c for c in imap.capabilities if c.startswith("AUTH=")],
               "IMAP offers no login before TLS")
        imap.starttls(sandbox.tls_context())
        tap.ok("LOGINDISABLED" not in imap.capabilities and
               "AUTH=PLAIN" in imap.capabilities, "but after it")
        imap.logout()
        with smtplib.SMTP("127.0.0.1", self.relay.ports["smtp"], timeout=20,
                          local_hostname="mx.other.test") as smtp:
            tap.like(refusal(smtp.sendmail, "a@other.test", ["b@other.test"],
                             b"x"), "530 5.7.0 Must issue a STARTTLS",
                     "mail from relays comes by TLS only")
        with self.relay.smtp_incoming() as smtp:
            smtp.ehlo()
            tap.ok(not smtp.has_extn("auth"), "nobody logs in on port 25")
            tap.like(refusal(smtp.sendmail, "a@other.test", ["b@other.test"],
                             b"x"), "554 5.7.1", "and nobody relays there")

    def test_accounts(self):
        self.alice = self.account("Alice")
        self.bob = self.account("Bob")
        self.carol = self.account("Carol")
        for account in self.alice, self.bob, self.carol:
            with open(self.mailbox(account.addr, "password")) as f:
                tap.like(f.read(), "{SHA512-CRYPT}$6$",
                         "a first login makes the account")
            tap.ok(os.path.exists(self.mailbox(account.addr,
                                               "enforceE2EEincoming")),
                   "which takes no cleartext")

    def login_error(self, addr, password):
        try:
            self.core.account().login(self.link(addr, password), idle=False)
        except deltachat.Error as e:
            return str(e)
        return "logged in"

    def test_refused_logins(self):
        failed = "[AUTHENTICATIONFAILED]"
        tap.like(self.login_error(self.alice.addr, "not-her-password"),
                 failed, "a wrong password is refused")
        addr, _ = self.relay.new_user()
        tap.like(self.login_error(addr, "12345678"), failed,
                 "a short password is refused")
        tap.ok(not os.path.exists(self.mailbox(addr)), "and makes no account")
        addr = "a" + addr
        tap.like(self.login_error(addr, "a-good-password"), failed,
                 "a name of ten letters is refused")
        tap.ok(not os.path.exists(self.mailbox(addr)), "and makes no account")

    def check_message(self, reader, text, name):
        message = reader.wait_message(text)
        tap.ok(message["showPadlock"], name)
        return message["chatId"]

    def test_chat(self):
        chat = self.bob.join(self.alice.invite())
        tap.ok(chat, "an invite link brings two people together")
        sent = self.bob.send(chat, "hello")
        self.bob.wait_sent(sent)
        chat = self.check_message(self.alice, "hello",
                                  "a message arrives encrypted")
        self.alice.send(chat, "and hello")
        self.check_message(self.bob, "and hello", "so does the answer")

    def test_attachment(self):
        path = os.path.join(self.directory, "random.bin")
        data = os.urandom(ATTACHMENT)
        with open(path, "wb") as f:
            f.write(data)
        chat = self.alice.chat_with(self.bob.addr)
        sent = self.alice.send(chat, "the file", path)
        self.alice.wait_sent(sent)

        # a large file comes in two messages, the first without it
        number = self.bob.wait_message()["id"]
        until(lambda: self.bob.message(number)["downloadState"] == "Done")
        message = self.bob.message(number)
        tap.ok(message["showPadlock"], "a file of 5 MB arrives encrypted")
        tap.is_((message["text"], message["fileBytes"]),
                ("the file", ATTACHMENT), "and whole")
        with open(message["file"], "rb") as f:
            tap.is_(hashlib.sha256(f.read()).hexdigest(),
                    hashlib.sha256(data).hexdigest(), "byte by byte")

    def test_group(self):
        group = self.alice.group("three", self.bob.addr)
        self.alice.send(group, "the two of us")
        at_bob = self.check_message(self.bob, "the two of us",
                                    "a group message arrives encrypted")
        at_carol = self.carol.join(self.alice.invite(group))
        until(lambda: len(self.carol.members(at_carol)) == 3)
        everybody = sorted(a.addr for a in (self.alice, self.bob, self.carol))
        tap.is_(sorted(self.carol.members(at_carol)), everybody,
                "an invite link to a group brings a third in")
        until(lambda: len(self.bob.members(at_bob)) == 3)
        tap.is_(sorted(self.bob.members(at_bob)), everybody,
                "the others know of it")
        self.carol.send(at_carol, "now three")
        for account in self.alice, self.bob:
            self.check_message(account, "now three", "all read the third")
        self.bob.send(at_bob, "yes")
        for account in self.alice, self.carol:
            self.check_message(account, "yes", "and all read the second")

    def test_cleartext(self):
        alice, bob = self.alice.addr, self.bob.addr
        message = mail("plain", alice, bob)
        tap.is_(self.submit(alice, alice, bob, message),
                "523 Encryption Needed: Invalid Unencrypted Mail",
                "cleartext to a user of the relay is refused")
        tap.is_(self.submit(alice, alice, "x@other.test",
                            mail("plain", alice, "x@other.test")),
                "523 Encryption Needed: Invalid Unencrypted Mail",
                "cleartext to the outside is refused")
        tap.is_(self.submit(alice, alice, bob,
                            mail("fake-encrypted", alice, bob)),
                "523 Encryption Needed: Invalid Unencrypted Mail",
                "what only looks encrypted is refused")
        message = mail("plain", "x@other.test", bob)
        tap.is_(self.receive("x@other.test", bob, message),
                "523 Encryption Needed: Invalid Unencrypted Mail",
                "cleartext from the outside is refused")

    def test_forged(self):
        alice, bob = self.alice.addr, self.bob.addr
        tap.is_(self.submit(alice, alice, bob, mail("encrypted", bob, alice)),
                "500 Invalid FROM <%s> for <%s>" % (bob, alice),
                "another From than the envelope's is refused")
        tap.like(self.submit(alice, bob, alice, mail("encrypted", bob, alice)),
                 "553 5.7.1", "a sender other than the login is refused")

    def test_stored(self):
        """What an encrypted message looks like where it is stored."""
        dave, erin = self.plain_user(), self.plain_user()
        message = mail("encrypted", dave, erin,
                       "Received: from my.computer ([192.0.2.1])\n"
                       "User-Agent: Agent/1.0\nX-Mailer: Agent\n"
                       "X-Originating-IP: 192.0.2.1\n")
        tap.is_(self.submit(dave, dave, erin, message), "accepted",
                "an encrypted mail by any program is accepted")
        stored = self.raw_mail(erin)
        header, _, body = stored.partition("\r\n\r\n")
        tap.is_(re.findall(r"^Subject:.*", stored, re.M | re.I),
                ["Subject: [...]\r"], "its subject is gone")
        for name in "Received", "User-Agent", "X-Mailer", "X-Originating-IP":
            tap.is_(re.findall(r"^%s:.*" % name, header, re.M | re.I), [],
                    "no %s is left" % name)
        tap.is_(body, message.decode().partition("\r\n\r\n")[2],
                "the body is what was sent")
        tap.is_(self.receive("x@other.test", dave,
                             mail("encrypted", "x@other.test", dave)),
                "554 5.7.1 No DKIM signature found",
                "an unsigned mail from outside is refused, encrypted or not")

        self.bob.call("stop_io")
        chat = self.alice.chat_with(self.bob.addr)
        self.alice.wait_sent(self.alice.send(chat, "nobody can read this"))
        stored = self.raw_mail(self.bob.addr)
        tap.ok("nobody can read this" not in stored and
               "-----BEGIN PGP MESSAGE-----" in stored,
               "an app's mail is stored encrypted")
        tap.is_(sorted(set(re.findall(r"^([A-Za-z-]+):", stored.partition(
            "\r\n\r\n")[0], re.M)) - {"Return-Path", "Delivered-To", "From",
                                      "To", "Subject", "Date", "Message-ID",
                                      "Chat-Version", "MIME-Version",
                                      "Content-Type"}), [],
                "no other header than it needs")
        self.bob.call("start_io")
        self.check_message(self.bob, "nobody can read this",
                           "who was offline reads it later")

    def test_large(self):
        alice = self.alice.addr
        message = mail("encrypted", alice, alice) + \
            b"x" * 70 * 100 + b"\r\n" + (b"x" * 70 + b"\r\n") * 180000
        tap.like(self.submit(alice, alice, alice, message), "552 5.3.4",
                 "a message over max_message_size is refused")
        with self.relay.smtp(alice, self.passwords[alice]) as smtp:
            smtp.ehlo()
            tap.is_(smtp.esmtp_features.get("size"), str(MAX_MESSAGE),
                    "the limit is told")
            smtp.mail(alice)
            smtp.rcpt(alice)
            code, text = smtp.data(message)
            tap.like("%d %s" % (code, text.decode()), "552 5.3.4",
                     "also of a client that tells no size")

    def test_imap(self):
        with self.imap(self.alice.addr) as imap:
            words = imap.capability()[1][0].decode().split()
            for word in "XDELTAPUSH", "XCHATMAIL", "METADATA", "IDLE":
                tap.ok(word in words, "IMAP has " + word)
            tap.ok("COMPRESS=DEFLATE" not in words, "IMAP has no COMPRESS")
            for entry, want in [
                    ("/shared/admin", "mailto:" + PRIVACY),
                    ("/shared/comment", None),
                    ("/shared/vendor/deltachat/maxsmtprecipients", "1000"),
                    ("/shared/vendor/deltachat/irohrelay", None),
                    ("/shared/vendor/deltachat/nonsense", None)]:
                tap.is_(self.metadata(imap, "", entry), want,
                        "METADATA " + entry)

    def tokens(self, addr):
        try:
            with open(self.mailbox(addr, "metadata.json")) as f:
                return sorted(json.load(f)["devicetoken"])
        except (OSError, ValueError, KeyError):
            return []

    def test_push(self):
        # the rpc server has no call for it: as core's imap.rs does it
        bob = self.bob.addr
        with self.imap(bob) as imap:
            for token in TOKEN, GONE:
                answer = imap.xatom("SETMETADATA", "INBOX",
                                    '(/private/devicetoken "%s")' % token)
                tap.is_(answer[0], "OK", "an app leaves its push token")
            tap.is_(self.metadata(imap, "INBOX", "/private/devicetoken"),
                    TOKEN + " " + GONE, "which can be read")
        tap.is_(self.tokens(bob), sorted([TOKEN, GONE]),
                "and is kept in metadata.json")
        self.alice.send(self.alice.chat_with(bob), "wake up")
        self.check_message(self.bob, "wake up", "a message comes")
        want = {("/notify", TOKEN), ("/notify", GONE)}
        until(lambda: want <= set(Notifier.got))
        tap.is_(set(Notifier.got), want, "each token is notified of it")
        until(lambda: self.tokens(bob) == [TOKEN])
        tap.is_(self.tokens(bob), [TOKEN],
                "a token that the notifiers call gone is removed")

    def test_log(self):
        log = self.relay.log()
        for account in self.alice, self.bob, self.carol:
            tap.like(log, "Created address: " + account.addr,
                     "the log tells of the new address")
        secrets = [TOKEN, GONE, *self.passwords.values()]
        tap.is_([s for s in secrets if s in log], [],
                "no password and no token is in the log")
        # the last is of a long message that filtermail did not finish
        provoked = ("SASL PLAIN authentication failed|size limit exceeded|"
                    "mail_stream_cleanup: close error")
        tap.is_([line for line in log.splitlines()
                 if re.search(r"\b(panic|fatal|error|warning):", line, re.I)
                 and not re.search(provoked, line)], [],
                "nor a complaint of Postfix or Dovecot")

    def run(self):
        self.test_ports()
        self.test_accounts()
        self.test_refused_logins()
        self.test_chat()
        self.test_attachment()
        self.test_group()
        self.test_cleartext()
        self.test_forged()
        self.test_stored()
        self.test_large()
        self.test_imap()
        self.test_push()
        self.test_log()


reason = sandbox.skip_reason()
if reason:
    tap.skip_all(reason)
try:
    program = deltachat.find_program()
except deltachat.Missing as e:
    tap.skip_all(e)
for number in signal.SIGALRM, signal.SIGTERM:
    signal.signal(number, give_up)
signal.alarm(240)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Notifier)
threading.Thread(target=server.serve_forever, daemon=True).start()
relay = sandbox.Sandbox(settings={
    "notification_url": "http://127.0.0.1:%d/notify" % server.server_port,
    "max_message_size": MAX_MESSAGE,
    "max_user_send_burst_size": 100,
    "privacy_mail": PRIVACY,
})
core_dir = tempfile.mkdtemp(prefix="chatmail-core-")
try:
    relay.start()
    with deltachat.Core(program, core_dir) as core:
        Tests(relay, core, core_dir).run()
    tap.is_(relay.stop(), 0, "the relay stops")
except Exception as e:
    tap.ok(False, "%s: %s" % (type(e).__name__, str(e).split("\n")[0]))
    tap.diag(e)
    if os.path.exists(relay.path("output")):
        tap.diag(relay.tail())
finally:
    relay.stop()
    relay.remove()
    server.shutdown()
    shutil.rmtree(core_dir, ignore_errors=True)
tap.done()
