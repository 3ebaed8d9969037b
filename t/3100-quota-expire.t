#!/usr/bin/env python3
"""quota-expire: the oldest messages go, as Dovecot asks for."""
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import tap

CHATMAIL = os.path.abspath(os.environ.get("CHATMAIL", "build/chatmail"))
MB = 1024 * 1024
DAY = 86400
NOBODY = 65534
top = tempfile.mkdtemp(prefix="chatmail-test-")
os.chmod(top, 0o755)
BOX = top + "/user@chat.example"
number = 0


def quota_expire(*args, program=None, user=None):
    """Exit code, stderr; nothing may come on stdout."""
    p = subprocess.run([program or CHATMAIL,
                        *([] if program else ["quota-expire"]), *args],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=60, user=user,
                       extra_groups=None if user is None else [])
    tap.is_(p.stdout, b"", "nothing on stdout")
    return p.returncode, p.stderr.decode()


def message(sub, days, size, name="%d.M%dP1.host,S=%d,W=%d:2,S", box=None):
    """A message that old by its name; its mtime is now, its size 1."""
    global number
    number += 1
    secs = int(time.time() - days * DAY)
    directory = f"{box or BOX}/{sub}"
    os.makedirs(directory, exist_ok=True)
    path = f"{directory}/{name % ((secs, number, size, size)[:name.count('%d')])}"
    with open(path, "w") as f:
        f.write("x")
    return path


def fresh():
    shutil.rmtree(BOX, ignore_errors=True)
    for sub in "cur", "new", "tmp":
        os.makedirs(f"{BOX}/{sub}")
    with open(BOX + "/maildirsize", "w") as f:
        f.write("524288000S\n1 1\n")


def left(paths):
    return [os.path.exists(p) for p in paths]


# (sub, days, MB), is it left? The target is 10 MB.
CASES = [
    ("an empty mailbox", []),
    ("the target itself", [("cur", 9, 10, True)]),
    ("more than it", [("cur", 9, 10.01, False)]),
    ("the oldest goes", [("cur", 9, 6, False), ("cur", 8, 6, True)]),
    ("the oldest of cur and new", [("cur", 8, 6, True), ("new", 9, 6, False)]),
    ("as many as needed", [("cur", d, 4, d < 4) for d in range(2, 9)]),
    ("younger than a day", [("cur", 0.99, 20, True), ("cur", 0, 20, True)]),
    ("older than a day", [("cur", 1.01, 20, False), ("cur", 0.5, 1, True)]),
    ("a burst of today costs all that is older",
     [("new", 0, 40, True), ("cur", 2, 1, False), ("cur", 30, 1, False)]),
    ("a time in the future", [("cur", -3, 20, True)]),
    ("folders and tmp", [(".Sent/cur", 9, 20, True), ("tmp", 9, 20, True),
                         ("cur", 9, 9, True)]),
]


def test_cases():
    for what, rows in CASES:
        fresh()
        paths = [message(sub, days, int(mb * MB))
                 for sub, days, mb, _ in rows]
        code, err = quota_expire("10", BOX)
        tap.is_((code, left(paths)), (0, [row[3] for row in rows]), what)
        n = sum(not row[3] for row in rows)
        tap.is_(err, "quota-expire: removed %d message(s) from "
                "user@chat.example\n" % n if n else "", "what it says")
        tap.is_(os.path.exists(BOX + "/maildirsize"), not n,
                "maildirsize %s" % ("goes" if n else "stays"))


def test_names():
    fresh()
    odd = [message("cur", 9, 20 * MB, name) for name in (
        "msg", "x%d.M%d,S=%d", "%d,S=1", "%d.M%d", "%d.M%d,S=", "%d.M%d,S=-1",
        "%d.\n%d,S=%d")]
    huge = message("cur", 9, 0, "%d.M%d,S=99999999999999999999999")
    directory = message("cur", 9, 20 * MB)
    os.unlink(directory)
    os.mkdir(directory)
    os.symlink("/etc/passwd", BOX + "/cur/1.M1,S=99999999")
    code, err = quota_expire("10", BOX)
    tap.is_((code, err), (0, ""), "names that Dovecot does not give")
    tap.is_(set(left(odd + [huge, directory])), {True}, "stay and do not count")
    tap.ok(os.path.islink(BOX + "/cur/1.M1,S=99999999"), "as do links")
    message("cur", 9, 20 * MB, "%d.\udcff\n%d" + ",S=%d")
    good = [message("cur", 9, 20 * MB, n) for n in (
        "%d.M%d,S=%d", "%d.\udcff\udc80%d,S=%d:2,", "%d. %d,S=%d\n",
        "%d.M%d,S=1,S=%d")]
    code, err = quota_expire("10", BOX)
    tap.is_((code, left(good)), (0, [False] * 4), "odd bytes do no harm")


def test_arguments():
    for args in ([], ["10"], ["10", BOX, "more"], ["x", BOX], ["-1", BOX],
                 ["1.5", BOX], ["", BOX], ["99999999999999999", BOX]):
        code, err = quota_expire(*args)
        tap.ok(code == 2 and "Usage: chatmail quota-expire" in err,
               "%s is refused" % " ".join(args[:1] + args[2:]))
    code, err = quota_expire("1", top + "/none@chat.example")
    tap.is_(code, 1, "no mailbox is an error")
    tap.like(err, top + "/none@chat.example: No such file or directory",
             "that names it")
    fresh()
    path = message("cur", 2, 1)
    quota_expire("0", BOX + "///")
    tap.is_(left([path]), [False], "0 MB, and slashes behind the directory")
    fresh()
    path = message("cur", 2, 2 * MB)
    code, err = quota_expire("1", BOX + "/")
    tap.like(err, "from user@chat.example\n", "are not in what is said")
    os.symlink(CHATMAIL, top + "/chatmail-quota-expire")
    path = message("cur", 2, 2 * MB)
    code, err = quota_expire("1", BOX, program=top + "/chatmail-quota-expire")
    tap.is_((code, left([path])), (0, [False]), "by upstream's name")
    shutil.rmtree(BOX)
    os.mkdir(BOX)
    tap.is_(quota_expire("1", BOX), (0, ""), "a mailbox before its first mail")


def test_links():
    outside = top + "/outside"
    secret = message("cur", 9, 20 * MB, box=outside)
    shutil.rmtree(BOX)
    os.symlink(outside, BOX)
    for name in BOX, BOX + "/":
        tap.is_(quota_expire("1", name)[0], 1, "a mailbox that is a link")
    os.unlink(BOX)
    os.mkdir(BOX)
    os.symlink(outside + "/cur", BOX + "/cur")
    tap.is_(quota_expire("1", BOX)[0], 1, "a cur that is a link")
    os.mkdir(BOX + "/new")
    path = message("new", 9, 20 * MB)
    code, err = quota_expire("1", BOX)
    tap.is_((code, left([path])), (1, [False]), "does not save new")
    tap.is_(left([secret]), [True], "nothing outside is gone")
    os.unlink(BOX + "/cur")
    fresh()
    os.unlink(BOX + "/maildirsize")
    os.symlink(secret, BOX + "/maildirsize")
    message("new", 9, 20 * MB)
    quota_expire("1", BOX)
    tap.is_((left([secret]), os.path.lexists(BOX + "/maildirsize")),
            ([True], False), "a maildirsize that is a link goes alone")


def test_failures():
    if os.geteuid() != 0:
        tap.skip("what cannot be removed", "not root")
        return
    fresh()
    program = top + "/chatmail"
    shutil.copy(CHATMAIL, program)
    os.chmod(program, 0o755)
    fixed = message("cur", 9, 6 * MB)
    path = message("new", 8, 6 * MB)
    for at, dirs, files in os.walk(BOX):
        for name in [at] + [os.path.join(at, n) for n in files]:
            os.chown(name, NOBODY, NOBODY)
    os.chmod(BOX + "/cur", 0o555)
    p = subprocess.run([program, "quota-expire", "10", BOX], text=True,
                       stderr=subprocess.PIPE, user=NOBODY, extra_groups=[])
    tap.is_((p.returncode, left([fixed, path])), (1, [True, False]),
            "another one goes for what cannot be removed")
    tap.like(p.stderr, fixed + ": not removed: Permission denied\n",
             "which is named")
    tap.like(p.stderr, "1 could not be removed, 0 could not be read",
             "and counted")


def test_many():
    fresh()
    for i in range(20000):
        open(f"{BOX}/cur/{i + 1000}.M{i}P1.host,S=1048576,W=1:2,S",
             "w").close()
    code, err = quota_expire("350", BOX)
    tap.like(err, "removed 19650 message(s)", "20,000 messages")
    tap.is_(min(int(n.split(".")[0]) for n in os.listdir(BOX + "/cur")), 20650,
            "in their order")


try:
    test_cases()
    test_names()
    test_arguments()
    test_links()
    test_failures()
    test_many()
finally:
    shutil.rmtree(top, ignore_errors=True)
tap.done()
