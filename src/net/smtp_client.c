#include "net/smtp_client.h"

#include <string.h>

#include "base/str.h"

static const double BODY_SECS = 600.;

static struct smtp_client *client_of(struct conn *c)
{
	return container_of(c, struct smtp_client, conn);
}

/* ---- what is sent ------------------------------------------------------------- */

static void send_path(struct smtp_client *c, const char *verb, const char *path,
		      const char *params)
{
	conn_writef(&c->conn, "%s:%s%s%s\r\n", verb, path, *params ? " " : "",
		    params);
}

static void enter(struct smtp_client *c, enum smtp_client_state state)
{
	const struct smtp_envelope *e = c->envelope;

	c->state = state;
	switch (state) {
	case CLIENT_GREETING:
		break;
	case CLIENT_EHLO:
		conn_writes(&c->conn, "EHLO localhost\r\n");
		break;
	case CLIENT_MAIL:
		send_path(c, "MAIL FROM", e->sender_path, e->sender_params);
		break;
	case CLIENT_RCPT:
		send_path(c, "RCPT TO", c->next->path, c->next->params);
		break;
	case CLIENT_DATA:
		conn_writes(&c->conn, "DATA\r\n");
		break;
	case CLIENT_BODY:
		/* the sender behind us may be slow, which is not the server's
		 * fault */
		conn_idle(&c->conn, BODY_SECS);
		c->ops->ready(c);
		break;
	case CLIENT_DOT:
		conn_idle(&c->conn, c->secs);
		conn_writes(&c->conn, ".\r\n");
		break;
	case CLIENT_DONE:
		conn_writes(&c->conn, "QUIT\r\n");
		conn_finish(&c->conn);
		break;
	}
}

/* ---- what is answered ---------------------------------------------------------- */

static void finished(struct smtp_client *c, bool accepted, const char *reply)
{
	c->state = CLIENT_DONE;
	c->ops->finished(c, accepted, reply);
}

/* A refusal at any step is the message's: one recipient less would be a
 * message lost. */
static void refused(struct smtp_client *c, int code)
{
	bool in_body = c->state == CLIENT_BODY;

	/* a 3xx or a 2xx out of place is the server's mistake, not final */
	if (code < 400)
		finished(c, false, "451 4.3.0 Error: unexpected reply from the "
			 "mail queue");
	else
		finished(c, false, c->reply.data);
	/* in the middle of the data QUIT would be a part of it */
	if (in_body)
		conn_close(&c->conn, NULL);
	else
		enter(c, CLIENT_DONE);
}

/* Whether the reply is the one that the state waits for. While the body is
 * being sent none is. */
static bool is_expected(const struct smtp_client *c, int code)
{
	if (c->state == CLIENT_BODY)
		return false;
	return c->state == CLIENT_DATA ? code == 354 : code / 100 == 2;
}

static void on_reply(struct smtp_client *c, int code)
{
	if (c->state == CLIENT_DONE)
		return;
	if (!is_expected(c, code)) {
		refused(c, code);
		return;
	}
	switch (c->state) {
	case CLIENT_GREETING:
		enter(c, CLIENT_EHLO);
		break;
	case CLIENT_EHLO:
		enter(c, CLIENT_MAIL);
		break;
	case CLIENT_MAIL:
		c->next = c->envelope->recipients;
		enter(c, CLIENT_RCPT);
		break;
	case CLIENT_RCPT:
		c->next = c->next->next;
		enter(c, c->next ? CLIENT_RCPT : CLIENT_DATA);
		break;
	case CLIENT_DATA:
		enter(c, CLIENT_BODY);
		break;
	case CLIENT_DOT:
		finished(c, true, c->reply.data);
		enter(c, CLIENT_DONE);
		break;
	case CLIENT_BODY:
	case CLIENT_DONE:
		break;
	}
}

static int on_line(struct conn *conn, char *line, size_t len)
{
	struct smtp_client *c = client_of(conn);
	const char *text;
	bool more;
	int code;

	if (len && line[len - 1] == '\r')
		line[--len] = '\0';
	if (smtp_reply_parse(line, len, &code, &more, &text) < 0) {
		conn->why = "the mail queue does not speak SMTP";
		return CONN_CLOSE;
	}
	/* several lines become one: cut in the wrong place they would make
	 * the client wait for more */
	if (!c->reply.len)
		buf_addf(&c->reply, "%d", code);
	if (*text && c->reply.len < SMTP_REPLY_MAX)
		buf_addf(&c->reply, " %s", text);
	if (more)
		return CONN_GO_ON;
	on_reply(c, code);
	buf_reset(&c->reply);
	return CONN_GO_ON;
}

static void on_drained(struct conn *conn)
{
	struct smtp_client *c = client_of(conn);

	if (c->state != CLIENT_DONE)
		c->ops->drained(c);
}

static bool is_busy(struct conn *conn)
{
	return client_of(conn)->state != CLIENT_DONE;
}

static void on_closed(struct conn *conn, const char *why)
{
	struct smtp_client *c = client_of(conn);
	struct buf text = BUF_INIT;

	if (c->state != CLIENT_DONE) {
		buf_addf(&text, "451 4.3.0 Error: mail queue: %s",
			 why ? why : "connection closed");
		finished(c, false, text.data);
	}
	buf_free(&text);
	buf_free(&c->reply);
	c->ops->closed(c);
}

static const struct conn_ops client_conn_ops = {
	.line_max = SMTP_LINE_MAX,
	.line = on_line,
	.drained = on_drained,
	.busy = is_busy,
	.closed = on_closed,
};

/* ---- public --------------------------------------------------------------------- */

void smtp_client_start(struct smtp_client *c, struct ev_loop *loop,
		       const char *ip, unsigned port,
		       const struct smtp_envelope *e, double secs,
		       const struct smtp_client_ops *ops)
{
	*c = (struct smtp_client){ .ops = ops, .envelope = e };
	buf_init(&c->reply);
	conn_connect_tcp(&c->conn, loop, ip, port, &client_conn_ops);
	if (c->conn.io.fd >= 0)
		conn_idle(&c->conn, secs);
	c->secs = secs;
}

void smtp_client_write(struct smtp_client *c, const char *p, size_t n)
{
	conn_write(&c->conn, p, n);
}

void smtp_client_write_buf(struct smtp_client *c, struct buf *b)
{
	conn_write_buf(&c->conn, b);
}

void smtp_client_end(struct smtp_client *c)
{
	enter(c, CLIENT_DOT);
}

void smtp_client_abort(struct smtp_client *c)
{
	c->state = CLIENT_DONE;
	conn_close(&c->conn, NULL);
}
