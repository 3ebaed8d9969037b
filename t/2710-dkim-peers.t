#!/usr/bin/env python3
"""dkim side by side with OpenDKIM and dkimpy: what one signs the others
verify, what is changed on the way none of them does. Where their verdicts
differ EXPLAINED says why ours is right."""
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "lib"))
import dkimtest
import tap
from dkimtest import RsaKey
from dnsserver import DnsServer
from milterclient import MilterClient
from role import Role, write_ini

DOMAIN, COUNT, SEED = "peer.test", 540, 20261121
PATH = os.environ["PATH"] + ":/usr/sbin"
PYTHON = "/usr/bin/python3"     # the one that Debian's packages belong to
SIGNED = ("from:reply-to:subject:date:to:cc:resent-date:resent-from:"
          "resent-sender:resent-to:resent-cc:in-reply-to:references:list-id:"
          "list-help:list-unsubscribe:list-subscribe:list-post:list-owner:"
          "list-archive:autocrypt")

# ---- dkimpy, all messages in one process

DKIMPY = r'''
import pickle, sys
import dkim
pem, records, work = pickle.load(sys.stdin.buffer)
def dns(name, timeout=5):
    return records.get(name.rstrip(b".").decode().lower())
def verify(message):
    try:
        return dkim.DKIM(message, minkey=1024).verify(dnsfunc=dns)
    except Exception as e:
        return "%s: %s" % (type(e).__name__, e)
def sign(message, canon, names):
    try:
        return dkim.DKIM(message).sign(b"pysel", b"peer.test", pem,
            canonicalize=canon, include_headers=names)
    except Exception as e:
        return "%s: %s" % (type(e).__name__, e)
out = [sign(*args) if what == "sign" else verify(*args)
       for what, *args in work]
pickle.dump(out, sys.stdout.buffer)
'''


def dkimpy(pem, records, work):
    p = subprocess.run([PYTHON, "-c", DKIMPY], timeout=120, check=True,
                       input=pickle.dumps((pem, records, work), 4),
                       stdout=subprocess.PIPE)
    return pickle.loads(p.stdout)


# ---- OpenDKIM, configured as a chatmail relay has it

class OpenDkim:
    def __init__(self, folder, key, records):
        self.socket = os.path.join(folder, "opendkim.sock")
        path = os.path.join(folder, "opendkim.conf")
        pem, dns = os.path.join(folder, "od.pem"), os.path.join(folder, "dns")
        with open(pem, "wb") as f:
            f.write(key.pem)
        with open(dns, "w") as f:
            for name, text in records.items():
                f.write(f"{name} {text.decode()}\n")
        with open(path, "w") as f:
            f.write(f"""Socket local:{self.socket}
PidFile {folder}/pid
Syslog no
Mode sv
MTA ORIGINATING
InternalHosts {folder}/nobody
Domain {DOMAIN}
Selector opendkim
KeyFile {pem}
RequireSafeKeys no
Canonicalization relaxed/simple
SignHeaders *,+autocrypt,+content-type
OversignHeaders {SIGNED.replace(":", ",")}
TestDNSData file:{dns}
AlwaysAddARHeader yes
AuthservID od.test
""")
        open(os.path.join(folder, "nobody"), "w").close()
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            ["opendkim", "-f", "-x", path], stdout=self.log, stderr=self.log,
            env={**os.environ, "PATH": PATH})
        end = time.monotonic() + 15
        while not os.path.exists(self.socket):
            if time.monotonic() > end or self.process.poll() is not None:
                self.stop()
                self.log.seek(0)
                raise RuntimeError("opendkim: " + self.log.read().decode())
            time.sleep(.02)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Milter:
    """One connection to a milter, for one daemon name."""

    def __init__(self, path, name):
        self.client = MilterClient(path)
        self.client.connect(macros={"{daemon_name}": name, "j": "od.test"})

    def __call__(self, raw):
        actions = self.client.message("<a@peer.test>", raw,
                                      macros={"i": "4Q"})
        self.client.abort()
        return actions

    def signed(self, raw):
        """The signed message, or None; the field on top."""
        actions = self(raw)
        if [a[2] for a in actions if a[0] == "i"][:1] != ["DKIM-Signature"]:
            return None
        # a milter without leading space gets one from the mail server
        if not self.client.protocol & 0x100000:
            actions = [(*a[:3], " " + a[3]) if a[0] == "i" else a
                       for a in actions]
        return dkimtest.with_inserted(raw, actions)

    def results(self, raw):
        """OpenDKIM's results, of its Authentication-Results field."""
        for action in self(raw):
            if action[0] in "ih" and "Authentication-Results" in action:
                return re.findall(r"\bdkim=(\w+)", action[-1])
        return []

    def accepts(self, raw):
        return self(raw)[-1] == ("a",)


# ---- messages

def words(r, n):
    return " ".join(r.choice(["one", "two", "three", "x" * 20, "a\tb", "  ",
                              "é", "=20", "--", "\udc80\udcff", ";", ":",
                              "(c)", '"q"']) for _ in range(n))


def folded(r, text):
    """A value with folds where it has spaces."""
    out = ""
    for c in text:
        if c == " " and r.random() < .3:
            out += r.choice(["\r\n ", "\r\n\t", " \r\n ", "\r\n   "])
        else:
            out += c
    # a line of white space only would end the header for some
    return re.sub(r"\r\n[ \t]+(?=\r\n)", "", out)


def header(r):
    fields = [("From", r.choice([
        "<alice@peer.test>", "Alice <alice@peer.test>",
        "=?utf-8?q?=C3=A4?= <alice@peer.test>", "alice@PEER.test",
        '"a, b" <alice@peer.test>', "Alice\r\n\t<alice@peer.test>",
        "  <alice@peer.test>  "]))]
    optional = ["To", "Cc", "Date", "Subject", "Message-ID", "Reply-To",
                "In-Reply-To", "References", "MIME-Version", "Content-Type",
                "Autocrypt", "List-Id", "List-Unsubscribe", "X-A", "X-B",
                "Received", "Chat-Version", "Resent-From", "Sender"]
    for name in optional:
        if r.random() < .45:
            fields.append((name, folded(r, words(r, r.randrange(1, 12)))))
    for _ in range(r.choice([0, 0, 0, 1, 3])):      # repeated
        name = r.choice([n for n, _ in fields if n != "From"] or ["X-A"])
        fields.append((name, folded(r, words(r, 4))))
    if r.random() < .1:
        fields.append(("Autocrypt", "keydata=" + "\r\n ".join(
            ["A" * 76] * r.randrange(1, 40))))
    if r.random() < .1:
        fields.append(("X-Long", "y" * r.choice([998, 5000, 20000])))
    r.shuffle(fields)
    text = ""
    for name, value in fields:
        name = r.choice([name, name, name, name.lower(), name.upper()])
        value = value + r.choice(["", "", "", " ", "\t", "   "])
        text += name + ":" + r.choice([" ", " ", " ", "", "  ", "\t"]) + \
            value.lstrip("\r\n") + "\r\n"
    # no value is nothing but white space on several lines
    return re.sub(r":[ \t]*\r\n[ \t]+\r\n", ": x\r\n", text).encode(
        "utf-8", "surrogateescape")


def body(r):
    kind = r.randrange(12)
    if kind == 0:
        return b""
    if kind == 1:
        return b"\r\n" * r.randrange(1, 6)
    if kind == 2:
        return r.choice([b" ", b"\t", b" \r\n", b"\t \r\n\r\n", b"x"])
    lines = []
    for _ in range(r.randrange(1, 30)):
        lines.append(r.choice([
            b"", b"", b".", b"..", b".x", b"a  b\tc", b"trailing  ",
            b"\ttab\t", b" ", b"From here", b"--x", bytes([195, 164]),
            b"bare\rCR",
            bytes(r.randrange(128, 256) for _ in range(20)),
            b"word " * r.randrange(1, 60), b"z" * r.choice([998, 70])]))
    if kind == 3:
        lines.append(b"L" * r.choice([5000, 70000, 200000]))
    end = r.choice([b"\r\n", b"\r\n", b"\r\n", b"", b"\r\n\r\n\r\n",
                    b"  \r\n \r\n"])
    return b"\r\n".join(lines) + end


def messages():
    r = random.Random(SEED)
    return [header(r) + b"\r\n" + body(r) for _ in range(COUNT)]


def changed(r, signed):
    """The signed message with one thing changed that was signed."""
    at = signed.index(b"\r\n\r\n") + 4
    if r.random() < .5 and signed[at:].strip():
        i = r.choice([i for i in range(at, len(signed))
                      if signed[i] not in b" \t\r\n"])
        return signed[:i] + bytes([signed[i] ^ 1 or 1]) + signed[i + 1:]
    return re.sub(rb"(?im)^(from:.*?)alice", rb"\1blice", signed, 1) \
        if re.search(rb"(?im)^from:.*alice@", signed) else \
        re.sub(rb"alice@", b"blice@", signed, 1)


# ---- verdicts that differ

def body_of(raw):
    return raw.partition(b"\r\n\r\n")[2]


def last_line(raw):
    """What follows the last CRLF, which SMTP does not let happen."""
    return body_of(raw).rpartition(b"\r\n")[2]


def is_relaxed(raw):
    return re.search(rb"(?m)^DKIM-Signature:.*c=\w+/relaxed;", raw)


# Of generated messages: who differs, for which of them, and why that is right.
EXPLAINED = [
    ("OpenDKIM", lambda raw: last_line(raw) and len(body_of(raw)) >= 4096,
     "it forgets the CRLF that RFC 6376 section 3.4.3 adds when a last line "
     "without one comes as its buffer of 4 KB is full; dkimpy agrees with us"),
    ("dkimpy", lambda raw: is_relaxed(raw) and
     last_line(raw)[-1:] in (b" ", b"\t"),
     "it keeps white space at the end of a last line without CRLF, which RFC "
     "6376 section 3.4.4 ignores; OpenDKIM agrees with us"),
    ("OpenDKIM", lambda raw: is_relaxed(raw) and last_line(raw),
     "it adds no CRLF to a last line without one in the relaxed form, as the "
     "first edition of the RFC did not say; dkimpy agrees with us"),
    ("OpenDKIM", lambda raw: is_relaxed(raw) and
     re.search(rb"\r(?!\n)", body_of(raw)),
     "it drops or moves a CR that stands alone, which for RFC 6376 section "
     "3.4.4 is no white space; dkimpy agrees with us"),
]

# Of messages made by hand: do we, OpenDKIM and dkimpy take them for validly
# signed? Why we are right, where the three differ.
NOW = int(time.time())
PLAIN = (b"From: <alice@peer.test>\r\nTo: <bob@x.test>\r\nSubject: s\r\n"
         b"Date: d\r\n\r\none\r\ntwo\r\n")
SLOP = ("dkimpy lets clocks differ by 10 hours; we, as OpenDKIM, by five "
        "minutes")
ALIGNED = ("the relay's own rule, as upstream's screen.lua has it: the "
           "signature is of the domain of From; the others leave that to DMARC")


def by_hand(key, weak):
    def make(raw=PLAIN, **args):
        return dkimtest.sign(raw, args.pop("key", key),
                             args.pop("d", DOMAIN), **args)

    yes, no = True, False
    return [
        ("good", make(selector="good"), yes, yes, yes, ""),
        ("l= of all", make(selector="good", l=10), yes, yes, yes, ""),
        ("l= of a part", make(selector="good", l=5), no, yes, yes,
         "what is appended would be shown as signed: RFC 6376 section 8.2 "
         "allows to refuse it"),
        ("appended to", make(selector="good", l=10) + b"more\r\n",
         no, yes, yes, "the same"),
        ("SHA-1", make(selector="good", digest="sha1"), no, yes, yes,
         "RFC 8301 section 3.1: must not be verified"),
        ("512 bits", make(key=weak, selector="weak"), no, no, no, ""),
        ("revoked", make(selector="revoked"), no, no, no, ""),
        ("key for tlsrpt", make(selector="tlsrpt"), no, no, no, ""),
        ("key for tests", make(selector="testing"), no, yes, yes,
         "RFC 6376 section 3.6.1: treated as unsigned mail"),
        ("key for SHA-1", make(selector="sha1"), no, no, yes,
         "RFC 6376 section 3.6.1: h= lists the hashes that may be used"),
        ("key v=DKIM2", make(selector="dkim2"), no, no, no, ""),
        ("no key", make(selector="nowhere"), no, no, no, ""),
        ("expired", make(selector="good", t=NOW - 9999, x=NOW - 1000),
         no, no, yes, SLOP),
        ("from the future", make(selector="good", t=NOW + 5000), no, no, yes,
         SLOP),
        ("x= before t=", make(selector="good", x=NOW - 9), no, no, yes, SLOP),
        ("i= outside", make(selector="good", i="@bank.test"), no, no, no, ""),
        ("i= in a subdomain, t=s", make(selector="strict", i="@a.peer.test"),
         no, no, yes, "RFC 6376 section 3.6.1: t=s forbids it"),
        ("h= without From", make(selector="good", h="to:subject"), no, no,
         yes, "RFC 6376 section 5.4: From must be signed"),
        ("v=2", make(selector="good", v=2), no, no, no, ""),
        ("a duplicate tag", make(selector="good", duplicate="; s=good"),
         no, yes, no, "RFC 6376 section 3.2: the whole list is invalid"),
        ("two From, both signed", make(b"From: <ceo@bank.test>\r\n" + PLAIN,
         selector="good"), no, yes, yes, "nobody knows which of them a reader "
         "is shown; RFC 5322 section 3.6 knows one"),
        ("two addresses", make(PLAIN.replace(b"<al", b"<ceo@bank.test>, <al"),
         selector="good"), no, yes, yes, ALIGNED),
        ("by somebody else", make(selector="good", d="bank.test"),
         no, yes, yes, ALIGNED),
        ("by the parent", make(PLAIN.replace(b"@peer", b"@a.peer"),
         selector="good"), no, yes, yes, ALIGNED),
        ("by a subdomain", make(selector="good", d="a.peer.test"),
         no, yes, yes, ALIGNED),
        ("unsigned", PLAIN, no, no, no, ""),
    ]


class Tally:
    """One result line for many messages; who is the program whose verdict is
    allowed to differ."""

    def __init__(self, name, *who):
        self.name, self.who, self.count = name, who, 0
        self.bad, self.explained = [], 0

    def add(self, good, number, raw, what=""):
        self.count += 1
        if good:
            return
        if any(who in self.who and applies(raw)
               for who, applies, _ in EXPLAINED):
            self.explained += 1
        else:
            self.bad.append((number, what, raw))

    def end(self):
        if not tap.ok(not self.bad, f"{self.name}: {self.count}, of which "
                      f"{self.explained} explained differences"):
            tap.diag(f"{len(self.bad)} of them not")
            for number, what, raw in self.bad[:4]:
                tap.diag(f"message {number}: {what}\n{raw[:2000]!r}")


# ---- the tests

def without_b(field):
    return re.sub(r"\bb=.*", "", re.sub(r"\bt=\d+", "t=", field, 1),
                  flags=re.S)


def top_field(signed):
    return dkimtest.fields_of(signed)[0][0].decode("utf-8", "surrogateescape")


def test_both_ways(ours_sign, ours_verify, od_sign, od_verify, py, raws):
    r = random.Random(SEED + 1)
    pairs = [(ours_sign.signed(raw), od_sign.signed(raw)) for raw in raws]
    ours, theirs = [p[0] for p in pairs], [p[1] for p in pairs]
    tap.ok(all(ours), "we sign all messages")
    tap.ok(all(theirs), "so does OpenDKIM")

    same = Tally("our field is OpenDKIM's but for t= and b=", "OpenDKIM")
    same_b = 0
    for i, (a, b) in enumerate(zip(ours, theirs)):
        a, b = top_field(a), top_field(b)
        same.add(without_b(a) == without_b(b), i, raws[i], f"{a}\n{b}")
        same_b += a == b
    same.end()
    tap.ok(same_b > COUNT // 2, "and the same altogether when both were made "
           f"in one second: {same_b}")

    canons = [(a, b) for a in (b"relaxed", b"simple")
              for b in (b"relaxed", b"simple")]
    work = []
    for raw in raws:
        present = {f.partition(b":")[0].strip().lower()
                   for f in dkimtest.fields_of(raw)[0]}
        names = [n for n in SIGNED.encode().split(b":")
                 if n in present and (n == b"from" or r.random() < .8)]
        work.append(("sign", raw, r.choice(canons), names + [b"from"]))
    fields = py(work)
    tap.is_([f for f in fields if isinstance(f, str)], [],
            "dkimpy signs all of them")
    pys = [f + raw for f, raw in zip(fields, raws)]

    bad = [[changed(r, m) for m in group] for group in (ours, theirs, pys)]
    verdicts = py([("verify", m) for group in (ours, theirs, *bad)
                   for m in group])
    py_ours, py_theirs, *py_bad = [verdicts[i * COUNT:(i + 1) * COUNT]
                                   for i in range(5)]

    t = [Tally("OpenDKIM verifies what we sign", "OpenDKIM"),
         Tally("dkimpy verifies what we sign", "dkimpy"),
         Tally("we verify what OpenDKIM signs", "OpenDKIM"),
         Tally("we verify what dkimpy signs", "dkimpy"),
         Tally("dkimpy verifies what OpenDKIM signs", "OpenDKIM", "dkimpy"),
         Tally("OpenDKIM verifies what dkimpy signs", "OpenDKIM", "dkimpy")]
    for i in range(COUNT):
        got = od_verify.results(ours[i])
        t[0].add(got == ["pass"], i, ours[i], got)
        t[1].add(py_ours[i] is True, i, ours[i], py_ours[i])
        t[2].add(ours_verify.accepts(theirs[i]), i, theirs[i])
        t[3].add(ours_verify.accepts(pys[i]), i, pys[i])
        t[4].add(py_theirs[i] is True, i, theirs[i], py_theirs[i])
        got = od_verify.results(pys[i])
        t[5].add(got == ["pass"], i, pys[i], got)
    for tally in t:
        tally.end()

    t = [Tally(f"with something changed {name}") for name in
         ("we refuse them", "OpenDKIM does", "dkimpy does")]
    for group, verdict in zip(bad, py_bad):
        for i, raw in enumerate(group):
            t[0].add(not ours_verify.accepts(raw), i, raw)
            t[1].add("pass" not in od_verify.results(raw), i, raw)
            t[2].add(verdict[i] is not True, i, raw)
    for tally in t:
        tally.end()


def hand_records(key, weak):
    names = {f"good._domainkey.{d}": key.record() for d in
             (DOMAIN, "bank.test", "a.peer.test")}
    for selector, text in [
            ("weak", weak.record()), ("revoked", "v=DKIM1; k=rsa; p="),
            ("tlsrpt", key.record("s=tlsrpt; ")),
            ("testing", key.record("t=y; ")), ("sha1", key.record("h=sha1; ")),
            ("dkim2", key.record(v="v=DKIM2; ")),
            ("strict", key.record("t=s; "))]:
        names[f"{selector}._domainkey.{DOMAIN}"] = text
    return {name: text.encode() for name, text in names.items()}


def test_by_hand(ours_verify, od_verify, py, cases):
    verdicts = py([("verify", case[1]) for case in cases])
    for (name, raw, *want, why), theirs in zip(cases, verdicts):
        got = [ours_verify.accepts(raw), "pass" in od_verify.results(raw),
               theirs is True]
        tap.is_(got, want, f"{name}: " + (why or (
            "valid for all" if want[0] else "refused by all")))


def main():
    for program in "opendkim", "openssl":
        if not shutil.which(program, path=PATH):
            tap.skip_all(program + " is not installed")
    if subprocess.run([PYTHON, "-c", "import dkim"],
                      stderr=subprocess.DEVNULL).returncode:
        tap.skip_all("python3-dkim is not installed")
    key, py_key, weak = RsaKey(), RsaKey(1024), RsaKey(512)
    records = {f"opendkim._domainkey.{DOMAIN}": key.record().encode(),
               f"pysel._domainkey.{DOMAIN}": py_key.record().encode(),
               **hand_records(key, weak)}
    pem = subprocess.run(["openssl", "rsa", "-traditional"],
                         input=py_key.pem, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, check=True).stdout
    with tempfile.TemporaryDirectory() as folder, DnsServer(
            {n: {"TXT": [t.decode()]} for n, t in records.items()}) as dns:
        keys = os.path.join(folder, "keys")
        os.mkdir(keys)
        with open(os.path.join(keys, "opendkim.private"), "wb") as f:
            f.write(key.pem)
        ini = write_ini(os.path.join(folder, "chatmail.ini"), DOMAIN,
                        dkim_dns_server=dns.address)
        sock = os.path.join(folder, "sock")
        role = Role(["dkim", "--socket", sock, "--keys", keys, ini], path=sock)
        od = OpenDkim(folder, key, records)
        try:
            verify = Milter(sock, "VERIFY"), Milter(od.socket, "VERIFY")

            def py(work):
                return dkimpy(pem, records, work)

            test_both_ways(Milter(sock, "ORIGINATING"), verify[0],
                           Milter(od.socket, "ORIGINATING"), verify[1], py,
                           messages())
            test_by_hand(*verify, py, by_hand(key, weak))
        finally:
            od.stop()
            tap.is_(role.stop(), 0, "our milter ends")
    tap.done()


main()
