#!/usr/bin/env python3
"""Notifications on a real relay: an idle app is told of every message, at
whatever moment it comes. LONG=1 tries many more moments."""
import os
import random
import re
import shutil
import signal
import stat
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import idle
import sandbox
import smtptest
import tap

LONG = bool(os.environ.get("LONG"))
LIBRARY = "imap-notify.so"
BURST = 1000
RECIPIENTS = 30
MOMENTS = 32        # connections that hibernate at a time
HIBERNATED = "Successfully hibernated"

# With a timeout of 1 s a connection asks for hibernation 1 s after IDLE began,
# is refused while the second look is due, and hibernates 1 s after that look.
TIMEOUT = 1
SECOND_LOOK = 2.1
TRIED, HANDED_OVER = TIMEOUT, SECOND_LOOK + TIMEOUT


def maps(pid):
    with open("/proc/%d/maps" % pid) as f:
        return f.read()


def until(condition, timeout=20):
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.05)


def is_limited(relay, name):
    """The machine's other users of inotify may have left too little."""
    if "Inotify instance limit" not in relay.log():
        return False
    tap.skip(name, "too few inotify instances for Dovecot's user")
    return True


def show_latency(relay, watcher, name):
    """From before LMTP until the app is told; for people, not checked."""
    secs = []
    with idle.Lmtp(relay) as lmtp:
        for _ in range(8):
            start = time.monotonic()
            lmtp.deliver([watcher.addr])
            watcher.wait(watcher.count + 1)
            secs.append(time.monotonic() - start)
            time.sleep(0.1)
    tap.diag("%s: told after %.0f ms (median of %d)" % (
        name, statistics.median(secs) * 1e3, len(secs)))
    return watcher.count


# with the library

def test_loaded(relay):
    path = relay.path("dovecot", LIBRARY)
    info = os.stat(path)
    tap.is_((info.st_uid, stat.S_IMODE(info.st_mode)), (0, 0o644),
            "the library is root's, and nobody else writes it")
    watcher = idle.watchers(relay, 1)[0]
    tap.like(maps(idle.process_of(relay, watcher)), path,
             "an imap process has loaded it")
    tap.ok("ld.so" not in relay.log(), "and nothing complains")
    watcher.idle()
    tap.is_(show_latency(relay, watcher, "imap_notify_delay = 0"), 8,
            "each message is told")
    watcher.close()


def test_needs():
    """One file for every libc: it names no library and no version."""
    path = os.path.join(os.environ.get("BUILD", "build"), "dovecot", LIBRARY)
    if not shutil.which("readelf"):
        tap.skip("what the library needs", "no readelf")
        return
    said = subprocess.run(["readelf", "-dW", "--dyn-syms", path], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    tap.ok("NEEDED" not in said and "VERNEED" not in said,
           "the library needs no other one and no version")
    missing = re.findall(r" UND (\S+)", said)
    known = {"close", "dlsym", "getenv", "memcmp", "memset", "poll",
             "readlink", "strcmp", "strlen", "strrchr"}
    tap.is_([s for s in missing if s not in known], [],
            "and names only what every libc has")


def test_way(relay):
    """All the way that a message takes."""
    sender, password = relay.new_user()
    watcher = idle.watchers(relay, 1)[0]
    watcher.idle()
    with relay.smtp(sender, password) as smtp:
        smtp.sendmail(sender, [watcher.addr],
                      smtptest.encrypted(sender, watcher.addr))
    tap.ok(watcher.wait(1), "a message from another user is told")
    watcher.close()


def consume(watcher):
    """What a quick app does: fetches and deletes at once."""
    if watcher.wait(1):
        watcher.done()
        watcher.command("FETCH 1 BODY.PEEK[]")
        watcher.command("STORE 1 +FLAGS.SILENT (\\Deleted)")
        watcher.command("EXPUNGE")
        watcher.got = True


def test_quick_apps(relay):
    """One message to many: none has to wait for another's copy."""
    sender, password = relay.new_user()
    watchers = idle.watchers(relay, RECIPIENTS)
    for watcher in watchers:
        watcher.got = False
        watcher.idle()
    addrs = [w.addr for w in watchers]
    with relay.smtp(sender, password) as smtp:
        threading.Thread(target=smtp.sendmail, args=(
            sender, addrs, smtptest.encrypted(sender, addrs[0]))).start()
        idle.in_parallel([lambda w=w: consume(w) for w in watchers])
    if is_limited(relay, "quick apps"):
        return
    tap.is_(sum(w.got for w in watchers), RECIPIENTS,
            "%d quick apps have a message to all of them" % RECIPIENTS)
    tap.is_([line for line in relay.log().splitlines()
             if "status=deferred" in line or " 451 " in line], [],
            "and none was deferred")
    for watcher in watchers:
        watcher.close()


def poll_until(watcher, count, timeout):
    end = time.monotonic() + timeout
    while watcher.count < count and time.monotonic() < end:
        watcher.command("NOOP")
        time.sleep(0.05)


def test_burst(relay):
    """Many messages, to an idle connection, one that asks, one that
    hibernates at the beginning, all of one user."""
    addr, password = relay.new_user()
    ways = ["idle", "asking", "hibernated"]
    watchers = [idle.Watcher(relay, addr, password) for _ in ways]
    before = relay.log().count(HIBERNATED)
    watchers[2].idle()
    until(lambda: relay.log().count(HIBERNATED) > before)
    watchers[0].idle()

    def deliver():
        with idle.Lmtp(relay) as lmtp:
            for _ in range(BURST // 4):
                lmtp.deliver([addr])

    idle.in_parallel([deliver] * 4 + [
        lambda: watchers[0].wait(BURST, 60),
        lambda: poll_until(watchers[1], BURST, 60),
        lambda: watchers[2].wait(BURST, 60)])
    for way, watcher in zip(ways, watchers):
        tap.is_(watcher.count, BURST, "%d messages at once are told to a "
                "connection that is %s" % (BURST, way))
        watcher.close()


def deliver_at(relay, watcher, secs):
    """Deliver so long after IDLE began, and give it time to be told."""
    with idle.Lmtp(relay) as lmtp:
        watcher.idle()
        time.sleep(max(0, watcher.began + secs - time.monotonic()))
        lmtp.deliver([watcher.addr])
    watcher.is_told = watcher.wait(1, 8)
    watcher.at = secs


def try_moments(relay, moments):
    """Deliver to as many connections at these moments, in seconds after IDLE
    began; returns the moments that were lost."""
    lost = []
    for i in range(0, len(moments), MOMENTS):
        some = moments[i:i + MOMENTS]
        watchers = idle.watchers(relay, len(some))
        idle.in_parallel([lambda w=w, s=s: deliver_at(relay, w, s)
                          for w, s in zip(watchers, some)])
        lost += [round(w.at, 3) for w in watchers if not w.is_told]
        for watcher in watchers:
            watcher.close()
    return lost


def around(moment, before, after, n):
    step = (before + after) / (n - 1)
    return [moment - before + i * step for i in range(n)]


def test_moments(relay):
    idle.hibernate_after(relay, TIMEOUT)
    n = 256 if LONG else MOMENTS // 2
    before = relay.log().count(HIBERNATED)
    moments = around(HANDED_OVER, 0.7, 0.3, n) + around(TRIED, 0.5, 0.3, n)
    if LONG:
        moments += around(HANDED_OVER, 0.03, 0.03, n)
        random.shuffle(moments)
    lost = try_moments(relay, moments)
    if is_limited(relay, "moments around hibernation"):
        return
    tap.is_(lost, [], "at each of %d moments around hibernation a message is "
            "told" % len(moments))
    tap.ok(relay.log().count(HIBERNATED) - before >= n // 4,
           "and connections did hibernate")


def test_stopped(relay):
    """The event and the timeout are there at once, the event unread."""
    watcher = idle.watchers(relay, 1)[0]
    pid = idle.process_of(relay, watcher)
    watcher.idle()
    time.sleep(HANDED_OVER - 0.4)
    if not tap.ok(os.path.exists("/proc/%d" % pid), "a connection that has "
                  "just begun does not hibernate at its first time out"):
        return
    os.kill(pid, signal.SIGSTOP)
    with idle.Lmtp(relay) as lmtp:
        lmtp.deliver([watcher.addr])
    time.sleep(0.6)
    os.kill(pid, signal.SIGCONT)
    tap.ok(watcher.wait(1, 15), "a message is told that comes while the "
           "process stands still until it should hibernate")
    watcher.close()


def test_same_tick(relay):
    """A message comes in the clock tick of the last look, so that the time of
    the directory stays what it was; here it is set back."""
    watcher = idle.watchers(relay, 1)[0]
    pid = idle.process_of(relay, watcher)
    watcher.idle()
    time.sleep(SECOND_LOOK + 0.4)       # the one of IDLE's beginning
    with idle.Lmtp(relay) as lmtp:
        lmtp.deliver([watcher.addr])
    watcher.wait(1)
    time.sleep(0.2)
    box = os.path.join(relay.info["mailboxes_dir"], watcher.addr)
    os.kill(pid, signal.SIGSTOP)
    before = os.stat(box + "/new")
    with open(box + "/tmp/second", "w") as f:
        f.write("Subject: [...]\r\n\r\nhello\r\n")
    os.chown(f.name, before.st_uid, before.st_gid)
    os.rename(f.name, box + "/new/second")
    os.utime(box + "/new", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.kill(pid, signal.SIGCONT)
    # Dovecot's own second look is after 30 s
    tap.ok(watcher.wait(2, 15), "a message of the same clock tick is told")
    watcher.close()


def test_pairs(relay):
    """Two messages within milliseconds: the second may be missed at first."""
    watchers = idle.watchers(relay, 8 if LONG else 4)
    rounds = 150 if LONG else 15

    def go(watcher):
        with idle.Lmtp(relay) as one, idle.Lmtp(relay) as two:
            for _ in range(rounds):
                count = watcher.count
                second = threading.Timer(random.uniform(0, 0.012),
                                         two.deliver, [[watcher.addr]])
                second.start()
                one.deliver([watcher.addr])
                second.join()
                if not watcher.wait(count + 2, 10):
                    missed.append(watcher.addr)
                    return

    missed = []
    for watcher in watchers:
        watcher.idle()
    idle.in_parallel([lambda w=w: go(w) for w in watchers])
    tap.is_(missed, [], "%d pairs of messages are told" %
            (rounds * len(watchers)))
    for watcher in watchers:
        watcher.close()


# without it

def test_missing_file(relay):
    """Dovecot works without the file, as slowly as ever."""
    os.unlink(relay.path("dovecot", LIBRARY))
    pid = idle.master_pid(relay)
    os.kill(pid, signal.SIGTERM)
    relay.wait_log("dovecot ended:")
    until(lambda: idle.master_pid(relay) not in (None, pid) and
          not sandbox.port_is_free(relay.ports["imaps"]))
    watcher = idle.watchers(relay, 1)[0]
    tap.ok(LIBRARY not in maps(idle.process_of(relay, watcher)),
           "without its file the library is not loaded")
    tap.like(relay.wait_log("cannot be preloaded"), LIBRARY,
             "which is in the log")
    watcher.idle()
    tap.is_(show_latency(relay, watcher, "no file"), 8, "mail is told")
    watcher.close()


def test_switched_off(relay):
    with open(relay.path("dovecot", "dovecot.conf")) as f:
        tap.ok("LD_PRELOAD" not in f.read(), "imap_notify_delay = 500: no "
               "LD_PRELOAD")
    watcher = idle.watchers(relay, 1)[0]
    tap.ok(LIBRARY not in maps(idle.process_of(relay, watcher)),
           "and no library in an imap process")
    watcher.idle()
    tap.is_(show_latency(relay, watcher, "imap_notify_delay = 500"), 8,
            "mail is told")
    watcher.close()


def test_stock_loses(relay):
    """The reason for all this: were the moments wrong, this would fail."""
    idle.hibernate_after(relay, TIMEOUT)
    lost = try_moments(relay, around(TIMEOUT, 0.4, -0.1, 8))
    if is_limited(relay, "Dovecot alone"):
        return
    tap.diag("lost at " + " ".join(map(str, lost)))
    tap.ok(lost, "Dovecot alone loses what comes just before hibernation")


if sandbox.skip_reason():
    tap.skip_all(sandbox.skip_reason())
relay = sandbox.Sandbox(settings={"max_user_send_per_minute": "1000"})
try:
    relay.start()
    test_loaded(relay)
    test_needs()
    test_way(relay)
    test_quick_apps(relay)
    test_same_tick(relay)
    test_pairs(relay)
    test_moments(relay)
    test_stopped(relay)
    test_burst(relay)
    test_missing_file(relay)
    relay.stop()
    relay.set("imap_notify_delay", "500")
    relay.start()
    test_switched_off(relay)
    test_stock_loses(relay)
finally:
    if sys.exc_info()[0]:
        tap.diag(relay.tail())
    relay.stop()
    relay.remove()
tap.done()
