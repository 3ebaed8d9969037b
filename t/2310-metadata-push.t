#!/usr/bin/env python3
"""The role metadata against notification servers: the queue, retries, HTTP/2."""
import http.server
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "lib"))
from dictclient import BINARY, DictClient, Role, wait_for
from relaydir import RelayDir
from tap import between, done, is_, like, ok, skip

TOKENS = "priv/43f5f508a7ea0366dff30200c15250e3/devicetoken"
NEW = "priv/43f5f508a7ea0366dff30200c15250e3/messagenew"


class PushServer:
    """Answers each POST by answer(token, number): a status, or "hang",
    "close", "garbage", "huge". got: [(time, token), ...]."""

    def __init__(self, answer=lambda token, number: 200, delay=0):
        self.answer = answer
        self.delay = delay
        self.got = []
        self.connections = 0
        self.paths = set()
        self.headers = []
        self.lock = threading.Lock()
        self.quit = threading.Event()
        push = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def do_POST(self):
                push.handle(self)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def process_request(self, request, address):
                push.connections += 1
                super().process_request(request, address)

            def handle_error(self, request, address):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/notify"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.quit.set()
        self.server.shutdown()
        self.server.server_close()

    def handle(self, h):
        now = time.monotonic()
        size = int(h.headers["Content-Length"])
        token = h.rfile.read(size).decode()
        if len(token) < size:  # the role was killed
            h.close_connection = True
            return
        with self.lock:
            number = sum(t == token for _, t in self.got)
            self.got.append((now, token))
            self.paths.add(h.path)
            self.headers.append({k.lower() for k in h.headers})
        time.sleep(self.delay)
        answer = self.answer(token, number)
        if answer == "hang":
            self.quit.wait(60)
        if answer == "garbage":
            h.wfile.write(b"\x00\x01 what?\r\n\r\n" * 10)
        if not isinstance(answer, int) and answer != "huge":
            h.close_connection = True
            return
        size = 3000000 if answer == "huge" else 2
        h.send_response(200 if answer == "huge" else answer)
        if answer == 302:
            h.send_header("Location", "/elsewhere")
        h.send_header("Content-Length", str(size))
        h.end_headers()
        h.wfile.write(b"x" * size)

    def tokens(self):
        with self.lock:
            return Counter(t for _, t in self.got)

    def times(self, token):
        with self.lock:
            return [when for when, t in self.got if t == token]


def role(d, **env):
    return Role(["metadata", d.sock, d.ini], d.sock, env)


def is_empty(d):
    return wait_for(lambda: not d.queue(), 30)


def put_item(d, name, text):
    os.makedirs(d.pending, exist_ok=True)
    with open(os.path.join(d.pending, name), "w") as f:
        f.write(text)


def hex_name(i):
    return f"{i:032x}"


# ---- delivery ----------------------------------------------------------------


def test_thousand():
    """Ten users with a hundred devices each, one message each."""
    with PushServer() as s, RelayDir(notification_url=s.url) as d:
        users = {
            d.add_user(f"u{u}", [f"openpgp:{u}.{i}+/=" for i in range(100)])
            for u in range(10)
        }
        with role(d) as r:
            clients = {u: DictClient(d.sock) for u in users}
            start = time.monotonic()
            for u, c in clients.items():
                ident = c.begin(u)
                c.set(ident, NEW)
                c.command("C", ident)
            is_({c.commit_reply()[0] for c in clients.values()}, {"O"}, "answered")
            between(time.monotonic() - start, 0, 5, "soon")
            ok(is_empty(d), "the queue empties")
            got = s.tokens()
            is_((len(got), set(got.values())), (1000, {1}), "each token once")
            is_(s.paths, {"/notify"}, "the path")
            ok(
                all(
                    h <= {"host", "accept", "user-agent", "content-length"}
                    for h in s.headers
                ),
                "no needless headers",
            )
            between(s.connections, 1, 16, "connections")
            is_(r.log().count("\n"), 1, "nothing but ready in the log")
            is_(r.stop(), 0, "exit code")


def test_nobody():
    with PushServer() as s, RelayDir(notification_url=s.url) as d, role(d) as r:
        c = DictClient(d.sock)
        is_(c.set_one(d.add_user("a"), NEW)[0], "O", "no token: nothing to do")
        is_(c.set_one(d.addr("nobody"), NEW)[0], "O", "no mailbox: the same")
        is_(c.set_one("x@elsewhere.example", NEW)[0], "F", "not ours: F")
        both = d.add_user("b", ["t1"])
        ident = c.begin(both)
        c.set(ident, NEW)
        c.set(ident, TOKENS, "t2")
        c.set(ident, NEW)
        is_(c.commit(ident)[0], "O", "two messages and a token between")
        ok(wait_for(lambda: len(s.got) == 3), "three notifications")
        is_(s.tokens(), Counter({"t1": 2, "t2": 1}), "in the order of the changes")
        is_(r.stop(), 0, "exit code")


def test_gone():
    answer = lambda token, number: 410 if token == "bad" else 200
    with PushServer(answer) as s, RelayDir(notification_url=s.url) as d:
        user = d.add_user("a", ["good", "bad"])
        with role(d), DictClient(d.sock) as c:
            c.set_one(user, NEW)
            ok(is_empty(d), "410: done")
            is_(c.lookup(TOKENS, user), ("O", "good"), "410: the token is removed")
            put_item(d, hex_name(1), "x@elsewhere.example\n1\nbad")
            is_(s.tokens(), Counter({"good": 1, "bad": 1}), "no retry")


def test_lost_answers():
    """What a 200 brings with it does not matter."""
    with PushServer(lambda t, n: "huge") as s, RelayDir(notification_url=s.url) as d:
        user = d.add_user("a", ["t1", "t2"])
        with role(d), DictClient(d.sock) as c:
            c.set_one(user, NEW)
            ok(is_empty(d), "a huge answer is an answer")
            is_(s.tokens(), Counter({"t1": 1, "t2": 1}), "once each")


def test_retries():
    """8, 64, 512, 4096 s after each failure, scaled; then no more."""
    scale = 0.002
    kinds = {"s500": 500, "s429": 429, "s404": 404, "s302": 302, "s201": 201}
    for kind in ("hang", "close", "garbage"):
        kinds[kind] = kind
    kinds["third"] = None

    def answer(token, number):
        if token == "third":
            return 200 if number == 2 else 503
        return kinds[token]

    with PushServer(answer) as s, RelayDir(notification_url=s.url) as d:
        user = d.add_user("a", kinds)
        with role(d, CHATMAIL_NOTIFY_SCALE=str(scale)) as r, DictClient(d.sock) as c:
            c.set_one(user, NEW)
            ok(is_empty(d), "retries: at last the queue is empty")
            counts = s.tokens()
            is_(counts.pop("third"), 3, "retries: taken at the third try")
            is_(counts, Counter({k: 5 for k in counts}), "retries: five tries each")
            for kind in counts:
                t = s.times(kind)
                gaps = [b - a for a, b in zip(t, t[1:])]
                lag = 60 * scale if kind == "hang" else 0
                for gap, want in zip(gaps, (8, 64, 512, 4096)):
                    between(
                        gap,
                        want * scale * 0.88 - 0.4,
                        want * scale * 1.12 + lag + 0.7,
                        f"{kind}: wait of {want} s",
                    )
            dropped = r.log().count("notification exceeded deadline")
            is_(dropped, len(counts), "retries: a line for each that is dropped")
            is_(s.paths, {"/notify"}, "a redirect is not followed")
            is_(c.lookup(TOKENS, user)[1].split(), list(kinds), "no token is lost")
            ok("s500" not in r.log(), "no token in the log")


def test_refused():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{s.getsockname()[1]}/"
    for where, name in ((url, "refused"), ("http://x.invalid/", "unknown host")):
        with RelayDir(notification_url=where) as d:
            user = d.add_user("a", ["t"])
            with role(d, CHATMAIL_NOTIFY_SCALE="0.0005") as r:
                DictClient(d.sock).set_one(user, NEW)
                ok(is_empty(d), f"{name}: dropped in the end")
                like(r.log(), "tries: 5", f"{name}: after five tries")


def test_deadline():
    now = int(time.time())
    with PushServer(lambda t, n: 500) as s, RelayDir(notification_url=s.url) as d:
        user = d.add_user("a")
        # with the scale: 0.8, 6.4 s after the failures
        put_item(d, hex_name(1), f"{user}\n{now - 5 * 3600 + 4}\nalmost")
        put_item(d, hex_name(2), f"{user}\n{now - 5 * 3600 - 5}\nover")
        with role(d, CHATMAIL_NOTIFY_SCALE="0.1") as r:
            ok(is_empty(d), "deadline: dropped")
            is_(s.tokens(), Counter({"almost": 2}), "deadline: tries before it")
            is_(r.log().count("exceeded deadline"), 2, "deadline: two lines")


def test_new_ones_pass():
    """A backlog that hangs does not hold up what is new."""
    slow = lambda t, n: "hang" if t.startswith("slow") else 200
    with PushServer(slow) as s, RelayDir(notification_url=s.url) as d:
        many = d.add_user("many", [f"slow{i}" for i in range(60)])
        user = d.add_user("a", ["t"])
        # a request may take 0.6 s; retries are due after 0.08 s
        with role(d, CHATMAIL_NOTIFY_SCALE="0.01"), DictClient(d.sock) as c:
            c.set_one(many, NEW)
            wait_for(lambda: len(s.tokens()) == 60)
            start = time.monotonic()
            for _ in range(8):
                c.set_one(user, NEW)
            ok(wait_for(lambda: s.tokens()["t"] == 8), "new ones pass retries")
            between(time.monotonic() - start, 0, 4, "in time")


# ---- the queue on disk ---------------------------------------------------------


def test_format():
    with RelayDir(notification_url="http://127.0.0.1:9/") as d:
        user = d.add_user("a", ["openpgp:xyz"])
        with role(d), DictClient(d.sock) as c:
            c.set_one(user, NEW)
            names = d.queue()
            with open(os.path.join(d.pending, names[0])) as f:
                lines = f.read().split("\n")
            ok(
                len(names[0]) == 32 and set(names[0]) <= set("0123456789abcdef"),
                "a file's name",
            )
            is_((lines[0], lines[2:]), (user, ["openpgp:xyz"]), "address and token")
            between(int(lines[1]), time.time() - 60, time.time(), "and time")


def test_requeue():
    now = int(time.time())
    with PushServer() as s, RelayDir(notification_url=s.url) as d:
        user = d.add_user("a")
        for i in range(700):
            put_item(d, hex_name(i), f"{user}\n{now}\nt{i}")
        bad = {
            "1203981203": "",
            hex_name(1000): "",
            hex_name(1001): user,
            hex_name(1002): f"{user}\n{now}",
            hex_name(1003): f"{user}\nx\nt",
            hex_name(1004): f"{user}\n{now}\nwith space",
            hex_name(1005): f"{user}\n{now}\n" + "x" * 9000,
            hex_name(1006) + ".tmp": f"{user}\n{now}\nunfinished",
            "1203981203.tmp": "",
        }
        for name, text in bad.items():
            put_item(d, name, text)
        os.mkdir(os.path.join(d.pending, hex_name(2000)))
        with role(d) as r, DictClient(d.sock) as c:
            user = d.add_user("b", ["fresh"])
            c.set_one(user, NEW)
            ok(wait_for(lambda: d.queue() == [hex_name(2000)]), "queue taken in")
            got = s.tokens()
            is_((len(got), set(got.values())), (701, {1}), "each once")
            is_(r.log().count("removing spurious"), len(bad), "a line for each bad one")
            is_(r.log().count("leaving unreadable"), 1, "a directory is left")


def test_kill():
    """SIGKILL while requests are on the wire and others wait."""
    with PushServer(delay=0.03) as s, RelayDir(notification_url=s.url) as d:
        user = d.add_user("a", [f"a{i}" for i in range(100)])
        other = d.add_user("b", [f"b{i}" for i in range(100)])
        with role(d), DictClient(d.sock) as c:
            is_(c.set_one(user, NEW)[0], "O", "kill: a message")
            is_(c.set_one(other, NEW)[0], "O", "kill: another")
            wait_for(lambda: len(s.got) >= 60)
        between(len(s.tokens()), 60, 199, "kill: in the middle")
        with role(d):
            ok(is_empty(d), "kill: the rest is sent after a restart")
        got = s.tokens()
        is_(len(got), 200, "kill: none is lost")
        between(sum(got.values()), 200, 216 + 16, "kill: only those on the wire twice")


def test_kill_at_commits():
    """What was answered before SIGKILL arrives."""
    with PushServer() as s, RelayDir(notification_url=s.url) as d:
        users = [d.add_user(f"u{i}", [f"t{i}"]) for i in range(400)]
        answered = []

        def send(c):
            try:
                for i, u in enumerate(users):
                    if c.set_one(u, NEW) is None:
                        return
                    answered.append(f"t{i}")
            except OSError:
                pass

        with role(d):
            t = threading.Thread(target=send, args=(DictClient(d.sock),))
            t.start()
            wait_for(lambda: len(answered) > 100)
        t.join()
        between(len(answered), 100, 400, "kill at commits: some were answered")
        with role(d):
            ok(is_empty(d), "kill at commits: queue empties")
        ok(set(answered) <= set(s.tokens()), "kill at commits: all of them arrive")


def test_term():
    with PushServer(lambda t, n: "hang") as s, RelayDir(notification_url=s.url) as d:
        user = d.add_user("a", [f"t{i}" for i in range(50)])
        with role(d) as r, DictClient(d.sock) as c:
            c.set_one(user, NEW)
            wait_for(lambda: len(s.got) == 16)
            is_(len(s.got), 16, "term: one request for each connection")
            start = time.monotonic()
            is_(r.stop(), 0, "term: exit code")
            between(time.monotonic() - start, 0, 5, "term: within five seconds")
            is_(len(d.queue()), 50, "term: all files stay")
        s.answer = lambda t, n: 200
        with role(d) as r:
            ok(is_empty(d), "term: sent after a restart")
            start = time.monotonic()
            is_(r.stop(), 0, "term: exit code")
            between(time.monotonic() - start, 0, 2, "term: at once when idle")


def test_reload():
    with PushServer(lambda t, n: 500) as old, PushServer() as new:
        with RelayDir(notification_url=old.url) as d:
            user = d.add_user("a", ["t"])
            with role(d, CHATMAIL_NOTIFY_SCALE="0.05") as r:
                DictClient(d.sock).set_one(user, NEW)
                wait_for(lambda: len(old.got) == 2)
                d.write_ini(notification_url=new.url)
                r.hup()
                ok(is_empty(d), "SIGHUP: the retry goes to the new URL")
                is_(new.tokens(), Counter({"t": 1}), "SIGHUP: once")


def test_no_queue():
    with PushServer() as s, RelayDir(notification_url=s.url) as d:
        user = d.add_user("a", ["t"])
        with role(d) as r, DictClient(d.sock) as c:
            shutil.rmtree(d.pending)
            is_(c.set_one(user, NEW)[0], "F", "no queue directory: F")
            like(r.log(), "pending_notifications", "said why")
            with open(d.pending, "w"):
                pass
            is_(c.set_one(user, NEW)[0], "F", "a file in its place: F")
            is_(c.lookup(TOKENS, user), ("O", "t"), "tokens are as they were")
            os.unlink(d.pending)
            os.mkdir(d.pending)
            is_(c.set_one(user, NEW)[0], "O", "there again")
            ok(wait_for(lambda: len(s.got) == 1), "and sent")


def test_disk_full():
    """A file system of 256 KB in a mount namespace of the role's own."""
    with RelayDir(notification_url="http://127.0.0.1:9/") as d:
        script = f"mount -t tmpfs -o size=256k none {d.mailboxes}"
        if subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True).returncode:
            skip("a full disk", "no right to mount a file system")
            return
        user = d.addr("a")
        script += f" && mkdir {d.mailboxes}/{user} && exec {BINARY} metadata {d.sock} {d.ini}"
        args = ["-m", "sh", "-c", script]
        with Role(args, d.sock, binary="unshare") as r, DictClient(d.sock) as c:
            tokens, reply = [], ("O",)
            while reply[0] == "O" and len(tokens) < 100:
                tokens.append(f"{len(tokens):04d}" * 1000)
                reply = c.set_one(user, TOKENS, tokens[-1])
            is_(reply[0], "F", "disk full: set of a token: F")
            kept = c.lookup(TOKENS, user)[1].split()
            is_(kept, tokens[:-1], "disk full: the tokens before are kept")
            replies = [c.set_one(user, NEW)[0] for _ in range(20)]
            is_(replies[-1], "F", "disk full: messagenew: F")
            like(r.log(), "No space left", "disk full: said why")
            is_(c.lookup(TOKENS, user)[1].split(), kept, "disk full: still the same")
            root = f"/proc/{r.pid}/root{d.pending}"
            sizes = {os.path.getsize(os.path.join(root, n)) for n in os.listdir(root)}
            is_(len(sizes), 1, "disk full: whole files only")


# ---- HTTP/2 --------------------------------------------------------------------


def make_certificate(d):
    ca, key, csr, cert = (d.join(n) for n in ("ca.pem", "key.pem", "csr", "cert.pem"))
    with open(d.join("ext"), "w") as f:
        f.write("subjectAltName=IP:127.0.0.1\n")
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for args in (
        [*new, "-x509", "-keyout", d.join("ca.key"), "-out", ca, "-subj", "/CN=Test CA"],
        [*new, "-keyout", key, "-out", csr, "-subj", "/CN=127.0.0.1"],
        ["openssl", "x509", "-req", "-in", csr, "-CA", ca, "-CAkey", d.join("ca.key"),
         "-CAcreateserial", "-extfile", d.join("ext"), "-out", cert],
    ):
        subprocess.run(args, check=True, capture_output=True)
    return ca, key, cert


class Nghttpd:
    def __init__(self, d, key, cert):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        os.mkdir(d.join("www"))
        with open(d.join("www", "notify"), "w") as f:
            f.write("ok")
        self.log = open(d.join("nghttpd.log"), "w+b")
        self.process = subprocess.Popen(
            ["nghttpd", "-v", "-a", "127.0.0.1", "-d", d.join("www"), str(self.port), key, cert],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
        )
        wait_for(self.is_up)

    def is_up(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def text(self):
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), size, 0).decode("utf-8", "replace")

    def close(self):
        self.process.kill()
        self.process.wait()


def test_http2():
    if not shutil.which("nghttpd") or not shutil.which("openssl"):
        skip("HTTP/2", "nghttpd (package nghttp2-server) or openssl is missing")
        return
    with RelayDir() as d:
        ca, key, cert = make_certificate(d)
        server = Nghttpd(d, key, cert)
        d.write_ini(notification_url=f"https://127.0.0.1:{server.port}/notify")
        users = [d.add_user(f"u{u}", [f"{u}.{i}" for i in range(100)]) for u in range(4)]
        try:
            with role(d, CHATMAIL_NOTIFY_SCALE="0.01") as r, DictClient(d.sock) as c:
                c.set_one(d.add_user("x", ["t"]), NEW)
                ok(r.wait_log("request failed"), "an unknown authority is refused")
            is_(server.text().count(":method: POST"), 0, "and gets no token")
            for name in d.queue():
                os.unlink(os.path.join(d.pending, name))
            with role(d, SSL_CERT_FILE=ca) as r, DictClient(d.sock) as c:
                for u in users:
                    c.set_one(u, NEW)
                ok(is_empty(d), "HTTP/2: the queue empties")
                text = server.text()
                posts = [l for l in text.splitlines() if ":method: POST" in l]
                is_(len(posts), 400, "HTTP/2: 400 requests")
                is_(len({l.split("]")[0] for l in posts}), 1, "HTTP/2: one connection")
                is_(r.log().count("failed"), 0, "HTTP/2: no failure")
                is_(r.stop(), 0, "exit code")
        finally:
            server.close()


TESTS = [v for k, v in list(globals().items()) if k.startswith("test_")]
for test in TESTS:
    test()
done()
