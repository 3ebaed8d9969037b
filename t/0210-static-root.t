#!/usr/bin/env python3
"""The static program where there is nothing but it, the lists of users and
hosts, and certificates: the tests of its roles run on it there. LONG=1 runs all
of them. ALPINE_ROOTFS, an unpacked Alpine Linux, is one more place."""
import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "lib"))
import rooted
import tap

STATIC = os.path.join(rooted.TREE, "build/static/chatmail")
# quick ones: dict, HTTP by SCGI, figures, batch
SOME = ["t/2200-lastlogin.t", "t/2500-newemail.t", "t/2800-metrics.t",
        "t/3100-quota-expire.t", "t/3200-fsreport.t"]


def all_roles(system):
    """Those of dns run other programs, which need a shell."""
    return sorted(glob.glob("t/2*.t") + glob.glob("t/3[0-3]*.t") +
                  glob.glob("t/35*.t") * bool(system))


def places():
    """Where it is tried: (what it is called, directory or None)."""
    yield "an empty directory", None
    if os.environ.get("ALPINE_ROOTFS"):
        yield "Alpine", os.environ["ALPINE_ROOTFS"]


def test_names(root):
    done = root.run("--list")
    names = done.stdout.split()
    tap.is_((done.returncode, done.stderr), (0, ""), "--list")
    tap.ok(len(names) > 15, "%d personalities" % len(names))
    tap.is_([n for n in names if root.run(n, "--help").returncode], [],
            "each starts")
    done = root.run("--version", "--verbose")
    tap.is_((done.returncode, done.stderr), (0, ""), "--version --verbose")


def test_roles(root, tests):
    code, count, out = root.prove(tests)
    if not tap.ok(code == 0 and count > 20, "%d tests of %d files" %
                  (count, len(tests))):
        tap.diag(out[-4000:])


os.chdir(rooted.TREE)
if not os.access(STATIC, os.X_OK):
    tap.skip_all("build/static/chatmail is not there: make static")
reason = rooted.enter()
if reason:
    tap.skip_all(reason)
for name, system in places():
    tap.diag(name)
    root = rooted.Root(STATIC, system)
    try:
        test_names(root)
        test_roles(root, all_roles(system) if os.environ.get("LONG") else SOME)
    finally:
        root.remove()
tap.done()
