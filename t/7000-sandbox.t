#!/usr/bin/env python3
"""The sandbox: starts, answers, restarts what dies, and leaves nothing."""
import imaplib
import json
import os
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "lib"))
import sandbox
import tap

CLEARTEXT = ("From: %s\r\nTo: %s\r\nSubject: hello\r\n"
             "Message-ID: <x@client.test>\r\n\r\nnot encrypted\r\n")


def processes(text):
    """Living processes with text in their command line or environment."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid) as f:
                state = f.read().rpartition(")")[2].split()[0]
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                what = f.read().replace(b"\0", b" ").decode(errors="replace")
            with open("/proc/%s/environ" % pid, "rb") as f:
                what += f.read().decode(errors="replace")
        except OSError:
            continue
        if state != "Z" and int(pid) != os.getpid() and text in what:
            found.append("%s %s" % (pid, what.split("\0")[0][:100]))
    return found


def wait_gone(text, secs):
    end = time.monotonic() + secs
    while processes(text) and time.monotonic() < end:
        time.sleep(0.05)
    return processes(text)


def child(relay, name):
    """Pid of the sandbox's child with that beginning of its command line."""
    for line in processes(relay.dir):
        pid, _, what = line.partition(" ")
        if what.startswith(name):
            return int(pid)
    return None


def run(*command):
    p = subprocess.run(command, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=30)
    return p.returncode, p.stdout


def refused(*options):
    """The last line of a sandbox that does not start."""
    code, said = run(sandbox.CHATMAIL, "sandbox", *options)
    return code, (said.splitlines() or [""])[-1]


def send(connection, sender, recipient, text):
    """The code and text of the refusal, (250, "") when there is none."""
    try:
        connection.sendmail(sender, [recipient], text)
    except smtplib.SMTPRecipientsRefused as e:
        return next(iter(e.recipients.values()))
    except smtplib.SMTPResponseException as e:
        return e.smtp_code, e.smtp_error
    return 250, b""


def test_ready(relay):
    info = relay.info
    tap.is_(info["domain"], "_chat.test", "sandbox.json: the domain")
    tap.is_(info["pid"], relay.process.pid, "sandbox.json: the pid")
    tap.is_(info["ports"]["imaps"], relay.base + 93, "sandbox.json: a port")
    tap.like(info["dclogin"], "&v=1&ih=127.0.0.1&sh=127.0.0.1&ip=%d&is=ssl"
             "&sp=%d&ss=ssl&ic=3" % (relay.base + 93, relay.base + 65),
             "the dclogin link has the ports")
    tap.like(relay.tail(), info["dclogin"], "and is shown")
    tap.like(relay.tail(), "▄", "with its QR code")
    tap.ok("\033" not in relay.tail(), "no colour where no terminal is")


def test_login(relay):
    user, password = relay.info["address"], relay.info["password"]
    c = relay.imap(user, password)
    tap.is_(c.select("INBOX")[0], "OK", "the account of the link logs in")
    tap.ok({"XCHATMAIL", "XDELTAPUSH"} <= set(
        c.capability()[1][0].decode().split()), "with our capabilities")
    tap.ok("COMPRESS=DEFLATE" not in str(c.capability()), "without COMPRESS")
    c.logout()
    home = os.path.join(relay.info["mailboxes_dir"], user)
    tap.ok(os.path.exists(os.path.join(home, "password")), "and exists now")
    tap.ok(os.stat(home).st_uid != 0, "not as root's")
    try:
        relay.imap(user, "another-password")
        tap.ok(False, "another password is refused")
    except imaplib.IMAP4.error as e:
        tap.like(str(e), "AUTHENTICATIONFAILED", "another password is refused")


def test_cleartext(relay):
    if "filtermail" not in run(sandbox.CHATMAIL, "--list")[1].split():
        tap.skip("cleartext", "this program has no filtermail")
        return
    (a, secret), (b, _) = relay.new_user(), relay.new_user()
    relay.imap(a, secret).logout()
    s = relay.smtp(a, secret)
    code, text = send(s, a, b, CLEARTEXT % (a, b))
    tap.is_(code, 523, "cleartext is refused")
    tap.like(text.decode(), "Encryption Needed", "and told why")
    s.quit()


def test_tls(relay):
    pem = ssl.get_server_certificate(("127.0.0.1", relay.ports["imaps"]))
    with open(relay.info["certificate"]) as f:
        tap.is_(pem.strip(), f.read().strip(), "the certificate is served")
    text = run("openssl", "x509", "-noout", "-ext", "subjectAltName", "-in",
               relay.info["certificate"])[1]
    for name in ("DNS:_chat.test", "DNS:www._chat.test",
                 "DNS:mta-sts._chat.test", "DNS:localhost",
                 "IP Address:127.0.0.1"):
        tap.like(text, name, "the certificate is for " + name)
    tap.is_(os.stat(relay.path("tls", "key.pem")).st_mode & 0o777, 0o600,
            "the key is root's alone")


def test_listeners(relay):
    """Nothing of ours listens beyond loopback."""
    wide = []
    for table in "/proc/net/tcp", "/proc/net/tcp6":
        with open(table) as f:
            for line in f.readlines()[1:]:
                address, port = line.split()[1].split(":")
                if line.split()[3] == "0A" and address != "0100007F" and \
                        relay.base <= int(port, 16) < relay.base + 100:
                    wide.append(line.split()[1])
    tap.is_(wide, [], "only loopback is listened on")


def test_restart(relay):
    for name, what in ("doveauth", "doveauth"), ("dovecot", "/usr/sbin/dovecot"):
        pid = child(relay, what)
        if not tap.ok(pid, name + " runs"):
            continue
        os.kill(pid, signal.SIGKILL)
        tap.like(relay.wait_log(name + " ended:"), "signal 9",
                 name + " killed: the reason is logged")
        end = time.monotonic() + 15
        while child(relay, what) in (None, pid) and time.monotonic() < end:
            time.sleep(0.05)
        tap.ok(child(relay, what) not in (None, pid), name + " starts again")
    user, password = relay.new_user()
    end = time.monotonic() + 15
    while True:
        try:
            relay.imap(user, password).logout()
            tap.ok(True, "and answers")
            break
        except (OSError, imaplib.IMAP4.error) as e:
            if time.monotonic() > end:
                tap.ok(False, "and answers: %s" % e)
                break
            time.sleep(0.2)


def test_refusals(relay):
    code, said = refused(relay.dir)
    tap.is_(code, 1, "a second sandbox in the directory is refused")
    tap.like(said, "in use by a sandbox that runs (pid %d)" %
             relay.process.pid, "and told whose it is")
    other = tempfile.mkdtemp(prefix="chatmail-", dir="/tmp")
    code, said = refused(other, "--ports", str(relay.base))
    tap.like(said, "other users cannot enter it",
             "a closed directory is refused")
    os.chmod(other, 0o755)
    code, said = refused(other, "--ports", str(relay.base))
    tap.like(said, "port %d (smtp): Address " %
             (relay.base + 25), "taken ports are refused")
    code, said = refused(other + "/" + "x" * 80)
    tap.like(said, "the sockets in it allow no more than",
             "a path too long for sockets is refused")
    code, said = refused(other + "/a b")
    tap.like(said, "without spaces", "a path with a space is refused")
    code, said = refused(other, "--ports", "70000")
    tap.is_(code, 2, "a base that is no port is refused")
    with open(other + "/chatmail.ini", "w") as f:
        f.write("[params]\nmail_domain = _x.test\nvmail_user = nobody-here\n")
    code, said = refused(other)
    tap.like(said, "there is no user nobody-here", "an unknown user is refused")
    with open(other + "/chatmail.ini", "w") as f:
        f.write("[params]\nmail_domain = _x.test\nimap_rawlog = perhaps\n")
    code, said = refused(other)
    tap.like(said, "chatmail.ini:3: imap_rawlog", "a bad setting is refused")
    shutil.rmtree(other)


def ports_taken(relay):
    return [name for name, port in relay.ports.items()
            if not sandbox.port_is_free(port)]


def test_stop(relay, sig):
    session = relay.imap(*relay.new_user())     # an open session
    tap.is_(relay.stop(sig), 0, "%s: exit code 0" % sig.name)
    tap.is_(processes(relay.dir), [], "%s: no process is left" % sig.name)
    tap.is_(ports_taken(relay), [], "%s: the ports are free" % sig.name)
    tap.ok(not os.path.exists(relay.path("sandbox.json")),
           "%s: no sandbox.json" % sig.name)
    del session


def test_kill(relay):
    session = relay.imap(*relay.new_user())
    relay.process.kill()
    relay.process.wait()
    tap.is_(wait_gone(relay.dir, 15), [], "SIGKILL: no process is left")
    del session


def test_role_that_cannot_start():
    """Five deaths before anything answers end the sandbox."""
    relay = sandbox.Sandbox()
    relay.configure()
    os.makedirs(relay.path("run", "doveauth.socket"))
    try:
        relay.start()
        tap.ok(False, "a role that cannot start ends the sandbox")
    except RuntimeError as e:
        tap.like(str(e), "doveauth does not start",
                 "a role that cannot start ends the sandbox")
    tap.is_(wait_gone(relay.dir, 10), [], "and leaves no process")
    relay.stop()
    relay.remove()


if sandbox.skip_reason():
    tap.skip_all(sandbox.skip_reason())
relay = sandbox.Sandbox()
try:
    relay.start()
    test_ready(relay)
    test_login(relay)
    test_cleartext(relay)
    test_tls(relay)
    test_listeners(relay)
    test_refusals(relay)
    test_restart(relay)
    first = relay.info
    with open(first["certificate"]) as f:
        certificate = f.read()
    test_stop(relay, signal.SIGTERM)

    relay.set("imap_compress", "true")
    relay.start()
    with open(relay.info["certificate"]) as f:
        tap.is_(f.read(), certificate, "second start: the certificate stays")
    c = relay.imap(first["address"], first["password"])
    tap.ok(True, "second start: the account is still there")
    tap.like(str(c.capability()), "COMPRESS=DEFLATE",
             "second start: a changed setting counts")
    c.logout()
    test_stop(relay, signal.SIGINT)

    relay.start()
    test_kill(relay)
    relay.start()
    tap.ok(True, "starts again after SIGKILL")
    test_stop(relay, signal.SIGHUP)
    test_role_that_cannot_start()
finally:
    if sys.exc_info()[0]:
        tap.diag(relay.tail())
    relay.stop()
    relay.remove()
tap.done()
