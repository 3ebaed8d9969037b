#include "net/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"

enum {
	CHUNK = 16 * 1024,	/* read at a wake-up, for fairness */
	HIGH_WATER = 64 * 1024,
	LOW_WATER = 16 * 1024,
	KEEP = 1024,		/* an idle connection keeps no larger buffer */
};

static const double YOUNG_SECS = 1.;

static struct conn *all;
static size_t all_count;
static bool stopping;
static ev_tstamp spared_after;	/* while stopping: who began later stays */

static void conn_process(struct conn *c);

/* ---- depth, interest and the end ---------------------------------------- */

static void enter(struct conn *c)
{
	c->depth++;
}

static void destroy(struct conn *c)
{
	ev_io_stop(c->loop, &c->io);
	ev_timer_stop(c->loop, &c->idle);
	ev_clear_pending(c->loop, &c->io);
	ev_clear_pending(c->loop, &c->idle);
	if (c->io.fd >= 0)
		close(c->io.fd);
	buf_free(&c->in);
	buf_free(&c->out);
	if (c->prev)
		c->prev->next = c->next;
	else
		all = c->next;
	if (c->next)
		c->next->prev = c->prev;
	all_count--;
	c->ops->closed(c, c->why);
}

/* Reading stops while a line is being answered, while the peer does not read
 * its own answers, and at the end. */
static int wanted(const struct conn *c)
{
	int events = 0;

	if (c->connecting)
		return EV_WRITE;
	if (c->out.len > c->out_off)
		events |= EV_WRITE;
	if (!c->waiting && !c->finishing && !c->peer_eof && !c->full)
		events |= EV_READ;
	return events;
}

static void rearm(struct conn *c)
{
	int events = wanted(c);

	if (events == (c->io.events & (EV_READ | EV_WRITE)) &&
	    (ev_is_active(&c->io) || !events))
		return;
	ev_io_stop(c->loop, &c->io);
	ev_io_set(&c->io, c->io.fd, events);
	if (events)
		ev_io_start(c->loop, &c->io);
}

static void rearm_idle(struct conn *c)
{
	if (c->waiting || c->idle.repeat <= 0.)
		ev_timer_stop(c->loop, &c->idle);
	else if (!ev_is_active(&c->idle))
		ev_timer_again(c->loop, &c->idle);
}

static void shrink(struct buf *b)
{
	if (b->len == 0 && b->cap > KEEP)
		buf_free(b);
}

/* Flush what was queued, then decide what happens next. Everything that
 * ends a connection ends it here, with no callback of it on the stack. */
static void flush(struct conn *c);

/* At SIGTERM: is there nothing that should be waited for? */
static bool may_stop(struct conn *c)
{
	return stopping && !c->finishing && !c->connecting &&
	       c->began <= spared_after && !(c->ops->busy && c->ops->busy(c));
}

static void leave(struct conn *c)
{
	if (--c->depth > 0)
		return;
	c->depth = 1;	/* drained() must not come back here */
	if (!c->closing && !c->connecting) {
		flush(c);
		conn_process(c);
	}
	if (!c->closing && may_stop(c)) {
		if (c->ops->goodbye)
			c->ops->goodbye(c);
		c->finishing = true;
		flush(c);
	}
	c->depth = 0;
	if (c->closing || (c->finishing && c->out.len == c->out_off &&
			   !c->connecting)) {
		destroy(c);
		return;
	}
	shrink(&c->in);
	shrink(&c->out);
	rearm(c);
	rearm_idle(c);
}

static void flush(struct conn *c)
{
	while (c->out.len > c->out_off) {
		ssize_t n = send(c->io.fd, c->out.data + c->out_off,
				 c->out.len - c->out_off, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				conn_close(c, strerror(errno));
			break;
		}
		c->out_off += n;
		if (c->idle.repeat > 0. && ev_is_active(&c->idle))
			ev_timer_again(c->loop, &c->idle);
	}
	if (c->out_off == c->out.len) {
		buf_reset(&c->out);
		c->out_off = 0;
	} else if (c->out_off >= HIGH_WATER) {
		buf_consume(&c->out, c->out_off);
		c->out_off = 0;
	}
	if (c->full && c->out.len - c->out_off <= LOW_WATER) {
		c->full = false;
		if (c->ops->drained && !c->closing)
			c->ops->drained(c);
		conn_process(c);
	}
}

/* ---- reading ------------------------------------------------------------- */

static int give_line(struct conn *c)
{
	char *start = c->in.data + c->in_off;
	size_t have = c->in.len - c->in_off;
	char *nl = memchr(start + c->scanned, '\n', have - c->scanned);
	size_t len = nl ? (size_t)(nl - start) : have;

	if (len > c->ops->line_max) {
		c->why = "line too long";
		if (!c->ops->too_long)
			return CONN_CLOSE;
		c->ops->too_long(c);
		conn_finish(c);
		return CONN_GO_ON;
	}
	if (!nl) {
		c->scanned = have;
		return -2;
	}
	*nl = '\0';
	c->in_off += len + 1;
	c->scanned = 0;
	return c->ops->line(c, start, len);
}

static int give_data(struct conn *c)
{
	const char *start = c->in.data + c->in_off;
	size_t n = c->in.len - c->in_off;

	c->in_off = c->in.len;
	c->scanned = 0;
	return c->ops->data(c, start, n);
}

/* Hands what was read to the session until it has enough. Not re-entered
 * from conn_resume() inside a callback: the loop here goes on instead. */
static void conn_process(struct conn *c)
{
	if (c->running)
		return;
	c->running = true;
	while (!c->closing && !c->finishing && !c->waiting && !c->full &&
	       c->in.len > c->in_off) {
		int answer;

		c->waiting = true; /* so that conn_resume() inside is seen */
		answer = c->body ? give_data(c) : give_line(c);
		if (answer == -2) {
			c->waiting = false;
			break;
		}
		if (answer == CONN_CLOSE) {
			/* what was answered before still goes out */
			flush(c);
			conn_close(c, c->why);
		} else if (answer == CONN_GO_ON) {
			c->waiting = false;
		}
	}
	c->running = false;
	if (c->in_off == c->in.len) {
		buf_reset(&c->in);
		c->in_off = 0;
	} else if (c->in_off >= CHUNK) {
		buf_consume(&c->in, c->in_off);
		c->in_off = 0;
	}
	if (c->peer_eof && !c->closing && !c->finishing && !c->waiting &&
	    !c->full && !(c->ops->eof && c->ops->eof(c)))
		conn_close(c, c->in.len ? "closed in the middle of a line" :
			   NULL);
}

static void read_chunk(struct conn *c)
{
	ssize_t n;

	if (c->in_off) {
		buf_consume(&c->in, c->in_off);
		c->in_off = 0;
	}
	buf_reserve(&c->in, CHUNK);
	n = recv(c->io.fd, c->in.data + c->in.len, CHUNK, 0);
	if (n < 0) {
		if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			conn_close(c, strerror(errno));
		return;
	}
	if (n == 0) {
		c->peer_eof = true;
	} else {
		c->in.len += n;
		c->in.data[c->in.len] = '\0';
	}
	if (c->idle.repeat > 0.)
		ev_timer_again(c->loop, &c->idle);
	conn_process(c);
}

static void finish_connect(struct conn *c)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(c->io.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error) {
		conn_close(c, strerror(error));
		return;
	}
	c->connecting = false;
	if (c->ops->connected)
		c->ops->connected(c);
}

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	struct conn *c = container_of(w, struct conn, io);

	enter(c);
	if (revents & EV_CUSTOM) {
		/* only leave() was wanted */
	} else if (c->connecting) {
		finish_connect(c);
	} else {
		if (revents & EV_WRITE)
			flush(c);
		if ((revents & EV_READ) && !c->closing)
			read_chunk(c);
	}
	leave(c);
}

static void on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct conn *c = container_of(w, struct conn, idle);

	enter(c);
	conn_close(c, c->connecting ? "connecting timed out" : "idle too long");
	leave(c);
}

/* ---- public --------------------------------------------------------------- */

void conn_start(struct conn *c, struct ev_loop *loop, int fd,
		const struct conn_ops *ops)
{
	int on = 1;

	*c = (struct conn){ .ops = ops, .loop = loop, .began = ev_now(loop) };
	buf_init(&c->in);
	buf_init(&c->out);
	/* small replies must not wait; fails on unix sockets, as it may */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	ev_io_init(&c->io, on_io, fd, 0);
	ev_timer_init(&c->idle, on_idle, ops->idle_secs, ops->idle_secs);
	c->next = all;
	if (all)
		all->prev = c;
	all = c;
	all_count++;
	if (fd >= 0)
		rearm(c);
	rearm_idle(c);
}

static void on_failed(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct conn *c = container_of(w, struct conn, idle);

	enter(c);
	c->closing = true;
	leave(c);
}

void conn_connect(struct conn *c, struct ev_loop *loop,
		  const struct sockaddr *addr, socklen_t len,
		  const struct conn_ops *ops)
{
	int fd = socket(addr->sa_family,
			SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int ret = fd < 0 ? -1 : connect(fd, addr, len);

	/* EAGAIN: a unix listener whose backlog is full, which no event tells */
	if (ret == 0 || (fd >= 0 && errno == EINPROGRESS)) {
		conn_start(c, loop, fd, ops);
		c->connecting = true;
		rearm(c);
		return;
	}
	ret = errno;
	if (fd >= 0)
		close(fd);
	conn_start(c, loop, -1, ops);
	c->connecting = true;
	c->why = strerror(ret);
	ev_timer_stop(loop, &c->idle);
	ev_timer_init(&c->idle, on_failed, 0., 0.);
	ev_timer_start(loop, &c->idle);
}

void conn_connect_tcp(struct conn *c, struct ev_loop *loop, const char *ip,
		      unsigned port, const struct conn_ops *ops)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
	};

	inet_pton(AF_INET, ip, &addr.sin_addr);
	conn_connect(c, loop, (struct sockaddr *)&addr, sizeof(addr), ops);
}

void conn_connect_unix(struct conn *c, struct ev_loop *loop, const char *path,
		       const struct conn_ops *ops)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t n = strlen(path);

	/* a name that is too long is cut and so is not found */
	if (n >= sizeof(addr.sun_path))
		n = sizeof(addr.sun_path) - 1;
	memcpy(addr.sun_path, path, n);
	conn_connect(c, loop, (struct sockaddr *)&addr, sizeof(addr), ops);
}

/* Outside callbacks the queue is flushed by the loop, not here: the caller
 * must not find its session gone when conn_write() returns. */
static void queued(struct conn *c)
{
	if (c->out.len - c->out_off > HIGH_WATER)
		c->full = true;
	if (!c->depth && c->io.fd >= 0)
		rearm(c);
}

void conn_write(struct conn *c, const void *p, size_t n)
{
	if (c->closing)
		return;
	buf_add(&c->out, p, n);
	queued(c);
}

void conn_writes(struct conn *c, const char *s)
{
	conn_write(c, s, strlen(s));
}

void conn_writef(struct conn *c, const char *fmt, ...)
{
	va_list ap;

	if (c->closing)
		return;
	va_start(ap, fmt);
	buf_vaddf(&c->out, fmt, ap);
	va_end(ap);
	queued(c);
}

void conn_write_buf(struct conn *c, struct buf *b)
{
	if (c->closing) {
		buf_free(b);
	} else if (c->out.len) {
		buf_add(&c->out, b->data, b->len);
		buf_free(b);
	} else {
		buf_free(&c->out);
		c->out = *b;
		c->out_off = 0;
		buf_init(b);
	}
	if (!c->closing)
		queued(c);
}

bool conn_is_full(const struct conn *c)
{
	return c->full;
}

size_t conn_pending(const struct conn *c)
{
	return c->out.len - c->out_off;
}

void conn_body(struct conn *c, bool on)
{
	c->body = on;
}

void conn_unread(struct conn *c, size_t n)
{
	c->in_off -= n;
}

void conn_resume(struct conn *c)
{
	c->waiting = false;
	if (c->depth || c->closing)
		return;
	enter(c);
	conn_process(c);
	leave(c);
}

void conn_pause(struct conn *c)
{
	c->waiting = true;
	if (!c->depth) {
		rearm(c);
		rearm_idle(c);
	}
}

void conn_finish(struct conn *c)
{
	c->finishing = true;
	if (c->depth || c->closing)
		return;
	/* the end must come from the loop, see queued() */
	ev_feed_event(c->loop, &c->io, EV_CUSTOM);
}

void conn_close(struct conn *c, const char *why)
{
	if (c->closing)
		return;
	c->closing = true;
	c->why = why;
	if (!c->depth)
		ev_feed_event(c->loop, &c->io, EV_CUSTOM);
}

void conn_idle(struct conn *c, double secs)
{
	c->idle.repeat = secs;
	if (secs > 0. && !c->waiting)
		ev_timer_again(c->loop, &c->idle);
	else
		ev_timer_stop(c->loop, &c->idle);
}

size_t conn_stop_all(bool spare_young)
{
	struct conn *c, *next;

	stopping = true;
	spared_after = all ? ev_now(all->loop) : 0.;
	if (spare_young)
		spared_after -= YOUNG_SECS;
	for (c = all; c; c = next) {
		next = c->next;
		/* a session may close its partner, so only mark here; what has
		 * arrived already is read once more */
		ev_feed_event(c->loop, &c->io,
			      wanted(c) & EV_READ ? EV_READ : EV_CUSTOM);
	}
	return all_count;
}

size_t conn_count(void)
{
	return all_count;
}
