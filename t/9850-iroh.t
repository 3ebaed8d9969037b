#!/usr/bin/env python3
"""iroh-relay on a deployed relay: downloaded, checked, confined, started, and
reached through nginx. What needs its protocol is tested with iroh-relay itself,
where "make iroh-relay" has built it; for all else a program of ours stands in
its place."""
import http.client
import os
import re
import ssl
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "host")]
import tap

try:
    import deploying
    import hosts
except ImportError:
    tap.skip_all("there are no test hosts")
from deploying import Operator
from fileserver import FileServer, archive, sha256
from irohclient import IrohClient, Refused

DOMAIN = "_relay.test"
VERSION = "0.35.0"
REAL = os.path.join(HERE, "../build/cache/iroh-relay-%s/bin/iroh-relay" %
                    VERSION)
PATH = "/usr/local/bin/iroh-relay"
ARCHIVE = "/n0-computer/iroh/releases/iroh-relay.tar.gz"
OTHER = "/n0-computer/iroh/releases/iroh-relay-2"
DOWNLOADS = "/var/lib/chatmail/downloads"


def standin(d, name):
    """A static program that says that name."""
    path = os.path.join(d, name)
    subprocess.run(["cc", "-static", "-O1", "-D_GNU_SOURCE",
                    '-DNAME="%s"' % name, "-o", path,
                    os.path.join(HERE, "host/standin.c")], check=True)
    with open(path, "rb") as f:
        return f.read()


class Tests:
    def __init__(self, network, d):
        self.real = None
        if os.path.exists(REAL):
            with open(REAL, "rb") as f:
                self.real = f.read()
        self.first = self.real or standin(d, "first")
        self.second = standin(d, "second")
        self.server = FileServer(address=network.address)
        self.mirror = self.server.url("/", network.address)
        self.host = network.host("relay.test").start()
        self.op = Operator(network, self.host, mail_domain=DOMAIN,
                           download_mirror=self.mirror)
        self.pin(ARCHIVE, self.first)

    # ---- helpers

    def pin(self, path, data):
        """It is the program that deploy wants."""
        self.op.write(iroh_relay_program="https://github.com%s %s" % (
            path, sha256(data)))

    def deploy(self, name, *args):
        run = self.op.steps(*args)
        if not tap.is_((run.code, run.end.get("end")), (0, "ok"), name):
            tap.diag(run)
        return run

    def warnings(self, run):
        return "\n".join(s["warnings"] for s in run.steps
                         if s.get("warnings") and s["step"] == "iroh-relay")

    def get(self, path):
        """(status, contents)"""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        c = http.client.HTTPSConnection(self.host.address, timeout=60,
                                        context=context)
        try:
            c.request("GET", path, headers={"Host": DOMAIN})
            answer = c.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            c.close()

    def said(self, path="/generate_204"):
        """The same, waiting for who has just been started."""
        end = time.monotonic() + 60
        while (answer := self.get(path))[0] == 502 and time.monotonic() < end:
            time.sleep(.1)
        return answer

    def state(self):
        return self.sh("systemctl is-active iroh-relay; "
                       "systemctl is-enabled iroh-relay").split("\n")

    def process(self):
        """What starts, how often it was started, its file."""
        return self.sh("systemctl show -P InvocationID -P MainPID iroh-relay; "
                       "readlink /proc/$(systemctl show -P MainPID "
                       "iroh-relay)/exe; stat -c '%i %a %U %s' " + PATH)

    def sh(self, text):
        return self.host.inside(["sh", "-c", text])[1].strip()

    # ---- it cannot be had

    def test_missing(self):
        run = self.deploy("a relay is deployed where iroh-relay cannot be had")
        said = self.warnings(run)
        for part in "iroh-relay is missing", self.mirror + ARCHIVE[1:], "404":
            tap.like(said, part, "a warning says: " + part)
        tap.ok(not self.host.exists(PATH), "nothing is there")
        tap.is_(self.state()[0], "inactive", "it does not run")
        tap.is_(self.host.failed_units(), [], "nothing has failed")
        tap.is_([self.get(path)[0] for path in ("/", "/generate_204", "/ping",
                                                "/relay")],
                [200, 502, 502, 502], "nginx says that it is not there")
        code, out, err = self.op.chatmail("status", "--ssh-host",
                                          self.op.target)
        tap.is_(code, 0, "status: the relay works")
        tap.like(out, "Note: there are no real-time channels",
                 "with a note that they are missing")
        count = len(self.server.seen)
        run = self.deploy("a second run")
        if not tap.is_(run.end.get("changes"), 0, "changes nothing"):
            tap.diag(run)
        tap.is_(len(self.server.seen), count + 1, "and tries again")
        tap.is_(self.sh("ls " + DOWNLOADS), "", "nothing is left over")

    def test_tampered_first(self):
        wrong = bytearray(self.first)
        wrong[-1] ^= 1
        self.server.files[ARCHIVE] = archive(wrong, "./iroh-relay")
        run = self.deploy("a file that was tampered with")
        tap.like(self.warnings(run), "SHA-256 %s instead of %s" % (
            sha256(wrong), sha256(self.first)), "is refused")
        tap.is_(self.sh("ls /usr/local/bin"), "chatmail",
                "and not put anywhere")

    # ---- it is had

    def test_there(self):
        data = archive(self.first, "./iroh-relay")
        self.server.files[ARCHIVE] = data
        self.server.rules[ARCHIVE] = [{"cut": len(data) // 2}, {}]
        self.server.seen.clear()
        run = self.deploy("a file that is right, after a break")
        tap.is_([wanted for _, _, wanted, *_ in self.server.seen],
                [None, "bytes=%d-" % (len(data) // 2)], "comes in two parts")
        tap.is_(run.told("activate").get("iroh-relay"), ["enable, start"],
                "and is started")
        tap.is_(self.state(), ["active", "enabled"], "it runs")
        tap.is_(self.sh("sha256sum " + PATH).split()[0], sha256(self.first),
                "it is the one")
        tap.is_(self.sh("stat -c '%%a %%U:%%G' %s; ls %s" % (PATH, DOWNLOADS)),
                "755 root:root", "root's, and nothing is left over")
        tap.is_(self.sh("ps -o user= -p $(systemctl show -P MainPID "
                        "iroh-relay)"), "iroh", "it runs as iroh")
        tap.ok(self.said()[0] in (200, 204), "nginx reaches it")
        tap.is_(self.sh("ss -Hltn sport = :3340 | awk '{ print $4 }'"),
                "127.0.0.1:3340", "and nobody else")
        found = re.search(r": ([\d.]+) ", self.sh(
            "systemd-analyze security --no-pager iroh-relay | tail -1"))
        tap.ok(found and float(found[1]) <= 2, "exposure " +
               (found[1] if found else "unknown"))
        self.server.seen.clear()
        before = self.process()
        run = self.deploy("the next run")
        tap.is_((run.end.get("changes"), self.server.seen), (0, []),
                "changes nothing, and downloads nothing")
        tap.is_(self.process(), before, "and restarts nothing")

    def test_protocol(self):
        if not self.real:
            return tap.skip("two clients talk by iroh-relay",
                            "there is no iroh-relay: make iroh-relay")
        status, text = self.said()
        tap.is_((status, text), (204, ""), "/generate_204")
        tap.is_(self.get("/ping")[0], 200, "/ping")

        def client(upgrade):
            return IrohClient(self.host.address, 443, DOMAIN, upgrade)

        with client("iroh derp http") as a, client("websocket") as b, \
                client("iroh derp http") as c:
            tap.like(a.head.lower(), "upgrade: iroh derp http",
                     "101 Switching Protocols, as apps ask for it")
            tap.like(b.head.lower(), "upgrade: websocket",
                     "101 Switching Protocols, WebSocket")
            tap.ok(a.ping() and b.ping() and c.ping(),
                   "three clients log in, with a key each")
            for name, x, y in ("by both ways", a, b), ("and back", b, a), \
                    ("by the same way", a, c):
                contents = os.urandom(1200)
                x.send(y.key, contents)
                tap.is_(y.receive(), ("packet", x.key, contents),
                        "a packet goes from one to the other, " + name)
            large = os.urandom(60_000)
            a.send(b.key, large)
            tap.is_(b.receive()[2] == large, True, "a large one, too")
            a.close()
            b.send(a.key, large)
            tap.ok(b.ping(), "a packet to who has gone harms nobody")
        try:
            client("h2c").close()
            said = "taken"
        except Refused as e:
            said = e.status
        tap.is_(said, 400, "another protocol is refused")
        tap.is_(self.sh("journalctl -q -u iroh-relay -o cat | grep -c -e "
                        "127.0.0.1 -e ERROR"), "0", "nobody is in the log")

    # ---- another version

    def test_other(self):
        before = self.process()
        answer = self.said()
        wrong = bytearray(self.second)
        wrong[-1] ^= 1
        self.server.files[OTHER] = bytes(wrong)
        self.pin(OTHER, self.second)
        run = self.deploy("another version, that was tampered with")
        tap.like(self.warnings(run), "iroh-relay stays as it is",
                 "is refused")
        tap.is_((self.process(), self.said()), (before, answer),
                "the one that was there runs on")
        # as on a server that reaches nothing
        self.op.write(download_mirror="http://127.0.0.1:1")
        self.host.put("%s/%s" % (DOWNLOADS, os.path.basename(OTHER)),
                      self.second)
        run = self.deploy("another version, from a directory")
        tap.is_((self.warnings(run), run.told("activate")),
                ("", {"iroh-relay": ["restart"]}), "is taken and started")
        tap.is_(self.said(), (200, "second"), "it answers")
        tap.is_(self.state(), ["active", "enabled"], "and runs")

    # ---- it is not wanted

    def test_unwanted(self):
        self.op.write(iroh_relay="https://iroh.example")
        run = self.deploy("another's iroh relay")
        tap.is_(run.told("activate").get("iroh-relay"), ["stop, disable"],
                "ours ends")
        tap.is_([self.host.exists(path) for path in (
            PATH, "/etc/iroh-relay.toml",
            "/etc/systemd/system/iroh-relay.service")], [True, False, False],
            "its configuration goes")
        tap.is_(self.sh("ss -Hltn sport = :3340"), "", "its port is free")
        tap.is_(self.get("/relay")[0], 404, "nginx knows nothing of it")
        self.op.write(iroh_relay=None)
        run = self.deploy("our own again")
        tap.is_((self.warnings(run), self.said()), ("", (200, "second")),
                "it is back")

    def test_settings(self):
        for setting, value, part in (
                ("iroh_relay_program", "https://x.example/iroh", "SHA-256"),
                ("iroh_relay_program", "/root/x " + "0" * 64, "a URL"),
                ("download_mirror", "mirror.example", "URL")):
            before = self.op.settings.get(setting)
            self.op.write(**{setting: value})
            code, out, err = self.op.deploy()
            tap.ok(code == 1 and part in out and setting in out,
                   "%s = %s is refused" % (setting, value[:30]))
            self.op.write(**{setting: before})


def main():
    reason = deploying.skip_reason()
    if reason:
        tap.skip_all(reason)
    with hosts.Network(acme=False) as network, \
            tempfile.TemporaryDirectory(prefix="chatmail-iroh-") as d:
        tests = Tests(network, d)
        for name in "missing", "tampered_first", "there", "protocol", \
                "other", "unwanted", "settings":
            began = time.monotonic()
            getattr(tests, "test_" + name)()
            tap.diag("%s: %.1f s" % (name, time.monotonic() - began))
        tests.server.stop()
    tap.done()


main()
