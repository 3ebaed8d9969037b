#!/usr/bin/env python3
"""What a deployed relay does for calls, with its firewall: credentials that apps
get over IMAP make coturn relay, for them and to where it may, and all of that
goes on behind the rules that chatmail prints."""
import contextlib
import http.client
import imaplib
import ipaddress
import json
import os
import random
import re
import socket
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
import bridge
import deltachat
import relay
from deploying import Operator
from turnclient import Turn, credentials
from runs import command

imaplib.Commands.update({"GETMETADATA": ("AUTH", "SELECTED")})
SECRET, CONF = "/etc/chatmail-turn/secret", "/etc/turnserver.conf"
LISTENER = 8099


class Public:
    """Addresses that look public, on the bridge: coturn relays to no others.
    .host is the relay's, .user and .peer are this machine's."""

    def __init__(self, network):
        nets = [n for text in ("203.0.113.0/24", "198.51.100.0/24")
                for n in ipaddress.ip_network(text).subnets(new_prefix=28)]
        random.shuffle(nets)
        taken = bridge._routed()
        self.net = next(n for n in nets if not any(n.overlaps(t)
                                                   for t in taken))
        self.host, self.user, self.peer = (str(self.net[i]) for i in (7, 1, 5))
        for address in self.user, self.peer:
            command("ip", "address", "add", address + "/28", "dev",
                    network.bridge.name)

    def give(self, host):
        host.inside(["ip", "address", "add", self.host + "/28", "dev",
                     "host0"])


def good(result, name):
    code, out, err = result
    if not tap.ok(code == 0, name):
        tap.diag("exit code %d\n%s\n%s" % (code, out[-3000:], err[-2000:]))
    return out


def until(condition, secs=60):
    end = time.monotonic() + secs
    while True:
        with contextlib.suppress(OSError):
            if value := condition():
                return value
        if time.monotonic() > end:
            return None
        time.sleep(.1)


class Tests:
    def __init__(self, network):
        self.network = network
        self.public = Public(network)
        self.host = network.host("relay.test").start()
        self.public.give(self.host)
        # apps are told the relay's address, as nobody resolves a name here
        self.domain = self.public.host
        self.op = Operator(network, self.host, mail_domain=self.domain,
                           metrics_address="127.0.0.1")

    def sh(self, text):
        return self.host.inside(["sh", "-c", text])[1].strip()

    # ---- deploying

    def test_deploy(self):
        run = self.op.steps()
        if not tap.is_((run.code, run.end.get("end")), (0, "ok"), "deployed"):
            tap.diag(run)
            tap.done()
        for name in "coturn", "chatmail-turn":
            tap.is_(self.sh("systemctl is-active %s; systemctl is-enabled %s" %
                            (name, name)), "active\nenabled", name + " runs")
            found = re.search(r": ([\d.]+) ", self.sh(
                "systemd-analyze security --no-pager %s | tail -1" % name))
            tap.ok(found and float(found[1]) <= 2, name + ": exposure " +
                   (found[1] if found else "unknown"))
        tap.is_(self.sh("stat -c '%U:%G %a' " + SECRET + " " + CONF),
                "chatmail-turn:chatmail-turn 600\nroot:turnserver 640",
                "who reads the secret")
        self.secret = self.host.get(SECRET).decode().strip()
        tap.like(self.host.get(CONF).decode(),
                 "\nstatic-auth-secret=%s\n" % self.secret,
                 "coturn has the same")
        tap.ok(len(set(self.secret)) > 10, "which is random")
        tap.ok(self.secret not in self.sh("cat /proc/*/cmdline /proc/*/environ"
                                          " | tr '\\0' '\\n'; journalctl"),
               "and neither on a command line nor in the journal")
        out = good(self.op.chatmail("status", "--ssh-host", self.op.target),
                   "chatmail status: all is well")
        for name in "coturn", "chatmail-turn":
            tap.like(out, name, "status knows " + name)
        tap.is_(self.host.failed_units(), [], "nothing has failed")

    def test_again(self, name="a second deploy"):
        out = good(self.op.deploy(), name)
        tap.like(out, "Nothing to change", name + " changes nothing")
        tap.is_(self.host.get(SECRET).decode().strip(), self.secret,
                name + ": the secret is kept")

    # ---- credentials

    def new_user(self):
        connection = http.client.HTTPSConnection(
            self.domain, context=relay.context(), timeout=30)
        connection.request("POST", "/new")
        made = json.loads(connection.getresponse().read())
        return made["email"], made["password"]

    def metadata(self):
        """host, port, user, password as IMAP tells them."""
        addr, password = self.account
        with relay.Imap(self.domain, addr, password) as m:
            m._simple_command("GETMETADATA", '""',
                              "/shared/vendor/deltachat/turn")
            said = b" ".join(part for item in m.untagged_responses.get(
                "METADATA", []) for part in (
                    item if isinstance(item, tuple) else (item,)))
        self.said = said
        found = re.search(rb"([\d.]+):(\d+):(\d+):([\w+/=]+)", said)
        return [part.decode() for part in found.groups()] if found else None

    def test_credentials(self):
        self.account = self.new_user()
        before = time.time()
        told = self.metadata()
        if not tap.ok(told, "IMAP METADATA tells of TURN"):
            tap.diag(self.said)
            tap.diag(self.host.journal("chatmail-metadata"))
            tap.done()
        self.user, self.password = told[2:]
        tap.is_(told[:2], [self.domain, "3478"], "where it is")
        tap.between(int(self.user), int(before) + 431999,
                    time.time() + 432000, "for five days")
        tap.is_(self.password, credentials(self.secret, int(self.user))[1],
                "by the secret of this host")

    def test_deltachat(self):
        """The same, as Delta Chat understands them."""
        try:
            program = deltachat.find_program()
        except deltachat.Missing as e:
            tap.skip("Delta Chat", e)
            return
        with tempfile.TemporaryDirectory() as d, \
                deltachat.Core(program, d) as core:
            addr, password = self.new_user()
            account = core.account().login(deltachat.dclogin(
                addr, password, 993, 465, self.domain))

            def ours():
                return [s for s in json.loads(account.call("ice_servers"))
                        if any(self.domain in url for url in s["urls"])]

            servers = until(ours)
        if not tap.ok(servers, "Delta Chat has the server for calls"):
            return
        tap.is_(servers[0]["urls"], ["turn:%s:3478" % self.domain], "its URL")
        self.user = servers[0]["username"]
        self.password = servers[0]["credential"]
        tap.is_(self.password, credentials(self.secret, int(self.user))[1],
                "with good credentials")

    # ---- relaying

    def relays(self, name):
        """coturn's own client sends over it to a peer, and hears it."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind((self.public.peer, 0))
            port = s.getsockname()[1]
        peer = subprocess.Popen(
            ["turnutils_peer", "-L", self.public.peer, "-p", str(port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            code, said = self.uclient(self.user, self.password,
                                      self.public.peer, port)
        finally:
            peer.kill()
            peer.wait()
        if not tap.ok(code == 0 and "Total lost packets 0 " in said,
                      name + ": turnutils_uclient relays"):
            tap.diag(said[-2000:])

    def uclient(self, user, password, peer, port=9):
        done = subprocess.run(
            ["turnutils_uclient", "-u", user, "-w", password, "-e", peer,
             "-r", str(port), "-n", "3", "-m", "1", "-c", "-L",
             self.public.user, self.domain], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=120)
        return done.returncode, done.stdout

    def allocates(self, user=None, password=None):
        """0 or the code."""
        with Turn((self.domain, 3478), user or self.user,
                  password or self.password) as t:
            return t.allocate()

    def test_relay(self):
        self.relays("credentials of an app")
        now = time.time()
        for name, who in (
                ("expired", credentials(self.secret, now - 10)),
                ("of the secret that everybody knows",
                 credentials("north", now + 9999)),
                ("forged", (str(int(self.user) + 1), self.password))):
            tap.is_(self.allocates(*who), 401, name + ": refused")
            code, said = self.uclient(*who, self.public.peer)
            tap.ok(code != 0 and "Cannot complete Allocation" in said,
                   name + ": turnutils_uclient too")
        for peer in "127.0.0.1", self.network.address, "10.0.0.1", \
                "192.168.1.1":
            with Turn((self.domain, 3478), self.user, self.password) as t:
                tap.is_((t.allocate(), t.permit(peer)), (0, 403),
                        "a peer on %s: refused" % peer)
        code, said = self.uclient(self.user, self.password, "127.0.0.1")
        tap.ok(code != 0 and "403" in said, "turnutils_uclient as well")
        tap.is_([line for line in self.host.journal("coturn").splitlines()
                 if "peer" in line.lower() or self.user in line], [],
                "the journal tells nothing of it")

    def test_kill(self):
        for name, works in ("coturn", lambda: self.allocates() == 0), \
                ("chatmail-turn", self.metadata):
            pid = self.sh("systemctl show -P MainPID " + name)
            self.sh("kill -KILL " + pid)
            tap.ok(until(lambda: self.sh(
                "systemctl show -P MainPID " + name) not in (pid, "0") and
                works()), name + ": killed, and comes back")

    # ---- the firewall

    def load_firewall(self):
        rules = good(self.host.inside(["chatmail", "firewall"]),
                     "chatmail firewall")
        done = subprocess.run(
            ["nsenter", "--target", str(self.host.leader()), "--net", "nft",
             "-f", "-"], input=rules, text=True, capture_output=True)
        tap.is_((done.returncode, done.stderr), (0, ""), "nft loads it")

    def answers(self, port, secs=20):
        with contextlib.suppress(OSError), socket.create_connection(
                (self.domain, port), secs) as s:
            return True
        return False

    def test_firewall(self):
        listener = subprocess.Popen(
            ["nsenter", "--target", str(self.host.leader()), "--net",
             sys.executable, "-m", "http.server", str(LISTENER)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            tap.ok(until(lambda: self.answers(LISTENER)),
                   "before: another port is reached")
            self.load_firewall()
            self.load_firewall()
            tap.ok(not self.answers(LISTENER, 2), "behind it: no more")
            tap.ok(not self.answers(8443, 2), "nor what nginx has inside")
        finally:
            listener.kill()
            listener.wait()
        for port in 22, 25, 80, 143, 443, 465, 587, 993, 3478:
            tap.ok(self.answers(port), "port %d is reached" % port)
        self.account = self.new_user()
        told = self.metadata()
        tap.ok(told, "HTTPS and IMAP work")
        self.user, self.password = told[2:]
        self.relays("behind the firewall")
        with contextlib.ExitStack() as stack:
            a, b = (stack.enter_context(Turn(
                (self.domain, 3478), self.user, self.password))
                for _ in range(2))
            tap.is_((a.allocate(), b.allocate(), a.permit(self.domain),
                     b.permit(self.domain)), (0,) * 4,
                    "two users of it have allocations")
            a.send(b.relayed, b"hello")
            tap.is_(b.receive(), b"hello", "and meet behind the firewall")
        self.test_again("a deploy behind the firewall")

    # ---- settings

    def test_settings(self):
        before = self.host.started()
        self.op.write(turn_ports="50000-50050", disable_ipv6="true")
        run = self.op.steps()
        tap.is_((run.code, run.told("activate").get("coturn")),
                (0, ["restart"]), "turn_ports, disable_ipv6")
        tap.is_(self.host.started()["chatmail-turn.service"],
                before["chatmail-turn.service"], "the role is left alone")
        tap.is_(sorted(set(self.sh(
            "ss -Hlnu sport = :3478 | awk '{print $4}'").split())),
            sorted("%s:3478" % a for a in (self.domain, self.host.address)),
            "coturn listens by IPv4 alone")
        with Turn((self.domain, 3478), self.user, self.password) as t:
            tap.is_(t.allocate(), 0, "it relays")
            tap.between(t.relayed[1], 50000, 50050, "on a port of them")
        self.op.write(turn_ports="x")
        code, out, err = self.op.deploy()
        tap.ok(code == 1 and 'turn_ports: expected two ports from 1024 to '
               '65535, as 49152-65535, got "x"' in err, "a wrong one")
        self.op.write(turn_ports=None, turn_socket_path="")
        run = self.op.steps()
        tap.is_((run.code, {k: v for k, v in run.told("activate").items()
                            if "turn" in k}),
                (0, {n: ["stop, disable"] for n in (
                    "chatmail-turn", "coturn")}), "no TURN any more")
        tap.ok(not self.answers(3478, 2), "nobody listens")
        tap.is_(self.metadata(), None, "apps are told of none")
        self.op.write(turn_socket_path=None)
        tap.is_(self.op.steps().code, 0, "and again")
        tap.ok(until(lambda: self.allocates(*self.metadata()[2:]) == 0),
               "with the secret that was there")
        tap.is_(self.host.get(SECRET).decode().strip(), self.secret,
                "which is kept")


def main():
    why = deploying.skip_reason()
    if why:
        tap.skip_all(why)
    with hosts.Network(acme=False) as network:
        tests = Tests(network)
        for name in ("deploy", "again", "credentials", "deltachat", "relay",
                     "kill", "firewall", "settings"):
            began = time.monotonic()
            getattr(tests, "test_" + name)()
            tap.diag("%s: %.1f s" % (name, time.monotonic() - began))
    tap.done()


main()
