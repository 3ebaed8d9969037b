#!/usr/bin/env python3
"""The web side of a relay, from outside: pages, /new, mail and pages on one
port, what other programs look for, and what strangers are refused."""
import concurrent.futures
import imaplib
import os
import re
import smtplib
import ssl
import string
import subprocess
import sys
import time
import urllib.parse
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import sandbox
import tap
import web

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
MAX_MESSAGE = 300000
NEW = ["/new", "/cgi-bin/newemail.py"]
POLICY = ("default-src 'none'; img-src 'self' data:; style-src 'self'; "
          "script-src 'self'; connect-src 'self'; base-uri 'none'; "
          "form-action 'self'; frame-ancestors 'none'")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Strict-Transport-Security": None,
}
HSTS = "max-age=31536000"


def remove_setting(relay, name):
    with open(relay.path("chatmail.ini")) as f:
        lines = [s for s in f if s.split("=")[0].strip() != name]
    with open(relay.path("chatmail.ini"), "w") as f:
        f.writelines(lines)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def client(relay, context=None):
    return web.Web(relay.ports["https"], relay.domain, context,
                   relay.ports["nginx_https"])


def until_refused(ask, most=300):
    """Ask until the answer is 429; how many were given before, and that."""
    for n in range(most):
        answer = ask()
        if answer.status == 429:
            return n, answer
    return most, answer


# ---- one port for all --------------------------------------------------------

REFUSED = b"no application protocol"    # of the pages' server

# ALPN, what the first line of an answer to what we say begins with
BRANCHES = [
    ((), b"HTTP/1.1 200 OK"),
    (("http/1.1",), b"HTTP/1.1 200 OK"),
    (("h2", "http/1.1"), b"HTTP/1.1 200 OK"),
    (("x-imap",), REFUSED), (("imap4", "smtps"), REFUSED),
    (("imap",), b"* OK"),
    (("smtp",), b"220 "),
    (("h2", "imap"), b"* OK"),
]


def first_line(relay, alpn, says):
    try:
        with web.tls(relay.ports["https"], relay.domain, alpn) as s:
            s.sendall(says)
            return s.recv(200)
    except ssl.SSLError as e:
        return str(e).encode()


def test_branches(relay):
    get = b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % relay.domain.encode()
    for alpn, want in BRANCHES:
        says = get if want.startswith(b"HTTP") else b""
        tap.like(first_line(relay, alpn, says), want,
                 "ALPN %s: %s" % (",".join(alpn) or "none", want.decode()))
    for alpn, want in ("imap", "* OK"), ("smtp", "220 "):
        p = subprocess.run(["openssl", "s_client", "-quiet", "-alpn", alpn,
                            "-connect", "127.0.0.1:%d" % relay.ports["https"]],
                           input={"imap": "a LOGOUT\r\n",
                                  "smtp": "QUIT\r\n"}[alpn],
                           capture_output=True, text=True, timeout=30)
        tap.ok(p.stdout.startswith(want), "openssl s_client -alpn " + alpn)
    tap.is_(web.plain(relay.ports["https"],
                      "GET / HTTP/1.1\r\nHost: x\r\n\r\n").status, 400,
            "without TLS: refused")


def test_mail_by_https_port(relay):
    context = web.insecure()
    context.set_alpn_protocols(["imap"])
    user, password = relay.new_user()
    imap = imaplib.IMAP4_SSL("127.0.0.1", relay.ports["https"],
                             ssl_context=context, timeout=30)
    imap.login(user, password)
    tap.is_(imap.select("INBOX")[0], "OK", "IMAP on the HTTPS port: login")
    imap.logout()
    context = web.insecure()
    context.set_alpn_protocols(["smtp"])
    with smtplib.SMTP_SSL("127.0.0.1", relay.ports["https"], timeout=30,
                          context=context, local_hostname="x.test") as smtp:
        smtp.login(user, password)
        with open(os.path.join(HERE, "mail", "encrypted.eml")) as f:
            text = re.sub(r"^(From|To): .*", r"\1: <%s>" % user, f.read(),
                          flags=re.M)
        smtp.sendmail(user, [user], text.replace("\n", "\r\n").encode())
    imap = relay.imap(user, password)
    end = time.monotonic() + 20
    while imap.select("INBOX")[1] == [b"0"] and time.monotonic() < end:
        time.sleep(0.05)
    tap.is_(imap.select("INBOX")[1], [b"1"], "SMTP on the HTTPS port: mail")
    imap.logout()


# ---- pages -------------------------------------------------------------------

def test_pages(relay):
    w = client(relay)
    page = w.get("/")
    tap.is_((page.status, page.header("Content-Type")),
            (200, "text/html; charset=utf-8"), "/: a page")
    tap.like(page.text(), "<html lang=", "of ours")
    tap.like(page.header("Vary"), "Accept-Language",
             "which depends on the language")
    tap.is_(w.get("/index.html").body, page.body, "/index.html: the same")
    head = w.request("HEAD", "/")
    tap.is_((head.status, head.body, head.header("Content-Length")),
            (200, b"", str(len(page.body))), "HEAD: the same without it")
    code = w.get("/qr-chatmail-invite-%s.svg" % relay.domain)
    tap.is_((code.status, code.header("Content-Type")),
            (200, "image/svg+xml"), "the invitation's QR code")
    tap.is_(w.get("/?utm=1").body, page.body, "a query does not matter")
    tap.is_(w.get("/", host="127.0.0.1").body, page.body,
            "nor does the name that is asked for")
    for path in ("/nothing", "/nothing/", "/nothing.html", "/.chatmail-www",
                 "/en/.chatmail-www", "/en/x/../.chatmail-www",
                 "/newer", "/new.html", "/relayed", "/mxdeliv/x",
                 "/../../etc/passwd", "/..%2f..%2fetc/passwd", "/%2e%2e/x"):
        tap.ok(w.get(path).status in (400, 404), "%s: is not there" % path)


def test_headers(relay):
    w = client(relay)
    new = w.post("/new", client="192.0.2.1")
    _, limited = until_refused(lambda: w.post("/new", client="192.0.2.1"))
    for name, answer, status in (
            ("a page", w.get("/"), 200), ("no page", w.get("/nothing"), 404),
            ("a redirect", w.get("/en"), 301), ("/new", new, 200),
            ("the limit", limited, 429),
            ("a method", w.post("/index.html"), 405),
            ("www", w.get("/", host="www." + relay.domain), 301),
            ("the policy", w.get("/.well-known/mta-sts.txt"), 200),
            ("no backend", w.post("/mxdeliv", body=b"x"), 502),
            ("a body", w.post("/mxdeliv", body=b"x" * (2 * MAX_MESSAGE)),
             413)):
        tap.is_(answer.status, status, "%s: %d" % (name, status))
        tap.is_({k: answer.header(k) for k in HEADERS}, HEADERS,
                name + ": the headers")
        tap.is_(answer.header("Server"), "nginx", name + ": no version")


# ---- /new --------------------------------------------------------------------

def test_new(relay):
    w = client(relay)
    for i, path in enumerate(NEW):
        for method in "POST", "GET":
            answer = w.request(method, path, client="192.0.2.1%d" % i)
            account = answer.json()
            tap.is_((answer.status, answer.header("Content-Type"),
                     answer.header("Cache-Control"), sorted(account)),
                    (200, "application/json", "no-store",
                     ["dclogin_url", "email", "password"]),
                    "%s %s" % (method, path))
    tap.like(account["dclogin_url"], "&ip=%d&is=ssl&sp=%d&ss=ssl&ic=3" % (
        relay.ports["imaps"], relay.ports["smtps"]), "the link has our ports")
    answer = w.post("/new", client="192.0.2.12", accept="image/svg+xml")
    tap.like(answer.json()["qr_svg"], "<svg ", "with its QR code if asked for")
    answer = w.get("/new", client="192.0.2.12", accept=BROWSER,
                   accept_language="de, en;q=0.8")
    tap.is_((answer.status, answer.header("Content-Type"),
             answer.header("Cache-Control")),
            (200, "text/html; charset=utf-8", "no-store"),
            "a browser gets a page")
    tap.like(answer.text(), '<html lang="de">', "in its language")
    tap.is_(w.request("PUT", "/new", client="192.0.2.13").status, 405,
            "PUT: 405")
    answer = w.post("/new", client="192.0.2.13", body=b"x" * 4096)
    tap.is_(answer.status, 200, "a body does not matter")
    answer = w.post("/new", client="192.0.2.13", body=b"x" * 4097)
    tap.is_((answer.status, answer.header("Content-Type"),
             sorted(answer.json())),
            (413, "application/json", ["error", "reason"]), "unless it is long")
    answer = w.post("/new", client="192.0.2.13",
                    fields=[("X-Long", "y" * 7000)] * 4)
    tap.is_(answer.status, 200, "nor do long headers")


def is_refusal(answer, status):
    reason = answer.json()
    return tap.is_(
        (answer.status, answer.header("Content-Type"),
         answer.header("Cache-Control"), sorted(reason),
         bool(reason["reason"]) and reason["error"] == reason["reason"]),
        (status, "application/json", "no-store", ["error", "reason"], True),
        "%d: says why in JSON" % status)


def test_limit(relay):
    """Through the real port, from addresses of this machine."""
    w = client(relay)
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        got = list(pool.map(lambda i: w.post("/new", source="127.0.0.11"),
                            range(10)))
    # one at the beginning, five more at once; later ones if this was slow
    tap.ok([a.status for a in got].count(200) >= 6, "six at once are given")
    given, answer = until_refused(lambda: w.post("/new", source="127.0.0.11"))
    is_refusal(answer, 429)
    tap.ok(int(answer.header("Retry-After")) > 0, "and when to come again")
    tap.is_(w.post("/new", source="127.0.0.12").status, 200,
            "another address is served")
    for path in NEW:
        other = NEW[1 - NEW.index(path)]
        source = "127.0.0.%d" % (13 + NEW.index(path))
        until_refused(lambda: w.post(path, source=source))
        tap.is_(until_refused(lambda: w.post(other, source=source), 2)[1]
                .status, 429, "%s and %s have one limit" % (path, other))
    given, answer = until_refused(
        lambda: w.get("/new", source="127.0.0.15", accept=BROWSER))
    is_refusal(answer, 429)
    given, answer = until_refused(lambda: w.post(
        "/new", source="127.0.0.16", fields=[
            ("X-Forwarded-For", "192.0.2.%d" % time.monotonic_ns())]))
    tap.is_(answer.status, 429, "X-Forwarded-For does not help")
    tap.ok(all(w.get("/", source="127.0.0.11").status == 200
               for _ in range(30)), "pages have no limit")


# two IPv6 addresses, whether they are of one network of 64 bits
NETWORKS = [
    ("2001:db8:1:2::1", "2001:db8:1:2:3:4:5:6", True),
    ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
    ("2001:db8:1:0:3:4:5:6", "2001:db8:1::1", True),
    ("2001:db8:1:0:3:4:5:6", "2001:db8:1:1:3:4:5:6", False),
    ("2001:db8:1:0:0:4:5:6", "2001:db8:1:0:9::", True),
    ("2001:db8::1", "2001:db8:0:0:8:7:6:5", True),
    ("2001:db8::1", "2001:db8:0:1::1", False),
    ("2001:db8:0:1:0:1:0:1", "2001:db8:0:1::8", True),
    ("2001::1:2:3:4:5", "2001:0:0:1::", True),
    ("2001::1:2:3:4:5", "2001::2:2:3:4:5", False),
    ("2001::3:4:5", "2001::9", True),
    ("2001::9", "2001:0:0:1::9", False),
    ("2001::9", "2001:1::9", False),
    ("203.0.113.1", "203.0.113.2", False),
    ("203.0.113.1", "203.0.113.1", True),
]


def test_networks(relay):
    w = client(relay)
    for i, (one, other, same) in enumerate(NETWORKS):
        # another prefix for each row, so that none finds another's count
        one, other = (re.sub(r"^2001", "%x" % (0x2001 + i), a)
                      for a in (one, other))
        one, other = (re.sub(r"^203.0", "203.%d" % i, a)
                      for a in (one, other))
        until_refused(lambda: w.post("/new", client=one))
        _, answer = until_refused(lambda: w.post("/new", client=other), 3)
        tap.is_(answer.status, 429 if same else 200, "%s, %s: %s" % (
            one, other, "one client" if same else "two clients"))


def is_valid(account, domain):
    return re.fullmatch(r"[a-z0-9]{9}@" + re.escape(domain),
                        account["email"]) and \
        len(account["password"]) == 12 and set(account["password"]) <= set(
            string.ascii_letters + string.digits + string.punctuation)


def test_thousand(relay):
    w = client(relay)

    def ask(i):
        answer = w.post(NEW[i % 2], source="127.1.%d.%d" % (i // 250,
                                                            1 + i % 250))
        return answer.status, answer.json()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        got = list(pool.map(ask, range(1000)))
    accounts = [account for status, account in got if status == 200]
    tap.is_(len({a["email"] for a in accounts}), 1000,
            "1,000 people get 1,000 addresses")
    tap.is_([a for a in accounts if not is_valid(a, relay.domain)], [],
            "all valid")
    for account in accounts[:4]:
        relay.imap(account["email"], account["password"]).logout()
        tap.ok(os.path.exists(os.path.join(
            relay.info["mailboxes_dir"], account["email"], "password")),
            "which log in")
    log = relay.log()
    tap.ok(not any(a["password"] in log for a in accounts),
           "no password is in the log")


def test_log(relay):
    """So far nothing has failed, but a body was too long."""
    lines = [s for s in relay.log().splitlines() if " nginx " in s]
    tap.is_([s for s in lines if "client" in s and
             "too large body" not in s], [], "nginx logs nobody's address")


def test_newemail_is_down(relay):
    w = client(relay)
    path = relay.path("run", "newemail.socket")
    os.rename(path, path + ".away")
    try:
        for method, accept in ("POST", "*/*"), ("GET", BROWSER):
            is_refusal(w.request(method, "/new", client="192.0.2.20",
                                 accept=accept), 502)
    finally:
        os.rename(path + ".away", path)
    tap.is_(w.post("/new", client="192.0.2.20").status, 200,
            "and it goes on when newemail does")


# ---- what other programs look for --------------------------------------------

def test_discovery(relay):
    w = client(relay)
    paths = "/.well-known/autoconfig/mail/config-v1.1.xml", \
        "/mail/config-v1.1.xml"
    texts = set()
    for path in paths:
        for host in relay.domain, "autoconfig." + relay.domain:
            answer = w.get(path + "?emailaddress=x%40" + relay.domain,
                           host=host)
            tap.is_((answer.status, answer.header("Content-Type")),
                    (200, "text/xml; charset=utf-8"), host + path)
            texts.add(answer.body)
    tap.is_(len(texts), 1, "all the same")
    tree = xml.etree.ElementTree.fromstring(texts.pop())
    ports = [int(e.text) for e in tree.iter("port")]
    tap.is_(ports, [relay.ports[n] for n in (
        "imaps", "imap", "https", "smtps", "submission", "https")],
        "with the ports")
    for host in relay.domain, "mta-sts." + relay.domain:
        answer = w.get("/.well-known/mta-sts.txt", host=host)
        tap.is_((answer.status, answer.header("Content-Type"), answer.text()),
                (200, "text/plain; charset=utf-8",
                 "version: STSv1\nmode: enforce\nmx: %s\nmax_age: 2419200\n" %
                 relay.domain), host + ": the MTA-STS policy")


def test_redirects(relay):
    w = client(relay)
    base = "https://%s:%d" % (relay.domain, relay.ports["https"])
    for method, path in ("GET", "/"), ("GET", "/x/y?a=b&c=%20"), ("POST", "/"):
        answer = w.request(method, path, host="www." + relay.domain)
        tap.is_((answer.status, answer.header("Location")),
                (301, base + path), "www: %s %s" % (method, path))
    for host in relay.domain, "www." + relay.domain, "127.0.0.1":
        answer = web.plain(relay.ports["http"], "GET /a?b=c HTTP/1.1\r\n"
                           "Host: %s\r\nConnection: close\r\n\r\n" % host)
        tap.is_((answer.status, answer.header("Location")),
                (301, "https://%s:%d/a?b=c" % (host, relay.ports["https"])),
                "port 80 leads to HTTPS: " + host)
    answer = web.plain(relay.ports["http"], "GET /a HTTP/1.0\r\n\r\n")
    tap.is_(answer.header("Location"), base + "/a", "and knows its name")
    answer = web.plain(relay.ports["http"],
                       "GET /.well-known/acme-challenge/x HTTP/1.0\r\n\r\n")
    tap.is_(answer.status, 301, "also /.well-known/acme-challenge/ here")


# ---- what is behind ----------------------------------------------------------

def test_mxdeliv(relay):
    w = client(relay)
    try:
        backend = web.Backend(relay.ports["filtermail_http"], "filtermail")
    except OSError as e:
        tap.skip("/mxdeliv", "the port is filtermail's own: %s" % e)
        return
    most = MAX_MESSAGE + MAX_MESSAGE // 3 + 1
    body = (b"..\r\n" * most)[:most]
    fields = [("X-MAIL-FROM", "a@other.test")] + [
        ("X-MAIL-TO", "user%05d@%s" % (i, relay.domain)) for i in range(900)]
    answer = w.post("/mxdeliv", body=body, fields=fields)
    tap.is_((answer.status, answer.text()), (200, "filtermail"),
            "/mxdeliv: filtermail answers")
    method, path, headers, got = backend.got.pop()
    tap.is_((method, path, headers["X-MAIL-FROM"],
             headers.get_all("X-MAIL-TO")),
            ("POST", "/mxdeliv", "a@other.test", [v for _, v in fields[1:]]),
            "and gets all headers")
    tap.ok(got == body, "and the body of the largest message")
    tap.is_(w.post("/mxdeliv", body=body + b"x").status, 413,
            "a byte more is refused")
    tap.is_(backend.got, [], "and does not come there")
    backend.close()


def test_iroh(relay):
    w = client(relay)
    tap.is_(w.get("/ping").status, 502, "iroh's relay does not run")
    backend = web.Backend(relay.ports["iroh"], "iroh")
    for path in "/ping", "/generate_204":
        answer = w.get(path + "?x")
        tap.is_((answer.status, answer.text(), backend.got.pop()[1]),
                (200, "iroh", path + "?x"), path + ": iroh's relay answers")
    for upgrade in "websocket", "iroh derp http":
        with web.tls(relay.ports["https"], relay.domain) as s:
            s.sendall(("GET /relay HTTP/1.1\r\nHost: %s\r\nUpgrade: %s\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Key: k\r\n\r\n" %
                       (relay.domain, upgrade)).encode())
            answer = s.recv(4096)
            tap.ok(answer.startswith(b"HTTP/1.1 101 ") and
                   backend.got[-1][2]["Upgrade"] == upgrade and
                   backend.got[-1][2]["Sec-WebSocket-Key"] == "k",
                   "/relay: becomes " + upgrade)
            for data in b"there", b"and back":
                s.sendall(data)
                tap.is_(s.recv(4096), data, "and data goes both ways")
    backend.close()


# ---- an operator's own pages and certificate ---------------------------------

# path, Accept-Language, what comes
LANGUAGES = [
    ("/", None, "english"), ("/", "", "english"), ("/", "*", "english"),
    ("/", "de", "deutsch"), ("/index.html", "de", "deutsch"),
    ("/", "de-AT,de;q=0.9,en;q=0.8", "deutsch"),
    ("/", "en-US,en;q=0.9,de;q=0.8", "english"),
    ("/", "en", "english"), ("/", "xx", "english"), ("/", "eng", "english"),
    ("/", "fr", "francais"), ("/", "fr-CH, fr;q=0.9, de;q=0.7", "francais"),
    ("/", "pt-PT,pt;q=0.9,fr;q=0.8,de;q=0.7", "francais"),
    ("/", "pt-BR,pt;q=0.9,fr;q=0.8,de;q=0.7", "brasileiro"),
    ("/", "pt-BR", "brasileiro"), ("/", "pt-BR;q=1.0,de", "brasileiro"),
    ("/", "zh-Hant-TW;q=1,de;q=0.5", "hanzi"), ("/", "pt", "english"),
    ("/", "pt-BR;q=0.5,de", "deutsch"), ("/", "de-AT", "deutsch"),
    ("/info.html", "pt-BR,de;q=0.5", "Info"),
    ("/pt-BR/", "de", "brasileiro"),
    ("/", "xx,yy,de", "deutsch"), ("/", "xx, fr", "francais"),
    ("/", "xx,en,de", "english"),
    ("/", "en;q=0.3,de;q=0.9", "deutsch"), ("/", "de;q=0", "english"),
    ("/", "fr;q=0.1, de;q=0.2", "deutsch"),
    ("/", "de;q=1.0, fr", "deutsch"), ("/", "../de", "english"),
    # what is not translated
    ("/info.html", "fr", "info"), ("/info.html", "fr,de;q=0.5", "Info"),
    ("/info.html", "de", "Info"),
    ("/sub/", "de", "sub"), ("/sub/", "fr", "sous"),
    # what was chosen
    ("/en/", "de", "english"), ("/en/index.html", "de", "english"),
    ("/en/info.html", "de", "info"), ("/en/sub/", "fr", "sub"),
    ("/en/info.html?lang=en", "de", "info"),
    ("/index.html?x=1", "de", "deutsch"),
    ("/de/", "fr", "deutsch"), ("/de/index.html", "en", "deutsch"),
    ("/de/", None, "deutsch"), ("/fr/sub/index.html", "de", "sous"),
    # no page
    ("/file.txt", "de", "text"), ("/fr/file.txt", "de", "texte"),
]

PAGES = {
    "index.html": "english", "info.html": "info", "de/index.html": "deutsch",
    "de/info.html": "Info", "fr/index.html": "francais",
    "pt-BR/index.html": "brasileiro", "zh-Hant-TW/index.html": "hanzi",
    "sub/index.html": "sub", "fr/sub/index.html": "sous",
    "file.txt": "text", "fr/file.txt": "texte", "empty/x": "",
    "404.html": "nothing here", "de/404.html": "nichts hier",
    ".well-known/security.txt": "contact", ".git/config": "secret",
    "app.js": "1", "main.css": "a{}", "page.html": "<script>1</script>",
}


def test_languages(relay, w):
    for path, language, want in LANGUAGES:
        headers = {} if language is None else {"accept_language": language}
        answer = w.get(path, **headers)
        tap.is_((answer.status, answer.text()), (200, want),
                "%s, %s: %s" % (path, language, want))
    vary = {path: w.get(path).header("Vary")
            for path in ("/", "/info.html", "/main.css", "/en/")}
    tap.is_(vary, {"/": "Accept-Language", "/info.html": "Accept-Language",
                   "/main.css": None, "/en/": "Accept-Language"},
            "pages vary by the language")


def test_own_pages(relay, w):
    for path, location in (("/sub", "/sub/"), ("/de", "/de/"),
                           ("/en", "/en/"),
                           ("/info.html?lang=en", "/en/info.html"),
                           ("/?lang=en", "/en/"),
                           ("/sub/index.html?lang=en", "/en/sub/index.html"),
                           ("/en/de/info.html", "/de/info.html"),
                           ("/en/fr/?x", "/fr/?x"),
                           ("/fr/info.html", "/en/info.html"),
                           ("/pt-BR/sub/index.html", "/en/sub/index.html"),
                           ("/en/pt-BR/index.html", "/pt-BR/index.html")):
        answer = w.get(path)
        tap.is_((answer.status in (301, 302), answer.header("Location")),
                (True, location), path + ": leads to " + location)
    for path in ("/empty/", "/nothing", "/.git/config", "/en/nothing.html",
                 "/en/nothing/", "/de/nothing", "/de/nothing.html",
                 "/xyz/info.html", "/fr/.html"):
        answer = w.get(path)
        tap.is_((answer.status, answer.text()), (404, "nothing here"),
                path + ": the operator's own 404.html")
    tap.is_(w.get("/nothing", accept_language="de").text(), "nichts hier",
            "in the reader's language")
    for path in ("/%0d%0aX-Evil:%20y.html?lang=en", "/en/de/%0d%0aX-Evil:%20y",
                 "/%0aX-Evil:%20y/", "/sub%0d%0aX-Evil:%20y"):
        tap.is_(w.get(path).header("X-Evil"), None,
                path + ": no header of a stranger's")
    tap.is_(w.get("/.well-known/security.txt").text(), "contact",
            "/.well-known/ is shown")
    tap.is_({path: w.get(path).header("Content-Type") for path in (
        "/app.js", "/main.css")},
        {"/app.js": "application/javascript; charset=utf-8",
         "/main.css": "text/css"}, "types")
    headers = dict(HEADERS, **{"Content-Security-Policy": None,
                               "Permissions-Policy": None,
                               "Strict-Transport-Security": HSTS})
    for path in "/page.html", "/nothing":
        answer = w.get(path)
        tap.is_({k: answer.header(k) for k in headers}, headers,
                path + ": own pages may have scripts")
    for path in "/relay", "/ping", "/generate_204":
        tap.is_(w.get(path).status, 404, path + ": iroh's relay is not ours")


def test_external(relay, w, authority):
    for name in "", "www.", "mta-sts.", "autoconfig.":
        answer = w.get("/", host=name + relay.domain)
        tap.is_(answer.status, 301 if name == "www." else 200,
                "a client that checks the certificate: " + name + relay.domain)
    try:
        w.get("/", host="other.test")
        tap.ok(False, "which is for no other name")
    except ssl.SSLCertVerificationError:
        tap.ok(True, "which is for no other name")
    with open(relay.info["certificate"]) as f:
        tap.is_(f.read(), authority.chain, "sandbox.json names the file")
    url = "dcaccount:https://%s:%d/new" % (relay.domain, relay.ports["https"])
    for path in NEW:
        for method in "GET", "HEAD":
            answer = w.request(method, path, accept=BROWSER)
            tap.is_((answer.status, answer.header("Location"),
                     answer.header("Cache-Control")), (301, url, "no-store"),
                    "%s %s: into an app" % (method, path))
        answer = w.post(path, accept="application/json, image/svg+xml")
        tap.is_((answer.status, sorted(answer.json())),
                (200, ["email", "password"]), "POST %s: an address" % path)
    _, answer = until_refused(lambda: w.post("/new", source="127.0.0.19"))
    is_refusal(answer, 429)
    account = w.post("/new", source="127.0.0.20").json()
    imap = imaplib.IMAP4_SSL("127.0.0.1", relay.ports["imaps"], timeout=30,
                             ssl_context=sandbox.tls_context())
    tap.is_(imap.sock.getpeercert(True),
            ssl.PEM_cert_to_DER_cert(authority.leaf),
            "Dovecot has that certificate too")
    imap.login(account["email"], account["password"])
    imap.logout()


def refused(relay):
    p = subprocess.run(relay.command("--render"), capture_output=True,
                       text=True, timeout=60)
    return p.returncode, p.stderr


def run_own(relay):
    """An operator's own pages and certificate."""
    for path, text in PAGES.items():
        write(relay.path("pages", path), text)
    names = [n + relay.domain for n in ("", "www.", "mta-sts.", "autoconfig.")]
    authority = web.Authority(relay.path("ca"), *names)
    relay.configure()
    relay.set("www_folder", relay.path("pages"))
    relay.set("tls_external_cert_and_key", "/nowhere/full /nowhere/key")
    code, said = refused(relay)
    tap.ok(code == 1 and "tls_external_cert_and_key: /nowhere/full: No such "
           "file" in said, "a certificate that is not there is named")
    relay.set("tls_external_cert_and_key", authority.files)
    relay.start()
    w = client(relay, authority.context)
    test_external(relay, w, authority)
    test_languages(relay, w)
    test_own_pages(relay, w)


SOURCES = {
    "page-layout.html": '<html lang="{{ lang }}">{{ language_links }}'
                        '<a id="info" href="info.html">{{ markdown_html }}',
    "index.md": "# Home", "info.md": "# Info",
    "de/index.md": "<!-- language: Deutsch -->\n# Start",
    "de/info.md": "# Auskunft", "docs/x.md": "# X", "de/docs/x.md": "# Ix",
}

# what a reader of German does, the page's language then
WALK = [
    ("/", "de"), ("hreflang=en", "en"), ("id=info", "en"),
    ("hreflang=de", "de"), ("id=info", "de"), ("hreflang=en", "en"),
    ("hreflang=de", "de"), ("/info.html", "de"), ("hreflang=en", "en"),
    ("/docs/x.html", "de"), ("hreflang=en", "en"), ("hreflang=de", "de"),
    ("/en/", "en"), ("hreflang=de", "de"),
]


def test_walk(w):
    """A browser that prefers German, on pages with a link to English."""
    url, page = "https://relay/", ""
    for step, want in WALK:
        if "=" in step:
            name, value = step.split("=")
            step = next(a for a in re.findall(r"<a [^>]*>", page)
                        if '%s="%s"' % (name, value) in a)
            step = re.search('href="([^"]*)"', step)[1]
        url = urllib.parse.urljoin(url, step)
        answer = w.get(url[len("https://relay"):], accept_language="de,en")
        if answer.status == 302:
            url = urllib.parse.urljoin(url, answer.header("Location"))
            answer = w.get(url[len("https://relay"):], accept_language="de,en")
        page = answer.text()
        tap.like(page, '<html lang="%s">' % want, "%s: %s" % (url, want))


def run_acme(relay):
    """ACME, and pages that are built."""
    for path, text in SOURCES.items():
        write(relay.path("pages", "src", path), text)
    relay.configure()
    relay.set("www_folder", relay.path("pages"))
    relay.start()
    w = client(relay)
    test_walk(w)
    write(relay.path("acme/.well-known/acme-challenge/tok-en_1"), "tok.thumb")
    for path, status, text in (("tok-en_1", 200, "tok.thumb"),
                               ("other", 404, None), ("../../x", 301, None)):
        answer = web.plain(
            relay.ports["http"], "GET /.well-known/acme-challenge/%s HTTP/1.1"
            "\r\nHost: mta-sts.%s\r\n\r\n" % (path, relay.domain))
        tap.is_((answer.status, text and answer.text()), (status, text),
                "ACME: %s: %d" % (path, status))
    answer = w.get("/new")
    tap.is_((answer.status, answer.header("Strict-Transport-Security")),
            (301, HSTS), "ACME: GET /new leads into an app")
    _, answer = until_refused(lambda: w.post("/new", source="127.0.0.21"))
    is_refusal(answer, 429)


def run_self(relay):
    relay.configure()
    relay.set("max_message_size", str(MAX_MESSAGE))
    remove_setting(relay, "iroh_relay")
    relay.start()
    tap.is_(relay.info["url"], "https://127.0.0.1:%d/" % relay.ports["https"],
            "sandbox.json: where the pages are")
    tap.like(relay.tail(), relay.info["url"], "which is shown")
    for test in (test_branches, test_mail_by_https_port, test_pages, test_new,
                 test_limit, test_networks, test_thousand, test_log,
                 test_headers, test_newemail_is_down, test_discovery,
                 test_redirects, test_mxdeliv, test_iroh):
        began = time.monotonic()
        test(relay)
        tap.diag("%s: %.1f s" % (test.__name__, time.monotonic() - began))


if sandbox.skip_reason():
    tap.skip_all(sandbox.skip_reason())
for run, domain in ((run_self, "_chat.test"), (run_own, "chat.test"),
                    (run_acme, "chat.test")):
    relay = sandbox.Sandbox(domain=domain)
    try:
        run(relay)
    except Exception as e:
        tap.ok(False, "%s: %s: %s" % (run.__name__, type(e).__name__, e))
        if os.path.exists(relay.path("output")):
            tap.diag(relay.tail())
    finally:
        relay.stop()
        relay.remove()
tap.done()
