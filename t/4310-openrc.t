#!/usr/bin/env python3
"""OpenRC's scripts and cron's entries do what systemd's units do: each unit of ours
has its counterpart, with the same command, as the same user with the same groups,
on the same socket for the same others, within the same limits."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import tap

TOP = os.path.join(HERE, "..")
CHATMAIL = os.path.abspath(os.environ.get("CHATMAIL", "build/chatmail"))
INI = """[params]
mail_domain = chat.example.org
metrics_address = 127.0.0.1
tls_external_cert_and_key = /etc/x/full.pem /etc/x/key.pem
mailboxes_dir = /srv/mail
vmail_user = postman
filtermail_smtp_port = 11080
filtermail_smtp_port_incoming = 11081
"""
# Why a unit has no counterpart.
ALONE = {"mtail.service": "it reads systemd's journal; deploy refuses it"}
# A command that is another, as it speaks with systemd.
OTHER = {"tls-cert-reload": "acme --reload /etc/chatmail/chatmail.ini"}
# where cron looks every few minutes, systemd waits for a change
TIMES = {"tls-cert-reload": "*/5 *"}
# Scripts of ours in the place of packages', for systems that have no systemd.
PACKAGES = ["coturn", "dovecot", "nginx", "postfix", "unbound"]
# what a script sets; and what it depends on
VALUES = ["role", "user", "groups", "address", "owner", "run_dir",
          "open_files", "score", "nice", "respawn_delay", "respawn_max",
          "command", "command_args", "command_user", "supervisor", "pidfile"]
SHOW = """
RC_SVCNAME=$(basename "$1"); export RC_SVCNAME
after() { echo "after $*"; }; before() { echo "before $*"; }
use() { echo "use $*"; }; need() { echo "need $*"; }; provide() { :; }
. "$1"
for name in %s; do eval "echo \\"$name=\\$$name\\""; done
depend
""" % " ".join(VALUES)


def run(*command):
    p = subprocess.run(command, stdout=subprocess.PIPE, text=True,
                       stderr=subprocess.STDOUT)
    return p.returncode, p.stdout


def render(kind):
    top = tempfile.mkdtemp(prefix="chatmail-", dir="/tmp")
    with open(top + "/chatmail.ini", "w") as f:
        f.write(INI)
    code, said = run(CHATMAIL, "sandbox", top, "--server", "--system", kind)
    tap.is_((code, said), (0, ""), kind + ": renders without a word")
    return top


def read(path):
    with open(path) as f:
        return f.read()


def unit(path):
    """{name: [values]}, of all sections."""
    found = {}
    for line in read(path).splitlines():
        if "=" in line and line[0] not in "#;":
            name, value = line.split("=", 1)
            found.setdefault(name, []).append(value)
    return found


def script(top, name):
    """{variable: value}, with the words after and use of depend()."""
    path = "%s/openrc/init.d/%s" % (top, name)
    text = read(path).replace("/usr/local/lib/chatmail/openrc.sh",
                              top + "/openrc/openrc.sh")
    copy = "%s/scripts/%s" % (top, name)
    os.makedirs(top + "/scripts", exist_ok=True)
    with open(copy, "w") as f:
        f.write(text)
    code, said = run("sh", "-c", SHOW, "sh", copy)
    found = {"after": []}
    for line in said.splitlines():
        m = re.match(r"(after|use|need) (.*)", line)
        if m:
            found["after"] += m[2].split()
        elif "=" in line:
            key, value = line.split("=", 1)
            found[key] = value
    if code or set(VALUES) - set(found):
        tap.diag(said)
    return found


def one(values, name, default=""):
    return values.get(name, [default])[-1]


# ---- roles: a service with a socket, or one that just runs

def check_role(top, name, service):
    where = "%s: " % name
    if not tap.ok(os.path.exists("%s/openrc/init.d/%s" % (top, name)),
                  where + "has a script of OpenRC"):
        return
    have = script(top, name)
    socket = "%s/systemd/%s.socket" % (top, name)
    listens = unit(socket) if os.path.exists(socket) else {}
    command = one(service, "ExecStart")
    group = one(service, "Group")
    groups = [group] + one(service, "SupplementaryGroups").split()
    if have.get("role"):
        program, _, rest = command.partition(" ")
        tap.is_((have["command"], have["role"]), (program, rest),
                where + "its command")
        tap.is_((have["user"], sorted(have["groups"].split(","))),
                (one(service, "User"), sorted(groups)),
                where + "its user and groups")
        tap.is_(have["groups"].split(",")[0], group, where + "the first group")
        tap.is_(have["address"], one(listens, "ListenStream", "-"),
                where + "where it listens")
        owner = "%s:%s" % (one(listens, "SocketUser"),
                           one(listens, "SocketGroup"))
        tap.is_(have["owner"], owner if owner != ":" else "-",
                where + "who may connect")
        tap.is_(have["command_args"].split()[:2], ["hold", name],
                where + "its socket is held")
    else:
        tap.is_(have["command"] + " " + have["command_args"], command,
                where + "its command")
        tap.is_(have["command_user"], "%s:%s" % (one(service, "User"), group),
                where + "its user")
    runtime = one(service, "RuntimeDirectory")
    tap.is_(have["run_dir"], "/run/" + runtime if runtime else "",
            where + "its directory")
    for ours, theirs in ("open_files", "LimitNOFILE"), \
            ("score", "OOMScoreAdjust"), ("nice", "Nice"):
        tap.is_(have[ours], one(service, theirs), where + theirs)
    tap.is_((have["supervisor"], have["respawn_max"]),
            ("supervise-daemon", "0"), where + "comes back when it dies")


# ---- jobs: a service that a timer or a path starts

def check_job(top, name, service):
    where = "%s: " % name
    path = "%s/openrc/cron/%s" % (top, name)
    if not tap.ok(os.path.exists(path), where + "has an entry of cron"):
        return
    lines = [x for x in read(path).splitlines() if x[:1] != "#"]
    found = re.fullmatch(r"(\S+ \S+) \* \* \* (nice -n (\d+) ionice -c 3 )?"
                         r"(\S+) job (\S+) (\S+) (.*)", "\n".join(lines))
    if not tap.ok(found, where + "one entry"):
        tap.diag(lines)
        return
    program, _, rest = one(service, "ExecStart").partition(" ")
    tap.is_((found[5], found[6]), (name, one(service, "User")),
            where + "its name and user")
    if name in OTHER:
        tap.is_(found[7], OTHER[name], where + "its command")
    else:
        tap.is_((found[4], found[7]), (program, rest), where + "its command")
    tap.is_(found[3] or "", one(service, "Nice"), where + "how nice it is")
    timer = "%s/systemd/%s.timer" % (top, name)
    when = one(unit(timer), "OnCalendar") if os.path.exists(timer) else ""
    if name in TIMES:
        tap.is_(found[1], TIMES[name], where + "when")
    elif os.path.exists(timer) and "RandomizedDelaySec" in unit(timer):
        minute, hour = map(int, found[1].split())
        tap.ok(0 <= minute < 60 and 0 <= hour < 20, where + "when")
    else:
        m = re.fullmatch(r"\*-\*-\* (\d\d):(\d\d):00", when)
        tap.is_(found[1], "%d %d" % (int(m[2]), int(m[1])), where + "when")


# ---- packages' services

def check_package(top, name):
    where = "%s: " % name
    have = script(top, name)
    folder = "postfix@-" if name == "postfix" else name
    drop = "%s/systemd/%s.service.d/10-chatmail.conf" % (top, folder)
    values = unit(drop) if os.path.exists(drop) else {}
    if "LimitNOFILE" in values:
        tap.is_(have["open_files"], one(values, "LimitNOFILE"),
                where + "LimitNOFILE")
    if "RestartSec" in values:
        tap.is_(have["respawn_delay"], one(values, "RestartSec"),
                where + "RestartSec")
    for line in values.get("ExecStartPre", []):
        tap.like(read("%s/openrc/init.d/%s" % (top, name)),
                 line.replace("/bin/", ""), where + "what is done before")
    missing = [w for w in one(values, "After").split()
               if w.endswith(".service") and
               w[:-len(".service")] not in have["after"]]
    tap.is_(missing, [], where + "what it stops before")
    tap.is_((have["supervisor"], have["respawn_max"]),
            ("supervise-daemon", "0"), where + "comes back when it dies")


def moments(top):
    """When certificates are renewed, for some domains."""
    found = []
    for domain in "chat.example.org", "nine.example.org", "chat.example.org":
        with open(top + "/chatmail.ini", "w") as f:
            f.write("[params]\nmail_domain = %s\n" % domain)
        run(CHATMAIL, "sandbox", top, "--server", "--system", "debian/openrc")
        found.append(read(top + "/openrc/cron/chatmail-acme").splitlines()[-1]
                     .split()[:2])
    return found


def main():
    for kind in "debian/openrc", "alpine/openrc":
        top = render(kind)
        if kind.startswith("alpine"):
            # the units, as they would be there
            for path in glob.glob(top + "/systemd/*"):
                if os.path.isfile(path):
                    text = read(path).replace("www-data", "nginx")
                    with open(path, "w") as f:
                        f.write(text)
        for path in glob.glob(top + "/openrc/*.sh") + \
                glob.glob(top + "/openrc/init.d/*"):
            tap.is_(run("sh", "-n", path), (0, ""), "%s: %s is a script" % (
                kind, os.path.basename(path)))
        names = set()
        for path in sorted(glob.glob(top + "/systemd/*.service")):
            file = os.path.basename(path)
            name = file[:-len(".service")]
            if file in ALONE:
                tap.skip(file, ALONE[file])
            elif any(os.path.exists("%s/systemd/%s.%s" % (top, name, kind))
                     for kind in ("timer", "path")):
                check_job(top, name, unit(path))
                names.add(name)
            else:
                check_role(top, name, unit(path))
                names.add(name)
        for name in PACKAGES:
            check_package(top, name)
        tap.is_(sorted(set(os.listdir(top + "/openrc/init.d")) - names),
                PACKAGES, kind + ": no script without a unit")
        tap.is_(sorted(set(os.listdir(top + "/openrc/cron")) - names),
                ["chatmail-log"], kind + ": no entry without a unit")
        shutil.rmtree(top)

    top = render("debian/openrc")
    first, other, again = moments(top)
    tap.is_(first == again, True, "a certificate is renewed at one time")
    tap.ok(first != other, "that of another relay at another")
    # does this find anything?
    path = top + "/openrc/init.d/doveauth"
    with open(path, "a") as f:
        f.write("open_files=7\n")
    tap.is_(script(top, "doveauth")["open_files"], "7",
            "what a script sets is seen")
    shutil.rmtree(top)
    tap.done()


main()
