/* Is the sandbox ready? Connects to everything until everything answers. */
#include "applets/sandbox.h"

#include <ev.h>
#include <sys/un.h>

#include "base/str.h"
#include "net/conn.h"
#include "applet.h"

enum { PROBES_MAX = 32 };

static const double probe_interval = 0.05;

struct probe {
	struct conn conn;
	const char *name;
	unsigned port;		/* 0: a unix socket */
	char *path;
	const char *greeting;
	bool open, answered;
};

static struct {
	struct sandbox *sb;
	struct ev_loop *loop;
	ev_timer timer;
	void (*ready)(struct sandbox *sb);
	struct probe probes[PROBES_MAX];
	size_t count;
} all;

static void on_connected(struct conn *c)
{
	struct probe *p = container_of(c, struct probe, conn);

	if (*p->greeting)
		return;
	p->answered = true;
	conn_close(c, NULL);
}

/* Says goodbye, so that the other's log shows no lost connection. */
static int on_line(struct conn *c, char *line, size_t len)
{
	struct probe *p = container_of(c, struct probe, conn);

	(void)len;
	p->answered = str_starts(line, p->greeting);
	conn_writes(c, *p->greeting == '*' ? "a LOGOUT\r\n" : "QUIT\r\n");
	conn_finish(c);
	return CONN_WAIT;
}

static void on_closed(struct conn *c, const char *why)
{
	container_of(c, struct probe, conn)->open = false;
}

static const struct conn_ops probe_ops = {
	.line_max = 1024,
	.idle_secs = 5,
	.line = on_line,
	.connected = on_connected,
	.closed = on_closed,
};

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	size_t waiting = 0;

	for (size_t i = 0; i < all.count; i++) {
		struct probe *p = &all.probes[i];

		waiting += p->open || !p->answered;
		if (p->open || p->answered)
			continue;
		p->open = true;
		if (p->port)
			conn_connect_tcp(&p->conn, loop, "127.0.0.1", p->port,
					 &probe_ops);
		else
			conn_connect_unix(&p->conn, loop, p->path,
					  &probe_ops);
	}
	if (waiting == 0) {
		ev_timer_stop(loop, w);
		all.ready(all.sb);
	}
}

static struct probe *probe_new(const char *name, const char *greeting)
{
	struct probe *p = &all.probes[all.count];

	if (all.count == PROBES_MAX)
		return NULL;
	all.count++;
	*p = (struct probe) { .name = name, .greeting = greeting };
	return p;
}

static void probe_port(struct sandbox *sb, const struct sandbox_port *port)
{
	struct probe *p;

	if (!port->greeting || (port->applet && !applet_find(port->applet)))
		return;
	p = probe_new(port->name, port->greeting);
	if (p)
		p->port = sandbox_port_number(sb, port);
}

static void probe_socket(struct sandbox *sb, const struct sandbox_role *role)
{
	struct buf path = BUF_INIT;
	struct probe *p;

	if (!role->socket || !applet_find(role->applet))
		return;
	p = probe_new(role->name, "");
	if (!p)
		return;
	buf_addf(&path, "%s/run/%s", sb->dir, role->socket);
	p->path = buf_detach(&path);
}

void sandbox_probe_start(struct sandbox *sb, struct ev_loop *loop,
			 void (*ready)(struct sandbox *sb))
{
	all.sb = sb;
	all.loop = loop;
	all.ready = ready;
	for (size_t i = 0; i < sandbox_port_count; i++)
		probe_port(sb, &sandbox_ports[i]);
	for (size_t i = 0; i < sandbox_role_count; i++)
		probe_socket(sb, &sandbox_roles[i]);
	ev_timer_init(&all.timer, on_timer, probe_interval, probe_interval);
	ev_timer_start(loop, &all.timer);
}

void sandbox_probe_missing(struct buf *out)
{
	for (size_t i = 0; i < all.count; i++)
		if (!all.probes[i].answered)
			buf_addf(out, "%s%s", out->len ? ", " : "",
				 all.probes[i].name);
}

void sandbox_probe_stop(void)
{
	if (!all.loop)
		return;
	ev_timer_stop(all.loop, &all.timer);
	for (size_t i = 0; i < all.count; i++) {
		if (all.probes[i].open)
			conn_close(&all.probes[i].conn, NULL);
		free(all.probes[i].path);
		all.probes[i].path = NULL;
	}
}
