#!/usr/bin/env python3
"""The static program for aarch64, by the cross compiler, on an emulated
processor. LONG=1 builds it first, and runs the tests of more roles."""
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
PROGRAM = os.path.abspath("build/static-aarch64/chatmail")
LIBRARY = "build/static-aarch64/dovecot/imap-notify.so"
EM_AARCH64, PT_DYNAMIC, PT_INTERP = 183, 2, 3
SOME = ["t/2200-lastlogin.t"]
MORE = ["t/2300-metadata.t", "t/2500-newemail.t", "t/2610-milter.t",
        "t/2700-dkim-milter.t", "t/3310-qr.t"]
LONG = bool(os.environ.get("LONG"))


def run(*args):
    done = subprocess.run([emulator, PROGRAM, *args], text=True,
                          capture_output=True, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


def read(path):
    with open(path, "rb") as f:
        return f.read()


def test_file():
    data = read(PROGRAM)
    phoff = struct.unpack_from("<Q", data, 32)[0]
    size, count = struct.unpack_from("<HH", data, 54)
    types = {struct.unpack_from("<I", data, phoff + i * size)[0]
             for i in range(count)}
    tap.is_(struct.unpack_from("<H", data, 18)[0], EM_AARCH64, "for aarch64")
    tap.is_(types & {PT_DYNAMIC, PT_INTERP}, set(), "nothing is dynamic")
    tap.ok(len(data) <= 8 << 20, "%.1f MB" % (len(data) / (1 << 20)))
    library = read(LIBRARY)
    tap.is_(struct.unpack_from("<H", library, 18)[0], EM_AARCH64,
            "imap-notify.so too")
    tap.ok(library in data, "and the program has that one")


def test_names():
    code, out, err = run("--list")
    tap.is_((code, err), (0, ""), "--list")
    tap.is_([n for n in out.split() if run(n, "--help")[0]], [],
            "each of %d personalities starts" % len(out.split()))
    told = json.loads(run("--version", "--json")[1])
    tap.is_((told["machine"], told["static"]), ("aarch64", True), "--version")
    tap.is_([x["name"] for x in told["libraries"] if x["version"] and not
             x["source"]["version"].split(":")[-1].startswith(x["version"])],
            [], "its libraries are what they say")


def test_roles(tests):
    """By a script in the program's place."""
    top = tempfile.mkdtemp(prefix="chatmail-aarch64-")
    try:
        os.chmod(top, 0o755)
        with open(top + "/chatmail", "w") as f:
            f.write('#!/bin/sh\nexec %s "%s" "$@"\n' % (emulator, PROGRAM))
        os.chmod(top + "/chatmail", 0o755)
        done = subprocess.run(["prove", "--exec", "", "--failures", *tests],
                              env={**os.environ, "CHATMAIL": top + "/chatmail"},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        count = re.search(r"Tests=(\d+)", done.stdout)
        if not tap.ok(done.returncode == 0,
                      "%s tests of roles" % (count and count[1])):
            tap.diag(done.stdout[-4000:])
    finally:
        shutil.rmtree(top)


emulator = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
if os.uname().machine == "aarch64":
    tap.skip_all("this machine is one")
if not emulator:
    tap.skip_all("qemu-aarch64-static is not installed (qemu-user-static)")
if LONG:
    if not shutil.which("aarch64-linux-gnu-gcc"):
        tap.skip_all("aarch64-linux-gnu-gcc is not installed "
                     "(gcc-aarch64-linux-gnu)")
    done = subprocess.run(["make", "static", "ARCH=aarch64"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if not tap.is_(done.returncode, 0, "make static ARCH=aarch64"):
        tap.diag(done.stdout[-2000:])
elif not os.access(PROGRAM, os.X_OK):
    tap.skip_all("build/static-aarch64/chatmail is not there: "
                 "make static ARCH=aarch64")
if os.access(PROGRAM, os.X_OK):
    test_file()
    test_names()
    test_roles(SOME + MORE * LONG)
tap.done()
