#include "net/dict_server.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "net/conn.h"
#include "text/dict.h"

enum {
	LINE_MAX_BYTES = 64 * 1024,	/* as Dovecot's own server */
	PENDING_MAX = 1000,		/* likewise; a list counts for all */
	TXN_MAX = 64,			/* open on one connection */
	TXN_BYTES_MAX = 256 * 1024,	/* of all changes in one */
};

struct txn {
	struct txn *next;
	struct arena arena;
	const char *id, *user;
	struct dict_change *changes, **tail;
	bool too_large;
};

struct session;

struct dict_request {
	struct dict_request *next;
	struct session *session;	/* NULL once its connection closed */
	struct arena arena;		/* copies of what the handler gets */
	struct buf reply;
	const char *id;			/* of a commit */
	unsigned weight;		/* of PENDING_MAX */
	bool done;
};

struct session {
	struct conn conn;
	const struct dict_ops *ops;
	struct txn *txns;
	unsigned txn_count, pending;
	struct dict_request *requests, **tail;	/* oldest first */
	bool greeted, draining;
};

/* ---- requests and replies -------------------------------------------------- */

static struct dict_request *request_new(struct session *s, unsigned weight)
{
	struct dict_request *r = xcalloc(1, sizeof(*r));

	r->session = s;
	r->weight = weight;
	buf_init(&r->reply);
	*s->tail = r;
	s->tail = &r->next;
	s->pending += weight;
	return r;
}

static void request_free(struct dict_request *r)
{
	arena_free(&r->arena);
	buf_free(&r->reply);
	free(r);
}

/* Send what is ready at the head of the queue. */
static void send_replies(struct session *s)
{
	while (s->requests && s->requests->done) {
		struct dict_request *r = s->requests;

		conn_write(&s->conn, r->reply.data, r->reply.len);
		s->requests = r->next;
		if (!s->requests)
			s->tail = &s->requests;
		s->pending -= r->weight;
		request_free(r);
	}
	if (s->draining && s->pending < PENDING_MAX) {
		s->draining = false;
		conn_resume(&s->conn);
	}
}

static void request_done(struct dict_request *r)
{
	struct session *s = r->session;

	if (!s) {
		request_free(r);
		return;
	}
	r->done = true;
	if (s->requests == r)
		send_replies(s);
}

void dict_reply_found(struct dict_request *r, const char *value)
{
	buf_addc(&r->reply, 'O');
	dict_escape(&r->reply, value);
	buf_addc(&r->reply, '\n');
	request_done(r);
}

void dict_reply_not_found(struct dict_request *r)
{
	buf_adds(&r->reply, "N\n");
	request_done(r);
}

void dict_reply_error(struct dict_request *r, const char *error)
{
	/* a commit's reply has the transaction first, a lookup's has not */
	buf_addc(&r->reply, 'F');
	if (r->id) {
		dict_escape(&r->reply, r->id);
		buf_addc(&r->reply, '\t');
	}
	dict_escape(&r->reply, error);
	buf_addc(&r->reply, '\n');
	request_done(r);
}

void dict_reply_committed(struct dict_request *r)
{
	buf_addc(&r->reply, 'O');
	dict_escape(&r->reply, r->id);
	buf_addc(&r->reply, '\n');
	request_done(r);
}

void dict_reply_row(struct dict_request *r, const char *key)
{
	buf_addc(&r->reply, 'O');
	dict_escape(&r->reply, key);
	/* Dovecot 2.3 dies of a row without its second field */
	buf_adds(&r->reply, "\t\n");
}

void dict_reply_end(struct dict_request *r)
{
	buf_addc(&r->reply, '\n');
	request_done(r);
}

/* A number for the log; whatever else stands in its place may be a piece of a
 * password. */
static const char *shown(const char *number)
{
	size_t n = strspn(number, "0123456789");

	return n && n < 20 && !number[n] ? number : "?";
}

/* ---- transactions ---------------------------------------------------------- */

static struct txn **txn_find(struct session *s, const char *id)
{
	struct txn **at = &s->txns;

	while (*at && strcmp((*at)->id, id) != 0)
		at = &(*at)->next;
	return at;
}

static void txn_remove(struct session *s, struct txn **at)
{
	struct txn *t = *at;

	*at = t->next;
	s->txn_count--;
	arena_free(&t->arena);
	free(t);
}

static void txn_add(struct txn *t, const char *key, const char *value)
{
	struct dict_change *c;

	if (t->arena.used + strlen(key) + (value ? strlen(value) : 0) >
	    TXN_BYTES_MAX) {
		t->too_large = true;
		return;
	}
	c = arena_alloc(&t->arena, sizeof(*c));
	c->key = arena_strdup(&t->arena, key);
	c->value = value ? arena_strdup(&t->arena, value) : NULL;
	*t->tail = c;
	t->tail = &c->next;
}

/* ---- commands --------------------------------------------------------------- */

/* Each gets its unescaped fields; the table says how many there are at least.
 * Returns as conn_ops.line does. */

static int cmd_hello(struct session *s, char **f, int n)
{
	uint64_t major;

	if (str_to_u64(f[0], &major) < 0 || major < 2) {
		log_warn("dict: the client speaks version %s, 2 or later is "
			 "needed", shown(f[0]));
		return CONN_CLOSE;
	}
	s->greeted = true;
	return CONN_GO_ON;
}

static int cmd_lookup(struct session *s, char **f, int n)
{
	struct dict_request *r = request_new(s, 1);

	s->ops->lookup(r, arena_strdup(&r->arena, f[0]),
		       n > 1 ? arena_strdup(&r->arena, f[1]) : "");
	return CONN_GO_ON;
}

static int cmd_iterate(struct session *s, char **f, int n)
{
	struct dict_request *r = request_new(s, PENDING_MAX);

	if (!s->ops->iterate)
		dict_reply_end(r);
	else
		s->ops->iterate(r, arena_strdup(&r->arena, f[2]),
				n > 3 ? arena_strdup(&r->arena, f[3]) : "");
	return CONN_GO_ON;
}

static int cmd_begin(struct session *s, char **f, int n)
{
	struct txn **old = txn_find(s, f[0]);
	struct txn *t;

	if (*old)
		txn_remove(s, old);
	if (s->txn_count == TXN_MAX) {
		log_warn("dict: more than %d transactions at once", TXN_MAX);
		return CONN_CLOSE;
	}
	t = xcalloc(1, sizeof(*t));
	t->tail = &t->changes;
	t->id = arena_strdup(&t->arena, f[0]);
	t->user = arena_strdup(&t->arena, n > 1 ? f[1] : "");
	t->next = s->txns;
	s->txns = t;
	s->txn_count++;
	return CONN_GO_ON;
}

static int cmd_set(struct session *s, char **f, int n)
{
	struct txn *t = *txn_find(s, f[0]);

	if (t)
		txn_add(t, f[1], n > 2 ? f[2] : "");
	else
		log_warn("dict: a value for unknown transaction %s", shown(f[0]));
	return CONN_GO_ON;
}

static int cmd_unset(struct session *s, char **f, int n)
{
	struct txn *t = *txn_find(s, f[0]);

	if (t)
		txn_add(t, f[1], NULL);
	else
		log_warn("dict: unset in unknown transaction %s", shown(f[0]));
	return CONN_GO_ON;
}

/* A, T, V and 2.3's W say nothing that matters to us: no increments are used,
 * times are ours, and values never reach the log anyway. */
static int cmd_increment(struct session *s, char **f, int n)
{
	struct txn *t = *txn_find(s, f[0]);

	if (t)
		t->too_large = true; /* cannot be kept, so the commit fails */
	return CONN_GO_ON;
}

static int cmd_ignore(struct session *s, char **f, int n)
{
	return CONN_GO_ON;
}

static int cmd_commit(struct session *s, char **f, int n)
{
	struct txn **at = txn_find(s, f[0]);
	struct txn *t = *at;
	struct dict_request *r = request_new(s, 1);
	struct dict_change *changes;
	const char *user;

	r->id = arena_strdup(&r->arena, f[0]);
	if (!t) {
		log_warn("dict: commit of unknown transaction %s", shown(f[0]));
		dict_reply_error(r, "unknown transaction");
		return CONN_GO_ON;
	}
	if (t->too_large || !s->ops->commit) {
		log_warn("dict: transaction %s refused: %s", shown(f[0]),
			 s->ops->commit ? "too large, or an increment" :
					  "nothing can be set here");
		txn_remove(s, at);
		dict_reply_error(r, "transaction refused");
		return CONN_GO_ON;
	}
	/* the handler may take its time: the changes move to the request */
	arena_free(&r->arena);
	r->arena = t->arena;
	r->id = t->id;
	t->arena = (struct arena)ARENA_INIT;
	changes = t->changes;
	user = t->user;
	txn_remove(s, at);
	s->ops->commit(r, user, changes);
	return CONN_GO_ON;
}

static int cmd_rollback(struct session *s, char **f, int n)
{
	struct txn **at = txn_find(s, f[0]);

	if (*at)
		txn_remove(s, at);
	return CONN_GO_ON;
}

static const struct {
	char letter;
	int fields;	/* at least */
	int (*run)(struct session *s, char **f, int n);
} commands[] = {
	{ 'H', 1, cmd_hello },
	{ 'L', 1, cmd_lookup },
	{ 'I', 3, cmd_iterate },
	{ 'B', 1, cmd_begin },
	{ 'S', 2, cmd_set },
	{ 'U', 2, cmd_unset },
	{ 'A', 1, cmd_increment },
	{ 'T', 1, cmd_ignore },
	{ 'V', 1, cmd_ignore },
	{ 'C', 1, cmd_commit },
	{ 'D', 1, cmd_commit },
	{ 'R', 1, cmd_rollback },
};

static int dispatch(struct session *s, char letter, char **f, int n)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (commands[i].letter != letter)
			continue;
		if (n < commands[i].fields) {
			log_warn("dict: command %c with too few fields",
				 letter);
			return CONN_CLOSE;
		}
		return commands[i].run(s, f, n);
	}
	log_warn("dict: unknown command %c ignored",
		 letter > ' ' && letter < 127 ? letter : '?');
	return CONN_GO_ON;
}

/* ---- the connection ----------------------------------------------------------- */

static int on_line(struct conn *c, char *line, size_t len)
{
	struct session *s = container_of(c, struct session, conn);
	char *fields[DICT_FIELDS_MAX];
	int n, ret;

	if (len && line[len - 1] == '\r')
		line[--len] = '\0';
	if (!len)
		return CONN_CLOSE;
	n = dict_split(line + 1, len - 1, fields);
	if (n < 0) {
		log_warn("dict: command %c with a NUL byte or too many fields",
			 line[0] > ' ' && line[0] < 127 ? line[0] : '?');
		return CONN_CLOSE;
	}
	ret = dispatch(s, line[0], fields, n);
	if (ret == CONN_GO_ON && s->pending >= PENDING_MAX) {
		s->draining = true;
		return CONN_WAIT;
	}
	return ret;
}

static void on_too_long(struct conn *c)
{
	log_warn("dict: a line of more than %d bytes", LINE_MAX_BYTES);
}

/* The peer may half-close after its last request and wait for the answer. */
static bool on_eof(struct conn *c)
{
	struct session *s = container_of(c, struct session, conn);

	if (s->requests)
		return true;
	if (c->in.len > c->in_off)
		log_warn("dict: closed in the middle of a line");
	conn_finish(c);
	return true;
}

static bool is_busy(struct conn *c)
{
	struct session *s = container_of(c, struct session, conn);

	return s->requests || s->txns;
}

static void on_closed(struct conn *c, const char *why)
{
	struct session *s = container_of(c, struct session, conn);
	struct dict_request *r = s->requests;

	if (why && !str_starts(why, "Broken pipe"))
		log_debug("dict: connection closed: %s", why);
	while (r) {
		struct dict_request *next = r->next;

		/* the handler still has it and ends it */
		r->session = NULL;
		if (r->done)
			request_free(r);
		r = next;
	}
	while (s->txns)
		txn_remove(s, &s->txns);
	free(s);
}

static const struct conn_ops session_ops = {
	.line_max = LINE_MAX_BYTES,
	.too_long = on_too_long,
	.line = on_line,
	.eof = on_eof,
	.busy = is_busy,
	.closed = on_closed,
};

void dict_serve(struct daemon *d, int fd, const struct dict_ops *ops)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->ops = ops;
	s->tail = &s->requests;
	conn_start(&s->conn, d->loop, fd, &session_ops);
}

void dict_listen_or_die(struct daemon *d, const char *path,
			void (*accepted)(struct daemon *d, int fd))
{
	struct buf err = BUF_INIT;

	if (daemon_listen_unix(d, path, 0660, accepted, &err) < 0)
		die("%s", err.data);
	buf_free(&err);
}
