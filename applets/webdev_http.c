/* The HTTP side of chatmail webdev: one request a connection, or a page that
 * listens for the next build. */
#include "applets/webdev.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "text/httpreq.h"

enum {
	LINE_MAX_BYTES = 8 * 1024,
	HEADERS_MAX = 100,
};
static const double REQUEST_SECS = 15., IDLE_SECS = 10.;
static const char events_path[] = ".webdev/events";

struct session {
	unsigned headers;	/* lines behind the first one */
	unsigned status;	/* of the request line, 0 for good */
	struct conn conn;
	struct webdev *webdev;
	ev_timer deadline;	/* for the whole request */
	bool has_line, listens;
	struct httpreq request;
	struct session *next, *prev;	/* while it listens */
};

static struct session *session_of(struct conn *c)
{
	return container_of(c, struct session, conn);
}

static void answer_status(struct session *s, unsigned status)
{
	struct buf out = BUF_INIT;

	webdev_answer_status(status, s->request.is_head, &out);
	conn_write_buf(&s->conn, &out);
	conn_finish(&s->conn);
	buf_free(&out);
}

/* ---- events ------------------------------------------------------------------ */

static void tell_build(struct session *s)
{
	conn_writef(&s->conn, "data: %s\n\n", s->webdev->build);
}

/* A page says at once which build it would get, so none is missed between its
 * own answer and this. */
static void listen_for_builds(struct session *s)
{
	struct webdev *w = s->webdev;

	conn_writes(&s->conn, "HTTP/1.1 200 OK\r\n"
		    "Content-Type: text/event-stream\r\n"
		    "Cache-Control: no-store\r\n"
		    "Connection: close\r\n\r\n");
	if (s->request.is_head) {
		conn_finish(&s->conn);
		return;
	}
	conn_writes(&s->conn, "retry: 500\n");
	tell_build(s);
	s->listens = true;
	s->next = w->listeners;
	if (s->next)
		s->next->prev = s;
	w->listeners = s;
	conn_idle(&s->conn, 0.);
}

void webdev_notify(struct webdev *w)
{
	for (struct session *s = w->listeners; s; s = s->next)
		tell_build(s);
}

/* ---- requests ---------------------------------------------------------------- */

static void answer(struct session *s)
{
	struct buf out = BUF_INIT;

	ev_timer_stop(s->conn.loop, &s->deadline);
	if (s->status) {
		answer_status(s, s->status);
	} else if (strcmp(s->request.path, events_path) == 0) {
		listen_for_builds(s);
	} else {
		webdev_answer(s->webdev, s->request.path, s->request.is_head,
			      &out);
		conn_write_buf(&s->conn, &out);
		conn_finish(&s->conn);
	}
	buf_free(&out);
}

static int on_line(struct conn *c, char *line, size_t len)
{
	struct session *s = session_of(c);

	if (len && line[len - 1] == '\r')
		line[--len] = '\0';
	if (s->listens)
		return CONN_GO_ON;	/* there is nothing more to ask */
	if (++s->headers > HEADERS_MAX) {
		answer_status(s, 431);
	} else if (!s->has_line) {
		/* an empty line in front is let pass: RFC 9112 section 2.2 */
		s->has_line = len > 0;
		if (len)
			s->status = httpreq_parse(&s->request, line, len);
	} else if (len == 0) {
		answer(s);
	}
	return CONN_GO_ON;
}

static void on_too_long(struct conn *c)
{
	struct session *s = session_of(c);

	answer_status(s, s->has_line ? 431 : 414);
}

static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct session *s = container_of(w, struct session, deadline);

	answer_status(s, 408);
}

static void on_closed(struct conn *c, const char *why)
{
	struct session *s = session_of(c);

	ev_timer_stop(c->loop, &s->deadline);
	if (s->listens) {
		if (s->prev)
			s->prev->next = s->next;
		else
			s->webdev->listeners = s->next;
		if (s->next)
			s->next->prev = s->prev;
	}
	free(s);
}

static const struct conn_ops ops = {
	.line_max = LINE_MAX_BYTES,
	.too_long = on_too_long,
	.idle_secs = IDLE_SECS,
	.line = on_line,
	.closed = on_closed,
};

void webdev_serve(struct webdev *w, int fd)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->webdev = w;
	conn_start(&s->conn, w->daemon.loop, fd, &ops);
	ev_timer_init(&s->deadline, on_deadline, REQUEST_SECS, 0.);
	ev_timer_start(w->daemon.loop, &s->deadline);
}
