#!/usr/bin/env python3
"""A relay where OpenRC is the init: the static program, copied there alone, makes
it one; what runs, as whom, and who may connect; each service comes back when it
is killed or when the host has started again, jobs run by cron's entries, and no
mail is lost meanwhile."""
import contextlib
import json
import os
import re
import smtplib
import socket
import ssl
import sys
import tempfile
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
import deltachat
from deploying import Steps, traces
from dictclient import wait_for
from relay import Relay, context
from smtptest import encrypted

SUITE = "bookworm-openrc"
DOMAIN = "_relay.test"
INI = """[params]
mail_domain = %s
max_load_1m = 1000
max_user_send_per_minute = 6000
max_user_send_burst_size = 6000
metrics_address = 127.0.0.1
""" % DOMAIN
# role, user, group, value that it is as nice as
ROLES = [("doveauth", "vmail", "vmail", 0), ("lastlogin", "vmail", "vmail", 0),
         ("chatmail-metadata", "vmail", "vmail", 0),
         ("chatmail-dkim", "opendkim", "opendkim", 0),
         ("filtermail", "vmail", "vmail", 0),
         ("filtermail-incoming", "vmail", "vmail", 0),
         ("chatmail-newemail", "chatmail-newemail", "www-data", 0),
         ("chatmail-metrics", "vmail", "vmail", 5)]
NAMES = [r[0] for r in ROLES]
SERVERS = ["unbound", "dovecot", "postfix", "nginx"]
# socket, who may connect: as under systemd
SOCKETS = [
    ("/run/doveauth/doveauth.socket", {"root", "vmail"}),
    ("/run/chatmail-lastlogin/lastlogin.socket", {"root", "vmail"}),
    ("/run/chatmail-metadata/metadata.socket", {"root", "vmail"}),
    ("/var/spool/postfix/opendkim/opendkim.sock",
     {"root", "opendkim", "postfix"}),
    ("/run/chatmail-newemail/newemail.socket",
     {"root", "www-data", "chatmail-newemail"}),
    ("/run/chatmail-metrics/metrics.socket", {"root", "www-data"}),
]
USERS = ["root", "vmail", "opendkim", "postfix", "www-data", "nobody",
         "dovecot", "chatmail-newemail"]


class Tests:
    def __init__(self, network, host):
        self.host = host
        self.relay = Relay(network, host, DOMAIN, None, None)

    # ---- the host

    def sh(self, text, check=True):
        """What a shell command on the host prints."""
        code, out, err = self.host.inside(["sh", "-c", text])
        if check and code:
            raise RuntimeError("%s: %d\n%s%s" % (text, code, out, err))
        return out.strip()

    def deploy(self, *options):
        return Steps(*self.host.inside(
            ["/root/chatmail", "deploy", "--local", "--json", *options,
             "/root/chatmail.ini"], timeout=900))

    def status(self):
        """(problems but for what only the machine can change, {name: state})"""
        code, out, err = self.host.inside(["/root/chatmail", "status",
                                           "--local", "--json"])
        found = json.loads(out) if out else {}
        if not found or (code == 0) != found["ok"]:
            raise RuntimeError("exit code %d, %s" % (code, err))
        return [p for p in found["problems"] if "fs.inotify" not in p], \
            {s["name"]: s for s in found["services"]}

    def pids(self):
        return {name: s["pid"] for name, s in self.status()[1].items()
                if s.get("pid")}

    def until_well(self, name, secs=120):
        if not tap.ok(wait_for(lambda: not self.status()[0], secs, .3), name):
            tap.diag(self.status()[0], self.sh("tail -n 20 /run/chatmail-log/"
                                               "messages", check=False))

    # ---- setting it up

    def test_deploy(self):
        with open(deploying.STATIC, "rb") as f:
            self.host.put("/root/chatmail", f.read(), 0o755)
        self.host.put("/root/chatmail.ini", INI)
        self.host.use_unbound()
        began = time.monotonic()
        run = self.deploy()
        if not tap.is_((run.code, run.end.get("end")), (0, "ok"),
                       "a host with OpenRC is deployed"):
            tap.diag(run)
            tap.done()
        tap.diag("deployed in %.1f s" % (time.monotonic() - began))
        problems, services = self.status()
        tap.is_(problems, [], "status: all is well")
        tap.is_([n for n in NAMES + SERVERS + ["cron", "syslog"]
                 if services.get(n, {}).get("state") != "running" or
                 not services[n]["at_boot"]], [], "all run, also after a boot")
        tap.ok("systemd-journald" not in services, "systemd is not missed")
        tap.is_(self.sh("stat -c '%a %U' /run/chatmail-log; "
                        "grep -c . /run/chatmail-log/messages > /dev/null && "
                        "echo in memory"), "750 root\nin memory",
                "the log is in memory, for root alone")

    def test_again(self):
        before, pids = traces(self.host), self.pids()
        run = self.deploy()
        if not tap.is_((run.code, run.end.get("changes")), (0, 0),
                       "a second run has nothing to change"):
            tap.diag(run)
        tap.is_(hosts.differences(before, traces(self.host)), [],
                "and changes nothing")
        tap.is_(self.pids(), pids, "and restarts nothing")

    # ---- as whom

    def test_users(self):
        most = min(524288, int(self.sh("ulimit -H -n")))
        for name, pid in sorted(self.pids().items()):
            found = [r for r in ROLES if r[0] == name]
            if not found:
                continue
            _, user, group, nice = found[0]
            tap.is_(self.sh("ps -o user:20=,group:20=,ni= -p %d" % pid)
                    .split(), [user, group, str(nice)], name + ": its user")
            text = self.sh("cat /proc/%d/status /proc/%d/limits" % (pid, pid))
            tap.is_((re.search(r"CapEff:\s*(\S+)", text)[1].strip("0"),
                     re.search(r"NoNewPrivs:\s*(\S+)", text)[1],
                     int(re.search(r"Max open files\s+(\d+)", text)[1])),
                    ("", "1", most),
                    name + ": no capability, none to come, many open files")

    def test_sockets(self):
        ids = {u: self.sh("id -u %s; id -G %s" % (u, u)).split()
               for u in USERS}
        for name, want in SOCKETS:
            may = {user for user, (uid, *groups) in ids.items()
                   if self.may_connect(name, int(uid), [int(g) for g in
                                                        groups])}
            tap.is_(may, want, name + ": who may connect")

    def may_connect(self, name, uid, groups):
        root = os.open("/proc/%d/root" % self.host.leader(),
                       os.O_RDONLY | os.O_DIRECTORY)
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

    def test_metrics(self):
        text = self.sh("curl -s http://127.0.0.1:3905/metrics || "
                       "chatmail metrics")
        down = re.findall(r'chatmail_role_up\{role="(\S+)"\} 0', text)
        tap.ok("chatmail_connections" in text and not down,
               "metrics gets at the figures of all roles")

    # ---- users

    def https(self, method, path):
        """(status, body)"""
        with socket.create_connection((self.host.address, 443), 60) as s, \
                context().wrap_socket(s, server_hostname=DOMAIN) as t:
            t.sendall(("%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n"
                       "Connection: close\r\n\r\n" % (method, path, DOMAIN))
                      .encode())
            got = b""
            while chunk := t.recv(65536):
                got += chunk
        head, _, body = got.partition(b"\r\n\r\n")
        if b"chunked" in head:
            body = re.sub(rb"(?m)^[0-9a-f]+\r\n", b"", body)
        return int(head.split()[1]), body.decode(errors="replace")

    def new_account(self):
        status, text = self.https("POST", "/new")
        made = json.loads(text[text.index("{"):text.rindex("}") + 1])
        return made["email"], made["password"]

    def start_chat(self, core):
        def login(name):
            email, password = self.new_account()
            account = core.account()
            account.set_config(displayname=name)
            return account.login(deltachat.dclogin(
                email, password, 993, 465, self.host.address))

        self.alice, self.bob = login("Alice"), login("Bob")
        self.chat = self.bob.join(self.alice.invite())
        self.say("hello")

    def say(self, text):
        self.bob.send(self.chat, text)
        try:
            message = self.alice.wait_message(text)
        except deltachat.Timeout:
            tap.diag(self.sh("postqueue -p; grep -aE 'status=|fatal|warning' "
                             "/run/chatmail-log/messages | tail -n 40",
                             check=False))
            raise
        tap.ok(message["showPadlock"], "Bob's \"%s\" gets to Alice" % text)
        self.alice.send(message["chatId"], text + " to you")
        tap.ok(self.bob.wait_message(text + " to you")["showPadlock"],
               "and hers to Bob")

    # ---- nothing is lost

    def test_restarts(self):
        """Mail is sent while what checks it is restarted, and killed."""
        addr, password = self.addr, self.password = self.new_account()
        with self.relay.imap(addr, password):
            pass
        sent, odd, done = [], [], threading.Event()

        def send():
            n = 0
            while not done.is_set():
                n += 1
                text = encrypted(addr, addr, 200, "X-Number: %d\r\n" % n)
                try:
                    self.relay.submit(addr, password, [addr], text)
                    sent.append(n)
                except (smtplib.SMTPResponseException,
                        smtplib.SMTPRecipientsRefused) as e:
                    code = getattr(e, "smtp_code", None) or \
                        e.recipients[addr][0]
                    if not 400 <= code < 500:
                        odd.append("%d: %s" % (n, e))
                except (smtplib.SMTPServerDisconnected, OSError):
                    pass        # the message is still the sender's

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        for role in "filtermail", "chatmail-dkim", "doveauth", "lastlogin", \
                "chatmail-metadata":
            had = len(sent)
            self.sh("rc-service --nocolor %s restart" % role)
            wait_for(lambda: len(sent) > had, 60)
        for role in "filtermail", "chatmail-dkim", "doveauth":
            had = len(sent)
            self.sh("kill -9 %d" % self.pids()[role])
            wait_for(lambda: len(sent) > had, 60)
        done.set()
        sender.join()
        tap.is_(odd, [], "a restart refuses mail for the moment at most")
        tap.ok(len(sent) >= 8, "mail goes on (%d messages)" % len(sent))
        got = []

        def arrived():
            # what was put off meanwhile is tried again at once
            self.sh("postqueue -f")
            with contextlib.suppress(OSError), \
                    self.relay.imap(addr, password) as m:
                m.select()
                data = m.uid("FETCH", "1:*", "BODY.PEEK[HEADER.FIELDS "
                                             "(X-Number)]")[1]
                got[:] = sorted(int(found[1]) for d in data
                                if isinstance(d, tuple) and
                                (found := re.search(rb"(\d+)", d[1])))
            return set(got) >= set(sent)

        tap.ok(wait_for(arrived, 120, .2), "all that was accepted arrives")
        tap.is_(sorted(set(sent) - set(got)), [], "none is lost")

    def test_kill(self):
        before = self.pids()
        for name in NAMES + SERVERS:
            self.sh("kill -9 %d" % before[name])

        def back():
            now = self.pids()
            return all(now.get(n, before[n]) != before[n]
                       for n in NAMES + SERVERS) and \
                not self.status()[0] and self.relay.may_login(
                    self.addr, self.password) is True

        tap.ok(wait_for(back, 120, .3), "all that is killed comes back")
        services = self.status()[1]
        tap.is_([n for n in NAMES + SERVERS if services[n]["restarts"] < 1],
                [], "and is counted")
        self.say("after the massacre")

    def test_supervisor(self):
        """Then nobody is there to start it again."""
        self.sh("kill -9 $(cat /run/supervise-lastlogin.pid)")
        problems = self.status()[0]
        tap.ok(any(p.startswith("lastlogin failed") and "supervisor" in p
                   for p in problems), "status: a supervisor has died")
        run = self.deploy()
        tap.is_((run.code, run.told("activate")),
                (0, {"lastlogin": ["reset, start"]}), "deploy mends it")
        tap.ok(wait_for(lambda: self.sh("pgrep -c -f '[c]hatmail lastlogin'",
                                        check=False) == "1", 30),
               "which runs once")

    def test_fails(self):
        """What does not start says why, from the log."""
        self.host.put("/etc/chatmail/chatmail.ini",
                      INI.replace("= 1000", "= x"))
        code, out, err = self.host.inside(
            ["rc-service", "--nocolor", "lastlogin", "restart"])
        tap.like(out + err, "does not answer yet", "a role that cannot start")
        run = self.deploy()
        tap.is_(run.code, 0, "deploy, with the right settings")
        self.until_well("and all is well")
        # a port that somebody else has
        before = self.host.get("/etc/init.d/filtermail").decode()
        self.sh("rc-service filtermail stop; "
                "sed -i 's/^role=.*/role=\"filtermail \\/nothing outgoing\"/' "
                "/etc/init.d/filtermail; cp /bin/true /tmp")
        run = self.deploy("--stages", "activate")
        tap.is_(run.code, 1, "deploy tells what does not start")
        said = "\n".join(run.told(result="failed").get("filtermail", []))
        tap.like(said, "it does not answer", "that it does not answer")
        tap.like(said, "/nothing", "and the last lines of its log")
        self.host.put("/etc/init.d/filtermail", before, 0o755)
        tap.is_(self.deploy().code, 0, "and mends it when it can")
        self.until_well("all is well again")

    # ---- changes

    def test_settings(self):
        before = self.pids()
        self.host.put("/root/chatmail.ini", INI.replace("= 1000", "= 999"))
        run = self.deploy()
        tap.is_((run.code, run.told("activate")),
                (0, {"doveauth": ["restart"]}), "a setting of doveauth's")
        now = self.pids()
        tap.is_(sorted(n for n in now if now[n] != before.get(n)),
                ["doveauth"], "restarts doveauth alone")
        self.host.put("/root/chatmail.ini", INI.replace(
            "metrics_address = 127.0.0.1\n", ""))
        run = self.deploy()
        tap.is_(run.told("activate").get("chatmail-metrics"),
                ["stop, disable"], "a role without use ends")
        tap.is_(self.sh("pgrep -f '[c]hatmail metrics'", check=False), "",
                "really")

    def test_jobs(self):
        lines = {}
        for name in "chatmail-expire", "chatmail-fsreport", "chatmail-log":
            text = self.host.get("/etc/cron.d/" + name).decode()
            lines[name] = [re.match(r"[\d*/]+ [\d*/]+ \* \* \* root (.*)", x)
                           for x in text.splitlines() if x[:1] != "#"]
            tap.ok(lines[name] and all(lines[name]), name + ": cron's entry")
        tap.ok(not self.host.exists("/etc/cron.d/chatmail-acme"),
               "none for what the relay does without")
        for name in "chatmail-expire", "chatmail-fsreport":
            self.sh(lines[name][0][1] + " </dev/null")
            job = self.status()[1][name]
            tap.between(job["last_run"], time.time() - 3600, time.time() + 5,
                        name + ": status knows when it ran")
        tap.like(self.sh("cat /run/chatmail-log/messages"),
                 "chatmail-fsreport[", "its report is in the log")
        self.sh("chatmail job chatmail-expire vmail expire --nonsense "
                "</dev/null", check=False)
        tap.ok(any(p.startswith("chatmail-expire failed when it ran") and
                   "(exit code 2)" in p for p in self.status()[0]),
               "status: a job has failed")
        self.sh(lines["chatmail-expire"][0][1] + " </dev/null")
        self.until_well("and not the next time")
        for command in lines["chatmail-log"]:
            self.sh(command[1], check=False)
        tap.is_(self.sh("ls /run/chatmail-log"), "messages.0",
                "the log begins a new file each day")
        # what is said in that second may be in the old one
        tap.ok(wait_for(lambda: "configuration read again" in self.sh(
            "rc-service doveauth reload; sleep 1; "
            "cat /run/chatmail-log/messages", check=False), 60, 1),
            "and goes on")

    def shown(self, port, otherwise):
        """A certificate; the other one when none is shown just now."""
        try:
            return self.relay.certificate(port)
        except OSError:
            return otherwise

    def test_certificate(self):
        """One that others renew, as the entry of cron looks for it."""
        entry = "chatmail job tls-cert-reload root acme --reload " \
            "/etc/chatmail/chatmail.ini </dev/null"
        self.sh(entry)
        before, pids = self.relay.certificate(443), self.pids()
        self.sh("cd /etc/ssl && cp -p certs/mailserver.pem "
                "private/mailserver.key /root && openssl req "
                "-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
                "-days 9 -subj /CN=x -addext subjectAltName=DNS:%s -keyout "
                "private/new -out certs/mailserver.pem 2>/dev/null" % DOMAIN)
        code = self.host.inside(["sh", "-c", entry])[0]
        tap.is_((code, self.relay.certificate(443) == before), (1, True),
                "a certificate whose key is not there yet is not used")
        self.sh("mv /etc/ssl/private/new /etc/ssl/private/mailserver.key")
        self.sh(entry)
        for port in 443, 993, 465, 25:
            tap.ok(wait_for(lambda: self.shown(port, before) != before, 60,
                            .2), "port %d has the new one" % port)
        tap.is_(self.pids(), pids, "and nothing was restarted")
        # it is not for all names, so that a deploy would make another
        self.sh("mv /root/mailserver.pem /etc/ssl/certs; "
                "mv /root/mailserver.key /etc/ssl/private; " + entry)

    def test_reboot(self):
        began = time.monotonic()
        self.host.reboot()
        tap.diag("up again after %.1f s" % (time.monotonic() - began))
        self.until_well("all is well after a reboot")
        run = self.deploy()
        if not tap.is_(run.end.get("changes"), 0, "nothing is to change"):
            tap.diag(run)
        self.say("after the reboot")


def main():
    if not os.path.exists(deploying.STATIC):
        tap.skip_all("no build/static/chatmail: make static")
    why = hosts.skip_reason(SUITE)
    if why:
        tap.skip_all(why)
    try:
        program = deltachat.find_program()
    except deltachat.Missing as e:
        tap.skip_all(e)
    with tempfile.TemporaryDirectory() as d, \
            hosts.Network(acme=False) as network:
        host = network.host("relay.test", suite=SUITE).start()
        t = Tests(network, host)
        t.test_deploy()
        with deltachat.Core(program, d) as core:
            for test in [
                    t.test_again, t.test_users, t.test_sockets,
                    t.test_metrics, lambda: t.start_chat(core),
                    t.test_restarts, t.test_kill, t.test_supervisor,
                    t.test_fails, t.test_settings, t.test_jobs,
                    t.test_certificate, t.test_reboot]:
                began = time.monotonic()
                test()
                tap.diag("%s: %.1f s" % (test.__name__,
                                         time.monotonic() - began))
    tap.done()


main()
