#include "net/rpc_client.h"

#include "base/str.h"
#include "text/jsonrpc.h"

static void forget_calls(struct rpc_client *r)
{
	for (struct rpc_call *c = r->calls; c; c = c->next)
		ev_timer_stop(r->conn.loop, &c->late);
	r->calls = NULL;
}

/* The first reason is the one that is told. */
void rpc_client_close(struct rpc_client *r, const char *why)
{
	forget_calls(r);
	if (r->why.len == 0)
		buf_adds(&r->why, why);
	conn_close(&r->conn, NULL);
}

static void on_late(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct rpc_call *c = container_of(w, struct rpc_call, late);

	rpc_client_close(c->client, "a call was not answered in time");
}

static struct rpc_call *take_call(struct rpc_client *r, uint64_t id)
{
	for (struct rpc_call **at = &r->calls; *at; at = &(*at)->next) {
		struct rpc_call *c = *at;

		if (c->id != id)
			continue;
		*at = c->next;
		ev_timer_stop(r->conn.loop, &c->late);
		return c;
	}
	return NULL;
}

static int on_line(struct conn *conn, char *line, size_t len)
{
	struct rpc_client *r = container_of(conn, struct rpc_client, conn);
	struct buf err = BUF_INIT;
	struct jsonrpc_answer a;
	struct rpc_call *c;
	int ret = jsonrpc_parse(line, len, &a, &err);

	if (ret < 0) {
		buf_prefixf(&err, "no JSON-RPC: ");
		rpc_client_close(r, err.data);
	} else if (ret > 0) {
		c = take_call(r, a.id);
		if (c)
			c->done(c, a.result, a.error);
		jsonrpc_answer_free(&a);
	}
	buf_free(&err);
	return CONN_GO_ON;
}

static void on_too_long(struct conn *conn)
{
	rpc_client_close(container_of(conn, struct rpc_client, conn),
			 "an answer is too long");
}

static void on_closed(struct conn *conn, const char *why)
{
	struct rpc_client *r = container_of(conn, struct rpc_client, conn);
	struct buf text = r->why;

	forget_calls(r);
	buf_init(&r->why);
	if (text.len == 0)
		buf_adds(&text, why ? why : "the connection has ended");
	r->closed(r, text.data);
	buf_free(&text);
}

static const struct conn_ops ops = {
	.line_max = RPC_LINE_MAX,
	.too_long = on_too_long,
	.line = on_line,
	.closed = on_closed,
};

void rpc_client_start(struct rpc_client *r, struct ev_loop *loop, int fd)
{
	r->calls = NULL;
	r->last_id = 0;
	buf_init(&r->why);
	conn_start(&r->conn, loop, fd, &ops);
}

void rpc_client_call(struct rpc_client *r, struct rpc_call *c,
		     const char *method, const cJSON *params, double secs)
{
	struct buf request = BUF_INIT;

	c->client = r;
	c->id = ++r->last_id;
	c->next = r->calls;
	r->calls = c;
	ev_timer_init(&c->late, on_late, secs, 0.);
	if (secs > 0.)
		ev_timer_start(r->conn.loop, &c->late);
	jsonrpc_request(&request, c->id, method, params);
	conn_write_buf(&r->conn, &request);
	buf_free(&request);
}
