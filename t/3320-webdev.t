#!/usr/bin/env python3
"""webdev: pages are built again as they change, a mistake is shown in them,
and nothing else of the disk is."""
import atexit
import html
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import role
import tap

SECS = 20       # for what a busy machine does when it gets to it
top = tempfile.mkdtemp(prefix="chatmail-test-")
os.environ.pop("CHATMAIL_INI", None)


def at(*names):
    return os.path.join(top, *names)


def put(path, text):
    """As an editor saves: in place, or by a new file that is renamed."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if random.random() < .5:
        with open(path, "w") as f:
            f.write(text)
        return
    with open(path + "~", "w") as f:
        f.write(text)
    os.rename(path + "~", path)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def connect(port):
    s = socket.create_connection(("127.0.0.1", port), SECS)
    s.settimeout(SECS)
    return s


def receive(s):
    data = b""
    while True:
        try:
            chunk = s.recv(65536)
        except ConnectionResetError:    # there was more than it wanted
            return data
        if not chunk:
            return data
        data += chunk


def raw(port, request):
    """The whole answer to these bytes."""
    s = connect(port)
    try:
        s.sendall(request)
    except (BrokenPipeError, ConnectionResetError):
        pass
    data = receive(s)
    s.close()
    return data


def get(port, path, method="GET"):
    """Status, headers in lower case, body."""
    data = raw(port, ("%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n" %
                      (method, path)).encode())
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(s.lower().split(": ", 1) for s in lines[1:])
    return int(lines[0].split()[1]), headers, body


def page(port, path="/"):
    """Status and text of a page as a reader sees it."""
    status, _, body = get(port, path)
    return status, html.unescape(body.decode())


class Events:
    """An open page: it knows the build that it shows."""
    def __init__(self, port):
        self.s = connect(port)
        self.s.sendall(b"GET /.webdev/events HTTP/1.1\r\n\r\n")
        self.file = self.s.makefile("rb")
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            self.head += self.file.readline()
        self.build = self.next()

    def next(self):
        """The next build's name; None when the connection ends or none
        comes."""
        line = b"\n"
        while line:
            try:
                line = self.file.readline()
            except OSError:
                return None
            if line.startswith(b"data: "):
                return line[6:].strip().decode()
        return None

    def close(self):
        self.file.close()
        self.s.close()


class Webdev:
    def __init__(self, *args, cwd=top, **env):
        self.process = subprocess.Popen(
            [role.CHATMAIL, "webdev", *args], cwd=cwd, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={**os.environ, **env})
        atexit.register(self.process.kill)      # also when the test dies
        self.log = ""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.url = self.process.stdout.readline().strip()
        m = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/", self.url)
        if not m:
            raise RuntimeError("did not start: " + self.log)
        self.port = int(m[1])

    def read(self):
        for line in self.process.stderr:
            self.log += line

    def said(self, text):
        end = time.monotonic() + SECS
        while text not in self.log and time.monotonic() < end:
            time.sleep(.02)
        return text in self.log

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        try:
            code = self.process.wait(SECS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = "did not end"
        self.reader.join(5)
        return code


def until(check, events, what):
    """Builds follow until the check holds: a change may come in two."""
    end = time.monotonic() + SECS
    while not check():
        if time.monotonic() > end:
            tap.ok(False, what)
            return
        events.next()
    tap.ok(True, what)


def make_pages():
    put(at("pages/src/index.md"), "# Hello {{ config.mail_domain }}\n")
    put(at("pages/src/info.md"), "# Info\n\n{% if config.webdev %}dev{% endif "
        "%}\n")
    put(at("pages/src/page-layout.html"),
        "<html><body>{{ markdown_html }}</BODY></html>\n")
    put(at("pages/src/main.css"), "body { color: #123 }\n")
    put(at("pages/src/de/index.md"), "<!-- language: Deutsch -->\n# Hallo\n")
    put(at("secret"), "secret")
    role.write_ini(at("chatmail.ini"), "chat.example.org",
                   www_folder=at("pages"))


def test_pages(w):
    status, headers, body = get(w.port, "/")
    tap.is_(status, 200, "the first page")
    text = body.decode()
    tap.like(text, "<h1>Hello chat.example.org</h1>", "is there")
    tap.ok(re.search(r'<script src="/\.webdev/reload\.js" data-build="[-\d]+">'
                     r'</script>\n</BODY>', text), "with a script at its end")
    tap.is_(headers["content-length"], str(len(body)), "has its length")
    tap.is_(headers["content-type"], "text/html; charset=utf-8", "its type")
    tap.like(page(w.port, "/info.html?x=1")[1], "<p>dev</p>", "another page")
    tap.like(page(w.port, "/de/")[1], "Hallo", "one of a directory")
    status, headers, body = get(w.port, "/", "HEAD")
    tap.is_((status, headers["content-length"], body),
            (200, str(len(text.encode())), b""), "HEAD")
    for path, type, part in [
            ("/main.css", "text/css; charset=utf-8", b"#123"),
            ("/.webdev/reload.js", "text/javascript; charset=utf-8",
             b"EventSource"),
            ("/qr-chatmail-invite-chat.example.org.svg", "image/svg+xml",
             b"<svg"),
            ("/qr-chatmail-invite-chat%2eexample.org.png", "image/png",
             b"\x89PNG")]:
        status, headers, body = get(w.port, path)
        tap.is_((status, headers["content-type"]), (200, type), path)
        tap.ok(part in body, "its contents")
    status, headers, body = get(w.port, "/none.html")
    tap.is_(status, 404, "no such page")
    tap.like(body.decode(), "reload.js", "appears by itself when it is there")
    tap.is_(get(w.port, "/none.css")[0], 404, "no such file")
    tap.is_(get(w.port, "/de")[0], 404, "a directory is no file")
    tap.is_(get(w.port, "/main.css/")[0], 404, "a file is no directory")


def test_requests(w):
    for path in ("/../secret", "/../../secret", "/%2e%2e/secret",
                 "/..%2f..%2fsecret", "/de/../../../secret",
                 "/%2e%2e/%2e%2e" + top + "/secret", "//etc/passwd",
                 "/%2fetc/passwd", "/.chatmail-www", "/de/%2e%2e/index.html",
                 "/..", "/.", "/\\..\\secret"):
        status, _, body = get(w.port, path)
        tap.ok(status in (400, 404) and b"secret\n" != body and
               b"root:" not in body, "%s is not there" % path)
    for what, request, want in [
            ("another method", b"POST /new HTTP/1.1\r\n\r\n", 405),
            ("a line that is no request", b"hello\r\n\r\n", 400),
            ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\n", 505),
            ("a NUL byte", b"GET /\0 HTTP/1.1\r\n\r\n", 400),
            ("a NUL byte, escaped", b"GET /%00 HTTP/1.1\r\n\r\n", 400),
            ("a path without end", b"GET /" + b"x" * 100000, 414),
            ("a header without end", b"GET / HTTP/1.1\r\nX: " + b"y" * 100000,
             431),
            ("headers without end", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 9999,
             431),
            ("an empty line first", b"\r\nGET / HTTP/1.1\r\n\r\n", 200),
            ("bare LF", b"GET / HTTP/1.0\n\n", 200),
            ("two requests at once", b"GET /info.html HTTP/1.1\r\n\r\n"
             b"GET / HTTP/1.1\r\n\r\n", 200)]:
        data = raw(w.port, request)
        tap.is_(data[:12].decode("utf-8", "replace"), "HTTP/1.1 %d" % want,
                "%s: %d" % (what, want))
        tap.is_(data.count(b"HTTP/1.1 "), 1, "and one answer")
    # slow ones hold up nobody
    slow = [connect(w.port) for _ in range(50)]
    for s in slow:
        s.sendall(b"GET / HT")
    tap.is_(get(w.port, "/")[0], 200, "slow clients hold up nobody")
    for byte in b"TP/1.1\r\n\r\n":
        slow[0].sendall(bytes([byte]))
        time.sleep(.01)
    tap.ok(b"Hello" in receive(slow[0]), "and are served in the end")
    for s in slow[1:]:
        s.close()
    s = connect(w.port)
    for byte in b"GET / HTTP/1.1\r\nX: ":
        s.sendall(bytes([byte]))
    end, data = time.monotonic() + 60, b""
    s.settimeout(.2)
    while time.monotonic() < end and not data:
        try:
            s.sendall(b"y")
            data = s.recv(100)
        except socket.timeout:
            pass
        except OSError:
            break
    tap.like(data.decode(), "HTTP/1.1 408", "but not for ever")
    s.close()


def test_changes(w):
    index = at("pages/src/index.md")
    e = Events(w.port)
    tap.like(e.head.decode(), "Content-Type: text/event-stream\r\n", "events")
    tap.like(page(w.port)[1], 'data-build="%s"' % e.build,
             "name the build that pages show")
    before = e.build
    put(index, "# Second\n")
    tap.ok(e.next() != before, "an event after a change")
    until(lambda: "Second" in page(w.port)[1], e, "the new page")

    put(index, "# Third\n\n{{ nothing<b> }}\n")
    until(lambda: page(w.port)[0] == 500, e, "a mistake")
    text = page(w.port)[1]
    tap.like(text, index + ":3: {{ }} needs one name", "is shown in the page")
    tap.ok(get(w.port, "/info.html")[0] == 500 and
           get(w.port, "/none.html")[0] == 500, "in every page")
    tap.is_(get(w.port, "/main.css")[0], 200, "files are still there")
    put(at("pages/src/page-layout.html"), "<b>&{{ markdown_html }}\n{% if %}")
    put(index, "# Fourth\n")
    until(lambda: "page-layout.html:2: if needs a name" in page(w.port)[1], e,
          "one mistake after the other")
    put(at("pages/src/page-layout.html"), "<p>&lt;{{ markdown_html }}")
    until(lambda: "Fourth" in page(w.port)[1], e, "and all is well again")
    tap.like(page(w.port)[1], "reload.js", "the script needs no </body>")

    put(at("pages/src/new.md"), "# New\n")
    until(lambda: get(w.port, "/new.html")[0] == 200, e, "a new page")
    put(at("pages/src/fr/a/deep.md"), "# Deep\n")
    until(lambda: get(w.port, "/fr/a/deep.html")[0] == 200, e,
          "one in new directories")
    put(at("pages/src/fr/a/deep.md"), "# Deeper\n")
    until(lambda: "Deeper" in page(w.port, "/fr/a/deep.html")[1], e,
          "that changes")
    os.rename(at("pages/src/fr"), at("pages/src/it"))
    until(lambda: get(w.port, "/it/a/deep.html")[0] == 200 and
          get(w.port, "/fr/a/deep.html")[0] == 404, e, "a moved directory")
    os.unlink(at("pages/src/new.md"))
    until(lambda: get(w.port, "/new.html")[0] == 404, e, "a page that goes")

    before = w.log.count("built")
    put(at("pages/src/.index.md.swp"), "x")
    put(at("pages/src/main.css"), "body { color: #456 }")
    until(lambda: b"#456" in get(w.port, "/main.css")[2], e, "a style sheet")

    role.write_ini(at("chatmail.ini"), "other.example", www_folder=at("pages"))
    put(index, "# {{ mail_domain }}\n")
    until(lambda: "other.example" in page(w.port)[1], e, "chatmail.ini")
    put(at("chatmail.ini"), "[params]\nmail_domain = other\n")
    until(lambda: "chatmail.ini:2: mail_domain: " in page(w.port)[1], e,
          "a mistake in it")
    make_pages()
    until(lambda: "Hello chat.example.org" in page(w.port)[1], e, "mended")

    put(at("elsewhere/src/index.md"), "# Elsewhere\n")
    role.write_ini(at("chatmail.ini"), "chat.example.org",
                   www_folder=at("elsewhere"))
    until(lambda: "Elsewhere" in page(w.port)[1], e, "another www_folder")
    put(at("elsewhere/src/index.md"), "# Nowhere\n")
    until(lambda: "Nowhere" in page(w.port)[1], e, "is watched")
    os.rename(at("elsewhere"), at("away"))
    until(lambda: "there is no directory" in page(w.port)[1], e,
          "one that goes away")
    tap.like(page(w.port)[1], "so no pages are built</pre>",
             "one line, for the page and the log")
    os.rename(at("away"), at("elsewhere"))
    until(lambda: "Nowhere" in page(w.port)[1], e, "and comes back")
    make_pages()
    until(lambda: "Hello chat.example.org" in page(w.port)[1], e, "the first")
    e.close()


def test_many_pages(w):
    pages = [Events(w.port) for _ in range(20)]
    pages[7].close()
    put(at("pages/src/index.md"), "# Many\n")
    tap.is_([e.next() == e.build for i, e in enumerate(pages) if i != 7],
            [False] * 19, "all open pages hear of a change")
    return pages[0]


def test_browser(w):
    """A real browser reloads the page."""
    chromium = shutil.which("chromium")
    if not chromium:
        tap.skip("a browser reloads by itself", "no chromium")
        return
    put(at("pages/src/index.md"), "# Before\n")
    p = subprocess.Popen(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu",
         "--disable-dev-shm-usage",
         "--user-data-dir=" + at("chromium"), "--remote-debugging-port=0",
         w.url], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        port = None
        for line in p.stderr:
            m = re.search(r"DevTools listening on ws://127.0.0.1:(\d+)/", line)
            if m:
                port = int(m[1])
                break
        threading.Thread(target=p.stderr.read, daemon=True).start()

        def titles():
            """Of the open pages, as the browser lists them."""
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=SECS)
            c.request("GET", "/json/list")
            pages = json.loads(c.getresponse().read())
            c.close()
            return [p["title"] for p in pages]

        def shows(text):
            end = time.monotonic() + 2 * SECS
            while time.monotonic() < end:
                if text in titles():
                    return True
                time.sleep(.1)
            tap.diag(titles())
            return False

        put(at("pages/src/page-layout.html"), "<html><head><title>{{ title }}"
            "</title></head><body>{{ markdown_html }}</body></html>\n")
        tap.ok(shows("Before"), "a browser shows the page")
        put(at("pages/src/index.md"), "# After\n")
        tap.ok(shows("After"), "and the next by itself")
        put(at("pages/src/index.md"), "# {{ x\n")
        tap.ok(shows("The pages cannot be built"), "and a mistake")
        put(at("pages/src/index.md"), "# Again\n")
        tap.ok(shows("Again"), "and recovers")
    finally:
        p.terminate()
        p.wait()


def test_start():
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    p = subprocess.run([role.CHATMAIL, "webdev", "--port", str(port)], cwd=top,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       text=True, timeout=60)
    tap.is_((p.returncode, p.stdout), (1, ""), "a port that is taken")
    tap.like(p.stderr, "127.0.0.1:%d: Address already in use" % port, "is told")
    a, b = Webdev(TMPDIR=top), Webdev("--port", "0", TMPDIR=top)
    tap.ok(a.port != b.port and 8000 <= a.port <= 8049 and
           8000 <= b.port <= 8049, "without a port the next free one is taken")
    tap.is_([get(x.port, "/")[0] for x in (a, b)], [200, 200], "and served")
    tap.is_((a.stop(), b.stop(signal.SIGINT)), (0, 0), "SIGTERM and SIGINT")
    for args in ["--port", "x"], ["--port", "65536"], ["a", "b"]:
        p = subprocess.run([role.CHATMAIL, "webdev", *args], cwd=top,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        tap.is_(p.returncode, 2, "wrong usage: " + " ".join(args))
    p = subprocess.run([role.CHATMAIL, "webdev", at("none.ini")], cwd=top,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       text=True)
    tap.is_(p.returncode, 1, "no chatmail.ini")
    tap.like(p.stderr, at("none.ini") + ": No such file", "is told")


def test_sources():
    """Without www_folder: ./www of a checkout, else the program's own."""
    os.makedirs(at("checkout"))
    role.write_ini(at("checkout/chatmail.ini"), "chat.example.org")
    w = Webdev("--port", str(free_port()), cwd=at("checkout"), TMPDIR=top)
    tap.ok(w.said("only chatmail.ini is watched"), "the program's own pages")
    tap.like(page(w.port)[1], "chat.example.org", "are shown")
    e = Events(w.port)
    role.write_ini(at("checkout/chatmail.ini"), "other.example")
    until(lambda: "other.example" in page(w.port)[1], e,
          "and follow chatmail.ini")
    w.stop()
    put(at("checkout/www/index.md"), "# Checkout\n")
    w = Webdev("--port", str(free_port()), cwd=at("checkout"), TMPDIR=top)
    tap.ok(w.said("the pages in www\n"), "a checkout's are told")
    e = Events(w.port)
    tap.like(page(w.port)[1], "Checkout", "and shown")
    put(at("checkout/www/index.md"), "# Changed\n")
    until(lambda: "Changed" in page(w.port)[1], e, "as they change")
    w.process.send_signal(signal.SIGHUP)
    tap.ok(e.next(), "SIGHUP builds again")
    w.stop()


try:
    make_pages()
    w = Webdev("--port", str(free_port()), TMPDIR=top)
    test_pages(w)
    test_requests(w)
    test_changes(w)
    test_browser(w)
    make_pages()
    last = test_many_pages(w)
    tap.is_(w.stop(), 0, "it ends while pages are open")
    while last.next():
        pass
    tap.ok(True, "and closes them")
    test_start()
    test_sources()
    tap.is_([n for n in os.listdir(top) if n.startswith("chatmail-webdev")],
            [], "nothing temporary is left")
finally:
    shutil.rmtree(top, ignore_errors=True)
tap.done()
