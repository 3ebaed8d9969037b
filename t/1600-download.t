#!/usr/bin/env python3
"""Files with a known hash, from web servers that do not all behave."""
import concurrent.futures
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import tap
from fileserver import FileServer, archive, sha256

PROGRAM = os.path.join(os.environ.get("BUILD", "build"), "t/unit/download")
CONTENTS = random.Random(1600).randbytes(1_500_000)
OTHER = random.Random(1601).randbytes(1_500_000)
OLD = b"the old program"


class Place:
    """Where a download goes; an old file is there."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="chatmail-download-")
        self.path = self.dir + "/bin/program"
        self.work, self.cache = self.dir + "/work", self.dir + "/cache"
        os.mkdir(self.dir + "/bin")
        os.mkdir(self.cache)
        with open(self.path, "wb") as f:
            f.write(OLD)
        os.chmod(self.path, 0o700)
        self.inode = os.stat(self.path).st_ino

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        shutil.rmtree(self.dir)

    def argv(self, url, data, options):
        return [PROGRAM, url, sha256(data), self.path, "work=" + self.work,
                *["%s=%s" % item for item in options.items()]]

    def get(self, url, data=CONTENTS, env=None, **options):
        """Result, error, [(have, total)]."""
        done = subprocess.run(
            self.argv(url, data, options), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=300,
            env={**clean_env(), **(env or {})})
        head, _, rest = done.stdout.partition("result ")
        result, _, error = rest.partition("\n")
        steps = [tuple(map(int, line.split()[1:]))
                 for line in head.splitlines() if line.startswith("progress ")]
        if done.returncode != 0:
            tap.diag(done.stdout)
            return None, done.stdout, steps
        return int(result), error, steps

    def is_new(self, name, data=CONTENTS):
        with open(self.path, "rb") as f:
            same = f.read() == data
        mode = os.stat(self.path).st_mode & 0o7777
        tap.ok(same and mode == 0o755, name)
        tap.is_((os.listdir(self.dir + "/bin"), self.left()),
                (["program"], []), name + ": nothing is left over")

    def is_old(self, name):
        with open(self.path, "rb") as f:
            text = f.read()
        st = os.stat(self.path)
        tap.is_((text, st.st_ino, st.st_mode & 0o7777, os.listdir(
            self.dir + "/bin")), (OLD, self.inode, 0o700, ["program"]),
            name + ": the old file is left alone")

    def left(self):
        return sorted(os.listdir(self.work)) \
            if os.path.exists(self.work) else []

    def part(self):
        with open(self.work + "/program.part", "rb") as f:
            return f.read()


def clean_env():
    return {k: v for k, v in os.environ.items()
            if not k.lower().endswith("_proxy")}


def new_server(**rules):
    s = FileServer()
    s.files.update({"/program": CONTENTS, "/program.tar.gz":
                    archive(CONTENTS)})
    s.rules.update({"/" + path: list(r) for path, r in rules.items()})
    return s


def asked(server):
    return [(wanted, if_range) for _, _, wanted, if_range, _ in server.seen]


# ---- as it should be ------------------------------------------------------------------

def test_plain():
    s = new_server()
    with Place() as p:
        result, error, steps = p.get(s.url("/program"))
        tap.is_((result, error), (1, ""), "a file is got")
        p.is_new("a file")
        size = len(CONTENTS)
        tap.ok(len(steps) > 2 and steps[-1] == (size, size) and
               steps == sorted(steps), "it is told how far it is")
        count = len(s.seen)
        tap.is_(p.get(s.url("/program"))[0], 0, "again: it is there")
        tap.is_(len(s.seen), count, "and the server is not asked")
        os.chmod(p.path, 0o640)
        tap.is_(p.get(s.url("/program"))[0], 0, "its mode is not right")
        p.is_new("its mode")
    with Place() as p:
        os.remove(p.path)
        os.rmdir(p.dir + "/bin")
        tap.is_(p.get(s.url("/program"))[0], 1, "nothing was there before")
        p.is_new("nothing before")
    s.stop()


def test_archive():
    s = new_server()
    s.files["/wrong.tar.gz"] = archive(CONTENTS, "./programs")
    s.files["/cut.tar.gz"] = archive(CONTENTS)[:-500_000]
    with Place() as p:
        for path, part in (("/wrong.tar.gz", "no file program"),
                           ("/cut.tar.gz", "cut short")):
            result, error, _ = p.get(s.url(path), member="program")
            tap.is_(result, -1, path + " is refused")
            tap.like(error, part, "it says why")
            p.is_old(path)
            tap.is_(p.left(), [], path + " is not kept")
        result, error, _ = p.get(s.url("/program.tar.gz"), member="program")
        tap.is_((result, error), (1, ""), "a file in an archive")
        p.is_new("out of an archive")
    s.stop()


# ---- what is wrong --------------------------------------------------------------------

def test_wrong_hash():
    s = new_server(program=[{"data": OTHER}])
    with Place() as p:
        result, error, _ = p.get(s.url("/program"))
        tap.is_(result, -1, "another file is refused")
        tap.like(error, "SHA-256 %s instead of %s" % (
            sha256(OTHER), sha256(CONTENTS)), "it says which it has")
        p.is_old("another file")
        tap.is_(p.left(), [], "and not kept")
        tap.is_(len(s.seen), 1, "nor got twice")
        s.rules.clear()
        tap.is_(p.get(s.url("/program"))[0], 1, "the right one is taken then")
        p.is_new("the right one")
    s.rules["/program.tar.gz"] = [{"data": archive(OTHER)}]
    with Place() as p:
        result, error, _ = p.get(s.url("/program.tar.gz"), member="program")
        tap.is_((result, "instead of" in error), (-1, True),
                "another file in an archive is refused")
        p.is_old("another file in an archive")
    s.stop()


def test_running():
    """A program that runs keeps running, from its old file."""
    s = new_server(program=[{"data": OTHER}, {}])
    with Place() as p:
        shutil.copy("/bin/sleep", p.path)
        with subprocess.Popen([p.path, "600"]) as child:
            tap.is_(p.get(s.url("/program"))[0], -1, "while it runs: refused")
            tap.is_(os.readlink("/proc/%d/exe" % child.pid), p.path,
                    "the program runs on")
            tap.is_(p.get(s.url("/program"))[0], 1, "while it runs: replaced")
            tap.is_(child.poll(), None, "the program still runs")
            child.kill()
        p.is_new("while it runs")
    s.stop()


def test_refused():
    cases = [
        ("404", {"status": 404}, "404", 1),
        ("403", {"status": 403}, "403", 1),
        ("503", {"status": 503}, "503", 2),
        ("204, which has no file", {"status": 204}, "204", 1),
        ("a part that nobody wanted", {"status": 206}, "", None),
        ("a redirect without end", {"location": "/program"}, "redirects", 11),
        ("a redirect to a file of the disk", {"location": "file:///etc/hosts"},
         "", 1),
        ("a redirect to FTP", {"location": "ftp://127.0.0.1/program"}, "", 1),
        ("an empty file", {"data": b""}, sha256(b""), 1),
    ]
    for name, rule, part, count in cases:
        s = new_server(program=[rule])
        with Place() as p:
            result, error, _ = p.get(s.url("/program"))
            tap.is_(result, -1, name)
            tap.ok(part in error and s.url("/program") in error,
                   name + ": " + error)
            if count:
                tap.is_(len(s.seen), count, name + ": how often it was asked")
            p.is_old(name)
            tap.is_(p.left(), [], name + ": nothing is kept")
        s.stop()
    with Place() as p:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = "http://127.0.0.1:%d/program" % free.getsockname()[1]
            result, error, _ = p.get(url)
        tap.ok(result == -1 and error, "nobody answers: " + error)
        result, error, _ = p.get("http://nobody.invalid/program")
        tap.ok(result == -1 and "nobody.invalid" in error,
               "no such server: " + error)
        p.is_old("nobody answers")


def test_size():
    for name, rule, options in (
            ("told beforehand", {}, {"size_max": 1_499_999}),
            ("not told", {"bare": 1}, {"size_max": 1_499_999})):
        s = new_server(program=[rule])
        with Place() as p:
            result, error, _ = p.get(s.url("/program"), **options)
            tap.is_(result, -1, "larger than it may be, " + name)
            tap.like(error, "larger than it may be", "it says so")
            p.is_old("too large")
        s.stop()
    s = new_server()
    small = archive(bytes(1_500_000))
    s.files["/program.tar.gz"] = small
    with Place() as p:
        result, error, _ = p.get(s.url("/program.tar.gz"), bytes(1_500_000),
                                 member="program", size_max=1_499_999)
        tap.ok(len(small) < 1_000_000 and result == -1,
               "larger than it may be, out of its archive: " + error)
        p.is_old("too large out of its archive")
    s.stop()


# ---- going on ----------------------------------------------------------------------------

def test_cut():
    s = new_server(program=[{"cut": 400_000}, {"cut": 300_000}, {}])
    with Place() as p:
        result, error, steps = p.get(s.url("/program"))
        tap.is_((result, error), (1, ""), "cut twice")
        tap.is_([wanted for wanted, _ in asked(s)],
                [None, "bytes=400000-", "bytes=700000-"],
                "it goes on where it was")
        etag = '"%s"' % sha256(CONTENTS)[:16]
        tap.is_([mark for _, mark in asked(s)], [None, etag, etag],
                "if the file is the same")
        p.is_new("cut twice")
    s.stop()
    modified = "Mon, 02 Nov 2026 10:00:00 GMT"
    for name, rule, mark in (
            ("a weak ETag", {"etag": 'W/"x"'}, None),
            ("a weak ETag, and a time", {"etag": 'W/"x"',
                                         "modified": modified}, modified),
            ("a time", {"etag": "", "modified": modified}, modified),
            ("no mark at all", {"etag": ""}, None)):
        s = new_server(program=[{**rule, "cut": 400_000}, rule])
        with Place() as p:
            tap.is_(p.get(s.url("/program"))[:2], (1, ""), "cut, " + name)
            tap.is_(asked(s)[1:], [("bytes=400000-", mark)],
                    name + ": what is asked for")
            p.is_new(name)
        s.stop()


def cut_run(p, s, data=b""):
    """A run that got no further than 400 000 bytes."""
    s.rules["/program"] = [{"cut": 400_000, **({"data": data} if data else {})},
                           {"status": 503}]
    result = p.get(s.url("/program"))[0]
    tap.is_((result, len(p.part())), (-1, 400_000), "a run is cut")
    p.is_old("a run is cut")
    s.seen.clear()


def test_next_run():
    """The second run's server, requests after the first one, what is asked."""
    cases = [
        ("goes on", [{}], 1),
        ("ignores Range", [{"no_range": 1}], 1),
        ("has another file now, and looks at If-Range", [
            {"etag": '"new"'}], 1),
        ("has another file now, and does not look at If-Range", [
            {"etag": '"new"', "no_if_range": 1}], 2),
        ("sends another part", [{"shift": 1000}, {}], 2),
        ("has nothing so far", [{"status": 416}, {}], 2),
        ("is cut again", [{"cut": 1000}, {}], 2),
        ("comes back later", [{"status": 500}, {}], 2),
    ]
    for name, rules, count in cases:
        s = new_server()
        with Place() as p:
            cut_run(p, s)
            s.rules["/program"] = rules
            tap.is_(p.get(s.url("/program"))[:2], (1, ""),
                    "the server %s: the file is got" % name)
            tap.is_((len(s.seen), s.seen[0][2]), (count, "bytes=400000-"),
                    name + ": what is asked for")
            p.is_new(name)
        s.stop()
    s = new_server()
    with Place() as p:
        cut_run(p, s)
        tap.is_(p.get(s.url("/program.tar.gz"), member="program")[:2], (1, ""),
                "another URL")
        tap.is_(asked(s), [(None, None)], "begins at its beginning")
        p.is_new("another URL")
    s.stop()


def test_wrong_part():
    """What was there is not of this file, and no mark tells."""
    s = new_server()
    with Place() as p:
        cut_run(p, s, data=OTHER)
        with open(p.work + "/program.part.from", "w") as f:
            f.write(s.url("/program") + "\n\n")
        s.rules.clear()
        tap.is_(p.get(s.url("/program"))[:2], (1, ""), "a wrong part")
        tap.is_([wanted for wanted, _ in asked(s)], ["bytes=400000-", None],
                "is thrown away when the hash is wrong")
        p.is_new("a wrong part")
    with Place() as p:
        os.mkdir(p.work)
        for name, data in (("program.part", CONTENTS),
                           ("program.part.from", s.url("/program").encode())):
            with open(p.work + "/" + name, "wb") as f:
                f.write(data + b"\n" * (name != "program.part"))
        s.seen.clear()
        tap.is_(p.get(s.url("/program"))[:2], (1, ""), "a whole part")
        tap.is_(len(s.seen), 1, "is enough")
        p.is_new("a whole part")
    with Place() as p:
        cut_run(p, s)
        s.rules["/program"] = [{"data": OTHER, "no_if_range": 1, "etag": ""}]
        result, error, _ = p.get(s.url("/program"))
        tap.ok(result == -1 and "SHA-256" in error,
               "a part, and then another file: refused")
        tap.is_((p.left(), len(s.seen)), ([], 2), "it is got anew once")
        p.is_old("a part, and then another file")
    s.stop()


def test_killed():
    s = new_server(program=[{"hang": 700_000}])
    with Place() as p:
        with subprocess.Popen(p.argv(s.url("/program"), CONTENTS, {}),
                              stdout=subprocess.DEVNULL,
                              env=clean_env()) as child:
            end = time.monotonic() + 60
            while time.monotonic() < end and not (
                    os.path.exists(p.work + "/program.part") and
                    len(p.part()) == 700_000):
                time.sleep(.02)
            child.kill()
        tap.is_(child.returncode, -signal.SIGKILL, "killed")
        p.is_old("killed")
        s.rules.clear()
        s.seen.clear()
        tap.is_(p.get(s.url("/program"))[:2], (1, ""), "the next run")
        tap.is_(asked(s)[0][0], "bytes=700000-", "goes on where that was")
        p.is_new("after a kill")
    s.stop()


def test_stall():
    """A server stops in the middle, before its answer's body, before it."""
    some, none = new_server(program=[{"hang": 500_000}, {}]), new_server(
        program=[{"hang": 0}])
    with Place() as p, Place() as q, Place() as r, socket.socket() as mute, \
            concurrent.futures.ThreadPoolExecutor() as pool:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        urls = (some.url("/program"), none.url("/program"),
                "http://127.0.0.1:%d/program" % mute.getsockname()[1])
        runs = [pool.submit(place.get, url, stall=1)
                for place, url in zip((p, q, r), urls)]
        results = [run.result() for run in runs]
        tap.is_(results[0][:2], (1, ""),
                "nothing comes any more: asked again")
        tap.is_(asked(some)[1][0], "bytes=500000-", "for the rest")
        p.is_new("after a stall")
        for place, (result, error, _), name in zip(
                (q, r), results[1:], ("nothing comes", "not even an answer")):
            tap.ok(result == -1 and "too slow" in error, name + ": " + error)
            place.is_old(name)
    some.stop()
    none.stop()


# ---- redirects, TLS, proxies ----------------------------------------------------------------

def test_redirect():
    s, other = new_server(), new_server()
    s.rules["/program"] = [{"location": "/step", "status": 301}]
    s.rules["/step"] = [{"location": other.url("/program"), "status": 307}]
    other.rules["/program"] = [{"cut": 400_000}, {}]
    with Place() as p:
        tap.is_(p.get(s.url("/program"))[:2], (1, ""), "redirects, and a cut")
        tap.is_((len(s.seen), asked(other)), (4, [
            (None, None), ("bytes=400000-", '"%s"' % sha256(CONTENTS)[:16])]),
            "the rest comes from where the file is")
        p.is_new("redirects")
    s.stop()
    other.stop()


def make_certificate(d):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-keyout", d + "/key.pem",
         "-out", d + "/cert.pem", "-days", "30", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"], check=True,
        stderr=subprocess.DEVNULL)
    return d + "/cert.pem", d + "/key.pem"


def test_tls(pair):
    s, plain = FileServer(pair), new_server()
    s.files["/program"] = CONTENTS
    s.rules["/lower"] = [{"location": plain.url("/program")}]
    plain.rules["/higher"] = [{"location": s.url("/program")}]
    trusting = {"SSL_CERT_FILE": pair[0]}
    with Place() as p:
        result, error, _ = p.get(s.url("/program"))
        tap.ok(result == -1 and "certificate" in error,
               "an unknown certificate is refused: " + error)
        result, error, _ = p.get(s.url("/program", "127.0.0.1"), env=trusting)
        tap.ok(result == -1, "another name is refused: " + error)
        result, error, _ = p.get(s.url("/lower"), env=trusting)
        tap.is_((result, plain.seen), (-1, []),
                "HTTPS never leads to HTTP: " + error)
        p.is_old("HTTPS")
        tap.is_(p.get(plain.url("/higher"), env=trusting)[:2], (1, ""),
                "HTTP may lead to HTTPS")
        p.is_new("HTTPS")
    s.stop()
    plain.stop()


def test_proxy(pair):
    s, proxy = FileServer(pair), new_server()
    s.files["/program"] = CONTENTS
    address = proxy.url("")
    trusting = {"SSL_CERT_FILE": pair[0]}
    target = "localhost:%d" % s.port
    for name, env, options in (
            ("https_proxy", {"https_proxy": address}, {}),
            ("HTTPS_PROXY", {"HTTPS_PROXY": address}, {}),
            ("all_proxy", {"all_proxy": address}, {}),
            ("a setting", {}, {"proxy": address}),
            ("a setting, before the environment",
             {"https_proxy": "http://127.0.0.1:1"}, {"proxy": address})):
        proxy.seen.clear()
        with Place() as p:
            tap.is_(p.get(s.url("/program"), env={**trusting, **env},
                          **options)[:2], (1, ""), "proxy: " + name)
            tap.is_([r[:2] for r in proxy.seen], [("CONNECT", target)],
                    name + ": it is asked")
    for options in {}, {"proxy": address}:
        proxy.seen.clear()
        with Place() as p:
            tap.is_(p.get(s.url("/program"), env={
                **trusting, "https_proxy": address,
                "no_proxy": "localhost"}, **options)[:2], (1, ""),
                "no_proxy")
            tap.is_(proxy.seen, [], "no_proxy: it is not asked")
    with Place() as p:
        url = "http://far.example/program"
        tap.is_(p.get(url, env={"http_proxy": address})[:2], (1, ""),
                "http_proxy")
        tap.is_([r[1] for r in proxy.seen], [url], "http_proxy: it is asked")
        result, error, _ = p.get(s.url("/program"), data=OTHER, env={
            **trusting, "https_proxy": "http://127.0.0.1:1"})
        tap.ok(result == -1, "the proxy does not answer: " + error)
        p.is_new("no proxy")
    s.stop()
    proxy.stop()


# ---- a directory ----------------------------------------------------------------------------

def test_cache():
    s = new_server()
    with Place() as p:
        with open(p.cache + "/program.tar.gz", "wb") as f:
            f.write(archive(OTHER))
        tap.is_(p.get(s.url("/program.tar.gz"), member="program",
                      cache=p.cache)[:2], (1, ""),
                "what is in the directory is wrong: it comes by the network")
        p.is_new("not from the directory")
    s.seen.clear()
    with Place() as p:
        with open(p.cache + "/program.tar.gz", "wb") as f:
            f.write(archive(CONTENTS))
        tap.is_(p.get(s.url("/program.tar.gz"), member="program",
                      cache=p.cache)[:2], (1, ""), "from a directory")
        tap.is_(s.seen, [], "the network is not asked")
        p.is_new("from a directory")
        tap.is_(os.listdir(p.cache), ["program.tar.gz"],
                "the directory is left as it was")
    s.stop()


def main():
    began = time.monotonic()
    for test in (test_plain, test_archive, test_wrong_hash, test_running,
                 test_refused, test_size, test_cut, test_next_run,
                 test_wrong_part, test_killed, test_stall, test_redirect,
                 test_cache):
        start = time.monotonic()
        test()
        tap.diag("%s: %.1f s" % (test.__name__, time.monotonic() - start))
    with tempfile.TemporaryDirectory(prefix="chatmail-tls-") as d:
        pair = make_certificate(d)
        test_tls(pair)
        test_proxy(pair)
    tap.diag("%.1f s" % (time.monotonic() - began))
    tap.done()


main()
