#!/usr/bin/env python3
"""src/host/ssh and a real sshd: commands, files, root, and a host that is lost
meanwhile."""
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import sshd
import tap
from sshclient import FOLDER, HOST, KEYS, Home, known_line, wait_for

ED = KEYS["id_ed25519"][0]
MB50 = 50 * 1024 * 1024


# ---- running -----------------------------------------------------------------

def test_commands(d):
    at = f"127.0.0.1:{d.port}"
    home = Home([ED], known_line(d.port, HOST.keys["ed25519"]))
    run = ("run", at)
    for what, command, want in [
            ("nothing", "true", "status: exit code 0\n"),
            ("exit code", "exit 3", "status: exit code 3\n"),
            ("exit code 255", "exit 255", "status: exit code 255\n"),
            ("a signal", "kill -9 $$", "status: signal KILL\n"),
            ("another", "kill -TERM $$", "status: signal TERM\n"),
            ("output", "echo a; echo; printf b",
             "out: a\nout: \nout: b\nstatus: exit code 0\n"),
            ("errors", "echo a >&2", "err: a\nstatus: exit code 0\n"),
            ("quotes", "echo \"it's\" '$HOME' \"\\\\\"",
             "out: it's $HOME \\\nstatus: exit code 0\n"),
            ("lines", "if true\nthen echo yes # no\nfi",
             "out: yes\nstatus: exit code 0\n"),
            ("no input", "wc -c", "out: 0\nstatus: exit code 0\n"),
            ("no such command", "nonsense-command 2>/dev/null",
             "status: exit code 127\n"),
            ("output after the input's end", "cat; echo end",
             "out: end\nstatus: exit code 0\n"),
            ("closed outputs", "exec >&- 2>&-; sleep 0.2; exit 4",
             "status: exit code 4\n")]:
        tap.is_(home.run(*run, command), want, "run: " + what)
    tap.is_(home.run(*run, "echo 1", "exit 2", "echo 3"),
            "out: 1\nstatus: exit code 0\nstatus: exit code 2\nout: 3\n"
            "status: exit code 0\n", "three commands on one connection")
    tap.is_(home.run("--input", "a b\nc", *run, "cat", "wc -c"),
            "out: a b\nout: c\nstatus: exit code 0\nout: 5\n"
            "status: exit code 0\n", "input")
    tap.is_(home.run("--count", *run, "head -c 200000 /dev/zero | tr '\\0' x; "
                     "echo; echo y"),
            "status: exit code 0, 5 lines, 200003 bytes\n",
            "a line of 200,000 bytes comes in four pieces")
    tap.is_(home.run("--count", *run, "head -c 65536 /dev/zero; echo; "
                     "head -c 65535 /dev/zero; echo"),
            "status: exit code 0, 3 lines, 131073 bytes\n",
            "lines as long as a piece, and one shorter")
    for user in "noisy", "odd":
        said = home.run("run", f"{user}@{at}", "x=1; echo $x '$x'; exit 7")
        tap.ok("out: 1 $x\n" in said and "status: exit code 7\n" in said,
               f"the shell of {user}")
    said = home.run("output", at, "echo a; echo b", "head -c 200001 /dev/zero",
                    "echo why >&2; exit 3", "head -c 150000 /dev/zero; echo x")
    tap.like(said, f"failed: {at}: head -c 200001 /dev/zero: more than 200000 "
             "bytes of output\n", "output: too much")
    tap.like(said, f"failed: {at}: echo why >&2; exit 3: exit code 3: why\n",
             "output: failed")
    tap.like(said, f"output: {4 + 150002}\n", "output: what was written")


def test_much(d):
    at = f"127.0.0.1:{d.port}"
    home = Home([ED], known_line(d.port, HOST.keys["ed25519"]))
    ends = "status: exit code 0, "
    tap.is_(home.run("--count", "run", at, "yes 123456789 | head -c %d" % MB50),
            ends + f"{MB50 // 10} lines, {MB50} bytes\n", "50 MB of output")
    tap.is_(home.run("--count", "run", at, "yes 123456789 | head -c %d >&2; "
                     "echo end" % 5000000, "echo again").replace(
                         "err: 123456789\n", ""),
            ends + "1 lines, 4 bytes\n" + ends + "1 lines, 6 bytes\n",
            "5 MB of errors")
    tap.is_(home.run("--feed", MB50, "run", at, "wc -c"),
            f"out: {MB50}\nstatus: exit code 0\n", "50 MB of input")
    tap.is_(home.run("--feed", MB50, "--count", "run", at, "cat"),
            ends + f"{MB50 // 65536} lines, {MB50} bytes\n",
            "50 MB there and back")
    tap.is_(home.run("--feed", MB50, "run", at, "exit 5", "echo on"),
            "status: exit code 5\nout: on\nstatus: exit code 0\n",
            "input that is not read")
    tap.is_(home.run("--feed", MB50, "run", at, "exec <&-; sleep 1; exit 6"),
            "status: exit code 6\n", "input that is closed")
    tap.is_(home.run("--feed", MB50, "run", at, "head -c 10; echo"),
            "out: abcdefghij\nstatus: exit code 0\n",
            "input that is read in part")
    with HOST.sshd("RekeyLimit 4M") as r:
        home = Home([ED], known_line(r.port, HOST.keys["ed25519"]))
        at = f"127.0.0.1:{r.port}"
        tap.is_(home.run("--count", "run", at, "yes 123456789 | head -c %d" %
                         MB50), ends + f"{MB50 // 10} lines, {MB50} bytes\n",
                "new session keys while output comes")
        tap.is_(home.run("--feed", MB50, "run", at, "wc -c"),
                f"out: {MB50}\nstatus: exit code 0\n",
                "new session keys while input goes")


def test_lost(d):
    at = f"127.0.0.1:{d.port}"
    home = Home([ED], known_line(d.port, HOST.keys["ed25519"]))
    lost = f"error: {at}: the connection is lost while running a command"
    tap.is_(home.run("run", at, "kill -9 $PPID; sleep 5"), lost + "\n",
            "sshd is killed in the midst")
    tap.like(home.run("run", at, "kill -9 $PPID; sleep 5", "echo no"), lost,
             "nothing is run after that")
    tap.like(home.run("--feed", MB50, "run", at, "head -c 1000000 >/dev/null; "
                      "kill -9 $PPID; sleep 5"), lost,
             "it is killed while input goes")
    tap.like(home.run("--count", "run", at, "(sleep 1; kill -9 $PPID) & yes"),
             lost, "it is killed while output comes")
    p = home.start("--silence-secs", 5, "run", at, "echo $PPID; sleep 60")
    pid = int(p.stdout.readline().split()[1])
    os.kill(pid, signal.SIGSTOP)
    try:
        tap.is_(p.communicate(timeout=60)[0], lost + ": no answer for 5 s\n",
                "sshd hangs")
    finally:
        os.kill(pid, signal.SIGKILL)
    tap.is_(home.run("--silence-secs", 5, "run", at, "sleep 12; echo end"),
            "out: end\nstatus: exit code 0\n",
            "a command that is silent for long is none that hangs")
    tap.is_(home.run("--secs", 1, "run", at, "sleep 10"),
            f"error: {at}: running a command takes too long\n",
            "a command that may take a second")
    tap.is_(home.run("--secs", 1, "run", at, "yes >&2", timeout=60)[-80:]
            .splitlines()[-1],
            f"error: {at}: running a command takes too long",
            "the same with output all the time")
    tap.is_(home.run("--feed", MB50, "--stop", 3000000, "run", at, "wc -c"),
            "error: stopped\n", "the input stops")


def test_put(d):
    at = f"127.0.0.1:{d.port}"
    home = Home([ED], known_line(d.port, HOST.keys["ed25519"]))
    local, remote = os.path.join(FOLDER, "local"), HOST.path("home", "a file's")
    data = os.urandom(1000) * 8000
    with open(local, "wb") as f:
        f.write(data)

    def there():
        names = sorted(os.listdir(os.path.dirname(remote)))
        return [n for n in names if n not in sshd.USERS]

    tap.is_(home.run("--mode", "755", "put", at, local, remote),
            f"put: {len(data)} of {len(data)}\n", "put 8 MB")
    with open(remote, "rb") as f:
        tap.ok(f.read() == data, "they are there")
    tap.is_(os.stat(remote).st_mode & 0o7777, 0o755, "with their mode")
    tap.is_(home.run("--input", "new", "--mode", "600", "put", at, local,
                     remote), "put: 3 of 3\n", "put another in its place")
    with open(remote, "rb") as f:
        tap.is_(f.read(), b"new", "it is there")
    tap.is_(os.stat(remote).st_mode & 0o7777, 0o600, "with its mode")
    sshd.write(local, "")
    tap.is_(home.run("put", at, local, remote), "put: 0 of 0\n",
            "an empty file")
    sshd.write(local, "short")
    tap.is_(home.run("--feed", 10, "put", at, local, remote),
            f"error: {remote}: what was to be copied has become shorter\n",
            "a file that has become shorter")
    time.sleep(.5)
    tap.is_((there(), os.stat(remote).st_size), (["a file's"], 0),
            "the old one stays, nothing is left behind")
    for what, path, want in [
            ("no such directory", "/nonexistent/x", "exit code 1: "),
            ("a directory", FOLDER, f"exit code 1: {FOLDER} is a directory")]:
        tap.like(home.run("put", at, local, path),
                 f"error: {at}: copying {path}: {want}", "put to " + what)
    tap.like(home.run("put", "alice@" + at, local, remote),
             "Permission denied", "put without the right to")
    tap.is_(home.run("--root", "put", "sue@" + at, local, remote),
            "put: 5 of 5\n", "put as root by sudo")
    tap.is_(os.stat(remote).st_uid, 0, "it is root's")
    sshd.write(local, "x" * 1000000)
    p = home.start("--feed", 10 * MB50, "put", at, "/dev/zero", remote)
    wait_for(lambda: len(there()) > 1)
    p.kill()
    p.communicate()
    wait_for(lambda: len(there()) == 1)
    tap.is_((there(), os.stat(remote).st_size), (["a file's"], 5),
            "killed in the midst: the old one stays alone")


def test_root(d):
    at = f"127.0.0.1:{d.port}"
    home = Home([ED], known_line(d.port, HOST.keys["ed25519"]))
    for user, want in [
            ("root", "out: 0 it's\nstatus: exit code 0\n"),
            ("sue", "out: 0 it's\nstatus: exit code 0\n"),
            ("doris", "out: 0 it's\nstatus: exit code 0\n"),
            ("alice", f"error: {at}: alice is not root, and neither sudo nor "
             "doas lets alice run commands without a password\n"),
            ("noisy", f"error: {at}: noisy is not root, and neither sudo nor "
             "doas lets noisy run commands without a password\n")]:
        tap.is_(home.run("--root", "run", f"{user}@{at}",
                         "echo $(id -u) \"it's\""), want, user + " as root")


with HOST.sshd() as d:
    for test in (test_commands, test_much, test_lost, test_put, test_root):
        if len(sys.argv) < 2 or test.__name__ in sys.argv[1:]:
            test(d)
tap.done()
