#include "relay/host_addresses.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* linux/if_addr.h, which does not go with net/if.h everywhere */
enum { TEMPORARY = 0x01, DEPRECATED = 0x20, TENTATIVE = 0x40 };

static const struct {
	int family;
	unsigned char bytes[16];
	unsigned bits;
} not_public[] = {
	{ AF_INET, { 0 }, 8 }, { AF_INET, { 10 }, 8 },
	{ AF_INET, { 100, 64 }, 10 }, { AF_INET, { 127 }, 8 },
	{ AF_INET, { 169, 254 }, 16 }, { AF_INET, { 172, 16 }, 12 },
	{ AF_INET, { 192, 168 }, 16 }, { AF_INET, { 224 }, 3 },
	{ AF_INET6, { 0 }, 96 },	/* also "::1" */
	{ AF_INET6, { [10] = 0xff, 0xff }, 96 },
	{ AF_INET6, { 0xfc }, 7 }, { AF_INET6, { 0xfe, 0x80 }, 10 },
	{ AF_INET6, { 0xff }, 8 },
};

static bool is_within(const unsigned char *a, const unsigned char *net,
		      unsigned bits)
{
	unsigned whole = bits / 8, mask = 0xff00u >> bits % 8 & 0xff;

	return memcmp(a, net, whole) == 0 &&
	       (!mask || ((a[whole] ^ net[whole]) & mask) == 0);
}

bool host_address_is_public(int family, const unsigned char *bytes)
{
	for (size_t i = 0; i < ARRAY_LEN(not_public); i++)
		if (not_public[i].family == family &&
		    is_within(bytes, not_public[i].bytes, not_public[i].bits))
			return false;
	return true;
}

/* What /proc says of an IPv6 address: "HEX IFINDEX PREFIX SCOPE FLAGS NAME". */
static bool is_passing(const unsigned char bytes[16])
{
	FILE *f = fopen("/proc/net/if_inet6", "re");
	char want[33], hex[33];
	unsigned flags, found = 0;

	for (int i = 0; i < 16; i++)
		snprintf(want + 2 * i, 3, "%02x", bytes[i]);
	while (f && fscanf(f, "%32s %*s %*s %*s %x %*s", hex, &flags) == 2)
		if (strcmp(hex, want) == 0)
			found = flags;
	if (f)
		fclose(f);
	return found & (TEMPORARY | DEPRECATED | TENTATIVE);
}

static void add(struct dns_facts *f, const struct sockaddr *sa)
{
	const void *bytes;
	char text[INET6_ADDRSTRLEN];

	if (sa->sa_family == AF_INET)
		bytes = &((const struct sockaddr_in *)(const void *)sa)
			->sin_addr;
	else if (sa->sa_family == AF_INET6)
		bytes = &((const struct sockaddr_in6 *)(const void *)sa)
			->sin6_addr;
	else
		return;
	if (!host_address_is_public(sa->sa_family, bytes) ||
	    (sa->sa_family == AF_INET6 && is_passing(bytes)))
		return;
	inet_ntop(sa->sa_family, bytes, text, sizeof(text));
	/* more of them than that are no server's */
	dns_facts_add_address(f, sa->sa_family, text);
}

int host_addresses(struct dns_facts *f, struct buf *err)
{
	struct ifaddrs *list;

	if (getifaddrs(&list) < 0) {
		buf_setf(err, "this host's addresses: %s", strerror(errno));
		return -1;
	}
	for (const struct ifaddrs *i = list; i; i = i->ifa_next)
		if (i->ifa_addr && (i->ifa_flags & IFF_UP))
			add(f, i->ifa_addr);
	freeifaddrs(list);
	return 0;
}
