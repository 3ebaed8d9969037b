#!/usr/bin/env python3
"""Relays on real hosts, deployed by SSH, that write to each other: chat-a.test
with a certificate of an ACME authority, _chat-b.test that signs its own, and
the address of a third. What happens to certificates, hosts and services
meanwhile costs no mail."""
import concurrent.futures
import contextlib
import json
import os
import smtplib
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "host")]
import deltachat
import hosts
import relays
import tap
from relays import PORTS, Relay, encrypted, until

A, B = "chat-a.test", "_chat-b.test"
NAMES = [A, "www." + A, "mta-sts." + A]
LIVE = "/var/lib/acme/live/" + A
OWN = "/etc/ssl/own"
VERIFIED = "mail from domain %s accepted"
DEBUG = "/etc/systemd/system/chatmail-dkim.service.d/debug.conf"
ROLES = ["doveauth", "lastlogin", "chatmail-metadata", "chatmail-dkim",
         "filtermail", "filtermail-incoming", "chatmail-newemail"]
SERVERS = ["postfix@-", "dovecot", "nginx", "unbound"]
MESSAGES = 20
PAUSE = .5          # an app sends one message a second, else it waits


def good(result, name):
    """A command's exit code is 0; returns what it printed."""
    code, out, err = result
    if not tap.ok(code == 0, name):
        tap.diag("exit code %d\n%s" % (code, (out + err)[-3000:]))
    return out


def at_once(function, *items):
    """The results of a function for each, in parallel."""
    with concurrent.futures.ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(function, items))


class Tests:
    def __init__(self, network):
        self.network = network

    # ---- hosts and relays

    def make_base(self):
        """What all three install, on one of them."""
        host = self.network.host("base.test")
        host.use_unbound()
        host.put(DEBUG, "[Service]\nEnvironment=CHATMAIL_LOG=debug\n")
        base = Relay(self.network, host, "_base.test")
        host.start()
        good(base.deploy("--stages", "install"), "packages are installed")
        host.stop()
        return host.snapshot("installed")

    def make_relays(self, core):
        base, new = self.make_base(), self.network.host
        a, b, c = [new(name, snapshot=base, ipv6=True)
                   for name in (A, "chat-b.test", "chat-c.test")]
        self.a = Relay(self.network, a, A,
                       acme_directory=self.network.acme.directory)
        self.b = Relay(self.network, b, B)
        self.c = Relay(self.network, c, c.address, disable_ipv6="true")
        self.all = self.a, self.b, self.c
        self.core = core
        self.network.start_hosts(a, b, c)

    def names(self, relay, **records):
        self.network.names.set(relay.domain, A=relay.host.address, **records)

    def test_deploy(self):
        a, b, c = self.all
        code, _, err = a.deploy()
        tap.ok(code == 1 and A + " has no address" in err,
               "no relay without its names in the DNS")
        tap.ok(not a.host.exists("/etc/chatmail"), "nothing was begun")
        for name in NAMES[1:]:
            self.network.names.set(name, CNAME=A)
        self.names(a, AAAA=a.host.address6)
        self.names(b)
        for relay, result in zip(self.all, at_once(Relay.deploy, *self.all)):
            good(result, "deploy to " + relay.domain)
        for relay in self.all:
            tap.is_(relay.host.failed_units(), [], "no unit has failed there")
            tap.is_(relay.sh("grep -m1 nameserver /etc/resolv.conf; getent "
                             "hosts ns.test | cut -d' ' -f1"),
                    "nameserver 127.0.0.1\n" + self.network.address,
                    "it resolves by its own unbound")
            tap.like(relay.sh("ss -Hlup sport = 53"), '"unbound"',
                     "which answers there")

    def test_dns(self):
        text = ""
        for relay, missing in (self.a, 1), (self.b, 0):
            domain = relay.domain
            code, out, _ = relay.dns()
            tap.is_(code, missing, domain + ": dns tells if records miss")
            for name in "opendkim._domainkey.", "_dmarc.", "_imaps._tcp.":
                tap.like(out, name + domain, "it lists them")
            tap.ok("CAA" not in out, "none that would keep its authority out")
            tap.like(out, "would be refused", "and probes what it signs")
            text += good(relay.dns("--zonefile", "-"), "a zone file")
        self.network.names.update({}, text)
        for relay in self.a, self.b:
            out = good(relay.dns(), relay.domain + ": now all is right")
            tap.like(out, "All DNS records are right.", "it says so")
            tap.like(out, "that the relay signed is valid by its key",
                     "the probe too")
        tap.like(good(self.c.dns(), "an address needs no DNS"),
                 "it needs no DNS records", "which is said")

    # ---- certificates

    def certificate(self, name=A):
        """A's, if all ports show the same one, which is valid for the name."""
        found = self.a.certificates(name, self.network.write_roots())
        first = found.pop(443)
        return first if all(c == first for c in found.values()) else found

    def test_certificate(self):
        shown = self.certificate()
        tap.is_([v for _, v in shown.get("subjectAltName", ())], NAMES,
                "443, 993, 465, 25 of A show one certificate for all names")
        tap.like(repr(shown.get("issuer")), "Pebble", "of the authority")
        roots = self.network.write_roots()
        for name in NAMES[1:]:
            tap.ok(relays.shown(self.a.host.address, 443, name, roots),
                   name + " is verified")
        for relay in self.b, self.c:
            own = set(relay.certificates().values())
            tap.is_(len(own), 1, relay.domain + " shows one everywhere")
            tap.is_(own & set(self.a.certificates().values()), set(),
                    "which is another")
        _, out, err = self.a.host.inside(["chatmail", "acme", "--check"])
        tap.like(out + err, "the certificate of %s is good" % A,
                 "acme --check")
        for what in "is-enabled", "is-active":
            tap.is_(self.a.sh("systemctl %s chatmail-acme.timer" % what,
                              False), what[3:], "its timer " + what)

    def test_ipv4_only(self):
        listening = self.c.sh("ss -Hltn6")
        tap.is_([line for line in listening.splitlines()
                 if ":22 " not in line], [], "C listens to no IPv6")
        for port in PORTS:
            tap.like(self.a.sh("ss -Hltn6 sport = %d" % port), ":%d" % port,
                     "A does on %d" % port)
        tap.ok(relays.shown(self.a.host.address6, 25, A,
                            self.network.write_roots()),
               "and another server gets in by it")

    # ---- mail

    def test_chat(self):
        self.alice, self.bob, self.carol = at_once(
            lambda relay: relay.account(self.core), *self.all)
        self.chats = {}
        a, b, c = self.all
        for one, other, relay, into in [
                ("alice", "bob", a, b), ("carol", "alice", c, a),
                ("bob", "carol", b, c)]:
            x, y = getattr(self, one), getattr(self, other)
            name = "%s and %s" % (relay.mail_domain, into.mail_domain)
            chat = self.chats[one] = y.join(x.invite())
            y.wait_sent(y.send(chat, "hello " + one))
            message = x.wait_message("hello " + one)
            tap.ok(message["showPadlock"], name + ": a chat")
            x.send(message["chatId"], "hello " + other)
            tap.ok(y.wait_message("hello " + other)["showPadlock"],
                   name + ": the answer")
            self.chats[one, other] = message["chatId"]
        for relay in self.all:
            tap.is_(relay.said("anvil-auth-penalty"), [], relay.domain +
                    ": no login waited for what is not there")
            for other in {a, b} - {relay}:
                tap.ok(relay.said(VERIFIED % other.domain), "%s verified the "
                       "mail of %s" % (relay.domain, other.domain))
            tap.is_(relay.said("refused mail"), [], "and refused none")

    def test_refused(self):
        for relay in self.all:
            to = relay.user()
            mail = encrypted("x@outside.test", to)
            tap.is_(relay.from_outside("x@outside.test", to, mail),
                    "554 5.7.1 No DKIM signature found",
                    relay.domain + " takes nothing unsigned")
            tap.like(relay.from_outside("x@outside.test", to, mail, tls=False),
                     "530 5.7.0", "nor anything without TLS")
            tap.is_(relay.inbox(to), [], "nothing has come")

    # ---- TLS between relays

    def own_certificate(self, names, days, *more):
        """(certificate, key) in files, signed by what all hosts trust, or
        with more options."""
        path = self.network.run_files.path("own")
        ca = self.network.acme.ca_file
        hosts.command(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-days", str(days), "-subj",
            "/CN=" + names[0], "-keyout", path + ".key", "-out", path + ".pem",
            "-addext", "subjectAltName=" + ",".join("DNS:" + n for n in names),
            *(more or ["-CA", ca, "-CAkey", ca.replace(".pem", ".key"),
                       "-addext", "basicConstraints=critical,CA:FALSE"]))
        with open(path + ".pem") as cert, open(path + ".key") as key:
            return cert.read(), key.read()

    def swap(self, *pair):
        """Another certificate of A's is in place, and not yet in use. Returns
        the one before, for swap_back()."""
        was = self.a.sh("readlink " + LIVE)
        for name, text in zip(("fullchain", "privkey"), pair):
            self.a.host.put("/var/lib/acme/certs/test/" + name, text, 0o600)
        self.swap_back("../certs/test")
        return was

    def swap_back(self, target):
        self.a.sh("ln -sfn %s %s" % (target, LIVE))

    def use(self):
        """Postfix takes what is in place."""
        self.a.sh("systemctl reload postfix")

    def deferred(self, relay, sender, to, want, name):
        """A message waits in the queue because of TLS."""
        since = relay.mark()
        # it would take a session up again that began when all was well
        relay.sh("rm -f /var/lib/postfix/smtp_scache*; systemctl restart "
                 "postfix")
        relay.submit(sender, to)
        found = until(lambda: [s for s in relay.said("to=<%s>" % to, since)
                               if "status=" in s])
        if not tap.ok(found and "status=deferred" in found[0] and
                      want in found[0], name):
            tap.diag(found or relay.said("postfix", since))

    def test_tls(self):
        carl, bert = self.a.user(), self.b.user()
        for name, pair, want in [
                ("signed by itself", self.own_certificate(
                    NAMES, 90, "-addext", "keyUsage=digitalSignature"),
                 "Server certificate not "),
                ("for another name", self.own_certificate(
                    ["www." + A], 90), "Server certificate not verified")]:
            was = self.swap(*pair)
            self.use()
            self.deferred(self.b, bert, carl, want,
                          "A's certificate is %s: B keeps the mail" % name)
            self.swap_back(was)
            self.use()
            self.b.flush()
            tap.ok(self.a.has_mail(carl, 1), "which arrives with the right one")
            carl = self.a.user()
        for relay in self.b, self.c:
            to = relay.user()
            relay.sh("cp /etc/postfix/master.cf /root; postconf -P 25/inet/"
                     "smtpd_tls_security_level=none; postfix reload")
            self.deferred(self.a, carl, to, "TLS is required, but was not "
                          "offered", relay.domain + " without TLS gets none")
            relay.sh("cp /root/master.cf /etc/postfix; postfix reload")
            self.a.flush()
            tap.ok(relay.has_mail(to, 1), "but with any certificate")

    # ---- renewal

    def acme(self):
        """The job of chatmail-acme.timer: (exit code, what it said)."""
        since = self.a.mark()
        code = self.a.host.inside(["systemctl", "start", "chatmail-acme"])[0]
        return code, self.a.host.journal("chatmail-acme",
                                         "--after-cursor=" + since)

    def test_renewal(self):
        carl = self.a.user()
        for names, days, why in [
                ([A, NAMES[2]], 90, "it is not for www." + A),
                (NAMES, 1, "it has 0 days left of 1")]:
            self.swap(*self.own_certificate(names, days))
            time.sleep(1.1)         # of the last day
            out = self.a.host.inside(["chatmail", "acme", "--check"])
            tap.like(out[1] + out[2], why, "a new one is due: " + why)
            before = self.certificate()
            running = self.a.host.started()
            imap, idle = self.a.imap(carl), self.a.imap(carl)
            idle.select("INBOX")
            idle.send(b"x IDLE\r\n")
            smtp = smtplib.SMTP_SSL(self.a.host.address, 465, "client.test",
                                    context=relays.trust_nobody())
            code, said = self.acme()
            if not tap.ok(code == 0 and "certificate of %s is new" % A in said,
                          "the job gets one"):
                tap.diag(said)
            now = until(lambda: (c := self.certificate()) != before and c, 10)
            tap.is_([v for _, v in (now or {}).get("subjectAltName", ())],
                    NAMES, "all ports show it")
            if days > 1:
                time.sleep(7)   # when Dovecot would have ended them
            idle.send(b"DONE\r\n")
            while not (line := idle.readline()).startswith((b"x ", b"* BYE")):
                if not line:
                    break       # it has said what it had to say meanwhile
            tap.is_((imap.noop()[0], line[:4], smtp.noop()[0]),
                    ("OK", b"x OK", 250), "sessions go on")
            imap.logout()
            smtp.quit()
            tap.is_({n: i for n, i in self.a.host.started().items()
                     if running.get(n) != i}, {}, "no service was restarted")
        self.bob.send(self.chats["alice"], "renewed")
        tap.ok(self.alice.wait_message("renewed"), "mail comes as before")
        code, said = self.acme()
        tap.ok(code == 0 and "certificate of %s is good" % A in said,
               "the next time there is nothing to do")

    def refused_renewal(self, want, name):
        """The job fails, and says why; A shows what it had."""
        self.swap(*self.own_certificate([A, NAMES[2]], 90))
        before = self.certificate()
        code, said = self.acme()
        if not tap.ok(code != 0 and want in said, name):
            tap.diag(said)
        tap.is_(self.certificate(), before, "A shows the old one")
        tap.ok([p for p in self.problems(self.a) if "chatmail-acme" in p],
               "status tells of it")

    def test_authority(self):
        """It cannot be trusted, is not there, has forgotten our account."""
        acme, host = self.network.acme, self.a.host
        host.inside(["sh", "-c", "mkdir /root/cas; mv %s/acme-*.crt /root/cas;"
                     " update-ca-certificates" % "/usr/local/share/"
                     "ca-certificates"])
        self.refused_renewal("certificate", "an authority that nobody knows")
        host.inside(["sh", "-c", "mv /root/cas/* /usr/local/share/"
                     "ca-certificates; update-ca-certificates"])
        acme.stop()
        self.refused_renewal("onnect", "an authority that does not answer")
        account = self.a.sh("cat /var/lib/acme/account-url")
        acme.start()
        code, said = self.acme()
        if not tap.ok(code == 0 and "is new" in said,
                      "one that has forgotten our account"):
            tap.diag(said)
        tap.ok(self.a.sh("cat /var/lib/acme/account-url") != account,
               "there is another account now")
        tap.like(repr(self.certificate()), "Pebble", "and a certificate")
        # for mail from here on
        self.b.host.trust(**self.network.trusted())

    # ---- trouble

    def problems(self, relay):
        """But for what only the machine under the host can change."""
        found = json.loads(relay.status("--json")[1])["problems"]
        return [p for p in found if "fs.inotify" not in p]

    def test_kills(self):
        show = "systemctl show -p MainPID --value '%s'"
        pids = {u: self.b.sh(show % u) for u in ROLES + SERVERS}
        self.b.sh("kill -KILL " + " ".join(pids.values()))
        for unit, pid in pids.items():
            tap.ok(until(lambda: self.b.is_active(unit) and
                         self.b.sh(show % unit) not in (pid, "0"), 30),
                   unit + ": killed, and comes back")
        self.alice.send(self.chats["alice", "bob"], "after the kills")
        until(lambda: not self.a.sh("postqueue -j"), 5) or self.a.flush()
        tap.ok(self.bob.wait_message("after the kills"), "mail goes on")
        tap.ok(until(lambda: not self.problems(self.b), 20),
               "status: all is well")

    def test_reboot(self):
        # an app that has lost two connections waits for two minutes
        bert = self.b.account(self.core)
        self.alice.send(self.alice.join(bert.invite()), "hello bert")
        chat = bert.wait_message("hello bert")["chatId"]
        back = self.alice.chat_with(bert.addr)
        texts = ["reboot %d" % n for n in range(5)]
        since = self.a.mark()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            done = pool.submit(self.b.host.reboot)
            for text in texts:
                self.alice.wait_sent(self.alice.send(back, text))
                time.sleep(.3)
            done.result()
        tap.is_(self.b.host.failed_units(), [], "B reboots; nothing fails")
        tap.is_(self.a.said("queue file write error", since), [],
                "B took nothing on that it could not check any more")
        found = self.problems(self.b)
        tap.is_(found, [], "all that it needs has started")
        self.a.flush()
        self.core.call("maybe_network")
        tap.is_(sorted(bert.wait_message()["text"] for _ in texts), texts,
                "what was sent meanwhile arrives")
        bert.send(chat, "up again")
        tap.ok(self.alice.wait_message("up again"), "B sends as well")

    # ---- as the operator tries it

    def test_from_outside(self):
        roots = self.network.write_roots()
        for relay, *second in (self.a, "--second", self.b.ini), (self.c,):
            code, out, err = relay.operator("test", "--json", "--ca-file",
                                            roots, *second, relay.ini)
            said = json.loads(out or "{}").get("checks", [])
            wrong = [c for c in said if c["result"] not in ("ok", "skipped")]
            if not tap.is_((code, wrong, err), (0, [], ""), "chatmail test " +
                           " ".join([relay.domain, *second[:1]])):
                tap.diag(out)
            tap.is_({c["result"] for c in said if "second" in c["name"] or
                     c["name"] == "bounce"}, {"ok" if second else "skipped"},
                    "mail to another relay and back")

    # ---- how long it takes

    def test_one_way(self):
        dave = self.a.account(self.core)
        chat = dave.join(self.alice.invite())
        dave.send(chat, "hello")
        back = self.alice.wait_message("hello")["chatId"]
        ways = [(dave, self.alice, chat), (self.alice, dave, back)]
        took = []
        for n in range(MESSAGES):
            time.sleep(PAUSE)
            sender, receiver, chat = ways[n % 2]
            start = time.monotonic()
            sender.send(chat, "message %d" % n)
            event = receiver.wait("IncomingMsg")
            took.append(time.monotonic() - start)
            if receiver.message(event["msgId"])["text"] != "message %d" % n:
                took.pop()
        tap.is_(len(took), MESSAGES, "messages of one relay arrive in order")
        tap.diag("one way on one relay: median %.0f ms, from %.0f to %.0f" % (
            1000 * statistics.median(took), 1000 * min(took),
            1000 * max(took)))

    # ---- certificates of the operator's own

    def put_own(self, *pair):
        """As a program that renews it would: a new file in the old's place."""
        for name, text in zip(("key", "pem"), reversed(pair)):
            path = "%s/%s" % (OWN, name)
            self.a.host.put(path + ".new", text, 0o600)
            self.a.sh("mv %s.new %s" % (path, path))

    def test_external(self):
        a = self.a
        a.set(tls_external_cert_and_key="%s/pem %s/key" % (OWN, OWN))
        before = a.host.hash_etc()
        code, out, err = a.deploy()
        tap.ok(code == 1 and OWN + "/key" in out + err and
               "is not on this server" in out + err,
               "a certificate that is not there is told of")
        tap.is_(a.host.hash_etc(), before, "before anything is changed")
        self.put_own(*self.own_certificate(NAMES, 90))
        good(a.deploy(), "with the operator's own certificate")
        first = self.certificate()
        tap.like(repr(first.get("issuer")), "test network", "all ports show it")
        tap.is_([a.sh("systemctl is-active " + unit, False) for unit in
                 ("chatmail-acme.timer", "tls-cert-reload.path")],
                ["inactive", "active"], "the one job ends, the other begins")
        tap.is_(a.sh("find /etc/systemd/system -name 'chatmail-acme*'"), "",
                "nothing is left of it")
        running = a.host.started()
        self.put_own(*self.own_certificate(NAMES, 80))
        now = until(lambda: (c := self.certificate()).get("notAfter") not in
                    (None, first["notAfter"]) and c, 30)
        tap.ok(now, "a new file is noticed, and shown by all ports")
        tap.is_({n: i for n, i in a.host.started().items()
                 if running.get(n) != i}, {}, "no service was restarted")
        self.bob.send(self.chats["alice"], "external")
        tap.ok(self.alice.wait_message("external"), "and B trusts it")

    def test_end(self):
        for relay in self.all:
            tap.is_(self.problems(relay), [], relay.domain +
                    ": all is well at the end")
            out = good(relay.deploy(), "deploying again")
            tap.like(out, "Nothing to change", "changes nothing")

    def run(self, core):
        for test, *args in [
                (self.make_relays, core), (self.test_deploy,),
                (self.test_dns,), (self.test_certificate,),
                (self.test_ipv4_only,), (self.test_chat,),
                (self.test_refused,), (self.test_from_outside,),
                (self.test_one_way,), (self.test_tls,),
                (self.test_renewal,), (self.test_kills,), (self.test_reboot,),
                (self.test_authority,), (self.test_external,),
                (self.test_end,)]:
            began = time.monotonic()
            test(*args)
            tap.diag("%s: %.1f s" % (test.__name__, time.monotonic() - began))


def main():
    reason = relays.skip_reason()
    if reason:
        tap.skip_all(reason)
    try:
        core = deltachat.find_program()
    except deltachat.Missing as e:
        tap.skip_all(str(e))
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(hosts.Network())
        tests = Tests(network)
        os.mkdir(network.run_files.path("chat"))
        program = relays.program_in(network, core)
        try:
            with deltachat.Core(program, network.run_files.path("chat")) as c:
                tests.run(c)
        except Exception as e:
            tap.ok(False, "%s: %s" % (type(e).__name__,
                                      str(e).split("\n", 1)[0]))
            tap.diag(e)
            for relay in getattr(tests, "all", ()):
                tap.diag(relay.host.journal(None, "-n", "30"))
    tap.done()


main()
