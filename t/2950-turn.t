#!/usr/bin/env python3
"""turn: credentials for calls, on a socket, as metadata takes them."""
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import tap
from dictclient import DictClient, Role, wait_for
from relaydir import RelayDir
from turnclient import credentials

CHATMAIL = os.path.abspath(os.environ.get("CHATMAIL", "build/chatmail"))
DAYS = 5 * 86400
SECRET, OTHER = "k3" * 20, "another-Secret+of/64=_"
GUID = "43f5f508a7ea0366dff30200c15250e3"
KEY = "shared/%s/vendor/vendor.dovecot/pvt/server/vendor/deltachat/turn" % GUID


def put_secret(d, text=SECRET + "\n"):
    path = d.join("secret")
    with open(path, "w") as f:
        f.write(text)
    return path


def role(d, *args):
    sock = d.settings["turn_socket_path"]
    return Role(["turn", "--secret", d.join("secret"), *args, d.ini], sock)


def ask(path, say=b"", timeout=20):
    """All that comes until the end."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(timeout)
        s.connect(path)
        got = b""
        # what was said is never read, which ends the connection as well
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            s.sendall(say)
        with contextlib.suppress(ConnectionResetError):
            while part := s.recv(4096):
                got += part
        return got.decode()


def is_good(line, secret, before, after, name):
    found = re.fullmatch(r"(\d+):(\S+)\n", line)
    if not tap.ok(found, name + ": USERNAME:PASSWORD and LF"):
        return tap.diag(repr(line))
    # time(2) may be a tick behind
    tap.between(int(found[1]), int(before) - 1 + DAYS, int(after) + DAYS,
                name + ": good for five days")
    tap.is_(found[2], credentials(secret, int(found[1]))[1],
            name + ": HMAC-SHA1 of the username")


def now(path, secret, name, say=b""):
    before = time.time()
    line = ask(path, say)
    is_good(line, secret, before, time.time(), name)


def test_line():
    with RelayDir() as d:
        put_secret(d)
        path = d.settings["turn_socket_path"]
        with role(d) as r:
            tap.is_(oct(os.stat(path).st_mode & 0o777), "0o660",
                    "the socket is for owner and group")
            now(path, SECRET, "who says nothing")
            now(path, SECRET, "who says something", b"GET / HTTP/1.0\r\n\r\n")
            waiting = [socket.socket(socket.AF_UNIX) for _ in range(300)]
            for s in waiting:
                s.settimeout(20)
                s.connect(path)
            tap.is_({s.recv(100)[-1:] for s in waiting}, {b"\n"},
                    "300 at a time")
            for s in waiting:
                s.close()
            gone = socket.socket(socket.AF_UNIX)
            gone.connect(path)
            gone.close()
            now(path, SECRET, "after one that did not wait")
            put_secret(d, OTHER)
            os.kill(r.pid, signal.SIGHUP)
            tap.ok(wait_for(lambda: "read again" in r.log()), "SIGHUP")
            now(path, OTHER, "the new secret")
            put_secret(d, "short")
            os.kill(r.pid, signal.SIGHUP)
            tap.ok(wait_for(lambda: "keeping the old" in r.log()),
                   "SIGHUP with a bad one")
            now(path, OTHER, "the old one stays")
            slow = socket.socket(socket.AF_UNIX)
            slow.connect(path)
            tap.is_(r.stop(), 0, "SIGTERM")
            slow.close()
            tap.ok(SECRET not in r.log() and OTHER not in r.log(),
                   "no secret is in the log")
        tap.ok(not os.path.exists(path), "the socket is gone")


def test_metadata():
    """What apps get."""
    for domain in "chat.example", "192.0.2.7":
        with RelayDir(domain) as d:
            put_secret(d)
            user = d.add_user("a")
            with Role(["metadata", d.sock, d.ini], d.sock), \
                    DictClient(d.sock) as c:
                tap.is_(c.lookup(KEY, user), ("N", ""),
                        domain + ": none while the role does not run")
                with role(d):
                    before = time.time()
                    letter, value = c.lookup(KEY, user)
                    host, port, rest = (value + "::").split(":", 2)
                    tap.is_((letter, host, port), ("O", domain, "3478"),
                            domain + ": host and port")
                    is_good(rest[:-2] + "\n", SECRET, before, time.time(),
                            domain)
    with RelayDir(turn_socket_path="") as d:
        user = d.add_user("a")
        with Role(["metadata", d.sock, d.ini], d.sock), \
                DictClient(d.sock) as c:
            tap.is_(c.lookup(KEY, user), ("N", ""), "no socket, no TURN")


def run(*args):
    done = subprocess.run([CHATMAIL, "turn", *args], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_print():
    with RelayDir() as d:
        path = put_secret(d)
        before = time.time()
        code, out, err = run("--secret", path, "--print", d.ini)
        tap.is_((code, err), (0, ""), "--print")
        is_good(out, SECRET, before, time.time(), "--print")
    with RelayDir(turn_socket_path="") as d:
        put_secret(d)
        with Role(["turn", "--secret", d.join("secret"), "--socket", d.sock,
                   d.ini], d.sock):
            now(d.sock, SECRET, "--socket")


# what the file holds, or None
BAD_SECRETS = [None, "", "\n", "short", "x" * 257, "k3" * 20 + " x",
               "k3" * 20 + "\nrealm=x", "k3" * 20 + "\0", "#" + "k3" * 20,
               "\u00fc" * 20]


def test_refusals():
    with RelayDir() as d:
        for text in BAD_SECRETS:
            path = put_secret(d, text or "")
            if text is None:
                os.unlink(path)
            code, out, err = run("--secret", path, d.ini)
            tap.is_((code, out), (1, ""), "secret %r" % (text and text[:50]))
            tap.like(err, path, "names the file")
            tap.ok(not text or len(text) < 3 or text not in err,
                   "and does not show it")
        put_secret(d)
        d.write_ini(turn_socket_path="")
        code, out, err = run("--secret", d.join("secret"), d.ini)
        tap.is_(code, 1, "an empty turn_socket_path")
        tap.like(err, "turn_socket_path", "is named")


# setting, value, is it good?
SETTINGS = [
    ("turn_ports", "49152-65535", True), ("turn_ports", "1024-1024", True),
    ("turn_ports", "50000-50100", True), ("turn_ports", "3479-4000", True),
    ("turn_ports", "", False), ("turn_ports", "50000", False),
    ("turn_ports", "50000-", False), ("turn_ports", "-50000", False),
    ("turn_ports", "50100-50000", False), ("turn_ports", "1023-2000", False),
    ("turn_ports", "50000-65536", False), ("turn_ports", "0-65535", False),
    ("turn_ports", "a-b", False), ("turn_ports", "50000-50100 x", False),
    ("turn_ports", "50000 - 50100", False), ("turn_ports", "1-2-3", False),
    ("turn_ports", "3000-4000", False), ("turn_ports", "3478-3478", False),
    ("turn_ports", "50000-4294967297000", False),
    ("turn_external_ip", "", True), ("turn_external_ip", "192.0.2.1", True),
    ("turn_external_ip", "192.0.2.1/10.0.0.5", True),
    ("turn_external_ip", "192.0.2", False),
    ("turn_external_ip", "192.0.2.1/", False),
    ("turn_external_ip", "/10.0.0.5", False),
    ("turn_external_ip", "192.0.2.1/24", False),
    ("turn_external_ip", "1.2.3.4/1.2.3.4/1.2.3.4", False),
    ("turn_external_ip", "2001:db8::1", False),
    ("turn_external_ip", "turn.example.org", False),
]


def test_settings():
    for name, value, good in SETTINGS:
        with RelayDir(**{name: value}) as d:
            path = put_secret(d)
            code, out, err = run("--secret", path, "--print", d.ini)
            tap.is_((code, err == ""), (0, True) if good else (1, False),
                    "%s = %s" % (name, value))
            if not good:
                tap.like(err, "chatmail.ini:", "with file and line")
                tap.like(err, "%s: expected " % name, "and what is expected")


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
tap.done()
