#!/usr/bin/env python3
"""A real coturn with our configuration: it relays for who has credentials of the
role turn, and to nobody that a stranger may not reach."""
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import netspace
import tap
from turnclient import IPV4, IPV6, TCP, Turn, credentials

CHATMAIL = os.path.abspath(os.environ.get("CHATMAIL", "build/chatmail"))
SECRET = "only-for-this-test-" + "k3" * 10
SERVER, CLIENT, PEER, INSIDE = "198.51.100.7", "198.51.100.66", \
    "203.0.113.5", "10.77.0.9"
SERVER6, PEER6 = "2001:db8:1::7", "2001:db8:2::5"
FIRST, LAST = 51000, 51099

# no peers
DENIED = ["0.0.0.0", "0.1.2.3", "10.0.0.1", INSIDE, "10.255.255.255",
          "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.255",
          "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8",
          "192.88.99.1", "192.168.0.1", "192.168.255.255", "198.18.0.1",
          "198.19.255.255", "224.0.0.1", "239.255.255.250", "240.0.0.1",
          "255.255.255.255"]
ALLOWED = [PEER, SERVER, "1.1.1.1", "9.255.255.255", "11.0.0.0",
           "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1",
           "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.0",
           "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
           "223.255.255.255"]
DENIED6 = ["::", "::1", "::2", "::127.0.0.1", "::ffff:127.0.0.1",
           "::ffff:10.0.0.1", "::ffff:203.0.113.5", "64:ff9b::7f00:1",
           "64:ff9b:1::1", "100::1", "2001::1", "2001:0:ffff::1",
           "2002:7f00:1::", "2002:ffff:ffff::1", "4000::", "5f00::1",
           "fc00::1", "fd00::1", "fdff:ffff::1", "fe80::1", "fec0::1",
           "ff02::1", "ff0e::1"]
ALLOWED6 = [PEER6, "2000::1", "2001:1::1", "2001:4860::8888", "2003::1",
            "2a00::1", "3fff::1"]


class Coturn:
    """One with the configuration of that chatmail.ini, until the block ends.
    more: lines that only this place needs."""

    def __init__(self, top, more="", **settings):
        self.dir = tempfile.mkdtemp(dir=top)
        self.ini = self.dir + "/chatmail.ini"
        with open(self.ini, "w") as f:
            f.write("[params]\nmail_domain = chat.test\n" + "".join(
                "%s = %s\n" % item for item in settings.items()))
        subprocess.run([CHATMAIL, "sandbox", self.dir, "--server"],
                       check=True)
        with open(self.dir + "/coturn/turnserver.conf") as f:
            text = f.read()
        # what deploy fills in, and where tests can read what it says
        text = re.sub(r"(?m)^static-auth-secret=$",
                      "static-auth-secret=" + SECRET, text)
        text = re.sub(r"(?m)^syslog$", "log-file=stdout\n" + more, text)
        self.conf = self.dir + "/t.conf"
        with open(self.conf, "w") as f:
            f.write(text)
        with open(self.dir + "/secret", "w") as f:
            f.write(SECRET)

    def __enter__(self):
        self.out = open(self.dir + "/log", "w+")
        self.process = subprocess.Popen(
            ["turnserver", "-c", self.conf, "--pidfile="],
            stdin=subprocess.DEVNULL, stdout=self.out,
            stderr=subprocess.STDOUT)
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError), Turn(
                    (SERVER, 3478), "x", "x", timeout=2) as t:
                if t.allocate() == 401:
                    return self
            time.sleep(.05)
        tap.diag(self.log()[-3000:])
        raise RuntimeError("coturn does not answer")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def log(self):
        with open(self.dir + "/log") as f:
            return f.read()

    def credentials(self):
        """Those that the role hands out."""
        out = subprocess.run([CHATMAIL, "turn", "--print", "--secret",
                              self.dir + "/secret", self.ini], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
        return out.strip().split(":", 1)

    def client(self, server=SERVER, **more):
        return Turn((server, 3478), *self.credentials(), **more)


@contextlib.contextmanager
def peer(address):
    """A UDP socket there."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                       socket.SOCK_DGRAM) as s:
        s.bind((address, 0))
        s.settimeout(20)
        yield s


def both_ways(t, p, name):
    """Data from the client to the peer and back."""
    t.send(p.getsockname()[:2], b"to the peer")
    data, source = p.recvfrom(100)
    tap.is_((data, source[:2]), (b"to the peer", t.relayed),
            name + ": from the relayed address to the peer")
    p.sendto(b"and back", t.relayed)
    tap.is_(t.receive(), b"and back", name + ": and back")


def test_relay(coturn):
    for name, more in ("UDP", {}), ("TCP", {"tcp": True}):
        with coturn.client(**more) as t, peer(PEER) as p:
            tap.is_(t.allocate(), 0, name + ": allocated")
            tap.is_(t.relayed[0], SERVER, name + ": on the server's address")
            tap.between(t.relayed[1], FIRST, LAST,
                        name + ": a port of turn_ports")
            tap.is_(t.permit(PEER), 0, name + ": the peer is permitted")
            both_ways(t, p, name)
            with peer(SERVER) as stranger:
                stranger.sendto(b"let me in", t.relayed)
                p.sendto(b"from the peer", t.relayed)
                tap.is_(t.receive(), b"from the peer",
                        name + ": nobody else gets through")
    with coturn.client(SERVER6) as t, peer(PEER6) as p:
        tap.is_(t.allocate(IPV6), 0, "IPv6: allocated")
        tap.is_((t.relayed[0], t.permit(PEER6)), (SERVER6, 0),
                "IPv6: permitted")
        both_ways(t, p, "IPv6")


def test_uclient(coturn):
    """coturn's own client and peer."""
    with peer(PEER) as p:
        port = p.getsockname()[1]
    echo = subprocess.Popen(["turnutils_peer", "-L", PEER, "-p", str(port)],
                            stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    user, password = coturn.credentials()
    try:
        done = subprocess.run(
            ["turnutils_uclient", "-u", user, "-w", password, "-e", PEER, "-r",
             str(port), "-n", "5", "-m", "2", "-c", SERVER],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=120)
    finally:
        echo.kill()
        echo.wait()
    if not tap.ok(done.returncode == 0 and re.search(
            r"Total lost packets 0 ", done.stdout), "turnutils_uclient"):
        tap.diag(done.stdout[-2000:])


def test_meet(coturn):
    """Two users of it, each behind it."""
    with coturn.client() as a, coturn.client() as b:
        tap.is_((a.allocate(), b.allocate()), (0, 0), "two allocations")
        tap.is_((a.permit(b.relayed[0]), b.permit(a.relayed[0])), (0, 0),
                "permit each other")
        a.send(b.relayed, b"hello")
        tap.is_(b.receive(), b"hello", "and meet on the server's address")


def test_refused(coturn):
    now = time.time()
    user, password = coturn.credentials()
    for name, who, word in (
            ("good ones", user, password),
            ("expired", *credentials(SECRET, now - 2)),
            ("expired long ago", *credentials(SECRET, 1)),
            ("another secret", *credentials("north", now + 1000)),
            ("a later time", str(int(user) + 1), password),
            ("no password", user, ""), ("nobody", "", ""),
            ("another password", user, password[::-1]),
            ("another name", "alice", password)):
        with Turn((SERVER, 3478), who, word) as t:
            tap.is_(t.allocate(), 0 if name == "good ones" else 401,
                    "credentials: " + name)
    with coturn.client(tcp=True) as t:
        tap.ok(t.allocate(transport=TCP) in (403, 442), "no TCP to peers")


def test_peers(coturn):
    for server, family, denied, allowed in (
            (SERVER, IPV4, DENIED, ALLOWED),
            (SERVER6, IPV6, DENIED6, ALLOWED6)):
        with coturn.client(server) as t:
            tap.is_(t.allocate(family), 0, "allocated")
            tap.is_([a for a in denied if t.permit(a) != 403], [],
                    "private and other closed addresses are refused")
            tap.is_([a for a in denied[:6] if t.bind(a, 53) != 403], [],
                    "for channels as well")
            tap.is_([a for a in allowed if t.permit(a) != 0], [],
                    "all others are not")
    with coturn.client() as t, peer("127.0.0.1") as p, peer(INSIDE) as q:
        t.allocate()
        for s in p, q:
            t.permit(s.getsockname()[0])
            t.send(s.getsockname(), b"hello inside")
            s.settimeout(.5)
            with contextlib.suppress(TimeoutError):
                tap.is_(s.recv(100), None, "nothing arrives")


def test_log(coturn):
    log = coturn.log()
    tap.ok("Listener address" in log, "the log is there")
    said = [line for line in log.splitlines() if PEER in line or
            CLIENT in line]
    # which it finds on its interfaces when it starts
    said = [line for line in said if "address to use" not in line and
            not re.search("relay .* initiali", line)]
    # an error, which the unit keeps out of the journal
    said = [line for line in said if " ERROR: A peer IP " not in line]
    tap.is_(said, [], "and says neither who calls nor whom")


def test_full(top):
    with Coturn(top, turn_ports="52000-52001") as coturn, \
            contextlib.ExitStack() as stack:
        clients = [stack.enter_context(coturn.client()) for _ in range(3)]
        codes = [c.allocate() for c in clients]
        tap.is_(codes.count(0) <= 2 and codes[2], 508, "no port is left")
        tap.ok(codes[0] == 0 and clients[0].relayed[1] in (52000, 52001),
               "until then there was one")
        clients[0].release()


def test_nat(top):
    """The server's own address is a private one."""
    outside = "203.0.113.200"
    for external in outside, outside + "/" + SERVER:
        with Coturn(top, turn_external_ip=external) as coturn, \
                coturn.client() as a, coturn.client() as b, peer(PEER) as p:
            tap.is_((a.allocate(), b.allocate()), (0, 0), "allocated")
            tap.is_((a.relayed[0], b.relayed[0]), (outside, outside),
                    "turn_external_ip = %s is told" % external)
            tap.is_((a.permit(PEER), a.permit(outside), b.permit(outside)),
                    (0, 0, 0), "it is a peer as well")
            a.send(p.getsockname(), b"to the peer")
            tap.is_(p.recvfrom(100), (b"to the peer", (SERVER,
                                                       a.relayed[1])),
                    "the NAT gets the server's own")
            a.send(b.relayed, b"hello")
            tap.is_(b.receive(), b"hello", "two users meet on it")


def main():
    reason = netspace.enter({"chat.test": SERVER})
    if reason:
        tap.skip_all(reason)
    for program in "turnserver", "turnutils_uclient":
        if not shutil.which(program):
            tap.skip_all(program + " is not installed")
    ip = "link add cm0 type veth peer name cm1\nlink set cm0 up\n" \
        "link set cm1 up\n" + "".join(
            "address add %s dev cm0 nodad\n" % a for a in (
                SERVER6 + "/64", PEER6 + "/64")) + "".join(
            "address add %s dev cm0\n" % a for a in (
                SERVER + "/24", CLIENT + "/24", PEER + "/24",
                INSIDE + "/24"))
    subprocess.run(["ip", "-batch", "-"], input=ip, text=True, check=True)
    top = tempfile.mkdtemp(prefix="chatmail-")
    try:
        with Coturn(top, turn_ports="%d-%d" % (FIRST, LAST)) as coturn:
            for test in test_relay, test_uclient, test_meet, test_refused, \
                    test_peers, test_log:
                test(coturn)
        test_full(top)
        test_nat(top)
    finally:
        shutil.rmtree(top)
    tap.done()


main()
