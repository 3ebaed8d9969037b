#!/usr/bin/env python3
"""The units on a Debian host with systemd: each does its work as confined as it
is, is restarted without a login or a mail being lost, and comes back when it
is killed; and "chatmail status" sees all of that."""
import contextlib
import ctypes
import glob
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "host")]
import tap

try:
    import hosts
except ImportError:
    tap.skip_all("there are no test hosts")
import dkimtest
from dictclient import DictClient, wait_for
from milterclient import MilterClient
from smtptest import Client, Sink, encrypted, plain

CHATMAIL = os.path.abspath(os.environ.get("CHATMAIL", "build/chatmail"))
DOMAIN = "_chat.test"
INI = """[params]
mail_domain = %s
metrics_address = 127.0.0.1
max_load_1m = 9999
min_available_memory = 0
min_free_disk_space = 1M
notification_url = http://%s:%d/notify
"""
MAIL = "/home/vmail/mail/" + DOMAIN
TURN_SECRET = "for-the-test-" + "k3" * 10
PACKAGES = ["postfix", "dovecot-core", "dovecot-imapd", "dovecot-lmtpd",
            "nginx-light", "unbound", "dns-root-data", "coturn"]
# service, user, has it a network?
ROLES = [("doveauth", "vmail", False), ("lastlogin", "vmail", False),
         ("chatmail-metadata", "vmail", True),
         ("chatmail-dkim", "opendkim", True), ("filtermail", "vmail", True),
         ("filtermail-incoming", "vmail", True),
         ("chatmail-newemail", "chatmail-newemail", False),
         ("chatmail-turn", "chatmail-turn", False),
         ("chatmail-metrics", "vmail", False)]
# socket, who may connect
SOCKETS = [
    ("/run/doveauth/doveauth.socket", {"root", "vmail"}),
    ("/run/chatmail-lastlogin/lastlogin.socket", {"root", "vmail"}),
    ("/run/chatmail-metadata/metadata.socket", {"root", "vmail"}),
    ("/var/spool/postfix/opendkim/opendkim.sock",
     {"root", "opendkim", "postfix"}),
    ("/run/chatmail-newemail/newemail.socket",
     {"root", "www-data", "chatmail-newemail"}),
    ("/run/chatmail-turn/turn.socket", {"root", "vmail", "chatmail-turn"}),
    ("/run/chatmail-metrics/metrics.socket", {"root", "www-data"}),
]
USERS = ["root", "vmail", "opendkim", "postfix", "www-data", "nobody",
         "dovecot", "chatmail-newemail", "chatmail-turn"]


class Notifier:
    """In the notification server's place."""

    def __init__(self, address):
        self.tokens = tokens = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                size = int(self.headers["Content-Length"])
                tokens.append(self.rfile.read(size).decode())
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()


# ---- the host -----------------------------------------------------------------

host = None


def sh(text, check=True):
    """What a shell command on the host prints."""
    code, out, err = host.inside(["sh", "-c", text])
    if check and code:
        raise RuntimeError("%s: %d\n%s%s" % (text, code, out, err))
    return out.strip()


def path(name):
    """A file of the host, seen from here; its /run too."""
    return "/proc/%d/root%s" % (host.leader(), name)


@contextlib.contextmanager
def host_network():
    """What makes a socket in this block makes it on the host."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(file):
        with open(file) as f:
            if libc.setns(f.fileno(), 0x40000000) != 0:     # CLONE_NEWNET
                raise OSError(ctypes.get_errno(), "setns " + file)

    with open("/proc/thread-self/ns/net") as own:
        enter("/proc/%d/ns/net" % host.leader())
        try:
            yield
        finally:
            enter("/proc/self/fd/%d" % own.fileno())


def show(unit, *names):
    """Properties of a unit as strings."""
    out = sh("systemctl show -p %s '%s'" % (",".join(names), unit))
    found = dict(line.split("=", 1) for line in out.splitlines() if line)
    return [found.get(n, "") for n in names]


def is_active(unit):
    return show(unit, "ActiveState") == ["active"]


def libraries():
    """Debian's packages that the program needs."""
    found = subprocess.run(["ldd", CHATMAIL], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True).stdout
    files = [os.path.realpath(f) for f in re.findall(r"=> (/\S+)", found)]
    if not files:
        return []           # it is static
    said = subprocess.run(["dpkg", "-S", *files], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True).stdout
    # metadata loads curl when it needs it
    return sorted({line.split(":")[0] for line in said.splitlines()} |
                  {"libcurl4"})


def put_tree(source, target):
    for where, _, files in os.walk(source):
        for name in files:
            with open(os.path.join(where, name), "rb") as f:
                host.put(os.path.join(target, os.path.relpath(where, source),
                                      name), f.read())


def set_up(ini):
    """What deploying does, by hand."""
    host.use_unbound()
    sh("printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; "
       "chmod 755 /usr/sbin/policy-rc.d; "
       "echo postfix postfix/main_mailer_type select No configuration | "
       "debconf-set-selections; DEBIAN_FRONTEND=noninteractive apt-get -qq "
       "install -y --no-install-recommends %s; rm /usr/sbin/policy-rc.d" %
       " ".join(PACKAGES + libraries()))
    for user in "vmail", "opendkim", "chatmail-newemail", "chatmail-turn":
        sh("adduser --quiet --system --group --no-create-home --home "
           "/nonexistent " + user)
    sh("adduser --quiet postfix opendkim; mkdir -p %s /var/lib/acme "
       "/var/lib/uacme /var/www/acme; chown vmail:vmail %s; chmod 700 %s" %
       (MAIL, MAIL, MAIL))
    with open(CHATMAIL, "rb") as f:
        host.put("/usr/local/bin/chatmail", f.read(), 0o755)
    host.put("/etc/chatmail/chatmail.ini", ini)
    host.put("/etc/chatmail-turn/secret", TURN_SECRET)
    sh("chown -R chatmail-turn: /etc/chatmail-turn; "
       "chmod 700 /etc/chatmail-turn")
    sh("chatmail dkim --genkey /etc/dkimkeys %s; "
       "chown -R opendkim: /etc/dkimkeys" % DOMAIN)
    sh("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
       "-days 300 -subj /CN=x -addext subjectAltName=DNS:%s "
       "-keyout /etc/ssl/private/mailserver.key "
       "-out /etc/ssl/certs/mailserver.pem 2>/dev/null" % DOMAIN)
    render(ini)


def render(ini):
    """The relay's files, as systemd, Postfix and Dovecot find them."""
    top = tempfile.mkdtemp(prefix="chatmail-")
    with open(top + "/chatmail.ini", "w") as f:
        f.write(ini)
    subprocess.run([CHATMAIL, "sandbox", top, "--server"], check=True)
    put_tree(top + "/systemd", "/etc/systemd/system")
    put_tree(top + "/postfix", "/etc/postfix")
    put_tree(top + "/dovecot", "/etc/dovecot")
    with open(top + "/coturn/turnserver.conf") as f:
        host.put("/etc/turnserver.conf", f.read().replace(
            "static-auth-secret=", "static-auth-secret=" + TURN_SECRET))
    shutil.rmtree(top)
    if "san" in CHATMAIL.split(os.sep)[-2]:
        # the leak sanitizer traces the process, which no unit may
        for name, *_ in ROLES + [("chatmail-expire",), ("chatmail-fsreport",)]:
            host.put("/etc/systemd/system/%s.service.d/san.conf" % name,
                     "[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n")
    sh("systemctl daemon-reload")


# ---- do they run, and as what? ---------------------------------------------------

def test_start():
    for name, *_ in ROLES:
        sh("systemctl enable --quiet %s.socket %s; "
           "systemctl start %s.socket && systemctl start %s" % ((name,) * 4))
    sh("systemctl enable --quiet --now chatmail-expire.timer "
       "chatmail-fsreport.timer; systemctl enable --quiet postfix dovecot "
       "nginx unbound coturn; systemctl restart unbound dovecot postfix nginx "
       "coturn")
    for name, *_ in ROLES:
        tap.ok(is_active(name) and is_active(name + ".socket"),
               name + " runs")
    tap.is_(host.failed_units(), [], "nothing has failed")


def status_of(pid):
    with open("/proc/%s/root/proc/%s/status" % (host.leader(), pid)) as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f
                    if ":\t" in line)


def open_files_max(pid):
    """The soft and the hard limit."""
    line = sh("grep 'open files' /proc/%s/limits" % pid)
    return [int(n) for n in line.split()[3:5]]


def test_confined():
    # a container may not give more than it has
    most = min(524288, open_files_max(1)[1])
    for name, user, has_network in ROLES:
        pid = show(name, "MainPID")[0]
        s = status_of(pid)
        tap.is_(sh("stat -c %%U /proc/%s" % pid), user, name + ": its user")
        tap.is_((int(s["CapEff"], 16), int(s["CapBnd"], 16), s["NoNewPrivs"],
                 s["Seccomp"]), (0, 0, "1", "2"),
                name + ": no capability, system calls filtered")
        tap.is_(open_files_max(pid), [most] * 2, name + ": many open files")
        links = sh("readlink /proc/1/ns/net /proc/%s/ns/net" % pid).split()
        tap.is_(links[0] == links[1], has_network, name + ": network")
        level = sh("systemd-analyze security --no-pager %s | tail -1" % name)
        found = re.search(r": ([\d.]+) ", level)
        tap.ok(found and float(found[1]) <= 2., name + ": exposure " +
               (found[1] if found else "unknown"))


def test_sockets():
    ids = {u: sh("id -u %s; id -G %s" % (u, u)).split() for u in USERS}
    for name, want in SOCKETS:
        may = set()
        for user, (uid, *groups) in ids.items():
            if may_connect(name, int(uid), [int(g) for g in groups]):
                may.add(user)
        tap.is_(may, want, name + ": who may connect")


def may_connect(name, uid, groups):
    """In a child with that user's rights, inside the host's root."""
    root = os.open(path("/"), os.O_RDONLY | os.O_DIRECTORY)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.fchdir(root)
            os.chroot(".")
            os.setgroups(groups)
            os.setgid(groups[0])
            os.setuid(uid)
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(name)
            code = 0
        except OSError:
            pass
        finally:
            os._exit(code)
    os.close(root)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# ---- do they do their work? -------------------------------------------------------

ALICE = "alice2345@" + DOMAIN


def dict_client(name):
    return DictClient(path({
        "doveauth": "/run/doveauth/doveauth.socket",
        "lastlogin": "/run/chatmail-lastlogin/lastlogin.socket",
        "chatmail-metadata": "/run/chatmail-metadata/metadata.socket",
    }[name]))


def test_accounts():
    with dict_client("doveauth") as c:
        letter, value = c.lookup('shared/passdb/secretpw9"' + ALICE, ALICE)
        tap.is_((letter, json.loads(value or "{}").get("uid")),
                ("O", "vmail"), "doveauth makes an account")
        tap.is_(c.lookup("shared/userdb/nobody23@" + DOMAIN, "")[0], "N",
                "doveauth knows who is not there")
        names = [key for key, _ in c.iterate("shared/userdb/")]
        tap.is_(names, ["shared/userdb/" + ALICE], "doveauth lists users")
    tap.is_(sh("stat -c '%%U %%a' %s/%s %s/%s/password" % (MAIL, ALICE, MAIL,
                                                          ALICE)),
            "vmail 700\nvmail 600", "the mailbox is vmail's alone")
    with dict_client("lastlogin") as c:
        reply = c.set_one(ALICE, "shared/last-login/" + ALICE, "1700000000")
        tap.is_(reply[0], "O", "lastlogin notes a login")
    tap.is_(sh("stat -c %%Y %s/%s/password" % (MAIL, ALICE)),
            str(1700000000 // 86400 * 86400), "it is noted by the day")


def test_limits():
    """The load decides on new accounts: doveauth has to see it."""
    was = host.get("/etc/chatmail/chatmail.ini").decode()
    host.put("/etc/chatmail/chatmail.ini",
             was.replace("max_load_1m = 9999", "max_load_1m = 0"))
    pid = show("doveauth", "MainPID")
    sh("systemctl reload doveauth")
    wait_for(lambda: "configuration read again" in host.journal("doveauth"))
    with open("/proc/loadavg") as f:
        idle = f.read().split()[0] == "0.00"
    with dict_client("doveauth") as c:
        reply = c.lookup('shared/passdb/secretpw9"bob234567@' + DOMAIN, "")[0]
    tap.is_(reply, "O" if idle else "N", "doveauth sees the load")
    tap.ok("ignoring unreadable" not in host.journal("doveauth"),
           "doveauth reads all it needs of /proc")
    tap.is_(show("doveauth", "MainPID"), pid, "a reload is no restart")
    host.put("/etc/chatmail/chatmail.ini", was)
    sh("systemctl reload doveauth")


def test_push(notifier):
    with dict_client("chatmail-metadata") as c:
        key = "priv/0123456789abcdef0123456789abcdef/"
        tap.is_(c.set_one(ALICE, key + "devicetoken", "token-1")[0], "O",
                "metadata stores a token")
        tap.is_(c.set_one(ALICE, key + "messagenew")[0], "O",
                "metadata takes a new message")
    tap.ok(wait_for(lambda: notifier.tokens == ["token-1"], 20),
           "the notification server has the token")
    tap.is_(sh("ls %s/pending_notifications" % MAIL), "", "nothing is left")


def smtp(port, sender, recipient, data):
    with host_network():
        client = Client(port)
    reply = client.message(sender, [recipient], data)
    client.close()
    return str(reply[-1] if isinstance(reply, list) else reply)


def test_filtermail():
    other = "x@other.test"
    # its ports are for a sink meanwhile
    sh("systemctl stop postfix postfix@-")
    with host_network():
        out, into = Sink(port=10025), Sink(port=10026)
    tap.like(smtp(10080, ALICE, other, encrypted(ALICE, other)), "250",
             "filtermail: encrypted mail leaves")
    tap.like(smtp(10080, ALICE, other, plain(ALICE, other)), "523",
             "filtermail: other mail does not")
    tap.like(smtp(10081, other, ALICE, plain(other, ALICE)), "523",
             "filtermail: other mail does not come in")
    sh("rm %s/%s/enforceE2EEincoming" % (MAIL, ALICE))
    tap.like(smtp(10081, other, ALICE, plain(other, ALICE)), "250",
             "filtermail: it sees the mailbox that takes other mail")
    tap.is_((len(out.messages), len(into.messages)), (1, 1),
            "filtermail: Postfix got both")
    out.stop()
    into.stop()
    sh("systemctl start postfix")


def test_dkim(network):
    message = b"\r\n".join([
        b"From: <x@other.test>", b"To: <y@b.test>", b"Subject: [...]",
        b"Date: Sat, 21 Nov 2026 08:00:00 +0000", b"Message-ID: <1@x>",
        b"", b"text", b""])
    key = dkimtest.RsaKey()
    network.names.set("sel._domainkey.other.test", TXT=[key.record()])
    signed = dkimtest.sign(message, key, "other.test")
    for name, raw, daemon, want in [
            ("verifies", signed, "VERIFYING", ("a",)),
            ("refuses", signed.replace(b"text", b"txet"), "VERIFYING", ("y",)),
            ("signs", message.replace(b"x@other.test", ALICE.encode()),
             "ORIGINATING", ("i",))]:
        with MilterClient(path("/var/spool/postfix/opendkim/opendkim.sock")
                          ) as m:
            m.connect(macros={"{daemon_name}": daemon})
            actions = m.message("<%s>" % ALICE, raw, macros={"i": "4Qx"})
        found = [a for a in actions if a[0] == want[0]]
        tap.ok(found, "dkim %s mail" % name)
        if not found:
            tap.diag(actions)


def scgi(sock, **headers):
    headers = {"CONTENT_LENGTH": "0", "SCGI": "1", **headers}
    block = b"".join(b"%s\0%s\0" % (k.encode(), v.encode())
                     for k, v in headers.items())
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(path(sock))
        s.sendall(b"%d:%s," % (len(block), block))
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
    return answer.decode().partition("\r\n\r\n")[2]


def test_web():
    text = scgi("/run/chatmail-newemail/newemail.socket",
                REQUEST_METHOD="POST")
    tap.ok(json.loads(text)["email"].endswith("@" + DOMAIN),
           "newemail thinks up an address")
    text = scgi("/run/chatmail-metrics/metrics.socket", REQUEST_METHOD="GET")
    up = dict(re.findall(r'chatmail_up\{role="([^"]+)"\} (\d)', text))
    tap.is_(up, dict.fromkeys(
        ["doveauth", "lastlogin", "metadata", "filtermail-outgoing",
         "filtermail-incoming", "dkim", "newemail", "turn"], "1"),
        "metrics reaches every role")
    tap.ok(wait_for(lambda: "chatmail_accounts" in scgi(
        "/run/chatmail-metrics/metrics.socket", REQUEST_METHOD="GET"), 20),
        "metrics has fsreport's figures")


# ---- restarts --------------------------------------------------------------------

def ask_doveauth():
    with dict_client("doveauth") as c:
        return c.lookup("shared/userdb/" + ALICE, ALICE)[0] == "O"


def ask_lastlogin():
    with dict_client("lastlogin") as c:
        return c.set_one(ALICE, "shared/last-login/" + ALICE,
                         str(int(time.time())))[0] == "O"


def ask_metadata():
    with dict_client("chatmail-metadata") as c:
        return c.lookup("shared/0123456789abcdef0123456789abcdef/vendor/"
                        "vendor.dovecot/pvt/server/vendor/deltachat/"
                        "maxsmtprecipients", ALICE) == ("O", "1000")


def ask_dkim():
    with MilterClient(path("/var/spool/postfix/opendkim/opendkim.sock")) as m:
        m.connect(macros={"{daemon_name}": "ORIGINATING"})
        return m.mail("<%s>" % ALICE) in (None, ("c",))


def ask_smtp(port):
    def ask():
        with host_network():
            client = Client(port)
        client.close()
        return True
    return ask


def ask_newemail():
    return "email" in scgi("/run/chatmail-newemail/newemail.socket",
                           REQUEST_METHOD="POST")


def ask_turn():
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(path("/run/chatmail-turn/turn.socket"))
        return s.recv(100).endswith(b"\n")


def ask_metrics():
    return "chatmail_up" in scgi("/run/chatmail-metrics/metrics.socket",
                                 REQUEST_METHOD="GET")


QUESTIONS = {
    "doveauth": ask_doveauth, "lastlogin": ask_lastlogin,
    "chatmail-metadata": ask_metadata, "chatmail-dkim": ask_dkim,
    "filtermail": ask_smtp(10080), "filtermail-incoming": ask_smtp(10081),
    "chatmail-newemail": ask_newemail, "chatmail-metrics": ask_metrics,
    "chatmail-turn": ask_turn,
}


class Askers:
    """Ask without pause, until the block ends."""

    def __init__(self, ask, count=3):
        self.ask, self.stopping = ask, False
        self.good, self.bad = 0, []
        self.threads = [threading.Thread(target=self._run)
                        for _ in range(count)]

    def _run(self):
        while not self.stopping:
            try:
                if self.ask():
                    self.good += 1
                else:
                    self.bad.append("a wrong answer")
            except Exception as e:
                self.bad.append(repr(e))

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        for t in self.threads:
            t.join()


def test_restarts():
    for name, *_ in ROLES:
        with Askers(QUESTIONS[name]) as asked:
            for _ in range(3):
                before = asked.good
                wait_for(lambda: asked.good > before + 3, 20)
                sh("systemctl restart " + name)
        tap.is_((asked.bad[:3], asked.good > 11), ([], True),
                "%s: restarted three times, and all are served" % name)


def test_kill():
    for name, *_ in ROLES:
        pid, restarts = show(name, "MainPID", "NRestarts")
        sh("kill -KILL " + pid)
        tap.ok(wait_for(lambda: is_active(name) and
                        show(name, "MainPID")[0] not in ("0", pid), 20),
               name + ": killed, and comes back")
        tap.is_(show(name, "NRestarts")[0], str(int(restarts) + 1),
                name + ": systemd counts it")
        tap.ok(QUESTIONS[name](), name + ": answers")


def test_bad_ini():
    """With a chatmail.ini that is wrong it does not start; when it is right
    again, those who waited are served."""
    was = host.get("/etc/chatmail/chatmail.ini").decode()
    host.put("/etc/chatmail/chatmail.ini", was.replace(DOMAIN, "no domain"))
    code, _, said = host.inside(["systemctl", "restart", "doveauth"])
    tap.ok(code != 0, "doveauth does not start with a wrong chatmail.ini")
    with Askers(ask_doveauth) as asked:
        time.sleep(4)
        tries = int(show("doveauth", "NRestarts")[0])
        tap.between(tries, 1, 4, "it is tried again, not too often")
        host.put("/root/good.ini", was)
        found = status("/root/good.ini")["problems"]
        if not tap.ok([p for p in found if p.startswith("doveauth ")],
                      "status tells of it"):
            tap.diag(found)
        host.put("/etc/chatmail/chatmail.ini", was)
        tap.ok(wait_for(lambda: asked.good > 3, 30), "it is right again")
    tap.is_(asked.bad[:3], [], "nobody was turned away meanwhile")


def test_servers():
    """Postfix's and Dovecot's masters are killed."""
    for unit, program in ("dovecot", "dovecot"), ("postfix@-", "master"):
        pid = show(unit, "MainPID")[0]
        tap.is_(sh("cat /proc/%s/comm" % pid), program,
                unit + ": systemd knows its process")
        sh("kill -KILL " + pid)
        tap.ok(wait_for(lambda: is_active(unit) and
                        show(unit, "MainPID")[0] not in ("0", pid), 30),
               unit + ": killed, and comes back")
        tap.is_(show(unit, "TasksMax", "OOMPolicy"), ["infinity", "continue"],
                unit + ": neither tasks nor one's memory limit it")
    tap.ok(wait_for(lambda: sh("postconf mail_version; postqueue -p"), 20),
           "Postfix answers")


# ---- jobs --------------------------------------------------------------------------

def test_jobs():
    sh("d=%s/%s/cur; mkdir -p $d; echo x > $d/1.a; touch -d '90 days ago' "
       "$d/1.a; echo y > $d/2.b; chown -R vmail: %s/%s" % (MAIL, ALICE, MAIL,
                                                          ALICE))
    sh("systemctl start chatmail-expire")
    tap.is_(sh("ls %s/%s/cur" % (MAIL, ALICE)), "2.b",
            "chatmail-expire deletes what is too old, and no more")
    tap.like(host.journal("chatmail-expire"), "Removed 0 out of",
             "and tells how much")
    sh("systemctl start chatmail-fsreport")
    tap.like(host.journal("chatmail-fsreport"), "Mailbox storage use",
             "chatmail-fsreport reports")
    for name, when in ("chatmail-expire", "00:02"), ("chatmail-fsreport",
                                                     "08:02"):
        following = show(name + ".timer", "NextElapseUSecRealtime")[0]
        tap.like(following, when, name + ": runs again at " + when)


def test_certificate():
    """It changes, and who uses it hears of it; root without capabilities can
    do that."""
    ini = host.get("/etc/chatmail/chatmail.ini").decode()
    render(ini + "tls_external_cert_and_key = /etc/x/cert.pem /etc/x/key.pem\n")
    sh("mkdir -p /etc/x; cp /etc/ssl/certs/mailserver.pem /etc/x/cert.pem; "
       "cp /etc/ssl/private/mailserver.key /etc/x/key.pem; "
       "systemctl restart dovecot; systemctl start tls-cert-reload.path")
    before = show("dovecot", "MainPID") + show("nginx", "MainPID")
    sh("cp /etc/x/cert.pem /etc/x/new; mv /etc/x/new /etc/x/cert.pem")
    tap.ok(wait_for(lambda: "Reloaded dovecot" in host.journal("dovecot"), 20),
           "Dovecot is reloaded when the certificate has changed")
    tap.ok(wait_for(lambda: "Reloaded nginx" in host.journal("nginx"), 20),
           "nginx as well")
    tap.is_(show("dovecot", "MainPID") + show("nginx", "MainPID"), before,
            "and none is restarted")
    tap.is_(host.failed_units(), [], "nothing has failed")
    sh("systemctl stop tls-cert-reload.path")
    render(ini)
    sh("systemctl restart dovecot")


def test_acme():
    """The room that its unit leaves to a client of the authority."""
    script = "; ".join([
        "set -e", "echo k > /var/lib/acme/key", "echo a > /var/www/acme/a",
        "systemctl reload nginx", "! touch /etc/y 2>/dev/null",
        "! ls /home/vmail 2>/dev/null", "grep -q 'CapEff:.*0000000000000000' "
        "/proc/self/status", "getent hosts ns.test > /dev/null",
        "exec openssl version > /dev/null"])
    host.put("/etc/systemd/system/chatmail-acme.service.d/test.conf",
             "[Service]\nExecStart=\nExecStart=/bin/sh -c \"%s\"\n" %
             script.replace('"', '\\"'))
    sh("systemctl daemon-reload")
    code, _, err = host.inside(["systemctl", "start", "chatmail-acme"])
    tap.is_(code, 0, "chatmail-acme: keys, answers, reloads, DNS; no more")
    if code:
        tap.diag(host.journal("chatmail-acme"))
    sh("rm -r /etc/systemd/system/chatmail-acme.service.d; "
       "systemctl daemon-reload")


# ---- what is said ---------------------------------------------------------------------

def test_journal():
    with dict_client("doveauth") as c:
        c.lookup("shared/nothing", "")
    tap.ok(wait_for(lambda: "malformed key" in host.journal("doveauth")),
           "a warning is logged")
    lines = [json.loads(line) for line in sh(
        "journalctl -u doveauth -o json --no-pager").splitlines()]
    found = {line["MESSAGE"]: (line["PRIORITY"], line["SYSLOG_IDENTIFIER"])
             for line in lines if isinstance(line.get("MESSAGE"), str)}
    tap.is_(found.get("lookup with a malformed key"), ("4", "doveauth"),
            "as a warning, without its <4>")
    tap.is_(found.get("ready"), ("6", "doveauth"), "and the rest as it is")


def status(*options):
    code, out, err = host.inside(["chatmail", "status", "--json", "--local",
                                 *options])
    found = json.loads(out)
    if (code == 0) != found["ok"] or err:
        raise RuntimeError("exit code %d, %r" % (code, err))
    return found


def problems(found):
    """But for what only the machine under the host can change."""
    return [p for p in found["problems"] if "fs.inotify" not in p]


def test_status():
    found = status()
    tap.is_(problems(found), [], "status: all is well")
    services = {s["name"]: s for s in found["services"]}
    for name, *_ in ROLES:
        s = services[name]
        tap.is_((s["state"], s["wanted"], s["at_boot"], s["pid"],
                 s["restarts"] >= 1, s["open_files"]["max"]),
                ("running", True, True, int(show(name, "MainPID")[0]), True,
                 open_files_max(s["pid"])[0]), "status: " + name)
    for name in "postfix", "dovecot", "nginx", "unbound":
        tap.is_(services[name]["state"], "running", "status: " + name)
    for name in "chatmail-expire", "chatmail-fsreport":
        tap.between(services[name]["last_run"], time.time() - 3600,
                    time.time() + 5, "status: when %s last ran" % name)
    tap.ok("chatmail-acme" not in services, "status: no service for no use")
    tap.is_(found["certificate"]["names"], [DOMAIN], "status: certificate")
    tap.between(found["certificate"]["days_left"], 298, 300,
                "status: its days")
    tap.is_(found["accounts"]["all"], len(glob.glob(path(MAIL) + "/*/password"
                                                    )), "status: accounts")
    tap.is_(found["accounts"]["today"] >= 1, True, "status: used today")
    tap.is_(found["queue"]["deferred"], 0, "status: the queue is empty")
    for name in "postfix", "dovecot", "nginx":
        package = name + ("-core" if name == "dovecot" else "")
        version = sh("dpkg-query -W -f '${Version}' " + package)
        tap.like(version, found["versions"][name], "status: version of " +
                 name)


# what is done to the host, the beginning of a problem, what undoes it
TROUBLES = [
    ("systemctl stop nginx", "nginx does not run: systemctl start nginx",
     "systemctl start nginx"),
    ("systemctl disable --quiet lastlogin",
     "lastlogin would not start at the next boot",
     "systemctl enable --quiet lastlogin"),
    ("systemctl stop lastlogin.socket lastlogin",
     "lastlogin.socket does not run", "systemctl start lastlogin.socket "
     "lastlogin"),
    ("echo x >> /etc/unbound/unbound.conf; systemctl restart unbound || :",
     "unbound ", "sed -i '$d' /etc/unbound/unbound.conf; "
     "systemctl reset-failed unbound; systemctl restart unbound"),
    ("printf '[Service]\\nExecStart=/bin/sleep 999\\n' > "
     "/etc/systemd/system/opendkim.service; systemctl daemon-reload; "
     "systemctl start opendkim", "opendkim of an earlier relay runs beside "
     "ours", "systemctl stop opendkim; rm "
     "/etc/systemd/system/opendkim.service; systemctl daemon-reload"),
    ("cp /usr/local/bin/chatmail /usr/local/bin/new; "
     "mv /usr/local/bin/new /usr/local/bin/chatmail",
     "doveauth runs a program that has been replaced",
     "for s in " + " ".join(r[0] for r in ROLES) + "; do "
     "systemctl restart $s; done"),
    ("touch /var/spool/postfix/hold/A1", "1 messages are on hold",
     "rm /var/spool/postfix/hold/A1"),
    ("mv /etc/ssl/certs/mailserver.pem /root", "/etc/ssl/certs/mailserver.pem"
     ": not a certificate", "mv /root/mailserver.pem /etc/ssl/certs"),
    ("touch /home/vmail/mail/keep; sed -i s/min_free_disk_space.*/"
     "min_free_disk_space=900000G/ /etc/chatmail/chatmail.ini",
     "no new accounts are made (free disk", "sed -i s/min_free_disk_space.*/"
     "min_free_disk_space=1M/ /etc/chatmail/chatmail.ini"),
    ("mkdir -p /etc/systemd/system/chatmail-expire.service.d; printf "
     "'[Service]\\nExecStart=\\nExecStart=/bin/false\\n' > "
     "/etc/systemd/system/chatmail-expire.service.d/x.conf; "
     "systemctl daemon-reload; systemctl start chatmail-expire || :",
     "chatmail-expire failed when it ran",
     "rm /etc/systemd/system/chatmail-expire.service.d/x.conf; "
     "systemctl daemon-reload; systemctl start chatmail-expire"),
]


def test_troubles():
    for todo, want, undo in TROUBLES:
        sh(todo)
        found = problems(status())
        tap.ok([p for p in found if p.startswith(want)], "status: " + want)
        sh(undo)
        ok = wait_for(lambda: problems(status()) == [], 20, .2)
        if not tap.ok(ok, "status: and it is well again"):
            tap.diag(problems(status()))
    code, out, _ = host.inside(["chatmail", "status", "--local"])
    tap.like(out, "Postfix", "status: as people read it")
    tap.ok("\033" not in out, "status: no colours but for a terminal")


def main():
    global host
    reason = hosts.skip_reason()
    if reason:
        tap.skip_all(reason)
    with hosts.Network(acme=False) as network:
        notifier = Notifier(network.address)
        host = network.host("chat.test", sync=False).start()
        set_up(INI % (DOMAIN, network.address, notifier.port))
        for test, *args in [
                (test_start,), (test_confined,), (test_sockets,),
                (test_accounts,), (test_limits,), (test_push, notifier),
                (test_filtermail,), (test_dkim, network), (test_web,),
                (test_restarts,), (test_kill,), (test_bad_ini,),
                (test_servers,), (test_jobs,), (test_certificate,),
                (test_acme,), (test_journal,), (test_status,),
                (test_troubles,)]:
            began = time.monotonic()
            test(*args)
            tap.diag("%s: %.1f s" % (test.__name__, time.monotonic() - began))
    tap.done()


main()
