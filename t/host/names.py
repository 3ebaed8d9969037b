"""The network's name server: unbound on the bridge, authoritative for test.

    names = NameServer(run, bridge, {
        "chat.test": {"A": ["10.1.2.11"], "MX": [(10, "chat.test")],
                      "TXT": ["v=spf1 a ~all"], "ttl": 60,
                      "CAA": [(0, "issue", "letsencrypt.org")]},
        "www.chat.test": {"CNAME": "chat.test"},
        "_imaps._tcp.chat.test": {"SRV": [(0, 1, 993, "chat.test")]}})
    names.set("b.test", A=["10.1.2.12"])    takes the place of what b.test had
    names.remove("b.test")
    names.text = "c.test. 60 IN A 10.1.2.13"    a zone file's lines besides

A name with an SOA is a zone of its own: {"SOA": True, "NS": ["ns.test"]}. A
value may always be a string as in a zone file; for TXT it is the text itself,
of any length, and a tuple its strings. ns.test and acme.test are the bridge's
address. Each address of the bridge's network has a PTR for the first name
that has it as its A. Everything outside test. goes to the machine's resolvers.
"""
import os
import socket
import struct
import sys
import time

from bridge import name_servers
from runs import Failed, command

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
from dnsserver import pack_name

TTL = 5         # records change while a test runs
NAMES_IN = {"CNAME": 0, "NS": 0, "PTR": 0, "MX": 1, "SRV": 3}   # which field
SOA, IN = 6, 1


def _quoted(text):
    out = "".join("\\%03d" % b if b < 32 or b > 126 or b in b'"\\'
                  else chr(b) for b in text)
    return '"%s"' % out


def _txt(value):
    parts = [value] if isinstance(value, (str, bytes)) else value
    raw = [p.encode() if isinstance(p, str) else p for p in parts]
    if isinstance(value, (str, bytes)):
        raw = [raw[0][i:i + 255] for i in range(0, len(raw[0]), 255)] or [b""]
    return " ".join(map(_quoted, raw))


def absolute(name):
    return name.rstrip(".") + "."


def rdata(kind, value):
    """A record's data as a zone file has it."""
    if kind == "TXT":
        return _txt(value)
    fields = value.split() if isinstance(value, str) else list(map(str, value))
    if kind == "CAA" and not isinstance(value, str):
        fields[2] = _quoted(fields[2].encode())
    if kind in NAMES_IN:
        fields[NAMES_IN[kind]] = absolute(fields[NAMES_IN[kind]])
    return " ".join(fields)


def _query_serial(address, zone):
    """The serial of a zone's SOA, or None."""
    query = struct.pack(">6H", 1, 0, 1, 0, 0, 0) + pack_name(zone) + \
        struct.pack(">2H", SOA, IN)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(.3)
        try:
            s.sendto(query, (address, 53))
            answer = s.recv(4096)
        except OSError:
            return None
    if len(answer) < 20 or struct.unpack(">H", answer[6:8])[0] != 1:
        return None
    return struct.unpack(">I", answer[-20:-16])[0]


class NameServer:
    def __init__(self, run, bridge, zones=None):
        self.run, self.bridge = run, bridge
        self.zones = dict(zones or {})
        self.text = ""
        self.serial = int(time.time())
        self.process = None

    # ---- records

    def set(self, name, ttl=TTL, **records):
        self.zones[name.rstrip(".")] = {"ttl": ttl, **records}
        self.reload()

    def remove(self, name):
        self.zones.pop(name.rstrip("."), None)
        self.reload()

    def update(self, zones, text=None):
        """More names, and a zone file's lines in the place of those before."""
        self.zones.update(zones)
        self.text = self.text if text is None else text
        self.reload()

    def _origins(self):
        """Names of the zones, the longest first."""
        own = [n.rstrip(".") for n, r in self.zones.items() if r.get("SOA")]
        return sorted({"test", self.bridge.reverse, *own}, key=len,
                      reverse=True)

    def _records(self):
        """(name, ttl, type, data) of all that is served."""
        own = {"test": {"NS": "ns.test"},
               "ns.test": {"A": self.bridge.address},
               "acme.test": {"A": self.bridge.address},
               self.bridge.reverse: {"NS": "ns.test"}}
        for name, records in {**own, **self.zones}.items():
            if records.get("SOA") and "NS" not in records:
                records = {**records, "NS": "ns.test"}
            for kind, values in records.items():
                if kind in ("ttl", "SOA"):
                    continue
                for value in [values] if isinstance(values, str) else values:
                    yield (name.rstrip("."), records.get("ttl", TTL), kind,
                           rdata(kind, value))

    def _reverse(self, records):
        """The PTR records of the bridge's network."""
        prefix, seen = self.bridge.address[:-1], set()
        for name, ttl, kind, data in records:
            if kind == "A" and data.startswith(prefix) and data not in seen:
                seen.add(data)
                yield ("%s.%s" % (data[len(prefix):], self.bridge.reverse),
                       ttl, "PTR", absolute(name))

    def _zone_of(self, name, origins):
        return next((o for o in origins if name == o or
                     name.endswith("." + o)), None)

    def _write_zones(self):
        origins = self._origins()
        records = list(self._records())
        records += self._reverse(records)
        lines = {o: ["$TTL %d" % TTL, self._soa(o)] for o in origins}
        for name, ttl, kind, data in records:
            zones = [self._zone_of(name, origins)]
            if zones == [None]:
                raise ValueError("%s is not below test" % name)
            if kind == "NS" and name in origins:
                zones.append(self._zone_of(name.partition(".")[2], origins))
            for zone in filter(None, zones):
                lines[zone].append("%s %d IN %s %s" % (absolute(name), ttl,
                                                       kind, data))
        for origin, text in lines.items():
            if origin == "test":
                text.append(self.text)
            with open(self.run.path("dns", origin + ".zone"), "w") as f:
                f.write("\n".join(text) + "\n")
        return origins

    def _soa(self, origin):
        given = self.zones.get(origin, {}).get("SOA", True)
        if given is True or origin == "test":
            given = "ns.test. hostmaster.test. %d 3600 600 86400 1" % \
                self.serial
        elif not isinstance(given, str):
            given = " ".join(map(str, given))
        return "%s IN SOA %s" % (absolute(origin), given)

    # ---- the server

    def _write_config(self, origins):
        b = self.bridge
        text = """\
server:
	directory: "%(dir)s"
	chroot: ""
	username: ""
	pidfile: ""
	use-syslog: no
	logfile: ""
	log-queries: yes
	interface: %(address)s
	access-control: %(net)s allow
	do-ip6: %(ip6)s
	do-not-query-localhost: no
	module-config: "iterator"
	num-threads: 1
	local-zone: "test." nodefault
	local-zone: "10.in-addr.arpa." nodefault
remote-control:
	control-enable: no
""" % {"dir": self.run.path("dns"), "address": b.address, "net": b.net,
            "ip6": "yes" if os.path.exists("/proc/net/if_inet6") else "no"}
        for origin in origins:
            text += ('auth-zone:\n\tname: "%s."\n\tzonefile: "%s.zone"\n'
                     "\tfor-downstream: yes\n\tfor-upstream: yes\n"
                     "\tfallback-enabled: no\n" % (origin, origin))
        text += 'forward-zone:\n\tname: "."\n'
        for server in name_servers():
            text += "\tforward-addr: %s\n" % server.split("%")[0]
        with open(self.run.path("dns", "unbound.conf"), "w") as f:
            f.write(text)

    def start(self):
        os.makedirs(self.run.path("dns"), exist_ok=True)
        self._write_config(self._write_zones())
        path = os.environ.get("PATH", "") + ":/usr/sbin"
        self.process = self.run.start(
            ["unbound", "-d", "-c", self.run.path("dns", "unbound.conf")],
            "dns/log", PATH=path)
        self._wait()

    def reload(self):
        """When it returns, the server answers from the new records."""
        self.serial += 1
        self._write_config(self._write_zones())
        if self.process:
            self.process.send_signal(1)     # SIGHUP
            self._wait()

    def stop(self):
        """The hosts get no answers any more, until start()."""
        if self.process:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def _wait(self, timeout=20):
        end = time.monotonic() + timeout
        while _query_serial(self.bridge.address, "test") != self.serial:
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failed("the name server does not answer:\n" +
                             "\n".join(self.log()[-20:]))
            time.sleep(.02)

    def log(self):
        """Its lines: every question that it got."""
        with open(self.run.path("dns", "log"), errors="replace") as f:
            return f.read().splitlines()
