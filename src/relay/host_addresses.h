/* The public addresses of this host. */
#ifndef RELAY_HOST_ADDRESSES_H
#define RELAY_HOST_ADDRESSES_H

#include <stdbool.h>

#include "relay/dns_facts.h"

/* Can others reach it? Not so: loopback, private and shared networks (RFC 1918,
 * RFC 6598, RFC 4193), link-local, multicast. bytes: 4 or 16. */
bool host_address_is_public(int family, const unsigned char *bytes);

/* Add those of all interfaces; none that the kernel gives up again, as IPv6
 * addresses for privacy (RFC 8981). Returns 0, or -1 with *err. */
int host_addresses(struct dns_facts *f, struct buf *err);

#endif
