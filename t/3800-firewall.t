#!/usr/bin/env python3
"""firewall: rules that let in what the relay serves and nothing else, as nft
and iptables load them and as packets find them."""
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import netspace
import tap

CHATMAIL = os.path.abspath(os.environ.get("CHATMAIL", "build/chatmail"))
HOST, HOST6 = "198.51.100.7", "2001:db8::7"
USER, USER6 = "198.51.100.8", "2001:db8::8"
MAIL = [25, 80, 143, 443, 465, 587, 993]
TCP = [22, *MAIL, 3478]
UDP = [3478, (49152, 65535)]
BOTH = ["ipv4", "ipv6"]

# name, chatmail.ini, options, open TCP, open UDP, those of one address alone,
# families of the relay's ports
CASES = [
    ("as it is", "", [], TCP, UDP, {}, BOTH),
    ("sshd elsewhere", "", ["--ssh-port", "2222"],
     [2222, *MAIL, 3478], UDP, {}, BOTH),
    ("two of sshd", "", ["--ssh-port", "22,2222"],
     [22, 2222, *MAIL, 3478], UDP, {}, BOTH),
    ("no TURN", "turn_socket_path =", [], [22, *MAIL], [], {}, BOTH),
    ("fewer ports for calls", "turn_ports = 50000-50099", [], TCP,
     [3478, (50000, 50099)], {}, BOTH),
    ("IPv4 only", "disable_ipv6 = true", [], TCP, UDP, {}, ["ipv4"]),
    ("figures on loopback", "metrics_address = 127.0.0.1\n"
     "mtail_address = ::1", [], TCP, UDP, {}, BOTH),
    ("figures everywhere are for nobody", "metrics_address = 0.0.0.0\n"
     "mtail_address = [::]", [], TCP, UDP, {}, BOTH),
    ("figures on an inner address", "metrics_address = 10.1.2.3\n"
     "mtail_address = [fd00::5]", [], TCP, UDP,
     {3905: "10.1.2.3", 3903: "fd00::5", 3904: "fd00::5"}, BOTH),
    ("another iroh relay", "iroh_relay = https://iroh.example", [], TCP,
     UDP, {}, BOTH),
    ("self-signed", "mail_domain = _chat.test", [], TCP, UDP, {}, BOTH),
]


def firewall(top, ini, *options):
    path = top + "/chatmail.ini"
    with open(path, "w") as f:
        f.write("[params]\n" + ("" if "mail_domain" in ini else
                                "mail_domain = chat.test\n") + ini + "\n")
    done = subprocess.run([CHATMAIL, "firewall", *options, path],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)
    return done.returncode, done.stdout, done.stderr


def run(argv, text=None):
    """Exit code and all that it says."""
    done = subprocess.run(argv, input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def number(first, last):
    return int(first) if not last or first == last else (int(first),
                                                         int(last))


# ---- what is printed ----------------------------------------------------------

def of_json(text):
    """{(protocol, port, address): families}"""
    found = {}
    for p in json.loads(text)["open"]:
        found[p["protocol"], number(p["first"], p["last"]), p["address"]] = \
            p["families"]
    return found


def of_nft(text):
    found = {}
    for only, address, proto, first, last in re.findall(
            r'(?m)^\t\t(?:meta nfproto (\w+) |ip6? daddr (\S+) )?(tcp|udp) '
            r'dport (\d+)(?:-(\d+))? accept comment "', text):
        found[proto, number(first, last), address] = [only] if only else BOTH
    return found


def of_iptables(text):
    return {(proto, number(first, last), address)
            for address, proto, first, last in re.findall(
                r"(?m)^-A INPUT (?:-d (\S+) )?-p (tcp|udp) -m (?:tcp|udp) "
                r"--dport (\d+)(?::(\d+))? -m comment", text)}


def test_printed(top):
    for name, ini, options, tcp, udp, inner, families in CASES:
        code, text, err = firewall(top, ini, "--json", *options)
        tap.is_((code, err), (0, ""), name)
        want = {("tcp", p, ""): families for p in tcp}
        want.update({("udp", p, ""): families for p in udp})
        want.update({("tcp", p, a): ["ipv6" if ":" in a else "ipv4"]
                     for p, a in inner.items()})
        for key in want:
            if key[1] in (22, 2222):
                want[key] = BOTH
        tap.is_(of_json(text), want, name + ": what is open")
        code, text, err = firewall(top, ini, *options)
        tap.is_((code, err), (0, ""), name + ": nft")
        tap.is_(sorted(map(str, of_nft(text))), sorted(map(str, want)),
                name + ": the same for nft")
        tap.is_({k: f for k, f in of_nft(text).items() if not k[2]},
                {k: f for k, f in want.items() if not k[2]},
                name + ": by the same kind of IP")
        tap.is_(firewall(top, ini, "--nft", *options)[1], text,
                name + ": nft is the default")
        tap.is_(run(["nft", "-c", "-f", "-"], text), (0, ""),
                name + ": nft takes it")
        for tables, family in ("iptables", "ipv4"), ("ip6tables", "ipv6"):
            text = firewall(top, ini, "--" + tables, *options)[1]
            tap.is_(of_iptables(text),
                    {k for k, f in want.items() if family in f},
                    "%s: the same for %s" % (name, tables))
            if shutil.which(tables + "-restore"):
                tap.is_(run([tables + "-restore", "--test"], text), (0, ""),
                        "%s: %s takes it" % (name, tables))
            else:
                tap.skip(tables + "-restore", "is not installed")


REFUSALS = [
    (["--ssh-port", "0"], 2, "--ssh-port: expected a port, got \"0\""),
    (["--ssh-port", "65536"], 2, "--ssh-port"),
    (["--ssh-port", "22,"], 2, "--ssh-port"),
    (["--ssh-port", "ssh"], 2, "--ssh-port"),
    (["--nft", "--iptables"], 2, "one form"),
    (["--iptables", "--ip6tables"], 2, "one form"),
    (["a", "b"], 2, "at most one INI"),
]


def test_refusals(top):
    for options, want, text in REFUSALS:
        code, out, err = firewall(top, "", *options)
        tap.is_((code, out), (want, ""), " ".join(options))
        tap.like(err, text, "says why")
    code, out, err = firewall(top, "turn_ports = 1-2")
    tap.is_((code, out), (1, ""), "a wrong chatmail.ini")
    tap.like(err, "turn_ports: expected", "says what")


def test_table():
    """Whoever asks for ports asks the one table."""
    with open(os.path.join(HERE, "../src/host/relay_ports.c")) as f:
        rows = set(re.findall(r'\{ "(\w+)"', f.read()))
    with open(os.path.join(HERE, "../src/relay/layout.c")) as f:
        layout = set(re.findall(r'\{ "(\w*_port)"', f.read()))
    with open(os.path.join(HERE, "../src/relay/settings.def")) as f:
        settings = set(re.findall(r"SETTING\((\w+), PORT", f.read()))
    # of the sandbox alone; on this machine alone and started by others; of
    # upstream's transport
    other = {"dns_port", "iroh_port", "https_url_port",
             "filtermail_http_port_incoming",
             "filtermail_lmtp_port_transport"}
    tap.is_(sorted((layout | settings) - rows - other), [],
            "each port of the layout and the settings is in the table")


# ---- what packets find ----------------------------------------------------------

def listen(address, port, kind=socket.SOCK_STREAM):
    """Answers what connects, or echoes, until the program ends."""
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                      kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))

    def tcp():
        s.listen(50)
        while True:
            c = s.accept()[0]
            c.sendall(b"hello")
            c.close()

    def udp():
        while True:
            data, peer = s.recvfrom(100)
            s.sendto(data, peer)

    threading.Thread(target=tcp if kind == socket.SOCK_STREAM else udp,
                     daemon=True).start()


# In the other network: prints those that answer. Those that should have
# secs, which is long only where they do; the others need not be waited for.
PROBE = r"""
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def ask(target):
    kind, address, port, secs = target
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                      getattr(socket, kind))
    s.settimeout(secs)
    try:
        s.connect((address, port))
        s.send(b"x")
        return bool(s.recv(10))
    except OSError:
        return False
targets = json.load(sys.stdin)
with ThreadPoolExecutor(len(targets)) as pool:
    print(json.dumps([t[:3] for t, good in zip(targets, pool.map(
        ask, targets)) if good]))
"""


def probe(pid, targets, open_):
    """Those of targets that a user elsewhere reaches; pid None: we do."""
    argv = [sys.executable, "-c", PROBE]
    if pid:
        argv = ["nsenter", "--net=/proc/%d/ns/net" % pid, *argv]
    text = json.dumps([[*t, 20 if t in open_ else 1] for t in targets])
    done = subprocess.run(argv, input=text, stdout=subprocess.PIPE, text=True,
                          check=True)
    return [tuple(t) for t in json.loads(done.stdout)]


def test_packets(top, other):
    stream, dgram = "SOCK_STREAM", "SOCK_DGRAM"
    inside = [(stream, 25), (stream, 443), (stream, 993), (stream, 22),
              (stream, 3478), (dgram, 3478), (dgram, 49152), (dgram, 65535)]
    outside = [(stream, 8443), (stream, 10025), (stream, 8080), (dgram, 53),
               (dgram, 49151)]
    for address in HOST, HOST6, "127.0.0.1":
        for kind, port in inside + outside:
            listen(address, port, getattr(socket, kind))
    every = [(k, a, p) for a in (HOST, HOST6) for k, p in inside + outside]
    good = [(k, a, p) for a in (HOST, HOST6) for k, p in inside]
    tap.is_(probe(other, every, every), every, "without it all is open")
    text = firewall(top, "")[1]
    own = "table inet own {\n\tchain x { }\n}\n"
    tap.is_(run(["nft", "-f", "-"], own), (0, ""), "another table is there")
    for name in "once", "twice":
        tap.is_(run(["nft", "-f", "-"], text), (0, ""), "loaded " + name)
        tap.is_(probe(other, every, good), good,
                "what the relay serves is reached, and nothing else")
    rules = run(["nft", "list", "ruleset"])[1]
    tap.is_((rules.count("dport 993"), "table inet own" in rules), (1, True),
            "its table is there once, the other one is left")
    tap.is_(probe(None, every, good), good,
            "from the machine itself, by its addresses")
    local = [(k, "127.0.0.1", p) for k, p in inside + outside]
    tap.is_(probe(None, local, local), local, "but all of loopback")
    for address in HOST, HOST6:
        tap.is_(run(["nsenter", "--net=/proc/%d/ns/net" % other, sys.executable,
                     "-c", PING, address])[1].strip(), "pong",
                "ping " + address)
    tap.is_(run(["nft", "delete", "table", "inet", "chatmail"]), (0, ""),
            "taken away")
    if shutil.which("iptables-restore"):
        for tables, address in ("iptables", HOST), ("ip6tables", HOST6):
            rules = firewall(top, "", "--" + tables)[1]
            tap.is_([run([tables + "-restore"], rules) for _ in range(2)],
                    [(0, "")] * 2, tables + ": loaded, twice")
            some = [t for t in every if t[1] == address]
            want = [t for t in good if t[1] == address]
            tap.is_(probe(other, some, want), want, tables + ": the same")


PING = r"""
import socket, struct, sys
v6 = ":" in sys.argv[1]
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW,
                  socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP)
s.settimeout(20)
data = struct.pack("!BBHHH", 128 if v6 else 8, 0, 0, 7, 1)
if not v6:
    total = sum(struct.unpack("!4H", data))
    data = data[:2] + struct.pack("!H", 0xffff - total % 0xffff) + data[4:]
s.sendto(data, (sys.argv[1], 0))
while True:
    got = s.recv(200)
    if got[0 if v6 else 20] == (129 if v6 else 0):
        print("pong")
        break
"""


def main():
    reason = netspace.enter({"chat.test": HOST})
    if reason:
        tap.skip_all(reason)
    if not shutil.which("nft", path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
        tap.skip_all("nft is not installed")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    top = tempfile.mkdtemp(prefix="chatmail-")
    other = subprocess.Popen(["unshare", "--net", "sh", "-c",
                              "ip link set lo up && echo up && exec cat"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        lines = "link add cm0 type veth peer name cm1\n" \
            "link set cm1 netns %d\nlink set cm0 up\n" \
            "address add %s/24 dev cm0\naddress add %s/64 dev cm0 nodad\n" % (
                other.pid, HOST, HOST6)
        subprocess.run(["ip", "-batch", "-"], input=lines, text=True,
                       check=True)
        lines = "link set cm1 up\naddress add %s/24 dev cm1\n" \
            "address add %s/64 dev cm1 nodad\n" % (USER, USER6)
        subprocess.run(["nsenter", "--net=/proc/%d/ns/net" % other.pid, "ip",
                        "-batch", "-"], input=lines, text=True, check=True)
        test_printed(top)
        test_refusals(top)
        test_table()
        test_packets(top, other.pid)
    finally:
        with contextlib.suppress(OSError):
            other.kill()
            other.wait()
        shutil.rmtree(top)
    tap.done()


main()
