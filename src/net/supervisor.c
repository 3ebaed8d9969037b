#include "net/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/str.h"

enum {
	LINE_PIECE = 4096,
	STOP_PATIENCE = 120,	/* checks until SIGKILL: 6 seconds */
	STOP_REMIND = 10,	/* orphans get SIGTERM every 10th */
};

static const double stop_interval = 0.05;
/* What lived that long has started well. */
static const double healthy_secs = 10.0;

static void child_start(struct child *c);

static void on_restart(struct ev_loop *loop, ev_timer *w, int revents)
{
	child_start(container_of(w, struct child, restart));
}

/* 0.25, 0.5, 1 … 30 seconds. */
static double retry_delay(unsigned deaths)
{
	double secs = 0.25;

	while (--deaths > 0 && secs < 30)
		secs *= 2;
	return secs < 30 ? secs : 30;
}

static void child_died(struct child *c, const char *why)
{
	double delay;

	c->pid = 0;
	if (c->s->stopping)
		return;
	if (ev_now(c->s->loop) - c->started > healthy_secs)
		c->deaths = 0;
	delay = retry_delay(++c->deaths);
	ev_timer_set(&c->restart, delay, 0.0);
	ev_timer_start(c->s->loop, &c->restart);
	c->s->on_death(c->s, c, why, delay);
}

static void give_line(struct child *c, size_t n, size_t skip)
{
	char *line = c->line.data;

	line[n] = '\0';
	c->s->on_line(c->s, c, line);
	buf_consume(&c->line, n + skip);
}

static void give_lines(struct child *c)
{
	char *lf;

	while ((lf = memchr(c->line.data, '\n', c->line.len)))
		give_line(c, (size_t)(lf - c->line.data), 1);
	while (c->line.len >= LINE_PIECE)
		give_line(c, c->line.len, 0);
}

static void output_close(struct child *c)
{
	if (!ev_is_active(&c->out))
		return;
	if (c->line.len > 0)
		give_line(c, c->line.len, 0);
	ev_io_stop(c->s->loop, &c->out);
	close(c->out.fd);
}

static void on_output(struct ev_loop *loop, ev_io *w, int revents)
{
	struct child *c = container_of(w, struct child, out);
	char chunk[LINE_PIECE];
	ssize_t n = read(w->fd, chunk, sizeof(chunk));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		output_close(c);
		return;
	}
	buf_add(&c->line, chunk, (size_t)n);
	give_lines(c);
}

static void child_start(struct child *c)
{
	struct buf err = BUF_INIT;
	pid_t pid;
	int fd;

	/* grandchildren of the one before may still have held it open */
	output_close(c);
	ev_now_update(c->s->loop);
	c->started = ev_now(c->s->loop);
	pid = proc_start(&c->spec, &fd, &err);
	if (pid < 0) {
		child_died(c, err.data);
	} else {
		c->pid = pid;
		ev_io_set(&c->out, fd, EV_READ);
		ev_io_start(c->s->loop, &c->out);
		if (c->s->on_start)
			c->s->on_start(c->s, c);
	}
	buf_free(&err);
}

/* Also orphans of children come here, who are nobody's business. */
static void on_reaped(struct ev_loop *loop, ev_child *w, int revents)
{
	struct supervisor *s = container_of(w, struct supervisor, reaper);
	struct buf why = BUF_INIT;

	for (struct child *c = s->children; c; c = c->next) {
		if (c->pid != w->rpid)
			continue;
		proc_add_status(&why, w->rstatus);
		child_died(c, why.data);
		break;
	}
	buf_free(&why);
}

static bool has_children(const struct supervisor *s)
{
	for (const struct child *c = s->children; c; c = c->next)
		if (c->pid > 0)
			return true;
	return false;
}

static void stopped(struct supervisor *s)
{
	ev_timer_stop(s->loop, &s->stop_timer);
	ev_child_stop(s->loop, &s->reaper);
	for (struct child *c = s->children; c; c = c->next)
		output_close(c);
	ev_break(s->loop, EVBREAK_ALL);
}

/* Programs end before their own children, which have become ours then: Dovecot
 * leaves those with an open session alone, so they are told as well. With
 * patience gone all are killed, which may make more of them ours: so this
 * comes again. */
static void on_stop_check(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct supervisor *s = container_of(w, struct supervisor, stop_timer);
	unsigned checks = s->stop_checks++;
	pid_t pids[256];
	size_t n = proc_children(getpid(), pids, ARRAY_LEN(pids));
	int sig = 0;

	if (n == 0)
		stopped(s);
	else if (checks >= STOP_PATIENCE)
		sig = SIGKILL;
	else if (checks % STOP_REMIND == 0 && !has_children(s))
		sig = SIGTERM;
	for (size_t i = 0; sig && i < n; i++)
		kill(pids[i], sig);
}

static void on_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct supervisor *s = w->data;

	s->on_signal(s, w->signum);
	supervisor_stop(s);
}

/* Children inherit it; mail servers are made for more than the usual 1024. */
static void raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int supervisor_start(struct supervisor *s)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

	s->loop = ev_default_loop(EVFLAG_AUTO);
	if (!s->loop) {
		errno = ENOSYS;
		return -1;
	}
	s->children = NULL;
	s->stopping = false;
	s->stop_checks = 0;
	signal(SIGPIPE, SIG_IGN);
	raise_fd_limit();
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		ev_signal_init(&s->signals[i], on_signal, signals[i]);
		s->signals[i].data = s;
		ev_signal_start(s->loop, &s->signals[i]);
	}
	ev_child_init(&s->reaper, on_reaped, 0, 0);
	ev_child_start(s->loop, &s->reaper);
	ev_timer_init(&s->stop_timer, on_stop_check, 0.0, stop_interval);
	return prctl(PR_SET_CHILD_SUBREAPER, 1);
}

void supervisor_run(struct supervisor *s)
{
	ev_run(s->loop, 0);
	for (size_t i = 0; i < ARRAY_LEN(s->signals); i++)
		ev_signal_stop(s->loop, &s->signals[i]);
}

void supervisor_add(struct supervisor *s, struct child *c)
{
	c->s = s;
	c->pid = 0;
	c->deaths = 0;
	c->next = s->children;
	s->children = c;
	buf_init(&c->line);
	ev_init(&c->out, on_output);
	ev_init(&c->restart, on_restart);
	child_start(c);
}

void supervisor_stop(struct supervisor *s)
{
	if (s->stopping) {
		s->stop_checks = STOP_PATIENCE;
		return;
	}
	s->stopping = true;
	for (struct child *c = s->children; c; c = c->next) {
		ev_timer_stop(s->loop, &c->restart);
		if (c->pid > 0)
			kill(c->pid, SIGTERM);
	}
	ev_timer_start(s->loop, &s->stop_timer);
}

void supervisor_free(struct supervisor *s)
{
	for (struct child *c = s->children; c; c = c->next)
		buf_free(&c->line);
	s->children = NULL;
}
