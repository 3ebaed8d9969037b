"""A root directory that holds the static program and almost nothing else, and
tests that run it there.

    rooted.enter() or skip                  a mount namespace of our own
    root = Root(program)                    or Root(program, an unpacked system)
    code, out = root.prove(["t/2200-lastlogin.t"])
    root.run("--list")                      a subprocess.CompletedProcess
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
INSIDE = "CHATMAIL_TEST_MOUNTS"
# what a machine has anyway, for names, users and the certificates of others
FILES = ["/etc/passwd", "/etc/group", "/etc/hosts", "/etc/resolv.conf",
         "/etc/ssl/certs/ca-certificates.crt"]


def enter():
    """Go on in a mount namespace: the program is started again in it. Returns
    None there, or why there can be none."""
    if os.environ.get(INSIDE) == str(os.getppid()):
        return None
    if os.geteuid() != 0:
        return "not root"
    for program in "unshare", "mount", "cc":
        if not shutil.which(program):
            return program + " is not installed"
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True,
                          text=True)
    if done.returncode:
        return done.stderr.strip()
    os.environ[INSIDE] = str(os.getpid())
    sys.exit(subprocess.run(["unshare", "--mount", sys.executable,
                             *sys.argv]).returncode)


def mount(*args):
    subprocess.run(["mount", *args], check=True)


class Root:
    """The tests' own places are there by the same names: /tmp, /dev/shm, the
    source tree, and /dev/full; of the machine nothing else but FILES, and /proc
    for prove(), as doveauth's limits are tested."""

    def __init__(self, program, system=None):
        self.top = tempfile.mkdtemp(prefix="chatmail-root-", dir="/var/tmp")
        os.chmod(self.top, 0o755)
        self.path = self.top + "/root"
        if system:
            shutil.copytree(system, self.path, symlinks=True)
        else:
            os.mkdir(self.path)
        for name in FILES:
            if os.path.exists(name):
                os.makedirs(self.path + os.path.dirname(name), exist_ok=True)
                shutil.copy(name, self.path + name)
        shutil.copy(program, self.path + "/chatmail")
        os.chmod(self.path + "/chatmail", 0o755)
        if system:
            mount("--rbind", "/dev", self.path + "/dev")
        else:
            self.share("/dev/shm")
            open(self.path + "/dev/full", "w").close()
            mount("--bind", "/dev/full", self.path + "/dev/full")
        self.share("/tmp")
        self.share(TREE)
        self.program = self.top + "/chatmail"
        subprocess.run(["cc", "-static", "-O", "-Wall", "-Werror", "-o",
                        self.program, HERE + "/enter.c"], check=True)
        os.chmod(self.program, 0o755)
        self.env = {**os.environ, "CHATMAIL_ROOT": self.path,
                    "CHATMAIL": self.program}
        self.env.pop(INSIDE)

    def share(self, name):
        os.makedirs(self.path + name, exist_ok=True)
        # what a test mounts there later is seen in both places
        mount("--bind", name, name)
        mount("--make-shared", name)
        mount("--bind", name, self.path + name)

    def run(self, *args, **how):
        return subprocess.run([self.program, *args], env=self.env, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL,
                              timeout=120, **how)

    def prove(self, tests):
        """Exit code, number of tests, output."""
        os.makedirs(self.path + "/proc", exist_ok=True)
        mount("-t", "proc", "proc", self.path + "/proc")
        done = subprocess.run(["prove", "--exec", "", "--failures", *tests],
                              env=self.env, cwd=TREE, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        count = re.search(r"Tests=(\d+)", done.stdout)
        return done.returncode, int(count[1]) if count else 0, done.stdout

    def remove(self):
        """What is mounted below has to go first."""
        with open("/proc/self/mounts") as f:
            at = [line.split()[1] for line in f]
        for path in reversed([p for p in at if p.startswith(self.top + "/")]):
            subprocess.run(["umount", "--lazy", path], check=True)
        shutil.rmtree(self.top)
