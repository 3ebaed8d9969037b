/* A TCP connection to a host by name: all its addresses, side by side. */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include "base/buf.h"

/* family as for getaddrinfo(3). A next address is tried when one has failed or
 * not answered in a quarter of a second (RFC 8305); the first that answers is
 * taken, and written to address. Returns a non-blocking fd, or -1 with why in
 * *err after secs at the latest; the look-up of the name is not counted. */
int dial_tcp(const char *host, unsigned port, int family, unsigned secs,
	     struct buf *address, struct buf *err);

#endif
