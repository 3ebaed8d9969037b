#!/usr/bin/env python3
"""chatmail test against sandboxes: all is ok there whatever the settings are;
with two of them mail goes both ways; a server that is silent, or that says what
no server says, takes neither long nor the program down."""
import json
import os
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import sandbox
import tap

A, B = "_a.test", "_b.test"
# of A; B has the defaults
SETTINGS = {
    "username_min_length": 3, "username_max_length": 5,
    "password_min_length": 1, "max_message_size": 100000,
    "max_mailbox_size": "7M", "max_user_send_per_minute": 120,
    "max_user_send_burst_size": 2, "privacy_mail": "p@example.org",
    "iroh_relay": "https://iroh.example.org",
}


def chatmail(*args, **env):
    """(exit code, stdout, stderr)"""
    done = subprocess.run([sandbox.CHATMAIL, "test", *args], timeout=300,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env={**os.environ, **env})
    return done.returncode, done.stdout, done.stderr


def run(*args, **env):
    """(exit code, {check: (result, said)})"""
    code, out, err = chatmail("--json", *args, **env)
    try:
        found = json.loads(out)["checks"]
    except ValueError:
        raise RuntimeError("exit code %d\n%s%s" % (code, out, err))
    return code, {c["name"]: (c["result"], c["said"]) for c in found}


def not_ok(found, *skipped):
    return {c: r for c, r in found.items() if r[0] != "ok" and
            not (r[0] == "skipped" and c in skipped)}


# ---- relays that are well ----------------------------------------------------

def test_ok(a, b):
    code, found = run(a.dir, "--second", b.dir)
    tap.is_((code, not_ok(found, "turn", "no-tls-imap", "short-password")),
            (0, {}), "a relay with other settings, and mail to another")
    tap.is_((found["quota"][1], found["size"][0]), ("7 MB", "ok"),
            "the settings are looked at")
    tap.is_(found["short-password"][0], "skipped", "any password will do there")
    tap.like(found["rate"][1], "after ", "the limit is found")
    names = [n for n in os.listdir(a.path("mail")) if "@" in n]
    tap.is_([n for n in names if not 3 <= len(n.split("@")[0]) <= 5], [],
            "names as short as they have to be")
    code, found = run(b.dir, CHATMAIL_DOMAIN2=a.dir)
    tap.is_((code, not_ok(found, "turn", "no-tls-imap")), (0, {}),
            "one with the defaults, the other way round")
    names = [n for n in os.listdir(b.path("mail")) if "@" in n]
    tap.is_([n for n in names if not n.startswith("ci-")], [],
            "its accounts have the names of tests")


def test_other_settings(a):
    """What chatmail.ini says is not what the relay does."""
    rows = [("max_mailbox_size", "8M", "quota", "7168 KB, by"),
            ("max_message_size", 100001, "size", "100000 bytes, chatmail.ini"),
            ("max_user_send_burst_size", 30, "rate", "burst_size is 30"),
            ("privacy_mail", "", "metadata", "/shared/admin is"),
            ("password_min_length", 30, "short-password", "is accepted"),
            ("username_min_length", 4, "bad-names", "is accepted")]
    with open(a.path("chatmail.ini")) as f:
        lines = f.read().splitlines()
    changed = a.path("other.ini")
    for name, value, check, part in rows:
        with open(changed, "w") as f:
            f.write("\n".join(s for s in lines if
                              s.split("=")[0].strip() != name) +
                    "\n%s = %s\n" % (name, value))
        os.rename(a.path("sandbox.json"), a.path("away"))
        os.mkdir(a.path("other"))
        with open(a.path("other", "sandbox.json"), "w") as f:
            json.dump({**a.info, "ini": changed}, f)
        code, found = run("--only", "login," + check, a.path("other"))
        os.rename(a.path("away"), a.path("sandbox.json"))
        os.unlink(a.path("other", "sandbox.json"))
        os.rmdir(a.path("other"))
        tap.ok(code == 1 and found["login"][0] == "ok" and
               found[check][0] == "failed" and part in found[check][1],
               "%s is another: %s" % (name, found[check][1]))


# ---- servers that are not ----------------------------------------------------

class Server:
    """Says the same to everybody at all ports, and closes after a second
    without a word."""

    def __init__(self, directory, text):
        self.text, self.ports, self.listeners = text, {}, []
        names = "smtp", "submission", "smtps", "imap", "imaps", "https", "http"
        for name in names:
            s = socket.create_server(("127.0.0.1", 0), backlog=64)
            self.ports[name] = s.getsockname()[1]
            self.listeners.append(s)
            threading.Thread(target=self.accept, args=(s,),
                             daemon=True).start()
        self.dir = directory
        os.makedirs(directory)
        with open(directory + "/chatmail.ini", "w") as f:
            f.write("[params]\nmail_domain = _x.test\n")
        with open(directory + "/sandbox.json", "w") as f:
            json.dump({"ini": directory + "/chatmail.ini", "certificate": "",
                       "ports": self.ports}, f)

    def accept(self, listener):
        while True:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        with s:
            s.settimeout(1)
            try:
                s.sendall(self.text)
                while s.recv(65536):
                    s.sendall(self.text)
            except OSError:
                pass

    def stop(self):
        for s in self.listeners:
            s.close()


ODD = [
    ("says what is no protocol", b"\0\xff\x1b[31mhello\r\n"),
    ("never ends its line", b"x" * 100000),
    ("announces more than there is room for", b"* OK {99999999999}\r\n"),
    ("greets in both languages", b"220 * OK\r\n* OK hello\r\n"),
    ("continues for ever", b"220-x\r\n" * 300),
    ("closes at once", b""),
]


def test_odd(directory):
    for n, (name, text) in enumerate(ODD):
        began = time.monotonic()
        server = Server("%s/odd%d" % (directory, n), text)
        if not text:
            server.serve = lambda s: s.close()
        code, out, err = chatmail("--tap", server.dir)
        server.stop()
        tap.diag("%.1f s" % (time.monotonic() - began))
        tap.is_((code, err, [c for c in out if c < " " and c != "\n"],
                 len([s for s in out.splitlines() if s.startswith("ok ") and
                      " # SKIP" not in s])), (1, "", [], 1),
                "a server that " + name)


def test_mistakes(directory):
    for args, part in [
            (["--only", "login,nothing"], 'there is no check "nothing"'),
            (["--only", ","], "which check?"), (["--json", "--tap"], "or"),
            (["a", "b"], "at most one INI"), (["--wait", "x"], "seconds"),
            (["--nothing"], "unknown option")]:
        code, out, err = chatmail(*args)
        tap.ok(code == 2 and part in err and not out, " ".join(args))
    for args, part in [
            (["no/such.ini"], "No such file"), ([directory], "no sandbox runs"),
            (["a..b"], "neither a domain name"),
            (["--ca-file", "/nonexistent", "x.test"], "/nonexistent")]:
        code, out, err = chatmail(*args)
        tap.ok(code == 1 and part in err and not out, " ".join(args))
    code, out, err = chatmail("--list")
    tap.ok(code == 0 and "rate " in out and not err, "--list")
    code, out, err = chatmail("--json", "nobody.invalid")
    found = json.loads(out)
    tap.is_((code, found["passed"], found["checks"][0]["result"]),
            (1, 0, "failed"), "a domain that does not exist")


def main():
    reason = sandbox.skip_reason()
    if reason:
        tap.skip_all(reason)
    bases = sandbox.free_base(), sandbox.free_base()
    while abs(bases[0] - bases[1]) < sandbox.PORTS_USED:
        bases = sandbox.free_base(), sandbox.free_base()
    relays = [sandbox.Sandbox(
        domain=domain, base=own, settings=settings,
        options=["--peer", "%s=%d" % (peer, other)])
        for domain, own, peer, other, settings in
        ((A, bases[0], B, bases[1], SETTINGS), (B, bases[1], A, bases[0], {}))]
    with relays[0] as a, relays[1] as b:
        for test, *args in [(test_ok, a, b), (test_other_settings, a),
                            (test_odd, a.dir), (test_mistakes, a.path("run"))]:
            began = time.monotonic()
            test(*args)
            tap.diag("%s: %.1f s" % (test.__name__, time.monotonic() - began))
    tap.done()


main()
