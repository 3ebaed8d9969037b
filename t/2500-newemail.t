#!/usr/bin/env python3
"""newemail: what POST /new answers, as CGI and over SCGI."""
import html.parser
import json
import os
import re
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
import time
from urllib.parse import parse_qs, unquote

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "lib"))
import tap
from dictclient import BINARY, Role

top = tempfile.mkdtemp(prefix="newemail-")
sock, ini = f"{top}/sock", f"{top}/chatmail.ini"
mail, nocreate = f"{top}/mail", f"{top}/nocreate"
os.makedirs(mail)


def write_ini(domain, text=""):
    with open(ini, "w") as f:
        f.write(f"[params]\nmail_domain = {domain}\nmailboxes_dir = {mail}\n"
                f"nocreate_file = {nocreate}\n{text}")


def split_response(data):
    """(status, {header: value}, body) of a CGI response."""
    head, _, body = data.partition(b"\r\n\r\n")
    headers = {}
    for line in head.decode().split("\r\n"):
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    return headers.pop("status", "200")[:3], headers, body


def cgi(method="POST", env=None, args=None, binary=None):
    full = {k: v for k, v in os.environ.items()
            if k not in ("GATEWAY_INTERFACE", "REQUEST_METHOD")}
    full["GATEWAY_INTERFACE"] = "CGI/1.1"
    if method is not None:
        full["REQUEST_METHOD"] = method
    full.update(env or {})
    r = subprocess.run([binary or BINARY, *(args or ["newemail", ini])],
                       env=full, input=b"", capture_output=True, timeout=20)
    return (*split_response(r.stdout), r)


def scgi(headers, body=b"", length=None):
    headers = {"CONTENT_LENGTH": len(body) if length is None else length,
               "SCGI": 1, **headers}
    block = b"".join(f"{k}\0{v}\0".encode() for k, v in headers.items())
    return b"%d:%s,%s" % (len(block), block, body)


def ask(data, pieces=None, timeout=20):
    """Everything that comes back."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(timeout)
        s.connect(sock)
        try:
            for piece in pieces or [data]:
                s.sendall(piece)
                if pieces:
                    time.sleep(0.0005)
        except ConnectionError:
            pass
        return read_all(s)


def read_all(s):
    out = b""
    while True:
        try:
            got = s.recv(65536)
        except ConnectionError:
            return out
        if not got:
            return out
        out += got


def valid(account, domain, name=9, password=12):
    return re.fullmatch(rf"[a-z0-9]{{{name}}}@{re.escape(domain)}",
                        account["email"]) and \
        len(account["password"]) == password and \
        set(account["password"]) <= set(string.ascii_letters + string.digits +
                                        string.punctuation)


# ---- CGI ---------------------------------------------------------------------

def test_acme():
    write_ini("chat.example")
    for method in ("POST", None, ""):
        status, headers, body, r = cgi(method)
        account = json.loads(body)
        tap.is_((r.returncode, status, headers["content-type"],
                 sorted(account), r.stderr),
                (0, "200", "application/json", ["email", "password"], b""),
                f"CGI, {method!r}: email and password")
        tap.ok(valid(account, "chat.example"), "both are well formed")
        tap.is_(headers.get("cache-control"), "no-store", "not to be stored")
    for method in ("GET", "HEAD"):
        status, headers, body, r = cgi(method)
        tap.is_((status, headers.get("location"), body),
                ("301", "dcaccount:https://chat.example/new", b""),
                f"CGI, {method}: the way into an app")
    for method in ("PUT", "DELETE", "OPTIONS", "post", "POSTX", "GET "):
        status, headers, body, r = cgi(method)
        answer = json.loads(body)
        tap.is_((status, headers["content-type"], sorted(answer)),
                ("405", "application/json", ["error", "reason"]),
                f"CGI, {method!r}: 405")
    tap.is_(os.listdir(mail), [], "no mailbox is made")


def test_names():
    """The personality's names, and where it finds its configuration."""
    write_ini("chat.example")
    link = f"{top}/newemail.py"
    os.symlink(os.path.abspath(BINARY), link)
    status, _, body, _ = cgi(binary=link, args=[ini])
    tap.ok(valid(json.loads(body), "chat.example"), "called as newemail.py")
    status, _, body, _ = cgi(args=["newemail"], env={"CHATMAIL_INI": ini})
    tap.ok(valid(json.loads(body), "chat.example"), "$CHATMAIL_INI")
    r = subprocess.run([BINARY, "newemail", ini], capture_output=True,
                       timeout=20)
    tap.ok(valid(json.loads(split_response(r.stdout)[2]), "chat.example"),
           "without GATEWAY_INTERFACE and --socket: one answer")
    r = cgi(args=["newemail", "--socket", sock, ini])
    tap.ok(r[0] == "200" and not os.path.exists(sock),
           "with GATEWAY_INTERFACE --socket is not used")
    for name, args in (("two INIs", [ini, ini]), ("--socket alone",
                       ["--socket"]), ("an unknown option", ["--x"])):
        r = subprocess.run([BINARY, "newemail", *args], capture_output=True,
                           timeout=20)
        tap.is_(r.returncode, 2, f"{name}: usage")


# domain, the address's domain, has a dclogin_url, its hosts
DOMAINS = [
    ("chat.example", "chat.example", False, {}),
    ("_chat.example", "_chat.example", True, {}),
    ("192.0.2.7", "[192.0.2.7]", True,
     {"ih": ["192.0.2.7"], "sh": ["192.0.2.7"]}),
]


def test_dclogin():
    for domain, behind_at, has_url, hosts in DOMAINS:
        write_ini(domain)
        for method in ("POST", "GET") if has_url else ("POST",):
            for _ in range(8):
                status, _, body, _ = cgi(method)
                account = json.loads(body)
                if not check_account(account, behind_at, has_url, hosts):
                    break
            else:
                tap.ok(True, f"{domain}, {method}: account and URL agree")
                continue
            tap.ok(False, f"{domain}, {method}: {body}")
    write_ini("_chat.example", "tls_external_cert_and_key = /a /b\n")
    tap.is_(sorted(json.loads(cgi()[2])), ["email", "password"],
            "an external certificate needs no dclogin_url")
    tap.is_(cgi("GET")[1]["location"], "dcaccount:https://_chat.example/new",
            "and GET leads into an app")


def check_account(account, domain, has_url, hosts):
    if not valid(account, domain) or ("dclogin_url" in account) != has_url:
        return False
    if not has_url:
        return True
    url = account["dclogin_url"]
    m = re.fullmatch(r"dclogin:([a-z0-9._@\[\]-]+)\?([A-Za-z0-9%._~&=-]+)",
                     url)
    if not m:
        return False
    query = {k: v for k, v in (p.split("=") for p in m[2].split("&"))}
    return unquote(m[1]) == account["email"] and \
        unquote(query.pop("p")) == account["password"] and \
        {k: [v] for k, v in query.items()} == \
        {"v": ["1"], "ic": ["3"], **hosts} and \
        parse_qs(m[2])["p"] == [account["password"]]


BROWSER = ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,"
           "image/webp,*/*;q=0.8")

# Accept, whether a GET with it gets a page
WANTS = [
    (None, False), ("", False), ("*/*", False), ("application/json", False),
    ("application/json, image/svg+xml", False), (BROWSER, True),
    ("text/html", True), ("text/html, */*;q=0.01", True),
    ("text/html, */*", True), ("text/html, application/json", False),
    ("text/html;q=0.8, application/json", False),
    ("text/html;q=0.5, */*", False), ("text/*", True), ("text/html;q=0", False),
    ("text/plain", False),
]


class Page(html.parser.HTMLParser):
    """What a page consists of; fails on what the policy of the pages forbids
    and on tags that do not fit together."""
    VOID = {"meta", "link", "img", "path", "rect"}

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.links, self.tags, self.text = [], [], [], ""
        self.lang, self.wrong = None, []
        self.feed(text)
        self.close()
        if self.open:
            self.wrong.append(f"not closed: {self.open}")

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        if tag == "html":
            self.lang = attrs.get("lang")
        if tag == "a":
            self.links.append(attrs["href"])
        if tag in ("script", "style") or "style" in attrs or \
                any(name.startswith("on") for name in attrs):
            self.wrong.append(f"not allowed: {tag} {attrs}")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> fits nowhere")

    def handle_data(self, data):
        self.text += data


def svg_rows(svg):
    """The modules of a QR code, "#" for a dark one."""
    width = int(re.search(r'viewBox="0 0 (\d+) \1"', svg)[1])
    rows = [[" "] * width for _ in range(width)]
    for x, y, n in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", svg):
        for i in range(int(n)):
            rows[int(y)][int(x) + i] = "#"
    return ["".join(row) for row in rows]


def is_qr(svg, text):
    """Does a scanner read the text from the picture?"""
    rows = svg_rows(svg)
    if not shutil.which("zbarimg"):
        return len(rows) > 20
    with open(f"{top}/code.pbm", "w") as f:
        f.write(f"P1\n{4 * len(rows)} {4 * len(rows)}\n")
        for row in rows:
            line = " ".join("1" if c == "#" else "0" for c in row
                            for _ in range(4))
            f.write((line + "\n") * 4)
    r = subprocess.run(["zbarimg", "-q", "--raw", f"{top}/code.pbm"],
                       capture_output=True, text=True, timeout=20)
    return r.stdout == text + "\n"


def test_qr():
    for domain, _, has_url, _ in DOMAINS:
        write_ini(domain)
        for accept, wants in (("image/svg+xml", True),
                              ("application/json, image/svg+xml", True),
                              ("application/json,IMAGE/SVG+XML;q=0.1", True),
                              ("image/svg+xml;q=0", False), ("image/*", False),
                              ("*/*", False), (None, False)):
            env = {"HTTP_ACCEPT": accept} if accept else {}
            status, headers, body, _ = cgi(env=env)
            account = json.loads(body)
            tap.is_((status, headers["content-type"], "qr_svg" in account),
                    ("200", "application/json", wants and has_url),
                    f"{domain}, Accept: {accept}: qr_svg")
            if "qr_svg" in account:
                tap.ok(is_qr(account["qr_svg"], account["dclogin_url"]),
                       "which is the code of dclogin_url")


def test_page():
    for domain, behind_at, _, hosts in DOMAINS[1:]:
        write_ini(domain)
        for accept, wants in WANTS:
            env = {} if accept is None else {"HTTP_ACCEPT": accept}
            status, headers, body, _ = cgi("GET", env)
            kind = "text/html; charset=utf-8" if wants else "application/json"
            tap.is_((status, headers["content-type"],
                     headers["cache-control"]), ("200", kind, "no-store"),
                    f"{domain}: GET, Accept: {accept}: {kind}")
        status, headers, body, _ = cgi("POST", {"HTTP_ACCEPT": BROWSER})
        tap.is_(headers["content-type"], "application/json",
                f"{domain}: POST gets JSON whatever it accepts")
        status, headers, body, r = cgi("GET", {"HTTP_ACCEPT": BROWSER})
        text = body.decode()
        page = Page(text)
        tap.is_((page.wrong, page.lang, page.tags.count("svg")), ([], "en", 1),
                f"{domain}: the page is whole, and allowed by the policy")
        links = [a for a in page.links if a.startswith("dclogin:")]
        account = {"email": unquote(links[0][8:].split("?")[0]),
                   "password": unquote(links[0].split("p=")[1].split("&")[0]),
                   "dclogin_url": links[0]}
        tap.ok(links == [links[0]] * 2 and
               check_account(account, behind_at, True, hosts) and
               account["email"] in page.text, "with address and link")
        svg = re.search(r"<svg.*</svg>", text, re.S)[0]
        tap.ok(is_qr(svg, links[0]), "and its QR code")
        tap.ok(account["password"] not in page.text and
               r.stderr == b"", "the password is not shown or logged")
    write_ini("chat.example")
    tap.is_(cgi("GET", {"HTTP_ACCEPT": BROWSER})[0], "301",
            "where browsers accept the certificate, an app is opened")


# Accept-Language, the page's language
LANGUAGES = [
    (None, "en"), ("", "en"), ("de", "de"), ("de-AT,de;q=0.9,en;q=0.8", "de"),
    ("en-US,en;q=0.9,de;q=0.8", "en"), ("fr,de;q=0.2", "de"), ("xx", "en"),
    ("de;q=0.5,en;q=0.5", "en"), ("en;q=0.4,de;q=0.5", "de"),
    ("../../etc/passwd", "en"), ("d", "en"),
]


def test_page_language():
    write_ini("_chat.example")
    for language, want in LANGUAGES:
        env = {"HTTP_ACCEPT": BROWSER}
        if language is not None:
            env["HTTP_ACCEPT_LANGUAGE"] = language
        page = Page(cgi("GET", env)[2].decode())
        tap.is_((page.lang, page.wrong), (want, []),
                f"Accept-Language: {language}: {want}")
    open(nocreate, "w").close()
    for language, what in ("en", "No address"), ("de", "keine Adresse"):
        status, headers, body, _ = cgi("GET", {
            "HTTP_ACCEPT": BROWSER, "HTTP_ACCEPT_LANGUAGE": language})
        page = Page(body.decode())
        tap.is_((status, page.lang, page.wrong, what in page.text,
                 "does not create new addresses" in page.text),
                ("503", language, [], True, True),
                f"no address: a page says why, {language}")
    os.unlink(nocreate)


def test_dclogin_query():
    write_ini("_chat.example")
    extra = "&ip=2993&is=ssl"
    account = json.loads(cgi(args=["newemail", "--dclogin", extra, ini])[2])
    tap.like(account["dclogin_url"], "&v=1&ip=2993&is=ssl&ic=3",
             "--dclogin adds to the link")


def test_settings():
    write_ini("chat.example", "username_min_length = 3\n"
              "username_max_length = 20\npassword_min_length = 30\n")
    tap.ok(valid(json.loads(cgi()[2]), "chat.example", 20, 33),
           "lengths as chatmail.ini says")
    # 36 names, 35 of them taken
    write_ini("chat.example", "username_min_length = 1\n"
              "username_max_length = 1\n")
    letters = string.ascii_lowercase + string.digits
    for c in letters[1:]:
        os.mkdir(f"{mail}/{c}@chat.example")
    got = [cgi() for _ in range(4)]
    emails = {json.loads(g[2]).get("email") for g in got if g[0] == "200"}
    tap.ok(emails <= {"a@chat.example"}, "an address that is taken is not "
           "given")
    os.mkdir(f"{mail}/a@chat.example")
    status, _, body, _ = cgi()
    tap.ok(status == "503" and "no free address" in
           json.loads(body)["reason"], "none free: 503")
    for c in letters:
        os.rmdir(f"{mail}/{c}@chat.example")


def test_refusals():
    write_ini("_chat.example")
    open(nocreate, "w").close()
    for method in ("POST", "GET"):
        status, headers, body, _ = cgi(method)
        answer = json.loads(body)
        tap.ok(status == "503" and answer["error"] == answer["reason"] and
               headers["content-type"] == "application/json",
               f"nocreate, {method}: 503 with error and reason")
    os.unlink(nocreate)
    for name, text, why in (
            ("a bad chatmail.ini", "username_min_length = x\n",
             'chatmail.ini:5: username_min_length: expected a whole number of '
             '1 or more, got "x"'),
            ("no chatmail.ini", None, "No such file or directory")):
        write_ini("chat.example", text or "")
        if text is None:
            os.unlink(ini)
        status, _, body, r = cgi()
        answer = json.loads(body)
        tap.is_((status, r.returncode, sorted(answer)),
                ("500", 1, ["error", "reason"]), f"{name}: 500")
        tap.ok(top not in body.decode(), f"{name}: no path for strangers")
        tap.like(r.stderr.decode(), why, f"{name}: the log says why")


def test_output_fails():
    write_ini("chat.example")
    with open("/dev/full", "wb") as full:
        r = subprocess.run([BINARY, "newemail", ini], stdout=full,
                           stderr=subprocess.PIPE, timeout=20)
    tap.is_(r.returncode, 1, "an answer that cannot be written is a failure")


# ---- SCGI --------------------------------------------------------------------

POST = {"REQUEST_METHOD": "POST", "REQUEST_URI": "/new"}


def start():
    return Role(["newemail", "--socket", sock, ini], sock)


def test_scgi():
    write_ini("_chat.example")
    with start() as role:
        tap.is_(os.stat(sock).st_mode & 0o777, 0o666, "nginx may connect")
        request = scgi(POST, b"a=b")
        status, headers, body = split_response(ask(request))
        tap.ok(status == "200" and check_account(json.loads(body),
               "_chat.example", True, {}), "SCGI: POST")
        for name, pieces in (
                ("byte by byte", [request[i:i + 1]
                                  for i in range(len(request))]),
                ("headers and body", [request[:-3], request[-3:]]),
                ("in the length", [request[:1], request[1:]])):
            data = ask(None, pieces)
            tap.is_(split_response(data)[0], "200" if data else None,
                    f"SCGI: {name}")
        tap.is_(split_response(ask(scgi({"REQUEST_METHOD": "PUT"})))[0],
                "405", "SCGI: PUT")
        tap.is_(split_response(ask(scgi({})))[0], "200", "SCGI: no method")
        get = {"REQUEST_METHOD": "GET", "HTTP_ACCEPT_LANGUAGE": "de"}
        _, headers, body = split_response(ask(scgi({**get, "HTTP_ACCEPT":
                                                    BROWSER})))
        tap.ok(headers["content-type"].startswith("text/html") and
               Page(body.decode()).lang == "de", "SCGI: a page")
        _, headers, body = split_response(ask(scgi({**get, "HTTP_ACCEPT":
                                                    ""})))
        tap.ok("qr_svg" not in json.loads(body), "SCGI: an empty Accept: JSON")
        _, headers, body = split_response(ask(scgi({**POST, "HTTP_ACCEPT":
                                                    "image/svg+xml"})))
        tap.ok("qr_svg" in json.loads(body), "SCGI: the QR code")
        tap.is_(split_response(ask(scgi(POST, b"x" * 4096)))[0], "200",
                "SCGI: a body of 4 KB")
        tap.is_(split_response(ask(scgi(POST, b"", 4097)))[0], "413",
                "SCGI: a larger one is announced")
        tap.is_(split_response(ask(scgi(POST, b"x" * 10**6)))[0], "413",
                "SCGI: and sent")
        tap.is_(split_response(ask(scgi(POST) + b"garbage"))[0], "200",
                "SCGI: bytes after the request")
        tap.is_(split_response(ask(scgi({**POST, "X": "y" * 15000})))[0],
                "200", "SCGI: 15 KB of headers")
        for name, data in (
                ("HTTP", b"POST /new HTTP/1.1\r\nHost: x\r\n\r\n"),
                ("NUL bytes", b"\0" * 100), ("random", b"\xff\xfe9:"),
                ("a length that is too long", b"99999999:"),
                ("a length over 16 KB", b"16385:"),
                ("a length with a zero", b"05:a\0b\0c,"),
                ("no comma", scgi(POST)[:-1] + b";"),
                ("an odd number of strings", b"15:CONTENT_LENGTH\0,"),
                ("CONTENT_LENGTH is not first",
                 b"24:SCGI\0001\0CONTENT_LENGTH\0000\0,"),
                ("CONTENT_LENGTH is no number", scgi(POST, b"", "x")),
                ("CONTENT_LENGTH is negative", scgi(POST, b"", "-1")),
                ("CONTENT_LENGTH is huge", scgi(POST, b"", "9" * 30)),
                ("empty headers", b"0:,")):
            before = len(role.log())
            tap.is_(ask(data), b"", f"SCGI: {name}: closed")
            tap.like(role.log()[before:], "not an SCGI request",
                     f"SCGI: {name}: logged")
        before = len(role.log())
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.connect(sock)
            s.sendall(request[:-1])
        tap.ok(role.wait_log("half a request"), "SCGI: half a request: logged")
        tap.is_(split_response(ask(request))[0], "200", "SCGI: goes on")
        write_ini("chat.example", "x = 1\n")
        role.hup()
        role.wait_log("configuration read again")
        status, headers, _ = split_response(ask(scgi({"REQUEST_METHOD":
                                                      "GET"})))
        tap.is_((status, headers.get("location")),
                ("301", "dcaccount:https://chat.example/new"),
                "SIGHUP: the new configuration")
        write_ini("chat.example", "password_min_length = 0\n")
        role.hup()
        tap.ok(role.wait_log("keeping the old configuration: "),
               "SIGHUP: a bad one is not taken")
        tap.is_(split_response(ask(request))[0], "200", "SCGI: goes on")
        open(nocreate, "w").close()
        tap.is_(split_response(ask(request))[0], "503", "SCGI: nocreate")
        os.unlink(nocreate)
        # a request under way at SIGTERM
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s, \
                socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as idle:
            s.settimeout(10)
            idle.settimeout(10)
            idle.connect(sock)
            s.connect(sock)
            s.sendall(request[:20])
            ask(request)
            role.signal(signal.SIGTERM)
            tap.is_(idle.recv(10), b"", "SIGTERM: idle ones are closed")
            s.sendall(request[20:])
            tap.is_(split_response(read_all(s))[0], "200",
                    "SIGTERM: a request under way is answered")
        tap.is_(role.wait(), 0, "SIGTERM: exit code 0")


def test_thousand():
    write_ini("_chat.example")
    with start() as role:
        request = scgi(POST)
        accounts = []
        for _ in range(10):
            sockets = []
            for _ in range(100):
                s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                s.settimeout(20)
                s.connect(sock)
                sockets.append(s)
            for s in sockets:
                s.sendall(request[:7])
            for s in reversed(sockets):
                s.sendall(request[7:])
            for s in sockets:
                accounts.append(json.loads(split_response(read_all(s))[2]))
                s.close()
        tap.is_(sum(not check_account(a, "_chat.example", True, {})
                    for a in accounts), 0, "1,000 answers are valid")
        tap.is_(len({a["email"] for a in accounts}), 1000,
                "1,000 different addresses")
        tap.is_(len({a["password"] for a in accounts}), 1000,
                "1,000 different passwords")
        seen = set("".join(a["password"] for a in accounts))
        tap.is_(seen, set(string.ascii_letters + string.digits +
                          string.punctuation), "of all characters")
        tap.ok(not any(a["password"] in role.log() or a["email"] in role.log()
                       for a in accounts), "none of them in the log")


def test_start():
    write_ini("chat.example", "max_load_1m = x\n")
    r = subprocess.run([BINARY, "newemail", "--socket", sock, ini],
                       capture_output=True, text=True, timeout=20)
    tap.is_((r.returncode, r.stderr), (1, f"newemail: {ini}:5: max_load_1m: "
                                       'expected a number, got "x"\n'),
            "a bad chatmail.ini at start")


os.environ.pop("GATEWAY_INTERFACE", None)
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
