/* Who listens where, by TCP or UDP, from /proc as ss(8) reads it. */
#ifndef HOST_PORTS_H
#define HOST_PORTS_H

#include <stdbool.h>

#include "base/buf.h"

enum port_proto { PORT_TCP, PORT_UDP };

/* The names of the processes (comm, as in /proc/PID/comm) that listen on that
 * port on any address, separated by spaces, are appended to *who; "?" for one
 * that cannot be found. By UDP those listen that have no peer. Returns how many
 * listening sockets there are. */
int ports_listeners(enum port_proto proto, unsigned port, struct buf *who);

/* The same for tables with the syntax of /proc/net/tcp and a directory like
 * /proc: for tests. */
int ports_listeners_in(const char *proc, enum port_proto proto, unsigned port,
		       struct buf *who);

/* Is every name of who in allowed? Both separated by spaces. */
bool ports_are_of(const char *who, const char *allowed);

#endif
