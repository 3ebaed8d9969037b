"""One server: its files, its life, and what a test asks of it. Made by
Network.host(); hosts.py tells how they are used.

A host is real but for its kernel, which is the machine's: no modules, no
clock, no power failure of its own (kill() stops it as one would, but what it
has written stays written).
"""
import contextlib
import hashlib
import os
import socket
import stat
import subprocess
import tempfile
import threading
import time
import uuid

import image
from image import Layers, Snapshot
from runs import Failed, children, kill, make_cgroups

REBOOT = 133        # systemd-nspawn's exit code when it is to start again
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
UNBOUND = "/etc/unbound/unbound.conf.d/test-network.conf"
CAS = "/usr/local/share/ca-certificates"
INIT_IS_SYSTEMD = os.path.isdir("/run/systemd/system")
# sh -c ENTER sh CGROUP... -- PROGRAM...
ENTER = 'until [ "$1" = -- ]; do echo $$ >"$1/cgroup.procs" || exit; shift; ' \
    'done; shift; exec "$@"'


def nspawn(directory, name):
    """The command line of a container, but for what runs in it."""
    return ["systemd-nspawn", "--quiet", "--directory=" + directory,
            "--machine=" + name, "--register=no", "--resolv-conf=off",
            "--timezone=off", "--link-journal=no",
            # without a systemd there is nobody to make a scope
            *([] if INIT_IS_SYSTEMD else ["--keep-unit"])]


def run_program(argv, input, timeout, **more):
    """(exit code, stdout, stderr) of a program that gets input, str or
    bytes."""
    binary = isinstance(input, bytes)
    done = subprocess.run(
        argv, input=input if binary else (input or "").encode(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
        **more)
    return (done.returncode, done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"))


class Host:
    def __init__(self, network, name, suite="bookworm", snapshot=None,
                 address=None, ipv6=False, disk=None, trust=True, sync=False):
        """name: as "chat.test"; it is not in the DNS unless the test puts it
        there. address: in the network, else the next free. ipv6: has an
        address6 as well. disk: as "300M", the space that it has to write in,
        for fill(). trust: the certificate authority is trusted. sync: fsync()
        goes to the disk; it need not unless figures matter, as the machine's
        kernel outlives the host."""
        self.network, self.name = network, name
        self.suite = snapshot.suite if snapshot else suite
        self.openrc = image.is_openrc(self.suite)
        self.number = len(network.hosts) + 1
        own, own6 = network.bridge.host_address(self.number)
        self.address = address or own
        self.address6 = own6 if ipv6 else None
        self.disk, self.trust_network = disk, trust
        self.machine = "%sh%d" % (network.run_files.id, self.number)
        self.dir = network.run_files.path("h%d" % self.number)
        self.process, self.supervisor = None, None
        self.ending = False         # it is not to come back from a reboot
        self.rebooting = False
        self.boots = 0
        self.lock = threading.Lock()
        lowers = snapshot.layers if snapshot else [image.base(self.suite)]
        self.files = Layers(self.dir, lowers, disk, sync)
        self.root = self.files.root
        self.own_archives = os.path.join(self.dir, "archives")
        os.makedirs(self.own_archives + "/partial")
        self.share_archives()
        if snapshot:
            self._take_facts(snapshot)
        self._personalise(fresh=not snapshot)
        network.add(self)

    def known_as(self):
        return [self.name, self.address] + \
            ([self.address6] if self.address6 else [])

    # ---- what makes it this host

    def _take_facts(self, snapshot):
        known = self.network.trusted().values()
        self.network.roots += [pem for pem in snapshot.facts["trusted"]
                               if pem not in known]

    def _personalise(self, fresh):
        short = self.name.partition(".")[0]
        self.put("/etc/hostname", short + "\n")
        self.put("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 %s %s\n"
                 "::1 localhost ip6-localhost ip6-loopback\n" % (self.name,
                                                                 short))
        self.put("/etc/network/interfaces", self._interfaces())
        self.put("/root/.ssh/authorized_keys", self.network.public_key, 0o600)
        if fresh:
            self.put("/etc/machine-id", uuid.uuid4().hex + "\n", 0o444)
            self.put("/etc/resolv.conf", self._resolv_conf())
        else:
            old = self.get("/etc/resolv.conf").decode()
            if old.startswith(self._resolv_conf().split("nameserver")[0]):
                self.put("/etc/resolv.conf", self._resolv_conf())
            if self.exists(UNBOUND):
                self.use_unbound()
        self._make_host_keys()
        if self.trust_network:
            self.trust(**self.network.trusted())

    def _resolv_conf(self):
        return "# as the provider's DHCP would\nnameserver %s\n" % \
            self.network.address

    def _interfaces(self):
        text = "auto lo\niface lo inet loopback\n\nauto host0\n" \
            "iface host0 inet static\n\taddress %s/24\n\tgateway %s\n" % (
                self.address, self.network.address)
        if self.address6:
            text += "\niface host0 inet6 static\n\taddress %s/64\n" \
                "\taccept_ra 0\n\tdad-attempts 0\n" % self.address6
        return text

    def _make_host_keys(self):
        """Others than those of the image; RSA would take half a second."""
        self._must(["sh", "-ec", """
            rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
            for type in ed25519 ecdsa; do
                ssh-keygen -q -t $type -N "" -C "root@$0" \
                    -f /etc/ssh/ssh_host_${type}_key
            done""", self.name])
        self.host_keys = [
            " ".join(self.get("/etc/ssh/ssh_host_%s_key.pub" % kind)
                     .decode().split()[:2]) for kind in ("ed25519", "ecdsa")]

    def trust(self, **pems):
        """Certificate authorities that its programs trust from now on."""
        files = {"%s/%s.crt" % (CAS, name): pem for name, pem in pems.items()}
        new = [path for path, pem in files.items()
               if self.inside(["cat", path])[1] != pem]
        for path in new:
            self.put(path, files[path])
        if new:
            self._must(["update-ca-certificates"])

    def use_unbound(self):
        """Before unbound is installed on it: a file in its configuration that
        makes it ask the network's name server for all names, test. among
        them, which unbound else denies by itself (RFC 6761). None of them is
        signed here, so that DNSSEC cannot be required."""
        self.put(UNBOUND, """\
server:
	local-zone: "test." nodefault
	local-zone: "10.in-addr.arpa." nodefault
	module-config: "iterator"
forward-zone:
	name: "."
	forward-addr: %s
""" % self.network.address)

    def add_user(self, name, sudo=True):
        """A user who logs in with the operator's key, and may do all."""
        self._must(["useradd", "--create-home", "--shell", "/bin/bash", name])
        home = "/home/%s/.ssh" % name
        self.put(home + "/authorized_keys", self.network.public_key, 0o600)
        self._must(["chown", "-R", "%s:%s" % (name, name), home])
        if sudo:
            self.put("/etc/sudoers.d/" + name,
                     "%s ALL=(ALL) NOPASSWD: ALL\n" % name, 0o440)

    # ---- life

    def _spawn(self):
        archives = self.own_archives.replace(":", "\\:")
        argv = [*nspawn(self.root, self.machine), "--boot",
                "--hostname=" + self.name.partition(".")[0],
                "--network-bridge=" + self.network.bridge.name,
                *(["--kill-signal=SIGPWR"] if self.openrc else []),
                "--bind=%s:/var/cache/apt/archives" % archives]
        if not INIT_IS_SYSTEMD:
            # all hosts would be in one cgroup, and end each other's services
            argv = ["sh", "-c", ENTER, "sh", *make_cgroups(self.machine),
                    "--", *argv]
        self.boots += 1
        return self.network.run_files.start(argv, "h%d/console" % self.number)

    def console(self):
        """What it has printed since it was made."""
        with open(os.path.join(self.dir, "console"), errors="replace") as f:
            return f.read()

    def _supervise(self):
        """Starts it again when it was rebooted from inside."""
        while self.process.wait() == REBOOT or self.rebooting:
            self.rebooting = False
            with self.lock:
                if self.ending:
                    return
                self.process = self._spawn()

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def leader(self):
        """The pid of its init here; None while it has none."""
        process = self.process
        for pid in children(process.pid) if process else []:
            with contextlib.suppress(OSError, IndexError):
                with open("/proc/%d/status" % pid) as f:
                    status = dict(line.split(":\t", 1) for line in f
                                  if ":\t" in line)
                if status["NSpid"].split()[1] == "1" and \
                        status["Name"].strip() in ("systemd", "init"):
                    return pid
        return None

    def start(self, wait=True, timeout=120):
        if self.is_running():
            raise Failed("%s runs already" % self.name)
        self.ending = False
        self.process = self._spawn()
        self.supervisor = threading.Thread(target=self._supervise, daemon=True)
        self.supervisor.start()
        if wait:
            self.wait_ready(timeout)
        return self

    def _answers_ssh(self):
        with contextlib.suppress(OSError), \
                socket.create_connection((self.address, 22), 2) as s:
            return s.recv(4) == b"SSH-"
        return False

    def _state(self):
        """systemd's word for it, whoever is init."""
        if not self.openrc:
            return self.inside(["systemctl", "is-system-running"],
                               timeout=60)[1].strip()
        # init's processes are there before, while they begin
        ready = "test \"$(cat /run/openrc/softlevel)\" = default && " \
            "! test -e /run/openrc/rc.starting && ! pgrep -x openrc"
        return "running" if self.inside(["sh", "-c", ready],
                                        timeout=60)[0] == 0 else "starting"

    def wait_ready(self, timeout=120, ssh=True):
        """Until all units have started, or failed, and sshd answers. Returns
        systemd's word: running or degraded."""
        end = time.monotonic() + timeout
        state = ""
        while True:
            if self.leader():
                state = self._state()
                if state in ("running", "degraded") and \
                        (not ssh or self._answers_ssh()):
                    return state
            elif not self.supervisor.is_alive():
                raise Failed("%s has stopped\n%s" % (self.name,
                                                     self.console()[-3000:]))
            if time.monotonic() > end:
                raise Failed("%s is not ready: %s\n%s" % (
                    self.name, state, self.console()[-3000:]))
            time.sleep(.1)

    def _ended(self, timeout):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout)
        self.supervisor.join(1)
        return not self.is_running()

    def stop(self, timeout=90):
        """A clean shutdown; its files stay."""
        if not self.is_running():
            return
        with self.lock:
            self.ending = True
            self.process.terminate()
        if not self._ended(timeout):
            self.kill()
            raise Failed("%s did not shut down\n%s" % (self.name,
                                                       self.console()[-3000:]))
        self.share_archives()

    def kill(self):
        """Everything on it ends at once."""
        if not self.is_running():
            return
        with self.lock:
            self.ending = True
            for pid in children(self.process.pid):
                kill(pid)
        if not self._ended(5):      # it tidies up after its init has gone
            self.process.kill()
            self._ended(10)

    def reboot(self, timeout=120):
        """By ssh; returns when it is ready again."""
        before = self.leader()
        # sysvinit ends in another way
        self.rebooting = self.openrc
        self.run("reboot" if self.openrc else "systemctl reboot", timeout=60)
        end = time.monotonic() + timeout
        while self.leader() in (before, None):
            if time.monotonic() > end:
                raise Failed("%s does not reboot\n%s" % (
                    self.name, self.console()[-3000:]))
            time.sleep(.05)
        self.wait_ready(timeout)

    # ---- commands and files

    def run(self, shell_command, input=None, timeout=600, user="root"):
        """(exit code, stdout, stderr) over ssh; 255 when ssh itself failed."""
        return run_program(["ssh", "-F", self.network.ssh_config, "-l", user,
                     self.address, shell_command], input, timeout,
                    env=self.network.env())

    def inside(self, argv, input=None, timeout=600):
        """The same without network and sshd; also while it is not running,
        but then without services."""
        env = {"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8"}
        return run_program([*self._enter(), *argv], input, timeout, env=env)

    def _enter(self):
        """What stands before a command that is run inside."""
        pid = self.leader()
        return ["nsenter", "--target", str(pid), "--all", "--"] if pid else \
            ["chroot", self.root]

    def _must(self, argv, input=None):
        code, out, err = self.inside(argv, input)
        if code != 0:
            raise Failed("%s: %s: exit code %d\n%s" % (
                self.name, " ".join(argv), code, (out + err).strip()))
        return out

    def put(self, path, data, mode=0o644):
        """Writes a file and the directories that it is in."""
        self._must(["sh", "-ec", 'mkdir -p "$(dirname "$0")"; cat > "$0"; '
                    'chmod "$1" "$0"', path, "%o" % mode],
                   data.encode() if isinstance(data, str) else data)

    def get(self, path):
        """A file's bytes."""
        with tempfile.TemporaryFile() as out:
            done = subprocess.run([*self._enter(), "cat", path], stdout=out,
                                  stderr=subprocess.PIPE)
            if done.returncode != 0:
                raise FileNotFoundError(done.stderr.decode().strip())
            out.seek(0)
            return out.read()

    def exists(self, path):
        return self.inside(["test", "-e", path])[0] == 0

    def listing(self, directory="/etc"):
        """{path: what it is} of a tree: type, mode, owner, contents; no
        times."""
        found = {}
        top = self.root + directory
        for where, dirs, names in os.walk(top):
            for name in dirs + names:
                path = os.path.join(where, name)
                found[path[len(self.root):]] = _describe(path)
        return found

    def hash_etc(self):
        """Stays the same exactly as long as nothing in /etc changes."""
        lines = sorted("%s %s" % item for item in self.listing().items())
        return hashlib.sha256("\n".join(lines).encode(
            errors="surrogateescape")).hexdigest()

    # ---- services

    def services(self):
        """{unit: {"ActiveState", "SubState", "MainPID", "NRestarts",
        "InvocationID", ...}}; the InvocationID is new at every start."""
        names = "Id,ActiveState,SubState,MainPID,NRestarts,InvocationID," \
            "ExecMainStartTimestampMonotonic"
        out = self._must(["systemctl", "show", "--all", "--property=" + names,
                          "*.service"])
        units = [dict(line.split("=", 1) for line in block.splitlines())
                 for block in out.strip().split("\n\n") if block]
        return {unit.pop("Id"): unit for unit in units}

    def started(self):
        """{unit: InvocationID} of the services that run: two that are equal
        prove that none was restarted between them."""
        return {name: unit["InvocationID"]
                for name, unit in self.services().items()
                if unit["ActiveState"] == "active"}

    def failed_units(self):
        out = self._must(["systemctl", "list-units", "--failed", "--plain",
                          "--no-legend"])
        return [line.split()[0] for line in out.splitlines()]

    def journal(self, unit=None, *options):
        return self._must(["journalctl", "--no-pager", "--output=short-iso",
                           *(["--unit=" + unit] if unit else []), *options])

    # ---- trouble

    def cut(self, port=22, proto="tcp"):
        """Packets from and to a port of it, or all when it is None, get lost
        until mend()."""
        self.network.bridge.cut(self.address, port, proto)
        if self.address6:
            self.network.bridge.cut(self.address6, port, proto)

    def mend(self):
        self.network.bridge.mend(self.address)
        if self.address6:
            self.network.bridge.mend(self.address6)

    def fill(self, leave=0):
        """No space is left on its disk but so many bytes."""
        if not self.disk:
            raise ValueError("%s was made without disk=" % self.name)
        room = os.statvfs(self.files.store)
        size = room.f_bavail * room.f_frsize - leave
        with open(os.path.join(self.files.store, "filling"), "ab") as f:
            os.posix_fallocate(f.fileno(), f.tell(), max(size, 1))

    def empty(self):
        """What fill() took is free again."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.files.store, "filling"))

    # ---- copies

    def share_archives(self):
        """Packages go from the host to all, and from all to the host. They
        are links: the same file, which apt replaces and never changes."""
        shared = image.archives(self.suite)
        for source, dest in ((self.own_archives, shared),
                             (shared, self.own_archives)):
            with contextlib.suppress(FileNotFoundError):
                there = set(os.listdir(dest))
                for name in os.listdir(source):
                    if name.endswith(".deb") and name not in there:
                        with contextlib.suppress(FileExistsError,
                                                 FileNotFoundError):
                            os.link(os.path.join(source, name),
                                    os.path.join(dest, name))

    def snapshot(self, name, keep=None):
        """What is on its disk now, as a Snapshot for other hosts. A running
        host is shut down for it and started again. keep: a key for
        find_snapshot(), with which later runs get the same snapshot."""
        running = self.is_running()
        self.stop()
        self.files.freeze(os.path.join(self.dir, "layer%d" %
                                       len(self.files.lowers)))
        facts = {"trusted": list(self.network.trusted().values()),
                 "name": self.name, "address": self.address}
        made = Snapshot(name, self.suite, list(self.files.lowers), facts)
        if keep:
            made = made.keep(keep)
        if running:
            self.start()
        return made


def _describe(path):
    info = os.lstat(path)
    text = "%s %d:%d" % (stat.filemode(info.st_mode), info.st_uid, info.st_gid)
    if stat.S_ISLNK(info.st_mode):
        return "%s -> %s" % (text, os.readlink(path))
    if stat.S_ISREG(info.st_mode):
        with open(path, "rb") as f:
            return "%s %s" % (text, hashlib.sha256(f.read()).hexdigest())
    return text


def differences(before, after):
    """Lines "+ path", "- path", "! path: was, is" between two listings."""
    lines = []
    for path in sorted({*before, *after}):
        if path not in before:
            lines.append("+ %s" % path)
        elif path not in after:
            lines.append("- %s" % path)
        elif before[path] != after[path]:
            lines.append("! %s: %s, now %s" % (path, before[path],
                                               after[path]))
    return lines
