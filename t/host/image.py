"""What hosts are made of: a base image for each suite, layers above it, and
the packages that apt got, all in build/hosts.

    base(suite)             directory of a bare Debian; made when it is missing.
                            "bookworm-openrc" is one without systemd
    Layers(...)             a root made of layers, by overlayfs where it can be
    find_snapshot(name)     a kept snapshot of an earlier run

apt in the base image gets its packages as apt on this machine does: the same
mirror, proxies, passwords and certificate authorities.
"""
import functools
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

from runs import STORE, Failed, command, in_use, locked, mounts_below

# what a rented server has, and no more
COMMON = ["openssh-server", "iproute2", "ca-certificates", "procps", "netbase",
          "ifupdown", "sudo"]
PACKAGES = ["systemd", "systemd-sysv", "dbus", *COMMON]
# What debootstrap cannot choose between alternatives for, apt installs.
# init waits for SIGPWR to shut down, and no terminal is there to log in at.
OPENRC = ["openrc", "sysvinit-core", "initscripts", "cron", *COMMON]
OPENRC_INITTAB = "sed -i 's/^pf::.*/pf::powerwait:\\/sbin\\/init 0/; " \
    "/^[1-6]:.*getty/d; /^z6/d' /etc/inittab"
# apt at a moment of its own choosing would hold dpkg's lock
MASKED = ["apt-daily.timer", "apt-daily-upgrade.timer"]
MIRROR = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"
RECIPE = 1          # another number when _build() makes something else
DAYS = 7            # a mirror drops packages that the image's lists name
SNAPSHOTS = os.path.join(STORE, "snapshots")
CARRIED = re.compile(r"Acquire::(https?(::[^ ]*)?::(Proxy|Ca|Ssl|Verify|"
                     r"Timeout|Pipeline|AllowRedirect)|Check-|Retries|Force)"
                     r"[^ ]* ", re.I)
AUTH = ["/etc/apt/auth.conf", "/etc/apt/auth.conf.d/*"]
OWN_CAS = "/usr/local/share/ca-certificates"


# ---- how this machine gets packages

def _os_release():
    with open("/etc/os-release") as f:
        return dict(line.rstrip("\n").replace('"', "").split("=", 1)
                    for line in f if "=" in line)


@functools.cache
def mirrors():
    """(main, security): URLs that apt uses here, or Debian's own."""
    found = {}
    release = _os_release()
    if release.get("ID") == "debian":
        code = release.get("VERSION_CODENAME")
        for line in command("apt-get", "indextargets", "--format",
                            "$(REPO_URI) $(RELEASE)",
                            "Created-By: Packages", check=False).splitlines():
            url, _, suite = line.partition(" ")
            if re.match("https?://", url):
                found.setdefault(suite, url.rstrip("/"))
        return (found.get(code, MIRROR),
                found.get("%s-security" % code, SECURITY))
    return MIRROR, SECURITY


@functools.cache
def apt_settings():
    """apt.conf for a host, and the machine's files that it names."""
    lines = [line for line in command("apt-config", "dump").splitlines()
             if CARRIED.match(line)]
    for name in "http", "https":
        proxy = os.environ.get(name + "_proxy")
        if proxy and not any("::%s::proxy " % name in line.lower()
                             for line in lines):
            lines.append('Acquire::%s::Proxy "%s";' % (name, proxy))
    lines.append('Acquire::Languages "none";')
    files = [path for line in lines
             for path in re.findall(r' "(/[^"]+)";', line)]
    for pattern in [*AUTH, OWN_CAS + "/*.crt"]:
        files += glob.glob(pattern)
    return ("\n".join(lines) + "\n",
            sorted(path for path in set(files) if os.path.isfile(path)))


def _proxy_env(settings):
    """wget in debootstrap has to go the way that apt goes."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive",
           "LC_ALL": "C.UTF-8"}
    for name, url in re.findall(r'Acquire::(https?)::Proxy "(http[^"]+)"',
                                settings, re.I):
        env.setdefault(name.lower() + "_proxy", url)
    return env


def mirror_answers(suite):
    """Why apt cannot get the suite from the mirror, or None."""
    suite = debian(suite)
    main, _ = mirrors()
    os.makedirs(STORE, mode=0o700, exist_ok=True)
    path = os.path.join(STORE, "Release.%d" % os.getpid())
    done = subprocess.run(
        ["/usr/lib/apt/apt-helper", "-o", "Acquire::Retries=1", "-o",
         "Acquire::http::Timeout=20", "download-file",
         "%s/dists/%s/Release" % (main, suite), path],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if os.path.exists(path):
        os.unlink(path)
    if done.returncode != 0:
        return "no Debian %s to be had from %s: %s" % (
            suite, main, done.stdout.strip().splitlines()[-1:])
    return None


# ---- the base image

def debian(suite):
    """A suite may name another init as well: "bookworm-openrc"."""
    return suite.partition("-")[0]


def is_openrc(suite):
    return suite.endswith("-openrc")


def archives(suite):
    """The directory of the packages that hosts of the suite share."""
    path = os.path.join(STORE, "archives-" + debian(suite))
    os.makedirs(path, exist_ok=True)
    return path


def _recipe(suite):
    settings, files = apt_settings()
    what = (RECIPE, OPENRC, OPENRC_INITTAB) if is_openrc(suite) else \
        (RECIPE, PACKAGES, MASKED)
    digest = hashlib.sha256(repr(what).encode())
    for path in files:
        with open(path, "rb") as f:
            digest.update(path.encode() + f.read())
    digest.update(repr((suite, mirrors(), settings)).encode())
    return digest.hexdigest()[:8]


def _base_path(suite):
    return os.path.join(STORE, "base-%s-%s" % (suite, _recipe(suite)))


def base_is_there(suite="bookworm"):
    """Is there an image that is neither outdated nor too old?"""
    path = _base_path(suite)
    return os.path.exists(path + "/etc/debian_version") and \
        time.time() - _made(path) < DAYS * 86400


def _made(path):
    """When a base image was made."""
    return os.path.getmtime(path + ".stamp")


def base(suite="bookworm"):
    """The directory of the base image. Takes a minute when it has to be made;
    two that want it at once make it once. Nothing may write into it."""
    os.makedirs(STORE, mode=0o700, exist_ok=True)
    path = _base_path(suite)
    with locked(os.path.join(STORE, "base-%s.lock" % suite)):
        if not base_is_there(suite):
            if in_use(path):
                return path
            print("# making the base image of Debian %s" % suite,
                  file=sys.stderr, flush=True)
            _remove_old(suite)
            _build(suite, path)
    return path


def remove_tree(path):
    """A directory that may hold another system, but nothing mounted."""
    for point in mounts_below(path):
        command("umount", point)
    shutil.rmtree(path)


def _remove_old(suite):
    for path in glob.glob(os.path.join(STORE, "base-%s-%s" % (
            suite, "[0-9a-f]" * 8))):
        if os.path.isdir(path) and not in_use(path):
            if os.path.exists(path + ".stamp"):
                os.unlink(path + ".stamp")
            remove_tree(path)


def _build(suite, path):
    new, log = path + ".new", os.path.join(STORE, "base-%s.log" % suite)
    main, _ = mirrors()
    settings, files = apt_settings()
    env = _proxy_env(settings)
    with open(log, "w") as out:
        def run(*argv):
            if subprocess.run(argv, env=env, stdin=subprocess.DEVNULL,
                              stdout=out, stderr=out).returncode != 0:
                raise Failed("%s failed; see %s\n%s" % (argv[0], log,
                                                        _tail(log)))

        openrc = is_openrc(suite)
        run("debootstrap", "--variant=minbase", "--include=" +
            ",".join(["ca-certificates"] if openrc else PACKAGES),
            "--cache-dir=" + archives(suite), debian(suite), new, main)
        _configure_apt(new, debian(suite), settings, files)
        shutil.copy("/etc/resolv.conf", new + "/etc/resolv.conf")
        run("chroot", new, "update-ca-certificates")
        run("chroot", new, "apt-get", "update")
        if openrc:
            run("chroot", new, "apt-get", "install", "--yes",
                "--no-install-recommends", *OPENRC)
            run("chroot", new, "sh", "-ec", OPENRC_INITTAB)
    for deb in glob.glob(new + "/var/cache/apt/archives/*.deb"):
        os.unlink(deb)
    os.unlink(new + "/etc/resolv.conf")
    for unit in [] if is_openrc(suite) else MASKED:
        os.symlink("/dev/null", "%s/etc/systemd/system/%s" % (new, unit))
    with open(path + ".stamp", "w"):
        pass
    os.rename(new, path)


def _tail(path, lines=30):
    with open(path, errors="replace") as f:
        return "".join(f.readlines()[-lines:])


def _configure_apt(root, suite, settings, files):
    main, security = mirrors()
    with open(root + "/etc/apt/sources.list", "w") as f:
        f.write("deb %s %s main\ndeb %s %s-updates main\n"
                "deb %s %s-security main\n" % (main, suite, main, suite,
                                               security, suite))
    with open(root + "/etc/apt/apt.conf.d/50machine", "w") as f:
        f.write(settings)
    for path in files:
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        shutil.copy2(path, root + path)


# ---- layers

class Layers:
    """A root directory: layers that are only read, and one that is written.
    dir holds it; root is where it can be seen while it is mounted."""

    def __init__(self, directory, lowers, limit=None, sync=False):
        """lowers: the uppermost first, the base image last. limit: as
        "300M", all that the root may grow by. Without sync its fsync() does
        nothing; nor is all of the machine's disk synced to unmount it."""
        self.dir, self.lowers = directory, lowers
        self.limit, self.sync = limit, sync
        self.root = os.path.join(directory, "root")
        self.store = os.path.join(directory, "written")
        self.upper = os.path.join(self.store, "upper")
        os.makedirs(self.root)
        os.makedirs(self.store)
        if limit:
            command("mount", "-t", "tmpfs", "-o", "mode=755,size=" + limit,
                    "written", self.store)
        self.mount()

    def mount(self):
        work = os.path.join(self.store, "work")
        os.makedirs(self.upper, exist_ok=True)
        # what an overlay without sync leaves in it forbids the next mount
        shutil.rmtree(work, ignore_errors=True)
        os.mkdir(work)
        # short names: all of them have to fit in a page
        option = "lowerdir=%s,upperdir=%s,workdir=%s" % (
            ":".join(os.path.relpath(d, STORE) for d in self.lowers),
            os.path.relpath(self.upper, STORE), os.path.relpath(work, STORE))
        if not self.sync:
            option += ",volatile"
        command("mount", "-t", "overlay", "overlay", "-o", option, self.root,
                cwd=STORE)

    def unmount(self):
        if os.path.ismount(self.root):
            command("umount", self.root)

    def freeze(self, directory):
        """What was written becomes a layer in a new directory, which others
        can have below theirs too; unmounted before and mounted afterwards."""
        self.unmount()
        if self.limit:
            command("cp", "-a", self.upper, directory)
            shutil.rmtree(self.upper)
        else:
            os.rename(self.upper, directory)
        self.lowers = [directory, *self.lowers]
        self.mount()


def overlay_works():
    """Why no layers can be mounted in build/hosts, or None."""
    os.makedirs(STORE, mode=0o700, exist_ok=True)
    directory = os.path.join(STORE, "probe.%d" % os.getpid())
    lower = os.path.join(directory, "lower")
    os.makedirs(lower)
    layers = None
    try:
        layers = Layers(os.path.join(directory, "above"), [lower])
    except Failed as e:
        return "no overlayfs can be mounted: " + str(e).splitlines()[-1]
    finally:
        if layers:
            layers.unmount()
        shutil.rmtree(directory)
    return None


# ---- snapshots

class Snapshot:
    """layers above base, the uppermost first; what the host knew of the test
    network is told by facts, a dict for JSON."""

    def __init__(self, name, suite, layers, facts):
        self.name, self.suite = name, suite
        self.layers, self.facts = layers, facts

    def keep(self, key):
        """It outlives the run, for those that ask for the same key. Returns
        the kept one."""
        path = _kept_path(self.name, key)
        with locked(os.path.join(STORE, "snapshots.lock")):
            if find_snapshot(self.name, key):
                return find_snapshot(self.name, key)
            _remove_snapshots(self.name)
            os.makedirs(path + ".new")
            *above, image = self.layers
            for number, layer in enumerate(above):
                command("cp", "-a", "--reflink=auto", layer,
                        "%s.new/%d" % (path, number))
            with open(path + ".new/snapshot.json", "w") as f:
                json.dump({"suite": self.suite, "layers": len(above),
                           "base": image, "made": _made(image),
                           "facts": self.facts}, f)
            os.rename(path + ".new", path)
        return find_snapshot(self.name, key)


def _kept_path(name, key):
    return os.path.join(SNAPSHOTS, "%s-%s" % (
        name, hashlib.sha256(key.encode()).hexdigest()[:12]))


def _remove_snapshots(name):
    for path in glob.glob(os.path.join(SNAPSHOTS, name + "-*")):
        if not in_use(path):
            remove_tree(path)


def find_snapshot(name, key):
    """A kept snapshot whose base image is still the current one, or None."""
    path = _kept_path(name, key)
    try:
        with open(path + "/snapshot.json") as f:
            said = json.load(f)
    except FileNotFoundError:
        return None
    image = base(said["suite"])
    if said["base"] != image or said["made"] != _made(image):
        return None
    layers = ["%s/%d" % (path, number) for number in range(said["layers"])]
    return Snapshot(name, said["suite"], [*layers, said["base"]],
                    said["facts"])
