#!/usr/bin/env python3
"""The relay's pages in a browser: that they can be read on a phone and on a
screen, by day and by night, that every link leads somewhere, that nothing is
fetched from elsewhere, and that a person gets an address."""
import functools
import html.parser
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "lib"))
import browser
import netspace
import sandbox
import tap

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
CHATMAIL = os.path.abspath(os.environ.get("CHATMAIL", "build/chatmail"))
LIB = os.path.join(TOP, "t", "lib")
SIZES = (360, 740), (768, 1024), (1280, 800)
PAGES = "index", "info", "privacy"
LANGUAGES = ("en", ""), ("de", "de/")
LONG = "_a" + 9 * "longer" + ".example.org"     # no hyphen to break at
POSTAL = "Verein <b>Über & \"Co\"</b>\nWeg 1\n79098 Freiburg"

# name, chatmail.ini without [params]
SITES = [
    ("acme", "mail_domain = chat.example.org\nprivacy_mail = a@example.org\n"
     "privacy_postal =\n  %s\nprivacy_pdo =\n  Ada\n  Weg 2\n"
     "privacy_supervisor =\n  Amt\n  Weg 3\nmax_user_send_per_minute = 77\n"
     "max_mailbox_size = 2G\ndelete_mails_after = 1\n" %
     POSTAL.replace("\n", "\n  ")),
    ("self", "mail_domain = %s\n"
     "iroh_relay =\nimap_rawlog = true\nusername_min_length = 6\n"
     "notification_url = https://push.example.net/notify\n" % LONG),
]


def page_csp():
    """The policy that nginx sends with the pages."""
    with open(os.path.join(TOP, "conf-templates", "nginx",
                           "nginx.conf")) as f:
        return re.search(r'Content-Security-Policy "(.*?)"', f.read())[1]


class Site(http.server.SimpleHTTPRequestHandler):
    """Serves one directory as nginx does, and /new as newemail does, or as
    said in server.answer: (status, body)."""

    def end_headers(self):
        self.send_header("Content-Security-Policy", self.server.csp)
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def reply(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def ask_newemail(self):
        self.server.asked.append((self.command, self.headers["Accept"] or ""))
        if self.server.answer:
            status, body = self.server.answer
            self.reply(status, "application/json", body.encode())
            return
        r = subprocess.run(
            [CHATMAIL, "newemail", self.server.ini], capture_output=True,
            stdin=subprocess.DEVNULL, timeout=60,
            env={**os.environ, "GATEWAY_INTERFACE": "CGI/1.1",
                 "REQUEST_METHOD": self.command,
                 "HTTP_ACCEPT": self.headers["Accept"] or "",
                 "HTTP_ACCEPT_LANGUAGE": self.headers["Accept-Language"] or ""})
        head, _, body = r.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1)
                      for line in head.decode().split("\r\n"))
        self.reply(int(fields.get("Status", "200")[:3]),
                   fields["Content-Type"], body)

    def do_POST(self):
        if self.path == "/new":
            self.ask_newemail()
        else:
            self.send_error(405)

    def do_GET(self):
        if self.path == "/new":
            self.ask_newemail()
        else:
            super().do_GET()

    def log_message(self, *args):
        pass


def serve(directory, ini):
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Site, directory=directory))
    server.ini, server.answer, server.asked = ini, None, []
    server.csp = page_csp()
    server.url = "http://127.0.0.1:%d/" % server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def build(name, text):
    ini = "%s/%s.ini" % (top, name)
    with open(ini, "w") as f:
        f.write("[params]\nmailboxes_dir = %s\n%s" % (top, text))
    r = subprocess.run([CHATMAIL, "www", "--output", "%s/%s" % (top, name),
                        ini], capture_output=True, text=True)
    if not tap.is_(r.returncode, 0, name + ": the pages are built"):
        tap.diag(r.stderr)
        tap.done()
    return serve("%s/%s" % (top, name), ini)


def decode_qr(png):
    r = subprocess.run(["zbarimg", "--quiet", "--raw", "--nodbus", png],
                       capture_output=True, text=True)
    return r.stdout.strip()


def see_qr(page, name):
    """What a camera reads off the screen."""
    png = "%s/qr.png" % top
    page.run("document.querySelector('.qr')"
             ".scrollIntoView({behavior: 'instant'})")
    page.screenshot(png, whole=False)
    tap.is_(decode_qr(png), page.run("document.querySelector('.qr a')"
                                     ".getAttribute('href')"), name)


# ---- every page -----------------------------------------------------------------

def looks(page, name):
    """The audit at all sizes, by day and by night, and printed."""
    for width, height in SIZES:
        for dark in False, True:
            page.look(width, height, dark)
            tap.is_(page.run(AUDIT), [], "%s, %d px, %s: looks right" %
                    (name, width, "dark" if dark else "light"))
    page.look(768, 1024, dark=True, media="print")
    tap.is_(page.run(AUDIT), [], name + ", printed: looks right")
    tap.is_(page.run("getComputedStyle(document.body).backgroundColor"),
            "rgb(255, 255, 255)", name + ", printed: on white paper")


def clean(page, server, name):
    tap.is_(page.errors, [], name + ": no error in the console")
    tap.is_([u for u in page.requests
             if not u.startswith((server.url, "data:"))], [],
            name + ": nothing comes from elsewhere")


def test_site(site, server, links):
    page = chrome.page()
    for code, folder in LANGUAGES:
        for which in PAGES:
            name = "%s: %s%s" % (site, folder, which)
            page.errors.clear()
            page.requests.clear()
            page.open("%s%s%s.html" % (server.url, folder, which))
            page.wait("!document.querySelector('#dclogin-status') ||"
                      "!!document.querySelector('[data-state=ready]')", 20)
            looks(page, name)
            tap.is_(page.run("document.documentElement.lang"), code,
                    name + ": the language is said")
            tap.is_(page.run("[...document.querySelectorAll('nav [aria-current]"
                             "')].map(e => new URL(e.href).pathname)"),
                    ["/%s%s.html" % (folder, which)],
                    name + ": the menu says where we are")
            clean(page, server, name)
            for link in page.run("[...document.querySelectorAll('a[href]')]"
                                 ".map(e => e.href)"):
                links.setdefault(link, name)
    page.close()


class Ids(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.ids = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.ids.add(dict(attrs).get("id"))


def test_links(server, links):
    """Each leads somewhere: ours to what is there, others by https."""
    bad, inside = [], 0
    for link, where in links.items():
        url, _, fragment = link.partition("#")
        if not url.startswith(server.url):
            if not re.match(r"https://[\w.-]+/|mailto:\S+@\S+$|dclogin:\S+@|"
                            r"dcaccount:https://\S+/new$", link, re.I):
                bad.append((where, link))
            continue
        inside += 1
        path = urllib.parse.urlsplit(url).path
        if path == "/new":
            continue
        try:
            with open(server.directory + path, encoding="utf-8") as f:
                text = f.read()
        except OSError:
            bad.append((where, link))
            continue
        if fragment and fragment not in Ids(text).ids:
            bad.append((where, link))
    tap.is_(bad, [], "every link leads somewhere")
    tap.ok(inside > 8, "%d of them inside" % inside)


# ---- what they say --------------------------------------------------------------

def text_of(page, url, selector="main"):
    page.open(url)
    return page.run("document.querySelector('%s').innerText" % selector)


def test_words(acme, own):
    page = chrome.page()
    text = text_of(page, acme.url + "index.html")
    for part in "77", "2 GB", "30 MB":
        tap.like(text, part, "home: says " + part)
    text = text_of(page, acme.url + "info.html")
    for part in ("77 messages a minute", "2 GB", "1 day;", "9 small letters",
                 "at least 9 characters", "a@example.org"):
        tap.like(text, part, "info: says " + part)
    tap.ok(page.run("document.getElementById('account-deletion').innerText"),
           "info: tells how an address is deleted")
    tap.like(text_of(page, own.url + "info.html"), "6 – 9 small letters",
             "info: a range of lengths")

    text = text_of(page, acme.url + "privacy.html")
    tap.is_(page.run("[...document.querySelectorAll('.address')]"
                     ".map(e => e.textContent)"),
            [POSTAL, "Ada\nWeg 2", "Amt\nWeg 3"],
            "privacy: who is responsible, line by line, as it is written")
    tap.ok("operator has not" not in text, "privacy: nothing is missing")
    for part in ("at most 1 day", "2 GB", "for 90 days", "notifications.delta."
                 "chat", "this server passes on"):
        tap.like(text, part, "privacy: says " + part)
    text = text_of(page, own.url + "privacy.html")
    tap.is_(page.run("document.querySelectorAll('.address').length"), 0,
            "privacy: no empty box where nothing is set")
    for part in ("has not given a\npostal address", "has not given an e-mail",
                 "has not named a data", "has not said yet", "20 days",
                 "push.example.net", "a server that the app\nchooses",
                 "records what apps and the relay"):
        tap.like(" ".join(text.split()), " ".join(part.split()),
                 "privacy: says " + part.replace("\n", " "))
    text = text_of(page, own.url + "de/privacy.html")
    for part in "noch nicht angegeben", "höchstens 20 Tage", "push.example.net":
        tap.like(text, part, "privacy, German: says " + part)
    page.close()


def template(name):
    with open(os.path.join(TOP, "conf-templates", name)) as f:
        return f.read()


def test_facts():
    """What the privacy policy promises that is no setting."""
    policy = template("../www/privacy.md")
    for promise, file, line in (
            ("two days, then", "postfix/main.cf",
             "maximal_queue_lifetime = 2d"),
            ("three days", "journald/chatmail.conf", "MaxRetentionSec=3d"),
            ("in memory and not on disk", "journald/chatmail.conf",
             "Storage=volatile"),
            ("does not log who reads", "nginx/nginx.conf", "access_log off;"),
            ("takes out header lines", "postfix/submission_header_cleanup",
             "/^Received:/"),
            ("nor its subject", "postfix/submission_header_cleanup",
             "/^Subject:/           IGNORE")):
        tap.ok(promise in policy and line in template(file),
               "privacy: %s: so does %s" % (promise, file))


# ---- with the keyboard, and without motion ------------------------------------------

def test_keyboard(server):
    page = chrome.page(width=360, height=740)
    page.open(server.url + "privacy.html")
    page.key("Tab", 9)
    tap.is_(page.run("document.activeElement.className"), "skip",
            "the first Tab leads to the way past the menu")
    tap.ok(page.run("document.activeElement.getBoundingClientRect().top >= 0"),
           "which is seen then")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", text="\r",
              windowsVirtualKeyCode=13)
    tap.ok(page.wait("location.hash === '#main'", 20), "and works")
    page.look(360, 740, still=True)
    tap.is_(page.run("[...document.querySelectorAll('*')].filter(e => {"
                     "const s = getComputedStyle(e);"
                     "return parseFloat(s.transitionDuration) > 0 ||"
                     "s.animationName !== 'none' ||"
                     "s.scrollBehavior === 'smooth' }).length"), 0,
            "nothing moves for those who want that")
    page.close()


# ---- getting an address ---------------------------------------------------------

def test_invite(server):
    for dark in False, True:
        page = chrome.page(width=360, height=740, dark=dark)
        page.open(server.url)
        tap.is_(page.run("document.querySelector('.button')"
                         ".getAttribute('href')").lower(),
                "dcaccount:https://chat.example.org/new",
                "the button is for the app")
        see_qr(page, "the QR code is the same, " +
               ("dark" if dark else "light"))
        page.close()


def state(page, wanted):
    page.wait("document.getElementById('dclogin-status').dataset.state === '%s'"
              % wanted, 20)
    return page.run("document.getElementById('dclogin-status').innerText")


LINK = "document.getElementById('dclogin-link').getAttribute('href')"
AGAIN = "document.getElementById('dclogin-again')"
QR_HIDDEN = "document.getElementById('dclogin-qr').hidden"


def test_dclogin(server, domain):
    for dark in False, True:
        page = chrome.page(width=360, height=740, dark=dark)
        server.asked.clear()
        page.open(server.url)
        said = state(page, "ready")
        link = page.run(LINK)
        address = urllib.parse.unquote(link.partition(":")[2].partition("?")[0])
        tap.ok(re.fullmatch(r"dclogin:[a-z0-9]+@%s\?p=\S+&v=1\S*&ic=3" %
                            re.escape(domain), link), "the link logs in")
        tap.like(said, address, "its address is shown")
        tap.is_(server.asked, [("POST", "application/json, image/svg+xml")],
                "the relay was asked once")
        see_qr(page, "the QR code is the same, " +
               ("dark" if dark else "light"))
        page.run(AGAIN + ".click()")
        tap.ok(page.wait("%s !== %s" % (LINK, json.dumps(link)), 20),
               "another address on demand")
        state(page, "ready")
        see_qr(page, "with its own code")
        clean(page, server, "the script")
        page.close()


GOOD = {"email": "a@_x", "password": "p", "dclogin_url": "dclogin:a@_x?p=p&v=1"}

# name, status, body, state, part of what is said, is a link given
ANSWERS = [
    ("too many", 429, '{"reason": "slowly"}', "often", "Wait a moment", False),
    ("429 without JSON", 429, "<html>", "often", "Wait a moment", False),
    ("no room", 503, '{"reason": "disk full"}', "failed", "disk full", False),
    ("no reason", 500, "{}", "failed", "gave no address", False),
    ("no JSON", 502, "<html>Bad Gateway", "failed", "gave no address", False),
    ("nonsense", 200, "[]", "failed", "gave no address", False),
    ("a script for a link", 200, json.dumps(
        {**GOOD, "dclogin_url": "javascript:alert(1)"}), "failed",
     "gave no address", False),
    ("no picture", 200, json.dumps(GOOD), "ready", "a@_x", True),
    ("a broken picture", 200, json.dumps({**GOOD, "qr_svg": "<svg"}),
     "ready", "a@_x", True),
]


def test_refusals(server):
    page = chrome.page(width=360, height=740)
    for name, status, body, want, part, is_link in ANSWERS:
        server.answer = status, body
        page.open(server.url)
        tap.like(state(page, want), part, name + ": that is said")
        tap.is_(page.run(LINK), GOOD["dclogin_url"] if is_link else "/new",
                name + ": the link is " + ("given" if is_link else "to /new"))
        tap.is_(page.run(QR_HIDDEN), True, name + ": no code is shown")
        tap.is_(page.run(AUDIT), [], name + ": looks right")
        server.answer = None
        page.run(AGAIN + ".click()")
        state(page, "ready")
        tap.is_(page.run(QR_HIDDEN), False, name + ": trying again helps")
    page.open(server.url + "de/")
    state(page, "ready")
    server.answer = 429, ""
    page.run(AGAIN + ".click()")
    tap.like(state(page, "often"), "zu viele Adressen", "said in German")
    tap.is_(page.run(AGAIN + ".innerText"), "Noch einmal", "and the button")
    server.answer = None
    page.close()


def test_without_script(server):
    page = chrome.page(width=360, height=740, script=False)
    page.open(server.url)
    tap.is_(page.run(AUDIT), [], "without scripts: looks right")
    tap.is_(page.run(AGAIN + ".hidden && " + QR_HIDDEN), True,
            "without scripts: nothing is shown that would not work")
    page.open(urllib.parse.urljoin(server.url, page.run(LINK)))
    tap.ok(page.run("document.querySelector('.button').href")
           .startswith("dclogin:"), "without scripts: the button is for the app")
    see_qr(page, "without scripts: the QR code is the same")
    looks(page, "without scripts: /new")
    clean(page, server, "without scripts")
    page.close()


# ---- as the sandbox serves them ---------------------------------------------------

def test_sandbox():
    why = sandbox.skip_reason()
    if why:
        tap.skip("pages of a sandbox", why)
        return
    with sandbox.Sandbox() as relay:
        url = relay.info["url"]
        page = chrome.page(width=360, height=740)
        page.open(url)
        tap.like(state(page, "ready"), "@" + relay.domain,
                 "sandbox: a person gets an address")
        see_qr(page, "sandbox: and its QR code")
        link = page.run(LINK)
        user = urllib.parse.unquote(link.partition(":")[2].partition("?")[0])
        password = urllib.parse.parse_qs(link.partition("?")[2])["p"][0]
        tap.is_(relay.imap(user, password).logout()[0], "BYE",
                "sandbox: which logs in")
        tap.is_(page.run(AUDIT), [], "sandbox: looks right")
        tap.is_(page.errors, [], "sandbox: no error in the console")
        for _ in range(20):
            page.run(AGAIN + ".click()")
            if page.wait("['often', 'failed'].includes(document.getElementById("
                         "'dclogin-status').dataset.state)", 0.05):
                break
        tap.like(state(page, "often"), "Too many addresses",
                 "sandbox: who wants too many is told so")

        page.call("Network.setExtraHTTPHeaders",
                  headers={"Accept-Language": "de,en;q=0.5"})
        page.open(url)
        tap.is_(page.run("document.documentElement.lang"), "de",
                "sandbox: German for those who prefer it")
        tap.is_(page.run("getComputedStyle(document.querySelector('.hero'))"
                         ".display"), "grid", "sandbox: with its styles")
        page.run("document.querySelector('nav a:nth-child(2)').click()")
        tap.ok(page.wait("document.title.startsWith('Über') &&"
                         "document.readyState === 'complete'", 20),
               "sandbox: the menu stays in German")
        page.run("document.querySelector('.languages a').click()")
        tap.ok(page.wait("document.documentElement.lang === 'en' &&"
                         "document.readyState === 'complete'", 20),
               "sandbox: and English is one click away")
        page.run("document.querySelector('.languages a').click()")
        tap.ok(page.wait("document.documentElement.lang === 'de' &&"
                         "document.readyState === 'complete'", 20),
               "sandbox: and German again")
        page.open(url + "no/such/page.html")
        tap.like(page.run("document.body.innerText"), "Diese Seite gibt es "
                 "nicht", "sandbox: a page that is not there")
        tap.is_(page.run(AUDIT), [], "sandbox: which looks right")
        page.close()


why = browser.skip_reason() or \
    (None if shutil.which("zbarimg") else "zbarimg is not installed")
if why:
    tap.skip_all(why)
# Chromium drops what it has open when an interface comes or goes, and other
# tests make some. Who may not have a network alone has to take that.
netspace.enter({"localhost": "127.0.0.1"})
with open(os.path.join(LIB, "audit.js"), encoding="utf-8") as script:
    AUDIT = "(%s)()" % script.read()
top = tempfile.mkdtemp(prefix="pages-")
try:
    with browser.Browser() as chrome:
        servers = {name: build(name, text) for name, text in SITES}
        for name, server in servers.items():
            found = {}
            server.directory = "%s/%s" % (top, name)
            test_site(name, server, found)
            test_links(server, found)
        test_words(servers["acme"], servers["self"])
        test_facts()
        test_keyboard(servers["acme"])
        test_invite(servers["acme"])
        test_dclogin(servers["self"], LONG)
        test_refusals(servers["self"])
        test_without_script(servers["self"])
        test_sandbox()
finally:
    shutil.rmtree(top, ignore_errors=True)
tap.done()
