#!/usr/bin/env python3
"""The figures of the roles after known traffic, and the collector: texts that
Prometheus takes, roles that do not answer, SCGI, files."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import promtext
import tap
from dictclient import DictClient
from role import CHATMAIL, Role, write_ini
from smtptest import Client, Sink, encrypted, free_port, plain

DOMAIN = "chat.test"
ROLES = ["doveauth", "lastlogin", "metadata", "filtermail-outgoing",
         "filtermail-incoming", "dkim"]
USER = f"user12345@{DOMAIN}"
MTAIL = os.path.join(HERE, "../conf-templates/mtail/chatmail.mtail")

top = tempfile.mkdtemp(prefix="metrics-")
mail, figures = f"{top}/mail", f"{top}/figures"
os.makedirs(mail)
os.makedirs(figures)


def ini(**settings):
    return write_ini(f"{top}/chatmail.ini", DOMAIN, mailboxes_dir=mail,
                     metrics_dir=figures, nocreate_file=f"{top}/nocreate",
                     **settings)


def wait_for(what, secs=10):
    end = time.time() + secs
    while not what() and time.time() < end:
        time.sleep(.01)
    return what()


def connect(s, path, secs=10):
    """The file may be there a moment before somebody listens."""
    end = time.monotonic() + secs
    while True:
        try:
            return s.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            if time.monotonic() > end:
                raise
            time.sleep(.02)


def ask(path):
    """All that comes from a unix socket."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        connect(s, path)
        return b"".join(iter(lambda: s.recv(65536), b"")).decode()


def as_prometheus(text):
    """OpenMetrics of ours in the older format: counters by their full names."""
    counters = re.findall(r"^# TYPE (\S+) counter$", text, re.M)
    for name in counters:
        text = re.sub(rf"^# (TYPE|HELP) {name} ", rf"# \1 {name}_total ", text,
                      flags=re.M)
    text = re.sub(r"^# (UNIT .*|EOF)\n", "", text, flags=re.M)
    return text.replace(" unknown\n", " untyped\n")


def values(role):
    """A role's samples; its text is right."""
    path = f"{figures}/{role}.metrics"
    wait_for(lambda: os.path.exists(path))
    text = ask(path)
    tap.ok(text.endswith("\n# EOF\n"), f"{role}: a whole answer")
    samples, mistakes = promtext.read(as_prometheus(text))
    tap.is_(mistakes, [], f"{role}: without mistakes")
    return samples


def check(role, want):
    got = values(role)
    for name, value in want.items():
        tap.is_(got.get(name), value, f"{role}: {name}")
    return got


def run(*args):
    p = subprocess.run([CHATMAIL, "metrics", *args, f"{top}/chatmail.ini"],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       text=True, timeout=30)
    return p.returncode, p.stdout, p.stderr


def count_log(log):
    """What mtail would make of these lines: its patterns, its counters."""
    with open(MTAIL) as f:
        rules = re.findall(r"^/(.*)/ \{\n((?:.*\n)*?)^\}", f.read(), re.M)
    counts = {}
    for line in log.splitlines():
        for pattern, body in rules:
            m = re.search(pattern.replace(r"\/", "/"), line)
            inner = re.search(r"(\S+) =~ /(.*)/ \{\s+(\w+)\+\+\s+\} else "
                              r"\{\s+(\w+)\+\+\s+\}", body) if m else None
            if inner:
                hit = re.search(inner[2], m["address"])
                name = inner[3] if hit else inner[4]
                counts[name] = counts.get(name, 0) + 1
                body = body.replace(inner[0], "")
            for name in re.findall(r"(\w+)\+\+", body) if m else []:
                counts[name] = counts.get(name, 0) + 1
    return counts


def check_mtail(role, samples, log):
    """Names without the prefix are mtail's; the log gives the same."""
    # as the journal prints it
    log = re.sub(r"^", "2026-11-21T08:00:00+0000 host ", log, flags=re.M)
    counts = count_log(log)
    ours = {n: v for n, v in samples.items() if not n.startswith("chatmail_")}
    tap.is_({n: counts.get(n, 0) for n in ours}, ours,
            f"{role}: mtail counts the same from the log")
    tap.ok(any(ours.values()), "and counts something")


# ---- the roles ---------------------------------------------------------------------

def test_doveauth():
    ini(password_min_length=9)
    sock = f"{top}/doveauth.socket"
    role = Role(["doveauth", sock, f"{top}/chatmail.ini"], path=sock)
    c = DictClient(sock)

    def login(addr, password="longenough"):
        return c.lookup(f'shared/passdb/{password}"{addr}', addr)

    kinds = [("user12345", "longenough"), ("ci-123456", "longenough"),
             ("user12345", "longenough"), ("other1234", "short"),
             ("x", "longenough"), ("UPPER!!!!", "longenough")]
    for name, password in kinds:
        login(f"{name}@{DOMAIN}", password)
    c.lookup(f"shared/userdb/{USER}", USER)
    open(f"{top}/nocreate", "w").close()
    login(f"late12345@{DOMAIN}")
    os.unlink(f"{top}/nocreate")
    ini(min_free_disk_space="1000000G")
    role.process.send_signal(signal.SIGHUP)
    role.wait_log("configuration read again")
    login(f"late12345@{DOMAIN}")
    A = "chatmail_accounts_refused_total"
    got = check("doveauth", {
        'chatmail_accounts_created_total{kind="user"}': 1,
        'chatmail_accounts_created_total{kind="ci"}': 1,
        A + '{reason="password"}': 1, A + '{reason="localpart"}': 2,
        A + '{reason="nocreate"}': 1, A + '{reason="resources"}': 1,
        A + '{reason="failure"}': 0, A + '{reason="address"}': 0,
        'chatmail_auth_lookups_total{type="passdb"}': 8,
        'chatmail_auth_lookups_total{type="userdb"}': 1,
        'chatmail_connections{role="doveauth"}': 1})
    start = got['chatmail_start_time_seconds{role="doveauth"}']
    tap.between(start, time.time() - 60, time.time(), "the start")
    tap.between(got['chatmail_loop_lag_max_seconds{role="doveauth"}'], 1e-7,
                10, "the loop's longest turn")
    tap.between(got['chatmail_loop_turns_total{role="doveauth"}'], 8, 1000,
                "the loop's turns")
    more = values("doveauth")
    tap.ok(more['chatmail_loop_busy_seconds_total{role="doveauth"}'] >
           got['chatmail_loop_busy_seconds_total{role="doveauth"}'],
           "the loop's work grows")
    tap.is_(os.stat(f"{figures}/doveauth.metrics").st_mode & 0o777, 0o660,
            "for owner and group")
    c.close()
    role.stop()
    tap.ok(not os.path.exists(f"{figures}/doveauth.metrics"),
           "the socket goes with the role")
    check_mtail("doveauth", got, role.log)


def test_lastlogin():
    ini()
    sock = f"{top}/lastlogin.socket"
    role = Role(["lastlogin", sock, f"{top}/chatmail.ini"], path=sock)
    c = DictClient(sock)
    for key, value in [(USER, "1000000"), (f"gone12345@{DOMAIN}", "1000000"),
                       (USER, "x"), ("a@other.test", "5")]:
        t = c.begin(USER)
        c.set(t, "shared/last-login/" + key, value)
        c.commit(t)
    check("lastlogin", {f'chatmail_logins_total{{result="{k}"}}': v for k, v in
                        [("noted", 1), ("gone", 1), ("refused", 2),
                         ("failed", 0)]})
    c.close()
    role.stop()


class Push(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers = {"good": 200, "gone": 410, "bad": 500}

    def do_POST(self):
        token = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.send_response(self.answers[token])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_metadata():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Push)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ini(notification_url=f"http://127.0.0.1:{server.server_port}/notify")
    sock = f"{top}/metadata.socket"
    role = Role(["metadata", sock, f"{top}/chatmail.ini"], path=sock)
    c = DictClient(sock)
    for key, value in [("devicetoken", "good"), ("devicetoken", "gone"),
                       ("devicetoken", "bad"), ("messagenew", ""),
                       ("unknown", "x")]:
        t = c.begin(USER)
        c.set(t, "priv/123abc/" + key, value)
        c.commit(t)
    N = "chatmail_notifications_"
    path = f"{figures}/metadata.metrics"
    wait_for(lambda: f"\n{N}retried_total 1\n" in ask(path) and
             f"\n{N}waiting 1\n" in ask(path))
    check("metadata", {
        N + "sent_total": 1, N + "retried_total": 1, N + "dropped_total": 0,
        N + "waiting": 1, N + "on_wire": 0,
        "chatmail_tokens_removed_total": 1,
        'chatmail_metadata_changes_total{result="done"}': 4,
        'chatmail_metadata_changes_total{result="refused"}': 1})
    c.close()
    role.stop()
    server.shutdown()


def test_filtermail(way):
    sink, port = Sink(), free_port()
    out = way == "outgoing"
    suffix = "" if out else "_incoming"
    ini(**{"filtermail_smtp_port" + suffix: port,
           "postfix_reinject_port" + suffix: sink.port,
           "max_user_send_burst_size": 3, "max_user_send_per_minute": 1})
    role = Role(["filtermail", f"{top}/chatmail.ini", way], port=port)
    name = "filtermail-" + way
    c = Client(port)
    good = encrypted(USER, "b@other.test")
    bad = plain(USER, "b@other.test")
    rcpt = "b@other.test" if out else f"missing12@{DOMAIN}"
    c.message(USER, [rcpt], good)
    c.message(USER, [rcpt], bad)
    sink.replies["dot"] = "451 4.3.0 later"
    c.message(USER, [rcpt], good)
    c.message(USER, [rcpt], good)       # too much, when outgoing
    W = f'direction="{way}"'
    M = f"chatmail_filtered_messages_total{{{W},verdict="
    want = {
        M + '"encrypted"}': 2 if out else 3,
        f'chatmail_reinjected_messages_total{{{W},answer="accepted"}}':
            len(sink.complete()) - (1 if out else 2),
        f'chatmail_reinjected_messages_total{{{W},answer="refused"}}':
            1 if out else 2,
        f"{way}_encrypted_mail_count": 2 if out else 3,
        f"{way}_unencrypted_mail_count": 1,
        f"filtered_{way}_mail_count": 3 if out else 4}
    if out:
        want[M + '"unencrypted"}'] = want["rejected_unencrypted_mail_count"] = 1
        want['chatmail_senders_refused_total{reason="rate"}'] = 1
    got = check(name, want)
    tap.between(got[f"chatmail_filtered_bytes_total{{{W}}}"], 2 * len(good),
                3 * len(good) + len(bad), f"{name}: bytes")
    tap.is_(got[f'chatmail_connections{{role="{name}"}}'], 1,
            f"{name}: connections")
    c.close()
    role.stop()
    check_mtail(name, got, role.log)


def test_dkim():
    from dkimtest import RsaKey
    from dnsserver import DnsServer
    from milterclient import MilterClient
    os.makedirs(f"{top}/keys")
    with open(f"{top}/keys/opendkim.private", "wb") as f:
        f.write(RsaKey().pem)
    sock = f"{top}/dkim.socket"
    message = (f"From: <{USER}>\r\nTo: <b@other.test>\r\nSubject: x\r\n"
               "Date: Sat, 21 Nov 2026 08:00:00 +0000\r\n"
               "Message-ID: <1@x>\r\n\r\nbody\r\n").encode()
    with DnsServer() as dns:
        ini(dkim_dns_server=dns.address)
        role = Role(["dkim", "--socket", sock, "--keys", f"{top}/keys",
                     f"{top}/chatmail.ini"], path=sock)
        for daemon, raw in [("ORIGINATING", message), ("IN", message),
                            ("ORIGINATING",
                             message.replace(b"@chat.test>", b"@x.test>", 1))]:
            with MilterClient(sock) as m:
                m.connect(macros={"{daemon_name}": daemon})
                m.message("<x@other.test>", raw, macros={"i": "4Q"})
        got = check("dkim", {
            'chatmail_dkim_signed_messages_total{result="signed"}': 1,
            'chatmail_dkim_signed_messages_total{result="refused"}': 1,
            'chatmail_dkim_verified_messages_total{verdict="unsigned"}': 1,
            "chatmail_dkim_signatures_total": 1, "dkim_signed": 1})
        role.stop()
    check_mtail("dkim", got, role.log)


def test_places():
    """Where the socket is."""
    write_ini(f"{top}/plain.ini", DOMAIN, mailboxes_dir=mail)
    os.makedirs(f"{top}/own")
    os.makedirs(f"{top}/runtime")
    sock = f"{top}/own/lastlogin.socket"
    for name, env, path in [
            ("beside its own", {}, f"{top}/own/lastlogin.metrics"),
            ("in systemd's directory",
             {"RUNTIME_DIRECTORY": f"{top}/runtime:/run/other"},
             f"{top}/runtime/lastlogin.metrics")]:
        role = Role(["lastlogin", sock, f"{top}/plain.ini"], path=sock, env=env)
        tap.ok(wait_for(lambda: os.path.exists(path)), name)
        tap.like(ask(path), "# EOF", "answers")
        tap.is_(role.stop(), 0, "ends")
    port = free_port()
    write_ini(f"{top}/plain.ini", DOMAIN, filtermail_smtp_port=port)
    role = Role(["filtermail", f"{top}/plain.ini", "outgoing"], port=port)
    role.stop()
    tap.ok("metrics" not in role.log, "nowhere for filtermail by hand, quietly")
    write_ini(f"{top}/plain.ini", DOMAIN, filtermail_smtp_port=port,
              metrics_dir=f"{top}/none")
    role = Role(["filtermail", f"{top}/plain.ini", "outgoing"], port=port)
    tap.ok(role.wait_log("no metrics: listening on "),
           "a directory that is not there is told")
    role.stop()


def test_clients():
    """Nobody who asks holds up the role."""
    ini()
    sock, path = f"{top}/lastlogin.socket", f"{figures}/lastlogin.metrics"
    role = Role(["lastlogin", sock, f"{top}/chatmail.ini"], path=sock)
    wait_for(lambda: os.path.exists(path))
    lazy = []
    for _ in range(200):
        s = socket.socket(socket.AF_UNIX)
        connect(s, path)
        lazy.append(s)
    try:
        lazy[0].sendall(b"x" * 100000)
    except OSError:
        pass                    # answered and closed already
    for s in lazy[100:]:
        s.close()
    tap.like(ask(path), 'chatmail_connections{role="lastlogin"} 0\n',
             "who asks for figures is not counted")
    tap.is_(role.stop(), 0, "SIGTERM while they do not read")
    for s in lazy[:100]:
        s.close()


# ---- the collector -----------------------------------------------------------------

class Fake:
    """A socket in a role's place; behaves as answer(connection) does."""

    def __init__(self, role, answer):
        self.path = f"{figures}/{role}.metrics"
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.s = socket.socket(socket.AF_UNIX)
        self.s.bind(self.path)
        self.s.listen(5)
        self.answer = answer
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                c, _ = self.s.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(c,), daemon=True).start()

    def one(self, c):
        try:
            self.answer(c)
        except OSError:
            pass
        c.close()

    def close(self):
        self.s.close()
        os.unlink(self.path)


def say(text):
    return lambda c: c.sendall(text if isinstance(text, bytes) else
                               text.encode())


def drip(c):
    for _ in range(100):
        c.sendall(b"# TYPE a gauge\n")
        time.sleep(.1)


def endless(c):
    while True:
        c.sendall(b"# TYPE a gauge\n" * 1000)


GOOD = ("# TYPE filtered counter\n# HELP filtered Sum.\n"
        "filtered_total{a=\"b\"} 2\n# EOF\n")
BAD = [
    ("hangs", lambda c: time.sleep(5)),
    ("drips", drip),
    ("endless", endless),
    ("garbage", say(os.urandom(5000))),
    ("HTTP", say("HTTP/1.1 200 OK\r\n\r\n" + GOOD)),
    ("half", say(GOOD[:-6])),
    ("nothing", say("")),
    ("another type", say(GOOD.replace("counter", "gauge"))),
]


def test_bad_roles():
    ini()
    for name, answer in BAD:
        fakes = [Fake("doveauth", say(GOOD)), Fake("lastlogin", say(GOOD)),
                 Fake("metadata", answer)]
        begin = time.time()
        code, out, err = run("--prometheus")
        took = time.time() - begin
        samples, mistakes = promtext.read(out)
        tap.is_((code, mistakes), (0, []), f"a role that is bad: {name}")
        tap.is_([samples[f'chatmail_up{{role="{r}"}}'] for r in ROLES],
                [1, 1, 0, 0, 0, 0], "who is up")
        tap.is_(samples['filtered_total{a="b"}'], 4, "the others are summed up")
        tap.like(err, "metrics: metadata: ", "it is told")
        tap.ok(took < 4, "in time") or tap.diag(took)
        for fake in fakes:
            fake.close()
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(f"{figures}/dkim.metrics")
    stale.close()
    out = run()[1]
    tap.like(out, 'chatmail_up{role="dkim"} 0\n', "a dead socket")
    os.unlink(f"{figures}/dkim.metrics")
    tap.ok("newemail" not in out, "newemail may be missing")
    fake = Fake("newemail", say("x"))
    tap.like(run()[1], 'chatmail_up{role="newemail"} 0\n', "but not be bad")
    fake.close()


def promtool(text, what):
    if not shutil.which("promtool"):
        tap.skip("promtool accepts " + what, "not installed")
        return
    p = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    tap.is_((p.returncode, p.stdout), (0, ""), "promtool accepts " + what)


def test_output():
    sock = f"{top}/lastlogin.socket"
    role = Role(["lastlogin", sock, f"{top}/chatmail.ini"], path=sock)
    wait_for(lambda: os.path.exists(f"{figures}/lastlogin.metrics"))
    code, out, _ = run("--fsreport")
    samples, mistakes = promtext.read(as_prometheus(out))
    tap.is_((code, mistakes, out.endswith("\n# EOF\n")), (0, [], True),
            "OpenMetrics")
    tap.is_(samples['chatmail_accounts{kind="all"}'], 2, "with fsreport's")
    code, out, _ = run("--fsreport", "--prometheus")
    tap.is_((code, promtext.read(out)[1]), (0, []), "Prometheus' format")
    promtool(out, "it")
    tap.ok("chatmail_accounts{" not in run()[1], "without fsreport")
    data = json.loads(run("--json")[1])
    tap.is_(data["chatmail_up"][1],
            {"labels": {"role": "lastlogin"}, "value": 1}, "JSON")

    os.makedirs(f"{top}/text")
    path = f"{top}/text/chatmail.prom"
    tap.is_(run("--textfile", f"{top}/text")[0], 0, "--textfile DIRECTORY")
    with open(path) as f:
        tap.is_(promtext.read(f.read())[1], [], "has Prometheus' format")
    tap.is_(os.stat(path).st_mode & 0o777, 0o644, "and all may read it")
    halves, over = [], threading.Event()

    def watch():
        while not over.is_set():
            with open(path) as f:
                text = f.read()
            if not text.endswith("} 1\n") or promtext.read(text)[1]:
                halves.append(text)

    reader = threading.Thread(target=watch)
    reader.start()
    for _ in range(30):
        run("--textfile", path)
    over.set()
    reader.join()
    tap.is_(halves, [], "it is never seen half")
    tap.is_(os.listdir(f"{top}/text"), ["chatmail.prom"], "nothing is left")
    tap.is_(run("--textfile", f"{top}/none/x")[0], 1, "a path that is not there")
    for args in ["--json", "--prometheus"], ["--textfile", "x", "--json"], \
            ["x"]:
        tap.is_(run(*args)[0], 2, "wrong usage: " + " ".join(args))
    return role


# ---- SCGI --------------------------------------------------------------------------

def scgi(sock, body=b"", **headers):
    head = {"CONTENT_LENGTH": len(body), "SCGI": 1, **headers}
    block = b"".join(f"{k}\0{v}\0".encode() for k, v in head.items())
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(sock)
        s.sendall(b"%d:%s,%s" % (len(block), block, body))
        data = b"".join(iter(lambda: s.recv(65536), b"")).decode()
    head, _, text = data.partition("\r\n\r\n")
    return head, text


def test_scgi():
    sock = f"{top}/metrics.socket"
    role = Role(["metrics", "--socket", sock, "--fsreport",
                 f"{top}/chatmail.ini"], path=sock)
    head, text = scgi(sock, REQUEST_METHOD="GET")
    tap.like(head, "Content-Type: text/plain; version=0.0.4", "SCGI")
    tap.is_(promtext.read(text)[1], [], "Prometheus' format")
    head, text = scgi(sock, REQUEST_METHOD="GET", HTTP_ACCEPT=
                      "application/openmetrics-text;version=1.0.0,*/*;q=0.1")
    tap.like(head, "Content-Type: application/openmetrics-text; version=1.0.0",
             "OpenMetrics to who takes it")
    tap.ok(text.endswith("# EOF\n"), "whole")
    tap.ok(wait_for(lambda: 'chatmail_accounts{kind="all"} 2\n' in
                    scgi(sock)[1]), "fsreport's figures come")
    tap.like(scgi(sock, REQUEST_METHOD="POST")[0], "Status: 405", "POST")
    tap.like(scgi(sock, b"x" * 5000)[0], "Status: 413", "a long body")
    fake = Fake("metadata", lambda c: time.sleep(5))
    answers, threads = [], []
    for _ in range(50):
        threads.append(threading.Thread(
            target=lambda: answers.append(scgi(sock)[1])))
        threads[-1].start()
    with socket.socket(socket.AF_UNIX) as gone:
        gone.connect(sock)
        gone.sendall(b"24:CONTENT_LENGTH\0000\0SCGI\0001\0,")
    for t in threads:
        t.join()
    up = 'chatmail_up{role="lastlogin"} 1\n'
    tap.is_(sum(up in a for a in answers), 50, "50 at once, a role hangs")
    late = threading.Thread(target=lambda: answers.append(scgi(sock)[1]))
    late.start()
    time.sleep(.3)
    tap.is_(role.stop(), 0, "SIGTERM while one waits")
    late.join()
    tap.like(answers[-1], up, "who is answered all the same")
    fake.close()


def main():
    try:
        test_doveauth()
        test_lastlogin()
        test_metadata()
        test_filtermail("outgoing")
        test_filtermail("incoming")
        test_dkim()
        test_places()
        test_clients()
        test_bad_roles()
        role = test_output()
        test_scgi()
        role.stop()
    finally:
        shutil.rmtree(top)
    tap.done()


main()
