#!/usr/bin/env python3
"""expire: upstream's verdict on every kind of file, and what happens around
it: dry runs, links, unreadable directories, deliveries, SIGKILL."""
import contextlib
import json
import os
import pty
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import mailtree
import tap
from mailtree import BIG, DAY, DOMAIN, NOW, OLD

NOBODY = 65534
top = tempfile.mkdtemp(prefix="chatmail-test-")
os.chmod(top, 0o755)
# trees that are made again and again; memory is quick
quick = tempfile.mkdtemp(prefix="chatmail-test-", dir="/dev/shm" if os.access(
    "/dev/shm", os.W_OK) else None)
# a copy, so that another user can run it
CHATMAIL = os.path.join(top, "chatmail")
shutil.copy(os.environ.get("CHATMAIL", "build/chatmail"), CHATMAIL)


def tree(name, where=top, **settings):
    path = os.path.join(where, name)
    os.mkdir(path)
    t = mailtree.Tree(path + "/mail", path + "/outside")
    t.ini = path + "/chatmail.ini"
    settings = {"mail_domain": DOMAIN, "mailboxes_dir": t.path,
                **mailtree.SETTINGS, **settings}
    with open(t.ini, "w") as f:
        f.write("[params]\n")
        f.writelines(f"{k} = {v}\n" for k, v in settings.items())
    return t


def expire(t, *args, now=NOW, user=None):
    """Exit code, stdout, stderr."""
    p = subprocess.run([CHATMAIL, "expire", t.ini, "--now", str(now), *args],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=120, user=user, cwd="/",
                       extra_groups=None if user is None else [])
    return (p.returncode, p.stdout.decode(),
            p.stderr.decode("utf-8", "surrogateescape"))


def snapshot(path):
    """Every path below with what would show a change."""
    found = {}
    for at, dirs, files in os.walk(path):
        for name in dirs + files:
            p = os.path.join(at, name)
            st = os.lstat(p)
            found[p] = (st.st_mode, st.st_ino, st.st_size, st.st_mtime_ns,
                        st.st_ctime_ns)
    return found


def short(paths):
    return sorted(p[len(top):] for p in paths)[:10]


def rows_at(t, path):
    """The rules of the table for a path."""
    return [rule for name, *_, rule in mailtree.MESSAGES
            if path.endswith("/" + name)]


def test_table():
    t = tree("table")
    t.fill(2000)
    before, outside = snapshot(t.path), snapshot(t.outside)
    tap.is_(t.boxes, 2000, "2000 mailboxes")

    code, out, err = expire(t)
    tap.is_(code, 0, "a dry run")
    tap.like(out, t.summary, "counts what would go")
    tap.ok(re.fullmatch(r"Removed \d+ out of \d+ mailboxes and \d+ out of "
                        r"\d+ files in existing mailboxes in +\d+\.\d\d "
                        r"seconds\n", out), "in upstream's words")
    tap.ok("\r" not in err and "\033" not in err, "no progress without terminal")
    tap.is_(snapshot(t.path) == before, True, "and changes nothing")
    skipped = re.findall(r"Skipped deleting (.*), doesn't have last_login but "
                         r"isn't empty", err)
    tap.is_(sorted(skipped), sorted(t.skipped), "says what has no password")
    links = re.findall(r"(/.*): a symbolic link, not followed", err)
    tap.is_(sorted(links), sorted(t.links), "and which links it passed by")
    tap.is_(len(err.splitlines()), len(skipped) + len(links),
            "and nothing else")

    code, out, removal = expire(t, "--remove")
    after = snapshot(t.path)
    gone = before.keys() - after.keys()
    tap.is_(code, 0, "--remove")
    tap.like(out, t.summary, "counts the same")
    tap.is_(sorted(removal.splitlines()), sorted(err.splitlines()),
            "and says the same")
    for name, *_, verdict, rule in mailtree.MESSAGES:
        want = verdict == mailtree.GONE
        wrong = [p for p in before if p.endswith("/" + name) and
                 (p in gone) != (p in t.gone)]
        seen = sum(p.endswith("/" + name) for p in before)
        tap.ok(seen and not wrong, "%s: %s (%s), %d times" % (
            ascii(name[:40]), rule, "gone" if want else "kept", seen))
    tap.is_(short(gone - t.gone), [], "nothing else is gone")
    tap.is_(short(t.gone - gone), [], "nothing is left")
    tap.is_(short(p for p in after if after[p][:4] != before[p][:4] and
                  not os.path.isdir(p)), [], "and no file has changed")
    tap.is_(snapshot(t.outside), outside, "nothing outside was touched")

    code, out, err = expire(t, "--remove")
    tap.ok(code == 0 and out.startswith("Removed 0 out of"),
           "a second run removes no mailbox")
    left = snapshot(t.path)
    tap.is_(left.keys() == after.keys(), True, "and nothing else")


def test_quota_table():
    for i, (rule, rows) in enumerate(mailtree.quota_cases()):
        t = tree("quota%d" % i)
        t.quota(rows)
        before = snapshot(t.path)
        expire(t)
        same = snapshot(t.path) == before
        code, out, err = expire(t, "--remove", "-v")
        gone = before.keys() - snapshot(t.path).keys()
        tap.is_((code, short(gone)), (0, short(t.gone)), "quota: " + rule)
        number = sum(verdict == mailtree.GONE for _, verdict in rows)
        line = "quota-expire: removed %d message(s) from quota" % number
        tap.ok(same and (line in err) == (number > 0), "is not in a dry run")


def test_age_before_quota():
    """What is too old goes first and does not count any more."""
    for dry in True, False:
        t = tree("both%d" % dry)
        box = t.box("both")
        old = mailtree.stamp(9 * DAY, 1, 2 * mailtree.TARGET)
        t.put_at(f"{box}/cur/{old}", OLD)
        t.put_at(f"{box}/cur/{mailtree.stamp(8 * DAY, 2, 1)}", 0)
        code, out, _ = expire(t, *([] if dry else ["--remove"]))
        tap.like(out, " and 2 out of 2 files", "age goes before quota, %s" %
                 ("dry" if dry else "removing"))


def test_options():
    t = tree("options")
    for i in range(5):
        t.messages([("cur/x", 15 * DAY, 10, "keep", "")])
    code, out, err = expire(t, "-v", "--days", "0")
    tap.is_(sorted(re.findall(r"checking mailbox Jan 12 (\S+)", err)),
            sorted(os.listdir(t.path)), "-v names the mailboxes")
    t.put_at(t.path + "/box00001@chat.example/cur/old", OLD)
    code, out, err = expire(t, "-v")
    for path in "cur/old", "maildirsize":
        tap.ok(re.search(r"removing (Dec 26 )?%s/box00001@chat.example/%s\n" %
                         (t.path, path), err), "-v names %s" % path)
    tap.like(expire(t, "--days", "1")[1], "and 0 out of 6 files",
             "--days: yesterday it was not too old")
    tap.like(expire(t, now=NOW + 10 * DAY)[1], "and 11 out of 6 files",
             "in ten days all will be")
    os.mkdir(t.path + "/pending_notifications")
    counts = [int(re.search(r"out of (\d+) mailboxes", expire(
        t, "--maxnum", str(n))[1])[1]) for n in range(8)]
    tap.ok(counts[0] == 0 and counts[6] == counts[7] == 5 and all(
        b - a in (0, 1) for a, b in zip(counts, counts[1:])),
        "--maxnum counts names, as upstream does")
    code, out, err = expire(t, "--json")
    figures = json.loads(out)
    tap.ok(isinstance(figures.pop("seconds"), float), "--json: the time")
    tap.is_(figures, {"dry_run": True, "mailboxes": 5, "removed_mailboxes": 0,
                      "files": 6, "removed_files": 2, "not_removed": 0,
                      "not_read": 0, "vanished": 0}, "--json: the figures")
    for wrong in (["--days", "x"], ["--maxnum", "-1"], ["--now", "today"],
                  ["--days"], ["second.ini"], ["--now", "9" * 19], ["--maxnum", "1.5"]):
        tap.is_(expire(t, *wrong)[0], 2, "%s is refused" % " ".join(wrong))
    shutil.rmtree(t.path)
    code, out, err = expire(t)
    tap.ok(code == 0 and out.startswith("Removed 0 out of 0 mailboxes"),
           "no mailboxes_dir is no error")
    tap.like(err, "no mailboxes found at: " + t.path, "and said")
    os.symlink(t.outside, t.path)
    os.mkdir(t.path + "/some@chat.example")
    tap.like(expire(t, "--remove")[1], "Removed 1 out of 1 mailboxes",
             "mailboxes_dir itself may be a link")
    t.ini = "/nowhere/chatmail.ini"
    tap.is_(expire(t)[0], 1, "no chatmail.ini is an error")


def test_terminal():
    t = tree("terminal")
    t.messages([("cur/x", 0, 10, "keep", "")])
    parent, child = pty.openpty()
    p = subprocess.run([CHATMAIL, "expire", t.ini], stderr=child,
                       stdout=subprocess.PIPE)
    os.close(child)
    said = os.read(parent, 4096).decode()
    os.close(parent)
    tap.ok(p.returncode == 0 and "1 mailboxes" in said and
           said.endswith("\r\033[K"), "progress is shown on a terminal")


def test_settings():
    """Extreme settings are no wrong times."""
    t = tree("settings", delete_mails_after=2**64 - 1,
             delete_large_after=10**10, delete_inactive_users_after=2**64 - 1)
    box = t.box("x", login=0)
    t.put_at(box + "/cur/x", NOW)
    t.put_at(box + "/cur/new", 0, BIG)
    tap.like(expire(t)[1], "and 0 out of 2 files", "a very long time is long")


def test_memory():
    """The number of messages in a mailbox does not matter."""
    def peak(count):
        t = tree("memory%d" % count, quick)
        box = t.box("m", login=0)
        for i in range(count):
            open(f"{box}/cur/{NOW}.M{i}P1.host,S=1,W=1:2,S", "w").close()
        pid = os.posix_spawn(CHATMAIL, [CHATMAIL, "expire", t.ini], os.environ,
                             file_actions=[(os.POSIX_SPAWN_OPEN, 1,
                                            "/dev/null", os.O_WRONLY, 0)])
        _, status, used = os.wait4(pid, 0)
        tap.is_(status, 0, "%d messages in one mailbox" % count)
        return used.ru_maxrss

    few, many = peak(10), peak(50000)
    tap.between(many - few, -1024, 1024, "take no more memory than 10")


def owned(t):
    for at, dirs, files in os.walk(os.path.dirname(t.path)):
        for name in [at] + [os.path.join(at, n) for n in dirs + files]:
            os.lchown(name, NOBODY, NOBODY)


def test_unreadable():
    if os.geteuid() != 0:
        tap.skip("unreadable directories", "not root")
        return
    t = tree("unreadable")
    closed = t.box("closed")
    half = t.box("half")
    t.put_at(half + "/cur/x", OLD)
    t.put_at(half + "/new/x", OLD)
    stuck = t.box("stuck", login=99 * DAY)
    t.put_at(stuck + "/cur/x", 0)
    t.put_at(stuck + "/.Sent/new/y", 0)
    fixed = t.box("fixed")
    t.put_at(fixed + "/cur/x", OLD)
    t.put_at(fixed + "/cur/y", OLD)
    emptied = t.box("emptied", login=99 * DAY)
    good = t.box("good")
    t.put_at(good + "/cur/x", OLD)
    owned(t)
    os.chmod(closed, 0)
    os.chmod(half + "/cur", 0)
    os.chmod(stuck + "/.Sent/new", 0)
    os.chmod(fixed + "/cur", 0o555)
    os.chmod(emptied + "/tmp", 0)       # empty: can go without reading
    code, out, err = expire(t, "--remove", user=NOBODY)
    tap.is_(code, 1, "what cannot be read or removed is a failure")
    tap.like(err, "3 could not be removed, 2 could not be read",
             "with the counts")
    for path, why in ((closed, "Permission denied"),
                      (half + "/cur", "Permission denied"),
                      (stuck + "/.Sent/new", "not removed: Permission denied"),
                      (fixed + "/cur/x", "not removed: Permission denied"),
                      (fixed + "/cur/y", "not removed: Permission denied")):
        tap.like(err, f"{path}: {why}\n", path[len(t.path):] + " is named")
    tap.like(out, "Removed 1 out of 5 mailboxes and 5 out of 4 files",
             "what was removed is counted as upstream counts")
    tap.ok(not os.path.exists(good + "/cur/x") and
           not os.path.exists(half + "/new/x") and
           not os.path.exists(emptied), "the rest went on")
    tap.is_(sorted(os.listdir(stuck)), [".Sent", "password"],
            "a mailbox that cannot be removed whole keeps its password")
    os.chmod(stuck + "/.Sent/new", 0o700)
    os.chmod(fixed + "/cur", 0o700)
    expire(t, "--remove", user=NOBODY)
    tap.ok(not os.path.exists(stuck) and not os.listdir(fixed + "/cur"),
           "and goes when it can")
    code, out, err = expire(t, "--json", user=NOBODY)
    tap.is_((code, json.loads(out)["not_read"]), (1, 2), "--json tells too")
    os.chmod(t.path, 0)
    code, out, err = expire(t, user=NOBODY)
    tap.is_(code, 1, "an unreadable mailboxes_dir is an error")
    tap.like(err, t.path + ": Permission denied", "that names it")


def test_leftovers():
    """Temporary files of processes that were killed; those of a day alone."""
    rows = [("metadata.json.tmp-77-0", True), ("password.tmp-4194304-12", True),
            ("metadata.json.tmp-77-", False), ("metadata.json.tmp--0", False),
            ("metadata.json.tmp-77-0x", False), ("x.tmp-77-0", False),
            ("metadata.json.tmp-77", False), ("metadata.json", False),
            (".Sent/metadata.json.tmp-77-0", False),
            ("xmetadata.json.tmp-77-0", False)]
    t = tree("leftovers")
    box = t.box("leftovers")
    os.mkdir(box + "/metadata.json.tmp-77-9")
    os.symlink(box + "/password", box + "/metadata.json.tmp-78-0")
    for name, _ in rows:
        t.put_at(f"{box}/{name}", DAY + .001)
    for name in "metadata.json.tmp-79-0", "password.tmp-79-0":
        t.put_at(f"{box}/{name}", DAY)
    before = snapshot(t.path)
    expire(t)
    tap.is_(snapshot(t.path), before, "leftovers stay in a dry run")
    code, out, err = expire(t, "--remove", "-v")
    gone = before.keys() - snapshot(t.path).keys()
    tap.is_((code, short(gone)),
            (0, short(f"{box}/{name}" for name, goes in rows if goes)),
            "go after a day, and nothing else")
    tap.like(err, "removing Jan 14 " + box + "/metadata.json.tmp-77-0",
             "and are named")
    tap.like(out, " and 2 out of 0 files", "and counted")


def test_deep():
    t = tree("deep")
    box = t.box("deep", login=99 * DAY)
    os.makedirs(box + "/d" * 20)
    deeper = t.box("deeper")
    t.put_at(deeper + "/d" * 28 + "/cur/x", OLD)
    deepest = t.box("deepest")
    os.makedirs(deepest + "/d" * 50 + "/cur")
    code, out, err = expire(t, "--remove")
    tap.ok(not os.path.exists(box), "20 directories in each other go")
    tap.ok(not os.path.exists(deeper + "/d" * 28 + "/cur/x"),
           "messages below 28 are found")
    tap.is_((code, "File name too long" in err), (1, True), "50 are too many")


def test_links_that_come():
    """A directory that becomes a link in the midst of a run."""
    t = tree("swap", quick)
    boxes = [t.box("s", login=(99 if i % 2 else 0) * DAY) for i in range(60)]
    for box in boxes:
        for i in range(20):
            t.put_at(f"{box}/cur/{i}", OLD)
    names = [f"{t.outside}/cur/{i}" for i in range(20)]
    for name in names:
        t.put_at(name, OLD)
    p = subprocess.Popen([CHATMAIL, "expire", t.ini, "--remove", "--now",
                          str(NOW)], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    while p.poll() is None:
        for box in boxes:
            try:
                os.rename(box + "/cur", box + "/aside")
                os.symlink(t.outside + "/cur", box + "/cur")
                os.unlink(box + "/cur")
                os.rename(box + "/aside", box + "/cur")
            except OSError:
                pass
    tap.is_([n for n in names if not os.path.exists(n)], [],
            "links that come in the midst of a run are not followed")


def delivered(t, boxes, stop, written):
    """Deliver as Dovecot does: written in tmp, renamed into new."""
    n = 0
    while not stop.is_set():
        box = random.choice(boxes)
        n += 1
        name = f"{int(time.time())}.M{n}P1.host,S=3000000,W=3000000"
        with open(f"{box}/tmp/{n}", "w") as f:
            f.write("mail")
        os.rename(f"{box}/tmp/{n}", f"{box}/new/{name}")
        written.append(f"{box}/new/{name}")
        # a client flags an older one and deletes another; expire may have
        # been there before
        old = random.choice(os.listdir(box + "/cur") or ["none"])
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{box}/cur/{old}", f"{box}/cur/{old}S")
        old = random.choice(os.listdir(box + "/cur") or ["none"])
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{box}/cur/{old}")
        time.sleep(0.0002)


def test_deliveries():
    t = tree("deliveries")
    boxes = [t.box("d", login=0) for _ in range(40)]
    now = time.time()
    for box in boxes:
        for i in range(60):
            age = random.choice([19, 21, 3]) * DAY
            path = f"{box}/cur/{int(now - age)}.M{i}P2.h,S=400000,W=1:2,"
            with open(path, "w"):
                pass
            os.utime(path, (now - age, now - age))
    stop, written = threading.Event(), []
    thread = threading.Thread(target=delivered, args=(t, boxes, stop, written))
    thread.start()
    codes = set()
    said = ""
    while len(written) < 1000 and thread.is_alive():
        code, _, err = expire(t, "--remove", now=int(time.time()))
        codes.add(code)
        said += err
    stop.set()
    thread.join()
    expire(t, "--remove", now=int(time.time()))
    tap.is_((codes, said), ({0}, ""), "files that vanish are no failures")
    tap.is_([p for p in written if not os.path.exists(p)], [],
            "none of %d messages that came meanwhile is lost" % len(written))
    old = [f for box in boxes for f in os.listdir(box + "/cur")
           if os.stat(f"{box}/cur/{f}").st_mtime < now - 20 * DAY]
    tap.is_(old, [], "and what is old is gone")


def test_login_meanwhile():
    """The password file's time is looked at again before anything goes."""
    t = tree("login")
    boxes = [t.box("l", login=99 * DAY) for _ in range(300)]
    for box in boxes:
        for i in range(10):
            open(f"{box}/cur/{i}", "w").close()
    p = subprocess.Popen([CHATMAIL, "expire", t.ini, "--now", str(NOW),
                          "--remove"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    noted = set()
    for box in boxes:
        try:
            os.utime(box + "/password")
            noted.add(box)
        except OSError:
            pass
    out, err = p.communicate()
    left = {b for b in boxes if os.path.exists(b)}
    tap.is_(p.returncode, 0, "logins during a run")
    tap.is_(left - noted, set(), "who has not logged in is gone")
    tap.is_([b for b in left if not os.path.exists(b + "/password")], [],
            "what stays is an account")


def test_kill():
    def fill(t):
        t.fill(260, seed=7)
        for _ in range(60):     # whole mailboxes to be in the midst of
            t.case_unused()

    whole = tree("whole", quick)
    fill(whole)
    start = time.monotonic()
    expire(whole, "--remove")
    secs = time.monotonic() - start
    want = {p[len(whole.path):] for p in snapshot(whole.path)}
    middle = 0
    for i in range(12):
        t = tree("kill%d" % i, quick)
        fill(t)
        before = len(snapshot(t.path))
        p = subprocess.Popen([CHATMAIL, "expire", t.ini, "--remove", "--now",
                              str(NOW)], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0.1, 0.9) * secs)
        p.send_signal(signal.SIGKILL)
        p.wait()
        middle += len(want) < len(snapshot(t.path)) < before
        expire(t, "--remove")
        got = {p[len(t.path):] for p in snapshot(t.path)}
        tap.is_((sorted(got - want)[:5], sorted(want - got)[:5]), ([], []),
                "killed and run again: the same in the end (%d)" % i)
        shutil.rmtree(os.path.dirname(t.path))
    tap.ok(middle > 0, "%d of 12 were killed in the midst" % middle)


def killed_states(box):
    """A mailbox as a run leaves it that is ended while removing it."""
    yield "nothing of it"
    shutil.rmtree(box + "/cur")
    yield "a directory"
    for name in os.listdir(box):
        path = os.path.join(box, name)
        if name != "password":
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    yield "all but the password"
    os.unlink(box + "/password")
    yield "the password"


def test_killed_states():
    t = tree("states")
    box = t.box("s", login=99 * DAY)
    aside = top + "/aside"
    for what in killed_states(box):
        shutil.copytree(box, aside)
        os.utime(aside, (0, 0))
        if os.path.exists(box + "/password"):
            shutil.copystat(box + "/password", aside + "/password")
        expire(t, "--remove")
        tap.ok(not os.path.exists(box),
               "ended after removing %s: the next run ends it" % what)
        os.rename(aside, box)


try:
    test_table()
    test_quota_table()
    test_age_before_quota()
    test_options()
    test_terminal()
    test_settings()
    test_memory()
    test_unreadable()
    test_leftovers()
    test_deep()
    test_links_that_come()
    test_deliveries()
    test_login_meanwhile()
    test_killed_states()
    test_kill()
finally:
    shutil.rmtree(top, ignore_errors=True)
    shutil.rmtree(quick, ignore_errors=True)
tap.done()
