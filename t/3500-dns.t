#!/usr/bin/env python3
"""chatmail dns: records right, wrong and oddly spelled; name servers that are
lame, dead or slow; the zone file in a real name server."""
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import tap
from dnsserver import REFUSED, SERVFAIL, DnsServer
from role import write_ini

CHATMAIL = os.path.abspath(os.environ.get("CHATMAIL", "build/chatmail"))
DOMAIN = "chat.example.org"
ACCOUNT = "https://acme.example/acct/77"
CAA = "letsencrypt.org;accounturi=" + ACCOUNT
OK, FAIL, USAGE = 0, 1, 2
ENV = {k: v for k, v in os.environ.items()
       if k not in ("CHATMAIL_INI", "NO_COLOR")}
FOLDER = tempfile.mkdtemp(prefix="chatmail-dns-")


def path(name):
    return os.path.join(FOLDER, name)


def chatmail(*args, stdin="", cwd=FOLDER, env=ENV):
    """Exit code, stdout, stderr."""
    done = subprocess.run([CHATMAIL, *args], input=stdin, text=True, cwd=cwd,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=300, env=env)
    return done.returncode, done.stdout, done.stderr


def make_keys(name, domain=DOMAIN, *more):
    code, out, err = chatmail("dkim", "--genkey", path(name), domain, *more)
    tap.is_((code, err), (OK, ""), "keys for " + domain)
    return path(name)


def collect(keys, ini, *more):
    code, out, err = chatmail("dns", "--collect", "--keys", keys, *more, ini)
    tap.is_((code, err), (OK, ""), "--collect")
    return json.loads(out)


def write(name, text):
    with open(path(name), "w") as f:
        f.write(text)
    return path(name)


def save(name, facts):
    return write(name, json.dumps(facts))


def good_names(facts, domain=DOMAIN):
    """The names of a relay whose records are all right."""
    host = {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"],
            "MX": [(10, domain)], "TXT": ["v=spf1 a ~all", "other=purpose"],
            "CAA": [(0, "issue", CAA)]}
    names = {"": host, "mta-sts.": {"CNAME": domain},
             "www.": {"CNAME": domain},
             "_mta-sts.": {"TXT": ["v=STSv1; id=2024"]},
             "_dmarc.": {"TXT": ["v=DMARC1;p=reject;adkim=s;aspf=s"]},
             "_adsp._domainkey.": {"TXT": ["dkim=discardable"]},
             "opendkim._domainkey.": {"TXT": [facts["dkim"]["opendkim"]]}}
    for service, port in [("submission", 587), ("submissions", 465),
                          ("imap", 143), ("imaps", 993)]:
        names[f"_{service}._tcp."] = {"SRV": [(0, 1, port, domain)]}
    return {prefix + domain: zone for prefix, zone in names.items()}


def zone(*servers, apex="example.org"):
    """The zone's NS records and the addresses of its servers."""
    names = {apex: {"NS": [f"ns{i}.{apex}" for i in range(1, len(servers) + 1)]}}
    for i, address in enumerate(servers, 1):
        names[f"ns{i}.{apex}"] = {"A": [address]}
    return names


class Relay:
    """A relay's facts, and chatmail dns about it."""

    def __init__(self, name, domain=DOMAIN, keys=None, **settings):
        self.domain = domain
        self.ini = write_ini(path(name + ".ini"), domain, **settings)
        self.keys = keys or make_keys(name + ".keys", domain)
        self.facts = collect(self.keys, self.ini)
        self.facts.update(ipv4=["192.0.2.1"], ipv6=["2001:db8::1"],
                          acme_account_url=ACCOUNT)
        self.file = save(name + ".json", self.facts)

    def names(self):
        return {**zone("127.0.0.1"), **good_names(self.facts, self.domain)}

    def dns(self, server, *more, facts=None, env=ENV):
        return chatmail("dns", "--facts", facts or self.file, "--dns-server",
                        server.address, "--dns-port", str(server.port),
                        *more, self.ini, env=env)

    def check(self, server, *more, facts=None):
        """Exit code and JSON, the records by "NAME TYPE" without domain."""
        code, out, err = self.dns(server, "--json", *more, facts=facts)
        try:
            result = json.loads(out)
        except ValueError:
            tap.diag(f"{code} {out} {err}")
            return code, {"records": {}, "probe": {}}
        result["records"] = {
            (r["name"][:-len(self.domain)] + " " + r["type"]).lstrip(): r
            for r in result["records"]}
        return code, result

    def wrong(self, server, *more, facts=None):
        """Exit code and what is not right, {name: (level, state)}."""
        code, result = self.check(server, *more, facts=facts)
        return code, {k: (r["level"][:3], r["state"])
                      for k, r in result["records"].items()
                      if r["state"] != "right"}


REQ, REC = "req", "rec"
ALL = ["A", "AAAA", "MX", "_mta-sts. TXT", "mta-sts. CNAME", "www. CNAME",
       "opendkim._domainkey. TXT", "TXT", "_dmarc. TXT", "CAA",
       "_adsp._domainkey. TXT", "_submission._tcp. SRV",
       "_submissions._tcp. SRV", "_imap._tcp. SRV", "_imaps._tcp. SRV"]
REQUIRED = ALL[:7]


def test_right(relay):
    with DnsServer(relay.names()) as dns:
        code, result = relay.check(dns)
        tap.is_(code, OK, "all is right")
        tap.is_(sorted(result), ["domain", "passed", "probe", "records",
                                 "server", "zone"], "the keys of --json")
        tap.is_((result["domain"], result["zone"], result["passed"]),
                (DOMAIN, "example.org", True), "domain and zone")
        tap.is_(result["server"], "ns1.example.org (%s)" % dns.address,
                "who was asked")
        tap.is_(list(result["records"]), ALL, "all records")
        tap.is_([k for k, r in result["records"].items()
                 if r["level"] == "required"], REQUIRED, "what is required")
        tap.is_({tuple(sorted(r)) for r in result["records"].values()},
                {("found", "level", "name", "state", "text", "type", "value",
                  "why")}, "the keys of a record")
        tap.is_(result["probe"], {"state": "valid", "why": None},
                "the signed message is valid")
        code, out, err = relay.dns(dns)
        tap.is_((code, err), (OK, ""), "for people")
        tap.like(out, "All DNS records are right.\n", "says so")
        tap.like(out, "signed is valid", "and of the message")
        tap.ok("\033" not in out, "no colour in a pipe")


def on_terminal(relay, dns, **env):
    master, slave = pty.openpty()
    subprocess.run([CHATMAIL, "dns", "--facts", relay.file, "--dns-server",
                    dns.address, "--dns-port", str(dns.port), relay.ini],
                   stdout=slave, stdin=subprocess.DEVNULL, timeout=60,
                   env={**ENV, **env})
    os.close(slave)
    out = b""
    try:
        while data := os.read(master, 65536):
            out += data
    except OSError:
        pass
    os.close(master)
    return out


def test_colour(relay):
    with DnsServer(relay.names()) as dns:
        tap.ok(b"\033[32mAll DNS" in on_terminal(relay, dns),
               "colour on a terminal")
        tap.ok(b"\033" not in on_terminal(relay, dns, NO_COLOR="1"),
               "not with NO_COLOR")
        tap.ok(b"\033" in on_terminal(relay, dns, NO_COLOR=""),
               "unless it is empty")


def drop(*prefixes):
    def change(names, domain):
        for prefix in prefixes:
            del names[prefix + domain]
    return change


def put(prefix, **records):
    """Other records of a name; None takes them away."""
    def change(names, domain):
        name = names.setdefault(prefix + domain, {})
        for kind, values in records.items():
            name.pop(kind, None)
            if values is not None:
                name[kind] = values
    return change


def direct(prefix, **records):
    """Records in a CNAME's place."""
    def change(names, domain):
        names[prefix + domain] = records
    return change


SPLIT = ("v=STS", "v1; ", "id=1")

# what is changed in a right zone; the exit code, what is not right then
CASES = [
    # ---- nothing is wrong
    ("MX with another preference", put("", MX=[(0, DOMAIN)]), OK, {}),
    ("MX in upper case", put("", MX=[(10, DOMAIN.upper())]), OK, {}),
    ("a further MX behind", put("", MX=[(10, DOMAIN), (20, "b.example")]), OK,
     {}),
    ("no AAAA is told of", put("", AAAA=None), OK,
     {"AAAA": (REC, "missing")}),
    ("nor is an A needed", put("", A=None), OK, {"A": (REC, "missing")}),
    ("flattened aliases", lambda n, d: (
        direct("www.", A=["192.0.2.1"], AAAA=["2001:db8::1"])(n, d),
        direct("mta-sts.", A=["192.0.2.1"])(n, d)), OK, {}),
    ("an alias by IPv6 alone", direct("www.", AAAA=["2001:db8::1"]), OK, {}),
    ("an alias of an alias", lambda n, d: n.update({
        "www." + d: {"CNAME": "web.example.org"},
        "web.example.org": {"CNAME": d}}), OK, {}),
    ("an alias in upper case", direct("www.", CNAME=DOMAIN.upper()), OK, {}),
    ("MTA-STS in several strings", put("_mta-sts.", TXT=[SPLIT]), OK, {}),
    ("another id", put("_mta-sts.", TXT=["v=STSv1;id=abc;"]), OK, {}),
    ("DMARC in another order", put("_dmarc.", TXT=[
        "v=DMARC1; aspf=s; adkim=s; p=REJECT; rua=mailto:a@b.example"]), OK,
     {}),
    ("SPF with a redirect that counts for nothing",
     put("", TXT=["v=spf1 redirect=x.example +a:%s ~ALL" % DOMAIN]), OK, {}),
    ("CAA with spaces", put("", CAA=[
        (128, "issue", " LetsEncrypt.org ; accounturi = %s " % ACCOUNT),
        (0, "iodef", "mailto:a@b.example"), (0, "issuewild", ";")]), OK, {}),
    ("SRV with another priority and weight",
     put("_imaps._tcp.", SRV=[(5, 50, 993, DOMAIN)]), OK, {}),
    # ---- recommended ones
    ("no SPF", put("", TXT=["other=purpose"]), OK, {"TXT": (REC, "missing")}),
    ("a wrong SPF", put("", TXT=["v=spf1 -all"]), OK,
     {"TXT": (REC, "wrong")}),
    ("SPF in another order", put("", TXT=["v=spf1 ~all a"]), OK,
     {"TXT": (REC, "wrong")}),
    ("two SPF", put("", TXT=["v=spf1 a ~all", "v=spf1 a ~all"]), OK,
     {"TXT": (REC, "wrong")}),
    ("no DMARC", drop("_dmarc."), OK, {"_dmarc. TXT": (REC, "missing")}),
    ("a weak DMARC", put("_dmarc.", TXT=["v=DMARC1; p=none"]), OK,
     {"_dmarc. TXT": (REC, "wrong")}),
    ("no CAA", put("", CAA=None), OK, {"CAA": (REC, "missing")}),
    ("CAA of another account", put("", CAA=[(0, "issue", CAA + "8")]), OK,
     {"CAA": (REC, "wrong")}),
    ("CAA without an account", put("", CAA=[(0, "issue", "letsencrypt.org")]),
     OK, {"CAA": (REC, "wrong")}),
    ("CAA of another purpose", put("", CAA=[(0, "iodef", "mailto:a@b")]), OK,
     {"CAA": (REC, "missing")}),
    ("CAA of another authority too", put("", CAA=[
        (0, "issue", CAA), (0, "issue", "ca.example")]), OK, {}),
    ("SRV to another port", put("_imaps._tcp.", SRV=[(0, 1, 143, DOMAIN)]), OK,
     {"_imaps._tcp. SRV": (REC, "wrong")}),
    ("SRV to another host", put("_imap._tcp.", SRV=[(0, 1, 143, "b.test")]),
     OK, {"_imap._tcp. SRV": (REC, "wrong")}),
    ("SRV to nowhere", put("_imap._tcp.", SRV=[(0, 0, 0, ".")]), OK,
     {"_imap._tcp. SRV": (REC, "wrong")}),
    ("no ADSP", drop("_adsp._domainkey."), OK,
     {"_adsp._domainkey. TXT": (REC, "missing")}),
    ("an address that the host does not have", put("", A=["192.0.2.9"]), OK,
     {"A": (REC, "wrong")}),
    # ---- required ones
    ("no address", put("", A=None, AAAA=None), FAIL,
     {"A": (REQ, "missing"), "AAAA": (REC, "missing")}),
    ("no MX", put("", MX=None), FAIL, {"MX": (REQ, "missing")}),
    ("MX to another host", put("", MX=[(10, "b.example")]), FAIL,
     {"MX": (REQ, "wrong")}),
    ("MX to another host first", put("", MX=[(20, DOMAIN), (10, "b.example")]),
     FAIL, {"MX": (REQ, "wrong")}),
    ("MX to another host as well",
     put("", MX=[(10, DOMAIN), (10, "b.example")]), FAIL,
     {"MX": (REQ, "wrong")}),
    ("MX to nowhere", put("", MX=[(0, ".")]), FAIL, {"MX": (REQ, "wrong")}),
    ("no www", drop("www."), FAIL, {"www. CNAME": (REQ, "missing")}),
    ("www elsewhere", direct("www.", CNAME="b.example.org"), FAIL,
     {"www. CNAME": (REQ, "wrong")}),
    ("www with another address", direct("www.", A=["192.0.2.9"]), FAIL,
     {"www. CNAME": (REQ, "wrong")}),
    ("www with another address too",
     direct("www.", A=["192.0.2.1", "192.0.2.9"]), FAIL,
     {"www. CNAME": (REQ, "wrong")}),
    ("no mta-sts", drop("mta-sts."), FAIL,
     {"mta-sts. CNAME": (REQ, "missing")}),
    ("www with texts alone", direct("www.", TXT=["x"]), FAIL,
     {"www. CNAME": (REQ, "missing")}),
    ("no MTA-STS record", drop("_mta-sts."), FAIL,
     {"_mta-sts. TXT": (REQ, "missing")}),
    ("MTA-STS without an id", put("_mta-sts.", TXT=["v=STSv1;"]), FAIL,
     {"_mta-sts. TXT": (REQ, "wrong")}),
    ("two MTA-STS records",
     put("_mta-sts.", TXT=["v=STSv1; id=1", "v=STSv1; id=2"]), FAIL,
     {"_mta-sts. TXT": (REQ, "wrong")}),
    ("no DKIM key", drop("opendkim._domainkey."), FAIL,
     {"opendkim._domainkey. TXT": (REQ, "missing")}),
    ("nothing at all", lambda n, d: [n.pop(k) for k in list(n)
                                     if k.endswith(d)], FAIL,
     {k: (REQ if k in REQUIRED and k != "AAAA" else REC, "missing")
      for k in ALL}),
]


def test_cases(relay):
    for title, change, want_code, want in CASES:
        names = relay.names()
        change(names, DOMAIN)
        with DnsServer(names) as dns:
            tap.is_(relay.wrong(dns), (want_code, want), title)


def test_dkim_spellings(relay, other):
    record, name = relay.facts["dkim"]["opendkim"], "opendkim._domainkey."
    p = re.search("p=([^;]*)", record)[1]
    spaced = " ".join(p[i:i + 40] for i in range(0, len(p), 40))
    stranger = other.facts["dkim"]["opendkim"]
    for title, texts, want, probe in [
            ("in strings", [(record[:100], record[100:200], record[200:])],
             "right", "valid"),
            ("in another order", [f"v=DKIM1; p={spaced}; t=s; s=email; k=rsa"],
             "right", "valid"),
            ("the key alone", [f"p={p}"], "right", "valid"),
            ("in capital letters", [record.replace("k=rsa", "k=RSA")],
             "right", "valid"),
            ("a test", [record.replace("t=s", "t=y")], "wrong", "invalid"),
            ("quotes typed in", [f'"{record[:250]}" "{record[250:]}"'],
             "wrong", "invalid"),
            ("cut off", [record[:255]], "wrong", "invalid"),
            ("revoked", ["v=DKIM1;k=rsa;p="], "wrong", "invalid"),
            ("another key", [stranger], "wrong", "invalid"),
            ("another key too", [record, stranger], "wrong", "valid")]:
        names = relay.names()
        put(name, TXT=texts)(names, DOMAIN)
        with DnsServer(names) as dns:
            code, result = relay.check(dns)
            r = result["records"][name + " TXT"]
            tap.is_((r["state"], result["probe"]["state"]), (want, probe),
                    f"DKIM {title}: {r['why']}")
            tap.is_(code, OK if want == "right" else FAIL, "and exit code")
            tap.is_(len(r["found"]), len(texts), "what is there is shown")


def test_report(relay):
    """What people read."""
    names = relay.names()
    put("", MX=[(5, "old.example"), (10, DOMAIN)])(names, DOMAIN)
    put("_dmarc.", TXT=["v=DMARC1;p=none"])(names, DOMAIN)
    drop("opendkim._domainkey.", "www.")(names, DOMAIN)
    record = relay.facts["dkim"]["opendkim"]
    with DnsServer(names) as dns:
        code, out, err = relay.dns(dns)
    tap.is_((code, err), (FAIL, ""), "a report")
    required, _, rest = out.partition("are recommended:")
    for title, line in [
            ("MX", f"{DOMAIN}. +3600 +IN +MX +10 {DOMAIN}\\.\n"
             "    there is: 5 old\\.example\\.\n"
             f"    there is: 10 {DOMAIN}\\.\n"),
            ("www", f"www\\.{DOMAIN}\\. +3600 +IN +CNAME +{DOMAIN}\\.\n")]:
        tap.ok(re.search("^" + line, required, re.M), "required: " + title)
    m = re.search(r"^opendkim\._domainkey\.%s\. +3600 +IN +TXT +(.*)" % DOMAIN,
                  required, re.M)
    strings = re.findall(r'"([^"]*)"', m[1]) if m else []
    tap.is_("".join(strings), record, "the DKIM key as a zone file has it")
    tap.is_(max(map(len, strings)), 255, "in strings of at most 255 bytes")
    tap.ok(f"\n{record}\n" in out, "and as one for a form")
    tap.like(rest, 'IN  TXT    "v=DMARC1;p=reject;adkim=s;aspf=s"\n'
             '    there is: "v=DMARC1;p=none"\n', "recommended: DMARC")
    tap.like(out, "would be refused", "the message is not valid")
    tap.ok("records are right" not in out, "and nothing is praised")


def test_settings(keys):
    """What else chatmail.ini asks for."""
    names = None
    for title, settings, gone in [
            ("disable_ipv6", {"disable_ipv6": "true"}, ["AAAA"]),
            ("certificates of one's own",
             {"tls_external_cert_and_key": "/a /b"},
             ["_mta-sts. TXT", "mta-sts. CNAME", "CAA"]),
            ("another authority, whose name in CAA is not known",
             {"acme_directory": "https://ca.example/x.letsencrypt.org/dir"},
             ["CAA"])]:
        relay = Relay("settings", keys=keys, **settings)
        names = relay.names()
        for name in gone:
            prefix, _, kind = name.rpartition(" ")
            put(prefix, **{kind: None})(names, DOMAIN)
        with DnsServer(names) as dns:
            code, result = relay.check(dns)
            tap.is_(code, OK, title)
            tap.is_(list(result["records"]), [k for k in ALL if k not in gone],
                    "asks for less")
            asked = {(n, k) for n, k, _ in dns.queries}
            tap.ok(not any((g.rpartition(" ")[0] + DOMAIN,
                            g.rpartition(" ")[2]) in asked for g in gone),
                   "also of the servers")


def test_other_domains(keys):
    relay = Relay("underscore", "_chat.test", keys=keys)
    with DnsServer({}) as dns:
        code, out, err = relay.dns(dns)
        tap.is_(code, OK, "a name with an underscore needs no records")
        tap.like(out, "nothing is required", "which is explained")
        code, wrong = relay.wrong(dns)
        tap.is_((code, {level for level, _ in wrong.values()}), (OK, {REC}),
                "they are recommended")
        tap.is_([k for k in wrong if "mta-sts" in k or k == "CAA"], [],
                "as far as it has a use for them")
    ini = write_ini(path("ipv4.ini"), "192.0.2.7")
    with DnsServer({}) as dns:
        args = ["dns", "--dns-server", dns.address, ini]
        code, out, err = chatmail(*args)
        tap.is_((code, err), (OK, ""), "an IPv4 relay needs none")
        tap.like(out, "not a domain", "which is explained")
        code, out, _ = chatmail(*args, "--json")
        tap.is_((code, json.loads(out)["records"]), (OK, []), "as JSON")
        code, out, _ = chatmail(*args, "--zonefile", path("ipv4.zone"))
        tap.is_((code, os.path.exists(path("ipv4.zone"))), (OK, False),
                "and no zone file")
        tap.is_(dns.queries, [], "nobody is asked")


def test_apex(keys):
    """The relay's domain is the zone's own name."""
    relay = Relay("apex", "example.org", keys=keys)
    names = {**zone("127.0.0.1")}
    for name, records in good_names(relay.facts, "example.org").items():
        names.setdefault(name, {}).update(records)
    with DnsServer(names) as dns:
        code, result = relay.check(dns)
        tap.is_((code, result["zone"]), (OK, "example.org"),
                "a relay at the apex of a zone")


def test_servers(relay):
    """The zone's servers and the resolver are not one: 127.0.0.1 tells who
    they are, and knows only old records."""
    old = {**zone("127.0.0.2", "127.0.0.3"), DOMAIN: {"A": ["192.0.2.8"]}}
    names = {**zone("127.0.0.2", "127.0.0.3"), **good_names(relay.facts)}
    with DnsServer(old) as resolver:
        port = resolver.port
        with DnsServer(names, "127.0.0.2", port) as one, \
                DnsServer(names, "127.0.0.3", port) as two:
            tap.is_(relay.wrong(resolver), (OK, {}), "caches are not asked")
            tap.ok(one.count(DOMAIN, "MX") == 1 and not two.queries,
                   "the first server is")
            one.rcode["*"] = REFUSED
            asked = len(one.queries)
            tap.is_(relay.wrong(resolver), (OK, {}), "the first refuses")
            tap.between(len(one.queries) - asked, 1, 3,
                        "and is not asked first again")
            one.rcode["*"] = SERVFAIL
            tap.is_(relay.wrong(resolver), (OK, {}), "the first fails")
            one.rcode.clear()
            one.lame.add("*")
            tap.is_(relay.wrong(resolver), (OK, {}), "the first is lame")
            two.lame.add("*")
            code, out, _ = relay.dns(resolver)
            tap.is_(code, FAIL, "both are lame")
            tap.like(out, "no name server of example.org answers: "
                     "ns1.example.org (127.0.0.2:%d): not authoritative for "
                     "the zone; ns2.example.org (127.0.0.3" % port,
                     "which is said")
            one.lame.clear()
            one.silent.add("*")
            two.lame.clear()
            asked = len(one.queries)
            tap.is_(relay.wrong(resolver), (OK, {}), "the first is silent")
            tap.between(len(one.queries) - asked, 1, 4,
                        "and not asked for every record")
            one.silent.clear()
            for name in names:
                one.delay[name] = .3
            tap.is_(relay.wrong(resolver), (OK, {}), "slow servers")
            one.delay.clear()
            one.truncate.add("*")
            tap.is_(relay.wrong(resolver), (OK, {}), "all by TCP")
            tap.ok(one.count(DOMAIN, "MX", "tcp") == 1, "indeed")
            one.truncate.clear()
            one.mangle["*"] = lambda a: a[:12]
            tap.is_(relay.wrong(resolver)[0], OK, "the first sends rubbish")
            one.mangle.clear()
        code, out, _ = relay.dns(resolver)
        tap.is_(code, FAIL, "nobody is there")
        tap.like(out, "no name server of example.org answers: ns1.example.org "
                 "(127.0.0.2:%d): no server answers" % port, "which is said")
        tap.is_(out.count("no server answers"), 2, "once for each")
        resolver.zones = {"example.org": {"NS": ["ns1.nowhere.test"]}}
        code, out, _ = relay.dns(resolver)
        tap.is_(code, FAIL, "a server without an address")
        tap.like(out, "ns1.nowhere.test: it has no address", "which is said")


def test_no_resolver(relay):
    dns = DnsServer({})
    dns.close()
    code, out, _ = relay.dns(dns)
    tap.is_(code, FAIL, "nobody tells who the servers are")
    tap.like(out, "no answer from " + dns.address, "which is said")


def test_no_zone(relay):
    """A closed network: the resolver answers itself."""
    with DnsServer(good_names(relay.facts)) as dns:
        tap.is_(relay.wrong(dns), (OK, {}), "no NS records")
        code, out, _ = relay.dns(dns)
        tap.like(out, "No name servers were found", "which is said")


def test_delegation(relay):
    """chat.example.org and _domainkey are zones of their own, which their
    parents alone know of."""
    names = good_names(relay.facts)
    key = "opendkim._domainkey." + DOMAIN
    top = {**zone("127.0.0.1"), "ns.b.test": {"A": ["127.0.0.2"]},
           "ns.c.test": {"A": ["127.0.0.3"]}}
    with DnsServer(top) as dns:
        dns.delegations[DOMAIN] = ["ns.b.test"]
        with DnsServer(names, "127.0.0.2", dns.port) as b, \
                DnsServer({key: names.pop(key)}, "127.0.0.3", dns.port) as c:
            b.delegations["_domainkey." + DOMAIN] = ["ns.c.test"]
            code, wrong = relay.wrong(dns)
            tap.is_((code, wrong), (OK, {
                "_adsp._domainkey. TXT": (REC, "missing")}),
                "delegated zones")
            tap.ok(c.count(key, "TXT") and not dns.count(key, "MX"),
                   "their servers were asked")
            tap.is_(dns.count(DOMAIN, "A"), 1, "the parent once")
            b.delegations["_domainkey." + DOMAIN] = ["ns.b.test"]
            b.delegations[DOMAIN] = ["ns.b.test"]
            tap.is_(relay.wrong(dns)[0], FAIL, "referrals in a circle end")
    # the resolver knows of the sub-zone itself
    sub = {**zone("127.0.0.2", apex=DOMAIN), **zone("127.0.0.3")}
    names = good_names(relay.facts)
    names[DOMAIN]["NS"] = ["ns1." + DOMAIN]
    with DnsServer(sub) as dns, \
            DnsServer(names, "127.0.0.2", dns.port), \
            DnsServer({}, "127.0.0.3", dns.port) as parent:
        code, result = relay.check(dns)
        tap.is_((code, result["zone"]), (OK, DOMAIN), "a sub-zone")
        tap.is_(parent.queries, [], "the parent's servers do not matter")


def test_aliases(relay):
    """CNAMEs into other zones, and such that lead nowhere."""
    names = relay.names()
    other = {**zone("127.0.0.2", apex="b.test"),
             "web.b.test": {"A": ["192.0.2.1"]}}
    key = "opendkim._domainkey." + DOMAIN
    names.update({k: v for k, v in other.items() if k != "web.b.test"})
    other["key.b.test"] = names[key]
    names[key] = {"CNAME": "key.b.test"}
    names["www." + DOMAIN] = {"CNAME": "web.b.test"}
    with DnsServer(names) as dns, \
            DnsServer(other, "127.0.0.2", dns.port) as b:
        code, result = relay.check(dns)
        tap.is_((code, result["records"]["www. CNAME"]["state"],
                 result["probe"]["state"]), (OK, "right", "valid"),
                "CNAMEs into another zone")
        tap.ok(b.count("web.b.test", "A") and b.count("key.b.test", "TXT"),
               "whose servers were asked")
        for title, target in [("to itself", "www." + DOMAIN),
                              ("in a circle", "circle." + DOMAIN)]:
            dns.zones["www." + DOMAIN] = {"CNAME": target}
            dns.zones["circle." + DOMAIN] = {"CNAME": "www." + DOMAIN}
            code, wrong = relay.wrong(dns)
            tap.is_((code, list(wrong)), (FAIL, ["www. CNAME"]),
                    "a CNAME " + title)
        # each server only knows its own link of the circle
        dns.zones["www." + DOMAIN] = {"CNAME": "loop.b.test"}
        b.zones["loop.b.test"] = {"CNAME": "www." + DOMAIN}
        code, wrong = relay.wrong(dns)
        tap.is_((code, list(wrong)), (FAIL, ["www. CNAME"]),
                "a circle through two zones")
        dns.zones["www." + DOMAIN] = {"CNAME": "nowhere.b.test"}
        code, result = relay.check(dns)
        r = result["records"]["www. CNAME"]
        tap.is_((code, r["state"], r["found"]),
                (FAIL, "wrong", ["CNAME nowhere.b.test."]),
                "a CNAME to nothing")


def test_addresses(relay):
    names = relay.names()
    with DnsServer(names) as dns:
        tap.is_(relay.wrong(dns, "--ipv4", "192.0.2.1", "--ipv6",
                            "2001:DB8:0::1"), (OK, {}), "--ipv4 and --ipv6")
        tap.is_(relay.wrong(dns, "--ipv4", "192.0.2.2"),
                (FAIL, {"A": (REQ, "wrong")}), "another --ipv4")
        tap.is_(relay.wrong(dns, "--ipv6", "2001:db8::2"),
                (FAIL, {"AAAA": (REQ, "wrong")}), "another --ipv6")
        names[DOMAIN]["A"] = ["192.0.2.1", "192.0.2.2"]
        tap.is_(relay.wrong(dns, "--ipv4", "192.0.2.1"),
                (FAIL, {"A": (REQ, "wrong")}), "another address too")
        two = save("two.json", {**relay.facts,
                                "ipv4": ["192.0.2.2", "192.0.2.1"]})
        tap.is_(relay.wrong(dns, facts=two), (OK, {}),
                "a host with two addresses")
        none = save("none.json", {**relay.facts, "ipv4": [], "ipv6": []})
        tap.is_(relay.wrong(dns, facts=none), (OK, {}),
                "addresses that the host does not know")
        del names[DOMAIN]["AAAA"]
        tap.is_(relay.wrong(dns, facts=none), (OK, {}),
                "no AAAA is asked for then")
        del names[DOMAIN]["A"]
        tap.is_(relay.wrong(dns, facts=none),
                (FAIL, {"A": (REQ, "missing")}), "but an A is")
        six = save("six.json", {**relay.facts, "ipv4": []})
        tap.is_(relay.wrong(dns, facts=six),
                (FAIL, {"AAAA": (REQ, "missing")}), "or the one that there is")


def test_unknown_facts(relay):
    """Neither key nor account are known."""
    nothing = save("nothing.json", {})
    with DnsServer(relay.names()) as dns:
        code, result = relay.check(dns, facts=nothing)
        states = {k: r["state"] for k, r in result["records"].items()}
        tap.is_((code, states["opendkim._domainkey. TXT"], states["CAA"],
                 result["probe"]["state"]), (FAIL, "unknown", "right", "none"),
                "without the relay's facts")
        code, out, err = chatmail("dns", "--keys", path("no-keys"),
                                  "--dns-server", dns.address, "--dns-port",
                                  str(dns.port), relay.ini)
        tap.is_(code, FAIL, "nor its keys")
        tap.like(err, path("no-keys") + "/opendkim.private", "which is said")
        tap.like(err, "--facts", "and what would help")
        code, out, err = chatmail("dns", "--keys", relay.keys, "--ipv4",
                                  "192.0.2.1", "--ipv6", "2001:db8::1",
                                  "--dns-server", dns.address, "--dns-port",
                                  str(dns.port), relay.ini)
        tap.is_((code, err), (OK, ""), "on the relay itself")
        with open(relay.file) as f:
            code, out, err = chatmail(
                "dns", "--facts", "-", "--dns-server", dns.address,
                "--dns-port", str(dns.port), "--config", relay.ini,
                stdin=f.read())
        tap.is_((code, err), (OK, ""), "facts from stdin, --config")


def test_probe(relay, other):
    """The message has to be the relay's own, and whole."""
    with DnsServer(relay.names()) as dns:
        probe = relay.facts["probe"]
        for title, text, want in [
                ("as it is", probe, ("valid", OK)),
                ("changed", probe.replace("DNS check", "DNS"),
                 ("invalid", FAIL)),
                ("with another body", probe + "more\r\n", ("invalid", FAIL)),
                ("unsigned", probe[probe.index("\nFrom:") + 1:],
                 ("invalid", FAIL)),
                ("of another key", other.facts["probe"], ("invalid", FAIL)),
                ("no message", "x", ("invalid", FAIL)),
                ("none", None, ("none", OK))]:
            facts = save("probe.json", {**relay.facts, "probe": text})
            code, result = relay.check(dns, facts=facts)
            tap.is_((result["probe"]["state"], code), want,
                    f"a message {title}: {result['probe']['why']}")
        foreign = Relay("foreign", "b.test", keys=relay.keys)
        dns.zones["opendkim._domainkey.b.test"] = \
            dns.zones["opendkim._domainkey." + DOMAIN]
        facts = save("probe.json", {**relay.facts,
                                    "probe": foreign.facts["probe"]})
        code, result = relay.check(dns, facts=facts)
        tap.is_((result["probe"]["state"], code), ("invalid", FAIL),
                "a message of another domain")
        dns.rcode["opendkim._domainkey." + DOMAIN] = SERVFAIL
        code, result = relay.check(dns)
        tap.is_((result["probe"]["state"], code), ("unknown", FAIL),
                "the key cannot be had")


def test_big_key():
    """4096 bits, and an Ed25519 key beside it."""
    keys = path("big.keys")
    os.mkdir(keys, 0o700)
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt",
                    "rsa_keygen_bits:4096", "-out",
                    keys + "/opendkim.private"], check=True,
                   stderr=subprocess.DEVNULL)
    make_keys("big.keys", DOMAIN, "--ed25519")
    relay = Relay("big", keys=keys)
    names = relay.names()
    with DnsServer(names) as dns:
        tap.is_(relay.wrong(dns), (OK, {
            "ed25519._domainkey. TXT": (REC, "missing")}),
            "a key of 4096 bits; a second key is asked for")
        names["ed25519._domainkey." + DOMAIN] = {
            "TXT": [relay.facts["dkim"]["ed25519"]]}
        dns.zones = names
        tap.is_(relay.wrong(dns), (OK, {}), "and found")


def test_bad_facts(relay):
    with DnsServer(relay.names()) as dns:
        for title, text, want in [
                ("nothing", "", "not JSON"),
                ("a list", "[]", "expected an object"),
                ("a wrong address", '{"ipv4": ["::1"]}', "ipv4: expected"),
                ("no list", '{"ipv6": "::1"}', "ipv6: expected an array"),
                ("no key", '{"dkim": {"opendkim": "x"}}', "dkim: opendkim: "),
                ("a number", '{"probe": 1}', "probe: expected a string"),
                ("no URL", '{"acme_account_url": "a\\"b"}',
                 "acme_account_url: expected a URL"),
                ("many addresses", json.dumps({"ipv4": ["192.0.2.1"] * 17}),
                 "ipv4: expected at most 16"),
                ("a long file", " " * (1 << 20) + "{}", "File too large")]:
            with open(path("bad.json"), "w") as f:
                f.write(text)
            code, out, err = relay.dns(dns, facts=path("bad.json"))
            tap.is_((code, out), (FAIL, ""), "facts: " + title)
            tap.like(err, want, "which is said")
        tap.is_(dns.queries, [], "and nobody is asked")


def test_usage(relay):
    for args in [("--dns-port", "0"), ("--dns-port", "x"),
                 ("--dns-server", "name.example"), ("--collect", "--json"),
                 ("a.ini", "b.ini"), ("--config", "a.ini", "b.ini")]:
        code, out, err = chatmail("dns", *args)
        tap.is_((code, out), (USAGE, ""), "usage: " + " ".join(args))
    code, out, err = relay.dns(DnsServer({}), "--ipv4", "::1")
    tap.is_((code, out), (FAIL, ""), "--ipv4 ::1")
    code, out, err = chatmail("dns", path("no.ini"))
    tap.is_((code, out), (FAIL, ""), "no chatmail.ini")
    tap.like(err, path("no.ini"), "which is said")


def test_collect(relay):
    """What the relay's host tells of itself."""
    facts = collect(relay.keys, relay.ini)
    tap.is_(sorted(facts), ["acme_account_url", "dkim", "ipv4", "ipv6",
                            "probe"], "what --collect tells")
    tap.is_(list(facts["dkim"]), ["opendkim"], "the key that there is")
    with open(relay.keys + "/opendkim.private") as f:
        tap.ok(f.read().splitlines()[1] not in json.dumps(facts),
               "not the private one")
    shown = subprocess.run(["ip", "-o", "addr"], stdout=subprocess.PIPE,
                           text=True).stdout if shutil.which("ip") else None
    if shown is None:
        tap.skip("this host's addresses", "no ip")
    else:
        tap.is_([a for a in facts["ipv4"] + facts["ipv6"]
                 if f" {a}/" not in shown], [], "this host's addresses")
        tap.is_([a for a in facts["ipv4"] + facts["ipv6"]
                 if re.match(r"127\.|10\.|192\.168\.|::1$|fe80", a)], [],
                "public ones")
    tap.is_(collect(relay.keys, relay.ini, "--ipv4", "192.0.2.44")["ipv4"],
            ["192.0.2.44"], "--ipv4")
    if not os.path.exists("/var/lib/acme/account-url"):
        test_account(relay)
    code, out, err = chatmail("dns", "--collect", "--keys", path("none"),
                              relay.ini)
    tap.is_((code, out), (FAIL, ""), "no keys")
    tap.like(err, path("none"), "which is said")


def test_account(relay):
    """The ACME client is asked for its account."""
    os.makedirs(path("bin"), exist_ok=True)
    env = {**ENV, "PATH": path("bin") + ":/usr/bin:/bin"}
    for title, program, script, want in [
            ("acmetool", "acmetool", f'test "$*" = account-url && '
             f"echo {ACCOUNT}", ACCOUNT),
            ("uacme", "uacme", "echo uacme: version 1.7.4 starting >&2\n"
             f"echo uacme: Account already exists at {ACCOUNT} >&2; exit 2",
             ACCOUNT),
            ("a failure", "acmetool", f"echo {ACCOUNT}; exit 1", None),
            ("no URL", "acmetool", "echo 'no account'", None),
            ("an odd URL", "acmetool", "echo 'https://a/\";x'", None)]:
        for name in "acmetool", "uacme":
            file = write("bin/" + name, "#!/bin/sh\n" + (
                script if name == program else "exit 1") + "\n")
            os.chmod(file, 0o755)
        code, out, err = chatmail("dns", "--collect", "--keys", relay.keys,
                                  relay.ini, env=env)
        tap.is_((code, json.loads(out)["acme_account_url"]), (OK, want),
                "the account: " + title)


# ---- before a deployment

PRECHECK = os.path.join(os.environ.get("BUILD", "build"), "t/unit/dns_check")


def precheck(relay, names):
    with DnsServer({**zone("127.0.0.1"), **names}) as dns:
        done = subprocess.run([PRECHECK, relay.ini, dns.address,
                               str(dns.port)], text=True, timeout=120,
                              stdout=subprocess.PIPE)
    return done.stdout.splitlines()


def test_precheck(relay):
    if not os.path.exists(PRECHECK):
        tap.skip("the check before a deployment", "no " + PRECHECK)
        return
    host = {DOMAIN: {"A": ["192.0.2.1"]}}
    www = {"www." + DOMAIN: {"CNAME": DOMAIN}}
    sts = {"mta-sts." + DOMAIN: {"CNAME": DOMAIN}}
    tap.is_(precheck(relay, {**host, **www, **sts}), [], "ready to deploy")
    tap.is_(precheck(relay, {DOMAIN: {"AAAA": ["2001:db8::1"]},
                             "www." + DOMAIN: {"AAAA": ["2001:db8::1"]},
                             **sts}), [], "by IPv6, without a CNAME")
    got = precheck(relay, {**www, **sts})
    tap.ok(len(got) == 1 and "has no address" in got[0], f"no address: {got}")
    got = precheck(relay, host)
    tap.is_([re.sub(" +", " ", s) for s in got],
            [f"this record is missing: {n}.{DOMAIN}. 3600 IN CNAME {DOMAIN}."
             for n in ("mta-sts", "www")], "no aliases")
    got = precheck(relay, {**host, **www, "mta-sts." + DOMAIN: {
        "CNAME": "b.example.org"}})
    tap.ok(len(got) == 1 and "is wrong: mta-sts" in got[0],
           f"an alias of another host: {got}")
    own = Relay("own", keys=relay.keys,
                tls_external_cert_and_key="/a /b")
    tap.is_(precheck(own, host), [], "certificates of one's own: an address")
    six = Relay("six", keys=relay.keys, disable_ipv6="true")
    got = precheck(six, {DOMAIN: {"AAAA": ["2001:db8::1"]}})
    tap.ok(len(got) == 1 and "it needs an A record" in got[0] and
           "AAAA" not in got[0], f"disable_ipv6: {got}")
    tap.is_(precheck(Relay("under", "_b.test", keys=relay.keys), {}), [],
            "a name with an underscore needs nothing")
    four = Relay.__new__(Relay)
    four.ini = write_ini(path("four.ini"), "192.0.2.7")
    tap.is_(precheck(four, {}), [], "an IPv4 relay neither")
    dead = DnsServer({})
    dead.close()
    done = subprocess.run([PRECHECK, relay.ini, dead.address, "53"], text=True,
                          timeout=120, stdout=subprocess.PIPE)
    tap.ok(f"{DOMAIN} cannot be looked up: no answer from {dead.address}" in
           done.stdout and done.stdout.count("\n") == 1,
           "nobody answers: " + done.stdout.strip())


# ---- the zone file

def records_of(text):
    """{"NAME TYPE": data} of a zone file."""
    found = {}
    for line in text.splitlines():
        m = re.match(r"(\S+)\.\s+3600\s+IN\s+([A-Z]+)\s+(.*)", line)
        if m and not line.startswith(";"):
            found.setdefault(f"{m[1]} {m[2]}", []).append(m[3])
    return found


def test_zonefile(relay):
    with DnsServer(zone("127.0.0.1")) as dns:
        out = path("new.zone")
        code, said, err = relay.dns(dns, "--zonefile", out)
        tap.is_((code, err), (OK, ""), "a zone file for an empty zone")
        tap.like(said, out, "which is said")
        with open(out) as f:
            text = f.read()
        tap.is_([k.replace(DOMAIN, "").lstrip() for k in records_of(text)],
                ALL, "has all records")
        tap.is_(oct(os.stat(out).st_mode)[-3:], "644", "anybody may read it")
        tap.ok(re.search(r'^_mta-sts\S+ .*"v=STSv1; id=\d{12}"$', text, re.M),
               "a new id")
        required, _, recommended = text.partition(
            "; Recommended DNS entries\n")
        tap.ok(required.startswith("; Required DNS entries\n"), "in two parts")
        tap.is_((len(records_of(required)), len(records_of(recommended))),
                (7, 8), "of 7 and 8 records")
        dns.zones.update(good_names(relay.facts))
        dns.zones[DOMAIN]["A"] = ["192.0.2.77"]
        code, text, _ = relay.dns(dns, "--zonefile", "-")
        found = records_of(text)
        tap.is_((code, found[f"_mta-sts.{DOMAIN} TXT"]),
                (OK, ['"v=STSv1; id=2024"']), "an id that is there stays")
        tap.is_(found[DOMAIN + " A"], ["192.0.2.77"],
                "so does a proxy's address")
        code, text, _ = relay.dns(dns, "--zonefile", "-", "--ipv4",
                                  "192.0.2.5")
        tap.is_(records_of(text)[DOMAIN + " A"], ["192.0.2.5"],
                "unless it is said to be wrong")
        code, text, err = relay.dns(dns, "--zonefile", "-",
                                    facts=save("empty.json", {}))
        tap.is_((code, records_of(text)[DOMAIN + " A"]), (OK, ["192.0.2.77"]),
                "an unknown address is taken from the DNS")
        tap.like(text, "\n; opendkim._domainkey." + DOMAIN,
                 "the unknown key is a comment")
        tap.like(err, "DKIM key", "and told of")
        code, _, err = relay.dns(dns, "--zonefile", path("no/dir"))
        tap.is_(code, FAIL, "no place for the file")
        tap.like(err, path("no/dir"), "which is said")


class Nsd:
    """A real name server for zones {name: text} on 127.0.0.1."""

    def __init__(self, zones):
        self.port = DnsServer({})
        self.port.close()
        self.port = self.port.port
        conf = [f"""server:
    ip-address: 127.0.0.1@{self.port}
    username: ""
    zonesdir: "{FOLDER}"
    database: ""
    pidfile: "{path('nsd.pid')}"
    xfrdfile: "{path('xfrd.state')}"
    zonelistfile: "{path('zone.list')}"
    xfrdir: "{FOLDER}"
    logfile: "{path('nsd.log')}"
    server-count: 1
remote-control:
    control-enable: no
"""]
        for name, text in zones.items():
            file = write(name + ".zone", text)
            conf.append(f'zone:\n    name: "{name}"\n    zonefile: "{file}"\n')
        conf = write("nsd.conf", "".join(conf))
        self.process = subprocess.Popen(["nsd", "-d", "-c", conf],
                                        stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        self.address = f"127.0.0.1:{self.port}"

    def close(self):
        self.process.terminate()
        self.process.wait(30)


class Unbound:
    """A real resolver that knows where example.org's servers are."""

    def __init__(self, nsd):
        port = DnsServer({})
        port.close()
        conf = write("unbound.conf", f"""server:
    interface: 127.0.0.1
    port: {port.port}
    access-control: 127.0.0.0/8 allow
    do-not-query-localhost: no
    do-daemonize: no
    username: ""
    chroot: ""
    directory: "{FOLDER}"
    pidfile: ""
    use-syslog: no
    module-config: "iterator"
    do-ip6: no
remote-control:
    control-enable: no
stub-zone:
    name: "example.org"
    stub-addr: 127.0.0.1@{nsd.port}
""")
        self.process = subprocess.Popen(["unbound", "-d", "-c", conf],
                                        stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        self.address, self.port = f"127.0.0.1:{port.port}", nsd.port

    close = Nsd.close


def wait_for(relay, server):
    """Until a server that was just started answers."""
    for _ in range(60):
        _, result = relay.check(server)
        if result.get("zone"):
            return True
    return False


HEAD = """$TTL 300
@ IN SOA ns1.{0}. hostmaster.{0}. 1 3600 600 86400 300
@ IN NS ns1.{0}.
ns1.{0}. IN A 127.0.0.1
"""


def test_round_trip(relay, apex):
    path_old = os.environ["PATH"]
    os.environ["PATH"] = path_old + ":/usr/sbin"
    missing = [p for p in ("nsd", "nsd-checkzone", "unbound")
               if not shutil.which(p)]
    if missing:
        tap.skip("the zone file in a real server", "no " + missing[0])
        return
    for title, r, name in [("a sub-domain", relay, "example.org"),
                           ("the apex", apex, "example.org")]:
        with DnsServer({}) as dns:
            code, text, err = r.dns(dns, "--zonefile", "-")
            tap.is_((code, err), (OK, ""), "a zone file of " + title)
        file = write("whole.zone", HEAD.format(name) + text)
        done = subprocess.run(["nsd-checkzone", name, file],
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        tap.is_((done.returncode, done.stdout), (0, f"zone {name} is ok\n"),
                "its checker likes it")
        nsd = Nsd({name: HEAD.format(name) + text})
        unbound = Unbound(nsd)
        try:
            if tap.ok(wait_for(r, nsd), "NSD has it"):
                code, out, err = r.dns(nsd)
                tap.is_((code, err), (OK, ""), "and all is right in it")
                tap.like(out, "All DNS records are right.", "says the check")
                tap.like(out, "signed is valid", "of the message too")
            if tap.ok(wait_for(r, unbound), "Unbound finds it"):
                code, result = r.check(unbound)
                tap.is_((code, result["server"], [
                    k for k, v in result["records"].items()
                    if v["state"] != "right"]),
                    (OK, "ns1.%s (%s)" % (name, nsd.address), []),
                    "and leads to its server")
        finally:
            unbound.close()
            nsd.close()


def main():
    relay = Relay("relay")
    other = Relay("other")
    test_right(relay)
    test_colour(relay)
    test_cases(relay)
    test_dkim_spellings(relay, other)
    test_report(relay)
    test_settings(relay.keys)
    test_other_domains(relay.keys)
    test_apex(relay.keys)
    test_servers(relay)
    test_no_resolver(relay)
    test_no_zone(relay)
    test_delegation(relay)
    test_aliases(relay)
    test_addresses(relay)
    test_unknown_facts(relay)
    test_probe(relay, other)
    test_big_key()
    test_bad_facts(relay)
    test_usage(relay)
    test_collect(relay)
    test_precheck(relay)
    test_zonefile(relay)
    test_round_trip(relay, Relay("apex2", "example.org", keys=relay.keys))


try:
    main()
finally:
    shutil.rmtree(FOLDER, ignore_errors=True)
tap.done()
