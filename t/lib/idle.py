"""Bare clients for tests of notifications: IMAP connections in IDLE, and
Dovecot's LMTP socket.

    watcher = Watcher(relay, addr, password)    # logged in, INBOX selected
    watcher.idle()
    with Lmtp(relay) as lmtp:
        lmtp.deliver([addr])
    watcher.wait(1)                             # until a message has been told
"""
import itertools
import os
import re
import signal
import smtplib
import socket
import threading
import time

import sandbox

MESSAGE = ("From: <sender@client.test>\r\nTo: <%s>\r\n"
           "Message-ID: <%d@client.test>\r\nSubject: [...]\r\n\r\n%s\r\n")
_number = itertools.count(1)


class Watcher:
    """One IMAP connection. Not to be used by two threads at once."""

    def __init__(self, relay, addr, password, timeout=30):
        self.addr = addr
        self.count = 0          # messages that the server has told of
        self.told = {}          # count: monotonic time
        self.socket = sandbox.tls_context().wrap_socket(
            socket.create_connection(("127.0.0.1", relay.ports["imaps"]),
                                     timeout))
        self.timeout = timeout
        self.buffer = b""
        self.tags = itertools.count(1)
        self.line()
        self.command("LOGIN %s %s" % (addr, password))
        self.command("SELECT INBOX")

    def line(self, timeout=None):
        """The next line, None when none comes in time."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            # what TLS has already read is not seen by select
            if left <= 0 and not self.socket.pending():
                return None
            self.socket.settimeout(max(left, 0.001))
            try:
                got = self.socket.recv(65536)
            except socket.timeout:
                continue
            if not got:
                raise EOFError("%s: the server hung up" % self.addr)
            self.buffer += got
        line, _, self.buffer = self.buffer.partition(b"\n")
        m = re.match(rb"\* (\d+) (EXISTS|EXPUNGE)", line)
        if m and m[2] == b"EXISTS":
            self.count = int(m[1])
            self.told[self.count] = time.monotonic()
        elif m:
            self.count -= 1
        return line

    def send(self, text):
        self.socket.settimeout(self.timeout)
        self.socket.sendall(text.encode() + b"\r\n")

    def command(self, text):
        """The lines of the answer; an error when it is not OK."""
        tag = "c%d" % next(self.tags)
        self.send(tag + " " + text)
        return self.answer(tag)

    def answer(self, tag):
        lines = []
        while True:
            line = self.line()
            if line is None:
                raise TimeoutError("%s: no answer" % self.addr)
            if line.startswith(tag.encode() + b" "):
                if b" OK" not in line:
                    raise RuntimeError(line.decode())
                return lines
            lines.append(line)

    def idle(self):
        """Begin IDLE."""
        self.tag = "c%d" % next(self.tags)
        self.send(self.tag + " IDLE")
        while not self.line().startswith(b"+"):
            pass
        self.began = time.monotonic()

    def done(self):
        """End IDLE."""
        self.send("DONE")
        self.answer(self.tag)

    def wait(self, count, timeout=30):
        """Until that many messages have been told; False when they were not
        in time."""
        end = time.monotonic() + timeout
        while self.count < count and time.monotonic() < end:
            self.line(end - time.monotonic())
        return self.count >= count

    def close(self):
        self.socket.close()


class Lmtp:
    """A connection to Dovecot's LMTP server, as Postfix makes it."""

    def __init__(self, relay):
        self.relay = relay
        self.client = smtplib.LMTP(
            relay.path("spool", "private", "dovecot-lmtp"),
            local_hostname="client.test")

    def deliver(self, addrs, body="hello"):
        """One message; an error unless each recipient was accepted."""
        number = next(_number)
        refused = self.client.sendmail("sender@client.test", addrs, MESSAGE % (
            addrs[0], number, body))
        if refused:
            raise RuntimeError("refused: %s" % refused)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.client.close()


def watchers(relay, n):
    """Connections of n new users."""
    return [Watcher(relay, *relay.new_user()) for _ in range(n)]


def in_parallel(calls):
    """Run functions in threads; the first error is raised."""
    errors = []

    def run(call):
        try:
            call()
        except Exception as e:
            errors.append(e)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


def master_pid(relay):
    """Of Dovecot; None while it is not running."""
    try:
        with open(relay.path("run", "dovecot", "master.pid")) as f:
            return int(f.read())
    except (FileNotFoundError, ValueError):
        return None


def process_of(relay, watcher):
    """Pid of the imap process that a connection logged in to."""
    # "Login: user=", from 2.4 on "Logged in: user="
    line = relay.wait_log(": user=<%s>, method=" % watcher.addr)
    return int(re.search(r"mpid=(\d+)", line)[1])


HIBERNATION = """
service imap {
  extra_groups = $default_internal_group
  unix_listener imap-master {
    user = $default_internal_user
  }
}
service imap-hibernate {
  unix_listener imap-hibernate {
    mode = 0660
    group = $default_internal_group
  }
}
"""


def reconfigure(relay, change):
    """Give dovecot.conf another text until the sandbox starts again."""
    path = relay.path("dovecot", "dovecot.conf")
    with open(path) as f:
        text = change(f.read())
    with open(path, "w") as f:
        f.write(text)
    os.kill(master_pid(relay), signal.SIGHUP)
    # old login processes end when they are idle; new ones know it
    relay.wait_log("SIGHUP received")
    time.sleep(0.5)


def hibernate_after(relay, secs):
    """Let idle connections hibernate after so many seconds."""
    def change(text):
        new = "imap_hibernate_timeout = %ds\n" % secs
        more = HIBERNATION
        if text.startswith("dovecot_config_version"):
            more = more.replace("$default", "$SET:default")
        text, n = re.subn(r"(?m)^imap_hibernate_timeout = .*\n", new, text)
        if not n:
            text += new + more
        return text + "log_debug = category=imap\n"
    reconfigure(relay, change)
