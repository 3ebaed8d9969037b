"""A real sshd on loopback for tests, with users of its own.

    host = SshHost(dir)                 # keys, users, a mount namespace
    with host.sshd("MaxAuthTries 3") as d:
        d.port

Its users are in files that only this sshd and what it starts can see: root,
"alice" without rights, "sue" with sudo, "doris" with doas, "noisy", whose
shell greets, and "csh", whose shell is one that reads no sh. Their home
directories and authorized keys are in dir; nothing of the machine changes.
"""
import os
import random
import shutil
import subprocess
import time

from sandbox import port_is_free

SSHD = "/usr/sbin/sshd"
USERS = {"root": 0, "alice": 61001, "sue": 61002, "doris": 61003,
         "noisy": 61004, "odd": 61005}


def skip_reason():
    """Why there can be no sshd here, or None."""
    if os.geteuid() != 0:
        return "not root"
    for program in SSHD, "ssh-keygen", "ssh-agent", "unshare":
        if not shutil.which(program):
            return program + " is not installed"
    done = subprocess.run(["unshare", "-m", "--propagation", "private",
                           "mount", "-t", "tmpfs", "tmpfs", "/run"],
                          capture_output=True)
    return None if done.returncode == 0 else "no mount namespaces here"


def free_port():
    while True:
        port = random.randrange(10000, 32000)
        if port_is_free(port):
            return port


def keygen(path, kind, passphrase="", *options):
    """Make a key; returns its public line, without the comment."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C",
                    os.path.basename(path), "-f", path, *options], check=True)
    with open(path + ".pub") as f:
        return " ".join(f.read().split()[:2])


def write(path, text, mode=0o644):
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


class SshHost:
    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o755)
        self.folder = folder
        self.keys = {}          # of the host: kind -> public line
        for name in "host", "auth", "home", "etc":
            os.makedirs(self.path(name))
        for kind in "ed25519", "ecdsa", "rsa":
            self.keys[kind] = keygen(self.path("host", kind), kind)
        self.make_users()

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def make_users(self):
        passwd, shadow = [], []
        for name, uid in USERS.items():
            home = self.path("home", name)
            shell = "/bin/bash"
            os.makedirs(home)
            os.chown(home, uid, uid)
            if name == "odd":
                shell = write(self.path("etc", "odd"), ODD_SHELL, 0o755)
            passwd.append(f"{name}:x:{uid}:{uid}::{home}:{shell}")
            shadow.append(f"{name}:*:19000:0:99999:7:::")
        passwd.append("sshd:x:105:65534::/run/sshd:/usr/sbin/nologin")
        write(self.path("home", "noisy", ".bashrc"),
              "echo Welcome to this host\necho a warning >&2\n")
        etc = {"passwd": passwd, "shadow": shadow,
               "group": [f"{n}:x:{u}:" for n, u in USERS.items()],
               "sudoers": ["root ALL=(ALL) ALL", "sue ALL=(ALL) NOPASSWD: ALL",
                           "alice ALL=(ALL) ALL"],
               "doas.conf": ["permit nopass doris as root"]}
        for name, lines in etc.items():
            mode = 0o644 if name in ("passwd", "group") else 0o440
            write(self.path("etc", name), "\n".join(lines) + "\n", mode)

    def authorize(self, user, *publics):
        write(self.path("auth", user), "".join(p + "\n" for p in publics))

    def sshd(self, *lines, kinds=("ed25519", "ecdsa", "rsa"),
             listen="127.0.0.1", port=None):
        return Sshd(self, lines, kinds, listen, port)


# reads words, and nothing of sh's other than running what it is told
ODD_SHELL = """#!/usr/bin/python3
import os, shlex, sys
words = shlex.split(sys.argv[2])
os.execvp(words[0], words)
"""


class Sshd:
    def __init__(self, host, lines, kinds, listen, port):
        self.port = port or free_port()
        self.host = host
        conf = [*lines, f"Port {self.port}", f"ListenAddress {listen}",
                "UsePAM no", "PidFile none", "StrictModes no",
                "PasswordAuthentication no", "KbdInteractiveAuthentication no",
                "PermitRootLogin prohibit-password", "LogLevel VERBOSE",
                f"AuthorizedKeysFile {host.path('auth')}/%u"]
        conf += [f"HostKey {host.path('host', kind)}" for kind in kinds]
        self.conf = write(host.path(f"sshd-{self.port}.conf"),
                          "\n".join(conf) + "\n")
        self.log = host.path(f"sshd-{self.port}.log")
        self.process = None

    def script(self):
        """A /run and an /etc of its own, the latter with our users."""
        return "\n".join([
            "set -e", "mount -t tmpfs tmpfs /run", "mkdir /run/sshd",
            "cp -a /etc /run/etc",
            f"cp -a {self.host.path('etc')}/. /run/etc/",
            "mount --bind /run/etc /etc",
            f"exec {SSHD} -D -e -f {self.conf}"])

    def __enter__(self):
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                ["unshare", "-m", "--propagation", "private", "sh", "-c",
                 self.script()], stdout=log, stderr=log,
                stdin=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while "Server listening" not in self.logged():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("sshd does not start:\n" + self.logged())
            time.sleep(0.02)
        return self

    def logged(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def __exit__(self, *exc):
        self.process.terminate()
        self.process.wait()
