#!/usr/bin/env python3
"""The resolver against a DNS server of our own."""
import base64
import os
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import tap
from dnsserver import DnsServer, REFUSED, SERVFAIL

PROGRAM = os.path.join(os.environ.get("BUILD", "build"), "t/unit/resolver")
if not os.path.exists(PROGRAM):
    tap.skip_all("no " + PROGRAM)

# as long as that of a 4096-bit RSA key
BIG_KEY = "v=DKIM1; k=rsa; p=" + base64.b64encode(bytes(range(50)) * 11).decode()


class Resolver:
    """t/unit/resolver as a child."""

    def __init__(self, server, secs=15):
        self.process = subprocess.Popen(
            [PROGRAM, server, str(secs)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        self.lines, self.news = [], threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.news:
                self.lines.append(line.rstrip("\n").split("\t"))
                self.news.notify()

    def send(self, *commands):
        self.process.stdin.write("".join(c + "\n" for c in commands))
        self.process.stdin.flush()

    def answers(self, count, secs=30):
        """The next so many answers: [name, word, texts or reason...]."""
        with self.news:
            self.news.wait_for(lambda: len(self.lines) >= count, secs)
            got, self.lines = self.lines[:count], self.lines[count:]
        return got

    def ask(self, name):
        """One question; its answer without the name."""
        self.send("ask " + name)
        got = self.answers(1)
        return got[0][1:] if got else None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.stdin.close()
        tap.is_(self.process.wait(20), 0, "it ends well")
        self.reader.join()
        self.process.stdout.close()


def big_zone():
    """More than UDP carries here."""
    return {"TXT": ["%03d" % i + "x" * 200 for i in range(20)]}


ZONES = {
    "one.test": {"TXT": ["text"]},
    "strings.test": {"TXT": [("v=DKIM1; ", "", "p=abc")]},
    "records.test": {"TXT": ["first", "second", "third"]},
    "big._domainkey.test": {"TXT": [BIG_KEY]},
    "huge.test": big_zone(),
    "alias.test": {"CNAME": "alias2.test"},
    "alias2.test": {"CNAME": "one.test"},
    "dangling.test": {"CNAME": "nowhere.test"},
    "circle.test": {"CNAME": "circle.test"},
    "nodata.test": {"A": ["192.0.2.1"]},
    "nul.test": {"TXT": [b"a\0b"]},
    "empty.test": {"TXT": [""]},
}

ANSWERS = [
    ("found", "one.test", ["found", "text"]),
    ("another case, a dot at the end", "ONE.Test.", ["cached", "text"]),
    ("several strings", "strings.test", ["found", "v=DKIM1; p=abc"]),
    ("several records", "records.test", ["found", "first", "second", "third"]),
    ("a big key", "big._domainkey.test", ["found", BIG_KEY]),
    ("more than UDP carries", "huge.test", ["found"] + big_zone()["TXT"]),
    ("CNAMEs", "alias.test", ["found", "text"]),
    ("a dangling CNAME", "dangling.test", ["none", "no such name"]),
    ("a CNAME to itself", "circle.test",
     ["failed", "CNAME records that lead nowhere"]),
    ("a NUL byte", "nul.test", ["found", "a\\x00b"]),
    ("an empty text", "empty.test", ["found", ""]),
    ("no such name", "nowhere.test", ["none", "no such name"]),
    ("no such type", "nodata.test", ["none", "no such record"]),
    ("a name between others", "_domainkey.test", ["none", "no such record"]),
    ("no name", "a..b", ["none", "not a domain name"]),
    ("an onion", "abc.onion", ["none", "no such name"]),
]


def test_answers(dns):
    with Resolver(dns.address) as r:
        for title, name, want in ANSWERS:
            tap.is_(r.ask(name), want, title)
        tap.ok(dns.count("huge.test", proto="tcp") == 1, "too long: by TCP")
        tap.is_(dns.count(proto="tcp"), 1, "all else by UDP")
        tap.is_(dns.count("abc.onion"), 0, "onions are not told about")


def test_truncated(dns):
    dns.truncate.add("one.test")
    with Resolver(dns.address) as r:
        tap.is_(r.ask("one.test"), ["found", "text"], "truncated")
        tap.is_((dns.count("one.test", proto="udp"),
                 dns.count("one.test", proto="tcp")), (1, 1),
                "truncated: asked again by TCP")


def flip(at, value):
    def mangle(answer):
        return answer[:at] + bytes([value]) + answer[at + 1:]
    return mangle


def test_failures(dns):
    broken = "malformed record in the answer"
    with Resolver(dns.address) as r:
        for title, rcode, want in [
                ("SERVFAIL", SERVFAIL, "server failure"),
                ("REFUSED", REFUSED, "server: refused"),
                ("an unknown code", 11, "server: unknown error")]:
            dns.rcode["one.test"] = rcode
            before = dns.count("one.test")
            tap.is_(r.ask("one.test"), ["failed", want], title)
            tap.is_(dns.count("one.test"), before + 1, title + ": one query")
        del dns.rcode["one.test"]
        dns.mangle["one.test"] = lambda answer: answer[:-16]
        tap.is_(r.ask("one.test"), ["failed", broken], "a cut answer")
        dns.mangle["one.test"] = flip(7, 9)
        tap.is_(r.ask("one.test"), ["failed", broken], "a wrong count")
        del dns.mangle["one.test"]
        tap.is_(r.ask("one.test"), ["found", "text"], "failures are not kept")
        tap.is_(r.ask("one.test"), ["cached", "text"], "but what was found is")


def test_strangers(dns):
    """Answers that are not to our question are no answers."""
    with Resolver(dns.address, 1.5) as r:
        dns.mangle["one.test"] = flip(14, ord("x"))
        tap.is_(r.ask("one.test"), ["failed", "no answer in time"],
                "another name in the answer")
        dns.mangle["one.test"] = lambda a: bytes([a[0] ^ 1]) + a[1:]
        tap.is_(r.ask("one.test"), ["failed", "no answer in time"],
                "another id in the answer")
        dns.mangle["one.test"] = lambda a: a.replace(b"text", b"tex\xc3")
        tap.is_(r.ask("one.test"), ["found", "tex\\xc3"], "bytes of all kinds")


def test_silence(dns):
    dns.silent.add("one.test")
    with Resolver(dns.address, 1.5) as r:
        start = time.monotonic()
        tap.is_(r.ask("one.test"), ["failed", "no answer in time"], "silence")
        tap.between(time.monotonic() - start, 1.2, 10, "and the time it takes")
        tap.between(dns.count("one.test"), 2, 3, "asked again meanwhile")
        dns.silent.clear()
        tap.is_(r.ask("one.test"), ["found", "text"], "silence is not kept")
        dns.silent.add("records.test")
        r.send("ask records.test")
        time.sleep(.1)
        dns.silent.clear()
        tap.is_(r.answers(1), [["records.test", "found", "first", "second",
                                "third"]], "the second try is answered")


def test_down():
    dns = DnsServer(ZONES)
    address, port = dns.address, dns.port
    with Resolver(address, 1.5) as r:
        tap.is_(r.ask("one.test"), ["found", "text"], "the server is there")
        dns.close()
        got = r.ask("strings.test")
        tap.is_(got and got[0], "failed", "the server is down: %s" % got)
        tap.is_(r.ask("one.test"), ["cached", "text"], "the cache is not")
        with DnsServer(ZONES, port=port):
            tap.is_(r.ask("strings.test"), ["found", "v=DKIM1; p=abc"],
                    "the server is back")


def test_cache(dns):
    dns.zones = {"brief.test": {"TXT": ["1"], "ttl": 1},
                 "zero.test": {"TXT": ["1"], "ttl": 0},
                 "long.test": {"TXT": ["1"], "ttl": 100000000},
                 "alias.test": {"CNAME": "long.test", "ttl": 1}}
    with Resolver(dns.address) as r:
        tap.is_([r.ask("brief.test")[0] for _ in range(3)],
                ["found", "cached", "cached"], "cached")
        tap.is_([r.ask("zero.test")[0] for _ in range(2)], ["found"] * 2,
                "TTL 0")
        r.ask("alias.test")
        tap.is_([r.ask("long.test")[0] for _ in range(2)],
                ["found", "cached"], "a very long TTL")
        time.sleep(1.1)
        dns.zones["brief.test"] = {"TXT": ["2"], "ttl": 1}
        tap.is_(r.ask("brief.test"), ["found", "2"], "TTL is over")
        tap.is_(r.ask("alias.test"), ["found", "1"], "a CNAME's TTL is over")
        tap.is_(r.ask("long.test"), ["cached", "1"], "another is not")
        dns.zones["long.test"] = {"TXT": ["2"]}
        r.send("forget other.test", "forget LONG.test", "forget a..b")
        tap.is_(r.ask("long.test"), ["found", "2"], "forgotten")
        for _ in range(2):
            tap.is_(r.ask("late.test"), ["none", "no such name"],
                    "not there yet")
        tap.is_(dns.count("late.test"), 2, "which is not kept")
        dns.zones["late.test"] = {"TXT": ["1"]}
        tap.is_(r.ask("late.test"), ["found", "1"], "there")


def test_cache_bounds(dns):
    dns.zones = {"n%d.test" % i: {"TXT": ["%d" % i]} for i in range(1001)}
    names = list(dns.zones)
    with Resolver(dns.address) as r:
        for name in names[:1000]:
            r.ask(name)
        r.ask(names[0])
        r.ask(names[1000])
        tap.is_(r.ask(names[0])[0], "cached", "1,001 names: the used one stays")
        tap.is_(r.ask(names[1])[0], "found", "the least used one is gone")
        tap.is_(r.ask(names[3])[0], "cached", "the next is not")
    big = {"TXT": ["x" * 255 for _ in range(200)]}
    dns.zones = {"b%d.test" % i: big for i in range(100)}
    names = list(dns.zones)
    with Resolver(dns.address) as r:
        tap.is_({tuple(r.ask(n)) for n in names},
                {("found", *big["TXT"])}, "100 names of 51,000 bytes")
        tap.is_(r.ask(names[99])[0], "cached", "the last is cached")
        tap.is_(r.ask(names[0])[0], "found", "the first had to go")


def test_sharing(dns):
    dns.delay["one.test"] = .3
    with Resolver(dns.address) as r:
        r.send(*["ask one.test"] * 50)
        tap.is_(r.answers(50), [["one.test", "found", "text"]] * 50,
                "50 equal queries")
        tap.is_(dns.count("one.test"), 1, "are one")
        dns.delay["alias.test"] = .3
        r.send("ask alias.test", "ask alias.test", "cancel alias.test",
               "ask records.test")
        tap.is_(r.answers(1)[0][0], "records.test", "cancelled")
        tap.is_(r.ask("alias.test"), ["found", "text"], "and asked again")
        tap.is_(dns.count("alias.test"), 1, "while the first was under way")
        tap.is_(r.lines, [], "no answer to what was cancelled")
        dns.delay["strings.test"] = 5
        r.send("ask strings.test")
        time.sleep(.1)


def test_many(dns):
    dns.zones = {"n%d.test" % i: {"TXT": ["text %d" % i]}
                 for i in range(1000)}
    dns.truncate = {"n%d.test" % i for i in range(0, 1000, 50)}
    with Resolver(dns.address) as r:
        r.send(*["ask " + name for name in dns.zones])
        got = {name: rest for name, *rest in r.answers(1000)}
        want = {name: ["found", zone["TXT"][0]]
                for name, zone in dns.zones.items()}
        wrong = [(n, got.get(n)) for n in want if got.get(n) != want[n]]
        tap.is_(wrong[:5], [], "1,000 queries at once")
    dns.silent.add("*")
    with Resolver(dns.address, 4) as r:
        r.send(*["ask x%d.test" % i for i in range(5000)])
        got = r.answers(5000)
        # fewer when the first have ended before the last were asked
        tap.between(sum(a[1:] == ["failed", "too many look-ups under way"]
                        for a in got), 1, 5000 - 4096, "5,000: some fail")
        tap.is_(len(got), 5000, "and all have an answer")
        dns.silent.clear()
        # c-ares and the server may still be busy with those
        end = time.monotonic() + 20
        while (got := r.ask("n1.test"))[0] == "failed" and \
                time.monotonic() < end:
            time.sleep(.1)
        tap.is_(got, ["found", "text 1"], "then there is room")


def test_zone_file():
    text = """# names
one.test 60 TXT "v=DKIM1; " "p=a\\"b"
one.test TXT bare text
one.test MX 10 mx.test
alias.test IN CNAME one.test
"""
    with tempfile.NamedTemporaryFile("w", suffix=".zone") as f:
        f.write(text)
        f.flush()
        server = subprocess.Popen([os.path.join(HERE, "lib/dnsserver.py"),
                                   f.name], stdout=subprocess.PIPE, text=True)
        try:
            address = server.stdout.readline().split()[-1]
            with Resolver(address) as r:
                tap.is_(r.ask("alias.test"),
                        ["found", 'v=DKIM1; p=a"b', "bare text"],
                        "the server as a program")
        finally:
            server.terminate()
            server.wait()
            server.stdout.close()


def main():
    for test in [test_answers, test_truncated, test_failures, test_strangers,
                 test_silence, test_cache, test_cache_bounds, test_sharing,
                 test_many]:
        tap.diag(test.__name__)
        with DnsServer(ZONES) as dns:
            test(dns)
    test_down()
    test_zone_file()
    tap.done()


main()
