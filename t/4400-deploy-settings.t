#!/usr/bin/env python3
"""Which service is restarted for which setting: a role that reads a setting
has it in its row of src/host/relay_services.c, or a change would not reach
it."""
import glob
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import tap

os.chdir(os.path.join(HERE, ".."))

# service: what it alone is made of, besides its applet's files
ROLES = {
    "doveauth": ("doveauth", ["src/relay/echobot.c", "src/relay/limits.c",
                              "src/relay/user.c"]),
    "echobot": ("echobot", ["src/relay/echobot.c"]),
    "lastlogin": ("lastlogin", []),
    "chatmail-metadata": ("metadata", glob.glob("src/relay/notify*.c") +
                          ["src/relay/tokens.c"]),
    "chatmail-dkim": ("dkim", glob.glob("src/relay/dkim*.c")),
    "filtermail": ("filtermail", ["src/relay/filter.c", "src/relay/rate.c"]),
    "filtermail-incoming": ("filtermail", ["src/relay/filter.c"]),
    "chatmail-newemail": ("newemail", ["src/relay/newaccount.c",
                                       "src/relay/user.c"]),
    "chatmail-turn": ("turn", ["src/relay/turn.c"]),
    "chatmail-metrics": ("metrics", []),
}
# what only the other way of filtermail reads, and what a role's commands do
NOT_READ = {
    "echobot": {"echobot"},     # doveauth does
    "filtermail": {"filtermail_smtp_port_incoming",
                   "postfix_reinject_port_incoming"},
    "filtermail-incoming": {"filtermail_smtp_port", "postfix_reinject_port"},
}


def read(path):
    with open(path) as f:
        return re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)


def settings():
    return set(re.findall(r"^SETTING\((\w+)", read("src/relay/settings.def"),
                          re.M))


def rows():
    """The settings of each row, macros put in."""
    text = read("src/host/relay_services.c").replace("\\\n", " ")
    macros = dict(re.findall(r"^#define (\w+) (.*\".*)$", text, re.M))

    def value(tokens):
        out = ""
        for string, name in re.findall(r'"([^"]*)"|(\w+)', tokens):
            out += string if not name else value(macros[name])
        return out

    found = {}
    parts = re.split(r'\{ "([\w-]+)", "[^"]*",\s*RELAY_\w+,', text)
    for name, row in zip(parts[1::2], parts[2::2]):
        m = re.search(r"\.settings = ((?:\s*(?:\"[^\"]*\"|\w+))+)", row)
        found[name] = set(value(m.group(1)).split()) if m else set()
    return found


ALL = settings()
ROWS = rows()
# values that follow from settings, by the name of the setting
DERIVED = {"tls_cert_mode": "tls_external_cert_and_key"}

tap.is_(sorted(n for r in ROWS.values() for n in r
               if n not in ALL and n not in DERIVED), [],
        "rows name settings that there are")
for service, (applet, files) in sorted(ROLES.items()):
    sources = files + glob.glob("applets/%s.c" % applet) + \
        glob.glob("applets/%s_*.c" % applet)
    read_names = set()
    for path in sources:
        read_names |= set(re.findall(r"(?:->|\.)(\w+)\b", read(path))) & ALL
    if "mail_domain" not in read_names and re.search(
            r"->mail_domain", "".join(map(read, sources))):
        read_names.add("mail_domain")
    missing = read_names - ROWS[service] - NOT_READ.get(service, set())
    tap.is_(sorted(missing), [], "%s: its row has all that it reads" % service)
    tap.ok(read_names, "%s reads settings at all" % service)
tap.is_([s for s in ROLES if s not in ROWS], [], "each role has a row")
tap.done()
