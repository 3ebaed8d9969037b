#!/usr/bin/env python3
"""The life of a test network's traces on the machine: made under one name,
undone under the same name, whoever has died meanwhile.

A run has an id, "cm" and four hex digits. The id is the name of its directory
in build/hosts/run, of its bridge, of its nftables tables and the beginning of
its containers' names; each process that it starts has MARKER in its
environment. So clean() needs to remember nothing.

Three clean up: the run itself at its end; its janitor, which is a process that
waits for the run's end at a pipe and cannot miss even SIGKILL; and the next
run, which finds the pid file of a dead one unlocked.

As a program: runs.py DIRECTORY is the janitor of the run in DIRECTORY.
"""
import contextlib
import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
STORE = os.path.join(TOP, "build", "hosts")
RUNS = os.path.join(STORE, "run")
MARKER = "CHATMAIL_HOSTS_RUN"
SHARED = "/run/chatmail-hosts"
PROPAGATE = "/run/systemd/nspawn/propagate"

# What hosts need of the machine's kernel: every systemd takes a dozen inotify
# instances of root's, and packets have to pass.
SYSCTLS = {"fs/inotify/max_user_instances": 65535,
           "fs/inotify/max_user_watches": 65536,
           "kernel/keys/maxkeys": 2000}
# set and left: others may have come to need it meanwhile, and cannot say so
FORWARD = "net/ipv4/ip_forward"


class Failed(Exception):
    """A program of the machine refused; the text has what it said."""


def command(*argv, data=None, check=True, **more):
    """Runs a program to its end; returns what it printed, without the last
    newline."""
    done = subprocess.run(argv, input=data, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.PIPE, errors="replace", **more)
    if check and done.returncode != 0:
        raise Failed("%s: exit code %d\n%s" % (
            " ".join(argv), done.returncode,
            (done.stdout + done.stderr).strip()))
    return done.stdout.rstrip("\n")


@contextlib.contextmanager
def locked(path):
    """Holds an exclusive lock on a file, which is made when it is missing."""
    with open(path, "a") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


# ---- the kernel's limits, which all runs on the machine share

def _sysctl(name, value=None):
    with open("/proc/sys/" + name, "r" if value is None else "w") as f:
        return int(f.read()) if value is None else f.write(str(value))


def raise_limits():
    """Returns a file that has to stay open while the limits are needed. What
    may not be changed here stays as it is."""
    os.makedirs(SHARED, exist_ok=True)
    with locked(SHARED + "/lock"):
        users = open(SHARED + "/users", "a")
        fcntl.flock(users, fcntl.LOCK_SH)
        for name, value in SYSCTLS.items():
            saved = "%s/%s" % (SHARED, name.replace("/", "."))
            with contextlib.suppress(OSError):
                old = _sysctl(name)
                if old < value:
                    if not os.path.exists(saved):
                        with open(saved, "w") as f:
                            f.write(str(old))
                    _sysctl(name, value)
    if _sysctl(FORWARD) == 0:
        _sysctl(FORWARD, 1)
    return users


def restore_limits():
    """The last one out gives back what raise_limits() has changed, unless
    somebody else changed it since."""
    if not os.path.exists(SHARED + "/users"):
        return
    with locked(SHARED + "/lock"), open(SHARED + "/users", "a") as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        for name, value in SYSCTLS.items():
            saved = "%s/%s" % (SHARED, name.replace("/", "."))
            if os.path.exists(saved):
                with open(saved) as f, contextlib.suppress(OSError):
                    if _sysctl(name) == value:
                        _sysctl(name, f.read())
                os.unlink(saved)


# ---- what a run leaves

def mounts_below(directory):
    """Mount points in directory, the last mounted first."""
    with open("/proc/self/mountinfo") as f:
        points = [line.split()[4].encode().decode("unicode_escape")
                  for line in f]
    return [p for p in reversed(points) if p.startswith(directory + "/")]


def in_use(directory):
    """Is it a layer of something mounted now? Layers are named relative to
    the store, and another checkout has one of its own."""
    name = os.path.relpath(directory, STORE)
    with open("/proc/self/mountinfo") as f:
        return any(name in line and " %s/" % STORE in line for line in f)


def processes(directory):
    """Pids of what the run in directory has started."""
    wanted = ("%s=%s" % (MARKER, directory)).encode()
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/environ" % pid, "rb") as f:
                if wanted in f.read().split(b"\0"):
                    found.append(int(pid))
        except OSError:
            pass
    return [pid for pid in found if pid != os.getpid()]


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(child) for child in f.read().split()]
    except OSError:
        return []


def kill(pid, sig=signal.SIGKILL):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sig)


def _kill_processes(directory, seconds=10):
    """A container's init first, so that systemd-nspawn can still tidy up."""
    end = time.monotonic() + seconds
    while pids := processes(directory):
        late = time.monotonic() > end - seconds * .7
        for pid in pids:
            inner = children(pid)
            for child in inner:
                kill(child)
            if late or not inner:
                kill(pid)
        if time.monotonic() > end:
            raise Failed("these do not end: %s" % pids)
        time.sleep(.05)


def _unmount(directory):
    for point in mounts_below(directory):
        if command("umount", point, check=False) is not None and \
                os.path.ismount(point):
            command("umount", "--lazy", point)


def cgroup_mounts():
    """{hierarchy of /proc/self/cgroup: mount point}, of those in which
    systemd keeps its units: "" is version 2's."""
    found = {}
    with open("/proc/self/mountinfo") as f:
        for line in f:
            before, _, after = line.partition(" - ")
            kind, _, options = after.split(None, 2)
            if kind == "cgroup2":
                found[""] = before.split()[4]
            elif kind == "cgroup" and "name=systemd" in options:
                found["name=systemd"] = before.split()[4]
    return found


def make_cgroups(name):
    """New cgroups below this process's; returns their directories."""
    made = []
    mounts = cgroup_mounts()
    with open("/proc/self/cgroup") as f:
        for line in f:
            _, hierarchy, path = line.rstrip("\n").split(":", 2)
            if hierarchy in mounts:
                directory = mounts[hierarchy] + path.rstrip("/") + "/" + name
                os.makedirs(directory, exist_ok=True)
                made.append(directory)
    return made


def remove_cgroups(prefix, seconds=5):
    """All cgroups of that name, when their processes have gone."""
    end = time.monotonic() + seconds
    for mount in cgroup_mounts().values():
        for where, _, _ in os.walk(mount, topdown=False):
            name = os.path.relpath(where, mount).split("/")
            if not any(part.startswith(prefix) for part in name):
                continue
            while os.path.isdir(where):
                try:
                    os.rmdir(where)
                except OSError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(.05)


def _drop_names(run_id):
    for family in "ip", "bridge":
        subprocess.run(["nft", "delete", "table", family, run_id],
                       stderr=subprocess.DEVNULL)
    for link in os.listdir("/sys/class/net"):
        if link == run_id or link.startswith("vb-" + run_id):
            subprocess.run(["ip", "link", "delete", link],
                           stderr=subprocess.DEVNULL)
    if os.path.isdir(PROPAGATE):
        for name in os.listdir(PROPAGATE):
            if name.startswith(run_id):
                with contextlib.suppress(OSError):
                    os.rmdir(os.path.join(PROPAGATE, name))


def clean(directory):
    """Undoes everything that the run in directory has left. May be called
    again when it was interrupted."""
    _kill_processes(directory)
    _unmount(directory)
    remove_cgroups(os.path.basename(directory))
    _drop_names(os.path.basename(directory))
    if not mounts_below(directory):
        shutil.rmtree(directory, ignore_errors=True)
    restore_limits()


def sweep():
    """Cleans up after runs that have died together with their janitors."""
    for name in os.listdir(RUNS) if os.path.isdir(RUNS) else []:
        directory = os.path.join(RUNS, name)
        try:
            with open(os.path.join(directory, "pid")) as f:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                clean(directory)
        except BlockingIOError:
            pass                        # it lives
        except FileNotFoundError:
            if time.time() - os.path.getmtime(directory) > 60:
                clean(directory)        # it died before it had a pid file


class Run:
    """One run: run.id, run.dir, run.env for the processes that it starts."""

    def __init__(self):
        sweep()
        os.makedirs(RUNS, mode=0o700, exist_ok=True)
        os.chmod(STORE, 0o700)      # apt's passwords may be in there
        while True:
            self.id = "cm%04x" % random.randrange(1 << 16)
            self.dir = os.path.join(RUNS, self.id)
            if os.path.exists("/sys/class/net/" + self.id):
                continue
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.dir)
                break
        self.env = {**os.environ, MARKER: self.dir}
        self.pid_file = open(self.path("pid"), "w")
        fcntl.flock(self.pid_file, fcntl.LOCK_EX)
        self.pid_file.write("%d\n" % os.getpid())
        self.pid_file.flush()
        self.janitor = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), self.dir],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)
        self.limits = raise_limits()

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def start(self, argv, log, **more):
        """A process that ends with the run; log is a name in its directory."""
        with open(self.path(log), "ab") as f:
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=f,
                                    stderr=f, env={**self.env, **more},
                                    start_new_session=True)

    def end(self):
        """Nothing of the run is left afterwards."""
        self.limits.close()
        clean(self.dir)
        self.janitor.stdin.close()
        self.janitor.wait(30)
        self.pid_file.close()


def main():
    directory = sys.argv[1]
    sys.stdin.buffer.read()         # until the run's process is no more
    if os.path.isdir(directory):
        with open(os.path.join(directory, "pid")) as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            clean(directory)


if __name__ == "__main__":
    main()
