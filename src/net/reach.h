/* Which ports answer at which addresses: all are tried at once. */
#ifndef NET_REACH_H
#define NET_REACH_H

#include <stddef.h>

#include "base/buf.h"

enum { REACH_ADDRESSES_MAX = 8, REACH_PORTS_MAX = 16 };

struct reach {
	size_t count;			/* of the addresses */
	char address[REACH_ADDRESSES_MAX][48];	/* as text */
	/* 0: a connection came about; else errno: ETIMEDOUT when there was no
	 * answer, ENETUNREACH when this machine has no way there. */
	int error[REACH_ADDRESSES_MAX][REACH_PORTS_MAX];
};

/* Look host up, a name or an address, and try the n ports for at most secs; the
 * look-up is not counted. Returns 0, or -1 with *err when the name leads
 * nowhere. */
int reach_try(struct reach *r, const char *host, const unsigned *ports,
	      size_t n, double secs, struct buf *err);
/* The error of the i-th port at the address where it went best. */
int reach_error(const struct reach *r, size_t i);

#endif
