#!/usr/bin/env python3
"""chatmail bench against a deployed relay that lets nobody send much: all is
measured from outside all the same, and what remains when the host dies."""
import contextlib
import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "host")]
import tap

try:
    import hosts
    import relays
except ImportError:
    tap.skip_all("there are no test hosts")

DOMAIN = "_bench.test"
ROWS = 16
HALF = {"online", "ten"}
COUNT, PARALLEL = 2, 4
BURST = 8


def measured(relay, *args):
    """(exit code, report, {row: its object})"""
    code, out, err = relay.operator("bench", "--json", *args, relay.ini)
    try:
        report = json.loads(out)
    except ValueError:
        raise RuntimeError("no JSON: %r\n%s" % (out[:500], err[-3000:]))
    return code, report, {r["name"]: r for r in report["relays"][0]["rows"]}


def wrong(row):
    """What is not plausible in a row, "" when all is."""
    name, values = row["name"], row["values_ms"]
    wanted = COUNT * PARALLEL if name.startswith("parallel") else \
        (COUNT + 1) // 2 if name in HALF else COUNT
    if not row["wanted"] == row["count"] == len(values) == wanted:
        return "%s of %s values" % (row["count"], row["wanted"])
    figures = [row[k] for k in ("min_ms", "median_ms", "p95_ms", "max_ms")]
    if not 0 < figures[0] <= figures[1] <= figures[2] <= figures[3] or \
            figures[0] != min(values) or figures[3] != max(values):
        return "%s of %s" % (figures, values)
    return "%s" % row["errors"] if row["errors"] or "ended" in row else ""


def test_all(relay):
    since = relay.mark()
    code, report, rows = measured(relay, "--count", str(COUNT), "--parallel",
                                  str(PARALLEL))
    if not tap.is_((code, report["complete"], len(rows)), (0, True, ROWS),
                   "all is measured"):
        tap.diag(json.dumps(report)[:4000])
    for name, row in rows.items():
        tap.is_(wrong(row), "", "%s: median %s ms" % (name, row["median_ms"]))
    ten = rows["ten"]
    tap.ok(ten["waits"] or ten["median_ms"] > 1500,
           "the limit was met %d times, for %.0f ms, which are not in it" % (
               ten["waits"], ten["waited_ms"]))
    said = [line for line in relay.said("Too much mail from ", since)
            if "Outgoing: Too much mail from ci-" in line]
    tap.is_(sum(r["waits"] for n, r in rows.items() if n != "address"),
            len(said), "as often as the relay said so")
    tap.is_(report["relays"][0]["address"], relay.host.address, "at its address")
    return report["relays"][0]["accounts"]


def test_accounts(relay, made):
    mail = "/home/vmail/mail/%s/" % DOMAIN
    names = relay.sh("ls " + mail).split()
    ours = [n for n in names if n.startswith("ci-")]
    tap.is_(len(ours), made, "so many accounts are there as it told")
    whole = relay.sh("cd %s && grep -lE '^.SHA512-CRYPT.[$]6[$]' ci-*/password"
                     % mail).split()
    tap.is_(len(whole), made, "all of them whole")
    tap.is_(relay.sh("cd %s && find ci-* -type f -path '*/cur/*' -o -type f "
                     "-path '*/new/*' -o -type f -path '*/tmp/*'" % mail), "",
            "and empty")
    tap.is_(relay.host.failed_units(), [], "no service has failed")
    tap.is_(relay.sh("postqueue -j"), "", "nothing waits in the queue")


def test_addresses(relay):
    """More than nginx gives away at once: HTTP 429."""
    code, _, rows = measured(relay, "--only", "address", "--count", "9")
    row = rows["address"]
    tap.is_((code, row["count"], row["errors"]), (0, 9, []),
            "nine addresses of /new")
    tap.ok(row["waits"] or sum(row["values_ms"]) > 1400,
           "not all of them at once")


def test_table(relay):
    """By its domain alone, beside itself."""
    code, out, err = relay.network.run(
        [relays.CHATMAIL, "bench", "--only", "tls-*", "--count", "3",
         "--second", DOMAIN, relay.ini], env={"COLUMNS": "120"})
    times = r" +[\d.]+ (us|ms|s)" * 3
    tap.ok(code == 0 and not err and re.search(
        r"^TLS connection, SMTP( +3%s){2}$" % times, out, re.M),
        "two relays side by side")
    tap.ok("\033" not in out, "no colours where no terminal is")


def test_death(relay):
    """The host goes away in the middle, without a word."""
    argv = [relays.CHATMAIL, "bench", "--only", "login-imap,deliver,parallel",
            "--count", "20", "--timeout", "15", relay.ini]
    run = subprocess.Popen(relay.network.command(argv), text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           env=relay.network.env())
    said = ""
    for line in run.stdout:
        said += line
        if line.startswith("login, IMAP"):
            relay.host.kill()
    code = run.wait()
    if not tap.ok(code == 1 and re.search(r"^login, IMAP +20 ", said, re.M),
                  "the host dies: what was measured stands, and it ends"):
        tap.diag(said)
    for row in "message: relay has it", "10 chat at once: app is told":
        if not tap.ok(re.search(row + r": \d+ of \d+ measured; ", said),
                      "the reason is told: " + row):
            tap.diag(said)


def main():
    reason = relays.skip_reason()
    if not os.environ.get("LONG"):
        reason = "LONG=1 only: t/7800-bench.t measures a sandbox"
    if reason:
        tap.skip_all(reason)
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(hosts.Network(acme=False))
        host = network.host("bench.test")
        relay = relays.Relay(network, host, DOMAIN,
                             max_user_send_burst_size=BURST)
        host.start()
        network.names.set(DOMAIN, A=host.address)
        took = time.monotonic()
        code, out, err = relay.deploy()
        if not tap.ok(code == 0, "deploy"):
            tap.diag((out + err)[-3000:])
            tap.done()
        try:
            for test in (lambda: test_accounts(relay, test_all(relay)),
                         lambda: test_addresses(relay),
                         lambda: test_table(relay),
                         lambda: test_death(relay)):
                tap.diag("after %.1f s" % (time.monotonic() - took))
                test()
        except Exception as e:
            tap.ok(False, "%s: %s" % (type(e).__name__, e))
            tap.diag(relay.host.journal(None, "-n", "30"))
        tap.diag("after %.1f s" % (time.monotonic() - took))
    tap.done()


main()
