#!/usr/bin/env python3
"""A bare server becomes a relay by "chatmail deploy": what users find there, that
a second run changes nothing, and another just what it has to."""
import contextlib
import http.client
import json
import os
import re
import socket
import ssl
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
import deltachat
from deploying import Operator, Steps, traces

DOMAIN = "_relay.test"
SERVERS = ["unbound", "dovecot", "postfix", "nginx"]
ROLES = ["doveauth", "lastlogin", "chatmail-metadata", "chatmail-dkim",
         "filtermail", "filtermail-incoming", "chatmail-newemail"]
FILTERS = {"filtermail": "restart", "filtermail-incoming": "restart"}
BOTH = {**FILTERS, "nginx": "reload"}


def good(result, name):
    """A run went well; returns what it printed."""
    code, out, err = result
    if not tap.ok(code == 0, name):
        tap.diag("exit code %d\n%s\n%s" % (code, out[-3000:], err[-2000:]))
    return out


def unchanged(before, after, name):
    lines = hosts.differences(before, after)
    if not tap.ok(lines == [], name):
        tap.diag("\n".join(lines[:30]))


def running(host):
    """{service: (start, process)} of all that run."""
    return {name[:-len(".service")]: (unit["InvocationID"], unit["MainPID"])
            for name, unit in host.services().items()
            if unit["ActiveState"] == "active"}


def restarted(before, after):
    return sorted(name for name in {*before, *after}
                  if before.get(name) != after.get(name))


# ---- a bare host ------------------------------------------------------------------

def test_dry_run(op, host):
    before = traces(host)
    out = good(op.deploy("--dry-run"), "dry run on a bare host")
    for part in ("would change install    packages", " postfix",
                 "- /etc/postfix/main.cf new", "+mail_domain = " + DOMAIN,
                 "--- /etc/nginx/nginx.conf", "would change something"):
        tap.like(out, part, "says: " + part)
    tap.ok("\n{" not in out, "nothing in JSON")
    unchanged(before, traces(host), "and changes nothing")
    run = op.steps("--dry-run")
    tap.is_((run.code, run.end.get("end")), (0, "ok"), "dry run with --json")
    tap.like(run.end.get("diff", ""), "+++ /etc/postfix/main.cf",
             "the differences are a string of the last line")


def test_deploy(op, host):
    began = time.monotonic()
    run = op.steps()
    took = time.monotonic() - began
    if not tap.is_((run.code, run.end.get("end")), (0, "ok"),
                   "a bare host is deployed"):
        tap.diag(run)
        tap.done()
    for s in sorted(run.steps, key=lambda s: -s["seconds"])[:12]:
        tap.diag("%-10s %-20s %5.1f s" % (s["stage"], s["step"], s["seconds"]))
    tap.diag("in all %.1f s" % took)
    services = host.services()
    for name in SERVERS + ROLES:
        tap.is_(services.get(name + ".service", {}).get("ActiveState"),
                "active", name + " runs")
    tap.is_(host.failed_units(), [], "nothing has failed")
    tap.ok(not host.exists("/usr/sbin/policy-rc.d"),
           "packages may start services again")
    tap.ok(not host.exists("/var/lib/chatmail/deploy/chatmail"),
           "the program is there once")
    tap.is_(host.run("ls /var/lib/chatmail/deploy")[1], "",
            "nothing is left of what was brought")


# ---- what users find -----------------------------------------------------------------

def tls(host, port, alpn=()):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    s = socket.create_connection((host.address, port), 30)
    return context.wrap_socket(s, server_hostname=DOMAIN)


def https(host, method, path, name=DOMAIN):
    """(status, body) of a request to the relay of that name."""
    connection = http.client.HTTPSConnection(host.address)
    connection.sock = tls(host, 443)
    connection.request(method, path, headers={"Host": name})
    answer = connection.getresponse()
    with contextlib.closing(connection):
        return answer.status, answer.read().decode(errors="replace")


def test_pages(op, host):
    for path, want in ("/", DOMAIN), ("/info.html", "About " + DOMAIN), \
            ("/privacy.html", "Privacy"), ("/main.css", "@media"), \
            ("/.well-known/mta-sts.txt", "STSv1"), \
            ("/.well-known/autoconfig/mail/config-v1.1.xml", DOMAIN):
        status, text = https(host, "GET", path)
        tap.ok(status == 200 and want in text, "GET " + path)
    tap.is_(https(host, "GET", "/nothing")[0], 404, "GET /nothing")
    connection = http.client.HTTPConnection(host.address, 80, timeout=30)
    connection.request("GET", "/", headers={"Host": DOMAIN})
    tap.is_(connection.getresponse().status, 301, "HTTP leads to HTTPS")
    for alpn, want in ("imap", b"* OK"), ("smtp", b"220 "):
        with tls(host, 443, [alpn]) as s:
            tap.is_(s.recv(4), want, "port 443, ALPN " + alpn)


def login(host, core, name):
    status, text = https(host, "POST", "/new")
    made = json.loads(text) if status == 200 else {}
    tap.like(made.get("email", ""), "@" + DOMAIN, "POST /new")
    account = core.account()
    account.set_config(displayname=name)
    return account.login(deltachat.dclogin(
        made["email"], made["password"], 993, 465, host.address))


def test_chat(op, host):
    try:
        program = deltachat.find_program()
    except deltachat.Missing as e:
        return tap.skip("two accounts chat", e)
    with tempfile.TemporaryDirectory() as d, \
            deltachat.Core(program, d) as core:
        alice, bob = (login(host, core, name) for name in ("Alice", "Bob"))
        chat = bob.join(alice.invite())
        bob.send(chat, "hello from the test")
        message = alice.wait_message("hello from the test")
        tap.ok(message["showPadlock"], "Bob's message gets to Alice, encrypted")
        alice.send(message["chatId"], "and back")
        tap.ok(bob.wait_message("and back")["showPadlock"], "and hers to Bob")


def test_status(op, host):
    code, out, err = op.chatmail("status", "--ssh-host", host.address)
    if not tap.is_(code, 0, "chatmail status: all is well"):
        tap.diag(out + err)
    tap.like(out, "Accounts     2", "it knows of both accounts")
    level = {}
    for unit in ROLES + ["chatmail-expire", "chatmail-fsreport"]:
        said = host.inside(["systemd-analyze", "security", "--no-pager",
                            unit])[1]
        found = re.search(r"Overall exposure level.*: ([\d.]+) ", said)
        level[unit] = float(found[1]) if found else None
    tap.is_({u: n for u, n in level.items() if not n or n > 2}, {},
            "units of ours are exposed to 2.0 at most")


def test_timer(op, host):
    """As after the first night."""
    drop = "/etc/systemd/system/chatmail-expire.timer.d/x.conf"
    host.put(drop, "[Timer]\nOnActiveSec=0\n")
    host.run("systemctl daemon-reload; systemctl restart chatmail-expire.timer")
    code = host.run("for i in $(seq 100); do systemctl show --value -p "
                    "LastTriggerUSec chatmail-expire.timer | grep . && exit; "
                    "sleep .1; done; exit 1")[0]
    tap.is_(code, 0, "a timer has run its job")
    host.run("rm -r %s; systemctl daemon-reload" % os.path.dirname(drop))
    code, out, err = op.chatmail("status", "--ssh-host", host.address)
    tap.is_((code, err), (0, ""), "chatmail status knows when")


# ---- the second run, and others -------------------------------------------------------

def nothing_to_do(op, host, name, *args):
    files, services = traces(host), running(host)
    out = good(op.deploy(*args), name)
    tap.like(out, "Nothing to change", "says that there is nothing to change")
    unchanged(files, traces(host), "and changes nothing")
    tap.is_(restarted(services, running(host)), [], "and restarts nothing")
    return out


def test_again(op, host):
    out = nothing_to_do(op, host, "a second run")
    tap.ok("\033" not in out and "\r" not in out,
           "to a pipe: no colours, no moving about")
    for gone in "opendkim", "echobot", "mta-sts-daemon", "iroh-relay":
        tap.ok(not re.search(r"activate +%s " % gone, out),
               "nothing is said of %s, which is not there" % gone)


# setting, value, what happens to which service; all is restarted that has to be,
# and nothing else
SETTINGS = [
    ("max_user_send_per_minute", 61, FILTERS),
    ("max_load_1m", 999, {"doveauth": "restart"}),
    ("privacy_mail", "mail@example.org", {"dovecot": "restart"}),
    ("max_message_size", "20M", {
        **FILTERS, "dovecot": "restart", "postfix": "restart",
        "nginx": "reload"}),
    ("metrics_address", "127.0.0.1", {
        "chatmail-metrics": "enable, start anew, start", "nginx": "reload"}),
    ("metrics_address", None, {
        "chatmail-metrics": "stop, disable", "nginx": "reload"}),
    ("imap_notify_delay", 500, {"dovecot": "restart"}),
    ("imap_notify_delay", None, {"dovecot": "restart"}),
    ("delete_mails_after", 21, {}),
    ("notification_url", "http://127.0.0.1:9/notify",
     {"chatmail-metadata": "restart"}),
]


def test_settings(op, host):
    for name, value, want in SETTINGS:
        before = running(host)
        op.write(**{name: value})
        run = op.steps()
        what = "%s = %s" % (name, value)
        got = {step: ", ".join(lines) for step, lines in
               run.told("activate").items() if step != "units"}
        if not tap.is_((run.code, got), (0, want), what):
            tap.diag(run)
        names = {n for n, how in want.items() if how != "reload"}
        names |= {"postfix@-"} & {n + "@-" for n in names}
        tap.is_(restarted(before, running(host)), sorted(names),
                what + ": what is restarted")
    tap.is_(host.run("find /etc/systemd/system -xtype l -not -lname "
                     "/dev/null")[1], "", "what is gone starts at no boot")
    nothing_to_do(op, host, "and all is done")


def test_website_only(op, host):
    before, services = traces(host), running(host)
    op.write(privacy_postal="Somewhere 12", delete_mails_after=22)
    run = op.steps("--website-only")
    tap.is_((run.code, sorted(run.told())), (0, ["files"]), "--website-only")
    changed = [line.split()[1] for line in
               hosts.differences(before, traces(host))]
    tap.ok(changed and all(p.startswith("/var/www/html/") for p in changed),
           "changes pages alone")
    tap.is_(restarted(services, running(host)), [], "and restarts nothing")
    tap.like(https(host, "GET", "/privacy.html")[1], "Somewhere 12",
             "the page has changed")
    run = op.steps()
    tap.is_((run.code, run.told("configure").get("files")),
            (0, ["/etc/chatmail/chatmail.ini changed"]),
            "the rest is done by a whole run")


def test_disable_mail(op, host):
    before = running(host)
    run = op.steps("--disable-mail")
    tap.is_((run.code, run.told("activate")),
            (0, {"dovecot": ["stop, disable"], "postfix": ["stop, disable"]}),
            "--disable-mail")
    tap.is_(restarted(before, running(host)),
            ["dovecot", "postfix", "postfix@-"], "both are stopped")
    tap.is_(op.steps("--disable-mail").end.get("changes"), 0,
            "which is done once")
    with contextlib.suppress(OSError):
        socket.create_connection((host.address, 25), 5).close()
        tap.ok(False, "port 25 is closed")
    run = op.steps()
    tap.is_((run.code, run.told("activate")),
            (0, {"dovecot": ["enable, start"], "postfix": ["enable, start"]}),
            "a usual run starts them")
    tap.ok({"dovecot", "postfix", "postfix@-"} <= set(running(host)),
           "both run")


def test_stages(op, host):
    before = running(host)
    op.write(max_user_send_per_minute=59)
    run = op.steps("--stages", "configure")
    tap.is_((run.code, sorted(run.told())), (0, ["files"]),
            "--stages configure")
    tap.is_(restarted(before, running(host)), [], "restarts nothing")
    run = op.steps("--stages", "activate")
    tap.is_((run.code, run.told()), (0, {n: ["restart"] for n in FILTERS}),
            "--stages activate restarts what has changed")
    tap.is_(restarted(before, running(host)), sorted(FILTERS), "really")
    run = op.steps(env={"CMDEPLOY_STAGES": "install,configure,activate"})
    tap.is_((run.code, run.end.get("changes")), (0, 0), "all is done then")
    tap.is_(op.deploy("--stages", "instal")[0], 2, "a wrong stage is refused")


def test_dry_run_again(op, host):
    op.write(max_user_send_burst_size=11, max_message_size="21M")
    before, services = traces(host), running(host)
    out = good(op.deploy("--dry-run"), "dry run of a change")
    tap.like(out, "-message_size_limit = ", "shows the line before")
    tap.like(out, "+message_size_limit = ", "and after")
    for name in FILTERS:
        tap.ok(re.search(r"would change +activate +%s .*\n +- restart" % name,
                         out), "says that it would restart " + name)
    unchanged(before, traces(host), "changes nothing")
    tap.is_(restarted(services, running(host)), [], "restarts nothing")
    tap.is_(op.steps().end.get("end"), "ok", "the run itself")


def test_local(op, host):
    files, services = traces(host), running(host)
    run = Steps(*host.run("cd /etc/chatmail && chatmail deploy --local "
                          "--json"))
    if not tap.is_((run.code, run.end.get("changes")), (0, 0),
                   "--local on the host itself"):
        tap.diag(run)
    unchanged(files, traces(host), "changes nothing")
    tap.is_(restarted(services, running(host)), [], "restarts nothing")


def test_cmdeploy(op, host):
    os.symlink("chatmail", op.dir + "/bin/cmdeploy")
    code, out, err = op.network.run(
        [op.dir + "/bin/cmdeploy", "run", "--config", op.ini, "--ssh-host",
         op.target], cwd="/")
    tap.is_((code, "Nothing to change" in out), (0, True), "cmdeploy run")
    code, out, err = op.network.run(
        [op.dir + "/bin/cmdeploy", "status", "--config", op.ini, "--ssh-host",
         op.target], cwd="/")
    tap.is_((code, "postfix" in out), (0, True), "cmdeploy status")


def test_users(op, host):
    host.add_user("ada")
    host.add_user("dora", sudo=False)
    good(host.run("apt-get -qq install -y --no-install-recommends opendoas"),
         "doas is installed")
    host.put("/etc/doas.conf", "permit nopass dora\n", 0o400)
    for name, how in ("ada", "sudo"), ("dora", "doas"):
        op.target = "%s@%s" % (name, host.address)
        nothing_to_do(op, host, "a user with " + how)
    op.target = host.address


def test_terminal(op, host):
    """script(1) gives it one."""
    line = " ".join([op.program, "deploy", "--ssh-host", op.target])
    for env, colour in ({"TERM": "xterm"}, True), \
            ({"TERM": "xterm", "NO_COLOR": "1"}, False), \
            ({"TERM": "dumb"}, False):
        out = good(op.network.run(["script", "-qec", line, "/dev/null"],
                                  cwd=op.dir, env=env), "on a terminal")
        name = " ".join("%s=%s" % item for item in env.items())
        tap.is_("\033[32m" in out or "\033[2m" in out, colour,
                name + ": colours")
        tap.is_("\r\033[K  ...        configure  nginx" in out,
                env["TERM"] != "dumb", name + ": a live list")


TESTS = [test_dry_run, test_deploy, test_pages, test_chat, test_status,
         test_timer, test_again, test_settings, test_website_only,
         test_disable_mail, test_stages, test_dry_run_again, test_local,
         test_cmdeploy, test_terminal, test_users]


def main():
    why = deploying.skip_reason()
    if why:
        tap.skip_all(why)
    with hosts.Network(acme=False) as network:
        host = network.host("relay.test").start()
        op = Operator(network, host, mail_domain=DOMAIN)
        for test in TESTS:
            began = time.monotonic()
            test(op, host)
            tap.diag("%s: %.1f s" % (test.__name__, time.monotonic() - began))
    tap.done()


main()
