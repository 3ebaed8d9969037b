/* What every resident role shares: listeners, signals, systemd. */
#ifndef NET_DAEMON_H
#define NET_DAEMON_H

#include <ev.h>
#include <stdbool.h>

#include "base/buf.h"

struct daemon;

struct listener {
	ev_io io;
	ev_timer pause;		/* after accept(2) ran out of descriptors */
	struct daemon *daemon;
	struct listener *next;
	char *path;		/* of a unix socket, NULL for TCP */
	unsigned long long ino;	/* of that path, so that we remove only ours */
	/* Owns fd: non-blocking, close-on-exec. */
	void (*accepted)(struct daemon *d, int fd);
};

struct daemon {
	struct ev_loop *loop;
	struct listener *listeners;
	ev_signal on_term, on_int, on_hup;
	ev_timer grace, deadline;
	ev_prepare idle_check;
	bool stopping;
	int inherited;		/* sockets from systemd not yet taken */
	/* SIGHUP; returns 0, or -1 with *err, the old configuration being kept.
	 * May be NULL. */
	int (*reload)(struct daemon *d, struct buf *err);
	/* SIGTERM; may be NULL. Work that is no connection ends here. */
	void (*stop)(struct daemon *d);
	/* At SIGTERM: is there work that is no connection? May be NULL. */
	bool (*busy)(struct daemon *d);
};

/* Prepare the process: loop, signals (SIGPIPE ignored), fd limit raised to
 * the hard limit, memory returned to the system when freed. */
void daemon_init(struct daemon *d);

/* Listen on a unix socket; a socket left there is replaced, any other file is
 * not. When systemd passed a socket for that path (sd_listen_fds(3)) it is
 * used instead. mode is that of the socket file. -1 with *err. */
int daemon_listen_unix(struct daemon *d, const char *path, unsigned mode,
		       void (*accepted)(struct daemon *d, int fd),
		       struct buf *err);
/* Listen on an IPv4 address and port; the same. */
int daemon_listen_tcp(struct daemon *d, const char *ip, unsigned port,
		      void (*accepted)(struct daemon *d, int fd),
		      struct buf *err);

/* Tell systemd that we are ready and serve until SIGTERM or SIGINT: then stop
 * accepting, hear who has just connected, finish open work within 5 seconds,
 * and return the exit code. */
int daemon_run(struct daemon *d);

#endif
