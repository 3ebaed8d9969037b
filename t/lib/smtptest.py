"""SMTP for tests: a sink in Postfix's place, a raw client, messages.

    with Sink() as sink:                    # sink.port, sink.messages
        client = Client(port)
        client.message("a@b", ["c@d"], data)
"""
import base64
import os
import socket
import threading
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Message:
    """What the sink got: complete once the final dot has come."""

    def __init__(self):
        self.mail = self.mail_params = None
        self.rcpts = []
        self.data = bytearray()
        self.complete = False


class Sink:
    """Speaks SMTP on a loopback port. replies maps a step (greeting, ehlo,
    mail, rcpt, data, body, dot) to another reply, or to "close" or "hang";
    "body" acts after body_after bytes of data. rate limits reading, bytes a
    second."""

    def __init__(self, port=0, replies=None, body_after=0, rate=0):
        self.replies = replies or {}
        self.body_after = body_after
        self.rate = rate
        self.messages = []
        self.commands = []
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(512)
        self.port = self.listener.getsockname()[1]
        self.open = []
        self.stopped = False
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopped = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for s in list(self.open):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def complete(self):
        return [m for m in self.messages if m.complete]

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            if self.stopped:
                s.close()
                return
            self.open.append(s)
            threading.Thread(target=self._serve, args=(s,),
                             daemon=True).start()

    def _say(self, s, step, reply):
        reply = self.replies.get(step, reply)
        if reply == "hang":
            while not self.stopped:
                time.sleep(.05)
            raise OSError("stopped")
        if reply == "close":
            raise OSError("closed on purpose")
        s.sendall(reply.encode() + b"\r\n")
        return reply

    def _serve(self, s):
        try:
            self._talk(s)
        except OSError:
            pass
        finally:
            s.close()
            self.open.remove(s)

    def _talk(self, s):
        f = s.makefile("rb")
        self._say(s, "greeting", "220 sink ESMTP")
        m = Message()
        while True:
            line = f.readline()
            if not line:
                return
            self.commands.append(line)
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            verb = text.split(":")[0].split(" ")[0].upper()
            if verb == "EHLO":
                self._say(s, "ehlo", "250-sink\r\n250-8BITMIME\r\n250-SMTPUTF8"
                          "\r\n250-DSN\r\n250 SIZE 0")
            elif verb == "MAIL":
                m = Message()
                m.mail = text
                self._say(s, "mail", "250 2.1.0 Ok")
            elif verb == "RCPT":
                m.rcpts.append(text)
                self._say(s, "rcpt", "250 2.1.5 Ok")
            elif verb == "DATA":
                if not self._say(s, "data", "354 go on").startswith("354"):
                    continue
                self.messages.append(m)
                if not self._data(s, f, m):
                    return
                self._say(s, "dot", "250 2.0.0 Ok: queued as 12345")
            elif verb == "QUIT":
                s.sendall(b"221 bye\r\n")
                return
            else:
                s.sendall(b"500 what\r\n")

    def _data(self, s, f, m):
        while True:
            line = f.readline()
            if not line:
                return False
            if line == b".\r\n":
                m.complete = True
                return True
            m.data += line
            if self.rate:
                time.sleep(len(line) / self.rate)
            if "body" in self.replies and len(m.data) >= self.body_after:
                self._say(s, "body", "")


class Client:
    """A raw SMTP client: says what it is told, reads replies line by line."""

    def __init__(self, port, greet=True, timeout=120):
        self.s = socket.create_connection(("127.0.0.1", port), timeout)
        self.f = self.s.makefile("rb")
        self.greeting = self.reply() if greet else None
        if greet:
            self.say("EHLO test")

    def close(self):
        self.f.close()
        self.s.close()

    def send(self, data):
        self.s.sendall(data if isinstance(data, bytes) else data.encode())

    def reply(self):
        """The last line of the next reply, "" at the end."""
        while True:
            line = self.f.readline().decode("utf-8", "replace")
            if line[3:4] != "-":
                return line.rstrip("\r\n")

    def say(self, line):
        self.send(line.encode() + b"\r\n" if isinstance(line, str) else line)
        return self.reply()

    def message(self, sender, rcpts, data, mail_params="", rcpt_params=""):
        """One transaction; the first refusal, or the reply to the dot."""
        r = self.say(f"MAIL FROM:<{sender}>{mail_params}")
        for rcpt in rcpts:
            if r[:1] == "2":
                r = self.say(f"RCPT TO:<{rcpt}>{rcpt_params}")
        if r[:1] != "2":
            return r
        r = self.say("DATA")
        if r[:3] != "354":
            return r
        self.send(data)
        return self.say(".")


def packet(tag, body):
    """An OpenPGP packet in new format, five-octet length (RFC 9580 4.2.1)."""
    return bytes([0xC0 | tag, 255]) + len(body).to_bytes(4, "big") + body


def armor(payload, newline="\r\n"):
    text = base64.b64encode(payload).decode()
    lines = [text[i:i + 64] for i in range(0, len(text), 64)]
    return newline.join(["-----BEGIN PGP MESSAGE-----", "", *lines,
                         "-----END PGP MESSAGE-----", ""])


def encrypted(sender, to, size=1000, extra="", payload=None):
    """A message as Delta Chat sends it, around size random bytes."""
    if payload is None:
        payload = packet(1, os.urandom(94)) + packet(18, b"\1" +
                                                     os.urandom(size))
    return (f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: [...]\r\n{extra}"
            "Message-ID: <x@test>\r\nChat-Version: 1.0\r\n"
            "MIME-Version: 1.0\r\nContent-Type: multipart/encrypted; "
            "protocol=\"application/pgp-encrypted\"; boundary=\"bnd\"\r\n\r\n"
            "--bnd\r\nContent-Type: application/pgp-encrypted\r\n\r\n"
            "Version: 1\r\n\r\n--bnd\r\n"
            "Content-Type: application/octet-stream; name=\"encrypted.asc\"\r\n"
            "\r\n" + armor(payload) + "\r\n--bnd--\r\n").encode()


def plain(sender, to, body="Meow!\r\n"):
    return (f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: hi\r\n"
            "Content-Type: text/plain\r\n\r\n" + body).encode()
