#!/usr/bin/env python3
"""src/host/ssh and a real sshd: whom it trusts, how it logs in, and what it says
when that cannot be."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import sshd
import tap
from sshclient import (CLIENT, FOLDER, HOST, KEYS, Home, fingerprint,
                       known_line)

ED, OTHER = KEYS["id_ed25519"][0], KEYS["other"][0]
ED_PRINT = fingerprint(HOST.path("host", "ed25519"))


# ---- whom it trusts ----------------------------------------------------------

def test_host_keys(d):
    name, at = f"[127.0.0.1]:{d.port}", f"127.0.0.1:{d.port}"
    ours = {kind: f"{name} {public}\n" for kind, public in HOST.keys.items()}
    login = ("login", at)
    right = f"logged in: root@{at}\n"
    changed = f"error: {at}: the host key has changed: it shows "
    wrong = f"{name} {KEYS['other'][1]}\n"
    hashed = HOST.path("hashed")
    sshd.write(hashed, ours["ed25519"])
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", hashed], check=True,
                   capture_output=True)
    with open(hashed) as f:
        hashed = f.read()
    tap.ok(hashed.startswith("|1|"), "a hashed name")
    plain = ours["ed25519"].replace(name, "127.0.0.1")
    for what, known, want in [
            ("known by ed25519", ours["ed25519"], right),
            ("known by ecdsa, of which another is asked for first otherwise",
             ours["ecdsa"], right),
            ("a hashed name", hashed, right),
            ("two types", ours["ecdsa"] + ours["ed25519"], right),
            ("among others", wrong.replace(name, "other.test") +
             ours["ed25519"], right),
            ("without the port, as ssh does", plain, right),
            ("another key of the type", wrong,
             changed + f"ED25519 key {ED_PRINT}, but ~/.ssh/known_hosts:1 has "
             f"ED25519 key {fingerprint(OTHER)}."),
            ("another key, hashed", hashed.split()[0] + wrong[len(name):],
             changed),
            ("another key, hidden behind a right one without the port",
             wrong + plain, changed),
            ("a key of another type", f"{name} {KEYS['id_ecdsa'][1]}\n",
             changed),
            ("revoked", ours["ed25519"] + "@revoked * " +
             HOST.keys["ed25519"] + "\n",
             f"error: {at}: the host key is revoked: ~/.ssh/known_hosts:2 "
             f"says that ED25519 key {ED_PRINT}"),
            ("unknown", "", f"error: {at}: the host key is not known: ED25519 "
             f"key {ED_PRINT}."),
            ("only an authority", f"@cert-authority * {HOST.keys['rsa']}\n",
             f"error: {at}: the host key is not known: "),
            ("a broken file", "\0\xff\n@\n|1|x\n" + wrong.replace(name, "b"),
             f"error: {at}: the host key is not known: ")]:
        home = Home([ED], known)
        tap.like(home.run(*login), want, "host key: " + what)
        tap.is_(home.known(), known, "known_hosts is as it was")
    said = Home([ED], wrong).run(*login)
    tap.like(said, f"ssh-keygen -R '{name}'", "it says what to do")
    test_unknown(at, login, right, ours)


def test_unknown(at, login, right, ours):
    home = Home([ED])
    shutil.rmtree(home.ssh())
    os.makedirs(home.dir, exist_ok=True)
    tap.like(home.run("--answer", "no", "login", at), "is not known",
             "unknown, and no is answered")
    tap.is_(home.known(), None, "nothing is written")
    os.makedirs(home.ssh(), 0o700)
    shutil.copy(ED, home.ssh())
    os.rename(home.ssh(), home.dir + "/keep")
    said = home.run("-i", home.dir + "/keep/id_ed25519", "--answer", "yes",
                    *login)
    tap.like(said, f"question: {at} (127.0.0.1) is not known yet. Its ED25519 "
             f"key has the fingerprint\n  {ED_PRINT}\n", "the question")
    tap.like(said, right, "yes is answered")
    tap.is_(home.known(), ours["ed25519"], "the key is written")
    tap.is_((os.stat(home.ssh()).st_mode & 0o777,
             os.stat(home.ssh("known_hosts")).st_mode & 0o777),
            (0o700, 0o600), "and others cannot change that")
    said = home.run("-i", home.dir + "/keep/id_ed25519", *login)
    tap.is_(said, right, "it is not asked again")
    home = Home([ED], "b.test " + KEYS["other"][1])
    home.run("--answer", "yes", *login)
    tap.is_(home.known(), "b.test " + KEYS["other"][1] + "\n" +
            ours["ed25519"], "a last line without end stays one")
    for value, want in [("yes", "is not known: "), ("accept-new", right)]:
        home = Home([ED], config=f"StrictHostKeyChecking {value}\n")
        said = home.run(*login) if value == "accept-new" else \
            home.run("--answer", "yes", *login)
        tap.like(said, want, "StrictHostKeyChecking " + value)
        tap.ok("question" not in said, "nobody is asked")
    home = Home([ED], ours["ed25519"].replace("A", "B"),
                "StrictHostKeyChecking no\n")
    sshd.write(home.ssh("known_hosts"), known_line(
        at.split(":")[1], KEYS["other"][1]))
    tap.like(home.run(*login), "the host key has changed",
             "StrictHostKeyChecking no does not let a changed key pass")
    home = Home([ED], config="UserKnownHostsFile /dev/null\n")
    tap.like(home.run("--answer", "yes", *login), right,
             "UserKnownHostsFile /dev/null")
    home = Home([ED], ours["ed25519"])
    os.rename(home.ssh("known_hosts"), home.ssh("elsewhere"))
    sshd.write(home.ssh("config"), "UserKnownHostsFile ~/.ssh/none "
               "${HOME}/.ssh/elsewhere\n")
    tap.is_(home.run(*login), right, "UserKnownHostsFile with two files")
    os.remove(home.ssh("elsewhere"))
    os.mkdir(home.ssh("elsewhere"))
    tap.like(home.run(*login), f"error: {at}: its key cannot be verified: "
             "~/.ssh/elsewhere: ", "known_hosts that cannot be read")


def test_config(d):
    known = f"relay-key {HOST.keys['ed25519']}\n"
    config = f"""
Host relay other
    HostName 127.0.0.%n
Host relay
    HostName 127.0.0.1
"""
    tap.like(Home(config=config).run("login", "relay"),
             "HostName 127.0.0.%n: %n is not supported", "a bad HostName")
    config = f"""
# an alias
Include more
Host *.example !relay
    Port 1
Host relay
    HostName=127.0.0.1
    User "alice"
    HostKeyAlias relay-key
    IdentityFile ~/.ssh/mine
    IdentitiesOnly yes
Match host relay
    Port 2
"""
    home = Home(known=known, config=config)
    shutil.copy(ED, home.ssh("mine"))
    sshd.write(home.ssh("more"), f"Host rel*\nPort {d.port}\n")
    said = home.run("login", "relay")
    tap.like(said, f"logged in: alice@127.0.0.1:{d.port}\n",
             "an alias with user, port, key and an included file")
    tap.like(said, "notice: ~/.ssh/config:12: Match is not supported",
             "Match is left out and told")
    tap.like(home.run("login", "sue@relay"), "logged in: sue@",
             "the command line's user wins")
    tap.like(home.run("login", "relay:1"), "cannot connect to port 1: ",
             "the command line's port wins")
    sshd.write(home.ssh("config"), "Host relay\nPort no\n")
    tap.is_(home.run("login", "relay"), "error: ~/.ssh/config:2: expected a "
            "number from 1 to 65535, got no\n", "a mistake in it")
    sshd.write(home.ssh("config"), "ProxyJump bastion\n")
    tap.like(home.run("login", f"127.0.0.1:{d.port}"), "ProxyJump and "
             "ProxyCommand of ~/.ssh/config are not supported", "ProxyJump")
    tap.like(home.run("login", "a b"), 'error: "a b": expected [user@]host',
             "no target")


# ---- logging in --------------------------------------------------------------

def old_rsa():
    """Is libssh2 older than 1.11?"""
    with socket.create_server(("127.0.0.1", 0)) as s:
        p = Home().start("--answer-secs", 10, "login",
                         "127.0.0.1:%d" % s.getsockname()[1])
        c = s.accept()[0]
        banner = c.recv(100).decode()
        c.close()
        p.communicate()
    m = re.match(r"SSH-2\.0-libssh2_1\.(\d+)\.", banner)
    return int(m[1]) < 11 if m else False


OLD_RSA = old_rsa()
RSA_ADVICE = "libssh2 before 1.11 can use RSA keys only with SHA-1"


def test_key_files(d):
    at = f"127.0.0.1:{d.port}"
    known = known_line(d.port, HOST.keys["ed25519"])
    right = f"logged in: root@{at}\n"
    for name, passphrase in [
            ("id_ed25519", None), ("id_ecdsa", None), ("pem", None),
            ("pkcs8", None), ("locked", "open sesame"),
            ("pem_locked", "open sesame")]:
        args = ["--passphrase", passphrase] if passphrase else []
        for with_pub in True, False:
            home = Home([KEYS[name][0]], known)
            if not with_pub:
                os.remove(home.ssh(name + ".pub"))
            said = home.run("-i", home.ssh(name), *args, "login", at)
            tap.like(said, right, f"-i {name}" +
                     ("" if with_pub else ", no .pub"))
            if passphrase:
                tap.is_(said.count("prompt: Passphrase for ~/.ssh/" + name), 1,
                        "the passphrase is asked for")
    for name in "id_ed25519", "id_ecdsa":
        tap.is_(Home([KEYS[name][0]], known).run("login", at), right,
                "~/.ssh/" + name)
    home = Home([KEYS["locked"][0]], known)
    locked = home.ssh("locked")
    tap.like(home.run("-i", locked, "login", at), "~/.ssh/locked is encrypted, "
             f"and its passphrase was not given: ssh-add {locked}",
             "an encrypted key and nobody to ask")
    said = home.run("-i", locked, "--passphrase", "wrong", "login", at)
    tap.is_(said.count("prompt:"), 3, "a wrong passphrase, three times")
    tap.like(said, "~/.ssh/locked is encrypted, and the passphrase is wrong",
             "it says so")
    said = Home([KEYS["pem_locked"][0]], known, "IdentityFile ~/.ssh/"
                "pem_locked\n").run("--passphrase", "wrong", "login", at)
    tap.like(said, "the passphrase is wrong", "the same for PEM")
    home = Home([ED, KEYS["locked"][0]], known, "IdentityFile ~/.ssh/none\n"
                "IdentityFile ~/.ssh/locked\nIdentityFile ~/.ssh/id_ed25519\n")
    tap.is_(home.run("login", at), right, "after an encrypted key another")


def test_rsa(d):
    at = f"127.0.0.1:{d.port}"
    known = known_line(d.port, HOST.keys["ed25519"])
    home = Home([KEYS["id_rsa"][0]], known)
    said = home.run("login", at)
    if OLD_RSA:
        tap.like(said, "~/.ssh/id_rsa was refused, as " + RSA_ADVICE,
                 "RSA with SHA-1 is refused, and it says what to do")
    else:
        tap.is_(said, f"logged in: root@{at}\n", "~/.ssh/id_rsa")
    with HOST.sshd("PubkeyAcceptedAlgorithms +ssh-rsa") as lax:
        at = f"127.0.0.1:{lax.port}"
        sshd.write(home.ssh("known_hosts"), known_line(
            lax.port, HOST.keys["ed25519"]))
        tap.is_(home.run("login", at), f"logged in: root@{at}\n",
                "a host that takes ssh-rsa")
        shutil.copy(KEYS["rsa_locked"][0], home.ssh())
        tap.like(home.run("-i", home.ssh("rsa_locked"), "--passphrase",
                          "open sesame", "login", at), "logged in: ",
                 "an encrypted RSA key in PEM")
    said = Home([ED], known_line(d.port, HOST.keys["rsa"])).run(
        "login", f"127.0.0.1:{d.port}")
    tap.like(said, "the host is known by its RSA key (~/.ssh/known_hosts:1), "
             "which it does not prove in the way that" if OLD_RSA else
             "logged in: ", "a host that is known by its RSA key alone")
    with HOST.sshd("HostKeyAlgorithms ssh-rsa,rsa-sha2-512", kinds=["rsa"]) \
            as only:
        sshd.write(home.ssh("known_hosts"), known_line(
            only.port, HOST.keys["rsa"]))
        tap.like(Home([ED], home.known()).run(
            "login", f"127.0.0.1:{only.port}"), "logged in: ",
            "a host that has an RSA key alone")


def test_no_key(d):
    at = f"127.0.0.1:{d.port}"
    known = known_line(d.port, HOST.keys["ed25519"])
    cannot = f"error: {at}: root cannot log in: "
    advice = f"(ssh-copy-id -p {d.port} root@127.0.0.1), or name another " \
        "with -i FILE"
    said = Home(known=known).run("login", at)
    tap.is_(said, cannot + "there is no key to try: none in ~/.ssh, and no "
            "agent. Let the host know your public key " + advice + "\n",
            "no key at all")
    home = Home([OTHER], known)
    other = home.ssh("other")
    said = home.run("-i", other, "login", at)
    tap.is_(said, cannot + "~/.ssh/other was refused. Let the host know your "
            "public key " + advice + "\n", "a key that the host does not know")
    tap.is_(home.run("-i", home.ssh("none"), "login", at), f"error: {at}: the "
            f"key file {home.ssh('none')} cannot be read: No such file or "
            "directory\n", "-i of no file")
    os.chmod(other, 0o644)
    tap.like(home.run("-i", other, "login", at), "~/.ssh/other may be read by "
             f"others: chmod 600 {other}", "a key that others may read")
    sshd.write(other, "nothing\n", 0o600)
    tap.like(home.run("-i", other, "login", at), "~/.ssh/other is no private "
             "key", "a file that is no key")
    tap.like(home.run("-i", other + ".pub", "login", at), "~/.ssh/other.pub is "
             "a public key, and the agent does not have its private key",
             "a public key")
    tap.like(home.run("login", "nobody-here@" + at), "nobody-here cannot log "
             "in: ", "no such user")
    with HOST.sshd("PubkeyAuthentication no", "PasswordAuthentication yes") \
            as p:
        sshd.write(home.ssh("known_hosts"), known_line(
            p.port, HOST.keys["ed25519"]))
        tap.like(home.run("login", f"root@127.0.0.1:{p.port}"),
                 "the host lets root log in by password alone, not with a key",
                 "a host without keys")
    with HOST.sshd("AuthenticationMethods publickey,password",
                   "PasswordAuthentication yes", "PermitRootLogin yes") as p:
        said = Home([ED], known_line(p.port, HOST.keys["ed25519"])).run(
            "login", f"127.0.0.1:{p.port}")
        tap.like(said, "the host takes the key of root, but demands password "
                 "as well, which is not supported", "a key is not enough")
    with HOST.sshd("MaxAuthTries 2") as p:
        home = Home([KEYS[n][0] for n in ("other", "id_ed25519")], known_line(
            p.port, HOST.keys["ed25519"]), "IdentityFile ~/.ssh/a\n"
            "IdentityFile ~/.ssh/b\nIdentityFile ~/.ssh/c\n")
        for n in "abc":
            sshd.keygen(home.ssh(n), "ed25519")
        tap.like(home.run("login", f"127.0.0.1:{p.port}"), "Too many "
                 "authentication failures", "more keys than the host takes")


class Agent:
    def __init__(self, *keys):
        self.path = os.path.join(FOLDER, "agent")
        self.process = subprocess.Popen(
            ["ssh-agent", "-D", "-a", self.path], stdout=subprocess.DEVNULL)
        while not os.path.exists(self.path):
            time.sleep(.01)
        for key in keys:
            subprocess.run(["ssh-add", "-q", key], check=True,
                           env={**os.environ, "SSH_AUTH_SOCK": self.path},
                           stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        self.process.wait()
        if os.path.exists(self.path):
            os.remove(self.path)


def test_agent(d):
    at = f"127.0.0.1:{d.port}"
    known = known_line(d.port, HOST.keys["ed25519"])
    right = f"logged in: root@{at}\n"
    home = Home([KEYS["locked"][0]], known)
    with Agent(OTHER, ED) as a:
        tap.is_(home.run("login", at, agent=a.path), right, "the agent's key")
        sshd.write(home.ssh("config"), f"IdentityAgent {a.path}\n")
        tap.is_(home.run("login", at), right, "IdentityAgent")
        sshd.write(home.ssh("config"), "IdentityAgent none\n")
        tap.like(home.run("login", at, agent=a.path), "no key to try",
                 "IdentityAgent none")
        sshd.write(home.ssh("config"), "IdentitiesOnly yes\n")
        tap.like(home.run("login", at, agent=a.path), "no key to try",
                 "IdentitiesOnly without such a key")
        sshd.write(home.ssh("config"), "IdentitiesOnly yes\n"
                   "IdentityFile ~/.ssh/public\n")
        shutil.copy(ED + ".pub", home.ssh("public.pub"))
        tap.is_(home.run("login", at, agent=a.path), right,
                "IdentitiesOnly and the .pub of the agent's key")
        shutil.copy(ED + ".pub", home.ssh("public"))
        tap.is_(home.run("login", at, agent=a.path), right,
                "IdentityFile is a public key")
    os.remove(home.ssh("config"))
    with Agent(OTHER) as a:
        said = home.run("login", at, agent=a.path)
        tap.like(said, "the agent's ED25519 key other was refused. ",
                 "the agent has another key")
        tap.is_(Home([ED], known).run("login", at, agent=a.path), right,
                "after it the files")
    with Agent(KEYS["id_ecdsa"][0]) as a:
        tap.is_(home.run("login", at, agent=a.path), right, "ECDSA")
    with Agent(KEYS["id_rsa"][0]) as a:
        tap.like(home.run("login", at, agent=a.path),
                 RSA_ADVICE if OLD_RSA else right, "RSA")
    said = Home([ED], known).run("login", at, agent="/nonexistent/agent")
    tap.is_(said, f"notice: {at}: doing without ssh-agent: /nonexistent/agent: "
            "No such file or directory\n" + right, "no agent is there")
    test_broken_agents(at, known, right)


def test_broken_agents(at, known, right):
    """Agents that close or talk nonsense."""
    for what, answer in [("closes", b""), ("is cut", b"\0\0\0\x09\x0c\0"),
                         ("sends too much", b"\xff\xff\xff\xff\x0c"),
                         ("refuses", b"\0\0\0\x01\x05")]:
        path = os.path.join(FOLDER, "broken")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
            s.listen()
            p = Home([ED], known).start("login", at, agent=path)
            c = s.accept()[0]
            c.recv(5)
            c.sendall(answer)
            c.close()
            said = p.communicate()[0]
        os.remove(path)
        tap.like(said, f"notice: {at}: doing without ssh-agent: the agent",
                 f"an agent that {what}")
        tap.like(said, right, "is done without")


# ---- connecting --------------------------------------------------------------

class Server(threading.Thread):
    """A port at which something else than sshd is."""

    def __init__(self, talk):
        super().__init__(daemon=True)
        self.talk = talk
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        try:
            c = self.socket.accept()[0]
            c.settimeout(20)
            self.talk(c)
            c.close()
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()


def http(c):
    c.recv(100)
    c.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n"
              b"Connection: close\r\n\r\n<html>\x1b[31m</html>\r\n")


def endless(c):
    while True:
        c.sendall(b"220 mail.example ESMTP\x07 " + b"x" * 100 + b"\r\n")
        time.sleep(.05)


def quiet(c):
    while c.recv(100):
        pass


def half(c):
    c.sendall(b"SSH-2.0-half\r\n")
    quiet(c)


def broken(c):
    c.sendall(b"SSH-2.0-broken\r\n" + b"\0\0\0\x0c" + b"\xff" * 400)
    quiet(c)


def test_connecting(d):
    for what, talk, want in [
            ("says nothing", quiet, "port %d is open, but no SSH server "
             "answers on it"),
            ("speaks HTTP", http, "there is no SSH server on port %d, it says "
             '"'),
            ("never stops", endless, "there is no SSH server on port %d, it "
             'says "220 mail.example ESMTP\\x07 xxx'),
            ("closes at once", lambda c: c.recv(100), "the connection is lost "
             "while greeting the host"),
            ("sends NULs", lambda c: c.sendall(bytes(100)), "there is no SSH "
             "server on port %d"),
            ("stops after its banner", half, "greeting the host takes too "
             "long"),
            ("talks nonsense after its banner", broken, "")]:
        with Server(talk) as s:
            said = Home([ED]).run("--answer-secs", 2, "login",
                                  f"127.0.0.1:{s.port}")
        if "%d" in want:
            want = want % s.port
        tap.like(said, f"error: 127.0.0.1:{s.port}: {want}",
                 f"a server that {what}")
        tap.is_(said.count("\n"), 1, "one line")
    port = sshd.free_port()
    tap.is_(Home().run("login", f"127.0.0.1:{port}"), "error: 127.0.0.1: "
            f"cannot connect to port {port}: 127.0.0.1: Connection refused\n",
            "nothing there")
    tap.like(Home().run("login", "no-such-host.invalid"), "error: "
             "no-such-host.invalid: cannot connect to port 22: ", "no name")
    with full_port() as (port, _):
        tap.is_(Home().run("--connect-secs", 1, "login", f"127.0.0.1:{port}"),
                f"error: 127.0.0.1: cannot connect to port {port}: 127.0.0.1: "
                "no answer in 1 s\n", "a host that does not answer")
    test_addresses(d)


class full_port:
    """A port whose queue is full: connecting to it takes for ever."""

    def __init__(self, address="127.0.0.1", port=0):
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.server = socket.socket(self.family)
        self.server.bind((address, port))
        self.server.listen(0)
        self.at = self.server.getsockname()[:2]
        self.clients = []

    def __enter__(self):
        for _ in range(4):
            c = socket.socket(self.family)
            c.setblocking(False)
            c.connect_ex(self.at)
            self.clients.append(c)
        time.sleep(.2)
        return self.at[1], self

    def __exit__(self, *exc):
        for c in self.clients:
            c.close()
        self.server.close()


def test_addresses(d):
    """A name with several addresses, in a /etc/hosts of the client's own."""
    hosts = sshd.write(os.path.join(FOLDER, "hosts"),
                       "127.0.0.2 two.test\n127.0.0.1 two.test\n")
    home = Home([ED], known_line(d.port, HOST.keys["ed25519"], "two.test"))

    def login():
        return subprocess.run(
            ["unshare", "-m", "--propagation", "private", "sh", "-c",
             f"mount --bind {hosts} /etc/hosts && exec {CLIENT} login "
             f"two.test:{d.port}"], env={**os.environ, "HOME": home.dir},
            capture_output=True, text=True, timeout=120).stdout

    tap.is_(login(), f"logged in: root@two.test:{d.port}\n",
            "one address refuses, the other is taken")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        tap.skip("IPv6", "there is none here")
    else:
        with HOST.sshd(listen="::1") as six:
            said = Home([ED], known_line(six.port, HOST.keys["ed25519"],
                                         "::1")).run("login",
                                                     f"[::1]:{six.port}")
            tap.is_(said, f"logged in: root@[::1]:{six.port}\n", "IPv6")
    with full_port("127.0.0.2", d.port):
        tap.is_(login(), f"logged in: root@two.test:{d.port}\n",
                "one address is silent, the other is taken")


# ---- a person at the terminal ------------------------------------------------

def at_tty(answers, *args, home=None):
    """What the client shows on a terminal, and what it prints; each answer is
    typed when its prompt is there."""
    pid, fd = os.forkpty()
    if pid == 0:
        os.environ["HOME"] = home.dir if home else FOLDER
        os.environ.pop("SSH_AUTH_SOCK", None)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execv(CLIENT, [CLIENT, *map(str, args)])
    watchdog = threading.Timer(120, os.kill, (pid, signal.SIGKILL))
    watchdog.start()
    shown = ""
    for prompt, answer in [*answers, (None, None)]:
        try:
            while prompt is None or prompt not in shown:
                more = os.read(fd, 4096)
                if not more:
                    break
                shown += more.decode()
            if answer is not None:
                os.write(fd, answer.encode())
                shown = shown.replace(prompt, "<asked>")
        except OSError:         # the terminal's other end is closed
            break
    watchdog.cancel()
    os.close(fd)
    return shown.replace("\r\n", "\n"), os.waitpid(pid, 0)[1]


def test_asking(d):
    tap.is_(at_tty([("secret: ", "abc d\n")], "ask", "secret"),
            ("<asked>\nsecret: [abc d]\n", 0), "a secret is not shown")
    tap.is_(at_tty([("secret: ", "\n")], "ask", "secret"),
            ("<asked>\nsecret: none\n", 0), "an empty one is none")
    tap.is_(at_tty([("secret: ", "ab\x03")], "ask", "secret")[1],
            signal.SIGINT, "Ctrl-C ends it")
    tap.like(at_tty([("really? ", "ja\n"), ("or \"no\": ", "YES\n")], "ask",
                    "yes")[0], "answer: yes\n", "yes at the second time")
    tap.like(at_tty([("really? ", "no\n")], "ask", "yes")[0], "answer: no\n",
             "no")
    tap.like(at_tty([("really? ", "y\n")] + [("or \"no\": ", "y\n")] * 2,
                    "ask", "yes")[0], "answer: no\n", "neither, three times")
    tap.is_(Home().run("ask", "yes"), "answer: no\n", "no terminal")
    tap.is_(Home().run("ask", "secret"), "secret: none\n",
            "no terminal for a secret")
    home = Home([KEYS["locked"][0]])
    shown, _ = at_tty([("(yes/no) ", "yes\n"),
                       ("Passphrase for ~/.ssh/locked: ", "open sesame\n")],
                      "--tty", "-i", home.ssh("locked"), "login",
                      f"127.0.0.1:{d.port}", home=home)
    tap.like(shown, f"logged in: root@127.0.0.1:{d.port}",
             "host key and passphrase are asked for")


with HOST.sshd() as d:
    for test in (test_host_keys, test_config, test_key_files, test_rsa,
                 test_no_key, test_agent, test_connecting, test_asking):
        if len(sys.argv) < 2 or test.__name__ in sys.argv[1:]:
            test(d)
tap.done()
