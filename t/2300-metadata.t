#!/usr/bin/env python3
"""The role metadata over the dict protocol: tokens and the relay's values."""
import fcntl
import json
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "lib"))
from dictclient import DictClient, Role, wait_for
from relaydir import RelayDir
from tap import between, done, is_, like, ok

GUID = "43f5f508a7ea0366dff30200c15250e3"
TOKENS = f"priv/{GUID}/devicetoken"
NEW = f"priv/{GUID}/messagenew"
VALUES = f"shared/{GUID}/vendor/vendor.dovecot/pvt/server/vendor/deltachat/"
DAY = 86400


def role(d, **env):
    return Role(["metadata", d.sock, d.ini], d.sock, env)


def stops(r):
    """The role ends cleanly at SIGTERM."""
    start = time.monotonic()
    is_(r.stop(), 0, "SIGTERM: exit code")
    between(time.monotonic() - start, 0, 8, "SIGTERM: time")


# ---- the relay's values ------------------------------------------------------


def test_values():
    with RelayDir(iroh_relay="https://iroh.example/", max_message_size=1234567) as d:
        user = d.add_user("a")
        with role(d) as r, DictClient(d.sock) as c:
            table = {
                "irohrelay": ("O", "https://iroh.example/"),
                "maxsmtprecipients": ("O", "1000"),
                "maxmessagesize": ("O", "1234567"),
                "unknown": ("N", ""),
                "": ("N", ""),
            }
            for name, want in table.items():
                is_(c.lookup(VALUES + name, user), want, f"value {name!r}")
            letter, text = c.lookup(VALUES + "appversions", user)
            versions = json.loads(text)
            ok(letter == "O" and versions["clients"][0]["sources"], "appversions")
            is_(
                text,
                json.dumps(versions, separators=(",", ":")),
                "appversions are compact",
            )
            for key in (
                f"shared/{GUID}/vendor/deltachat/irohrelay",
                f"priv/{GUID}/comment",
                f"priv/{GUID}/vendor/vendor.dovecot/pvt/server/comment",
                f"priv/{GUID}",
                "shared/",
                "",
                "nonsense",
            ):
                is_(c.lookup(key, user), ("N", ""), f"no value: {key!r}")
            is_(c.lookup(VALUES + "irohrelay"), table["irohrelay"], "without a user")
            stops(r)


def test_iroh_empty():
    with RelayDir(iroh_relay="") as d, role(d), DictClient(d.sock) as c:
        is_(c.lookup(VALUES + "irohrelay", ""), ("N", ""), "iroh_relay is empty: N")


def test_appversions():
    with RelayDir() as d:
        path = d.join("appversions.json")
        with open(path, "w") as f:
            f.write('{\n  "clients": [ {"clientId": "one\\ntwo\\t"} ]\n}\n')
        with role(d) as r, DictClient(d.sock) as c:
            want = '{"clients":[{"clientId":"one\\ntwo\\t"}]}'
            is_(c.lookup(VALUES + "appversions"), ("O", want), "own appversions")
            for text in ("bad json", "[]", "", '{"a":1} x', "[" * 100000):
                with open(path, "w") as f:
                    f.write(text)
                count = r.log().count("configuration read again")
                r.hup()
                wait_for(
                    lambda: r.log().count("configuration read again") > count
                )
                is_(
                    c.lookup(VALUES + "appversions"),
                    ("N", ""),
                    f"broken appversions: {text[:20]!r}",
                )
            like(r.log(), "appversions.json: ", "and a warning")
            os.unlink(path)
            r.hup()
            ok(
                wait_for(lambda: c.lookup(VALUES + "appversions")[0] == "O"),
                "without the file those that are built in",
            )


class TurnServer:
    """Hands out credentials as configured by mode."""

    def __init__(self, path):
        self.mode = "good"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(path)
        self.socket.listen(64)
        self.kept = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                c, _ = self.socket.accept()
            except OSError:
                return
            self.kept.append(c)
            threading.Thread(target=self.answer, args=(c,), daemon=True).start()

    def answer(self, c):
        text = {
            "good": b"1776163200:c2VjcmV0/+=\n",
            "no line end": b"1776163200:c2VjcmV0",
            "crlf": b"1776163200:c2VjcmV0\r\nmore\n",
            "empty": b"",
            "empty line": b"\n",
            "no colon": b"1776163200\n",
            "tab": b"17761\t:x\n",
            "long": b"x" * 4000,
        }
        try:
            if self.mode == "hang":
                return
            if self.mode == "drip":
                while True:
                    c.sendall(b"1")
                    time.sleep(0.3)
            c.sendall(text[self.mode])
            c.close()
        except OSError:
            pass

    def close(self):
        for c in self.kept:
            c.close()
        self.socket.close()


def test_turn():
    with RelayDir() as d, role(d) as r, DictClient(d.sock) as c:
        key = VALUES + "turn"
        is_(c.lookup(key), ("N", ""), "turn: no socket")
        server = TurnServer(d.settings["turn_socket_path"])
        value = f"{d.domain}:3478:1776163200:c2VjcmV0"
        is_(c.lookup(key), ("O", value + "/+="), "turn: credentials")
        for mode in ("no line end", "crlf"):
            server.mode = mode
            is_(c.lookup(key), ("O", value), f"turn: {mode}")
        for mode in ("empty", "empty line", "no colon", "tab", "long"):
            server.mode = mode
            is_(c.lookup(key), ("N", ""), f"turn: {mode}")
        hanging = {}
        for mode in ("hang", "drip"):
            server.mode = mode
            hanging[mode] = DictClient(d.sock)
            start = time.monotonic()
            hanging[mode].command("L", key, "")
            time.sleep(0.3)
        server.mode = "good"
        is_(c.lookup(key), ("O", value + "/+="), "turn: others do not wait")
        for mode, waiting in hanging.items():
            is_(waiting.reply(), ("N", ""), f"turn: {mode}")
        between(time.monotonic() - start, 4, 7, "turn: N after 5 seconds")
        gone = DictClient(d.sock)
        server.mode = "hang"
        gone.command("L", key, "")
        time.sleep(0.2)
        gone.close()
        server.close()
        os.unlink(d.settings["turn_socket_path"])
        is_(c.lookup(key), ("N", ""), "turn: socket is gone again")
        is_(r.log().count("TURN credentials from"), 10, "a line for each failure")
        stops(r)


def test_turn_ipv4():
    with RelayDir(domain="198.51.100.7") as d, role(d), DictClient(d.sock) as c:
        server = TurnServer(d.settings["turn_socket_path"])
        like(c.lookup(VALUES + "turn")[1], "198.51.100.7:3478:1", "turn: IPv4 relay")
        user = d.add_user("a")
        is_(user, "a@[198.51.100.7]", "an address of an IPv4 relay")
        is_(c.set_one(user, TOKENS, "t")[0], "O", "may have a token")
        is_(c.lookup(TOKENS, user), ("O", "t"), "and get it")
        server.close()


# ---- tokens ------------------------------------------------------------------


def test_tokens():
    with RelayDir() as d, role(d) as r, DictClient(d.sock) as c:
        user, other = d.add_user("a"), d.add_user("b")
        is_(c.lookup(TOKENS, user), ("O", ""), "no token: empty")
        is_(c.set_one(user, TOKENS, "one"), ("O", ["1"]), "set a token")
        is_(c.set_one(user, TOKENS, "openpgp:wV4D/+="), ("O", ["2"]), "and another")
        is_(c.lookup(TOKENS, user), ("O", "one openpgp:wV4D/+="), "both are there")
        is_(c.set_one(user, TOKENS, "one"), ("O", ["3"]), "again the first")
        is_(c.lookup(TOKENS, user), ("O", "one openpgp:wV4D/+="), "in the same order")
        is_(c.lookup(TOKENS, other), ("O", ""), "none for the other user")
        stored = d.read_metadata(user)
        is_(list(stored), ["devicetoken"], "the file's keys")
        between(
            stored["devicetoken"]["one"], time.time() - 60, time.time() + 1, "the time"
        )
        is_(c.unset_one(user, TOKENS), ("O", ["4"]), "NIL removes the entry")
        is_(c.lookup(TOKENS, user), ("O", ""), "all tokens of it")
        long = "x" * 4096
        is_(c.set_one(user, TOKENS, long)[0], "O", "4096 bytes")
        is_(c.lookup(TOKENS, user), ("O", long), "come back")
        log = r.log()
        ok("openpgp:" not in log and "xxxx" not in log, "no token in the log")


def test_bad_sets():
    with RelayDir() as d, role(d) as r, DictClient(d.sock) as c:
        user = d.add_user("a", ["kept"])
        os.mkdir(d.join("mail", ".dot@" + d.domain))
        for value in ("", "a b", "a\tb", "a\nb", 'a"b', "a\\b", "ä", "x" * 4097):
            is_(c.set_one(user, TOKENS, value)[0], "F", f"token {value[:8]!r}: F")
        for key in (f"priv/{GUID}/comment", f"shared/{GUID}/devicetoken", "x", ""):
            is_(c.set_one(user, key, "v")[0], "F", f"set of {key!r}: F")
            is_(c.unset_one(user, key)[0], "F", f"unset of {key!r}: F")
        is_(c.unset_one(user, NEW)[0], "F", "unset of messagenew: F")
        for bad in (
            "",
            "a",
            "a@other.example",
            f"../a@{d.domain}",
            f"a/../../x@{d.domain}",
            f"a@b@{d.domain}",
            f".dot@{d.domain}",
            "x" * 5000 + "@" + d.domain,
        ):
            is_(c.set_one(bad, TOKENS, "t")[0], "F", f"user {bad[:20]!r}: F")
        ident = c.begin(user)
        c.set(ident, TOKENS, "new")
        c.set(ident, f"priv/{GUID}/comment", "v")
        is_(c.commit(ident)[0], "F", "a good and a bad change: F")
        c.command("A", c.begin(user, "9"), TOKENS, "1")
        is_(c.commit("9")[0], "F", "an increment: F")
        is_(c.commit("77")[0], "F", "an unknown transaction: F")
        is_(c.lookup(TOKENS, user), ("O", "kept"), "nothing was changed")
        names = sorted(os.listdir(d.mailboxes))
        is_(
            names,
            [".dot@" + d.domain, user, "pending_notifications"],
            "no mailbox came into being",
        )
        fresh = f"fresh@{d.domain}"
        is_(c.set_one(fresh, TOKENS, "t")[0], "O", "a mailbox that is gone")
        is_(c.lookup(TOKENS, fresh), ("O", "t"), "is made again, as upstream does")
        like(r.log(), "unknown key", "the log says why")
        is_(c.lookup(TOKENS, f"nobody@{d.domain}"), ("O", ""), "unknown user: none")
        is_(c.lookup(TOKENS, "../a"), ("N", ""), "bad user: N")


def test_old_files():
    now = int(time.time())
    with RelayDir() as d, role(d) as r, DictClient(d.sock) as c:
        user = d.add_user("list", metadata='{"devicetoken": ["o1", "o2"], "k": [1]}')
        is_(c.lookup(TOKENS, user), ("O", "o1 o2"), "a list of tokens")
        data = d.read_metadata(user)
        ok(data["k"] == [1] and set(data["devicetoken"]) == {"o1", "o2"}, "migrated")
        times = {
            "old": now - 90 * DAY - 5,
            "ok": now - 90 * DAY + 60,
            "near": now + 50,
            "far": now + 90,
            "text": "x",
            "a b": now,
        }
        user = d.add_user("b", metadata=json.dumps({"devicetoken": times, "k": 1}))
        is_(c.lookup(TOKENS, user), ("O", "ok near"), "90 days, one minute")
        data = d.read_metadata(user)
        ok(data["k"] == 1 and len(data["devicetoken"]) == 2, "the others are gone")
        for name, text in {
            "cut": '{"devicetoken": {"a"',
            "empty": "",
            "number": "7",
            "binary": "\x00\xff\x00",
            "deep": "[" * 200000,
        }.items():
            user = d.add_user(name, metadata=text)
            is_(c.lookup(TOKENS, user), ("O", ""), f"{name} file counts as empty")
            is_(c.set_one(user, NEW)[0], "O", f"{name} file: a message")
            with open(d.metadata_path(user), encoding="latin-1") as f:
                same = f.read() == text.encode().decode("latin-1")
            ok(same, f"{name} file is not touched by reading")
            is_(c.set_one(user, TOKENS, "t")[0], "O", f"{name} file: set")
            is_(c.lookup(TOKENS, user), ("O", "t"), f"{name} file: a new one")
        like(r.log(), "counts as empty", "with a warning")
        user = d.add_user("many", [f"t{i}" for i in range(150)])
        is_(len(c.lookup(TOKENS, user)[1].split(" ")), 100, "at most 100 tokens")


def test_unreadable():
    with RelayDir() as d, role(d), DictClient(d.sock) as c:
        user = d.add_user("a")
        os.mkdir(d.metadata_path(user))
        is_(c.lookup(TOKENS, user)[0], "F", "a file that cannot be read: F")
        is_(c.set_one(user, TOKENS, "t")[0], "F", "set: F")
        is_(c.set_one(user, NEW)[0], "F", "messagenew: F")
        ok(os.path.isdir(d.metadata_path(user)), "it is left")
        os.rmdir(d.metadata_path(user))
        with open(d.metadata_path(user), "w") as f:
            f.truncate(5 * 1024 * 1024)
        is_(c.set_one(user, TOKENS, "t")[0], "F", "a huge file: F")
        is_(os.path.getsize(d.metadata_path(user)), 5 * 1024 * 1024, "it is left")


def test_lock():
    with RelayDir() as d, role(d) as r, DictClient(d.sock) as c:
        user, other = d.add_user("a", ["t"]), d.add_user("b")
        lock = open(d.metadata_path(user) + ".lock", "w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = [DictClient(d.sock) for _ in range(20)]
        start = time.monotonic()
        for w in waiting:
            ident = w.begin(user)
            w.set(ident, TOKENS, "new")
            w.command("C", ident)
        for i in range(20):
            c.set_one(other, TOKENS, f"t{i}")
        is_(len(c.lookup(TOKENS, other)[1].split(" ")), 20, "locked: others go on")
        between(time.monotonic() - start, 0, 3, "at once")
        is_({w.commit_reply()[0] for w in waiting}, {"F"}, "after 5 seconds: F")
        between(time.monotonic() - start, 4.5, 8, "time of the wait")
        ident = c.begin(user)
        c.set(ident, TOKENS, "late")
        c.command("C", ident)
        time.sleep(0.5)
        lock.close()
        is_(c.commit_reply()[0], "O", "a lock that is given back")
        is_(c.lookup(TOKENS, user), ("O", "t late"), "only that one was set")
        stops(r)


# ---- the protocol ------------------------------------------------------------


def test_iterate():
    with RelayDir() as d, role(d), DictClient(d.sock) as c:
        user = d.add_user("a")
        priv, shared = f"priv/{GUID}/", f"shared/{GUID}/"
        is_(c.iterate(priv, user), [], "no token: no row")
        c.set_one(user, TOKENS, "t")
        is_(c.iterate(priv, user), [(TOKENS, "")], "one row for tokens")
        is_(c.iterate(priv + "device", user), [(TOKENS, "")], "beginning of a key")
        is_(c.iterate(priv + "x", user), [], "another key")
        is_(c.iterate(priv, "../x"), [], "a bad user")
        names = [k[len(VALUES) :] for k, _ in c.iterate(shared, user)]
        want = "irohrelay turn maxsmtprecipients maxmessagesize appversions"
        is_(names, want.split(), "rows for the relay's values")
        is_(len(c.iterate(VALUES, user)), 5, "from their folder on")
        is_(c.iterate(VALUES + "i", user), [(VALUES + "irohrelay", "")], "one of them")
        for path in ("", "x", "shared", "priv/", "other/" + GUID + "/"):
            is_(c.iterate(path, user), [], f"nothing in {path!r}")


def test_framing():
    with RelayDir() as d, role(d) as r:
        user = d.add_user("a")
        lookup = f"L{TOKENS}\t{user}\n"
        text = (
            f"H3\t2\t0\t\tx\nB1\t{user}\nS1\t{TOKENS}\tabc\nC1\n{lookup}"
            f"B2\t{user}\t0\nT2\t1\t2\nV2\tno\nU2\t{TOKENS}\nC2\n{lookup}"
        )
        with DictClient(d.sock, hello=None) as c:
            for byte in text.encode():
                c.send(bytes([byte]))
            got = [c.recv_line() for _ in range(4)]
            is_(got, ["O1", "Oabc", "O2", "O"], "a byte at a time")
        with DictClient(d.sock, hello=None) as c:
            c.send(text)
            got = [c.recv_line() for _ in range(4)]
            is_(got, ["O1", "Oabc", "O2", "O"], "all in one write")
            c.send(lookup * 3000)
            got = {c.recv_line() for _ in range(3000)}
            is_(got, {"O"}, "3000 lookups in one write")
        with DictClient(d.sock) as c:
            for line in (
                f"B5\t{user}",
                f"S5\t{TOKENS}\tfive",
                f"B6\t{user}",
                f"S6\tshared/{GUID}/x\tsix",
                "C5",
                "C6",
            ):
                c.send(line + "\n")
            is_(c.recv_line(), "O5", "interleaved transactions: the first")
            is_(c.recv_line(), "F6\tunknown key", "and the second")
            is_(c.lookup(TOKENS, user), ("O", "five"), "only the first has effect")
            ident = c.begin(user)
            c.set(ident, TOKENS, "six")
            c.rollback(ident)
            is_(c.commit(ident)[0], "F", "rolled back")
            c.set(c.begin(user), TOKENS, "seven")
        with DictClient(d.sock) as c:
            is_(c.lookup(TOKENS, user), ("O", "five"), "closed in mid-transaction")
            c.send("L" + "\x01t\x011" + "\t" + user + "\n")
            is_(c.reply(), ("N", ""), "escapes in a key")
            ident = c.begin(user)
            c.send(f"S{ident}\tpriv/x\x01/y/devicetoken\tx\n")
            is_(c.commit(ident)[0], "F", "an escaped slash is a slash: other key")
            c.send(f"L{VALUES}maxsmtprecipients\n")
            is_(c.reply(), ("O", "1000"), "no user field (2.3.16)")
        for name, data in {
            "an endless line": b"L" + b"x" * 300000,
            "a NUL byte": b"Lpriv/\x00\n",
            "too few fields": b"S1\n",
            "an empty line": b"\n",
        }.items():
            with DictClient(d.sock) as c:
                try:
                    c.send(data)
                except OSError:
                    pass
                ok(c.is_closed(), f"{name}: closed")
        with DictClient(d.sock) as c:
            c.send("X1\n" + lookup)
            is_(c.recv_line(), "Ofive", "an unknown command is passed over")
            c.send(lookup * 2)
            c.sock.shutdown(socket.SHUT_WR)
            is_([c.recv_line() for _ in range(3)], ["Ofive"] * 2 + [None], "half-closed")
        idle, busy = DictClient(d.sock), DictClient(d.sock)
        busy.set(busy.begin(user), TOKENS, "late")
        wait_for(lambda: False, 0.1)
        stops(r)
        ok(idle.is_closed() and busy.is_closed(), "sessions are closed")


def test_reload():
    with RelayDir(iroh_relay="https://one.example") as d:
        with role(d) as r, DictClient(d.sock) as c:
            key = VALUES + "irohrelay"
            d.write_ini(iroh_relay="https://two.example")
            r.hup()
            new = ("O", "https://two.example")
            ok(wait_for(lambda: c.lookup(key) == new), "SIGHUP: the new value")
            for name, text in {
                "no domain": "[params]\n",
                "bad value": f"[params]\nmail_domain={d.domain}\nmax_message_size=x\n",
                "no INI": "\x00{",
            }.items():
                count = r.log().count("keeping the old configuration")
                with open(d.ini, "w") as f:
                    f.write(text)
                r.hup()
                ok(
                    wait_for(
                        lambda: r.log().count("keeping the old configuration") > count
                    ),
                    f"SIGHUP with {name}: said",
                )
                is_(c.lookup(key), new, f"SIGHUP with {name}: the old value")
            stops(r)


def test_start():
    with RelayDir() as d:
        os.rmdir(d.mailboxes)
        try:
            role(d).kill()
            ok(False, "no mailboxes_dir: ends")
        except RuntimeError as e:
            like(str(e), "mailboxes_dir", "no mailboxes_dir: ends and says so")


def test_many_connections():
    with RelayDir() as d, role(d) as r:
        user = d.add_user("a", ["t"])
        clients = [DictClient(d.sock) for _ in range(400)]
        for c in clients:
            c.command("L", TOKENS, user)
        is_({c.reply() for c in clients}, {("O", "t")}, "400 connections")
        stops(r)


TESTS = [v for k, v in list(globals().items()) if k.startswith("test_")]
for test in TESTS:
    test()
done()
