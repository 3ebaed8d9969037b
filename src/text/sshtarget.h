/* Where to log in, as ssh(1) takes it: [user@]host[:port], ssh://... */
#ifndef TEXT_SSHTARGET_H
#define TEXT_SSHTARGET_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"

struct sshtarget {
	const char *user;	/* NULL: not given */
	const char *host;	/* name, or address without brackets */
	unsigned port;		/* 0: not given */
};

/* An IPv6 address needs brackets only before a port. Strings are allocated in
 * the arena. Returns 0, or -1 with why in *err. */
int sshtarget_parse(struct sshtarget *t, struct arena *a, const char *text,
		    struct buf *err);
/* Append "host", "host:port" or "[address]:port"; without the port when it is
 * 22. */
void sshtarget_add_place(struct buf *out, const char *host, unsigned port);

/* May this be handed on as a host or user? ASCII without blanks, control bytes,
 * what a shell reads in its own way, and "-" first. */
bool sshtarget_is_plain(const char *s);

#endif
