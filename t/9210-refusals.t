#!/usr/bin/env python3
"""What "chatmail deploy" refuses, and what it says then: one sentence on what to
do, exit code 1, and nothing on the host has changed. A relay that is there keeps
running as it was."""
import contextlib
import http.client
import os
import signal
import ssl
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "host")]
import tap

try:
    import deploying
    import hosts
except ImportError:
    tap.skip_all("there are no test hosts")
from deploying import Operator, Steps, traces

PLACES = "/etc", "/usr/local", "/var/www"
APT = "DEBIAN_FRONTEND=noninteractive apt-get -qq install -y " \
    "--no-install-recommends "
CERT = "/etc/x/cert.pem /etc/x/key.pem"


def refused(op, host, name, *wanted, args=(), before=None):
    """A run ends with 1, says all of that, and changes nothing."""
    before = before or traces(host, PLACES)
    # without a terminal, also where the test itself has one
    code, out, err = op.network.run(
        ["setsid", "-w", op.program, "deploy", "--ssh-host", op.target,
         *args], cwd=op.dir)
    said = out + err
    missing = [part for part in wanted if part not in said]
    changed = hosts.differences(before, traces(host, PLACES))
    if not tap.is_((code, missing, changed[:5]), (1, [], []),
                   "refused: " + name):
        tap.diag(said[-2000:])
    return said


# ---- logging in --------------------------------------------------------------------

@contextlib.contextmanager
def known_hosts(network, edit):
    """The operator's known_hosts is another one for a while."""
    path = network.home + "/.ssh/known_hosts"
    with open(path) as f:
        was = f.read()
    with open(path, "w") as f:
        f.write(edit(was))
    yield
    with open(path, "w") as f:
        f.write(was)


def test_login(op, host, other):
    def swap(text):
        keys = dict(zip(host.host_keys, other.host_keys))
        for key, wrong in keys.items():
            text = text.replace(key, wrong)
        return text

    with known_hosts(op.network, swap):
        refused(op, host, "the host key has changed",
                host.address + ": the host key has changed", "ssh-keygen -R")
    with known_hosts(op.network, lambda text: ""):
        refused(op, host, "the host key is not known, and nobody can be asked",
                host.address + ": the host key is not known", "ssh-keyscan")
    keys = host.get("/root/.ssh/authorized_keys")
    host.put("/root/.ssh/authorized_keys", "# nobody\n", 0o600)
    refused(op, host, "no key is accepted", "root cannot log in",
            "id_ed25519", "ssh-copy-id")
    host.put("/root/.ssh/authorized_keys", keys, 0o600)
    host.add_user("eve", sudo=False)
    op.target = "eve@" + host.address
    refused(op, host, "neither root nor sudo", "eve is not root, and neither "
            "sudo nor doas lets eve run commands without a password")
    op.target = host.address
    op.target = host.address + ":2222"
    refused(op, host, "nobody listens there",
            host.address + ": cannot connect to port 2222: ",
            "Connection refused")
    op.target = host.address


# ---- the operator's side -------------------------------------------------------------

# settings, what is said
BAD = [
    ({"max_message_size": "lots"}, "chatmail.ini:4: max_message_size: "
     'expected a size in bytes, or such as 30M, got "lots"'),
    ({"mail_domain": "no domain"}, "chatmail.ini:3: mail_domain: "),
    ({"mail_domain": None}, "mail_domain"),
    ({"username_min_length": 12}, "username_min_length: expected at most"),
]


def test_ini(op, host):
    good = dict(op.settings)
    for settings, want in BAD:
        op.write(**settings)
        refused(op, host, "%s" % settings, want)
        op.settings = dict(good)
    op.write()
    refused(op, host, "no such chatmail.ini", "none.ini: No such file",
            args=["none.ini"])
    refused(op, host, "no pages in --www", "/nonexistent",
            args=["--www", "/nonexistent"])
    os.rename(op.dir + "/bin/static", op.dir + "/bin/away")
    refused(op, host, "no static program", "make static")
    os.rename(op.dir + "/bin/away", op.dir + "/bin/static")


def test_dns(op, host):
    names, good = op.network.names, dict(op.settings)
    op.write(mail_domain="chat.test", acme_email="x@example.org")
    said = refused(op, host, "no record at all",
                   "the DNS is not ready for chat.test",
                   "chat.test has no address: it needs an A record",
                   "--skip-dns-check")
    tap.is_(said.count("chat.test has no address"), 1, "said once")
    names.set("chat.test", A=[host.address])
    refused(op, host, "no names for the certificate",
            "this record is missing: mta-sts.chat.test.", "www.chat.test.",
            args=["--dns-server", names.bridge.address])
    names.update({"www.chat.test": {"CNAME": "chat.test"},
                  "mta-sts.chat.test": {"CNAME": "elsewhere.test"}})
    refused(op, host, "a name leads elsewhere",
            "this record is wrong: mta-sts.chat.test.")
    names.update({"mta-sts.chat.test": {"CNAME": "chat.test"}})
    code, out, err = op.deploy("--dry-run")
    tap.is_((code, "would change" in out), (0, True),
            "with all records it goes on")
    op.settings = good
    op.write()


# ---- the host ------------------------------------------------------------------------

def test_system(op, host):
    release = host.get("/usr/lib/os-release").decode()
    for version, name in ("11", "bullseye"), ("14", "forky"):
        host.put("/usr/lib/os-release", release.replace(
            'VERSION_ID="12"', 'VERSION_ID="%s"' % version).replace(
            "12 (bookworm)", "%s (%s)" % (version, name)))
        refused(op, host, "Debian " + version, "this is Debian GNU/Linux %s "
                "(%s); a relay needs Debian 12" % (version, name))
    host.put("/usr/lib/os-release", "ID=mystery\n")
    refused(op, host, "another system", "this is an unknown system")
    host.put("/usr/lib/os-release", release)


def test_settings_of_host(op, host):
    good = dict(op.settings)
    for settings, want in [
            ({"mtail_address": "192.0.2.7"}, "mtail_address: 192.0.2.7 is no "
             "address of this server"),
            ({"metrics_address": "1;2"}, "metrics_address: expected an IP "
             'address of this server, got "1;2"'),
            ({"mailboxes_dir": "/srv/a b"}, "mailboxes_dir: expected"),
            ({"mailboxes_dir": "srv/mail"}, "mailboxes_dir: expected")]:
        op.write(**settings)
        refused(op, host, "%s" % settings, want)
        op.settings = dict(good)
    op.write(mail_domain="chat.test", tls_external_cert_and_key=CERT)
    skip = ["--skip-dns-check"]
    refused(op, host, "no such certificate", "/etc/x/key.pem, which "
            "tls_external_cert_and_key names, is not on this server",
            args=skip)
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 " \
        "-nodes -days 300 -subj /CN=%s -keyout /etc/x/key.pem -out %s " \
        "-addext subjectAltName=DNS:%s 2>/dev/null"
    host.run("mkdir /etc/x; touch /etc/x/key.pem")
    refused(op, host, "a key alone", "/etc/x/cert.pem", args=skip)
    for name, path in ("chat.test", "/etc/x/cert.pem"), ("x", "/etc/x/other"):
        host.run(make % (name, path, name))
    refused(op, host, "the key of another certificate",
            "/etc/x/key.pem is not the key of /etc/x/cert.pem", args=skip)
    host.run(make % ("other.test", "/etc/x/cert.pem", "other.test"))
    run = op.steps("--dry-run", *skip)
    said = [s for s in run.steps if s["step"] == "certificate"][0]
    tap.like(said.get("warnings", ""), "/etc/x/cert.pem is for other.test, "
             "not for chat.test", "one for another name: a warning")
    op.settings = good
    op.write(tls_external_cert_and_key=None)


def test_ports(op, host):
    """The last, as they stay."""
    code, out, err = host.run(APT + "exim4-daemon-light busybox", timeout=300)
    tap.is_((code, host.inside(["systemctl", "is-active", "exim4"])[1]),
            (0, "active\n"), "exim4 runs")
    refused(op, host, "port 25 is taken", "port 25 is taken by exim4: stop it",
            "apt purge")
    host.run("busybox httpd -p 443")
    refused(op, host, "ports 25 and 443 are taken",
            "port 25 is taken by exim4; port 443 is taken by busybox: stop")


def test_disk(op, host):
    refused(op, host, "little space", " MB left; 700 MB are needed to install")


# ---- a relay that is there ---------------------------------------------------------------

def interrupted(op):
    """The operator's machine dies in the middle; what had begun goes on, and
    the next run waits for it and completes it. Returns that."""
    first = subprocess.Popen(
        op.network.command([op.program, "deploy", "--json", "--ssh-host",
                            op.target]), env=op.network.env(), cwd=op.dir,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in first.stdout:
        if '"step":"dovecot","result":"begins"' in line:
            break
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stdout.close()
    return op.steps()


def page(host):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(host.address, context=context,
                                             timeout=30)
    connection.request("GET", "/", headers={"Host": "_relay.test"})
    with contextlib.closing(connection):
        return connection.getresponse().status


def started(host):
    return {name: start for name, start in host.started().items()
            if not name.startswith("user@")}


def test_interrupted(op, host, run):
    if not tap.is_((run.code, run.end.get("end")), (0, "ok"),
                   "a run that lost its operator is completed by the next"):
        tap.diag(run)
        tap.done()
    tap.like(run.err, "waiting for the deploy that still runs here (pid ",
             "which waits for it")
    tap.is_(host.failed_units(), [], "nothing has failed")
    tap.is_(page(host), 200, "the pages are shown")
    tap.is_(host.run("ls /var/lib/chatmail/deploy")[1], "",
            "both have cleared away")
    tap.is_(op.steps().end.get("changes"), 0, "all is done")


# what is done to the host, settings, who refuses, what is said
CHECKERS = [
    ("", {"max_imap_connections": 99999999999}, "dovecot",
     "Number too large"),
    ("mv /etc/nginx/mime.types /root; mkdir /etc/nginx/mime.types",
     {"max_message_size": "22M"}, "nginx", "mime.types"),
    ("groupmod -n other postdrop", {"max_message_size": "23M"}, "postfix",
     "unknown group name: postdrop"),
]
UNDO = "[ ! -d /etc/nginx/mime.types ] || { rmdir /etc/nginx/mime.types; " \
    "mv /root/mime.types /etc/nginx; }; groupmod -n postdrop other"


def test_checkers(op, host):
    good = dict(op.settings)
    for todo, settings, who, what in CHECKERS:
        host.run(todo)
        op.write(**settings)
        services = started(host)
        refused(op, host, "%s does not like %s" % (who, settings),
                who + ": the new configuration is not right, the old one "
                "stays: ", what)
        tap.is_(started(host), services, "nothing is restarted")
        tap.is_(page(host), 200, "the pages are still shown")
        host.run(UNDO)
        op.settings = dict(good)
    op.write()
    tap.is_(op.steps().end.get("changes"), 0, "with the old settings, no change")


DROP_IN = "/etc/systemd/system/lastlogin.service.d/x.conf"


def test_failed_service(op, host):
    """It does not start with the new files; then the old ones come back."""
    host.put(DROP_IN, "[Service]\nExecStartPre=/bin/false\n")
    op.write(metrics_address="127.0.0.1", mailboxes_dir="/srv/mail")
    run = op.steps()
    tap.is_((run.code, list(run.told(result="failed")), run.end.get("end")),
            (1, ["lastlogin"], "failed"), "a service does not start")
    said = run.told(result="failed").get("lastlogin", [])
    tap.like("\n".join(said), "the last lines of its log:", "the log is shown")
    op.write(metrics_address=None, mailboxes_dir=None)
    host.run("rm -r " + os.path.dirname(DROP_IN))
    run = op.steps()
    if not tap.is_((run.code, run.end.get("end")), (0, "ok"),
                   "it starts with the old settings again"):
        tap.diag(run)
    tap.is_(host.failed_units(), [], "nothing has failed")
    tap.is_(host.run("systemctl show -p NeedDaemonReload '*' | grep yes")[1],
            "", "systemd knows the files that are there")
    tap.is_(op.steps().end.get("changes"), 0, "all is done")


def test_full(op, host):
    """A relay without much space can still be told to keep less."""
    host.fill(leave=200 << 20)
    op.write(delete_mails_after=5)
    run = op.steps()
    if not tap.is_((run.code, run.end.get("end")), (0, "ok"),
                   "a change with 200 MB left"):
        tap.diag(run)
    host.empty()
    host.fill(leave=20 << 20)
    op.write(delete_mails_after=4)
    refused(op, host, "a change with 20 MB left", " MB left; 700 MB are "
            "needed to install a relay, and 64 MB to change one")
    host.empty()


def main():
    why = deploying.skip_reason()
    if why:
        tap.skip_all(why)
    with hosts.Network() as network:
        bare = network.host("bare.test")
        small = network.host("small.test", disk="300M")
        relay = network.host("relay.test", disk="1500M")
        network.start_hosts(bare, small, relay)
        ops = [Operator(network, h, mail_domain="_relay.test")
               for h in (bare, small, relay)]
        result = []
        deploys = threading.Thread(
            target=lambda: result.append(interrupted(ops[2])))
        deploys.start()
        for test, *args in [
                (test_login, ops[0], bare, small), (test_ini, ops[0], bare),
                (test_dns, ops[0], bare), (test_system, ops[0], bare),
                (test_settings_of_host, ops[0], bare),
                (test_disk, ops[1], small), (test_ports, ops[0], bare)]:
            began = time.monotonic()
            test(*args)
            tap.diag("%s: %.1f s" % (test.__name__, time.monotonic() - began))
        deploys.join()
        test_interrupted(ops[2], relay, *result)
        for test in test_checkers, test_failed_service, test_full:
            began = time.monotonic()
            test(ops[2], relay)
            tap.diag("%s: %.1f s" % (test.__name__, time.monotonic() - began))
    tap.done()


main()
