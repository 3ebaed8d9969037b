/* A stream connection on the event loop: lines or raw bytes in, a write queue
 * out. The session embeds it and finds itself again with container_of(). */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/buf.h"

struct conn;

/* What line() and data() answer. */
enum { CONN_GO_ON = 1, CONN_WAIT = 0, CONN_CLOSE = -1 };

struct conn_ops {
	/* A longer line, its LF not counted, closes the connection. */
	size_t line_max;
	/* Before that: what is written here is still sent. May be NULL. */
	void (*too_long)(struct conn *c);
	/* Closes after so many seconds without a byte either way; 0 = never.
	 * Does not run while line() or data() has answered CONN_WAIT. */
	double idle_secs;
	/* One line without its LF, NUL-terminated, may be changed in place.
	 * CONN_WAIT: nothing more comes until conn_resume(). */
	int (*line)(struct conn *c, char *line, size_t len);
	/* In body mode: what has arrived, at least one byte. Everything is
	 * taken, or the rest is left by conn_unread(). Same answers. */
	int (*data)(struct conn *c, const char *p, size_t n);
	/* A connection begun by conn_connect_*() stands; may be NULL. */
	void (*connected)(struct conn *c);
	/* The write queue had been over its high-water mark and is low again;
	 * may be NULL. */
	void (*drained)(struct conn *c);
	/* The peer has sent its last byte and all of it was handled; may be
	 * NULL. Return true to keep the connection for writing until
	 * conn_finish(); without it the connection closes. */
	bool (*eof)(struct conn *c);
	/* At SIGTERM: does this session have work that should be finished? May
	 * be NULL: no. Asked again after each event. */
	bool (*busy)(struct conn *c);
	/* At SIGTERM, before an idle session closes: say goodbye. May be NULL. */
	void (*goodbye)(struct conn *c);
	/* Called exactly once, never inside another callback of c; why is
	 * static or NULL for the ordinary end. The owner frees itself here. */
	void (*closed)(struct conn *c, const char *why);
};

struct conn {
	const struct conn_ops *ops;
	struct ev_loop *loop;
	ev_io io;
	ev_timer idle;
	struct buf in, out;
	size_t in_off, out_off;	/* handled bytes at the front of each */
	size_t scanned;		/* bytes of in known to hold no LF */
	struct conn *prev, *next;	/* all connections of the loop */
	const char *why;
	ev_tstamp began;	/* when it was started */
	int depth;		/* callbacks of c on the stack */
	bool connecting, body, waiting, finishing, closing, peer_eof, full,
		running;
};

/* Adopt a connected, non-blocking, close-on-exec fd; c may hold anything. */
void conn_start(struct conn *c, struct ev_loop *loop, int fd,
		const struct conn_ops *ops);
/* Begin to connect; a failure comes as closed() from the loop, so that c is
 * always started. Sockets beyond the fd limit fail the same way. */
void conn_connect(struct conn *c, struct ev_loop *loop,
		  const struct sockaddr *addr, socklen_t len,
		  const struct conn_ops *ops);
void conn_connect_tcp(struct conn *c, struct ev_loop *loop, const char *ip,
		      unsigned port, const struct conn_ops *ops);
void conn_connect_unix(struct conn *c, struct ev_loop *loop, const char *path,
		       const struct conn_ops *ops);

/* Queue bytes for the peer; after conn_close() they are dropped. */
void conn_write(struct conn *c, const void *p, size_t n);
void conn_writes(struct conn *c, const char *s);
void conn_writef(struct conn *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Queue the contents of b without copying where possible; b is empty then. */
void conn_write_buf(struct conn *c, struct buf *b);
/* Is the write queue over its high-water mark? Who writes in answer to
 * another connection's bytes should pause that one until drained(). */
bool conn_is_full(const struct conn *c);
/* Bytes that wait in the write queue. */
size_t conn_pending(const struct conn *c);
/* Lines (the beginning) or raw bytes from the next callback on. */
void conn_body(struct conn *c, bool on);
/* In data(): the last n bytes were not taken and come again, as lines or
 * data, whatever the mode is then. */
void conn_unread(struct conn *c, size_t n);
/* Go on reading after CONN_WAIT. */
void conn_resume(struct conn *c);
/* Stop reading until conn_resume(), from outside line() and data(). */
void conn_pause(struct conn *c);
/* Close when the write queue is empty; nothing more is read. */
void conn_finish(struct conn *c);
/* Close as soon as no callback of c runs; why is static and for closed(). */
void conn_close(struct conn *c, const char *why);
/* Restart the idle clock with another limit than ops->idle_secs. */
void conn_idle(struct conn *c, double secs);

/* Used by daemon.c at SIGTERM: handle what has arrived, then close idle
 * connections, busy ones when they are done; returns how many are left. With
 * spare_young, those that began in the last second stay: their peers are about
 * to say what they want. Until the next call. */
size_t conn_stop_all(bool spare_young);
/* Number of connections that are open. */
size_t conn_count(void);

#endif
