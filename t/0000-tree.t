#!/usr/bin/env python3
"""The house: who may include whom, and what every file has to have."""
import glob
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "lib"))
import tap

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

# A folder of src includes itself and those before it; applets all of them.
LAYERS = ["base", "text", "net", "relay", "host"]
# Libraries that other programs load: built on their own, without ours.
APART = ["dovecot", "static"]

# Headers from outside libc, and the only files that use them. What is not
# here is libc's, or new: then it gets its row.
OUTSIDE = [
    (r"ev\.h", r"src/net/"),
    (r"curl/.*", r"src/net/"),
    (r"ares.*\.h", r"src/net/"),
    (r"openssl/(ssl|tls1)\.h", r"src/net/"),
    (r"openssl/.*", r"(src/(text|net|relay|host)|applets)/"),
    (r"crypt\.h", r"src/relay/"),
    (r"cjson/.*|cJSON\.h", r"(src/(text|net|relay|host)|applets)/"),
    (r"qrencode\.h", r"src/text/qr[._]"),
    (r"png\.h", r"src/text/qr_png\."),
    (r"md4c.*\.h", r"src/text/"),
    (r"libssh2.*\.h", r"src/host/ssh[._]"),
]
LIBC = r"[a-z0-9_]+\.h|(sys|arpa|net|netinet|linux)/[a-z0-9_]+\.h"

# src/text is functions on bytes: no fd, no process, no clock.
NOT_IN_TEXT = r"(unistd|fcntl|dirent|signal|pthread|time|poll)\.h|sys/.*"

# Included by name alone: the applet's frame, and lists that make writes.
BARE = {
    "applet.h": r"applets/|src/main\.c",
    "applets.def": r"src/(applet\.h|main\.c)",
    "assets.list": r"src/base/assets\.c",
    "sources.list": r"src/host/libraries\.c",
}


with open("src/applets.def") as f:
    LISTED = re.findall(r"^APPLET\((\w+)\)", f.read(), re.M)


def applet_of(path):
    """The applet that a file in applets/ belongs to: NAME or NAME_part."""
    stem = os.path.basename(path).split(".")[0]
    owners = [n for n in LISTED if stem == n or stem.startswith(n + "_")]
    return max(owners, key=len, default=None)


def may_include(path, header):
    """Is #include "header" right in the file at path?"""
    folder, _, name = header.rpartition("/")
    if not folder:
        return bool(re.match(BARE.get(name, "$."), path))
    if folder == "applets":
        return path.startswith("applets/") and \
            applet_of(path) == applet_of(header)
    if folder not in LAYERS:
        return False
    own = path.split("/")[1]
    return path.startswith("applets/") or path == "src/main.c" or \
        own in LAYERS and LAYERS.index(folder) <= LAYERS.index(own)


def may_use(path, header):
    """Is #include <header> right in the file at path?"""
    if path == "src/host/libraries.c":  # asks each for its version
        return True
    for pattern, users in OUTSIDE:
        if re.fullmatch(pattern, header):
            return bool(re.match(users, path))
    if path.startswith("src/text/") and re.fullmatch(NOT_IN_TEXT, header):
        return False
    return bool(re.fullmatch(LIBC, header))


def wrong_includes(path):
    wrong = []
    with open(path) as f:
        for number, line in enumerate(f, 1):
            m = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
            if m and not (may_use if m[1] == "<" else may_include)(path, m[2]):
                wrong.append("%s:%d: %s" % (path, number, line.strip()))
    return wrong


# The rules themselves: what they have to let through and what not.
for path, header, want in [
        ("src/base/buf.c", "base/buf.h", True),
        ("src/base/buf.c", "text/tmpl.h", False),
        ("src/text/pgp.c", "base/buf.h", True),
        ("src/text/pgp.c", "net/conn.h", False),
        ("src/net/conn.c", "text/dict.h", True),
        ("src/net/conn.c", "relay/user.h", False),
        ("src/relay/user.c", "net/conn.h", True),
        ("src/relay/user.c", "host/run.h", False),
        ("src/relay/user.c", "applet.h", False),
        ("src/host/run.c", "relay/relay.h", True),
        ("applets/sandbox.c", "host/run.h", True),
        ("applets/sandbox.c", "applet.h", True),
        ("applets/init_part.c", "applets/init_part.h", True),
        ("applets/man.c", "applets/init_part.h", False),
        ("applets/dkim.c", "sandbox.h", False),
        ("src/main.c", "applets.def", True),
        ("src/net/conn.c", "other/x.h", False),
        ("src/net/conn.c", "dovecot/x.h", False),
        ("src/dovecot/imap-notify.c", "base/str.h", False)]:
    tap.is_(may_include(path, header), want,
            "%s %s include \"%s\"" % (path, "may" if want else "may not",
                                      header))
for path, header, want in [
        ("src/net/conn.c", "ev.h", True),
        ("src/relay/user.c", "ev.h", False),
        ("applets/dkim.c", "ev.h", False),
        ("applets/dkim.c", "openssl/evp.h", True),
        ("applets/dkim.c", "openssl/ssl.h", False),
        ("src/base/str.c", "openssl/evp.h", False),
        ("src/base/str.c", "unistd.h", True),
        ("src/text/dkim.c", "unistd.h", False),
        ("src/text/dkim.c", "string.h", True),
        ("src/host/run.c", "libssh2.h", False),
        ("src/host/ssh.c", "libssh2.h", True),
        ("src/host/ssh_auth.c", "libssh2.h", True),
        ("src/net/conn.c", "boost/any.hpp", False)]:
    tap.is_(may_use(path, header), want,
            "%s %s include <%s>" % (path, "may" if want else "may not",
                                    header))

folders = sorted(os.path.basename(p.rstrip("/")) for p in glob.glob("src/*/"))
tap.is_([f for f in folders if f not in LAYERS + APART], [],
        "src holds no other folder")
for folder in ["src/" + name for name in LAYERS + APART] + ["applets", "src"]:
    files = sorted(glob.glob(folder + "/*.[ch]") + glob.glob(folder + "/*.def"))
    if files:
        tap.is_(sum(map(wrong_includes, files), []), [],
                folder + " includes only what it may")

tap.is_(len(LISTED), len(set(LISTED)), "applets.def names nothing twice")
tap.is_([p for p in sorted(glob.glob("applets/*")) if not applet_of(p)], [],
        "each file in applets belongs to a listed applet")

# Text that comes from outside is parsed in src/text only. NAME_part.c may be
# tested with NAME.c.
NO_FUZZ = {"qr", "tar", "benchreport"}     # makes text, reads none
parsers = sorted(os.path.basename(p)[:-2] for p in glob.glob("src/text/*.c"))


def has(folder, name):
    while name and not os.path.exists("%s/%s.c" % (folder, name)):
        name = name.rpartition("_")[0]
    return bool(name)


tap.is_([n for n in parsers if not has("t/unit", n)], [],
        "each file in src/text has a unit test")
tap.is_([n for n in parsers if n.split("_")[0] not in NO_FUZZ and not has("t/fuzz", n)], [],
        "each parser in src/text has a fuzz target")
targets = sorted(os.path.basename(p)[:-2] for p in glob.glob("t/fuzz/*.c"))
tap.is_([n for n in targets if n != "replay" and
         not glob.glob("t/fuzz/corpus/%s/*" % n)], [],
        "each fuzz target has a corpus")

tests = sorted(glob.glob("t/*.t"))
tap.is_([p for p in tests if not os.access(p, os.X_OK)], [],
        "each test is executable")
tap.is_([p for p in tests if not re.fullmatch(r"t/\d{4}(-[a-z0-9]+)+\.t", p)],
        [], "each test is named NNNN-area-detail.t")
tap.done()
