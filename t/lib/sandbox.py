"""A sandbox relay for tests: chatmail sandbox in a temporary directory.

    with Sandbox() as relay:                  # starts, waits until ready
        relay.ports["imaps"], relay.domain, relay.dir
        imap = relay.imap("user12345@" + relay.domain, "password1234")

chatmail.ini may be written or changed between Sandbox() and start():

    relay = Sandbox(settings={"max_user_send_per_minute": "3"})
    relay.start()
    ...
    relay.stop()

Root, Postfix, Dovecot and nginx are needed; skip_reason() says what is missing.
"""

import imaplib
import json
import os
import random
import shutil
import signal
import smtplib
import socket
import ssl
import string
import subprocess
import tempfile
import time

CHATMAIL = os.path.abspath(os.environ.get("CHATMAIL", "build/chatmail"))
PORTS_USED = 100        # a sandbox uses ports from BASE to BASE + 99


def skip_reason():
    """Why no sandbox can run here, or None."""
    if os.geteuid() != 0:
        return "not root"
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    for program in "postfix", "dovecot", "nginx":
        if not shutil.which(program, path=path):
            return program + " is not installed"
    return None


def port_is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_base():
    """A BASE whose ports are all free, below the ephemeral ports."""
    for _ in range(200):
        base = random.randrange(100, 320) * 100
        if all(port_is_free(p) for p in range(base, base + PORTS_USED)):
            return base
    raise RuntimeError("no free ports")


def tls_context():
    """The sandbox signs its own certificate: none is verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Sandbox:
    def __init__(self, dir=None, domain="_chat.test", base=None,
                 settings=None, options=()):
        """settings: lines of chatmail.ini that the sandbox would not write
        itself, or other values for those that it does. options: more of the
        command line, as ["--peer", "_b.test=15000"]."""
        self.own_dir = dir is None
        self.dir = dir or tempfile.mkdtemp(prefix="chatmail-", dir="/tmp")
        os.makedirs(self.dir, exist_ok=True)
        os.chmod(self.dir, 0o755)       # Postfix and vmail have to get in
        self.domain = domain
        self.base = base or free_base()
        self.settings = settings or {}
        self.options = list(options)
        self.process = None
        self.info = {}
        self.ports = {}

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def command(self, *more):
        return [CHATMAIL, "sandbox", self.dir, "--domain", self.domain,
                "--ports", str(self.base), *self.options, *more]

    def configure(self):
        """Write chatmail.ini as the sandbox does, then change settings."""
        if not os.path.exists(self.path("chatmail.ini")):
            subprocess.run(self.command("--render"), check=True,
                           stdout=subprocess.DEVNULL)
        for name, value in self.settings.items():
            self.set(name, value)

    def set(self, name, value):
        """Give a setting another value in chatmail.ini, for the next start."""
        with open(self.path("chatmail.ini")) as f:
            lines = f.read().splitlines()
        lines = [s for s in lines if s.split("=")[0].strip() != name]
        lines.append("%s = %s" % (name, value))
        with open(self.path("chatmail.ini"), "w") as f:
            f.write("\n".join(lines) + "\n")

    def start(self, timeout=60):
        """Returns self when everything answers."""
        if self.settings:
            self.configure()
        self.output = open(self.path("output"), "ab")
        self.process = subprocess.Popen(self.command(), stdout=self.output,
                                        stderr=subprocess.STDOUT)
        end = time.monotonic() + timeout
        while not self.is_ready():
            if self.process.poll() is not None:
                raise RuntimeError("sandbox: exit code %d\n%s" % (
                    self.process.returncode, self.tail()))
            if time.monotonic() > end:
                self.stop()
                raise RuntimeError("sandbox: not ready\n" + self.tail())
            time.sleep(0.02)
        self.ports = self.info["ports"]
        self.domain = self.info["domain"]
        return self

    def is_ready(self):
        try:
            with open(self.path("sandbox.json")) as f:
                self.info = json.load(f)
        except (OSError, ValueError):
            return False
        return self.info["pid"] == self.process.pid

    def tail(self, lines=60):
        with open(self.path("output"), errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    def log(self):
        """What everything has logged since the start."""
        with open(self.path("log"), errors="replace") as f:
            return f.read()

    def wait_log(self, text, timeout=10):
        """Wait until the log has a line with text; returns that line."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for line in self.log().splitlines():
                if text in line:
                    return line
            time.sleep(0.05)
        raise RuntimeError("not in the log: " + text)

    def stop(self, sig=signal.SIGTERM, timeout=20):
        """Returns the exit code; None when it did not run."""
        if not self.process:
            return None
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process = None
        self.output.close()
        return code

    def remove(self):
        if self.own_dir:
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *exc):
        self.stop()
        self.remove()

    # clients

    def new_user(self):
        """(address, password) of a user that does not exist yet."""
        letters = string.ascii_lowercase + string.digits
        name = "".join(random.choices(letters, k=9))
        domain = self.domain
        if domain.replace(".", "").isdigit():
            domain = "[%s]" % domain
        return "%s@%s" % (name, domain), "".join(random.choices(letters, k=12))

    def imap(self, user, password, timeout=30):
        """imaplib connection, logged in; creates the account."""
        c = imaplib.IMAP4_SSL("127.0.0.1", self.ports["imaps"],
                              ssl_context=tls_context(), timeout=timeout)
        c.login(user, password)
        return c

    def smtp(self, user, password, timeout=30):
        """smtplib connection to the smtps port, logged in."""
        c = smtplib.SMTP_SSL("127.0.0.1", self.ports["smtps"],
                             context=tls_context(), timeout=timeout,
                             local_hostname="client.test")
        c.login(user, password)
        return c

    def smtp_incoming(self, timeout=30):
        """smtplib connection as another relay would make it."""
        c = smtplib.SMTP("127.0.0.1", self.ports["smtp"], timeout=timeout,
                         local_hostname="mx.other.test")
        c.starttls(context=tls_context())
        return c
