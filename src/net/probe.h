/* Does everything answer? Connects to ports and sockets on this machine until
 * all have, as a waiting client would. */
#ifndef NET_PROBE_H
#define NET_PROBE_H

#include <ev.h>
#include <stdbool.h>

#include "base/buf.h"
#include "net/conn.h"

struct probe {
	/* Filled in by the owner, and borrowed. */
	const char *name;
	unsigned port;		/* on 127.0.0.1; 0: path is a unix socket */
	const char *path;
	/* What the first line of the server begins with; "" when the client
	 * speaks first, so that a connection is all that can be had. */
	const char *greeting;
	/* The set's. */
	struct conn conn;
	bool open, answered;
};

struct probe_set {
	/* Filled in by the owner. */
	struct probe *probes;
	size_t count;
	double patience;	/* seconds until on_late() */
	void (*on_ready)(struct probe_set *set);
	void (*on_late)(struct probe_set *set);
	/* The set's. */
	struct ev_loop *loop;
	ev_timer again, deadline;
};

/* Begin; the first of on_ready() and on_late() ends it. */
void probe_set_start(struct probe_set *set, struct ev_loop *loop);
/* End without a callback; nothing happens when it has ended or not begun. */
void probe_set_stop(struct probe_set *set);
/* Append the names of those that have not answered, separated by ", ". */
void probe_set_missing(const struct probe_set *set, struct buf *out);

#endif
