/* What a firewall lets in, and the forms in which that is written. */
#ifndef FIREWALL_H
#define FIREWALL_H

#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"

enum { FIREWALL_IPV4 = 1, FIREWALL_IPV6 = 2 };
enum { FIREWALL_PORTS_MAX = 64 };

struct firewall_port {
	const char *proto;	/* "tcp" or "udp" */
	unsigned first, last;	/* equal for one port */
	const char *address;	/* of this machine; "" for all */
	unsigned families;	/* FIREWALL_IPV4 | FIREWALL_IPV6 */
	const char *about;	/* a few words without quotes */
};

struct firewall {
	const char *domain;
	struct arena arena;	/* owns the addresses */
	struct firewall_port ports[FIREWALL_PORTS_MAX];
	size_t count;
};

/* Append what nft(8) -f reads. */
void firewall_write_nft(const struct firewall *f, struct buf *out);
/* Append what iptables-restore(8) or ip6tables-restore(8) reads. */
void firewall_write_iptables(const struct firewall *f, unsigned family,
			     struct buf *out);

#endif
