#!/usr/bin/env python3
"""doveauth over the dict protocol: what Dovecot is told, who comes into being,
and what concurrency, kills, full disks and bad peers leave behind."""
import ctypes
import fcntl
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "lib"))
import tap
from dictclient import BINARY, DictClient, Role, escape, wait_for

DOMAIN = "chat.example"
HASH = re.compile(r"\{SHA512-CRYPT\}\$6\$[./0-9A-Za-z]{16}\$[./0-9A-Za-z]{86}")
PASSWORD = "zequ0Aimuchoodaechik"
HELLO = b"H3\t2\t0\t\tauth\n"

resource.setrlimit(resource.RLIMIT_NOFILE,
                   (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


class Box:
    """A directory with chatmail.ini, a socket path and mailboxes."""

    def __init__(self, domain=DOMAIN, mail=None, **settings):
        self.dir = tempfile.mkdtemp(prefix="doveauth-")
        self.domain = domain
        self.mail = mail or f"{self.dir}/mail"
        self.ini = f"{self.dir}/chatmail.ini"
        self.sock = f"{self.dir}/sock"
        self.nocreate = f"{self.dir}/nocreate"
        os.makedirs(self.mail, exist_ok=True)
        self.settings = {
            "mail_domain": domain.strip("[]"), "mailboxes_dir": self.mail,
            "nocreate_file": self.nocreate, "max_load_1m": "99999",
            "min_available_memory": "0", "min_free_disk_space": "0",
            "username_min_length": "3", "username_max_length": "20",
        }
        self.write_ini(**settings)

    def write_ini(self, **settings):
        lines = [f"{k} = {v}" for k, v in {**self.settings,
                                          **settings}.items()]
        with open(self.ini, "w") as f:
            f.write("[params]\n" + "\n".join(lines) + "\n")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        shutil.rmtree(self.dir, ignore_errors=True)

    def role(self, **kw):
        return Role(["doveauth", self.sock, self.ini], self.sock, **kw)

    def path(self, addr, name="password"):
        return f"{self.mail}/{addr}/{name}"

    def put(self, addr, text):
        os.makedirs(f"{self.mail}/{addr}")
        with open(self.path(addr), "w") as f:
            f.write(text)

    def hash_of(self, addr):
        try:
            with open(self.path(addr)) as f:
                return f.read()
        except FileNotFoundError:
            return None


def quoted(text):
    """As Dovecot's %E."""
    return re.sub(r"([\"'\\])", r"\\\1", text)


def passkey(addr, password=PASSWORD):
    return f'shared/passdb/{quoted(password)}"{quoted(addr)}'


def passline(addr, password=PASSWORD):
    return f"L{escape(passkey(addr, password))}\t{addr}\n"


def login(c, addr, password=PASSWORD):
    return c.lookup(passkey(addr, password), addr)


def hash_in(reply):
    return json.loads(reply[1])["password"] if reply and reply[0] == "O" \
        else reply


_crypt = ctypes.CDLL("libcrypt.so.1").crypt
_crypt.restype = ctypes.c_char_p


def fits(stored, password):
    """Is the stored hash one of that password, as libcrypt sees it?"""
    if not isinstance(stored, str) or not HASH.fullmatch(stored):
        return False
    setting = stored[len("{SHA512-CRYPT}"):].encode()
    if isinstance(password, str):
        password = password.encode()
    return _crypt(password, setting) == setting


def connect(sock):
    """As Dovecot: again while the backlog is full."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return DictClient(sock)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def memory_kb(pid, key="VmRSS"):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(rf"{key}:\s+(\d+)", f.read())[1])


def bounded(kb, limit, name):
    if "/san-" in BINARY:
        tap.skip(name, "the address sanitizer keeps freed memory")
    else:
        tap.between(kb, 0, limit, name)


# ---- what is answered --------------------------------------------------------

def test_answers():
    with Box() as box, box.role() as role:
        addr = f"some42123@{DOMAIN}"
        odd = "a/b\"c'd\\e fé"
        with DictClient(box.sock, "H3\t2\t0\t\tauth") as c:
            tap.is_(c.lookup(f"shared/userdb/{addr}", addr), ("N", ""),
                    "userdb: unknown user")
            c.send(b'Lshared/passdb/a/b\\"c\\\'d\\\\e f\xc3\xa9"'
                   + addr.encode() + b"\t" + addr.encode() + b"\n")
            line = c.recv_line()
            stored = box.hash_of(addr)
            tap.is_(line, f'O{{"addr": "{addr}", "home": "{box.mail}/{addr}",'
                    ' "uid": "vmail", "gid": "vmail", "password": '
                    f'"{stored}"}}', "passdb: the answer, byte for byte")
            tap.ok(fits(stored, odd), "the hash is of the unescaped password")
            tap.ok(os.path.exists(box.path(addr, "enforceE2EEincoming")),
                   "enforceE2EEincoming is there")
            tap.is_(sorted(os.listdir(f"{box.mail}/{addr}")),
                    ["enforceE2EEincoming", "password", "password.lock"],
                    "and nothing else is left")
            c.send(f"Lshared/userdb/{addr}\t{addr}\n")
            tap.is_(c.recv_line(), line, "userdb answers the same")
            tap.is_(hash_in(login(c, addr, "another-password")), stored,
                    "a wrong password changes nothing: Dovecot compares")
            tap.is_(hash_in(login(c, addr, "")), stored,
                    "an empty password of an existing user is a lookup")
            for want in ("*", "s*", addr):
                c.send(f"I0\t0\tshared/userdb/\t{want}\n")
                tap.is_([c.recv_line(), c.recv_line()],
                        [f"Oshared/userdb/{addr}\t", ""],
                        f"iterate {want}")
            tap.is_(c.iterate("shared/other/"), [], "iterate another path")
        tap.is_(role.log().count("Created address: "), 1, "created once")
        tap.like(role.log(), f"Created address: {addr}\n", "and logged")
        tap.ok(odd not in role.log() and "fé" not in role.log(),
               "no password in the log")


HELLOS = [
    ("H2 of Dovecot 2.2", "H2\t2\t0\tuser\tauth", "Lshared/userdb/{}\n"),
    ("H3 of Dovecot 2.3", "H3\t2\t0\t\tauth", "Lshared/userdb/{0}\t{0}\n"),
    ("H4 of Dovecot 2.4", "H4\t0\t0\t\tauth", "Lshared/userdb/{0}\t{0}\n"),
    ("no hello", None, "Lshared/userdb/{0}\t{0}\n"),
    ("CRLF", "H3\t2\t0\t\tauth\r", "Lshared/userdb/{0}\t{0}\r\n"),
    ("no user", "H3\t2\t0\t\tauth", "Lshared/userdb/{0}\t\n"),
]


def test_hellos():
    with Box() as box, box.role():
        addr = f"old@{DOMAIN}"
        box.put(addr, "{SHA512-CRYPT}$6$x$y")
        for name, hello, line in HELLOS:
            with DictClient(box.sock, hello) as c:
                c.send(line.format(addr))
                tap.is_(hash_in(c.reply()), "{SHA512-CRYPT}$6$x$y", name)
            with DictClient(box.sock, None) as c:
                for byte in ((hello or "") + "\n" * bool(hello) +
                             line.format(addr)):
                    c.send(byte)
                tap.is_(c.reply()[0], "O", f"{name}, byte by byte")
        with DictClient(box.sock, None) as c:
            c.send(HELLO + f"Lshared/userdb/{addr}\t\n".encode() * 50)
            tap.is_([c.reply()[0] for _ in range(50)], ["O"] * 50,
                    "50 lookups in one write")
            c.send(f"Lshared/userdb/{addr}\t\nLshared/userdb/no@{DOMAIN}\t\n")
            c.sock.shutdown(socket.SHUT_WR)
            tap.is_([c.reply()[0], c.reply()[0], c.recv_line()],
                    ["O", "N", None], "answers after a half-close")


# name, address, password, log text
REFUSED = [
    ("empty password", f"abc@{DOMAIN}", "", "at least 9 characters"),
    ("short password", f"abc@{DOMAIN}", "12345678", "at least 9 characters"),
    ("short in characters, long in bytes", f"abc@{DOMAIN}", "é" * 8,
     "at least 9 characters"),
    ("long password", f"abc@{DOMAIN}", "x" * 512, "at most 511 bytes"),
    ("short localpart", f"ab@{DOMAIN}", PASSWORD,
     "localpart ab has to be between 3 and 20"),
    ("long localpart", f"{'a' * 21}@{DOMAIN}", PASSWORD, "between 3 and 20"),
    ("no localpart", f"@{DOMAIN}", PASSWORD, None),
    ("upper case", f"Abc@{DOMAIN}", PASSWORD, "contains invalid characters"),
    ("plus", f"ab+c@{DOMAIN}", PASSWORD, "contains invalid characters"),
    ("space", f"ab c@{DOMAIN}", PASSWORD, "contains invalid characters"),
    ("umlaut", f"äbc@{DOMAIN}", PASSWORD, "contains invalid characters"),
    ("invalid UTF-8", f"ab\udcffc@{DOMAIN}", PASSWORD,
     "localpart ab\\xffc contains invalid characters"),
    ("backslash", f"ab\\c@{DOMAIN}", PASSWORD, "contains invalid characters"),
    ("quote", f"ab\"c@{DOMAIN}", PASSWORD, "contains invalid characters"),
    ("LF", f"ab\nc@{DOMAIN}", PASSWORD, None),
    ("TAB", f"ab\tc@{DOMAIN}", PASSWORD, None),
    ("control byte", f"ab\x01c@{DOMAIN}", PASSWORD, None),
    ("two @", f"ab@c@{DOMAIN}", PASSWORD, None),
    ("slash", f"ab/c@{DOMAIN}", PASSWORD, None),
    ("up", f"../abc@{DOMAIN}", PASSWORD, None),
    ("foreign domain", "abc@other.example", PASSWORD, None),
    ("our domain as a suffix", f"abc@x{DOMAIN}", PASSWORD, None),
    ("subdomain", f"abc@x.{DOMAIN}", PASSWORD, None),
    ("our domain in upper case", f"abc@{DOMAIN.upper()}", PASSWORD, None),
    ("no @", "abc", PASSWORD, None),
    ("empty address", "", PASSWORD, None),
    ("300 characters", f"{'a' * 300}@{DOMAIN}", PASSWORD, None),
]


def test_refused():
    with Box() as box, box.role() as role:
        with DictClient(box.sock) as c:
            for name, addr, password, why in REFUSED:
                before = len(role.log())
                tap.is_(login(c, addr, password), ("N", ""), name)
                if why:
                    tap.like(role.log()[before:], why, f"{name}: logged")
            tap.is_(os.listdir(box.mail), [], "nothing came into being")
            tap.is_(os.listdir(os.path.dirname(box.mail)).count("abc@" +
                                                                DOMAIN), 0,
                    "nor beside it")
            open(box.nocreate, "w").close()
            tap.is_(login(c, f"abc@{DOMAIN}"), ("N", ""), "nocreate")
            tap.like(role.log(), f"blocked account creation because "
                     f"{box.nocreate} exists", "nocreate: logged")
            os.unlink(box.nocreate)
            for addr, password in ((f"abc@{DOMAIN}", "123456789"),
                                   (f"a.b-c_d@{DOMAIN}", "é" * 9),
                                   (f"{'9' * 20}@{DOMAIN}", "x" * 511)):
                got = hash_in(login(c, addr, password))
                tap.ok(fits(got, password), f"{addr}: just within the rules")
            binary = b"\xff\xfe\x80 not utf-8"
            c.send(b'Lshared/passdb/' + binary + f'"bin@{DOMAIN}\t\n'.encode())
            tap.ok(fits(hash_in(c.reply()), binary),
                   "a password need not be UTF-8")
        tap.ok(PASSWORD not in role.log(), "no password in the log")
    with Box("[192.0.2.7]") as box, box.role():
        with DictClient(box.sock) as c:
            tap.is_(login(c, "abc@192.0.2.7"), ("N", ""), "IPv4, no brackets")
            tap.ok(fits(hash_in(login(c, "abc@[192.0.2.7]")), PASSWORD),
                   "IPv4 in brackets")


LIMITS = [
    ("load", {"max_load_1m": "-1"}, r"load avg [0-9.]+ > -1\.00"),
    ("memory", {"min_available_memory": "99999999G"},
     r"available memory \d+MB < 102399998976MB"),
    ("disk", {"min_free_disk_space": "99999999G"},
     r"free disk \d+MB < 102399998976MB"),
]


def test_limits():
    with Box() as box, box.role() as role, DictClient(box.sock) as c:
        old = f"old@{DOMAIN}"
        stored = hash_in(login(c, old))
        for name, settings, why in LIMITS:
            box.write_ini(**settings)
            before = len(role.log())
            role.hup()
            wait_for(lambda: "read again" in role.log()[before:])
            tap.is_(login(c, f"{name}@{DOMAIN}"), ("N", ""), f"{name} limit")
            tap.ok(re.search(f"registration rejected: {why}\n",
                             role.log()[before:]), f"{name} limit: logged")
            tap.is_(hash_in(login(c, old)), stored,
                    f"{name} limit: existing users log in")
        shutil.rmtree(box.mail)
        box.write_ini(min_free_disk_space="99999999G")
        before = len(role.log())
        role.hup()
        wait_for(lambda: "read again" in role.log()[before:])
        tap.ok(fits(hash_in(login(c, f"new@{DOMAIN}")), PASSWORD),
               "an unreadable limit does not count")
        tap.like(role.log(), "ignoring unreadable free disk space",
                 "and is logged")


def test_existing():
    """Mailboxes as upstream leaves them, and broken ones."""
    stored = "{SHA512-CRYPT}$6$abcdefghijklmnop$" + "x" * 86
    with Box() as box, box.role() as role, DictClient(box.sock) as c:
        for name, text, want in (
                ("without newline", stored, stored),
                ("with newline", stored + "\n", stored),
                ("with CRLF", stored + "\r\n", stored),
                ("of another scheme", "{PLAIN}a\"b", "{PLAIN}a\"b")):
            addr = f"u{len(text)}@{DOMAIN}"
            box.put(addr, text)
            tap.is_(hash_in(login(c, addr, "x")), want, f"password {name}")
        for name, text in (("empty", ""), ("only a newline", "\n")):
            addr = f"e{len(text)}e@{DOMAIN}"
            box.put(addr, text)
            tap.is_(c.lookup(f"shared/userdb/{addr}", addr), ("N", ""),
                    f"{name} password file: no user")
            tap.is_(login(c, addr, "short"), ("N", ""),
                    f"{name} password file: the rules hold")
            tap.ok(fits(hash_in(login(c, addr)), PASSWORD),
                   f"{name} password file: created anew")
        for name, make in (
                ("a directory", os.mkdir),
                ("a fifo", os.mkfifo),
                ("a link to itself", lambda p: os.symlink(p, p)),
                ("5 KB", lambda p: open(p, "w").write("x" * 5000))):
            addr = f"bad{name[2]}@{DOMAIN}"
            os.mkdir(f"{box.mail}/{addr}")
            make(box.path(addr))
            tap.is_(login(c, addr), ("F", "temporary failure"),
                    f"password is {name}: temporary failure")
            tap.is_(c.lookup(f"shared/userdb/{addr}", addr),
                    ("F", "temporary failure"), f"password is {name}: userdb")
            tap.like(role.log(), f"reading the password of {addr}: ",
                     f"password is {name}: logged")
        with open(f"{box.mail}/file@{DOMAIN}", "w"):
            pass
        tap.is_(login(c, f"file@{DOMAIN}")[0], "F",
                "a file in the mailbox's place: temporary failure")
        half = f"half@{DOMAIN}"
        os.mkdir(f"{box.mail}/{half}")
        for name in ("password.tmp-1-0", "password.lock"):
            open(box.path(half, name), "w").close()
        tap.is_(c.lookup(f"shared/userdb/{half}", half), ("N", ""),
                "leftovers of a killed process are no user")
        tap.ok(fits(hash_in(login(c, half)), PASSWORD), "and are taken over")
        tap.is_(sorted(os.listdir(f"{box.mail}/{half}")),
                ["enforceE2EEincoming", "password", "password.lock"],
                "and cleaned up")
        os.mkdir(f"{box.mail}/nopass@{DOMAIN}")
        rows = [k for k, _ in c.iterate("shared/userdb/")]
        tap.ok(f"shared/userdb/{half}" in rows and
               f"shared/userdb/nopass@{DOMAIN}" not in rows,
               "iterate lists those who have a password")


# ---- concurrency -------------------------------------------------------------

def test_200_at_once():
    with Box() as box, box.role() as role:
        old = f"old@{DOMAIN}"
        box.put(old, "{SHA512-CRYPT}$6$x$y")
        addrs = [f"user{i:03}@{DOMAIN}" for i in range(200)]
        clients = [DictClient(box.sock) for _ in addrs]
        other = DictClient(box.sock)
        for c, addr in zip(clients, addrs):
            c.send(passline(addr, PASSWORD + addr))
        lookups, made = 0, 0
        while made < 200 and lookups < 100000:
            if other.lookup(f"shared/userdb/{old}", old)[0] != "O":
                break
            lookups += 1
            made = sum(os.path.exists(box.path(a)) for a in addrs)
            if lookups == 1:
                first = made
        replies = [c.reply() for c in clients]
        tap.ok(made == 200 and first < 200 and lookups > 1,
               "lookups are answered while 200 addresses are made")
        tap.is_([hash_in(r) for r in replies],
                [box.hash_of(a) for a in addrs], "200 answers are the files")
        tap.is_([a for a, r in zip(addrs[::20], replies[::20])
                 if not fits(hash_in(r), PASSWORD + a)], [],
                "each with its own password")
        log = role.log()
        tap.is_([a for a in addrs
                 if log.count(f"Created address: {a}\n") != 1], [],
                "each is logged once")
        salts = {hash_in(r)[:40] for r in replies}
        tap.is_(len(salts), 200, "200 different salts")

        same = f"race@{DOMAIN}"
        for i, c in enumerate(clients[:50]):
            c.send(passline(same, f"password-{i}"))
        hashes = {hash_in(c.reply()) for c in clients[:50]}
        tap.is_(hashes, {box.hash_of(same)},
                "50 logins of one new address: one hash for all")
        tap.is_(sum(fits(box.hash_of(same), f"password-{i}")
                    for i in range(50)), 1, "it is one of their passwords")
        tap.is_(role.log().count(f"Created address: {same}\n"), 1,
                "it is logged once")

        # the peer is gone before the answer
        addr = f"gone@{DOMAIN}"
        with DictClient(box.sock) as c:
            c.send(passline(addr) * 3)
            c.lookup(f"shared/userdb/{old}x", "")
        tap.ok(wait_for(lambda: box.hash_of(addr)),
               "an address is made though its client has gone")
        tap.is_(other.lookup(f"shared/userdb/{old}", old)[0], "O",
                "and the role lives")
        for c in clients + [other]:
            c.close()
        tap.is_(role.stop(), 0, "SIGTERM ends it")


def test_order():
    """Replies leave in the order of the requests on a connection."""
    with Box() as box, box.role(), DictClient(box.sock) as c:
        old = f"old@{DOMAIN}"
        box.put(old, "x")
        lines, want = "", []
        for i in range(30):
            lines += passline(f"new{i}@{DOMAIN}")
            lines += f"Lshared/userdb/{old}\t{old}\nLx/y/z\t\n"
            want += [f"new{i}@{DOMAIN}", old, "F"]
        c.send(lines)
        got = []
        for _ in want:
            kind, value = c.reply()
            got.append(json.loads(value)["addr"] if kind == "O" else kind)
        tap.is_(got, want, "creations and lookups in one write, in order")
        # more than a connection may have pending
        c.send(passline(f"many@{DOMAIN}") + "Lx/y/z\t\n" * 2500)
        got = [c.reply()[0] for _ in range(2501)]
        tap.is_(got, ["O"] + ["F"] * 2500, "2,500 requests behind a creation")


def test_two_processes():
    with Box() as a, Box(mail=a.mail) as b, a.role() as ra, b.role() as rb:
        addrs = [f"twin{i:03}@{DOMAIN}" for i in range(100)]
        clients = [[DictClient(box.sock) for _ in addrs] for box in (a, b)]
        for i, addr in enumerate(addrs):
            for side in (0, 1):
                clients[side][i].send(passline(addr, f"password{side}"))
        hashes = [[hash_in(c.reply()) for c in side] for side in clients]
        for c in sum(clients, []):
            c.close()
        stored = [a.hash_of(addr) for addr in addrs]
        tap.ok(hashes[0] == stored and hashes[1] == stored,
               "two processes: all hashes agree")
        log = ra.log() + rb.log()
        tap.is_([x for x in addrs
                 if log.count(f"Created address: {x}\n") != 1], [],
                "two processes: each address is made once")


def test_lock():
    with Box() as box, box.role() as role:
        addr = f"locked@{DOMAIN}"
        os.mkdir(f"{box.mail}/{addr}")
        # more than there are threads
        others, locks = [f"lock{i:02}@{DOMAIN}" for i in range(20)], []
        for name in others:
            os.mkdir(f"{box.mail}/{name}")
            locks.append(open(box.path(name, "password.lock"), "w"))
            fcntl.flock(locks[-1], fcntl.LOCK_EX)
        with open(box.path(addr, "password.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with DictClient(box.sock) as held, DictClient(box.sock) as c, \
                    DictClient(box.sock) as many:
                for name in others:
                    many.send(passline(name))
                began = time.monotonic()
                held.send(passline(addr))
                tap.ok(fits(hash_in(login(c, f"other@{DOMAIN}")), PASSWORD),
                       "other addresses are made while a lock is held")
                early = time.monotonic() - began
                tap.is_(held.reply(), ("F", "temporary failure"),
                        "a lock held for too long: temporary failure")
                late = time.monotonic() - began
                tap.ok(late >= 4.9, "after five seconds")
                tap.ok(early < 3, f"the others after {early:.2f} s")
                tap.like(role.log(), f"creating {addr}: {box.mail}/{addr}: "
                         "another process holds the lock", "and is logged")
            fcntl.flock(lock, fcntl.LOCK_UN)
        with DictClient(box.sock) as c:
            tap.ok(fits(hash_in(login(c, addr)), PASSWORD),
                   "the next login makes it")
        # somebody takes the mailbox away while we wait for its lock
        addr = f"taken@{DOMAIN}"
        os.mkdir(f"{box.mail}/{addr}")
        with open(box.path(addr, "password.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with DictClient(box.sock) as c:
                c.send(passline(addr))
                with DictClient(box.sock) as other:
                    login(other, f"sync1@{DOMAIN}")
                os.unlink(lock.name)
                with open(lock.name, "w") as fresh:
                    fcntl.flock(fresh, fcntl.LOCK_EX)
                    fcntl.flock(lock, fcntl.LOCK_UN)
                    time.sleep(0.3)
                    tap.is_(box.hash_of(addr), None,
                            "a lock on a file that was replaced is none")
                    fcntl.flock(fresh, fcntl.LOCK_UN)
                tap.ok(fits(hash_in(c.reply()), PASSWORD),
                       "the new one is waited for")


def test_kill():
    rng = random.Random(7)
    with Box() as box:
        tried, bad = [], []
        for turn in range(200):
            with box.role() as role:
                clients = []
                for i in range(6):
                    c = DictClient(box.sock)
                    addr = f"k{turn:03}{i}@{DOMAIN}"
                    tried.append(addr)
                    c.send(passline(addr, f"password of {addr}"))
                    clients.append(c)
                time.sleep(rng.random() * 0.03)
                role.kill()
                for c in clients:
                    c.close()
            for addr in tried[-6:]:
                stored = box.hash_of(addr)
                if stored is not None and not (
                        HASH.fullmatch(stored) and os.path.exists(
                            box.path(addr, "enforceE2EEincoming"))):
                    bad.append((addr, stored))
        tap.is_(bad, [], "200 kills: every password file is whole")
        made = {a: box.hash_of(a) for a in tried if box.hash_of(a)}
        tap.diag(f"{len(made)} of {len(tried)} were made before the kill")
        with box.role(), DictClient(box.sock) as c:
            c.send("".join(passline(a, f"password of {a}") for a in tried))
            hashes = {a: hash_in(c.reply()) for a in tried}
            tap.is_([a for a in tried if hashes[a] != box.hash_of(a) or
                     not HASH.fullmatch(hashes[a] or "")], [],
                    "after 200 kills each address logs in")
            tap.is_([a for a in made if hashes[a] != made[a]], [],
                    "and those who were there are as they were")
            tap.is_([a for a in tried[::100]
                     if not fits(hashes[a], f"password of {a}")], [],
                    "with their passwords")
            left = [n for a in tried for n in os.listdir(f"{box.mail}/{a}")
                    if n not in ("password", "password.lock",
                                 "enforceE2EEincoming")]
        tap.is_(left, [], "no temporary file is left in a mailbox")


def test_10000_connections():
    name = "10,000 open connections"
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 10200:
        tap.skip(name, "the hard limit of open files is lower")
        return
    with Box() as box, box.role() as role:
        old = f"old@{DOMAIN}"
        box.put(old, "x")
        clients = []
        for _ in range(10000):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            s.connect(box.sock)
            s.settimeout(20)
            clients.append(s)
        with connect(box.sock) as c:
            tap.is_(c.lookup(f"shared/userdb/{old}", old)[0], "O",
                    f"{name}: a lookup is answered")
        tap.diag(f"{memory_kb(role.pid)} KB with 10,000 connections")
        for s in clients[::500] + clients[-1:]:
            s.sendall(HELLO + f"Lshared/userdb/{old}\t\n".encode())
        tap.ok(all(s.recv(4096).startswith(b"O") for s in
                   clients[::500] + clients[-1:]), f"{name}: they are served")
        began = time.monotonic()
        tap.is_(role.stop(), 0, f"{name}: SIGTERM ends it")
        tap.ok(time.monotonic() - began < 5 + 1, f"{name}: in time")
        for s in clients:
            s.close()


# ---- bad peers ---------------------------------------------------------------

# name, what is sent after the hello, replies, closed by us, log
BAD = [
    ("a line of 64 KiB and one", b"L" + b"x" * 65536 + b"\n", [], True,
     "a line of more than 65536 bytes"),
    ("a line of 64 KiB", b"L" + b"x" * 65535 + b"\n",
     ["Fmalformed key"], False, "malformed key"),
    ("an endless line", b"L" + b"x" * 300000, [], True,
     "a line of more than 65536 bytes"),
    ("NUL bytes", b"Lshared/userdb/a\0b\t\n", [], True, "a NUL byte"),
    ("an escaped NUL", b"Lshared/userdb/a\x010b\t\n", [], True, "a NUL byte"),
    ("17 fields", b"L" + b"x\t" * 16 + b"\n", [], True, "too many fields"),
    ("invalid UTF-8", b"Lshared/userdb/\xff\xc0\x80@chat.example\t\n", ["N"],
     False, None),
    ("an unknown command", b"Xyz\nL\xff/y/z\t\n", ["Fmalformed key"], False,
     "unknown command X ignored"),
    ("a control byte as command", b"\x1b[2J\nLx/y/z\t\n", ["Fmalformed key"],
     False, "unknown command ? ignored"),
    ("an empty line", b"\n", [], True, None),
    ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", [], True,
     "unknown command G ignored"),
    ("an old version", b"H1\t0\t0\t\tx\n", [], True,
     "the client speaks version 1"),
    ("no version", b"Hx\n", [], True, "the client speaks version ?"),
    ("iterate without a path", b"I0\t0\n", [], True, "too few fields"),
    ("a password where a number should be",
     b"CLshared/passdb/secret\"a@chat.example\n",
     ["F" + 'Lshared/passdb/secret"a@chat.example' +
      "\tunknown transaction"], False, "commit of unknown transaction ?"),
    ("set without a key", b"B1\tu\nS1\n", [], True, "too few fields"),
    ("no key", b"L\n", ["Fmalformed key"], False, "malformed key"),
    ("one slash", b"Lshared/x\t\n", ["Fmalformed key"], False,
     "malformed key"),
    ("another namespace", b"Lpriv/userdb/a@chat.example\t\n",
     ["Fmalformed key"], False, "malformed key"),
    ("another type", b"Lshared/quota/a@chat.example\t\n",
     ["Fmalformed key"], False, "malformed key"),
    ("passdb without user", b"Lshared/passdb/secret\t\n",
     ["Fmalformed key"], False, "malformed key"),
    ("passdb with three parts", b"Lshared/passdb/a\"b\"c\t\n",
     ["Fmalformed key"], False, "malformed key"),
    ("a backslash at the end", b"Lshared/passdb/a\"b\\\t\n",
     ["Fmalformed key"], False, "malformed key"),
    ("commit without begin", b"C1\n", ["F1\tunknown transaction"], False,
     "commit of unknown transaction 1"),
    ("set without begin", b"S1\tk\tv\nC1\n", ["F1\tunknown transaction"],
     False, "a value for unknown transaction 1"),
    ("unset without begin", b"U1\tk\nR1\nLx/y/z\t\n", ["Fmalformed key"],
     False, "unset in unknown transaction 1"),
    ("a commit where there is none", b"B1\tu\nS1\tk\tv\nC1\n",
     ["F1\ttransaction refused"], False, "transaction 1 refused"),
    ("65 transactions", b"".join(b"B%d\tu\n" % i for i in range(65)), [],
     True, "more than 64 transactions"),
    ("half a line", b"Lshared/userdb/a@chat.exa", None, True,
     "closed in the middle of a line"),
]


def test_bad_input():
    with Box() as box, box.role() as role:
        box.put(f"old@{DOMAIN}", "x")
        for name, data, replies, closed, why in BAD:
            before = len(role.log())
            c = DictClient(box.sock)
            try:
                c.send(data)
                if replies is None:
                    c.sock.shutdown(socket.SHUT_WR)
            except ConnectionError:
                pass
            tap.is_([c.recv_line() for _ in replies or []], replies or [],
                    name)
            if closed:
                tap.ok(c.is_closed(), f"{name}: closed")
            else:
                tap.is_(c.lookup(f"shared/userdb/old@{DOMAIN}")[0], "O",
                        f"{name}: goes on")
            c.close()
            if why:
                tap.ok(wait_for(lambda: why in role.log()[before:], 3),
                       f"{name}: logged")
        tap.ok("\x1b" not in role.log() and "secret" not in role.log(),
               "neither control bytes nor passwords in the log")
        tap.is_(sorted(os.listdir(box.mail)), [f"old@{DOMAIN}"],
                "nothing came into being")
        tap.is_(role.stop(), 0, "the role lives and ends")


def test_reader_stops():
    with Box() as box, box.role() as role:
        old = f"old@{DOMAIN}"
        box.put(old, "x" * 100)
        before = memory_kb(role.pid)
        lines = HELLO + f"Lshared/userdb/{old}\t\n".encode() * 100000
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.connect(box.sock)
        sender = threading.Thread(target=s.sendall, args=(lines,))
        sender.start()
        sender.join(1)
        with DictClient(box.sock) as c:
            tap.is_(c.lookup(f"shared/userdb/{old}", old)[0], "O",
                    "a peer that does not read: others are answered")
        grown = memory_kb(role.pid) - before
        tap.diag(f"{grown} KB for a peer that does not read")
        tap.ok(sender.is_alive(), "a peer that does not read: nor do we")
        bounded(grown, 4 * 1024, "a peer that does not read: memory is "
                "bounded")
        s.settimeout(30)
        count, last = 0, b""
        while count < 100000:
            last = s.recv(1 << 20)
            if not last:
                break
            count += last.count(b"\n")
        sender.join(20)
        tap.is_(count, 100000, "a peer that reads at last gets all answers")
        s.close()

        # the same, but it goes away
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.connect(box.sock)
        s.settimeout(0.5)
        try:
            s.sendall(lines)
        except OSError:
            pass
        s.close()
        with DictClient(box.sock) as c:
            tap.is_(c.lookup(f"shared/userdb/{old}", old)[0], "O",
                    "a peer that never reads and goes")

        # one byte at a time, and an idle half line beside it
        with DictClient(box.sock) as slow, DictClient(box.sock) as c:
            slow.send(b"Lshared/userdb/")
            for byte in f"{old}\t\n":
                slow.send(byte)
                time.sleep(0.01)
                if c.lookup(f"shared/userdb/{old}", old)[0] != "O":
                    break
            tap.is_(slow.reply()[0], "O", "a slow peer is answered at last")


def test_no_descriptors():
    with Box() as box:
        old = f"old@{DOMAIN}"
        box.put(old, "x")
        args = ["-c", 'ulimit -n 20; exec "$@"', "sh", BINARY, "doveauth",
                box.sock, box.ini]
        with Role(args, box.sock, binary="/bin/sh") as role:
            clients = [DictClient(box.sock) for _ in range(30)]
            tap.ok(wait_for(lambda: role.log().count(
                "accept: Too many open files") > 2),
                "no more descriptors: logged")
            tap.is_(clients[0].lookup(f"shared/userdb/{old}"),
                    ("F", "temporary failure"),
                    "no more descriptors: temporary failure")
            tap.is_(login(clients[1], f"new@{DOMAIN}")[0], "F",
                    "no more descriptors: no half creation")
            tap.is_(box.hash_of(f"new@{DOMAIN}"), None, "nor a user")
            for c in clients[:20]:
                c.close()
            tap.ok(wait_for(lambda: clients[20].lookup(
                f"shared/userdb/{old}")[0] == "O"),
                "when others have gone, lookups work")
            # "F" once more as long as closed ones and new ones both count
            tap.ok(wait_for(lambda: all(
                c.lookup(f"shared/userdb/{old}")[0] == "O"
                for c in clients[20:])), "those who waited are served")
            tap.ok(fits(hash_in(login(clients[29], f"new@{DOMAIN}")),
                        PASSWORD), "and addresses are made")
            for c in clients:
                c.close()


def test_full_disk():
    """A file system without space, then one without inodes."""
    disk = tempfile.mkdtemp(prefix="doveauth-disk-")
    for name, options, fill in (
            ("no space", "size=64k", lambda p: fill_space(p)),
            ("no inodes", "size=1m,nr_inodes=12", lambda p: None)):
        if os.geteuid() != 0 or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "none", disk],
                stderr=subprocess.DEVNULL).returncode:
            tap.skip(f"full disk: {name}", "no tmpfs can be mounted")
            continue
        try:
            with Box(mail=disk) as box, box.role() as role, \
                    DictClient(box.sock) as c:
                fill(disk)
                addrs = [f"full{i}@{DOMAIN}" for i in range(12)]
                kinds = [login(c, a)[0] for a in addrs]
                tap.ok(kinds[-1] == "F" and set(kinds) <= {"O", "F"},
                       f"{name}: temporary failure")
                tap.is_([a for a, k in zip(addrs, kinds)
                         if os.path.exists(box.path(a)) != (k == "O")
                         or (k == "O" and not HASH.fullmatch(box.hash_of(a)))],
                        [], f"{name}: no half account")
                tap.ok(re.search(r"creating full\d*@chat.example: .*: "
                                 r"No space left on device", role.log()),
                       f"{name}: logged")
                tap.is_(len(c.iterate("shared/userdb/")), kinds.count("O"),
                        f"{name}: whole ones are listed")
                subprocess.run(["mount", "-o", "remount,size=1m,"
                                "nr_inodes=1000", disk], check=True)
                tap.ok(all(fits(hash_in(login(c, a)), PASSWORD)
                           for a in addrs), f"{name}: space again, all log in")
        finally:
            subprocess.run(["umount", disk], check=True)
    os.rmdir(disk)


def fill_space(path):
    with open(f"{path}/fill", "wb", buffering=0) as f:
        try:
            while True:
                f.write(b"x" * 4096)
        except OSError:
            pass


def test_many_lists():
    """Lists are long; a peer that asks for many and does not read them."""
    with Box() as box, box.role() as role:
        for i in range(200):
            box.put(f"user{i:03}@{DOMAIN}", "x")
        before = memory_kb(role.pid)
        with DictClient(box.sock) as c:
            c.send("I9\t0\tshared/userdb/\t*\n" * 500 +
                   f"Lshared/userdb/user000@{DOMAIN}\t\n")
            with DictClient(box.sock) as other:
                tap.is_(len(other.iterate("shared/userdb/")), 200,
                        "500 lists at once: others are answered")
                tap.ok(fits(hash_in(login(other, f"new@{DOMAIN}")), PASSWORD),
                       "500 lists at once: addresses are made")
            time.sleep(1)
            grown = memory_kb(role.pid) - before
            tap.diag(f"{grown} KB for 500 lists that nobody reads")
            bounded(grown, 2 * 1024, "500 lists at once: memory is bounded")
            data = b""
            while b"O{" not in data[-2000:]:
                got = c.sock.recv(1 << 20)
                if not got:
                    break
                data += got
            lists = data.count(b"\n\n")
            rows = data.count(b"Oshared/userdb/user")
            tap.is_((lists, rows), (500, 100000), "500 lists at once: all "
                    "arrive, in order")


def random_bytes(rng):
    """Pieces of the protocol, whole and broken."""
    addr = f"r{rng.randrange(300)}@{DOMAIN}"
    pieces = [
        HELLO, passline(addr, f"password-{addr}").encode(),
        f"Lshared/userdb/{addr}\t{addr}\n".encode(),
        b"I9\t0\tshared/userdb/\t\n", b"I0\t0\tshared/x/\t\n",
        b"B1\tu\n", b"S1\tk\tv\n", b"C1\n", b"R1\n", b"U1\tk\n", b"\n",
        b"L\t\n", b"Z\n", b"\0", b"\x01", b"\t", b"L" + b"y" * 9000,
        b"I1\n", b"H1\n",
    ]
    weights = [4, 20, 20, 3, 2, 4, 4, 4, 2, 2] + [0.3] * 9
    data = b"".join(rng.choices(pieces, weights, k=rng.randrange(1, 30)))
    return data[:rng.randrange(len(data) + 1)] if rng.random() < .3 else data


def test_random_sessions():
    """Sessions that come, break and go, with signals in between."""
    rng = random.Random(int(os.environ.get("SEED", "11")))
    seconds = float(os.environ.get("SECONDS_OF_RANDOM", "2"))
    with Box() as box, box.role() as role:
        clients, began = [], time.monotonic()
        while time.monotonic() - began < seconds:
            act = rng.random()
            if len(clients) < 300 and (act < .3 or not clients):
                s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                s.connect(box.sock)
                s.setblocking(False)
                clients.append(s)
                continue
            s = rng.choice(clients)
            try:
                if act < .7:
                    s.send(random_bytes(rng))
                elif act < .85:
                    s.recv(rng.choice((1, 100, 65536)))
                elif act < .88:
                    s.shutdown(socket.SHUT_WR)
                elif act < .881:
                    role.hup()
                elif act < .97:
                    clients.remove(s)
                    s.close()
            except OSError:
                pass
        with connect(box.sock) as c:
            tap.ok(fits(hash_in(login(c, f"last@{DOMAIN}")), PASSWORD),
                   "after random sessions the role is well")
        odd = [a for a in os.listdir(box.mail)
               if a != f"last@{DOMAIN}" and box.hash_of(a) and
               not HASH.fullmatch(box.hash_of(a))]
        tap.is_(odd, [], "every hash is whole")
        log = role.log()
        tap.is_([a for a in os.listdir(box.mail)
                 if log.count(f"Created address: {a}\n") > 1], [],
                "none was made twice")
        tap.is_([line for line in log.split("\n") if "password-" in line], [],
                "no password in the log")
        tap.is_(role.stop(), 0, "SIGTERM with all of them open")
        for s in clients:
            s.close()


def test_lists_of_the_gone():
    """Who asks for lists and goes does not hold up those who log in."""
    with Box() as box, box.role():
        for i in range(200):
            box.put(f"user{i:03}@{DOMAIN}", "x")
        for _ in range(1000):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
                s.connect(box.sock)
                s.sendall(b"I9\t0\tshared/userdb/\t\n")
        with connect(box.sock) as c, connect(box.sock) as lister:
            lister.command("I", 9, 0, "shared/userdb/", "")
            tap.ok(fits(hash_in(login(c, f"new@{DOMAIN}")), PASSWORD),
                   "1,000 lists of those who went: an address is made")
            rows = 0
            while lister.recv_line():
                rows += 1
            tap.ok(rows in (200, 201), "and others get theirs")


# ---- the process -------------------------------------------------------------

def test_term():
    with Box() as box, box.role() as role:
        idle = DictClient(box.sock)
        idle.lookup(f"shared/userdb/x@{DOMAIN}")
        c = DictClient(box.sock)
        addrs = [f"term{i}@{DOMAIN}" for i in range(100)]
        c.send("".join(passline(a) for a in addrs))
        replies = [c.reply()]
        # commands that had arrived, on a connection and in the backlog
        role.signal(signal.SIGSTOP)
        idle.command("L", f"shared/userdb/y@{DOMAIN}", "")
        fresh = DictClient(box.sock)
        fresh.send(passline(f"fresh@{DOMAIN}"))
        began = time.monotonic()
        role.signal(signal.SIGTERM)
        role.signal(signal.SIGCONT)
        tap.is_(idle.reply(), ("N", ""),
                "SIGTERM: what had arrived is answered")
        tap.ok(idle.is_closed(), "SIGTERM: then the connection closes")
        tap.ok(fits(hash_in(fresh.reply()), PASSWORD),
               "SIGTERM: so is a connection not yet accepted")
        replies += [c.reply() for _ in addrs[1:]]
        tap.is_([hash_in(r) for r in replies], [box.hash_of(a) for a in addrs],
                "SIGTERM: 100 creations under way are finished")
        tap.ok(c.is_closed(), "SIGTERM: then that connection closes")
        tap.is_(role.wait(), 0, "SIGTERM: exit code 0")
        tap.ok(time.monotonic() - began < 5.5, "SIGTERM: within 5 s")
        tap.ok(not os.path.exists(box.sock), "SIGTERM: the socket is gone")
    with Box() as box, box.role() as role:
        c = DictClient(box.sock)
        c.begin("x")
        c.sock.settimeout(0.2)
        try:
            c.sock.sendall(f"Lshared/userdb/x@{DOMAIN}\t\n".encode() * 100000)
        except OSError:
            pass
        began = time.monotonic()
        tap.is_(role.stop(), 0, "SIGTERM with a peer that does not read")
        tap.ok(time.monotonic() - began < 6, "ends after 5 s")


def test_hup():
    with Box() as box, box.role() as role, DictClient(box.sock) as c:
        addr = f"ab@{DOMAIN}"
        tap.is_(login(c, addr), ("N", ""), "SIGHUP: before")
        for name, text, why in (
                ("a bad value", "[params]\nmail_domain = chat.example\n"
                 "username_min_length = two\n",
                 "keeping the old configuration: {}:3: username_min_length: "
                 "expected a whole number of 1 or more, got \"two\""),
                ("no file", None, "keeping the old configuration: {}: No such "
                 "file or directory"),
                ("half a file", "[params]\nmail_dom",
                 "keeping the old configuration: {}:2: expected name = value")):
            if text is None:
                os.unlink(box.ini)
            else:
                with open(box.ini, "w") as f:
                    f.write(text)
            role.hup()
            tap.ok(role.wait_log(why.format(box.ini)),
                   f"SIGHUP with {name}: logged")
            tap.is_(login(c, addr), ("N", ""), f"SIGHUP with {name}: the old "
                    "one is kept")
            tap.ok(fits(hash_in(login(c, f"abc{len(name)}@{DOMAIN}")),
                        PASSWORD), f"SIGHUP with {name}: it works")
        box.write_ini(username_min_length=2)
        role.hup()
        tap.ok(role.wait_log("configuration read again"), "SIGHUP: good")
        tap.ok(fits(hash_in(login(c, addr)), PASSWORD), "SIGHUP: the new one "
               "is used")
        # while addresses are in the making
        addrs = [f"hup{i}@{DOMAIN}" for i in range(40)]
        c.send("".join(passline(a) for a in addrs))
        for _ in range(5):
            role.hup()
            time.sleep(0.01)
        tap.is_([hash_in(c.reply()) for _ in addrs],
                [box.hash_of(a) for a in addrs],
                "SIGHUP with creations under way")


def run(*args, **kw):
    return subprocess.run([BINARY, *args], capture_output=True, text=True,
                          timeout=20, **kw)


def test_socket_path():
    with Box() as box:
        stale = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stale.bind(box.sock)
        stale.close()
        with box.role() as role:
            tap.is_(os.stat(box.sock).st_mode & 0o777, 0o660,
                    "a stale socket is replaced; mode 0660")
            with box.role() as second:
                second.wait_log("ready")
                role.stop()
                tap.ok(os.path.exists(box.sock),
                       "a socket that another process put there stays")
                with DictClient(box.sock) as c:
                    tap.is_(c.lookup(f"shared/userdb/x@{DOMAIN}"), ("N", ""),
                            "and is served")
                second.stop()
        tap.ok(not os.path.exists(box.sock), "its own is removed at the end")
        for name, sock, want in (
                ("a file in its place", box.ini, "listening on {}: there is a "
                 "file that is no socket"),
                ("a directory in its place", box.mail, "listening on {}: there"
                 " is a file that is no socket"),
                ("a missing directory", f"{box.dir}/no/sock",
                 "listening on {}: No such file or directory"),
                ("too long a path", f"{box.dir}/{'x' * 108}",
                 "listening on {}: File name too long")):
            r = run("doveauth", sock, box.ini)
            tap.is_((r.returncode, r.stderr), (1, "doveauth: " +
                    want.format(sock) + "\n"), name)
        tap.ok(os.path.getsize(box.ini) > 0, "the file is still there")
        for name, args, code, want in (
                ("no socket", (), 2, "a socket and at most one INI"),
                ("too much", (box.sock, box.ini, "x"), 2, "at most one INI"),
                ("no INI", (box.sock, f"{box.dir}/none"), 1,
                 f"{box.dir}/none: No such file or directory")):
            r = run("doveauth", *args)
            tap.is_(r.returncode, code, f"{name}: exit code")
            tap.like(r.stderr, want, f"{name}: says why")
        env = {"CHATMAIL_INI": box.ini}
        with Role(["doveauth", box.sock], box.sock, env=env):
            tap.ok(True, "$CHATMAIL_INI is read")


LAUNCHER = """
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.bind(sys.argv[1])
s.listen(100)
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ["LISTEN_FDS"] = "1"
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_systemd():
    with Box() as box:
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(f"{box.dir}/notify")
        notify.settimeout(10)
        env = {"NOTIFY_SOCKET": f"{box.dir}/notify"}
        args = ["-c", LAUNCHER, box.sock, os.path.abspath(BINARY), "doveauth",
                box.sock, box.ini]
        with Role(args, box.sock, env=env, binary=sys.executable) as role:
            inode = os.stat(box.sock).st_ino
            tap.is_(notify.recv(100), b"READY=1", "READY=1")
            with DictClient(box.sock) as c:
                tap.ok(fits(hash_in(login(c, f"abc@{DOMAIN}")), PASSWORD),
                       "an inherited socket is served")
            role.hup()
            tap.is_([notify.recv(100)[:11], notify.recv(100)],
                    [b"RELOADING=1", b"READY=1"], "RELOADING=1 and READY=1")
            tap.is_(role.stop(), 0, "SIGTERM")
            tap.is_(notify.recv(100), b"STOPPING=1", "STOPPING=1")
            tap.is_(os.stat(box.sock).st_ino, inode,
                    "the inherited socket was never replaced and stays")
        os.unlink(box.sock)
        with box.role(env={"LISTEN_FDS": "1", "LISTEN_PID": "1"}):
            tap.ok(True, "another process's LISTEN_PID is ignored")
        with box.role(env={"JOURNAL_STREAM": "9:9", "NOTIFY_SOCKET":
                           f"{box.dir}/none"}) as role:
            tap.ok(role.wait_log("telling systemd READY=1: "),
                   "no NOTIFY_SOCKET there: goes on")


for test in [v for k, v in list(globals().items()) if k.startswith("test_")]:
    if len(sys.argv) > 1 and test.__name__ not in sys.argv[1:]:
        continue
    began = time.monotonic()
    test()
    tap.diag(f"{test.__name__}: {time.monotonic() - began:.1f} s")
tap.done()
