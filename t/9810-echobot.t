#!/usr/bin/env python3
"""The echo bot on a deployed relay: echobot = true downloads, installs and starts
it, Delta Chat's core talks to it, false ends it. LONG=1 only: t/7710-echobot.t
talks to one in a sandbox."""
import os
import re
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "host")]
import deltachat
import tap

try:
    import deploying
    import hosts
except ImportError:
    tap.skip_all("there are no test hosts")
from fileserver import FileServer, archive, sha256

DOMAIN = "_echo.test"
PROGRAM = "/usr/local/lib/chatmail/deltachat-rpc-server"
LINK = "/var/lib/echobot/invite-link.txt"
ARCHIVE = "/server.tgz"


def until(condition, secs=120):
    end = time.monotonic() + secs
    while not condition() and time.monotonic() < end:
        time.sleep(.2)
    return condition()


class Tests:
    def __init__(self, network, program, d):
        self.dir = d
        self.program = program
        with open(program, "rb") as f:
            data = f.read()
        self.sha256 = sha256(data)
        self.server = FileServer(address=network.address)
        self.server.files[ARCHIVE] = archive(
            data, "package/deltachat-rpc-server")
        self.host = network.host("echo.test").start()
        # no iroh-relay of our own: nothing else is downloaded
        self.op = deploying.Operator(
            network, self.host, mail_domain=DOMAIN, iroh_relay="",
            echobot_server="%s %s" % (
                self.server.url(ARCHIVE, network.address), self.sha256))

    def sh(self, text):
        return self.host.inside(["sh", "-c", text])[1].strip()

    def state(self):
        return self.sh("systemctl is-active echobot; "
                       "systemctl is-enabled echobot 2>/dev/null").split()

    def deploy(self, name, **settings):
        self.op.write(**settings)
        run = self.op.steps()
        if not tap.is_((run.code, run.end.get("end")), (0, "ok"), name):
            tap.diag(run)
        return run

    def test_without(self):
        self.deploy("a relay is deployed")
        tap.is_((self.state()[:1], self.host.exists(PROGRAM),
                 self.server.seen), (["inactive"], False, []),
                "it has no echo bot")

    def test_there(self):
        run = self.deploy("echobot = true", echobot="true")
        tap.is_(run.told("activate").get("echobot"), ["enable, start"],
                "starts it")
        tap.like(str(run.told("activate").get("doveauth")), "restart",
                 "doveauth hears of it")
        tap.is_(self.sh("sha256sum " + PROGRAM).split()[:1], [self.sha256],
                "with the program that was asked for")
        tap.ok(until(lambda: self.host.exists(LINK)),
               "it writes its invite link")
        tap.is_(self.state(), ["active", "enabled"], "it runs")
        tap.is_(self.sh("ps -o user= -p $(systemctl show -P MainPID "
                        "echobot)"), "echobot", "as echobot")
        tap.is_(self.sh("stat -c '%U %a' /var/lib/echobot/accounts"),
                "echobot 700", "and shows nobody its profile")
        found = re.search(r": ([\d.]+) ", self.sh(
            "systemd-analyze security --no-pager echobot | tail -1"))
        tap.ok(found and float(found[1]) <= 2, "exposure " +
               (found[1] if found else "unknown"))

    def test_hello(self):
        link = self.sh("cat " + LINK)
        with deltachat.Core(self.program, self.dir) as core:
            alice = core.account().login(deltachat.dclogin(
                "alice1234@" + DOMAIN, "a-good-password", 993, 465,
                self.host.address), timeout=120)
            chat = alice.join(link, timeout=120)
            alice.send(chat, "hello")
            tap.is_(alice.wait_message(timeout=120)["text"], "hello",
                    "hello comes back")
            alice.call("stop_io")
        tap.is_(self.host.failed_units(), [], "nothing has failed")
        code, out, err = self.op.chatmail("status", "--ssh-host",
                                          self.op.target)
        tap.ok(code == 0 and "echobot" in out, "status knows it")
        if code:
            tap.diag(out + err)

    def test_again(self):
        self.server.seen.clear()
        run = self.deploy("a second run")
        tap.is_((run.end.get("changes"), self.server.seen), (0, []),
                "changes nothing, and downloads nothing")

    def test_off(self):
        run = self.deploy("echobot = false", echobot="false")
        tap.is_(run.told("activate").get("echobot"), ["stop, disable"],
                "ends it")
        tap.is_((self.state()[:1], self.sh("pgrep -l rpc-server")),
                (["inactive"], ""), "it does not run, nor its server")
        tap.ok(self.host.exists(LINK), "its profile is kept")


def main():
    reason = deploying.skip_reason()
    if not os.environ.get("LONG"):
        reason = "LONG=1 only"
    if reason:
        tap.skip_all(reason)
    try:
        program = deltachat.find_program()
    except deltachat.Missing as e:
        tap.skip_all(e)
    d = tempfile.mkdtemp(prefix="chatmail-echobot-")
    try:
        with hosts.Network(acme=False) as network:
            tests = Tests(network, program, d)
            for name in "without", "there", "hello", "again", "off":
                began = time.monotonic()
                getattr(tests, "test_" + name)()
                tap.diag("%s: %.1f s" % (name, time.monotonic() - began))
            tests.server.stop()
    finally:
        shutil.rmtree(d, ignore_errors=True)
    tap.done()


main()
