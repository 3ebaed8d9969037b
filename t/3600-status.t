#!/usr/bin/env python3
"""status: what it knows of a machine, what it finds wrong with it, and how it
shows that. The services themselves are tested on a host."""
import json
import os
import pty
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "lib"))
import tap

CHATMAIL = os.path.abspath(os.environ.get("CHATMAIL", "build/chatmail"))
DOMAIN = "chat.example.org"
DAY = 86400

top = tempfile.mkdtemp(prefix="chatmail-status-")
ini, mail = top + "/chatmail.ini", top + "/mail"
cert, key = top + "/cert.pem", top + "/key.pem"


def write_ini(**more):
    """None takes a setting out."""
    values = {"mail_domain": DOMAIN, "mailboxes_dir": mail,
              "nocreate_file": top + "/nocreate", "max_load_1m": 9999,
              "min_available_memory": 0, "min_free_disk_space": 0,
              "tls_external_cert_and_key": f"{cert} {key}", **more}
    with open(ini, "w") as f:
        f.write("[params]\n" + "".join(
            f"{k} = {v}\n" for k, v in values.items() if v is not None))


def make_certificate(days, names=(DOMAIN,), ca=()):
    """Signed by the key in ca, else by its own."""
    config = top + "/openssl.cnf"
    with open(config, "w") as f:
        f.write("[req]\ndistinguished_name=d\n[d]\n")
    csr, more = top + "/csr", top + "/ext"
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=subject",
            "-config", config, "-keyout", key, "-out", csr)
    with open(more, "w") as f:
        f.write("subjectAltName=" + ",".join("DNS:" + n for n in names))
    if not ca:
        ca = ["-signkey", key]
    openssl("x509", "-req", "-in", csr, "-days", str(days), "-extfile", more,
            "-out", cert, *ca)


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stderr=subprocess.DEVNULL)


def make_ca():
    files = top + "/ca.pem", top + "/ca.key"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-subj",
            "/O=Authority/CN=A1", "-days", "99", "-keyout", files[1],
            "-out", files[0])
    return ["-CA", files[0], "-CAkey", files[1], "-CAcreateserial"]


def status(*options, before=None):
    """The object, after its frame was looked at. before: a shell script that
    has a file system and processes of its own, with status following."""
    argv = [CHATMAIL, "status", "--json", "--local", *(options or [ini])]
    if before is not None:
        argv = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh",
                "-ec", before + '\n"$@"', "sh", *argv]
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       text=True)
    found = json.loads(p.stdout)
    ok = found["problems"] == []
    if (p.returncode, p.stderr, found["ok"], p.stdout.count("\n")) != \
            (int(not ok), "", ok, 1):
        tap.ok(False, "exit code, ok and problems agree")
        tap.diag(f"{p.returncode} {found['ok']} {p.stderr}")
    return found


def has(found, text):
    return any(text in p for p in found["problems"])


def can_unshare():
    return os.geteuid() == 0 and subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"],
        stderr=subprocess.DEVNULL).returncode == 0


# ---- the certificate -----------------------------------------------------------

# name, days, names in it, does an authority sign?, problem or None
CERTIFICATES = [
    ("good", 60, [DOMAIN, "www." + DOMAIN], True, None),
    ("a wildcard", 60, ["*.example.org"], True, None),
    ("ends soon", 6, [DOMAIN], True, "the certificate is good for"),
    ("ends tomorrow", 1, [DOMAIN], True, "the certificate is good for"),
    ("enough days", 9, [DOMAIN], True, None),
    ("has ended", -1, [DOMAIN], True, "the certificate has expired"),
    ("another name", 60, ["www." + DOMAIN], True,
     "the certificate is not for " + DOMAIN),
    ("self-signed, but meant so", 60, [DOMAIN], False, None),
]


def test_certificates():
    ca = make_ca()
    write_ini()
    for name, days, names, is_signed, want in CERTIFICATES:
        make_certificate(days, names, ca if is_signed else ())
        found = status()
        c = found["certificate"]
        tap.is_([p for p in found["problems"] if "certificate" in p and
                 not (want and want in p)], [],
                f"{name}: no other complaint")
        if want:
            tap.ok(has(found, want), f"{name}: {want}")
        tap.is_((c["mode"], c["path"], c["names"], c["self_signed"]),
                ("external", cert, names, not is_signed), name + ": known")
        tap.between(c["days_left"], days - 1, days, name + ": its days")
        if is_signed:
            tap.is_(c["issuer"], "CN=A1,O=Authority", name + ": who signed")
    os.rename(key, key + ".other")
    tap.ok(has(status(), key + " cannot be read"), "no key")
    make_certificate(60, ca=ca)
    shutil.copy(key + ".other", key)
    tap.ok(has(status(), "is not the key of the certificate"), "another key")
    with open(cert, "w") as f:
        f.write("-----BEGIN CERTIFICATE-----\nAAAA\n")
    found = status()
    tap.ok(has(found, cert + ": not a certificate"), "no certificate")
    tap.ok("days_left" not in found["certificate"], "so nothing is known")
    make_certificate(60, ca=ca)


def test_acme():
    if not can_unshare():
        tap.skip("acme", "no namespaces here")
        return
    write_ini(tls_external_cert_and_key=None)
    folder = "/var/lib/acme/live/" + DOMAIN
    before = (f"mount -t tmpfs none /var/lib; mkdir -p {folder}; "
              f"cp {cert} {folder}/fullchain; cp {key} {folder}/privkey")
    found = status(before=before)
    tap.is_(found["certificate"]["mode"], "acme", "acme: its mode")
    tap.is_([p for p in found["problems"] if "certificate" in p], [],
            "acme: a certificate of an authority")
    make_certificate(60)
    tap.ok(has(status(before=before), "the certificate is self-signed"),
           "acme: a self-signed certificate is none")
    write_ini()


# ---- accounts -------------------------------------------------------------------

def test_accounts():
    today = int(time.time()) // DAY * DAY
    os.makedirs(mail)
    for name, ago in [("alice", 0), ("bob", 0), ("carol", 3), ("dave", 6),
                      ("eve", 7), ("frank", 80), ("ci-x", 0)]:
        folder = f"{mail}/{name}@{DOMAIN}"
        os.mkdir(folder)
        open(folder + "/password", "w").close()
        os.utime(folder + "/password", (today - ago * DAY,) * 2)
    os.mkdir(f"{mail}/half@{DOMAIN}")
    os.mkdir(mail + "/pending_notifications")
    a = status()["accounts"]
    tap.is_(a, {"all": 7, "ci": 1, "today": 3, "week": 5,
                "creation_stopped": ""}, "accounts by their logins")
    open(top + "/nocreate", "w").close()
    found = status()
    tap.is_(found["accounts"]["creation_stopped"], top + "/nocreate exists",
            "somebody has stopped new accounts")
    tap.ok(not has(found, "no new accounts"), "which is no trouble")
    os.unlink(top + "/nocreate")
    for setting, value, want in [("min_free_disk_space", "900000G", "free disk"),
                                 ("min_available_memory", "90000G",
                                  "available memory")]:
        write_ini(**{setting: value})
        tap.ok(has(status(), f"no new accounts are made ({want}"),
               f"too little: {want}")
    write_ini(mailboxes_dir=top + "/none")
    tap.ok(has(status(), top + "/none: No such file"), "no mailboxes")
    write_ini()


# ---- queue and connections ---------------------------------------------------------

QUEUE = """
mount -t tmpfs none /var/spool/postfix
cd /var/spool/postfix
mkdir -p maildrop incoming active deferred/A deferred/B/C hold
touch maildrop/1 incoming/2 active/3 active/4 deferred/A/5 deferred/B/6 \
	deferred/B/C/7
cd /
"""

# Their names and arguments are what counts.
PROCESSES = f"""
mkdir {top}/bin
cp /bin/sh {top}/bin/imap; cp /bin/sh {top}/bin/smtpd; cp /bin/sh {top}/bin/imap-login
run() {{ program=$1; shift; {top}/bin/$program -c 'read x < {top}/pipe' "$@" & }}
run imap; run imap; run imap-login
run smtpd -n 465 -t inet -u -c; run smtpd -n 587 -t inet; run smtpd -n 587
run smtpd -n 25 -t inet; run smtpd -n; run smtpd
sleep .5
"""


def test_mail():
    if not can_unshare() or not os.path.isdir("/var/spool/postfix"):
        tap.skip("queue and connections", "no namespaces, or no Postfix")
        return
    os.mkfifo(top + "/pipe")
    found = status(before=QUEUE)
    tap.is_(found["queue"], {"maildrop": 1, "incoming": 1, "active": 2,
                             "deferred": 3, "hold": 0}, "the queue")
    found = status(before=QUEUE + "touch /var/spool/postfix/hold/8")
    tap.ok(has(found, "1 messages are on hold"), "messages on hold")
    found = status(before=QUEUE + "cd /var/spool/postfix/active; "
                   "seq 6000 | xargs touch")
    tap.ok(has(found, "6000 messages are being delivered at once"),
           "too many active ones")
    found = status(before=QUEUE + "rm -r /var/spool/postfix/hold")
    tap.is_(found["queue"]["hold"], 0, "a part of the queue that is not there")
    found = status(before="mount -t tmpfs none /var/spool")
    tap.is_(found["queue"], None, "no queue")
    tap.ok(has(found, "so that the queue is not known"), "is trouble")
    write_ini(max_imap_connections=100, max_smtp_connections=50)
    found = status(before=PROCESSES)
    tap.is_(found["connections"], {
        "imap": {"used": 2, "max": 100},
        "submission": {"used": 2, "max": 50},
        "smtps": {"used": 1, "max": 50}}, "connections")
    tap.ok(not has(found, "connections are in use"), "there is room")
    shutil.rmtree(top + "/bin")
    write_ini(max_imap_connections=2, max_smtp_connections=3)
    found = status(before=PROCESSES)
    tap.ok(has(found, "2 of 2 possible imap connections are in use"),
           "all connections are in use")
    tap.ok(not has(found, "possible smtps"), "others are not")
    write_ini()


# ---- the rest ---------------------------------------------------------------------

def test_machine():
    found = status()
    tap.is_((found["format"], found["domain"], found["host"]),
            (1, DOMAIN, socket.gethostname()), "whose status it is")
    tap.between(found["time"], time.time() - 60, time.time() + 1, "and when")
    version = subprocess.run([CHATMAIL, "--version"], stdout=subprocess.PIPE,
                             text=True).stdout
    tap.like(version, found["versions"]["chatmail"], "our version")
    fs = os.statvfs(mail)
    tap.is_((found["disk"]["path"], found["disk"]["bytes"]),
            (mail, fs.f_blocks * fs.f_frsize), "the disk")
    tap.ok(0 < found["memory"]["bytes_available"] <=
           found["memory"]["bytes"], "memory")
    tap.is_(len(found["load"]), 3, "load")
    for name, value in found["inotify"].items():
        with open("/proc/sys/fs/inotify/" + name) as f:
            tap.is_(value["value"], int(f.read()), "fs.inotify." + name)
        tap.is_(has(found, "fs.inotify." + name),
                value["value"] < value["recommended"],
                f"fs.inotify.{name}: wrong when it is less")
    if os.path.isdir("/run/systemd/system"):
        tap.ok(isinstance(found["services"], list), "services")
    else:
        tap.is_(found["services"], None, "no systemd, no services")
        tap.ok(has(found, "neither systemd nor OpenRC runs"),
               "which is trouble")
    if can_unshare() and os.path.exists("/usr/sbin/postconf"):
        found = status(before="mount -t tmpfs none /usr/sbin")
        tap.ok("postfix" not in found["versions"],
               "a program that is not there has no version")


def shown(**env):
    """What a terminal gets."""
    full = {**{k: v for k, v in os.environ.items() if k != "NO_COLOR"},
            "TERM": "xterm", **env}
    main, side = pty.openpty()
    p = subprocess.Popen([CHATMAIL, "status", "--local", ini], stdout=side, env=full)
    os.close(side)
    out = b""
    while True:
        try:
            chunk = os.read(main, 65536)
        except OSError:
            break
        if not chunk:
            break
        out += chunk
    p.wait()
    os.close(main)
    return out.decode().replace("\r\n", "\n")


def test_display():
    make_certificate(3)
    time.sleep(1.1)         # both looks are within the same day of its life
    p = subprocess.run([CHATMAIL, "status", "--local", ini], stdout=subprocess.PIPE,
                       text=True)
    problems = status()["problems"]
    tap.is_(p.returncode, 1, "display: exit code")
    for part in [f"{DOMAIN} on ", "\nCertificate  " + DOMAIN,
                 "\nAccounts     7, 3 of them used today, 5 in 7 days; "
                 "1 for tests", " GB of disk free, "]:
        tap.like(p.stdout, part, "display: " + part.strip())
    count = len(problems)
    tap.like(p.stdout, f"{count} things are wrong:\n" if count != 1 else
             "One thing is wrong:\n", "display: how much is wrong")
    tap.is_(re.findall(r"(?m)^  - (.*)", p.stdout), problems,
            "display: what is wrong")
    tap.ok("\033" not in p.stdout, "display: no colour in a file")
    tap.like(shown(), "\033[31m", "display: colour on a terminal")
    tap.ok("\033" not in shown(NO_COLOR="1"), "display: not with NO_COLOR")
    tap.like(shown(NO_COLOR=""), "\033[31m", "display: an empty one is none")
    tap.ok("\033" not in shown(TERM="dumb"), "display: nor on a dumb one")


def test_command_line():
    for args, code, want in [
            (["--nothing"], 2, "--nothing"), ([ini, ini], 2, "one INI"),
            ([top + "/none.ini"], 1, top + "/none.ini: No such file")]:
        p = subprocess.run([CHATMAIL, "status", *args], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        tap.is_((p.returncode, p.stdout), (code, ""), f"status {args}")
        tap.like(p.stderr, want, f"status {args}: says why")
    p = subprocess.run([CHATMAIL, "status", "--local"], text=True, cwd=top,
                       stdout=subprocess.PIPE)
    tap.like(p.stdout, DOMAIN, "./chatmail.ini is taken")


try:
    for test in [v for k, v in list(globals().items())
                 if k.startswith("test_")]:
        test()
finally:
    shutil.rmtree(top)
tap.done()
