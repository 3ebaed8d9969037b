#!/usr/bin/env python3
"""Mailboxes on a real relay: one that fills up is emptied by itself; expiry
while mail comes and users are at it loses nothing and keeps the quota right."""
import glob
import imaplib
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import deltachat
import sandbox
import smtptest
import tap

MB = 1024 * 1024
DAY = 86400
LIMIT = 10 * MB             # of a mailbox
OTHER = "friend@[192.0.2.1]"      # an address, which needs no DKIM key
AGES = [1, 3, 8, 19, 21, 40]        # days; mail is kept for 20


def until(condition, timeout=20):
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.05)


def size_of(path):
    """What Dovecot counts of a message, by its name."""
    return int(re.search(r",S=(\d+)", path)[1])


class Tests:
    def __init__(self, relay):
        self.relay = relay
        self.users = {}         # address: password
        self.stop = threading.Event()
        self.number = itertools.count(1000)
        self.sent = {}          # X-Number: address
        self.errors = []

    def user(self):
        addr, password = self.relay.new_user()
        self.users[addr] = password
        self.imap(addr).logout()
        return addr

    def imap(self, addr):
        c = self.relay.imap(addr, self.users[addr])
        c.select("INBOX")
        return c

    def box(self, addr):
        return os.path.join(self.relay.info["mailboxes_dir"], addr)

    def messages(self, addr):
        """Its files, folders' too."""
        box = glob.escape(self.box(addr))
        return [p for sub in ("cur", "new") for top in ("", "/.*")
                for p in glob.glob(f"{box}{top}/{sub}/*")]

    def stored(self, addr):
        return sum(map(size_of, self.messages(addr)))

    def quota(self, addr):
        """Bytes and messages as Dovecot has them; it knows only KB."""
        out = subprocess.run(
            ["doveadm", "-c", self.relay.path("dovecot", "dovecot.conf"),
             "-f", "tab", "quota", "get", "-u", addr], check=True, timeout=30,
            stdout=subprocess.PIPE, text=True).stdout
        rows = [line.split("\t") for line in out.splitlines()[1:]]
        values = {row[1]: int(row[2]) for row in rows}
        return values["STORAGE"], values["MESSAGE"]

    def is_right(self, addr):
        """Dovecot's figures are those of the files."""
        kb, count = self.quota(addr)
        files = self.messages(addr)
        want = sum(map(size_of, files))
        good = kb in (want // 1024, -(-want // 1024)) and count == len(files)
        if not good:
            tap.diag(f"{addr}: {kb} KB, {count} messages; files: "
                     f"{want / 1024:.1f} KB, {len(files)}")
        return good

    def append(self, imap, size, folder="INBOX"):
        body = "\r\n".join(["x" * 70] * (size // 72))
        imap.append(folder, "(\\Seen)", imaplib.Time2Internaldate(time.time()),
                    f"Subject: x\r\n\r\n{body}\r\n".encode())

    def make_older(self, path, days):
        """A message as if it had come that long ago; its new path."""
        directory, name = os.path.split(path)
        secs = int(name.split(".")[0]) - int(days * DAY)
        older = f"{directory}/{secs}.{name.split('.', 1)[1]}"
        os.rename(path, older)
        os.utime(older, (secs, secs))
        return older

    def send(self, addr, number, size=1000):
        with self.relay.smtp_incoming() as smtp:
            smtp.sendmail(OTHER, [addr], smtptest.encrypted(
                OTHER, addr, size, extra=f"X-Number: {number}\r\n"))

    def numbers(self, addr):
        """The X-Number fields of what is in the mailbox."""
        imap = self.imap(addr)
        answer = imap.uid("FETCH", "1:*", "(BODY.PEEK[HEADER.FIELDS (X-Number)])")[1]
        imap.logout()
        text = b"".join(a[1] for a in answer if isinstance(a, tuple))
        return [int(n) for n in re.findall(rb"X-Number: (\d+)", text)]

    # a mailbox that fills up

    def test_shrinks(self):
        addr = self.user()
        imap = self.imap(addr)
        for _ in range(6):
            self.append(imap, int(1.2 * MB))
        imap.logout()
        files = sorted(self.messages(addr))
        for i, path in enumerate(files):
            files[i] = self.make_older(path, 9 - i)
        before = self.stored(addr)
        tap.between(before, 0.70 * LIMIT, 0.75 * LIMIT, "a mailbox below 75 %")
        self.send(addr, 1, int(0.4 * MB))
        line = self.relay.wait_log("quota-expire: removed")
        tap.like(line, f"quota-expire: removed 1 message(s) from {addr}",
                 "the mail that passes 75 % makes Dovecot call quota-expire")
        tap.ok(until(lambda: self.numbers(addr) == [1]), "the mail is there")
        tap.is_([os.path.exists(p) for p in files], [False] + [True] * 5,
                "the oldest has made room for it")
        tap.between(self.stored(addr), 0.6 * LIMIT, 0.7 * LIMIT, "70 % or less")
        tap.ok(self.is_right(addr), "and Dovecot knows")
        return addr

    def test_goes_on(self, addr):
        """Fill it again and again: nothing bounces."""
        for number in range(2, 12):
            for path in self.messages(addr):
                if int(os.path.basename(path).split(".")[0]) > \
                        time.time() - DAY:
                    self.make_older(path, 2 + (12 - number) / 10)
            self.send(addr, number, int(0.9 * MB))
            until(lambda: number in self.numbers(addr))
        got = sorted(self.numbers(addr))
        tap.ok(got and got == list(range(got[0], 12)),
               "what came last is there after ten more: %s" % got)
        tap.between(self.stored(addr), 0, LIMIT, "in a mailbox never full")
        tap.ok(self.is_right(addr), "and Dovecot's quota is right")
        tap.ok("Quota exceeded" not in self.relay.log(), "nothing was refused")

    def test_young_mail(self):
        """A burst of today fills the mailbox; what is there is not lost."""
        addr = self.user()
        imap = self.imap(addr)
        refused = 0
        for _ in range(9):
            try:
                self.append(imap, int(1.2 * MB))
            except imaplib.IMAP4.error:
                refused += 1
        for _ in range(2):
            code, text = imap.append("INBOX", None, None, b"x" * 2 * MB)
            refused += code == "NO" and b"OVERQUOTA" in text[0]
        imap.logout()
        tap.is_(len(self.messages(addr)), 8, "mail of today stays")
        tap.ok(refused >= 1, "and more is refused as over quota")

    def test_app(self):
        """An app on a mailbox that fills up goes on as if nothing was."""
        try:
            program = deltachat.find_program()
        except deltachat.Missing as e:
            tap.skip("an app on a mailbox that fills up", e)
            return
        directory = tempfile.mkdtemp(prefix="quota-core-")
        with deltachat.Core(program, directory) as core:
            alice, bob = self.app(core), self.app(core)
            chat = bob.join(alice.invite())
            bob.send(chat, "before")
            chat = alice.wait_message("before")["chatId"]
            # the core deletes what it has fetched, so it looks away meanwhile
            bob.call("stop_io")
            self.fill(bob.addr)
            self.send(bob.addr, 1, int(0.4 * MB))
            line = self.relay.wait_log(f"message(s) from {bob.addr}")
            tap.ok(line, "an app's mailbox that passes 75 % is emptied")
            alice.send(chat, "meanwhile")
            bob.call("start_io")
            message = bob.wait_message("meanwhile")
            tap.ok(message, "the app gets its mail as before")
            bob.send(message["chatId"], "after")
            tap.ok(alice.wait_message("after"), "and sends")
            tap.between(self.stored(bob.addr), 0, int(0.76 * LIMIT),
                        "in a mailbox with room")
        shutil.rmtree(directory, ignore_errors=True)

    def app(self, core):
        addr, password = self.relay.new_user()
        self.users[addr] = password
        return core.account().login(deltachat.dclogin(
            addr, password, self.relay.ports["imaps"],
            self.relay.ports["smtps"]))

    def fill(self, addr):
        """With old mail, up to 72 % of the limit."""
        imap = self.imap(addr)
        for _ in range(6):
            self.append(imap, int(1.2 * MB))
        imap.logout()
        for i, path in enumerate(sorted(self.messages(addr))):
            if size_of(path) > MB:
                self.make_older(path, 9 - i / 10)

    # expiry beside everything else

    def deliver(self):
        while not self.stop.is_set():
            addr = random.choice(self.busy)
            number = next(self.number)
            try:
                self.send(addr, number)
                self.sent[number] = addr
            except Exception as e:
                self.errors.append(f"delivery: {e}")

    def use(self):
        """Log in, read, flag, move, delete, as clients do."""
        while not self.stop.is_set():
            addr = random.choice(self.busy)
            try:
                imap = self.imap(addr)
                imap.fetch("1:*", "(UID FLAGS RFC822.SIZE)")
                imap.store("1:*", "+FLAGS", random.choice(
                    ["\\Seen", "\\Answered", "\\Flagged"]))
                self.append(imap, 3000, random.choice(["INBOX", "Sent"]))
                imap.getquotaroot("INBOX")
                imap.logout()
            except Exception as e:
                self.errors.append(f"client: {type(e).__name__} {e}")

    def prepare(self):
        """Mailboxes with mail of all ages; which files have to go."""
        self.busy = [self.user() for _ in range(5)]
        gone, kept = [], []
        for addr in self.busy:
            imap = self.imap(addr)
            imap.create("Sent")
            for i in range(18):
                self.append(imap, random.randint(1000, 200000),
                            "Sent" if i % 3 == 0 else "INBOX")
            imap.logout()
            for i, path in enumerate(sorted(self.messages(addr))):
                days = AGES[i % len(AGES)]
                path = self.make_older(path, days)
                (gone if days > 20 else kept).append(path)
        return gone, kept

    def make_old_now(self, path):
        """Wherever it is now that clients have flagged it."""
        top = os.path.dirname(os.path.dirname(path))
        name = os.path.basename(self.base(path))
        old = time.time() - 30 * DAY
        for now in glob.glob(f"{glob.escape(top)}/*/{glob.escape(name)}*"):
            try:
                os.utime(now, (old, old))
                return True
            except FileNotFoundError:
                pass
        return False

    def expire(self, *args):
        st = os.stat(self.relay.info["mailboxes_dir"])
        return subprocess.run(
            [sandbox.CHATMAIL, "expire", self.relay.path("chatmail.ini"),
             *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=60, user=st.st_uid, group=st.st_gid,
            extra_groups=[])

    @staticmethod
    def base(path):
        """What stays of a message's path when Dovecot flags it."""
        return re.sub(r"/(cur|new)/([^:]*).*", r"/\2", path)

    def expire_once_more(self, gone):
        """A run that changes every mailbox while nobody is at it. When mail
        comes between the removal of maildirsize and its new count, Dovecot
        may count a message twice, whoever has removed it: to be right after
        each run would need locks that it does not have."""
        for addr in self.busy:
            imap = self.imap(addr)
            self.append(imap, 20000)
            imap.logout()
            newest = max(self.messages(addr), key=os.path.getmtime)
            gone.append(self.make_older(newest, 21))
        return self.expire("--remove")

    def test_beside_others(self):
        gone, kept = self.prepare()
        threads = [threading.Thread(target=t) for t in
                   (self.deliver, self.deliver, self.use, self.use)]
        for t in threads:
            t.start()
        until(lambda: len(self.sent) > 20)
        runs, later = [], kept[::2]
        end = time.monotonic() + 60
        while time.monotonic() < end and (len(self.sent) < 150 or
                                          len(runs) < 5):
            for path in later[-6:] if len(runs) > 1 else []:
                if self.make_old_now(path):
                    later.remove(path)
                    kept.remove(path)
                    gone.append(path)
            runs.append(self.expire("--remove"))
            time.sleep(0.2)
        self.stop.set()
        for t in threads:
            t.join()
        self.check_sent()           # until Postfix has delivered all
        runs.append(self.expire_once_more(gone))
        quotas = [self.is_right(a) for a in self.busy]
        tap.is_({r.returncode for r in runs}, {0}, "%d runs of expire" %
                len(runs))
        tap.is_([r.stdout for r in runs if r.stdout.count("\n") > 1], [],
                "with nothing to complain of")
        tap.is_(self.errors, [], "clients and senders noticed nothing")
        tap.is_(quotas, [True] * 5, "right afterwards Dovecot's quota is right")
        now = {self.base(p) for a in self.busy for p in self.messages(a)}
        tap.is_([p for p in gone if self.base(p) in now], [],
                "what was too old is gone")
        tap.is_([p for p in kept if self.base(p) not in now], [],
                "what was not is there")

    def check_sent(self):
        """Everything that was accepted is in its mailbox, once."""
        def lost():
            got = {a: self.numbers(a) for a in self.busy}
            return [n for n, a in self.sent.items() if got[a].count(n) != 1]
        until(lambda: not lost())
        tap.is_(lost(), [], "all %d messages that came meanwhile are there" %
                len(self.sent))

    def test_unused(self):
        """An account that goes, and comes back as a new one."""
        addr = self.user()
        self.send(addr, 7)
        until(lambda: self.numbers(addr) == [7])
        old = time.time() - 91 * DAY

        def expired():
            # again when lastlogin notes the last login only now
            os.utime(self.box(addr) + "/password", (old, old))
            return "Removed 1 out of" in self.expire("--remove").stdout

        tap.ok(until(expired), "an unused account")
        tap.ok(not os.path.exists(self.box(addr)), "goes with its mail")
        self.users[addr] = "another-password"
        tap.is_(self.numbers(addr), [], "and may be taken anew")

    def run(self):
        self.test_goes_on(self.test_shrinks())
        self.test_young_mail()
        self.test_app()
        self.test_beside_others()
        self.test_unused()


def allow_sanitizer(relay):
    """AddressSanitizer wants more address space than Dovecot gives to
    quota-expire."""
    with open(sandbox.CHATMAIL, "rb") as f:
        if b"__asan_init" not in f.read():
            return
    conf = relay.path("dovecot", "dovecot.conf")
    with open(conf, "a") as f:
        f.write("service quota-warning {\n  vsz_limit = 0\n}\n")
    subprocess.run(["doveadm", "-c", conf, "reload"], check=True, timeout=30)
    relay.wait_log("SIGHUP received")
    time.sleep(1)


def give_up(number, frame):
    raise RuntimeError(signal.strsignal(number))


reason = sandbox.skip_reason()
if reason:
    tap.skip_all(reason)
for number in signal.SIGALRM, signal.SIGTERM:
    signal.signal(number, give_up)
signal.alarm(240)
relay = sandbox.Sandbox(settings={"max_mailbox_size": "10M"})
# where vmail, as whom Dovecot runs quota-expire, can get at it
sandbox.CHATMAIL = shutil.copy(sandbox.CHATMAIL, relay.path("chatmail"))
tests = Tests(relay)
try:
    relay.start()
    allow_sanitizer(relay)
    tests.run()
    tap.is_(relay.stop(), 0, "the relay stops")
except Exception as e:
    tap.ok(False, "%s: %s" % (type(e).__name__, str(e).split("\n")[0]))
    tap.diag(e)
    if os.path.exists(relay.path("output")):
        tap.diag(relay.tail())
finally:
    tests.stop.set()
    relay.stop()
    relay.remove()
tap.done()
