#!/usr/bin/env python3
"""A relay on Debian 13, whose Dovecot 2.4 asks doveauth by a script in Lua,
beside one on Debian 12: set up by the same deploy, they write to each other,
and treat logins alike. LONG=1 also builds it there, and runs tests of the
sandbox."""
import concurrent.futures
import contextlib
import http.server
import os
import random
import re
import shutil
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "host")]
import deltachat
import doveauth_proxy
import hosts
import logins
import relays
import smtptest
import tap
from relays import LETTERS, Relay, until

TOP = os.path.dirname(HERE)
LONG = bool(os.environ.get("LONG"))
NEW, OLD = "_new.test", "_old.test"
DEBUG = "/etc/systemd/system/chatmail-dkim.service.d/debug.conf"
STORM = 200
MB = 1024 * 1024
BOX = "/home/vmail/mail/"
# these run on a host that has the program and little more
IN_HOST = ["4000-templates.t", "7000-sandbox.t", "7100-deltachat.t",
           "7200-federation.t", "7300-quota.t", "7600-notify.t"]
UNITS = ["doveauth", "lastlogin", "chatmail-metadata", "chatmail-dkim",
         "filtermail", "filtermail-incoming", "chatmail-newemail",
         "chatmail-expire", "chatmail-fsreport"]
VARIANTS = ["imap_notify_delay = 500", "imap_compress = true",
            "imap_rawlog = yes", "mtail_address = 127.0.0.1",
            "privacy_mail = p@example.org", "disable_ipv6 = true"]
STOP = "systemctl stop doveauth.socket doveauth"
START = "systemctl start doveauth.socket doveauth"


def at_once(*calls):
    """The results of functions that run in parallel."""
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [done.result() for done in [pool.submit(c) for c in calls]]


def good(result, name):
    """A command's exit code is 0; returns what it printed."""
    code, out, err = result
    if not tap.ok(code == 0, name):
        tap.diag("exit code %d\n%s" % (code, (out + err)[-3000:]))
    return out


def word(n=9):
    return "".join(random.choices(LETTERS, k=n))


class Notifications(http.server.ThreadingHTTPServer):
    """In the notification server's place."""

    def __init__(self, address):
        self.tokens = []
        super().__init__((address, 0), Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.tokens.append(self.rfile.read(
            int(self.headers["Content-Length"])).decode())
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


class Idle:
    """An IMAP connection in IDLE."""

    def __init__(self, relay, addr):
        self.relay, self.addr = relay, addr
        self.imap = relay.imap(addr)
        self.imap.select("INBOX")
        self.imap.send(b"x IDLE\r\n")
        while not self.imap.readline().startswith(b"+"):
            pass
        self.began = time.monotonic()

    def is_told(self, timeout=60):
        """Seconds until a new message is told of, None if it is not."""
        began = time.monotonic()
        self.imap.sock.settimeout(timeout)
        with contextlib.suppress(OSError):
            while line := self.imap.readline():
                if b"EXISTS" in line:
                    return time.monotonic() - began
        return None


class Tests:
    def __init__(self, network):
        self.network = network
        self.pushes = Notifications(network.address)

    # ---- hosts and relays

    def make_relays(self):
        new = self.network.host("new.test", "trixie")
        old = self.network.host("old.test", "bookworm")
        self.new = Relay(self.network, new, NEW, max_mailbox_size="10M",
                         notification_url="http://%s:%d/notify" %
                         self.pushes.server_address)
        self.old = Relay(self.network, old, OLD)
        self.both = self.new, self.old
        for relay in self.both:
            relay.host.use_unbound()
            relay.host.put(DEBUG, "[Service]\nEnvironment="
                           "CHATMAIL_LOG=debug\n")
            self.network.names.set(relay.domain, A=relay.host.address)
        self.network.start_hosts(new, old)

    def test_deploy(self):
        out = good(self.new.deploy("--dry-run"), "dry run on a bare Debian 13")
        for part in "dovecot-auth-lua", "+dovecot_config_version", \
                "/etc/dovecot/auth.lua new":
            tap.like(out, part, "says: " + part)
        deploys = at_once(*[r.deploy for r in self.both])
        for relay, result in zip(self.both, deploys):
            good(result, "deploy to " + relay.domain)
            tap.is_(relay.host.failed_units(), [], "no unit has failed there")
        for relay, version in zip(self.both, ("2.4", "2.3")):
            tap.like(relay.sh("dovecot --version"), version + ".",
                     "%s has Dovecot %s" % (relay.domain, version))
        text = self.network.names.text
        for relay in self.both:
            text += relay.dns("--zonefile", "-")[1]
        self.network.names.update({}, text)
        for relay in self.both:
            good(relay.dns(), relay.domain + ": its DNS records are right")

    def test_again(self):
        for relay in self.both:
            running = relay.host.started()
            out = good(relay.deploy(), relay.domain + ": a second run")
            tap.like(out, "Nothing to change", "changes nothing")
            tap.is_(relay.host.started(), running, "and restarts nothing")
            tap.is_(self.problems(relay), [], "status: all is well")

    def problems(self, relay):
        """But for what only the machine under the host can change."""
        out = relay.status()[1]
        return [line for line in out.partition("Machine")[2].splitlines()[2:]
                if line and "fs.inotify" not in line and
                "All is well" not in line and not line.startswith("Note:")]

    def test_units(self):
        """A newer systemd knows more ways in."""
        said = self.new.sh("for u in %s; do systemd-analyze security "
                           "--no-pager $u; done" % " ".join(UNITS))
        levels = [float(n) for n in re.findall(
            r"Overall exposure level.*: ([\d.]+) ", said)]
        tap.ok(len(levels) == len(UNITS) and max(levels) <= 2,
               "units of ours are exposed to 2.0 at most: %s" % levels)

    def test_configurations(self):
        """Dovecot 2.4 takes what all kinds of settings make of its file."""
        for line in VARIANTS:
            self.new.host.put("/tmp/variant/chatmail.ini",
                              "[params]\nmail_domain = _x.test\n" + line)
            said = self.new.sh(
                "cd /tmp/variant && chatmail sandbox . --server 2>&1 && "
                "doveconf -n -c dovecot/dovecot-2.4.conf 2>&1 >/dev/null; "
                "echo $?")
            tap.is_(said, "0", "doveconf takes %s" % line)

    # ---- mail

    def test_chat(self):
        alice, carol = (self.new.account(self.core) for _ in range(2))
        bob = self.old.account(self.core)
        for x, y, names in (alice, carol, "on Debian 13"), \
                (alice, bob, "between Debian 12 and 13"):
            chat = y.join(x.invite())
            y.send(chat, "hello")
            message = x.wait_message("hello")
            tap.ok(message["showPadlock"], "a chat " + names)
            x.send(message["chatId"], "hello too")
            tap.ok(y.wait_message("hello too")["showPadlock"], "both ways")
        for relay, other in self.both, self.both[::-1]:
            tap.ok(relay.said("mail from domain %s accepted" % other.domain),
                   "%s verified the mail of %s" % (relay.domain, other.domain))
            tap.is_(relay.said("refused mail"), [], "and refused none")

    def test_idle(self):
        """A connection that begins to wait now, for test_hibernated()."""
        carl = self.new.user()
        self.waiting = Idle(self.new, carl)
        pid = self.new.sh("pgrep -f 'imap.*%s' | head -1" % carl, False)
        self.waiting.pid = pid
        quick = Idle(self.new, self.new.user())
        maps = self.new.sh("cat /proc/$(pgrep -xo imap)/maps", False)
        tap.like(maps, "imap-notify.so", "imap processes load imap-notify.so")
        took = []
        for _ in range(5):
            self.new.submit(carl, quick.addr)
            took.append(quick.is_told())
        tap.ok(None not in took, "a connection in IDLE is told of mail")
        tap.diag("after submission, IDLE hears of it within %s ms" % " ".join(
            "%.0f" % (secs * 1000) for secs in took if secs is not None))
        quick.imap.shutdown()

    def test_hibernated(self):
        """It has waited for more than half a minute, while others tested."""
        def is_hibernated():
            return self.new.sh("doveadm process status imap-hibernate | "
                               "grep -c imap-hibernate", False) not in ("0", "")
        tap.ok(until(is_hibernated, 90), "a connection in IDLE hibernates")
        self.new.submit(self.waiting.addr, self.waiting.addr)
        tap.ok(self.waiting.is_told() is not None, "and is told of mail")
        self.waiting.imap.shutdown()

    def test_quota(self):
        addr = self.new.user()
        imap = self.new.imap(addr)
        body = ("x" * 70 + "\r\n") * (12 * MB // 10 // 72)
        for _ in range(6):
            imap.append("INBOX", None, None,
                        ("Subject: x\r\n\r\n" + body).encode())
        tap.like(str(imap.getquotaroot("INBOX")), "STORAGE", "there is a quota")
        imap.logout()
        # of last week
        self.new.sh("cd %s%s/%s/new && for f in *; do mv $f $((${f%%%%.*} - "
                    "604800)).${f#*.}; done" % (BOX, NEW, addr))
        self.new.submit(addr, addr, smtptest.encrypted(addr, addr,
                                                       4 * MB // 10))
        tap.ok(until(lambda: self.new.said(
            "quota-expire: removed 1 message(s) from " + addr)),
            "a mailbox that is 75 % full is emptied")
        tap.ok(self.new.has_mail(addr, 6), "and has the mail that filled it")

    def test_push(self):
        addr = self.new.user()
        imap = self.new.imap(addr)
        token = word(40)
        imap.xatom("SETMETADATA", "INBOX",
                   '(/private/devicetoken "%s")' % token)
        tap.like(str(imap.xatom("GETMETADATA", "INBOX", "/private/devicetoken")
                     + imap.response("METADATA")), token, "a device's token")
        imap.logout()
        carl = self.new.user()
        self.new.submit(carl, addr)
        tap.ok(until(lambda: token in self.pushes.tokens),
               "mail to its user wakes the device")

    def test_lastlogin(self):
        addr = self.new.user()
        path = "%s%s/%s/password" % (BOX, NEW, addr)
        for way in "IMAP", "IMAP again":
            self.new.sh("touch -d '30 days ago' " + path)
            self.new.imap(addr).logout()
            tap.ok(until(lambda: time.time() - int(self.new.sh(
                "stat -c %Y " + path)) < 2 * 86400), way + ": the day of the "
                "login is noted")

    # ---- logins

    def accounts(self, relay):
        return sorted(relay.sh("ls -A " + BOX + relay.domain).replace(
            relay.domain, "").splitlines())

    def test_nasty(self):
        known = [set(self.accounts(r)) for r in self.both]
        tables = [logins.nasty(r.domain) for r in self.both]

        def log_in(relay, rows):
            pairs = [row[1:3] for row in rows]
            wrong = [(user, _other(password)) for _, user, password, want in
                     rows if want == "ok"]
            return [logins.attempts(relay.host.address, some)
                    for some in (pairs, pairs, wrong)]
        got = at_once(*[lambda r=r, t=t: log_in(r, t)
                        for r, t in zip(self.both, tables)])
        for n, (name, _, _, want) in enumerate(tables[0]):
            new, old = (result[0][n] for result in got)
            tap.is_(new, old if want is None else want, name + ": " + new)
            tap.is_((old, got[0][1][n], got[1][1][n]), (new, new, new),
                    "likewise on Debian 12, and again")
        for relay, result in zip(self.both, got):
            tap.is_(set(result[2]), {"failed"}, relay.domain +
                    ": other passwords are refused")
        new, old = (set(self.accounts(r)) - k
                    for r, k in zip(self.both, known))
        tap.is_(new, old, "the same accounts were made")
        tap.is_(len(new), sum(row[3] == "ok" for row in tables[0]),
                "of the good ones alone")

    def test_answers(self):
        """What doveauth might answer, were it another or broken."""
        proxy = doveauth_proxy.Proxy(self.new.host, NEW)
        password, address = doveauth_proxy.PASSWORD, self.new.host.address
        with proxy, concurrent.futures.ThreadPoolExecutor(1) as pool:
            self.silence = threading.Thread(target=lambda: setattr(
                self, "silent", logins.attempt(address, proxy.silent(),
                                               password)))
            self.silence.start()
            users = proxy.users()
            got = logins.attempts(address, [(u, password) for u, _ in users])
            for (user, want), result in zip(users, got):
                tap.is_(result, want, user + ": " + want)
            tap.is_(logins.attempt(address, "behind001@" + NEW, logins.MARK +
                                   "12345"), "ok", "others log in meanwhile")

    def test_silence(self):
        self.silence.join()
        tap.is_(self.silent, "unavailable", "no answer: a temporary failure")

    def test_stopped(self):
        for relay in self.both:
            user = relay.user()
            pair = user, relay.passwords[user]
            address = relay.host.address
            relay.sh(STOP)
            tap.is_([logins.attempt(address, *pair), logins.attempt(
                address, user, "wrong" + logins.MARK)], ["unavailable"] * 2,
                relay.domain + ": doveauth stopped: a temporary failure")
            since = relay.mark()
            relay.sh("echo Subject: waits | sendmail " + user)
            tap.ok(until(lambda: [s for s in relay.said("to=<" + user, since)
                                  if "status=deferred" in s]),
                   "and mail waits")
            relay.sh(START)
            relay.flush()
            tap.ok(relay.has_mail(user, 1), "until it is back")
            tap.is_(logins.attempt(address, *pair), "ok", "and logins too")
            relay.sh("systemctl restart doveauth")
            tap.is_(logins.attempt(address, *pair), "ok",
                    "it was restarted: login")
        self.asked_and_killed(self.new, *pair[1:])

    def asked_and_killed(self, relay, password):
        """It dies with a question that it has not answered."""
        user = relay.user()
        relay.sh("systemctl kill -s STOP doveauth")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            done = pool.submit(logins.attempt, relay.host.address, user,
                               relay.passwords[user])
            until(lambda: relay.sh("ss -xH | grep -c doveauth.socket", False)
                  not in ("", "0"), 3)
            relay.sh("systemctl kill -s KILL doveauth")
            tap.ok(done.result() in ("unavailable", "ok"),
                   "doveauth killed while asked: not refused")
        tap.is_(logins.attempt(relay.host.address, user,
                               relay.passwords[user]), "ok", "and login")

    def test_storm(self):
        for what in ("new", "known") if LONG else ("new",):
            for relay in self.both:
                users = [("storm%04d@%s" % (n, relay.domain), logins.MARK +
                          "%05d" % n) for n in range(STORM)]
                secs, results = logins.storm(relay.host.address, users)
                tap.is_([r for r in results if r != "ok"], [],
                        "%s: %d %s accounts at once" % (relay.domain, STORM,
                                                        what))
                tap.diag("after %.1f s" % secs)

    def test_users(self):
        for relay in self.both:
            tap.is_(sorted(relay.sh("doveadm user '*'").splitlines()),
                    sorted(relay.sh("cd %s%s && ls */password" % (
                        BOX, relay.domain)).replace("/password",
                                                    "").splitlines()),
                    relay.domain + ": doveadm knows all users")
            tap.is_(relay.sh("doveadm user nobody001@" + relay.domain +
                             " >/dev/null 2>&1; echo $?"), "67",
                    "and no others")

    def test_logs(self):
        for relay in self.both:
            # 2.3 by itself tells of keys that it cannot ask for
            tap.is_([line for line in relay.said(logins.MARK) if
                     relay is self.new or "Failed to lookup key" not in line],
                    [], relay.domain + ": no password got into a log")

    def test_complaints(self):
        """Before doveauth is stopped, which is worth complaints."""
        said = [line for line in self.new.said("Error:") +
                self.new.said("Fatal:") + self.new.said("Panic:")
                if "doveauth: " not in line and "quota-expire: " not in line]
        tap.is_(said[:5], [], "Dovecot 2.4 complains of nothing else")

    # ---- the sandbox

    def test_sandbox(self):
        """Its own tests, with the static program."""
        host = self.new.host
        self.new.sh("apt-get -qq install --yes --no-install-recommends "
                    "python3 openssl binutils; chmod 755 /root; "
                    "mkdir -p /root/chatmail/build")
        top = host.root + "/root/chatmail"
        for name in "t", "conf-templates":
            shutil.copytree(os.path.join(TOP, name), os.path.join(top, name))
        shutil.copy(relays.CHATMAIL, top + "/build/chatmail")
        shutil.copytree(relays.BUILD + "/dovecot", top + "/build/dovecot")
        shutil.copytree(os.path.dirname(deltachat.find_program()),
                        top + "/build/core")
        for name in IN_HOST:
            code, out, err = host.run(
                "cd /root/chatmail && BUILD=$PWD/build CHATMAIL=$PWD/build/"
                "chatmail python3 t/" + name)
            if not tap.ok(code == 0, name + " on Debian 13"):
                tap.diag("\n".join(line for line in (out + err).splitlines()
                                   if not line.startswith("ok ")))

    def test_build(self):
        """As a developer on Debian 13 does, with another compiler."""
        files = hosts.command("git", "ls-files", "-z", cwd=TOP).split("\0")
        top = self.new.host.root + "/root/source"
        for name in filter(None, files):
            os.makedirs(os.path.dirname(os.path.join(top, name)),
                        exist_ok=True)
            shutil.copy(os.path.join(TOP, name), os.path.join(top, name))
        shutil.copytree(os.path.dirname(deltachat.find_program()),
                        top + "/build/core")
        good(self.new.host.run(
            "cd /root/source && DEBIAN_FRONTEND=noninteractive apt-get -qq "
            "install --yes --no-install-recommends gcc make $(t/lib/deps "
            "--print | grep -e -dev$) && make", timeout=3600),
            "it builds on Debian 13")
        out = good(self.new.host.run("cd /root/source && t/lib/demo "
                                     "build/chatmail"), "the demo")
        tap.diag(out)

    def run(self, core):
        self.core = core
        tests = [self.make_relays, self.test_deploy, self.test_idle,
                 self.test_units, self.test_configurations, self.test_nasty,
                 self.test_answers, self.test_chat, self.test_quota,
                 self.test_push, self.test_lastlogin, self.test_storm,
                 self.test_hibernated, self.test_silence,
                 self.test_complaints, self.test_stopped, self.test_users,
                 self.test_logs, self.test_again]
        if LONG:
            tests += [self.test_sandbox, self.test_build]
        for test in tests:
            began = time.monotonic()
            test()
            tap.diag("%s: %.1f s" % (test.__name__, time.monotonic() - began))


def _other(password):
    """Another password of the same length."""
    if isinstance(password, bytes):
        return password[:-1] + b"#"
    return password[:-1] + "#"


def main():
    reason = relays.skip_reason() or hosts.skip_reason("trixie")
    if reason:
        tap.skip_all(reason)
    try:
        core = deltachat.find_program()
    except deltachat.Missing as e:
        tap.skip_all(str(e))
    with hosts.Network() as network:
        tests = Tests(network)
        os.mkdir(network.run_files.path("chat"))
        try:
            with deltachat.Core(relays.program_in(network, core),
                                network.run_files.path("chat")) as c:
                tests.run(c)
        except Exception as e:
            tap.ok(False, "%s: %s" % (type(e).__name__,
                                      str(e).split("\n", 1)[0]))
            tap.diag(e)
            for relay in getattr(tests, "both", ()):
                if relay.host.is_running():
                    tap.diag(relay.host.journal(None, "-n", "40"))
    tap.done()


main()
