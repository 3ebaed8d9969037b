#!/usr/bin/env python3
"""lastlogin: the day of a login becomes the mtime of the password file."""
import os
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
from dictclient import BINARY, DictClient, Role, wait_for

DOMAIN = "chat.example"
USER = f"some12345@{DOMAIN}"
KEY = "shared/last-login/"
DAY = 86400
OLD = 100 * DAY + 5

top = tempfile.mkdtemp(prefix="lastlogin-")
sock, ini, mail = f"{top}/sock", f"{top}/chatmail.ini", f"{top}/mail"


def write_ini(text=""):
    with open(ini, "w") as f:
        f.write(f"[params]\nmail_domain = {DOMAIN}\n"
                f"mailboxes_dir = {mail}\n{text}")


def put(addr, mtime=OLD):
    os.makedirs(f"{mail}/{addr}", exist_ok=True)
    path = f"{mail}/{addr}/password"
    with open(path, "w") as f:
        f.write("{SHA512-CRYPT}$6$x$y")
    os.utime(path, (mtime, mtime))
    return path


def mtime(addr=USER):
    return os.stat(f"{mail}/{addr}/password").st_mtime_ns / 1e9


def start():
    return Role(["lastlogin", sock, ini], sock)


def test_protocol():
    """As Dovecot 2.3 and 2.4 send it, byte for byte."""
    for name, hello, begin in (
            ("2.3", "H3\t2\t0\t\tlastlogin", f"B1\t{USER}\n"),
            ("2.4", "H4\t0\t0\t\tlastlogin", f"B1\t{USER}\t0\n")):
        put(USER)
        with start() as role, DictClient(sock, hello) as c:
            c.send(f"{begin}S1\t{KEY}{USER}\t{200 * DAY + 86399}\nC1\n")
            tap.is_(c.recv_line(), "O1", f"{name}: the commit's answer")
            tap.is_(mtime(), 200 * DAY, f"{name}: the day")
            text = f"{begin}S1\t{KEY}{USER}\t{201 * DAY}\nC1\n"
            for byte in text:
                c.send(byte)
            tap.is_((c.recv_line(), mtime()), ("O1", 201 * DAY),
                    f"{name}: byte by byte")
            c.send(text * 20)
            tap.is_([c.recv_line() for _ in range(20)], ["O1"] * 20,
                    f"{name}: 20 transactions in one write")
            tap.is_(role.stop(), 0, f"{name}: SIGTERM with an open session")
            tap.ok("no such user" not in role.log(), f"{name}: quiet")


# name, key, value (None: unset), answer, mtime afterwards (None: as before)
SETS = [
    ("upstream's 100000", KEY + USER, "100000", "O", DAY),
    ("upstream's 200000", KEY + USER, "200000", "O", 2 * DAY),
    ("the first second of a day", KEY + USER, str(300 * DAY), "O", 300 * DAY),
    ("the last second of a day", KEY + USER, str(301 * DAY - 1), "O",
     300 * DAY),
    ("0", KEY + USER, "0", "O", 0),
    ("beyond 2038", KEY + USER, str(2**32 + 5), "O", 2**32 // DAY * DAY),
    ("no number", KEY + USER, "soon", "F", None),
    ("empty", KEY + USER, "", "F", None),
    ("negative", KEY + USER, "-5", "F", None),
    ("a fraction", KEY + USER, "100000.5", "F", None),
    ("with a blank", KEY + USER, " 100000", "F", None),
    ("2^64", KEY + USER, str(2**64), "F", None),
    ("2^63", KEY + USER, str(2**63), "F", None),
    ("unset", KEY + USER, None, "F", None),
    ("another key", f"shared/other/{USER}", "100000", "F", None),
    ("another namespace", f"priv/last-login/{USER}", "100000", "F", None),
    ("a shorter key", "shared/last-login", "100000", "F", None),
    ("no user", KEY, "100000", "F", None),
    ("unknown user", f"{KEY}nobody@{DOMAIN}", "100000", "O", None),
    ("foreign domain", f"{KEY}some12345@other.example", "100000", "F", None),
    ("up and away", f"{KEY}../mail/{USER}", "100000", "F", None),
    ("slash", f"{KEY}{USER}/x", "100000", "F", None),
    ("no @", f"{KEY}some12345", "100000", "F", None),
    ("too long", f"{KEY}{'x' * 300}@{DOMAIN}", "100000", "F", None),
]


def test_values():
    with start() as role, DictClient(sock) as c:
        for name, key, value, answer, want in SETS:
            put(USER)
            before = len(role.log())
            got = c.unset_one(USER, key) if value is None else \
                c.set_one(USER, key, value)
            tap.ok(got and got[0] == answer, f"{name}: {answer}")
            tap.is_(mtime(), OLD if want is None else want, f"{name}: mtime")
            if answer == "F":
                tap.ok(len(got) == 2 and len(got[1]) == 2 and got[1][1],
                       f"{name}: with a reason")
                tap.ok(wait_for(lambda: role.log()[before:], 2),
                       f"{name}: logged")
        tap.like(role.log(), f"nobody@{DOMAIN}: no such user",
                 "an unknown user is logged")
        tap.is_(os.listdir(mail), [USER], "no mailbox came into being")

        ns = put(USER, 300 * DAY)
        os.utime(ns, ns=(5 * 10**9, 300 * DAY * 10**9))
        c.set_one(USER, KEY + USER, str(300 * DAY + 7))
        tap.is_(os.stat(ns).st_atime_ns, 5 * 10**9,
                "the same day again writes nothing")


def test_sequence():
    put(USER)
    with start() as role, DictClient(sock) as c:
        tap.is_(c.lookup(KEY + USER, USER), ("N", ""), "lookup: nothing")
        tap.is_(c.iterate(KEY, USER), [], "iterate: nothing")
        t = c.begin(USER)
        c.set(t, KEY + USER, 200 * DAY)
        c.rollback(t)
        tap.is_(c.commit(t)[0], "F", "commit after rollback")
        tap.is_(mtime(), OLD, "a rollback changes nothing")
        c.send(f"S9\t{KEY}{USER}\t1\n")
        tap.is_(c.commit("9")[0], "F", "set and commit without begin")
        t = c.begin(USER)
        tap.is_(c.commit(t)[0], "O", "an empty transaction")
        tap.is_(c.commit(t)[0], "F", "a second commit")
        t = c.begin(USER)
        c.set(t, KEY + USER, 200 * DAY)
        c.set(t, "shared/other/x", 1)
        tap.is_(c.commit(t)[0], "F", "one bad set fails the transaction")
        put(USER)
        c.send(f"B1\t{USER}\nB2\t{USER}\nS1\t{KEY}{USER}\t{3 * DAY}\n"
               f"T1\t1\t2\nV1\tno\nS2\t{KEY}{USER}\t{4 * DAY}\nC2\n")
        tap.is_((c.commit_reply(), mtime()), (("O", ["2"]), 4 * DAY),
                "two transactions, the second first")
        tap.is_((c.commit("1"), mtime()), (("O", ["1"]), 3 * DAY),
                "two transactions, the first last")
        c.send(f"B1\t{USER}\nA1\t{KEY}{USER}\t1\nC1\n")
        tap.is_(c.commit_reply()[0], "F", "an increment cannot be kept")
        c.send(f"B1\t{USER}\n")
        c.send(("S1\tk\t" + "x" * 60000 + "\n") * 10)
        tap.is_(c.commit("1")[0], "F", "a transaction of 600 KB")
        c.send(f"B1\t{USER}\nS1\t{KEY}{USER}\t{200 * DAY}\n")
        c.close()
        time.sleep(0.05)
        tap.is_(mtime(), 3 * DAY, "a close before the commit changes nothing")
        with DictClient(sock) as d:
            d.send(f"B1\t{USER}\nS1\t{KEY}{USER}\t{200 * DAY}\nC1\n")
            d.sock.shutdown(socket.SHUT_WR)
            tap.is_((d.recv_line(), d.recv_line()), ("O1", None),
                    "a half-close after the commit")
            tap.is_(mtime(), 200 * DAY, "is noted")
        with DictClient(sock) as d:
            d.send(b"S1\t" + b"x" * 70000)
            tap.ok(d.is_closed(), "an endless line is closed")
        with DictClient(sock) as d:
            d.send(b"B1\ta\0b\n")
            tap.ok(d.is_closed(), "a NUL byte is closed")
        tap.is_(role.stop(), 0, "SIGTERM")


def test_broken_mailboxes():
    with start() as role, DictClient(sock) as c:
        for name, make in (
                ("a link to itself", lambda p: os.symlink(p, p)),):
            addr = f"bad@{DOMAIN}"
            os.makedirs(f"{mail}/{addr}")
            make(f"{mail}/{addr}/password")
            tap.is_(c.set_one(addr, KEY + addr, 1),
                    ("F", ["1", "temporary failure"]),
                    f"password is {name}: temporary failure")
            tap.like(role.log(), f"noting the login of {addr}: ", "logged")
            shutil.rmtree(f"{mail}/{addr}")
        with open(f"{mail}/file@{DOMAIN}", "w"):
            pass
        tap.is_(c.set_one("", f"{KEY}file@{DOMAIN}", 1)[0], "O",
                "a file in the mailbox's place is no user")
        os.unlink(f"{mail}/file@{DOMAIN}")


def test_many():
    """100 connections, each with its own user and its own transaction 1."""
    users = [f"many{i:02}@{DOMAIN}" for i in range(100)]
    for u in users:
        put(u)
    with start() as role:
        clients = [DictClient(sock) for _ in users]
        for c, u in zip(clients, users):
            c.send(f"B1\t{u}\nS1\t{KEY}{u}\t")
        for i, c in enumerate(clients):
            c.send(f"{(400 + i) * DAY + i}\n")
        for c in reversed(clients):
            c.send("C1\n")
        tap.is_([c.recv_line() for c in clients], ["O1"] * 100,
                "100 interleaved connections")
        tap.is_([mtime(u) for u in users],
                [(400 + i) * DAY for i in range(100)], "each its own day")
        c = clients[0]
        c.send(f"B7\t{users[0]}\nS7\t{KEY}{users[0]}\t{900 * DAY}\n")
        c.lookup("x")
        role.signal(signal.SIGTERM)
        time.sleep(0.2)
        tap.is_(c.commit("7"), ("O", ["7"]),
                "SIGTERM waits for a transaction that is open")
        tap.is_((role.wait(6), mtime(users[0])), (0, 900 * DAY),
                "and then ends")
        for c in clients:
            c.close()


def test_reload_and_start():
    put(USER)
    with start() as role, DictClient(sock) as c:
        write_ini("max_load_1m = x\n")
        role.hup()
        tap.ok(role.wait_log(f"keeping the old configuration: {ini}:4: "
                             'max_load_1m: expected a number, got "x"'),
               "SIGHUP with a bad chatmail.ini")
        tap.is_(c.set_one(USER, KEY + USER, 5 * DAY)[0], "O", "the old holds")
        with open(ini, "w") as f:
            f.write(f"[params]\nmail_domain = new.example\n"
                    f"mailboxes_dir = {mail}\nno_such = 1\n")
        role.hup()
        tap.ok(role.wait_log("configuration read again"), "SIGHUP: good")
        tap.like(role.log(), f"{ini}:4: ignored: unknown setting no_such",
                 "a warning names an unknown setting")
        tap.is_(c.set_one(USER, KEY + USER, 6 * DAY)[0], "F", "the new holds")
    write_ini("max_load_1m = x\n")
    r = subprocess.run([BINARY, "lastlogin", sock, ini], timeout=20,
                       capture_output=True, text=True)
    tap.is_((r.returncode, r.stderr), (1, f"lastlogin: {ini}:4: max_load_1m: "
                                       'expected a number, got "x"\n'),
            "a bad chatmail.ini at start")
    write_ini()
    r = subprocess.run([BINARY, "lastlogin"], timeout=20,
                       capture_output=True, text=True)
    tap.is_(r.returncode, 2, "no socket: usage")


def test_term_young():
    """A client that connects just before SIGTERM has not yet said what it
    wants; Dovecot 2.3 gives a login up when it is not heard."""
    put(USER)
    with start() as role, DictClient(sock, hello=None) as old:
        time.sleep(1.2)
        with DictClient(sock, hello=None) as bare, DictClient(sock) as c:
            # the role has accepted both when it answers a third
            with DictClient(sock) as third:
                third.lookup("x")
            role.signal(signal.SIGTERM)
            tap.ok(old.is_closed(), "SIGTERM: an idle connection closes")
            tap.is_(c.set_one(USER, KEY + USER, 8 * DAY)[0], "O",
                    "one that has just begun is heard")
            tap.ok(bare.is_closed(), "one that says nothing is not for long")
        tap.is_(role.wait(), 0, "and that is the end")


def test_reader_stops():
    put(USER)
    with start() as role:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.connect(sock)
        line = f"B1\t{USER}\nS1\t{KEY}{USER}\t{7 * DAY}\nC1\n".encode()
        thread = threading.Thread(target=s.sendall, args=(line * 100000,))
        thread.start()
        with DictClient(sock) as c:
            tap.is_(c.set_one(USER, KEY + USER, 8 * DAY)[0], "O",
                    "others are answered while a peer does not read")
        count = 0
        s.settimeout(20)
        while count < 100000:
            got = s.recv(1 << 20)
            if not got:
                break
            count += got.count(b"O1\n")
        thread.join(10)
        tap.is_(count, 100000, "100,000 transactions at once")
        s.close()


write_ini()
os.makedirs(mail)
try:
    for test in [v for k, v in list(globals().items())
                 if k.startswith("test_")]:
        if len(sys.argv) > 1 and test.__name__ not in sys.argv[1:]:
            continue
        began = time.monotonic()
        test()
        tap.diag(f"{test.__name__}: {time.monotonic() - began:.1f} s")
finally:
    shutil.rmtree(top, ignore_errors=True)
tap.done()
