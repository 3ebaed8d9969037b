/* The milter server. Without arguments: a conversation in pieces of every
 * size. With a socket's path it is the milter that t/2610-milter.t talks to,
 * which answers as the sender's local part says and inserts what it saw. */
#include "tap.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "net/daemon.h"
#include "net/milter_server.h"

struct session {
	struct milter_session milter;
	ev_timer later;
	struct buf sender, headers, host;
	size_t body, sum;
	unsigned eohs;
};

static unsigned aborts, closed;
static double later_secs = .001;
static const char *last_why;

static struct session *session_of(struct milter_session *m)
{
	return container_of(m, struct session, milter);
}

static void on_connect(struct milter_session *m,
		       const struct milter_connect *c)
{
	buf_setf(&session_of(m)->host, "%s %c %s", c->host, c->family,
		 c->addr);
}

static void on_mail(struct milter_session *m, const char *sender)
{
	struct session *s = session_of(m);

	buf_setf(&s->sender, "%s", sender);
	buf_reset(&s->headers);
	s->body = s->sum = s->eohs = 0;
}

static void on_header(struct milter_session *m, const char *name,
		      const char *value)
{
	buf_addf(&session_of(m)->headers, "%s:%s|", name, value);
}

static void on_eoh(struct milter_session *m)
{
	session_of(m)->eohs++;
}

static void on_body(struct milter_session *m, const char *p, size_t n)
{
	struct session *s = session_of(m);

	for (size_t i = 0; i < n; i++)
		s->sum = s->sum * 31 + (unsigned char)p[i];
	s->body += n;
}

static const char *macro(struct milter_session *m, const char *name)
{
	const char *value = milter_server_macro(m, name);

	return value ? value : "-";
}

static void insert_seen(struct session *s)
{
	struct milter_session *m = &s->milter;
	struct buf b = BUF_INIT;

	buf_addf(&b, "host=%s daemon=%s i=%s auth=%s rcpt=%s eohs=%u body=%zu "
		 "sum=%08zx\r\n headers=", s->host.data,
		 macro(m, "{daemon_name}"), macro(m, "i"),
		 macro(m, "{auth_authen}"), macro(m, "{rcpt_addr}"), s->eohs,
		 s->body, s->sum & 0xffffffff);
	buf_add_printable(&b, s->headers.data, s->headers.len);
	milter_server_insert(m, 0, "X-Seen", b.data);
	buf_free(&b);
}

static void on_later(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct session *s = container_of(w, struct session, later);

	insert_seen(s);
	milter_server_accept(&s->milter);
}

static void answer(struct session *s)
{
	struct milter_session *m = &s->milter;
	const char *how = s->sender.data + (*s->sender.data == '<');

	if (str_starts(how, "reply@")) {
		milter_server_reply(m, "554 5.7.1 100% refused");
	} else if (str_starts(how, "bad@")) {
		milter_server_reply(m, "this is no reply");
	} else if (str_starts(how, "tempfail@")) {
		milter_server_tempfail(m);
	} else if (str_starts(how, "change@")) {
		milter_server_change(m, 1, "Subject", "changed");
		milter_server_delete(m, 2, "To");
		tap_failed += milter_server_insert(m, 0, "X", "a\nb: c") == 0;
		milter_server_accept(m);
	} else if (str_starts(how, "later@")) {
		ev_timer_set(&s->later, later_secs, 0.);
		ev_timer_start(m->conn.loop, &s->later);
	} else {
		insert_seen(s);
		milter_server_accept(m);
	}
}

static void on_end(struct milter_session *m)
{
	answer(session_of(m));
}

static void on_abort(struct milter_session *m)
{
	aborts++;
	ev_timer_stop(m->conn.loop, &session_of(m)->later);
	log_debug("aborted");
}

static void on_closed(struct milter_session *m, const char *why)
{
	struct session *s = session_of(m);

	closed++;
	last_why = why;
	log_debug("closed: %s", why ? why : "ordinary end");
	buf_free(&s->sender);
	buf_free(&s->headers);
	buf_free(&s->host);
	free(s);
}

static const struct milter_server_ops ops = {
	.actions = MILTER_ADD_HEADERS | MILTER_CHANGE_HEADERS,
	.connect = on_connect,
	.mail = on_mail,
	.header = on_header,
	.eoh = on_eoh,
	.body = on_body,
	.end = on_end,
	.abort = on_abort,
	.closed = on_closed,
};

static void serve(struct ev_loop *loop, int fd)
{
	struct session *s = xcalloc(1, sizeof(*s));

	buf_init(&s->sender);
	buf_init(&s->headers);
	buf_init(&s->host);
	ev_timer_init(&s->later, on_later, 0., 0.);
	milter_server_start(&s->milter, loop, fd, &ops);
}

static void on_accepted(struct daemon *d, int fd)
{
	serve(d->loop, fd);
}

static int run_daemon(const char *path)
{
	struct daemon d;
	struct buf err = BUF_INIT;

	later_secs = .2;
	log_init("milter");
	daemon_init(&d);
	if (daemon_listen_unix(&d, path, 0600, on_accepted, &err) < 0)
		die("%s", err.data);
	return daemon_run(&d) || tap_failed;
}

/* ---- a conversation in pieces ----------------------------------------------- */

#define BYTES(s) s, sizeof(s) - 1

/* A client and two messages, the first of which is answered later. */
static void build_talk(struct buf *b)
{
	static const char *const senders[] = { "<later@a>", "<now@a>" };

	buf_add(b, BYTES("\0\0\0\rO\0\0\0\6\0\0\1\xff\0\x1f\xff\xff"));
	buf_add(b, BYTES("\0\0\0\x15" "DC{daemon_name}\0SMTP\0"));
	buf_add(b, BYTES("\0\0\0\x08" "Ca\0" "4\0\x19" "b\0"));
	for (size_t i = 0; i < ARRAY_LEN(senders); i++) {
		size_t n = strlen(senders[i]) + 1;

		buf_add(b, BYTES("\0\0\0\6DMi\0X\0"));
		buf_add(b, BYTES("\0\0\0"));
		buf_addc(b, (char)(n + 1));
		buf_addc(b, 'M');
		buf_add(b, senders[i], n);
		buf_add(b, BYTES("\0\0\0\2DL\0\0\0\7LTo\0 b\0"));
		buf_add(b, BYTES("\0\0\0\1N\0\0\0\4Ba\r\n\0\0\0\1B"));
		buf_add(b, BYTES("\0\0\0\3Bb\r\0\0\0\2B\n\0\0\0\1E"));
		buf_add(b, BYTES("\0\0\0\1A\0\0\0\1A"));
	}
	buf_add(b, BYTES("\0\0\0\1Q"));
}

#define SEEN "X-Seen\0 host=a 4 b daemon=SMTP i=X auth=- rcpt=- eohs=1 " \
	"body=6 sum=a6434301\n headers=To: b|\0"

static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	ev_break(loop, EVBREAK_ONE);
}

/* Lets the loop run until the session has closed. */
static void run_until_closed(struct ev_loop *loop)
{
	ev_timer tick;

	ev_timer_init(&tick, on_tick, 5., 0.);
	ev_timer_start(loop, &tick);
	for (unsigned before = closed; closed == before &&
	     ev_is_active(&tick);)
		ev_run(loop, EVRUN_ONCE);
	ev_timer_stop(loop, &tick);
}

static void converse(struct ev_loop *loop, const struct buf *text,
		     size_t piece, struct buf *got)
{
	int fds[2];
	ssize_t n;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0)
		die_errno("socketpair");
	serve(loop, fds[0]);
	for (size_t at = 0; at < text->len; at += piece) {
		size_t len = text->len - at < piece ? text->len - at : piece;

		if (write(fds[1], text->data + at, len) != (ssize_t)len)
			die_errno("write");
		ev_run(loop, EVRUN_NOWAIT);
	}
	shutdown(fds[1], SHUT_WR);
	run_until_closed(loop);
	buf_reserve(got, 4096);
	while ((n = read(fds[1], got->data + got->len, 4096)) > 0) {
		got->len += (size_t)n;
		buf_reserve(got, 4096);
	}
	close(fds[1]);
}

static void expect(struct buf *b)
{
	buf_add(b, BYTES("\0\0\0\rO\0\0\0\6\0\0\0\x11\0\x1f\xf3\x8a"));
	for (int i = 0; i < 2; i++) {
		buf_add(b, BYTES("\0\0\0"));
		buf_addc(b, (char)(5 + sizeof(SEEN) - 1));
		buf_add(b, BYTES("i\0\0\0\0" SEEN));
		buf_add(b, BYTES("\0\0\0\1a"));
	}
}

static void show(const struct buf *b)
{
	struct buf shown = BUF_INIT;

	buf_add_printable(&shown, b->data, b->len);
	printf("# got: %s\n", shown.data);
	buf_free(&shown);
}

static void test_pieces(struct ev_loop *loop)
{
	static const size_t pieces[] = { 1, 2, 3, 5, 7, 16, 64, 100000 };
	struct buf text = BUF_INIT, want = BUF_INIT;

	build_talk(&text);
	expect(&want);
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		struct buf got = BUF_INIT;
		bool same;

		aborts = 0;
		last_why = "none";
		converse(loop, &text, pieces[i], &got);
		same = got.len == want.len &&
		       memcmp(got.data, want.data, got.len) == 0;
		tap_ok(same, "two messages in pieces of %zu", pieces[i]);
		tap_ok(!last_why && !aborts, "ordinary end: %s",
		       last_why ? last_why : "yes");
		if (!same)
			show(&got);
		buf_free(&got);
	}
	buf_free(&text);
	buf_free(&want);
}

/* Cut anywhere, it ends, and each message that began has its end. */
static void test_cuts(struct ev_loop *loop)
{
	struct buf text = BUF_INIT;
	unsigned before = closed, wrong = 0;
	size_t whole;

	build_talk(&text);
	whole = text.len;
	for (size_t n = whole - 140; n < whole - 5; n++) {
		struct buf got = BUF_INIT;

		text.len = n;
		aborts = 0;
		converse(loop, &text, n, &got);
		wrong += aborts > 1 || (aborts && !last_why);
		buf_free(&got);
	}
	tap_ok(closed - before == 135 && !wrong, "cut anywhere");
	text.len = whole;
	buf_free(&text);
}

int main(int argc, char **argv)
{
	struct ev_loop *loop;

	if (argc == 2)
		return run_daemon(argv[1]);
	log_init("milter");
	loop = ev_default_loop(EVFLAG_AUTO);
	test_pieces(loop);
	test_cuts(loop);
	return tap_done();
}
