#include "net/probe.h"

#include "base/str.h"

enum { GREETING_MAX = 1024 };

static const double interval = 0.05, answer_secs = 5.0;

static void on_connected(struct conn *c)
{
	struct probe *p = container_of(c, struct probe, conn);

	if (*p->greeting)
		return;
	p->answered = true;
	conn_close(c, NULL);
}

/* Says goodbye in SMTP's or IMAP's words, so that the server's log shows no
 * lost connection. */
static int on_line(struct conn *c, char *line, size_t len)
{
	struct probe *p = container_of(c, struct probe, conn);

	p->answered = str_starts(line, p->greeting);
	conn_writes(c, *line == '*' ? "a LOGOUT\r\n" : "QUIT\r\n");
	conn_finish(c);
	return CONN_WAIT;
}

static void on_closed(struct conn *c, const char *why)
{
	container_of(c, struct probe, conn)->open = false;
}

static const struct conn_ops probe_ops = {
	.line_max = GREETING_MAX,
	.idle_secs = answer_secs,
	.line = on_line,
	.connected = on_connected,
	.closed = on_closed,
};

static void probe_try(struct probe *p, struct ev_loop *loop)
{
	p->open = true;
	if (p->port)
		conn_connect_tcp(&p->conn, loop, "127.0.0.1", p->port,
				 &probe_ops);
	else
		conn_connect_unix(&p->conn, loop, p->path, &probe_ops);
}

static void on_again(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct probe_set *set = container_of(w, struct probe_set, again);
	size_t waiting = 0;

	for (size_t i = 0; i < set->count; i++) {
		struct probe *p = &set->probes[i];

		waiting += p->open || !p->answered;
		if (!p->open && !p->answered)
			probe_try(p, loop);
	}
	if (waiting > 0)
		return;
	probe_set_stop(set);
	set->on_ready(set);
}

static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct probe_set *set = container_of(w, struct probe_set, deadline);

	probe_set_stop(set);
	set->on_late(set);
}

void probe_set_start(struct probe_set *set, struct ev_loop *loop)
{
	set->loop = loop;
	for (size_t i = 0; i < set->count; i++)
		set->probes[i].open = set->probes[i].answered = false;
	ev_timer_init(&set->again, on_again, interval, interval);
	ev_timer_start(loop, &set->again);
	ev_timer_init(&set->deadline, on_deadline, set->patience, 0.0);
	ev_timer_start(loop, &set->deadline);
}

void probe_set_stop(struct probe_set *set)
{
	if (!set->loop)
		return;
	ev_timer_stop(set->loop, &set->again);
	ev_timer_stop(set->loop, &set->deadline);
	for (size_t i = 0; i < set->count; i++)
		if (set->probes[i].open)
			conn_close(&set->probes[i].conn, NULL);
}

void probe_set_missing(const struct probe_set *set, struct buf *out)
{
	for (size_t i = 0; i < set->count; i++)
		if (!set->probes[i].answered)
			buf_addf(out, "%s%s", out->len ? ", " : "",
				 set->probes[i].name);
}
