"""A client of Dovecot's dict protocol, and a role that serves it, for tests.

    with Role(["doveauth", sock, ini], sock) as role:
        c = DictClient(sock)
        c.lookup("shared/userdb/a@b", "a@b")        -> ("O", "{...}")
        t = c.begin("a@b")
        c.set(t, "priv/x/devicetoken", "abc")
        c.commit(t)                                 -> ("O", ["1"])
"""
import os
import signal
import socket
import subprocess
import tempfile
import time

BINARY = os.environ.get("CHATMAIL", "build/chatmail")

_ESCAPES = {"\x01": "1", "\t": "t", "\r": "r", "\n": "n"}
_LETTERS = {v: k for k, v in _ESCAPES.items()}


def escape(text):
    return "".join("\x01" + _ESCAPES[c] if c in _ESCAPES else c for c in text)


def unescape(text):
    out, it = [], iter(text)
    for c in it:
        if c == "\x01":
            c = next(it, "")
            c = _LETTERS.get(c, c)
        out.append(c)
    return "".join(out)


class DictClient:
    """One connection. hello is the first line, None to send none."""

    def __init__(self, path, hello="H3\t2\t0\t\ttest", timeout=20):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.buffer = b""
        self.next_id = 1
        if hello is not None:
            self.send(hello + "\n")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        """Bytes, or text as UTF-8, exactly as they are."""
        if isinstance(data, str):
            data = data.encode("utf-8", "surrogateescape")
        self.sock.sendall(data)

    def command(self, letter, *fields):
        """One line with escaped fields."""
        self.send(letter + "\t".join(escape(str(f)) for f in fields) + "\n")

    def recv_line(self, timeout=None):
        """The next line without its LF, still escaped; None at the end of
        the connection; socket.timeout when nothing comes."""
        if timeout is not None:
            self.sock.settimeout(timeout)
        while b"\n" not in self.buffer:
            try:
                chunk = self.sock.recv(65536)
            except ConnectionError:
                chunk = b""
            if not chunk:
                return None
            self.buffer += chunk
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode("utf-8", "surrogateescape")

    def is_closed(self, timeout=10):
        """Did the server close, with nothing more to read?"""
        return self.recv_line(timeout) is None and not self.buffer

    def reply(self, timeout=None):
        """One reply to a lookup: (letter, value); None at the end."""
        line = self.recv_line(timeout)
        return line if line is None else (line[:1], unescape(line[1:]))

    def commit_reply(self, timeout=None):
        """One reply to a commit: (letter, [id, error ...]); None at the end."""
        line = self.recv_line(timeout)
        if line is None:
            return None
        return line[:1], [unescape(f) for f in line[1:].split("\t")]

    def lookup(self, key, user=""):
        self.command("L", key, user)
        return self.reply()

    def iterate(self, path, user="", flags=9, max_rows=0):
        """[(key, value), ...], or ("F", error)."""
        self.command("I", flags, max_rows, path, user)
        rows = []
        while True:
            line = self.recv_line()
            if line is None:
                return None
            if line == "":
                return rows
            if line[0] == "F":
                return "F", unescape(line[1:])
            if line[0] != "O":
                return line
            # a row without its second field kills Dovecot 2.3
            rows.append(tuple(unescape(f) for f in line[1:].split("\t")))

    def begin(self, user="", ident=None):
        """Begin a transaction; returns its id."""
        if ident is None:
            ident = str(self.next_id)
            self.next_id += 1
        self.command("B", ident, user)
        return ident

    def set(self, ident, key, value=""):
        self.command("S", ident, key, value)

    def unset(self, ident, key):
        self.command("U", ident, key)

    def commit(self, ident):
        self.command("C", ident)
        return self.commit_reply()

    def rollback(self, ident):
        self.command("R", ident)

    def set_one(self, user, key, value=""):
        """A transaction of one set; the commit's reply."""
        ident = self.begin(user)
        self.set(ident, key, value)
        return self.commit(ident)

    def unset_one(self, user, key):
        ident = self.begin(user)
        self.unset(ident, key)
        return self.commit(ident)


class Role:
    """A resident role as a child: waits until sock takes connections. Its
    stderr is kept in a file and read by log()."""

    def __init__(self, args, sock, env=None, binary=None):
        self.stderr = tempfile.TemporaryFile()
        self.sock = sock
        self.process = subprocess.Popen(
            [binary or BINARY, *args],
            stdin=subprocess.DEVNULL,
            stdout=self.stderr,
            stderr=self.stderr,
            env={**os.environ, **(env or {})},
        )
        self.pid = self.process.pid
        self._wait_for_socket()

    def _wait_for_socket(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"ended at once: {self.log()}")
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                s.connect(self.sock)
                return
            except OSError:
                time.sleep(0.005)
            finally:
                s.close()
        self.kill()
        raise RuntimeError(f"never listened on {self.sock}: {self.log()}")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill()

    def log(self):
        size = os.fstat(self.stderr.fileno()).st_size
        text = os.pread(self.stderr.fileno(), size, 0)
        return text.decode("utf-8", "replace")

    def wait_log(self, text, timeout=10):
        """Wait until the log has that text; whether it has."""
        return wait_for(lambda: text in self.log(), timeout)

    def signal(self, number):
        self.process.send_signal(number)

    def hup(self):
        self.signal(signal.SIGHUP)

    def stop(self, timeout=15):
        """SIGTERM and wait; the exit code, None when it did not end."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout=15):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def wait_for(condition, timeout=10, pause=0.01):
    """Poll until condition() is true; its last value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(pause)
