/* The address and port of a DNS server. */
#ifndef NET_DNS_ADDRESS_H
#define NET_DNS_ADDRESS_H

#include <stddef.h>

#include "base/buf.h"

enum { DNS_PORT = 53 };

struct dns_address {
	int family;		/* AF_INET or AF_INET6 */
	unsigned char bytes[16];	/* 4 of them for AF_INET */
	unsigned port;
};

/* "ADDRESS", "ADDRESS:PORT", "[ADDRESS]", "[ADDRESS]:PORT", IPv4 or IPv6; port
 * is that of an address without one. Returns 0, or -1 with *err. */
int dns_address_parse(struct dns_address *a, const char *text, unsigned port,
		      struct buf *err);
/* Append it as above, without the port when it is 53. */
void dns_address_show(struct buf *out, const struct dns_address *a);

#endif
