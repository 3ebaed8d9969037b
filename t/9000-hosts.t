#!/usr/bin/env python3
"""The test hosts themselves: real Debian servers, their network, its name
server and certificate authority, and that nothing of them is left behind.
LONG=1 only: the other tests stand on it anyhow."""
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "host")]
import hosts
import names
import runs
import tap

LONG = "v=DKIM1; p=" + "k" * 400
ZONES = {
    "chat.test": {"A": "192.0.2.1", "AAAA": ["2001:db8::1"],
                  "MX": [(10, "chat.test"), "20 mx2.chat.test"],
                  "TXT": ["v=spf1 a ~all", 'a "quoted" \\ part'], "ttl": 60,
                  "CAA": [(128, "issue", "ca.test;accounturi=https://x/1")]},
    "www.chat.test": {"CNAME": "chat.test"},
    "_imaps._tcp.chat.test": {"SRV": [(0, 1, 993, "chat.test")]},
    "opendkim._domainkey.chat.test": {"TXT": LONG},
    "zone.test": {"SOA": True, "NS": ["ns.test", "ns2.zone.test"],
                  "A": "192.0.2.2"},
}
# what drill prints of an answer: name, type, part of the data
ANSWERS = [
    ("chat.test", "A", "192.0.2.1"), ("chat.test", "AAAA", "2001:db8::1"),
    ("chat.test", "MX", "10 chat.test."), ("chat.test", "MX",
                                           "20 mx2.chat.test."),
    ("chat.test", "TXT", '"v=spf1 a ~all"'),
    ("chat.test", "TXT", r'"a \"quoted\" \\ part"'),
    ("chat.test", "CAA", 'issue "ca.test;accounturi=https://x/1"'),
    ("www.chat.test", "CNAME", "chat.test."), ("www.chat.test", "A",
                                               "192.0.2.1"),
    ("_imaps._tcp.chat.test", "SRV", "0 1 993 chat.test."),
    ("opendkim._domainkey.chat.test", "TXT",
     '"%s" "%s"' % (LONG[:255], LONG[255:])),
    ("test", "SOA", "ns.test."), ("zone.test", "SOA", "ns.test."),
    ("zone.test", "NS", "ns2.zone.test."),
    ("zone.test", "A", "192.0.2.2"), ("file.test", "A", "192.0.2.7"),
]
RDATA = [
    ("MX", (5, "a.test"), "5 a.test."), ("MX", "5 a.test.", "5 a.test."),
    ("NS", "a.test", "a.test."), ("A", "192.0.2.1", "192.0.2.1"),
    ("SRV", (1, 2, 3, "a.test"), "1 2 3 a.test."),
    ("CAA", (0, "issue", ";"), '0 issue ";"'),
    ("CAA", '0 issue "a.test"', '0 issue "a.test"'),
    ("TXT", "a b", '"a b"'), ("TXT", ("a", "b"), '"a" "b"'),
    ("TXT", 'q"\\\n\xe9', r'"q\034\092\010\195\169"'), ("TXT", "", '""'),
]
PACKAGES = "iputils-ping ldnsutils unbound uacme busybox"
INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get install --yes " \
    "--no-install-recommends "


def leftovers(run_id):
    """What on the machine still bears the run's name."""
    directory = os.path.join(runs.RUNS, run_id)
    with open("/proc/self/mountinfo") as f:
        found = [line.strip() for line in f if run_id in line]
    found += [n for n in os.listdir("/sys/class/net") if run_id in n]
    found += [line for line in runs.command("nft", "list", "tables").split(
        "\n") if run_id in line]
    found += ["process %d" % pid for pid in runs.processes(directory)]
    for mount in runs.cgroup_mounts().values():
        found += [where for where, _, _ in os.walk(mount) if run_id in where]
    if os.path.isdir(runs.PROPAGATE):
        found += [n for n in os.listdir(runs.PROPAGATE) if run_id in n]
    return found + ([directory] if os.path.exists(directory) else [])


def good(result, name):
    """A command's exit code is 0; returns what it printed."""
    code, out, err = result
    if not tap.ok(code == 0, name):
        tap.diag("exit code %d\n%s" % (code, (out + err)[-2000:]))
    return out


# ---- each test gets the network and two hosts, in this order

def test_servers(network, a, b):
    for host in a, b:
        tap.is_(host.wait_ready(), "running", host.name + " runs")
        tap.is_(host.failed_units(), [], "all its units have started")
    tap.is_(good(a.run("hostname --fqdn"), "ssh gets in").strip(), "a.test",
            "it has its name")
    tap.is_(a.run("exit 7")[0], 7, "an exit code comes back")
    tap.is_(a.run("cat", input="in\n")[1], "in\n", "standard input gets there")
    tap.is_(a.inside(["cat"], input="in\n")[1], "in\n", "without ssh too")
    tap.ok(a.host_keys != b.host_keys, "each has host keys of its own")
    tap.ok(a.get("/etc/machine-id") != b.get("/etc/machine-id"),
           "and a machine-id of its own")
    out = good(network.run(["ssh", "-F", network.ssh_config, "b.test",
                            "hostname"]), "the operator's ssh knows names")
    tap.is_(out, "b\n", "and gets to that host")
    with open(network.home + "/.ssh/known_hosts") as f:
        known = f.read()
    tap.like(known, "b.test,%s,%s ssh-ed25519 " % (b.address, b.address6),
             "the operator's known_hosts has it")


def test_files(network, a, b):
    data = bytes(range(256)) * 4000
    a.put("/srv/x/data", data, 0o640)
    tap.ok(a.get("/srv/x/data") == data, "a file gets there and back")
    tap.is_(a.run("stat -c %a /srv/x/data")[1], "640\n", "with its mode")
    a.run("ln -s /etc/hostname /srv/link")
    tap.is_(a.get("/srv/link"), b"a\n", "a link leads to the host's own file")
    before, hashed = a.listing(), a.hash_etc()
    good(a.run("touch /etc/hostname"), "only a time changes")
    tap.is_(a.hash_etc(), hashed, "the hash of /etc stays")
    a.run("echo x >/etc/new; chmod 600 /etc/hosts; rm /etc/issue.net")
    tap.ok(a.hash_etc() != hashed, "the hash of /etc changes")
    lines = hosts.differences(before, a.listing())
    tap.is_([line.split(":")[0] for line in lines],
            ["! /etc/hosts", "- /etc/issue.net", "+ /etc/new"],
            "the differences are told")


def test_services(network, a, b):
    started = b.started()
    tap.ok("ssh.service" in started, "services that run are listed")
    tap.is_(b.started(), started, "none restarts by itself")
    good(b.run("systemctl restart systemd-logind"), "one is restarted")
    tap.is_(sorted(n for n, i in b.started().items() if started.get(n) != i),
            ["systemd-logind.service"], "it is told which")
    # systemd counts a cgroup's processes, and would find the other host's
    a_groups, b_groups = [open("/proc/%d/cgroup" % host.leader()).read()
                          for host in (a, b)]
    tap.ok(a_groups != b_groups, "each has cgroups of its own")
    for host in a, b:
        host.run("systemd-run --unit=twins sh -c 'sleep 997 & sleep 998'")
    good(a.run("systemctl stop twins"), "a stops a service")
    tap.ok(a.inside(["pgrep", "sleep"])[0] == 1, "its processes end")
    tap.ok("Failed to kill" not in a.journal("twins"), "without an error")
    tap.is_(len(b.inside(["pgrep", "-x", "sleep"])[1].split()), 2,
            "those of the same service of b do not")
    tap.like(b.journal("ssh"), "Server listening on", "the journal is read")


def test_packages(network, a, b):
    a.use_unbound()
    good(a.run("apt-get update"), "apt-get update")
    good(a.run(INSTALL + PACKAGES, timeout=300), "apt-get install")
    a.share_archives()
    b.share_archives()
    good(b.run("apt-get update"), "apt-get update on the other")
    out = good(b.run(INSTALL + "iputils-ping"), "apt-get install there")
    tap.ok("Get:" not in out, "it had not to download again")
    out = good(a.run("ping -c 1 -W 5 " + b.address), "a pings b")
    good(b.run("ping -c 1 -W 5 a.test"), "b pings a by name")
    good(a.run("ping -c 1 -W 5 " + b.address6), "a pings b by IPv6")
    a.put("/root/.ssh/id_ed25519", open(
        network.home + "/.ssh/id_ed25519").read(), 0o600)
    out = good(a.run("ssh -o StrictHostKeyChecking=no %s hostname" %
                     b.address), "ssh from a to b")
    tap.is_(out, "b\n", "it is b")


def test_names(network, a, b):
    ask = "while read name type; do drill $name $type @%s; echo END; done"
    questions = "".join("%s %s\n" % answer[:2] for answer in ANSWERS)
    for server, who in ((network.address, "the name server"),
                        ("127.0.0.1", "the host's own unbound")):
        got = a.run(ask % server, questions)[1].split("END\n")[:-1]
        got = [x.partition("ANSWER SECTION:")[2].partition(
            "AUTHORITY SECTION:")[0].replace("\t", " ") for x in got]
        wrong = [(answer, x) for answer, x in zip(ANSWERS, got)
                 if answer[2] not in x]
        tap.is_((len(got), wrong), (len(ANSWERS), []), who + " answers all")
    out = a.run("drill chat.test @" + network.address)[1]
    tap.like(out, "flags: qr aa", "authoritative answers")
    out = a.run("drill nobody.test @127.0.0.1")[1]
    tap.like(out, "rcode: NXDOMAIN", "what there is not is denied")
    tap.like(a.run("getent hosts " + b.address)[1], "b.test",
             "an address has a name")
    network.names.set("chat.test", A="192.0.2.99", ttl=1)
    tap.like(b.run("getent hosts chat.test")[1], "192.0.2.99",
             "a record changes")
    network.names.remove("chat.test")
    tap.is_(b.run("getent hosts chat.test")[0], 2, "a record goes")
    try:
        network.names.set("example.org", A="192.0.2.1")
        tap.ok(False, "names outside test. are refused")
    except ValueError as e:
        tap.like(str(e), "example.org is not below test",
                 "names outside test. are refused")
    network.names.remove("example.org")


def test_acme(network, a, b):
    tap.like(network.acme.get("/dir").decode(), '"newOrder"',
             "the authority answers this machine")
    ask = "(echo GET /dir HTTP/1.0; echo Host: acme.test:14000; echo) | " \
        "openssl s_client -quiet -crlf -connect acme.test:14000 " \
        "-verify_hostname %s -verify_return_error"
    tap.like(good(b.run(ask % "acme.test"), "a host trusts it"),
             '"newOrder": "https://acme.test:14000/', "and is answered")
    tap.ok(b.run(ask % "other.test")[0] != 0, "no other name of it")
    network.names.set("a.test", A=a.address)
    good(a.run("""set -e
        hook=/usr/share/uacme/uacme.sh
        export UACME_CHALLENGE_PATH=/srv/www/.well-known/acme-challenge
        mkdir -p $UACME_CHALLENGE_PATH
        busybox httpd -p 80 -h /srv/www
        uacme --yes --acme-url %(url)s new
        uacme --acme-url %(url)s --hook $hook issue a.test""" % {
            "url": network.acme.directory}), "a host gets a certificate")
    chain = "/etc/ssl/uacme/a.test/cert.pem"
    b.put("/root/chain.pem", a.get(chain))
    good(b.run("openssl verify -verify_hostname a.test -untrusted "
               "/root/chain.pem /root/chain.pem"), "the other one trusts it")
    roots = open(network.write_roots()).read()
    tap.is_(roots.count("BEGIN CERTIFICATE"), 2, "the roots are told")
    tap.ok(all(p in b.get("/etc/ssl/certs/ca-certificates.crt").decode()
               for p in network.trusted().values()), "hosts trust them")


def test_trouble(network, a, b):
    b.cut()
    code, _, err = network.run(
        ["ssh", "-F", network.ssh_config, "-o", "ConnectTimeout=2", "b.test",
         "true"])
    tap.is_((code, "timed out" in err), (255, True), "ssh is cut")
    good(b.inside(["true"]), "what does not need it is not")
    b.mend()
    good(b.run("true"), "ssh is mended")
    b.cut(None)
    tap.ok(a.run("ping -c 1 -W 1 " + b.address)[0] != 0,
           "nobody reaches a host that is off")
    b.mend()
    good(a.run("ping -c 1 -W 5 " + b.address), "it is on again")
    b.fill()
    tap.like(b.run("head -c 100000 /dev/zero >/root/x")[2],
             "No space left on device", "the disk is full")
    b.empty()
    good(b.run("head -c 100000 /dev/zero >/root/x"), "there is space again")
    b.add_user("admin")
    tap.is_(b.run("id -un; sudo id -un", user="admin")[1], "admin\nroot\n",
            "a user with sudo")


def test_life(network, a, b):
    boot = "cat /proc/sys/kernel/random/boot_id"
    before = a.run(boot)[1]
    a.run("echo stays >/root/file")
    a.reboot()
    tap.ok(a.run(boot)[1] not in (before, ""), "a host reboots")
    tap.is_(a.get("/root/file"), b"stays\n", "its files stay")
    tap.is_(a.failed_units(), [], "all its units have started again")
    a.kill()
    tap.ok(not a.is_running(), "a host is killed")
    tap.is_(a.get("/root/file"), b"stays\n", "its files can be read")
    a.start()
    tap.is_(a.run("cat /root/file")[1], "stays\n", "and starts again")


def test_snapshot(network, a, b):
    made = a.snapshot("test")
    tap.is_(a.run("cat /root/file")[1], "stays\n", "a host goes on")
    c = network.host("c.test", snapshot=made)
    a.run("echo changed >/root/file")
    network.start_hosts(c)
    tap.is_(c.run("hostname; cat /root/file")[1], "c\nstays\n",
            "another is a copy of it")
    tap.like(c.run("drill c.test SOA @127.0.0.1")[1], "hostmaster.test.",
             "with its programs")
    c.run("rm /root/file")
    tap.is_(a.get("/root/file"), b"changed\n", "each writes for itself")
    d = network.host("d.test", snapshot=b.snapshot("limited"))
    tap.is_(d.inside(["test", "-e", "/root/x"])[0], 0,
            "a host with a limited disk can be copied too")


CHILD = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
import hosts
with hosts.Network() as network:
    host = network.host("x.test").start()
    print(network.run_files.id, network.run_files.janitor.pid, flush=True)
    time.sleep(100)
"""


def test_end(how, *signals, janitor=False):
    """A test that is ended by a signal."""
    child = subprocess.Popen([sys.executable, "-c", CHILD,
                              os.path.join(HERE, "host")],
                             stdout=subprocess.PIPE, text=True,
                             stderr=subprocess.DEVNULL)
    run_id, pid = child.stdout.readline().split()
    tap.ok(len(leftovers(run_id)) > 7, "a test has a host")
    if janitor:
        os.kill(int(pid), signal.SIGKILL)
    for number in signals:
        child.send_signal(number)
    child.wait(60)
    if janitor:
        tap.ok(len(leftovers(run_id)) > 7, "nobody has cleaned up")
        runs.sweep()
    end = time.monotonic() + 60
    while leftovers(run_id) and time.monotonic() < end:
        time.sleep(.1)
    tap.is_(leftovers(run_id), [], "nothing is left after " + how)


def main():
    for kind, value, want in RDATA:
        tap.is_(names.rdata(kind, value), want, "%s %r" % (kind, value))
    why = hosts.skip_reason()
    if not why and not os.environ.get("LONG"):
        why = "LONG=1 only"
    if why:
        tap.skip("hosts", why)
        tap.done()
    network = hosts.Network(ZONES)
    run_id = network.run_files.id
    with network:
        a = network.host("a.test", ipv6=True)
        b = network.host("b.test", ipv6=True, disk="300M")
        network.names.update({"a.test": {"A": [a.address]},
                              "b.test": {"A": [b.address]}},
                             text="file.test. 60 IN A 192.0.2.7")
        network.start_hosts(a, b)
        for test in (test_servers, test_files, test_services, test_packages,
                     test_names, test_acme, test_trouble, test_life,
                     test_snapshot):
            start = time.monotonic()
            test(network, a, b)
            tap.diag("%s: %.1f s" % (test.__name__, time.monotonic() - start))
    tap.is_(leftovers(run_id), [], "nothing is left at the end")
    test_end("SIGTERM", signal.SIGTERM)
    test_end("SIGINT", signal.SIGINT)
    test_end("SIGKILL", signal.SIGKILL)
    test_end("SIGKILL for all", signal.SIGKILL, janitor=True)
    tap.done()


main()
