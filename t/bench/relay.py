#!/usr/bin/env python3
"""relay CHATMAIL DIR: a relay on a deployed host, as "chatmail bench" measures it
and as Delta Chat's core does, side by side. Rows as in bench.h."""
import contextlib
import json
import os
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "host")]
if len(sys.argv) != 3:
    sys.exit("usage: relay CHATMAIL DIR")
os.environ["BUILD"] = os.path.dirname(os.path.abspath(sys.argv[1]))

import deltachat
import hosts
import relays

DOMAIN = "_bench.test"
COUNT, TEN, TENS = 20, 10, 3
ACCOUNTS = 10
REST = 1.1              # an app sends one message a second, else it waits
TARGET_MS = 100         # one way
# name of chatmail bench's row, what is said of it, the target for a real app
ROWS = [("online", "new account until in IDLE", ""),
        ("got", "message until the app has it", TARGET_MS),
        ("pingpong", "message and answer", ""),
        ("ten", "send 10, receive 10", "")]
HOW = {"bench": "chatmail bench", "core": "Delta Chat core"}
# what the core does besides, said of its row
BESIDES = {"online": " (makes a key)", "ten": " (sends one a second)"}


# ---- Delta Chat's core ----------------------------------------------------------------

def timed(function, *args):
    """Milliseconds that it takes."""
    began = time.monotonic()
    function(*args)
    return (time.monotonic() - began) * 1e3


def acquaint(one, other):
    """one knows other's key; the chat that he has with him."""
    contact = one.call("import_vcard_contents",
                       other.call("make_vcard", [deltachat.FROM_SELF]))[0]
    return one.call("create_chat_by_contact_id", contact)


class Pair:
    def __init__(self, a, b):
        self.a, self.b = a, b
        self.there, self.back = acquaint(a, b), acquaint(b, a)

    @staticmethod
    def one_way(sender, chat, receiver):
        sender.send(chat, "hello")
        receiver.wait("IncomingMsg")

    def ping(self):
        self.one_way(self.a, self.there, self.b)

    def pingpong(self):
        self.ping()
        self.one_way(self.b, self.back, self.a)

    def ten(self):
        for _ in range(TEN):
            self.a.send(self.there, "hello")
        for _ in range(TEN):
            self.b.wait("IncomingMsg")


def again(count, function):
    found = []
    for _ in range(count):
        found.append(timed(function))
        time.sleep(REST)
    return found


def by_core(relay, core):
    """{row: values}, in milliseconds."""
    accounts, online = [], []
    for _ in range(ACCOUNTS):
        online.append(timed(lambda: accounts.append(relay.account(core))))
    pair = Pair(accounts[0], accounts[1])
    pair.pingpong()         # their first messages bring the keys along
    return {"online": online, "got": again(COUNT, pair.ping),
            "pingpong": again(COUNT, pair.pingpong),
            "ten": again(TENS, pair.ten)}


# ---- chatmail bench --------------------------------------------------------------------

def by_bench(relay):
    code, out, err = relay.operator(
        "bench", "--json", "--count", str(COUNT), "--only",
        "online,deliver,pingpong,ten", relay.ini)
    if code != 0:
        sys.exit("relay: chatmail bench: %s%s" % (out, err))
    return {r["name"]: r["values_ms"]
            for r in json.loads(out)["relays"][0]["rows"]}


# ---- both --------------------------------------------------------------------------------

def print_row(what, values, target):
    ms = "%.1f" % statistics.median(values) if values else ""
    result = "skipped" if not values else "" if target == "" else \
        "ok" if float(ms) <= target else "over"
    print(what, ms, "ms" if values else "", target,
          result, sep="\t", flush=True)


def show(found):
    for name, what, target in ROWS:
        for how in HOW:
            text = "%s, %s" % (what, HOW[how])
            if how == "core":
                text += BESIDES.get(name, "")
            print_row(text, found.get(how, {}).get(name),
                      target if how == "core" else "")


def measure(found):
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(hosts.Network(acme=False))
        # fsync() goes to the disk, as on a server
        host = network.host("bench.test", sync=True)
        # nobody is to wait for a limit
        relay = relays.Relay(network, host, DOMAIN,
                             max_user_send_per_minute=60000,
                             max_user_send_burst_size=1000)
        host.start()
        network.names.set(DOMAIN, A=host.address)
        code, out, err = relay.deploy()
        if code != 0:
            sys.exit("relay: deploy: " + (out + err)[-3000:])
        found["bench"] = by_bench(relay)
        with contextlib.suppress(deltachat.Missing):
            program = deltachat.find_program()
            os.mkdir(network.run_files.path("chat"))
            with deltachat.Core(program, network.run_files.path("chat")) as c:
                found["core"] = by_core(relay, c)


def main():
    found = {}
    if not relays.skip_reason():
        measure(found)
    show(found)


main()
