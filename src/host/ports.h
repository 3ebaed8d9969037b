/* Who listens where, from /proc as ss(8) reads it. */
#ifndef HOST_PORTS_H
#define HOST_PORTS_H

#include <stdbool.h>

#include "base/buf.h"

/* The names of the processes (comm, as in /proc/PID/comm) that listen on that
 * TCP port on any address, separated by spaces, are appended to *who; "?" for
 * one that cannot be found. Returns how many listening sockets there are. */
int ports_listeners(unsigned port, struct buf *who);

/* The same for tables with the syntax of /proc/net/tcp and a directory like
 * /proc: for tests. */
int ports_listeners_in(const char *proc, unsigned port, struct buf *who);

/* Is every name of who in allowed? Both separated by spaces. */
bool ports_are_of(const char *who, const char *allowed);

#endif
