#!/usr/bin/env python3
"""systemd's units render for every kind of relay, systemd has no complaint about
them, and each of ours is confined as far as its exposure level says."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "lib"))
import tap

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
CHATMAIL = os.path.abspath(os.environ.get("CHATMAIL", "build/chatmail"))
TEMPLATES = os.path.join(TOP, "conf-templates/systemd")
EXPOSURE_MAX = 2.0

# name, chatmail.ini
RELAYS = [
    ("acme", "mail_domain = chat.example.org"),
    ("self-signed", "mail_domain = _chat.example.org"),
    ("external certificate", "mail_domain = chat.example.org\n"
     "tls_external_cert_and_key = /etc/x/full.pem /etc/x/key.pem"),
    ("ipv4", "mail_domain = 192.0.2.7"),
    ("everything else", "mail_domain = chat.example.org\n"
     "mtail_address = 127.0.0.1\nmetrics_address = 127.0.0.1\n"
     "mailboxes_dir = /srv/mail\nvmail_user = postman\n"
     "filtermail_smtp_port = 11080\nfiltermail_smtp_port_incoming = 11081"),
]

# What a unit must do. relay, unit, line; a "!" before it: may not have it.
LINES = [
    ("acme", "doveauth.service", "User=vmail"),
    ("acme", "doveauth.service", "BindPaths=/home/vmail/mail/chat.example.org"),
    ("acme", "doveauth.service", "PrivateNetwork=yes"),
    # the load and the free memory decide on new accounts
    ("acme", "doveauth.service", "!ProcSubset=pid"),
    ("acme", "doveauth.socket",
     "ListenStream=/run/doveauth/doveauth.socket"),
    ("acme", "doveauth.socket", "SocketMode=0660"),
    ("acme", "lastlogin.socket",
     "ListenStream=/run/chatmail-lastlogin/lastlogin.socket"),
    ("acme", "lastlogin.service", "PrivateNetwork=yes"),
    ("acme", "chatmail-metadata.socket",
     "ListenStream=/run/chatmail-metadata/metadata.socket"),
    ("acme", "chatmail-metadata.service", "!PrivateNetwork=yes"),
    ("acme", "chatmail-metadata.service", "!IPAddressDeny=any"),
    ("acme", "chatmail-dkim.socket",
     "ListenStream=/var/spool/postfix/opendkim/opendkim.sock"),
    ("acme", "chatmail-dkim.service", "User=opendkim"),
    ("acme", "chatmail-dkim.service", "!PrivateNetwork=yes"),
    ("acme", "chatmail-dkim.service", "!IPAddressDeny=any"),
    ("acme", "chatmail-newemail.socket", "SocketGroup=www-data"),
    ("acme", "chatmail-newemail.service", "PrivateNetwork=yes"),
    ("acme", "chatmail-turn.socket",
     "ListenStream=/run/chatmail-turn/turn.socket"),
    ("acme", "chatmail-turn.socket", "SocketGroup=vmail"),
    ("everything else", "chatmail-turn.socket", "SocketGroup=postman"),
    ("acme", "chatmail-turn.service", "User=chatmail-turn"),
    ("acme", "chatmail-turn.service", "PrivateNetwork=yes"),
    ("acme", "coturn.service.d/10-chatmail.conf", "Restart=always"),
    ("acme", "coturn.service.d/10-chatmail.conf", "CapabilityBoundingSet="),
    ("acme", "coturn.service.d/10-chatmail.conf", "LogLevelMax=crit"),
    ("acme", "filtermail.socket", "ListenStream=127.0.0.1:10080"),
    ("acme", "filtermail-incoming.socket", "ListenStream=127.0.0.1:10081"),
    ("acme", "filtermail.service", "IPAddressAllow=localhost"),
    ("acme", "filtermail.service", "ProtectHome=yes"),
    ("acme", "filtermail-incoming.service",
     "BindReadOnlyPaths=/home/vmail/mail/chat.example.org"),
    ("acme", "chatmail-expire.timer", "OnCalendar=*-*-* 00:02:00"),
    ("acme", "chatmail-expire.timer", "Persistent=true"),
    ("acme", "chatmail-expire.service", "ExecStart=/usr/local/bin/chatmail "
     "expire /etc/chatmail/chatmail.ini --remove"),
    ("acme", "chatmail-fsreport.timer", "OnCalendar=*-*-* 08:02:00"),
    ("acme", "chatmail-fsreport.timer", "Persistent=true"),
    ("acme", "chatmail-acme.service",
     "ReadWritePaths=/var/lib/acme /var/lib/uacme /var/www/acme"),
    ("external certificate", "tls-cert-reload.path",
     "PathChanged=/etc/x/full.pem"),
    ("acme", "dovecot.service.d/10-chatmail.conf", "Restart=always"),
    ("acme", "dovecot.service.d/10-chatmail.conf",
     "ExecStartPre=/bin/rm -f /run/dovecot/anvil-auth-penalty"),
    ("acme", "nginx.service.d/10-chatmail.conf", "Restart=always"),
    ("acme", "postfix@-.service.d/10-chatmail.conf", "Restart=always"),
    ("acme", "postfix@-.service.d/10-chatmail.conf", "After="
     "filtermail.service filtermail-incoming.service chatmail-dkim.service"),
    # Debian 12's is a oneshot, which systemd refuses with "always"
    ("acme", "postfix.service.d/10-chatmail.conf", "Restart=on-failure"),
    ("acme", "iroh-relay.service", "User=iroh"),
    ("acme", "iroh-relay.service", "IPAddressAllow=localhost"),
    ("acme", "iroh-relay.service",
     "ConditionFileIsExecutable=/usr/local/bin/iroh-relay"),
    ("ipv4", "doveauth.service", "BindPaths=/home/vmail/mail/192.0.2.7"),
    ("everything else", "doveauth.service", "BindPaths=/srv/mail"),
    ("everything else", "doveauth.service", "User=postman"),
    ("everything else", "doveauth.socket", "SocketUser=postman"),
    ("everything else", "filtermail.socket", "ListenStream=127.0.0.1:11080"),
    ("everything else", "filtermail-incoming.socket",
     "ListenStream=127.0.0.1:11081"),
]

# These need it: systemd lets nobody else reload services, private keys are
# root's. README tells why.
ROOT = ["chatmail-acme.service", "tls-cert-reload.service"]
# The words that those who find a unit's own line missing would miss.
ALL_SERVICES = ["NoNewPrivileges=yes", "CapabilityBoundingSet=",
                "ProtectSystem=strict", "PrivateTmp=yes", "PrivateDevices=yes",
                "MemoryDenyWriteExecute=yes", "RestrictNamespaces=yes",
                "SystemCallFilter=@system-service"]


def run(*command):
    p = subprocess.run(command, stdout=subprocess.PIPE, text=True,
                       stderr=subprocess.STDOUT)
    return p.returncode, p.stdout


def units(folder, ending="*"):
    found = glob.glob(folder + "/*." + ending) + \
        glob.glob(folder + "/*.d/*." + ending)
    return sorted(os.path.relpath(f, folder) for f in found
                  if os.path.isfile(f))


def render(ini):
    """A tree like a host's, as far as systemd looks at it."""
    top = tempfile.mkdtemp(prefix="chatmail-", dir="/tmp")
    with open(os.path.join(top, "chatmail.ini"), "w") as f:
        f.write("[params]\n" + ini + "\n")
    code, said = run(CHATMAIL, "sandbox", top, "--server")
    root = os.path.join(top, "root")
    os.makedirs(root + "/etc/systemd")
    os.makedirs(root + "/lib")
    os.rename(top + "/systemd", root + "/etc/systemd/system")
    for program in ["usr/local/bin/chatmail", "bin/sh", "usr/bin/install",
                    "bin/systemctl"]:
        os.makedirs(os.path.dirname(os.path.join(root, program)),
                    exist_ok=True)
        with open(os.path.join(root, program), "w") as f:
            os.fchmod(f.fileno(), 0o755)
    return root, code, said


def lines(root, unit):
    with open(os.path.join(root, "etc/systemd/system", unit)) as f:
        return f.read().splitlines()


def verify(root, *names):
    """What systemd says about units; nothing when all is well."""
    code, said = run("systemd-analyze", "verify", "--man=no", "--root=" + root,
                     *(os.path.join(root, "etc/systemd/system", n)
                       for n in names))
    return code, said


def exposure(root, unit):
    code, said = run("systemd-analyze", "security", "--offline=yes",
                     "--no-pager", "--root=" + root, unit)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    if not found:
        tap.diag(said)
    return float(found[1]) if found else 10.


templates = units(TEMPLATES)
trees = {}
for name, ini in RELAYS:
    root, code, said = render(ini)
    trees[name] = root
    tap.is_((code, said), (0, ""), name + ": renders without a word")
    tap.is_(units(root + "/etc/systemd/system"), templates,
            name + ": every unit")
    text = "\n".join("\n".join(lines(root, u)) for u in templates)
    tap.ok(not re.search(r"\{\{|\{%|%\}", text), name + ": no tag is left")
for name, unit, want in LINES:
    there = want.lstrip("!") in lines(trees[name], unit)
    tap.is_(there, want[0] != "!", "%s: %s: %s" % (name, unit, want))

services = units(TEMPLATES, "service")
for unit in services:
    have = lines(trees["acme"], unit)
    user = [s[5:] for s in have if s.startswith("User=")]
    if "DynamicUser=yes" not in have:
        tap.is_(user == ["root"], unit in ROOT, unit + ": who it runs as")
    missing = [s for s in ALL_SERVICES if s not in have]
    tap.is_(missing, [], unit + ": is confined")
    socket = unit.replace(".service", ".socket")
    if socket in templates:
        tap.ok("Requires=" + socket in have and "After=" + socket in have,
               unit + ": starts with its socket")

if not shutil.which("systemd-analyze"):
    tap.skip("systemd's own checks", "systemd is not installed")
    tap.done()

plain = [u for u in templates if "/" not in u]
for name, root in trees.items():
    # the units that ours name; what stands there is systemd's
    for folder in ["/lib/systemd", "/usr/lib/systemd"]:
        if os.path.isdir(folder) and not os.path.exists(root + "/lib/systemd"):
            shutil.copytree(folder + "/system", root + "/lib/systemd/system",
                            symlinks=True, ignore_dangling_symlinks=True)
    tap.is_(verify(root, *plain), (0, ""), name + ": systemd has no complaint")
for unit in services:
    tap.between(exposure(trees["acme"], unit), 0, EXPOSURE_MAX,
                "exposure level of " + unit)

# Do these checks find anything?
root = trees["acme"]
path = root + "/etc/systemd/system/doveauth.service"
with open(path) as f:
    good = f.read()
with open(path, "w") as f:
    f.write(good.replace("ProtectClock=yes", "ProtectClok=yes"))
tap.like(verify(root, "doveauth.service")[1], "ProtectClok",
         "a mistyped name is found")
with open(path, "w") as f:
    f.write(re.sub(r"(?m)^(Protect|Private|Capab|System|Restrict).*\n", "",
                   good))
tap.ok(exposure(root, "doveauth.service") > EXPOSURE_MAX,
       "an unconfined unit is found")
os.unlink(root + "/usr/local/bin/chatmail")
tap.like(verify(root, "lastlogin.service")[1], "chatmail is not executable",
         "a missing program is found")

for root in trees.values():
    shutil.rmtree(os.path.dirname(root))
tap.done()
