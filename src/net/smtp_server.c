#include "net/smtp_server.h"

#include <string.h>

#include "base/str.h"
#include "text/addr.h"

/* Postfix keeps its side open while its own client is slow */
static const double IDLE_SECS = 600.;

static const struct conn_ops smtp_conn_ops;

/* ---- replies and the envelope -------------------------------------------------- */

static void reply(struct smtp_session *s, const char *text)
{
	struct buf out = BUF_INIT;

	smtp_reply_add(&out, text);
	conn_write(&s->conn, out.data, out.len);
	buf_free(&out);
}

static void envelope_reset(struct smtp_session *s)
{
	arena_free(&s->envelope.arena);
	s->envelope = (struct smtp_envelope){ 0 };
	s->envelope.tail = &s->envelope.recipients;
}

static void message_over(struct smtp_session *s)
{
	s->in_data = s->waiting = s->replied = false;
	buf_free(&s->refusal);
	envelope_reset(s);
	conn_body(&s->conn, false);
}

/* ---- commands -------------------------------------------------------------------- */

static void cmd_ehlo(struct smtp_session *s, const char *args)
{
	conn_writef(&s->conn, "250-%s\r\n250-8BITMIME\r\n250 OK\r\n",
		    s->ops->name);
}

static void cmd_helo(struct smtp_session *s, const char *args)
{
	conn_writef(&s->conn, "250-%s\r\n250 OK\r\n", s->ops->name);
}

/* The path as it came, for the next server: what addr_parse_path() took. */
static const char *copy_path(struct smtp_session *s, const char *args,
			     const char *params)
{
	size_t n = params - args;

	while (n && (args[n - 1] == ' ' || args[n - 1] == '\t'))
		n--;
	if (*args == '<')
		return arena_strndup(&s->envelope.arena, args, n);
	return arena_printf(&s->envelope.arena, "<%.*s>", (int)n, args);
}

static void cmd_mail(struct smtp_session *s, const char *args)
{
	struct smtp_envelope *e = &s->envelope;
	struct buf addr = BUF_INIT, text = BUF_INIT;
	const char *params;

	if (e->sender) {
		reply(s, "503 5.5.1 Error: nested MAIL command");
	} else if (addr_parse_path(args, &addr, &params, &text) < 0) {
		reply(s, "500 Invalid address in MAIL FROM");
	} else if (smtp_size_param(params) > s->ops->size_max(s)) {
		reply(s, "552 Message exceeds maximum size");
	} else {
		e->sender = arena_strdup(&e->arena, addr.data);
		e->sender_path = copy_path(s, args, params);
		e->sender_params = arena_strdup(&e->arena, params);
		buf_reset(&text);
		if (s->ops->mail(s, &text)) {
			reply(s, "250 OK");
		} else {
			reply(s, text.data);
			envelope_reset(s);
		}
	}
	buf_free(&addr);
	buf_free(&text);
}

static void cmd_rcpt(struct smtp_session *s, const char *args)
{
	struct smtp_envelope *e = &s->envelope;
	struct buf addr = BUF_INIT, err = BUF_INIT;
	struct smtp_recipient *r;
	const char *params;

	if (!e->sender) {
		reply(s, "503 5.5.1 Error: need MAIL command");
	} else if (e->count >= s->ops->recipients_max) {
		reply(s, "452 4.5.3 Error: too many recipients");
	} else if (addr_parse_path(args, &addr, &params, &err) < 0 ||
		   !addr.len) {
		reply(s, "500 Invalid address in RCPT TO");
	} else {
		r = arena_alloc(&e->arena, sizeof(*r));
		r->addr = arena_strdup(&e->arena, addr.data);
		r->path = copy_path(s, args, params);
		r->params = arena_strdup(&e->arena, params);
		*e->tail = r;
		e->tail = &r->next;
		e->count++;
		reply(s, "250 OK");
	}
	buf_free(&addr);
	buf_free(&err);
}

static void on_wire(struct smtp_data *d, const char *p, size_t n)
{
	struct smtp_session *s = container_of(d, struct smtp_session, data);

	if (!s->refusal.len)
		s->ops->wire(s, p, n);
}

static void on_content(struct smtp_data *d, const char *p, size_t n)
{
	struct smtp_session *s = container_of(d, struct smtp_session, data);

	s->received += n;
	if (s->received > s->ops->size_max(s)) {
		/* told at once: the rest may be long */
		if (!s->refusal.len) {
			smtp_server_refuse(s,
				"552 Message exceeds maximum size");
			reply(s, s->refusal.data);
			s->replied = true;
		}
	} else if (!s->refusal.len) {
		s->ops->content(s, p, n);
	}
}

static void cmd_data(struct smtp_session *s, const char *args)
{
	if (!s->envelope.sender) {
		reply(s, "503 5.5.1 Error: need MAIL command");
	} else if (!s->envelope.count) {
		reply(s, "503 5.5.1 Error: need RCPT command");
	} else {
		reply(s, "354 End data with <CR><LF>.<CR><LF>");
		s->in_data = true;
		s->received = 0;
		smtp_data_init(&s->data, on_wire, on_content);
		conn_body(&s->conn, true);
		s->ops->begin(s);
	}
}

static void cmd_rset(struct smtp_session *s, const char *args)
{
	envelope_reset(s);
	reply(s, "250 OK");
}

static void cmd_noop(struct smtp_session *s, const char *args)
{
	reply(s, "250 OK");
}

static void cmd_quit(struct smtp_session *s, const char *args)
{
	reply(s, "221 OK");
	conn_finish(&s->conn);
}

static const struct {
	const char *words;
	void (*run)(struct smtp_session *s, const char *args);
} commands[] = {
	{ "EHLO", cmd_ehlo },
	{ "LHLO", cmd_ehlo },
	{ "HELO", cmd_helo },
	{ "MAIL FROM:", cmd_mail },
	{ "RCPT TO:", cmd_rcpt },
	{ "DATA", cmd_data },
	{ "RSET", cmd_rset },
	{ "NOOP", cmd_noop },
	{ "QUIT", cmd_quit },
};

static void dispatch(struct smtp_session *s, const char *line)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const char *args = smtp_command_args(line, commands[i].words);

		if (args) {
			commands[i].run(s, args);
			return;
		}
	}
	reply(s, "500 Command not recognized");
}

/* ---- the connection ------------------------------------------------------------ */

static struct smtp_session *session_of(struct conn *c)
{
	return container_of(c, struct smtp_session, conn);
}

static int on_line(struct conn *c, char *line, size_t len)
{
	struct smtp_session *s = session_of(c);

	/* a lone LF is an attempt to smuggle, as upstream treats it */
	if (!len || line[len - 1] != '\r') {
		reply(s, "500 Line does not end with <CR><LF>");
		conn_finish(c);
		return CONN_GO_ON;
	}
	line[--len] = '\0';
	if (strlen(line) != len || strchr(line, '\r'))
		reply(s, "500 Control byte in command");
	else if (!utf8_is_valid(line, len))
		reply(s, "500 Command is not valid UTF-8");
	else
		dispatch(s, line);
	return CONN_GO_ON;
}

static void on_too_long(struct conn *c)
{
	reply(session_of(c), "500 Line too long");
}

static int end_of_data(struct smtp_session *s)
{
	if (s->data.bare && !s->refusal.len)
		smtp_server_refuse(s, "500 Invalid DATA");
	if (s->refusal.len) {
		if (!s->replied)
			reply(s, s->refusal.data);
		message_over(s);
		return CONN_GO_ON;
	}
	s->waiting = true;
	s->ops->end(s);
	return s->waiting ? CONN_WAIT : CONN_GO_ON;
}

static int on_data(struct conn *c, const char *p, size_t n)
{
	struct smtp_session *s = session_of(c);
	size_t used = smtp_data_feed(&s->data, p, n);

	conn_unread(c, n - used);
	if (s->data.done)
		return end_of_data(s);
	/* smtp_server_pause() inside wire() */
	return s->waiting ? CONN_WAIT : CONN_GO_ON;
}

static bool is_busy(struct conn *c)
{
	return session_of(c)->in_data || session_of(c)->envelope.sender;
}

static void goodbye(struct conn *c)
{
	reply(session_of(c), "421 4.3.2 Shutting down");
}

static void on_closed(struct conn *c, const char *why)
{
	struct smtp_session *s = session_of(c);

	if (s->in_data && !s->refusal.len)
		s->ops->dropped(s);
	message_over(s);
	s->ops->closed(s);
}

static const struct conn_ops smtp_conn_ops = {
	.line_max = SMTP_LINE_MAX,
	.idle_secs = IDLE_SECS,
	.line = on_line,
	.too_long = on_too_long,
	.data = on_data,
	.busy = is_busy,
	.goodbye = goodbye,
	.closed = on_closed,
};

/* ---- public -------------------------------------------------------------------- */

void smtp_server_start(struct smtp_session *s, struct ev_loop *loop, int fd,
		       const struct smtp_server_ops *ops)
{
	*s = (struct smtp_session){ .ops = ops };
	buf_init(&s->refusal);
	s->envelope.tail = &s->envelope.recipients;
	conn_start(&s->conn, loop, fd, &smtp_conn_ops);
	conn_writef(&s->conn, "220 %s SMTP\r\n", ops->name);
}

void smtp_server_reply(struct smtp_session *s, const char *text)
{
	reply(s, text);
	message_over(s);
	conn_resume(&s->conn);
}

void smtp_server_refuse(struct smtp_session *s, const char *text)
{
	bool was_waiting = s->waiting;

	if (s->refusal.len)
		return;
	buf_adds(&s->refusal, text);
	s->waiting = false;
	s->ops->dropped(s);
	if (was_waiting)
		conn_resume(&s->conn);
}

void smtp_server_pause(struct smtp_session *s)
{
	s->waiting = true;
	conn_pause(&s->conn);
}

void smtp_server_resume(struct smtp_session *s)
{
	if (!s->waiting || s->data.done)
		return;
	s->waiting = false;
	conn_resume(&s->conn);
}
