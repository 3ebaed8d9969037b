#!/usr/bin/env python3
"""A relay on Debian 12 becomes one on Debian 13, as its operator would do it:
apt full-upgrade, then deploy again. LONG=1 only: it takes minutes."""
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "host")]
import hosts
import logins
import relays
import tap
from relays import Relay

DOMAIN = "_relay.test"
APT = "DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 " \
    "-o Dpkg::Options::=--force-confold "
BOX = "/home/vmail/mail/" + DOMAIN


def good(result, name):
    """A command's exit code is 0; returns what it printed."""
    code, out, err = result
    if not tap.ok(code == 0, name):
        tap.diag("exit code %d\n%s" % (code, (out + err)[-3000:]))
    return out


class Tests:
    def __init__(self, network):
        self.host = network.host("relay.test", "bookworm")
        self.host.use_unbound()
        self.relay = Relay(network, self.host, DOMAIN)
        network.names.set(DOMAIN, A=self.host.address)
        self.host.start()

    def folders(self):
        imap = self.relay.imap(self.user)
        found = {}
        for line in imap.list()[1]:
            name = line.decode().rpartition(' ')[2].strip('"')
            found[name] = int(imap.select(name, readonly=True)[1][0])
            if name == "Chats":
                found["uid"] = imap.uid("SEARCH", "FLAGGED")[1]
                found["validity"] = imap.response("UIDVALIDITY")[1]
        imap.logout()
        return found

    def test_before(self):
        relay = self.relay
        good(relay.deploy(), "a relay on Debian 12")
        self.user = relay.user()
        imap = relay.imap(self.user)
        imap.create("Chats")
        for folder in "INBOX", "Chats", "Chats", "Sent":
            if folder == "Sent":
                imap.create(folder)
            imap.append(folder, "(\\Flagged)", None, b"Subject: x\r\n\r\nx\r\n")
        imap.xatom("SETMETADATA", "INBOX", '(/private/devicetoken "a-token")')
        imap.logout()
        for _ in range(3):
            relay.submit(self.user, self.user)
        tap.ok(relay.has_mail(self.user, 4), "with a user and mail")
        self.before = self.folders()

    def test_upgrade(self):
        sh, began = self.relay.sh, time.monotonic()
        sh("sed -i s/bookworm/trixie/g /etc/apt/sources.list; " + APT +
           "update")
        code, out, err = self.host.inside(
            ["sh", "-c", APT + "full-upgrade --yes"], timeout=1800)
        # its trigger restarts Dovecot, which does not start
        failed = (out + err).partition("Errors were encountered while "
                                       "processing:\n")[2].split("E:")[0]
        if not tap.ok(code == 0 or failed.split() == ["dovecot-core"],
                      "apt full-upgrade to Debian 13"):
            tap.diag((out + err)[-3000:])
        tap.diag("not configured by it: %s" % failed.split())
        tap.diag("after %.0f s" % (time.monotonic() - began))
        tap.like(sh("dovecot --version"), "2.4.", "which has Dovecot 2.4")
        self.host.reboot()

    def test_between(self):
        """What no deploy has put right yet."""
        tap.diag("failed then: %s" % self.host.failed_units())
        tap.like(self.relay.sh("systemctl status dovecot", False),
                 "exit-code", "Dovecot refuses what it read before")
        relay, since = self.relay, self.relay.mark()
        sender = "somebody@outside.test"
        said = relay.from_outside(sender, self.user, relays.encrypted(
            sender, self.user))
        tap.diag("mail from outside: %s" % said)
        tap.ok(said == "accepted" or said[:2] in ("45", "55"), "Postfix runs")
        relay.sh("echo Subject: meanwhile | sendmail " + self.user)
        tap.ok(relays.until(lambda: relay.said("status=deferred", since)),
               "and keeps mail meanwhile")
        tap.like(relay.status()[1], "dovecot", "status tells of it")

    def test_after(self):
        relay, host = self.relay, self.host
        out = good(relay.deploy(), "deploy again")
        for part in "dovecot-auth-lua", "/etc/dovecot/auth.conf removed", \
                "/etc/dovecot/auth.lua new", "dovecot.conf changed":
            tap.like(out, part, "says: " + part)
        tap.is_(host.failed_units(), [], "nothing has failed any more")
        tap.is_(relay.sh("dpkg --audit"), "", "and all packages are whole")
        relay.flush()
        tap.ok(relays.until(lambda: "meanwhile" in "".join(
            relay.inbox(self.user))), "what came meanwhile is there")
        after = self.folders()
        self.before["INBOX"] += 1
        tap.is_(after, self.before, "folders and messages as before")
        tap.is_(logins.attempt(host.address, self.user, "wrong12345678"),
                "failed", "another password is refused")
        tap.like(relay.sh("cat %s/%s/metadata.json" % (BOX, self.user)),
                 "a-token", "the device's token is kept")
        relay.submit(self.user, relay.user())
        relay.submit(self.user, self.user)
        tap.ok(relay.has_mail(self.user, after["INBOX"] + 1), "mail goes on")
        relay.flush()
        out = good(relay.deploy(), "a second run")
        tap.like(out, "Nothing to change", "changes nothing")
        host.reboot()
        tap.is_(host.failed_units(), [], "and all of it starts at boot")
        out = relay.status()[1]
        tap.like(out, "Debian GNU/Linux 13", "status knows the new system")
        tap.diag(out)

    def run(self):
        for test in self.test_before, self.test_upgrade, self.test_between, \
                self.test_after:
            began = time.monotonic()
            test()
            tap.diag("%s: %.1f s" % (test.__name__, time.monotonic() - began))


def main():
    if not os.environ.get("LONG"):
        tap.skip_all("LONG=1 only: it takes minutes")
    reason = relays.skip_reason()
    if reason:
        tap.skip_all(reason)
    with hosts.Network() as network:
        tests = Tests(network)
        try:
            tests.run()
        except Exception as e:
            tap.ok(False, "%s: %s" % (type(e).__name__,
                                      str(e).split("\n", 1)[0]))
            tap.diag(e)
            tap.diag(tests.host.journal(None, "-n", "60"))
    tap.done()


main()
