#include "net/imap_client.h"

#include <string.h>

/* ---- one response -------------------------------------------------------- */

/* The next response as it is in stream.in; *len bytes of it, which are not
 * taken yet. Returns 0, -1 with *err. */
static int receive(struct imap_client *c, struct imap_response *r, size_t *len,
		   bool *late, struct buf *err)
{
	struct imap_scan scan = { 0 };

	for (;;) {
		size_t n;
		const char *p = stream_peek(&c->stream, &n);
		int ret = imap_scan(&scan, p, n, IMAP_ANSWER_MAX, len);

		if (ret > 0 && imap_response_parse(r, p, *len) == 0)
			return 0;
		if (ret) {
			buf_setf(err, "the server does not speak IMAP");
			return -1;
		}
		ret = stream_fill(&c->stream, late, err);
		if (ret == 0)
			buf_setf(err, "the server has closed the connection");
		if (ret <= 0)
			return -1;
	}
}

static void keep_status(struct imap_client *c, const struct imap_response *r)
{
	c->status = r->status;
	buf_reset(&c->text);
	buf_add(&c->text, r->rest.p, (size_t)(r->rest.end - r->rest.p));
}

static int keep_untagged(struct imap_client *c, size_t len, struct buf *err)
{
	size_t n;
	const char *p = stream_peek(&c->stream, &n);

	if (len > IMAP_ANSWER_MAX - c->answer.len) {
		buf_setf(err, "the server's answer is too long");
		return -1;
	}
	buf_add(&c->answer, p, len);
	return 0;
}

/* Is it the answer to the latest command? */
static bool is_ours(const struct imap_client *c, const struct imap_response *r)
{
	char tag[16];
	int n = snprintf(tag, sizeof(tag), "a%u", c->last);

	return r->kind == IMAP_TAGGED && r->tag_len == (size_t)n &&
	       memcmp(r->tag, tag, r->tag_len) == 0;
}

/* ---- commands ------------------------------------------------------------ */

static int send_line(struct imap_client *c, const char *text, struct buf *err)
{
	struct buf line = BUF_INIT;
	int ret;

	buf_addf(&line, "a%u %s\r\n", ++c->last, text);
	buf_reset(&c->answer);
	c->read = 0;
	c->status = IMAP_NONE;
	stream_within(&c->stream, c->stream.peer->secs);
	ret = stream_write(&c->stream, line.data, line.len, err);
	buf_free(&line);
	return ret;
}

int imap_client_send(struct imap_client *c, struct buf *err, const char *fmt,
		     ...)
{
	struct buf text = BUF_INIT;
	va_list ap;
	int ret;

	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	ret = send_line(c, text.data, err);
	buf_free(&text);
	return ret;
}

int imap_client_wait(struct imap_client *c, double secs, struct buf *err)
{
	stream_within(&c->stream, secs);
	for (;;) {
		struct imap_response r;
		size_t len;

		if (receive(c, &r, &len, NULL, err) < 0)
			return -1;
		if (is_ours(c, &r)) {
			keep_status(c, &r);
			stream_take(&c->stream, len);
			return c->status == IMAP_OK ? 0 : 1;
		}
		if (r.kind == IMAP_UNTAGGED && keep_untagged(c, len, err) < 0)
			return -1;
		stream_take(&c->stream, len);
	}
}

int imap_client_command(struct imap_client *c, struct buf *err,
			const char *fmt, ...)
{
	struct buf text = BUF_INIT;
	va_list ap;
	int ret;

	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	ret = send_line(c, text.data, err);
	buf_free(&text);
	return ret < 0 ? -1 : imap_client_wait(c, c->stream.peer->secs, err);
}

int imap_client_login_send(struct imap_client *c, const char *user,
			   const char *password, struct buf *err)
{
	struct buf text = BUF_INIT;
	int ret;

	buf_adds(&text, "LOGIN ");
	imap_add_quoted(&text, user);
	buf_addc(&text, ' ');
	imap_add_quoted(&text, password);
	ret = send_line(c, text.data, err);
	buf_free(&text);
	return ret;
}

int imap_client_login(struct imap_client *c, const char *user,
		      const char *password, struct buf *err)
{
	if (imap_client_login_send(c, user, password, err) < 0)
		return -1;
	return imap_client_wait(c, c->stream.peer->secs, err);
}

/* ---- untagged responses -------------------------------------------------- */

bool imap_client_next(struct imap_client *c, struct imap_response *r)
{
	struct imap_scan scan = { 0 };
	const char *p = c->answer.data + c->read;
	size_t len;

	if (imap_scan(&scan, p, c->answer.len - c->read, IMAP_ANSWER_MAX,
		      &len) <= 0)
		return false;
	c->read += len;
	return imap_response_parse(r, p, len) == 0;
}

void imap_client_rewind(struct imap_client *c)
{
	c->read = 0;
}

bool imap_client_find(struct imap_client *c, const char *name,
		      struct imap_response *r)
{
	while (imap_client_next(c, r))
		if (strcmp(r->name, name) == 0)
			return true;
	return false;
}

/* ---- life ---------------------------------------------------------------- */

static int greet(struct imap_client *c, struct buf *err)
{
	struct imap_response r;
	size_t len;

	if (receive(c, &r, &len, NULL, err) < 0) {
		buf_prefixf(err, "no IMAP greeting: ");
		return -1;
	}
	keep_status(c, &r);
	stream_take(&c->stream, len);
	if (r.kind == IMAP_UNTAGGED &&
	    (r.status == IMAP_OK || r.status == IMAP_PREAUTH))
		return 0;
	buf_setf(err, "the server greets with \"%s %s\"", r.name,
		 c->text.data);
	return -1;
}

static int start_tls(struct imap_client *c, struct buf *err)
{
	int ret = imap_client_command(c, err, "STARTTLS");

	if (ret > 0)
		buf_setf(err, "STARTTLS is refused: %s", c->text.data);
	return ret ? -1 : stream_start_tls(&c->stream, err);
}

int imap_client_open(struct imap_client *c, const struct stream_peer *peer,
		     struct buf *err)
{
	*c = (struct imap_client){ .text = BUF_INIT, .answer = BUF_INIT };
	if (stream_open(&c->stream, peer, err) < 0)
		return -1;
	if (greet(c, err) == 0 && (peer->security != STREAM_STARTTLS ||
				   start_tls(c, err) == 0))
		return 0;
	imap_client_close(c);
	return -1;
}

void imap_client_close(struct imap_client *c)
{
	struct buf err = BUF_INIT;

	if (c->stream.fd < 0)
		return;
	stream_within(&c->stream, 1.);
	stream_write(&c->stream, "z LOGOUT\r\n", strlen("z LOGOUT\r\n"), &err);
	stream_close(&c->stream);
	buf_free(&c->text);
	buf_free(&c->answer);
	buf_free(&err);
}

/* ---- IDLE ---------------------------------------------------------------- */

int imap_client_idle(struct imap_client *c, struct buf *err)
{
	if (send_line(c, "IDLE", err) < 0)
		return -1;
	for (;;) {
		struct imap_response r;
		size_t len;

		if (receive(c, &r, &len, NULL, err) < 0)
			return -1;
		if (is_ours(c, &r))
			keep_status(c, &r);
		stream_take(&c->stream, len);
		if (c->status != IMAP_NONE)
			return 1;
		if (r.kind == IMAP_CONTINUE)
			return 0;
	}
}

int imap_client_idle_wait(struct imap_client *c, const char *name, double secs,
			  struct imap_response *r, struct buf *err)
{
	bool late = false;

	stream_within(&c->stream, secs);
	/* what was given the last time may go now */
	buf_reset(&c->answer);
	c->read = 0;
	for (;;) {
		size_t len;

		if (receive(c, r, &len, &late, err) < 0)
			return late ? 0 : -1;
		if (is_ours(c, r)) {
			buf_setf(err, "the server has ended IDLE");
			return -1;
		}
		if (r->kind == IMAP_UNTAGGED && strcmp(r->name, name) == 0) {
			if (keep_untagged(c, len, err) < 0)
				return -1;
			stream_take(&c->stream, len);
			return imap_client_next(c, r) ? 1 : -1;
		}
		stream_take(&c->stream, len);
	}
}

int imap_client_done(struct imap_client *c, struct buf *err)
{
	stream_within(&c->stream, c->stream.peer->secs);
	if (stream_write(&c->stream, "DONE\r\n", strlen("DONE\r\n"), err) < 0)
		return -1;
	return imap_client_wait(c, c->stream.peer->secs, err);
}
