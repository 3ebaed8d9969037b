"""Between Dovecot and doveauth on a test host: questions about some users get
answers that doveauth would never give; all others are handed on.

    with Proxy(host, "_chat.test") as proxy:
        for name, want in proxy.users(): ...    # password: PASSWORD
"""
import os
import socket
import threading
import time

PASSWORD = "s3kr1t-of-proxy"
DIRECTORY = "/run/doveauth/"
SOCKET, REAL = DIRECTORY + "doveauth.socket", DIRECTORY + "real.socket"
GOOD = '{"addr": "x", "home": "/home/vmail/mail/%%s/%%s", "uid": "vmail", ' \
    '"gid": "vmail", "password": "{PLAIN}%s"}' % PASSWORD


def _slowly(conn, text):
    for byte in text:
        conn.sendall(bytes([byte]))
        time.sleep(.0005)


def _in_two(conn, text):
    conn.sendall(text[:40])
    time.sleep(.5)
    conn.sendall(text[40:])


def _endless(conn, text):
    for _ in range(100000):
        conn.sendall(b"x" * 4096)


def _cut(conn, text):
    conn.sendall(text[:-1])


def _silent(conn, text):
    conn.settimeout(120)
    conn.recv(1)


def _say(answer):
    return lambda conn, text: conn.sendall(answer)


def _more(member):
    return lambda conn, text: conn.sendall(text[:-2] + member + b"}\n")


# local part: result of a login, what is done with (connection, good answer)
TRICKS = {
    "slowslow1": ("ok", _slowly),
    "intwoparts": ("ok", _in_two),
    "longanswer": ("ok", _more(b', "more": "' + b"x" * 60000 + b'"')),
    "jsonescape": ("ok", _more(
        b', "a\\u00e4\\ud83d\\ude00": "\\"\\\\\\/\\b\\f\\n\\u0041", "n": -12')),
    "tabescapes": ("ok", _more(b',\1t"more"\1n:\1r"x"')),
    "unknown01": ("failed", _say(b"N\n")),
    "otherhash": ("failed", _say(b'O{"password": "{PLAIN}other"}\n')),
    "failing01": ("unavailable", _say(b"Ftemporary failure\n")),
    "endless01": ("unavailable", _endless),
    "cutanswer": ("unavailable", _cut),
    "closed001": ("unavailable", _say(b"")),
    "emptyline": ("unavailable", _say(b"\n")),
    "noletters": ("unavailable", _say(b"XYZ\n")),
    "justanoo1": ("unavailable", _say(b"O\n")),
    "nothing01": ("unavailable", _say(b"O{}\n")),
    "nullhash1": ("unavailable", _say(b'O{"password": null}\n')),
    "nohash001": ("unavailable", _say(b'O{"addr": "x"}\n')),
    "halfjson1": ("unavailable", _say(b'O{"password": "{PLAIN}\n')),
    "behindit1": ("unavailable", _more(b"}, {")),
    "badscheme": ("unavailable", _say(b'O{"password": "{NONE-SUCH}x"}\n')),
    "silent001": ("unavailable", _silent),
}


class Proxy:
    def __init__(self, host, domain):
        self.host, self.domain = host, domain
        self.top = "/proc/%d/root" % host.leader()

    def _sh(self, text):
        code, out, err = self.host.inside(["sh", "-c", text])
        if code:
            raise RuntimeError(out + err)

    def __enter__(self):
        self._sh("mv %s %s" % (SOCKET, REAL))
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.top + SOCKET)
        self.server.listen(200)
        self._sh("chown vmail %s" % SOCKET)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._sh("mv %s %s" % (REAL, SOCKET))
        self.server.close()

    def users(self):
        """(address, result of a login) of all tricks but for silence."""
        return [("%s@%s" % (name, self.domain), want)
                for name, (want, _) in TRICKS.items() if name != "silent001"]

    def silent(self):
        return "silent001@" + self.domain

    def _accept(self):
        while True:
            try:
                conn = self.server.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(conn,),
                             daemon=True).start()

    def _serve(self, conn):
        with conn:
            got = b""
            while got.count(b"\n") < 2:
                more = conn.recv(65536)
                if not more:
                    return
                got += more
            question = got.split(b"\n")[1]
            name = question.split(b"\t")[-1].split(b"@")[0].decode()
            try:
                if name not in TRICKS:
                    self._hand_on(conn, got)
                elif question.startswith(b"Lshared/userdb/"):
                    conn.sendall(self._good(name))
                else:
                    TRICKS[name][1](conn, self._good(name))
            except OSError:
                pass

    def _good(self, name):
        user = "%s@%s" % (name, self.domain)
        return b"O" + (GOOD % (self.domain, user)).encode() + b"\n"

    def _hand_on(self, conn, got):
        with socket.socket(socket.AF_UNIX) as real:
            real.connect(self.top + REAL)
            real.sendall(got)
            while True:
                answer = real.recv(65536)
                conn.sendall(answer)
                if not answer or answer.endswith(b"\n"):
                    return
