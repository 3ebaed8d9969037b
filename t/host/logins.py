"""Logins at a relay: one, a table of nasty ones, many at once.

    attempt(address, user, password)        "ok", "failed", "unavailable", ...
    for name, user, password, want in nasty("chat.test"): ...
    took, results = storm(address, pairs)
"""
import concurrent.futures
import imaplib
import re
import socket
import ssl
import time

MARK = "s3kr1t"         # in all passwords here: no log may have it
PATIENCE = 120
PARALLEL = 30
WORDS = {"AUTHENTICATIONFAILED": "failed", "UNAVAILABLE": "unavailable"}


def _context():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode()


def attempt(address, user, password, authzid=b""):
    """What becomes of a login by AUTHENTICATE PLAIN, which takes all bytes:
    "ok", "failed", "unavailable", or what else the server said."""
    blob = b"\0".join(map(_bytes, (authzid, user, password)))
    try:
        m = imaplib.IMAP4_SSL(address, 993, timeout=PATIENCE,
                              ssl_context=_context())
    except OSError as e:
        return "no connection: %s" % e
    try:
        m.authenticate("PLAIN", lambda _: blob)
        m.select()      # so the mailbox is there
        m.logout()
        return "ok"
    except (imaplib.IMAP4.error, OSError) as e:
        code = re.search(r"\[([A-Z]+)\]", str(e))
        return WORDS.get(code and code[1], str(e))
    finally:
        try:
            m.shutdown()
        except (OSError, socket.error):
            pass


def attempts(address, pairs):
    """What becomes of each (user, password), many at a time."""
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(lambda p: attempt(address, *p), pairs))


def storm(address, pairs):
    """(seconds, results) of logins that all begin at once."""
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(len(pairs)) as pool:
        results = list(pool.map(lambda p: attempt(address, *p), pairs))
    return time.monotonic() - began, results


# Part of names, and passwords with {d} for the domain.
_PASSWORDS = [
    ("spaces", "  with %s  spaces "),
    ("quotes", "'a' \"b\" %s \"\""),
    ("backslashes", "\\a\\\\%s\\"),
    ("a backslash and a quote", "%s\\\"nothing@{d}"),
    ("another user behind a quote", "%s12\"otheruser@{d}"),
    ("variables", "%%u%%{{user}}%s$(id)`id`{{0}}"),
    ("a scheme", "{{PLAIN}}%s12345"),
    ("slashes", "../../%s/passdb/x"),
    ("other control characters", "\x02\x08\x1b\x7f%s12"),
    ("letters of all kinds", "gr\u00fc\u00dfe \u4e2d\u6587 \U0001f600 %s"),
    ("JSON", "\", \"password\": \"%s\"}}"),
    ("500 bytes", "x" * 490 + "%s1234"),
]


def nasty(domain):
    """(name, user, password, result) of logins; those that are "ok" make an
    account, None is any refusal."""
    def at(text):
        return text.format(d=domain)

    rows = []
    for n, (name, text) in enumerate(_PASSWORDS):
        user = at("nasty%04d@{d}" % n)
        rows.append(("a password with " + name, user, at(text % MARK), "ok"))
    # Dovecot takes no password with one of these four
    bad = [("a password with " + ascii(c), "a%sb%s1234" % (c, MARK))
           for c in "\t\r\n\1"]
    rows += [(name, at("badpw%04d@{d}" % n), text, "failed")
             for n, (name, text) in enumerate(bad)]
    odd = [
        ("invalid UTF-8", b"\xff\xfe\xc3" + MARK.encode() + b"1234\x80",
         "ok"),
        ("8000 bytes", "x" * 7900 + MARK, None),
        ("no bytes", "", "failed"), ("too few bytes", MARK[:3], "failed"),
        ("NUL", b"12345678\0" + MARK.encode(), "failed"),
    ]
    rows += [("a password with " + name, at("oddpw%04d@{d}" % n), text, want)
             for n, (name, text, want) in enumerate(odd)]
    users = [
        "user\"0001@{d}", "user'0001@{d}", "user\\0001@{d}", "user%0001@{d}",
        "user/0001@{d}", "../us0001@{d}", "user 0001@{d}", "user\t0001@{d}",
        "user\n0001@{d}", "user\0010001@{d}", "user*0001@{d}",
        "user+0001@{d}", "us\u00e9r00001@{d}", "$(id)0001@{d}",
        "nobody001@other.{d}", "nobody001@{d}@{d}", "nobody001@",
        "@{d}", "nobody001", "", "nobody001@{d} ", "x" * 300 + "@{d}",
    ]
    rows += [("the user " + ascii(text)[:40], at(text), MARK + "12345",
              "failed") for text in users]
    rows += [("a user in capitals", at("BIGUSER01@{d}"), MARK + "12345", "ok"),
             ("a domain in capitals", "biguser02@" + domain.upper(),
              MARK + "12345", "ok")]
    return rows
