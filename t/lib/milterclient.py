"""The mail server's side of the milter protocol, as Postfix 3.7 speaks it.

    with MilterClient(path) as m:
        m.connect(macros={"{daemon_name}": "ORIGINATING"})
        m.mail("<a@b.example>", macros={"i": "4Qx"})
        m.header("Subject", " [...]")
        m.eoh()
        m.body(b"text\\r\\n")
        m.end()         -> [("i", 0, "DKIM-Signature", " v=1; ..."), ("a",)]

Events return their answer, ("c",) and the like, or None when none is wanted.
Macros go before every event, also when there are none.
"""
import socket
import struct

OFFER = (6, 0x1ff, 0x1fffff)
CHUNK = 65535
# event: the flags that say that it is not sent, and not answered
FLAGS = {"C": (0x1, 0x1000), "H": (0x2, 0x2000), "M": (0x4, 0x4000),
         "R": (0x8, 0x8000), "T": (0x200, 0x10000), "L": (0x20, 0x80),
         "N": (0x40, 0x40000), "B": (0x10, 0x80000), "U": (0x100, 0x20000)}
HEADER_SPACE = 0x100000
FINAL = "cartdy"


class Closed(Exception):
    """The milter closed the connection."""


def packet(command, data=b""):
    return struct.pack(">I", 1 + len(data)) + command.encode() + data


def strings(*values):
    return b"".join(v.encode("utf-8", "surrogateescape") + b"\0"
                    if isinstance(v, str) else v + b"\0" for v in values)


class MilterClient:
    """path: of a unix socket, or (host, port). offer=None: no negotiation
    yet."""

    def __init__(self, path, offer=OFFER, timeout=20):
        if isinstance(path, str):
            self.sock = socket.socket(socket.AF_UNIX)
        else:
            self.sock = socket.socket()
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.stream = self.sock.makefile("rb")
        self.version = self.actions = self.protocol = 0
        if offer:
            self.negotiate(*offer)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.stream.close()
        self.sock.close()

    # ---- packets

    def send(self, data):
        """Bytes as they are."""
        self.sock.sendall(data)

    def recv(self):
        """The next answer, taken apart; Closed at the end."""
        try:
            head = self.stream.read(4)
        except ConnectionError:
            head = b""
        if len(head) < 4:
            raise Closed
        data = self.stream.read(struct.unpack(">I", head)[0])
        return self._take_apart(chr(data[0]), data[1:])

    def _take_apart(self, command, data):
        def texts(p):
            return tuple(s.decode("utf-8", "surrogateescape")
                         for s in p[:-1].split(b"\0"))

        if command == "O":
            return (command, *struct.unpack(">III", data[:12]))
        if command in "im":
            return (command, struct.unpack(">I", data[:4])[0],
                    *texts(data[4:]))
        if command == "h":
            return (command, *texts(data))
        if command == "y":
            return command, texts(data)[0].replace("%%", "%")
        return (command, data) if data else (command,)

    def is_closed(self):
        """Did the milter close, with nothing more to read?"""
        try:
            self.recv()
        except Closed:
            return True
        return False

    # ---- events

    def negotiate(self, version, actions, protocol):
        self.send(packet("O", struct.pack(">III", version, actions, protocol)))
        answer = self.recv()
        _, self.version, self.actions, self.protocol = answer
        if self.actions & ~actions or self.protocol & ~protocol or \
                self.version > version:
            raise AssertionError("not what was offered: %r" % (answer,))
        return answer

    def macros(self, event, macros=None):
        pairs = [x for pair in (macros or {}).items() for x in pair]
        self.send(packet("D", event.encode() + strings(*pairs)))

    def event(self, event, data=b"", macros=None):
        """One event unless it is not wanted."""
        skip, quiet = FLAGS[event]
        if self.protocol & skip:
            return None
        self.macros(event, macros)
        self.send(packet(event, data))
        return None if self.protocol & quiet else self.recv()

    def connect(self, host="client.example", addr="192.0.2.1", port=4660,
                family="4", macros=None):
        data = strings(host) + family.encode()
        if family != "U":
            data += struct.pack(">H", port) + strings(addr)
        return self.event("C", data, macros)

    def helo(self, name="client.example", macros=None):
        return self.event("H", strings(name), macros)

    def mail(self, sender, *params, macros=None):
        return self.event("M", strings(sender, *params), macros)

    def rcpt(self, recipient, *params, macros=None):
        return self.event("R", strings(recipient, *params), macros)

    def data(self, macros=None):
        return self.event("T", b"", macros)

    def header(self, name, value, macros=None):
        """value: what follows the colon."""
        if not self.protocol & HEADER_SPACE and value.startswith(" "):
            value = value[1:]
        return self.event("L", strings(name, value), macros)

    def eoh(self, macros=None):
        return self.event("N", b"", macros)

    def body(self, data, macros=None):
        """In chunks as Postfix sends them; the last answer."""
        answer = None
        for at in range(0, len(data), CHUNK):
            answer = self.event("B", data[at:at + CHUNK], macros)
        return answer

    def end(self, macros=None):
        """All that is answered: changes, then the verdict."""
        self.macros("E", macros)
        self.send(packet("E"))
        return self.actions_until_verdict()

    def actions_until_verdict(self):
        actions = [self.recv()]
        while actions[-1][0] not in FINAL:
            actions.append(self.recv())
        return actions

    def abort(self):
        self.send(packet("A"))

    def quit(self):
        self.send(packet("Q"))

    def quit_new(self):
        self.send(packet("K"))

    def message(self, sender, raw, recipients=("<c@d.example>",), macros=None):
        """A whole message from its bytes, with CRLF; the actions."""
        head, _, body = raw.partition(b"\r\n\r\n")
        fields = []
        for line in head.split(b"\r\n"):
            if line[:1] in (b" ", b"\t") and fields:
                fields[-1] += b"\n" + line
            elif line:
                fields.append(line)
        self.mail(sender, macros=macros)
        for recipient in recipients:
            self.rcpt(recipient, macros=macros)
        self.data(macros)
        for field in fields:
            name, _, value = field.partition(b":")
            self.header(name.decode("utf-8", "surrogateescape"),
                        value.decode("utf-8", "surrogateescape"), macros)
        self.eoh(macros)
        self.body(body, macros)
        return self.end(macros)
