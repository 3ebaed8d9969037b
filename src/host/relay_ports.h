/* The ports of a relay: one table for who looks whether they are free, and who
 * writes a firewall. */
#ifndef HOST_RELAY_PORTS_H
#define HOST_RELAY_PORTS_H

#include <stdbool.h>
#include <stddef.h>

#include "host/ports.h"
#include "relay/layout.h"

/* Who may connect. */
enum port_reach {
	PORT_LOCAL,	/* this machine: it listens on loopback */
	PORT_PUBLIC,	/* everybody */
	PORT_ADDRESS,	/* who reaches the address that a setting names */
};

struct relay_port {
	/* Number, or name in the layout; last is NULL unless it is a range. */
	const char *first, *last;
	enum port_proto proto;
	enum port_reach reach;
	const char *about;	/* a few words, lower case */
	/* Processes that may have it when a relay is set up: the relay's, of
	 * this kind or of the earlier one. NULL: nobody looks. */
	const char *allowed;
	/* Has this relay it? As for plan_wants(); NULL: each has. It is also
	 * the setting whose address PORT_ADDRESS means. */
	const char *when;
	/* Of relay_services.h, whose host may have another in its place, with
	 * the same ports; NULL: no other. */
	const char *service;
};

/* All of them; *count is their number. */
const struct relay_port *relay_ports(size_t *count);
/* Does a relay with this layout have it? */
bool relay_port_is_used(const struct relay_port *p, const struct layout *l);
/* The first and the last number; equal for one port. */
void relay_port_numbers(const struct relay_port *p, const struct layout *l,
			unsigned *first, unsigned *last);
/* May others than this machine connect? *address is then where, as an IP
 * address without brackets in *buf, or "" for everywhere. */
bool relay_port_is_open(const struct relay_port *p, const struct layout *l,
			struct buf *address);

#endif
