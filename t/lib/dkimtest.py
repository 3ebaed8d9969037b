"""DKIM for tests: a signer of its own that can also sign what nobody should,
and keys from openssl(1).

    key = RsaKey(2048)
    dns.zones["sel._domainkey.a.example"] = {"TXT": [key.record()]}
    signed = sign(message, key, "a.example", "sel", l=10)

Messages are bytes with CRLF.
"""
import base64
import hashlib
import re
import subprocess
import tempfile
import time

HASHES = {"sha256": (hashlib.sha256, bytes.fromhex(
              "3031300d060960864801650304020105000420")),
          "sha1": (hashlib.sha1, bytes.fromhex(
              "3021300906052b0e03021a05000414"))}


def b64(data):
    return base64.b64encode(data).decode()


# ---- keys

def _openssl(*args, data=None):
    return subprocess.run(["openssl", *args], input=data, check=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE).stdout


def _der_integers(der):
    """The integers of a sequence."""
    def head(at):
        n, at = der[at + 1], at + 2
        if n & 0x80:
            more = n & 0x7f
            n, at = int.from_bytes(der[at:at + more], "big"), at + more
        return n, at

    _, at = head(0)
    found = []
    while at < len(der):
        n, at = head(at)
        found.append(int.from_bytes(der[at:at + n], "big"))
        at += n
    return found


class RsaKey:
    name = "rsa"

    def __init__(self, bits=2048):
        self.pem = _openssl("genrsa", str(bits))
        raw = _openssl("rsa", "-traditional", "-outform", "DER",
                       data=self.pem)
        _, self.n, self.e, self.d, self.p, self.q, self.dp, self.dq, \
            self.qi = _der_integers(raw)
        self.public = _openssl("rsa", "-pubout", "-outform", "DER",
                               data=self.pem)
        self.size = (self.n.bit_length() + 7) // 8

    def sign(self, data, digest="sha256"):
        """RSASSA-PKCS1-v1_5."""
        new, prefix = HASHES[digest]
        t = prefix + new(data).digest()
        m = int.from_bytes(b"\0\1" + b"\xff" * (self.size - len(t) - 3) +
                           b"\0" + t, "big")
        # two halves are faster than one power
        a, b = pow(m, self.dp, self.p), pow(m, self.dq, self.q)
        return (b + (a - b) * self.qi % self.p * self.q).to_bytes(
            self.size, "big")

    def record(self, more="", v="v=DKIM1; ", k="k=rsa; "):
        return f"{v}{k}{more}p={b64(self.public)}"


class Ed25519Key:
    name = "ed25519"

    def __init__(self):
        self.pem = _openssl("genpkey", "-algorithm", "ed25519")
        self.public = _openssl("pkey", "-pubout", "-outform", "DER",
                               data=self.pem)[-32:]

    def sign(self, data, digest="sha256"):
        with tempfile.NamedTemporaryFile() as key, \
                tempfile.NamedTemporaryFile() as text:
            key.write(self.pem)
            key.flush()
            text.write(HASHES[digest][0](data).digest())
            text.flush()
            return _openssl("pkeyutl", "-sign", "-rawin", "-inkey", key.name,
                            "-in", text.name)

    def record(self, more=""):
        return f"v=DKIM1; k=ed25519; {more}p={b64(self.public)}"


# ---- canonical forms

def fields_of(message):
    """(fields, body): each field with its folds, without CRLF at its end."""
    head, _, body = message.partition(b"\r\n\r\n")
    fields = []
    for line in head.split(b"\r\n"):
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1] += b"\r\n" + line
        else:
            fields.append(line)
    return fields, body


def canon_field(how, field):
    if how == "simple":
        return field
    name, _, value = field.partition(b":")
    value = re.sub(rb"[ \t]+", b" ", value.replace(b"\r\n", b""))
    return name.lower().rstrip(b" \t") + b":" + value.strip(b" ")


def canon_body(how, body):
    if how == "relaxed":
        body = re.sub(rb"[ \t]+", b" ", body)
        body = re.sub(rb" (?=\r\n|$)", b"", body)
    body = re.sub(rb"(\r\n)+$", b"", body)
    return b"" if how == "relaxed" and not body else body + b"\r\n"


# ---- signing

H = "from:from:to:subject:date:content-type"
DROP = object()


def sign(message, key, domain, selector="sel", c="relaxed/simple", h=H,
         digest="sha256", duplicate="", forge=None, fold=" ", **tags):
    """The message with a signature on top. Tags are added or replaced by
    name, DROP leaves one out; duplicate is text added to the list; forge
    changes the body before it is hashed; "bh" and "b" as others."""
    fields, body = fields_of(message)
    header_canon, _, body_canon = c.partition("/")
    hashed = canon_body(body_canon or "simple", forge(body) if forge else body)
    if "l" in tags and tags["l"] is not DROP:
        hashed = hashed[:int(tags["l"])]
    values = {"v": "1", "a": f"{key.name}-{digest}", "c": c, "d": domain,
              "s": selector, "t": str(int(time.time())), "h": h,
              "bh": b64(HASHES[digest][0](hashed).digest())}
    values.update({name: str(v) if v is not DROP else DROP
                   for name, v in tags.items() if name != "b"})
    listed = f";{fold}".join(f"{name}={v}" for name, v in values.items()
                             if v is not DROP)
    field = f"DKIM-Signature: {listed}{duplicate};{fold}b=".encode()
    left, data = list(fields), b""
    for name in h.encode().lower().split(b":"):
        for i in range(len(left) - 1, -1, -1):
            if left[i].partition(b":")[0].strip().lower() == name.strip():
                data += canon_field(header_canon, left.pop(i)) + b"\r\n"
                break
    data += canon_field(header_canon, field)
    b = tags["b"] if "b" in tags else b64(key.sign(data, digest))
    if b is DROP:
        field = field[:-3 - len(fold)]
        return field + b"\r\n" + message
    return field + b.encode() + b"\r\n" + message


def with_inserted(message, actions):
    """The message after a milter's insertions on top."""
    for action in actions:
        if action[0] == "i" and action[1] == 0:
            field = f"{action[2]}:{action[3]}"
            message = re.sub(r"\r?\n", "\r\n", field).encode(
                "utf-8", "surrogateescape") + b"\r\n" + message
    return message
