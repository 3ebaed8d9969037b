/* What `chatmail hold` notes of a role that it starts: a line in
 * /run/chatmail-hold/NAME, "PID RESTARTS READY HOLDER". */
#ifndef HOST_HELD_H
#define HOST_HELD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

struct held {
	pid_t pid;		/* of the role; 0 while there is none */
	uint64_t restarts;	/* after it had died */
	bool is_ready;		/* it has said so, sd_notify(3) */
	pid_t holder;		/* who has the socket */
	int64_t since;		/* Unix time of the note */
};

/* The note of that service below root (""). Returns 0, or -1 with *h all 0. */
int held_read(const char *root, const char *name, struct held *h);
/* Returns 0, or -1 with *err. */
int held_write(const char *name, const struct held *h, struct buf *err);
void held_remove(const char *name);

#endif
