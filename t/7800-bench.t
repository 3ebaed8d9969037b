#!/usr/bin/env python3
"""chatmail bench on a sandbox: its figures, the relay's limits that it waits
for, Ctrl-C, and what it says of a relay that is not there or goes away."""
import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import sandbox
import smtptest
import tap

CHATMAIL = os.path.abspath(os.environ.get("CHATMAIL", "build/chatmail"))
ROWS = ["tls-imap", "tls-smtp", "tls-https", "address", "new-imap",
        "new-smtp", "login-imap", "login-smtp", "online", "taken", "told",
        "got", "pingpong", "ten", "parallel-told", "parallel-got"]
HALF = {"online", "ten"}
SETTINGS = {"max_user_send_per_minute": "60", "max_user_send_burst_size": "8",
            "max_load_1m": "1000", "min_available_memory": "0",
            "min_free_disk_space": "1M"}
LIMIT = 300


def environment(**more):
    env = {k: v for k, v in os.environ.items()
           if k not in ("CHATMAIL_INI", "NO_COLOR", "COLUMNS")}
    return {**env, "TERM": "xterm", **more}


def bench(*args, **more):
    """(exit code, stdout, stderr)"""
    done = subprocess.run([CHATMAIL, "bench", *args], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=LIMIT,
                          stdin=subprocess.DEVNULL, env=environment(**more))
    return done.returncode, done.stdout, done.stderr


def measured(*args):
    """(exit code, report, {row: its object} of the first relay)"""
    code, out, err = bench("--json", *args)
    try:
        report = json.loads(out)
    except ValueError:
        raise RuntimeError("no JSON: %r\n%s" % (out[:500], err[-3000:]))
    return code, report, rows_of(report)


def rows_of(report, relay=0):
    return {r["name"]: r for r in report["relays"][relay]["rows"]}


def wrong(row, wanted):
    """What is not plausible in a row, "" when all is."""
    values = sorted(row["values_ms"])
    if row["wanted"] != wanted or row["count"] != wanted or \
            len(values) != wanted:
        return "%s of %s values, %s wanted" % (row["count"], row["wanted"],
                                               wanted)

    def rank(percent):
        return values[max(-(-wanted * percent // 100), 1) - 1]

    figures = [row[k] for k in ("min_ms", "median_ms", "p95_ms", "max_ms")]
    if figures != [rank(p) for p in (0, 50, 95, 100)]:
        return "%s of %s" % (figures, values)
    if not 0 < figures[0] <= figures[1] <= figures[2] <= figures[3] < 60000:
        return "%s" % figures
    if row["errors"] or "ended" in row:
        return "%s, %s" % (row["errors"], row.get("ended"))
    return ""


# ---- figures ---------------------------------------------------------------------

def test_all(relay):
    count, parallel = 2, 3
    code, report, rows = measured("--count", str(count), "--parallel",
                                  str(parallel), relay.dir)
    if not tap.is_((code, report["complete"], report["interrupted"]),
                   (0, True, False), "all is measured"):
        tap.diag(json.dumps(report)[:3000])
    tap.is_(list(rows), ROWS, "in this order")
    for name, row in rows.items():
        wanted = (count + 1) // 2 if name in HALF else \
            count * parallel if name.startswith("parallel") else count
        tap.is_(wrong(row, wanted), "", "figures of " + name)
    tap.ok(all(a <= b <= c for a, b, c in zip(*(
        rows[k]["values_ms"] for k in ("taken", "told", "got")))) or
        rows["taken"]["median_ms"] <= rows["got"]["median_ms"],
        "a message is taken, told of, and there, in this order")
    tap.between(rows["parallel-got"].get("per_second", 0), .01, 100000,
                "messages a second")
    ten = rows["ten"]
    # it meets none if it needs so long that it may send two more
    tap.ok(ten["waits"] or ten["median_ms"] > 1500,
           "ten at once are too many: it has waited %d times" % ten["waits"])
    tap.ok(ten["waited_ms"] >= 950 * ten["waits"],
           "for %.0f ms" % ten["waited_ms"])
    tap.is_(sum(r["waits"] for n, r in rows.items() if n != "address"),
            relay.log().count("Outgoing: Too much mail from ci-"),
            "as often as the relay said so")
    return report["relays"][0]


def accounts(relay):
    """{address: what is wrong with it}"""
    found = {}
    base = relay.info["mailboxes_dir"]
    for addr in (n for n in os.listdir(base) if "@" in n):
        path = os.path.join(base, addr)
        with open(os.path.join(path, "password")) as f:
            text = f.read()
        mail = [n for box in ("new", "cur", "tmp")
                for _, _, names in os.walk(os.path.join(path, box))
                for n in names]
        found[addr] = "" if text.startswith("{SHA512-CRYPT}$6$") and \
            not mail else "%r, %s" % (text[:16], mail)
    return found


def test_accounts(relay, told):
    found = accounts(relay)
    tap.is_({a: w for a, w in found.items() if w}, {},
            "its accounts are whole, and empty")
    tap.is_(told["accounts"], len(found), "it has told how many it made")
    tap.is_([a for a in found if not re.fullmatch(
        r"ci-[a-z0-9]{6}@_chat\.test", a)], [], "they are accounts of tests")
    tap.is_((told["relay"], told["address"]), ("_chat.test", "127.0.0.1"),
            "and where")


def test_new(relay):
    """More addresses than nginx gives away at once."""
    code, _, rows = measured("--only", "address", "--count", "12", relay.dir)
    tap.is_((code, wrong(rows["address"], 12)), (0, ""),
            "twelve addresses from /new")
    tap.ok(rows["address"]["waits"] > 0, "for some it had to wait")
    tap.is_(list(rows), ["address"], "--only one row")


# ---- tables ------------------------------------------------------------------------

def test_table(relay):
    args = ["--only", "login-imap,deliver", "--count", "3"]
    code, out, err = bench(*args, relay.dir)
    tap.is_((code, err), (0, ""), "the table")
    lines = out.splitlines()
    tap.ok(re.fullmatch(r"_chat\.test +count +median +p95 +max +errors",
                        lines[0]), "its head")
    times = r" +[\d.]+ (us|ms|s)" * 3
    for line, text in zip(lines[1:5], [
            "login, IMAP", "message: relay has it",
            "message: app in IDLE is told", "message: app has it"]):
        tap.ok(re.fullmatch(re.escape(text) + " +3" + times, line),
               "a row: " + text)
    bars = re.findall(r"^ +[\d.]+ \w+ - +[\d.]+ \w+ \|(?:#+ (\d+))?$|"
                      r"^ +from [\d.]+ \w+ \|#+ (\d+)$", out, re.M)
    tap.is_(sum(int(a or b or 0) for a, b in bars), 6, "two histograms")
    tap.ok(out.isascii() and "\033" not in out, "ASCII, and no colours")
    tap.ok(max(map(len, lines)) <= 80, "in 80 columns")
    code, out, _ = bench("--only", "tls-*", "--count", "2", relay.dir,
                         relay.dir, COLUMNS="132")
    tap.ok(code == 0 and re.search(
        r"^TLS connection, HTTPS( +2%s){2}$" % times, out, re.M),
        "two relays side by side")
    code, out, _ = bench("--only", "tls-imap", "--count", "2", relay.dir,
                         relay.dir)
    tap.ok(code == 0 and re.search(
        r"^TLS connection, IMAP\n(  _chat\.test +2%s\n){2}" % times, out,
        re.M), "below each other, where it is narrow")


def in_terminal(*args, **more):
    """(exit code, what a terminal got)"""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(CHATMAIL, [CHATMAIL, "bench", *args], environment(**more))
    got = b""
    with contextlib.suppress(OSError):
        while chunk := os.read(fd, 65536):
            got += chunk
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), got.decode()


def test_terminal(relay):
    args = ["--only", "login-imap,tls-imap", "--count", "4", relay.dir]
    code, got = in_terminal(*args)
    tap.is_(code, 0, "in a terminal")
    for text, name in [("\r\033[K[2/2] login-imap: ", "what it does"),
                       (" of 4", "how far it is"),
                       ("\033[1m_chat.test", "colours")]:
        tap.like(got, text, "shows " + name)
    _, got = in_terminal(*args, NO_COLOR="1")
    tap.ok("\033[1m" not in got and "\033[3" not in got,
           "no colours with NO_COLOR")


# ---- ends ----------------------------------------------------------------------------

class Running:
    """One in the background, whose output is read as it comes."""

    def __init__(self, *args):
        self.process = subprocess.Popen(
            [CHATMAIL, "bench", *args], stdout=subprocess.PIPE, text=True,
            stderr=subprocess.STDOUT, env=environment())
        self.lines = []
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line)
                self.changed.notify_all()

    def wait_line(self, text):
        with self.changed:
            return self.changed.wait_for(
                lambda: any(text in line for line in self.lines), LIMIT)

    def wait_ready(self):
        """Until it would notice a signal."""
        bit = 1 << (signal.SIGINT - 1)
        while self.process.poll() is None:
            with open("/proc/%d/status" % self.process.pid) as f:
                if int(re.search(r"^SigBlk:\s+(\w+)", f.read(), re.M)[1],
                       16) & bit:
                    return
            time.sleep(.02)

    def end(self):
        """(exit code, all it said)"""
        code = self.process.wait(LIMIT)
        self.thread.join(LIMIT)
        return code, "".join(self.lines)


def test_interrupt(relay):
    for number in signal.SIGINT, signal.SIGTERM:
        run = Running("--only", "tls-imap,login-imap,login-smtp", "--count",
                      "250", relay.dir)
        run.wait_line("TLS connection, IMAP")
        run.process.send_signal(number)
        code, said = run.end()
        tap.is_(code, 1, signal.Signals(number).name + " ends it")
        tap.ok(re.search(r"^TLS connection, IMAP +250 ", said, re.M) and
               "login, SMTP" not in said, "with what was measured so far")
        tap.like(said, "Interrupted", "and it says so")
    run = Running("--only", "tls-imap,parallel", "--count", "1000", "--json",
                  relay.dir)
    run.wait_ready()
    run.process.send_signal(signal.SIGINT)
    code, said = run.end()
    report = json.loads(said)
    tap.is_((code, report["interrupted"], report["complete"]),
            (1, True, False), "the JSON, too")


def test_gone(relay):
    """The relay ends while messages are under way."""
    run = Running("--only", "login-imap,deliver,ten", "--count", "60",
                  relay.dir)
    tap.ok(run.wait_line("login, IMAP"), "one row is there")
    path = relay.path("sandbox.json")
    with open(path) as f:
        info = json.load(f)
    relay.stop()
    with open(path, "w") as f:      # it takes that away
        json.dump(info, f)
    code, said = run.end()
    tap.is_(code, 1, "the relay goes away")
    tap.ok(re.search(r"^login, IMAP +60 ", said, re.M),
           "what was measured stands")
    tap.ok(re.search(r"message: relay has it: \d+ of 60 measured; "
                     "given up after three failures in a row", said),
           "the row that was under way ends early")
    tap.ok(re.search(r"send 10, receive 10: 0 of 30 measured; ", said) and
           re.search("[Cc]onnection refused", said),
           "so do those after it")
    tap.like(said, "Not all could be measured", "with reasons")


def test_nobody(relay):
    """Nobody is there any more."""
    code, report, rows = measured(relay.dir)
    tap.is_((code, report["complete"]), (1, False), "no relay")
    tap.is_({r["count"] for r in rows.values()}, {0}, "no values")
    tap.is_([n for n, r in rows.items() if "ended" not in r], [],
            "each row says why")
    tap.is_([r["median_ms"] for r in rows.values()], [None] * len(rows),
            "and has no figures")


class Silent(smtptest.Sink):
    """Answers nothing at all."""

    def _serve(self, s):
        while not self.stopped:
            time.sleep(.05)
        s.close()


def test_silent(relay):
    with Silent() as silent:
        path = relay.path("sandbox.json")
        info = dict(relay.info, ports={
            **relay.ports, **{n: silent.port for n in ("imaps", "smtps",
                                                       "https")}})
        with open(path, "w") as f:
            json.dump(info, f)
        began = time.monotonic()
        code, _, rows = measured("--timeout", "1", "--only",
                                 "tls-imap,login-*,deliver", relay.dir)
        tap.is_((code, rows["tls-imap"]["count"]), (1, 0),
                "a port that does not answer")
        tap.is_(rows["tls-imap"]["errors"][0]["count"], 3, "is tried thrice")
        tap.like(rows["got"]["ended"], "time", "and then no more")
        tap.diag("which took %.1f s" % (time.monotonic() - began))


# ---- the command line --------------------------------------------------------------------

def test_usage():
    for args, want in [
            (["--count", "0", "x.test"], "--count: expected a number from 1"),
            (["--count", "99999", "x.test"], "from 1 to 1000"),
            (["--parallel", "x", "x.test"], "--parallel: expected a number"),
            (["--only", "login-imap,nothing", "x.test"], '"nothing"'),
            (["--timeout", "-1", "x.test"], "--timeout: expected"),
            (["--config", "x.ini", "b.test"], "--config, or relays"),
            (["a.test"] * 5, "at most 4 relays"),
            (["--what"], "--what")]:
        code, out, err = bench(*args)
        tap.ok(code == 2 and want in err and not out, "usage: " + want)
    for args, want in [(["/nonexistent/chatmail.ini"], "/nonexistent"),
                       (["no domain"], "no domain")]:
        code, out, err = bench(*args)
        tap.ok(code == 1 and want in err, "refused: %s" % args)


def main():
    test_usage()
    reason = sandbox.skip_reason()
    if reason:
        tap.skip("a sandbox", reason)
        tap.done()
    with sandbox.Sandbox(settings=SETTINGS) as relay:
        told = test_all(relay)
        test_accounts(relay, told)
        for test in (test_new, test_table, test_terminal, test_interrupt,
                     test_gone, test_nobody, test_silent):
            test(relay)
    tap.done()


main()
