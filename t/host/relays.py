"""Relays on test hosts: deployed by the operator's chatmail over SSH, and used
as apps and other servers use them.

    reason = relays.skip_reason()
    a = Relay(network, network.host("chat.test"), "chat.test",
              acme_directory=network.acme.directory)
    a.host.start()
    code, out, err = a.deploy()
    alice = a.account(core)                     a Delta Chat account
    carl = a.user()                             one without an app
    a.submit(carl, "somebody@other.test", message)
    a.inbox(carl)
"""
import contextlib
import imaplib
import os
import random
import re
import smtplib
import socket
import ssl
import string
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import deltachat
import hosts

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
# needs no libraries, so hosts can run it; not there before "make static"
CHATMAIL = os.path.join(BUILD, "static", "chatmail")
LETTERS = string.ascii_lowercase + string.digits
# the machine under the host can be busy, small and full
ALWAYS = {"max_load_1m": 1000, "min_available_memory": 0,
          "min_free_disk_space": "1M"}
ENCRYPTED = os.path.join(HERE, "..", "mail", "encrypted.eml")
# port: how one gets to TLS there
PORTS = {443: None, 993: None, 465: None, 25: "STARTTLS"}


def skip_reason():
    """Why no relay can be deployed here, or None."""
    if not os.access(CHATMAIL, os.X_OK):
        return "%s is not there: make static" % os.path.relpath(CHATMAIL)
    return hosts.skip_reason()


def until(condition, timeout=60, pause=.1):
    """Wait for a condition; returns its last value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(pause)


def encrypted(sender, to):
    """An encrypted message from and to others than in its file."""
    with open(ENCRYPTED) as f:
        text = f.read()
    text = re.sub(r"^From: .*", "From: <%s>" % sender, text, count=1,
                  flags=re.M)
    text = re.sub(r"^To: .*", "To: <%s>" % to, text, count=1, flags=re.M)
    text = re.sub(r"^Message-ID: .*", "Message-ID: <%s@x>" % "".join(
        random.choices(LETTERS, k=20)), text, count=1, flags=re.M | re.I)
    return text.replace("\n", "\r\n").encode()


def program_in(network, core):
    """A program that is run as the network's operator would."""
    path = network.run_files.path("core")
    with open(path, "w") as f:
        f.write("#!%s\nimport os, sys\nargv = %r\nos.execvp(argv[0], argv)\n" %
                (sys.executable, network.command([core])))
    os.chmod(path, 0o755)
    return path


def trust_nobody():
    """A TLS context that takes every certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def shown(address, port, name, roots=None):
    """The certificate that a port shows: verified against the PEM file roots
    and the name, as a dict; without roots as DER, whatever it is."""
    context = ssl.create_default_context(cafile=roots) if roots else \
        trust_nobody()
    if PORTS.get(port) == "STARTTLS":
        with smtplib.SMTP(address, port, "client.test", timeout=30) as s:
            s._host = name              # what its starttls() verifies
            s.starttls(context=context)
            return s.sock.getpeercert(not roots)
    with socket.create_connection((address, port), 30) as raw, \
            context.wrap_socket(raw, server_hostname=name) as s:
        return s.getpeercert(not roots)


class Relay:
    def __init__(self, network, host, domain, **settings):
        """domain: as in chatmail.ini. settings: rows of it."""
        self.network, self.host, self.domain = network, host, domain
        is_address = domain.replace(".", "").isdigit()
        self.mail_domain = "[%s]" % domain if is_address else domain
        self.ini = network.run_files.path("%s.ini" % domain)
        self.settings = {"mail_domain": domain, **ALWAYS}
        self.passwords = {}
        self.set(**settings)

    def set(self, **settings):
        """Rows of chatmail.ini, for the next deploy()."""
        self.settings.update(settings)
        with open(self.ini, "w") as f:
            f.write("[params]\n" + "".join("%s = %s\n" % item for item in
                                           self.settings.items()))

    # ---- the operator's commands: (exit code, stdout, stderr)

    def operator(self, *argv):
        return self.network.run([CHATMAIL, *argv])

    def deploy(self, *options):
        return self.operator("deploy", "--ssh-host", self.host.address,
                             *options, self.ini)

    def dns(self, *options):
        return self.operator("dns", "--ssh-host", self.host.address, *options,
                             self.ini)

    def status(self, *options):
        return self.operator("status", "--ssh-host", self.host.address,
                             *options, self.ini)

    # ---- the host

    def sh(self, text, check=True):
        """What a shell command on the host prints."""
        code, out, err = self.host.inside(["sh", "-c", text])
        if check and code:
            raise RuntimeError("%s: %s: %d\n%s%s" % (self.domain, text, code,
                                                     out, err))
        return out.strip()

    def is_active(self, unit):
        return self.sh("systemctl is-active " + unit, False) == "active"

    def mark(self):
        """For said(): what the journal has so far does not count."""
        return self.sh("journalctl --no-pager -n 0 --show-cursor").partition(
            "cursor: ")[2]

    def said(self, text, since=None):
        """Lines of the journal with that text."""
        out = self.host.journal(None, *(["--after-cursor=" + since]
                                        if since else []))
        return [line for line in out.splitlines() if text in line]

    # ---- users

    def address(self):
        """(address, password) of a user that does not exist yet."""
        name, password = ("".join(random.choices(LETTERS, k=n))
                          for n in (9, 12))
        return "%s@%s" % (name, self.mail_domain), password

    def account(self, core):
        """A Delta Chat account that is logged in."""
        address, password = self.address()
        return core.account().login(deltachat.dclogin(
            address, password, 993, 465, self.host.address))

    def user(self):
        """A user without an app: nobody takes the mail away."""
        address, password = self.address()
        self.passwords[address] = password
        self.imap(address).logout()
        return address

    def imap(self, address):
        c = imaplib.IMAP4_SSL(self.host.address, 993, timeout=30,
                              ssl_context=trust_nobody())
        c.login(address, self.passwords[address])
        return c

    def submit(self, sender, to, message=None):
        with smtplib.SMTP_SSL(self.host.address, 465, "client.test",
                              context=trust_nobody(), timeout=60) as s:
            s.login(sender, self.passwords[sender])
            s.sendmail(sender, [to], message or encrypted(sender, to))

    def inbox(self, address):
        """The messages in a mailbox, as stored."""
        imap = self.imap(address)
        imap.select("INBOX", readonly=True)
        found = [imap.fetch(n, "(BODY.PEEK[])")[1][0][1].decode()
                 for n in imap.search(None, "ALL")[1][0].split()]
        imap.logout()
        return found

    def has_mail(self, address, count, timeout=60):
        """So many messages are there, after a while."""
        return until(lambda: len(self.inbox(address)) >= count, timeout, .3)

    def flush(self):
        """Postfix tries what is in its queue now."""
        self.sh("postqueue -f")

    # ---- other servers

    def from_outside(self, sender, to, message, tls=True):
        """What port 25 answers to a message: "accepted", or the refusal."""
        with contextlib.ExitStack() as stack:
            s = stack.enter_context(smtplib.SMTP(
                self.host.address, 25, "outside.test", timeout=60))
            try:
                if tls:
                    s.starttls(context=trust_nobody())
                s.sendmail(sender, [to], message)
            except smtplib.SMTPRecipientsRefused as e:
                code, text = e.recipients[to]
                return "%d %s" % (code, text.decode())
            except smtplib.SMTPResponseException as e:
                return "%d %s" % (e.smtp_code, e.smtp_error.decode())
        return "accepted"

    def certificates(self, name=None, roots=None):
        """{port: shown()} of the ports that TLS clients use."""
        return {port: shown(self.host.address, port, name or self.domain,
                            roots) for port in PORTS}
