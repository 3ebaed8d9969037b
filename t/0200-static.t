#!/usr/bin/env python3
"""The static program: nothing dynamic is in it, it tells what it was built
from, and the same sources give the same bytes. LONG=1 builds the libraries too,
twice."""
import glob
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import tap

os.chdir(os.path.join(HERE, ".."))
CHATMAIL = os.environ.get("CHATMAIL", "build/chatmail")
STATIC, LIBS, LOCK = "build/static/chatmail", "build/static/libs", \
    "src/static/sources.lock"
MACHINE = os.uname().machine
PT_DYNAMIC, PT_INTERP, SHT_SYMTAB = 2, 3, 2
top = tempfile.mkdtemp(prefix="chatmail-static-")
# what make hands down must not come from the make that runs this test
ENV = {k: v for k, v in os.environ.items() if k not in (
    "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "SAN", "STATIC", "CC", "CFLAGS")}


def run(*argv, **how):
    return subprocess.run(argv, text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, **{"env": ENV, **how})


def sources(path):
    """Rows of a file in the lock's format."""
    with open(path) as f:
        return [line.split() for line in f if line[0] != "#"]


def elf(path):
    """Types of segments and of sections."""
    with open(path, "rb") as f:
        data = f.read()
    phoff, shoff = struct.unpack_from("<QQ", data, 32)
    phsize, phnum, shsize, shnum = struct.unpack_from("<HHHH", data, 54)
    return ([struct.unpack_from("<I", data, phoff + i * phsize)[0]
             for i in range(phnum)],
            [struct.unpack_from("<I", data, shoff + i * shsize + 4)[0]
             for i in range(shnum)])


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def test_file():
    segments, sections = elf(STATIC)
    tap.ok(PT_INTERP not in segments, "no loader is asked for")
    tap.ok(PT_DYNAMIC not in segments, "there is no dynamic section")
    tap.ok(SHT_SYMTAB not in sections, "stripped")
    size = os.stat(STATIC).st_size
    tap.between(size, 1 << 20, 8 << 20, "%.1f MB" % (size / (1 << 20)))
    if not shutil.which("strace"):
        tap.skip("no file is opened", "strace is not installed")
        return
    for args in ["--list"], ["dkim", "--help"], ["init", "--config",
                                                 top + "/x.ini", "a.example"]:
        run("strace", "-f", "-o", top + "/trace", "-e",
            "trace=open,openat,execve", STATIC, *args)
        with open(top + "/trace") as f:
            opened = set(re.findall(r'open(?:at)?\(.*?"(.*?)"', f.read()))
        tap.is_([n for n in opened
                 if n != "/dev/null" and not n.startswith(top)], [],
                "%s opens no file of the machine" % " ".join(args[:2]))


def test_version_static():
    done = run(STATIC, "--version", "--verbose")
    tap.is_((done.returncode, done.stderr), (0, ""), "--version --verbose")
    tap.like(done.stdout, "static, %s, musl, compiled by gcc" % MACHINE,
             "says what it is")
    words = done.stdout.split()
    rows = sources(LIBS + "/sources")
    tap.is_([r for r in rows if not all(w in words or w == "-" for w in r)],
            [], "names each library with version and hashes")
    tap.is_(done.stdout.count("without Debian's patches"),
            sum(r[3] == "-" for r in rows), "and where patches are not in it")
    told = json.loads(run(STATIC, "--version", "--json").stdout)
    tap.is_((told["static"], told["machine"], told["libc"]),
            (True, MACHINE, "musl"), "--json")
    tap.is_([[x["name"], x["source"]["version"], x["source"]["sha256"],
              x["source"]["patches_sha256"] or "-"]
             for x in told["libraries"]], rows, "has the same")
    tap.is_([x["name"] for x in told["libraries"] if x["version"] and not
             x["source"]["version"].split(":")[-1].startswith(x["version"])],
            [], "which is what the libraries say themselves")
    tap.ok(sum(x["version"] is not None for x in told["libraries"]) >= 8,
           "most of them")
    lock = sources(LOCK)
    tap.is_([r[0] for r in rows], [r[0] for r in lock], "the lock has all")
    tap.ok(all(re.fullmatch(r"[0-9a-f]{64}", r[2]) for r in lock),
           "with hashes")
    for row in rows:
        if row not in lock:
            tap.diag("not the lock's: " + " ".join(row))


def test_version_dynamic():
    if elf(CHATMAIL)[0].count(PT_INTERP) == 0:
        tap.skip("a dynamic build", "%s is static" % CHATMAIL)
        return
    done = run(CHATMAIL, "--version", "--verbose")
    tap.is_((done.returncode, done.stderr), (0, ""),
            "--version --verbose of the dynamic program")
    tap.like(done.stdout, "\ndynamic, %s, " % MACHINE, "says what it is")
    told = json.loads(run(CHATMAIL, "--version", "--json").stdout)
    tap.is_(told["static"], False, "--json")
    found = {x["name"]: x for x in told["libraries"]}
    # musl and zlib are not ours to use then
    tap.is_(set(r[0] for r in sources(LOCK)) - set(found), {"musl", "zlib"},
            "has all that we use")
    tap.is_([n for n, x in found.items() if not os.path.exists(x["file"])],
            [], "each with its file")
    tap.is_([n for n, x in found.items()
             if not x["version"] and n not in ("libxcrypt", "md4c")], [],
            "each says its version that can")
    tap.is_([n for n, x in found.items() if x["file"] not in done.stdout], [],
            "--verbose has the files too")


def test_options():
    for args in ["-x"], ["--verbose", "x"], ["--verbose=1"]:
        done = run(CHATMAIL, "--version", *args)
        tap.is_((done.returncode, done.stdout), (2, ""),
                "--version %s is refused" % " ".join(args))
        tap.like(done.stderr, "Usage: chatmail --version", "with the usage")


# ---- building ----------------------------------------------------------------

def copy_tree(name, *more):
    """What make static needs, in another directory."""
    path = os.path.join(top, name)
    for part in ["src", "applets", "conf-templates", "www", *more]:
        shutil.copytree(part, os.path.join(path, part), symlinks=True)
    shutil.copy2("Makefile", path)
    return path


def make(path, **env):
    return run("make", "static", cwd=path, env={**ENV, **env})


def test_relink():
    """Elsewhere, with the libraries that are there and some objects less."""
    path = copy_tree("a-longer/place", "build/static")
    gone = sorted(glob.glob(path + "/build/static/src/base/[a-f]*.o") +
                  glob.glob(path + "/build/static/src/m*.o") +
                  glob.glob(path + "/build/static/src/host/l*.o"))
    for name in [path + "/" + STATIC] + gone:
        os.remove(name)
    done = make(path)
    if not tap.is_((done.returncode, done.stderr), (0, ""),
                   "make static elsewhere"):
        return
    tap.is_(len(re.findall(r"^  CC ", done.stdout, re.M)), len(gone),
            "compiles the %d objects that were missing" % len(gone))
    tap.ok("static:" not in done.stdout, "builds no library")
    tap.is_(digest(path + "/" + STATIC), digest(STATIC), "gives the same bytes")
    done = make(path)
    tap.is_((done.returncode, re.findall(r"^(?:  |static:).*", done.stdout,
                                         re.M)), (0, []),
            "and has nothing to do then")


def test_all_twice():
    paths = [copy_tree("one"), copy_tree("the/other")]
    for path in paths:
        done = make(path, SOURCES=os.path.abspath("build/sources"))
        if not tap.is_((done.returncode, done.stderr), (0, ""), "from nothing"):
            return
        tap.diag(done.stdout[:2000])
    names = sorted(os.path.basename(p)
                   for p in glob.glob(paths[0] + "/" + LIBS + "/lib/*.a"))
    tap.ok(len(names) >= 13, "%d archives" % len(names))
    for name in ["libs/lib/" + n for n in names] + [
            "libs/musl/lib/libc.a", "libs/sources", "chatmail"]:
        tap.is_(*[digest(f"{p}/build/static/{name}") for p in paths],
                name + " is the same")
    tap.is_(digest(paths[0] + "/" + STATIC), digest(STATIC),
            "the program is also that of here")


# ---- sources -----------------------------------------------------------------

def mirror(name, files, version):
    """A Debian mirror of md4c alone that lists files and has those of them
    whose text is not None; returns apt's line."""
    path = os.path.join(top, name)
    os.mkdir(path)
    rows = []
    for file, data in files.items():
        if data is not None:
            with open(path + "/" + file, "wb") as f:
                f.write(data)
        data = data or b"x"
        rows.append((hashlib.md5(data).hexdigest(),
                     hashlib.sha256(data).hexdigest(), len(data), file))
    with open(path + "/Sources", "w") as f:
        f.write("Package: md4c\nFormat: 3.0 (quilt)\nBinary: x\n"
                "Architecture: any\nVersion: %s\nDirectory: .\nFiles:\n" %
                version)
        f.writelines(" %s %d %s\n" % (md5, n, file)
                     for md5, _, n, file in rows)
        f.write("Checksums-Sha256:\n")
        f.writelines(" %s %d %s\n" % (sha, n, file)
                     for _, sha, n, file in rows)
    with open(path + ".list", "w") as f:
        f.write("deb-src [trusted=yes] file:%s ./\n" % path)
    return path + ".list"


def build_md4c(name, apt_list):
    """src/static/libs for this library, with musl as it is here."""
    libs = os.path.join(top, name + "-libs")
    shutil.copytree(LIBS + "/musl", libs + "/musl")
    shutil.copy2(LIBS + "/musl.done", libs)
    return libs, run("src/static/libs", libs, MACHINE, "md4c", env={
        **ENV, "SOURCES": libs + "-sources", "SOURCES_LIST": apt_list})


def test_sources():
    row = [r for r in sources(LIBS + "/sources") if r[0] == "md4c"][0]
    found = glob.glob("build/sources/md4c_%s.orig.tar.*" %
                      row[1].split("-")[0])
    if not found:
        tap.skip("sources that are missing", "build/sources is not there")
        return
    name = os.path.basename(found[0])
    with open(found[0], "rb") as f:
        data = f.read()
    dsc = {"md4c_%s.dsc" % row[1]: b"x\n"}
    lost = {"md4c_%s.debian.tar.xz" % row[1]: None}

    libs, done = build_md4c("unpatched", mirror(
        "m1", {**dsc, name: data, **lost}, row[1]))
    tap.is_((done.returncode, done.stderr), (0, ""), "patches are missing")
    tap.like(done.stdout, "md4c %s, without Debian's patches: " % row[1],
             "which is said")
    tap.is_(sources(libs + "/sources"), [row[:3] + ["-"]], "and noted")
    tap.ok(os.path.exists(libs + "/lib/libmd4c.a"), "the library is there")

    _, done = build_md4c("none", mirror("m2", {**dsc, name: None, **lost},
                                        row[1]))
    tap.is_(done.returncode, 1, "all is missing")
    tap.like(done.stderr, "static: no source of md4c is to be had", "clearly")

    _, done = build_md4c("changed", mirror("m3", {**dsc, name: data + b"\0",
                                                  **lost}, row[1]))
    locked = [r for r in sources(LOCK) if r[0] == "md4c"][0][1]
    if locked != row[1]:
        tap.skip("another source", "the lock's version is not here")
        return
    tap.is_(done.returncode, 1, "a source that is not the lock's")
    tap.like(done.stderr, "the source of md4c %s is another than the lock's"
             % row[1], "is refused")


try:
    test_options()
    if not os.access(STATIC, os.X_OK):
        tap.skip("the static program", STATIC + " is not there: make static")
    else:
        test_version_dynamic()
        test_version_static()
        test_file()
        # an older one says nothing about these sources
        if run("make", "-q", "STATIC=1", STATIC).returncode:
            tap.skip("building", STATIC + " is not up to date: make static")
        else:
            test_sources()
            test_relink()
            if os.environ.get("LONG"):
                test_all_twice()
            else:
                tap.skip("building the libraries", "takes minutes: LONG=1")
finally:
    shutil.rmtree(top)
tap.done()
