"""A bridge with a /24 of its own, the way out for those on it, and cuts.

    bridge = Bridge("cm12ab")       bridge.address is the machine on it
    bridge.cut("10.1.2.11", 22)     drops what goes to and comes from there
    bridge.mend()                   nothing is dropped any more
"""
import ipaddress
import os
import random
import re
import struct

from runs import Failed, command


def _routed():
    """Networks that the machine reaches already, but for its default route."""
    nets = []
    with open("/proc/net/route") as f:
        for line in f.readlines()[1:]:
            fields = line.split()
            dest, mask = (ipaddress.ip_address(struct.pack("=I", int(x, 16)))
                          for x in (fields[1], fields[7]))
            nets.append(ipaddress.ip_network("%s/%s" % (dest, mask), False))
    return [net for net in nets if net.prefixlen]


def name_servers():
    """The machine's resolvers."""
    try:
        with open("/etc/resolv.conf") as f:
            return re.findall(r"^nameserver\s+(\S+)", f.read(), re.M)
    except OSError:
        return []


def free_subnet():
    """A random /24 of 10.0.0.0/8 that nobody here uses."""
    taken = _routed()
    for text in name_servers():
        address = ipaddress.ip_address(text.split("%")[0])
        if address.version == 4:
            taken.append(ipaddress.ip_network(address))
    for _ in range(1000):
        net = ipaddress.ip_network("10.%d.%d.0/24" % (
            random.randrange(1, 255), random.randrange(256)))
        if not any(net.overlaps(other) for other in taken):
            return net
    raise Failed("no /24 of 10.0.0.0/8 is free")


class Bridge:
    def __init__(self, name, subnet=None):
        """The name is the nftables tables' as well. subnet: a /24, else a
        free one is taken."""
        self.name = name
        self.net = ipaddress.ip_network(subnet) if subnet else free_subnet()
        a, b, c, _ = str(self.net.network_address).split(".")
        self.address = "%s.%s.%s.1" % (a, b, c)
        self.net6 = "fd%02x:%x:%x::/64" % (int(a), int(b), int(c))
        self.address6 = self.net6.replace("/64", "1")
        self.reverse = "%s.%s.%s.in-addr.arpa" % (c, b, a)
        self.cuts = []

    def start(self):
        command("ip", "link", "add", self.name, "type", "bridge")
        command("ip", "address", "add", self.address + "/24", "dev", self.name)
        if os.path.exists("/proc/net/if_inet6"):
            command("ip", "address", "add", self.address6 + "/64", "dev",
                    self.name, "nodad")
        command("ip", "link", "set", self.name, "up")
        command("nft", "-f", "-", data="""
table ip %(name)s {
	chain post {
		type nat hook postrouting priority srcnat
		ip saddr %(net)s ip daddr != %(net)s masquerade
	}
}
table bridge %(name)s {
	chain input { type filter hook input priority 0; }
	chain forward { type filter hook forward priority 0; }
	chain output { type filter hook output priority 0; }
}
""" % {"name": self.name, "net": self.net})

    def host_address(self, number):
        """(IPv4, IPv6) of the host with a number from 1 to 200."""
        host = number + 10
        return (str(self.net.network_address + host),
                self.address6[:-1] + "%x" % host)

    def _rules(self):
        for address, port, proto in self.cuts:
            family = "ip6" if ":" in address else "ip"
            for side, way in ("saddr", "sport"), ("daddr", "dport"):
                match = "%s %s %s" % (family, side, address)
                if port:
                    match += " %s %s %d" % (proto, way, port)
                for chain in "input", "forward", "output":
                    yield "add rule bridge %s %s %s drop\n" % (
                        self.name, chain, match)

    def _write(self):
        rules = "".join("flush chain bridge %s %s\n" % (self.name, chain)
                        for chain in ("input", "forward", "output"))
        command("nft", "-f", "-", data=rules + "".join(self._rules()))

    def cut(self, address, port=None, proto="tcp"):
        """Packets of a host's port, or all of its packets, get lost, those of
        connections that exist too."""
        self.cuts.append((address, port, proto))
        self._write()

    def mend(self, address=None):
        """An address, or all of them, can be reached again."""
        self.cuts = [c for c in self.cuts if address and c[0] != address]
        self._write()
