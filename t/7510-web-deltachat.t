#!/usr/bin/env python3
"""Delta Chat accounts that come from the relay's pages: by a link, by the core
asking /new itself, by autoconfig; and all mail by the HTTPS port."""
import base64
import contextlib
import glob
import hashlib
import html
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import deltachat
import netspace
import sandbox
import tap
import web

NAMES = ["localhost"] + [n + d for d in ("_chat.test", "chat.test")
                         for n in ("", "autoconfig.")]
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def error(call, *args, **more):
    """What the core says against it, "" when it does it."""
    try:
        call(*args, **more)
    except deltachat.Error as e:
        return str(e)
    return ""


def check_chat(one, other, name):
    """Both have a way to the other."""
    chat = other.join(one.invite())
    other.send(chat, "hello")
    message = one.wait_message("hello")
    tap.ok(message["showPadlock"], name + ": a message arrives encrypted")
    one.send(message["chatId"], "and back")
    tap.ok(other.wait_message("and back")["showPadlock"],
           name + ": so does the answer")


def check_servers(account, relay, name):
    """The core has logged in on the ports that autoconfig names; on those of
    its own guesses nobody listens here."""
    story = account.story()
    for kind, port in ("IMAP", "imaps"), ("SMTP", "smtps"):
        tap.ok(re.search(r"Attempting %s connection to %s \(127\.0\.0\.1:%d\)" %
                         (kind, re.escape(relay.domain), relay.ports[port]),
                         story),
               "%s: %s on the port that autoconfig names" % (name, kind))


def run_self(relay, core, folder):
    relay.start()
    netspace.forward(443, relay.ports["https"])
    w = web.Web(relay.ports["https"], relay.domain, None,
                relay.ports["nginx_https"])
    link = w.post("/new", client="192.0.2.1").json()["dclogin_url"]
    alice = core.account().login(link)
    tap.ok(alice.addr.endswith("@_chat.test"), "by the link that /new gives")
    page = w.get("/new", client="192.0.2.1", accept=BROWSER).text()
    link = html.unescape(re.search(r'href="(dclogin:[^"]*)"', page)[1])
    bob = core.account().login(link)
    tap.is_("dclogin:" + bob.addr, link.split("?")[0],
            "by the link of the page for browsers")
    carol = core.account().login("DCACCOUNT:https://_chat.test/new")
    tap.ok(carol.addr.endswith("@_chat.test"),
           "by asking /new: with _ the core needs no authority")
    check_servers(carol, relay, "_chat.test")
    check_chat(alice, carol, "link and /new")
    by_https_port(relay, core)
    tap.like(refusal(w, core), "too many new addresses were asked for from "
             "your network", "the core tells why there is no address")


def refusal(w, core, tries=5):
    """What the core says while others at its address ask all the time. Now and
    then it is the one who is served."""
    done = threading.Event()

    def ask():
        while not done.is_set():
            w.post("/new")

    while w.post("/new").status != 429:
        pass
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(tries):
            said = error(core.account().login,
                         "DCACCOUNT:https://_chat.test/new")
            if said:
                return said
        return ""
    finally:
        done.set()
        thread.join()


def by_https_port(relay, core):
    accounts = []
    for _ in range(2):
        addr, password = relay.new_user()
        port = relay.ports["https"]
        accounts.append(core.account().login(
            deltachat.dclogin(addr, password, port, port)))
    check_chat(*accounts, "IMAP and SMTP on the HTTPS port")
    log = relay.log()
    tap.ok(all(a.addr in log for a in accounts), "which Dovecot has seen")


def pin(folder, names, certificate):
    """Let the account that was made last know the server's key, as if it had
    connected before. The roots that the core trusts are compiled into it, but
    the key of a known server counts as well (its table tls_spki)."""
    public = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "der"], check=True,
        capture_output=True, input=subprocess.run(
            ["openssl", "x509", "-pubkey", "-noout"], check=True,
            input=certificate.encode(), capture_output=True).stdout).stdout
    key = base64.b64encode(hashlib.sha256(public).digest()).decode()
    newest = max(glob.glob(folder + "/accounts/*/dc.db"), key=os.path.getctime)
    with contextlib.closing(sqlite3.connect(newest, timeout=20)) as db, db:
        db.executemany("INSERT INTO tls_spki (host, spki_hash, timestamp) "
                       "VALUES (?, ?, ?)",
                       [(name, key, int(time.time())) for name in names])


def run_external(relay, core, folder):
    names = [n + relay.domain for n in ("", "www.", "mta-sts.", "autoconfig.")]
    authority = web.Authority(relay.path("ca"), *names)
    relay.configure()
    relay.set("tls_external_cert_and_key", authority.files)
    relay.start()
    netspace.forward(443, relay.ports["https"])
    url = "DCACCOUNT:https://chat.test/new"
    said = error(core.account().login, url)
    tap.like(said, "UnknownIssuer", "an unknown authority is refused")
    account = core.account()
    pin(folder, names, authority.leaf)
    account.login(url)
    tap.ok(account.addr.endswith("@chat.test"),
           "by asking /new: name and key are checked")
    transport = account.call("list_transports")[0]
    tap.is_(transport["certificateChecks"], "strict", "and always will be")
    check_servers(account, relay, "chat.test")
    w = web.Web(443, relay.domain, authority.context)
    answer = w.get("/new", accept=BROWSER)
    tap.is_((answer.status, answer.header("Location")),
            (301, "dcaccount:https://chat.test:%d/new" % relay.ports["https"]),
            "which is where /new leads a browser to")
    other = core.account()
    pin(folder, names, authority.leaf)
    other.login(answer.header("Location"))
    check_chat(account, other, "chat.test")


if sandbox.skip_reason():
    tap.skip_all(sandbox.skip_reason())
try:
    program = deltachat.find_program()
except deltachat.Missing as e:
    tap.skip_all(e)
reason = netspace.enter({name: "127.0.0.1" for name in NAMES})
if reason:
    tap.skip_all("no network namespace: " + reason)
for run, domain in (run_self, "_chat.test"), (run_external, "chat.test"):
    relay = sandbox.Sandbox(domain=domain)
    folder = tempfile.mkdtemp(prefix="chatmail-core-", dir="/tmp")
    try:
        with deltachat.Core(program, folder) as core:
            run(relay, core, folder)
    except Exception as e:
        tap.ok(False, "%s: %s: %s" % (run.__name__, type(e).__name__,
                                      str(e).split("\n")[0]))
        tap.diag(e)
        if os.path.exists(relay.path("output")):
            tap.diag(relay.tail())
    finally:
        relay.stop()
        relay.remove()
        shutil.rmtree(folder, ignore_errors=True)
tap.done()
