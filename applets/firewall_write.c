/* The rules of a firewall in the languages of nft and iptables. */
#include "applets/firewall.h"

#include "base/str.h"

static void add_range(struct buf *out, const struct firewall_port *p,
		      char between)
{
	buf_addf(out, "%u", p->first);
	if (p->last != p->first)
		buf_addf(out, "%c%u", between, p->last);
}

/* ---- nft -------------------------------------------------------------------- */

/* First the table is there, then it is not, then it is the new one: in one
 * transaction, whether there was one or not. */
static const char nft_begin[] =
	"table inet chatmail\n"
	"delete table inet chatmail\n"
	"table inet chatmail {\n"
	"\tchain input {\n"
	"\t\ttype filter hook input priority filter; policy drop;\n"
	"\n"
	"\t\tct state established,related accept\n"
	"\t\t# this machine to itself; to its other addresses it is as any\n"
	"\t\tiifname \"lo\" ip saddr 127.0.0.0/8 accept\n"
	"\t\tiifname \"lo\" ip6 saddr ::1 accept\n"
	"\n"
	"\t\t# what IP needs: errors, sizes of packets, neighbours, addresses\n"
	"\t\ticmp type { destination-unreachable, time-exceeded, "
		"parameter-problem,\n"
	"\t\t\techo-request } accept\n"
	"\t\ticmpv6 type { destination-unreachable, packet-too-big, "
		"time-exceeded,\n"
	"\t\t\tparameter-problem, echo-request, nd-router-advert,\n"
	"\t\t\tnd-neighbor-solicit, nd-neighbor-advert, mld-listener-query }"
		" accept\n"
	"\t\tct state invalid drop\n"
	"\t\tudp sport 67 udp dport 68 accept\n"
	"\t\tip6 saddr fe80::/10 udp dport 546 accept\n"
	"\n";

static void add_nft(struct buf *out, const struct firewall_port *p)
{
	buf_adds(out, "\t\t");
	if (*p->address)
		buf_addf(out, "%s daddr %s ", p->families == FIREWALL_IPV6 ?
			 "ip6" : "ip", p->address);
	else if (p->families == FIREWALL_IPV4)
		buf_adds(out, "meta nfproto ipv4 ");
	buf_addf(out, "%s dport ", p->proto);
	add_range(out, p, '-');
	buf_addf(out, " accept comment \"%s\"\n", p->about);
}

void firewall_write_nft(const struct firewall *f, struct buf *out)
{
	buf_addf(out, "#!/usr/sbin/nft -f\n# What comes in to %s, by chatmail "
		 "firewall. It replaces its own table only.\n", f->domain);
	buf_adds(out, nft_begin);
	for (size_t i = 0; i < f->count; i++)
		add_nft(out, &f->ports[i]);
	buf_adds(out, "\t}\n}\n");
}

/* ---- iptables --------------------------------------------------------------- */

static const char *const needs_ipv4[] = {
	"-i lo -s 127.0.0.0/8",
	"-p icmp -m icmp --icmp-type destination-unreachable",
	"-p icmp -m icmp --icmp-type time-exceeded",
	"-p icmp -m icmp --icmp-type parameter-problem",
	"-p icmp -m icmp --icmp-type echo-request",
	"-p udp -m udp --sport 67 --dport 68",
};
static const char *const needs_ipv6[] = {
	"-i lo -s ::1",
	"-p icmpv6 -m icmp6 --icmpv6-type destination-unreachable",
	"-p icmpv6 -m icmp6 --icmpv6-type packet-too-big",
	"-p icmpv6 -m icmp6 --icmpv6-type time-exceeded",
	"-p icmpv6 -m icmp6 --icmpv6-type parameter-problem",
	"-p icmpv6 -m icmp6 --icmpv6-type echo-request",
	"-p icmpv6 -m icmp6 --icmpv6-type router-advertisement",
	"-p icmpv6 -m icmp6 --icmpv6-type neighbour-solicitation",
	"-p icmpv6 -m icmp6 --icmpv6-type neighbour-advertisement",
	"-p icmpv6 -m icmp6 --icmpv6-type 130",	/* multicast listener query */
	"-s fe80::/10 -p udp -m udp --dport 546",
};

static void add_iptables(struct buf *out, const struct firewall_port *p)
{
	buf_adds(out, "-A INPUT ");
	if (*p->address)
		buf_addf(out, "-d %s ", p->address);
	buf_addf(out, "-p %s -m %s --dport ", p->proto, p->proto);
	add_range(out, p, ':');
	buf_addf(out, " -m comment --comment \"%s\" -j ACCEPT\n", p->about);
}

void firewall_write_iptables(const struct firewall *f, unsigned family,
			     struct buf *out)
{
	bool is_ipv6 = family == FIREWALL_IPV6;
	const char *const *needs = is_ipv6 ? needs_ipv6 : needs_ipv4;
	size_t count = is_ipv6 ? ARRAY_LEN(needs_ipv6) : ARRAY_LEN(needs_ipv4);

	buf_addf(out, "# What comes in to %s by %s, by chatmail firewall. It "
		 "replaces the table filter.\n"
		 "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n"
		 ":OUTPUT ACCEPT [0:0]\n"
		 "-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j "
		 "ACCEPT\n", f->domain, is_ipv6 ? "IPv6" : "IPv4");
	for (size_t i = 0; i < count; i++)
		buf_addf(out, "-A INPUT %s -j ACCEPT\n", needs[i]);
	buf_adds(out, "-A INPUT -m conntrack --ctstate INVALID -j DROP\n");
	for (size_t i = 0; i < f->count; i++)
		if (f->ports[i].families & family)
			add_iptables(out, &f->ports[i]);
	buf_adds(out, "COMMIT\n");
}
