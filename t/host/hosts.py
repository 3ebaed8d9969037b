"""Bare Debian servers for tests: systemd in systemd-nspawn, on a bridge with
a name server for test. and a certificate authority.

    reason = hosts.skip_reason()            may make the base image: a minute
    with hosts.Network() as network:
        host = network.host("chat.test").start()
        host.address, host.run("systemctl is-active ssh")
        network.names.set("chat.test", A=[host.address])
        network.acme.directory              HTTP-01 at port 80 of the hosts
        network.run([CHATMAIL, "deploy", "--ssh-host", "chat.test"])
        deployed = host.snapshot("deployed")
        other = network.host("other.test", snapshot=deployed).start()

network.run() runs a program of this machine as an operator would: its HOME has
an .ssh with the key and the known hosts, its resolver is the network's name
server. Hosts resolve by that as well, and trust the certificate authority.
Nothing is left on the machine afterwards, however the test ends (runs.py).
"""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import image
from acme import Acme
from bridge import Bridge
from host import PATH, Host, differences, nspawn, run_program
from names import NameServer
from runs import Run, command

PROGRAMS = ["systemd-nspawn", "debootstrap", "ip", "nft", "unbound", "pebble",
            "openssl", "ssh", "ssh-keygen", "nsenter", "unshare"]


# ---- can it run here

def _may(*argv):
    """Why a program fails here, or None."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT)
    if done.returncode == 0:
        return None
    return "%s: %s" % (argv[0], (done.stdout.strip().splitlines() or
                                 ["exit code %d" % done.returncode])[-1])


def _nspawn_runs():
    """Why no container starts here, or None: one is, with this /usr."""
    with tempfile.TemporaryDirectory(prefix="chatmail-nspawn-") as d:
        for name in "usr", "etc":
            os.mkdir(os.path.join(d, name))
        for name in "bin", "sbin", "lib", "lib64":
            if os.path.islink("/" + name):
                os.symlink("usr/" + name, os.path.join(d, name))
        name = "cmprobe%d" % os.getpid()
        why = _may(*nspawn(d, name), "--private-network", "--bind-ro=/usr",
                   "/usr/bin/true")
        with contextlib.suppress(OSError):
            os.rmdir("/run/systemd/nspawn/propagate/" + name)
        return why


def skip_reason(suite="bookworm"):
    """Why no hosts can run here, or None. Then the base image is there."""
    if os.geteuid() != 0:
        return "not root"
    path = os.environ.get("PATH", "") + ":" + PATH
    missing = [p for p in PROGRAMS if not shutil.which(p, path=path)]
    if missing:
        return "not installed: " + ", ".join(missing)
    net = "ip link add cmprobe type bridge && nft add table bridge cmprobe " \
        "&& nft add table ip cmprobe"
    why = _may("unshare", "--net", "true") or \
        _may("unshare", "--net", "sh", "-c", net) or \
        image.overlay_works() or _nspawn_runs()
    if not why and not image.base_is_there(suite):
        why = image.mirror_answers(suite)
    if not why:
        image.base(suite)
    return why


# ---- the network

def _exit_on_signals():
    """So that SIGTERM ends a test as Ctrl-C does: through its with blocks."""
    if threading.current_thread() is threading.main_thread():
        for number in signal.SIGTERM, signal.SIGHUP:
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, lambda n, _: sys.exit(128 + n))


class Network:
    def __init__(self, zones=None, acme=True, subnet=None):
        """zones: as NameServer has them. subnet: "10.1.2.0/24", else a free
        one. Without acme there is no certificate authority."""
        _exit_on_signals()
        self.hosts = []
        self.run_files = run = Run()
        try:
            self.bridge = Bridge(run.id, subnet)
            self.address = self.bridge.address
            self.home = run.path("home")
            self.names = NameServer(run, self.bridge, zones)
            self.acme = Acme(run, self.bridge) if acme else None
            self.roots = []         # PEM, of snapshots' networks
            self._make_home()
        except BaseException:
            run.end()
            raise
        self.stopping = threading.Event()
        self.archives = threading.Thread(target=self._share_archives,
                                         daemon=True)

    def start(self):
        try:
            self.bridge.start()
            self.names.start()
            if self.acme:
                self.acme.start()
            self.archives.start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        self.stopping.set()
        for host in self.hosts:
            with host.lock:
                host.ending = True
        if self.archives.is_alive():
            self.archives.join()
        self.run_files.end()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    # ---- hosts

    def host(self, name, suite="bookworm", snapshot=None, **more):
        """A Host that is not started yet."""
        return Host(self, name, suite, snapshot, **more)

    def start_hosts(self, *hosts):
        """Several at once."""
        for host in hosts:
            host.start(wait=False)
        for host in hosts:
            host.wait_ready()

    def trusted(self):
        """{name: PEM} of the certificate authorities that hosts trust."""
        pems = {"snapshot-%d" % n: pem for n, pem in enumerate(self.roots)}
        if self.acme:
            for name, path in (("acme", self.acme.ca_file),
                               ("roots", self.acme.roots_file)):
                with open(path) as f:
                    # a file for each: that is how they are hashed
                    for n, pem in enumerate(_split_pem(f.read())):
                        pems["%s-%d" % (name, n)] = pem
        return pems

    def write_roots(self):
        """Path of a file with all that ends a chain in this network."""
        path = self.run_files.path("trusted.pem")
        with open(path, "w") as f:
            f.write("".join(self.trusted().values()))
        return path

    def _share_archives(self):
        """What one host's apt has got, the others need not get again."""
        while not self.stopping.wait(1):
            for host in list(self.hosts):
                host.share_archives()

    # ---- the operator

    def _make_home(self):
        ssh = os.path.join(self.home, ".ssh")
        os.makedirs(ssh, mode=0o700)
        command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C",
                "operator of the test network", "-f", ssh + "/id_ed25519")
        with open(ssh + "/id_ed25519.pub") as f:
            self.public_key = f.read()
        self.ssh_config = ssh + "/config"
        self._write_ssh()
        with open(self.run_files.path("resolv.conf"), "w") as f:
            f.write("nameserver %s\n" % self.address)
        with open(self.run_files.path("nsswitch.conf"), "w") as f:
            f.write("passwd: files\ngroup: files\nshadow: files\n"
                    "hosts: files dns\n")

    def _write_ssh(self):
        """known_hosts, and a config that makes ssh use this home: it takes
        the one in /etc/passwd else."""
        ssh = os.path.join(self.home, ".ssh")
        with open(ssh + "/known_hosts", "w") as f:
            for host in self.hosts:
                for key in host.host_keys:
                    f.write("%s %s\n" % (",".join(host.known_as()), key))
        with open(self.ssh_config, "w") as f:
            for host in self.hosts:
                f.write("Host %s\n\tHostName %s\n" % (
                    " ".join(host.known_as()), host.address))
            f.write("Host *\n\tUser root\n\tIdentityFile \"%s/id_ed25519\"\n"
                    "\tUserKnownHostsFile \"%s/known_hosts\"\n"
                    "\tGlobalKnownHostsFile /dev/null\n\tBatchMode yes\n"
                    "\tIdentitiesOnly yes\n\tStrictHostKeyChecking yes\n"
                    "\tUpdateHostKeys no\n\tConnectTimeout 10\n"
                    "\tLogLevel ERROR\n" % (ssh, ssh))

    def add(self, host):
        self.hosts.append(host)
        self._write_ssh()

    def command(self, argv):
        """argv with what makes it resolve names as the network does."""
        script = 'mount --bind "$0" "$(readlink -f /etc/resolv.conf)" && ' \
            'mount --bind "$1" "$(readlink -f /etc/nsswitch.conf)" && ' \
            'shift && exec "$@"'
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                script, self.run_files.path("resolv.conf"),
                self.run_files.path("nsswitch.conf"), *argv]

    def env(self, **more):
        env = {**self.run_files.env, "HOME": self.home, **more}
        env.pop("SSH_AUTH_SOCK", None)
        return env

    def run(self, argv, input=None, timeout=600, env=None, cwd=None):
        """(exit code, stdout, stderr) of a program of this machine."""
        return run_program(self.command(argv), input, timeout, cwd=cwd,
                    env=self.env(**(env or {})))


def _split_pem(text):
    end = "-----END CERTIFICATE-----\n"
    return [part + end for part in text.split(end)[:-1]]
