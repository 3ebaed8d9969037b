#!/usr/bin/env python3
"""dkim: what it signs, what it refuses, and what it does when the DNS, the
mail server or an attacker behaves badly."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "lib"))
import dkimtest
import tap
from dkimtest import DROP, Ed25519Key, RsaKey, sign
from dnsserver import NXDOMAIN, SERVFAIL, DnsServer
from milterclient import Closed, MilterClient, packet, strings
from role import CHATMAIL, Role, write_ini

OURS, OTHER = "chat.test", "other.test"
NONE = "554 5.7.1 No DKIM signature found"
INVALID = "554 5.7.1 No valid DKIM signature found"
LATER = "451 4.7.5 DKIM signature cannot be verified now"
NOT_OURS = "550 5.7.0 no DKIM signature data"
ACCEPTED = "accepted"
NOW = int(time.time())


def message(sender=f"<alice@{OTHER}>", body=b"one\r\n.two\r\n\r\n", **fields):
    values = {"From": sender, "To": f"<bob@{OURS}>", "Subject": "[...]",
              "Date": "Sat, 21 Nov 2026 08:00:00 +0000",
              "Message-ID": "<1@client.example>",
              "Content-Type": "text/plain", **fields}
    head = "".join(f"{name.replace('_', '-')}: {v}\r\n"
                   for name, v in values.items() if v is not None)
    return head.encode("utf-8", "surrogateescape") + b"\r\n" + body


MESSAGE = message()


class Relay:
    """The role with its keys and its name server."""

    def __init__(self, folder, dns, domain=OURS, name="relay"):
        self.folder = os.path.join(folder, name)
        self.keys = os.path.join(self.folder, "keys")
        os.makedirs(self.keys)
        self.ini = write_ini(os.path.join(self.folder, "chatmail.ini"), domain,
                             dkim_dns_server=dns.address)
        self.socket = os.path.join(self.folder, "sock")

    def key(self, name="opendkim", key=None):
        key = key or RsaKey()
        with open(os.path.join(self.keys, name + ".private"), "wb") as f:
            f.write(key.pem)
        return key

    def start(self):
        self.role = Role(["dkim", "--socket", self.socket, "--keys", self.keys,
                          self.ini], path=self.socket,
                         env={"CHATMAIL_LOG": "debug"})
        return self

    def client(self, name="VERIFYING"):
        m = MilterClient(self.socket)
        m.connect(macros={"{daemon_name}": name} if name else None)
        return m

    def verify(self, raw, name="VERIFYING"):
        """"accepted", or the reply."""
        with self.client(name) as m:
            return verdict(m.message("<x@other.test>", raw,
                                     macros={"i": "4Qv"}))

    def sign(self, raw):
        with self.client("ORIGINATING") as m:
            return m.message("<x@chat.test>", raw, macros={"i": "4Qs"})

    def run(self, *args, data=None):
        """(exit code, stdout, stderr) of dkim on a file."""
        p = subprocess.run([CHATMAIL, "dkim", *args], input=data, timeout=30,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return p.returncode, p.stdout, p.stderr.decode()


def verdict(actions):
    last = actions[-1]
    if len(actions) > 1:
        return repr(actions)
    return {"a": ACCEPTED, "t": "tempfail"}.get(last[0], last[-1])


# ---- what we sign

OVERSIGNED = ("from:reply-to:subject:date:to:cc:resent-date:resent-from:"
              "resent-sender:resent-to:resent-cc:in-reply-to:references:"
              "list-id:list-help:list-unsubscribe:list-subscribe:list-post:"
              "list-owner:list-archive:autocrypt")


def tags_of(field):
    return dict(part.strip().split("=", 1)
                for part in re.sub(r"\s", "", field).split(";"))


def test_sign(relay, dns):
    raw = message(f"Alice <alice@{OURS.upper()}>", Chat_Version="1.0",
                  References="<a@b>\r\n\t<c@d>", Autocrypt="addr=x; keydata=\r\n y")
    actions = relay.sign(raw)
    tap.is_([a[:3] for a in actions], [("i", 0, "DKIM-Signature"), ("a",)],
            "mail of ORIGINATING is signed, by one field on top")
    tags = tags_of(actions[0][3])
    tap.is_([*tags], ["v", "a", "c", "d", "s", "t", "bh", "h", "b"],
            "its tags and no other")
    tap.is_({n: tags[n] for n in "vacds"},
            {"v": "1", "a": "rsa-sha256", "c": "relaxed/simple", "d": OURS,
             "s": "opendkim"}, "what they say")
    tap.between(int(tags["t"]), NOW - 5, time.time() + 1, "t= is now")
    tap.is_(tags["h"], "From:To:Subject:Date:Content-Type:References:"
            "Autocrypt:" + OVERSIGNED, "the fields signed and oversigned")
    tap.ok("\r" not in actions[0][3] and
           all(line.startswith("\t") for line in
               actions[0][3].split("\n")[1:]),
           "folded as milters send it")
    signed = dkimtest.with_inserted(raw, actions)
    tap.is_(relay.verify(signed), ACCEPTED, "and the signature is valid")
    tap.ok(relay.role.wait_log("4Qs: DKIM-Signature field added (s=opendkim, "
                               "d=chat.test)"), "the log tells of it")
    for name, change in [
            ("a changed body", lambda m: m.replace(b"one", b"two")),
            ("a changed From", lambda m: m.replace(b"Alice <", b"Alicf <")),
            ("another Subject on top", lambda m: b"Subject: x\r\n" + m),
            ("a Cc on top", lambda m: b"Cc: x@y\r\n" + m),
            ("a Reply-To below", lambda m: m.replace(
                b"\r\n\r\n", b"\r\nReply-To: x@y\r\n\r\n", 1))]:
        tap.like(relay.verify(change(signed)), INVALID,
                 f"{name}: no longer valid")
    tap.is_(relay.verify(signed.replace(b"\r\nMIME-", b"\r\nX-Y: z\r\nMIME-")),
            ACCEPTED, "other fields may change")
    for name, raw in [
            ("another domain", message("<a@other.test>")),
            ("a subdomain", message(f"<a@sub.{OURS}>")),
            ("a longer name", message(f"<a@x{OURS}>")),
            ("a domain literal", message("<a@[192.0.2.1]>")),
            ("no From", message(None)),
            ("two From", b"From: <a@chat.test>\r\n" +
             message(f"<a@{OURS}>")),
            ("two addresses", message(f"<a@{OURS}>, <b@{OURS}>")),
            ("a group", message(f"g: <a@{OURS}>;")),
            ("a header of 5,000 fields", b"X: y\r\n" * 5000 +
             message(f"<a@{OURS}>"))]:
        tap.is_(relay.sign(raw), [("y", NOT_OURS)], f"{name}: refused")
    key = relay.key("ed25519", Ed25519Key())
    dns.zones[f"ed25519._domainkey.{OURS}"] = {"TXT": [key.record()]}
    hup(relay)
    raw = message(f"<alice@{OURS}>")
    actions = relay.sign(raw)
    tap.is_([a[0] for a in actions], ["i", "i", "a"],
            "with an Ed25519 key there are two signatures")
    tap.is_([tags_of(a[3])["a"] for a in actions[:2]],
            ["ed25519-sha256", "rsa-sha256"], "that of RSA on top")
    for i, name in enumerate(["Ed25519", "RSA"]):
        signed = dkimtest.with_inserted(raw, actions[i:i + 1])
        tap.is_(relay.verify(signed), ACCEPTED, f"{name} alone is valid")
    tap.is_(relay.verify(dkimtest.with_inserted(raw, actions)), ACCEPTED,
            "both are")
    os.unlink(os.path.join(relay.keys, "ed25519.private"))
    hup(relay)
    tap.is_(len(relay.sign(raw)), 2, "the second key can go again")
    for name in ["VERIFYING", "originating", "", None]:
        tap.is_(relay.verify(raw, name), NONE,
                f"daemon name {name}: verified, not signed")
    tap.is_(relay.verify(dkimtest.with_inserted(raw, relay.sign(raw)[:1]),
                         None), ACCEPTED, "also when there is none")


# ---- what we verify: every row is a message and the answer

def attacks(key, dns):
    def make(**args):
        return sign(MESSAGE, args.pop("key", key), args.pop("d", OTHER),
                    **args)

    def record(selector, *texts):
        dns.zones[f"{selector}._domainkey.{OTHER}"] = {"TXT": list(texts)}
        return selector

    weak, ed = RsaKey(512), Ed25519Key()
    good = make()
    many = b"".join(sign(MESSAGE, key, OTHER, b=dkimtest.b64(b"%d" % i * 200))
                    .partition(b"\r\n")[0] + b"\r\n" for i in range(100))
    yield "signed", good, ACCEPTED
    for c in ["relaxed/relaxed", "simple/simple", "simple/relaxed", "relaxed",
              "simple"]:
        yield f"c={c}", make(c=c), ACCEPTED
    yield "no c=", make(c="simple/simple"), ACCEPTED
    yield "folded tags", make(fold="\r\n\t "), ACCEPTED
    yield "d= in capitals", make(d=OTHER.upper()), ACCEPTED
    yield "From in capitals", sign(message("<a@OTHER.Test>"), key, OTHER), \
        ACCEPTED
    yield ("Ed25519", sign(MESSAGE, ed, OTHER, record("ed", ed.record())),
           ACCEPTED)
    yield "not signed", MESSAGE, NONE
    yield "one byte more", good + b"x", "body hash does not match"
    yield "one more line end", good + b"\r\n", ACCEPTED
    yield "another Subject", good.replace(b"[...]", b"[..]"), \
        "signature does not match the header"
    yield "another b=", make(b=dkimtest.b64(b"x" * 256)), \
        "signature does not match the header"
    yield "b= no base64", make(b="!!!"), "b= is malformed"
    yield "b= empty", make(b=""), "b= is malformed"
    # From
    yield "two From", b"From: <alice@other.test>\r\n" + good, \
        "more than one From field"
    yield "two From, the first forged", b"From: <ceo@bank.test>\r\n" + good, \
        "more than one From field"
    yield "two From, the last forged", good.replace(
        b"\r\n\r\n", b"\r\nfrom : <ceo@bank.test>\r\n\r\n", 1), \
        "more than one From field"
    for name, sender, why in [
            ("two addresses", "<a@other.test>, <b@bank.test>",
             "more than one address in From"),
            ("two addresses of one domain", "<a@other.test>, <b@other.test>",
             "more than one address in From"),
            ("a group", "x: <a@other.test>;", "group in From"),
            ("no address", "Alice", "malformed address in From"),
            ("an empty From", "", "no address in From"),
            ("a name that is an address", '"ceo@bank.test" <a@other.test>',
             None),
            ("a comment that is one", "a@other.test (ceo@bank.test)", None)]:
        yield f"From: {name}", sign(message(sender), key, OTHER), \
            why or ACCEPTED
    yield "no From", sign(message(None), key, OTHER), "no From field"
    yield "h= without From", make(h="to:subject:date"), "From is not signed"
    yield "by a subdomain", make(d="sub.other.test"), \
        "not signed by the domain of From"
    yield "by the parent", sign(message("<a@sub.other.test>"), key, OTHER), \
        "not signed by the domain of From"
    yield "by somebody else", make(d="bank.test"), \
        "not signed by the domain of From"
    # the body
    yield "l= with appended text", make(l=5) + b"more\r\n", \
        "l= leaves part of the body unsigned"
    yield "l= of a part", make(l=5), "l= leaves part of the body unsigned"
    yield "l=0", make(l=0), "l= leaves part of the body unsigned"
    yield "l= of all", make(l=len(b"one\r\n.two\r\n")), ACCEPTED
    yield "l= too long", make(l=5000), "l= is longer than the body"
    yield "l= no number", make().replace(b"v=1;", b"v=1; l=-1;"), \
        "l= is malformed"
    # algorithms and keys
    yield "SHA-1", make(digest="sha1"), "rsa-sha1"
    yield "a= unknown", make(a="rsa-sha512"), "a= is unknown"
    yield "512 bits", sign(MESSAGE, weak, OTHER,
                           record("weak", weak.record())), \
        "RSA key shorter than 1024 bits"
    yield "a= of another kind than the key", \
        sign(MESSAGE, ed, OTHER, "sel"), "key is of another type than a="
    for selector, text, why in [
            ("revoked", "v=DKIM1; k=rsa; p=", "key is revoked"),
            ("tls", key.record("s=tlsrpt; "), "key is not for e-mail"),
            ("mail", key.record("s=tlsrpt:email; "), None),
            ("all", key.record("s=*; "), None),
            ("sha1", key.record("h=sha1; "), "key is not for sha256"),
            ("testing", key.record("t=y; "), "key is for tests only"),
            ("dsa", key.record(k="k=dsa; "), "key of an unknown type"),
            ("dkim2", key.record(v="v=DKIM2; "), ""),
            ("bare", key.record(v="", k=""), None),
            ("text", "hello", "malformed key record"),
            ("spf", "v=spf1 -all", ""),
            ("cut", key.record()[:200], ""),
            ("twice", key.record() + "; p=x", "malformed key record"),
            ("no-p", "v=DKIM1; k=rsa", "key record without p=")]:
        yield f"key: {selector}", make(selector=record(selector, text)), \
            ACCEPTED if why is None else why or INVALID
    yield "the third record is the key", make(selector=record(
        "three", "a", "v=DKIM1; p=", key.record())), ACCEPTED
    text = key.record()
    yield "several strings", make(selector=record(
        "parts", (text[:9], text[9:99], "", text[99:300], text[300:]))), \
        ACCEPTED
    dns.zones[f"alias._domainkey.{OTHER}"] = {"CNAME": "keys.example"}
    dns.zones["keys.example"] = {"TXT": [key.record()]}
    yield "an alias of the key", make(selector="alias"), ACCEPTED
    yield "no key", make(selector="nowhere"), "no key in the DNS"
    # time
    yield "expired", make(t=NOW - 9999, x=NOW - 1000), "signature has expired"
    yield "expired just now", make(t=NOW - 9999, x=NOW - 100), ACCEPTED
    yield "from the future", make(t=NOW + 1000), \
        "signature is from the future"
    yield "a fast clock", make(t=NOW + 100), ACCEPTED
    yield "x= before t=", make(x=NOW - 10), "x= is before t="
    yield "t= beyond 64 bits", make(t="9" * 30), \
        "signature is from the future"
    yield "x= beyond 64 bits", make(x="9" * 30), ACCEPTED
    # the tag list
    yield "i= outside of d=", make(i="@bank.test"), "i= is outside of d="
    yield "i= that ends alike", make(i="@another.test"), ""
    yield "i= in a subdomain", make(i="x@sub.other.test"), ACCEPTED
    yield "i= in a subdomain, t=s", make(
        i="x@sub.other.test",
        selector=record("strict", key.record("t=s; "))), \
        "key does not allow i= in a subdomain"
    yield "v=2", make(v=2), "v= is not 1"
    for tag in "v", "a", "d", "s", "bh", "h", "b":
        yield f"no {tag}=", make(**{tag: DROP}) if tag not in "ds" and \
            tag != "h" else re.sub(rb" %s=[^;]*;" % tag.encode(), b"", good,
                                   1), f"{tag}= is missing"
    yield "duplicate tags", make(duplicate="; d=other.test"), "duplicate tag"
    yield "a second b=", make(duplicate="; b=x"), "duplicate tag"
    yield "no tag list", b"DKIM-Signature: hello\r\n" + MESSAGE, \
        "malformed tag list"
    yield "an empty one", b"DKIM-Signature:\r\n" + MESSAGE, \
        "malformed tag list"
    yield "an unknown tag", make(z="From:x"), ACCEPTED
    yield "q= unknown", make(q="http"), "q= is not dns/txt"
    yield "c= unknown", make(c="relaxed/simple").replace(
        b"relaxed/simple", b"nothing/simple"), "c= is unknown"
    # many
    yield "a bad one above a good one", many.partition(b"\r\n")[0] + \
        b"\r\n" + good, ACCEPTED
    yield "a good one above 99 bad ones", make().partition(b"\r\n")[0] + \
        b"\r\n" + many + MESSAGE, ACCEPTED
    yield "100 bad ones above it", many + good, \
        "signature does not match the header"
    yield "a header of 10 MB", b"".join(
        b"X-%d: %s\r\n" % (i, b"x" * 10000) for i in range(1000)) + good, \
        "header too large"
    yield "5,000 fields", b"X: y\r\n" * 5000 + good, "header too large"
    yield "a folded line of white space", sign(message(
        Subject="a\r\n \r\n b"), key, OTHER), ACCEPTED
    yield "8-bit bytes", sign(message(Subject="\udcff\udc80 ä"), key, OTHER), \
        ACCEPTED
    yield "an empty body", sign(message(body=b""), key, OTHER), ACCEPTED
    yield "an empty body, relaxed", sign(message(body=b""), key, OTHER,
                                         c="relaxed/relaxed"), ACCEPTED
    # domains that cannot have a key
    yield "a domain literal, exempt", message("<a@[192.0.2.1]>"), ACCEPTED
    yield "an IPv6 literal, exempt", message("<a@[IPv6:2001:db8::1]>"), \
        ACCEPTED
    yield "a literal beside a domain", \
        message("<a@[192.0.2.1]>, <a@other.test>"), \
        "more than one address in From"


def test_verify(relay, dns, key):
    for name, raw, want in attacks(key, dns):
        got = relay.verify(raw)
        if want in (ACCEPTED, NONE):
            tap.is_(got, want, name)
        else:
            tap.ok(got.startswith(INVALID) and want in got,
                   f"{name}: {want or 'refused'}") or tap.diag(got)
    tap.ok(relay.role.wait_log("4Qv: refused mail from domain other.test: " +
                               NONE), "the log tells of a refusal")
    log = [line for line in relay.role.log.splitlines() if "refused" in line]
    tap.ok(max(map(len, log)) < 500, "replies are short")


def test_limits(relay, dns, key):
    """What a message may cost."""
    one = [sign(MESSAGE, key, OTHER, f"s{i}").partition(b"\r\n")[0] + b"\r\n"
           for i in range(100)]
    tap.like(relay.verify(b"".join(one) + MESSAGE), "no key in the DNS",
             "100 signatures with 100 keys")
    tap.is_(len({q[0] for q in dns.queries if re.match(r"s\d+\.", q[0])}), 10,
            "cost ten look-ups")
    foreign = [sign(MESSAGE, key, f"d{i}.test").partition(b"\r\n")[0] + b"\r\n"
               for i in range(9)]
    tap.is_(relay.verify(b"".join(foreign) + sign(MESSAGE, key, OTHER)),
            ACCEPTED, "signatures of other domains")
    tap.is_([q for q in dns.queries if re.search(r"\bd\d\.test", q[0])], [],
            "cost none")


# ---- the DNS

def test_dns(relay, dns, key):
    def raw(selector):
        dns.zones[f"{selector}._domainkey.{OTHER}"] = {"TXT": [key.record()]}
        return (f"{selector}._domainkey.{OTHER}",
                sign(MESSAGE, key, OTHER, selector))

    name, signed = raw("servfail")
    dns.rcode[name] = SERVFAIL
    tap.is_(relay.verify(signed), LATER + ": key could not be looked up",
            "SERVFAIL: temporary")
    del dns.rcode[name]
    tap.is_(relay.verify(signed), ACCEPTED, "and accepted afterwards")
    name, signed = raw("nxdomain")
    dns.rcode[name] = NXDOMAIN
    tap.is_(relay.verify(signed), INVALID + ": no key in the DNS",
            "NXDOMAIN: refused")
    del dns.rcode[name]
    tap.is_(relay.verify(signed), ACCEPTED, "which is not remembered")
    name, signed = raw("cut")
    dns.truncate.add(name)
    tap.is_(relay.verify(signed), ACCEPTED, "an answer that is cut off")
    tap.ok(dns.count(name, "TXT", "tcp"), "is asked for by TCP")
    name, signed = raw("mangled")
    dns.mangle[name] = lambda a: a[:-20]
    tap.like(relay.verify(signed), LATER, "half an answer: temporary")
    name, signed = raw("other")
    dns.rcode[name] = SERVFAIL
    two = sign(MESSAGE, key, OTHER).partition(b"\r\n")[0] + b"\r\n" + signed
    tap.is_(relay.verify(two), ACCEPTED,
            "one key of two is enough, the other one fails")
    name, signed = raw("cached")
    for _ in range(3):
        relay.verify(signed)
    tap.is_(dns.count(name), 1, "a key is kept for its TTL")
    new = RsaKey()
    dns.zones[name] = {"TXT": [new.record()]}
    tap.is_(relay.verify(sign(MESSAGE, new, OTHER, "cached")), ACCEPTED,
            "a key that changed meanwhile is found by a second look")
    tap.is_(dns.count(name), 2, "which is one query")
    tap.like(relay.verify(signed), INVALID, "the old key is no longer valid")
    dns.zones[name] = {"TXT": [new.record()], "ttl": 0}


class Silent(threading.Thread):
    """A message whose name server does not answer; takes 15 s."""

    def __init__(self, relay, dns, key):
        super().__init__(daemon=True)
        self.relay, self.dns = relay, dns
        self.name = f"silent._domainkey.{OTHER}"
        dns.zones[self.name] = {"TXT": [key.record()]}
        dns.silent.add(self.name)
        self.signed = sign(MESSAGE, key, OTHER, "silent")
        self.start()

    def run(self):
        start = time.monotonic()
        self.got = self.relay.verify(self.signed)
        self.took = time.monotonic() - start

    def check(self):
        self.join(30)
        tap.is_(self.got, LATER + ": key could not be looked up",
                "no answer of the name server: temporary")
        tap.between(self.took, 10, 25, "after 15 seconds")
        tap.ok(self.dns.count(self.name) > 1, "and several tries")
        self.dns.silent.clear()
        tap.is_(self.relay.verify(self.signed), ACCEPTED,
                "and accepted when it answers again")


def test_dns_gone(folder):
    """The name server ends, and comes back on its port."""
    key = RsaKey()
    zones = {f"sel._domainkey.{OTHER}": {"TXT": [key.record()]}}
    dns = DnsServer(zones)
    relay = Relay(folder, dns, name="gone")
    relay.key()
    relay.start()
    dns.close()
    signed = sign(MESSAGE, key, OTHER)
    start = time.monotonic()
    tap.like(relay.verify(signed), LATER, "no name server at all: temporary")
    tap.between(time.monotonic() - start, 0, 20, "soon enough for Postfix")
    with DnsServer(zones, port=dns.port):
        tap.is_(relay.verify(signed), ACCEPTED, "accepted when it is back")
    tap.is_(relay.role.stop(), 0, "SIGTERM")


# ---- the connection

def test_sessions(relay, key):
    good = sign(MESSAGE, key, OTHER)
    with relay.client() as m:
        for i in range(3):
            tap.is_([verdict(m.message("<x@y>", raw)) for raw in
                     (good, MESSAGE, good)], [ACCEPTED, NONE, ACCEPTED],
                    "three messages on one connection")
            m.abort()
            if i:
                m.abort()
        m.mail("<x@y>")
        m.header("From", " <ceo@bank.test>")
        m.abort()
        m.abort()
        tap.is_(verdict(m.message("<x@y>", good)), ACCEPTED,
                "a message after one that was aborted twice")
        m.mail("<x@y>")
        m.header("From", " <ceo@bank.test>")
        m.eoh()
        m.macros("E")
        m.send(packet("E") + packet("A") + packet("A"))
        tap.is_(m.actions_until_verdict(), [("y", NONE)],
                "one that is aborted when it is refused")
        tap.is_(verdict(m.message("<x@y>", good)), ACCEPTED, "and the next")
        m.quit_new()
        m.connect(macros={"{daemon_name}": "ORIGINATING"})
        tap.is_(m.message("<x@y>", message(f"<a@{OURS}>"))[-1], ("a",),
                "another client on the connection: signed")
        m.quit()
        tap.ok(m.is_closed(), "quit")


def whole(raw, name):
    """A session of one message in bytes, without the negotiation."""
    out = packet("D", b"C" + strings("{daemon_name}", name))
    out += packet("C", strings("c") + b"4\0\x19" + strings("192.0.2.1"))
    out += packet("D", b"M") + packet("M", strings("<x@y>"))
    fields, body = dkimtest.fields_of(raw)
    for field in fields:
        k, _, v = field.replace(b"\r\n", b"\n").partition(b":")
        out += packet("D", b"L") + packet("L", strings(k, v))
    out += packet("D", b"N") + packet("N")
    out += packet("D", b"B") + packet("B", body)
    return out + packet("D", b"E") + packet("E")


def test_splits(relay, key):
    data = whole(sign(MESSAGE, key, OTHER), "VERIFYING")
    for size in [1, 7, 1000]:
        with MilterClient(relay.socket) as m:
            for i in range(0, len(data), size):
                m.send(data[i:i + size])
                if size > 1 or i % 200 == 0:
                    time.sleep(.001)
            tap.is_(m.actions_until_verdict(), [("a",)],
                    f"in writes of {size} bytes")
    once = data[data.index(packet("D", b"M")):]
    with MilterClient(relay.socket) as m:
        m.send(data + once + once)
        tap.is_([m.actions_until_verdict() for _ in range(3)], [[("a",)]] * 3,
                "three messages in one write")
    data = whole(message(f"<a@{OURS}>"), "ORIGINATING")
    with MilterClient(relay.socket) as m:
        for i in range(len(data)):
            m.send(data[i:i + 1])
        tap.is_([a[0] for a in m.actions_until_verdict()], ["i", "a"],
                "signed byte by byte")


def test_gone(relay, dns, key):
    """Postfix goes while a key is looked up, or as the answer comes."""
    name = f"late._domainkey.{OTHER}"
    dns.zones[name] = {"TXT": [key.record()]}
    dns.delay[name] = .3
    data = whole(sign(MESSAGE, key, OTHER, "late"), "VERIFYING")
    for more in b"", packet("A") + packet("Q"), data:
        m = MilterClient(relay.socket)
        m.send(data + more)
        m.close()
    time.sleep(.8)
    tap.is_(relay.verify(sign(MESSAGE, key, OTHER)), ACCEPTED,
            "sessions that end during a look-up do no harm")


def test_garbage(relay, key):
    good = whole(sign(MESSAGE, key, OTHER), "VERIFYING")
    for name, data in [
            ("HTTP", b"GET / HTTP/1.0\r\n\r\n"),
            ("a packet of 4 GB", b"\xff\xff\xff\xffL" + b"x" * 100000),
            ("a packet of 2 GB", b"\x7f\xff\xff\xffB" + b"x" * 100000),
            ("a packet without command", b"\0\0\0\0"),
            ("an unknown command", packet("?", b"x")),
            ("random bytes", os.urandom(5000))]:
        for at in 0, len(good) // 2:
            with MilterClient(relay.socket) as m:
                try:
                    m.send(good[:at] + data if at else data)
                    m.sock.shutdown(1)
                    closed = m.is_closed()
                except (OSError, Closed):
                    closed = True
                tap.ok(closed, f"{name}: closed")
    for at in range(1, len(good), 97):
        m = MilterClient(relay.socket)
        m.send(good[:at])
        m.close()
    tap.is_(relay.verify(sign(MESSAGE, key, OTHER)), ACCEPTED,
            "clients that go at any byte do no harm")


def test_memory(relay, key):
    if "/san-" in CHATMAIL:
        tap.skip("memory", "sanitizers keep what was freed")
        return
    big = message(body=b"x" * 78 * 1000 + b"\r\n")
    before = relay.role.rss_kb()
    many = b"".join(b"X-%d: %s\r\n" % (i, b"x" * 10000) for i in range(1000))
    for _ in range(2):
        relay.verify(many + big)
    with relay.client() as m:
        m.mail("<x@y>")
        for field in dkimtest.fields_of(sign(MESSAGE, key, OTHER))[0]:
            k, _, v = field.partition(b":")
            m.header(k.decode(), v.decode())
        m.eoh()
        for _ in range(30):
            m.body(b"x" * 1000000)
        m.end()
    tap.between(relay.role.rss_kb() - before, -9999, 4000,
                "KB more after headers of 10 MB and a body of 30 MB")


# ---- signals

def hup(relay):
    relay.role.process.send_signal(signal.SIGHUP)
    time.sleep(.2)


def test_reload(relay, dns):
    raw = message(f"<a@{OURS}>")
    name = f"opendkim._domainkey.{OURS}"
    new = relay.key(key=RsaKey())
    old = dkimtest.with_inserted(raw, relay.sign(raw))
    tap.is_(relay.verify(old), ACCEPTED, "the old key until SIGHUP")
    hup(relay)
    dns.zones[name] = {"TXT": [new.record()]}
    tap.is_(relay.verify(dkimtest.with_inserted(raw, relay.sign(raw))),
            ACCEPTED, "the new one after it")
    good = new.pem
    for what, pem in [("no key", b"hello\n"), ("an empty file", b""),
                      ("half a key", good[:600]),
                      ("a short one", RsaKey(512).pem),
                      ("one of another kind", Ed25519Key().pem),
                      ("no file", None)]:
        path = os.path.join(relay.keys, "opendkim.private")
        if pem is None:
            os.unlink(path)
        else:
            with open(path, "wb") as f:
                f.write(pem)
        said = len(relay.role.lines)
        hup(relay)
        tap.ok(any(path in line for line in relay.role.lines[said:]),
               f"{what}: the log names the file")
        tap.is_(relay.verify(dkimtest.with_inserted(raw, relay.sign(raw))),
                ACCEPTED, f"{what}: the old key stays")
    relay.key(key=new)
    hup(relay)
    tap.ok(not [line for line in relay.role.lines
                if "PRIVATE KEY" in line or "hello" in line],
           "no key in the log")


def test_stop(relay, dns, key):
    name = f"slow._domainkey.{OTHER}"
    dns.zones[name] = {"TXT": [key.record()]}
    dns.delay[name] = .8
    with relay.client() as idle, relay.client("ORIGINATING") as busy, \
            relay.client() as waiting:
        busy.mail("<x@y>", macros={"i": "4Qx"})
        busy.header("From", f" <a@{OURS}>")
        waiting.mail("<x@y>")
        for field in dkimtest.fields_of(
                sign(MESSAGE, key, OTHER, "slow"))[0]:
            k, _, v = field.partition(b":")
            waiting.header(k.decode(), v.decode())
        waiting.eoh()
        waiting.body(b"one\r\n.two\r\n\r\n")
        waiting.macros("E")
        waiting.send(packet("E"))
        time.sleep(.2)
        relay.role.process.send_signal(signal.SIGTERM)
        tap.ok(idle.is_closed(), "SIGTERM: an idle session is closed")
        tap.is_(waiting.actions_until_verdict(), [("a",)],
                "a message whose key is looked up is answered")
        busy.eoh()
        tap.is_([a[0] for a in busy.end()], ["i", "a"],
                "one that is in hand is signed")
    tap.is_(relay.role.process.wait(15), 0, "and the role ends")


def test_ipv4(folder, dns, key):
    relay = Relay(folder, dns, "192.0.2.1", "ipv4").start()
    raw = message("<a@[192.0.2.1]>")
    tap.is_(relay.sign(raw), [("a",)], "an IPv4 relay signs nothing, and "
            "needs no key")
    tap.is_(relay.verify(sign(MESSAGE, key, OTHER)), ACCEPTED,
            "it verifies all the same")
    tap.is_(relay.verify(MESSAGE), NONE, "and refuses")
    tap.is_(relay.run("--sign", "-", relay.ini, data=raw)[0], 1,
            "--sign has nothing to sign with")
    write_ini(relay.ini, OURS, dkim_dns_server=dns.address)
    hup(relay)
    tap.ok(relay.role.wait_log("opendkim.private"),
           "a domain instead needs a key")
    tap.is_(relay.sign(raw), [("a",)], "and stays away without")
    relay.key()
    hup(relay)
    tap.is_([a[0] for a in relay.sign(message(f"<a@{OURS}>"))], ["i", "a"],
            "with a key its mail is signed")
    os.unlink(os.path.join(relay.keys, "opendkim.private"))
    write_ini(relay.ini, "192.0.2.1", dkim_dns_server=dns.address)
    hup(relay)
    tap.is_(relay.sign(raw), [("a",)], "an IPv4 address again")
    tap.is_(relay.role.stop(), 0, "it stops")


def test_dns_server(folder, dns, key):
    """Another name server after SIGHUP, while the first is still asked."""
    relay = Relay(folder, dns, name="dns")
    relay.key()
    relay.start()
    name = f"moved._domainkey.{OTHER}"
    signed = sign(MESSAGE, key, OTHER, "moved")
    with DnsServer({name: {"TXT": [key.record()]}}) as other:
        tap.like(relay.verify(signed), "no key in the DNS",
                 "a key that the name server does not know")
        slow = f"slow._domainkey.{OTHER}"
        dns.zones[slow], dns.delay[slow] = {"TXT": [key.record()]}, 1
        got = []
        asking = threading.Thread(target=lambda: got.append(
            relay.verify(sign(MESSAGE, key, OTHER, "slow"))))
        asking.start()
        time.sleep(.3)
        write_ini(relay.ini, OURS, dkim_dns_server=other.address)
        hup(relay)
        tap.is_(relay.verify(signed), ACCEPTED,
                "but the one of chatmail.ini after SIGHUP")
        asking.join(20)
        tap.is_(got, [ACCEPTED], "whom the first still answers is not lost")
        write_ini(relay.ini, OURS, dkim_dns_server="nonsense")
        hup(relay)
        tap.ok(relay.role.wait_log("dkim_dns_server"),
               "one that is no address is refused")
        tap.is_(relay.verify(signed), ACCEPTED, "and the old one stays")
    del dns.delay[slow]
    tap.is_(relay.role.stop(), 0, "it stops")


# ---- on files

def test_files(relay, dns, key):
    folder = relay.folder
    good = sign(MESSAGE, key, OTHER)
    dns.rcode[f"fail._domainkey.{OTHER}"] = SERVFAIL
    for name, raw, code, want in [
            ("accepted", good, 0, "accepted: signed by other.test"),
            ("refused", MESSAGE, 1, f"refused: {NONE}"),
            ("changed", good + b"x", 1,
             f"refused: {INVALID}: body hash does not match"),
            ("temporary", sign(MESSAGE, key, OTHER, "fail"), 75,
             f"temporary: {LATER}: key could not be looked up"),
            ("a literal", message("<a@[192.0.2.1]>"), 0,
             "accepted: [192.0.2.1] cannot have a key"),
            ("empty", b"", 1, f"refused: {INVALID}: no From field"),
            ("only a header", good.partition(b"\r\n\r\n")[0] + b"\r\n", 1,
             "refused: "),
            ("bytes", bytes(range(256)) * 10, 1, "refused: ")]:
        for ends, data in [("CRLF", raw), ("LF", raw.replace(b"\r\n",
                                                             b"\n"))]:
            path = os.path.join(folder, "mail")
            with open(path, "wb") as f:
                f.write(data)
            for args, stdin in [((path,), None), (("-",), data)]:
                got, out, _ = relay.run("--verify", *args, relay.ini,
                                        data=stdin)
                out = out.decode()
                tap.ok(got == code and out.startswith(want) and
                       out.count("\n") == 1,
                       f"--verify {args[0] if stdin is not None else 'FILE'}:"
                       f" {name}, {ends}") or tap.diag(f"{got} {out}")
    tap.is_(relay.run("--verify", folder + "/nothing", relay.ini)[0], 1,
            "--verify of no file")
    raw = message(f"<a@{OURS}>", References="<a@b>\r\n\t<c@d>")
    for ends, data in [("CRLF", raw), ("LF", raw.replace(b"\r\n", b"\n"))]:
        code, out, err = relay.run("--sign", "-", "--keys", relay.keys,
                                   relay.ini, data=data)
        tap.ok(code == 0 and out.endswith(data) and
               out.startswith(b"DKIM-Signature: v=1;"),
               f"--sign: a message with {ends} signed") or tap.diag(err)
        tap.is_(out.count(b"\r\n") == 0, ends == "LF", "keeps its line ends")
        tap.is_(relay.run("--verify", "-", relay.ini, data=out)[:2],
                (0, b"accepted: signed by chat.test\n"), "and verifies")
        tap.is_(relay.verify(out if ends == "CRLF" else
                             out.replace(b"\n", b"\r\n")), ACCEPTED,
                "also by the milter")
    code, out, err = relay.run("--sign", "-", "--keys", relay.keys, relay.ini,
                               data=MESSAGE)
    tap.is_((code, out), (1, b""), "--sign: a From that is not ours")
    tap.like(err, NOT_OURS, "says so")
    tap.is_(relay.run("--sign", "-", "--keys", folder + "/none", relay.ini,
                      data=raw)[0], 1, "--sign without a key")


def test_genkey(relay):
    folder = os.path.join(relay.folder, "new")
    code, out, _ = relay.run("--genkey", folder, "chat.example")
    out = out.decode()
    path = os.path.join(folder, "opendkim.private")
    tap.is_(code, 0, "--genkey")
    tap.is_((os.stat(folder).st_mode & 0o777, os.stat(path).st_mode & 0o777),
            (0o700, 0o600), "a key for its owner alone")
    tap.is_(os.listdir(folder), ["opendkim.private"], "one key")
    public = subprocess.run(["openssl", "rsa", "-in", path, "-pubout",
                             "-outform", "DER"], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, check=True).stdout
    record = f"v=DKIM1;k=rsa;p={dkimtest.b64(public)};s=email;t=s"
    tap.like(out, f"\n{record}\n", "its record as one string")
    zone = re.search(r"^opendkim\._domainkey\.chat\.example\. TXT (.*)$", out,
                     re.M)
    texts = re.findall(r'"([^"]*)"', zone.group(1)) if zone else []
    tap.is_("".join(texts), record, "and as a zone file has it")
    tap.ok(texts and max(map(len, texts)) <= 255, "in short strings")
    with open(path, "rb") as f:
        pem = f.read()
    code, again, _ = relay.run("--genkey", folder, "chat.example")
    with open(path, "rb") as f:
        tap.is_((code, f.read()), (0, pem), "a key that is there is kept")
    tap.is_(again.decode(), out.replace("made", "kept as it was"),
            "and its record printed")
    code, out, _ = relay.run("--genkey", folder, "chat.example", "--ed25519")
    tap.is_((code, sorted(os.listdir(folder))),
            (0, ["ed25519.private", "opendkim.private"]),
            "--ed25519 makes another")
    tap.like(out.decode(), "ed25519._domainkey.chat.example. TXT \"v=DKIM1;"
             "k=ed25519;p=", "with its record")
    with open(path, "wb") as f:
        f.write(b"hello\n")
    code, _, err = relay.run("--genkey", folder, "chat.example")
    with open(path, "rb") as f:
        tap.is_((code, f.read()), (1, b"hello\n"),
                "a file that is no key is kept, too")
    tap.like(err, path, "and named")
    for args in [("--genkey", folder), ("--genkey", folder, "not a domain"),
                 ("--verify", "a", "--sign", "b")]:
        tap.ok(relay.run(*args)[0] in (1, 2), " ".join(args[:1] + args[2:]) +
               ": refused")


def main():
    if not shutil.which("openssl"):
        tap.skip_all("no openssl")
    key = RsaKey()
    with tempfile.TemporaryDirectory() as folder, DnsServer({
            f"{s}._domainkey.{d}": {"TXT": [key.record()]} for s, d in
            [("sel", OTHER), ("sel", "sub.other.test"),
             ("sel", "bank.test")]}) as dns:
        relay = Relay(folder, dns)
        own = relay.key()
        dns.zones[f"opendkim._domainkey.{OURS}"] = {"TXT": [own.record()]}
        relay.start()
        silent = Silent(relay, dns, key)
        test_sign(relay, dns)
        test_verify(relay, dns, key)
        test_limits(relay, dns, key)
        test_dns(relay, dns, key)
        test_sessions(relay, key)
        test_splits(relay, key)
        test_gone(relay, dns, key)
        test_garbage(relay, key)
        test_memory(relay, key)
        test_files(relay, dns, key)
        test_genkey(relay)
        silent.check()
        test_reload(relay, dns)
        test_dns_gone(folder)
        test_ipv4(folder, dns, key)
        test_dns_server(folder, dns, key)
        test_stop(relay, dns, key)
    tap.done()


main()
