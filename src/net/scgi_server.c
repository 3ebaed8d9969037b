#include "net/scgi_server.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/str.h"

enum { REQUEST_SECS = 10 };

struct scgi_request {
	struct conn conn;
	const struct scgi_ops *ops;
	struct buf in;
	enum { READING, ASKED, DONE } state;
	bool gone;		/* the connection, before the answer */
};

static struct scgi_request *request_of(struct conn *c)
{
	return container_of(c, struct scgi_request, conn);
}

static void request_free(struct scgi_request *r)
{
	buf_free(&r->in);
	free(r);
}

void scgi_reply(struct scgi_request *r, const struct buf *response)
{
	if (r->gone) {
		request_free(r);
		return;
	}
	r->state = DONE;
	conn_write(&r->conn, response->data, response->len);
	conn_finish(&r->conn);
}

static int on_data(struct conn *c, const char *p, size_t n)
{
	struct scgi_request *r = request_of(c);
	struct scgi head;
	int ret;

	buf_add(&r->in, p, n);
	ret = scgi_parse(&head, r->in.data, r->in.len);
	if (ret < 0) {
		log_warn("not an SCGI request");
		r->state = DONE;
		return CONN_CLOSE;
	}
	if (ret == 0)
		return CONN_GO_ON;
	if (head.content_length > r->ops->body_max) {
		r->state = ASKED;
		r->ops->too_long(r);
	} else if (r->in.len - head.body_off >= head.content_length) {
		r->state = ASKED;
		r->ops->request(r, &head);
	}
	return r->state == ASKED ? CONN_WAIT : CONN_GO_ON;
}

static bool is_busy(struct conn *c)
{
	return request_of(c)->in.len > 0;
}

static void on_closed(struct conn *c, const char *why)
{
	struct scgi_request *r = request_of(c);

	if (r->state == ASKED) {
		r->gone = true;
		return;
	}
	if (r->in.len && r->state == READING)
		log_warn("half a request: %s", why ? why : "closed");
	request_free(r);
}

static const struct conn_ops conn_ops = {
	.idle_secs = REQUEST_SECS,
	.data = on_data,
	.busy = is_busy,
	.closed = on_closed,
};

void scgi_serve(struct daemon *d, int fd, const struct scgi_ops *ops)
{
	struct scgi_request *r = xcalloc(1, sizeof(*r));

	r->ops = ops;
	buf_init(&r->in);
	conn_start(&r->conn, d->loop, fd, &conn_ops);
	conn_body(&r->conn, true);
}
