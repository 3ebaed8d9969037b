#include "net/milter_server.h"

#include <string.h>

#include "base/log.h"
#include "base/str.h"

/* As libmilter: longer than any SMTP session waits for its client. */
static const double IDLE_SECS = 7210.;

enum {
	MACROS_MAX = 64 * 1024,	/* of one event */
	KEEP = 4 * 1024,	/* an idle session keeps no larger buffer */
};

/* What is not needed, that nothing is answered, that values are exact. */
static const uint32_t PROTOCOL =
	MILTER_NO_HELO | MILTER_NO_RCPT | MILTER_NO_DATA | MILTER_NO_UNKNOWN |
	MILTER_NR_CONNECT | MILTER_NR_HELO | MILTER_NR_MAIL | MILTER_NR_RCPT |
	MILTER_NR_DATA | MILTER_NR_UNKNOWN | MILTER_NR_HEADERS |
	MILTER_NR_EOH | MILTER_NR_BODY | MILTER_HEADER_SPACE;

/* Where a session is; bits, for the table of commands. */
enum {
	ST_NEW = 1,		/* nothing negotiated */
	ST_READY = 2,		/* no client yet */
	ST_CLIENT = 4,		/* between messages */
	ST_HEADER = 8,		/* a message, its envelope and header */
	ST_BODY = 16,
	ST_END = 32,		/* waits for our answer */
	ST_MESSAGE = ST_HEADER | ST_BODY | ST_END,
	ST_ANY = 63 & ~ST_NEW,
};

static const char unexpected[] = "unexpected milter command";
static const char macro_events[] = "CHMRTLNBE";
_Static_assert(sizeof(macro_events) - 1 == MILTER_MACRO_EVENTS,
	       "one buffer for each event");

/* ---- messages --------------------------------------------------------------- */

static void free_macros(struct milter_session *s, const char *events)
{
	for (; *events; events++)
		buf_free(&s->macros[strchr(macro_events, *events) -
				    macro_events]);
}

static void message_over(struct milter_session *s)
{
	free_macros(s, "MRTLNBE");
	s->state = ST_CLIENT;
}

static void abort_message(struct milter_session *s)
{
	if (!(s->state & ST_MESSAGE))
		return;
	message_over(s);
	s->ops->abort(s);
}

const char *milter_server_macro(const struct milter_session *s,
				const char *name)
{
	const char *value = NULL;

	for (int i = MILTER_MACRO_EVENTS - 1; i >= 0 && !value; i--)
		value = milter_macro(s->macros[i].data, s->macros[i].len,
				     name);
	return value;
}

/* ---- commands --------------------------------------------------------------- */

/* Each gets a packet's data and returns NULL, or why the session ends. */

static const char *cmd_negotiate(struct milter_session *s, const char *p,
				 size_t n)
{
	struct milter_options o;
	struct buf out = BUF_INIT;

	if (milter_parse_options(p, n, &o) < 0)
		return "malformed milter options";
	if (o.version < MILTER_VERSION_MIN)
		return "the milter protocol is too old";
	if (s->ops->actions & ~o.actions)
		return "the mail server does not allow what this milter does";
	s->options.version = o.version < MILTER_VERSION ? o.version :
			     MILTER_VERSION;
	s->options.actions = s->ops->actions;
	s->options.protocol = o.protocol & PROTOCOL;
	s->state = ST_READY;
	milter_add_options(&out, &s->options);
	conn_write(&s->conn, out.data, out.len);
	buf_free(&out);
	return NULL;
}

static const char *cmd_macros(struct milter_session *s, const char *p,
			      size_t n)
{
	const char *pairs, *event;
	size_t len;
	char command;

	if (milter_parse_macros(p, n, &command, &pairs, &len) < 0 ||
	    len > MACROS_MAX)
		return "malformed milter macros";
	event = command ? strchr(macro_events, command) : NULL;
	if (event) {
		struct buf *b = &s->macros[event - macro_events];

		buf_reset(b);
		buf_add(b, pairs, len);
	}
	return NULL;
}

static const char *cmd_connect(struct milter_session *s, const char *p,
			       size_t n)
{
	struct milter_connect c;

	if (milter_parse_connect(p, n, &c) < 0)
		return "malformed milter connect";
	s->state = ST_CLIENT;
	if (s->ops->connect)
		s->ops->connect(s, &c);
	return NULL;
}

static const char *cmd_mail(struct milter_session *s, const char *p, size_t n)
{
	if (milter_check_strings(p, n, 1) < 0)
		return "malformed milter mail";
	s->state = ST_HEADER;
	s->ops->mail(s, p);
	return NULL;
}

static const char *cmd_header(struct milter_session *s, const char *p,
			      size_t n)
{
	struct buf exact = BUF_INIT;
	const char *name, *value;

	if (milter_parse_header(p, n, &name, &value) < 0)
		return "malformed milter header";
	if (s->options.protocol & MILTER_HEADER_SPACE) {
		s->ops->header(s, name, value);
		return NULL;
	}
	/* one space was eaten, if there was one */
	buf_addf(&exact, " %s", value);
	s->ops->header(s, name, exact.data);
	buf_free(&exact);
	return NULL;
}

static const char *cmd_eoh(struct milter_session *s, const char *p, size_t n)
{
	s->state = ST_BODY;
	s->ops->eoh(s);
	return NULL;
}

/* Sendmail may send the last of the body with it. */
static const char *cmd_end(struct milter_session *s, const char *p, size_t n)
{
	if (n)
		s->ops->body(s, p, n);
	s->state = ST_END;
	s->ops->end(s);
	return NULL;
}

static const char *cmd_abort(struct milter_session *s, const char *p, size_t n)
{
	abort_message(s);
	return NULL;
}

/* The connection is kept for another client. */
static const char *cmd_quit_new(struct milter_session *s, const char *p,
				size_t n)
{
	abort_message(s);
	free_macros(s, macro_events);
	s->state = ST_READY;
	return NULL;
}

static const char *cmd_quit(struct milter_session *s, const char *p, size_t n)
{
	abort_message(s);
	conn_finish(&s->conn);
	return NULL;
}

static const char *cmd_ignore(struct milter_session *s, const char *p,
			      size_t n)
{
	return NULL;
}

static const struct command {
	char letter;
	unsigned states;	/* in which it may come */
	uint32_t quiet;		/* the flag that says it is not answered, 0:
				 * it never is, or by itself */
	const char *(*run)(struct milter_session *s, const char *p, size_t n);
} commands[] = {
	{ MILTER_NEGOTIATE, ST_NEW, 0, cmd_negotiate },
	{ MILTER_MACROS, ST_ANY, 0, cmd_macros },
	{ MILTER_CONNECT, ST_READY, MILTER_NR_CONNECT, cmd_connect },
	{ MILTER_HELO, ST_CLIENT, MILTER_NR_HELO, cmd_ignore },
	{ MILTER_MAIL, ST_CLIENT, MILTER_NR_MAIL, cmd_mail },
	{ MILTER_RCPT, ST_HEADER, MILTER_NR_RCPT, cmd_ignore },
	{ MILTER_DATA, ST_HEADER, MILTER_NR_DATA, cmd_ignore },
	{ MILTER_HEADER, ST_HEADER, MILTER_NR_HEADERS, cmd_header },
	{ MILTER_EOH, ST_HEADER, MILTER_NR_EOH, cmd_eoh },
	{ MILTER_END, ST_BODY, 0, cmd_end },
	{ MILTER_ABORT, ST_ANY, 0, cmd_abort },
	{ MILTER_UNKNOWN, ST_ANY, MILTER_NR_UNKNOWN, cmd_ignore },
	{ MILTER_QUIT_NEW, ST_ANY, 0, cmd_quit_new },
	{ MILTER_QUIT, ST_ANY | ST_NEW, 0, cmd_quit },
};

static void go_on(struct milter_session *s)
{
	struct buf out = BUF_INIT;

	milter_add_verdict(&out, MILTER_CONTINUE);
	conn_write(&s->conn, out.data, out.len);
	buf_free(&out);
}

static const char *dispatch(struct milter_session *s, char letter,
			    const char *p, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const struct command *c = &commands[i];
		const char *why;

		if (c->letter != letter || !(c->states & s->state))
			continue;
		why = c->run(s, p, n);
		if (!why && c->quiet && !(s->options.protocol & c->quiet))
			go_on(s);
		return why;
	}
	return unexpected;
}

/* ---- packets ---------------------------------------------------------------- */

static size_t give_body(struct milter_session *s, const char *p, size_t n)
{
	if (n > s->body_left)
		n = s->body_left;
	s->body_left -= n;
	if (n)
		s->ops->body(s, p, n);
	if (!s->body_left && !(s->options.protocol & MILTER_NR_BODY))
		go_on(s);
	return n;
}

/* A packet of this length has begun, or is there as a whole. Body packets are
 * not put together: they are long, and wanted in parts anyway. */
static const char *begin_body(struct milter_session *s, size_t len)
{
	if (s->state != ST_BODY)
		return unexpected;
	s->body_left = len - 1;
	if (!s->body_left)
		give_body(s, NULL, 0);
	return NULL;
}

/* Takes up to n bytes and says how many; *why when the session ends. */
static size_t feed(struct milter_session *s, const char *p, size_t n,
		   const char **why)
{
	struct buf *b = &s->packet;
	size_t want = MILTER_HEAD_LEN + 1, len = 0;
	char letter;
	int whole;

	if (s->body_left)
		return give_body(s, p, n);
	if (b->len >= want && milter_frame(b->data, b->len, &len) == 0)
		want = MILTER_HEAD_LEN + len;
	if (n > want - b->len)
		n = want - b->len;
	buf_add(b, p, n);
	if (b->len < MILTER_HEAD_LEN + 1)
		return n;
	whole = milter_frame(b->data, b->len, &len);
	letter = b->data[MILTER_HEAD_LEN];
	if (whole < 0)
		*why = "malformed milter packet";
	else if (letter == MILTER_BODY)
		*why = begin_body(s, len);
	else if (whole)
		*why = dispatch(s, letter, b->data + MILTER_HEAD_LEN + 1,
				len - 1);
	else
		return n;
	if (b->cap > KEEP)
		buf_free(b);
	buf_reset(b);
	return n;
}

/* ---- the connection ----------------------------------------------------------- */

static struct milter_session *session_of(struct conn *c)
{
	return container_of(c, struct milter_session, conn);
}

static int on_data(struct conn *c, const char *p, size_t n)
{
	struct milter_session *s = session_of(c);
	const char *why = NULL;

	while (n && !c->finishing && !why && s->state != ST_END) {
		size_t used = feed(s, p, n, &why);

		p += used;
		n -= used;
	}
	if (why) {
		conn_close(c, why);
		return CONN_GO_ON;
	}
	conn_unread(c, n);
	return s->state == ST_END ? CONN_WAIT : CONN_GO_ON;
}

static bool is_busy(struct conn *c)
{
	return session_of(c)->state & ST_MESSAGE;
}

static void on_closed(struct conn *c, const char *why)
{
	struct milter_session *s = session_of(c);

	if (!why && ((s->state & ST_MESSAGE) || s->packet.len))
		why = "closed in the middle of a message";
	abort_message(s);
	free_macros(s, macro_events);
	buf_free(&s->packet);
	s->ops->closed(s, why);
}

static const struct conn_ops milter_conn_ops = {
	.idle_secs = IDLE_SECS,
	.data = on_data,
	.busy = is_busy,
	.closed = on_closed,
};

void milter_server_start(struct milter_session *s, struct ev_loop *loop,
			 int fd, const struct milter_server_ops *ops)
{
	*s = (struct milter_session){ .ops = ops, .state = ST_NEW };
	buf_init(&s->packet);
	for (int i = 0; i < MILTER_MACRO_EVENTS; i++)
		buf_init(&s->macros[i]);
	conn_start(&s->conn, loop, fd, &milter_conn_ops);
	conn_body(&s->conn, true);
}

/* ---- after end() ------------------------------------------------------------ */

static void check_state(const struct milter_session *s)
{
	if (s->state != ST_END)
		bug("an answer to no message");
}

/* value as it has to be on the wire. */
static void add_value(const struct milter_session *s, struct buf *b,
		      const char *value)
{
	if (*value && (s->options.protocol & MILTER_HEADER_SPACE))
		buf_addc(b, ' ');
	buf_adds(b, value);
}

static int send_field(struct milter_session *s,
		      int (*add)(struct buf *out, uint32_t index,
				 const char *name, const char *value),
		      uint32_t index, const char *name, const char *value)
{
	struct buf out = BUF_INIT, exact = BUF_INIT;
	int ret;

	check_state(s);
	add_value(s, &exact, value);
	ret = add(&out, index, name, exact.data);
	conn_write(&s->conn, out.data, out.len);
	buf_free(&exact);
	buf_free(&out);
	return ret;
}

int milter_server_insert(struct milter_session *s, uint32_t index,
			 const char *name, const char *value)
{
	return send_field(s, milter_add_insert, index, name, value);
}

int milter_server_change(struct milter_session *s, uint32_t index,
			 const char *name, const char *value)
{
	return send_field(s, milter_add_change, index, name, value);
}

int milter_server_delete(struct milter_session *s, uint32_t index,
			 const char *name)
{
	return send_field(s, milter_add_change, index, name, "");
}

static void answer(struct milter_session *s, struct buf *out)
{
	check_state(s);
	conn_write(&s->conn, out->data, out->len);
	buf_free(out);
	message_over(s);
	conn_resume(&s->conn);
}

void milter_server_accept(struct milter_session *s)
{
	struct buf out = BUF_INIT;

	milter_add_verdict(&out, MILTER_ACCEPT);
	answer(s, &out);
}

void milter_server_tempfail(struct milter_session *s)
{
	struct buf out = BUF_INIT;

	milter_add_verdict(&out, MILTER_TEMPFAIL);
	answer(s, &out);
}

void milter_server_reply(struct milter_session *s, const char *text)
{
	struct buf out = BUF_INIT;

	if (milter_add_reply(&out, text) < 0)
		milter_add_verdict(&out, MILTER_TEMPFAIL);
	answer(s, &out);
}
