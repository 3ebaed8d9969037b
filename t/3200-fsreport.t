#!/usr/bin/env python3
"""fsreport: upstream's figures, text and metric names."""
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import mailtree
import promtext
import tap
from mailtree import DAY, DOMAIN, NOW

CHATMAIL = os.path.abspath(os.environ.get("CHATMAIL", "build/chatmail"))
KB, MB = 1024, 1024 * 1024
SIZES = [0, 100 * KB, 512 * KB, MB, 2 * MB, 5 * MB, 10 * MB]
DAYS = [1, 10, 30, 40, 80, 100, 150]
NOBODY = 65534
top = tempfile.mkdtemp(prefix="chatmail-test-")
os.chmod(top, 0o755)


def tree(name):
    path = os.path.join(top, name)
    os.mkdir(path)
    t = mailtree.Tree(path + "/mail", path + "/outside")
    t.ini = path + "/chatmail.ini"
    with open(t.ini, "w") as f:
        f.write(f"[params]\nmail_domain = {DOMAIN}\n"
                f"mailboxes_dir = {t.path}\n")
    return t


def fsreport(t, *args, now=NOW, program=CHATMAIL, **how):
    """Exit code, stdout, stderr."""
    p = subprocess.run([program, "fsreport", t.ini, "--now", str(now), *args],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=60, env={**os.environ, "TZ": "UTC"}, **how)
    return (p.returncode, p.stdout.decode(),
            p.stderr.decode("utf-8", "surrogateescape"))


def box(t, name, login, *files):
    """A mailbox; files are (path, size)."""
    path = f"{t.path}/{name}@{DOMAIN}"
    os.mkdir(path)
    if login is not None:
        t.put_at(path + "/password", login, 100)
    for name, size in files:
        t.put_at(f"{path}/{name}", 0, size)
    return path


def small():
    t = tree("small")
    box(t, "alice", DAY, ("cur/1", 500), ("new/2", 600),
        (".Sent/cur/3", 100 * KB), ("maildirsize", 50), (".Sent/index", 7))
    box(t, "bob", 35 * DAY, ("cur/1", 12 * MB), ("tmp/x", 100 * KB - 1))
    box(t, "carol", 200 * DAY, ("cur/1", 2 * MB))
    box(t, "ci-1", 0, ("cur/1", 1000))
    box(t, "future", -DAY, ("cur/1", 3000))     # no login yet by the clock
    box(t, "nobody", None, ("cur/1", 4000), ("dovecot.index", 900))
    box(t, "zero", NOW, ("cur/1", 5000))
    t.no_mailboxes()
    return t


# What upstream prints for that tree, numbers and spaces included.
SUMMARY = """
## Mailbox storage use analysis
Mailbox data total size:    14M
Messages total size    :    14M
Extra files :  1.56K (0.01%)

larger than  0.00K:    14M (99.92%), 7 msgs
larger than   102K:    14M (99.22%), 3 msgs
larger than   524K:    14M (98.53%), 2 msgs
larger than     1M:    14M (98.53%), 2 msgs
larger than     2M:    14M (98.53%), 2 msgs
larger than     5M:    12M (84.45%), 1 msgs
larger than    10M:    12M (84.45%), 1 msgs

## Login stats, from date reference 2027-01-15 08:00:00
all:      0.01K
non-ci:   0.00K
ci:       0.00K
last   1 days:  0.00K (50.00%)
last  10 days:  0.00K (50.00%)
last  30 days:  0.00K (50.00%)
last  40 days:  0.00K (75.00%)
last  80 days:  0.00K (75.00%)
last 100 days:  0.00K (75.00%)
last 150 days:  0.00K (75.00%)
"""

METRICS = """\
# HELP chatmail_storage_bytes Mailbox storage in bytes.
# TYPE chatmail_storage_bytes gauge
chatmail_storage_bytes{kind="messages"} 14898963
chatmail_storage_bytes{kind="extra"} 1557
chatmail_storage_bytes{kind="total"} 14900520
# HELP chatmail_messages_bytes Sum of msg bytes >= threshold.
# TYPE chatmail_messages_bytes gauge
chatmail_messages_bytes{min_size="0"} 14886963
chatmail_messages_bytes{min_size="102400"} 14782464
chatmail_messages_bytes{min_size="524288"} 14680064
chatmail_messages_bytes{min_size="1048576"} 14680064
chatmail_messages_bytes{min_size="2097152"} 14680064
chatmail_messages_bytes{min_size="5242880"} 12582912
chatmail_messages_bytes{min_size="10485760"} 12582912
# HELP chatmail_messages_count Number of msgs >= size threshold.
# TYPE chatmail_messages_count untyped
chatmail_messages_count{min_size="0"} 7
chatmail_messages_count{min_size="102400"} 3
chatmail_messages_count{min_size="524288"} 2
chatmail_messages_count{min_size="1048576"} 2
chatmail_messages_count{min_size="2097152"} 2
chatmail_messages_count{min_size="5242880"} 1
chatmail_messages_count{min_size="10485760"} 1
# HELP chatmail_accounts Number of accounts.
# TYPE chatmail_accounts gauge
chatmail_accounts{kind="all"} 5
chatmail_accounts{kind="ci"} 1
chatmail_accounts{kind="user"} 4
# HELP chatmail_accounts_active Non-CI accounts active within N days.
# TYPE chatmail_accounts_active gauge
chatmail_accounts_active{days="1"} 2
chatmail_accounts_active{days="10"} 2
chatmail_accounts_active{days="30"} 2
chatmail_accounts_active{days="40"} 3
chatmail_accounts_active{days="80"} 3
chatmail_accounts_active{days="100"} 3
chatmail_accounts_active{days="150"} 3
"""


def read(path):
    with open(path) as f:
        return f.read()


def promtool(text, what):
    """Prometheus' own checker: 3 is for its advice on names."""
    if not shutil.which("promtool"):
        tap.skip("promtool accepts " + what, "not installed")
        return
    p = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if not tap.ok(p.returncode in (0, 3), "promtool accepts " + what):
        tap.diag(p.stdout)


def test_text(t):
    code, out, err = fsreport(t)
    tap.is_((code, err), (0, ""), "fsreport")
    for got, line in zip(out.splitlines() + [""] * 99, SUMMARY.splitlines()):
        tap.is_(got, line, "prints " + (line or "an empty line"))
    tap.is_(len(out), len(SUMMARY), "and no more")
    out = fsreport(t, "--mdir", "new")[1]
    tap.like(out, "\n[new] larger than  0.00K:  0.60K (0.00%), 1 msgs\n",
             "--mdir new")
    out = fsreport(t, "--mdir=tmp")[1]
    tap.like(out, "\n[tmp] larger than  0.00K:   102K (0.69%), 1 msgs\n",
             "--mdir tmp")
    out = fsreport(t, "--min-login-age", "35")[1]
    tap.like(out, "\n### Message storage for 35 days old logins\n"
             "larger than  0.00K:    14M (99.22%), 3 msgs\n",
             "--min-login-age counts logins of that day")
    out = fsreport(t, "--min-login-age", "36")[1]
    tap.like(out, "larger than  0.00K:     2M (14.08%), 1 msgs\n",
             "and not younger ones")
    out = fsreport(t, "--days", "1")[1]
    tap.like(out, "from date reference 2027-01-14 08:00:00\n", "--days")
    tap.like(out, "last   1 days:  0.00K (50.00%)", "counts from there")
    p = subprocess.run([CHATMAIL, "fsreport", t.ini], stdout=subprocess.PIPE)
    tap.ok(b"from date reference 20" in p.stdout, "without --now")


def test_sizes():
    t = tree("sizes")
    for size, want in [(0, " 0.00K"), (9999, "10.00K"), (10000, "   10K"),
                       (999999, " 1000K"), (1000000, "    1M"),
                       (999999999, "  999M"), (1000000000, " 1.00G"),
                       (12345678901, "12.35G"), (2 * 10**12, "2000.00G")]:
        path = box(t, "x%d" % size, None, ("cur/1", size))
        tap.like(fsreport(t)[1], "\nMessages total size    : %s\n" % want,
                 "%d bytes are shown as upstream shows them" % size)
        shutil.rmtree(path)
    out = fsreport(t)[1]
    tap.like(out, "Extra files :  0.00K (100.00%)\n", "no mailboxes")
    tap.like(out, "last 150 days:  0.00K 100%\n", "and no users")


def test_metrics(t):
    path = top + "/fsreport.prom"
    for arg in top, top + "/", path:
        code, out, err = fsreport(t, "--textfile", arg)
        tap.is_((code, out, err), (0, "", ""), "--textfile")
        tap.is_(read(path), METRICS, "has upstream's metrics")
        tap.is_(stat.S_IMODE(os.stat(path).st_mode), 0o644, "for all to read")
        os.unlink(path)
    fsreport(t, "--textfile", path, preexec_fn=lambda: os.umask(0o077))
    tap.is_(stat.S_IMODE(os.stat(path).st_mode), 0o644, "whatever the umask")
    samples, mistakes = promtext.read(read(path))
    tap.is_((len(samples), mistakes), (27, []), "and is Prometheus' format")
    promtool(read(path), "the metrics")
    legacy = top + "/metrics"
    code, out, err = fsreport(t, "--legacy-metrics", legacy)
    tap.is_((code, out, err), (0, "", ""), "--legacy-metrics")
    samples, mistakes = promtext.read(read(legacy))
    tap.is_((samples, mistakes), ({"accounts": 5, "ci_accounts": 1,
                                   "nonci_accounts": 4}, []),
            "has the names of metrics.py")
    promtool(read(legacy), "them too")
    os.unlink(path)
    code, out, err = fsreport(t, "--legacy-metrics=" + legacy, "--textfile",
                              path, "--json")
    tap.ok(code == 0 and os.path.exists(path) and json.loads(out),
           "all at once")
    for args in ["--legacy-metrics"], ["--legacy-metrics", "--json"]:
        code, out, err = fsreport(t, *args, preexec_fn=no_file)
        tap.ok(code == 1 and "/var/www/html/metrics: " in err,
               "--legacy-metrics without a file")
    code, out, err = fsreport(t, "--textfile", top + "/none/x.prom")
    tap.is_(code, 1, "no directory is an error")
    tap.like(err, top + "/none/x.prom: No such file or directory", "named")
    tap.is_(sorted(n for n in os.listdir(top) if "tmp" in n), [],
            "nothing temporary is left")


def no_file():
    """/var/www/html/metrics is not ours to write."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def test_json(t):
    code, out, err = fsreport(t, "--json")
    tap.is_((code, err, out.count("\n")), (0, "", 1), "--json")
    figures = json.loads(out)
    tap.is_(figures["storage_bytes"], {"messages": 14898963, "extra": 1557,
                                       "total": 14900520}, "storage")
    tap.is_(figures["accounts"], {"all": 5, "ci": 1, "user": 4}, "accounts")
    tap.is_(figures["active"][3], {"days": 40, "accounts": 3}, "activity")
    tap.is_(figures["messages"][1], {"min_size": 102400, "bytes": 14782464,
                                     "count": 3}, "sizes")
    tap.is_(([m["min_size"] for m in figures["messages"]],
             [a["days"] for a in figures["active"]]), (SIZES, DAYS),
            "upstream's thresholds")


def count(t, only=None):
    """Upstream's rules once more, for a large tree."""
    c = {"messages": 0, "extra": 0, "all": 0, "ci": 0}
    sizes, counts = [0] * 7, [0] * 7
    active = [0] * 7
    for name in os.listdir(t.path):
        path = f"{t.path}/{name}"
        if "@" not in name or os.path.islink(path) or not os.path.isdir(path):
            continue
        try:
            st = os.lstat(path + "/password")
            login = st.st_mtime if stat.S_ISREG(st.st_mode) else None
        except OSError:
            login = None
        c["all"] += bool(login)
        c["ci"] += bool(login) and name.startswith("ci-")
        if login and not name.startswith("ci-"):
            for i, days in enumerate(DAYS):
                active[i] += login >= NOW - days * DAY
        for at, _, files in os.walk(path):
            for f in files:
                st = os.lstat(f"{at}/{f}")
                if not stat.S_ISREG(st.st_mode):
                    continue
                parts = at[len(path) + 1:].split("/")
                inside = mailtree.SUBS & set(parts[:-1])
                if inside:
                    continue
                if parts[-1] not in mailtree.SUBS:
                    c["extra"] += st.st_size
                    continue
                c["messages"] += st.st_size
                if login and login <= NOW and only in (None, parts[-1]):
                    for i, size in enumerate(SIZES):
                        sizes[i] += st.st_size if st.st_size >= size else 0
                        counts[i] += st.st_size >= size
    return c, sizes, counts, active


def test_large():
    t = tree("large")
    t.fill(300)
    for only in None, "cur", "new", "tmp":
        code, out, err = fsreport(t, "--json",
                                  *(["--mdir", only] if only else []))
        got = json.loads(out)
        c, sizes, counts, active = count(t, only)
        tap.is_(code, 0, "every kind of file, --mdir %s" % only)
        tap.is_([got["storage_bytes"]["messages"],
                 got["storage_bytes"]["extra"], got["accounts"]["all"],
                 got["accounts"]["ci"]], list(c.values()), "storage, accounts")
        tap.is_([m["bytes"] for m in got["messages"]], sizes, "bytes")
        tap.is_([m["count"] for m in got["messages"]], counts, "counts")
        tap.is_([a["accounts"] for a in got["active"]], active, "activity")
    tap.is_([p for p in t.links if p + ": a symbolic link, not followed\n"
             not in err], [], "links are passed by")


def test_arguments(t):
    for args in (["--mdir", "curl"], ["--days", "x"], ["--maxnum", "many"],
                 ["--min-login-age", "-1"], ["--textfile"], ["x", "y"]):
        tap.is_(fsreport(t, *args)[0], 2, " ".join(args) + " is refused")
    figures = [json.loads(fsreport(t, "--json", "--maxnum", str(n))[1])
               ["accounts"]["all"] for n in (0, 99)]
    tap.is_(figures, [0, 5], "--maxnum")
    shutil.rmtree(t.path)
    code, out, err = fsreport(t)
    tap.is_(code, 0, "no mailboxes_dir is no error")
    tap.like(err, "no mailboxes found at: " + t.path, "and said")


def test_unreadable():
    if os.geteuid() != 0:
        tap.skip("unreadable directories", "not root")
        return
    t = tree("unreadable")
    a, b = (box(t, n, 0, ("cur/1", 10), ("new/1", 20)) for n in "ab")
    shutil.copy(CHATMAIL, top + "/chatmail")
    os.chmod(top + "/chatmail", 0o755)
    os.chmod(a, 0o700)
    os.chmod(b + "/cur", 0o700)
    code, out, err = fsreport(t, "--json", program=top + "/chatmail",
                              user=NOBODY, extra_groups=[], cwd="/")
    tap.is_(code, 1, "what cannot be read is a failure")
    for path in a, b + "/cur":
        tap.like(err, path + ": Permission denied\n", "named")
    got = json.loads(out)
    tap.is_((got["not_read"], got["storage_bytes"]["messages"]), (2, 20),
            "and the rest is counted")


try:
    t = small()
    test_text(t)
    test_sizes()
    test_metrics(t)
    test_json(t)
    test_large()
    test_arguments(t)
    test_unreadable()
finally:
    shutil.rmtree(top, ignore_errors=True)
tap.done()
