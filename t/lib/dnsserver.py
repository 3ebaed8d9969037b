#!/usr/bin/env python3
"""A small DNS server for tests: UDP and TCP on one loopback port.

    with DnsServer({"a.example": {"TXT": ["one", ("two ", "strings")],
                                  "MX": [(10, "mx.a.example")], "ttl": 60,
                                  "SRV": [(0, 1, 993, "a.example")],
                                  "CAA": [(0, "issue", "ca.example")]},
                    "b.example": {"CNAME": "a.example"}}) as dns:
        ... dns.address ...             "127.0.0.1:49152"
        dns.zones["c.example"] = {"A": ["192.0.2.1"]}
        dns.rcode["a.example"] = SERVFAIL
        dns.count("a.example", "TXT")   queries that came so far

What it is told about a name, "*" being all of them:
    rcode[name]     answers with that code
    silent          a set: never answers
    delay[name]     answers after so many seconds
    truncate        a set: answers by UDP are cut off (TC), those by TCP not
    mangle[name]    a function from the answer's bytes to others
    lame            a set: answers are not authoritative
    delegations[zone]   names of other servers, to which it refers for all
                    names of that zone; "*" does not stand for all here

As a program: dnsserver.py [--listen ADDRESS:PORT] ZONEFILE, where a line is
"NAME [TTL] TYPE DATA", # begins a comment, and SIGHUP reads it again. TXT data
is the rest of the line, or strings in double quotes.
"""
import argparse
import ipaddress
import re
import signal
import socket
import struct
import sys
import threading
from collections import Counter

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16,
         "AAAA": 28, "SRV": 33, "CAA": 257}
OPT = 41
SO_RCVBUFFORCE = 33     # socket.py does not name it
_TYPE_NAMES = {v: k for k, v in TYPES.items()}
_QR_RA, _AA = 0x8080, 0x0400
_TC = 0x0200


def pack_name(name):
    out = b""
    for label in filter(None, name.split(".")):
        raw = label.encode("utf-8", "surrogateescape")
        out += bytes([len(raw)]) + raw
    return out + b"\0"


def unpack_name(packet, at):
    """An uncompressed name, as a query has it, and where it ends."""
    labels = []
    while packet[at]:
        n = packet[at]
        labels.append(packet[at + 1:at + 1 + n].decode("utf-8",
                                                       "surrogateescape"))
        at += 1 + n
    return ".".join(labels), at + 1


def _pack_txt(value):
    parts = [value] if isinstance(value, (str, bytes)) else list(value)
    parts = [p.encode() if isinstance(p, str) else p for p in parts]
    if isinstance(value, (str, bytes)) and len(parts[0]) > 255:
        parts = [parts[0][i:i + 255] for i in range(0, len(parts[0]), 255)]
    return b"".join(bytes([len(p)]) + p for p in parts)


def pack_data(kind, value):
    if kind == "TXT":
        return _pack_txt(value)
    if kind == "MX":
        return struct.pack(">H", value[0]) + pack_name(value[1])
    if kind == "SRV":
        return struct.pack(">3H", *value[:3]) + pack_name(value[3])
    if kind == "CAA":
        flags, tag, text = value
        return bytes([flags, len(tag)]) + tag.encode() + text.encode()
    if kind == "SOA":
        primary, mailbox, *numbers = value
        return pack_name(primary) + pack_name(mailbox) + \
            struct.pack(">5I", *numbers)
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(value).packed
    return pack_name(value)


def _pack_record(name, kind, ttl, value):
    data = pack_data(kind, value)
    return pack_name(name) + struct.pack(">HHIH", TYPES[kind], 1, ttl,
                                         len(data)) + data


class DnsServer:
    def __init__(self, zones=None, address="127.0.0.1", port=0):
        self.zones = dict(zones or {})
        self.rcode, self.delay, self.mangle = {}, {}, {}
        self.silent, self.truncate, self.lame = set(), set(), set()
        self.delegations = {}
        self.queries = []       # (name, type, "udp" or "tcp"), in order
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._bind(address, port)
        try:
            self.udp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        except PermissionError:         # a burst of queries may be lost
            self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.port = self.udp.getsockname()[1]
        self.address = f"{address}:{self.port}"
        self.closed = False
        self.clients = []
        for run in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=run, daemon=True).start()

    def _bind(self, address, port):
        """A port that is free for both."""
        for _ in range(100):
            self.udp.bind((address, port))
            try:
                self.tcp.bind(self.udp.getsockname())
                break
            except OSError:
                if port:
                    raise
                self.udp.close()
                self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.tcp.listen(64)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        """Nobody listens on the port afterwards."""
        self.closed = True
        for s in [self.udp, self.tcp, *self.clients]:
            try:
                s.shutdown(socket.SHUT_RDWR)    # wakes its thread
            except OSError:
                pass
            s.close()

    def count(self, name=None, kind=None, proto=None):
        """How many queries came for that."""
        return sum((name is None or q[0] == name.lower()) and
                   (kind is None or q[1] == kind) and
                   (proto is None or q[2] == proto) for q in self.queries)

    # ---- sockets

    def _serve_udp(self):
        while not self.closed:
            try:
                query, peer = self.udp.recvfrom(4096)
            except OSError:
                if self.closed:
                    return
                continue
            if not self.closed:
                self._handle(query, "udp",
                             lambda a, peer=peer: self._send_udp(a, peer))

    def _send_udp(self, answer, peer):
        try:
            self.udp.sendto(answer, peer)
        except OSError:
            pass

    def _serve_tcp(self):
        while True:
            try:
                client, _ = self.tcp.accept()
            except OSError:
                return
            self.clients.append(client)
            threading.Thread(target=self._serve_client, args=(client,),
                             daemon=True).start()

    def _serve_client(self, client):
        def send(answer):
            try:
                client.sendall(struct.pack(">H", len(answer)) + answer)
            except OSError:
                pass

        try:
            stream = client.makefile("rb")
            while len(head := stream.read(2)) == 2:
                self._handle(stream.read(struct.unpack(">H", head)[0]), "tcp",
                             send)
        except OSError:
            pass
        client.close()

    # ---- answers

    def _told(self, table, name):
        return table.get(name, table.get("*"))

    def _handle(self, query, proto, send):
        try:
            name, at = unpack_name(query, 12)
            qtype, _ = struct.unpack(">HH", query[at:at + 4])
        except (IndexError, struct.error):
            return
        kind = _TYPE_NAMES.get(qtype, str(qtype))
        key = name.lower()
        self.queries.append((key, kind, proto))
        if key in self.silent or "*" in self.silent:
            return
        answer = self._answer(query, key, kind, at + 4, proto)
        mangle = self._told(self.mangle, key)
        if mangle:
            answer = mangle(answer)
        delay = self._told(self.delay, key)
        if delay:
            timer = threading.Timer(delay, send, (answer,))
            timer.daemon = True
            timer.start()
        else:
            send(answer)

    def _edns_size(self, query, at):
        """What fits an answer by UDP, and the OPT record to send back."""
        additional = struct.unpack(">H", query[10:12])[0]
        if additional and query[at:at + 3] == b"\0" + struct.pack(">H", OPT):
            return (max(512, struct.unpack(">H", query[at + 3:at + 5])[0]),
                    b"\0" + struct.pack(">HHIH", OPT, 1232, 0, 0))
        return 512, b""

    def _delegation(self, name):
        """Packed NS records of the zone that others serve, if name is in it."""
        for zone, servers in self.delegations.items():
            if name == zone or name.endswith("." + zone):
                return [_pack_record(zone, "NS", 300, ns) for ns in servers]
        return []

    def _answer(self, query, name, kind, end, proto):
        rcode, records = self._told(self.rcode, name), []
        authority = self._delegation(name) if rcode is None else []
        if rcode is None:
            rcode, records = (NOERROR, []) if authority else \
                self._look_up(name, kind)
        size, opt = self._edns_size(query, end)
        body = b"".join(records + authority) + opt
        flags, counts = _QR_RA, (len(records), len(authority))
        if not authority and not {name, "*"} & self.lame:
            flags |= _AA
        cut = name in self.truncate or "*" in self.truncate
        if proto == "udp" and (cut or end + len(body) > size):
            flags, counts, body = flags | _TC, (0, 0), opt
        flags |= rcode | struct.unpack(">H", query[2:4])[0] & 0x0100
        return query[:2] + struct.pack(">5H", flags, 1, *counts,
                                       1 if opt else 0) + query[12:end] + body

    def _look_up(self, name, kind):
        """The code, and the packed records with the CNAMEs before them."""
        zones = {k.lower().rstrip("."): v for k, v in
                 list(self.zones.items())}
        records, seen = [], set()
        while True:
            if name not in zones:
                above = any(k.endswith("." + name) for k in zones)
                return (NOERROR if above else NXDOMAIN), records
            zone = zones[name]
            ttl = zone.get("ttl", 300)
            found = "CNAME" if "CNAME" in zone else kind
            values = zone.get(found, [])
            if isinstance(values, str):
                values = [values]
            for value in values:
                records.append(_pack_record(name, found, ttl, value))
            if found == kind or name in seen or not values:
                return NOERROR, records
            seen.add(name)
            name = values[0].lower().rstrip(".")


# ---- as a program

def read_zones(path):
    zones = {}
    with open(path) as f:
        for number, line in enumerate(f, 1):
            m = re.match(r"([^\s#]+)\s+(?:(\d+)\s+)?(?:IN\s+)?([A-Z]+)\s+(.*)",
                         line.strip())
            if not m:
                if line.strip() and not line.strip().startswith("#"):
                    raise ValueError(f"{path}:{number}: expected NAME [TTL] "
                                     "TYPE DATA")
                continue
            name, ttl, kind, data = m.groups()
            zone = zones.setdefault(name.lower().rstrip("."), {})
            if ttl:
                zone["ttl"] = int(ttl)
            if kind not in TYPES:
                raise ValueError(f"{path}:{number}: unknown type {kind}")
            if kind == "TXT":
                strings = re.findall(r'"((?:[^"\\]|\\.)*)"', data)
                data = tuple(re.sub(r"\\(.)", r"\1", s) for s in strings) \
                    if data.startswith('"') else data
            elif kind == "MX":
                priority, host = data.split()
                data = (int(priority), host)
            zone.setdefault(kind, []).append(data)
    return zones


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listen", default="127.0.0.1:0",
                        metavar="ADDRESS:PORT")
    parser.add_argument("zonefile")
    args = parser.parse_args()
    address, _, port = args.listen.partition(":")
    server = DnsServer(read_zones(args.zonefile), address, int(port or 0))

    def reload(*_):
        try:
            server.zones = read_zones(args.zonefile)
        except (OSError, ValueError) as e:
            print(f"keeping the old zones: {e}", file=sys.stderr, flush=True)

    signal.signal(signal.SIGHUP, reload)
    print(f"listening on {server.address}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
