"""A relay on a test host, as its operator and its users see it.

    relay = Relay(network, host, "chat.test", binary, path_of_ini)
    relay.publish()                     the records without which it is no use
    relay.deploy()                      (exit code, stdout, stderr)
    with relay.imap(addr, password) as m: m.select()
    relay.submit(addr, password, [to], message)

Certificates are not verified here: tests look at them themselves.
"""
import contextlib
import imaplib
import smtplib
import socket
import ssl
import threading
import time

TIMEOUT = 30
IMAPS, SMTPS, SMTP = 993, 465, 25


def context():
    made = ssl.create_default_context()
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


class Imap(imaplib.IMAP4_SSL):
    """Logged in until the block ends."""

    def __init__(self, host, addr, password, timeout=TIMEOUT):
        super().__init__(host, IMAPS, ssl_context=context(), timeout=timeout)
        try:
            self.login(addr, password)
        except BaseException:
            with contextlib.suppress(OSError):
                self.shutdown()
            raise

    def __exit__(self, *_):
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            self.logout()


class Relay:
    def __init__(self, network, host, domain, binary, ini):
        self.network, self.host, self.domain = network, host, domain
        self.binary, self.ini = binary, ini

    def publish(self, **more):
        """Its addresses and its MX."""
        name = self.domain
        self.network.names.update({
            name: {"A": [self.host.address], "MX": [(10, name)], **more},
            "www." + name: {"CNAME": name},
            "mta-sts." + name: {"CNAME": name}})

    # ---- the operator

    def command(self, *options):
        return [self.binary, "deploy", "--ssh-host", self.host.name,
                "--dns-server", self.network.address, *options, self.ini]

    def deploy(self, *options, timeout=900):
        return self.network.run(self.command(*options), timeout=timeout)

    # ---- users

    def imap(self, addr, password, timeout=TIMEOUT):
        return Imap(self.host.address, addr, password, timeout)

    def may_login(self, addr, password, timeout=TIMEOUT):
        """True; or why not, as text that is empty when the relay refused."""
        try:
            with self.imap(addr, password, timeout):
                return True
        except imaplib.IMAP4.abort as e:
            return "aborted: %s" % e
        except imaplib.IMAP4.error as e:
            return "" if "AUTHENTICATIONFAILED" in str(e) else str(e)
        except OSError as e:
            return "%s %s" % (type(e).__name__, e)

    def submit(self, addr, password, to, message, timeout=TIMEOUT):
        """Raises smtplib's exceptions where it is refused."""
        with smtplib.SMTP_SSL(self.host.address, SMTPS, "client.test",
                              timeout=timeout, context=context()) as s:
            s.login(addr, password)
            s.sendmail(addr, to, message)

    def deliver(self, sender, to, message, name="mx.other.test",
                timeout=TIMEOUT):
        """The reply that another relay gets, as (code, text)."""
        with smtplib.SMTP(self.host.address, SMTP, name,
                          timeout=timeout) as s:
            s.starttls(context=context())
            s.ehlo(name)
            try:
                s.sendmail(sender, to, message)
            except smtplib.SMTPResponseException as e:
                return e.smtp_code, e.smtp_error.decode()
            except smtplib.SMTPRecipientsRefused as e:
                code, text = e.recipients[to]
                return code, text.decode()
        return 250, ""

    def certificate(self, port):
        """DER of the certificate that a port shows."""
        if port == SMTP:
            with smtplib.SMTP(self.host.address, port, "x.test",
                              timeout=TIMEOUT) as s:
                s.starttls(context=context())
                return s.sock.getpeercert(True)
        with socket.create_connection((self.host.address, port),
                                      TIMEOUT) as s, \
                context().wrap_socket(s, server_hostname=self.domain) as t:
            return t.getpeercert(True)

    def wait_message(self, addr, password, part, secs=60):
        """Until a message with that text in its header is in the INBOX."""
        end = time.monotonic() + secs
        while True:
            with contextlib.suppress(OSError, imaplib.IMAP4.error), \
                    self.imap(addr, password) as m:
                m.select()
                data = m.uid("FETCH", "1:*", "BODY.PEEK[HEADER]")[1]
                if any(part.encode() in d[1] for d in data
                       if isinstance(d, tuple)):
                    return True
            if time.monotonic() > end:
                return False
            time.sleep(.2)


class Poll:
    """Tries something again and again until the block ends, and knows when it
    failed: how_long() in all, longest() in one go, seconds."""

    def __init__(self, attempt, every=.1):
        """attempt() returns True when it went well, else why it did not."""
        self.attempt, self.every = attempt, every
        self.tries, self.gaps, self.reasons = 0, [], {}
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        good = time.monotonic()
        failing = False
        while not self.stopping.is_set():
            began = time.monotonic()
            said = self.attempt()
            self.tries += 1
            if said is True:
                if failing:
                    self.gaps.append(time.monotonic() - good)
                good, failing = time.monotonic(), False
            else:
                failing = True
                self.reasons[said] = self.reasons.get(said, 0) + 1
            left = self.every - (time.monotonic() - began)
            self.stopping.wait(max(left, 0))
        if failing:
            self.gaps.append(time.monotonic() - good)

    def how_long(self):
        return sum(self.gaps)

    def longest(self):
        return max(self.gaps, default=0)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
