#!/usr/bin/env python3
"""oneway CHATMAIL DIR: how long a message takes through a whole relay, from an
app that is connected to one that is in IDLE. Rows as in bench.h."""
import os
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
if len(sys.argv) != 3:
    sys.exit("usage: oneway CHATMAIL DIR")
os.environ["CHATMAIL"] = sys.argv[1]

import idle
import sandbox
import smtptest

MESSAGES = 40
TARGET_MS = 100
WHAT = "one way, app to app in IDLE%s, median of %d"


def measure(relay):
    sender, password = relay.new_user()
    watcher = idle.watchers(relay, 1)[0]
    watcher.idle()
    secs = []
    with relay.smtp(sender, password) as smtp:
        for _ in range(MESSAGES):
            message = smtptest.encrypted(sender, watcher.addr)
            start = time.monotonic()
            smtp.sendmail(sender, [watcher.addr], message)
            if not watcher.wait(watcher.count + 1):
                sys.exit("oneway: a message was not told")
            secs.append(time.monotonic() - start)
            time.sleep(0.05)
    return statistics.median(secs) * 1e3


def row(delay, how, target):
    what = WHAT % (how, MESSAGES)
    if sandbox.skip_reason():
        print(what, "", "", "", "skipped", sep="\t")
        return
    settings = {"imap_notify_delay": delay,
                "max_user_send_burst_size": str(MESSAGES)}
    # not in DIR, which other users, Postfix among them, cannot enter
    with sandbox.Sandbox(settings=settings) as relay:
        ms = measure(relay)
    result = "" if not target else "ok" if ms <= target else "over"
    print(what, "%.1f" % ms, "ms", target, result, sep="\t", flush=True)


row("0", "", TARGET_MS)
row("500", " without imap-notify.so", "")
