"""t/unit/ssh as a client of a real sshd, for the tests of src/host/ssh.

    FOLDER      temporary, ends with the test
    KEYS        name -> (private key file, public line)
    HOST        an sshd.SshHost that takes all KEYS but "other", of all users
    Home()      a home directory; .run("run", "host:port", "id") in it
"""
import atexit
import os
import shutil
import subprocess
import tempfile
import time

import sshd
import tap

CLIENT = os.path.join(os.environ.get("BUILD", "build"), "t/unit/ssh")
if sshd.skip_reason():
    tap.skip_all(sshd.skip_reason())
if not os.path.exists(CLIENT):
    tap.skip_all("no " + CLIENT)

FOLDER = tempfile.mkdtemp(prefix="chatmail-ssh-", dir="/tmp")
atexit.register(shutil.rmtree, FOLDER, True)
os.chmod(FOLDER, 0o755)         # the host's users have to get in

# libssh2 1.10 leaks at new session keys, at a second list of methods, and an
# ECDSA key; a stack through libcrypto is seen whole only when unwound slowly.
LEAKS = sshd.write(os.path.join(FOLDER, "leaks"), "leak:libssh2\n")
os.environ["LSAN_OPTIONS"] = f"suppressions={LEAKS}:print_suppressions=0:" \
    "fast_unwind_on_malloc=0"


class Home:
    """A home directory of the operator."""

    count = 0

    def __init__(self, keys=(), known=None, config=None):
        Home.count += 1
        self.dir = os.path.join(FOLDER, f"home{Home.count}")
        os.makedirs(self.ssh())
        for key in keys:
            shutil.copy(key, self.ssh())
            if os.path.exists(key + ".pub"):
                shutil.copy(key + ".pub", self.ssh())
        if known is not None:
            sshd.write(self.ssh("known_hosts"), known)
        if config is not None:
            sshd.write(self.ssh("config"), config)

    def ssh(self, *names):
        return os.path.join(self.dir, ".ssh", *names)

    def known(self):
        try:
            with open(self.ssh("known_hosts")) as f:
                return f.read()
        except FileNotFoundError:
            return None

    def start(self, *args, agent=None, **more):
        env = {k: v for k, v in os.environ.items() if k != "SSH_AUTH_SOCK"}
        env["HOME"] = self.dir
        if agent:
            env["SSH_AUTH_SOCK"] = agent
        return subprocess.Popen([CLIENT, *map(str, args)], env=env,
                                stdout=subprocess.PIPE, text=True,
                                stdin=subprocess.DEVNULL, errors="replace",
                                stderr=subprocess.STDOUT,
                                start_new_session=True, **more)

    def run(self, *args, agent=None, timeout=300):
        """What the client says."""
        p = self.start(*args, agent=agent)
        try:
            return p.communicate(timeout=timeout)[0]
        except subprocess.TimeoutExpired:
            p.kill()
            return "TIMEOUT: " + p.communicate()[0]


def fingerprint(path):
    out = subprocess.run(["ssh-keygen", "-lf", path + ".pub"], check=True,
                         capture_output=True, text=True).stdout
    return out.split()[1]


def known_line(port, public, host="127.0.0.1"):
    return f"[{host}]:{port} {public}\n"


KEYS = {}
for name, kind, passphrase, options in [
        ("id_ed25519", "ed25519", "", ()), ("id_ecdsa", "ecdsa", "", ()),
        ("id_rsa", "rsa", "", ("-b", "2048")), ("other", "ed25519", "", ()),
        ("locked", "ed25519", "open sesame", ()),
        ("pem", "ecdsa", "", ("-m", "PEM")),
        ("pem_locked", "ecdsa", "open sesame", ("-m", "PEM")),
        ("rsa_locked", "rsa", "open sesame", ("-b", "2048", "-m", "PEM")),
        ("pkcs8", "ecdsa", "", ("-m", "PKCS8"))]:
    path = os.path.join(FOLDER, name)
    KEYS[name] = (path, sshd.keygen(path, kind, passphrase, *options))
ED, OTHER = KEYS["id_ed25519"][0], KEYS["other"][0]

HOST = sshd.SshHost(os.path.join(FOLDER, "host"))
for user in sshd.USERS:
    HOST.authorize(user, *(public for name, (_, public) in KEYS.items()
                           if name != "other"))


def wait_for(is_so, secs=20):
    end = time.monotonic() + secs
    while not is_so() and time.monotonic() < end:
        time.sleep(.02)
